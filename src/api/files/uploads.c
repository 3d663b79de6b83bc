/* Uploads in parts: an object that says what is to come, an object a part, and at the end the file,
 * written through from the parts in the order that the client names.
 *
 *   pending --complete--> completed      pending --cancel--> cancelled      (gone after an hour)
 *
 * The object of the upload is changed only as it was read (its ETag), so of two that end it one
 * wins. The file's id is drawn at the begin: what was completed when a process died is completed
 * again to the same file. */
#include <nettle/md5.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/files/inner.h"
#include "api/openai/json.h"
#include "base/hex.h"

#define BODY_MAX   ((size_t)1 << 20)
#define RECORD_MAX (64u << 10)

struct upload {
    const struct ft_files_request *q;
    char id[FT_OAI_ID_BYTES];
    struct fl_name name;
    json_t *record;
    char etag[FT_BLOB_ETAG_MAX + 1]; /* as it was read */
};

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s != NULL ? s : "";
}

static int64_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

json_t *fl_body(const struct ft_files_request *q)
{
    struct ft_oai_error e;
    struct ft_err err = {0};
    struct ft_buf b;
    char chunk[8192];
    int64_t n;
    json_t *body = NULL;
    ft_oai_error_init(&e);
    ft_buf_init(&b, BODY_MAX);
    while ((n = q->io->read(q->ctx, chunk, sizeof chunk, &err)) > 0 && b.failed == 0)
        ft_buf_add(&b, chunk, (size_t)n);
    if (n < 0) {
        fl_fail_store(q, &err);
    } else if (b.failed != 0) {
        ft_oai_error_set(&e, FT_ELIMIT, NULL, NULL, "the request's body is too large");
        e.status = 413;
        fl_fail(q, &e);
    } else if (ft_oai_json_object(b.data != NULL ? b.data : "", b.len, &body, &e) != 0) {
        fl_fail(q, &e);
        body = NULL;
    }
    ft_buf_fini(&b);
    return body;
}

/* ---- the object of an upload ---- */

static json_t *shown(const struct upload *u, json_t *file)
{
    const json_t *r = u->record;
    return json_pack("{s:s,s:s,s:I,s:I,s:s,s:s,s:s,s:I,s:o}", "id", u->id, "object", "upload",
                     "bytes", (json_int_t)number(r, "bytes"), "created_at",
                     (json_int_t)(ft_oai_id_time(u->id) / 1000), "filename", text(r, "filename"),
                     "purpose", text(r, "purpose"), "status", text(r, "status"), "expires_at",
                     (json_int_t)number(r, "expires_at"), "file",
                     file != NULL ? file : json_null());
}

/* changed: it must still be as it was read. FT_EBUSY: it is not. */
static int save(struct upload *u, bool changed, struct ft_err *err)
{
    struct ft_blob_done done;
    struct ft_blob_writer *w = NULL;
    struct ft_blob_put put = {.bucket = u->name.bucket, .key = u->name.key, .size = -1};
    if (changed)
        put.condition.if_match = u->etag;
    char *record = json_dumps(u->record, JSON_COMPACT);
    if (record == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    int rc = changed ? ft_blob_put(u->q->blob, &put, &w, err) : fl_put(u->q, &u->name, &w, err);
    if (rc == 0)
        rc = ft_blob_put_write(w, record, strlen(record), err);
    if (rc == 0)
        rc = ft_blob_put_commit(w, NULL, 0, &done, err);
    else
        ft_blob_put_abort(w);
    free(record);
    return rc;
}

static int read_record(struct upload *u, struct ft_err *err)
{
    struct ft_blob_reader *r = NULL;
    char *record = malloc(RECORD_MAX);
    int rc = record != NULL ? ft_blob_open(u->q->blob, u->name.bucket, u->name.key, NULL, &r, err)
                            : ft_err_set(err, FT_ENOMEM, "out of memory");
    if (rc == 0) {
        const struct ft_blob_info *info = ft_blob_reader_info(r);
        size_t n = (size_t)FT_MIN(info->size, (int64_t)RECORD_MAX);
        strcpy(u->etag, info->etag);
        rc = ft_blob_read(r, 0, record, n, err);
        u->record = rc == 0 ? json_loadb(record, n, 0, NULL) : NULL;
        if (rc == 0 && u->record == NULL)
            rc = ft_err_set(err, FT_ECORRUPT, "upload %s: is no JSON", u->id);
    }
    ft_blob_close_reader(r);
    free(record);
    return rc;
}

/* False: answered. */
static bool load(struct upload *u)
{
    struct ft_err err = {0};
    int rc = FT_ENOTFOUND;
    if (ft_oai_id_is(u->id, FILES_UPLOAD)) {
        fl_name_upload(u->q->project, u->id, &u->name);
        rc = read_record(u, &err);
    }
    if (rc == 0 && number(u->record, "expires_at") > u->q->now_ms / 1000)
        return true;
    if (rc == 0 || rc == FT_ENOTFOUND)
        fl_none(u->q, "Upload", u->id);
    else
        fl_fail_store(u->q, &err);
    return false;
}

static bool is_pending(const struct upload *u)
{
    const char *status = text(u->record, "status");
    if (strcmp(status, "pending") == 0)
        return true;
    fl_bad(u->q, "upload_not_pending", NULL, "The upload is %s.", status);
    return false;
}

static int take_key(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    (void)prefix;
    json_array_append_new(ctx, json_string(info->key));
    return 0;
}

/* All parts; what is left is swept up. */
static void drop_parts(const struct upload *u)
{
    char prefix[64];
    json_t *keys = json_array();
    bool more = true;
    int rc = 0;
    snprintf(prefix, sizeof prefix, "p/%s/", u->id);
    while (rc == 0 && more) { /* they are removed, so the next page is the first again */
        struct ft_blob_list page = {
            .bucket = u->name.bucket, .prefix = prefix, .max = FT_BLOB_LIST_MAX};
        json_array_clear(keys);
        rc = ft_blob_list(u->q->blob, &page, false, take_key, keys, &more, NULL);
        for (size_t i = 0; rc == 0 && i < json_array_size(keys); i++)
            rc = fl_remove_key(u->q->blob, u->name.bucket,
                               json_string_value(json_array_get(keys, i)), NULL);
        more &= json_array_size(keys) > 0;
    }
    json_decref(keys);
}

/* ---- beginning ---- */

bool fl_expires_after(const struct ft_files_request *q, const json_t *v, int64_t *ret_s)
{
    *ret_s = 0;
    if (v == NULL || json_is_null(v))
        return true;
    const json_t *s = json_object_get(v, "seconds");
    if (strcmp(text(v, "anchor"), "created_at") != 0)
        fl_bad(q, "invalid_value", "expires_after.anchor",
               "expires_after.anchor: must be created_at");
    else if (!json_is_integer(s) || json_integer_value(s) < FT_FILES_EXPIRES_S_MIN ||
             json_integer_value(s) > FT_FILES_EXPIRES_S_MAX)
        fl_bad(q, "invalid_value", "expires_after.seconds",
               "expires_after.seconds: must be between 3600 and 2592000");
    else
        *ret_s = json_integer_value(s);
    return *ret_s > 0;
}

/* Nothing but these members, n of them; false: answered. */
static bool check_members(const struct ft_files_request *q, const json_t *body,
                          const char *const *all, size_t n)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)body, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known |= strcmp(name, all[i]) == 0;
        if (!known) {
            fl_bad(q, "unknown_parameter", name, "%.60s: unknown parameter", name);
            return false;
        }
    }
    return true;
}

/* False: answered. */
static bool check_create(const struct ft_files_request *q, const json_t *body, int64_t *ret_expires)
{
    static const char *const texts[] = {"filename", "purpose", "mime_type"};
    static const char *const all[] = {"filename", "purpose", "mime_type", "bytes", "expires_after"};
    if (!check_members(q, body, all, FT_COUNT(all)))
        return false;
    for (size_t i = 0; i < FT_COUNT(texts); i++) {
        const json_t *v = json_object_get(body, texts[i]);
        if (!json_is_string(v) || !fl_name_ok(json_string_value(v))) {
            fl_bad(q, v == NULL ? "missing_required_parameter" : "invalid_value", texts[i],
                   "%s: %s", texts[i],
                   v == NULL ? "is missing" : "must be a text of 1 to 255 bytes");
            return false;
        }
    }
    const json_t *bytes = json_object_get(body, "bytes");
    if (!fl_purpose_ok(text(body, "purpose"), q->inside)) {
        fl_bad(q, "invalid_value", "purpose",
               "purpose: must be one of: assistants, batch, evals, fine-tune, user_data, "
               "vision");
        return false;
    }
    int64_t most = strcmp(text(body, "purpose"), "batch") == 0 ? FT_FILES_BATCH_BYTES_MAX
                                                               : FT_FILES_UPLOAD_MAX;
    if (!json_is_integer(bytes) || json_integer_value(bytes) < 1 ||
        json_integer_value(bytes) > most) {
        fl_bad(q, bytes == NULL ? "missing_required_parameter" : "invalid_value", "bytes",
               "bytes: must be a whole number between 1 and %lld", (long long)most);
        return false;
    }
    return fl_expires_after(q, json_object_get(body, "expires_after"), ret_expires);
}

static void create(const struct ft_files_request *q)
{
    struct upload u = {.q = q};
    struct ft_err err = {0};
    char file[FT_OAI_ID_BYTES];
    int64_t expires_s;
    json_t *body = fl_body(q);
    if (body == NULL)
        return;
    if (check_create(q, body, &expires_s)) {
        int rc = ft_oai_id_new(FILES_UPLOAD, q->now_ms, u.id, &err);
        if (rc == 0)
            rc = ft_oai_id_new(FILES_FILE, q->now_ms, file, &err);
        if (rc == 0) {
            u.record = json_pack(
                "{s:I,s:s,s:s,s:s,s:s,s:s,s:I,s:I}", "bytes", (json_int_t)number(body, "bytes"),
                "filename", text(body, "filename"), "purpose", text(body, "purpose"), "mime_type",
                text(body, "mime_type"), "status", "pending", "file", file, "expires_at",
                (json_int_t)(q->now_ms / 1000 + FT_FILES_UPLOAD_S), "file_expires_s",
                (json_int_t)expires_s);
            fl_name_upload(q->project, u.id, &u.name);
            rc = save(&u, false, &err);
        }
        if (rc == 0)
            fl_answer(q, shown(&u, NULL));
        else
            fl_fail_store(q, &err);
    }
    json_decref(u.record);
    json_decref(body);
}

/* ---- parts ---- */

static void add_part(struct upload *u)
{
    const struct ft_files_request *q = u->q;
    struct fl_intake in = {.q = q, .file_field = "data", .bytes_max = FT_FILES_PART_MAX};
    struct ft_err err = {0};
    char id[FT_OAI_ID_BYTES];
    if (!is_pending(u))
        return;
    if (ft_oai_id_new(FILES_PART, q->now_ms, id, &err) != 0) {
        fl_fail_store(q, &err);
        return;
    }
    fl_name_part(q->project, u->id, id, &in.name);
    if (!fl_take(&in))
        return;
    struct ft_blob_done done;
    if (ft_blob_put_commit(in.writer, NULL, 0, &done, &err) == 0)
        fl_answer(q, json_pack("{s:s,s:s,s:I,s:s}", "id", id, "object", "upload.part", "created_at",
                               (json_int_t)(q->now_ms / 1000), "upload_id", u->id));
    else
        fl_fail_store(q, &err);
}

/* ---- completing ---- */

struct completing {
    struct upload *u;
    const json_t *parts;
    struct fl_name name;
    struct ft_blob_writer *writer;
    struct ft_jsonl jsonl;
    struct md5_ctx md5;
    char *chunk;
};

/* False: answered. All parts there, together of the size that was said. */
static bool check_parts(const struct completing *c)
{
    const struct ft_files_request *q = c->u->q;
    int64_t sum = 0;
    if (json_array_size(c->parts) < 1 || json_array_size(c->parts) > FT_FILES_PARTS_MAX) {
        fl_bad(q, c->parts == NULL ? "missing_required_parameter" : "invalid_value", "part_ids",
               "part_ids: must be a list of 1 to %d ids of parts", FT_FILES_PARTS_MAX);
        return false;
    }
    for (size_t i = 0; i < json_array_size(c->parts); i++) {
        const char *id = json_string_value(json_array_get(c->parts, i));
        struct fl_name n;
        struct ft_blob_object o = {0};
        struct ft_err err = {0};
        int rc = FT_ENOTFOUND;
        if (id != NULL && ft_oai_id_is(id, FILES_PART)) {
            fl_name_part(q->project, c->u->id, id, &n);
            rc = ft_blob_head(q->blob, n.bucket, n.key, NULL, &o, &err);
        }
        sum += rc == 0 ? o.info.size : 0;
        ft_blob_object_fini(&o);
        if (rc == FT_ENOTFOUND)
            fl_bad(q, "invalid_value", "part_ids", "part_ids[%zu]: the upload has no such part", i);
        else if (rc != 0)
            fl_fail_store(q, &err);
        if (rc != 0)
            return false;
    }
    int64_t said = number(c->u->record, "bytes");
    if (sum == said)
        return true;
    fl_bad(q, "invalid_value", "part_ids",
           "part_ids: the parts have %lld bytes together, and the upload was begun with %lld",
           (long long)sum, (long long)said);
    return false;
}

static int copy_part(struct completing *c, const char *id, struct ft_err *err)
{
    const struct ft_files_request *q = c->u->q;
    struct fl_name n;
    struct ft_blob_reader *r = NULL;
    fl_name_part(q->project, c->u->id, id, &n);
    int rc = ft_blob_open(q->blob, n.bucket, n.key, NULL, &r, err);
    if (rc != 0)
        return rc;
    int64_t size = ft_blob_reader_info(r)->size;
    for (int64_t at = 0; rc == 0 && at < size;) {
        size_t len = (size_t)FT_MIN(size - at, (int64_t)FT_FILES_CHUNK);
        rc = ft_blob_read(r, at, c->chunk, len, err);
        if (rc != 0)
            break;
        md5_update(&c->md5, len, (const uint8_t *)c->chunk);
        ft_jsonl_feed(&c->jsonl, c->chunk, len);
        rc = ft_blob_put_write(c->writer, c->chunk, len, err);
        at += (int64_t)len;
    }
    ft_blob_close_reader(r);
    return rc;
}

/* Is what was put together what the client meant? False: answered. */
static bool check_content(struct completing *c, const char *md5)
{
    const struct ft_files_request *q = c->u->q;
    struct ft_err err = {0};
    uint8_t digest[MD5_DIGEST_SIZE];
    char hex[2 * MD5_DIGEST_SIZE + 1];
    md5_digest(&c->md5, sizeof digest, digest);
    ft_hex(digest, sizeof digest, hex);
    if (md5 != NULL && strcasecmp(md5, hex) != 0) {
        fl_bad(q, "checksum_mismatch", "md5", "md5: the parts together have %s", hex);
        return false;
    }
    if (fl_purpose_is_jsonl(text(c->u->record, "purpose")) && ft_jsonl_end(&c->jsonl, &err) != 0) {
        fl_bad(q, "invalid_file_format", "part_ids",
               "the file must be JSON Lines, every line a JSON object: %s", err.msg);
        return false;
    }
    return true;
}

/* The upload becomes `status`; false: answered, another request was faster. */
static bool end_as(struct upload *u, const char *status)
{
    struct ft_err err = {0};
    json_object_set_new(u->record, "status", json_string(status));
    int rc = save(u, true, &err);
    if (rc == FT_EBUSY && ft_blob_why(&err) == FT_BLOB_CONDITION)
        fl_bad(u->q, "upload_not_pending", NULL, "The upload was ended by another request.");
    else if (rc != 0)
        fl_fail_store(u->q, &err);
    return rc == 0;
}

/* A cancel was faster: what was just made goes. */
static void take_back(const struct upload *u, const struct fl_info *f)
{
    struct upload now = {.q = u->q};
    strcpy(now.id, u->id);
    now.name = u->name;
    if (read_record(&now, NULL) == 0 && strcmp(text(now.record, "status"), "cancelled") == 0)
        fl_remove(u->q->blob, u->name.bucket, f, NULL);
    json_decref(now.record);
}

static void finish(struct completing *c)
{
    struct upload *u = c->u;
    const struct ft_files_request *q = u->q;
    struct fl_info f = {.bytes = number(u->record, "bytes")};
    struct ft_err err = {0};
    int64_t lasts = number(u->record, "file_expires_s");
    snprintf(f.id, sizeof f.id, "%s", text(u->record, "file"));
    snprintf(f.name, sizeof f.name, "%s", text(u->record, "filename"));
    snprintf(f.purpose, sizeof f.purpose, "%s", text(u->record, "purpose"));
    if (lasts == 0 && strcmp(f.purpose, "batch") == 0)
        lasts = FT_FILES_BATCH_S;
    f.expires_s = lasts > 0 ? ft_oai_id_time(f.id) / 1000 + lasts : 0;
    int rc = fl_publish(q, c->writer, &f, &err);
    c->writer = NULL;
    if (rc != 0) {
        fl_fail_store(q, &err);
    } else if (!end_as(u, "completed")) {
        take_back(u, &f);
    } else {
        drop_parts(u);
        fl_answer(q, shown(u, fl_object(&f)));
    }
}

static void complete(struct upload *u)
{
    static const char *const all[] = {"part_ids", "md5"};
    const struct ft_files_request *q = u->q;
    struct ft_err err = {0};
    json_t *body = fl_body(q);
    if (body == NULL)
        return;
    const json_t *md5 = json_object_get(body, "md5");
    struct completing c = {
        .u = u, .parts = json_object_get(body, "part_ids"), .chunk = malloc(FT_FILES_CHUNK)};
    md5_init(&c.md5);
    ft_jsonl_init(&c.jsonl);
    fl_name_content(q->project, text(u->record, "file"), &c.name);
    if (md5 != NULL && !json_is_null(md5) && !json_is_string(md5)) {
        fl_bad(q, "invalid_type", "md5", "md5: must be a text");
    } else if (check_members(q, body, all, FT_COUNT(all)) && is_pending(u) && check_parts(&c)) {
        int rc = c.chunk != NULL ? fl_put(q, &c.name, &c.writer, &err)
                                 : ft_err_set(&err, FT_ENOMEM, "out of memory");
        for (size_t i = 0; rc == 0 && i < json_array_size(c.parts); i++)
            rc = copy_part(&c, json_string_value(json_array_get(c.parts, i)), &err);
        if (rc != 0)
            fl_fail_store(q, &err);
        else if (check_content(&c, json_string_value(md5)))
            finish(&c);
        ft_blob_put_abort(c.writer);
    }
    free(c.chunk);
    json_decref(body);
}

static void cancel(struct upload *u)
{
    if (!is_pending(u) || !end_as(u, "cancelled"))
        return;
    drop_parts(u);
    fl_answer(u->q, shown(u, NULL));
}

/* ---- the way in: "", "/ID/parts", "/ID/complete", "/ID/cancel" ---- */

void fl_uploads(const struct ft_files_request *q, const char *path)
{
    static const struct {
        const char *name;
        void (*run)(struct upload *u);
    } verbs[] = {{"/parts", add_part}, {"/complete", complete}, {"/cancel", cancel}};
    if (path[0] == '\0') {
        create(q);
        return;
    }
    const char *id = path + (path[0] == '/'), *slash = strchr(id, '/');
    struct upload u = {.q = q};
    for (size_t i = 0; slash != NULL && i < FT_COUNT(verbs); i++) {
        if (strcmp(slash, verbs[i].name) != 0)
            continue;
        snprintf(u.id, sizeof u.id, "%.*s", (int)FT_MIN((size_t)(slash - id), sizeof u.id - 1), id);
        if (load(&u))
            verbs[i].run(&u);
        json_decref(u.record);
        return;
    }
    fl_none(q, "Upload", path);
}
