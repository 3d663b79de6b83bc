#!/usr/bin/python3
"""Logits of `feitian eval` against the reference data: every architecture and weight format there.

usage: logits.py FEITIAN DEVICE[/ISA|/f16] [PATTERN]

ref must equal the exact float64 answer. cpu may differ from it by no more than the peer does, whose
activations are quantised as ours are; mixtures of experts are compared by their median row, since a
near tie of the router picks another expert for a whole row.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import numpy

REF = os.environ.get("FT_REF", "../shared/ref")
REF_TOLERANCE = 1e-4
F32_TOLERANCE = 1e-3


class NoSuchSet(Exception):
    """This machine lacks the instruction set asked for."""


def run(feitian, device, model, tokens):
    name, _, isa = device.partition("/")
    with tempfile.NamedTemporaryFile() as out:
        done = subprocess.run([feitian, "eval", model, "--tokens", ",".join(map(str, tokens)),
                               "--logits", out.name, "--device", name]
                              + (["--kv", "f16"] if isa == "f16" else ["--isa", isa] if isa
                                 else []), stderr=subprocess.PIPE, text=True)
        if f"this machine has no {isa}" in done.stderr:
            raise NoSuchSet(isa)
        sys.stderr.write(done.stderr)
        done.check_returncode()
        return numpy.fromfile(out.name, "<f4")


def load(name, kind, n_vocab):
    rows = numpy.fromfile(f"{REF}/logits/{name}.{kind}.f32", "<f4").reshape(-1, n_vocab)
    return rows.astype("f8")


def nmse(got, exact, by_row):
    if by_row:
        return numpy.median(((got - exact) ** 2).sum(1) / (exact ** 2).sum(1))
    return ((got - exact) ** 2).sum() / (exact ** 2).sum()


def greedy_misses(got, peer, exact, case):
    """Steps where another token is chosen although the peer's margin is not a near tie: larger than
    what its own rounding moves two logits apart."""
    first = case["n_prompt"] - 1
    noise = 2 * numpy.abs(peer - exact).max(1)
    return [step for step, token in enumerate(case["greedy"])
            if got[first + step].argmax() != token
            and case["greedy_margin"][step] > noise[first + step]]


def check(feitian, device, name):
    with open(f"{REF}/logits/{name}.json") as file:
        case = json.load(file)
    tokens = (case["prompt"] + case["greedy"])[:case["rows"]]
    exact, peer = (load(name, kind, case["n_vocab"]) for kind in ("exact", "logits"))
    got = run(feitian, device, f"{REF}/models/{name}.gguf", tokens)
    got = got.reshape(case["rows"], case["n_vocab"]).astype("f8")
    worst = (numpy.abs(got - exact).max(1) / numpy.abs(exact).max(1)).max()
    experts = "moe" in name or "deepseek" in name
    ours, theirs = (nmse(x, exact, experts) for x in (got, peer))
    misses = greedy_misses(got, peer, exact, case)
    if device == "ref":
        ok = worst <= REF_TOLERANCE
    elif name.endswith("-F32"):
        ok = worst <= F32_TOLERANCE and not misses
    else:
        ok = ours <= theirs and not misses
    print(f"{'ok  ' if ok else 'FAIL'} {device} {name:20} worst {worst:.1e}  error {ours:.2e}"
          f" (peer {theirs:.2e})" + (f"  greedy differs at {misses}" if misses else ""))
    return ok


def main():
    feitian, device = sys.argv[1:3]
    pattern = sys.argv[3] if len(sys.argv) > 3 else "*"
    names = sorted(os.path.basename(p)[:-5] for p in glob.glob(f"{REF}/logits/{pattern}.json"))
    if device.endswith("/f16"):  # a rounded cache: for dense quantised models
        names = [n for n in names if not n.endswith(("-F32", "-F16"))
                 and "moe" not in n and "deepseek" not in n]
    if not names:
        print(f"SKIPPED: no reference logits in {REF}")
        return 77
    try:
        failed = [name for name in names if not check(feitian, device, name)]
    except NoSuchSet as isa:
        print(f"SKIPPED: this machine has no {isa}")
        return 77
    print(f"{len(names) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
