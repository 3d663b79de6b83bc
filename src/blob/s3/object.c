/* Versions over S3: looked at, removed, annotated. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/s3/impl.h"
#include "net/date.h"

#define REMOVE_TRIES 3

void ups_etag(const char *from, char ret[FT_BLOB_ETAG_MAX + 1])
{
    size_t n = 0;
    for (; from != NULL && *from != '\0' && n < FT_BLOB_ETAG_MAX; from++)
        if (*from != '"')
            ret[n++] = *from;
    ret[n] = '\0';
}

void ups_done(const struct ups_place *p, const struct ft_ups_answer *a, int64_t size,
              struct ft_blob_done *ret)
{
    const char *id = ft_ups_answer_header(a, "x-amz-version-id");
    const char *date = ft_ups_answer_header(a, "date");
    const char *etag = ft_ups_answer_header(a, "etag");
    int64_t now_s = ups_now_s();
    *ret = (struct ft_blob_done){.size = size};
    if (id == NULL || *id == '\0' || p->versioning != FT_BLOB_VERSIONED)
        id = "null";
    snprintf(ret->version, sizeof ret->version, "%s", id);
    if (etag != NULL)
        ups_etag(etag, ret->etag);
    if (date != NULL)
        ft_date_parse_http(date, &now_s);
    ret->modified_ns = now_s * 1000000000;
}

/* ---- looking ---- */

struct sought {
    const char *key, *version;
    struct ft_blob_object *ret;
    struct ft_err *err;
    bool found;
    char marker[FT_BLOB_VERSION_MAX + 1];
};

static int seek(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct sought *w = ctx;
    (void)prefix;
    if (strcmp(info->key, w->key) != 0)
        return 1;
    if (strcmp(info->version, w->version) != 0)
        return 0;
    w->found = true;
    int rc = ft_blob_object_set(w->ret, info, NULL, 0, w->err);
    return rc != 0 ? rc : 1;
}

/* A version that HEAD does not show: a marker, or none? */
static int look_for_marker(struct ups *s, const struct ups_place *p, const char *key,
                           const char *version, struct ft_blob_object *ret, struct ft_err *err)
{
    struct sought w = {.key = key, .version = version, .ret = ret, .err = err};
    struct ft_blob_list l = {.bucket = p->name, .prefix = key, .max = FT_BLOB_LIST_MAX};
    bool more = false;
    int rc = ups_list(&s->base, &l, true, seek, &w, &more, err);
    if (rc < 0)
        return rc;
    if (!w.found)
        return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_VERSION, "key %s has no version %s", key,
                           version);
    if (ret->info.is_marker)
        return ft_blob_err(err, FT_EINVAL, FT_BLOB_IS_MARKER, "version %s is a delete marker",
                           version);
    ft_blob_object_fini(ret);
    return ft_err_set(err, FT_EIO, "key %s: the upstream lists a version that it does not show",
                      key);
}

static int no_key(const char *key, const char *version, struct ft_err *err)
{
    if (version != NULL)
        return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_VERSION, "key %s has no version %s", key,
                           version);
    return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_KEY, "key %s is not there", key);
}

int ups_look(struct ups *s, const struct ups_place *p, const char *key, const char *version,
             struct ft_blob_object *ret, struct ft_ups_answer *ret_answer, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    if (p->versioning == FT_BLOB_UNVERSIONED && version != NULL && strcmp(version, "null") != 0)
        return no_key(key, version, err);
    ft_ups_request_init(&q, "HEAD", p->upstream, key);
    if (version != NULL && p->versioning != FT_BLOB_UNVERSIONED)
        ft_ups_query(&q, "versionId", version);
    int rc = ft_ups_call(&s->server, &q, &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return rc;
    if (a.status == 200)
        rc = ups_state_receive(s, p, key, version, &a, ret, err);
    else if (version != NULL && p->versioning != FT_BLOB_UNVERSIONED &&
             (a.status == 404 || a.status == 405 || a.status == 400))
        rc = look_for_marker(s, p, key, version, ret, err);
    else if (a.status == 404)
        rc = no_key(key, version, err);
    else
        rc = ft_ups_refused(&a, key, err);
    if (rc != 0 || ret_answer == NULL)
        ft_ups_answer_fini(&a);
    else
        *ret_answer = a;
    return rc;
}

int ups_head(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             struct ft_blob_object *ret, struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place p;
    struct ft_blob_object latest = {.memory = NULL};
    int rc = ups_place(s, bucket, &p, err);
    if (rc == 0)
        rc = ups_look(s, &p, key, version, ret, NULL, err);
    if (rc != 0)
        return rc;
    ret->info.is_latest = version == NULL || p.versioning == FT_BLOB_UNVERSIONED;
    if (!ret->info.is_latest && ups_look(s, &p, key, NULL, &latest, NULL, NULL) == 0) {
        ret->info.is_latest = strcmp(latest.info.version, ret->info.version) == 0;
        ft_blob_object_fini(&latest);
    }
    return 0;
}

int ups_may_replace(struct ups *s, const struct ups_place *p, const char *key,
                    const struct ft_blob_condition *c, struct ft_err *err)
{
    struct ft_blob_object o = {.memory = NULL};
    bool conditional = ft_blob_condition_any(c);
    bool replaces = p->held && p->versioning != FT_BLOB_VERSIONED;
    int rc = 0;
    if (conditional) {
        rc = ups_look(s, p, key, NULL, &o, NULL, err);
        if (rc == 0 || (rc == FT_ENOTFOUND && ft_blob_why(err) == FT_BLOB_NO_KEY))
            rc = ft_blob_condition_check(c, rc == 0 ? &o.info : NULL, err);
        ft_blob_object_fini(&o);
    }
    if (rc == 0 && replaces) {
        struct ft_err why = {.code = FT_OK};
        rc = ups_look(s, p, key, "null", &o, NULL, &why);
        if (rc == 0)
            rc = ft_blob_hold_check(&o.info.hold, ups_now_s(), false, err);
        else if (rc == FT_ENOTFOUND || ft_blob_why(&why) == FT_BLOB_IS_MARKER)
            rc = 0;
        else if (err != NULL)
            *err = why;
        ft_blob_object_fini(&o);
    }
    return rc;
}

int ups_was_written(struct ups *s, const struct ups_place *p, const char *key, const char *nonce,
                    struct ft_blob_done *ret, struct ft_err *err)
{
    struct ft_blob_object o = {.memory = NULL};
    struct ft_ups_answer a;
    struct ft_err why = {.code = FT_OK};
    int rc = ups_look(s, p, key, NULL, &o, &a, &why);
    if (rc == FT_ENOTFOUND)
        return 0;
    if (rc != 0) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    const char *put = ft_ups_answer_header(&a, "x-amz-meta-feitian-put");
    bool same = put != NULL && strcmp(put, nonce) == 0;
    if (same) {
        *ret = (struct ft_blob_done){.size = o.info.size, .modified_ns = o.info.modified_ns};
        strcpy(ret->version, o.info.version);
        strcpy(ret->etag, o.info.etag);
    }
    ft_blob_object_fini(&o);
    ft_ups_answer_fini(&a);
    return same;
}

/* ---- removing ---- */

/* Conditions and holds of the version that is to go; under the key's lock. *ret_there: is there
 * one at all? */
static int may_remove(struct ups *s, const struct ups_place *p, const struct ft_blob_delete *d,
                      struct ft_err *err)
{
    struct ft_blob_object o = {.memory = NULL};
    struct ft_err why = {.code = FT_OK};
    const struct ft_blob_condition *c = &d->condition;
    const struct ft_blob_info marker = {.is_marker = true};
    bool conditional = ft_blob_condition_any(c);
    bool goes = d->version != NULL || p->versioning == FT_BLOB_UNVERSIONED;
    if (!goes)
        return ups_may_replace(s, p, d->key, c, err);
    if (!conditional && !p->held)
        return 0;
    int rc = ups_look(s, p, d->key, d->version, &o, NULL, &why);
    bool there = rc == 0, is_marker = ft_blob_why(&why) == FT_BLOB_IS_MARKER;
    if (rc == FT_ENOTFOUND || is_marker)
        rc = 0;
    else if (rc != 0 && err != NULL)
        *err = why;
    if (rc == 0)
        rc = ft_blob_condition_check(c, there ? &o.info : is_marker ? &marker : NULL, err);
    if (rc == 0 && there)
        rc = ft_blob_hold_check(&o.info.hold, ups_now_s(), d->bypass, err);
    ft_blob_object_fini(&o);
    return rc;
}

static int note_marker(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct sought *w = ctx;
    (void)prefix;
    w->found = strcmp(info->key, w->key) == 0 && info->is_marker;
    if (w->found)
        strcpy(w->marker, info->version);
    return 1;
}

/* After an answer that was lost: is a marker the latest now? */
static bool was_marked(struct ups *s, const struct ups_place *p, const char *key,
                       struct ft_blob_deleted *ret)
{
    struct sought w = {.key = key};
    struct ft_blob_list l = {.bucket = p->name, .prefix = key, .max = 1};
    bool more;
    if (ups_list(&s->base, &l, true, note_marker, &w, &more, NULL) < 0 || !w.found)
        return false;
    ret->is_marker = true;
    strcpy(ret->version, w.marker);
    return true;
}

static int do_remove(struct ups *s, const struct ups_place *p, const struct ft_blob_delete *d,
                     struct ft_blob_deleted *ret, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    ft_ups_request_init(&q, "DELETE", p->upstream, d->key);
    if (d->version != NULL && p->versioning != FT_BLOB_UNVERSIONED)
        ft_ups_query(&q, "versionId", d->version);
    q.once = d->version == NULL && p->versioning != FT_BLOB_UNVERSIONED; /* no two markers */
    int rc = 0;
    for (int try = 1; try == 1 || (rc == FT_EIO && q.once && try <= REMOVE_TRIES); try++) {
        rc = ft_ups_do(&s->server, &q, d->key, &a, err);
        if (rc == FT_EIO && q.once && was_marked(s, p, d->key, ret)) {
            ft_ups_request_fini(&q);
            return 0;
        }
    }
    ft_ups_request_fini(&q);
    if (rc == FT_ENOTFOUND && ft_blob_why(err) != FT_BLOB_NO_BUCKET) {
        snprintf(ret->version, sizeof ret->version, "%s", d->version != NULL ? d->version : "");
        return 0;
    }
    if (rc != 0)
        return rc;
    const char *id = ft_ups_answer_header(&a, "x-amz-version-id");
    const char *marker = ft_ups_answer_header(&a, "x-amz-delete-marker");
    ret->is_marker =
        marker != NULL && strcmp(marker, "true") == 0 && p->versioning != FT_BLOB_UNVERSIONED;
    if (d->version != NULL) {
        id = d->version;
    } else if (p->versioning != FT_BLOB_UNVERSIONED) {
        ret->is_marker = true;
        if (p->versioning == FT_BLOB_SUSPENDED)
            id = "null";
    } else {
        id = "";
    }
    snprintf(ret->version, sizeof ret->version, "%s", id != NULL ? id : "");
    ft_ups_answer_fini(&a);
    return 0;
}

int ups_remove(struct ft_blob *b, const struct ft_blob_delete *d, struct ft_blob_deleted *ret,
               struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place p;
    struct ft_blob_deleted made = {.is_marker = false};
    struct ft_err own;
    err = err != NULL ? err : &own; /* it is looked at here, too */
    int rc = ups_place(s, d->bucket, &p, err);
    if (rc != 0)
        return rc;
    pthread_mutex_t *lock = ups_key_lock(s, d->bucket, d->key);
    pthread_mutex_lock(lock);
    rc = may_remove(s, &p, d, err);
    if (rc == 0 && p.versioning == FT_BLOB_UNVERSIONED && d->version != NULL &&
        strcmp(d->version, "null") != 0)
        snprintf(made.version, sizeof made.version, "%s", d->version); /* there is no such one */
    else if (rc == 0)
        rc = do_remove(s, &p, d, &made, err);
    pthread_mutex_unlock(lock);
    if (rc == 0 && ret != NULL)
        *ret = made;
    return rc;
}

/* ---- marks ---- */

static int annotate(struct ups *s, struct ups_place *p, const char *key, const char *version,
                    const struct ft_blob_marks *marks, struct ft_blob_object *o, struct ft_err *err)
{
    struct ft_ups_answer head;
    int rc = ups_look(s, p, key, version, o, &head, err);
    if (rc != 0)
        return rc;
    struct ft_blob_info info = o->info;
    if (marks->hold != NULL) {
        rc = ft_blob_hold_change(&info.hold, marks->hold, ups_now_s(), marks->bypass, err);
        if (rc == 0)
            rc = ups_bucket_held(s, p, err);
        info.hold = *marks->hold;
    }
    if (marks->tags != NULL) {
        info.tags = marks->tags;
        info.n_tags = marks->n_tags;
    }
    if (marks->acl != NULL)
        info.acl = marks->acl;
    if (rc == 0)
        rc = ups_state_replace(s, p, &info, &head, err);
    ft_ups_answer_fini(&head);
    return rc;
}

int ups_annotate(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                 const struct ft_blob_marks *marks, char ret_version[FT_BLOB_VERSION_MAX + 1],
                 struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place p;
    struct ft_blob_object o = {.memory = NULL};
    int rc = ups_place(s, bucket, &p, err);
    if (rc != 0)
        return rc;
    pthread_mutex_t *lock = ups_key_lock(s, bucket, key);
    pthread_mutex_lock(lock);
    rc = annotate(s, &p, key, version, marks, &o, err);
    pthread_mutex_unlock(lock);
    if (rc == 0 && ret_version != NULL)
        strcpy(ret_version, o.info.version);
    ft_blob_object_fini(&o);
    return rc;
}
