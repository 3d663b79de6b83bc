/* The device seam: memory, and the fused steps of a transformer on device-resident tensors.
 *
 * Not a general graph language: one slot per step that the architectures in engine/arch are made
 * of. Implementations: engine/ref (plain C, the oracle), engine/cpu (vector code chosen at run
 * time), later engine/cuda. All are held to one contract test (tests/unit/engine/cpu compares
 * with ref).
 *
 * Rules for every step
 * - One owner thread calls; the device may use threads of its own inside a step.
 * - Matrices are f32, row-major, in device memory: element (i, j) of `struct ft_mat` is
 *   p[i * ld + j]. Inputs and outputs do not overlap unless the slot says so.
 * - Steps cannot fail: shapes were checked when the model was opened; a wrong shape is a defect.
 * - Batch invariance: the result for one row is the same bits whatever the other rows are, however
 *   many there are, however many threads work. Steps therefore fix the order of every sum by the
 *   shape of the weights and the position in the sequence alone.
 * - No allocation in a step once a batch of the same size has been seen.
 * - On asynchronous devices steps are queued; ft_dev_host_view() waits. */
#ifndef FT_ENGINE_DEV_H
#define FT_ENGINE_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "engine/batch.h"
#include "engine/weight.h"
#include "model/file/hparams.h"

struct ft_dev; /* embeds `const struct ft_dev_ops *ops` first */

enum ft_kv_type { FT_KV_F32, FT_KV_F16, FT_KV_Q8 };

/* What one layer keeps of a sequence. n_head == 0: no keys and values. */
struct ft_kv_layer {
    int n_head; /* key-value heads */
    int d_k, d_v;
    bool v_in_k;        /* the value is the first d_v elements of the key (MLA); not stored twice */
    size_t state_bytes; /* fixed-size recurrent state per sequence; 0 for attention layers */
};

struct ft_kv_shape {
    int n_layer;
    enum ft_kv_type type;
    const struct ft_kv_layer *layer; /* [n_layer]; outlives the cache */
    bool bf16; /* attention may round queries, keys, weights and values to bfloat16 */
};

struct ft_kv; /* a paged cache of one model on one device */

/* Which experts a row goes to. */
struct ft_route {
    int n_expert, n_used;
    enum ft_gating gating;
    const float *bias;         /* [n_expert] device f32 added for choosing only, or NULL */
    bool norm;                 /* chosen weights divided by their sum */
    float scale;               /* then times this */
    int n_group, n_group_used; /* choose groups first; <= 1: no groups */
    int n_group_best;          /* a group scores the sum of its best 1 (DeepSeek-V2) or 2 (V3) */
};

struct ft_experts {
    struct ft_weight *gate, *up, *down; /* stacks [n_expert] */
};

struct ft_dev_config {
    int n_threads;   /* 0: one per core this process may run on */
    const char *isa; /* NULL: the best the machine has; else one of the device's names ("avx2") */
};

struct ft_dev_ops {
    const char *name; /* "ref", "cpu" */

    int (*open)(const struct ft_dev_config *cfg, struct ft_dev **ret_dev, struct ft_err *err);
    void (*close)(struct ft_dev *d);

    /* A line for people: "cpu: AVX-512 VNNI BF16, 2 threads". Owned by the device. */
    const char *(*describe)(struct ft_dev *d);

    /* Device memory, 64-byte aligned, not initialised; pages cost memory when first touched.
     * NULL when there is none. */
    void *(*mem_alloc)(struct ft_dev *d, size_t bytes);
    void (*mem_free)(struct ft_dev *d, void *p, size_t bytes);
    void (*upload)(struct ft_dev *d, void *dst, const void *src, size_t bytes);
    /* Host address of device memory, after everything queued is done. Valid until the next step. */
    const void *(*host_view)(struct ft_dev *d, const void *p, size_t bytes);

    /* Weights. open: notes where the tensor lies (t and its mapping outlive the weight), checks
     * that the device can do its type and shape; costs next to nothing. load: makes it ready
     * (reads, rearranges); may block for the disk; the device uses its threads. drop: gives the
     * memory back, load may follow. Steps need loaded weights. bytes: resident now. */
    int (*weight_open)(struct ft_dev *d, const struct ft_tensor *t, struct ft_weight **ret_w,
                       struct ft_err *err);
    int (*weight_load)(struct ft_dev *d, struct ft_weight *w, struct ft_err *err);
    void (*weight_drop)(struct ft_dev *d, struct ft_weight *w);
    size_t (*weight_bytes)(struct ft_dev *d, const struct ft_weight *w);
    void (*weight_close)(struct ft_dev *d, struct ft_weight *w);

    /* Adapters (optional, all three or none: a device without them has no models with adapters).
     * open: brings the pairs into the device's layout; close: once no step uses them. Both from any
     * thread, also while steps run. FT_ENOMEM. */
    int (*lora_open)(struct ft_dev *d, const struct ft_lora_pair *pair, int n,
                     struct ft_lora **ret_l, struct ft_err *err);
    void (*lora_close)(struct ft_dev *d, struct ft_lora *l);

    /* The cache: n_blocks blocks of FT_KV_BLOCK tokens (over all layers) and n_states recurrent
     * states. Address space is reserved, pages are touched as blocks are used; kv_release gives the
     * pages of a block back. kv_read/kv_write move one block's content (kv_block_bytes) to and from
     * host memory: spilling, and copying a partly filled block. */
    int (*kv_open)(struct ft_dev *d, const struct ft_kv_shape *shape, int n_blocks, int n_states,
                   struct ft_kv **ret_kv, struct ft_err *err);
    void (*kv_close)(struct ft_dev *d, struct ft_kv *kv);
    size_t (*kv_block_bytes)(struct ft_dev *d, const struct ft_kv_shape *shape);
    void (*kv_read)(struct ft_dev *d, struct ft_kv *kv, int block, void *host);
    void (*kv_write)(struct ft_dev *d, struct ft_kv *kv, int block, const void *host);
    void (*kv_copy)(struct ft_dev *d, struct ft_kv *kv, int dst_block, int src_block);
    void (*kv_release)(struct ft_dev *d, struct ft_kv *kv, int block);

    /* (optional: nothing) Layer i begins: of what steps left before, later ones read x, [n,
     * d_model], and the rope table alone. For devices that train. */
    void (*layer)(struct ft_dev *d, int i, struct ft_mat x, int n, int d_model);

    /* y[i] = row id[i] of w, as f32. id: [n] host. w: any loaded or merely opened weight. */
    void (*embed)(struct ft_dev *d, const struct ft_weight *w, const int32_t *id, int n,
                  struct ft_mat y);

    /* y[i] = x[row[i]], d_model wide. row: [n] host, ascending, so y may be x; NULL: row[i] = i
     * (a plain strided copy). */
    void (*gather)(struct ft_dev *d, struct ft_mat x, const int32_t *row, int n, int d_model,
                   struct ft_mat y);

    /* y = x / sqrt(mean(x^2) + eps) * w, over the last dimension. y may be x. */
    void (*rmsnorm)(struct ft_dev *d, struct ft_mat x, int n, int d_model, const float *w,
                    float eps, struct ft_mat y);

    /* For each of n_lin: y (=, +=) W x + bias. x: [n, n_in], the same for all. */
    void (*linear)(struct ft_dev *d, struct ft_mat x, int n, const struct ft_linear *lin,
                   int n_lin);

    /* For each use: y[i] += scale * B (A x[i]) for its rows. No element of any y has two uses. */
    void (*lora)(struct ft_dev *d, struct ft_mat x, const struct ft_lora_use *use, int n_use);

    /* Per-head products: for every head h < w->n_stack, y[:, h*y_step ..] = W[h] x[:, h*x_step
     * ..]. */
    void (*linear_heads)(struct ft_dev *d, struct ft_mat x, int x_step, int n, struct ft_weight *w,
                         struct ft_mat y, int y_step);

    /* cs[i][2j], cs[i][2j+1] = cos, sin of position pos[i] at pair j; [n, rope->n_rot] device.
     * freq: [n_rot / 2] host, radians per position; mul: factor on both. Angles in f64. */
    void (*rope_table)(struct ft_dev *d, const double *freq, int n_rot, double mul,
                       const int32_t *pos, int n, float *cs);

    /* In place for each row and head (heads are d_head apart in x): RMS norm with w ([d_head], NULL
     * for none), then rotate dimensions [at, at + n_rot) by the table (cs NULL: none). */
    void (*heads)(struct ft_dev *d, struct ft_mat x, int n, int n_head, int d_head, const float *w,
                  float eps, const float *cs, int at, int n_rot, enum ft_rope_pairs pairs);

    /* Stores the rows' keys and values at their positions. k: [n_rows, n_head * d_k]; v likewise,
     * ignored with v_in_k. */
    void (*kv_store)(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                     struct ft_mat k, struct ft_mat v);

    /* Causal attention of every row over its own sequence (its own position included).
     * q: [n_rows, n_q_head * d_k]; y: [n_rows, n_q_head * d_v]; query head h uses key-value head
     * h / (n_q_head / n_head). scale multiplies the scores. */
    void (*attend)(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                   struct ft_mat q, int n_q_head, float scale, struct ft_mat y);

    /* y = silu(gate) * up. y may be gate. */
    void (*swiglu)(struct ft_dev *d, struct ft_mat gate, struct ft_mat up, int n, int d_ff,
                   struct ft_mat y);

    /* logit: [n, n_expert] router outputs. id: [n, n_used] device int32, weight: [n, n_used]. */
    void (*route)(struct ft_dev *d, const struct ft_route *r, struct ft_mat logit, int n,
                  int32_t *id, float *weight);

    /* y += sum over the chosen experts e of weight * down_e(silu(gate_e x) * up_e x). Summed in the
     * order in which they stand in id. */
    void (*experts)(struct ft_dev *d, const struct ft_experts *e, struct ft_mat x, int n,
                    const int32_t *id, const float *weight, int n_used, struct ft_mat y);
};

struct ft_dev {
    const struct ft_dev_ops *ops;
};

/* Wrappers: the only way the rest of the engine calls a device (dev.c). */
int ft_dev_open(const struct ft_dev_ops *ops, const struct ft_dev_config *cfg,
                struct ft_dev **ret_dev, struct ft_err *err);
void ft_dev_close(struct ft_dev *d); /* NULL is accepted */
const char *ft_dev_describe(struct ft_dev *d);

void *ft_dev_mem_alloc(struct ft_dev *d, size_t bytes);
void ft_dev_mem_free(struct ft_dev *d, void *p, size_t bytes);
void ft_dev_upload(struct ft_dev *d, void *dst, const void *src, size_t bytes);
const void *ft_dev_host_view(struct ft_dev *d, const void *p, size_t bytes);

int ft_dev_weight_open(struct ft_dev *d, const struct ft_tensor *t, struct ft_weight **ret_w,
                       struct ft_err *err);
int ft_dev_weight_load(struct ft_dev *d, struct ft_weight *w, struct ft_err *err);
void ft_dev_weight_drop(struct ft_dev *d, struct ft_weight *w);
size_t ft_dev_weight_bytes(struct ft_dev *d, const struct ft_weight *w);
void ft_dev_weight_close(struct ft_dev *d, struct ft_weight *w); /* NULL is accepted */

int ft_dev_lora_open(struct ft_dev *d, const struct ft_lora_pair *pair, int n,
                     struct ft_lora **ret_l, struct ft_err *err);
void ft_dev_lora_close(struct ft_dev *d, struct ft_lora *l); /* NULL is accepted */

int ft_dev_kv_open(struct ft_dev *d, const struct ft_kv_shape *shape, int n_blocks, int n_states,
                   struct ft_kv **ret_kv, struct ft_err *err);
void ft_dev_kv_close(struct ft_dev *d, struct ft_kv *kv); /* NULL is accepted */
size_t ft_dev_kv_block_bytes(struct ft_dev *d, const struct ft_kv_shape *shape);
void ft_dev_kv_read(struct ft_dev *d, struct ft_kv *kv, int block, void *host);
void ft_dev_kv_write(struct ft_dev *d, struct ft_kv *kv, int block, const void *host);
void ft_dev_kv_copy(struct ft_dev *d, struct ft_kv *kv, int dst_block, int src_block);
void ft_dev_kv_release(struct ft_dev *d, struct ft_kv *kv, int block);

void ft_dev_layer(struct ft_dev *d, int i, struct ft_mat x, int n, int d_model);
void ft_dev_embed(struct ft_dev *d, const struct ft_weight *w, const int32_t *id, int n,
                  struct ft_mat y);
void ft_dev_gather(struct ft_dev *d, struct ft_mat x, const int32_t *row, int n, int d_model,
                   struct ft_mat y);
void ft_dev_rmsnorm(struct ft_dev *d, struct ft_mat x, int n, int d_model, const float *w,
                    float eps, struct ft_mat y);
void ft_dev_linear(struct ft_dev *d, struct ft_mat x, int n, const struct ft_linear *lin,
                   int n_lin);
void ft_dev_lora(struct ft_dev *d, struct ft_mat x, const struct ft_lora_use *use, int n_use);
void ft_dev_linear_heads(struct ft_dev *d, struct ft_mat x, int x_step, int n, struct ft_weight *w,
                         struct ft_mat y, int y_step);
void ft_dev_rope_table(struct ft_dev *d, const double *freq, int n_rot, double mul,
                       const int32_t *pos, int n, float *cs);
void ft_dev_heads(struct ft_dev *d, struct ft_mat x, int n, int n_head, int d_head, const float *w,
                  float eps, const float *cs, int at, int n_rot, enum ft_rope_pairs pairs);
void ft_dev_kv_store(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                     struct ft_mat k, struct ft_mat v);
void ft_dev_attend(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                   struct ft_mat q, int n_q_head, float scale, struct ft_mat y);
void ft_dev_swiglu(struct ft_dev *d, struct ft_mat gate, struct ft_mat up, int n, int d_ff,
                   struct ft_mat y);
void ft_dev_route(struct ft_dev *d, const struct ft_route *r, struct ft_mat logit, int n,
                  int32_t *id, float *weight);
void ft_dev_experts(struct ft_dev *d, const struct ft_experts *e, struct ft_mat x, int n,
                    const int32_t *id, const float *weight, int n_used, struct ft_mat y);

#endif
