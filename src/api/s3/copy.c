/* CopyObject and UploadPartCopy: one object's bytes become another's, or a part of an upload. */
#include "api/s3/copy.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/s3/object.h"
#include "api/s3/ops.h"
#include "api/s3/tags.h"
#include "base/utf8.h"

/* ---- where from ---- */

/* "[/]bucket/key[?versionId=id]", escaped. */
static int read_source(struct ft_s3_call *c, struct ft_s3_source *s)
{
    const char *text = ft_s3_in(c, "x-amz-copy-source");
    text += text[0] == '/';
    size_t n = strcspn(text, "?");
    /* a client that escapes the slash too */
    char *path = ft_s3_unescape(c->arena, text, n, false), *slash;
    if (path == NULL || (slash = strchr(path, '/')) == NULL || slash == path || slash[1] == '\0' ||
        !ft_utf8_valid(path, strlen(path)))
        return ft_s3_fail(c, FT_S3_InvalidArgument,
                          "Copy Source must mention the source bucket and key: "
                          "sourcebucket/sourcekey");
    *slash = '\0';
    s->bucket = path;
    s->key = slash + 1;
    if (text[n] == '?') {
        if (strncmp(text + n, "?versionId=", 11) != 0)
            return ft_s3_fail(c, FT_S3_InvalidArgument, "Unsupported copy source parameter.");
        s->version = ft_s3_unescape(c->arena, text + n + 11, strlen(text + n + 11), false);
        if (s->version == NULL || s->version[0] == '\0' || strlen(s->version) > FT_BLOB_VERSION_MAX)
            return ft_s3_fail(c, FT_S3_InvalidArgument, "Invalid version id specified");
    }
    if (strlen(s->key) > FT_BLOB_KEY_MAX)
        return ft_s3_fail(c, FT_S3_KeyTooLongError, NULL);
    return 0;
}

int ft_s3_source_open(struct ft_s3_call *c, struct ft_s3_source *s)
{
    struct ft_err err = {0};
    if (read_source(c, s) != 0 || ft_s3_bucket(c, s->bucket, &s->at) != 0)
        return -1;
    const char *owner = ft_s3_in(c, "x-amz-source-expected-bucket-owner");
    if (owner != NULL && strcmp(owner, s->at.owner) != 0)
        return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
    struct ft_s3_ask ask = {
        .action = s->version != NULL ? "s3:GetObjectVersion" : "s3:GetObject",
        .bucket = &s->at,
        .key = s->key,
        .version = s->version,
    };
    if (ft_blob_head(c->blob, s->bucket, s->key, s->version, &s->object, &err) == 0)
        ask.object = &s->object.info; /* what is asked about is what will be copied */
    if (ft_s3_may(c, &ask) != 0)
        return -1;
    if (ask.object == NULL)
        return ft_blob_why(&err) == FT_BLOB_IS_MARKER
                   ? ft_s3_fail(c, FT_S3_InvalidRequest,
                                "The source of a copy request may not specifically refer to a "
                                "delete marker by version id.")
                   : ft_s3_fail_err(c, &err);
    if (ft_s3_versions_kept(&s->at))
        ft_s3_out(c, "x-amz-copy-source-version-id", s->object.info.version);
    return ft_s3_read_conditions(c, &s->object.info, "x-amz-copy-source-");
}

void ft_s3_source_close(struct ft_s3_source *s)
{
    ft_blob_object_fini(&s->object);
}

/* "COPY" or "REPLACE" in a header. */
static int directive(struct ft_s3_call *c, const char *header, bool *ret_replace)
{
    const char *v = ft_s3_in(c, header);
    *ret_replace = v != NULL && strcmp(v, "REPLACE") == 0;
    if (v == NULL || *ret_replace || strcmp(v, "COPY") == 0)
        return 0;
    ft_s3_fail_extra(c, "ArgumentName", header);
    ft_s3_fail_extra(c, "ArgumentValue", v);
    return ft_s3_fail(c, FT_S3_InvalidArgument, "Unknown %s directive.",
                      strstr(header, "tagging") != NULL ? "tagging" : "metadata");
}

/* ---- a checksum of what is copied ---- */

int ft_s3_source_sum(struct ft_s3_call *c, const struct ft_s3_source *s, int64_t offset,
                     int64_t size, enum ft_s3_sum sum, const char **ret)
{
    struct ft_blob_reader *r;
    struct ft_err err = {0};
    struct ft_s3_summer summer;
    if (ft_blob_open(c->blob, s->bucket, s->key, s->object.info.version, &r, &err) != 0)
        return ft_s3_fail_err(c, &err);
    char *piece = malloc(FT_S3_PIECE_BYTES);
    int rc = piece == NULL ? ft_err_set(&err, FT_ENOMEM, "no memory") : 0;
    ft_s3_summer_init(&summer, sum);
    for (int64_t done = 0; rc == 0 && done < size;) {
        size_t n = (size_t)FT_MIN(size - done, (int64_t)FT_S3_PIECE_BYTES);
        rc = ft_blob_read(r, offset + done, piece, n, &err);
        if (rc == 0)
            ft_s3_summer_add(&summer, piece, n);
        done += (int64_t)n;
    }
    free(piece);
    ft_blob_close_reader(r);
    if (rc != 0)
        return ft_s3_fail_err(c, &err);
    uint8_t bytes[FT_S3_SUM_BYTES_MAX];
    char text[FT_S3_SUM_TEXT_MAX];
    ft_s3_summer_end(&summer, bytes);
    ft_s3_sum_write(sum, bytes, text);
    *ret = ft_arena_strndup(c->arena, text, strlen(text));
    return *ret != NULL ? 0 : ft_s3_fail(c, FT_S3_InternalError, NULL);
}

/* The one that was asked for, else the source's if it is of the whole. */
static int copy_sum(struct ft_s3_call *c, const struct ft_s3_source *s, struct ft_blob_field *f,
                    int *n)
{
    const struct ft_blob_info *info = &s->object.info;
    const char *name = ft_s3_in(c, "x-amz-checksum-algorithm"), *text = NULL,
               *type = ft_blob_field(info, FT_S3_FIELD_SUM_TYPE);
    enum ft_s3_sum sum = ft_s3_sum_of(info->fields, info->n_fields, &text);
    bool whole = sum != FT_S3_SUM_NONE && (type == NULL || strcmp(type, "FULL_OBJECT") == 0);
    enum ft_s3_sum want = sum;
    if (name != NULL) {
        want = ft_s3_sum_by_name(name);
        if (want == FT_S3_SUM_NONE)
            return ft_s3_fail(c, FT_S3_InvalidRequest,
                              "Checksum algorithm provided is unsupported.");
    }
    if (want == FT_S3_SUM_NONE)
        return 0;
    if ((!whole || want != sum) && ft_s3_source_sum(c, s, 0, info->size, want, &text) != 0)
        return -1;
    f[(*n)++] = (struct ft_blob_field){ft_s3_sums[want].header, text};
    f[(*n)++] = (struct ft_blob_field){FT_S3_FIELD_SUM_TYPE, "FULL_OBJECT"};
    return 0;
}

/* ---- CopyObject ---- */

/* The fields that the copy is to have. */
static int copy_fields(struct ft_s3_call *c, const struct ft_s3_source *s, bool replace,
                       struct ft_blob_put *to)
{
    struct ft_blob_field *f, *given;
    int n = 0, n_given;
    if (ft_s3_fields_read(c, &given, &n_given) != 0)
        return -1;
    f = ft_arena_array(c->arena, 2 * FT_BLOB_FIELDS_MAX, sizeof *f);
    if (f == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    for (int i = 0; i < n_given; i++) /* the class is never taken along */
        if (replace || !ft_s3_is_metadata(given[i].name))
            f[n++] = given[i];
    const struct ft_blob_info *info = &s->object.info;
    for (int i = 0; !replace && i < info->n_fields; i++)
        if (ft_s3_is_metadata(info->fields[i].name))
            f[n++] = info->fields[i];
    if (copy_sum(c, s, f, &n) != 0)
        return -1;
    to->fields = f;
    to->n_fields = n;
    return 0;
}

static bool onto_itself(const struct ft_s3_call *c, const struct ft_s3_source *s)
{
    return strcmp(s->bucket, c->bucket) == 0 && strcmp(s->key, c->key) == 0 && s->version == NULL;
}

static int answer_copy(struct ft_s3_call *c, const char *root, const struct ft_blob_done *done,
                       const struct ft_blob_field *fields, int n_fields)
{
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, root, FT_S3_XMLNS);
    ft_xml_time(&x, "LastModified", done->modified_ns);
    ft_buf_addf(&x.buf, "<ETag>&quot;%s&quot;</ETag>", done->etag);
    const char *text;
    enum ft_s3_sum sum = ft_s3_sum_of(fields, n_fields, &text);
    if (sum != FT_S3_SUM_NONE)
        ft_xml_text(&x, ft_s3_sums[sum].element, text);
    for (int i = 0; i < n_fields; i++)
        if (strcmp(fields[i].name, FT_S3_FIELD_SUM_TYPE) == 0)
            ft_xml_text(&x, "ChecksumType", fields[i].value);
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 200, &x);
}

static int copy_object(struct ft_s3_call *c, struct ft_s3_source *s)
{
    bool replace, replace_tags;
    struct ft_blob_copy copy = {.from_bucket = s->bucket,
                                .from_key = s->key,
                                .from_version = s->version,
                                .size = -1,
                                .from_etag = s->object.info.etag,
                                .to = {.bucket = c->bucket, .key = c->key, .size = -1}};
    if (directive(c, "x-amz-metadata-directive", &replace) != 0 ||
        directive(c, "x-amz-tagging-directive", &replace_tags) != 0)
        return -1;
    if (onto_itself(c, s) && !replace && ft_s3_in(c, "x-amz-storage-class") == NULL &&
        ft_s3_in(c, "x-amz-website-redirect-location") == NULL &&
        c->at.versioning != FT_BLOB_VERSIONED)
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "This copy request is illegal because it is trying to copy an object to "
                          "itself without changing the object's metadata, storage class, website "
                          "redirect location or encryption attributes.");
    if (s->object.info.size > FT_S3_COPY_MAX)
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "The specified copy source is larger than the maximum allowable size for "
                          "a copy source: %lld",
                          (long long)FT_S3_COPY_MAX);
    if (copy_fields(c, s, replace, &copy.to) != 0 || ft_s3_put_marks(c, &copy.to) != 0 ||
        ft_s3_quota(c, s->object.info.size) != 0)
        return -1;
    if (!replace_tags) {
        copy.to.tags = s->object.info.tags;
        copy.to.n_tags = s->object.info.n_tags;
    }
    ft_s3_write_condition(c, &copy.to.condition);
    struct ft_blob_done done;
    struct ft_err err = {0};
    if (ft_blob_copy(c->blob, &copy, &done, &err) != 0)
        return ft_s3_fail_err(c, &err);
    ft_s3_out_new_version(c, done.version);
    return answer_copy(c, "CopyObjectResult", &done, copy.to.fields, copy.to.n_fields);
}

int ft_s3_object_copy(struct ft_s3_call *c)
{
    struct ft_s3_source s = {0};
    int rc = ft_s3_source_open(c, &s);
    if (rc == 0)
        rc = copy_object(c, &s);
    ft_s3_source_close(&s);
    return rc;
}

/* ---- UploadPartCopy ---- */

/* "bytes=first-last": both, and within the source. */
static int copy_range(struct ft_s3_call *c, int64_t size, int64_t *ret_offset, int64_t *ret_size)
{
    const char *range = ft_s3_in(c, "x-amz-copy-source-range");
    *ret_offset = 0;
    *ret_size = size;
    if (range == NULL)
        return 0;
    char *end = NULL;
    long long first = -1, last = -1;
    if (strncmp(range, "bytes=", 6) == 0 && strspn(range + 6, "0123456789") > 0)
        first = strtoll(range + 6, &end, 10);
    if (end != NULL && *end == '-' && strspn(end + 1, "0123456789") > 0)
        last = strtoll(end + 1, &end, 10);
    if (first < 0 || last < first || *end != '\0')
        return ft_s3_fail(c, FT_S3_InvalidArgument,
                          "The x-amz-copy-source-range value must be of the form bytes=first-last "
                          "where first and last are the zero-based offsets of the first and last "
                          "bytes to copy");
    if (last >= size)
        return ft_s3_fail(c, FT_S3_InvalidRange,
                          "Range specified is not valid for source object "
                          "of size: %lld",
                          (long long)size);
    *ret_offset = first;
    *ret_size = last - first + 1;
    return 0;
}

static int copy_part(struct ft_s3_call *c, struct ft_s3_source *s, const char *upload, int number,
                     enum ft_s3_sum sum)
{
    struct ft_blob_field field;
    struct ft_blob_copy copy = {
        .from_bucket = s->bucket,
        .from_key = s->key,
        .from_version = s->version,
        .from_etag = s->object.info.etag,
        .to = {.bucket = c->bucket, .key = c->key, .size = -1, .upload = upload, .part = number}};
    int64_t offset, size;
    if (copy_range(c, s->object.info.size, &offset, &size) != 0)
        return -1;
    if (size > FT_S3_COPY_MAX)
        return ft_s3_fail(c, FT_S3_InvalidRequest, "A part is at most 5 GiB");
    if (ft_s3_quota(c, size) != 0)
        return -1;
    copy.offset = offset;
    copy.size = ft_s3_in(c, "x-amz-copy-source-range") != NULL ? size : -1;
    if (sum != FT_S3_SUM_NONE) {
        field.name = ft_s3_sums[sum].header;
        if (ft_s3_source_sum(c, s, offset, size, sum, &field.value) != 0)
            return -1;
        copy.to.fields = &field;
        copy.to.n_fields = 1;
    }
    struct ft_blob_done done;
    struct ft_err err = {0};
    if (ft_blob_copy(c->blob, &copy, &done, &err) != 0)
        return ft_s3_fail_err(c, &err);
    return answer_copy(c, "CopyPartResult", &done, copy.to.fields, copy.to.n_fields);
}

int ft_s3_part_copy(struct ft_s3_call *c)
{
    struct ft_s3_source s = {0};
    struct ft_s3_upload u;
    int rc = ft_s3_upload_read(c, &u);
    if (rc == 0)
        rc = ft_s3_source_open(c, &s);
    if (rc == 0)
        rc = copy_part(c, &s, u.id, u.part, u.sum);
    ft_s3_source_close(&s);
    return rc;
}
