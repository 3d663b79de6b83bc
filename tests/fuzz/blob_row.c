/* Rows of a store's index: bytes of any kind are refused or taken; what is taken is written back to
 * the same bytes. The checksum is made to fit, so that what it guards is tried too. */
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "blob/dir/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const uint8_t where[16] = {7, 0, 0, 0, 0, 0, 0, 0, 9};
    static struct ft_row row, again;
    struct ft_row_at at = {7, 9, "key"};
    struct ft_err err;
    struct ft_buf b;
    if (n > FT_ROW_BYTES_MAX - 4)
        return 0;
    uint8_t *bytes = malloc(n + 4);
    memcpy(bytes, data, n);
    uint32_t crc = ft_crc32c(ft_crc32c(ft_crc32c(0, where, sizeof where), "key", 3), data, n);
    for (int i = 0; i < 4; i++)
        bytes[n + (size_t)i] = (uint8_t)(crc >> 8 * i);
    if (ft_row_decode(bytes, n + 4, &at, &row, &err) == 0) {
        ft_buf_init(&b, 2 * FT_ROW_BYTES_MAX);
        FT_ASSERT(ft_row_encode(&row, &at, &b, &err) == 0);
        FT_ASSERT(ft_row_decode(b.data, b.len, &at, &again, &err) == 0);
        FT_ASSERT(row.info.size == again.info.size && row.id == again.id &&
                  row.info.n_fields == again.info.n_fields &&
                  strcmp(row.info.acl, again.info.acl) == 0 &&
                  strcmp(row.info.etag, again.info.etag) == 0);
        ft_buf_fini(&b);
    }
    free(bytes);
    ft_row_decode(data, n, &at, &row, &err);
    return 0;
}
