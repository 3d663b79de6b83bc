/* Numbers: a conjunction of constraints to the automaton of the texts that satisfy it.
 *
 * Exact on decimal text. Free numbers may use exponents; constrained ones are written plainly
 * (fewer texts than JSON allows, never a wrong one). "-0" is not written. An integer is written
 * without a point, unless an enum spells it otherwise. */
#ifndef FT_CONSTRAIN_NUMBER_H
#define FT_CONSTRAIN_NUMBER_H

#include "engine/constrain/dec.h"
#include "engine/constrain/dfa.h"

#define FT_NUMBER_BYTES_MAX 400 /* of one number: the machine keeps it shorter than this */

enum ft_integral { FT_ANY_NUMBER, FT_INTEGER, FT_NOT_INTEGER };

struct ft_numcon {
    enum ft_integral integral;
    const struct ft_dec *lo, *hi; /* or NULL */
    bool lo_open, hi_open;        /* exclusive */
    bool plain; /* one spelling for each value: no exponent, no trailing zeros after the point */
    const struct ft_dec **mul, **not_mul;
    size_t n_mul, n_not_mul;
    bool has_in; /* one of these values (then n_in may be 0: none) */
    const struct ft_jv **in;
    const struct ft_jv **not_in;
    size_t n_in, n_not_in;
};

/* False only if certainly no number satisfies it. */
bool ft_number_possible(const struct ft_numcon *c);
/* The value v (a number) satisfies everything but the spelling. */
bool ft_number_holds(struct ft_cx *cx, const struct ft_numcon *c, const struct ft_dec *v);
struct ft_dfa *ft_number_dfa(struct ft_cx *cx, const struct ft_numcon *c); /* may be empty */

#endif
