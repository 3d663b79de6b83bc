#!/usr/bin/python3
"""DeepSeek files with combined key-value up-projections, as older converters wrote them, give the
logits of the same model with split ones.

usage: mla_combined.py FEITIAN DEVICE
"""
import os
import subprocess
import sys
import tempfile

import numpy

import gguf_file

REF = os.environ.get("FT_REF", "../shared/ref")
TOLERANCE = 1e-5


def logits(feitian, device, model, out):
    subprocess.run([feitian, "eval", model, "--tokens", "5,25,59,107,169,245,49,153", "--logits",
                    out, "--device", device], check=True)
    return numpy.fromfile(out, "<f4")


def combine(meta, tensors):
    """The old form: attn_kv_b {kv_lora_rank, heads * (nope + v)}, per-head sizes in key_length and
    value_length."""
    arch = "deepseek2.attention."
    old = dict(meta)
    old[arch + "key_length"] = old.pop(arch + "key_length_mla")
    old[arch + "value_length"] = old.pop(arch + "value_length_mla")
    old[arch + "head_count_kv"] = old[arch + "head_count"]
    out = {}
    for name, a in tensors.items():
        if name.endswith("attn_v_b.weight"):
            continue
        if name.endswith("attn_k_b.weight"):  # [heads, rank, nope]
            v = tensors[name.replace("_k_b", "_v_b")]  # [heads, v, rank]
            both = numpy.concatenate([a.transpose(0, 2, 1), v], axis=1)
            out[name.replace("_k_b", "_kv_b")] = both.reshape(-1, both.shape[2])
        else:
            out[name] = a
    return old, out


def main():
    feitian, device = sys.argv[1:3]
    model = f"{REF}/models/deepseek2-s-F32.gguf"
    if not os.path.exists(model):
        print(f"SKIPPED: no reference models in {REF}")
        return 77
    with tempfile.TemporaryDirectory() as d:
        gguf_file.write(f"{d}/combined.gguf", *combine(*gguf_file.read(model)))
        split = logits(feitian, device, model, f"{d}/split.f32")
        combined = logits(feitian, device, f"{d}/combined.gguf", f"{d}/combined.f32")
    worst = numpy.abs(split - combined).max() / numpy.abs(split).max()
    print(f"largest difference {worst:.1e} of the largest logit")
    ok = worst <= TOLERANCE
    print(f"{int(ok)} passed, {int(not ok)} failed")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
