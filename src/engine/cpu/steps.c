/* Fronts of the small steps: norms, rotation, gating, gathering.
 *
 * A decoded token passes through a few hundred of these; each is far below the cost of waking the
 * pool, so they run on the owner thread until a step has enough elements to share. Kernels are per
 * row or per run of elements and come from the instruction set's table (steps.h). */
#include "engine/cpu/steps.h"

#include <math.h>
#include <string.h>

/* Elements a thread should get before a second one is asked for, and per chunk. Measured: kernels
 * handle 5 to 10 elements a nanosecond, a region costs 1 us. */
#define SHARE_MIN   (64 << 10)
#define CHUNK_ELEMS (32 << 10)

/* A step over rows, as the pool sees it. */
struct rows {
    const struct ft_cpu_steps *k;
    struct ft_mat x, up, y;
    int n, d, per_chunk;
    const float *w, *cs;
    float eps;
    int n_head, at, n_rot;
    enum ft_rope_pairs pairs;
    void (*one)(const struct rows *s, int row);
};

static void rows_chunk(void *ctx, int chunk, int worker)
{
    (void)worker;
    const struct rows *s = ctx;
    int end = FT_MIN(s->n, (chunk + 1) * s->per_chunk);
    for (int i = chunk * s->per_chunk; i < end; i++)
        s->one(s, i);
}

/* Runs s->one for every row; elems: elements of one row. */
static void rows_run(struct ft_cpu *c, struct rows *s, int64_t elems)
{
    if (s->n < 2 || s->n * elems < SHARE_MIN) {
        for (int i = 0; i < s->n; i++)
            s->one(s, i);
        return;
    }
    s->per_chunk = (int)FT_MAX(1, CHUNK_ELEMS / FT_MAX(elems, 1));
    ft_pool_run(c->pool, (s->n + s->per_chunk - 1) / s->per_chunk, rows_chunk, s);
}

void ft_cpu_gather(struct ft_dev *d, struct ft_mat x, const int32_t *row, int n, int d_model,
                   struct ft_mat y)
{
    (void)d;
    for (int i = 0; i < n; i++) {
        const float *from = x.p + (row != NULL ? row[i] : i) * x.ld;
        float *to = y.p + i * y.ld;
        if (from != to)
            memcpy(to, from, (size_t)d_model * sizeof *to);
    }
}

static void rmsnorm_one(const struct rows *s, int i)
{
    s->k->rmsnorm(s->x.p + i * s->x.ld, s->d, s->w, s->eps, s->y.p + i * s->y.ld);
}

void ft_cpu_rmsnorm(struct ft_dev *d, struct ft_mat x, int n, int d_model, const float *w,
                    float eps, struct ft_mat y)
{
    struct ft_cpu *c = ft_cpu_of(d);
    struct rows s = {.k = c->steps,
                     .x = x,
                     .y = y,
                     .n = n,
                     .d = d_model,
                     .w = w,
                     .eps = eps,
                     .one = rmsnorm_one};
    rows_run(c, &s, d_model);
}

static void swiglu_one(const struct rows *s, int i)
{
    s->k->swiglu(s->x.p + i * s->x.ld, s->up.p + i * s->up.ld, s->d, s->y.p + i * s->y.ld);
}

void ft_cpu_swiglu(struct ft_dev *d, struct ft_mat gate, struct ft_mat up, int n, int d_ff,
                   struct ft_mat y)
{
    struct ft_cpu *c = ft_cpu_of(d);
    struct rows s = {
        .k = c->steps, .x = gate, .up = up, .y = y, .n = n, .d = d_ff, .one = swiglu_one};
    rows_run(c, &s, d_ff);
}

static void heads_one(const struct rows *s, int i)
{
    s->k->heads(s->x.p + i * s->x.ld, s->n_head, s->d, s->w, s->eps,
                s->cs != NULL ? s->cs + (int64_t)i * s->n_rot : NULL, s->at, s->n_rot, s->pairs);
}

void ft_cpu_heads(struct ft_dev *d, struct ft_mat x, int n, int n_head, int d_head, const float *w,
                  float eps, const float *cs, int at, int n_rot, enum ft_rope_pairs pairs)
{
    struct ft_cpu *c = ft_cpu_of(d);
    struct rows s = {.k = c->steps,
                     .x = x,
                     .n = n,
                     .d = d_head,
                     .w = w,
                     .eps = eps,
                     .cs = cs,
                     .n_head = n_head,
                     .at = at,
                     .n_rot = n_rot,
                     .pairs = pairs,
                     .one = heads_one};
    rows_run(c, &s, (int64_t)n_head * d_head);
}

/* The angle's table in f64: one sine and cosine cost about as much as 40 elements elsewhere. */
#define ANGLE_ELEMS 40

struct rope {
    struct rows rows; /* first, so that one() can reach the rest */
    const double *freq;
    const int32_t *pos;
    double mul;
    float *table;
};

static void rope_one(const struct rows *s, int i)
{
    const struct rope *r = (const struct rope *)s;
    float *cs = r->table + (int64_t)i * s->n_rot;
    for (int j = 0; j < s->n_rot / 2; j++) {
        double sine, cosine;
        sincos(r->freq[j] * r->pos[i], &sine, &cosine);
        cs[2 * j] = (float)(cosine * r->mul);
        cs[2 * j + 1] = (float)(sine * r->mul);
    }
}

void ft_cpu_rope_table(struct ft_dev *d, const double *freq, int n_rot, double mul,
                       const int32_t *pos, int n, float *cs)
{
    struct rope r = {.rows = {.n = n, .n_rot = n_rot, .one = rope_one},
                     .freq = freq,
                     .pos = pos,
                     .mul = mul,
                     .table = cs};
    rows_run(ft_cpu_of(d), &r.rows, (int64_t)n_rot / 2 * ANGLE_ELEMS);
}
