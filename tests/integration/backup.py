#!/usr/bin/python3
"""feitian backup and restore: everything of a cloud, copied while it works, and brought back.

usage: backup.py FEITIAN
"""
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import threading
import time

import boto3
from botocore.config import Config

import live_cloud

failed = 0
passed = 0
PART = 5 << 20
# files of a user whose names look like those that are left out
LIKE_OTHERS = ("notes-wal", "notes-shm", "the-journal", "a.partial-copy.gguf", "a.partial-")


def expect(what, ok, seen=None):
    global failed, passed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    passed += bool(ok)
    failed += not ok


class Restored(live_cloud.LiveCloud):
    """A cloud in a folder that a backup was restored into."""

    def __init__(self, feitian, home):
        super().__init__(feitian)
        os.rmdir(self.home) if os.path.isdir(self.home) else None
        self.home = home


def client(c, project=None):
    body = {"name": "backup test"}
    if project:
        body["project"] = project
    status, key = c.post("/api/v1/keys", body)
    assert status in (200, 201), key
    h = c.connect(30)
    h.request("GET", "/api/v1/s3/credentials", headers={"Authorization": f"Bearer {key['secret']}"})
    s3 = json.loads(h.getresponse().read())
    h.close()
    return key["secret"], boto3.client(
        "s3", endpoint_url=c.url, region_name="us-east-1",
        aws_access_key_id=s3["access_key_id"], aws_secret_access_key=s3["secret_access_key"],
        config=Config(retries={"max_attempts": 0}))


def all_versions(s3, bucket):
    """{(key, version): MD5 of its bytes or "marker"}"""
    seen = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for v in page.get("Versions", []):
            body = s3.get_object(Bucket=bucket, Key=v["Key"], VersionId=v["VersionId"])["Body"]
            seen[v["Key"], v["VersionId"]] = hashlib.md5(body.read()).hexdigest()
        for v in page.get("DeleteMarkers", []):
            seen[v["Key"], v["VersionId"]] = "marker"
    return seen


def usage(c):
    """What all calls of a model came to, when nothing is on its way any more."""
    c.settle()
    status, answer = c.get("/api/v1/usage?group_by=model,route,status")
    assert status == 200, answer
    rows = sorted(json.dumps(r, sort_keys=True) for r in answer["data"])
    return [r for r in rows if '"chat' in r]


def chat(c, secret, n=6, model="nano"):
    body = {"model": model, "max_tokens": n, "temperature": 0,
            "messages": [{"role": "user", "content": "What is a backup?"}]}
    h = c.connect(60)
    h.request("POST", "/v1/chat/completions", json.dumps(body),
              {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"})
    r = h.getresponse()
    answer = json.loads(r.read())
    h.close()
    return answer["choices"][0]["message"]["content"] if r.status == 200 else (r.status, answer)


def fill(c):
    """What a backup must bring back; {name: ...}."""
    secret, s3 = client(c)
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    for i in range(12):
        s3.put_object(Bucket="kept", Key=f"small-{i}", Body=os.urandom(900 + i))
    for _ in range(2):
        s3.put_object(Bucket="kept", Key="large", Body=os.urandom(300000))
    s3.delete_object(Bucket="kept", Key="small-3")
    s3.copy_object(Bucket="kept", Key="copied", CopySource="kept/large")  # a hard link in the store
    up = {"Bucket": "kept", "Key": "in parts"}
    up["UploadId"] = s3.create_multipart_upload(**up)["UploadId"]
    tags = [{"PartNumber": n, "ETag": s3.upload_part(**up, PartNumber=n, Body=b)["ETag"]}
            for n, b in ((1, os.urandom(PART)), (2, os.urandom(1000)))]
    s3.complete_multipart_upload(**up, MultipartUpload={"Parts": tags})
    half = {"Bucket": "kept", "Key": "not finished"}
    half["UploadId"] = s3.create_multipart_upload(**half)["UploadId"]
    tag = s3.upload_part(**half, PartNumber=1, Body=b"x" * PART)["ETag"]
    folder = f"{c.folder}/to push"
    os.mkdir(folder)
    shutil.copy(f"{c.home}/models/nano.gguf", f"{folder}/model.gguf")
    for args in (("hub", "push", folder, "default/pushed"),
                 ("endpoint", "create", "of-the-hub", "--to", "default/pushed@main")):
        r = c.run(*args)
        assert r.returncode == 0, r
    words = chat(c, secret)
    for _ in range(3):
        chat(c, secret)
    with open(f"{c.home}/models/with \\ and\nnewline \xfc.txt", "w", encoding="utf-8") as f:
        f.write("odd names are names")
    for name in LIKE_OTHERS:
        with open(f"{c.home}/models/{name}", "w", encoding="utf-8") as f:
            f.write(name)
    os.symlink("nano.gguf", f"{c.home}/models/link.gguf")
    return {"secret": secret, "s3": s3, "half": half, "tag": tag, "words": words}


class Load:
    """Chats, puts, removals, uploads in parts and new keys, until it is stopped."""

    def __init__(self, c, n=2):
        self.c, self.stop, self.done, self.errors = c, threading.Event(), 0, []
        self.secret, self.s3 = client(c)
        self.s3.create_bucket(Bucket="busy")
        self.acknowledged = {}  # before the backup began: it must be in it
        self.threads = [threading.Thread(target=self.work, args=(i,)) for i in range(n)]
        for t in self.threads:
            t.start()

    def work(self, number):
        draw = random.Random(number)
        while not self.stop.is_set():
            try:
                self.step(number, draw)
                self.done += 1
            except Exception as e:  # pylint: disable=broad-except
                self.errors.append(repr(e))
                return

    def step(self, number, draw):
        key = f"{number}/{draw.randrange(20)}"
        what = draw.randrange(6)
        if what == 0:
            words = chat(self.c, self.secret, 3)
            assert isinstance(words, str), words
        elif what == 1:
            self.s3.delete_object(Bucket="busy", Key=key)
            self.acknowledged.pop(key, None)
        elif what == 2:
            status, key = self.c.post("/api/v1/keys", {"name": f"n{draw.random()}"})
            assert status in (200, 201), key
        else:
            body = draw.randbytes(draw.choice((100, 50000, 200000)))
            self.s3.put_object(Bucket="busy", Key=key, Body=body)
            self.acknowledged[key] = hashlib.md5(body).hexdigest()

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        return self.errors


def compare(what, c, restored, kept, versions, rows):
    """The cloud that came back, beside the one that went on."""
    secret, s3 = kept["secret"], boto3.client(
        "s3", endpoint_url=restored.url, region_name="us-east-1",
        aws_access_key_id=kept["s3"]._request_signer._credentials.access_key,
        aws_secret_access_key=kept["s3"]._request_signer._credentials.secret_key,
        config=Config(retries={"max_attempts": 0}))
    if rows is not None:
        before = usage(restored)
        expect(f"{what}: usage to the last cent", before == rows, (before, rows))
    expect(f"{what}: a key and its model answer as before", chat(restored, secret) == kept["words"])
    expect(f"{what}: so does a model of the hub",
           chat(restored, secret, model="of-the-hub") == kept["words"])
    seen = all_versions(s3, "kept")
    expect(f"{what}: every version of every object, to the byte", seen == versions,
           (len(seen), len(versions)))
    s3.complete_multipart_upload(**kept["half"], MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": kept["tag"]}]})
    expect(f"{what}: an upload in parts goes on", s3.get_object(
        Bucket="kept", Key="not finished")["Body"].read() == b"x" * PART)
    r = restored.run("blob", "check", "--json")
    expect(f"{what}: all objects are as they were written", r.returncode == 0 and
           json.loads(r.stdout)["faults"] == 0, r.stdout + r.stderr)
    r = restored.run("model", "list", "--json")
    paths = [m.get("path", "") for m in json.loads(r.stdout)]
    expect(f"{what}: models lie in the new folder",
           all(p.startswith(os.path.realpath(restored.home)) for p in paths) and paths, paths)
    with open(f"{restored.home}/models/with \\ and\nnewline \xfc.txt", encoding="utf-8") as f:
        expect(f"{what}: odd names", f.read() == "odd names are names")
    expect(f"{what}: names that look like those of what is left out", all(
        os.path.exists(f"{restored.home}/models/{n}") for n in LIKE_OTHERS),
        os.listdir(f"{restored.home}/models"))
    expect(f"{what}: links", os.readlink(f"{restored.home}/models/link.gguf") == "nano.gguf")
    for name in ("s3.secret", "storage.id", "credentials.json"):
        expect(f"{what}: {name} is as private as it was",
               os.stat(f"{restored.home}/{name}").st_mode & 0o77 == 0 or
               os.stat(f"{c.home}/{name}").st_mode & 0o77 != 0)


def run(c, *args, **more):
    return subprocess.run([c.feitian, *args], capture_output=True, timeout=300, check=False,
                          env=c.env(), stdin=subprocess.DEVNULL, **more)


def said(r):
    return (r.returncode, r.stdout[-600:], r.stderr[-600:])


def quiet(c, kept, folder):
    """Of a cloud in which nothing happens: the same to the last cent, in each form."""
    rows, versions = usage(c), all_versions(kept["s3"], "kept")
    r = run(c, "backup", f"{folder}/one")
    expect("a backup into a folder", r.returncode == 0 and b"files" in r.stdout, said(r))
    r = run(c, "backup", f"{folder}/one.tar")
    expect("into a tar", r.returncode == 0, said(r))
    r = run(c, "backup", "-")
    expect("onto standard output", r.returncode == 0 and len(r.stdout) > 1 << 20, said(r)[::2])
    with open(f"{folder}/piped.tar", "wb") as f:
        f.write(r.stdout)
    expect("nothing else is left there", sorted(os.listdir(folder)) ==
           ["one", "one.tar", "piped.tar"], os.listdir(folder))
    expect("nobody else may read it", os.stat(f"{folder}/one").st_mode & 0o77 == 0 and
           os.stat(f"{folder}/one.tar").st_mode & 0o77 == 0)
    r = subprocess.run(["sha256sum", "--quiet", "-c", "MANIFEST"], cwd=f"{folder}/one", check=False,
                       capture_output=True)
    bad = [l for l in r.stdout.splitlines() if b"OK" not in l]
    links = sum(l.startswith("# link") for l in open(f"{folder}/one/MANIFEST", errors="replace"))
    expect("sha256sum reads its manifest", len(bad) == links, (r, links))
    names = tarfile.open(f"{folder}/one.tar").getnames()
    expect("tar reads it", names[0] == "BACKUP" and names[-1] == "MANIFEST", names[:3])
    subprocess.run(["zstd", "-q", f"{folder}/one.tar"], check=False)
    again = run(c, "backup", f"{folder}/one")
    expect("an earlier one is not written over", again.returncode == 1 and
           b"there already" in again.stderr, said(again))
    r = run(c, "backup", f"{folder}/two", "--earlier", f"{folder}/one", "--json")
    told = json.loads(r.stdout)
    expect("what has not changed is shared", r.returncode == 0 and
           told["linked_bytes"] > 0.5 * told["bytes"], said(r))
    shutil.rmtree(f"{folder}/one")
    for src in ("two", "one.tar", "piped.tar", "one.tar.zst"):
        if not os.path.exists(f"{folder}/{src}"):
            continue
        r = run(c, "backup", "--verify", f"{folder}/{src}")
        expect(f"{src} is whole", r.returncode == 0 and b"is whole" in r.stdout, said(r))
    for src in ("two", "one.tar"):
        home = f"{folder}/home of {src}"
        r = run(c, "restore", f"{folder}/{src}", "--home", home)
        expect(f"{src} is restored", r.returncode == 0, said(r))
        with Restored(c.feitian, home) as back:
            compare(src, c, back, kept, versions, rows)
    r = run(c, "restore", f"{folder}/two", "--home", home)
    expect("not where something is", r.returncode == 1 and b"is not empty" in r.stderr, said(r))
    mine = f"{folder}/mine"
    os.mkdir(mine)
    for name, text in (("restoring", ""), ("thesis.txt", "years")):
        with open(f"{mine}/{name}", "w", encoding="utf-8") as f:
            f.write(text)
    r = run(c, "restore", f"{folder}/two", "--home", mine)
    expect("nor beside a file that has the name of its marker", r.returncode == 1 and
           b"is not empty" in r.stderr and sorted(os.listdir(mine)) == ["restoring", "thesis.txt"],
           (said(r), os.listdir(mine)))
    r = run(c, "restore", f"{folder}/two", "--home", c.home)
    expect("nor where a cloud runs", r.returncode == 1 and b"a cloud runs in" in r.stderr, said(r))
    r = run(c, "backup", f"{c.home}/inside")
    expect("nor is one made within the cloud", r.returncode == 2 and
           b"own folder" in r.stderr, said(r))
    with open(f"{folder}/two/BACKUP", "rb") as f:
        expect("what it is stands in front", json.load(f)["home"] == os.path.realpath(c.home))
    r = run(c, "backup", f"{folder}/no models", "--no-models")
    expect("without models", r.returncode == 0 and not os.path.exists(
        f"{folder}/no models/models"), said(r))


def under_load(c, kept, folder):
    versions = all_versions(kept["s3"], "kept")
    load = Load(c)
    live_cloud.wait_until(lambda: load.errors or load.done > 30, 60, "work before a backup")
    before, had = ids_of_chats(c.home), dict(load.acknowledged)
    begun = load.done
    tar = f"{folder}/busy.tar"
    p = subprocess.Popen([c.feitian, "backup", "-"], env=c.env(), stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with open(tar, "wb") as f:
        f.write(p.stdout.read(1))  # it has begun, and stands: a pipe takes so much and no more
        live_cloud.wait_until(lambda: load.errors or load.done > begun + 10, 60,
                              "work goes on while a backup is made")
        shutil.copyfileobj(p.stdout, f)
    said_by_it = p.stderr.read()
    p.stdout.close()
    p.stderr.close()
    expect("a backup under load", p.wait() == 0, said_by_it)
    errors = load.end()
    ended_us = int(time.time() * 1e6)
    expect("and nobody was refused meanwhile", not errors, errors)
    home = f"{folder}/busy home"
    r = run(c, "restore", tar, "--home", home)
    expect("is restored", r.returncode == 0, said(r))
    db = sqlite3.connect(f"{home}/state/state.db")
    ids = db.execute("SELECT count(*), count(DISTINCT id) FROM usage_records").fetchone()
    db.close()
    with Restored(c.feitian, home) as back:
        compare("under load", c, back, kept, versions, None)
        back.settle()
        c.settle()
        there, all_of_it = ids_of_chats(home, ended_us), ids_of_chats(c.home)
        expect("what was used before is in it", before <= there, before - there)
        expect("and nothing that was not", there <= all_of_it, there - all_of_it)
        s3 = boto3.client("s3", endpoint_url=back.url, region_name="us-east-1",
                          aws_access_key_id=load.s3._request_signer._credentials.access_key,
                          aws_secret_access_key=load.s3._request_signer._credentials.secret_key)
        keys = {o["Key"]: o for o in s3.list_objects_v2(Bucket="busy").get("Contents", [])}
        for key in keys:
            s3.get_object(Bucket="busy", Key=key)["Body"].read()
        gone = [k for k in had if k not in keys and k in load.acknowledged and
                load.acknowledged[k] == had[k]]
        expect("no object that was acknowledged before is missing", not gone, gone)
    expect("records have one id each", ids[0] == ids[1] > 0, ids)


def ids_of_chats(home, until_us=1 << 62):
    """Of the chats with nano that began before then and are counted."""
    db = sqlite3.connect(f"file:{home}/state/state.db?mode=ro", uri=True)
    rows = db.execute("SELECT id FROM usage_records WHERE model = 'nano' AND start_us < ?",
                      (until_us,)).fetchall()
    db.close()
    return {r[0] for r in rows}


def killed(c, folder):
    """Killed at any moment, it leaves nothing that passes for whole."""
    os.mkdir(f"{folder}/killed")
    cut = 0
    for i in range(8):
        dest = f"{folder}/killed/{i}" + (".tar" if i % 2 else "")
        p = subprocess.Popen([c.feitian, "backup", dest], env=c.env(), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        begun = os.path.basename(dest) + ".partial-"
        while p.poll() is None and not any(n.startswith(begun)
                                           for n in os.listdir(f"{folder}/killed")):
            time.sleep(0.001)
        time.sleep(0.02 * (i // 2))
        p.kill()
        cut += p.wait() == -signal.SIGKILL
        for name in os.listdir(f"{folder}/killed"):
            whole = run(c, "backup", "--verify", f"{folder}/killed/{name}").returncode == 0
            if whole and name != os.path.basename(dest):
                expect("what was cut off is not whole", False, name)
            if not whole and ".partial-" not in name:
                expect("and has not its name", False, name)
    expect("killed in the middle", cut > 0, cut)
    r = run(c, "backup", f"{folder}/killed/0")
    left = [n for n in os.listdir(f"{folder}/killed") if n.startswith("0.") or n == "0"]
    expect("another sweeps what it left", (r.returncode == 0 or b"there already" in r.stderr) and
           left == ["0"], (said(r), left))
    p = subprocess.Popen([c.feitian, "backup", "-"], env=c.env(), stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    part = p.stdout.read(200000)
    p.kill()
    p.wait()
    p.stdout.close()
    r = subprocess.run([c.feitian, "backup", "--verify", "-"], input=part, capture_output=True,
                       check=False)
    expect("nor is a stream that was cut off", r.returncode == 1 and b"damaged" in r.stderr,
           said(r))
    home = f"{folder}/cut home"
    p = subprocess.Popen([c.feitian, "restore", f"{folder}/two", "--home", home], env=c.env(),
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    live_cloud.wait_until(lambda: os.path.exists(f"{home}/restoring") or p.poll() is not None, 20,
                          "the restore has begun")
    p.kill()
    p.wait()
    if os.path.exists(f"{home}/restoring"):  # or it was done before the signal came
        r = run(c, "up", "--home", home)
        expect("nothing starts in half a cloud", r.returncode == 1 and
               b"did not come to its end" in r.stderr, said(r))
    r = run(c, "restore", f"{folder}/two", "--home", home)
    expect("another restore begins anew", r.returncode == 0 or b"not empty" in r.stderr, said(r))
    shutil.rmtree(home)


def gateway_dies(c, folder):
    """The store is held again by the gateway that comes after."""
    for i, wait in enumerate((0, 0.05, 0.15)):
        dest = f"{folder}/died-{i}"
        p = subprocess.Popen([c.feitian, "backup", dest], env=c.env(), stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
        time.sleep(wait)
        c.kill("gateway")
        _, err = p.communicate(timeout=300)
        ok = p.returncode == 0 and run(c, "backup", "--verify", dest).returncode == 0
        expect(f"the gateway killed {wait} s after the begin: whole, or none, and said why",
               ok or (p.returncode == 1 and not os.path.exists(dest) and
                      b"feitian backup: " in err), (p.returncode, err))
        live_cloud.wait_until(c.is_ready, 60, "the gateway is back")


def damage(c, folder):
    tar, rng = f"{folder}/one.tar", random.Random(7)
    size = os.path.getsize(tar)
    with tarfile.open(tar) as t:
        spans = [(m.offset_data, m.size) for m in t if m.size > 0]
    for _ in range(4):
        at, n = rng.choice(spans)
        flip(tar, at + rng.randrange(n))
    r = run(c, "backup", "--verify", tar)
    expect("flipped bytes in a tar are found", r.returncode == 1 and b"damaged" in r.stderr,
           said(r))
    home = f"{folder}/damaged home"
    r = run(c, "restore", tar, "--home", home)
    expect("and nothing is restored from it", r.returncode == 1 and not os.path.exists(home),
           said(r))
    os.truncate(tar, size // 2)
    r = run(c, "backup", "--verify", tar)
    expect("a tar that was cut off", r.returncode == 1 and b"damaged" in r.stderr, said(r))
    files = [os.path.join(d, n) for d, _, names in os.walk(f"{folder}/two") for n in names]
    victim = min(f for f in files if "/blob/data/" in f and os.stat(f).st_nlink == 1)
    os.chmod(victim, 0o600)
    flip(victim, 5)
    r = run(c, "backup", "--verify", f"{folder}/two")
    expect("in a folder it is said where", r.returncode == 1 and
           os.path.relpath(victim, f"{folder}/two").encode() in r.stderr, said(r))
    flip(victim, 5)
    os.unlink(victim)
    r = run(c, "backup", "--verify", f"{folder}/two")
    expect("a file that is missing", r.returncode == 1 and b"No such file" in r.stderr, said(r))
    flip(f"{folder}/no models/MANIFEST", 3)
    r = run(c, "backup", "--verify", f"{folder}/no models")
    expect("a manifest that has changed", r.returncode == 1 and b"anifest" in r.stderr, said(r))
    os.unlink(f"{folder}/no models/MANIFEST")
    r = run(c, "backup", "--verify", f"{folder}/no models")
    expect("one that is missing", r.returncode == 1 and b"no MANIFEST" in r.stderr, said(r))
    r = run(c, "backup", "--verify", c.feitian)
    expect("what is no backup at all", r.returncode == 1, said(r))
    evil(c, folder)


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x41]))


def evil(c, folder):
    """Names that lead out of the folder."""
    info = f"{folder}/BACKUP"
    with open(info, "w", encoding="utf-8") as f:
        f.write('{"format": 1, "home": "/x", "objects": true}')
    for name in ("../out", "/abs", "a/../../out", "soft/out"):
        tar = f"{folder}/evil.tar"
        with tarfile.open(tar, "w") as t:
            t.add(info, "BACKUP")
            if name == "soft/out":
                link = tarfile.TarInfo("soft")
                link.type, link.linkname = tarfile.SYMTYPE, folder
                t.addfile(link)
            t.add(info, name)
        r = run(c, "restore", tar, "--home", f"{folder}/evil")
        expect(f"a backup with {name} is refused", r.returncode == 1 and not os.path.exists(
            f"{folder}/out") and not os.path.exists(f"{folder}/evil"), said(r))
    with tarfile.open(tar, "w") as t:
        with open(info, "w", encoding="utf-8") as f:
            f.write('{"format": 99}')
        t.add(info, "BACKUP")
    r = run(c, "restore", tar, "--home", f"{folder}/evil")
    expect("one of a newer program", r.returncode == 1 and b"newer feitian" in r.stderr, said(r))


def full_disk(c, folder):
    """On a small disk, in a namespace of its own."""
    small = f"{folder}/small"
    os.mkdir(small)
    shell = (f"mount -t tmpfs -o size=1m none '{small}' || exit 77\n"
             f"'{c.feitian}' backup '{small}/b'; a=$?; '{c.feitian}' backup '{small}/b.tar'; b=$?\n"
             f"'{c.feitian}' restore '{folder}/piped.tar' --home '{small}/h'; d=$?\n"
             f"ls -A '{small}'; exit $((a * 100 + b * 10 + d))")
    r = subprocess.run(["unshare", "-m", "sh", "-c", shell], env=c.env(), capture_output=True,
                       check=False, timeout=300)
    if r.returncode in (77, 1) and b"unshare" in r.stderr + b"mount":
        if r.returncode == 77 or b"unshare:" in r.stderr:
            print("skip a full disk: no namespaces here", r.stderr)
            return
    expect("a full disk is an error that says so, and leaves nothing", r.returncode == 111 and
           r.stderr.count(b"No space left") + r.stderr.count(b"disk is full") >= 3 and
           r.stdout.strip() == b"", said(r))


def stopped(c, kept, folder):
    """Of a cloud that does not run."""
    rows, versions = usage(c), all_versions(kept["s3"], "kept")
    c.down()
    r = run(c, "backup", f"{folder}/still")
    expect("a cloud that does not run", r.returncode == 0, said(r))
    r = run(c, "restore", f"{folder}/still", "--home", f"{folder}/still home")
    expect("is restored, too", r.returncode == 0, said(r))
    with Restored(c.feitian, f"{folder}/still home") as back:
        compare("not running", c, back, kept, versions, rows)
    db = sqlite3.connect(f"{folder}/still home/state/state.db")
    db.execute("UPDATE ft_migration SET version = 99 WHERE version ="
               " (SELECT max(version) FROM ft_migration WHERE module = 'control')"
               " AND module = 'control'")
    db.commit()
    db.close()
    r = subprocess.run([c.feitian, "up", "--home", f"{folder}/still home", "--listen",
                        f"127.0.0.1:{live_cloud.cloud.free_port()}", "--wait", "60"], env=c.env(),
                       check=False, capture_output=True, timeout=300)
    expect("a store of a newer program is refused in words", b"newer feitian" in r.stderr, said(r))
    subprocess.run([c.feitian, "down", "--home", f"{folder}/still home", "--force"], env=c.env(),
                   check=False, capture_output=True, timeout=300)


def settings_elsewhere(c, folder):
    """--config of a file beside the cloud's folder, running and not; and of none any more."""
    path = f"{c.home}.conf"
    with open(path, "w", encoding="utf-8") as f:
        f.write('{"log-level": "warn"}')

    def in_backup(name):
        r = run(c, "backup", f"{folder}/{name}", "--no-models")
        expect(f"{name}: a backup", r.returncode == 0, said(r))
        try:
            with open(f"{folder}/{name}/config.json", encoding="utf-8") as f:
                return f.read()
        except FileNotFoundError:
            return None

    for options, want in (("--config", path), '{"log-level": "warn"}'), ((), None):
        what = "with --config" if options else "without"
        r = c.run("up", "--listen", c.listen, *options)
        assert r.returncode == 0, r
        expect(f"settings {what}, running", in_backup(f"running {what}") == want)
        c.run("down")
        expect(f"settings {what}, not running", in_backup(f"down {what}") == want)


def main():
    with live_cloud.LiveCloud(sys.argv[1]) as c:
        folder = f"{c.folder}/backups"
        os.mkdir(folder)
        kept = fill(c)
        quiet(c, kept, folder)
        under_load(c, kept, folder)
        killed(c, folder)
        gateway_dies(c, folder)
        full_disk(c, folder)
        damage(c, folder)
        stopped(c, kept, folder)
        settings_elsewhere(c, folder)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
