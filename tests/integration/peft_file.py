"""LoRA adapters in the folders that PEFT writes, made with numpy, for tests."""
import json
import math
import os
import re

import numpy

import hf_file


def pattern_value(patterns, module, absent):
    """As PEFT's get_pattern_key."""
    for key, value in patterns.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return absent


def scale(config, module):
    r = pattern_value(config.get("rank_pattern", {}), module, config["r"])
    alpha = pattern_value(config.get("alpha_pattern", {}), module, config["lora_alpha"])
    return alpha / (math.sqrt(r) if config.get("use_rslora") else r)


def adapter(shapes, seed=1, size=0.1, **config):
    """shapes: {module: (outputs, inputs)}. (config, {module: (A, B)}), normal numbers."""
    config = {"r": 4, "lora_alpha": 8, **config}
    rng = numpy.random.default_rng(seed)
    pairs = {}
    for module, (n_out, n_in) in shapes.items():
        r = pattern_value(config.get("rank_pattern", {}), module, config["r"])
        pairs[module] = tuple(rng.normal(0, size, shape).astype("<f4")
                              for shape in ((r, n_in), (n_out, r)))
    return config, pairs


def stored(a, dtype):
    if dtype == "BF16":
        return hf_file.bf16(a)
    return numpy.ascontiguousarray(a, {"F32": "<f4", "F16": "<f2"}[dtype])


def rounded(a, dtype):
    """What is left of the numbers when they are stored so."""
    if dtype == "BF16":
        return (hf_file.bf16(a).astype("<u4") << 16).view("<f4")
    return stored(a, dtype).astype("<f4")


def delta(made, module, dtype="F32"):
    """scale * B A in f64, of the numbers as stored."""
    config, pairs = made
    a, b = (rounded(x, dtype).astype(float) for x in pairs[module])
    return scale(config, module) * (b @ a)


def write(folder, made, dtype="F32", infix="", **fields):
    """infix: "default." for the names that some tools write."""
    config, pairs = made
    os.makedirs(folder, exist_ok=True)
    words = sorted({m.rsplit(".", 1)[-1] for m in pairs})
    full = {
        "alpha_pattern": {}, "auto_mapping": None, "base_model_name_or_path": "a/base",
        "bias": "none", "eva_config": None, "exclude_modules": None, "fan_in_fan_out": False,
        "inference_mode": True, "init_lora_weights": True, "layer_replication": None,
        "layers_pattern": None, "layers_to_transform": None, "loftq_config": {},
        "lora_bias": False, "lora_dropout": 0.05, "megatron_config": None,
        "megatron_core": "megatron.core", "modules_to_save": None, "peft_type": "LORA",
        "rank_pattern": {}, "revision": None, "target_modules": words, "task_type": "CAUSAL_LM",
        "trainable_token_indices": None, "use_dora": False, "use_rslora": False, **config, **fields}
    with open(f"{folder}/adapter_config.json", "w", encoding="utf-8") as f:
        json.dump(full, f, indent=2, sort_keys=True)
    tensors = {}
    for module, (a, b) in pairs.items():
        for half, x in (("A", a), ("B", b)):
            name = f"base_model.model.{module}.lora_{half}.{infix}weight"
            tensors[name] = dtype, stored(x, dtype), x.shape
    hf_file.safetensors_write(f"{folder}/adapter_model.safetensors", tensors)
