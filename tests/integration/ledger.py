#!/usr/bin/python3
"""Every request has one record with what it got, whoever is killed and when.

usage: ledger.py FEITIAN [REQUESTS]

A cloud of control and gateway, each killed with -9 at random moments and started again, under
REQUESTS (2,000) calls of a scripted endpoint and a tenth as many of nano, whose workers are killed
too. Then the store's records are held to what each client has received. Clients ask for pieces or
for all at once, some leave in the middle, some have a wrong key or name no model.
"""
import http.client
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

from cloud import free_port
from live_cloud import send_signal

FEITIAN = os.path.abspath(sys.argv[1])
REQUESTS = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
CLIENTS = 24
NANO_CLIENTS = 4
POOR_CLIENTS = 3
SEED = 11
KILLS_MAX = 200  # then a slow machine gets on with the rest
WORDS = " ".join(f"word{i}" for i in range(20)) + " "  # that many tokens
BUDGET = 500000  # nanos
RESERVED_MAX = 300 * 100 + 20 * 400  # for a request: of its bytes as tokens, and max_tokens
PRICE = {"input": 100, "cached": 50, "output": 400}  # nanos a token, as bootstrapped
SUMMED = (404, 429)  # refused before they began: added up where they are many
failed = passed = 0


def expect(what, ok, seen=""):
    global failed, passed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    passed += bool(ok)
    failed += not ok


class Process:
    """A process of the cloud that is started again whenever it dies."""

    def __init__(self, name, words, home):
        self.name, self.words, self.home = name, words, home
        self.kills = 0
        self.stopping = False
        self.lock = threading.Lock()
        self.start()
        self.thread = threading.Thread(target=self.keep, daemon=True)
        self.thread.start()

    def start(self):
        with open(f"{self.home}/{self.name}.log", "ab") as out:
            self.process = subprocess.Popen([FEITIAN, self.name, "--home", self.home, *self.words],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def keep(self):
        while not self.stopping:
            self.process.wait()
            with self.lock:
                if not self.stopping:
                    self.start()

    def kill(self):
        with self.lock:
            self.process.kill()
            self.kills += 1

    def stop(self):
        with self.lock:
            self.stopping = True
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Cloud:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="ft-")  # short: paths of sockets are
        self.home = f"{self.folder}/home"
        os.makedirs(f"{self.home}/models")
        os.makedirs(f"{self.home}/run")
        os.makedirs(f"{self.home}/state")
        shutil.copy("models/nano.gguf", f"{self.home}/models/nano.gguf")
        self.port = free_port()
        self.control = self.gateway = None

    def start(self):
        url = f"http://127.0.0.1:{self.port}"
        self.control = Process("control", ["--url", url], self.home)
        self.wait("a first key", lambda: os.path.exists(f"{self.home}/credentials.json"))
        with open(f"{self.home}/credentials.json", encoding="utf-8") as f:
            self.key = json.load(f)["key"]
        self.gateway = Process("gateway", ["--listen", f"127.0.0.1:{self.port}"], self.home)
        self.wait("the gateway", lambda: self.call("GET", "/health")[0] == 200)

    @staticmethod
    def wait(what, true, seconds=120):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if true():
                    return
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.05)
        raise RuntimeError(f"waited {seconds} s for {what}")

    def call(self, method, path, body=None, key=None, timeout=120):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        c.request(method, path, None if body is None else json.dumps(body),
                  {"Authorization": f"Bearer {key or self.key}",
                   "Content-Type": "application/json"})
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, json.loads(text) if text[:1] in (b"{", b"[") else text

    def make(self, what, body):
        status, answer = self.call("POST", f"/api/v1/{what}", body)
        if status not in (200, 201):
            raise RuntimeError(f"{what}: {status} {answer}")
        return answer

    def workers(self):
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read().decode(errors="replace").split("\0")
            except OSError:
                continue
            if words[1:2] == ["worker"] and any(self.home in w for w in words):
                found.append(int(pid))
        return found

    def close(self):
        for process in (self.gateway, self.control):
            if process is not None:
                process.stop()
        for pid in self.workers():
            send_signal(pid, signal.SIGKILL)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- what a client asks and sees ----

class Asked:
    """One request, and what came of it as far as its client knows."""

    def __init__(self, kind, model, key, project, max_tokens, stream):
        self.kind, self.model, self.key, self.project = kind, model, key, project
        self.max_tokens, self.stream = max_tokens, stream
        self.id = None      # once there was an answer's head
        self.status = None
        self.text = ""      # received
        self.usage = None
        self.whole = False  # to its end
        self.left = False   # the client did
        self.sent = False   # as far as a connection

    def body(self):
        body = {"model": self.model, "max_tokens": self.max_tokens, "temperature": 0,
                "messages": [{"role": "user", "content": "Who was the first emperor?"}],
                "stream": self.stream}
        if self.stream:
            body["stream_options"] = {"include_usage": True}
        return json.dumps(body)


def read_stream(asked, response, leave_after):
    pieces = 0
    for line in response:
        if not line.startswith(b"data: "):
            continue
        if line.startswith(b"data: [DONE]"):
            asked.whole = True
            return
        event = json.loads(line[6:])
        if "error" in event:
            return
        for choice in event.get("choices", ()):
            text = choice.get("delta", {}).get("content") or ""
            asked.text += text
            pieces += bool(text)
        if event.get("usage"):
            asked.usage = event["usage"]
        if leave_after is not None and pieces >= leave_after:
            asked.left = True
            return


def ask(port, asked, leave_after):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        c.connect()
        asked.sent = True
        c.request("POST", "/v1/chat/completions", asked.body(),
                  {"Authorization": f"Bearer {asked.key['secret']}",
                   "Content-Type": "application/json"})
        r = c.getresponse()
        asked.status, asked.id = r.status, r.getheader("x-request-id")
        if asked.stream and r.status == 200:
            read_stream(asked, r, leave_after)
        else:
            answer = json.loads(r.read())
            asked.whole = True
            if r.status == 200:
                asked.text = answer["choices"][0]["message"]["content"]
                asked.usage = answer["usage"]
    except (OSError, http.client.HTTPException, ValueError):
        pass  # its gateway was killed
    finally:
        c.close()


class Load:
    """Clients that share a number of requests to make."""

    def __init__(self, cloud, model, keys, n, clients, tokens):
        self.cloud, self.model, self.keys, self.left = cloud, model, keys, n
        self.tokens = tokens
        self.asked = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.client, args=(SEED + i,))
                        for i in range(clients)]
        for t in self.threads:
            t.start()

    def client(self, seed):
        dice = random.Random(f"{self.model} {seed}")
        while True:
            with self.lock:
                if self.left == 0:
                    return
                self.left -= 1
            key = dice.choice(self.keys)
            kind, model = "call", self.model
            if dice.random() < 0.04:
                kind, key = "wrong key", {"secret": "sk-ft-wrong", "id": "", "project": ""}
            elif dice.random() < 0.04:
                kind, model = "no model", "nowhere"
            stream = dice.random() < 0.7
            asked = Asked(kind, model, key, key["project"], dice.randint(*self.tokens), stream)
            leave = dice.randint(1, 8) if stream and dice.random() < 0.1 else None
            ask(self.cloud.port, asked, leave)
            with self.lock:
                if asked.sent:
                    self.asked.append(asked)
                else:
                    self.left += 1
            if not asked.sent:
                time.sleep(0.05)  # nobody listens for the moment

    def running(self):
        return any(t.is_alive() for t in self.threads)


def kill_at_random(cloud, loads):
    dice = random.Random(SEED)
    worker_kills = 0
    while any(load.running() for load in loads):
        time.sleep(dice.uniform(0.1, 1.2))
        if cloud.gateway.kills + cloud.control.kills > KILLS_MAX:
            continue
        victim = dice.choice(("gateway", "control", "worker", "both"))
        if victim in ("gateway", "both"):
            cloud.gateway.kill()
        if victim in ("control", "both"):
            cloud.control.kill()
        for pid in cloud.workers() if victim == "worker" else ():
            send_signal(pid, signal.SIGKILL)
            worker_kills += 1
    return worker_kills


# ---- the reckoning ----

COLUMNS = ("id", "project", "api_key", "model", "route", "status", "http", "requests",
           "prompt_tokens", "cached_tokens", "completion_tokens", "cost_nanos", "at_s")


def read_store(cloud):
    db = sqlite3.connect(f"file:{cloud.home}/state/state.db?mode=ro", uri=True)
    rows = [dict(zip(COLUMNS, row))
            for row in db.execute(f"SELECT {', '.join(COLUMNS)} FROM usage_records")]
    hours = db.execute("SELECT SUM(requests), SUM(prompt_tokens), SUM(completion_tokens), "
                       "SUM(cost_nanos) FROM usage_hours").fetchone()
    days = dict(db.execute("SELECT project, SUM(cost_nanos) FROM usage_days GROUP BY project"))
    db.close()
    return rows, hours, days


def wait_delivered(cloud):
    """Until the gateway's journal has nothing more for control."""
    pause = 0.3

    def delivered():
        nonlocal pause  # each look is a record, too: the next waits until that is delivered
        time.sleep(pause)
        pause = min(2 * pause, 10)
        status, answer = cloud.call("GET", "/api/v1/status")
        return status == 200 and answer["ledger"]["slots_used"] == 0 and \
            answer["ledger"]["pending_bytes"] == 0
    cloud.wait("the delivery of all records", delivered, 300)


def use_up(cloud, key):
    """Calls until one is refused, with nothing reserved for others."""
    asked = []
    while not asked or asked[-1].status != 429:
        asked.append(Asked("call", "echo", key, key["project"], 20, False))
        ask(cloud.port, asked[-1], None)
        assert len(asked) < 1000, asked[-1].status
    return asked


def check_one(a, r):
    """What is wrong with the record r of a request, or None."""
    if r["requests"] != 1:
        return "is a sum"
    if (r["project"], r["api_key"], r["model"]) != (a.project, a.key["id"], a.model):
        return "names someone else"
    cost = ((r["prompt_tokens"] - r["cached_tokens"]) * PRICE["input"]
            + r["cached_tokens"] * PRICE["cached"] + r["completion_tokens"] * PRICE["output"])
    if r["cost_nanos"] != cost:
        return f"costs {r['cost_nanos']}, not {cost}"
    if r["completion_tokens"] > a.max_tokens:
        return "has more tokens than may be"
    words = len(a.text.split())
    if a.model == "echo" and not WORDS.startswith(a.text):
        return f"is of a broken answer: {a.text}"
    if a.model == "echo" and r["completion_tokens"] < words:
        return f"has {r['completion_tokens']} tokens, {words} were received"
    if r["status"] == "lost" and not a.stream and r["completion_tokens"] != 0:
        return f"has {r['completion_tokens']} tokens of an answer that never came"
    if a.whole and a.usage:
        if r["status"] != "ok" or r["http"] != 200:
            return f"is {r['status']} {r['http']}, the client had all of it"
        if (r["prompt_tokens"], r["completion_tokens"]) != (a.usage["prompt_tokens"],
                                                            a.usage["completion_tokens"]):
            return f"has other tokens than the answer's usage {a.usage}"
        if a.model == "echo" and r["completion_tokens"] != words:
            return f"has {r['completion_tokens']} tokens, {words} were received"
    return None


def check_refused(rows, asked):
    """The project whose budget is soon used up: by one reservation at most, whoever was killed."""
    cut = sum(a.id is None for a in asked)
    for status in SUMMED:
        told = sum(a.status == status for a in asked)
        counted = sum(r["requests"] for r in rows if r["http"] == status)
        expect(f"requests refused with {status} are counted: {told} <= {counted} <= {told + cut}",
               told <= counted <= told + cut and told > 0)
    poor = [a.project for a in asked if a.status == 429]
    cost = {}  # by day, which is over at midnight, UTC
    for r in rows:
        if r["project"] in poor[:1]:
            cost[r["at_s"] // 86400] = cost.get(r["at_s"] // 86400, 0) + r["cost_nanos"]
    least = BUDGET - RESERVED_MAX  # a reservation may refuse a call before all of it is spent
    expect(f"a budget of {BUDGET} is not passed by more than a reservation: {cost}",
           least <= sum(cost.values()) and all(c < BUDGET + RESERVED_MAX for c in cost.values()) and
           len(set(poor)) == 1)


def reckon(cloud, asked):
    rows, hours, days = read_store(cloud)
    by_id = {r["id"]: r for r in rows}
    expect("no id twice", len(by_id) == len(rows))
    missing, wrong, seen = [], [], set()
    tokens_seen = tokens_told = whole = 0
    sums_due = 0
    for a in asked:
        if a.status in SUMMED:
            continue
        if a.kind == "wrong key":
            sums_due += a.status == 401
            continue
        if a.id is None:
            continue
        r = by_id.get(a.id)
        seen.add(a.id)
        if r is None:
            missing.append((a.id, a.kind, a.status, a.whole))
            continue
        why = check_one(a, r)
        if why:
            wrong.append((a.id, why, r, vars(a)))
        if a.whole and a.usage:
            whole += 1
            tokens_seen += a.usage["completion_tokens"]
            tokens_told += r["completion_tokens"]
    expect("every request that was answered has its record", not missing, missing[:5])
    expect("every record says what its client received", not wrong, wrong[:5])
    expect(f"the sum over {whole} whole answers is the same: {tokens_seen} tokens",
           tokens_seen == tokens_told, tokens_told)
    unknown = [r for r in rows
               if r["id"] not in seen and r["api_key"] != "" and r["http"] not in SUMMED
               and r["route"] not in ("admin", "usage")]  # the test's own questions
    unanswered = sum(a.id is None and a.kind != "wrong key" for a in asked)
    expect(f"records without an answer ({len(unknown)}) are of requests without one ({unanswered})",
           len(unknown) <= unanswered, unknown[:3])
    sums = sum(r["requests"] for r in rows if r["api_key"] == "")
    wrong_sent = sum(a.kind == "wrong key" for a in asked)
    expect(f"wrong keys are counted: {sums_due} <= {sums} <= {wrong_sent}",
           sums_due <= sums <= wrong_sent)
    check_refused(rows, asked)
    total = tuple(sum(r[c] for r in rows) for c in ("requests", "prompt_tokens",
                                                    "completion_tokens", "cost_nanos"))
    expect("the hours' sums are the records'", tuple(hours) == total, (hours, total))
    for project in sorted({r["project"] for r in rows} - {""}):
        cost = sum(r["cost_nanos"] for r in rows if r["project"] == project)
        expect(f"what {project} has spent is the sum of its records", days.get(project, 0) == cost,
               (days.get(project), cost))
    how = {}
    for r in rows:
        how[r["status"]] = how.get(r["status"], 0) + 1
    print(f"     {len(rows)} records: {how}")


def check_reports(cloud):
    """What the API tells is what the store holds."""
    rows, _, _ = read_store(cloud)
    start = min(r["at_s"] for r in rows) // 86400 * 86400
    status, usage = cloud.call("GET", f"/v1/organization/usage/completions?start_time={start}"
                                      "&bucket_width=1d&limit=7")
    told = sum(x["output_tokens"] for b in usage.get("data", ()) for x in b["results"])
    held = sum(r["completion_tokens"] for r in rows)
    expect("OpenAI's usage is the ledger's", status == 200 and told == held, (status, told, held))


def main():
    cloud = Cloud()
    begun = time.monotonic()
    try:
        cloud.start()
        cloud.make("endpoints", {"name": "echo",
                                 "targets": [{"script": {"text": WORDS, "tokens": 20,
                                                         "interval_ms": 3}}]})
        keys = []
        for project in ("one", "two", "three"):
            p = cloud.make("projects", {"name": project})
            for i in range(2):
                k = cloud.make("keys", {"name": f"{project}{i}", "project": p["id"]})
                keys.append({"secret": k["secret"], "id": k["id"], "project": p["id"]})
        p = cloud.make("projects", {"name": "poor", "budget": {"day": f"{BUDGET / 1e9:.9f}"}})
        k = cloud.make("keys", {"name": "poor", "project": p["id"]})
        poor = [{"secret": k["secret"], "id": k["id"], "project": p["id"]}]
        loads = [Load(cloud, "echo", keys, REQUESTS, CLIENTS, (1, 20)),
                 Load(cloud, "echo", poor, REQUESTS // 4, POOR_CLIENTS, (1, 20)),
                 Load(cloud, "nano", keys, REQUESTS // 10, NANO_CLIENTS, (4, 24))]
        worker_kills = kill_at_random(cloud, loads)
        asked = [a for load in loads for a in load.asked]
        print(f"     {len(asked)} requests in {time.monotonic() - begun:.0f} s; killed: gateway "
              f"{cloud.gateway.kills}, control {cloud.control.kills}, workers {worker_kills}")
        cloud.wait("the gateway", lambda: cloud.call("GET", "/health")[0] == 200)
        wait_delivered(cloud)
        asked += use_up(cloud, poor[0])
        wait_delivered(cloud)
        check_reports(cloud)
        cloud.close()
        reckon(cloud, asked)
    except BaseException:
        cloud.close()
        for name in ("control", "gateway"):
            if os.path.exists(f"{cloud.home}/{name}.log"):
                with open(f"{cloud.home}/{name}.log", encoding="utf-8", errors="replace") as f:
                    print(f"---- {name}\n" + "".join(f.readlines()[-30:]))
        raise
    finally:
        if failed == 0 or os.environ.get("FT_KEEP") is None:
            cloud.remove()
        else:
            print(f"kept: {cloud.folder}")
    print(f"ledger: {passed} ok, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
