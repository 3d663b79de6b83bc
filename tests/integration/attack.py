#!/usr/bin/python3
"""Bad input and attack, against a running gateway: every one gets a clear 4xx (or its connection is
closed), memory stays flat, and others are served meanwhile.

usage: attack.py FEITIAN
"""
import json
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time

from gateway_client import Cloud

CHAT = "/v1/chat/completions"
GOOD = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
MEMORY_KB = 12 << 10  # how much the gateway may grow over all of this
UNKNOWN_KEYS = 3000
SERVED = 10  # at least so often, meanwhile
PATIENCE_S = 120
CLIENT_GONE = (ConnectionResetError, BrokenPipeError)
results = []


def sanitized():
    """Is the program built with a sanitizer, which keeps freed memory for a while?"""
    with open(sys.argv[1], "rb") as f:
        program = f.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {str(detail)[:400] if not ok else ''}", flush=True)


class Raw:
    """A connection on which anything may be said."""

    def __init__(self, cloud, timeout=PATIENCE_S):
        self.s = socket.create_connection(("127.0.0.1", cloud.port), timeout=timeout)

    def send(self, data):
        try:
            self.s.sendall(data if isinstance(data, bytes) else data.encode())
        except CLIENT_GONE:
            pass
        return self

    def status(self):
        """Of the first answer; None if the connection was closed without one."""
        data = b""
        try:
            while b"\r\n\r\n" not in data:
                got = self.s.recv(65536)
                if not got:
                    break
                data += got
        except (CLIENT_GONE, socket.timeout):
            pass
        self.s.close()
        return int(data.split(b" ")[1]) if data.startswith(b"HTTP/1.1 ") else None


def refused(status):
    return status is None or 400 <= status < 500 or status in (501, 505)


def malformed(cloud):
    key = f"Authorization: Bearer {cloud.key}\r\n"
    cases = {
        "not HTTP": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
        "no version": "GET /v1/models\r\n\r\n",
        "a version to come": f"GET /v1/models HTTP/3.0\r\nHost: h\r\n{key}\r\n",
        "no host": f"GET /v1/models HTTP/1.1\r\n{key}\r\n",
        "two hosts": f"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n{key}\r\n",
        "two lengths": f"POST {CHAT} HTTP/1.1\r\nHost: h\r\n{key}Content-Length: 2\r\n"
                       "Content-Length: 3\r\n\r\n{} ",
        "a length and chunks": f"POST {CHAT} HTTP/1.1\r\nHost: h\r\n{key}Content-Length: 2\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a coding of its own": f"POST {CHAT} HTTP/1.1\r\nHost: h\r\n{key}"
                               "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "a negative length": f"POST {CHAT} HTTP/1.1\r\nHost: h\r\n{key}Content-Length: -5\r\n\r\n",
        "a huge length": f"POST {CHAT} HTTP/1.1\r\nHost: h\r\n{key}Content-Length: {10 ** 30}"
                         "\r\n\r\n",
        "chunks that are none": f"POST {CHAT} HTTP/1.1\r\nHost: h\r\n{key}"
                                "Transfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n",
        "a chunk longer than it says": f"POST {CHAT} HTTP/1.1\r\nHost: h\r\n{key}"
                                       "Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n",
        "a space before the colon": f"GET /v1/models HTTP/1.1\r\nHost: h\r\n{key}X : y\r\n\r\n",
        "a control byte": f"GET /v1/models HTTP/1.1\r\nHost: h\r\n{key}X: \x02\r\n\r\n",
        "a bare CR": f"GET /v1/models HTTP/1.1\r\nHost: h\r\n{key}X: a\rY: b\r\n\r\n",
        "a header of 100 KB": f"GET /v1/models HTTP/1.1\r\nHost: h\r\nX: {'a' * 100000}\r\n\r\n",
        "5,000 headers": "GET /v1/models HTTP/1.1\r\nHost: h\r\n" + "A: b\r\n" * 5000 + "\r\n",
        "a target of 100 KB": f"GET /{'a' * 100000} HTTP/1.1\r\nHost: h\r\n\r\n",
        "10,000 parameters": f"GET /v1/models?{'a=1&' * 10000} HTTP/1.1\r\nHost: h\r\n\r\n",
        "20,000 cookies": f"GET / HTTP/1.1\r\nHost: h\r\nCookie: {'a;' * 20000}\r\n\r\n",
    }
    for name, text in cases.items():
        status = Raw(cloud).send(text).status()
        expect(f"malformed: {name}", refused(status), status)


def paths(cloud):
    for path in ("/../etc/passwd", "/v1/../v1/models", "/v1/%2e%2e/models",
                 "/v1/models/..%2f..%2fx", "/v1/models/%00", "/v1/models/a%0d%0aX-Evil:1",
                 "//..//", "/v1/models/%c0%ae", "/v1/models/%", "/v1/models/%ff", "/v1\\models",
                 "http://h/v1/models", "/v1/responses/%2e%2e"):
        text = f"GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {cloud.key}\r\n\r\n"
        status = Raw(cloud).send(text).status()
        expect(f"path: {path}", status is not None and 400 <= status < 500, status)


def told(a):
    """Is it a 4xx that says in OpenAI's form what is wrong?"""
    e = (a.json or {}).get("error") if isinstance(a.json, dict) else None
    return 400 <= a.status < 500 and isinstance(e, dict) and e.get("message") and \
        {"message", "type", "param", "code"} <= set(e)


def bodies(cloud):
    deep = 200000
    cases = {
        "nothing": b"",
        "not JSON": b"hello",
        "cut off": b'{"model": "echo", "messages": [',
        "a number": b"5",
        "an array": b"[]",
        "null": b"null",
        "no UTF-8": b'{"model": "echo", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
        "half a surrogate": b'{"model": "echo", "messages": [{"role": "user", '
                            b'"content": "\\ud800"}]}',
        "a NUL in a name": b'{"mod\\u0000el": "echo", "messages": []}',
        "deep arrays": b'{"model": "echo", "messages": ' + b"[" * deep + b"]" * deep + b"}",
        "deep objects": b'{"a":' * deep + b"1" + b"}" * deep,
        "deep, without an end": b"[" * 1000000,
        "a number of a megabyte": b'{"model": "echo", "seed": ' + b"9" * 1000000 + b"}",
        "an exponent": b'{"model": "echo", "temperature": 1e999999, "messages": []}',
        "the same name 100,000 times": b"{" + b'"model": "echo",' * 100000 + b'"x": 1}',
        "100,000 names": json.dumps({str(i): 1 for i in range(100000)}).encode(),
        "100,000 messages of a wrong kind": json.dumps({"model": "echo", "messages":
                                                        [1] * 100000}).encode(),
    }
    for name, body in cases.items():
        for path in (CHAT, "/v1/embeddings", "/v1/responses", "/v1/messages"):
            own = path == "/v1/messages"
            a = cloud.ask("POST", path, body,
                          headers={"anthropic-version": "2023-06-01"} if own else None)
            ok = told(a) if not own else 400 <= a.status < 500 and "error" in (a.json or {})
            expect(f"body: {name}: {path}", ok, a)


WRONG = (None, True, -1, 0, 1e300, 1.5, "", "x", "\u0000", [], [1], [[]], {}, {"a": 1},
         "x" * 100000, 2 ** 63, -2 ** 63)
FIELDS = {
    CHAT: (dict(GOOD), ("model", "messages", "stream", "stream_options", "temperature", "top_p",
                        "n", "stop", "max_tokens", "max_completion_tokens", "presence_penalty",
                        "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "seed",
                        "tools", "tool_choice", "response_format", "user", "metadata",
                        "parallel_tool_calls", "reasoning_effort", "service_tier", "store")),
    "/v1/completions": ({"model": "echo", "prompt": "a"},
                        ("model", "prompt", "stream", "temperature", "n", "stop", "max_tokens",
                         "logprobs", "echo", "seed", "best_of", "suffix", "logit_bias")),
    "/v1/embeddings": ({"model": "echo", "input": "a"},
                       ("model", "input", "encoding_format", "dimensions")),
    "/v1/rerank": ({"model": "echo", "query": "a", "documents": ["b"]},
                   ("model", "query", "documents", "top_n", "return_documents")),
    "/v1/responses": ({"model": "echo", "input": "a"},
                      ("model", "input", "instructions", "tools", "temperature", "store",
                       "previous_response_id", "max_output_tokens", "text", "stream")),
    "/v1/messages": ({"model": "echo", "max_tokens": 5, "messages": GOOD["messages"]},
                     ("model", "messages", "max_tokens", "system", "tools", "temperature",
                      "stop_sequences", "stream", "thinking", "metadata")),
}


def wrong_types(cloud):
    """No value of any field brings anything but a 2xx or a 4xx."""
    for path, (good, fields) in FIELDS.items():
        bad = []
        for field in fields:
            for value in WRONG:
                a = cloud.ask("POST", path, dict(good, **{field: value}),
                              headers={"anthropic-version": "2023-06-01"})
                if not (200 <= a.status < 300 or 400 <= a.status < 500):
                    bad.append((field, repr(value)[:30], a.status))
        expect(f"wrong types: {path}", not bad, bad)


def unseen(cloud):
    """What a request says is looked at, or refused by its name; nothing is passed over."""
    for path in ("nodes", "storage", "status", "s3/credentials"):
        a = cloud.ask("GET", f"/api/v1/{path}?zzz=1&y")
        expect(f"a parameter that {path} has not", a.status == 400 and
               a.json["error"]["param"] == "zzz", a)
    a = cloud.ask("GET", "/api/v1/keys?project=%01")
    expect("a control character's parameter", told(a) and a.json["error"]["param"] == "project", a)
    for field, value in (("max_tokens", b"1180591620717411303424"), ("temperature", b"1e999"),
                         ("stop", b'"a\\u0000"')):
        a = cloud.ask("POST", CHAT, b'{"%s": %s}' % (field.encode(), value))
        expect(f"{field}: {value}", told(a) and a.json["error"]["param"] == field, a)
    a = cloud.ask("POST", CHAT, GOOD, headers={"Content-Encoding": "gzip"})
    expect("a coding that is not undone", a.status == 415 and told(a), a)
    a = cloud.ask("POST", CHAT, GOOD, headers={"Content-Encoding": "identity"})
    expect("and one that is none", a.status == 200, a)
    for path, allow in ((CHAT, "POST"), ("/v1/models", "GET"), ("/api/v1/keys/x", None)):
        a = cloud.ask("OPTIONS", path)
        methods = a.headers.get("allow", "")
        expect(f"what {path} allows", a.status == 405 and methods == (allow or methods) != "", a)
    for path in ("/v1/messages/batches", "/v1/models/none"):
        a = cloud.ask("GET", path, headers={"anthropic-version": "2023-06-01"})
        expect(f"{path} is refused in Anthropic's form", a.status == 404 and
               a.json["type"] == "error" and a.json["error"]["type"] == "not_found_error", a)
    a = cloud.ask("POST", "/v1/responses/compact", {"model": "echo", "input": "x"})
    expect("what OpenAI has besides is unknown", a.status == 404 and
           a.json["error"]["code"] == "unknown_url", a)


def admin_bodies(cloud):
    bad = []
    for path in ("projects", "keys", "members", "prices", "models", "endpoints", "settings"):
        for body in (b"", b"x", b"[]", b"{}", b'{"name": 5}', b'{"name": "\xff"}', b"[" * 100000,
                     json.dumps({"name": "x" * 100000}).encode()):
            for method in ("POST", "PATCH"):
                a = cloud.ask(method, f"/api/v1/{path}", body)
                fine = (201,) if method == "POST" and body != b"{}" else (200,)  # {}: no change
                if not 400 <= a.status < 500 and a.status not in fine:
                    bad.append((path, method, body[:20], a.status))
    expect("admin: bad bodies are refused", not bad, bad)


def oversized(cloud):
    head = f"POST {CHAT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {cloud.key}\r\n"
    piece = b" " * (1 << 20)
    r = Raw(cloud).send(head + f"Content-Length: {10 << 30}\r\n\r\n")
    for _ in range(16):
        r.send(piece)
    expect("a body of 10 GB is refused", r.status() == 413)
    r = Raw(cloud).send(head + "Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(128):
        r.send(b"100000\r\n" + piece + b"\r\n")
    expect("one in chunks without an end is refused", r.status() == 413)
    status = Raw(cloud).send(head + f"Content-Length: {10 << 30}\r\nExpect: 100-continue\r\n\r\n")
    expect("one that asks first is refused at once", status.status() == 413)
    r = Raw(cloud).send("GET /api/v1/openapi.json HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n")
    expect("one without a key where none is asked for is refused", r.send(b"012345678").status()
           == 413)


def injection(cloud):
    evil = "x\r\nX-Evil: 1"
    for where, a in {
        "model": cloud.ask("POST", CHAT, dict(GOOD, model=evil)),
        "user": cloud.ask("POST", CHAT, dict(GOOD, user=evil)),
        "path": cloud.ask("GET", "/v1/models/x%0d%0aX-Evil:%201"),
        "anthropic": cloud.ask("POST", "/v1/messages", {"model": evil, "max_tokens": 1,
                                                        "messages": GOOD["messages"]}),
    }.items():
        expect(f"no header comes of {where}", "x-evil" not in a.headers and a.status < 500, a)
    a = cloud.ask("GET", "/api/v1/me", headers={"X-Feitian-Role": "operator", "X-Feitian-Key": "k",
                                                "X-Feitian-Project": "p"}, key=None)
    expect("headers that only the gateway may set do not help", a.status == 401, a)
    a = cloud.ask("GET", "/internal/feed?after=0")
    expect("what is internal is not reached", a.status == 404, a)


class Meanwhile:
    """A good client beside the bad ones: how often it asked, how long it waited at most."""

    def __init__(self, cloud):
        self.cloud, self.n, self.bad, self.worst, self.on = cloud, 0, 0, 0.0, True
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while self.on:
            t = time.monotonic()
            try:
                self.bad += self.cloud.ask("POST", CHAT, GOOD).status != 200
            except OSError:
                self.bad += 1
            self.worst = max(self.worst, time.monotonic() - t)
            self.n += 1
            time.sleep(0.01)

    def lacks(self):
        """Was it served less than it should be, before long?"""
        return self.n < SERVED and time.monotonic() - self.begun < PATIENCE_S

    def __enter__(self):
        self.begun = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.on = False
        self.thread.join()


def unknown_keys(cloud):
    """On kept connections, one after the other; each gets its 401."""
    before, statuses = cloud.memory_kb(), {}
    with Meanwhile(cloud) as m:
        conns = [Raw(cloud).s for _ in range(4)]
        sent = 0
        while sent < UNKNOWN_KEYS or m.lacks():
            s = conns[sent % len(conns)]
            key = "sk-ft-" + "".join(random.choices("abcdefXYZ0123", k=43))
            body = b"{}"
            s.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            data = b""
            while b"\r\n\r\n" not in data:
                got = s.recv(65536)
                if not got:
                    break
                data += got
            status = data[9:12]
            statuses[status] = statuses.get(status, 0) + 1
            sent += 1
        for s in conns:
            s.close()
    grown = cloud.memory_kb() - before
    expect("unknown keys get 401 each", statuses == {b"401": sent}, statuses)
    if not sanitized():
        expect("memory stays flat", grown < MEMORY_KB, f"{grown} KB more")
    expect("others are served", m.n >= SERVED and m.bad == 0, (m.n, m.bad, m.worst))


def slow_clients(cloud):
    """Heads and bodies that trickle, and answers that nobody reads, all at once."""
    before = cloud.memory_kb()
    key = f"Authorization: Bearer {cloud.key}\r\n"
    slow = [Raw(cloud, PATIENCE_S) for _ in range(300)]
    for i, r in enumerate(slow):
        if i % 3 == 0:
            r.send("POST /v1/chat/")
        elif i % 3 == 1:
            r.send(f"GET /v1/models HTTP/1.1\r\nHost: h\r\n{key}")
        else:
            r.send(f"POST {CHAT} HTTP/1.1\r\nHost: h\r\n{key}Content-Length: 1000000\r\n\r\n{{")
    lazy = []
    for _ in range(20):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", cloud.port))
        body = json.dumps(dict(GOOD, model="long", stream=True)).encode()
        s.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: h\r\n{key}Content-Length: {len(body)}\r\n\r\n"
                  .encode() + body)
        lazy.append(s)
    with Meanwhile(cloud) as m:
        begun = time.monotonic()
        while time.monotonic() - begun < 20 or m.lacks():  # longer than a head may take
            for i, r in enumerate(slow):
                r.send("X" if i % 3 != 1 else "X: y\r\n")
            time.sleep(0.5)
        grown = cloud.memory_kb() - before
    heads = [r.status() for i, r in enumerate(slow) if i % 3 != 2]
    expect("heads that trickle are cut", set(heads) <= {408, None}, set(heads))
    expect("memory is bounded meanwhile", grown < 64 << 10, f"{grown} KB more")
    expect("others are served meanwhile", m.n >= SERVED and m.bad == 0, (m.n, m.bad, m.worst))
    for s in lazy:
        s.close()
    for r in slow:
        r.s.close()


def many_connections(cloud):
    """Opened and left, with a request or without: nothing stays."""
    for i in range(2000):
        s = socket.create_connection(("127.0.0.1", cloud.port))
        if i % 4 == 1:
            s.sendall(b"GET /v1/models HTTP/1.1\r\nHost: h\r\n")
        elif i % 4 == 2:
            body = json.dumps(dict(GOOD, model="slow", stream=True)).encode()
            s.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {cloud.key}\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        elif i % 4 == 3:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()
    until = time.monotonic() + PATIENCE_S
    while True:
        g = cloud.ask("GET", "/api/v1/status")["gateway"]
        if g["connections"] == 1 and g["exchanges"] == 1 and g["calls_running"] == 0 or \
                time.monotonic() > until:
            break
        time.sleep(0.02)
    expect("connections that are left leave nothing", g["connections"] == 1 and
           g["exchanges"] == 1 and g["calls_running"] == 0, g)


def leaves_during_look_up(cloud):
    """A client that is gone when control tells of the turn before its own."""
    first = cloud.ask("POST", "/v1/responses", {"model": "echo", "input": "hi"})
    body = json.dumps({"model": "slow", "input": "more", "stream": True,
                       "previous_response_id": first["id"]}).encode()
    os.kill(cloud.control.pid, signal.SIGSTOP)
    left = [Raw(cloud).send(f"POST /v1/responses HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "
                            f"{cloud.key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            for _ in range(8)]
    time.sleep(0.5)
    for r in left:
        r.s.close()
    time.sleep(2)  # a client that is gone is noticed within a second
    os.kill(cloud.control.pid, signal.SIGCONT)
    time.sleep(0.5)
    until = time.monotonic() + PATIENCE_S
    while True:
        a = cloud.ask("GET", "/api/v1/status")
        g = a["gateway"] if a.status == 200 else a
        if cloud.gateway.poll() is not None or time.monotonic() > until or (
                a.status == 200 and g["exchanges"] == 1 and g["calls_running"] == 0):
            break
        time.sleep(0.02)
    expect("a client that leaves during a look-up leaves nothing", cloud.gateway.poll() is None and
           a.status == 200 and g["exchanges"] == 1 and g["calls_running"] == 0, g)


def main():
    with tempfile.TemporaryDirectory() as folder, Cloud(sys.argv[1], f"{folder}/home") as cloud:
        cloud.start()
        cloud.endpoint("echo", tokens=4)
        cloud.endpoint("slow", tokens=1000, interval_ms=100)
        cloud.endpoint("long", tokens=60000, interval_ms=0, text="word " * 10000)
        parts = sys.argv[2:]
        for part in (malformed, paths, bodies, wrong_types, unseen, admin_bodies, oversized,
                     injection, unknown_keys, many_connections, leaves_during_look_up,
                     slow_clients):
            if not parts or part.__name__ in parts:
                part(cloud)
        a = cloud.ask("POST", CHAT, GOOD)
        expect("and all is well", a.status == 200 and cloud.gateway.poll() is None, a)
        print(cloud.log()[-2000:] if not all(results) else "")
    print(f"{sum(results)} of {len(results)}")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
