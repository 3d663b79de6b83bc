#!/usr/bin/python3
"""Twenty models in one worker whose memory holds a third of them: nobody is refused, nobody is
thrown out.

usage: many_models.py FEITIAN                      the test, on generated models
       many_models.py FEITIAN --measure FILE [N]   first token of a model that is not in memory,
                                                   beside reading its file: N copies of FILE in
                                                   turns, the page cache warm and cold
"""
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time

import numpy

import gguf_file
from worker_client import Worker

REF = os.environ.get("FT_REF", "../shared/ref")
STORY = f"{REF}/stories/stories260K-F32.gguf"
MODELS, REQUESTS, CLIENTS = 20, 160, 8
WIDTH, LAYERS = 128, 4
UINT32 = 4
results = []


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else str(detail)[:1500]}", flush=True)


def make_models(folder):
    """Random models of several megabytes with the tokenizer of the story model."""
    meta, like = gguf_file.read(STORY)
    vocabulary = like["token_embd.weight"].shape[0]
    meta = dict(meta)
    for key, value in (("embedding_length", WIDTH), ("feed_forward_length", 4 * WIDTH),
                       ("block_count", LAYERS), ("attention.head_count", 4),
                       ("attention.head_count_kv", 4), ("rope.dimension_count", WIDTH // 4)):
        meta[f"llama.{key}"] = UINT32, value
    shapes = {"token_embd.weight": (vocabulary, WIDTH), "output.weight": (vocabulary, WIDTH),
              "output_norm.weight": (WIDTH,)}
    for i in range(LAYERS):
        for name, shape in (("attn_q", (WIDTH, WIDTH)), ("attn_k", (WIDTH, WIDTH)),
                            ("attn_v", (WIDTH, WIDTH)), ("attn_output", (WIDTH, WIDTH)),
                            ("ffn_gate", (4 * WIDTH, WIDTH)), ("ffn_up", (4 * WIDTH, WIDTH)),
                            ("ffn_down", (WIDTH, 4 * WIDTH)), ("attn_norm", (WIDTH,)),
                            ("ffn_norm", (WIDTH,))):
            shapes[f"blk.{i}.{name}.weight"] = shape
    paths = []
    for m in range(MODELS):
        rng = numpy.random.default_rng(m)
        tensors = {name: numpy.ones(shape, "<f4") if len(shape) == 1 else
                   rng.standard_normal(shape, "<f4") / numpy.float32(shape[-1] ** 0.5)
                   for name, shape in shapes.items()}
        paths.append(f"{folder}/{m}.gguf")
        gguf_file.write(paths[-1], meta, tensors)
    return paths


class Client(threading.Thread):
    """Asks one model after the other, the popular ones more often, and keeps what came."""

    def __init__(self, w, seed):
        super().__init__()
        self.w, self.random, self.answers = w, random.Random(seed), []

    def run(self):
        weights = [1 / (i + 1) for i in range(MODELS)]
        for _ in range(REQUESTS // CLIENTS):
            model = self.random.choices(range(MODELS), weights)[0]
            prompt, n = self.random.choice(["One day", "The cat sat", "Max"]), 12
            status, answer, _ = self.w.post("/v1/completions", model=f"m{model}", prompt=prompt,
                                            max_tokens=n, min_tokens=n, temperature=0)
            self.answers.append((model, prompt, n, status, answer))


def test():
    if not os.path.exists(STORY):
        print("skipped: no reference data")
        return 77
    folder = tempfile.mkdtemp(prefix="ft-models-")
    paths = make_models(folder)
    total = sum(os.path.getsize(p) for p in paths)
    w = Worker(sys.argv[1], "--kv", "f32", read=[folder], memory=str(total // 3))
    try:
        for i, path in enumerate(paths):
            w.add(f"m{i}", path)
        run_clients(w)
        long_runner(w)
    finally:
        status, err = w.stop()
        shutil.rmtree(folder)
    expect("the worker ended well", status == 0 and "error" not in err, err)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


def run_clients(w):
    clients = [Client(w, seed) for seed in range(CLIENTS)]
    for c in clients:
        c.start()
    for c in clients:
        c.join()
    answers = [a for c in clients for a in c.answers]
    failed = [a for a in answers if a[3] != 200]
    expect(f"{len(answers)} requests, none failed", len(answers) == REQUESTS and not failed,
           failed[:3])
    expect("each has all of its tokens", all(
        a[4]["usage"]["completion_tokens"] == a[2] and
        a[4]["choices"][0]["finish_reason"] == "length" for a in answers if a[3] == 200))
    said = {}
    for model, prompt, _, _, answer in answers:
        said.setdefault((model, prompt), set()).add(answer["choices"][0]["text"])
    expect("a model says the same however often it was out", all(len(s) == 1 for s in
                                                                said.values()), said)
    h = w.health()
    expect("models came and went within the budget", h["unloads"] > 10 and
           h["weight_bytes"] + h["kv_bytes"] <= h["memory_bytes"], h)
    expect("nothing is left", h["running"] + h["waiting"] + h["preempted"] == 0, h)


def long_runner(w):
    """A long answer runs while all the others are asked for: it is neither cut nor changed."""
    body = {"model": "m0", "prompt": "One day", "max_tokens": 400, "min_tokens": 400,
            "temperature": 0}
    alone = w.ask("POST", "/v1/completions", body)[1]["choices"][0]["text"]
    got = []
    t = threading.Thread(target=lambda: got.append(w.ask("POST", "/v1/completions", body)))
    t.start()
    others = [w.post("/v1/completions", model=f"m{i}", prompt="Max", max_tokens=5)[0]
              for i in range(1, MODELS)]
    t.join()
    expect("a long answer among them is whole", set(others) == {200} and got[0][0] == 200 and
           got[0][1]["choices"][0]["text"] == alone, (others, got))


# ---- measuring ----

def read_ms(path, cold):
    if cold:
        evict(path)
    began = time.perf_counter()
    with open(path, "rb", buffering=0) as f:
        buffer = bytearray(8 << 20)
        while f.readinto(buffer):
            pass
    return (time.perf_counter() - began) * 1e3


def evict(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def first_token_ms(w, model):
    c = w.connection()
    began = time.perf_counter()
    c.request("POST", "/v1/completions", json.dumps(
        {"model": model, "prompt": [1, 2, 3, 4], "max_tokens": 1, "stream": True}))
    r = c.getresponse()
    r.read(20)
    ms = (time.perf_counter() - began) * 1e3
    r.read()
    c.close()
    return ms


def measure(source, n):
    w = Worker(sys.argv[1], memory=str(int(os.path.getsize(source) * 2.2)))
    paths = []
    for i in range(n):
        paths.append(f"{w.folder}/{i}.gguf")
        shutil.copy(source, paths[-1])
        w.add(f"m{i}", paths[-1])
    size = os.path.getsize(source)
    for cold in (False, True):
        out, there, read = [], [], []
        for _ in range(2):
            for i in range(n):
                read.append(read_ms(paths[i], cold))
                if cold:
                    evict(paths[i])
                out.append(first_token_ms(w, f"m{i}"))
                there.append(first_token_ms(w, f"m{i}"))
        a, b, c = (statistics.median(x[1:]) for x in (out, there, read))
        print(f"{'cold' if cold else 'warm'} pages, {size / 1e6:.0f} MB: first token {a:.0f} ms "
              f"out of memory, {b:.0f} ms in memory, reading the file {c:.0f} ms: "
              f"ratio {a / c:.2f}")
    w.stop()
    return 0


def main():
    if len(sys.argv) > 3 and sys.argv[2] == "--measure":
        return measure(sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 4)
    return test()


if __name__ == "__main__":
    sys.exit(main())
