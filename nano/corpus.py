#!/usr/bin/python3
"""Writes the corpus that nano is trained on, from the hand-written source in corpus/.

usage: corpus.py OUT_FOLDER [--seed N] [--scale X]

  train.jsonl     dialogues in OpenAI's chat format, shuffled
  eval.jsonl      questions whose phrasings are in no line of train.jsonl, with the right answer
  eval.tsv        what each line of eval.jsonl is: kind, intent, language
  tokenizer.txt   text for the tokenizer: every message once, every answer a few times

The same seed and source give the same bytes. Of the lines of an intent, some are held out whole: they
and all their variants appear in eval.jsonl alone. They are such as say with words that the intent's
other lines have too what those say otherwise: what is measured is new phrasings, not new words.
"""
import argparse
import json
import os
import re
import sys

import grammar
import style
from grammar import LANGS, Dice, digest

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")

HELD_SHARE = 0.12        # of the lines of an intent, and of the entries of an open slot
COMMON = 12              # intents that a word occurs in to count as known everywhere
PER_INTENT = 60          # single questions of an intent of weight 1 and a language
PER_WRONG = 1.3          # single questions of a NOT line
ABOUT = 0.12             # of an intent's questions name only its topic
ELSEWHERE = 1900         # single questions about anything else, of a language
OTHER_PRODUCTS = 250     # questions about tools of another product, of a language
DIALOGUES = 1100         # of a language
SYSTEM = 0.15            # of the samples have a system message
TURNS_MAX = 4
TRIES = 30               # to find a message that is new
ANSWER_REPEATS = 8       # in tokenizer.txt

# Entries of these slots are subjects of their own: some are held out for questions never seen.
OPEN_SLOTS = ("thing", "animals", "food", "object", "symptom", "topic", "sentence", "codetask", "verb",
              "whyfact", "whofact", "whenfact", "wherefact", "howmany", "statement", "word", "math",
              "gibberish", "person_famous", "product_other", "city", "country")
SOCIAL = ("greet", "thanks", "bye", "howareyou", "ok", "praise", "complaint", "test", "more", "crisis")
REAL = ("greet", "complaint", "self.can", "self.why", "elsewhere")  # answers that speak of a real model

ABOUT_FRAMES = {
    "en": ("what about {}", "and {}", "how about {}", "tell me about {}", "{}", "{}", "{}, please",
           "I have a question about {}", "help with {}", "I need help with {}", "something about {}",
           "what can you tell me about {}", "I am interested in {}", "let's talk about {}", "next: {}",
           "now {}", "my question is about {}", "I want to ask about {}", "a question about {}",
           "I would like to know about {}", "what do you know about {}", "information on {}"),
    "zh": ("{}呢", "那{}呢", "关于{}", "说说{}", "讲讲{}", "我想了解{}", "我想问{}", "{}方面", "{}的问题", "{}",
           "{}", "有关{}的内容", "能讲讲{}吗", "想问问{}的事", "再说说{}", "我想知道{}的事", "{}怎么说", "聊聊{}",
           "问一下{}", "{}相关的问题", "{}的情况", "还有{}", "下一个问题：{}")}
ABOUT_ELSEWHERE = ("thing", "food", "object", "animals", "person_famous", "product_other", "sport")
HERE = {"en": ("{} in feitian", "{} with feitian", "{} here", "in feitian, {}", "with feitian, {}",
               "{} on feitian"),
        "zh": ("在飞天里{}", "在 feitian 里{}", "飞天{}", "用飞天{}", "在飞天上{}", "feitian {}", "用 feitian {}",
               "飞天里{}", "你们这里{}", "这个系统{}")}
THERE = {"en": ("{} in {p}", "{} with {p}", "{} on {p}", "in {p}, {}", "{p}: {}", "{} for {p}"),
         "zh": ("在{p}里{}", "{p}{}", "在{p}上{}", "{p}里{}", "用{p}{}", "在{p}，{}")}
NOT_THERE = {"model.where", "model.many", "key.what", "api.curl", "api.python", "evaluate"}


class Line:
    def __init__(self, text, weight):
        self.text, self.tree, self.weight = text, grammar.parse(text, text), weight


class HeldLine:
    """A line that is only evaluated, with those of its phrasings whose words are known."""

    def __init__(self, phrasings):
        self.trees = [grammar.parse(text, text) for text in phrasings]

    def draw(self, dice, slots):
        return grammar.expand(dice.pick(self.trees), dice, slots)


class Pool:
    """Lines to draw from; a line with many phrasings is drawn more often, but not as much."""

    def __init__(self, texts, slots):
        self.lines = []
        for text in texts:
            n = grammar.count(grammar.parse(text, text), slots)
            self.lines.append(Line(text, min(n, 24) ** 0.5))
        self.slots, self.cumulated, total = slots, [], 0.0
        for line in self.lines:
            total += line.weight
            self.cumulated.append(total)

    def draw(self, dice):
        return grammar.expand(dice.pick_weighted(self.lines, self.cumulated).tree, dice, self.slots)


def split(texts, *seed, at_least=0):
    """(kept, held): the held are chosen by their own text, so that a new line moves few others."""
    unique = sorted(set(texts), key=lambda t: digest(*seed, t))
    held = set(unique[:max(at_least, round(len(unique) * HELD_SHARE))])
    return [t for t in texts if t not in held], [t for t in texts if t in held]


def words_of(text, lang):
    """What a phrasing is made of: words, and the characters of Chinese; slots are not looked at."""
    text = re.sub(r"\{\w+\}", " ", text.lower())
    return set(re.findall(r"[a-z0-9$'+#./-]+" if lang == "en" else r"[a-z0-9$'+#./-]+|[\u4e00-\u9fff]", text))


class Holdout:
    """Chooses the lines of intents that are held out."""

    def __init__(self, source):
        self.phrasings, spread = {}, {lang: {} for lang in LANGS}
        for intent in source.intents.values():
            for lang in LANGS:
                words = set()
                for text in intent.lines[lang]:
                    every = grammar.every(grammar.parse(text, text))
                    self.phrasings[text] = [(phrasing, words_of(phrasing, lang)) for phrasing in every]
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


class Corpus:
    def __init__(self, source, seed, scale):
        self.source, self.seed, self.scale = source, seed, scale
        self.slots, self.held_slots = {}, {}
        for lang in LANGS:
            kept, held = dict(source.slots[lang]), dict(source.slots[lang])
            for name in OPEN_SLOTS:
                kept[name], held[name] = split(source.slots[lang][name], "slot", lang, name)
            self.slots[lang], self.held_slots[lang] = kept, held
        self.kept, self.held, self.wrong, self.held_wrong, self.again, self.held_again = ({} for _ in range(6))
        holdout = Holdout(source)
        for name, intent in source.intents.items():
            for lang in LANGS:
                if name == "elsewhere":
                    self.divide(self.kept, self.held, name, lang, intent.lines[lang], 1)
                else:
                    kept, self.held[name, lang] = holdout.divide(name, lang, intent.lines[lang])
                    self.kept[name, lang] = Pool(kept, self.slots[lang])
                if intent.wrong[lang]:
                    self.divide(self.wrong, self.held_wrong, name, lang, intent.wrong[lang], 1)
        for name, intent in source.followups.items():
            for lang in LANGS:
                self.divide(self.again, self.held_again, name, lang, intent.lines[lang], 1)
        self.eval_forms, self.eval_lines, self.train = set(), [], []
        self.messages = set()  # of users, in train
        self.asked = {}        # normal form -> intent, of single questions

    def divide(self, kept, held, name, lang, texts, at_least):
        a, b = split(texts, name, lang, at_least=at_least)
        kept[name, lang] = Pool(a, self.slots[lang])
        held[name, lang] = Pool(b, self.slots[lang])

    # ---- questions ----

    def about(self, intent, lang, dice):
        return dice.pick(ABOUT_FRAMES[lang]).format(dice.pick(intent.about[lang]))

    def raw_question(self, name, lang, dice):
        """A phrasing of an intent from the lines that are trained on."""
        intent = self.source.intents[name]
        if intent.about[lang] and dice.chance(ABOUT):
            return self.about(intent, lang, dice)
        if name == "elsewhere" and dice.chance(0.06):
            noun = dice.pick(self.slots[lang][dice.pick(ABOUT_ELSEWHERE)])
            return dice.pick(ABOUT_FRAMES[lang]).format(noun)
        text = self.kept[name, lang].draw(dice)
        if intent.topic in grammar.Source.TOOLS and "feitian" not in text and "飞天" not in text and \
                dice.chance(0.08):
            text = dice.pick(HERE[lang]).format(text)
        return text

    def question(self, name, lang, dice):
        text = self.raw_question(name, lang, dice)
        return style.dress(text, lang, dice, name not in SOCIAL)

    def new(self, make):
        """A message that no evaluation asks and that is not in train yet; None if none was found."""
        for _ in range(TRIES):
            text = make()
            if style.normal(text) not in self.eval_forms and text not in self.messages:
                return text
        return None

    # ---- samples ----

    def with_system(self, messages, lang, dice):
        if dice.chance(SYSTEM):
            other = lang if dice.chance(0.8) else dice.pick(LANGS)
            messages = [{"role": "system", "content": dice.pick(self.source.systems[other])}, *messages]
        return messages

    def turn(self, text, name, lang):
        return [{"role": "user", "content": text},
                {"role": "assistant", "content": self.source.answer(name, lang)}]

    def add_single(self, text, name, lang, dice):
        self.messages.add(text)
        self.train.append(self.with_system(self.turn(text, name, lang), lang, dice))

    def singles(self):
        for name, intent in self.source.intents.items():
            for lang in LANGS:
                dice = Dice(self.seed, "single", name, lang)
                base = ELSEWHERE if name == "elsewhere" else PER_INTENT * intent.weight
                for _ in range(round(base * self.scale)):
                    text = self.new(lambda: self.question(name, lang, dice))
                    if text is None or not self.agrees(text, name, lang):
                        continue
                    self.add_single(text, name, lang, dice)

    def agrees(self, text, name, lang):
        """Not a question that already belongs to another intent (a slot may fill a line so)."""
        return self.asked.setdefault((style.normal(text), lang), name) == name

    def negatives(self):
        for (name, lang), pool in self.wrong.items():
            dice = Dice(self.seed, "wrong", name, lang)
            for _ in range(round(len(pool.lines) * PER_WRONG * self.scale)):
                text = self.new(lambda: style.dress(pool.draw(dice), lang, dice, True))
                if text is not None and self.agrees(text, "elsewhere", lang):
                    self.add_single(text, "elsewhere", lang, dice)
        names = [n for n, i in self.source.intents.items()
                 if i.topic in grammar.Source.TOOLS and n not in NOT_THERE]
        for lang in LANGS:
            dice = Dice(self.seed, "there", lang)
            for _ in range(round(OTHER_PRODUCTS * self.scale)):
                text = self.new(lambda: self.there(dice.pick(names), lang, dice, self.slots[lang], self.kept))
                if text is not None and self.agrees(text, "elsewhere", lang):
                    self.add_single(text, "elsewhere", lang, dice)

    def there(self, name, lang, dice, slots, lines):
        """A question about a tool, of another product."""
        while True:
            text = lines[name, lang].draw(dice)
            if "feitian" not in text and "飞天" not in text:
                break
        text = dice.pick(THERE[lang]).replace("{p}", dice.pick(slots["product_other"])).replace("{}", text)
        return style.dress(text, lang, dice, True)

    # ---- dialogues ----

    def next_turn(self, lang, last, dice, followups, first):
        """(message, intent, language of the answer) after an answer of `last` (intent, language)."""
        chance = dice.generator.random()
        intents = self.names
        if first:
            name = "greet" if chance < 0.2 else "elsewhere" if chance < 0.38 else dice.pick(intents)
        elif chance < 0.06:
            return followups["again", lang].draw(dice), *last
        elif chance < 0.14:
            to = "zh" if last[1] == "en" else "en"
            if dice.chance(0.1):
                to = last[1]
            return followups[f"to-{to}", lang].draw(dice), last[0], to
        elif chance < 0.20 and last[0] in REAL:
            return followups["real", lang].draw(dice), "model.add", lang
        elif chance < 0.32:
            name = dice.pick(SOCIAL[:-1])
        elif chance < 0.42:
            intent = self.source.intents[dice.pick(self.with_about)]
            return self.about(intent, lang, dice), intent.name, lang
        elif chance < 0.58:
            name = "elsewhere"
            if dice.chance(0.3):
                return self.wrong[dice.pick(self.with_wrong[lang])].draw(dice), name, lang
        else:
            name = dice.pick(intents)
        return self.raw_question(name, lang, dice), name, lang

    def dialogue(self, lang, dice):
        messages, last = [], None
        turns = 2 + (dice.chance(0.5)) + (dice.chance(0.3))
        while len(messages) < 2 * min(turns, TURNS_MAX):
            text, name, to = self.next_turn(lang, last, dice, self.again, last is None)
            text = style.dress(text, lang, dice, name not in SOCIAL and dice.chance(0.5))
            if style.normal(text) in self.eval_forms:
                continue
            messages += self.turn(text, name, to)
            self.messages.add(text)
            last = name, to
            if dice.chance(0.04):
                lang = dice.pick(LANGS)
        return messages

    def dialogues(self):
        for lang in LANGS:
            dice = Dice(self.seed, "dialogue", lang)
            for _ in range(round(DIALOGUES * self.scale)):
                self.train.append(self.with_system(self.dialogue(lang, dice), lang, dice))

    def prepare_names(self):
        self.names = [n for n in self.source.intents if n != "elsewhere"]
        self.with_about = [n for n in self.names if all(self.source.intents[n].about[x] for x in LANGS)]
        self.with_wrong = {lang: [key for key in self.wrong if key[1] == lang] for lang in LANGS}

    # ---- evaluation ----

    def add_eval(self, messages, text, kind, name, lang):
        form = style.normal(text)
        if form in self.eval_forms and kind != "dialogue":
            return
        self.eval_forms.add(form)
        self.eval_lines.append((messages + self.turn(text, name, lang), kind, name, lang))

    def light(self, text, lang, dice):
        """Evaluation asks cleanly, in lower case, or as people type."""
        how = dice.generator.random()
        return style.plain(text, lang) if how < 0.4 else text if how < 0.7 else \
            style.dress(text, lang, dice, False)

    def evaluation(self):
        self.prepare_names()
        for name in self.names:
            for lang in LANGS:
                dice = Dice(self.seed, "eval", name, lang)
                for line in self.held[name, lang]:
                    for _ in range(2 if len(line.trees) > 1 else 1):
                        text = line.draw(dice, self.slots[lang])
                        self.add_eval([], self.light(text, lang, dice), "question", name, lang)
        for (name, lang), pool in self.held_wrong.items():
            dice = Dice(self.seed, "eval wrong", name, lang)
            for line in pool.lines:
                text = grammar.expand(line.tree, dice, self.slots[lang])
                self.add_eval([], self.light(text, lang, dice), "look-alike", "elsewhere", lang)
        for lang in LANGS:
            self.evaluate_elsewhere(lang, Dice(self.seed, "eval elsewhere", lang))
            self.evaluate_dialogues(lang, Dice(self.seed, "eval dialogue", lang))

    def evaluate_elsewhere(self, lang, dice):
        for line in self.held["elsewhere", lang].lines:
            for _ in range(2):
                text = grammar.expand(line.tree, dice, self.held_slots[lang])
                self.add_eval([], self.light(text, lang, dice), "elsewhere", "elsewhere", lang)
        open_lines = [line for line in self.kept["elsewhere", lang].lines
                      if set(grammar.slots_of(line.tree)) & set(OPEN_SLOTS)]
        for _ in range(120):
            text = grammar.expand(dice.pick(open_lines).tree, dice, self.held_slots[lang])
            self.add_eval([], self.light(text, lang, dice), "elsewhere", "elsewhere", lang)
        names = [n for n, i in self.source.intents.items()
                 if i.topic in grammar.Source.TOOLS and n not in NOT_THERE]
        for _ in range(30):
            text = self.there(dice.pick(names), lang, dice, self.held_slots[lang], self.kept)
            self.add_eval([], text, "other product", "elsewhere", lang)

    def evaluate_dialogues(self, lang, dice):
        """One or two turns as in training, then one that was held out."""
        for _ in range(60):
            messages, last = [], None
            for _ in range(1 + dice.below(2)):
                text, name, to = self.next_turn(lang, last, dice, self.again, last is None)
                messages += self.turn(style.plain(text, lang), name, to)
                last = name, to
            if dice.chance(0.5):
                kind = dice.pick(("again", "to-zh", "to-en"))
                text = self.held_again[kind, lang].draw(dice)
                name, to = last[0], kind[3:] if kind != "again" else last[1]
            else:
                name, to = dice.pick([n for n in self.names if self.held[n, lang]]), lang
                text = dice.pick(self.held[name, lang]).draw(dice, self.slots[lang])
            self.add_eval(messages, self.light(text, lang, dice), "dialogue", name, to)

    # ---- all of it ----

    def make(self):
        self.evaluation()
        self.singles()
        self.negatives()
        self.dialogues()
        Dice(self.seed, "order").shuffle(self.train)

    def tokenizer_text(self):
        lines = sorted(self.messages)
        for lang in LANGS:
            for name in self.source.intents:
                lines += [self.source.answer(name, lang)] * ANSWER_REPEATS
            lines += self.source.systems[lang]
        return "".join(line + "\n" for line in lines)

    def write(self, folder):
        os.makedirs(folder, exist_ok=True)

        def save(name, text):
            with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as file:
                file.write(text)

        def jsonl(samples):
            return "".join(json.dumps({"messages": m}, ensure_ascii=False) + "\n" for m in samples)

        save("train.jsonl", jsonl(self.train))
        save("eval.jsonl", jsonl(line[0] for line in self.eval_lines))
        save("eval.tsv", "".join(f"{kind}\t{name}\t{lang}\n" for _, kind, name, lang in self.eval_lines))
        save("tokenizer.txt", self.tokenizer_text())


def make(seed=1, scale=1.0, folder=FOLDER):
    corpus = Corpus(grammar.Source(folder), seed, scale)
    corpus.make()
    return corpus


def main():
    parser = argparse.ArgumentParser(description="Writes the corpus that nano is trained on.")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0, help="how many samples, against the usual")
    args = parser.parse_args()
    try:
        corpus = make(args.seed, args.scale)
        corpus.write(args.out)
    except grammar.SourceError as error:
        sys.exit(f"corpus.py: {error}")
    except OSError as error:
        sys.exit(f"corpus.py: {error.filename}: {error.strerror}")
    turns = sum(m["role"] == "assistant" for s in corpus.train for m in s)
    chars = sum(len(m["content"]) for s in corpus.train for m in s)
    print(f"{args.out}: {len(corpus.train)} samples, {turns} answers, {chars} characters; "
          f"{len(corpus.eval_lines)} for evaluation")


if __name__ == "__main__":
    main()
