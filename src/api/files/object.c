/* Files as objects of the store, and the store's errors as a client is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/files/inner.h"
#include "base/buf.h"
#include "net/url.h"

#define ERROR_SHOWN 300

void fl_name_bucket(const char *project, struct fl_name *ret)
{
    snprintf(ret->bucket, sizeof ret->bucket, FT_FILES_BUCKET "%s", project);
    ret->key[0] = '\0';
}

void fl_name_content(const char *project, const char *id, struct fl_name *ret)
{
    fl_name_bucket(project, ret);
    snprintf(ret->key, sizeof ret->key, "c/%s", id);
}

void fl_name_upload(const char *project, const char *id, struct fl_name *ret)
{
    fl_name_bucket(project, ret);
    snprintf(ret->key, sizeof ret->key, "u/%s", id);
}

void fl_name_part(const char *project, const char *upload, const char *part, struct fl_name *ret)
{
    fl_name_bucket(project, ret);
    snprintf(ret->key, sizeof ret->key, "p/%s/%s", upload, part);
}

/* ---- entries ---- */

void fl_entry_prefix(const char *id, char ret[64])
{
    char turned[FT_OAI_ID_BYTES];
    ft_oai_id_turn(id, turned);
    snprintf(ret, 64, "f/%s/", turned);
}

void fl_name_entry(const char *project, const struct fl_info *f, struct fl_name *ret)
{
    char prefix[64];
    struct ft_buf b;
    fl_name_bucket(project, ret);
    fl_entry_prefix(f->id, prefix);
    ft_buf_init(&b, sizeof ret->key);
    ft_buf_addf(&b, "%s%lld/%lld/%s/", prefix, (long long)f->expires_s, (long long)f->bytes,
                f->purpose);
    ft_url_encode(&b, f->name, strlen(f->name)); /* fits: fl_name_ok */
    snprintf(ret->key, sizeof ret->key, "%s", b.data != NULL ? b.data : prefix);
    ft_buf_fini(&b);
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Text up to '/' or the end, without its escapes. False: too long, or a broken escape. */
static bool next_text(const char **p, char *ret, size_t max)
{
    size_t n = 0;
    const char *s = *p;
    while (*s != '\0' && *s != '/') {
        int c = (unsigned char)*s++;
        if (c == '%') {
            int high = hex(s[0]), low = high >= 0 ? hex(s[1]) : -1;
            if (low < 0)
                return false;
            c = 16 * high + low;
            s += 2;
        }
        if (n + 1 == max)
            return false;
        ret[n++] = (char)c;
    }
    ret[n] = '\0';
    *p = s + (*s == '/');
    return true;
}

bool fl_info_of(const char *key, struct fl_info *ret)
{
    char turned[64], expires[24], bytes[24];
    const char *p = key + 2;
    if (key[0] != 'f' || key[1] != '/' || !next_text(&p, turned, sizeof turned) ||
        !ft_oai_id_is(turned, FILES_FILE) || !next_text(&p, expires, sizeof expires) ||
        !next_text(&p, bytes, sizeof bytes) || !next_text(&p, ret->purpose, sizeof ret->purpose) ||
        !next_text(&p, ret->name, sizeof ret->name) || *p != '\0')
        return false;
    ft_oai_id_turn(turned, ret->id);
    ret->expires_s = strtoll(expires, NULL, 10);
    ret->bytes = strtoll(bytes, NULL, 10);
    return true;
}

static int take_entry(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    (void)prefix;
    return info != NULL && fl_info_of(info->key, ctx) ? 1 : 0;
}

int fl_find(struct ft_blob *b, const char *project, const char *id, struct fl_info *ret,
            struct ft_err *err)
{
    char prefix[64];
    struct fl_name n;
    bool more;
    fl_name_bucket(project, &n);
    fl_entry_prefix(id, prefix);
    struct ft_blob_list l = {.bucket = n.bucket, .prefix = prefix, .max = 1};
    struct ft_err why = {0};
    int rc = ft_blob_list(b, &l, false, take_entry, ret, &more, &why);
    if (rc == FT_ENOTFOUND) /* not even the bucket */
        return 0;
    if (rc < 0 && err != NULL)
        *err = why;
    return rc;
}

int fl_remove_key(struct ft_blob *b, const char *bucket, const char *key, struct ft_err *err)
{
    struct ft_blob_deleted gone;
    struct ft_blob_delete d = {.bucket = bucket, .key = key};
    return ft_blob_remove(b, &d, &gone, err);
}

int fl_remove(struct ft_blob *b, const char *bucket, const struct fl_info *f, struct ft_err *err)
{
    struct fl_name n;
    char content[64];
    fl_name_entry("", f, &n);
    snprintf(content, sizeof content, "c/%s", f->id);
    int rc = fl_remove_key(b, bucket, n.key, err);
    return rc == 0 ? fl_remove_key(b, bucket, content, err) : rc;
}

/* ---- purposes ---- */

/* the last two are of results: processes of the cloud alone make such */
static const char *const purposes[] = {"assistants", "batch",  "evals",        "fine-tune",
                                       "user_data",  "vision", "batch_output", "fine-tune-results"};
#define N_OF_CLIENTS 6

bool fl_purpose_ok(const char *purpose, bool inside)
{
    size_t n = inside ? FT_COUNT(purposes) : N_OF_CLIENTS;
    for (size_t i = 0; i < n; i++)
        if (strcmp(purpose, purposes[i]) == 0)
            return true;
    return false;
}

bool fl_purpose_is_jsonl(const char *purpose)
{
    return strcmp(purpose, "batch") == 0 || strcmp(purpose, "fine-tune") == 0;
}

bool fl_name_ok(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= FILES_NAME_MAX;
}

/* ---- objects ---- */

json_t *fl_object(const struct fl_info *f)
{
    return json_pack("{s:s,s:s,s:I,s:I,s:o,s:s,s:s,s:s,s:n}", "id", f->id, "object", "file",
                     "bytes", (json_int_t)f->bytes, "created_at",
                     (json_int_t)(ft_oai_id_time(f->id) / 1000), "expires_at",
                     f->expires_s > 0 ? json_integer(f->expires_s) : json_null(), "filename",
                     f->name, "purpose", f->purpose, "status", "processed", "status_details");
}

int fl_put(const struct ft_files_request *q, const struct fl_name *n, struct ft_blob_writer **ret,
           struct ft_err *err)
{
    struct ft_blob_put put = {.bucket = n->bucket, .key = n->key, .size = -1};
    struct ft_err why = {0};
    int rc = ft_blob_put(q->blob, &put, ret, &why);
    if (rc == FT_ENOTFOUND && ft_blob_why(&why) == FT_BLOB_NO_BUCKET) {
        rc = ft_blob_bucket_create(q->blob, n->bucket, q->project, &why);
        if (rc == 0 || rc == FT_EEXIST) /* another request's */
            rc = ft_blob_put(q->blob, &put, ret, &why);
    }
    if (rc != 0 && err != NULL)
        *err = why;
    return rc;
}

int fl_publish(const struct ft_files_request *q, struct ft_blob_writer *w, const struct fl_info *f,
               struct ft_err *err)
{
    struct ft_blob_done done;
    struct fl_name n;
    struct fl_info old;
    int rc = ft_blob_put_commit(w, NULL, 0, &done, err);
    fl_name_entry(q->project, f, &n);
    if (rc == 0 && q->id != NULL) /* it may have been made before, and differently */
        rc = fl_find(q->blob, q->project, f->id, &old, err);
    if (rc > 0) {
        struct fl_name before;
        fl_name_entry(q->project, &old, &before);
        rc = strcmp(before.key, n.key) == 0
                 ? 0
                 : fl_remove_key(q->blob, before.bucket, before.key, err);
    }
    if (rc == 0)
        rc = fl_put(q, &n, &w, err);
    return rc == 0 ? ft_blob_put_commit(w, NULL, 0, &done, err) : rc;
}

/* ---- answers ---- */

void fl_answer(const struct ft_files_request *q, json_t *answer)
{
    struct ft_oai_error e;
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    if (text != NULL) {
        q->io->respond(q->ctx, 200, text, strlen(text));
        free(text);
        return;
    }
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_ENOMEM, NULL, NULL, "out of memory");
    fl_fail(q, &e);
}

void fl_fail(const struct ft_files_request *q, const struct ft_oai_error *e)
{
    q->io->fail(q->ctx, e);
}

void fl_fail_store(const struct ft_files_request *q, const struct ft_err *err)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    if (err->code == FT_ELIMIT) {
        ft_oai_error_set(&e, FT_ELIMIT, "storage_full", NULL, "the store is full: %.*s",
                         ERROR_SHOWN, err->msg);
        e.status = 507;
        e.final = true;
    } else if (err->code == FT_ECORRUPT) {
        ft_oai_error_set(&e, FT_ECORRUPT, "file_damaged", NULL,
                         "the file was damaged on the disk and is not served: %.*s", ERROR_SHOWN,
                         err->msg);
        e.status = 502; /* not ours to try again, and not a defect */
        e.final = true;
    } else if (err->code == FT_EIO || err->code == FT_EUNAVAIL || err->code == FT_EBUSY) {
        ft_oai_error_set(&e, FT_EBUSY, "storage_unavailable", NULL,
                         "the store cannot be used now: %.*s", ERROR_SHOWN, err->msg);
        e.status = 503;
        e.retry_after_ms = 1000;
    } else {
        ft_oai_error_from(&e, err);
    }
    fl_fail(q, &e);
}

void fl_none(const struct ft_files_request *q, const char *what, const char *id)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_ENOTFOUND, NULL, "id", "No such %s object: %.100s", what, id);
    e.status = 404;
    fl_fail(q, &e);
}

void fl_bad(const struct ft_files_request *q, const char *code, const char *param, const char *fmt,
            ...)
{
    struct ft_oai_error e;
    char why[FT_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_EINVAL, code, param, "%s", why);
    fl_fail(q, &e);
}
