#!/usr/bin/python3
"""Writes the corpus that nano is trained on, from the hand-written source in corpus/.

usage: corpus.py OUT_FOLDER [--seed N] [--scale X]

  train.jsonl     dialogues in OpenAI's chat format, shuffled
  eval.jsonl      questions whose phrasings are in no line of train.jsonl, with the right answer
  eval.tsv        what each line of eval.jsonl is: kind, intent, language
  tokenizer.txt   text for the tokenizer: every message once, every answer a few times

The same seed and source give the same bytes. Some lines of an intent are held out whole: they and
all their variants appear in eval.jsonl alone (pools.py). What is measured is new phrasings of known
words, not new words.
"""
import argparse
import json
import os
import re
import sys

import grammar
import style
from grammar import LANGS, Dice
from pools import Holdout, Pool, split

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")

PER_INTENT = 60       # single questions of an intent of weight 1 and a language
PER_WRONG = 1.3       # single questions of a NOT line
ABOUT = 0.12          # of an intent's questions name only its topic
ELSEWHERE = 1900      # single questions about anything else, of a language
OTHER_PRODUCTS = 250  # questions about tools of another product, of a language
DIALOGUES = 1100      # of a language
SYSTEM = 0.15         # of the samples have a system message
TURNS_MAX = 4
TRIES = 30            # to find a message that is new
ANSWER_REPEATS = 4    # in tokenizer.txt

# Entries of these slots are subjects of their own: some are held out for questions never seen.
OPEN_SLOTS = ("thing", "animals", "food", "object", "symptom", "topic", "sentence", "codetask",
              "verb", "whyfact", "whofact", "whenfact", "wherefact", "howmany", "statement", "word",
              "math", "gibberish", "person_famous", "product_other", "city", "country")
SOCIAL = ("greet", "thanks", "bye", "howareyou", "ok", "praise", "complaint", "test", "more",
          "crisis")
REAL = ("greet", "complaint", "self.can", "self.why", "elsewhere")  # they speak of a real model

ABOUT_FRAMES = {
    "en": ("what about {}", "and {}", "how about {}", "tell me about {}", "{}", "{}", "{}, please",
           "I have a question about {}", "help with {}", "I need help with {}", "next: {}",
           "something about {}", "what can you tell me about {}", "I am interested in {}",
           "let's talk about {}", "now {}", "my question is about {}", "I want to ask about {}",
           "a question about {}", "I would like to know about {}", "what do you know about {}",
           "information on {}"),
    "zh": ("{}呢", "那{}呢", "关于{}", "说说{}", "讲讲{}", "我想了解{}", "我想问{}", "{}方面", "{}的问题",
           "{}", "{}", "有关{}的内容", "能讲讲{}吗", "想问问{}的事", "再说说{}", "我想知道{}的事", "{}怎么说",
           "聊聊{}", "问一下{}", "{}相关的问题", "{}的情况", "还有{}", "下一个问题：{}")}
ABOUT_ELSEWHERE = ("thing", "food", "object", "animals", "person_famous", "product_other", "sport")
HERE = {"en": ("{} in feitian", "{} with feitian", "{} here", "in feitian, {}", "with feitian, {}",
               "{} on feitian"),
        "zh": ("在飞天里{}", "在 feitian 里{}", "飞天{}", "用飞天{}", "在飞天上{}", "feitian {}",
               "用 feitian {}", "飞天里{}", "你们这里{}", "这个系统{}")}
THERE = {"en": ("{} in {p}", "{} with {p}", "{} on {p}", "in {p}, {}", "{p}: {}", "{} for {p}"),
         "zh": ("在{p}里{}", "{p}{}", "在{p}上{}", "{p}里{}", "用{p}{}", "在{p}，{}")}
NOT_THERE = ("model.where", "model.many", "key.what", "api.curl", "api.python", "evaluate")

HAN = re.compile("[\u4e00-\u9fff]+")


def names_feitian(text):
    return "feitian" in text.lower() or "飞天" in text


class Corpus:
    def __init__(self, source, seed, scale):
        self.source, self.seed, self.scale = source, seed, scale
        self.slots, self.held_slots = {}, {}
        for lang in LANGS:
            kept, held = dict(source.slots[lang]), dict(source.slots[lang])
            for name in OPEN_SLOTS:
                kept[name], held[name] = split(source.slots[lang][name], "slot", lang, name)
            self.slots[lang], self.held_slots[lang] = kept, held
        # (intent, language) -> Pool, of held intents a list of HeldLine
        self.kept, self.held, self.wrong, self.held_wrong = {}, {}, {}, {}
        self.follow, self.held_follow = {}, {}
        self.divide_lines()
        self.names = [n for n in source.intents if n != "elsewhere"]
        self.tools = [n for n in self.names if source.intents[n].topic in grammar.Source.TOOLS]
        self.elsewhere_too = [n for n in self.tools if n not in NOT_THERE]
        self.with_about = [n for n in self.names
                           if all(source.intents[n].about[lang] for lang in LANGS)]
        self.eval_lines, self.train = [], []
        self.eval_forms = set()  # normal forms that training must not have
        self.messages = set()    # of users, in train
        self.asked = {}          # (normal form, language) -> intent, of single questions

    def divide_lines(self):
        holdout = Holdout(self.source)
        for name, intent in self.source.intents.items():
            for lang in LANGS:
                if name == "elsewhere":
                    self.divide(self.kept, self.held, name, lang, intent.lines[lang])
                else:
                    kept, held = holdout.divide(name, lang, intent.lines[lang])
                    self.kept[name, lang] = Pool(kept, self.slots[lang])
                    self.held[name, lang] = held
                if intent.wrong[lang]:
                    self.divide(self.wrong, self.held_wrong, name, lang, intent.wrong[lang])
        for name, intent in self.source.followups.items():
            for lang in LANGS:
                self.divide(self.follow, self.held_follow, name, lang, intent.lines[lang])

    def divide(self, kept, held, name, lang, texts):
        a, b = split(texts, name, lang, at_least=1)
        kept[name, lang] = Pool(a, self.slots[lang])
        held[name, lang] = Pool(b, self.slots[lang])

    # ---- questions ----

    def about(self, intent, lang, dice):
        return dice.pick(ABOUT_FRAMES[lang]).format(dice.pick(intent.about[lang]))

    def phrasing(self, name, lang, dice):
        """A question of an intent, from the lines that are trained on."""
        intent = self.source.intents[name]
        if intent.about[lang] and dice.chance(ABOUT):
            return self.about(intent, lang, dice)
        if name == "elsewhere" and dice.chance(ABOUT / 2):
            noun = dice.pick(self.slots[lang][dice.pick(ABOUT_ELSEWHERE)])
            return dice.pick(ABOUT_FRAMES[lang]).format(noun)
        text = self.kept[name, lang].draw(dice)
        if name in self.tools and not names_feitian(text) and dice.chance(0.08):
            text = dice.pick(HERE[lang]).format(text)
        return text

    def there(self, lang, dice, slots):
        """A question about something that one does in feitian, asked of another product."""
        while True:
            text = self.kept[dice.pick(self.elsewhere_too), lang].draw(dice)
            if not names_feitian(text):
                break
        product = dice.pick(slots["product_other"])
        text = dice.pick(THERE[lang]).replace("{p}", product).replace("{}", text)
        return style.dress(text, lang, dice, True)

    # ---- single questions ----

    def new(self, make):
        """A message that no evaluation asks and that is not in train yet; None: none was found."""
        for _ in range(TRIES):
            text = make()
            if style.normal(text) not in self.eval_forms and text not in self.messages:
                return text
        return None

    def turn(self, text, name, lang):
        return [{"role": "user", "content": text},
                {"role": "assistant", "content": self.source.answer(name, lang)}]

    def add(self, messages, lang, dice):
        if dice.chance(SYSTEM):
            other = lang if dice.chance(0.8) else dice.pick(LANGS)
            system = {"role": "system", "content": dice.pick(self.source.systems[other])}
            messages = [system, *messages]
        self.train.append(messages)

    def add_singles(self, wanted, name, lang, dice, make):
        """Up to `wanted` of them; none that belongs to another intent (as slots may fill it)."""
        for _ in range(round(wanted * self.scale)):
            text = self.new(make)
            if text is None:
                continue
            if self.asked.setdefault((style.normal(text), lang), name) == name:
                self.messages.add(text)
                self.add(self.turn(text, name, lang), lang, dice)

    def singles(self):
        for name, intent in self.source.intents.items():
            for lang in LANGS:
                dice = Dice(self.seed, "single", name, lang)
                wraps = name not in SOCIAL
                self.add_singles(
                    ELSEWHERE if name == "elsewhere" else PER_INTENT * intent.weight, name, lang,
                    dice,
                    lambda: style.dress(self.phrasing(name, lang, dice), lang, dice, wraps))
        for (name, lang), pool in self.wrong.items():
            dice = Dice(self.seed, "wrong", name, lang)
            self.add_singles(len(pool.lines) * PER_WRONG, "elsewhere", lang, dice,
                             lambda: style.dress(pool.draw(dice), lang, dice, True))
        for lang in LANGS:
            dice = Dice(self.seed, "there", lang)
            self.add_singles(OTHER_PRODUCTS, "elsewhere", lang, dice,
                             lambda: self.there(lang, dice, self.slots[lang]))

    # ---- dialogues ----

    def first_turn(self, lang, dice):
        chance = dice.number()
        name = "greet" if chance < 0.2 else "elsewhere" if chance < 0.38 else dice.pick(self.names)
        return self.phrasing(name, lang, dice), name, lang

    def next_turn(self, lang, last, dice):
        """(message, intent, language of the answer) after an answer of `last`: intent, language."""
        chance = dice.number()
        if chance < 0.06:
            return self.follow["again", lang].draw(dice), *last
        if chance < 0.14:
            to = last[1] if dice.chance(0.1) else "zh" if last[1] == "en" else "en"
            return self.follow[f"to-{to}", lang].draw(dice), last[0], to
        if chance < 0.20 and last[0] in REAL:
            return self.follow["real", lang].draw(dice), "model.add", lang
        if chance < 0.27:
            name = dice.pick(self.with_about)
            return self.about(self.source.intents[name], lang, dice), name, lang
        if chance < 0.32:
            pools = [pool for (_, of), pool in self.wrong.items() if of == lang]
            return dice.pick(pools).draw(dice), "elsewhere", lang
        name = "elsewhere" if chance < 0.43 else \
            dice.pick(SOCIAL[:-1]) if chance < 0.55 else dice.pick(self.names)
        return self.phrasing(name, lang, dice), name, lang

    def dialogue(self, lang, dice):
        messages, last = [], None
        turns = 2 + dice.chance(0.5) + dice.chance(0.3)
        while len(messages) < 2 * min(turns, TURNS_MAX):
            text, name, to = self.next_turn(lang, last, dice) if last else \
                self.first_turn(lang, dice)
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
                self.add(self.dialogue(lang, dice), lang, dice)

    # ---- evaluation ----

    def add_eval(self, before, text, kind, name, lang):
        form = style.normal(text)
        if form in self.eval_forms and kind != "dialogue":
            return
        self.eval_forms.add(form)
        self.eval_lines.append((before + self.turn(text, name, lang), kind, name, lang))

    def light(self, text, lang, dice):
        """Evaluation asks cleanly, without punctuation, or as people type."""
        how = dice.number()
        return style.plain(text, lang) if how < 0.4 else text if how < 0.7 else \
            style.dress(text, lang, dice, False)

    def evaluate_intents(self):
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

    def evaluate_elsewhere(self, lang):
        """Lines that were held out, and entries of slots that were, in any line."""
        dice = Dice(self.seed, "eval elsewhere", lang)
        open_lines = [line for line in self.kept["elsewhere", lang].lines
                      if set(grammar.slots_of(line.tree)) & set(OPEN_SLOTS)]
        lines = [line for line in self.held["elsewhere", lang].lines for _ in range(2)]
        lines += [dice.pick(open_lines) for _ in range(120)]
        for line in lines:
            text = grammar.expand(line.tree, dice, self.held_slots[lang])
            self.add_eval([], self.light(text, lang, dice), "elsewhere", "elsewhere", lang)
        for _ in range(30):
            text = self.there(lang, dice, self.held_slots[lang])
            self.add_eval([], text, "other product", "elsewhere", lang)

    def evaluate_dialogues(self, lang):
        """One or two turns as in training, then one that was held out."""
        dice = Dice(self.seed, "eval dialogue", lang)
        held = [name for name in self.names if self.held[name, lang]]
        for _ in range(60):
            text, name, to = self.first_turn(lang, dice)
            messages = self.turn(style.plain(text, lang), name, to)
            if dice.chance(0.5):
                text, name, to = self.next_turn(lang, (name, to), dice)
                messages += self.turn(style.plain(text, lang), name, to)
            if dice.chance(0.5):
                follow = dice.pick(("again", "to-zh", "to-en"))
                text = self.held_follow[follow, lang].draw(dice)
                to = follow[3:] if follow != "again" else to
            else:
                name, to = dice.pick(held), lang
                text = dice.pick(self.held[name, lang]).draw(dice, self.slots[lang])
            self.add_eval(messages, self.light(text, lang, dice), "dialogue", name, to)

    # ---- all of it ----

    def make(self):
        self.evaluate_intents()
        for lang in LANGS:
            self.evaluate_elsewhere(lang)
            self.evaluate_dialogues(lang)
        self.singles()
        self.dialogues()
        Dice(self.seed, "order").shuffle(self.train)

    def tokenizer_text(self):
        """Chinese comes in pairs of characters, once from the first on and once from the second:
        words of two become tokens, clauses that only the corpus repeats do not."""
        lines = sorted(self.messages)
        for lang in LANGS:
            for name in self.source.intents:
                lines += [self.source.answer(name, lang)] * ANSWER_REPEATS
            lines += self.source.systems[lang]
        out = []
        for line in lines:
            out.append(HAN.sub(lambda run: "\n".join(pairs(run.group(), 0)), line))
            out += [pair for run in HAN.findall(line) for pair in pairs(run, 1)]
        return "".join(line + "\n" for line in out)

    def write(self, folder):
        os.makedirs(folder, exist_ok=True)

        def save(name, lines):
            with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as file:
                file.writelines(lines)

        def jsonl(samples):
            return (json.dumps({"messages": m}, ensure_ascii=False) + "\n" for m in samples)

        save("train.jsonl", jsonl(self.train))
        save("eval.jsonl", jsonl(messages for messages, *_ in self.eval_lines))
        save("eval.tsv", ("\t".join(labels) + "\n" for _, *labels in self.eval_lines))
        save("tokenizer.txt", self.tokenizer_text())


def pairs(run, begin):
    """A run of characters cut after every second one; after the first one too with begin 1."""
    return [run[:1]] * begin + [run[i:i + 2] for i in range(begin, len(run), 2)]


def make(seed=1, scale=1.0, folder=FOLDER):
    corpus = Corpus(grammar.Source(folder), seed, scale)
    corpus.make()
    return corpus


def main():
    parser = argparse.ArgumentParser(description="Writes the corpus that nano is trained on.")
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=1.0,
                        help="how many samples, against the usual number")
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
