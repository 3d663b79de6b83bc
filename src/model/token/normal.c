/* tokenizer.json's normalizers: a short list of rewritings of valid UTF-8, each over the whole
 * section. Results are bounded by FT_TOK_TEXT_MAX. Unicode's tables are utf8proc's. */
#include "model/token/steps.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

struct ft_normal {
    struct normal_step {
        enum ft_normal_kind kind;
        struct ft_slice pattern, text; /* the arena's */
        struct ft_regex *regex;
    } step[FT_TOK_STEPS_MAX];
    int n;
};

int ft_normal_add(struct ft_tokenizer *t, enum ft_normal_kind kind, struct ft_slice pattern,
                  bool is_regex, struct ft_slice text, struct ft_err *err)
{
    if (t->normal == NULL && (t->normal = calloc(1, sizeof *t->normal)) == NULL)
        return ft_err_set(err, FT_ENOMEM, "normalizer: out of memory");
    if (t->normal->n == FT_TOK_STEPS_MAX)
        return ft_err_set(err, FT_ELIMIT, "normalizer: more than %d steps", FT_TOK_STEPS_MAX);
    if (kind == FT_NORMAL_REPLACE && pattern.n == 0)
        return ft_err_set(err, FT_EINVAL, "normalizer: Replace: an empty pattern");
    struct normal_step *s = &t->normal->step[t->normal->n];
    *s = (struct normal_step){
        .kind = kind,
        .pattern = {ft_arena_strndup(&t->arena, pattern.p, pattern.n), pattern.n},
        .text = {ft_arena_strndup(&t->arena, text.p, text.n), text.n}};
    if (s->pattern.p == NULL || s->text.p == NULL)
        return ft_err_set(err, FT_ENOMEM, "normalizer: out of memory");
    if (is_regex) {
        int rc = ft_regex_open(pattern.p, pattern.n, false, &s->regex, err);
        if (rc != 0)
            return ft_err_wrap(err, "normalizer");
    }
    t->normal->n++;
    return 0;
}

void ft_normal_close(struct ft_normal *n)
{
    if (n == NULL)
        return;
    for (int i = 0; i < n->n; i++)
        ft_regex_close(n->step[i].regex);
    free(n);
}

/* Ranges in which no character changes under NFC or composes with another of them. */
static bool nfc_inert(uint32_t cp)
{
    return cp < 0x300 || (cp >= 0x400 && cp <= 0x482) || (cp >= 0x48a && cp <= 0x52f) ||
           (cp >= 0x2010 && cp <= 0x2027) || (cp >= 0x3000 && cp <= 0x3029) ||
           (cp >= 0x3030 && cp <= 0x3098) || (cp >= 0x309b && cp <= 0x30ff) ||
           (cp >= 0x3400 && cp <= 0x4dbf) || (cp >= 0x4e00 && cp <= 0x9fff) ||
           (cp >= 0xac00 && cp <= 0xd7a3) || (cp >= 0xff01 && cp <= 0xff60) ||
           (cp >= 0x1f300 && cp <= 0x1faff);
}

static bool nfc_already(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        if ((unsigned char)p[i] < 0x80) {
            i++;
            continue;
        }
        uint32_t cp = 0;
        i += (size_t)FT_MAX(ft_utf8_decode(p + i, n - i, &cp), 1);
        if (!nfc_inert(cp))
            return false;
    }
    return true;
}

static int form_run(enum ft_normal_kind kind, const char *p, size_t n, struct ft_buf *out)
{
    static const int options[] = {
        [FT_NORMAL_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [FT_NORMAL_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [FT_NORMAL_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [FT_NORMAL_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    if (kind == FT_NORMAL_NFC && nfc_already(p, n))
        return ft_buf_add(out, p, n);
    utf8proc_uint8_t *r = NULL;
    utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)n, &r,
                                        (utf8proc_option_t)options[kind]);
    int rc = len < 0 ? out->failed = FT_ENOMEM : ft_buf_add(out, r, (size_t)len);
    free(r);
    return rc;
}

static int lowercase_run(const char *p, size_t n, struct ft_buf *out)
{
    int rc = 0, len;
    for (size_t i = 0; i < n && rc == 0; i += (size_t)len) {
        uint32_t cp = 0;
        char c[FT_UTF8_BYTES_MAX];
        len = ft_utf8_decode(p + i, n - i, &cp);
        if (cp == 0x130) /* the one character whose lower case is two */
            rc = ft_buf_add_str(out, "i\xcc\x87");
        else
            rc = ft_buf_add(out, c,
                            (size_t)ft_utf8_encode((uint32_t)utf8proc_tolower((int32_t)cp), c));
    }
    return rc;
}

bool ft_space_at(const char *p, size_t n, int *ret_len)
{
    uint32_t cp;
    *ret_len = ft_utf8_decode(p, n, &cp);
    if (*ret_len == 0)
        return false;
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xa0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f ||
           cp == 0x205f || cp == 0x3000;
}

static int strip_run(enum ft_normal_kind kind, const char *p, size_t n, struct ft_buf *out)
{
    size_t i = 0, end = 0;
    int len;
    if (kind == FT_NORMAL_STRIP_LEFT) {
        while (i < n && ft_space_at(p + i, n - i, &len))
            i += (size_t)len;
        return ft_buf_add(out, p + i, n - i);
    }
    for (; i < n; i += (size_t)len)
        if (!ft_space_at(p + i, n - i, &len))
            end = i + (size_t)len;
    return ft_buf_add(out, p, end);
}

static int replace_run(struct ft_enc *e, const struct normal_step *s, const char *p, size_t n,
                       struct ft_buf *out)
{
    size_t done = 0, from = 0;
    int rc = 0;
    while (rc == 0 && from <= n) {
        size_t start, end;
        if (s->regex != NULL) {
            int found = ft_regex_find(s->regex, e->scratch, p, n, from, &start, &end, e->err);
            if (found < 0)
                return found;
            if (found == 0)
                break;
        } else {
            const char *q =
                n == from ? NULL : memmem(p + from, n - from, s->pattern.p, s->pattern.n);
            if (q == NULL)
                break;
            start = (size_t)(q - p);
            end = start + s->pattern.n;
        }
        rc = ft_buf_add(out, p + done, start - done);
        if (rc == 0)
            rc = ft_buf_add(out, s->text.p, s->text.n);
        done = from = end;
        if (start == end)
            from += end < n ? (size_t)ft_utf8_lead_len((unsigned char)p[end]) : 1;
    }
    return rc != 0 ? rc : ft_buf_add(out, p + done, n - done);
}

static int step_run(struct ft_enc *e, const struct normal_step *s, const char *p, size_t n,
                    struct ft_buf *out)
{
    switch (s->kind) {
    case FT_NORMAL_LOWERCASE:
        return lowercase_run(p, n, out);
    case FT_NORMAL_STRIP_LEFT:
    case FT_NORMAL_STRIP_RIGHT:
        return strip_run(s->kind, p, n, out);
    case FT_NORMAL_PREPEND:
        if (n != 0)
            ft_buf_add(out, s->text.p, s->text.n);
        return ft_buf_add(out, p, n);
    case FT_NORMAL_REPLACE:
        return replace_run(e, s, p, n, out);
    default:
        return form_run(s->kind, p, n, out);
    }
}

int ft_normal_run(struct ft_enc *e, const char *p, size_t n, struct ft_buf *out)
{
    const struct ft_normal *t = e->t->normal;
    struct ft_buf b[2];
    if (ft_enc_scratch(e) == NULL)
        return ft_err_set(e->err, FT_ENOMEM, "tokenize: out of memory");
    ft_buf_init(&b[0], FT_TOK_TEXT_MAX);
    ft_buf_init(&b[1], FT_TOK_TEXT_MAX);
    int rc = 0;
    for (int i = 0; i < t->n && rc == 0; i++) {
        struct ft_buf *to = i + 1 == t->n ? out : &b[i & 1];
        if (to != out)
            ft_buf_reset(to);
        rc = step_run(e, &t->step[i], p, n, to);
        p = to->data == NULL ? "" : to->data;
        n = to->len;
    }
    if (rc == FT_ENOMEM || (rc == FT_ELIMIT && out->failed + b[0].failed + b[1].failed != 0))
        ft_err_set(e->err, (enum ft_code)rc, "tokenize: the normalized text is too long");
    ft_buf_fini(&b[0]);
    ft_buf_fini(&b[1]);
    return rc;
}
