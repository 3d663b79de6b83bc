"""Who is told of alerts: a webhook's receiver and a mail relay with TLS, on this machine."""
import email
import http.server
import json
import socket
import ssl
import subprocess
import threading
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from cloud import free_port
from live_cloud import PATIENCE_S


class Webhook:
    """Keeps what is posted: (headers, raw body, JSON). status: what it answers."""

    def __init__(self):
        self.posts = []
        self.status = 200
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posts.append((dict(self.headers.items()), raw, json.loads(raw)))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, kind):
        return [body for _, _, body in self.posts if body["kind"] == kind]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Silent:
    """Takes connections, and never answers. taken: those that came."""

    def __init__(self):
        self.taken = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        try:
            while True:
                self.taken.append(self.socket.accept()[0])
        except OSError:
            pass  # closed

    def close(self):
        self.socket.close()
        for taken in self.taken:
            taken.close()


def certificate(folder):
    """A certificate for localhost that signs itself: (certificate, key)."""
    cert, key = f"{folder}/mail.pem", f"{folder}/mail.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key,
                    "-out", cert], check=True, capture_output=True)
    return cert, key


class Mail(Controller):
    """A relay that wants STARTTLS and a password: keeps (sender, receivers, message)."""

    def __init__(self, cert, key, user, password):
        self.mails = []
        self.user, self.password = user.encode(), password.encode()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        super().__init__(self, hostname="127.0.0.1", port=free_port())

    def factory(self):
        return SMTP(self, tls_context=self.context, require_starttls=True, auth_required=True,
                    authenticator=self.check, hostname="localhost")

    def check(self, server, session, envelope, mechanism, data):
        good = (data.login, data.password) == (self.user, self.password)
        return AuthResult(success=good, handled=False)  # it says so to the client

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, message,
                           session.ssl is not None))
        return "250 taken"


def within(seconds, what, message):
    """seconds: as of live_cloud.wait_until."""
    seconds = max(seconds, PATIENCE_S)
    until = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"{message}: not within {seconds} s")
        time.sleep(0.1)
