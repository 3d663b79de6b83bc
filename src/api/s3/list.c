/* ListObjects (both versions), ListMultipartUploads, ListParts. */
#include "api/s3/list.h"

#include <nettle/base64.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/s3/object.h"
#include "api/s3/ops.h"
#include "net/url.h"

#define LIST_ANSWER_MAX (16u << 20)

/* ---- what they share ---- */

int ft_s3_lister_begin(struct ft_s3_lister *l, struct ft_s3_call *c, const char *root)
{
    *l = (struct ft_s3_lister){.c = c};
    const char *encoding = ft_s3_param(c, "encoding-type");
    l->escaped = encoding != NULL && strcasecmp(encoding, "url") == 0;
    if (encoding != NULL && !l->escaped)
        return ft_s3_fail(c, FT_S3_InvalidArgument, "Invalid Encoding Method specified in Request");
    ft_xml_init(&l->x, LIST_ANSWER_MAX);
    ft_buf_init(&l->prefixes, LIST_ANSWER_MAX);
    ft_xml_root(&l->x, root, FT_S3_XMLNS);
    return 0;
}

static void add_name(struct ft_s3_lister *l, struct ft_buf *b, const char *name)
{
    if (!l->escaped) {
        ft_xml_escape(b, name, strlen(name));
        return;
    }
    for (const char *p = name; *p != '\0';) { /* slashes stay */
        size_t n = strcspn(p, "/");
        ft_url_encode(b, p, n);
        p += n;
        if (*p == '/') {
            ft_buf_add_byte(b, '/');
            p++;
        }
    }
}

void ft_s3_lister_name(struct ft_s3_lister *l, const char *element, const char *name)
{
    ft_buf_addf(&l->x.buf, "<%s>", element);
    add_name(l, &l->x.buf, name);
    ft_buf_addf(&l->x.buf, "</%s>", element);
}

void ft_s3_lister_prefix(struct ft_s3_lister *l, const char *prefix)
{
    ft_buf_add_str(&l->prefixes, "<CommonPrefixes><Prefix>");
    add_name(l, &l->prefixes, prefix);
    ft_buf_add_str(&l->prefixes, "</Prefix></CommonPrefixes>");
    ft_s3_lister_at(l, prefix, "");
}

void ft_s3_lister_at(struct ft_s3_lister *l, const char *key, const char *id)
{
    if (l->last == NULL) {
        l->last = ft_arena_alloc(l->c->arena, FT_BLOB_KEY_MAX + 1);
        l->last_id = ft_arena_alloc(l->c->arena, FT_BLOB_UPLOAD_MAX + 1);
    }
    l->n++;
    if (l->last == NULL || l->last_id == NULL)
        return;
    snprintf(l->last, FT_BLOB_KEY_MAX + 1, "%s", key);
    snprintf(l->last_id, FT_BLOB_UPLOAD_MAX + 1, "%s", id);
}

void ft_s3_lister_owner(struct ft_s3_lister *l, const char *element, const char *project)
{
    const struct ft_s3_config *config = &l->c->s3->config;
    if (strcmp(l->owner, project) != 0) {
        struct ft_err err;
        snprintf(l->owner, sizeof l->owner, "%s", project);
        if (config->display == NULL || config->display(config->ctx, project, l->display, &err) != 0)
            snprintf(l->display, sizeof l->display, "%s", project);
    }
    ft_xml_begin(&l->x, element);
    ft_xml_text(&l->x, "ID", l->owner);
    ft_xml_text(&l->x, "DisplayName", l->display);
    ft_xml_end(&l->x);
}

void ft_s3_lister_drop(struct ft_s3_lister *l)
{
    ft_xml_fini(&l->x);
    ft_buf_fini(&l->prefixes);
}

int ft_s3_lister_finish(struct ft_s3_lister *l)
{
    if (l->prefixes.len > 0)
        ft_buf_add(&l->x.buf, l->prefixes.data, l->prefixes.len);
    if (l->prefixes.failed)
        l->x.buf.failed = l->prefixes.failed;
    ft_xml_end(&l->x);
    ft_buf_fini(&l->prefixes);
    return ft_s3_answer_xml(l->c, 200, &l->x);
}

/* ---- objects ---- */

static void add_sums(struct ft_xml *x, const struct ft_blob_info *info)
{
    const char *text;
    enum ft_s3_sum sum = ft_s3_sum_of(info->fields, info->n_fields, &text);
    if (sum == FT_S3_SUM_NONE)
        return;
    ft_xml_text(x, "ChecksumAlgorithm", ft_s3_sums[sum].name);
    ft_xml_text(x, "ChecksumType", ft_blob_field(info, FT_S3_FIELD_SUM_TYPE));
}

static int add_object(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct ft_s3_lister *l = ctx;
    if (info == NULL) {
        ft_s3_lister_prefix(l, prefix);
        return 0;
    }
    struct ft_xml *x = &l->x;
    ft_xml_begin(x, "Contents");
    ft_s3_lister_name(l, "Key", info->key);
    ft_xml_time(x, "LastModified", info->modified_ns);
    ft_buf_addf(&x->buf, "<ETag>&quot;%s&quot;</ETag>", info->etag);
    add_sums(x, info);
    ft_xml_int(x, "Size", info->size);
    const char *class = ft_blob_field(info, "x-amz-storage-class");
    ft_xml_text(x, "StorageClass", class != NULL ? class : "STANDARD");
    if (l->owners) {
        struct ft_s3_acl room;
        ft_s3_lister_owner(l, "Owner",
                           ft_s3_owner_of(l->settings, l->c->at.owner, info->acl, &room));
    }
    ft_xml_end(x);
    ft_s3_lister_at(l, info->key, "");
    return 0;
}

/* A continuation token is the last key in base64. */
static const char *read_token(struct ft_s3_call *c, const char *token)
{
    size_t n = strlen(token), len = BASE64_DECODE_LENGTH(n);
    char *key = ft_arena_alloc(c->arena, len + 1);
    struct base64_decode_ctx ctx;
    base64_decode_init(&ctx);
    if (key == NULL || n > BASE64_ENCODE_RAW_LENGTH(FT_BLOB_KEY_MAX) ||
        !base64_decode_update(&ctx, &len, (uint8_t *)key, n, token) || !base64_decode_final(&ctx) ||
        len == 0 || memchr(key, '\0', len) != NULL) {
        ft_s3_fail_extra(c, "ArgumentName", "continuation-token");
        ft_s3_fail(c, FT_S3_InvalidArgument, "The continuation token provided is incorrect");
        return NULL;
    }
    key[len] = '\0';
    return key;
}

static void add_token(struct ft_s3_lister *l)
{
    char text[BASE64_ENCODE_RAW_LENGTH(FT_BLOB_KEY_MAX) + 1];
    size_t n = strlen(l->last);
    base64_encode_raw(text, n, (const uint8_t *)l->last);
    text[BASE64_ENCODE_RAW_LENGTH(n)] = '\0';
    ft_xml_text(&l->x, "NextContinuationToken", text);
}

static const char *or_empty(const char *s)
{
    return s != NULL ? s : "";
}

/* The entries of a page, appended; *ret_more: others follow. */
static int entries(struct ft_s3_call *c, struct ft_s3_lister *l, const struct ft_blob_list *list,
                   bool *ret_more)
{
    struct ft_err err = {0};
    *ret_more = false;
    if (list->max == 0)
        return 0;
    if (ft_blob_list(c->blob, list, false, add_object, l, ret_more, &err) != 0)
        return ft_s3_fail_err(c, &err);
    return 0;
}

/* Entries are made first, in a document of their own: what stands before them tells of them. */
static int finish(struct ft_s3_lister *l, const char *entries_xml, size_t n)
{
    ft_buf_add(&l->x.buf, entries_xml, n);
    return ft_s3_lister_finish(l);
}

static int list_objects(struct ft_s3_call *c, struct ft_s3_lister *l, bool v2)
{
    const char *token = v2 ? ft_s3_param(c, "continuation-token") : NULL,
               *start = ft_s3_param(c, v2 ? "start-after" : "marker"),
               *fetch = ft_s3_param(c, "fetch-owner"),
               *unordered = ft_s3_param(c, "allow-unordered");
    struct ft_blob_list list = {.bucket = c->bucket,
                                .prefix = ft_s3_param(c, "prefix"),
                                .delimiter = ft_s3_param(c, "delimiter"),
                                .after = start};
    int64_t max;
    bool more;
    if (ft_s3_param_int(c, "max-keys", 0, INT32_MAX, FT_BLOB_LIST_MAX, &max) != 0)
        return -1;
    if (unordered != NULL && or_empty(list.delimiter)[0] != '\0') /* Ceph's own */
        return ft_s3_fail(c, FT_S3_InvalidArgument, "allow-unordered and a delimiter");
    if (token != NULL && token[0] != '\0' && (list.after = read_token(c, token)) == NULL)
        return -1;
    if (ft_s3_settings(c, &c->at, &l->settings) != 0)
        return -1;
    l->owners = !v2 || (fetch != NULL && strcmp(fetch, "true") == 0);
    list.max = (int)FT_MIN(max, (int64_t)FT_BLOB_LIST_MAX);
    size_t head = l->x.buf.len;
    if (entries(c, l, &list, &more) != 0)
        return -1;
    size_t n = l->x.buf.len - head;
    char *made = ft_arena_strndup(c->arena, l->x.buf.data + head, n);
    if (made == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    l->x.buf.len = head;
    ft_xml_text(&l->x, "Name", c->bucket);
    if (v2) /* clients know the first version's as it is */
        ft_s3_lister_name(l, "Prefix", or_empty(list.prefix));
    else
        ft_xml_text(&l->x, "Prefix", or_empty(list.prefix));
    if (or_empty(list.delimiter)[0] != '\0')
        ft_s3_lister_name(l, "Delimiter", list.delimiter);
    ft_xml_int(&l->x, "MaxKeys", FT_MIN(max, (int64_t)FT_BLOB_LIST_MAX));
    if (l->escaped)
        ft_xml_text(&l->x, "EncodingType", "url");
    if (v2) {
        ft_xml_int(&l->x, "KeyCount", l->n);
        ft_xml_text(&l->x, "ContinuationToken", token);
        if (start != NULL)
            ft_s3_lister_name(l, "StartAfter", start);
    } else {
        ft_s3_lister_name(l, "Marker", or_empty(start));
    }
    ft_xml_bool(&l->x, "IsTruncated", more);
    if (more && l->last != NULL && v2)
        add_token(l);
    if (more && l->last != NULL && !v2 && or_empty(list.delimiter)[0] != '\0')
        ft_s3_lister_name(l, "NextMarker", l->last);
    return finish(l, made, n);
}

static int list(struct ft_s3_call *c, bool v2)
{
    struct ft_s3_lister l;
    if (ft_s3_lister_begin(&l, c, "ListBucketResult") != 0)
        return -1;
    int rc = list_objects(c, &l, v2);
    if (rc != 0 && c->failed)
        ft_s3_lister_drop(&l);
    return rc;
}

int ft_s3_objects_list(struct ft_s3_call *c)
{
    return list(c, false);
}

int ft_s3_objects_list_v2(struct ft_s3_call *c)
{
    return strcmp(ft_s3_param(c, "list-type"), "2") == 0 ? list(c, true) : list(c, false);
}

/* ---- uploads ---- */

static int add_upload(void *ctx, const struct ft_blob_upload *u, const char *prefix)
{
    struct ft_s3_lister *l = ctx;
    if (u == NULL) {
        ft_s3_lister_prefix(l, prefix);
        return 0;
    }
    const char *class = NULL, *sum = NULL, *type = NULL;
    const char *owner = l->c->at.owner, *initiator = owner;
    for (int i = 0; i < u->n_fields; i++) {
        const struct ft_blob_field *f = &u->fields[i];
        if (strcmp(f->name, "x-amz-storage-class") == 0)
            class = f->value;
        if (strcmp(f->name, FT_S3_FIELD_SUM_NAME) == 0)
            sum = f->value;
        if (strcmp(f->name, FT_S3_FIELD_SUM_TYPE) == 0)
            type = f->value;
        if (strcmp(f->name, FT_S3_FIELD_OWNER) == 0)
            owner = f->value;
        if (strcmp(f->name, FT_S3_FIELD_INITIATOR) == 0)
            initiator = f->value;
    }
    ft_xml_begin(&l->x, "Upload");
    ft_s3_lister_name(l, "Key", u->key);
    ft_xml_text(&l->x, "UploadId", u->id);
    ft_s3_lister_owner(l, "Initiator", initiator);
    ft_s3_lister_owner(l, "Owner", owner);
    ft_xml_text(&l->x, "StorageClass", class != NULL ? class : "STANDARD");
    ft_xml_time(&l->x, "Initiated", u->begun_ns);
    ft_xml_text(&l->x, "ChecksumAlgorithm", sum);
    ft_xml_text(&l->x, "ChecksumType", type);
    ft_xml_end(&l->x);
    ft_s3_lister_at(l, u->key, u->id);
    return 0;
}

static int list_uploads(struct ft_s3_call *c, struct ft_s3_lister *l)
{
    const char *id = ft_s3_param(c, "upload-id-marker");
    struct ft_blob_list list = {.bucket = c->bucket,
                                .prefix = ft_s3_param(c, "prefix"),
                                .delimiter = ft_s3_param(c, "delimiter"),
                                .after = ft_s3_param(c, "key-marker")};
    list.after_version = or_empty(list.after)[0] != '\0' && or_empty(id)[0] != '\0' ? id : NULL;
    int64_t max;
    bool more = false;
    struct ft_err err = {0};
    if (ft_s3_param_int(c, "max-uploads", 0, INT32_MAX, FT_BLOB_LIST_MAX, &max) != 0)
        return -1;
    if (list.after_version != NULL && strlen(id) > FT_BLOB_UPLOAD_MAX)
        return ft_s3_fail(c, FT_S3_InvalidArgument, "Invalid uploadId marker");
    list.max = (int)FT_MIN(max, (int64_t)FT_BLOB_LIST_MAX);
    size_t head = l->x.buf.len;
    if (list.max > 0 && ft_blob_uploads(c->blob, &list, add_upload, l, &more, &err) != 0)
        return ft_s3_fail_err(c, &err);
    size_t n = l->x.buf.len - head;
    char *made = ft_arena_strndup(c->arena, l->x.buf.data + head, n);
    if (made == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    l->x.buf.len = head;
    ft_xml_text(&l->x, "Bucket", c->bucket);
    ft_s3_lister_name(l, "KeyMarker", or_empty(list.after));
    ft_xml_text(&l->x, "UploadIdMarker", or_empty(id));
    if (more && l->last != NULL) {
        ft_s3_lister_name(l, "NextKeyMarker", l->last);
        ft_xml_text(&l->x, "NextUploadIdMarker", l->last_id);
    }
    if (list.prefix != NULL)
        ft_s3_lister_name(l, "Prefix", list.prefix);
    if (list.delimiter != NULL)
        ft_s3_lister_name(l, "Delimiter", list.delimiter);
    ft_xml_int(&l->x, "MaxUploads", list.max);
    if (l->escaped)
        ft_xml_text(&l->x, "EncodingType", "url");
    ft_xml_bool(&l->x, "IsTruncated", more);
    return finish(l, made, n);
}

int ft_s3_uploads_list(struct ft_s3_call *c)
{
    struct ft_s3_lister l;
    if (ft_s3_lister_begin(&l, c, "ListMultipartUploadsResult") != 0)
        return -1;
    int rc = list_uploads(c, &l);
    if (rc != 0 && c->failed)
        ft_s3_lister_drop(&l);
    return rc;
}

/* ---- parts ---- */

struct parts {
    struct ft_xml *x;
    int last;
};

static int add_part(void *ctx, const struct ft_blob_part *p)
{
    struct parts *ps = ctx;
    const char *text;
    ft_xml_begin(ps->x, "Part");
    ft_xml_int(ps->x, "PartNumber", p->number);
    ft_xml_time(ps->x, "LastModified", p->modified_ns);
    ft_buf_addf(&ps->x->buf, "<ETag>&quot;%s&quot;</ETag>", p->etag);
    ft_xml_int(ps->x, "Size", p->size);
    enum ft_s3_sum sum = ft_s3_sum_of(p->fields, p->n_fields, &text);
    if (sum != FT_S3_SUM_NONE)
        ft_xml_text(ps->x, ft_s3_sums[sum].element, text);
    ft_xml_end(ps->x);
    ps->last = p->number;
    return 0;
}

static int list_parts(struct ft_s3_call *c, struct ft_s3_lister *l,
                      const struct ft_blob_object *upload)
{
    int64_t max, after;
    if (ft_s3_param_int(c, "max-parts", 0, INT32_MAX, FT_BLOB_LIST_MAX, &max) != 0 ||
        ft_s3_param_int(c, "part-number-marker", 0, INT32_MAX, 0, &after) != 0)
        return -1;
    max = FT_MIN(max, (int64_t)FT_BLOB_LIST_MAX);
    const char *id = ft_s3_param(c, "uploadId"),
               *class = ft_blob_field(&upload->info, "x-amz-storage-class");
    struct ft_xml *x = &l->x;
    ft_xml_text(x, "Bucket", c->bucket);
    ft_s3_lister_name(l, "Key", c->key);
    ft_xml_text(x, "UploadId", id);
    const char *owner = ft_blob_field(&upload->info, FT_S3_FIELD_OWNER),
               *initiator = ft_blob_field(&upload->info, FT_S3_FIELD_INITIATOR);
    ft_s3_lister_owner(l, "Initiator", initiator != NULL ? initiator : c->at.owner);
    ft_s3_lister_owner(l, "Owner", owner != NULL ? owner : c->at.owner);
    ft_xml_text(x, "StorageClass", class != NULL ? class : "STANDARD");
    ft_xml_text(x, "ChecksumAlgorithm", ft_blob_field(&upload->info, FT_S3_FIELD_SUM_NAME));
    ft_xml_text(x, "ChecksumType", ft_blob_field(&upload->info, FT_S3_FIELD_SUM_TYPE));
    ft_xml_int(x, "PartNumberMarker", after);
    ft_xml_int(x, "MaxParts", max);
    struct parts ps = {.x = x, .last = (int)FT_MIN(after, (int64_t)FT_BLOB_PART_MAX)};
    bool more = false;
    struct ft_err err = {0};
    if (max > 0 && ft_blob_upload_parts(c->blob, c->bucket, c->key, id, ps.last, (int)max, add_part,
                                        &ps, &more, &err) != 0)
        return ft_s3_fail_err(c, &err);
    ft_xml_int(x, "NextPartNumberMarker", ps.last);
    ft_xml_bool(x, "IsTruncated", more);
    return ft_s3_lister_finish(l);
}

int ft_s3_parts_list(struct ft_s3_call *c)
{
    const char *id = ft_s3_param(c, "uploadId");
    struct ft_blob_object upload = {0};
    struct ft_err err = {0};
    if (id[0] == '\0' || strlen(id) > FT_BLOB_UPLOAD_MAX)
        return ft_s3_fail(c, FT_S3_NoSuchUpload, NULL);
    if (ft_blob_upload_get(c->blob, c->bucket, c->key, id, &upload, &err) != 0)
        return ft_s3_fail_err(c, &err);
    struct ft_s3_lister l;
    int rc = ft_s3_lister_begin(&l, c, "ListPartsResult");
    if (rc == 0) {
        rc = list_parts(c, &l, &upload);
        if (rc != 0 && c->status == 0)
            ft_s3_lister_drop(&l);
    }
    ft_blob_object_fini(&upload);
    return rc;
}
