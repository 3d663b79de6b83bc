#!/usr/bin/python3
"""The model hub of a running cloud, over HTTP as curl speaks it: commits, large files whole and in
parts, who sees what, conflicts, tricks with paths and hashes; a model pushed and chatted with; all
of it there again after kill -9.

usage: hub.py FEITIAN NANO [s3]
"""
import base64
import hashlib
import http.client
import json
import os
import re
import sys
import threading
import urllib.parse

from live_cloud import LiveCloud, wait_until

failures = 0
PART = 64 << 20


def expect(what, ok, seen=None):
    global failures
    print(("ok   " if ok else "FAIL ") + what, "" if ok else seen, flush=True)
    failures += not ok


class Hub:
    """One key's way to the hub."""

    def __init__(self, cloud, key):
        self.cloud, self.key = cloud, key

    def ask(self, method, path, body=None, **headers):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        h = http.client.HTTPConnection("127.0.0.1", self.cloud.port, timeout=120)
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        h.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        r = h.getresponse()
        data = r.read()
        h.close()
        return r.status, dict((k.lower(), v) for k, v in r.getheaders()), data

    def json(self, method, path, body=None, **headers):
        status, _, data = self.ask(method, path, body, **headers)
        return status, json.loads(data)

    def commit(self, repo, *ops, rev="main", **header):
        lines = [{"key": "header", "value": {"summary": "change", **header}}]
        lines += [{"key": k, "value": v} for k, v in ops]
        return self.json("POST", f"/api/models/{repo}/commit/{rev}",
                         "".join(json.dumps(line) + "\n" for line in lines))

    def put(self, repo, path, data, **header):
        content = base64.b64encode(data).decode()
        return self.commit(repo, ("file", {"path": path, "content": content,
                                           "encoding": "base64"}), **header)

    def batch(self, repo, *files, transfers=("basic",)):
        return self.json("POST", f"/{repo}.git/info/lfs/objects/batch", {
            "operation": "upload", "transfers": list(transfers), "hash_algo": "sha256",
            "objects": [{"oid": o, "size": n} for o, n in files]})

    def lfs(self, repo, path, data):
        oid = hashlib.sha256(data).hexdigest()
        status, o = self.batch(repo, (oid, len(data)))
        assert status == 200, o
        actions = o["objects"][0].get("actions")
        if actions:
            url = urllib.parse.urlsplit(actions["upload"]["href"])
            r = Hub(self.cloud, None).ask("PUT", f"{url.path}?{url.query}", data)
            assert r[0] == 200, r
        return self.commit(repo, ("lfsFile", {"path": path, "algo": "sha256", "oid": oid,
                                              "size": len(data)}))


def plain(href):
    url = urllib.parse.urlsplit(href)
    return f"{url.path}?{url.query}"


def basics(hub):
    status, o = hub.json("POST", "/api/repos/create", {"name": "m", "organization": "default"})
    expect("a repository is made", status == 200 and o["url"].endswith("/default/m"), o)
    status, o = hub.json("POST", "/api/repos/create", {"name": "default/m"})
    expect("once", status == 409 and o["url"].endswith("/default/m"), o)
    status, o = hub.put("default/m", "a/b.txt", b"0123456789")
    expect("a commit", status == 200 and len(o["commitOid"]) == 40, o)
    first = o["commitOid"]
    status, headers, data = hub.ask("GET", "/default/m/resolve/main/a/b.txt")
    expect("the file", (status, data) == (200, b"0123456789"), data)
    expect("with its commit", headers["x-repo-commit"] == first, headers)
    status, headers, data = hub.ask("GET", "/default/m/resolve/main/a/b.txt", Range="bytes=2-4")
    expect("a range", (status, data, headers["content-range"]) == (206, b"234", "bytes 2-4/10"),
           headers)
    status, headers, data = hub.ask("GET", "/default/m/resolve/main/a/b.txt", Range="bytes=-3")
    expect("its end", (status, data) == (206, b"789"), data)
    status, headers, _ = hub.ask("GET", "/default/m/resolve/main/a/b.txt", Range="bytes=10-")
    expect("beyond it", status == 416, status)
    status, headers, data = hub.ask("HEAD", "/default/m/resolve/main/a/b.txt")
    expect("its head", (status, data, headers["content-length"]) == (200, b"", "10"), headers)
    status, _, _ = hub.ask("GET", "/default/m/resolve/main/a/b.txt",
                           If_None_Match=headers["etag"])
    expect("unchanged", status == 304, status)
    status, headers, data = hub.ask("HEAD", "/api/models/default/m")
    expect("the head of what is told", (status, data) == (200, b""), status)
    for path, code in (("/default/m/resolve/main/none", "EntryNotFound"),
                       ("/default/m/resolve/none/a/b.txt", "RevisionNotFound"),
                       ("/default/none/resolve/main/x", "RepoNotFound")):
        status, headers, _ = hub.ask("GET", path)
        expect(code, status == 404 and headers["x-error-code"] == code, headers)
    status, o = hub.json("GET", "/api/models/default/m/xet-write-token/main")
    expect("no Xet, and what to set", status == 501 and "HF_HUB_DISABLE_XET=1" in o["error"], o)
    _, headers, _ = hub.ask("POST", "/api/models/default/m/preupload/main",
                            {"files": [{"path": "w.bin", "size": 5}]}, User_Agent="hf_hub/1.2")
    expect("said before it is tried", "HF_HUB_DISABLE_XET=1" in headers["x-hf-warning"], headers)
    return first


def conflicts(hub, first):
    expect("a commit on the head", hub.put("default/m", "c", b"1", parentCommit=first)[0] == 200)
    status, o = hub.put("default/m", "c", b"2", parentCommit=first)
    expect("one that was overtaken: 412", status == 412, o)
    done = []
    threads = [threading.Thread(target=lambda i=i: done.append(
        hub.put("default/m", f"t{i}", b"x")[0])) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    files = [f["path"] for f in hub.json("GET", "/api/models/default/m/tree/main")[1]]
    expect("eight at once all arrive", done == [200] * 8 and
           all(f"t{i}" in files for i in range(8)), (done, files))


def branches(hub):
    status, o = hub.json("POST", "/api/models/default/m/branch/dev%2Fone", {})
    expect("a branch", status == 200, o)
    expect("another one of its name: 409",
           hub.json("POST", "/api/models/default/m/branch/dev%2Fone", {})[0] == 409)
    expect("a commit on it", hub.commit("default/m", ("file", {"path": "on/dev", "content": "d"}),
                                        rev="dev%2Fone")[0] == 200)
    for rev in ("dev%2Fone", "dev/one"):  # encoded as it should be, and not
        status, _, data = hub.ask("GET", f"/default/m/resolve/{rev}/on/dev")
        expect(f"a file of {rev}", (status, data) == (200, b"d"), status)
    expect("main has it not", hub.ask("GET", "/default/m/resolve/main/on/dev")[0] == 404)
    status, o = hub.json("POST", "/api/models/default/m/tag/dev%2Fone", {"tag": "v1"})
    expect("a tag", status == 200, o)
    refs = hub.json("GET", "/api/models/default/m/refs")[1]
    expect("refs", [b["name"] for b in refs["branches"]] == ["dev/one", "main"] and
           [t["ref"] for t in refs["tags"]] == ["refs/tags/v1"], refs)
    expect("the branch goes",
           hub.json("DELETE", "/api/models/default/m/branch/dev%2Fone")[0] == 200)
    expect("the tag stays", hub.ask("GET", "/default/m/resolve/v1/on/dev")[0] == 200)
    expect("main does not go", hub.json("DELETE", "/api/models/default/m/branch/main")[0] == 400)


def refused(hub):
    for path in ("../x", "/etc/passwd", "a/../../b", ".git/config", "a//b", "a\\b", "a\nb", ""):
        status, o = hub.put("default/m", path, b"x")
        expect(f"path {path!r}: 400", status == 400, o)
    for name in ("../x", "a/b", "..", "x.git", "a--b", ""):
        status, o = hub.json("POST", "/api/repos/create", {"name": name,
                                                           "organization": "default"})
        expect(f"name {name!r}: 400", status == 400, (status, o))
    status, o = hub.json("POST", "/api/repos/create", {"name": "x", "organization": "nosuch"})
    expect("no such project: 404", status == 404, o)
    url = "/api/models/default/m/commit/main"
    for body in ("", "{", "[]\n", '{"key":"file","value":{"path":"x","content":""}}\n',
                 '{"key":"header","value":{}}\n',
                 '{"key":"header","value":{"summary":"x"}}\n{"key":"what","value":{"path":"x"}}\n',
                 '{"key":"header","value":{"summary":"x"}}\n'
                 '{"key":"file","value":{"path":"x","content":"%","encoding":"base64"}}\n'):
        status, o = hub.json("POST", url, body)
        expect(f"commit {body[:40]!r}: 400", status == 400 and o["error"], o)
    line = b'{"key":"file","value":{"path":"x","content":"' + b"A" * (16 << 20)
    status, _, _ = hub.ask("POST", url, b'{"key":"header","value":{"summary":"x"}}\n' + line)
    expect("a line that does not end: 413", status == 413, status)


WRONG = (True, 5, 1.5, "", [], {"other": 1}, ["x"])


def wrong_types(hub):
    """Every member of every body with values of other types: 400 that names it."""
    def each(method, path, body, but=()):
        for name, good in body.items():
            for bad in WRONG:
                if isinstance(good, type(bad)) or (name, bad) in but:
                    continue
                status, o = hub.json(method, path, {**body, name: bad})
                if status != 400 or name not in o["error"]:
                    expect(f"{method} {path} {name}={bad!r}: 400", False, (status, o))

    model = "/api/models/default/m"
    each("POST", "/api/repos/create", {"name": "m", "organization": "default", "type": "model",
                                       "private": False, "visibility": "public"})
    each("POST", "/api/repos/create", {"name": "other", "license": "mit"})
    each("POST", "/api/repos/create", {"name": "other", "files": [{}]})
    each("POST", "/api/repos/create", {"name": "other", "resourceGroupId": None, "region": None})
    each("DELETE", "/api/repos/delete", {"name": "m", "organization": "default", "type": "model"})
    each("POST", "/api/repos/move", {"fromRepo": "default/m", "toRepo": "default/n",
                                     "type": "model"})
    each("PUT", model + "/settings", {"private": False, "visibility": "public"})
    each("PUT", model + "/settings", {"nonsense": None})
    each("POST", model + "/branch/b", {"startingPoint": "main", "overwrite": True,
                                       "emptyBranch": True})
    each("POST", model + "/tag/main", {"tag": "t", "message": "x"})
    each("POST", model + "/super-squash/main", {"message": "x"})
    each("POST", model + "/preupload/main", {"files": []})
    for bad in ("x", None, {"path": 5}, {"path": "a", "size": "x"}, {"path": "a", "sample": 5}):
        status, o = hub.json("POST", model + "/preupload/main", {"files": [bad]})
        expect(f"preupload of {bad!r}: 400", status == 400 and "files[0]" in o["error"], o)
    status, o = hub.json("POST", model + "/preupload/main",
                         {"files": [{"path": "a", "size": None, "sample": None}]})
    expect("null is as if it were not there", status == 200 and
           o["files"][0]["uploadMode"] == "regular", o)
    each("POST", model + "/paths-info/main", {"paths": [], "expand": True}, [("paths", "")])
    status, o = hub.json("POST", model + "/paths-info/main", {"paths": ["c", 5]})
    expect("a path that is a number: 400", status == 400 and "paths[1]" in o["error"], o)
    each("POST", "/default/m.git/info/lfs/objects/batch", {
        "operation": "upload", "transfers": ["basic"], "hash_algo": "sha256",
        "ref": {"name": "main"}, "objects": [{"oid": "0" * 64, "size": 1}]},
        [("transfers", []), ("objects", [])])
    each("POST", "/default/m.git/info/lfs/objects/verify", {"oid": "0" * 64, "size": 1})
    each("POST", "/api/validate-yaml", {"content": "x"})
    expect("every member of another type was refused by its name", failures == 0)


def beginnings(hub):
    """What may come with a repository's making."""
    content = base64.b64encode(b"hello").decode()
    status, o = hub.json("POST", "/api/repos/create", {
        "name": "begun", "license": "mit", "resourceGroupId": None,
        "files": [{"path": "a/b.txt", "content": content, "encoding": "base64"}]})
    expect("a repository with files and a licence", status == 200, o)
    expect("the file", hub.ask("GET", "/default/begun/resolve/main/a/b.txt")[2] == b"hello")
    o = hub.json("GET", "/api/models/default/begun")[1]
    expect("the licence", o["cardData"]["license"] == "mit", o)
    for body, says in (({"files": [{"path": "a", "content": ""}, {"path": "a/b", "content": ""}]},
                        "a/b"),
                       ({"files": [{"path": "x", "content": ""}, {"path": "../x"}]}, "files[1]"),
                       ({"files": [{"path": "x"}]}, "content"),
                       ({"license": "mit", "files": [{"path": "README.md", "content": ""}]},
                        "license"),
                       ({"license": "x\n---\n"}, "license")):
        status, o = hub.json("POST", "/api/repos/create", {"name": "unbegun", **body})
        expect(f"{says}: 400, and no repository", status == 400 and says in o["error"] and
               hub.ask("GET", "/api/models/default/unbegun")[0] == 404, o)


def listings(hub):
    """The newest change of a folder, pages while files come and go, what is not kept here."""
    for i, path in enumerate(("z/a", "z/b", "z/c", "y", "z/b")):
        hub.put("default/begun", path, str(i).encode(), summary=f"change {i}")
    tree = hub.json("GET", "/api/models/default/begun/tree/main?expand=true")[1]
    newest = {e["path"]: e["lastCommit"]["title"] for e in tree}
    expect("a folder's last commit is the newest of its files'",
           (newest["z"], newest["y"], newest["a"]) == ("change 4", "change 3", "first files"),
           newest)
    info = hub.json("POST", "/api/models/default/begun/paths-info/main",
                    {"paths": ["z"], "expand": True})[1]
    expect("also asked for alone", info[0]["lastCommit"]["title"] == "change 4", info)
    hub.put("default/begun", "config.json", b'{"model_type": "begun"}')
    for asked in ("config=true", "expand[]=config", "expand=config"):
        one = hub.json("GET", f"/api/models?search=begun&{asked}")[1][0]
        expect(f"lists with {asked}", one["config"] == {"model_type": "begun"}, one)
    one = hub.json("GET", "/api/models?search=begun&full=true")[1][0]
    expect("lists with files, and without what nobody asked for", "config" not in one and
           "z/a" in [f["rfilename"] for f in one["siblings"]], one)
    hub.commit("default/begun", ("deletedFile", {"path": "config.json"}))
    url, seen = "/api/models/default/begun/tree/main?recursive=true&limit=2", []
    while url:
        status, headers, data = hub.ask("GET", url)
        seen += [e["path"] for e in json.loads(data)]
        if seen[-1] == "a":  # where the next page goes on is gone
            hub.commit("default/begun", ("deletedFolder", {"path": "a"}))
        url = re.search("<http://[^/]*(.*)>", headers.get("link", ""))
        url = url and url.group(1)
    expect("pages go on behind what went meanwhile",
           seen == ["README.md", "a", "y", "z", "z/a", "z/b", "z/c"], seen)
    status, headers, _ = hub.ask("GET", "/api/models/default/begun/tree/main/y")
    expect("a file is no folder",
           status == 404 and headers["x-error-code"] == "EntryNotFound", headers)
    expect("a cursor of nowhere: 400", hub.ask("GET", "/api/models?cursor=x")[0] == 400)
    hub.commit("default/begun", ("deletedFile", {"path": "y"}), summary="<b> & more")
    one = hub.json("GET", "/api/models/default/begun/commits/main?expand[]=formatted")[1][0]
    expect("titles for a page", one["formatted"]["title"] == "&lt;b&gt; &amp; more", one)
    for path in ("/api/spaces", "/api/collections?limit=3", "/api/models/default/begun/likers"):
        expect(f"{path}: none", hub.json("GET", path) == (200, []))
    o = hub.json("GET", "/api/models/default/begun/discussions?p=0")[1]
    expect("no discussions", (o["count"], o["discussions"]) == (0, []), o)
    status, headers, _ = hub.ask("GET", "/api/spaces/default/begun")
    expect("no space", status == 404 and headers["x-error-code"] == "RepoNotFound", headers)
    for status, o in (hub.json("POST", "/api/models/default/begun/branch/refs%2Fpr%2F1", {}),
                      hub.json("POST", "/api/models/default/begun/tag/main", {"tag": "refs/pr/1"})):
        expect("no pull requests: 501", status == 501 and "pull requests" in o["error"], o)


def rewritten(hub):
    """Branches without history: squashed ones, empty ones."""
    status, o = hub.json("POST", "/api/models/default/begun/super-squash/main", {"message": "all"})
    expect("squashed", status == 200, o)
    commits = hub.json("GET", "/api/models/default/begun/commits/main")[1]
    expect("one commit is left", [(c["id"], c["title"]) for c in commits] ==
           [(o["commitOid"], "all")], commits)
    expect("with all files", hub.ask("GET", "/default/begun/resolve/main/z/b")[2] == b"4")
    status, o = hub.json("POST", "/api/models/default/begun/super-squash/none", {})
    expect("no such branch: 404", status == 404, o)
    status, o = hub.json("POST", "/api/models/default/begun/branch/bare", {"emptyBranch": True})
    expect("an empty branch", status == 200, o)
    expect("holds nothing", hub.json("GET", "/api/models/default/begun/tree/bare")[1] == [])
    expect("and takes commits", hub.commit("default/begun", ("file", {"path": "x", "content": ""}),
                                           rev="bare")[0] == 200)
    expect("once", hub.json("POST", "/api/models/default/begun/branch/bare",
                            {"emptyBranch": True})[0] == 409)
    expect("from nowhere and somewhere: 400", hub.json(
        "POST", "/api/models/default/begun/branch/b",
        {"emptyBranch": True, "startingPoint": "main"})[0] == 400)


def pointers(hub):
    data = os.urandom(1000)
    hub.lfs("default/begun", "w.bin", data)
    text = (f"version https://git-lfs.github.com/spec/v1\noid sha256:"
            f"{hashlib.sha256(data).hexdigest()}\nsize 1000\n").encode()
    status, headers, got = hub.ask("GET", "/default/begun/raw/main/w.bin")
    expect("raw, a large file is its pointer", (status, got) == (200, text), got)
    blob = hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()
    expect("by git's name", headers["etag"] == f'"{blob}"', headers)
    status, headers, got = hub.ask("GET", "/default/begun/raw/main/w.bin", Range="bytes=8-12")
    expect("in ranges", (status, got, headers["content-range"]) ==
           (206, b"https", f"bytes 8-12/{len(text)}"), headers)
    expect("resolved, it is itself", hub.ask("GET", "/default/begun/resolve/main/w.bin")[2] == data)
    expect("a small one is itself", hub.ask("GET", "/default/begun/raw/main/z/b")[2] == b"4")


def large(hub, cloud):
    data = os.urandom(3 << 20)
    oid = hashlib.sha256(data).hexdigest()
    status, o = hub.lfs("default/m", "w.bin", data)
    expect("a large file", status == 200, o)
    status, headers, got = hub.ask("GET", "/default/m/resolve/main/w.bin")
    expect("comes back", got == data and headers["etag"] == f'"{oid}"', headers)
    status, o = hub.batch("default/m", (oid, len(data)))
    expect("is not sent again", "actions" not in o["objects"][0], o)
    other = os.urandom(1000)
    status, o = hub.batch("default/m", (hashlib.sha256(other).hexdigest(), 1000))
    href = o["objects"][0]["actions"]["upload"]["href"]
    nobody = Hub(cloud, None)
    status, _, body = nobody.ask("PUT", plain(href), os.urandom(1000))
    expect("other bytes than announced: 422", status == 422, body)
    status, _, body = nobody.ask("PUT", plain(href), other[:500])
    expect("fewer: 422", status == 422, body)
    status, _, body = nobody.ask("PUT", plain(href).replace("size=1000", "size=999"), other[:999])
    expect("a URL that was changed: 403", status == 403, body)
    status, o = hub.commit("default/m", ("lfsFile", {"path": "n", "oid": "a" * 64, "size": 1}))
    expect("content that nobody sent: refused", status in (400, 422), o)
    expect("and is nowhere", hub.ask("GET", "/default/m/resolve/main/n")[0] == 404)


def in_parts(hub, cloud):
    data = os.urandom(1 << 20) * (2 * (PART >> 20) + 3)
    oid = hashlib.sha256(data).hexdigest()
    _, o = hub.batch("default/m", (oid, len(data)), transfers=("basic", "multipart"))
    upload = o["objects"][0]["actions"]["upload"]
    chunk = int(upload["header"]["chunk_size"])
    names = sorted(k for k in upload["header"] if k.isdigit())
    expect("it comes in parts", len(names) == -(-len(data) // chunk), upload)
    parts = []
    for name in reversed(names):
        n = int(name)
        status, headers, _ = Hub(cloud, None).ask("PUT", plain(upload["header"][name]),
                                                  data[(n - 1) * chunk:n * chunk])
        parts.insert(0, {"partNumber": n, "etag": headers.get("etag")})
        expect(f"part {n}", status == 200 and headers["etag"], status)
    status, _, body = Hub(cloud, None).ask("POST", plain(upload["href"]),
                                           json.dumps({"oid": oid, "parts": parts}))
    expect("put together", status == 200, body)
    status, o = hub.commit("default/m", ("lfsFile", {"path": "big", "oid": oid}))
    expect("committed", status == 200, o)
    status, _, got = hub.ask("GET", "/default/m/resolve/main/big", Range="bytes=70000000-70000999")
    expect("read across parts", got == data[70000000:70001000], status)


def rights(hub, cloud):
    def key(*more):
        r = cloud.run("key", "create", "--json", *more)
        assert r.returncode == 0, r
        return json.loads(r.stdout)["secret"]

    assert cloud.run("project", "create", "other").returncode == 0
    other = Hub(cloud, key("--project", "other"))
    viewer = Hub(cloud, key("--project", "default", "--role", "viewer"))
    expect("who is who", other.json("GET", "/api/whoami-v2")[1]["name"] == "other")
    expect("a public one is read by all", other.ask("GET", "/default/m/resolve/main/c")[0] == 200)
    expect("and written by its project", other.put("default/m", "x", b"x")[0] == 403)
    expect("no repository of another project", other.json(
        "POST", "/api/repos/create", {"name": "n", "organization": "default"})[0] == 403)
    status, o = viewer.json("GET", "/api/models?limit=x")
    expect("a limit that is no number", status == 400 and "limit" in o["error"], o)
    status, o = viewer.json("POST", "/api/repos/create", {"name": "n"})
    expect("what a viewer's key lacks is said", status == 403 and "hub.write" in o["error"], o)
    secret = os.urandom(5000)
    hub.json("POST", "/api/repos/create", {"name": "p", "organization": "default",
                                           "private": True})
    expect("a private one", hub.lfs("default/p", "s.bin", secret)[0] == 200)
    for path in ("/api/models/default/p", "/default/p/resolve/main/s.bin",
                 "/api/models/default/p/tree/main", "/api/models/default/p/refs",
                 "/api/v1/models/default/p/repo/files"):
        a, b = other.json("GET", path), other.json("GET", path.replace("/p", "/nowhere"))
        expect(f"{path} is not there for others", a[0] == 404 and
               a[1]["error"].replace("/p'", "") == b[1]["error"].replace("/nowhere'", ""), (a, b))
    expect("nor in lists", not other.json("GET", "/api/models?search=default/p")[1])
    expect("a viewer reads", viewer.ask("GET", "/default/p/resolve/main/s.bin")[2] == secret)
    expect("and does not write", viewer.put("default/p", "x", b"x")[0] == 403)
    # to know the hash is not to have the bytes
    other.json("POST", "/api/repos/create", {"name": "thief"})
    oid = hashlib.sha256(secret).hexdigest()
    status, o = other.commit("other/thief", ("lfsFile", {"path": "s", "oid": oid}))
    expect("a hash alone opens nothing", status == 400, o)
    status, o = other.batch("other/thief", (oid, len(secret)))
    expect("and is asked for like any other", "actions" in o["objects"][0], o)
    expect("no key, nothing", Hub(cloud, None).ask("GET", "/api/models/default/m")[0] == 401)
    hub.json("PUT", "/api/models/default/p/settings", {"private": False})
    expect("until it is public", other.ask("GET", "/default/p/resolve/main/s.bin")[0] == 200)


def limits(cloud):
    assert cloud.run("project", "create", "small", "--storage", "1M").returncode == 0
    r = cloud.run("key", "create", "--json", "--project", "small")
    small = Hub(cloud, json.loads(r.stdout)["secret"])
    small.json("POST", "/api/repos/create", {"name": "m"})
    data = os.urandom(800_000)
    expect("a project keeps what it may", small.lfs("small/m", "a.bin", data)[0] == 200)
    wait_until(lambda: small.batch("small/m", ("b" * 64, 800_000))[1]["objects"][0].get("error"),
               10, "more is refused")
    big = f"{cloud.folder}/big.bin"
    with open(big, "wb") as f:
        f.write(os.urandom(800_000))
    r = cloud.run("hub", "push", big, "small/full", FEITIAN_API_KEY=json.loads(r.stdout)["secret"])
    expect("a push is refused", r.returncode != 0, r)
    expect("and leaves no repository", small.ask("GET", "/api/models/small/full")[0] == 404)


def scope(hub):
    """ModelScope's routes."""
    status, o = hub.json("GET", "/api/v1/models/default/m/repo/files?Revision=master"
                                "&Recursive=True")
    paths = [f["Path"] for f in o["Data"]["Files"]]
    expect("ModelScope's list", status == 200 and "a/b.txt" in paths and "a" in paths, o)
    status, _, data = hub.ask("GET", "/api/v1/models/default/m/repo?Revision=master"
                                     "&FilePath=a%2Fb.txt")
    expect("ModelScope's file", data == b"0123456789", data)
    status, _, data = hub.ask("GET", "/models/default/m/resolve/master/a/b.txt")
    expect("by its other route", data == b"0123456789", data)
    # as ModelScope's own client asks: by a cookie, for what is there, "master" among it
    anybody = Hub(hub.cloud, None)
    client = {"Cookie": f"m_session_id={hub.key}", "User_Agent": "modelscope/1.30.0; python/3.11"}
    status, o = anybody.json("GET", "/api/v1/models/default/m", **client)
    expect("is it there?", status == 200 and o["Data"]["Name"] == "m", o)
    status, o = anybody.json("GET", "/api/v1/models/default/none", **client)
    expect("one is not", status == 404 and o["Code"] == 404 and not o["Success"], o)
    status, o = anybody.json("GET", "/api/v1/models/default/m/revisions", **client)
    branches = {b["Revision"]: b for b in o["Data"]["RevisionMap"]["Branches"]}
    expect("its master is main", branches["master"]["CommitId"] == branches["main"]["CommitId"] and
           branches["master"]["CreatedAt"] > 0, o)
    status, o = anybody.json("GET", "/api/v1/models/default/m/repo/files?Revision=master"
                                    "&Root=/a/", **client)
    files = {f["Path"]: f["Revision"] for f in o["Data"]["Files"]}
    expect("files with what changed them last", len(files["a/b.txt"]) == 40, o)
    status, o = anybody.json("GET", "/api/v1/models/default/m/repo/files?Root=none", **client)
    expect("no such folder: 404", status == 404 and "none" in o["Message"], o)
    client["Cookie"] = "m_session_id=sk-ft-none"
    expect("a cookie that is no key: 401",
           anybody.ask("GET", "/api/v1/models/default/m", **client)[0] == 401)
    status, o = hub.json("GET", "/api/v1/models/nano")
    expect("others mean the admin API", status == 200 and o["name"] == "nano", o)
    expect("also by two parts", hub.ask("GET", "/api/v1/models/default/m")[0] == 404)


def moved_main(hub):
    """Lists know a model's parameters again once main is another commit, whoever moved it."""
    def is_listed():
        found = hub.json("GET", "/api/models?num_parameters=min:1M")[1]
        return "default/nano" in [m["id"] for m in found]
    status, o = hub.json("POST", "/api/models/default/nano/super-squash/main", {"message": "all"})
    expect("a model is squashed", status == 200, o)
    wait_until(is_listed, 30, "a squashed model's parameters are known")
    assert hub.json("POST", "/api/models/default/nano/branch/next", {})[0] == 200
    assert hub.commit("default/nano", ("file", {"path": "x", "content": ""}), rev="next")[0] == 200
    status, o = hub.json("POST", "/api/models/default/nano/branch/main",
                         {"startingPoint": "next", "overwrite": True})
    expect("main is put on another branch's commit", status == 200, o)
    wait_until(is_listed, 30, "a moved model's parameters are known")


def served(hub, cloud, nano):
    r = cloud.run("hub", "push", nano, "nano", "--message", "weights")
    expect("hub push", r.returncode == 0 and ": 1 file," in r.stdout, r)
    r = cloud.run("hub", "ls")
    expect("hub ls", re.search(r" 20\d\d-\d\d-\d\d \d\d:\d\d$", r.stdout, re.M), r)
    with open(f"{cloud.folder}/README.md", "w", encoding="utf-8") as f:
        f.write("---\nlicense: mit\ntags: [tiny]\n---\n")
    assert cloud.run("hub", "push", f"{cloud.folder}/README.md", "nano").returncode == 0
    r = cloud.run("hub", "show", "nano", "--json")
    said = json.loads(r.stdout)
    expect("what it is", said["gguf"]["architecture"] == "qwen3" and said["gguf"]["total"] > 1e6
           and said["license"] == "mit", said)
    r = cloud.run("hub", "show", "nano")
    expect("who sees it", "every project (public)" in r.stdout, r)
    assert cloud.run("hub", "tag", "nano", "v1").returncode == 0
    r = cloud.run("endpoint", "create", "mine", "--model", "default/nano@v1")
    expect("endpoint create --model ORG/NAME@REV", r.returncode == 0, r)
    body = {"model": "mine", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    status, o = cloud.post("/v1/chat/completions", body)
    expect("answers", status == 200 and o["choices"][0]["message"]["content"], o)
    found = [f for f in json.loads(cloud.run("doctor", "--json").stdout)["findings"]
             if f["check"] == "models"]
    expect("doctor opens what was made local of the hub",
           [f["message"] for f in found] == ["2 can be opened"], found)
    for name in ("nano@v1", "default/nano"):  # of the own project; the main branch
        r = cloud.run("endpoint", "create", "also", "--model", name)
        expect(f"--model {name}", r.returncode == 0 and "default/nano@" in r.stdout, r)
        cloud.run("endpoint", "rm", "also")
    r = cloud.run("endpoint", "create", "none", "--model", "default/nano@none")
    expect("no such revision", r.returncode != 0 and "none" in r.stderr, r)
    for name in "default/m@main", "default/m":
        r = cloud.run("endpoint", "create", "none", "--model", name)
        expect("no model", r.returncode != 0 and "no model that feitian reads" in r.stderr, r)
    to = f"{cloud.folder}/pulled"
    r = cloud.run("hub", "pull", "nano@v1", to)
    with open(nano, "rb") as a, open(f"{to}/nano.gguf", "rb") as b:
        expect("hub pull", r.returncode == 0 and a.read() == b.read(), r)
    wait_until(lambda: json.loads(cloud.run("hub", "show", "nano", "--json").stdout)
               ["downloadsAllTime"] > 0, 5, "downloads are counted")
    for source, env in (("hf:", {"HF_ENDPOINT": cloud.url, "HF_TOKEN": cloud.key}),
                        ("ms:", {"MODELSCOPE_ENDPOINT": cloud.url,
                                 "MODELSCOPE_API_TOKEN": cloud.key})):
        r = cloud.run("model", "add", f"{source}default/nano", "--name", source[:2], **env)
        expect(f"another cloud's model add {source}", r.returncode == 0, r)
    for asked, there in (("min:1M", True), ("max:4M", True), ("min:3M,max:3.2M", True),
                         ("min:1B", False), ("max:3000K", False),
                         ("min:3148608,max:3148608", True)):
        found = hub.json("GET", f"/api/models?num_parameters={asked}")[1]
        expect(f"models by their parameters, {asked}",
               ("default/nano" in [m["id"] for m in found]) == there, found)
    moved_main(hub)
    for asked in ("", "x", "min:", "min:x", "min:1X", "min:0", "max:1M;", "min:1,,"):
        status, o = hub.json("GET", f"/api/models?num_parameters={urllib.parse.quote(asked)}")
        expect(f"num_parameters={asked}: 400", status == 400 and "num_parameters" in o["error"], o)
    bad = f"{cloud.folder}/bad.gguf"
    with open(bad, "wb") as f:
        f.write(b"GGUF" + os.urandom(4096))
    assert cloud.run("hub", "push", bad, "bad").returncode == 0
    r = cloud.run("endpoint", "create", "bad", "--model", "default/bad@main")
    expect("hostile bytes are no model", r.returncode != 0 and "no model" in r.stderr, r)
    expect("nothing of them stays beside the hub",
           os.listdir(f"{cloud.folder}/home/models/hub/default/bad") == [])
    status, o = hub.json("POST", "/api/v1/endpoints", {
        "name": "bad", "targets": [{"model": "default/bad@main", "weight": 1}]})
    expect("told of the field", status == 400 and
           o["error"]["param"] == "targets[0].model" and
           o["error"]["message"].startswith("targets[0].model: is no model"), o)
    expect("and are looked at elsewhere", hub.json("GET", "/api/models/default/bad")[0] == 200)


def killed(hub, cloud):
    before = hub.json("GET", "/api/models/default/m/tree/main?recursive=true")[1]
    gateway = [p for p, words in cloud.processes().items() if words.startswith("gateway")]
    os.kill(gateway[0], 9)
    wait_until(cloud.is_ready, 30, "the gateway is back")
    after = hub.json("GET", "/api/models/default/m/tree/main?recursive=true")[1]
    expect("all is there after kill -9", before == after and len(after) > 10, after)


def removed(hub):
    status, o = hub.json("POST", "/api/repos/move", {"fromRepo": "default/m", "toRepo": "default/k",
                                                     "type": "model"})
    expect("renamed", status == 200, o)
    expect("the old name leads on", hub.ask("GET", "/default/m/resolve/main/c")[0] == 200)
    status, o = hub.json("DELETE", "/api/repos/delete", {"name": "k", "organization": "default"})
    expect("deleted", status == 200, o)
    expect("gone", hub.ask("GET", "/default/k/resolve/main/c")[0] == 404)
    expect("by both names", hub.ask("GET", "/default/m/resolve/main/c")[0] == 404)


def run(cloud, nano, limited):
    hub = Hub(cloud, cloud.key)
    first = basics(hub)
    conflicts(hub, first)
    branches(hub)
    refused(hub)
    wrong_types(hub)
    beginnings(hub)
    listings(hub)
    rewritten(hub)
    pointers(hub)
    large(hub, cloud)
    in_parts(hub, cloud)
    rights(hub, cloud)
    if limited:
        limits(cloud)
    scope(hub)
    served(hub, cloud, nano)
    killed(hub, cloud)
    removed(hub)
    if failures:
        cloud.show_logs()


def run_upstream(feitian, nano):
    """The same over an S3 server, which is another cloud's. What an upstream keeps is counted every
    few minutes only, so limits are left out."""
    with LiveCloud(feitian) as upstream:
        keys = json.loads(upstream.run("key", "s3", "--json").stdout)
        cloud = LiveCloud(feitian, "--storage", f"s3+http://127.0.0.1:{upstream.port}")
        os.makedirs(cloud.home)
        names = ("access_key_id", "secret_access_key", "region")
        with open(f"{cloud.home}/storage.json", "w", encoding="utf-8") as f:
            os.fchmod(f.fileno(), 0o600)
            json.dump({name: keys[name] for name in names}, f)
        with cloud:
            run(cloud, nano, False)


def main():
    feitian, nano = sys.argv[1:3]
    if sys.argv[3:] == ["s3"]:
        run_upstream(feitian, nano)
    else:
        with LiveCloud(feitian) as cloud:
            run(cloud, nano, True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
