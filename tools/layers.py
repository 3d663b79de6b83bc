#!/usr/bin/python3
"""Holds the modules to the layers: who may use whom, as ARCHITECTURE.md draws it.

usage: layers.py [ROOT]

Reads every ft_module(NAME ... DEPS ... LIBS ...) under src/ and every #include, and checks that
- DEPS never point to a higher layer, to a forbidden neighbour or in a circle;
- a file includes headers of its own module and of its module's DEPS only;
- a library's header is used only where LIBS names the library;
- engine and model use no sockets;
- devices (engine/cpu, engine/ref) are named by cli alone.
Prints "file:line: what is wrong" and exits 1 if there is anything.
"""
import os
import re
import sys

LAYERS = (
    ("base",),
    ("net", "state", "blob", "backup", "model"),
    ("tenant", "ledger", "engine", "sched"),
    ("train", "serve", "hub", "query", "app"),
    ("api", "worker", "control", "gateway", "monitor", "console"),
    ("cli",),
)
LAYER_OF = {name: level for level, names in enumerate(LAYERS) for name in names}

# Beside the layers: top-level modules that may not use each other, in any number of steps.
OUTSIDE = {"net", "state", "blob", "backup", "tenant", "ledger", "sched"}
FORBIDDEN = {
    "engine": OUTSIDE,  # the engine and the formats know nothing of network, tenants, storage
    "model": OUTSIDE,
    "net": {"state", "blob", "model"},
    "state": {"net", "blob", "model"},
    "blob": {"model"},
}

# Chosen in cli; everyone else sees engine/dev.h.
DEVICES = {"engine/cpu", "engine/ref", "engine/cuda"}

LIBRARIES = {  # header: the word in LIBS that pays for it
    "jansson.h": "JANSSON",
    "pcre2.h": "PCRE2",
    "utf8proc.h": "UTF8PROC",
    "histedit.h": "EDIT",
    "editline/readline.h": "EDIT",
    "microhttpd.h": "MICROHTTPD",
    "curl/curl.h": "CURL",
    "gnutls/gnutls.h": "GNUTLS",
    "gnutls/x509.h": "GNUTLS",
    "gnutls/crypto.h": "GNUTLS",
    "nettle/sha1.h": "NETTLE",
    "nettle/sha2.h": "NETTLE",
    "nettle/hmac.h": "NETTLE",
    "nettle/md5.h": "NETTLE",
    "nettle/base64.h": "NETTLE",
    "nettle/base16.h": "NETTLE",
    "nettle/memops.h": "NETTLE",
    "crypt.h": "XCRYPT",
    "expat.h": "EXPAT",
    "archive.h": "ARCHIVE",
    "archive_entry.h": "ARCHIVE",
    "openssl/md5.h": "CRYPTO",
    "sqlite3.h": "SQLITE",
    "seccomp.h": "SECCOMP",
}
SOCKETS = re.compile(r"^(sys/socket|sys/un|netinet/.*|arpa/.*|netdb|net/.*|openssl/.*|microhttpd|"
                     r"curl/.*)(\.h)?$")

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
MODULE = re.compile(r"^ft_module\(([^)]*)\)", re.M)


def parse_module(text):
    """The words of the first ft_module(...) as {"NAME": [...], "PARTS": [...], "DEPS": [...],
    "LIBS": [...]}."""
    text = re.sub(r"#.*", "", text)
    m = MODULE.search(text)
    if m is None:
        return None
    fields = {"NAME": [], "PARTS": [], "DEPS": [], "LIBS": []}
    at = None
    for word in m.group(1).split():
        if word in fields:
            at = word
        elif at is not None:
            fields[at].append(word)
    return fields


def read_modules(root, errors):
    """{name: {"DEPS": [...], "LIBS": [...], "path": CMakeLists.txt}}"""
    modules = {}
    for at, _, files in sorted(os.walk(os.path.join(root, "src"))):
        if "CMakeLists.txt" not in files:
            continue
        path = os.path.relpath(os.path.join(at, "CMakeLists.txt"), root)
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        folder = os.path.relpath(at, os.path.join(root, "src"))
        fields = parse_module(text)
        if fields is None:
            if folder == "cli":  # an executable: all of it may be used
                modules["cli"] = {"DEPS": None, "LIBS": [text], "path": path}
            continue
        name = " ".join(fields["NAME"])
        if name != folder:
            errors.append(f"{path}:1: the module is named {name}, its folder is {folder}")
            continue
        modules[name] = {"DEPS": fields["DEPS"], "LIBS": fields["LIBS"], "path": path}
    return modules


def top(module):
    return module.split("/")[0]


def check_deps(modules, errors):
    for name, module in modules.items():
        path = module["path"]
        if top(name) not in LAYER_OF:
            errors.append(f"{path}:1: {name}: no layer holds {top(name)}; add it to "
                          "ARCHITECTURE.md and tools/layers.py")
            continue
        for dep in module["DEPS"] or ():
            if dep not in modules:
                errors.append(f"{path}:1: {name}: DEPS names {dep}, which is no module")
            elif LAYER_OF.get(top(dep), 0) > LAYER_OF[top(name)]:
                errors.append(f"{path}:1: {name} (L{LAYER_OF[top(name)]}) may not use {dep} "
                              f"(L{LAYER_OF[top(dep)]}): a higher layer")
            elif dep in DEVICES:
                errors.append(f"{path}:1: {name} may not use the device {dep}; devices are chosen "
                              "in cli")
        for used in sorted(reachable(modules, name)):
            if used == name:
                errors.append(f"{path}:1: {name} uses itself in a circle")
            elif top(used) in FORBIDDEN.get(top(name), ()):
                errors.append(f"{path}:1: {name} may not use {used}, directly or not")


def reachable(modules, name):
    found = set()
    todo = list(modules[name]["DEPS"] or ())
    while todo:
        at = todo.pop()
        if at in found or at not in modules:
            continue
        found.add(at)
        todo += modules[at]["DEPS"] or ()
    return found


def module_of(modules, folder):
    """The module that owns a folder under src/, or None."""
    while folder:
        if folder in modules:
            return folder
        folder = os.path.dirname(folder)
    return None


def check_include(modules, name, kind, header):
    """What is wrong with module `name` including the header, or None."""
    module = modules[name]
    if kind == "<":
        library = LIBRARIES.get(header)
        if library is not None and not any(library in lib for lib in module["LIBS"]):
            return f"<{header}> needs {library} in the LIBS of {name}"
        if top(name) in ("engine", "model") and SOCKETS.match(header):
            return f"{top(name)} knows nothing of the network: <{header}>"
        return None
    owner = module_of(modules, os.path.dirname(header))
    if owner is None:
        return f'"{header}" belongs to no module'
    if owner == name or module["DEPS"] is None:
        return None
    if owner in DEVICES:
        return f'"{header}": devices are chosen in cli; use engine/dev.h'
    if owner not in module["DEPS"]:
        return f'"{header}": {name} does not list {owner} in its DEPS'
    return None


def check_files(root, modules, errors):
    for at, _, files in sorted(os.walk(os.path.join(root, "src"))):
        folder = os.path.relpath(at, os.path.join(root, "src"))
        for file_name in sorted(files):
            if not file_name.endswith((".c", ".h", ".inc")):
                continue
            path = os.path.relpath(os.path.join(at, file_name), root)
            name = module_of(modules, folder)
            if name is None:
                errors.append(f"{path}:1: belongs to no module")
                continue
            with open(os.path.join(root, path), encoding="utf-8") as file:
                for number, line in enumerate(file, 1):
                    m = INCLUDE.match(line)
                    wrong = m and check_include(modules, name, m.group(1), m.group(2))
                    if wrong:
                        errors.append(f"{path}:{number}: {wrong}")


def check_tree(root):
    errors = []
    modules = read_modules(root, errors)
    check_deps(modules, errors)
    check_files(root, modules, errors)
    return errors


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(
        os.path.abspath(__file__)))
    errors = check_tree(root)
    for line in errors:
        print(line)
    print(f"layers: {len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
