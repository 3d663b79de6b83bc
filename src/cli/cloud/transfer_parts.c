/* How a piece is moved, up, down and across. */
#include <errno.h>
#include <fcntl.h>
#include <nettle/md5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/partial.h"
#include "cli/cloud/transfer.h"
#include "net/url.h"
#include "net/xml.h"

#define WHOLE_MAX   ((int64_t)8 << 20) /* files up to this are one request */
#define COPY_WHOLE  ((int64_t)5 << 30) /* S3's bound of one copy */
#define COPY_PART   ((int64_t)1 << 30)
#define CHUNK_BYTES ((size_t)256 << 10)
#define TREE_MAX    ((size_t)16 << 20)
#define TEMP        ".feitian-part"
#define XML_MAX     ((size_t)2 << 20)
#define BROKEN_MAX  3 /* times that a piece which broke off is tried again */
#define BROKEN_US   200000
#define TEMP_TRIES  100 /* to hold a file that others rename */

static int64_t part_offset(const struct ft_transfer *f, int part)
{
    return part * f->part_bytes;
}

static int64_t part_size(const struct ft_transfer *f, int part)
{
    return FT_MIN(f->part_bytes, f->size - part_offset(f, part));
}

/* Makes the list; parts grow where there would be too many. */
static int plan(struct ft_transfer *f, int64_t part_bytes, struct ft_err *err)
{
    f->part_bytes = part_bytes;
    while (f->size > f->part_bytes * FT_PARTS_MAX)
        f->part_bytes *= 2;
    int n = (int)((f->size + f->part_bytes - 1) / f->part_bytes);
    f->part = calloc((size_t)n, sizeof *f->part);
    if (f->part == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    f->n_parts = n;
    return 0;
}

static int ask(struct ft_transfers *t, struct ft_ups_request *q, struct ft_ups_answer *ret,
               struct ft_err *err)
{
    int rc = ft_object_do(t->c.server, q, ret, err);
    ft_ups_request_fini(q);
    return rc;
}

bool ft_transfer_stopped(const struct ft_transfers *t)
{
    return *t->c.stop != 0;
}

/* Whether a piece that failed is tried again: while nobody listens, and after it broke off. */
struct tries {
    int refused, broken;
};

static bool once_more(const struct ft_transfers *t, struct tries *n, const struct ft_err *err)
{
    if (err->code != FT_EIO || ft_transfer_stopped(t))
        return false;
    if (err->sys_errno == ECONNREFUSED)
        return ft_cloud_refused(err, &n->refused);
    if (n->broken++ == BROKEN_MAX)
        return false;
    usleep(BROKEN_US);
    return true;
}

/* ---- uploads in parts, of files and of copies ---- */

static const char *type_of(const char *path)
{
    static const char *const known[][2] = {
        {".html", "text/html"},        {".css", "text/css"},       {".js", "text/javascript"},
        {".json", "application/json"}, {".txt", "text/plain"},     {".md", "text/markdown"},
        {".csv", "text/csv"},          {".svg", "image/svg+xml"},  {".png", "image/png"},
        {".jpg", "image/jpeg"},        {".jpeg", "image/jpeg"},    {".gif", "image/gif"},
        {".pdf", "application/pdf"},   {".xml", "application/xml"}};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < FT_COUNT(known); i++)
        if (strcasecmp(dot, known[i][0]) == 0)
            return known[i][1];
    return "application/octet-stream";
}

int ft_transfer_begin_parts(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a = {0};
    struct ft_arena arena;
    struct ft_xml_node *root = NULL;
    ft_ups_request_init(&q, "POST", f->to_bucket, f->to_key);
    ft_ups_query(&q, "uploads", NULL);
    ft_ups_header(&q, "content-type", "%s", type_of(f->to_key));
    int rc = ask(t, &q, &a, err);
    ft_arena_init(&arena, TREE_MAX);
    if (rc == 0)
        rc = ft_xml_read(a.body.data, a.body.len, &arena, &root, err);
    const char *id = ft_xml_child_text(root, "UploadId");
    if (rc == 0 && (id == NULL || strlen(id) >= sizeof f->upload))
        rc = ft_err_set(err, FT_ECORRUPT, "the answer names no upload");
    if (rc == 0)
        strcpy(f->upload, id);
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return rc;
}

int ft_transfer_complete(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    struct ft_xml x;
    struct ft_ups_request q;
    struct ft_ups_answer a = {0};
    ft_xml_init(&x, XML_MAX);
    ft_xml_root(&x, "CompleteMultipartUpload", "http://s3.amazonaws.com/doc/2006-03-01/");
    for (int i = 0; i < f->n_parts; i++) {
        ft_xml_begin(&x, "Part");
        ft_xml_int(&x, "PartNumber", i + 1);
        ft_xml_text(&x, "ETag", f->part[i].etag);
        ft_xml_end(&x);
    }
    ft_xml_end(&x);
    ft_ups_request_init(&q, "POST", f->to_bucket, f->to_key);
    ft_ups_query(&q, "uploadId", f->upload);
    ft_ups_body(&q, x.buf.data, x.buf.len);
    int rc = ask(t, &q, &a, err);
    if (rc == 0 && a.body.data != NULL && memmem(a.body.data, a.body.len, "<Error>", 7) != NULL)
        rc = ft_err_set(err, FT_EIO, "the parts could not be put together; try again");
    ft_ups_answer_fini(&a);
    ft_xml_fini(&x);
    return rc;
}

int ft_transfer_keep_etag(struct ft_transfer *f, int part, const char *etag, struct ft_err *err)
{
    if (etag == NULL || strlen(etag) >= sizeof f->part[part].etag)
        return ft_err_set(err, FT_ECORRUPT, "part %d: the answer has no ETag", part + 1);
    strcpy(f->part[part].etag, etag);
    return 0;
}

/* ---- up ---- */

static int read_at(const struct ft_transfer *f, char *buf, size_t n, int64_t at, struct ft_err *err)
{
    ssize_t got = pread(f->fd, buf, n, at);
    if (got < 0) { /* FT_EIO is the connection's here */
        ft_err_sys(err, "read");
        return (int)(err->code = FT_EUNAVAIL);
    }
    return (size_t)got == n ? 0
                            : ft_err_set(err, FT_EUNAVAIL, "it became shorter while it was sent");
}

static void md5_text(struct md5_ctx *md5, char ret[35])
{
    uint8_t digest[MD5_DIGEST_SIZE];
    char *at = ret;
    md5_digest(md5, sizeof digest, digest);
    *at++ = '"';
    for (size_t i = 0; i < sizeof digest; i++)
        at += sprintf(at, "%02x", digest[i]);
    strcpy(at, "\"");
}

static int send_bytes(struct ft_transfers *t, struct ft_transfer *f, struct ft_ups_exchange *x,
                      int64_t at, int64_t n, struct md5_ctx *md5, int64_t *ret_moved,
                      struct ft_err *err)
{
    char *buf = malloc(CHUNK_BYTES);
    int rc = buf == NULL ? ft_err_set(err, FT_ENOMEM, "no memory") : 0;
    while (rc == 0 && n > 0) {
        size_t k = FT_MIN((size_t)n, CHUNK_BYTES);
        rc = ft_transfer_stopped(t) ? ft_err_set(err, FT_ECANCELED, "stopped")
                                    : read_at(f, buf, k, at, err);
        if (rc != 0)
            break;
        md5_update(md5, k, (const uint8_t *)buf);
        rc = ft_ups_send(x, buf, k, err);
        ft_transfer_moved(t, (int64_t)k);
        *ret_moved += (int64_t)k;
        at += (int64_t)k;
        n -= (int64_t)k;
    }
    free(buf);
    return rc;
}

static int send_once(struct ft_transfers *t, struct ft_transfer *f, struct ft_ups_request *q,
                     int64_t at, char ret_etag[35], int64_t *ret_moved, struct ft_err *err)
{
    struct md5_ctx md5;
    struct ft_ups_exchange *x = NULL;
    struct ft_ups_answer a = {0};
    struct ft_err broke = {0};
    md5_init(&md5);
    *ret_moved = 0;
    int rc = ft_ups_start(t->c.server, q, &x, err);
    if (rc != 0)
        return rc;
    int sent = send_bytes(t, f, x, at, q->body_bytes, &md5, ret_moved, &broke);
    if (sent != 0 && sent != FT_EIO) {
        ft_ups_cancel(x);
        *err = broke;
        return sent;
    }
    rc = ft_ups_finish(x, &a, err);
    if (rc == 0 && a.status / 100 != 2)
        rc = ft_object_refused(&a, err);
    else if (rc == 0 && sent != 0)
        rc = ft_err_set(err, FT_EIO, "%s", broke.msg);
    md5_text(&md5, ret_etag);
    const char *etag = rc == 0 ? ft_ups_answer_header(&a, "etag") : NULL;
    if (rc == 0 && (etag == NULL || strcmp(etag, ret_etag) != 0))
        rc = ft_err_set(err, FT_ECORRUPT, "other bytes came there than were sent");
    ft_ups_answer_fini(&a);
    return rc;
}

int ft_transfer_send(struct ft_transfers *t, struct ft_transfer *f, struct ft_ups_request *q,
                     int64_t at, int64_t n, char ret_etag[35], struct ft_err *err)
{
    struct tries tries = {0};
    int64_t moved;
    int rc;
    q->streamed = true;
    q->body_bytes = n;
    while ((rc = send_once(t, f, q, at, ret_etag, &moved, err)) != 0 && once_more(t, &tries, err))
        ft_transfer_moved(t, -moved);
    ft_ups_request_fini(q);
    return rc;
}

void ft_transfer_request_put(struct ft_ups_request *q, const struct ft_transfer *f)
{
    ft_ups_request_init(q, "PUT", f->to_bucket, f->to_key);
    ft_ups_header(q, "content-type", "%s", type_of(ft_transfer_is_stream(f) ? f->to_key : f->path));
}

void ft_transfer_request_part(struct ft_ups_request *q, const struct ft_transfer *f, int part)
{
    ft_ups_request_init(q, "PUT", f->to_bucket, f->to_key);
    ft_ups_query_int(q, "partNumber", part + 1);
    ft_ups_query(q, "uploadId", f->upload);
}

/* The newest unfinished upload of this key. */
static int find_upload(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a = {0};
    struct ft_arena arena;
    struct ft_xml_node *root = NULL;
    const char *newest = "";
    ft_ups_request_init(&q, "GET", f->to_bucket, NULL);
    ft_ups_query(&q, "uploads", NULL);
    ft_ups_query(&q, "prefix", f->to_key);
    int rc = ask(t, &q, &a, err);
    ft_arena_init(&arena, TREE_MAX);
    if (rc == 0)
        rc = ft_xml_read(a.body.data, a.body.len, &arena, &root, err);
    for (const struct ft_xml_node *n = rc == 0 ? root->first : NULL; n != NULL; n = n->next) {
        const char *key = ft_xml_child_text(n, "Key"), *id = ft_xml_child_text(n, "UploadId");
        const char *at = ft_xml_child_text(n, "Initiated");
        if (strcmp(n->name, "Upload") != 0 || key == NULL || id == NULL || at == NULL ||
            strcmp(key, f->to_key) != 0 || strlen(id) >= sizeof f->upload || strcmp(at, newest) < 0)
            continue;
        newest = at;
        strcpy(f->upload, id);
    }
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return rc;
}

static int md5_of_part(const struct ft_transfer *f, int part, char ret[35], struct ft_err *err)
{
    struct md5_ctx md5;
    char *buf = malloc(CHUNK_BYTES);
    int rc = buf == NULL ? ft_err_set(err, FT_ENOMEM, "no memory") : 0;
    int64_t at = part_offset(f, part), n = part_size(f, part);
    md5_init(&md5);
    while (rc == 0 && n > 0) {
        size_t k = FT_MIN((size_t)n, CHUNK_BYTES);
        rc = read_at(f, buf, k, at, err);
        if (rc == 0)
            md5_update(&md5, k, (const uint8_t *)buf);
        at += (int64_t)k;
        n -= (int64_t)k;
    }
    free(buf);
    md5_text(&md5, ret);
    return rc;
}

/* A part that is there counts if it is what the file has in its place. */
static int match_part(struct ft_transfers *t, struct ft_transfer *f, const struct ft_xml_node *n,
                      struct ft_err *err)
{
    char own[35];
    const char *number = ft_xml_child_text(n, "PartNumber"), *size = ft_xml_child_text(n, "Size");
    const char *etag = ft_xml_child_text(n, "ETag");
    long part = number != NULL ? strtol(number, NULL, 10) - 1 : -1;
    if (part < 0 || part >= f->n_parts || size == NULL || etag == NULL ||
        strtoll(size, NULL, 10) != part_size(f, (int)part))
        return 0;
    int rc = md5_of_part(f, (int)part, own, err);
    if (rc != 0 || strcmp(own, etag) != 0)
        return rc;
    f->part[part].done = true;
    ft_transfer_moved(t, part_size(f, (int)part));
    return ft_transfer_keep_etag(f, (int)part, etag, err);
}

static int match_parts(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    int rc = 0;
    char after[24] = "0";
    for (bool more = true; rc == 0 && more && !ft_transfer_stopped(t);) {
        struct ft_ups_request q;
        struct ft_ups_answer a = {0};
        struct ft_arena arena;
        struct ft_xml_node *root = NULL;
        ft_ups_request_init(&q, "GET", f->to_bucket, f->to_key);
        ft_ups_query(&q, "uploadId", f->upload);
        ft_ups_query(&q, "part-number-marker", after);
        rc = ask(t, &q, &a, err);
        ft_arena_init(&arena, TREE_MAX);
        if (rc == 0)
            rc = ft_xml_read(a.body.data, a.body.len, &arena, &root, err);
        for (const struct ft_xml_node *n = rc == 0 ? root->first : NULL; n != NULL && rc == 0;
             n = n->next)
            if (strcmp(n->name, "Part") == 0)
                rc = match_part(t, f, n, err);
        const char *next = ft_xml_child_text(root, "NextPartNumberMarker");
        const char *truncated = ft_xml_child_text(root, "IsTruncated");
        more = next != NULL && truncated != NULL && strcmp(truncated, "true") == 0;
        if (more)
            snprintf(after, sizeof after, "%s", next);
        ft_arena_fini(&arena);
        ft_ups_answer_fini(&a);
    }
    return rc;
}

static int begin_upload(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    struct stat st;
    char etag[35];
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0 || fstat(f->fd, &st) != 0)
        return ft_err_sys(err, "open");
    f->size = st.st_size;
    f->modified_s = st.st_mtime;
    if (f->size <= WHOLE_MAX) {
        struct ft_ups_request q;
        ft_transfer_request_put(&q, f);
        int rc = ft_transfer_send(t, f, &q, 0, f->size, etag, err);
        close(f->fd);
        f->fd = -1;
        return rc;
    }
    int rc = plan(f, FT_PART_BYTES, err);
    if (rc == 0 && !t->c.fresh)
        rc = find_upload(t, f, err);
    if (rc == 0 && f->upload[0] != '\0')
        return match_parts(t, f, err);
    return rc == 0 ? ft_transfer_begin_parts(t, f, err) : rc;
}

static int upload_part(struct ft_transfers *t, struct ft_transfer *f, int part, struct ft_err *err)
{
    struct ft_ups_request q;
    char etag[35];
    ft_transfer_request_part(&q, f, part);
    int rc = ft_transfer_send(t, f, &q, part_offset(f, part), part_size(f, part), etag, err);
    return rc == 0 ? ft_transfer_keep_etag(f, part, etag, err) : rc;
}

static int end_upload(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    struct stat st;
    bool same = fstat(f->fd, &st) == 0 && st.st_size == f->size && st.st_mtime == f->modified_s;
    close(f->fd);
    f->fd = -1;
    if (!same)
        return ft_err_set(err, FT_EBUSY, "it was changed while it was sent; send it again");
    return ft_transfer_complete(t, f, err);
}

/* ---- down ---- */

int ft_transfer_head(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a = {0};
    ft_ups_request_init(&q, "HEAD", f->from_bucket, f->from_key);
    int rc = ask(t, &q, &a, err);
    if (rc == FT_ENOTFOUND)
        rc = ft_object_missing(t->c.server, f->from_bucket, err);
    const char *size = rc == 0 ? ft_ups_answer_header(&a, "content-length") : NULL;
    const char *etag = rc == 0 ? ft_ups_answer_header(&a, "etag") : NULL;
    if (rc == 0 && (size == NULL || etag == NULL || strlen(etag) >= sizeof f->etag))
        rc = ft_err_set(err, FT_ECORRUPT, "the answer tells no size or ETag");
    if (rc == 0) {
        f->size = strtoll(size, NULL, 10);
        strcpy(f->etag, etag);
    }
    ft_ups_answer_fini(&a);
    return rc;
}

static int make_folders(const char *path, struct ft_err *err)
{
    char copy[4096];
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return ft_err_set(err, FT_EINVAL, "the path is too long");
    for (char *p = strchr(copy + 1, '/'); p != NULL; p = strchr(p + 1, '/')) {
        *p = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            return ft_err_sys(err, "make the folder %s", copy);
        *p = '/';
    }
    return 0;
}

/* The list of parts that are there: a line that says of what, then a byte for each. */
static int open_list(const struct ft_transfer *f, bool fresh, bool had_bytes, char **ret_have,
                     struct ft_err *err)
{
    char path[4200], head[160], was[160] = "";
    int n = snprintf(head, sizeof head, "%s %lld %lld\n", f->etag, (long long)f->size,
                     (long long)f->part_bytes);
    snprintf(path, sizeof path, "%s.list", f->temp);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    char *have = calloc(1, (size_t)f->n_parts + 1);
    if (fd < 0 || have == NULL) {
        free(have);
        if (fd >= 0)
            close(fd);
        return ft_err_sys(err, "%s", path);
    }
    bool same = !fresh && had_bytes && pread(fd, was, (size_t)n, 0) == n &&
                memcmp(was, head, (size_t)n) == 0 && pread(fd, have, (size_t)f->n_parts, n) >= 0;
    if (!same) {
        memset(have, 0, (size_t)f->n_parts);
        if (ftruncate(fd, 0) != 0 || pwrite(fd, head, (size_t)n, 0) != n) {
            close(fd);
            free(have);
            return ft_err_sys(err, "%s", path);
        }
    }
    close(fd);
    *ret_have = have;
    return 0;
}

static void note_part(const struct ft_transfer *f, int part)
{
    char path[4200], head[160];
    int n = snprintf(head, sizeof head, "%s %lld %lld\n", f->etag, (long long)f->size,
                     (long long)f->part_bytes);
    snprintf(path, sizeof path, "%s.list", f->temp);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return; /* it is fetched again next time */
    if (pwrite(fd, "1", 1, n + part) != 1)
        ftruncate(fd, 0);
    close(fd);
}

static int put_bytes(const struct ft_transfer *f, const char *data, size_t n, int64_t at,
                     struct ft_err *err)
{
    if (ft_transfer_is_stream(f))
        return ft_file_write(f->fd, data, n, "standard output", NULL, err);
    return pwrite(f->fd, data, n, at) == (ssize_t)n ? 0 : ft_err_sys(err, "write");
}

/* *at and *n go on with what came. *ret_cut: the server cannot read it from here on, so it says,
 * or its answer ended too soon. */
static int fetch_once(struct ft_transfers *t, struct ft_transfer *f, int64_t *at, int64_t *n,
                      bool *ret_cut, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_exchange *x = NULL;
    struct ft_ups_answer *a = NULL;
    char *buf = malloc(CHUNK_BYTES);
    ft_ups_request_init(&q, "GET", f->from_bucket, f->from_key);
    ft_ups_header(&q, "if-match", "%s", f->etag);
    if (*n > 0)
        ft_ups_header(&q, "range", "bytes=%lld-%lld", (long long)*at, (long long)(*at + *n - 1));
    int rc = buf == NULL ? ft_err_set(err, FT_ENOMEM, "no memory")
                         : ft_ups_start(t->c.server, &q, &x, err);
    ft_ups_request_fini(&q);
    if (rc == 0)
        rc = ft_ups_wait_head(x, &a, err);
    if (rc == 0 && a->status / 100 != 2)
        rc = a->status == 412 ? ft_err_set(err, FT_EBUSY, "it was changed while it was fetched")
                              : ft_object_refused(a, err);
    *ret_cut = rc == FT_EIO && a != NULL; /* an answer 5xx */
    while (rc == 0 && *n > 0) {
        size_t k = FT_MIN((size_t)*n, CHUNK_BYTES);
        rc = ft_transfer_stopped(t) ? ft_err_set(err, FT_ECANCELED, "stopped")
                                    : ft_ups_receive(x, buf, k, err);
        *ret_cut = rc == FT_EIO;
        if (rc == 0 && (rc = put_bytes(f, buf, k, *at, err)) != 0)
            rc = (int)(err->code = FT_EUNAVAIL); /* FT_EIO is the connection's here */
        if (rc != 0)
            break;
        ft_transfer_moved(t, (int64_t)k);
        *at += (int64_t)k;
        *n -= (int64_t)k;
    }
    ft_ups_cancel(x);
    free(buf);
    return rc;
}

int ft_transfer_fetch(struct ft_transfers *t, struct ft_transfer *f, int64_t at, int64_t n,
                      struct ft_err *err)
{
    struct tries tries = {0};
    int64_t cut_at = -1;
    int rc;
    do {
        bool cut = false;
        rc = fetch_once(t, f, &at, &n, &cut, err);
        if (cut && at == cut_at) /* the gateway found other bytes there than were stored */
            return ft_err_set(err, FT_ECORRUPT,
                              "the cloud cannot read it after %lld bytes: the object is damaged "
                              "('feitian blob check' says more)",
                              (long long)at);
        if (cut)
            cut_at = at;
    } while (rc != 0 && once_more(t, &tries, err));
    return rc;
}

static int put_in_place(struct ft_transfer *f, struct ft_err *err)
{
    int rc = fsync(f->fd) != 0 ? ft_err_sys(err, "sync") : 0;
    if (rc == 0 && rename(f->temp, f->path) != 0)
        rc = ft_err_sys(err, "%s", f->path);
    close(f->fd); /* not before: it holds the lock */
    f->fd = -1;
    return rc;
}

/* What is in the making has a name of its own, so that it can be gone on with: whoever writes it
 * holds a lock on it. *ret_bytes: that it has already. */
static int open_temp(struct ft_transfer *f, int64_t *ret_bytes, struct ft_err *err)
{
    for (int i = 0; i < TEMP_TRIES; i++) {
        struct stat held, found;
        f->fd = open(f->temp, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (f->fd < 0)
            return ft_err_sys(err, "%s", f->temp);
        if (flock(f->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
            return ft_err_set(err, FT_EBUSY, "another process fetches into it");
        if (fstat(f->fd, &held) == 0 && stat(f->temp, &found) == 0 && held.st_ino == found.st_ino &&
            held.st_dev == found.st_dev) {
            *ret_bytes = held.st_size;
            return 0;
        }
        close(f->fd); /* who had it has put it in its place meanwhile */
        f->fd = -1;
    }
    return ft_err_set(err, FT_EBUSY, "%s: it comes and goes", f->temp);
}

static int begin_download(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    char *have = NULL;
    int64_t bytes = 0;
    int rc = ft_transfer_head(t, f, err);
    if (rc == 0)
        rc = make_folders(f->path, err);
    char *stem = rc == 0 ? ft_partial_stem(f->path) : NULL;
    if (rc == 0 && (stem == NULL || asprintf(&f->temp, "%s" TEMP, stem) < 0))
        rc = ft_err_set(err, FT_ENOMEM, "no memory");
    free(stem);
    if (rc == 0 && f->size > WHOLE_MAX)
        rc = plan(f, FT_PART_BYTES, err);
    if (rc == 0)
        rc = open_temp(f, &bytes, err);
    if (rc == 0 && f->n_parts > 0)
        rc = open_list(f, t->c.fresh, bytes == f->size, &have, err);
    if (rc == 0 && ftruncate(f->fd, f->size) != 0)
        rc = ft_err_sys(err, "%s", f->temp);
    for (int i = 0; rc == 0 && i < f->n_parts; i++)
        if (have[i] == '1') {
            f->part[i].done = true;
            ft_transfer_moved(t, part_size(f, i));
        }
    free(have);
    if (rc != 0 || f->n_parts > 0)
        return rc;
    rc = ft_transfer_fetch(t, f, 0, f->size, err);
    if (rc == 0)
        return put_in_place(f, err);
    unlink(f->temp);
    return rc;
}

static int end_download(struct ft_transfer *f, struct ft_err *err)
{
    char path[4200];
    int rc = put_in_place(f, err);
    snprintf(path, sizeof path, "%s.list", f->temp);
    if (rc == 0)
        unlink(path);
    return rc;
}

/* ---- across ---- */

static void name_source(struct ft_ups_request *q, const struct ft_transfer *f)
{
    struct ft_buf b;
    ft_buf_init(&b, 8192);
    ft_buf_addf(&b, "/%s/", f->from_bucket);
    for (const char *key = f->from_key; *key != '\0';) {
        size_t n = strcspn(key, "/");
        ft_url_encode(&b, key, n);
        key += n;
        for (; *key == '/'; key++)
            ft_buf_add_byte(&b, '/');
    }
    ft_ups_header(q, "x-amz-copy-source", "%s", b.data);
    ft_ups_header(q, "x-amz-copy-source-if-match", "%s", f->etag);
    ft_buf_fini(&b);
}

static int begin_copy(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    struct ft_ups_request q;
    int rc = ft_transfer_head(t, f, err);
    if (rc != 0)
        return rc;
    if (f->size > COPY_WHOLE) {
        rc = plan(f, COPY_PART, err);
        return rc == 0 ? ft_transfer_begin_parts(t, f, err) : rc;
    }
    ft_ups_request_init(&q, "PUT", f->to_bucket, f->to_key);
    name_source(&q, f);
    rc = ask(t, &q, NULL, err);
    if (rc == 0)
        ft_transfer_moved(t, f->size);
    return rc;
}

static int copy_part(struct ft_transfers *t, struct ft_transfer *f, int part, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a = {0};
    struct ft_arena arena;
    struct ft_xml_node *root = NULL;
    int64_t at = part_offset(f, part), n = part_size(f, part);
    ft_transfer_request_part(&q, f, part);
    name_source(&q, f);
    ft_ups_header(&q, "x-amz-copy-source-range", "bytes=%lld-%lld", (long long)at,
                  (long long)(at + n - 1));
    int rc = ask(t, &q, &a, err);
    ft_arena_init(&arena, TREE_MAX);
    if (rc == 0)
        rc = ft_xml_read(a.body.data, a.body.len, &arena, &root, err);
    if (rc == 0)
        rc = ft_transfer_keep_etag(f, part, ft_xml_child_text(root, "ETag"), err);
    if (rc == 0)
        ft_transfer_moved(t, n);
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return rc;
}

/* ---- for transfer.c ---- */

int ft_transfer_begin(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    if (ft_transfer_is_stream(f))
        return ft_transfer_stream(t, f, err);
    return f->kind == FT_UPLOAD     ? begin_upload(t, f, err)
           : f->kind == FT_DOWNLOAD ? begin_download(t, f, err)
                                    : begin_copy(t, f, err);
}

int ft_transfer_part(struct ft_transfers *t, struct ft_transfer *f, int part, struct ft_err *err)
{
    if (f->kind == FT_UPLOAD)
        return upload_part(t, f, part, err);
    if (f->kind == FT_COPY)
        return copy_part(t, f, part, err);
    int rc = ft_transfer_fetch(t, f, part_offset(f, part), part_size(f, part), err);
    if (rc == 0)
        note_part(f, part);
    return rc;
}

int ft_transfer_end(struct ft_transfers *t, struct ft_transfer *f, struct ft_err *err)
{
    if (f->err.code != 0 || ft_transfer_stopped(t)) /* what is there stays for the next time */
        return ft_err_set(err, FT_ECANCELED, "stopped");
    return f->kind == FT_DOWNLOAD ? end_download(f, err)
           : f->kind == FT_UPLOAD ? end_upload(t, f, err)
                                  : ft_transfer_complete(t, f, err);
}
