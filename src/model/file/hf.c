/* Hugging Face folders. */
#include "model/file/weights_impl.h"

int ft_hf_open(struct ft_weights *w, struct ft_err *err)
{
    (void)w;
    return ft_err_set(err, FT_EUNSUPPORTED, "a folder; only GGUF files are read so far");
}
