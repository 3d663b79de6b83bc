/* The table of architectures: one row each. */
#include "engine/arch/arch.h"

#include <string.h>

#include "engine/arch/archs.h"

static const struct ft_arch *const table[] = {
    &ft_arch_llama, &ft_arch_qwen2, &ft_arch_qwen3, &ft_arch_qwen3moe, &ft_arch_deepseek2,
};

const struct ft_arch *ft_arch_find(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(table); i++)
        if (strcmp(table[i]->name, name) == 0)
            return table[i];
    return NULL;
}

const char *ft_arch_name(int i)
{
    return i >= 0 && i < (int)FT_COUNT(table) ? table[i]->name : NULL;
}
