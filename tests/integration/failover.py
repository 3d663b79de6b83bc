#!/usr/bin/python3
"""A running cloud whose processes are killed: what its clients see of it.

usage: failover.py FEITIAN

- the worker is killed again and again under 32 streams, greedy and seeded: every client gets its
  whole answer, the same as in a run without kills, once;
- the gateway is killed: its worker goes on and is taken over by the next;
- control is killed, and its store moved away: chats go on, their usage is delivered later;
- at the end nothing is left running.
"""
import http.client
import os
import signal
import sys
import threading
import time

from live_cloud import LiveCloud, send_signal, wait_until

CLIENTS = 32
KILLS = 3
ROUNDS_MAX = 10
TOKENS = 900
STREAM_S = 300


def requests():
    """Of every kind whose state must survive: sampling, penalties, choices, stops, logprobs."""
    kinds = (
        {"temperature": 0},
        {"temperature": 1, "seed": 7},
        {"temperature": 0.9, "seed": 11, "top_p": 0.9, "frequency_penalty": 0.3},
        {"temperature": 0, "logprobs": True, "top_logprobs": 2},
        {"temperature": 1.1, "seed": 5, "n": 2, "max_tokens": TOKENS // 2,
         "min_tokens": TOKENS // 2},
        {"temperature": 0.8, "seed": 3, "presence_penalty": 0.5, "logit_bias": {"40": -5}},
        {"temperature": 0.7, "seed": 9, "repetition_penalty": 1.1, "top_k": 40},
        {"temperature": 1, "seed": 2, "stop": ["qzqzqz"]},
    )
    questions = ("What is feitian?", "How do I start it?", "Which licence?", "What is a ledger?")
    return [dict({"model": "nano", "max_tokens": TOKENS, "min_tokens": TOKENS,
                  "messages": [{"role": "user", "content": questions[i // 8 % 4]}],
                  "stream_options": {"include_usage": True}}, **kinds[i % 8])
            for i in range(CLIENTS)]


class Client(threading.Thread):
    """One stream: what came, and the longest time in which nothing did."""

    def __init__(self, cloud, body):
        super().__init__(daemon=True)
        self.cloud, self.body = cloud, body
        self.events = 0
        self.pause = 0.0
        self.answer = None
        self.error = None

    def run(self):
        try:
            self.answer = self.read()
        except (OSError, AssertionError, ValueError, http.client.HTTPException) as e:
            self.error = f"{type(e).__name__}: {e}"

    def read(self):
        choices, usage, last = {}, None, None
        for event in self.cloud.stream("/v1/chat/completions", self.body, STREAM_S):
            now = time.monotonic()
            if last is not None:
                self.pause = max(self.pause, now - last)
            last = now
            self.events += 1
            if event == "[DONE]":
                continue
            if "error" in event:
                raise AssertionError(f"error in the stream: {event['error']}")
            for c in event["choices"]:
                at = choices.setdefault(c["index"], {"text": "", "logprobs": [], "finish": []})
                at["text"] += c["delta"].get("content") or ""
                at["logprobs"] += (c.get("logprobs") or {}).get("content") or []
                at["finish"] += [c["finish_reason"]] if c["finish_reason"] else []
            if event.get("usage"):
                usage = event["usage"]
        return choices, usage["prompt_tokens"], usage["completion_tokens"]


def start_all(cloud):
    clients = [Client(cloud, body) for body in requests()]
    for c in clients:
        c.start()
    return clients


def join_all(clients):
    for c in clients:
        c.join(STREAM_S)
        assert not c.is_alive(), f"no end came: {c.body}"
        assert c.error is None, f"{c.error}: {c.body}"
    return [c.answer for c in clients]


def tokens_of(answers):
    return sum(a[2] for a in answers)


def check_same(got, want, bodies):
    for i, (a, b) in enumerate(zip(got, want)):
        assert a[0].keys() == b[0].keys(), bodies[i]
        for k in b[0]:
            x, y = a[0][k], b[0][k]
            same = os.path.commonprefix([x["text"], y["text"]])
            assert x["text"] == y["text"], (
                f"client {i}, choice {k}: {len(x['text'])} characters, not {len(y['text'])}; the "
                f"first {len(same)} are the same\n{bodies[i]}\n{x['text'][len(same):][:80]!r}\n"
                f"{y['text'][len(same):][:80]!r}")
            assert x["finish"] == y["finish"] and len(x["finish"]) == 1, (i, x["finish"])
            tokens = [[e["token"] for e in z["logprobs"]] for z in (x, y)]
            assert tokens[0] == tokens[1], f"client {i}: other log-probabilities"
        assert a[1:] == b[1:], f"client {i}: usage {a[1:]}, not {b[1:]}"


def ledger(cloud):
    """(requests, completion tokens) that the ledger has; None while control is away."""
    status, page = cloud.get("/v1/organization/usage/completions?bucket_width=1d&limit=7"
                             f"&start_time={int(time.time()) - 86400}")
    if status == 503:
        return None
    assert status == 200, page
    results = [r for bucket in page["data"] for r in bucket["results"]]
    return (sum(r["num_model_requests"] for r in results),
            sum(r["output_tokens"] for r in results))


def check_ledger(cloud, want, when):
    try:
        wait_until(lambda: ledger(cloud) == want, 20, "usage")
    except AssertionError:
        raise AssertionError(f"{when}: the ledger has {ledger(cloud)}, not {want}") from None


def running(cloud):
    return cloud.get("/api/v1/status")[1]["serving"]["in_flight"]


def kill_worker(cloud, clients, events, gone):
    """Once they have read so many events; False: their answers are as good as written by then."""
    wait_until(lambda: sum(c.events for c in clients) >= events and
               all(c.events > 0 for c in clients), STREAM_S, f"{events} events")
    if running(cloud) < CLIENTS // 2:
        return False
    killed = cloud.kill("worker")
    assert killed and not set(killed) & set(gone), killed
    gone += killed
    read = [c.events for c in clients]
    wait_until(lambda: all(c.events > n + 4 or not c.is_alive()
                           for c, n in zip(clients, read)), STREAM_S, "all go on")
    return True


def worker_kills(cloud, want):
    """Kills spread over the time that the answers take, each with streams open on both sides. Where
    reading is much slower than writing it takes more rounds than one."""
    total = sum(2 * TOKENS // 2 if b.get("n") else TOKENS for b in requests())
    gone, answers, pauses = [], [], []
    while len(gone) < KILLS:
        assert len(answers) < ROUNDS_MAX * CLIENTS, f"{len(gone)} kills under open streams"
        clients = start_all(cloud)
        kill = 1
        while len(gone) < KILLS and kill_worker(cloud, clients, total * kill // 10, gone):
            kill += 1
        got = join_all(clients)
        check_same(got, want, requests())
        answers += got
        pauses += [c.pause for c in clients]
    pauses.sort()
    print(f"worker killed {len(gone)} times under {CLIENTS} streams: all whole; longest pause "
          f"{pauses[-1]:.2f} s, median {pauses[len(pauses) // 2]:.2f} s")
    return answers


def worker_stops_by_itself(cloud, want):
    """A worker that hangs, rather than dying, is found out too."""
    clients = start_all(cloud)
    wait_until(lambda: sum(c.events for c in clients) >= 1000, STREAM_S, "1000 events")
    for pid in cloud.pids("worker"):
        send_signal(pid, signal.SIGSTOP)
    got = join_all(clients)
    check_same(got, want, requests())
    print(f"worker stopped under {CLIENTS} streams: longest pause "
          f"{max(c.pause for c in clients):.2f} s")
    return got


def ask(cloud):
    status, answer = cloud.post("/v1/chat/completions", {
        "model": "nano", "temperature": 0,
        "messages": [{"role": "user", "content": "What is it?"}]})
    assert status == 200, answer
    return answer["usage"]["completion_tokens"]


def open_streams(cloud):
    """Streams that are being written while they are read."""
    for _ in range(ROUNDS_MAX):
        clients = start_all(cloud)
        wait_until(lambda: sum(c.events for c in clients) >= 500, STREAM_S, "500 events")
        if running(cloud) >= CLIENTS // 2:
            return clients
        join_all(clients)
    raise AssertionError("all was written before 500 events were read")


def gateway_killed(cloud, want):
    workers = cloud.pids("worker")
    clients = open_streams(cloud)
    begun = time.monotonic()
    assert cloud.kill("gateway")
    for c, w in zip(clients, want):
        c.join(STREAM_S)
        if c.error is None:  # written whole by then
            check_same([c.answer], [w], [c.body])
    assert any(c.error is not None for c in clients), "all streams survived their gateway"
    wait_until(cloud.is_ready, 30, "a gateway again")
    back = time.monotonic() - begun
    tokens = ask(cloud)
    assert tokens > 0
    assert cloud.pids("worker") == workers, "the worker was not taken over"
    # its abandoned requests are cancelled
    wait_until(lambda: running(cloud) == 0, 20, "idle")
    print(f"gateway killed under {CLIENTS} streams: the next answers after {back:.2f} s, with the "
          "same worker")


def nobody_starts(cloud):
    """What is killed stays away until the supervisor goes on."""
    cloud.supervisor.send_signal(signal.SIGSTOP)
    wait_until(lambda: state_of(cloud.supervisor.pid) == b"T", 20, "the supervisor stands")


def state_of(pid):
    with open(f"/proc/{pid}/stat", "rb") as f:
        return f.read().rsplit(b") ", 1)[1][:1]


def control_killed(cloud, have):
    """Chats while control dies again and again, and while its store is away."""
    n, tokens = have
    for _ in range(5):
        assert wait_until(lambda: cloud.kill("control"), 20, "control to kill")
        tokens += ask(cloud)
        n += 1
    check_ledger(cloud, (n, tokens), "after control was killed")

    state, away = os.path.join(cloud.home, "state"), os.path.join(cloud.home, "away")
    nobody_starts(cloud)
    cloud.kill("control")
    os.rename(state, away)
    with open(state, "w", encoding="utf-8") as f:  # so that no new one can be made
        f.write("not a folder")
    cloud.supervisor.send_signal(signal.SIGCONT)
    for _ in range(5):
        cloud.kill("control")
        for _ in range(4):
            tokens += ask(cloud)
            n += 1
        time.sleep(0.2)
    status, _ = cloud.get("/api/v1/keys")
    assert status == 503, f"control answers {status} without a store"
    assert cloud.kill("gateway"), "a gateway"  # and one that starts now knows its keys
    wait_until(cloud.is_ready, 30, "a gateway without control")
    tokens += ask(cloud)
    n += 1
    nobody_starts(cloud)
    cloud.kill("control")
    os.remove(state)
    os.rename(away, state)
    cloud.supervisor.send_signal(signal.SIGCONT)
    check_ledger(cloud, (n, tokens), "after the store was away")
    print("control killed, its store away: chats went on, their usage was delivered")


def check_down(cloud):
    home = cloud.home
    assert cloud.pids("worker")
    begun = time.monotonic()
    assert cloud.down() == 0
    left = cloud.processes()
    assert not left, f"left running: {left}"
    tasks = [n for n in os.listdir(os.path.join(home, "run", "tasks")) if n[0] != "."]
    assert not tasks, tasks
    dev_ino = os.stat(os.path.join(home, "run", "tasks"))
    prefix = f"feitian.{dev_ino.st_dev:x}.{dev_ino.st_ino:x}."
    groups = [d for at, names, _ in os.walk("/sys/fs/cgroup") for d in names
              if d.startswith(prefix)]
    assert not groups, groups
    print(f"down after {time.monotonic() - begun:.2f} s, nothing left")


def supervisor_killed(cloud):
    """Without its supervisor the rest ends, workers by their lease; the next start takes over."""
    cloud.start()
    ask(cloud)
    workers = cloud.pids("worker")
    cloud.supervisor.kill()
    cloud.supervisor.wait()
    wait_until(lambda: not cloud.pids("gateway") and not cloud.pids("control"), 10, "their end")
    cloud.start()
    ask(cloud)
    assert cloud.pids("worker") == workers, "the worker was not taken over"
    print("supervisor killed: its children ended, the next took the worker over")


def main():
    with LiveCloud(sys.argv[1], "--threads", "1") as cloud:
        want = join_all(start_all(cloud))
        n, tokens = CLIENTS, tokens_of(want)
        check_ledger(cloud, (n, tokens), "after a quiet run")
        print(f"{n} streams, {tokens} tokens without kills")

        answers = worker_kills(cloud, want)
        tokens += tokens_of(answers)
        n += len(answers)
        check_ledger(cloud, (n, tokens), "after workers were killed")
        tokens += tokens_of(worker_stops_by_itself(cloud, want))
        n += CLIENTS
        check_ledger(cloud, (n, tokens), "after a worker hung")

        control_killed(cloud, (n, tokens))
        gateway_killed(cloud, want)
        check_down(cloud)
        supervisor_killed(cloud)
        check_down(cloud)


if __name__ == "__main__":
    main()
