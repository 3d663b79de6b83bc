#!/usr/bin/python3
"""Files, uploads and batches through the gateway: objects, errors, every end that a batch has.

usage: batches.py FEITIAN
"""
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

import jsonschema

from control_client import expect, results
from gateway_client import Cloud, wait_until

WAIT_S = 300
LINES = 400
QUICK = 40  # of a long batch: done soon; the others take minutes
ENDED = ("completed", "failed", "expired", "cancelled")


def form(fields, name, content, field="file"):
    """(type, body) of multipart/form-data; the file comes first, as OpenAI's client sends it."""
    b = "feitian-test"
    out = (f"--{b}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n"
           "Content-Type: application/octet-stream\r\n\r\n").encode() + content + b"\r\n"
    for k, v in fields.items():
        out += f"--{b}\r\nContent-Disposition: form-data; name=\"{k}\"\r\n\r\n{v}\r\n".encode()
    return f"multipart/form-data; boundary={b}", out + f"--{b}--\r\n".encode()


class Batches:
    """What a client does, as a key of the cloud."""
    schema = None

    def __init__(self, cloud, key=""):
        self.cloud, self.key = cloud, key

    def ask(self, method, path, body=None, **more):
        return self.cloud.ask(method, path, body, key=self.key, **more)

    def put(self, content, purpose="batch", name="in.jsonl", **fields):
        kind, body = form({"purpose": purpose, **fields}, name, content)
        return self.ask("POST", "/v1/files", body, headers={"Content-Type": kind})

    def content(self, file):
        a = self.ask("GET", f"/v1/files/{file}/content")
        assert a.status == 200, a
        return a.body

    def lines(self, file):
        return [json.loads(line) for line in self.content(file).splitlines()] if file else []

    def create(self, file, endpoint="/v1/chat/completions", window="24h", **more):
        return self.ask("POST", "/v1/batches", {"input_file_id": file, "endpoint": endpoint,
                                                "completion_window": window, **more})

    def get(self, batch):
        """Held to the API's document."""
        a = self.ask("GET", f"/v1/batches/{batch}")
        assert a.status == 200, a
        if Batches.schema is None:
            doc = self.ask("GET", "/api/v1/openapi.json").json
            Batches.schema = {"$ref": "#/components/schemas/Batch",
                              "components": doc["components"]}
        jsonschema.validate(a.json, Batches.schema)
        return a.json

    def wait(self, batch, states=ENDED, seconds=WAIT_S):
        return self.until(batch, lambda b: b["status"] in states, seconds)

    def until(self, batch, what, seconds=WAIT_S):
        """The batch, once that is true of it."""
        until = time.monotonic() + seconds
        while True:
            b = self.get(batch)
            if what(b):
                return b
            assert time.monotonic() < until, b
            time.sleep(0.05)

    def has_begun(self, batch):
        return self.until(batch, lambda b: b["request_counts"]["completed"] >= QUICK // 2)

    def run(self, content, **more):
        f = self.put(content)
        assert f.status == 200, f
        b = self.create(f["id"], **more)
        assert b.status == 200, b
        return b.json


def line(i, body=None, url="/v1/chat/completions", **more):
    body = body or {"model": "s", "messages": [{"role": "user", "content": f"line {i}"}]}
    return json.dumps({"custom_id": f"c{i}", "method": "POST", "url": url, "body": body, **more})


def jsonl(lines):
    return ("\n".join(lines) + "\n").encode()


def long_one():
    """Lines of a batch that has begun soon, and is not done before something ends it."""
    slow = {"model": "slow", "messages": [{"role": "user", "content": "x"}]}
    return jsonl([line(i, None if i < QUICK else slow) for i in range(LINES)])


def records(cloud, batch):
    """The ledger's, of a batch: [(line, prompt, completion, cost, status)]"""
    with sqlite3.connect(f"file:{cloud.home}/state/state.db?mode=ro", uri=True) as db:
        rows = db.execute("SELECT id, prompt_tokens, completion_tokens, cost_nanos, status FROM"
                          " usage_records WHERE id LIKE ?", (f"{batch}.%",)).fetchall()
    return [(int(r[0].rsplit(".", 1)[1]), *r[1:]) for r in rows]


def number(answer):
    """Of the line that is answered: lines() of completes() are in the order of their custom ids."""
    return int(answer["custom_id"][1:]) + 1


def pages(c, query):
    """The list of requests, page by page to its end."""
    found, after = [], ""
    while True:
        page = c.ask("GET", f"/api/v1/requests?{query}{after}")
        assert page.status == 200, page
        found += page["data"]
        if not page["has_more"]:
            return found
        after = f"&after={page['next']}"


def listed(c, batch, n):
    """Every line is one request in the list, by a name of its own, and no other is with them."""
    found = pages(c, f"batch={batch}&limit=70")
    expect("each line is one request", sorted(r["id"] for r in found) ==
           sorted(f"{batch}.{i + 1}" for i in range(n)), [r["id"] for r in found])
    expect("that names its batch", all(r["batch"] == batch for r in found), found[0])
    of = {r["id"]: r for r in found}
    bad = of[f"{batch}.10"]
    expect("the refused ones say why", bad["status"] == "refused" and bad["http"] == 404 and
           bad["error"]["code"] == "model_not_found", bad)
    every = pages(c, "route=chat.completions&limit=1000")
    ids = [r["id"] for r in every]
    begun = min(r["start"] for r in found)
    expect("once in the list of all", len(ids) == len(set(ids)) and set(of) <= set(ids) | {
        r["id"] for r in found if r["http"] == 400} and
           not [r for r in every if r["batch"] is None and r["start"] >= begun], ids[:9])
    expect("none of another batch",
           c.ask("GET", f"/api/v1/requests?batch={batch}x")["data"] == [])
    one = c.ask("GET", f"/api/v1/requests/{batch}.1")
    expect("explained by its name", one["id"] == f"{batch}.1" and one["explanation"], one)


# ---- files and uploads ----

def files(c):
    me = Batches(c)
    a = me.put(b"hello", "user_data", "a.txt")
    expect("a file", a.status == 200 and a["object"] == "file" and a["bytes"] == 5 and
           a["filename"] == "a.txt" and a["status"] == "processed", a)
    expect("its content", me.content(a["id"]) == b"hello")
    expect("shown", me.ask("GET", f"/v1/files/{a['id']}").json == a.json)
    big = bytes(range(256)) * (64 << 10)  # 16 MiB
    b = me.put(big, "user_data", "big", **{"expires_after[anchor]": "created_at",
                                           "expires_after[seconds]": "3600"})
    expect("a large one, which goes by itself",
           b.status == 200 and b["expires_at"] == b["created_at"] + 3600, b)
    expect("is the same", me.content(b["id"]) == big)
    ids = [f["id"] for f in me.ask("GET", "/v1/files?purpose=user_data")["data"]]
    expect("listed, newest first", ids == [b["id"], a["id"]], ids)
    page = me.ask("GET", "/v1/files?limit=1&order=asc")
    expect("by pages", [f["id"] for f in page["data"]] == [a["id"]] and page["has_more"], page)
    bad = me.put(b'{"a":1}\n{"a":}\n')
    expect("JSON Lines are checked", bad.status == 400 and "line 2" in bad["error"]["message"] and
           bad["error"]["param"] == "file", bad)
    for n in 300, 1500, 10000:
        no = me.put(b"x", "user_data", "n" * n)
        expect(f"a name of {n} bytes is not a full store", no.status == 400 and
               no["error"]["param"] == "file", no)
    no = me.ask("POST", "/v1/files", {"purpose": "batch"})
    expect("no form", no.status == 400 and no["error"]["type"] == "invalid_request_error", no)
    head = me.ask("HEAD", f"/v1/files/{a['id']}/content")
    expect("its head", head.status == 200 and head.headers["content-length"] == "5" and
           head.body == b"" and 'filename="a.txt"' in head.headers["content-disposition"], head)
    gone = me.ask("DELETE", f"/v1/files/{a['id']}")
    expect("deleted", gone.json == {"id": a["id"], "object": "file", "deleted": True}, gone)
    gone = me.ask("GET", f"/v1/files/{a['id']}")
    expect("and gone", gone.error() == (404, "id", None) or gone.status == 404, gone)
    expect("without a key there is nothing",
           c.ask("GET", "/v1/files", key=None).status == 401)
    before = c.memory_kb("VmHWM")
    me.put(big * 8, "user_data", "huge")
    expect("128 MiB pass through", c.memory_kb("VmHWM") - before < 32 << 10,
           c.memory_kb("VmHWM") - before)


def uploads(c):
    me = Batches(c)
    data = b"0123456789" * 100000
    u = me.ask("POST", "/v1/uploads", {"filename": "u.bin", "purpose": "user_data",
                                       "bytes": len(data), "mime_type": "text/plain"})
    expect("an upload", u.status == 200 and u["status"] == "pending" and u["object"] == "upload", u)
    parts = []
    for at in (400000, 0):  # in any order
        kind, body = form({}, "blob", data[at:at + 400000] if at == 0 else data[at:], "data")
        p = me.ask("POST", f"/v1/uploads/{u['id']}/parts", body, headers={"Content-Type": kind})
        expect("a part", p.status == 200 and p["upload_id"] == u["id"], p)
        parts.insert(0, p["id"])
    path = f"/v1/uploads/{u['id']}/complete"
    bad = me.ask("POST", path, {"part_ids": parts, "md5": hashlib.md5(b"no").hexdigest()})
    expect("another checksum is refused", bad.status == 400 and bad["error"]["param"] == "md5", bad)
    done = me.ask("POST", path, {"part_ids": parts, "md5": hashlib.md5(data).hexdigest()})
    expect("completed", done.status == 200 and done["status"] == "completed" and
           done["file"]["bytes"] == len(data), done)
    expect("in the order that was named", me.content(done["file"]["id"]) == data)
    expect("once", me.ask("POST", path, {"part_ids": parts}).status == 400)
    u = me.ask("POST", "/v1/uploads", {"filename": "u", "purpose": "vision", "bytes": 1,
                                       "mime_type": "image/png"})
    gone = me.ask("POST", f"/v1/uploads/{u['id']}/cancel", {})
    expect("cancelled", gone.status == 200 and gone["status"] == "cancelled", gone)


# ---- batches ----

def completes(c):
    me = Batches(c)
    n = 300
    lines = [line(i) for i in range(n)]
    lines[7] = line(7, {"model": "s", "messages": [], "temperature": 9})
    lines[9] = line(9, {"model": "nobody", "messages": [{"role": "user", "content": "x"}]})
    b = me.run(jsonl(lines), metadata={"a": "b"})
    expect("a batch", b["object"] == "batch" and b["status"] == "validating" and
           b["expires_at"] == b["created_at"] + 86400 and b["metadata"] == {"a": "b"} and
           b["output_file_id"] is None and b["errors"] is None, b)
    done = me.wait(b["id"])
    expect("completes", done["status"] == "completed" and done["model"] == "s" and
           done["request_counts"] == {"total": n, "completed": n - 2, "failed": 2}, done)
    out, err = me.lines(done["output_file_id"]), me.lines(done["error_file_id"])
    expect("every line is answered once", sorted(r["custom_id"] for r in out + err) ==
           sorted(f"c{i}" for i in range(n)))
    expect("as a call is", all(r["response"]["status_code"] == 200 and r["error"] is None and
                               r["response"]["body"]["object"] == "chat.completion" and
                               r["response"]["request_id"] == f"{b['id']}.{number(r)}"
                               for r in out), out[0])
    byid = {r["custom_id"]: r["response"] for r in err}
    expect("or refused as it would be", byid["c7"]["status_code"] == 400 and
           byid["c7"]["body"]["error"]["param"] in ("messages", "temperature") and
           byid["c9"]["status_code"] == 404, byid)
    listed(c, b["id"], n)
    usage = [r["response"]["body"]["usage"] for r in out]
    rows = records(c, b["id"])
    prompt, completion = (sum(u[k] for u in usage) for k in ("prompt_tokens", "completion_tokens"))
    expect("the ledger has each line once", sorted(r[0] for r in rows) == list(range(1, n + 1)))
    expect("with what it used", (sum(r[1] for r in rows), sum(r[2] for r in rows)) ==
           (prompt, completion), (rows[:3], prompt, completion))
    expect("and at half the price", sum(r[3] for r in rows) ==
           sum((u["prompt_tokens"] * 100 + u["completion_tokens"] * 400) // 2 for u in usage),
           sum(r[3] for r in rows))
    expect("as the batch says", done["usage"]["input_tokens"] == prompt and
           done["usage"]["output_tokens"] == completion, done["usage"])
    f = me.ask("GET", f"/v1/files/{done['output_file_id']}")
    expect("its output is a file", f["purpose"] == "batch_output", f)
    c.ask("PATCH", "/api/v1/settings", {"batch_price": "0.25"})
    again = me.wait(me.run(jsonl([line(i) for i in range(10)]))["id"])
    usage = [r["response"]["body"]["usage"] for r in me.lines(again["output_file_id"])]
    expect("or at another part of it", sum(r[3] for r in records(c, again["id"])) ==
           sum((u["prompt_tokens"] * 100 + u["completion_tokens"] * 400) // 4 for u in usage))
    c.ask("PATCH", "/api/v1/settings", {"batch_price": "0.5"})
    return b["id"]


def endpoints(c):
    me = Batches(c)
    for url, body in (("/v1/completions", {"model": "s", "prompt": "x"}),
                      ("/v1/embeddings", {"model": "s", "input": "x"}),
                      ("/v1/responses", {"model": "s", "input": "x"}),
                      ("/v1/rerank", {"model": "s", "query": "x", "documents": ["a", "b"]})):
        b = me.run(jsonl([line(0, body, url), line(1, body, url)]), endpoint=url)
        done = me.wait(b["id"])
        out = me.lines(done["output_file_id"])
        expect(f"batches of {url}", done["request_counts"]["completed"] == 2 and
               all(r["response"]["status_code"] == 200 for r in out), (done, out))


def refused(c):
    me = Batches(c)
    f = me.put(jsonl([line(0)]))["id"]
    other = me.put(b"x", "user_data")["id"]
    for what, a, param in (
            ("no such file", me.create("file-nobody"), "input_file_id"),
            ("of another purpose", me.create(other), "input_file_id"),
            ("no such endpoint", me.create(f, "/v1/images"), "endpoint"),
            ("no such window", me.create(f, window="soon"), "completion_window"),
            ("metadata", me.create(f, metadata={"a": 1}), "metadata"),
            ("unknown member", me.create(f, color="red"), "color"),
            ("no file", me.ask("POST", "/v1/batches", {"endpoint": "/v1/embeddings"}),
             "input_file_id")):
        expect(f"refused: {what}", a.status == 400 and a["error"]["param"] == param, a)
    expect("no such batch", me.ask("GET", "/v1/batches/batch_x").status == 404)
    lines = [line(0), line(0), line(1, method="GET"), line(2, url="/v1/embeddings"),
             line(3, {"messages": []}), line(4, {"model": "s", "stream": True, "messages": []}),
             json.dumps({"method": "POST"})]
    b = me.wait(me.run(jsonl(lines))["id"])
    errors = {(e["line"], e["code"]) for e in b["errors"]["data"]}
    expect("an input with faults fails, and every fault is told",
           b["status"] == "failed" and b["failed_at"] and errors >= {
               (2, "duplicate_custom_id"), (4, "invalid_url"),
               (5, "missing_required_parameter"), (6, "unsupported_value"),
               (7, "missing_required_parameter")}, b)
    expect("nothing was run", b["request_counts"]["total"] == 0 and not records(c, b["id"]), b)


def lists(c, first):
    me = Batches(c)
    page = me.ask("GET", "/v1/batches?limit=2")
    rest = me.ask("GET", f"/v1/batches?limit=100&after={page['last_id']}")
    none = me.ask("GET", "/v1/batches?after=unknown")
    expect("behind one that is not there", none.status == 200 and none["data"] == [], none)
    ids = [b["id"] for b in page["data"] + rest["data"]]
    expect("listed, newest first", ids == sorted(ids, reverse=True) and ids[-1] == first and
           page["has_more"] and not rest["has_more"], ids)
    expect("bounds of the list", me.ask("GET", "/v1/batches?limit=101").status == 400)


def cancelled(c):
    me = Batches(c)
    b = me.run(long_one())
    me.has_begun(b["id"])
    a = me.ask("POST", f"/v1/batches/{b['id']}/cancel")
    expect("cancelling", a.status == 200 and a["status"] == "cancelling" and a["cancelling_at"], a)
    done = me.wait(b["id"])
    out = me.lines(done["output_file_id"])
    expect("cancelled; what was done is kept", done["status"] == "cancelled" and
           QUICK // 2 <= len(out) < LINES and
           done["request_counts"]["completed"] == len(out), done)
    expect("and billed, once each", len(records(c, b["id"])) == len(out))
    again = me.ask("POST", f"/v1/batches/{b['id']}/cancel")
    expect("not twice", again.status == 409, again)


def expired(c):
    me = Batches(c)
    b = me.run(long_one(), window="5s")
    done = me.wait(b["id"])
    out, err = me.lines(done["output_file_id"]), me.lines(done["error_file_id"])
    expect("expired; the rest says so", done["status"] == "expired" and done["expired_at"] and
           len(out) + len(err) == LINES and
           all(r["error"]["code"] == "batch_expired" and r["response"] is None for r in err) and
           done["request_counts"] == {"total": LINES, "completed": len(out), "failed": len(err)},
           done)


def keys(c):
    made = c.ask("POST", "/api/v1/keys", {"name": "gone", "role": "developer"})
    me = Batches(c, made["secret"])
    b = me.run(long_one())
    me.has_begun(b["id"])
    expect("a key is revoked", c.ask("DELETE", f"/api/v1/keys/{made['id']}").status == 200)
    mine = Batches(c)  # of the same project
    done = mine.wait(b["id"])
    out, err = mine.lines(done["output_file_id"]), mine.lines(done["error_file_id"])
    expect("its batch fails, says why, and keeps what is done",
           done["status"] == "failed" and done["errors"]["data"][0]["code"] == "invalid_api_key" and
           len(out) >= QUICK // 2 and len(out) + len(err) == LINES and
           err[0]["error"]["code"] == "invalid_api_key", done)

    made = c.ask("POST", "/api/v1/keys", {"name": "poor", "role": "developer",
                                          "budget": {"day": "0.00002"}})
    poor = Batches(c, made["secret"])
    b = poor.run(jsonl([line(i) for i in range(50)]))
    now = poor.until(b["id"], lambda b: b["errors"])
    expect("a budget is used up: the batch waits and says so", now["status"] == "in_progress" and
           now["errors"]["data"][0]["code"] == "insufficient_quota" and
           now["request_counts"]["completed"] < 50, now)
    c.ask("PATCH", f"/api/v1/keys/{made['id']}", {"budget": {"day": "10"}})
    done = poor.wait(b["id"])
    expect("and goes on when there is one", done["status"] == "completed" and
           done["request_counts"]["completed"] == 50 and done["errors"] is None, done)

    made = c.ask("POST", "/api/v1/keys", {"name": "slow", "role": "developer",
                                          "limits": {"concurrency": 2}})
    done = Batches(c, made["secret"])
    done = done.wait(done.run(jsonl([line(i) for i in range(60)]))["id"])
    expect("limits of the key are kept, not failed at",
           done["request_counts"] == {"total": 60, "completed": 60, "failed": 0}, done)


def projects(c):
    me = Batches(c)
    viewer = c.ask("POST", "/api/v1/keys", {"name": "viewer", "role": "viewer"})["secret"]
    her = Batches(c, viewer)
    f = me.put(jsonl([line(0)]))["id"]
    b = me.ask("GET", "/v1/batches?limit=1")["data"][0]
    expect("viewers read", her.ask("GET", f"/v1/files/{f}").status == 200 and
           her.get(b["id"])["id"] == b["id"])
    expect("and make nothing", her.put(b"x").status == 403 and her.create(f).status == 403 and
           her.ask("DELETE", f"/v1/files/{f}").status == 403 and
           her.ask("POST", f"/v1/batches/{b['id']}/cancel").status == 403)
    assert c.ask("POST", "/api/v1/projects", {"name": "other"}).status == 201
    key = c.ask("POST", "/api/v1/keys", {"name": "o", "project": "other", "role": "developer"})
    other = Batches(c, key["secret"])
    expect("another project sees none of it", other.ask("GET", f"/v1/files/{f}").status == 404 and
           other.ask("GET", f"/v1/batches/{b['id']}").status == 404 and
           other.ask("GET", "/v1/batches")["data"] == [] and
           other.ask("POST", f"/v1/batches/{b['id']}/cancel").status == 404 and
           other.create(f).status == 400)
    f = other.put(jsonl([line(i) for i in range(20)]))["id"]
    limit = {"limits": {"storage_bytes": 1}}
    assert c.ask("PATCH", "/api/v1/projects/other", limit).status == 200
    full = other.put(b"xx", "user_data")
    expect("a project that is full takes no files", full.status == 413, full)
    done = other.wait(other.create(f)["id"])
    expect("but results, which were paid for", done["status"] == "completed" and
           len(other.lines(done["output_file_id"])) == 20, done)
    limit = {"limits": {"storage_bytes": None}}
    assert c.ask("PATCH", "/api/v1/projects/other", limit).status == 200
    running = other.run(long_one())
    other.has_begun(running["id"])
    events = c.ask("GET", "/api/v1/audit?kind=batch&limit=100")
    seen = {e["action"] for e in events["data"] if e["target"] == running["id"]}
    expect("the audit log has its life", {"batch.create", "batch.update"} <= seen, events)
    gone = c.ask("DELETE", "/api/v1/projects/other?cascade=true")
    expect("a project goes with its batches", gone.status == 200, gone)
    wait_until(lambda: not os.path.exists(f"{c.home}/batches/{running['id']}"), "which end")


def cli(c, folder):
    def run(*words):
        env = {**os.environ, "FEITIAN_URL": f"http://127.0.0.1:{c.port}", "FEITIAN_API_KEY": c.key,
               "TZ": "UTC"}
        return subprocess.run([c.program, *words], capture_output=True, text=True, timeout=WAIT_S,
                              env=env, cwd=folder)

    path = f"{folder}/requests.jsonl"
    with open(path, "wb") as f:
        f.write(jsonl([line(i) for i in range(20)] + [line(20, {"model": "nobody",
                                                                "messages": [{"role": "user",
                                                                              "content": "x"}]})]))
    r = run("batch", "create", path, "--wait", "--json")
    b = json.loads(r.stdout or "{}")
    expect("feitian batch create --wait", r.returncode == 0 and b.get("status") == "completed", r)
    r = run("batch", "ls")
    expect("feitian batch ls", b["id"] in r.stdout and "LINES" in r.stdout, r)
    r = run("batch", "show", b["id"])
    expect("feitian batch show", "21 of 21 done, 1 of them failed" in r.stdout, r)
    r = run("batch", "results", b["id"])
    expect("feitian batch results", len(r.stdout.splitlines()) == 20, r)
    r = run("batch", "results", b["id"], "--errors", "-o", "errors.jsonl")
    with open(f"{folder}/errors.jsonl") as f:
        expect("feitian batch results --errors", json.loads(f.read())["custom_id"] == "c20", r)
    r = run("batch", "cancel", b["id"])
    expect("feitian batch cancel", r.returncode != 0 and "completed" in r.stderr, r)
    r = run("files", "put", path, "--purpose", "batch", "--json")
    file = json.loads(r.stdout or "[{}]")[0]
    expect("feitian files put", r.returncode == 0 and file.get("purpose") == "batch", r)
    r = run("files", "ls", "--purpose", "batch")
    expect("feitian files ls", file["id"] in r.stdout and "batch_output" not in r.stdout, r)
    r = run("files", "get", file["id"], "-o", "-")
    with open(path) as f:
        expect("feitian files get", r.stdout == f.read(), r.stderr)
    r = run("files", "rm", file["id"])
    expect("feitian files rm", r.returncode == 0 and file["id"] in r.stdout, r)
    r = run("files", "get", file["id"])
    expect("what is gone is said", r.returncode != 0 and "No such File" in r.stderr, r)


def main(program):
    folder = tempfile.mkdtemp(prefix="feitian-batches-")
    try:
        with Cloud(program, f"{folder}/home").start() as c:
            c.endpoint("s", tokens=5)
            c.endpoint("slow", tokens=3, interval_ms=2000)
            files(c)
            uploads(c)
            first = completes(c)
            endpoints(c)
            refused(c)
            lists(c, first)
            cancelled(c)
            expired(c)
            keys(c)
            projects(c)
            cli(c, folder)
            if not all(results):
                print(c.log()[-4000:])
                with open(f"{c.home}/control.log") as f:
                    print(f.read()[-4000:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{sum(results)} of {len(results)} hold")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
