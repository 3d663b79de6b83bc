#!/usr/bin/python3
"""The corpus of nano: the same bytes every time, nothing evaluated that was trained on, one answer
to a question, and answers that say what nano/corpus/facts.json says."""
import json
import os
import re
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(ROOT, "nano"))
import corpus
import evaluate
import grammar
import style

SCALE = 0.15
NAMES = ("train.jsonl", "eval.jsonl", "eval.tsv", "tokenizer.txt")


def written(**how):
    with tempfile.TemporaryDirectory() as folder:
        corpus.make(scale=SCALE, **how).write(folder)
        out = {}
        for name in NAMES:
            with open(f"{folder}/{name}", "rb") as file:
                out[name] = file.read()
        return out


def samples(data):
    return [json.loads(line)["messages"] for line in data.decode().splitlines()]


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source = grammar.Source(corpus.FOLDER)
        cls.files = written()
        cls.train, cls.eval = samples(cls.files["train.jsonl"]), samples(cls.files["eval.jsonl"])
        cls.answers = {cls.source.answer(n, lang): (n, lang)
                       for n in cls.source.intents for lang in grammar.LANGS}

    def test_the_same_bytes_every_time(self):
        self.assertEqual(self.files, written())

    def test_another_seed_is_another_corpus(self):
        self.assertNotEqual(self.files["train.jsonl"], written(seed=2)["train.jsonl"])

    def test_samples_are_conversations(self):
        for messages in self.train + self.eval:
            rest = messages[messages[0]["role"] == "system":]
            self.assertEqual([m["role"] for m in rest], ["user", "assistant"] * (len(rest) // 2))
            self.assertLessEqual(len(rest), 2 * corpus.TURNS_MAX)
            for m in messages:
                self.assertEqual(set(m), {"role", "content"})
                self.assertTrue(m["content"].strip(), messages)
                self.assertNotRegex(m["content"], r"<\|im_|[\x00-\x09\x0b-\x1f]|\{\w+\}")

    def test_answers_are_those_of_the_source(self):
        for messages in self.train + self.eval:
            for m in messages:
                if m["role"] == "assistant":
                    self.assertIn(m["content"], self.answers)

    def test_every_answer_is_trained_and_every_intent_is_evaluated(self):
        said = {m["content"] for s in self.train for m in s if m["role"] == "assistant"}
        self.assertEqual(said, set(self.answers))
        labels = self.files["eval.tsv"].decode().splitlines()
        asked = {tuple(line.split("\t")[1:]) for line in labels}
        self.assertEqual(asked, set(self.answers.values()))

    def test_nothing_evaluated_was_trained_on(self):
        trained = {style.normal(m["content"]) for s in self.train for m in s if m["role"] == "user"}
        for messages in self.eval:
            self.assertNotIn(style.normal(messages[-2]["content"]), trained)

    def test_labels_belong_to_lines(self):
        items = zip(self.files["eval.tsv"].decode().splitlines(), self.eval)
        for label, messages in items:
            kind, name, lang = label.split("\t")
            self.assertEqual(messages[-1]["content"], self.source.answer(name, lang))
        self.assertEqual(len(self.files["eval.tsv"].splitlines()), len(self.eval))

    def test_a_single_question_has_one_answer(self):
        owner = {}
        for messages in self.train:
            text, answer = [m["content"] for m in messages if m["role"] != "system"][:2]
            key = style.normal(text), self.answers[answer][1]
            self.assertEqual(owner.setdefault(key, answer), answer, text)

    def test_languages_and_kinds_are_balanced(self):
        langs = [self.answers[s[-1]["content"]] for s in self.train]
        share = sum(lang == "zh" for _, lang in langs) / len(langs)
        self.assertTrue(0.4 < share < 0.6, share)
        share = sum(name == "elsewhere" for name, _ in langs) / len(langs)
        self.assertTrue(0.2 < share < 0.5, share)


class Source(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source = grammar.Source(corpus.FOLDER)

    def phrasings(self):
        """(text, intent) of all that is written, slots not filled."""
        for intent in [*self.source.intents.values(), *self.source.followups.values()]:
            for lang in grammar.LANGS:
                for kind, lines in ((intent.name, intent.lines), ("elsewhere", intent.wrong)):
                    for line in lines[lang]:
                        for text in grammar.every(grammar.parse(line, line)):
                            yield text, kind
                for noun in intent.about[lang]:
                    for frame in corpus.ABOUT_FRAMES[lang]:
                        yield frame.format(noun), intent.name

    def test_no_question_belongs_to_two_intents(self):
        owner = {}
        for text, name in self.phrasings():
            self.assertEqual(owner.setdefault(style.normal(text), name), name, text)

    def test_facts_stand_in_one_place(self):
        """What an answer quotes is a fact, and no fact is left over."""
        used = set()
        for intent in self.source.intents.values():
            for lang in grammar.LANGS:
                answer = intent.answer[lang]
                used |= set(re.findall(r"\{(\w+)\}", answer))
                for quoted in re.findall(r"`([^`]*)`", answer):
                    self.assertRegex(quoted, r"^\{\w+\}$", f"{intent.name}: {quoted}")
        self.assertEqual(used, set(self.source.facts))

    def test_a_greeting_says_what_it_is_and_how_to_add_a_model(self):
        for lang, what, how in (("en", "demonstration model", "real model"),
                                ("zh", "演示模型", "真正的大模型")):
            answer = self.source.answer("greet", lang)
            for word in (what, how, self.source.facts["model_add"]):
                self.assertIn(word, answer)

    def test_answers_are_one_to_three_sentences(self):
        for name in self.source.intents:
            for lang in grammar.LANGS:
                bare = re.sub(r"`[^`]*`", "x", self.source.answer(name, lang))
                ends = re.findall(r"[.!?](?= |$)" if lang == "en" else "[。！？]", bare)
                self.assertTrue(1 <= len(ends) <= 3, bare)
                self.assertIn(bare[-1], ".!?。！？")


class Grammar(unittest.TestCase):
    def every(self, line):
        return sorted(grammar.every(grammar.parse(line, "test")))

    def test_choices(self):
        self.assertEqual(self.every("(a|b (c|d)|)x"), ["ax", "b cx", "b dx", "x"])
        self.assertEqual(self.every("再说(一)?点"), ["再说一点", "再说点"])
        self.assertEqual(self.every("a?{how}"), ["a{how}", "{how}"])

    def test_faults_are_named(self):
        for line in ("(a|b", "a)", "a|b", "{how", "?a"):
            with self.assertRaises(grammar.SourceError, msg=line):
                grammar.parse(line, "test")

    def test_draws_are_from_the_line(self):
        tree = grammar.parse("{how} (a|b)", "test")
        dice, slots = grammar.Dice(1), {"how": ["how", "why"]}
        seen = {grammar.expand(tree, dice, slots) for _ in range(100)}
        self.assertEqual(seen, {"how a", "how b", "why a", "why b"})
        self.assertEqual(grammar.count(tree, slots), 4)


class Evaluation(unittest.TestCase):
    def test_verdicts(self):
        owner = {"yes": ("greet", "en"), "sorry": ("elsewhere", "en"), "bye": ("bye", "en")}
        item = {"messages": [{"role": "user", "content": "hi"}], "right": "yes", "kind": "question",
                "name": "greet", "lang": "en"}
        said = ["yes", "sorry", "bye", "yess", None]
        counts, wrong = evaluate.report([item] * len(said), said, owner)
        self.assertEqual(counts["question", "en"], ["right", "refused", "taken", "broken"])
        self.assertEqual([w["is"] for w in wrong], [("elsewhere", "en"), ("bye", "en"), "yess"])


if __name__ == "__main__":
    unittest.main()
