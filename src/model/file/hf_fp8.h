/* Matrices that a folder stores as FP8 (E4M3) with a scale per block, as DeepSeek V3, R1 and Qwen's
 * FP8 releases do: shown as BF16, like the vendors' own scripts convert them.
 *
 * The BF16 lie in memory of our own, reserved when the folder is opened and filled matrix by matrix
 * when somebody wants to read one (ft_weights_fetch): so to look at a folder costs nothing, and to
 * convert it one tensor's memory at a time. */
#ifndef FT_MODEL_HF_FP8_H
#define FT_MODEL_HF_FP8_H

#include "model/file/hf_impl.h"
#include "model/file/safetensors.h"

/* Is it a scale ("....weight_scale_inv")? Then *ret_n is the length of its matrix's name. */
bool ft_fp8_is_scale(const char *name, size_t *ret_n);
bool ft_fp8_is_matrix(const struct ft_st_tensor *t);

/* Remembers a matrix and its scale as part `part` of tensor `index` of w; block: rows and columns
 * of a block (config.json's weight_block_size; 0: there is none). FT_ECORRUPT, FT_EUNSUPPORTED. */
int ft_fp8_add(struct ft_weights *w, int index, int part, const struct ft_st_tensor *t,
               const struct ft_st_tensor *scale, const int64_t block[2], struct ft_err *err);

/* Reserves the memory and points the tensors' parts there; once, after all were added. */
int ft_fp8_place(struct ft_weights *w, struct ft_err *err);

#endif
