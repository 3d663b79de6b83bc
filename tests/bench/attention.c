/* Attention of the CPU device beside what binds it: decoding beside the memory's read bandwidth,
 * prefill beside the f32 multiply-add peak, both measured in the same run; and the small steps of a
 * token.
 *
 * The shape is Qwen3-0.6B's (28 layers, 16 query heads over 8 key-value heads of 128, f16); all
 * layers are visited, so that a decoded token streams its whole cache from memory. Limits and timed
 * runs alternate; medians are printed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/pool.h"
#include "engine/cpu/cpu.h"

enum {
    LAYERS = 28,
    PREFILL_LAYERS = 4,
    Q_HEADS = 16,
    KV_HEADS = 8,
    D = 128,
    RUNS = 9,
    BLOCKS = 8192 / FT_KV_BLOCK
};

#define READ_BYTES ((size_t)256 << 20) /* well beyond the last-level cache */

struct bench {
    struct ft_dev *dev;
    struct ft_kv_shape shape;
    struct ft_kv *kv;
    struct ft_pool *pool; /* for the limits */
    int n_threads;
    int32_t block[BLOCKS];
    float *q, *k, *y;
    uint8_t *big;
    double sink[256];
};

/* One thread is timed by its own clock, so that neighbours on the machine count less. */
static double ns_now(const struct bench *b)
{
    struct timespec t;
    clock_gettime(b->n_threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

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

typedef float v16 __attribute__((vector_size(64), aligned(4)));
typedef long long v8l __attribute__((vector_size(64)));

#define READ_CHUNK ((size_t)1 << 20)
#define READ_AHEAD 16384 /* without prefetching one thread reads a fifth less */

__attribute__((target_clones("avx512f", "avx2", "default"))) static long long
read_sum(const uint8_t *p, size_t n)
{
    v8l s[8] = {{0}};
    for (size_t i = 0; i < n; i += sizeof s)
        for (size_t j = 0; j < 8; j++) {
            __builtin_prefetch(p + i + READ_AHEAD + j * sizeof s[0], 0, 2);
            s[j] += *(const v8l *)(p + i + j * sizeof s[0]);
        }
    long long sum = 0;
    for (int j = 0; j < 8; j++)
        for (int l = 0; l < 8; l++)
            sum += s[j][l];
    return sum;
}

static void read_chunk(void *ctx, int chunk, int worker)
{
    struct bench *b = ctx;
    b->sink[worker * 8] += (double)read_sum(b->big + (size_t)chunk * READ_CHUNK, READ_CHUNK);
}

/* Bytes a nanosecond. */
static double read_limit(struct bench *b)
{
    double t = ns_now(b);
    ft_pool_run(b->pool, READ_BYTES / READ_CHUNK, read_chunk, b);
    return (double)READ_BYTES / (ns_now(b) - t);
}

#define FMA_ROUNDS 30000
#define FMA_CHAINS 12

/* Independent chains of multiply-adds; the compiler fuses them where the clone's target can. */
__attribute__((target_clones("arch=x86-64-v4", "arch=haswell", "default"),
               optimize("O3,fp-contract=fast"))) static float
fma_loop(float x)
{
    v16 a[FMA_CHAINS], m, c;
    for (int l = 0; l < 16; l++)
        m[l] = x, c[l] = x + (float)l;
    for (int i = 0; i < FMA_CHAINS; i++)
        a[i] = c + (float)i;
    for (int r = 0; r < FMA_ROUNDS; r++)
#pragma GCC unroll 12
        for (int i = 0; i < FMA_CHAINS; i++)
            a[i] = a[i] * m + c;
    float s = 0;
    for (int i = 0; i < FMA_CHAINS; i++)
        s += a[i][3];
    return s;
}

static void fma_chunk(void *ctx, int chunk, int worker)
{
    (void)chunk;
    struct bench *b = ctx;
    b->sink[worker * 8] += (double)fma_loop(0.5f);
}

/* f32 operations a nanosecond. */
static double fma_limit(struct bench *b)
{
    int chunks = 8 * b->n_threads;
    double t = ns_now(b);
    ft_pool_run(b->pool, chunks, fma_chunk, b);
    return 2.0 * 16 * FMA_CHAINS * FMA_ROUNDS * chunks / (ns_now(b) - t);
}

static struct ft_batch batch(const struct bench *b, struct ft_seg *seg, int n, int pos)
{
    *seg = (struct ft_seg){0, n, pos, b->block, -1};
    return (struct ft_batch){.n_rows = n, .n_segs = 1, .seg = seg};
}

static void attend_layers(struct bench *b, int layers, int n, int pos)
{
    struct ft_seg seg;
    struct ft_batch x = batch(b, &seg, n, pos);
    for (int l = 0; l < layers; l++)
        ft_dev_attend(b->dev, b->kv, l, &x, (struct ft_mat){b->q, Q_HEADS * D}, Q_HEADS, 0.088f,
                      (struct ft_mat){b->y, Q_HEADS * D});
}

static void store_all(struct bench *b, int n, int pos)
{
    struct ft_seg seg;
    struct ft_batch x = batch(b, &seg, n, pos);
    struct ft_mat k = {b->k, KV_HEADS * D};
    for (int l = 0; l < LAYERS; l++)
        ft_dev_kv_store(b->dev, b->kv, l, &x, k, k);
}

static void decode(struct bench *b, const char *what, int context)
{
    double rate[RUNS], part[RUNS], t_ns[RUNS];
    double bytes = (double)ft_dev_kv_block_bytes(b->dev, &b->shape) / FT_KV_BLOCK * context;
    for (int i = 0; i < RUNS; i++) {
        double limit = read_limit(b), t = ns_now(b);
        attend_layers(b, LAYERS, 1, context - 1);
        t_ns[i] = ns_now(b) - t;
        rate[i] = bytes / t_ns[i];
        part[i] = rate[i] / limit;
    }
    printf(
        "decode  %-4s threads %d  context %5d  %6.2f GB/s  %5.1f%% of reading  %8.1f us a token\n",
        what, b->n_threads, context, median(rate, RUNS), 100 * median(part, RUNS),
        median(t_ns, RUNS) / 1e3);
}

static void prefill(struct bench *b, int n)
{
    double rate[RUNS], part[RUNS];
    double flops = 0;
    for (int i = 0; i < n; i++)
        flops += 4.0 * D * Q_HEADS * (i + 1) * PREFILL_LAYERS;
    for (int i = 0; i < RUNS; i++) {
        double limit = fma_limit(b), t = ns_now(b);
        attend_layers(b, PREFILL_LAYERS, n, 0);
        rate[i] = flops / (ns_now(b) - t);
        part[i] = rate[i] / limit;
    }
    printf("prefill threads %d  tokens  %5d  %6.1f GFLOP/s  %5.1f%% of the f32 peak\n",
           b->n_threads, n, median(rate, RUNS), 100 * median(part, RUNS));
}

static void small_steps(struct bench *b)
{
    enum { MODEL = 1024, FF = 3072, REPS = 50 };
    double all[RUNS], store[RUNS], table[RUNS];
    static float w[FF], x[FF], u[FF], cs[D];
    double freq[D / 2];
    int32_t pos = 2047;
    for (int i = 0; i < FF; i++)
        w[i] = x[i] = u[i] = 1 + (float)i / FF;
    for (int i = 0; i < D / 2; i++)
        freq[i] = pow(1e6, -2.0 * i / D);
    struct ft_mat mx = {x, FF}, mu = {u, FF};
    for (int i = 0; i < RUNS; i++) {
        double t0 = ns_now(b);
        for (int r = 0; r < REPS; r++)
            ft_dev_rope_table(b->dev, freq, D, 1, &pos, 1, cs);
        double t1 = ns_now(b);
        for (int r = 0; r < REPS; r++)
            for (int l = 0; l < LAYERS; l++) {
                ft_dev_rmsnorm(b->dev, mx, 1, MODEL, w, 1e-6f, mu);
                ft_dev_heads(b->dev, (struct ft_mat){b->q, 0}, 1, Q_HEADS, D, w, 1e-6f, cs, 0, D,
                             FT_ROPE_HALVES);
                ft_dev_heads(b->dev, (struct ft_mat){b->k, 0}, 1, KV_HEADS, D, w, 1e-6f, cs, 0, D,
                             FT_ROPE_HALVES);
                ft_dev_rmsnorm(b->dev, mx, 1, MODEL, w, 1e-6f, mu);
                ft_dev_swiglu(b->dev, mx, mu, 1, FF, mu);
            }
        double t2 = ns_now(b);
        read_limit(b); /* the cache has gone, as between tokens */
        double t3 = ns_now(b);
        store_all(b, 1, 2047);
        store[i] = ns_now(b) - t3;
        table[i] = (t1 - t0) / REPS;
        all[i] = (t2 - t1) / REPS;
    }
    printf("small steps of a token, %d layers: %.1f us; rotary table %.2f us; store %.1f us\n",
           LAYERS, median(all, RUNS) / 1e3, median(table, RUNS) / 1e3, median(store, RUNS) / 1e3);
}

/* Opens a cache of the type and fills it. */
static void cache_open(struct bench *b, enum ft_kv_type type, int rows)
{
    static struct ft_kv_layer layer[LAYERS];
    struct ft_err err;
    for (int i = 0; i < LAYERS; i++)
        layer[i] = (struct ft_kv_layer){KV_HEADS, D, D, false, 0};
    b->shape = (struct ft_kv_shape){LAYERS, type, layer, getenv("FT_BF16") != NULL};
    if (ft_dev_kv_open(b->dev, &b->shape, BLOCKS, 0, &b->kv, &err) != 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    for (int pos = 0; pos < BLOCKS * FT_KV_BLOCK; pos += rows)
        store_all(b, rows, pos);
}

static void run(int n_threads)
{
    struct bench *b = calloc(1, sizeof *b);
    struct ft_dev_config cfg = {n_threads, getenv("FT_ISA")};
    struct ft_err err;
    size_t rows = 2048, width = (size_t)Q_HEADS * D;
    b->n_threads = n_threads;
    b->q = calloc(rows * width, sizeof(float));
    b->k = calloc(rows * width, sizeof(float));
    b->y = calloc(rows * width, sizeof(float));
    b->big = aligned_alloc(2 << 20, READ_BYTES);
    if (ft_dev_open(&ft_dev_cpu_ops, &cfg, &b->dev, &err) != 0 ||
        ft_pool_open(n_threads, &b->pool, &err) != 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    madvise(b->big, READ_BYTES, MADV_HUGEPAGE);
    memset(b->big, 1, READ_BYTES);
    for (size_t i = 0; i < rows * width; i++)
        b->q[i] = b->k[i] = (float)(i * 2654435761u % 1000) / 500 - 1;
    for (int i = 0; i < BLOCKS; i++)
        b->block[i] = (i * 37 + 11) % BLOCKS; /* no order in memory */
    printf("%s; reading %.1f GB/s, f32 %.0f GFLOP/s\n", ft_dev_describe(b->dev), read_limit(b),
           fma_limit(b));
    cache_open(b, FT_KV_F16, (int)rows);
    for (int context = 512; context <= 8192; context *= 4)
        decode(b, "f16", context);
    prefill(b, 512);
    prefill(b, 2048);
    small_steps(b);
    ft_dev_kv_close(b->dev, b->kv);
    cache_open(b, FT_KV_Q8, (int)rows);
    decode(b, "q8", 2048);
    ft_dev_kv_close(b->dev, b->kv);
    ft_pool_close(b->pool);
    ft_dev_close(b->dev);
    free(b->q);
    free(b->k);
    free(b->y);
    free(b->big);
    free(b);
}

/* usage: bench_attention [THREADS ...]; FT_ISA chooses the instruction set, FT_BF16 lets operands
 * be rounded. */
int main(int argc, char **argv)
{
    if (argc == 1) {
        run(1);
        run(2);
    }
    for (int i = 1; i < argc; i++)
        run(atoi(argv[i]));
    return 0;
}
