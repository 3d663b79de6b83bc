/* The store over S3: its opening, places, the documents in its hidden bucket, locks of keys. */
#include "blob/s3/s3.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "base/hex.h"
#include "base/map.h"
#include "blob/s3/impl.h"
#include "net/date.h"
#include "net/xml.h"

#define PREFIX_MAX       16
#define DOCUMENT_SECONDS 86400
#define DOCS_XML_MAX     (32u << 20)
#define DELETE_MAX       1000 /* documents that one request removes */

int64_t ups_now_s(void)
{
    return time(NULL);
}

void ups_token(char ret[S3_TOKEN_SIZE])
{
    unsigned char bytes[(S3_TOKEN_SIZE - 1) / 2];
    FT_ASSERT(getrandom(bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes);
    ft_hex(bytes, sizeof bytes, ret);
}

pthread_mutex_t *ups_key_lock(struct ups *s, const char *bucket, const char *key)
{
    uint64_t h = ft_hash_bytes(bucket, strlen(bucket)) * 31 + ft_hash_bytes(key, strlen(key));
    return &s->keys[h % S3_LOCKS];
}

int ups_place(struct ups *s, const char *bucket, struct ups_place *ret, struct ft_err *err)
{
    pthread_mutex_lock(&s->lock);
    const struct ups_bucket *k = ups_bucket_find(s, bucket);
    if (k != NULL) {
        strcpy(ret->name, k->facts.name);
        strcpy(ret->upstream, k->upstream);
        ret->versioning = k->facts.versioning;
        ret->created_ns = k->facts.created_ns;
        ret->held = k->held;
    }
    pthread_mutex_unlock(&s->lock);
    return k != NULL ? 0
                     : ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_BUCKET,
                                   "bucket %s: no such bucket", bucket);
}

/* ---- documents ---- */

int ups_doc_put(struct ups *s, const char *key, const char *text, struct ft_err *err)
{
    struct ft_ups_request q;
    ft_ups_request_init(&q, "PUT", s->hidden, key);
    ft_ups_body(&q, text, strlen(text));
    int rc = ft_ups_do(&s->server, &q, key, NULL, err);
    ft_ups_request_fini(&q);
    return rc;
}

int ups_doc_get(struct ups *s, const char *key, char **ret, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    ft_ups_request_init(&q, "GET", s->hidden, key);
    int rc = ft_ups_call(&s->server, &q, &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return rc;
    if (a.status == 200) {
        ft_buf_add(&a.body, "", 0);
        *ret = a.body.data != NULL ? a.body.data : strdup("");
        a.body = (struct ft_buf){.data = NULL};
        rc = *ret != NULL ? 1 : ft_err_set(err, FT_ENOMEM, "no memory for a document");
    } else if (a.status != 404) {
        rc = ft_ups_refused(&a, key, err);
    }
    ft_ups_answer_fini(&a);
    return rc;
}

int ups_doc_remove(struct ups *s, const char *key, struct ft_err *err)
{
    struct ft_ups_request q;
    ft_ups_request_init(&q, "DELETE", s->hidden, key);
    int rc = ft_ups_do(&s->server, &q, key, NULL, err);
    ft_ups_request_fini(&q);
    return rc == FT_ENOTFOUND ? 0 : rc;
}

/* One page of documents; *ret_more, and the last key in `after`. */
static int docs_page(struct ups *s, const char *prefix, char *after, size_t after_size,
                     ups_doc_fn *fn, void *ctx, bool *ret_more, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    struct ft_arena arena;
    struct ft_xml_node *root;
    ft_ups_request_init(&q, "GET", s->hidden, NULL);
    ft_ups_query(&q, "list-type", "2");
    ft_ups_query(&q, "prefix", prefix);
    if (*after != '\0')
        ft_ups_query(&q, "start-after", after);
    int rc = ft_ups_do(&s->server, &q, "list of documents", &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return rc;
    ft_arena_init(&arena, DOCS_XML_MAX);
    rc = ft_ups_xml(&a, &arena, &root, err);
    if (rc == 0) {
        const char *truncated = ft_xml_child_text(root, "IsTruncated");
        *ret_more = truncated != NULL && strcmp(truncated, "true") == 0;
        const struct ft_xml_node *n = root->first;
        bool some = false;
        for (; n != NULL && rc == 0; n = n->next) {
            const char *key = ft_xml_child_text(n, "Key");
            const char *at = ft_xml_child_text(n, "LastModified");
            int64_t modified = 0;
            if (strcmp(n->name, "Contents") != 0 || key == NULL)
                continue;
            if (at != NULL)
                ft_date_parse_iso(at, &modified);
            if (strcmp(key, after) <= 0) {
                rc = ft_err_set(err, FT_EIO, "the upstream's listing is in no order");
                break;
            }
            snprintf(after, after_size, "%s", key);
            some = true;
            rc = fn(ctx, key, modified);
        }
        *ret_more = *ret_more && some;
    }
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return rc;
}

int ups_docs(struct ups *s, const char *prefix, ups_doc_fn *fn, void *ctx, struct ft_err *err)
{
    char after[FT_BLOB_KEY_MAX + 1] = "";
    bool more = true;
    int rc = 0;
    while (more && rc == 0)
        rc = docs_page(s, prefix, after, sizeof after, fn, ctx, &more, err);
    return rc;
}

struct removal {
    struct ups *s;
    struct ft_xml xml;
    int n;
    struct ft_err *err;
};

static void removal_begin(struct removal *r)
{
    ft_xml_init(&r->xml, DELETE_MAX * 6 * (FT_BLOB_KEY_MAX + 64));
    ft_xml_root(&r->xml, "Delete", "http://s3.amazonaws.com/doc/2006-03-01/");
    ft_xml_bool(&r->xml, "Quiet", true);
    r->n = 0;
}

static int removal_end(struct removal *r)
{
    int rc = 0;
    if (r->n > 0) {
        struct ft_ups_request q;
        ft_xml_end(&r->xml);
        ft_ups_request_init(&q, "POST", r->s->hidden, NULL);
        ft_ups_query(&q, "delete", NULL);
        ft_ups_body(&q, r->xml.buf.data, r->xml.buf.len);
        rc = ft_ups_do(&r->s->server, &q, "removal of documents", NULL, r->err);
        ft_ups_request_fini(&q);
    }
    ft_xml_fini(&r->xml);
    return rc;
}

static int removal_add(void *ctx, const char *key, int64_t modified_s)
{
    struct removal *r = ctx;
    (void)modified_s;
    ft_xml_begin(&r->xml, "Object");
    ft_xml_text(&r->xml, "Key", key);
    ft_xml_end(&r->xml);
    if (++r->n < DELETE_MAX)
        return 0;
    int rc = removal_end(r);
    removal_begin(r);
    return rc;
}

int ups_docs_remove(struct ups *s, const char *prefix, struct ft_err *err)
{
    struct removal r = {.s = s, .err = err};
    removal_begin(&r);
    int rc = ups_docs(s, prefix, removal_add, &r, err);
    int ended = removal_end(&r);
    return rc != 0 ? rc : ended;
}

/* ---- opening ---- */

static const struct ft_blob_ops ops;

static void ups_close(struct ft_blob *b)
{
    struct ups *s = ups_of(b);
    ft_http_client_close(s->server.client);
    for (size_t i = 0; i < s->n_buckets; i++)
        ups_bucket_free(s->buckets[i]);
    free(s->buckets);
    free(s->server.endpoint);
    free(s->server.host);
    free(s->server.region);
    free(s->server.access_key);
    free(s->server.secret_key);
    free(s->server.ca_file);
    for (int i = 0; i < S3_LOCKS; i++)
        pthread_mutex_destroy(&s->keys[i]);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int config_check(const struct ft_blob_s3_config *c, const char *prefix, struct ft_err *err)
{
    if (c->endpoint == NULL ||
        (strncmp(c->endpoint, "http://", 7) != 0 && strncmp(c->endpoint, "https://", 8) != 0))
        return ft_err_set(err, FT_EINVAL, "endpoint: neither http:// nor https://");
    const char *host = strstr(c->endpoint, "://") + 3, *slash = strchr(host, '/');
    if (*host == '\0' || *host == '/' || (slash != NULL && slash[1] != '\0'))
        return ft_err_set(err, FT_EINVAL, "endpoint: a host, without a path");
    if (c->access_key == NULL || c->secret_key == NULL || *c->access_key == '\0')
        return ft_err_set(err, FT_EINVAL, "access_key, secret_key: missing");
    if (strlen(prefix) > PREFIX_MAX ||
        strspn(prefix, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(prefix) ||
        *prefix == '\0' || *prefix == '-')
        return ft_err_set(err, FT_EINVAL, "prefix: 1 to %d of a-z, 0-9 and -", PREFIX_MAX);
    return 0;
}

/* The host as curl will name it: a default port is left out. */
static char *host_of(const char *endpoint)
{
    bool tls = strncmp(endpoint, "https", 5) == 0;
    char *host = strdup(strstr(endpoint, "://") + 3);
    if (host == NULL)
        return NULL;
    host[strcspn(host, "/")] = '\0';
    size_t n = strlen(host);
    const char *port = tls ? ":443" : ":80";
    if (n > strlen(port) && strcmp(host + n - strlen(port), port) == 0)
        host[n - strlen(port)] = '\0';
    return host;
}

static int open_hidden(struct ups *s, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    ft_ups_request_init(&q, "HEAD", s->hidden, NULL);
    int rc = ft_ups_call(&s->server, &q, &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return ft_err_wrap(err, "%s", s->server.endpoint);
    int status = a.status;
    if (status / 100 != 2 && status != 404)
        rc = ft_err_set(err, FT_EIO, "%s: answers %d for bucket %s", s->server.endpoint, status,
                        s->hidden);
    ft_ups_answer_fini(&a);
    if (rc != 0 || status != 404)
        return rc;
    return ups_bucket_make(s, s->hidden, err);
}

int ft_blob_s3_open(const struct ft_blob_s3_config *c, struct ft_blob **ret, struct ft_err *err)
{
    const char *prefix = c->prefix != NULL ? c->prefix : "feitian-";
    int rc = config_check(c, prefix, err);
    if (rc != 0)
        return rc;
    struct ups *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a store");
    s->base.ops = &ops;
    s->usage_seconds = c->usage_seconds;
    s->document_seconds = c->document_seconds > 0 ? c->document_seconds : DOCUMENT_SECONDS;
    pthread_mutex_init(&s->lock, NULL);
    for (int i = 0; i < S3_LOCKS; i++)
        pthread_mutex_init(&s->keys[i], NULL);
    snprintf(s->prefix, sizeof s->prefix, "%s", prefix);
    snprintf(s->hidden, sizeof s->hidden, "%sfeitian-cloud", prefix);
    s->server.endpoint = strdup(c->endpoint);
    s->server.host = host_of(c->endpoint);
    s->server.region = strdup(c->region != NULL ? c->region : "us-east-1");
    s->server.access_key = strdup(c->access_key);
    s->server.secret_key = strdup(c->secret_key);
    s->server.ca_file = c->ca_file != NULL ? strdup(c->ca_file) : NULL;
    if (s->server.endpoint == NULL || s->server.host == NULL || s->server.region == NULL ||
        s->server.access_key == NULL || s->server.secret_key == NULL ||
        (c->ca_file != NULL && s->server.ca_file == NULL))
        rc = ft_err_set(err, FT_ENOMEM, "no memory for a store");
    if (rc == 0 && s->server.endpoint[strlen(s->server.endpoint) - 1] == '/')
        s->server.endpoint[strlen(s->server.endpoint) - 1] = '\0';
    if (rc == 0)
        rc = ft_http_client_open(&s->server.client, err);
    if (rc == 0)
        rc = open_hidden(s, err);
    if (rc == 0)
        rc = ups_buckets_load(s, err);
    if (rc != 0) {
        ups_close(&s->base);
        return rc;
    }
    *ret = &s->base;
    return 0;
}

static const struct ft_blob_ops ops = {
    .name = "s3",
    .bucket_create = ups_bucket_create,
    .bucket_delete = ups_bucket_delete,
    .bucket_get = ups_bucket_get,
    .bucket_list = ups_bucket_list,
    .bucket_set_versioning = ups_bucket_set_versioning,
    .bucket_set = ups_bucket_set,
    .bucket_config = ups_bucket_config,
    .put = ups_put,
    .put_write = ups_put_write,
    .put_commit = ups_put_commit,
    .put_abort = ups_put_abort,
    .copy = ups_copy,
    .remove = ups_remove,
    .annotate = ups_annotate,
    .head = ups_head,
    .open = ups_open,
    .reader_info = ups_reader_info,
    .read = ups_read,
    .close_reader = ups_close_reader,
    .link = ups_link,
    .list = ups_list,
    .upload_begin = ups_upload_begin,
    .upload_get = ups_upload_get,
    .upload_complete = ups_upload_complete,
    .upload_abort = ups_upload_abort,
    .upload_parts = ups_upload_parts,
    .uploads = ups_uploads,
    .part_of = ups_part_of,
    .usage = ups_usage,
    .bucket_usage = ups_bucket_usage,
    .scrub = ups_scrub,
    .close = ups_close,
};
