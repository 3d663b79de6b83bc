#!/usr/bin/python3
"""Generated JSON Schemas with generated instances: `feitian constrain` against Debian's
python3-jsonschema.

usage: schema_oracle.py FEITIAN [--seed N] [--count N] [--verbose]

What the oracle calls invalid must be rejected, always. What it calls valid may be rejected where
this program documents that it writes fewer texts (exponents of constrained numbers, integers with
a point), and must be accepted otherwise. Instances are made from the schema and then mutated, so
that most are nearly valid; they are written in several layouts.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("no python3-jsonschema: skipped")
    sys.exit(77)

CHECKER = jsonschema.FormatChecker(["date", "ipv4", "ipv6"])


# Debian's package leaves these to modules that it does not bring along.
@CHECKER.checks("uuid")
def is_uuid(v):
    hexes = "-".join("[0-9a-fA-F]{%d}" % n for n in (8, 4, 4, 4, 12))
    return not isinstance(v, str) or bool(re.fullmatch(hexes, v))


@CHECKER.checks("time")
def is_time(v):
    return not isinstance(v, str) or bool(
        re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)", v,
                     re.ASCII))


@CHECKER.checks("date-time")
def is_date_time(v):
    return not isinstance(v, str) or (
        v[10:11] in ("T", "t") and CHECKER.conforms(v[:10], "date") and is_time(v[11:]))


@CHECKER.checks("email")
def is_email(v):
    part = r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
    return not isinstance(v, str) or bool(re.fullmatch(r"[\w.+-]+@" + part, v, re.ASCII))


@CHECKER.checks("hostname")
def is_hostname(v):
    label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    return not isinstance(v, str) or bool(re.fullmatch(r"%s(\.%s)*" % (label, label), v))


KEYS = ["a", "b", "name", "id", "x-y", "ключ", "a\"b", "tab\tkey", "", "aa", "\U0001f600", "$ref"]
TEXTS = ["", "a", "ab", "abc", "abcdef", "0", "12", "-3", "é", "日本語", "\U0001f600x", "a\nb",
         "quote\"", "back\\slash", "\u007f", "A1", "foo-bar", "null", " ", "2024-02-29",
         "2023-02-29", "2024-13-01", "127.0.0.1", "256.1.1.1", "::1", "fe80::1%1", "x@y.org", "@",
         "12:00:00Z", "2024-01-01T00:00:00Z", "2024-01-01T24:00:00Z",
         "123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000", "example.org"]
NUMBERS = [0, 1, -1, 2, 3, 5, 7, 10, 15, 99, 100, -17, 0.5, 1.5, -0.25, 2.25, 3.0, 0.1, 0.3, 1e2,
           1e-3, 123456789012, 1e21, -2.5e-7, 9007199254740993]
PATTERNS = ["^a", "b$", "^[a-z]+$", "^\\d{2,4}$", "\\w", "^(foo|bar)-?", "^[^a-c]*$", "^.{1,3}$",
            "^a*b?$", "[A-Z]", "^\\s*$", "x|y|0", "^(?:ab|c)+$", "^\\S+@\\S+$", "(?=.*a)b", "^$",
            "^[\\u00e0-\\u00ff]", "\\bfoo\\b", "^(?!null)", "\\.", "^-?[0-9]+(\\.[0-9]+)?$"]
FORMATS = ["date", "date-time", "ipv4", "ipv6", "email", "uuid", "hostname", "time", "x-unknown"]


class Schemas:
    """Random schemas of the keywords that the engine enforces, one draw after another."""

    def __init__(self, rng):
        self.r = rng
        self.defs = []

    def root(self):
        self.defs = ["d%d" % i for i in range(self.r.choice([0, 0, 1, 2]))]
        s = self.any(3)
        if isinstance(s, bool):
            s = {} if s else {"not": {}}
        if self.defs:
            s["$defs"] = {d: self.any(2) for d in self.defs}
        return s

    def any(self, depth):
        r = self.r.random()
        if r < 0.03:
            return self.r.random() < 0.7
        if r < 0.12 and self.defs:
            return {"$ref": "#/$defs/" + self.r.choice(self.defs)}
        if depth > 0 and r < 0.32:
            return self.combined(depth - 1)
        if r < 0.42:
            return self.listed()
        kinds = [self.string, self.number, self.simple]
        if depth > 0:
            kinds += [self.object, self.array, self.object]
        s = self.r.choice(kinds)(depth)
        if self.r.random() < 0.15:
            s.update(self.r.choice(kinds)(depth))
            if isinstance(s.get("type"), str) and self.r.random() < 0.7:
                s["type"] = sorted({s["type"], self.r.choice(["null", "string", "object"])})
        if self.r.random() < 0.1:
            s["description"] = "says nothing"
        return s

    def some(self, of, least, most):
        return self.r.sample(of, min(len(of), self.r.randint(least, most)))

    def listed(self):
        if self.r.random() < 0.4:
            return {"const": value(self.r, 2)}
        return {"enum": [value(self.r, 1) for _ in range(self.r.randint(1, 4))]}

    def combined(self, depth):
        k = self.r.choice(["anyOf", "anyOf", "allOf", "oneOf", "not", "if"])
        if k == "not":
            return {"not": self.any(depth)}
        if k == "if":
            s = {"if": self.any(depth)}
            for part in self.some(["then", "else"], 1, 2):
                s[part] = self.any(depth)
            return s
        s = {k: [self.any(depth) for _ in range(self.r.randint(1, 3))]}
        if self.r.random() < 0.3:
            s["type"] = self.r.choice(["object", "string", "array", "integer"])
        return s

    def simple(self, _depth):
        return {"type": self.r.choice(["null", "boolean", "integer", "number", "string",
                                       ["integer", "null"], ["string", "boolean"]])}

    def bounds(self, s, lo, hi, most):
        a, b = self.r.randint(0, most), self.r.randint(0, most)
        if self.r.random() < 0.4:
            s[lo] = min(a, b)
        if self.r.random() < 0.4:
            s[hi] = max(a, b)

    def string(self, _depth):
        s = {"type": "string"} if self.r.random() < 0.9 else {}
        r = self.r.random()
        if r < 0.35:
            s["pattern"] = self.r.choice(PATTERNS)
        elif r < 0.6:
            s["format"] = self.r.choice(FORMATS)
        self.bounds(s, "minLength", "maxLength", 5)
        return s

    def number(self, _depth):
        s = {"type": self.r.choice(["number", "integer"])} if self.r.random() < 0.9 else {}
        for k in self.some(["minimum", "exclusiveMinimum"], 0, 1):
            s[k] = self.r.choice(NUMBERS)
        for k in self.some(["maximum", "exclusiveMaximum"], 0, 1):
            s[k] = self.r.choice(NUMBERS)
        if self.r.random() < 0.2:
            s["multipleOf"] = self.r.choice([1, 2, 3, 5, 10, 0.5, 0.25, 1.5])
        return s

    def object(self, depth):
        s = {"type": "object"} if self.r.random() < 0.9 else {}
        keys = self.some(KEYS, 0, 4)
        if keys:
            s["properties"] = {k: self.any(depth - 1) for k in keys}
        r = self.r.random()
        if r < 0.4:
            s["additionalProperties"] = False
        elif r < 0.55:
            s["additionalProperties"] = self.any(depth - 1)
        if self.r.random() < 0.2:
            s["patternProperties"] = {p: self.any(depth - 1) for p in self.some(PATTERNS, 1, 2)}
        if self.r.random() < 0.5:
            s["required"] = self.some(keys or KEYS, 0, 3)
        if self.r.random() < 0.2:
            self.bounds(s, "minProperties", "maxProperties", 4)
        if self.r.random() < 0.1:
            s["propertyNames"] = self.string(0)
        if self.r.random() < 0.1:
            s["dependentRequired"] = {self.r.choice(KEYS): self.some(KEYS, 1, 2)}
        if self.r.random() < 0.05:
            s["dependentSchemas"] = {self.r.choice(KEYS): self.any(depth - 1)}
        return s

    def array(self, depth):
        s = {"type": "array"} if self.r.random() < 0.9 else {}
        if self.r.random() < 0.25:
            s["prefixItems"] = [self.any(depth - 1) for _ in range(self.r.randint(1, 3))]
        if self.r.random() < 0.7:
            s["items"] = self.any(depth - 1)
        self.bounds(s, "minItems", "maxItems", 4)
        if self.r.random() < 0.1:
            s["uniqueItems"] = True
        if self.r.random() < 0.15:
            s["contains"] = self.any(depth - 1)
            if self.r.random() < 0.4:
                self.bounds(s, "minContains", "maxContains", 3)
        return s


def value(r, depth, nested=False):
    kinds = 7 if depth > 0 else 5
    k = r.randrange(kinds)
    if k == 0: # nested, the oracle takes True for 1
        return None if nested else r.choice([None, True, False])
    if k < 3:
        return r.choice(TEXTS)
    if k < 5:
        return r.choice(NUMBERS)
    if k == 5:
        return [value(r, depth - 1, True) for _ in range(r.randint(0, 3))]
    return {r.choice(KEYS): value(r, depth - 1, True) for _ in range(r.randint(0, 3))}


class Instances:
    """Values that a schema is likely to take."""

    def __init__(self, r, root):
        self.r, self.root = r, root

    def of(self, s, depth=0):
        r = self.r
        if isinstance(s, bool) or depth > 8 or not s:
            return value(r, 1)
        if "$ref" in s:
            return self.of(self.root["$defs"][s["$ref"].rsplit("/", 1)[1]], depth + 1)
        if "const" in s:
            return s["const"]
        if "enum" in s:
            return r.choice(s["enum"])
        for k in ("anyOf", "oneOf", "allOf"):
            if k in s and r.random() < 0.8:
                parts = [self.of(x, depth + 1) for x in s[k]]
                if k == "allOf" and all(isinstance(p, dict) for p in parts):
                    return {a: b for p in parts for a, b in p.items()}
                return r.choice(parts)
        for k in ("then", "else"):
            if k in s and r.random() < 0.5:
                return self.of(s[k], depth + 1)
        t = s.get("type")
        if isinstance(t, list):
            t = r.choice(t)
        if t is None:
            t = ("object" if {"properties", "required", "patternProperties"} & s.keys() else
                 "array" if {"items", "prefixItems", "contains"} & s.keys() else
                 "string" if {"pattern", "format", "minLength"} & s.keys() else "number")
        return getattr(self, "a_" + t)(s, depth)

    def a_null(self, _s, _d):
        return None

    def a_boolean(self, _s, _d):
        return self.r.random() < 0.5

    def a_string(self, s, _d):
        if "pattern" in s:
            fit = [t for t in TEXTS if re.search(s["pattern"], t)]
            if fit:
                return self.r.choice(fit)
        if "format" in s:
            return self.r.choice(TEXTS[19:])
        n = self.r.randint(s.get("minLength", 0), s.get("maxLength", s.get("minLength", 0) + 4) + 1)
        return "".join(self.r.choice("ab1é日\U0001f600\"\\\n ") for _ in range(n))

    def a_number(self, s, _d):
        near = [s[k] for k in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
                               "multipleOf") if k in s]
        if near and self.r.random() < 0.8:
            return self.r.choice(near) + self.r.choice([0, 0, 1, -1, 0.5, 2, 10])
        return self.r.choice(NUMBERS)

    def a_integer(self, s, d):
        v = self.a_number(s, d)
        return int(v) if self.r.random() < 0.9 and abs(v) < 1e15 else v

    def a_array(self, s, depth):
        first = s.get("prefixItems", [])
        n = self.r.randint(s.get("minItems", 0), s.get("maxItems", s.get("minItems", 0) + 3) + 1)
        v = []
        for i in range(n):
            how = first[i] if i < len(first) else s.get("items", True)
            if "contains" in s and self.r.random() < 0.3:
                how = s["contains"]
            v.append(self.of(how, depth + 1))
        return v

    def a_object(self, s, depth):
        r, v = self.r, {}
        keys = list(s.get("properties", {}))
        r.shuffle(keys)
        for k in keys:
            if k in s.get("required", []) or r.random() < 0.6:
                v[k] = self.of(s["properties"][k], depth + 1)
        for k in s.get("required", []):
            if k not in v and r.random() < 0.9:
                v[k] = value(r, 1)
        while len(v) < s.get("minProperties", 0) or r.random() < 0.2:
            v[r.choice(KEYS + TEXTS)] = self.of(s.get("additionalProperties", True), depth + 1)
        return v

    def mutate(self, v):
        r = self.r
        if isinstance(v, dict) and v and r.random() < 0.8:
            v = dict(v)
            k = r.choice(list(v))
            how = r.randrange(4)
            if how == 0:
                del v[k]
            elif how == 1:
                v[r.choice(KEYS)] = v[k]
            else:
                v[k] = self.mutate(v[k])
            return v
        if isinstance(v, list) and v and r.random() < 0.8:
            v = list(v)
            i = r.randrange(len(v))
            how = r.randrange(4)
            if how == 0:
                del v[i]
            elif how == 1:
                v.insert(i, v[i])
            else:
                v[i] = self.mutate(v[i])
            return v
        if isinstance(v, str) and r.random() < 0.7:
            i = r.randint(0, len(v))
            return v[:i] + r.choice(["", "a", "9", "é", "-", " ", "."]) + v[i + r.randint(0, 1):]
        if isinstance(v, (int, float)) and not isinstance(v, bool) and r.random() < 0.7:
            return v + r.choice([1, -1, 0.5, 0.25, 100, -v])
        return value(r, 1)


def ecma(s):
    """The schema with its patterns as ECMA-262 reads them: classes are ASCII, $ is the very end."""
    if isinstance(s, list):
        return [ecma(x) for x in s]
    if not isinstance(s, dict):
        return s
    t = {k: ecma(v) for k, v in s.items() if k not in ("enum", "const")}
    t.update({k: s[k] for k in ("enum", "const") if k in s})
    if isinstance(s.get("pattern"), str):
        t["pattern"] = "(?a:%s)" % s["pattern"].replace("$", "\\Z")
    if isinstance(s.get("patternProperties"), dict):
        t["patternProperties"] = {"(?a:%s)" % k.replace("$", "\\Z"): v
                                  for k, v in t["patternProperties"].items()}
    return t


LAYOUTS = [dict(separators=(",", ":")), dict(), dict(ensure_ascii=False),
           dict(ensure_ascii=False, separators=(",", ":"))]


def documented(text, data, schema):
    """A valid text that this program may refuse: see number.h and README.md of engine/constrain."""
    words = json.dumps(schema)
    if re.search(r"[0-9][eE][-+]?[0-9]|-0(\.0)?[^0-9.]|\.0[^0-9]", text + " "):
        return True
    return "uniqueItems" in words and ("{" in text or "[" in text[1:])


def judge(feitian, path, lines):
    got = subprocess.run([feitian, "constrain", "--schema", path], input="\n".join(lines) + "\n",
                         capture_output=True, text=True, timeout=60)
    return got.returncode, got.stdout.split(), got.stderr.strip()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("feitian")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--count", type=int, default=400)
    p.add_argument("--verbose", action="store_true")
    o = p.parse_args()
    tally = dict(schemas=0, refused=0, texts=0, valid=0, bad=0, missed=0, excused=0)
    why = {}
    with tempfile.TemporaryDirectory() as tmp:
        path = os.path.join(tmp, "schema.json")
        for i in range(o.count):
            r = random.Random("%d/%d" % (o.seed, i))
            schema = Schemas(r).root()
            with open(path, "w", encoding="utf-8") as f:
                json.dump(schema, f, ensure_ascii=r.random() < 0.5)
            made = Instances(r, schema)
            lines, data = [], []
            for _ in range(12):
                v = made.of(schema)
                for _ in range(r.randrange(3)):
                    v = made.mutate(v)
                lines.append(json.dumps(v, **r.choice(LAYOUTS)))
                data.append(v)
            oracle = jsonschema.Draft202012Validator(ecma(schema), format_checker=CHECKER)
            code, got, said = judge(o.feitian, path, lines)
            tally["schemas"] += 1
            if code != 0:
                if code != 2 or not said:
                    print("case %d: status %d: %s\n  %s" % (i, code, said, json.dumps(schema)))
                    tally["bad"] += 1
                tally["refused"] += 1
                word = re.sub(r" at #\S*", "", said.split("constrain: ")[-1])[:60]
                why[word] = why.get(word, 0) + 1
                continue
            for line, v, verdict in zip(lines, data, got):
                try:
                    valid = oracle.is_valid(v)
                except (RecursionError, OverflowError):
                    continue
                tally["texts"] += 1
                tally["valid"] += valid
                if not valid and verdict == "accept":
                    tally["bad"] += 1
                    print("case %d: ACCEPTED %s\n  %s" % (i, line, json.dumps(schema)))
                if valid and verdict == "reject":
                    if documented(line, v, schema):
                        tally["excused"] += 1
                        continue
                    tally["missed"] += 1
                    if o.verbose:
                        print("case %d: rejected %s\n  %s" % (i, line, json.dumps(schema)))
    print(tally)
    if o.verbose:
        for k in sorted(why, key=why.get, reverse=True):
            print("%5d %s" % (why[k], k))
    enough = tally["missed"] <= tally["valid"] // 100
    return 0 if tally["bad"] == 0 and enough and tally["valid"] > tally["texts"] // 5 else 1


if __name__ == "__main__":
    sys.exit(main())
