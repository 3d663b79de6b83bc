/* Which instruction sets this machine has. */
#include "base/cpu_isa.h"

#include <string.h>

static const char *const names[FT_CPU_ISA_COUNT] = {"plain", "avx2", "avx512"};

const char *ft_cpu_isa_name(enum ft_cpu_isa isa)
{
    return names[isa];
}

#ifdef __x86_64__

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

int ft_cpu_isa_choose(const char *name, enum ft_cpu_isa *ret_isa, struct ft_err *err)
{
    if (name == NULL) {
        *ret_isa = ft_cpu_isa_best();
        return 0;
    }
    for (int i = 0; i < FT_CPU_ISA_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            if (!ft_cpu_isa_has((enum ft_cpu_isa)i))
                return ft_err_set(err, FT_EUNSUPPORTED, "isa: this machine has no %s", name);
            *ret_isa = (enum ft_cpu_isa)i;
            return 0;
        }
    return ft_err_set(err, FT_EINVAL, "isa: \"%s\" is none of plain, avx2, avx512", name);
}
