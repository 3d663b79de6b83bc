/* Readers over S3. Opening brings the first bytes along, so a small object takes one request. What
 * is behind them comes in ranges that grow while they are read one after the other, and that the
 * upstream sends only if the object still has the ETag (and version) it was opened with. */
#include <errno.h>
#include <fcntl.h>
#include <nettle/md5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "blob/s3/impl.h"

#define RANGE_FIRST ((int64_t)1 << 20)
#define RANGE_GROWS 8
#define RANGE_MAX   ((int64_t)1 << 30)
#define READ_TRIES  3
#define LINK_BYTES  ((size_t)1 << 20)

struct reader {
    struct ft_blob_reader base;
    struct ups_place p;
    struct ft_blob_object o;
    char nonce[S3_TOKEN_SIZE];
    char *first; /* the first bytes */
    int64_t n_first;
    struct ft_ups_exchange *x; /* a range that is on its way */
    int64_t at, end;           /* of it: what comes next, where it ends */
    int64_t range_bytes;       /* of the last one */
    void *part_memory;         /* what the last answer of part_of points to */
};

static void reader_free(struct reader *r)
{
    ft_ups_cancel(r->x);
    ft_blob_object_fini(&r->o);
    free(r->first);
    free(r->part_memory);
    free(r);
}

static void get_request(struct ft_ups_request *q, const struct ups_place *p, const char *key,
                        const char *version, int64_t from, int64_t to)
{
    ft_ups_request_init(q, "GET", p->upstream, key);
    if (version != NULL && p->versioning != FT_BLOB_UNVERSIONED)
        ft_ups_query(q, "versionId", version);
    if (to > from)
        ft_ups_header(q, "range", "bytes=%lld-%lld", (long long)from, (long long)to - 1);
}

/* The whole of a small object has its MD5 for an ETag: it is held to it. */
static int check_first(const struct reader *r, struct ft_err *err)
{
    struct md5_ctx md5;
    uint8_t digest[MD5_DIGEST_SIZE];
    char hex[2 * MD5_DIGEST_SIZE + 1];
    if (r->n_first != r->o.info.size || strlen(r->o.info.etag) != 2 * MD5_DIGEST_SIZE)
        return 0;
    md5_init(&md5);
    md5_update(&md5, (size_t)r->n_first, (const uint8_t *)r->first);
    md5_digest(&md5, sizeof digest, digest);
    ft_hex(digest, sizeof digest, hex);
    return strcmp(hex, r->o.info.etag) == 0
               ? 0
               : ft_err_set(err, FT_ECORRUPT, "key %s: the upstream sent other bytes than it keeps",
                            r->o.info.key);
}

/* GET of the first bytes. 1: done; 0: there are none (an empty object has no range). */
static int open_first(struct ups *s, struct reader *r, const char *key, const char *version,
                      struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    get_request(&q, &r->p, key, version, 0, S3_FIRST_BYTES);
    int rc = ft_ups_call(&s->server, &q, &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return rc;
    if (a.status == 206 || a.status == 200) {
        const char *nonce = ft_ups_answer_header(&a, "x-amz-meta-feitian-put");
        rc = ups_state_receive(s, &r->p, key, version, &a, &r->o, err);
        snprintf(r->nonce, sizeof r->nonce, "%s", nonce != NULL ? nonce : "");
        r->n_first = (int64_t)a.body.len;
        r->first = a.body.data;
        a.body = (struct ft_buf){.data = NULL};
        if (rc == 0)
            rc = check_first(r, err);
        rc = rc == 0 ? 1 : rc;
    } /* any other: HEAD knows why */
    ft_ups_answer_fini(&a);
    return rc;
}

int ups_open(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             struct ft_blob_reader **ret, struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a reader");
    r->base.blob = b;
    int rc = ups_place(s, bucket, &r->p, err);
    if (rc == 0 &&
        (r->p.versioning != FT_BLOB_UNVERSIONED || version == NULL || strcmp(version, "null") == 0))
        rc = open_first(s, r, key, version, err);
    if (rc == 0) {
        rc = ups_look(s, &r->p, key, version, &r->o, NULL, err);
        if (rc == 0 && r->o.info.size > 0)
            rc = ft_err_set(err, FT_EUNAVAIL, "key %s changed while it was opened", key);
    }
    if (rc < 0) {
        reader_free(r);
        return rc;
    }
    *ret = &r->base;
    return 0;
}

const struct ft_blob_info *ups_reader_info(struct ft_blob_reader *r)
{
    return &((struct reader *)r)->o.info;
}

/* ---- ranges ---- */

static int range_begin(struct reader *r, int64_t offset, size_t n, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer *a;
    struct ups *s = ups_of(r->base.blob);
    bool goes_on = offset == r->end || offset == r->n_first;
    ft_ups_cancel(r->x);
    r->x = NULL;
    int64_t bytes = goes_on && r->range_bytes > 0 ? r->range_bytes * RANGE_GROWS : RANGE_FIRST;
    bytes = FT_MAX(FT_MIN(bytes, RANGE_MAX), (int64_t)n);
    r->range_bytes = bytes;
    r->at = offset;
    r->end = FT_MIN(offset + bytes, r->o.info.size);
    get_request(&q, &r->p, r->o.info.key, r->o.info.version, r->at, r->end);
    ft_ups_header(&q, "if-match", "\"%s\"", r->o.info.etag);
    int rc = ft_ups_start(&s->server, &q, &r->x, err);
    ft_ups_request_fini(&q);
    if (rc == 0)
        rc = ft_ups_wait_head(r->x, &a, err);
    if (rc != 0)
        return rc;
    if (a->status == 412 || a->status == 404)
        return ft_err_set(err, FT_EUNAVAIL, "key %s was replaced or removed while it was read",
                          r->o.info.key);
    if (a->status != 206)
        return ft_ups_refused(a, r->o.info.key, err);
    return 0;
}

/* From the range that is on its way, or a new one. */
static int read_range(struct reader *r, int64_t offset, char *data, size_t n, struct ft_err *err)
{
    int rc = 0;
    if (r->x == NULL || offset != r->at || r->at == r->end)
        rc = range_begin(r, offset, n, err);
    size_t k = (size_t)FT_MIN((int64_t)n, r->end - r->at);
    if (rc == 0)
        rc = ft_ups_receive(r->x, data, k, err);
    if (rc == 0) {
        r->at += (int64_t)k;
        return (int)k;
    }
    ft_ups_cancel(r->x);
    r->x = NULL;
    return rc;
}

int ups_read(struct ft_blob_reader *base, int64_t offset, void *data, size_t n, struct ft_err *err)
{
    struct reader *r = (struct reader *)base;
    char *to = data;
    if (offset < r->n_first) {
        size_t k = (size_t)FT_MIN((int64_t)n, r->n_first - offset);
        memcpy(to, r->first + offset, k);
        offset += (int64_t)k;
        to += k;
        n -= k;
    }
    for (int failures = 0; n > 0;) {
        size_t some = FT_MIN(n, (size_t)1 << 30);
        int k = read_range(r, offset, to, some, err);
        if (k < 0 && (k != FT_EIO || ++failures == READ_TRIES))
            return k;
        if (k < 0)
            continue; /* the rest is asked for again */
        offset += k;
        to += k;
        n -= (size_t)k;
    }
    return 0;
}

void ups_close_reader(struct ft_blob_reader *r)
{
    reader_free((struct reader *)r);
}

int ups_part_of(struct ft_blob_reader *base, int number, struct ft_blob_part *ret,
                int64_t *ret_offset, struct ft_err *err)
{
    struct reader *r = (struct reader *)base;
    if (number < 1 || number > r->o.info.n_parts)
        return ft_blob_err(err, FT_EINVAL, FT_BLOB_NO_PART, "part %d: it has %d", number,
                           r->o.info.n_parts);
    free(r->part_memory);
    r->part_memory = NULL;
    return ups_part_find(ups_of(base->blob), r->nonce, number, ret, ret_offset, &r->part_memory,
                         err);
}

/* ---- files ---- */

static int copy_out(struct ft_blob_reader *r, int fd, const char *path, struct ft_err *err)
{
    int64_t size = ups_reader_info(r)->size;
    char *bytes = malloc(LINK_BYTES);
    int rc = bytes != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "no memory for a copy");
    for (int64_t at = 0; rc == 0 && at < size;) {
        size_t n = (size_t)FT_MIN((int64_t)LINK_BYTES, size - at);
        rc = ups_read(r, at, bytes, n, err);
        if (rc == 0)
            rc = ft_file_write(fd, bytes, n, path, NULL, err);
        at += (int64_t)n;
    }
    free(bytes);
    return rc;
}

int ups_link(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             const char *path, struct ft_err *err)
{
    struct ft_blob_reader *r;
    int rc = ups_open(b, bucket, key, version, &r, err);
    if (rc != 0)
        return rc;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0)
        rc = errno == EEXIST ? ft_err_set(err, FT_EEXIST, "%s is there already", path)
                             : ft_err_sys(err, "create %s", path);
    if (rc == 0)
        rc = copy_out(r, fd, path, err);
    if (rc == 0 && fsync(fd) != 0)
        rc = ft_err_sys(err, "sync %s", path);
    if (fd >= 0) {
        close(fd);
        if (rc != 0)
            unlink(path);
    }
    ups_close_reader(r);
    return rc;
}
