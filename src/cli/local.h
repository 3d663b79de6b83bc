/* A model on a device in this process, without the engine's queues: what eval, perplexity and bench
 * measure. One thread. */
#ifndef FT_CLI_LOCAL_H
#define FT_CLI_LOCAL_H

#include "engine/arch/model.h"

/* What the commands' common options say. Zero is the default of each. */
struct ft_local_config {
    const char *device;  /* "cpu" (default) or "ref" */
    const char *isa;     /* NULL: the best */
    const char *adapter; /* folder of a LoRA adapter that all sequences go through; NULL: none */
    int n_threads;
    enum ft_kv_type kv_type;
    int max_rows;
};

struct ft_local {
    struct ft_weights *weights;
    struct ft_dev *dev;
    struct ft_model *model;
    struct ft_model_adapter *adapter; /* NULL: none */
    struct ft_kv *kv;
    int n_blocks;
};

/* The device's ops by name; NULL if there is none of that name. */
const struct ft_dev_ops *ft_local_device(const char *name);

/* Opens and loads. n_tokens: room in the cache, over all sequences, in whole blocks each. */
int ft_local_open(const char *path, const struct ft_local_config *cfg, int n_tokens,
                  struct ft_local *ret, struct ft_err *err);
void ft_local_close(struct ft_local *l); /* a zeroed one is accepted */

/* Feeds n tokens of one sequence from position pos on, using cache blocks first_block,
 * first_block + 1, ...; in batches of at most the model's rows. on_rows (may be NULL) gets the
 * logits wanted, [n_rows, n_vocab] from position pos on, batch by batch. */
enum ft_local_out { FT_LOCAL_NONE, FT_LOCAL_LAST, FT_LOCAL_ALL };
typedef int ft_local_rows_fn(void *ctx, int pos, int n_rows, const float *logits,
                             struct ft_err *err);
int ft_local_feed(struct ft_local *l, const int32_t *token, int n, int pos, int first_block,
                  enum ft_local_out out, ft_local_rows_fn *on_rows, void *ctx, struct ft_err *err);

/* Parses "f32", "f16", "q8". */
int ft_local_kv_type(const char *name, enum ft_kv_type *ret, struct ft_err *err);

#endif
