/* Uploads in parts: begun, their parts, completed, aborted, listed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/s3/copy.h"
#include "api/s3/object.h"
#include "api/s3/ops.h"

#define PART_MIN ((int64_t)5 << 20) /* bytes of every part but the last */

/* ---- which upload ---- */

static int read_upload(struct ft_s3_call *c, struct ft_s3_upload *ret)
{
    struct ft_blob_object o = {0};
    struct ft_err err = {0};
    ret->id = ft_s3_param(c, "uploadId");
    if (ret->id[0] == '\0' || strlen(ret->id) > FT_BLOB_UPLOAD_MAX)
        return ft_s3_fail(c, FT_S3_NoSuchUpload, NULL);
    if (ft_blob_upload_get(c->blob, c->bucket, c->key, ret->id, &o, &err) != 0)
        return err.code == FT_EINVAL ? ft_s3_fail(c, FT_S3_NoSuchUpload, NULL)
                                     : ft_s3_fail_err(c, &err);
    const char *name = ft_blob_field(&o.info, FT_S3_FIELD_SUM_NAME),
               *type = ft_blob_field(&o.info, FT_S3_FIELD_SUM_TYPE);
    ret->sum = name != NULL ? ft_s3_sum_by_name(name) : FT_S3_SUM_NONE;
    ret->whole = type != NULL && strcmp(type, "FULL_OBJECT") == 0;
    ft_blob_object_fini(&o);
    return 0;
}

int ft_s3_upload_read(struct ft_s3_call *c, struct ft_s3_upload *ret)
{
    const char *text = ft_s3_param(c, "partNumber");
    size_t n = text != NULL ? strlen(text) : 0;
    long number = n > 0 && n < 6 && strspn(text, "0123456789") == n ? strtol(text, NULL, 10) : 0;
    if (number < 1 || number > FT_BLOB_PART_MAX) {
        ft_s3_fail_extra(c, "ArgumentName", "partNumber");
        ft_s3_fail_extra(c, "ArgumentValue", text);
        return ft_s3_fail(c, FT_S3_InvalidArgument,
                          "Part number must be an integer between 1 and 10000, inclusive");
    }
    ret->part = (int)number;
    return read_upload(c, ret);
}

/* ---- begun ---- */

/* x-amz-checksum-algorithm and x-amz-checksum-type, checked against each other. */
static int begin_sum(struct ft_s3_call *c, struct ft_blob_field *f, int *n)
{
    const char *name = ft_s3_in(c, "x-amz-checksum-algorithm"),
               *type = ft_s3_in(c, FT_S3_FIELD_SUM_TYPE);
    if (name == NULL)
        return type == NULL ? 0
                            : ft_s3_fail(c, FT_S3_InvalidRequest,
                                         "The x-amz-checksum-type header can only be used with the "
                                         "x-amz-checksum-algorithm header.");
    enum ft_s3_sum sum = ft_s3_sum_by_name(name);
    if (sum == FT_S3_SUM_NONE)
        return ft_s3_fail(
            c, FT_S3_InvalidRequest,
            "Checksum algorithm provided is unsupported. Please try again with any of "
            "the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    if (type == NULL)
        type = sum == FT_S3_SUM_CRC64NVME ? "FULL_OBJECT" : "COMPOSITE";
    bool whole = strcmp(type, "FULL_OBJECT") == 0;
    if (!whole && strcmp(type, "COMPOSITE") != 0)
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "Value for x-amz-checksum-type header is invalid.");
    if (whole ? !ft_s3_sums[sum].crc : sum == FT_S3_SUM_CRC64NVME)
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "The %s checksum type cannot be used with the %s checksum algorithm.",
                          type, ft_s3_sums[sum].name);
    f[(*n)++] = (struct ft_blob_field){FT_S3_FIELD_SUM_NAME, ft_s3_sums[sum].name};
    f[(*n)++] = (struct ft_blob_field){FT_S3_FIELD_SUM_TYPE, whole ? "FULL_OBJECT" : "COMPOSITE"};
    ft_s3_out(c, "x-amz-checksum-algorithm", ft_s3_sums[sum].name);
    ft_s3_out(c, FT_S3_FIELD_SUM_TYPE, type);
    return 0;
}

/* Who begins it, and who will own what it becomes: for listings. */
static int begin_people(struct ft_s3_call *c, struct ft_blob_field *f, struct ft_blob_put *put)
{
    const struct ft_s3_settings *s;
    struct ft_s3_acl *acl = ft_arena_alloc(c->arena, sizeof *acl);
    if (acl == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    if (ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    const char *owner = ft_s3_owner_of(s, c->at.owner, put->acl, acl);
    if (strcmp(owner, c->at.owner) != 0)
        f[put->n_fields++] = (struct ft_blob_field){FT_S3_FIELD_OWNER, owner};
    if (!c->anonymous && strcmp(c->caller.project, c->at.owner) != 0)
        f[put->n_fields++] = (struct ft_blob_field){FT_S3_FIELD_INITIATOR, c->caller.project};
    return 0;
}

int ft_s3_upload_begin(struct ft_s3_call *c)
{
    struct ft_blob_field *fields;
    struct ft_blob_put put = {.bucket = c->bucket, .key = c->key, .size = -1};
    if (ft_s3_fields_read(c, &fields, &put.n_fields) != 0 ||
        begin_sum(c, fields, &put.n_fields) != 0 || ft_s3_put_marks(c, &put) != 0 ||
        begin_people(c, fields, &put) != 0)
        return -1;
    put.fields = fields;
    char id[FT_BLOB_UPLOAD_MAX + 1];
    struct ft_err err = {0};
    if (ft_blob_upload_begin(c->blob, &put, id, &err) != 0)
        return ft_s3_fail_err(c, &err);
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, "InitiateMultipartUploadResult", FT_S3_XMLNS);
    ft_xml_text(&x, "Bucket", c->bucket);
    ft_xml_text(&x, "Key", c->key);
    ft_xml_text(&x, "UploadId", id);
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 200, &x);
}

/* ---- a part ---- */

int ft_s3_part_put(struct ft_s3_call *c)
{
    struct ft_s3_upload u;
    struct ft_err err = {0};
    if (ft_s3_length_said(c) != 0 || ft_s3_upload_read(c, &u) != 0 ||
        ft_s3_body_open(c, FT_S3_PUT_MAX, u.sum) != 0)
        return -1;
    enum ft_s3_sum sum = ft_s3_body_sum(c);
    if (u.sum != FT_S3_SUM_NONE && sum != u.sum)
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "Checksum Type mismatch occurred, expected checksum Type: %s, actual "
                          "checksum Type: %s",
                          ft_s3_sums[u.sum].name, ft_s3_sums[sum].name);
    struct ft_blob_put put = {.bucket = c->bucket,
                              .key = c->key,
                              .size = ft_s3_body_size(c),
                              .upload = u.id,
                              .part = u.part};
    if (ft_s3_quota(c, FT_MAX(put.size, 0)) != 0)
        return -1;
    struct ft_blob_writer *w;
    if (ft_blob_put(c->blob, &put, &w, &err) != 0)
        return ft_s3_fail_err(c, &err);
    struct ft_blob_field sums[2];
    struct ft_blob_done done;
    int n;
    if (ft_s3_body_store(c, w) != 0 || ft_s3_sum_fields(c, false, sums, &n) != 0) {
        ft_blob_put_abort(w);
        return -1;
    }
    if (ft_blob_put_commit(w, sums, n, &done, &err) != 0)
        return ft_s3_fail_err(c, &err);
    ft_s3_outf(c, "ETag", "\"%s\"", done.etag);
    return ft_s3_answer_empty(c, 200);
}

int ft_s3_upload_abort(struct ft_s3_call *c)
{
    struct ft_err err = {0};
    const char *id = ft_s3_param(c, "uploadId");
    if (id[0] == '\0' || strlen(id) > FT_BLOB_UPLOAD_MAX)
        return ft_s3_fail(c, FT_S3_NoSuchUpload, NULL);
    if (ft_blob_upload_abort(c->blob, c->bucket, c->key, id, &err) != 0)
        return ft_s3_fail_err(c, &err);
    return ft_s3_answer_empty(c, 204);
}

/* ---- completed ---- */

struct chosen {
    struct ft_blob_part *parts; /* as the request names them */
    int n;
    const char **texts; /* the checksums in it, by part; NULL: none */
    enum ft_s3_sum *sums;
    /* as they are */
    const struct ft_s3_upload *u;
    struct ft_s3_call *c;
    int at; /* the next of parts to be met */
    int64_t size;
    struct ft_s3_summer of_sums; /* COMPOSITE */
    uint8_t whole[FT_S3_SUM_BYTES_MAX];
    bool summed; /* every part so far has its checksum */
};

static int read_part(struct ft_s3_call *c, const struct ft_xml_node *p, struct chosen *ch)
{
    const char *number = ft_xml_child_text(p, "PartNumber"),
               *etag = ft_s3_etag_bare(c, ft_xml_child_text(p, "ETag"));
    struct ft_blob_part *part = &ch->parts[ch->n];
    size_t n = number != NULL ? strlen(number) : 0;
    if (n == 0 || n > 9 || strspn(number, "0123456789") != n || etag == NULL)
        return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
    long value = strtol(number, NULL, 10);
    if (value < 1 || value > FT_BLOB_PART_MAX || strlen(etag) > FT_BLOB_ETAG_MAX)
        return ft_s3_fail(c, FT_S3_InvalidPart, NULL);
    if (ch->n > 0 && value == part[-1].number) {
        part = &ch->parts[--ch->n]; /* named again: the later one counts */
    } else if (ch->n > 0 && value < part[-1].number) {
        return ft_s3_fail(c, FT_S3_InvalidPartOrder, NULL);
    }
    part->number = (int)value;
    memcpy(part->etag, etag, strlen(etag) + 1);
    ch->sums[ch->n] = FT_S3_SUM_NONE;
    ch->texts[ch->n] = NULL;
    for (int i = 0; i < FT_S3_SUM_NONE; i++) {
        const char *text = ft_xml_child_text(p, ft_s3_sums[i].element);
        if (text != NULL) {
            ch->sums[ch->n] = (enum ft_s3_sum)i;
            ch->texts[ch->n] = text;
        }
    }
    ch->n++;
    return 0;
}

static int read_parts(struct ft_s3_call *c, struct chosen *ch)
{
    const struct ft_xml_node *root;
    c->sum_elsewhere = true;
    if (ft_s3_body_xml(c, "CompleteMultipartUpload", &root) != 0) {
        if (c->code == FT_S3_MissingRequestBodyError)
            c->code = FT_S3_MalformedXML;
        return -1;
    }
    size_t n = 0;
    for (const struct ft_xml_node *p = root->first; p != NULL; p = p->next)
        n += strcmp(p->name, "Part") == 0;
    if (n == 0 || n > FT_BLOB_PART_MAX)
        return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
    ch->parts = ft_arena_array(c->arena, n, sizeof *ch->parts);
    ch->texts = ft_arena_array(c->arena, n, sizeof *ch->texts);
    ch->sums = ft_arena_array(c->arena, n, sizeof *ch->sums);
    if (ch->parts == NULL || ch->texts == NULL || ch->sums == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    for (const struct ft_xml_node *p = root->first; p != NULL; p = p->next)
        if (strcmp(p->name, "Part") == 0 && read_part(c, p, ch) != 0)
            return -1;
    return 0;
}

/* Adds a part's checksum to that of the object. */
static int add_sum(struct chosen *ch, const struct ft_blob_part *p)
{
    const char *text = NULL;
    uint8_t bytes[FT_S3_SUM_BYTES_MAX];
    enum ft_s3_sum sum = ft_s3_sum_of(p->fields, p->n_fields, &text);
    int i = ch->at;
    if (ch->texts[i] != NULL && (sum != ch->sums[i] || strcmp(text, ch->texts[i]) != 0))
        return ft_s3_fail(ch->c, FT_S3_InvalidPart, NULL);
    if (ch->u->sum == FT_S3_SUM_NONE)
        return 0;
    if (sum != ch->u->sum || !ft_s3_sum_read(sum, text, bytes)) {
        ch->summed = false;
        return 0;
    }
    if (!ch->u->whole)
        ft_s3_summer_add(&ch->of_sums, bytes, (size_t)ft_s3_sums[sum].bytes);
    else if (i == 0)
        memcpy(ch->whole, bytes, sizeof bytes);
    else
        ft_s3_sum_combine(sum, ch->whole, bytes, p->size);
    return 0;
}

static int meet_part(void *ctx, const struct ft_blob_part *p)
{
    struct chosen *ch = ctx;
    if (ch->at == ch->n || p->number < ch->parts[ch->at].number)
        return 0; /* not chosen */
    if (p->number > ch->parts[ch->at].number || strcmp(p->etag, ch->parts[ch->at].etag) != 0) {
        ft_s3_fail_extra(ch->c, "PartNumber", ft_s3_printf(ch->c, "%d", ch->parts[ch->at].number));
        ft_s3_fail_extra(ch->c, "ETag", ch->parts[ch->at].etag);
        return ft_s3_fail(ch->c, FT_S3_InvalidPart, NULL);
    }
    if (p->size < PART_MIN && ch->at < ch->n - 1) {
        ft_s3_fail_extra(ch->c, "ProposedSize", ft_s3_printf(ch->c, "%lld", (long long)p->size));
        ft_s3_fail_extra(ch->c, "MinSizeAllowed", ft_s3_printf(ch->c, "%lld", (long long)PART_MIN));
        return ft_s3_fail(ch->c, FT_S3_EntityTooSmall, NULL);
    }
    if (add_sum(ch, p) != 0)
        return -1;
    ch->size += p->size;
    ch->at++;
    return 0;
}

/* Holds the request's parts to those that are there. */
static int meet_parts(struct ft_s3_call *c, struct chosen *ch)
{
    int after = 0;
    bool more = true;
    while (more && ch->at < ch->n) {
        struct ft_err err = {0};
        after = ch->parts[ch->at].number - 1;
        if (ft_blob_upload_parts(c->blob, c->bucket, c->key, ch->u->id, after, FT_BLOB_LIST_MAX,
                                 meet_part, ch, &more, &err) != 0)
            return c->failed ? -1 : ft_s3_fail_err(c, &err);
    }
    if (ch->at < ch->n) {
        ft_s3_fail_extra(c, "PartNumber", ft_s3_printf(c, "%d", ch->parts[ch->at].number));
        return ft_s3_fail(c, FT_S3_InvalidPart, NULL);
    }
    return 0;
}

/* What the client says of the object against what the parts say. */
static int complete_sum(struct ft_s3_call *c, struct chosen *ch, struct ft_blob_field *f, int *n)
{
    enum ft_s3_sum sum;
    const char *want, *size = ft_s3_in(c, "x-amz-mp-object-size"),
                      *type = ft_s3_in(c, FT_S3_FIELD_SUM_TYPE);
    int64_t said = 0;
    if (size != NULL && (!ft_s3_size_read(size, &said) || said != ch->size))
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "The provided 'x-amz-mp-object-size' header does not match what was "
                          "computed.");
    if (ft_s3_sum_header(c, &sum, &want) != 0)
        return -1;
    *n = 0;
    char text[FT_S3_SUM_TEXT_MAX] = "";
    if (ch->u->sum != FT_S3_SUM_NONE && ch->summed) {
        if (type != NULL && (strcmp(type, "FULL_OBJECT") == 0) != ch->u->whole)
            return ft_s3_fail(c, FT_S3_InvalidRequest,
                              "The upload was created with another checksum type than '%s'.", type);
        if (!ch->u->whole)
            ft_s3_summer_end(&ch->of_sums, ch->whole);
        ft_s3_sum_write(ch->u->sum, ch->whole, text);
        if (!ch->u->whole)
            snprintf(text + strlen(text), sizeof text - strlen(text), "-%d", ch->n);
        f[(*n)++] = (struct ft_blob_field){ft_s3_sums[ch->u->sum].header,
                                           ft_arena_strndup(c->arena, text, strlen(text))};
        if (f[0].value == NULL)
            return ft_s3_fail(c, FT_S3_InternalError, NULL);
    }
    if (want != NULL && (sum != ch->u->sum || strcmp(want, text) != 0)) {
        bool counted = strchr(text, '-') != NULL && strchr(want, '-') == NULL &&
                       strncmp(want, text, strcspn(text, "-")) == 0;
        if (sum != ch->u->sum || !counted) /* some leave the count away */
            return ft_s3_fail(c, FT_S3_BadDigest, NULL);
    }
    return 0;
}

static int answer_complete(struct ft_s3_call *c, const struct ft_blob_done *done,
                           const struct ft_blob_field *f, int n, const struct ft_s3_upload *u)
{
    ft_s3_out_new_version(c, done->version);
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, "CompleteMultipartUploadResult", FT_S3_XMLNS);
    ft_s3_answer_location(c, &x, NULL);
    ft_xml_text(&x, "Bucket", c->bucket);
    ft_xml_text(&x, "Key", c->key);
    ft_buf_addf(&x.buf, "<ETag>&quot;%s&quot;</ETag>", done->etag);
    if (n > 0) {
        ft_xml_text(&x, ft_s3_sums[u->sum].element, f[0].value);
        ft_xml_text(&x, "ChecksumType", u->whole ? "FULL_OBJECT" : "COMPOSITE");
    }
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 200, &x);
}

/* Of an upload that had been completed before: what was answered then. */
static void recall_sum(struct ft_s3_call *c, const struct ft_blob_done *done,
                       struct ft_s3_upload *u, struct ft_blob_field *f, int *n)
{
    struct ft_blob_object o = {0};
    struct ft_err ignored;
    const char *text = NULL,
               *version = c->at.versioning == FT_BLOB_VERSIONED ? done->version : NULL;
    if (ft_blob_head(c->blob, c->bucket, c->key, version, &o, &ignored) == 0 &&
        strcmp(o.info.etag, done->etag) == 0)
        u->sum = ft_s3_sum_of(o.info.fields, o.info.n_fields, &text);
    const char *type = text != NULL ? ft_blob_field(&o.info, FT_S3_FIELD_SUM_TYPE) : NULL,
               *copy = text != NULL ? ft_arena_strndup(c->arena, text, strlen(text)) : NULL;
    if (copy != NULL) {
        u->whole = type != NULL && strcmp(type, "FULL_OBJECT") == 0;
        f[(*n)++] = (struct ft_blob_field){ft_s3_sums[u->sum].header, copy};
    }
    ft_blob_object_fini(&o);
}

int ft_s3_upload_complete(struct ft_s3_call *c)
{
    struct ft_s3_upload u;
    struct chosen ch = {.u = &u, .c = c, .summed = true};
    struct ft_blob_field fields[1];
    int n_fields = 0;
    /* an upload that was completed a moment ago with the same parts answers again */
    bool again = read_upload(c, &u) != 0;
    if (again && c->code != FT_S3_NoSuchUpload)
        return -1;
    if (again) {
        c->failed = false;
        u.sum = FT_S3_SUM_NONE;
    }
    ft_s3_summer_init(&ch.of_sums, u.sum);
    if (read_parts(c, &ch) != 0)
        return -1;
    if (!again && (meet_parts(c, &ch) != 0 || complete_sum(c, &ch, fields, &n_fields) != 0))
        return -1;
    struct ft_blob_condition condition = {0};
    struct ft_blob_done done;
    struct ft_err err = {0};
    ft_s3_write_condition(c, &condition);
    if (ft_blob_upload_complete(c->blob, c->bucket, c->key, u.id, ch.parts, ch.n, &condition,
                                fields, n_fields, &done, &err) != 0)
        return ft_s3_fail_err(c, &err);
    if (again)
        recall_sum(c, &done, &u, fields, &n_fields);
    return answer_complete(c, &done, fields, n_fields, &u);
}
