/* A usage record as it comes to the admin side: what is taken is written back to what reads the
 * same. */
#include <string.h>

#include "ledger/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ft_record r, again;
    struct ft_err err;
    struct ft_buf b;
    memset(&r, 0, sizeof r);
    memset(&again, 0, sizeof again);
    if (ft_record_parse((const char *)data, n, &r, &err) != 0)
        return 0;
    ft_buf_init(&b, FT_RECORD_LINE_MAX);
    FT_ASSERT(ft_record_write(&r, &b) == 0);
    FT_ASSERT(memchr(b.data, '\n', b.len) == b.data + b.len - 1);
    FT_ASSERT(ft_record_parse(b.data, b.len, &again, &err) == 0);
    FT_ASSERT(strcmp(r.id, again.id) == 0 && strcmp(r.model, again.model) == 0 &&
              r.cost_nanos == again.cost_nanos && r.status == again.status);
    ft_buf_fini(&b);
    return 0;
}
