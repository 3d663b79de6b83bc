/* Attention and the storing of keys and values in AVX-512: attend_body.h over vec_avx512.h. */
#ifdef FT_CPU_X86
#include "engine/cpu/vec_avx512.h"

#define ISA(name) name##_avx512
#include "engine/cpu/attend_body.h"
#include "engine/cpu/kv_store_body.h"
#else
typedef int ft_attend_avx512; /* not for this machine */
#endif
