/* Row kernels of the training device: avx512. */
#define VEC_TABLE ft_tape_vec_avx512
#include "train/tape/vec_lanes.inc"
