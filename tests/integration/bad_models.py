#!/usr/bin/python3
"""Models that are well-formed files but do not add up are refused, and the message names what is
wrong.

usage: bad_models.py FEITIAN DEVICE
"""
import os
import subprocess
import sys
import tempfile

import numpy

import gguf_file

REF = os.environ.get("FT_REF", "../shared/ref")


def without(name):
    def change(meta, tensors):
        del tensors[name]
    return change


def reshaped(name, rows):
    def change(meta, tensors):
        tensors[name] = tensors[name][:rows]
    return change


def with_meta(key, value):
    def change(meta, tensors):
        kind = meta[key][0] if key in meta else 4
        meta[key] = kind, value
    return change


def rope_factors(value):
    def change(meta, tensors):
        tensors["rope_freqs.weight"] = numpy.full(8, value, "f4")
    return change


CASES = [  # model, what is wrong, what the message must say
    ("llama-s", without("blk.1.ffn_up.weight"), "blk.1.ffn_up.weight is missing"),
    ("llama-s", without("token_embd.weight"), "token_embd.weight"),
    ("llama-s", without("output_norm.weight"), "output_norm.weight is missing"),
    ("llama-s", reshaped("blk.0.attn_k.weight", 8), "blk.0.attn_k.weight: shape"),
    ("llama-s", with_meta("general.architecture", b"mamba7"),
     "'mamba7' is not supported; these are: llama, qwen2"),
    ("llama-s", with_meta("llama.block_count", 99), "blk."),
    ("llama-s", with_meta("llama.attention.head_count", 0), "head_count"),
    ("llama-s", with_meta("llama.embedding_length", 1 << 31), "embedding_length"),
    ("llama-s", rope_factors(0), "rope_freqs.weight"),
    ("qwen3-s", reshaped("blk.0.attn_q_norm.weight", 3), "blk.0.attn_q_norm.weight: shape"),
    ("qwen3moe-s", with_meta("qwen3moe.expert_used_count", 4096), "expert_used_count"),
    ("qwen3moe-s", without("blk.0.ffn_down_exps.weight"), "ffn_down_exps.weight is missing"),
    ("deepseek2-s", without("blk.0.attn_k_b.weight"), "attn_k_b.weight is missing"),
    ("deepseek2-s", with_meta("deepseek2.attention.kv_lora_rank", 0), "kv_lora_rank"),
]


def check(feitian, device, folder, number, case):
    model, change, expected = case
    meta, tensors = gguf_file.read(f"{REF}/models/{model}-F32.gguf")
    change(meta, tensors)
    path = f"{folder}/{number}.gguf"
    gguf_file.write(path, meta, tensors)
    run = subprocess.run([feitian, "eval", path, "--tokens", "1,2,3", "--logits", "/dev/null",
                          "--device", device], capture_output=True, text=True, timeout=60)
    ok = run.returncode in (1, 2) and expected in run.stderr
    print(f"{'ok  ' if ok else 'FAIL'} {expected}: {run.stderr.strip()} (exit {run.returncode})")
    return ok


def main():
    feitian, device = sys.argv[1:3]
    if not os.path.exists(f"{REF}/models/llama-s-F32.gguf"):
        print(f"SKIPPED: no reference models in {REF}")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        results = [check(feitian, device, folder, i, case) for i, case in enumerate(CASES)]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
