/* AdamW in pieces of one size, each of them one task. */
#include "train/core/optim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 32768 /* values of one task */

struct piece {
    int param;
    int64_t at, n;
    double squares;
};

struct ft_optim {
    struct ft_pool *pool;
    struct ft_optim_config cfg;
    struct ft_optim_param *param;
    int n_params;
    struct piece *piece;
    int n_pieces;
    float scale, lr, shrink, correct1, correct2; /* of the step being made */
};

static float *zeros(int64_t n)
{
    size_t bytes = ((size_t)n * sizeof(float) + 63) & ~(size_t)63;
    float *p = aligned_alloc(64, bytes);
    if (p != NULL)
        memset(p, 0, bytes);
    return p;
}

uint64_t ft_optim_bytes(int64_t n_values)
{
    return 2 * sizeof(float) * (uint64_t)n_values;
}

void ft_optim_close(struct ft_optim *o)
{
    if (o == NULL)
        return;
    for (int i = 0; i < o->n_params; i++) {
        free(o->param[i].m);
        free(o->param[i].v);
        o->param[i].m = o->param[i].v = NULL;
    }
    free(o->piece);
    free(o);
}

int ft_optim_open(struct ft_pool *pool, const struct ft_optim_config *cfg,
                  struct ft_optim_param *param, int n, struct ft_optim **ret_o, struct ft_err *err)
{
    struct ft_optim *o = calloc(1, sizeof *o);
    if (o == NULL)
        return ft_err_set(err, FT_ENOMEM, "optimiser: no memory");
    o->pool = pool;
    o->cfg = *cfg;
    o->param = param;
    int64_t pieces = 0;
    for (int i = 0; i < n; i++)
        pieces += (param[i].n + PIECE - 1) / PIECE;
    o->piece = calloc((size_t)pieces + 1, sizeof *o->piece);
    bool ok = o->piece != NULL;
    for (int i = 0; i < n && ok; i++) {
        param[i].m = zeros(param[i].n);
        param[i].v = zeros(param[i].n);
        o->n_params = i + 1;
        ok = param[i].m != NULL && param[i].v != NULL;
        for (int64_t at = 0; at < param[i].n; at += PIECE)
            o->piece[o->n_pieces++] = (struct piece){i, at, FT_MIN(PIECE, param[i].n - at), 0};
    }
    if (!ok) {
        ft_optim_close(o);
        return ft_err_set(err, FT_ENOMEM, "optimiser: no memory for the moments");
    }
    *ret_o = o;
    return 0;
}

static void norm_piece(void *ctx, int i, int worker)
{
    (void)worker;
    struct ft_optim *o = ctx;
    struct piece *p = &o->piece[i];
    const float *g = o->param[p->param].grad + p->at;
    double sum[8] = {0};
    int64_t j = 0;
    for (; j + 8 <= p->n; j += 8)
        for (int k = 0; k < 8; k++)
            sum[k] += (double)g[j + k] * g[j + k];
    for (; j < p->n; j++)
        sum[0] += (double)g[j] * g[j];
    p->squares = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

double ft_optim_norm(struct ft_optim *o)
{
    double sum = 0;
    ft_pool_run(o->pool, o->n_pieces, norm_piece, o);
    for (int i = 0; i < o->n_pieces; i++)
        sum += o->piece[i].squares;
    return sqrt(sum);
}

static void step_piece(void *ctx, int i, int worker)
{
    (void)worker;
    const struct ft_optim *o = ctx;
    const struct piece *p = &o->piece[i];
    const struct ft_optim_param *q = &o->param[p->param];
    float *restrict x = q->value + p->at, *restrict m = q->m + p->at, *restrict v = q->v + p->at;
    const float *restrict g = q->grad + p->at;
    float b1 = (float)o->cfg.beta1, b2 = (float)o->cfg.beta2, eps = (float)o->cfg.eps;
    float shrink = q->decay ? o->shrink : 1;
    for (int64_t j = 0; j < p->n; j++) {
        float gj = g[j] * o->scale;
        m[j] = b1 * m[j] + (1 - b1) * gj;
        v[j] = b2 * v[j] + (1 - b2) * gj * gj;
        float step = m[j] * o->correct1 / (sqrtf(v[j] * o->correct2) + eps);
        x[j] = x[j] * shrink - o->lr * step;
    }
}

void ft_optim_step(struct ft_optim *o, int64_t step, double lr, double norm)
{
    bool clips = o->cfg.clip > 0 && norm > o->cfg.clip;
    o->scale = clips ? (float)(o->cfg.clip / norm) : 1;
    o->lr = (float)lr;
    o->shrink = (float)(1 - lr * o->cfg.weight_decay);
    o->correct1 = (float)(1 / (1 - pow(o->cfg.beta1, (double)step)));
    o->correct2 = (float)(1 / (1 - pow(o->cfg.beta2, (double)step)));
    ft_pool_run(o->pool, o->n_pieces, step_piece, o);
}
