/* Which experts a row goes to, and with what weight.
 *
 * Qwen3-MoE and DeepSeek V2: softmax over all experts, the best n_used, weights divided by their
 * sum where the model says so. DeepSeek V3 (arXiv 2412.19437, 2.1.2): sigmoid; a learned bias is
 * added for choosing only. Groups of experts are ranked by their best biased score (V2) or the sum
 * of their two best (V3) and experts taken from the best groups alone. Ties go to the lower index,
 * so that the choice is the same everywhere. */
#include "engine/cpu/steps.h"

#include <math.h>

/* Below this sum nothing is divided by: sigmoids of very negative logits may vanish together. */
#define SUM_MIN 1e-20f

/* A score that never wins is the lowest; NaN counts as that, so that n_used distinct experts are
 * found whatever the logits are. */
static float rankable(float x)
{
    return isnan(x) ? -INFINITY : x;
}

/* The best of p[0 .. n) that `taken` does not mark, lowest index first; -1 if all are taken. */
static int best_of(const float *p, const bool *taken, int n)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (!taken[i] && (best < 0 || p[i] > p[best]))
            best = i;
    return best;
}

/* Puts all experts outside the best n_group_used groups below the others. */
static void close_groups(const struct ft_route *r, float *score)
{
    float group[FT_EXPERTS_MAX];
    bool open[FT_EXPERTS_MAX] = {false};
    int size = r->n_expert / r->n_group;
    for (int g = 0; g < r->n_group; g++) {
        const float *p = score + g * size;
        float first = -INFINITY, second = -INFINITY;
        for (int i = 0; i < size; i++) {
            if (p[i] > first) {
                second = first;
                first = p[i];
            } else if (p[i] > second) {
                second = p[i];
            }
        }
        group[g] = r->n_group_best > 1 && size > 1 ? first + second : first;
    }
    for (int i = 0; i < r->n_group_used; i++)
        open[best_of(group, open, r->n_group)] = true;
    for (int i = 0; i < size * r->n_group; i++)
        if (!open[i / size])
            score[i] = -INFINITY;
}

static void route_row(const struct ft_cpu_steps *k, const struct ft_route *r, const float *logit,
                      int32_t *id, float *weight)
{
    float p[FT_EXPERTS_MAX], score[FT_EXPERTS_MAX];
    bool taken[FT_EXPERTS_MAX] = {false};
    if (r->gating == FT_GATE_SIGMOID)
        k->sigmoid(logit, r->n_expert, p);
    else
        k->softmax(logit, r->n_expert, p);
    for (int i = 0; i < r->n_expert; i++)
        score[i] = rankable(r->bias != NULL ? p[i] + r->bias[i] : p[i]);
    if (r->n_group > 1 && r->n_group_used < r->n_group)
        close_groups(r, score);

    float sum = 0;
    for (int i = 0; i < r->n_used; i++) {
        int best = best_of(score, taken, r->n_expert);
        taken[best] = true;
        id[i] = best;
        weight[i] = p[best];
        sum += p[best];
    }
    float factor = r->norm ? r->scale / fmaxf(sum, SUM_MIN) : r->scale;
    for (int i = 0; i < r->n_used; i++)
        weight[i] *= factor;
}

/* Elements of logits per chunk; below, the owner does them alone. */
#define CHUNK_ELEMS (8 << 10)

struct route_run {
    const struct ft_cpu_steps *k;
    const struct ft_route *r;
    struct ft_mat logit;
    int n, per_chunk;
    int32_t *id;
    float *weight;
};

static void route_chunk(void *ctx, int chunk, int worker)
{
    (void)worker;
    const struct route_run *s = ctx;
    int end = FT_MIN(s->n, (chunk + 1) * s->per_chunk);
    for (int i = chunk * s->per_chunk; i < end; i++)
        route_row(s->k, s->r, s->logit.p + i * s->logit.ld, s->id + (int64_t)i * s->r->n_used,
                  s->weight + (int64_t)i * s->r->n_used);
}

void ft_cpu_route(struct ft_dev *d, const struct ft_route *r, struct ft_mat logit, int n,
                  int32_t *id, float *weight)
{
    struct ft_cpu *c = ft_cpu_of(d);
    FT_ASSERT(r->n_expert <= FT_EXPERTS_MAX && r->n_used <= r->n_expert);
    FT_ASSERT(r->n_group <= 1 || r->n_expert % r->n_group == 0);
    struct route_run s = {.k = c->steps,
                          .r = r,
                          .logit = logit,
                          .n = n,
                          .per_chunk = FT_MAX(1, CHUNK_ELEMS / r->n_expert),
                          .id = id,
                          .weight = weight};
    ft_pool_run(c->pool, (n + s.per_chunk - 1) / s.per_chunk, route_chunk, &s);
}
