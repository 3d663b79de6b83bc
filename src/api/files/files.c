/* The way in, and files that are there: listed, shown, read, removed, and swept up. */
#include "api/files/files.h"

#include <stdlib.h>
#include <string.h>

#include "api/files/inner.h"
#include "base/arena.h"
#include "net/url.h"

#define QUERY_BYTES ((size_t)64 << 10)
#define SWEEP_PAGES 1000000 /* of a project: 10^9 objects */

/* ---- one file ---- */

/* True: it is there and its time is not over. False: answered. */
static bool find(const struct ft_files_request *q, const char *id, struct fl_info *ret)
{
    struct ft_err err = {0};
    int rc = ft_oai_id_is(id, FILES_FILE) ? fl_find(q->blob, q->project, id, ret, &err) : 0;
    if (rc > 0 && (ret->expires_s == 0 || ret->expires_s > q->now_ms / 1000))
        return true;
    if (rc >= 0)
        fl_none(q, "File", id);
    else
        fl_fail_store(q, &err);
    return false;
}

static void retrieve(const struct ft_files_request *q, const char *id)
{
    struct fl_info f;
    if (find(q, id, &f))
        fl_answer(q, fl_object(&f));
}

static void delete (const struct ft_files_request *q, const char *id)
{
    struct fl_info f;
    struct fl_name n;
    struct ft_err err = {0};
    if (!find(q, id, &f))
        return;
    fl_name_bucket(q->project, &n);
    if (fl_remove(q->blob, n.bucket, &f, &err) == 0)
        fl_answer(q, json_pack("{s:s,s:s,s:b}", "id", id, "object", "file", "deleted", 1));
    else
        fl_fail_store(q, &err);
}

/* attachment; filename="..." with what a header cannot hold left out. */
static void disposition(const char *name, char *ret, size_t max)
{
    size_t n = (size_t)snprintf(ret, max, "attachment; filename=\"");
    for (const char *p = name; *p != '\0' && n + 3 < max; p++)
        if ((unsigned char)*p >= ' ' && (unsigned char)*p < 0x7f && *p != '"' && *p != '\\')
            ret[n++] = *p;
    snprintf(ret + n, max - n, "\"");
}

static void send_content(const struct ft_files_request *q, const char *name,
                         struct ft_blob_reader *r)
{
    struct ft_err err = {0};
    char head[FILES_NAME_MAX + 64];
    int64_t size = ft_blob_reader_info(r)->size;
    char *chunk = malloc(FT_FILES_CHUNK);
    size_t first = (size_t)FT_MIN(size, (int64_t)FT_FILES_CHUNK);
    disposition(name, head, sizeof head);
    /* the first bytes before the head: a damaged file is an error, not a broken answer */
    int rc = chunk == NULL ? ft_err_set(&err, FT_ENOMEM, "out of memory")
             : first > 0   ? ft_blob_read(r, 0, chunk, first, &err)
                           : 0;
    if (rc != 0) {
        fl_fail_store(q, &err);
        free(chunk);
        return;
    }
    rc = q->io->begin(q->ctx, size, head, &err);
    for (int64_t at = 0; rc == 0 && at < size && strcmp(q->method, "HEAD") != 0;) {
        size_t n = (size_t)FT_MIN(size - at, (int64_t)FT_FILES_CHUNK);
        if (at > 0)
            rc = ft_blob_read(r, at, chunk, n, &err);
        if (rc == 0)
            rc = q->io->write(q->ctx, chunk, n, &err);
        at += (int64_t)n;
    }
    q->io->end(q->ctx, rc == 0);
    free(chunk);
}

static void content(const struct ft_files_request *q, const char *id)
{
    struct fl_info f;
    struct fl_name n;
    struct ft_blob_reader *r = NULL;
    struct ft_err err = {0};
    if (!find(q, id, &f))
        return;
    fl_name_content(q->project, id, &n);
    int rc = ft_blob_open(q->blob, n.bucket, n.key, NULL, &r, &err);
    if (rc == 0)
        send_content(q, f.name, r);
    else if (rc == FT_ENOTFOUND) /* removed meanwhile */
        fl_none(q, "File", id);
    else
        fl_fail_store(q, &err);
    ft_blob_close_reader(r);
}

/* ---- the list ---- */

struct list {
    const struct ft_files_request *q;
    const char *after, *purpose;
    int64_t limit;
    bool oldest_first;
    char last[128];  /* key: where the next page goes on */
    char until[128]; /* oldest first: key of `after`; "" to the end */
    bool reached;    /* it was come to */
    /* newest first: in this order; oldest first: a ring of the last limit + 1 */
    json_t **ring;
    int64_t n; /* ever put in */
};

static int list_one(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct list *l = ctx;
    struct fl_info f;
    (void)prefix;
    snprintf(l->last, sizeof l->last, "%s", info->key);
    if (l->until[0] != '\0' && strcmp(info->key, l->until) >= 0)
        return 1;
    if (!fl_info_of(info->key, &f) || (f.expires_s > 0 && f.expires_s <= l->q->now_ms / 1000) ||
        (l->purpose != NULL && strcmp(f.purpose, l->purpose) != 0))
        return 0;
    json_t **at = &l->ring[l->n++ % (l->limit + 1)];
    json_decref(*at);
    *at = fl_object(&f);
    if (*at == NULL)
        return FT_ENOMEM;
    return !l->oldest_first && l->n > l->limit; /* one more than asked for: has_more */
}

static void list_answer(struct list *l)
{
    int64_t kept = FT_MIN(l->n, l->limit + 1), shown = FT_MIN(kept, l->limit);
    json_t *data = json_array();
    for (int64_t i = 0; i < shown; i++) {
        int64_t at = l->oldest_first ? l->n - 1 - i : i;
        json_array_append(data, l->ring[at % (l->limit + 1)]);
    }
    json_t *first = json_object_get(json_array_get(data, 0), "id");
    json_t *last =
        shown > 0 ? json_object_get(json_array_get(data, (size_t)shown - 1), "id") : NULL;
    fl_answer(l->q, json_pack("{s:s,s:o,s:O?,s:O?,s:b}", "object", "list", "data", data, "first_id",
                              first, "last_id", last, "has_more", kept > l->limit));
}

static int list_run(struct list *l, struct ft_err *err)
{
    struct fl_name n;
    bool more = true;
    int rc = 0;
    fl_name_bucket(l->q->project, &n);
    if (l->after != NULL) {
        char prefix[64];
        fl_entry_prefix(l->after, prefix);
        if (!l->oldest_first) /* behind all that begins so: '0' comes after '/' */
            prefix[strlen(prefix) - 1] = '0';
        strcpy(l->oldest_first ? l->until : l->last, prefix);
    }
    while (rc == 0 && more) {
        char after[FT_BLOB_KEY_MAX + 1];
        strcpy(after, l->last);
        struct ft_blob_list page = {
            .bucket = n.bucket, .prefix = "f/", .after = after, .max = FT_BLOB_LIST_MAX};
        rc = ft_blob_list(l->q->blob, &page, false, list_one, l, &more, err);
    }
    if (rc == FT_ENOMEM && err->code == 0)
        ft_err_set(err, FT_ENOMEM, "out of memory");
    /* 1: stopped; without the bucket there are no files */
    return rc > 0 || rc == FT_ENOTFOUND ? 0 : rc;
}

static bool list_params(const struct ft_files_request *q, struct ft_arena *arena, struct list *l)
{
    struct ft_err err = {0};
    const char *name, *value;
    size_t at = 0;
    int rc;
    while ((rc = ft_url_param_next(q->query, &at, arena, &name, &value, &err)) > 0) {
        if (strcmp(name, "after") == 0) {
            if (value[0] != '\0' && !ft_oai_id_is(value, FILES_FILE)) {
                fl_bad(q, "invalid_value", "after", "after: is no id of a file");
                return false;
            }
            l->after = value[0] != '\0' ? value : NULL;
        } else if (strcmp(name, "purpose") == 0) {
            l->purpose = value[0] != '\0' ? value : NULL;
        } else if (strcmp(name, "limit") == 0) {
            char *end;
            l->limit = strtoll(value, &end, 10);
            if (*value < '0' || *value > '9' || *end != '\0' || l->limit < 1 ||
                l->limit > FT_FILES_LIST_MAX) {
                fl_bad(q, "invalid_value", "limit", "limit: must be between 1 and %d",
                       FT_FILES_LIST_MAX);
                return false;
            }
        } else if (strcmp(name, "order") == 0) {
            l->oldest_first = strcmp(value, "asc") == 0;
            if (!l->oldest_first && strcmp(value, "desc") != 0) {
                fl_bad(q, "invalid_value", "order", "order: must be asc or desc");
                return false;
            }
        } else {
            fl_bad(q, "unknown_parameter", name, "%.60s: unknown parameter", name);
            return false;
        }
    }
    if (rc < 0)
        fl_bad(q, "invalid_value", NULL, "%s", err.msg);
    return rc == 0;
}

static void list(const struct ft_files_request *q)
{
    struct list l = {.q = q, .limit = FT_FILES_LIST_MAX};
    struct ft_err err = {0};
    struct ft_arena arena;
    ft_arena_init(&arena, QUERY_BYTES);
    if (list_params(q, &arena, &l)) {
        l.ring = calloc((size_t)l.limit + 1, sizeof(json_t *));
        int rc = l.ring != NULL ? list_run(&l, &err) : ft_err_set(&err, FT_ENOMEM, "out of memory");
        if (rc == 0)
            list_answer(&l);
        else
            fl_fail_store(q, &err);
        for (int64_t i = 0; l.ring != NULL && i <= l.limit; i++)
            json_decref(l.ring[i]);
        free(l.ring);
    }
    ft_arena_fini(&arena);
}

/* ---- the way in ---- */

static void not_allowed(const struct ft_files_request *q)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_ENOTFOUND, "method_not_allowed", NULL,
                     "%s is not allowed on /v1/%.100s", q->method, q->path);
    e.status = 405;
    fl_fail(q, &e);
}

/* path: behind "files/". */
static void one_file(const struct ft_files_request *q, const char *path)
{
    bool get = strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
    const char *slash = strchr(path, '/');
    char id[64];
    size_t n = slash != NULL ? (size_t)(slash - path) : strlen(path);
    snprintf(id, sizeof id, "%.*s", (int)FT_MIN(n, sizeof id - 1), path);
    if (slash == NULL && get)
        retrieve(q, id);
    else if (slash == NULL && strcmp(q->method, "DELETE") == 0)
        delete (q, id);
    else if (slash != NULL && strcmp(slash, "/content") == 0 && get)
        content(q, id);
    else if (slash == NULL || strcmp(slash, "/content") == 0)
        not_allowed(q);
    else
        fl_none(q, "File", path);
}

void ft_files_handle(const struct ft_files_request *q)
{
    bool get = strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
    if (strcmp(q->path, "files") == 0) {
        if (get)
            list(q);
        else if (strcmp(q->method, "POST") == 0)
            fl_create(q);
        else
            not_allowed(q);
    } else if (strncmp(q->path, "files/", 6) == 0) {
        one_file(q, q->path + 6);
    } else if (strncmp(q->path, "uploads", 7) != 0) {
        fl_none(q, "File", q->path);
    } else if (strcmp(q->method, "POST") != 0) {
        not_allowed(q);
    } else {
        fl_uploads(q, q->path + 7);
    }
}

/* ---- sweeping ---- */

struct sweep {
    struct ft_blob *b;
    int64_t now_s;
    bool (*stop)(void *ctx);
    void *ctx;
    char (*bucket)[FT_BLOB_BUCKET_MAX + 1];
    size_t n, cap;
    const char *project; /* of the bucket that is swept */
    char last[FT_BLOB_KEY_MAX + 1];
    bool deep;
    json_t *gone; /* keys of this page */
};

static int sweep_bucket(void *ctx, const struct ft_blob_bucket *b)
{
    struct sweep *s = ctx;
    if (strncmp(b->name, FT_FILES_BUCKET, strlen(FT_FILES_BUCKET)) != 0)
        return 0;
    if (s->n == s->cap) {
        size_t cap = s->cap == 0 ? 16 : 2 * s->cap;
        void *more = realloc(s->bucket, cap * sizeof s->bucket[0]);
        if (more == NULL)
            return FT_ENOMEM;
        s->bucket = more;
        s->cap = cap;
    }
    strcpy(s->bucket[s->n++], b->name);
    return 0;
}

/* By what the key tells alone: an upload's record and its parts go by the upload's time. */
static bool is_over(const struct sweep *s, const char *key)
{
    char id[64];
    struct fl_info f;
    int lasts = key[0] == 'c' ? FT_FILES_NOBODYS_S : 2 * FT_FILES_UPLOAD_S;
    if (key[0] == 'f')
        return fl_info_of(key, &f) && f.expires_s > 0 && f.expires_s <= s->now_s;
    if (key[0] == 'c' && !s->deep)
        return false;
    snprintf(id, sizeof id, "%.*s", (int)strcspn(key + 2, "/"), key + 2);
    return ft_oai_id_is(id, key[0] == 'c' ? FILES_FILE : FILES_UPLOAD) &&
           ft_oai_id_time(id) / 1000 + lasts <= s->now_s;
}

static int sweep_one(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct sweep *s = ctx;
    (void)prefix;
    snprintf(s->last, sizeof s->last, "%s", info->key);
    if (is_over(s, info->key))
        json_array_append_new(s->gone, json_string(info->key));
    return 0;
}

static int sweep_key(struct sweep *s, const char *bucket, const char *key, struct ft_err *err)
{
    struct fl_info f;
    if (key[0] == 'f' && fl_info_of(key, &f))
        return fl_remove(s->b, bucket, &f, err);
    if (key[0] == 'c') {
        int rc = fl_find(s->b, s->project, key + 2, &f, err);
        if (rc != 0) /* somebody's, or not to be known now */
            return FT_MIN(rc, 0);
    }
    return fl_remove_key(s->b, bucket, key, err);
}

static int sweep_page(struct sweep *s, const char *bucket, bool *ret_more, struct ft_err *err)
{
    char after[FT_BLOB_KEY_MAX + 1];
    strcpy(after, s->last);
    struct ft_blob_list page = {.bucket = bucket, .after = after, .max = FT_BLOB_LIST_MAX};
    json_array_clear(s->gone);
    int rc = ft_blob_list(s->b, &page, false, sweep_one, s, ret_more, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(s->gone); i++)
        rc = sweep_key(s, bucket, json_string_value(json_array_get(s->gone, i)), err);
    return rc;
}

int ft_files_sweep(struct ft_blob *b, int64_t now_s, bool deep, bool (*stop)(void *ctx), void *ctx,
                   struct ft_err *err)
{
    struct sweep s = {
        .b = b, .now_s = now_s, .deep = deep, .stop = stop, .ctx = ctx, .gone = json_array()};
    int rc = ft_blob_bucket_list(b, NULL, sweep_bucket, &s, err);
    for (size_t i = 0; rc == 0 && i < s.n; i++) {
        bool more = true;
        s.last[0] = '\0';
        s.project = s.bucket[i] + strlen(FT_FILES_BUCKET);
        for (int page = 0; rc == 0 && more && page < SWEEP_PAGES; page++) {
            if (stop != NULL && stop(ctx))
                rc = ft_err_set(err, FT_ECANCELED, "stopped");
            else
                rc = sweep_page(&s, s.bucket[i], &more, err);
        }
    }
    json_decref(s.gone);
    free(s.bucket);
    return rc;
}
