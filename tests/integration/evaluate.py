#!/usr/bin/python3
"""feitian evaluate: perplexity and the scores of choices against the logits that `feitian eval`
writes, exact match against what `feitian run` answers.

usage: evaluate.py FEITIAN
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy

import adapter as adapters

REF = os.environ.get("FT_REF", "../shared/ref")
STORY = f"{REF}/stories/stories260K-F32.gguf"
EOS = 2
PROMPT = "Once upon a time, there was"
TEMPLATE = ("{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}")
results = []


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok else ''}")


def feitian(*args, stdin=b""):
    return subprocess.run([sys.argv[1], *args], input=stdin, capture_output=True, timeout=300)


def evaluate(*args, **more):
    r = feitian("evaluate", *args, "--json", "--kv", "f32", **more)
    if r.returncode != 0:
        raise SystemExit(f"evaluate {args}: {r.stderr.decode()}")
    return json.loads(r.stdout)


def fails(what, status, words, *args, **more):
    r = feitian("evaluate", *args, **more)
    said = r.stderr.decode()
    expect(what, r.returncode == status and words in said and not r.stdout, (r.returncode, said))


def jsonl(d, name, *lines):
    with open(f"{d}/{name}", "w", encoding="utf-8") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    return f"{d}/{name}"


def ids(text, *flags):
    return json.loads(feitian("tokenize", STORY, *flags, stdin=text.encode()).stdout)


def answer_ids(prompt, answer):
    """The ids of an answer behind a prompt: no dummy space where it goes on."""
    whole, first = ids(prompt + answer, "--bos"), ids(prompt, "--bos")
    assert whole[:len(first)] == first, (prompt, answer)
    return whole[len(first):]


def nlls(d, tokens, model=STORY, *args):
    """-log p of each token but the first."""
    out = f"{d}/logits.f32"
    r = feitian("eval", model, "--tokens", ",".join(map(str, tokens)), "--logits", out, *args)
    assert r.returncode == 0, r.stderr
    x = numpy.fromfile(out, "<f4").reshape(len(tokens), -1).astype(float)[:-1]
    x -= x.max(axis=1, keepdims=True)
    return numpy.log(numpy.exp(x).sum(axis=1)) - x[numpy.arange(len(x)), tokens[1:]]


def close(a, b):
    return abs(a - b) < 1e-3


def perplexity(d):
    text, answer = "One day, a girl went to the park. She was happy.", " a little dog."
    data = jsonl(d, "p.jsonl", {"text": text}, {"prompt": PROMPT, "completion": answer})
    first, second = ids(text, "--bos") + [EOS], answer_ids(PROMPT, answer) + [EOS]
    prompt = ids(PROMPT, "--bos")
    want = [nlls(d, first).sum(), nlls(d, prompt + second)[len(prompt) - 1:].sum()]
    details = f"{d}/details.jsonl"
    got = evaluate(STORY, data, "--metric", "perplexity", "--details", details)
    n = len(first) - 1 + len(second)
    expect("tokens are the targets", got["tokens"] == n and got["samples"] == 2, got)
    expect("loss is the mean of the logits' own", close(got["loss"], sum(want) / n), (got, want))
    expect("perplexity is its exponential", close(got["perplexity"], numpy.exp(got["loss"])), got)
    with open(details, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    expect("details line by line", [x["line"] for x in lines] == [1, 2] and
           all(close(x["nll"], w) for x, w in zip(lines, want)), lines)
    expect("one at a time is the same", evaluate(STORY, data, "--metric", "perplexity",
                                                 "--parallel", "1") == got)
    expect("only the first", evaluate(STORY, data, "--metric", "perplexity", "--limit", "1")
           ["tokens"] == len(first) - 1)
    path = f"{d}/story.txt"
    with open(path, "w", encoding="utf-8") as f:
        f.write(text * 4)
    tokens, want = ids(text * 4, "--bos") + [EOS], 0
    for at in range(0, len(tokens) - 1, 15):
        want += nlls(d, tokens[at:at + 16]).sum()
    got = evaluate(STORY, path, "--ctx", "16")
    expect("a text in pieces, each token once", got["metric"] == "perplexity" and
           got["tokens"] == len(tokens) - 1 and close(got["loss"], want / got["tokens"]), got)
    fails("a sample longer than the context", 2, "p.jsonl:2: ", STORY, data, "--metric",
          "perplexity", "--ctx", "8")
    got = evaluate(STORY, data, "--metric", "perplexity", "--ctx", "8", "--too-long", "drop")
    expect("unless it may be dropped", got["samples"] > 1, got)


def exact(d):
    r = feitian("run", STORY, "--raw", "-p", PROMPT, "--temperature", "0", "--max-tokens", "9",
                "--quiet", "--kv", "f32")
    answer = r.stdout.decode().strip()
    data = jsonl(d, "e.jsonl", {"prompt": PROMPT, "completion": f"  {answer}\n"},
                 {"prompt": PROMPT, "completion": answer + "?"},
                 {"messages": [{"role": "user", "content": "hi"},
                               {"role": "assistant", "content": "no"}]})
    template = f"{d}/t.jinja"
    with open(template, "w", encoding="utf-8") as f:
        f.write(TEMPLATE)
    details = f"{d}/details.jsonl"
    got = evaluate(STORY, data, "--max-tokens", "9", "--chat-template", template, "--details",
                   details)
    expect("exact match is what run answers", got["metric"] == "exact" and got["samples"] == 3 and
           got["correct"] == 1 and close(got["accuracy"], 1 / 3) and got["cut"] == 3, got)
    with open(details, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    expect("the answers are told", lines[0]["got"] == answer and lines[1]["want"] == answer + "?"
           and [x["correct"] for x in lines] == [True, False, False], lines)
    fails("messages need a template", 2, "--chat-template", STORY, data)
    fails("a text asks nothing", 2, "t.jsonl:1: a text asks nothing", STORY,
          jsonl(d, "t.jsonl", {"text": "x y"}), "--metric", "exact")
    with open(f"{d}/t.txt", "w", encoding="utf-8") as f:
        f.write("x y")
    fails("a text's file has no lines", 2, "t.txt: a text asks nothing", STORY, f"{d}/t.txt",
          "--metric", "exact")


def choice(d):
    choices = ["girl named Lily", "cat", "xylophone"]
    context = ids(PROMPT + " a", "--bos")
    sums = [-nlls(d, context + answer_ids(PROMPT + " a", " " + c))[len(context) - 1:].sum()
            for c in choices]
    per_byte = [s / len(c) for s, c in zip(sums, choices)]
    best, best_per_byte = int(numpy.argmax(sums)), int(numpy.argmax(per_byte))
    question = {"prompt": PROMPT + " a", "choices": choices}
    data = jsonl(d, "c.jsonl", {**question, "answer": best},
                 {**question, "answer": "ABC"[best_per_byte]},
                 {**question, "answer": choices[2]},
                 {"question": "Who is it?", "choices": choices, "answer": 1})
    details = f"{d}/details.jsonl"
    got = evaluate(STORY, data, "--details", details)
    with open(details, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    expect("choices by sum and per byte", [(x["choice"], x["choice_per_byte"])
                                           for x in lines[:3]] == [(best, best_per_byte)] * 3,
           (lines, sums, per_byte))
    expect("answers as index, letter and text",
           [x["answer"] for x in lines] == [best, best_per_byte, 2, 1], lines)
    right = sum(x["answer"] == x["choice"] for x in lines)
    expect("they are counted", got["metric"] == "choice" and got["samples"] == 4 and
           got["correct"] == right and close(got["accuracy"], right / 4), got)
    nulls = jsonl(d, "nulls.jsonl", {"messages": None, **question, "answer": 1, "tools": None})
    expect("null is what is not there", evaluate(STORY, nulls)["samples"] == 1)
    fails("no question", 2, "none.jsonl: the data is empty", STORY, jsonl(d, "none.jsonl"),
          "--metric", "choice")
    for line, words in (({**question, "answer": 3}, "answer is no choice"),
                        ({**question}, "answer is missing"),
                        ({**question, "choices": ["a"], "answer": 0}, "choices are not an array"),
                        ({**question, "choices": ["a", 1], "answer": 0}, "choices[1]"),
                        ({"choices": choices, "answer": 0}, "prompt, question or messages"),
                        ({"messages": [{"role": "user", "content": "?"}], "choices": choices,
                          "answer": 0}, "--chat-template")):
        fails(f"bad choices: {words}", 2, "bad.jsonl:1: ", STORY, jsonl(d, "bad.jsonl", line))
        fails(f"and the reason: {words}", 2, words, STORY, f"{d}/bad.jsonl")


def adapter(d):
    data = jsonl(d, "a.jsonl", {"text": "One day, a girl went to the park. She was happy."})
    adapters.make(f"{d}/lora", STORY, f"{d}/merged.gguf", 0.002)
    base = evaluate(STORY, data)["loss"]
    beside, merged = evaluate(STORY, data, "--adapter", f"{d}/lora"), evaluate(f"{d}/merged.gguf",
                                                                              data)
    expect("an adapter counts as merged", close(beside["loss"], merged["loss"]) and
           not close(beside["loss"], base), (base, beside, merged))


def usage(d):
    data = jsonl(d, "u.jsonl", {"text": "One day."})
    fails("what is needed", 2, "MODEL and DATA are needed", STORY)
    fails("an unknown metric", 2, "--metric: 'bleu'", STORY, data, "--metric", "bleu")
    fails("a model that is not there", 1, "nothing.gguf", f"{d}/nothing.gguf", data)
    fails("data that is not there", 1, "nothing.jsonl", STORY, f"{d}/nothing.jsonl")
    fails("bad lines", 2, "bad.jsonl:2: text is not a string (and 1 more bad line)", STORY,
          jsonl(d, "bad.jsonl", {"text": "fine"}, {"text": 1}, {"text": 2}))
    r = feitian("evaluate", STORY, data)
    expect("a line for people", r.stdout.startswith(b"perplexity "), r)
    r = feitian("evaluate", STORY, "-", "--metric", "perplexity", stdin=b'{"text": "One day."}')
    expect("standard input", r.returncode == 0 and r.stdout.startswith(b"perplexity "), r)
    fails("which does not say what is meant", 2, "a metric must be chosen", STORY, "-")


def main():
    if not os.path.exists(STORY):
        print(f"SKIPPED: no reference models in {REF}")
        return 77
    with tempfile.TemporaryDirectory() as d:
        for part in (perplexity, exact, choice, adapter, usage):
            part(d)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
