/* The checksums that S3 knows besides MD5: computed over a stream, written in base64, put together
 * from those of parts. */
#ifndef FT_API_S3_SUMS_H
#define FT_API_S3_SUMS_H

#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ft_s3_sum {
    FT_S3_SUM_CRC32,
    FT_S3_SUM_CRC32C,
    FT_S3_SUM_CRC64NVME,
    FT_S3_SUM_SHA1,
    FT_S3_SUM_SHA256,
    FT_S3_SUM_NONE
};
#define FT_S3_SUM_BYTES_MAX 32
#define FT_S3_SUM_TEXT_MAX  64 /* base64, "-10000" behind it, NUL */

struct ft_s3_sum_info {
    const char *name;    /* "CRC32": of x-amz-checksum-algorithm */
    const char *header;  /* "x-amz-checksum-crc32" */
    const char *element; /* "ChecksumCRC32" */
    int bytes;
    bool crc; /* of a whole can be had from those of its parts */
};
extern const struct ft_s3_sum_info ft_s3_sums[FT_S3_SUM_NONE];

enum ft_s3_sum ft_s3_sum_by_name(const char *name);     /* any case */
enum ft_s3_sum ft_s3_sum_by_header(const char *header); /* any case */

struct ft_s3_summer {
    enum ft_s3_sum sum;
    uint64_t crc;
    struct sha1_ctx sha1;
    struct sha256_ctx sha256;
};
void ft_s3_summer_init(struct ft_s3_summer *s, enum ft_s3_sum sum); /* NONE: adds nothing */
void ft_s3_summer_add(struct ft_s3_summer *s, const void *data, size_t n);
void ft_s3_summer_end(struct ft_s3_summer *s, uint8_t ret[FT_S3_SUM_BYTES_MAX]);

void ft_s3_sum_write(enum ft_s3_sum sum, const uint8_t *bytes, char ret[FT_S3_SUM_TEXT_MAX]);
/* False: it is not base64 of so many bytes. */
bool ft_s3_sum_read(enum ft_s3_sum sum, const char *text, uint8_t ret[FT_S3_SUM_BYTES_MAX]);
/* CRCs: *a, of the bytes in front, becomes that of them and n bytes with b behind. */
void ft_s3_sum_combine(enum ft_s3_sum sum, uint8_t *a, const uint8_t *b, int64_t n);

#endif
