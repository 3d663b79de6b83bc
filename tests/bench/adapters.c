/* What adapters cost while 16 sequences decode together, and while their prompts are read: none,
 * one that all share, and one for each; rank 8 and 16, on all seven projections of every layer.
 *
 * usage: bench_adapters [SHAPE] [TYPE...]   (qwen3-0.6b Q4_0 Q8_0)
 *
 * One forward pass per figure, in turns, so that a slow minute of the machine meets all alike;
 * medians, and the ratio to none. The aim: at most 1.25 when 16 decode with one each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "engine/arch/model.h"
#include "engine/cpu/cpu.h"
#include "model/file/shape.h"

enum { SEQS = 16, CONTEXT = 128, CHUNK = 16, TURNS = 31, RANKS = 2, CASES = 1 + 2 * RANKS };

static const int rank_of[RANKS] = {8, 16};

struct rig {
    struct ft_dev *dev;
    struct ft_weights *w;
    struct ft_model *m;
    struct ft_kv *kv;
    struct ft_model_adapter *adapter[RANKS][SEQS];
};

static void fail(const struct ft_err *err)
{
    fprintf(stderr, "bench_adapters: %s\n", err->msg);
    exit(1);
}

static struct ft_weights *open_shape(const char *name, const char *type)
{
    struct ft_err err;
    struct ft_weights *w;
    const struct ft_shape *shape = ft_shape_by_name(name);
    int fd;
    if (shape == NULL) {
        fprintf(stderr, "bench_adapters: %s is none of %s\n", name, ft_shape_names());
        exit(1);
    }
    if (ft_shape_temp(shape, type, NULL, &fd, &err) != 0)
        fail(&err);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (ft_weights_open(path, &w, &err) != 0)
        fail(&err);
    close(fd);
    return w;
}

/* ---- adapters ---- */

static const char *const targets[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                      "ffn_gate", "ffn_up", "ffn_down"};

static float *noise(int64_t n, uint64_t stream)
{
    float *p = malloc((size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++)
        p[i] = (float)(0.02 * (ft_rand_unit(1, stream, (uint64_t)i) - 0.5));
    return p;
}

static struct ft_adapter *make_adapter(const struct rig *g, int rank, uint64_t seed)
{
    struct ft_adapter *a = calloc(1, sizeof *a);
    int n_layer = g->m->hp.n_layer;
    a->pair = calloc((size_t)n_layer * FT_COUNT(targets), sizeof *a->pair);
    for (int l = 0; l < n_layer; l++)
        for (size_t t = 0; t < FT_COUNT(targets); t++) {
            struct ft_adapter_pair *p = &a->pair[a->n++];
            snprintf(p->tensor, sizeof p->tensor, "blk.%d.%s.weight", l, targets[t]);
            const struct ft_tensor *base = ft_weights_find(g->w, p->tensor);
            p->n_in = base->dim[0];
            p->n_out = base->dim[1];
            p->rank = rank;
            p->scale = 1.0f / (float)rank;
            p->a = noise(rank * p->n_in, 4 * seed + 1);
            p->b = noise(rank * p->n_out, 4 * seed + 2);
        }
    return a;
}

static void add_adapters(struct rig *g)
{
    struct ft_err err;
    for (int r = 0; r < RANKS; r++)
        for (int i = 0; i < SEQS; i++) {
            struct ft_adapter *a = make_adapter(g, rank_of[r], (uint64_t)(r * SEQS + i));
            if (ft_model_adapter_open(g->m, a, &g->adapter[r][i], &err) != 0)
                fail(&err);
            ft_adapter_close(a);
        }
}

/* ---- passes ---- */

static int32_t table[SEQS][CONTEXT / FT_KV_BLOCK + 1];

/* n rows of every sequence from position pos on; seconds. Case 0: no adapters; then for each rank
 * one that all share and one for each. */
static double pass(struct rig *g, int which, int pos, int n, int n_out)
{
    static struct ft_seg seg[SEQS];
    static int32_t token[SEQS * CHUNK], at[SEQS * CHUNK], out[SEQS];
    int r = (which - 1) / 2;
    struct ft_batch b = {.token = token,
                         .pos = at,
                         .n_segs = SEQS,
                         .seg = seg,
                         .n_out = n_out,
                         .out_row = out,
                         .n_rows = SEQS * n};
    for (int i = 0; i < SEQS; i++) {
        seg[i] = (struct ft_seg){.row = i * n, .n = n, .pos = pos, .block = table[i], .state = -1};
        if (which > 0)
            seg[i].adapter = g->adapter[r][which % 2 == 1 ? 0 : i];
        for (int j = 0; j < n; j++) {
            token[i * n + j] = (i * 7919 + (pos + j) * 104729) % 1000 + 100;
            at[i * n + j] = pos + j;
        }
        out[i] = i * n + n - 1;
    }
    struct ft_err err;
    const float *logits;
    int64_t start = ft_clock_now_ns();
    if (ft_model_forward(g->m, g->kv, &b, n_out > 0 ? &logits : NULL, NULL, &err) != 0)
        fail(&err);
    return (double)(ft_clock_now_ns() - start) / 1e9;
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

/* n rows of every sequence a pass. */
static void measure(struct rig *g, const char *what, int n, int turns)
{
    static double t[CASES][TURNS], by[CASES][TURNS];
    for (int k = -1; k < turns; k++)
        for (int c = 0; c < CASES; c++) {
            double s = pass(g, c, CONTEXT, n, SEQS);
            if (k >= 0)
                t[c][k] = s;
        }
    for (int c = 0; c < CASES; c++)
        for (int k = 0; k < turns; k++)
            by[c][k] = t[c][k] / t[0][k];
    printf("  %d sequences, %s: none %.2f ms\n", SEQS, what, 1e3 * median(t[0], turns));
    for (int c = 1; c < CASES; c++) {
        int r = (c - 1) / 2;
        printf("    rank %2d, %-14s %6.1f MB  %8.2f ms  ratio %.3f\n", rank_of[r],
               c % 2 == 1 ? "one for all" : "one for each",
               (double)g->adapter[r][0]->lora->bytes * (c % 2 == 1 ? 1 : SEQS) / 1e6,
               1e3 * median(t[c], turns), median(by[c], turns));
    }
    fflush(stdout);
}

static void bench(const char *what, const char *type)
{
    struct ft_err err;
    struct rig g = {.w = open_shape(what, type)};
    struct ft_model_config cfg = {.kv_type = FT_KV_F16};
    int per_seq = CONTEXT / FT_KV_BLOCK + 1;
    if (ft_dev_open(&ft_dev_cpu_ops, NULL, &g.dev, &err) != 0 ||
        ft_model_open(g.dev, g.w, &cfg, &g.m, &err) != 0 ||
        ft_model_load(g.m, NULL, NULL, &err) != 0 ||
        ft_dev_kv_open(g.dev, &g.m->kv_shape, SEQS * per_seq, 0, &g.kv, &err) != 0)
        fail(&err);
    for (int i = 0; i < SEQS; i++)
        for (int j = 0; j < per_seq; j++)
            table[i][j] = i * per_seq + j;
    add_adapters(&g);
    printf("%s %s, %s\n", what, type, ft_dev_describe(g.dev));
    for (int pos = 0; pos < CONTEXT; pos += CHUNK)
        pass(&g, 0, pos, CHUNK, 0);
    measure(&g, "a token each", 1, TURNS);
    measure(&g, "16 tokens of their prompts each", CHUNK, TURNS / 3);
    for (int r = 0; r < RANKS; r++)
        for (int i = 0; i < SEQS; i++)
            ft_model_adapter_close(g.m, g.adapter[r][i]);
    ft_dev_kv_close(g.dev, g.kv);
    ft_model_close(g.m);
    ft_weights_close(g.w);
    ft_dev_close(g.dev);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "qwen3-0.6b";
    if (argc > 2)
        for (int i = 2; i < argc; i++)
            bench(what, argv[i]);
    else {
        bench(what, "Q4_0");
        bench(what, "Q8_0");
    }
    return 0;
}
