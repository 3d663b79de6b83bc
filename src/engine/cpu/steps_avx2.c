/* The small steps in AVX2: steps_vec.inc over vec_avx2.inc. */
#ifdef FT_CPU_X86
#include "engine/cpu/vec_avx2.inc"

#define ISA(name)   name##_avx2
#define STEPS_TABLE ft_cpu_steps_avx2
#include "engine/cpu/steps_vec.inc"
#else
typedef int ft_steps_avx2; /* not for this machine */
#endif
