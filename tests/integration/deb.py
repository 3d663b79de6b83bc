#!/usr/bin/python3
"""The Debian package: made, looked at, then installed, run as its service's user, upgraded, removed
and purged in a copy of this machine's root that goes with the test.

usage: deb.py FEITIAN PROJECT

The copy is an overlay in a mount namespace, with processes and network of its own; nothing of it
reaches the machine. Without the right to make one, that part is skipped.
"""
import os
import shutil
import subprocess
import sys
import tempfile

failed = 0
passed = 0

# Within the copy. Each step says its name; what goes wrong ends it.
INSIDE = r"""
set -eu
trap 'echo "FAILED at line $LINENO of what runs inside"' ERR
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
export FEITIAN_HOME=/var/lib/feitian
old=$1 new=$2
files() { find /etc /usr /var /root /srv /opt -xdev \( -path /var/lib/dpkg -o -path /var/cache \
    -o -path /var/log -o -path /var/tmp -o -path '/root/.*' -o -name '*.pyc' \) -prune -o -print |
    sort; }
ready() { # or the log, after ten minutes
    for i in $(seq 6000); do
        grep -q "ready: http://127.0.0.1:$1" /tmp/log && return
        sleep 0.1
    done
    cat /tmp/log
    false
}
as_service() { setpriv --reuid feitian --regid feitian --init-groups "$@"; }
ip link set lo up
getent passwd feitian >/dev/null && { deluser --system --quiet feitian; }
files > /tmp/before

echo STEP install
dpkg --install "$old"
[ "$(stat -c '%U %a' /var/lib/feitian)" = "feitian 700" ]
[ -e /etc/systemd/system/multi-user.target.wants/feitian.service ]
zgrep -q 'feitian up' /usr/share/man/man1/feitian.1.gz
feitian version

echo STEP run
command=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/feitian.service)
(cd /var/lib/feitian && as_service $command > /tmp/log 2>&1) &
service=$!
ready 7700
feitian chat nano -p 'Say hello.' --max-tokens 5
dpkg --install "$old"   # once more: nothing changes

echo STEP upgrade
sed -i 's/7700/7701/' /etc/feitian/config.json
feitian down
wait $service || true
dpkg --install "$new"
grep -q 7701 /etc/feitian/config.json
[ -e /var/lib/feitian/credentials.json ]
(cd /var/lib/feitian && as_service $command > /tmp/log 2>&1) &
service=$!
ready 7701
for i in $(seq 600); do # what was not delivered before is now
    feitian usage --by model | grep nano && break
    sleep 0.1
done
feitian usage --by model | grep nano
feitian backup /tmp/backup > /dev/null
grep -q 7701 /tmp/backup/config.json
feitian down
wait $service || true

echo STEP remove
dpkg --remove feitian
[ ! -e /usr/bin/feitian ] && [ -e /var/lib/feitian/credentials.json ]
[ -e /etc/feitian/config.json ]
[ ! -e /lib/systemd/system/feitian.service ]
dpkg --install "$new"
grep -q 7701 /etc/feitian/config.json
dpkg --remove feitian

echo STEP purge
dpkg --purge feitian
! getent passwd feitian
files > /tmp/after
diff /tmp/before /tmp/after | grep '^[<>]' | grep -v -E '/etc/(passwd|g?shadow|group|sub.id)-$' ||
    echo CLEAN
echo STEP end
"""

OUTSIDE = r"""
set -eu
mount -t tmpfs tmpfs "$1" || exit 77
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root" || exit 77
mkdir -p "$1/root/deb"
mount --bind "$2" "$1/root/deb"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs tmpfs "$1/root/tmp"
mount -t tmpfs tmpfs "$1/root/run"
chmod 1777 "$1/root/tmp"
exec chroot "$1/root" bash -c "$INSIDE" inside "/deb/$3" "/deb/$4"
"""


def expect(what, ok, seen=None):
    global failed, passed
    print(f"{'ok  ' if ok else 'FAIL'} {what} {'' if ok else seen}", flush=True)
    passed += bool(ok)
    failed += not ok


def out(*args, **more):
    return subprocess.run(args, capture_output=True, text=True, timeout=1500, check=False, **more)


def make(project, build, folder, *version):
    r = out(f"{project}/scripts/deb", build, folder, *version,
            env={**os.environ, "DEB_COMPRESSION": "gzip"})
    assert r.returncode == 0, r
    return r.stdout.strip()


def look(package):
    listed = out("dpkg-deb", "-c", package).stdout
    for name in ("./usr/bin/feitian", "./usr/share/feitian/nano.gguf",
                 "./usr/share/man/man1/feitian.1.gz", "./lib/systemd/system/feitian.service",
                 "./etc/feitian/config.json", "./usr/share/doc/feitian/copyright",
                 "./usr/share/bash-completion/completions/feitian"):
        expect(f"it has {name}", f" {name}\n" in listed, listed)
    expect("all of it is root's", all(" root/root " in line for line in listed.splitlines()))
    info = out("dpkg-deb", "-f", package, "Depends").stdout
    expect("it needs the libraries that the program needs", "libsqlite3-0" in info and
           "libmicrohttpd12" in info and "libc6" in info, info)
    if shutil.which("lintian"):
        r = out("lintian", "--fail-on", "error", package)
        expect("lintian finds no error", r.returncode == 0 and "E: " not in r.stdout, r.stdout)
    else:
        print("skip lintian: it is not here")


def live(folder, old, new):
    root = f"{folder}/root"
    os.mkdir(root)
    r = out("unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "sh", "-c",
            OUTSIDE, "outside", root, folder, os.path.basename(old), os.path.basename(new),
            env={**os.environ, "INSIDE": INSIDE})
    if r.returncode == 77 or "unshare:" in r.stderr:
        print("skip installing it: no namespaces or no overlay here:", r.stderr.strip()[-200:])
        return
    for step in ("install", "run", "upgrade", "remove", "purge", "end"):
        expect(f"came to: {step}", f"STEP {step}\n" in r.stdout,
               (r.stdout[-1500:], r.stderr[-1500:]))
    expect("nothing is left of it", "\nCLEAN\n" in r.stdout, r.stdout[-1500:])


def main():
    build, project = os.path.dirname(os.path.abspath(sys.argv[1])), sys.argv[2]
    if shutil.which("dpkg-shlibdeps") is None:
        print("skipped: no dpkg-shlibdeps")
        return 77
    folder = tempfile.mkdtemp(prefix="feitian-")
    try:
        old, new = make(project, build, folder), make(project, build, folder, "99.0.0")
        look(old)
        if os.geteuid() == 0:
            live(folder, old, new)
        else:
            print("skip installing it: not root")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
