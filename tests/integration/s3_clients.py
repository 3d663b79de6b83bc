#!/usr/bin/python3
"""The vendors' own clients of S3 against a running cloud: aws, rclone and s3cmd make buckets, move
files of all sizes both ways, list, copy, remove; those that are not installed are left out.

usage: s3_clients.py FEITIAN
"""
import filecmp
import json
import os
import shutil
import subprocess
import sys

from live_cloud import LiveCloud, wait_until

MIB = 1 << 20
SIZES = {"empty": 0, "small.txt": 11, "a name ü+&.bin": 100000, "large.bin": 20 * MIB + 3}
failures = 0


def expect(what, ok, seen=None):
    global failures
    print(("ok   " if ok else "FAIL ") + what, "" if ok else seen, flush=True)
    failures += not ok


class Clients:
    def __init__(self, c):
        self.c, self.d = c, c.folder
        words = c.run("key", "s3").stdout.splitlines()
        self.s3 = dict(w.removeprefix("export ").split("=", 1) for w in words)
        own = {n: v for n, v in c.env().items() if not n.startswith("AWS_")}
        self.env = {**own, **self.s3, "AWS_EC2_METADATA_DISABLED": "true", "HOME": self.d}
        os.makedirs(f"{self.d}/up")
        for name, size in SIZES.items():
            with open(f"{self.d}/up/{name}", "wb") as f:
                f.write(os.urandom(size))

    def run(self, *args):
        return subprocess.run(args, env=self.env, capture_output=True, text=True, timeout=300,
                              check=False)

    def says(self, what, *args, text=""):
        r = self.run(*args)
        expect(what, r.returncode == 0 and text in r.stdout, r)
        return r.stdout

    def same(self, what, folder):
        found = filecmp.cmpfiles(f"{self.d}/up", folder, list(SIZES), shallow=False)
        expect(what, sorted(found[0]) == sorted(SIZES) and
               sorted(os.listdir(folder)) == sorted(SIZES), found)


def aws(k):
    # Debian's; of version 2 and so without AWS_ENDPOINT_URL
    base = ("/usr/bin/aws", "--endpoint-url", k.s3["AWS_ENDPOINT_URL"])
    k.says("aws s3 mb", *base, "s3", "mb", "s3://by-aws")
    k.says("aws s3 sync up", *base, "s3", "sync", f"{k.d}/up", "s3://by-aws/x")
    listed = k.says("aws s3 ls", *base, "s3", "ls", "--recursive", "s3://by-aws/")
    expect("with sizes", all(f"{s} x/{n}" in listed for n, s in SIZES.items()), listed)
    k.says("aws s3 cp across", *base, "s3", "cp", "--recursive", "s3://by-aws/x", "s3://by-aws/y")
    k.says("aws s3 sync down", *base, "s3", "sync", "s3://by-aws/y", f"{k.d}/aws")
    k.same("the same bytes by aws", f"{k.d}/aws")
    head = json.loads(k.says("aws s3api head-object", *base, "s3api", "head-object", "--bucket",
                             "by-aws", "--key", "x/large.bin"))
    expect("a large one came in parts", head["ContentLength"] == SIZES["large.bin"] and
           "-" in head["ETag"], head)
    part = k.says("aws s3api list-objects-v2 in pages", *base, "s3api", "list-objects-v2",
                  "--bucket", "by-aws", "--page-size", "3", "--query", "length(Contents)")
    expect("all of them", int(part) == 2 * len(SIZES), part)
    k.says("aws s3api put-bucket-versioning", *base, "s3api", "put-bucket-versioning", "--bucket",
           "by-aws", "--versioning-configuration", "Status=Enabled")
    k.says("aws s3 rm", *base, "s3", "rm", "--recursive", "s3://by-aws/y")
    versions = json.loads(k.says("aws s3api list-object-versions", *base, "s3api",
                                 "list-object-versions", "--bucket", "by-aws", "--prefix", "y/"))
    expect("they have markers", len(versions["DeleteMarkers"]) == len(SIZES), versions)
    r = k.run(*base, "s3", "rb", "s3://by-aws")
    expect("what is not empty stays", r.returncode != 0 and "BucketNotEmpty" in r.stderr, r)


def rclone(k):
    base = ("rclone", "--s3-provider=Other", "--s3-env-auth", "--s3-endpoint",
            k.s3["AWS_ENDPOINT_URL"], "--s3-upload-cutoff=8M", "--s3-chunk-size=5M",
            "--config=/dev/null")
    k.says("rclone mkdir", *base, "mkdir", ":s3:by-rclone")
    k.says("rclone copy up", *base, "copy", f"{k.d}/up", ":s3:by-rclone/x")
    k.says("rclone check", *base, "check", f"{k.d}/up", ":s3:by-rclone/x")
    k.says("rclone lsf", *base, "lsf", ":s3:by-rclone/x", text="small.txt")
    k.says("rclone copy down", *base, "copy", ":s3:by-rclone/x", f"{k.d}/rclone")
    k.same("the same bytes by rclone", f"{k.d}/rclone")
    k.says("rclone sync again moves nothing", *base, "sync", f"{k.d}/up", ":s3:by-rclone/x")
    k.says("rclone purge", *base, "purge", ":s3:by-rclone")
    r = k.run(*base, "lsd", ":s3:")
    expect("it is gone", r.returncode == 0 and "by-rclone" not in r.stdout, r)


def s3cmd(k):
    host = k.s3["AWS_ENDPOINT_URL"].split("//")[1]
    base = ("s3cmd", "--no-ssl", f"--host={host}", f"--host-bucket={host}", "--config=/dev/null",
            f"--access_key={k.s3['AWS_ACCESS_KEY_ID']}",
            f"--secret_key={k.s3['AWS_SECRET_ACCESS_KEY']}",
            f"--region={k.s3['AWS_DEFAULT_REGION']}", "--multipart-chunk-size-mb=5")
    k.says("s3cmd mb", *base, "mb", "s3://by-s3cmd")
    k.says("s3cmd put", *base, "put", "--recursive", f"{k.d}/up/", "s3://by-s3cmd/x/")
    k.says("s3cmd ls", *base, "ls", "--recursive", "s3://by-s3cmd", text="x/small.txt")
    k.says("s3cmd info", *base, "info", "s3://by-s3cmd/x/small.txt", text="MD5 sum")
    k.says("s3cmd cp", *base, "cp", "s3://by-s3cmd/x/large.bin", "s3://by-s3cmd/y")
    os.makedirs(f"{k.d}/s3cmd")
    k.says("s3cmd get", *base, "get", "--recursive", "s3://by-s3cmd/x/", f"{k.d}/s3cmd/")
    k.same("the same bytes by s3cmd", f"{k.d}/s3cmd")
    k.says("s3cmd setacl", *base, "setacl", "--acl-public", "s3://by-s3cmd/x/small.txt")
    k.says("s3cmd del", *base, "del", "--recursive", "--force", "s3://by-s3cmd")
    k.says("s3cmd rb", *base, "rb", "s3://by-s3cmd")


def main():
    with LiveCloud(sys.argv[1]) as c:
        wait_until(lambda: c.run("ls").returncode == 0, 30, "the store is open")
        k = Clients(c)
        for program, use in (("/usr/bin/aws", aws), ("rclone", rclone), ("s3cmd", s3cmd)):
            if shutil.which(program) is None:
                print(f"skip {program}: not installed")
                continue
            use(k)
    print("failures:", failures)
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
