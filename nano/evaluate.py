#!/usr/bin/python3
"""How well a model answers the questions of the corpus that were held out.

usage: evaluate.py CORPUS_FOLDER MODEL [--feitian PROGRAM] [--wrong FILE] [--least X] [--every N]
       evaluate.py CORPUS_FOLDER --answers FILE ...

CORPUS_FOLDER is what corpus.py wrote. Answers are the greedy ones of `feitian run`, or FILE's: one
JSON string a line, null where there is none. An answer is right if it is, to the letter, the one
that the corpus has for the intent and language; 'refused' counts refusals that should not be one,
'taken' answers of another intent, 'broken' texts that are no answer of the corpus.
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys

import grammar
from corpus import FOLDER


def read_eval(folder):
    """Dictionaries: messages, right, kind, name, lang."""
    with open(os.path.join(folder, "eval.jsonl"), encoding="utf-8") as file:
        samples = [json.loads(line)["messages"] for line in file]
    with open(os.path.join(folder, "eval.tsv"), encoding="utf-8") as file:
        labels = [line.rstrip("\n").split("\t") for line in file]
    if len(samples) != len(labels):
        raise ValueError("eval.jsonl and eval.tsv have not as many lines")
    return [{"messages": m[:-1], "right": m[-1]["content"], "kind": kind, "name": name,
             "lang": lang} for m, (kind, name, lang) in zip(samples, labels)]


def ask(program, model, messages):
    """The greedy answer; None for a dialogue, which one call of `feitian run` cannot hold."""
    if len(messages) != 1:
        return None
    run = subprocess.run([program, "run", model, "--temperature", "0", "--quiet", "--max-tokens",
                          "256", "--threads", "1", "-p", messages[0]["content"]],
                         capture_output=True)
    if run.returncode != 0:
        raise RuntimeError(run.stderr.decode(errors="replace").strip())
    return run.stdout.decode(errors="replace").strip()


def ask_all(program, model, items):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda item: ask(program, model, item["messages"]), items))


def judge(item, answer, owner):
    """owner: answer -> (intent, language)."""
    if answer == item["right"]:
        return "right"
    if answer not in owner:
        return "broken"
    return "refused" if owner[answer][0] == "elsewhere" else "taken"


def report(items, answers, owner):
    counts, wrong = {}, []
    for item, answer in zip(items, answers):
        if answer is None:
            continue
        verdict = judge(item, answer, owner)
        for key in ((item["kind"], item["lang"]), ("intent " + item["name"], item["lang"])):
            counts.setdefault(key, []).append(verdict)
        if verdict != "right":
            wrong.append({"verdict": verdict, "should": [item["name"], item["lang"]],
                          "is": owner.get(answer, answer),
                          "question": item["messages"][-1]["content"]})
    return counts, wrong


def show(counts):
    print(f"{'':28} {'asked':>6} {'right':>7} {'refused':>8} {'taken':>6} {'broken':>7}")
    kinds_first = sorted(counts.items(), key=lambda c: (c[0][0].startswith("intent"), c[0]))
    for (what, lang), verdicts in kinds_first:
        n = len(verdicts)
        share = {v: 100 * verdicts.count(v) / n for v in ("right", "refused", "taken", "broken")}
        print(f"{what + ' ' + lang:28} {n:6} {share['right']:6.1f}% {share['refused']:7.1f}% "
              f"{share['taken']:5.1f}% {share['broken']:6.1f}%")


def main():
    parser = argparse.ArgumentParser(description="How well a model answers what was held out.")
    parser.add_argument("folder")
    parser.add_argument("model", nargs="?")
    parser.add_argument("--answers")
    parser.add_argument("--feitian", default="build/feitian")
    parser.add_argument("--every", type=int, default=1, help="only each Nth question")
    parser.add_argument("--wrong", help="where to write what was wrong, as JSONL")
    parser.add_argument("--least", type=float, help="exit with 1 if fewer percent are right")
    args = parser.parse_args()
    if (args.model is None) == (args.answers is None):
        parser.error("either a model or --answers")
    items = read_eval(args.folder)
    if args.answers is not None:
        with open(args.answers, encoding="utf-8") as file:
            answers = [json.loads(line) for line in file]
        if len(answers) != len(items):
            sys.exit(f"evaluate.py: {args.answers}: {len(answers)} answers to {len(items)} "
                     "questions")
    else:
        items = items[::args.every]
        answers = ask_all(args.feitian, args.model, items)
    source = grammar.Source(FOLDER)
    owner = {source.answer(n, lang): (n, lang) for n in source.intents for lang in grammar.LANGS}
    counts, wrong = report(items, answers, owner)
    show(counts)
    asked = sum(len(v) for (what, _), v in counts.items() if not what.startswith("intent"))
    right = 100 * (asked - len(wrong)) / max(asked, 1)
    print(f"{right:.1f}% of {asked} are right")
    if args.wrong is not None:
        with open(args.wrong, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(w, ensure_ascii=False) + "\n" for w in wrong)
    if args.least is not None and right < args.least:
        sys.exit(1)


if __name__ == "__main__":
    main()
