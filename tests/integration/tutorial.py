#!/usr/bin/python3
"""The fine-tuning tutorial does what it says: its commands run one block after the other, as a
reader would type them, and what it shows of their output is what they print.

A text block below commands: each of its lines must be printed, in order; "..." stands for any text.
Figures of a training run (times, rates, memory) may differ, answers may not.

usage: tutorial.py FEITIAN PROJECT
"""
import os
import re
import subprocess
import sys
import tempfile
import time

from train_made import expect, finish

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
MARK = "-- end of the block --"


def blocks(path):
    """[(commands, shown text or None)]"""
    with open(path, encoding="utf-8") as f:
        found = BLOCK.findall(f.read())
    out = []
    for kind, text in found:
        if kind == "sh":
            out.append([text, None])
        elif kind == "text":
            out[-1][1] = text
    return out


def pattern(line, figures):
    """A regular expression for a shown line."""
    parts = [re.escape(part) for part in line.split("...")]
    if figures:
        # a time has as many parts as the machine needs
        parts = [re.sub(r"\d+s(?=,|$)", "TIME", part) for part in parts]
        parts = [re.sub(r"\d(\d|,|\\\.)*( (MB|GB|kB))?", r"[\\d.,]+( .B)?", part) for part in parts]
        parts = [part.replace("TIME", r"(\d+h )?(\d+m )?\d+s") for part in parts]
    return ".*".join(parts)


def shown(text, output, figures):
    """The shown lines that are not in the output in their order."""
    at, missing = 0, []
    for line in text.splitlines():
        m = re.compile(f"^{pattern(line, figures)}$", re.M).search(output, at)
        if line != "..." and m is None:
            missing.append(line)
        elif line != "...":
            at = m.end()
    return missing


def main():
    feitian, project = (os.path.abspath(p) for p in sys.argv[1:3])
    if not os.path.exists(f"{project}/models/nano.gguf"):
        print("no models/nano.gguf: skipped")
        return 77
    with tempfile.TemporaryDirectory() as d:
        os.makedirs(f"{d}/build")
        os.symlink(feitian, f"{d}/build/feitian")
        os.symlink(f"{project}/models", f"{d}/models")
        steps = blocks(f"{project}/docs/fine-tuning.md")
        script = "set -e\n" + "".join(f"{commands}echo '{MARK}'\n" for commands, _ in steps)
        began = time.monotonic()
        r = subprocess.run(["bash"], input=script.encode(), cwd=d, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=900)
        output = r.stdout.decode(errors="replace")
        parts = output.split(MARK + "\n")
        expect("every command succeeds", r.returncode == 0 and len(parts) == len(steps) + 1, output)
        for (commands, text), part in zip(steps, parts):
            if text is not None:
                missing = shown(text, part, "feitian train" in commands)
                expect(f"what is shown is printed: {commands.splitlines()[0][:60]}", not missing,
                       (missing, part))
        expect("something is shown", sum(text is not None for _, text in steps) >= 4)
        left = ("office/adapter/adapter_model.safetensors", "office/metrics.jsonl", "office.gguf",
                "office-validated/run.json", "office-validated/adapter/adapter_config.json")
        expect("the files that it names are there", all(os.path.exists(f"{d}/{x}") for x in left))
        print(f"it took {time.monotonic() - began:.0f} s")
    return finish()


if __name__ == "__main__":
    sys.exit(main())
