"""Which lines are trained on and which are held out, and drawing from them."""
import re

import grammar
from grammar import LANGS, digest

HELD_SHARE = 0.12  # of the lines of an intent, and of the entries of an open slot
COMMON = 12        # intents that a word occurs in to count as known everywhere
VARIETY_MAX = 24   # phrasings of a line that make it more likely to be drawn


class Line:
    def __init__(self, text, weight):
        self.text, self.tree, self.weight = text, grammar.parse(text, text), weight


class Pool:
    """Lines to draw from; one with many phrasings is drawn more often, but not as much."""

    def __init__(self, texts, slots):
        self.lines = []
        for text in texts:
            n = grammar.count(grammar.parse(text, text), slots)
            self.lines.append(Line(text, min(n, VARIETY_MAX) ** 0.5))
        self.slots, self.cumulated, total = slots, [], 0.0
        for line in self.lines:
            total += line.weight
            self.cumulated.append(total)

    def draw(self, dice):
        tree = dice.pick_weighted(self.lines, self.cumulated).tree
        return grammar.expand(tree, dice, self.slots)


class HeldLine:
    """A line that is only evaluated, with those of its phrasings whose words are known."""

    def __init__(self, phrasings):
        self.trees = [grammar.parse(text, text) for text in phrasings]

    def draw(self, dice, slots):
        return grammar.expand(dice.pick(self.trees), dice, slots)


def split(texts, *seed, at_least=0):
    """(kept, held): the held are chosen by their own text, so that a new line moves few others."""
    unique = sorted(set(texts), key=lambda t: digest(*seed, t))
    held = set(unique[:max(at_least, round(len(unique) * HELD_SHARE))])
    return [t for t in texts if t not in held], [t for t in texts if t in held]


def words_of(text, lang):
    """What a phrasing is made of: words, and the characters of Chinese; slots are not looked at."""
    word = r"[a-z0-9$'+#./-]+" if lang == "en" else r"[a-z0-9$'+#./-]+|[\u4e00-\u9fff]"
    return set(re.findall(word, re.sub(r"\{\w+\}", " ", text.lower())))


class Holdout:
    """Chooses the lines of intents that are held out: such as say with words that the intent's
    other lines have too what those say otherwise."""

    def __init__(self, source):
        self.phrasings, spread = {}, {lang: {} for lang in LANGS}
        for intent in source.intents.values():
            for lang in LANGS:
                words = set()
                for text in intent.lines[lang]:
                    every = grammar.every(grammar.parse(text, text))
                    self.phrasings[text] = [(p, words_of(p, lang)) for p in every]
                    words.update(*(w for _, w in self.phrasings[text]))
                for word in words:
                    spread[lang][word] = spread[lang].get(word, 0) + 1
        self.common = {lang: {w for w, n in spread[lang].items() if n >= COMMON} for lang in LANGS}

    def divide(self, name, lang, texts):
        """(kept lines, HeldLines)"""
        kept, held = sorted(set(texts), key=lambda t: digest(name, lang, t)), []
        wanted = max(2, round(len(kept) * HELD_SHARE))
        for text in list(kept):
            known = set(self.common[lang])
            for other in kept:
                if other != text:
                    known.update(*(w for _, w in self.phrasings[other]))
            covered = [p for p, w in self.phrasings[text] if w <= known and len(w) > 1]
            if covered and len(held) < wanted:
                kept.remove(text)
                held.append(HeldLine(covered))
        return [t for t in texts if t in kept], held
