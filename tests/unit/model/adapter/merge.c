/* Whole models with other weights in the place of their own, as a trainer of all weights writes
 * them: as GGUF and as a folder, exactly. */
#include <stdatomic.h>

#include "folder.h"

#include "model/adapter/merge.h"

static char out[96];

static bool all_change(void *ctx, const struct ft_tensor *t)
{
    const char *except = ctx;
    return strcmp(t->name, except) != 0;
}

/* Of every value another one, which says which it was. */
static void twice(void *ctx, const struct ft_tensor *t, int64_t at, int64_t n, float *y)
{
    (void)ctx;
    const float *x = t->part[0];
    for (int64_t i = 0; i < n; i++) {
        assert_true(y[i] == x[at + i]); /* as the source has them */
        y[i] = 2 * y[i] + 1;
    }
}

static struct ft_weights *opened(const char *path)
{
    struct ft_weights *w = NULL;
    struct ft_err err = {0};
    if (ft_weights_open(path, &w, &err) != 0)
        fail_msg("%s", err.msg);
    return w;
}

static void is_twice(const struct ft_weights *base, const struct ft_weights *w, const char *except)
{
    assert_int_equal(ft_weights_count(base), ft_weights_count(w));
    for (int i = 0; i < ft_weights_count(base); i++) {
        const struct ft_tensor *t = ft_weights_at(base, i), *u = ft_weights_find(w, t->name);
        assert_non_null(u);
        assert_int_equal(FT_F32, u->type);
        assert_memory_equal(t->dim, u->dim, sizeof t->dim);
        const float *x = t->part[0], *y = u->part[0];
        bool is_changed = strcmp(t->name, except) != 0;
        for (int64_t k = 0; k < ft_tensor_elements(t); k++)
            if (y[k] != (is_changed ? 2 * x[k] + 1 : x[k]))
                fail_msg("%s: element %lld", t->name, (long long)k);
    }
}

static void test_weights_are_replaced(void **state)
{
    (void)state;
    static const char *const models[] = {"models/llama-s-F32.gguf", "models/qwen2-s-F32.gguf",
                                         "models/qwen3-s-F32.gguf", "models/qwen3moe-s-F32.gguf"};
    static char except[] = "blk.0.attn_k.weight";
    struct ft_edit edit = {all_change, twice, except};
    struct ft_convert_opts o = {.edit = &edit, .n_threads = 2}, plain = {.n_threads = 1};
    struct ft_err err = {0};
    char command[160];
    for (size_t i = 0; i < FT_COUNT(models); i++) {
        struct ft_weights *base = base_open(models[i]);
        snprintf(out, sizeof out, "%s/out.gguf", folder);
        if (ft_merge_gguf(base, NULL, &o, out, &err) != 0)
            fail_msg("%s", err.msg);
        struct ft_weights *w = opened(out);
        is_twice(base, w, except);
        ft_weights_close(w);
        snprintf(out, sizeof out, "%s/out", folder);
        if (ft_merge_folder(base, NULL, &o, 100000, out, &err) != 0)
            fail_msg("%s", err.msg);
        struct ft_weights *f = opened(out);
        snprintf(out, sizeof out, "%s/back.gguf", folder);
        if (ft_merge_gguf(f, NULL, &plain, out, &err) != 0)
            fail_msg("%s", err.msg);
        w = opened(out);
        is_twice(base, w, except);
        ft_weights_close(w);
        ft_weights_close(f);
        ft_weights_close(base);
        snprintf(command, sizeof command, "rm -r '%s/out'", folder);
        assert_int_equal(0, system(command));
    }
}

static void test_an_interrupt_leaves_nothing(void **state)
{
    (void)state;
    static const atomic_int stop = 1;
    struct ft_convert_opts o = {.interrupt = &stop};
    struct ft_weights *base = base_open("models/llama-s-F32.gguf");
    struct ft_err err;
    char command[160];
    snprintf(command, sizeof command, "rm -f '%s'/*", folder);
    assert_int_equal(0, system(command));
    snprintf(out, sizeof out, "%s/out", folder);
    assert_int_equal(FT_ECANCELED, ft_merge_folder(base, NULL, &o, 0, out, &err));
    assert_int_equal(FT_ECANCELED, ft_merge_gguf(base, NULL, &o, out, &err));
    assert_int_equal(0, rmdir(folder)); /* it is empty */
    assert_int_equal(0, mkdir(folder, 0700));
    ft_weights_close(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_are_replaced),
        cmocka_unit_test(test_an_interrupt_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
