"""Random templates from a grammar, for jinja_oracle.py: the same for the same seed.

long lines: the grammar's rules, one a line
"""
import random

import jinja_cases

CONTEXT = jinja_cases.CONTEXT

NAMES = ["a", "b", "z", "f", "g", "t", "n", "s", "e", "u", "ml", "w", "num", "xs", "ys", "mixed", "nested", "d",
         "users", "messages", "undefined_thing", "html"]
LITERALS = ["0", "1", "2", "3", "-1", "10", "1.5", "0.1", "1e3", "'a'", "'b'", "''", "'Hello'", "'ñ世🎉'", "' x '",
            "'a,b,c'", "true", "false", "none", "[]", "{}", "()", "[1, 2, 3]", "['b', 'a']", "(1, 'x')",
            "{'k': 1, 'j': 'v'}", "'<b>&'", "'l'", "'o'", "'%s'", "'{}'", "'3.7'", "'\\n'"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "not in"]
FILTERS = ["abs", "capitalize", "count", "default('x')", "default('x', true)", "dictsort", "e", "first", "float",
           "int", "join", "join(', ')", "last", "length", "list", "lower", "max", "min", "reverse", "round",
           "round(1)", "sort", "sort(reverse=true)", "string", "sum", "title", "tojson", "tojson(indent=2)", "trim",
           "unique", "upper", "map('string')", "map('upper')", "map(attribute='name')", "select",
           "reject", "select('string')", "select('number')", "reject('none')", "selectattr('name')", "batch(2)",
           "slice(2)", "items", "safe", "replace('l', 'L')", "indent", "indent(2, true)", "center(12)",
           "truncate(6)", "truncate(5, true, '', 0)", "filesizeformat", "urlencode", "xmlattr", "striptags",
           "forceescape", "format('x')", "attr('upper')", "map('default', 0)", "groupby(0)", "pprint",
           "wordwrap(6)", "map('first')", "map('length')", "map('abs')", "map('int')", "list|sort",
           "unique|list", "map('lower')|list", "batch(2)|list", "slice(3)|list", "reverse|list", "items|list"]
TESTS = ["defined", "undefined", "none", "boolean", "true", "false", "integer", "float", "number", "string",
         "mapping", "sequence", "iterable", "callable", "odd", "even", "divisibleby 2", "divisibleby(3)", "lower",
         "upper", "escaped", "eq 1", "ne(1)", "lt 2", "gt(0)", "in xs", "in 'abc'", "sameas none", "filter", "test",
         "not none", "not defined", "not string"]
METHODS = ["upper()", "lower()", "strip()", "split()", "split(',')", "title()", "capitalize()", "replace('a', 'b')",
           "startswith('H')", "endswith('d')", "find('l')", "count('l')", "join(ys)", "isdigit()", "isalpha()",
           "splitlines()", "zfill(5)", "center(9, '*')", "items()", "keys()", "values()", "get('k')", "get('q', 1)",
           "index(1)", "copy()", "format(1, a=2)", "swapcase()", "partition(',')", "rsplit('l', 1)", "lstrip('H')",
           "isupper()", "append(1)", "name", "k", "content", "nope", "role"]
SUBSCRIPTS = ["0", "-1", "1", "'k'", "'name'", "9", ":2", "1:", "::-1", "::2", "-2:", "1:3", "none", ":-1", "2::-1", "1.0",
              "true"]


class Gen:
    def __init__(self, rng):
        self.r = rng

    def atom(self):
        return self.r.choice(NAMES) if self.r.random() < 0.55 else self.r.choice(LITERALS)

    def expr(self, depth):
        r = self.r
        if depth <= 0:
            return self.atom()
        k = r.random()
        e = self.expr(depth - 1)
        if k < 0.10:
            return e
        if k < 0.32:
            return f"{e}|{r.choice(FILTERS)}"
        if k < 0.40:
            return f"({e}).{r.choice(METHODS)}"
        if k < 0.48:
            sub = r.choice(SUBSCRIPTS)  # slices of constants are folded by rules of their own
            return f"({r.choice(NAMES) if ':' in sub else e})[{sub}]"
        if k < 0.68:
            return f"{e} {r.choice(BINARY)} {self.expr(depth - 1)}"
        if k < 0.78:
            return f"{e} is {r.choice(TESTS)}"
        if k < 0.82:
            return f"not {e}"
        if k < 0.85:
            return f"-{e}"
        if k < 0.89:
            return f"({e})"
        if k < 0.93:
            return f"{e} if {self.expr(depth - 1)} else {self.expr(depth - 1)}"
        if k < 0.95:
            return f"[{e}, {self.expr(depth - 1)}]"
        if k < 0.97:
            return f"{{{self.atom()}: {e}}}"
        if k < 0.98:
            return f"({e}, {self.expr(depth - 1)})"
        return f"{e} < {self.expr(depth - 1)} <= {self.expr(depth - 1)}"

    def tag(self, inside):
        """A block tag with random white space control."""
        r = self.r
        return "{%" + r.choice(["", "", "-", "+"]) + " " + inside + " " + r.choice(["", "", "-", "+"]) + "%}"

    def text(self):
        r = self.r
        return "".join(r.choice(["a", " ", "\n", "  ", "\n  ", "\t", "x y", "é", ".", "\n\n", " \n", "\r\n", "{", "}", "#"])
                       for _ in range(r.randrange(4)))

    def target(self):
        return self.r.choice(["p", "q", "a", "s", "v"])

    def simple(self):
        """An expression that is more likely to have a value than an error."""
        r = self.r
        return r.choice(["a", "s", "xs|length", "p", "q", "v", "p|default('-')", "xs|join(',')", "u[:3]", "ns.c",
                         "loop.index if loop is defined else '?'", "d.k", "x", "i", "q is defined", "a + 1", "'lit'"])

    def block(self, depth):
        r = self.r
        k = r.random()
        if depth <= 0 or k < 0.25:
            sign = r.choice(["", "", "-"])
            return "{{" + sign + " " + self.simple() + " " + r.choice(["", "", "-"]) + "}}"
        b = self.body(depth - 1)
        if k < 0.40:
            other = r.choice(["", self.tag("else") + self.body(depth - 1),
                              self.tag("elif " + self.simple()) + self.body(depth - 1)])
            return self.tag("if " + self.simple()) + b + other + self.tag("endif")
        if k < 0.56:
            head = "for " + r.choice(["i", "x", "p", "a"]) + " in " + r.choice(["xs", "range(3)", "[]", "ys", "s[:3]", "d.x"])
            head += r.choice(["", "", " if " + self.simple(), " recursive"])
            other = r.choice(["", "", self.tag("else") + self.body(depth - 1)])
            jump = r.choice(["", "", "", "{% if loop.index == 2 %}{% break %}{% endif %}",
                             "{% if i == 1 %}{% continue %}{% endif %}"])
            return self.tag(head) + jump + b + other + self.tag("endfor")
        if k < 0.68:
            return self.tag("set " + self.target() + " = " + self.simple())
        if k < 0.73:
            return self.tag("set " + self.target() + r.choice(["", " | upper"])) + b + self.tag("endset")
        if k < 0.78:
            return self.tag("with " + self.target() + " = " + self.simple()) + b + self.tag("endwith")
        if k < 0.82:
            return self.tag("filter " + r.choice(["upper", "trim", "replace('a', 'o')"])) + b + self.tag("endfilter")
        if k < 0.88:
            params = r.choice(["", "p", "p, q=1", "p=a", "x, v=x"])
            call = r.choice(["{{ m() }}", "{{ m(1) }}", "{{ m(2, 3) }}", "{{ m(p=s) }}", "{% call m() %}" + self.text() + "{% endcall %}"])
            inner = b + r.choice(["", "", "{{ caller() if caller else '' }}", "{{ varargs }}"])
            return self.tag("macro m(" + params + ")") + inner + self.tag("endmacro") + call
        if k < 0.91:
            return "{#" + r.choice(["", "-", "+"]) + " note " + r.choice(["", "-", "+"]) + "#}"
        if k < 0.94:
            return "{%" + r.choice(["", "-", "+"]) + " raw " + r.choice(["", "-"]) + "%}" + self.text() + "{{ a }}" + self.tag("endraw")
        if k < 0.97:
            return self.tag("set ns.c = " + self.simple())
        return self.tag("generation") + b + self.tag("endgeneration")

    def body(self, depth):
        return "".join(self.text() + self.block(depth) for _ in range(self.r.randrange(1, 4))) + self.text()


def mutate(rng, text):
    """A few characters changed: mostly errors, sometimes surprises."""
    chars = list(text)
    for _ in range(rng.randrange(1, 3)):
        if not chars:
            break
        i = rng.randrange(len(chars))
        k = rng.random()
        if k < 0.5:
            del chars[i]
        else:
            chars.insert(i, rng.choice("{}%#-+ \n()[]'\"|.,:=*/~<>0a\\"))
    return "".join(chars)


def cases(seed, count):
    rng = random.Random(seed)
    gen = Gen(rng)
    fixed = jinja_cases.templates() + ["{{ " + e + " }}" for e in jinja_cases.EXPRESSIONS.split("\n") if e]
    out = []
    for i in range(count):
        k = i % 10
        if k < 4:
            text = "{{ " + gen.expr(rng.choice([1, 2, 2, 3])) + " }}"
        elif k < 8:
            text = "{% set ns = namespace(c=0) %}" + gen.body(rng.choice([1, 2, 3]))
        elif k < 9:
            text = mutate(rng, rng.choice(fixed))
        else:
            text = mutate(rng, gen.body(2))
        out.append((text, CONTEXT))
    return out
