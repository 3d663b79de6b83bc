#!/usr/bin/python3
"""Renders generated templates with Jinja2 and with the interpreter, and compares byte for byte.

usage: jinja_oracle.py JINJA_BATCH [--seed N] [--count N] [--verbose]

Jinja2 is set up as the transformers library does. The cases are a list of small ones, a feature
each (jinja_cases.py), and random ones from a grammar (jinja_random.py): the same for the same seed.
Where Jinja2 raises an exception, an error is expected, whatever its words; where it prints an
object's address, the case says nothing and is left out.
"""
import argparse
import copy
import json
import re
import subprocess
import sys
from datetime import datetime, timezone

try:
    import jinja2
    import jinja2.ext
    from jinja2.sandbox import ImmutableSandboxedEnvironment
except ImportError:
    print("no python3-jinja2: skipped")
    sys.exit(77)

import jinja_cases
import jinja_random

NOW = datetime(2024, 7, 26, 12, 0, 0)


class Generation(jinja2.ext.Extension):
    """{% generation %} as transformers' AssistantTracker parses it."""

    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_support")
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(lineno)

    def _support(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda format: NOW.strftime(format)
    return env


def expected(env, template, context):
    try:
        text = env.from_string(template).render(**copy.deepcopy(context))
        text.encode("utf-8")
        return {"output": text}
    except RecursionError:
        return None
    except Exception as e:  # anything a template can raise
        return {"error": f"{type(e).__name__}: {e}"}


ADDRESS = re.compile(r"0x[0-9a-f]{5,}|<bound method|<generator|<built-in", re.IGNORECASE)


def unsure(want, got):
    """Cases that say nothing: addresses in the output, whole numbers beyond 64 bits."""
    if want is None or ADDRESS.search(want.get("output", "")):
        return True
    return "exceeds 64 bits" in got.get("error", "") or "64-bit" in got.get("error", "")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("batch")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--count", type=int, default=4000)
    ap.add_argument("--verbose", action="store_true")
    a = ap.parse_args()
    cases = jinja_cases.cases() + jinja_random.cases(a.seed, a.count)
    now = int(NOW.replace(tzinfo=timezone.utc).timestamp())
    lines = [json.dumps({"template": t, "context": c, "now": now}) for t, c in cases]
    done = subprocess.run([a.batch], input="\n".join(lines) + "\n", capture_output=True, text=True,
                          check=False)
    got = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(got) != len(cases):
        n = len(got)
        print(f"{a.batch} ended with {done.returncode} after {n} of {len(cases)} cases")
        print(done.stderr[-2000:])
        if n < len(cases):
            print("the case:", repr(cases[n][0]))
        return 1
    env = environment()
    bad = left_out = errors = 0
    for (template, context), result in zip(cases, got):
        want = expected(env, template, context)
        if unsure(want, result):
            left_out += 1
            continue
        errors += "error" in want
        if "error" in want and "error" in result:
            continue
        if want == result:
            continue
        bad += 1
        if bad <= (1000 if a.verbose else 20):
            print(f"template {template!r}\n  jinja2  {want}\n  feitian {result}")
    print(f"{len(cases)} cases, {errors} of them errors, {left_out} left out, {bad} differ")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
