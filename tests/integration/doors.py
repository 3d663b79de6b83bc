#!/usr/bin/python3
"""The gateway's two doors: what a process of the cloud may do through HOME/run/gateway.sock, and
nobody else may.

usage: doors.py FEITIAN
"""
import http.client
import json
import os
import socket
import stat
import sys

import live_cloud

CHAT = {"model": "nano", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8,
        "seed": 1}
failed = 0
passed = 0


def expect(what, ok, seen=None):
    global failed, passed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    passed += bool(ok)
    failed += not ok


class Inside(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("gateway", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def ask(c, inside, method, path, body=None, **headers):
    """(status, headers in lower case, JSON or text)"""
    h = Inside(f"{c.home}/run/gateway.sock") if inside else c.connect(60)
    names = {k.replace("_", "-"): v for k, v in headers.items()}
    h.request(method, path, None if body is None else json.dumps(body),
              {"Content-Type": "application/json", **names})
    r = h.getresponse()
    text = r.read().decode()
    h.close()
    return (r.status, {k.lower(): v for k, v in r.getheaders()},
            json.loads(text) if text.startswith("{") else text)


def records(c, key):
    data = c.get(f"/api/v1/usage/records?key={key}&limit=1000")[1]["data"]
    return {r["id"]: r for r in data}


def main():
    with live_cloud.LiveCloud(sys.argv[1]) as c:
        sock = os.stat(f"{c.home}/run/gateway.sock").st_mode
        expect("the inner door is its user's alone", stat.S_ISSOCK(sock) and sock & 0o777 == 0o600,
               oct(sock))
        made = c.post("/api/v1/keys", {"name": "job"})[1]
        key = made["id"]
        status, _, answer = ask(c, False, "POST", "/v1/chat/completions", CHAT, X_Feitian_Key=key)
        expect("in front an id is no key", status == 401 and
               answer["error"]["code"] == "invalid_api_key", answer)
        status, head, answer = ask(c, True, "POST", "/v1/chat/completions", CHAT,
                                   X_Feitian_Key=key)
        first = head["x-request-id"]
        expect("inside it acts as the key", status == 200 and "x-feitian-record" not in head,
               answer)
        for what, wrong in (("unknown", "key_none"), ("empty", ""), ("a secret", made["secret"])):
            status, _, answer = ask(c, True, "GET", "/v1/models", X_Feitian_Key=wrong)
            expect(f"an id that is {what} is refused", status == 401, answer)
        expect("inside a secret is a key too", ask(
            c, True, "GET", "/v1/models", Authorization=f"Bearer {made['secret']}")[0] == 200)
        expect("and none is none", ask(c, True, "GET", "/v1/models")[0] == 401)

        status, head, answer = ask(c, True, "POST", "/v1/chat/completions", CHAT,
                                   X_Feitian_Key=key, X_Feitian_Batch="batch_a1.7")
        record = json.loads(head.get("x-feitian-record", "{}"))
        expect("a call of a batch tells its record", status == 200 and record["key"] == key and
               record["route"] == "chat.completions" and record["status"] == "ok" and
               record["completion_tokens"] == answer["usage"]["completion_tokens"], record)
        batch = record["id"]
        expect("by the name of its line", batch == head["x-request-id"] == "batch_a1.7", head)
        again = ask(c, True, "POST", "/v1/chat/completions", {**CHAT, "max_tokens": 3},
                    X_Feitian_Key=key, X_Feitian_Batch="batch_a1.7")[2]["usage"]
        status, lines = c.get("/api/v1/requests?batch=batch_a1")
        expect("which is one request however often it is tried", status == 200 and
               [(r["id"], r["batch"], r["completion_tokens"]) for r in lines["data"]] ==
               [(batch, "batch_a1", again["completion_tokens"])], lines)
        status, head, _ = ask(c, True, "POST", "/v1/chat/completions", CHAT, X_Feitian_Key=key,
                              X_Feitian_Batch="1")
        expect("what is no line's name makes none", status == 200 and
               "x-feitian-record" not in head, head)
        status, head, answer = ask(c, False, "POST", "/v1/chat/completions", CHAT,
                                   Authorization=f"Bearer {made['secret']}",
                                   X_Feitian_Batch="batch_a1.8")
        last = head["x-request-id"]
        expect("in front nobody makes a call one of a batch", status == 200 and
               "x-feitian-record" not in head, head)
        seen = live_cloud.wait_until(
            lambda: {first, last} <= records(c, key).keys() and records(c, key), 20,
            "records of the calls")
        expect("it has no other record", batch not in seen, seen.keys())
        expect("it costs half", 2 * record["cost_nanos"] == seen[first]["cost_nanos"] ==
               seen[last]["cost_nanos"] > 0, (record, seen[first]))

        for path in ("/internal/blob/check", "/internal/blob/usage"):
            for method in ("GET", "POST"):
                status, _, answer = ask(c, False, method, path,
                                        Authorization=f"Bearer {c.key}")
                expect(f"in front there is no {method} {path}", status == 404, answer)
        expect("inside there is", ask(c, True, "GET", "/internal/blob/usage")[0] == 200)
        c.request("DELETE", f"/api/v1/keys/{key}")
        status, _, answer = ask(c, True, "GET", "/v1/models", X_Feitian_Key=key)
        expect("a revoked key is none inside either", status == 401, answer)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
