/* The trainer's matrix products at the shapes of training, beside what the machine can do.
 *
 * The limit is the peak of the instruction that multiplies (probe.h), measured again before every
 * round; printed are medians over rounds: GFLOP/s and the share of the peak, and of the time that
 * reading or writing everything once would take, where that is longer (thin products).
 *
 * usage: bench_gemm [--threads N] [--isa NAME] [--math bf16|f32] [--rounds N] [--only SUBSTRING] */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/pages.h"
#include "base/rand.h"
#include "engine/cpu/probe.h"
#include "train/gemm/gemm.h"

#define ROUNDS_MAX 31
#define MIN_NS     30000000

struct shape {
    const char *name;
    int64_t m, n, k;
    enum ft_type a, b;
    bool a_trans, b_trans, add;
    int heads;                 /* not 0: so many of them through ft_gemm_one; */
    bool a_scratch, c_scratch; /* the scores, which each worker keeps to itself */
};

#define ONE(name, m, n, k, b_type, a_trans, b_trans, add)                                          \
    {                                                                                              \
        name, m, n, k, FT_F32, b_type, a_trans, b_trans, add, 0, false, false                      \
    }
#define FORWARD(name, rows, in, out, type)                                                         \
    ONE(name " forward", rows, out, in, type, false, true, false)
#define BACK_X(name, rows, in, out, type) ONE(name " dX", rows, in, out, type, false, false, true)
#define BACK_W(name, rows, in, out)       ONE(name " dW", out, in, rows, FT_F32, true, false, true)
#define ALL(name, rows, in, out)                                                                   \
    FORWARD(name, rows, in, out, FT_F32), BACK_X(name, rows, in, out, FT_F32),                     \
        BACK_W(name, rows, in, out)
#define FROZEN(name, rows, in, out, type)                                                          \
    FORWARD(name, rows, in, out, type), BACK_X(name, rows, in, out, type)
#define LORA(name, rows, in, r)                                                                    \
    FORWARD(name, rows, in, r, FT_F32), BACK_X(name, rows, in, r, FT_F32),                         \
        BACK_W(name, rows, in, r), FORWARD(name " up", rows, r, in, FT_F32),                       \
        BACK_X(name " up", rows, r, in, FT_F32), BACK_W(name " up", rows, r, in)

static const struct shape shapes[] = {
    ALL("30M q 4096x512x512", 4096, 512, 512),
    ALL("30M up 4096x512x1536", 4096, 512, 1536),
    ALL("30M down 4096x1536x512", 4096, 1536, 512),
    ALL("30M out 4096x512x8192", 4096, 512, 8192),
    ALL("30M q 4096x384x384", 4096, 384, 384),
    ALL("30M up 4096x384x1536", 4096, 384, 1536),
    FROZEN("0.6B q 1024x1024x2048 Q8_0", 1024, 1024, 2048, FT_Q8_0),
    FROZEN("0.6B kv 1024x1024x1024 Q8_0", 1024, 1024, 1024, FT_Q8_0),
    FROZEN("0.6B up 1024x1024x3072 Q8_0", 1024, 1024, 3072, FT_Q8_0),
    FROZEN("0.6B down 1024x3072x1024 Q8_0", 1024, 3072, 1024, FT_Q8_0),
    FROZEN("0.6B up 1024x1024x3072 Q4_K", 1024, 1024, 3072, FT_Q4_K),
    FROZEN("0.6B up 1024x1024x3072 BF16", 1024, 1024, 3072, FT_BF16),
    FROZEN("0.6B down 1024x3072x1024 BF16", 1024, 3072, 1024, FT_BF16),
    FROZEN("0.6B out 1024x1024x16384 BF16", 1024, 1024, 16384, FT_BF16),
    LORA("LoRA 8 1024x1024", 1024, 1024, 8),
    LORA("LoRA 16 1024x3072", 1024, 3072, 16),
    {"attention QK 64x512x64", 64, 512, 64, FT_F32, FT_F32, false, true, false, 64, false, true},
    {"attention PV 64x64x512", 64, 64, 512, FT_F32, FT_F32, false, false, true, 64, true, false},
    {"attention QK 128x128x128", 128, 128, 128, FT_F32, FT_F32, false, true, false, 64, false,
     true},
    {"attention QK 256x256x64", 256, 256, 64, FT_F32, FT_F32, false, true, false, 64, false, true},
    {"attention dK 256x64x256", 256, 64, 256, FT_F32, FT_F32, true, false, true, 64, true, false},
    {"attention QK 512x512x128", 512, 512, 128, FT_F32, FT_F32, false, true, false, 16, false,
     true},
};

static struct ft_gemm *gemm;
static struct ft_pool *pool;

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, by_size);
    return x[n / 2];
}

/* n elements; a few thousand numbers are quantised and repeated. In huge pages, as the trainer has
 * its activations. */
enum { SOME = 8192 };

static size_t bytes_of(enum ft_type type, int64_t n)
{
    return ft_type_row_bytes(ft_type_info(type), n + SOME);
}

static void *elements(enum ft_type type, int64_t n)
{
    const struct ft_type_info *info = ft_type_info(type);
    size_t bytes = bytes_of(type, n), some = ft_type_row_bytes(info, SOME);
    static float x[SOME];
    for (int i = 0; i < SOME; i++)
        x[i] = (float)ft_rand_unit(1, 2, (uint64_t)i) - 0.5f;
    char *p = ft_pages_alloc(bytes, true);
    FT_ASSERT(p != NULL);
    info->quantise(x, p, SOME);
    for (size_t at = some; at + some <= bytes; at += some)
        memcpy(p + at, p, some);
    return p;
}

struct heads {
    const struct shape *s;
    struct ft_gemm_args x;
};

static void one_head(void *ctx, int chunk, int worker)
{
    struct heads *h = ctx;
    struct ft_gemm_args x = h->x;
    x.a.p = (const float *)x.a.p + (h->s->a_scratch ? worker : chunk) * x.m * x.k;
    x.b.p = (const float *)x.b.p + chunk * x.n * x.k;
    x.c += (h->s->c_scratch ? worker : chunk) * x.m * x.n;
    ft_gemm_one(gemm, worker, &x);
}

static void multiply(struct heads *h)
{
    if (h->s->heads != 0)
        ft_pool_run(pool, h->s->heads, one_head, h);
    else
        ft_gemm_run(gemm, &h->x);
}

static double seconds(struct heads *h)
{
    int64_t began = ft_clock_now_ns(), now;
    int n = 0;
    do {
        multiply(h);
        n++;
        now = ft_clock_now_ns();
    } while (now - began < MIN_NS);
    return 1e-9 * (double)(now - began) / n;
}

static void bench(const struct shape *s, int n_rounds, int n_threads, bool bf16)
{
    int64_t heads = FT_MAX(s->heads, 1);
    void *a = elements(s->a, heads * s->m * s->k), *b = elements(s->b, heads * s->k * s->n);
    float *c = elements(FT_F32, heads * s->m * s->n);
    struct heads h = {.s = s,
                      .x = {.m = s->m,
                            .n = s->n,
                            .k = s->k,
                            .a = {a, s->a, s->a_trans ? s->m : s->k, s->a_trans},
                            .b = {b, s->b, s->b_trans ? s->k : s->n, s->b_trans},
                            .alpha = 1,
                            .add = s->add,
                            .c = c,
                            .ldc = s->n}};
    double rate[ROUNDS_MAX], share[ROUNDS_MAX], bytes[ROUNDS_MAX];
    double work = 2e-9 * (double)(heads * s->m) * (double)s->n * (double)s->k;
    double traffic = (double)ft_type_row_bytes(ft_type_info(s->a), heads * s->m * s->k) +
                     (double)ft_type_row_bytes(ft_type_info(s->b), heads * s->n * s->k) +
                     (double)(heads * s->m * s->n) * sizeof *c * (s->add ? 2 : 1);
    multiply(&h);
    for (int i = 0; i < n_rounds; i++) {
        struct ft_cpu_limits limits;
        struct ft_err err;
        if (ft_cpu_probe_products(n_threads, &limits, &err) != 0)
            exit(1);
        double t = seconds(&h);
        rate[i] = work / t;
        share[i] = 100 * rate[i] / (bf16 ? limits.bf16_gflop_s : limits.f32_gflop_s);
        bytes[i] = 1e-9 * traffic / t;
    }
    printf("%-42s %7.1f GFLOP/s  %3.0f%% of peak  %5.1f GB/s\n", s->name, median(rate, n_rounds),
           median(share, n_rounds), median(bytes, n_rounds));
    fflush(stdout);
    ft_pages_free(a, bytes_of(s->a, heads * s->m * s->k));
    ft_pages_free(b, bytes_of(s->b, heads * s->k * s->n));
    ft_pages_free(c, bytes_of(FT_F32, heads * s->m * s->n));
}

static const char *option(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return otherwise;
}

int main(int argc, char **argv)
{
    struct ft_err err;
    int n_threads = atoi(option(argc, argv, "--threads", "2"));
    int n_rounds = FT_MIN(atoi(option(argc, argv, "--rounds", "5")), ROUNDS_MAX);
    bool bf16 = strcmp(option(argc, argv, "--math", "bf16"), "f32") != 0;
    const char *only = option(argc, argv, "--only", "");
    if (ft_pool_open(n_threads, &pool, &err) != 0 ||
        ft_gemm_open(pool, option(argc, argv, "--isa", NULL), bf16 ? FT_GEMM_BF16 : FT_GEMM_F32,
                     &gemm, &err) != 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    for (size_t i = 0; i < FT_COUNT(shapes); i++)
        if (strstr(shapes[i].name, only) != NULL)
            bench(&shapes[i], FT_MAX(n_rounds, 1), n_threads, bf16);
    ft_gemm_close(gemm);
    ft_pool_close(pool);
    return 0;
}
