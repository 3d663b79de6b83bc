/* The reference device: norms, rotary embedding, activation and routing, one element at a time. */
#include "engine/ref/ref_dev.h"

#include <math.h>
#include <string.h>

void ft_ref_gather(struct ft_dev *d, struct ft_mat x, const int32_t *row, int n, int d_model,
                   struct ft_mat y)
{
    (void)d;
    for (int i = 0; i < n; i++)
        memmove(y.p + i * y.ld, x.p + (row != NULL ? row[i] : i) * x.ld,
                (size_t)d_model * sizeof(float));
}

static void norm_row(const float *x, int64_t n, const float *w, float eps, float *y)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    double scale = 1 / sqrt(sum / (double)n + eps);
    for (int64_t i = 0; i < n; i++)
        y[i] = (float)(x[i] * scale * w[i]);
}

void ft_ref_rmsnorm(struct ft_dev *d, struct ft_mat x, int n, int d_model, const float *w,
                    float eps, struct ft_mat y)
{
    (void)d;
    for (int i = 0; i < n; i++)
        norm_row(x.p + i * x.ld, d_model, w, eps, y.p + i * y.ld);
}

void ft_ref_rope_table(struct ft_dev *d, const double *freq, int n_rot, double mul,
                       const int32_t *pos, int n, float *cs)
{
    (void)d;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n_rot / 2; j++) {
            double a = pos[i] * freq[j];
            cs[(int64_t)i * n_rot + 2 * j] = (float)(cos(a) * mul);
            cs[(int64_t)i * n_rot + 2 * j + 1] = (float)(sin(a) * mul);
        }
}

static void rotate(float *x, const float *cs, int n_rot, enum ft_rope_pairs pairs)
{
    int half = n_rot / 2;
    for (int j = 0; j < half; j++) {
        float *a = pairs == FT_ROPE_HALVES ? &x[j] : &x[2 * j];
        float *b = pairs == FT_ROPE_HALVES ? &x[j + half] : &x[2 * j + 1];
        double c = cs[2 * j], s = cs[2 * j + 1], u = *a, v = *b;
        *a = (float)(u * c - v * s);
        *b = (float)(u * s + v * c);
    }
}

void ft_ref_heads(struct ft_dev *d, struct ft_mat x, int n, int n_head, int d_head, const float *w,
                  float eps, const float *cs, int at, int n_rot, enum ft_rope_pairs pairs)
{
    (void)d;
    for (int i = 0; i < n; i++)
        for (int h = 0; h < n_head; h++) {
            float *p = x.p + i * x.ld + (int64_t)h * d_head;
            if (w != NULL)
                norm_row(p, d_head, w, eps, p);
            if (cs != NULL)
                rotate(p + at, cs + (int64_t)i * n_rot, n_rot, pairs);
        }
}

void ft_ref_swiglu(struct ft_dev *d, struct ft_mat gate, struct ft_mat up, int n, int d_ff,
                   struct ft_mat y)
{
    (void)d;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < d_ff; j++) {
            double g = gate.p[i * gate.ld + j];
            y.p[i * y.ld + j] = (float)(g / (1 + exp(-g)) * up.p[i * up.ld + j]);
        }
}

/* Marks the experts of the groups that may be chosen from: those whose best one (DeepSeek-V2,
 * arXiv:2405.04434) or two scores (V3, arXiv:2412.19437) sum highest. */
static void open_groups(const struct ft_route *r, const double *score, bool *open)
{
    int size = r->n_expert / r->n_group;
    double sum[FT_EXPERTS_MAX];
    for (int g = 0; g < r->n_group; g++) {
        double best = -INFINITY, second = -INFINITY;
        for (int e = g * size; e < (g + 1) * size; e++) {
            if (score[e] > best) {
                second = best;
                best = score[e];
            } else if (score[e] > second) {
                second = score[e];
            }
        }
        sum[g] = r->n_group_best > 1 && size > 1 ? best + second : best;
    }
    memset(open, 0, (size_t)r->n_expert * sizeof *open);
    for (int k = 0; k < r->n_group_used; k++) {
        int best = -1;
        for (int g = 0; g < r->n_group; g++)
            if (!open[g * size] && (best < 0 || sum[g] > sum[best]))
                best = g;
        for (int e = best * size; e < (best + 1) * size; e++)
            open[e] = true;
    }
}

static void route_row(const struct ft_route *r, const float *logit, int32_t *id, float *weight)
{
    double prob[FT_EXPERTS_MAX], score[FT_EXPERTS_MAX], max = -INFINITY, sum = 0;
    bool open[FT_EXPERTS_MAX];
    for (int e = 0; e < r->n_expert; e++)
        max = fmax(max, logit[e]);
    for (int e = 0; e < r->n_expert; e++) {
        bool soft = r->gating == FT_GATE_SOFTMAX;
        prob[e] = soft ? exp(logit[e] - max) : 1 / (1 + exp(-(double)logit[e]));
        sum += prob[e];
        open[e] = true;
    }
    for (int e = 0; e < r->n_expert; e++) {
        if (r->gating == FT_GATE_SOFTMAX)
            prob[e] /= sum;
        score[e] = prob[e] + (r->bias != NULL ? r->bias[e] : 0);
    }
    if (r->n_group > 1)
        open_groups(r, score, open);
    double chosen = 0;
    for (int k = 0; k < r->n_used; k++) {
        int best = -1;
        for (int e = 0; e < r->n_expert; e++)
            if (open[e] && (best < 0 || score[e] > score[best]))
                best = e;
        open[best] = false;
        id[k] = best;
        weight[k] = (float)prob[best];
        chosen += prob[best];
    }
    for (int k = 0; k < r->n_used; k++)
        weight[k] =
            (float)((r->norm ? weight[k] / fmax(chosen, 6.103515625e-5) : weight[k]) * r->scale);
}

void ft_ref_route(struct ft_dev *d, const struct ft_route *r, struct ft_mat logit, int n,
                  int32_t *id, float *weight)
{
    (void)d;
    FT_ASSERT(r->n_expert <= FT_EXPERTS_MAX);
    for (int i = 0; i < n; i++)
        route_row(r, logit.p + i * logit.ld, id + (int64_t)i * r->n_used,
                  weight + (int64_t)i * r->n_used);
}
