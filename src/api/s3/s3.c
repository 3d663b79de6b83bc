/* Opening, and the way of one request: what it names, who sent it, what is to be done, whether that
 * is allowed, the handler, the error if there is one, the record. */
#include "api/s3/s3.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/s3/body.h"
#include "base/clock.h"
#include "base/rand.h"

int ft_s3_open(const struct ft_s3_config *config, struct ft_s3 **ret, struct ft_err *err)
{
    if (config->n_domains > FT_S3_DOMAINS_MAX)
        return ft_err_set(err, FT_EINVAL, "s3: more than %d domains", FT_S3_DOMAINS_MAX);
    struct ft_s3 *s3 = calloc(1, sizeof *s3);
    if (s3 == NULL)
        return ft_err_set(err, FT_ENOMEM, "s3: no memory");
    s3->config = *config;
    pthread_mutex_init(&s3->holds, NULL);
    s3->region = strdup(config->region != NULL ? config->region : "us-east-1");
    bool ok = s3->region != NULL;
    for (int i = 0; i < config->n_domains; i++)
        ok = (s3->domains[i] = strdup(config->domains[i])) != NULL && ok;
    int rc = ok ? ft_s3_cache_open(config->blob, &s3->cache, err)
                : ft_err_set(err, FT_ENOMEM, "s3: no memory");
    if (rc != 0) {
        ft_s3_close(s3);
        return rc;
    }
    *ret = s3;
    return 0;
}

void ft_s3_close(struct ft_s3 *s3)
{
    if (s3 == NULL)
        return;
    for (int i = 0; i < FT_S3_DOMAINS_MAX; i++)
        free(s3->domains[i]);
    ft_s3_cache_close(s3->cache);
    pthread_mutex_destroy(&s3->holds);
    free(s3->region);
    free(s3);
}

bool ft_s3_wants(const struct ft_s3 *s3, const struct ft_http_exchange *x)
{
    const char *auth = ft_http_header(x, "authorization"),
               *type = ft_http_header(x, "content-type");
    if (auth != NULL && (strncmp(auth, "AWS4-", 5) == 0 || strncmp(auth, "AWS ", 4) == 0))
        return true;
    if (ft_http_header(x, "amz-sdk-invocation-id") != NULL) /* AWS's SDKs, unsigned too */
        return true;
    if (strstr(x->query, "X-Amz-Algorithm=") != NULL || strstr(x->query, "AWSAccessKeyId=") != NULL)
        return true;
    struct ft_arena arena;
    ft_arena_init(&arena, FT_HTTP_HEAD_BYTES);
    bool host = ft_s3_host_bucket(s3, x, &arena) != NULL;
    ft_arena_fini(&arena);
    if (host)
        return true;
    const char *slash = x->target[0] == '/' ? strpbrk(x->target + 1, "/?") : NULL;
    return strcmp(x->method, "POST") == 0 && type != NULL &&
           strncasecmp(type, "multipart/form-data", 19) == 0 && x->target[1] != '\0' &&
           (slash == NULL || (slash[0] == '/' && slash[1] == '\0'));
}

bool ft_s3_has_bucket(const struct ft_s3 *s3, const struct ft_http_exchange *x)
{
    size_t n = x->target[0] == '/' ? strcspn(x->target + 1, "/?") : 0;
    char name[FT_BLOB_BUCKET_MAX + 1];
    if (n == 0 || n >= sizeof name || x->target[1] == '.' || memchr(x->target, '%', n + 1) != NULL)
        return false;
    memcpy(name, x->target + 1, n);
    name[n] = '\0';
    struct ft_blob_bucket b;
    struct ft_err err;
    return ft_blob_bucket_get(s3->config.blob, name, &b, &err) == 0;
}

/* ---- what is to be done ---- */

static bool fits(const struct ft_s3_call *c, const struct ft_s3_op *op)
{
    return strcmp(op->method, c->x->method) == 0 &&
           (op->sub == NULL || ft_s3_param(c, op->sub) != NULL) &&
           (op->header == NULL || ft_s3_in(c, op->header) != NULL);
}

/* What S3 has elsewhere and is not here. Objects are read with whatever parameters a link carries
 * (index.html?session=abc), so theirs count only with the methods that S3 has for them. */
static const struct {
    enum ft_s3_level level;
    const char *method; /* NULL: all */
    const char *sub;
} never[] = {
    {FT_S3_OBJECT, "PUT", "append"},
    {FT_S3_OBJECT, "POST", "append"},
    {FT_S3_OBJECT, "PUT", "encryption"},
    {FT_S3_OBJECT, "PUT", "renameObject"},
    {FT_S3_OBJECT, "POST", "restore"},
    {FT_S3_OBJECT, "POST", "select"},
    {FT_S3_BUCKET, NULL, "abac"},
    {FT_S3_BUCKET, NULL, "analytics"},
    {FT_S3_BUCKET, NULL, "intelligent-tiering"},
    {FT_S3_BUCKET, NULL, "inventory"},
    {FT_S3_BUCKET, NULL, "metadataConfiguration"},
    {FT_S3_BUCKET, NULL, "metadataInventoryTable"},
    {FT_S3_BUCKET, NULL, "metadataJournalTable"},
    {FT_S3_BUCKET, NULL, "metadataTable"},
    {FT_S3_BUCKET, NULL, "metrics"},
    {FT_S3_BUCKET, NULL, "session"},
};

/* Is one of the parameters a part of a bucket or an object that other methods know? Then a request
 * must not be taken for one of the whole. */
static bool names_part(const struct ft_s3_call *c, enum ft_s3_level level,
                       const struct ft_s3_op *ops)
{
    for (; ops->method != NULL; ops++)
        if (ops->sub != NULL && ft_s3_param(c, ops->sub) != NULL)
            return true;
    for (size_t i = 0; i < FT_COUNT(never); i++)
        if (never[i].level == level && ft_s3_param(c, never[i].sub) != NULL &&
            (never[i].method == NULL || strcmp(never[i].method, c->x->method) == 0))
            return true;
    return false;
}

static int choose(struct ft_s3_call *c)
{
    enum ft_s3_level level = c->key != NULL      ? FT_S3_OBJECT
                             : c->bucket != NULL ? FT_S3_BUCKET
                                                 : FT_S3_SERVICE;
    const struct ft_s3_op *ops = level == FT_S3_OBJECT ? ft_s3_object_ops : ft_s3_bucket_ops;
    for (const struct ft_s3_op *op = ops; op->method != NULL; op++) {
        if (op->level != level || !fits(c, op))
            continue;
        if (op->sub == NULL && names_part(c, level, ops))
            break;
        c->op = op;
        return 0;
    }
    if (names_part(c, level, ops))
        return ft_s3_fail(c, FT_S3_NotImplemented, NULL);
    ft_s3_fail_extra(c, "Method", c->x->method);
    return ft_s3_fail(c, FT_S3_MethodNotAllowed, NULL);
}

/* ---- the way ---- */

static bool writes(const struct ft_s3_call *c)
{
    return strcmp(c->x->method, "GET") != 0 && strcmp(c->x->method, "HEAD") != 0 &&
           strcmp(c->x->method, "OPTIONS") != 0;
}

/* The bucket that the request names, whose it must be, and what its answer says to browsers. */
static int find_bucket(struct ft_s3_call *c)
{
    if (c->bucket == NULL || c->op->no_bucket)
        return 0;
    if (ft_s3_bucket(c, c->bucket, &c->at) != 0)
        return -1;
    if (c->of_project != NULL && strcmp(c->of_project, c->at.owner) != 0)
        return ft_s3_fail(c, FT_S3_NoSuchBucket, NULL);
    c->has_bucket = true;
    ft_s3_cors_headers(c);
    const char *owner = ft_s3_in(c, "x-amz-expected-bucket-owner");
    return owner == NULL || strcmp(owner, c->at.owner) == 0
               ? 0
               : ft_s3_fail(c, FT_S3_AccessDenied, NULL);
}

int ft_s3_admit(struct ft_s3_call *c)
{
    const struct ft_s3_config *config = &c->s3->config;
    struct ft_err err = {0};
    if (config->admit == NULL || config->admit(config->ctx, &c->caller, writes(c), &err) == 0)
        return 0;
    return err.code == FT_EBUSY ? ft_s3_fail(c, FT_S3_SlowDown, "%s", err.msg)
                                : ft_s3_fail(c, FT_S3_AccessDenied, "%s", err.msg);
}

static int run(struct ft_s3_call *c)
{
    if (ft_s3_request_read(c) != 0)
        return -1;
    if (strcmp(c->x->method, "OPTIONS") == 0)
        return ft_s3_preflight(c); /* of whoever: browsers do not sign it */
    if (ft_s3_authenticate(c) != 0 || choose(c) != 0 || ft_s3_admit(c) != 0 || find_bucket(c) != 0)
        return -1;
    if (ft_s3_may_run(c) != 0)
        return -1;
    c->n_out_any = c->n_out;
    return c->op->run(c);
}

static void name_request(struct ft_s3_call *c)
{
    static _Atomic uint64_t counter;
    uint64_t n = atomic_fetch_add(&counter, 1);
    snprintf(c->request_id, sizeof c->request_id, "%016llX",
             (unsigned long long)ft_rand_mix(n ^ (uint64_t)ft_clock_now_ns() << 20));
    ft_s3_out(c, "x-amz-request-id", c->request_id);
    ft_s3_out(c, "x-amz-id-2", c->request_id);
    /* whatever browser is sent here by a link */
    ft_s3_out(c, "X-Content-Type-Options", "nosniff");
    ft_s3_out(c, "Content-Security-Policy", FT_HTTP_STORED_POLICY);
}

static void report(const struct ft_s3_call *c)
{
    const struct ft_s3_config *config = &c->s3->config;
    if (config->done == NULL)
        return;
    const struct ft_s3_record r = {.operation = c->op != NULL ? c->op->name : "",
                                   .caller = c->caller.id[0] != '\0' ? &c->caller : NULL,
                                   .owner = c->has_bucket ? c->at.owner : "",
                                   .bucket = c->bucket != NULL ? c->bucket : "",
                                   .key = c->key != NULL ? c->key : "",
                                   .status = c->status,
                                   .code = c->failed ? ft_s3_code_info(c->code)->name : "",
                                   .bytes_in = c->bytes_in,
                                   .bytes_out = c->bytes_out};
    config->done(config->ctx, c->x, &r);
}

static int64_t read_lane(struct ft_s3_call *c, void *data, size_t n, struct ft_err *err)
{
    return ft_lane_read(c->lane, data, n, err);
}

void ft_s3_serve(void *s3, struct ft_lane *lane)
{
    struct ft_s3_call *c = ft_arena_alloc(&lane->x->arena, sizeof *c);
    if (c == NULL) {
        ft_http_respond(lane->x, 500, NULL, 0, NULL, 0);
        return;
    }
    c->s3 = s3;
    c->blob = c->s3->config.blob;
    c->lane = lane;
    c->read = read_lane;
    c->x = lane->x;
    c->arena = &lane->x->arena;
    c->now_s = (int64_t)time(NULL);
    name_request(c);
    if (run(c) != 0 && c->status == 0)
        ft_s3_answer_error(c);
    if (c->body != NULL)
        ft_s3_body_close(c);
    report(c);
    ft_s3_settings_drop(c);
}
