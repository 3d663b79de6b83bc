"""Makes the seeds of the fuzz targets gguf, safetensors, hf_config, folder_write and
peft_tensors. Run from the project's root."""

import json
import pathlib
import struct

ROOT = pathlib.Path("tests/fuzz/corpus")


def text(s):
    return struct.pack("<Q", len(s.encode())) + s.encode()


def string(key, value):
    return text(key) + struct.pack("<I", 8) + text(value)


def u32(key, value):
    return text(key) + struct.pack("<II", 4, value)


def f32(key, value):
    return text(key) + struct.pack("<If", 6, value)


def strings(key, values):
    return text(key) + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(text, values))


def tensor(name, dims, kind, offset):
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def gguf(keys, tensors, data, version=3):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    body = head + b"".join(keys) + b"".join(tensors)
    return body + bytes(-len(body) % 32) + data


def save(target, name, data):
    folder = ROOT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


KEYS = [
    string("general.architecture", "llama"),
    u32("llama.block_count", 1),
    u32("llama.context_length", 64),
    u32("llama.embedding_length", 32),
    u32("llama.feed_forward_length", 32),
    u32("llama.attention.head_count", 2),
    f32("llama.rope.freq_base", 10000),
    string("llama.rope.scaling.type", "yarn"),
    f32("llama.rope.scaling.factor", 4),
    u32("llama.expert_count", 4),
    u32("llama.expert_used_count", 2),
    strings("tokenizer.ggml.tokens", ["a", "b", "", "cd"]),
    text("ids") + struct.pack("<IIQ3i", 9, 5, 3, 1, -2, 3),
    text("flag") + struct.pack("<IB", 7, 1),
    u32("general.alignment", 32),
]
whole = gguf(KEYS, [tensor("token_embd.weight", [32, 4], 8, 0), tensor("n", [4], 0, 160)],
             bytes(range(136)) + bytes(24) + bytes(16))
save("gguf", "llama", whole)
save("gguf", "version2", gguf(KEYS[:7], [], b"", 2))
save("gguf", "cut", whole[:300])
save("gguf", "split", gguf([text("split.count") + struct.pack("<IH", 2, 2)], [], b""))
save("gguf", "blocks", gguf([], [tensor("k", [256, 1, 2], 12, 0)], bytes(288)))
save("gguf", "empty", b"")
latent = [string("general.architecture", "deepseek2")]
for key, value in {"block_count": 1, "context_length": 8, "embedding_length": 8, "vocab_size": 9,
                   "attention.head_count": 1, "attention.kv_lora_rank": 4, "expert_count": 8,
                   "attention.key_length": 4, "attention.value_length": 2, "expert_used_count": 2,
                   "rope.dimension_count": 2, "expert_group_count": 4,
                   "expert_group_used_count": 2}.items():
    latent.append(u32("deepseek2." + key, value))
save("gguf", "deepseek2", gguf(latent, [], b""))


def st(header, data):
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + data


def entry(kind, shape, begin, end):
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


save("safetensors", "two", st({"__metadata__": {"format": "pt", "x": "y"},
                               "a": entry("F32", [2, 2], 0, 16),
                               "b\u00e9\"": entry("BF16", [3], 16, 22)}, bytes(22)))
save("safetensors", "float8", st({"a": entry("F8_E4M3", [4], 0, 4)}, bytes(4)))
save("safetensors", "short", st({"a": entry("F32", [2], 0, 8)}, bytes(4)))
save("safetensors", "nested", st({"__metadata__": [[1, {"a": [True, None, -1.5e3]}]]}, b""))
save("safetensors", "cut", st({"a": entry("F16", [], 0, 2)}, b"")[:20])

DENSE = {"model_type": "llama", "num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 8,
         "num_attention_heads": 2, "vocab_size": 4, "max_position_embeddings": 16,
         "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                          "high_freq_factor": 4.0, "original_max_position_embeddings": 8}}
DEEPSEEK = {**DENSE, "model_type": "deepseek_v3", "kv_lora_rank": 4, "qk_nope_head_dim": 4,
            "qk_rope_head_dim": 2, "v_head_dim": 4, "n_routed_experts": 4, "num_experts_per_tok": 2,
            "moe_intermediate_size": 4, "n_group": 2, "topk_group": 1,
            "rope_scaling": {"type": "yarn", "factor": 4, "mscale": 1, "mscale_all_dim": 1}}
MOE = {**DENSE, "model_type": "qwen3_moe", "num_experts": 4, "num_experts_per_tok": 2,
       "moe_intermediate_size": 4, "mlp_only_layers": []}
TOKENIZER = {"eos_token": {"content": "</s>"}, "add_bos_token": True,
             "added_tokens_decoder": {"2": {"content": "</s>"}},
             "chat_template": [{"name": "default", "template": "{{ x }}"},
                               {"name": "tool_use", "template": "y"}]}
for name, config in {"llama": DENSE, "deepseek": DEEPSEEK, "moe": MOE}.items():
    save("hf_config", name, json.dumps(config).encode() + b"\n" + json.dumps(TOKENIZER).encode())


# Whole models of one layer, of F32 and Q8_0, with either kind of tokenizer.
SMALL = {"attn_norm": [32], "ffn_norm": [32], "attn_q": [32, 32], "attn_k": [32, 16],
         "attn_v": [32, 16], "attn_output": [32, 32], "ffn_gate": [32, 64], "ffn_up": [32, 64],
         "ffn_down": [64, 32]}


def whole_model(arch, tokens, keys, more):
    shapes = {"token_embd.weight": [32, len(tokens)], "output_norm.weight": [32], **more}
    shapes |= {f"blk.0.{name}.weight": shape for name, shape in SMALL.items()}
    tensors, data = [], b""
    for name, shape in shapes.items():
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        quantised = "ffn" in name and len(shape) == 2
        tensors.append(tensor(name, shape, 8 if quantised else 0, len(data)))
        data += bytes(n // 32 * 34) if quantised else struct.pack("<f", 1) * n
        data += bytes(-len(data) % 32)
    sizes = {"block_count": 1, "context_length": 64, "embedding_length": 32,
             "feed_forward_length": 64, "attention.head_count": 2, "attention.head_count_kv": 1}
    return gguf([string("general.architecture", arch),
                 *(u32(f"{arch}.{k}", v) for k, v in sizes.items()),
                 strings("tokenizer.ggml.tokens", tokens), *keys], tensors, data)


def numbers(key, kind, values):
    fmt = {5: "i", 6: "f"}[kind]
    return text(key) + struct.pack(f"<IIQ{len(values)}{fmt}", 9, kind, len(values), *values)


save("folder_write", "llama_bytes", whole_model(
    "llama", ["a", "b", "ab", "<e>", "<|x|>"],
    [string("tokenizer.ggml.model", "gpt2"), string("tokenizer.ggml.pre", "llama-bpe"),
     strings("tokenizer.ggml.merges", ["a b"]), u32("tokenizer.ggml.eos_token_id", 3),
     u32("tokenizer.ggml.bos_token_id", 4), string("tokenizer.chat_template", "{{ x }}"),
     numbers("tokenizer.ggml.token_type", 5, [1, 1, 1, 3, 4])],
    {"rope_freqs.weight": [8], "output.weight": [32, 5]}))
save("folder_write", "qwen3_scores", whole_model(
    "qwen3", ["<unk>", "<s>", "</s>", "<0x41>", "\u2581", "a", "\u2581a"],
    [string("tokenizer.ggml.model", "llama"),
     numbers("tokenizer.ggml.scores", 6, [0, 0, 0, 0, -3, -2, -1]),
     numbers("tokenizer.ggml.token_type", 5, [2, 3, 3, 6, 1, 1, 1])],
    {"blk.0.attn_q_norm.weight": [16], "blk.0.attn_k_norm.weight": [16]}))

PEFT = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
save("peft_tensors", "pair", st({PEFT + "A.weight": entry("F32", [1, 2], 0, 8),
                                 PEFT + "B.weight": entry("BF16", [4, 1], 8, 16)}, bytes(16)))
save("peft_tensors", "half", st({PEFT + "A.default.weight": entry("F16", [1, 2], 0, 4)}, bytes(4)))
save("peft_tensors", "other", st({"lm_head.lora_A.weight": entry("F32", [1, 2], 0, 8),
                                  PEFT + "magnitude_vector": entry("F32", [4], 8, 24)}, bytes(24)))
