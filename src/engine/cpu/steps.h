/* The steps of the CPU device that are not matrix products: attention, norms, rotation, gating.
 *
 * Each step has a front (attend.c, steps.c, route.c) that cuts the work and a table of kernels per
 * instruction set. steps_plain.c and attend_plain.c are the readable definition; steps_vec.inc and
 * attend_vec.inc hold the vector code, compiled once per instruction set over vec_<isa>.inc.
 *
 * Attention is defined over fixed pieces of a sequence, so that no result depends on how rows come
 * in or who computes them:
 * - a span is FT_ATTN_SPAN tokens from a multiple of it: one step of the running softmax (Milakov
 *   and Gimelshein, arXiv 1805.02867): largest score, weights, sum, values in order of position;
 * - a part is FT_ATTN_PART tokens: the running state starts afresh in each part, and the states of
 *   the parts are folded in order of position. Parts may therefore be computed on any thread. */
#ifndef FT_ENGINE_CPU_STEPS_H
#define FT_ENGINE_CPU_STEPS_H

#include "engine/cpu/cpu_dev.h"
#include "engine/cpu/kv.h"
#include "engine/cpu/lora.h"

#define FT_ATTN_SPAN 128
#define FT_ATTN_PART 512
#define FT_ATTN_TILE 128 /* query rows of a tile at most */

#define FT_LOG2E    1.4426950408889634074
#define FT_ATTN_LOW (-1e30f) /* below every score; finite, so that differences are */

/* One call of attend. */
struct ft_attn {
    const struct ft_kv *kv;
    const struct ft_kv_slice *s;
    const struct ft_seg *seg; /* of the batch */
    struct ft_mat q, y;
    int group;      /* query heads per key-value head */
    float scale;    /* times log2 e: scores are exponents of two */
    float *scratch; /* per worker, scratch_floats each */
    size_t scratch_floats;
};

/* Some query rows of one segment that share a key-value head. Query row i of a segment is its row
 * i / group with query head `head * group + i % group`. */
struct ft_attn_tile {
    int seg, head;
    int q0, q1;       /* query rows, q1 - q0 <= FT_ATTN_TILE */
    int part0, part1; /* parts of the sequence */
    float *state;     /* NULL: all parts, result to y; else where to leave the state of part0 */
    const struct ft_attn_tile
        *next; /* computed after it on this thread, for prefetching, or NULL */
};

/* A state: for n query rows m[n], l[n], o[n][ld]: largest score, sum of weights, weighted values.
 */
static inline int ft_attn_state_ld(const struct ft_kv_slice *s)
{
    return (s->d_v + FT_KV_PAD - 1) / FT_KV_PAD * FT_KV_PAD;
}

static inline size_t ft_attn_state_floats(const struct ft_kv_slice *s, int n)
{
    return ((size_t)n * (size_t)(ft_attn_state_ld(s) + 2) + 15) & ~(size_t)15;
}

/* Query rows of a tile: as many as keep their queries and states in half of a second-level cache of
 * 1 MB, beside the widened keys and values of a span. */
static inline int ft_attn_tile_rows(const struct ft_kv_slice *s)
{
    int n = FT_ATTN_TILE;
    while (n > 16 && n * (s->d_k + 2 * ft_attn_state_ld(s)) > (512 << 10) / (int)sizeof(float))
        n /= 2;
    return n;
}

struct ft_cpu_steps {
    /* Floats of scratch that attend_tile and attend_fold need per worker. */
    size_t (*attend_scratch)(const struct ft_kv_slice *s);
    void (*attend_tile)(const struct ft_attn *a, const struct ft_attn_tile *t, float *scratch);
    /* Folds n_part states that lie one after the other and writes y. */
    void (*attend_fold)(const struct ft_attn *a, const struct ft_attn_tile *t, int n_part,
                        const float *state, float *scratch);
    /* Stores rows [row, row + n) as tokens [t, t + n) of a block for one head: head points to the
     * head's share of the block, k and v to the head's first element of the first row. */
    void (*kv_store)(enum ft_kv_type type, const struct ft_kv_slice *s, uint8_t *head, int t, int n,
                     struct ft_mat k, struct ft_mat v);

    void (*rmsnorm)(const float *x, int d, const float *w, float eps, float *y);
    /* One row of n_head heads, in place; cs: the row's table or NULL. */
    void (*heads)(float *x, int n_head, int d_head, const float *w, float eps, const float *cs,
                  int at, int n_rot, enum ft_rope_pairs pairs);
    void (*swiglu)(const float *gate, const float *up, int n, float *y);
    void (*sigmoid)(const float *x, int n, float *y);
    /* exp(x - largest) / sum. y may be x. */
    void (*softmax)(const float *x, int n, float *y);

    ft_lora_down_fn *lora_down;
    ft_lora_up_fn *lora_up;
};

extern const struct ft_cpu_steps ft_cpu_steps_plain;
extern const struct ft_cpu_steps ft_cpu_steps_avx2, ft_cpu_steps_avx512; /* x86-64 only */
const struct ft_cpu_steps *ft_cpu_steps_of(enum ft_cpu_isa isa);

/* Largest power-of-two exponents that the kernels' 2^x handles; beyond: 0 and a huge number. */
#define FT_EXP2_MIN (-200.0f)
#define FT_EXP2_MAX 127.0f

/* 2^f - 1 = f * (c1 + c2 f + ...) on [-1/2, 1/2]; fitted for least relative error, 2e-9 (below one
 * unit in the last place with f32 arithmetic). */
#define FT_EXP2_C1 0x1.62e43p-1f
#define FT_EXP2_C2 0x1.ebfbdcp-3f
#define FT_EXP2_C3 0x1.c6aee8p-5f
#define FT_EXP2_C4 0x1.3b2d4cp-7f
#define FT_EXP2_C5 0x1.5f3e52p-10f
#define FT_EXP2_C6 0x1.41fbbcp-13f

/* Kernels of the two files of an instruction set, for its table. */
#define FT_CPU_STEPS_DECLARE(isa)                                                                  \
    size_t ft_attend_scratch_##isa(const struct ft_kv_slice *s);                                   \
    void ft_attend_tile_##isa(const struct ft_attn *a, const struct ft_attn_tile *t,               \
                              float *scratch);                                                     \
    void ft_attend_fold_##isa(const struct ft_attn *a, const struct ft_attn_tile *t, int n_part,   \
                              const float *state, float *scratch);                                 \
    void ft_kv_store_##isa(enum ft_kv_type type, const struct ft_kv_slice *s, uint8_t *head,       \
                           int t, int n, struct ft_mat k, struct ft_mat v)
FT_CPU_STEPS_DECLARE(plain);
FT_CPU_STEPS_DECLARE(avx2);
FT_CPU_STEPS_DECLARE(avx512);

/* Slots of the device's table (see dev.h). */
void ft_cpu_gather(struct ft_dev *d, struct ft_mat x, const int32_t *row, int n, int d_model,
                   struct ft_mat y);
void ft_cpu_rmsnorm(struct ft_dev *d, struct ft_mat x, int n, int d_model, const float *w,
                    float eps, struct ft_mat y);
void ft_cpu_rope_table(struct ft_dev *d, const double *freq, int n_rot, double mul,
                       const int32_t *pos, int n, float *cs);
void ft_cpu_heads(struct ft_dev *d, struct ft_mat x, int n, int n_head, int d_head, const float *w,
                  float eps, const float *cs, int at, int n_rot, enum ft_rope_pairs pairs);
void ft_cpu_kv_store(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                     struct ft_mat k, struct ft_mat v);
void ft_cpu_attend(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                   struct ft_mat q, int n_q_head, float scale, struct ft_mat y);
void ft_cpu_swiglu(struct ft_dev *d, struct ft_mat gate, struct ft_mat up, int n, int d_ff,
                   struct ft_mat y);
void ft_cpu_route(struct ft_dev *d, const struct ft_route *r, struct ft_mat logit, int n,
                  int32_t *id, float *weight);

#endif
