"""The source of nano's corpus as it is read from corpus/*.md, and the small grammar of its lines.

A line is a phrasing with choices: "(create|make) a key" is two, "再说(一)?点" is two ("?" makes what
stands before it optional), "{how} stop it" is as many as the slot "how" has entries. Slots are
filled as they are; groups may be nested. corpus/README.md says how the files are laid out.
"""
import hashlib
import json
import os
import random

LANGS = ("en", "zh")
ALL_MAX = 20000  # phrasings of one line, slots not filled


# of lines that mean something
MARKS = (("### ", "lang"), ("## ", "name"), ("> ", "answer"), ("weight: ", "weight"),
         ("- NOT ", "wrong"), ("- ABOUT ", "about"), ("- ", "line"))


class SourceError(Exception):
    pass


class Dice:
    """Draws that are the same on every version of Python: random() is what it promises to keep."""

    def __init__(self, *seed):
        self.generator = random.Random("/".join(str(s) for s in seed))

    def number(self):
        """From 0 to 1."""
        return self.generator.random()

    def chance(self, probability):
        return self.number() < probability

    def below(self, n):
        return int(self.number() * n)

    def pick(self, items):
        return items[self.below(len(items))]

    def pick_weighted(self, items, cumulated):
        at = self.number() * cumulated[-1]
        low, high = 0, len(items) - 1
        while low < high:
            middle = (low + high) // 2
            if cumulated[middle] > at:
                high = middle
            else:
                low = middle + 1
        return items[low]

    def shuffle(self, items):
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]


def digest(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def parse(text, where):
    """A line as a tree: a list of strings, ("slot", name) and ("choice", [tree, ...])."""

    def sequence(i, depth):
        items = []
        while i < len(text):
            c = text[i]
            if c == "(":
                branches = []
                while c != ")":
                    branch, i = sequence(i + 1, depth + 1)
                    branches.append(branch)
                    if i >= len(text):
                        raise SourceError(f"{where}: '(' without ')': {text}")
                    c = text[i]
                items.append(("choice", branches))
            elif c in "|)" and depth > 0:
                return items, i
            elif c in "|)":
                raise SourceError(f"{where}: '{c}' outside of a group: {text}")
            elif c == "{":
                end = text.find("}", i)
                if end < 0:
                    raise SourceError(f"{where}: '{{' without '}}': {text}")
                items.append(("slot", text[i + 1:end]))
                i = end
            elif c == "?":
                if not items:
                    raise SourceError(f"{where}: '?' after nothing: {text}")
                items[-1] = ("choice", [[items[-1]], []])
            else:
                items.append(c)
            i += 1
        return items, i

    return sequence(0, 0)[0]


def slots_of(tree):
    for item in tree:
        if item[0] == "slot" and len(item) == 2:
            yield item[1]
        elif item[0] == "choice":
            for branch in item[1]:
                yield from slots_of(branch)


def expand(tree, dice, slots):
    """One phrasing; slots: name -> entries."""
    out = []
    for item in tree:
        if isinstance(item, str):
            out.append(item)
        elif item[0] == "slot":
            out.append(dice.pick(slots[item[1]]))
        else:
            out.append(expand(dice.pick(item[1]), dice, slots))
    return "".join(out)


def count(tree, slots):
    n = 1
    for item in tree:
        if not isinstance(item, str):
            n *= len(slots[item[1]]) if item[0] == "slot" else sum(count(b, slots) for b in item[1])
    return n


def every(tree):
    """All phrasings with the slots left as "{name}"; at most ALL_MAX."""
    texts = [""]
    for item in tree:
        if isinstance(item, str):
            ends = [item]
        elif item[0] == "slot":
            ends = ["{" + item[1] + "}"]
        else:
            ends = [text for branch in item[1] for text in every(branch)]
        texts = [text + end for text in texts for end in ends]
        if len(texts) > ALL_MAX:
            raise SourceError(f"a line has more than {ALL_MAX} phrasings")
    return texts


class Intent:
    """What one answer belongs to: per language the answer, the lines that ask for it, the lines
    that only look like it (wrong), and the nouns that name its topic."""

    def __init__(self, name, topic):
        self.name, self.topic, self.weight = name, topic, 1
        self.answer, self.lines = {}, {lang: [] for lang in LANGS}
        self.wrong, self.about = ({lang: [] for lang in LANGS} for _ in range(2))


def read_markdown(path):
    """Yields (line number, kind, text) of the lines that mean something."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            for mark, kind in MARKS:
                if line.startswith(mark):
                    yield number, kind, line[len(mark):].strip()
                    break


def read_intents(path):
    topic = os.path.basename(path)[:-len(".md")]
    intents, lang = [], None
    for number, kind, text in read_markdown(path):
        where = f"{topic}.md:{number}"
        if kind == "name":
            intents.append(Intent(text, topic))
            lang = None
        elif not intents:
            raise SourceError(f"{where}: stands before the first heading")
        elif kind == "lang":
            if text not in LANGS:
                raise SourceError(f"{where}: no language '{text}'")
            lang = text
        elif kind == "weight":
            intents[-1].weight = int(text)
        elif lang is None:
            raise SourceError(f"{where}: stands before the language")
        elif kind == "answer":
            if lang in intents[-1].answer:
                raise SourceError(f"{where}: a second answer")
            intents[-1].answer[lang] = text
        elif kind == "about":
            intents[-1].about[lang] += [part.strip() for part in text.split("|")]
        else:
            field = intents[-1].wrong if kind == "wrong" else intents[-1].lines
            parse(text, where)
            field[lang].append(text)
    return intents


def read_slots(path, separator):
    slots, name = {}, None
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if line.startswith("## "):
                name = line[3:]
            elif line and name is not None:
                entries = (entry.strip() for entry in line.split(separator))
                slots.setdefault(name, []).extend(entry for entry in entries if entry)
    return slots


class Source:
    """Everything that is written by hand."""

    TOPICS = ("social", "self", "about", "running", "models", "api", "objects", "training", "cloud",
              "elsewhere")
    TOOLS = ("models", "api", "objects", "training", "cloud")  # topics of things that one does

    def __init__(self, folder):
        self.intents = {}
        for topic in self.TOPICS:
            for intent in read_intents(f"{folder}/{topic}.md"):
                if intent.name in self.intents:
                    raise SourceError(f"{topic}.md: a second '{intent.name}'")
                self.intents[intent.name] = intent
        self.followups = {i.name: i for i in read_intents(f"{folder}/followups.md")}
        self.slots = {"en": read_slots(f"{folder}/slots_en.md", "; "),
                      "zh": read_slots(f"{folder}/slots_zh.md", "、")}
        self.systems = {lang: [] for lang in LANGS}
        lang = None
        for _, kind, text in read_markdown(f"{folder}/systems.md"):
            if kind == "lang":
                lang = text
            else:
                self.systems[lang].append(text)
        with open(f"{folder}/facts.json", encoding="utf-8") as file:
            tables = json.load(file)
        self.commands = {**tables["commands"], **tables["planned"]}
        self.facts = {**self.commands, **tables["facts"]}
        self.check()

    def check(self):
        for intent in [*self.intents.values(), *self.followups.values()]:
            for lang in LANGS:
                for text in [*intent.lines[lang], *intent.wrong[lang]]:
                    for slot in slots_of(parse(text, intent.name)):
                        if slot not in self.slots[lang]:
                            raise SourceError(f"{intent.name}: no slot '{slot}' in {lang}: {text}")
                if not intent.lines[lang]:
                    raise SourceError(f"{intent.name}: no lines in {lang}")
        for intent in self.intents.values():
            for lang in LANGS:
                self.answer(intent.name, lang)

    def answer(self, name, lang):
        """The answer with its facts filled in."""
        tree = self.intents[name].answer[lang]
        out, i = [], 0
        while i < len(tree):
            end = tree.find("}", i) if tree[i] == "{" else -1
            if end < 0:
                out.append(tree[i])
                i += 1
                continue
            fact = tree[i + 1:end]
            if fact not in self.facts:
                raise SourceError(f"{name}: no fact '{fact}'")
            value = self.facts[fact]
            out.append(value if isinstance(value, str) else value[lang])
            i = end + 1
        return "".join(out)
