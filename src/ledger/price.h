/* Prices: whole nanos (1e-9 of the currency) a token, by model and direction. */
#ifndef FT_LEDGER_PRICE_H
#define FT_LEDGER_PRICE_H

#include <stdint.h>

#include "base/err.h"

#define FT_PRICE_NANOS_MAX 1000000000 /* of one token: a whole unit of the currency */

struct ft_price {
    int64_t input, cached_input, output; /* nanos a token */
};

/* "0.15" for a million tokens is 150 nanos a token: digits with at most 3 decimals, no sign, no
 * exponent. FT_EINVAL: names the field `name`. */
int ft_price_parse(const char *text, const char *name, int64_t *ret_nanos, struct ft_err *err);

/* Cached tokens are of the prompt's. Saturates. */
int64_t ft_price_cost(const struct ft_price *p, int64_t prompt_tokens, int64_t cached_tokens,
                      int64_t completion_tokens);

#endif
