/* A model on a device: weights opened by its architecture, and the forward pass.
 *
 * Owner thread only. open is cheap (no weight is read); load makes the weights resident, drop gives
 * them back. */
#ifndef FT_ENGINE_MODEL_H
#define FT_ENGINE_MODEL_H

#include "base/arena.h"
#include "engine/arch/adapter.h"
#include "engine/arch/arch.h"
#include "engine/dev.h"

struct ft_model_config {
    enum ft_kv_type kv_type;
    int max_rows; /* most rows of one batch; scratch is sized for it. 0: 256 */
};

struct ft_model {
    struct ft_dev *dev;
    const struct ft_weights *file; /* not owned, outlives the model */
    const struct ft_arch *arch;
    struct ft_hparams hp;
    struct ft_kv_shape kv_shape;
    struct ft_kv_layer *kv_layer; /* [hp.n_layer] */
    bool loaded;

    /* the architecture's */
    void *arch_state;
    struct ft_arena arena;
    double *rope_freq; /* [hp.rope.n_rot / 2], scaling applied */
    double rope_mul;   /* factor on cos and sin */

    /* common weights */
    struct ft_weight *embed, *output; /* output == embed when tied */
    float *output_norm;

    /* every opened weight and vector, for load, drop and close */
    struct ft_weight **weight;
    struct ft_slot {
        const char *name; /* of its tensor */
        bool adapts;      /* used through ft_fwd_linear alone: adapters may add to it */
    } * slot;             /* [n_weights] */
    int n_weights;
    struct ft_vector {
        const char *name; /* the tensor's */
        float *p;
        size_t bytes;
    } * vector;
    int n_vectors;

    float **derived; /* host memory of tensors made when opened */
    int n_derived;

    int max_rows;
    float *scratch; /* device, [max_rows, scratch_floats] */
    size_t scratch_bytes;
    float *hidden; /* device, [max_rows, d_model] */
    float *logits; /* device, grown to [n_out, n_vocab] */
    size_t logits_bytes;

    struct ft_adapter_runs runs; /* of the batch in work */
};

int ft_model_open(struct ft_dev *dev, const struct ft_weights *file,
                  const struct ft_model_config *cfg, struct ft_model **ret_m, struct ft_err *err);
void ft_model_close(struct ft_model *m); /* NULL is accepted */

/* progress (may be NULL): called with bytes done and all, from the owner thread. */
int ft_model_load(struct ft_model *m, void (*progress)(void *ctx, uint64_t done, uint64_t all),
                  void *ctx, struct ft_err *err);
void ft_model_drop(struct ft_model *m);
uint64_t ft_model_weight_bytes(const struct ft_model *m); /* when loaded */

/* Runs the batch. Afterwards *ret_logits (may be NULL: not computed) points to [n_out, n_vocab]
 * and *ret_hidden (may be NULL) to [n_out, d_model] on the host, valid until the next call.
 * FT_EINVAL for a token id outside the vocabulary; FT_ENOMEM. */
int ft_model_forward(struct ft_model *m, struct ft_kv *kv, const struct ft_batch *b,
                     const float **ret_logits, const float **ret_hidden, struct ft_err *err);

/* For architectures. `fmt` names the tensor. Shapes are checked: dim[0] == n_in, dim[1] == n_out,
 * dim[2] == n_stack; FT_ECORRUPT says what was found. Optional ones give NULL when absent. */
int ft_model_weight(struct ft_model *m, int64_t n_in, int64_t n_out, int n_stack,
                    struct ft_weight **ret_w, struct ft_err *err, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
/* A plain matrix that is used by ft_fwd_linear alone, so that adapters may add to it. */
int ft_model_matrix(struct ft_model *m, int64_t n_in, int64_t n_out, struct ft_weight **ret_w,
                    struct ft_err *err, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
int ft_model_vector(struct ft_model *m, int64_t n, float **ret_v, struct ft_err *err,
                    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A weight of a tensor that the architecture made itself (it lives in m->arena). */
int ft_model_add_weight(struct ft_model *m, const struct ft_tensor *t, struct ft_weight **ret_w,
                        struct ft_err *err);
/* f32 host memory for a tensor derived from the file's, freed with the model; NULL if there is
 * none. */
float *ft_model_host_array(struct ft_model *m, size_t n);
bool ft_model_has(const struct ft_model *m, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
