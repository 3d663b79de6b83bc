#!/usr/bin/python3
"""What commands show and leave behind: checkpoints of trainings, refused jobs, rights of keys,
small budgets, long names, and where a cloud is found after a restart.

usage: cli_words.py FEITIAN
"""
import json
import os
import sys
import time
import urllib.request

import cloud

failed = 0
passed = 0
CHECKPOINT = "ft:nano:default::abcd:ckpt-step-3"


def expect(what, ok, seen=None):
    global failed, passed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    passed += bool(ok)
    failed += not ok


def checkpoints(c):
    for path, body in (("models", {"path": "models/nano.gguf"}),
                       ("endpoints", {"targets": [{"model": CHECKPOINT, "weight": 1}]})):
        call = urllib.request.Request(
            f"{c.url}/api/v1/{path}", json.dumps(dict(body, name=CHECKPOINT)).encode(),
            {"Authorization": f"Bearer {c.credentials()['key']}",
             "Content-Type": "application/json"})
        with urllib.request.urlopen(call, timeout=120) as answer:
            assert answer.status in (200, 201)
    for words in (("model", "list"), ("endpoint", "list"), ("status",), ("top", "--once")):
        name = " ".join(words)
        r = c.run(*words)
        expect(f"{name}: checkpoints are folded",
               r.returncode == 0 and CHECKPOINT not in r.stdout and
               "and 1 checkpoints of trainings" in r.stdout + r.stderr and "nano" in r.stdout, r)
        r = c.run(*words, "--all")
        expect(f"{name} --all shows them", CHECKPOINT in r.stdout and
               "checkpoints of" not in r.stdout + r.stderr, r)
    listed = [m["name"] for m in json.loads(c.run("model", "list", "--json").stdout)]
    expect("JSON has all of them", CHECKPOINT in listed, listed)
    c.run("model", "rm", CHECKPOINT, "--keep-file")


def refused_training(c):
    bad = f"{c.folder}/bad.jsonl"
    with open(bad, "w", encoding="utf-8") as f:
        f.write('{"messages": [{"role": "user", "content": "x"}]}\n')
    before = json.loads(c.run("files", "ls", "--json").stdout)
    for words in (("no-such-model", bad), ("nano", bad, "--suffix", "not allowed!"),
                  ("no-such-model", bad, "--valid", bad)):
        r = c.run("tune", "create", *words)
        after = json.loads(c.run("files", "ls", "--json").stdout)
        expect(f"tune create {words[0]} {' '.join(words[2:])}: refused, and leaves no file",
               r.returncode != 0 and len(after) == len(before), (r, after))


def keys(c):
    c.run("key", "create", "narrow", "--action", "chat", "--action", "objects.read")
    out = c.run("key", "list").stdout
    lines = out.splitlines()
    row = next(line for line in lines if " narrow " in line)
    expect("key list tells what a key may do", "ACTIONS" in lines[0] and
           "chat, objects.read" in row, out)


def small_budget(c):
    key = json.loads(c.run("key", "create", "poor", "--budget-day", "0.000001", "--json").stdout)
    say = ("chat", "nano", "-p", "Hello.", "--max-tokens", "4")
    r = c.run(*say, FEITIAN_API_KEY=key["secret"])
    until = time.monotonic() + 120
    while r.returncode == 0 and time.monotonic() < until:
        r = c.run(*say, FEITIAN_API_KEY=key["secret"])
    expect("a budget below a cent is told as it is", "budget of 0.000001 " in r.stderr, r)
    path = f"{c.folder}/batch.jsonl"
    with open(path, "w", encoding="utf-8") as f:
        for i in range(3):
            f.write(json.dumps({"custom_id": str(i), "method": "POST",
                                "url": "/v1/chat/completions",
                                "body": {"model": "nano", "max_tokens": 2, "messages": [
                                    {"role": "user", "content": "x"}]}}) + "\n")
    r = c.run("batch", "create", path, "--json", FEITIAN_API_KEY=key["secret"])
    expect("a batch of it is taken", r.returncode == 0, r)
    batch = json.loads(r.stdout)["id"]
    begun, shown = time.monotonic(), ""
    while "budget" not in shown and time.monotonic() - begun < 120:
        time.sleep(0.1)
        shown = c.run("batch", "show", batch).stdout
    print(f"     shown after {time.monotonic() - begun:.1f} s")
    expect("and says soon that it waits for a budget", "budget of the key" in shown, shown)
    c.run("batch", "cancel", batch)


def long_names(c):
    folder = f"{c.folder}/long"
    os.mkdir(folder)
    c.run("mb", "s3://long")
    for name in ("a" * 255, "b" * 254, "\u4e2d" * 85, "c" * 230):
        for size in (5, 9 << 20):
            with open(f"{folder}/{name}", "wb") as f:
                f.write(b"x" * size)
            r = c.run("cp", f"{folder}/{name}", f"s3://long/{name}")
            os.unlink(f"{folder}/{name}")
            got = c.run("cp", f"s3://long/{name}", f"{folder}/{name}")
            expect(f"{len(name.encode())} bytes of a name, {size} of a file, there and back",
                   r.returncode == got.returncode == 0 and
                   os.path.getsize(f"{folder}/{name}") == size and
                   os.listdir(folder) == [name], (r, got, os.listdir(folder)))
            os.unlink(f"{folder}/{name}")


def restart(c):
    c.run("down")
    r = c.run("up")
    expect("up without --listen is where it was", r.returncode == 0 and c.url in r.stdout and
           "as last time" in r.stdout, r)
    c.run("down")
    other = cloud.free_port()
    with open(f"{c.home}/config.json", "w", encoding="utf-8") as f:
        json.dump({"listen": f"127.0.0.1:{other}"}, f)
    r = c.run("up")
    expect("config.json says more than memory", str(other) in r.stdout and
           "as last time" not in r.stdout, r)
    c.run("down")
    os.unlink(f"{c.home}/config.json")
    with open(f"{c.home}/listen", "w", encoding="utf-8") as f:
        f.write("nonsense")
    r = c.run("up", "--listen", c.listen)
    expect("what is written there and is no address does no harm", r.returncode == 0 and
           c.url in r.stdout, r)


def main():
    with cloud.Cloud(sys.argv[1]) as c:
        r = c.up()
        assert r.returncode == 0, r
        checkpoints(c)
        refused_training(c)
        keys(c)
        small_budget(c)
        long_names(c)
        restart(c)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
