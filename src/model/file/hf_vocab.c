/* tokenizer.json as tokenizer.ggml.* keys. */
#include "model/file/hf.h"

int ft_hf_vocab_put(const struct ft_weights *w, int n_vocab, struct ft_gguf_writer *g,
                    struct ft_err *err)
{
    (void)w;
    (void)n_vocab;
    (void)g;
    return ft_err_set(err, FT_EUNSUPPORTED, "a folder's tokenizer");
}
