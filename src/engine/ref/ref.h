/* The reference device: every step in plain C with f64 sums over the dequantised weights. Slow;
 * the oracle that the others are tested against. One thread. */
#ifndef FT_ENGINE_REF_H
#define FT_ENGINE_REF_H

#include "engine/dev.h"

extern const struct ft_dev_ops ft_dev_ref_ops;

#endif
