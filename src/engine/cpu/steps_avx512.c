/* The small steps in AVX-512: steps_body.h over vec_avx512.h. */
#ifdef FT_CPU_X86
#include "engine/cpu/vec_avx512.h"

#define ISA(name)   name##_avx512
#define STEPS_TABLE ft_cpu_steps_avx512
#include "engine/cpu/steps_body.h"
#else
typedef int ft_steps_avx512; /* not for this machine */
#endif
