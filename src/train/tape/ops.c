/* Steps without matrix products: gather, norms, rotation, gating; forwards and backwards. */
#include <string.h>

#include "train/tape/impl.h"

/* ---- gather: y[i] = x[row[i]] ---- */

static void gather_cols(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)t;
    (void)worker;
    const struct op *op = ctx;
    for (int i = 0; i < op->n; i++) /* rows ascend, so y may be x */
        memmove(op->y.p + i * op->y.ld + at, op->x.p + op->index[i] * op->x.ld + at,
                (size_t)n * sizeof(float));
}

void ft_tape_run_gather(struct tape *t, struct op *op)
{
    if (t->mode != PASS_MEASURE)
        ft_tape_cols(t, op->row.width, gather_cols, op);
}

/* From the last row back, so that in place no gradient is overwritten before it has moved. */
static void gather_back_cols(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct op *op = ctx;
    struct ft_mat gy = ft_tape_grad(t, op->y), gx = ft_tape_grad(t, op->x);
    int next = op->n - 1;
    for (int r = t->n_rows - 1; r >= 0; r--) {
        float *to = gx.p + r * gx.ld + at;
        if (next >= 0 && op->index[next] == r)
            memmove(to, gy.p + next-- * gy.ld + at, (size_t)n * sizeof(float));
        else
            memset(to, 0, (size_t)n * sizeof(float));
    }
}

void ft_tape_back_gather(struct tape *t, struct op *op)
{
    if (!ft_tape_is_live(t, op->y))
        return;
    FT_ASSERT(op->x.p == op->y.p || !ft_tape_is_live(t, op->x));
    ft_tape_cols(t, op->row.width, gather_back_cols, op);
    ft_tape_set_live(t, op->y, false);
    ft_tape_set_live(t, op->x, true);
}

/* ---- RMS norm: y = x r w ---- */

static void rmsnorm_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct op *op = ctx;
    for (int i = at; i < at + n; i++) {
        float r = t->vec->norm(op->x.p + i * op->x.ld, op->row.width, op->w, op->eps,
                               op->y.p + i * op->y.ld);
        if (op->row_value != NULL)
            op->row_value[i] = r;
    }
}

void ft_tape_run_rmsnorm(struct tape *t, struct op *op)
{
    FT_ASSERT(op->x.p != op->y.p);
    op->save[0] = ft_tape_save(t, op->x, op->n, op->row.width, true);
    op->row_value = ft_tape_keep(t, (size_t)op->n * sizeof(float));
    if (t->mode != PASS_MEASURE)
        ft_tape_rows(t, op->n, op->row.width, rmsnorm_rows, op);
}

static void rmsnorm_weight_cols(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct op *op = ctx;
    struct ft_mat gy = ft_tape_grad(t, op->y);
    float *gw = ft_tape_vector_grad(t, op->w);
    const float *x = op->save[0].p;
    for (int i = 0; i < op->n; i++)
        t->vec->mul_add(gy.p + i * gy.ld + at, x + (int64_t)i * op->row.width + at,
                        op->row_value[i], n, gw + at);
}

struct rmsnorm_back {
    const struct op *op;
    struct ft_mat gx, gy;
    bool add;
};

static void rmsnorm_back_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct rmsnorm_back *c = ctx;
    const struct op *op = c->op;
    const float *x = op->save[0].p;
    for (int i = at; i < at + n; i++)
        t->vec->norm_back(x + (int64_t)i * op->row.width, op->row.width, op->w, op->row_value[i],
                          c->gy.p + i * c->gy.ld, c->add, c->gx.p + i * c->gx.ld);
}

void ft_tape_back_rmsnorm(struct tape *t, struct op *op)
{
    if (!ft_tape_is_live(t, op->y))
        return;
    if (ft_tape_vector_grad(t, op->w) != NULL)
        ft_tape_cols(t, op->row.width, rmsnorm_weight_cols, op);
    struct rmsnorm_back c = {op, ft_tape_grad(t, op->x), ft_tape_grad(t, op->y),
                             ft_tape_is_live(t, op->x)};
    ft_tape_rows(t, op->n, op->row.width, rmsnorm_back_rows, &c);
    ft_tape_set_live(t, op->y, false);
    ft_tape_set_live(t, op->x, true);
}

/* ---- heads: in place, a norm per head where there is one, then rotation ---- */

static size_t heads_width(const struct op *op)
{
    return (size_t)op->heads.n_head * (size_t)op->heads.d_head;
}

static void heads_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct op *op = ctx;
    int d = op->heads.d_head;
    for (int i = at; i < at + n; i++)
        for (int h = 0; h < op->heads.n_head; h++) {
            float *x = op->x.p + i * op->x.ld + (int64_t)h * d;
            if (op->w != NULL) {
                float r = t->vec->norm(x, d, op->w, op->eps, x);
                if (op->row_value != NULL)
                    op->row_value[(int64_t)i * op->heads.n_head + h] = r;
            }
            if (op->heads.cs != NULL)
                t->vec->rotate(x + op->heads.at, op->heads.cs + (int64_t)i * op->heads.n_rot,
                               op->heads.n_rot, op->heads.pairs, 1);
        }
}

void ft_tape_run_heads(struct tape *t, struct op *op)
{
    if (op->w != NULL) {
        op->save[0] = ft_tape_save(t, op->x, op->n, (int64_t)heads_width(op), false);
        op->row_value = ft_tape_keep(t, (size_t)op->n * (size_t)op->heads.n_head * sizeof(float));
    }
    ft_tape_worker_work(t, 0, 2 * heads_width(op) * sizeof(float));
    if (t->mode != PASS_MEASURE)
        ft_tape_rows(t, op->n, (int64_t)heads_width(op), heads_rows, op);
}

static void heads_unrotate_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct op *op = ctx;
    struct ft_mat g = ft_tape_grad(t, op->x);
    for (int i = at; i < at + n; i++)
        for (int h = 0; h < op->heads.n_head; h++)
            t->vec->rotate(g.p + i * g.ld + (int64_t)h * op->heads.d_head + op->heads.at,
                           op->heads.cs + (int64_t)i * op->heads.n_rot, op->heads.n_rot,
                           op->heads.pairs, -1);
}

/* All rows on one worker: the norm's weights are few, and their sum has one order. */
static void heads_weight(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)at;
    (void)n;
    const struct op *op = ctx;
    int d = op->heads.d_head;
    struct ft_mat g = ft_tape_grad(t, op->x);
    float *gw = ft_tape_vector_grad(t, op->w);
    float *tmp = ft_tape_worker_work(t, worker, heads_width(op) * sizeof(float));
    for (int i = 0; i < op->n; i++) {
        const float *x = ft_tape_row(t, &op->save[0], i, tmp);
        for (int h = 0; h < op->heads.n_head; h++)
            t->vec->mul_add(g.p + i * g.ld + (int64_t)h * d, x + (int64_t)h * d,
                            op->row_value[(int64_t)i * op->heads.n_head + h], d, gw);
    }
}

static void heads_norm_back_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    const struct op *op = ctx;
    int d = op->heads.d_head;
    struct ft_mat g = ft_tape_grad(t, op->x);
    float *tmp = ft_tape_worker_work(t, worker, 2 * heads_width(op) * sizeof(float));
    float *gy = tmp + heads_width(op);
    for (int i = at; i < at + n; i++) {
        const float *x = ft_tape_row(t, &op->save[0], i, tmp);
        memcpy(gy, g.p + i * g.ld, heads_width(op) * sizeof *gy);
        for (int h = 0; h < op->heads.n_head; h++)
            t->vec->norm_back(x + (int64_t)h * d, d, op->w,
                              op->row_value[(int64_t)i * op->heads.n_head + h], gy + (int64_t)h * d,
                              false, g.p + i * g.ld + (int64_t)h * d);
    }
}

void ft_tape_back_heads(struct tape *t, struct op *op)
{
    if (!ft_tape_is_live(t, op->x))
        return;
    int64_t width = (int64_t)heads_width(op);
    if (op->heads.cs != NULL)
        ft_tape_rows(t, op->n, width, heads_unrotate_rows, op);
    if (op->w == NULL)
        return;
    if (ft_tape_vector_grad(t, op->w) != NULL)
        ft_tape_cols(t, 1, heads_weight, op);
    ft_tape_rows(t, op->n, width, heads_norm_back_rows, op);
}

/* ---- swiglu: y = silu(gate) up; x is gate, z is up ---- */

static void swiglu_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct op *op = ctx;
    for (int i = at; i < at + n; i++)
        t->vec->swiglu(op->x.p + i * op->x.ld, op->z.p + i * op->z.ld, op->row.width,
                       op->y.p + i * op->y.ld);
}

void ft_tape_run_swiglu(struct tape *t, struct op *op)
{
    op->save[0] = ft_tape_save(t, op->x, op->n, op->row.width, false);
    op->save[1] = ft_tape_save(t, op->z, op->n, op->row.width, false);
    ft_tape_worker_work(t, 0, 2 * (size_t)op->row.width * sizeof(float));
    if (t->mode != PASS_MEASURE)
        ft_tape_rows(t, op->n, op->row.width, swiglu_rows, op);
}

static void swiglu_back_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    const struct op *op = ctx;
    struct ft_mat gy = ft_tape_grad(t, op->y), gg = ft_tape_grad(t, op->x),
                  gu = ft_tape_grad(t, op->z);
    float *tmp = ft_tape_worker_work(t, worker, 2 * (size_t)op->row.width * sizeof(float));
    for (int i = at; i < at + n; i++)
        t->vec->swiglu_back(ft_tape_row(t, &op->save[0], i, tmp),
                            ft_tape_row(t, &op->save[1], i, tmp + op->row.width), op->row.width,
                            gy.p + i * gy.ld, gg.p + i * gg.ld, gu.p + i * gu.ld);
}

void ft_tape_back_swiglu(struct tape *t, struct op *op)
{
    if (!ft_tape_is_live(t, op->y))
        return;
    FT_ASSERT(op->y.p == op->x.p || !ft_tape_is_live(t, op->x));
    FT_ASSERT(!ft_tape_is_live(t, op->z));
    ft_tape_rows(t, op->n, op->row.width, swiglu_back_rows, op);
    ft_tape_set_live(t, op->y, false);
    ft_tape_set_live(t, op->x, true);
    ft_tape_set_live(t, op->z, true);
}
