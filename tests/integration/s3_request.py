"""Requests to S3 signed by hand (AWS Signature Version 4), so that every part of one can be
wrong."""
import datetime
import hashlib
import hmac
import http.client
import re
import urllib.parse

REGION = "us-east-1"
EMPTY = hashlib.sha256(b"").hexdigest()


def encode(text, safe="-_.~"):
    return urllib.parse.quote(text, safe=safe)


def stamp(seconds=0):
    """Now, or so many seconds from now, as signatures write it."""
    t = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return t.strftime("%Y%m%dT%H%M%SZ")


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(secret, date, text, region=REGION):
    key = f"AWS4{secret}".encode()
    for part in (date[:8], region, "s3", "aws4_request"):
        key = mac(key, part)
    return mac(key, text).hex()


def canonical(method, path, query, headers, signed, payload):
    pairs = sorted((encode(k), encode(v)) for k, v in query)
    return "\n".join([method, path, "&".join(f"{k}={v}" for k, v in pairs),
                      *(f"{n}:{' '.join(headers[n].split())}" for n in signed), "",
                      ";".join(signed), payload])


def to_sign(date, scope, request):
    return "\n".join(["AWS4-HMAC-SHA256", date, scope,
                      hashlib.sha256(request.encode()).hexdigest()])


class Caller:
    """A key as S3's clients have it, and where the cloud is."""

    def __init__(self, port, key, secret):
        self.port, self.key, self.secret = port, key, secret
        self.host = f"127.0.0.1:{port}"

    def head(self, method, path, query=(), body=b"", headers=None, date=None, host=None):
        """Signed headers of a request; path is encoded already."""
        date = date or stamp()
        h = {"host": host or self.host, "x-amz-date": date,
             "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
             **{k.lower(): v for k, v in (headers or {}).items()}}
        signed = sorted(h)
        scope = f"{date[:8]}/{REGION}/s3/aws4_request"
        request = canonical(method, path, query, h, signed, h["x-amz-content-sha256"])
        seal = signature(self.secret, date, to_sign(date, scope, request))
        h["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, "
                              f"SignedHeaders={';'.join(signed)}, Signature={seal}")
        return h

    def send(self, method, path, headers, query=(), body=b"", timeout=30):
        """(status, code of the error or "", body)"""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            c.putrequest(method, path + ("?" + urllib.parse.urlencode(query) if query else ""),
                         skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                c.putheader(name, value)
            if "content-length" not in headers and (body or method in ("PUT", "POST")):
                c.putheader("content-length", str(len(body)))
            c.endheaders(body)
            r = c.getresponse()
            text = r.read()
            return r.status, code_of(text), text
        finally:
            c.close()

    def call(self, method, path, query=(), body=b"", **more):
        return self.send(method, path, self.head(method, path, query, body, **more), query, body)

    def presigned(self, method, path, expires=60, date=None, query=()):
        """The query of a URL that says who made it."""
        date = date or stamp()
        scope = f"{date[:8]}/{REGION}/s3/aws4_request"
        q = [("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", f"{self.key}/{scope}"),
             ("X-Amz-Date", date), ("X-Amz-Expires", str(expires)), ("X-Amz-SignedHeaders", "host"),
             *query]
        request = canonical(method, path, q, {"host": self.host}, ["host"], "UNSIGNED-PAYLOAD")
        seal = signature(self.secret, date, to_sign(date, scope, request))
        return q + [("X-Amz-Signature", seal)]


def code_of(text):
    m = re.search(rb"<Code>(\w+)</Code>", text)
    return m.group(1).decode() if m else ""
