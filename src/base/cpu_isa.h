/* Which vector instructions this machine has: the choice that code with several versions makes
 * once, when it is opened. The only place that asks the processor. */
#ifndef FT_BASE_CPU_ISA_H
#define FT_BASE_CPU_ISA_H

#include <stdbool.h>

#include "base/err.h"

/* Instruction sets, each including the ones before it. */
enum ft_cpu_isa {
    FT_CPU_PLAIN,  /* plain C, any machine: the readable definition */
    FT_CPU_AVX2,   /* AVX2, FMA, F16C */
    FT_CPU_AVX512, /* AVX-512 F, BW, DQ, VL, VBMI, VNNI, BF16 (Zen 4, Sapphire Rapids and later) */
    FT_CPU_ISA_COUNT
};

/* The best set this machine has; and whether it has `isa`. */
enum ft_cpu_isa ft_cpu_isa_best(void);
bool ft_cpu_isa_has(enum ft_cpu_isa isa);
const char *ft_cpu_isa_name(enum ft_cpu_isa isa); /* "plain", "avx2", "avx512" */

/* By name, NULL for the best. FT_EINVAL: no such name; FT_EUNSUPPORTED: not on this machine. */
int ft_cpu_isa_choose(const char *name, enum ft_cpu_isa *ret_isa, struct ft_err *err);

#endif
