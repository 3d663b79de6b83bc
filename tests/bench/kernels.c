/* The CPU device's matrix products at the shapes of a 0.6B model, beside what the machine can do.
 *
 * For every weight format: one column (bytes of weights per second, as a share of the read
 * bandwidth) and N columns (operations per second, as a share of the int8 peak, or of the f32 peak
 * for F32, F16 and BF16). A pass multiplies with enough different matrices of a shape that they do
 * not stay in a cache. The best of several short passes is printed: other processes only ever take
 * away.
 *
 * usage: bench_kernels [--threads N] [--types Q4_0,Q8_0] [--cols 1,16,512] [--isa NAME] [--shape
 * K,ROWS] */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/rand.h"
#include "engine/cpu/cpu.h"
#include "engine/cpu/probe.h"

#define LIST_MAX   16
#define COPIES_MAX 64
#define PASS_NS    60000000
#define ROUNDS     7
/* Weights of one case in all: well above the last-level cache's share of this machine. */
#define BYTES_MIN ((size_t)160 << 20)

struct shape {
    int64_t k, rows;
};

static struct shape shapes[LIST_MAX] = {{1024, 3072}, {3072, 1024}, {1024, 2048}, {1024, 151936}};
static int n_shapes = 4;

static struct ft_dev *dev;
static bool cpu_time;

/* With one thread its own processor time: what it did not get counts for nothing. */
static int64_t now_ns(void)
{
    if (!cpu_time)
        return ft_clock_now_ns();
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct ft_cpu_limits limits;

struct matrices {
    struct ft_tensor t;
    const void *part;
    struct ft_weight *w[COPIES_MAX];
    int n;
};

/* Any bits are weights, but scales must be numbers of a sane size: a few rows are quantised from
 * random numbers and repeated. */
static void *tensor_bytes(enum ft_type type, struct shape s)
{
    enum { ROWS = 16 };
    const struct ft_type_info *info = ft_type_info(type);
    size_t row = ft_type_row_bytes(info, s.k);
    char *p = malloc(row * (size_t)s.rows);
    float *x = malloc((size_t)s.k * sizeof *x);
    FT_ASSERT(p != NULL && x != NULL);
    for (int64_t r = 0; r < s.rows; r++) {
        if (r >= ROWS) {
            memcpy(p + (size_t)r * row, p + (size_t)(r % ROWS) * row, row);
            continue;
        }
        for (int64_t i = 0; i < s.k; i++)
            x[i] = (float)ft_rand_unit(1, (uint64_t)r, (uint64_t)i) - 0.5f;
        info->quantise(x, p + (size_t)r * row, s.k);
    }
    free(x);
    return p;
}

static void matrices_open(struct matrices *m, enum ft_type type, struct shape s)
{
    const struct ft_type_info *info = ft_type_info(type);
    size_t bytes = ft_type_row_bytes(info, s.k) * (size_t)s.rows;
    *m = (struct matrices){.part = tensor_bytes(type, s)};
    m->n = (int)FT_MIN((size_t)COPIES_MAX, BYTES_MIN / bytes + 1);
    m->t = (struct ft_tensor){.name = "w",
                              .type = type,
                              .n_dims = 2,
                              .dim = {s.k, s.rows, 1, 1},
                              .n_parts = 1,
                              .part = &m->part,
                              .part_bytes = bytes};
    struct ft_err err;
    for (int i = 0; i < m->n; i++)
        FT_ASSERT(ft_dev_weight_open(dev, &m->t, &m->w[i], &err) == 0 &&
                  ft_dev_weight_load(dev, m->w[i], &err) == 0);
}

static void matrices_close(struct matrices *m)
{
    for (int i = 0; i < m->n; i++)
        ft_dev_weight_close(dev, m->w[i]);
    free((void *)m->part);
}

/* Nanoseconds of one product with n columns, the best of several passes over all copies. */
static double product_ns(struct matrices *m, int n, struct ft_mat x, struct ft_mat y)
{
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = now_ns(), now = start;
        int done = 0;
        do {
            struct ft_linear l = {m->w[done % m->n], NULL, y, false};
            ft_dev_linear(dev, x, n, &l, 1);
            done++;
            now = now_ns();
        } while (now - start < PASS_NS / ROUNDS || (n == 1 && done < m->n));
        best = FT_MIN(best, (double)(now - start) / done);
    }
    return best;
}

static void bench_type(enum ft_type type, const int *cols, int n_cols)
{
    bool floats = type == FT_F32 || type == FT_F16 || type == FT_BF16;
    double peak = floats ? limits.f32_gflop_s : limits.int8_gop_s;
    for (int s = 0; s < n_shapes; s++) {
        struct matrices m;
        matrices_open(&m, type, shapes[s]);
        int most = 1;
        for (int i = 0; i < n_cols; i++)
            most = FT_MAX(most, cols[i]);
        float *x = malloc((size_t)most * (size_t)shapes[s].k * sizeof *x);
        float *y = malloc((size_t)most * (size_t)shapes[s].rows * sizeof *y);
        FT_ASSERT(x != NULL && y != NULL);
        for (int64_t i = 0; i < most * shapes[s].k; i++)
            x[i] = (float)ft_rand_unit(3, 4, (uint64_t)i) - 0.5f;
        printf("%-7s %5lldx%-6lld", ft_type_info(type)->name, (long long)shapes[s].k,
               (long long)shapes[s].rows);
        for (int i = 0; i < n_cols; i++) {
            double ns = product_ns(&m, cols[i], (struct ft_mat){x, shapes[s].k},
                                   (struct ft_mat){y, shapes[s].rows});
            double gb_s = (double)m.t.part_bytes / ns;
            double ops = 2.0 * (double)shapes[s].k * (double)shapes[s].rows * cols[i] / ns;
            if (cols[i] == 1)
                printf("  1: %4.1f GB/s %3.0f%%", gb_s, 100 * gb_s / limits.read_gb_s);
            else
                printf("  %d: %4.0f %3.0f%%", cols[i], ops, 100 * ops / peak);
            fflush(stdout);
        }
        printf("\n");
        free(x);
        free(y);
        matrices_close(&m);
    }
}

static int ints_of(char *text, int64_t *out)
{
    int n = 0;
    for (char *p = strtok(text, ","); p != NULL && n < LIST_MAX; p = strtok(NULL, ","))
        out[n++] = atoll(p);
    return n;
}

int main(int argc, char **argv)
{
    enum ft_type types[LIST_MAX] = {FT_Q4_0, FT_Q8_0,   FT_Q4_K, FT_Q6_K,
                                    FT_Q5_0, FT_IQ4_XS, FT_BF16};
    int n_types = 7, threads = 0, n_cols = 8;
    int cols[LIST_MAX] = {1, 2, 4, 8, 16, 32, 128, 512};
    struct ft_dev_config cfg = {0};
    for (int i = 1; i + 1 < argc; i += 2) {
        int64_t v[LIST_MAX];
        if (strcmp(argv[i], "--threads") == 0) {
            threads = atoi(argv[i + 1]);
        } else if (strcmp(argv[i], "--isa") == 0) {
            cfg.isa = argv[i + 1];
        } else if (strcmp(argv[i], "--shape") == 0 && ints_of(argv[i + 1], v) == 2) {
            shapes[0] = (struct shape){v[0], v[1]};
            n_shapes = 1;
        } else if (strcmp(argv[i], "--cols") == 0) {
            n_cols = ints_of(argv[i + 1], v);
            for (int j = 0; j < n_cols; j++)
                cols[j] = (int)v[j];
        } else if (strcmp(argv[i], "--types") == 0) {
            n_types = 0;
            for (char *p = strtok(argv[i + 1], ","); p != NULL && n_types < LIST_MAX;
                 p = strtok(NULL, ","))
                if (ft_type_by_name(p) != NULL)
                    types[n_types++] = ft_type_by_name(p)->type;
        }
    }
    cfg.n_threads = threads;
    cpu_time = threads == 1;
    struct ft_err err;
    if (ft_cpu_probe(threads, &limits, &err) != 0 ||
        ft_dev_open(&ft_dev_cpu_ops, &cfg, &dev, &err) != 0) {
        fprintf(stderr, "bench_kernels: %s\n", err.msg);
        return 1;
    }
    printf("%s; read %.1f GB/s, int8 %.0f, bf16 %.0f, f32 %.0f G/s\n", ft_dev_describe(dev),
           limits.read_gb_s, limits.int8_gop_s, limits.bf16_gflop_s, limits.f32_gflop_s);
    for (int i = 0; i < n_types; i++)
        bench_type(types[i], cols, n_cols);
    ft_dev_close(dev);
    return 0;
}
