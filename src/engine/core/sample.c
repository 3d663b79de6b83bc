/* See sample.h. Three shapes of work, cheapest first:
 * - greedy: the position of the maximum;
 * - temperature alone, top_p, min_p: weights exp((x - max) / T) over the candidates, a draw, and a
 * test whether the drawn token belongs to the nucleus. If not, everything at or below its weight is
 *    out and the draw is repeated among the rest. Each round draws in proportion from a set that
 *   contains the nucleus, so an accepted token is distributed exactly as in the nucleus, without
 *   ever sorting or finding its edge (rejection by nested sets);
 * - top_k and typical_p first cut the candidates down to an explicit set. */
#include "engine/core/sample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"

#define BLOCK      FT_SAMPLE_BLOCK
#define DRAWS_MAX  4096 /* each round shrinks the set; a few are the rule */
#define HIST_BITS  11
#define HIST_SLOTS (1 << HIST_BITS)

/* ---- vectors: 4 lanes, which every 64-bit machine has; wider ones GCC takes apart ---- */

typedef float v4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t i4 __attribute__((vector_size(16)));

#define V4(p) (*(const v4 *)(p))

static inline v4 v4_max(v4 a, v4 b)
{
    i4 m = a > b;
    return (v4)(((i4)a & m) | ((i4)b & ~m));
}

static inline float v4_top(v4 a)
{
    float x = a[0] > a[1] ? a[0] : a[1], y = a[2] > a[3] ? a[2] : a[3];
    return x > y ? x : y;
}

static inline float v4_sum(v4 a)
{
    return (a[0] + a[2]) + (a[1] + a[3]);
}

/* exp(x) for x <= 0 within 2e-7: 2^n times a polynomial on [-ln2/2, ln2/2] (Cephes' expf). Below
 * -87, and for minus infinity and NaN, 0. */
static inline v4 v4_exp(v4 x)
{
    i4 live = x >= -87.0f;
    x = (v4)((i4)x & live);
    v4 shifted = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: rounds to an integer */
    i4 n = (i4)shifted - 0x4b400000;
    v4 k = shifted - 12582912.0f;
    x = x - k * 0.693359375f;
    x = x + k * 2.12194440e-4f;
    v4 y = x * 1.9875691500e-4f + 1.3981999507e-3f;
    y = y * x + 8.3334519073e-3f;
    y = y * x + 4.1665795894e-2f;
    y = y * x + 1.6666665459e-1f;
    y = y * x + 5.0000001201e-1f;
    y = y * x * x + x + 1.0f;
    y = y * (v4)((n + 127) << 23);
    return (v4)((i4)y & live);
}

static float exp_one(float x)
{
    v4 v = {x};
    return v4_exp(v)[0];
}

/* ---- penalties ---- */

bool ft_penalties_wanted(const struct ft_sampling *sp)
{
    return sp->repetition_penalty != 1.0f || sp->presence_penalty != 0.0f ||
           sp->frequency_penalty != 0.0f;
}

int ft_penalties_init(struct ft_penalties *p, int window, size_t n_tokens_max, struct ft_err *err)
{
    uint32_t n_slot = 64;
    while (n_slot < 2 * n_tokens_max)
        n_slot *= 2;
    *p = (struct ft_penalties){.window = window,
                               .n_slot = n_slot,
                               .count = calloc(n_tokens_max, sizeof *p->count),
                               .slot = calloc(n_slot, sizeof *p->slot)};
    if (p->count != NULL && p->slot != NULL)
        return 0;
    ft_penalties_fini(p);
    return ft_err_set(err, FT_ENOMEM, "penalties: no memory");
}

void ft_penalties_fini(struct ft_penalties *p)
{
    free(p->count);
    free(p->slot);
    *p = (struct ft_penalties){0};
}

static struct ft_penalty_count *count_of(struct ft_penalties *p, int32_t token)
{
    uint32_t at = (uint32_t)ft_rand_mix((uint64_t)token) & (p->n_slot - 1);
    while (p->slot[at] != 0) {
        struct ft_penalty_count *c = &p->count[p->slot[at] - 1];
        if (c->token == token)
            return c;
        at = (at + 1) & (p->n_slot - 1);
    }
    p->count[p->n_count].token = token;
    p->slot[at] = (int32_t)++p->n_count;
    return &p->count[p->n_count - 1];
}

void ft_penalties_advance(struct ft_penalties *p, const int32_t *token, size_t n, size_t n_prompt)
{
    size_t window = p->window > 0 ? (size_t)p->window : SIZE_MAX;
    for (; p->n_seen < n; p->n_seen++) {
        struct ft_penalty_count *c = count_of(p, token[p->n_seen]);
        c->n_all++;
        c->n_out += p->n_seen >= n_prompt;
        if (p->n_seen < window)
            continue;
        size_t out = p->n_seen - window;
        c = count_of(p, token[out]);
        c->n_all--;
        c->n_out -= out >= n_prompt;
    }
}

static void penalise(const struct ft_penalties *p, const struct ft_sampling *sp, float *x,
                     int n_vocab)
{
    for (uint32_t i = 0; i < p->n_count; i++) {
        const struct ft_penalty_count *c = &p->count[i];
        if (c->n_all <= 0 || c->token >= n_vocab)
            continue;
        float *v = &x[c->token];
        *v = *v > 0 ? *v / sp->repetition_penalty : *v * sp->repetition_penalty;
        if (c->n_out > 0)
            *v -= sp->presence_penalty + sp->frequency_penalty * (float)c->n_out;
    }
}

/* ---- scratch ---- */

void ft_sampler_fini(struct ft_sampler *s)
{
    free(s->x);
    free(s->p);
    free(s->edge);
    free(s->work);
    free(s->id);
    free(s->sum);
    free(s->hist);
    *s = (struct ft_sampler){0};
}

int ft_sampler_reserve(struct ft_sampler *s, int n_vocab, struct ft_err *err)
{
    if (n_vocab <= s->n_max)
        return 0;
    ft_sampler_fini(s);
    size_t n = (size_t)n_vocab + BLOCK, n_block = n / BLOCK + 1;
    s->x = calloc(n, sizeof *s->x);
    s->p = calloc(n, sizeof *s->p);
    s->edge = calloc(n_block, sizeof *s->edge);
    s->work = calloc(n, sizeof *s->work);
    s->id = calloc(n, sizeof *s->id);
    s->sum = calloc(n_block, sizeof *s->sum);
    s->hist = calloc(HIST_SLOTS, sizeof *s->hist);
    if (s->x == NULL || s->p == NULL || s->edge == NULL || s->work == NULL || s->id == NULL ||
        s->sum == NULL || s->hist == NULL) {
        ft_sampler_fini(s);
        return ft_err_set(err, FT_ENOMEM, "sampler: no memory");
    }
    s->n_max = n_vocab;
    return 0;
}

/* ---- passes over the vocabulary ---- */

/* edge[i] = the largest of the i-th block; returns the largest of all. NaN never wins. */
static float edges(const float *x, int n, float *edge)
{
    float top = -INFINITY;
    for (int at = 0, i = 0; at < n; at += BLOCK, i++) {
        float m = -INFINITY;
        if (at + BLOCK <= n) {
            v4 none = (v4){0} - INFINITY, a = none, b = none;
            for (int j = at; j < at + BLOCK; j += 8) {
                a = v4_max(V4(x + j), a);
                b = v4_max(V4(x + j + 4), b);
            }
            m = v4_top(v4_max(a, b));
        } else {
            for (int j = at; j < n; j++)
                m = x[j] > m ? x[j] : m;
        }
        edge[i] = m;
        top = m > top ? m : top;
    }
    return top;
}

static int32_t first_equal(const float *x, int n, const float *edge, float top)
{
    for (int at = 0, i = 0; at < n; at += BLOCK, i++) {
        if (edge[i] != top)
            continue;
        for (int j = at; j < n; j++)
            if (x[j] == top)
                return j;
    }
    return -1;
}

/* p[i] = exp((x[i] - top) * inv_t), sum[block] and the total. p may be NULL (sums only). */
static double weigh(const float *x, int n, float top, float inv_t, float *p, double *sum)
{
    double total = 0;
    for (int at = 0, i = 0; at < n; at += BLOCK, i++) {
        float part;
        if (at + BLOCK <= n) {
            v4 acc = {0};
            for (int j = at; j < at + BLOCK; j += 4) {
                v4 e = v4_exp((V4(x + j) - top) * inv_t);
                if (p != NULL)
                    *(v4 *)(p + j) = e;
                acc += e;
            }
            part = v4_sum(acc);
        } else {
            part = 0;
            for (int j = at; j < n; j++) {
                float e = exp_one((x[j] - top) * inv_t);
                if (p != NULL)
                    p[j] = e;
                part += e;
            }
        }
        if (sum != NULL)
            sum[i] = part;
        total += part;
    }
    return total;
}

/* A set of candidates: of weight >= at_least, and more likely than (below, below_i), where of equal
 * weights the first is the more likely. */
struct keep {
    float at_least, below;
    int below_i;
};

static inline bool kept(const struct keep *k, float p, int i)
{
    return p >= k->at_least && (p > k->below || (p == k->below && i < k->below_i));
}

/* The weight of the set, and of each block in sum[] (may be NULL). */
static double mass(const float *p, int n, const struct keep *k, double *sum)
{
    double total = 0;
    for (int at = 0, b = 0; at < n; at += BLOCK, b++) {
        float part = 0;
        if (at + BLOCK <= n && (k->below_i <= at || k->below_i >= at + BLOCK)) {
            bool ties = k->below_i >= at + BLOCK;
            v4 acc = {0};
            for (int j = at; j < at + BLOCK; j += 4) {
                v4 v = V4(p + j);
                i4 in = ties ? v >= k->below : v > k->below;
                acc += (v4)((i4)v & in & (i4)(v >= k->at_least));
            }
            part = v4_sum(acc);
        } else {
            int end = at + BLOCK < n ? at + BLOCK : n;
            for (int j = at; j < end; j++)
                part += kept(k, p[j], j) ? p[j] : 0;
        }
        if (sum != NULL)
            sum[b] = part;
        total += part;
    }
    return total;
}

/* The member of the set at which the running sum passes `want`. */
static int locate(const float *p, int n, const struct keep *k, const double *sum, double want)
{
    int last = -1;
    for (int at = 0, b = 0; at < n; at += BLOCK, b++) {
        if (sum[b] <= 0)
            continue;
        if (want >= sum[b]) {
            want -= sum[b];
            last = b;
            continue;
        }
        int end = at + BLOCK < n ? at + BLOCK : n, i = -1;
        for (int j = at; j < end; j++) {
            if (!kept(k, p[j], j) || p[j] <= 0)
                continue;
            i = j;
            want -= p[j];
            if (want < 0)
                break;
        }
        if (i >= 0)
            return i;
    }
    /* rounding left a crumb past the end: the last member */
    for (int j = (last + 1) * BLOCK - 1; last >= 0 && j >= 0; j--)
        if (j < n && kept(k, p[j], j) && p[j] > 0)
            return j;
    return -1;
}

/* ---- explicit cuts ---- */

/* The k-th largest of v[0 .. n), which is reordered. k in 1 .. n. */
static float kth_largest(float *v, int n, int k)
{
    int lo = 0, hi = n - 1;
    while (lo < hi) {
        float pivot = v[lo + (hi - lo) / 2];
        int i = lo, j = hi;
        while (i <= j) {
            while (v[i] > pivot)
                i++;
            while (v[j] < pivot)
                j--;
            if (i <= j) {
                float t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        if (k - 1 <= j)
            hi = j;
        else if (k - 1 >= i)
            lo = i;
        else
            break;
    }
    return v[k - 1];
}

/* id[] = the k tokens with the largest logits, ties by id, ascending; returns how many (fewer when
 * fewer are finite). The k-th largest block maximum is a lower bound of the k-th largest logit, so
 * only blocks that reach it are looked into. */
static int top_k(struct ft_sampler *s, const float *x, int n, int k, int32_t *id)
{
    int n_block = (n + BLOCK - 1) / BLOCK, n_work = 0;
    float bound = -INFINITY;
    if (k < n_block) {
        memcpy(s->work, s->edge, (size_t)n_block * sizeof *s->work);
        bound = kth_largest(s->work, n_block, k);
    }
    for (int b = 0; b < n_block; b++) {
        int end = FT_MIN((b + 1) * BLOCK, n);
        for (int j = b * BLOCK; s->edge[b] >= bound && j < end; j++)
            if (x[j] >= bound && x[j] > -INFINITY)
                s->work[n_work++] = x[j];
    }
    if (n_work == 0)
        return 0;
    float edge = n_work > k ? kth_largest(s->work, n_work, k) : bound;
    int above = 0, out = 0;
    for (int i = 0; i < n_work; i++)
        above += s->work[i] > edge;
    for (int b = 0; b < n_block; b++) {
        int end = FT_MIN((b + 1) * BLOCK, n);
        for (int j = b * BLOCK; s->edge[b] >= edge && j < end; j++) {
            if (x[j] > edge)
                id[out++] = j;
            else if (x[j] == edge && x[j] > -INFINITY && above < k) {
                id[out++] = j;
                above++;
            }
        }
    }
    return out;
}

/* The smallest key t such that the elements with key <= t weigh at least `want`: a radix descent
 * over the bits of non-negative floats. *ret_before: the weight of those below t. */
static float threshold(struct ft_sampler *s, const float *key, const float *p, int n, double want,
                       double *ret_before)
{
    uint32_t prefix = 0;
    double before = 0;
    for (int shift = 31 - HIST_BITS; shift >= -2; shift -= HIST_BITS) {
        int down = shift > 0 ? shift : 0, slots = shift >= 0 ? HIST_SLOTS : HIST_SLOTS >> 2;
        int bits = shift >= 0 ? HIST_BITS : HIST_BITS - 2;
        memset(s->hist, 0, (size_t)HIST_SLOTS * sizeof *s->hist);
        for (int i = 0; i < n; i++) {
            uint32_t u;
            memcpy(&u, &key[i], sizeof u);
            if (down + bits >= 31 || u >> (down + bits) == prefix)
                s->hist[(u >> down) & (uint32_t)(slots - 1)] += p[i];
        }
        int at = 0, last = 0;
        for (; at < slots; at++) {
            if (s->hist[at] > 0)
                last = at;
            if (before + s->hist[at] >= want)
                break;
            before += s->hist[at];
        }
        if (at == slots) { /* rounding: everything belongs */
            before -= s->hist[last];
            at = last;
        }
        prefix = prefix << bits | (uint32_t)at;
    }
    float t;
    memcpy(&t, &prefix, sizeof t);
    *ret_before = before;
    return t;
}

/* Locally typical sampling (Meister et al., TACL 2023): the tokens whose surprise is nearest to the
 * entropy, until they weigh typical_p. Compacts p and id; returns how many are left. */
static int typical(struct ft_sampler *s, const float *x, int n, float top, float inv_t,
                   double total, float typical_p)
{
    /* surprise - entropy = (top - x) / T - mean of the same: log(total) is in both and cancels */
    double h = 0;
    for (int i = 0; i < n; i++)
        if (s->p[i] > 0)
            h += s->p[i] * (double)(top - x[i]);
    float shift = (float)(-h / total * inv_t);
    float *key = s->work; /* may be x itself */
    for (int i = 0; i < n; i++)
        key[i] = s->p[i] > 0 ? fabsf((top - x[i]) * inv_t + shift) : 3e38f;
    double want = typical_p * total, before;
    float t = threshold(s, key, s->p, n, want, &before);
    int out = 0;
    for (int i = 0; i < n; i++) {
        bool in = key[i] < t || (key[i] == t && before < want);
        if (!in || s->p[i] <= 0)
            continue;
        if (key[i] == t)
            before += s->p[i];
        s->id[out] = s->id[i];
        s->p[out++] = s->p[i];
    }
    return out;
}

/* ---- the draw ---- */

static int draw(struct ft_sampler *s, const struct ft_sample_in *in, int n, float top_weight,
                double total)
{
    const struct ft_sampling *sp = in->sp;
    struct keep k = {.at_least = sp->min_p * top_weight, .below = -1, .below_i = 0};
    double z = total;
    if (sp->min_p > 0)
        z = mass(s->p, n, &k, s->sum);
    for (uint64_t round = 0; round < DRAWS_MAX; round++) {
        double u = ft_rand_unit(sp->seed + round * 0x9e3779b97f4a7c15u, in->stream, in->position);
        int i = locate(s->p, n, &k, s->sum, u * z);
        if (i < 0)
            return -1;
        if (sp->top_p >= 1.0f)
            return i;
        /* in the nucleus if what is more likely weighs less than top_p */
        struct keep above = {.at_least = 0, .below = s->p[i], .below_i = i};
        if (mass(s->p, n, &above, NULL) < sp->top_p * total)
            return i;
        k.below = s->p[i];
        k.below_i = i;
        z = mass(s->p, n, &k, s->sum);
    }
    for (int i = 0; i < n; i++)
        if (s->p[i] == top_weight)
            return i;
    return -1;
}

/* Index of the token chosen among x[0 .. n); its edges are in s->edge. */
static int32_t choose(struct ft_sampler *s, const struct ft_sample_in *in, const float *x,
                      float top)
{
    const struct ft_sampling *sp = in->sp;
    int n = in->n_vocab;
    float inv_t = 1.0f / sp->temperature;
    if (sp->temperature <= 0.0f || isinf(inv_t))
        return first_equal(x, n, s->edge, top);
    bool subset = sp->top_k > 0 && sp->top_k < n;
    if (subset) {
        n = top_k(s, x, n, sp->top_k, s->id);
        for (int i = 0; i < n; i++)
            s->work[i] = x[s->id[i]];
        x = s->work;
    }
    double total = weigh(x, n, top, inv_t, s->p, s->sum);
    float top_weight = 1.0f;
    if (sp->typical_p < 1.0f) {
        if (!subset)
            for (int i = 0; i < n; i++)
                s->id[i] = i;
        subset = true;
        n = typical(s, x, n, top, inv_t, total, sp->typical_p);
        top_weight = 0;
        for (int i = 0; i < n; i++)
            top_weight = FT_MAX(top_weight, s->p[i]);
        struct keep all = {.at_least = 0, .below = -1, .below_i = 0};
        total = mass(s->p, n, &all, s->sum);
    }
    int i = draw(s, in, n, top_weight, total);
    if (i < 0)
        return -1;
    return subset ? s->id[i] : i;
}

/* ---- log-probabilities ---- */

static void top_list(const float *x, const float *edge, int n, int n_top, struct ft_top *top,
                     int *ret_n)
{
    int got = 0;
    for (int at = 0, b = 0; at < n; at += BLOCK, b++) {
        if (got == n_top && edge[b] <= top[got - 1].logprob)
            continue;
        int end = FT_MIN(at + BLOCK, n);
        for (int j = at; j < end; j++) {
            if (isnan(x[j]) || (got == n_top && x[j] <= top[got - 1].logprob))
                continue;
            int i = got < n_top ? got++ : got - 1;
            for (; i > 0 && top[i - 1].logprob < x[j]; i--)
                top[i] = top[i - 1];
            top[i] = (struct ft_top){.token = j, .logprob = x[j]};
        }
    }
    *ret_n = got;
}

static double log_sum(const float *x, int n, float top)
{
    return top + log(weigh(x, n, top, 1.0f, NULL, NULL));
}

static float largest(const float *x, int n)
{
    float m = -INFINITY;
    for (int i = 0; i < n; i++)
        m = x[i] > m ? x[i] : m;
    return m;
}

void ft_sample_logprobs(const float *logits, int n_vocab, const int32_t *token, int n, float *ret)
{
    double z = log_sum(logits, n_vocab, largest(logits, n_vocab));
    for (int i = 0; i < n; i++)
        ret[i] = (float)(logits[token[i]] - z);
}

/* ---- the whole ---- */

static void apply_mask(const uint32_t *mask, int n, float *x)
{
    for (int at = 0; at < n; at += 32) {
        uint32_t off = ~mask[at / 32];
        for (; off != 0; off &= off - 1) {
            int j = at + __builtin_ctz(off);
            if (j < n)
                x[j] = -INFINITY;
        }
    }
}

/* The logits with everything applied that changes single tokens; in->logits itself if nothing does.
 */
static const float *edited(struct ft_sampler *s, const struct ft_sample_in *in)
{
    const struct ft_sampling *sp = in->sp;
    bool pen = in->penalties != NULL;
    if (in->mask == NULL && in->n_ban == 0 && sp->n_bias == 0 && !pen)
        return in->logits;
    memcpy(s->x, in->logits, (size_t)in->n_vocab * sizeof *s->x);
    for (int i = 0; i < sp->n_bias; i++)
        s->x[sp->bias[i].token] += sp->bias[i].bias <= -100.0f ? -INFINITY : sp->bias[i].bias;
    if (pen)
        penalise(in->penalties, sp, s->x, in->n_vocab);
    if (in->mask != NULL)
        apply_mask(in->mask, in->n_vocab, s->x);
    for (int i = 0; i < in->n_ban; i++)
        s->x[in->ban[i]] = -INFINITY;
    return s->x;
}

int ft_sample(struct ft_sampler *s, const struct ft_sample_in *in, struct ft_sample_out *ret,
              struct ft_err *err)
{
    FT_ASSERT(in->n_vocab <= s->n_max && in->n_top <= FT_REQUEST_TOP_MAX);
    const float *x = edited(s, in);
    float top = edges(x, in->n_vocab, s->edge);
    int32_t token = top == -INFINITY ? -1 : choose(s, in, x, top);
    if (token < 0) {
        if (largest(in->logits, in->n_vocab) == -INFINITY)
            return ft_err_set(err, FT_EINTERNAL, "sampling: the model's logits are not numbers");
        return ft_err_set(err, FT_ELIMIT, "sampling: no token is allowed here");
    }
    ret->token = token;
    ret->logprob = 0;
    ret->n_top = 0;
    if (in->logprob || in->n_top > 0) {
        float raw = edges(in->logits, in->n_vocab, s->edge);
        double z = log_sum(in->logits, in->n_vocab, raw);
        ret->logprob = (float)(in->logits[token] - z);
        if (in->n_top > 0)
            top_list(in->logits, s->edge, in->n_vocab, in->n_top, ret->top, &ret->n_top);
        for (int i = 0; i < ret->n_top; i++)
            ret->top[i].logprob = (float)(ret->top[i].logprob - z);
    }
    return 0;
}
