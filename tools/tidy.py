#!/usr/bin/python3
"""Holds the sources to the house style where a machine can: sizes, lines, includes, names.

usage: tidy.py [ROOT]

Checks src/, tests/, tools/, scripts/ and cmake/. Prints "file:line: what is wrong" for each finding
and exits 1 if there is any. Layout is clang-format's and prettier's; what may include what is
layers.py's.

A function longer than FUNC_LINES_MAX is allowed where the line above it ends a comment with
"long: <reason>": one kernel, or a switch that is a table. Lines may be long in a file of test data
that says so near its top ("long lines: <reason>"); in JavaScript that says it too, strings and
patterns may be, because nothing lays them out otherwise.
"""
import os
import re
import sys

LINE_MAX = 100
C_LINES_MAX = 900
H_LINES_SOFT = 200
H_LINES_MAX = 260
FUNC_LINES_MAX = 100
WEB_LINES_MAX = 500

WEB = (".js", ".jsx", ".mjs", ".css")
TEXTS = "text.js"  # tables of a page's words, which are as long as the page has words

FOLDERS = ("src", "tests", "tools", "scripts", "cmake", "nano")
SKIPPED = ("corpus", "vectors", "__pycache__")  # data, not sources
KEYWORDS = {"if", "for", "while", "switch", "return", "sizeof", "do", "else", "case", "_Alignas",
            "_Static_assert", "__attribute__", "__asm__", "defined"}

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
LITERAL = re.compile(r"""\s*([\w.']+: )?['"`/][^/*]""")  # of a script: a value, with its name
SIGNATURE_NAME = re.compile(r"\b([A-Za-z_]\w*)\s*\(")


class Report:
    def __init__(self):
        self.errors = []
        self.notes = []

    def error(self, path, line, text):
        self.errors.append(f"{path}:{line}: {text}")

    def note(self, path, line, text):
        self.notes.append(f"{path}:{line}: note: {text}")


def check_lines(path, lines, report):
    code = path.endswith((".c", ".h", ".inc", ".py") + WEB)
    marked = any("long lines: " in line for line in lines[:10])
    if marked and path.startswith("tests/"):
        code = False
    for number, line in enumerate(lines, 1):
        if "\t" in line and not path.endswith("Makefile"):
            report.error(path, number, "tab")
        if line != line.rstrip():
            report.error(path, number, "space at the end of the line")
        if code and len(line) > LINE_MAX and "://" not in line \
                and not (marked and path.endswith(WEB) and LITERAL.match(line)):
            report.error(path, number, f"{len(line)} columns; at most {LINE_MAX}")
        # the marker words are split here so that this file passes its own check
        if re.search(r"\b(TO" r"DO|FIX" r"ME)\b", line):
            report.error(path, number, "unfinished work is an issue, not a comment")


def check_size(path, lines, report):
    if path.endswith((".c", ".inc")) and len(lines) > C_LINES_MAX:
        report.error(path, len(lines), f"{len(lines)} lines; at most {C_LINES_MAX}: split by topic")
    if path.endswith(".h") and len(lines) > H_LINES_MAX:
        report.error(path, len(lines), f"{len(lines)} lines; at most {H_LINES_MAX}")
    elif path.endswith(".h") and len(lines) > H_LINES_SOFT:
        report.note(path, len(lines), f"{len(lines)} lines; better under {H_LINES_SOFT}")
    if path.endswith(WEB) and len(lines) > WEB_LINES_MAX and os.path.basename(path) != TEXTS:
        report.error(path, len(lines), f"{len(lines)} lines; at most {WEB_LINES_MAX}")


def check_opening(path, lines, report):
    if not lines or not lines[0].startswith(("/*", "//") if path.endswith(WEB) else "/*"):
        report.error(path, 1, "opens without a comment that says what the file owns")


def functions(lines):
    """Yields (first line, last line, name), 1-based, of each function: `{` and `}` in column 0."""
    begin = None
    for i, line in enumerate(lines):
        if line == "{" and begin is None:
            begin = i
            while begin > 0 and not re.match(r"^(\}|\s*$|#|.*\*/$|.*;$)", lines[begin - 1]):
                begin -= 1
        elif line == "}" and begin is not None:
            name = SIGNATURE_NAME.search(" ".join(lines[begin:i]))
            yield begin + 1, i + 1, name.group(1) if name else "?"
            begin = None


def check_functions(path, lines, report):
    for first, last, name in functions(lines):
        length = last - first + 1
        if length <= FUNC_LINES_MAX:
            continue
        above = lines[first - 2] if first >= 2 else ""
        if not re.search(r"\blong: \S.*\*/$", above):
            report.error(path, first, f"{name}: {length} lines; at most {FUNC_LINES_MAX}, or say "
                                      "why above it: /* long: reason */")


def own_header(root, path):
    """The header whose promise a .c of src/ keeps, by its name; None if there is none."""
    header = os.path.splitext(path)[0] + ".h"
    exists = path != header and os.path.exists(os.path.join(root, header))
    return header[len("src/"):] if exists and path.startswith("src/") else None


def include_exists(root, path, name):
    places = ["src", "tests"] if path.startswith("tests/") else ["src"]
    if path.startswith("tests/"):
        places.append(os.path.dirname(path))
    return any(os.path.exists(os.path.join(root, place, name)) for place in places)


def check_includes(root, path, lines, report):
    found = [(n, m.group(1), m.group(2)) for n, line in enumerate(lines, 1)
             if (m := INCLUDE.match(line))]
    if not found:
        return
    seen = set()
    for number, kind, name in found:
        if (kind, name) in seen:
            report.error(path, number, f"{name} is included twice")
        seen.add((kind, name))
        if kind == '"' and (".." in name.split("/") or not include_exists(root, path, name)):
            report.error(path, number, f'"{name}": write the path from src/ ("base/err.h")')
    own = own_header(root, path)
    # First the module's own headers, which so prove that they stand alone; then the system's, then
    # the project's.
    module = os.path.dirname(path)[len("src/"):]
    while found and path.endswith(".c") and found[0][1] == '"' \
            and (os.path.dirname(found[0][2]) == module or path.startswith("tests/")):
        own = None if found[0][2] == own else own
        found.pop(0)
    if own is not None and any(name == own for _, _, name in found):
        report.error(path, found[0][0], f'the file\'s own header "{own}" comes first')
    rest = found
    project_seen = False
    before = None
    for number, kind, name in rest:
        project_seen |= kind == '"'
        if kind == "<" and project_seen and path.startswith("src/"):
            report.error(path, number, f"<{name}> comes before the project's own headers")
        if before is not None and before[:2] == (number - 1, kind) and before[2] > name:
            report.error(path, number, f"{name} comes before {before[2]} (alphabetical)")
        before = (number, kind, name)


def declared_functions(lines):
    """Yields (line, name) of the functions a header declares or defines inline."""
    depth = 0
    in_comment = False
    for number, line in enumerate(lines, 1):
        text = re.sub(r"/\*.*?\*/", "", line)
        if in_comment:
            if "*/" not in text:
                continue
            text = text.split("*/", 1)[1]
            in_comment = False
        if "/*" in text:
            text = text.split("/*", 1)[0]
            in_comment = True
        if depth == 0 and re.match(r"^(?!typedef|extern \")[A-Za-z_]", text):
            name = SIGNATURE_NAME.search(text)
            if name and name.group(1) not in KEYWORDS and "=" not in text[:name.start()] \
                    and not re.match(r"^[A-Z][A-Z0-9_]*$", name.group(1)) \
                    and re.search(r"[\w*]\s+\**$", text[:name.start()] + " "):
                yield number, name.group(1)
        if not text.lstrip().startswith("#"):
            depth += text.count("{") - text.count("}")


def module_folder(root, folder):
    """The folder of the module that a folder of src/ is of: the nearest with a CMakeLists.txt."""
    at = folder
    while at and not os.path.exists(os.path.join(root, "src", at, "CMakeLists.txt")):
        at = os.path.dirname(at)
    return at or folder


def included_from_outside(root):
    """Headers of src/ (by their path from there) that files of other modules include; a module's
    own unit tests are none."""
    found = set()
    for path in sources(root):
        if not path.endswith((".c", ".h", ".inc")):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            for line in file:
                m = INCLUDE.match(line)
                own = module_folder(root, os.path.dirname(m.group(2))) if m else ""
                if m and not path.startswith((os.path.join("src", own, ""),
                                              os.path.join("tests", "unit", own, ""))):
                    found.add(m.group(2))
    return found


def check_names(path, lines, public, report):
    """A header that other modules include speaks for its module: ft_. What a module keeps to itself
    may have a short prefix of its own."""
    pattern = r"ft_" if path[len("src/"):] in public else r"[a-z]{2,4}_"
    for number, name in declared_functions(lines):
        if not re.match(pattern, name):
            report.error(path, number, f"{name}: names in headers begin with ft_, or with a short "
                                       "prefix if no other module includes it")


def check_header(path, lines, guards, report):
    guard = None
    for number, line in enumerate(lines, 1):
        m = re.match(r"^#ifndef\s+(\w+)$", line)
        if m:
            guard = (number, m.group(1))
            break
    if guard is None or not re.match(r"^FT_\w+_H$", guard[1]) \
            or lines[guard[0]:guard[0] + 1] != [f"#define {guard[1]}"]:
        report.error(path, guard[0] if guard else 1,
                     "header guard: #ifndef FT_..._H, then its #define")
    elif guard[1] in guards:
        report.error(path, guard[0], f"header guard {guard[1]} is {guards[guard[1]]}'s")
    else:
        guards[guard[1]] = path


def sources(root):
    for folder in FOLDERS:
        for at, dirs, files in os.walk(os.path.join(root, folder)):
            dirs[:] = sorted(d for d in dirs if d not in SKIPPED)
            for name in sorted(files):
                yield os.path.relpath(os.path.join(at, name), root)


def check_tree(root):
    report = Report()
    guards = {}
    public = included_from_outside(root)
    for path in sources(root):
        if not path.endswith((".c", ".h", ".inc", ".py", ".txt", ".cmake") + WEB):
            continue
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        lines = text.split("\n")
        if lines[-1] == "":
            lines.pop()
        elif text:
            report.error(path, len(lines), "no newline at the end of the file")
        check_lines(path, lines, report)
        check_size(path, lines, report)
        if path.endswith(WEB) and not path.endswith(".css"):
            check_opening(path, lines, report)
        if not path.endswith((".c", ".h", ".inc")):
            continue
        check_opening(path, lines, report)
        check_functions(path, lines, report)
        check_includes(root, path, lines, report)
        if path.endswith(".h"):
            check_header(path, lines, guards, report)
            if path.startswith("src/"):
                check_names(path, lines, public, report)
    return report


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(
        os.path.abspath(__file__)))
    report = check_tree(root)
    for line in report.errors + report.notes:
        print(line)
    print(f"tidy: {len(report.errors)} errors, {len(report.notes)} notes")
    return 1 if report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
