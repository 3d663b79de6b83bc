/* A base and an adapter as one model, or a model with trained weights in the place of its own,
 * written as a GGUF file or a Hugging Face folder.
 *
 * The merge streams: rows of the base are read, scale * B A is added in f32, and they are written
 * in the format asked for. Memory is bounded by the metadata, the adapter and a few MiB per
 * thread. A matrix in a quantised format is dequantised, changed and quantised again (convert.h);
 * tensors that nothing changes are copied bit for bit where the format stays. What is written
 * appears whole or not at all. */
#ifndef FT_MODEL_MERGE_H
#define FT_MODEL_MERGE_H

#include "model/adapter/adapter.h"
#include "model/file/convert.h"

/* o: as of ft_convert(); o->edit is another change to make where `a` is NULL, and NULL else.
 * a (NULL: none) was opened beside w. */
int ft_merge_gguf(const struct ft_weights *w, const struct ft_adapter *a,
                  const struct ft_convert_opts *o, const char *path, struct ft_err *err);

/* As a folder that transformers loads: config.json, generation_config.json, tokenizer.json,
 * tokenizer_config.json, model.safetensors or its shards of at most shard_bytes (0: the usual). A
 * folder's side files are kept, a GGUF's metadata becomes them. o->type: as in hf_write.h. folder:
 * nothing yet, or empty. */
int ft_merge_folder(const struct ft_weights *w, const struct ft_adapter *a,
                    const struct ft_convert_opts *o, uint64_t shard_bytes, const char *folder,
                    struct ft_err *err);

#endif
