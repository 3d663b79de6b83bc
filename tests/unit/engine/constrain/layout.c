/* Layouts: ways that are open at once, cuts, bare strings, control tokens; masks that say exactly
 * what is accepted, in JSON inside of a layout too. */
#include "texts.h"

#include "base/rand.h"

/* A call among free text, as models write it; or an object. */
#define MARK "<call>"
#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"properties\":{\"to\":{\"enum\":[\"Rome\",\"Oslo\"]},\"1\":{\"type\":"  \
    "\"string\"}},\"required\":[\"to\"],\"additionalProperties\":false}"
#define TEXT(s)                                                                                    \
    {                                                                                              \
        (s), sizeof(s) - 1                                                                         \
    }

#define LONG "forty characters are in this one, nearly"

static const struct ft_layout_node lazy[] = {
    {.op = FT_LAYOUT_FORK, .next = 1, .other = 2},
    {.op = FT_LAYOUT_ANY, .next = 0},
    {.op = FT_LAYOUT_FORK, .next = 3, .other = 4},
    {.op = FT_LAYOUT_TEXT, .text = TEXT(MARK), .next = 5},
    {.op = FT_LAYOUT_END},
    {.op = FT_LAYOUT_CUT, .next = 6},
    {.op = FT_LAYOUT_SCHEMA, .text = TEXT(SCHEMA), .next = 7},
    {.op = FT_LAYOUT_TEXT, .text = TEXT("</call>"), .next = 0},
};

static const struct ft_layout_node either[] = {
    {.op = FT_LAYOUT_FORK, .next = 1, .other = 5},
    {.op = FT_LAYOUT_TEXT, .text = TEXT(MARK), .next = 2},
    {.op = FT_LAYOUT_CUT, .next = 3},
    {.op = FT_LAYOUT_SCHEMA, .text = TEXT("{\"type\":\"integer\"}"), .next = 4},
    {.op = FT_LAYOUT_TEXT, .text = TEXT("</call>"), .next = 6},
    {.op = FT_LAYOUT_SCHEMA, .text = TEXT(SCHEMA), .next = 6},
    {.op = FT_LAYOUT_END},
};

/* <p>bare string</p>, where the string is short and never ends the tag */
static const struct ft_layout_node bare[] = {
    {.op = FT_LAYOUT_TEXT, .text = TEXT("<p>"), .next = 1},
    {.op = FT_LAYOUT_STRING,
     .text = TEXT("{\"type\":\"string\",\"minLength\":2,\"maxLength\":9}"),
     .without = TEXT("</p>"),
     .next = 2},
    {.op = FT_LAYOUT_TEXT, .text = TEXT("</p>"), .next = 3},
    {.op = FT_LAYOUT_END},
};

/* the same, so long that tokens seldom meet the bound; and with a pattern */
static const struct ft_layout_node long_bare[] = {
    {.op = FT_LAYOUT_STRING,
     .text = TEXT("{\"type\":\"string\",\"minLength\":3,\"maxLength\":70}"),
     .without = TEXT("</p>"),
     .next = 1},
    {.op = FT_LAYOUT_TEXT, .text = TEXT("</p>"), .next = 2},
    {.op = FT_LAYOUT_STRING,
     .text = TEXT("{\"pattern\":\"^[a-z<1 ]*$\",\"type\":\"string\"}"),
     .next = 3},
    {.op = FT_LAYOUT_END},
};

/* JSON in which no string and no key has the tag that ends it */
static const struct ft_layout_node json[] = {
    {.op = FT_LAYOUT_SCHEMA,
     .text =
         TEXT("{\"type\":\"object\",\"additionalProperties\":{\"anyOf\":[{\"type\":\"string\"},{"
              "\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"string\","
              "\"maxLength\":12}}]}}"),
     .without = TEXT("</p>"),
     .next = 1},
    {.op = FT_LAYOUT_TEXT, .text = TEXT("</p>"), .next = 2},
    {.op = FT_LAYOUT_END},
};
static const struct ft_layout_node json_string[] = {
    {.op = FT_LAYOUT_SCHEMA,
     .text = TEXT("{\"type\":\"string\"}"),
     .without = TEXT("<<p>"),
     .next = 1},
    {.op = FT_LAYOUT_TEXT, .text = TEXT("<<p>"), .next = 2},
    {.op = FT_LAYOUT_END},
};

#define LAYOUT(nodes)                                                                              \
    &(struct ft_layout)                                                                            \
    {                                                                                              \
        nodes, FT_COUNT(nodes), 0, true                                                            \
    }

static struct ft_grammar *grammar(const struct ft_layout *p)
{
    struct ft_grammar *g = NULL;
    struct ft_err err = {0};
    int at;
    if (ft_grammar_from_layout(p, &at, &g, &err) != 0)
        fail_msg("node %d: %s", at, err.msg);
    return g;
}

/* Takes text: how many bytes of it; *ret_end: whether it is a whole one then. */
static size_t taken(const struct ft_layout *p, const char *text, bool *ret_end)
{
    struct ft_grammar *g = grammar(p);
    struct ft_matcher *m;
    struct ft_err err;
    size_t n = 0;
    assert_int_equal(ft_matcher_open(g, NULL, &m, &err), 0);
    while (n < strlen(text) && ft_matcher_accept_bytes(m, text + n, 1))
        n++;
    *ret_end = ft_matcher_may_end(m);
    ft_matcher_close(m);
    ft_grammar_unref(g);
    return n;
}

static void takes(const struct ft_layout *p, const char *text)
{
    bool end;
    size_t n = taken(p, text, &end);
    if (n < strlen(text) || !end)
        fail_msg("%s: %zu bytes taken, end %d", text, n, end);
}

static void refuses(const struct ft_layout *p, const char *text, size_t at)
{
    bool end;
    size_t n = taken(p, text, &end);
    if (n != at || (n == strlen(text) && end))
        fail_msg("%s: %zu bytes taken, not %zu, end %d", text, n, at, end);
}

static void free_text_until_a_mark(void **state)
{
    (void)state;
    const struct ft_layout *p = LAYOUT(lazy);
    takes(p, "");
    takes(p, "any <text> {\"to\": 1} \xff <call");
    takes(p, "so: <call>{\"to\": \"Rome\"}</call> done <<call>{\"to\":\"Oslo\"}</call>");
    refuses(p, "a<call>{\"to\": \"Paris\"}", 15);
    refuses(p, "a<call>x", 7);
    refuses(p, "a<call>{\"to\": \"Rome\"}", 21); /* a call that has begun is made whole */
    refuses(p, "a<call>{\"to\": \"Rome\"}<call>", 22);
}

static void one_way_or_the_other(void **state)
{
    (void)state;
    const struct ft_layout *p = LAYOUT(either);
    takes(p, "<call>12</call>");
    takes(p, "{\"to\": \"Oslo\"}");
    takes(p, "{\"1\": \"so\", \"to\": \"Oslo\"}");
    refuses(p, "", 0);
    refuses(p, "<call>{\"to\"", 6);
    refuses(p, "12", 0);
    refuses(p, "{\"to\": \"Oslo\"}<call>", 14);
}

static void bare_strings(void **state)
{
    (void)state;
    const struct ft_layout *p = LAYOUT(bare);
    takes(p, "<p>a\"\\\n</p>");
    takes(p, "<p>\xc3\xa9\xc3\xa9</p>");
    refuses(p, "<p>a</p>", 7); /* too short for the end, and no string has the end in it */
    refuses(p, "<p>1234567890", 12);
    refuses(p, "<p>\xff", 3);
    p = LAYOUT(long_bare);
    takes(p, LONG "</p>");
    takes(p, LONG " and a few more</p>abc");
    refuses(p, LONG LONG, 70);
    refuses(p, "a</p>", 4);
    refuses(p, "abc</p>A", 7);
}

static void ways_that_lead_nowhere(void **state)
{
    (void)state;
    struct ft_layout_node n[] = {
        {.op = FT_LAYOUT_FORK, .next = 1, .other = 2},
        {.op = FT_LAYOUT_SCHEMA, .text = TEXT("false"), .next = 3, .maybe = true},
        {.op = FT_LAYOUT_TEXT, .text = TEXT("x"), .next = 3},
        {.op = FT_LAYOUT_END},
    };
    const struct ft_layout p = {n, FT_COUNT(n), 0, false};
    takes(&p, "x");
    struct ft_grammar *g = NULL;
    struct ft_err err = {0};
    int at;
    n[1].maybe = false;
    assert_int_equal(ft_grammar_from_layout(&p, &at, &g, &err), FT_EUNSUPPORTED);
    assert_int_equal(at, 1);
    n[1].maybe = true;
    n[2].next = 2; /* a loop without an end */
    assert_int_equal(ft_grammar_from_layout(&p, &at, &g, &err), FT_EUNSUPPORTED);
    assert_int_equal(at, -1);
    n[2].next = 4;
    assert_int_equal(ft_grammar_from_layout(&p, &at, &g, &err), FT_EINVAL);
}

/* ---- tokens ---- */

static const struct ft_vocab_token tokens[] = {
    {"<call>", 6, false, true}, /* control */
    {"<call>{", 7, false, false}, {"<ca", 3, false, false},
    {"ll>", 3, false, false},     {"ll>x", 4, false, false},
    {"", 0, true, false},         {"<bos>", 5, false, true},
    {"{\"", 2, false, false},     {"to", 2, false, false},
    {"Rome", 4, false, false},    {"\": \"", 4, false, false},
    {"\"}", 2, false, false},     {"\"}</call>", 9, false, false},
    {"</", 2, false, false},      {"call>", 5, false, false},
    {"1", 1, false, false},       {"23", 2, false, false},
    {"\"}</", 4, false, false},   {"\"}<p", 4, false, false},
    {"Oslo", 4, false, false},    {"aRome", 5, false, false},
    {"p>", 2, false, false},      {"\", \"", 4, false, false},
    {"<p>", 3, false, false},     {"\n", 1, false, false},
    {"</p>", 4, false, false},    {LONG, sizeof LONG - 1, false, false},
    {"\xc3", 1, false, false},    {"\xa9", 1, false, false},
    {"\"", 1, false, false},      {"p>\"", 3, false, false},
    {"</p>\"", 5, false, false},  {"a</p>b", 6, false, false},
    {"\"}</p>", 6, false, false}, {"<p>\"<<p>", 8, false, false},
    {"\": [\"", 5, false, false}, {"\"]}</p>", 7, false, false},
    {"\"</p>", 5, false, false},  {"\\", 1, false, false},
    {"<", 1, false, false},       {"\"<<p>", 5, false, false},
};
enum { CONTROL, CONTROL_BRACE, HALF, REST, REST_X, EOG, BOS };

static bool bit(const uint32_t *mask, size_t i)
{
    return mask[i / 32] >> i % 32 & 1;
}

/* Every token that the mask allows is accepted by a copy, and no other; returns how many. */
static int check_mask(struct ft_matcher *m, uint32_t *mask)
{
    struct ft_err err;
    int n = 0;
    assert_int_equal(ft_matcher_mask(m, mask, &err), 0);
    for (size_t i = 0; i < FT_COUNT(tokens); i++) {
        struct ft_matcher *c;
        assert_int_equal(ft_matcher_clone(m, &c, &err), 0);
        bool ok = ft_matcher_accept(c, (int32_t)i);
        if (ok && tokens[i].bytes[0] == 'f') /* a long one may be left out where it fits */
            ok = bit(mask, i);
        if (ok != bit(mask, i))
            fail_msg("token %zu: mask %d, accept %d", i, bit(mask, i), ok);
        n += ok;
        ft_matcher_close(c);
    }
    return n;
}

static void masks_are_exact(void **state)
{
    (void)state;
    const struct ft_layout *const layouts[] = {LAYOUT(lazy), LAYOUT(either),
                                               LAYOUT(bare), LAYOUT(long_bare),
                                               LAYOUT(json), LAYOUT(json_string)};
    struct ft_vocab *v;
    struct ft_err err;
    assert_int_equal(ft_vocab_open(tokens, FT_COUNT(tokens), &v, &err), 0);
    for (size_t k = 0; k < FT_COUNT(layouts); k++) {
        struct ft_grammar *g = grammar(layouts[k]);
        for (uint64_t seed = 0; seed < 40; seed++) {
            struct ft_matcher *m;
            uint32_t mask[(FT_COUNT(tokens) + 31) / 32];
            assert_int_equal(ft_matcher_open(g, v, &m, &err), 0);
            for (uint64_t step = 0; step < 60; step++) {
                int n = check_mask(m, mask);
                if (n == 0)
                    break;
                uint64_t pick = ft_rand_u64(seed, k, step) % (uint64_t)n;
                for (size_t i = 0; i < FT_COUNT(tokens); i++)
                    if (bit(mask, i) && pick-- == 0)
                        assert_true(ft_matcher_accept(m, (int32_t)i));
            }
            ft_matcher_close(m);
        }
        ft_grammar_unref(g);
    }
    ft_vocab_close(v);
}

static void free_places_and_control_tokens(void **state)
{
    (void)state;
    struct ft_layout p = *LAYOUT(lazy);
    struct ft_vocab *v;
    struct ft_err err;
    assert_int_equal(ft_vocab_open(tokens, FT_COUNT(tokens), &v, &err), 0);
    for (int control = 0; control < 2; control++) {
        p.control = control == 1;
        struct ft_grammar *g = grammar(&p);
        struct ft_matcher *m;
        assert_int_equal(ft_matcher_open(g, v, &m, &err), 0);
        assert_true(ft_matcher_is_free(m) && ft_matcher_accept(m, BOS));
        assert_true(ft_matcher_is_free(m) && ft_matcher_accept(m, HALF));
        assert_true(ft_matcher_is_free(m)); /* a mark that is not whole binds nothing */
        assert_false(ft_matcher_accept(m, REST_X));
        assert_true(ft_matcher_accept(m, CONTROL));
        /* its text is the mark, if control tokens have one */
        assert_int_equal(ft_matcher_is_free(m), control == 0);
        assert_int_equal(ft_matcher_accept(m, EOG), control == 0);
        ft_matcher_close(m);
        assert_int_equal(ft_matcher_open(g, v, &m, &err), 0);
        assert_true(ft_matcher_accept(m, HALF) && ft_matcher_accept(m, REST));
        assert_false(ft_matcher_is_free(m) || ft_matcher_accept(m, BOS));
        ft_matcher_close(m);
        ft_grammar_unref(g);
    }
    ft_vocab_close(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(free_text_until_a_mark), cmocka_unit_test(one_way_or_the_other),
        cmocka_unit_test(bare_strings),           cmocka_unit_test(ways_that_lead_nowhere),
        cmocka_unit_test(masks_are_exact),        cmocka_unit_test(free_places_and_control_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
