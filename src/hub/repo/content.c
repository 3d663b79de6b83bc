/* Content by its SHA-256, and who had it.
 *
 * Content that a commit is about to name must not be collected before it does. So whoever asks
 * whether it is there, or puts it, first makes a note of it (`recent`) under the lock under which
 * the collection looks for a note and removes: either the note is seen, or the content is seen to
 * be gone and is sent again. */
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/repo/impl.h"

#define READ_BYTES ((size_t)1 << 20)

struct ft_repo_writer {
    struct ft_repos *r;
    struct ft_blob_writer *out;
    struct sha256_ctx sum;
    char sha256[FT_REPO_SHA_BYTES];
    int64_t size, done;
};

static void content_key(const char *sha256, char ret[FT_REPO_KEY_MAX])
{
    snprintf(ret, FT_REPO_KEY_MAX, "c/%s", sha256);
}

static int check_sha(const char *sha256, struct ft_err *err)
{
    return ft_repo_is_hex(sha256, 64)
               ? 0
               : ft_err_set(err, FT_EINVAL, "oid: '%.70s' is no SHA-256 in lower case", sha256);
}

static int no_content(const char *sha256, struct ft_err *err)
{
    return ft_repo_err(err, FT_ENOTFOUND, FT_REPO_NO_CONTENT,
                       "content %s is not there: upload it first", sha256);
}

/* ---- asked for lately; under `using` ---- */

static void rebuild(struct ft_repos *r)
{
    ft_strmap_fini(&r->recent_at);
    r->recent_at = (struct ft_strmap){0};
    for (int i = 0; i < r->n_recent; i++)
        if (ft_strmap_add(&r->recent_at, r->recent[i].sha256, 64, i) != 0)
            r->forgot_s = ft_repo_now_s(r);
}

static void purge(struct ft_repos *r, int64_t before_s)
{
    int n = 0;
    for (int i = 0; i < r->n_recent; i++)
        if (r->recent[i].at_s >= before_s)
            r->recent[n++] = r->recent[i];
    r->n_recent = n;
    rebuild(r);
}

void ft_repo_recent_purge(struct ft_repos *r, int64_t before_s)
{
    pthread_mutex_lock(&r->using);
    purge(r, before_s);
    pthread_mutex_unlock(&r->using);
}

/* Grows by doubling; the keys of the map are in the array, so it is made anew then. */
static bool grow(struct ft_repos *r)
{
    int cap = r->n_recent == 0 ? 256 : 2 * r->n_recent;
    if (cap > FT_REPO_RECENT_MAX)
        return false;
    struct ft_repo_recent *more = realloc(r->recent, (size_t)cap * sizeof *more);
    if (more == NULL)
        return false;
    r->recent = more;
    rebuild(r);
    return true;
}

static bool is_full(const struct ft_repos *r)
{
    return r->n_recent == 0 || (r->n_recent >= 256 && (r->n_recent & (r->n_recent - 1)) == 0);
}

static void note(struct ft_repos *r, const char *sha256)
{
    int32_t at;
    int64_t now = ft_repo_now_s(r);
    if (ft_strmap_get(&r->recent_at, sha256, 64, &at)) {
        r->recent[at].at_s = now;
        return;
    }
    if (r->n_recent == FT_REPO_RECENT_MAX)
        purge(r, now - r->c.grace_s);
    if (is_full(r) && !grow(r)) {
        r->forgot_s = now; /* the collection waits for the grace from here on */
        return;
    }
    struct ft_repo_recent *e = &r->recent[r->n_recent];
    e->at_s = now;
    memcpy(e->sha256, sha256, 65);
    if (ft_strmap_add(&r->recent_at, e->sha256, 64, r->n_recent) == 0)
        r->n_recent++;
    else
        r->forgot_s = now;
}

void ft_repo_note_use(struct ft_repos *r, const char *sha256)
{
    pthread_mutex_lock(&r->using);
    note(r, sha256);
    pthread_mutex_unlock(&r->using);
}

static bool was_used(struct ft_repos *r, const char *sha256, int64_t since_s)
{
    int32_t at;
    return r->forgot_s >= since_s ||
           (ft_strmap_get(&r->recent_at, sha256, 64, &at) && r->recent[at].at_s >= since_s);
}

bool ft_repo_was_used(struct ft_repos *r, const char *sha256, int64_t since_s)
{
    pthread_mutex_lock(&r->using);
    bool used = was_used(r, sha256, since_s);
    pthread_mutex_unlock(&r->using);
    return used;
}

int ft_repo_content_head(struct ft_repos *r, const char *sha256, int64_t *ret_size,
                         struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    struct ft_blob_object o = {0};
    int rc = check_sha(sha256, err);
    if (rc != 0)
        return rc;
    content_key(sha256, key);
    ft_repo_note_use(r, sha256);
    rc = ft_blob_head(r->c.blob, FT_REPO_BUCKET, key, NULL, &o, err);
    if (rc == 0 && ret_size != NULL)
        *ret_size = o.info.size;
    ft_blob_object_fini(&o);
    return rc == 0 ? 1 : rc == FT_ENOTFOUND ? 0 : rc;
}

int ft_repo_content_drop(struct ft_repos *r, const char *sha256, int64_t since_s,
                         struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    int rc = 0;
    content_key(sha256, key);
    pthread_mutex_lock(&r->using);
    bool used = was_used(r, sha256, since_s);
    if (!used)
        rc = ft_repo_unlink(r, key, err);
    pthread_mutex_unlock(&r->using);
    return rc != 0 ? rc : !used;
}

/* ---- writing ---- */

int ft_repo_content_begin(struct ft_repos *r, const char *sha256, int64_t size,
                          struct ft_repo_writer **ret, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    int rc = check_sha(sha256, err);
    if (rc != 0)
        return rc;
    struct ft_repo_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    content_key(sha256, key);
    struct ft_blob_put put = {
        .bucket = FT_REPO_BUCKET, .key = key, .size = size, .condition = {.if_none_match = "*"}};
    rc = ft_blob_put(r->c.blob, &put, &w->out, err);
    if (rc != 0) {
        free(w);
        return rc;
    }
    w->r = r;
    w->size = size;
    strcpy(w->sha256, sha256);
    sha256_init(&w->sum);
    *ret = w;
    return 0;
}

int ft_repo_content_write(struct ft_repo_writer *w, const void *data, size_t n, struct ft_err *err)
{
    if ((int64_t)n > w->size - w->done)
        return ft_repo_err(err, FT_ECORRUPT, FT_REPO_SUM, "more than the announced %lld bytes",
                           (long long)w->size);
    sha256_update(&w->sum, n, data);
    w->done += (int64_t)n;
    return n > 0 ? ft_blob_put_write(w->out, data, n, err) : 0;
}

void ft_repo_content_abort(struct ft_repo_writer *w)
{
    if (w == NULL)
        return;
    ft_blob_put_abort(w->out);
    free(w);
}

static int wrong_sum(const char *sha256, const char *is, struct ft_err *err)
{
    return ft_repo_err(err, FT_ECORRUPT, FT_REPO_SUM, "the bytes have SHA-256 %s, announced was %s",
                       is, sha256);
}

int ft_repo_content_commit(struct ft_repo_writer *w, struct ft_err *err)
{
    struct ft_repos *r = w->r;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char hex[FT_REPO_SHA_BYTES];
    struct ft_blob_done done;
    sha256_digest(&w->sum, sizeof digest, digest);
    ft_hex(digest, sizeof digest, hex);
    int rc = 0;
    if (w->done != w->size)
        rc = ft_repo_err(err, FT_ECORRUPT, FT_REPO_SUM, "%lld bytes came, announced were %lld",
                         (long long)w->done, (long long)w->size);
    else if (strcmp(hex, w->sha256) != 0)
        rc = wrong_sum(w->sha256, hex, err);
    if (rc != 0) {
        ft_repo_content_abort(w);
        return rc;
    }
    ft_repo_note_use(r, w->sha256);
    rc = ft_blob_put_commit(w->out, NULL, 0, &done, err);
    free(w);
    return rc == FT_EBUSY ? 0 : rc; /* the same bytes are there already */
}

int ft_repo_content_put(struct ft_repos *r, const void *data, size_t n, struct ft_repo_content *ret,
                        struct ft_err *err)
{
    struct sha256_ctx sum;
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct ft_repo_writer *w = NULL;
    sha256_init(&sum);
    sha256_update(&sum, n, data);
    sha256_digest(&sum, sizeof digest, digest);
    ft_hex(digest, sizeof digest, ret->sha256);
    ft_repo_git_blob(data, n, ret->oid);
    ret->size = (int64_t)n;
    int rc = ft_repo_content_head(r, ret->sha256, NULL, err);
    if (rc != 0)
        return FT_MIN(rc, 0);
    rc = ft_repo_content_begin(r, ret->sha256, (int64_t)n, &w, err);
    if (rc == 0 && (rc = ft_repo_content_write(w, data, n, err)) != 0)
        ft_repo_content_abort(w);
    return rc != 0 ? rc : ft_repo_content_commit(w, err);
}

/* ---- reading ---- */

int ft_repo_content_open(struct ft_repos *r, const char *sha256, struct ft_blob_reader **ret,
                         struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    content_key(sha256, key);
    int rc = ft_blob_open(r->c.blob, FT_REPO_BUCKET, key, NULL, ret, err);
    return rc == FT_ENOTFOUND ? no_content(sha256, err) : rc;
}

int ft_repo_content_link(struct ft_repos *r, const char *sha256, const char *path,
                         struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    content_key(sha256, key);
    int rc = ft_blob_link(r->c.blob, FT_REPO_BUCKET, key, NULL, path, err);
    return rc == FT_ENOTFOUND ? no_content(sha256, err) : rc;
}

/* ---- who had it ---- */

static void owner_key(const char *org, const char *sha256, char ret[FT_REPO_KEY_MAX])
{
    snprintf(ret, FT_REPO_KEY_MAX, "p/%s/%s", org, sha256);
}

int ft_repo_content_owned(struct ft_repos *r, const char *org, const char *sha256,
                          struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    struct ft_blob_object o = {0};
    int rc = check_sha(sha256, err);
    if (rc != 0)
        return rc;
    owner_key(org, sha256, key);
    rc = ft_blob_head(r->c.blob, FT_REPO_BUCKET, key, NULL, &o, err);
    ft_blob_object_fini(&o);
    return rc == 0 ? 1 : rc == FT_ENOTFOUND ? 0 : rc;
}

int ft_repo_content_own(struct ft_repos *r, const char *org, const char *sha256, int64_t size,
                        struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX], text[24];
    owner_key(org, sha256, key);
    snprintf(text, sizeof text, "%lld", (long long)size);
    return ft_repo_store(r, key, text, strlen(text), NULL, err);
}

struct usage {
    struct ft_repos *r;
    int64_t bytes;
    struct ft_err *err;
};

static int on_owned(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    struct usage *u = ctx;
    char *text = NULL;
    size_t n;
    (void)size;
    (void)modified_s;
    int rc = ft_repo_load(u->r, key, 64, &text, &n, NULL, u->err);
    u->bytes += rc > 0 ? strtoll(text, NULL, 10) : 0;
    free(text);
    return FT_MIN(rc, 0);
}

int ft_repo_usage(struct ft_repos *r, const char *org, int64_t *ret_bytes, struct ft_err *err)
{
    struct usage u = {.r = r, .err = err};
    char prefix[FT_REPO_KEY_MAX];
    snprintf(prefix, sizeof prefix, "p/%s/", org);
    int rc = ft_repo_each(r, prefix, on_owned, &u, err);
    *ret_bytes = u.bytes;
    return rc;
}

/* ---- in parts ---- */

static void parts_key(const char *sha256, char ret[FT_REPO_KEY_MAX])
{
    snprintf(ret, FT_REPO_KEY_MAX, "s/%s", sha256);
}

int ft_repo_parts_begin(struct ft_repos *r, const char *sha256, int64_t size,
                        char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    int rc = check_sha(sha256, err);
    parts_key(sha256, key);
    struct ft_blob_put put = {.bucket = FT_REPO_BUCKET, .key = key, .size = size};
    return rc != 0 ? rc : ft_blob_upload_begin(r->c.blob, &put, ret_id, err);
}

int ft_repo_parts_put(struct ft_repos *r, const char *sha256, const char *id, int part,
                      int64_t size, struct ft_blob_writer **ret, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    parts_key(sha256, key);
    struct ft_blob_put put = {
        .bucket = FT_REPO_BUCKET, .key = key, .size = size, .upload = id, .part = part};
    return ft_blob_put(r->c.blob, &put, ret, err);
}

/* Reads what was put together against the hash and size that were announced. */
static int verify(struct ft_repos *r, const char *key, const char *sha256, int64_t size,
                  char etag[FT_BLOB_ETAG_MAX + 1], struct ft_err *err)
{
    struct ft_blob_reader *in = NULL;
    struct sha256_ctx sum;
    uint8_t digest[SHA256_DIGEST_SIZE], *data = malloc(READ_BYTES);
    char hex[FT_REPO_SHA_BYTES];
    int rc = data != NULL ? ft_blob_open(r->c.blob, FT_REPO_BUCKET, key, NULL, &in, err)
                          : ft_err_set(err, FT_ENOMEM, "out of memory");
    int64_t all = rc == 0 ? ft_blob_reader_info(in)->size : 0;
    if (rc == 0)
        memcpy(etag, ft_blob_reader_info(in)->etag, FT_BLOB_ETAG_MAX + 1);
    if (rc == 0 && all != size)
        rc = ft_repo_err(err, FT_ECORRUPT, FT_REPO_SUM, "%lld bytes came, announced were %lld",
                         (long long)all, (long long)size);
    sha256_init(&sum);
    for (int64_t at = 0; rc == 0 && at < all;) {
        size_t n = (size_t)FT_MIN((int64_t)READ_BYTES, all - at);
        rc = ft_blob_read(in, at, data, n, err);
        if (rc == 0)
            sha256_update(&sum, n, data);
        at += (int64_t)n;
    }
    sha256_digest(&sum, sizeof digest, digest);
    ft_hex(digest, sizeof digest, hex);
    if (rc == 0 && strcmp(hex, sha256) != 0)
        rc = wrong_sum(sha256, hex, err);
    ft_blob_close_reader(in);
    free(data);
    return rc;
}

struct parts {
    struct ft_blob_part *part;
    int n;
};

static int on_part(void *ctx, const struct ft_blob_part *p)
{
    struct parts *l = ctx;
    if (l->n == FT_BLOB_PART_MAX)
        return 1;
    l->part[l->n] = (struct ft_blob_part){.number = p->number, .size = p->size};
    memcpy(l->part[l->n++].etag, p->etag, sizeof p->etag);
    return 0;
}

/* All parts that came; *ret is malloc'ed. */
static int list_parts(struct ft_repos *r, const char *key, const char *id, struct parts *ret,
                      struct ft_err *err)
{
    bool more = true;
    int rc = 0;
    ret->part = calloc(FT_BLOB_PART_MAX, sizeof *ret->part);
    if (ret->part == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    while (rc == 0 && more)
        rc = ft_blob_upload_parts(r->c.blob, FT_REPO_BUCKET, key, id,
                                  ret->n > 0 ? ret->part[ret->n - 1].number : 0, FT_BLOB_LIST_MAX,
                                  on_part, ret, &more, err);
    return FT_MIN(rc, 0);
}

static int64_t size_of(const struct parts *l, int number)
{
    for (int i = 0; i < l->n; i++)
        if (l->part[i].number == number)
            return l->part[i].size;
    return 0; /* completing says that it is not there */
}

/* Parts that are not all of it are not put together: those that came stay for a better try. */
static int check_parts(const struct parts *all, const struct ft_blob_part *parts, int n,
                       int64_t size, struct ft_err *err)
{
    int64_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += size_of(all, parts[i].number);
    return sum == size ? 0
                       : ft_repo_err(err, FT_ECORRUPT, FT_REPO_SUM,
                                     "the parts have %lld bytes, announced were %lld",
                                     (long long)sum, (long long)size);
}

int ft_repo_parts_complete(struct ft_repos *r, const char *sha256, int64_t size, const char *id,
                           const struct ft_blob_part *parts, int n, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX], to[FT_REPO_KEY_MAX], etag[FT_BLOB_ETAG_MAX + 1];
    struct ft_blob_done done;
    struct ft_err later;
    struct parts all = {.part = NULL};
    int rc = check_sha(sha256, err);
    if (rc != 0)
        return rc;
    parts_key(sha256, key);
    rc = list_parts(r, key, id, &all, err);
    if (n == 0) {
        parts = all.part;
        n = all.n;
    }
    if (rc == 0)
        rc = check_parts(&all, parts, n, size, err);
    if (rc == 0)
        rc = ft_blob_upload_complete(r->c.blob, FT_REPO_BUCKET, key, id, parts, n, NULL, NULL, 0,
                                     &done, err);
    free(all.part);
    if (rc != 0)
        return rc;
    rc = verify(r, key, sha256, size, etag, err);
    if (rc == FT_ENOTFOUND) /* sent twice at a time, and the other one took it away */
        return ft_repo_content_head(r, sha256, NULL, &later) == 1 ? 0 : rc;
    content_key(sha256, to);
    struct ft_blob_copy copy = {
        .from_bucket = FT_REPO_BUCKET,
        .from_key = key,
        .size = -1,
        .from_etag = etag,
        .to = {.bucket = FT_REPO_BUCKET, .key = to, .condition = {.if_none_match = "*"}}};
    if (rc == 0) {
        ft_repo_note_use(r, sha256);
        rc = ft_blob_copy(r->c.blob, &copy, &done, err);
        if (rc == FT_EBUSY) /* the same bytes are there already, or are put together twice */
            rc = ft_repo_content_head(r, sha256, NULL, err) == 1 ? 0 : rc;
    }
    ft_repo_unlink(r, key, &later);
    return rc;
}
