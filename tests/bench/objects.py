#!/usr/bin/python3
"""Objects through a whole cloud, beside what users would take instead, in one run, medians.

usage: objects.py FEITIAN [large] [small] [memory]

large   GET of 64 MiB as a part of nginx serving the same file; PUT of 64 MiB as a part of a plain
        write and fsync of the same bytes
small   PUT and GET of 4 KiB by 16 clients, beside a Ceph RGW if FT_TEST_S3 says where one is
        (tests/engines/ceph.sh python3 tests/bench/objects.py build/feitian small)
memory  of the gateway, at 64 uploads of 1 GiB at once
"""
import hashlib
import hmac
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from live_cloud import LiveCloud, wait_until  # noqa: E402

MIB = 1 << 20
LARGE, SMALL, KEYS, CLIENTS, ROUNDS, SECONDS = 64 * MIB, 4096, 20000, 16, 5, 2
NGINX = """worker_processes 2; %(user)s daemon off; pid %(d)s/nginx.pid; error_log %(d)s/nginx.log;
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on;
  server { listen 127.0.0.1:%(port)d; root %(d)s/www; } }
"""
LUA = """local urls = {}
for line in io.lines("%s") do urls[#urls + 1] = line end
local i = math.random(#urls)
request = function()
  i = i %% #urls + 1
  return wrk.format("%s", urls[i], nil, body)
end
body = %s
"""


class Server:
    """An S3 server: its address and a key."""

    def __init__(self, url, key, secret, region):
        self.url, self.key, self.secret, self.region = url, key, secret, region
        self.host = url.split("//")[1]

    def path(self, method, path, seconds=86400):
        """A presigned path."""
        now = time.gmtime()
        day, at = time.strftime("%Y%m%d", now), time.strftime("%Y%m%dT%H%M%SZ", now)
        scope = f"{day}/{self.region}/s3/aws4_request"
        query = urllib.parse.urlencode({
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{self.key}/{scope}",
            "X-Amz-Date": at, "X-Amz-Expires": seconds, "X-Amz-SignedHeaders": "host"})
        text = f"{method}\n{path}\n{query}\nhost:{self.host}\n\nhost\nUNSIGNED-PAYLOAD"
        k = f"AWS4{self.secret}".encode()
        for word in (day, self.region, "s3", "aws4_request"):
            k = hmac.new(k, word.encode(), hashlib.sha256).digest()
        what = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(text.encode()).hexdigest()}"
        return f"{path}?{query}&X-Amz-Signature=" + hmac.new(k, what.encode(),
                                                            hashlib.sha256).hexdigest()

    def make(self, bucket):
        curl("-X", "PUT", self.url + self.path("PUT", f"/{bucket}"))


def curl(*args):
    subprocess.run(["curl", "-sf", "-o", "/dev/null", *args], check=True)


def timed(what):
    began = time.monotonic()
    what()
    return time.monotonic() - began


def of_cloud(c):
    words = c.run("key", "s3").stdout.splitlines()
    s = dict(w.removeprefix("export ").split("=", 1) for w in words)
    return Server(c.url, s["AWS_ACCESS_KEY_ID"], s["AWS_SECRET_ACCESS_KEY"],
                  s["AWS_DEFAULT_REGION"])


def median(values):
    return statistics.median(values)


def plain_write(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for at in range(0, len(data), MIB):
        os.write(fd, data[at:at + MIB])
    os.fsync(fd)
    os.close(fd)


def put(h, path, data):
    """From this process and over one connection, as the plain write is: no program is started."""
    h.request("PUT", path, data)
    r = h.getresponse()
    r.read()
    assert r.status == 200, r.status


def wrk_bytes(url, clients):
    out = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{SECONDS}", url], text=True,
                         stdout=subprocess.PIPE, check=True).stdout
    number = next(w for w in out.splitlines() if w.startswith("Transfer/sec:")).split()[1]
    unit = {"KB": 1e3, "MB": 1e6, "GB": 1e9}
    return float(number[:-2]) * unit[number[-2:]] if number[-2:] in unit else 0


def large(c, s, d):
    data = os.urandom(LARGE)
    os.makedirs(f"{d}/www")
    with open(f"{d}/www/file", "wb") as f:
        f.write(data)
    s.make("bench")
    puts, writes, ratios = [], [], []
    h = http.client.HTTPConnection(s.host, timeout=60)
    for i in range(ROUNDS):
        writes.append(timed(lambda: plain_write(f"{d}/plain", data)))
        path = s.path("PUT", f"/bench/large{i}")
        puts.append(timed(lambda: put(h, path, data)))
        ratios.append(writes[-1] / puts[-1])
    h.close()
    print(f"PUT of 64 MiB: {LARGE / median(puts) / 1e6:.0f} MB/s, write and fsync "
          f"{LARGE / median(writes) / 1e6:.0f}; ratio {median(ratios):.2f}")
    port = s_port()
    with open(f"{d}/nginx.conf", "w", encoding="utf-8") as f:
        f.write(NGINX % {"d": d, "port": port, "user": "user root;" if os.getuid() == 0 else ""})
    nginx = subprocess.Popen(["nginx", "-c", f"{d}/nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        for clients in (1, 4):
            ours, theirs = [], []
            for _ in range(ROUNDS):
                theirs.append(wrk_bytes(f"http://127.0.0.1:{port}/file", clients))
                ours.append(wrk_bytes(s.url + s.path("GET", "/bench/large0"), clients))
            a, b = median(ours), median(theirs)
            print(f"GET of 64 MiB, {clients} at a time: {a / 1e9:.2f} GB/s, nginx {b / 1e9:.2f}; "
                  f"ratio {a / b:.2f}")
    finally:
        nginx.terminate()
        nginx.wait()


def s_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wrk_requests(s, d, method):
    urls, script = f"{d}/urls", f"{d}/{method}.lua"
    with open(urls, "w", encoding="utf-8") as f:
        for i in range(KEYS):
            f.write(s.path(method, f"/small/key{i:06}") + "\n")
    with open(script, "w", encoding="utf-8") as f:
        f.write(LUA % (urls, method, f'string.rep("x", {SMALL})' if method == "PUT" else "nil"))
    out = subprocess.run(["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}", "-s", script, s.url],
                         text=True, stdout=subprocess.PIPE, check=True).stdout
    if "Non-2xx" in out:
        print("  not all were 2xx:", next(w for w in out.splitlines() if "Non-2xx" in w))
    return float(next(w for w in out.splitlines() if w.startswith("Requests/sec:")).split()[1])


def fill(s, d):
    """Every key once, so that each GET finds its object."""
    with open(f"{d}/small", "wb") as f:
        f.write(b"x" * SMALL)
    with open(f"{d}/puts", "w", encoding="utf-8") as f:
        for i in range(KEYS):
            f.write(f'upload-file = "{d}/small"\nurl = "{s.url}'
                    f'{s.path("PUT", f"/small/key{i:06}")}"\noutput = /dev/null\n')
    subprocess.run(["curl", "-s", "--parallel", "--parallel-max", "16", "-K", f"{d}/puts"],
                   check=True, stderr=subprocess.DEVNULL)


def small(s, d):
    both = [("feitian", s)]
    if os.environ.get("FT_TEST_S3"):
        both.append(("Ceph RGW", Server(*os.environ["FT_TEST_S3"].split(), "us-east-1")))
    rates = {}
    for name, server in both:
        server.make("small")
        fill(server, d)
        rates[name] = {"PUT": [], "GET": []}
    for _ in range(3):
        for name, server in both:
            for method in ("PUT", "GET"):
                rates[name][method].append(wrk_requests(server, d, method))
    for method in ("PUT", "GET"):
        r = {name: median(rates[name][method]) for name, _ in both}
        print(f"{method} of 4 KiB, 16 clients: " + ", ".join(f"{n} {v:.0f}/s"
                                                            for n, v in r.items()) +
              (f"; ratio {r['feitian'] / r['Ceph RGW']:.1f}" if len(r) > 1 else ""))


def memory(c, s):
    """Uploads that never end by themselves: 1 GiB each, of zeros, at the speed that they come."""
    s.make("many")
    pid = c.pids("gateway")[0]

    def resident():
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            return int(next(line for line in f if line.startswith("VmRSS")).split()[1]) / 1024

    def one(i):
        head = subprocess.Popen(["head", "-c", str(1 << 30), "/dev/zero"], stdout=subprocess.PIPE)
        subprocess.run(["curl", "-sf", "-o", "/dev/null", "-T", "-", "-H", "Expect:", "-H",
                        f"Content-Length: {1 << 30}", "-H", "Transfer-Encoding:",
                        s.url + s.path("PUT", f"/many/{i}")], stdin=head.stdout, check=False)

    before, peak = resident(), 0
    threads = [threading.Thread(target=one, args=(i,)) for i in range(64)]
    for t in threads:
        t.start()
    while any(t.is_alive() for t in threads):
        peak = max(peak, resident())
        time.sleep(0.2)
    print(f"64 uploads of 1 GiB: {peak:.0f} MiB resident, {before:.0f} before")


def main():
    parts = sys.argv[2:] or ["large", "small", "memory"]
    with tempfile.TemporaryDirectory() as d, LiveCloud(sys.argv[1]) as c:
        wait_until(lambda: c.run("ls").returncode == 0, 30, "the store is open")
        s = of_cloud(c)
        if "large" in parts:
            large(c, s, d)
        if "small" in parts:
            small(s, d)
        if "memory" in parts:
            memory(c, s)


if __name__ == "__main__":
    main()
