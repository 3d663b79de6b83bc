"""A worker as a child process, and requests to it over its unix socket."""
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_S = 120


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("worker", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Worker:
    """feitian worker, with a folder of its own for models, which goes when it is stopped."""

    def __init__(self, program, *options, read=(), memory="1G"):
        self.folder = tempfile.mkdtemp(prefix="ft-worker-")
        self.socket = f"{self.folder}/w.sock"
        self.process = subprocess.Popen(
            [program, "worker", "--socket", self.socket, "--read",
             ":".join([self.folder, *map(os.path.abspath, read)]), "--memory", memory, *options],
            stderr=subprocess.PIPE)
        until = time.monotonic() + START_S
        while self.process.poll() is None and time.monotonic() < until:
            try:
                self.health()
                break
            except OSError:  # the file is there a moment before anybody listens
                time.sleep(0.005)

    def connection(self, timeout=120):
        return UnixConnection(self.socket, timeout)

    def ask(self, method, path, body=None, raw=None, timeout=120):
        """(status, JSON or None, headers)"""
        c = self.connection(timeout)
        data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
        c.request(method, path, data, {"content-type": "application/json"} if data else {})
        r = c.getresponse()
        text = r.read()
        c.close()
        try:
            return r.status, json.loads(text), dict(r.getheaders())
        except ValueError:
            return r.status, None, dict(r.getheaders())

    def post(self, path, /, **body):
        return self.ask("POST", path, body)

    def stream(self, path, /, **body):
        """The events' JSON, [DONE] left out."""
        c = self.connection()
        body["stream"] = True
        c.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        r = c.getresponse()
        text = r.read().decode()
        c.close()
        if r.status != 200:
            return [{"status": r.status, **json.loads(text)}]
        events = [line[6:] for line in text.split("\n") if line.startswith("data: ")]
        assert events and (events[-1] == "[DONE]" or "error" in events[-1]), text
        return [json.loads(e) for e in events if e != "[DONE]"]

    def health(self):
        return self.ask("GET", "/health")[1]

    def add(self, name, path, **more):
        status, answer, _ = self.post("/feitian/models", name=name, path=os.path.abspath(path),
                                      **more)
        assert status == 200, (status, answer)

    def stop(self, sig=signal.SIGTERM, timeout=60):
        """Exit status, and what was said on standard error."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        err = self.process.communicate(timeout=timeout)[1].decode(errors="replace")
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.process.returncode, err
