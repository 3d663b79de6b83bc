/* The small steps in AVX-512: steps_vec.inc over vec_avx512.inc. */
#ifdef FT_CPU_X86
#include "engine/cpu/vec_avx512.inc"

#define ISA(name)   name##_avx512
#define STEPS_TABLE ft_cpu_steps_avx512
#include "engine/cpu/steps_vec.inc"
#else
typedef int ft_steps_avx512; /* not for this machine */
#endif
