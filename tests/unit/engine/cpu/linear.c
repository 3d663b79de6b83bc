/* Matrix products of the CPU device against the reference device: every format, odd shapes, stacks,
 * experts; the same bits for every instruction set and number of columns and threads; loading and
 * dropping. */
#include "testing.h"

#include <math.h>

#include "base/rand.h"
#include "engine/cpu/cpu.h"
#include "engine/ref/ref.h"
#include "model/file/quant.h"

static const enum ft_type types[] = {FT_F32,  FT_F16,    FT_BF16,   FT_Q8_0, FT_Q4_0, FT_Q4_1,
                                     FT_Q5_0, FT_Q5_1,   FT_Q2_K,   FT_Q3_K, FT_Q4_K, FT_Q5_K,
                                     FT_Q6_K, FT_IQ4_NL, FT_IQ4_XS, FT_MXFP4};

static float gauss(uint64_t stream, uint64_t i)
{
    double u = ft_rand_unit(7, stream, 2 * i), v = ft_rand_unit(7, stream, 2 * i + 1);
    return (float)(sqrt(-2 * log(u + 1e-12)) * cos(6.283185307179586 * v));
}

/* A tensor of random weights in memory of our own. parts: one pointer per matrix of the stack. */
struct weights {
    struct ft_tensor t;
    const void **part;
    void *bytes;
};

static struct weights weights_make(enum ft_type type, int64_t k, int64_t rows, int stack,
                                   bool parts)
{
    const struct ft_type_info *info = ft_type_info(type);
    size_t row_bytes = ft_type_row_bytes(info, k), one = row_bytes * (size_t)rows;
    struct weights w = {.bytes = malloc(one * (size_t)stack + 1),
                        .part = calloc((size_t)stack, sizeof(void *))};
    char *base = (char *)w.bytes + 1; /* files align nothing */
    float *x = malloc((size_t)k * sizeof *x);
    for (int64_t r = 0; r < rows * stack; r++) {
        for (int64_t i = 0; i < k; i++)
            x[i] = gauss(1 + (uint64_t)type, (uint64_t)(r * k + i)) * (r % 5 == 0 ? 0.01f : 1) +
                   (r % 7 == 0 ? 0.5f : 0);
        info->quantise(x, base + (size_t)r * row_bytes, k);
    }
    free(x);
    for (int i = 0; i < stack; i++)
        w.part[i] = base + (size_t)i * one;
    w.t = (struct ft_tensor){.name = "w",
                             .type = type,
                             .n_dims = stack > 1 ? 3 : 2,
                             .dim = {k, rows, stack, 1},
                             .n_parts = parts ? stack : 1,
                             .part = w.part,
                             .part_bytes = parts ? one : one * (size_t)stack};
    return w;
}

static void weights_free(struct weights *w)
{
    free(w->bytes);
    free(w->part);
}

static struct ft_dev *device(const struct ft_dev_ops *ops, const char *isa, int threads)
{
    struct ft_dev_config cfg = {.n_threads = threads, .isa = isa};
    struct ft_dev *d;
    struct ft_err err;
    if (ft_dev_open(ops, &cfg, &d, &err) != 0) {
        if (err.code == FT_EUNSUPPORTED)
            return NULL;
        fail_msg("%s", err.msg);
    }
    return d;
}

static struct ft_weight *loaded(struct ft_dev *d, const struct ft_tensor *t)
{
    struct ft_weight *w;
    struct ft_err err = {0};
    if (ft_dev_weight_open(d, t, &w, &err) != 0 || ft_dev_weight_load(d, w, &err) != 0)
        fail_msg("%s", err.msg);
    return w;
}

static float *randoms(uint64_t stream, size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = gauss(stream, i) * (i % 97 == 3 ? 6 : 1); /* an outlier here and there */
    return x;
}

static double nmse(const float *got, const float *want, int64_t n)
{
    double e = 0, s = 0;
    for (int64_t i = 0; i < n; i++) {
        e += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        s += (double)want[i] * want[i];
    }
    return e / (s + 1e-30);
}

/* Input noise of rounding to bytes; formats of floats have next to none. */
static double bound_of(enum ft_type type)
{
    return type == FT_F32 || type == FT_F16 || type == FT_BF16 ? 1e-11 : 4e-4;
}

/* The sum of the squares of all terms: what errors are relative to, as the terms may cancel. */
static double terms(const struct ft_tensor *t, const float *x, int64_t ld, int n)
{
    const struct ft_type_info *info = ft_type_info(t->type);
    int64_t k = t->dim[0];
    float *row = malloc((size_t)k * sizeof *row);
    double sum = 0;
    for (int64_t r = 0; r < t->dim[1]; r++) {
        info->dequantise((const char *)t->part[0] + (size_t)r * ft_type_row_bytes(info, k), row, k);
        for (int c = 0; c < n; c++)
            for (int64_t i = 0; i < k; i++)
                sum += (double)row[i] * row[i] * x[c * ld + i] * x[c * ld + i];
    }
    free(row);
    return sum;
}

static const char *const isas[] = {"plain", "avx2", "avx512"};
#define ISAS ((int)FT_COUNT(isas))

/* The reference and every instruction set that this machine has; the others are NULL. */
struct devices {
    struct ft_dev *ref, *cpu[ISAS];
};

static struct devices devices_open(void)
{
    struct devices d = {.ref = device(&ft_dev_ref_ops, NULL, 1)};
    for (int i = 0; i < ISAS; i++)
        d.cpu[i] = device(&ft_dev_cpu_ops, isas[i], i == 0 ? 1 : 2);
    return d;
}

static void devices_close(struct devices *d)
{
    ft_dev_close(d->ref);
    for (int i = 0; i < ISAS; i++)
        ft_dev_close(d->cpu[i]);
}

/* A product of all of x: the first set is held to the reference, the others to the first's bits. */
static void check_product(struct devices *d, const struct weights *w, const float *x, int64_t ld,
                          int n)
{
    int64_t k = w->t.dim[0], rows = w->t.dim[1], y_ld = rows + 5;
    size_t bytes = (size_t)(n * y_ld) * sizeof(float);
    float *bias = randoms(51, (size_t)rows), *start = randoms(52, (size_t)(n * y_ld));
    float *want = malloc(bytes), *first = malloc(bytes), *y = malloc(bytes);
    for (int i = -1; i < ISAS; i++) {
        struct ft_dev *dev = i < 0 ? d->ref : d->cpu[i];
        if (dev == NULL)
            continue;
        float *to = i < 0 ? want : i == 0 ? first : y;
        memcpy(to, start, bytes);
        struct ft_weight *a = loaded(dev, &w->t);
        struct ft_linear l = {a, bias, {to, y_ld}, true};
        ft_dev_linear(dev, (struct ft_mat){(float *)x, ld}, n, &l, 1);
        ft_dev_weight_close(dev, a);
        double e = 0;
        if (i == 0) {
            for (int64_t j = 0; j < n * y_ld; j++)
                e += ((double)first[j] - want[j]) * ((double)first[j] - want[j]);
            e /= terms(&w->t, x, ld, n);
            for (int c = 0; c < n; c++) /* nothing beyond the rows is touched */
                assert_memory_equal(first + c * y_ld + rows, start + c * y_ld + rows, 5 * 4);
        }
        if (!(e < bound_of(w->t.type)) || (i > 0 && memcmp(y, first, bytes) != 0))
            fail_msg("%s %s k %d rows %d n %d: error %g, or not the bits of plain C",
                     ft_dev_describe(dev), ft_type_info(w->t.type)->name, (int)k, (int)rows, n, e);
    }
    free(bias);
    free(start);
    free(want);
    free(first);
    free(y);
}

static void every_format_and_shape_agrees_with_ref(void **state)
{
    (void)state;
    /* each format meets every number of columns, and k and rows in turns */
    static const int64_t ks[] = {32, 64, 160, 256, 288, 512, 1024, 2304, 33, 7, 100};
    static const int rows[] = {1, 2, 15, 16, 17, 33, 50},
                     cols[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 70};
    struct devices d = devices_open();
    size_t turn = 0;
    for (size_t t = 0; t < FT_COUNT(types); t++)
        for (size_t c = 0; c < FT_COUNT(cols); c++, turn++) {
            size_t at = turn;
            while (ks[at % FT_COUNT(ks)] % ft_type_info(types[t])->block_len != 0)
                at++;
            int64_t k = ks[at % FT_COUNT(ks)];
            struct weights w = weights_make(types[t], k, rows[turn % FT_COUNT(rows)], 1, false);
            float *x = randoms(50, (size_t)(cols[c] * (k + 3)));
            check_product(&d, &w, x, k + 3, cols[c]);
            free(x);
            weights_free(&w);
        }
    devices_close(&d);
}

/* Where a block's levels and integer scales lie: all of it but the float scales. */
static size_t levels_of(enum ft_type type, size_t *ret_bytes)
{
    size_t block = ft_type_info(type)->block_bytes;
    switch (type) {
    case FT_Q2_K: /* d, dmin at the end */
        *ret_bytes = block - 4;
        return 0;
    case FT_Q3_K:
    case FT_Q6_K:
        *ret_bytes = block - 2;
        return 0;
    case FT_Q4_1:
    case FT_Q5_1:
    case FT_Q4_K:
    case FT_Q5_K:
        *ret_bytes = block - 4;
        return 4;
    case FT_MXFP4:
        *ret_bytes = block - 1;
        return 1;
    default:
        *ret_bytes = block - 2;
        return 2;
    }
}

/* What no quantiser would write, but a file may hold: the sums of bytes and their halves must fit
 * wherever a kernel narrows them. */
static void extreme_levels_and_inputs_overflow_nothing(void **state)
{
    (void)state;
    enum { K = 512, ROWS = 20, N = 4 };
    static const uint8_t fills[] = {0x00, 0xff, 0x80, 0x7f};
    struct devices d = devices_open();
    float *x = malloc(N * K * sizeof *x);
    for (int i = 0; i < N * K; i++) /* all 127, all -127, in turns, at random */
        x[i] = i / K == 0                              ? 1
               : i / K == 1                            ? -1
               : i / K == 2                            ? (float)(1 - i % 2 * 2)
               : ft_rand_unit(3, 4, (uint64_t)i) < 0.5 ? -1.0f
                                                       : 1.0f;
    for (size_t t = 3; t < FT_COUNT(types); t++) { /* not of floats */
        struct weights w = weights_make(types[t], K, ROWS, 1, false);
        size_t bytes, at = levels_of(types[t], &bytes), block = ft_type_info(types[t])->block_bytes;
        uint8_t *p = (uint8_t *)w.bytes + 1;
        for (size_t b = 0; b < w.t.part_bytes / block; b++)
            for (size_t i = 0; i < bytes; i++)
                p[b * block + at + i] =
                    b % 5 < 4 ? fills[b % 5] : (uint8_t)(256 * ft_rand_unit(5, 6, b * block + i));
        check_product(&d, &w, x, K, N);
        weights_free(&w);
    }
    free(x);
    devices_close(&d);
}

static void check_batches(struct ft_dev *cpu, enum ft_type type, const float *x, int64_t k,
                          int most, const int *n, int n_n)
{
    enum { ROWS = 33, ALL = 300 };
    struct weights w = weights_make(type, k, ROWS, 1, false);
    struct ft_weight *a = loaded(cpu, &w.t);
    float *want = malloc(ALL * ROWS * sizeof *want), *y = malloc(ALL * ROWS * sizeof *y);
    for (int j = 0; j < most; j++) {
        struct ft_linear one = {a, NULL, {want + j * ROWS, ROWS}, false};
        ft_dev_linear(cpu, (struct ft_mat){(float *)x + j * k, k}, 1, &one, 1);
    }
    for (int i = 0; i < n_n; i++) {
        struct ft_linear many = {a, NULL, {y, ROWS}, false};
        ft_dev_linear(cpu, (struct ft_mat){(float *)x, k}, n[i], &many, 1);
        if (memcmp(y, want, (size_t)FT_MIN(n[i], most) * ROWS * sizeof *y) != 0)
            fail_msg("%s %s: %d columns differ from one by one", ft_dev_describe(cpu),
                     ft_type_info(type)->name, n[i]);
    }
    ft_dev_weight_close(cpu, a);
    weights_free(&w);
    free(want);
    free(y);
}

static void a_column_is_the_same_bits_in_any_batch(void **state)
{
    (void)state;
    enum { K = 1280, N = 300 }; /* 300: the input is taken in two spans */
    static const int n[] = {2, 3, 4, 5, 6, 7, 8, 9, 15, 23, 63, 64, 65, 71, N};
    float *x = randoms(60, (size_t)N * K);
    for (int i = 0; i < ISAS; i++)
        for (int threads = 1; threads <= 3; threads += 2) {
            struct ft_dev *cpu = device(&ft_dev_cpu_ops, isas[i], threads);
            if (cpu == NULL)
                continue;
            bool slow = strcmp(isas[i], "plain") == 0; /* it has one loop for all numbers */
            for (size_t t = 0; t < FT_COUNT(types); t++)
                check_batches(cpu, types[t], x, slow ? 256 : K, slow ? 9 : 71, n,
                              slow ? 8 : (int)FT_COUNT(n));
            ft_dev_close(cpu);
        }
    free(x);
}

static void several_weights_share_one_input(void **state)
{
    (void)state;
    enum { K = 256, N = 3 };
    struct ft_dev *ref = device(&ft_dev_ref_ops, NULL, 1), *cpu = device(&ft_dev_cpu_ops, NULL, 2);
    static const enum ft_type mix[] = {FT_Q4_K, FT_Q6_K, FT_Q4_0, FT_F16, FT_Q8_0};
    struct weights w[5];
    struct ft_linear a[5], b[5];
    for (int i = 0; i < 5; i++) {
        int64_t rows = 20 + 9 * i;
        w[i] = weights_make(mix[i], K, rows, 1, false);
        a[i] = (struct ft_linear){loaded(ref, &w[i].t), NULL, {malloc(N * 100 * 4), 100}, false};
        b[i] = (struct ft_linear){loaded(cpu, &w[i].t), NULL, {malloc(N * 100 * 4), 100}, false};
    }
    float *x = randoms(70, N * K);
    ft_dev_linear(ref, (struct ft_mat){x, K}, N, a, 5);
    ft_dev_linear(cpu, (struct ft_mat){x, K}, N, b, 5);
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < N; j++)
            assert_true(nmse(b[i].y.p + j * 100, a[i].y.p + j * 100, w[i].t.dim[1]) < 1e-4);
        free(a[i].y.p);
        free(b[i].y.p);
        ft_dev_weight_close(ref, a[i].w);
        ft_dev_weight_close(cpu, b[i].w);
        weights_free(&w[i]);
    }
    free(x);
    ft_dev_close(ref);
    ft_dev_close(cpu);
}

static void heads_multiply_their_own_part(void **state)
{
    (void)state;
    struct ft_dev *ref = device(&ft_dev_ref_ops, NULL, 1), *cpu = device(&ft_dev_cpu_ops, NULL, 2);
    static const enum ft_type some[] = {FT_F32, FT_Q8_0, FT_Q4_0};
    for (int t = 0; t < 3; t++)
        for (int n = 1; n <= 9; n += 4) {
            int64_t k = 64, rows = 24;
            int heads = 5;
            struct weights w = weights_make(some[t], k, rows, heads, t % 2 == 1);
            struct ft_weight *a = loaded(ref, &w.t), *b = loaded(cpu, &w.t);
            int x_step = 80, y_step = 30;
            float *x = randoms(80, (size_t)(n * heads * x_step)),
                  *y = randoms(81, (size_t)(n * heads * y_step)),
                  *z = randoms(81, (size_t)(n * heads * y_step));
            struct ft_mat xm = {x, heads * x_step}, ym = {y, heads * y_step},
                          zm = {z, heads * y_step};
            ft_dev_linear_heads(ref, xm, x_step, n, a, ym, y_step);
            ft_dev_linear_heads(cpu, xm, x_step, n, b, zm, y_step);
            assert_true(nmse(z, y, n * heads * y_step) < bound_of(some[t]));
            free(x);
            free(y);
            free(z);
            ft_dev_weight_close(ref, a);
            ft_dev_weight_close(cpu, b);
            weights_free(&w);
        }
    ft_dev_close(ref);
    ft_dev_close(cpu);
}

static void experts_agree_with_ref_and_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    enum { D = 256, FF = 288, E = 6, USED = 3, N = 21 };
    struct ft_dev *ref = device(&ft_dev_ref_ops, NULL, 1), *cpu = device(&ft_dev_cpu_ops, NULL, 2);
    static const enum ft_type ups[] = {FT_Q4_K, FT_Q4_0, FT_F32};
    static const enum ft_type downs[] = {FT_Q5_0, FT_Q8_0, FT_F16};
    int32_t id[N * USED];
    float weight[N * USED];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < USED; j++) {
            id[i * USED + j] = (i * i + 2 * j) % E; /* three different ones */
            weight[i * USED + j] = (float)ft_rand_unit(1, 2, (uint64_t)(i * USED + j));
        }
    float *x = randoms(90, N * D), *start = randoms(91, N * D), *y = malloc(N * D * 4),
          *z = malloc(N * D * 4), *one = malloc(N * D * 4);
    for (int t = 0; t < 3; t++) {
        struct weights w[3] = {weights_make(ups[t], D, FF, E, t == 0),
                               weights_make(t == 1 ? FT_Q8_0 : ups[t], D, FF, E, t == 1),
                               weights_make(downs[t], FF, D, E, t == 2)};
        struct ft_experts a = {loaded(ref, &w[0].t), loaded(ref, &w[1].t), loaded(ref, &w[2].t)};
        struct ft_experts b = {loaded(cpu, &w[0].t), loaded(cpu, &w[1].t), loaded(cpu, &w[2].t)};
        memcpy(y, start, N * D * 4);
        memcpy(z, start, N * D * 4);
        memcpy(one, start, N * D * 4);
        ft_dev_experts(ref, &a, (struct ft_mat){x, D}, N, id, weight, USED, (struct ft_mat){y, D});
        ft_dev_experts(cpu, &b, (struct ft_mat){x, D}, N, id, weight, USED, (struct ft_mat){z, D});
        for (int i = 0; i < N; i++)
            ft_dev_experts(cpu, &b, (struct ft_mat){x + i * D, D}, 1, id + i * USED,
                           weight + i * USED, USED, (struct ft_mat){one + i * D, D});
        assert_true(nmse(z, y, N * D) < 3 * bound_of(ups[t]));
        assert_memory_equal(one, z, N * D * 4);
        struct ft_weight *all[] = {a.gate, a.up, a.down, b.gate, b.up, b.down};
        for (int i = 0; i < 6; i++)
            ft_dev_weight_close(i < 3 ? ref : cpu, all[i]);
        for (int i = 0; i < 3; i++)
            weights_free(&w[i]);
    }
    free(x);
    free(y);
    free(z);
    free(one);
    free(start);
    ft_dev_close(ref);
    ft_dev_close(cpu);
}

static void dropped_weights_load_again(void **state)
{
    (void)state;
    enum { K = 512, ROWS = 300 };
    struct ft_dev *cpu = device(&ft_dev_cpu_ops, NULL, 2);
    struct weights w = weights_make(FT_Q4_0, K, ROWS, 1, false),
                   v = weights_make(FT_Q8_0, K, ROWS, 1, false);
    struct ft_weight *a = loaded(cpu, &w.t), *b = loaded(cpu, &v.t);
    float *x = randoms(95, K), y[2][ROWS], z[2][ROWS];
    struct ft_err err;
    for (int turn = 0; turn < 2; turn++) {
        struct ft_linear l[2] = {{a, NULL, {turn == 0 ? y[0] : z[0], ROWS}, false},
                                 {b, NULL, {turn == 0 ? y[1] : z[1], ROWS}, false}};
        ft_dev_linear(cpu, (struct ft_mat){x, K}, 1, l, 2);
        if (turn == 0) {
            assert_true(ft_dev_weight_bytes(cpu, a) > 0);
            ft_dev_weight_drop(cpu, a);
            assert_int_equal(ft_dev_weight_bytes(cpu, a), 0);
            assert_int_equal(ft_dev_weight_load(cpu, a, &err), 0);
        }
    }
    assert_memory_equal(y, z, sizeof y);
    free(x);
    ft_dev_weight_close(cpu, a);
    ft_dev_weight_close(cpu, b);
    weights_free(&w);
    weights_free(&v);
    ft_dev_close(cpu);
}

static void rows_are_embedded_exactly(void **state)
{
    (void)state;
    struct ft_dev *ref = device(&ft_dev_ref_ops, NULL, 1), *cpu = device(&ft_dev_cpu_ops, NULL, 1);
    for (size_t t = 0; t < FT_COUNT(types); t++) {
        struct weights w = weights_make(types[t], 256, 40, 1, false);
        struct ft_weight *a = loaded(ref, &w.t), *b;
        struct ft_err err;
        assert_int_equal(ft_dev_weight_open(cpu, &w.t, &b, &err), 0); /* open is enough */
        int32_t id[] = {39, 0, 7, 7};
        float y[4][256], z[4][256];
        ft_dev_embed(ref, a, id, 4, (struct ft_mat){y[0], 256});
        ft_dev_embed(cpu, b, id, 4, (struct ft_mat){z[0], 256});
        assert_memory_equal(y, z, sizeof y);
        ft_dev_weight_close(ref, a);
        ft_dev_weight_close(cpu, b);
        weights_free(&w);
    }
    ft_dev_close(ref);
    ft_dev_close(cpu);
}

static void what_is_not_a_number_stays_visible(void **state)
{
    (void)state;
    for (size_t i = 0; i < FT_COUNT(isas); i++) {
        struct ft_dev *cpu = device(&ft_dev_cpu_ops, isas[i], 1);
        if (cpu == NULL)
            continue;
        static const enum ft_type some[] = {FT_Q4_0, FT_Q4_K, FT_Q6_K, FT_F32};
        for (int t = 0; t < 4; t++) {
            struct weights w = weights_make(some[t], 256, 16, 1, false);
            struct ft_weight *a = loaded(cpu, &w.t);
            float *x = randoms(97, 2 * 256), y[2][16];
            x[256 + 100] = NAN;
            struct ft_linear l = {a, NULL, {y[0], 16}, false};
            ft_dev_linear(cpu, (struct ft_mat){x, 256}, 2, &l, 1);
            for (int r = 0; r < 16; r++)
                assert_true(isfinite(y[0][r]) && isnan(y[1][r]));
            memset(x, 0, 256 * 4);
            ft_dev_linear(cpu, (struct ft_mat){x, 256}, 1, &l, 1);
            for (int r = 0; r < 16; r++)
                assert_true(y[0][r] == 0);
            free(x);
            ft_dev_weight_close(cpu, a);
            weights_free(&w);
        }
        ft_dev_close(cpu);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_and_shape_agrees_with_ref),
        cmocka_unit_test(extreme_levels_and_inputs_overflow_nothing),
        cmocka_unit_test(a_column_is_the_same_bits_in_any_batch),
        cmocka_unit_test(several_weights_share_one_input),
        cmocka_unit_test(heads_multiply_their_own_part),
        cmocka_unit_test(experts_agree_with_ref_and_do_not_depend_on_the_batch),
        cmocka_unit_test(dropped_weights_load_again),
        cmocka_unit_test(rows_are_embedded_exactly),
        cmocka_unit_test(what_is_not_a_number_stays_visible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
