/* Prices and amounts as texts, and patterns of names: what is taken is what was written. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/glob.h"
#include "ledger/price.h"

#define TEXT_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char text[TEXT_MAX + 1], back[64];
    struct ft_err err;
    int64_t nanos = -1, again = -1;
    n = n > TEXT_MAX ? TEXT_MAX : n;
    if (n > 0)
        memcpy(text, data, n);
    text[n] = '\0';
    if (ft_price_parse(text, "input", &nanos, &err) == 0) {
        FT_ASSERT(nanos >= 0 && nanos <= FT_PRICE_NANOS_MAX);
        snprintf(back, sizeof back, "%" PRId64 ".%03" PRId64, nanos / 1000, nanos % 1000);
        FT_ASSERT(ft_price_parse(back, "input", &again, &err) == 0 && again == nanos);
    }
    if (ft_decimal_parse(text, 9, &nanos))
        FT_ASSERT(nanos >= 0);
    char *half = strchr(text, ' '); /* "pattern text" */
    if (half != NULL) {
        *half = '\0';
        bool match = ft_glob_match(text, half + 1);
        FT_ASSERT(strchr(text, '*') != NULL || match == (strcmp(text, half + 1) == 0));
    }
    FT_ASSERT(ft_glob_match("*", text));
    return 0;
}
