#!/usr/bin/python3
"""What a removed project kept goes by itself, also when the cloud is killed meanwhile: objects with
their versions, uploads, files, repositories, answers. What a retention protects goes when it ends;
other projects' things stay.

usage: leftover.py FEITIAN
"""
import datetime
import json
import os
import sys

import botocore

import doors
import hub
from batches import form
from hub import expect
from live_cloud import LiveCloud, wait_until
from objects import client, credentials, made
from s3_request import Caller

SECONDS = 120
LOOKS = 200  # of one request of control's
MANY = 600  # objects: several such
HELD = 250  # objects that stay: two such


def usage(c):
    return json.loads(c.run("blob", "usage", "--json").stdout)


class Project:
    """One with something of every kind; its buckets are called after it."""

    def __init__(self, c, name):
        self.c, self.id = c, name
        made(c, "projects", {"id": name, "name": name})
        self.secret = made(c, "keys", {"name": "test", "project": name, "role": "admin"})["secret"]
        self.s3 = client(c, Caller(c.port, *credentials(c, self.secret)))
        self.hub = hub.Hub(c, self.secret)

    def fill(self):
        b = f"{self.id}-objects"
        self.s3.create_bucket(Bucket=b)
        self.s3.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
        for i in range(MANY):
            self.s3.put_object(Bucket=b, Key=f"k{i % 500}", Body=b"x")
        self.s3.put_object(Bucket=b, Key="large", Body=b"y" * 200000)
        self.s3.delete_object(Bucket=b, Key="k0")
        upload = self.s3.create_multipart_upload(Bucket=b, Key="u")["UploadId"]
        self.s3.upload_part(Bucket=b, Key="u", UploadId=upload, PartNumber=1, Body=b"z" * 100000)
        kind, body = form({"purpose": "user_data"}, "notes.txt", b"some words")
        status, _, text = self.hub.ask("POST", "/v1/files", body, Content_Type=kind)
        expect(f"{self.id} has a file", status == 200, text)
        status, o = self.hub.json("POST", "/api/repos/create", {"name": "m", "type": "model"})
        expect(f"{self.id} has a repository", status in (200, 201), o)
        expect("with a file", self.hub.put(f"{self.id}/m", "README.md", b"# m\n")[0] == 200)

    def remove(self):
        status, answer = self.c.request("DELETE", f"/api/v1/projects/{self.id}?cascade=true")
        expect(f"{self.id} is removed", status == 200, answer)


def locked(project, bucket, seconds, n):
    """A bucket with n objects that may go after so long, and others before and behind them."""
    b = f"{project.id}-{bucket}"
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    project.s3.create_bucket(Bucket=b, ObjectLockEnabledForBucket=True)
    project.s3.put_object(Bucket=b, Key="free", Body=b"x")
    project.s3.put_object(Bucket=b, Key="governed", Body=b"x", ObjectLockMode="GOVERNANCE",
                          ObjectLockRetainUntilDate=until + datetime.timedelta(days=9))
    for i in range(n):
        project.s3.put_object(Bucket=b, Key=f"kept{i}", Body=b"x", ObjectLockMode="COMPLIANCE",
                              ObjectLockRetainUntilDate=until)
    project.s3.put_object(Bucket=b, Key="of nobody", Body=b"x")


def forget(c, project, place):
    """One request of control's; another may be under way."""
    def once():
        path = f"/internal/projects/{project}/forget"
        status, _, answer = doors.ask(c, True, "POST", path, place)
        if status != 200:
            expect("one request at a time", status == 503, answer)
        return status == 200 and answer
    return wait_until(once, SECONDS, f"what {project} kept is looked at")


def is_taken(project, bucket):
    """Is there such a bucket, whosever it is? If not, it is made and removed again."""
    try:
        project.s3.create_bucket(Bucket=bucket)
    except botocore.exceptions.ClientError as e:
        if e.response["Error"]["Code"] == "BucketAlreadyExists":
            return True
        raise
    project.s3.delete_bucket(Bucket=bucket)
    return False


def repos(c):
    return {m["id"] for m in hub.Hub(c, c.key).json("GET", "/api/models?limit=100")[1]}


def main():
    with LiveCloud(sys.argv[1]) as c:
        wait_until(lambda: c.run("ls").returncode == 0, SECONDS, "the store is open")
        stays, goes, holds = (Project(c, n) for n in ("stays", "goes", "holds"))
        stays.fill()
        goes.fill()
        locked(holds, "soon", 15, 1)
        locked(holds, "long", 86400, HELD)
        links = os.path.join(c.home, "models/hub/goes/m/0123456789ab-00000000")  # as served models
        os.makedirs(links)
        before = usage(c)["stays"]
        goes.remove()
        c.kill("control")  # whatever it was doing
        c.kill("gateway")
        wait_until(c.is_ready, SECONDS, "the cloud is ready again")
        wait_until(lambda: c.run("ls").returncode == 0, SECONDS, "the store is open again")
        holds.remove()
        wait_until(lambda: "goes" not in usage(c), SECONDS, "a removed project keeps nothing")
        expect("objects and files are gone", True)
        wait_until(lambda: not any(r.startswith("goes/") for r in repos(c)), SECONDS,
                   "nor in the hub")
        expect("repositories too", "stays/m" in repos(c), repos(c))
        wait_until(lambda: not os.path.exists(os.path.dirname(os.path.dirname(links))), SECONDS,
                   "nor models made of them")
        # "soon" goes when its retention ends: then "long" was looked at, again if it took so long
        wait_until(lambda: is_taken(stays, "holds-soon") is False, SECONDS,
                   "what was protected goes when its retention ends")
        wait_until(lambda: usage(c).get("holds", {}).get("objects") == HELD, SECONDS,
                   "what is protected stays, alone")
        held, asked, answer = 0, 0, {"next": {}}
        while answer["next"] is not None:
            answer = forget(c, "holds", answer["next"])
            held, asked = held + answer["held"], asked + 1
            expect("one request looks at so many", answer["held"] <= LOOKS, answer)
        expect("the next goes on behind it", held == HELD and asked > 1, (held, asked))
        expect("with its bucket", is_taken(stays, "holds-long"))
        expect("others' things stay", usage(c)["stays"] == before, (usage(c), before))
        stays.s3.create_bucket(Bucket="goes-objects")
        expect("its buckets' names are free", stays.s3.list_object_versions(
            Bucket="goes-objects").get("Versions") is None)
        status, answer = c.post("/api/v1/projects", {"id": "goes", "name": "again"})
        expect("its id is not", status == 409, answer)
    print("failures:", hub.failures)
    return hub.failures != 0


if __name__ == "__main__":
    sys.exit(main())
