#!/usr/bin/python3
"""A cloud whose objects are kept by another S3 server: here another cloud. Streams both ways,
parts, versions and a restart of the one in front.

usage: upstream.py FEITIAN
"""
import http.client
import json
import os
import signal
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import live_cloud

failed = 0
LARGE = os.urandom(1 << 20) * 40  # several parts upstream


def expect(what, ok, seen=None):
    global failed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    failed += not ok


class Front(live_cloud.LiveCloud):
    """Its objects are kept by another cloud, under a key of that."""

    def __init__(self, feitian, behind):
        super().__init__(feitian, "--storage", f"s3+http://127.0.0.1:{behind.port}")
        key, secret = credentials(behind)
        os.makedirs(self.home, mode=0o700, exist_ok=True)
        path = f"{self.home}/storage.json"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="utf-8") as f:
            json.dump({"access_key_id": key, "secret_access_key": secret, "prefix": "front-"}, f)


def credentials(c):
    h = http.client.HTTPConnection("127.0.0.1", c.port, timeout=30)
    h.request("GET", "/api/v1/s3/credentials", headers={"Authorization": f"Bearer {c.key}"})
    r = h.getresponse()
    answer = json.loads(r.read())
    h.close()
    assert r.status == 200, answer
    return answer["access_key_id"], answer["secret_access_key"]


def client(c):
    key, secret = credentials(c)
    return boto3.client("s3", endpoint_url=c.url, aws_access_key_id=key,
                        aws_secret_access_key=secret, region_name="us-east-1",
                        config=Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}))


def drive(s3):
    s3.create_bucket(Bucket="things")
    s3.put_object(Bucket="things", Key="a/small", Body=b"small", Metadata={"one": "1"},
                  ContentType="text/plain", Tagging="kind=test")
    got = s3.get_object(Bucket="things", Key="a/small")
    expect("a small object", got["Body"].read() == b"small" and got["Metadata"] == {"one": "1"}
           and got["ContentType"] == "text/plain", got)
    tags = s3.get_object_tagging(Bucket="things", Key="a/small")["TagSet"]
    expect("its tags", tags == [{"Key": "kind", "Value": "test"}], tags)
    s3.put_object(Bucket="things", Key="large", Body=LARGE)
    expect("a large object", s3.get_object(Bucket="things", Key="large")["Body"].read() == LARGE)
    part = s3.get_object(Bucket="things", Key="large", Range="bytes=20000000-20000099")
    expect("a range of it", part["Body"].read() == LARGE[20000000:20000100])

    upload = s3.create_multipart_upload(Bucket="things", Key="parts")["UploadId"]
    half = len(LARGE) // 2  # larger than what is held back: they stream through
    parts = [{"PartNumber": i + 1, "ETag": s3.upload_part(
        Bucket="things", Key="parts", UploadId=upload, PartNumber=i + 1,
        Body=LARGE[i * half:(i + 1) * half])["ETag"]} for i in range(2)]
    s3.complete_multipart_upload(Bucket="things", Key="parts", UploadId=upload,
                                 MultipartUpload={"Parts": parts})
    got = s3.get_object(Bucket="things", Key="parts")["Body"].read()
    expect("an object in parts", got == LARGE)
    s3.copy_object(Bucket="things", Key="copy", CopySource="things/parts")
    expect("a copy", s3.get_object(Bucket="things", Key="copy")["Body"].read() == LARGE)
    listed = s3.list_objects_v2(Bucket="things", Delimiter="/")
    expect("a listing", [o["Key"] for o in listed["Contents"]] == ["copy", "large", "parts"]
           and listed["CommonPrefixes"] == [{"Prefix": "a/"}], listed)

    s3.create_bucket(Bucket="versions")
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="versions", Key="k", Body=b"1")["VersionId"]
    s3.put_object(Bucket="versions", Key="k", Body=b"2")
    s3.delete_object(Bucket="versions", Key="k")
    try:
        s3.get_object(Bucket="versions", Key="k")
        expect("a delete marker", False)
    except ClientError as e:
        expect("a delete marker", e.response["Error"]["Code"] == "NoSuchKey", e)
    old = s3.get_object(Bucket="versions", Key="k", VersionId=first)["Body"].read()
    expect("an old version", old == b"1", old)


def main(feitian):
    with live_cloud.LiveCloud(feitian, "--storage", "memory") as behind:
        with Front(feitian, behind) as front:
            drive(client(front))
            r = front.run("backup", f"{front.folder}/backup")
            expect("a backup says that objects are elsewhere", r.returncode == 0 and
                   "Objects are not in it: they are at s3+http://" in r.stderr and
                   not os.path.exists(f"{front.folder}/backup/blob"), r)
            r = front.run("restore", f"{front.folder}/backup", "--home", f"{front.folder}/again")
            expect("so does a restore, which brings the keys there", r.returncode == 0 and
                   "Objects were not in it" in r.stderr and
                   os.path.exists(f"{front.folder}/again/storage.json"), r)
            expect("it stops", front.down() == 0)
            front.start()
            s3 = client(front)
            got = s3.get_object(Bucket="things", Key="a/small")
            expect("it is all there after a restart", got["Body"].read() == b"small"
                   and [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["things", "versions"])
            s3.delete_object(Bucket="things", Key="large")
        buckets = [b["Name"] for b in client(behind).list_buckets()["Buckets"]]
        expect("what the upstream holds",
               {"front-feitian-cloud", "front-things", "front-versions"} <= set(buckets)
               and all(b.startswith("front-") for b in buckets), buckets)
    return failed != 0


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main(sys.argv[1]))
