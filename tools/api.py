#!/usr/bin/python3
"""Writes docs/api.md, the reference of the admin API, from src/control/openapi.json.

usage: api.py [--check] [ROOT]

The document is what control checks bodies and queries by, so the reference says the same.
Routes of other protocols are listed from the gateway's own tables. --check changes nothing: exit
1 if the file is not what would be written. One route is one section, so that changes of different
routes do not meet.
"""
import glob
import json
import os
import re
import sys

OUT = "docs/api.md"
ROW = re.compile(r'(?:\{|[A-Z]+\()"(GET|POST|PUT|PATCH|DELETE|HEAD|\*)",\s*"(/[^"]*)",\s*'
                 r'(?:"([^"]*)"|NULL)')
# all methods; the hub asks for its own rights
ANY = re.compile(r'^\s*(?:HUB|CONTENT)\("(/[^"]*)"\)', re.M)
METHODS = ("get", "post", "put", "patch", "delete")

HEAD = """# API reference

Made by `tools/api.py` from the OpenAPI document that the cloud itself checks requests by; a
running cloud serves it at `/api/v1/openapi.json`. Do not edit: change
`src/control/openapi.json`, then run `tools/api.py`.

Every request bears a key: `Authorization: Bearer sk-ft-...` (the first one is in
`credentials.json` of the cloud's folder). Bodies and answers are JSON; unknown fields and
parameters are refused with the name of the field. Errors have OpenAI's form, `{"error":
{"message", "type", "param", "code"}}`, and what belongs to another project is answered as if it
were not there. Lists are pages: `limit`, `after` (the last id that was seen), `has_more`. Times
are Unix seconds unless their name says otherwise; amounts of money are decimal strings in the
cloud's currency. The answer to a change comes when it holds everywhere.

Roles: a viewer reads; a developer also works with files, batches, fine-tuning and keys of its
own; an admin rules a project; an operator rules the cloud.
"""

GROUPS = (  # by the path's first part behind /api/v1 or /v1, in the order of the page
    ("me", "Who one is"), ("session", "Signing in"), ("sessions", "Signing in"),
    ("projects", "Projects"), ("members", "Members"), ("keys", "Keys"), ("models", "Models"),
    ("endpoints", "Endpoints"), ("prices", "Prices"), ("settings", "Settings"),
    ("usage", "Usage and cost"), ("requests", "Requests"), ("batches", "Batches"),
    ("organization", "Usage in OpenAI's form"), ("storage", "Objects"), ("s3", "Objects"),
    ("history", "Monitoring"), ("events", "Monitoring"), ("nodes", "Monitoring"),
    ("alerts", "Alerts"), ("channels", "Alerts"), ("status", "Monitoring"), ("audit", "Audit"),
)


def name_of(ref):
    return ref.rsplit("/", 1)[1]


def anchor(text):
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ").strip()


def code(value):
    return "`" + json.dumps(value, ensure_ascii=False) + "`"


def type_of(s):
    """A schema in a few words, with links to those that have a name."""
    if "$ref" in s:
        name = name_of(s["$ref"])
        return f"[{name}](#{anchor(name)})"
    for many in ("anyOf", "oneOf"):
        if many in s:
            return " or ".join(dict.fromkeys(type_of(x) for x in s[many]))
    if "const" in s:
        return code(s["const"])
    if "enum" in s:
        return ", ".join(code(v) for v in s["enum"])
    types = s.get("type", "anything")
    words = []
    for t in types if isinstance(types, list) else [types]:
        if t == "array":
            words.append("list of " + type_of(s.get("items", {})))
        elif t == "object" and isinstance(s.get("additionalProperties"), dict):
            words.append("object of " + type_of(s["additionalProperties"]))
        else:
            words.append(t)
    return " or ".join(words)


def bounds(s):
    """What a value may be, beyond its type."""
    low, high = s.get("minimum"), s.get("maximum")
    said = []
    if low is not None or (high is not None and high < 1 << 40):
        said.append(f"from {low}" if high is None or high >= 1 << 40 else
                    f"up to {high}" if low is None else f"{low} to {high}")
    if s.get("maxLength"):
        said.append(f"at most {s['maxLength']} bytes")
    if s.get("maxItems"):
        said.append(f"at most {s['maxItems']}")
    if "default" in s:
        said.append(f"by default {code(s['default'])}")
    return ", ".join(said)


def meaning(s):
    text, more = s.get("description", ""), bounds(s)
    return cell(text + (" " if text and more else "") + (f"({more})" if more else ""))


def fields(schema, out, prefix="", depth=0):
    """Rows of a table: members of an object, those of objects without a name below them."""
    required = set(schema.get("required", []))
    for name, s in schema.get("properties", {}).items():
        must = "yes" if name in required else ""
        out.append(f"| `{prefix}{name}` | {cell(type_of(s))} | {must} | {meaning(s)} |")
        inner = s.get("items", s) if s.get("type") == "array" else s
        if depth < 3 and isinstance(inner, dict) and inner.get("properties"):
            fields(inner, out, f"{prefix}{name}{'[]' if inner is not s else ''}.", depth + 1)


def table(schema, what):
    rows = []
    fields(schema, rows)
    return [f"| {what} | type | required | |", "| --- | --- | --- | --- |", *rows] if rows else []


def example(s, schemas, name="", depth=0):
    """A value that the schema allows, as a person might write it."""
    if "$ref" in s:
        return example(schemas[name_of(s["$ref"])], schemas, name, depth)
    for many in ("anyOf", "oneOf"):
        if many in s:
            return example(s[many][0], schemas, name, depth)
    for word in ("example", "const", "default"):
        if word in s:
            return s[word]
    if "enum" in s:
        return s["enum"][0]
    t = s.get("type", "string")
    t = t[0] if isinstance(t, list) else t
    if t == "object":
        required = s.get("required", [])
        return {k: example(v, schemas, k, depth + 1) for k, v in s.get("properties", {}).items()
                if k in required or depth > 1}
    if t == "array":
        return [example(s.get("items", {}), schemas, name, depth + 1)]
    if t in ("integer", "number"):
        return max(1, s.get("minimum", 1))
    if t == "boolean":
        return True
    if re.search(r"price|input|output|budget|amount|day|month", name) and "pattern" in s:
        return "2.50"
    if name in ("key", "secret", "password"):
        return name.upper()
    return f"a-{name}" if name else "text"


def curl(method, path, op, schemas):
    body = op.get("requestBody")
    line = ["curl"]
    if method != "get":
        line.append(f"-X {method.upper()}")
    if op.get("security") != []:
        line.append('-H "Authorization: Bearer $KEY"')
    if body:
        schema = body["content"]["application/json"]["schema"]
        text = json.dumps(example(schema, schemas), ensure_ascii=False).replace("'", "'\\''")
        line.append(f"-H 'Content-Type: application/json' -d '{text}'")
    line.append(f"$URL{path.replace('{id}', 'ID')}")
    return " \\\n  ".join([" ".join(line[:-2]), *line[-2:]]) if body else " ".join(line)


def resolved(schema, schemas):
    return schemas[name_of(schema["$ref"])] if "$ref" in schema else schema


def route(method, path, shared, op, schemas):
    lines = [f"### {method.upper()} {path}", "", op["summary"] + "."]
    text = op.get("description", "")
    who = re.search(r"Roles: (.*?)(?:\. |\.?$)", text)
    rest = re.sub(r"\s*Roles: .*?(?:\. |\.?$)", " ", text).strip()
    if rest:
        lines += ["", rest]
    if op.get("security") == []:
        lines += ["", "Who may: everybody, without a key."]
    elif who:
        lines += ["", f"Who may: {who[1].rstrip('.')}."]
    rows = []
    for p in shared + op.get("parameters", []):
        said = meaning({**p["schema"], "description": p.get("description", "")})
        rows.append(f"| `{p['name']}` | {p['in']} | {cell(type_of(p['schema']))} | {said} |")
    if rows:
        lines += ["", "| parameter | in | type | |", "| --- | --- | --- | --- |", *rows]
    body = op.get("requestBody")
    if body:
        schema = body["content"]["application/json"]["schema"]
        lines += ["", *table(resolved(schema, schemas), "field of the body")]
    for status, answer in op["responses"].items():
        if status[0] in "45":
            continue
        content = answer.get("content", {})
        kind = next(iter(content), None)
        shape = type_of(content[kind]["schema"]) if kind and "schema" in content[kind] else kind
        lines += ["", f"Answers {status}" + (f": {shape}." if shape else ".")]
    lines += ["", "```sh", curl(method, path, op, schemas), "```", ""]
    return lines


def group_of(path):
    part = re.sub(r"^/(api/)?v1/", "", path).split("/")[0]
    return next((title for name, title in GROUPS if name == part), "Others")


def others(root):
    """Routes of other protocols: (method, path, action)."""
    seen = {}
    for file in sorted(glob.glob(f"{root}/src/gateway/**/*.c", recursive=True)):
        with open(file, encoding="utf-8") as f:
            text = f.read()
        rows = ROW.findall(text) + [("*", path, "hub.read") for path in ANY.findall(text)]
        for method, path, action in rows:
            if not path.startswith(("/internal/", "/api/v1/")):
                seen.setdefault((path, method), action)
    return sorted((p, m, a) for (p, m), a in seen.items())


def page(root):
    with open(f"{root}/src/control/openapi.json", encoding="utf-8") as f:
        document = json.load(f)
    schemas = document["components"]["schemas"]
    groups = {}
    for path, ops in document["paths"].items():
        for method in METHODS:
            if method in ops:
                groups.setdefault(group_of(path), []).append((path, method, ops))
    order = list(dict.fromkeys(title for _, title in GROUPS)) + ["Others"]
    lines = [HEAD]
    for title in order:
        if title in groups:
            lines.append(f"- [{title}](#{anchor(title)})")
    lines += ["- [Other protocols](#other-protocols)", "- [Schemas](#schemas)", ""]
    for title in order:
        if title not in groups:
            continue
        lines += [f"## {title}", ""]
        for path, method, ops in groups[title]:
            lines += route(method, path, ops.get("parameters", []), ops[method], schemas)
    lines += ["## Other protocols", "",
              "What these take and answer is said by whose they are; here is what the gateway",
              "serves. S3 has every path whose first part is a bucket, and what is signed for it:",
              "[S3](s3.md). Writing into [the hub](hub.md) needs `hub.write`.",
              "", "| route | action of a key |", "| --- | --- |"]
    for path, method, action in others(root):
        lines.append(f"| `{method if method != '*' else 'any'} {path}` | "
                     f"{f'`{action}`' if action else ''} |")
    lines += ["", "## Schemas", ""]
    for name in sorted(schemas):
        s = schemas[name]
        lines += [f"### {name}", ""]
        if s.get("description"):
            lines += [s["description"], ""]
        lines += table(s, "field") or [type_of(s)]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def main(args):
    check = "--check" in args
    rest = [a for a in args if not a.startswith("--")]
    root = rest[0] if rest else "."
    text = page(root)
    path = os.path.join(root, OUT)
    try:
        with open(path, encoding="utf-8") as f:
            is_so = f.read() == text
    except OSError:
        is_so = False
    if check:
        if not is_so:
            print(f"{OUT}: is not what src/control/openapi.json and the gateway's routes say now: "
                  "run tools/api.py")
        return not is_so
    if not is_so:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
