/* CRC-32C (Castagnoli, RFC 3720): tells stored bytes from damaged ones; no defence against anyone.
 */
#ifndef FT_BASE_CRC32C_H
#define FT_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of n bytes, going on from `crc` (0 at the start). Any thread. */
uint32_t ft_crc32c(uint32_t crc, const void *data, size_t n);

#endif
