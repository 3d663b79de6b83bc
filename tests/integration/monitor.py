#!/usr/bin/python3
"""Curves, events, nodes and alerts of a running cloud.

usage: monitor.py FEITIAN

- series appear and say what was done; viewers see their own and the common ones;
- a project's own endpoint named as a common one is seen by nobody else, in curves and counts;
- a worker is killed: events say so, the count of deaths is exact;
- control is stopped: chats go on, the curve has a gap; everything is killed: what was there stays;
- an alert fires to a webhook (signed) and by mail (STARTTLS, password), and is over;
- quiet times hold notices back, not states; heartbeats come; a restart tells nothing twice;
- receivers that are dead or silent hold up nobody; a notice is tried again until it is taken.
"""
import email.header
import hashlib
import hmac
import os
import signal
import sys
import threading
import time

from live_cloud import LiveCloud, send_signal
from receivers import Mail, Silent, Webhook, certificate, within

STEP = 10


def expect(ok, what):
    if not ok:
        raise AssertionError(what)


class Test:
    def __init__(self, cloud):
        self.cloud = cloud

    def ask(self, method, path, body=None, key=None, want=200):
        was, self.cloud.key = self.cloud.key, key or self.cloud.key
        try:
            status, answer = self.cloud.request(method, path, body)
        finally:
            self.cloud.key = was
        expect(status == want, f"{method} {path}: {status} {answer}")
        return answer

    def chat(self, n=1):
        for _ in range(n):
            self.ask("POST", "/v1/chat/completions",
                     {"model": "nano", "max_tokens": 8,
                      "messages": [{"role": "user", "content": "hi"}]})

    def series(self, query, key=None):
        """{name: values} of the last minutes."""
        now = int(time.time())
        a = self.ask("GET", f"/api/v1/history?from={now - 200}&step={STEP}&{query}", key=key)
        return {s["name"]: s["values"] for s in a["series"]}

    def events(self, query="", key=None):
        return self.ask("GET", f"/api/v1/events?limit=500&{query}", key=key)["data"]

    def kinds(self, query=""):
        return [e["kind"] for e in self.events(query)]

    def alert(self, id_):
        return self.ask("GET", f"/api/v1/alerts/{id_}")

    def last(self, query, name):
        """The newest value of a series, or None."""
        values = [v for v in self.series(query).get(name, []) if v is not None]
        return values[-1] if values else None

    def disk_is_told(self):
        free = os.statvfs(self.cloud.home)  # others write meanwhile
        told = self.last("series=disk_free_bytes", "disk_free_bytes")
        return told and abs(told - free.f_bavail * free.f_frsize) < 2 << 30

    # ---- curves and events ----

    def curves(self):
        self.chat(5)
        self.ask("POST", "/api/v1/projects", {"name": "lab", "budget": {"day": "1000"}}, want=201)
        wanted = {"running", "waiting", "ttft_p50", "latency_p95", "completion_tokens", "cost"}
        shown = within(30, lambda: self.chat() or wanted <= set(s := self.series("endpoint=nano"))
                       and any(s["replicas_ready"]) and any(s["requests"]) and s, "series of nano")
        expect(max(v or 0 for v in shown["replicas_ready"]) == 1, shown["replicas_ready"])
        expect(max(v or 0 for v in shown["requests"]) > 0, shown["requests"])
        cloud = self.series("series=cpu,memory_bytes,disk_free_bytes,workers,requests")
        expect(sorted(cloud) == ["cpu", "disk_free_bytes", "memory_bytes", "requests", "workers"],
               sorted(cloud))
        within(60, self.disk_is_told, "as much of the disk as is free")
        within(20, lambda: self.last("project=lab", "budget_used") == 0, "a budget")
        self.cloud.run("mb", "s3://curves")
        self.cloud.run("cp", "-", "s3://curves/x", stdin="x" * 1000)
        within(40, lambda: self.last("bucket=curves", "stored_bytes") == 1000, "a bucket")
        within(20, lambda: {"requests", "cpu", "budget_used", "worker_memory_bytes"} <= {
            s["name"] for s in self.ask("GET", "/api/v1/history/series")["data"]}, "its series")
        self.ask("GET", "/api/v1/history?step=5", want=400)
        self.ask("GET", "/api/v1/history?from=5&to=3", want=400)
        self.ask("GET", "/api/v1/history?endpoint=a&project=b", want=400)

    def roles(self):
        key = self.ask("POST", "/api/v1/keys", {"project": "lab", "name": "v", "role": "viewer"},
                       want=201)["secret"]
        expect("requests" in self.series("endpoint=nano", key), "the common endpoint is seen")
        expect(list(self.series("", key)) == ["budget_used"], self.series("", key))
        expect(self.series("project=default", key) == {}, "another's project is not seen")
        for s in self.ask("GET", "/api/v1/history/series", key=key)["data"]:
            labels = s["labels"]
            expect(labels.get("endpoint") == "nano" or labels.get("project") == "lab", labels)
        expect(any(e["endpoint"] == "nano" for e in self.events(key=key)),
               "the common one's events")
        expect(all(e["endpoint"] or e["project"] == "lab" for e in self.events(key=key)),
               "events of the cloud are not seen")
        for path in ("nodes", "alerts", "channels"):
            self.ask("GET", f"/api/v1/{path}", key=key, want=403)
        self.ask("POST", "/api/v1/channels", {"kind": "webhook", "name": "x", "url": "http://x"},
                 key=key, want=403)

    def same_name(self):
        """A project's own endpoint that is named as a common one: neither is seen in the other."""
        keys = {}
        for project, role in (("lab", "developer"), ("lab", "viewer"), ("default", "viewer")):
            keys[project, role] = self.ask("POST", "/api/v1/keys", {
                "project": project, "name": role, "role": role}, want=201)["secret"]
        self.ask("POST", "/api/v1/endpoints", {"name": "nano", "project": "lab",
                                               "targets": [{"model": "nano"}]}, want=201)
        said = {"model": "nano", "max_tokens": 2, "messages": [{"role": "user", "content": "x"}]}
        own = "endpoint=nano%40lab&series=requests"

        def seen():
            self.ask("POST", "/v1/chat/completions", said, keys["lab", "developer"])
            return any(self.series(own, keys["lab", "viewer"]).get("requests", []))
        within(30, seen, "its own curve")
        expect(any(self.series(own)["requests"]), "operators see it")
        expect(self.series(own, keys["default", "viewer"]) == {}, "another project does not")
        shown = self.ask("GET", "/metrics")
        expect('{model="nano@lab",project="lab"' in shown, shown)
        expect('{model="nano",project="lab"' not in shown, "nothing of it under the common name")
        self.ask("DELETE", "/api/v1/endpoints/nano@lab")

    def deaths(self):
        expect("worker_ready" in self.kinds("endpoint=nano"), self.kinds())
        self.cloud.kill("worker")
        within(20, lambda: "worker_died" in self.kinds(), "a worker's death")
        within(20, lambda: self.kinds("endpoint=nano").count("worker_ready") >= 2, "and its return")
        within(20, lambda: (self.series("series=worker_deaths").get("worker_deaths") or [0])[-2:]
               and max(v or 0 for v in self.series("series=worker_deaths")["worker_deaths"]) == 1,
               "one death is counted")
        for e in self.events():
            expect("hi" not in e["text"].split(), f"no text of prompts: {e}")
        self.ask("GET", "/api/v1/events?limit=0", want=400)
        self.ask("GET", "/api/v1/events?before=x", want=400)
        page = self.ask("GET", "/api/v1/events?limit=1")
        older = self.ask("GET", f"/api/v1/events?limit=1&before={page['data'][0]['id']}")
        expect(page["has_more"] and older["data"][0]["id"] != page["data"][0]["id"], "pages")

    def nodes(self):
        node, = self.ask("GET", "/api/v1/nodes")["data"]
        expect(node["cpu"]["cores"] == os.cpu_count(), node["cpu"])
        expect(node["memory"]["total"] > node["memory"]["available"] > 0, node["memory"])
        expect(node["disks"][0]["path"] == self.cloud.home, node["disks"])
        expect([w["id"] for w in node["workers"]] == ["worker-0"], node["workers"])
        checks = {c["name"] for c in node["checks"]}
        expect({"processor", "memory", "disk", "home", "sandbox", "clock", "storage"} <= checks,
               checks)

    def gap(self):
        control, = self.cloud.pids("control")

        def looks():
            """Has the step before this one a value? Then so has the one that is cut off."""
            at = int(time.time()) // STEP * STEP
            a = self.ask("GET", f"/api/v1/history?series=cpu&from={at - STEP}&to={at}&step={STEP}")
            return any(s["values"][0] is not None for s in a["series"])
        within(60, looks, "control looks")
        os.kill(control, signal.SIGSTOP)
        stopped = time.time()
        try:
            time.sleep(2.5 * STEP)
            self.chat()
        finally:
            os.kill(control, signal.SIGCONT)
        at = int(stopped) // STEP * STEP + STEP
        a = self.ask("GET", f"/api/v1/history?series=cpu&from={at - 2 * STEP}&to={at + STEP}"
                            f"&step={STEP}")
        before, _, within_it = a["series"][0]["values"]
        expect(before is not None and within_it is None, f"a gap: {a}")

    def kill_everything(self):
        within(20, lambda: self.ask("GET", f"/api/v1/channels/{self.web}")["waiting"] == 0,
               "all is told")
        time.sleep(1)  # and noted
        end = int(time.time()) // STEP * STEP

        def remembered():
            a = self.ask("GET", f"/api/v1/history?from={end - 200}&to={end}&step={STEP}"
                                "&series=memory_bytes")
            return sum(v is not None for s in a["series"] for v in s["values"])
        known = remembered()
        events = len(self.events())
        firing = self.alert(self.low)["state"]
        posts = len(self.hook.of("alerts"))
        for pid in self.cloud.processes():
            send_signal(pid, signal.SIGKILL)
        self.cloud.supervisor.wait(timeout=120)
        self.cloud.start()
        within(30, lambda: remembered() >= known - 2, "history")
        within(30, lambda: len(self.events()) > events, "events of before are there, and new ones")
        within(20, lambda: self.alert(self.low)["state"] == firing, "the alert's state")
        self.told_of_another()
        expect(self.low not in self.told(posts), "nothing is told twice")

    # ---- alerts ----

    def first_rules(self):
        rules = {a["name"]: a for a in self.ask("GET", "/api/v1/alerts")["data"]}
        for series in ("disk_free_ratio", "error_ratio", "worker_deaths", "replicas_missing",
                       "budget_used", "ledger_trouble"):
            expect(any(a["series"] == series for a in rules.values()), f"a rule for {series}")
        within(20, lambda: "ok" in {a["state"] for a in
                                    self.ask("GET", "/api/v1/alerts")["data"]}, "states")
        audit = self.ask("GET", "/api/v1/audit?kind=alert")["data"]
        expect(len(audit) >= 6 and audit[0]["actor"]["role"] == "system", "the audit log has them")

    def channels(self):
        self.hook, self.silent = Webhook(), Silent()
        cert, key = certificate(self.cloud.folder)
        self.mail = Mail(cert, key, "cloud", "pass word")
        self.mail.start()
        relay = {"host": "localhost", "port": self.mail.port, "tls": "starttls", "user": "cloud",
                 "from": "cloud@example.org", "password": "pass word", "ca": cert}
        shown = self.ask("PATCH", "/api/v1/settings", {"smtp": relay})
        expect(shown["smtp"]["has_password"] and "password" not in shown["smtp"], shown)
        made = self.ask("POST", "/api/v1/channels",
                        {"kind": "webhook", "name": "hook", "url": self.hook.url}, want=201)
        self.secret = made["secret"]
        self.web = made["id"]
        self.post = self.ask("POST", "/api/v1/channels", {"kind": "email", "name": "mail",
                                                          "to": "ops@example.org"}, want=201)["id"]
        self.dead = [self.ask("POST", "/api/v1/channels",
                              {"kind": "webhook", "name": name, "url": url}, want=201)["id"]
                     for name, url in (("silent", self.silent.url),
                                       ("dead", "http://127.0.0.1:1/"))]
        expect("secret" not in self.ask("GET", f"/api/v1/channels/{self.web}"), "never again")
        for bad in ({"kind": "webhook", "name": "x"}, {"kind": "email", "name": "x", "to": "a b@c"},
                    {"kind": "webhook", "name": "x", "url": "file:///etc/passwd"},
                    {"kind": "email", "name": "x", "to": "a@b\r\nBcc: c@d"}):
            self.ask("POST", "/api/v1/channels", bad, want=400)
        for id_ in (self.web, self.post):
            tried = self.ask("POST", f"/api/v1/channels/{id_}/test")
            expect(tried["ok"], tried)
        expect(len(self.hook.of("test")) == 1 and len(self.mail.mails) == 1, "both were tried")
        tried = self.ask("POST", f"/api/v1/channels/{self.dead[1]}/test")
        expect(not tried["ok"] and tried["error"], tried)
        self.ask("POST", "/api/v1/channels/nobody/test", want=404)
        self.ask("PATCH", "/api/v1/settings", {"smtp": {"password": "wrong"}})
        expect(not self.ask("POST", f"/api/v1/channels/{self.post}/test")["ok"], "a wrong password")
        self.ask("PATCH", "/api/v1/settings", {"smtp": {"password": "pass word", "ca": None}})
        expect(not self.ask("POST", f"/api/v1/channels/{self.post}/test")["ok"],
               "nobody's certificate")
        self.ask("PATCH", "/api/v1/settings", {"smtp": {"ca": cert}})
        audit = str(self.ask("GET", "/api/v1/audit?limit=1000"))
        expect("pass word" not in audit and self.secret not in audit, "no secrets in the log")

    def check_signature(self):
        headers, raw, _ = [p for p in self.hook.posts if p[2]["kind"] == "alerts"][0]
        text = headers["X-Feitian-Timestamp"].encode() + b"." + raw
        digest = hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
        expect(headers["X-Feitian-Signature"] == f"sha256={digest}", headers)

    def fires(self):
        rule = {"name": "few workers", "series": "workers", "op": "<", "threshold": 100, "for_s": 0,
                "severity": "critical", "channels": [self.web, self.post, *self.dead]}
        self.low = self.ask("POST", "/api/v1/alerts", rule, want=201)["id"]
        post = within(20, lambda: self.hook.of("alerts"), "the webhook hears of it")[0]
        alert = post["alerts"][0]
        expect(post["status"] == "firing" and alert["status"] == "firing" and
               alert["series"] == "workers" and alert["severity"] == "critical", post)
        self.check_signature()
        sender, to, message, tls = within(20, lambda: self.mail.mails[1:], "so does the mail")[0]
        subject = str(email.header.make_header(email.header.decode_header(message["Subject"])))
        expect((sender, to, tls) == ("cloud@example.org", ["ops@example.org"], True),
               (sender, to, tls))
        expect("few workers" in subject and "few workers" in
               message.get_payload(decode=True).decode(), subject)
        expect(self.alert(self.low)["state"] == "firing", "its state")
        within(10, lambda: "alert_firing" in self.kinds(), "its event")
        # one waits for the silent receiver, and nobody with it: others are answered before
        trying = threading.Thread(target=self.ask, args=(
            "POST", f"/api/v1/channels/{self.dead[0]}/test"))
        n = len(self.silent.taken)
        trying.start()
        within(10, lambda: len(self.silent.taken) > n, "the silent receiver is called")
        self.ask("GET", "/api/v1/alerts")
        expect(trying.is_alive(), "control answers while a receiver is silent")
        trying.join()
        within(20, lambda: self.ask("GET", f"/api/v1/channels/{self.dead[1]}")["last_error"], "why")

    def is_over(self):
        self.ask("PATCH", f"/api/v1/alerts/{self.low}", {"threshold": 0})
        within(20, lambda: [p for p in self.hook.of("alerts") if p["status"] == "resolved"], "over")
        within(10, lambda: "alert_resolved" in self.kinds(), "its event")
        expect(self.alert(self.low)["state"] == "ok", "its state")

    def told(self, n):
        """Ids of the alerts of which the webhook was told after its first n notices."""
        return [a["id"] for p in self.hook.of("alerts")[n:] for a in p["alerts"]]

    def told_of_another(self):
        """Until the webhook, whose notices keep their order, was told of a new alert: whatever was
        to be told before it would be there."""
        n = len(self.hook.of("alerts"))
        id_ = self.ask("POST", "/api/v1/alerts", {
            "name": "another", "series": "workers", "op": "<", "threshold": 100, "for_s": 0,
            "channels": [self.web]}, want=201)["id"]
        within(20, lambda: id_ in self.told(n), "another alert is told")
        self.ask("DELETE", f"/api/v1/alerts/{id_}")

    def quiet(self):
        n = len(self.hook.of("alerts"))
        always = {"from": "00:00", "to": "00:00", "tz": "Asia/Shanghai"}
        self.ask("PATCH", f"/api/v1/alerts/{self.low}", {"threshold": 100, "quiet": always})
        within(20, lambda: self.alert(self.low)["state"] == "firing", "states go on")
        self.told_of_another()
        expect(self.low not in self.told(n), "nobody is told")
        self.ask("PATCH", f"/api/v1/alerts/{self.low}", {"quiet": None})
        within(20, lambda: self.told(n).count(self.low) == 1, "told when it is over")
        self.ask("PATCH", f"/api/v1/alerts/{self.low}",
                 {"quiet": {"from": "22:00", "to": "07:00", "tz": "Mars/Olympus"}}, want=400)

    def heartbeat(self):
        self.ask("PATCH", f"/api/v1/channels/{self.web}", {"heartbeat_s": 2})
        within(20, lambda: len(self.hook.of("heartbeat")) >= 3, "a sign of life, again and again")
        self.ask("PATCH", f"/api/v1/channels/{self.web}", {"heartbeat_s": 0})

    def tried_again(self):
        self.hook.status = 500
        n = len(self.hook.of("alerts"))
        self.ask("PATCH", f"/api/v1/alerts/{self.low}", {"threshold": 0})
        within(20, lambda: len(self.hook.of("alerts")) > n, "it is tried")
        self.hook.status = 200
        within(30, lambda: self.hook.of("alerts")[-1]["status"] == "resolved" and
               self.ask("GET", f"/api/v1/channels/{self.web}")["waiting"] == 0, "until it is taken")

    def gone(self):
        self.ask("DELETE", f"/api/v1/channels/{self.dead[0]}")
        expect(self.dead[0] not in self.alert(self.low)["channels"], "alerts leave it")
        self.ask("DELETE", f"/api/v1/alerts/{self.low}")
        self.ask("GET", f"/api/v1/alerts/{self.low}", want=404)

    def close(self):
        for receiver in ("hook", "silent"):
            if hasattr(self, receiver):
                getattr(self, receiver).close()
        if hasattr(self, "mail"):
            self.mail.stop()


def main(feitian):
    os.environ["FEITIAN_LOOK_S"] = "1"
    with LiveCloud(feitian) as cloud:
        t = Test(cloud)
        try:
            for step in (t.curves, t.roles, t.same_name, t.deaths, t.nodes, t.first_rules,
                         t.channels, t.fires, t.is_over, t.quiet, t.kill_everything, t.heartbeat,
                         t.tried_again, t.gone, t.gap):
                begun = time.monotonic()
                step()
                print(f"ok {step.__name__} {time.monotonic() - begun:.1f} s", flush=True)
        finally:
            t.close()


if __name__ == "__main__":
    main(sys.argv[1])
