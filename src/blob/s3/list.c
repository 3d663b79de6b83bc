/* Listings over S3: the upstream's, which are in the same order. Where a page begins behind a
 * rolled-up prefix, the upstream is asked for what is behind all keys that have it. Uploads are
 * rolled up here: Ceph 16 leaves their prefixes out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/s3/impl.h"
#include "net/date.h"
#include "net/xml.h"

#define XML_MAX   ((size_t)64 << 20)
#define PAGES_MAX 10000 /* of the upstream for one of ours */

enum kind { OBJECTS, VERSIONS, UPLOADS };

struct listing {
    struct ups *s;
    struct ups_place p;
    enum kind kind;
    const struct ft_blob_list *l;
    const char *prefix, *delimiter, *after;
    bool behind_prefix;               /* `after` is a rolled-up prefix */
    const char *only;                 /* versions of this key alone, or NULL, */
    const char *through;              /* and of them those behind this one, if not NULL */
    char behind[FT_BLOB_KEY_MAX + 1]; /* keys up to this one are not told */
    char rolled[FT_BLOB_KEY_MAX + 1], told[FT_BLOB_KEY_MAX + 1]; /* uploads: the last prefixes */
    int pages;
    int n; /* entries told */
    bool more, stopped;
    ft_blob_list_fn *fn;
    ft_blob_uploads_fn *uploads_fn;
    void *ctx;
    /* where the next page begins, in the upstream's words */
    char marker[FT_BLOB_KEY_MAX + 8], marker_id[FT_BLOB_UPLOAD_MAX + 1], token[1025];
};

/* "a%2Fb+c" in place. */
static void decode(char *s)
{
    char *to = s;
    for (; *s != '\0'; s++) {
        unsigned byte;
        if (*s == '%' && sscanf(s + 1, "%2x", &byte) == 1) {
            *to++ = (char)byte;
            s += 2;
        } else {
            *to++ = *s == '+' ? ' ' : *s;
        }
    }
    *to = '\0';
}

/* The text of a child, decoded (it is the arena's, ours to change). */
static const char *decoded(const struct ft_xml_node *n, const char *name)
{
    char *text = (char *)(uintptr_t)ft_xml_child_text(n, name);
    if (text != NULL)
        decode(text);
    return text;
}

static void request(struct listing *g, struct ft_ups_request *q)
{
    static const char *const behind[] = {"start-after", "key-marker", "key-marker"};
    /* an upstream may begin with versions that are not told, and must not end among them */
    bool behind_all = g->kind == VERSIONS && *g->behind != '\0' && g->marker_id[0] == '\0';
    ft_ups_request_init(q, "GET", g->p.upstream, NULL);
    if (g->kind == OBJECTS)
        ft_ups_query(q, "list-type", "2");
    else
        ft_ups_query(q, g->kind == VERSIONS ? "versions" : "uploads", NULL);
    ft_ups_query(q, "encoding-type", "url");
    ft_ups_query_int(q, g->kind == UPLOADS ? "max-uploads" : "max-keys",
                     g->only != NULL || behind_all
                         ? FT_BLOB_LIST_MAX
                         : FT_MIN(g->l->max - g->n + 1, FT_BLOB_LIST_MAX));
    if (g->only != NULL || *g->prefix != '\0')
        ft_ups_query(q, "prefix", g->only != NULL ? g->only : g->prefix);
    if (*g->delimiter != '\0' && g->kind != UPLOADS)
        ft_ups_query(q, "delimiter", g->delimiter);
    if (g->token[0] != '\0')
        ft_ups_query(q, "continuation-token", g->token);
    else if (g->marker[0] != '\0')
        ft_ups_query(q, behind[g->kind], g->marker);
    if (g->marker_id[0] != '\0')
        ft_ups_query(q, g->kind == VERSIONS ? "version-id-marker" : "upload-id-marker",
                     g->marker_id);
}

static int64_t date_ns(const char *text)
{
    int64_t s = 0;
    if (text != NULL)
        ft_date_parse_iso(text, &s);
    return s * 1000000000;
}

static int tell_version(struct listing *g, const struct ft_xml_node *n, const char *key,
                        bool is_marker)
{
    const char *id = ft_xml_child_text(n, "VersionId"), *size = ft_xml_child_text(n, "Size");
    const char *latest = ft_xml_child_text(n, "IsLatest");
    struct ft_blob_info info = {.key = key, .is_marker = is_marker, .acl = ""};
    info.modified_ns = date_ns(ft_xml_child_text(n, "LastModified"));
    if (!is_marker) {
        info.size = size != NULL ? atoll(size) : 0;
        ups_etag(ft_xml_child_text(n, "ETag"), info.etag);
    }
    if (g->kind == VERSIONS) {
        info.is_latest = latest != NULL && strcmp(latest, "true") == 0;
        snprintf(info.version, sizeof info.version, "%s", id != NULL && *id != '\0' ? id : "null");
    }
    return g->fn(g->ctx, &info, NULL);
}

static int tell_upload(struct listing *g, const struct ft_xml_node *n, const char *key)
{
    const char *id = ft_xml_child_text(n, "UploadId");
    struct ft_blob_upload u = {.key = key, .begun_ns = date_ns(ft_xml_child_text(n, "Initiated"))};
    snprintf(u.id, sizeof u.id, "%s", id != NULL ? id : "");
    return g->uploads_fn(g->ctx, &u, NULL);
}

/* The prefix that an upload's key is rolled up to, in g->rolled. */
static bool roll_up(struct listing *g, const char *key)
{
    size_t skip = strlen(g->prefix);
    const char *at = *g->delimiter != '\0' && strncmp(key, g->prefix, skip) == 0
                         ? strstr(key + skip, g->delimiter)
                         : NULL;
    if (at == NULL)
        return false;
    snprintf(g->rolled, sizeof g->rolled, "%.*s", (int)(at - key + (ptrdiff_t)strlen(g->delimiter)),
             key);
    return true;
}

/* Is it a version of the only key that is wanted, behind the one that is given? */
static bool is_behind(struct listing *g, const struct ft_xml_node *n, const char *key)
{
    const char *id = ft_xml_child_text(n, "VersionId");
    if (strcmp(key, g->only) != 0)
        return false;
    if (g->through == NULL)
        return true;
    if (id != NULL && strcmp(id, g->through) == 0)
        g->through = NULL;
    return false;
}

/* One entry, if it belongs to the page. */
static int tell(struct listing *g, const struct ft_xml_node *n, const char *key, const char *rolled)
{
    int rc;
    if (g->kind == UPLOADS && key != NULL && roll_up(g, key)) {
        if (strcmp(g->told, g->rolled) == 0)
            return 0;
        strcpy(g->told, g->rolled);
        rolled = g->rolled;
        key = NULL;
    }
    if (rolled != NULL && g->behind_prefix && strcmp(rolled, g->after) == 0)
        return 0;
    if (key != NULL && g->only == NULL && *g->behind != '\0' && strcmp(key, g->behind) <= 0)
        return 0; /* upstreams begin with other versions of the key */
    if (key != NULL && g->only != NULL && !is_behind(g, n, key))
        return 0;
    if (g->n == g->l->max) {
        g->more = true;
        return 0;
    }
    g->n++;
    if (rolled != NULL)
        rc = g->kind == UPLOADS ? g->uploads_fn(g->ctx, NULL, rolled) : g->fn(g->ctx, NULL, rolled);
    else if (g->kind == UPLOADS)
        rc = tell_upload(g, n, key);
    else
        rc = tell_version(g, n, key, strcmp(n->name, "DeleteMarker") == 0);
    g->stopped = rc != 0;
    return rc;
}

static bool is_entry(const struct ft_xml_node *n)
{
    return strcmp(n->name, "Contents") == 0 || strcmp(n->name, "Version") == 0 ||
           strcmp(n->name, "DeleteMarker") == 0 || strcmp(n->name, "Upload") == 0;
}

/* Upstreams write the entries in order, and the prefixes in order behind them: they are merged.
 * A key that is rolled up comes as its prefix alone, so none is equal. */
static int tell_page(struct listing *g, const struct ft_xml_node *root)
{
    const struct ft_xml_node *e = root->first, *c = root->first;
    const char *key = NULL, *rolled = NULL;
    int rc = 0;
    while (rc == 0 && !g->more) {
        while (key == NULL && e != NULL && (!is_entry(e) || (key = decoded(e, "Key")) == NULL))
            e = e->next;
        while (rolled == NULL && c != NULL &&
               (strcmp(c->name, "CommonPrefixes") != 0 || (rolled = decoded(c, "Prefix")) == NULL))
            c = c->next;
        if (key == NULL && rolled == NULL)
            break;
        if (key != NULL && (rolled == NULL || strcmp(key, rolled) < 0)) {
            rc = tell(g, e, key, NULL);
            e = e->next;
            key = NULL;
        } else {
            rc = tell(g, NULL, NULL, rolled);
            c = c->next;
            rolled = NULL;
        }
    }
    return rc;
}

/* Keeps where the next page begins; false: there is none. */
static bool next_page(struct listing *g, const struct ft_xml_node *root)
{
    const char *truncated = ft_xml_child_text(root, "IsTruncated");
    if (truncated == NULL || strcmp(truncated, "true") != 0)
        return false;
    if (g->kind == OBJECTS) {
        const char *token = ft_xml_child_text(root, "NextContinuationToken");
        snprintf(g->token, sizeof g->token, "%s", token != NULL ? token : "");
        return token != NULL;
    }
    const char *key = decoded(root, "NextKeyMarker");
    const char *id =
        ft_xml_child_text(root, g->kind == VERSIONS ? "NextVersionIdMarker" : "NextUploadIdMarker");
    snprintf(g->marker, sizeof g->marker, "%s", key != NULL ? key : "");
    snprintf(g->marker_id, sizeof g->marker_id, "%s", id != NULL ? id : "");
    return key != NULL;
}

static int list_page(struct listing *g, bool *ret_next, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    struct ft_arena arena;
    struct ft_xml_node *root;
    if (++g->pages > PAGES_MAX)
        return ft_err_set(err, FT_EIO, "bucket %s: the upstream's listing has no end", g->p.name);
    request(g, &q);
    int rc = ft_ups_do(&g->s->server, &q, g->p.name, &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return rc;
    ft_arena_init(&arena, XML_MAX);
    rc = ft_ups_xml(&a, &arena, &root, err);
    if (rc == 0) {
        *ret_next = next_page(g, root);
        rc = tell_page(g, root);
    }
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return rc;
}

/* Is `after` what keys were rolled up to? */
static bool is_rolled_up(const struct listing *g)
{
    size_t skip = strlen(g->prefix), n = strlen(g->delimiter);
    if (n == 0 || strncmp(g->after, g->prefix, skip) != 0)
        return false;
    const char *at = strstr(g->after + skip, g->delimiter);
    return at != NULL && at[n] == '\0';
}

/* The versions of one key that are behind one of them (NULL: all), picked out here; what is asked
 * for next is behind the key. */
static int list_only(struct listing *g, const char *key, const char *through, struct ft_err *err)
{
    bool next = true;
    int rc = 0;
    snprintf(g->behind, sizeof g->behind, "%s", key);
    g->only = g->behind;
    g->through = through;
    g->marker[0] = g->marker_id[0] = '\0';
    while (rc == 0 && next && !g->more)
        rc = list_page(g, &next, err);
    g->only = NULL;
    g->marker_id[0] = '\0';
    strcpy(g->marker, g->behind);
    return rc;
}

/* Upstreams list nothing of a key behind a version that is gone, and Ceph nothing behind "null". */
static int begin_within(struct listing *g, struct ft_err *err)
{
    const struct ft_blob_list *l = g->l;
    struct ft_blob_object o = {.memory = NULL};
    struct ft_err why = {.code = FT_OK};
    int rc = 0;
    if (g->kind == VERSIONS)
        rc = ups_look(g->s, &g->p, g->after, l->after_version, &o, NULL, &why);
    ft_blob_object_fini(&o);
    bool there = rc == 0 || ft_blob_why(&why) == FT_BLOB_IS_MARKER;
    if (!there && rc != FT_ENOTFOUND) {
        *err = why;
        return rc;
    }
    if (!there || (g->kind == VERSIONS && strcmp(l->after_version, "null") == 0))
        return list_only(g, g->after, there ? l->after_version : NULL, err);
    g->behind[0] = '\0';
    snprintf(g->marker_id, sizeof g->marker_id, "%s", l->after_version);
    return 0;
}

static int list(struct listing *g, bool *ret_more, struct ft_err *err)
{
    const struct ft_blob_list *l = g->l;
    struct ft_err own;
    bool next = true;
    err = err != NULL ? err : &own;
    int rc = ups_place(g->s, l->bucket, &g->p, err);
    if (rc != 0)
        return rc;
    g->prefix = l->prefix != NULL ? l->prefix : "";
    g->delimiter = l->delimiter != NULL ? l->delimiter : "";
    g->after = l->after != NULL ? l->after : "";
    g->behind_prefix = is_rolled_up(g);
    snprintf(g->behind, sizeof g->behind, "%s", g->after);
    snprintf(g->marker, sizeof g->marker, "%s%s", g->after,
             g->behind_prefix ? "\xf4\x8f\xbf\xbf" : ""); /* the last of all characters */
    if (l->after_version != NULL && *g->after != '\0' && l->max > 0)
        rc = begin_within(g, err);
    if (l->max == 0)
        next = false;
    while (rc == 0 && next && !g->more) {
        rc = list_page(g, &next, err);
        if (rc == 0 && next && !g->more && g->kind == VERSIONS &&
            strcmp(g->marker_id, "null") == 0 && strcmp(g->marker, g->behind) > 0) {
            char key[FT_BLOB_KEY_MAX + 8];
            strcpy(key, g->marker);
            rc = list_only(g, key, "null", err);
        }
    }
    if (rc == 0)
        *ret_more = g->more;
    return rc;
}

int ups_list(struct ft_blob *b, const struct ft_blob_list *l, bool versions, ft_blob_list_fn *fn,
             void *ctx, bool *ret_more, struct ft_err *err)
{
    struct listing *g = calloc(1, sizeof *g);
    if (g == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a listing");
    struct ft_blob_list own = *l;
    if (!versions)
        own.after_version = NULL;
    g->s = ups_of(b);
    g->kind = versions ? VERSIONS : OBJECTS;
    g->l = &own;
    g->fn = fn;
    g->ctx = ctx;
    int rc = list(g, ret_more, err);
    free(g);
    return rc;
}

int ups_uploads(struct ft_blob *b, const struct ft_blob_list *l, ft_blob_uploads_fn *fn, void *ctx,
                bool *ret_more, struct ft_err *err)
{
    struct listing *g = calloc(1, sizeof *g);
    if (g == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a listing");
    g->s = ups_of(b);
    g->kind = UPLOADS;
    g->l = l;
    g->uploads_fn = fn;
    g->ctx = ctx;
    int rc = list(g, ret_more, err);
    free(g);
    return rc;
}
