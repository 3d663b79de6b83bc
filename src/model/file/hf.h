/* What `convert` needs of a Hugging Face folder beyond its weights: the tokenizer. */
#ifndef FT_MODEL_HF_H
#define FT_MODEL_HF_H

#include "model/file/gguf_write.h"
#include "model/file/weights.h"

/* Puts the folder's tokenizer.json (and its neighbours) as tokenizer.ggml.* keys, padded to n_vocab
 * tokens. FT_EUNSUPPORTED naming what these keys cannot express. */
int ft_hf_vocab_put(const struct ft_weights *w, int n_vocab, struct ft_gguf_writer *g,
                    struct ft_err *err);

#endif
