#!/usr/bin/python3
"""`feitian up`, `down`, `status`, `doctor`: a real cloud in a temporary home.

usage: up.py FEITIAN
"""
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import urllib.request

import cloud

results = []


def expect(what, ok, detail=""):
    results.append(bool(ok))
    print(f"{'ok  ' if ok else 'FAIL'} {what} {detail if not ok else ''}")


def wait_for(what, seconds=120):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    return what()


def pid_of(c, word):
    return next((pid for pid, line in c.processes().items() if line.startswith(word)), None)


def first_time(c):
    r = c.run("status")
    expect("before, it is down", r.returncode == 1 and "feitian up" in r.stdout, r)
    r = c.run("chat", "-p", "x", FEITIAN_URL=c.url)  # another may run where it is by default
    expect("a command says how to start one", r.returncode == 1 and "feitian up" in r.stderr, r)
    r = c.up()
    expect("it comes up and says where", r.returncode == 0 and c.url in r.stdout and
           "feitian chat" in r.stdout, (r, c.log()))
    mode = stat.S_IMODE(os.stat(f"{c.home}/credentials.json").st_mode)
    expect("the first key lies in a file for its owner alone", mode == 0o600 and
           c.credentials()["key"].startswith("sk-ft-") and c.credentials()["url"] == c.url, mode)
    expect("and so does the home", stat.S_IMODE(os.stat(c.home).st_mode) == 0o700)
    r = c.run("chat", "nano", "-p", "What is feitian?", "--quiet")
    expect("the model that ships answers", r.returncode == 0 and "private AI cloud" in r.stdout,
           (r, c.log()))
    r = c.run("status", "--json")
    live = json.loads(r.stdout) if r.returncode == 0 else {}
    expect("status tells", live.get("state") == "up" and live.get("url") == c.url and
           live["supervisor"]["pid"] == pid_of(c, "up"), r)
    r = c.run("status")
    expect("in words too", r.returncode == 0 and "worker-0" in r.stdout and "nano" in r.stdout, r)


def second_time(c):
    before = c.processes()
    r = c.up()
    expect("a second up finds it running", r.returncode == 0 and "already" in r.stdout and
           c.processes() == before, (r, before, c.processes()))
    r = c.run("up", "--listen", "127.0.0.1:9", "--json")
    expect("for another address it says what to do", r.returncode == 2 and "feitian down" in
           r.stderr and "--listen 127.0.0.1:9 (it has" in r.stderr and
           json.loads(r.stdout)["url"] == c.url, r)
    r = c.up("--memory", "1G", "--kv", "q8", "--threads", "1")
    expect("other options are named as not in force", r.returncode == 2 and "already" in r.stdout
           and "--memory 1073741824, --threads 1, --kv q8." in r.stderr.replace("\n", " ") and
           "--listen" not in r.stderr, r)
    expect("a plain up says no more", c.run("up").stderr == "")
    for args, text in ((("--memory", "lots"), "--memory"), (("--kv", "f64"), "--kv"),
                       (("--tls-cert", "/none", "--tls-key", "/none"), "--tls-cert")):
        r = c.up(*args)
        expect(f"and wrong ones are refused as ever: {args}", r.returncode in (1, 2) and
               text in r.stderr and "already" not in r.stdout, r)


def killed(c):
    for word in ("control", "gateway"):
        pid = pid_of(c, word)
        os.kill(pid, signal.SIGKILL)
        expect(f"a killed {word} comes back", wait_for(lambda: pid_of(c, word) not in (None, pid)))
    expect("and all works", wait_for(lambda: c.run("status").returncode == 0), c.log())
    os.kill(pid_of(c, "up"), signal.SIGKILL)
    expect("with the supervisor killed, status says down",
           wait_for(lambda: c.run("status").returncode == 1))
    r = c.up()
    expect("up starts anew", r.returncode == 0 and "already" not in r.stdout, (r, c.log()))
    r = c.run("chat", "nano", "-p", "Hello", "--quiet")
    expect("with the same state", r.returncode == 0 and r.stdout.strip(), (r, c.log()))
    os.kill(pid_of(c, "up"), signal.SIGKILL)
    wait_for(lambda: c.run("status").returncode == 1)
    r = c.run("down")
    expect("down after that leaves nothing", r.returncode == 0 and not c.processes(),
           (r, c.processes()))


def ended(c):
    c.up()
    with socket.socket() as far:  # a server that takes calls and never answers
        far.bind(("127.0.0.1", 0))
        far.listen()
        c.run("endpoint", "create", "far", "--model", "m", "--url",
              f"http://127.0.0.1:{far.getsockname()[1]}/v1")
        with subprocess.Popen([c.feitian, "chat", "far", "-p", "x"], env=c.env(),
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
            runs = wait_for(lambda: json.loads(c.run("status", "--json").stdout)["gateway"]
                            ["calls_running"] == 1)
            r = c.run("down", "--timeout", "1")
            p.wait(timeout=120)
    expect("down says what it waits for", runs and r.returncode == 0 and
           "waiting for 1 running call, 1 s at most" in r.stderr, r)
    c.up()
    r = c.run("status")
    expect("times are whole seconds", "up for" in r.stdout and ".0 s" not in r.stdout, r)
    r = c.run("down")
    expect("down stops all", r.returncode == 0 and "is down" in r.stdout and not c.processes(),
           (r, c.processes()))
    r = c.run("down")
    expect("a second down has nothing to do", r.returncode == 0 and "no cloud" in r.stdout, r)
    c.up()
    supervisor = pid_of(c, "up")
    os.kill(supervisor, signal.SIGSTOP)
    r = c.run("down", "--timeout", "1")
    expect("one that hangs is killed, with a word", r.returncode == 0 and "killed" in r.stderr and
           not c.processes(), (r, c.processes()))


def zombie(c):
    """A supervisor whose parent does not reap it."""
    with subprocess.Popen([c.feitian, "up", "--foreground", "--listen", c.listen],
                          env=c.env(), stderr=subprocess.DEVNULL) as p:
        expect("in the foreground it runs", wait_for(lambda: c.run("status").returncode == 0))
        r = c.run("down")  # p is a zombie from here on
        expect("down does not wait for a zombie", r.returncode == 0 and "killed" not in r.stderr, r)
        expect("status neither", c.run("status").returncode == 1)
        p.wait(timeout=120)
        expect("it ends with 0", p.returncode == 0, p.returncode)


def as_a_service(c):
    """As systemd starts it (Type=notify)."""
    path = f"{c.folder}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.settimeout(120)
        with subprocess.Popen([c.feitian, "up", "--foreground", "--listen", c.listen],
                              env=c.env(NOTIFY_SOCKET=path), stderr=subprocess.DEVNULL) as p:
            said = s.recv(100)
            expect("systemd is told when it can be used", said == b"READY=1" and
                   c.run("chat", "nano", "-p", "Hello", "--quiet").returncode == 0, said)
            p.send_signal(signal.SIGTERM)
            expect("it ends by SIGTERM, with 0, and leaves nothing", p.wait(timeout=120) == 0 and
                   not c.processes(), (p.returncode, c.processes()))
        s.settimeout(0.1)
        try:
            more = s.recv(100)
        except TimeoutError:
            more = b""
        expect("once, by the supervisor alone", more == b"", more)


def moved(c):
    """Commands find their own cloud wherever it went, with and without TLS."""
    listens = [(c.listen, "https", ("--tls-self-signed",)),
               (f"127.0.0.1:{cloud.free_port()}", "http", ())]
    cert = f"{c.home}/tls/"
    listens.append((f"127.0.0.1:{cloud.free_port()}", "https",
                    ("--tls-cert", "cert.pem", "--tls-key", "key.pem")))
    key = c.credentials()["key"]
    for listen, scheme, options in listens:
        folder = cert if "--tls-cert" in options else None
        r = subprocess.run([c.feitian, "up", "--listen", listen, *options], env=c.env(),
                           capture_output=True, text=True, cwd=folder, timeout=300)
        expect(f"up at {scheme}://{listen}", r.returncode == 0, (r, c.log()))
        r = c.run("chat", "nano", "-p", "Hello", "--quiet")
        expect("commands find it, with the same key", r.returncode == 0 and r.stdout.strip() and
               c.credentials()["key"] == key and
               c.credentials()["url"] == f"{scheme}://{listen}", (r, c.credentials()))
        if scheme == "https":
            far = ("key", "list", "--cloud", f"https://localhost:{listen.split(':')[1]}")
            r = c.run(*far, FEITIAN_API_KEY=key)
            expect("another address is not trusted by itself", r.returncode == 1, r)
            r = c.run(*far, "--ca", f"{cert}cert.pem", FEITIAN_API_KEY=key)
            expect("but with --ca", r.returncode == 0, r)
            r = c.run(*far, FEITIAN_API_KEY=key, FEITIAN_CA=f"{cert}cert.pem")
            expect("or FEITIAN_CA", r.returncode == 0, r)
        expect("the file is still its owner's alone",
               stat.S_IMODE(os.stat(f"{c.home}/credentials.json").st_mode) == 0o600)
        c.run("down")
    r = c.run("key", "list", "--ca", "/no/such.pem")
    expect("a --ca that is not there", r.returncode == 2 and "--ca: /no/such.pem" in r.stderr, r)


def found_by_doctor(c):
    """{(check, level): what it says}"""
    return {(f["check"], f["level"]): f["message"] for f in
            json.loads(c.run("doctor", "--json").stdout)["findings"]}


def remembered(c):
    """TLS is kept with the address: it does not end by being forgotten."""
    c.up("--tls-self-signed")
    secure = c.url.replace("http:", "https:")
    key = c.credentials()["key"]
    r = c.run("key", "list", "--home", f"{c.folder}/none", "--cloud", c.url, FEITIAN_API_KEY=key)
    expect("who asks a TLS address by http is told so", r.returncode == 1 and
           f"speaks TLS: use {secure}" in r.stderr, r)
    r = c.run("key", "list", "--home", f"{c.folder}/none", "--cloud", secure, FEITIAN_API_KEY=key)
    expect("and who does not trust its certificate, that", r.returncode == 1 and "--ca" in r.stderr
           and "FEITIAN_CA" in r.stderr and "feitian up" not in r.stderr, r)
    c.run("down")
    r = c.run("up")
    expect("a plain up has the TLS of last time", r.returncode == 0 and "with TLS" in r.stdout and
           f"{c.home}/tls/cert.pem" in r.stdout and c.credentials()["url"] == secure, (r, c.log()))
    r = c.run("up")
    expect("as it says when asked again", r.returncode == 0 and secure in r.stdout and
           r.stderr == "", r)
    c.run("down")
    os.symlink("tls/cert.pem", f"{c.home}/link.pem")
    r = subprocess.run([c.feitian, "up", "--tls-cert", "link.pem", "--tls-key", "tls/key.pem"],
                       env=c.env(), capture_output=True, text=True, cwd=c.home, timeout=300)
    expect("another certificate at that address", r.returncode == 0 and secure in r.stdout, r)
    c.run("down")
    r = c.run("up")
    expect("is remembered by its own path, links and all", r.returncode == 0 and secure in r.stdout
           and c.credentials()["ca"] == f"{c.home}/link.pem", (r, c.credentials()))
    c.run("down")
    expect("doctor looks at the address of last time, and its certificate", c.listen in
           found_by_doctor(c)["port", "ok"] and "link.pem" in
           found_by_doctor(c)["certificate", "ok"], found_by_doctor(c))
    os.unlink(f"{c.home}/link.pem")
    expect("... which it misses before 'up' does", "link.pem: No such file" in
           found_by_doctor(c).get(("certificate", "bad"), ""), found_by_doctor(c))
    r = c.run("up")
    expect("without it there is no plain HTTP instead", r.returncode == 1 and "as last time" in
           r.stderr and "link.pem" in r.stderr and not c.processes(), r)
    r = c.up()
    expect("--listen says all anew", r.returncode == 0 and c.credentials()["url"] == c.url, r)
    r = c.run("key", "list", "--home", f"{c.folder}/none", "--cloud", secure, FEITIAN_API_KEY=key)
    expect("who asks a plain address by https is told so", r.returncode == 1 and
           f"speaks no TLS: use {c.url}" in r.stderr, r)
    c.run("down")
    r = c.run("up")
    expect("and that is kept, too", r.returncode == 0 and c.credentials()["url"] == c.url, r)
    c.run("down")


def in_the_way(c):
    with socket.socket() as s:
        s.bind(("127.0.0.1", c.port))
        s.listen(1)
        r = c.up()
        expect("a port in use: by whom, and what to do", r.returncode == 1 and "in use" in r.stderr
               and str(os.getpid()) in r.stderr and "--listen" in r.stderr, r)
        left = f"{c.home}/run/up.json"  # of a supervisor that was killed, whose number is ours now
        with open(left, "w") as f:
            json.dump({"pid": os.getpid(), "started": 1, "ready": True, "url": c.url,
                       "version": "0"}, f)
        r = c.up()
        expect("whoever has the folder next takes away what a killed one said of itself",
               r.returncode == 1 and not os.path.exists(left), r)
    with cloud.Cloud(c.feitian) as again:
        s = socket.socket()  # as of a gateway that was killed and is not quite gone
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", again.port))
        s.listen(1)
        threading.Timer(0.3, s.close).start()
        r = again.up()
        expect("a port that is about to be free is waited for", r.returncode == 0, r)
    for args, text in ((["--listen", "here"], "HOST:PORT"),
                       (["--listen", "192.0.2.1:80"], "192.0.2.1"),
                       (["--tls-cert", "x"], "both or none"), (["--memory", "lots"], "--memory"),
                       (["--memory", "1M"], "from 64M on"), (["--kv", "f64"], "--kv"),
                       (["--threads", "0"], "--threads"),
                       (["--daemon", "--foreground"], "only one")):
        r = c.run("up", *args)
        expect(f"{' '.join(args)} is refused", r.returncode == 2 and text in r.stderr, r)
    file = f"{c.folder}/file"
    with open(file, "w"):
        pass
    for home in (f"{file}/below", "/proc/nowhere"):
        r = c.run("up", "--home", home)
        expect(f"a home that cannot be: {home}", r.returncode == 1 and "--home" in r.stderr and
               f"make the folder {home}: " in r.stderr, r)
    config = f"{c.home}/config.json"
    os.makedirs(c.home, exist_ok=True)
    for text, words in (('{"listen": 5}', "listen"), ("{", "line 1"), ('{"no_such": 1}', "no_such"),
                        ('{"home": "/x"}', "home")):
        with open(config, "w") as f:
            f.write(text)
        r = c.run("up")
        expect(f"config.json with {text} is refused", r.returncode == 2 and words in r.stderr and
               "config.json" in r.stderr, r)
    os.unlink(config)


def configured(c):
    with open(f"{c.home}/config.json", "w") as f:
        json.dump({"listen": c.listen, "tls_self_signed": True, "threads": 1, "memory": "512M"}, f)
    r = c.run("up", "--json")
    said = json.loads(r.stdout) if r.returncode == 0 else {}
    expect("config.json is followed", said.get("url") == f"https://{c.listen}", (r, c.log()))
    line = next((v for v in c.processes().values() if v.startswith("gateway")), "")
    expect("its memory and threads too", "--memory 536870912 " in line + " " and "--threads 1" in
           line, line)
    r = c.run("chat", "nano", "-p", "Hello", "--quiet")
    expect("commands trust the certificate that it made", r.returncode == 0, (r, c.log()))
    context = ssl.create_default_context(cafile=f"{c.home}/tls/cert.pem")
    with urllib.request.urlopen(f"https://{c.listen}/health", context=context, timeout=30) as a:
        expect("and so does another client", a.status == 200)
    key = stat.S_IMODE(os.stat(f"{c.home}/tls/key.pem").st_mode)
    expect("its key is for the owner alone", key & 0o077 == 0, oct(key))
    c.run("down")


def doctor(c):
    def findings():
        r = c.run("doctor", "--json")
        return r.returncode, {(f["check"], f["level"]): f for f in json.loads(r.stdout)["findings"]}

    def elsewhere(home):
        r = c.run("doctor", "--json", "--home", home)
        all_of = [(f["check"], f["level"], f["message"]) for f in json.loads(r.stdout)["findings"]]
        return {f[:2]: f[2] for f in all_of}, " ".join(f[2] for f in all_of)

    found, words = elsewhere(f"{c.folder}/new")
    expect("a home to be: one word of it, and the disk where it will be", "makes it" in
           found["home", "ok"] and f"free in {c.folder}" in words and
           ("home", "bad") not in found, found)
    for home in (f"{c.folder}/no/such", "/proc/nowhere"):
        found, words = elsewhere(home)
        expect(f"what up cannot make is not promised: {home}", ("home", "ok") not in found and
               "not there yet" in found["home", "bad"] and words.count("cannot be written") < 2,
               found)
    c.up()
    code, found = findings()
    expect("a healthy cloud has nothing to mend", code == 0 and ("cloud", "ok") in found and
           ("state", "ok") in found and ("models", "ok") in found, found)
    c.run("down")
    for what in ("state/state.db", "models/bad.gguf"):
        with open(f"{c.home}/{what}", "wb") as f:
            f.write(b"this is something else" * 100)
    os.chmod(f"{c.home}/credentials.json", 0o644)
    code, found = findings()
    expect("a damaged store, a bad model and a key for all are told", code == 1 and
           ("state", "bad") in found and "bad.gguf" in found["models", "bad"]["message"] and
           "chmod 600" in found["home", "bad"]["mend"], found)
    r = c.run("doctor")
    expect("in words too", r.returncode == 1 and "to fix" in r.stdout, r)


def storage_of(c):
    r = c.run("status", "--json")
    return json.loads(r.stdout)["storage"] if r.returncode == 0 else {"trouble": r.stderr}


def other_store(c):
    """A cloud finds its own store, or says that it does not."""
    r = c.up("--storage", "foo://x")
    expect("a scheme that there is none of is refused", r.returncode == 2 and "foo://" in r.stderr
           and not os.path.exists("foo:") and not c.processes(), r)
    first, second = f"{c.folder}/first", f"{c.folder}/second"
    r = c.up("--storage", first)
    expect("a new store is the cloud's", r.returncode == 0 and "warning" not in r.stderr and
           c.run("mb", "s3://mine").returncode == 0, (r, c.log()))
    c.run("down")
    r = c.up("--storage", second)
    words = (first, "storage.id", "doctor")
    expect("another one: up warns", r.returncode == 0 and "warning" in r.stderr and
           all(w in r.stderr for w in words), r)
    r = c.run("ls")
    expect("it is not shown as empty", r.returncode != 0 and first in r.stderr and
           "storage.id" in r.stderr, r)
    expect("chats go on", c.run("chat", "nano", "-p", "Hello", "--quiet").returncode == 0)
    c.run("down")
    os.rename(first, first + "-moved")
    r = c.up("--storage", first + "-moved")
    expect("the own one, wherever it is now", r.returncode == 0 and "warning" not in r.stderr and
           "mine" in c.run("ls").stdout, (r, c.log()))
    os.rename(first + "-moved", first)
    expect("a folder that is moved away is noticed",
           wait_for(lambda: storage_of(c).get("open") is False) and
           "moved away" in storage_of(c)["trouble"], storage_of(c))
    r = c.run("doctor")
    expect("by doctor too", r.returncode == 1 and "moved away" in r.stdout, r)
    os.rename(first, first + "-moved")
    expect("and that it is back", wait_for(lambda: storage_of(c).get("open")), storage_of(c))
    c.run("down")
    os.unlink(f"{c.home}/storage.id")
    r = c.up("--storage", second)
    expect("without storage.id another one is accepted", r.returncode == 0 and
           "warning" not in r.stderr and c.run("ls").returncode == 0, (r, c.log()))
    c.run("down")
    r = c.up("--storage", "s3+http://127.0.0.1:9")
    expect("a server without keys: up says where they belong", r.returncode == 0 and
           "warning" in r.stderr and f"{c.home}/storage.json" in r.stderr, r)
    c.run("down")


def lost_credentials(c):
    c.up()
    before = c.credentials()["key"]
    path = f"{c.home}/credentials.json"
    os.unlink(path)
    r = c.run("key", "list", FEITIAN_API_KEY=before)
    expect("without credentials.json commands find the cloud that runs", r.returncode == 0, r)
    r = c.run("key", "list")
    expect("and say what they lack", r.returncode != 0 and c.url in r.stderr and
           "wants a key" in r.stderr, r)
    c.run("down")
    r = c.up()
    expect("the next start makes another key", r.returncode == 0 and os.path.exists(path) and
           c.credentials()["key"] != before and c.credentials()["url"] == c.url, (r, c.log()))
    expect("for its owner alone", stat.S_IMODE(os.stat(path).st_mode) == 0o600)
    r = c.run("key", "list", "--json")
    keys = json.loads(r.stdout) if r.returncode == 0 else []
    expect("an operator's, 'recovered'", [k["role"] for k in keys if k["name"] == "recovered"] ==
           ["operator"], r)
    request = urllib.request.Request(f"{c.url}/api/v1/audit", headers={
        "Authorization": f"Bearer {c.credentials()['key']}"})
    with urllib.request.urlopen(request, timeout=30) as a:
        events = a.read().decode()
    expect("which the audit log tells", "recovered" in events and "key.create" in events, events)
    c.run("down")
    c.up()
    r = c.run("key", "list", "--json")
    expect("once", r.stdout.count('"recovered"') == 1, r)
    c.run("down")


def main():
    feitian = sys.argv[1]
    with cloud.Cloud(feitian) as c:
        for part in (first_time, second_time, killed, ended, zombie, as_a_service, moved):
            part(c)
    with cloud.Cloud(feitian) as c:
        for part in (other_store, lost_credentials):
            part(c)
    with cloud.Cloud(feitian) as c:
        remembered(c)
    with cloud.Cloud(feitian) as c:
        for part in (in_the_way, configured, doctor):
            part(c)
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
