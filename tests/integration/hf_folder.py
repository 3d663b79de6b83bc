#!/usr/bin/python3
"""Hugging Face folders compute what the GGUF files compute that they could have become, and what
`convert` writes from them does too.

usage: hf_folder.py FEITIAN
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy

import hf_file

REF = os.environ.get("FT_REF", "../shared/ref")
ARCHS = ("llama", "qwen2", "qwen3", "qwen3moe", "deepseek2")
# normalised mean square error that a format may add to F32's logits: twice the most measured
BOUND = {"F16": 4e-6, "BF16": 3.2e-4, "Q8_0": 2.8e-3, "Q6_K": 3e-2, "Q5_K_M": 0.11,
         "Q4_K_M": 0.38, "Q4_0": 0.46}
results = []


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail}")


def feitian(*args, stdin=b""):
    return subprocess.run([sys.argv[1], *args], input=stdin, capture_output=True, timeout=300)


def tokens(name):
    with open(f"{REF}/logits/{name}-F32.json", encoding="utf-8") as f:
        case = json.load(f)
    return case["prompt"] + case["greedy"], case["n_vocab"]


def logits(model, name, folder):
    ids, n_vocab = tokens(name)
    out = f"{folder}/logits.f32"
    r = feitian("eval", model, "--device", "ref", "--logits", out,
                "--tokens", ",".join(map(str, ids)))
    if r.returncode != 0:
        expect(f"eval {model}", False, r.stderr.decode())
        return numpy.zeros((len(ids), n_vocab))
    return numpy.fromfile(out, "<f4").reshape(len(ids), n_vocab).astype(float)


def exact(name):
    ids, n_vocab = tokens(name)
    return numpy.fromfile(f"{REF}/logits/{name}-F32.exact.f32", "<f4").reshape(len(ids), n_vocab)


def far(a, b):
    """Largest difference in terms of the row's largest logit."""
    return (numpy.abs(a - b).max(axis=1) / numpy.abs(b).max(axis=1)).max()


def nmse(a, b):
    """Of the median row: a near tie of a router makes single rows differ."""
    return numpy.median(((a - b) ** 2).sum(axis=1) / (b ** 2).sum(axis=1))


def folders(d):
    for arch in ARCHS:
        for size in "sk":
            name = f"{arch}-{size}"
            hf_file.write(f"{d}/{name}", f"{REF}/models/{name}-F32.gguf", files=3)
            diff = far(logits(f"{d}/{name}", name, d), exact(name))
            expect(f"{name}: the folder's logits", diff <= 1e-4, f"{diff:.1e}")


def conversions(d):
    for arch in ARCHS:
        name, out = f"{arch}-k", f"{d}/out.gguf"
        folder, want = f"{d}/{name}", exact(name)
        r = feitian("convert", folder, "-o", out)
        diff = far(logits(out, name, d), want)
        expect(f"{name}: converted as it is", r.returncode == 0 and diff <= 1e-4, f"{diff:.1e}")
        for kind, bound in BOUND.items():
            r = feitian("convert", folder, "-o", out, "--type", kind)
            diff = nmse(logits(out, name, d), want)
            expect(f"{name}: as {kind}", r.returncode == 0 and diff <= bound, f"{diff:.1e}")


def storage(d):
    """What the weights are stored as, and in how many files, changes nothing else."""
    name = "qwen3-s"
    for dtype, files in (("BF16", 1), ("F16", 2), ("F32", 1)):
        hf_file.write(f"{d}/{dtype}", f"{REF}/models/{name}-F32.gguf", dtype, files)
        diff = far(logits(f"{d}/{dtype}", name, d), logits(f"{REF}/models/{name}-{dtype}.gguf",
                                                           name, d))
        expect(f"{name} in {dtype}, {files} files", diff <= 1e-5, f"{diff:.1e}")
    os.remove(f"{d}/F16/model.safetensors.index.json")
    again = far(logits(f"{d}/F16", name, d), logits(f"{REF}/models/{name}-F16.gguf", name, d))
    expect("parts without an index", again <= 1e-5)
    os.remove(f"{d}/F16/model-00001-of-00002.safetensors")
    r = feitian("inspect", f"{d}/F16")
    r2 = feitian("eval", f"{d}/F16", "--tokens", "1", "--logits", f"{d}/none")
    expect("a part that is missing is an error", r2.returncode == 1 and b"missing" in r2.stderr,
           (r.stderr, r2.stderr))


def block_scaled(d):
    """FP8 with block scales is what it means in BF16; and is converted like any other."""
    for name, block in (("deepseek2-k", (128, 128)), ("qwen3-s", (48, 40))):
        def is_fp8(key, shape):
            return len(shape) == 2 and ("_proj" in key or "_a_" in key)

        def to_fp8(config, tensors):
            config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3",
                                             "weight_block_size": block}
            for key, (_, a, shape) in list(tensors.items()):
                if is_fp8(key, shape):
                    bits, scales, _ = hf_file.fp8(a, block)
                    tensors[key] = "F8_E4M3", bits, shape
                    tensors[key + "_scale_inv"] = "F32", scales, scales.shape

        def to_bf16(_, tensors):
            for key, (_, a, shape) in list(tensors.items()):
                if is_fp8(key, shape):
                    tensors[key] = "BF16", hf_file.bf16(hf_file.fp8(a, block)[2]), shape

        gguf = f"{REF}/models/{name}-F32.gguf"
        hf_file.write(f"{d}/fp8", gguf, files=3, change=to_fp8)
        hf_file.write(f"{d}/wide", gguf, files=3, change=to_bf16)
        want = logits(f"{d}/wide", name, d)
        diff = far(logits(f"{d}/fp8", name, d), want)
        expect(f"{name}: FP8 in blocks of {block}", diff == 0, f"{diff:.1e}")
        for kind in ("BF16", "Q8_0"):
            got = []
            for folder in ("fp8", "wide"):
                feitian("convert", f"{d}/{folder}", "-o", f"{d}/out.gguf", "--type", kind)
                got.append(logits(f"{d}/out.gguf", name, d))
            same = numpy.array_equal(*got) and got[0].any()
            expect(f"{name}: FP8 converted to {kind}", same)
        json_path = f"{d}/fp8/config.json"
        with open(json_path, encoding="utf-8") as f:
            config = json.load(f)
        for size in ([64, 64], None):
            config["quantization_config"]["weight_block_size"] = size
            hf_file.json_write(f"{d}/fp8", "config.json", config)
            r = feitian("eval", f"{d}/fp8", "--tokens", "1", "--logits", f"{d}/none")
            expect(f"{name}: blocks of {size} are refused",
                   r.returncode == 1 and b"weight_scale_inv" in r.stderr, r.stderr)


def tokenizers(d):
    """The folder's tokenizer and the one written into the GGUF give the same ids, and back."""
    text = "Hello wörld, the 世界 th\u00e9re 123's\n\n  <x> \U0001f600".encode()
    folder, out = f"{d}/qwen3-k", f"{d}/tok.gguf"
    feitian("convert", folder, "-o", out)
    a, b = (feitian("tokenize", m, stdin=text).stdout for m in (folder, out))
    expect("tokenize: folder and GGUF agree", a == b and len(json.loads(a)) > 5, (a, b))
    expect("detokenize gives the text back", feitian("detokenize", out, stdin=a).stdout == text)
    with open(f"{folder}/tokenizer.json", encoding="utf-8") as f:
        t = json.load(f)
    first, last = (t["added_tokens"][i] for i in (0, -1))
    t["post_processor"] = {
        "type": "TemplateProcessing", "pair": [],
        "single": [{"SpecialToken": {"id": "F"}}, {"Sequence": {"id": "A"}},
                   {"SpecialToken": {"id": "L"}}],
        "special_tokens": {"F": {"id": "F", "ids": [first["id"]]},
                           "L": {"id": "L", "ids": [last["id"]]}}}
    hf_file.json_write(folder, "tokenizer.json", t)
    hf_file.json_write(folder, "tokenizer_config.json", {})
    feitian("convert", folder, "-o", out)
    a, b = (json.loads(feitian("tokenize", m, "--bos", "--eos", stdin=b"ab").stdout)
            for m in (folder, out))
    expect("the tokens before and after a text are kept",
           a == b and a[0] == first["id"] and a[-1] == last["id"], (a, b))


def main():
    if not os.path.exists(f"{REF}/models/llama-s-F32.gguf"):
        print(f"SKIPPED: no reference models in {REF}")
        return 77
    with tempfile.TemporaryDirectory() as d:
        folders(d)
        conversions(d)
        storage(d)
        block_scaled(d)
        tokenizers(d)
    failed = results.count(False)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
