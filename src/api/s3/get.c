/* GetObject and HeadObject: whole, a range, or one part of a multipart upload. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/s3/object.h"
#include "api/s3/ops.h"
#include "base/log.h"
#include "net/date.h"

#define AT_ONCE_BYTES (64u << 10) /* answered in one piece, after it was read whole */
#define FIRST_BYTES   (64u << 10) /* of longer ones, read before the head of the answer */

struct span {
    int64_t offset, size;
    bool part; /* of the whole: 206 */
};

/* ---- which bytes ---- */

static int unsatisfiable(struct ft_s3_call *c, const char *range, int64_t size)
{
    ft_s3_outf(c, "Content-Range", "bytes */%lld", (long long)size);
    ft_s3_fail_extra(c, "RangeRequested", range);
    ft_s3_fail_extra(c, "ActualObjectSize", ft_s3_printf(c, "%lld", (long long)size));
    return ft_s3_fail(c, FT_S3_InvalidRange, NULL);
}

/* Digits at *s; -1: none. Those of more than there is ("0-9223372036854775807") are as good as the
 * largest. */
static int64_t number(const char **s)
{
    size_t n = strspn(*s, "0123456789");
    if (n == 0)
        return -1;
    int64_t v = strtoll(*s, NULL, 10);
    *s += n;
    return v;
}

/* One range; what is no such, or several, is not looked at, as RFC 9110 allows and AWS does. */
static int range_of(struct ft_s3_call *c, const char *range, int64_t size, struct span *ret)
{
    if (strncasecmp(range, "bytes=", 6) != 0)
        return 0;
    const char *s = range + 6;
    int64_t first, last = size - 1;
    if (*s == '-') {
        s++;
        int64_t n = number(&s);
        if (n < 0 || *s != '\0')
            return 0;
        if (n == 0 || size == 0)
            return unsatisfiable(c, range, size);
        first = n < size ? size - n : 0;
    } else {
        first = number(&s);
        if (first < 0 || *s++ != '-')
            return 0;
        if (*s != '\0') {
            last = number(&s);
            if (last < first || *s != '\0')
                return 0;
        }
        if (first >= size)
            return unsatisfiable(c, range, size);
        last = FT_MIN(last, size - 1);
    }
    *ret = (struct span){first, last - first + 1, true};
    return 0;
}

/* A range is of the object that the client has a part of (RFC 9110, 13.1.5): of another it gets
 * all. Weak ETags are never the same, nor is a date that is none. */
static bool is_still(struct ft_s3_call *c, const struct ft_blob_info *info)
{
    const char *have = ft_s3_in(c, "if-range");
    size_t n = strlen(info->etag);
    int64_t t;
    if (have == NULL)
        return true;
    if (have[0] == '"')
        return strncmp(have + 1, info->etag, n) == 0 && strcmp(have + 1 + n, "\"") == 0;
    return ft_date_parse_http(have, &t) && t == info->modified_ns / 1000000000;
}

static int part_of(struct ft_s3_call *c, struct ft_blob_reader *r, const struct ft_blob_info *info,
                   int number, bool sums, struct span *ret)
{
    struct ft_blob_part part;
    struct ft_err err = {0};
    if (number > FT_MAX(info->n_parts, 1))
        return ft_s3_fail(c, FT_S3_InvalidPart, "there is no part %d", number);
    if (info->n_parts == 0) {
        ft_s3_info_out(c, info, sums);
        *ret = (struct span){0, info->size, true};
        return 0;
    }
    if (ft_blob_part_of(r, number, &part, &ret->offset, &err) != 0)
        return ft_s3_fail_err(c, &err);
    ret->size = part.size;
    ret->part = true;
    ft_s3_info_out(c, info, false);
    const char *text, *type = ft_blob_field(info, FT_S3_FIELD_SUM_TYPE);
    enum ft_s3_sum sum = ft_s3_sum_of(part.fields, part.n_fields, &text);
    if (sums && sum != FT_S3_SUM_NONE) {
        ft_s3_out(c, ft_s3_sums[sum].header, text);
        ft_s3_out(c, FT_S3_FIELD_SUM_TYPE, type);
    }
    ft_s3_outf(c, "x-amz-mp-parts-count", "%d", info->n_parts);
    return 0;
}

/* ---- response-content-type and its like ---- */

static int overrides(struct ft_s3_call *c)
{
    static const char *const names[] = {"content-type",        "cache-control",
                                        "content-disposition", "content-encoding",
                                        "content-language",    "expires"};
    for (int i = 0; i < c->n_params; i++) {
        if (strncmp(c->params[i].name, "response-", 9) != 0)
            continue;
        const char *name = c->params[i].name + 9;
        size_t k = 0;
        while (k < FT_COUNT(names) && strcmp(names[k], name) != 0)
            k++;
        if (k == FT_COUNT(names))
            continue;
        if (c->anonymous)
            return ft_s3_fail(c, FT_S3_InvalidRequest,
                              "Request specific response headers cannot be used for anonymous GET "
                              "requests.");
        int at = 0;
        while (at < c->n_out && strcmp(c->out[at].name, name) != 0)
            at++;
        if (at < c->n_out)
            c->out[at].value = c->params[i].value;
        else
            ft_s3_out(c, names[k], c->params[i].value);
    }
    return 0;
}

/* ---- the bytes ---- */

static int send_small(struct ft_s3_call *c, struct ft_blob_reader *r, int status,
                      const struct span *s)
{
    struct ft_err err = {0};
    char *data = ft_arena_alloc(c->arena, (size_t)s->size + 1);
    if (data == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    if (s->size > 0 && ft_blob_read(r, s->offset, data, (size_t)s->size, &err) != 0) {
        c->n_out = c->n_out_any;
        return ft_s3_fail_err(c, &err);
    }
    return ft_s3_answer(c, status, data, (size_t)s->size);
}

/* The rest of the span, read to where it is sent from. */
static int send_rest(struct ft_s3_call *c, struct ft_blob_reader *r, int64_t offset, int64_t left,
                     struct ft_err *err)
{
    int rc = 0;
    while (rc == 0 && left > 0) {
        size_t n;
        char *room = ft_lane_room(c->lane, &n, err);
        if (room == NULL)
            return err->code;
        rc = ft_blob_read(r, offset, room, n, err);
        if (rc == 0)
            rc = ft_lane_filled(c->lane, n, err);
        if (rc == 0) {
            offset += (int64_t)n;
            left -= (int64_t)n;
            c->bytes_out += (int64_t)n;
        }
    }
    return rc;
}

/* Reads one piece ahead of the head of the answer, so that a damaged beginning is an error, not a
 * cut connection. */
static int send_long(struct ft_s3_call *c, struct ft_blob_reader *r, int status,
                     const struct span *s)
{
    struct ft_err err = {0};
    size_t n = (size_t)FT_MIN(s->size, (int64_t)FIRST_BYTES);
    char *piece = malloc(n);
    int rc = piece == NULL ? ft_err_set(&err, FT_ENOMEM, "no memory")
                           : ft_blob_read(r, s->offset, piece, n, &err);
    if (rc == 0) {
        rc = ft_lane_begin(c->lane, status, s->size, c->out, c->n_out, &err);
        c->status = rc == 0 ? status : 0;
    }
    if (rc == 0)
        rc = ft_lane_write(c->lane, piece, n, &err);
    if (rc == 0) {
        c->bytes_out += (int64_t)n;
        rc = send_rest(c, r, s->offset + (int64_t)n, s->size - (int64_t)n, &err);
    }
    free(piece);
    if (rc == 0)
        rc = ft_lane_end(c->lane, &err);
    if (rc == 0)
        return 0;
    if (c->status == 0) {
        c->n_out = c->n_out_any;
        return ft_s3_fail_err(c, &err);
    }
    if (err.code != FT_ECANCELED)
        ft_log(FT_LOG_WARN, "s3", "%s/%s: %s", c->bucket, c->key, err.msg);
    ft_lane_cut(c->lane);
    return ft_s3_fail_err(c, &err);
}

static int send_head(struct ft_s3_call *c, int status, int64_t size)
{
    struct ft_err err = {0};
    int rc = ft_lane_begin(c->lane, status, size, c->out, c->n_out, &err);
    if (rc == 0)
        rc = ft_lane_end(c->lane, &err);
    c->status = status;
    return 0;
}

/* There are no torrents here: what is asked for is not there. */
int ft_s3_object_torrent(struct ft_s3_call *c)
{
    return ft_s3_fail(c, FT_S3_NoSuchKey, NULL);
}

/* ---- all together ---- */

static int answer(struct ft_s3_call *c, struct ft_blob_reader *r, const struct ft_blob_info *info,
                  int64_t part)
{
    const char *range = ft_s3_in(c, "range"), *mode = ft_s3_in(c, "x-amz-checksum-mode");
    bool sums = mode != NULL && strcasecmp(mode, "ENABLED") == 0,
         head = strcmp(c->x->method, "HEAD") == 0;
    struct span s = {0, info->size, false};
    if (ft_s3_read_conditions(c, info, "") != 0) {
        if (c->code == FT_S3_NotModified)
            ft_s3_info_out(c, info, false);
        return -1;
    }
    if (part > 0) {
        if (part_of(c, r, info, (int)part, sums, &s) != 0)
            return -1;
    } else {
        if (range != NULL && is_still(c, info) && range_of(c, range, info->size, &s) != 0)
            return -1;
        ft_s3_info_out(c, info, sums && !s.part);
    }
    ft_s3_out(c, "Accept-Ranges", "bytes");
    if (s.part && s.size > 0)
        ft_s3_outf(c, "Content-Range", "bytes %lld-%lld/%lld", (long long)s.offset,
                   (long long)(s.offset + s.size - 1), (long long)info->size);
    if (overrides(c) != 0)
        return -1;
    int status = s.part ? 206 : 200;
    if (head)
        return send_head(c, status, s.size);
    return s.size <= AT_ONCE_BYTES ? send_small(c, r, status, &s) : send_long(c, r, status, &s);
}

/* May the caller read what is there (NULL: nothing)? */
static int may_read(struct ft_s3_call *c, const char *version, const struct ft_blob_info *info)
{
    const struct ft_s3_ask ask = {.action = "s3:GetObject",
                                  .bucket = &c->at,
                                  .key = c->key,
                                  .version = version,
                                  .object = info};
    return ft_s3_may(c, &ask);
}

/* Nothing to read: said to those who may know it. */
static int fail_read(struct ft_s3_call *c, const char *version, const struct ft_err *err)
{
    return may_read(c, version, NULL) != 0 ? -1 : ft_s3_fail_read(c, version, err);
}

int ft_s3_object_get(struct ft_s3_call *c)
{
    const char *version;
    int64_t part;
    if (ft_s3_version_param(c, &version) != 0 ||
        ft_s3_param_int(c, "partNumber", 1, FT_BLOB_PART_MAX, 0, &part) != 0)
        return -1;
    if (part > 0 && ft_s3_in(c, "range") != NULL)
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "Cannot specify both Range header and partNumber query parameter");
    struct ft_err err = {0};
    int rc;
    if (part == 0 && strcmp(c->x->method, "HEAD") == 0) {
        struct ft_blob_object o = {0};
        rc = ft_blob_head(c->blob, c->bucket, c->key, version, &o, &err);
        if (rc != 0)
            rc = fail_read(c, version, &err);
        else
            rc = may_read(c, version, &o.info) != 0 ? -1 : answer(c, NULL, &o.info, 0);
        ft_blob_object_fini(&o);
        return rc;
    }
    struct ft_blob_reader *r;
    if (ft_blob_open(c->blob, c->bucket, c->key, version, &r, &err) != 0)
        return fail_read(c, version, &err);
    const struct ft_blob_info *info = ft_blob_reader_info(r);
    rc = may_read(c, version, info) != 0 ? -1 : answer(c, r, info, part);
    ft_blob_close_reader(r);
    return rc;
}
