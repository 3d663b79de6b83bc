"""A cloud in a folder of its own, for tests of its front: control and a gateway on a free port,
without workers; scripted endpoints answer."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time

from cloud import free_port
from control_client import Answer

PATIENCE_S = 120


def wait_until(what, message):
    until = time.monotonic() + PATIENCE_S
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < until, f"{message}: not within {PATIENCE_S} s"
        time.sleep(0.001)


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
        wait_until(self._control_answers, "control answers")
        with open(f"{self.home}/credentials.json") as f:
            self.key = json.load(f)["key"]

    def _control_answers(self):
        assert self.control.poll() is None, f"control ended with {self.control.returncode}"
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(f"{self.home}/run/control.sock")
            except OSError:
                return False  # the file is there a moment before anybody listens
        return True

    def start_gateway(self, *words):
        """On the same port as before, if there was one."""
        self.port = self.port or free_port()
        begun = time.monotonic()
        at = self.log_size()
        self.gateway = self._spawn("gateway", "--listen", f"127.0.0.1:{self.port}", "--no-workers",
                                   *words)

        def listens():
            assert self.gateway.poll() is None, self.log(at)
            return "listening on" in self.log(at)
        wait_until(listens, "the gateway listens")
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

    def ask(self, method, path, body=None, key="", headers=None, timeout=120):
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
                    p.wait(60)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
