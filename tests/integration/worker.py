#!/usr/bin/python3
"""`feitian worker` over its socket: every route, every parameter, answers that go on after a cut.

usage: worker.py FEITIAN NANO
"""
import base64
import json
import math
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time

import gguf_file
import peft_file
from worker_client import Worker

REF = os.environ.get("FT_REF", "../shared/ref")
STORY = f"{REF}/stories/stories260K-F32.gguf"
# says how calls are written (Hermes), and may open a section of reasoning
TEMPLATE = b"""{{ bos_token }}{% if tools %}Tools as <tool_call>: {{ tools | tojson }}
{% endif %}{% for m in messages %}{{ m.role }}: {{ m.content }}
{% endfor %}{% if add_generation_prompt %}assistant:{% if enable_thinking %} <think>
{% endif %}{% endif %}"""
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
ASK = [{"role": "user", "content": "One day, a dog named Max"}]
INNER = {"id": "req_test1", "salt": "p1", "caller": "p1", "weight": 1.0, "priority": 0}
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["name", "age"],
          "properties": {"name": {"type": "string", "maxLength": 8},
                         "age": {"type": "integer", "minimum": 0, "maximum": 99}}}
TOOLS = [{"type": "function", "function": {"name": n, "parameters": {
    "type": "object", "additionalProperties": False, "required": ["to"],
    "properties": {"to": {"$ref": "#/$defs/place"}},
    "$defs": {"place": {"enum": ["Rome", "Oslo"]}}}}} for n in ("fly", "walk")]
STRICT = [{**TOOLS[0], "function": {**TOOLS[0]["function"], "strict": True}}]
results = []


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else str(detail)[:1500]}", flush=True)


def text_of(answer):
    return [c["message"]["content"] if "message" in c else c["text"] for c in answer["choices"]]


def joined(events, index=0):
    """What a stream said of a choice."""
    said = {"content": "", "reasoning": "", "args": "", "name": "", "finish": None}
    for e in events:
        for c in e.get("choices", []):
            if c["index"] != index:
                continue
            d = c.get("delta", {})
            said["content"] += d.get("content") or c.get("text") or ""
            said["reasoning"] += d.get("reasoning_content") or ""
            for call in d.get("tool_calls", []):
                said["name"] += call["function"].get("name") or ""
                said["args"] += call["function"].get("arguments") or ""
            said["finish"] = c.get("finish_reason") or said["finish"]
    return said


def chat(w):
    ask = {"model": "story", "messages": ASK, "max_tokens": 30, "temperature": 0}
    status, a, _ = w.post(CHAT, **ask)
    expect("a chat answers", status == 200 and a["object"] == "chat.completion" and
           a["choices"][0]["finish_reason"] == "length" and len(text_of(a)[0]) > 20 and
           a["usage"]["completion_tokens"] == 30, a)
    greedy, prompt_tokens = text_of(a)[0], a["usage"]["prompt_tokens"]
    events = w.stream(CHAT, **ask)
    expect("a stream says the same", joined(events)["content"] == greedy, events)
    expect("and ends the same", joined(events)["finish"] == "length")
    usage = w.stream(CHAT, stream_options={"include_usage": True}, **ask)[-1]
    expect("usage comes when it is asked for", usage["choices"] == [] and
           usage["usage"]["completion_tokens"] == 30, usage)
    expect("tokens are counted beforehand", w.post("/feitian/count", model="story", messages=ASK)[1]
           .get("prompt_tokens") == prompt_tokens)
    ask.update(temperature=1, seed=5, n=3)
    three = text_of(w.post(CHAT, **ask)[1])
    expect("n choices, a seed repeats", three == text_of(w.post(CHAT, **ask)[1]) and
           len(set(three)) == 3, three)
    del ask["seed"]
    expect("without a seed they differ", text_of(w.post(CHAT, **ask)[1]) != three)
    ask.update(temperature=0, n=1)
    stop = greedy[12:18]
    a = w.post(CHAT, stop=[stop, "never"], **ask)[1]
    expect("a stop string ends the text before it", text_of(a)[0] == greedy[:greedy.index(stop)] and
           a["choices"][0]["finish_reason"] == "stop", a)
    a = w.post(CHAT, logprobs=True, top_logprobs=2, **ask)[1]
    lp = a["choices"][0]["logprobs"]["content"]
    expect("log-probabilities of every token", len(lp) == 30 and
           "".join(x["token"] for x in lp) == greedy and all(
               len(x["top_logprobs"]) == 2 and x["logprob"] <= 0 and
               bytes(x["bytes"]).decode() == x["token"] for x in lp), lp)
    expect("max_completion_tokens counts", len(text_of(w.post(
        CHAT, model="story", messages=ASK, max_completion_tokens=5, temperature=0)[1])[0]) < 40)
    first = subprocess.run([sys.argv[1], "tokenize", STORY, "--ids"], input=greedy.encode(),
                           capture_output=True, check=True).stdout
    banned = {str(i): -100 for i in json.loads(first)[:3]}
    expect("logit_bias bans", text_of(w.post(CHAT, logit_bias=banned, **ask)[1])[0] != greedy)
    for field, value in (("presence_penalty", 2), ("frequency_penalty", 2),
                         ("repetition_penalty", 3), ("min_p", 0.5), ("top_k", 1)):
        status, a, _ = w.post(CHAT, **{**ask, field: value})
        differs = field.endswith("penalty")
        expect(f"{field} works", status == 200 and (text_of(a)[0] != greedy) == differs, a)
    a = w.post(CHAT, **{**ask, "model": "nano", "max_tokens": 60,
                        "messages": [{"role": "user", "content": "What is feitian?"}]})[1]
    expect("the shipped model answers", "cloud" in text_of(a)[0], a)


def constrained(w):
    ask = {"model": "story", "messages": ASK, "max_tokens": 90, "seed": 4}
    a = w.post(CHAT, response_format={"type": "json_object"}, **{**ask, "temperature": 0.3})[1]
    expect("json_object gives an object, or runs out", a["choices"][0]["finish_reason"] == "length"
           or isinstance(json.loads(text_of(a)[0]), dict), a)
    fmt = {"type": "json_schema", "json_schema": {"name": "who", "schema": SCHEMA}}
    v = json.loads(text_of(w.post(CHAT, response_format=fmt, **ask)[1])[0])
    expect("json_schema holds", set(v) == {"name", "age"} and 0 <= v["age"] <= 99, v)
    bad = {"type": "json_schema", "json_schema": {"name": "x", "schema": {
        "type": "object", "unevaluatedProperties": False}}}
    status, a, _ = w.post(CHAT, response_format=bad, **ask)
    expect("a keyword that is not enforced is refused by name", status == 400 and
           "unevaluatedProperties" in a["error"]["message"] and
           a["error"]["param"].startswith("response_format"), a)
    for choice in ("required", {"type": "function", "function": {"name": "walk"}}):
        a = w.post(CHAT, tools=TOOLS, tool_choice=choice, **ask)[1]
        calls = a["choices"][0]["message"].get("tool_calls") or [None]
        ok = calls[0] and len(calls) == 1 and calls[0]["id"].startswith("call_") and \
            json.loads(calls[0]["function"]["arguments"])["to"] in ("Rome", "Oslo") and \
            calls[0]["function"]["name"] in (("fly", "walk") if choice == "required" else ("walk",))
        expect(f"tool_choice {str(choice)[:8]} makes a call", ok and
               a["choices"][0]["finish_reason"] == "tool_calls", a)
    events = w.stream(CHAT, tools=TOOLS[:1], tool_choice="required", **ask)
    said = joined(events)
    expect("a forced call is streamed", said["name"] == "fly" and
           json.loads(said["args"])["to"] in ("Rome", "Oslo") and said["finish"] == "tool_calls"
           and said["content"] == "" and len(events) > 4, events)
    a = w.post(CHAT, tools=TOOLS, **ask)[1]
    expect("tool_choice auto may answer in words", text_of(a)[0] and
           a["choices"][0]["finish_reason"] in ("length", "stop"), a)
    expect("tool_choice none hides the tools", w.post(
        "/feitian/count", model="story", messages=ASK, tools=TOOLS, tool_choice="none")[1]
        ["prompt_tokens"] == w.post("/feitian/count", model="story", messages=ASK)[1]
        ["prompt_tokens"])
    a = w.post(CHAT, chat_template_kwargs={"enable_thinking": True}, logprobs=True, **ask)[1]
    m, usage = a["choices"][0]["message"], a["usage"]["completion_tokens_details"]
    expect("reasoning comes by itself and is counted", m.get("reasoning_content") and
           not m["content"] and usage["reasoning_tokens"] == 90, a)


def auto_call(w):
    """A model that is led to a call: all of it but a brace is given, and that is all it may say."""
    text = '<tool_call>\n{"name": "fly", "arguments": {"to": "Rome"}'
    ids = tokenize(text)
    brace = tokenize(text + "}")[-1]
    events = w.stream(CHAT, model="story", messages=ASK, tools=TOOLS, temperature=0,
                      logit_bias={str(brace): 100}, max_tokens=len(ids) + 1,
                      feitian={**INNER, "resume": [ids]})
    said = joined(events)
    expect("a call that the model writes is told when it is whole", said["name"] == "fly" and
           json.loads(said["args"]) == {"to": "Rome"} and said["content"] == "", events)


def led(w, text, **ask):
    """The answer behind a text that the model is made to begin with, streamed."""
    return joined(w.stream(CHAT, model="story", messages=ASK, seed=6, **{
        "max_tokens": 150, **ask, "feitian": {**INNER, "resume": [tokenize(text)]}}))


def calls_or_format(w):
    """Tools beside a format: a call or content that keeps it, as the model begins."""
    fmt = {"type": "json_schema", "json_schema": {"name": "who", "schema": SCHEMA}}
    ask = {"model": "story", "messages": ASK, "max_tokens": 150, "seed": 4, "tools": STRICT,
           "response_format": fmt}
    # what begins a call, as a piece and as a byte; before one newlines may stand
    to_call = {str(tokenize("<")[0]): 100}
    to_words = {str(t): -100 for t in (tokenize("<")[0], ord("<") + 3, ord("\n") + 3)}
    a = w.post(CHAT, logit_bias=to_words, **ask)[1]
    v = json.loads(text_of(a)[0])
    expect("tools beside a format: content keeps it", set(v) == {"name", "age"} and
           "tool_calls" not in a["choices"][0]["message"] and
           a["choices"][0]["finish_reason"] == "stop", a)
    a = w.post(CHAT, logit_bias=to_call, **ask)[1]
    m = a["choices"][0]["message"]
    expect("or calls are made", len(m["tool_calls"]) > 1 and
           all(json.loads(c["function"]["arguments"])["to"] in ("Rome", "Oslo") and
               c["function"]["name"] == "fly" for c in m["tool_calls"]), a)
    said = joined(w.stream(CHAT, logit_bias=to_words, **ask))
    expect("content by a format is streamed", json.loads(said["content"]) == v, said)
    said = joined(w.stream(CHAT, logit_bias=to_call, parallel_tool_calls=False, **ask))
    expect("one call at most, where that is asked", said["name"] == "fly" and
           said["finish"] == "tool_calls" and said["content"] == "", said)
    a = w.post(CHAT, tool_choice="required", **ask)[1]
    expect("where a call must come, the format says nothing",
           json.loads(a["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])["to"]
           in ("Rome", "Oslo"), a)
    for kind, text in (("json_object", None), ("regex", "(yes|no)"), ("gbnf", 'root ::= "yes"')):
        told = {"type": kind, **({kind: text} if text else {})}
        a = w.post(CHAT, logit_bias=to_words, **{**ask, "response_format": told,
                                                 "temperature": 0.3})[1]
        got = text_of(a)[0]
        expect(f"tools beside {kind}", a["choices"][0]["finish_reason"] == "length" or (
            got in ("yes", "no") if text else isinstance(json.loads(got), dict)), a)
    said = led(w, "hm <tool_call></think>", tools=TOOLS, response_format=fmt,
               reasoning_effort="low", logit_bias=to_words)
    expect("reasoning comes before either", set(json.loads(said["content"])) == {"name", "age"},
           said)
    goes_on(w, "a format beside tools", CHAT, logit_bias=to_words, **ask)
    goes_on(w, "a call beside a format", CHAT, logit_bias=to_call, **ask)


def strict_calls(w):
    """A strict function's arguments keep its schema, from the mark on that begins a call."""
    strict = STRICT + [{"type": "function", "function": {"name": "look"}}]
    text = 'So <tool_call>\n{"name": "fly'
    for mark in ("So <tool_call>", text):
        said = led(w, mark, tools=strict, parallel_tool_calls=False)
        expect(f"a strict call that begins {mark[-5:]!r} keeps its schema", json.loads(
            said["args"] or "{}").get("to" if said["name"] == "fly" else "", "Rome") in
            ("Rome", "Oslo") and said["finish"] == "tool_calls", said)
    said = led(w, text, tools=TOOLS, temperature=0)
    expect("one that is not strict is as the model writes it", said["name"] == "" and
           "fly" not in said["args"], said)
    said = led(w, "hm <tool_call>{</think>" + text, tools=strict, parallel_tool_calls=False,
               chat_template_kwargs={"enable_thinking": True})
    expect("in reasoning nothing is a call", said["name"] == "fly" and
           json.loads(said["args"])["to"] in ("Rome", "Oslo"), said)
    ask = {"model": "story", "messages": ASK, "max_tokens": 20, "temperature": 0}
    said = joined(w.stream(CHAT, tools=strict, **ask))
    expect("words are free", len(said["content"]) > 20 and said["finish"] == "length", said)
    bad = json.loads(json.dumps(strict))
    bad[0]["function"]["parameters"] = {"type": "object", "unevaluatedProperties": False}
    status, a, _ = w.post(CHAT, tools=bad, **ask)
    expect("a strict schema that is not enforced is refused by name", status == 400 and
           a["error"]["param"] == "tools[0].function.parameters" and
           "unevaluatedProperties" in a["error"]["message"], a)
    whole = led(w, text, tools=strict, parallel_tool_calls=False)
    ids = tokenize(text)
    events = w.stream(CHAT, model="story", messages=ASK, seed=6, max_tokens=150, tools=strict,
                      parallel_tool_calls=False, feitian={**INNER, "resume": [ids]})
    told = [t for e in events for t in e.get("feitian", {}).get("t", [])]
    for cut in (1, len(told) // 2, len(told) - 1):
        said = joined(w.stream(CHAT, model="story", messages=ASK, seed=6, max_tokens=150,
                               tools=strict, parallel_tool_calls=False,
                               feitian={**INNER, "resume": [ids + told[:cut]]}))
        expect(f"a strict call goes on, cut at {cut}", said["args"] == whole["args"] and
               said["finish"] == "tool_calls", (said, whole))


def tokenize(text):
    """As a text goes on: without the model's first token and its space."""
    out = subprocess.run([sys.argv[1], "tokenize", STORY, "--ids", "--no-special"],
                         input=b"\n" + text.encode(), capture_output=True, check=True).stdout
    ids = json.loads(out)
    newline = json.loads(subprocess.run(
        [sys.argv[1], "tokenize", STORY, "--ids", "--no-special"], input=b"\n",
        capture_output=True, check=True).stdout)
    assert ids[:len(newline)] == newline, (ids, newline)
    return ids[len(newline):]


# ---- answers that go on ----

def strip(event):
    """An event without what may differ between two workers."""
    e = {k: v for k, v in event.items() if k not in ("created", "usage")}
    for c in e.get("choices", []):
        c.get("delta", {}).pop("role", None)
        if not c.get("delta", {}).get("content", True):
            c["delta"].pop("content")  # the first says "" or null
    return e


def steps(events):
    """{choice: [events]} of those that have tokens, and the last event."""
    by_choice = {}
    told = [e["feitian"] for e in events if "p" in e.get("feitian", {})]
    if told and told[-1]["p"] != events[-1]["usage"]["prompt_tokens"]:
        expect("the prompt is told of early", False, (told, events[-1]))
    for e in events:
        if "i" in e.get("feitian", {}):
            e["feitian"].pop("p", None)
            e["feitian"].pop("c", None)
            by_choice.setdefault(e["feitian"]["i"], []).append(strip(e))
    return by_choice, events[-1]


def goes_on(w, what, path, **ask):
    events = w.stream(path, feitian=INNER, **ask)
    expect(f"{what}: the first step tells of the prompt", events[0]["feitian"].get("p", 0) > 0 and
           events[0]["feitian"]["c"] >= 0, events[0])
    whole, last = steps(events)
    count = sum(len(e["feitian"]["t"]) for es in whole.values() for e in es)
    expect(f"{what}: every token is told once", count == last["usage"]["completion_tokens"] and
           last["feitian"]["cpu_us"] > 0 and last["feitian"]["uj"] > 0, last)
    n = max(whole) + 1
    most = max(len(es) for es in whole.values())
    for cut in sorted({0, 1, 2, most // 3, most // 2, most - 1, most}):
        at = [min((cut + 2 * i) % (most + 1) if i else cut, len(whole[i])) for i in range(n)]
        resume = [[t for e in whole[i][:at[i]] for t in e["feitian"]["t"]] for i in range(n)]
        rest, end = steps(w.stream(path, feitian={**INNER, "resume": resume}, **ask))
        want = {i: whole[i][at[i]:] for i in range(n) if at[i] < len(whole[i])}
        expect(f"{what}: cut at {at}", rest == want and end["usage"]["completion_tokens"] == count
               and end["usage"]["prompt_tokens"] == last["usage"]["prompt_tokens"],
               (rest, want, end))


def resume(w):
    ask = {"model": "story", "messages": ASK, "max_tokens": 24, "temperature": 0}
    goes_on(w, "greedy", CHAT, **ask)
    goes_on(w, "sampled, n=3, penalties", CHAT, **{
        **ask, "temperature": 1.1, "seed": 9, "n": 3, "frequency_penalty": 0.7,
        "logprobs": True, "top_logprobs": 2})
    text = text_of(w.post(CHAT, **ask)[1])[0]
    goes_on(w, "stop string", CHAT, **{**ask, "stop": text[25:33]})
    fmt = {"type": "json_schema", "json_schema": {"name": "who", "schema": SCHEMA}}
    goes_on(w, "schema", CHAT, **{**ask, "temperature": 1, "seed": 3, "max_tokens": 90,
                                  "response_format": fmt, "n": 2})
    goes_on(w, "forced call", CHAT, **{**ask, "temperature": 1, "seed": 3, "max_tokens": 90,
                                       "tools": TOOLS, "tool_choice": "required"})
    goes_on(w, "completions with echo", TEXT, model="story", prompt=["One day", "A cat"], n=2,
            temperature=1, seed=2, max_tokens=8, echo=True, logprobs=2)
    goes_on(w, "unicode", CHAT, model="nano", messages=[{"role": "user", "content": "你好"}],
            max_tokens=30, temperature=0)
    bad = w.post(CHAT, feitian={**INNER, "resume": [[1], [2]]}, **ask)
    expect("too many choices to resume are refused", bad[0] == 400, bad)
    bad = w.post(CHAT, feitian={**INNER, "resume": [[99999]]}, **ask)
    expect("tokens that are none are refused", bad[0] == 400 and "resume" in str(bad[1]), bad)


# ---- the other routes ----

def completions(w):
    ask = {"model": "story", "max_tokens": 12, "temperature": 0}
    a = w.post(TEXT, prompt="One day, a dog", **ask)[1]
    one = text_of(a)[0]
    expect("a text goes on", a["object"] == "text_completion" and len(one) > 5, a)
    a = w.post(TEXT, prompt=["One day, a dog", "The cat"], n=2, **ask)[1]
    expect("several prompts, several choices", [c["index"] for c in a["choices"]] == [0, 1, 2, 3]
           and text_of(a)[0] == one == text_of(a)[1] and text_of(a)[2] != one, a)
    ids = json.loads(subprocess.run([sys.argv[1], "tokenize", STORY, "--bos"], check=True,
                                    input=b"One day, a dog", capture_output=True).stdout)
    expect("ids are a prompt too", text_of(w.post(TEXT, prompt=ids, **ask)[1]) == [one], ids)
    expect("and lists of ids", text_of(w.post(TEXT, prompt=[ids, ids], **ask)[1]) == [one, one])
    a = w.post(TEXT, prompt="One day", echo=True, logprobs=3, **ask)[1]
    lp = a["choices"][0]["logprobs"]
    expect("echo gives the prompt and its log-probabilities", text_of(a)[0].startswith("One day")
           and lp["token_logprobs"][0] is None and all(
               x <= 0 for x in lp["token_logprobs"][1:]) and len(lp["tokens"]) > 12 and
           len(lp["tokens"]) == len(lp["text_offset"]) == len(lp["top_logprobs"]) and
           all(len(t) >= 3 for t in lp["top_logprobs"][1:]), lp)
    z = w.post(TEXT, prompt="One day", echo=True, logprobs=3, model="story", max_tokens=0)[1]
    n = len(z["choices"][0]["logprobs"]["tokens"])
    expect("max_tokens 0 scores the prompt alone", text_of(z) == ["One day"] and
           z["choices"][0]["logprobs"]["token_logprobs"] == lp["token_logprobs"][:n] and
           z["usage"]["completion_tokens"] == 0, z)
    status, a, _ = w.post(TEXT, prompt="a", suffix="b", **ask)
    expect("suffix is refused by name", status == 400 and a["error"]["param"] == "suffix", a)


def vectors(w):
    path = "/v1/embeddings"
    texts = ["a dog", "a cat", "One day there was a house"]
    a = w.post(path, model="story", input=texts)[1]
    v = [d["embedding"] for d in a["data"]]
    expect("a vector of length 1 per text", len(v) == 3 and all(
        abs(math.sqrt(sum(x * x for x in e)) - 1) < 1e-3 for e in v) and
        a["usage"]["prompt_tokens"] > 3, a)
    costs = {"embeddings": a, "a count": w.post("/feitian/count", model="story", messages=ASK)[1]}
    b = w.post(path, model="story", input=texts[1], encoding_format="base64")[1]
    raw = base64.b64decode(b["data"][0]["embedding"])
    got = struct.unpack(f"<{len(raw) // 4}f", raw)
    expect("base64 is the same", max(abs(x - y) for x, y in zip(got, v[1])) < 1e-6)
    many = w.post(path, model="story", input=[f"text {i}" for i in range(100)])[1]
    expect("a hundred texts", len(many["data"]) == 100 and many["data"][99]["index"] == 99)
    status, a, _ = w.post(path, model="story", input="x", dimensions=3)
    expect("dimensions are refused by name", status == 400 and a["error"]["param"] == "dimensions")
    status, a, _ = w.post("/v1/rerank", model="nano", query="What is feitian?", top_n=2,
                          documents=["feitian is a cloud", "Rain is wet", "A dog"])
    expect("documents are ranked", status == 200 and len(a["results"]) == 2 and all(
        0 <= r["relevance_score"] <= 1 for r in a["results"]) and
        a["results"][0]["relevance_score"] >= a["results"][1]["relevance_score"], a)
    costs["ranks"] = a
    for what, answer in costs.items():
        cost = answer.get("feitian", {})
        expect(f"{what}: what it cost is told", cost.get("cpu_us", 0) > 0 and cost.get("uj", 0) > 0,
               answer)


def refused(w):
    ask = {"model": "story", "messages": ASK, "max_tokens": 3}
    for change, param in (
            ({"temperature": "warm"}, "temperature"), ({"temperature": 3}, "temperature"),
            ({"n": 0}, "n"), ({"n": 1000}, "n"), ({"top_logprobs": 3}, "top_logprobs"),
            ({"messages": []}, "messages"), ({"messages": "hi"}, "messages"),
            ({"messages": [{"role": "user"}]}, "messages[0].content"),
            ({"max_tokens": -1}, "max_tokens"), ({"stop": ["a"] * 20}, "stop"),
            ({"nonsense": 1}, "nonsense"), ({"tools": [{"type": "x"}]}, "tools[0].type"),
            ({"tool_choice": "required"}, "tool_choice"), ({"logit_bias": {"x": 1}}, "logit_bias"),
            ({"feitian": {"nonsense": 1}}, "feitian")):
        status, a, _ = w.post(CHAT, **{**ask, **change})
        e = (a or {}).get("error", {})
        expect(f"{json.dumps(change)[:40]} is refused", status == 400 and
               (e.get("param") or "").startswith(param) and
               e["type"] == "invalid_request_error" and "code" in e, (status, a))
    status, a, _ = w.post(CHAT, **{**ask, "model": "nobody"})
    expect("an unknown model is a 404", status == 404 and a["error"]["code"] == "model_not_found")
    long = [{"role": "user", "content": "word " * 5000}]
    status, a, _ = w.post(CHAT, **{**ask, "messages": long})
    expect("a prompt that is too long is refused, never cut", status == 400 and
           a["error"]["code"] == "context_length_exceeded", (status, a))
    for raw in (b"", b"{", b"[1]", b'{"model":"story","model":"x"}', b"\xff\xfe", b"[" * 5000):
        status, a, _ = w.ask("POST", CHAT, raw=raw)
        expect(f"body {raw[:12]} is refused", status == 400 and a["error"]["message"], (status, a))
    for method, path, want in (("GET", "/nowhere", 404), ("GET", CHAT, 405),
                               ("POST", "/feitian/nothing", 404), ("DELETE", "/v1/models", 404)):
        status, a, _ = w.ask(method, path)
        expect(f"{method} {path} is a {want}", status == want and a["error"]["message"], status)


def models(w):
    path = "/feitian/models"
    copy = f"{w.folder}/copy.gguf"
    shutil.copy(sys.argv[2], copy)
    w.add("org/copy", copy, n_ctx=128)
    w.add("org/copy", copy, n_ctx=128)
    expect("a model may be added again", True)
    status, a, _ = w.post(path, name="org/copy", path=os.path.abspath(sys.argv[2]))
    expect("another of its name may not", status == 409, a)
    known = w.ask("GET", "/v1/models/org/copy")
    expect("it is listed", known[0] == 200 and known[1]["id"] == "org/copy", known)
    expect("its context is as asked", w.post(CHAT, model="org/copy", messages=[
        {"role": "user", "content": "word " * 200}])[1]["error"]["code"] ==
        "context_length_exceeded")
    expect("it is loaded", w.post(f"{path}/org%2Fcopy/load")[0] == 200 and [
        m["state"] for m in w.health()["models"] if m["name"] == "org/copy"] == ["ready"])
    expect("and removed", w.ask("DELETE", f"{path}/org%2Fcopy")[0] == 200 and
           w.ask("DELETE", f"{path}/org%2Fcopy")[0] == 404 and
           w.post(CHAT, model="org/copy", messages=ASK)[0] == 404)
    for body, param in (({"name": "x", "path": "/etc/passwd"}, "path"), ({"name": "x"}, "path"),
                        ({"name": "", "path": copy}, "name"), ({"path": copy, "name": 5}, "name"),
                        ({"name": "x", "path": copy, "n_ctx": "y"}, "n_ctx"),
                        ({"name": "x", "path": copy, "more": 1}, "more"),
                        ({"name": "x", "path": f"{w.folder}/../../etc/passwd"}, "path")):
        status, a, _ = w.post(path, **body)
        expect(f"{str(body)[-40:]} is refused", status == 400 and param in a["error"]["message"],
               (status, a))
    with open(f"{w.folder}/bad.gguf", "wb") as f:
        f.write(b"GGUF" + b"\xff" * 200)
    status, a, _ = w.post(path, name="bad", path=f"{w.folder}/bad.gguf")
    expect("a broken file is refused", status >= 400 and a["error"]["message"], (status, a))


def adapters(w):
    path = "/feitian/adapters"
    shapes = {f"model.layers.{i}.self_attn.{m}_proj": (64, 64) for i in range(5) for m in "qo"}
    peft_file.write(f"{w.folder}/lora", peft_file.adapter(shapes, size=0.4))
    body = {"name": "story-lora", "model": "story", "path": f"{w.folder}/lora"}
    status, a, _ = w.post(path, **body)
    expect("an adapter is added, also twice", status == 200 and w.post(path, **body)[0] == 200, a)
    ask = {"prompt": "One day", "max_tokens": 12, "temperature": 0}
    one, other = (text_of(w.post(TEXT, model=m, **ask)[1]) for m in ("story", "story-lora"))
    expect("it answers by its own name, and otherwise than its model", one != other, (one, other))
    expect("it is told with its model", {"name": "story-lora", "model": "story",
                                         "path": body["path"]} in w.health()["adapters"])
    expect("an adapter of nobody is refused", w.post(path, **{**body, "name": "x", "model": "y"})[0]
           == 404)
    expect("it goes", w.ask("DELETE", f"{path}/story-lora")[0] == 200 and
           w.post(TEXT, model="story-lora", **ask)[0] == 404 and
           text_of(w.post(TEXT, model="story", **ask)[1]) == one)


def salts(w):
    """What one project has asked is in nobody else's cache."""
    ask = {"model": "story", "prompt": "Once upon a time there was a fish. " * 12, "max_tokens": 1}

    def cached(salt):
        events = w.stream(TEXT, feitian={**INNER, "salt": salt}, **ask)
        return events[-1]["usage"]["prompt_tokens_details"]["cached_tokens"]
    expect("a prompt is cached for its own project alone", [
        cached(s) > 0 for s in ("salt-a", "salt-a", "salt-b", "salt-b", "")] == [
            False, True, False, True, False])


# ---- clients ----

def open_stream(w, **ask):
    c = w.connection()
    c.request("POST", CHAT, json.dumps({**ask, "stream": True}),
              {"content-type": "application/json"})
    return c, c.getresponse()


def wait_until(fn, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until and not fn():
        time.sleep(0.05)
    return fn()


def clients(w):
    long = {"model": "story", "messages": ASK, "max_tokens": 1500, "temperature": 1, "n": 12,
            "min_tokens": 1500, "logprobs": True, "top_logprobs": 5}
    c, r = open_stream(w, **long)
    r.read(1000)
    expect("it runs", wait_until(lambda: w.health()["running"] + w.health()["paused"] > 0))
    c.sock.shutdown(socket.SHUT_RDWR)
    c.close()
    expect("a client that leaves is cancelled", wait_until(
        lambda: w.health()["running"] + w.health()["paused"] == 0), w.health())
    c, r = open_stream(w, **long)
    r.read(1000)
    expect("a client that does not read is paused", wait_until(
        lambda: w.health()["paused"] > 0 and w.health()["running"] == 0), w.health())
    status, a, _ = w.post(CHAT, model="story", messages=ASK, max_tokens=5)
    expect("others go on", status == 200, a)
    text = r.read()
    events = [json.loads(e[6:]) for e in text.split(b"\n\n")
              if e.startswith(b"data: {") and e.endswith(b"}")]
    ends = sum(1 for e in events for ch in e["choices"] if ch["finish_reason"] == "length")
    expect("and so does it, when it reads again", ends == 12 and b"[DONE]" in text, ends)
    c.close()


def endings(program):
    w = Worker(program, "--lease", "1", read=[sys.argv[2]])
    w.process.wait(timeout=120)
    status, err = w.stop()
    expect("a worker whose health nobody wants ends itself", status == 0 and "health" in err, err)
    w = Worker(program, read=[sys.argv[2], STORY], memory="256M")
    w.add("story", STORY)
    c = w.connection()
    c.request("POST", TEXT, json.dumps({"model": "story", "prompt": "One day", "max_tokens": 400,
                                        "stream": True, "min_tokens": 400}))
    r = c.getresponse()
    r.read(200)
    w.process.send_signal(signal.SIGTERM)
    rest = r.read()
    status, err = w.stop()
    expect("one that is told to end lets answers end first", rest.endswith(b"[DONE]\n\n") and
           status == 0, (rest[-200:], err))
    none = subprocess.run([program, "worker", "--read", "/tmp"], capture_output=True, check=False)
    expect("a worker without a socket says so", none.returncode == 2 and b"--socket" in none.stderr)


def main():
    if not os.path.exists(STORY):
        print("skipped: no reference data")
        return 77
    w = Worker(sys.argv[1], read=[sys.argv[2], REF])
    try:
        meta, tensors = gguf_file.read(STORY)
        meta["tokenizer.chat_template"] = gguf_file.STRING, TEMPLATE
        gguf_file.write(f"{w.folder}/story.gguf", meta, tensors)
        w.add("story", f"{w.folder}/story.gguf")
        w.add("nano", sys.argv[2])
        for part in (chat, constrained, auto_call, calls_or_format, strict_calls, resume,
                     completions, vectors, refused, models, adapters, salts,
                     clients):
            part(w)
    finally:
        status, err = w.stop()
    expect("nothing went wrong inside", status == 0 and "error" not in err, err)
    endings(sys.argv[1])
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
