#!/usr/bin/python3
"""What is said of buckets, over S3: who may what by access control lists, policies and owning;
cross-origin rules; versions; tags; object lock; lifecycle rules carried out (a day is a second).

usage: buckets.py FEITIAN
"""
import datetime
import json
import sys
import time
import urllib.error
import urllib.request

from botocore import UNSIGNED

import live_cloud
import objects
from objects import answers, body_of, caller, client, expect, made, refused

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
DAY_S = 1
AT_MOST_S = 120


class People:
    """Clients of S3: who owns the buckets, another key of the same project, a stranger, nobody."""

    def __init__(self, c):
        for name in ("ours", "theirs"):
            made(c, "projects", {"name": name})
        me, mate, stranger = caller(c, "ours"), caller(c, "ours"), caller(c, "theirs")
        self.me, self.mate, self.stranger = client(c, me), client(c, mate), client(c, stranger)
        self.mate_key = mate.key
        self.nobody = objects.boto3.client(
            "s3", endpoint_url=c.url, region_name="us-east-1",
            config=objects.Config(signature_version=UNSIGNED, retries={"max_attempts": 0}))
        self.url = c.url
        self.made = 0

    def bucket(self, **more):
        self.made += 1
        name = f"bucket-{self.made}"
        self.me.create_bucket(Bucket=name, **more)
        return name


def policy(bucket, who, action, effect="Allow", condition=None, path="/*"):
    s = {"Effect": effect, "Principal": who, "Action": action,
         "Resource": f"arn:aws:s3:::{bucket}{path}"}
    if condition is not None:
        s["Condition"] = condition
    return s


def put_policy(s3, bucket, *statements):
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(
        {"Version": "2012-10-17", "Statement": list(statements)}))


# ---- who may ----

def lists(p):
    b = p.bucket()
    p.me.put_object(Bucket=b, Key="k", Body=b"x")
    refused("a stranger reads nothing", "AccessDenied", p.stranger.get_object, Bucket=b, Key="k")
    refused("and does not learn what is missing", "AccessDenied", p.stranger.get_object, Bucket=b,
            Key="none")
    refused("nobody lists", "AccessDenied", p.nobody.list_objects_v2, Bucket=b)
    p.me.put_bucket_acl(Bucket=b, ACL="public-read-write")
    expect("a public bucket is listed", len(p.nobody.list_objects_v2(Bucket=b)["Contents"]) == 1)
    refused("missing keys are known then", "NoSuchKey", p.stranger.get_object, Bucket=b, Key="none")
    refused("its objects are not public", "AccessDenied", p.nobody.get_object, Bucket=b, Key="k")
    p.me.put_object_acl(Bucket=b, Key="k", ACL="public-read")
    expect("until their lists say so", body_of(p.nobody, b, "k") == b"x")
    p.stranger.put_object(Bucket=b, Key="theirs", Body=b"y")
    expect("who puts an object owns it",
           p.stranger.get_object_acl(Bucket=b, Key="theirs")["Owner"]["ID"] == "theirs")
    refused("from the bucket's owner, too", "AccessDenied", p.me.get_object, Bucket=b, Key="theirs")
    p.me.delete_object(Bucket=b, Key="theirs")
    owner = p.me.get_bucket_acl(Bucket=b)["Owner"]
    grants = [{"Grantee": {"Type": "CanonicalUser", "ID": "theirs"}, "Permission": "READ"},
              {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ_ACP"}]
    p.me.put_bucket_acl(Bucket=b, AccessControlPolicy={"Owner": owner, "Grants": grants})
    seen = p.me.get_bucket_acl(Bucket=b)["Grants"]
    expect("grants are told, groups first", [g["Permission"] for g in seen] == ["READ_ACP", "READ"]
           and seen[1]["Grantee"]["DisplayName"] == "theirs", seen)
    expect("a grant is for what it says", p.stranger.list_objects_v2(Bucket=b)["KeyCount"] == 1)
    refused("and no more", "AccessDenied", p.stranger.put_object, Bucket=b, Key="n", Body=b"")
    grants[0]["Grantee"]["ID"] = "nowhere"
    refused("grants to no project are refused", "InvalidArgument", p.me.put_bucket_acl, Bucket=b,
            AccessControlPolicy={"Owner": owner, "Grants": grants})
    refused("lists name the owner", "AccessDenied", p.me.put_bucket_acl, Bucket=b,
            AccessControlPolicy={"Owner": {"ID": "theirs"}, "Grants": []})


def policies(p):
    b = p.bucket()
    for key in ("pub/a", "priv/a"):
        p.me.put_object(Bucket=b, Key=key, Body=b"x")
    refused("there is no policy at first", "NoSuchBucketPolicy", p.me.get_bucket_policy, Bucket=b)
    put_policy(p.me, b, policy(b, "*", "s3:GetObject", path="/pub/*"))
    expect("a policy makes public", body_of(p.nobody, b, "pub/a") == b"x")
    refused("what it names", "AccessDenied", p.nobody.get_object, Bucket=b, Key="priv/a")
    expect("that is told", p.me.get_bucket_policy_status(Bucket=b)["PolicyStatus"]["IsPublic"])
    mate = {"AWS": f"arn:aws:iam::ours:user/{p.mate_key}"}
    put_policy(p.me, b, policy(b, mate, "s3:*", "Deny", path="/priv/*"))
    refused("a key of the project may be denied", "AccessDenied", p.mate.get_object, Bucket=b,
            Key="priv/a")
    expect("others are not", body_of(p.me, b, "priv/a") == b"x")
    put_policy(p.me, b, policy(b, {"AWS": "theirs"}, "s3:ListBucket", path="",
                               condition={"StringLike": {"s3:prefix": "pub/*"}}))
    expect("conditions hold", p.stranger.list_objects_v2(Bucket=b, Prefix="pub/")["KeyCount"] == 1)
    refused("for what they say", "AccessDenied", p.stranger.list_objects_v2, Bucket=b)
    put_policy(p.me, b, policy(b, "*", "s3:*", "Deny", path="*"))
    refused("a Deny is for the owner, too", "AccessDenied", p.me.list_objects_v2, Bucket=b)
    p.me.delete_bucket_policy(Bucket=b)
    expect("who owns the bucket can take it away", p.me.list_objects_v2(Bucket=b)["KeyCount"] == 2)
    refused("what is not known is refused", "MalformedPolicy", put_policy, p.me, b,
            policy(b, "*", "s3:GetObject", condition={"StringLike": {"s3:mood": "good"}}))
    tagged = {"StringEquals": {"s3:ExistingObjectTag/level": "open"}}
    put_policy(p.me, b, policy(b, "*", "s3:GetObject", condition=tagged))
    refused("by tags: not yet", "AccessDenied", p.nobody.get_object, Bucket=b, Key="priv/a")
    p.me.put_object_tagging(Bucket=b, Key="priv/a",
                            Tagging={"TagSet": [{"Key": "level", "Value": "open"}]})
    expect("by tags: now", body_of(p.nobody, b, "priv/a") == b"x")


def blocks(p):
    b = p.bucket(ACL="public-read")
    p.me.put_object(Bucket=b, Key="k", Body=b"x", ACL="public-read")
    put_policy(p.me, b, policy(b, "*", "s3:GetObject"))
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy",
                           "RestrictPublicBuckets"), True)
    p.me.put_public_access_block(Bucket=b, PublicAccessBlockConfiguration=block)
    refused("blocked: reading", "AccessDenied", p.nobody.get_object, Bucket=b, Key="k")
    refused("blocked: listing", "AccessDenied", p.stranger.list_objects_v2, Bucket=b)
    refused("blocked: lists", "AccessDenied", p.me.put_bucket_acl, Bucket=b, ACL="public-read")
    refused("blocked: lists of objects", "AccessDenied", p.me.put_object, Bucket=b, Key="n",
            Body=b"", ACL="public-read")
    refused("blocked: policies", "AccessDenied", put_policy, p.me, b,
            policy(b, "*", "s3:GetObject"))
    p.me.delete_public_access_block(Bucket=b)
    expect("not any more", body_of(p.nobody, b, "k") == b"x")


def ownership(p):
    b = p.bucket(ObjectOwnership="BucketOwnerEnforced")
    put_policy(p.me, b, policy(b, {"AWS": "theirs"}, "s3:PutObject"))
    p.stranger.put_object(Bucket=b, Key="k", Body=b"x")
    expect("what strangers put is the bucket owner's", body_of(p.me, b, "k") == b"x"
           and p.me.get_object_acl(Bucket=b, Key="k")["Owner"]["ID"] == "ours")
    refused("there are no lists then", "AccessControlListNotSupported", p.me.put_object, Bucket=b,
            Key="n", Body=b"", ACL="public-read")


def preflight(p, url, status, **headers):
    """Access-Control-Allow-Origin of the answer."""
    request = urllib.request.Request(url, method="OPTIONS",
                                     headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=30) as r:
            expect(f"preflight {headers}: {status}", r.status == status, r.status)
            return r.headers.get("Access-Control-Allow-Origin")
    except urllib.error.HTTPError as e:
        expect(f"preflight {headers}: {status}", e.code == status, e.code)
        return None


def cors(p):
    b = p.bucket(ACL="public-read")
    url = f"{p.url}/{b}/k"
    ask = {"Origin": "http://a.test", "Access_Control_Request_Method": "PUT"}
    preflight(p, url, 403, **ask)
    p.me.put_bucket_cors(Bucket=b, CORSConfiguration={"CORSRules": [
        {"AllowedOrigins": ["http://*.test"], "AllowedMethods": ["PUT"], "AllowedHeaders": ["x-*"],
         "MaxAgeSeconds": 60}]})
    expect("an origin is allowed", preflight(p, url, 200, **ask) == "http://a.test")
    preflight(p, url, 403, Origin="http://a.com", Access_Control_Request_Method="PUT")
    preflight(p, url, 403, **ask, Access_Control_Request_Headers="x-a, y")
    preflight(p, url, 200, **ask, Access_Control_Request_Headers="x-a, x-b")
    preflight(p, url, 400, Origin="http://a.test")
    answer = p.me.get_bucket_cors(Bucket=b)["CORSRules"][0]
    expect("rules are told", answer["AllowedOrigins"] == ["http://*.test"], answer)


# ---- what is kept ----

def versions(p):
    b = p.bucket()
    p.me.put_object(Bucket=b, Key="k", Body=b"0")
    p.me.put_bucket_versioning(Bucket=b, VersioningConfiguration={"Status": "Enabled"})
    ids = [p.me.put_object(Bucket=b, Key="k", Body=b"%d" % i)["VersionId"] for i in (1, 2)]
    marker = p.me.delete_object(Bucket=b, Key="k")["VersionId"]
    seen, more = [], {}
    while True:  # one by one
        page = p.me.list_object_versions(Bucket=b, MaxKeys=1, **more)
        seen += [v["VersionId"] for v in page.get("Versions", []) + page.get("DeleteMarkers", [])]
        if not page["IsTruncated"]:
            break
        more = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}
    expect("versions, newest first", seen == [marker, ids[1], ids[0], "null"], seen)
    expect("an old one is read", body_of(p.me, b, "k", VersionId=ids[0]) == b"1")
    p.me.put_object_tagging(Bucket=b, Key="k", VersionId=ids[0],
                            Tagging={"TagSet": [{"Key": "b", "Value": "2"},
                                                {"Key": "a", "Value": ""}]})
    tags = p.me.get_object_tagging(Bucket=b, Key="k", VersionId=ids[0])["TagSet"]
    expect("a version has tags", [t["Key"] for t in tags] == ["a", "b"], tags)
    p.me.delete_object(Bucket=b, Key="k", VersionId=marker)
    expect("without its marker it is back", body_of(p.me, b, "k") == b"2")
    refused("versions are never turned off", "MalformedXML", p.me.put_bucket_versioning, Bucket=b,
            VersioningConfiguration={"Status": "Off"})
    eleven = {"TagSet": [{"Key": str(i), "Value": ""} for i in range(11)]}
    refused("ten tags at most", "InvalidTag", p.me.put_object_tagging, Bucket=b, Key="k",
            Tagging=eleven)
    p.me.put_bucket_tagging(Bucket=b, Tagging=eleven)
    expect("buckets have more", p.me.get_bucket_tagging(Bucket=b)["TagSet"][0]["Key"] == "0")


def locks(p):
    b = p.bucket(ObjectLockEnabledForBucket=True)
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    hold = {"Mode": "GOVERNANCE", "RetainUntilDate": soon}
    v = p.me.put_object(Bucket=b, Key="k", Body=b"x")["VersionId"]
    p.me.put_object_retention(Bucket=b, Key="k", Retention=hold)
    refused("held", "AccessDenied", p.me.delete_object, Bucket=b, Key="k", VersionId=v)
    refused("not shortened", "AccessDenied", p.me.put_object_retention, Bucket=b, Key="k",
            Retention={**hold, "RetainUntilDate": soon - datetime.timedelta(minutes=1)})
    p.me.put_object_legal_hold(Bucket=b, Key="k", LegalHold={"Status": "ON"})
    kept = p.me.head_object(Bucket=b, Key="k")
    expect("a legal hold is beside it", kept["ObjectLockMode"] == "GOVERNANCE"
           and kept["ObjectLockLegalHoldStatus"] == "ON", kept)
    refused("and nothing gets past that", "AccessDenied", p.me.delete_object, Bucket=b, Key="k",
            VersionId=v, BypassGovernanceRetention=True)
    p.me.put_object_legal_hold(Bucket=b, Key="k", LegalHold={"Status": "OFF"})
    p.me.delete_object(Bucket=b, Key="k", VersionId=v, BypassGovernanceRetention=True)
    lock = {"ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}}
    p.me.put_object_lock_configuration(Bucket=b, ObjectLockConfiguration=lock)
    expect("the default is told", p.me.get_object_lock_configuration(
        Bucket=b)["ObjectLockConfiguration"] == lock)
    v = p.me.put_object(Bucket=b, Key="c", Body=b"x")["VersionId"]
    expect("and is what is put gets", p.me.get_object_retention(
        Bucket=b, Key="c")["Retention"]["Mode"] == "COMPLIANCE")
    refused("compliance: for everybody", "AccessDenied", p.me.delete_object, Bucket=b, Key="c",
            VersionId=v, BypassGovernanceRetention=True)
    refused("versions stay", "InvalidBucketState", p.me.put_bucket_versioning, Bucket=b,
            VersioningConfiguration={"Status": "Suspended"})
    refused("without a lock no retention", "InvalidRequest", p.me.put_object, Bucket=p.bucket(),
            Key="k", Body=b"", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=soon)


def left(p, bucket):
    page = p.me.list_object_versions(Bucket=bucket)
    uploads = p.me.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return sorted([v["Key"] for v in page.get("Versions", [])] + [
        f"marker {v['Key']}" for v in page.get("DeleteMarkers", [])] + [
        f"upload {u['Key']}" for u in uploads])


def until(p, bucket, wanted):
    end = time.monotonic() + AT_MOST_S
    while left(p, bucket) != wanted and time.monotonic() < end:
        time.sleep(0.2)
    return left(p, bucket) == wanted


def lifecycle(p):
    b, v = p.bucket(), p.bucket()
    for key in ("go/a", "stay/a", "tagged"):
        p.me.put_object(Bucket=b, Key=key, Body=b"x",
                        Tagging="go=yes" if key == "tagged" else "go=no")
    p.me.create_multipart_upload(Bucket=b, Key="up/a")
    p.me.put_bucket_versioning(Bucket=v, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2", b"3"):
        p.me.put_object(Bucket=v, Key="many", Body=body)
    p.me.put_object(Bucket=v, Key="gone", Body=b"x")
    p.me.delete_object(Bucket=v, Key="gone")

    def rule(name, filter_, **what):
        return {"ID": name, "Status": "Enabled", "Filter": filter_, **what}

    rules = [rule("prefix", {"Prefix": "go/"}, Expiration={"Days": 1}),
             rule("tag", {"Tag": {"Key": "go", "Value": "yes"}}, Expiration={"Days": 1}),
             rule("uploads", {"Prefix": "up/"},
                  AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1})]
    p.me.put_bucket_lifecycle_configuration(Bucket=b, LifecycleConfiguration={"Rules": rules})
    expect("rules are told as they were put", p.me.get_bucket_lifecycle_configuration(
        Bucket=b)["Rules"] == rules)
    expect("an object tells when it goes", 'rule-id="prefix"' in p.me.put_object(
        Bucket=b, Key="go/b", Body=b"").get("Expiration", ""))
    p.me.put_bucket_lifecycle_configuration(Bucket=v, LifecycleConfiguration={"Rules": [
        rule("old", {"Prefix": ""}, NoncurrentVersionExpiration={"NoncurrentDays": 1},
             Expiration={"ExpiredObjectDeleteMarker": True})]})
    expect("what is due goes, the rest stays", until(p, b, ["stay/a"]), left(p, b))
    expect("old versions go, then lone markers", until(p, v, ["many"]), left(p, v))
    refused("one storage class", "InvalidArgument", p.me.put_bucket_lifecycle_configuration,
            Bucket=b, LifecycleConfiguration={"Rules": [rule("cold", {"Prefix": ""}, Transitions=[
                {"Days": 1, "StorageClass": "GLACIER"}])]})


def names(c, p):
    refused("a name is taken", "BucketAlreadyExists", p.stranger.create_bucket, Bucket=p.bucket())
    b = p.bucket()
    p.me.create_bucket(Bucket=b)  # once more is well
    refused("but not otherwise than it is", "BucketAlreadyExists", p.me.create_bucket, Bucket=b,
            ACL="public-read")
    refused("strangers do not remove it", "AccessDenied", p.stranger.delete_bucket, Bucket=b)
    refused("the owner can be demanded", "403", p.me.head_bucket, Bucket=b,
            ExpectedBucketOwner="theirs")
    p.me.delete_bucket(Bucket=b)
    p.stranger.create_bucket(Bucket=b)  # and nothing of the old one is left
    expect("a new bucket begins anew",
           p.stranger.get_bucket_acl(Bucket=b)["Owner"]["ID"] == "theirs")
    who, path = caller(c, "ours"), f"/{p.bucket()}"
    body = b"<CORSConfiguration><a></CORSConfiguration>"
    query = [("cors", "")]
    answers("a broken document", who.send("PUT", path, who.head("PUT", path, query, body), query,
                                          body), 400, "MalformedXML")


def main():
    with live_cloud.LiveCloud(sys.argv[1], "--s3-day", str(DAY_S)) as c:
        p = People(c)
        for check in (lists, policies, blocks, ownership, cors, versions, locks, lifecycle):
            check(p)
        names(c, p)
    print(f"{objects.passed} passed, {objects.failed} failed")
    return 1 if objects.failed else 0


if __name__ == "__main__":
    sys.exit(main())
