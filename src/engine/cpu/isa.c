/* Which instruction sets this machine has. The only place that asks the processor. */
#include "engine/cpu/cpu_dev.h"

static const char *const names[FT_CPU_ISA_COUNT] = {"plain", "avx2", "avx512"};

const char *ft_cpu_isa_name(enum ft_cpu_isa isa)
{
    return names[isa];
}

#ifdef FT_CPU_X86

#include <cpuid.h>

/* clang 14 does not know the name "f16c". */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

bool ft_cpu_isa_has(enum ft_cpu_isa isa)
{
    __builtin_cpu_init();
    switch (isa) {
    case FT_CPU_PLAIN:
        return true;
    case FT_CPU_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    case FT_CPU_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") &&
               __builtin_cpu_supports("avx512bf16") && ft_cpu_isa_has(FT_CPU_AVX2);
    default:
        return false;
    }
}

#else

bool ft_cpu_isa_has(enum ft_cpu_isa isa)
{
    return isa == FT_CPU_PLAIN;
}

#endif

enum ft_cpu_isa ft_cpu_isa_best(void)
{
    int isa = FT_CPU_ISA_COUNT - 1;
    while (!ft_cpu_isa_has((enum ft_cpu_isa)isa))
        isa--;
    return (enum ft_cpu_isa)isa;
}
