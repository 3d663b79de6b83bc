/* Patterns of tokenizers: Oniguruma's syntax, run by PCRE2.
 *
 * tokenizer.json's patterns are written for Oniguruma with Ruby's syntax. What differs and
 * occurs is translated: \s is Unicode's White_Space (PCRE2 adds U+180E), \w has marks and
 * connectors, ^ and $ are those of lines, (?m) is PCRE2's (?s), \h is a hexadecimal digit,
 * \uXXXX a character. Set operations ([a&&b], nested classes) are refused.
 *
 * Patterns are hostile unless our table has them. PCRE2's match limit counts neither the loops
 * of compiled code nor runs of one character, so an untrusted pattern is compiled with a callout
 * before every item and pays for each callout and for the distance since the last one. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/token/steps.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define PATTERN_BYTES_MAX 16384u
#define TRANSLATED_MAX    (8u * PATTERN_BYTES_MAX)
#define HEAP_KIB_MAX                                                                               \
    65536u /* of PCRE2's interpreter, which runs where its compiled code's stack ends */

/* U+180E is not White_Space since Unicode 6.3. */
#define WHITE                                                                                      \
    "\\t-\\r\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"       \
    "\\x{3000}"
/* Oniguruma's \w; outside of a class, where it looks Latin-1 up in a table, with a few numbers. */
#define WORD       "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define WORD_ALONE WORD "\\xb2\\xb3\\xb9\\xbc-\\xbe"
/* The same word characters decide where \b is. */
#define BOUNDARY                                                                                   \
    "(?:(?<=[" WORD_ALONE "])(?![" WORD_ALONE "])|(?<![" WORD_ALONE "])(?=[" WORD_ALONE "]))"
#define NO_BOUNDARY                                                                                \
    "(?:(?<=[" WORD_ALONE "])(?=[" WORD_ALONE "])|(?<![" WORD_ALONE "])(?![" WORD_ALONE "]))"

struct ft_regex {
    pcre2_code *code;
    bool trusted;
};

struct ft_regex_scratch {
    pcre2_match_data *match;
    pcre2_match_context *plain, *counted;
    uint64_t steps_left;
    PCRE2_SIZE last_pos;
};

/* The characters of an escape that PCRE2 has otherwise, or NULL; *ret_negative: all but these. */
static const char *escape_set(char c, bool in_class, bool *ret_negative)
{
    *ret_negative = c < 'a';
    switch (c) {
    case 's':
    case 'S':
        return WHITE;
    case 'w':
    case 'W':
        return in_class ? WORD : WORD_ALONE;
    case 'h':
    case 'H':
        return "0-9a-fA-F";
    default:
        return NULL;
    }
}

/* An escape at p[0] == '\\' that needs no set. Returns the bytes used, 0 if it is cut off. */
static size_t escape_translate(const char *p, size_t n, struct ft_buf *out)
{
    if (n < 2 || (p[1] == 'u' && n < 6))
        return 0;
    if (p[1] == 'u')
        ft_buf_addf(out, "\\x{%.4s}", p + 2);
    else
        ft_buf_add(out, p, 2);
    return p[1] == 'u' ? 6 : 2;
}

/* The members of a class up to its ']': what a class of PCRE2 can hold goes to `set`, complements
 * to `others` as alternatives. Returns the bytes used; 0 with *why set if it cannot be translated.
 */
static size_t members_translate(const char *p, size_t n, struct ft_buf *set, struct ft_buf *others,
                                const char **why)
{
    size_t i = 0;
    if (i < n && p[i] == ']') { /* a literal, if first */
        ft_buf_add_str(set, "\\]");
        i++;
    }
    while (i < n && p[i] != ']') {
        bool negative = false;
        const char *chars =
            p[i] == '\\' && i + 1 < n ? escape_set(p[i + 1], true, &negative) : NULL;
        size_t used = 1;
        if (chars != NULL) {
            if (negative)
                ft_buf_addf(others, "|[^%s]", chars);
            else
                ft_buf_add_str(set, chars);
            used = 2;
        } else if (p[i] == '\\') {
            used = escape_translate(p + i, n - i, set);
        } else if (p[i] == '[' && i + 1 < n && p[i + 1] == ':') {
            const char *end = memmem(p + i, n - i, ":]", 2);
            used = end == NULL ? 0 : (size_t)(end - (p + i)) + 2;
            ft_buf_add(set, p + i, used);
        } else if (p[i] == '[' || (p[i] == '&' && i + 1 < n && p[i + 1] == '&')) {
            *why = "set operations in a character class";
            return 0;
        } else {
            ft_buf_add_byte(set, (unsigned char)p[i]);
        }
        if (used == 0)
            break;
        i += used;
    }
    if (i < n && p[i] == ']')
        return i + 1;
    *why = "a character class without its end";
    return 0;
}

/* A class from p[0] == '['. Returns the bytes used; 0 with *why set if it cannot be translated. */
static size_t class_translate(const char *p, size_t n, struct ft_buf *out, const char **why)
{
    struct ft_buf set, others;
    ft_buf_init(&set, TRANSLATED_MAX);
    ft_buf_init(&others, TRANSLATED_MAX);
    bool negated = n > 1 && p[1] == '^';
    size_t begin = negated ? 2 : 1;
    size_t used = members_translate(p + begin, n - begin, &set, &others, why);
    const char *in = set.len == 0 ? "" : set.data;
    if (set.failed != 0 || others.failed != 0)
        out->failed = FT_ELIMIT;
    else if (used != 0 && others.len == 0)
        ft_buf_addf(out, "[%s%s]", negated ? "^" : "", in);
    else if (used != 0) /* a class cannot hold a complement: alternatives do */
        ft_buf_addf(out, "(?:%s%s%s%s%s%s)", negated ? "(?!" : "", set.len == 0 ? "" : "[", in,
                    set.len == 0 ? "" : "]", others.data + (set.len == 0),
                    negated ? ")(?s:.)" : "");
    ft_buf_fini(&set);
    ft_buf_fini(&others);
    return used == 0 ? 0 : used + begin;
}

/* "(?imx-imx:" and "(?imx)": m means what PCRE2 calls s. Returns the bytes used, 0 if p does not
 * begin such a group. */
static size_t flags_translate(const char *p, size_t n, struct ft_buf *out)
{
    size_t i = 2;
    while (i < n && (strchr("imx-", p[i]) != NULL && p[i] != '\0'))
        i++;
    if (i == 2 || i >= n || (p[i] != ':' && p[i] != ')'))
        return 0;
    for (size_t k = 0; k <= i; k++)
        ft_buf_add_byte(out, p[k] == 'm' ? 's' : (unsigned char)p[k]);
    return i + 1;
}

static int translate(const char *p, size_t n, struct ft_buf *out, struct ft_err *err)
{
    const char *why = NULL;
    for (size_t i = 0; i < n && why == NULL;) {
        size_t used = 0;
        bool negative = false;
        const char *chars =
            p[i] == '\\' && n - i > 1 ? escape_set(p[i + 1], false, &negative) : NULL;
        if (chars != NULL) {
            ft_buf_addf(out, "[%s%s]", negative ? "^" : "", chars);
            used = 2;
        } else if (p[i] == '\\' && n - i > 1 && (p[i + 1] == 'b' || p[i + 1] == 'B')) {
            ft_buf_add_str(out, p[i + 1] == 'b' ? BOUNDARY : NO_BOUNDARY);
            used = 2;
        } else if (p[i] == '\\') {
            used = escape_translate(p + i, n - i, out);
            if (used == 0)
                why = "an escape without its end";
        } else if (p[i] == '[') {
            used = class_translate(p + i, n - i, out, &why);
        } else if (p[i] == '(' && n - i > 2 && p[i + 1] == '?') {
            used = flags_translate(p + i, n - i, out);
        } else if (p[i] == '(' && n - i > 1 && p[i + 1] == '*') {
            why = "a verb"; /* PCRE2's, not Oniguruma's */
        }
        if (used == 0 && why == NULL) {
            ft_buf_add_byte(out, (unsigned char)p[i]);
            used = 1;
        }
        i += used;
    }
    if (why != NULL)
        return ft_err_set(err, FT_EUNSUPPORTED, "the pattern has %s", why);
    if (out->failed != 0)
        return ft_err_set(err, (enum ft_code)out->failed, "the pattern is too long");
    return 0;
}

int ft_regex_open(const char *pattern, size_t n, bool trusted, struct ft_regex **ret,
                  struct ft_err *err)
{
    if (n > PATTERN_BYTES_MAX)
        return ft_err_set(err, FT_ELIMIT, "a pattern of %zu bytes, more than %u", n,
                          PATTERN_BYTES_MAX);
    struct ft_buf b;
    ft_buf_init(&b, TRANSLATED_MAX);
    struct ft_regex *r = NULL;
    int rc = translate(pattern, n, &b, err);
    if (rc != 0)
        goto out;
    r = calloc(1, sizeof *r);
    if (r == NULL) {
        rc = ft_err_set(err, FT_ENOMEM, "a pattern: out of memory");
        goto out;
    }
    int code;
    PCRE2_SIZE at;
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C |
                       (trusted ? 0 : PCRE2_AUTO_CALLOUT);
    r->trusted = trusted;
    r->code =
        pcre2_compile((PCRE2_SPTR)(b.data == NULL ? "" : b.data), b.len, options, &code, &at, NULL);
    if (r->code == NULL) {
        PCRE2_UCHAR msg[160] = "";
        pcre2_get_error_message(code, msg, sizeof msg);
        rc = ft_err_set(err, FT_EINVAL, "the pattern %.*s: %s", (int)FT_MIN(n, (size_t)200),
                        pattern, (const char *)msg);
        goto out;
    }
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without it the interpreter runs */
    *ret = r;
    r = NULL;

out:
    ft_regex_close(r);
    ft_buf_fini(&b);
    return rc;
}

void ft_regex_close(struct ft_regex *r)
{
    if (r != NULL)
        pcre2_code_free(r->code);
    free(r);
}

static int callout(pcre2_callout_block *b, void *data)
{
    struct ft_regex_scratch *s = data;
    PCRE2_SIZE pos = b->current_position;
    uint64_t cost = 1 + (pos > s->last_pos ? pos - s->last_pos : s->last_pos - pos) / 16;
    s->last_pos = pos;
    if (cost > s->steps_left) {
        s->steps_left = 0;
        return PCRE2_ERROR_MATCHLIMIT;
    }
    s->steps_left -= cost;
    return 0;
}

struct ft_regex_scratch *ft_regex_scratch_open(uint64_t steps)
{
    struct ft_regex_scratch *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->steps_left = steps;
    s->match = pcre2_match_data_create(1, NULL);
    s->plain = pcre2_match_context_create(NULL);
    s->counted = pcre2_match_context_create(NULL);
    if (s->match == NULL || s->plain == NULL || s->counted == NULL) {
        ft_regex_scratch_close(s);
        return NULL;
    }
    pcre2_set_heap_limit(s->plain, HEAP_KIB_MAX);
    pcre2_set_heap_limit(s->counted, HEAP_KIB_MAX);
    pcre2_set_callout(s->counted, callout, s);
    return s;
}

void ft_regex_scratch_close(struct ft_regex_scratch *s)
{
    if (s == NULL)
        return;
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->plain);
    pcre2_match_context_free(s->counted);
    free(s);
}

int ft_regex_find(const struct ft_regex *r, struct ft_regex_scratch *s, const char *p, size_t n,
                  size_t from, size_t *ret_start, size_t *ret_end, struct ft_err *err)
{
    pcre2_match_context *c = r->trusted ? s->plain : s->counted;
    s->last_pos = from;
    int rc = pcre2_match(r->code, (PCRE2_SPTR)p, n, from, PCRE2_NO_UTF_CHECK, s->match, c);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, (PCRE2_SPTR)p, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                         s->match, c);
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(s->match);
    if (rc < 0)
        return ft_err_set(err, FT_ELIMIT,
                          "the tokenizer's pattern needs too many steps for this text (PCRE2: %d)",
                          rc);
    if (v[0] < from || v[1] < v[0]) /* \K in a look-around */
        return ft_err_set(err, FT_EUNSUPPORTED, "the tokenizer's pattern matches backwards");
    *ret_start = v[0];
    *ret_end = v[1];
    return 1;
}
