/* Products with weights: y (=, +=) W x + bias, and beside a frozen W an adapter: + s B A drop(x).
 */
#include <string.h>

#include "base/rand.h"
#include "train/tape/impl.h"

static const struct tape_weight *weight_of(const struct ft_linear *lin)
{
    return (const struct tape_weight *)lin->w;
}

static struct ft_gemm_in mat_in(struct ft_mat m, bool trans)
{
    return (struct ft_gemm_in){m.p, FT_F32, m.ld, trans};
}

static struct ft_gemm_in param_in(const struct tape *t, int param, bool trans)
{
    return (struct ft_gemm_in){t->param[param].value, FT_F32, t->param[param].cols, trans};
}

/* c [m, n] (=, +=) alpha a [m, k] b [k, n] */
static void product(struct tape *t, int64_t m, int64_t n, int64_t k, float alpha,
                    struct ft_gemm_in a, struct ft_gemm_in b, bool add, struct ft_mat c)
{
    struct ft_gemm_args args = {m, n, k, a, b, alpha, add, c.p, c.ld};
    ft_tape_gemm(t, &args);
}

static bool has_lora(const struct tape *t, const struct ft_linear *lin)
{
    return t->use_lora && weight_of(lin)->lora.rank > 0;
}

/* ---- dropout of an adapter's input ---- */

struct drop_ctx {
    struct ft_gemm_in x; /* f32 or bf16 rows */
    float *y;
    int64_t width;
    uint64_t key;
    struct ft_mat add_to; /* p != NULL: y's rows, masked, are added here */
};

static uint64_t row_key(uint64_t key, int row)
{
    return ft_rand_mix(key + (uint64_t)row);
}

static void drop_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct drop_ctx *c = ctx;
    uint32_t drop = (uint32_t)(t->dropout * 65536.0f);
    float mul = 1 / (1 - (float)drop / 65536.0f);
    for (int i = at; i < at + n; i++) {
        float *y = c->y + i * c->width;
        if (c->x.type == FT_BF16)
            t->vec->from_bf16((const uint16_t *)c->x.p + i * c->x.ld, (int)c->width, y);
        else if (c->x.p != y)
            memcpy(y, (const float *)c->x.p + i * c->x.ld, (size_t)c->width * sizeof *y);
        t->vec->dropout(y, (int)c->width, drop, mul, row_key(c->key, i), y);
        if (c->add_to.p != NULL)
            t->vec->add(y, (int)c->width, c->add_to.p + i * c->add_to.ld);
    }
}

static bool drops(const struct tape *t)
{
    return t->dropout > 0 && t->recording;
}

static uint64_t drop_key(const struct tape *t, const struct tape_weight *w)
{
    return ft_rand_u64(w->lora.key, 3, t->step);
}

/* The input that the adapter sees: x itself, or x dropped, in `to`. */
static struct ft_gemm_in adapter_in(struct tape *t, const struct tape_weight *w, int n,
                                    struct ft_gemm_in x, float *to)
{
    if (!drops(t))
        return x;
    struct drop_ctx c = {x, to, w->base.n_in, drop_key(t, w), {NULL, 0}};
    ft_tape_rows(t, n, w->base.n_in, drop_rows, &c);
    return (struct ft_gemm_in){to, FT_F32, w->base.n_in, false};
}

/* ---- forwards ---- */

static void bias_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct ft_linear *lin = ctx;
    for (int i = at; i < at + n; i++)
        t->vec->add(lin->bias, (int)lin->w->n_out, lin->y.p + i * lin->y.ld);
}

/* Work of one step: the adapter's [n, rank] and twice its input; see run_lora and back_lora. */
static float *lora_work(struct tape *t, const struct op *op, const struct tape_weight *w)
{
    size_t wide = t->dropout > 0 ? 2 * (size_t)w->base.n_in : 0;
    return ft_tape_work(t, (size_t)op->n * ((size_t)w->lora.rank + wide) * sizeof(float));
}

static void run_lora(struct tape *t, struct op *op, int l)
{
    const struct ft_linear *lin = &op->linear.lin[l];
    const struct tape_weight *w = weight_of(lin);
    int r = w->lora.rank;
    float *work = lora_work(t, op, w);
    op->low[l] = ft_tape_keep(t, (size_t)op->n * (size_t)r * sizeof(float));
    if (t->mode == PASS_MEASURE)
        return;
    struct ft_mat low = {op->low[l] != NULL ? op->low[l] : work, r};
    struct ft_gemm_in x =
        adapter_in(t, w, op->n, mat_in(op->x, false), work + (size_t)op->n * (size_t)r);
    product(t, op->n, r, w->base.n_in, 1, x, param_in(t, w->lora.a, true), false, low);
    product(t, op->n, w->base.n_out, r, t->lora_scale, mat_in(low, false),
            param_in(t, w->lora.b, true), true, lin->y);
}

static bool needs_input(const struct tape *t, const struct op *op)
{
    for (int l = 0; l < op->linear.n_lin; l++)
        if (weight_of(&op->linear.lin[l])->param >= 0 || has_lora(t, &op->linear.lin[l]))
            return true;
    return false;
}

void ft_tape_run_linear(struct tape *t, struct op *op)
{
    int64_t n_in = op->linear.lin[0].w->n_in;
    if (needs_input(t, op))
        op->save[0] = ft_tape_save(t, op->x, op->n, n_in, false);
    for (int l = 0; l < op->linear.n_lin; l++) {
        struct ft_linear *lin = &op->linear.lin[l];
        if (t->mode != PASS_MEASURE) {
            product(t, op->n, lin->w->n_out, n_in, 1, mat_in(op->x, false),
                    ft_tape_weight_in(lin->w, true), lin->add, lin->y);
            if (lin->bias != NULL)
                ft_tape_rows(t, op->n, lin->w->n_out, bias_rows, lin);
        }
        if (has_lora(t, lin))
            run_lora(t, op, l);
    }
}

/* ---- backwards ---- */

struct bias_back {
    struct ft_mat gy;
    int n;
    float *gb;
};

static void bias_back_cols(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct bias_back *c = ctx;
    for (int i = 0; i < c->n; i++)
        t->vec->add(c->gy.p + i * c->gy.ld + at, n, c->gb + at);
}

/* With u = A xd: gu = s gy B; B += s gy' u; A += gu' xd; gx += drop(gu A). */
static void back_lora(struct tape *t, const struct op *op, int l, struct ft_mat gy,
                      struct ft_mat gx)
{
    const struct tape_weight *w = weight_of(&op->linear.lin[l]);
    int r = w->lora.rank, n = op->n;
    int64_t n_in = w->base.n_in, n_out = w->base.n_out;
    struct ft_mat gu = {lora_work(t, op, w), r}, u = {op->low[l], r};
    float *wide = gu.p + (size_t)n * (size_t)r;
    product(t, n, r, n_out, t->lora_scale, mat_in(gy, false), param_in(t, w->lora.b, false), false,
            gu);
    product(t, n_out, r, n, t->lora_scale, mat_in(gy, true), mat_in(u, false), true,
            (struct ft_mat){t->param[w->lora.b].grad, r});
    struct ft_gemm_in xd = adapter_in(t, w, n, ft_tape_in(&op->save[0], false), wide);
    product(t, r, n_in, n, 1, mat_in(gu, true), xd, true,
            (struct ft_mat){t->param[w->lora.a].grad, n_in});
    if (!drops(t)) {
        product(t, n, n_in, r, 1, mat_in(gu, false), param_in(t, w->lora.a, false), true, gx);
        return;
    }
    float *gxd = wide + (size_t)n * (size_t)n_in;
    product(t, n, n_in, r, 1, mat_in(gu, false), param_in(t, w->lora.a, false), false,
            (struct ft_mat){gxd, n_in});
    struct drop_ctx c = {{gxd, FT_F32, n_in, false}, gxd, n_in, drop_key(t, w), gx};
    ft_tape_rows(t, n, n_in, drop_rows, &c);
}

static void back_one(struct tape *t, const struct op *op, int l)
{
    const struct ft_linear *lin = &op->linear.lin[l];
    const struct tape_weight *w = weight_of(lin);
    if (!ft_tape_is_live(t, lin->y))
        return;
    int64_t n_in = w->base.n_in, n_out = w->base.n_out;
    struct ft_mat gy = ft_tape_grad(t, lin->y), gx = ft_tape_grad(t, op->x);
    float *gb = ft_tape_vector_grad(t, lin->bias);
    if (gb != NULL) {
        struct bias_back c = {gy, op->n, gb};
        ft_tape_cols(t, n_out, bias_back_cols, &c);
    }
    if (w->param >= 0)
        product(t, n_out, n_in, op->n, 1, mat_in(gy, true), ft_tape_in(&op->save[0], false), true,
                (struct ft_mat){t->param[w->param].grad, n_in});
    product(t, op->n, n_in, n_out, 1, mat_in(gy, false), ft_tape_weight_in(lin->w, false),
            ft_tape_is_live(t, op->x), gx);
    ft_tape_set_live(t, op->x, true);
    if (has_lora(t, lin))
        back_lora(t, op, l, gy, gx);
    if (!lin->add)
        ft_tape_set_live(t, lin->y, false);
}

void ft_tape_back_linear(struct tape *t, struct op *op)
{
    for (int l = op->linear.n_lin - 1; l >= 0; l--)
        back_one(t, op, l);
}
