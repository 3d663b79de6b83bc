/* Attention and the storing of keys and values in AVX2: attend_body.h over vec_avx2.h. */
#ifdef FT_CPU_X86
#include "engine/cpu/vec_avx2.h"

#define ISA(name) name##_avx2
#include "engine/cpu/attend_body.h"
#include "engine/cpu/kv_store_body.h"
#else
typedef int ft_attend_avx2; /* not for this machine */
#endif
