#!/usr/bin/python3
"""`feitian model add` from hubs and from this machine: what is chosen, checked, refused, and taken
up again.

usage: pull.py FEITIAN
"""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy

import gguf_file
import hub_double

NANO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/nano.gguf")
results = []


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok else ''}")


class Bench:
    """A double, an empty home, and the command in between."""

    def __init__(self, feitian, folder):
        self.feitian, self.folder = feitian, folder
        self.hub = hub_double.Double()
        self.home = f"{folder}/home"
        self.fresh()

    def fresh(self):
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(f"{self.home}/models")
        for table in (self.hub.faults, self.hub.refuse, self.hub.lists, self.hub.served,
                      self.hub.models, self.hub.endpoints):
            table.clear()
        self.hub.requests.clear()

    def start(self, *args, **env):
        return subprocess.Popen([self.feitian, "model", "add", *args], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={**os.environ, **self.hub.env(self.home), **env})

    def add(self, *args, **env):
        with self.start(*args, **env) as p:
            out, err = p.communicate(timeout=120)
        return p.returncode, out.decode(), err.decode()

    def models(self):
        return sorted(os.listdir(f"{self.home}/models"))

    def fails(self, what, status, text, *args):
        code, out, err = self.add(*args)
        expect(what, code == status and text in err and not out and not self.hub.models and
               not [m for m in self.models() if m != ".pull"], (code, out, err, self.models()))


def data_of(path):
    with open(path, "rb") as f:
        return f.read()


def whole(b, nano):
    b.hub.repos["org/one"] = {"README.md": b"hello", "one-Q8_0.gguf": nano}
    code, out, err = b.add("hf:org/one")
    path = f"{b.home}/models/one-Q8_0.gguf"
    expect("one GGUF file is fetched", code == 0 and data_of(path) == nano and
           b.models() == ["one-Q8_0.gguf"], (code, out, err, b.models()))
    entry = b.hub.models.get("one-Q8_0", {})
    expect("it is registered with the hub's hash", entry.get("path") == path and
           len(entry.get("sha256", "")) == 64, b.hub.models)
    expect("an endpoint is made of it", b.hub.endpoints.get("one-Q8_0", {}).get("targets") ==
           [{"model": "one-Q8_0"}] and "feitian chat one-Q8_0" in out, (b.hub.endpoints, out))
    expect("the commit is asked for, not the branch",
           any(hub_double.COMMIT in r[0] for r in b.hub.requests), b.hub.requests)
    before = dict(b.hub.served)
    code, out, err = b.add("hf:org/one")
    expect("a second time nothing is fetched", code == 0 and "already" in out and
           b.hub.served == before, (code, out, err))
    b.fresh()
    code, out, err = b.add("ms:org/one:Q8", "--name", "mine", "--no-endpoint", "--json")
    expect("ModelScope, a part of a name, a name of one's own", code == 0 and
           json.loads(out)["name"] == "mine" and data_of(f"{b.home}/models/mine.gguf") == nano and
           not b.hub.endpoints, (code, out, err))
    b.fresh()
    code, out, err = b.add("hf:org/one", HF_TOKEN="secret")
    sent = [r[2].get("Authorization") for r in b.hub.requests if "/resolve/" in r[0]]
    expect("HF_TOKEN is sent", code == 0 and sent == ["Bearer secret"], (err, sent))


def chosen(b, nano):
    b.hub.repos["org/many"] = {f"m-{q}.gguf": nano for q in ("F16", "Q4_K_M", "Q8_0", "Q4_K_S")}
    b.hub.repos["org/many"]["mmproj-F16.gguf"] = b"not a text model"
    code, out, err = b.add("hf:org/many")
    expect("of several, Q4_K_M", code == 0 and b.models() == ["m-Q4_K_M.gguf"], (err, b.models()))
    b.fresh()
    code, out, err = b.add("hf:org/many:q8_0")
    expect("a hint in small letters", code == 0 and b.models() == ["m-Q8_0.gguf"], err)
    b.fresh()
    b.fails("an unclear hint lists what there is", 2, "m-Q4_K_S.gguf", "hf:org/many:Q4_K")
    b.fails("a hint for nothing says so", 1, "no file here is called Q2_K", "hf:org/many:Q2_K")
    b.hub.repos["org/none"] = {"README.md": b"x", "pytorch_model.bin": b"y"}
    b.fails("a repository without a model says so", 2, "no .gguf file", "hf:org/none")


def folders(b, nano):
    out = f"{b.folder}/nano-hf"
    subprocess.run([b.feitian, "convert", NANO, "-o", f"{out}/"], check=True, capture_output=True)
    files = {name: data_of(f"{out}/{name}") for name in os.listdir(out)}
    extra = {"consolidated.safetensors": b"again", "images/a.png": b"png", "model.onnx": b"onnx"}
    b.hub.repos["org/folder"] = {**files, **extra}
    code, text, err = b.add("hf:org/folder")
    got = sorted(os.listdir(f"{b.home}/models/folder")) if code == 0 else []
    expect("a folder of safetensors comes with what belongs to it", code == 0 and
           set(got) <= set(files) and {"config.json", "tokenizer.json"} <= set(got) and
           b.hub.models["folder"]["path"] == f"{b.home}/models/folder", (code, err, got))
    b.fresh()
    del b.hub.repos["org/folder"]["tokenizer.json"]
    b.fails("without a tokenizer it is refused before anything is fetched", 2, "tokenizer.json",
            "hf:org/folder")
    split(b, out)


def split(b, hf_folder):
    plain = f"{b.folder}/plain.gguf"
    subprocess.run([b.feitian, "convert", NANO, "--type", "F32", "-o", plain], check=True,
                   capture_output=True)
    meta, tensors = gguf_file.read(plain)
    names, parts = list(tensors), {}
    for i, some in enumerate((names[:20], names[20:])):
        path = f"{b.folder}/big-{i + 1:05}-of-00002.gguf"
        own = dict(meta) if i == 0 else {}
        own.update({"split.no": (2, i), "split.count": (2, 2),
                    "split.tensors.count": (5, len(names))})
        gguf_file.write(path, own, {name: tensors[name] for name in some})
        parts[f"F32/{os.path.basename(path)}"] = data_of(path)
    b.hub.repos["org/split"] = parts
    code, out, err = b.add("hf:org/split")
    expect("a split model is one", code == 0 and b.models() == ["big"] and
           b.hub.models["big"]["path"].endswith("/models/big/big-00001-of-00002.gguf"),
           (code, out, err, b.models()))
    b.fresh()
    code, out, err = b.add(f"{b.folder}/big-00002-of-00002.gguf")
    expect("any part of a local one stands for all", code == 0 and
           sorted(os.listdir(f"{b.home}/models/big")) ==
           ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"], (code, out, err))
    b.fresh()
    del b.hub.repos["org/split"]["F32/big-00002-of-00002.gguf"]
    b.fails("a part that is missing is named as such", 2, "1 of its 2 parts", "hf:org/split")


def broken_off(b, nano):
    name = "one-Q8_0.gguf"
    b.hub.repos["org/one"] = {name: nano}
    for sig in (signal.SIGINT, signal.SIGKILL):
        b.fresh()
        b.hub.faults[name] = [f"hold:{len(nano) // 4}"]

        def there():
            return sum(map(os.path.getsize, glob.glob(f"{b.home}/models/.pull/*/*.partial")))
        with b.start("hf:org/one") as p:
            until = time.monotonic() + 120
            while there() < len(nano) // 8 and time.monotonic() < until:
                time.sleep(0.01)
            p.send_signal(sig)
            p.communicate(timeout=120)
        left, had = b.models(), there()
        b.hub.requests.clear()
        code, out, err = b.add("hf:org/one")
        ranges = [r[1] for r in b.hub.requests if "/resolve/" in r[0]]
        expect(f"after {sig.name} it goes on where it was", p.returncode != 0 and
               left == [".pull"] and had > 0 and code == 0 and ranges == [f"bytes={had}-"] and
               data_of(f"{b.home}/models/{name}") == nano and b.models() == [name],
               (p.returncode, left, had, code, out, err, ranges))


def troubles(b, nano):
    name = "one-Q8_0.gguf"
    b.hub.repos["org/one"] = {name: nano}
    for what, faults in (("a connection that breaks", ["cut:100000", "cut:5", "cut:700000"]),
                         ("a server that is busy", ["status:503", "status:429"]),
                         ("wrong bytes once", ["wrong"]), ("more bytes than announced, once", []),
                         ("a server that knows no ranges", ["cut:300000", "no-range"])):
        b.fresh()
        b.hub.faults[name] = list(faults)
        code, out, err = b.add("hf:org/one")
        expect(f"{what}: tried again", code == 0 and data_of(f"{b.home}/models/{name}") == nano,
               (code, err))
    b.fresh()
    b.hub.faults[name] = ["wrong"] * 9
    b.fails("wrong bytes for good: both hashes are told", 1, "SHA-256 is", "hf:org/one")
    b.fresh()
    b.hub.faults[name] = ["long"] * 9
    b.fails("more bytes than announced are refused", 1, "longer than", "hf:org/one")
    b.fresh()
    b.hub.faults[name] = ["status:404"] * 9
    b.fails("a file that is gone", 1, "there is no one-Q8_0.gguf", "hf:org/one")
    b.fresh()
    b.hub.repos["org/bad"] = {"bad.gguf": b"GGUF" + b"\xff" * 5000}
    b.fails("what is no model does not appear", 1, "no model", "hf:org/bad")
    _, _, err = b.add("hf:org/bad")
    expect("it is told by its name, not by where it was looked at", "bad.gguf" in err and
           "/.pull/" not in err, err)
    shape = f"{b.folder}/shape.gguf"
    meta = {"general.architecture": (8, b"mamba"), "general.name": (8, b"x")}
    gguf_file.write(shape, meta, {"a.weight": numpy.zeros((4, 4), "f4")})
    b.fails("an architecture that cannot be run is named", 2, "mamba", shape)
    expect("and is not kept", not glob.glob(f"{b.home}/models/.pull/*"), b.models())


def refusals(b, nano):
    b.fails("a repository that is not there", 1, "there is no org/none-such", "hf:org/none-such")
    b.hub.repos["org/shut"] = {}
    for status, words in ((401, "HF_TOKEN"), (403, "accept its terms")):
        b.hub.refuse["org/shut"] = (status, "no entry")
        b.fails(f"{status} says what to do", 2, words, "hf:org/shut")
    b.hub.refuse.clear()
    for listing in (b"{", b"[]", b'{"siblings": 3}',
                    b'{"siblings": [{"rfilename": "../x.gguf", "size": 1}]}',
                    b'{"siblings": [{"rfilename": "/etc/x.gguf", "size": 1}]}',
                    b'{"siblings": [{"rfilename": "x.gguf", "size": -1}]}'):
        b.hub.lists["org/shut"] = listing
        b.fails(f"a listing such as {listing.decode()} is refused", 1, "listing", "hf:org/shut")
    b.hub.lists.clear()
    for text in ("hf:", "hf:org", "hf:org/../x", "ms:/x/y", "hf:a/b/c", "hf:a/b@r\nx"):
        code, out, err = b.add(text)
        expect(f"{text!r} is refused as written", code == 2 and ("ORG/NAME" in err or "control" in
               err), (code, err))
    b.fails("a name that is a path is refused", 2, "name '../x'",
            NANO, "--name", "../x")
    b.fails("a path that is not there", 1, "no-such.gguf", "no-such.gguf")
    b.hub.key = "another"
    env = {"FEITIAN_API_KEY": "wrong"}
    code, out, err = b.add(NANO, **env)
    expect("a key that is not accepted: before anything is fetched", code == 2 and
           "FEITIAN_API_KEY" in err and not b.models(), (code, err))
    b.hub.key = "sk-ft-test"


def local(b, nano):
    there = f"{b.folder}/there.gguf"
    shutil.copy(NANO, there)
    code, out, err = b.add(there)
    new = f"{b.home}/models/there.gguf"
    expect("a path is linked", code == 0 and os.path.samefile(there, new) and "linked" in out,
           (code, out, err))
    code, out, err = b.add(there)
    expect("a second time it is there", code == 0 and "already" in out, (code, out, err))
    code, out, err = b.add(new)
    expect("a file in models/ is taken where it is", code == 0 and "already" in out and
           b.models() == ["there.gguf"], (code, out, err, b.models()))
    other = f"{b.folder}/sub/there.gguf"
    os.makedirs(os.path.dirname(other))
    with open(other, "wb") as f:
        f.write(nano[:-1] + b"\0")
    code, out, err = b.add(other)
    expect("another model of the same name is refused", code == 1 and "another name" in err,
           (code, out, err))
    code, out, err = b.add(other, "--name", "second")
    expect("and taken by another name", code == 0 and b.models() == ["second.gguf", "there.gguf"],
           (code, out, err))
    shm = tempfile.mkdtemp(dir="/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    if shm and os.stat(shm).st_dev != os.stat(b.home).st_dev:
        shutil.copy(NANO, f"{shm}/far.gguf")
        code, out, err = b.add(f"{shm}/far.gguf")
        again = b.add(f"{shm}/far.gguf")
        expect("from another file system it is copied", code == 0 and "linked" not in out and
               data_of(f"{b.home}/models/far.gguf") == nano and again[0] == 0 and
               "already" in again[1], (code, out, err, again))
        shutil.rmtree(shm)
    adapter = f"{b.folder}/lora"
    os.makedirs(adapter)
    for name in ("adapter_config.json", "adapter_model.safetensors", "README.md"):
        with open(f"{adapter}/{name}", "w") as f:
            f.write("{}")
    code, out, err = b.add(adapter, "--adapter-of", "there")
    expect("an adapter goes beside its model", code == 0 and
           sorted(os.listdir(f"{b.home}/adapters/lora")) ==
           ["adapter_config.json", "adapter_model.safetensors"] and
           b.hub.endpoints["lora"]["targets"] == [{"model": "there", "adapter": "lora"}],
           (code, out, err))


def main():
    nano = data_of(NANO)
    for part in (whole, chosen, folders, broken_off, troubles, refusals, local):
        with tempfile.TemporaryDirectory() as folder:
            part(Bench(os.path.abspath(sys.argv[1]), folder), nano)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
