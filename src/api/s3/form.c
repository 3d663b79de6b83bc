/* PostObject: a browser's form whose last field is the file. What stands before it says where it
 * goes, who sends it (the signature of a policy) and what is allowed; so all of that is looked at
 * when the file begins, and the file streams into the store. */
#include "api/s3/form.h"

#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/s3/marks.h"
#include "api/s3/object.h"
#include "api/s3/ops.h"
#include "net/date.h"
#include "net/form.h"
#include "net/url.h"

#define OVERHEAD_MAX (1u << 20) /* bytes of a form beside its file */

struct upload {
    struct ft_s3_call *c;
    struct ft_s3_form f;
    struct ft_buf value; /* of the field that is coming */
    const char *name;    /* its */
    size_t bytes;        /* of all so far */
    bool in_file, had_file;
    struct ft_blob_writer *w;
    int64_t size;
    struct ft_s3_summer summer;
    char want[FT_S3_SUM_TEXT_MAX]; /* the checksum that a field says; "" */
    struct md5_ctx md5;
    const char *want_md5; /* in base64; NULL */
};

/* ---- who sends it ---- */

static bool decode(struct ft_s3_call *c, const char *text, uint8_t **ret, size_t *ret_n)
{
    size_t n = strlen(text);
    struct base64_decode_ctx ctx;
    *ret_n = BASE64_DECODE_LENGTH(n);
    *ret = ft_arena_alloc(c->arena, *ret_n + 1);
    base64_decode_init(&ctx);
    return *ret != NULL && base64_decode_update(&ctx, ret_n, *ret, n, text) &&
           base64_decode_final(&ctx);
}

/* Version 2, as older forms have it: HMAC-SHA1 of the policy under the secret. */
static bool signed_v2(const char *secret, const char *policy, const char *signature)
{
    struct hmac_sha1_ctx ctx;
    uint8_t digest[SHA1_DIGEST_SIZE];
    char text[BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE) + 1];
    hmac_sha1_set_key(&ctx, strlen(secret), (const uint8_t *)secret);
    hmac_sha1_update(&ctx, strlen(policy), (const uint8_t *)policy);
    hmac_sha1_digest(&ctx, sizeof digest, digest);
    base64_encode_raw(text, sizeof digest, digest);
    text[sizeof text - 1] = '\0';
    return ft_sigv4_equal(text, signature);
}

/* "ID/20130524/us-east-1/s3/aws4_request" and a date give the key. */
static int signed_v4(struct ft_s3_call *c, const struct ft_s3_form *f, const char *policy,
                     struct ft_s3_caller *ret)
{
    const char *algorithm = ft_s3_form_field(f, "x-amz-algorithm"),
               *credential = ft_s3_form_field(f, "x-amz-credential"),
               *date = ft_s3_form_field(f, "x-amz-date"),
               *signature = ft_s3_form_field(f, "x-amz-signature");
    char id[FT_SIGV4_ID_MAX + 1], day[16], region[FT_SIGV4_WORD_MAX + 1], hex[65];
    int end = 0;
    int64_t t;
    if (algorithm == NULL || strcmp(algorithm, "AWS4-HMAC-SHA256") != 0 || credential == NULL ||
        date == NULL || !ft_date_parse_iso(date, &t) || signature == NULL ||
        sscanf(credential, "%128[^/]/%8[0-9]/%64[^/]/s3/aws4_request%n", id, day, region, &end) !=
            3 ||
        end == 0 || credential[end] != '\0' || strncmp(day, date, 8) != 0)
        return ft_s3_fail(c, FT_S3_InvalidArgument,
                          "x-amz-algorithm, x-amz-credential, x-amz-date and x-amz-signature must "
                          "be as for AWS4-HMAC-SHA256");
    if (ft_s3_credentials(c, id, ret) != 0)
        return -1;
    const struct ft_sigv4_key key = {id, ret->secret, region, "s3"};
    struct ft_sigv4_chain chain;
    ft_sigv4_derive(&key, t, &chain);
    ft_sigv4_policy(&chain, policy, hex);
    return ft_sigv4_equal(hex, signature) ? 0 : ft_s3_fail(c, FT_S3_SignatureDoesNotMatch, NULL);
}

static int check_policy(struct ft_s3_call *c, struct ft_s3_form *f)
{
    const char *policy = ft_s3_form_field(f, "policy"), *id = ft_s3_form_field(f, "AWSAccessKeyId"),
               *signature = ft_s3_form_field(f, "signature");
    if (policy == NULL)
        return id == NULL && ft_s3_form_field(f, "x-amz-credential") == NULL
                   ? 0 /* of nobody */
                   : ft_s3_fail(c, FT_S3_InvalidArgument,
                                "Bucket POST must contain a field named 'policy'.");
    struct ft_s3_caller caller = {0};
    if (ft_s3_form_field(f, "x-amz-signature") != NULL) {
        if (signed_v4(c, f, policy, &caller) != 0)
            return -1;
    } else {
        if (signature == NULL)
            return ft_s3_fail(c, FT_S3_InvalidArgument,
                              "Bucket POST must contain a field named 'signature'.");
        if (id == NULL)
            return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
        if (strlen(id) > FT_SIGV4_ID_MAX)
            return ft_s3_fail(c, FT_S3_InvalidAccessKeyId, NULL);
        if (ft_s3_credentials(c, id, &caller) != 0)
            return -1;
        if (!signed_v2(caller.secret, policy, signature))
            return ft_s3_fail(c, FT_S3_SignatureDoesNotMatch, NULL);
    }
    c->caller = caller;
    c->anonymous = false;
    uint8_t *json;
    size_t n;
    if (!decode(c, policy, &json, &n))
        return ft_s3_fail(c, FT_S3_InvalidPolicyDocument, NULL);
    return ft_s3_admit(c) != 0 ? -1 : ft_s3_form_policy(c, (const char *)json, n, f);
}

/* ---- where it goes ---- */

static int take_key(struct ft_s3_call *c, const struct ft_s3_form *f, const char *filename)
{
    const char *key = ft_s3_form_field(f, "key");
    if (key == NULL || key[0] == '\0')
        return ft_s3_fail(c, FT_S3_UserKeyMustBeSpecified, NULL);
    const char *at = strstr(key, "${filename}");
    if (at != NULL && filename != NULL) {
        const char *slash = strrchr(filename, '/'), *back = strrchr(filename, '\\');
        filename = slash != NULL ? slash + 1 : back != NULL ? back + 1 : filename;
        key = ft_s3_printf(c, "%.*s%s%s", (int)(at - key), key, filename, at + 11);
    }
    if (key == NULL)
        return -1;
    if (strlen(key) > FT_BLOB_KEY_MAX)
        return ft_s3_fail(c, FT_S3_KeyTooLongError, NULL);
    c->key = key;
    return 0;
}

/* The checksum and the MD5 that fields say of the file. */
static int take_sums(struct ft_s3_call *c, struct upload *u)
{
    enum ft_s3_sum sum = FT_S3_SUM_NONE;
    uint8_t bytes[FT_S3_SUM_BYTES_MAX];
    for (int i = 0; i < u->f.n; i++) {
        enum ft_s3_sum one = ft_s3_sum_by_header(u->f.fields[i].name);
        if (one == FT_S3_SUM_NONE)
            continue;
        if (sum != FT_S3_SUM_NONE || !ft_s3_sum_read(one, u->f.fields[i].value, bytes))
            return ft_s3_fail(c, FT_S3_InvalidRequest, "Value for %s is invalid.",
                              ft_s3_sums[one].header);
        sum = one;
        ft_s3_sum_write(sum, bytes, u->want);
    }
    ft_s3_summer_init(&u->summer, sum);
    u->want_md5 = ft_s3_form_field(&u->f, "content-md5");
    md5_init(&u->md5);
    return 0;
}

static int begin_file(struct ft_s3_call *c, struct upload *u, const char *filename)
{
    struct ft_blob_field *fields;
    struct ft_blob_put put = {.bucket = c->bucket, .size = -1};
    struct ft_s3_tags tags;
    struct ft_err err = {0};
    c->form = u->f.fields;
    c->n_form = u->f.n;
    if (take_key(c, &u->f, filename) != 0 || check_policy(c, &u->f) != 0 || take_sums(c, u) != 0 ||
        ft_s3_form_tags(c, ft_s3_form_field(&u->f, "tagging"), &tags) != 0)
        return -1;
    const struct ft_s3_ask ask = {
        .action = "s3:PutObject", .bucket = &c->at, .key = c->key, .tags = &tags};
    if (ft_s3_may(c, &ask) != 0 ||
        ft_s3_fields_of(c, u->f.fields, u->f.n, &fields, &put.n_fields) != 0 ||
        ft_s3_put_form_marks(c, &tags, &put) != 0 ||
        ft_s3_quota(c, FT_MAX(ft_s3_body_size(c), 0)) != 0)
        return -1;
    put.key = c->key;
    put.fields = fields;
    return ft_blob_put(c->blob, &put, &u->w, &err) != 0 ? ft_s3_fail_err(c, &err) : 0;
}

/* ---- the form as it comes ---- */

static int on_begin(void *ctx, const struct ft_form_part *p, struct ft_err *err)
{
    struct upload *u = ctx;
    (void)err;
    u->in_file = strcasecmp(p->name, "file") == 0;
    if (u->had_file) /* what follows the file is not looked at */
        u->in_file = false;
    if (u->in_file) {
        u->had_file = true;
        return begin_file(u->c, u, p->filename);
    }
    ft_buf_reset(&u->value);
    u->name = ft_arena_strndup(u->c->arena, p->name, strlen(p->name));
    return u->name != NULL ? 0 : ft_s3_fail(u->c, FT_S3_InternalError, NULL);
}

static int on_data(void *ctx, const void *data, size_t n, struct ft_err *err)
{
    struct upload *u = ctx;
    if (u->in_file) {
        u->size += (int64_t)n;
        if (u->size > u->f.size_max)
            return ft_s3_fail(u->c, FT_S3_EntityTooLarge, NULL);
        if (ft_s3_quota_more(u->c, (int64_t)n) != 0)
            return -1;
        ft_s3_summer_add(&u->summer, data, n);
        if (u->want_md5 != NULL)
            md5_update(&u->md5, n, data);
        return ft_blob_put_write(u->w, data, n, err) != 0 ? ft_s3_fail_err(u->c, err) : 0;
    }
    u->bytes += n;
    if (u->bytes > FT_S3_FORM_BYTES_MAX)
        return ft_s3_fail(u->c, FT_S3_MaxPostPreDataLengthExceededError, NULL);
    ft_buf_add(&u->value, data, n);
    return 0;
}

static int on_end(void *ctx, struct ft_err *err)
{
    struct upload *u = ctx;
    (void)err;
    if (u->in_file || u->had_file)
        return 0;
    if (u->f.n == FT_S3_FORM_FIELDS_MAX)
        return ft_s3_fail(u->c, FT_S3_MaxPostPreDataLengthExceededError, NULL);
    const char *text = u->value.len > 0 ? u->value.data : "";
    if (strlen(text) != u->value.len)
        return ft_s3_fail(u->c, FT_S3_MalformedPOSTRequest, NULL);
    const char *value = ft_arena_strndup(u->c->arena, text, u->value.len);
    if (value == NULL)
        return ft_s3_fail(u->c, FT_S3_InternalError, NULL);
    u->f.fields[u->f.n++] = (struct ft_http_field){u->name, value};
    return 0;
}

static int take_form(struct ft_s3_call *c, struct upload *u)
{
    static const struct ft_form_ops ops = {on_begin, on_data, on_end};
    struct ft_form *form;
    struct ft_err err = {0};
    if (ft_form_open(ft_s3_in(c, "content-type"), &ops, u, &form, &err) != 0)
        return ft_s3_fail(c, FT_S3_MalformedPOSTRequest, NULL);
    int rc = 0;
    for (;;) {
        const void *piece;
        size_t n = 0;
        rc = ft_s3_body_next(c, &piece, &n);
        if (rc != 0 || n == 0)
            break;
        rc = ft_form_feed(form, piece, n, &err);
        if (rc != 0)
            break;
    }
    if (rc == 0)
        rc = ft_form_end(form, &err);
    ft_form_close(form);
    return rc == 0 ? 0 : ft_s3_fail(c, FT_S3_MalformedPOSTRequest, NULL);
}

/* ---- the end ---- */

/* Proves the file, and gives its checksum's fields. */
static int check_file(struct ft_s3_call *c, struct upload *u, struct ft_blob_field *f, int *n)
{
    *n = 0;
    if (u->size < u->f.size_min)
        return ft_s3_fail(c, FT_S3_EntityTooSmall, NULL);
    if (u->want_md5 != NULL) {
        uint8_t digest[MD5_DIGEST_SIZE];
        char text[BASE64_ENCODE_RAW_LENGTH(MD5_DIGEST_SIZE) + 1];
        md5_digest(&u->md5, sizeof digest, digest);
        base64_encode_raw(text, sizeof digest, digest);
        text[sizeof text - 1] = '\0';
        if (strcmp(text, u->want_md5) != 0)
            return ft_s3_fail(c, FT_S3_BadDigest, NULL);
    }
    if (u->summer.sum == FT_S3_SUM_NONE)
        return 0;
    uint8_t bytes[FT_S3_SUM_BYTES_MAX];
    char text[FT_S3_SUM_TEXT_MAX];
    ft_s3_summer_end(&u->summer, bytes);
    ft_s3_sum_write(u->summer.sum, bytes, text);
    if (strcmp(text, u->want) != 0)
        return ft_s3_fail(c, FT_S3_BadDigest, NULL);
    f[(*n)++] = (struct ft_blob_field){ft_s3_sums[u->summer.sum].header, u->want};
    f[(*n)++] = (struct ft_blob_field){FT_S3_FIELD_SUM_TYPE, "FULL_OBJECT"};
    return 0;
}

/* "URL?bucket=B&key=K&etag=%22E%22", as a page that wants to know. */
static int redirect(struct ft_s3_call *c, const char *to, const char *etag)
{
    struct ft_buf b;
    ft_buf_init(&b, FT_S3_FORM_BYTES_MAX + 4 * FT_BLOB_KEY_MAX);
    ft_buf_addf(&b, "%s%cbucket=", to, strchr(to, '?') != NULL ? '&' : '?');
    ft_url_encode(&b, c->bucket, strlen(c->bucket));
    ft_buf_add_str(&b, "&key=");
    ft_url_encode(&b, c->key, strlen(c->key));
    ft_buf_addf(&b, "&etag=%%22%s%%22", etag);
    if (!b.failed)
        ft_s3_out(c, "Location", b.data);
    ft_buf_fini(&b);
    return ft_s3_answer_empty(c, 303);
}

static bool is_url(const char *s)
{
    return (strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0) &&
           strpbrk(s, " \r\n\t") == NULL;
}

static int answer(struct ft_s3_call *c, const struct ft_s3_form *f, const struct ft_blob_done *done)
{
    const char *to = ft_s3_form_field(f, "success_action_redirect"),
               *status = ft_s3_form_field(f, "success_action_status");
    if (to == NULL)
        to = ft_s3_form_field(f, "redirect");
    ft_s3_outf(c, "ETag", "\"%s\"", done->etag);
    ft_s3_out_new_version(c, done->version);
    if (to != NULL && is_url(to))
        return redirect(c, to, done->etag);
    if (status == NULL || strcmp(status, "201") != 0)
        return ft_s3_answer_empty(c, status != NULL && strcmp(status, "200") == 0 ? 200 : 204);
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, "PostResponse", NULL);
    ft_s3_answer_location(c, &x, c->key);
    ft_xml_text(&x, "Bucket", c->bucket);
    ft_xml_text(&x, "Key", c->key);
    ft_buf_addf(&x.buf, "<ETag>&quot;%s&quot;</ETag>", done->etag);
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 201, &x);
}

int ft_s3_form_put(struct ft_s3_call *c)
{
    struct upload *u = ft_arena_alloc(c->arena, sizeof *u);
    if (u == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    u->c = c;
    u->f.size_max = FT_S3_PUT_MAX;
    if (ft_s3_body_open(c, FT_S3_PUT_MAX + OVERHEAD_MAX, FT_S3_SUM_NONE) != 0)
        return -1;
    ft_buf_init(&u->value, FT_S3_FORM_BYTES_MAX + 1);
    struct ft_blob_field sums[2];
    struct ft_blob_done done;
    struct ft_err err = {0};
    int n;
    int rc = take_form(c, u);
    ft_buf_fini(&u->value);
    if (rc == 0 && u->w == NULL)
        rc = ft_s3_fail(c, FT_S3_InvalidArgument,
                        "POST requires exactly one file upload per request.");
    if (rc == 0)
        rc = check_file(c, u, sums, &n);
    if (rc == 0)
        rc = ft_s3_bucket_again(c);
    if (rc != 0) {
        ft_blob_put_abort(u->w);
        return -1;
    }
    if (ft_blob_put_commit(u->w, sums, n, &done, &err) != 0)
        return ft_s3_fail_err(c, &err);
    return answer(c, &u->f, &done);
}
