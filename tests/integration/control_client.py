"""`feitian control` as its gateway sees it: started in a folder of its own, asked over its socket,
every answer held to its OpenAPI document."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time

import jsonschema

PATIENCE_S = 120
results = []  # of expect


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok else ''}", flush=True)


class Unix(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("control", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        try:
            self.json = json.loads(body) if body else None
        except ValueError:
            self.json = None

    def __getitem__(self, name):
        return self.json[name]

    def error(self):
        """(status, param, code) of a refusal."""
        e = (self.json or {}).get("error", {})
        return self.status, e.get("param"), e.get("code")

    def __repr__(self):
        return f"{self.status} {self.body[:600]!r}"


class Control:
    def __init__(self, program, home, **popen):
        self.program, self.home, self.popen = program, home, popen
        self.socket = f"{home}/run/control.sock"
        self.document = None
        self.process = None
        self.broken = []  # answers that are not what the document says
        self.seen = set()  # operations that were answered well
        self.log = ""
        os.makedirs(f"{home}/run", exist_ok=True)

    def start(self):
        out = open(f"{self.home}/control.log", "ab")
        self.process = subprocess.Popen([self.program, "control", "--home", self.home], stderr=out,
                                        stdout=out, **self.popen)
        out.close()
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                self.document = self.ask("GET", "/api/v1/openapi.json").json
                return self
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("control did not start: " + open(f"{self.home}/control.log").read())

    def stop(self, sig=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sig)
            self.process.wait(PATIENCE_S)
        return self.process.returncode if self.process else None

    def ask(self, method, path, body=None, role="operator", project="default", key="", headers=(),
            timeout=PATIENCE_S):
        c = Unix(self.socket, timeout)
        h = {"X-Feitian-Role": role, "X-Feitian-Project": project, "X-Feitian-Key": key,
             "X-Request-Id": "req_test", **dict(headers)}
        if role is None:
            del h["X-Feitian-Role"]
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        c.request(method, path, data, h)
        r = c.getresponse()
        a = Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        c.close()
        self.check(method, path, a)
        return a

    # ---- the document ----

    def operation(self, method, path):
        path = path.split("?")[0]
        for template, item in (self.document or {"paths": {}})["paths"].items():
            pattern = re.escape(template).replace(r"\{id\}", ".+")
            if re.fullmatch(pattern, path) and method.lower() in item:
                return item[method.lower()]
        return None

    def schema(self, part):
        schema = dict(part["content"]["application/json"]["schema"])
        schema["components"] = self.document["components"]  # where $ref points
        return schema

    def check(self, method, path, a):
        op = self.operation(method, path)
        if op is None:
            return
        responses = op["responses"]
        part = responses.get(str(a.status)) or responses.get(f"{a.status // 100}XX")
        try:
            if part is None:
                raise jsonschema.ValidationError(f"status {a.status} is not documented")
            jsonschema.validate(a.json, self.schema(part), cls=jsonschema.Draft202012Validator)
        except jsonschema.ValidationError as e:
            self.broken.append(f"{method} {path}: {e.message} in {a}")
        if a.status < 300:
            self.seen.add(op["operationId"])

    # ---- the feed ----

    def feed(self, after=0, wait=0):
        """(name of the store, rows)"""
        lines = self.ask("GET", f"/internal/feed?after={after}&wait={wait}").body.splitlines()
        return json.loads(lines[0])["store"], [json.loads(line) for line in lines[1:]]

    def rows(self):
        return {(r["kind"], r["id"]): r["body"] for r in self.feed()[1]}
