#!/usr/bin/python3
"""`feitian train` as a user meets it: options and configuration files, what is refused and how, the
terminal, signals.

usage: train_cli.py FEITIAN
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

from train_made import chats, expect, feitian, finish, metrics, new_model, pairs, read_bytes
from train_made import tokenizer, train, write_lines


def refused(what, status, text, *args):
    """Fails with this status, says this on standard error, nothing on standard output."""
    r = feitian("train", *args)
    said = r.stderr.decode()
    expect(f"refused: {what}", r.returncode == status and text in said and not r.stdout,
           (r.returncode, said))
    return said


def help_text():
    text = feitian("train", "--help").stdout.decode()
    keys = ("model", "data", "method", "rank", "lr", "seq-len", "resume", "output", "memory-mb")
    expect("help tells the options", all(f"  --{k}" in text for k in keys), text)
    expect("help fits its width", max(map(len, text.splitlines())) <= 100,
           [line for line in text.splitlines() if len(line) > 100])
    expect("help is the same either way", text == feitian("help", "train").stdout.decode())


def options(d, model, data):
    some = ("--model", model, "--data", data, "-o", f"{d}/refused")
    refused("an option that is not there, and the nearest", 2, "did you mean 'rank'?", *some,
            "--rnk", "8")
    refused("one that is like nothing", 2, "there is no option 'quantum-flux'", *some,
            "--quantum-flux", "8")
    refused("a word that is no number", 2, "--lr: 'fast'", *some, "--lr", "fast")
    refused("a number outside its bounds", 2, "--rank: ", *some, "--rank", "0")
    refused("half a rank", 2, "--rank: ", *some, "--rank=1.5")
    refused("no value", 2, "--rank needs a value", *some, "--rank")
    refused("a choice that there is not", 2, "--method: 'lorax' is not one of lora|full", *some,
            "--method", "lorax")
    refused("an unknown short option", 2, "'-x'", *some, "-x")
    refused("two configurations", 2, "one configuration file", "a.json", "b.json")
    refused("no model", 2, "model: must be given", "--data", data, "-o", f"{d}/refused")
    refused("no data", 2, "data: ", "--model", model, "-o", f"{d}/refused")
    refused("no output", 2, "output: ", "--model", model, "--data", data)
    refused("what full training does not use", 2, "rank: ", *some, "--method", "full", "--rank",
            "4")
    refused("a shape beside a model", 2, "layers: ", *some, "--layers", "4")
    refused("a shape that lacks something", 2, "d-model: ", "--arch", "llama", "--tokenizer",
            f"{d}/tok", "--layers", "2", "--data", data, "-o", f"{d}/refused")
    refused("heads that do not fit", 2, "n_head_kv: 3 does not divide", "--arch", "llama",
            "--tokenizer", f"{d}/tok", "--layers", "2", "--d-model", "64", "--d-ff", "64",
            "--heads", "4", "--kv-heads", "3", "--data", data, "-o", f"{d}/refused-shape")
    refused("an unknown matrix", 2, "targets: 'qq'", *some, "--targets", "q,qq")
    refused("a model that is not there", 1, "no-such-model", "--model", "no-such-model.gguf",
            "--data", data, "-o", f"{d}/refused")
    refused("data that is not there", 1, "no-such-data", "--model", model, "--data",
            "no-such-data.jsonl", "-o", f"{d}/refused")
    refused("sequences longer than the model's context", 2, "seq-len: the model's context is 256",
            *some, "--seq-len", "257")
    refused("a learning rate that would rise", 2, "min-lr: must not be above lr, which is 0.0002",
            *some, "--min-lr", "3e-4")
    expect("what is refused leaves no folder", not os.path.exists(f"{d}/refused"))


def second_try(d, data):
    """A refused run from scratch leaves nothing; what a killed one left, the next one does not take
    for its own."""
    args = ("--arch", "llama", "--tokenizer", f"{d}/tok", "--d-model", "64", "--d-ff", "64",
            "--heads", "2", "-o", f"{d}/second", "--context", "128")
    refused("bad data for a new model", 1, "none.jsonl", *args, "--layers", "3", "--data",
            f"{d}/none.jsonl")
    expect("a refused run leaves no weights", not os.path.exists(f"{d}/second"))
    os.makedirs(f"{d}/second/init")
    train(*args, "--layers", "1", "--data", data, "--max-steps", "1")
    with open(f"{d}/second/init/config.json", encoding="utf-8") as f:
        config = json.load(f)
    expect("a second try has its own shape", config["num_hidden_layers"] == 1, config)


def configurations(d, model, data):
    path = f"{d}/config.json"

    def config(text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text if isinstance(text, str) else json.dumps(text))
        return path

    some = {"model": model, "data": [data], "output": f"{d}/config"}
    refused("a file that is not there", 1, "none.json", "none.json")
    refused("JSON that is none", 2, "config.json:2:", config('{"model": "x",\n oops}'))
    refused("a list", 2, "config.json: the configuration must be a JSON object", config("[]"))
    refused("an unknown key, with the nearest", 2, "config.json:1: there is no option 'seq_lenn'; "
            "did you mean 'seq-len'", config({**some, "seq_lenn": 8}))
    refused("a text for a number", 2, "config.json:1: rank: must be a number",
            config({**some, "rank": "8"}))
    refused("its line", 2, "config.json:4: seq-len: must be",
            config(f'{{"model": "{model}",\n "data":\n ["{data}"],\n "seq_len": 7}}'))
    refused("the line of what does not go with others", 2,
            "config.json:3: dpo-beta: belongs to objective dpo",
            config(f'{{"model": "{model}", "data": ["{data}"],\n "output": "{d}/config",\n'
                   ' "dpo_beta": 0.1}'))
    refused("what the command line said is not the file's fault", 2, "feitian train: targets: 'zz'",
            config({**some, "targets": ["q"]}), "--targets", "zz")
    refused("a byte order mark is no fault", 2, "config.json:1: lr: must be a number",
            config("\ufeff" + json.dumps({**some, "lr": "x"})))
    refused("a number for a text", 2, "config.json:1: model: must be a text",
            config({**some, "model": 1}))
    refused("a key twice", 2, "config.json:1:", config('{"rank": 1, "rank": 2}'))
    train(config({**some, "rank": 2, "epochs": 1, "seq_len": 128, "tied": None}), "--rank", "3",
          "--no-packing")
    with open(f"{d}/config/run.json", encoding="utf-8") as f:
        run = json.load(f)
    expect("the command line counts more than the file", run["rank"] == 3 and
           run["seq_len"] == 128 and run["packing"] is False, run)
    said = refused("an output that holds a run", 2, "holds a run already", path)
    expect("... before anything is read", "data " not in said, said)


def bad_data(d, model):
    path = write_lines(f"{d}/bad.jsonl", [
        {"prompt": "a", "completion": "b"},
        {"messages": [{"role": "user", "content": "x"}, {"role": "wizard", "content": "y"}]},
        {"prompt": "a"},
        {"prompt": "a", "completion": "c"}])
    with open(path, "a", encoding="utf-8") as f:
        f.write('{"prompt": "a", "completion": \n{"text": "\\u001b[2Jx", "\\u001b[31mred": 1,}\n')
    said = refused("bad lines", 2, "bad.jsonl:2: ", "--model", model, "--data", path, "-o",
                   f"{d}/bad")
    expect("every bad line is told, with its reason",
           all(f"bad.jsonl:{n}: " in said for n in (2, 3, 5, 6)) and "wizard" in said and
           "bad.jsonl:1:" not in said and "bad.jsonl:4:" not in said, said)
    expect("and nothing that drives the terminal", "\x1b" not in said, repr(said))
    expect("no step was run", not os.path.exists(f"{d}/bad/metrics.jsonl"))
    many = write_lines(f"{d}/many.jsonl", [{"prompt": "a"}] * 50)
    said = refused("many bad lines", 2, "many.jsonl:1: ", "--model", model, "--data", many, "-o",
                   f"{d}/bad")
    expect("they are counted past the first", re.search(r"and \d+ bad lines more", said), said)
    long = write_lines(f"{d}/long.jsonl", [{"prompt": "a" * 500, "completion": "b"}])
    refused("a sample too long", 2, "long.jsonl:1: ", "--model", model, "--data", long, "-o",
            f"{d}/bad", "--seq-len", "64")


def memory(d, model, data):
    said = refused("too little memory", 1, "memory-mb: the run needs ", "--model", model, "--data",
                   data, "-o", f"{d}/memory", "--memory-mb", "1", "--seq-len", "128")
    expect("... with what would help", "batch" in said and "recompute" in said, said)


def memory_is_kept(d):
    """What a run takes is what it planned, beside some MB for the program and its tokenizer."""
    text = write_lines(f"{d}/text.jsonl", [{"text": "a b c d e f g " * 60}] * 40)
    shape = ("--arch", "qwen3", "--tokenizer", f"{d}/tok", "--layers", "4", "--d-model", "512",
             "--d-ff", "1536", "--heads", "8", "--context", "512", "--data", text)
    sized = ("--seq-len", "256", "--batch", "8", "--max-steps", "1", "--threads", "2")
    if b"__asan_init" in read_bytes(sys.argv[1]):
        return  # a sanitizer's own memory would be counted
    for name, args in (("full", (*shape, "-o", f"{d}/kept-full")),
                       ("again", (*shape, "-o", f"{d}/kept-again", "--recompute", "on")),
                       ("LoRA", ("--model", f"{d}/kept-full/init", "--data", text, "-o",
                                 f"{d}/kept-lora", "--dropout", "0.1"))):
        with subprocess.Popen([sys.argv[1], "train", *args, *sized], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as p:
            said = p.stderr.read().decode()
            _, status, used = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
        planned = re.search(r"memory +([0-9.]+) MB of", said)
        expect(f"{name}: no more memory than planned", p.returncode == 0 and planned and
               used.ru_maxrss / 1024 <= float(planned[1]) + 32, (used.ru_maxrss / 1024, said))


def plan(d, model, data):
    r = train("--model", model, "--data", data, "-o", f"{d}/plan", "--epochs", "2", "--seq-len",
              "128", "--valid-samples", "2")
    said, got = r.stderr.decode(), r.stdout.decode()
    for text in ("data      10 lines, 10 samples, ", " tokens, ", "LoRA of rank 16",
                 "from 8 samples", "memory    ", "step 1/", "validation loss", "done      "):
        expect(f"a run says '{text}'", text in said, said)
    expect("how long it will take is said before the first step",
           0 < said.find("time      roughly ") < said.find("step 1/"), said)
    expect("results stand on standard output", f"{d}/plan/adapter" in got and "loss" not in
           got.replace("loss.svg", ""), got)
    expect("without a terminal nothing moves", "\r" not in said and "\x1b" not in said, repr(said))


class Terminal:
    """The program in a terminal of some width."""

    def __init__(self, width, *args):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, width, 0, 0))
        self.p = subprocess.Popen([sys.argv[1], "train", *args], stdin=slave, stdout=slave,
                                  stderr=slave, start_new_session=True,
                                  preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.text = ""
        self.n_typed = 0

    def read_until(self, wanted, timeout=300):
        """Reads on until the text matches; False at the end of it."""
        end = time.monotonic() + timeout
        while not re.search(wanted, self.text) and time.monotonic() < end:
            if not select.select([self.master], [], [], 1)[0]:
                continue
            try:
                self.text += os.read(self.master, 65536).decode()
            except OSError:
                break
        return re.search(wanted, self.text) is not None

    def type(self, text):
        self.n_typed += 1
        os.write(self.master, text.encode())

    def end(self):
        self.read_until(r"never\0")
        status = self.p.wait(timeout=120)
        os.close(self.master)
        return status


def live_lines(text):
    """The live line as drawn, time and again."""
    return [part.split("\r")[0].split("\n")[0] for part in text.split("\r\x1b[K")]


def terminal(d, model, data):
    args = ("--model", model, "--data", data, "--epochs", "150", "--seq-len", "128",
            "--valid-samples", "2", "--threads", "1")
    for width in (120, 60, 30):
        t = Terminal(width, *args, "-o", f"{d}/terminal-{width}")
        status = t.end()
        lines = [line for line in live_lines(t.text) if re.search(r"\d+/\d+  loss", line)]
        steps = [int(re.search(r"(\d+)/", line).group(1)) for line in lines]
        expect(f"{width} columns: the line moves", status == 0 and len(steps) > 1 and
               steps == sorted(steps) and steps[-1] == len(steps_of(f"{d}/terminal-{width}")),
               (status, steps))
        expect(f"{width} columns: and stays within them", max(map(len, lines)) < width, lines)
        expect(f"{width} columns: as much as fits", ("tokens/s" in lines[-1]) == (width > 30) and
               ("█" in lines[-1]) == (width > 60), lines[-1])
        seconds = metrics(f"{d}/terminal-{width}")[-1].get("seconds") or max(
            m.get("seconds", 0) for m in metrics(f"{d}/terminal-{width}"))
        expect(f"{width} columns: not too often", len(lines) < 10 * seconds + 5 + t.text.count(
            "validation loss"), (len(lines), seconds))


def steps_of(output):
    return [m for m in metrics(output) if "loss" in m]


def interrupts(d, model, data):
    args = ("--model", model, "--data", data, "--epochs", "400", "--seq-len", "128",
            "--save-every", "100000", "--keep", "3", "--threads", "1")
    whole = train(*args, "-o", f"{d}/whole")
    t = Terminal(100, *args, "-o", f"{d}/stopped")
    t.read_until(r"\d+/\d+  loss")
    t.type("\x03")
    status = t.end()
    flat = re.sub(r"\s+", " ", t.text)
    expect("Ctrl-C stops after a step, with a checkpoint", status == -signal.SIGINT and
           len(os.listdir(f"{d}/stopped/checkpoints")) == 1, (status, t.text))
    expect("... and says how to go on", "go on with: feitian train --model" in flat and
           flat.rstrip().endswith("--resume"), t.text)
    done, all_steps = len(steps_of(f"{d}/stopped")), len(steps_of(f"{d}/whole"))
    r = train(*args, "-o", f"{d}/stopped", "--resume")
    expect("the rest is run", f"from step {done} on" in r.stderr.decode() and 0 < done < all_steps,
           r.stderr)
    expect("to the same weights", read_bytes(f"{d}/whole/adapter/adapter_model.safetensors") ==
           read_bytes(f"{d}/stopped/adapter/adapter_model.safetensors"))
    expect("a run that is done can be resumed: nothing is left to do",
           train(*args, "-o", f"{d}/whole", "--resume").returncode == 0, whole.stderr)
    refused("to resume what is another run", 2, "lr", *args, "-o", f"{d}/whole", "--resume",
            "--lr", "1e-5")
    refused("to resume what is none", 1, "resume: ", *args, "-o", f"{d}/nothing", "--resume")
    with subprocess.Popen([sys.argv[1], "train", *args, "-o", f"{d}/termed"],
                          stderr=subprocess.PIPE) as p:
        while b"step 1/" not in p.stderr.readline():
            pass
        p.send_signal(signal.SIGTERM)
        p.stderr.read()
        expect("SIGTERM is as good", p.wait(timeout=60) == -signal.SIGTERM and
               os.listdir(f"{d}/termed/checkpoints"))


def second_interrupt(d, model, data):
    """During a step that takes long (one batch of very many sequences)."""
    lines = write_lines(f"{d}/long-step.jsonl", [{"text": "abcdefg " * 25}] * 400)
    t = Terminal(100, "--model", model, "--data", lines, "-o", f"{d}/twice", "--batch", "400",
                 "--accumulate", "1000", "--epochs", "1000", "--seq-len", "256")
    t.read_until("the first step")
    t.type("\x03")
    while t.p.poll() is None and t.n_typed < 50:  # two that come together are one signal
        time.sleep(0.5)
        t.type("\x03")
    status = t.p.wait(timeout=120)
    expect("a second Ctrl-C ends at once", status == -signal.SIGINT, status)
    t.end()
    del data


def main():
    with tempfile.TemporaryDirectory() as d:
        data = chats(f"{d}/data.jsonl")
        model = new_model(f"{d}/new", "llama", tokenizer(f"{d}/tok"), data, "--max-steps",
                          "1") + "/init"
        help_text()
        options(d, model, data)
        configurations(d, model, data)
        second_try(d, data)
        bad_data(d, model)
        memory(d, model, data)
        memory_is_kept(d)
        plan(d, model, data)
        terminal(d, model, data)
        interrupts(d, model, data)
        second_interrupt(d, model, data)
        refused("pairs without DPO", 2, "pairs.jsonl:1: ", "--model", model, "--data",
                pairs(f"{d}/pairs.jsonl"), "-o", f"{d}/pairs")
    return finish()


if __name__ == "__main__":
    sys.exit(main())
