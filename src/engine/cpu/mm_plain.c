/* Matrix product kernels in plain C: the readable definition of mm.h's rules, for machines without
 * a kernel of their own and as the reference beside the vector code, which gives the same bits:
 * hence fmaf wherever mm.h says fma. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "engine/cpu/mm.h"
#include "model/file/quant_block.h"

#define R FT_CPU_ROWS

/* The level of row r, weight k of a block. */
static int level(const struct ft_cpu_fmt *f, const uint8_t *q, int r, int k)
{
    int s = k / 4, i = k % 4;
    const uint8_t *nib = q + s % 4 * 64, *two, *one;
    int lane = r * 4 + i, n = nib[lane] >> (s < 4 ? 0 : 4) & 15;
    switch (f->id) {
    case FT_CPU_Q5_0:
    case FT_CPU_Q5_1:
    case FT_CPU_Q5_K:
        one = q + 256;
        return n | (one[lane] >> s & 1) << 4;
    case FT_CPU_Q8_0:
        return q[s * 64 + lane];
    case FT_CPU_IQ4_NL:
    case FT_CPU_IQ4_XS:
        return ft_iq4_values[n] + 128;
    case FT_CPU_MXFP4:
        return ft_mxfp4_values[n] + 12;
    case FT_CPU_Q2_K:
        two = q + s / 4 * 64;
        return two[lane] >> (s % 4 * 2) & 3;
    case FT_CPU_Q3_K:
        two = q + s / 4 * 64;
        one = q + 128;
        return (two[lane] >> (s % 4 * 2) & 3) | (one[lane] >> s & 1) << 2;
    case FT_CPU_Q6_K:
        two = q + 256 + s / 4 * 64;
        return n | (two[lane] >> (s % 4 * 2) & 3) << 4;
    default:
        return n;
    }
}

static float half_at(const uint8_t *p, int i)
{
    uint16_t h;
    memcpy(&h, p + 2 * i, 2);
    return ft_f16_to_f32(h);
}

/* Scales of row r, block b of a scale unit: w (FINE) or integers and d, and minimums. The halves of
 * a block have their own (SPLIT) or equal ones. */
struct scales {
    float d, min;
    int scale[2], min_scale[2];
};

static struct scales scales_of(const struct ft_cpu_fmt *f, const uint8_t *p, int r, int b)
{
    struct scales s = {0};
    s.d = f->id == FT_CPU_MXFP4 ? ft_e8m0_to_f32(p[r]) * 0.5f : half_at(p, r);
    s.min = f->min ? half_at(p, R + r) : 0;
    for (int g = 0; g < 2; g++) {
        int low, high;
        switch (f->id) {
        case FT_CPU_Q4_K:
        case FT_CPU_Q5_K:
            low = p[4 * R + (b / 2 * R + r) * 2 + b % 2];
            high = p[12 * R + b / 2 * R + r] >> (b % 2 * 4);
            s.scale[g] = (low & 15) | (high & 3) << 4;
            s.min_scale[g] = low >> 4 | (high >> 2 & 3) << 4;
            break;
        case FT_CPU_IQ4_XS:
            low = p[2 * R + b / 2 * R + r] >> (b % 2 * 4) & 15;
            high = p[6 * R + b / 4 * R + r] >> (b % 4 * 2) & 3;
            s.scale[g] = (low | high << 4) - 32;
            break;
        case FT_CPU_Q2_K:
            s.scale[g] = p[4 * R + (b * R + r) * 2 + g] & 15;
            s.min_scale[g] = p[4 * R + (b * R + r) * 2 + g] >> 4;
            break;
        case FT_CPU_Q3_K:
            low = p[2 * R + b * R + r] >> (4 * g) & 15;
            high = p[10 * R + b / 2 * R + r] >> (b % 2 * 4 + 2 * g) & 3;
            s.scale[g] = (low | high << 4) - 32;
            break;
        case FT_CPU_Q6_K:
            s.scale[g] = (int8_t)p[2 * R + (b * R + r) * 2 + g];
            break;
        default:
            break;
        }
    }
    return s;
}

static float f32_at(const uint8_t *p)
{
    float v;
    memcpy(&v, p, 4);
    return v;
}

static int32_t i32_at(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return v;
}

/* What the kernels sum of one element within a super-block. */
struct super {
    float sup;
    int32_t t, m;
};

/* One block of one element, b the block within its super-block. */
static void block_dot(const struct ft_cpu_fmt *f, const uint8_t *q, const struct scales *s, int r,
                      int b, const uint8_t *act, int nc, int c, float *acc, struct super *u)
{
    const int8_t *x = (const int8_t *)act + c * 32;
    const uint8_t *w0 = act + nc * 32 + c * 4, *w1 = w0 + nc * 4, *w2 = w1 + nc * 4,
                  *w3 = w2 + nc * 4;
    bool coarse = f->rule == FT_CPU_COARSE, sums = f->id == FT_CPU_Q2_K;
    uint32_t start[2] = {sums ? 0 : (uint32_t)i32_at(w0),
                         sums || coarse ? 0 : (uint32_t)i32_at(w1)};
    int32_t i[2];
    for (int g = 0; g < 2; g++) {
        uint32_t sum = start[g]; /* modulo 2^32: the whole sum fits */
        for (int k = 16 * g; k < 16 * g + 16; k++)
            sum += (uint32_t)(level(f, q, r, k) * x[k]);
        i[g] = (int32_t)sum;
    }
    if (f->rule == FT_CPU_FINE) {
        int32_t m = i32_at(w2);
        int32_t t = (i[0] >> f->shift) * (int16_t)m + (i[1] >> f->shift) * (m >> 16);
        *acc = fmaf((float)t, s->d, *acc);
        if (f->min)
            *acc = fmaf(s->min, f32_at(w3), *acc);
        return;
    }
    int half =
        coarse ? b % 2 : 0; /* of the 16-bit sums in w3; an odd block's are in the even one */
    const uint8_t *even = w3 - (coarse && b % 2 == 1 ? nc * FT_CPU_ACT_BYTES : 0);
    if (f->min)
        for (int g = half; g < (coarse ? half + 1 : 2); g++)
            u->m += s->min_scale[g] * (int16_t)(i32_at(even) >> (16 * g));
    if (coarse) {
        i[0] = (int32_t)((uint32_t)i[0] + (uint32_t)i[1]);
        u->t = (b % 2 == 0 ? 0 : u->t) + (i[0] >> f->shift) * s->scale[0];
        if (b % 2 == 1)
            u->sup = fmaf((float)u->t, f32_at(w2 - nc * FT_CPU_ACT_BYTES), u->sup);
    } else {
        int32_t t = (i[0] >> f->shift) * s->scale[0] + (i[1] >> f->shift) * s->scale[1];
        u->sup = fmaf((float)t, f32_at(w2), u->sup);
    }
}

static void dot(enum ft_cpu_fmt_id id, int nc, const uint8_t *q, const uint8_t *scale,
                int64_t n_blocks, const uint8_t *act, float *acc)
{
    static const enum ft_type type_of[FT_CPU_FMT_COUNT] = {
        FT_Q4_0, FT_Q4_1, FT_Q5_0, FT_Q5_1, FT_Q8_0, FT_IQ4_NL, FT_MXFP4,
        FT_Q2_K, FT_Q3_K, FT_Q4_K, FT_Q5_K, FT_Q6_K, FT_IQ4_XS};
    const struct ft_cpu_fmt *f = ft_cpu_fmt_of(type_of[id]);
    for (int r = 0; r < R; r++)
        for (int c = 0; c < nc; c++) {
            struct super u = {0};
            float *a = &acc[c * R + r];
            for (int64_t b = 0; b < n_blocks; b++) {
                int at = (int)(b % f->scale_blocks);
                struct scales s = scales_of(f, scale + b / f->scale_blocks * f->scale_bytes, r, at);
                block_dot(f, q + b * f->q_bytes, &s, r, at, act + b * nc * FT_CPU_ACT_BYTES, nc, c,
                          a, &u);
                if (at == 7) {
                    *a = fmaf(u.sup, s.d, *a);
                    if (f->min)
                        *a = fmaf((float)u.m, -s.min, *a);
                    u = (struct super){0};
                }
            }
        }
}

#define DOT(id, nc)                                                                                \
    static void dot_##id##_##nc(const uint8_t *q, const uint8_t *scale, int64_t n_blocks,          \
                                const uint8_t *act, float *acc)                                    \
    {                                                                                              \
        dot(FT_CPU_##id, nc, q, scale, n_blocks, act, acc);                                        \
    }
#define DOTS(id)                                                                                   \
    DOT(id, 1) DOT(id, 2) DOT(id, 3) DOT(id, 4) DOT(id, 5) DOT(id, 6) DOT(id, 7) DOT(id, 8)
#define ROW(id)                                                                                    \
    [FT_CPU_##id] = {dot_##id##_1, dot_##id##_2, dot_##id##_3, dot_##id##_4,                       \
                     dot_##id##_5, dot_##id##_6, dot_##id##_7, dot_##id##_8}
DOTS(Q4_0)
DOTS(Q4_1)
DOTS(Q5_0)
DOTS(Q5_1)
DOTS(Q8_0)
DOTS(IQ4_NL)
DOTS(MXFP4)
DOTS(Q2_K)
DOTS(Q3_K)
DOTS(Q4_K)
DOTS(Q5_K)
DOTS(Q6_K)
DOTS(IQ4_XS)

/* NaN if any of x is not finite. */
static float absmax(const float *x, int64_t n)
{
    float m = 0, bad = 0;
    for (int64_t i = 0; i < n; i++) {
        m = fmaxf(m, fabsf(x[i]));
        bad += x[i] * 0;
    }
    return m + bad;
}

static int8_t round_to(float x)
{
    return (int8_t)lrintf(fminf(fmaxf(x, -127), 127)); /* NaN: -127 */
}

static void put_f32(uint8_t *p, float v)
{
    memcpy(p, &v, 4);
}

static void put_i32(uint8_t *p, int32_t v)
{
    memcpy(p, &v, 4);
}

/* As sums_pack of the vector code: float sums become 16-bit pairs in units of the largest. */
static float sums_pack(const struct ft_cpu_fmt *f, int nc, int c, int64_t n_blocks, float largest,
                       uint8_t *act)
{
    bool split = f->rule == FT_CPU_SPLIT;
    int next = nc * FT_CPU_ACT_BYTES, w = nc * 4;
    float unit = largest / 32767, inverse = unit > 0 ? 1 / unit : 0;
    act += nc * 32 + c * 4;
    for (int64_t b = 0; b < n_blocks; b += split ? 1 : 2, act += split ? next : 2 * next) {
        int32_t first = (int32_t)lrintf(f32_at(act + 3 * w) * inverse);
        int32_t second = (int32_t)lrintf(f32_at(split ? act + w : act + next + 3 * w) * inverse);
        put_i32(act + 3 * w, (int32_t)((uint32_t)(first & 0xffff) | (uint32_t)second << 16));
        put_f32(act + 2 * w, f32_at(act + 2 * w) * inverse);
    }
    return unit > 0 ? unit : 1;
}

/* One column of a tile. */
static float quantise_column(const struct ft_cpu_fmt *f, const float *x, int nc, int c, int64_t k,
                             uint8_t *act)
{
    bool fine = f->rule == FT_CPU_FINE, coarse = f->rule == FT_CPU_COARSE;
    float shifted = (float)(1 << f->shift);
    float max = absmax(x, k), unit = max < FT_CPU_ACT_TINY ? 0 : max / FT_CPU_FINE_MAX;
    float inverse = unit > 0 && unit < INFINITY ? FT_CPU_FINE_MAX / max : 0;
    float largest = max / 127, a = 0;
    uint8_t *at = act;
    for (int64_t b = 0; b < k / 32; b++, at += nc * FT_CPU_ACT_BYTES) {
        const float *v = x + b * 32;
        int8_t *q = (int8_t *)at + c * 32;
        int32_t m[2] = {0}, sum[2] = {0};
        if (!coarse || b % 2 == 0)
            a = absmax(v, coarse ? 64 : 32) * (1.0f / 127);
        a = a < FT_CPU_ACT_TINY ? 0 : a;
        for (int g = 0; g < 2; g++) {
            if (fine)
                m[g] =
                    (int32_t)fminf(ceilf(absmax(v + 16 * g, 16) * inverse * (1.0f / 127)), 32767);
            float step = fine ? (float)m[g] : a;
            float scale = step == 0 ? 0 : (fine ? inverse : 1) / step;
            for (int i = 16 * g; i < 16 * g + 16; i++) {
                q[i] = round_to(v[i] * scale);
                sum[g] += q[i];
            }
        }
        uint8_t *w0 = at + nc * 32 + c * 4, *w1 = w0 + nc * 4, *w2 = w1 + nc * 4, *w3 = w2 + nc * 4;
        int32_t half = f->shift > 0 ? 1 << (f->shift - 1) : 0, both = sum[0] + sum[1];
        put_i32(w0, half - f->offset * (coarse ? both : sum[0]));
        put_i32(w1, half - f->offset * (coarse ? both : sum[1]));
        if (fine) { /* what the shift takes comes back with the scale */
            put_i32(w2, (int32_t)((uint32_t)m[0] | (uint32_t)m[1] << 16));
            put_f32(w3, (float)(m[0] * sum[0] + m[1] * sum[1]) / shifted);
            continue;
        }
        put_f32(w2, a * shifted);
        put_f32(w3, a * (float)(coarse ? both : sum[0]));
        if (!coarse && f->min)
            put_f32(w1, a * (float)sum[1]);
        largest = fmaxf(largest, fmaxf(f32_at(w3), -f32_at(w3)));
        if (!coarse)
            largest = fmaxf(largest, fabsf(a * (float)sum[1]));
    }
    if (fine)
        unit *= shifted;
    else
        unit = f->min ? sums_pack(f, nc, c, k / 32, max < INFINITY ? largest : 0, act) : 1;
    return unit + 0 * max; /* NaN where the input is not finite */
}

static void quantise(const struct ft_cpu_fmt *f, const float *x, int64_t ld, int nc, int64_t k,
                     uint8_t *act, float *scale)
{
    for (int c = 0; c < nc; c++)
        scale[c] = quantise_column(f, x + c * ld, nc, c, k, act);
}

static void store(const float *acc, int nc, const struct ft_cpu_store *s)
{
    for (int c = 0; c < nc; c++)
        for (int r = 0; r < s->n_rows; r++) {
            float v = acc[c * R + r] * s->scale[c] + (s->bias != NULL ? s->bias[r] : 0);
            s->y[c * s->ld + r] = s->add ? s->y[c * s->ld + r] + v : v;
        }
}

static void dot_float(enum ft_type type, const uint8_t *w, size_t row_bytes, int n_rows,
                      const float *x, int64_t ld, int nc, int64_t k, float *acc)
{
    for (int r = 0; r < n_rows; r++, w += row_bytes)
        for (int c = 0; c < nc; c++) {
            float sum[16] = {0}, part[4];
            for (int64_t i = 0; i < k; i++) {
                float v;
                uint16_t h;
                memcpy(&h, w + (type == FT_F32 ? 0 : 2 * i), 2);
                if (type == FT_F32)
                    memcpy(&v, w + 4 * i, 4);
                else
                    v = type == FT_F16 ? ft_f16_to_f32(h) : ft_bf16_to_f32(h);
                sum[i % 16] = fmaf(v, x[c * ld + i], sum[i % 16]);
            }
            for (int i = 0; i < 4; i++)
                part[i] = (sum[4 * i] + sum[4 * i + 2]) + (sum[4 * i + 1] + sum[4 * i + 3]);
            acc[c * R + r] = (part[0] + part[2]) + (part[1] + part[3]);
        }
}

static void add_scaled(float *y, const float *x, float a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = fmaf(a, x[i], y[i]);
}

const struct ft_cpu_mm ft_cpu_mm_plain = {
    .quantise = quantise,
    .dot = {ROW(Q4_0), ROW(Q4_1), ROW(Q5_0), ROW(Q5_1), ROW(Q8_0), ROW(IQ4_NL), ROW(MXFP4),
            ROW(Q2_K), ROW(Q3_K), ROW(Q4_K), ROW(Q5_K), ROW(Q6_K), ROW(IQ4_XS)},
    .store = store,
    .dot_float = dot_float,
    .add_scaled = add_scaled,
};
