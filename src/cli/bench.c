/* Measuring: prefill, decode, batched decode, each as the median of its steps, and the limits
 * they are held against. */
#include "cli/bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"

void ft_bench_say(const char *fmt, ...)
{
    va_list args;
    if (isatty(STDERR_FILENO) != 1)
        return;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputs(" ...\n", stderr);
}

/* ---- limits ---- */

/* Work of one token: bytes of weights read, and products by the format they run in. */
struct work {
    double bytes, int8_ops, bf16_ops, f32_ops;
};

static void add_tensor(struct work *w, const struct ft_tensor *t, double share)
{
    double ops = 2.0 * (double)t->dim[0] * (double)t->dim[1] * (double)t->dim[2] * share;
    w->bytes += (double)t->part_bytes * t->n_parts * share;
    if (t->type == FT_F32 || t->type == FT_F16)
        w->f32_ops += ops;
    else if (t->type == FT_BF16)
        w->bf16_ops += ops;
    else
        w->int8_ops += ops;
}

/* body: everything a prompt token passes; output: the last product, for tokens that are sampled. */
static void model_work(const struct ft_model *m, struct work *body, struct work *output)
{
    *body = *output = (struct work){0};
    bool tied = ft_weights_find(m->file, "output.weight") == NULL;
    for (int i = 0; i < ft_weights_count(m->file); i++) {
        const struct ft_tensor *t = ft_weights_at(m->file, i);
        if (t->n_dims < 2)
            continue;
        if (strcmp(t->name, tied ? "token_embd.weight" : "output.weight") == 0)
            add_tensor(output, t, 1);
        else if (strstr(t->name, "_exps.") != NULL)
            add_tensor(body, t, (double)m->hp.n_expert_used / m->hp.n_expert);
        else if (strcmp(t->name, "token_embd.weight") != 0)
            add_tensor(body, t, 1);
    }
}

static double compute_s(const struct work *w, const struct ft_cpu_limits *c)
{
    return w->int8_ops / (c->int8_gop_s * 1e9) + w->bf16_ops / (c->bf16_gflop_s * 1e9) +
           w->f32_ops / (c->f32_gflop_s * 1e9);
}

/* f32 operations and bytes of attention for one token with `ctx` tokens before it. */
static void attention_work(const struct ft_model *m, double ctx, double *ret_ops, double *ret_bytes)
{
    *ret_ops = 0;
    for (int i = 0; i < m->hp.n_layer; i++) {
        const struct ft_kv_layer *l = &m->kv_layer[i];
        if (l->n_head > 0)
            *ret_ops += 2.0 * m->hp.n_head * (l->d_k + l->d_v) * ctx;
    }
    *ret_bytes = (double)ft_dev_kv_block_bytes(m->dev, &m->kv_shape) / FT_KV_BLOCK * ctx;
}

/* Tokens per second of `n` sequences decoding together at context ctx. */
static double decode_limit(const struct ft_model *m, int n, double ctx,
                           const struct ft_cpu_limits *c)
{
    struct work body, output;
    double ops, bytes;
    model_work(m, &body, &output);
    attention_work(m, ctx, &ops, &bytes);
    double read = (body.bytes + output.bytes + n * bytes) / (c->read_gb_s * 1e9);
    double compute =
        n * (compute_s(&body, c) + compute_s(&output, c) + ops / (c->f32_gflop_s * 1e9));
    return n / fmax(read, compute);
}

void ft_bench_limits(const struct ft_model *m, const struct ft_bench_config *cfg,
                     const struct ft_cpu_limits *c, struct ft_bench_rates *ret)
{
    struct work body, output;
    model_work(m, &body, &output);
    *ret = (struct ft_bench_rates){0};
    if (cfg->n_prefill > 0) {
        double n = cfg->n_prefill;
        double compute = n * compute_s(&body, c) + compute_s(&output, c);
        double read = (body.bytes + output.bytes) / (c->read_gb_s * 1e9);
        ret->prefill = n / fmax(read, compute);
    }
    double ctx = cfg->depth + cfg->n_decode / 2.0;
    if (cfg->n_decode > 0)
        ret->decode = decode_limit(m, 1, ctx, c);
    for (int i = 0; i < cfg->n_batch; i++)
        ret->batch[i] = decode_limit(m, cfg->batch[i], ctx, c);
}

/* ---- the process ---- */

double ft_bench_since_start(void)
{
    FILE *f = fopen("/proc/self/stat", "r");
    unsigned long long ticks = 0;
    char line[1024];
    bool ok = f != NULL && fgets(line, sizeof line, f) != NULL;
    if (f != NULL)
        fclose(f);
    const char *p = ok ? strrchr(line, ')') : NULL; /* the name may hold spaces */
    for (int field = 2; p != NULL && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (p == NULL || sscanf(p, "%llu", &ticks) != 1)
        return 0;
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec -
           (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

/* Resident pages of this process, in bytes: all, and those of files. */
static void resident_bytes(double *ret_all, double *ret_file)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long all = 0, resident = 0, shared = 0;
    if (f != NULL) {
        if (fscanf(f, "%lu %lu %lu", &all, &resident, &shared) != 3)
            resident = shared = 0;
        fclose(f);
    }
    double page = (double)sysconf(_SC_PAGESIZE);
    *ret_all = (double)resident * page;
    *ret_file = (double)shared * page;
}

/* ---- measuring ---- */

struct run {
    struct ft_local *l;
    const struct ft_bench_config *cfg;
    int max_size;       /* largest batch */
    int seq_blocks;     /* cache blocks of one sequence */
    int32_t *block;     /* [max_size, seq_blocks] */
    int32_t *token;     /* [rows] */
    int32_t *pos, *out; /* [max_size] */
    struct ft_seg *seg; /* [max_size] */
    double *time;       /* [n_decode] */
};

static int blocks_of(int n_tokens)
{
    return (n_tokens + FT_KV_BLOCK - 1) / FT_KV_BLOCK;
}

static int seq_tokens(const struct ft_bench_config *cfg)
{
    int n = FT_MAX(cfg->n_prefill, cfg->depth + cfg->n_decode);
    return blocks_of(n) * FT_KV_BLOCK;
}

static int max_size(const struct ft_bench_config *cfg)
{
    int n = 1;
    for (int i = 0; i < cfg->n_batch; i++)
        n = FT_MAX(n, cfg->batch[i]);
    return n;
}

int ft_bench_tokens(const struct ft_bench_config *cfg)
{
    return max_size(cfg) * seq_tokens(cfg);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static int32_t some_token(const struct run *r, int i)
{
    return (int32_t)(ft_rand_u64(1, 2, (uint64_t)i) % (uint64_t)r->l->model->hp.n_vocab);
}

/* One step of `size` sequences at position pos each, with logits. */
static int step(struct run *r, int size, int pos, struct ft_err *err)
{
    for (int i = 0; i < size; i++) {
        r->token[i] = some_token(r, pos * size + i);
        r->pos[i] = pos;
        r->out[i] = i;
        r->seg[i] = (struct ft_seg){.row = i,
                                    .n = 1,
                                    .pos = pos,
                                    .block = r->block + (int64_t)i * r->seq_blocks,
                                    .state = -1};
    }
    struct ft_batch b = {.n_rows = size,
                         .token = r->token,
                         .pos = r->pos,
                         .n_segs = size,
                         .seg = r->seg,
                         .n_out = size,
                         .out_row = r->out};
    const float *logits;
    return ft_model_forward(r->l->model, r->l->kv, &b, &logits, NULL, err);
}

static int decode(struct run *r, int size, double *ret_rate, struct ft_err *err)
{
    int rc = 0, n = r->cfg->n_decode;
    for (int i = -2; i < n && rc == 0; i++) { /* two steps to warm up */
        int64_t start = ft_clock_now_ns();
        rc = step(r, size, r->cfg->depth + FT_MAX(i, 0), err);
        if (i >= 0)
            r->time[i] = 1e-9 * (double)(ft_clock_now_ns() - start);
    }
    if (rc == 0)
        *ret_rate = size / median(r->time, n);
    return rc;
}

static int prompt(struct run *r, int n, int first_block, struct ft_err *err)
{
    for (int i = 0; i < n; i++)
        r->token[i] = some_token(r, i);
    return ft_local_feed(r->l, r->token, n, 0, first_block, FT_LOCAL_LAST, NULL, NULL, err);
}

static int prefill(struct run *r, double *ret_rate, struct ft_err *err)
{
    int rc = 0, n = r->cfg->n_prefill, repeat = r->cfg->repeat;
    double time[FT_BENCH_REPEAT_MAX];
    for (int i = -1; i < repeat && rc == 0; i++) { /* one to warm up */
        int64_t start = ft_clock_now_ns();
        rc = prompt(r, n, 0, err);
        if (i >= 0)
            time[i] = 1e-9 * (double)(ft_clock_now_ns() - start);
    }
    if (rc == 0)
        *ret_rate = n / median(time, repeat);
    return rc;
}

static int fill_depth(struct run *r, struct ft_err *err)
{
    int rc = 0;
    for (int i = 0; i < r->max_size && rc == 0 && r->cfg->depth > 0; i++)
        rc = prompt(r, r->cfg->depth, i * r->seq_blocks, err);
    return rc;
}

/* Blocks that were written: the first sequence had the prompt too, the others only decoded. */
static int blocks_used(const struct run *r)
{
    int decoded = r->cfg->n_decode > 0 ? blocks_of(r->cfg->depth + r->cfg->n_decode) : 0;
    return FT_MAX(blocks_of(r->cfg->n_prefill), decoded) + (r->max_size - 1) * decoded;
}

/* Weights used where the file maps them are resident as far as they were touched. */
static void overhead(struct run *r, double *ret)
{
    struct ft_model *m = r->l->model;
    double kv = (double)blocks_used(r) * (double)ft_dev_kv_block_bytes(m->dev, &m->kv_shape);
    double mapped = 0, all, file;
    for (int i = 0; i < m->n_weights; i++)
        if (ft_type_is_float(m->weight[i]->type))
            mapped += (double)ft_dev_weight_bytes(m->dev, m->weight[i]);
    resident_bytes(&all, &file);
    double packed = (double)ft_model_weight_bytes(m) - mapped;
    *ret = all - packed - kv - fmin(mapped, file);
}

static int measure(struct run *r, struct ft_bench_result *res, struct ft_err *err)
{
    int rc = 0;
    if (r->cfg->n_prefill > 0) {
        ft_bench_say("prefill: %d tokens, %d times", r->cfg->n_prefill, r->cfg->repeat + 1);
        rc = prefill(r, &res->got.prefill, err);
    }
    if (rc == 0 && r->cfg->depth > 0)
        ft_bench_say("reading %d tokens to decode behind", r->cfg->depth);
    if (rc == 0)
        rc = fill_depth(r, err);
    if (rc == 0 && r->cfg->n_decode > 0) {
        ft_bench_say("decode: %d tokens", r->cfg->n_decode);
        rc = decode(r, 1, &res->got.decode, err);
    }
    for (int i = 0; i < r->cfg->n_batch && rc == 0 && r->cfg->n_decode > 0; i++) {
        ft_bench_say("decode %d together: %d tokens each", r->cfg->batch[i], r->cfg->n_decode);
        rc = decode(r, r->cfg->batch[i], &res->got.batch[i], err);
    }
    if (rc == 0)
        overhead(r, &res->overhead_bytes);
    return rc;
}

int ft_bench_run(struct ft_local *l, const struct ft_bench_config *cfg, struct ft_bench_result *res,
                 struct ft_err *err)
{
    struct run r = {.l = l, .cfg = cfg, .max_size = max_size(cfg)};
    r.seq_blocks = seq_tokens(cfg) / FT_KV_BLOCK;
    size_t size = (size_t)r.max_size, tokens = (size_t)(seq_tokens(cfg) + r.max_size + 1);
    r.block = calloc(size * (size_t)r.seq_blocks + 1, sizeof *r.block);
    r.token = calloc(tokens, sizeof *r.token);
    r.pos = calloc(size, sizeof *r.pos);
    r.out = calloc(size, sizeof *r.out);
    r.seg = calloc(size, sizeof *r.seg);
    r.time = calloc((size_t)cfg->n_decode + 1, sizeof *r.time);
    int rc;
    if (r.block == NULL || r.token == NULL || r.pos == NULL || r.out == NULL || r.seg == NULL ||
        r.time == NULL) {
        rc = ft_err_set(err, FT_ENOMEM, "bench: no memory");
    } else {
        for (int i = 0; i < r.max_size * r.seq_blocks; i++)
            r.block[i] = i;
        rc = measure(&r, res, err);
    }
    free(r.block);
    free(r.token);
    free(r.pos);
    free(r.out);
    free(r.seg);
    free(r.time);
    return rc;
}
