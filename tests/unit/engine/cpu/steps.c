/* The small steps against their definitions in f64, for every instruction set of this machine, over
 * odd sizes; and bit for bit the same for a row alone as among many on several threads. */
/* labels: threads */
#include "testing.h"

#include <math.h>

#include "base/half.h"
#include "base/rand.h"
#include "engine/cpu/cpu.h"

static const char *const isas[] = {"plain", "avx2", "avx512"};
static const int sizes[] = {1, 7, 16, 20, 33, 64, 100, 128, 130, 1000, 1024, 3072};

#define ROWS 70 /* with the larger sizes enough for the pool */
#define PAD  3  /* rows are further apart than they are long */

static struct ft_dev *dev_open(const char *isa, int n_threads)
{
    struct ft_dev *d = NULL;
    struct ft_dev_config cfg = {n_threads, isa};
    return ft_dev_open(&ft_dev_cpu_ops, &cfg, &d, NULL) == 0 ? d : NULL;
}

static float *numbers(uint64_t stream, int64_t n, float size)
{
    float *p = malloc((size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++)
        p[i] = size * (float)(2 * ft_rand_unit(2, stream, (uint64_t)i) - 1);
    return p;
}

static float *copy(const float *x, int64_t n)
{
    float *p = malloc((size_t)n * sizeof *p);
    memcpy(p, x, (size_t)n * sizeof *p);
    return p;
}

static void near(double want, float got, double tolerance)
{
    if (!(fabs(want - (double)got) <= tolerance * fmax(1, fabs(want))))
        fail_msg("%.9g is not %.9g", (double)got, want);
}

static void same(const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (ft_f32_bits(a[i]) != ft_f32_bits(b[i]))
            fail_msg("element %ld: %a, alone %a", (long)i, (double)a[i], (double)b[i]);
}

/* Calls f for every instruction set with a device of three threads. */
static void each_isa(void (*f)(struct ft_dev *d, int size))
{
    for (size_t i = 0; i < FT_COUNT(isas); i++) {
        struct ft_dev *d = dev_open(isas[i], 3);
        for (size_t j = 0; d != NULL && j < FT_COUNT(sizes); j++)
            f(d, sizes[j]);
        ft_dev_close(d);
    }
}

static void rmsnorm_case(struct ft_dev *d, int n)
{
    int64_t ld = n + PAD;
    float *x = numbers(1, ROWS * ld, 4), *w = numbers(2, n, 2), *y = copy(x, ROWS * ld);
    float *alone = copy(x, ld);
    ft_dev_rmsnorm(d, (struct ft_mat){y, ld}, ROWS, n, w, 1e-5f, (struct ft_mat){y, ld});
    ft_dev_rmsnorm(d, (struct ft_mat){x + 5 * ld, ld}, 1, n, w, 1e-5f, (struct ft_mat){alone, ld});
    same(y + 5 * ld, alone, n);
    for (int r = 0; r < ROWS; r++) {
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += (double)x[r * ld + i] * x[r * ld + i];
        for (int i = 0; i < n; i++)
            near(x[r * ld + i] / sqrt(sum / n + 1e-5) * w[i], y[r * ld + i], 1e-6);
        for (int i = n; i < ld; i++)
            assert_true(y[r * ld + i] == x[r * ld + i]);
    }
    free(x);
    free(w);
    free(y);
    free(alone);
}

static void rmsnorm_divides_by_the_root_of_the_mean_square(void **state)
{
    (void)state;
    each_isa(rmsnorm_case);
}

static void swiglu_case(struct ft_dev *d, int n)
{
    int64_t ld = n + PAD;
    float *g = numbers(3, ROWS * ld, 30), *u = numbers(4, ROWS * ld, 4), *y = copy(g, ROWS * ld);
    g[0] = y[0] = 200;
    g[ld - PAD - 1] = y[ld - PAD - 1] = n > 1 ? -200 : 200;
    float *alone = copy(g, ld);
    ft_dev_swiglu(d, (struct ft_mat){y, ld}, (struct ft_mat){u, ld}, ROWS, n,
                  (struct ft_mat){y, ld});
    ft_dev_swiglu(d, (struct ft_mat){g + 9 * ld, ld}, (struct ft_mat){u + 9 * ld, ld}, 1, n,
                  (struct ft_mat){alone, ld});
    same(y + 9 * ld, alone, n);
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < n; i++) {
            double x = g[r * ld + i];
            near(x / (1 + exp(-x)) * u[r * ld + i], y[r * ld + i], 4e-7);
        }
        for (int i = n; i < ld; i++)
            assert_true(y[r * ld + i] == g[r * ld + i]);
    }
    free(g);
    free(u);
    free(y);
    free(alone);
}

static void swiglu_gates_and_survives_large_inputs(void **state)
{
    (void)state;
    each_isa(swiglu_case);
}

/* f64: RMS norm of a head, then rotation. */
static void head_exact(double *x, int d, const float *w, const float *cs, int at, int n_rot,
                       enum ft_rope_pairs pairs)
{
    if (w != NULL) {
        double sum = 0;
        for (int i = 0; i < d; i++)
            sum += x[i] * x[i];
        for (int i = 0; i < d; i++)
            x[i] *= w[i] / sqrt(sum / d + 1e-6);
    }
    for (int j = 0; cs != NULL && j < n_rot / 2; j++) {
        double *a = pairs == FT_ROPE_HALVES ? x + at + j : x + at + 2 * j;
        double *b = pairs == FT_ROPE_HALVES ? a + n_rot / 2 : a + 1;
        double u = *a, v = *b;
        *a = u * cs[2 * j] - v * cs[2 * j + 1];
        *b = u * cs[2 * j + 1] + v * cs[2 * j];
    }
}

static void heads_case(struct ft_dev *d, int d_head, int at, int n_rot, bool norm, bool turn,
                       enum ft_rope_pairs pairs)
{
    enum { HEADS = 9 };
    int64_t width = HEADS * d_head, ld = width + PAD;
    float *x = numbers(5, ROWS * ld, 3), *y = copy(x, ROWS * ld), *w = numbers(6, d_head, 2);
    float *cs = numbers(7, ROWS * n_rot + 1, 1), *alone = copy(x + 4 * ld, ld);
    double *want = malloc((size_t)d_head * sizeof *want);
    ft_dev_heads(d, (struct ft_mat){y, ld}, ROWS, HEADS, d_head, norm ? w : NULL, 1e-6f,
                 turn ? cs : NULL, at, n_rot, pairs);
    ft_dev_heads(d, (struct ft_mat){alone, ld}, 1, HEADS, d_head, norm ? w : NULL, 1e-6f,
                 turn ? cs + 4 * n_rot : NULL, at, n_rot, pairs);
    same(y + 4 * ld, alone, ld);
    for (int r = 0; r < ROWS; r++)
        for (int h = 0; h < HEADS; h++) {
            for (int i = 0; i < d_head; i++)
                want[i] = x[r * ld + h * d_head + i];
            head_exact(want, d_head, norm ? w : NULL, turn ? cs + r * n_rot : NULL, at, n_rot,
                       pairs);
            for (int i = 0; i < d_head; i++)
                near(want[i], y[r * ld + h * d_head + i], 2e-6);
        }
    free(x);
    free(y);
    free(w);
    free(cs);
    free(alone);
    free(want);
}

static void heads_are_normed_then_turned(void **state)
{
    (void)state;
    static const struct {
        int d_head, at, n_rot;
    } c[] = {{16, 0, 16},   {20, 0, 20},    {48, 0, 48},  {64, 0, 64},
             {128, 0, 128}, {128, 0, 64},   {96, 32, 64}, {192, 128, 64},
             {80, 0, 20},   {576, 512, 64}, {7, 1, 4},    {40, 30, 10}};
    for (size_t i = 0; i < FT_COUNT(isas); i++) {
        struct ft_dev *d = dev_open(isas[i], 3);
        for (size_t j = 0; d != NULL && j < FT_COUNT(c) * 6; j++) {
            size_t k = j / 6;
            heads_case(d, c[k].d_head, c[k].at, c[k].n_rot, j % 3 != 1, j % 3 != 2,
                       j % 2 == 0 ? FT_ROPE_HALVES : FT_ROPE_NEIGHBOURS);
        }
        ft_dev_close(d);
    }
}

static void rope_table_holds_cosines_and_sines(void **state)
{
    (void)state;
    struct ft_dev *d = dev_open(NULL, 2);
    enum { N = 600, ROT = 30 };
    double freq[ROT / 2];
    int32_t *pos = malloc(N * sizeof *pos);
    float *cs = malloc(N * ROT * sizeof *cs);
    for (int j = 0; j < ROT / 2; j++)
        freq[j] = pow(1e6, -2.0 * j / ROT);
    for (int i = 0; i < N; i++)
        pos[i] = i * 1771;
    ft_dev_rope_table(d, freq, ROT, 1.25, pos, N, cs);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < ROT / 2; j++) {
            assert_true(cs[i * ROT + 2 * j] == (float)(1.25 * cos(freq[j] * pos[i])));
            assert_true(cs[i * ROT + 2 * j + 1] == (float)(1.25 * sin(freq[j] * pos[i])));
        }
    free(pos);
    free(cs);
    ft_dev_close(d);
}

static void gather_takes_rows_in_place(void **state)
{
    (void)state;
    struct ft_dev *d = dev_open(NULL, 1);
    float x[6 * 5], want[6 * 5];
    for (int i = 0; i < 30; i++)
        x[i] = (float)i;
    memcpy(want, x, sizeof x);
    const int32_t row[] = {0, 2, 5};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            want[i * 5 + j] = (float)(row[i] * 5 + j);
    ft_dev_gather(d, (struct ft_mat){x, 5}, row, 3, 4, (struct ft_mat){x, 5});
    same(x, want, 30);
    ft_dev_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_divides_by_the_root_of_the_mean_square),
        cmocka_unit_test(swiglu_gates_and_survives_large_inputs),
        cmocka_unit_test(heads_are_normed_then_turned),
        cmocka_unit_test(rope_table_holds_cosines_and_sines),
        cmocka_unit_test(gather_takes_rows_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
