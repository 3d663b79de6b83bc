/* Weights and parameters: what is frozen stays in its file's mapping and format; what is trained
 * has an f32 value and a gradient here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "model/file/fetch.h"
#include "train/tape/impl.h"

static struct tape_weight *weight_of(const struct ft_weight *w)
{
    return (struct tape_weight *)(void *)(uintptr_t)w;
}

int ft_tape_weight_open(struct ft_dev *d, const struct ft_tensor *t, struct ft_weight **ret_w,
                        struct ft_err *err)
{
    (void)d;
    if (ft_type_info(t->type) == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED, "type %d is unknown", (int)t->type);
    if (t->n_dims > 2 && t->dim[2] > 1)
        return ft_err_set(err, FT_EUNSUPPORTED, "stacked weights (experts, MLA) cannot be trained");
    struct tape_weight *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    w->base = (struct ft_weight){.n_in = t->dim[0],
                                 .n_out = t->dim[1],
                                 .n_stack = 1,
                                 .type = t->type,
                                 .file_bytes = t->part_bytes};
    w->t = t;
    w->param = -1;
    *ret_w = &w->base;
    return 0;
}

/* ---- parameters ---- */

static int add_param(struct tape *t, const char *name, const char *suffix, int64_t rows,
                     int64_t cols, bool decay, struct ft_err *err)
{
    struct ft_param *grown = realloc(t->param, ((size_t)t->n_params + 1) * sizeof *grown);
    if (grown == NULL)
        return ft_err_set(err, FT_ENOMEM, "parameter %s: no memory", name);
    t->param = grown;
    struct ft_param *p = &t->param[t->n_params];
    *p = (struct ft_param){.rows = rows, .cols = cols, .decay = decay};
    snprintf(p->name, sizeof p->name, "%s%s", name, suffix);
    return t->n_params++;
}

static size_t param_bytes(const struct ft_param *p)
{
    return (size_t)(p->rows * p->cols) * sizeof(float);
}

/* Zeroed gradient, and a value unless it lives elsewhere. */
static int fill_param(struct ft_param *p, struct ft_err *err)
{
    if (p->value == NULL)
        p->value = ft_tape_memory(param_bytes(p));
    if (p->grad == NULL)
        p->grad = ft_tape_memory(param_bytes(p));
    if (p->value == NULL || p->grad == NULL)
        return ft_err_set(err, FT_ENOMEM, "parameter %s: no memory", p->name);
    memset(p->grad, 0, param_bytes(p));
    return 0;
}

static bool is_vector(const struct tape *t, int i)
{
    return t->param[i].rows == 1 && !t->param[i].decay;
}

void ft_tape_params_free(struct tape *t)
{
    for (int i = 0; i < t->n_params; i++) {
        if (!is_vector(t, i)) /* a vector's value is the model's */
            ft_tape_memory_free(t->param[i].value, param_bytes(&t->param[i]));
        ft_tape_memory_free(t->param[i].grad, param_bytes(&t->param[i]));
    }
    free(t->param);
}

int ft_tape_train_full(struct ft_dev *d, struct ft_model *m, struct ft_err *err)
{
    struct tape *t = ft_tape_of(d);
    for (int i = 0; i < m->n_weights; i++) {
        struct tape_weight *w = weight_of(m->weight[i]);
        int at = add_param(t, w->t->name, "", w->base.n_out, w->base.n_in, true, err);
        if (at < 0)
            return at;
        w->param = at;
    }
    for (int i = 0; i < m->n_vectors; i++) {
        const struct ft_vector *v = &m->vector[i];
        int64_t n = (int64_t)(v->bytes / sizeof(float));
        int at = add_param(t, v->name, "", 1, n, false, err);
        if (at < 0)
            return at;
        t->param[at].value = v->p;
        ft_tape_region(t, v->p)->param = at;
        int rc = fill_param(&t->param[at], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

float *ft_tape_vector_grad(struct tape *t, const float *p)
{
    int at = p == NULL ? -1 : ft_tape_region(t, p)->param;
    return at < 0 ? NULL : t->param[at].grad;
}

/* ---- LoRA ---- */

static bool is_target(const char *name, const char *target)
{
    const char *at = strncmp(name, "blk.", 4) == 0 ? strchr(name + 4, '.') : NULL;
    size_t n = strlen(target);
    return at != NULL && strncmp(at + 1, target, n) == 0 && strcmp(at + 1 + n, ".weight") == 0;
}

static int add_lora(struct tape *t, struct tape_weight *w, const struct ft_tape_lora *lora,
                    struct ft_err *err)
{
    w->lora.rank = lora->rank;
    w->lora.a = add_param(t, w->t->name, ".lora_a", lora->rank, w->base.n_in, true, err);
    if (w->lora.a < 0)
        return w->lora.a;
    w->lora.b = add_param(t, w->t->name, ".lora_b", w->base.n_out, lora->rank, true, err);
    if (w->lora.b < 0)
        return w->lora.b;
    w->lora.key = ft_rand_u64(lora->seed, 1, (uint64_t)w->lora.a);
    for (int i = w->lora.a; i <= w->lora.b; i++) {
        int rc = fill_param(&t->param[i], err);
        if (rc != 0)
            return rc;
    }
    float *a = t->param[w->lora.a].value, bound = (float)(1 / sqrt((double)w->base.n_in));
    for (int64_t i = 0; i < lora->rank * w->base.n_in; i++)
        a[i] = (float)(2 * ft_rand_unit(w->lora.key, 2, (uint64_t)i) - 1) * bound;
    memset(t->param[w->lora.b].value, 0, (size_t)(w->base.n_out * lora->rank) * sizeof(float));
    return 0;
}

int ft_tape_train_lora(struct ft_dev *d, struct ft_model *m, const struct ft_tape_lora *lora,
                       struct ft_err *err)
{
    struct tape *t = ft_tape_of(d);
    if (lora->rank < 1 || lora->rank > FT_TAPE_RANK_MAX)
        return ft_err_set(err, FT_EINVAL, "rank must be 1 to %d", FT_TAPE_RANK_MAX);
    if (!(lora->dropout >= 0 && lora->dropout < 1))
        return ft_err_set(err, FT_EINVAL, "dropout must be at least 0 and below 1");
    t->lora_scale = lora->scale;
    t->dropout = lora->dropout;
    for (int k = 0; k < lora->n_target; k++) {
        int found = 0;
        for (int i = 0; i < m->n_weights; i++) {
            struct tape_weight *w = weight_of(m->weight[i]);
            if (!is_target(w->t->name, lora->target[k]) || w->lora.rank > 0)
                continue;
            int rc = add_lora(t, w, lora, err);
            if (rc != 0)
                return rc;
            found++;
        }
        if (found == 0)
            return ft_err_set(err, FT_EINVAL, "target '%s': the model has no such matrices left",
                              lora->target[k]);
    }
    return 0;
}

int ft_tape_param_count(const struct ft_dev *d)
{
    return ((const struct tape *)d)->n_params;
}

struct ft_param *ft_tape_param(struct ft_dev *d, int i)
{
    return &ft_tape_of(d)->param[i];
}

static void zero_chunk(void *ctx, int i, int worker)
{
    (void)worker;
    struct ft_param *p = &((struct tape *)ctx)->param[i];
    memset(p->grad, 0, param_bytes(p));
}

void ft_tape_zero_grad(struct ft_dev *d)
{
    struct tape *t = ft_tape_of(d);
    ft_pool_run(t->pool, t->n_params, zero_chunk, t);
}

/* ---- loading ---- */

struct load_ctx {
    const struct tape_weight *w;
    float *out;
};

static const void *file_row(const struct tape_weight *w, int64_t r)
{
    size_t bytes = ft_type_row_bytes(ft_type_info(w->t->type), w->base.n_in);
    return (const char *)w->t->part[0] + (size_t)r * bytes;
}

static void load_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)t;
    (void)worker;
    const struct load_ctx *c = ctx;
    for (int r = at; r < at + n; r++)
        ft_type_info(c->w->t->type)
            ->dequantise(file_row(c->w, r), c->out + r * c->w->base.n_in, c->w->base.n_in);
}

int ft_tape_weight_load(struct ft_dev *d, struct ft_weight *base, struct ft_err *err)
{
    struct tape *t = ft_tape_of(d);
    struct tape_weight *w = weight_of(base);
    if (w->param < 0 || w->value != NULL)
        return 0; /* frozen: used where the file has it */
    int rc = fill_param(&t->param[w->param], err);
    if (rc != 0)
        return rc;
    w->value = t->param[w->param].value;
    struct load_ctx c = {w, w->value};
    ft_tape_rows(t, (int)w->base.n_out, w->base.n_in, load_rows, &c);
    ft_tensor_release(w->t, 0, ft_tensor_elements(w->t));
    return 0;
}

void ft_tape_weight_drop(struct ft_dev *d, struct ft_weight *w)
{
    (void)d;
    (void)w; /* parameters live as long as the device */
}

size_t ft_tape_weight_bytes(struct ft_dev *d, const struct ft_weight *w)
{
    (void)d;
    const struct tape_weight *tw = weight_of(w);
    return tw->param < 0 ? w->file_bytes : (size_t)(w->n_in * w->n_out) * sizeof(float);
}

void ft_tape_weight_close(struct ft_dev *d, struct ft_weight *w)
{
    (void)d;
    free(w);
}

struct ft_gemm_in ft_tape_weight_in(const struct ft_weight *base, bool trans)
{
    const struct tape_weight *w = weight_of(base);
    if (w->value != NULL)
        return (struct ft_gemm_in){w->value, FT_F32, base->n_in, trans};
    return (struct ft_gemm_in){w->t->part[0], w->t->type, base->n_in, trans};
}

/* ---- embeddings ---- */

static void embed_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)t;
    (void)worker;
    const struct op *op = ctx;
    const struct tape_weight *w = op->embed.w;
    size_t d = (size_t)w->base.n_in;
    for (int i = at; i < at + n; i++) {
        float *y = op->y.p + i * op->y.ld;
        if (w->value != NULL)
            memcpy(y, w->value + (size_t)op->index[i] * d, d * sizeof *y);
        else
            ft_type_info(w->t->type)->dequantise(file_row(w, op->index[i]), y, (int64_t)d);
    }
}

void ft_tape_run_embed(struct tape *t, struct op *op)
{
    t->n_rows = op->n;
    if (t->mode != PASS_MEASURE)
        ft_tape_rows(t, op->n, op->embed.w->base.n_in, embed_rows, op);
}

/* Columns, so that rows of the same token add up in their order. */
static void embed_back_cols(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct op *op = ctx;
    const struct tape_weight *w = op->embed.w;
    struct ft_mat gy = ft_tape_grad(t, op->y);
    float *gw = t->param[w->param].grad;
    for (int i = 0; i < op->n; i++)
        t->vec->add(gy.p + i * gy.ld + at, n, gw + op->index[i] * w->base.n_in + at);
}

void ft_tape_back_embed(struct tape *t, struct op *op)
{
    if (op->embed.w->param >= 0 && ft_tape_is_live(t, op->y))
        ft_tape_cols(t, op->embed.w->base.n_in, embed_back_cols, op);
    ft_tape_set_live(t, op->y, false);
}
