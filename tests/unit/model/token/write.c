/* A GGUF's tokenizer written as tokenizer.json and read again: the same ids for every text. */
#include <jansson.h>

#include "support.h"

#include "model/token/tok_write.h"

static struct ft_tokenizer *written(const struct vocab *v, struct ft_buf *json)
{
    struct ft_tokenizer *t = NULL;
    struct ft_buf config;
    struct ft_err err = {0};
    ft_buf_init(json, FT_TOK_JSON_MAX);
    ft_buf_init(&config, FT_TOK_JSON_MAX);
    if (ft_tokenizer_json_write(v->w, json, &err) != 0 ||
        ft_tokenizer_config_write(v->w, &config, &err) != 0 ||
        ft_tokenizer_open_json(json->data, json->len, config.data, config.len, &t, &err) != 0)
        fail_msg("%s", err.msg);
    ft_buf_fini(&config);
    return t;
}

static void assert_same(const struct vocab *v, const struct ft_tokenizer *t, const char *text,
                        size_t n, const char *name)
{
    for (unsigned flags = 0; flags < 8; flags++) {
        int32_t *x, *y;
        size_t n_x = encode(v->t, text, n, flags, &x), n_y = encode(t, text, n, flags, &y);
        if (n_x != n_y || (n_x > 0 && memcmp(x, y, n_x * sizeof *x) != 0))
            fail_msg("%s, flags %u: other ids for '%.*s'", name, flags, (int)n, text);
        free(x);
        free(y);
    }
}

static void a_written_tokenizer_gives_the_same_ids(void **state)
{
    (void)state;
    for (size_t k = 0; k < FT_COUNT(vocab_names); k++) {
        struct vocab v;
        struct ft_buf json;
        struct ft_err err = {0};
        char file[80], *text = NULL, some[600];
        size_t n;
        if (!vocab_open(vocab_names[k], &v))
            skip();
        struct ft_tokenizer *t = written(&v, &json);
        snprintf(file, sizeof file, "vocab/ggml-vocab-%s.gguf.inp", vocab_names[k]);
        assert_int_equal(ft_file_read(ft_test_ref(file), 1 << 20, &text, &n, &err), 0);
        assert_same(&v, t, text, n, vocab_names[k]);
        free(text);
        for (uint64_t seed = 0; seed < 200; seed++)
            assert_same(&v, t, some, random_text(seed, some, 20 + seed), vocab_names[k]);
        assert_int_equal(ft_tokenizer_bos(v.t), ft_tokenizer_bos(t));
        assert_int_equal(ft_tokenizer_eos(v.t), ft_tokenizer_eos(t));
        for (int32_t id = 0; id < ft_tokenizer_size(t); id++)
            if (ft_tokenizer_is_control(v.t, id) != ft_tokenizer_is_control(t, id))
                fail_msg("%s: token %d is control in one only", vocab_names[k], id);
        ft_tokenizer_close(t);
        ft_buf_fini(&json);
        vocab_close(&v);
    }
}

/* The tokenizers library numbers added tokens outside the vocabulary from its size on. */
static void added_tokens_get_their_ids_by_counting(void **state)
{
    (void)state;
    for (size_t k = 0; k < FT_COUNT(vocab_names); k++) {
        struct vocab v;
        struct ft_buf json;
        if (!vocab_open(vocab_names[k], &v))
            skip();
        ft_tokenizer_close(written(&v, &json));
        json_t *j = json_loadb(json.data, json.len, 0, NULL), *item;
        assert_non_null(j);
        json_t *vocab = json_object_get(json_object_get(j, "model"), "vocab");
        size_t next = json_object_size(vocab), i;
        json_array_foreach(json_object_get(j, "added_tokens"), i, item)
        {
            const char *content = json_string_value(json_object_get(item, "content"));
            json_t *own = json_object_get(vocab, content);
            json_int_t id = own != NULL ? json_integer_value(own) : (json_int_t)next++;
            assert_int_equal(id, json_integer_value(json_object_get(item, "id")));
        }
        json_decref(j);
        ft_buf_fini(&json);
        vocab_close(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_written_tokenizer_gives_the_same_ids),
        cmocka_unit_test(added_tokens_get_their_ids_by_counting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
