#!/usr/bin/python3
"""Requests one by one on a real cloud: each cause of slowness and refusal is provoked and must be
explained; who sees what; what was said in them is nowhere unless a project asks for it; the bundle
for support holds no secret.

usage: requests_seen.py FEITIAN
"""
import contextlib
import glob
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.parse

import jsonschema

import live_cloud
from live_cloud import send_signal, wait_until
from worker_client import UnixConnection

CHAT = "/v1/chat/completions"
MARKER = "quetzalcoatlus-7719"


def ask(text="Tell me a story.", **more):
    return dict({"model": "nano", "max_tokens": 16,
                 "messages": [{"role": "user", "content": text}]}, **more)


def send(c, body, key=None, path=CHAT, method="POST", **headers):
    """(status, x-request-id, JSON)"""
    h = c.connect(120)
    head = dict(c.headers(), **headers)
    if key is not None:
        head["Authorization"] = f"Bearer {key}"
    text = body if isinstance(body, (str, bytes)) or body is None else json.dumps(body)
    h.request(method, path, text, head)
    r = h.getresponse()
    text = r.read()
    return r.status, r.getheader("x-request-id"), json.loads(text) if text[:1] == b"{" else text


def explained(c, request, key=None):
    """{code: entry}, the whole"""
    status, _, r = send(c, None, key, f"/api/v1/requests/{request}", "GET")
    assert status == 200, r
    return {e["code"]: e for e in r["explanation"]}, r


def codes(c, request, key=None):
    return set(explained(c, request, key)[0])


# ---- causes ----

def a_cold_start(c):
    c.cold = send(c, ask())[1]  # looked at again when it was delivered
    found, r = explained(c, c.cold)
    assert {"done", "cold_start"} <= set(found), r
    assert found["cold_start"]["ms"] > 1
    phases = [p["phase"] for p in r["timeline"]]
    assert phases.index("start") < phases.index("load") < phases.index("prefill"), phases
    assert phases.index("prefill") < phases.index("decode"), phases
    for a, b in zip(r["timeline"], r["timeline"][1:]):
        assert a["at_ms"] <= b["at_ms"], r["timeline"]
    whole = sum(p["ms"] for p in r["timeline"])
    assert whole <= r["duration_ms"] + 1, r


def a_long_prompt(c):
    text = " ".join(f"word{i}" for i in range(120))
    _, request, answer = send(c, ask(text, max_tokens=2))
    assert answer["usage"]["prompt_tokens"] > 300, answer
    found, _ = explained(c, request)
    v = found["prefill"]["values"]
    assert v["prompt_tokens"] == answer["usage"]["prompt_tokens"] and v["tokens_per_s"] > 0
    _, again, _ = send(c, ask(text, max_tokens=2))
    v = explained(c, again)[0]["prefill"]["values"]
    assert v["cached_tokens"] > 100, v  # what the cache saved


def refusals(c):
    _, request, _ = send(c, ask(model="nix"))
    assert "model_unknown" in codes(c, request)
    _, request, _ = send(c, ask(), key="sk-ft-" + "x" * 43)
    assert "key" in codes(c, request)
    _, request, _ = send(c, "{" + f'"messages": {MARKER}')
    found, r = explained(c, request)
    assert "bad_request" in found and MARKER not in json.dumps(r), r
    _, request, _ = send(c, ask(" ".join(f"w{i}" for i in range(6000))))
    found, r = explained(c, request)
    assert "context_too_long" in found, r


def what_is_quoted_is_left_out(c):
    """Of every refusal, whatever its status; another's server may quote without quotes."""
    def refused(status, **body):
        got, request, _ = send(c, ask(f"Say {MARKER}.", **body))
        r = explained(c, request)[1]
        assert got == status and MARKER not in json.dumps(r), (got, r)
        return r
    assert refused(404, model=MARKER)["error"]["message"].count("'") == 2
    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # pylint: disable=invalid-name
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = json.dumps({"error": {"message": f"no good: {asked['messages']}"}}).encode()
            self.send_response(int(asked["model"]))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as s:
        threading.Thread(target=s.serve_forever, daemon=True).start()
        for status in (400, 404, 413, 500):
            target = {"url": f"http://127.0.0.1:{s.server_port}", "model": str(status)}
            far = {"name": f"far{status}", "targets": [target]}
            assert c.post("/api/v1/endpoints", far)[0] < 300
            r = refused({413: 400, 500: 503}.get(status, status), model=f"far{status}")
            assert r["error"]["code"], r
        s.shutdown()
    with open(f"{c.folder}/up.log", encoding="utf-8") as f:
        log = f.read()
    assert "far500" in log and MARKER not in log  # nor does the log have what a failing one said


def lists_take_nothing_from_others(c):
    """While control does not answer, lists wait for it, and nothing else does."""
    pid = c.pids("control")[0]
    statuses = []
    os.kill(pid, signal.SIGSTOP)
    try:
        waiting = [c.connect(60) for _ in range(420)]  # more than a project may have lanes
        for h in waiting:
            h.request("GET", "/api/v1/requests?limit=1", headers=c.headers())
        assert c.get("/api/v1/storage")[0] == 200
        assert c.get("/metrics")[0] == 200
        statuses = [h.getresponse().status for h in waiting]
        for h in waiting:
            h.close()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert set(statuses) <= {200, 503} and 200 in statuses, set(statuses)
    wait_until(lambda: c.get("/api/v1/me")[0] == 200, 30, "control goes on")


def which_version(c):
    """Of a canary: the one that the request was given to, also where it failed."""
    again = f"{c.url}/v1"  # the cloud itself, as another's server
    targets = [{"model": "nano"}, {"url": again, "key": c.key, "model": "nano"}]
    made = {"name": "canary", "targets": targets, "replicas": {"min": 1, "max": 1}}
    assert c.post("/api/v1/endpoints", made)[0] < 300
    seen = set()
    def both():
        _, request, _ = send(c, ask(model="canary", max_tokens=2))
        found, r = explained(c, request)
        assert r["target"] in found["target"]["text"] and "canary" in found["target"]["text"], r
        seen.add(r["target"])
        return seen == {"nano", f"nano + {again}"}
    wait_until(both, 60, "requests of both versions")
    body = {"targets": [{"url": "http://127.0.0.1:1", "model": "gone"}]}
    assert c.request("PATCH", "/api/v1/endpoints/canary", body)[0] == 200
    status, request, _ = send(c, ask(model="canary"))
    found, r = explained(c, request)
    assert status == 503 and r["target"] == "gone + http://127.0.0.1:1", r
    assert r["error"]["message"] == "the server behind 'canary' does not answer", r
    assert "or before it was tried again" in found["queue"]["text"], found
    _, request, _ = send(c, ask(max_tokens=2))
    found, r = explained(c, request)
    assert r["target"] == "nano" and "target" not in found, r  # it says no more than its model
    wait_until(lambda: [x for x in c.get("/api/v1/usage/records?limit=20")[1]["data"]
                        if x["id"] == request and x["target"] == "nano"], 20, "it is in the ledger")
    assert c.run("endpoint", "rm", "canary").returncode == 0


def no_moment_without_it(c):
    """From the beginning to the record: whoever looks finds it, running or ended."""
    done, missed = threading.Event(), []
    def look():
        while not done.is_set():
            before = known
            page = c.get("/api/v1/requests?limit=1000&model=nano")[1]["data"]
            missed.extend(before - {r["id"] for r in page})
    known = set()
    looks = [threading.Thread(target=look) for _ in range(2)]
    for t in looks:
        t.start()
    for _ in range(40):
        events = c.stream(CHAT, ask(max_tokens=2))
        known = known | {"req_" + next(events)["id"].removeprefix("chatcmpl-")}
        list(events)
    done.set()
    for t in looks:
        t.join()
    assert not missed, missed


def what_pages_ask_for(c):
    """Of a session, again and again: recorded, but in no list unless it is asked for."""
    h = c.connect(30)
    h.request("POST", "/api/v1/session", json.dumps({"key": c.key}),
              {"Content-Type": "application/json", "X-Feitian-Console": "1"})
    r = h.getresponse()
    r.read()
    cookie = {"Cookie": r.getheader("Set-Cookie").split(";")[0]}
    asked = []
    for path in ("/v1/fine_tuning/jobs", "/v1/files", "/v1/fine_tuning/jobs/none"):
        h.request("GET", path, headers=cookie)
        r = h.getresponse()
        r.read()
        asked.append(r.getheader("x-request-id"))
    plain = send(c, None, path="/v1/fine_tuning/jobs", method="GET")[1]
    c.run("mb", "s3://seen")
    note = f"{c.folder}/note.txt"
    with open(note, "w", encoding="utf-8") as f:
        f.write("x")
    assert c.run("cp", note, "s3://seen/note.txt").returncode == 0
    assert c.run("hub", "push", note, "seen").returncode == 0
    name = json.loads(c.run("files", "put", note, "--json").stdout)[0]["id"]
    taken = []
    for path, head in (("/seen/note.txt", {"X-Feitian-S3": "1"}),
                       (f"/v1/files/{name}/content", {}),
                       ("/default/seen/resolve/main/note.txt", {})):
        h.request("GET", path, headers=dict(cookie, **head))
        r = h.getresponse()
        assert (r.status, r.read()) == (200, b"x"), (path, r.status)
        taken.append(r.getheader("x-request-id") or "s3.GetObject")  # which has ids of its own

    def listed(more=""):
        page = c.get(f"/api/v1/requests?limit=200&{more}")[1]
        return {x[name] for x in page["data"] for name in ("id", "route")}
    wait_until(lambda: set(asked + [plain] + taken) <= listed("pages=true"), 20,
               "all of them are shown")
    assert set(taken) <= listed()  # nobody's page takes content again and again
    assert listed() & set(asked + [plain]) == {asked[2], plain}  # what failed is worth a look
    wait_until(lambda: {x["id"] for x in c.get("/api/v1/usage/records?limit=200")[1]["data"]
                        if x["page"]} == set(asked[:2]), 20, "the ledger says so, too")
    assert asked[0] in c.run("explain", "--all", "--limit", "200").stdout
    assert asked[0] not in c.run("explain", "--limit", "200").stdout


def limits(c):
    """Which limit, of whom, and when again."""
    def key(**body):
        return c.post("/api/v1/keys", dict({"name": "k", "role": "developer"}, **body))[1]["secret"]
    slow = key(limits={"rpm": 1})
    assert send(c, ask(), slow)[0] == 200
    status, request, _ = send(c, ask(), slow)
    found, r = explained(c, request)
    assert status == 429 and "rate_limit" in found, r
    text = found["rate_limit"]["text"]
    assert "key" in text and "RPM" in text and "Limit 1" in text and "try again in" in text, text
    c.post("/api/v1/prices", {"model": "nano", "input": "1", "output": "1"})
    poor = key(budget={"day": "0.000000001"})
    send(c, ask(), poor)
    status, request, _ = send(c, ask(), poor)
    assert status == 429 and "budget" in codes(c, request), explained(c, request)


def a_full_queue(c):
    """Of a project whose queue holds one: with every place taken, a second one is turned away."""
    c.post("/api/v1/projects", {"name": "narrow", "limits": {"queue": 1}})
    secret = c.post("/api/v1/keys", {"name": "n", "project": "narrow", "role": "developer"})[1][
        "secret"]
    assert send(c, ask(), secret)[0] == 200
    seen = []

    def one():
        seen.append(send(c, ask(max_tokens=60, ignore_eos=True), secret)[:2])
    threads = [threading.Thread(target=one) for _ in range(90)]
    workers = c.pids("worker")
    for pid in workers:  # no place is free again before all are taken
        send_signal(pid, signal.SIGSTOP)
    for t in threads:
        t.start()
    wait_until(lambda: any(s == 503 for s, _ in seen) or len(seen) == len(threads), 60,
               "one too many")
    for pid in workers:
        send_signal(pid, signal.SIGCONT)
    for t in threads:
        t.join()
    refused = [r for s, r in seen if s == 503]
    assert refused, sorted(s for s, _ in seen)
    found, r = explained(c, refused[0])
    assert "queue_full" in found, r
    served = [explained(c, r)[0] for s, r in seen if s == 200]
    assert any("values" in e.get("decode", {}) and e["decode"]["values"].get("shared_with", 0) > 1
               for e in served), "none says that it shared its steps"


def a_worker_dies(c):
    for _ in range(20):  # until one is caught in the middle
        events = c.stream(CHAT, ask("Tell me everything.", max_tokens=900, ignore_eos=True))
        first = next(events)
        c.kill("worker")
        assert list(events)[-1] == "[DONE]"
        c.died = "req_" + first["id"].removeprefix("chatcmpl-")
        found, r = explained(c, c.died)
        if "failover" in found:
            break
    assert found["failover"]["values"]["failovers"] >= 1, r  # a dying one may be asked twice
    assert "failover" in [p["phase"] for p in r["timeline"]], r


def a_slow_client(c):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.settimeout(60)
    s.connect(("127.0.0.1", c.port))
    body = json.dumps(ask("Write on.", max_tokens=900, ignore_eos=True, stream=True, n=6,
                          logprobs=True, top_logprobs=20))  # megabytes
    head = (f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {c.key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n")
    s.sendall((head + body).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        got = s.recv(1024)
        assert got, head
        head += got
    request = head.lower().split(b"x-request-id: ")[1][:28].decode()
    request = next(r["id"] for r in c.get("/api/v1/requests?status=running")[1]["data"]
                   if r["id"].lower() == request)

    looks = []

    def stands():
        """Has the worker nothing else to do for a second? Then all that lies between is full."""
        h = UnixConnection(f"{c.home}/run/worker-0.sock", 60)
        h.request("GET", "/health")
        now = json.loads(h.getresponse().read())
        h.close()
        looks.append(now["paused"] > 0 and now["running"] == 0)
        time.sleep(0.2)
        return len(looks) > 5 and all(looks[-6:])
    wait_until(stands, 60, "the worker waits for it")
    assert c.get(f"/api/v1/requests/{request}")[1]["status"] == "running"
    s.settimeout(0.5)
    try:
        while s.recv(1 << 16):
            pass
    except TimeoutError:
        pass
    s.close()
    wait_until(lambda: c.get(f"/api/v1/requests/{request}")[1]["status"] != "running", 60,
               "its end")
    found, r = explained(c, request)
    assert "client_slow" in found and found["client_slow"]["ms"] > 100, r
    assert "paused" in [p["phase"] for p in r["timeline"]], r


def a_client_leaves(c):
    events = c.stream(CHAT, ask("Write on.", max_tokens=2000, ignore_eos=True))
    request = "req_" + next(events)["id"].removeprefix("chatcmpl-")
    events.close()
    wait_until(lambda: c.get(f"/api/v1/requests/{request}")[1]["status"] == "cancelled", 20,
               "it was cancelled")
    assert "cancelled" in codes(c, request)


# ---- lists ----

def lists(c):
    now = int(time.time()) - 1  # what ended before is in whatever is asked for from here on
    page = c.get("/api/v1/requests?limit=1000")[1]
    ids = [r["id"] for r in page["data"]]
    assert len(ids) == len(set(ids)) and not page["partial"]
    ends = [r["end"] for r in page["data"] if r["end"] is not None]
    assert ends == sorted(ends, reverse=True)
    walked, after = [], ""
    while True:
        p = c.get(f"/api/v1/requests?limit=7&to={now}{after}")[1]
        walked += [r["id"] for r in p["data"]]
        if not p["has_more"]:
            assert p["next"] is None
            break
        assert p["next"] == walked[-1]
        after = f"&after={p['next']}"
    assert len(walked) == len(set(walked)), "a page overlaps another"
    known = [r["id"] for r in page["data"] if r["end"] is not None and r["end"] < now]
    assert walked == known, (len(walked), len(known))
    for query, holds in (("status=refused", lambda r: r["status"] == "refused"),
                         ("status=429", lambda r: r["http"] == 429),
                         ("min_ms=50", lambda r: r["duration_ms"] >= 50),
                         ("route=!chat.completions", lambda r: r["route"] != "chat.completions"),
                         ("route=chat.completions&model=nano", lambda r: r["model"] == "nano"),
                         ("project=narrow", lambda r: r["project"] == "narrow")):
        found = c.get(f"/api/v1/requests?limit=1000&{query}")[1]["data"]
        assert found and all(map(holds, found)), query


def the_document_holds(c):
    doc = c.get("/api/v1/openapi.json")[1]

    def check(name, answer):
        schema = {"$ref": f"#/components/schemas/{name}", "components": doc["components"]}
        jsonschema.Draft202012Validator(schema).validate(answer)
    page = c.get("/api/v1/requests?limit=200")[1]
    check("Requests", page)
    for r in page["data"]:
        one = c.get(f"/api/v1/requests/{r['id']}")[1]
        check("Request", one)
        assert one["explanation"], one
    c.settle()
    for r in c.get("/api/v1/usage/records?limit=200")[1]["data"]:
        check("UsageRecord", r)
    operation = doc["paths"]["/api/v1/requests"]["get"]
    for p in operation["parameters"]:
        bad = "" if p["schema"]["type"] == "string" else "x"
        status, answer = c.get(f"/api/v1/requests?{p['name']}={bad}")
        assert status == 400 and answer["error"]["param"] == p["name"], (p, answer)
    assert c.get("/api/v1/requests?nothing=1")[1]["error"]["param"] == "nothing"


def who_sees_what(c):
    """A project its own; strangers' are the operators'."""
    viewer = {"name": "v", "project": "narrow", "role": "viewer"}
    secret = c.post("/api/v1/keys", viewer)[1]["secret"]
    status, _, page = send(c, None, secret, "/api/v1/requests?limit=1000", "GET")
    assert status == 200 and page["data"] and all(r["project"] == "narrow" for r in page["data"])
    assert send(c, None, secret, f"/api/v1/requests/{c.cold}", "GET")[0] == 404
    assert send(c, None, secret, "/api/v1/requests?project=default", "GET")[0] == 404
    assert send(c, None, "none", "/api/v1/requests", "GET")[0] == 401
    assert [r for r in c.get("/api/v1/requests?status=401&limit=100")[1]["data"] if r["key"] == ""]


def a_restart_forgets_nothing(c):
    refused = [r["id"] for r in c.get("/api/v1/requests?status=refused&limit=20")[1]["data"]
               if r["key"] != ""]  # those of unknown keys are in memory alone
    assert len(refused) > 5

    def are_written():
        with open(f"{c.home}/requests.ndjson", "rb") as f:
            text = f.read()
        return all(r.encode() in text for r in (c.died, *refused))  # slow, failed or refused
    wait_until(are_written, 20, "they are on the disk")
    c.settle()
    with open(f"{c.home}/requests.ndjson", "ab") as f:  # what a torn write leaves does no harm
        f.write(b'{"id":"req_half","proj\n\x00\xff\n[]\n{"moments":[[99,0,0],7]}\n')
    c.kill("gateway")
    wait_until(c.is_ready, 30, "the gateway is back")
    for request in refused:
        status, _, r = send(c, None, None, f"/api/v1/requests/{request}", "GET")
        assert status == 200 and r["status"] == "refused", (request, r)
    assert "cold_start" in codes(c, c.cold)  # of the store
    died = [p for p in explained(c, c.died)[1]["timeline"] if p["phase"] == "failover"]
    assert "worker 0 failed" in died[0]["detail"], died  # slow ones keep their exact course


def the_snapshot_is_bounded(c):
    """A key that is changed again and again does not make what the gateway keeps grow with it."""
    key = c.post("/api/v1/keys", {"name": "changes", "role": "developer"})[1]["id"]
    before = os.path.getsize(f"{c.home}/snapshot")
    sizes = []
    for i in range(80):  # 8 KB each
        models = [f"{i:03}-{k:02}-" + "m" * 120 for k in range(64)]
        assert c.request("PATCH", f"/api/v1/keys/{key}", {"models": models})[0] == 200
        sizes.append(os.path.getsize(f"{c.home}/snapshot"))
    assert max(sizes) > before + (200 << 10), "it was not appended to"
    wait_until(lambda: os.path.getsize(f"{c.home}/snapshot") < before + (400 << 10), 10,
               "it is written anew")
    assert max(sizes) < before + (400 << 10), max(sizes)
    c.kill("gateway")
    wait_until(c.is_ready, 30, "the gateway is back")
    assert c.get(f"/api/v1/keys/{key}")[1]["models"][0].startswith("079-")


def without_control(c):
    pid = c.pids("control")[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        _, request, _ = send(c, ask())
        assert "done" in codes(c, request)
        page = c.get("/api/v1/requests?limit=5")[1]
        assert page["partial"] and page["data"], page
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: c.get("/api/v1/me")[0] == 200, 30, "control goes on")


# ---- what was said ----

def texts_under(folder):
    for path in glob.glob(f"{folder}/**", recursive=True):
        if os.path.isfile(path):
            with contextlib.suppress(FileNotFoundError):  # a moment ago it was there
                with open(path, "rb") as f:
                    yield path, f.read()


def nothing_is_kept(c):
    send(c, ask(f"Remember {MARKER}."))
    send(c, ask(f"Remember {MARKER}.", response_format={"type": MARKER}))
    send(c, ask(f"Remember {MARKER}.", model=f"{MARKER}'s"))
    list(c.stream(CHAT, ask(f"Remember {MARKER}.")))
    send(c, {"model": "nano", "prompt": MARKER, "max_tokens": 4}, path="/v1/completions")
    _, served, _ = send(c, {"model": "nano", "input": MARKER, "store": False}, path="/v1/responses")
    _, refused, _ = send(c, ask(f"Remember {MARKER}.", model=MARKER))

    def are_written():  # the last of each kind, in every place where records go
        usage = c.get("/api/v1/usage/records?limit=50")[1]["data"]
        with open(f"{c.home}/requests.ndjson", "rb") as f:
            return refused.encode() in f.read() and {served, refused} <= {r["id"] for r in usage}
    wait_until(are_written, 20, "all of them are written down")
    for path, data in texts_under(c.folder):
        assert MARKER.encode() not in data, path


def a_project_may_keep_it(c):
    assert c.run("project", "set", "narrow", "--log-prompts", "on").returncode == 0
    admin, developer = (c.post("/api/v1/keys", {"name": r, "project": "narrow", "role": r})[1]
                        ["secret"] for r in ("admin", "developer"))
    _, request, answer = send(c, ask(f"Keep {MARKER}."), developer)
    kept = wait_until(lambda: send(c, None, admin, f"/api/v1/requests/{request}", "GET")[2]
                      .get("prompt"), 10, "the prompt is kept")
    assert kept["messages"][0]["content"] == f"Keep {MARKER}."
    r = send(c, None, admin, f"/api/v1/requests/{request}", "GET")[2]
    assert r["answer"] == answer["choices"][0]["message"]["content"] and not r["cut"]
    for key in (developer,):
        assert "prompt" not in send(c, None, key, f"/api/v1/requests/{request}", "GET")[2]
    _, request, _ = send(c, ask("x" * 200000), developer)
    r = wait_until(lambda: (lambda x: x if "prompt" in x else None)(
        send(c, None, admin, f"/api/v1/requests/{request}", "GET")[2]), 10, "a long one is kept")
    assert r["cut"] and len(json.dumps(r["prompt"])) < 70000
    where = {path for path, data in texts_under(c.home) if MARKER.encode() in data}
    assert where and all("/prompts/narrow/" in p for p in where), where
    assert all(os.stat(p).st_mode & 0o77 == 0 for p in where)
    assert c.run("project", "set", "narrow", "--log-prompts", "off").returncode == 0
    _, request, _ = send(c, ask("Forget it."), developer)
    # prompts are written in order: what another project keeps is there after this would be
    assert c.run("project", "set", "default", "--log-prompts", "on").returncode == 0
    _, later, _ = send(c, ask("Keep this."))
    wait_until(lambda: c.get(f"/api/v1/requests/{later}")[1].get("prompt"), 10, "one more is kept")
    assert c.run("project", "set", "default", "--log-prompts", "off").returncode == 0
    assert "prompt" not in send(c, None, admin, f"/api/v1/requests/{request}", "GET")[2]
    assert c.run("project", "rm", "narrow", "--cascade").returncode == 0
    wait_until(lambda: not glob.glob(f"{c.home}/prompts/narrow*"), 10, "they go with it")


# ---- for people ----

def commands(c):
    r = c.run("explain", c.cold)
    assert r.returncode == 0 and "No replica of the model was running" in r.stdout, r
    assert "start " in r.stdout and "#" in r.stdout
    r = c.run("explain", "--status", "refused")
    assert r.returncode == 0 and "model_not_found" in r.stdout, r
    r = c.run("explain", "--limit", "2", "--json")
    first = json.loads(r.stdout)
    assert len(first["data"]) == 2 and first["next"] == first["data"][1]["id"], first
    r = c.run("explain", "--limit", "2", "--after", first["next"])
    assert r.returncode == 0 and first["next"] not in r.stdout and "--after req_" in r.stdout, r
    assert c.run("explain", "req_none").returncode == 1
    assert "No replica of the model" in c.run("doctor", "--request", c.cold).stdout
    status = c.get("/api/v1/status")[1]
    assert status["requests"]["refused"] > 5 and status["traces"] is None, status


def log_lines(c):
    """One JSON object a line; a request's line names it."""
    with open(f"{c.folder}/up.log", encoding="utf-8") as f:
        lines = [json.loads(line) for line in f.read().splitlines()]
    assert all({"ts", "level", "module", "msg"} <= set(e) for e in lines)
    access = [e for e in lines if e["module"] == "access"]
    one = [e for e in access if e.get("request") == c.cold]
    assert len(one) == 1 and one[0]["status"] == 200 and one[0]["completion_tokens"] > 0, one
    assert [e for e in lines if e["module"] == "serve" and "request" in e], "of a failover"


def bundle(c):
    path = f"{c.folder}/bundle.tar.gz"
    os.environ["OTEL_EXPORTER_OTLP_HEADERS"] = "authorization=collectors-own-secret"
    with open(f"{c.home}/storage.json", "w", encoding="utf-8") as f:
        json.dump({"access_key": "AKIA-of-another", "secret_key": "another-stores-secret"}, f)
    with open(f"{c.home}/logs/worker-9.log", "w", encoding="utf-8") as f:
        f.write(f"it said {c.key} and another-stores-secret\nBearer abcdefgh12345678\n"
                "traces to https://ada:collectors-password@otel.example:4318/v1/traces\n")
    relay = {"host": "mail.example", "from": "cloud@example.org", "user": "u",
             "password": "the-relays-password"}
    assert c.request("PATCH", "/api/v1/settings", {"smtp": relay})[0] == 200
    viewer = c.post("/api/v1/keys", {"name": "looks", "role": "viewer"})[1]["secret"]
    status, _, shown = send(c, None, viewer, "/api/v1/settings", "GET")
    assert status == 200 and shown["currency"] and "mail.example" not in json.dumps(shown), shown
    assert c.get("/api/v1/settings")[1]["smtp"]["host"] == "mail.example"
    r = c.run("support-bundle", path)
    assert r.returncode == 0, r
    secrets = [c.key, "another-stores-secret", "collectors-own-secret", "abcdefgh12345678",
               "the-relays-password", "collectors-password", MARKER]
    with open(f"{c.home}/s3.secret", "rb") as f:
        raw = f.read().strip()
    secrets += [raw, raw.hex()]
    with tarfile.open(path) as t:
        parts = {m.name.split("/", 1)[1]: t.extractfile(m).read() for m in t}
    for name, data in parts.items():
        for s in secrets:
            s = s if isinstance(s, bytes) else s.encode()
            assert s not in data, (name, s)
    for name in ("version.txt", "doctor.txt", "machine.txt", "status.json", "metrics.txt",
                 "schema.txt", "requests_refused.json", "events.json", "logs/worker-9.log"):
        assert parts.get(name), name
    assert b"[secret]" in parts["logs/worker-9.log"]
    assert b"https://[secret]@otel.example:4318/v1/traces" in parts["logs/worker-9.log"]
    assert b"ledger 4" in parts["schema.txt"]
    assert json.loads(parts["requests_refused.json"])["data"]
    assert b"mail.example" in parts["settings.json"]
    os.unlink(f"{c.home}/storage.json")
    again = subprocess.run([c.feitian, "support-bundle", path], env=c.env(), capture_output=True,
                           text=True, check=False)
    assert again.returncode == 1 and "exists" in again.stderr.lower(), again


def bundle_of_a_busy_cloud(c):
    """What went wrong is far behind what did not: every answer but the last looked in vain."""
    asked = {}

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            path, _, query = self.path.partition("?")
            q = dict(urllib.parse.parse_qsl(query))
            answer = {"object": "list", "data": [], "next": None}
            if path == "/api/v1/requests" and q.get("status") != "running":
                name = q.get("status", "slow")
                asked[name] = asked.get(name, 0) + 1
                assert q.get("after") == (f"{name}{asked[name] - 1}" if asked[name] > 1 else None)
                answer["next"] = f"{name}{asked[name]}" if asked[name] < 3 else None
                if asked[name] == 3:
                    answer["data"] = [{"id": f"the-{name}-one"}]
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    path = f"{c.folder}/busy.tar.gz"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        r = c.run("support-bundle", path, FEITIAN_URL=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert r.returncode == 0, r
    with tarfile.open(path) as t:
        parts = {m.name.split("/", 1)[1]: t.extractfile(m).read() for m in t}
    for part, name in (("failed", "error"), ("refused", "refused"), ("slow", "slow")):
        data = json.loads(parts[f"requests_{part}.json"])["data"]
        assert [x["id"] for x in data] == [f"the-{name}-one"], (part, asked, data)


def main():
    with live_cloud.LiveCloud(sys.argv[1], "--log-format", "json", "--log-requests") as c:
        assert c.request("PATCH", "/api/v1/settings", {"slow_request_ms": 100})[0] == 200
        for step in (a_cold_start, a_long_prompt, refusals, what_is_quoted_is_left_out,
                     which_version, no_moment_without_it, what_pages_ask_for, limits,
                     a_full_queue, a_worker_dies, a_slow_client, a_client_leaves, lists,
                     the_document_holds, who_sees_what,
                     a_restart_forgets_nothing, the_snapshot_is_bounded, without_control,
                     lists_take_nothing_from_others, nothing_is_kept, commands,
                     bundle, bundle_of_a_busy_cloud, a_project_may_keep_it, log_lines):
            step(c)
            print(f"ok {step.__name__}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
