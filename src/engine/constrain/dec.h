/* Exact decimal numbers, as they stand in a schema. */
#ifndef FT_CONSTRAIN_DEC_H
#define FT_CONSTRAIN_DEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FT_DEC_INT_MAX  320 /* digits before the point: covers a double */
#define FT_DEC_FRAC_MAX 80  /* after it */

/* dig holds ni digits before the point and nf after it; no leading zeros before it, no trailing
 * zeros after it; zero has none and is not negative. */
struct ft_dec {
    bool neg;
    uint16_t ni, nf;
    uint8_t dig[FT_DEC_INT_MAX + FT_DEC_FRAC_MAX];
};

/* From a JSON number; false if it has too many digits. */
bool ft_dec_parse(const char *s, size_t n, struct ft_dec *ret);
int ft_dec_cmp(const struct ft_dec *a, const struct ft_dec *b);
static inline bool ft_dec_is_int(const struct ft_dec *a)
{
    return a->nf == 0;
}
static inline bool ft_dec_is_zero(const struct ft_dec *a)
{
    return a->ni == 0 && a->nf == 0;
}
/* |a| * 10^scale as an integer; false if that is none or exceeds 10^18. */
bool ft_dec_scaled(const struct ft_dec *a, int scale, uint64_t *ret);
/* |a| * 10^scale mod m, for scale >= a->nf. */
uint64_t ft_dec_mod(const struct ft_dec *a, int scale, uint64_t m);
/* a is a multiple of m; false in *ret_known if m is out of range. */
bool ft_dec_multiple(const struct ft_dec *a, const struct ft_dec *m, bool *ret_known);
/* Plain text ("-12.5"); out holds FT_DEC_TEXT_MAX bytes; returns its length. */
#define FT_DEC_TEXT_MAX (FT_DEC_INT_MAX + FT_DEC_FRAC_MAX + 4)
size_t ft_dec_print(const struct ft_dec *a, char *out);

#endif
