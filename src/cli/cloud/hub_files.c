/* Files of repositories to and from this machine: hashed, sent where the cloud says, only what it
 * does not have; fetched beside their place, held to size and hash, then put there. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/partial.h"
#include "cli/cloud/hub.h"
#include "cli/cloud/show.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/table.h"

#define FILES_MAX    100000
#define BATCH        100                /* files that are asked about at a time */
#define COMMIT_BYTES ((size_t)24 << 20) /* inline files of one commit; more make several */
#define BUF_BYTES    ((size_t)64 << 20)
#define READ_BYTES   ((size_t)1 << 20)
#define PATH_BYTES   8192

struct local {
    char *path, *in_repo;
    int64_t size;
    char sha256[65];
    bool lfs;
};

struct push {
    struct ft_cloud *c;
    const struct ft_hub_options *o;
    struct ft_hub_name name;
    struct local *file;
    int n;
    int64_t all, done, sent; /* bytes */
    struct ft_progress progress;
    const atomic_int *stop;
    char commit[64];
    bool made; /* the repository, by this push */
    struct ft_err *err;
};

/* ---- what is to be sent ---- */

static struct push *walking;
static size_t walk_skip;

static int add(struct push *p, const char *path, const char *in_repo, int64_t size)
{
    char full[4096];
    const char *to = p->o->to;
    if (p->n == FILES_MAX)
        return ft_err_set(p->err, FT_ELIMIT, "more than %d files", FILES_MAX);
    if ((p->n & (p->n - 1)) == 0) {
        struct local *more = realloc(p->file, (size_t)(p->n == 0 ? 1 : 2 * p->n) * sizeof *more);
        if (more == NULL)
            return ft_err_set(p->err, FT_ENOMEM, "out of memory");
        p->file = more;
    }
    snprintf(full, sizeof full, "%s%s%s", to != NULL ? to : "", to != NULL ? "/" : "", in_repo);
    struct local *f = &p->file[p->n];
    *f = (struct local){.path = strdup(path), .in_repo = strdup(full), .size = size};
    if (f->path == NULL || f->in_repo == NULL)
        return ft_err_set(p->err, FT_ENOMEM, "out of memory");
    p->n++;
    p->all += size;
    return 0;
}

static int on_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    const char *name = path + ftw->base;
    if (flag == FTW_D && ftw->level > 0 &&
        (strcmp(name, ".git") == 0 || strcmp(name, ".cache") == 0))
        return FTW_SKIP_SUBTREE;
    if (flag == FTW_DNR || flag == FTW_NS) {
        ft_err_set(walking->err, FT_EIO, "%s cannot be read", path);
        return FTW_STOP;
    }
    if (flag != FTW_F || !S_ISREG(st->st_mode))
        return FTW_CONTINUE;
    return add(walking, path, path + walk_skip, st->st_size) == 0 ? FTW_CONTINUE : FTW_STOP;
}

static int find_files(struct push *p)
{
    const char *path = p->o->args[0], *slash = strrchr(path, '/');
    struct stat st;
    if (stat(path, &st) != 0)
        return ft_err_sys(p->err, "%s", path);
    if (!S_ISDIR(st.st_mode))
        return add(p, path, slash != NULL ? slash + 1 : path, st.st_size);
    walking = p;
    walk_skip = strlen(path) + (path[strlen(path) - 1] != '/');
    int rc = nftw(path, on_entry, 16, FTW_ACTIONRETVAL);
    if (rc == FTW_STOP)
        return p->err->code;
    return rc < 0      ? ft_err_sys(p->err, "read %s", path)
           : p->n == 0 ? ft_err_set(p->err, FT_EINVAL, "%s: is empty", path)
                       : 0;
}

static int hash(struct push *p, struct local *f)
{
    struct sha256_ctx sum;
    uint8_t digest[SHA256_DIGEST_SIZE], *data = malloc(READ_BYTES);
    int fd = open(f->path, O_RDONLY | O_CLOEXEC), rc = 0;
    ssize_t n = 0;
    if (fd < 0 || data == NULL)
        rc = ft_err_sys(p->err, "open %s", f->path);
    sha256_init(&sum);
    p->progress.what = "reading";
    while (rc == 0 && (n = read(fd, data, READ_BYTES)) > 0) {
        sha256_update(&sum, (size_t)n, data);
        p->done += n;
        ft_progress_show(&p->progress, (uint64_t)p->done, (uint64_t)p->all);
        if (*p->stop != 0)
            rc = ft_err_set(p->err, FT_ECANCELED, "interrupted");
    }
    if (rc == 0 && n < 0)
        rc = ft_err_sys(p->err, "read %s", f->path);
    sha256_digest(&sum, sizeof digest, digest);
    ft_hex(digest, sizeof digest, f->sha256);
    if (fd >= 0)
        close(fd);
    free(data);
    return rc;
}

/* ---- which way each goes ---- */

static int ask_modes(struct push *p, int first, int n)
{
    struct ft_buf b;
    json_t *files = json_array(), *answer = NULL, *f;
    size_t i;
    for (int k = first; k < first + n; k++)
        json_array_append_new(files, json_pack("{s:s,s:I}", "path", p->file[k].in_repo, "size",
                                               (json_int_t)p->file[k].size));
    ft_buf_init(&b, PATH_BYTES);
    ft_hub_path(&b, p->o->dataset, p->name.id, "/preupload/");
    ft_cloud_escape(&b, p->name.rev);
    int rc =
        ft_cloud_call(p->c, "POST", b.data, json_pack("{s:o}", "files", files), &answer, p->err);
    json_array_foreach(json_object_get(answer, "files"), i, f)
    {
        if ((int)i < n)
            p->file[first + (int)i].lfs = strcmp(ft_cloud_text(f, "uploadMode", ""), "lfs") == 0;
    }
    json_decref(answer);
    ft_buf_fini(&b);
    return rc;
}

/* ---- large ones ---- */

struct reading {
    struct push *p;
    int fd;
    int64_t at, end;
};

static size_t on_read(void *ctx, char *data, size_t n)
{
    struct reading *r = ctx;
    if (*r->p->stop != 0)
        return FT_HTTP_READ_ABORT;
    ssize_t got = pread(r->fd, data, FT_MIN(n, (size_t)(r->end - r->at)), r->at);
    if (got < 0)
        return FT_HTTP_READ_ABORT;
    r->at += got;
    r->p->done += got;
    ft_progress_show(&r->p->progress, (uint64_t)r->p->done, (uint64_t)r->p->all);
    return (size_t)got;
}

static int send_range(struct push *p, int fd, const char *url, int64_t from, int64_t n)
{
    struct reading r = {.p = p, .fd = fd, .at = from, .end = from + n};
    struct ft_cloud_body body = {
        .on_read = on_read, .ctx = &r, .bytes = n, .type = "application/octet-stream"};
    int rc = ft_cloud_send(p->c, "PUT", url, &body, NULL, p->err);
    return rc != 0 && *p->stop != 0 ? ft_err_set(p->err, FT_ECANCELED, "interrupted") : rc;
}

/* In parts, which the cloud puts together and reads against the hash. */
static int send_parts(struct push *p, const struct local *f, int fd, const json_t *upload)
{
    json_t *header = json_object_get(upload, "header");
    int64_t chunk = atoll(ft_cloud_text(header, "chunk_size", "0"));
    int rc = chunk > 0 ? 0 : ft_err_set(p->err, FT_ECORRUPT, "the cloud asks for empty parts");
    for (int k = 1; rc == 0 && (k - 1) * chunk < f->size; k++) {
        char name[16];
        snprintf(name, sizeof name, "%05d", k);
        const char *url = json_string_value(json_object_get(header, name));
        rc = url != NULL
                 ? send_range(p, fd, url, (k - 1) * chunk, FT_MIN(chunk, f->size - (k - 1) * chunk))
                 : ft_err_set(p->err, FT_ECORRUPT, "the cloud names too few parts");
    }
    char text[96];
    int n = snprintf(text, sizeof text, "{\"oid\":\"%s\"}", f->sha256); /* all parts that came */
    struct ft_cloud_body body = {
        .data = text, .n = (size_t)n, .type = "application/vnd.git-lfs+json"};
    return rc != 0 ? rc
                   : ft_cloud_send(p->c, "POST", ft_cloud_text(upload, "href", ""), &body, NULL,
                                   p->err);
}

static int send_large(struct push *p, const struct local *f, const json_t *upload)
{
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ft_err_sys(p->err, "open %s", f->path);
    bool parts = json_object_get(json_object_get(upload, "header"), "chunk_size") != NULL;
    p->progress.what = "sending";
    int rc = parts ? send_parts(p, f, fd, upload)
                   : send_range(p, fd, ft_cloud_text(upload, "href", ""), 0, f->size);
    close(fd);
    p->sent += f->size;
    return rc != 0 ? ft_err_wrap(p->err, "%s", f->path) : 0;
}

static const struct local *by_hash(const struct push *p, const char *sha256)
{
    for (int i = 0; i < p->n; i++)
        if (p->file[i].lfs && strcmp(p->file[i].sha256, sha256) == 0)
            return &p->file[i];
    return NULL;
}

static int send_batch(struct push *p, const json_t *objects)
{
    char path[512];
    json_t *answer = NULL, *o;
    size_t i;
    snprintf(path, sizeof path, "/%s%s.git/info/lfs/objects/batch",
             p->o->dataset ? "datasets/" : "", p->name.id);
    int rc =
        ft_cloud_call(p->c, "POST", path,
                      json_pack("{s:s,s:s,s:[s,s],s:O}", "operation", "upload", "hash_algo",
                                "sha256", "transfers", "basic", "multipart", "objects", objects),
                      &answer, p->err);
    json_array_foreach(json_object_get(answer, "objects"), i, o)
    {
        const json_t *refused = json_object_get(o, "error");
        const json_t *upload = json_object_get(json_object_get(o, "actions"), "upload");
        const struct local *f = by_hash(p, ft_cloud_text(o, "oid", ""));
        if (rc == 0 && refused != NULL)
            rc = ft_err_set(p->err, FT_EINVAL, "%.200s: %.200s", f != NULL ? f->path : "?",
                            ft_cloud_text(refused, "message", "refused"));
        if (rc == 0 && upload != NULL && f != NULL)
            rc = send_large(p, f, upload);
        else if (f != NULL)
            p->done += f->size;
    }
    json_decref(answer);
    return rc;
}

static int send_all_large(struct push *p)
{
    int rc = 0;
    p->done = 0;
    for (int i = 0; rc == 0 && i < p->n;) {
        json_t *objects = json_array();
        for (; i < p->n && json_array_size(objects) < BATCH; i++)
            if (p->file[i].lfs)
                json_array_append_new(objects, json_pack("{s:s,s:I}", "oid", p->file[i].sha256,
                                                         "size", (json_int_t)p->file[i].size));
        if (json_array_size(objects) > 0)
            rc = send_batch(p, objects);
        json_decref(objects);
    }
    return rc;
}

/* ---- the commit ---- */

static int add_line(struct push *p, struct ft_buf *b, const char *key, json_t *value)
{
    json_t *o = json_pack("{s:s,s:o}", "key", key, "value", value);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (text == NULL)
        return ft_err_set(p->err, FT_EINVAL, "a file's name is not UTF-8");
    ft_buf_add_str(b, text);
    ft_buf_add_byte(b, '\n');
    free(text);
    return b->failed == 0 ? 0 : ft_err_set(p->err, (enum ft_code)b->failed, "commit: too large");
}

static int add_inline(struct push *p, struct ft_buf *b, const struct local *f)
{
    char *data = NULL, *text;
    size_t n = 0;
    int rc = ft_file_read(f->path, (size_t)FT_MAX(f->size, 1) + READ_BYTES, &data, &n, p->err);
    if (rc != 0)
        return rc;
    text = malloc(BASE64_ENCODE_RAW_LENGTH(n) + 1);
    if (text != NULL) {
        base64_encode_raw(text, n, (const uint8_t *)data);
        text[BASE64_ENCODE_RAW_LENGTH(n)] = '\0';
    }
    free(data);
    rc = text != NULL ? add_line(p, b, "file",
                                 json_pack("{s:s,s:s,s:s}", "path", f->in_repo, "encoding",
                                           "base64", "content", text))
                      : ft_err_set(p->err, FT_ENOMEM, "out of memory");
    free(text);
    return rc;
}

static int begin_commit(struct push *p, struct ft_buf *b, int number)
{
    char title[512];
    const char *base = p->o->message, *path = p->o->args[0];
    snprintf(title, sizeof title, "%.400s%s", base != NULL ? base : "Push ",
             base != NULL ? "" : path);
    if (number > 0)
        snprintf(title + strlen(title), sizeof title - strlen(title), " (part %d)", number + 1);
    ft_buf_reset(b);
    return add_line(p, b, "header", json_pack("{s:s,s:s}", "summary", title, "description", ""));
}

static int send_commit(struct push *p, const struct ft_buf *b)
{
    struct ft_buf path;
    json_t *answer = NULL;
    struct ft_cloud_body body = {.data = b->data, .n = b->len, .type = "application/x-ndjson"};
    ft_buf_init(&path, PATH_BYTES);
    ft_hub_path(&path, p->o->dataset, p->name.id, "/commit/");
    ft_cloud_escape(&path, p->name.rev);
    int rc = ft_cloud_send(p->c, "POST", path.data, &body, &answer, p->err);
    snprintf(p->commit, sizeof p->commit, "%s", ft_cloud_text(answer, "commitOid", ""));
    json_decref(answer);
    ft_buf_fini(&path);
    return rc;
}

static bool is_pushed(const struct push *p, const char *path)
{
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->file[i].in_repo, path) == 0)
            return true;
    return false;
}

/* --delete: what the repository has, and the folder has not. */
static int add_deletions(struct push *p, struct ft_buf *b)
{
    json_t *files = NULL, *f;
    size_t i, n_to = p->o->to != NULL ? strlen(p->o->to) : 0;
    int rc = ft_hub_tree(p->c, p->o->dataset, &p->name, &files, p->err);
    json_array_foreach(files, i, f)
    {
        const char *path = ft_cloud_text(f, "path", "");
        bool within = n_to == 0 || (strncmp(path, p->o->to, n_to) == 0 && path[n_to] == '/');
        if (rc == 0 && within && strcmp(ft_cloud_text(f, "type", ""), "file") == 0 &&
            !is_pushed(p, path))
            rc = add_line(p, b, "deletedFile", json_pack("{s:s}", "path", path));
    }
    json_decref(files);
    return rc;
}

static int commit(struct push *p)
{
    struct ft_buf b;
    int number = 0;
    ft_buf_init(&b, BUF_BYTES);
    int rc = begin_commit(p, &b, 0);
    if (rc == 0 && p->o->delete)
        rc = add_deletions(p, &b);
    for (int i = 0; rc == 0 && i < p->n; i++) {
        const struct local *f = &p->file[i];
        rc = f->lfs ? add_line(p, &b, "lfsFile",
                               json_pack("{s:s,s:s,s:s,s:I}", "path", f->in_repo, "algo", "sha256",
                                         "oid", f->sha256, "size", (json_int_t)f->size))
                    : add_inline(p, &b, f);
        if (rc == 0 && b.len > COMMIT_BYTES && i + 1 < p->n) {
            rc = send_commit(p, &b);
            if (rc == 0)
                rc = begin_commit(p, &b, ++number);
        }
    }
    if (rc == 0)
        rc = send_commit(p, &b);
    ft_buf_fini(&b);
    return rc;
}

static int make_repo(struct push *p)
{
    json_t *body = json_pack("{s:s,s:s,s:b}", "name", p->name.id, "type",
                             p->o->dataset ? "dataset" : "model", "private", p->o->is_private);
    int rc = ft_cloud_call(p->c, "POST", "/api/repos/create", body, NULL, p->err);
    p->made = rc == 0;
    return rc == FT_EEXIST ? 0 : rc;
}

/* A push that fails leaves no empty repository behind that it made itself. */
static void remove_made(struct push *p)
{
    struct ft_err ignored;
    json_t *body =
        json_pack("{s:s,s:s}", "name", p->name.id, "type", p->o->dataset ? "dataset" : "model");
    if (p->made && p->commit[0] == '\0')
        ft_cloud_call(p->c, "DELETE", "/api/repos/delete", body, NULL, &ignored);
    else
        json_decref(body);
}

static void report(const struct push *p)
{
    char figure[FT_FIGURE_BYTES];
    if (p->o->cloud.json)
        ft_show_json(json_pack("{s:s,s:s,s:i,s:I}", "repository", p->name.id, "commit", p->commit,
                               "files", p->n, "sent", (json_int_t)p->sent));
    else
        printf("%s@%s: %d %s, %s; now at %.12s\n", p->name.id, p->name.rev, p->n,
               p->n == 1 ? "file" : "files", ft_figure_bytes(figure, (uint64_t)p->all), p->commit);
}

int ft_hub_push(struct ft_cloud *c, void *options, struct ft_err *err)
{
    struct push p = {.c = c, .o = options, .err = err, .stop = ft_interrupt_catch()};
    int rc = ft_hub_name(c, p.o->args[1], &p.name, err);
    if (rc == 0)
        rc = find_files(&p);
    if (rc == 0)
        rc = make_repo(&p);
    for (int i = 0; rc == 0 && i < p.n; i += BATCH)
        rc = ask_modes(&p, i, FT_MIN(BATCH, p.n - i));
    for (int i = 0; rc == 0 && i < p.n; i++)
        if (p.file[i].lfs)
            rc = hash(&p, &p.file[i]);
    if (rc == 0)
        rc = send_all_large(&p);
    if (rc == 0)
        rc = commit(&p);
    ft_progress_clear(&p.progress);
    if (rc == 0)
        report(&p);
    else
        remove_made(&p);
    for (int i = 0; i < p.n; i++) {
        free(p.file[i].path);
        free(p.file[i].in_repo);
    }
    free(p.file);
    return rc;
}

/* ---- fetching ---- */

struct fetch {
    struct ft_progress *progress;
    const atomic_int *stop;
    int fd;
    int64_t size, got;
    bool lfs;
    struct sha256_ctx sha256;
    struct sha1_ctx sha1;
    struct ft_err err;
};

static void begin_sum(struct fetch *f)
{
    char head[40];
    int n = snprintf(head, sizeof head, "blob %lld", (long long)f->size);
    sha256_init(&f->sha256);
    sha1_init(&f->sha1);
    sha1_update(&f->sha1, (size_t)n + 1, (const uint8_t *)head); /* git's name, with its NUL */
}

static void add_sum(struct fetch *f, const void *data, size_t n)
{
    if (f->lfs)
        sha256_update(&f->sha256, n, data);
    else
        sha1_update(&f->sha1, n, data);
}

static bool is_sum(struct fetch *f, const char *oid)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    char hex[65];
    if (f->lfs)
        sha256_digest(&f->sha256, SHA256_DIGEST_SIZE, digest);
    else
        sha1_digest(&f->sha1, SHA1_DIGEST_SIZE, digest);
    ft_hex(digest, f->lfs ? SHA256_DIGEST_SIZE : SHA1_DIGEST_SIZE, hex);
    return strcmp(hex, oid) == 0;
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct fetch *f = ctx;
    add_sum(f, data, n);
    f->got += (int64_t)n;
    ft_progress_show(f->progress, (uint64_t)f->got, (uint64_t)f->size);
    return ft_file_write(f->fd, data, n, "the file", f->stop, &f->err) == 0;
}

static bool asked_to_stop(void *ctx)
{
    return *((struct fetch *)ctx)->stop != 0;
}

/* The folders of a path, which comes from the cloud: none of its parts leads out. */
static int make_parents(const char *root, const char *path, struct ft_err *err)
{
    char full[PATH_BYTES];
    for (const char *p = path; p != NULL; p = strchr(p, '/')) {
        p += p != path;
        size_t n = strcspn(p, "/");
        if (n == 0 || (n <= 2 && strspn(p, ".") == n))
            return ft_err_set(err, FT_ECORRUPT, "the cloud names a path '%.200s'", path);
    }
    for (const char *p = strchr(path, '/'); p != NULL; p = strchr(p + 1, '/')) {
        snprintf(full, sizeof full, "%s/%.*s", root, (int)(p - path), path);
        if (mkdir(full, 0777) != 0 && errno != EEXIST)
            return ft_err_sys(err, "make %s", full);
    }
    return 0;
}

/* Is it here already, by size and hash? */
static bool is_here(struct fetch *f, const char *path, const char *oid)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *data = malloc(READ_BYTES);
    bool here = fd >= 0 && data != NULL && fstat(fd, &st) == 0 && st.st_size == f->size;
    ssize_t n;
    begin_sum(f);
    while (here && (n = read(fd, data, READ_BYTES)) > 0)
        add_sum(f, data, (size_t)n);
    here = here && is_sum(f, oid);
    if (fd >= 0)
        close(fd);
    free(data);
    return here;
}

static int fetch_file(struct ft_cloud *c, const struct ft_hub_options *o, const char *id,
                      const char *commit, const char *root, const json_t *entry, struct fetch *f,
                      struct ft_err *err)
{
    char to[PATH_BYTES], url[PATH_BYTES], *temp = NULL;
    struct ft_buf b;
    const json_t *lfs = json_object_get(entry, "lfs");
    const char *path = ft_cloud_text(entry, "path", "");
    const char *oid = ft_cloud_text(lfs != NULL ? lfs : entry, "oid", "");
    f->size = json_integer_value(json_object_get(entry, "size"));
    f->lfs = lfs != NULL;
    f->got = 0;
    int rc = make_parents(root, path, err);
    snprintf(to, sizeof to, "%s/%s", root, path);
    if (rc != 0 || is_here(f, to, oid))
        return rc;
    rc = ft_partial_open(to, false, &temp, &f->fd, err);
    if (rc != 0)
        return rc;
    snprintf(url, sizeof url, "/%s%s/resolve/%s/", o->dataset ? "datasets/" : "", id, commit);
    ft_buf_init(&b, PATH_BYTES);
    ft_buf_add_str(&b, url);
    for (const char *p = path; *p != '\0'; p++) {
        char one[2] = {*p, '\0'};
        if (*p == '/')
            ft_buf_add_byte(&b, '/');
        else
            ft_cloud_escape(&b, one);
    }
    begin_sum(f);
    rc = ft_cloud_fetch(c, b.data, on_data, asked_to_stop, f, err);
    if (rc != 0 && f->err.code != 0)
        *err = f->err;
    if (rc == 0 && (f->got != f->size || !is_sum(f, oid)))
        rc = ft_err_set(err, FT_ECORRUPT, "%.200s: the bytes that came are not those announced",
                        path);
    if (rc == 0 && rename(temp, to) != 0)
        rc = ft_err_sys(err, "rename %s", temp);
    if (rc != 0)
        unlink(temp);
    close(f->fd);
    free(temp);
    ft_buf_fini(&b);
    return rc;
}

int ft_hub_pull(struct ft_cloud *c, void *options, struct ft_err *err)
{
    const struct ft_hub_options *o = options;
    struct ft_progress progress = {.what = ""};
    struct fetch f = {.progress = &progress, .stop = ft_interrupt_catch()};
    struct ft_hub_name name;
    struct ft_buf b, rev;
    json_t *info = NULL, *files = NULL, *entry;
    size_t i;
    int n = 0, rc = ft_hub_name(c, o->args[0], &name, err);
    const char *root = o->n_args > 1 ? o->args[1] : rc == 0 ? strchr(name.id, '/') + 1 : "";
    ft_buf_init(&b, PATH_BYTES);
    ft_buf_init(&rev, 1024);
    ft_cloud_escape(&rev, name.rev);
    if (rc == 0) /* all files of one commit, whatever is pushed meanwhile */
        rc = ft_cloud_call(
            c, "GET", ft_hub_path(&b, o->dataset, name.id, "/revision/%s?expand=sha", rev.data),
            NULL, &info, err);
    snprintf(name.rev, sizeof name.rev, "%s", ft_cloud_text(info, "sha", ""));
    if (rc == 0)
        rc = ft_hub_tree(c, o->dataset, &name, &files, err);
    if (rc == 0 && mkdir(root, 0777) != 0 && errno != EEXIST)
        rc = ft_err_sys(err, "make %s", root);
    json_array_foreach(files, i, entry)
    {
        if (rc != 0 || strcmp(ft_cloud_text(entry, "type", ""), "file") != 0)
            continue;
        progress.what = ft_cloud_text(entry, "path", "");
        rc = fetch_file(c, o, name.id, name.rev, root, entry, &f, err);
        ft_progress_clear(&progress);
        n++;
    }
    if (rc == 0)
        printf("%s: %d %s of %s at %.12s\n", root, n, n == 1 ? "file" : "files", name.id, name.rev);
    json_decref(info);
    json_decref(files);
    ft_buf_fini(&b);
    ft_buf_fini(&rev);
    return rc;
}
