#!/usr/bin/python3
"""Signing in to a running cloud: sessions by key and by password, what they may and may not, what
other sites may not, and how they end.

usage: signin.py FEITIAN
"""
import http.client
import itertools
import json
import signal
import sqlite3
import ssl
import sys
import threading
import time

import cloud
import live_cloud

CHAT = {"model": "nano", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
PASSWORD = "correct horse battery staple"
LOGIN_EVERY_S = 15  # after so long a login may be tried once more
TRIES_MAX = 200
failed = 0
passed = 0


def expect(what, ok, seen=None):
    global failed, passed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    passed += bool(ok)
    failed += not ok


class Browser:
    """What a browser sends and keeps: a cookie, and headers of its own."""

    def __init__(self, c, address=None):
        self.c, self.cookie, self.line, self.address = c, None, "", address

    def ask(self, method, path, body=None, **headers):
        """(status, headers in lower case, JSON or text)"""
        names = {k.replace("_", "-"): v for k, v in headers.items() if v is not None}
        plain = {"Content-Type": "application/json"}
        if method not in ("GET", "HEAD") and "X_Feitian_Console" not in headers:
            plain["X-Feitian-Console"] = "1"
        if self.cookie is not None:
            plain["Cookie"] = f"theme=dark; {self.cookie}; lang=en"
        if self.address is not None:
            plain["X-Forwarded-For"] = self.address
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        h = http.client.HTTPConnection("127.0.0.1", self.c.port, timeout=60)
        h.request(method, path, body, {**plain, **names})
        r = h.getresponse()
        text = r.read().decode(errors="replace")
        head = {k.lower(): v for k, v in r.getheaders()}
        h.close()
        if "set-cookie" in head:
            self.line = head["set-cookie"]
            self.cookie = self.line.split(";")[0]
            if self.cookie.endswith("="):
                self.cookie = None
        return (r.status, head, json.loads(text) if text.startswith("{") else text)

    def sign_in(self, **body):
        return self.ask("POST", "/api/v1/session", body)


def code(answer):
    return answer["error"]["code"] if isinstance(answer, dict) and "error" in answer else None


def made(c, path, body):
    status, answer = c.post(f"/api/v1/{path}", body)
    assert status in (200, 201), (path, body, status, answer)
    return answer


def key_of(c, project="default", **more):
    return made(c, "keys", {"name": "test", "project": project, **more})


def person(c, login, project="default", role="developer", password=PASSWORD):
    m = made(c, "members", {"name": login, "project": project, "role": role, "login": login})
    status, answer = c.request("PUT", f"/api/v1/members/{m['id']}/password", {"password": password})
    assert status == 200, answer
    return answer


# ---- by key ----

def by_key(c):
    b = Browser(c)
    k = key_of(c, role="developer")
    status, head, s = b.sign_in(key=k["secret"])
    line = b.line
    expect("a key makes a session", status == 201 and s["object"] == "session"
           and s["key"] == k["id"] and s["role"] == "developer" and s["member"] is None
           and s["project"] == {"id": "default", "name": "default"}, s)
    expect("... whose cookie no script and no other site gets", "HttpOnly" in line
           and "SameSite=Strict" in line and "Path=/" in line and "Secure" not in line, line)
    expect("... and is in no answer, nor in any cache", b.cookie.split("=")[1] not in json.dumps(s)
           and head["cache-control"] == "no-store", head)
    status, _, me = b.ask("GET", "/api/v1/me")
    expect("me is the key", status == 200 and me["key"]["id"] == k["id"] and me["kind"] == "session"
           and me["session"] == s["id"] and me["expires"] == s["expires"]
           and 0 < me["expires"] - time.time() <= 12 * 3600, me)
    status, _, now = b.ask("GET", "/api/v1/session")
    expect("and so is whoever is signed in", status == 200 and now["object"] == "sign_in"
           and now["me"] == me, now)
    nobody = {"object": "sign_in", "me": None}
    expect("nobody is without a session", Browser(c).ask("GET", "/api/v1/session")[::2]
           == (200, nobody) and Browser(c).ask("GET", "/api/v1/session", Authorization="Bearer "
                                               + k["secret"])[::2] == (200, nobody))
    expect("it may what the key may", b.ask("GET", "/v1/models")[0] == 200
           and b.ask("POST", "/v1/chat/completions", CHAT)[0] == 200
           and b.ask("GET", "/v1/files")[0] == 200 and b.ask("GET", "/api/models")[0] == 200)
    status, _, other = b.ask("POST", "/api/v1/keys", {"name": "more"})
    expect("... and no more", status == 201 and b.ask("POST", "/api/v1/projects",
           {"name": "no"})[0] == 403)
    expect("a key counts before a cookie", b.ask("GET", "/api/v1/me", Authorization="Bearer "
           + other["secret"])[2]["key"]["id"] == other["id"]
           and b.ask("GET", "/api/v1/me", Authorization="Bearer no")[0] == 401)
    value = b.cookie.split("=")[1]
    expect("a cookie is no key", b.ask("GET", "/v1/models", Authorization=f"Bearer {value}")[0]
           == 401)
    fake = Browser(c)
    fake.cookie = f"feitian_session={k['secret']}"
    expect("... and a key no cookie", fake.ask("GET", "/v1/models")[0] == 401)
    secure = Browser(c)
    secure.ask("POST", "/api/v1/session", {"key": k["secret"]}, X_Forwarded_Proto="https")
    expect("behind TLS it is for TLS alone", secure.line.endswith("; Secure"), secure.line)
    for wrong in ({"key": "sk-ft-" + "x" * 43}, {"key": ""}, {"login": "nobody"}, {},
                  {"key": 1}, {"key": k["secret"], "else": 1}):
        status, head, answer = Browser(c, "10.0.0.1").ask("POST", "/api/v1/session", wrong)
        expect(f"not with {list(wrong)}", status in (400, 401) and "set-cookie" not in head, answer)
    limited = key_of(c, limits={"rpm": 2}, actions=["chat"])
    two = [Browser(c), Browser(c)]
    for x in two:
        x.sign_in(key=limited["secret"])
    codes = [two[i % 2].ask("POST", "/v1/chat/completions", CHAT)[0] for i in range(4)]
    expect("sessions share the limits of their key", codes == [200, 200, 429, 429], codes)

    def used():
        rows = c.get(f"/api/v1/usage/records?key={limited['id']}")[1]["data"]
        return [r for r in rows if r["status"] == "ok" and r["route"] == "chat.completions"]
    live_cloud.wait_until(lambda: len(used()) == 2, 10, "usage of sessions is their key's")
    expect("who may chat alone can see who it is, and leave", two[0].ask("GET", "/api/v1/me")[0]
           == 200 and two[0].ask("GET", "/api/v1/keys")[0] == 403
           and two[0].ask("DELETE", "/api/v1/session")[0] == 200)


def ends(c):
    k = key_of(c)
    a, b = Browser(c), Browser(c)
    a.sign_in(key=k["secret"])
    sid = b.sign_in(key=k["secret"])[2]["id"]
    listed = a.ask("GET", "/api/v1/sessions")[2]["data"]
    expect("a key's sessions are listed", [x["current"] for x in listed].count(True) == 1
           and len(listed) == 2 and {x["key"] for x in listed} == {k["id"]}
           and all("hash" not in x for x in listed), listed)
    other = Browser(c)
    other.sign_in(key=key_of(c)["secret"])
    expect("another's are not seen", other.ask("GET", f"/api/v1/sessions")[2]["data"][0]["current"]
           and other.ask("DELETE", f"/api/v1/sessions/{sid}")[0] == 404)
    expect("an operator sees all", len(c.get("/api/v1/sessions?limit=1000")[1]["data"]) >= 3)
    keep = a.cookie
    status = a.ask("DELETE", "/api/v1/session")[0]
    expect("signing out takes the cookie away", status == 200 and a.cookie is None, a.line)
    a.cookie = keep
    status, _, answer = a.ask("GET", "/api/v1/me")
    expect("... which is dead at once", status == 401 and code(answer) == "session_ended", answer)
    status, _, answer = a.ask("GET", "/api/v1/session")
    expect("... so nobody is signed in", (status, answer["me"]) == (200, None), answer)
    expect("the other lives on", b.ask("GET", "/api/v1/me")[0] == 200)
    status = other.ask("DELETE", f"/api/v1/keys/{k['id']}")[0]
    expect("a developer's session does not revoke another's key", status == 403, status)
    c.request("DELETE", f"/api/v1/keys/{k['id']}")
    expect("a revoked key ends its sessions", b.ask("GET", "/api/v1/me")[0] == 401)
    expect("signing out with a key is refused", c.request("DELETE", "/api/v1/session")[0] == 400)
    k = key_of(c)
    all_of = [Browser(c) for _ in range(34)]
    for x in all_of:
        assert x.sign_in(key=k["secret"])[0] == 201
    alive = [x.ask("GET", "/api/v1/me")[0] for x in all_of]
    expect("a key has at most so many: the oldest end", alive.count(200) == 32
           and alive[-1] == 200, alive)
    k = key_of(c, expires=int(time.time()) + 1000)
    b = Browser(c)
    s = b.sign_in(key=k["secret"])[2]
    expect("no session outlives its key", s["expires"] == k["expires"], s)
    c.expire(k["id"])
    expect("... so it is dead then", b.ask("GET", "/api/v1/me")[0] == 401)


# ---- by password ----

def by_password(c):
    m = person(c, "ann")
    expect("a member shows its login, no hash", m["login"] == "ann" and m["password_changed"] > 0
           and "hash" not in json.dumps(m), m)
    b = Browser(c, "10.0.1.1")
    status, _, s = b.sign_in(login="Ann", password=PASSWORD)
    expect("login and password make a session", status == 201
           and s["member"] == {"id": m["id"], "name": "ann"} and s["role"] == "developer", s)
    me = b.ask("GET", "/api/v1/me")[2]
    key = me["key"]
    expect("it has a key of its own, nobody's secret", me["login"] == "ann"
           and key["kind"] == "sign_in" and key["member"] == m["id"] and "secret" not in key, me)
    expect("a model answers", b.ask("POST", "/v1/chat/completions", CHAT)[0] == 200)
    c.request("PATCH", f"/api/v1/keys/{key['id']}", {"limits": {"rpm": 1}})
    b.ask("POST", "/v1/chat/completions", CHAT)
    expect("... which can be limited", b.ask("POST", "/v1/chat/completions", CHAT)[0] == 429)
    c.request("PATCH", f"/api/v1/members/{m['id']}", {"role": "viewer"})
    expect("the member's role is the session's", b.ask("GET", "/api/v1/me")[2]["role"] == "viewer"
           and b.ask("POST", "/api/v1/keys", {"name": "x"})[0] == 403)
    answers = set()
    for wrong in ({"login": "ann", "password": "wrong password"},
                  {"login": "nobody", "password": PASSWORD},
                  {"login": "ann", "password": PASSWORD + "\0"},
                  {"login": "ann", "password": "x" * 256},
                  {"key": "sk-ft-" + "y" * 43}):
        status, _, answer = Browser(c, f"10.0.2.{len(answers)}").sign_in(**wrong)
        if "\0" in wrong.get("password", ""):
            expect("a NUL ends no password", status in (400, 401), answer)
        else:
            answers.add((status, json.dumps({k: answer["error"][k] for k in ("code", "message")})))
    expect("what was wrong is not told", len(answers) == 1 and next(iter(answers))[0] == 401,
           answers)
    a = Browser(c, "10.0.1.2")
    a.sign_in(login="ann", password=PASSWORD)
    put = {"old": PASSWORD, "new": "another long password"}
    expect("a wrong old one changes nothing", a.ask("PUT", "/api/v1/me/password",
           {**put, "old": "x" * 12})[0] == 403)
    status, _, answer = a.ask("PUT", "/api/v1/me/password", {**put, "new": "short"})
    expect("a short one is refused, by its name", status == 400
           and answer["error"]["param"] == "new", answer)
    status, _, answer = a.ask("PUT", "/api/v1/me/password", put)
    expect("who knows it changes it", status == 200, answer)
    expect("... which ends the other sessions, not this", a.ask("GET", "/api/v1/me")[0] == 200
           and b.ask("GET", "/api/v1/me")[0] == 401)
    expect("... and the old one", Browser(c, "10.0.1.3").sign_in(login="ann",
           password=PASSWORD)[0] == 401
           and Browser(c, "10.0.1.3").sign_in(login="ann", password=put["new"])[0] == 201)
    c.request("DELETE", f"/api/v1/keys/{key['id']}")
    m = c.get(f"/api/v1/members/{m['id']}")[1]
    expect("without its key a member has no password", m["password_changed"] is None
           and a.ask("GET", "/api/v1/me")[0] == 401
           and Browser(c, "10.0.1.4").sign_in(login="ann", password=put["new"])[0] == 401, m)
    c.request("PUT", f"/api/v1/members/{m['id']}/password", {"password": PASSWORD})
    a.sign_in(login="ann", password=PASSWORD)
    expect("... until it gets one", a.ask("GET", "/api/v1/me")[0] == 200)
    c.request("DELETE", f"/api/v1/members/{m['id']}")
    expect("a member's end is its sessions'", a.ask("GET", "/api/v1/me")[0] == 401
           and Browser(c, "10.0.1.5").sign_in(login="ann", password=PASSWORD)[0] == 401)


def logins(c):
    made(c, "projects", {"name": "left"})
    status, answer = c.post("/api/v1/members", {"name": "x", "project": "left", "role": "viewer",
                                                "login": "bob"})
    expect("a login is one's in the whole cloud", status == 201
           and c.post("/api/v1/members", {"name": "b", "role": "viewer", "login": "bob"})[0] == 409)
    bob = answer["id"]
    expect("a login has a form", all(c.post("/api/v1/members", {"name": "z", "role": "viewer",
           "login": x})[0] == 400 for x in ("Bob", "", "b b", "-b", "x" * 65, "b\n")))
    expect("it may be another one", c.request("PATCH", f"/api/v1/members/{bob}",
           {"login": "bob@left"})[0] == 200
           and c.post("/api/v1/members", {"name": "b", "role": "viewer", "login": "bob"})[0] == 201)
    plain = made(c, "members", {"name": "plain", "role": "viewer"})["id"]
    status, answer = c.request("PUT", f"/api/v1/members/{plain}/password", {"password": PASSWORD})
    expect("without a login there is no password", status == 409 and code(answer) == "no_login",
           answer)
    for bad in ("short", "x" * 257, ""):
        status, answer = c.request("PUT", f"/api/v1/members/{bob}/password", {"password": bad})
        expect(f"a password of {len(bad)} is refused", status == 400
               and answer["error"]["param"] == "password", answer)
    left, right = key_of(c, "left", role="admin"), key_of(c, "default", role="admin")
    path, put = f"/api/v1/members/{bob}/password", {"password": PASSWORD}
    ask = Browser(c).ask
    expect("another project's member is not there", ask("PUT", path, put,
           Authorization=f"Bearer {right['secret']}")[0] == 404)
    expect("an admin sets its own members'", ask("PUT", path, put,
           Authorization=f"Bearer {left['secret']}")[0] == 200)
    b = Browser(c, "10.0.4.1")
    b.sign_in(login="bob@left", password=PASSWORD)
    expect("a viewer sets none", b.ask("PUT", path, put)[0] == 403)
    less = key_of(c, "left", role="admin", models=["nano"], limits={"rpm": 5})
    status, _, answer = ask("PUT", path, put, Authorization=f"Bearer {less['secret']}")
    expect("nor an admin's key with less than the member's", status == 403, answer)
    new = made(c, "members", {"name": "new", "project": "left", "role": "admin", "login": "new"})
    ask("PUT", f"/api/v1/members/{new['id']}/password", put,
        Authorization=f"Bearer {less['secret']}")
    b.sign_in(login="new", password=PASSWORD)
    key = b.ask("GET", "/api/v1/me")[2]["key"]
    expect("what it makes has no more than it", key["models"] == ["nano"]
           and key["limits"] == {"rpm": 5}, key)
    c.request("DELETE", "/api/v1/projects/left?cascade=true")
    expect("a project's end is everybody's in it", b.ask("GET", "/api/v1/me")[0] == 401
           and Browser(c, "10.0.4.2").sign_in(login="new", password=PASSWORD)[0] == 401)
    log = json.dumps(c.get("/api/v1/audit?limit=1000")[1])
    expect("sessions alone can be asked for", {e["kind"] for e in
           c.get("/api/v1/audit?kind=session")[1]["data"]} == {"session"})
    expect("the audit log has no secret", "$y$" not in log and PASSWORD not in log
           and '"hash"' not in log and "session.create" in log and "session.delete" in log)


# ---- other sites ----

def cross_site(c):
    k = key_of(c, role="admin")
    b = Browser(c)
    b.sign_in(key=k["secret"])
    make = {"name": "by another"}
    for what, headers in (("without the header", {"X_Feitian_Console": None}),
                          ("of another site", {"Sec_Fetch_Site": "cross-site"}),
                          ("of another port", {"Sec_Fetch_Site": "same-site"}),
                          ("of another origin", {"Origin": "https://evil.example"}),
                          ("of no origin", {"Origin": "null"})):
        status, _, answer = b.ask("POST", "/api/v1/keys", make, **headers)
        expect(f"a change {what} is refused", status == 403 and code(answer) == "cross_site",
               answer)
    own = f"http://127.0.0.1:{c.port}"
    expect("one of ours is taken", all(b.ask("POST", "/api/v1/keys", make, **h)[0] == 201 for h in
           ({}, {"Origin": own}, {"Sec_Fetch_Site": "same-origin", "Origin": own})))
    status, _, answer = b.ask("GET", "/api/v1/session", Sec_Fetch_Site="cross-site")
    expect("nor is it told whether somebody is signed in", status == 403
           and code(answer) == "cross_site", answer)
    status, _, answer = b.ask("GET", "/api/v1/me", Sec_Fetch_Site="cross-site")
    expect("nor is anything read", status == 403, answer)
    expect("what is typed in is read", b.ask("GET", "/api/v1/me", Sec_Fetch_Site="none")[0] == 200)
    expect("a key needs none of that", Browser(c).ask("POST", "/api/v1/keys", make,
           Authorization=f"Bearer {k['secret']}", X_Feitian_Console=None, Origin="https://x.y")[0]
           == 201)
    body = json.dumps({"key": k["secret"]})
    for what, headers in (("a form", {"Content_Type": "text/plain"}),
                          ("another site", {"Sec_Fetch_Site": "cross-site"}),
                          ("another origin", {"Origin": "https://evil.example"})):
        status, head, answer = Browser(c).ask("POST", "/api/v1/session", body, **headers)
        expect(f"{what} signs nobody in", status in (403, 415) and "set-cookie" not in head, answer)
    status, head, _ = b.ask("OPTIONS", "/api/v1/keys", Origin="https://evil.example",
                            Access_Control_Request_Method="POST",
                            Access_Control_Request_Headers="x-feitian-console")
    expect("no other origin is allowed anything", not any("access-control" in h for h in head),
           head)


def odd_cookies(c):
    b = Browser(c)
    b.sign_in(key=key_of(c)["secret"])
    value = b.cookie.split("=")[1]
    for what, line, status in (
            ("quoted", f'feitian_session="{value}"', 200),
            ("among others", "a=b; c; ;=; feitian_session=" + value + ";d=e", 200),
            ("the first of two", f"feitian_session={value}; feitian_session=x", 200),
            ("of the second no more", f"feitian_session=x; feitian_session={value}", 401),
            ("empty", "feitian_session=", 401),
            ("cut", "feitian_session=" + value[:-1], 401),
            ("longer", f"feitian_session={value}x", 401),
            ("very long", "feitian_session=" + "x" * 9000, 401),
            ("behind too many", "a=b; " * 200 + "feitian_session=" + value, 401),
            ("of another name", f"Feitian_Session={value}", 401),
            ("not ASCII", "feitian_session=\xff\xfe", 401)):
        b.cookie = line
        seen = b.ask("GET", "/v1/models")[0]
        expect(f"a cookie that is {what}", seen == status, seen)


# ---- tries ----

def until_refused(attempt):
    """The statuses of one try after the other, to the first that is one too many."""
    codes = []
    while codes[-1:] != [429]:
        assert len(codes) < TRIES_MAX, codes
        codes.append(attempt())
    return codes


def tries(c):
    person(c, "eve")
    begun, last, host = time.monotonic(), [], itertools.count(1)

    def wrong(login="eve"):
        last[:] = Browser(c, f"10.1.0.{next(host)}").sign_in(login=login, password="wrong password")
        return last[0]
    codes = until_refused(wrong)
    most = 6 + (time.monotonic() - begun) / LOGIN_EVERY_S
    expect("a login is tried a few times", 6 <= codes.count(401) <= most, codes)
    _, head, answer = last
    expect("... then one has to wait", int(head["retry-after"]) >= 1
           and code(answer) == "too_many_tries", head)
    until_refused(lambda: wrong("EVE"))
    status = Browser(c, "10.1.0.99").sign_in(login="EVE", password=PASSWORD)[0]
    expect("... whoever comes, however it is written", status == 429, status)
    person(c, "mallory")
    good = [Browser(c, "10.1.1.1").sign_in(login="mallory", password=PASSWORD)[0]
            for _ in range(12)]
    expect("right ones are not counted", good == [201] * 12, good)
    codes = until_refused(lambda: Browser(c, "10.2.0.1").sign_in(key="sk-ft-" + "0" * 43)[0])
    expect("an address is tried more often", codes.count(401) >= 30, codes)
    expect("another address is not held up", Browser(c, "10.2.0.2").sign_in(key=c.key)[0] == 201)
    v6 = until_refused(lambda: Browser(c, f"2001:db8:1:2::{next(host):x}").sign_in(
        key="sk-ft-" + "0" * 43)[0])
    expect("a network of IPv6 is one", Browser(c, "2001:db8:1:3::1").sign_in(key=c.key)[0] == 201,
           v6)
    m = person(c, "trent")
    b = Browser(c, "10.3.0.1")
    b.sign_in(login="trent", password=PASSWORD)
    codes = until_refused(lambda: b.ask("PUT", "/api/v1/me/password",
                                        {"old": "x" * 10, "new": "y" * 10})[0])
    expect("old passwords are not guessed either", set(codes[:-1]) == {403}, codes)
    done, begun = [], time.monotonic()

    def one():
        done.append(Browser(c, f"10.4.0.{len(done)}").sign_in(login="oscar", password="x" * 10)[0])
    threads = [threading.Thread(target=one) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    expect("many at once get no more tries", m is not None and
           done.count(401) <= 7 + (time.monotonic() - begun) / LOGIN_EVERY_S, done)


# ---- objects ----

PAGE = b"""<html><script>fetch("/api/v1/me").then(r => r.text()).then(t => document.title = t)
</script><body>hello</body></html>"""


def is_caged(head):
    policy = head.get("content-security-policy", "")
    return (policy.startswith("sandbox;") and "default-src 'none'" in policy
            and "allow-" not in policy and "script-src" not in policy
            and head.get("x-content-type-options") == "nosniff")


def objects(c):
    k = key_of(c, role="developer")
    b = Browser(c)
    b.sign_in(key=k["secret"])
    s3 = {"X_Feitian_S3": "1"}
    status, head, text = b.ask("PUT", "/pages", **s3)
    expect("a session makes a bucket", status == 200, text)
    status, head, text = b.ask("PUT", "/pages/a%20b/page.html", PAGE, Content_Type="text/html",
                               **s3)
    expect("... and puts an object", status == 200 and "etag" in head, text)
    status, head, text = b.ask("GET", "/pages/a%20b/page.html", **s3)
    expect("... which it gets as it was, and which runs nowhere", status == 200
           and text.encode() == PAGE and head["content-type"] == "text/html" and is_caged(head),
           head)
    status, head, text = b.ask("GET", "/", **s3)
    expect("buckets are listed as S3 does", status == 200 and "<Name>pages</Name>" in text, text)
    status, _, text = b.ask("GET", "/pages?list-type=2&prefix=a", **s3)
    expect("... and objects", status == 200 and "<Key>a b/page.html</Key>" in text, text)
    expect("without the header a path is not S3's", b.ask("GET", "/pages/none")[0] in (403, 404))
    bearer = {"Authorization": f"Bearer {k['secret']}", **s3}
    plain = Browser(c)
    expect("a key does as a session", plain.ask("GET", "/pages/a%20b/page.html", **bearer)[0] == 200
           and plain.ask("PUT", "/pages/two", b"2", **bearer)[0] == 200)
    status, _, text = plain.ask("GET", "/pages/two", **{**bearer, "Authorization": "Bearer no"})
    expect("a wrong one is refused in S3's words", status == 401
           and "<Code>AccessDenied</Code>" in text, text)
    status, _, text = plain.ask("GET", "/pages/two", **s3)
    expect("nobody is anonymous, as S3 has it", status == 403 and "AccessDenied" in text, text)
    for what, headers in (("of another site", {"Sec_Fetch_Site": "same-site"}),
                          ("of another origin", {"Origin": "http://localhost:1"})):
        status, _, text = b.ask("GET", "/pages/two", **s3, **headers)
        expect(f"an object {what} is not got", status == 403, text)
        status = b.ask("DELETE", "/pages/two", **s3, **headers)[0]
        expect("... nor deleted", status == 403, status)
    viewer = key_of(c, role="viewer")
    v = Browser(c)
    v.sign_in(key=viewer["secret"])
    expect("a viewer reads alone", v.ask("GET", "/pages/two", **s3)[0] == 200
           and v.ask("PUT", "/pages/three", b"3", **s3)[0] == 403)
    made(c, "projects", {"name": "apart"})
    other = Browser(c)
    other.sign_in(key=key_of(c, "apart")["secret"])
    expect("another project does not", other.ask("GET", "/pages/two", **s3)[0] == 403)
    links(c, b, v)
    status, head, _ = b.ask("POST", "/v1/files", b"--x\r\nContent-Disposition: form-data; "
                            b'name="purpose"\r\n\r\nuser_data\r\n--x\r\nContent-Disposition: '
                            b'form-data; name="file"; filename="p.html"\r\n\r\n' + PAGE +
                            b"\r\n--x--\r\n", Content_Type="multipart/form-data; boundary=x")
    fid = _["id"]
    status, head, _ = b.ask("GET", f"/v1/files/{fid}/content")
    expect("nor does a file of OpenAI's API run", status == 200 and is_caged(head), head)
    b.ask("POST", "/api/repos/create", {"name": "page", "type": "model", "organization": "default"})
    commit = "\n".join(json.dumps(x) for x in (
        {"key": "header", "value": {"summary": "s", "description": ""}},
        {"key": "file", "value": {"path": "p.html", "encoding": "utf-8", "content":
                                  PAGE.decode()}}))
    status, _, answer = b.ask("POST", "/api/models/default/page/commit/main", commit,
                              Content_Type="application/x-ndjson")
    expect("a session commits to the hub", status == 200, answer)
    status, head, _ = b.ask("GET", "/default/page/resolve/main/p.html")
    expect("nor a page of the hub", status == 200 and is_caged(head), (status, head))


def get(c, url, method="GET", body=None):
    h = http.client.HTTPConnection("127.0.0.1", c.port, timeout=60)
    h.request(method, url[url.index("/", 8):], body)
    r = h.getresponse()
    text = r.read()
    h.close()
    return r.status, {k.lower(): v for k, v in r.getheaders()}, text


def links(c, b, viewer):
    ask = {"bucket": "pages", "key": "a b/page.html", "expires_s": 60}
    status, head, link = b.ask("POST", "/api/v1/s3/presign", ask)
    expect("a link", status == 200 and link["url"].startswith(f"http://127.0.0.1:{c.port}/pages/")
           and 50 < link["expires"] - time.time() <= 60, link)
    status, head, text = get(c, link["url"])
    expect("... gets it, for who has no key", status == 200 and text == PAGE and is_caged(head),
           (status, text[:200]))
    expect("... and nothing else", get(c, link["url"].replace("page.html", "other"))[0] == 403)
    name = 'Zeit "1".html \u4f60'
    link = b.ask("POST", "/api/v1/s3/presign", {**ask, "download_as": name})[2]
    status, head, _ = get(c, link["url"])
    said = head.get("content-disposition", "")
    expect("... under another name", status == 200 and said.startswith(
        'attachment; filename="Zeit _1_.html ___"; ') and said.endswith("%E4%BD%A0"), head)
    link = b.ask("POST", "/api/v1/s3/presign", {**ask, "method": "PUT", "key": "\u4f60/+&=?#%"})[2]
    status, _, text = get(c, link["url"], "PUT", b"by link")
    expect("a link to put", status == 200 and get(c, link["url"])[0] == 403, text)
    link = b.ask("POST", "/api/v1/s3/presign", {**ask, "key": "\u4f60/+&=?#%"})[2]
    expect("... whatever the key is", get(c, link["url"])[2] == b"by link", link)
    for field, value in (("expires_s", 604801), ("expires_s", 0), ("expires_s", "x"), ("key", ""),
                         ("bucket", None), ("method", "DELETE"), ("download_as", "a\nb"),
                         ("key", "x" * 1025), ("else", 1)):
        status, _, answer = b.ask("POST", "/api/v1/s3/presign", {**ask, field: value})
        expect(f"not with {field} {str(value)[:10]!r}", status == 400
               and answer["error"]["param"] == field, answer)
    expect("a viewer makes links to get", viewer.ask("POST", "/api/v1/s3/presign", ask)[0] == 200
           and viewer.ask("POST", "/api/v1/s3/presign", {**ask, "method": "PUT"})[0] == 403)
    expect("nobody makes none", Browser(c).ask("POST", "/api/v1/s3/presign", ask)[0] == 401)
    link = b.ask("POST", "/api/v1/s3/presign", ask)[2]
    me = b.ask("GET", "/api/v1/me")[2]
    gone = key_of(c)
    short = Browser(c)
    short.sign_in(key=gone["secret"])
    link = short.ask("POST", "/api/v1/s3/presign", ask)[2]
    expect("a link lives as long as its key", me["key"]["id"] != gone["id"]
           and get(c, link["url"])[0] == 200
           and c.request("DELETE", f"/api/v1/keys/{gone['id']}")[0] == 200
           and get(c, link["url"])[0] == 403)


# ---- what stays ----

def restarts(c):
    k = key_of(c)
    b, out = Browser(c), Browser(c)
    b.sign_in(key=k["secret"])
    out.sign_in(key=k["secret"])
    dead = out.cookie
    out.ask("DELETE", "/api/v1/session")
    out.cookie = dead
    c.kill("gateway")
    live_cloud.wait_until(c.is_ready, 30, "the gateway is back")
    expect("a gateway that starts anew knows sessions", b.ask("GET", "/api/v1/me")[0] == 200
           and out.ask("GET", "/v1/models")[0] == 401)
    c.kill("control")
    live_cloud.wait_until(lambda: b.ask("GET", "/api/v1/me")[0] == 200, 30, "control is back")
    expect("... and so does a control", out.ask("GET", "/api/v1/me")[0] == 401)
    c.supervisor.send_signal(signal.SIGSTOP)  # so that nobody starts it again
    c.kill("control")
    status, head, answer = Browser(c).sign_in(key=k["secret"])
    expect("without control nobody signs in, and is told so", status == 503
           and code(answer) == "control_unavailable" and "set-cookie" not in head, answer)
    expect("... who is signed in goes on", b.ask("GET", "/v1/models")[0] == 200
           and b.ask("POST", "/v1/chat/completions", CHAT)[0] == 200)
    status, _, answer = b.ask("DELETE", "/api/v1/session")
    expect("... and is not told to be signed out", status == 503
           and b.ask("GET", "/v1/models")[0] == 200, answer)
    c.supervisor.send_signal(signal.SIGCONT)
    live_cloud.wait_until(lambda: Browser(c).sign_in(key=k["secret"])[0] == 201, 30,
                          "signing in works again")


def row_of(c, sid):
    """(its entity, the number of its last change) as the store has them."""
    db = sqlite3.connect(f"file:{c.home}/state/state.db?mode=ro", uri=True, timeout=10)
    body, seq = db.execute("SELECT body, seq FROM entity WHERE kind = 'session' AND id = ?",
                           (sid,)).fetchone()
    db.close()
    return json.loads(body), seq


def renewing(c):
    k = key_of(c)
    b = Browser(c)
    s = b.sign_in(key=k["secret"])[2]
    seq = row_of(c, s["id"])[1]
    for _ in range(5):
        b.ask("GET", "/api/v1/me")
    expect("use costs no write", row_of(c, s["id"])[1] == seq)
    assert c.down() == 0
    db = sqlite3.connect(f"{c.home}/state/state.db")
    body = json.loads(db.execute("SELECT body FROM entity WHERE kind = 'session' AND id = ?",
                                 (s["id"],)).fetchone()[0])
    body["expires"] = int(time.time()) + 600  # as if it had not been used for long
    db.execute("UPDATE entity SET body = ? WHERE kind = 'session' AND id = ?",
               (json.dumps(body), s["id"]))
    db.commit()
    db.close()
    c.start()
    expect("it lives through a stop of all", b.ask("GET", "/v1/models")[0] == 200)
    live_cloud.wait_until(lambda: b.ask("GET", "/api/v1/me")[2]["expires"]
                          > time.time() + 11 * 3600, 20, "use puts the end off")
    seq = row_of(c, s["id"])[1]
    for _ in range(5):
        b.ask("GET", "/api/v1/me")
    time.sleep(0.3)
    expect("... with one write", row_of(c, s["id"])[1] == seq)


def tls(feitian):
    with cloud.Cloud(feitian, "--tls-self-signed") as c:
        r = c.up()
        expect("a cloud with TLS", r.returncode == 0, r)
        h = http.client.HTTPSConnection("127.0.0.1", c.port, timeout=60, context=
                                        ssl._create_unverified_context())
        h.request("POST", "/api/v1/session", json.dumps({"key": c.credentials()["key"]}),
                  {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"})
        r = h.getresponse()
        line = r.getheader("Set-Cookie") or ""
        r.read()
        h.close()
        expect("its cookie is for TLS alone", r.status == 201 and line.endswith("; Secure"), line)


def main():
    with live_cloud.LiveCloud(sys.argv[1]) as c:
        for part in (by_key, ends, by_password, logins, cross_site, odd_cookies, tries, objects,
                     restarts, renewing):
            print(f"---- {part.__name__}")
            part(c)
    tls(sys.argv[1])
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
