/* The training device: implements the seam of engine/dev.h, so every architecture of engine/arch
 * whose steps have a backward rule can be trained by the definition that inference uses.
 *
 * A forward pass (ft_model_forward) runs the steps and writes them down; ft_tape_backward plays
 * them backwards. Memory of the steps (the model's scratch) has a shadow of the same size that
 * holds gradients: the adjoint of a program that overwrites its variables, step by step, in
 * reverse. What a step's backward needs is kept when it runs, or, with recompute, made again layer
 * by layer from the residual stream at the layer's beginning.
 *
 * Order of use: ft_tape_open, ft_model_open on it, choose what is trained (ft_tape_train_full or
 * _lora), ft_model_load, ft_tape_prepare; then per batch: ft_model_forward, ft_tape_logprobs,
 * ft_tape_backward. Gradients add up in the parameters until ft_tape_zero_grad.
 *
 * Rows of a batch's segment are one document: positions start at 0, attention never crosses
 * segments, and there is no cache between passes. One owner thread. The same inputs give the same
 * bits whatever the number of threads: every sum has its order fixed by shapes alone. */
#ifndef FT_TRAIN_TAPE_H
#define FT_TRAIN_TAPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "engine/arch/model.h"
#include "train/gemm/gemm.h"

struct ft_tape_config {
    int n_threads;   /* 0: one per core this process may run on */
    const char *isa; /* NULL: the best the machine has; "plain", "avx2", "avx512" */
    /* Of matrix products. With bf16, what is kept for the way back is bf16 too. */
    enum ft_gemm_math math;
    bool recompute; /* keep a layer's input only; run the layer again on the way back */
};

/* The device; closed by ft_dev_close. Models on it are closed before. */
int ft_tape_open(const struct ft_tape_config *cfg, struct ft_dev **ret_dev, struct ft_err *err);

/* ---- what is trained ---- */

struct ft_param {
    char name[FT_TENSOR_NAME_MAX + 8]; /* the tensor's; ".lora_a", ".lora_b" appended */
    int64_t rows, cols;                /* row-major; 1 row: a vector */
    float *value, *grad;               /* [rows, cols]; the device's */
    bool decay;                        /* weight decay applies: matrices, not norms and biases */
};

/* Every matrix and vector of m. Matrices get an f32 copy when the model is loaded. FT_EUNSUPPORTED
 * if the model has stacked weights (experts). */
int ft_tape_train_full(struct ft_dev *d, struct ft_model *m, struct ft_err *err);

struct ft_tape_lora {
    int rank;      /* 1 .. FT_TAPE_RANK_MAX */
    float scale;   /* alpha / rank */
    float dropout; /* 0 <= p < 1: of the input of A */
    uint64_t seed; /* of A's values and of dropout */
    /* The middle of tensor names: "attn_q", "ffn_gate", ...; each must fit one tensor at least. */
    const char *const *target;
    int n_target;
};
#define FT_TAPE_RANK_MAX 512

/* W x becomes W x + scale B A x; W stays as its file has it (in its own format). A starts uniform
 * in +-1/sqrt(n_in), as PEFT's (Kaiming, a = sqrt 5), B with zeros. FT_EINVAL names the target. */
int ft_tape_train_lora(struct ft_dev *d, struct ft_model *m, const struct ft_tape_lora *lora,
                       struct ft_err *err);
/* Adapters take part (true, at first) or not: the frozen model beside itself. */
void ft_tape_use_lora(struct ft_dev *d, bool on);

int ft_tape_param_count(const struct ft_dev *d);
struct ft_param *ft_tape_param(struct ft_dev *d, int i);
void ft_tape_zero_grad(struct ft_dev *d);

/* ---- running ---- */

/* What passes of the model's rows will take: kept values, the model's scratch and its shadow, work;
 * not weights, parameters and gradients. kv: of the model's shape, any number of blocks. */
int ft_tape_measure(struct ft_dev *d, struct ft_model *m, struct ft_kv *kv, uint64_t *ret_bytes,
                    struct ft_err *err);
/* As the configuration's; before ft_tape_prepare. */
void ft_tape_set_recompute(struct ft_dev *d, bool on);
/* Takes that memory; after this no pass allocates. FT_ENOMEM. */
int ft_tape_prepare(struct ft_dev *d, struct ft_model *m, struct ft_kv *kv, struct ft_err *err);

/* Passes until further notice: with record, kept for a backward pass; without, only run (validation
 * and reference models); dropout applies only when recording. `step` keys dropout's draws. What a
 * recorded batch points to must stay until its ft_tape_backward. */
void ft_tape_begin(struct ft_dev *d, bool record, uint64_t step);

/* Log-probabilities of target[i] after the i-th output row of the last pass. target: [n_out].
 * coef (NULL: none): dLoss/dlogprob of each; then also the gradients of the output matrix and of
 * the hidden rows are made, so that ft_tape_backward may follow. Targets below 0 are skipped: their
 * logprob is 0. */
void ft_tape_logprobs(struct ft_dev *d, struct ft_model *m, const int32_t *target, int n_out,
                      const float *coef, float *logprob);

/* From the hidden rows' gradient down to every parameter; ends the recording. */
void ft_tape_backward(struct ft_dev *d);

struct ft_pool *ft_tape_pool(struct ft_dev *d);

/* Matrix operations (two per product) done since open; attention's included. */
double ft_tape_flops(const struct ft_dev *d);

#endif
