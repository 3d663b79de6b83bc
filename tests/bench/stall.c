/* What a long prompt costs those who are generating: the time between tokens of running sequences
 * before and while a prompt of 2,000 tokens is read, and what the prompt itself pays for that,
 * beside the same engine in the same run without the other.
 *
 * usage: bench_stall [MODEL.gguf | SHAPE] [TYPE]   (qwen3-0.6b Q4_0)
 *
 * Times are taken in the engine's callbacks. The aim: medians at most twice the normal. */
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/core/engine.h"
#include "engine/cpu/cpu.h"
#include "model/file/shape.h"

enum { PROMPT = 2000, NORMAL = 60, TOKENS_MAX = 4000, SEQS_MAX = 16 };

struct sequence {
    int64_t at[TOKENS_MAX]; /* of each token */
    atomic_int n;
    atomic_bool ended;
};

static struct sequence seq[SEQS_MAX];
static int32_t prompt[PROMPT];

static void on_event(void *ctx, const struct ft_event *ev)
{
    struct sequence *s = ctx;
    int n = atomic_load(&s->n);
    if (ev->kind == FT_EVENT_TOKEN && n < TOKENS_MAX) {
        s->at[n] = ft_clock_now_ns();
        atomic_store(&s->n, n + 1);
    }
    if (ev->kind == FT_EVENT_END)
        atomic_store(&s->ended, true);
}

static void fail(const struct ft_err *err)
{
    fprintf(stderr, "bench_stall: %s\n", err->msg);
    exit(1);
}

static uint64_t submit(struct ft_engine *e, struct sequence *s, int n_prompt, int max_tokens)
{
    struct ft_request r;
    struct ft_err err;
    uint64_t id;
    atomic_store(&s->n, 0);
    atomic_store(&s->ended, false);
    ft_request_init(&r);
    r.model = "m";
    r.prompt = prompt;
    r.n_prompt = (size_t)n_prompt;
    r.max_tokens = max_tokens;
    r.sampling.temperature = 0;
    r.ignore_eos = true;
    r.prefix_cache = false;
    r.on_event = on_event;
    r.ctx = s;
    if (ft_engine_submit(e, &r, &id, NULL, &err) != 0)
        fail(&err);
    return id;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Times between tokens of the first n sequences, both ends within [from, to]; returns how many. */
static int gaps(int n, int64_t from, int64_t to, double *out)
{
    int k = 0;
    for (int i = 0; i < n; i++)
        for (int j = 1; j < atomic_load(&seq[i].n); j++)
            if (seq[i].at[j - 1] >= from && seq[i].at[j] <= to)
                out[k++] = (double)(seq[i].at[j] - seq[i].at[j - 1]) / 1e6;
    qsort(out, (size_t)k, sizeof *out, by_size);
    return k;
}

/* Reads the prompt and makes one token; seconds until that came. */
static double read_prompt(struct ft_engine *e)
{
    static struct sequence s;
    int64_t start = ft_clock_now_ns();
    submit(e, &s, PROMPT, 1);
    while (!atomic_load(&s.ended))
        usleep(500);
    return (double)(s.at[0] - start) / 1e9;
}

static void measure(struct ft_engine *e, int n)
{
    static double x[SEQS_MAX * TOKENS_MAX], y[SEQS_MAX * TOKENS_MAX];
    uint64_t id[SEQS_MAX];
    double alone = read_prompt(e);
    for (int i = 0; i < n; i++)
        id[i] = submit(e, &seq[i], 16, TOKENS_MAX);
    while (atomic_load(&seq[n - 1].n) < 8)
        usleep(500);
    int64_t t0 = ft_clock_now_ns();
    int had = atomic_load(&seq[0].n);
    while (atomic_load(&seq[0].n) < had + NORMAL)
        usleep(500);
    int64_t t1 = ft_clock_now_ns();
    double beside = read_prompt(e);
    int64_t t2 = ft_clock_now_ns();
    for (int i = 0; i < n; i++)
        ft_engine_cancel(e, id[i]);
    for (int i = 0; i < n; i++)
        while (!atomic_load(&seq[i].ended))
            usleep(500);
    int a = gaps(n, t0, t1, x), b = gaps(n, t1, t2, y);
    if (a == 0 || b == 0)
        return;
    printf("%7d %10.1f %10.1f %7.2f %7.2f %7.2f %9.2f s %9.2f s %7.2f\n", n, x[a / 2], y[b / 2],
           y[b / 2] / x[a / 2], y[b * 99 / 100] / x[a / 2], y[b - 1] / x[a / 2], alone, beside,
           beside / alone);
}

static struct ft_weights *open_weights(const char *what, const char *type)
{
    struct ft_err err;
    struct ft_weights *w;
    const struct ft_shape *shape = ft_shape_by_name(what);
    if (shape == NULL) {
        if (ft_weights_open(what, &w, &err) != 0)
            fail(&err);
        return w;
    }
    int fd;
    if (ft_shape_temp(shape, type, NULL, &fd, &err) != 0)
        fail(&err);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (ft_weights_open(path, &w, &err) != 0)
        fail(&err);
    close(fd);
    return w;
}

int main(int argc, char **argv)
{
    static const int batch[] = {1, 4, 16};
    const char *what = argc > 1 ? argv[1] : "qwen3-0.6b", *type = argc > 2 ? argv[2] : "Q4_0";
    struct ft_err err;
    struct ft_dev *dev;
    struct ft_engine *e;
    struct ft_engine_config cfg;
    ft_engine_config_init(&cfg);
    if (ft_dev_open(&ft_dev_cpu_ops, NULL, &dev, &err) != 0 ||
        ft_engine_open(dev, &cfg, &e, &err) != 0)
        fail(&err);
    struct ft_weights *w = open_weights(what, type);
    if (ft_engine_model_add_open(e, "m", w, NULL, NULL, &err) != 0 ||
        ft_engine_model_load(e, "m", NULL, NULL, &err) != 0)
        fail(&err);
    for (int i = 0; i < PROMPT; i++)
        prompt[i] = 100 + i * 7919 % 800;
    printf("%s %s, %s\na prompt of %d tokens beside running sequences; times between tokens\n",
           what, type, ft_dev_describe(dev), PROMPT);
    printf("running  normal ms  beside ms  median     p99     max  ttft alone  beside    ratio\n");
    for (size_t i = 0; i < FT_COUNT(batch); i++)
        measure(e, batch[i]);
    ft_engine_close(e);
    ft_dev_close(dev);
    return 0;
}
