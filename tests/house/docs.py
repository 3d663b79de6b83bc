#!/usr/bin/python3
"""What the documents name is there: links, files, commands and their options.

usage: docs.py FEITIAN

Reads README.md and docs/*.md of the folder it is run in and checks that
- a relative link leads to a file, and its #anchor to a heading of it;
- a command of feitian in a block of shell, or in `...`, is one, and so is every --option of it;
- docs/README.md leads to every page.
Prints "file:line: what is wrong" and exits 1 if there is anything.
"""
import functools
import glob
import os
import re
import subprocess
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?<![\w/.-])(?<!-u )(?:build/)?feitian "
                     r"((?:[a-z][a-z0-9-]* ?)+)([^`|;&#>)]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
DEPTH_MAX = 3  # words of a command

bad = []


def anchors(path):
    """Headings as GitHub names them."""
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"^```.*?^```", "", f.read(), flags=re.M | re.S)
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


def check_links(path, number, line):
    for target in LINK.findall(line):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        if not os.path.exists(full):
            bad.append(f"{path}:{number}: the link to {target} leads nowhere")
        elif anchor and full.endswith(".md") and anchor not in anchors(full):
            bad.append(f"{path}:{number}: {full} has no heading #{anchor}")


@functools.lru_cache(maxsize=None)
def help_of(feitian, words):
    r = subprocess.run([feitian, *words, "--help"], capture_output=True, text=True, timeout=60,
                       check=False)
    return r.stdout if r.returncode == 0 else None


def longest(feitian, words):
    """The longest beginning that is a command, and its help."""
    for n in range(min(len(words), DEPTH_MAX), 0, -1):
        text = help_of(feitian, tuple(words[:n]))
        if text is not None and text.startswith((f"feitian {' '.join(words[:n])}:",
                                                 f"usage: feitian {' '.join(words[:n])}")):
            return words[:n], text
    return None, None


def check_commands(path, number, line, feitian):
    for words, rest in COMMAND.findall(line):
        found, text = longest(feitian, words.split())
        if found is None:
            bad.append(f"{path}:{number}: there is no command 'feitian {words.strip()}'")
            continue
        for option in OPTION.findall(rest):
            if option not in text and option not in ("--help", "--json"):
                bad.append(f"{path}:{number}: 'feitian {' '.join(found)}' has no {option}")


def check(path, feitian):
    shell = False
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            if line.startswith("```"):
                shell = line.strip() in ("```sh", "```bash", "```")
                if line.strip() == "```":
                    shell = False
                continue
            check_links(path, number, line)
            if shell and not line.startswith("{"):  # data of a here-document
                check_commands(path, number, line, feitian)
            else:
                for code in re.findall(r"`([^`]+)`", line):
                    if code.startswith("feitian "):
                        check_commands(path, number, code, feitian)


def main():
    feitian = os.path.abspath(sys.argv[1])
    pages = ["README.md"] + sorted(glob.glob("docs/*.md"))
    for path in pages:
        check(path, feitian)
    with open("docs/README.md", encoding="utf-8") as f:
        index = f.read()
    for path in pages[1:]:
        name = os.path.basename(path)
        if name != "README.md" and f"({name})" not in index:
            bad.append(f"docs/README.md: does not lead to {name}")
    print("\n".join(bad) or f"{len(pages)} pages: every link and command is there")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
