/* Uploads of callers over S3: the upstream's own, with what S3 has no place for in documents.
 * upload/NAME: what it was begun with, and what came of it; part/NAME/NUMBER/ETAG/FIELDS: the
 * fields of a part, in the document's name, so that one listing brings all; parts/NONCE: the sizes
 * and fields of a finished object's parts. NAME is a hash of bucket, key and id. */
#include <jansson.h>
#include <nettle/base64.h>
#include <nettle/md5.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "blob/s3/impl.h"

#define DOC_KEY_MAX (FT_BLOB_KEY_MAX + 1)
#define NAME_FIELDS 800 /* bytes of fields in a document's name; larger ones are its text */

void ups_upload_name(const char *bucket, const char *key, const char *id, char ret[S3_TOKEN_SIZE])
{
    struct sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&ctx);
    sha256_update(&ctx, strlen(bucket) + 1, (const uint8_t *)bucket);
    sha256_update(&ctx, strlen(key) + 1, (const uint8_t *)key);
    sha256_update(&ctx, strlen(id), (const uint8_t *)id);
    sha256_digest(&ctx, sizeof digest, digest);
    ft_hex(digest, (S3_TOKEN_SIZE - 1) / 2, ret);
}

static void upload_key(char ret[DOC_KEY_MAX], const char *name)
{
    snprintf(ret, DOC_KEY_MAX, "upload/%s", name);
}

static int no_upload(const char *key, const char *id, struct ft_err *err)
{
    return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_UPLOAD, "key %s has no upload %s", key, id);
}

/* ---- the upload's document ---- */

static int upload_keep(struct ups *s, const char *name, json_t *j, struct ft_err *err)
{
    char key[DOC_KEY_MAX], *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a document");
    upload_key(key, name);
    int rc = ups_doc_put(s, key, text, err);
    free(text);
    return rc;
}

/* NULL: there is none, or it could not be read (err). */
static int upload_read(struct ups *s, const char *bucket, const char *key, const char *id,
                       json_t **ret, struct ft_err *err)
{
    char name[S3_TOKEN_SIZE], doc[DOC_KEY_MAX], *text;
    ups_upload_name(bucket, key, id, name);
    upload_key(doc, name);
    int rc = ups_doc_get(s, doc, &text, err);
    if (rc <= 0)
        return rc < 0 ? rc : no_upload(key, id, err);
    *ret = json_loads(text, 0, NULL);
    free(text);
    return *ret != NULL ? 0 : ft_err_set(err, FT_ECORRUPT, "document %s: no JSON", doc);
}

int ups_upload_begin(struct ft_blob *b, const struct ft_blob_put *put,
                     char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place p;
    struct ft_blob_info info = {.key = put->key,
                                .fields = put->fields,
                                .n_fields = put->n_fields,
                                .tags = put->tags,
                                .n_tags = put->n_tags,
                                .hold = put->hold,
                                .acl = put->acl};
    char nonce[S3_TOKEN_SIZE], name[S3_TOKEN_SIZE], *state = NULL;
    char id[FT_BLOB_UPLOAD_MAX + 1];
    int rc = ups_place(s, put->bucket, &p, err);
    if (rc != 0)
        return rc;
    ups_token(nonce);
    if (put->hold.mode != FT_BLOB_LOCK_NONE || put->hold.legal)
        rc = ups_bucket_held(s, &p, err);
    if (rc == 0)
        rc = ups_state_write(&info, nonce, NULL, &state, err);
    if (rc == 0)
        rc = ups_native_begin(s, &p, &info, nonce, id, err);
    if (rc == 0) {
        json_t *j =
            json_pack("{s:s,s:s,s:s,s:s,s:s,s:I}", "bucket", put->bucket, "key", put->key, "id", id,
                      "nonce", nonce, "state", state, "begun_s", (json_int_t)ups_now_s());
        ups_upload_name(put->bucket, put->key, id, name);
        rc = upload_keep(s, name, j, err);
        json_decref(j);
        if (rc != 0)
            ups_native_abort(s, &p, put->key, id, NULL);
        else
            strcpy(ret_id, id);
    }
    free(state);
    return rc;
}

/* What it was begun with; FT_ENOTFOUND if it was completed. */
static int upload_state(const json_t *j, const char *key, const char *id,
                        struct ft_blob_object *ret, struct ft_err *err)
{
    const char *state = json_string_value(json_object_get(j, "state"));
    json_int_t begun = json_integer_value(json_object_get(j, "begun_s"));
    struct ft_blob_info info = {.key = key, .modified_ns = begun * 1000000000};
    if (json_object_get(j, "done") != NULL)
        return no_upload(key, id, err);
    if (state == NULL)
        return ft_err_set(err, FT_ECORRUPT, "upload %s: its document has no state", id);
    return ups_state_read(state, info, ret, err);
}

int ups_upload_get(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                   struct ft_blob_object *ret, struct ft_err *err)
{
    struct ups_place p;
    json_t *j;
    int rc = ups_place(ups_of(b), bucket, &p, err);
    if (rc == 0)
        rc = upload_read(ups_of(b), bucket, key, id, &j, err);
    if (rc != 0)
        return rc;
    rc = upload_state(j, key, id, ret, err);
    json_decref(j);
    return rc;
}

int ups_upload_forget(struct ups *s, const char *bucket, const char *key, const char *id,
                      struct ft_err *err)
{
    char name[S3_TOKEN_SIZE], doc[DOC_KEY_MAX];
    ups_upload_name(bucket, key, id, name);
    snprintf(doc, sizeof doc, "part/%s/", name);
    int rc = ups_docs_remove(s, doc, err);
    upload_key(doc, name);
    return rc == 0 ? ups_doc_remove(s, doc, err) : rc;
}

int ups_upload_abort(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                     struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place p;
    int rc = ups_place(s, bucket, &p, err);
    if (rc == 0)
        rc = ups_native_abort(s, &p, key, id, err);
    return rc == 0 ? ups_upload_forget(s, bucket, key, id, err) : rc;
}

/* ---- fields of parts ---- */

static json_t *fields_json(const struct ft_blob_field *f, int n)
{
    json_t *all = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(all, json_pack("[s,s]", f[i].name, f[i].value));
    return all;
}

int ups_part_keep(struct ups *s, const char *bucket, const char *key, const char *id, int number,
                  const char *etag, const struct ft_blob_info *info, struct ft_err *err)
{
    char name[S3_TOKEN_SIZE], doc[DOC_KEY_MAX], encoded[NAME_FIELDS + 1] = "-";
    json_t *j = fields_json(info->fields, info->n_fields);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (text == NULL)
        return ft_err_set(err, FT_EINVAL, "fields: not UTF-8, or too large for memory");
    size_t n = strlen(text);
    bool fits = BASE64_ENCODE_RAW_LENGTH(n) <= NAME_FIELDS;
    if (fits) {
        base64_encode_raw(encoded, n, (const uint8_t *)text);
        encoded[BASE64_ENCODE_RAW_LENGTH(n)] = '\0';
        for (char *c = encoded; *c != '\0'; c++) /* no '/' in a name */
            *c = *c == '/' ? '_' : *c == '+' ? '.' : *c;
    }
    ups_upload_name(bucket, key, id, name);
    snprintf(doc, sizeof doc, "part/%s/%05d/%s/%s", name, number, etag, encoded);
    int rc = ups_doc_put(s, doc, fits ? "" : text, err);
    free(text);
    return rc;
}

/* All that is kept of an upload's parts: names of documents, in order. */
struct kept {
    char **keys;
    size_t n, cap;
    struct ft_err *err;
};

static int keep_name(void *ctx, const char *key, int64_t modified_s)
{
    struct kept *k = ctx;
    (void)modified_s;
    if (k->n == k->cap) {
        size_t cap = k->cap == 0 ? 64 : 2 * k->cap;
        char **more = realloc(k->keys, cap * sizeof *more);
        if (more == NULL)
            return ft_err_set(k->err, FT_ENOMEM, "no memory for parts");
        k->keys = more;
        k->cap = cap;
    }
    k->keys[k->n] = strdup(key);
    return k->keys[k->n++] != NULL ? 0 : ft_err_set(k->err, FT_ENOMEM, "no memory for parts");
}

static void kept_fini(struct kept *k)
{
    for (size_t i = 0; i < k->n; i++)
        free(k->keys[i]);
    free(k->keys);
}

static int kept_load(struct ups *s, const char *bucket, const char *key, const char *id,
                     struct kept *ret, struct ft_err *err)
{
    char name[S3_TOKEN_SIZE], prefix[DOC_KEY_MAX];
    *ret = (struct kept){.err = err};
    ups_upload_name(bucket, key, id, name);
    snprintf(prefix, sizeof prefix, "part/%s/", name);
    return ups_docs(s, prefix, keep_name, ret, err);
}

static json_t *name_decode(const char *encoded)
{
    struct base64_decode_ctx ctx;
    char plain[NAME_FIELDS + 1];
    uint8_t text[BASE64_DECODE_LENGTH(NAME_FIELDS) + 1];
    size_t n = strlen(encoded);
    if (n > NAME_FIELDS)
        return NULL;
    for (size_t i = 0; i <= n; i++)
        plain[i] = encoded[i] == '_' ? '/' : encoded[i] == '.' ? '+' : encoded[i];
    base64_decode_init(&ctx);
    if (!base64_decode_update(&ctx, &n, text, n, plain) || !base64_decode_final(&ctx))
        return NULL;
    return json_loadb((const char *)text, n, 0, NULL);
}

/* The fields of a part with this ETag as a new array; NULL: it has none, or memory ran out. */
static json_t *part_fields(struct ups *s, const struct kept *k, int number, const char *etag)
{
    char wanted[FT_BLOB_ETAG_MAX + 16];
    snprintf(wanted, sizeof wanted, "/%05d/%s/", number, etag);
    for (size_t i = 0; i < k->n; i++) {
        const char *at = strstr(k->keys[i], wanted);
        if (at == NULL)
            continue;
        at += strlen(wanted);
        if (strcmp(at, "-") != 0)
            return name_decode(at);
        char *text = NULL;
        json_t *j = NULL;
        if (ups_doc_get(s, k->keys[i], &text, NULL) == 1)
            j = json_loads(text, 0, NULL);
        free(text);
        return j;
    }
    return NULL;
}

static int json_fields(const json_t *j, struct ft_blob_field *to)
{
    int n = 0;
    for (size_t i = 0; i < json_array_size(j) && n < FT_BLOB_FIELDS_MAX; i++) {
        const json_t *pair = json_array_get(j, i);
        to[n].name = json_string_value(json_array_get(pair, 0));
        to[n].value = json_string_value(json_array_get(pair, 1));
        n += to[n].name != NULL && to[n].value != NULL;
    }
    return n;
}

int ups_upload_parts(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                     int after, int max, ft_blob_parts_fn *fn, void *ctx, bool *ret_more,
                     struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place p;
    struct ups_piece *pieces = NULL;
    struct kept kept = {.n = 0};
    int n = 0;
    bool more;
    int rc = ups_place(s, bucket, &p, err);
    if (rc == 0)
        rc = ups_native_parts(s, &p, key, id, after, max, &pieces, &n, &more, err);
    if (rc == 0 && n > 0)
        rc = kept_load(s, bucket, key, id, &kept, err);
    for (int i = 0; i < n && rc == 0; i++) {
        struct ft_blob_field fields[FT_BLOB_FIELDS_MAX];
        json_t *j = part_fields(s, &kept, pieces[i].number, pieces[i].etag);
        struct ft_blob_part part = {.number = pieces[i].number,
                                    .size = pieces[i].size,
                                    .modified_ns = pieces[i].modified_s * 1000000000,
                                    .fields = fields,
                                    .n_fields = json_fields(j, fields)};
        strcpy(part.etag, pieces[i].etag);
        rc = fn(ctx, &part);
        json_decref(j);
    }
    if (rc == 0)
        *ret_more = more && max > 0;
    kept_fini(&kept);
    free(pieces);
    return rc;
}

/* ---- completing ---- */

struct completion {
    struct ups *s;
    struct ups_place p;
    const char *key, *id;
    const struct ft_blob_part *parts;
    int n_parts;
    struct ups_piece *pieces; /* as the upstream has them, of those that are named */
    char nonce[S3_TOKEN_SIZE];
    char etag[FT_BLOB_ETAG_MAX + 1];
};

/* MD5 of the parts' MD5s, and how many. */
static void upload_etag(struct completion *c)
{
    struct md5_ctx md5;
    uint8_t digest[MD5_DIGEST_SIZE];
    md5_init(&md5);
    for (int i = 0; i < c->n_parts; i++)
        for (int j = 0; j < MD5_DIGEST_SIZE && strlen(c->parts[i].etag) == 32; j++) {
            unsigned byte = 0;
            sscanf(c->parts[i].etag + 2 * j, "%2x", &byte);
            md5_update(&md5, 1, &(uint8_t){(uint8_t)byte});
        }
    md5_digest(&md5, sizeof digest, digest);
    ft_hex(digest, MD5_DIGEST_SIZE, c->etag);
    sprintf(c->etag + 32, "-%d", c->n_parts);
}

/* Are all that are named there? */
static int pieces_find(struct completion *c, struct ft_err *err)
{
    struct ups_piece *all;
    int n, at = 0, rc;
    bool more;
    rc = ups_native_parts(c->s, &c->p, c->key, c->id, 0, FT_BLOB_PART_MAX, &all, &n, &more, err);
    if (rc != 0)
        return rc;
    c->pieces = calloc((size_t)c->n_parts, sizeof *c->pieces);
    if (c->pieces == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory for parts");
    for (int i = 0; rc == 0 && i < c->n_parts; i++) {
        const struct ft_blob_part *part = &c->parts[i];
        while (at < n && all[at].number < part->number)
            at++;
        if (at == n || all[at].number != part->number || strcmp(all[at].etag, part->etag) != 0)
            rc = ft_blob_err(err, FT_EINVAL, FT_BLOB_NO_PART, "part %d: %s", part->number,
                             at == n || all[at].number != part->number ? "never uploaded"
                                                                       : "has another ETag");
        else
            c->pieces[i] = all[at];
    }
    free(all);
    return rc;
}

static int parts_keep(const struct completion *c, struct ft_err *err)
{
    struct kept kept;
    char key[DOC_KEY_MAX];
    int rc = kept_load(c->s, c->p.name, c->key, c->id, &kept, err);
    json_t *all = json_array();
    for (int i = 0; rc == 0 && i < c->n_parts; i++) {
        const struct ups_piece *p = &c->pieces[i];
        json_t *fields = part_fields(c->s, &kept, p->number, p->etag);
        json_array_append_new(all, json_pack("[I,s,I,o]", (json_int_t)p->size, p->etag,
                                             (json_int_t)p->modified_s,
                                             fields != NULL ? fields : json_array()));
    }
    char *text = rc == 0 ? json_dumps(all, JSON_COMPACT) : NULL;
    if (rc == 0 && (text == NULL || json_array_size(all) != (size_t)c->n_parts))
        rc = ft_err_set(err, FT_ENOMEM, "no memory for parts");
    snprintf(key, sizeof key, "parts/%s", c->nonce);
    if (rc == 0)
        rc = ups_doc_put(c->s, key, text, err);
    free(text);
    json_decref(all);
    kept_fini(&kept);
    return rc;
}

int ups_part_find(struct ups *s, const char *nonce, int number, struct ft_blob_part *ret,
                  int64_t *ret_offset, void **memory, struct ft_err *err)
{
    char key[DOC_KEY_MAX], *text;
    struct ft_blob_field fields[FT_BLOB_FIELDS_MAX];
    struct ft_blob_object o;
    snprintf(key, sizeof key, "parts/%s", nonce);
    int rc = ups_doc_get(s, key, &text, err);
    if (rc <= 0)
        return rc < 0 ? rc : ft_err_set(err, FT_ECORRUPT, "document %s is gone", key);
    json_t *all = json_loads(text, 0, NULL), *f = NULL;
    free(text);
    int64_t offset = 0;
    json_int_t size = 0, modified = 0;
    const char *etag = "";
    rc = json_array_size(all) >= (size_t)number ? 0 : -1;
    for (int i = 0; rc == 0 && i < number; i++) {
        offset += size;
        rc = json_unpack(json_array_get(all, (size_t)i), "[I,s,I,o]", &size, &etag, &modified, &f);
    }
    if (rc != 0) {
        json_decref(all);
        return ft_err_set(err, FT_ECORRUPT, "document %s: not what was written there", key);
    }
    struct ft_blob_info info = {.key = "", .fields = fields, .n_fields = json_fields(f, fields)};
    rc = ft_blob_object_set(&o, &info, NULL, 0, err);
    if (rc == 0) {
        *ret = (struct ft_blob_part){.number = number,
                                     .size = size,
                                     .modified_ns = modified * 1000000000,
                                     .fields = o.info.fields,
                                     .n_fields = o.info.n_fields};
        snprintf(ret->etag, sizeof ret->etag, "%s", etag);
        *ret_offset = offset;
        *memory = o.memory;
    }
    json_decref(all);
    return rc;
}

/* Under the key's lock. */
static int complete(struct completion *c, json_t *j, const struct ft_blob_condition *condition,
                    const struct ft_blob_field *fields, int n_fields, struct ft_blob_done *ret,
                    struct ft_err *err)
{
    struct ft_blob_object begun = {.memory = NULL}, whole = {.memory = NULL};
    int rc = upload_state(j, c->key, c->id, &begun, err);
    if (rc == 0)
        rc = pieces_find(c, err);
    if (rc == 0)
        rc = ups_may_replace(c->s, &c->p, c->key, condition, err);
    if (rc == 0)
        rc = parts_keep(c, err);
    if (rc == 0)
        rc = ft_blob_object_set(&whole, &begun.info, fields, n_fields, err);
    if (rc == 0) {
        whole.info.n_parts = c->n_parts;
        rc = ups_state_keep(c->s, &c->p, c->nonce, &whole.info, err);
    }
    if (rc == 0)
        rc = ups_native_complete(c->s, &c->p, c->key, c->id, c->pieces, c->n_parts, c->nonce, ret,
                                 err);
    ft_blob_object_fini(&begun);
    ft_blob_object_fini(&whole);
    return rc;
}

/* For who asks again: what came of it. Kept until a scrub finds it old. */
static void keep_done(const struct completion *c, const struct ft_blob_done *done)
{
    char name[S3_TOKEN_SIZE], doc[DOC_KEY_MAX];
    json_t *j =
        json_pack("{s:s,s:s,s:s,s:{s:s,s:s,s:s,s:I,s:I}}", "bucket", c->p.name, "key", c->key, "id",
                  c->id, "done", "parts", c->etag, "version", done->version, "etag", done->etag,
                  "size", (json_int_t)done->size, "modified_ns", (json_int_t)done->modified_ns);
    ups_upload_name(c->p.name, c->key, c->id, name);
    upload_keep(c->s, name, j, NULL); /* if it fails, who asks again is told that it is over */
    json_decref(j);
    snprintf(doc, sizeof doc, "part/%s/", name);
    ups_docs_remove(c->s, doc, NULL); /* else a scrub does */
}

/* Was it completed before, with the same parts? */
static bool done_before(const struct completion *c, const json_t *j, struct ft_blob_done *ret)
{
    const char *parts, *version, *etag;
    json_int_t size, modified;
    const json_t *done = json_object_get(j, "done");
    if (done == NULL ||
        json_unpack((json_t *)(uintptr_t)done, "{s:s,s:s,s:s,s:I,s:I}", "parts", &parts, "version",
                    &version, "etag", &etag, "size", &size, "modified_ns", &modified) != 0 ||
        strcmp(parts, c->etag) != 0)
        return false;
    *ret = (struct ft_blob_done){.size = size, .modified_ns = modified};
    snprintf(ret->version, sizeof ret->version, "%s", version);
    snprintf(ret->etag, sizeof ret->etag, "%s", etag);
    return true;
}

int ups_upload_complete(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                        const struct ft_blob_part *parts, int n_parts,
                        const struct ft_blob_condition *condition,
                        const struct ft_blob_field *fields, int n_fields, struct ft_blob_done *ret,
                        struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct completion c = {
        .s = s, .key = key, .id = id, .parts = parts, .n_parts = n_parts, .pieces = NULL};
    struct ft_blob_done done;
    struct ft_err own;
    json_t *j = NULL;
    err = err != NULL ? err : &own;
    upload_etag(&c);
    pthread_mutex_t *lock = ups_key_lock(s, bucket, key);
    pthread_mutex_lock(lock);
    int rc = ups_place(s, bucket, &c.p, err);
    if (rc == 0)
        rc = upload_read(s, bucket, key, id, &j, err);
    if (rc == 0 && !done_before(&c, j, &done)) {
        const char *nonce = json_string_value(json_object_get(j, "nonce"));
        snprintf(c.nonce, sizeof c.nonce, "%s", nonce != NULL ? nonce : "");
        rc = complete(&c, j, condition, fields, n_fields, &done, err);
        /* it was completed, and nobody could write that down any more */
        if (rc == FT_ENOTFOUND && ft_blob_why(err) == FT_BLOB_NO_UPLOAD && nonce != NULL &&
            ups_was_written(s, &c.p, key, nonce, &done, NULL) == 1)
            rc = 0;
        if (rc == 0)
            keep_done(&c, &done);
    }
    pthread_mutex_unlock(lock);
    json_decref(j);
    free(c.pieces);
    if (rc == 0 && ret != NULL)
        *ret = done;
    return rc;
}
