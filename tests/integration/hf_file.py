"""A GGUF file of F32 tensors as the Hugging Face folder that it could have come from, for tests."""
import json
import os
import struct

import numpy

import gguf_file

MODEL_TYPE = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "qwen3moe": "qwen3_moe",
              "deepseek2": "deepseek_v3"}
GLOBAL = {"token_embd.weight": "model.embed_tokens.weight",
          "output_norm.weight": "model.norm.weight", "output.weight": "lm_head.weight"}
LAYER = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "attn_q_a": "self_attn.q_a_proj",
    "attn_q_a_norm": "self_attn.q_a_layernorm", "attn_q_b": "self_attn.q_b_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa", "attn_kv_a_norm": "self_attn.kv_a_layernorm",
    "attn_kv_b": "self_attn.kv_b_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "ffn_gate_inp": "mlp.gate",
    "ffn_gate_shexp": "mlp.shared_experts.gate_proj", "ffn_up_shexp": "mlp.shared_experts.up_proj",
    "ffn_down_shexp": "mlp.shared_experts.down_proj",
}


def halves(rows, heads):
    """llama's q and k rows as the vendor has them: rotary pairs in two halves of each head."""
    shape = rows.shape
    return rows.reshape(heads, -1, 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def values(meta):
    """{short key: value} of the architecture's keys."""
    arch = meta["general.architecture"][1].decode()
    return arch, {k[len(arch) + 1:]: v for k, (_, v) in meta.items() if k.startswith(arch + ".")}


def config(meta, tensors):
    arch, v = values(meta)
    c = {
        "model_type": MODEL_TYPE[arch], "num_hidden_layers": v["block_count"],
        "hidden_size": v["embedding_length"], "intermediate_size": v["feed_forward_length"],
        "num_attention_heads": v["attention.head_count"],
        "num_key_value_heads": v["attention.head_count_kv"],
        "max_position_embeddings": v["context_length"], "vocab_size": v["vocab_size"],
        "rms_norm_eps": v["attention.layer_norm_rms_epsilon"], "rope_theta": v["rope.freq_base"],
        "hidden_act": "silu", "tie_word_embeddings": "output.weight" not in tensors,
        "bos_token_id": meta["tokenizer.ggml.bos_token_id"][1],
        "eos_token_id": meta["tokenizer.ggml.eos_token_id"][1],
    }
    if arch == "deepseek2":
        rot = v["rope.dimension_count"]
        c |= {"q_lora_rank": v["attention.q_lora_rank"],
              "kv_lora_rank": v["attention.kv_lora_rank"], "qk_rope_head_dim": rot,
              "qk_nope_head_dim": v["attention.key_length_mla"] - rot,
              "v_head_dim": v["attention.value_length_mla"],
              "n_routed_experts": v["expert_count"], "num_experts_per_tok": v["expert_used_count"],
              "n_shared_experts": v["expert_shared_count"],
              "moe_intermediate_size": v["expert_feed_forward_length"],
              "first_k_dense_replace": v["leading_dense_block_count"],
              "routed_scaling_factor": v["expert_weights_scale"], "n_group": 1, "topk_group": 1,
              "norm_topk_prob": v["expert_weights_norm"], "scoring_func": "sigmoid",
              "topk_method": "noaux_tc"}
    else:
        c["head_dim"] = v["attention.key_length"]
    if arch == "qwen3moe":
        c |= {"num_experts": v["expert_count"], "num_experts_per_tok": v["expert_used_count"],
              "moe_intermediate_size": v["expert_feed_forward_length"], "norm_topk_prob": True}
    return c


def weights(meta, tensors):
    """{vendor's name: array}"""
    arch, v = values(meta)
    out = {}
    for name, a in tensors.items():
        if name in GLOBAL:
            out[GLOBAL[name]] = a
            continue
        _, layer, part, kind = name.split(".")
        prefix = f"model.layers.{layer}."
        if part.endswith("_exps"):
            for i, expert in enumerate(a):
                what = part[len("ffn_"):-len("_exps")]
                out[f"{prefix}mlp.experts.{i}.{what}_proj.weight"] = expert
        elif part == "exp_probs_b":
            out[prefix + "mlp.gate.e_score_correction_bias"] = a
        elif part == "attn_k_b":  # [heads, rank, nope]
            other = tensors[name.replace("_k_b", "_v_b")]
            both = numpy.concatenate([a.transpose(0, 2, 1), other], axis=1)
            out[prefix + "self_attn.kv_b_proj.weight"] = both.reshape(-1, both.shape[2])
        elif part != "attn_v_b":
            if arch == "llama" and part in ("attn_q", "attn_k"):
                a = halves(a, v["attention.head_count" + ("_kv" if part == "attn_k" else "")])
            out[f"{prefix}{LAYER[part]}.{kind}"] = a
    return out


def tokenizer(meta):
    """Byte-level BPE with Qwen2's pre-tokenizer."""
    tokens = [t.decode() for t in meta["tokenizer.ggml.tokens"][1][1]]
    types = meta["tokenizer.ggml.token_type"][1][1]
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+"
               r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    return {
        "version": "1.0", "normalizer": {"type": "NFC"},
        "added_tokens": [{"id": i, "content": t, "special": types[i] == 3, "lstrip": False,
                          "rstrip": False, "single_word": False, "normalized": False}
                         for i, t in enumerate(tokens) if types[i] in (3, 4)],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated",
             "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False,
             "use_regex": False}]},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "byte_fallback": False,
                  "vocab": {t: i for i, t in enumerate(tokens) if types[i] not in (3, 4)},
                  "merges": [m.decode() for m in meta["tokenizer.ggml.merges"][1][1]]},
    }


def bf16(a):
    """To the nearest, ties to even."""
    u = numpy.ascontiguousarray(a, "<f4").view("<u4")
    return ((u + 0x7FFF + (u >> 16 & 1)) >> 16).astype("<u2")


def e4m3_values():
    v = numpy.empty(256)
    for b in range(256):
        e, m = b >> 3 & 15, b & 7
        v[b] = (m * 2.0 ** -9 if e == 0 else (8 + m) * 2.0 ** (e - 10)) * (-1 if b & 128 else 1)
    v[127] = v[255] = numpy.nan
    return v


def fp8(a, block):
    """(bytes, scales, what they mean): FP8 with a scale for each block of so many rows, columns."""
    grid = [-(-n // b) for n, b in zip(a.shape, block)]
    scales = numpy.empty(grid, "<f4")
    values = e4m3_values()
    order = numpy.argsort(values[:255])[:-1]  # without NaN
    order = order[~numpy.isnan(values[order])]
    out, means = numpy.empty(a.shape, "u1"), numpy.empty(a.shape, "<f4")
    for i, j in numpy.ndindex(*grid):
        at = (slice(i * block[0], (i + 1) * block[0]), slice(j * block[1], (j + 1) * block[1]))
        scales[i, j] = numpy.abs(a[at]).max() / 448
        x = a[at] / scales[i, j]
        k = numpy.clip(numpy.searchsorted(values[order], x), 1, len(order) - 1)
        below = numpy.abs(values[order[k - 1]] - x) <= numpy.abs(values[order[k]] - x)
        out[at] = order[numpy.where(below, k - 1, k)]
        means[at] = values[out[at]].astype("<f4") * scales[i, j]
    return out, scales, means


def safetensors_write(path, tensors):
    """tensors: {name: (dtype, array of its raw bytes or numbers, shape)}"""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, a, shape) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, a, _ in tensors.values():
            f.write(a.tobytes())


def stored(a, dtype):
    if a.ndim == 1:  # as llama.cpp keeps them, whatever the matrices are
        dtype = "F32"
    if dtype == "BF16":
        return "BF16", bf16(a), a.shape
    return dtype, numpy.ascontiguousarray(a, {"F32": "<f4", "F16": "<f2"}[dtype]), a.shape


def json_write(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        json.dump(value, f)


def write(folder, gguf, dtype="F32", files=1, change=None):
    """change: called with (config, {name: (dtype, array, shape)}) before they are written."""
    meta, tensors = gguf_file.read(gguf)
    os.makedirs(folder, exist_ok=True)
    c = config(meta, tensors)
    t = {name: stored(a, dtype) for name, a in weights(meta, tensors).items()}
    if change is not None:
        change(c, t)
    json_write(folder, "config.json", c)
    json_write(folder, "tokenizer.json", tokenizer(meta))
    json_write(folder, "generation_config.json", {"temperature": 0.6, "eos_token_id":
                                                  [c["eos_token_id"], c["bos_token_id"]]})
    json_write(folder, "tokenizer_config.json", {"add_bos_token": False})
    names = sorted(t)
    if files == 1:
        safetensors_write(f"{folder}/model.safetensors", t)
        return
    where = {name: f"model-{i % files + 1:05d}-of-{files:05d}.safetensors"
             for i, name in enumerate(names)}
    for file in sorted(set(where.values())):
        safetensors_write(f"{folder}/{file}", {n: t[n] for n in names if where[n] == file})
    json_write(folder, "model.safetensors.index.json",
               {"metadata": {"total_size": 0}, "weight_map": where})
