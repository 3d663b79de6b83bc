/* Scalar conversions between f32 and the 16-bit and 8-bit float formats of model files.
 *
 * These are the plain definitions (round to nearest even); vector code has its own and is tested
 * against them. Sources: IEEE 754 binary16; bfloat16 as the upper half of binary32; E8M0 of the OCP
 * Microscaling Formats specification 1.0. */
#ifndef FT_BASE_HALF_H
#define FT_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float ft_f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t ft_f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* Without branches, so that loops over it become vector code. */
static inline float ft_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, a = (uint32_t)(h & 0x7fffu) << 13;
    uint32_t small = -(uint32_t)(a < 0x00800000u), special = -(uint32_t)(a >= 0x0f800000u);
    uint32_t normal = (a + (112u << 23)) | (special & 0x7f800000u); /* infinite, not a number */
    float f = ft_f32_from_bits(a + (113u << 23)) - 0x1p-14f;        /* subnormal or zero, exact */
    return ft_f32_from_bits(sign | (ft_f32_bits(f) & small) | (normal & ~small));
}

static inline uint16_t ft_f32_to_f16(float f)
{
    uint32_t u = ft_f32_bits(f), sign = u >> 16 & 0x8000u, a = u & 0x7fffffffu;
    if (a > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (a >= 0x477ff000u) /* rounds to 65536 or is infinite */
        return (uint16_t)(sign | 0x7c00u);
    if (a < 0x38800000u) { /* subnormal half: adding 0.5 rounds the last bits as wanted */
        float r = ft_f32_from_bits(a) + 0.5f;
        return (uint16_t)(sign | (ft_f32_bits(r) - 0x3f000000u));
    }
    a += 0xc8000fffu + (a >> 13 & 1u);
    return (uint16_t)(sign | a >> 13);
}

static inline float ft_bf16_to_f32(uint16_t h)
{
    return ft_f32_from_bits((uint32_t)h << 16);
}

static inline uint16_t ft_f32_to_bf16(float f)
{
    uint32_t u = ft_f32_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1u)) >> 16);
}

/* E8M0: a power of two, 2^(e - 127); 255 is NaN. */
static inline float ft_e8m0_to_f32(uint8_t e)
{
    return ft_f32_from_bits(e == 0 ? 0x00400000u : (uint32_t)e << 23);
}

#endif
