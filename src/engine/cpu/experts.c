/* Mixtures of experts: rows are grouped by expert, so that each chosen expert's weights are read
 * once.
 *
 * Three regions: gate and up of every chosen expert, the gated activation and its quantisation,
 * down. Then each row adds its experts' results in the order in which they stand in id. */
#include <string.h>

#include "engine/cpu/product.h"
#include "engine/cpu/steps.h"

/* Copies of the rows' inputs, grouped: row j of the groups is row src[j] of x. */
struct groups {
    int n_pairs;     /* n * n_used */
    int n_active;    /* experts with rows */
    int32_t *expert; /* [n_active] */
    int32_t *first;  /* [n_active + 1] first grouped row */
    int32_t *src;    /* [n_pairs] */
    int32_t *place;  /* [n_pairs] grouped row of (i, j) */
};

static struct groups groups_make(struct ft_cpu *c, int n_expert, const int32_t *id, int n,
                                 int n_used)
{
    struct groups g = {.n_pairs = n * n_used};
    size_t ints = (size_t)n_expert * 2 + 1 + (size_t)g.n_pairs * 2 + (size_t)n_expert;
    int32_t *p = ft_cpu_scratch_get(c, FT_CPU_SCRATCH_ROUTE, ints * sizeof *p);
    int32_t *count = p;
    g.expert = count + n_expert;
    g.first = g.expert + n_expert;
    g.src = g.first + n_expert + 1;
    g.place = g.src + g.n_pairs;
    memset(count, 0, (size_t)n_expert * sizeof *count);
    for (int i = 0; i < g.n_pairs; i++)
        count[id[i]]++;
    int at = 0;
    for (int e = 0; e < n_expert; e++) {
        int size = count[e];
        count[e] = at;
        if (size > 0) {
            g.expert[g.n_active] = e;
            g.first[g.n_active++] = at;
        }
        at += size;
    }
    g.first[g.n_active] = at;
    for (int i = 0; i < g.n_pairs; i++) {
        g.place[i] = count[id[i]]++;
        g.src[g.place[i]] = i / n_used;
    }
    return g;
}

struct rows_job {
    const struct ft_cpu_mm *mm;
    const struct ft_cpu_steps *steps;
    const struct groups *g;
    struct ft_mat x, y;
    float *in, *gate, *up, *down;
    const float *weight;
    int64_t d_model, d_ff;
    int n_used;
};

static void gather_row(void *ctx, int row, int worker)
{
    (void)worker;
    const struct rows_job *j = ctx;
    memcpy(j->in + row * j->d_model, j->x.p + j->g->src[row] * j->x.ld,
           (size_t)j->d_model * sizeof(float));
}

static void swiglu_row(void *ctx, int row, int worker)
{
    (void)worker;
    const struct rows_job *j = ctx;
    float *gate = j->gate + row * j->d_ff;
    j->steps->swiglu(gate, j->up + row * j->d_ff, (int)j->d_ff, gate);
}

static void add_row(void *ctx, int row, int worker)
{
    (void)worker;
    const struct rows_job *j = ctx;
    for (int k = 0; k < j->n_used; k++) {
        int pair = row * j->n_used + k;
        j->mm->add_scaled(j->y.p + row * j->y.ld, j->down + j->g->place[pair] * j->d_model,
                          j->weight[pair], j->d_model);
    }
}

/* Inputs for the experts' groups of `rows` ([n_pairs, n_in]), quantised. */
static void inputs_make(struct ft_cpu *c, const struct groups *g, const float *rows, int64_t n_in,
                        const struct ft_cpu_fmt *fmt, struct ft_cpu_input *in)
{
    size_t bytes = 0;
    for (int a = 0; a < g->n_active; a++) {
        in[a] = (struct ft_cpu_input){.x = rows + g->first[a] * n_in,
                                      .ld = n_in,
                                      .n_in = n_in,
                                      .n = g->first[a + 1] - g->first[a],
                                      .fmt = fmt};
        bytes += ft_cpu_input_bytes(&in[a]);
    }
    uint8_t *at = ft_cpu_scratch_get(c, FT_CPU_SCRATCH_QUANT, bytes);
    for (int a = 0; a < g->n_active; a++) {
        ft_cpu_input_place(&in[a], at);
        at += ft_cpu_input_bytes(&in[a]);
    }
    ft_cpu_inputs_quantise(c, in, g->n_active);
}

static void products_make(const struct groups *g, const struct ft_weight *w,
                          const struct ft_cpu_input *in, float *y, struct ft_cpu_product *p)
{
    for (int a = 0; a < g->n_active; a++)
        p[a] = (struct ft_cpu_product){.w = ft_cpu_weight_of(w),
                                       .index = g->expert[a],
                                       .in = &in[a],
                                       .y = y + g->first[a] * w->n_out,
                                       .ld = w->n_out};
}

void ft_cpu_experts(struct ft_dev *d, const struct ft_experts *e, struct ft_mat x, int n,
                    const int32_t *id, const float *weight, int n_used, struct ft_mat y)
{
    struct ft_cpu *c = ft_cpu_of(d);
    FT_ASSERT(ft_cpu_weight_of(e->gate)->loaded && ft_cpu_weight_of(e->up)->loaded &&
              ft_cpu_weight_of(e->down)->loaded);
    if (n == 0 || n_used == 0)
        return;
    struct groups g = groups_make(c, e->gate->n_stack, id, n, n_used);
    struct rows_job j = {.mm = c->mm,
                         .steps = c->steps,
                         .g = &g,
                         .x = x,
                         .y = y,
                         .weight = weight,
                         .n_used = n_used};
    j.d_model = e->gate->n_in;
    j.d_ff = e->gate->n_out;
    int64_t pairs = g.n_pairs;
    j.in = ft_cpu_scratch_get(c, FT_CPU_SCRATCH_EXPERT,
                              (size_t)(pairs * 2 * (j.d_model + j.d_ff)) * sizeof(float));
    j.down = j.in + pairs * j.d_model;
    j.gate = j.down + pairs * j.d_model;
    j.up = j.gate + pairs * j.d_ff;
    int active = g.n_active;
    struct ft_cpu_product *p = ft_cpu_scratch_get(
        c, FT_CPU_SCRATCH_TASKS, (size_t)active * 2 * (sizeof *p + sizeof(struct ft_cpu_input)));
    struct ft_cpu_input *in = (struct ft_cpu_input *)(void *)(p + 2 * active);

    ft_pool_run(c->pool, g.n_pairs, gather_row, &j);
    const struct ft_cpu_fmt *gate_fmt = ft_cpu_weight_of(e->gate)->fmt;
    const struct ft_cpu_fmt *up_fmt = ft_cpu_weight_of(e->up)->fmt;
    inputs_make(c, &g, j.in, j.d_model, gate_fmt, in);
    products_make(&g, e->gate, in, j.gate, p);
    if (ft_cpu_fmt_same_input(gate_fmt, up_fmt)) {
        products_make(&g, e->up, in, j.up, p + active);
        ft_cpu_products_run(c, p, 2 * active);
    } else {
        ft_cpu_products_run(c, p, active);
        inputs_make(c, &g, j.in, j.d_model, up_fmt, in);
        products_make(&g, e->up, in, j.up, p);
        ft_cpu_products_run(c, p, active);
    }
    ft_pool_run(c->pool, g.n_pairs, swiglu_row, &j);
    inputs_make(c, &g, j.gate, j.d_ff, ft_cpu_weight_of(e->down)->fmt, in);
    products_make(&g, e->down, in, j.down, p);
    ft_cpu_products_run(c, p, active);
    ft_pool_run(c->pool, n, add_row, &j);
}
