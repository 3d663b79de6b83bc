/* Attention and the storing of keys and values in AVX-512: attend_vec.inc over vec_avx512.inc. */
#ifdef FT_CPU_X86
#include "engine/cpu/vec_avx512.inc"

#define ISA(name) name##_avx512
#include "engine/cpu/attend_vec.inc"
/* after it, as it fills its frame */
#include "engine/cpu/attend_pairs_avx512.inc"
#include "engine/cpu/kv_store_vec.inc"
#else
typedef int ft_attend_avx512; /* not for this machine */
#endif
