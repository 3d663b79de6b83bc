#!/usr/bin/python3
"""/metrics of a running cloud, read by those that it is for: promtool, Debian's Prometheus (both
formats), its Python client; and what deploy/ makes of it.

usage: metrics.py FEITIAN SOURCE

Needs the Debian packages prometheus and python3-prometheus-client.
"""
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
import urllib.request

import live_cloud
from live_cloud import wait_until

OPEN = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
CHAT = {"model": "nano", "messages": [{"role": "user", "content": "Hello"}], "seed": 1}
OF_CONTROL = "feitian_control_resident_memory_bytes "
# What the dashboards that vLLM publishes ask for (examples/online_serving/prometheus_grafana).
VLLM = """vllm:e2e_request_latency_seconds_bucket vllm:e2e_request_latency_seconds_sum
vllm:e2e_request_latency_seconds_count vllm:prompt_tokens_total vllm:generation_tokens_total
vllm:time_per_output_token_seconds_bucket vllm:inter_token_latency_seconds_bucket
vllm:num_requests_running vllm:num_requests_waiting vllm:time_to_first_token_seconds_bucket
vllm:time_to_first_token_seconds_sum vllm:gpu_cache_usage_perc vllm:kv_cache_usage_perc
vllm:request_prompt_tokens_bucket vllm:request_generation_tokens_bucket vllm:request_success_total
vllm:request_queue_time_seconds_sum vllm:request_prefill_time_seconds_sum
vllm:request_decode_time_seconds_sum vllm:request_inference_time_seconds_sum
vllm:prefix_cache_queries_total vllm:prefix_cache_hits_total vllm:num_preemptions_total""".split()
failed = 0
passed = 0


def expect(what, ok, seen=None):
    global failed, passed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    passed += bool(ok)
    failed += not ok


def scrape(c, accept="", path="/metrics", **headers):
    """(status, content type, text)"""
    h = c.connect(120)
    names = {k.replace("_", "-"): v for k, v in headers.items()}
    h.request("GET", path, headers={"Accept": accept, **names})
    r = h.getresponse()
    text = r.read().decode()
    h.close()
    return r.status, r.getheader("Content-Type"), text


def whole(c, accept="", path="/metrics"):
    """The text with control's own figures, which are left out when it is too busy to tell them."""
    return wait_until(lambda: OF_CONTROL in (t := scrape(c, accept, path)[2]) and t, 60,
                      "control's own figures")


def scrape_inside(c):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(f"{c.home}/run/gateway.sock")
    s.sendall(b"GET /metrics HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
    r = http.client.HTTPResponse(s)
    r.begin()
    return r.status, r.read().decode()


def samples(text):
    """{"name{labels}": value}"""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            expect(f"{name} is there once", name not in found) if name in found else None
            found[name] = float(value)
    return found


def names_of(text):
    """Names that a query may ask for, also of families without a series yet."""
    names = set(re.match(r"[^{ ]+", s).group() for s in samples(text))
    for family, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
        names |= {family + end for end in ("_bucket", "_sum", "_count")} \
            if kind == "histogram" else {family}
    return names


def called(c):
    """Calls of every kind; what /metrics must say of them."""
    want = {"ok": 0, "prompt": 0, "completion": 0, "cached": 0}
    for i in range(12):
        body = {**CHAT, "max_tokens": 3 + i}
        if i % 3 == 0:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
            events = [e for e in c.stream("/v1/chat/completions", body) if e != "[DONE]"]
            usage = next(e["usage"] for e in reversed(events) if e.get("usage"))
        elif i % 3 == 1:
            usage = c.post("/v1/chat/completions", body)[1]["usage"]
        else:
            usage = c.post("/v1/completions", {"model": "nano", "prompt": "Once upon a time, " * 8,
                                               "max_tokens": 3 + i})[1]["usage"]
        want["ok"] += 1
        want["prompt"] += usage["prompt_tokens"]
        want["completion"] += usage["completion_tokens"]
        want["cached"] += usage.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    return want


def figures(c, want):
    text = whole(c)
    s = samples(text)
    of = 'model="nano",project="default"'
    expect("calls", s.get(f'feitian_model_requests_total{{{of},status="ok"}}') == want["ok"], want)
    for ours, theirs, key in (("prompt", "prompt", "prompt"), ("cached", "prefix_cache", "cached"),
                              ("completion", "generation", "completion")):
        expect(f"{ours} tokens as the answers said them",
               s.get(f"feitian_{ours}_tokens_total{{{of}}}") == want[key],
               (s.get(f"feitian_{ours}_tokens_total{{{of}}}"), want))
        name = "vllm:prefix_cache_hits_total" if ours == "cached" else f"vllm:{theirs}_tokens_total"
        expect(f"{name} says the same",
               s.get(f'{name}{{model_name="nano",engine="0"}}') == want[key])
    for family in ("feitian_time_to_first_token_seconds", "feitian_model_request_duration_seconds",
                   "feitian_queue_time_seconds", "feitian_prefill_time_seconds"):
        expect(f"{family} was observed for each", s.get(f'{family}_count{{model="nano"}}')
               == want["ok"], s.get(f'{family}_count{{model="nano"}}'))
    of = 'endpoint="nano",target="nano"'
    expect("each version counts its calls, for canaries",
           s.get(f'feitian_endpoint_target_requests_total{{{of},status="ok"}}') == want["ok"] ==
           s.get(f'feitian_endpoint_target_request_duration_seconds_count{{{of}}}') and
           s.get(f'feitian_endpoint_target_time_to_first_token_seconds_sum{{{of}}}', 0) > 0,
           [k for k in s.items() if k[0].startswith("feitian_endpoint_target")])
    gaps = s.get('feitian_inter_token_latency_seconds_count{model="nano"}', 0)
    expect("gaps between tokens", 0 < gaps <= want["completion"], (gaps, want))
    theirs = {k: v for k, v in s.items() if k.startswith("vllm:e2e") and "_bucket" in k}
    expect("vLLM's buckets", len(theirs) == 22 and max(theirs.values()) == want["ok"], theirs)
    cost = sum(v for k, v in s.items() if k.startswith("feitian_cost_total"))
    expect("calls cost something", cost > 0)
    ready = s.get('feitian_endpoint_replicas_ready{model="nano",endpoint="nano"}')
    expect("one replica", ready == 1, ready)
    for name in ("feitian_control_connected", "feitian_store_open", "feitian_build_info",
                 'feitian_workers{state="ready"}'):
        expect(f"{name} is 1", 1 in [v for k, v in s.items() if k.startswith(name)])
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total",
                 "feitian_control_resident_memory_bytes", "feitian_disk_free_bytes",
                 "feitian_worker_resident_memory_bytes",
                 "feitian_machine_memory_available_bytes"):
        expect(f"{name} is more than 0", any(v > 0 for k, v in s.items() if k.startswith(name)))
    # workers tell of themselves every few seconds
    kv = 'feitian_worker_kv_bytes{worker="worker-0"}'
    wait_until(lambda: samples(scrape(c)[2]).get(kv, 0) > 0, 30, "KV is in use")
    missing = [n for n in VLLM if n not in names_of(text)]
    expect("all that vLLM's dashboards ask for", not missing, missing)


def formats(c):
    from prometheus_client.openmetrics import parser as openmetrics
    from prometheus_client import parser as plain
    status, kind, _ = scrape(c)
    expect("text is the rule", status == 200 and kind == "text/plain; version=0.0.4; charset=utf-8",
           (status, kind))
    text = whole(c)
    lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True)
    # vLLM chose names with a colon, which promtool keeps for recording rules
    words = [w for w in (lint.stdout + lint.stderr).splitlines()
             if not re.fullmatch(r"vllm:\S+ metric names should not contain ':'", w)]
    expect("promtool has nothing else to say", not words, words)
    ours = whole(c, path="/metrics?vllm=0")
    lint = subprocess.run(["promtool", "check", "metrics"], input=ours, capture_output=True,
                          text=True)
    expect("promtool check metrics: of our own names nothing", lint.returncode == 0 and
           "vllm:" not in ours and "feitian_batches" in ours, lint.stdout + lint.stderr)
    status, kind, _ = scrape(c, OPEN)
    expect("OpenMetrics is given to who asks", status == 200 and
           kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", (status, kind))
    wide = whole(c, OPEN)
    expect("it ends as it must", wide.endswith("\n# EOF\n") and "# EOF" not in text)
    one = {(s.name, tuple(sorted(s.labels.items()))) for f in
           plain.text_string_to_metric_families(text) for s in f.samples}
    two = {(s.name, tuple(sorted(s.labels.items()))) for f in
           openmetrics.text_string_to_metric_families(wide) for s in f.samples}
    expect("both have the same series", one == two, one ^ two)
    inside, seen = scrape_inside(c)
    expect("processes of the cloud see it", inside == 200 and "feitian_http_requests_total" in seen)


def access(c):
    away = {"X_Forwarded_For": "192.0.2.1"}
    expect("this machine needs no key", scrape(c)[0] == 200)
    expect("who comes by a proxy needs one", scrape(c, **away)[0] == 401)
    bearer = {"Authorization": f"Bearer {c.key}"}
    expect("an operator's does", scrape(c, **away, **bearer)[0] == 200)
    made = {}
    for name, body in (("all", {"role": "admin"}),
                       ("scraper", {"role": "viewer", "actions": ["metrics"]})):
        status, made[name] = c.post("/api/v1/keys", {"name": name, **body})
        expect(f"a key is made: {name}", status in (200, 201), made[name])
    of = {k: {"Authorization": f"Bearer {v.get('secret')}"} for k, v in made.items()}
    expect("a project's admin may not look at all others", scrape(c, **away, **of["all"])[0] == 403)
    expect("a key for scraping does", scrape(c, **away, **of["scraper"])[0] == 200)
    h = c.connect(120)
    h.request("GET", "/v1/models", headers=of["scraper"])
    expect("and nothing else", h.getresponse().status == 403)
    h.close()
    h = c.connect(120)
    h.request("POST", "/api/v1/keys", json.dumps({"name": "x", "actions": ["metrics"]}),
              {**of["all"], "Content-Type": "application/json"})
    expect("operators alone give that right", h.getresponse().status == 403)
    h.close()


def bounded(c):
    h = c.connect(120)

    def ask(method, path, body=None):
        h.request(method, path, body, c.headers() if body else {})
        h.getresponse().read()

    def storm(n):
        for i in range(n):
            ask("POST", "/v1/chat/completions", json.dumps({**CHAT, "model": f"none-{i}"}))
            ask("GET", f"/bucket-{i}/key")
            ask("GET", f"/v1/route-{i}")
            h.request(f"M{i}", "/v1/models")
            h.getresponse().read()
    storm(1)
    before = len(samples(whole(c)))
    storm(250)
    after = len(samples(whole(c)))
    expect("1000 names that are none add no series", before == after, (before, after))
    h.close()


def survives(c):
    """A worker's death: counters only rise, and say so."""
    before = samples(whole(c))
    c.kill("worker")
    # what is one process's begins again with it, as counters may
    counts = {k for k in before if re.match(r"\S+_(total|bucket|count|sum)\{", k)
              and not k.startswith(("feitian_worker_cpu", "feitian_worker_model"))}

    def again():
        return c.post("/v1/chat/completions", {**CHAT, "max_tokens": 4})[0] == 200
    wait_until(again, 60, "a worker is there again")
    after = samples(whole(c))
    fell = [k for k in counts if after.get(k, -1) < before[k]]
    expect("no counter falls when a worker dies", not fell, fell)
    deaths = [sum(v for k, v in s.items() if k.startswith("feitian_worker_deaths_total"))
              for s in (before, after)]
    expect("its death is counted", deaths[1] == deaths[0] + 1, deaths)
    expect("and another's start", after["feitian_worker_starts_total"] ==
           before["feitian_worker_starts_total"] + 1)


def alone(c):
    """Without control there is all but control's."""
    whole(c)
    pids = c.pids("control")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)  # it takes connections, and does not answer
    status, _, text = scrape(c)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    expect("without control the gateway shows its own", status == 200 and
           "feitian_model_requests_total{" in text and OF_CONTROL not in text, status)
    c.kill("control")
    expect("and when it is dead", scrape(c)[0] == 200)
    whole(c)  # control is there again, and its figures


class Relay(http.server.BaseHTTPRequestHandler):
    """As an old Prometheus asks: for text."""
    cloud = None

    def do_GET(self):
        status, kind, text = scrape(self.cloud, "text/plain;version=0.0.4")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


class Prometheus:
    def __init__(self, c, source):
        self.port = live_cloud.cloud.free_port()
        self.relay = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay)
        Relay.cloud = c
        threading.Thread(target=self.relay.serve_forever, daemon=True).start()
        folder = f"{c.folder}/prometheus"
        os.mkdir(folder)
        shutil.copy(f"{source}/deploy/prometheus/alerts.yml", folder)
        jobs = "".join(
            f"  - job_name: {job}\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
            for job, port in (("feitian", c.port), ("text", self.relay.server_port)))
        with open(f"{folder}/prometheus.yml", "w", encoding="utf-8") as f:
            f.write("global: {scrape_interval: 2s, evaluation_interval: 2s}\n"
                    f"rule_files: [alerts.yml]\nscrape_configs:\n{jobs}")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder}/prometheus.yml",
             f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{self.port}",
             "--log.level=error"])

    def get(self, path, **query):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as r:
                return json.load(r)["data"]
        except urllib.error.HTTPError as e:
            return {"error": e.read().decode()}
        except OSError:
            return {}

    def value(self, query):
        """Of a query with one result, or None."""
        found = self.get("query", query=query).get("result") or []
        return float(found[0]["value"][1]) if len(found) == 1 else None

    def tells(self, query, want):
        wait_until(lambda: self.value(query) == want, 30, f"{query} is {want}")
        expect(f"{query} is {want}", True)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=120)
        self.relay.shutdown()


def expressions(source):
    """Of the dashboard and the rules: [(where, query)]."""
    with open(f"{source}/deploy/grafana/feitian.json", encoding="utf-8") as f:
        board = json.load(f)
    found = [(f"panel '{p['title']}'", t["expr"]) for p in board["panels"]
             for t in p.get("targets", [])]
    found += [(f"variable {v['name']}", v["query"]["query"]) for v in board["templating"]["list"]
              if v["type"] == "query"]
    with open(f"{source}/deploy/prometheus/alerts.yml", encoding="utf-8") as f:
        found += [("alerts.yml", e) for e in re.findall(r"^ +expr: (.+)$", f.read(), re.M)]
    return found


def as_query(expr):
    """Without what Grafana fills in."""
    expr = re.sub(r"label_values\((.+), *\w+\)", r"\1", expr)
    for name, value in (("$__rate_interval", "1m"), ("$__range", "1h"), ("$model", ".*"),
                        ("$project", ".*")):
        expr = expr.replace(name, value)
    return expr


def boards(c, prometheus, source):
    names = names_of(whole(c))
    for where, expr in expressions(source):
        asked = set(re.findall(r"\b(?:feitian_|process_|vllm:)\w+", expr))
        expect(f"{where}: its metrics are there", asked <= names and
               (asked or "up{" in expr), asked - names)
        answer = prometheus.get("query", query=as_query(expr))
        expect(f"{where}: Prometheus understands it", "result" in answer, (as_query(expr), answer))
    with open(f"{source}/docs/monitoring.md", encoding="utf-8") as f:
        described = set(re.findall(r"`([\w:]+)[`{]", f.read()))
    families = {f for f in re.findall(r"^# TYPE (\S+)", whole(c), re.M)}
    expect("docs/monitoring.md has all of them", families <= described, families - described)
    told = {d for d in described if re.match(r"feitian_|process_|vllm:", d)}
    expect("and none that there is not", told <= families, told - families)
    with open(f"{source}/deploy/grafana/feitian.json", encoding="utf-8") as f:
        board = json.load(f)
    ids = [p["id"] for p in board["panels"]]
    expect("panels have ids of their own", len(set(ids)) == len(ids))
    wrong = [p["title"] for p in board["panels"] if p["type"] != "row" and
             p["datasource"]["uid"] != "${datasource}"]
    expect("all ask the data source that is chosen", not wrong, wrong)
    places = set()
    for p in board["panels"]:
        g = p["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"])
                 for y in range(g["y"], g["y"] + g["h"])}
        expect(f"panel '{p['title']}' has a place of its own", not cells & places and
               g["x"] + g["w"] <= 24)
        places |= cells
    for check, file in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        r = subprocess.run(["promtool", "check", check, f"{source}/deploy/prometheus/{file}"],
                           capture_output=True, text=True)
        expect(f"promtool check {check}", r.returncode == 0, r.stdout + r.stderr)
    r = subprocess.run(["promtool", "test", "rules",
                        f"{source}/tests/integration/metrics_alerts.yml"], capture_output=True,
                       text=True)
    expect("the rules fire when they should", r.returncode == 0, r.stdout + r.stderr)


def scraped(c, prometheus):
    at = samples(scrape(c)[2])
    calls = sum(v for k, v in at.items() if k.startswith("feitian_model_requests_total"))
    for job in ("feitian", "text"):
        query = f'sum(feitian_model_requests_total{{job="{job}"}})'
        # what is slow to answer is down for a while, and so are its series
        prometheus.tells(query, calls)
        prometheus.tells(f'up{{job="{job}"}}', 1)
        for name in ("feitian_prompt_tokens_total", "vllm:generation_tokens_total",
                     "feitian_model_request_duration_seconds_count"):
            want = sum(v for k, v in at.items() if k.startswith(name + "{"))
            prometheus.tells(f'sum({name}{{job="{job}"}})', want)
        median = ('histogram_quantile(0.5, sum by (le) '
                  f'(feitian_model_request_duration_seconds_bucket{{job="{job}"}}))')
        seen = wait_until(lambda: prometheus.value(median), 30, f"{job}: a median")
        expect(f"{job}: a median", 0 < seen < 1000, seen)
    wait_until(lambda: (targets := prometheus.get("targets").get("activeTargets")) and
               not any(t["lastError"] for t in targets), 30, "nothing goes wrong in scraping")
    kinds = prometheus.get("metadata", metric="feitian_time_to_first_token_seconds")
    expect("types came along", kinds["feitian_time_to_first_token_seconds"][0]["type"] ==
           "histogram", kinds)


def main():
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        print("SKIP: there is no prometheus")
        sys.exit(77)
    feitian, source = sys.argv[1:3]
    with live_cloud.LiveCloud(feitian) as c:
        figures(c, called(c))
        prometheus = Prometheus(c, source)
        try:
            formats(c)
            access(c)
            bounded(c)
            survives(c)
            alone(c)
            scraped(c, prometheus)
            boards(c, prometheus, source)
        finally:
            prometheus.close()
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed != 0)


main()
