/* Headers kept with objects, conditions, and what is told of an object. */
#include "api/s3/object.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/date.h"

/* ---- headers that are kept ---- */

static const char *const kept[] = {"content-type",     "cache-control",    "content-disposition",
                                   "content-encoding", "content-language", "expires"};

bool ft_s3_is_metadata(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(kept); i++)
        if (strcasecmp(name, kept[i]) == 0)
            return true;
    return strncasecmp(name, "x-amz-meta-", 11) == 0;
}

static const char *lower(struct ft_s3_call *c, const char *s)
{
    char *copy = ft_arena_strndup(c->arena, s, strlen(s));
    for (char *p = copy; p != NULL && *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return copy;
}

/* "gzip, aws-chunked" without the latter, which is about the way here alone. */
static const char *encoding(struct ft_s3_call *c, const char *value)
{
    char *out = ft_arena_alloc(c->arena, 2 * strlen(value) + 3), *p = out;
    if (out == NULL)
        return NULL;
    for (const char *s = value; *(s += strspn(s, ", \t")) != '\0';) {
        size_t n = strcspn(s, ","), end = n;
        while (end > 0 && (s[end - 1] == ' ' || s[end - 1] == '\t'))
            end--;
        if (end != 11 || strncasecmp(s, "aws-chunked", 11) != 0) {
            if (p != out) {
                *p++ = ',';
                *p++ = ' ';
            }
            memcpy(p, s, end);
            p += end;
        }
        s += n;
    }
    *p = '\0';
    return out;
}

static const char *find(const struct ft_http_field *from, int n_from, const char *name)
{
    for (int i = 0; i < n_from; i++)
        if (strcasecmp(from[i].name, name) == 0)
            return from[i].value;
    return NULL;
}

static int read_class(struct ft_s3_call *c, const char *v, struct ft_blob_field *f, int *n)
{
    /* Of others clients believe what is said of them: that one has to be thawed first. */
    static const char *const classes[] = {"STANDARD", "REDUCED_REDUNDANCY"};
    if (v == NULL)
        return 0;
    size_t i = 0;
    while (i < FT_COUNT(classes) && strcmp(v, classes[i]) != 0)
        i++;
    if (i == FT_COUNT(classes))
        return ft_s3_fail(c, FT_S3_InvalidStorageClass, NULL);
    if (i > 0)
        f[(*n)++] = (struct ft_blob_field){"x-amz-storage-class", v};
    return 0;
}

static int refuse_encryption(struct ft_s3_call *c, const struct ft_http_field *from, int n_from)
{
    for (int i = 0; i < n_from; i++)
        if (strncasecmp(from[i].name, "x-amz-server-side-encryption", 28) == 0)
            return ft_s3_fail(c, FT_S3_NotImplemented,
                              "Server side encryption is not implemented.");
    return 0;
}

int ft_s3_fields_read(struct ft_s3_call *c, struct ft_blob_field **ret, int *ret_n)
{
    return ft_s3_fields_of(c, c->x->fields, c->x->n_fields, ret, ret_n);
}

int ft_s3_fields_of(struct ft_s3_call *c, const struct ft_http_field *from, int n_from,
                    struct ft_blob_field **ret, int *ret_n)
{
    struct ft_blob_field *f =
        ft_arena_array(c->arena, FT_BLOB_FIELDS_MAX + FT_S3_MORE_FIELDS, sizeof *f);
    int n = 0;
    size_t metadata = 0;
    if (f == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    if (refuse_encryption(c, from, n_from) != 0)
        return -1;
    bool typed = false;
    for (int i = 0; i < n_from; i++) {
        const char *name = from[i].name, *value = from[i].value;
        if (!ft_s3_is_metadata(name))
            continue;
        if (strncasecmp(name, "x-amz-meta-", 11) == 0)
            metadata += strlen(name) - 11 + strlen(value);
        name = lower(c, name);
        if (name != NULL && strcmp(name, "content-encoding") == 0)
            value = encoding(c, value);
        if (name == NULL || value == NULL)
            return ft_s3_fail(c, FT_S3_InternalError, NULL);
        typed = typed || strcmp(name, "content-type") == 0;
        if (value[0] == '\0' && strncmp(name, "x-amz-meta-", 11) != 0)
            continue;
        int same = 0; /* given twice: one with a comma */
        while (same < n && strcmp(f[same].name, name) != 0)
            same++;
        if (same < n) {
            f[same].value = ft_s3_printf(c, "%s,%s", f[same].value, value);
            if (f[same].value == NULL)
                return -1;
            continue;
        }
        if (n >= FT_BLOB_FIELDS_MAX - FT_S3_MORE_FIELDS - 4)
            return ft_s3_fail(c, FT_S3_MetadataTooLarge, NULL);
        f[n++] = (struct ft_blob_field){name, value};
    }
    if (metadata > FT_S3_METADATA_MAX) {
        ft_s3_fail_extra(c, "MaxSizeAllowed", ft_s3_printf(c, "%d", FT_S3_METADATA_MAX));
        ft_s3_fail_extra(c, "Size", ft_s3_printf(c, "%zu", metadata));
        return ft_s3_fail(c, FT_S3_MetadataTooLarge, NULL);
    }
    if (!typed)
        f[n++] = (struct ft_blob_field){"content-type", "binary/octet-stream"};
    const char *redirect = find(from, n_from, "x-amz-website-redirect-location");
    if (redirect != NULL)
        f[n++] = (struct ft_blob_field){"x-amz-website-redirect-location", redirect};
    if (read_class(c, find(from, n_from, "x-amz-storage-class"), f, &n) != 0)
        return -1;
    *ret = f;
    *ret_n = n;
    return 0;
}

/* ---- conditions ---- */

const char *ft_s3_etag_bare(struct ft_s3_call *c, const char *etag)
{
    if (etag == NULL)
        return NULL;
    etag += strspn(etag, " ");
    size_t n = strlen(etag);
    if (n >= 2 && etag[0] == '"' && etag[n - 1] == '"') {
        etag++;
        n -= 2;
    }
    return ft_arena_strndup(c->arena, etag, n);
}

bool ft_s3_etag_matches(const char *header, const char *etag)
{
    size_t m = strlen(etag);
    for (const char *p = header; *(p += strspn(p, ", \t")) != '\0';) {
        size_t n = strcspn(p, ","), end = n;
        while (end > 0 && (p[end - 1] == ' ' || p[end - 1] == '\t'))
            end--;
        const char *s = p;
        if (end >= 2 && strncmp(s, "W/", 2) == 0) {
            s += 2;
            end -= 2;
        }
        if (end >= 2 && s[0] == '"' && s[end - 1] == '"') {
            s++;
            end -= 2;
        }
        if ((end == 1 && s[0] == '*') || (end == m && memcmp(s, etag, m) == 0))
            return true;
        p += n;
    }
    return false;
}

void ft_s3_write_condition(struct ft_s3_call *c, struct ft_blob_condition *ret)
{
    ret->if_match = ft_s3_etag_bare(c, ft_s3_in(c, "if-match"));
    ret->if_none_match = ft_s3_etag_bare(c, ft_s3_in(c, "if-none-match"));
}

static const char *prefixed(struct ft_s3_call *c, const char *prefix, const char *name)
{
    char text[64];
    snprintf(text, sizeof text, "%s%s", prefix, name);
    return ft_s3_in(c, text);
}

/* RFC 9110, 13.2.2; AWS has the same order. Dates that are none are not looked at. */
int ft_s3_read_conditions(struct ft_s3_call *c, const struct ft_blob_info *info, const char *prefix)
{
    const char *match = prefixed(c, prefix, "if-match"),
               *none = prefixed(c, prefix, "if-none-match"),
               *since = prefixed(c, prefix, "if-modified-since"),
               *unless = prefixed(c, prefix, "if-unmodified-since");
    int64_t modified_s = info->modified_ns / 1000000000, t;
    enum ft_s3_code same = prefix[0] == '\0' ? FT_S3_NotModified : FT_S3_PreconditionFailed;
    if (match != NULL) {
        if (!ft_s3_etag_matches(match, info->etag)) {
            ft_s3_fail_extra(c, "Condition", "If-Match");
            return ft_s3_fail(c, FT_S3_PreconditionFailed, NULL);
        }
    } else if (unless != NULL && ft_date_parse_http(unless, &t) && modified_s > t) {
        ft_s3_fail_extra(c, "Condition", "If-Unmodified-Since");
        return ft_s3_fail(c, FT_S3_PreconditionFailed, NULL);
    }
    if (none != NULL) {
        if (ft_s3_etag_matches(none, info->etag))
            return ft_s3_fail(c, same, NULL);
    } else if (since != NULL && ft_date_parse_http(since, &t) && modified_s <= t) {
        return ft_s3_fail(c, same, NULL);
    }
    return 0;
}

/* ---- what is told ---- */

int ft_s3_version_param(struct ft_s3_call *c, const char **ret)
{
    const char *v = ft_s3_param(c, "versionId");
    if (v != NULL && (v[0] == '\0' || strlen(v) > FT_BLOB_VERSION_MAX)) {
        ft_s3_fail_extra(c, "ArgumentName", "versionId");
        ft_s3_fail_extra(c, "ArgumentValue", v);
        return ft_s3_fail(c, FT_S3_InvalidArgument,
                          v[0] == '\0' ? "Version id cannot be the empty string"
                                       : "Invalid version id specified");
    }
    *ret = v;
    return 0;
}

bool ft_s3_versions_kept(const struct ft_blob_bucket *b)
{
    return b->versioning != FT_BLOB_UNVERSIONED;
}

enum ft_s3_sum ft_s3_sum_of(const struct ft_blob_field *fields, int n, const char **ret_text)
{
    for (int i = 0; i < n; i++) {
        enum ft_s3_sum sum = ft_s3_sum_by_header(fields[i].name);
        if (sum != FT_S3_SUM_NONE) {
            *ret_text = fields[i].value;
            return sum;
        }
    }
    return FT_S3_SUM_NONE;
}

void ft_s3_out_new_version(struct ft_s3_call *c, const char *version)
{
    if (c->at.versioning == FT_BLOB_VERSIONED)
        ft_s3_out_version(c, version);
}

static void hold_out(struct ft_s3_call *c, const struct ft_blob_hold *hold)
{
    if (hold->mode != FT_BLOB_LOCK_NONE) {
        char date[FT_DATE_MAX];
        ft_date_iso(hold->until_s * 1000000000, date);
        ft_s3_out(c, "x-amz-object-lock-mode", ft_s3_lock_mode_name(hold->mode));
        ft_s3_out(c, "x-amz-object-lock-retain-until-date", date);
    }
    if (hold->legal)
        ft_s3_out(c, "x-amz-object-lock-legal-hold", "ON");
}

void ft_s3_info_out(struct ft_s3_call *c, const struct ft_blob_info *info, bool sums)
{
    char date[FT_DATE_MAX];
    ft_date_http(info->modified_ns / 1000000000, date);
    ft_s3_out(c, "Last-Modified", date);
    ft_s3_outf(c, "ETag", "\"%s\"", info->etag);
    ft_s3_out_version(c, info->version);
    for (int i = 0; i < info->n_fields; i++) {
        const struct ft_blob_field *f = &info->fields[i];
        bool sum = strncmp(f->name, "x-amz-checksum-", 15) == 0;
        if (ft_s3_is_metadata(f->name) || (sum && sums) ||
            strcmp(f->name, "x-amz-storage-class") == 0 ||
            strcmp(f->name, "x-amz-website-redirect-location") == 0)
            ft_s3_out(c, f->name, f->value);
    }
    if (info->n_tags > 0)
        ft_s3_outf(c, "x-amz-tagging-count", "%d", info->n_tags);
    hold_out(c, &info->hold);
    ft_s3_out_expiry(c, info);
}

/* ---- writing ---- */

int ft_s3_body_store(struct ft_s3_call *c, struct ft_blob_writer *w)
{
    for (;;) {
        const void *piece;
        size_t n;
        struct ft_err err = {0};
        if (ft_s3_body_next(c, &piece, &n) != 0)
            return -1;
        if (n == 0)
            return 0;
        if (ft_s3_quota_more(c, (int64_t)n) != 0)
            return -1;
        if (ft_blob_put_write(w, piece, n, &err) != 0)
            return ft_s3_fail_err(c, &err);
    }
}

int ft_s3_sum_fields(struct ft_s3_call *c, bool with_type, struct ft_blob_field *ret, int *ret_n)
{
    enum ft_s3_sum sum = ft_s3_body_sum(c);
    *ret_n = 0;
    if (sum == FT_S3_SUM_NONE)
        return 0;
    char text[FT_S3_SUM_TEXT_MAX];
    ft_s3_sum_write(sum, ft_s3_body_sum_bytes(c), text);
    const char *copy = ft_arena_strndup(c->arena, text, strlen(text));
    if (copy == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    ret[(*ret_n)++] = (struct ft_blob_field){ft_s3_sums[sum].header, copy};
    ft_s3_out(c, ft_s3_sums[sum].header, copy);
    if (with_type) {
        ret[(*ret_n)++] = (struct ft_blob_field){FT_S3_FIELD_SUM_TYPE, "FULL_OBJECT"};
        ft_s3_out(c, FT_S3_FIELD_SUM_TYPE, "FULL_OBJECT");
    }
    return 0;
}

int ft_s3_quota_more(struct ft_s3_call *c, int64_t bytes)
{
    return ft_s3_body_size(c) >= 0 ? 0 : ft_s3_quota(c, bytes);
}

int ft_s3_quota(struct ft_s3_call *c, int64_t bytes)
{
    const struct ft_s3_config *config = &c->s3->config;
    struct ft_err err = {0};
    if (config->quota == NULL || config->quota(config->ctx, c->at.owner, bytes, &err) == 0)
        return 0;
    return err.code == FT_ELIMIT ? ft_s3_fail(c, FT_S3_QuotaExceeded, "%s", err.msg)
                                 : ft_s3_fail_err(c, &err);
}

static int take_newest(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct ft_s3_marker *m = ctx;
    (void)prefix;
    if (info != NULL && strcmp(info->key, m->key) == 0 && info->is_marker) {
        m->there = true;
        memcpy(m->version, info->version, sizeof m->version);
        m->modified_ns = info->modified_ns;
    }
    return 0;
}

void ft_s3_marker_find(struct ft_s3_call *c, const char *key, struct ft_s3_marker *ret)
{
    const struct ft_blob_list l = {.bucket = c->bucket, .prefix = key, .max = 1};
    struct ft_err ignored;
    bool more;
    *ret = (struct ft_s3_marker){.key = key};
    if (ft_s3_versions_kept(&c->at))
        ft_blob_list(c->blob, &l, true, take_newest, ret, &more, &ignored);
}

static void marker_out(struct ft_s3_call *c, const char *version, int64_t modified_ns)
{
    char date[FT_DATE_MAX];
    ft_date_http(modified_ns / 1000000000, date);
    ft_s3_out(c, "x-amz-delete-marker", "true");
    ft_s3_out(c, "x-amz-version-id", version);
    ft_s3_out(c, "Last-Modified", date);
}

int ft_s3_fail_read(struct ft_s3_call *c, const char *version, const struct ft_err *err)
{
    enum ft_blob_why why = ft_blob_why(err);
    if (why == FT_BLOB_IS_MARKER && version != NULL) {
        struct ft_blob_object o = {0};
        struct ft_err again;
        ft_blob_head(c->blob, c->bucket, c->key, version, &o, &again); /* fills o with the marker */
        marker_out(c, version, o.info.modified_ns);
        ft_s3_out(c, "Allow", "DELETE");
        ft_blob_object_fini(&o);
    }
    if (why == FT_BLOB_NO_KEY && version == NULL) {
        struct ft_s3_marker m;
        ft_s3_marker_find(c, c->key, &m);
        if (m.there)
            marker_out(c, m.version, m.modified_ns);
        else
            ft_s3_out(c, "x-amz-delete-marker", "false");
    }
    if (why == FT_BLOB_NO_VERSION)
        ft_s3_fail_extra(c, "VersionId", version);
    return ft_s3_fail_err(c, err);
}
