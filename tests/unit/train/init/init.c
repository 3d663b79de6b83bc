/* New models: what the folder holds, and what is refused. */
#include "testing.h"

#include <math.h>
#include <sys/stat.h>

#include "base/file.h"
#include "model/file/hparams.h"
#include "train/init/init.h"

#define N_VOCAB 6

static const char tokenizer_json[] =
    "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2},"
    " \"merges\": [\"a b\"]},"
    " \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},"
    " \"added_tokens\": [{\"id\": 3, \"content\": \"<s>\", \"special\": true},"
    " {\"id\": 5, \"content\": \"</s>\", \"special\": true}]}";
static const char tokenizer_config[] = "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}";
static const char chat_template[] = "{% for m in messages %}{{ m.content }}{% endfor %}";

static const struct ft_init_shape tiny = {.arch = "llama",
                                          .n_layer = 2,
                                          .d_model = 64,
                                          .d_ff = 96,
                                          .n_head = 4,
                                          .n_head_kv = 2,
                                          .d_head = 16,
                                          .n_ctx = 128,
                                          .rope_theta = 10000,
                                          .norm_eps = 1e-6};

static char folder[64], path[4][192];

/* "NAME" in the test's folder; up to four at a time. */
static const char *at(const char *name)
{
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void put_file(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/feitian-init-XXXXXX");
    if (mkdtemp(folder) == NULL || mkdir(at("tok"), 0777) != 0)
        return 1;
    put_file("tok/tokenizer.json", tokenizer_json);
    put_file("tok/tokenizer_config.json", tokenizer_config);
    put_file("tok/chat_template.jinja", chat_template);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static struct ft_weights *made(const struct ft_init_shape *s, const char *tokenizer, uint64_t seed,
                               const char *name)
{
    struct ft_err err = {0};
    struct ft_weights *w = NULL;
    if (ft_init_write(s, at(tokenizer), seed, at(name), false, &err) != 0 ||
        ft_weights_open(at(name), &w, &err) != 0)
        fail_msg("%s", err.msg);
    return w;
}

static const float *floats(const struct ft_weights *w, const char *name, int64_t *ret_n)
{
    const struct ft_tensor *t = ft_weights_find(w, name);
    assert_non_null(t);
    assert_int_equal(FT_F32, t->type);
    *ret_n = t->dim[0] * t->dim[1];
    return t->part[0];
}

/* Every value of a tensor. */
static void check_constant(const struct ft_weights *w, const char *name, int64_t n, float value)
{
    int64_t count;
    const float *x = floats(w, name, &count);
    assert_int_equal(n, count);
    for (int64_t i = 0; i < n; i++)
        assert_true(x[i] == value);
}

static void check_normal(const struct ft_weights *w, const char *name, double deviation)
{
    int64_t n;
    const float *x = floats(w, name, &n);
    double sum = 0, squares = 0, most = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
        most = fmax(most, fabs((double)x[i]));
    }
    double mean = sum / (double)n, measured = sqrt(squares / (double)n - mean * mean);
    assert_true(fabs(mean) < 5 * deviation / sqrt((double)n)); /* five standard errors */
    assert_true(fabs(measured / deviation - 1) < 5 / sqrt(2.0 * (double)n));
    assert_true(most > 2 * deviation && most < 6 * deviation);
}

static void check_shape(const struct ft_weights *w, const char *name, int64_t k, int64_t m)
{
    const struct ft_tensor *t = ft_weights_find(w, name);
    assert_non_null(t);
    assert_int_equal(k, t->dim[0]);
    assert_int_equal(m, t->dim[1]);
}

static void test_shape_is_in_the_configuration(void **state)
{
    (void)state;
    struct ft_weights *w = made(&tiny, "tok", 1, "shape");
    struct ft_hparams h;
    struct ft_slice text;
    uint64_t id = 99;
    assert_int_equal(0, ft_hparams_read(w, &h, NULL));
    assert_string_equal("llama", h.arch);
    assert_int_equal(tiny.n_layer, h.n_layer);
    assert_int_equal(tiny.d_model, h.d_model);
    assert_int_equal(tiny.d_ff, h.d_ff);
    assert_int_equal(tiny.n_head, h.n_head);
    assert_int_equal(tiny.n_head_kv, h.n_head_kv);
    assert_int_equal(tiny.d_head, h.d_k);
    assert_int_equal(tiny.d_head, h.rope.n_rot);
    assert_int_equal(tiny.n_ctx, h.n_ctx_train);
    assert_int_equal(N_VOCAB, h.n_vocab);
    assert_true(h.rope.theta == 10000 && fabs(h.norm_eps - 1e-6) < 1e-12);
    assert_true(ft_meta_u64(w, "tokenizer.ggml.bos_token_id", &id) && id == 3);
    assert_true(ft_meta_u64(w, "tokenizer.ggml.eos_token_id", &id) && id == 5);
    assert_true(ft_meta_str(w, "tokenizer.chat_template", &text));
    assert_int_equal(strlen(chat_template), text.n);
    ft_weights_close(w);
}

static void test_each_architecture_has_its_tensors(void **state)
{
    (void)state;
    const struct {
        const char *arch;
        int per_layer;
    } archs[] = {{"llama", 9}, {"qwen2", 12}, {"qwen3", 11}};
    for (size_t i = 0; i < FT_COUNT(archs); i++) {
        for (int tied = 0; tied < 2; tied++) {
            struct ft_init_shape s = tiny;
            char name[32];
            snprintf(name, sizeof name, "%s-%d", archs[i].arch, tied);
            s.arch = archs[i].arch;
            s.tied = tied;
            struct ft_weights *w = made(&s, "tok", 1, name);
            assert_int_equal(2 * archs[i].per_layer + 3 - tied, ft_weights_count(w));
            check_shape(w, "token_embd.weight", 64, N_VOCAB);
            if (!tied)
                check_shape(w, "output.weight", 64, N_VOCAB);
            check_shape(w, "blk.1.attn_q.weight", 64, 64);
            check_shape(w, "blk.1.attn_k.weight", 64, 32);
            check_shape(w, "blk.1.attn_v.weight", 64, 32);
            check_shape(w, "blk.1.attn_output.weight", 64, 64);
            check_shape(w, "blk.1.ffn_gate.weight", 64, 96);
            check_shape(w, "blk.1.ffn_up.weight", 64, 96);
            check_shape(w, "blk.1.ffn_down.weight", 96, 64);
            ft_weights_close(w);
        }
    }
}

static void test_values_are_drawn_as_promised(void **state)
{
    (void)state;
    struct ft_init_shape s = tiny;
    s.arch = "qwen2";
    struct ft_weights *w = made(&s, "tok", 7, "values");
    check_normal(w, "blk.0.attn_q.weight", 0.02);
    check_normal(w, "blk.1.ffn_gate.weight", 0.02);
    check_normal(w, "token_embd.weight", 0.02);
    check_normal(w, "blk.0.attn_output.weight", 0.02 / 2); /* sqrt(2 layers * 2) */
    check_normal(w, "blk.1.ffn_down.weight", 0.02 / 2);
    check_constant(w, "output_norm.weight", 64, 1);
    check_constant(w, "blk.0.attn_norm.weight", 64, 1);
    check_constant(w, "blk.1.ffn_norm.weight", 64, 1);
    check_constant(w, "blk.1.attn_q.bias", 64, 0);
    check_constant(w, "blk.1.attn_k.bias", 32, 0);
    ft_weights_close(w);
    s.arch = "qwen3";
    w = made(&s, "tok", 7, "values3");
    check_constant(w, "blk.1.attn_k_norm.weight", 16, 1);
    ft_weights_close(w);
}

static bool same_file(const char *a, const char *b)
{
    char *x, *y;
    size_t n, m;
    assert_int_equal(0, ft_file_read(at(a), SIZE_MAX / 2, &x, &n, NULL));
    assert_int_equal(0, ft_file_read(at(b), SIZE_MAX / 2, &y, &m, NULL));
    bool same = n == m && memcmp(x, y, n) == 0;
    free(x);
    free(y);
    return same;
}

static void test_seed_decides_every_byte(void **state)
{
    (void)state;
    ft_weights_close(made(&tiny, "tok", 3, "s3"));
    ft_weights_close(made(&tiny, "tok", 3, "s3-again"));
    ft_weights_close(made(&tiny, "tok", 4, "s4"));
    assert_true(same_file("s3/model.safetensors", "s3-again/model.safetensors"));
    assert_true(same_file("s3/config.json", "s3-again/config.json"));
    assert_false(same_file("s3/model.safetensors", "s4/model.safetensors"));
    /* and no two tensors are the same draws */
    struct ft_weights *w = NULL;
    int64_t n;
    assert_int_equal(0, ft_weights_open(at("s3"), &w, NULL));
    const float *a = floats(w, "blk.0.attn_q.weight", &n),
                *b = floats(w, "blk.1.attn_q.weight", &n);
    assert_true(memcmp(a, b, (size_t)n * sizeof *a) != 0);
    ft_weights_close(w);
}

static void test_tokenizer_files_come_along(void **state)
{
    (void)state;
    ft_weights_close(made(&tiny, "tok", 1, "whole"));
    assert_true(same_file("tok/tokenizer.json", "whole/tokenizer.json"));
    assert_true(same_file("tok/tokenizer_config.json", "whole/tokenizer_config.json"));
    assert_true(same_file("tok/chat_template.jinja", "whole/chat_template.jinja"));
    struct ft_weights *w = made(&tiny, "tok/tokenizer.json", 1, "alone");
    assert_true(same_file("tok/tokenizer.json", "alone/tokenizer.json"));
    assert_int_not_equal(0, access(at("alone/chat_template.jinja"), F_OK));
    check_shape(w, "token_embd.weight", 64, N_VOCAB);
    ft_weights_close(w);
}

static void check_refused(const struct ft_init_shape *s, const char *says)
{
    struct ft_err err = {0};
    assert_int_equal(FT_EINVAL, ft_init_write(s, at("tok"), 1, at("bad"), false, &err));
    if (strncmp(err.msg, says, strlen(says)) != 0)
        fail_msg("'%s' does not begin with '%s'", err.msg, says);
    assert_int_not_equal(0, access(at("bad"), F_OK));
}

static void test_bad_shapes_name_their_field(void **state)
{
    (void)state;
#define REFUSED(field, bad, says)                                                                  \
    do {                                                                                           \
        struct ft_init_shape s = tiny;                                                             \
        s.field = bad;                                                                             \
        check_refused(&s, says);                                                                   \
    } while (0)
    REFUSED(arch, "gpt2", "arch: 'gpt2'");
    REFUSED(arch, NULL, "arch: ''");
    REFUSED(n_layer, 0, "n_layer: 0 ");
    REFUSED(n_layer, 1025, "n_layer: 1025 ");
    REFUSED(d_model, 0, "d_model: ");
    REFUSED(d_model, INT32_MAX, "d_model: ");
    REFUSED(d_ff, -1, "d_ff: ");
    REFUSED(d_ff, INT32_MAX, "d_ff: ");
    REFUSED(n_head, 0, "n_head: ");
    REFUSED(n_head, 4097, "n_head: ");
    REFUSED(n_head_kv, 0, "n_head_kv: ");
    REFUSED(n_head_kv, 3, "n_head_kv: 3 does not divide n_head, 4");
    REFUSED(n_head_kv, 8, "n_head_kv: 8 does not divide n_head, 4");
    REFUSED(d_head, 0, "d_head: ");
    REFUSED(d_head, 15, "d_head: 15 is odd");
    REFUSED(d_head, FT_INIT_DIM_MAX, "d_head: 4 heads");
    REFUSED(n_ctx, 0, "n_ctx: ");
    REFUSED(n_ctx, INT32_MAX, "n_ctx: ");
    REFUSED(rope_theta, 0, "rope_theta: ");
    REFUSED(rope_theta, NAN, "rope_theta: ");
    REFUSED(norm_eps, 0, "norm_eps: ");
    REFUSED(norm_eps, 1, "norm_eps: ");
#undef REFUSED
    struct ft_init_shape huge = tiny; /* each within its bounds, together too much */
    huge.n_layer = FT_LAYERS_MAX;
    huge.d_model = huge.d_ff = FT_INIT_DIM_MAX;
    check_refused(&huge, "n_layer: the shape has ");
}

static void check_failed(const char *tokenizer, const char *name, enum ft_code code,
                         const char *says)
{
    struct ft_err err = {0};
    assert_int_equal(code, ft_init_write(&tiny, at(tokenizer), 1, at(name), false, &err));
    if (strstr(err.msg, says) == NULL)
        fail_msg("'%s' does not say '%s'", err.msg, says);
}

static void test_bad_tokenizers_and_places_are_refused(void **state)
{
    (void)state;
    check_failed("none", "bad", FT_ENOTFOUND, "tokenizer ");
    mkdir(at("empty"), 0777);
    check_failed("empty", "bad", FT_ENOTFOUND, "tokenizer.json");
    put_file("half.json", "{\"model\": {\"type\": \"BPE\"");
    check_failed("half.json", "bad", FT_EINVAL, "half.json");
    assert_int_not_equal(0, access(at("bad"), F_OK));
    mkdir(at("full"), 0777);
    put_file("full/precious", "x");
    check_failed("tok", "full", FT_EEXIST, "full");
    assert_int_equal(0, access(at("full/precious"), F_OK));
    assert_int_equal(0, ft_init_write(&tiny, at("tok"), 1, at("full"), true, NULL));
    assert_int_not_equal(0, access(at("full/precious"), F_OK));
    assert_int_equal(0, access(at("full/model.safetensors"), F_OK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape_is_in_the_configuration),
        cmocka_unit_test(test_each_architecture_has_its_tensors),
        cmocka_unit_test(test_values_are_drawn_as_promised),
        cmocka_unit_test(test_seed_decides_every_byte),
        cmocka_unit_test(test_tokenizer_files_come_along),
        cmocka_unit_test(test_bad_shapes_name_their_field),
        cmocka_unit_test(test_bad_tokenizers_and_places_are_refused),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
