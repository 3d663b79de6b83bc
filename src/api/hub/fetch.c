/* Files of a revision, whole and in ranges. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/hub/impl.h"
#include "base/slice.h"

#define CHUNK_BYTES ((size_t)1 << 20)

/* What a browser may show is shown as text alone: nobody's file runs in the console's name. */
static const char *type_of(const char *path)
{
    static const char *const types[][2] = {{".json", "application/json"},
                                           {".txt", "text/plain; charset=utf-8"},
                                           {".md", "text/plain; charset=utf-8"},
                                           {".jsonl", "text/plain; charset=utf-8"},
                                           {".csv", "text/plain; charset=utf-8"},
                                           {".yaml", "text/plain; charset=utf-8"},
                                           {".yml", "text/plain; charset=utf-8"},
                                           {".py", "text/plain; charset=utf-8"},
                                           {".jinja", "text/plain; charset=utf-8"},
                                           {".png", "image/png"},
                                           {".jpg", "image/jpeg"},
                                           {".jpeg", "image/jpeg"}};
    for (size_t i = 0; i < FT_COUNT(types); i++)
        if (ft_str_ends_as(path, types[i][0]))
            return types[i][1];
    return "application/octet-stream";
}

/* "bytes=a-b", "bytes=a-", "bytes=-n". 1: a range within size; 0: none, or one that is not looked
 * at; -1: not within. */
static int range_of(const char *s, int64_t size, int64_t *ret_at, int64_t *ret_n)
{
    char *end;
    if (s == NULL || strncmp(s, "bytes=", 6) != 0 || strchr(s, ',') != NULL)
        return 0;
    s += 6;
    long long from = 0, to = size - 1;
    if (*s == '-') {
        long long n = strtoll(s + 1, &end, 10);
        if (end == s + 1 || *end != '\0' || n < 0)
            return 0;
        if (n == 0)
            return -1;
        from = size - FT_MIN(n, size);
    } else {
        if (*s < '0' || *s > '9')
            return 0;
        from = strtoll(s, &end, 10);
        if (*end != '-')
            return 0;
        if (end[1] != '\0') {
            const char *last = end + 1;
            to = strtoll(last, &end, 10);
            if (*last < '0' || *last > '9' || *end != '\0' || to < from)
                return 0;
        }
    }
    if (from >= size)
        return -1;
    *ret_at = from;
    *ret_n = FT_MIN(to, size - 1) - from + 1;
    return 1;
}

/* Is the ETag among those of an If-None-Match or If-Range? */
static bool names_etag(const char *header, const char *etag)
{
    return header != NULL && (strstr(header, etag) != NULL || strcmp(header, "*") == 0);
}

static void put_fields(struct hub_call *c, const struct ft_repo_file *f, const char *etag,
                       int64_t size)
{
    char text[FT_REPO_PATH_MAX + 64];
    const char *name = strrchr(f->path, '/') != NULL ? strrchr(f->path, '/') + 1 : f->path;
    hub_field(c, "ETag", etag);
    hub_field(c, "Accept-Ranges", "bytes");
    hub_field(c, "Content-Type", type_of(f->path));
    hub_field(c, "X-Content-Type-Options", "nosniff");
    hub_field(c, "Content-Security-Policy", FT_HTTP_STORED_POLICY);
    snprintf(text, sizeof text, "%lld", (long long)size);
    hub_field(c, "X-Linked-Size", text);
    hub_field(c, "X-Linked-ETag", etag);
    snprintf(text, sizeof text, "inline; filename=\"%s\"", name);
    for (char *p = text + 18; p[1] != '\0'; p++)
        if (*p == '"' || *p == '\\' || (unsigned char)*p >= 0x7f)
            *p = '_';
    hub_field(c, "Content-Disposition", text);
    hub_field(c, "Cache-Control", "private, no-cache");
}

/* What is sent: content, or the text that git has in its place. */
struct source {
    int64_t size;
    char etag[80];
    struct ft_blob_reader *in;
    char pointer[FT_REPO_POINTER_MAX]; /* where `in` is NULL */
};

static int send(struct hub_call *c, const struct source *s, int status, int64_t at, int64_t n)
{
    struct ft_err err = {0};
    bool head = strcmp(c->x->method, "HEAD") == 0;
    char *data = head ? NULL : malloc((size_t)FT_MIN((int64_t)CHUNK_BYTES, FT_MAX(n, 1)));
    if (data == NULL && !head)
        return hub_fail(c, 503, NULL, "out of memory");
    c->status = status;
    int rc = ft_lane_begin(c->lane, status, n, c->field, c->n_fields, &err);
    for (int64_t done = 0; rc == 0 && !head && done < n;) {
        size_t part = (size_t)FT_MIN(n - done, (int64_t)CHUNK_BYTES);
        if (s->in != NULL)
            rc = ft_blob_read(s->in, at + done, data, part, &err);
        else
            memcpy(data, s->pointer + at + done, part);
        if (rc == 0)
            rc = ft_lane_write(c->lane, data, part, &err);
        done += (int64_t)part;
    }
    if (rc == 0)
        rc = ft_lane_end(c->lane, &err);
    else
        ft_lane_cut(c->lane); /* the client sees that it is not whole */
    free(data);
    return rc == 0 ? c->status : (c->status = 500);
}

/* What counts as fetching a model: its configuration, or weights in one file. Of a dataset: any
 * data. The same key within a minute counts once. */
static void count(struct hub_call *c, const struct ft_repo_file *f)
{
    bool counts = c->kind == FT_REPO_DATASET
                      ? strcmp(f->path, "README.md") != 0 && f->path[0] != '.'
                      : strcmp(f->path, "config.json") == 0 || ft_str_ends_as(f->path, ".gguf") ||
                            strcmp(f->path, "adapter_config.json") == 0;
    if (counts && strcmp(c->x->method, "GET") == 0)
        ft_repo_count_download(c->hub->repos, &c->repo, c->who->key);
}

static int send_file(struct hub_call *c, const struct ft_repo_file *f)
{
    struct ft_err err = {0};
    struct source s = {.size = f->size};
    bool pointer = c->pointers && f->lfs;
    char range[80];
    if (pointer)
        s.size = ft_repo_pointer(f->sha256, f->size, s.pointer);
    snprintf(s.etag, sizeof s.etag, "\"%s\"", f->lfs && !pointer ? f->sha256 : f->oid);
    put_fields(c, f, s.etag, s.size);
    if (names_etag(ft_http_header(c->x, "if-none-match"), s.etag)) {
        ft_http_respond(c->x, 304, c->field, c->n_fields, "", 0);
        return c->status = 304;
    }
    int64_t at = 0, n = s.size;
    const char *if_range = ft_http_header(c->x, "if-range");
    bool same = if_range == NULL || strcmp(if_range, s.etag) == 0;
    int part = same ? range_of(ft_http_header(c->x, "range"), s.size, &at, &n) : 0;
    if (part < 0) {
        snprintf(range, sizeof range, "bytes */%lld", (long long)s.size);
        hub_field(c, "Content-Range", range);
        return hub_fail(c, 416, NULL, "the range is not within the file's %lld bytes",
                        (long long)s.size);
    }
    if (part > 0) {
        snprintf(range, sizeof range, "bytes %lld-%lld/%lld", (long long)at,
                 (long long)(at + n - 1), (long long)s.size);
        hub_field(c, "Content-Range", range);
    }
    if (!pointer && ft_repo_content_open(c->hub->repos, f->sha256, &s.in, &err) != 0)
        return hub_fail_err(c, &err);
    if (at == 0 && !pointer)
        count(c, f);
    int status = send(c, &s, part > 0 ? 206 : 200, at, n);
    ft_blob_close_reader(s.in);
    return status;
}

int hub_resolve(struct hub_call *c)
{
    struct ft_err err = {0};
    const struct ft_repo_tree *t = NULL;
    if (ft_repo_tree(c->hub->repos, &c->repo, c->commit, &t, &err) != 0)
        return hub_fail_err(c, &err);
    const struct ft_repo_file *f = ft_repo_tree_file(t, c->path);
    int status = f != NULL ? send_file(c, f)
                           : hub_fail(c, 404, "EntryNotFound", "there is no file '%.200s' in %s",
                                      c->path, c->rev);
    ft_repo_tree_unref(c->hub->repos, t);
    return status;
}
