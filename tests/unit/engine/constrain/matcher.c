/* Matchers over a small vocabulary: masks say exactly what is accepted, every walk through them
 * ends in a complete text, copies are independent. */
#include "texts.h"

#include <pthread.h>

#include "base/rand.h"

#define N_TOKENS 340
#define EOG      256
#define NEVER    257

static const char *const pieces[] = {
    "{\"",      "\":",  "\",\"",  "\"}",       "\"}]",         ":\"",     "\",",      "ab",
    "abc",      "a\"",  "ab\":1", "\\u00",     "\\ud83d\\ude", "\xc3",    "\xc3\xa9", "\xf0\x9f",
    "\x98\x80", "  ",   "\n  ",   "[[",        "]]",           "true",    "true,",    "null}",
    "12",       "1.5",  "e3",     "-1",        ", ",           ": ",      "[]",       "{}",
    "{}}",      "\"\"", "\":[",   "abcabcabc", "key",          "\"key\"", "\"key\":",
};

static struct ft_vocab *vocab(void)
{
    static struct ft_vocab_token t[N_TOKENS];
    static char bytes[256];
    for (int i = 0; i < N_TOKENS; i++) {
        t[i] = (struct ft_vocab_token){.bytes = ""};
        if (i < 256) {
            bytes[i] = (char)i;
            t[i].bytes = &bytes[i];
            t[i].n = 1;
        } else if (i == EOG) {
            t[i].eog = true;
        } else if (i == NEVER) {
            t[i] = (struct ft_vocab_token){"a", 1, false, true};
        } else if ((size_t)i - 258 < FT_COUNT(pieces)) {
            t[i].bytes = pieces[i - 258];
            t[i].n = (uint32_t)strlen(pieces[i - 258]);
        } else { /* twice the same bytes: both ids count */
            t[i].bytes = pieces[(size_t)(i - 258) % FT_COUNT(pieces)];
            t[i].n = (uint32_t)strlen(t[i].bytes);
        }
    }
    struct ft_vocab *v;
    struct ft_err err;
    assert_int_equal(ft_vocab_open(t, N_TOKENS, &v, &err), 0);
    return v;
}

static bool bit(const uint32_t *mask, int i)
{
    return mask[i / 32] >> i % 32 & 1;
}

/* Every token that the mask allows is accepted by a copy and no other. */
static void check_mask(struct ft_matcher *m, const uint32_t *mask)
{
    struct ft_err err;
    for (int i = 0; i < N_TOKENS; i++) {
        struct ft_matcher *c;
        assert_int_equal(ft_matcher_clone(m, &c, &err), 0);
        bool ok = ft_matcher_accept(c, i);
        if (ok != bit(mask, i))
            fail_msg("token %d: mask %d, accept %d", i, bit(mask, i), ok);
        ft_matcher_close(c);
    }
    assert_false(bit(mask, NEVER));
    assert_int_equal(bit(mask, EOG), ft_matcher_may_end(m));
}

/* A random walk; towards its end tokens that close something are preferred. */
static void walk(struct ft_grammar *g, const struct ft_vocab *v, uint64_t seed, bool check)
{
    struct ft_matcher *m;
    struct ft_err err;
    uint32_t mask[(N_TOKENS + 31) / 32];
    char text[20000];
    size_t len = 0;
    assert_int_equal(ft_matcher_open(g, v, &m, &err), 0);
    for (int step = 0;; step++) {
        if (step >= 3000)
            fail_msg("no end: %.*s", (int)FT_MIN(len, (size_t)300), text);
        assert_int_equal(ft_matcher_mask(m, mask, &err), 0);
        if (check && step % 5 == 0)
            check_mask(m, mask);
        int order[N_TOKENS], n = 0, close = -1;
        for (int i = 0; i < N_TOKENS; i++)
            if (bit(mask, i)) {
                order[n++] = i;
                if (i == EOG || i == '"' || i == '}' || i == ']')
                    close = i;
            }
        if (n == 0)
            fail_msg("dead end after %.*s", (int)len, text);
        if (bit(mask, '"') && bit(mask, '(')) /* inside a string: brackets close nothing */
            close = '"';
        int id = order[ft_rand_u64(seed, 0, (uint64_t)step) % (uint64_t)n];
        if (close >= 0 && (step > 40 || ft_rand_unit(seed, 1, (uint64_t)step) < 0.3))
            id = bit(mask, EOG) ? EOG : close;
        assert_true(ft_matcher_accept(m, id));
        if (id == EOG)
            break;
        const char *p = id < 256 ? text + len : pieces[(size_t)(id - 258) % FT_COUNT(pieces)];
        size_t k = id < 256 ? 1 : strlen(p);
        if (id < 256)
            text[len] = (char)id;
        else
            memcpy(text + len, p, k);
        len += k;
    }
    assert_int_equal(ft_matcher_mask(m, mask, &err), 0); /* ended: nothing more */
    for (int i = 0; i < N_TOKENS; i++)
        assert_false(bit(mask, i));
    ft_matcher_close(m);
    assert_int_equal(ft_matcher_open(g, NULL, &m, &err), 0);
    assert_true(ft_matcher_accept_bytes(m, text, len) && ft_matcher_may_end(m));
    ft_matcher_close(m);
}

static const char *const schemas[] = {
    "{\"type\":\"object\"}",
    "{\"type\":\"object\",\"properties\":{\"abc\":{\"type\":\"integer\",\"minimum\":3,\"maximum\":"
    "30},"
    "\"ab\":{\"enum\":[\"abc\",\"key\",null]}},\"required\":[\"abc\"],\"additionalProperties\":"
    "false}",
    "{\"type\":\"object\",\"patternProperties\":{\"^[ab]{1,2}$\":{\"type\":\"string\","
    "\"maxLength\":3}},"
    "\"additionalProperties\":false,\"minProperties\":3,\"maxProperties\":5}",
    "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\",\"minLength\":2,"
    "\"maxLength\":9}}",
    "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"string\",\"pattern\":\"^[ab]{1,"
    "2}$\"},"
    "\"minItems\":6}",
    "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":[\"integer\",\"boolean\"],"
    "\"minimum\":-1,"
    "\"maximum\":12},\"minItems\":16}",
    "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"string\"},\"minItems\":9}",
    "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"anyOf\":[{\"pattern\":\"^ab*\"},{"
    "\"type\":"
    "\"string\",\"minLength\":2},{\"enum\":[\"\",\"abc\"]}],\"type\":\"string\"},\"minItems\":4}",
    "{\"anyOf\":[{\"type\":\"object\",\"required\":[\"ab\"]},{\"type\":\"object\",\"properties\":{"
    "\"abc\":{"
    "\"type\":\"integer\"}},\"minProperties\":2},{\"type\":\"object\",\"additionalProperties\":{"
    "\"type\":"
    "\"array\"},\"maxProperties\":3}]}",
    "{\"anyOf\":[{\"type\":\"array\",\"items\":{\"type\":\"string\",\"pattern\":\"^é+$\"},"
    "\"minItems\":2},"
    "{\"type\":\"array\",\"contains\":{\"const\":12},\"maxItems\":3}]}",
    "{\"type\":\"object\",\"not\":{\"additionalProperties\":{\"type\":\"integer\"}},"
    "\"maxProperties\":2,"
    "\"minProperties\":2}",
    "{\"$ref\":\"#/$defs/"
    "t\",\"$defs\":{\"t\":{\"type\":\"object\",\"properties\":{\"key\":{\"$ref\":\"#/$defs/t\"}}"
    ",\"additionalProperties\":false}}}",
};

static void schema_masks_are_exact_and_never_end_dead(void **state)
{
    (void)state;
    struct ft_vocab *v = vocab();
    struct ft_err err;
    for (size_t i = 0; i < FT_COUNT(schemas); i++) {
        struct ft_grammar *g;
        assert_int_equal(ft_grammar_from_schema(schemas[i], strlen(schemas[i]), &g, &err), 0);
        for (uint64_t seed = 1; seed <= 25; seed++)
            walk(g, v, seed * 100 + i, seed <= 4);
        ft_grammar_unref(g);
    }
    ft_vocab_close(v);
}

static void regex_and_grammar_masks_are_exact(void **state)
{
    (void)state;
    static const char re[] = "\\{\"ab\":[0-9]{1,3}(,\"é[^\"]{0,20}\"){1,4}\\}";
    static const char gbnf[] = "root ::= \"[\" (item (\",\" item){0,5})? \"]\"\n"
                               "item ::= root | \"\\\"\" [^\"\\\\\\n]{0,9} \"\\\"\" | [0-9]+\n";
    struct ft_vocab *v = vocab();
    struct ft_grammar *g;
    struct ft_err err;
    assert_int_equal(ft_grammar_from_regex(re, strlen(re), &g, &err), 0);
    for (uint64_t seed = 1; seed <= 20; seed++)
        walk(g, v, seed, seed <= 4);
    ft_grammar_unref(g);
    assert_int_equal(ft_grammar_from_gbnf(gbnf, strlen(gbnf), &g, &err), 0);
    for (uint64_t seed = 1; seed <= 20; seed++)
        walk(g, v, seed, seed <= 4);
    ft_grammar_unref(g);
    ft_vocab_close(v);
}

static void a_refused_token_changes_nothing(void **state)
{
    (void)state;
    struct ft_vocab *v = vocab();
    struct ft_grammar *g;
    struct ft_matcher *m, *c;
    struct ft_err err;
    assert_int_equal(ft_grammar_json_object(&g, &err), 0);
    assert_int_equal(ft_matcher_open(g, v, &m, &err), 0);
    assert_false(ft_matcher_accept_bytes(m, "{\"a\":1]", 7));
    assert_false(ft_matcher_accept(m, -1));
    assert_false(ft_matcher_accept(m, N_TOKENS));
    assert_false(ft_matcher_accept(m, EOG));
    assert_true(ft_matcher_accept_bytes(m, "{\"a\":[1", 7));
    assert_int_equal(ft_matcher_clone(m, &c, &err), 0);
    assert_true(ft_matcher_accept_bytes(c, "]}", 2));
    assert_true(ft_matcher_may_end(c));
    assert_false(ft_matcher_may_end(m));
    assert_false(ft_matcher_accept_bytes(m, "}", 1));
    assert_true(ft_matcher_accept_bytes(m, ",2]}", 4));
    assert_true(ft_matcher_accept(m, EOG));
    assert_false(ft_matcher_accept_bytes(m, " ", 1));
    ft_matcher_close(m);
    ft_matcher_close(c);
    ft_grammar_unref(g);
    ft_vocab_close(v);
}

static void forced_bytes_are_those_without_a_choice(void **state)
{
    (void)state;
    static const char schema[] = "{\"const\":{\"name\":12}}";
    struct ft_grammar *g;
    struct ft_matcher *m;
    struct ft_err err;
    char out[64];
    assert_int_equal(ft_grammar_from_regex("abc(d|e)fg", 10, &g, &err), 0);
    assert_int_equal(ft_matcher_open(g, NULL, &m, &err), 0);
    assert_int_equal(ft_matcher_forced(m, out, sizeof out), 3);
    assert_memory_equal(out, "abc", 3);
    assert_int_equal(ft_matcher_forced(m, out, 2), 2);
    assert_true(ft_matcher_accept_bytes(m, "abcd", 4));
    assert_int_equal(ft_matcher_forced(m, out, sizeof out), 2);
    assert_true(ft_matcher_accept_bytes(m, "fg", 2));
    assert_int_equal(ft_matcher_forced(m, out, sizeof out), 0);
    ft_matcher_close(m);
    ft_grammar_unref(g);
    assert_int_equal(ft_grammar_from_schema(schema, strlen(schema), &g, &err), 0);
    assert_int_equal(ft_matcher_open(g, NULL, &m, &err), 0);
    assert_int_equal(ft_matcher_forced(m, out, sizeof out),
                     1); /* then a newline would do as well */
    ft_matcher_close(m);
    ft_grammar_unref(g);
}

struct job {
    struct ft_grammar *g;
    const struct ft_vocab *v;
    uint64_t seed;
};

static void *run_walks(void *arg)
{
    struct job *j = arg;
    for (uint64_t i = 0; i < 15; i++)
        walk(j->g, j->v, j->seed + i, false);
    return NULL;
}

static void threads_may_share_a_grammar(void **state)
{
    (void)state;
    struct ft_vocab *v = vocab();
    struct ft_grammar *g;
    struct ft_err err;
    assert_int_equal(ft_grammar_from_schema(schemas[3], strlen(schemas[3]), &g, &err), 0);
    struct job jobs[3] = {{g, v, 1}, {g, v, 100}, {g, v, 200}};
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&t[i], NULL, run_walks, &jobs[i]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    ft_grammar_unref(g);
    ft_vocab_close(v);
}

/* A grammar with very many ways open at once: the request ends, it does not hold up the others. */
static void a_mask_has_a_bound_on_its_work(void **state)
{
    (void)state;
    static const char gbnf[] = "root ::= x*\nx ::= . | . x | . . x x | . x . x .\n";
    enum { LETTERS = 26, N = LETTERS * LETTERS * LETTERS };
    static struct ft_vocab_token t[N];
    static char bytes[3 * N];
    for (int i = 0; i < N; i++) {
        char *p = bytes + (ptrdiff_t)3 * i;
        p[0] = (char)('a' + i % LETTERS);
        p[1] = (char)('a' + i / LETTERS % LETTERS);
        p[2] = (char)('a' + i / LETTERS / LETTERS);
        t[i] = (struct ft_vocab_token){.bytes = p, .n = 3};
    }
    struct ft_vocab *v;
    struct ft_grammar *g;
    struct ft_matcher *m;
    struct ft_err err = {0};
    static uint32_t mask[N / 32 + 1];
    assert_int_equal(ft_vocab_open(t, N, &v, &err), 0);
    assert_int_equal(ft_grammar_from_gbnf(gbnf, strlen(gbnf), &g, &err), 0);
    assert_int_equal(ft_matcher_open(g, v, &m, &err), 0);
    int rc = 0;
    for (int i = 0; i < 20 && rc == 0; i++) {
        rc = ft_matcher_mask(m, mask, &err);
        assert_true(rc != 0 || ft_matcher_accept(m, i));
    }
    assert_int_equal(rc, FT_ELIMIT);
    assert_non_null(strstr(err.msg, "too many ways"));
    assert_int_equal(ft_matcher_mask(m, mask, &err), FT_ELIMIT); /* what was found is not kept */
    ft_matcher_close(m);
    ft_grammar_unref(g);
    ft_vocab_close(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schema_masks_are_exact_and_never_end_dead),
        cmocka_unit_test(regex_and_grammar_masks_are_exact),
        cmocka_unit_test(a_refused_token_changes_nothing),
        cmocka_unit_test(forced_bytes_are_those_without_a_choice),
        cmocka_unit_test(threads_may_share_a_grammar),
        cmocka_unit_test(a_mask_has_a_bound_on_its_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
