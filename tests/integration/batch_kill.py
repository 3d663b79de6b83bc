#!/usr/bin/python3
"""Every line of a batch is answered once and billed once, whoever is killed and when.

usage: batch_kill.py FEITIAN [LINES]

A cloud of control and gateway, each killed with -9 at random moments and started again, while three
batches of LINES (600) lines run: one that completes, one that is cancelled, one whose window
ends; most lines of the last two take so long that neither is done before. Then what the output
files hold is held to the ledger, line by line.
"""
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time

from batches import Batches, jsonl, line
from control_client import expect, results
from gateway_client import Cloud, wait_until

SEED = 5
DAY_S = 600
KILLS = 24
WINDOW_S = 20
ENDED = ("completed", "failed", "expired", "cancelled")


class Killed(Cloud):
    """A cloud whose processes are killed, and started again on the same port."""

    def kill(self, what, rng):
        p = self.gateway if what == "gateway" else self.control
        p.kill()
        p.wait()
        time.sleep(rng.choice((0, 0, 0.05, 0.3)))
        if what == "gateway":
            self.start_gateway()
        else:
            self.start_control()

    def quiet(self, me, batch):
        """The batch, or None while somebody is away."""
        a = me.ask("GET", f"/v1/batches/{batch}")
        return a.json if a.status == 200 else None


def await_all(c, me, ids, rng):
    """Kills until all have ended; how often."""
    kills = {"gateway": 0, "control": 0}
    until = time.monotonic() + DAY_S
    cancelled = False
    while True:
        time.sleep(rng.uniform(0.05, 0.9))
        if sum(kills.values()) < KILLS:
            what = rng.choice(("gateway", "control"))
            c.kill(what, rng)
            kills[what] += 1
        now = [c.quiet(me, b) for b in ids]
        if not cancelled and now[1] and now[1]["request_counts"]["completed"] > 50:
            cancelled = me.ask("POST", f"/v1/batches/{ids[1]}/cancel").status == 200
        if all(b and b["status"] in ENDED for b in now):
            return now, kills
        assert time.monotonic() < until, now


def usage_of(body):
    u = body.get("usage") or {}
    return u.get("prompt_tokens", 0), u.get("completion_tokens", 0)


def check(c, me, b, n, status):
    out, err = me.lines(b["output_file_id"]), me.lines(b["error_file_id"])
    name = f"{status}:"
    expect(f"{name} it ends so", b["status"] == status, b)
    ids = [r["custom_id"] for r in out + err]
    expect(f"{name} no line is answered twice", len(ids) == len(set(ids)))
    if status != "cancelled":
        expect(f"{name} and each is", set(ids) == {f"c{i}" for i in range(n)},
               (len(ids), n))
    expect(f"{name} all that were run went well",
           all(r["response"]["status_code"] == 200 for r in out) and
           all(r["error"] and r["error"]["code"] == "batch_expired" for r in err), err[:2])
    expect(f"{name} the counts say so", b["request_counts"] ==
           {"total": n, "completed": len(out), "failed": len(err)}, b["request_counts"])
    with sqlite3.connect(f"file:{c.home}/state/state.db?mode=ro", uri=True) as db:
        rows = dict((r[0], r[1:]) for r in db.execute(
            "SELECT id, prompt_tokens, completion_tokens, cost_nanos FROM usage_records"
            " WHERE id LIKE ?", (f"{b['id']}.%",)))
    expect(f"{name} the ledger has one record of each line that was run", len(rows) == len(out),
           (len(rows), len(out)))
    wrong = []
    for r in out:
        prompt, completion = usage_of(r["response"]["body"])
        number = int(r["custom_id"][1:]) + 1
        want = (prompt, completion, (prompt * 100 + completion * 400) // 2)
        if rows.get(f"{b['id']}.{number}") != want:
            wrong.append((number, rows.get(f"{b['id']}.{number}"), want))
    expect(f"{name} with what its answer says", not wrong, wrong[:3])
    sums = [sum(v[i] for v in rows.values()) for i in range(2)]
    expect(f"{name} and the sums agree", [b["usage"]["input_tokens"], b["usage"]["output_tokens"]]
           == sums, (b["usage"], sums))
    wait_until(lambda: not os.path.exists(f"{c.home}/batches/{b['id']}"),
               f"{name} nothing of it is left behind")
    return sum(v[2] for v in rows.values())


def main(program, n):
    rng = random.Random(SEED)
    folder = tempfile.mkdtemp(prefix="feitian-kill-")
    try:
        with Killed(program, f"{folder}/home").start() as c:
            c.endpoint("s", tokens=5, interval_ms=10)
            c.endpoint("slow", tokens=5, interval_ms=150)
            c.endpoint("slower", tokens=5, interval_ms=6000)
            me = Batches(c)
            slow, slower = ({"model": m, "messages": [{"role": "user", "content": "x"}]}
                            for m in ("slow", "slower"))
            never = jsonl([line(i, slow if i < n // 3 else slower) for i in range(n)])
            ids = [me.run(jsonl([line(i) for i in range(n)]))["id"],
                   me.run(never)["id"], me.run(never, window=f"{WINDOW_S}s")["id"]]
            ended, kills = await_all(c, me, ids, rng)
            print(f"{kills['gateway']} kills of the gateway, {kills['control']} of control")
            cost = sum(check(c, me, b, n, status) for b, status in
                       zip(ended, ("completed", "cancelled", "expired")))
            files = me.ask("GET", "/v1/files?purpose=batch_output")["data"]
            named = {b[k] for b in ended for k in ("output_file_id", "error_file_id") if b[k]}
            expect("no results lie about that no batch names", {f["id"] for f in files} == named,
                   (len(files), named))
            time.sleep(1.5)  # a gateway's own records are on their way
            usage = c.ask("GET", "/api/v1/usage").json
            total = sum(float(r["cost"]) for r in usage["data"])
            expect("reports have the same sum", abs(total - cost / 1e9) < 1e-9, (total, cost))
            if not all(results):
                print(c.log()[-3000:])
                with open(f"{c.home}/control.log") as f:
                    print(f.read()[-3000:])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{sum(results)} of {len(results)} hold")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 600))
