/* Small documents in the bucket, listings, and names of things. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hub/repo/impl.h"

int64_t ft_repo_now_s(const struct ft_repos *r)
{
    return r->c.now_s != NULL ? r->c.now_s(r->c.ctx) : (int64_t)time(NULL);
}

int ft_repo_err(struct ft_err *err, int code, enum ft_repo_why why, const char *fmt, ...)
{
    char msg[FT_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    ft_err_set(err, (enum ft_code)code, "%s", msg);
    if (err != NULL)
        err->sys_errno = (int)why;
    return code;
}

enum ft_repo_why ft_repo_why(const struct ft_err *err)
{
    return err->sys_errno >= FT_REPO_NO_REPO && err->sys_errno <= FT_REPO_SUM
               ? (enum ft_repo_why)err->sys_errno
               : FT_REPO_WHY_NONE;
}

const char *ft_repo_kind_name(enum ft_repo_kind kind)
{
    return kind == FT_REPO_DATASET ? "dataset" : "model";
}

bool ft_repo_is_hex(const char *s, size_t n)
{
    return strlen(s) == n && strspn(s, "0123456789abcdef") == n;
}

int ft_repo_load(struct ft_repos *r, const char *key, size_t max, char **ret, size_t *ret_n,
                 char etag[FT_BLOB_ETAG_MAX + 1], struct ft_err *err)
{
    struct ft_blob_reader *in = NULL;
    int rc = ft_blob_open(r->c.blob, FT_REPO_BUCKET, key, NULL, &in, err);
    if (rc == FT_ENOTFOUND)
        return 0;
    if (rc != 0)
        return rc;
    const struct ft_blob_info *info = ft_blob_reader_info(in);
    size_t n = (size_t)info->size;
    char *data = NULL;
    if (n > max)
        rc = ft_err_set(err, FT_ELIMIT, "%.200s: longer than %zu bytes", key, max);
    else if ((data = malloc(n + 1)) == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "out of memory");
    else if (n > 0)
        rc = ft_blob_read(in, 0, data, n, err);
    if (rc == 0) {
        data[n] = '\0';
        if (etag != NULL)
            memcpy(etag, info->etag, sizeof info->etag);
        *ret = data;
        *ret_n = n;
    } else {
        free(data);
    }
    ft_blob_close_reader(in);
    return rc == 0 ? 1 : rc;
}

int ft_repo_store(struct ft_repos *r, const char *key, const char *data, size_t n,
                  const char *if_match, struct ft_err *err)
{
    struct ft_blob_put put = {.bucket = FT_REPO_BUCKET, .key = key, .size = (int64_t)n};
    struct ft_blob_writer *w = NULL;
    struct ft_blob_done done;
    if (if_match != NULL && if_match[0] == '\0')
        put.condition.if_none_match = "*";
    else
        put.condition.if_match = if_match;
    int rc = ft_blob_put(r->c.blob, &put, &w, err);
    if (rc == 0 && n > 0 && (rc = ft_blob_put_write(w, data, n, err)) != 0)
        ft_blob_put_abort(w);
    else if (rc == 0)
        rc = ft_blob_put_commit(w, NULL, 0, &done, err);
    if (rc == FT_ENOTFOUND && if_match != NULL) /* if_match, and nothing is there any more */
        rc = ft_repo_err(err, FT_EBUSY, FT_REPO_HEAD_MOVED, "it was removed meanwhile");
    return rc;
}

int ft_repo_unlink(struct ft_repos *r, const char *key, struct ft_err *err)
{
    struct ft_blob_delete d = {.bucket = FT_REPO_BUCKET, .key = key};
    struct ft_blob_deleted done;
    return ft_blob_remove(r->c.blob, &d, &done, err);
}

int ft_repo_unlink_old(struct ft_repos *r, const char *key, int64_t modified_s, struct ft_err *err)
{
    struct ft_blob_delete d = {.bucket = FT_REPO_BUCKET,
                               .key = key,
                               .condition = {.if_modified_s = modified_s, .if_modified_set = true}};
    struct ft_blob_deleted done;
    int rc = ft_blob_remove(r->c.blob, &d, &done, err);
    return rc == FT_EBUSY || rc == FT_ENOTFOUND ? 0 : rc;
}

/* ---- listings ---- */

struct walk {
    ft_repo_key_fn *fn;
    void *ctx;
    char last[FT_REPO_KEY_MAX];
    bool folders;
};

static int on_entry(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct walk *w = ctx;
    const char *key = info != NULL ? info->key : prefix;
    snprintf(w->last, sizeof w->last, "%s", key);
    if (w->folders != (info == NULL))
        return 0;
    return w->fn(w->ctx, w->last, info != NULL ? info->size : 0,
                 info != NULL ? info->modified_ns / 1000000000 : 0);
}

static int walk(struct ft_repos *r, const char *prefix, struct walk *w, struct ft_err *err)
{
    bool more = true;
    int rc = 0;
    while (rc == 0 && more) {
        struct ft_blob_list l = {.bucket = FT_REPO_BUCKET,
                                 .prefix = prefix,
                                 .delimiter = w->folders ? "/" : NULL,
                                 .after = w->last,
                                 .max = FT_BLOB_LIST_MAX};
        char after[FT_REPO_KEY_MAX];
        snprintf(after, sizeof after, "%s", w->last);
        l.after = after;
        rc = ft_blob_list(r->c.blob, &l, false, on_entry, w, &more, err);
    }
    return rc;
}

int ft_repo_each(struct ft_repos *r, const char *prefix, ft_repo_key_fn *fn, void *ctx,
                 struct ft_err *err)
{
    struct walk w = {.fn = fn, .ctx = ctx};
    return walk(r, prefix, &w, err);
}

int ft_repo_each_folder(struct ft_repos *r, const char *prefix, ft_repo_key_fn *fn, void *ctx,
                        struct ft_err *err)
{
    struct walk w = {.fn = fn, .ctx = ctx, .folders = true};
    return walk(r, prefix, &w, err);
}
