#!/usr/bin/python3
"""feitian cp, ls, mb, rm, presign on a running cloud: files of all sizes up, down and across; what
was broken off goes on; what cannot be says why.

usage: cp.py FEITIAN
"""
import fcntl
import filecmp
import hashlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import boto3

from live_cloud import LiveCloud, wait_until

MIB = 1 << 20
BIG = 200 * MIB  # in 25 parts; small enough for a /tmp in memory
failures = 0


def expect(what, ok, seen=None):
    global failures
    print(("ok   " if ok else "FAIL ") + what, "" if ok else seen, flush=True)
    failures += not ok


def write(path, size, seed=b"x"):
    """Bytes that differ everywhere; the same for the same seed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        for at in range(0, size, MIB):
            block = hashlib.sha256(seed + str(at).encode()).digest() * (MIB // 32)
            f.write(block[:min(MIB, size - at)])
    return path


def says(c, what, text, *args, status=0):
    r = c.run(*args)
    expect(what, r.returncode == status and text in r.stdout + r.stderr, r)
    return r


def keys(c, where="s3://data"):
    return {e["key"]: e["size"] for e in json.loads(c.run("ls", "-r", "--json", where).stdout)}


def around(c, d):
    """Up, across and down again."""
    sizes = {"empty": 0, "one": 1, "edge": 8 * MIB, "parts": 8 * MIB + 1, "many": 50 * MIB + 7}
    for name, size in sizes.items():
        write(f"{d}/up/{name}", size, name.encode())
    names = [f"{d}/up/{n}" for n in sizes]
    says(c, "cp several files", "5 files", "cp", *names, "s3://data/in/")
    expect("they have their sizes", keys(c) == {f"in/{n}": s for n, s in sizes.items()}, keys(c))
    says(c, "cp -r across", "5 files", "cp", "-r", "s3://data/in", "s3://data/over")
    says(c, "cp -r down", "5 files", "cp", "-r", "s3://data/over", f"{d}/down")
    same = filecmp.cmpfiles(f"{d}/up", f"{d}/down", list(sizes), shallow=False)
    expect("the same bytes", sorted(same[0]) == sorted(sizes) and
           sorted(os.listdir(f"{d}/down")) == sorted(sizes), same)
    r = json.loads(c.run("cp", "s3://data/in/many", f"{d}/one-file", "--json").stdout)
    expect("cp --json", r == {"copied": 1, "failed": 0, "bytes": sizes["many"]}, r)


def trees(c, d):
    for name in ("a.html", "deep/er/b", "deep/ü %2F&.txt", "deep/er/..hidden"):
        write(f"{d}/tree/{name}", 5)
    os.symlink("nowhere", f"{d}/tree/dangling")
    r = says(c, "cp -r a folder", "4 files", "cp", "-r", f"{d}/tree", "s3://data/tree")
    expect("a link to nothing is left out, and named", "dangling: left out" in r.stderr, r)
    os.unlink(f"{d}/tree/dangling")
    etag = json.loads(c.run("ls", "--json", "s3://data/tree/a.html").stdout)[0]["etag"]
    with open(f"{d}/tree/a.html", "rb") as f:
        expect("ls --json tells the bare etag", etag == hashlib.md5(f.read()).hexdigest(), etag)
    expect("keys are the paths", "tree/deep/ü %2F&.txt" in keys(c), keys(c))
    r = c.run("ls", "s3://data/tree/")
    expect("ls shows one level", "deep/" in r.stdout and "er/b" not in r.stdout, r)
    says(c, "cp -r the folder back", "4 files", "cp", "-r", "s3://data/tree/", f"{d}/back")
    expect("the same tree", subprocess.run(["diff", "-r", f"{d}/tree", f"{d}/back"],
                                           check=False).returncode == 0)
    url = c.run("presign", "s3://data/tree/a.html", "--expires", "5m").stdout.strip()
    with urllib.request.urlopen(url) as r:
        with open(f"{d}/tree/a.html", "rb") as f:
            expect("a presigned link needs no key, and knows its type", r.read() == f.read() and
                   r.headers["Content-Type"] == "text/html")
    try:
        urllib.request.urlopen(url.replace("a.html", "deep/er/b"))
        expect("it is for one object", False)
    except urllib.error.HTTPError as e:
        expect("it is for one object", e.code == 403, e.code)
    url = c.run("presign", "s3://data/put", "--put").stdout.strip()
    urllib.request.urlopen(urllib.request.Request(url, b"words", method="PUT"))
    expect("one to upload with", keys(c)["put"] == 5)


def stored(c):
    """Bytes, those of unfinished uploads too."""
    usage = json.loads(c.run("blob", "usage", "--json").stdout)
    return sum(of["bytes"] for of in usage.values())


def by_steps(p, true):
    """Runs a process for a moment at a time, so that it is not over before something is true; it
    is stopped then."""
    pause = 0.02
    until = time.monotonic() + 300
    while not true():
        assert p.poll() is None, f"it ended with {p.returncode} before"
        assert time.monotonic() < until
        p.send_signal(signal.SIGCONT)
        time.sleep(pause)
        p.send_signal(signal.SIGSTOP)
        pause = min(1.2 * pause, 1)


def broken_off(c, d):
    big = write(f"{d}/big", BIG, b"big")
    p = subprocess.Popen([c.feitian, "cp", big, "s3://data/big", "--at-once", "2"], env=c.env())
    p.send_signal(signal.SIGSTOP)
    before = stored(c)
    by_steps(p, lambda: stored(c) > before + 40 * MIB)
    p.send_signal(signal.SIGKILL)
    p.wait()
    expect("nothing is seen of an upload that was killed", "big" not in keys(c))
    kept = stored(c)
    r = json.loads(c.run("cp", big, "s3://data/big", "--json").stdout)
    expect("it goes on: no part twice", r["copied"] == 1 and stored(c) - kept < BIG and
           keys(c)["big"] == BIG, r)
    p = subprocess.Popen([c.feitian, "cp", "s3://data/big", f"{d}/big2", "--at-once", "1"],
                         env=c.env())
    def has_parts():
        try:
            with open(f"{d}/big2.feitian-part.list", "rb") as f:
                return len(f.read()) > 60
        except OSError:
            return False
    by_steps(p, has_parts)
    p.send_signal(signal.SIGINT)
    p.send_signal(signal.SIGCONT)
    p.wait()
    expect("a download that was stopped leaves its parts", os.path.exists(
        f"{d}/big2.feitian-part") and not os.path.exists(f"{d}/big2"))
    with open(f"{d}/big2.feitian-part", "r+b") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        says(c, "two do not write the same file", "another process fetches into it", "cp",
             "s3://data/in/one", f"{d}/big2", status=1)
    expect("nor is what the first one has taken away", os.path.getsize(
        f"{d}/big2.feitian-part") == BIG and has_parts())
    says(c, "and goes on", "1 file", "cp", "s3://data/big", f"{d}/big2")
    expect("whole, and nothing beside it", filecmp.cmp(big, f"{d}/big2", shallow=False) and
           not os.path.exists(f"{d}/big2.feitian-part.list"))


def refusals(c, d):
    says(c, "no such object", "it is not there", "cp", "s3://data/none", f"{d}/none", status=1)
    says(c, "no such bucket to fetch from", "s3://nope does not exist", "cp", "s3://nope/x",
         f"{d}/none", status=1)
    says(c, "nor to remove from", "s3://nope does not exist", "rm", "s3://nope/x", status=1)
    r = says(c, "mb of a bare name", "must be s3://BUCKET", "mb", "cli2", status=2)
    expect("names it once", r.stderr.count("cli2") == 1, r)
    r = says(c, "no such bucket for a folder", "s3://none does not exist", "cp", "-r", f"{d}/tree",
             "s3://none/", status=1)
    expect("which is said once", r.stderr.count("\n") == 1, r.stderr)
    says(c, "no such bucket", "NoSuchBucket", "cp", f"{d}/tree/a.html", "s3://none/", status=1)
    says(c, "no such file", "No such file", "cp", f"{d}/none", "s3://data/", status=1)
    says(c, "two files of this machine", "s3://BUCKET/KEY", "cp", f"{d}/tree/a.html", f"{d}/b",
         status=2)
    says(c, "a folder without -r", "-r copies it", "cp", f"{d}/tree", "s3://data/x", status=2)
    says(c, "a bucket without -r", "-r copies all", "cp", "s3://data", f"{d}/x", status=2)
    says(c, "several into a file", "several things", "cp", f"{d}/tree/a.html", f"{d}/big",
         "s3://data/x", status=2)
    says(c, "a bad name of a bucket", "3 to 63 small letters", "mb", "s3://A_B", status=2)
    says(c, "rm of nothing", "not there", "rm", "s3://data/none", status=1)
    says(c, "a bucket that is not empty", "BucketNotEmpty", "rm", "s3://data", status=1)
    says(c, "a link for too long", "7 days", "presign", "s3://data/x", "--expires", "30d", status=2)


def pipe(c, data, *args):
    return subprocess.run([c.feitian, "cp", *args], env=c.env(), input=data, capture_output=True,
                          check=False)


def streams(c):
    """Standard input, whose length nobody knows, and standard output."""
    for size in (0, 5, 16 * MIB, 40 * MIB + 3):
        block = hashlib.sha256(b"%d" % size).digest()
        data = (block * (size // 32 + 1))[:size]
        r = pipe(c, data, "-", "s3://data/piped")
        expect(f"cp - of {size}", r.returncode == 0 and keys(c)["piped"] == size, r.stderr)
        r = pipe(c, b"", "s3://data/piped", "-")
        expect(f"cp to - of {size}", r.returncode == 0 and r.stdout == data, r.stderr)
    says(c, "standard input has no name", "no name", "cp", "-", "s3://data/", status=2)
    says(c, "standard output takes one", "one object", "cp", "-r", "s3://data", "-", status=2)


def restarts(c, d):
    """The gateway is started anew within a moment: commands wait for it."""
    c.kill("gateway")
    says(c, "a call right after", "nano", "model", "list")
    c.kill("gateway")
    says(c, "a file of files/ right after", "file-", "files", "put", f"{d}/up/one", "--purpose",
         "user_data")
    c.kill("gateway")
    says(c, "objects right after", "1 file", "cp", f"{d}/up/one", "s3://data/again")
    before = stored(c)
    for name, args, begun in (
            ("up", (f"{d}/big", "s3://data/again"), lambda: stored(c) > before + 40 * MIB),
            ("down", ("s3://data/big", f"{d}/again"),
             lambda: os.path.exists(f"{d}/again.feitian-part"))):
        p = subprocess.Popen([c.feitian, "cp", *args, "--fresh"], env=c.env(),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        by_steps(p, begun)
        c.kill("gateway")
        p.send_signal(signal.SIGCONT)
        out = p.communicate()[0]
        expect(f"one in the middle of the way {name}", p.returncode == 0, out)
    expect("is whole", keys(c)["again"] == BIG and
           filecmp.cmp(f"{d}/big", f"{d}/again", shallow=False))


def damaged(c, d):
    """Bytes that the disk has lost are nothing to try for again."""
    words = b"these words are damaged " * 1000
    with open(f"{d}/whole", "wb") as f:
        f.write(words * 200)
    says(c, "an object", "1 file", "cp", f"{d}/whole", "s3://data/whole")
    hit = 0
    for folder, _, names in os.walk(f"{c.home}/blob"):
        for path in (f"{folder}/{name}" for name in names):
            if os.path.getsize(path) < len(words) * 200:
                continue
            with open(path, "rb") as f:
                if words not in f.read(MIB):
                    continue
            os.chmod(path, 0o600)
            with open(path, "r+b") as f:
                f.seek(2 * MIB)
                f.write(b"other")
            hit += 1
    expect("its file is found", hit == 1, hit)
    r = c.run("cp", "s3://data/whole", f"{d}/broken")
    expect("a damaged object is called one", r.returncode == 1 and "damaged" in r.stderr and
           "goes on" not in r.stderr and not os.path.exists(f"{d}/broken"), r)


def versions(c):
    """A bucket that keeps versions is removed with them, if one says so."""
    s3 = c.get("/api/v1/s3/credentials")[1]
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{c.port}", region_name="us-east-1",
                          aws_access_key_id=s3["access_key_id"],
                          aws_secret_access_key=s3["secret_access_key"])
    says(c, "a bucket", "is made", "mb", "s3://kept")
    client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    for i in range(3):
        for name in ("a", "ab", "deep/b"):
            client.put_object(Bucket="kept", Key=name, Body=b"%d" % i)
    says(c, "rm --versions of one key", "3 removed", "rm", "--versions", "s3://kept/a")
    expect("of no other", set(keys(c, "s3://kept")) == {"ab", "deep/b"}, keys(c, "s3://kept"))
    says(c, "a bucket's versions want -r", "-r --versions", "rm", "--versions", "s3://kept",
         status=2)
    says(c, "without --versions they are left, and it says so", "rm -r --versions s3://kept", "rm",
         "-r", "s3://kept", status=1)
    says(c, "with it all go, markers too", "9 removed", "rm", "-r", "--versions", "s3://kept")
    expect("and the bucket", "kept" not in c.run("ls").stdout)


def climbing(c, d):
    """A key cannot leave the folder that it is fetched into."""
    url = c.run("presign", "s3://data/evil/../../out", "--put").stdout.strip()
    h = http.client.HTTPConnection("127.0.0.1", c.port)
    h.request("PUT", url[url.index("/data"):], b"words")
    expect("such a key is a key", h.getresponse().status == 200)
    h.close()
    says(c, "but no file", "cannot be a file", "cp", "-r", "s3://data/evil", f"{d}/in", status=2)
    expect("nothing came out", not os.path.exists(f"{d}/out"))


def main():
    with LiveCloud(sys.argv[1]) as c:
        d = c.folder
        wait_until(lambda: c.run("ls").returncode == 0, 30, "the store is open")
        says(c, "no buckets yet", "there are no buckets", "ls")
        says(c, "mb", "is made", "mb", "s3://data")
        says(c, "ls of buckets", "s3://data", "ls")
        around(c, d)
        trees(c, d)
        broken_off(c, d)
        refusals(c, d)
        climbing(c, d)
        versions(c)
        streams(c)
        restarts(c, d)
        damaged(c, d)
        says(c, "rm of a prefix", "5 removed", "rm", "-r", "s3://data/in")
        says(c, "rm of a bucket with all", "removed", "rm", "-r", "s3://data")
        says(c, "all is gone", "there are no buckets", "ls")
    print("failures:", failures)
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
