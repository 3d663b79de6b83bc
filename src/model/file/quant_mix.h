/* Which format each tensor of a model is written in: plain types and mixtures like Q4_K_M.
 *
 * Follows llama.cpp's quantisation rules where a peer's file of the same name should have the same
 * make-up: norms, biases and routers stay F32; the output matrix (the embedding if it is tied) is
 * Q6_K in every format below it; rows that a format's blocks do not divide fall back. */
#ifndef FT_MODEL_QUANT_MIX_H
#define FT_MODEL_QUANT_MIX_H

#include <stdbool.h>
#include <stdint.h>

#include "model/file/quant.h"

struct ft_mix {
    const char *name;
    enum ft_type base;
    int file_type;  /* general.file_type, llama.cpp's number */
    bool more_bits; /* the _M mixtures: some attn_v and ffn_down in Q6_K */
};

/* "Q4_K_M", "F16", ...; case-insensitive; NULL if unknown. */
const struct ft_mix *ft_mix_by_name(const char *name);
/* All names, separated by spaces, for messages. */
const char *ft_mix_names(void);

/* tied: the model has no output.weight. pure: the base type everywhere it fits. */
enum ft_type ft_mix_type(const struct ft_mix *m, const char *tensor, int n_dims, const int64_t *dim,
                         int n_layer, bool tied, bool pure);

#endif
