/* Causal attention within each document, forwards and backwards, as blocks of matrix products
 * (FlashAttention-2's arithmetic, arXiv:2307.08691: weights are made again from the logarithm of
 * their sums, never kept). One task is one document and head. */
#include <math.h>
#include <string.h>

#include "train/tape/impl.h"

#define BLOCK 128 /* queries at a time */

struct task {
    struct op *op;
    struct ft_mat gq, gk, gv, gy; /* way back */
};

/* A block of queries: rows [at, at + n) of the document, which see its first at + n keys. */
struct block {
    const struct ft_seg *seg;
    int at, n, keys;
};

static size_t work_bytes(const struct op *op, int rows)
{
    size_t widest = (size_t)FT_MAX(op->attend.n_q_head * op->attend.d_v, 1);
    return (2 * (size_t)BLOCK * (size_t)rows + widest) * sizeof(float);
}

static int longest(const struct op *op)
{
    int n = 0;
    for (int i = 0; i < op->attend.n_segs; i++)
        n = FT_MAX(n, op->attend.seg[i].n);
    return n;
}

static struct block block_at(const struct ft_seg *seg, int at)
{
    int n = FT_MIN(BLOCK, seg->n - at);
    return (struct block){seg, at, n, at + n};
}

static struct ft_gemm_in part(struct ft_mat m, int64_t row, int64_t col, bool trans)
{
    return (struct ft_gemm_in){m.p + row * m.ld + col, FT_F32, m.ld, trans};
}

static struct ft_gemm_in kept(const struct ft_saved *s, int64_t row, int64_t col, bool trans)
{
    size_t elem = s->type == FT_BF16 ? 2 : 4;
    const char *p = (const char *)s->p + (size_t)(row * s->width + col) * elem;
    return (struct ft_gemm_in){p, s->type, s->width, trans};
}

static void product(struct tape *t, int worker, int m, int n, int k, struct ft_gemm_in a,
                    struct ft_gemm_in b, bool add, float *c, int64_t ldc)
{
    struct ft_gemm_args args = {m, n, k, a, b, 1, add, c, ldc};
    ft_gemm_one(t->gemm, worker, &args);
}

/* ---- forwards ---- */

/* One block of one head: s = q k', its softmax, y = s v. */
static void run_block(struct tape *t, const struct op *op, const struct block *b, int h, int worker,
                      float *s)
{
    int d_k = op->attend.d_k, d_v = op->attend.d_v;
    int kv = h / (op->attend.n_q_head / op->attend.n_head);
    int64_t row = b->seg->row, q_row = row + b->at;
    product(t, worker, b->n, b->keys, d_k, part(op->x, q_row, (int64_t)h * d_k, false),
            part(op->attend.k, row, (int64_t)kv * d_k, true), false, s, b->keys);
    float sum[BLOCK];
    for (int i = 0; i < b->n; i++) {
        float *p = s + (int64_t)i * b->keys;
        int seen = b->at + i + 1;
        float top = t->vec->max(p, seen) * op->attend.scale;
        sum[i] = t->vec->exp_sum(p, seen, op->attend.scale, top, p);
        memset(p + seen, 0, (size_t)(b->keys - seen) * sizeof *p);
        if (op->row_value != NULL)
            op->row_value[(int64_t)h * op->n + q_row + i] = top + logf(sum[i]);
    }
    float *y = op->y.p + q_row * op->y.ld + (int64_t)h * d_v;
    struct ft_mat sm = {s, b->keys};
    product(t, worker, b->n, d_v, b->keys, part(sm, 0, 0, false),
            part(op->attend.v, row, (int64_t)kv * d_v, false), false, y, op->y.ld);
    for (int i = 0; i < b->n; i++)
        t->vec->scale(y + i * op->y.ld, d_v, 1 / sum[i], y + i * op->y.ld);
}

static void run_task(struct tape *t, void *ctx, int at, int n, int worker)
{
    const struct op *op = ((struct task *)ctx)->op;
    float *s = ft_tape_worker_work(t, worker, work_bytes(op, longest(op)));
    for (int task = at; task < at + n; task++) {
        const struct ft_seg *seg = &op->attend.seg[task / op->attend.n_q_head];
        for (int q = 0; q < seg->n; q += BLOCK) {
            struct block b = block_at(seg, q);
            run_block(t, op, &b, task % op->attend.n_q_head, worker, s);
        }
    }
}

/* Operations of q k' and s v, half of each product being masked away. */
static double flops(const struct op *op)
{
    double n = 0;
    for (int i = 0; i < op->attend.n_segs; i++)
        n += (double)op->attend.seg[i].n * op->attend.seg[i].n;
    return n * op->attend.n_q_head * (op->attend.d_k + op->attend.d_v);
}

void ft_tape_run_attend(struct tape *t, struct op *op)
{
    int64_t heads = op->attend.n_q_head, kv = op->attend.n_head;
    op->save[0] = ft_tape_save(t, op->x, op->n, heads * op->attend.d_k, false);
    op->save[1] = ft_tape_save(t, op->attend.k, op->n, kv * op->attend.d_k, false);
    op->save[2] = ft_tape_save(t, op->attend.v, op->n, kv * op->attend.d_v, false);
    op->row_value = ft_tape_keep(t, (size_t)heads * (size_t)op->n * sizeof(float));
    ft_tape_worker_work(t, 0, work_bytes(op, longest(op)));
    if (t->mode != PASS_MEASURE) {
        struct task task = {.op = op};
        ft_tape_each(t, op->attend.n_segs * op->attend.n_q_head, run_task, &task);
        t->flops += flops(op);
    }
    op->save[3] = ft_tape_save(t, op->y, op->n, heads * op->attend.d_v, false);
}

/* ---- backwards ---- */

/* p = the weights again; ds = p (gy v' - rowsum(gy y)) scale. */
static void back_scores(struct tape *t, const struct task *task, const struct block *b, int h,
                        int worker, float *p, float *ds)
{
    const struct op *op = task->op;
    int d_k = op->attend.d_k, d_v = op->attend.d_v;
    int kv = h / (op->attend.n_q_head / op->attend.n_head);
    int64_t row = b->seg->row, q_row = row + b->at;
    product(t, worker, b->n, b->keys, d_k, kept(&op->save[0], q_row, (int64_t)h * d_k, false),
            kept(&op->save[1], row, (int64_t)kv * d_k, true), false, p, b->keys);
    product(t, worker, b->n, b->keys, d_v, part(task->gy, q_row, (int64_t)h * d_v, false),
            kept(&op->save[2], row, (int64_t)kv * d_v, true), false, ds, b->keys);
    float *tmp = ds + (size_t)BLOCK * (size_t)longest(op);
    for (int i = 0; i < b->n; i++) {
        float *pi = p + (int64_t)i * b->keys, *di = ds + (int64_t)i * b->keys;
        int seen = b->at + i + 1;
        size_t rest = (size_t)(b->keys - seen) * sizeof *pi;
        t->vec->exp_sum(pi, seen, op->attend.scale, op->row_value[(int64_t)h * op->n + q_row + i],
                        pi);
        const float *y = ft_tape_row(t, &op->save[3], (int)q_row + i, tmp) + (int64_t)h * d_v;
        float delta =
            t->vec->dot(task->gy.p + (q_row + i) * task->gy.ld + (int64_t)h * d_v, y, d_v);
        t->vec->softmax_back(pi, di, delta, op->attend.scale, seen, di);
        memset(pi + seen, 0, rest);
        memset(di + seen, 0, rest);
    }
}

static void back_block(struct tape *t, const struct task *task, const struct block *b, int h,
                       int worker, float *p)
{
    const struct op *op = task->op;
    int d_k = op->attend.d_k, d_v = op->attend.d_v;
    int kv = h / (op->attend.n_q_head / op->attend.n_head);
    int64_t row = b->seg->row, q_row = row + b->at;
    float *ds = p + (size_t)BLOCK * (size_t)longest(op);
    back_scores(t, task, b, h, worker, p, ds);
    struct ft_mat pm = {p, b->keys}, dm = {ds, b->keys};
    product(t, worker, b->keys, d_v, b->n, part(pm, 0, 0, true),
            part(task->gy, q_row, (int64_t)h * d_v, false), true,
            task->gv.p + row * task->gv.ld + (int64_t)kv * d_v, task->gv.ld);
    product(t, worker, b->n, d_k, b->keys, part(dm, 0, 0, false),
            kept(&op->save[1], row, (int64_t)kv * d_k, false), false,
            task->gq.p + q_row * task->gq.ld + (int64_t)h * d_k, task->gq.ld);
    product(t, worker, b->keys, d_k, b->n, part(dm, 0, 0, true),
            kept(&op->save[0], q_row, (int64_t)h * d_k, false), true,
            task->gk.p + row * task->gk.ld + (int64_t)kv * d_k, task->gk.ld);
}

static void zero_part(struct ft_mat m, const struct ft_seg *seg, int64_t col, int width)
{
    for (int i = 0; i < seg->n; i++)
        memset(m.p + (seg->row + i) * m.ld + col, 0, (size_t)width * sizeof(float));
}

/* One document and key-value head; its query heads in their order. */
static void back_task(struct tape *t, void *ctx, int at, int n, int worker)
{
    const struct task *task = ctx;
    const struct op *op = task->op;
    int group = op->attend.n_q_head / op->attend.n_head;
    float *p = ft_tape_worker_work(t, worker, work_bytes(op, longest(op)));
    for (int i = at; i < at + n; i++) {
        const struct ft_seg *seg = &op->attend.seg[i / op->attend.n_head];
        int kv = i % op->attend.n_head;
        zero_part(task->gk, seg, (int64_t)kv * op->attend.d_k, op->attend.d_k);
        zero_part(task->gv, seg, (int64_t)kv * op->attend.d_v, op->attend.d_v);
        for (int h = kv * group; h < (kv + 1) * group; h++)
            for (int q = 0; q < seg->n; q += BLOCK) {
                struct block b = block_at(seg, q);
                back_block(t, task, &b, h, worker, p);
            }
    }
}

void ft_tape_back_attend(struct tape *t, struct op *op)
{
    if (!ft_tape_is_live(t, op->y))
        return;
    struct ft_mat *k = &op->attend.k, *v = &op->attend.v;
    FT_ASSERT(!ft_tape_is_live(t, op->x) && !ft_tape_is_live(t, *k) && !ft_tape_is_live(t, *v));
    struct task task = {op, ft_tape_grad(t, op->x), ft_tape_grad(t, *k), ft_tape_grad(t, *v),
                        ft_tape_grad(t, op->y)};
    ft_tape_each(t, op->attend.n_segs * op->attend.n_head, back_task, &task);
    t->flops += 2.5 * flops(op);
    ft_tape_set_live(t, op->y, false);
    ft_tape_set_live(t, op->x, true);
    ft_tape_set_live(t, *k, true);
    ft_tape_set_live(t, *v, true);
}
