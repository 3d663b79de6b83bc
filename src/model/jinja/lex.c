/* The lexer: text to tokens, with the whitespace rules of trim_blocks and lstrip_blocks.
 *
 * It follows Jinja's lexer rule by rule, since the exact output depends on it: which newline a tag
 * swallows, what "-" and "+" strip, that a tag's end is not seen inside brackets. Newlines are
 * normalised to "\n" and one trailing newline is dropped before anything else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/jinja/ast.h"
#include "model/jinja/unicode.h"

struct lexer {
    struct jn_compiler *c;
    const char *s;
    size_t n, pos;
    int line;
    bool line_starting; /* the last match ended with a newline */
    char open[JN_NEST_MAX];
    int n_open;
};

static struct jn_token *add(struct lexer *x, enum jn_tok type)
{
    struct jn_compiler *c = x->c;
    if (c->n_tok == c->cap_tok) {
        size_t cap = c->cap_tok == 0 ? 256 : c->cap_tok * 2;
        struct jn_token *t = jn_alloc(c, cap, sizeof *t);
        if (c->n_tok != 0)
            memcpy(t, c->tok, c->n_tok * sizeof *t);
        c->tok = t;
        c->cap_tok = cap;
    }
    struct jn_token *t = &c->tok[c->n_tok++];
    *t = (struct jn_token){.type = type, .line = x->line};
    return t;
}

/* Moves to `to`, counting lines. */
static void advance(struct lexer *x, size_t to)
{
    for (size_t i = x->pos; i < to; i++)
        x->line += x->s[i] == '\n';
    x->pos = to;
}

static bool at(const struct lexer *x, size_t pos, const char *lit)
{
    size_t n = strlen(lit);
    return pos <= x->n && x->n - pos >= n && memcmp(x->s + pos, lit, n) == 0;
}

static size_t skip_space(const struct lexer *x, size_t pos)
{
    const char *p = x->s + pos, *end = x->s + x->n;
    while (p < end) {
        const char *q = p;
        if (!ju_space(ju_next(&q)))
            break;
        p = q;
    }
    return (size_t)(p - x->s);
}

/* Emits the text before a tag, stripped as the tag's sign and lstrip_blocks ask. */
static void add_text(struct lexer *x, size_t end, char sign, bool variable)
{
    const char *s = x->s + x->pos;
    size_t n = end - x->pos;
    if (sign == '-') {
        const char *p = s + n;
        while (p > s) {
            const char *q = p;
            if (!ju_space(ju_prev(&q)))
                break;
            p = q;
        }
        n = (size_t)(p - s);
    } else if (sign != '+' && !variable) {
        size_t l = n;
        while (l > 0 && s[l - 1] != '\n')
            l--;
        if ((l > 0 || x->line_starting) && l < n && skip_space(x, x->pos + l) >= end)
            n = l;
    }
    if (n != 0) {
        struct jn_token *t = add(x, T_DATA);
        t->s = s;
        t->n = n;
    }
}

/* The end of a block or comment tag at pos: "+X", "-X" with the space after it, or "X" with one
 * newline. Returns the position after it, or 0. */
static size_t tag_end(const struct lexer *x, size_t pos, const char *lit)
{
    if (pos < x->n && x->s[pos] == '+' && at(x, pos + 1, lit))
        return pos + 3;
    if (pos < x->n && x->s[pos] == '-' && at(x, pos + 1, lit))
        return skip_space(x, pos + 3);
    if (at(x, pos, lit))
        return pos + 2 + (pos + 2 < x->n && x->s[pos + 2] == '\n');
    return 0;
}

static void take(struct lexer *x, size_t to)
{
    x->line_starting = to > 0 && x->s[to - 1] == '\n';
    advance(x, to);
}

static void lex_comment(struct lexer *x)
{
    for (size_t p = x->pos; p < x->n; p++) {
        size_t end = tag_end(x, p, "#}");
        if (end != 0) {
            take(x, end);
            return;
        }
    }
    if (x->pos < x->n)
        jn_fail(x->c, x->line, "Missing end of comment tag");
}

/* "{% raw %}" at pos: the position after it, or 0. */
static size_t raw_begin(const struct lexer *x, size_t pos, char sign)
{
    size_t p = skip_space(x, pos + 2 + (sign != 0));
    if (!at(x, p, "raw"))
        return 0;
    p = skip_space(x, p + 3);
    if (at(x, p, "-%}"))
        return skip_space(x, p + 3);
    return at(x, p, "%}") ? p + 2 : 0;
}

static char sign_at(const struct lexer *x, size_t pos)
{
    return pos < x->n && (x->s[pos] == '-' || x->s[pos] == '+') ? x->s[pos] : 0;
}

static void lex_raw(struct lexer *x)
{
    for (size_t p = x->pos; p < x->n; p++) {
        if (!at(x, p, "{%"))
            continue;
        char sign = sign_at(x, p + 2);
        size_t q = skip_space(x, p + 2 + (sign != 0));
        if (!at(x, q, "endraw"))
            continue;
        size_t end = tag_end(x, skip_space(x, q + 6), "%}");
        if (end == 0)
            continue;
        add_text(x, p, sign, false);
        take(x, end);
        return;
    }
    if (x->pos < x->n)
        jn_fail(x->c, x->line, "Missing end of raw directive");
}

/* Digits, possibly separated by single underscores; returns the position after them. */
static size_t digits(const struct lexer *x, size_t pos, int base)
{
    size_t p = pos;
    for (;;) {
        size_t q = p + (p > pos && p < x->n && x->s[p] == '_');
        if (q >= x->n)
            return p;
        unsigned c = (unsigned char)x->s[q];
        int d = c >= '0' && c <= '9'                 ? (int)c - '0'
                : (c | 32) >= 'a' && (c | 32) <= 'f' ? (int)(c | 32) - 'a' + 10
                                                     : 99;
        if (d >= base)
            return p;
        p = q + 1;
    }
}

static size_t float_end(const struct lexer *x)
{
    if (x->pos > 0 && x->s[x->pos - 1] == '.')
        return 0;
    size_t p = digits(x, x->pos, 10), q = 0;
    if (p == x->pos)
        return 0;
    if (p < x->n && x->s[p] == '.') {
        q = digits(x, p + 1, 10);
        q = q == p + 1 ? 0 : q;
    }
    size_t e = q != 0 ? q : p;
    if (e < x->n && (x->s[e] | 32) == 'e') {
        size_t d = e + 1 + (sign_at(x, e + 1) != 0), f = digits(x, d, 10);
        if (f != d)
            return f;
    }
    return q;
}

static char *without_underscores(struct lexer *x, size_t end)
{
    char *b = jn_alloc(x->c, end - x->pos + 1, 1);
    size_t k = 0;
    for (size_t i = x->pos; i < end; i++)
        if (x->s[i] != '_')
            b[k++] = x->s[i];
    return b;
}

static void lex_number(struct lexer *x)
{
    size_t end = float_end(x);
    if (end != 0) {
        struct jn_token *t = add(x, T_FLOAT);
        t->f = strtod(without_underscores(x, end), NULL);
        advance(x, end);
        return;
    }
    int base = 10;
    size_t p = x->pos;
    if (x->s[p] == '0' && p + 1 < x->n) {
        char k = (char)(x->s[p + 1] | 32);
        int b = k == 'x' ? 16 : k == 'o' ? 8 : k == 'b' ? 2 : 0;
        size_t from = p + 2 + (p + 2 < x->n && x->s[p + 2] == '_');
        if (b != 0 && digits(x, from, b) != from) {
            base = b;
            end = digits(x, from, b);
        }
    }
    if (base == 10)
        end = x->s[p] == '0' ? digits(x, p, 1) : digits(x, p, 10);
    const char *txt = without_underscores(x, end) + (base == 10 ? 0 : 2);
    struct jn_token *t = add(x, T_INT);
    errno = 0;
    t->i = strtoll(txt, NULL, base);
    if (errno != 0)
        jn_fail(x->c, x->line, "integer constant exceeds 64 bits");
    advance(x, end);
}

static int hex_value(const char *s, size_t n, int digits_wanted, uint32_t *ret)
{
    if (n < (size_t)digits_wanted)
        return -1;
    *ret = 0;
    for (int i = 0; i < digits_wanted; i++) {
        unsigned c = (unsigned char)s[i];
        int d = c >= '0' && c <= '9'                 ? (int)c - '0'
                : (c | 32) >= 'a' && (c | 32) <= 'f' ? (int)(c | 32) - 'a' + 10
                                                     : -1;
        if (d < 0)
            return -1;
        *ret = *ret * 16 + (uint32_t)d;
    }
    return 0;
}

/* One escape after a backslash at s[0..n); writes to out, returns the bytes of s used. */
static size_t unescape(struct lexer *x, const char *s, size_t n, char *out, size_t *ret_out)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    const char *hit = memchr(from, s[0], sizeof from - 1);
    uint32_t cp;
    if (hit != NULL) {
        out[0] = to[hit - from];
        *ret_out = 1;
        return 1;
    }
    if (s[0] == '\n') {
        *ret_out = 0;
        return 1;
    }
    if (s[0] == 'x' || s[0] == 'u' || s[0] == 'U') {
        int want = s[0] == 'x' ? 2 : s[0] == 'u' ? 4 : 8;
        if (hex_value(s + 1, n - 1, want, &cp) != 0)
            jn_fail(x->c, x->line, "truncated \\%c escape in a string", s[0]);
        if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
            jn_fail(x->c, x->line, "\\%c escape is no Unicode character", s[0]);
        *ret_out = (size_t)ju_put(out, cp);
        return (size_t)want + 1;
    }
    if (s[0] >= '0' && s[0] <= '7') {
        size_t k = 0;
        for (cp = 0; k < 3 && k < n && s[k] >= '0' && s[k] <= '7'; k++)
            cp = cp * 8 + (uint32_t)(s[k] - '0');
        *ret_out = (size_t)ju_put(out, cp);
        return k;
    }
    if (s[0] == 'N')
        jn_fail(x->c, x->line, "\\N{name} escapes are not supported");
    out[0] = '\\'; /* unknown escapes stay, as in Python */
    if ((unsigned char)s[0] < 0x80) {
        out[1] = s[0];
        *ret_out = 2;
        return 1;
    }
    /* Jinja decodes strings by way of ASCII with backslash escapes, and this backslash pairs with
     * the one that the character's own escape brings. */
    const char *p = s;
    cp = ju_next(&p);
    *ret_out = 1 + (size_t)snprintf(out + 1, 12,
                                    cp < 0x100     ? "x%02x"
                                    : cp < 0x10000 ? "u%04x"
                                                   : "U%08x",
                                    cp);
    return (size_t)(p - s);
}

static bool lex_string(struct lexer *x)
{
    char quote = x->s[x->pos];
    size_t p = x->pos + 1, escapes = 0;
    while (p < x->n && x->s[p] != quote) {
        escapes += x->s[p] == '\\';
        p += x->s[p] == '\\' ? 2 : 1;
    }
    if (p >= x->n)
        return false;
    const char *s = x->s + x->pos + 1;
    size_t n = p - x->pos - 1;
    struct jn_token *t = add(x, T_STRING);
    t->s = s;
    t->n = n;
    if (escapes != 0) {
        char *b = jn_alloc(x->c, n + escapes * 9 + 16, 1);
        size_t k = 0;
        for (size_t i = 0; i < n;) {
            if (s[i] != '\\') {
                b[k++] = s[i++];
                continue;
            }
            size_t put = 0;
            i += 1 + unescape(x, s + i + 1, n - i - 1, b + k, &put);
            k += put;
        }
        x->c->tok[x->c->n_tok - 1].s = b;
        x->c->tok[x->c->n_tok - 1].n = k;
    }
    advance(x, p + 1);
    return true;
}

static void lex_name(struct lexer *x)
{
    const char *s = x->s + x->pos, *p = s, *end = x->s + x->n;
    bool valid = true;
    while (p < end) {
        const char *q = p;
        uint32_t cp = ju_next(&q);
        if (!ju_word(cp) && !ju_ident(cp))
            break;
        valid = valid && (p == s ? ju_ident_start(cp) : ju_ident(cp));
        p = q;
    }
    if (!valid)
        jn_fail(x->c, x->line, "Invalid character in identifier");
    struct jn_token *t = add(x, T_NAME);
    t->s = s;
    t->n = (size_t)(p - s);
    x->pos += t->n;
}

static void balance(struct lexer *x, char ch)
{
    if (ch == '(' || ch == '[' || ch == '{') {
        if (x->n_open == JN_NEST_MAX)
            jn_fail(x->c, x->line, "brackets are nested more than %d deep", JN_NEST_MAX);
        x->open[x->n_open++] = ch == '(' ? ')' : ch == '[' ? ']' : '}';
    } else if (ch == ')' || ch == ']' || ch == '}') {
        if (x->n_open == 0)
            jn_fail(x->c, x->line, "unexpected '%c'", ch);
        if (x->open[--x->n_open] != ch)
            jn_fail(x->c, x->line, "unexpected '%c', expected '%c'", ch, x->open[x->n_open]);
    }
}

static bool lex_operator(struct lexer *x)
{
    static const struct {
        const char *s;
        enum jn_tok type;
    } ops[] = {
        {"//", T_FLOORDIV}, {"**", T_POW},   {"==", T_EQ},      {"!=", T_NE},      {">=", T_GE},
        {"<=", T_LE},       {"+", T_ADD},    {"-", T_SUB},      {"/", T_DIV},      {"*", T_MUL},
        {"%", T_MOD},       {"~", T_TILDE},  {"[", T_LBRACKET}, {"]", T_RBRACKET}, {"(", T_LPAREN},
        {")", T_RPAREN},    {"{", T_LBRACE}, {"}", T_RBRACE},   {">", T_GT},       {"<", T_LT},
        {"=", T_ASSIGN},    {".", T_DOT},    {":", T_COLON},    {"|", T_PIPE},     {",", T_COMMA},
        {";", T_SEMICOLON},
    };
    for (size_t i = 0; i < FT_COUNT(ops); i++) {
        if (!at(x, x->pos, ops[i].s))
            continue;
        if (ops[i].s[1] == '\0')
            balance(x, ops[i].s[0]);
        add(x, ops[i].type);
        x->pos += strlen(ops[i].s);
        return true;
    }
    return false;
}

/* Tokens up to the end of a "{{" or "{%" tag. */
static void lex_tag(struct lexer *x, bool variable)
{
    x->n_open = 0;
    while (x->pos < x->n) {
        size_t end = 0;
        if (x->n_open == 0 && !variable)
            end = tag_end(x, x->pos, "%}");
        else if (x->n_open == 0)
            end = at(x, x->pos, "-}}")  ? skip_space(x, x->pos + 3)
                  : at(x, x->pos, "}}") ? x->pos + 2
                                        : 0;
        if (end != 0) {
            add(x, variable ? T_VAR_END : T_BLOCK_END);
            take(x, end);
            return;
        }
        size_t sp = skip_space(x, x->pos);
        unsigned char ch = (unsigned char)x->s[x->pos];
        const char *p = x->s + x->pos;
        if (sp != x->pos)
            advance(x, sp);
        else if (ch >= '0' && ch <= '9')
            lex_number(x);
        else if (ch >= 0x80 ? ju_word(ju_next(&p)) || (p = x->s + x->pos, ju_ident(ju_next(&p)))
                            : ju_word(ch))
            lex_name(x);
        else if (((ch != '"' && ch != '\'') || !lex_string(x)) && !lex_operator(x))
            jn_fail(x->c, x->line, "unexpected char at byte %zu of the line's tag", x->pos);
    }
}

static void lex_root(struct lexer *x)
{
    while (x->pos < x->n) {
        size_t p = x->pos;
        while (p < x->n && !at(x, p, "{{") && !at(x, p, "{%") && !at(x, p, "{#")) {
            const char *q = memchr(x->s + p + 1, '{', x->n - p - 1);
            p = q == NULL ? x->n : (size_t)(q - x->s);
        }
        if (p == x->n) {
            struct jn_token *t = add(x, T_DATA);
            t->s = x->s + x->pos;
            t->n = p - x->pos;
            advance(x, p);
            return;
        }
        char kind = x->s[p + 1], sign = sign_at(x, p + 2);
        size_t raw = kind == '%' ? raw_begin(x, p, sign) : 0;
        add_text(x, p, sign, kind == '{');
        advance(x, p);
        if (raw != 0) {
            take(x, raw);
            lex_raw(x);
            continue;
        }
        if (kind != '#')
            add(x, kind == '{' ? T_VAR_BEGIN : T_BLOCK_BEGIN);
        x->line_starting = false;
        x->pos = p + 2 + (sign != 0);
        if (kind == '#')
            lex_comment(x);
        else
            lex_tag(x, kind == '{');
    }
}

void jn_lex(struct jn_compiler *c, const char *text, size_t n)
{
    char *s = jn_alloc(c, n + 1, 1);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\r' && i + 1 < n && text[i + 1] == '\n')
            continue;
        s[k++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (k > 0 && s[k - 1] == '\n')
        k--;
    struct lexer x = {.c = c, .s = s, .n = k, .line = 1, .line_starting = true};
    size_t bad = ju_valid(s, k);
    if (bad != k) {
        advance(&x, bad);
        jn_fail(c, x.line, "the template is not valid UTF-8");
    }
    lex_root(&x);
    add(&x, T_EOF);
}
