/* Rotary frequencies with the context extensions that model files name. */
#ifndef FT_ENGINE_ROPE_H
#define FT_ENGINE_ROPE_H

#include "model/file/hparams.h"

/* freq: [n_rot / 2] radians per position. factors: [n_rot / 2] divisors from the file
 * (rope_freqs.weight), or NULL. */
void ft_rope_freqs(const struct ft_rope_params *p, const float *factors, double *freq);

/* The factor on cos and sin that YaRN asks for; 1 for the others. */
double ft_rope_mul(const struct ft_rope_params *p);

#endif
