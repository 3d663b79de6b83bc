#!/usr/bin/python3
"""The commands that call a cloud: each, in words and as JSON, against a real one; and their errors.

usage: cli_cloud.py FEITIAN
"""
import fcntl
import http.client
import json
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
import urllib.request

import cloud
import peft_file
from screen import Screen

results = []
NANO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../models/nano.gguf")


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok else ''}")


def json_of(c, *args):
    r = c.run(*args, "--json")
    try:
        value = json.loads(r.stdout)
    except ValueError:
        value = None
    expect(f"{' '.join(args)} --json", r.returncode == 0 and value is not None, r)
    return value if value is not None else {}


def script(c, name, text):
    """An endpoint that answers so."""
    call = urllib.request.Request(
        f"{c.url}/api/v1/endpoints",
        json.dumps({"name": name, "targets": [{"script": {"text": text, "tokens": 100}}]}).encode(),
        {"Authorization": f"Bearer {c.credentials()['key']}", "Content-Type": "application/json"})
    with urllib.request.urlopen(call, timeout=120) as answer:
        assert answer.status == 201


def says(c, what, text, *args, status=0, **env):
    r = c.run(*args, **env)
    out = r.stdout if status == 0 else r.stderr
    expect(what, r.returncode == status and text in out, r)
    return r


def models(c):
    says(c, "model list", "nano", "model", "list")
    expect("as JSON with all fields", json_of(c, "model", "list")[0]["arch"] == "qwen3")
    nano = json_of(c, "model", "list")[0]["created"]
    while int(time.time()) <= nano:  # the dates of models are whole seconds
        time.sleep(0.1)
    says(c, "model add of a path", "feitian chat second", "model", "add", NANO, "--name", "second")
    expect("is there", {m["name"] for m in json_of(c, "model", "list")} == {"nano", "second"})
    expect("with an endpoint", {e["name"] for e in json_of(c, "endpoint", "list")} ==
           {"nano", "second"})
    r = c.run("chat", "second", "-p", "Hello", "--quiet")
    expect("and answers", r.returncode == 0 and r.stdout.strip(), (r, c.log()))
    c.run("endpoint", "create", "another", "--model", "second")
    r = c.run("chat", "-p", "Hello")
    expect("a bare chat takes the newest model, by its own name, and says which",
           r.returncode == 0 and "[second]" in r.stderr, (r, c.log()))
    says(c, "model rm of one that another endpoint uses", "endpoint 'another'", "model", "rm",
         "second", status=1)
    expect("keeps its own endpoint too", {e["name"] for e in json_of(c, "endpoint", "list")} ==
           {"nano", "second", "another"})
    c.run("endpoint", "rm", "another")
    says(c, "model rm", "second removed", "model", "rm", "second")
    expect("its file and endpoint are gone", not os.path.exists(f"{c.home}/models/second.gguf") and
           [e["name"] for e in json_of(c, "endpoint", "list")] == ["nano"])
    says(c, "rm of what is not there", "third", "model", "rm", "third", status=1)


def plain_model(c):
    """nano without its chat template."""
    folder = f"{c.folder}/plain"
    os.makedirs(folder)
    with open(NANO, "rb") as f:
        whole = f.read()
    for name in ("plain.gguf", "plain-Q8_0.gguf"):
        with open(f"{folder}/{name}", "wb") as f:
            f.write(whole.replace(b"tokenizer.chat_template", b"tokenizer.chat_templatX"))
    r = says(c, "of a folder with two models none is taken", "name a file of it", "model", "add",
             folder, status=2)
    expect("both are named", "plain.gguf" in r.stderr and "plain-Q8_0.gguf" in r.stderr, r)
    os.rename(f"{folder}/plain-Q8_0.gguf", f"{folder}/notes.txt")
    says(c, "nor one beside something else", "name a file of it: plain.gguf", "model", "add",
         folder, status=2)
    os.unlink(f"{folder}/notes.txt")
    r = says(c, "alone it is, and is named", "It is the file plain.gguf", "model", "add", folder)
    expect("what it can do is said", "no chat template" in r.stdout and "completions, embeddings"
           in r.stdout and "feitian chat" not in r.stdout, r)
    c.run("endpoint", "create", "later", "--model", "plain")
    r = c.run("chat", "-p", "Hello", "--json")
    expect("a bare chat takes the newest that can chat", r.returncode == 0 and
           json.loads(r.stdout)["model"] == "nano", (r, c.log()))
    c.run("endpoint", "rm", "later")
    says(c, "it goes", "plain removed", "model", "rm", "plain")


def adapters(c):
    folder = f"{c.folder}/lora"
    shapes = {f"model.layers.{i}.self_attn.q_proj": (192, 192) for i in range(6)}
    peft_file.write(folder, peft_file.adapter(shapes, size=1.0))
    says(c, "model add of an adapter", "feitian chat other", "model", "add", folder,
         "--adapter-of", "nano", "--name", "other")
    question = ("-p", "What is feitian?", "--temperature", "0", "--max-tokens", "20", "--quiet")
    plain, other = (c.run("chat", name, *question) for name in ("nano", "other"))
    expect("answers go through it", plain.returncode == 0 and other.returncode == 0 and
           plain.stdout != other.stdout, (plain, other, c.log()))
    says(c, "the list tells it", "adapter of nano", "model", "list")
    says(c, "a name that is another's", "called nano already", "model", "add", folder,
         "--adapter-of", "nano", "--name", "nano", status=1)
    says(c, "it can be removed", "other removed", "model", "rm", "other")
    expect("with its files", not os.path.exists(f"{c.home}/adapters/other"))


def monitoring(c):
    says(c, "events", "the gateway is up", "events")
    expect("events as JSON", json_of(c, "events", "--limit", "1")[0]["object"] == "event")
    says(c, "node list", "MEMORY LEFT", "node", "list")
    says(c, "the alerts that it begins with", "disk nearly full", "alert", "list")
    says(c, "channel create", "is not shown again", "channel", "create", "ops", "--url",
         "http://127.0.0.1:1/", "--heartbeat", "3600")
    ops, = json_of(c, "channel", "list")
    expect("channel list", ops["heartbeat_s"] == 3600 and "secret" not in ops)
    says(c, "alert create", "ttft_p95 of each endpoint > 2", "alert", "create", "slow", "--series",
         "ttft_p95", "--above", "2", "--endpoint", "*", "--channel", ops["id"], "--quiet",
         "22:00-07:00")
    slow = next(a for a in json_of(c, "alert", "list") if a["name"] == "slow")
    expect("what it is", slow["quiet"] == {"from": "22:00", "to": "07:00"} and
           slow["channels"] == [ops["id"]] and slow["labels"] == {"endpoint": "*"})
    says(c, "alert set", "ttft_p95 of each endpoint < 1", "alert", "set", slow["id"], "--below",
         "1", "--off", "--quiet", "none", "--channel", "none")
    slow = next(a for a in json_of(c, "alert", "list") if a["name"] == "slow")
    expect("what it became", (slow["enabled"], slow["quiet"], slow["channels"]) ==
           (False, None, []))
    says(c, "a threshold that is no number", "--above: 'z'", "alert", "create", "x", "--series",
         "y", "--above", "z", status=2)
    says(c, "channel test of a dead one", "was not taken", "channel", "test", ops["id"], status=1)
    says(c, "a curve that is none", "series: there is no curve 'nosuch'", "alert", "create", "x",
         "--series", "nosuch", "--above", "2", status=2)
    says(c, "no limit", "--above or --below is missing", "alert", "create", "x", "--series",
         "errors", status=2)
    says(c, "no curve", "--series is missing", "alert", "create", "x", "--above", "1", status=2)
    says(c, "a kind of event that is none", "worker_started, ", "events", "--kind", "nosuch",
         status=2)
    says(c, "a kind of event", "the gateway is up", "events", "--kind", "gateway_started")
    says(c, "no relay", "no relay is set", "channel", "relay")
    says(c, "a relay", "localhost:25 (none) from a@b.c", "channel", "relay", "--host", "localhost",
         "--port", "25", "--tls", "none", "--from", "a@b.c")
    says(c, "alert rm", "removed", "alert", "rm", slow["id"])
    says(c, "channel rm", "removed", "channel", "rm", ops["id"])


def endpoints(c):
    says(c, "endpoint create", "demo created", "endpoint", "create", "demo", "--model", "nano",
         "--min", "0", "--max", "2", "--load", "4", "--idle", "60")
    shown = next(e for e in json_of(c, "endpoint", "list") if e["name"] == "demo")
    expect("as asked", shown["replicas"] == {"min": 0, "max": 2} and shown["target_load"] == 4 and
           shown["idle_s"] == 60, shown)
    says(c, "endpoint scale", "demo changed", "endpoint", "scale", "demo", "--max", "1")
    says(c, "a canary by weights", "nano=9", "endpoint", "set", "demo", "--to", "nano=9", "--to",
         "nano=1")
    says(c, "another server", "at http://127.0.0.1:9/v1", "endpoint", "create", "far", "--url",
         "http://127.0.0.1:9/v1", "--key", "sk-secret", "--model", "gpt")
    far = next(e for e in json_of(c, "endpoint", "list") if e["name"] == "far")
    expect("its key is not shown again", far["targets"][0]["has_key"] and "sk-secret" not in
           json.dumps(far), far)
    says(c, "endpoint list", "BEHIND IT", "endpoint", "list")
    says(c, "endpoint show", "replicas   0 to 1: one for every 4 calls", "endpoint", "show", "demo")
    says(c, "with a line for each version", "FAILED", "endpoint", "show", "demo")
    says(c, "a server has no replicas", "behind it  gpt at http://127.0.0.1:9/v1\n", "endpoint",
         "show", "far")
    expect("... and none are told of", "replicas" not in c.run("endpoint", "show", "far").stdout)
    one = json_of(c, "endpoint", "show", "far")
    expect("as JSON it is the list's, and how it does", one["live"]["kind"] == "url" and
           {**far, "live": one["live"]} == one, one)
    says(c, "endpoint show of none", "nobody", "endpoint", "show", "nobody", status=1)
    says(c, "status calls it a server", "far: server http://127.0.0.1:9/v1 not asked yet, 0 running", "status")
    names = [e["name"] for e in json_of(c, "status")["serving"]["endpoints"]]
    expect("endpoints stand in the order of their names", names == sorted(names) and
           set(names) >= {"demo", "far", "nano"}, names)
    expect("their servers' keys do not stand there", "sk-secret" not in
           c.run("status", "--json").stdout)
    says(c, "a model that is not there", "no-such", "endpoint", "create", "x", "--model", "no-such",
         status=2)
    says(c, "a bad name, in words", "beginning with a letter or digit", "endpoint", "create",
         "a b", "--model", "nano", status=2)
    says(c, "a wrong weight", "no weight", "endpoint", "set", "demo", "--to", "nano=much", status=2)
    says(c, "nothing to change", "nothing to change", "endpoint", "scale", "demo", status=2)
    for options in (("--adapter", "a", "--to", "nano"), ("--key", "k"), ("--key-file", "f"),
                    ("--at-once", "3"), ("--adapter", "a", "--url", "http://127.0.0.1:9")):
        says(c, f"{options} would do nothing", f"{options[0]}: is for", "endpoint", "create", "x",
             *options, status=2)
    says(c, "endpoint of a project", "own created", "endpoint", "create", "own", "--model", "nano",
         "--project", "default")
    says(c, "is listed by what it is removed by", "own@default", "endpoint", "list")
    expect("endpoint rm --json is a list", [x["deleted"] for x in json_of(c, "endpoint", "rm",
           "own@default", "demo")] == [True, True])
    says(c, "endpoint rm", "far removed", "endpoint", "rm", "far")


def keys(c):
    r = c.run("key", "create", "ci", "--role", "developer", "--model", "na*", "--expires", "30d",
              "--rpm", "60", "--budget-month", "5.00")
    secret = r.stdout.strip()
    expect("key create prints the key alone", r.returncode == 0 and
           re.fullmatch(r"sk-ft-[0-9A-Za-z]{43}", secret) and "only now" in r.stderr, r)
    row = next(k for k in json_of(c, "key", "list") if k["name"] == "ci")
    expect("as asked", row["models"] == ["na*"] and row["limits"]["rpm"] == 60 and
           row["budget"]["month"].startswith("5") and row["expires"] > time.time() + 29 * 86400 and
           "secret" not in row, row)
    says(c, "key list", "60 requests/min", "key", "list")
    says(c, "the key works at once", "", "chat", "nano", "-p", "Hello", FEITIAN_API_KEY=secret)
    says(c, "it may not make projects", "", "project", "create", "more", status=2,
         FEITIAN_API_KEY=secret)
    blind = c.run("key", "create", "blind", "--action", "chat").stdout.strip()
    says(c, "a key that may not list models chats with the usual one", "", "chat", "-p", "Hello",
         FEITIAN_API_KEY=blind)
    other = c.run("key", "create", "blinder", "--action", "chat", "--model", "x*").stdout.strip()
    says(c, "or is told to name one", "feitian chat NAME", "chat", "-p", "Hello", status=2,
         FEITIAN_API_KEY=other)
    says(c, "key revoke", "revoked", "key", "revoke", row["id"])
    other = c.run("key", "create", "narrow", "--role", "admin").stdout.strip()
    says(c, "models are for operators, which is said first", "role admin", "model", "add",
         "/nowhere.gguf", status=2, FEITIAN_API_KEY=other)
    says(c, "and is dead at once", "FEITIAN_API_KEY", "chat", "nano", "-p", "Hello", status=2,
         FEITIAN_API_KEY=secret)
    expect("a key needs no name", json_of(c, "key", "create")["name"] == "key")
    expect("key create --json", json_of(c, "key", "create", "two")["secret"].startswith("sk-ft-"))
    for option, value in (("--expires", "soon"), ("--rpm", "many"), ("--budget-day", "-1"),
                          ("--warn", "2")):
        says(c, f"{option} {value} is refused", option, "key", "create", "x", option, value,
             status=2)
    says(c, "a role that is none", "role", "key", "create", "x", "--role", "king", status=2)


def projects(c):
    says(c, "project create", "team created", "project", "create", "Team", "--id", "team", "--rpm",
         "100", "--queue", "5", "--budget-day", "2", "--warn", "0.5,0.8", "--weight", "2")
    row = next(p for p in json_of(c, "project", "list") if p["id"] == "team")
    expect("as asked", row["limits"]["rpm"] == 100 and row["limits"]["queue"] == 5 and
           row["budget"]["warn"] == [0.5, 0.8] and row["weight"] == 2, row)
    says(c, "project set", "team changed", "project", "set", "team", "--rpm", "none", "--name", "T")
    row = next(p for p in json_of(c, "project", "list") if p["id"] == "team")
    expect("one limit went, another stayed", row["limits"].get("rpm") is None and
           row["limits"]["queue"] == 5 and row["name"] == "T", row)
    says(c, "project list", "2 USD a day", "project", "list")
    says(c, "project show", "limits     5 waiting, 2 USD a day", "project", "show", "team")
    says(c, "with what it spent", "spent      0 USD today, 0 USD this month", "project", "show",
         "team")
    expect("project show --json is the list's", json_of(c, "project", "show", "team") == row)
    says(c, "project show of none", "nobody", "project", "show", "nobody", status=1)
    c.run("key", "create", "small", "--project", "team", "--budget-month", "7")
    says(c, "keys' budgets are in it, too", "7 USD a month", "key", "list", "--project", "team")
    says(c, "member add", "added", "member", "add", "Ada", "--project", "team", "--role", "admin")
    ada = json_of(c, "member", "list")[0]
    expect("as asked", ada["role"] == "admin" and ada["project"] == "team", ada)
    says(c, "member set", "changed", "member", "set", ada["id"], "--role", "viewer")
    says(c, "member list", "viewer", "member", "list", "--project", "team")
    says(c, "member set --login", "changed", "member", "set", ada["id"], "--login", "ada")
    r = c.run("member", "password", ada["id"], stdin="a long password\n")
    expect("member password", r.returncode == 0 and "signs in as ada" in r.stdout, r)
    for text, word in (("short\n", "10 to 256"), ("", "no password"), ("\n", "no password"),
                       ("x" * 300 + "\n", "256")):
        r = c.run("member", "password", ada["id"], stdin=text)
        expect(f"a password of {len(text)} is refused", r.returncode != 0 and word in r.stderr, r)
    expect("nobody is signed in", json_of(c, "session", "list") == [])
    h = http.client.HTTPConnection("127.0.0.1", c.port, timeout=60)
    h.request("POST", "/api/v1/session", json.dumps({"login": "ada", "password":
              "a long password"}), {"Content-Type": "application/json"})
    sid = json.loads(h.getresponse().read())["id"]
    says(c, "session list", ada["id"], "session", "list", "--project", "team")
    says(c, "session end", "ended", "session", "end", sid)
    expect("nobody is signed in", json_of(c, "session", "list") == [])
    says(c, "member rm", "removed", "member", "rm", ada["id"])
    c.run("key", "create", "k", "--project", "team")
    says(c, "a project with keys is kept", "--cascade", "project", "rm", "team", status=1)
    says(c, "unless all of it is to go", "removed", "project", "rm", "team", "--cascade")
    says(c, "no such project", "team", "project", "set", "team", "--rpm", "1", status=1)


def usage(c):
    def counts():
        return u["total"]["requests"] >= 3 and u["total"]["completion_tokens"] > 0 and \
            any(r["model"] == "nano" and r["key"] for r in u["data"])
    end = time.monotonic() + 120
    u = json_of(c, "usage", "--by", "model", "--by", "key")
    while not counts() and time.monotonic() < end:  # it comes with a delay, from the journal
        time.sleep(0.2)
        u = json_of(c, "usage", "--by", "model", "--by", "key")
    expect("usage counts", counts(), u)
    r = says(c, "in words", "MODEL", "usage", "--by", "model", "--since", "1h")
    expect("with a sum", "all" in r.stdout and "COMPLETION" in r.stdout, r)
    tries = [c.run("usage", "--since", "1h") for _ in range(2)]  # an hour may end within one
    expect("up to now, not to the end of the hour",
           any(" to now\n" in r.stdout for r in tries), tries)
    first = next(k for k in json_of(c, "key", "list") if k["name"] == "first key")
    says(c, "keys have their names", f"{first['id']} (first key)", "usage", "--by", "key")
    says(c, "an unknown grouping", "--by", "usage", "--by", "mood", status=2)
    says(c, "an unclear time", "--since", "usage", "--since", "then", status=2)


def live(c):
    r = says(c, "top prints once where no terminal is", "ENDPOINT", "top")
    # a worker is asked once a second what its models take
    end = time.monotonic() + 120
    while not (taken := re.search(r"worker-0 .* [1-9][0-9.]* MiB", r.stdout)):
        if time.monotonic() > end:
            break
        time.sleep(0.2)
        r = c.run("top")
    expect("with what the models take", taken, r)
    r = says(c, "and so does status", "MiB for models", "status")
    worker = json_of(c, "status")["serving"]["workers"][0]
    expect("a worker's memory is what is resident", worker["memory_bytes"] > 1 << 20, worker)
    listed = c.run("explain")
    expect("explain leaves the admin side out", listed.returncode == 0 and "admin" not in
           listed.stdout, listed)
    expect("--all does not", "admin" in c.run("explain", "--all").stdout)
    says(c, "an empty id", "the id is empty", "explain", "", status=2)
    says(c, "a status that is none", "running, ok, cancelled", "explain", "--status", "banana",
         status=2)
    path = os.path.join(c.folder, "no-batch.jsonl")
    with open(path, "w", encoding="utf-8") as f:
        f.write('{"prompt": "x"}\n')
    says(c, "lines that are no requests", "line 1: has no custom_id", "batch", "create", path,
         status=2)
    expect("top --json", "serving" in json_of(c, "top"))
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(c.feitian, [c.feitian, "top", "--interval", "0.2"], c.env(TERM="xterm"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    screen = Screen(fd)
    text = screen.until(b"q leaves")
    expect("on a terminal it is drawn", b"\033[?1049h" in text and b"nano" in text, text)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 40, 0, 0))
    text = screen.until(b"\033[10;1H")
    expect("a smaller window is drawn anew", b"\033[10;1H" in text, text)
    os.write(fd, b"q")
    text = screen.until(b"\033[?1049l")
    expect("q leaves, and the screen is as before", b"\033[?1049l" in text and
           os.waitpid(pid, 0)[1] == 0, text)


def chat(c):
    r = c.run("chat", "-p", "What is feitian?", "--temperature", "0", "--system", "Be short.")
    expect("chat answers, figures go to standard error", r.returncode == 0 and r.stdout.strip() and
           "tokens/s" in r.stderr and "tokens/s" not in r.stdout, r)
    r = c.run("chat", "nano", stdin="Hello\n")
    expect("a question by standard input", r.returncode == 0 and r.stdout.strip(), r)
    answer = json_of(c, "chat", "-p", "Hello", "--max-tokens", "3")
    expect("its JSON has usage and how it ended", answer["finish_reason"] == "length" and
           answer["usage"]["completion_tokens"] == 3, answer)
    down = "http://127.0.0.1:1/v1"
    made = [c.run("endpoint", "create", *args) for args in (
        ("away", "--url", down), ("alias", "--model", "nano"),
        ("ft:nano:default::abcd:ckpt-step-3", "--model", "nano"))]
    r = c.run("chat", "-p", "Hello", "--max-tokens", "3")
    expect("who names no model talks to no other server, second name or checkpoint, and is told",
           all(m.returncode == 0 for m in made) and r.returncode == 0 and
           r.stderr.startswith("[nano]\n"), (made, r))
    r = c.run("chat", "-p", "Hello", "--max-tokens", "3", "--quiet")
    expect("--quiet says the answer alone", r.returncode == 0 and r.stderr == "", r)
    c.run("endpoint", "rm", "nano")
    r = c.run("chat", "-p", "Hello", "--max-tokens", "3")
    expect("without it, to its other name", "[alias]" in r.stderr, r)
    c.run("endpoint", "rm", "alias", "away", "ft:nano:default::abcd:ckpt-step-3")
    c.run("endpoint", "create", "nano", "--model", "nano")
    says(c, "a model that is not there", "no-such", "chat", "no-such", "-p", "x", status=1)
    says(c, "--thinking wants on or off", "--thinking", "chat", "--thinking", "much", status=2)
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(c.feitian, [c.feitian, "chat", "nano", "--temperature", "0"],
                  c.env(TERM="dumb"))
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    screen = Screen(fd)
    first = screen.until(b">>> ")
    os.write(fd, b"Hello\n")
    answered = screen.until(b"tokens/s") + screen.until(b">>> ")
    plain = c.run("chat", "nano", "--temperature", "0", "-p", "What is feitian?", "--quiet").stdout
    os.write(fd, b"What is feitian?\n")
    lines = screen.until(b"; stop]").decode().split("[")[0].splitlines()[1:]
    expect("an answer's lines break between words", " ".join(lines).split() == plain.split() and
           max(map(len, lines)) <= 40 < len(plain), (lines, plain))
    code = "int main(void) { return a_rather_long_name(1, 2, 3) + another; }"
    script(c, "said", f"Words that are longer than one line: \x1b[2J\n```\n{code}\n```\nThe end.")
    screen.until(b">>> ")
    os.write(fd, b"/model said\n")
    screen.until(b">>> ")
    os.write(fd, b"Go on.\n")
    said = screen.until(b"; stop]")
    expect("but code has no breaks of ours", code.encode() in said and
           b"\nline: ?[2J\r\n```" in said, said)
    expect("and the model does not steer the terminal", b"\x1b[2J" not in said, said)
    screen.until(b">>> ")
    os.write(fd, b"/model nano\n")
    screen.until(b">>> ")
    os.write(fd, b"/models\n")
    listed = screen.until(b"* nano") + screen.until(b">>> ")
    os.write(fd, b"/model none\n")
    refused = screen.until(b"no model none") + screen.until(b">>> ")
    os.write(fd, b"/hlp\n")
    unknown = screen.until(b"no command /hlp") + screen.until(b">>> ")
    expect("an unknown command is called so", b"no command /hlp; /help" in unknown, unknown)
    os.write(fd, b"/exit\n")
    screen.until(b"never", 0.5)
    status = os.waitpid(pid, 0)[1]
    expect("a conversation in the terminal", b"nano at" in first and b"tokens/s" in answered and
           b"* nano" in listed and b"no model none" in refused and status == 0,
           (first, answered, listed, refused, status))


def errors(c):
    for command in (("model", "list"), ("key", "list"), ("usage",), ("top",), ("status",)):
        says(c, f"{command[0]}: a wrong key", "FEITIAN_API_KEY", *command, status=2,
             FEITIAN_API_KEY="sk-ft-wrong")
    says(c, "no key for another address", "wants a key", "model", "list", "--cloud",
         f"http://localhost:{c.port}", status=2)
    says(c, "an address that is none", "http://", "model", "list", "--cloud", "cloud", status=2)
    says(c, "nobody there", "no answer", "model", "list", "--cloud", "http://127.0.0.1:9",
         "--api-key", "x", status=1)
    r = c.run("tune", "events", "ftjob-1", "--help")
    expect("--help may come last", r.returncode == 0 and "usage: feitian tune events" in r.stdout,
           r)
    for group in ("batch", "files", "hub", "tune", "key", "model", "endpoint", "project",
                  "member", "session"):
        both = [c.run(group, word, "--json") for word in ("ls", "list")]
        expect(f"{group} ls is {group} list", both[0].returncode == 0 and
               both[0].stdout == both[1].stdout, both)
    for command in ("model", "endpoint", "key", "project", "member", "session"):
        says(c, f"{command} without a word lists its commands", "list", command, status=2)
        r = c.run(command, "--help")
        expect(f"{command} --help", r.returncode == 0 and
               f"usage: feitian {command}" in r.stdout, r)
        for line in re.findall(r"^  (\w+) ", r.stdout, re.M):
            r = c.run(command, line, "--help")
            expect(f"{command} {line} --help", r.returncode == 0 and
                   f"usage: feitian {command} {line}" in r.stdout and "--api-key" in r.stdout, r)
            r = c.run(command, line, "--no-such-option")
            expect(f"{command} {line} names an unknown option", r.returncode == 2 and
                   "no-such-option" in r.stderr and
                   f"feitian {command} {line} --help" in r.stderr, r)


def main():
    signal.alarm(1700)
    with cloud.Cloud(sys.argv[1]) as c:
        r = c.up()
        expect("a cloud is up", r.returncode == 0, (r, c.log()))
        for part in (models, plain_model, adapters, monitoring, endpoints, keys, projects, chat,
                     usage, live, errors):
            part(c)
        ended = [json_of(c, "down") for _ in range(2)]
        expect("down --json says what was there", [x.get("was_up") for x in ended] == [True, False],
               ended)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
