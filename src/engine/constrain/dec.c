/* Exact decimals: see dec.h. */
#include "engine/constrain/dec.h"

#include <string.h>

#define SCALED_MAX 1000000000000000000u
#define EXP_MAX    100000 /* larger exponents are refused before they can overflow an int */

static int read_exp(const char *s, size_t n, size_t i)
{
    bool neg = false;
    if (i < n && (s[i] == '+' || s[i] == '-'))
        neg = s[i++] == '-';
    int e = 0;
    for (; i < n; i++)
        if (e <= EXP_MAX)
            e = e * 10 + (s[i] - '0');
    return neg ? -e : e;
}

bool ft_dec_parse(const char *s, size_t n, struct ft_dec *ret)
{
    struct ft_dec d;
    memset(&d, 0, sizeof d);
    size_t i = 0, n_dig = 0, lead = 0;
    long point = 0; /* digits before the point, counted from the first nonzero one */
    bool seen_point = false, seen_nonzero = false;
    if (i < n && s[i] == '-') {
        d.neg = true;
        i++;
    }
    uint8_t dig[FT_DEC_INT_MAX + FT_DEC_FRAC_MAX];
    size_t zeros = 0; /* pending, written only before a nonzero digit */
    for (; i < n && s[i] != 'e' && s[i] != 'E'; i++) {
        if (s[i] == '.') {
            seen_point = true;
            continue;
        }
        if (s[i] == '0' && !seen_nonzero) {
            if (seen_point)
                lead++;
            continue;
        }
        seen_nonzero = true;
        if (!seen_point)
            point++;
        if (s[i] == '0') {
            zeros++;
            continue;
        }
        if (n_dig + zeros + 1 > sizeof dig)
            return false;
        for (; zeros > 0; zeros--)
            dig[n_dig++] = 0;
        dig[n_dig++] = (uint8_t)(s[i] - '0');
    }
    if (n_dig == 0) {
        d.neg = false;
        *ret = d;
        return true;
    }
    int e = i < n ? read_exp(s, n, i + 1) : 0;
    if (lead > (size_t)EXP_MAX)
        return false;
    point += e - (long)lead;
    long frac = (long)n_dig - point;
    if (point > FT_DEC_INT_MAX || frac > FT_DEC_FRAC_MAX)
        return false;
    /* point <= 0: zeros between the point and the digits */
    d.ni = (uint16_t)(point > 0 ? point : 0);
    d.nf = (uint16_t)(frac > 0 ? frac : 0);
    size_t shift = point < 0 ? (size_t)-point : 0;
    memcpy(d.dig + shift, dig, n_dig);
    *ret = d;
    return true;
}

static int cmp_mag(const struct ft_dec *a, const struct ft_dec *b)
{
    if (a->ni != b->ni)
        return a->ni < b->ni ? -1 : 1;
    size_t na = (size_t)a->ni + a->nf, nb = (size_t)b->ni + b->nf;
    int c = memcmp(a->dig, b->dig, na < nb ? na : nb);
    if (c != 0)
        return c < 0 ? -1 : 1;
    return na == nb ? 0 : na < nb ? -1 : 1;
}

int ft_dec_cmp(const struct ft_dec *a, const struct ft_dec *b)
{
    if (a->neg != b->neg)
        return a->neg ? -1 : 1;
    int c = cmp_mag(a, b);
    return a->neg ? -c : c;
}

bool ft_dec_scaled(const struct ft_dec *a, int scale, uint64_t *ret)
{
    if (a->nf > scale)
        return false;
    uint64_t v = 0;
    for (int i = 0; i < a->ni + scale; i++) {
        if (v > SCALED_MAX / 10)
            return false;
        v = v * 10 + (i < a->ni + a->nf ? a->dig[i] : 0);
    }
    *ret = v;
    return true;
}

uint64_t ft_dec_mod(const struct ft_dec *a, int scale, uint64_t m)
{
    unsigned __int128 r = 0;
    for (int i = 0; i < a->ni + scale; i++)
        r = (r * 10 + (i < a->ni + a->nf ? a->dig[i] : 0)) % m;
    return (uint64_t)r;
}

bool ft_dec_multiple(const struct ft_dec *a, const struct ft_dec *m, bool *ret_known)
{
    int scale = a->nf > m->nf ? a->nf : m->nf;
    uint64_t mm;
    *ret_known = ft_dec_scaled(m, scale, &mm) && mm != 0;
    return *ret_known && ft_dec_mod(a, scale, mm) == 0;
}

size_t ft_dec_print(const struct ft_dec *a, char *out)
{
    size_t n = 0;
    if (a->neg)
        out[n++] = '-';
    if (a->ni == 0)
        out[n++] = '0';
    for (int i = 0; i < a->ni; i++)
        out[n++] = (char)('0' + a->dig[i]);
    if (a->nf != 0)
        out[n++] = '.';
    for (int i = 0; i < a->nf; i++)
        out[n++] = (char)('0' + a->dig[a->ni + i]);
    out[n] = '\0';
    return n;
}
