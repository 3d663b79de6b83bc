#!/usr/bin/python3
"""The gateway in front of a scripted replica, beside nginx with a static reply of the same size.

usage: gateway.py FEITIAN LOAD [requests] [first] [streams] [idle]
       FEITIAN: the program; LOAD: bench_gateway_load; all parts if none is named

requests  answers a second with key check, limits, routing and ledger, as a part of nginx's (wrk, 32
          connections, rounds in turn, medians)
first     time to the first token at half of the streams a second that it can do, less nginx's at
          the same rate
streams   memory of a stream of 2,000 at a token a second, and what was lost
idle      resident memory and time to be ready
"""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from gateway_client import Cloud  # noqa: E402

ROUNDS, ROUND_S, STREAMS = 3, 2, 2000
CHAT = "/v1/chat/completions"
WRK = """wrk.method = "POST"
wrk.body = %s
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
"""
NGINX = """worker_processes 2; daemon off; pid %(dir)s/nginx.pid; error_log %(dir)s/nginx.log;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000;
  server { listen 127.0.0.1:%(port)d reuseport;
           location / { default_type application/json; return 200 '%(body)s'; } } }
"""


def body(model, **more):
    return json.dumps({"model": model, "messages": [{"role": "user", "content":
                       "Say something about foxes, please."}], **more})


class Nginx:
    def __init__(self, folder, size):
        import socket
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        with open(f"{folder}/nginx.conf", "w") as f:
            f.write(NGINX % {"dir": folder, "port": self.port, "body": "a" * size})
        self.process = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf"],
                                        stderr=subprocess.DEVNULL)
        time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def wrk(folder, port, key, text=body("fast")):
    script = f"{folder}/post.lua"
    with open(script, "w") as f:
        f.write(WRK % (json.dumps(text), key))
    out = subprocess.run(["wrk", "-t1", "-c32", f"-d{ROUND_S}", "-s", script,
                          f"http://127.0.0.1:{port}{CHAT}"], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if bad:
        print(f"  {bad.group(1)} answers were not 200")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))


def requests(cloud, nginx, folder):
    theirs, ours = [], []
    for _ in range(ROUNDS):
        theirs.append(wrk(folder, nginx.port, cloud.key))
        ours.append(wrk(folder, cloud.port, cloud.key))
    a, b = statistics.median(ours), statistics.median(theirs)
    print(f"requests: {a:.0f}/s, nginx {b:.0f}/s, ratio {a / b:.2f}")


def load(*words):
    out = subprocess.run([sys.argv[2], *map(str, words)], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    return json.loads(out)


def first(cloud, nginx, folder):
    text = body("fast", stream=True)
    rate = statistics.median(wrk(folder, cloud.port, cloud.key, text) for _ in range(ROUNDS))
    print(f"streams of 16 tokens: {rate:.0f}/s at most")
    ours, theirs = [], []
    for _ in range(ROUNDS):
        for port, to in ((nginx.port, theirs), (cloud.port, ours)):
            r = load("rate", port, CHAT, cloud.key, text, int(rate / 2), ROUND_S)
            if r["errors"]:
                print(f"  {r['errors']} errors")
            to.append(r["first_ms"])
    for q in ("p50", "p99"):
        a, b = (statistics.median(r[q] for r in of) for of in (ours, theirs))
        print(f"first token at {rate / 2:.0f}/s: {q} {a:.2f} ms, nginx {b:.2f} ms, "
              f"added {a - b:.2f} ms")


def streams(cloud):
    before = cloud.memory_kb()
    p = subprocess.Popen([sys.argv[2], "hold", str(cloud.port), CHAT, cloud.key,
                          body("slow", stream=True), str(STREAMS)], stdout=subprocess.PIPE,
                         text=True)
    peak = 0
    while p.poll() is None:
        peak = max(peak, cloud.memory_kb())
        time.sleep(0.1)
    r = json.loads(p.stdout.read())
    print(f"streams: {STREAMS} at a token a second: {r['errors']} errors, {r['events']} events, "
          f"{(peak - before) / STREAMS:.1f} KB a stream ({before} KB before)")


def main():
    parts = sys.argv[3:] or ["requests", "first", "streams", "idle"]
    with tempfile.TemporaryDirectory() as folder, Cloud(sys.argv[1], f"{folder}/home") as cloud:
        cloud.start()
        if "idle" in parts:
            time.sleep(1)
            print(f"idle: {cloud.memory_kb()} KB resident, of them "
                  f"{cloud.memory_kb('RssAnon')} KB its own; ready {cloud.ready_s:.3f} s after "
                  f"its start (a new folder)")
        cloud.endpoint("fast", tokens=16)
        cloud.endpoint("slow", tokens=10, interval_ms=1000, first_ms=500)
        size = len(cloud.ask("POST", CHAT, body("fast").encode()).body)
        nginx = Nginx(folder, size)
        try:
            if "requests" in parts:
                requests(cloud, nginx, folder)
            if "first" in parts:
                first(cloud, nginx, folder)
        finally:
            nginx.stop()
        if "streams" in parts:
            streams(cloud)
        if "idle" in parts:
            time.sleep(3)
            print(f"afterwards: {cloud.memory_kb()} KB resident")


if __name__ == "__main__":
    main()
