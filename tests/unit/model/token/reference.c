/* Every case of the reference vocabularies; exact round trips; streaming against whole decoding. */
#include "support.h"

#include "base/utf8.h"

#define SEPARATOR "\n__ggml_vocab_test__\n"

/* Reads the ids of one line; returns how many, and the next line in *p. */
static size_t line_ids(const char **p, int32_t *ids, size_t max)
{
    size_t n = 0;
    while (**p != '\n' && **p != '\0') {
        char *end;
        long v = strtol(*p, &end, 10);
        if (end == *p)
            break;
        assert_true(n < max);
        ids[n++] = (int32_t)v;
        *p = end;
        while (**p == ' ')
            (*p)++;
    }
    if (**p == '\n')
        (*p)++;
    return n;
}

static char *ref_read(const char *name, const char *suffix)
{
    char file[80];
    char *data = NULL;
    size_t n;
    struct ft_err err = {0};
    snprintf(file, sizeof file, "vocab/ggml-vocab-%s.gguf.%s", name, suffix);
    if (ft_file_read(ft_test_ref(file), 1 << 20, &data, &n, &err) != 0)
        fail_msg("%s: %s", file, err.msg);
    return data;
}

static void reference_ids_are_reproduced(void **state)
{
    (void)state;
    for (size_t k = 0; k < FT_COUNT(vocab_names); k++) {
        struct vocab v;
        if (!vocab_open(vocab_names[k], &v))
            skip();
        char *inp = ref_read(vocab_names[k], "inp"), *out = ref_read(vocab_names[k], "out");
        const char *line = out, *text = inp;
        int n_cases = 0;
        for (const char *end; (end = strstr(text, SEPARATOR)) != NULL; n_cases++) {
            int32_t want[1024], *got;
            size_t n_want = line_ids(&line, want, FT_COUNT(want));
            size_t n = encode(v.t, text, (size_t)(end - text), 0, &got);
            if (n != n_want || (n != 0 && memcmp(got, want, n * sizeof *got) != 0))
                fail_msg("%s: '%.*s'", vocab_names[k], (int)(end - text), text);
            free(got);
            text = end + strlen(SEPARATOR);
        }
        assert_true(n_cases >= 46);
        free(inp);
        free(out);
        vocab_close(&v);
    }
}

static void any_bytes_come_back(void **state)
{
    (void)state;
    for (size_t k = 0; k < FT_COUNT(vocab_names); k++) {
        struct vocab v;
        if (!vocab_open(vocab_names[k], &v))
            skip();
        for (uint64_t seed = 0; seed < 400; seed++) {
            char text[600];
            size_t n = random_text(seed, text, 20 + seed);
            int32_t *ids;
            struct ft_err err = {0};
            struct ft_buf out;
            ft_buf_init(&out, 1 << 20);
            size_t n_ids = encode(v.t, text, n, seed % 8 < 4 ? 0 : FT_TOK_SPECIAL, &ids);
            assert_int_equal(ft_tokenizer_decode(v.t, ids, n_ids, false, &out, &err), 0);
            if (out.len != n || (n != 0 && memcmp(out.data, text, n) != 0))
                fail_msg("%s: seed %d", vocab_names[k], (int)seed);
            free(ids);
            ft_buf_fini(&out);
        }
        vocab_close(&v);
    }
}

/* What Python's bytes.decode("utf-8", "replace") gives, by the definition of maximal subparts. */
static void replace_invalid(const char *p, size_t n, struct ft_buf *out)
{
    for (size_t i = 0; i < n;) {
        int len = ft_utf8_decode(p + i, n - i, NULL);
        if (len > 0) {
            ft_buf_add(out, p + i, (size_t)len);
            i += (size_t)len;
            continue;
        }
        ft_buf_add_str(out, "\xef\xbf\xbd");
        int want = ft_utf8_lead_len((unsigned char)p[i]);
        size_t used = 1;
        if (want > 1 && i + 1 < n &&
            ft_utf8_second_ok((unsigned char)p[i], (unsigned char)p[i + 1]))
            for (used = 2; used < (size_t)want && i + used < n &&
                           ((unsigned char)p[i + used] & 0xc0) == 0x80;)
                used++;
        i += used;
    }
}

static void streaming_equals_whole_decoding(void **state)
{
    (void)state;
    for (size_t k = 0; k < FT_COUNT(vocab_names); k++) {
        struct vocab v;
        if (!vocab_open(vocab_names[k], &v))
            skip();
        int size = ft_tokenizer_size(v.t);
        for (uint64_t seed = 0; seed < 300; seed++) {
            int32_t ids[200];
            int32_t few = (int32_t)(ft_rand_u64(seed, 2, 0) % (uint64_t)size);
            for (size_t i = 0; i < FT_COUNT(ids); i++) {
                uint64_t r = ft_rand_u64(seed, 3, i);
                /* single bytes have low ids: most cut characters come from there */
                ids[i] = (int32_t)((r >> 3) % (uint64_t)(r % 3 == 0   ? size
                                                         : r % 3 == 1 ? 400
                                                                      : few + 1));
            }
            struct ft_buf whole, want, got;
            struct ft_err err = {0};
            struct ft_detok d;
            bool skip_control = seed % 2 == 0;
            ft_buf_init(&whole, 1 << 20);
            ft_buf_init(&want, 1 << 20);
            ft_buf_init(&got, 1 << 20);
            ft_tokenizer_decode(v.t, ids, FT_COUNT(ids), skip_control, &whole, &err);
            replace_invalid(whole.data, whole.len, &want);
            ft_detok_init(&d, v.t, skip_control);
            for (size_t i = 0; i < FT_COUNT(ids); i++) {
                assert_int_equal(ft_detok_push(&d, ids[i], &got), 0);
                assert_true(got.len == 0 || ft_utf8_valid(got.data, got.len));
            }
            assert_int_equal(ft_detok_finish(&d, &got), 0);
            if (got.len != want.len || (got.len != 0 && memcmp(got.data, want.data, got.len) != 0))
                fail_msg("%s: seed %d", vocab_names[k], (int)seed);
            ft_buf_fini(&whole);
            ft_buf_fini(&want);
            ft_buf_fini(&got);
        }
        vocab_close(&v);
    }
}

static void stand_in_bytes_of_deepseek_come_back(void **state)
{
    (void)state;
    struct vocab v;
    if (!vocab_open("deepseek-llm", &v))
        skip();
    int32_t *ids;
    assert_int_equal(encode(v.t, "ü", 2, 0, &ids), 1);
    assert_int_equal(ids[0], 100014);
    free(ids);
    for (int b = 0xc0; b < 0x100; b++)
        for (int before = 0; before < 2; before++) {
            char text[8] = {'\xc2', (char)b, '\xc3', '\xbc'}; /* C2 b "ü" */
            const char *p = text + 1 - before;
            size_t n = 3 + (size_t)before;
            struct ft_buf out;
            struct ft_err err = {0};
            ft_buf_init(&out, 100);
            size_t n_ids = encode(v.t, p, n, 0, &ids);
            assert_int_equal(ft_tokenizer_decode(v.t, ids, n_ids, false, &out, &err), 0);
            assert_int_equal(out.len, n);
            assert_memory_equal(out.data, p, n);
            free(ids);
            ft_buf_fini(&out);
        }
    vocab_close(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_ids_are_reproduced),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(streaming_equals_whole_decoding),
        cmocka_unit_test(stand_in_bytes_of_deepseek_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
