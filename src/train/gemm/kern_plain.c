/* The kernels as readable C: what the vector versions do, and what machines without them run.
 *
 * Units are single floats; in bfloat16 arithmetic they are rounded when packed, so that the tile is
 * the same for both. Loops of fixed length over columns are for the compiler's vectoriser. */
#include <string.h>

#include "base/err.h"
#include "base/half.h"
#include "train/gemm/kern.h"

enum { MR = 4, NR = 16 };

static float exact(float x)
{
    return x;
}

static float rounded(float x)
{
    return ft_bf16_to_f32(ft_f32_to_bf16(x));
}

typedef float number_fn(float x);

static inline void row(const float *x, int64_t n, uint32_t *u, number_fn *number)
{
    for (int64_t i = 0; i < n; i++)
        u[i] = ft_f32_bits(number(x[i]));
}

static inline void across(const float *x, int64_t ld, int n_k, int64_t n, int width, uint32_t *u,
                          int64_t panel_step, number_fn *number)
{
    for (int64_t at = 0; at < n; at += width, u += panel_step)
        for (int k = 0; k < n_k; k++)
            for (int i = 0; i < width; i++)
                u[k * width + i] = at + i < n ? ft_f32_bits(number(x[k * ld + at + i])) : 0;
}

static inline void turn(const float *x, int64_t ld, int rows, int64_t n, uint32_t *u,
                        number_fn *number)
{
    for (int64_t i = 0; i < n; i++)
        for (int r = 0; r < NR; r++)
            u[i * NR + r] = r < rows ? ft_f32_bits(number(x[r * ld + i])) : 0;
}

static void tile(const struct ft_gemm_tile *t)
{
    float acc[MR][NR] = {{0}};
    for (int64_t i = 0; i < t->n_units; i++) {
        float b[NR];
        memcpy(b, t->b + i * NR, sizeof b);
        for (int r = 0; r < t->rows; r++) {
            float a = ft_f32_from_bits(t->a[r * t->row_step + i * t->unit_step]);
            for (int j = 0; j < NR; j++)
                acc[r][j] += a * b[j];
        }
    }
    for (int r = 0; r < t->rows; r++)
        for (int j = 0; j < t->cols; j++) {
            float *c = &t->c[r * t->ldc + j];
            *c = t->add ? *c + t->alpha * acc[r][j] : t->alpha * acc[r][j];
        }
}

/* ---- the two tables ---- */

#define TABLE(name, number)                                                                        \
    static void row_##name(const float *x, int64_t n, uint32_t *u)                                 \
    {                                                                                              \
        row(x, n, u, number);                                                                      \
    }                                                                                              \
    static void across_##name(const float *x, int64_t ld, int n_k, int64_t n, int width,           \
                              uint32_t *u, int64_t panel_step)                                     \
    {                                                                                              \
        across(x, ld, n_k, n, width, u, panel_step, number);                                       \
    }                                                                                              \
    static void turn_##name(const float *x, int64_t ld, int rows, int64_t n, uint32_t *u)          \
    {                                                                                              \
        turn(x, ld, rows, n, u, number);                                                           \
    }                                                                                              \
    const struct ft_gemm_kern ft_gemm_kern_plain_##name = {                                        \
        .unit_k = 1,                                                                               \
        .mr = MR,                                                                                  \
        .nr = NR,                                                                                  \
        .row = row_##name,                                                                         \
        .across = across_##name,                                                                   \
        .turn = turn_##name,                                                                       \
        .tile = tile,                                                                              \
    };

TABLE(f32, exact)
TABLE(bf16, rounded)
