/* Names of tensors: Hugging Face's and GGUF's, both ways. */
#ifndef FT_MODEL_HF_NAMES_H
#define FT_MODEL_HF_NAMES_H

#include <stddef.h>

#include "model/file/weights.h"

/* What a tensor of a folder is. */
struct ft_hf_name {
    char name[FT_TENSOR_NAME_MAX + 1]; /* GGUF's */
    int layer;                         /* -1: none */
    int expert;                        /* -1: whole; else the index in the stacked tensor */
};
enum ft_hf_known { FT_HF_UNKNOWN, FT_HF_KNOWN, FT_HF_IGNORED };
enum ft_hf_known ft_hf_name_map(const char *name, struct ft_hf_name *ret);

/* The other way: the name in a folder of tensor `gguf`, of its part `expert` where it is a stack of
 * them (-1: whole). false for what has no such name (rope_freqs.weight, attn_k_b, ...). */
bool ft_hf_name_of(const char *gguf, int expert, char ret[FT_TENSOR_NAME_MAX + 1]);

#endif
