#!/usr/bin/python3
"""`feitian run`: one answer, constrained answers, a conversation in a terminal.

usage: run.py FEITIAN
"""
import json
import os
import pty
import re
import subprocess
import sys
import tempfile

import gguf_file
from screen import Screen

REF = os.environ.get("FT_REF", "../shared/ref")
STORY = f"{REF}/stories/stories260K-F32.gguf"
TEMPLATE = (b"{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
            b"{% if add_generation_prompt %}assistant:{% endif %}")
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["name", "age"],
          "properties": {"name": {"type": "string", "maxLength": 8},
                         "age": {"type": "integer", "minimum": 0, "maximum": 99}}}
results = []


def run(*args, stdin=b""):
    return subprocess.run([sys.argv[1], "run", *args], input=stdin, capture_output=True,
                          timeout=120)


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok else ''}")


def single(chat_model, folder):
    with open(f"{REF}/stories/stories260K-dog.json") as f:
        prompt = json.load(f).get("prompt_text", "Once upon a time, there was a dog")
    greedy = run(STORY, "--raw", "--temperature", "0", "-p", prompt, "--max-tokens", "40")
    expect("greedy text is the reference's", b"named Max. Max loved to play with his toys and run "
           b"around." in greedy.stdout, greedy)
    expect("figures go to standard error", b"tokens/s" in greedy.stderr)
    seeds = [run(STORY, "--raw", "-p", "One day", "--seed", s, "--temperature", "1", "--quiet",
                 "--max-tokens", "30").stdout for s in ("1", "1", "2")]
    expect("a seed repeats, another differs", seeds[0] == seeds[1] != seeds[2], seeds)
    stopped = run(STORY, "--raw", "--temperature", "0", "-p", prompt, "--stop", "toys")
    expect("a stop string ends the answer and is not shown",
           stopped.stdout.rstrip(b"\n").endswith(b"play with his ") and b"stop" in stopped.stderr,
           stopped)
    piped = run(chat_model, "--temperature", "0", "--max-tokens", "20", stdin=b"Hello\n")
    given = run(chat_model, "--temperature", "0", "--max-tokens", "20", "-p", "Hello")
    expect("standard input is a prompt too", piped.returncode == 0 and
           piped.stdout == given.stdout, (piped, given))
    system = run(chat_model, "--temperature", "0", "--max-tokens", "20", "-p", "Hello", "--system",
                 "You are a dog named Max.")
    expect("the system message counts", system.stdout != given.stdout)
    lookup = run(chat_model, "--temperature", "0", "--max-tokens", "60", "-p", "Hello", "--lookup",
                 "4")
    plain = run(chat_model, "--temperature", "0", "--max-tokens", "60", "-p", "Hello")
    expect("drafting changes nothing", lookup.stdout == plain.stdout, (lookup, plain))


def constrained(chat_model, folder):
    schema = f"{folder}/schema.json"
    with open(schema, "w") as f:
        json.dump(SCHEMA, f)
    for seed in range(8):
        r = run(chat_model, "-p", "Who?", "--json-schema", schema, "--seed", str(seed),
                "--temperature", "1.5")
        try:
            v = json.loads(r.stdout)
            ok = set(v) == {"name", "age"} and len(v["name"]) <= 8 and 0 <= v["age"] <= 99
        except ValueError:
            ok = False
        expect(f"seed {seed} satisfies the schema", ok, r)
    r = run(chat_model, "-p", "x", "--regex", "[A-C]{3}-[0-9]{2}", "--seed", "1")
    expect("a regular expression is matched", re.fullmatch(rb"[A-C]{3}-[0-9]{2}\n", r.stdout), r)
    for limit, status in (("3", 1), ("100", 0)):
        r = run(chat_model, "-p", "x", "--regex", "[A-C]{3}-[0-9]{2}", "--max-tokens", limit)
        expect(f"cut after {limit} tokens: status {status}", r.returncode == status and
               (b"--max-tokens" in r.stderr) == (status == 1), r)
    with open(schema, "w") as f:
        f.write('{"type": "string", "$ref": "http://elsewhere/x.json"}')
    r = run(chat_model, "-p", "x", "--json-schema", schema)
    expect("a schema that cannot be enforced is refused", r.returncode == 2 and b"$ref" in r.stderr,
           r)


def refused(chat_model, folder):
    for args, text in ((["--temperature", "hot"], "--temperature: 'hot'"),
                       (["--top-p", "0"], "--top-p"), (["--max-tokens", "-1"], "--max-tokens"),
                       (["--seed", "x"], "--seed"), (["--logit-bias", "5"], "--logit-bias"),
                       (["--kv", "f64"], "--kv"), (["--thinking", "maybe"], "--thinking"),
                       (["--device", "abacus"], "--device"),
                       (["--regex", "(a"], "regular expression"),
                       (["--json", "--regex", "a"], "only one of"),
                       (["--logit-bias", "99999=1"], "99999")):
        r = run(chat_model, "-p", "x", *args)
        expect(f"{' '.join(args)} is refused by name",
               r.returncode == 2 and text in r.stderr.decode() and not r.stdout, r)
    r = run(STORY, "-p", "x")
    expect("without a template, --raw is named", r.returncode == 2 and b"--raw" in r.stderr, r)
    r = run(chat_model, "-p", "word " * 4000)
    expect("a prompt that is too long is refused, not cut", r.returncode != 0 and not r.stdout and
           b"prompt" in r.stderr, r)


def terminal(chat_model, folder):
    pid, fd = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.execv(sys.argv[1], [sys.argv[1], "run", chat_model, "--temperature", "0",
                               "--max-tokens", "12"])
    screen = Screen(fd)
    first = screen.until(b">>> ")
    os.write(fd, b"Hello\n")
    answer = screen.until(b"ended: ")
    screen.until(b">>> ")
    os.write(fd, b"/help\n")
    helped = screen.until(b"several lines")
    screen.until(b">>> ")
    for _ in range(3):
        os.write(fd, b"half a li\x03")
        given_up = screen.until(b">>> ", 5)
        if b">>> " not in given_up:  # a terminal drops what is being written when Ctrl-C comes
            os.write(fd, b"\x03")
            given_up += screen.until(b">>> ", 5)
    os.write(fd, b"Hello\n")
    again = screen.until(b"ended: ")
    screen.until(b">>> ")
    os.write(fd, b"/exit\n")
    screen.until(b"never", 1)
    status = os.waitpid(pid, 0)[1]
    expect("a conversation begins with a prompt", b">>> " in first, first)
    expect("it answers", b"tokens/s" in answer, answer)
    expect("Ctrl-C gives up a line, not the conversation",
           b">>> " in given_up and b"tokens/s" in again, (given_up, again))
    expect("/help helps", b"/reset" in helped, helped)
    expect("/exit leaves", status == 0, status)


def main():
    if not os.path.exists(STORY):
        print(f"SKIPPED: no reference models in {REF}")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        chat_model = f"{folder}/chat.gguf"
        meta, tensors = gguf_file.read(STORY)
        meta["tokenizer.chat_template"] = gguf_file.STRING, TEMPLATE
        gguf_file.write(chat_model, meta, tensors)
        for part in (single, constrained, refused, terminal):
            part(chat_model, folder)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
