/* The quantised formats as the kernels see them, one row each: a table in a header, so that where
 * the format is a constant (one kernel is compiled per format) its fields are constants too. */
#ifndef FT_ENGINE_CPU_MM_FORMAT_H
#define FT_ENGINE_CPU_MM_FORMAT_H

#include "engine/cpu/mm.h"

enum { NIBBLE = 256, TWO = 128, ONE = 64, BYTE = 512 }; /* bytes of a field in a block */

static const struct ft_cpu_fmt ft_cpu_format[FT_CPU_FMT_COUNT] = {
    /* type, id, rule, min, offset, shift, q_bytes, scale_bytes, scale_blocks */
    {FT_Q4_0, FT_CPU_Q4_0, FT_CPU_FINE, false, 8, 0, NIBBLE, 2 * FT_CPU_ROWS, 1},
    {FT_Q4_1, FT_CPU_Q4_1, FT_CPU_FINE, true, 0, 0, NIBBLE, 4 * FT_CPU_ROWS, 1},
    {FT_Q5_0, FT_CPU_Q5_0, FT_CPU_FINE, false, 16, 0, NIBBLE + ONE, 2 * FT_CPU_ROWS, 1},
    {FT_Q5_1, FT_CPU_Q5_1, FT_CPU_FINE, true, 0, 1, NIBBLE + ONE, 4 * FT_CPU_ROWS, 1},
    {FT_Q8_0, FT_CPU_Q8_0, FT_CPU_FINE, false, 128, 3, BYTE, 2 * FT_CPU_ROWS, 1},
    {FT_IQ4_NL, FT_CPU_IQ4_NL, FT_CPU_FINE, false, 128, 3, NIBBLE, 2 * FT_CPU_ROWS, 1},
    {FT_MXFP4, FT_CPU_MXFP4, FT_CPU_FINE, false, 12, 0, NIBBLE, FT_CPU_ROWS, 1},
    {FT_Q2_K, FT_CPU_Q2_K, FT_CPU_SPLIT, true, 0, 0, TWO, 20 * FT_CPU_ROWS, 8},
    {FT_Q3_K, FT_CPU_Q3_K, FT_CPU_SPLIT, false, 4, 0, TWO + ONE, 14 * FT_CPU_ROWS, 8},
    {FT_Q4_K, FT_CPU_Q4_K, FT_CPU_COARSE, true, 0, 1, NIBBLE, 16 * FT_CPU_ROWS, 8},
    {FT_Q5_K, FT_CPU_Q5_K, FT_CPU_COARSE, true, 0, 2, NIBBLE + ONE, 16 * FT_CPU_ROWS, 8},
    {FT_Q6_K, FT_CPU_Q6_K, FT_CPU_SPLIT, false, 32, 1, NIBBLE + TWO, 18 * FT_CPU_ROWS, 8},
    {FT_IQ4_XS, FT_CPU_IQ4_XS, FT_CPU_COARSE, false, 128, 4, NIBBLE, 8 * FT_CPU_ROWS, 8},
};

/* Added to a format's number: its blocks, unpacked to a tile. */
enum { TILE = 32 };

#define FORMAT_FN static inline __attribute__((always_inline))

FORMAT_FN enum ft_cpu_rule rule_of(int f)
{
    return ft_cpu_format[f % TILE].rule;
}

FORMAT_FN int has_min(int f)
{
    return ft_cpu_format[f % TILE].min;
}

FORMAT_FN int fmt_shift(int f)
{
    return ft_cpu_format[f % TILE].shift;
}

FORMAT_FN int is_super(int f)
{
    return ft_cpu_format[f % TILE].scale_blocks > 1;
}

#endif
