/* CRCs by base/crc.h, hashes by nettle. */
#include "api/s3/sums.h"

#include <nettle/base64.h>
#include <string.h>
#include <strings.h>

#include "base/crc.h"
#include "base/crc32c.h"
#include "base/err.h"

const struct ft_s3_sum_info ft_s3_sums[FT_S3_SUM_NONE] = {
    {"CRC32", "x-amz-checksum-crc32", "ChecksumCRC32", 4, true},
    {"CRC32C", "x-amz-checksum-crc32c", "ChecksumCRC32C", 4, true},
    {"CRC64NVME", "x-amz-checksum-crc64nvme", "ChecksumCRC64NVME", 8, true},
    {"SHA1", "x-amz-checksum-sha1", "ChecksumSHA1", 20, false},
    {"SHA256", "x-amz-checksum-sha256", "ChecksumSHA256", 32, false},
};

enum ft_s3_sum ft_s3_sum_by_name(const char *name)
{
    int i = 0;
    while (i < FT_S3_SUM_NONE && strcasecmp(name, ft_s3_sums[i].name) != 0)
        i++;
    return (enum ft_s3_sum)i;
}

enum ft_s3_sum ft_s3_sum_by_header(const char *header)
{
    int i = 0;
    while (i < FT_S3_SUM_NONE && strcasecmp(header, ft_s3_sums[i].header) != 0)
        i++;
    return (enum ft_s3_sum)i;
}

void ft_s3_summer_init(struct ft_s3_summer *s, enum ft_s3_sum sum)
{
    s->sum = sum;
    s->crc = 0;
    if (sum == FT_S3_SUM_SHA1)
        sha1_init(&s->sha1);
    if (sum == FT_S3_SUM_SHA256)
        sha256_init(&s->sha256);
}

void ft_s3_summer_add(struct ft_s3_summer *s, const void *data, size_t n)
{
    switch (s->sum) {
    case FT_S3_SUM_CRC32:
        s->crc = ft_crc32((uint32_t)s->crc, data, n);
        break;
    case FT_S3_SUM_CRC32C:
        s->crc = ft_crc32c((uint32_t)s->crc, data, n);
        break;
    case FT_S3_SUM_CRC64NVME:
        s->crc = ft_crc64nvme(s->crc, data, n);
        break;
    case FT_S3_SUM_SHA1:
        sha1_update(&s->sha1, n, data);
        break;
    case FT_S3_SUM_SHA256:
        sha256_update(&s->sha256, n, data);
        break;
    case FT_S3_SUM_NONE:
        break;
    }
}

static void put_big(uint8_t *ret, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, v >>= 8)
        ret[i] = (uint8_t)v;
}

static uint64_t get_big(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

void ft_s3_summer_end(struct ft_s3_summer *s, uint8_t ret[FT_S3_SUM_BYTES_MAX])
{
    if (s->sum == FT_S3_SUM_SHA1)
        sha1_digest(&s->sha1, SHA1_DIGEST_SIZE, ret);
    else if (s->sum == FT_S3_SUM_SHA256)
        sha256_digest(&s->sha256, SHA256_DIGEST_SIZE, ret);
    else if (s->sum != FT_S3_SUM_NONE)
        put_big(ret, s->crc, ft_s3_sums[s->sum].bytes);
}

void ft_s3_sum_write(enum ft_s3_sum sum, const uint8_t *bytes, char ret[FT_S3_SUM_TEXT_MAX])
{
    size_t n = (size_t)ft_s3_sums[sum].bytes;
    base64_encode_raw(ret, n, bytes);
    ret[BASE64_ENCODE_RAW_LENGTH(n)] = '\0';
}

bool ft_s3_sum_read(enum ft_s3_sum sum, const char *text, uint8_t ret[FT_S3_SUM_BYTES_MAX])
{
    uint8_t bytes[BASE64_DECODE_LENGTH(FT_S3_SUM_TEXT_MAX)];
    size_t n = strlen(text), len = sizeof bytes;
    struct base64_decode_ctx ctx;
    base64_decode_init(&ctx);
    if (n >= FT_S3_SUM_TEXT_MAX || !base64_decode_update(&ctx, &len, bytes, n, text) ||
        !base64_decode_final(&ctx) || len != (size_t)ft_s3_sums[sum].bytes)
        return false;
    memcpy(ret, bytes, len);
    return true;
}

void ft_s3_sum_combine(enum ft_s3_sum sum, uint8_t *a, const uint8_t *b, int64_t n)
{
    static const enum ft_crc_kind kinds[] = {FT_CRC32, FT_CRC32C, FT_CRC64NVME};
    FT_ASSERT(ft_s3_sums[sum].crc);
    int bytes = ft_s3_sums[sum].bytes;
    put_big(a, ft_crc_combine(kinds[sum], get_big(a, bytes), get_big(b, bytes), (uint64_t)n),
            bytes);
}
