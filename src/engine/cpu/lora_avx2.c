/* Adapters in AVX2: lora_vec.inc over vec_avx2.inc. */
#ifdef FT_CPU_X86
#include "engine/cpu/vec_avx2.inc"

#define ISA(name) name##_avx2
#include "engine/cpu/lora_vec.inc"
#else
typedef int ft_lora_avx2; /* not for this machine */
#endif
