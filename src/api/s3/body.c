/* The states of aws-chunked, one line or run of bytes at a time:
 *
 *   HEAD --"size[;chunk-signature=hex]"--> DATA --size bytes--> DATA_END --CRLF--> HEAD
 *   HEAD --size 0--> TRAILER --"name:value", ...--> TRAILER --empty line--> END
 *
 * (docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and sigv4-streaming-trailers.html)
 */
#include "api/s3/body.h"

#include <nettle/base16.h>
#include <nettle/base64.h>
#include <nettle/md5.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RAW_BYTES    (128u << 10)
#define LINE_MAX_    1024 /* bytes of a chunk's head, of a trailer */
#define TRAILERS_MAX 16

enum state { PLAIN, HEAD, DATA, DATA_END, TRAILER, END };

struct ft_s3_body {
    enum state state;
    int64_t size, got, max; /* decoded: said (-1: not), so far, bound */
    bool chunks_signed, ended;
    int64_t left;                 /* of the chunk */
    char chunk_signature[65];     /* as the chunk's head has it */
    bool hash_whole, hash_is_sum; /* the SHA-256 of all of it is wanted; the same as the sum */
    struct sha256_ctx sha256;     /* of all, of the chunk, or of the trailers */
    bool has_md5;
    uint8_t md5_want[MD5_DIGEST_SIZE];
    struct md5_ctx md5;
    struct ft_s3_summer summer;
    bool has_want; /* of the sum; else it is computed for us */
    char want[FT_S3_SUM_TEXT_MAX];
    bool sum_in_trailer;
    uint8_t sum[FT_S3_SUM_BYTES_MAX];
    int n_trailers;
    char trailer_signature[65];
    size_t at, n, cap; /* of raw */
    char raw[];
};

int64_t ft_s3_body_size(const struct ft_s3_call *c)
{
    return c->body->size;
}

enum ft_s3_sum ft_s3_body_sum(const struct ft_s3_call *c)
{
    return c->body->summer.sum;
}

const uint8_t *ft_s3_body_sum_bytes(const struct ft_s3_call *c)
{
    FT_ASSERT(c->body->ended);
    return c->body->sum;
}

void ft_s3_body_close(struct ft_s3_call *c)
{
    free(c->body);
    c->body = NULL;
}

/* ---- what the headers say ---- */

int ft_s3_sum_header(struct ft_s3_call *c, enum ft_s3_sum *ret, const char **ret_text)
{
    *ret = FT_S3_SUM_NONE;
    *ret_text = NULL;
    for (int i = 0; i < c->x->n_fields; i++) {
        const char *name = c->x->fields[i].name;
        enum ft_s3_sum sum = ft_s3_sum_by_header(name);
        if (sum == FT_S3_SUM_NONE)
            continue;
        if (*ret != FT_S3_SUM_NONE)
            return ft_s3_fail(c, FT_S3_InvalidRequest,
                              "Expecting a single x-amz-checksum- header. Multiple checksum Types "
                              "are not allowed.");
        *ret = sum;
        *ret_text = c->x->fields[i].value;
    }
    return 0;
}

/* The checksum that the trailers will bring: "x-amz-checksum-crc32". */
static int sum_trailer(struct ft_s3_call *c, enum ft_s3_sum *ret)
{
    const char *trailer = ft_s3_in(c, "x-amz-trailer");
    if (trailer == NULL)
        return 0;
    enum ft_s3_sum sum = ft_s3_sum_by_header(trailer);
    if (sum == FT_S3_SUM_NONE)
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "The value specified in the x-amz-trailer header is not supported");
    if (*ret != FT_S3_SUM_NONE)
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "Expecting a single x-amz-checksum- header. Multiple checksum Types are "
                          "not allowed.");
    if (c->auth.payload != FT_SIGV4_P_CHUNKS_TRAILER &&
        c->auth.payload != FT_SIGV4_P_UNSIGNED_TRAILER)
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "x-amz-trailer is for bodies that are sent with trailers");
    *ret = sum;
    c->body->sum_in_trailer = true;
    return 0;
}

static int read_sums(struct ft_s3_call *c, enum ft_s3_sum wanted)
{
    struct ft_s3_body *b = c->body;
    enum ft_s3_sum sum;
    if (c->sum_elsewhere) {
        ft_s3_summer_init(&b->summer, FT_S3_SUM_NONE);
        return 0;
    }
    const char *text, *named = ft_s3_in(c, "x-amz-sdk-checksum-algorithm");
    if (ft_s3_sum_header(c, &sum, &text) != 0 || sum_trailer(c, &sum) != 0)
        return -1;
    if (named != NULL) {
        if (sum == FT_S3_SUM_NONE && ft_s3_in(c, "content-md5") == NULL)
            return ft_s3_fail(c, FT_S3_InvalidRequest,
                              "x-amz-sdk-checksum-algorithm specified, but no corresponding "
                              "x-amz-checksum-* or x-amz-trailer headers were found.");
        if (sum != FT_S3_SUM_NONE && ft_s3_sum_by_name(named) != sum)
            return ft_s3_fail(c, FT_S3_InvalidRequest,
                              "Value for x-amz-sdk-checksum-algorithm header is invalid.");
    }
    if (text != NULL) {
        uint8_t bytes[FT_S3_SUM_BYTES_MAX];
        if (!ft_s3_sum_read(sum, text, bytes))
            return ft_s3_fail(c, FT_S3_BadDigest, "Value for %s header is invalid.",
                              ft_s3_sums[sum].header);
        ft_s3_sum_write(sum, bytes, b->want);
        b->has_want = true;
    }
    ft_s3_summer_init(&b->summer, sum != FT_S3_SUM_NONE ? sum : wanted);
    return 0;
}

static int read_md5(struct ft_s3_call *c)
{
    struct ft_s3_body *b = c->body;
    const char *text = ft_s3_in(c, "content-md5");
    if (text == NULL)
        return 0;
    uint8_t bytes[BASE64_DECODE_LENGTH(32)];
    size_t n = strlen(text), len = sizeof bytes;
    struct base64_decode_ctx ctx;
    base64_decode_init(&ctx);
    if (n > 32 || !base64_decode_update(&ctx, &len, bytes, n, text) || !base64_decode_final(&ctx) ||
        len != MD5_DIGEST_SIZE)
        return ft_s3_fail(c, FT_S3_InvalidDigest, NULL);
    memcpy(b->md5_want, bytes, MD5_DIGEST_SIZE);
    b->has_md5 = true;
    md5_init(&b->md5);
    return 0;
}

static int read_length(struct ft_s3_call *c)
{
    struct ft_s3_body *b = c->body;
    b->size = c->x->content_length;
    if (b->state == PLAIN)
        return 0;
    const char *s = ft_s3_in(c, "x-amz-decoded-content-length");
    if (s == NULL || *s == '\0')
        return ft_s3_fail(c, FT_S3_MissingContentLength, NULL);
    return ft_s3_size_read(s, &b->size)
               ? 0
               : ft_s3_fail(c, FT_S3_InvalidArgument, "x-amz-decoded-content-length: %.32s", s);
}

int ft_s3_length_said(struct ft_s3_call *c)
{
    return c->x->content_length != 0 || ft_http_header(c->x, "content-length") != NULL
               ? 0
               : ft_s3_fail(c, FT_S3_MissingContentLength, NULL);
}

int ft_s3_body_open(struct ft_s3_call *c, int64_t max, enum ft_s3_sum wanted)
{
    FT_ASSERT(c->body == NULL);
    int64_t length = c->x->content_length;
    size_t cap = length >= 0 && length < RAW_BYTES ? (size_t)length + 1 : RAW_BYTES;
    cap = FT_MAX(cap, LINE_MAX_ + 1);
    struct ft_s3_body *b = malloc(sizeof *b + cap);
    if (b == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    *b = (struct ft_s3_body){0};
    c->body = b;
    b->cap = cap;
    b->max = max;
    enum ft_sigv4_payload p = c->auth.payload;
    b->state = p == FT_SIGV4_P_UNSIGNED || p == FT_SIGV4_P_HASH ? PLAIN : HEAD;
    b->chunks_signed = p == FT_SIGV4_P_CHUNKS || p == FT_SIGV4_P_CHUNKS_TRAILER;
    if (read_length(c) != 0 || read_sums(c, wanted) != 0 || read_md5(c) != 0)
        return -1;
    if (b->size > max) {
        ft_s3_fail_extra(c, "ProposedSize", ft_s3_printf(c, "%lld", (long long)b->size));
        ft_s3_fail_extra(c, "MaxSizeAllowed", ft_s3_printf(c, "%lld", (long long)max));
        return ft_s3_fail(c, FT_S3_EntityTooLarge, NULL);
    }
    b->hash_whole = p == FT_SIGV4_P_HASH;
    b->hash_is_sum = b->hash_whole && b->summer.sum == FT_S3_SUM_SHA256;
    sha256_init(&b->sha256);
    return 0;
}

/* ---- bytes ---- */

/* More of what the client sends behind what is in raw already; *ret_n 0: nothing comes any more. */
static int fill(struct ft_s3_call *c, size_t *ret_n)
{
    struct ft_s3_body *b = c->body;
    if (b->at > 0) {
        memmove(b->raw, b->raw + b->at, b->n - b->at);
        b->n -= b->at;
        b->at = 0;
    }
    struct ft_err err = {0};
    int64_t n = c->read(c, b->raw + b->n, b->cap - b->n, &err);
    if (n < 0)
        return err.code == FT_ECANCELED ? ft_s3_fail(c, FT_S3_RequestTimeout, NULL)
                                        : ft_s3_fail_err(c, &err);
    b->n += (size_t)n;
    c->bytes_in += n;
    *ret_n = (size_t)n;
    return 0;
}

/* Counts and hashes what goes out. */
static int pass(struct ft_s3_call *c, const char *data, size_t n)
{
    struct ft_s3_body *b = c->body;
    b->got += (int64_t)n;
    if (b->size >= 0 && b->got > b->size)
        return ft_s3_fail(c, FT_S3_IncompleteBody, "The body is longer than was said");
    if (b->got > b->max)
        return ft_s3_fail(c, FT_S3_EntityTooLarge, NULL);
    if ((b->hash_whole && !b->hash_is_sum) || b->chunks_signed)
        sha256_update(&b->sha256, n, (const uint8_t *)data);
    if (b->has_md5)
        md5_update(&b->md5, n, (const uint8_t *)data);
    ft_s3_summer_add(&b->summer, data, n);
    return 0;
}

/* ---- lines of aws-chunked ---- */

static int malformed(struct ft_s3_call *c)
{
    return ft_s3_fail(c, FT_S3_InvalidRequest, "The body is not well-formed aws-chunked");
}

/* A line up to LF, without CR LF, NUL-terminated in raw. */
static int line(struct ft_s3_call *c, char **ret)
{
    struct ft_s3_body *b = c->body;
    for (;;) {
        char *lf = memchr(b->raw + b->at, '\n', b->n - b->at);
        if (lf != NULL) {
            char *start = b->raw + b->at;
            b->at = (size_t)(lf + 1 - b->raw);
            if (lf > start && lf[-1] == '\r')
                lf--;
            *lf = '\0';
            *ret = start;
            return strlen(start) == (size_t)(lf - start) ? 0 : malformed(c);
        }
        size_t n;
        if (b->n - b->at > LINE_MAX_)
            return malformed(c);
        if (fill(c, &n) != 0)
            return -1;
        if (n == 0)
            return ft_s3_fail(c, FT_S3_IncompleteBody, NULL);
    }
}

static void chunk_hash(struct ft_s3_body *b, char hex[65])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(&b->sha256, sizeof digest, digest); /* begins anew */
    base16_encode_update(hex, sizeof digest, digest);
    hex[64] = '\0';
}

static int check_chunk(struct ft_s3_call *c)
{
    struct ft_s3_body *b = c->body;
    char hash[65], want[65];
    if (!b->chunks_signed)
        return 0;
    chunk_hash(b, hash);
    ft_sigv4_chunk(&c->chain, hash, want);
    return ft_sigv4_equal(want, b->chunk_signature)
               ? 0
               : ft_s3_fail(c, FT_S3_SignatureDoesNotMatch, NULL);
}

static int read_head(struct ft_s3_call *c)
{
    struct ft_s3_body *b = c->body;
    char *s, *end;
    if (line(c, &s) != 0)
        return -1;
    size_t digits = strspn(s, "0123456789abcdefABCDEF");
    if (digits == 0 || digits > 12)
        return malformed(c);
    b->left = strtoll(s, &end, 16);
    if (*end != '\0' && *end != ';')
        return malformed(c);
    if (b->chunks_signed) {
        static const char name[] = ";chunk-signature=";
        if (strncmp(end, name, sizeof name - 1) != 0 || strlen(end) != sizeof name - 1 + 64)
            return ft_s3_fail(c, FT_S3_SignatureDoesNotMatch, NULL);
        memcpy(b->chunk_signature, end + sizeof name - 1, 65);
    }
    b->state = b->left > 0 ? DATA : TRAILER;
    return b->left > 0 ? 0 : check_chunk(c);
}

static int read_trailer(struct ft_s3_call *c)
{
    struct ft_s3_body *b = c->body;
    char *s;
    if (line(c, &s) != 0)
        return -1;
    if (*s == '\0') {
        b->state = END;
        return 0;
    }
    char *colon = strchr(s, ':');
    if (++b->n_trailers > TRAILERS_MAX || colon == NULL || c->auth.payload == FT_SIGV4_P_CHUNKS)
        return malformed(c);
    *colon = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t");
    if (strcasecmp(s, "x-amz-trailer-signature") == 0) {
        if (strlen(value) != 64)
            return ft_s3_fail(c, FT_S3_SignatureDoesNotMatch, NULL);
        memcpy(b->trailer_signature, value, 65);
        return 0;
    }
    if (b->trailer_signature[0] != '\0')
        return malformed(c); /* behind the signature */
    if (b->chunks_signed) {
        sha256_update(&b->sha256, strlen(s), (const uint8_t *)s);
        sha256_update(&b->sha256, 1, (const uint8_t *)":");
        sha256_update(&b->sha256, strlen(value), (const uint8_t *)value);
        sha256_update(&b->sha256, 1, (const uint8_t *)"\n");
    }
    enum ft_s3_sum sum = ft_s3_sum_by_header(s);
    if (sum == FT_S3_SUM_NONE)
        return 0;
    uint8_t bytes[FT_S3_SUM_BYTES_MAX];
    if (!b->sum_in_trailer || sum != b->summer.sum || b->has_want ||
        !ft_s3_sum_read(sum, value, bytes))
        return ft_s3_fail(c, FT_S3_InvalidRequest, "Value for %s trailing header is invalid.", s);
    ft_s3_sum_write(sum, bytes, b->want);
    b->has_want = true;
    return 0;
}

static int check_trailers(struct ft_s3_call *c)
{
    struct ft_s3_body *b = c->body;
    if (c->auth.payload != FT_SIGV4_P_CHUNKS_TRAILER)
        return 0;
    char hash[65], want[65];
    chunk_hash(b, hash);
    ft_sigv4_trailer(&c->chain, hash, want);
    return ft_sigv4_equal(want, b->trailer_signature)
               ? 0
               : ft_s3_fail(c, FT_S3_SignatureDoesNotMatch, NULL);
}

/* ---- the end ---- */

static int check_end(struct ft_s3_call *c)
{
    struct ft_s3_body *b = c->body;
    if (b->size >= 0 && b->got != b->size)
        return ft_s3_fail(c, FT_S3_IncompleteBody, NULL);
    if (check_trailers(c) != 0)
        return -1;
    ft_s3_summer_end(&b->summer, b->sum);
    if (b->hash_whole) {
        char hex[65];
        if (b->hash_is_sum) {
            base16_encode_update(hex, SHA256_DIGEST_SIZE, b->sum);
            hex[64] = '\0';
        } else {
            chunk_hash(b, hex);
        }
        if (strcasecmp(hex, c->auth.payload_hash) != 0) {
            ft_s3_fail_extra(c, "ClientComputedContentSHA256", c->auth.payload_hash);
            return ft_s3_fail(c, FT_S3_XAmzContentSHA256Mismatch, NULL);
        }
    }
    if (b->has_md5) {
        uint8_t digest[MD5_DIGEST_SIZE];
        md5_digest(&b->md5, sizeof digest, digest);
        if (memcmp(digest, b->md5_want, sizeof digest) != 0)
            return ft_s3_fail(c, FT_S3_BadDigest, NULL);
    }
    if (b->sum_in_trailer && !b->has_want)
        return ft_s3_fail(c, FT_S3_InvalidRequest, "The trailer %s did not come",
                          ft_s3_sums[b->summer.sum].header);
    if (b->has_want) {
        char have[FT_S3_SUM_TEXT_MAX];
        ft_s3_sum_write(b->summer.sum, b->sum, have);
        if (strcmp(have, b->want) != 0)
            return ft_s3_fail(c, FT_S3_BadDigest,
                              "The %s you specified did not match the calculated checksum.",
                              ft_s3_sums[b->summer.sum].name);
    }
    b->ended = true;
    return 0;
}

/* What of the chunk is there. */
static int chunk_data(struct ft_s3_call *c, const void **ret, size_t *ret_n)
{
    struct ft_s3_body *b = c->body;
    size_t n;
    if (b->at == b->n) {
        if (fill(c, &n) != 0)
            return -1;
        if (n == 0)
            return ft_s3_fail(c, FT_S3_IncompleteBody, NULL);
    }
    n = b->n - b->at;
    if ((int64_t)n > b->left)
        n = (size_t)b->left;
    *ret = b->raw + b->at;
    *ret_n = n;
    b->at += n;
    b->left -= (int64_t)n;
    if (pass(c, *ret, n) != 0)
        return -1;
    if (b->left == 0) {
        b->state = DATA_END;
        return check_chunk(c);
    }
    return 0;
}

int ft_s3_body_next(struct ft_s3_call *c, const void **ret, size_t *ret_n)
{
    struct ft_s3_body *b = c->body;
    char *s;
    *ret_n = 0;
    for (;;) {
        int rc = 0;
        switch (b->state) {
        case PLAIN:
            b->n = b->at = 0;
            if (fill(c, ret_n) != 0)
                return -1;
            *ret = b->raw;
            if (*ret_n > 0)
                return pass(c, b->raw, *ret_n);
            b->state = END;
            break;
        case HEAD:
            rc = read_head(c);
            break;
        case DATA:
            return chunk_data(c, ret, ret_n);
        case DATA_END:
            rc = line(c, &s) != 0 ? -1 : *s != '\0' ? malformed(c) : 0;
            b->state = HEAD;
            break;
        case TRAILER:
            rc = read_trailer(c);
            break;
        case END:
            return b->ended ? 0 : check_end(c);
        }
        if (rc != 0)
            return -1;
    }
}

/* ---- whole ---- */

int ft_s3_body_whole(struct ft_s3_call *c, size_t max, const char **ret, size_t *ret_n)
{
    if (c->x->content_length > 0 && c->auth.payload == FT_SIGV4_P_HASH &&
        c->x->content_length > (int64_t)max)
        return ft_s3_fail(c, FT_S3_MaxMessageLengthExceeded, NULL);
    if (ft_s3_body_open(c, (int64_t)max, FT_S3_SUM_NONE) != 0)
        return -1;
    size_t len = 0, cap = c->body->size >= 0 ? (size_t)c->body->size + 1 : max + 1;
    char *data = ft_arena_alloc(c->arena, cap);
    if (data == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    for (;;) {
        const void *piece;
        size_t n;
        if (ft_s3_body_next(c, &piece, &n) != 0)
            return -1;
        if (n == 0)
            break;
        memcpy(data + len, piece, n); /* body_next holds it to size and max */
        len += n;
    }
    data[len] = '\0';
    *ret = data;
    *ret_n = len;
    return len > 0 ? ft_s3_may_again(c) : 0;
}

int ft_s3_body_xml(struct ft_s3_call *c, const char *root, const struct ft_xml_node **ret)
{
    const char *data;
    size_t n;
    struct ft_xml_node *tree;
    struct ft_err err;
    if (ft_s3_body_whole(c, FT_S3_XML_MAX, &data, &n) != 0)
        return -1;
    if (n == 0)
        return ft_s3_fail(c, FT_S3_MissingRequestBodyError, NULL);
    if (ft_xml_read(data, n, c->arena, &tree, &err) != 0)
        return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
    if (root != NULL && strcmp(tree->name, root) != 0)
        return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
    *ret = tree;
    return 0;
}
