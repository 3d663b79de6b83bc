/* Parts that decoder architectures share: grouped-query attention, the gated feed-forward, the
 * mixture of experts, and the loop over layers of those that are made of nothing else.
 *
 * Biases, per-head norms and experts are used where the file has them. */
#ifndef FT_ENGINE_DECODER_H
#define FT_ENGINE_DECODER_H

#include "engine/arch/model.h"

struct ft_ffn {
    struct ft_weight *gate, *up, *down; /* dense, or the shared experts; NULL if there is none */
    struct ft_weight *router;           /* NULL: no experts in this layer */
    struct ft_route route;
    struct ft_experts experts;
    int d_ff;
};

struct ft_gqa {
    struct ft_weight *q, *k, *v, *o;
    float *q_bias, *k_bias, *v_bias, *o_bias; /* NULL: none */
    float *q_norm, *k_norm;
};

/* Scratch of one batch, carved from m->scratch. Attention and feed-forward share their part. */
struct ft_fwd {
    struct ft_model *m;
    struct ft_kv *kv;
    const struct ft_batch *b;
    struct ft_mat x; /* [n_rows, d_model] the residual stream */
    struct ft_mat h; /* [n_rows, d_model] its norm */
    float *cs;       /* [n_rows, n_rot] */
    float *phase;    /* max_rows * (floats per row of the larger phase) */
    bool kept;       /* ft_fwd_keep_out was called: rows are those of b->out_row */
};

/* Floats per row that x, h and cs take; the architecture adds its phases' maximum. */
size_t ft_fwd_common_floats(const struct ft_model *m);
void ft_fwd_init(struct ft_fwd *f, struct ft_model *m, struct ft_kv *kv, const struct ft_batch *b);
/* The next `width` floats per row of the phase memory at *at, which advances. */
struct ft_mat ft_fwd_carve(const struct ft_fwd *f, size_t *at, int64_t width);

/* Rows still needed after the last layer's attention: keeps only b->out_row of x and `y`. Returns
 * their number. */
int ft_fwd_keep_out(struct ft_fwd *f, struct ft_mat y, int d_y);

/* The products of x, [n, n_in], with matrices, [n, ..], and what the rows' adapters add to them.
 * All matrices were opened by ft_model_matrix. n: all rows of the batch, or those kept. */
void ft_fwd_linear(struct ft_fwd *f, struct ft_mat x, int n, const struct ft_linear *lin,
                   int n_lin);

/* norm_topk: whether chosen weights are normalised when the file does not say. */
int ft_ffn_open(struct ft_model *m, int layer, bool norm_topk, struct ft_ffn *f,
                struct ft_err *err);
size_t ft_ffn_floats(const struct ft_model *m);
/* x += ffn(h) for the first n rows. */
void ft_ffn_forward(struct ft_fwd *f, const struct ft_ffn *ffn, int n);

/* Architectures made of ft_gqa and ft_ffn only. */
int ft_decoder_open(struct ft_model *m, bool norm_topk, struct ft_err *err);
void ft_decoder_forward(struct ft_model *m, struct ft_kv *kv, const struct ft_batch *b,
                        struct ft_mat out);
size_t ft_decoder_scratch(const struct ft_model *m);

#endif
