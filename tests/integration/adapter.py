#!/usr/bin/python3
"""LoRA adapters beside a base, as PEFT folders that numpy writes: the logits and the words of the
same adapter merged into the base's weights; and what does not fit is refused by name.

usage: adapter.py FEITIAN
"""
import os
import subprocess
import sys
import tempfile

import numpy

import gguf_file
import hf_file

REF = os.environ.get("FT_REF", "../shared/ref")
STORY = f"{REF}/stories/stories260K-F32.gguf"
MODELS = [STORY] + [f"{REF}/models/{name}-s-F32.gguf"
                    for name in ("llama", "qwen2", "qwen3", "qwen3moe", "deepseek2")]
PARTS = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "attn_q_a",
         "attn_q_b", "attn_kv_a_mqa")
TOKENS = "5,25,59,107,169,245,49,153,271,117"
RANK, ALPHA = 5, 20
results = []


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok else ''}")


def feitian(*args):
    return subprocess.run([sys.argv[1], *args], capture_output=True, timeout=120)


def neighbours(rows, heads):
    """The inverse of hf_file.halves."""
    shape = rows.shape
    return rows.reshape(heads, 2, -1, *shape[1:]).swapaxes(1, 2).reshape(shape)


def make(folder, gguf, merged, size, change=None):
    """Writes a PEFT folder for the model, and the model with it merged in. change: called with
    (config, tensors) before they are written."""
    os.makedirs(folder, exist_ok=True)
    meta, tensors = gguf_file.read(gguf)
    arch, v = hf_file.values(meta)
    random = numpy.random.default_rng(1)
    out = {}
    for name in list(tensors):
        layer, part = name.split(".")[1:3] if name.startswith("blk.") else ("", "")
        if part not in PARTS or not name.endswith(".weight"):
            continue
        n_out, n_in = tensors[name].shape
        a = random.standard_normal((RANK, n_in)).astype("<f4")
        b = (size * random.standard_normal((n_out, RANK))).astype("<f4")
        vendor = f"base_model.model.model.layers.{layer}.{hf_file.LAYER[part]}"
        out[f"{vendor}.lora_A.weight"] = "F32", a, a.shape
        out[f"{vendor}.lora_B.weight"] = "F32", b, b.shape
        delta = ALPHA / RANK * (b.astype("f8") @ a)
        if arch == "llama" and part in ("attn_q", "attn_k"):
            delta = neighbours(delta, v["attention.head_count" + ("_kv" if part[-1] == "k"
                                                                  else "")])
        tensors[name] = (tensors[name] + delta).astype("<f4")
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA,
              "lora_dropout": 0.05, "bias": "none", "target_modules": "all-linear",
              "base_model_name_or_path": "somewhere/else", "inference_mode": True}
    if change is not None:
        change(config, out)
    hf_file.json_write(folder, "adapter_config.json", config)
    hf_file.safetensors_write(f"{folder}/adapter_model.safetensors", out)
    if merged is not None:
        gguf_file.write(merged, meta, tensors)


def logits(model, out, *args):
    r = feitian("eval", model, "--tokens", TOKENS, "--logits", out, *args)
    if r.returncode != 0:
        raise SystemExit(r.stderr.decode())
    return numpy.fromfile(out, "<f4")


def same_logits(folder):
    out = f"{folder}/logits"
    for gguf in MODELS:
        adapter, merged = f"{folder}/adapter", f"{folder}/merged.gguf"
        make(adapter, gguf, merged, 0.004)
        for device, tolerance in (("ref", 2e-5), ("cpu", 2e-3)):
            base = logits(gguf, out, "--device", device)
            want = logits(merged, out, "--device", device)
            got = logits(gguf, out, "--device", device, "--adapter", adapter)
            off, change = abs(got - want).max(), abs(base - want).max()
            expect(f"{os.path.basename(gguf)} on {device}: {off:.2g} off, of a change of "
                   f"{change:.2g}", change > 0.3 and off <= tolerance * change)


def quantised_bases(folder):
    """The adapter is not rounded to the base's format, nor what it is multiplied with."""
    out, plain = f"{folder}/logits", f"{folder}/plain.gguf"
    for name in ("llama-s-Q8_0", "llama-k-Q4_K_M", "llama-k-IQ4_XS", "qwen3-k-Q6_K"):
        gguf, adapter, merged = f"{REF}/models/{name}.gguf", f"{folder}/quant", f"{folder}/q.gguf"
        r = feitian("convert", gguf, "-o", plain, "--type", "F32")
        if r.returncode != 0:
            raise SystemExit(r.stderr.decode())
        make(adapter, plain, merged, 0.004)
        want = logits(merged, out, "--device", "ref")
        base = logits(gguf, out, "--device", "ref")
        change = abs(base - want).max()
        for device, tolerance in (("ref", 2e-5), ("cpu", 0.1)):  # cpu rounds what the base sees
            got = logits(gguf, out, "--device", device, "--adapter", adapter)
            off = abs(got - want).max()
            expect(f"{name} on {device}: {off:.2g} off, of a change of {change:.2g}",
                   change > 0.3 and off <= tolerance * change)


def same_words(folder):
    adapter, merged = f"{folder}/words", f"{folder}/words.gguf"
    make(adapter, STORY, merged, 0.004)
    said = [feitian("run", model, "--raw", "--temperature", "0", "--max-tokens", "40", "--quiet",
                    "-p", "One day", *more)
            for model, more in ((STORY, ()), (merged, ()), (STORY, ("--adapter", adapter)),
                                (STORY, ("--adapter", adapter, "--lookup", "4", "--draft", STORY)))]
    expect("run --adapter says what the merged model says", said[2].returncode == 0 and
           said[1].stdout == said[2].stdout != said[0].stdout, said)
    expect("drafts of the base change nothing", said[3].stdout == said[2].stdout, said)
    text = f"{folder}/text"
    with open(text, "w", encoding="utf-8") as f:
        f.write("Once upon a time there was a little dog. " * 20)
    score = [feitian("perplexity", model, text, "--ctx", "64", "--kv", "f32", *more).stdout.split()
             for model, more in ((STORY, ()), (merged, ()), (STORY, ("--adapter", adapter)))]
    value = [float(s[1]) for s in score]
    expect("perplexity --adapter scores as the merged model",
           abs(value[2] / value[1] - 1) < 1e-3 < abs(value[0] / value[1] - 1), value)


def refused(folder):
    def narrow(config, tensors):
        name = "base_model.model.model.layers.2.mlp.down_proj.lora_A.weight"
        a = numpy.zeros((RANK, 17), "<f4")
        tensors[name] = "F32", a, a.shape

    def embedding(config, tensors):
        for half, shape in (("A", (RANK, 64)), ("B", (512, RANK))):
            a = numpy.zeros(shape, "<f4")
            tensors[f"base_model.model.model.embed_tokens.lora_{half}.weight"] = "F32", a, shape

    def dora(config, tensors):
        config["use_dora"] = True

    cases = ((narrow, STORY, ("down_proj", "17", "172")), (embedding, STORY, ("embed", )),
             (dora, STORY, ("use_dora", )))
    for i, (change, model, words) in enumerate(cases):
        adapter = f"{folder}/bad{i}"
        make(adapter, model, None, 0.01, change)
        for cmd in (("run", model, "--raw", "-p", "x"),
                    ("eval", model, "--tokens", "1", "--logits", f"{folder}/logits")):
            r = feitian(*cmd, "--adapter", adapter)
            expect(f"{cmd[0]}: {change.__name__} is refused by name", r.returncode in (1, 2) and
                   not r.stdout and all(w in r.stderr.decode() for w in words), r)
    adapter = f"{folder}/words"
    r = feitian("run", MODELS[3], "-p", "x", "--adapter", adapter)
    expect("another model's adapter is refused", r.returncode in (1, 2) and not r.stdout and
           b"blk.3.attn_q" in r.stderr, r)
    r = feitian("run", STORY, "--raw", "-p", "x", "--adapter", f"{folder}/nowhere")
    expect("a folder that is none is refused", r.returncode == 1 and b"nowhere" in r.stderr, r)


def main():
    if not os.path.exists(STORY):
        print("no reference data")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        same_logits(folder)
        quantised_bases(folder)
        same_words(folder)
        refused(folder)
    print(f"{sum(results)} of {len(results)} ok")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
