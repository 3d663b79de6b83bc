/* Large files: the batch that says where to send what, and the URLs it names.
 *
 * Such a URL carries what it is for (content, size, part) and whose it is, signed with the cloud's
 * secret: clients send bytes there without their key. Bytes are held to the hash before they are
 * content; who sent them may name them afterwards. */
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/hub/impl.h"
#include "base/hex.h"

#define CHUNK_BYTES 262144
#define MULTI_BYTES (2 * (int64_t)FT_HUB_PART_BYTES) /* larger files are sent in parts */

/* What a URL says. */
struct transfer {
    char verb[12]; /* "put", "part", "complete", "get" */
    char oid[FT_REPO_SHA_BYTES], key[FT_REPO_ORG_MAX + 1], org[FT_REPO_ORG_MAX + 1];
    char id[FT_BLOB_UPLOAD_MAX + 1]; /* of an upload in parts */
    long long size, chunk, expires;
    int part;
};

static void sign(const struct ft_hub *h, const struct transfer *t, char ret[65])
{
    struct hmac_sha256_ctx c;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char text[1024];
    int n = snprintf(text, sizeof text, "hub\n%s\n%s\n%s\n%s\n%s\n%lld\n%lld\n%lld\n%d", t->verb,
                     t->oid, t->key, t->org, t->id, t->size, t->chunk, t->expires, t->part);
    hmac_sha256_set_key(&c, sizeof h->c.secret, h->c.secret);
    hmac_sha256_update(&c, (size_t)FT_MIN(n, (int)sizeof text - 1), (const uint8_t *)text);
    hmac_sha256_digest(&c, sizeof digest, digest);
    ft_hex(digest, sizeof digest, ret);
}

static void transfer_url(struct hub_call *c, const struct transfer *t, struct ft_buf *b)
{
    char sig[65];
    sign(c->hub, t, sig);
    ft_buf_reset(b);
    ft_buf_addf(b, "%s/api/hub/lfs/%s/%s?size=%lld&key=%s&org=%s&expires=%lld", hub_base(c),
                t->verb, t->oid, t->size, t->key, t->org, t->expires);
    if (t->id[0] != '\0') {
        ft_buf_addf(b, "&chunk=%lld&part=%d&upload=", t->chunk, t->part);
        for (const char *p = t->id; *p != '\0'; p++)
            ft_buf_addf(b,
                        strchr("-_.~", *p) != NULL || (*p >= '0' && *p <= '9') ||
                                (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')
                            ? "%c"
                            : "%%%02X",
                        (unsigned char)*p);
    }
    ft_buf_addf(b, "&signature=%s", sig);
}

static void copy(char *ret, size_t n, const char *s)
{
    snprintf(ret, n, "%s", s != NULL ? s : "");
}

/* False: not a URL of ours, or it is over. */
static bool read_url(struct ft_hub *h, struct hub_call *c, struct transfer *t)
{
    char sig[65];
    const char *size = hub_param(c, "size"), *expires = hub_param(c, "expires");
    const char *given = hub_param(c, "signature"), *chunk = hub_param(c, "chunk");
    const char *part = hub_param(c, "part");
    if (c->n_parts != 5 || strcmp(c->part[2], "lfs") != 0 || given == NULL || size == NULL ||
        expires == NULL || strlen(given) != 64)
        return false;
    *t = (struct transfer){.size = atoll(size),
                           .expires = atoll(expires),
                           .chunk = chunk != NULL ? atoll(chunk) : 0,
                           .part = part != NULL ? atoi(part) : 0};
    copy(t->verb, sizeof t->verb, c->part[3]);
    copy(t->oid, sizeof t->oid, c->part[4]);
    copy(t->key, sizeof t->key, hub_param(c, "key"));
    copy(t->org, sizeof t->org, hub_param(c, "org"));
    copy(t->id, sizeof t->id, hub_param(c, "upload"));
    sign(h, t, sig);
    return memeql_sec(sig, given, 64) && t->expires >= (long long)time(NULL);
}

int ft_hub_signed_for(struct ft_hub *h, const struct ft_http_exchange *x,
                      char ret_key[FT_REPO_ORG_MAX + 1])
{
    struct hub_call c = {.hub = h, .x = (struct ft_http_exchange *)x};
    struct transfer t;
    char path[160];
    /* "/api/hub/lfs/VERB/OID", nothing of it encoded */
    snprintf(path, sizeof path, "%.*s", (int)strcspn(x->target, "?"), x->target);
    char *save, *p = strtok_r(path, "/", &save);
    for (; p != NULL && c.n_parts < 6; p = strtok_r(NULL, "/", &save))
        c.part[c.n_parts++] = p;
    if (!read_url(h, &c, &t))
        return 0;
    strcpy(ret_key, t.key);
    return 1;
}

/* ---- the batch ---- */

static json_t *refuse(const struct ft_hub_lfs_object *o, int code, const char *why)
{
    return json_pack("{s:s,s:I,s:{s:i,s:s}}", "oid", o->sha256, "size", (json_int_t)o->size,
                     "error", "code", code, "message", why);
}

static int put_parts(struct hub_call *c, struct transfer *t, json_t *header, struct ft_buf *url,
                     struct ft_err *err)
{
    char name[24];
    int64_t chunk = FT_HUB_PART_BYTES;
    while (chunk * FT_HUB_PARTS_MAX < t->size)
        chunk += 1 << 20;
    int rc = ft_repo_parts_begin(c->hub->repos, t->oid, t->size, t->id, err);
    if (rc != 0)
        return rc;
    t->chunk = chunk;
    snprintf(name, sizeof name, "%lld", (long long)chunk);
    json_object_set_new(header, "chunk_size", json_string(name));
    strcpy(t->verb, "part");
    for (t->part = 1; (t->part - 1) * chunk < t->size; t->part++) {
        transfer_url(c, t, url);
        snprintf(name, sizeof name, "%05d", t->part);
        json_object_set_new(header, name, json_string(url->data));
    }
    strcpy(t->verb, "complete");
    t->part = 0;
    return 0;
}

/* Where to send one object. */
static int upload_action(struct hub_call *c, const struct ft_hub_lfs_object *o, bool multipart,
                         json_t *ret, struct ft_err *err)
{
    struct transfer t = {
        .verb = "put", .size = o->size, .expires = (long long)time(NULL) + FT_HUB_EXPIRES_S};
    struct ft_buf url;
    json_t *header = json_object();
    copy(t.oid, sizeof t.oid, o->sha256);
    copy(t.key, sizeof t.key, c->who->key);
    copy(t.org, sizeof t.org, c->repo.org);
    ft_buf_init(&url, 4096);
    int rc = multipart && o->size > MULTI_BYTES ? put_parts(c, &t, header, &url, err) : 0;
    if (rc == 0) {
        transfer_url(c, &t, &url);
        json_t *verify =
            json_pack("{s:s+}", "href", hub_url_of(c, &c->repo), ".git/info/lfs/objects/verify");
        json_object_set_new(ret, "actions",
                            json_pack("{s:{s:s,s:O,s:i},s:o}", "upload", "href", url.data, "header",
                                      header, "expires_in", FT_HUB_EXPIRES_S, "verify", verify));
    }
    ft_buf_fini(&url);
    json_decref(header);
    return rc;
}

static int upload_object(struct hub_call *c, const struct ft_hub_lfs_object *o, bool multipart,
                         json_t **ret, struct ft_err *err)
{
    int64_t size = 0;
    *ret = json_pack("{s:s,s:I,s:b}", "oid", o->sha256, "size", (json_int_t)o->size,
                     "authenticated", 1);
    int rc = ft_repo_content_owned(c->hub->repos, c->repo.org, o->sha256, err);
    if (rc > 0)
        rc = ft_repo_content_head(c->hub->repos, o->sha256, &size, err);
    if (rc > 0 && size != o->size) {
        json_decref(*ret);
        *ret = refuse(o, 422, "this content has another size");
        return 0;
    }
    if (rc != 0) /* there already: nothing to send */
        return FT_MIN(rc, 0);
    if (c->hub->c.may_store != NULL &&
        c->hub->c.may_store(c->hub->c.ctx, c->repo.org, o->size, true, err) != 0) {
        json_decref(*ret);
        *ret = refuse(o, 413, err->msg);
        return 0;
    }
    return upload_action(c, o, multipart, *ret, err);
}

static bool holds(const struct ft_repo_tree *t, const char *sha256)
{
    for (int i = 0; i < t->n_files; i++)
        if (strcmp(t->file[i].sha256, sha256) == 0)
            return true;
    return false;
}

/* Fetching by content: what the revision holds. */
static json_t *download_object(struct hub_call *c, const struct ft_repo_tree *t,
                               const struct ft_hub_lfs_object *o)
{
    struct transfer to = {
        .verb = "get", .size = o->size, .expires = (long long)time(NULL) + FT_HUB_EXPIRES_S};
    struct ft_buf url;
    if (!holds(t, o->sha256))
        return refuse(o, 404, "the revision does not hold this content");
    copy(to.oid, sizeof to.oid, o->sha256);
    copy(to.key, sizeof to.key, c->who->key);
    copy(to.org, sizeof to.org, c->repo.org);
    ft_buf_init(&url, 4096);
    transfer_url(c, &to, &url);
    json_t *ret = json_pack("{s:s,s:I,s:b,s:{s:{s:s,s:i}}}", "oid", o->sha256, "size",
                            (json_int_t)o->size, "authenticated", 1, "actions", "download", "href",
                            url.data, "expires_in", FT_HUB_EXPIRES_S);
    ft_buf_fini(&url);
    return ret;
}

static int batch(struct hub_call *c, const json_t *body, struct ft_hub_lfs_ask *ask)
{
    struct ft_err err = {0};
    const struct ft_repo_tree *t = NULL;
    json_t *list = json_array();
    const json_t *at = json_object_get(body, "ref");
    const char *ref = json_string_value(json_object_get(at, "name"));
    bool parts = false;
    int rc = ft_hub_lfs_parse(body, ask, &err);
    if (rc == 0 && at != NULL && !json_is_null(at) && ref == NULL)
        rc = ft_err_set(&err, FT_EINVAL, "ref: must be {\"name\": ...}");
    if (rc == 0 && ask->upload && !hub_changes(c->who, c->repo.org)) {
        json_decref(list);
        return hub_may_not(c, c->repo.org);
    }
    if (rc == 0 && !ask->upload)
        rc = ft_repo_resolve(c->hub->repos, &c->repo, ref != NULL ? ref : "main", c->commit, NULL,
                             &err);
    if (rc == 0 && !ask->upload)
        rc = ft_repo_tree(c->hub->repos, &c->repo, c->commit, &t, &err);
    for (int i = 0; rc == 0 && i < ask->n; i++) {
        json_t *o = NULL;
        if (ask->upload)
            rc = upload_object(c, &ask->object[i], ask->multipart, &o, &err);
        else
            o = download_object(c, t, &ask->object[i]);
        parts |= ask->multipart && ask->object[i].size > MULTI_BYTES;
        json_array_append_new(list, o);
    }
    ft_repo_tree_unref(c->hub->repos, t);
    if (rc != 0) {
        json_decref(list);
        return hub_fail_err(c, &err);
    }
    return hub_json(c, 200,
                    json_pack("{s:s,s:s,s:o}", "transfer", parts ? "multipart" : "basic",
                              "hash_algo", "sha256", "objects", list));
}

int hub_lfs_batch(struct hub_call *c)
{
    json_t *body = NULL;
    int rc = hub_body(c, &body);
    if (rc != 0)
        return rc;
    struct ft_hub_lfs_ask *ask = calloc(1, sizeof *ask);
    rc = ask != NULL ? batch(c, body, ask) : hub_fail(c, 500, NULL, "out of memory");
    free(ask);
    json_decref(body);
    return rc;
}

int hub_lfs_verify(struct hub_call *c)
{
    struct ft_err err = {0};
    json_t *body = NULL;
    int64_t size = 0;
    int rc = hub_body(c, &body);
    if (rc != 0)
        return rc;
    const char *oid = json_string_value(json_object_get(body, "oid"));
    const json_t *said = json_object_get(body, "size");
    json_int_t want = json_integer_value(said);
    if (oid == NULL || !json_is_integer(said)) {
        rc = hub_fail(c, 400, NULL, "%s",
                      oid == NULL ? "oid: must be a text" : "size: must be a number of bytes");
        json_decref(body);
        return rc;
    }
    rc = ft_repo_content_owned(c->hub->repos, c->repo.org, oid, &err);
    if (rc > 0)
        rc = ft_repo_content_head(c->hub->repos, oid, &size, &err);
    json_decref(body);
    if (rc < 0)
        return hub_fail_err(c, &err);
    if (rc == 0)
        return hub_fail(c, 404, NULL, "this content did not arrive");
    if (size != want)
        return hub_fail(c, 422, NULL, "%lld bytes arrived, not %lld", (long long)size,
                        (long long)want);
    return hub_json(c, 200, json_object());
}

/* ---- bytes ---- */

typedef int take_fn(void *to, const void *data, size_t n, struct ft_err *err);

static int copy_body(struct hub_call *c, take_fn *take, void *to, struct ft_err *err)
{
    char *data = malloc(CHUNK_BYTES);
    int64_t n = 0;
    int rc = data != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "out of memory");
    while (rc == 0 && (n = ft_lane_read(c->lane, data, CHUNK_BYTES, err)) > 0)
        rc = take(to, data, (size_t)n, err);
    free(data);
    return rc != 0 ? rc : (int)FT_MIN(n, 0);
}

static int take_content(void *to, const void *data, size_t n, struct ft_err *err)
{
    return ft_repo_content_write(to, data, n, err);
}

static int take_part(void *to, const void *data, size_t n, struct ft_err *err)
{
    return ft_blob_put_write(to, data, n, err);
}

static int put_whole(struct hub_call *c, const struct transfer *t, struct ft_err *err)
{
    struct ft_repo_writer *w = NULL;
    int rc = ft_repo_content_begin(c->hub->repos, t->oid, t->size, &w, err);
    if (rc == 0 && (rc = copy_body(c, take_content, w, err)) != 0)
        ft_repo_content_abort(w);
    else if (rc == 0)
        rc = ft_repo_content_commit(w, err);
    return rc == 0 ? ft_repo_content_own(c->hub->repos, t->org, t->oid, t->size, err) : rc;
}

static int put_part(struct hub_call *c, const struct transfer *t, struct ft_err *err)
{
    struct ft_blob_writer *w = NULL;
    struct ft_blob_done done;
    int64_t size = FT_MIN(t->chunk, t->size - (t->part - 1) * t->chunk);
    char etag[FT_BLOB_ETAG_MAX + 3];
    int rc = ft_repo_parts_put(c->hub->repos, t->oid, t->id, t->part, size, &w, err);
    if (rc == 0 && (rc = copy_body(c, take_part, w, err)) != 0)
        ft_blob_put_abort(w);
    else if (rc == 0)
        rc = ft_blob_put_commit(w, NULL, 0, &done, err);
    if (rc != 0)
        return rc;
    snprintf(etag, sizeof etag, "\"%s\"", done.etag);
    hub_field(c, "ETag", etag);
    return 0;
}

static int complete(struct hub_call *c, const struct transfer *t, const json_t *body,
                    struct ft_err *err)
{
    json_t *list = json_object_get(body, "parts"), *p;
    size_t i, n = json_array_size(list);
    struct ft_blob_part *part = n <= FT_HUB_PARTS_MAX ? calloc(n + 1, sizeof *part) : NULL;
    int rc = part != NULL ? 0 : ft_err_set(err, FT_EINVAL, "parts: too many");
    if (rc == 0 && list != NULL && !json_is_array(list))
        rc = ft_err_set(err, FT_EINVAL, "parts: must be a list");
    json_array_foreach(list, i, p)
    {
        const char *etag = json_string_value(json_object_get(p, "etag"));
        size_t len = etag != NULL ? strlen(etag) : 0;
        bool quoted = len > 2 && etag[0] == '"' && etag[len - 1] == '"';
        if (rc != 0)
            break;
        if (len == 0 || len > FT_BLOB_ETAG_MAX)
            rc = ft_err_set(err, FT_EINVAL, "parts[%zu].etag: is missing", i);
        json_int_t number = json_integer_value(json_object_get(p, "partNumber"));
        if (rc == 0 && (number < 1 || number > FT_BLOB_PART_MAX))
            rc = ft_err_set(err, FT_EINVAL, "parts[%zu].partNumber: must be from 1 to %d", i,
                            FT_BLOB_PART_MAX);
        part[i].number = (int)number;
        if (rc == 0)
            snprintf(part[i].etag, sizeof part[i].etag, "%.*s", (int)(quoted ? len - 2 : len),
                     etag + quoted);
    }
    if (rc == 0)
        rc = ft_repo_parts_complete(c->hub->repos, t->oid, t->size, t->id, part, (int)n, err);
    free(part);
    return rc == 0 ? ft_repo_content_own(c->hub->repos, t->org, t->oid, t->size, err) : rc;
}

static int get_whole(struct hub_call *c, const struct transfer *t)
{
    struct ft_err err = {0};
    struct ft_blob_reader *in = NULL;
    char *data = malloc(CHUNK_BYTES);
    int rc = data != NULL ? ft_repo_content_open(c->hub->repos, t->oid, &in, &err)
                          : ft_err_set(&err, FT_ENOMEM, "out of memory");
    int64_t size = rc == 0 ? ft_blob_reader_info(in)->size : 0;
    int status = rc == 0 ? 200 : hub_fail_err(c, &err);
    hub_field(c, "content-type", "application/octet-stream");
    hub_field(c, "X-Content-Type-Options", "nosniff");
    hub_field(c, "Content-Security-Policy", FT_HTTP_STORED_POLICY);
    if (rc == 0)
        rc = ft_lane_begin(c->lane, 200, size, c->field, c->n_fields, &err);
    for (int64_t at = 0; rc == 0 && status == 200 && at < size;) {
        size_t n = (size_t)FT_MIN(size - at, (int64_t)CHUNK_BYTES);
        rc = ft_blob_read(in, at, data, n, &err);
        if (rc == 0)
            rc = ft_lane_write(c->lane, data, n, &err);
        at += (int64_t)n;
    }
    if (status == 200 && (rc != 0 || ft_lane_end(c->lane, &err) != 0))
        ft_lane_cut(c->lane);
    ft_blob_close_reader(in);
    free(data);
    return c->status = status;
}

/* What was allowed when the URL was made may have changed since. */
static int check_put(struct hub_call *c, const struct transfer *t)
{
    struct ft_err err = {0};
    const struct ft_hub_config *k = &c->hub->c;
    bool part = strcmp(t->verb, "part") == 0;
    int64_t size = part ? FT_MIN(t->chunk, t->size - (t->part - 1) * t->chunk) : t->size;
    if (!hub_changes(c->who, t->org))
        return hub_may_not(c, t->org);
    if (strcmp(t->verb, "complete") == 0 || k->may_store == NULL ||
        k->may_store(k->ctx, t->org, size, false, &err) == 0)
        return 0;
    return hub_fail_err(c, &err);
}

int hub_lfs_transfer(struct hub_call *c)
{
    struct ft_err err = {0};
    struct transfer t;
    json_t *body = NULL;
    int rc;
    if (!read_url(c->hub, c, &t))
        return hub_fail(c, 403, NULL, "this URL is not one of this hub, or is over");
    bool put = strcmp(c->x->method, "PUT") == 0, post = strcmp(c->x->method, "POST") == 0;
    if (strcmp(t.verb, "get") == 0 && strcmp(c->x->method, "GET") == 0)
        return get_whole(c, &t);
    if ((put || post) && (rc = check_put(c, &t)) != 0)
        return rc;
    if (strcmp(t.verb, "put") == 0 && put)
        rc = put_whole(c, &t, &err);
    else if (strcmp(t.verb, "part") == 0 && put)
        rc = put_part(c, &t, &err);
    else if (strcmp(t.verb, "complete") == 0 && post) {
        if ((rc = hub_body(c, &body)) != 0)
            return rc;
        rc = complete(c, &t, body, &err);
        json_decref(body);
    } else {
        return hub_fail(c, 405, NULL, "this URL is not for %s", c->x->method);
    }
    return rc != 0 ? hub_fail_err(c, &err) : hub_json(c, 200, json_object());
}
