"""A cloud of its own for a test: a temporary home, a free port, everything stopped at the end."""
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile

WAIT_S = 300  # of a command: what hangs, not what is slow
PORTS = range(10000, 32000)  # below those that the system lends to connections
taken = []  # a socket for each port of ours, which keeps it from other tests until we end


def free_port():
    """A port that nobody else takes, also while nobody listens there: a process that was killed
    finds it free when it comes back."""
    while True:
        port = random.choice(PORTS)
        mark = socket.socket(socket.AF_UNIX)
        try:
            mark.bind(f"\0feitian-test-port-{port}")
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        taken.append(mark)
        return port


class Cloud:
    """with Cloud(feitian) as c: c.run("key", "list")"""

    def __init__(self, feitian, *options):
        self.feitian = os.path.abspath(feitian)
        self.folder = tempfile.mkdtemp(prefix="feitian-")  # short: sockets' paths are
        self.home = f"{self.folder}/home"
        self.port = free_port()
        self.listen = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.listen}"
        self.options = options

    def env(self, **more):
        drop = ("FEITIAN_URL", "FEITIAN_API_KEY", "NOTIFY_SOCKET")
        env = {k: v for k, v in os.environ.items() if k not in drop}
        return {**env, "FEITIAN_HOME": self.home, "TZ": "UTC", **more}

    def run(self, *args, stdin="", **env):
        return subprocess.run([self.feitian, *args], input=stdin, capture_output=True, text=True,
                              timeout=WAIT_S, env=self.env(**env))

    def up(self, *options):
        return self.run("up", "--listen", self.listen, *self.options, *options)

    def credentials(self):
        with open(f"{self.home}/credentials.json", encoding="utf-8") as f:
            return json.load(f)

    def log(self):
        try:
            with open(f"{self.home}/logs/feitian.log", encoding="utf-8") as f:
                return f.read()
        except OSError:
            return ""

    def processes(self):
        """{pid: command line} of what belongs to this home."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().decode(errors="replace").split("\0")
                with open(f"/proc/{pid}/environ", "rb") as f:
                    env = f.read().decode(errors="replace")
            except OSError:
                continue
            if os.path.basename(words[0]) == "feitian" and (
                    self.home in " ".join(words) or f"FEITIAN_HOME={self.home}\0" in env):
                found[int(pid)] = " ".join(words[1:])
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.run("down", "--force")
        shutil.rmtree(self.folder, ignore_errors=True)
