/* The bytes of a row:
 *
 *   u8 1, the format; u8 flags (below); u8 place; then numbers, 7 bits a byte, lowest first: id of
 *   the place, size, modified_ns, until_s of the hold, parts, fields, tags; 16 bytes of MD5 if the
 *   flag says so; name and value of each field and tag, the acl, each ended by NUL; u32 CRC-32C,
 *   little endian, of owner, order (u64, little endian), key and all bytes before. */
#include "blob/dir/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"

#define FORMAT     1
#define IS_MARKER  0x01
#define IS_NULL    0x02
#define IS_LEGAL   0x04
#define HAS_MD5    0x08
#define MODE_SHIFT 4 /* two bits: enum ft_blob_lock */
#define FLAGS_MAX  0x3f
#define MD5_BYTES  16

static uint32_t sum(const struct ft_row_at *at, const void *bytes, size_t n)
{
    uint8_t where[16];
    for (int i = 0; i < 8; i++) {
        where[i] = (uint8_t)((uint64_t)at->owner >> 8 * i);
        where[8 + i] = (uint8_t)((uint64_t)at->order >> 8 * i);
    }
    uint32_t crc = ft_crc32c(0, where, sizeof where);
    crc = ft_crc32c(crc, at->key, strlen(at->key));
    return ft_crc32c(crc, bytes, n);
}

static void put_number(struct ft_buf *b, int64_t value)
{
    uint64_t v = (uint64_t)value;
    for (; v >= 0x80; v >>= 7)
        ft_buf_add_byte(b, (unsigned char)(v | 0x80));
    ft_buf_add_byte(b, (unsigned char)v);
}

static void put_text(struct ft_buf *b, const char *s)
{
    ft_buf_add(b, s == NULL ? "" : s, s == NULL ? 1 : strlen(s) + 1);
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0;
}

int ft_row_encode(const struct ft_row *row, const struct ft_row_at *at, struct ft_buf *ret,
                  struct ft_err *err)
{
    const struct ft_blob_info *info = &row->info;
    size_t begin = ret->len;
    ft_buf_add_byte(ret, FORMAT);
    ft_buf_add_byte(
        ret,
        (unsigned char)((info->is_marker ? IS_MARKER : 0) | (row->is_null ? IS_NULL : 0) |
                        (info->hold.legal ? IS_LEGAL : 0) | (info->etag[0] != '\0' ? HAS_MD5 : 0) |
                        (int)info->hold.mode << MODE_SHIFT));
    ft_buf_add_byte(ret, (unsigned char)row->place);
    put_number(ret, row->id);
    put_number(ret, info->size);
    put_number(ret, info->modified_ns);
    put_number(ret, info->hold.until_s);
    put_number(ret, info->n_parts);
    put_number(ret, info->n_fields);
    put_number(ret, info->n_tags);
    if (info->etag[0] != '\0')
        for (int i = 0; i < MD5_BYTES; i++)
            ft_buf_add_byte(
                ret, (unsigned char)(digit(info->etag[2 * i]) << 4 | digit(info->etag[2 * i + 1])));
    for (int i = 0; i < info->n_fields; i++) {
        put_text(ret, info->fields[i].name);
        put_text(ret, info->fields[i].value);
    }
    for (int i = 0; i < info->n_tags; i++) {
        put_text(ret, info->tags[i].name);
        put_text(ret, info->tags[i].value);
    }
    put_text(ret, info->acl);
    if (ret->failed == 0) {
        uint32_t crc = sum(at, ret->data + begin, ret->len - begin);
        for (int i = 0; i < 4; i++)
            ft_buf_add_byte(ret, (unsigned char)(crc >> 8 * i));
    }
    if (ret->failed != 0)
        return ft_err_set(err, ret->failed, "no memory for a row of the index");
    return 0;
}

struct cursor {
    const unsigned char *p;
    size_t n;
    bool bad;
};

static int64_t take_number(struct cursor *c)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (c->n == 0)
            break;
        unsigned char byte = *c->p++;
        c->n--;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return (int64_t)v;
    }
    c->bad = true;
    return 0;
}

static const char *take_text(struct cursor *c)
{
    const char *s = (const char *)c->p;
    size_t n = c->n == 0 ? 0 : strnlen(s, c->n);
    if (n >= c->n) {
        c->bad = true;
        return "";
    }
    c->p += n + 1;
    c->n -= n + 1;
    return s;
}

static void take_fields(struct cursor *c, struct ft_blob_field *to, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        to[i].name = take_text(c);
        to[i].value = take_text(c);
    }
}

static void take_etag(struct cursor *c, struct ft_blob_info *info)
{
    static const char hex[] = "0123456789abcdef";
    if (c->n < MD5_BYTES) {
        c->bad = true;
        return;
    }
    for (int i = 0; i < MD5_BYTES; i++) {
        info->etag[2 * i] = hex[c->p[i] >> 4];
        info->etag[2 * i + 1] = hex[c->p[i] & 15];
    }
    c->p += MD5_BYTES;
    c->n -= MD5_BYTES;
    info->etag[2 * MD5_BYTES] = '\0';
    if (info->n_parts > 0)
        snprintf(info->etag + 2 * MD5_BYTES, sizeof info->etag - 2 * MD5_BYTES, "-%d",
                 info->n_parts);
}

static int wrong(const struct ft_row_at *at, struct ft_err *err)
{
    return ft_err_set(err, FT_ECORRUPT, "the index's row of %s changed on the disk",
                      at->key[0] == '\0' ? "a part" : at->key);
}

int ft_row_decode(const void *bytes, size_t n, const struct ft_row_at *at, struct ft_row *ret,
                  struct ft_err *err)
{
    const unsigned char *p = bytes;
    if (n < 8)
        return wrong(at, err);
    uint32_t crc = (uint32_t)p[n - 4] | (uint32_t)p[n - 3] << 8 | (uint32_t)p[n - 2] << 16 |
                   (uint32_t)p[n - 1] << 24;
    if (crc != sum(at, bytes, n - 4))
        return wrong(at, err);
    unsigned flags = p[1];
    struct cursor c = {p + 3, n - 4 - 3, false};
    if (p[0] != FORMAT || flags > FLAGS_MAX || p[2] > FT_PLACE_PARTS ||
        (flags >> MODE_SHIFT) > FT_BLOB_LOCK_COMPLIANCE)
        return wrong(at, err);
    struct ft_blob_info *info = &ret->info;
    *info = (struct ft_blob_info){.key = at->key, .fields = ret->field, .tags = ret->tag};
    ret->at = *at;
    ret->memory = NULL;
    ret->place = (enum ft_place)p[2];
    ret->is_null = flags & IS_NULL;
    info->is_marker = flags & IS_MARKER;
    info->hold.legal = flags & IS_LEGAL;
    info->hold.mode = (enum ft_blob_lock)(flags >> MODE_SHIFT);
    ret->id = take_number(&c);
    info->size = take_number(&c);
    info->modified_ns = take_number(&c);
    info->hold.until_s = take_number(&c);
    int64_t parts = take_number(&c), n_fields = take_number(&c), n_tags = take_number(&c);
    if (c.bad || info->size < 0 || parts < 0 || parts > FT_BLOB_PART_MAX || n_fields < 0 ||
        n_fields > FT_BLOB_FIELDS_MAX || n_tags < 0 || n_tags > FT_BLOB_FIELDS_MAX)
        return wrong(at, err);
    info->n_parts = (int)parts;
    info->n_fields = (int)n_fields;
    info->n_tags = (int)n_tags;
    if (flags & HAS_MD5)
        take_etag(&c, info);
    take_fields(&c, ret->field, n_fields);
    take_fields(&c, ret->tag, n_tags);
    info->acl = take_text(&c);
    return c.bad || c.n != 0 ? wrong(at, err) : 0;
}

bool ft_row_says_marker(const void *bytes, size_t n)
{
    return n > 1 && (((const unsigned char *)bytes)[1] & IS_MARKER) != 0;
}

void ft_row_fini(struct ft_row *row)
{
    free(row->memory);
    row->memory = NULL;
}
