/* Between init.c (the folder) and weights.c (the tensors). */
#ifndef FT_TRAIN_INIT_IMPL_H
#define FT_TRAIN_INIT_IMPL_H

#include "train/init/init.h"

#define FT_INIT_DEVIATION 0.02 /* of matrices */

/* Values of all tensors. s: within its bounds. */
int64_t ft_init_params(const struct ft_init_shape *s, int n_vocab);

/* FOLDER/model.safetensors */
int ft_init_weights_write(const struct ft_init_shape *s, int n_vocab, uint64_t seed,
                          const char *folder, struct ft_err *err);

#endif
