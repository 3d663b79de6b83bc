/* The architectures themselves, for the table alone. */
#ifndef FT_ENGINE_ARCHS_H
#define FT_ENGINE_ARCHS_H

#include "engine/arch/arch.h"

extern const struct ft_arch ft_arch_llama;
extern const struct ft_arch ft_arch_qwen2;
extern const struct ft_arch ft_arch_qwen3;
extern const struct ft_arch ft_arch_qwen3moe;
extern const struct ft_arch ft_arch_deepseek2;

#endif
