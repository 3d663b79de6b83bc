/* Zone files: any bytes, at times before, within and after their transitions. */
#include "monitor/zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const int64_t at[] = {-3000000000, 0, 1700000000, 4100000000};
    struct ft_err err = {0};
    int32_t offset;
    for (size_t i = 0; i < FT_COUNT(at); i++)
        ft_zone_parse(data, n, at[i], &offset, &err);
    return 0;
}
