/* What the files of the training device share. */
#ifndef FT_TRAIN_TAPE_IMPL_H
#define FT_TRAIN_TAPE_IMPL_H

#include "train/tape/tape.h"
#include "train/tape/vec.h"

#define FT_TAPE_REGIONS_MAX 65536 /* blocks of device memory */
#define FT_TAPE_OPS_MAX     65536 /* steps of one pass */
#define FT_TAPE_LIVE_MAX    64
#define FT_TAPE_LINEAR_MAX  3 /* products of one input */
#define FT_TAPE_SAVES_MAX   4 /* per step */

/* Device memory, with a shadow for gradients once a pass may need it. */
struct region {
    char *p, *shadow;
    size_t bytes;
    int param; /* the vector that lives here, or -1 */
};

struct lora {
    int rank;
    int a, b; /* parameters: [rank, n_in], [n_out, rank] */
    uint64_t key;
};

struct tape_weight {
    struct ft_weight base;
    const struct ft_tensor *t;
    float *value;     /* [n_out, n_in] when trained in full, else NULL */
    int param;        /* -1: frozen */
    struct lora lora; /* rank 0: none */
};

/* What a step keeps for its way back: rows of `width` elements in f32 or bf16. */
struct ft_saved {
    void *p;
    enum ft_type type;
    int64_t width;
};

enum op_kind { OP_EMBED, OP_GATHER, OP_RMSNORM, OP_LINEAR, OP_HEADS, OP_ATTEND, OP_SWIGLU };

/* One recorded step. x, y, z are matrices in device memory; which is which stands with each kind's
 * run and back functions. */
struct op {
    enum op_kind kind;
    int n; /* rows */
    struct ft_mat x, y, z;
    const int32_t *index; /* EMBED: tokens; GATHER: rows */
    const float *w;       /* RMSNORM, HEADS: the norm's weights */
    float eps;
    union {
        struct {
            struct ft_linear lin[FT_TAPE_LINEAR_MAX];
            int n_lin;
        } linear;
        struct {
            const struct tape_weight *w;
        } embed;
        struct {
            int width;
        } row; /* GATHER, RMSNORM, SWIGLU */
        struct {
            int n_head, d_head, at, n_rot;
            const float *cs;
            enum ft_rope_pairs pairs;
        } heads;
        struct {
            struct ft_mat k, v;
            const struct ft_seg *seg;
            int n_segs, n_q_head, n_head, d_k, d_v;
            float scale;
        } attend;
    };
    struct ft_saved save[FT_TAPE_SAVES_MAX];
    float *row_value; /* RMSNORM: 1/rms of each row; ATTEND: [n_q_head, n] log of the sums */
    float *low[FT_TAPE_LINEAR_MAX]; /* LINEAR: A x of each product with an adapter, [n, rank] */
};

/* The rows that the layers' attention sees: what the latest kv_store of the layer named. */
struct ft_kv {
    struct ft_kv_shape shape;
    struct kv_rows {
        struct ft_mat k, v;
    } * layer;
};

enum pass_mode { PASS_RUN, PASS_RECORD, PASS_MEASURE };

struct tape {
    struct ft_dev base;
    struct ft_pool *pool;
    struct ft_gemm *gemm;
    const struct ft_tape_vec *vec;
    enum ft_gemm_math math;
    bool recompute, use_lora;
    float lora_scale, dropout;
    char about[128];
    double flops;

    struct region *region; /* ascending by p */
    int n_regions;
    struct ft_param *param;
    int n_params, cap_params;

    enum pass_mode mode;
    bool recording; /* of the pass as a whole: within a layer to be made again mode is PASS_RUN */
    int n_rows;     /* of the pass */
    uint64_t step;
    struct op *op;
    int n_ops;
    /* first step of each layer, the residual stream there, and, when recomputing, its copy */
    struct layer_mark {
        int op;
        struct ft_mat x;
        int n, width;
        float *copy;
    } * layer;
    int n_layers;

    /* kept values: a bump allocator over one mapping */
    char *keep;
    size_t keep_bytes, keep_at, keep_peak;
    size_t keep_base, copy_bytes; /* measuring: before the first layer; of layers' inputs */
    char *work;                   /* one step's, whole */
    size_t work_bytes, work_want;
    char *worker_work; /* [pool size, worker_bytes] */
    size_t worker_bytes, worker_want;

    struct ft_mat live[FT_TAPE_LIVE_MAX]; /* matrices whose gradient is not zero now */
    int n_live;
};

static inline struct tape *ft_tape_of(struct ft_dev *d)
{
    return (struct tape *)d;
}

/* tape.c */
/* 64-byte aligned; large pages where it is much. Not initialised. NULL when there is none. */
void *ft_tape_memory(size_t bytes);
void ft_tape_memory_free(void *p, size_t bytes);
/* Records a step and runs it. */
void ft_tape_step(struct tape *t, const struct op *op);
/* Memory that lasts until the pass ends; NULL when only running or measuring. */
void *ft_tape_keep(struct tape *t, size_t bytes);
/* Rows of x kept as the products' type (whole: f32 always). NULL when only running. */
struct ft_saved ft_tape_save(struct tape *t, struct ft_mat x, int n, int64_t width, bool whole);
/* Row i of s as f32, in tmp unless it is f32 already. */
const float *ft_tape_row(const struct tape *t, const struct ft_saved *s, int i, float *tmp);
static inline bool ft_tape_keeps(const struct tape *t)
{
    return t->mode != PASS_RUN;
}
struct ft_gemm_in ft_tape_in(const struct ft_saved *s, bool trans);

/* The gradient of matrix m: its shadow. */
struct ft_mat ft_tape_grad(struct tape *t, struct ft_mat m);
bool ft_tape_is_live(const struct tape *t, struct ft_mat m);
void ft_tape_set_live(struct tape *t, struct ft_mat m, bool live);

/* fn for rows [at, at + n) in chunks of about equal work. */
typedef void ft_tape_rows_fn(struct tape *t, void *ctx, int at, int n, int worker);
void ft_tape_rows(struct tape *t, int n, int64_t width, ft_tape_rows_fn *fn, void *ctx);
/* The same over columns, in multiples of 64. */
void ft_tape_cols(struct tape *t, int64_t width, ft_tape_rows_fn *fn, void *ctx);
/* One by one: for tasks that are large. */
void ft_tape_each(struct tape *t, int n, ft_tape_rows_fn *fn, void *ctx);
void *ft_tape_worker_work(struct tape *t, int worker, size_t bytes);
void *ft_tape_work(struct tape *t, size_t bytes); /* one step's; asks for it when measuring */
void ft_tape_gemm(struct tape *t, const struct ft_gemm_args *a);

/* param.c */
int ft_tape_weight_open(struct ft_dev *d, const struct ft_tensor *t, struct ft_weight **ret_w,
                        struct ft_err *err);
int ft_tape_weight_load(struct ft_dev *d, struct ft_weight *w, struct ft_err *err);
void ft_tape_weight_drop(struct ft_dev *d, struct ft_weight *w);
size_t ft_tape_weight_bytes(struct ft_dev *d, const struct ft_weight *w);
void ft_tape_weight_close(struct ft_dev *d, struct ft_weight *w);
void ft_tape_params_free(struct tape *t);
struct ft_gemm_in ft_tape_weight_in(const struct ft_weight *w, bool trans);
/* The gradient of the vector at p, or NULL if it is not trained. */
float *ft_tape_vector_grad(struct tape *t, const float *p);
struct region *ft_tape_region(const struct tape *t, const void *p);

/* Steps until ft_tape_take are only measured; then their memory is taken. */
void ft_tape_measuring(struct tape *t);
int ft_tape_take(struct tape *t, struct ft_err *err);

/* loss.c */
void ft_tape_measure_loss(struct tape *t, struct ft_model *m);

/* one pair per kind: ops.c, linear.c, attend.c */
void ft_tape_run_embed(struct tape *t, struct op *op);
void ft_tape_back_embed(struct tape *t, struct op *op);
void ft_tape_run_gather(struct tape *t, struct op *op);
void ft_tape_back_gather(struct tape *t, struct op *op);
void ft_tape_run_rmsnorm(struct tape *t, struct op *op);
void ft_tape_back_rmsnorm(struct tape *t, struct op *op);
void ft_tape_run_linear(struct tape *t, struct op *op);
void ft_tape_back_linear(struct tape *t, struct op *op);
void ft_tape_run_heads(struct tape *t, struct op *op);
void ft_tape_back_heads(struct tape *t, struct op *op);
void ft_tape_run_attend(struct tape *t, struct op *op);
void ft_tape_back_attend(struct tape *t, struct op *op);
void ft_tape_run_swiglu(struct tape *t, struct op *op);
void ft_tape_back_swiglu(struct tape *t, struct op *op);

#endif
