/* feitian ls, rm, mb, presign: buckets and objects. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cloud/objects.h"
#include "cli/cloud/show.h"
#include "cli/cloud/terms.h"
#include "net/sigv4.h"
#include "net/xml.h"

#define TREE_MAX    ((size_t)16 << 20)
#define DELETES_MAX 1000 /* of one request */
#define DELETES_XML ((size_t)8 << 20)
#define EXPIRES_S   3600

struct object_options {
    struct ft_cloud_options cloud;
    bool deep, put, versions;
    const char *expires;
    char **args;
    int n_args;
};

static int one_at(const char *text, bool key, struct ft_object_at *ret, struct ft_err *err)
{
    int rc = ft_object_at(text, ret, err);
    if (rc == 0)
        rc = ft_err_set(err, FT_EINVAL, "%.200s: must be s3://BUCKET%s", text, key ? "/KEY" : "");
    else if (rc > 0)
        rc = ret->bucket[0] == '\0' || (key && ret->key[0] == '\0')
                 ? ft_err_set(err, FT_EINVAL, "%.200s: must be s3://BUCKET%s", text,
                              key ? "/KEY" : "")
                 : 0;
    return rc;
}

/* ---- ls ---- */

struct listing {
    struct ft_table *table;
    json_t *json;
    size_t cut;
    int n;
};

/* "2026-11-22T10:00:00.000Z" as people read it. */
static const char *plain_time(const char *iso, char ret[20])
{
    snprintf(ret, 20, "%.10s %.5s", iso, strlen(iso) > 16 ? iso + 11 : "");
    return ret;
}

static int list_one(void *ctx, const struct ft_object_entry *e, struct ft_err *err)
{
    struct listing *l = ctx;
    char text[FT_FIGURE_BYTES], when[20];
    (void)err;
    l->n++;
    if (l->json != NULL) {
        size_t n = strlen(e->etag), quoted = n > 1 && e->etag[0] == '"' && e->etag[n - 1] == '"';
        json_array_append_new(l->json, e->size < 0
                                           ? json_pack("{s:s}", "prefix", e->key)
                                           : json_pack("{s:s,s:I,s:s,s:s%}", "key", e->key, "size",
                                                       (json_int_t)e->size, "modified", e->modified,
                                                       "etag", e->etag + quoted, n - 2 * quoted));
        return 0;
    }
    ft_table_add(l->table, e->size < 0 ? "" : plain_time(e->modified, when));
    ft_table_add(l->table, e->size < 0 ? "" : ft_figure_bytes(text, (uint64_t)e->size));
    ft_table_add(l->table, e->key + FT_MIN(l->cut, strlen(e->key)));
    return 0;
}

static int list_buckets(struct ft_ups_server *s, struct listing *l, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a = {0};
    struct ft_arena arena;
    struct ft_xml_node *root = NULL;
    char when[20];
    ft_ups_request_init(&q, "GET", NULL, NULL);
    int rc = ft_object_do(s, &q, &a, err);
    ft_ups_request_fini(&q);
    ft_arena_init(&arena, TREE_MAX);
    if (rc == 0)
        rc = ft_xml_read(a.body.data, a.body.len, &arena, &root, err);
    const struct ft_xml_node *n = ft_xml_child(root, "Buckets");
    for (n = n != NULL ? n->first : NULL; n != NULL; n = n->next) {
        const char *name = ft_xml_child_text(n, "Name"), *at = ft_xml_child_text(n, "CreationDate");
        l->n++;
        if (l->json != NULL) {
            json_array_append_new(l->json, json_pack("{s:s,s:s}", "bucket", name, "created", at));
            continue;
        }
        ft_table_add(l->table, plain_time(at != NULL ? at : "", when));
        ft_table_addf(l->table, "s3://%s", name);
    }
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return rc;
}

static int ls(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const of_buckets[] = {"MADE", "BUCKET"};
    static const char *const of_keys[] = {"CHANGED", ">SIZE", "NAME"};
    const struct object_options *o = ctx;
    struct ft_object_at at = {.bucket = ""};
    struct ft_ups_server s = {0};
    int rc = o->n_args > 0 ? ft_object_at(o->args[0], &at, err) : 1;
    if (rc == 0)
        rc = ft_err_set(err, FT_EINVAL, "%.200s: must be s3://BUCKET/PREFIX", o->args[0]);
    else if (rc > 0)
        rc = ft_objects_open(c, &s, err);
    bool buckets = at.bucket[0] == '\0';
    struct listing l = {.json = o->cloud.json ? json_array() : NULL};
    l.table = ft_table_open(buckets ? 2 : 3, buckets ? of_buckets : of_keys);
    const char *slash = strrchr(at.key, '/');
    l.cut = o->deep || slash == NULL ? 0 : (size_t)(slash + 1 - at.key);
    if (rc == 0)
        rc = buckets ? list_buckets(&s, &l, err)
                     : ft_object_list(&s, &at, o->deep, list_one, &l, err);
    if (rc == 0 && l.json != NULL)
        ft_show_json(json_incref(l.json));
    else if (rc == 0 && l.n == 0)
        fprintf(stderr, buckets ? "there are no buckets: 'feitian mb s3://NAME' makes one\n"
                                : "nothing is there\n");
    else if (rc == 0)
        ft_table_print_here(l.table);
    json_decref(l.json);
    ft_table_close(l.table);
    ft_objects_close(&s);
    return rc;
}

int ft_cmd_ls(int argc, char **argv)
{
    struct object_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"recursive", 'r', FT_OPT_FLAG, &o.deep, 0, 0}};
    int rc = ft_opts_parse("ls", opts, FT_COUNT(opts), argc, argv, 0, 1,
                           "a bucket or a prefix: feitian ls s3://BUCKET/PREFIX", &o.args);
    o.n_args = rc == 0 ? (int)(argv + argc - o.args) : 0;
    return rc != 0 ? rc : ft_cloud_command("ls", &o.cloud, ls, &o);
}

/* ---- rm ---- */

struct removal {
    struct ft_ups_server *s;
    const struct ft_object_at *at;
    bool one; /* of what is listed below the key, the key alone */
    struct ft_xml x;
    int n, done;
};

static void removal_begin(struct removal *r)
{
    ft_xml_init(&r->x, DELETES_XML);
    ft_xml_root(&r->x, "Delete", "http://s3.amazonaws.com/doc/2006-03-01/");
    ft_xml_bool(&r->x, "Quiet", true);
    r->n = 0;
}

/* Removes what was collected. */
static int removal_send(struct removal *r, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a = {0};
    struct ft_arena arena;
    struct ft_xml_node *root = NULL;
    int rc = 0;
    ft_xml_end(&r->x);
    if (r->n > 0) {
        ft_ups_request_init(&q, "POST", r->at->bucket, NULL);
        ft_ups_query(&q, "delete", NULL);
        ft_ups_body(&q, r->x.buf.data, r->x.buf.len);
        rc = ft_object_do(r->s, &q, &a, err);
        ft_ups_request_fini(&q);
        ft_arena_init(&arena, TREE_MAX);
        if (rc == 0)
            rc = ft_xml_read(a.body.data, a.body.len, &arena, &root, err);
        const struct ft_xml_node *bad = ft_xml_child(root, "Error");
        if (rc == 0 && bad != NULL)
            rc = ft_err_set(err, FT_EINVAL, "%.200s: %.200s", ft_xml_child_text(bad, "Key"),
                            ft_xml_child_text(bad, "Message"));
        ft_arena_fini(&arena);
        ft_ups_answer_fini(&a);
    }
    r->done += rc == 0 ? r->n : 0;
    ft_xml_fini(&r->x);
    return rc;
}

static int remove_one(void *ctx, const struct ft_object_entry *e, struct ft_err *err)
{
    struct removal *r = ctx;
    if (r->one && strcmp(e->key, r->at->key) != 0)
        return 0;
    ft_xml_begin(&r->x, "Object");
    ft_xml_text(&r->x, "Key", e->key);
    if (e->version != NULL)
        ft_xml_text(&r->x, "VersionId", e->version);
    ft_xml_end(&r->x);
    if (++r->n < DELETES_MAX)
        return 0;
    int rc = removal_send(r, err);
    removal_begin(r);
    return rc;
}

/* Everything below a prefix, or every version of one key. */
static int remove_below(struct ft_ups_server *s, const struct object_options *o,
                        const struct ft_object_at *at, int *ret_n, struct ft_err *err)
{
    struct removal r = {.s = s, .at = at, .one = !o->deep};
    struct ft_err more = {0};
    removal_begin(&r);
    int rc = o->versions ? ft_object_versions(s, at, remove_one, &r, err)
                         : ft_object_list(s, at, true, remove_one, &r, err);
    int last = removal_send(&r, rc == 0 ? err : &more);
    *ret_n += r.done;
    return rc != 0 ? rc : last;
}

static int note_one(void *ctx, const struct ft_object_entry *e, struct ft_err *err)
{
    (void)e;
    *(bool *)ctx = true;
    return ft_err_set(err, FT_ECANCELED, "one is enough");
}

/* Why a bucket is not empty whose objects were all removed. */
static int not_empty(struct ft_ups_server *s, const struct ft_object_at *at, struct ft_err *err)
{
    bool left = false;
    struct ft_err ignored = {0};
    ft_object_versions(s, at, note_one, &left, &ignored);
    return left ? ft_err_set(err, FT_EEXIST,
                             "older versions of its objects are left; 'feitian rm -r --versions "
                             "s3://%s' removes them too",
                             at->bucket)
                : FT_EEXIST;
}

static int remove_at(struct ft_ups_server *s, const struct object_options *o,
                     const struct ft_object_at *at, int *ret_n, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a = {0};
    bool bucket = at->key[0] == '\0';
    int rc = 0;
    if (o->versions && bucket && !o->deep)
        return ft_err_set(err, FT_EINVAL,
                          "a bucket's versions are many: -r --versions removes all");
    if (o->deep || o->versions) {
        struct ft_object_at below = *at;
        size_t n = strlen(below.key);
        if (o->deep && n > 0 && below.key[n - 1] != '/' && n + 1 < sizeof below.key)
            strcpy(below.key + n, "/");
        rc = remove_below(s, o, &below, ret_n, err);
    }
    if (rc != 0 || ((o->deep || o->versions) && !bucket))
        return rc;
    if (!bucket) { /* S3 removes what is not there as well; people want to know */
        ft_ups_request_init(&q, "HEAD", at->bucket, at->key);
        rc = ft_object_do(s, &q, &a, err);
        ft_ups_request_fini(&q);
        ft_ups_answer_fini(&a);
    }
    if (rc != 0)
        return rc == FT_ENOTFOUND ? ft_object_missing(s, at->bucket, err) : rc;
    ft_ups_request_init(&q, "DELETE", at->bucket, bucket ? NULL : at->key);
    rc = ft_object_do(s, &q, NULL, err);
    ft_ups_request_fini(&q);
    *ret_n += rc == 0;
    return rc == FT_EEXIST && o->deep ? not_empty(s, at, err) : rc;
}

static int rm(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct object_options *o = ctx;
    struct ft_ups_server s = {0};
    int n = 0, rc = ft_objects_open(c, &s, err);
    for (int i = 0; rc == 0 && i < o->n_args; i++) {
        struct ft_object_at at;
        rc = one_at(o->args[i], false, &at, err);
        if (rc != 0) /* names it */
            break;
        rc = remove_at(&s, o, &at, &n, err);
        if (rc != 0)
            ft_err_wrap(err, "%.200s", o->args[i]);
    }
    ft_objects_close(&s);
    if (rc == 0 && o->cloud.json)
        ft_show_json(json_pack("{s:i}", "removed", n));
    else if (rc == 0)
        printf("%d removed\n", n);
    return rc;
}

int ft_cmd_rm(int argc, char **argv)
{
    struct object_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"recursive", 'r', FT_OPT_FLAG, &o.deep, 0, 0},
                                  {"versions", 0, FT_OPT_FLAG, &o.versions, 0, 0}};
    int rc = ft_opts_parse("rm", opts, FT_COUNT(opts), argc, argv, 1, 1 << 20,
                           "what to remove: feitian rm s3://BUCKET/KEY", &o.args);
    o.n_args = rc == 0 ? (int)(argv + argc - o.args) : 0;
    return rc != 0 ? rc : ft_cloud_command("rm", &o.cloud, rm, &o);
}

/* ---- mb ---- */

#define BUCKET_LEAST 3
#define BUCKET_MOST  63

/* What can be seen here; the cloud knows the rest of S3's rules. */
static int check_bucket(const char *name, struct ft_err *err)
{
    size_t n = strlen(name);
    if (n >= BUCKET_LEAST && n <= BUCKET_MOST &&
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n)
        return 0;
    return ft_err_set(err, FT_EINVAL,
                      "a bucket's name is %d to %d small letters, digits, dots and hyphens",
                      BUCKET_LEAST, BUCKET_MOST);
}

static int mb(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct object_options *o = ctx;
    struct ft_ups_server s = {0};
    json_t *made = json_array();
    int rc = ft_objects_open(c, &s, err);
    for (int i = 0; rc == 0 && i < o->n_args; i++) {
        struct ft_object_at at;
        struct ft_ups_request q;
        rc = one_at(o->args[i], false, &at, err);
        if (rc != 0) /* names it */
            break;
        if (at.key[0] != '\0')
            rc = ft_err_set(err, FT_EINVAL, "a bucket's name has no '/'");
        if (rc == 0)
            rc = check_bucket(at.bucket, err);
        if (rc == 0) {
            ft_ups_request_init(&q, "PUT", at.bucket, NULL);
            rc = ft_object_do(&s, &q, NULL, err);
            ft_ups_request_fini(&q);
        }
        if (rc != 0)
            ft_err_wrap(err, "%.200s", o->args[i]);
        else if (o->cloud.json)
            json_array_append_new(made, json_pack("{s:s}", "bucket", at.bucket));
        else
            printf("s3://%s is made\n", at.bucket);
    }
    ft_objects_close(&s);
    if (rc == 0 && o->cloud.json)
        ft_show_json(json_incref(made));
    json_decref(made);
    return rc;
}

int ft_cmd_mb(int argc, char **argv)
{
    struct object_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("mb", opts, FT_COUNT(opts), argc, argv, 1, 1000,
                           "a bucket: feitian mb s3://NAME", &o.args);
    o.n_args = rc == 0 ? (int)(argv + argc - o.args) : 0;
    return rc != 0 ? rc : ft_cloud_command("mb", &o.cloud, mb, &o);
}

/* ---- presign ---- */

static int signed_url(const struct ft_ups_server *s, const struct object_options *o,
                      const struct ft_object_at *at, int64_t expires_s, struct ft_buf *ret,
                      struct ft_err *err)
{
    struct ft_ups_request q;
    const struct ft_http_field host = {"host", s->host};
    const struct ft_sigv4_key key = {s->access_key, s->secret_key, s->region, "s3"};
    ft_ups_request_init(&q, o->put ? "PUT" : "GET", at->bucket, at->key);
    const struct ft_sigv4_request r = {
        .method = q.method, .path = q.path.data, .query = "", .fields = &host, .n_fields = 1};
    ft_buf_addf(ret, "%s%s?", s->endpoint, q.path.data);
    int rc = ft_sigv4_presign(&r, &key, (int64_t)time(NULL), (int)expires_s, ret, err);
    ft_ups_request_fini(&q);
    return rc;
}

static int presign(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct object_options *o = ctx;
    struct ft_ups_server s = {0};
    struct ft_object_at at;
    struct ft_buf url;
    int64_t expires = EXPIRES_S;
    ft_buf_init(&url, 16384);
    int rc = one_at(o->args[0], true, &at, err);
    if (rc == 0 && o->expires != NULL) {
        rc = ft_terms_when("expires", o->expires, false, &expires, err);
        expires -= (int64_t)time(NULL);
    }
    if (rc == 0 && (expires < 1 || expires > FT_SIGV4_EXPIRES_MAX_S))
        rc = ft_err_set(err, FT_EINVAL, "--expires: at most 7 days from now");
    if (rc == 0)
        rc = ft_objects_open(c, &s, err);
    if (rc == 0)
        rc = signed_url(&s, o, &at, expires, &url, err);
    if (rc == 0 && o->cloud.json)
        ft_show_json(json_pack("{s:s,s:I}", "url", url.data, "expires_in", (json_int_t)expires));
    else if (rc == 0)
        printf("%s\n", url.data);
    ft_buf_fini(&url);
    ft_objects_close(&s);
    return rc;
}

int ft_cmd_presign(int argc, char **argv)
{
    struct object_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"put", 0, FT_OPT_FLAG, &o.put, 0, 0},
                                  {"expires", 0, FT_OPT_TEXT, &o.expires, 0, 0}};
    int rc = ft_opts_parse("presign", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "an object: feitian presign s3://BUCKET/KEY", &o.args);
    return rc != 0 ? rc : ft_cloud_command("presign", &o.cloud, presign, &o);
}
