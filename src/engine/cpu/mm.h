/* Matrix products: what weight.c, linear.c and the kernels agree on.
 *
 * Weights are laid out once at load, in panels of 16 rows by all of k, with every field of the
 * file's format kept at its size: a panel is a stream of scales (scale_bytes per block of 32 or
 * per super-block of 256) followed by a stream of bits ("q", q_bytes per block of 32 weights).
 * In q, 64 bytes hold for each of the 16 rows a lane of 4 bytes, which are 4 consecutive weights
 * (or, for fields under 8 bits, 4 consecutive weights of each of several steps). "Step" s of a
 * block is weights 4 s .. 4 s + 3; a dot product instruction (vpdpbusd) does one step of 16 rows
 * for one column of the input.
 *
 *   field   bytes  where step s lies in a lane
 *   nibble  256    word s % 4, low nibbles for s < 4, high ones after
 *   two     128    word s / 4, bits 2 (s % 4)
 *   one     64     bit s
 *   byte    512    word s
 *
 * The input is quantised once per product to signed bytes, in groups of 16, 32 or 64 by the
 * weights' rule, and stored in tiles of up to 8 columns (struct below). Weights are the unsigned
 * operand; what makes them unsigned (`offset`) is taken off by the value that the integer sum
 * starts with. For one output element the operations are, in this order:
 *
 *   FT_CPU_FINE    formats with a float scale per block of 32; input groups of 16. Per block:
 *                    i0, i1: integer sums of the two groups, start values included
 *                    t = (i0 >> shift) * m0 + (i1 >> shift) * m1   (16 by 16 bits, exact)
 *                    acc = fma(t, w, acc); with minimums acc = fma(min, S, acc)
 *   FT_CPU_COARSE  super-blocks with an integer scale per 32; input groups of 64. Per two blocks:
 *                    t = (i >> shift) * scale + (i' >> shift) * scale'; sup = fma(t, a, sup)
 *   FT_CPU_SPLIT   super-blocks with an integer scale per 16; input groups of 32. Per block:
 *                    t = (i0 >> shift) * scale0 + (i1 >> shift) * scale1; sup = fma(t, a, sup)
 *   both           per super-block: acc = fma(sup, d, acc); with minimums M = the integer sum of
 *                    min * S over the (16-bit) sums S of the input, acc = fma(M, -dmin, acc)
 *
 * and y = acc * (the column's scale).
 *
 *   F32, F16, BF16 (in place): weight i goes to the sum s[i % 16] by fma;
 *                    p[j] = (s[4 j] + s[4 j + 2]) + (s[4 j + 1] + s[4 j + 3])
 *                    acc = (p[0] + p[2]) + (p[1] + p[3])
 *
 * No sum depends on the number of columns, of threads, or on which kernel or instruction set ran,
 * so neither does a result: every table gives the same bits (tests/unit/engine/cpu/linear.c).
 *
 * Why integer scales and pairs: multiplications bind (two 32-byte ones a cycle on Zen 4, shared by
 * vpdpbusd, vpmaddwd and FMA), while shifts, blends and conversions have slots of their own.
 * Packing two sums into one word for vpmaddwd costs one multiplication for two scales. Groups of 16
 * where others use 32, and 64 where they use 256, give a quarter to a half less quantisation noise
 * (docs/performance.md). */
#ifndef FT_ENGINE_CPU_MM_H
#define FT_ENGINE_CPU_MM_H

#include "engine/cpu/cpu_dev.h"

#define FT_CPU_ROWS 16 /* rows of a panel */
#define FT_CPU_COLS 8  /* columns of an input tile at most */

enum ft_cpu_rule { FT_CPU_FINE, FT_CPU_COARSE, FT_CPU_SPLIT };

enum ft_cpu_fmt_id {
    FT_CPU_Q4_0,
    FT_CPU_Q4_1,
    FT_CPU_Q5_0,
    FT_CPU_Q5_1,
    FT_CPU_Q8_0,
    FT_CPU_IQ4_NL,
    FT_CPU_MXFP4,
    FT_CPU_Q2_K,
    FT_CPU_Q3_K,
    FT_CPU_Q4_K,
    FT_CPU_Q5_K,
    FT_CPU_Q6_K,
    FT_CPU_IQ4_XS,
    FT_CPU_FMT_COUNT
};

struct ft_cpu_fmt {
    enum ft_type type;
    enum ft_cpu_fmt_id id;
    enum ft_cpu_rule rule;
    bool min;         /* the format has minimums */
    uint8_t offset;   /* stored level - offset = the factor of the scale */
    uint8_t shift;    /* so that a group's sum fits 16 bits; rounding is in the start value */
    int q_bytes;      /* per panel and block of 32 */
    int scale_bytes;  /* per panel and scale unit */
    int scale_blocks; /* blocks of 32 per scale unit: 1 or 8 */
};

/* NULL for types that are used in place (F32, F16, BF16). */
const struct ft_cpu_fmt *ft_cpu_fmt_of(enum ft_type type);
/* Bytes of a panel, and of its scales, which come first; both are multiples of 64. */
size_t ft_cpu_panel_bytes(const struct ft_cpu_fmt *f, int64_t n_in);
size_t ft_cpu_scales_bytes(const struct ft_cpu_fmt *f, int64_t n_in);
/* Lays out 16 rows (row[i] may repeat) of n_in weights. */
void ft_cpu_panel_pack(const struct ft_cpu_fmt *f, const void *const row[FT_CPU_ROWS], int64_t n_in,
                       uint8_t *panel);

/* An input tile: nc columns, block by block. Of a block, in this order:
 *   q    [nc][32] int8
 *   w0   [nc] i32   FINE, SPLIT: start of i0; COARSE: start of i
 *   w1   [nc] i32   FINE, SPLIT: start of i1
 *   w2   [nc]       FINE: m0 | m1 << 16; SPLIT: f32 a; COARSE: f32 a, in even blocks
 *   w3   [nc]       with minimums. FINE: f32 S; SPLIT: the halves' S as two int16; COARSE: that
 *                   of an even and the next block, in the even one */
#define FT_CPU_ACT_BYTES 48 /* per column and block */
#define FT_CPU_FINE_MAX                                                                            \
    (127.0f * 32767)           /* FINE: a column's largest value in units of its scale             \
                                */
#define FT_CPU_ACT_TINY 1e-30f /* inputs whose largest value is below are taken as 0 */

static inline size_t ft_cpu_act_bytes(int64_t n_in)
{
    return (size_t)(n_in / 32) * FT_CPU_ACT_BYTES;
}

/* Adds to acc [nc][16] the product of a panel's blocks with a tile's, n_blocks of them. For formats
 * with super-blocks n_blocks is a multiple of 8. scale points at the first block's scale unit. */
typedef void ft_cpu_dot_fn(const uint8_t *q, const uint8_t *scale, int64_t n_blocks,
                           const uint8_t *act, float *acc);

/* Where results of a panel go: y[c * ld + r] for r < n_rows. */
struct ft_cpu_store {
    float *y;
    int64_t ld;
    const float *scale; /* [nc] of the columns */
    const float *bias;  /* [n_rows], or NULL */
    bool add;
    int n_rows;
};

struct ft_cpu_mm {
    /* x: nc columns of k values, ld apart -> a tile for format f and the columns' scales. */
    void (*quantise)(const struct ft_cpu_fmt *f, const float *x, int64_t ld, int nc, int64_t k,
                     uint8_t *act, float *scale);
    ft_cpu_dot_fn *dot[FT_CPU_FMT_COUNT][FT_CPU_COLS]; /* [..][nc - 1] */
    void (*store)(const float *acc, int nc, const struct ft_cpu_store *s);

    /* Large numbers of columns: blocks are unpacked once into a tile of bytes, which any number of
     * columns is multiplied with. Same results, bit by bit. NULL: dot serves as well. */
    void (*unpack[FT_CPU_FMT_COUNT])(const uint8_t *q, const uint8_t *scale, int64_t n_blocks,
                                     uint8_t *tile);
    ft_cpu_dot_fn *tile_dot[FT_CPU_FMT_COUNT][FT_CPU_COLS]; /* q: the tile; scale: unused */

    /* Weights in F32, F16, BF16, in place: y as above for rows w .. w + n_rows (n_rows <= 16),
     * row_bytes apart; x: nc columns of k. */
    void (*dot_float)(enum ft_type type, const uint8_t *w, size_t row_bytes, int n_rows,
                      const float *x, int64_t ld, int nc, int64_t k, float *acc);
    /* y += a * x */
    void (*add_scaled)(float *y, const float *x, float a, int64_t n);
};

extern const struct ft_cpu_mm ft_cpu_mm_plain, ft_cpu_mm_avx2, ft_cpu_mm_avx512;

/* The best table for a machine of this set (product.c). */
const struct ft_cpu_mm *ft_cpu_mm_of(enum ft_cpu_isa isa);

#define FT_CPU_TILE_BYTES (512 + 4 * 64) /* of an unpacked block, at most */

/* A weight of this device. */
struct ft_cpu_weight {
    struct ft_weight base;
    const struct ft_tensor *t;
    const struct ft_cpu_fmt *fmt; /* NULL: used in place */
    struct ft_cpu_arena *arena;
    uint8_t *packed; /* [n_stack][n_panels] panels; NULL before the first load */
    size_t panel_bytes, scales_bytes, packed_bytes, row_bytes;
    int64_t n_panels; /* per matrix of the stack */
    bool loaded;
};

static inline struct ft_cpu_weight *ft_cpu_weight_of(const struct ft_weight *w)
{
    return (struct ft_cpu_weight *)w;
}

void ft_cpu_arena_close(struct ft_cpu *c);

/* Rows of matrix `index` of the stack, as the file has them. */
const uint8_t *ft_cpu_weight_rows(const struct ft_cpu_weight *w, int index);

#endif
