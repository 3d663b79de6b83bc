/* Matrix products against a triple loop in f64: every instruction set of this machine, both kinds
 * of arithmetic, every stored type, both ways round, odd sizes; and the promise of the same bits.
 *
 * The reference rounds operands as the arithmetic does, so that what is left is the rounding of
 * sums: a few units in the last place of the sum of absolute products. */
/* labels: threads */
#include "testing.h"

#include <math.h>

#include "base/cpu_isa.h"
#include "base/half.h"
#include "base/rand.h"
#include "train/gemm/gemm.h"

#define GAP 3 /* ld beyond the width, where the type allows */

/* A stored matrix with rows of its own, and what it holds as f64. */
struct matrix {
    struct ft_gemm_in in;
    void *bytes;
    double *value; /* [rows][cols] as the product sees it */
    int64_t cols;
};

static float number(uint64_t seed, uint64_t i)
{
    return (float)ft_rand_unit(seed, 7, i) * 2 - 1;
}

static struct matrix matrix_make(enum ft_type type, int64_t rows, int64_t cols, bool trans,
                                 enum ft_gemm_math math, uint64_t seed, size_t offset)
{
    const struct ft_type_info *info = ft_type_info(type);
    int64_t stored = trans ? cols : rows, width = trans ? rows : cols;
    int64_t ld = (width + GAP + info->block_len - 1) / info->block_len * info->block_len;
    size_t row_bytes = ft_type_row_bytes(info, ld);
    struct matrix m = {{NULL, type, ld, trans}, NULL, NULL, cols};
    m.bytes = malloc(row_bytes * (size_t)stored + offset + 1);
    m.value = malloc((size_t)(rows * cols + 1) * sizeof *m.value);
    float *x = malloc((size_t)ld * sizeof *x);
    assert_true(m.bytes != NULL && m.value != NULL && x != NULL);
    m.in.p = (char *)m.bytes + offset;
    for (int64_t r = 0; r < stored; r++) {
        for (int64_t i = 0; i < ld; i++)
            x[i] = number(seed, (uint64_t)(r * ld + i));
        char *row = (char *)m.bytes + offset + (size_t)r * row_bytes;
        info->quantise(x, row, ld);
        info->dequantise(row, x, ld);
        for (int64_t i = 0; i < width; i++)
            m.value[trans ? i * cols + r : r * cols + i] =
                math == FT_GEMM_BF16 ? ft_bf16_to_f32(ft_f32_to_bf16(x[i])) : x[i];
    }
    free(x);
    return m;
}

static void matrix_free(struct matrix *m)
{
    free(m->bytes);
    free(m->value);
}

struct shape {
    int64_t m, n, k;
};

struct how {
    enum ft_type a, b;
    bool a_trans, b_trans;
    float alpha;
    bool add;
    size_t offset; /* of both operands' first byte from an aligned address */
    bool one;
};

static void compare(const struct matrix *a, const struct matrix *b, const float *c, struct shape s,
                    struct how h)
{
    int64_t ldc = s.n + GAP;
    for (int64_t i = 0; i < s.m; i++)
        for (int64_t j = 0; j < ldc; j++) {
            size_t at = (size_t)(i * ldc + j);
            float before = number(3, at);
            if (j >= s.n) { /* the gap stays as it was */
                assert_true(h.add ? c[at] == before : isnan(c[at]));
                continue;
            }
            double want = 0, size = 0;
            for (int64_t k = 0; k < s.k; k++) {
                double p = a->value[i * s.k + k] * b->value[k * s.n + j];
                want += p;
                size += fabs(p);
            }
            want = (double)h.alpha * want + (h.add ? (double)before : 0);
            size = fabs((double)h.alpha) * size + (h.add ? 1 : 0);
            double bound = 1e-9 + size * 0x1p-24 * (8 + sqrt((double)s.k));
            if (!(fabs((double)c[at] - want) <= bound))
                fail_msg("m %d n %d k %d, types %d %d, trans %d %d, one %d: c[%d, %d] is %g, not "
                         "%g (+- %g)",
                         (int)s.m, (int)s.n, (int)s.k, h.a, h.b, h.a_trans, h.b_trans, h.one,
                         (int)i, (int)j, (double)c[at], want, bound);
        }
}

static void check(struct ft_gemm *g, enum ft_gemm_math math, struct shape s, struct how h)
{
    struct matrix a = matrix_make(h.a, s.m, s.k, h.a_trans, math, 1, h.offset);
    struct matrix b = matrix_make(h.b, s.k, s.n, h.b_trans, math, 2, h.offset);
    int64_t ldc = s.n + GAP;
    size_t n_c = (size_t)(s.m * ldc + 1);
    float *c = malloc(n_c * sizeof *c);
    for (size_t i = 0; i < n_c; i++)
        c[i] = h.add ? number(3, i) : NAN; /* what is there must not be read */
    struct ft_gemm_args x = {s.m, s.n, s.k, a.in, b.in, h.alpha, h.add, c, ldc};
    if (h.one)
        ft_gemm_one(g, 0, &x);
    else
        ft_gemm_run(g, &x);
    compare(&a, &b, c, s, h);
    free(c);
    matrix_free(&a);
    matrix_free(&b);
}

static struct ft_gemm *gemm_open(int n_threads, int isa, int math, struct ft_pool **ret_pool)
{
    struct ft_gemm *g;
    struct ft_err err;
    assert_int_equal(ft_pool_open(n_threads, ret_pool, &err), 0);
    assert_int_equal(ft_gemm_open(*ret_pool, ft_cpu_isa_name((enum ft_cpu_isa)isa),
                                  (enum ft_gemm_math)math, &g, &err),
                     0);
    return g;
}

/* For every instruction set of the machine and both kinds of arithmetic. */
static void for_each_kern(int n_threads, void (*fn)(struct ft_gemm *g, enum ft_gemm_math math))
{
    for (int isa = 0; isa < FT_CPU_ISA_COUNT; isa++)
        for (int math = FT_GEMM_BF16; math <= FT_GEMM_F32; math++) {
            if (!ft_cpu_isa_has((enum ft_cpu_isa)isa))
                continue;
            struct ft_pool *pool;
            struct ft_gemm *g = gemm_open(n_threads, isa, math, &pool);
            fn(g, (enum ft_gemm_math)math);
            ft_gemm_close(g);
            ft_pool_close(pool);
        }
}

/* Each of the four ways round at sizes around every edge of the tiles. */
static void odd_sizes(struct ft_gemm *g, enum ft_gemm_math math)
{
    static const struct shape shapes[] = {
        {1, 1, 1},    {1, 1, 2},     {2, 3, 3},      {12, 32, 64},  {13, 33, 65}, {11, 31, 63},
        {5, 100, 17}, {100, 5, 17},  {25, 48, 255},  {37, 70, 257}, {8, 16, 513}, {3, 7, 1100},
        {64, 64, 40}, {300, 17, 31}, {17, 300, 129}, {4, 260, 9},   {0, 5, 5},    {5, 0, 5}};
    for (size_t i = 0; i < FT_COUNT(shapes); i++)
        for (int way = 0; way < 8; way++)
            check(g, math, shapes[i],
                  (struct how){.a = FT_F32,
                               .b = FT_F32,
                               .a_trans = way & 1,
                               .b_trans = way & 2,
                               .one = way & 4,
                               .alpha = 1});
}

static void products_at_odd_sizes_match_a_triple_loop(void **state)
{
    (void)state;
    for_each_kern(2, odd_sizes);
}

static void all_types(struct ft_gemm *g, enum ft_gemm_math math)
{
    static const enum ft_type types[] = {FT_F32,  FT_F16,    FT_BF16,   FT_Q4_0, FT_Q4_1, FT_Q5_0,
                                         FT_Q5_1, FT_Q8_0,   FT_Q2_K,   FT_Q3_K, FT_Q4_K, FT_Q5_K,
                                         FT_Q6_K, FT_IQ4_NL, FT_IQ4_XS, FT_MXFP4};
    for (size_t i = 0; i < FT_COUNT(types); i++)
        for (int way = 0; way < 8; way++) {
            struct how h = {.a = way & 4 ? types[i] : FT_F32,
                            .b = way & 4 ? FT_F32 : types[i],
                            .a_trans = way & 1,
                            .b_trans = way & 2,
                            .alpha = 1,
                            .offset = way & 4 ? 1 : 2}; /* floats in mapped files lie anywhere */
            check(g, math, (struct shape){29, 41, 290}, h);
        }
}

static void every_stored_type_goes_in_on_either_side(void **state)
{
    (void)state;
    for_each_kern(1, all_types);
}

static void alpha_and_add(struct ft_gemm *g, enum ft_gemm_math math)
{
    static const float alphas[] = {1, -0.375f, 0};
    for (size_t i = 0; i < FT_COUNT(alphas); i++)
        for (int add = 0; add < 2; add++)
            for (int one = 0; one < 2; one++) {
                struct how h = {FT_F32, FT_F32, false, true, alphas[i], add, 0, one};
                check(g, math, (struct shape){30, 50, 1200}, h);
                check(g, math, (struct shape){3, 5, 0}, h);
            }
}

static void sums_are_scaled_and_added_to_what_is_there(void **state)
{
    (void)state;
    for_each_kern(2, alpha_and_add);
}

/* The columns [at, at + n) of a product of m rows with any number of threads, by itself. */
static void columns(struct ft_gemm *g, bool one, const struct matrix *a, const struct matrix *b,
                    struct shape s, int64_t at, float *c)
{
    struct ft_gemm_in part = b->in;
    part.p = (const float *)part.p + (part.trans ? at * part.ld : at);
    struct ft_gemm_args x = {s.m, s.n, s.k, a->in, part, 0.7f, false, c, s.n};
    if (one)
        ft_gemm_one(g, 0, &x);
    else
        ft_gemm_run(g, &x);
}

static void an_element_has_the_same_bits_however_the_product_is_cut(void **state)
{
    (void)state;
    static const struct shape all = {70, 90, 1500}, some = {37, 41, 1500};
    for (int isa = 0; isa < FT_CPU_ISA_COUNT; isa++)
        for (int way = 0; way < 8; way++) {
            if (!ft_cpu_isa_has((enum ft_cpu_isa)isa))
                continue;
            int math = way & 4 ? FT_GEMM_F32 : FT_GEMM_BF16;
            struct matrix a = matrix_make(FT_F32, all.m, all.k, way & 1, FT_GEMM_F32, 1, 0);
            struct matrix b = matrix_make(FT_F32, all.k, all.n, way & 2, FT_GEMM_F32, 2, 0);
            float *whole = calloc((size_t)(all.m * all.n), sizeof *whole);
            float *part = calloc((size_t)(all.m * all.n), sizeof *part);
            for (int n_threads = 1; n_threads <= 5; n_threads += 2) {
                struct ft_pool *pool;
                struct ft_gemm *g = gemm_open(n_threads, isa, math, &pool);
                if (n_threads == 1)
                    columns(g, false, &a, &b, all, 0, whole);
                for (int one = 0; one < 2; one++) {
                    columns(g, one, &a, &b, all, 0, part);
                    assert_memory_equal(whole, part, (size_t)(all.m * all.n) * sizeof *part);
                    columns(g, one, &a, &b, some, 11, part);
                    for (int64_t i = 0; i < some.m; i++)
                        assert_memory_equal(whole + i * all.n + 11, part + i * some.n,
                                            (size_t)some.n * sizeof *part);
                }
                ft_gemm_close(g);
                ft_pool_close(pool);
            }
            free(whole);
            free(part);
            matrix_free(&a);
            matrix_free(&b);
        }
}

/* Sizes beyond every span, chunk and group of blocks, at which few elements can be checked. */
static void a_sample_of_large_products_is_right(void **state)
{
    (void)state;
    static const struct shape shapes[] = {{150, 2100, 1100}, {2100, 150, 2500}, {17, 2100, 2500}};
    for (size_t i = 0; i < FT_COUNT(shapes); i++)
        for (int way = (int)i % 2; way < 8; way += 3) {
            struct shape s = shapes[i];
            int math = way & 4 ? FT_GEMM_F32 : FT_GEMM_BF16;
            struct ft_pool *pool;
            struct ft_gemm *g = gemm_open(3, (int)ft_cpu_isa_best(), math, &pool);
            struct matrix a = matrix_make(FT_F32, s.m, s.k, way & 1, (enum ft_gemm_math)math, 1, 0);
            struct matrix b = matrix_make(FT_F32, s.k, s.n, way & 2, (enum ft_gemm_math)math, 2, 0);
            float *c = calloc((size_t)(s.m * s.n), sizeof *c);
            float *one = calloc((size_t)(s.m * s.n), sizeof *one);
            struct ft_gemm_args x = {s.m, s.n, s.k, a.in, b.in, 1, true, c, s.n};
            ft_gemm_run(g, &x);
            x.c = one;
            ft_gemm_one(g, 1, &x);
            assert_memory_equal(c, one, (size_t)(s.m * s.n) * sizeof *c);
            for (int64_t at = 0; at < s.m * s.n; at += 619) {
                double want = 0;
                for (int64_t k = 0; k < s.k; k++)
                    want += a.value[at / s.n * s.k + k] * b.value[k * s.n + at % s.n];
                assert_true(fabs((double)c[at] - want) < 1e-3);
            }
            free(c);
            free(one);
            matrix_free(&a);
            matrix_free(&b);
            ft_gemm_close(g);
            ft_pool_close(pool);
        }
}

struct heads {
    struct ft_gemm *g;
    struct ft_gemm_args x[24];
};

static void one_head(void *ctx, int chunk, int worker)
{
    struct heads *h = ctx;
    ft_gemm_one(h->g, worker, &h->x[chunk]);
}

static void workers_multiply_on_their_own_inside_a_region(void **state)
{
    (void)state;
    static const struct shape s = {65, 70, 33};
    struct ft_pool *pool;
    struct heads h = {.g = gemm_open(3, (int)ft_cpu_isa_best(), FT_GEMM_BF16, &pool)};
    struct matrix a = matrix_make(FT_F32, s.m, s.k, false, FT_GEMM_BF16, 1, 0);
    struct matrix b = matrix_make(FT_F32, s.k, s.n, true, FT_GEMM_BF16, 2, 0);
    size_t n = (size_t)(s.m * s.n);
    float *c = calloc(n * FT_COUNT(h.x), sizeof *c);
    for (size_t i = 0; i < FT_COUNT(h.x); i++)
        h.x[i] = (struct ft_gemm_args){s.m, s.n, s.k, a.in, b.in, 1, false, c + i * n, s.n};
    ft_pool_run(pool, (int)FT_COUNT(h.x), one_head, &h);
    for (size_t i = 1; i < FT_COUNT(h.x); i++)
        assert_memory_equal(c, c + i * n, n * sizeof *c);
    for (size_t i = 0; i < n; i++) {
        double want = 0;
        for (int64_t k = 0; k < s.k; k++)
            want += a.value[(int64_t)i / s.n * s.k + k] * b.value[k * s.n + (int64_t)i % s.n];
        assert_true(fabs((double)c[i] - want) < 1e-4);
    }
    free(c);
    matrix_free(&a);
    matrix_free(&b);
    ft_gemm_close(h.g);
    ft_pool_close(pool);
}

static void an_unknown_instruction_set_is_an_error(void **state)
{
    (void)state;
    struct ft_pool *pool;
    struct ft_gemm *g = NULL;
    struct ft_err err;
    assert_int_equal(ft_pool_open(1, &pool, &err), 0);
    assert_int_equal(ft_gemm_open(pool, "mmx", FT_GEMM_F32, &g, &err), FT_EINVAL);
    assert_null(g);
    ft_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_at_odd_sizes_match_a_triple_loop),
        cmocka_unit_test(every_stored_type_goes_in_on_either_side),
        cmocka_unit_test(sums_are_scaled_and_added_to_what_is_there),
        cmocka_unit_test(an_element_has_the_same_bits_however_the_product_is_cut),
        cmocka_unit_test(a_sample_of_large_products_is_right),
        cmocka_unit_test(workers_multiply_on_their_own_inside_a_region),
        cmocka_unit_test(an_unknown_instruction_set_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
