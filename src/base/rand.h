/* Random numbers: counter-based, so that a value depends on (seed, stream, index) alone and
 * never on who drew before. SplitMix64 finaliser (Steele, Lea, Flood, OOPSLA 2014) over a keyed
 * counter. Not for secrets. */
#ifndef FT_BASE_RAND_H
#define FT_BASE_RAND_H

#include <math.h>
#include <stdint.h>

static inline uint64_t ft_rand_mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint64_t ft_rand_u64(uint64_t seed, uint64_t stream, uint64_t index)
{
    uint64_t key =
        ft_rand_mix(seed + 0x9e3779b97f4a7c15u) ^ ft_rand_mix(stream + 0x632be59bd9b4e019u);
    return ft_rand_mix(key + (index + 1) * 0x9e3779b97f4a7c15u);
}

/* Uniform in [0, 1), 53 bits. */
static inline double ft_rand_unit(uint64_t seed, uint64_t stream, uint64_t index)
{
    return (double)(ft_rand_u64(seed, stream, index) >> 11) * 0x1p-53;
}

/* Standard normal (Box and Muller): takes the two uniform numbers at 2 index and 2 index + 1. */
static inline double ft_rand_normal(uint64_t seed, uint64_t stream, uint64_t index)
{
    double u = 1 - ft_rand_unit(seed, stream, 2 * index);
    double v = ft_rand_unit(seed, stream, 2 * index + 1);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

#endif
