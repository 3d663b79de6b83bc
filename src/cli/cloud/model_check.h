/* Whether files from outside are a model that can be opened. */
#ifndef FT_CLI_CLOUD_MODEL_CHECK_H
#define FT_CLI_CLOUD_MODEL_CHECK_H

#include <stdatomic.h>

#include "base/err.h"

/* Opens it in a process of its own, which may crash on what it reads. FT_ECORRUPT says what is
 * wrong; FT_EUNSUPPORTED: well-formed, but not of an architecture that is known; FT_ECANCELED once
 * *interrupt (may be NULL) is not 0. */
int ft_model_check(const char *path, const atomic_int *interrupt, struct ft_err *err);

#endif
