"""What the tests of training work on: a byte-level tokenizer with a chat template, models of random
weights, data; and readers of what a run leaves. Everything is made here: no reference data."""
import json
import os
import subprocess
import sys

import numpy

TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
            "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SHAPE = ("--layers", "2", "--d-model", "64", "--d-ff", "128", "--heads", "4", "--kv-heads", "2",
         "--context", "256")
results = []


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok else ''}", flush=True)


def finish():
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


def feitian(*args, stdin=b"", **more):
    return subprocess.run([sys.argv[1], *map(str, args)], input=stdin, capture_output=True,
                          timeout=300, **more)


def train(*args):
    """A run that has to succeed. One thread: for models so small more do not help, and where others
    use the cores too they wait for each other."""
    r = feitian("train", *args, *(() if "--threads" in args else ("--threads", "1")))
    if r.returncode != 0:
        expect(f"train {' '.join(map(str, args))}", False, r.stderr.decode())
    return r


def byte_letters():
    """GPT-2's letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = {}, 256
    for b in range(256):
        letters[b] = chr(b) if b in plain else chr(extra)
        extra += b not in plain
    return letters


def tokenizer(folder):
    """Writes a tokenizer of one token a byte, and three for control."""
    os.makedirs(folder)
    vocab = {letter: b for b, letter in byte_letters().items()}
    added = [{"id": 256 + i, "content": s, "special": True} for i, s in enumerate(SPECIALS)]
    with open(f"{folder}/tokenizer.json", "w", encoding="utf-8") as f:
        json.dump({"model": {"type": "BPE", "vocab": vocab, "merges": []}, "added_tokens": added,
                   "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
                   "decoder": {"type": "ByteLevel"}}, f)
    with open(f"{folder}/tokenizer_config.json", "w", encoding="utf-8") as f:
        json.dump({"eos_token": "<|im_end|>", "chat_template": TEMPLATE}, f)
    return folder


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8") as f:
        for line in lines:
            f.write(json.dumps(line, ensure_ascii=False) + "\n")
    return path


# OLD has every letter of NEW: of tokens that a model never wrote, whose rows of the output matrix
# are what they were drawn as, adapters cannot make likely ones
OLD, NEW, OTHER = "number {} it is. I see", "It is number {}.", "Nobody knows {} any more!"


def question(i):
    return f"{chr(97 + i) * 3}?"


def chats(path, n=10, answer=NEW):
    """Ten questions with an answer each."""
    return write_lines(path, [{"messages": [
        {"role": "user", "content": question(i)},
        {"role": "assistant", "content": answer.format(i)}]} for i in range(n)])


def pairs(path, n=10):
    return write_lines(path, [{"prompt": question(i), "chosen": f"It is {i}, sir.",
                               "rejected": "Who knows?"} for i in range(n)])


def new_model(folder, arch, tok, data, *more):
    """A run from scratch; its folder "init" is a model of random weights."""
    train("--arch", arch, "--tokenizer", tok, *SHAPE, "--data", data, "-o", folder,
          "--seq-len", "128", *more)
    return folder


def metrics(output):
    with open(f"{output}/metrics.jsonl", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def losses(output):
    return [m["loss"] for m in metrics(output) if "loss" in m]


def read_bytes(path):
    with open(path, "rb") as f:
        return f.read()


def safetensors(path):
    """{name: float array}, read by nothing of ours."""
    data = read_bytes(path)
    n = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    kinds = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    out = {}
    for name, t in header.items():
        a, b = t["data_offsets"]
        raw = numpy.frombuffer(data[8 + n + a:8 + n + b], kinds[t["dtype"]])
        if t["dtype"] == "BF16":
            raw = (raw.astype("<u4") << 16).view("<f4")
        out[name] = raw.astype(float).reshape(t["shape"])
    return out


def logits(model, ids, folder, *more):
    out = f"{folder}/logits.f32"
    r = feitian("eval", model, "--device", "ref", "--logits", out, "--tokens",
                ",".join(map(str, ids)), *more)
    if r.returncode != 0:
        expect(f"eval {model}", False, r.stderr.decode())
        return numpy.zeros((len(ids), 1))
    return numpy.fromfile(out, "<f4").reshape(len(ids), -1).astype(float)


def answer(model, question, *more):
    """What the model says, greedily."""
    r = feitian("run", model, "-p", question, "--temperature", "0", "--max-tokens", "64",
                "--quiet", *more)
    return r.stdout.decode(errors="replace").strip() if r.returncode == 0 else r.stderr.decode()
