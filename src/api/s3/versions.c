/* ListObjectVersions. */
#include <string.h>

#include <stdio.h>
#include "api/s3/marks.h"
#include "api/s3/ops.h"
#include "net/url.h"

struct listing {
    struct ft_s3_call *c;
    const struct ft_s3_settings *settings;
    struct ft_s3_people people;
    struct ft_xml x; /* the entries */
    bool encode;
    char last_key[FT_BLOB_KEY_MAX + 1], last_version[FT_BLOB_VERSION_MAX + 1];
};

/* As url encoding has it where it was asked for: '/' stays. */
static void name_text(struct ft_xml *x, const char *name, const char *value, bool encode)
{
    struct ft_buf b;
    if (!encode || value == NULL) {
        ft_xml_text(x, name, value);
        return;
    }
    ft_buf_init(&b, 3 * FT_BLOB_KEY_MAX + 1);
    for (const char *p = value; *p != '\0'; p += strcspn(p, "/")) {
        for (; *p == '/'; p++)
            ft_buf_add_byte(&b, '/');
        ft_url_encode(&b, p, strcspn(p, "/"));
    }
    ft_xml_text(x, name, b.len > 0 ? b.data : "");
    ft_buf_fini(&b);
}

static int add(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct listing *l = ctx;
    struct ft_xml *x = &l->x;
    const char *key = info != NULL ? info->key : prefix;
    snprintf(l->last_key, sizeof(l->last_key), "%s", key);
    snprintf(l->last_version, sizeof(l->last_version), "%s", info != NULL ? info->version : "");
    if (info == NULL) {
        ft_xml_begin(x, "CommonPrefixes");
        name_text(x, "Prefix", prefix, l->encode);
        ft_xml_end(x);
        return x->buf.failed;
    }
    struct ft_s3_acl room;
    ft_xml_begin(x, info->is_marker ? "DeleteMarker" : "Version");
    name_text(x, "Key", info->key, l->encode);
    ft_xml_text(x, "VersionId", info->version);
    ft_xml_bool(x, "IsLatest", info->is_latest);
    ft_xml_time(x, "LastModified", info->modified_ns);
    if (!info->is_marker) {
        char etag[FT_BLOB_ETAG_MAX + 3];
        snprintf(etag, sizeof(etag), "\"%s\"", info->etag);
        ft_xml_text(x, "ETag", etag);
        ft_xml_int(x, "Size", info->size);
        ft_xml_text(x, "StorageClass", "STANDARD");
    }
    ft_s3_owner_write("Owner", ft_s3_owner_of(l->settings, l->c->at.owner, info->acl, &room),
                      &l->people, x);
    ft_xml_end(x);
    return x->buf.failed;
}

/* The document's head, then the entries. */
static int answer(struct listing *l, const struct ft_blob_list *list, bool more)
{
    struct ft_s3_call *c = l->c;
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, "ListVersionsResult", FT_S3_XMLNS);
    ft_xml_text(&x, "Name", c->bucket);
    name_text(&x, "Prefix", list->prefix != NULL ? list->prefix : "", l->encode);
    name_text(&x, "KeyMarker", list->after != NULL ? list->after : "", l->encode);
    ft_xml_text(&x, "VersionIdMarker", list->after_version != NULL ? list->after_version : "");
    ft_xml_int(&x, "MaxKeys", list->max);
    if (list->delimiter != NULL && *list->delimiter != '\0')
        name_text(&x, "Delimiter", list->delimiter, l->encode);
    if (l->encode)
        ft_xml_text(&x, "EncodingType", "url");
    ft_xml_bool(&x, "IsTruncated", more);
    if (more) {
        name_text(&x, "NextKeyMarker", l->last_key, l->encode);
        if (l->last_version[0] != '\0')
            ft_xml_text(&x, "NextVersionIdMarker", l->last_version);
    }
    if (l->x.buf.failed != 0)
        x.buf.failed = l->x.buf.failed;
    else if (l->x.buf.len > 0)
        ft_buf_add(&x.buf, l->x.buf.data, l->x.buf.len);
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 200, &x);
}

int ft_s3_list_versions(struct ft_s3_call *c)
{
    struct listing l = {.c = c, .people = ft_s3_people(c)};
    const char *encoding = ft_s3_param(c, "encoding-type"), *version;
    struct ft_blob_list list = {.bucket = c->bucket,
                                .prefix = ft_s3_param(c, "prefix"),
                                .delimiter = ft_s3_param(c, "delimiter"),
                                .after = ft_s3_param(c, "key-marker")};
    int64_t max;
    bool more = false;
    struct ft_err err = {0};
    if (ft_s3_param_int(c, "max-keys", 0, INT32_MAX, FT_BLOB_LIST_MAX, &max) != 0 ||
        ft_s3_settings(c, &c->at, &l.settings) != 0)
        return -1;
    if (encoding != NULL && strcmp(encoding, "url") != 0)
        return ft_s3_fail(c, FT_S3_InvalidArgument, "Invalid Encoding Method specified in Request");
    version = ft_s3_param(c, "version-id-marker");
    if (version != NULL && *version != '\0') {
        if (list.after == NULL || *list.after == '\0')
            return ft_s3_fail(c, FT_S3_InvalidArgument,
                              "A version-id marker cannot be specified without a key marker.");
        list.after_version = version;
    }
    l.encode = encoding != NULL;
    list.max = (int)FT_MIN(max, FT_BLOB_LIST_MAX);
    ft_xml_init(&l.x, FT_S3_ANSWER_MAX);
    ft_buf_reset(&l.x.buf); /* a part of a document */
    int rc = list.max == 0 ? 0 : ft_blob_list(c->blob, &list, true, add, &l, &more, &err);
    rc = rc != 0 ? ft_s3_fail_err(c, &err) : answer(&l, &list, more);
    ft_xml_fini(&l.x);
    return rc;
}
