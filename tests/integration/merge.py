#!/usr/bin/python3
"""Merging adapters: what `merge` writes computes what numpy's W + scale B A computes, whatever base
and result are stored as; folders made of GGUF files; memory; interruptions.

usage: merge.py FEITIAN
"""
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time

import numpy

import gguf_file
import hf_file
import peft_file

REF = os.environ.get("FT_REF", "../shared/ref")
STORY = f"{REF}/stories/stories260K-F32.gguf"
TOKENS = [3, 77, 201, 19, 5, 5, 140, 260, 33, 8, 96, 254, 31]
TEXT = "Hello wörld, the 世界 th\u00e9re 12345's\n\n  <x> \U0001f600 isn't ONE\t\r\n_".encode()
KINDS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
         "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
results = []


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok or len(str(detail)) < 40 else ''}")


def feitian(*args, stdin=b""):
    return subprocess.run([sys.argv[1], *args], input=stdin, capture_output=True, timeout=300)


def works(what, *args):
    r = feitian(*args)
    if r.returncode != 0:
        expect(what, False, r.stderr.decode())
    return r.returncode == 0


def fails(what, status, words, *args):
    r = feitian(*args)
    said = r.stderr.decode()
    expect(what, r.returncode == status and all(w in said for w in words), (r.returncode, said))


def logits(model, d):
    out = f"{d}/logits.f32"
    if not works(f"eval {model}", "eval", model, "--device", "ref", "--logits", out, "--tokens",
                 ",".join(map(str, TOKENS))):
        return numpy.zeros((len(TOKENS), 1))
    return numpy.fromfile(out, "<f4").reshape(len(TOKENS), -1).astype(float)


def far(a, b):
    """Largest difference in terms of the row's largest logit."""
    if a.shape != b.shape:
        return numpy.inf
    return (numpy.abs(a - b).max(axis=1) / numpy.abs(b).max(axis=1)).max()


def reference(name, kind="F32"):
    return f"{REF}/models/{name}-{kind}.gguf"


def shapes_of(name, kinds=KINDS, layers=99, more=()):
    """{module: (outputs, inputs)} of the matrices of these kinds."""
    found = {}
    for full, a in hf_file.weights(*gguf_file.read(reference(name))).items():
        module = full.removesuffix(".weight")
        parts = module.split(".")
        chosen = parts[1:2] == ["layers"] and int(parts[2]) < layers and \
            ".".join(parts[3:]) in kinds
        if chosen or module in more:
            found[module] = a.shape
    return found


def merged_by_numpy(folder, name, made, dtype="F32", base="F32"):
    """A folder of W + scale B A; base: what W was stored as."""
    def change(_, tensors):
        for module in made[1]:
            _, a, shape = tensors[module + ".weight"]
            a = peft_file.rounded(a, base) + peft_file.delta(made, module, dtype)
            tensors[module + ".weight"] = "F32", a.astype("<f4"), shape
        for key, (_, a, shape) in tensors.items():
            if key.removesuffix(".weight") not in made[1] and len(shape) > 1:
                tensors[key] = "F32", peft_file.rounded(a, base), shape
    hf_file.write(folder, reference(name), change=change)


def four_ways(d, name, made, dtype="F32", **written):
    """GGUF and folder, from GGUF and folder."""
    peft_file.write(f"{d}/adapter", made, dtype, **written)
    merged_by_numpy(f"{d}/want", name, made, dtype)
    hf_file.write(f"{d}/base", reference(name))
    want, plain = logits(f"{d}/want", d), logits(f"{d}/base", d)
    expect(f"{name}: the adapter matters", far(plain, want) > 0.05)
    for base in (reference(name), f"{d}/base"):
        for out in ("out.gguf", "out/"):
            subprocess.run(["rm", "-rf", f"{d}/out"], check=True)
            if works("merge", "merge", base, f"{d}/adapter", "-o", f"{d}/{out}"):
                diff = far(logits(f"{d}/{out}", d), want)
                what = "GGUF" if base.endswith("gguf") else "folder"
                expect(f"{name}: {what} to {out}", diff < 2e-5, f"{diff:.1e}")


def architectures(d):
    for name in ("llama-s", "qwen2-s", "qwen3-s", "llama-k"):
        four_ways(d, name, peft_file.adapter(shapes_of(name)))
    four_ways(d, "llama-s", peft_file.adapter(shapes_of("llama-s", layers=1, more=("lm_head",)),
                                              seed=2, use_rslora=True), "BF16")
    four_ways(d, "qwen3-s",
              peft_file.adapter(shapes_of("qwen3-s"), seed=3, lora_alpha=5,
                                rank_pattern={"layers.0.self_attn.q_proj": 9, "(up|down)_proj": 2},
                                alpha_pattern={r"model\.layers\.[01]\..*k_proj": 32,
                                               "down_proj": 1.5}),
              "F16", infix="default.", target_modules="all-linear")


def experts(d):
    """Folders of other architectures too: their names, and DeepSeek's kv_b, which GGUF splits."""
    attention = {"qwen3moe-s": KINDS[:4],
                 "deepseek2-s": ("self_attn.kv_b_proj", "self_attn.q_b_proj", "self_attn.o_proj")}
    for name, kinds in attention.items():
        made = peft_file.adapter(shapes_of(name, kinds))
        peft_file.write(f"{d}/adapter", made)
        merged_by_numpy(f"{d}/want", name, made)
        hf_file.write(f"{d}/base", reference(name))
        want = logits(f"{d}/want", d)
        for out in ("out.gguf", "out/"):
            subprocess.run(["rm", "-rf", f"{d}/out"], check=True)
            if works("merge", "merge", f"{d}/base", f"{d}/adapter", "-o", f"{d}/{out}"):
                diff = far(logits(f"{d}/{out}", d), want)
                expect(f"{name}: folder to {out}", diff < 1e-4, f"{diff:.1e}")


def safetensors(folder):
    """{name: (dtype, shape, bytes)} of all files of a folder."""
    found = {}
    for file in sorted(os.listdir(folder)):
        if not file.endswith(".safetensors"):
            continue
        with open(f"{folder}/{file}", "rb") as f:
            header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
            data = f.read()
        for name, t in header.items():
            if name != "__metadata__":
                begin, end = t["data_offsets"]
                found[name] = t["dtype"], tuple(t["shape"]), data[begin:end]
    return found


def stored_types(d):
    name = "llama-s"
    made = peft_file.adapter(shapes_of(name, ("self_attn.q_proj", "mlp.up_proj")))
    peft_file.write(f"{d}/adapter", made)
    # a base in BF16 stays in BF16: the nearest to the sum, and nothing else is touched
    hf_file.write(f"{d}/half", reference(name), "BF16", 2)
    works("merge", "merge", f"{d}/half", f"{d}/adapter", "-o", f"{d}/half_out/")
    before, after = safetensors(f"{d}/half"), safetensors(f"{d}/half_out")
    same = {k: v for k, v in after.items() if k.removesuffix(".weight") not in made[1]}
    expect("BF16: other tensors are the same bits", same and before.keys() == after.keys() and
           all(v == before[k] for k, v in same.items()))
    worst = 0
    for module in made[1]:
        (_, shape, old), (dtype, _, new) = (x[module + ".weight"] for x in (before, after))
        w = (numpy.frombuffer(old, "<u2").astype("<u4") << 16).view("<f4").reshape(shape)
        want = hf_file.bf16((w + peft_file.delta(made, module)).astype("<f4"))
        got = numpy.frombuffer(new, "<u2").reshape(shape)
        worst = max(worst, (got != want).mean() if dtype == "BF16" else 1)
    expect("BF16: changed tensors are the nearest sums", worst < 1e-3, f"{worst:.1e}")
    works("merge", "merge", f"{d}/half", f"{d}/adapter", "-o", f"{d}/single/", "--type", "F32")
    expect("--type F32", {t[0] for t in safetensors(f"{d}/single").values()} == {"F32"})
    with open(f"{d}/single/config.json", encoding="utf-8") as f:
        expect("... and config.json says so", json.load(f)["torch_dtype"] == "float32")
    merged_by_numpy(f"{d}/want", name, made, base="BF16")
    diff = far(logits(f"{d}/single", d), logits(f"{d}/want", d))
    expect("... and holds the sums", diff < 2e-5, f"{diff:.1e}")
    # a quantised base: what is not changed is copied, what is changed is rounded once more
    r = feitian("merge", reference(name, "Q8_0"), f"{d}/adapter", "-o", f"{d}/q8.gguf")
    expect("a quantised base is said", b"6 of the 6" in r.stderr and b"quantised again" in r.stderr,
           r.stderr)
    files = {}
    for key, path in (("base", reference(name, "Q8_0")), ("out", f"{d}/q8.gguf")):
        feitian("convert", path, "-o", f"{d}/{key}32.gguf", "--type", "F32")
        files[key] = gguf_file.read(f"{d}/{key}32.gguf")
    meta, base = files["base"]
    gguf_file.write(f"{d}/base32.gguf", meta, base)
    full = hf_file.weights(meta, base)
    out = hf_file.weights(*files["out"])
    expect("Q8_0: other tensors are the same",
           all(numpy.array_equal(out[k], full[k]) for k in full
               if k.removesuffix(".weight") not in made[1]))
    worst = 0
    for module in made[1]:
        want = full[module + ".weight"] + peft_file.delta(made, module)
        steps = numpy.abs(want).reshape(-1, 32).max(axis=1) / 127
        error = numpy.abs(out[module + ".weight"] - want).reshape(-1, 32).max(axis=1) / steps
        worst = max(worst, error.max())
    expect("Q8_0: changed tensors are within a step's half", worst < 0.55, f"{worst:.2f}")
    about = [sorted(feitian("inspect", x, "--tensors").stdout.split(b"\n")[1:])
             for x in (f"{d}/q8.gguf", reference(name, "Q8_0"))]
    expect("Q8_0: everything else of the file is the same", about[0] == about[1],
           set(about[0]) ^ set(about[1]))
    works("merge", "merge", reference(name, "Q8_0"), f"{d}/adapter", "-o", f"{d}/q8/")
    expect("from Q8_0 to a folder: BF16", safetensors(f"{d}/q8")["lm_head.weight"][0] == "BF16")


def types(model):
    """{tensor: its format}"""
    lines = feitian("inspect", model, "--tensors").stdout.decode().splitlines()
    return dict(line.split()[:2] for line in lines if line.startswith("  blk.")
                or line.startswith("  output") or line.startswith("  token_embd"))


def few_bits(d):
    """An adapter whose numbers are small beside the steps of its base is not rounded away."""
    for name, kind in (("llama-s", "Q4_0"), ("qwen3-k", "Q4_K"), ("llama-k", "IQ4_XS")):
        base = reference(name, kind)
        made = peft_file.adapter(shapes_of(name, ("self_attn.v_proj", "mlp.up_proj")), size=0.03)
        peft_file.write(f"{d}/adapter", made)
        works("merge", "merge", base, f"{d}/adapter", "-o", f"{d}/few.gguf")
        was, now = types(base), types(f"{d}/few.gguf")
        changed = {t for t in was if was[t] != now[t]}
        expect(f"{kind}: what changes becomes Q8_0, nothing else", {now[t] for t in changed} ==
               {"Q8_0"} and {t.split(".")[2] for t in changed} == {"attn_v", "ffn_up"} and
               len(changed) == len(made[1]), (was, now))
        feitian("merge", base, f"{d}/adapter", "-o", f"{d}/all.gguf", "--type", "F32")
        plain, want, got = (logits(m, d) for m in (base, f"{d}/all.gguf", f"{d}/few.gguf"))
        expect(f"{kind}: the adapter is in the result", far(got, want) < far(plain, want) / 3,
               (far(got, want), far(plain, want)))
        works("merge", "merge", base, f"{d}/adapter", "-o", f"{d}/few.gguf", "--type", "Q4_0")
        expect(f"{kind}: a type that is asked for stands",
               types(f"{d}/few.gguf")["blk.0.attn_v.weight"] == "Q4_0")


def shards(d):
    name = "qwen3-k"
    hf_file.write(f"{d}/base", reference(name))
    made = peft_file.adapter(shapes_of(name))
    peft_file.write(f"{d}/adapter", made)
    works("merge", "merge", f"{d}/base", f"{d}/adapter", "-o", f"{d}/sharded/", "--shard-mb", "1")
    works("merge", "merge", f"{d}/base", f"{d}/adapter", "-o", f"{d}/whole/")
    files = [f for f in os.listdir(f"{d}/sharded") if f.endswith(".safetensors")]
    sizes = [os.path.getsize(f"{d}/sharded/{f}") for f in files]
    with open(f"{d}/sharded/model.safetensors.index.json", encoding="utf-8") as f:
        index = json.load(f)
    tensors = safetensors(f"{d}/sharded")
    expect("shards: their sizes", len(files) > 3 and max(sizes) < 1.02e6, sizes)
    expect("shards: the index", set(index["weight_map"]) == set(tensors) and
           index["metadata"]["total_size"] == sum(len(t[2]) for t in tensors.values()))
    expect("shards: the same tensors as one file", tensors == safetensors(f"{d}/whole"))


def round_trip(d, what, gguf, tight=True):
    """GGUF to folder to GGUF: the same logits, the same ids."""
    subprocess.run(["rm", "-rf", f"{d}/folder"], check=True)
    if not works(what, "convert", gguf, "-o", f"{d}/folder/") or \
            not works(what, "convert", f"{d}/folder", "-o", f"{d}/back.gguf"):
        return
    a, b, c = (logits(m, d) for m in (gguf, f"{d}/folder", f"{d}/back.gguf"))
    same = far(b, c) == far(a, b) == 0 if tight else far(b, c) < 1e-6 and far(a, b) < 0.02
    expect(f"{what}: logits through a folder and back", same, f"{far(a, b):.1e} {far(b, c):.1e}")
    for args in (["--bos", "--eos"], ["--special"]):
        ids = [feitian("tokenize", m, *args, stdin=TEXT + b" <eos> </s>").stdout
               for m in (gguf, f"{d}/folder", f"{d}/back.gguf")]
        expect(f"{what}: tokenize {args[0]}", ids[0] and ids[0] == ids[1] == ids[2], ids)


def folders(d):
    for arch in ("llama", "qwen2", "qwen3", "qwen3moe"):
        for size in "sk":
            round_trip(d, f"{arch}-{size}", reference(f"{arch}-{size}"))
    round_trip(d, "BF16", reference("llama-s", "BF16"))
    round_trip(d, "Q4_K", reference("llama-k", "Q4_K"), tight=False)
    round_trip(d, "SentencePiece", STORY)
    meta, tensors = gguf_file.read(reference("llama-s"))
    for pre in ("gpt-2", "llama-bpe", "smaug-bpe", "qwen35", "gpt-4o", "deepseek-llm",
                "deepseek-coder", "deepseek-v3", "starcoder", "default"):
        changed = dict(meta)
        changed["tokenizer.ggml.pre"] = 8, pre.encode()
        del changed["tokenizer.ggml.add_bos_token"]  # by the family
        gguf_file.write(f"{d}/pre.gguf", changed, tensors)
        round_trip(d, pre, f"{d}/pre.gguf")
        name = gguf_file.read(f"{d}/back.gguf")[0]["tokenizer.ggml.pre"][1].decode()
        expect(f"{pre}: the pre-tokenizer's name", name == pre, name)


def llama3_factors(n_rot, theta, factor=8, low=1, high=4, old=8192):
    f = []
    for i in range(n_rot // 2):
        wave = 2 * numpy.pi * theta ** (2 * i / n_rot)
        smooth = (old / wave - low) / (high - low)
        f.append(1 if wave < old / high else factor if wave > old / low
                 else 1 / ((1 - smooth) / factor + smooth))
    return numpy.array(f, "<f4")


def configurations(d):
    """What config.json says beside the shape."""
    meta, tensors = gguf_file.read(reference("llama-s"))
    more = {
        "linear": {"llama.rope.scaling.type": (8, b"linear"),
                   "llama.rope.scaling.factor": (6, 4.0)},
        "yarn": {"llama.rope.scaling.type": (8, b"yarn"), "llama.rope.scaling.factor": (6, 4.0),
                 "llama.rope.scaling.original_context_length": (4, 64),
                 "llama.rope.scaling.attn_factor": (6, 1.25),
                 "llama.rope.scaling.yarn_beta_fast": (6, 16.0)},
    }
    for what, keys in more.items():
        gguf_file.write(f"{d}/x.gguf", {**meta, **keys}, tensors)
        round_trip(d, what, f"{d}/x.gguf", tight=what != "yarn")  # a factor of a factor
    theta = {"llama.rope.freq_base": (6, 500000.0)}
    factors = {"rope_freqs.weight": llama3_factors(16, 500000)}
    gguf_file.write(f"{d}/x.gguf", {**meta, **theta}, {**tensors, **factors})
    round_trip(d, "llama3", f"{d}/x.gguf", tight=False)
    with open(f"{d}/folder/config.json", encoding="utf-8") as f:
        scaling = json.load(f)["rope_scaling"]
    expect("llama3: rope_scaling", scaling == {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}, scaling)
    strange = {"rope_freqs.weight": numpy.array([1, 1, 1, 2, 3, 3, 3, 3], "<f4")}
    gguf_file.write(f"{d}/x.gguf", {**meta, **theta}, {**tensors, **strange})
    fails("other frequency factors are refused", 2, ["rope_freqs.weight"], "convert",
          f"{d}/x.gguf", "-o", f"{d}/none/")
    talk = {"tokenizer.chat_template": (8, "{{ 'ü' }}\n".encode()),
            "tokenizer.chat_template.tool_use": (8, b"{{ tools }}"),
            "tokenizer.ggml.eot_token_id": (4, 287), "general.sampling.temp": (6, 0.6),
            "general.sampling.top_k": (5, 20)}
    gguf_file.write(f"{d}/x.gguf", {**meta, **talk}, tensors)
    round_trip(d, "chat", f"{d}/x.gguf")
    back = gguf_file.read(f"{d}/back.gguf")[0]
    same = [k for k in talk if "eot" not in k and back.get(k, (0, 0))[1] != talk[k][1]]
    temp = back.get("general.sampling.temp", (0, 0))[1]
    expect("templates and sampling come back", not same or
           (same == ["general.sampling.temp"] and abs(temp - 0.6) < 1e-6), same)
    expect("... and every id that ends an answer",
           sorted(back["tokenizer.ggml.eos_token_ids"][1][1]) == [287, 288])
    greedy = {k: v for k, v in meta.items() if "bos_token" not in k}
    gguf_file.write(f"{d}/x.gguf", {**greedy, "general.sampling.temp": (6, 0.0)}, tensors)
    round_trip(d, "greedy", f"{d}/x.gguf")
    said = {}
    for file in ("config", "generation_config"):
        with open(f"{d}/folder/{file}.json", encoding="utf-8") as f:
            said[file] = json.load(f)
    expect("a temperature of 0 is said as transformers says it",
           said["generation_config"].get("do_sample") is False and
           "temperature" not in said["generation_config"] and
           gguf_file.read(f"{d}/back.gguf")[0].get("general.sampling.temp") == (6, 0.0), said)
    expect("no first token is said, not left to the class",
           all(x.get("bos_token_id", 0) is None for x in said.values()), said)
    fails("deepseek2 has no folder yet", 2, ["deepseek2"], "convert", reference("deepseek2-s"),
          "-o", f"{d}/none/")
    expect("nothing is left of a refusal", not any("none" in f for f in os.listdir(d)))


def refusals(d):
    name = "qwen3-s"
    made = peft_file.adapter(shapes_of(name, layers=1))
    base, a = reference(name), f"{d}/adapter"
    peft_file.write(a, made)
    fails("an adapter of another model", 2, ["q_proj.lora_A.weight", "its shape is [4, 64]",
                                             "blk.0.attn_q.weight [512, 256]"],
          "merge", reference("qwen3-k"), a, "-o", f"{d}/x.gguf")
    peft_file.write(a, made, modules_to_save=["lm_head"])
    fails("modules_to_save", 2, ["modules_to_save"], "merge", base, a, "-o", f"{d}/x.gguf")
    peft_file.write(a, made)
    hf_file.write(f"{d}/full", base)
    fails("a folder with files in it", 1, ["there are files in it"], "merge", base, a, "-o",
          f"{d}/full")
    fails("a type that folders lack", 2, ["F32, F16 or BF16"], "merge", base, a, "-o",
          f"{d}/new/", "--type", "Q4_0")
    fails("--pure with a folder", 2, ["--pure"], "merge", base, a, "-o", f"{d}/new/", "--pure",
          "--type", "F16")
    fails("no adapter", 1, ["adapter_config.json"], "merge", base, f"{d}/full", "-o",
          f"{d}/x.gguf")
    fails("usage", 2, ["BASE, ADAPTER"], "merge", base, "-o", f"{d}/x.gguf")
    expect("refusals leave nothing", not {"new", "x.gguf"} & set(os.listdir(d)), os.listdir(d))


def big_model(path):
    """About 250 MB of F32, made of one small block of numbers."""
    meta, _ = gguf_file.read(reference("llama-s"))
    width, wide, vocab, layers = 1024, 4096, 16384, 2
    meta = {**meta, "llama.embedding_length": (4, width), "llama.feed_forward_length": (4, wide),
            "llama.block_count": (4, layers), "llama.attention.head_count": (4, 16),
            "llama.attention.head_count_kv": (4, 16), "llama.attention.key_length": (4, 64),
            "llama.attention.value_length": (4, 64), "llama.rope.dimension_count": (4, 64),
            "llama.vocab_size": (4, vocab)}
    block = numpy.random.default_rng(1).normal(0, 0.02, (64, 4096)).astype("<f4")

    def matrix(rows, k):
        return numpy.resize(block, (rows, k))
    tensors = {"token_embd.weight": matrix(vocab, width), "output_norm.weight": matrix(1, width)[0],
               "output.weight": matrix(vocab, width)}
    for i in range(layers):
        for kind in ("attn_q", "attn_k", "attn_v", "attn_output"):
            tensors[f"blk.{i}.{kind}.weight"] = matrix(width, width)
        for kind in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{i}.{kind}.weight"] = matrix(1, width)[0]
        for kind in ("ffn_gate", "ffn_up"):
            tensors[f"blk.{i}.{kind}.weight"] = matrix(wide, width)
        tensors[f"blk.{i}.ffn_down.weight"] = matrix(width, wide)
    gguf_file.write(path, meta, tensors)
    shapes = {m.removesuffix(".weight"): a.shape for m, a in
              hf_file.weights(meta, tensors).items() if a.ndim == 2 and "layers" in m or
              m == "lm_head.weight"}
    return os.path.getsize(path), peft_file.adapter(shapes, r=8)


def peak_bytes(*args):
    """(status, most memory at once) of one command. ru_maxrss would count this process's memory,
    which the command shares until it is executed."""
    peak = 0
    with subprocess.Popen([sys.argv[1], *args], stdout=subprocess.DEVNULL) as p:
        while p.poll() is None:
            with open(f"/proc/{p.pid}/status", encoding="utf-8") as f:
                status = dict(line.split(":", 1) for line in f if ":" in line)
            if "feitian" in status["Name"] and "VmHWM" in status:
                peak = max(peak, int(status["VmHWM"].split()[0]) * 1024)
            time.sleep(0.001)
        return p.returncode, peak


def memory_and_kills(d):
    size, made = big_model(f"{d}/big.gguf")
    peft_file.write(f"{d}/adapter", made)
    merge = ["merge", f"{d}/big.gguf", f"{d}/adapter", "--threads", "2", "-o"]
    sanitized = b"__asan" in open(sys.argv[1], "rb").read()
    for out, more in (("out.gguf", ["--type", "Q8_0"]), ("out.gguf", []),
                      ("out/", ["--type", "BF16"])):
        status, peak = peak_bytes(*merge, f"{d}/{out}", *more)
        expect(f"merging {size >> 20} MiB to {out}: memory", status == 0 and
               (sanitized or 0 < peak < size / 4), f"{peak >> 20} MiB")
    status, peak = peak_bytes("convert", f"{d}/out", "-o", f"{d}/again.gguf", "--threads", "2")
    expect("converting a folder: memory", status == 0 and
           (sanitized or 0 < peak < size / 4), f"{peak >> 20} MiB")
    for sig in (signal.SIGKILL, signal.SIGTERM):
        for out in ("killed/", "killed.gguf"):
            before = set(os.listdir(d))
            with subprocess.Popen([sys.argv[1], *merge, f"{d}/{out}"]) as p:
                while p.poll() is None and set(os.listdir(d)) == before:
                    time.sleep(0.002)
                p.send_signal(sig)
                status = p.wait(timeout=60)
            left = set(os.listdir(d)) - before
            partial = {f"{out.rstrip('/')}.partial-{p.pid}"} if sig == signal.SIGKILL else set()
            expect(f"{sig.name} while {out} is written: nothing under its name",
                   status == -sig and left == partial, (status, left))
    left = [f for f in os.listdir(d) if "partial" in f]
    expect("what SIGKILL left behind is gone after the next of the same name", not left, left)


def main():
    if not os.path.exists(reference("llama-s")):
        print(f"SKIPPED: no reference models in {REF}")
        return 77
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for part in (architectures, experts, stored_types, few_bits, shards, folders, configurations,
                 refusals, memory_and_kills):
        with tempfile.TemporaryDirectory() as d:
            part(d)
    failed = results.count(False)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
