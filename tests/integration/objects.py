#!/usr/bin/python3
"""Objects in a whole cloud, over S3: who may, who may not, what is counted, and what happens when
parts of the cloud are dead.

usage: objects.py FEITIAN
"""
import base64
import hashlib
import http.client
import json
import os
import signal
import socket
import sys
import time

import boto3
import botocore
from botocore.config import Config

import live_cloud
from s3_request import Caller, EMPTY, stamp

failed = 0
passed = 0


def expect(what, ok, seen=None):
    global failed, passed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    passed += bool(ok)
    failed += not ok


def answers(what, seen, status, code=""):
    expect(what, seen[:2] == (status, code), seen)


def made(c, path, body):
    status, answer = c.post(f"/api/v1/{path}", body)
    assert status in (200, 201), (path, body, status, answer)
    return answer


def told(c, secret, path):
    """What the cloud says to a key."""
    h = http.client.HTTPConnection("127.0.0.1", c.port, timeout=30)
    h.request("GET", path, headers={"Authorization": f"Bearer {secret}"})
    r = h.getresponse()
    answer = json.loads(r.read())
    h.close()
    assert r.status == 200, answer
    return answer


def credentials(c, secret):
    """The access key id and secret of a key."""
    answer = told(c, secret, "/api/v1/s3/credentials")
    return answer["access_key_id"], answer["secret_access_key"]


def caller(c, project=None, **more):
    """A new key, of a project or the first one, as S3's clients use it."""
    if project is not None:
        more["project"] = project
    return Caller(c.port, *credentials(c, made(c, "keys", {"name": "test", **more})["secret"]))


def client(c, who, **config):
    return boto3.client("s3", endpoint_url=c.url, aws_access_key_id=who.key,
                        aws_secret_access_key=who.secret, region_name="us-east-1",
                        config=Config(retries={"max_attempts": 0}, signature_version="s3v4",
                                      **config))


def refused(what, code, fn, *args, **kwargs):
    try:
        expect(what, False, fn(*args, **kwargs))
    except botocore.exceptions.ClientError as e:
        expect(what, e.response["Error"]["Code"] in code.split(), e)


def body_of(s3, bucket, key, **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


# ---- what everybody does ----

def everyday(c, own):
    s3 = client(c, own)
    s3.create_bucket(Bucket="own")
    data = os.urandom(3 << 20)
    s3.put_object(Bucket="own", Key="a/b", Body=data, Metadata={"who": "me"})
    got = s3.get_object(Bucket="own", Key="a/b")
    expect("an object comes back whole", got["Body"].read() == data and
           got["Metadata"] == {"who": "me"} and
           got["ETag"] == f'"{hashlib.md5(data).hexdigest()}"', got)
    expect("a range of it", body_of(s3, "own", "a/b", Range="bytes=100-199") == data[100:200])
    for key in ("../../etc//passwd", "a b+c%2F", "\u00fc/\u4e2d", ".", "..", "x/./y", "/", "//"):
        s3.put_object(Bucket="own", Key=key, Body=key.encode())
        expect(f"a key is any text: {key}", body_of(s3, "own", key) == key.encode())
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="own")["Contents"]]
    expect("and is listed as it is", len(keys) == 9 and "../../etc//passwd" in keys, keys)
    parts = s3.create_multipart_upload(Bucket="own", Key="big")
    up = {"Bucket": "own", "Key": "big", "UploadId": parts["UploadId"]}
    tags = [{"PartNumber": n, "ETag": s3.upload_part(**up, PartNumber=n, Body=b)["ETag"]}
            for n, b in ((1, b"1" * (5 << 20)), (2, b"2" * 10))]
    done = s3.complete_multipart_upload(**up, MultipartUpload={"Parts": tags})
    expect("whose URL is told", done["Location"] == f"{c.url}/own/big", done)
    expect("an upload in parts", body_of(s3, "own", "big", Range=f"bytes={(5 << 20) - 2}-") ==
           b"11" + b"2" * 10)
    url = s3.generate_presigned_url("get_object", {"Bucket": "own", "Key": "a/b"}, 60)
    h = http.client.HTTPConnection("127.0.0.1", c.port, timeout=30)
    h.request("GET", url[len(c.url):])
    expect("a presigned URL", h.getresponse().read() == data)
    h.close()
    head = own.head("GET", "/a/b", host="own.s3.localhost")
    status, _, text = own.send("GET", "/a/b", head)
    expect("a bucket in the host's name", (status, text) == (200, data), status)
    from_page(c, s3)
    return data


def from_page(c, s3):
    """A form of an HTML page, signed; it is told where what it sent is."""
    p = s3.generate_presigned_post("own", "page/a b", Fields={"success_action_status": "201"},
                                   Conditions=[{"success_action_status": "201"}])
    h = http.client.HTTPConnection("127.0.0.1", c.port, timeout=30)
    b = "feitian-test"
    fields = {**p["fields"], 'file"; filename="f': "sent"}  # the file is the last
    body = "".join(f"--{b}\r\nContent-Disposition: form-data; name=\"{k}\"\r\n\r\n{v}\r\n"
                   for k, v in fields.items()) + f"--{b}--\r\n"
    h.request("POST", "/own", body, {"Content-Type": f"multipart/form-data; boundary={b}"})
    r = h.getresponse()
    text = r.read().decode()
    h.close()
    expect("a page's form", r.status == 201 and
           f"<Location>{c.url}/own/page%2Fa%20b</Location>" in text and
           body_of(s3, "own", "page/a b") == b"sent", text)
    s3.delete_object(Bucket="own", Key="page/a b")


def commands(c):
    out = c.run("key", "s3").stdout
    env = dict(line[len("export "):].split("=", 1) for line in out.splitlines())
    first = Caller(c.port, env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    plain = boto3.client("s3", endpoint_url=env["AWS_ENDPOINT_URL"],
                         region_name=env["AWS_DEFAULT_REGION"], aws_access_key_id=first.key,
                         aws_secret_access_key=first.secret)
    url = plain.generate_presigned_url("get_object", {"Bucket": "own", "Key": "big"})
    expect("URLs that it signs unless told otherwise are of version 4",
           "X-Amz-Algorithm=AWS4-HMAC-SHA256" in url, url)
    plain.create_bucket(Bucket="here", CreateBucketConfiguration={
        "LocationConstraint": env["AWS_DEFAULT_REGION"]})
    expect("a bucket is where it was asked for", plain.get_bucket_location(Bucket="here")[
        "LocationConstraint"] == env["AWS_DEFAULT_REGION"])
    plain.delete_bucket(Bucket="here")
    expect("feitian key s3 tells what clients need", env["AWS_ENDPOINT_URL"] == c.url and
           first.call("GET", "/")[0] == 200, out)
    key = json.loads(c.run("key", "create", "cli", "--action", "objects.*", "--json").stdout)
    s3 = Caller(c.port, key["s3"]["access_key_id"], key["s3"]["secret_access_key"])
    expect("feitian key create too", key["id"] == s3.key and s3.call("GET", "/")[0] == 200, key)
    r = c.run("blob", "usage", "--json")
    expect("feitian blob usage", json.loads(r.stdout)["default"]["objects"] == 10, r)
    r = c.run("blob", "check", "--json")
    expect("feitian blob check", r.returncode == 0 and json.loads(r.stdout)["faults"] == 0, r)
    r = c.run("status")
    expect("feitian status tells of the storage", "objects, " in r.stdout, r)


# ---- who signs ----

def signatures(c, own):
    path = "/own/a/b"
    good = own.head("GET", path)
    expect("a good signature", own.send("GET", path, good)[0] == 200)
    for what, change in (("signature", lambda h: h[:-1] + ("0" if h[-1] != "0" else "1")),
                         ("scope", lambda h: h.replace("us-east-1", "eu-west-1")),
                         ("list of headers", lambda h: h.replace("host;", ""))):
        forged = dict(good, authorization=change(good["authorization"]))
        status, code, _ = own.send("GET", path, forged)
        expect(f"a forged {what}", status in (400, 403) and code, (status, code))
    answers("no signature at all", own.send("GET", path, {"host": own.host}), 403, "AccessDenied")
    answers("another path", own.send("GET", "/own/big", good), 403, "SignatureDoesNotMatch")
    answers("another method", own.send("DELETE", path, good), 403, "SignatureDoesNotMatch")
    answers("another query", own.send("GET", path, good, [("versionId", "x")]), 403,
            "SignatureDoesNotMatch")
    answers("a changed header that was signed", own.send("GET", path, dict(good, host="evil")),
            403, "SignatureDoesNotMatch")
    nobody = Caller(c.port, "key_nobody", own.secret)
    answers("an unknown key", nobody.call("GET", path), 403, "InvalidAccessKeyId")
    answers("a wrong secret", Caller(c.port, own.key, "x" * 43).call("GET", path), 403,
            "SignatureDoesNotMatch")
    answers("the API's key as the secret", Caller(c.port, own.key, c.key).call("GET", path), 403,
            "SignatureDoesNotMatch")
    for seconds in (-1000, 1000, -86400):
        answers(f"a date {seconds} s away", own.call("GET", path, date=stamp(seconds)), 403,
                "RequestTimeTooSkewed")
    for what, q in (("over", own.presigned("GET", path, 10, stamp(-60))),
                    ("for longer than a week", own.presigned("GET", path, 700000)),
                    ("not begun", own.presigned("GET", path, 10, stamp(3600)))):
        status, code, _ = own.send("GET", path, {"host": own.host}, q)
        expect(f"a URL that is {what}", status in (400, 403) and code, (status, code))
    q = own.presigned("GET", path, 60)
    expect("a URL in its time", own.send("GET", path, {"host": own.host}, q)[0] == 200)
    answers("a URL for another object", own.send("GET", "/own/big", {"host": own.host}, q), 403,
            "SignatureDoesNotMatch")


def bodies(c, own):
    path, data = "/own/lie", b"x" * 1000
    head = own.head("PUT", path, body=data)
    answers("a body that is not the signed one", own.send("PUT", path, head, body=b"y" * 1000),
            400,
            "XAmzContentSHA256Mismatch")
    md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    answers("a wrong Content-MD5",
            own.call("PUT", path, body=data, headers={"content-md5": md5}), 400, "BadDigest")
    status, code, _ = own.call("PUT", path, body=data,
                               headers={"x-amz-checksum-crc32": "AAAAAA=="})
    expect("a wrong CRC-32", status == 400 and code in ("BadDigest",
                                                        "XAmzContentChecksumMismatch"),
           (status, code))
    chunk = b"3e8;chunk-signature=" + b"0" * 64 + b"\r\n" + data + b"\r\n0;chunk-signature=" + \
            b"0" * 64 + b"\r\n\r\n"
    head = own.head("PUT", path, headers={
        "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "content-encoding": "aws-chunked", "x-amz-decoded-content-length": "1000"})
    answers("a chunk with a forged signature", own.send("PUT", path, head, body=chunk), 403,
            "SignatureDoesNotMatch")
    for length in ("999", "1001", "99999999999999"):
        head = own.head("PUT", path, headers={
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "content-encoding": "aws-chunked", "x-amz-decoded-content-length": length,
            "x-amz-trailer": "x-amz-checksum-crc32c"})
        lie = b"3e8\r\n" + data + b"\r\n0\r\nx-amz-checksum-crc32c:AAAAAA==\r\n\r\n"
        status, code, _ = own.send("PUT", path, head, body=lie)
        expect(f"1000 bytes that say they are {length}", status == 400 and code, (status, code))
    h = http.client.HTTPConnection("127.0.0.1", c.port, timeout=30)
    h.putrequest("PUT", path, skip_host=True, skip_accept_encoding=True)
    for name, value in own.head("PUT", path).items():
        h.putheader(name, value)
    h.endheaders()
    r = h.getresponse()
    expect("a length that is not said is not 0", r.status == 411 and
           b"MissingContentLength" in r.read(), r.status)
    h.close()
    with socket.create_connection(("127.0.0.1", c.port), 30) as s:
        head = own.head("PUT", path, body=data)
        lines = "".join(f"{k}: {v}\r\n" for k, v in head.items())
        s.sendall(f"PUT {path} HTTP/1.1\r\n{lines}content-length: 2000\r\n\r\n".encode() + data)
    time.sleep(0.3)
    answers("nothing of all that is there", own.call("GET", path), 404, "NoSuchKey")


# ---- whose ----

def projects(c, own):
    p2 = made(c, "projects", {"name": "Two"})["id"]
    other = caller(c, p2)
    s3 = client(c, other)
    refused("another project's object", "AccessDenied", s3.get_object, Bucket="own", Key="a/b")
    refused("its listing", "AccessDenied", s3.list_objects_v2, Bucket="own")
    refused("writing there", "AccessDenied", s3.put_object, Bucket="own", Key="x", Body=b"x")
    refused("removing there", "AccessDenied", s3.delete_object, Bucket="own", Key="a/b")
    refused("its bucket", "AccessDenied", s3.delete_bucket, Bucket="own")
    refused("its name", "BucketAlreadyExists", s3.create_bucket, Bucket="own")
    s3.create_bucket(Bucket="two")
    refused("copying out of it", "AccessDenied", s3.copy_object, Bucket="two", Key="c",
            CopySource="own/a/b")
    expect("every project lists its own buckets",
           [b["Name"] for b in s3.list_buckets()["Buckets"]] ==
           ["two"], s3.list_buckets())
    viewer = client(c, caller(c, p2, role="viewer"))
    expect("a viewer lists", viewer.list_objects_v2(Bucket="two")["KeyCount"] == 0)
    refused("a viewer writes nothing", "AccessDenied", viewer.put_object, Bucket="two", Key="x",
            Body=b"")
    chats = client(c, caller(c, p2, actions=["chat"]))
    refused("a key for chats alone", "AccessDenied", chats.list_objects_v2, Bucket="two")
    reads = client(c, caller(c, p2, actions=["objects.read"]))
    refused("a key that reads writes nothing", "AccessDenied", reads.put_object, Bucket="two",
            Key="x",
            Body=b"")
    for name in (".files-" + p2, ".files", ".hub", "..", "."):
        status, code, _ = own.call("GET", f"/{name}")
        expect(f"the cloud's own buckets are not seen: {name}", status in (400, 403, 404),
               (status, code))
        status, code, _ = own.call("PUT", f"/{name}/x", body=b"x")
        expect(f"and not written: {name}", status in (400, 403, 404), (status, code))


def anonymous(c, own):
    s3 = client(c, own)
    plain = Caller(c.port, "", "")

    def ask(method, path, **headers):
        return plain.send(method, path, {"host": plain.host, **headers})
    s3.create_bucket(Bucket="open")
    s3.put_object(Bucket="open", Key="page", Body=b"hello")
    answers("a bucket is private", ask("GET", "/open/page"), 403, "AccessDenied")
    s3.put_bucket_policy(Bucket="open", Policy=json.dumps({
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",
        "Action": "s3:GetObject", "Resource": "arn:aws:s3:::open/*"}]}))
    expect("until a policy opens it", ask("GET", "/open/page")[::2] == (200, b"hello"))
    answers("to be read alone", ask("PUT", "/open/page"), 403, "AccessDenied")
    answers("and not to be listed", ask("GET", "/open"), 403, "AccessDenied")
    status, code, text = ask("GET", "/nosuch/page")
    expect("what is no bucket is an unknown URL", status == 404 and b"unknown_url" in text, text)
    s3.put_bucket_cors(Bucket="open", CORSConfiguration={"CORSRules": [
        {"AllowedMethods": ["GET"], "AllowedOrigins": ["https://good.example"]}]})
    preflight = {"access-control-request-method": "GET"}
    expect("a browser's preflight", ask("OPTIONS", "/open/page", origin="https://good.example",
                                        **preflight)[0] == 200)
    expect("of another origin", ask("OPTIONS", "/open/page", origin="https://evil.example",
                                    **preflight)[0] == 403)
    for path in ("/open/../own/a/b", "/open/%2e%2e/own/a/b", "/open/..%2fown/a/b", "/own/a/b",
                 "/open\\..\\own", "/%2e%2e/%2e%2e/etc/passwd", "/open/page%00"):
        status, _, text = ask("GET", path)
        expect(f"no way around: {path}", status in (400, 403, 404) and b"root:" not in text,
               (status, text))


def keys_end(c):
    key = made(c, "keys", {"name": "short"})
    s3 = Caller(c.port, *credentials(c, key["secret"]))
    expect("a key works", s3.call("GET", "/own/a/b")[0] == 200)
    c.request("DELETE", f"/api/v1/keys/{key['id']}")
    answers("and is dead when its revoking is answered", s3.call("GET", "/own/a/b"), 403,
            "InvalidAccessKeyId")
    key = made(c, "keys", {"name": "brief", "expires": int(time.time()) + 1000})
    s3 = Caller(c.port, *credentials(c, key["secret"]))
    expect("a key that expires works", s3.call("GET", "/own/a/b")[0] == 200)
    c.expire(key["id"])
    answers("until then", s3.call("GET", "/own/a/b"), 403, "InvalidAccessKeyId")


# ---- how much ----

def quotas(c):
    p = made(c, "projects", {"name": "Small", "limits": {"storage_bytes": 1000000}})["id"]
    key = made(c, "keys", {"name": "test", "project": p})["secret"]
    s3 = client(c, Caller(c.port, *credentials(c, key)))
    s3.create_bucket(Bucket="small")
    s3.put_object(Bucket="small", Key="a", Body=b"x" * 600000)
    kept = told(c, key, "/api/v1/storage")
    expect("a project hears what it keeps and may", kept == {
        "object": "storage", "project": p, "bytes": 600000, "limit_bytes": 1000000}, kept)
    refused("more than a project may keep", "QuotaExceeded", s3.put_object, Bucket="small",
            Key="b",
            Body=b"x" * 600000)
    expect("leaves nothing", s3.list_objects_v2(Bucket="small")["KeyCount"] == 1)
    s3.put_object(Bucket="small", Key="b", Body=b"x" * 300000)
    up = {"Bucket": "small", "Key": "m"}
    up["UploadId"] = s3.create_multipart_upload(**up)["UploadId"]
    refused("by parts too", "QuotaExceeded", s3.upload_part, **up, PartNumber=1,
            Body=b"x" * 200000)
    expect("reading goes on", len(body_of(s3, "small", "a")) == 600000)
    s3.delete_object(Bucket="small", Key="a")
    live_cloud.wait_until(lambda: tries(s3.put_object, Bucket="small", Key="c",
                                        Body=b"x" * 500000), 10,
                          "what was removed is free again")
    status, _ = c.request("PATCH", f"/api/v1/projects/{p}", {"limits": {"storage_bytes": None}})
    expect("without a limit there is none", status == 200 and
           tries(s3.put_object, Bucket="small", Key="d", Body=b"x" * 2000000), status)


def flood(c):
    """Refused by the hundred: all are counted, few have a record each."""
    plain = http.client.HTTPConnection("127.0.0.1", c.port, timeout=30)
    before, begun = refused_of(c), time.monotonic()
    for _ in range(300):
        plain.request("GET", "/own/a/b")
        plain.getresponse().read()
    plain.close()
    seconds = time.monotonic() - begun  # a sum lives for two
    live_cloud.wait_until(lambda: sum(n for n, _ in refused_of(c)) -
                          sum(n for n, _ in before) >= 300, 20, "all that was refused is counted")
    expect("records of the refused are sums", len(refused_of(c)) - len(before) <= 5 + seconds,
           refused_of(c))


def refused_of(c):
    """(requests, route) of records without a key."""
    data = c.get("/api/v1/usage/records?limit=1000")[1]["data"]
    return [(r["requests"], r["route"]) for r in data if r["key"] == "" and r["http"] == 403]


def tries(fn, **kwargs):
    try:
        fn(**kwargs)
        return True
    except botocore.exceptions.ClientError:
        return False


def usage(c):
    p = made(c, "projects", {"name": "Counted"})["id"]
    who = caller(c, p)
    s3 = client(c, who)
    s3.create_bucket(Bucket="counted")
    s3.put_object(Bucket="counted", Key="k", Body=b"x" * 12345)
    for _ in range(3):
        body_of(s3, "counted", "k")
    refused("a miss", "NoSuchKey", s3.get_object, Bucket="counted", Key="nosuch")

    def rows():
        data = c.get(f"/api/v1/usage?project={p}&group_by=route&group_by=status")[1]["data"]
        got = {(r["route"], r["status"]): (r["requests"], r["bytes_in"],
                                           r["bytes_out"]) for r in data}
        return got if sum(got[k][0] for k in got if k[0].startswith("s3.")) >= 6 else None
    got = live_cloud.wait_until(rows, 20, "records of objects")
    expect("puts are recorded with their bytes", got.get(("s3.PutObject", "ok")) == (1, 12345, 0),
           got)
    expect("gets too", got.get(("s3.GetObject", "ok")) == (3, 0, 3 * 12345), got)
    expect("and what was refused", got.get(("s3.GetObject", "refused"), (0,))[0] == 1, got)
    records = c.get(f"/api/v1/usage/records?project={p}")[1]["data"]
    expect("by key", {r["key"] for r in records if r["route"].startswith("s3.")} == {who.key},
           records)


# ---- what dies ----

def kills(c, own, data):
    s3 = client(c, own)
    control = c.pids("control")
    for pid in control:
        os.kill(pid, signal.SIGSTOP)
    s3.put_object(Bucket="own", Key="orphan", Body=b"while control is dead")
    expect("objects go on while control is dead", body_of(s3, "own", "a/b") == data and
           body_of(s3, "own", "orphan") == b"while control is dead")
    refused("as do checks", "SignatureDoesNotMatch", client(c, Caller(0, own.key,
                                                                      "x" * 43)).list_buckets)
    for pid in control:
        os.kill(pid, signal.SIGCONT)
    with socket.create_connection(("127.0.0.1", c.port), 30) as s:
        lines = "".join(f"{k}: {v}\r\n" for k, v in own.head("PUT", "/own/half").items())
        s.sendall(f"PUT /own/half HTTP/1.1\r\n{lines}content-length: 100000\r\n\r\nx".encode())
        # the other one asks
        live_cloud.wait_until(lambda: c.get("/api/v1/status")[1]["gateway"]["exchanges"] > 1, 20,
                              "the request has begun")
        c.kill("gateway")
    live_cloud.wait_until(c.is_ready, 30, "the gateway is back")
    answers("what was not whole is not there", own.call("GET", "/own/half"), 404, "NoSuchKey")
    live_cloud.wait_until(
        lambda: any(r["status"] == "lost" and r["route"] == "s3.request" for r in
                    c.get("/api/v1/usage/records?limit=100")[1]["data"]), 20,
        "a request that a kill ended is recorded")
    expect("objects are there after a kill", body_of(s3, "own", "a/b") == data and
           body_of(s3, "own", "orphan") == b"while control is dead")


def damage(c, own, data):
    s3 = client(c, own)
    at = [f"{d}/{f}" for d, _, files in os.walk(f"{c.home}/blob") for f in files
          if os.path.getsize(f"{d}/{f}") >= len(data) and "db" not in f]
    for path in at:
        with open(path, "rb") as f:
            if data[:4096] not in f.read():
                continue
        os.chmod(path, 0o600)
        with open(path, "r+b") as f:
            f.seek(2 << 20)
            byte = f.read(1)
            f.seek(2 << 20)
            f.write(bytes([byte[0] ^ 1]))
    try:
        got = body_of(s3, "own", "a/b")
        expect("a flipped byte is never served", False, len(got))
    except (botocore.exceptions.ClientError, botocore.exceptions.HTTPClientError,
            botocore.exceptions.IncompleteReadError) as e:
        expect("a flipped byte is never served", True, e)
    expect("others are", body_of(s3, "own", "orphan") == b"while control is dead")
    r = c.run("blob", "check")
    expect("feitian blob check finds it", r.returncode == 1 and "own/a/b" in r.stdout, r)
    r = c.run("doctor")
    expect("feitian doctor says so", "not as it was written" in r.stdout, r.stdout)
    with socket.create_connection(("127.0.0.1", c.port), 30) as s:  # a client that never goes on
        lines = "".join(f"{k}: {v}\r\n" for k, v in own.head("PUT", "/own/slow").items())
        s.sendall(f"PUT /own/slow HTTP/1.1\r\n{lines}content-length: 100000\r\n\r\nx".encode())
        expect("the cloud ends in the midst of uploads", c.down() == 0)
    r = c.run("blob", "check", "--json")
    expect("also while no cloud runs", r.returncode == 1 and
           [f["key"] for f in json.loads(r.stdout)["found"]] == ["a/b"], r)


def broken_store(feitian):
    with live_cloud.LiveCloud(feitian, "--storage", "/dev/null/nowhere") as c:
        status, _ = c.post("/v1/chat/completions", {
            "model": "nano", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4})
        expect("chats need no store of objects", status == 200, status)
        own = Caller(c.port, *credentials(c, c.key))
        answers("objects say that there is none", own.call("GET", "/"), 503, "ServiceUnavailable")
        status, answer = c.get("/v1/files")
        expect("files too", status == 503 and answer["error"]["code"] == "storage_unavailable",
               answer)
        with open(f"{c.home}/s3.secret", "wb") as f:
            f.write(b"damaged")
        c.kill("gateway")
        live_cloud.wait_until(c.is_ready, 30, "the gateway is back")
        status, answer = c.get("/api/v1/s3/credentials")
        expect("a damaged s3.secret stops objects alone", status == 503 and
               "s3.secret" in answer["error"]["message"], answer)
        os.unlink(f"{c.home}/s3.secret")
        live_cloud.wait_until(lambda: c.get("/api/v1/s3/credentials")[0] == 200, 20,
                              "a new one is made")
        status = c.get("/api/v1/status")[1]["storage"]
        expect("the status says why", not status["open"] and "/dev/null" in status["trouble"],
               status)


def upstream(feitian):
    """A cloud that keeps its objects in another one."""
    with live_cloud.LiveCloud(feitian) as below:
        keys = credentials(below, below.key)
        c = live_cloud.LiveCloud(feitian, "--storage", f"s3+http://127.0.0.1:{below.port}")
        os.makedirs(c.home, mode=0o700)
        with open(f"{c.home}/storage.json", "w", encoding="utf-8") as f:
            json.dump({"access_key_id": keys[0], "secret_access_key": keys[1], "prefix": "up-"}, f)
        os.chmod(f"{c.home}/storage.json", 0o644)
        with c:
            trouble = live_cloud.wait_until(
                lambda: c.get("/api/v1/status")[1]["storage"]["trouble"], 20, "a trouble")
            expect("keys of a storage that others can read are refused", "chmod 600" in trouble,
                   trouble)
            os.chmod(f"{c.home}/storage.json", 0o600)
            live_cloud.wait_until(lambda: c.get("/api/v1/status")[1]["storage"]["open"], 20,
                                  "the store is tried again")
            own = Caller(c.port, *credentials(c, c.key))
            everyday(c, own)
            names = [b["Name"] for b in client(below, Caller(0, *keys)).list_buckets()["Buckets"]]
            expect("its objects are there", any(n.startswith("up-") for n in names), names)
            stop = below.pids("gateway")
            for pid in stop:
                os.kill(pid, signal.SIGSTOP)
            status, _ = c.post("/v1/chat/completions", {
                "model": "nano", "messages": [{"role": "user", "content": "Hello"}],
                "max_tokens": 4})
            expect("chats go on while it is silent", status == 200, status)
            for pid in stop:
                os.kill(pid, signal.SIGCONT)


def lifecycle(feitian):
    with live_cloud.LiveCloud(feitian, "--s3-day", "1", "--storage", "memory") as c:
        s3 = client(c, Caller(c.port, *credentials(c, c.key)))
        s3.create_bucket(Bucket="brief")
        s3.put_bucket_lifecycle_configuration(Bucket="brief", LifecycleConfiguration={"Rules": [
            {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": "tmp/"},
             "Expiration": {"Days": 1},
             "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}]})
        for key in ("tmp/a", "kept"):
            s3.put_object(Bucket="brief", Key=key, Body=b"x")
        s3.create_multipart_upload(Bucket="brief", Key="tmp/m")
        def is_swept():
            keys = [o["Key"] for o in s3.list_objects_v2(Bucket="brief")["Contents"]]
            return keys == ["kept"] and not s3.list_multipart_uploads(Bucket="brief").get("Uploads")
        live_cloud.wait_until(is_swept, 30, "what a rule lets go is removed")
        expect("rules are carried out", True)


def main():
    feitian = sys.argv[1]
    with live_cloud.LiveCloud(feitian) as c:
        own = Caller(c.port, *credentials(c, c.key))
        data = everyday(c, own)
        commands(c)
        signatures(c, own)
        bodies(c, own)
        projects(c, own)
        anonymous(c, own)
        keys_end(c)
        quotas(c)
        usage(c)
        flood(c)
        kills(c, own, data)
        damage(c, own, data)
    broken_store(feitian)
    upstream(feitian)
    lifecycle(feitian)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
