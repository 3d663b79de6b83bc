/* Row kernels of the training device: avx2. */
#define VEC_TABLE ft_tape_vec_avx2
#include "train/tape/vec_lanes.inc"
