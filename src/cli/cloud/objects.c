/* Objects of a cloud: where they are, and what there is. */
#include "cli/cloud/objects.h"

#include <stdlib.h>
#include <string.h>

#include "net/xml.h"

#define SCHEME    "s3://"
#define TREE_MAX  ((size_t)16 << 20) /* of one page of a listing */
#define PAGES_MAX 1000000

int ft_object_at(const char *text, struct ft_object_at *ret, struct ft_err *err)
{
    if (strncmp(text, SCHEME, strlen(SCHEME)) != 0)
        return 0;
    const char *bucket = text + strlen(SCHEME);
    size_t n = strcspn(bucket, "/");
    const char *key = bucket[n] == '/' ? bucket + n + 1 : "";
    if (n >= sizeof ret->bucket || (n == 0 && bucket[0] != '\0'))
        return ft_err_set(err, FT_EINVAL, "%.200s: must be s3://BUCKET/KEY", text);
    if (strlen(key) >= sizeof ret->key)
        return ft_err_set(err, FT_EINVAL, "%.100s...: a key has at most %d bytes", text,
                          FT_OBJECT_KEY_MAX);
    snprintf(ret->bucket, sizeof ret->bucket, "%.*s", (int)n, bucket);
    snprintf(ret->key, sizeof ret->key, "%s", key);
    return 1;
}

/* ---- the server ---- */

int ft_objects_open(struct ft_cloud *c, struct ft_ups_server *ret, struct ft_err *err)
{
    json_t *j = NULL;
    *ret = (struct ft_ups_server){.client = c->client};
    int rc = ft_cloud_call(c, "GET", "/api/v1/s3/credentials", NULL, &j, err);
    if (rc != 0)
        return rc;
    const char *host = strstr(c->url, "://");
    ret->endpoint = strdup(c->url);
    ret->host = strdup(host != NULL ? host + 3 : c->url);
    ret->region = strdup(ft_cloud_text(j, "region", "us-east-1"));
    ret->access_key = strdup(ft_cloud_text(j, "access_key_id", ""));
    ret->secret_key = strdup(ft_cloud_text(j, "secret_access_key", ""));
    ret->ca_file = c->ca_file[0] != '\0' ? strdup(c->ca_file) : NULL;
    json_decref(j);
    if (ret->endpoint != NULL && ret->host != NULL && ret->region != NULL &&
        ret->access_key != NULL && ret->secret_key != NULL)
        return 0;
    ft_objects_close(ret);
    return ft_err_set(err, FT_ENOMEM, "no memory");
}

void ft_objects_close(struct ft_ups_server *s)
{
    free(s->endpoint);
    free(s->host);
    free(s->region);
    free(s->access_key);
    if (s->secret_key != NULL)
        explicit_bzero(s->secret_key, strlen(s->secret_key));
    free(s->secret_key);
    free(s->ca_file);
    *s = (struct ft_ups_server){.client = NULL};
}

/* "There is no such bucket (NoSuchBucket)" */
int ft_object_refused(const struct ft_ups_answer *a, struct ft_err *err)
{
    struct ft_arena arena;
    struct ft_xml_node *root = NULL;
    ft_arena_init(&arena, TREE_MAX);
    if (a->body.len > 0)
        ft_xml_read(a->body.data, a->body.len, &arena, &root, NULL);
    const char *code = ft_xml_child_text(root, "Code"), *what = ft_xml_child_text(root, "Message");
    enum ft_code is = a->status == 404                       ? FT_ENOTFOUND
                      : a->status == 409 || a->status == 412 ? FT_EEXIST
                      : a->status == 429 || a->status == 503 ? FT_EBUSY
                      : a->status < 500                      ? FT_EINVAL
                                                             : FT_EIO;
    int rc =
        what != NULL
            ? ft_err_set(err, is, "%.300s (%.60s)", what, code != NULL ? code : "")
            : ft_err_set(err, is, a->status == 404 ? "it is not there" : "answered with status %d",
                         a->status);
    ft_arena_fini(&arena);
    return rc;
}

int ft_object_do(struct ft_ups_server *s, struct ft_ups_request *q, struct ft_ups_answer *ret,
                 struct ft_err *err)
{
    struct ft_ups_answer a = {0};
    int rc = ft_ups_call(s, q, &a, err);
    if (rc == 0 && a.status / 100 != 2)
        rc = ft_object_refused(&a, err);
    if (rc == 0 && ret != NULL)
        *ret = a;
    else
        ft_ups_answer_fini(&a);
    return rc;
}

int ft_object_bucket(struct ft_ups_server *s, const char *bucket, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_err why = {0};
    ft_ups_request_init(&q, "HEAD", bucket, NULL);
    int rc = ft_object_do(s, &q, NULL, &why);
    ft_ups_request_fini(&q);
    return rc == FT_ENOTFOUND
               ? ft_err_set(err, FT_ENOTFOUND, "the bucket s3://%s does not exist", bucket)
               : 0;
}

int ft_object_missing(struct ft_ups_server *s, const char *bucket, struct ft_err *err)
{
    ft_object_bucket(s, bucket, err);
    return FT_ENOTFOUND;
}

/* ---- listing ---- */

static int64_t whole(const char *text)
{
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

static int tell_page(const struct ft_xml_node *root, ft_object_fn *fn, void *ctx,
                     struct ft_err *err)
{
    int rc = 0;
    for (const struct ft_xml_node *n = root->first; n != NULL && rc == 0; n = n->next) {
        struct ft_object_entry e = {.size = -1, .modified = "", .etag = ""};
        bool object = strcmp(n->name, "Contents") == 0;
        if (!object && strcmp(n->name, "CommonPrefixes") != 0)
            continue;
        e.key = ft_xml_child_text(n, object ? "Key" : "Prefix");
        if (object) {
            e.size = whole(ft_xml_child_text(n, "Size"));
            e.modified = ft_xml_child_text(n, "LastModified");
            e.etag = ft_xml_child_text(n, "ETag");
        }
        if (e.key != NULL)
            rc = fn(ctx, &e, err);
    }
    return rc;
}

/* *token: where it goes on; NULL: from the start, and at the end. */
static int page(struct ft_ups_server *s, const struct ft_object_at *at, bool deep, char **token,
                ft_object_fn *fn, void *ctx, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a = {0};
    struct ft_arena arena;
    struct ft_xml_node *root = NULL;
    ft_ups_request_init(&q, "GET", at->bucket, NULL);
    ft_ups_query(&q, "list-type", "2");
    ft_ups_query(&q, "prefix", at->key);
    if (!deep)
        ft_ups_query(&q, "delimiter", "/");
    if (*token != NULL)
        ft_ups_query(&q, "continuation-token", *token);
    int rc = ft_object_do(s, &q, &a, err);
    ft_ups_request_fini(&q);
    free(*token);
    *token = NULL;
    ft_arena_init(&arena, TREE_MAX);
    if (rc == 0)
        rc = ft_xml_read(a.body.data, a.body.len, &arena, &root, err);
    if (rc == 0)
        rc = tell_page(root, fn, ctx, err);
    const char *next = ft_xml_child_text(root, "NextContinuationToken");
    if (rc == 0 && next != NULL)
        *token = strdup(next);
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return rc;
}

int ft_object_list(struct ft_ups_server *s, const struct ft_object_at *at, bool deep,
                   ft_object_fn *fn, void *ctx, struct ft_err *err)
{
    char *token = NULL;
    int rc = 0;
    for (int i = 0; i < PAGES_MAX && rc == 0; i++) {
        rc = page(s, at, deep, &token, fn, ctx, err);
        if (token == NULL)
            break;
    }
    free(token);
    return rc;
}

/* ---- versions ---- */

struct place { /* where a listing of versions goes on; NULL: from the start, and at the end */
    char *key, *version;
};

static int tell_versions(const struct ft_xml_node *root, ft_object_fn *fn, void *ctx,
                         struct ft_err *err)
{
    int rc = 0;
    for (const struct ft_xml_node *n = root->first; n != NULL && rc == 0; n = n->next) {
        struct ft_object_entry e = {.size = -1, .modified = "", .etag = ""};
        if (strcmp(n->name, "Version") != 0 && strcmp(n->name, "DeleteMarker") != 0)
            continue;
        e.key = ft_xml_child_text(n, "Key");
        e.version = ft_xml_child_text(n, "VersionId");
        if (e.key != NULL && e.version != NULL)
            rc = fn(ctx, &e, err);
    }
    return rc;
}

static int versions_page(struct ft_ups_server *s, const struct ft_object_at *at, struct place *next,
                         ft_object_fn *fn, void *ctx, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a = {0};
    struct ft_arena arena;
    struct ft_xml_node *root = NULL;
    ft_ups_request_init(&q, "GET", at->bucket, NULL);
    ft_ups_query(&q, "versions", NULL);
    ft_ups_query(&q, "prefix", at->key);
    if (next->key != NULL)
        ft_ups_query(&q, "key-marker", next->key);
    if (next->version != NULL)
        ft_ups_query(&q, "version-id-marker", next->version);
    int rc = ft_object_do(s, &q, &a, err);
    ft_ups_request_fini(&q);
    free(next->key);
    free(next->version);
    *next = (struct place){0};
    ft_arena_init(&arena, TREE_MAX);
    if (rc == 0)
        rc = ft_xml_read(a.body.data, a.body.len, &arena, &root, err);
    if (rc == 0)
        rc = tell_versions(root, fn, ctx, err);
    const char *key = ft_xml_child_text(root, "NextKeyMarker");
    const char *version = ft_xml_child_text(root, "NextVersionIdMarker");
    const char *more = ft_xml_child_text(root, "IsTruncated");
    if (rc == 0 && more != NULL && strcmp(more, "true") == 0 && key != NULL) {
        next->key = strdup(key);
        next->version = version != NULL ? strdup(version) : NULL;
    }
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return rc;
}

int ft_object_versions(struct ft_ups_server *s, const struct ft_object_at *at, ft_object_fn *fn,
                       void *ctx, struct ft_err *err)
{
    struct place next = {0};
    int rc = 0;
    for (int i = 0; i < PAGES_MAX && rc == 0; i++) {
        rc = versions_page(s, at, &next, fn, ctx, err);
        if (next.key == NULL)
            break;
    }
    free(next.key);
    free(next.version);
    return rc;
}
