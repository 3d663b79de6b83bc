/* Prices: reading them, and what a request costs. */
#include "ledger/price.h"

#include "base/decimal.h"

int ft_price_parse(const char *text, const char *name, int64_t *ret_nanos, struct ft_err *err)
{
    int64_t nanos; /* of a millionth million: thousandths a million tokens are nanos a token */
    if (!ft_decimal_parse(text, 3, &nanos) || nanos > FT_PRICE_NANOS_MAX)
        return ft_err_set(err, FT_EINVAL,
                          "%s: must be a price for a million tokens as a text, such as \"0.15\", "
                          "with at most 3 decimals, up to 1000000",
                          name);
    *ret_nanos = nanos;
    return 0;
}

int64_t ft_price_cost(const struct ft_price *p, int64_t prompt_tokens, int64_t cached_tokens,
                      int64_t completion_tokens)
{
    cached_tokens = FT_MIN(cached_tokens, prompt_tokens);
    __int128 sum = (__int128)p->input * (prompt_tokens - cached_tokens) +
                   (__int128)p->cached_input * cached_tokens +
                   (__int128)p->output * completion_tokens;
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}
