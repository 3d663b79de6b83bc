/* Cyclic redundancy checks that protocols ask for, at the speed of memory where the machine can
 * multiply without carries. base/crc32c.h has the one that stored bytes are kept with. */
#ifndef FT_BASE_CRC_H
#define FT_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Of n bytes, going on from `crc` (0 at the start). Any thread. */
uint32_t ft_crc32(uint32_t crc, const void *data, size_t n);     /* of zip and Ethernet */
uint64_t ft_crc64nvme(uint64_t crc, const void *data, size_t n); /* NVM Express, "Rocksoft" */

enum ft_crc_kind { FT_CRC32, FT_CRC32C, FT_CRC64NVME };
/* Of bytes with `a` followed by n bytes with `b`. */
uint64_t ft_crc_combine(enum ft_crc_kind kind, uint64_t a, uint64_t b, uint64_t n);

#endif
