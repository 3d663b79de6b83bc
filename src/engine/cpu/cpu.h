/* The CPU device: AVX2 and AVX-512 (VNNI, BF16) kernels chosen at run time, plain C elsewhere. */
#ifndef FT_ENGINE_CPU_H
#define FT_ENGINE_CPU_H

#include "engine/dev.h"

extern const struct ft_dev_ops ft_dev_cpu_ops;

#endif
