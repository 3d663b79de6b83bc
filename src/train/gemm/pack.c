/* Packing of one block of an operand, piece by piece. */
#include "train/gemm/pack.h"

#include "base/err.h"

#define FETCH_LD (FT_GEMM_PIECE + FT_GEMM_PIECE_SLACK)

static bool in_place(const struct ft_gemm_side *s)
{
    return s->in.type == FT_F32 && (uintptr_t)s->in.p % sizeof(float) == 0;
}

/* Elements [at, at + n) of a stored row as f32: in place, or in `to`. */
static const float *fetch_row(const struct ft_gemm_side *s, int64_t row, int64_t at, int64_t n,
                              float *to)
{
    if (in_place(s))
        return (const float *)s->in.p + row * s->in.ld + at;
    const struct ft_type_info *info = s->info;
    int64_t len = info->block_len, begin = at / len * len;
    int64_t end = (at + n + len - 1) / len * len;
    const uint8_t *p = s->in.p;
    p += (size_t)row * ft_type_row_bytes(info, s->in.ld) + ft_type_row_bytes(info, begin);
    info->dequantise(p, to, end - begin);
    return to + (at - begin);
}

/* `rows` stored rows from row on: in place with the operand's ld, or in `to`. */
static const float *fetch_rows(const struct ft_gemm_side *s, int64_t row, int rows, int64_t at,
                               int64_t n, float *to, int64_t *ret_ld)
{
    *ret_ld = in_place(s) ? s->in.ld : FETCH_LD;
    for (int i = 1; i < rows && !in_place(s); i++)
        fetch_row(s, row + i, at, n, to + (int64_t)i * FETCH_LD);
    return fetch_row(s, row, at, n, to);
}

/* k inside, A: each row becomes units on its own. */
static void pack_rows(const struct ft_gemm_side *s, int64_t at, int64_t n, int64_t k_at,
                      int64_t n_k, uint32_t *u, int64_t n_units, float *fetch)
{
    int64_t piece = in_place(s) ? n_k : FT_GEMM_PIECE;
    for (int64_t i = 0; i < n; i++, u += n_units)
        for (int64_t k = 0; k < n_k; k += piece) {
            int64_t len = FT_MIN(piece, n_k - k);
            const float *x = fetch_row(s, at + i, k_at + k, len, fetch);
            s->kern->row(x, len, u + k / s->kern->unit_k);
        }
}

/* Asks for the n_k elements of k of n rows or columns from `at` on. */
static void ask(const struct ft_gemm_side *s, int64_t at, int64_t n, int64_t k_at, int64_t n_k)
{
    struct ft_gemm_ahead next;
    ft_gemm_ahead_start(&next, s, at, n, k_at, n_k);
    ft_gemm_ahead_step(&next, ft_gemm_ahead_lines(&next));
}

/* k inside, B: panels are turned. */
static void pack_turned(const struct ft_gemm_side *s, int64_t at, int64_t n, int64_t k_at,
                        int64_t n_k, uint32_t *u, int64_t n_units, float *fetch)
{
    int unit_k = s->kern->unit_k, nr = s->width;
    for (int64_t i = 0; i < n; i += nr, u += n_units * nr)
        for (int64_t k = 0; k < n_k; k += FT_GEMM_PIECE) {
            int64_t len = FT_MIN((int64_t)FT_GEMM_PIECE, n_k - k), ld;
            int rows = (int)FT_MIN((int64_t)nr, n - i);
            if (k + len < n_k)
                ask(s, at + i, rows, k_at + k + len, FT_MIN(len, n_k - k - len));
            else if (i + nr < n)
                ask(s, at + i + nr, FT_MIN((int64_t)nr, n - i - nr), k_at,
                    FT_MIN(n_k, (int64_t)FT_GEMM_PIECE));
            const float *x = fetch_rows(s, at + i, rows, k_at + k, len, fetch, &ld);
            s->kern->turn(x, ld, rows, len, u + k / unit_k * nr);
        }
}

/* k across memory: rows of k side by side. */
static void pack_across(const struct ft_gemm_side *s, int64_t at, int64_t n, int64_t k_at,
                        int64_t n_k, uint32_t *u, int64_t n_units, float *fetch)
{
    int unit_k = s->kern->unit_k, width = s->width;
    int64_t panel_step = n_units * width;
    int64_t piece = in_place(s) ? n : FT_GEMM_PIECE / width * width;
    for (int64_t i = 0; i < n; i += piece)
        for (int64_t k = 0; k < n_k; k += FT_GEMM_ACROSS) {
            int64_t len = FT_MIN(piece, n - i), ld;
            int rows = (int)FT_MIN((int64_t)FT_GEMM_ACROSS, n_k - k);
            ask(s, at + i, len, k_at + k + rows, FT_MIN(rows, n_k - k - rows));
            const float *x = fetch_rows(s, k_at + k, rows, at + i, len, fetch, &ld);
            s->kern->across(x, ld, rows, len, width,
                            u + i / width * panel_step + k / unit_k * width, panel_step);
        }
}

void ft_gemm_pack(const struct ft_gemm_side *s, int64_t at, int64_t n, int64_t k_at, int64_t n_k,
                  uint32_t *u, int64_t n_units, float *fetch)
{
    if (!s->k_inside)
        pack_across(s, at, n, k_at, n_k, u, n_units, fetch);
    else if (s->vector)
        pack_turned(s, at, n, k_at, n_k, u, n_units, fetch);
    else
        pack_rows(s, at, n, k_at, n_k, u, n_units, fetch);
}

/* ---- asking ahead ---- */

#define LINE 64

void ft_gemm_ahead_start(struct ft_gemm_ahead *a, const struct ft_gemm_side *s, int64_t at,
                         int64_t n, int64_t k_at, int64_t n_k)
{
    int64_t row = s->k_inside ? at : k_at, col = s->k_inside ? k_at : at;
    int64_t cols = s->k_inside ? n_k : n;
    a->rows = s->k_inside ? n : n_k;
    a->row_step = ft_type_row_bytes(s->info, s->in.ld);
    size_t begin = ft_type_row_bytes(s->info, col);
    a->row = (const uint8_t *)s->in.p + (size_t)row * a->row_step + begin;
    a->row_bytes = ft_type_row_bytes(s->info, col + cols) - begin;
    a->at = 0;
}

int64_t ft_gemm_ahead_lines(const struct ft_gemm_ahead *a)
{
    return a->rows * (int64_t)(a->row_bytes / LINE + 1);
}

void ft_gemm_ahead_step(struct ft_gemm_ahead *a, int64_t n_lines)
{
    for (; n_lines > 0 && a->rows > 0; n_lines--) {
        __builtin_prefetch(a->row + a->at, 0, 2);
        a->at += LINE;
        if (a->at >= a->row_bytes + LINE) {
            a->at = 0;
            a->row += a->row_step;
            a->rows--;
        }
    }
}
