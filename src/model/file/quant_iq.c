/* Formats whose 4-bit codes index a table of values: IQ4_NL, IQ4_XS (a fixed non-linear table) and
 * MXFP4 (E2M1 values, OCP Microscaling Formats specification 1.0). */
#include "model/file/quant_impl.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/half.h"
#include "model/file/quant_block.h"

/* The values are part of the format. */
const int8_t ft_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};
/* Twice the E2M1 values 0, 0.5, 1, 1.5, 2, 3, 4, 6, so that they are integers. */
const int8_t ft_mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* Half of 2^(e - 127): goes with the doubled values. */
static float half_scale(uint8_t e)
{
    return ft_f32_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

static void nibbles_expand(const uint8_t *qs, float d, const int8_t *values, float *y)
{
    for (int j = 0; j < 16; j++) {
        y[j] = d * (float)values[qs[j] & 15];
        y[j + 16] = d * (float)values[qs[j] >> 4];
    }
}

void ft_iq4_nl_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_iq4_nl *b = x;
    for (int64_t i = 0; i < n / FT_QK_LEGACY; i++, b++, y += FT_QK_LEGACY)
        nibbles_expand(b->qs, ft_f16_to_f32(b->d), ft_iq4_values, y);
}

void ft_iq4_xs_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_iq4_xs *b = x;
    for (int64_t i = 0; i < n / FT_QK_SUPER; i++, b++) {
        float d = ft_f16_to_f32(b->d);
        for (int sub = 0; sub < 8; sub++, y += 32) {
            int low = b->scales_l[sub / 2] >> (4 * (sub % 2)) & 15;
            int scale = (low | (b->scales_h >> (2 * sub) & 3) << 4) - 32;
            nibbles_expand(b->qs + 16 * sub, d * (float)scale, ft_iq4_values, y);
        }
    }
}

void ft_mxfp4_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_mxfp4 *b = x;
    for (int64_t i = 0; i < n / FT_QK_LEGACY; i++, b++, y += FT_QK_LEGACY)
        nibbles_expand(b->qs, half_scale(b->e), ft_mxfp4_values, y);
}
