/* A new model, to be trained from nothing: a Hugging Face folder with random weights in a given
 * shape around a given tokenizer.
 *
 * Matrices are normal with deviation 0.02; those that write into the residual stream (o_proj,
 * down_proj) are smaller by sqrt(2 n_layer), so that the stream keeps its size however deep the
 * model is (GPT-2, Radford et al. 2019, section 2.3). Norms are 1, biases 0. All are F32. Each
 * value depends on the seed, its tensor and its place alone: the same call writes the same bytes.
 */
#ifndef FT_TRAIN_INIT_H
#define FT_TRAIN_INIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Bounds; what is larger is no typing error's fault any more, or nothing that this can train. */
#define FT_INIT_DIM_MAX    (1 << 20) /* d_model, d_ff, d_head, heads times d_head */
#define FT_INIT_HEADS_MAX  4096
#define FT_INIT_CTX_MAX    (1 << 24)
#define FT_INIT_PARAMS_MAX ((int64_t)1 << 36)

struct ft_init_shape {
    const char *arch; /* llama, qwen2, qwen3 */
    int n_layer, d_model, d_ff;
    int n_head, n_head_kv; /* n_head_kv divides n_head */
    int d_head;            /* even */
    int n_ctx;             /* max_position_embeddings */
    double rope_theta, norm_eps;
    bool tied; /* the output matrix is the embedding */
};

/* tokenizer: a folder with tokenizer.json, whose other files of a tokenizer (tokenizer_config.json,
 * chat_template.jinja, ...) come along; or the path of a tokenizer.json, which comes alone. The
 * vocabulary is as large as its ids say. folder: nothing yet, or empty, or with replace one of
 * files alone, whose place the new one takes; it appears whole or not at all. FT_EINVAL names the
 * field of the shape ("d_head: ..."), other errors the file. */
int ft_init_write(const struct ft_init_shape *s, const char *tokenizer, uint64_t seed,
                  const char *folder, bool replace, struct ft_err *err);

#endif
