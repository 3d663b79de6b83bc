#!/usr/bin/python3
"""feitian train tokenizer: what it writes, what it says, what it refuses.

usage: train_tokenizer.py FEITIAN
"""
import json
import os
import subprocess
import sys
import tempfile

results = []
TEXT = ("飞天是一个私有的人工智能云，可以运行模型。\nFeitian is a private cloud, 2024 and on.\n"
        "你好，世界！Hello, world!\n") * 20


def run(*args, stdin=b""):
    return subprocess.run([sys.argv[1], *args], input=stdin, capture_output=True, timeout=120)


def expect(what, ok, detail=""):
    results.append(ok)
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok else ''}")


def fails(what, status, text, *args):
    r = run("train", "tokenizer", *args)
    expect(what, r.returncode == status and text in r.stderr.decode() and not r.stdout, r)


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def learn(d):
    """A folder with ChatML; the text comes back, in fewer tokens than it has characters."""
    with open(f"{d}/a.txt", "w", encoding="utf-8") as f:
        f.write(TEXT)
    with open(f"{d}/b.jsonl", "w", encoding="utf-8") as f:
        f.write(json.dumps({"messages": [{"role": "user", "content": "飞天？"},
                                         {"role": "assistant", "content": "私有的云。"}]}) + "\n")
    r = run("train", "tokenizer", "--vocab-size", "400", "-o", f"{d}/out", "--chat-template",
            "chatml", f"{d}/a.txt", f"{d}/b.jsonl")
    expect("learns", r.returncode == 0 and not r.stdout, r)
    expect("says how large it became",
           b"tokenizer.json: " in r.stderr and b"bytes each" in r.stderr, r)
    tokenizer = load(f"{d}/out/tokenizer.json")
    config = load(f"{d}/out/tokenizer_config.json")
    added = [t["content"] for t in tokenizer["added_tokens"]]
    expect("special tokens", added == ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], added)
    n = len(tokenizer["model"]["vocab"]) + len(added)
    expect("as many tokens as were asked for, or the reason",
           n == 400 or (n < 400 and b"less than the 400 asked for" in r.stderr), (n, r.stderr))
    expect("the end of a turn ends a text", config["eos_token"] == "<|im_end|>", config)
    expect("the template is there", "<|im_start|>" in config["chat_template"])
    ids = run("tokenize", f"{d}/out/tokenizer.json", stdin=TEXT.encode())
    expect("fewer tokens than characters", len(json.loads(ids.stdout)) < len(TEXT) / 2)
    expect("the text comes back",
           run("detokenize", f"{d}/out/tokenizer.json", stdin=ids.stdout).stdout == TEXT.encode())
    every = bytes(range(256))
    ids = run("tokenize", f"{d}/out/tokenizer.json", stdin=every)
    expect("so do any bytes",
           run("detokenize", f"{d}/out/tokenizer.json", stdin=ids.stdout).stdout == every)


def options(d):
    with open(f"{d}/t.jinja", "w", encoding="utf-8") as f:
        f.write("{{ messages[0].content }}")
    r = run("train", "tokenizer", "--vocab-size", "300", "-o", f"{d}/mine.json", "--special", "<s>",
            "--special", "</s>", "--bos", "<s>", "--eos", "</s>", "--pretokenizer", "llama3",
            "--chat-template", f"{d}/t.jinja", f"{d}/a.txt")
    config = load(f"{d}/tokenizer_config.json")
    expect("a file, and its neighbour", r.returncode == 0 and os.path.exists(f"{d}/mine.json"), r)
    expect("names are kept", (config["bos_token"], config["eos_token"], config["add_bos_token"]) ==
           ("<s>", "</s>", True), config)
    expect("a template of one's own", config["chat_template"] == "{{ messages[0].content }}")
    ids = json.loads(run("tokenize", f"{d}/mine.json", "--bos", stdin=b"2024").stdout)
    expect("three digits together, after the beginning", ids[0] == 298 and len(ids) <= 5, ids)


def refusals(d):
    text = f"{d}/a.txt"
    fails("what is needed is said", 2, "--vocab-size N, -o PATH and files", "-o", f"{d}/x")
    fails("a vocabulary smaller than its bytes", 2, "--vocab-size", "--vocab-size", "200", "-o",
          f"{d}/x", text)
    fails("or than bytes and special tokens", 2, "258 is not from 259", "--vocab-size", "258", "-o",
          f"{d}/x", text)
    fails("an unknown way to cut", 2, "--pretokenizer: 'x'", "--pretokenizer", "x", "--vocab-size",
          "300", "-o", f"{d}/x", text)
    fails("a name that is no special token", 2, "'</s>' is none of the special tokens", "--eos",
          "</s>", "--vocab-size", "300", "-o", f"{d}/x", text)
    fails("a file that is not there", 1, "nothing.txt", "--vocab-size", "300", "-o", f"{d}/x",
          f"{d}/nothing.txt")
    with open(f"{d}/bad.jsonl", "w", encoding="utf-8") as f:
        f.write('{"text": "fine"}\n{"text": \n')
    fails("a bad line", 2, "bad.jsonl:2: not JSON", "--vocab-size", "300", "-o", f"{d}/x",
          f"{d}/bad.jsonl")
    with open(f"{d}/bad.jinja", "w", encoding="utf-8") as f:
        f.write("{% if %}")
    fails("a template that is none", 2, "--chat-template", "--chat-template", f"{d}/bad.jinja",
          "--vocab-size", "300", "-o", f"{d}/x", text)
    expect("nothing was written", not os.path.exists(f"{d}/x/tokenizer.json"))
    r = run("train", "tokenizer", "--help")
    expect("--help", r.returncode == 0 and b"--chat-template" in r.stdout, r)
    expect("train's help names it", b"train tokenizer" in run("train", "--help").stdout)


def main():
    with tempfile.TemporaryDirectory() as d:
        for part in (learn, options, refusals):
            part(d)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
