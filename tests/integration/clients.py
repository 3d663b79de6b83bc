#!/usr/bin/python3
"""OpenAI's, Anthropic's, Hugging Face's and AWS's own clients against a cloud: tests/clients/*.mjs.

usage: clients.py FEITIAN BUILD-FOLDER

The clients are installed into BUILD-FOLDER/clients by `npm ci`, once for each lock file.
"""
import os
import shutil
import subprocess
import sys

import cloud

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = os.path.join(HERE, "../clients")
NANO = os.path.join(HERE, "../../models/nano.gguf")
SKIPPED = 77


def install(folder):
    """The folder with the test's files and its node_modules, as the lock says."""
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(CLIENTS):
        if name.endswith((".mjs", ".json")):
            shutil.copy(os.path.join(CLIENTS, name), folder)
    with open(f"{folder}/package-lock.json", encoding="utf-8") as f:
        lock = f.read()
    stamp = f"{folder}/installed"
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as f:
            if f.read() == lock:
                return
        os.unlink(stamp)
    r = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder,
                       capture_output=True, text=True, check=False)
    if r.returncode != 0:
        sys.exit(f"npm ci: {r.stdout}{r.stderr}")
    with open(stamp, "w", encoding="utf-8") as f:
        f.write(lock)


def main():
    feitian, build = sys.argv[1:]
    if shutil.which("npm") is None or shutil.which("node") is None:
        print("skipped: no npm; scripts/setup installs it")
        return SKIPPED
    folder = os.path.join(os.path.abspath(build), "clients")
    install(folder)
    with cloud.Cloud(feitian) as c:
        r = c.up()
        assert r.returncode == 0, r
        if "nano" not in c.run("endpoint", "list").stdout:
            r = c.run("model", "add", NANO)
            assert r.returncode == 0, r
        lines = c.run("key", "s3").stdout.splitlines()
        own = (w.removeprefix("export ").split("=", 1) for w in lines)
        aws = {n: v for n, v in own if n != "AWS_CA_BUNDLE"}
        env = c.env(FEITIAN_URL=c.url, FEITIAN_API_KEY=c.credentials()["key"],
                    AWS_REGION=aws.pop("AWS_DEFAULT_REGION"), **aws)
        failed = 0
        for name in ("openai.mjs", "openai_responses.mjs", "openai_batches.mjs", "openai_tune.mjs",
                     "anthropic.mjs", "hub.mjs", "s3.mjs"):
            r = subprocess.run(["node", "--test", "--test-reporter=spec", name], cwd=folder,
                               env=env, check=False, timeout=2400)
            failed += r.returncode != 0
        if failed:
            print(c.log()[-4000:])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
