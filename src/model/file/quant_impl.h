/* What the files quant*.c share: the functions that quant.c's table names. */
#ifndef FT_MODEL_QUANT_IMPL_H
#define FT_MODEL_QUANT_IMPL_H

#include <stdint.h>

#define FT_QUANT_PROTOTYPES(name)                                                                  \
    void ft_##name##_dequantise(const void *x, float *y, int64_t n);                               \
    void ft_##name##_quantise(const float *x, void *y, int64_t n)

FT_QUANT_PROTOTYPES(q4_0);
FT_QUANT_PROTOTYPES(q4_1);
FT_QUANT_PROTOTYPES(q5_0);
FT_QUANT_PROTOTYPES(q5_1);
FT_QUANT_PROTOTYPES(q8_0);
FT_QUANT_PROTOTYPES(q2_k);
FT_QUANT_PROTOTYPES(q3_k);
FT_QUANT_PROTOTYPES(q4_k);
FT_QUANT_PROTOTYPES(q5_k);
FT_QUANT_PROTOTYPES(q6_k);
FT_QUANT_PROTOTYPES(iq4_nl);
FT_QUANT_PROTOTYPES(iq4_xs);
FT_QUANT_PROTOTYPES(mxfp4);

#endif
