/* Files as objects of the store, and the store's errors as a client is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/files/inner.h"

#define ERROR_SHOWN 300

void files_name_bucket(const char *project, struct files_name *ret)
{
    snprintf(ret->bucket, sizeof ret->bucket, FT_FILES_BUCKET "%s", project);
    ret->key[0] = '\0';
}

void files_name_file(const char *project, const char *id, struct files_name *ret)
{
    char turned[FT_OAI_ID_BYTES];
    files_name_bucket(project, ret);
    ft_oai_id_turn(id, turned);
    snprintf(ret->key, sizeof ret->key, "f/%s", turned);
}

void files_name_upload(const char *project, const char *id, struct files_name *ret)
{
    files_name_bucket(project, ret);
    snprintf(ret->key, sizeof ret->key, "u/%s", id);
}

void files_name_part(const char *project, const char *upload, const char *part,
                     struct files_name *ret)
{
    files_name_bucket(project, ret);
    snprintf(ret->key, sizeof ret->key, "p/%s/%s", upload, part);
}

void files_id_of(const char *key, const char *prefix, char ret[FT_OAI_ID_BYTES])
{
    const char *last = strrchr(key, '/');
    const char *id = last != NULL ? last + 1 : key;
    if (!ft_oai_id_is(id, prefix))
        ret[0] = '\0';
    else if (key[0] == 'f')
        ft_oai_id_turn(id, ret);
    else
        snprintf(ret, FT_OAI_ID_BYTES, "%s", id);
}

/* ---- purposes ---- */

/* the last two are of results: processes of the cloud alone make such */
static const char *const purposes[] = {"assistants", "batch",  "evals",        "fine-tune",
                                       "user_data",  "vision", "batch_output", "fine-tune-results"};
#define N_OF_CLIENTS 6

bool files_purpose_ok(const char *purpose, bool inside)
{
    size_t n = inside ? FT_COUNT(purposes) : N_OF_CLIENTS;
    for (size_t i = 0; i < n; i++)
        if (strcmp(purpose, purposes[i]) == 0)
            return true;
    return false;
}

bool files_purpose_is_jsonl(const char *purpose)
{
    return strcmp(purpose, "batch") == 0 || strcmp(purpose, "fine-tune") == 0;
}

/* ---- objects ---- */

int64_t files_expires(const struct ft_blob_info *info)
{
    const char *text = ft_blob_field(info, FILES_FIELD_EXPIRES);
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

json_t *files_object(const char *id, const struct ft_blob_info *info)
{
    const char *name = ft_blob_field(info, FILES_FIELD_NAME);
    const char *purpose = ft_blob_field(info, FILES_FIELD_PURPOSE);
    int64_t expires = files_expires(info);
    return json_pack("{s:s,s:s,s:I,s:I,s:o,s:s,s:s,s:s,s:n}", "id", id, "object", "file", "bytes",
                     (json_int_t)info->size, "created_at", (json_int_t)(ft_oai_id_time(id) / 1000),
                     "expires_at", expires > 0 ? json_integer(expires) : json_null(), "filename",
                     name != NULL ? name : "", "purpose", purpose != NULL ? purpose : "", "status",
                     "processed", "status_details");
}

int files_put(const struct ft_files_request *q, const struct files_name *n,
              struct ft_blob_writer **ret, struct ft_err *err)
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

int files_commit(struct ft_blob_writer *w, const struct files_meta *m, struct ft_err *err)
{
    char expires[24];
    struct ft_blob_done done;
    struct ft_blob_field fields[] = {{"content-type", "application/octet-stream"},
                                     {FILES_FIELD_NAME, m->name},
                                     {FILES_FIELD_PURPOSE, m->purpose},
                                     {FILES_FIELD_EXPIRES, expires}};
    snprintf(expires, sizeof expires, "%lld", (long long)m->expires_s);
    return ft_blob_put_commit(w, fields, (int)FT_COUNT(fields) - (m->expires_s == 0), &done, err);
}

/* ---- answers ---- */

void files_answer(const struct ft_files_request *q, json_t *answer)
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
    files_fail(q, &e);
}

void files_fail(const struct ft_files_request *q, const struct ft_oai_error *e)
{
    q->io->fail(q->ctx, e);
}

void files_fail_store(const struct ft_files_request *q, const struct ft_err *err)
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
    files_fail(q, &e);
}

void files_none(const struct ft_files_request *q, const char *what, const char *id)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_ENOTFOUND, NULL, "id", "No such %s object: %.100s", what, id);
    e.status = 404;
    files_fail(q, &e);
}

void files_bad(const struct ft_files_request *q, const char *code, const char *param,
               const char *fmt, ...)
{
    struct ft_oai_error e;
    char why[FT_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_EINVAL, code, param, "%s", why);
    files_fail(q, &e);
}
