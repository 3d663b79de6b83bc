#!/usr/bin/python3
"""The commands as a user meets them: exit status, where output goes, what errors name.

usage: cli.py FEITIAN
"""
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

REF = os.environ.get("FT_REF", "../shared/ref")
MODEL = f"{REF}/models/qwen3-s-F32.gguf"
STORY = f"{REF}/stories/stories260K-F32.gguf"
results = []


def run(*args, stdin=b""):
    return subprocess.run([sys.argv[1], *args], input=stdin, capture_output=True, timeout=120)


def expect(what, ok, detail=""):
    results.append(ok)
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok else ''}")


def fails(what, status, text, *args, stdin=b""):
    """The command fails with this status, says this on standard error and nothing on output."""
    r = run(*args, stdin=stdin)
    expect(what, r.returncode == status and text in r.stderr.decode() and not r.stdout, r)


def frame():
    expect("--version prints one line", run("--version").stdout.startswith(b"feitian "))
    out = run("--help").stdout.decode()
    names = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    expect("--help lists the commands", {"eval", "tokenize", "bench", "convert"} <= set(names), out)
    expect("--help fits a terminal", max(map(len, out.splitlines())) <= 80, out)
    most = max(map(len, names))
    expect("in two columns", all(line[2 + most] == " " != line[3 + most] for line in
                                 out.splitlines() if line.startswith("  ")), out)
    for name in names:
        r = run(name, "--help")
        text = r.stdout.decode()
        expect(f"{name} --help", r.returncode == 0 and f"usage: feitian {name}" in text)
    fails("an unknown command is named", 2, "no command 'fly'", "fly")
    expect("help of a command", run("help", "eval").stdout == run("eval", "-h").stdout ==
           run("eval", "--help").stdout)
    fails("no command is a usage error", 2, "usage:")
    for args in (["--help"], ["inspect", MODEL], ["run", MODEL, "--raw", "-p", "x", "--max-tokens",
                 "2"]):
        with open("/dev/full", "wb") as full:
            r = subprocess.run([sys.argv[1], *args], stdout=full, stderr=subprocess.PIPE)
        expect(f"{args[0]} fails on a full disk",
               r.returncode == 1 and b"standard output: " in r.stderr, r)


def evaluation():
    with tempfile.TemporaryDirectory() as d:
        out = f"{d}/l.f32"
        r = run("eval", MODEL, "--tokens", "1,2,3", "--logits", out)
        size = os.path.getsize(out)
        expect("eval writes n_tokens x n_vocab floats", r.returncode == 0 and size == 3 * 320 * 4)
        for tokens, text in (("1,x", "'x'"), ("", "--tokens"), ("1,,2", "--tokens"),
                             ("-5", "'-5'"), ("320", "token 320"), ("99999999999", "--tokens")):
            fails(f"eval refuses tokens '{tokens}'", 2, text, "eval", MODEL, "--tokens", tokens,
                  "--logits", out)
        fails("eval names a missing file", 1, "no-such-model", "eval", "no-such-model.gguf",
              "--tokens", "1", "--logits", out)
        fails("eval names a bad device", 2, "--device: 'tpu'", "eval", MODEL, "--tokens", "1",
              "--logits", out, "--device", "tpu")
        fails("eval names a bad thread count", 2, "--threads: '0'", "eval", MODEL, "--tokens", "1",
              "--logits", out, "--threads", "0")
        fails("eval needs its arguments", 2, "--tokens", "eval", MODEL)
        fails("an unknown option is named, and where help is", 2, "feitian eval: unrecognized "
              "option '--bogus'\n'feitian eval --help'", "eval", MODEL, "--bogus")


def perplexity():
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"Once upon a time there was a dog named Max. Max loved to play. " * 20)
        f.flush()
        r = run("perplexity", STORY, f.name, "--ctx", "64", "--json")
        good = json.loads(r.stdout)["perplexity"]
        shuffled = subprocess.run(["shuf", "-n", "600", "-r", "-i", "33-126"], capture_output=True)
        noise = bytes(int(x) for x in shuffled.stdout.split())
        f.seek(0)
        f.write(noise)
        f.flush()
        bad = json.loads(run("perplexity", STORY, f.name, "--ctx", "64", "--json").stdout)
        expect("a story is likelier than noise", 1 < good < 20 < bad["perplexity"], (good, bad))
        f.seek(0)
        f.truncate()
        f.write(b"a b c d e f g h " * 40)
        f.flush()
        ids = json.loads(run("tokenize", STORY, "--bos", stdin=b"a b c d e f g h " * 40).stdout)
        tokens = json.loads(run("perplexity", STORY, f.name, "--ctx", "16", "--json").stdout)
        expect("the tokens that llama.cpp counts: ctx - ctx / 2 - 1 of each window",
               tokens["tokens"] == len(ids) // 16 * 7, (tokens, len(ids)))
        fails("a text shorter than a window is refused", 2, "--ctx", "perplexity", STORY, f.name,
              "--ctx", "100000")


def conversion():
    with tempfile.TemporaryDirectory() as d:
        fails("a folder that is no model says so", 1, "not a model folder: it has no config.json",
              "inspect", d)
        fails("convert into a device is refused", 2, "not a regular file", "convert", MODEL,
              "-o", "/dev/null")
        fails("convert refuses an unknown type", 2, "Q4_K_M", "convert", MODEL, "-o", f"{d}/x",
              "--type", "Q9")
        big = ["convert", "--shape", "qwen3-4b", "--type", "Q4_0", "-o", f"{d}/big.gguf"]
        with subprocess.Popen([sys.argv[1], *big]) as p:
            while p.poll() is None and not os.listdir(d):
                time.sleep(0.01)
            p.send_signal(signal.SIGTERM)
            status = p.wait(timeout=60)
        expect("an interrupted convert leaves nothing behind",
               status == -signal.SIGTERM and not os.listdir(d), (status, os.listdir(d)))


def rendering():
    with tempfile.NamedTemporaryFile() as f:
        f.write(b"{{ messages[0].content }} {{ strftime_now('%d %b %H') }}"
                b"{% if bad %}{{ raise_exception('no such thing') }}{% endif %}")
        f.flush()
        r = run("render", "--template", f.name, "--now", "2024-07-26T12:00:00",
                stdin='{"messages": [{"content": "hé"}]}'.encode())
        expect("render prints the exact text", r.stdout.decode() == "hé 26 Jul 12", r)
        fails("an exception of the template is told", 2, "no such thing", "render", "--template",
              f.name, stdin=b'{"messages": [{"content": ""}], "bad": true}')
        fails("what is no JSON is refused", 2, "standard input", "render", "--template", f.name,
              stdin=b"\xff")
    for given, field in ((b'{"foo": 1}', "messages: missing"),
                         (b'{"messages": {}}', "messages: must be an array"),
                         (b'{"messages": [{"role": "user", "content": "x"}, 1]}', "messages[1]"),
                         (b'{"messages": [{"content": "x"}]}', "messages[0].role: missing")):
        fails(f"a model's template is not given {field}", 2, field, "render", STORY, stdin=given)


def terminal_text(fd):
    """What was written to a terminal whose writers are gone."""
    said = b""
    with contextlib.suppress(OSError):  # EIO stands for its end
        while part := os.read(fd, 4096):
            said += part
    os.close(fd)
    return said.decode()


def bench():
    """It takes minutes with a large model: a terminal is told what it does, a file is not."""
    args = ["bench", STORY, "--prefill", "4", "--decode", "2", "--batch", "2", "--repeat", "1",
            "--threads", "1", "--json"]
    r = run(*args)
    expect("bench prints one JSON object, and nothing else", r.returncode == 0 and not r.stderr and
           json.loads(r.stdout)["decode_tok_s"] > 0, r)
    ours, theirs = os.openpty()
    r = subprocess.run([sys.argv[1], *args], stdout=subprocess.PIPE, stderr=theirs, timeout=120)
    os.close(theirs)
    said = terminal_text(ours)
    expect("on a terminal it says what it does", r.returncode == 0 and json.loads(r.stdout) and
           [line.split(":")[0] for line in said.splitlines()] ==
           ["loading the model ...", "prefill", "decode", "decode 2 together",
            "what this machine can do at most ..."], said)


def tokens():
    text = "Hello 世界! \x00 caf\u00e9".encode() + b"\xff\xfe"
    ids = run("tokenize", MODEL, "--ids", stdin=text)
    expect("tokenize prints one JSON array", isinstance(json.loads(ids.stdout), list))
    back = run("detokenize", MODEL, stdin=ids.stdout)
    expect("detokenize gives the bytes back", back.stdout == text, back)
    fails("detokenize names a bad id", 2, "99999", "detokenize", MODEL, stdin=b"[99999]")


def main():
    if not os.path.exists(MODEL):
        print(f"SKIPPED: no reference models in {REF}")
        return 77
    for part in (frame, evaluation, perplexity, conversion, rendering, bench, tokens):
        part()
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
