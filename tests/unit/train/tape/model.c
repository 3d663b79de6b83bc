/* Whole models on the training device: logits against the independent forward pass of the reference
 * data, gradients against finite differences on the reference device, packing, recomputation,
 * threads, LoRA against full training. */
#include "testing.h"

#include <math.h>
#include <sys/mman.h>

#include "base/rand.h"
#include "engine/ref/ref.h"
#include "train/tape/tape.h"

#define ROWS 40

struct rig {
    struct ft_weights *file;
    struct ft_dev *dev;
    struct ft_model *m;
    struct ft_kv *kv;
    int32_t token[ROWS], pos[ROWS], out_row[ROWS], target[ROWS], block[3];
    struct ft_seg seg[3];
    struct ft_batch b;
    float coef[ROWS], logprob[ROWS];
};

/* Three documents in one batch; most positions have a target. */
static void rig_batch(struct rig *r)
{
    static const int len[3] = {17, 1, 22};
    int at = 0;
    for (int s = 0; s < 3; s++) {
        r->block[s] = s;
        r->seg[s] = (struct ft_seg){.row = at, .n = len[s], .block = &r->block[s], .state = -1};
        for (int i = 0; i < len[s]; i++, at++)
            r->pos[at] = i;
    }
    int n_out = 0;
    for (int i = 0; i < ROWS; i++) {
        r->token[i] = (int32_t)(ft_rand_u64(3, 0, (uint64_t)i) % 300);
        if (i % 5 != 3) {
            r->coef[n_out] = -0.1f + 0.01f * (float)(i % 3);
            r->target[n_out] = (int32_t)(ft_rand_u64(3, 1, (uint64_t)i) % 300);
            r->out_row[n_out++] = i;
        }
    }
    r->b = (struct ft_batch){.n_rows = ROWS,
                             .token = r->token,
                             .pos = r->pos,
                             .n_segs = 3,
                             .seg = r->seg,
                             .n_out = n_out,
                             .out_row = r->out_row};
}

static void rig_model(struct rig *r, const char *path)
{
    struct ft_err err;
    struct ft_model_config mc = {.max_rows = ROWS};
    assert_int_equal(ft_weights_open(path, &r->file, &err), 0);
    if (ft_model_open(r->dev, r->file, &mc, &r->m, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(ft_dev_kv_open(r->dev, &r->m->kv_shape, 3, 0, &r->kv, &err), 0);
    rig_batch(r);
}

static void rig_ref(struct rig *r, const char *path)
{
    struct ft_err err;
    memset(r, 0, sizeof *r);
    assert_int_equal(ft_dev_open(&ft_dev_ref_ops, NULL, &r->dev, &err), 0);
    rig_model(r, path);
    assert_int_equal(ft_model_load(r->m, NULL, NULL, &err), 0);
}

/* target: one LoRA target, or NULL for full training. */
static void rig_tape(struct rig *r, const char *path, const struct ft_tape_config *cfg,
                     const struct ft_tape_lora *lora)
{
    struct ft_err err;
    memset(r, 0, sizeof *r);
    assert_int_equal(ft_tape_open(cfg, &r->dev, &err), 0);
    rig_model(r, path);
    int rc = lora != NULL ? ft_tape_train_lora(r->dev, r->m, lora, &err)
                          : ft_tape_train_full(r->dev, r->m, &err);
    if (rc != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(ft_model_load(r->m, NULL, NULL, &err), 0);
    assert_int_equal(ft_tape_prepare(r->dev, r->m, r->kv, &err), 0);
}

static void rig_close(struct rig *r)
{
    ft_dev_kv_close(r->dev, r->kv);
    ft_model_close(r->m);
    ft_dev_close(r->dev);
    ft_weights_close(r->file);
}

static double tape_loss(struct rig *r, bool back, uint64_t step)
{
    struct ft_err err;
    double sum = 0;
    ft_tape_begin(r->dev, back, step);
    assert_int_equal(ft_model_forward(r->m, r->kv, &r->b, NULL, NULL, &err), 0);
    ft_tape_logprobs(r->dev, r->m, r->target, r->b.n_out, back ? r->coef : NULL, r->logprob);
    if (back)
        ft_tape_backward(r->dev);
    for (int i = 0; i < r->b.n_out; i++)
        sum += (double)r->coef[i] * r->logprob[i];
    return sum;
}

static double ref_loss(struct rig *r)
{
    struct ft_err err;
    const float *logit;
    double sum = 0;
    int v = r->m->hp.n_vocab;
    assert_int_equal(ft_model_forward(r->m, r->kv, &r->b, &logit, NULL, &err), 0);
    for (int i = 0; i < r->b.n_out; i++, logit += v) {
        double max = -INFINITY, total = 0;
        for (int j = 0; j < v; j++)
            max = fmax(max, logit[j]);
        for (int j = 0; j < v; j++)
            total += exp(logit[j] - max);
        sum += r->coef[i] * (logit[r->target[i]] - max - log(total));
    }
    return sum;
}

/* The values of a tensor on the reference device, made writable: its file is mapped privately. */
static float *ref_value(struct rig *r, const char *name, int64_t n)
{
    for (int i = 0; i < r->m->n_vectors; i++)
        if (strcmp(r->m->vector[i].name, name) == 0)
            return r->m->vector[i].p;
    const struct ft_tensor *t = ft_weights_find(r->file, name);
    assert_int_equal(t->type, FT_F32);
    uintptr_t p = (uintptr_t)t->part[0], page = p & ~(uintptr_t)4095;
    size_t bytes = (size_t)n * sizeof(float) + (p - page);
    assert_int_equal(mprotect((void *)page, bytes, PROT_READ | PROT_WRITE), 0);
    return (float *)p;
}

/* Along the gradient itself the loss changes by its length: any other vector of that length would
 * change it by less. */
static void check_param(struct rig *ref, const struct ft_param *p)
{
    int64_t n = p->rows * p->cols;
    float *v = ref_value(ref, p->name, n);
    float *was = malloc((size_t)n * sizeof *was);
    double length = 0, loss[2];
    assert_non_null(was);
    memcpy(was, v, (size_t)n * sizeof *was);
    for (int64_t i = 0; i < n; i++)
        length += (double)p->grad[i] * p->grad[i];
    length = sqrt(length);
    assert_true(length > 1e-6);
    const double eps = 4e-3;
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < n; i++)
            v[i] = (float)(was[i] + (k == 0 ? eps : -eps) * p->grad[i] / length);
        loss[k] = ref_loss(ref);
    }
    memcpy(v, was, (size_t)n * sizeof *was);
    free(was);
    double got = (loss[0] - loss[1]) / (2 * eps);
    if (fabs(got - length) > 0.01 * length + 2e-5)
        fail_msg("%s: the gradient's length is %g, the slope along it %g", p->name, length, got);
}

static const char *const models[] = {"models/llama-s-F32.gguf", "models/qwen2-s-F32.gguf",
                                     "models/qwen3-s-F32.gguf"};

static void gradients_match_finite_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < FT_COUNT(models); i++) {
        const char *path = ft_test_ref(models[i]);
        if (path == NULL)
            skip();
        struct ft_tape_config cfg = {.n_threads = 2, .math = FT_GEMM_F32};
        struct rig tape, ref;
        rig_ref(&ref, path);
        rig_tape(&tape, path, &cfg, NULL);
        double want = ref_loss(&ref), got = tape_loss(&tape, true, 0);
        assert_true(fabs(got - want) < 1e-4 * fabs(want));
        for (int k = 0; k < ft_tape_param_count(tape.dev); k++)
            check_param(&ref, ft_tape_param(tape.dev, k));
        rig_close(&tape);
        rig_close(&ref);
    }
}

/* Length of the difference of the gradients of each parameter, in lengths of the gradient: the
 * largest. */
static double grads_differ(struct rig *a, struct rig *b)
{
    double worst = 0;
    assert_int_equal(ft_tape_param_count(a->dev), ft_tape_param_count(b->dev));
    for (int k = 0; k < ft_tape_param_count(a->dev); k++) {
        const struct ft_param *p = ft_tape_param(a->dev, k), *q = ft_tape_param(b->dev, k);
        double length = 1e-24, diff = 0;
        for (int64_t i = 0; i < p->rows * p->cols; i++) {
            length += (double)p->grad[i] * p->grad[i];
            diff += ((double)p->grad[i] - q->grad[i]) * ((double)p->grad[i] - q->grad[i]);
        }
        worst = fmax(worst, sqrt(diff / length));
    }
    return worst;
}

static void recomputing_and_threads_change_no_bit(void **state)
{
    (void)state;
    static const enum ft_gemm_math math[] = {FT_GEMM_F32, FT_GEMM_BF16};
    for (size_t i = 0; i < FT_COUNT(models) * 2; i++) {
        const char *path = ft_test_ref(models[i / 2]);
        if (path == NULL)
            skip();
        struct ft_tape_config one = {.n_threads = 1, .math = math[i % 2]};
        struct ft_tape_config two = {.n_threads = 3, .math = math[i % 2], .recompute = true};
        struct rig a, b;
        rig_tape(&a, path, &one, NULL);
        rig_tape(&b, path, &two, NULL);
        double x = tape_loss(&a, true, 0), y = tape_loss(&b, true, 0);
        assert_true(x == y);
        assert_true(grads_differ(&a, &b) == 0);
        /* and once more: gradients add up, nothing is left over */
        tape_loss(&a, true, 1);
        ft_tape_zero_grad(b.dev);
        tape_loss(&b, true, 1);
        tape_loss(&b, true, 1);
        assert_true(grads_differ(&a, &b) == 0);
        rig_close(&a);
        rig_close(&b);
    }
}

static void bf16_gradients_are_near_f32(void **state)
{
    (void)state;
    const char *path = ft_test_ref(models[2]);
    if (path == NULL)
        skip();
    struct ft_tape_config f = {.n_threads = 2, .math = FT_GEMM_F32};
    struct ft_tape_config h = {.n_threads = 2, .math = FT_GEMM_BF16};
    struct rig a, b;
    rig_tape(&a, path, &f, NULL);
    rig_tape(&b, path, &h, NULL);
    tape_loss(&a, true, 0);
    tape_loss(&b, true, 0);
    double d = grads_differ(&a, &b);
    print_message("bf16 gradients differ by %g\n", d);
    assert_true(d < 0.05);
    rig_close(&a);
    rig_close(&b);
}

/* With A the identity (rank = n_in), scale 1 and B zero, B's gradient is the weight's own. */
static void lora_of_full_rank_has_the_gradient_of_full_training(void **state)
{
    (void)state;
    const char *path = ft_test_ref(models[2]);
    if (path == NULL)
        skip();
    static const char *const targets[] = {"attn_q", "ffn_gate"};
    struct ft_tape_config cfg = {.n_threads = 2, .math = FT_GEMM_F32};
    struct rig full, low;
    rig_tape(&full, path, &cfg, NULL);
    struct ft_tape_lora lora = {
        .rank = full.m->hp.d_model, .scale = 1, .seed = 5, .target = targets, .n_target = 2};
    rig_tape(&low, path, &cfg, &lora);
    int n = ft_tape_param_count(low.dev), compared = 0;
    for (int k = 0; k < n; k++) {
        struct ft_param *p = ft_tape_param(low.dev, k);
        if (strstr(p->name, ".lora_a") == NULL)
            continue;
        for (int64_t i = 0; i < p->rows * p->cols; i++)
            p->value[i] = i / p->cols == i % p->cols;
    }
    double x = tape_loss(&full, true, 0), y = tape_loss(&low, true, 0);
    assert_true(fabs(x - y) < 1e-5 * fabs(x)); /* B is zero */
    for (int k = 0; k < n; k++) {
        struct ft_param *p = ft_tape_param(low.dev, k);
        char *end = strstr(p->name, ".lora_b");
        for (int f = 0; end != NULL && f < ft_tape_param_count(full.dev); f++) {
            struct ft_param *q = ft_tape_param(full.dev, f);
            if (strncmp(q->name, p->name, (size_t)(end - p->name)) != 0 ||
                q->name[end - p->name] != 0)
                continue;
            for (int64_t i = 0; i < p->rows * p->cols; i++)
                assert_true(fabs(p->grad[i] - q->grad[i]) < 1e-5 + 1e-3 * fabs(q->grad[i]));
            compared++;
        }
    }
    assert_int_equal(compared, 2 * full.m->hp.n_layer);
    rig_close(&full);
    rig_close(&low);
}

/* LoRA's gradients themselves: the reference device runs W + s B A, changed by hand. */
static void lora_gradients_match_finite_differences(void **state)
{
    (void)state;
    const char *path = ft_test_ref(models[0]);
    if (path == NULL)
        skip();
    static const char *const targets[] = {"attn_v", "ffn_down"};
    struct ft_tape_config cfg = {.n_threads = 2, .math = FT_GEMM_F32};
    struct ft_tape_lora lora = {
        .rank = 3, .scale = 0.7f, .seed = 5, .target = targets, .n_target = 2};
    struct rig tape;
    rig_tape(&tape, path, &cfg, &lora);
    int n = ft_tape_param_count(tape.dev);
    for (int k = 0; k < n; k++) {
        struct ft_param *p = ft_tape_param(tape.dev, k);
        for (int64_t i = 0; i < p->rows * p->cols; i++)
            p->value[i] = 0.2f * (float)(2 * ft_rand_unit(8, (uint64_t)k, (uint64_t)i) - 1);
    }
    tape_loss(&tape, true, 0);
    for (int k = 0; k < n; k++) {
        struct ft_param *p = ft_tape_param(tape.dev, k);
        int64_t size = p->rows * p->cols;
        double length = 0, loss[2];
        for (int64_t i = 0; i < size; i++)
            length += (double)p->grad[i] * p->grad[i];
        length = sqrt(length);
        for (int s = 0; s < 2; s++) {
            float eps = s == 0 ? 8e-3f : -16e-3f;
            for (int64_t i = 0; i < size; i++)
                p->value[i] += eps * p->grad[i] / (float)length;
            loss[s] = tape_loss(&tape, false, 0);
        }
        for (int64_t i = 0; i < size; i++)
            p->value[i] += 8e-3f * p->grad[i] / (float)length;
        double got = (loss[0] - loss[1]) / 16e-3;
        if (fabs(got - length) > 0.02 * length + 2e-4)
            fail_msg("%s: the gradient's length is %g, the slope along it %g", p->name, length,
                     got);
    }
    rig_close(&tape);
}

/* Dropout: kept the same between the pass, its recomputation and a second time; another step drops
 * others; validation drops none. */
static void dropout_is_drawn_by_step(void **state)
{
    (void)state;
    const char *path = ft_test_ref(models[2]);
    if (path == NULL)
        skip();
    static const char *const targets[] = {"attn_q", "attn_output", "ffn_up"};
    struct ft_tape_config keep = {.n_threads = 1, .math = FT_GEMM_BF16};
    struct ft_tape_config again = {.n_threads = 3, .math = FT_GEMM_BF16, .recompute = true};
    struct ft_tape_lora lora = {
        .rank = 4, .scale = 2, .dropout = 0.25f, .seed = 5, .target = targets, .n_target = 3};
    struct rig a, b;
    rig_tape(&a, path, &keep, &lora);
    rig_tape(&b, path, &again, &lora);
    for (int k = 0; k < ft_tape_param_count(a.dev); k++) {
        struct ft_param *p = ft_tape_param(a.dev, k), *q = ft_tape_param(b.dev, k);
        for (int64_t i = 0; i < p->rows * p->cols; i++)
            p->value[i] = q->value[i] =
                0.2f * (float)(2 * ft_rand_unit(8, (uint64_t)k, (uint64_t)i) - 1);
    }
    double x = tape_loss(&a, true, 4);
    assert_true(tape_loss(&b, true, 4) == x);
    assert_true(grads_differ(&a, &b) == 0);
    assert_true(tape_loss(&a, true, 5) != x);
    double dry = tape_loss(&a, false, 4);
    assert_true(dry != x);
    assert_true(tape_loss(&a, false, 5) == dry);
    ft_tape_use_lora(a.dev, false);
    assert_true(tape_loss(&a, false, 5) != dry);
    rig_close(&a);
    rig_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_match_finite_differences),
        cmocka_unit_test(recomputing_and_threads_change_no_bit),
        cmocka_unit_test(bf16_gradients_are_near_f32),
        cmocka_unit_test(lora_of_full_rank_has_the_gradient_of_full_training),
        cmocka_unit_test(lora_gradients_match_finite_differences),
        cmocka_unit_test(dropout_is_drawn_by_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
