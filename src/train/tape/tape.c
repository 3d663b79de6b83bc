/* The training device: life, memory, and the tape itself.
 *
 * Passes. Running a step pushes a `struct op` and calls its kind's run function, which computes
 * and, while recording, keeps what the way back needs. ft_tape_backward walks the ops from the last
 * to the first through their back functions. With recompute, ops of a layer keep nothing at first;
 * the layer's input is copied instead, and before the layer is walked back its ops are run once
 * more from that copy, keeping this time.
 *
 * Gradients. Every matrix has a shadow at the same place of a second mapping. A step that sets y
 * uses up y's gradient (y's old value had no influence on what follows); a step that adds to y
 * leaves it. Which shadows hold something is noted by the matrix's address (`live`), so nothing is
 * ever cleared just to be added to.
 *
 * Measuring runs a pass of the largest batch in which nothing is computed, only counted; all memory
 * of later passes is taken then. */
#include "train/tape/tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu_isa.h"
#include "base/pages.h"
#include "train/tape/impl.h"

#define ALIGN     64
#define PAGES_MIN ((size_t)1 << 20) /* above this, large pages of their own */

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

void *ft_tape_memory(size_t bytes)
{
    if (bytes >= PAGES_MIN)
        return ft_pages_alloc(bytes, true);
    return aligned_alloc(ALIGN, rounded(FT_MAX(bytes, (size_t)1)));
}

void ft_tape_memory_free(void *p, size_t bytes)
{
    if (bytes >= PAGES_MIN)
        ft_pages_free(p, bytes);
    else
        free(p);
}

/* ---- device memory ---- */

static void *mem_alloc(struct ft_dev *d, size_t bytes)
{
    struct tape *t = ft_tape_of(d);
    if (t->n_regions == FT_TAPE_REGIONS_MAX)
        return NULL;
    struct region *grown = realloc(t->region, ((size_t)t->n_regions + 1) * sizeof *grown);
    if (grown == NULL)
        return NULL;
    t->region = grown;
    char *p = ft_tape_memory(bytes);
    if (p == NULL)
        return NULL;
    int at = t->n_regions++;
    for (; at > 0 && grown[at - 1].p > p; at--)
        grown[at] = grown[at - 1];
    grown[at] = (struct region){.p = p, .bytes = bytes, .param = -1};
    return p;
}

struct region *ft_tape_region(const struct tape *t, const void *p)
{
    int lo = 0, hi = t->n_regions;
    while (hi - lo > 1) {
        int mid = (lo + hi) / 2;
        if (t->region[mid].p <= (const char *)p)
            lo = mid;
        else
            hi = mid;
    }
    FT_ASSERT(lo < t->n_regions && (const char *)p >= t->region[lo].p &&
              (const char *)p < t->region[lo].p + rounded(t->region[lo].bytes));
    return &t->region[lo];
}

static void mem_free(struct ft_dev *d, void *p, size_t bytes)
{
    (void)bytes;
    struct tape *t = ft_tape_of(d);
    struct region *r = ft_tape_region(t, p);
    ft_tape_memory_free(r->shadow, r->bytes);
    ft_tape_memory_free(r->p, r->bytes);
    size_t after = (size_t)(&t->region[t->n_regions] - (r + 1));
    memmove(r, r + 1, after * sizeof *r);
    t->n_regions--;
}

static void upload(struct ft_dev *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    memcpy(dst, src, bytes);
}

static const void *host_view(struct ft_dev *d, const void *p, size_t bytes)
{
    (void)d;
    (void)bytes;
    return p;
}

/* The shadow of the region that holds p, made when first wanted. */
static char *shadow_of(struct tape *t, const float *p)
{
    struct region *r = ft_tape_region(t, p);
    if (r->shadow == NULL) {
        r->shadow = ft_tape_memory(r->bytes);
        FT_ASSERT(r->shadow != NULL);
    }
    return r->shadow + ((const char *)p - r->p);
}

struct ft_mat ft_tape_grad(struct tape *t, struct ft_mat m)
{
    return (struct ft_mat){(float *)shadow_of(t, m.p), m.ld};
}

bool ft_tape_is_live(const struct tape *t, struct ft_mat m)
{
    for (int i = 0; i < t->n_live; i++)
        if (t->live[i].p == m.p)
            return true;
    return false;
}

void ft_tape_set_live(struct tape *t, struct ft_mat m, bool live)
{
    for (int i = 0; i < t->n_live; i++)
        if (t->live[i].p == m.p) {
            if (!live)
                t->live[i] = t->live[--t->n_live];
            return;
        }
    if (live) {
        FT_ASSERT(t->n_live < FT_TAPE_LIVE_MAX);
        t->live[t->n_live++] = m;
    }
}

/* ---- what is kept, and work ---- */

void *ft_tape_keep(struct tape *t, size_t bytes)
{
    if (!ft_tape_keeps(t))
        return NULL;
    size_t at = t->keep_at;
    t->keep_at += rounded(bytes);
    t->keep_peak = FT_MAX(t->keep_peak, t->keep_at);
    if (t->mode == PASS_MEASURE)
        return NULL;
    FT_ASSERT(t->keep_at <= t->keep_bytes); /* measured for batches no smaller than this */
    return t->keep + at;
}

struct save_ctx {
    struct ft_mat x;
    struct ft_saved s;
};

static void save_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct save_ctx *c = ctx;
    for (int i = at; i < at + n; i++) {
        const float *x = c->x.p + i * c->x.ld;
        if (c->s.type == FT_BF16)
            t->vec->to_bf16(x, (int)c->s.width, (uint16_t *)c->s.p + i * c->s.width);
        else
            memcpy((float *)c->s.p + i * c->s.width, x, (size_t)c->s.width * sizeof *x);
    }
}

struct ft_saved ft_tape_save(struct tape *t, struct ft_mat x, int n, int64_t width, bool whole)
{
    struct save_ctx c = {x, {NULL, FT_F32, width}};
    if (t->math == FT_GEMM_BF16 && !whole)
        c.s.type = FT_BF16;
    size_t elem = c.s.type == FT_BF16 ? 2 : 4;
    c.s.p = ft_tape_keep(t, (size_t)n * (size_t)width * elem);
    if (c.s.p != NULL)
        ft_tape_rows(t, n, width, save_rows, &c);
    return c.s;
}

const float *ft_tape_row(const struct tape *t, const struct ft_saved *s, int i, float *tmp)
{
    if (s->type == FT_F32)
        return (const float *)s->p + i * s->width;
    t->vec->from_bf16((const uint16_t *)s->p + i * s->width, (int)s->width, tmp);
    return tmp;
}

struct ft_gemm_in ft_tape_in(const struct ft_saved *s, bool trans)
{
    return (struct ft_gemm_in){.p = s->p, .type = s->type, .ld = s->width, .trans = trans};
}

void *ft_tape_worker_work(struct tape *t, int worker, size_t bytes)
{
    if (t->mode == PASS_MEASURE)
        t->worker_want = FT_MAX(t->worker_want, rounded(bytes));
    FT_ASSERT(t->mode == PASS_MEASURE || bytes <= t->worker_bytes);
    return t->worker_work == NULL ? NULL : t->worker_work + (size_t)worker * t->worker_bytes;
}

void *ft_tape_work(struct tape *t, size_t bytes)
{
    if (t->mode == PASS_MEASURE)
        t->work_want = FT_MAX(t->work_want, bytes);
    FT_ASSERT(t->mode == PASS_MEASURE || bytes <= t->work_bytes);
    return t->work;
}

/* ---- spreading ---- */

#define ROW_CHUNK_ELEMS 16384 /* some microseconds of a row kernel */
#define COL_CHUNK       64

struct spread {
    struct tape *t;
    ft_tape_rows_fn *fn;
    void *ctx;
    int n, step;
};

static void spread_chunk(void *ctx, int chunk, int worker)
{
    const struct spread *s = ctx;
    int at = chunk * s->step;
    s->fn(s->t, s->ctx, at, FT_MIN(s->step, s->n - at), worker);
}

static void spread(struct tape *t, int n, int step, ft_tape_rows_fn *fn, void *ctx)
{
    struct spread s = {t, fn, ctx, n, step};
    ft_pool_run(t->pool, (n + step - 1) / step, spread_chunk, &s);
}

void ft_tape_rows(struct tape *t, int n, int64_t width, ft_tape_rows_fn *fn, void *ctx)
{
    spread(t, n, (int)FT_MAX(1, ROW_CHUNK_ELEMS / FT_MAX(width, (int64_t)1)), fn, ctx);
}

void ft_tape_cols(struct tape *t, int64_t width, ft_tape_rows_fn *fn, void *ctx)
{
    spread(t, (int)width, COL_CHUNK, fn, ctx);
}

void ft_tape_each(struct tape *t, int n, ft_tape_rows_fn *fn, void *ctx)
{
    spread(t, n, 1, fn, ctx);
}

void ft_tape_gemm(struct tape *t, const struct ft_gemm_args *a)
{
    t->flops += 2.0 * (double)a->m * (double)a->n * (double)a->k;
    ft_gemm_run(t->gemm, a);
}

/* ---- the tape ---- */

static const struct {
    void (*run)(struct tape *t, struct op *op);
    void (*back)(struct tape *t, struct op *op);
} steps[] = {
    [OP_EMBED] = {ft_tape_run_embed, ft_tape_back_embed},
    [OP_GATHER] = {ft_tape_run_gather, ft_tape_back_gather},
    [OP_RMSNORM] = {ft_tape_run_rmsnorm, ft_tape_back_rmsnorm},
    [OP_LINEAR] = {ft_tape_run_linear, ft_tape_back_linear},
    [OP_HEADS] = {ft_tape_run_heads, ft_tape_back_heads},
    [OP_ATTEND] = {ft_tape_run_attend, ft_tape_back_attend},
    [OP_SWIGLU] = {ft_tape_run_swiglu, ft_tape_back_swiglu},
};

void ft_tape_step(struct tape *t, const struct op *op)
{
    FT_ASSERT(t->n_ops < FT_TAPE_OPS_MAX);
    struct op *at = &t->op[t->n_ops];
    *at = *op;
    /* inside a layer that is made again later nothing is kept now */
    enum pass_mode mode = t->mode;
    if (mode == PASS_RECORD && t->recompute && t->n_layers > 0)
        t->mode = PASS_RUN;
    steps[op->kind].run(t, at);
    t->mode = mode;
    if (mode != PASS_RUN)
        t->n_ops++;
}

/* A layer begins: x is all that later steps read of earlier ones. */
static void layer(struct ft_dev *d, int i, struct ft_mat x, int n, int d_model)
{
    struct tape *t = ft_tape_of(d);
    if (t->mode == PASS_RUN)
        return;
    FT_ASSERT(i == t->n_layers && i < FT_LAYERS_MAX);
    struct layer_mark *l = &t->layer[t->n_layers++];
    *l = (struct layer_mark){.op = t->n_ops, .x = x, .n = n, .width = d_model};
    if (!t->recompute)
        return;
    if (i == 0)
        t->keep_base = t->keep_at;
    if (t->mode == PASS_MEASURE) { /* the copies stay; of the layers only one is kept at a time */
        t->copy_bytes += rounded((size_t)n * (size_t)d_model * sizeof(float));
        t->keep_at = t->keep_base;
    } else {
        l->copy = ft_tape_save(t, x, n, d_model, true).p;
    }
}

static void back_ops(struct tape *t, int from, int to)
{
    for (int i = to - 1; i >= from; i--)
        steps[t->op[i].kind].back(t, &t->op[i]);
}

/* Runs the steps of layer i once more, keeping. */
static void remake(struct tape *t, const struct layer_mark *l, int end)
{
    for (int i = 0; i < l->n; i++)
        memcpy(l->x.p + i * l->x.ld, l->copy + (size_t)i * (size_t)l->width,
               (size_t)l->width * sizeof(float));
    for (int i = l->op; i < end; i++)
        steps[t->op[i].kind].run(t, &t->op[i]);
}

void ft_tape_backward(struct ft_dev *d)
{
    struct tape *t = ft_tape_of(d);
    FT_ASSERT(t->mode == PASS_RECORD);
    int end = t->n_ops;
    for (int i = t->n_layers - 1; i >= 0; i--) {
        const struct layer_mark *l = &t->layer[i];
        size_t at = t->keep_at;
        if (t->recompute)
            remake(t, l, end);
        back_ops(t, l->op, end);
        t->keep_at = at;
        end = l->op;
    }
    back_ops(t, 0, end);
    t->n_live = 0;
    t->n_ops = t->n_layers = 0;
    t->keep_at = 0;
    t->mode = PASS_RUN;
    t->recording = false;
}

void ft_tape_begin(struct ft_dev *d, bool record, uint64_t step)
{
    struct tape *t = ft_tape_of(d);
    t->mode = record ? PASS_RECORD : PASS_RUN;
    t->recording = record;
    t->step = step;
    t->n_ops = t->n_layers = t->n_live = 0;
    t->keep_at = 0;
}

/* ---- sizes ---- */

void ft_tape_measuring(struct tape *t)
{
    t->mode = PASS_MEASURE;
    t->recording = false;
    t->n_ops = t->n_layers = t->n_live = 0;
    t->keep_at = t->keep_peak = t->keep_base = t->copy_bytes = 0;
    t->worker_want = t->work_want = 0;
}

static int measure(struct tape *t, struct ft_model *m, struct ft_kv *kv, struct ft_err *err)
{
    int n = m->max_rows;
    int32_t *ids = calloc(3 * (size_t)n, sizeof *ids);
    if (ids == NULL)
        return ft_err_set(err, FT_ENOMEM, "a batch of %d rows: no memory", n);
    for (int i = 0; i < n; i++)
        ids[n + i] = ids[2 * n + i] = i;
    struct ft_seg seg = {.row = 0, .n = n, .pos = 0, .state = -1};
    struct ft_batch b = {.n_rows = n,
                         .token = ids,
                         .pos = ids + n,
                         .n_segs = 1,
                         .seg = &seg,
                         .n_out = n,
                         .out_row = ids + 2 * n};
    ft_tape_measuring(t);
    /* weights need not be there: nothing is computed */
    m->arch->forward(m, kv, &b, (struct ft_mat){m->hidden, m->hp.d_model});
    ft_tape_measure_loss(t, m);
    t->mode = PASS_RUN;
    t->n_ops = t->n_layers = 0;
    free(ids);
    return 0;
}

static uint64_t pass_bytes(const struct tape *t)
{
    uint64_t sum = t->keep_peak + t->copy_bytes + t->work_want;
    sum += (uint64_t)ft_pool_size(t->pool) * t->worker_want;
    for (int i = 0; i < t->n_regions; i++) /* parameters that live there have their own gradient */
        sum += t->region[i].bytes * (t->region[i].param < 0 ? 2 : 1);
    return sum + FT_GEMM_SHARED_BYTES + (uint64_t)ft_pool_size(t->pool) * FT_GEMM_WORKER_BYTES;
}

int ft_tape_measure(struct ft_dev *d, struct ft_model *m, struct ft_kv *kv, uint64_t *ret_bytes,
                    struct ft_err *err)
{
    int rc = measure(ft_tape_of(d), m, kv, err);
    if (rc == 0)
        *ret_bytes = pass_bytes(ft_tape_of(d));
    return rc;
}

static void free_work(struct tape *t)
{
    ft_tape_memory_free(t->keep, t->keep_bytes);
    ft_tape_memory_free(t->work, t->work_bytes);
    ft_tape_memory_free(t->worker_work, t->worker_bytes * (size_t)ft_pool_size(t->pool));
    t->keep = t->work = t->worker_work = NULL;
    t->keep_bytes = t->work_bytes = t->worker_bytes = 0;
}

int ft_tape_take(struct tape *t, struct ft_err *err)
{
    free_work(t);
    t->keep_bytes = t->keep_peak + t->copy_bytes;
    t->work_bytes = t->work_want;
    t->worker_bytes = t->worker_want;
    t->keep = ft_tape_memory(t->keep_bytes);
    t->work = ft_tape_memory(t->work_bytes);
    t->worker_work = ft_tape_memory(t->worker_bytes * (size_t)ft_pool_size(t->pool));
    if (t->keep == NULL || t->work == NULL || t->worker_work == NULL)
        return ft_err_set(err, FT_ENOMEM, "training passes: no memory for %llu bytes",
                          (unsigned long long)pass_bytes(t));
    return 0;
}

int ft_tape_prepare(struct ft_dev *d, struct ft_model *m, struct ft_kv *kv, struct ft_err *err)
{
    int rc = measure(ft_tape_of(d), m, kv, err);
    /* an embedding that is only looked up is not loaded with the model */
    for (int i = 0; i < m->n_weights && rc == 0; i++)
        rc = ft_tape_weight_load(d, m->weight[i], err);
    return rc != 0 ? rc : ft_tape_take(ft_tape_of(d), err);
}

/* ---- the seam ---- */

static void kv_close(struct ft_dev *d, struct ft_kv *kv)
{
    (void)d;
    free(kv->layer);
    free(kv);
}

static int kv_open(struct ft_dev *d, const struct ft_kv_shape *shape, int n_blocks, int n_states,
                   struct ft_kv **ret_kv, struct ft_err *err)
{
    (void)n_blocks;
    (void)n_states;
    struct ft_kv *kv = calloc(1, sizeof *kv);
    if (kv != NULL)
        kv->layer = calloc((size_t)shape->n_layer, sizeof *kv->layer);
    if (kv == NULL || kv->layer == NULL) {
        if (kv != NULL)
            kv_close(d, kv);
        return ft_err_set(err, FT_ENOMEM, "kv of %d layers: no memory", shape->n_layer);
    }
    kv->shape = *shape;
    *ret_kv = kv;
    return 0;
}

static size_t kv_block_bytes(struct ft_dev *d, const struct ft_kv_shape *shape)
{
    (void)d;
    (void)shape;
    return 0; /* nothing outlives a pass */
}

static void kv_store(struct ft_dev *d, struct ft_kv *kv, int i, const struct ft_batch *b,
                     struct ft_mat k, struct ft_mat v)
{
    (void)d;
    (void)b;
    kv->layer[i] = (struct kv_rows){k, v};
}

static void rope_table(struct ft_dev *d, const double *freq, int n_rot, double mul,
                       const int32_t *pos, int n, float *cs)
{
    (void)d;
    for (int64_t i = 0; i < n; i++)
        for (int j = 0; j < n_rot / 2; j++) {
            double a = pos[i] * freq[j];
            cs[i * n_rot + 2 * j] = (float)(__builtin_cos(a) * mul);
            cs[i * n_rot + 2 * j + 1] = (float)(__builtin_sin(a) * mul);
        }
}

static void embed(struct ft_dev *d, const struct ft_weight *w, const int32_t *id, int n,
                  struct ft_mat y)
{
    struct op op = {.kind = OP_EMBED, .n = n, .y = y, .index = id};
    op.embed.w = (const struct tape_weight *)w;
    ft_tape_step(ft_tape_of(d), &op);
}

static void gather(struct ft_dev *d, struct ft_mat x, const int32_t *row, int n, int d_model,
                   struct ft_mat y)
{
    struct op op = {.kind = OP_GATHER, .n = n, .x = x, .y = y, .index = row};
    op.row.width = d_model;
    ft_tape_step(ft_tape_of(d), &op);
}

static void rmsnorm(struct ft_dev *d, struct ft_mat x, int n, int d_model, const float *w,
                    float eps, struct ft_mat y)
{
    struct op op = {.kind = OP_RMSNORM, .n = n, .x = x, .y = y, .w = w, .eps = eps};
    op.row.width = d_model;
    ft_tape_step(ft_tape_of(d), &op);
}

static void linear(struct ft_dev *d, struct ft_mat x, int n, const struct ft_linear *lin, int n_lin)
{
    struct op op = {.kind = OP_LINEAR, .n = n, .x = x};
    FT_ASSERT(n_lin <= FT_TAPE_LINEAR_MAX);
    memcpy(op.linear.lin, lin, (size_t)n_lin * sizeof *lin);
    op.linear.n_lin = n_lin;
    ft_tape_step(ft_tape_of(d), &op);
}

static void heads(struct ft_dev *d, struct ft_mat x, int n, int n_head, int d_head, const float *w,
                  float eps, const float *cs, int at, int n_rot, enum ft_rope_pairs pairs)
{
    struct op op = {.kind = OP_HEADS, .n = n, .x = x, .w = w, .eps = eps};
    op.heads.n_head = n_head;
    op.heads.d_head = d_head;
    op.heads.cs = cs;
    op.heads.at = at;
    op.heads.n_rot = n_rot;
    op.heads.pairs = pairs;
    ft_tape_step(ft_tape_of(d), &op);
}

static void attend(struct ft_dev *d, struct ft_kv *kv, int i, const struct ft_batch *b,
                   struct ft_mat q, int n_q_head, float scale, struct ft_mat y)
{
    const struct ft_kv_layer *l = &kv->shape.layer[i];
    FT_ASSERT(!l->v_in_k);
    struct op op = {.kind = OP_ATTEND, .n = b->n_rows, .x = q, .y = y};
    op.attend.k = kv->layer[i].k;
    op.attend.v = kv->layer[i].v;
    op.attend.seg = b->seg;
    op.attend.n_segs = b->n_segs;
    op.attend.n_q_head = n_q_head;
    op.attend.n_head = l->n_head;
    op.attend.d_k = l->d_k;
    op.attend.d_v = l->d_v;
    op.attend.scale = scale;
    ft_tape_step(ft_tape_of(d), &op);
}

static void swiglu(struct ft_dev *d, struct ft_mat gate, struct ft_mat up, int n, int d_ff,
                   struct ft_mat y)
{
    struct op op = {.kind = OP_SWIGLU, .n = n, .x = gate, .z = up, .y = y};
    op.row.width = d_ff;
    ft_tape_step(ft_tape_of(d), &op);
}

static const char *describe(struct ft_dev *d)
{
    return ft_tape_of(d)->about;
}

static void close_tape(struct ft_dev *d)
{
    struct tape *t = ft_tape_of(d);
    if (t->pool != NULL)
        free_work(t);
    ft_tape_params_free(t);
    ft_gemm_close(t->gemm);
    ft_pool_close(t->pool);
    FT_ASSERT(t->n_regions == 0); /* models are closed before their device */
    free(t->region);
    free(t->op);
    free(t->layer);
    free(t);
}

static const struct ft_dev_ops tape_ops = {
    .name = "train",
    .close = close_tape,
    .describe = describe,
    .mem_alloc = mem_alloc,
    .mem_free = mem_free,
    .upload = upload,
    .host_view = host_view,
    .weight_open = ft_tape_weight_open,
    .weight_load = ft_tape_weight_load,
    .weight_drop = ft_tape_weight_drop,
    .weight_bytes = ft_tape_weight_bytes,
    .weight_close = ft_tape_weight_close,
    .kv_open = kv_open,
    .kv_close = kv_close,
    .kv_block_bytes = kv_block_bytes,
    .embed = embed,
    .gather = gather,
    .rmsnorm = rmsnorm,
    .linear = linear,
    .rope_table = rope_table,
    .heads = heads,
    .kv_store = kv_store,
    .attend = attend,
    .swiglu = swiglu,
    .layer = layer,
};

static const struct ft_tape_vec *vec_of(enum ft_cpu_isa isa)
{
#ifdef FT_TAPE_X86
    if (isa == FT_CPU_AVX512)
        return &ft_tape_vec_avx512;
    if (isa == FT_CPU_AVX2)
        return &ft_tape_vec_avx2;
#endif
    (void)isa;
    return &ft_tape_vec_plain;
}

static int n_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (int)FT_MIN(n, (long)FT_POOL_THREADS_MAX);
}

int ft_tape_open(const struct ft_tape_config *cfg, struct ft_dev **ret_dev, struct ft_err *err)
{
    struct tape *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ft_err_set(err, FT_ENOMEM, "training device: no memory");
    t->base.ops = &tape_ops;
    t->math = cfg->math;
    t->recompute = cfg->recompute;
    t->use_lora = true;
    t->op = calloc(FT_TAPE_OPS_MAX, sizeof *t->op);
    t->layer = calloc(FT_LAYERS_MAX, sizeof *t->layer);
    enum ft_cpu_isa isa;
    int rc = ft_cpu_isa_choose(cfg->isa, &isa, err);
    if (rc == 0 && (t->op == NULL || t->layer == NULL))
        rc = ft_err_set(err, FT_ENOMEM, "training device: no memory");
    if (rc == 0)
        rc = ft_pool_open(cfg->n_threads == 0 ? n_cores() : cfg->n_threads, &t->pool, err);
    if (rc == 0)
        rc = ft_gemm_open(t->pool, cfg->isa, cfg->math, &t->gemm, err);
    if (rc != 0) {
        close_tape(&t->base);
        return rc;
    }
    t->vec = vec_of(isa);
    snprintf(t->about, sizeof t->about, "train: %s, %s products, %d threads", ft_cpu_isa_name(isa),
             t->math == FT_GEMM_BF16 ? "bf16" : "f32", ft_pool_size(t->pool));
    *ret_dev = &t->base;
    return 0;
}

struct ft_pool *ft_tape_pool(struct ft_dev *d)
{
    return ft_tape_of(d)->pool;
}

double ft_tape_flops(const struct ft_dev *d)
{
    return ((const struct tape *)d)->flops;
}

void ft_tape_use_lora(struct ft_dev *d, bool on)
{
    ft_tape_of(d)->use_lora = on;
}

void ft_tape_set_recompute(struct ft_dev *d, bool on)
{
    ft_tape_of(d)->recompute = on;
}
