/* Inside the reference device: its types and the steps of the other files. */
#ifndef FT_ENGINE_REF_DEV_H
#define FT_ENGINE_REF_DEV_H

#include "engine/ref/ref.h"

struct ft_ref_weight {
    struct ft_weight base;
    const struct ft_tensor *t;
    const struct ft_type_info *info;
};

/* Keys and values in f32 whatever type was asked for: the oracle does not round. */
struct ft_kv {
    struct ft_kv_shape shape;
    int n_blocks;
    size_t block_floats;
    size_t *layer_at; /* [n_layer] offset of a layer inside a block, in floats */
    float *data; /* [n_blocks, block_floats]; a layer: [token][head][d_k] then [token][head][d_v] */
};

static inline struct ft_ref_weight *ft_ref_weight(struct ft_weight *w)
{
    return (struct ft_ref_weight *)w;
}

/* Row r of matrix s of the stack, as f32. out: [n_in]. */
void ft_ref_row(const struct ft_ref_weight *w, int s, int64_t r, float *out);

int ft_ref_lora_open(struct ft_dev *d, const struct ft_lora_pair *pair, int n,
                     struct ft_lora **ret_l, struct ft_err *err);
void ft_ref_lora_close(struct ft_dev *d, struct ft_lora *l);
void ft_ref_lora(struct ft_dev *d, struct ft_mat x, const struct ft_lora_use *use, int n_use);

int ft_ref_kv_open(struct ft_dev *d, const struct ft_kv_shape *shape, int n_blocks, int n_states,
                   struct ft_kv **ret_kv, struct ft_err *err);
void ft_ref_kv_close(struct ft_dev *d, struct ft_kv *kv);
size_t ft_ref_kv_block_bytes(struct ft_dev *d, const struct ft_kv_shape *shape);
void ft_ref_kv_read(struct ft_dev *d, struct ft_kv *kv, int block, void *host);
void ft_ref_kv_write(struct ft_dev *d, struct ft_kv *kv, int block, const void *host);
void ft_ref_kv_copy(struct ft_dev *d, struct ft_kv *kv, int dst_block, int src_block);
void ft_ref_kv_release(struct ft_dev *d, struct ft_kv *kv, int block);
void ft_ref_kv_store(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                     struct ft_mat k, struct ft_mat v);
void ft_ref_attend(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                   struct ft_mat q, int n_q_head, float scale, struct ft_mat y);

void ft_ref_gather(struct ft_dev *d, struct ft_mat x, const int32_t *row, int n, int d_model,
                   struct ft_mat y);
void ft_ref_rmsnorm(struct ft_dev *d, struct ft_mat x, int n, int d_model, const float *w,
                    float eps, struct ft_mat y);
void ft_ref_rope_table(struct ft_dev *d, const double *freq, int n_rot, double mul,
                       const int32_t *pos, int n, float *cs);
void ft_ref_heads(struct ft_dev *d, struct ft_mat x, int n, int n_head, int d_head, const float *w,
                  float eps, const float *cs, int at, int n_rot, enum ft_rope_pairs pairs);
void ft_ref_swiglu(struct ft_dev *d, struct ft_mat gate, struct ft_mat up, int n, int d_ff,
                   struct ft_mat y);
void ft_ref_route(struct ft_dev *d, const struct ft_route *r, struct ft_mat logit, int n,
                  int32_t *id, float *weight);

#endif
