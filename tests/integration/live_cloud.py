"""A cloud (cloud.py) run in the foreground, called over HTTP as clients do, whose processes can be
killed one by one."""
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time

import cloud

START_S = 120
PATIENCE_S = 120
READ_BUFFER = 4096


def wait_until(what, seconds, message):
    """What comes by itself: seconds says after how long it should have come; machines that are
    busy get PATIENCE_S."""
    seconds = max(seconds, PATIENCE_S)
    until = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"{message}: not within {seconds} s")
        time.sleep(0.02)


def is_alive(pid):
    """Has it still a thread, or files that are open?"""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            state = f.read().rsplit(b") ", 1)[1][:1]
        return state not in b"ZX" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False


def send_signal(pid, sig):
    with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(pid, sig)


class LiveCloud(cloud.Cloud):
    """with LiveCloud(feitian) as c: ...; shows its logs if that fails."""

    def __init__(self, feitian, *options):
        super().__init__(feitian, *options)
        self.supervisor = None
        self.key = None
        self.output = open(f"{self.folder}/up.log", "a", encoding="utf-8")

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(AssertionError)
            raise
        return self

    def __exit__(self, kind=None, *_):
        try:
            if kind is not None:
                self.show_logs()
        finally:  # whoever reads may be gone, and yet everything must stop
            super().__exit__()
            if self.supervisor is not None:
                self.supervisor.wait(timeout=START_S)
            self.output.close()

    def start(self):
        self.supervisor = subprocess.Popen(
            [self.feitian, "up", "--foreground", "--listen", self.listen, *self.options],
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, env=self.env())
        wait_until(self.is_ready, START_S, "the cloud is ready")

    def is_ready(self):
        if self.supervisor.poll() is not None:
            raise AssertionError(f"feitian up ended with {self.supervisor.returncode}")
        try:
            self.key = self.credentials()["key"]
            if self.get("/v1/models")[0] != 200:
                return False
            storage = self.get("/api/v1/status")[1]["storage"]
            return storage["open"] or storage["trouble"] != ""  # its first try is over
        except (OSError, ValueError, http.client.HTTPException):
            return False

    def down(self, seconds=PATIENCE_S):
        """Asks it to stop; its exit status."""
        self.supervisor.send_signal(signal.SIGTERM)
        return self.supervisor.wait(timeout=seconds)

    def show_logs(self):
        folder = f"{self.home}/logs"
        names = os.listdir(folder) if os.path.isdir(folder) else []
        for path in [f"{self.folder}/up.log"] + sorted(f"{folder}/{n}" for n in names):
            with open(path, encoding="utf-8", errors="replace") as f:
                print(f"--- {path}\n{f.read()[-6000:]}")

    def pids(self, role):
        """Of its processes "gateway", "control", "worker"."""
        return sorted(p for p, line in self.processes().items() if line.startswith(f"{role} "))

    def kill(self, role):
        """SIGKILL to all of a role; which they were."""
        pids = self.pids(role)
        for pid in pids:
            send_signal(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, pids)), PATIENCE_S, f"the end of {role}")
        return pids

    def expire(self, key):
        """Makes a key end soon, and waits for it: the second of its end."""
        for seconds in (2, 20, 200):  # what lies in the past when it is read is refused
            end = int(time.time()) + seconds
            if self.request("PATCH", f"/api/v1/keys/{key}", {"expires": end})[0] == 200:
                # time(2) goes by the system's tick: it says the last second some ms longer
                while time.time() < end + 0.1:
                    time.sleep(0.05)
                return end
        raise AssertionError("an end of a key is always in the past")

    def settle(self):
        """Until the store has the record of every call that is over."""
        pause = 0.3
        until = time.monotonic() + PATIENCE_S
        while True:  # each look is a record too: the next one waits until that is delivered
            time.sleep(pause)
            status, answer = self.get("/api/v1/status")
            ledger = answer["ledger"] if status == 200 else {}
            if ledger and ledger["slots_used"] == ledger["pending_bytes"] == 0:
                return
            if time.monotonic() > until:
                raise AssertionError(f"records are on their way for ever: {answer}")
            pause = min(2 * pause, 10)

    # ---- HTTP ----

    def connect(self, timeout):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def headers(self):
        return {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}

    def request(self, method, path, body=None, timeout=120):
        """(status, JSON or text)"""
        c = self.connect(timeout)
        try:
            c.request(method, path, None if body is None else json.dumps(body), self.headers())
            r = c.getresponse()
            text = r.read().decode()
            if r.getheader("Content-Type", "").startswith("application/json"):
                return r.status, json.loads(text)
            return r.status, text
        finally:
            c.close()

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body):
        return self.request("POST", path, body)

    def stream(self, path, body, timeout=120):
        """Yields the JSON of each event; the last is "[DONE]". Raises on a broken stream. With a
        buffer so small that an answer is not far ahead of its reader."""
        c = self.connect(timeout)
        try:
            c.sock = socket.socket()
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BUFFER)
            c.sock.settimeout(timeout)
            c.sock.connect(("127.0.0.1", self.port))
            c.request("POST", path, json.dumps(dict(body, stream=True)), self.headers())
            r = c.getresponse()
            if r.status != 200:
                raise AssertionError(f"{path}: {r.status} {r.read().decode()}")
            while True:
                line = r.readline()
                if not line:
                    raise ConnectionError("the stream ended before [DONE]")
                if line.startswith(b"data: "):
                    text = line[6:].decode().strip()
                    if text == "[DONE]":
                        yield text
                        return
                    yield json.loads(text)
        finally:
            c.close()
