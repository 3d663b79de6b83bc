/* The paged cache of keys and values, as the CPU device lays it out.
 *
 * A block holds FT_KV_BLOCK tokens over all layers in one page-aligned range, so that it is given
 * back to the system as a whole. Inside it, layer by layer and head by head:
 *
 *   keys    [d_k][32 tokens]: lanes are tokens, scores need no horizontal sums
 *   values  [32 tokens][d_v rounded up to 16]: lanes are value dimensions
 *
 * With v_in_k (one compressed vector serves as key and value) only [32 tokens][d_k rounded up to
 * 16] is kept; the attention transposes it once per block for all its heads.
 * 8-bit elements carry a bfloat16 scale for each token and FT_KV_GROUP dimensions. What an element
 * means is its value as f32 (8 bit: integer times scale, rounded once); every kernel computes with
 * exactly these values, so direct and tiled kernels agree to the bit. */
#ifndef FT_ENGINE_CPU_KV_H
#define FT_ENGINE_CPU_KV_H

#include "engine/dev.h"

#define FT_KV_GROUP 32 /* dimensions that share an 8-bit scale */
#define FT_KV_PAD   16 /* value rows are padded to this many elements */

/* Where one layer's heads lie inside a block. Offsets in bytes. */
struct ft_kv_slice {
    int n_head, d_k, d_v;
    bool v_in_k;
    int ld_v;          /* elements between tokens of the values (v_in_k: of the keys too) */
    int n_kg, n_vg;    /* scale groups per token of keys and values */
    size_t at;         /* head 0 in the block */
    size_t head_bytes; /* from head to head */
    size_t v;          /* values in the head; keys start at 0 (v_in_k: 0) */
    size_t k_scale;    /* keys: [n_kg][32]; v_in_k: [32][n_kg] */
    size_t v_scale;    /* values: [32][n_vg] (v_in_k: k_scale) */
};

struct ft_kv {
    enum ft_kv_type type;
    bool bf16; /* attention may round its operands (dev.h) */
    int n_layer, n_blocks, n_states;
    size_t block_bytes; /* from block to block, a multiple of the page size */
    size_t state_bytes; /* from recurrent state to recurrent state */
    uint8_t *base;      /* blocks, then states */
    size_t map_bytes;
    struct ft_kv_slice slice[]; /* [n_layer] */
};

static inline int ft_kv_elem_bytes(enum ft_kv_type t)
{
    return t == FT_KV_F32 ? 4 : t == FT_KV_F16 ? 2 : 1;
}

/* First byte of a head's share of a block. */
static inline uint8_t *ft_kv_head(const struct ft_kv *kv, const struct ft_kv_slice *s, int block,
                                  int head)
{
    return kv->base + (size_t)block * kv->block_bytes + s->at + (size_t)head * s->head_bytes;
}

/* Slots of the device's table (see dev.h). */
int ft_cpu_kv_open(struct ft_dev *d, const struct ft_kv_shape *shape, int n_blocks, int n_states,
                   struct ft_kv **ret_kv, struct ft_err *err);
void ft_cpu_kv_close(struct ft_dev *d, struct ft_kv *kv);
size_t ft_cpu_kv_block_bytes(struct ft_dev *d, const struct ft_kv_shape *shape);
void ft_cpu_kv_read(struct ft_dev *d, struct ft_kv *kv, int block, void *host);
void ft_cpu_kv_write(struct ft_dev *d, struct ft_kv *kv, int block, const void *host);
void ft_cpu_kv_copy(struct ft_dev *d, struct ft_kv *kv, int dst_block, int src_block);
void ft_cpu_kv_release(struct ft_dev *d, struct ft_kv *kv, int block);

#endif
