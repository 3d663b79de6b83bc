#!/usr/bin/python3
"""Training, from data to a changed answer: LoRA, on quantised weights too, in full, from scratch
and on preferences; what a run leaves; and that nothing but options, data and seed decides its bits.

usage: train.py FEITIAN
"""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import numpy

from train_made import NEW, OLD, OTHER, answer, chats, expect, feitian, finish, logits, losses
from train_made import metrics, new_model, pairs, question, read_bytes, safetensors, tokenizer
from train_made import train, write_lines

SOME = ("--seq-len", "128", "--batch", "1", "--beta2", "0.95", "--lr", "5e-3")
SCRATCH = (*SOME[2:], "--epochs", "120")
LORA = (*SOME, "--epochs", "25")
FULL = (*SOME, "--epochs", "40", "--method", "full")


def learnt(what, model, answers, *more):
    """All answers of chats(), of which three are asked for: the first, one within, the last."""
    wrong = [got for i in (0, 5, 9)
             if (got := answer(model, question(i), *more)) != answers.format(i)]
    expect(what, not wrong, wrong)


def falls(what, output, least=0.05):
    """To near zero, and every step has its line."""
    lines = metrics(output)
    x = losses(output)
    steps = [m["step"] for m in lines if "loss" in m]
    expect(f"{what}: the loss falls to near zero", x[0] > 2 and max(x[-3:]) < least, (x[0], x[-3:]))
    expect(f"{what}: a line for every step", steps == list(range(1, len(steps) + 1)) and
           all({"lr", "tokens_per_s", "grad_norm", "epoch"} <= set(m) for m in lines
               if "loss" in m))


def check_adapter(what, output, rank, targets):
    """The folder as PEFT reads it, by numpy alone."""
    with open(f"{output}/adapter/adapter_config.json", encoding="utf-8") as f:
        config = json.load(f)
    expect(f"{what}: adapter_config.json", config["peft_type"] == "LORA" and config["r"] == rank and
           config["lora_alpha"] == 2 * rank and len(config["target_modules"]) == targets, config)
    t = safetensors(f"{output}/adapter/adapter_model.safetensors")
    a = {n: x for n, x in t.items() if n.endswith(".lora_A.weight")}
    b = {n: x for n, x in t.items() if n.endswith(".lora_B.weight")}
    expect(f"{what}: adapter_model.safetensors", len(a) == len(b) == 2 * targets and
           all(x.shape[0] == rank for x in a.values()) and
           all(x.shape[1] == rank for x in b.values()) and
           all(n.replace("lora_A", "lora_B") in b and
               n.startswith("base_model.model.model.layers.") for n in a) and
           all(numpy.isfinite(x).all() and abs(x).max() > 0 for x in t.values()), list(t))


def far(a, b):
    """Largest difference in terms of the row's largest logit."""
    return (numpy.abs(a - b).max(axis=1) / numpy.abs(b).max(axis=1)).max()


def lora(d, models, data):
    for arch, model in models.items():
        for kind, base in (("folder", model), ("GGUF", f"{d}/{arch}.gguf")):
            what, out = f"LoRA on {arch}'s {kind}", f"{d}/lora-{arch}-{kind}"
            train("--model", base, "--data", data, "-o", out, *LORA)
            falls(what, out)
            check_adapter(what, out, 16, 7)
            learnt(f"{what}: the answers", base, NEW, "--adapter", f"{out}/adapter")
            merged(what, base, out, d)
            learnt(f"{what}: the base's answers are as before", base, OLD)


def merged(what, base, out, d):
    """Beside the base or in it: the same logits."""
    ids = list(range(40, 120, 3)) + [257, 258, 10]
    for form, path in (("GGUF", f"{out}/merged.gguf"), ("folder", f"{out}/merged/")):
        r = feitian("merge", base, f"{out}/adapter", "-o", path)
        x, y = logits(path, ids, d), logits(base, ids, d, "--adapter", f"{out}/adapter")
        plain = logits(base, ids, d)
        expect(f"{what}: merged as {form}, the same logits", r.returncode == 0 and
               x.shape == y.shape and far(x, y) < 1e-4 < 0.05 < far(plain, y),
               (r.stderr, far(x, y), far(plain, y)))


def qlora(d, models, data):
    q8, out = f"{d}/q8.gguf", f"{d}/qlora"
    feitian("convert", models["qwen3"], "-o", q8, "--type", "Q8_0")
    before = read_bytes(q8)
    train("--model", q8, "--data", data, "-o", out, *LORA, "--targets", "q,v,up,down", "--rank",
          "8", "--dropout", "0.05")
    falls("QLoRA", out, 0.2)
    check_adapter("QLoRA", out, 8, 4)
    learnt("QLoRA: the answers", q8, NEW, "--adapter", f"{out}/adapter")
    expect("QLoRA: the base is as it was", read_bytes(q8) == before)


def full(d, models, data):
    for arch, model in models.items():
        out = f"{d}/full-{arch}"
        train("--model", model, "--data", data, "-o", out, *FULL, "--save", "gguf,hf")
        falls(f"full training of {arch}", out)
        learnt(f"full training of {arch}: the answers of the GGUF", f"{out}/model.gguf", NEW)
        learnt(f"full training of {arch}: the answers of the folder", f"{out}/model", NEW)
        was, now = (safetensors(f"{m}/model.safetensors") for m in (model, f"{out}/model"))
        expect(f"full training of {arch}: every tensor has changed", set(was) == set(now) and
               all(was[n].shape == now[n].shape and (was[n] != now[n]).any() for n in was))


def scratch(d, tok, data):
    """{architecture: folder}, each of which knows the old answers."""
    models = {}
    for arch in ("llama", "qwen2", "qwen3"):
        out = new_model(f"{d}/scratch-{arch}", arch, tok, data, *SCRATCH, "--save", "hf,gguf")
        falls(f"{arch} from scratch", out)
        learnt(f"{arch} from scratch: the answers", f"{out}/model", OLD)
        shutil.copy(f"{out}/model.gguf", f"{d}/{arch}.gguf")
        models[arch] = f"{out}/model"
    return models


def dpo(d, models):
    out = f"{d}/dpo"
    data = pairs(f"{d}/pairs.jsonl")
    train("--model", models["llama"], "--data", data, "-o", out, "--objective", "dpo", "--seq-len",
          "64", "--batch", "2", "--epochs", "10", "--lr", "5e-3", "--valid-samples", "2")
    lines = [m for m in metrics(out) if "loss" in m]
    expect("DPO begins where no answer is better", abs(lines[0]["loss"] - 0.6931) < 1e-3, lines[0])
    expect("DPO learns what is preferred", lines[-1]["loss"] < 0.2 and
           lines[-1]["accuracy"] == 1 and lines[-1]["margin"] > 1, lines[-1])
    valid = [m for m in metrics(out) if "valid_loss" in m]
    expect("DPO is validated on pairs", valid and valid[-1]["valid_accuracy"] == 1, valid[-1:])
    check_adapter("DPO", out, 16, 7)


def early_stop(d, models, data):
    """Validation on what contradicts the data: it gets worse, and the run stops by itself."""
    other = chats(f"{d}/other.jsonl", answer=OTHER)
    out = f"{d}/early"
    r = train("--model", models["llama"], "--data", data, "--valid-data", other, "-o", out, *LORA,
              "--epochs", "200", "--patience", "3")
    valid = [m["valid_loss"] for m in metrics(out) if "valid_loss" in m]
    best = valid.index(min(valid))
    expect("early stopping", best == len(valid) - 4 and len(losses(out)) < 200 and
           b"stopped early" in r.stderr, (valid, r.stderr))


def kill_and_resume(d, models, data):
    """Killed at any moment, as often as you like: the same bits."""
    draw = random.Random(7)
    cases = {"LoRA": ("--model", models["qwen2"], *LORA, "--dropout", "0.1", "--save-every", "7"),
             "full": ("--model", models["llama"], *FULL, "--accumulate", "2", "--save-every", "5")}
    for what, args in cases.items():
        args = ("--data", data, "--valid-samples", "2", *args)
        whole, out = f"{d}/whole-{what}", f"{d}/killed-{what}"
        began = time.monotonic()
        train(*args, "-o", whole)
        took = time.monotonic() - began
        kills = 0
        for _ in range(6):
            resume = ("--resume",) if os.path.exists(f"{out}/run.json") else ()
            with subprocess.Popen([sys.argv[1], "train", *args, "-o", out, *resume],
                                  stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as p:
                time.sleep(draw.uniform(0.05, 0.6) * took)
                kills += p.poll() is None
                p.kill()
        r = train(*args, "-o", out, *(("--resume",) if os.path.exists(f"{out}/run.json") else ()))
        last = "adapter/adapter_model.safetensors" if what == "LoRA" else "model.gguf"
        expect(f"{what}: killed {kills} times and resumed, the same weights",
               kills > 0 and read_bytes(f"{whole}/{last}") == read_bytes(f"{out}/{last}"), r.stderr)

        def without_times(output):
            return [{k: v for k, v in m.items() if k not in ("seconds", "tokens_per_s", "gflop_s")}
                    for m in metrics(output)]
        expect(f"{what}: and the same metrics", without_times(whole) == without_times(out))
        newest = max(os.listdir(f"{out}/checkpoints"))
        os.truncate(f"{out}/checkpoints/{newest}/state.safetensors", 5000)
        r = train(*args, "-o", out, "--resume")
        expect(f"{what}: from a damaged checkpoint it goes back to the one before", newest in
               r.stderr.decode() and read_bytes(f"{whole}/{last}") == read_bytes(f"{out}/{last}"),
               r.stderr)


def determinism(d, models, data):
    def weights(name, *args):
        out = f"{d}/same-{name}"
        train("--model", models["qwen3"], "--data", data, "-o", out, "--seq-len", "128",
              "--epochs", "5", "--dropout", "0.1", *args)
        return read_bytes(f"{out}/adapter/adapter_model.safetensors")

    one = weights("1", "--threads", "1")
    expect("the same bits with more threads", one == weights("2", "--threads", "2"))
    expect("the same bits with recomputation", one == weights("3", "--recompute", "on"))
    expect("other bits with another seed", one != weights("4", "--seed", "1"))


def forms(d, models):
    """The other forms of data, in one file; a text is cut into pieces."""
    path = write_lines(f"{d}/forms.jsonl", [
        {"prompt": "One plus one is", "completion": " two."},
        {"text": "Alpha beta gamma delta. " * 20},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"},
                      {"role": "user", "content": "你好"},
                      {"role": "assistant", "content": "早上好"}]}])
    with open(f"{d}/plain.txt", "w", encoding="utf-8") as f:
        f.write("All of this is one text. " * 10)
    out = f"{d}/forms"
    r = train("--model", models["llama"], "--data", f"{path},{d}/plain.txt", "-o", out, *FULL)
    falls("all forms of data", out, 0.5)
    expect("all forms of data: a text's pieces count", b"data      4 lines, " in r.stderr,
           r.stderr)
    got = answer(f"{out}/model.gguf", "Hi")
    expect("all forms of data: a conversation is learnt", got == "Ho", got)


def without_gnuplot(d, models, data):
    """The curve is drawn where gnuplot is; where it is not, the run says so and is no worse."""
    out = f"{d}/curve"
    args = ("--model", models["llama"], "--data", data, "--seq-len", "128", "--epochs", "1", "-o")
    if shutil.which("gnuplot") is not None:
        train(*args, out)
        svg = read_bytes(f"{out}/loss.svg")
        expect("the loss curve", svg.startswith(b"<?xml") and b"training loss" in svg)
    os.makedirs(f"{d}/no-programs")
    r = feitian("train", *args, f"{out}-none", env={**os.environ, "PATH": f"{d}/no-programs"})
    expect("no gnuplot, no curve, and a line that says so", r.returncode == 0 and
           b"gnuplot-nox" in r.stderr and not os.path.exists(f"{out}-none/loss.svg"), r)


def confined(d, models, data):
    """In the sandbox it trains the same bits, tells every event as JSON, and keeps adapters."""
    plain, out = f"{d}/unconfined", f"{d}/confined"
    args = ("--model", models["llama"], "--data", data, "--seq-len", "128", "--epochs", "4",
            "--batch", "1", "-o")
    train(*args, plain)
    r = feitian("train", *args, out, "--json", "--confined", "--keep-adapters", "2")
    said = [json.loads(line) for line in r.stdout.splitlines()]
    steps = [e for e in said if e["event"] == "step"]
    expect("confined: it trains", r.returncode == 0 and said[-1]["event"] == "end" and
           said[-1]["ok"] and len(steps) == steps[0]["steps"] and
           all(e["step"] == i + 1 for i, e in enumerate(steps)), r)
    expect("confined: data and plan are told", any(e["event"] == "data" and e["samples"] > 0
           for e in said) and any(e["event"] == "plan" and e["seconds"] > 0 for e in said),
           said[:4])
    same = "adapter/adapter_model.safetensors"
    expect("confined: the same bits", read_bytes(f"{plain}/{same}") == read_bytes(f"{out}/{same}"))
    kept = sorted(os.listdir(f"{out}/adapters"))
    at = [e["step"] for e in said if e["event"] == "checkpoint"]
    expect("adapters of the last two checkpoints are kept",
           kept == [f"step-{n:08}" for n in at[-2:]], (kept, at))
    expect("the last one is the result", read_bytes(f"{out}/adapters/{kept[-1]}/"
           "adapter_model.safetensors") == read_bytes(f"{out}/{same}"))
    bad = write_lines(f"{d}/bad.jsonl", [{"messages": 7}])
    r = feitian("train", "--model", models["llama"], "--data", bad, "-o", f"{d}/none", "--json")
    said = [json.loads(line) for line in r.stdout.splitlines()]
    told = [e for e in said if e["event"] == "data"]
    expect("bad data is told by line", r.returncode == 2 and not said[-1]["ok"] and
           told and told[0]["bad"] == 1 and told[0]["told"][0]["line"] == 1, said)


def main():
    with tempfile.TemporaryDirectory() as d:
        data = chats(f"{d}/data.jsonl")
        tok = tokenizer(f"{d}/tok")
        models = scratch(d, tok, chats(f"{d}/old.jsonl", answer=OLD))
        lora(d, models, data)
        qlora(d, models, data)
        dpo(d, models)
        early_stop(d, models, data)
        determinism(d, models, data)
        forms(d, models)
        without_gnuplot(d, models, data)
        confined(d, models, data)
        full(d, models, data)
        kill_and_resume(d, models, data)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
