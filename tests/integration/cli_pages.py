#!/usr/bin/python3
"""What is made of the commands' tables: the man page, and completion in a real shell.

usage: cli_pages.py FEITIAN
"""
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

import cloud

failed = 0
passed = 0


def expect(what, ok, seen=None):
    global failed, passed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    passed += bool(ok)
    failed += not ok


def out(*args, **more):
    r = subprocess.run(args, capture_output=True, text=True, timeout=60, check=False, **more)
    return r.returncode, r.stdout, r.stderr


def commands(feitian):
    """Every command that the help lists, those below others as "key create"."""
    found = []
    for line in out(feitian, "--help")[1].splitlines():
        m = re.match(r"  ([a-z]\S*) +\S", line)
        if m is None:
            continue
        found.append(m[1])
        text = out(feitian, m[1], "--help")[1]
        if f"'feitian {m[1]} COMMAND --help' says more" in text:
            found += [f"{m[1]} {s}" for s in re.findall(r"^  ([a-z]\S*) +\S", text, re.M)]
    return found


def man(feitian, folder, names):
    status, page, err = out(feitian, "help", "--man")
    path = f"{folder}/feitian.1"
    with open(path, "w", encoding="utf-8") as f:
        f.write(page)
    expect("feitian help --man", status == 0 and page.startswith(".\\\""), err)
    missing = [n for n in names if f".SS feitian {n}\n" not in page]
    expect(f"each of {len(names)} commands has its section", not missing, missing)
    for name in ("up", "key create", "run", "train"):
        text = out(feitian, *name.split(), "--help")[1]
        options = set(re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", text, re.M))
        section = page.split(f".SS feitian {name}\n")[1].split(".SS ")[0].replace("\\-", "-")
        expect(f"and all options of {name}", options and all(o in section for o in options),
               [o for o in options if o not in section])
    if shutil.which("man"):
        status, text, err = out("man", "--warnings", "-E", "UTF-8", "-l", path,
                                env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "120"})
        expect("man shows it without a complaint", status == 0 and err == "" and
               "a private AI cloud" in text, err)
    if shutil.which("lexgrog"):
        status, text, err = out("lexgrog", path)
        expect("and finds its name", status == 0 and "feitian - a private AI cloud" in text, err)
    if shutil.which("mandoc"):
        text = out("mandoc", "-Tlint", "-Wwarning", path)[1]
        expect("mandoc has nothing to say", text == "", text)


def complete(script, line, env):
    """What bash offers at the end of the line."""
    program = f"""
source '{script}'
COMP_LINE={quoted(line)}; COMP_POINT=${{#COMP_LINE}}
eval "COMP_WORDS=($COMP_LINE)"
[[ $COMP_LINE == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
compopt() {{ :; }}
_feitian
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    status, text, err = out("bash", "--norc", "-c", program, env=env)
    assert status == 0 and err == "", (line, status, err)
    return set(text.split())


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def bash(feitian, folder, names, c):
    status, script, err = out(feitian, "completion", "bash")
    path = f"{folder}/feitian.bash"
    with open(path, "w", encoding="utf-8") as f:
        f.write(script)
    expect("feitian completion bash", status == 0 and err == "", err)
    bin_folder = f"{folder}/bin"
    os.mkdir(bin_folder)
    os.symlink(os.path.abspath(feitian), f"{bin_folder}/feitian")
    env = c.env(PATH=f"{bin_folder}:{os.environ['PATH']}")

    def offers(line, *words, exactly=False):
        seen = complete(path, line, env)
        ok = seen == set(words) if exactly else set(words) <= seen
        expect(f"'{line}' offers {' '.join(words) or 'nothing'}", ok, seen)

    top = {n for n in names if " " not in n}
    expect("all commands are offered", top <= complete(path, "feitian ", env))
    offers("feitian ba", "backup", "batch", exactly=True)
    offers("feitian key ", *[n[4:] for n in names if n.startswith("key ")], exactly=True)
    offers("feitian key cr", "create", exactly=True)
    offers("feitian key create --pro", "--project", exactly=True)
    offers("feitian up --li", "--listen", exactly=True)
    offers("feitian up --kv ", "f16", "f32", "q8", exactly=True)
    offers("feitian backup --e", "--earlier", exactly=True)
    offers("feitian completion ", "bash", "zsh", "fish", exactly=True)
    offers("feitian help key ", *[n[4:] for n in names if n.startswith("key ")])
    offers("feitian nonsense --", exactly=True)
    for name in names:
        text = out(feitian, *name.split(), "--help")[1]
        said = set(re.findall(r"^  (?:-\w, )?(--[a-z0-9-]+)", text, re.M))
        seen = complete(path, f"feitian {name} --", env)
        if said - seen:
            expect(f"options of {name} that its help lists are offered", False, said - seen)
    c.up()
    c.run("mb", "s3://a-bucket")
    offers("feitian chat ", "nano")
    offers("feitian model rm na", "nano", exactly=True)
    offers("feitian ls s3://", "s3://a-bucket/")
    key = c.run("key", "list", "--json").stdout
    ids = re.findall(r'"id": "(key_\w+)"', key)
    offers("feitian key revoke ", *ids)
    c.run("down")
    offers("feitian chat ", exactly=True)


HOSTILE = ("$(touch 'RAN')", "`touch 'RAN'`", "a;touch 'RAN'", "good-name")


def hostile(feitian, folder):
    """What a server names things, a shell does not run; one of ours does not even print it."""
    ran = f"{folder}/ran"
    names = [n.replace("RAN", ran) for n in HOSTILE]
    fake = f"{folder}/fake"
    os.mkdir(fake)
    with open(f"{fake}/names", "w", encoding="utf-8") as f:
        f.write("".join(f"{n}\n" for n in names))
    with open(f"{fake}/feitian", "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\ncase $1 in ls) sed 's|^|x s3://|' '{fake}/names' ;; "
                f"*) cat '{fake}/names' ;; esac\n")
    os.chmod(f"{fake}/feitian", 0o755)
    env = {**os.environ, "PATH": f"{fake}:{os.environ['PATH']}"}
    for line in ("feitian model rm ", "feitian ls s3://"):
        seen = complete(f"{folder}/feitian.bash", line, env)
        expect(f"bash: '{line}' runs nothing that a server says", not os.path.exists(ran) and
               any("good-name" in w for w in seen), seen)
    if shutil.which("zsh"):
        program = f"""
compdef() {{ : }}; compadd() {{ print -rl -- "${{(@P)2}}" }}
source '{folder}/feitian.zsh'
_arguments() {{
    for word in "$@"; do
        [[ $word == '*:name:'* ]] && eval "${{word#\\*:name:}}"
    done
}}
words=(feitian model rm ''); CURRENT=4; _feitian
"""
        r = out("zsh", "-f", "-c", program, env=env)
        expect("zsh: nor does it", not os.path.exists(ran) and r[1].split("\n")[:-1] == names, r)

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # pylint: disable=invalid-name
            body = json.dumps({"object": "list", "has_more": False, "data": [
                {"id": n, "name": n} for n in names + ["-n", "a b", "\x1b[2J"]]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    r = out(feitian, "completion", "names", "models", env={
        **os.environ, "FEITIAN_API_KEY": "sk-ft-none",
        "FEITIAN_URL": f"http://127.0.0.1:{server.server_address[1]}"})
    server.shutdown()
    server.server_close()
    expect("only plain names are printed", r[:2] == (0, "good-name\n"), r)


def others(feitian, folder):
    for shell in ("zsh", "fish"):
        status, script, err = out(feitian, "completion", shell)
        path = f"{folder}/feitian.{shell}"
        with open(path, "w", encoding="utf-8") as f:
            f.write(script)
        expect(f"feitian completion {shell}", status == 0 and "backup" in script and
               "earlier" in script, err)
        if shutil.which(shell):
            r = out(shell, "-n", path)
            expect(f"{shell} can read it", r[0] == 0 and r[2] == "", r)
        else:
            print(f"skip reading it: there is no {shell} here")
    r = out(feitian, "completion", "tcsh")
    expect("another shell is refused", r[0] == 2 and "bash, zsh or fish" in r[2], r)


def main():
    feitian = os.path.abspath(sys.argv[1])
    names = commands(feitian)
    folder = tempfile.mkdtemp(prefix="feitian-")
    try:
        man(feitian, folder, names)
        others(feitian, folder)
        with cloud.Cloud(feitian) as c:
            bash(feitian, folder, names, c)
        hostile(feitian, folder)
    finally:
        shutil.rmtree(folder)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
