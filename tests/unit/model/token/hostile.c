/* Texts and patterns made to be slow; added tokens' settings. Nothing here may hang: the test has a
 * time limit. */
#include <jansson.h>

#include "support.h"

#include "base/buf.h"

#define TEXT_BYTES ((size_t)256 << 10)

/* A byte-level vocabulary of the 256 bytes and some merges of "a" and "-" with this pre-tokenizer.
 */
static struct ft_tokenizer *open_with(json_t *pre, json_t *added, json_t *normalizer)
{
    json_t *vocab = json_object(), *merges = json_array();
    for (int b = 0, k = 0; b < 256; b++) {
        bool plain = (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad);
        uint32_t cp = plain ? (uint32_t)b : 0x100u + (uint32_t)k++;
        char name[3] = {(char)cp, 0, 0};
        if (cp >= 0x80) {
            name[0] = (char)(0xc0 | cp >> 6);
            name[1] = (char)(0x80 | (cp & 0x3f));
        }
        json_object_set_new(vocab, name, json_integer(b));
    }
    char text[65] = "a";
    for (int n = 1, id = 256; n < 64; n *= 2, id++) {
        json_array_append_new(merges, json_pack("[s, s]", text, text));
        memset(text, 'a', (size_t)n * 2);
        json_object_set_new(vocab, text, json_integer(id));
    }
    json_object_set_new(vocab, "--", json_integer(262));
    json_object_set_new(vocab, "a-", json_integer(263));
    json_object_set_new(vocab, "-a", json_integer(264));
    json_array_append_new(merges, json_string("- -")); /* both forms in one list */
    json_array_append_new(merges, json_string("a -"));
    json_array_append_new(merges, json_string("- a"));
    json_t *o = json_pack("{s:o, s:o, s:o, s:{s:o, s:o}}", "added_tokens", added, "pre_tokenizer",
                          pre, "normalizer", normalizer, "model", "vocab", vocab, "merges", merges);
    char *json = json_dumps(o, JSON_COMPACT);
    struct ft_tokenizer *t = NULL;
    struct ft_err err = {0};
    if (ft_tokenizer_open_json(json, strlen(json), NULL, 0, &t, &err) != 0)
        fail_msg("%s", err.msg);
    free(json);
    json_decref(o);
    return t;
}

static json_t *split(const char *pattern)
{
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s, s:b, s:b}]}", "type", "Sequence",
                     "pretokenizers", "type", "Split", "pattern", "Regex", pattern, "behavior",
                     "Isolated", "type", "ByteLevel", "add_prefix_space", 0, "use_regex", 0);
}

static void long_words_are_not_quadratic(void **state)
{
    static const char *const fills[] = {"a", " ",    "0",    "\n", "é",   "字",
                                        "!", "\xff", "\xe5", "aA", " \t", "'"};
    (void)state;
    static char text[TEXT_BYTES + 16];
    for (size_t k = 0; k < FT_COUNT(vocab_names); k++) {
        struct vocab v;
        if (!vocab_open(vocab_names[k], &v))
            skip();
        for (size_t i = 0; i < FT_COUNT(fills); i++) {
            size_t n = 0;
            while (n < TEXT_BYTES)
                n += (size_t)sprintf(text + n, "%s", fills[i]);
            text[n++] = 'x';
            int32_t *ids;
            struct ft_buf out;
            struct ft_err err = {0};
            size_t n_ids = encode(v.t, text, n, 0, &ids);
            ft_buf_init(&out, 2 * TEXT_BYTES);
            assert_int_equal(ft_tokenizer_decode(v.t, ids, n_ids, false, &out, &err), 0);
            assert_int_equal(out.len, n);
            assert_memory_equal(out.data, text, n);
            ft_buf_fini(&out);
            free(ids);
        }
        vocab_close(&v);
    }
}

static void slow_patterns_end_with_an_error(void **state)
{
    static const char *const patterns[] = {"(?:a+)+b",  "a*a*a*a*a*b",    "(a|aa)+$b",
                                           "a++1",      "(?:a|a?)+b",     "(?=(a*)b)",
                                           "(a*)*\\1b", "(?<=a{1,200})b", "(?:(?:a*)*)*b"};
    (void)state;
    char *text = malloc(TEXT_BYTES);
    memset(text, 'a', TEXT_BYTES);
    for (size_t i = 0; i < FT_COUNT(patterns); i++) {
        struct ft_err err = {0};
        json_t *o = json_pack("{s:o, s:{s:{s:i}, s:[]}}", "pre_tokenizer", split(patterns[i]),
                              "model", "vocab", "a", 0, "merges");
        char *json = json_dumps(o, 0);
        struct ft_tokenizer *t = NULL;
        int rc = ft_tokenizer_open_json(json, strlen(json), NULL, 0, &t, &err);
        int32_t *ids = NULL;
        size_t n = 0;
        if (rc == 0)
            rc = ft_tokenizer_encode(t, text, TEXT_BYTES, 0, &ids, &n, &err);
        if (rc == 0) /* harmless after all: then every byte has its token */
            assert_int_equal(n, TEXT_BYTES);
        else if (rc != FT_ELIMIT && rc != FT_EINVAL)
            fail_msg("%s: %s", patterns[i], err.msg);
        free(ids);
        ft_tokenizer_close(t);
        free(json);
        json_decref(o);
    }
    free(text);
}

static void expect_ids(const struct ft_tokenizer *t, const char *text, const char *want)
{
    int32_t *ids;
    char got[512] = "";
    size_t n = encode(t, text, strlen(text), FT_TOK_SPECIAL, &ids), len = 0;
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(got + len, sizeof got - len,
                                ids[i] > 0x20 && ids[i] < 0x7f ? "%s%c" : "%s%d", i == 0 ? "" : " ",
                                ids[i]);
    assert_string_equal(got, want);
    free(ids);
}

static json_t *added(int id, const char *text, const char *flag)
{
    return json_pack("{s:i, s:s, s:b, s:b}", "id", id, "content", text, flag, 1, "special", 1);
}

static void added_tokens_are_leftmost_and_longest_with_their_settings(void **state)
{
    (void)state;
    json_t *list = json_pack("[o, o, o, o, o]", added(300, "<x>", "unused"),
                             added(301, "<x>yz", "unused"), added(302, "<l>", "lstrip"),
                             added(303, "<r>", "rstrip"), added(304, "cat", "single_word"));
    struct ft_tokenizer *t = open_with(split("\\s+"), list, json_null());
    expect_ids(t, "q<x>yz<x>y", "q 301 300 y");
    expect_ids(t, "q  <l>  q", "q 302 32 32 q");
    expect_ids(t, "q  <r>\xe3\x80\x80 q", "q 32 32 303 q");
    expect_ids(t, "cats cat", "c a t s 32 304");
    int32_t *ids;
    assert_int_equal(encode(t, "<x>", 3, 0, &ids), 3); /* control tokens only on request */
    free(ids);
    ft_tokenizer_close(t);
}

static void splits_follow_their_behavior(void **state)
{
    static const struct {
        const char *behavior, *want; /* of "a--a" */
    } cases[] = {{"Isolated", "a - - a"},
                 {"Removed", "a a"},
                 {"Contiguous", "a 262 a"},
                 {"MergedWithPrevious", "263 - a"},
                 {"MergedWithNext", "a - 264"}};
    (void)state;
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        json_t *pre = json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s, s:b, s:b}]}", "type",
                                "Sequence", "pretokenizers", "type", "Split", "pattern", "String",
                                "-", "behavior", cases[i].behavior, "type", "ByteLevel",
                                "add_prefix_space", 0, "use_regex", 0);
        struct ft_tokenizer *t = open_with(pre, json_array(), json_null());
        expect_ids(t, "a--a", cases[i].want);
        ft_tokenizer_close(t);
    }
    /* pieces bound merges: "aa" across a cut stays two */
    struct ft_tokenizer *t = open_with(split("(?<=a)(?=ab)"), json_array(), json_null());
    expect_ids(t, "aab", "a a b");
    ft_tokenizer_close(t);
    t = open_with(split("[^\\s\\S]"), json_array(), json_null());
    expect_ids(t, "aab", "256 b");
    ft_tokenizer_close(t);
}

static void normalizers_apply_to_what_is_valid(void **state)
{
    (void)state;
    struct ft_tokenizer *t = open_with(split("x"), json_array(), json_pack("{s:s}", "type", "NFC"));
    expect_ids(t, "e\xcc\x81", "195 169");
    expect_ids(t,
               "\xff"
               "e\xcc\x81\xcc",
               "255 195 169 204");
    ft_tokenizer_close(t);
    t = open_with(split("x"), json_array(),
                  json_pack("{s:s, s:[{s:s}, {s:s, s:{s:s}, s:s}]}", "type", "Sequence",
                            "normalizers", "type", "Lowercase", "type", "Replace", "pattern",
                            "Regex", "b+", "content", "-"));
    expect_ids(t, "CBBb", "c -");
    ft_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_words_are_not_quadratic),
        cmocka_unit_test(slow_patterns_end_with_an_error),
        cmocka_unit_test(added_tokens_are_leftmost_and_longest_with_their_settings),
        cmocka_unit_test(splits_follow_their_behavior),
        cmocka_unit_test(normalizers_apply_to_what_is_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
