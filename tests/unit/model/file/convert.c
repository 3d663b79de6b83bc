/* Conversion of GGUF files and shapes: the make-up of mixtures, and that what is written can be
 * read. */
#include "testing.h"

#include <math.h>

#include "model/file/convert.h"
#include "model/file/hparams.h"
#include "model/file/quant_mix.h"
#include "model/file/shape.h"
#include "model/file/weights.h"

static char out[64];

static int out_make(void **state)
{
    (void)state;
    strcpy(out, "/tmp/feitian-convert-XXXXXX");
    int fd = mkstemp(out);
    return fd < 0 ? -1 : close(fd);
}

static int out_remove(void **state)
{
    (void)state;
    return unlink(out);
}

static struct ft_weights *opened(const char *path)
{
    struct ft_weights *w;
    struct ft_err err;
    if (path == NULL)
        skip();
    if (ft_weights_open(path, &w, &err) != 0)
        fail_msg("%s", err.msg);
    return w;
}

static struct ft_weights *converted(const char *model, const char *type, bool pure)
{
    char name[96];
    struct ft_err err;
    snprintf(name, sizeof name, "models/%s-F32.gguf", model);
    struct ft_weights *w = opened(ft_test_ref(name));
    struct ft_convert_opts o = {.type = type, .pure = pure, .n_threads = 2};
    if (ft_convert(w, &o, out, &err) != 0)
        fail_msg("%s", err.msg);
    ft_weights_close(w);
    return opened(out);
}

static void mixtures_are_made_up_as_the_reference_files_are(void **state)
{
    (void)state;
    static const struct {
        const char *model, *type;
        bool pure;
    } cases[] = {
        {"llama-k", "Q4_K_M", false},     {"qwen3-k", "Q4_K_M", false},
        {"deepseek2-k", "Q4_K_M", false}, {"deepseek2-k", "Q6_K", true},
        {"deepseek2-k", "Q4_K", true},    {"llama-s", "Q4_0", true},
        {"deepseek2-s", "F16", true},     {"qwen3moe-k", "Q8_0", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ft_weights *ours = converted(cases[i].model, cases[i].type, cases[i].pure);
        char name[96];
        snprintf(name, sizeof name, "models/%s-%s.gguf", cases[i].model, cases[i].type);
        struct ft_weights *theirs = opened(ft_test_ref(name));
        assert_int_equal(ft_weights_count(theirs), ft_weights_count(ours));
        for (int k = 0; k < ft_weights_count(theirs); k++) {
            const struct ft_tensor *t = ft_weights_at(theirs, k),
                                   *o = ft_weights_find(ours, t->name);
            assert_non_null(o);
            if (t->type != o->type)
                fail_msg("%s %s: %s is %s, not %s", cases[i].model, cases[i].type, t->name,
                         ft_type_info(o->type)->name, ft_type_info(t->type)->name);
        }
        uint64_t a, b;
        assert_true(ft_meta_u64(ours, "general.file_type", &a));
        if (ft_meta_u64(theirs, "general.file_type", &b) && !cases[i].pure)
            assert_int_equal(a, b);
        ft_weights_close(ours);
        ft_weights_close(theirs);
    }
}

static void the_output_matrix_gets_more_bits_unless_pure(void **state)
{
    (void)state;
    const struct ft_mix *m = ft_mix_by_name("q4_0");
    int64_t dim[4] = {256, 1000, 1, 1}, odd[4] = {96, 8, 1, 1}, none[4] = {33, 8, 1, 1};
    assert_int_equal(FT_Q6_K, ft_mix_type(m, "output.weight", 2, dim, 8, false, false));
    assert_int_equal(FT_Q4_0, ft_mix_type(m, "token_embd.weight", 2, dim, 8, false, false));
    assert_int_equal(FT_Q6_K, ft_mix_type(m, "token_embd.weight", 2, dim, 8, true, false));
    assert_int_equal(FT_Q4_0, ft_mix_type(m, "token_embd.weight", 2, dim, 8, true, true));
    assert_int_equal(FT_Q8_0, ft_mix_type(m, "output.weight", 2, odd, 8, false, false));
    assert_int_equal(FT_F16, ft_mix_type(m, "blk.0.attn_q.weight", 2, none, 8, false, false));
    assert_int_equal(FT_F32, ft_mix_type(m, "blk.0.attn_q.bias", 1, dim, 8, false, false));
    assert_int_equal(FT_F32, ft_mix_type(m, "blk.0.ffn_gate_inp.weight", 2, dim, 8, false, false));
    assert_null(ft_mix_by_name("Q4_K_XXL"));
}

static void keeping_the_formats_copies_every_byte(void **state)
{
    (void)state;
    struct ft_err err;
    struct ft_weights *w = opened(ft_test_ref("models/qwen3-k-Q4_K_M.gguf"));
    struct ft_convert_opts o = {.n_threads = 1};
    assert_int_equal(0, ft_convert(w, &o, out, &err));
    struct ft_weights *again = opened(out);
    for (int i = 0; i < ft_weights_count(w); i++) {
        const struct ft_tensor *t = ft_weights_at(w, i), *u = ft_weights_find(again, t->name);
        assert_int_equal(t->type, u->type);
        assert_int_equal(t->part_bytes, u->part_bytes);
        assert_memory_equal(t->part[0], u->part[0], t->part_bytes);
    }
    assert_int_equal(ft_meta_count(w), ft_meta_count(again));
    ft_weights_close(w);
    ft_weights_close(again);
    o.type = "Q9";
    w = opened(ft_test_ref("models/qwen3-k-F32.gguf"));
    assert_int_equal(FT_EINVAL, ft_convert(w, &o, out, &err));
    assert_non_null(strstr(err.msg, "Q4_K_M"));
    ft_weights_close(w);
}

static void a_model_is_never_its_own_output(void **state)
{
    (void)state;
    struct ft_err err;
    struct ft_weights *w = converted("llama-s", "Q8_0", false);
    struct ft_convert_opts o = {.type = "Q4_0", .n_threads = 1};
    assert_int_equal(FT_EINVAL, ft_convert(w, &o, out, &err));
    assert_non_null(strstr(err.msg, out));
    ft_weights_close(w);
    w = opened(out);
    assert_int_equal(FT_Q8_0, ft_weights_find(w, "blk.0.attn_q.weight")->type);
    ft_weights_close(w);
}

/* A shape small enough for a test: the table's own take seconds. */
static void a_shape_has_sane_weights_and_a_whole_vocabulary(void **state)
{
    (void)state;
    struct ft_shape s = *ft_shape_by_name("deepseek2-small");
    s.n_layer = 2;
    s.n_vocab = 3000;
    s.n_expert = 8;
    struct ft_weights *w;
    struct ft_hparams h;
    struct ft_err err;
    int fd;
    if (ft_shape_temp(&s, "Q4_K_M", NULL, &fd, &err) != 0)
        fail_msg("%s", err.msg);
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (ft_weights_open(path, &w, &err) != 0 || ft_hparams_read(w, &h, &err) != 0)
        fail_msg("%s", err.msg);
    close(fd);
    assert_int_equal(3000, h.n_vocab);
    assert_int_equal(512, h.kv_lora_rank);
    assert_int_equal(4, h.n_expert_group);
    assert_int_equal(FT_ROPE_YARN, h.rope.scaling);
    struct ft_slice *tokens = calloc(3000, sizeof *tokens);
    assert_true(ft_meta_array_strs(w, "tokenizer.ggml.tokens", tokens, 3000));
    for (int i = 1; i < 3000; i++)
        for (int k = i - 40 < 0 ? 0 : i - 40; k < i; k++)
            assert_false(tokens[i].n == tokens[k].n &&
                         memcmp(tokens[i].p, tokens[k].p, tokens[i].n) == 0);
    free(tokens);
    const struct ft_tensor *t = ft_weights_find(w, "blk.1.ffn_up_exps.weight");
    int64_t n = t->dim[0] * t->dim[1] * t->dim[2];
    float *x = malloc((size_t)n * 4);
    ft_type_info(t->type)->dequantise(t->part[0], x, n);
    double sum = 0, square = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += x[i];
        square += (double)x[i] * x[i];
    }
    free(x);
    assert_true(fabs(sum / (double)n) < 1e-3);
    assert_true(fabs(square / (double)n * 1024 - 1) < 0.03); /* 1 / fan-in */
    ft_weights_close(w);
}

static void every_shape_of_the_list_is_found(void **state)
{
    (void)state;
    char names[256];
    snprintf(names, sizeof names, "%s", ft_shape_names());
    int n = 0;
    for (char *p = strtok(names, " "); p != NULL; p = strtok(NULL, " "), n++)
        assert_non_null(ft_shape_by_name(p));
    assert_int_equal(5, n);
    assert_null(ft_shape_by_name("qwen9"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, out_make, out_remove)
    const struct CMUnitTest tests[] = {
        TEST(mixtures_are_made_up_as_the_reference_files_are),
        TEST(the_output_matrix_gets_more_bits_unless_pure),
        TEST(keeping_the_formats_copies_every_byte),
        TEST(a_model_is_never_its_own_output),
        TEST(a_shape_has_sane_weights_and_a_whole_vocabulary),
        TEST(every_shape_of_the_list_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
