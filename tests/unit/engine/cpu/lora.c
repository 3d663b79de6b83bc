/* Adapters against the reference device, for every instruction set of this machine, over odd sizes
 * and all ranks to 64; and bit for bit the same for a row alone as among many on several threads.
 */
/* labels: threads */
#include "testing.h"

#include <math.h>

#include "base/half.h"
#include "base/rand.h"
#include "engine/cpu/cpu.h"
#include "engine/ref/ref.h"

static const char *const isas[] = {"plain", "avx2", "avx512"};

#define ROWS 70
#define PAD  3 /* rows are further apart than they are long */

static struct ft_dev *dev_open(const struct ft_dev_ops *ops, const char *isa, int n_threads)
{
    struct ft_dev *d = NULL;
    struct ft_dev_config cfg = {n_threads, isa};
    return ft_dev_open(ops, &cfg, &d, NULL) == 0 ? d : NULL;
}

static float *numbers(uint64_t stream, int64_t n, float size)
{
    float *p = malloc((size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++)
        p[i] = size * (float)(2 * ft_rand_unit(5, stream, (uint64_t)i) - 1);
    return p;
}

/* To eight bits, as bfloat16 files have them. */
static void to_bf16(float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = ft_bf16_to_f32(ft_f32_to_bf16(p[i]));
}

static float *copy(const float *x, int64_t n)
{
    float *p = malloc((size_t)n * sizeof *p);
    memcpy(p, x, (size_t)n * sizeof *p);
    return p;
}

static void same(const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (ft_f32_bits(a[i]) != ft_f32_bits(b[i]))
            fail_msg("element %ld: %a, alone %a", (long)i, (double)a[i], (double)b[i]);
}

static struct ft_lora_pair make_pair(uint64_t seed, int64_t n_in, int64_t n_out, int rank)
{
    return (struct ft_lora_pair){.n_in = n_in,
                                 .n_out = n_out,
                                 .rank = rank,
                                 .scale = 2.0f / (float)rank,
                                 .a = numbers(2 * seed, rank * n_in, 0.02f),
                                 .b = numbers(2 * seed + 1, rank * n_out, 3e-4f)};
}

static void free_pair(struct ft_lora_pair *p)
{
    free((void *)p->a);
    free((void *)p->b);
}

static struct ft_lora *lora_open(struct ft_dev *d, const struct ft_lora_pair *p, int n)
{
    struct ft_lora *l = NULL;
    struct ft_err err = {0};
    if (ft_dev_lora_open(d, p, n, &l, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(l->n_pairs, n);
    return l;
}

/* Sum of |products| of one output element: what roundings are in proportion to. */
static double size_of(const struct ft_lora_pair *p, const float *x, int64_t o)
{
    double sum = 0;
    for (int r = 0; r < p->rank; r++) {
        double t = 0;
        for (int64_t k = 0; k < p->n_in; k++)
            t += fabs((double)p->a[r * p->n_in + k] * x[k]);
        sum += t * fabs((double)p->b[o * p->rank + r]);
    }
    return sum * fabs((double)p->scale);
}

static void near_ref(struct ft_dev *cpu, struct ft_dev *ref, int64_t n_in, int64_t n_out, int rank,
                     bool bf16)
{
    struct ft_lora_pair p = make_pair((uint64_t)(rank + 100 * n_in), n_in, n_out, rank);
    if (bf16) {
        to_bf16((float *)p.a, rank * n_in);
        to_bf16((float *)p.b, rank * n_out);
    }
    enum { N = 3 };
    int64_t x_ld = n_in + PAD, y_ld = n_out + PAD;
    float *x = numbers(3, N * x_ld, 2), *y = numbers(4, N * y_ld, 1e-3f);
    float *want = copy(y, N * y_ld), *before = copy(y, N * y_ld);
    x[n_in] = NAN; /* behind the first row: nobody's */
    struct ft_lora *a = lora_open(cpu, &p, 1), *b = lora_open(ref, &p, 1);
    struct ft_lora_use u = {a, 0, 0, N, {y, y_ld}}, v = {b, 0, 0, N, {want, y_ld}};
    ft_dev_lora(cpu, (struct ft_mat){x, x_ld}, &u, 1);
    ft_dev_lora(ref, (struct ft_mat){x, x_ld}, &v, 1);
    for (int i = 0; i < N; i++)
        for (int64_t o = 0; o < y_ld; o++) {
            double was = before[i * y_ld + o];
            double size = o < n_out ? size_of(&p, x + i * x_ld, o) : 0;
            double bound = o < n_out ? size * (bf16 ? 1e-6 : 0x1p-11) + 2.5e-7 * fabs(was) : 0;
            double got = y[i * y_ld + o], exact = want[i * y_ld + o];
            if (!(fabs(got - exact) <= bound))
                fail_msg("[%ld, %ld] rank %d, row %d, output %ld: %g is not %g within %g",
                         (long)n_in, (long)n_out, rank, i, (long)o, got, exact, bound);
        }
    ft_dev_lora_close(cpu, a);
    ft_dev_lora_close(ref, b);
    free_pair(&p);
    free(x);
    free(y);
    free(want);
    free(before);
}

static void rows_get_the_low_rank_product(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 7, 16, 31, 32, 33, 64, 100, 1000};
    struct ft_dev *ref = dev_open(&ft_dev_ref_ops, NULL, 1);
    for (size_t i = 0; i < FT_COUNT(isas); i++) {
        struct ft_dev *d = dev_open(&ft_dev_cpu_ops, isas[i], 3);
        if (d == NULL)
            continue;
        for (int rank = 1; rank <= 64; rank++)
            near_ref(d, ref, 48 + rank % 19, 40 + rank % 23, rank, rank % 2 == 0);
        for (size_t a = 0; a < FT_COUNT(sizes); a++)
            for (size_t b = 0; b < FT_COUNT(sizes); b++)
                near_ref(d, ref, sizes[a], sizes[b], 5 + (int)b, a % 2 == 0);
        near_ref(d, ref, 1024, 3072, 64, false); /* few pieces, worth cutting */
        ft_dev_close(d);
    }
    ft_dev_close(ref);
}

/* Numbers that a plain half float could not hold. */
static void small_and_large_adapters_keep_their_precision(void **state)
{
    (void)state;
    struct ft_dev *ref = dev_open(&ft_dev_ref_ops, NULL, 1);
    struct ft_dev *d = dev_open(&ft_dev_cpu_ops, NULL, 2);
    static const float by[][2] = {{1e-12f, 1e9f}, {1e8f, 1e-11f}, {1e-20f, 1e15f}};
    for (size_t c = 0; c < FT_COUNT(by); c++) {
        struct ft_lora_pair p = make_pair(7, 50, 40, 4);
        for (int i = 0; i < 4 * 50; i++)
            ((float *)p.a)[i] *= by[c][0];
        for (int i = 0; i < 4 * 40; i++)
            ((float *)p.b)[i] *= by[c][1];
        float *x = numbers(8, 50, 1), got[40] = {0}, want[40] = {0};
        struct ft_lora *a = lora_open(d, &p, 1), *b = lora_open(ref, &p, 1);
        struct ft_lora_use u = {a, 0, 0, 1, {got, 40}}, v = {b, 0, 0, 1, {want, 40}};
        ft_dev_lora(d, (struct ft_mat){x, 50}, &u, 1);
        ft_dev_lora(ref, (struct ft_mat){x, 50}, &v, 1);
        for (int o = 0; o < 40; o++) {
            assert_true(want[o] != 0);
            assert_true(fabs((double)got[o] - want[o]) <= size_of(&p, x, o) * 0x1p-11);
        }
        ft_dev_lora_close(d, a);
        ft_dev_lora_close(ref, b);
        free_pair(&p);
        free(x);
    }
    ft_dev_close(d);
    ft_dev_close(ref);
}

/* Many rows, three matrices and several adapters at once; every row again alone, on one thread. */
static void a_row_is_the_same_alone(void **state)
{
    (void)state;
    enum { ADAPTERS = 20, PAIRS = 3 };
    static const int64_t n_out[PAIRS] = {130, 64, 33};
    const int64_t n_in = 77, x_ld = n_in + PAD, y_ld = 140;
    for (size_t s = 0; s < FT_COUNT(isas); s++) {
        struct ft_dev *many = dev_open(&ft_dev_cpu_ops, isas[s], 3);
        struct ft_dev *one = dev_open(&ft_dev_cpu_ops, isas[s], 1);
        if (many == NULL)
            continue;
        struct ft_lora *l[ADAPTERS];
        for (int i = 0; i < ADAPTERS; i++) {
            struct ft_lora_pair p[PAIRS];
            for (int k = 0; k < PAIRS; k++)
                p[k] = make_pair((uint64_t)(i * PAIRS + k), n_in, n_out[k], 1 + i * 3 % 17);
            l[i] = lora_open(many, p, PAIRS);
            for (int k = 0; k < PAIRS; k++)
                free_pair(&p[k]);
        }
        float *x = numbers(9, ROWS * x_ld, 2), *y[PAIRS], *alone[PAIRS];
        struct ft_lora_use use[ADAPTERS * PAIRS];
        int n_use = 0, row = 0;
        for (int k = 0; k < PAIRS; k++) {
            y[k] = numbers((uint64_t)(10 + k), ROWS * y_ld, 1);
            alone[k] = copy(y[k], ROWS * y_ld);
        }
        for (int i = 0; i < ADAPTERS; i++) {
            int n = i == 4 ? 50 : 1; /* one reads a prompt */
            for (int k = 0; k < PAIRS; k++)
                use[n_use++] = (struct ft_lora_use){l[i], k, row, n, {y[k], y_ld}};
            for (int r = row; r < row + n; r++)
                for (int k = 0; k < PAIRS; k++) {
                    struct ft_lora_use u = {l[i], k, 0, 1, {alone[k] + r * y_ld, y_ld}};
                    ft_dev_lora(one, (struct ft_mat){x + r * x_ld, x_ld}, &u, 1);
                }
            row += n;
        }
        assert_true(row < ROWS); /* the last rows have no adapter and stay as they are */
        ft_dev_lora(many, (struct ft_mat){x, x_ld}, use, n_use);
        for (int k = 0; k < PAIRS; k++) {
            same(y[k], alone[k], ROWS * y_ld);
            free(y[k]);
            free(alone[k]);
        }
        free(x);
        for (int i = 0; i < ADAPTERS; i++)
            ft_dev_lora_close(many, l[i]);
        ft_dev_close(many);
        ft_dev_close(one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_get_the_low_rank_product),
        cmocka_unit_test(small_and_large_adapters_keep_their_precision),
        cmocka_unit_test(a_row_is_the_same_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
