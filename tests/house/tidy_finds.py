#!/usr/bin/python3
"""tools/tidy.py passes a clean tree and finds each kind of fault in a bad one."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tidy
from sample import Sample

HEADER = """/* Thing. */
#ifndef FT_BASE_THING_H
#define FT_BASE_THING_H

#include <stddef.h>

struct ft_thing {
    int (*run)(int n);
};

typedef void ft_thing_fn(void *ctx);

int ft_thing_open(struct ft_thing *t, const char *name,
                  size_t n);
static inline int ft_thing_twice(int x)
{
    return helper(x) * 2;
}
#define FT_THING_RUN(t) ((t)->run(0))

#endif
"""
SOURCE = """/* Thing: how. */
#include "base/thing.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/other.h"

static int local(void)
{
    return 1;
}

int ft_thing_open(struct ft_thing *t, const char *name,
                  size_t n)
{
    return t != NULL && name != NULL && n != 0 && local();
}
"""
OTHER = "/* Other. */\n#ifndef FT_BASE_OTHER_H\n#define FT_BASE_OTHER_H\n#endif\n"
CLEAN = {"src/base/thing.h": HEADER, "src/base/thing.c": SOURCE, "src/base/other.h": OTHER}


def long_function(above, n):
    body = "    x++;\n" * n
    return f"/* Long. */\n{above}int ft_long(int x)\n{{\n{body}    return x;\n}}\n"


class TidyFinds(unittest.TestCase):
    def errors(self, changes):
        with Sample({**CLEAN, **changes}) as root:
            return tidy.check_tree(root).errors

    def assert_finds(self, changes, text):
        errors = self.errors(changes)
        self.assertTrue(errors, "nothing found")
        for error in errors:
            self.assertIn(text, error)

    def test_passes_a_clean_tree(self):
        self.assertEqual(self.errors({}), [])

    def test_lines(self):
        self.assert_finds({"src/base/a.c": "/* A. */\n\tint x;\n"}, "tab")
        self.assert_finds({"src/base/a.c": "/* A. */\nint x; \n"}, "space at the end")
        self.assert_finds({"src/base/a.c": "/* A. */\n/* " + "x" * 98 + " */\n"}, "columns")
        self.assert_finds({"src/base/a.c": "/* A. */\nint x;"}, "no newline")
        self.assert_finds({"src/base/a.c": "/* A. */\n/* TO" "DO: more */\n"}, "unfinished")
        self.assert_finds({"tools/a.py": "# FIX" "ME\n"}, "unfinished")
        data = '"""Cases; long lines: one a case."""\n# ' + "x" * 99 + "\n"
        self.assertEqual(self.errors({"tests/cases.py": data}), [])
        self.assert_finds({"tools/cases.py": data}, "columns")
        self.assertEqual(self.errors({"src/base/a.c": "/* A. */\n/* " + "é" * 90 + " */\n"}), [])

    def test_lines_of_scripts(self):
        words = "x " * 60
        for name in ("a.js", "b.jsx", "c.mjs", "d.css"):
            self.assert_finds({f"src/web/{name}": f"/* {words}*/\n"}, "columns")
            self.assert_finds({f"src/web/{name}": "/* A. */" + "\n" * 501}, "at most 500")
        self.assertEqual(self.errors({"src/web/text.js": "// A.\n" * 501}), [])
        said = "// Texts; long lines: sentences.\n"
        for literal in (f"  '{words}',", f"  a: '{words}',", f"  'a': `{words}`,", f"  /{words}/,"):
            self.assertEqual(self.errors({"src/web/a.js": said + literal + "\n"}), [])
            self.assert_finds({"src/web/a.js": "// Texts.\n" + literal + "\n"}, "columns")
        self.assert_finds({"src/web/a.js": "let a;\n"}, "opens without")
        for code in (f"  // {words}x", f"  f({words}x);"):
            self.assert_finds({"src/web/a.js": said + code + "\n"}, "columns")

    def test_sizes(self):
        self.assert_finds({"src/base/a.c": "/* A. */\n" + "int x;\n" * 900}, "split by topic")
        self.assertEqual(self.errors({"src/base/a.c": "/* A. */\n" + "int x;\n" * 899}), [])
        guard = "/* A. */\n#ifndef FT_A_H\n#define FT_A_H\n"
        self.assert_finds({"src/base/a.h": guard + "\n" * 257 + "#endif\n"}, "at most 260")
        with Sample({"src/base/a.h": guard + "\n" * 210 + "#endif\n"}) as root:
            report = tidy.check_tree(root)
        self.assertEqual((report.errors, len(report.notes)), ([], 1))

    def test_function_length(self):
        self.assertEqual(self.errors({"src/base/a.c": long_function("", 96)}), [])
        self.assert_finds({"src/base/a.c": long_function("", 97)}, "ft_long: 101 lines")
        reason = "/* long: one table */\n"
        self.assertEqual(self.errors({"src/base/a.c": long_function(reason, 97)}), [])
        self.assert_finds({"src/base/a.c": long_function("/* long: */\n", 97)}, "ft_long")

    def test_opening_comment(self):
        self.assert_finds({"src/base/a.c": "int x;\n"}, "opens without a comment")

    def test_includes(self):
        self.assert_finds({"src/base/a.c": '/* A. */\n#include "other.h"\n'}, "path from src/")
        self.assert_finds({"src/base/a.c": '/* A. */\n#include "../base/other.h"\n'}, "path from")
        self.assert_finds({"src/base/a.c": "/* A. */\n#include <a.h>\n#include <a.h>\n"}, "twice")
        self.assert_finds({"src/base/a.c": "/* A. */\n#include <b.h>\n#include <a.h>\n"},
                          "alphabetical")
        late = SOURCE.replace('#include "base/thing.h"\n\n', "") \
            .replace('#include "base/other.h"', '#include "base/other.h"\n#include "base/thing.h"')
        self.assert_finds({"src/base/thing.c": late}, "own header")
        mixed = '/* A. */\n#include <a.h>\n\n#include "base/other.h"\n\n#include <b.h>\n'
        self.assert_finds({"src/base/a.c": mixed}, "before the project's")

    def test_header_guard(self):
        self.assert_finds({"src/base/other.h": "/* Other. */\nint ft_x;\n"}, "header guard")
        self.assert_finds({"src/base/other.h": "/* O. */\n#ifndef FT_O_H\n#define FT_P_H\n"},
                          "header guard")
        self.assert_finds({"src/base/second.h": OTHER}, "is src/base/other.h's")

    def test_names_in_headers(self):
        user = '/* A. */\n#include "base/thing.h"\n'
        for line in ("int close_thing(void);", "static inline int twice(int x)\n{\n}",
                     "const char *\nthing(void);\nstruct ft_thing *thing_new(int n);"):
            bad = HEADER.replace("typedef void", line + "\ntypedef void")
            self.assert_finds({"src/base/thing.h": bad, "src/other/a.c": user}, "begin with ft_")
            self.assert_finds({"src/base/thing.h": bad}, "short prefix")
        private = HEADER.replace("typedef void", "int th_close(void);\ntypedef void")
        self.assertEqual(self.errors({"src/base/thing.h": private}), [])
        self.assert_finds({"src/base/thing.h": private, "src/other/a.c": user}, "th_close")
        self.assertEqual(self.errors({"src/base/thing.h": private,
                                      "tests/unit/base/thing.c": user}), [])


if __name__ == "__main__":
    unittest.main()
