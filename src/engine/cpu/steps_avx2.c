/* The small steps in AVX2: steps_body.h over vec_avx2.h. */
#ifdef FT_CPU_X86
#include "engine/cpu/vec_avx2.h"

#define ISA(name)   name##_avx2
#define STEPS_TABLE ft_cpu_steps_avx2
#include "engine/cpu/steps_body.h"
#else
typedef int ft_steps_avx2; /* not for this machine */
#endif
