"""A double of Hugging Face, ModelScope and a cloud's admin API, on loopback, for tests of
`feitian model add`.

Repositories are dictionaries of bytes. What goes wrong is said by `faults`: {path in the
repository: [fault, ...]}, each used for one request: "cut:N" ends the connection after N bytes,
"hold:N" sends no more than N and waits until who asked has gone, "status:N", "wrong" other bytes of
the same length, "long" more bytes than announced, "no-range" the whole file whatever was asked for.
"""
import hashlib
import http.server
import json
import threading
import urllib.parse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Double:
    def __init__(self):
        self.repos = {}  # "ORG/NAME": {path: bytes}
        self.faults = {}
        self.refuse = {}  # "ORG/NAME": (status, words)
        self.lists = {}  # "ORG/NAME": an answer in the place of the listing
        self.large = 1000  # from this size on, a file is one of LFS
        self.requests = []  # (path, range or None, headers)
        self.served = {}  # path: bytes sent
        self.models, self.endpoints = {}, {}
        self.key = "sk-ft-test"
        self.lock = threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def env(self, home):
        return {"FEITIAN_HOME": home, "FEITIAN_URL": self.url, "FEITIAN_API_KEY": self.key,
                "HF_ENDPOINT": self.url, "MODELSCOPE_ENDPOINT": self.url, "HF_TOKEN": "",
                "MODELSCOPE_API_TOKEN": "", "http_proxy": "", "HTTP_PROXY": ""}

    def fault(self, path):
        with self.lock:
            left = self.faults.get(path) or []
            return left.pop(0) if left else ""

    def handler(double):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self, status, value, **headers):
                body = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name.replace("_", "-"), text)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_GET(self):
                self.route()

            def do_POST(self):
                self.route()

            def do_DELETE(self):
                self.route()

            def route(self):
                path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
                with double.lock:
                    double.requests.append((path, self.headers.get("Range"), dict(self.headers)))
                parts = path.strip("/").split("/")
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                if path.startswith("/api/models/"):
                    self.hf_list("/".join(parts[2:4]))
                elif path.startswith("/api/v1/models/") and path.endswith("/repo/files"):
                    self.ms_list("/".join(parts[3:5]))
                elif parts[2:3] == ["resolve"]:
                    self.file("/".join(parts[:2]), "/".join(parts[4:]))
                elif parts[0] == "models" and parts[3:4] == ["resolve"]:
                    self.file("/".join(parts[1:3]), "/".join(parts[5:]))
                else:
                    self.cloud(path, parts, body)

            def refused(self, repo):
                status, words = double.refuse.get(repo, (0, ""))
                if repo not in double.repos:
                    status, words = 404, "Repository not found"
                if status:
                    self.answer(status, {"error": words}, X_Error_Message=words)
                elif double.lists.get(repo) is not None:
                    self.answer(200, double.lists[repo])
                else:
                    return False
                return True

            def hf_list(self, repo):
                if self.refused(repo):
                    return
                files = []
                for name, data in double.repos[repo].items():
                    entry = {"rfilename": name, "size": len(data),
                             "blobId": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
                    if len(data) >= double.large:
                        entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(),
                                        "size": len(data), "pointerSize": 134}
                    files.append(entry)
                self.answer(200, {"id": repo, "sha": COMMIT, "siblings": files})

            def ms_list(self, repo):
                if self.refused(repo):
                    return
                files = [{"Path": name, "Name": name.split("/")[-1], "Size": len(data),
                          "Type": "blob", "Sha256": hashlib.sha256(data).hexdigest()}
                         for name, data in double.repos[repo].items()]
                files.append({"Path": "images", "Name": "images", "Size": 0, "Type": "tree"})
                self.answer(200, {"Code": 200, "Success": True, "Data": {"Files": files}})

            def file(self, repo, name):
                data = double.repos.get(repo, {}).get(name)
                fault = double.fault(name)
                if data is None:
                    self.answer(404, {"error": "Entry not found"})
                    return
                if fault.startswith("status:"):
                    self.answer(int(fault[7:]), {"error": "not now"})
                    return
                begin, range_ = 0, self.headers.get("Range")
                if range_ and fault != "no-range":
                    begin = int(range_.split("=")[1].split("-")[0])
                self.send_response(206 if begin else 200)
                if begin:
                    self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
                body = bytes(b ^ 1 for b in data[begin:]) if fault == "wrong" else data[begin:]
                if fault == "long":
                    body += b"more"
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if fault.startswith(("cut:", "hold:")):
                    body = body[:int(fault.split(":")[1])]
                    self.close_connection = True
                try:
                    self.send_body(name, body)
                    if fault.startswith("hold:"):
                        self.rfile.read(1)
                except OSError:
                    pass  # whoever asked has gone

            def send_body(self, name, body):
                step = 1 << 20
                for at in range(0, len(body), step):
                    self.wfile.write(body[at:at + step])
                    with double.lock:
                        double.served[name] = double.served.get(name, 0) + len(body[at:at + step])

            def cloud(self, path, parts, body):
                if self.headers.get("Authorization") != f"Bearer {double.key}":
                    self.answer(401, {"error": {"message": "no such key", "param": None,
                                                "type": "invalid_request_error",
                                                "code": "invalid_api_key"}})
                    return
                store = {"models": double.models, "endpoints": double.endpoints}.get(parts[2])
                if path == "/api/v1/me":
                    self.answer(200, {"object": "me", "role": "operator"})
                elif store is not None and self.command == "POST":
                    there = body.get("name") in store
                    store.setdefault(body["name"], body)
                    self.answer(409 if there else 201, {"error": {"message": "it is there"}}
                                if there else body)
                elif store is not None and parts[3:] and parts[3] in store:
                    self.answer(200, store[parts[3]])
                else:
                    self.answer(404, {"error": {"message": f"no {path}"}})

        return Handler
