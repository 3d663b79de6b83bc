#!/usr/bin/python3
"""`feitian control`: the admin API by its document, roles, the feed, stored responses, a store in
trouble, kills.

usage: control.py FEITIAN PROJECT_ROOT
"""
import concurrent.futures
import hashlib
import http.client
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import control_reports
from control_client import Control, Unix, expect, results

FEITIAN, ROOT = os.path.abspath(sys.argv[1]), sys.argv[2]


def first_steps(c, home):
    with open(f"{home}/credentials.json") as f:
        credentials = json.load(f)
    rows = c.rows()
    keys = [b for (kind, _), b in rows.items() if kind == "key"]
    expect("one key, an operator's, whose hash is the file's",
           len(keys) == 1 and keys[0]["role"] == "operator" and
           keys[0]["hash"] == hashlib.sha256(credentials["key"].encode()).hexdigest() and
           credentials["key"].startswith(keys[0]["prefix"]) and
           len(credentials["key"]) == 6 + 43 and credentials["url"].startswith("http://"), rows)
    expect("only its owner reads the file, the store and the socket",
           all(os.stat(f"{home}/{p}").st_mode & 0o77 == 0
               for p in ("credentials.json", "state/state.db", "run/control.sock", "state.id")))
    expect("a project, a currency, a price", ("project", "default") in rows and
           rows["setting", "currency"] == {"currency": "USD"} and
           rows["price", "default"]["model"] == "*")
    nano = rows.get(("model", "nano"), {})
    expect("the shipped model and its endpoint", nano.get("arch") == "qwen3" and "chat" in
           nano["tasks"] and
           nano["path"] == os.path.realpath(f"{home}/models/nano.gguf") and
           rows["endpoint", "nano"]["targets"] == [{"model": "nano", "weight": 1}], nano)
    me = c.ask("GET", "/api/v1/me", key=next(i for k, i in rows if k == "key"))
    expect("who am I", me["role"] == "operator" and me["project"]["id"] == "default" and
           me["key"]["name"] == "first key" and "hash" not in me["key"], me)


def crud(c):
    p = c.ask("POST", "/api/v1/projects", {"name": "team-a", "limits": {"rpm": 60, "tpm": None},
                                           "budget": {"day": "12.50", "warn": [0.5, 0.8]}})
    expect("a project by its name", p.status == 201 and p["id"] == "team-a" and p["limits"] ==
           {"rpm": 60}, p)
    seq = int(p.headers["x-feitian-seq"])
    expect("its number is the feed's", [(r["seq"], r["id"]) for r in c.feed(seq - 1)[1]] ==
           [(seq, "team-a")])
    expect("twice is a conflict", c.ask("POST", "/api/v1/projects", {"name": "team-a"}).error() ==
           (409, "id", "already_exists"))
    drawn = c.ask("POST", "/api/v1/projects", {"name": "Größe & Co"})
    expect("a name that is no id gets one", drawn["id"].startswith("proj_"), drawn)
    p = c.ask("PATCH", "/api/v1/projects/team-a", {"limits": {"tpm": 1000}, "budget": None})
    expect("a merge patch", p["limits"] == {"rpm": 60, "tpm": 1000} and p["budget"] is None and
           p["name"] == "team-a", p)
    same = c.ask("PATCH", "/api/v1/projects/team-a", {"limits": {"tpm": 1000}})
    expect("what changes nothing has no number", same.status == 200 and "x-feitian-seq" not in
           same.headers, same)
    m = c.ask("POST", "/api/v1/members", {"project": "team-a", "name": "ada", "role": "developer"})
    expect("a member, whose name is then taken", m.status == 201 and c.ask(
        "POST", "/api/v1/members", {"project": "team-a", "name": "ada", "role": "viewer"}).status ==
           409, m)
    m2 = c.ask("PATCH", f"/api/v1/members/{m['id']}", {"role": "admin"})
    expect("a member's role changes", m2["role"] == "admin" and m2["name"] == "ada" and
           c.ask("GET", f"/api/v1/members/{m['id']}").json == m2.json, m2)
    expect("one project", c.ask("GET", "/api/v1/projects/team-a").json == p.json)
    gone = c.ask("POST", "/api/v1/keys", {"project": "team-a", "name": "gone"})["id"]
    expect("a revoked key is gone", c.ask("DELETE", f"/api/v1/keys/{gone}").json == {
        "id": gone, "object": "key", "deleted": True} and ("key", gone) not in c.rows() and
        c.ask("DELETE", f"/api/v1/keys/{gone}").status == 404)
    k = c.ask("POST", "/api/v1/keys",
              {"project": "team-a", "name": "k", "member": m["id"], "models": ["nano*"],
                                       "actions": ["chat"], "limits": {"rpm": 5},
               "budget": {"month": "1"},
                                       "expires": int(time.time()) + 999})
    row = c.rows()["key", k["id"]]
    expect("a key, shown once", k["secret"].startswith(k["prefix"]) and "hash" not in k.json and
           row["hash"] == hashlib.sha256(k["secret"].encode()).hexdigest() and
           "secret" not in c.ask("GET", f"/api/v1/keys/{k['id']}").json and
           k["secret"] not in json.dumps(row), k)
    k2 = c.ask("PATCH", f"/api/v1/keys/{k['id']}", {"expires": None, "models": ["*"]})
    expect("a key that lasts", k2["expires"] is None and k2["models"] == ["*"] and k2["member"] ==
           m["id"], k2)
    listed = c.ask("GET", f"/api/v1/keys?project=team-a&member={m['id']}")
    expect("keys of a member", [x["id"] for x in listed["data"]] == [k["id"]], listed)
    expect("the key is in no list with its hash", b"hash" not in c.ask("GET", "/api/v1/keys").body)
    for i in range(5):
        c.ask("POST", "/api/v1/keys", {"project": "team-a", "name": f"n{i}"})
    found, after = [], ""
    while True:
        page = c.ask("GET", f"/api/v1/keys?project=team-a&limit=2{after}")
        found += [x["id"] for x in page["data"]]
        after = f"&after={page['last_id']}"
        if not page["has_more"]:
            break
    expect("pages hold all, once, in order", len(found) == 6 and found == sorted(set(found)), found)
    refused = c.ask("DELETE", "/api/v1/projects/team-a")
    expect("a project with keys stays", refused.error()[::2] == (409, "not_empty"), refused)
    gone = c.ask("DELETE", f"/api/v1/members/{m['id']}")
    expect("a member's keys go along", gone["deleted"] and
           c.ask("GET", f"/api/v1/keys/{k['id']}").status == 404)
    seq = int(c.ask("DELETE", "/api/v1/projects/team-a?cascade=true").headers["x-feitian-seq"])
    bodies = {(r["kind"], r["body"]) for r in c.feed(seq - 1)[1]}
    expect("all of it goes in one step, told by the feed", bodies ==
           {("key", None), ("project", None)}, bodies)
    c.ask("DELETE", f"/api/v1/projects/{drawn['id']}")


def catalog(c):
    p = c.ask("POST", "/api/v1/prices", {"model": "big*", "input": "1.5", "output": "1000000"})
    expect("a price", p.status == 201 and p["cached_input"] is None, p)
    for body, param in (({"model": "x", "input": "1.2345", "output": "1"}, "input"),
                        ({"model": "x", "input": "1", "output": "1000001"}, "output"),
                        ({"model": "x", "input": 1, "output": "1"}, "input"),
                        ({"model": "x", "input": "-1", "output": "1"}, "input")):
        expect(f"a price with a wrong {param} is refused",
               c.ask("POST", "/api/v1/prices", body).error()[:2] ==
               (400, param), body)
    expect("one price a pattern",
           c.ask("POST", "/api/v1/prices", {"model": "*", "input": "1", "output": "1"})
           .error() == (409, "model", "already_exists"))
    p2 = c.ask("PATCH", f"/api/v1/prices/{p['id']}", {"cached_input": "0.5"})
    expect("a price changes", p2["cached_input"] == "0.5" and p2["input"] == "1.5", p2)
    listed = c.ask("GET", "/api/v1/prices")
    expect("prices are listed", len(listed["data"]) == 2 and
           c.ask("GET", f"/api/v1/prices/{p['id']}").json == p2.json)
    expect("a price goes", c.ask("DELETE", f"/api/v1/prices/{p['id']}").status == 200)
    empty = c.ask("GET", "/v1/batches")
    expect("no batches", empty["data"] == [] and not empty["has_more"], empty)
    s = c.ask("PATCH", "/api/v1/settings", {"batch_price": "0.25"})
    expect("what batches cost is a setting", s["batch_price"] == "0.25" and
           c.rows()["setting", "batch_price"] == {"batch_price": "0.25"}, s)
    expect("within the price", c.ask("PATCH", "/api/v1/settings",
                                     {"batch_price": "1.5"}).error()[:2] == (400, "batch_price"))
    s = c.ask("PATCH", "/api/v1/settings", {"currency": "EUR"})
    expect("settings change", s["currency"] == "EUR" and
           c.ask("GET", "/api/v1/settings")["currency"] == "EUR" and
           c.rows()["setting", "currency"] == {"currency": "EUR"}, s)
    expect("a currency has three letters",
           c.ask("PATCH", "/api/v1/settings", {"currency": "euro"}).error()[:2] ==
           (400, "currency"))


def models(c, home):
    def add(**body):
        return c.ask("POST", "/api/v1/models", body)
    shutil.copy(f"{home}/models/nano.gguf", f"{home}/models/two.gguf")
    m = add(path="models/two.gguf", sha256="0" * 64)
    expect("a model, by what its file says", m.status == 201 and m["name"] == "two" and
           m["format"] == "gguf" and
           m["n_ctx"] == 1024 and m["bytes"] == os.path.getsize(f"{home}/models/two.gguf"), m)
    with open(f"{home}/models/bad.gguf", "wb") as f:
        f.write(b"GGUF" + b"\xff" * 60)
    os.symlink("/etc/hostname", f"{home}/models/link.gguf")
    for body, param in ((dict(path="models/bad.gguf"), "path"), (dict(path="models/none"), "path"),
                        (dict(path="/etc/passwd"), "path"),
                        (dict(path="models/../state.id"), "path"),
                        (dict(path="models/link.gguf"), "path"), (dict(path="models"), "path"),
                        (dict(path="models/two.gguf", name="a/../b"), "name"),
                        (dict(path="models/two.gguf", name="two"), "name"),
                        (dict(path="models/two.gguf", adapter_of="none"), "path")):
        a = add(**body)
        expect(f"{body} is refused", a.status in (400, 409) and a.error()[1] == param, a)
    os.makedirs(f"{home}/adapters/style")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        with open(f"{home}/adapters/style/{name}", "w") as f:
            f.write("{}")
    expect("an adapter of nothing is refused",
           add(path="adapters/style", adapter_of="none").error()[:2] == (400, "adapter_of"))
    a = add(path="adapters/style", adapter_of="two", name="org/style")
    expect("an adapter", a.status == 201 and a["format"] == "peft" and a["id"] == "org/style", a)
    expect("a name with '/' by its path", c.ask("GET", "/api/v1/models/org/style").json ==
           c.ask("GET", "/api/v1/models/org%2Fstyle").json == a.json)
    e = c.ask("POST", "/api/v1/endpoints", {"name": "two", "targets": [
        {"model": "nano", "weight": 9}, {"model": "two", "adapter": "org/style"}]})
    expect("an endpoint with a canary", e.status == 201 and [t["weight"] for t in e["targets"]] ==
           [9, 1] and
           e["replicas"] == {"min": 0, "max": 1} and e["project"] is None, e)
    expect("a model in use stays", c.ask("DELETE", "/api/v1/models/two").error()[::2] ==
           (409, "in_use"))
    removed_with_its_own(c, home)
    endpoints(c)
    expect("a base of an adapter stays", c.ask("DELETE", "/api/v1/endpoints/two").status == 200 and
           c.ask("DELETE", "/api/v1/models/two").error()[::2] == (409, "in_use"))
    expect("an adapter goes with its files",
           c.ask("DELETE", "/api/v1/models/org/style?delete_file=true")
           .status == 200 and not os.path.exists(f"{home}/adapters/style"))
    expect("a model goes, its file stays", c.ask("DELETE", "/api/v1/models/two").status == 200 and
           os.path.exists(f"{home}/models/two.gguf"))


def removed_with_its_own(c, home):
    """A model takes the endpoint of its name along, or nothing goes."""
    os.link(f"{home}/models/nano.gguf", f"{home}/models/q.gguf")
    c.ask("POST", "/api/v1/models", {"path": "models/q.gguf"})
    for name in ("q", "also", "third"):
        c.ask("POST", "/api/v1/endpoints", {"name": name, "targets": [{"model": "q"}]})
    before = c.rows()
    a = c.ask("DELETE", "/api/v1/models/q?cascade=true&delete_file=true")
    expect("while others use it too all stays, and they are named", a.error()[::2] ==
           (409, "in_use") and "'also'" in a["error"]["message"] and "'third'" in
           a["error"]["message"] and "'q'" not in a["error"]["message"] and c.rows() == before and
           os.path.exists(f"{home}/models/q.gguf"), a)
    a = c.ask("DELETE", "/api/v1/models/q")
    expect("without cascade its own counts too", "'q'" in a["error"]["message"], a)
    for name in ("also", "third"):
        c.ask("DELETE", f"/api/v1/endpoints/{name}")
    seq = int(c.ask("DELETE", "/api/v1/models/q?cascade=true&delete_file=true")
              .headers["x-feitian-seq"])
    expect("then both go in one step", [(r["kind"], r["id"], r["body"]) for r in
           c.feed(seq - 1)[1]] == [("endpoint", "q", None), ("model", "q", None)] and
           not os.path.exists(f"{home}/models/q.gguf"), c.feed(seq - 1))


def endpoints(c):
    def put(**body):
        return c.ask("POST", "/api/v1/endpoints",
                     {"name": "e", "targets": [{"model": "nano"}], **body})
    for body, param in ((dict(targets=[]), "targets"), (dict(targets=[{}]), "targets[0]"),
                        (dict(targets=[{"model": "none"}]), "targets[0].model"),
                        (dict(targets=[{"model": "nano", "adapter": "none"}]),
                         "targets[0].adapter"),
                        (dict(targets=[{"model": "nano", "adapter": "two"}]), "targets[0].adapter"),
                        (dict(targets=[{"model": "nano", "weight": 0}]), "targets"),
                        (dict(targets=[{"model": "nano"}, {"model": "nano", "weight": -1}]),
                         "targets[1].weight"),
                        (dict(targets=[{"model": "nano", "key": "x"}]), "targets[0].key"),
                        (dict(targets=[{"url": "ftp://x"}]), "targets[0].url"),
                        (dict(targets=[{"url": "http://x", "script": {}}]), "targets[0]"),
                        (dict(targets=[{"model": "nano"}] * 17), "targets"),
                        (dict(replicas={"min": 3, "max": 2}), "replicas.min"),
                        (dict(replicas={"min": 0, "max": 0}), "replicas.max"),
                        (dict(target_load=0), "target_load"), (dict(idle_s=-1), "idle_s"),
                        (dict(n_ctx=0), "n_ctx"), (dict(project="nowhere"), "project"),
                        (dict(name="a@b"), "name"), (dict(name="a//b"), "name"),
                        (dict(extra=1), "extra")):
        a = put(**body)
        expect(f"endpoint {body}"[:90] + " is refused", a.status in (400, 404) and a.error()[1] ==
               param, a)
    url = "http://127.0.0.1:1/v1"
    e = put(targets=[{"url": url, "key": "sk-theirs", "model": "gpt"}],
            replicas={"min": 0, "max": 1})
    expect("a server elsewhere, whose key is not shown", e.status == 201 and b"sk-theirs" not in
           e.body and
           e["targets"][0]["has_key"] and c.rows()["endpoint", "e"]["targets"][0]["key"] ==
           "sk-theirs", e)
    e = c.ask("PATCH", "/api/v1/endpoints/e", {"targets": [{"url": url, "model": "gpt-2"}]})
    expect("its key stays when it is not said", c.rows()["endpoint", "e"]["targets"] ==
           [{"url": url, "model": "gpt-2", "key": "sk-theirs", "weight": 1.0}], e)
    c.ask("PATCH", "/api/v1/endpoints/e",
          {"targets": [{"url": url, "model": "gpt-2", "key": None}]})
    expect("and goes when it is null", "key" not in c.rows()["endpoint", "e"]["targets"][0])
    e = c.ask("PATCH", "/api/v1/endpoints/e", {"replicas": {"max": 4}})
    expect("scaling is a patch", e["replicas"] == {"min": 0, "max": 4}, e)
    expect("no audit event has the key", b"sk-theirs" not in
           c.ask("GET", "/api/v1/audit?kind=endpoint&limit=1000").body)
    expect("an endpoint goes", c.ask("DELETE", "/api/v1/endpoints/e").status == 200 and
           c.ask("GET", "/api/v1/endpoints/e").status == 404)


# ---- who may ----

def roles(c):
    for name in ("left", "right"):
        c.ask("POST", "/api/v1/projects", {"name": name})
    member = c.ask("POST", "/api/v1/members",
                   {"project": "left", "name": "dev", "role": "developer"})
    own = c.ask("POST", "/api/v1/keys", {"project": "left", "name": "own", "member": member["id"],
                                         "role": "developer"})
    other = c.ask("POST", "/api/v1/keys", {"project": "left", "name": "other", "role": "admin"})
    theirs = c.ask("POST", "/api/v1/keys", {"project": "right", "name": "theirs"})
    admin = dict(role="admin", project="left", key=other["id"])
    developer = dict(role="developer", project="left", key=own["id"])
    viewer = dict(role="viewer", project="left")
    cases = [  # method, path, body, who: status
        ("POST", "projects", {"name": "x"}, {"admin": 403, "developer": 403, "viewer": 403}),
        ("PATCH", "projects/left", {"name": "L"}, {"admin": 200, "developer": 403, "viewer": 403}),
        ("PATCH", "projects/left", {"budget": {"day": "9"}}, {"admin": 403, "developer": 403}),
        ("DELETE", "projects/left", None, {"admin": 403, "developer": 403, "viewer": 403}),
        ("GET", "projects/right", None, {"admin": 404, "developer": 404, "viewer": 404}),
        ("PATCH", "projects/right", {"name": "R"}, {"admin": 404, "developer": 403}),
        ("GET", "members", None, {"admin": 200, "developer": 200, "viewer": 200}),
        ("GET", "members?project=right", None, {"admin": 404, "developer": 404, "viewer": 404}),
        ("POST", "members", {"name": "n", "role": "viewer"},
         {"developer": 403, "viewer": 403, "admin": 201}),
        ("POST", "members", {"name": "n", "role": "viewer", "project": "right"}, {"admin": 404}),
        ("POST", "keys", {"name": "k"}, {"viewer": 403, "developer": 201, "admin": 201}),
        ("POST", "keys", {"name": "k", "project": "right"}, {"developer": 404, "admin": 404}),
        ("POST", "keys", {"name": "k", "role": "admin"}, {"developer": 403, "admin": 201}),
        ("POST", "keys", {"name": "k", "role": "operator"}, {"admin": 403}),
        ("GET", f"keys/{theirs['id']}", None, {"admin": 404, "developer": 404, "viewer": 404}),
        ("DELETE", f"keys/{theirs['id']}", None, {"admin": 404, "developer": 404, "viewer": 403}),
        ("PATCH", f"keys/{other['id']}", {"name": "z"}, {"developer": 403, "admin": 200}),
        ("PATCH", f"keys/{own['id']}", {"name": "z"}, {"developer": 200, "viewer": 403}),
        ("PATCH", f"keys/{own['id']}", {"role": "admin"}, {"developer": 403}),
        ("POST", "prices", {"model": "q", "input": "1", "output": "1"}, {"admin": 403}),
        ("PATCH", "settings", {"currency": "CHF"}, {"admin": 403}),
        ("POST", "models", {"path": "models/nano.gguf"}, {"admin": 403}),
        ("DELETE", "models/nano", None, {"admin": 403}),
        ("POST", "endpoints", {"name": "mine", "targets": [{"model": "nano"}]},
         {"developer": 403, "admin": 201}),
        ("POST", "endpoints", {"name": "all", "project": None, "targets": [{"model": "nano"}]},
         {"admin": 403}),
        ("POST", "endpoints", {"name": "out", "targets": [{"url": "http://10.0.0.1"}]},
         {"admin": 403}),
        ("PATCH", "endpoints/nano", {"idle_s": 1}, {"admin": 403}),
        ("DELETE", "endpoints/nano", None, {"admin": 403}),
        ("GET", "audit", None, {"admin": 200, "developer": 403, "viewer": 403}),
        ("GET", "audit?project=right", None, {"admin": 404}),
        ("GET", "models", None, {"viewer": 200}), ("GET", "prices", None, {"viewer": 200}),
        ("GET", "endpoints", None, {"viewer": 200}), ("GET", "me", None, {"viewer": 200}),
    ]
    callers = {"admin": admin, "developer": developer, "viewer": viewer}
    for method, path, body, want in cases:
        for who, status in want.items():
            a = c.ask(method, f"/api/v1/{path}", body, **callers[who])
            expect(f"{who} {method} {path} {body or ''}: {status}", a.status == status, a)
    for method, path in (("GET", "me"), ("POST", "keys"), ("GET", "audit")):
        expect(f"nobody {method} {path}: 401", c.ask(method, f"/api/v1/{path}", role=None).status ==
               401)
    narrow_keys(c)
    made = c.ask("POST", "/api/v1/keys", {"name": "mine"}, **developer)
    expect("a developer's key is the developer's", made["member"] == member["id"] and
           made["created_by"] == own["id"] and made["role"] == "developer", made)
    expect("a project's own endpoint",
           c.ask("GET", "/api/v1/endpoints/mine@left", **admin)["project"] == "left" and
           c.ask("GET", "/api/v1/endpoints/mine", **viewer)["id"] == "mine@left" and
           c.ask("GET", "/api/v1/endpoints/mine@left", role="viewer", project="right").status ==
           404)
    listed = {k: {x["id"] for x in c.ask("GET", f"/api/v1/{k}", **viewer)["data"]}
              for k in ("projects", "keys", "endpoints")}
    expect("lists show the own project", listed["projects"] == {"left"} and theirs["id"] not in
           listed["keys"] and
           {"nano", "mine@left"} <= listed["endpoints"], listed)
    texts = [c.ask("GET", f"/api/v1/{p}", role="admin", project="left").body for p in
             (f"keys/{theirs['id']}", "keys/key_nowhere0000000000")]
    expect("another's and none read the same", texts[0].replace(theirs["id"].encode(), b"X") ==
           texts[1].replace(b"key_nowhere0000000000", b"X"), texts)
    last = next(k["id"] for k in
                c.ask("GET", "/api/v1/keys?project=default")["data"] if k["role"] == "operator")
    expect("the last operator's key stays", c.ask("DELETE", f"/api/v1/keys/{last}").error()[::2] ==
           (409, "last_operator") and c.ask("PATCH", f"/api/v1/keys/{last}", {
               "expires": int(time.time()) + 60}).status == 409 and c.ask(
               "PATCH", f"/api/v1/keys/{last}", {"role": "viewer"}).status == 409 and c.ask(
               "DELETE", "/api/v1/projects/default?cascade=true").status == 409)
    boss = c.ask("POST", "/api/v1/members", {"project": "left", "name": "boss", "role": "admin"})
    for what, more in (("whose member is less", {"project": "left", "member": boss["id"]}),
                       ("that may not administer", {"project": "left", "actions": ["chat"]})):
        less = c.ask("POST", "/api/v1/keys", {"name": "less", "role": "operator", **more})
        expect(f"... also beside an operator's key {what}", less.status == 201 and
               c.ask("DELETE", f"/api/v1/keys/{last}").error()[::2] == (409, "last_operator") and
               c.ask("DELETE", "/api/v1/projects/default?cascade=true").status == 409 and
               c.ask("DELETE", f"/api/v1/keys/{less['id']}").status == 200, less)
    audit(c, admin, other)


def narrow_keys(c):
    """What a key makes, or makes of others, has at most what it has itself."""
    until = int(time.time()) + 1000
    mine = c.ask("POST", "/api/v1/keys", {
        "project": "left", "name": "narrow", "role": "admin", "models": ["nano*", "small"],
        "actions": ["chat", "manage"], "limits": {"rpm": 10}, "budget": {"day": "1.50"},
        "expires": until})
    me = dict(role="admin", project="left", key=mine["id"])
    made = c.ask("POST", "/api/v1/keys", {"name": "heir"}, **me)
    keys = ("models", "actions", "limits", "budget", "expires")
    expect("what is not said is inherited", made.status == 201 and
           all(made[k] == mine[k] for k in keys), made)
    less = {"models": ["nano-2"], "actions": ["chat"], "limits": {"rpm": 9, "tpm": 5},
            "budget": {"day": "1.5", "month": "9"}, "expires": until - 1}
    made = c.ask("POST", "/api/v1/keys", {"name": "less", **less}, **me)
    expect("less is given", made.status == 201 and all(made[k] == less[k] for k in keys), made)
    for body, param in (({"models": ["*"]}, "models"), ({"models": ["small", "smaller"]}, "models"),
                        ({"actions": ["*"]}, "actions"), ({"limits": {"rpm": 11}}, "limits.rpm"),
                        ({"budget": {"day": "1.500000001"}}, "budget.day"),
                        ({"expires": until + 1}, "expires")):
        a = c.ask("POST", "/api/v1/keys", {"name": "more", **body}, **me)
        b = c.ask("PATCH", f"/api/v1/keys/{made['id']}", body, **me)
        expect(f"{body} is more", a.error()[:2] == b.error()[:2] == (403, param), (a, b))
    for body, param in (({"limits": None}, "limits.rpm"), ({"budget": {"day": None}}, "budget.day"),
                        ({"expires": None}, "expires")):
        a = c.ask("PATCH", f"/api/v1/keys/{mine['id']}", body, **me)
        expect(f"no key frees itself of {body}", a.error()[:2] == (403, param), a)
    for method, path in (("POST", "keys"), ("PATCH", f"keys/{mine['id']}")):
        a = c.ask(method, f"/api/v1/{path}", {"name": "x", "actions": ["ch*", "admin"]})
        expect(f"{method} {path}: an action that there is not", a.error()[:2] ==
               (400, "actions[1]"), a)
    expect("an operator does", c.ask("PATCH", f"/api/v1/keys/{mine['id']}", {"limits": None})
           .status == 200)


def audit(c, admin, key):
    c.ask("PATCH", "/api/v1/projects/left", {"name": "Left"}, headers={"X-Request-Id": "req_7"},
          **admin)
    e = c.ask("GET", "/api/v1/audit?limit=1", **admin)["data"][0]
    expect("an event says who, what, from what to what, when, by which request",
           e["actor"] == {"key": key["id"], "project": "left", "role": "admin", "member": None} and
           e["action"] == "project.update" and e["before"]["name"] == "L" and e["after"]["name"] ==
           "Left" and
           abs(e["at"] / 1000 - time.time()) < 60 and e["request_id"] == "req_7" and e["project"] ==
           "left", e)
    every, after = [], ""
    while True:
        page = c.ask("GET", f"/api/v1/audit?limit=7{after}")
        every += page["data"]
        after = f"&after={page['last_id']}"
        if not page["has_more"]:
            break
    ids = [x["id"] for x in every]
    expect("every change is there once, the newest first", len(ids) == len(set(ids)) and
           [x["seq"] for x in every] == sorted((x["seq"] for x in every), reverse=True) and
           {x["seq"] for x in every} == set(range(1, every[0]["seq"] + 1)), len(ids))
    text = json.dumps(every)
    hashes = [b["hash"] for (kind, _), b in c.rows().items() if kind == "key" and b]
    expect("no event holds a hash", not any(h in text for h in hashes) and "sk-ft-" in text)
    kinds = c.ask("GET", "/api/v1/audit?kind=key&limit=1000", **admin)["data"]
    expect("filters", {x["kind"] for x in kinds} == {"key"} and {x["project"] for x in kinds} ==
           {"left"} and
           {x["actor"]["key"] for x in c.ask("GET", f"/api/v1/audit?actor={key['id']}")["data"]} ==
           {key["id"]} and
           c.ask("GET", "/api/v1/audit?end_time=1000")["data"] == [])


# ---- every field of every body, every parameter ----

WRONG = {"string": 5, "integer": 1.5, "number": "1", "boolean": "yes", "array": {}, "object": []}


def resolve(doc, schema):
    while "$ref" in schema or "anyOf" in schema:
        name = schema.get("$ref", "").split("/")[-1]
        schema = doc["components"]["schemas"][name] if name else schema["anyOf"][0]
    return schema


def wrong_values(doc, schema, name):
    """(value, field that the refusal names) for a schema and what is in it."""
    schema = resolve(doc, schema)
    types = schema.get("type", "string")
    types = types if isinstance(types, list) else [types]
    yield next(WRONG[t] for t in types if t != "null"), name
    if types[0] == "object" and "properties" in schema:
        for key, inner in schema["properties"].items():
            for value, field in wrong_values(doc, inner, f"{name}.{key}"):
                yield {key: value}, field
        yield {"zzz": 1}, f"{name}.zzz"
    if types[0] == "array":
        for value, field in wrong_values(doc, schema["items"], f"{name}[0]"):
            yield [value], field
    if "maxLength" in schema:
        yield "x" * (schema["maxLength"] + 1), name
        yield "a\u0007b", name
    if "maximum" in schema:
        yield schema["maximum"] + 1, name
    if "minimum" in schema:
        yield schema["minimum"] - 1, name


# The gateway answers these itself: requests_seen.py, monitor.py, objects.py.
OF_GATEWAY = {"/api/v1/requests", "/api/v1/requests/{id}", "/api/v1/events", "/api/v1/nodes",
              "/api/v1/status", "/api/v1/storage", "/api/v1/s3/credentials",
              "/api/v1/s3/presign"}


def every_field(c):
    doc, n, wrong = c.document, 0, []
    for path, item in doc["paths"].items():
        if path in OF_GATEWAY:
            continue
        for method, op in item.items():
            if "requestBody" in op:
                schema = resolve(doc, op["requestBody"]["content"]["application/json"]["schema"])
                url = path.replace("{id}", "default")
                for field, inner in schema["properties"].items():
                    for value, name in wrong_values(doc, inner, field):
                        a = c.ask(method.upper(), url, {field: value})
                        n += 1
                        if a.status != 400 or a.error()[1] != name:
                            wrong.append((method, path, field, value, name, a))
                for body in (b"", b"{", b"[]", b"null", b'"x"', b'{"a":1,"a":2}',
                             b'{"name":"\xff"}',
                             b'{"name":"\\u0000"}', b"[" * 100000, b'{"name":1e999}'):
                    a = c.ask(method.upper(), url, body)
                    n += 1
                    if a.status != 400:
                        wrong.append((method, path, body[:30], a))
            for p in op.get("parameters", []) if isinstance(op, dict) else []:
                bad = {"integer": "x", "boolean": "maybe", "array": "z" * 99,
                       "string": ""}[p["schema"]["type"]]
                if p["schema"]["type"] == "string" and not {"minLength", "enum"} & set(p["schema"]):
                    continue
                need = "".join(f"&{o['name']}=1" for o in op["parameters"]
                               if o["required"] and o["name"] != p["name"])
                a = c.ask(method.upper(),
                          f"{path.replace('{id}', 'default')}?{p['name']}={bad}{need}")
                n += 1
                if a.status != 400 or not a.error()[1].startswith(p["name"]):
                    wrong.append((method, path, p["name"], a))
            if isinstance(op, dict) and op.get("operationId") not in (
                    None, "get_openapi", "get_status", "get_s3_credentials"):
                a = c.ask(method.upper(), f"{path.replace('{id}', 'default')}?zzz=1")
                n += 1
                if a.error()[:2] != (400, "zzz"):
                    wrong.append((method, path, "zzz", a))
    expect(f"{n} wrong values of every field and parameter are refused by name", n > 300 and
           not wrong, wrong[:5])
    for method, path, status in (("GET", "/api/v1/nothing", 404), ("GET", "/nothing", 404),
                                 ("PUT", "/api/v1/keys", 405), ("DELETE", "/api/v1/settings", 405),
                                 ("POST", "/api/v1/me", 405)):
        a = c.ask(method, path)
        expect(f"{method} {path}: {status}", a.status == status and "error" in a.json, a)


# ---- the feed ----

def feed(c):
    store, rows = c.feed()
    last = max(r["seq"] for r in rows)
    expect("the feed is ordered and names its store", [r["seq"] for r in rows] ==
           sorted(r["seq"] for r in rows) and
           store == open(f"{c.home}/state.id").read().strip(), store)
    name = c.ask("POST", "/api/v1/projects", {"name": "brief"})["id"]
    c.ask("DELETE", f"/api/v1/projects/{name}")
    gone = [r for r in c.feed(last)[1] if r["id"] == name]
    expect("what went is told to who may have known it, to nobody else", len(gone) == 1 and
           gone[0]["body"] is None and all(r["body"] is not None for r in c.feed()[1]), gone)
    last = gone[0]["seq"]
    begun = time.monotonic()
    expect("nothing new after a while", c.feed(last, 1) == (store, []) and
           time.monotonic() - begun > 0.9)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        polls = [pool.submit(c.feed, last, 20) for _ in range(4)]
        time.sleep(0.2)
        changed = c.ask("PATCH", "/api/v1/settings", {"currency": "USD"})
        got = [p.result() for p in polls]
    expect("who waits hears at once",
           all(g == (store, [{"seq": int(changed.headers["x-feitian-seq"]), "kind":
           "setting", "id": "currency", "body": {"currency": "USD"}}]) for g in got), got)
    expect("who is ahead of the store is told of another", c.feed(last + 1000)[0] != store)
    expect("wrong numbers are refused", c.ask("GET", "/internal/feed?after=x").error()[:2] ==
           (400, "after"))


# ---- usage ----

def responses(c):
    def ask(method, path, body=None, project="default"):
        return c.ask(method, f"/internal/responses/{path}", body, project=project, role=None)
    stored = {"response": {"id": "resp_1", "output": []}, "input": [{"id": "msg_1"}], "more": "ü"}
    expect("a response is kept as it came", ask("PUT", "resp_1", stored).status == 200 and
           ask("GET", "resp_1").json == stored)
    expect("and is another project's not", ask("GET", "resp_1", project="left").status == 404 and
           ask("DELETE", "resp_1", project="left").status == 404 and
           ask("GET", "resp_2").status == 404)
    for path, body in (("resp/1", stored), ("resp_2", []), ("resp_2", b"{"), ("resp_2", b"")):
        expect(f"PUT {path} {str(body)[:30]} is refused", ask("PUT", path, body).status == 400)
    stored["response"]["status"] = "completed"
    expect("put again, it is the new one", ask("PUT", "resp_1", stored).status == 200 and
           ask("GET", "resp_1")["response"]["status"] == "completed")
    expect("deleted, it is gone", ask("DELETE", "resp_1").json ==
           {"id": "resp_1", "object": "response",
           "deleted": True} and ask("GET", "resp_1").status == 404)
    big = ask("PUT", "resp_big", {"response": {"t": "x" * (9 << 20)}, "input": []})
    expect("one that is too large is refused", big.status == 413, big)


# ---- trouble ----

def trouble(c, home):
    db, away = f"{home}/state/state.db", f"{home}/away.db"
    name = {"name": "t"}

    def in_trouble():
        a, b = c.ask("POST", "/api/v1/keys", name), c.ask("GET", "/api/v1/keys")
        return a.error()[::2] == b.error()[::2] == (503, "store_unavailable") and \
            a.headers.get("retry-after") == "1" and "state store" in a["error"]["message"] and \
            c.process.poll() is None
    os.rename(db, away)
    expect("the store is gone: 503, and control lives", in_trouble(), c.ask("GET", "/api/v1/keys"))
    expect("the document is there all the same", c.ask("GET", "/api/v1/openapi.json").status == 200)
    open(db, "w").close()
    expect("an empty file in its place: 503", in_trouble(), c.ask("GET", "/api/v1/keys"))
    with open(db, "wb") as f:
        f.write(b"\x5a" * 100000)
    expect("noise in its place: 503", in_trouble(), c.ask("GET", "/api/v1/keys"))
    c.stop(signal.SIGKILL)
    os.unlink(db)
    c.start()
    expect("started without it: 503, no new store", in_trouble() and not os.path.exists(db),
           c.ask("GET", "/api/v1/keys"))
    os.rename(away, db)
    expect("back again, everything works", c.ask("POST", "/api/v1/keys", name).status == 201 and
           c.ask("GET", "/api/v1/keys").status == 200)
    os.rename(f"{home}/state", f"{home}/state.away")
    expect("the folder is gone: 503", in_trouble())
    os.rename(f"{home}/state.away", f"{home}/state")
    expect("and back", c.ask("POST", "/api/v1/keys", name).status == 201)
    lock = sqlite3.connect(db, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    done = []
    t = threading.Thread(target=lambda: done.append(c.ask("POST", "/api/v1/keys", name,
                                                          timeout=60)))
    t.start()
    time.sleep(0.3)
    lock.execute("ROLLBACK")
    t.join()
    lock.close()
    expect("another's lock is waited for", done[0].status == 201, done)


def no_room(home):
    """A limit on file sizes stands for a full disk: the system refuses in the same way."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
    c = Control(FEITIAN, home, preexec_fn=limit).start()
    status = [c.ask("PUT", f"/internal/responses/r{i}",
                    {"response": {"t": "x" * 30000}, "input": []}).status
              for i in range(30)]
    expect("no room left: 503 after some 200s", status[0] == 200 and status[-1] == 503 and
           set(status) == {200, 503}, status)
    expect("reading goes on", c.ask("GET", "/api/v1/keys").status == 200)
    kept = sum(c.ask("GET", f"/internal/responses/r{i}").status == 200 for i in range(30))
    expect("what was acknowledged is there, and nothing else", kept == status.count(200), kept)
    resource.prlimit(c.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    expect("room again: works again",
           c.ask("PUT", "/internal/responses/z", {"response": {}, "input": []})
           .status == 200)
    c.stop()


def newer_store(home):
    with sqlite3.connect(f"{home}/state/state.db") as db:
        db.execute("INSERT INTO ft_migration VALUES ('control', 99, 'from the future', 'x')")
    r = subprocess.run([FEITIAN, "control", "--home", home], capture_output=True, timeout=120)
    expect("a newer feitian's store is refused with a clear message", r.returncode == 1 and
           b"newer feitian" in r.stderr and b"99" in r.stderr, r)


def kills(home):
    """Killed at random while four write: what was acknowledged is in the store and the log."""
    c = Control(FEITIAN, home)
    known, n = set(), [0]

    def write(stop):
        while not stop.is_set():
            n[0] += 1
            try:
                a = c.ask("POST", "/api/v1/keys", {"name": f"k{n[0]}"})
            except (OSError, http.client.HTTPException):
                return
            if a.status == 201:
                known.add(a["id"])
    for life in range(5):
        c.start()
        stop = threading.Event()
        threads = [threading.Thread(target=write, args=(stop,)) for _ in range(4)]
        had = len(known)
        for t in threads:
            t.start()
        while len(known) < had + 6 and any(t.is_alive() for t in threads):
            time.sleep(0.01)
        time.sleep(0.07 * life)  # in another moment of a write each time
        c.stop(signal.SIGKILL)
        stop.set()
        for t in threads:
            t.join()
    c.start()
    store, rows = c.feed()
    there = {r["id"] for r in rows if r["kind"] == "key" and r["body"]}
    seqs = [r["seq"] for r in rows]
    events, after = set(), ""
    while True:
        page = c.ask("GET", f"/api/v1/audit?kind=key&limit=1000{after}")
        events |= {e["target"] for e in page["data"]}
        if not page["has_more"]:
            break
        after = f"&after={page['last_id']}"
    expect(f"{len(known)} acknowledged keys survive 5 kills", len(known) >= 30 and known <= there,
           known - there)
    expect("every key has its event, every event its key", events == there, events ^ there)
    expect("the feed's numbers have no gap", sorted(set(seqs)) == list(range(1, max(seqs) + 1)),
           len(seqs))
    c.stop()


def ends(c):
    store, rows = c.feed()
    last = max(r["seq"] for r in rows)
    poll, begun = Unix(c.socket, 120), time.monotonic()
    poll.request("GET", f"/internal/feed?after={last}&wait=60")
    c.feed()  # who connected before was heard before
    status = c.stop()
    answer = poll.getresponse().read().splitlines()
    poll.close()
    expect("SIGTERM ends it at once, with what waits", status == 0 and len(answer) == 1 and
           json.loads(answer[0])["store"] == store and time.monotonic() - begun < 50 and
           not os.path.exists(c.socket), (status, answer))


# ---- signing in ----

def signing_in(c):
    k = c.ask("POST", "/api/v1/keys", {"name": "signs in"}).json
    a = c.ask("POST", "/api/v1/session", {"key": "x"}, role="", key=k["id"])
    secret = a.headers.get("x-feitian-cookie", "")
    expect("a session by a key that the gateway knows", a.status == 201 and a["key"] == k["id"]
           and secret.startswith("se-ft-") and secret not in str(a.json), a)
    expect("none by one that it does not", c.ask("POST", "/api/v1/session", {"key": "x"}, role="",
           key="").status == 401)
    here = {"X-Feitian-Session": a["id"]}
    listed = c.ask("GET", "/api/v1/sessions", key=k["id"], headers=here).json["data"]
    expect("it is listed, and shown by who", [s["current"] for s in listed if s["id"] == a["id"]]
           == [True], listed)
    me = c.ask("GET", "/api/v1/me", key=k["id"], headers=here).json
    now = c.ask("GET", "/api/v1/session", key=k["id"], headers=here)
    expect("and says who is signed in", now.json == {"object": "sign_in", "me": me} and
           me["session"] == a["id"], now)
    row = c.rows()[("session", a["id"])]
    expect("the feed has its hash alone", row["parent"] == k["id"] and len(row["hash"]) == 64
           and secret not in str(row), row)
    b = c.ask("POST", f"/internal/sessions/{a['id']}", None, role="", key="")
    expect("its use is told", b.status == 200, b)
    expect("ended by its id", c.ask("DELETE", f"/api/v1/sessions/{a['id']}").status == 200
           and c.ask("DELETE", f"/api/v1/sessions/{a['id']}").status == 404
           and c.ask("POST", f"/internal/sessions/{a['id']}", None, role="", key="").status == 404)
    a = c.ask("POST", "/api/v1/session", {"key": "x"}, role="", key=k["id"])
    expect("ended by itself", c.ask("DELETE", "/api/v1/session", key=k["id"],
           headers={"X-Feitian-Session": a["id"]}).status == 200)
    m = c.ask("POST", "/api/v1/members", {"name": "lea", "role": "viewer", "login": "lea"}).json
    put = f"/api/v1/members/{m['id']}/password"
    a = c.ask("PUT", put, {"password": "a password of lea"}, key=k["id"])
    expect("a password", a.status == 200 and a["password_changed"] > 0, a)
    a = c.ask("POST", "/api/v1/session", {"login": "lea", "password": "a password of lea"},
              role="", key="")
    expect("a session by it", a.status == 201 and a["role"] == "viewer", a)
    a = c.ask("PUT", "/api/v1/me/password", {"old": "a password of lea", "new": "another of lea"},
              role="viewer", key=a["key"])
    expect("changed by who knows it", a.status == 200, a)
    expect("not by who does not", c.ask("PUT", "/api/v1/me/password", {"old": "wrong", "new":
           "another of lea"}, role="viewer", key=k["id"]).status == 409)


def main():
    homes = [tempfile.mkdtemp(prefix="ft_control_") for _ in range(3)]
    try:
        os.makedirs(f"{homes[0]}/models")
        shutil.copy(f"{ROOT}/models/nano.gguf", f"{homes[0]}/models/")
        c = Control(FEITIAN, homes[0]).start()
        first_steps(c, homes[0])
        crud(c)
        catalog(c)
        models(c, homes[0])
        roles(c)
        every_field(c)
        feed(c)
        signing_in(c)
        control_reports.usage(c)
        responses(c)
        trouble(c, homes[0])
        operations = {op["operationId"] for item in c.document["paths"].values() for op in
                      item.values()
                      if isinstance(op, dict)}
        elsewhere = {"get_status", "get_s3_credentials", "presign", "get_storage", "list_events",
                     "list_nodes", "list_requests", "get_request",  # the gateway's
                     "create_batch", "get_batch", "cancel_batch"}  # need files: batches.py
        elsewhere |= {op for op in operations if op.endswith(  # need a gateway: monitor.py
            ("_alert", "_alerts", "_channel", "_channels", "_history", "_history_series"))}
        expect("every documented operation was answered", operations - c.seen == elsewhere,
               operations - c.seen ^ elsewhere)
        expect("every answer is what the document says", not c.broken, c.broken[:5])
        ends(c)
        no_room(homes[1])
        kills(homes[2])
        newer_store(homes[0])
    finally:
        for home in homes:
            shutil.rmtree(home, ignore_errors=True)
    print(f"{sum(results)} of {len(results)} passed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
