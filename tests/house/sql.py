#!/usr/bin/python3
"""Every SQL text in src/ is written in what SQLite and PostgreSQL have in common (state/state.h).

usage: sql.py [ROOT]; without a root it first shows itself that it finds what it looks for

String literals of C, joined as the compiler joins them, that read like a statement; files
state_<engine>.c are free, and those of FREE.
"""
import os
import re
import sys

FREE = ("blob/dir/index.c",)  # SQLite alone, behind a seam of its own
TEXT = r'"(?:[^"\\\n]|\\.)*"'
LITERALS = re.compile(TEXT + r"(?:\s*(?:/\*.*?\*/)?\s*" + TEXT + ")*", re.S)
ONE = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
STATEMENT = re.compile(r"^\s*(SELECT\b.*|INSERT INTO\b.*|UPDATE \w+ SET\b.*|DELETE FROM\b.*|"
                       r"CREATE (UNIQUE )?(TABLE|INDEX)\b.*|ALTER TABLE\b.*|WITH \w+ AS\b.*)$",
                       re.S)
WRONG = (
    (r"\?", "placeholders are $1, $2"),
    (r"\bAUTOINCREMENT\b|\bSERIAL\b|\bIDENTITY\b", "numbers are not drawn by the engine"),
    (r"\bINSERT OR\b|\bREPLACE INTO\b", "ON CONFLICT (...) DO UPDATE"),
    (r"\bIFNULL\b|\bIIF\b|\bGLOB\b|\bPRAGMA\b|\bROWID\b|\bTOTAL\(|\bGROUP_CONCAT\b|\bSTRING_AGG\b|"
     r"\bSTRFTIME\b|\bDATETIME\b|\bUNIXEPOCH\b|\bNOW\(|\bDATE\(|\bJSON\w*\(|\bJSONB\b|\bILIKE\b|"
     r"\bPRINTF\(|\bSUBSTR\w*\(|\bRANDOM\(|\bWITHOUT ROWID\b|\bUNSIGNED\b", "one engine's own"),
    (r"(?<!AS )\b(INT|INTEGER|REAL|FLOAT|BLOB|BOOLEAN|VARCHAR|NUMERIC|CLOB)\b",
     "types are BIGINT, TEXT, DOUBLE PRECISION, BYTEA"),
    (r"::\w", "CAST(x AS type)"),
    (r"`|\[\w+\]", "quotes of one engine"),
    (r"==", "="),
    (r"\$\d+ IS (NOT )?NULL", "CAST($1 AS TEXT): PostgreSQL asks for its type"),
    (r"\bTRUE\b|\bFALSE\b", "there are no booleans"),
    (r"\bLIMIT \S+ *, *\S+", "LIMIT n OFFSET m"),
    (r"\bSUM\((?![^;]*AS BIGINT)", "a sum may be wider than its terms: CAST(... AS BIGINT)"),
    (r"(?i)^\s*(WITH\b.*)?SELECT\b[^;]*\bFROM\s*\([^()]*\)\s*($|WHERE|GROUP|ORDER)",
     "PostgreSQL wants a name for a subquery in FROM"),
)


def texts(source):
    """(line, text) of every joined literal outside of comments."""
    source = re.sub(r"//[^\n]*|/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), source,
                    flags=re.S)
    for m in LITERALS.finditer(source):
        yield source.count("\n", 0, m.start()) + 1, "".join(ONE.findall(m.group()))


def faults(source):
    for line, text in texts(source):
        if not STATEMENT.match(text):
            continue
        bare = re.sub(r"'[^']*'", "''", text)
        for pattern, why in WRONG:
            found = re.search(pattern, bare, re.I | re.S)
            if found:
                yield line, found.group().strip()[:40], why


def show():
    """It finds each kind, and passes what is common."""
    good = ('"INSERT INTO t (a) VALUES ($1)"\n'
            ' " ON CONFLICT (a) DO UPDATE SET a = excluded.a RETURNING a"',
            '"SELECT CAST(COALESCE(SUM(a), 0) AS BIGINT) FROM t WHERE b = \'what?\' LIMIT $1"',
            '"CREATE TABLE t (a BIGINT, b TEXT, c DOUBLE PRECISION, d BYTEA)"', '"is this one?"',
            '/* "SELECT ?" */')
    bad = ('"SELECT a FROM t WHERE b = ?"', '"INSERT INTO t VALUES (1)" " ON CONFLICT (a) DO UPDATE'
           ' SET a = IFNULL(a, 1)"', '"CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)"',
           '"CREATE TABLE t (a BLOB)"', '"SELECT a::text FROM t"', '"SELECT a FROM t WHERE b == 1"',
           '"SELECT SUM(a) FROM t"', '"SELECT a FROM t LIMIT 1, 2"',
           '"SELECT COUNT(*) FROM (SELECT a FROM t)"', '"SELECT a FROM t WHERE b = TRUE"',
           '"SELECT `a` FROM t"', '"SELECT a FROM t WHERE $1 IS NULL"')
    for text in good:
        assert not list(faults(text)), (text, list(faults(text)))
    for text in bad:
        assert list(faults(text)), text


def main():
    show()
    root = sys.argv[1] if len(sys.argv) > 1 else "src"
    wrong = seen = 0
    for at, _, files in sorted(os.walk(root)):
        for name in sorted(files):
            if not name.endswith((".c", ".h")) or re.match(r"state_\w+\.c$", name):
                continue
            path = os.path.join(at, name)
            if path.endswith(FREE):
                continue
            with open(path, encoding="utf-8") as f:
                source = f.read()
            seen += sum(1 for _, text in texts(source) if STATEMENT.match(text))
            for line, what, why in faults(source):
                print(f"{path}:{line}: {what}: {why}")
                wrong += 1
    print(f"sql: {seen} statements, {wrong} errors")
    return 1 if wrong or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
