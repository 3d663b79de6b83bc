/* Writing a model as one GGUF file, in another format if asked: from a Hugging Face folder, a GGUF
 * file or a split one. The result is what llama.cpp's own converter and quantiser would lay out. */
#ifndef FT_MODEL_CONVERT_H
#define FT_MODEL_CONVERT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/file/fetch.h"
#include "model/file/weights.h"

struct ft_convert_opts {
    const char *type;           /* "Q4_K_M" ... (quant_mix.h); NULL: matrices keep their formats */
    bool pure;                  /* no mixture: every matrix in the type itself where its rows fit */
    const struct ft_edit *edit; /* (optional) changes the weights on their way */
    int n_threads;
    /* (optional) told the tensors' bytes done and to do, from the calling thread */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    const atomic_int *interrupt; /* (optional) not 0: stop, leaving nothing, with FT_ECANCELED */
};

/* A changed matrix in a quantised format is dequantised, changed and quantised again (where no type
 * is asked for in Q8_0 if it had fewer bits); what is not changed is copied as it is. Memory: the
 * metadata and a few MiB per thread. `path` appears only when complete; a file of the source is
 * refused (FT_EINVAL). */
int ft_convert(const struct ft_weights *w, const struct ft_convert_opts *o, const char *path,
               struct ft_err *err);

#endif
