/* Writing a model as a Hugging Face folder: its tensors and its configuration. The tokenizer is
 * model/token's, the folder as a whole model/adapter's (merge.h). */
#ifndef FT_MODEL_HF_WRITE_H
#define FT_MODEL_HF_WRITE_H

#include "base/folder.h"
#include "model/file/convert.h"

#define FT_HF_SHARD_BYTES ((uint64_t)5000000000) /* of a file, as transformers has it */

/* From a GGUF these architectures are written: llama, qwen2, qwen3, qwen3moe; from a folder all.
 *
 * model.safetensors or its shards. o->type: F32, F16, BF16 for all tensors, or NULL: each keeps its
 * own, quantised ones become BF16. q and k rows of a llama GGUF go back into halves' order. */
int ft_hf_tensors_write(const struct ft_weights *w, const struct ft_convert_opts *o,
                        uint64_t shard_bytes, struct ft_folder *f, struct ft_err *err);
/* config.json and generation_config.json: a folder's with what its new tensors change, or made from
 * a GGUF's metadata. type: as above. FT_EUNSUPPORTED names what they cannot say. */
int ft_hf_config_write(const struct ft_weights *w, const char *type, struct ft_folder *f,
                       struct ft_err *err);

/* The type that a folder's tensors may be asked for by name; FT_EINVAL for any other. */
int ft_hf_type(const char *name, enum ft_type *ret, struct ft_err *err);

#endif
