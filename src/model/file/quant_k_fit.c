/* Writing the formats with super-blocks of 256 weights: Q2_K to Q6_K.
 *
 * Each sub-block's scale (and minimum) is searched alone (quant_fit.h); these are rounded to the
 * few bits that the format has for them, relative to the largest; then the integer scales are
 * moved by one where that lowers the error, and the super-block's own scales are solved for
 * again by least squares, as both roundings have shifted the optimum. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/half.h"
#include "model/file/quant_block.h"
#include "model/file/quant_fit.h"
#include "model/file/quant_impl.h"

#define QK       FT_QK_SUPER
#define SUBS_MAX 16

/* What a super-block format looks like from here. */
struct super_format {
    int n_sub;              /* sub-blocks */
    int lo, hi;             /* levels of a weight */
    int scale_lo, scale_hi; /* of the integer scales */
    int min_hi;             /* of the integer minimums; 0 = the format has none */
};

struct super_block {
    float d, dmin; /* as the f16 that is stored */
    int scale[SUBS_MAX], min[SUBS_MAX];
    int8_t q[QK];
};

static float to_f16(float d)
{
    return ft_f16_to_f32(ft_fit_f16(d));
}

static float sub_error(const struct super_format *f, const struct super_block *s, const float *x,
                       int sub, int scale, int min)
{
    int n = QK / f->n_sub;
    return ft_fit_error(x + sub * n, n, s->d * (float)scale, s->dmin * (float)min, f->lo, f->hi);
}

/* Moves each sub-block's integers by one step where that helps; returns the whole error. */
static float integers_refine(const struct super_format *f, struct super_block *s, const float *x)
{
    float total = 0;
    for (int sub = 0; sub < f->n_sub; sub++) {
        int scale = s->scale[sub], min = s->min[sub];
        float best = sub_error(f, s, x, sub, scale, min);
        for (int ds = -1; ds <= 1; ds++) {
            int sc = scale + ds;
            if (sc < f->scale_lo || sc > f->scale_hi)
                continue;
            for (int dm = f->min_hi > 0 ? -1 : 0; dm <= (f->min_hi > 0 ? 1 : 0); dm++) {
                int m = min + dm;
                if ((ds == 0 && dm == 0) || m < 0 || m > f->min_hi)
                    continue;
                float e = sub_error(f, s, x, sub, sc, m);
                if (e < best) {
                    best = e;
                    s->scale[sub] = sc;
                    s->min[sub] = m;
                }
            }
        }
        total += best;
    }
    return total;
}

static void levels_set(const struct super_format *f, struct super_block *s, const float *x)
{
    int n = QK / f->n_sub;
    for (int sub = 0; sub < f->n_sub; sub++)
        ft_fit_quantise(x + sub * n, n, s->d * (float)s->scale[sub], s->dmin * (float)s->min[sub],
                        f->lo, f->hi, s->q + sub * n);
}

/* d and dmin for the levels as they are: minimises sum (x - d a + dmin b)^2, a = scale q, b =
 * min. */
static void scales_solve(const struct super_format *f, struct super_block *s, const float *x)
{
    double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
    int n = QK / f->n_sub;
    for (int sub = 0; sub < f->n_sub; sub++) {
        float q = 0, qq = 0, xq = 0, sum_x = 0;
        for (int i = sub * n; i < (sub + 1) * n; i++) {
            q += (float)s->q[i];
            qq += (float)(s->q[i] * s->q[i]);
            xq += x[i] * (float)s->q[i];
            sum_x += x[i];
        }
        double sc = s->scale[sub], m = s->min[sub];
        aa += sc * sc * qq;
        ab += sc * m * q;
        bb += m * m * n;
        xa += sc * xq;
        xb += m * sum_x;
    }
    double det = aa * bb - ab * ab;
    if (f->min_hi > 0 && det > 1e-6 * aa * bb) {
        double d = (xa * bb - xb * ab) / det, dmin = (xa * ab - xb * aa) / det;
        if (dmin >= 0) {
            s->d = to_f16((float)d);
            s->dmin = to_f16((float)dmin);
        }
    } else if (aa > 0) {
        s->d = to_f16((float)((xa + s->dmin * ab) / aa));
    }
}

static void super_block_fit(const struct super_format *f, const float *x, struct super_block *s)
{
    float scale[SUBS_MAX], min[SUBS_MAX], top = 0, top_min = 0;
    int n = QK / f->n_sub;
    memset(s, 0, sizeof *s);
    for (int sub = 0; sub < f->n_sub; sub++) {
        min[sub] = 0;
        if (f->min_hi > 0)
            ft_fit_offset(x + sub * n, n, f->hi, true, &scale[sub], &min[sub]);
        else
            scale[sub] = ft_fit_scale(x + sub * n, n, f->lo, f->hi);
        if (fabsf(scale[sub]) > fabsf(top))
            top = scale[sub];
        top_min = fmaxf(top_min, min[sub]);
    }
    /* signed integer scales: the extreme goes to the end that reaches further */
    int end = f->scale_lo < 0 ? f->scale_lo : f->scale_hi;
    s->d = to_f16(top / (float)end);
    s->dmin = f->min_hi > 0 ? to_f16(top_min / (float)f->min_hi) : 0;
    for (int sub = 0; sub < f->n_sub; sub++) {
        s->scale[sub] = s->d != 0 ? ft_fit_round(scale[sub] / s->d, f->scale_lo, f->scale_hi) : 0;
        s->min[sub] = s->dmin != 0 ? ft_fit_round(min[sub] / s->dmin, 0, f->min_hi) : 0;
    }
    float error = integers_refine(f, s, x);
    levels_set(f, s, x);
    struct super_block again = *s;
    scales_solve(f, &again, x);
    if (integers_refine(f, &again, x) < error) {
        *s = again;
        levels_set(f, s, x);
    }
}

/* The bits of the packed 6-bit pairs of Q4_K and Q5_K. */
static void pairs_pack(const struct super_block *s, uint8_t *out)
{
    memset(out, 0, 12);
    for (int j = 0; j < 8; j++) {
        uint8_t sc = (uint8_t)s->scale[j], m = (uint8_t)s->min[j];
        if (j < 4) {
            out[j] |= sc;
            out[j + 4] |= m;
        } else {
            out[j + 4] = (uint8_t)((sc & 15) | (m & 15) << 4);
            out[j - 4] |= (uint8_t)(sc >> 4 << 6);
            out[j] |= (uint8_t)(m >> 4 << 6);
        }
    }
}

void ft_q2_k_quantise(const float *x, void *y, int64_t n)
{
    static const struct super_format format = {16, 0, 3, 0, 15, 15};
    struct ft_block_q2_k *b = y;
    struct super_block s;
    for (int64_t i = 0; i < n / QK; i++, b++, x += QK) {
        super_block_fit(&format, x, &s);
        b->d = ft_fit_f16(s.d);
        b->dmin = ft_fit_f16(s.dmin);
        for (int sub = 0; sub < 16; sub++)
            b->scales[sub] = (uint8_t)(s.scale[sub] | s.min[sub] << 4);
        for (int j = 0; j < 64; j++) {
            const int8_t *q = s.q + 128 * (j / 32) + j % 32;
            b->qs[j] = (uint8_t)(q[0] | q[32] << 2 | q[64] << 4 | q[96] << 6);
        }
    }
}

void ft_q3_k_quantise(const float *x, void *y, int64_t n)
{
    static const struct super_format format = {16, -4, 3, -32, 31, 0};
    struct ft_block_q3_k *b = y;
    struct super_block s;
    for (int64_t i = 0; i < n / QK; i++, b++, x += QK) {
        super_block_fit(&format, x, &s);
        memset(b, 0, sizeof *b);
        b->d = ft_fit_f16(s.d);
        for (int j = 0; j < 16; j++) {
            int sc = s.scale[j] + 32;
            b->scales[j % 8] |= (uint8_t)((sc & 15) << (4 * (j / 8)));
            b->scales[8 + j % 4] |= (uint8_t)(sc >> 4 << (2 * (j / 4)));
        }
        for (int k = 0; k < QK; k++) {
            int q = s.q[k] + 4, half = k / 128, shift = k % 128 / 32, l = k % 32;
            b->qs[32 * half + l] |= (uint8_t)((q & 3) << (2 * shift));
            b->hmask[l] |= (uint8_t)(q >> 2 << (4 * half + shift));
        }
    }
}

void ft_q4_k_quantise(const float *x, void *y, int64_t n)
{
    static const struct super_format format = {8, 0, 15, 0, 63, 63};
    struct ft_block_q4_k *b = y;
    struct super_block s;
    for (int64_t i = 0; i < n / QK; i++, b++, x += QK) {
        super_block_fit(&format, x, &s);
        b->d = ft_fit_f16(s.d);
        b->dmin = ft_fit_f16(s.dmin);
        pairs_pack(&s, b->scales);
        for (int j = 0; j < 128; j++) {
            const int8_t *q = s.q + 64 * (j / 32) + j % 32;
            b->qs[j] = (uint8_t)(q[0] | q[32] << 4);
        }
    }
}

void ft_q5_k_quantise(const float *x, void *y, int64_t n)
{
    static const struct super_format format = {8, 0, 31, 0, 63, 63};
    struct ft_block_q5_k *b = y;
    struct super_block s;
    for (int64_t i = 0; i < n / QK; i++, b++, x += QK) {
        super_block_fit(&format, x, &s);
        b->d = ft_fit_f16(s.d);
        b->dmin = ft_fit_f16(s.dmin);
        pairs_pack(&s, b->scales);
        memset(b->qh, 0, sizeof b->qh);
        for (int j = 0; j < 128; j++) {
            const int8_t *q = s.q + 64 * (j / 32) + j % 32;
            b->qs[j] = (uint8_t)((q[0] & 15) | (q[32] & 15) << 4);
        }
        for (int k = 0; k < QK; k++)
            b->qh[k % 32] |= (uint8_t)(s.q[k] >> 4 << (k / 32));
    }
}

void ft_q6_k_quantise(const float *x, void *y, int64_t n)
{
    static const struct super_format format = {16, -32, 31, -128, 127, 0};
    struct ft_block_q6_k *b = y;
    struct super_block s;
    for (int64_t i = 0; i < n / QK; i++, b++, x += QK) {
        super_block_fit(&format, x, &s);
        memset(b, 0, sizeof *b);
        b->d = ft_fit_f16(s.d);
        for (int j = 0; j < 16; j++)
            b->scales[j] = (int8_t)s.scale[j];
        for (int k = 0; k < QK; k++) {
            int q = s.q[k] + 32, half = k / 128, sub = k % 128 / 32, l = k % 32;
            b->ql[64 * half + 32 * (sub % 2) + l] |= (uint8_t)((q & 15) << (4 * (sub / 2)));
            b->qh[32 * half + l] |= (uint8_t)(q >> 4 << (2 * sub));
        }
    }
}
