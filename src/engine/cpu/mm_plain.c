/* Matrix product kernels in plain C: the readable definition of mm.h's rules, for machines without
 * a kernel of their own and as the reference beside the vector code. */
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

/* Scales of row r, block b of a scale unit: w (COARSE, FINE) or the two integers and d (SPLIT), and
 * minimums to be added. */
struct scales {
    float w, min[2], d;
    int split[2];
};

static float half_at(const uint8_t *p, int i)
{
    uint16_t h;
    memcpy(&h, p + 2 * i, 2);
    return ft_f16_to_f32(h);
}

static struct scales scales_of(const struct ft_cpu_fmt *f, const uint8_t *p, int r, int b)
{
    struct scales s = {0};
    s.d = f->id == FT_CPU_MXFP4 ? ft_e8m0_to_f32(p[r]) * 0.5f : half_at(p, r);
    s.w = s.d;
    int low, high;
    switch (f->id) {
    case FT_CPU_Q4_1:
    case FT_CPU_Q5_1:
        s.min[0] = half_at(p, R + r);
        break;
    case FT_CPU_Q4_K:
    case FT_CPU_Q5_K:
        low = p[4 * R + b * R + r];
        high = p[12 * R + b / 2 * R + r] >> (b % 2 * 4);
        s.w = s.d * (float)((low & 15) | (high & 3) << 4);
        s.min[0] = -half_at(p, R + r) * (float)(low >> 4 | (high >> 2 & 3) << 4);
        break;
    case FT_CPU_IQ4_XS:
        low = p[2 * R + b / 2 * R + r] >> (b % 2 * 4) & 15;
        high = p[6 * R + b / 4 * R + r] >> (b % 4 * 2) & 3;
        s.w = s.d * (float)((low | high << 4) - 32);
        break;
    case FT_CPU_Q2_K:
        for (int g = 0; g < 2; g++) {
            int v = p[4 * R + (b * R + r) * 2 + g];
            s.split[g] = v & 15;
            s.min[g] = -half_at(p, R + r) * (float)(v >> 4);
        }
        break;
    case FT_CPU_Q3_K:
        low = p[2 * R + b * R + r];
        high = p[10 * R + b / 2 * R + r] >> (b % 2 * 4);
        s.split[0] = ((low & 15) | (high & 3) << 4) - 32;
        s.split[1] = (low >> 4 | (high >> 2 & 3) << 4) - 32;
        break;
    case FT_CPU_Q6_K:
        for (int g = 0; g < 2; g++)
            s.split[g] = (int8_t)p[2 * R + (b * R + r) * 2 + g];
        break;
    default:
        break;
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

/* One block of one element; sup: SPLIT's sum of the super-block. */
static void block_dot(const struct ft_cpu_fmt *f, const uint8_t *q, const struct scales *s, int r,
                      const uint8_t *act, int nc, int c, float *acc, float *sup)
{
    const int8_t *x = (const int8_t *)act + c * 32;
    const uint8_t *w0 = act + nc * 32 + c * 4, *w1 = w0 + nc * 4, *w2 = w1 + nc * 4,
                  *w3 = w2 + nc * 4;
    bool sums = f->rule == FT_CPU_SPLIT && f->min; /* w0, w1 hold sums: no offset then */
    uint32_t start[2] = {sums ? 0 : (uint32_t)i32_at(w0),
                         sums || f->rule == FT_CPU_COARSE ? 0 : (uint32_t)i32_at(w1)};
    int32_t i[2];
    for (int g = 0; g < 2; g++) {
        uint32_t sum = start[g]; /* modulo 2^32: the whole sum fits */
        for (int k = 16 * g; k < 16 * g + 16; k++)
            sum += (uint32_t)(level(f, q, r, k) * x[k]);
        i[g] = (int32_t)sum;
    }
    if (f->rule == FT_CPU_COARSE) {
        *acc += (float)(int32_t)((uint32_t)i[0] + (uint32_t)i[1]) * f32_at(w2) * s->w;
    } else if (f->rule == FT_CPU_FINE) {
        int32_t m = i32_at(w2);
        int32_t t = (i[0] >> f->shift) * (int16_t)m + (i[1] >> f->shift) * (m >> 16);
        *acc += (float)t * s->w;
    } else {
        int32_t t = (i[0] >> f->shift) * s->split[0] + (i[1] >> f->shift) * s->split[1];
        *sup += (float)t * f32_at(w2);
    }
    if (sums)
        *acc += s->min[0] * f32_at(w0) + s->min[1] * f32_at(w1);
    else if (f->min)
        *acc += s->min[0] * f32_at(w3);
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
            float sup = 0, *a = &acc[c * R + r];
            for (int64_t b = 0; b < n_blocks; b++) {
                int in_unit = (int)(b % f->scale_blocks);
                struct scales s =
                    scales_of(f, scale + b / f->scale_blocks * f->scale_bytes, r, in_unit);
                block_dot(f, q + b * f->q_bytes, &s, r, act + b * nc * FT_CPU_ACT_BYTES, nc, c, a,
                          &sup);
                if (in_unit == f->scale_blocks - 1) {
                    *a += sup * s.d;
                    sup = 0;
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

/* One column of a tile. */
static float quantise_column(const struct ft_cpu_fmt *f, const float *x, int nc, int c, int64_t k,
                             uint8_t *act)
{
    bool fine = f->rule == FT_CPU_FINE;
    float shifted = (float)(1 << f->shift);
    float max = absmax(x, k), unit = max < FT_CPU_ACT_TINY ? 0 : max / FT_CPU_FINE_MAX;
    float inverse = unit > 0 && unit < INFINITY ? FT_CPU_FINE_MAX / max : 0;
    for (int64_t b = 0; b < k / 32; b++, x += 32, act += nc * FT_CPU_ACT_BYTES) {
        int8_t *q = (int8_t *)act + c * 32;
        int32_t m[2], sum[2] = {0, 0};
        float a = absmax(x, 32) / 127;
        for (int g = 0; g < 2; g++) {
            m[g] = (int32_t)ceilf(absmax(x + 16 * g, 16) * inverse * (1.0f / 127));
            m[g] = FT_MIN(m[g], 32767);
            float step = fine ? (float)m[g] : a < FT_CPU_ACT_TINY ? 0 : a;
            float scale = step == 0 ? 0 : (fine ? inverse : 1) / step;
            for (int i = 16 * g; i < 16 * g + 16; i++) {
                q[i] = round_to(x[i] * scale);
                sum[g] += q[i];
            }
        }
        uint8_t *w0 = act + nc * 32 + c * 4, *w1 = w0 + nc * 4, *w2 = w1 + nc * 4,
                *w3 = w2 + nc * 4;
        int32_t half = f->shift > 0 ? 1 << (f->shift - 1) : 0;
        if (f->rule == FT_CPU_SPLIT && f->min) {
            put_f32(w0, a * (float)sum[0]);
            put_f32(w1, a * (float)sum[1]);
        } else if (f->rule == FT_CPU_COARSE) {
            put_i32(w0, -f->offset * (sum[0] + sum[1]));
            put_i32(w1, 0);
        } else {
            put_i32(w0, half - f->offset * sum[0]);
            put_i32(w1, half - f->offset * sum[1]);
        }
        if (fine) /* what the shift takes comes back with the scale */
            put_i32(w2, (int32_t)((uint32_t)m[0] | (uint32_t)m[1] << 16));
        else
            put_f32(w2, f->rule == FT_CPU_SPLIT ? a * shifted : a);
        put_f32(w3, fine ? (float)(m[0] * sum[0] + m[1] * sum[1]) / shifted
                         : a * (float)(sum[0] + sum[1]));
    }
    return (fine ? unit * shifted : 1) + 0 * max; /* NaN where the input is not finite */
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
            float sum[8] = {0};
            for (int64_t i = 0; i < k; i++) {
                float v;
                uint16_t h;
                memcpy(&h, w + (type == FT_F32 ? 0 : 2 * i), 2);
                if (type == FT_F32)
                    memcpy(&v, w + 4 * i, 4);
                else
                    v = type == FT_F16 ? ft_f16_to_f32(h) : ft_bf16_to_f32(h);
                sum[i % 8] += v * x[c * ld + i];
            }
            acc[c * R + r] =
                ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
        }
}

static void add_scaled(float *y, const float *x, float a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += a * x[i];
}

const struct ft_cpu_mm ft_cpu_mm_plain = {
    .quantise = quantise,
    .dot = {ROW(Q4_0), ROW(Q4_1), ROW(Q5_0), ROW(Q5_1), ROW(Q8_0), ROW(IQ4_NL), ROW(MXFP4),
            ROW(Q2_K), ROW(Q3_K), ROW(Q4_K), ROW(Q5_K), ROW(Q6_K), ROW(IQ4_XS)},
    .store = store,
    .dot_float = dot_float,
    .add_scaled = add_scaled,
};
