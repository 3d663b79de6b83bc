/* What a parallel region costs, and what a decode-like loop keeps beside busy processes.
 *
 * The loop: a "token" is 220 regions of 24 chunks; a region reads 8 MB from a buffer far larger
 * than the caches (memory-bound), or passes over 16 KB per chunk again and again
 * (arithmetic-bound). The reference is what simple engines do: fixed shares and a barrier that
 * spins without end. Neighbours are child processes that compute without pause. Every case is
 * measured in turns; the medians are printed, each also as a share of one thread alone.
 *
 * usage: bench_pool [SECONDS PER MEASUREMENT] [TURNS] */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pool.h"

#define REGIONS        220
#define REGION_BYTES   (8u << 20)
#define CHUNKS         24
#define BUFFER_BYTES   (512u << 20)
#define COMPUTE_BYTES  (16u << 10)
#define COMPUTE_PASSES 8
#define TURNS_MAX      31
#define NEIGHBOURS_MAX 2
#define THREADS_MAX    2

typedef uint64_t vec __attribute__((vector_size(32)));

struct loop {
    const vec *data;
    size_t at; /* of this region, in vectors */
    ft_pool_fn *chunk;
    vec sink[THREADS_MAX];
};

static void read_chunk(void *ctx, int chunk, int worker)
{
    struct loop *l = ctx;
    size_t n = REGION_BYTES / sizeof(vec), lo = n * (size_t)chunk / CHUNKS,
           hi = n * (size_t)(chunk + 1) / CHUNKS;
    const vec *p = l->data + l->at;
    vec a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = lo; i + 4 <= hi; i += 4) {
        a += p[i];
        b += p[i + 1];
        c += p[i + 2];
        d += p[i + 3];
    }
    l->sink[worker] += a + b + c + d;
}

static void compute_chunk(void *ctx, int chunk, int worker)
{
    struct loop *l = ctx;
    const vec *p = l->data + (size_t)chunk * COMPUTE_BYTES / sizeof(vec);
    vec a = {0}, b = {0};
    for (int pass = 0; pass < COMPUTE_PASSES; pass++) {
        for (size_t i = 0; i + 2 <= COMPUTE_BYTES / sizeof(vec); i += 2) {
            a = (a ^ p[i]) * 3;
            b = (b ^ p[i + 1]) * 5;
        }
    }
    l->sink[worker] += a + b;
}

/* The reference: a helper with a fixed half of the chunks, and a barrier that spins. */
struct spin_pair {
    pthread_t thread;
    atomic_uint begun, ended;
    atomic_bool stop;
    struct loop *loop;
};

static void *spin_helper(void *arg)
{
    struct spin_pair *s = arg;
    for (unsigned seen = 0;; seen++) {
        while (s->begun == seen && !s->stop)
            __builtin_ia32_pause();
        if (s->stop)
            return NULL;
        for (int i = CHUNKS / 2; i < CHUNKS; i++)
            s->loop->chunk(s->loop, i, 1);
        s->ended++;
    }
}

static void spin_run(struct spin_pair *s)
{
    unsigned target = s->ended + 1;
    s->begun++;
    for (int i = 0; i < CHUNKS / 2; i++)
        s->loop->chunk(s->loop, i, 0);
    while (s->ended != target)
        __builtin_ia32_pause();
}

/* Tokens per second; `spin` NULL: with the pool. */
static double measure(struct loop *l, struct ft_pool *pool, struct spin_pair *spin, double seconds)
{
    int64_t began = ft_clock_now_ns(), now = began;
    size_t regions = 0;
    while ((double)(now - began) < seconds * 1e9) {
        for (int i = 0; i < 20; i++, regions++) {
            l->at = regions * REGION_BYTES % BUFFER_BYTES / sizeof(vec);
            if (spin != NULL)
                spin_run(spin);
            else
                ft_pool_run(pool, CHUNKS, l->chunk, l);
        }
        now = ft_clock_now_ns();
    }
    return (double)regions / REGIONS / ((double)(now - began) * 1e-9);
}

static void start_neighbours(int n, pid_t *pids)
{
    for (int i = 0; i < n; i++) {
        pids[i] = fork();
        if (pids[i] != 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (volatile unsigned long x = 0;;)
            x++;
    }
    if (n > 0)
        usleep(50000);
}

static void stop_neighbours(int n, const pid_t *pids)
{
    for (int i = 0; i < n; i++) {
        if (pids[i] > 0) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static void nothing(void *ctx, int chunk, int worker)
{
    (void)ctx;
    (void)chunk;
    (void)worker;
}

static void print_region_cost(struct ft_pool *pool)
{
    static const int chunks[] = {2, 8, 24};
    for (size_t c = 0; c < FT_COUNT(chunks); c++) {
        double ns[15];
        for (size_t t = 0; t < FT_COUNT(ns); t++) {
            int64_t began = ft_clock_now_ns();
            for (int i = 0; i < 20000; i++)
                ft_pool_run(pool, chunks[c], nothing, NULL);
            ns[t] = (double)(ft_clock_now_ns() - began) / 20000;
        }
        printf("empty region of %2d chunks, 2 threads: %.0f ns\n", chunks[c],
               median(ns, (int)FT_COUNT(ns)));
    }
}

enum { ONE, TWO, SPIN, N_KINDS };

/* Every kind of pool beside 0 .. NEIGHBOURS_MAX busy processes; prints one table. */
static int compare(struct loop *loop, struct ft_pool **pools, const char *what, double seconds,
                   int turns)
{
    static const char *const names[N_KINDS] = {"pool, 1 thread", "pool, 2 threads",
                                               "reference, 2 threads"};
    static double got[NEIGHBOURS_MAX + 1][N_KINDS][TURNS_MAX];
    for (int t = 0; t < turns; t++) {
        for (int n = 0; n <= NEIGHBOURS_MAX; n++) {
            pid_t pids[NEIGHBOURS_MAX];
            start_neighbours(n, pids);
            got[n][ONE][t] = measure(loop, pools[0], NULL, seconds);
            got[n][TWO][t] = measure(loop, pools[1], NULL, seconds);
            struct spin_pair spin = {.loop = loop};
            if (pthread_create(&spin.thread, NULL, spin_helper, &spin) != 0)
                return 1;
            got[n][SPIN][t] = measure(loop, NULL, &spin, seconds);
            spin.stop = true;
            pthread_join(spin.thread, NULL);
            stop_neighbours(n, pids);
        }
    }
    printf("%-24s", what);
    for (int n = 0; n <= NEIGHBOURS_MAX; n++)
        printf("  %d neighbours  ", n);
    double unit = median(got[0][ONE], turns);
    for (int k = 0; k < N_KINDS; k++) {
        printf("\n  %-22s", names[k]);
        for (int n = 0; n <= NEIGHBOURS_MAX; n++) {
            double v = median(got[n][k], turns);
            printf("  %6.2f (%.2f)", v, v / unit);
        }
    }
    printf("\n");
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    int turns = argc > 2 ? atoi(argv[2]) : 5;
    turns = turns < 1 ? 1 : turns > TURNS_MAX ? TURNS_MAX : turns;
    struct ft_pool *pools[2] = {NULL};
    struct ft_err err;
    struct loop loop = {0};
    void *buffer = aligned_alloc(1u << 21, BUFFER_BYTES);
    if (buffer == NULL || ft_pool_open(1, &pools[0], &err) != 0 ||
        ft_pool_open(2, &pools[1], &err) != 0)
        return fprintf(stderr, "bench_pool: no memory or threads\n"), 1;
    memset(buffer, 1, BUFFER_BYTES);
    loop.data = buffer;
    print_region_cost(pools[1]);
    printf("tokens/s (as a share of one thread alone):\n");
    loop.chunk = read_chunk;
    int rc = compare(&loop, pools, "memory-bound", seconds, turns);
    loop.chunk = compute_chunk;
    rc |= compare(&loop, pools, "arithmetic-bound", seconds, turns);
    ft_pool_close(pools[1]);
    ft_pool_close(pools[0]);
    free(buffer);
    return rc | (loop.sink[0][0] == 42); /* keeps the reads */
}
