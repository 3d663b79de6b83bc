/* Row kernels of the training device: plain. */
#define VEC_TABLE ft_tape_vec_plain
#include "train/tape/vec_lanes.inc"
