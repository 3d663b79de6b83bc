#!/usr/bin/python3
"""Projects beside each other in a running cloud: keys, roles, limits, budgets, and nothing of one
in another.

usage: tenancy.py FEITIAN
"""
import http.client
import json
import re
import sys
import threading
import time

import live_cloud

CHAT = {"model": "nano", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
failed = 0
passed = 0


def expect(what, ok, seen=None):
    global failed, passed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    passed += bool(ok)
    failed += not ok


def call(c, key, body=None, path="/v1/chat/completions", method="POST", headers=None):
    """(status, headers in lower case, JSON)"""
    h = http.client.HTTPConnection("127.0.0.1", c.port, timeout=60)
    h.request(method, path, json.dumps(body) if body is not None else None,
              {"Authorization": f"Bearer {key}", "Content-Type": "application/json",
               **(headers or {})})
    r = h.getresponse()
    text = r.read().decode()
    h.close()
    return (r.status, {k.lower(): v for k, v in r.getheaders()},
            json.loads(text) if text.startswith("{") else text)


def made(c, path, body):
    status, answer = c.post(f"/api/v1/{path}", body)
    assert status in (200, 201), (path, body, status, answer)
    return answer


def key_of(c, project, **more):
    return made(c, "keys", {"name": "test", "project": project, **more})


# ---- keys ----

def keys(c):
    for name, wrong in (("no key", ""), ("a wrong key", "sk-ft-" + "x" * 43), ("a long key",
                        "k" * 5000)):
        status, _, answer = call(c, wrong, CHAT)
        expect(f"{name} is refused", status == 401 and answer["error"]["code"] == "invalid_api_key",
               (status, answer))
    status, _, answer = call(c, "", CHAT, headers={"x-api-key": c.key, "Authorization": ""})
    expect("a key in x-api-key", status == 200, (status, answer))
    k = key_of(c, "default", models=["nan*"])
    expect("a key's globs allow a model", call(c, k["secret"], CHAT)[0] == 200)
    k = key_of(c, "default", models=["qwen*"])
    status, _, answer = call(c, k["secret"], CHAT)
    expect("... and refuse one", status == 403 and answer["error"]["param"] == "model", (status,
           answer))
    listed = call(c, k["secret"], None, "/v1/models", "GET")[2]["data"]
    expect("... which is not in its list", listed == []
           and call(c, k["secret"], None, "/v1/models/nano", "GET")[0] == 404
           and call(c, c.key, None, "/v1/models/nano", "GET")[0] == 200, listed)
    k = key_of(c, "default", actions=["embeddings"])
    expect("actions refuse", call(c, k["secret"], CHAT)[0] == 403)
    expect("... and allow", call(c, k["secret"], {"model": "nano", "input": "x"},
           "/v1/embeddings")[0] == 200)
    k = key_of(c, "default", actions=["usage"])
    expect("... usage in both its forms", {call(c, k["secret"], None, path, "GET")[0] for path in
           ("/api/v1/usage", "/api/v1/usage/records", "/v1/usage?start_time=0")} == {200}
           and call(c, k["secret"], None, "/api/v1/keys", "GET")[0] == 403)
    k = key_of(c, "default", actions=["models"])
    expect("... and it alone", call(c, k["secret"], None, "/api/v1/usage", "GET")[0] == 403)
    k = key_of(c, "default", expires=int(time.time()) + 1000)
    expect("a key before its end", call(c, k["secret"], CHAT)[0] == 200)
    c.expire(k["id"])
    expect("... and after it", call(c, k["secret"], CHAT)[0] == 401)
    listed = c.get("/api/v1/keys?limit=100")[1]["data"]
    expect("a secret is shown once", not any(k["secret"] in json.dumps(x) for x in listed)
           and all("hash" not in x for x in listed), listed)


def revoking(c):
    k = key_of(c, "default")
    stop, codes = threading.Event(), []

    def go_on():
        while not stop.is_set():
            at = time.monotonic()
            codes.append((at, call(c, k["secret"], None, "/v1/models", "GET")[0]))
    t = threading.Thread(target=go_on)
    t.start()
    live_cloud.wait_until(lambda: len(codes) > 2, 20, "calls with a key")
    status = c.request("DELETE", f"/api/v1/keys/{k['id']}")[0]
    revoked = time.monotonic()
    live_cloud.wait_until(lambda: codes[-3][0] > revoked, 20, "calls after its end")
    stop.set()
    t.join()
    expect("revoking is answered", status in (200, 204), status)
    after = [s for at, s in codes if at > revoked]
    expect("a revoked key is dead when that is answered", after and set(after) == {401}, after[:5])
    expect("... and worked before", codes[0][1] == 200, codes[0])


# ---- roles ----

def roles(c):
    made(c, "projects", {"name": "left"})
    made(c, "projects", {"name": "right"})
    admin = key_of(c, "left", role="admin")
    developer = key_of(c, "left", role="developer")
    viewer = key_of(c, "left", role="viewer")
    other = key_of(c, "right", role="admin")
    expect("a viewer does not chat", call(c, viewer["secret"], CHAT)[0] == 403)
    expect("a viewer sees models", call(c, viewer["secret"], None, "/v1/models", "GET")[0] == 200)
    expect("a developer chats", call(c, developer["secret"], CHAT)[0] == 200)
    status = call(c, developer["secret"], {"name": "x"}, "/api/v1/projects")[0]
    expect("a developer makes no projects", status == 403, status)
    status = call(c, admin["secret"], {"name": "x"}, "/api/v1/projects")[0]
    expect("an admin makes no projects", status == 403, status)
    status, _, k = call(c, admin["secret"], {"name": "mine"}, "/api/v1/keys")
    expect("an admin makes keys of the project", status in (200, 201) and k["project"] == "left", k)
    status, _, answer = call(c, admin["secret"], {"name": "theirs", "project": "right"},
                             "/api/v1/keys")
    expect("... and of no other", status in (400, 403, 404), (status, answer))
    for path in (f"/api/v1/keys/{other['id']}", "/api/v1/projects/right"):
        status = call(c, admin["secret"], None, path, "GET")[0]
        expect(f"another project's things are not there: {path.split('/')[3]}", status == 404,
               status)
    status, _, answer = call(c, admin["secret"], None, "/api/v1/keys", "GET")
    expect("lists are of the own project", all(x["project"] == "left" for x in answer["data"]),
           answer)
    status = call(c, admin["secret"], {"name": "up", "role": "operator"}, "/api/v1/keys")[0]
    expect("nobody makes a key above the own", status in (400, 403), status)
    status, _, answer = call(c, admin["secret"], None, "/api/v1/me", "GET",
                             {"X-Feitian-Role": "operator", "X-Feitian-Project": "right"})
    expect("who one is cannot be said by oneself", answer.get("role") == "admin"
           and "right" not in json.dumps(answer), answer)
    return developer["secret"], other["secret"]


def apart(c, left, right):
    """What one project did is not seen, felt or reached by another."""
    long = "Tell me, in this very conversation, about everything that you know. " * 12
    body = dict(CHAT, messages=[{"role": "user", "content": long}], temperature=0)
    first = call(c, left, body)[2]["usage"]["prompt_tokens_details"]["cached_tokens"]
    again = call(c, left, body)[2]["usage"]["prompt_tokens_details"]["cached_tokens"]
    theirs = call(c, right, body)[2]["usage"]["prompt_tokens_details"]["cached_tokens"]
    expect("a project finds its own prompt in the prefix cache", first == 0 and again > 0,
           (first, again))
    expect("... and no other does", theirs == 0, theirs)
    status, _, r = call(c, left, {"model": "nano", "input": "Hello", "store": True},
                        "/v1/responses")
    path = f"/v1/responses/{r['id']}"
    expect("a stored response is there", call(c, left, None, path, "GET")[0] == 200)
    expect("... for its project alone", call(c, right, None, path, "GET")[0] == 404)
    body = {"model": "nano", "input": "Again", "previous_response_id": r["id"]}
    expect("... to go on from", call(c, left, body, "/v1/responses")[0] == 200)
    status, _, answer = call(c, right, body, "/v1/responses")
    expect("... and for nobody else", status in (400, 404), (status, answer))
    expect("... and still there when it was asked for by HEAD",
           call(c, left, None, path, "HEAD")[0] == 200
           and call(c, left, None, path, "GET")[0] == 200)
    for query, param in (("?stream=true", "stream"), ("?include[]=x", "include[]"),
                         ("/input_items?before=x", "before")):
        status, _, answer = call(c, left, None, path + query, "GET")
        expect(f"{query} is refused by its name",
               status == 400 and answer["error"]["param"] == param, answer)
    expect("?stream=false is not", call(c, left, None, f"{path}?stream=false", "GET")[0] == 200)
    expect("... nor to delete", call(c, right, None, path, "DELETE")[0] == 404
           and call(c, left, None, path, "DELETE")[0] == 200)
    expect("... and gone then", call(c, left, None, path, "GET")[0] == 404)
    made(c, "endpoints", {"name": "theirs", "project": "right", "targets": [{"model": "nano"}]})
    expect("a project's endpoint is called by it", call(c, right, dict(CHAT,
           model="theirs"))[0] == 200)
    status, _, answer = call(c, left, dict(CHAT, model="theirs"))
    expect("... and unknown to others", status == 404
           and answer["error"]["code"] == "model_not_found",
           (status, answer))
    names = [m["id"] for m in call(c, left, None, "/v1/models", "GET")[2]["data"]]
    expect("... also in their lists", "theirs" not in names and "nano" in names, names)
    whole = c.get("/api/v1/status")[1]
    status, _, seen = call(c, left, None, "/api/v1/status", "GET")
    ids = [e["id"] for e in seen["serving"]["endpoints"]]
    expect("... and in the live state", status == 200 and "nano" in ids and "right" not in
           json.dumps(seen) and "right" in json.dumps(whole), seen)
    expect("... whose rest is for operators", {"ledger", "tenants"} <= set(whole) and
           whole["serving"]["workers"] and not {"ledger", "tenants"} & set(seen) and
           "workers" not in seen["serving"], seen)


# ---- limits ----

def limits(c):
    k = key_of(c, "default", limits={"rpm": 3})
    seen = [call(c, k["secret"], CHAT) for _ in range(4)]
    expect("requests a minute", [s for s, _, _ in seen] == [200, 200, 200, 429], [s for s, _,
           _ in seen])
    status, h, answer = seen[-1]
    error = answer["error"]
    expect("a 429 says why and when", error["code"] == "rate_limit_exceeded"
           and error["type"] == "requests"
           and int(h["retry-after"]) > 0 and int(h["retry-after-ms"]) > 0, (h, error))
    expect("limits are in the headers", [x[1].get("x-ratelimit-remaining-requests") for x in seen]
           == ["2", "1", "0", "0"] and h["x-ratelimit-limit-requests"] == "3", [x[1] for x in seen])
    c.request("PATCH", f"/api/v1/keys/{k['id']}", {"limits": {"rpm": 1000}})
    expect("a changed limit holds at once", call(c, k["secret"], CHAT)[0] == 200)
    k = key_of(c, "default", limits={"tpm": 20})
    status, h, answer = call(c, k["secret"], dict(CHAT, max_tokens=4000))
    expect("more than a minute's tokens are refused", status == 429
           and answer["error"]["type"] == "tokens"
           and h["x-should-retry"] == "false", (status, h, answer))
    k = key_of(c, "default", limits={"concurrency": 1})
    endpoint(c, "slow", {"text": "one two", "tokens": 4000, "interval_ms": 100})
    h = http.client.HTTPConnection("127.0.0.1", c.port, timeout=60)
    h.request("POST", "/v1/chat/completions",
              json.dumps(dict(CHAT, model="slow", max_tokens=4000, stream=True)),
              {"Authorization": f"Bearer {k['secret']}", "Content-Type": "application/json"})
    first = h.getresponse().readline()
    status, _, answer = call(c, k["secret"], CHAT)
    h.close()
    expect("calls at a time", first.startswith(b"data: ") and status == 429,
           (first, status, answer))
    live_cloud.wait_until(lambda: call(c, k["secret"], CHAT)[0] == 200, 20,
                          "another when it is over")


def endpoint(c, name, script):
    made(c, "endpoints", {"name": name, "targets": [{"script": script}]})


def budgets(c):
    made(c, "prices", {"model": "dear", "input": "0", "output": "1000000"})
    endpoint(c, "dear", {"text": "a b c d", "tokens": 4, "interval_ms": 0})
    k = key_of(c, "default", budget={"day": "10"})
    codes = [call(c, k["secret"], dict(CHAT, model="dear", max_tokens=4)) for _ in range(5)]
    expect("a budget of 10 takes three calls for 4 each, no fourth",
           [s for s, _, _ in codes] == [200, 200, 200, 429, 429], [s for s, _, _ in codes])
    status, h, answer = codes[-1]
    expect("... and says that it is the budget", answer["error"]["code"] == "insufficient_quota"
           and h["x-should-retry"] == "false", (h, answer))
    price = made(c, "prices", {"model": "nano", "input": "1000", "output": "1000000"})
    admin = key_of(c, "left", role="admin")
    status = call(c, admin["secret"], {"name": "bargain", "targets": [{"model": "nano"}]},
                  "/api/v1/endpoints")[0]
    call(c, admin["secret"], dict(CHAT, model="bargain", max_tokens=4))
    cost = live_cloud.wait_until(lambda: c.get("/api/v1/usage/records?model=bargain")[1]["data"],
                                 10, "a record")[0]
    expect("another name for a model costs what the model does", status == 201
           and cost["cost_nanos"] == 10**6 * cost["prompt_tokens"]
           + 10**9 * cost["completion_tokens"], cost)
    c.request("DELETE", f"/api/v1/prices/{price['id']}")
    expect("what is free is not stopped by it", call(c, k["secret"], None, "/v1/models",
           "GET")[0] == 200)
    c.kill("gateway")
    live_cloud.wait_until(lambda: alive(c), 20, "another gateway")
    status = call(c, k["secret"], dict(CHAT, model="dear", max_tokens=4))[0]
    expect("what was spent outlives the gateway", status == 429, status)
    c.request("PATCH", f"/api/v1/keys/{k['id']}", {"budget": {"day": "100"}})
    status = call(c, k["secret"], dict(CHAT, model="dear", max_tokens=4))[0]
    expect("a raised budget holds at once", status == 200, status)

    def spent():
        # of this key: 16 tokens at 1 each
        rows = c.get(f"/api/v1/usage?group_by=key&key={k['id']}")
        return rows if rows[0] == 200 and '"completion_tokens": 16' in json.dumps(rows[1]) else None
    try:
        rows = live_cloud.wait_until(spent, 10, "usage")
        expect("the ledger has it all", "16" in json.dumps(rows[1]), rows)
    except AssertionError:
        expect("the ledger has it all", False, c.get(f"/api/v1/usage?group_by=key&key={k['id']}"))


def alive(c):
    try:
        return c.get("/v1/models")[0] == 200
    except OSError:
        return False


def audit(c):
    status, log = c.get("/api/v1/audit?limit=100")
    text = json.dumps(log)
    expect("changes are in the audit log", status == 200 and "key" in text and "left" in text,
           text[:500])
    shown = re.findall(r"sk-ft-\w*", text)
    expect("... without secrets", '"hash"' not in text and all(len(x) <= 12 for x in shown), shown)


def main():
    with live_cloud.LiveCloud(sys.argv[1]) as c:
        keys(c)
        revoking(c)
        left, right = roles(c)
        apart(c, left, right)
        limits(c)
        budgets(c)
        audit(c)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
