/* Every reference schema with its instances: nothing invalid is ever accepted, and nearly every
 * schema is enforced with every valid instance accepted. */
#include "testing.h"

#include "base/file.h"
#include "engine/constrain/constrain.h"
#include "engine/constrain/jdoc.h"

#define TEXT_MAX     (1 << 18)
#define ENFORCED_MIN 0.95

static size_t put_string(char *out, struct ft_str s)
{
    size_t n = 0;
    out[n++] = '"';
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < 0x20) {
            n += (size_t)sprintf(out + n, "\\u%04x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    out[n++] = '"';
    return n;
}

/* How a text is laid out: as Python's json.dumps does with these arguments. */
struct style {
    const char *comma, *colon;
    int indent; /* fills for each level; -1: all on one line */
    char fill;
};

static const struct style compact = {",", ":", -1, ' '};
static const struct style styles[] = {
    {", ", ": ", -1, ' '}, {",", ": ", 2, ' '}, {",", ": ", 4, ' '},
    {",", ": ", 1, '\t'},  {",", ": ", 0, ' '},
};

static size_t put_line(char *out, const struct style *y, int level)
{
    if (y->indent < 0)
        return 0;
    out[0] = '\n';
    memset(out + 1, y->fill, (size_t)(y->indent * level));
    return 1 + (size_t)(y->indent * level);
}

/* In the order of the document. */
static size_t put(char *out, const struct ft_jv *v, const struct style *y, int level)
{
    static const char *const words[] = {"null", "false", "true"};
    size_t n = 0;
    switch (v->kind) {
    case FT_JV_NUM:
        memcpy(out, v->s.p, v->s.n);
        return v->s.n;
    case FT_JV_STR:
        return put_string(out, v->s);
    case FT_JV_ARR:
    case FT_JV_OBJ:
        out[n++] = v->kind == FT_JV_ARR ? '[' : '{';
        for (size_t i = 0; i < v->n; i++) {
            if (i > 0)
                n += (size_t)sprintf(out + n, "%s", y->comma);
            n += put_line(out + n, y, level + 1);
            if (v->kind == FT_JV_OBJ) {
                n += put_string(out + n, v->k[i]);
                n += (size_t)sprintf(out + n, "%s", y->colon);
            }
            n += put(out + n, v->v[i], y, level + 1);
        }
        if (v->n > 0)
            n += put_line(out + n, y, level);
        out[n++] = v->kind == FT_JV_ARR ? ']' : '}';
        return n;
    default:
        return (size_t)sprintf(out, "%s", words[v->kind]);
    }
}

static bool accepts(struct ft_grammar *g, const char *text, size_t n)
{
    struct ft_matcher *m;
    struct ft_err err;
    assert_int_equal(ft_matcher_open(g, NULL, &m, &err), 0);
    bool ok = ft_matcher_accept_bytes(m, text, n) && ft_matcher_may_end(m);
    ft_matcher_close(m);
    return ok;
}

struct tally {
    int schemas, enforced, refused, invalid_accepted, valid_rejected;
};

static void one(const struct ft_jv *e, char *text, struct tally *t)
{
    const struct ft_jv *tests = ft_jv_get(e, "tests"), *id = ft_jv_get(e, "id");
    struct ft_grammar *g;
    struct ft_err err;
    t->schemas++;
    size_t n = put(text, ft_jv_get(e, "schema"), &compact, 0);
    if (ft_grammar_from_schema(text, n, &g, &err) != 0) {
        assert_int_equal(err.code, FT_EUNSUPPORTED);
        t->refused++;
        return;
    }
    bool all = true;
    for (size_t i = 0; i < tests->n; i++) {
        bool valid = ft_jv_get(tests->v[i], "valid")->kind == FT_JV_TRUE;
        const struct ft_jv *data = ft_jv_get(tests->v[i], "data");
        n = put(text, data, &compact, 0);
        bool ok = accepts(g, text, n);
        for (size_t k = 0; k < FT_COUNT(styles); k++) {
            n = put(text, data, &styles[k], 0);
            if (accepts(g, text, n) != ok)
                fail_msg("%s: test %zu: laid out in style %zu it is %s", id->s.p, i, k,
                         ok ? "rejected" : "accepted");
        }
        if (ok == valid)
            continue;
        print_message("%s: test %zu: %s\n", id->s.p, i, valid ? "rejected" : "ACCEPTED");
        all = all && !valid;
        t->invalid_accepted += !valid;
        t->valid_rejected += valid;
    }
    t->enforced += all;
    ft_grammar_unref(g);
}

static void nothing_invalid_is_accepted_and_nearly_all_is_enforced(void **state)
{
    (void)state;
    const char *path = ft_test_ref("schemas/schemas.json");
    if (path == NULL)
        skip();
    struct ft_err err;
    char *json;
    size_t n;
    assert_int_equal(ft_file_read(path, (size_t)64 << 20, &json, &n, &err), 0);
    struct ft_arena keep;
    ft_arena_init(&keep, (size_t)1 << 20);
    struct ft_cx *cx = calloc(1, sizeof *cx);
    ft_arena_init(&cx->tmp, FT_CX_TMP_BYTES_MAX);
    cx->keep = &keep;
    cx->err = &err;
    assert_int_equal(setjmp(cx->fail), 0);
    struct ft_jv *all = ft_jdoc_parse(cx, json, n);
    char *text = malloc(TEXT_MAX);
    struct tally t = {0};
    for (size_t i = 0; i < all->n; i++)
        one(all->v[i], text, &t);
    print_message("schemas %d, enforced %d, refused %d; invalid accepted %d, valid rejected %d\n",
                  t.schemas, t.enforced, t.refused, t.invalid_accepted, t.valid_rejected);
    assert_int_equal(t.invalid_accepted, 0);
    assert_true(t.enforced >= (int)(ENFORCED_MIN * t.schemas));
    free(text);
    free(json);
    ft_arena_fini(&cx->tmp);
    ft_arena_fini(&keep);
    free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_invalid_is_accepted_and_nearly_all_is_enforced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
