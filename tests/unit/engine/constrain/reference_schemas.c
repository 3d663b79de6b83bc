/* Every reference schema with its instances: nothing invalid is ever accepted, and nearly every
 * schema is enforced with every valid instance accepted. */
#include "testing.h"

#include "base/file.h"
#include "engine/constrain/constrain.h"
#include "engine/constrain/jdoc.h"

#define TEXT_MAX     (1 << 16)
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

/* Compact JSON in the order of the document. */
static size_t put(char *out, const struct ft_jv *v)
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
                out[n++] = ',';
            if (v->kind == FT_JV_OBJ) {
                n += put_string(out + n, v->k[i]);
                out[n++] = ':';
            }
            n += put(out + n, v->v[i]);
        }
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
    size_t n = put(text, ft_jv_get(e, "schema"));
    if (ft_grammar_from_schema(text, n, &g, &err) != 0) {
        assert_int_equal(err.code, FT_EUNSUPPORTED);
        t->refused++;
        return;
    }
    bool all = true;
    for (size_t i = 0; i < tests->n; i++) {
        bool valid = ft_jv_get(tests->v[i], "valid")->kind == FT_JV_TRUE;
        n = put(text, ft_jv_get(tests->v[i], "data"));
        bool ok = accepts(g, text, n);
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
