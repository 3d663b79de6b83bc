/* Adapters in AVX-512: lora_vec.inc over vec_avx512.inc. */
#ifdef FT_CPU_X86
#include "engine/cpu/vec_avx512.inc"

#define ISA(name) name##_avx512
#include "engine/cpu/lora_vec.inc"
#else
typedef int ft_lora_avx512; /* not for this machine */
#endif
