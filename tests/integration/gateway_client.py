"""A cloud in a folder of its own, for tests of its front: control and a gateway on a free port,
without workers; scripted endpoints answer."""
import http.client
import json
import os
import re
import signal
import subprocess
import time

from control_client import Answer


class Cloud:
    def __init__(self, program, home):
        self.program, self.home = os.path.abspath(program), home
        self.gateway = self.control = self.key = None
        self.port = 0
        self.ready_s = None  # from the gateway's start to its first answer
        os.makedirs(f"{home}/run", exist_ok=True)

    def _spawn(self, *words):
        log = open(f"{self.home}/{words[0]}.log", "ab")
        return subprocess.Popen([self.program, *words, "--home", self.home], stdout=log, stderr=log)

    def start_control(self):
        self.control = self._spawn("control")
        for _ in range(2000):
            if os.path.exists(f"{self.home}/run/control.sock"):
                break
            time.sleep(0.01)
        with open(f"{self.home}/credentials.json") as f:
            self.key = json.load(f)["key"]

    def start_gateway(self, port=0, *words):
        """The log tells which port was free."""
        begun = time.monotonic()
        at = self.log_size()
        self.gateway = self._spawn("gateway", "--listen", f"127.0.0.1:{port}", "--no-workers",
                                   *words)
        for _ in range(20000):
            m = re.search(r"listening on \S+:(\d+)", self.log(at))
            if m:
                break
            if self.gateway.poll() is not None:
                raise RuntimeError(self.log(at))
            time.sleep(0.001)
        self.port = int(m.group(1))
        assert self.ask("GET", "/health", key=None).status == 200
        self.ready_s = time.monotonic() - begun

    def start(self):
        self.start_control()
        self.start_gateway()
        return self

    def log_size(self):
        try:
            return os.path.getsize(f"{self.home}/gateway.log")
        except FileNotFoundError:
            return 0

    def log(self, at=0):
        with open(f"{self.home}/gateway.log", "rb") as f:
            f.seek(at)
            return f.read().decode(errors="replace")

    def ask(self, method, path, body=None, key="", headers=None, timeout=30):
        """key: "" for the operator's, None for none. body: bytes go as they are."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        h = {"Content-Type": "application/json"} if body is not None else {}
        if key is not None:
            h["Authorization"] = f"Bearer {key or self.key}"
        h.update(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        try:
            c.request(method, path, body, h)
            r = c.getresponse()
            return Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        except (ConnectionError, http.client.HTTPException) as e:
            return Answer(0, {}, repr(e).encode())  # closed without an answer
        finally:
            c.close()

    def endpoint(self, name, **script):
        a = self.ask("POST", "/api/v1/endpoints", {"name": name, "targets": [{"script": script}]})
        assert a.status == 201, a

    def memory_kb(self, what="VmRSS"):
        with open(f"/proc/{self.gateway.pid}/status") as f:
            return int(re.search(what + r":\s+(\d+)", f.read()).group(1))

    def stop(self):
        for p in (self.gateway, self.control):
            if p is not None and p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in (self.gateway, self.control):
            if p is not None:
                try:
                    p.wait(20)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
