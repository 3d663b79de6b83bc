/* Attention and the storing of keys and values in AVX2: attend_vec.inc over vec_avx2.inc. */
#ifdef FT_CPU_X86
#include "engine/cpu/vec_avx2.inc"

#define ISA(name) name##_avx2
#include "engine/cpu/attend_vec.inc"

static const struct rule *rule_of(const struct ft_kv *kv, const struct ft_kv_slice *s)
{
    (void)kv;
    (void)s;
    return &exact_rule;
}

#include "engine/cpu/kv_store_vec.inc"
#else
typedef int ft_attend_avx2; /* not for this machine */
#endif
