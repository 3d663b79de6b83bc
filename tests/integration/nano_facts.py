#!/usr/bin/python3
"""The commands that nano's answers name are commands of the program, with the options they show.

usage: nano_facts.py FEITIAN
"""
import itertools
import json
import os
import re
import subprocess
import sys

FACTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../nano/corpus/facts.json")


def help_of(feitian, words):
    """The help that a command line's words belong to; None where there is no such command. A word
    in small letters is a command, or one below it ("key create")."""
    command = list(itertools.takewhile(lambda word: re.fullmatch("[a-z]+", word), words[:2]))
    run = subprocess.run([feitian, *command, "--help"], capture_output=True, text=True, timeout=60)
    return run.stdout if run.returncode == 0 else None


def fault(feitian, text):
    program, *words = text.split()
    if program != "feitian":
        return "is not about feitian"
    options = [word for word in words if word.startswith("-")]
    shown = help_of(feitian, [word for word in words if word not in options])
    if shown is None:
        return "no such command"
    for option in options:
        if option != "--help" and option not in shown.replace(",", " ").split():
            return f"no option {option}"
    return None


def main():
    feitian = sys.argv[1]
    with open(FACTS, encoding="utf-8") as file:
        commands = json.load(file)["commands"]
    faults = {name: what for name, text in commands.items() if (what := fault(feitian, text))}
    # so that this test can fail
    for wrong in ("feitian fly MODEL", "feitian run MODEL --fly", "feitian key fly"):
        if fault(feitian, wrong) is None:
            faults[wrong] = "passes"
    for name, what in faults.items():
        print(f"FAIL {name}: {commands.get(name, name)}: {what}")
    print(f"{len(commands) - len(faults)} passed, {len(faults)} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
