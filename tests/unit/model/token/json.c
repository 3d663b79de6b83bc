/* tokenizer.json: the same ids as the GGUF that it is made from; settings; refusals by name. */
#include <jansson.h>

#include "support.h"

#include "base/buf.h"

#define LLAMA3                                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "                     \
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN2                                                                                      \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| "                          \
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const struct ft_weights *weights; /* of the vocabulary that is being written */
static struct ft_slice *tokens;
static uint64_t *types;
static int64_t n_tokens;

static json_t *byte_level(int use_regex)
{
    return json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "use_regex",
                     use_regex);
}

static json_t *split_by(const char *pattern)
{
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers",
                     "type", "Split", "pattern", "Regex", pattern, "behavior", "Isolated", "invert",
                     0, byte_level(0));
}

static void vocab_read(const struct ft_weights *w)
{
    weights = w;
    n_tokens = ft_meta_array_len(w, "tokenizer.ggml.tokens");
    tokens = calloc((size_t)n_tokens, sizeof *tokens);
    types = calloc((size_t)n_tokens, sizeof *types);
    assert_true(ft_meta_array_strs(w, "tokenizer.ggml.tokens", tokens, n_tokens));
    for (int64_t i = 0; i < n_tokens; i++)
        assert_true(ft_meta_array_u64(w, "tokenizer.ggml.token_type", i, &types[i]));
}

static json_t *vocab_json(void)
{
    json_t *o = json_object();
    for (int64_t i = 0; i < n_tokens; i++)
        if (types[i] == 1 || types[i] == 2 || types[i] == 6) {
            char key[1024];
            snprintf(key, sizeof key, "%.*s", (int)tokens[i].n, tokens[i].p);
            json_object_set_new(o, key, json_integer(i));
        }
    return o;
}

static json_t *added_json(void)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n_tokens; i++)
        if (types[i] >= 2 && types[i] <= 4)
            json_array_append_new(list, json_pack("{s:i, s:o, s:b, s:b}", "id", (int)i, "content",
                                                  json_stringn(tokens[i].p, tokens[i].n),
                                                  "normalized", 0, "special", types[i] != 4));
    return list;
}

/* pairs: as ["a", "b"]; otherwise as "a b". */
static json_t *merges_json(bool pairs)
{
    int64_t n = ft_meta_array_len(weights, "tokenizer.ggml.merges");
    struct ft_slice *m = calloc((size_t)n, sizeof *m);
    json_t *list = json_array();
    assert_true(ft_meta_array_strs(weights, "tokenizer.ggml.merges", m, n));
    for (int64_t i = 0; i < n; i++) {
        const char *space = memchr(m[i].p, ' ', m[i].n);
        size_t left = (size_t)(space - m[i].p);
        json_array_append_new(list, pairs ? json_pack("[o, o]", json_stringn(m[i].p, left),
                                                      json_stringn(space + 1, m[i].n - left - 1))
                                          : json_stringn(m[i].p, m[i].n));
    }
    free(m);
    return list;
}

static struct ft_tokenizer *open_json(json_t *o, int flags)
{
    char *text = json_dumps(o, JSON_COMPACT | flags);
    struct ft_tokenizer *t = NULL;
    struct ft_err err = {0};
    if (ft_tokenizer_open_json(text, strlen(text), NULL, 0, &t, &err) != 0)
        fail_msg("%s", err.msg);
    free(text);
    json_decref(o);
    return t;
}

static void assert_same_ids(const struct ft_tokenizer *a, const struct ft_tokenizer *b,
                            const char *name)
{
    char file[80];
    char *text = NULL;
    size_t n;
    struct ft_err err = {0};
    snprintf(file, sizeof file, "vocab/ggml-vocab-%s.gguf.inp", name);
    assert_int_equal(ft_file_read(ft_test_ref(file), 1 << 20, &text, &n, &err), 0);
    for (unsigned flags = 0; flags <= FT_TOK_SPECIAL; flags++) {
        int32_t *x, *y;
        size_t n_x = encode(a, text, n, flags, &x), n_y = encode(b, text, n, flags, &y);
        if (n_x != n_y || memcmp(x, y, n_x * sizeof *x) != 0)
            fail_msg("%s: other ids", name);
        free(x);
        free(y);
    }
    free(text);
}

static void same_ids_as_gguf(void **state)
{
    static const struct {
        const char *name, *pattern;
    } cases[] = {{"gpt-2", NULL}, {"qwen2", QWEN2}, {"llama-bpe", LLAMA3}};
    (void)state;
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        struct vocab v;
        if (!vocab_open(cases[i].name, &v))
            skip();
        vocab_read(v.w);
        json_t *pre = cases[i].pattern == NULL ? byte_level(1) : split_by(cases[i].pattern);
        json_t *o = json_pack("{s:o, s:o, s:{s:s, s:o, s:o, s:b}}", "added_tokens", added_json(),
                              "pre_tokenizer", pre, "model", "type", "BPE", "vocab", vocab_json(),
                              "merges", merges_json(i % 2 == 0), "ignore_merges",
                              cases[i].pattern != NULL && strcmp(cases[i].pattern, LLAMA3) == 0);
        struct ft_tokenizer *t = open_json(o, i == 1 ? JSON_ENSURE_ASCII : 0);
        assert_int_equal(ft_tokenizer_size(t), n_tokens);
        assert_same_ids(v.t, t, cases[i].name);
        ft_tokenizer_close(t);
        free(tokens);
        free(types);
        vocab_close(&v);
    }
}

/* A vocabulary of characters: <unk>, the byte tokens, U+2581, letters, and a few merges. */
static json_t *chars_model(void)
{
    json_t *vocab = json_pack("{s:i, s:i, s:i}", "<unk>", 0, "<s>", 1, "</s>", 2);
    int id = 3;
    for (int b = 0; b < 256; b++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", b);
        json_object_set_new(vocab, name, json_integer(id++));
    }
    const char *more[] = {"\xe2\x96\x81",
                          "a",
                          "b",
                          "ab",
                          "\xe2\x96\x81"
                          "ab",
                          "\xe2\x96\x81\xe2\x96\x81"};
    for (size_t i = 0; i < FT_COUNT(more); i++)
        json_object_set_new(vocab, more[i], json_integer(id++));
    return json_pack("{s:s, s:o, s:[s, s, s], s:b, s:b, s:s}", "type", "BPE", "vocab", vocab,
                     "merges", "\xe2\x96\x81 \xe2\x96\x81", "a b", "\xe2\x96\x81 ab",
                     "byte_fallback", 1, "fuse_unk", 1, "unk_token", "<unk>");
}

static void assert_ids(const struct ft_tokenizer *t, const char *text, const int32_t *want,
                       size_t n_want, unsigned flags)
{
    int32_t *ids;
    struct ft_buf out;
    struct ft_err err = {0};
    size_t n = encode(t, text, strlen(text), flags, &ids);
    assert_int_equal(n, n_want);
    assert_memory_equal(ids, want, n * sizeof *ids);
    ft_buf_init(&out, 1000);
    if ((flags & FT_TOK_BOS) == 0) {
        assert_int_equal(ft_tokenizer_decode(t, ids, n, false, &out, &err), 0);
        assert_string_equal(out.data, text);
    }
    ft_buf_fini(&out);
    free(ids);
}

static void llama2_form_has_prefix_fallback_and_bos(void **state)
{
    (void)state;
    json_t *o = json_pack(
        "{s:[{s:i, s:s, s:b}, {s:i, s:s, s:b}],"
        " s:{s:s, s:[{s:s, s:s}, {s:s, s:{s:s}, s:s}]},"
        " s:{s:s, s:[{s:{s:s}}, {s:{s:s}}], s:{s:{s:[i]}}}, s:o}",
        "added_tokens", "id", 1, "content", "<s>", "special", 1, "id", 2, "content", "</s>",
        "special", 1, "normalizer", "type", "Sequence", "normalizers", "type", "Prepend", "prepend",
        "\xe2\x96\x81", "type", "Replace", "pattern", "String", " ", "content", "\xe2\x96\x81",
        "post_processor", "type", "TemplateProcessing", "single", "SpecialToken", "id", "<s>",
        "Sequence", "id", "A", "special_tokens", "<s>", "ids", 1, "model", chars_model());
    struct ft_tokenizer *t = open_json(o, 0);
    const int32_t ab = 263, ab_ab[] = {ab, ab}, with_bos[] = {1, ab};
    const int32_t spaces[] = {264, ab, 260}, bytes[] = {259, 3 + 0xc3, 3 + 0xa9};
    const int32_t special[] = {ab, 2, ab};
    assert_ids(t, "ab", &ab, 1, 0);
    assert_ids(t, "ab", with_bos, 2, FT_TOK_BOS);
    assert_ids(t, "ab ab", ab_ab, 2, 0);
    assert_ids(t, "  aba", (const int32_t[]){264, ab, 260}, 3, 0);
    assert_ids(t, "é", bytes, 3, 0);
    assert_ids(t, "ab</s>ab", special, 3, FT_TOK_SPECIAL);
    assert_int_equal(ft_tokenizer_bos(t), 1);
    assert_true(ft_tokenizer_is_eog(t, 2));
    assert_true(ft_tokenizer_is_control(t, 1));
    assert_int_equal(ft_tokenizer_find(t, " ab", 3), ab);
    (void)spaces;
    ft_tokenizer_close(t);
}

static void expect_refused(const char *json, const char *config, const char *word)
{
    struct ft_tokenizer *t = NULL;
    struct ft_err err = {0};
    int rc = ft_tokenizer_open_json(json, strlen(json), config, config == NULL ? 0 : strlen(config),
                                    &t, &err);
    if (rc == 0 || strstr(err.msg, word) == NULL)
        fail_msg("%s: %s", json, rc == 0 ? "accepted" : err.msg);
    assert_null(t);
}

#define BPE(vocab, merges) "\"model\":{\"type\":\"BPE\",\"vocab\":" vocab ",\"merges\":" merges "}"

static void bad_files_are_refused_by_name(void **state)
{
    static const char *const cases[][2] = {
        {"", "'{'"},
        {"[]", "'{'"},
        {"{}", "'model'"},
        {"{\"model\":{\"type\":\"Unigram\"}}", "Unigram"},
        {"{" BPE("{}", "[]") "}", "0 tokens"},
        {"{" BPE("{\"a\":1.5}", "[]") "}", "model.vocab"},
        {"{" BPE("{\"a\":99999999999}", "[]") "}", "too large"},
        {"{" BPE("{\"a\":9999999}", "[]") "}", "9999999"},
        {"{" BPE("{\"a\":-1}", "[]") "}", "model.vocab"},
        {"{" BPE("{\"a\":0,\"b\":1}", "[\"a b\"]") "}", "model.merges[0]"},
        {"{" BPE("{\"a\":0,\"ac\":1}", "[[\"a\",\"c\"]]") "}", "'c'"},
        {"{" BPE("{\"a\":0}", "[\"a\"]") "}", "pair"},
        {"{" BPE("{\"a\":0}", "[[\"a\"]]") "}", "','"},
        {"{" BPE("{\"a\":0}", "[\"a a\"") "}", "bracket"},
        {"{" BPE("{\"\\ud800\":0}", "[]") "}", "escape"},
        {"{\"normalizer\":{\"type\":\"Nmt\"}," BPE("{\"a\":0}", "[]") "}", "Nmt"},
        {"{\"pre_tokenizer\":{\"type\":\"Magic\"}," BPE("{\"a\":0}", "[]") "}", "Magic"},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":"
         "\"Isolated\"}," BPE("{\"a\":0}", "[]") "}",
         "pattern ("},
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"}}," BPE(
             "{\"a\":0}", "[]") "}",
         "set operations"},
        {"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
         "\"id\":\"x\"}}]}," BPE("{\"a\":0}", "[]") "}",
         "'x'"},
        {"{\"added_tokens\":[{\"id\":3}]," BPE("{\"a\":0}", "[]") "}", "added_tokens[0]"},
    };
    (void)state;
    for (size_t i = 0; i < FT_COUNT(cases); i++)
        expect_refused(cases[i][0], NULL, cases[i][1]);
    expect_refused("{" BPE("{\"a\":0}", "[]") "}", "{", "tokenizer_config.json");
}

static void missing_byte_is_an_error_that_names_it(void **state)
{
    (void)state;
    struct ft_err err = {0};
    struct ft_tokenizer *t;
    const char *json =
        "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}," BPE("{\"a\":0}",
                                                                                      "[]") "}";
    assert_int_equal(ft_tokenizer_open_json(json, strlen(json), NULL, 0, &t, &err), 0);
    int32_t *ids = NULL;
    size_t n = 0;
    assert_int_equal(ft_tokenizer_encode(t, "ab", 2, 0, &ids, &n, &err), FT_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "0x62"));
    assert_null(ids);
    ft_tokenizer_close(t);
}

static void config_decides_about_bos_and_eos(void **state)
{
    (void)state;
    struct ft_err err = {0};
    struct ft_tokenizer *t;
    const char *json = "{\"added_tokens\":[{\"id\":1,\"content\":\"<b>\",\"special\":true},"
                       "{\"id\":2,\"content\":\"<e>\",\"special\":true}],"
                       "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}," BPE(
                           "{\"a\":0}", "[]") "}";
    const char *config = "{\"bos_token\":{\"content\":\"<b>\"},\"eos_token\":\"<e>\","
                         "\"add_bos_token\":true,\"add_eos_token\":true}";
    assert_int_equal(ft_tokenizer_open_json(json, strlen(json), config, strlen(config), &t, &err),
                     0);
    assert_ids(t, "a", (const int32_t[]){1, 0, 2}, 3, FT_TOK_BOS | FT_TOK_EOS);
    assert_int_equal(ft_tokenizer_eos(t), 2);
    assert_true(ft_tokenizer_is_eog(t, 2));
    assert_false(ft_tokenizer_is_eog(t, 1));
    ft_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_ids_as_gguf),
        cmocka_unit_test(llama2_form_has_prefix_fallback_and_bos),
        cmocka_unit_test(bad_files_are_refused_by_name),
        cmocka_unit_test(missing_byte_is_an_error_that_names_it),
        cmocka_unit_test(config_decides_about_bos_and_eos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
