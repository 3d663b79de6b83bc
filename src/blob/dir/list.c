/* Listings: a page is gathered from the index, then handed out, so that whoever takes it may take
 * his time and call the store again.
 *
 * Rows stand by (key, order). Keys that are rolled up are not walked through: the scan is begun
 * anew behind their prefix; so it is behind a key of many versions, of which one is wanted. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "blob/dir/calls.h"
#include "blob/dir/page.h"

#define SKIPS_MAX 8 /* older versions stepped over before the scan is begun anew */

enum what { LATEST, VERSIONS, UPLOADS };

struct scan {
    struct ft_dir *d;
    struct ft_conn *c;
    const struct ft_blob_list *l;
    enum what what;
    const char *prefix, *delimiter;
    size_t n_prefix, n_delimiter;
    int64_t bucket;
    /* where to begin (anew): behind this place */
    char key[FT_BLOB_KEY_MAX + 2];
    int64_t order;
    char last[FT_BLOB_KEY_MAX + 2]; /* the key that was seen last */
    bool has_last;
    int n, skips;
    bool more;
    struct ft_page page;
};

/* Begins behind every key that starts so. Keys are UTF-8: no byte of theirs is 0xff. */
static void go_past(struct scan *s, const char *start, size_t n)
{
    memcpy(s->key, start, n);
    s->key[n - 1]++;
    s->key[n] = '\0';
    s->order = INT64_MIN;
}

/* Where the part of the key ends that is rolled up; 0: it is not. */
static size_t rolled(const struct scan *s, const char *key)
{
    if (s->n_delimiter == 0 || strncmp(key, s->prefix, s->n_prefix) != 0)
        return 0;
    const char *at = strstr(key + s->n_prefix, s->delimiter);
    return at == NULL ? 0 : (size_t)(at - key) + s->n_delimiter;
}

static int begin(struct scan *s, struct ft_err *err)
{
    const struct ft_blob_list *l = s->l;
    const char *after = l->after == NULL ? "" : l->after;
    size_t n = strlen(after);
    if (n > FT_BLOB_KEY_MAX || s->n_prefix > FT_BLOB_KEY_MAX || s->n_delimiter > FT_BLOB_KEY_MAX)
        return ft_err_set(err, FT_EINVAL, "prefix, delimiter, marker: at most %d bytes",
                          FT_BLOB_KEY_MAX);
    if (n == 0 || strcmp(after, s->prefix) < 0) {
        memcpy(s->key, s->prefix, s->n_prefix + 1);
        s->order = INT64_MIN;
        return 0;
    }
    if (rolled(s, after) == n) {
        go_past(s, after, n);
        return 0;
    }
    memcpy(s->key, after, n + 1);
    memcpy(s->last, after, n + 1);
    s->has_last = true;
    s->order = INT64_MAX;
    if (s->what == LATEST || l->after_version == NULL)
        return 0;
    int64_t id = ft_dir_id_parse(s->d, l->after_version);
    if (s->what == UPLOADS && id != 0)
        s->order = id;
    if (s->what == VERSIONS && id != 0)
        s->order = -id;
    if (s->what == VERSIONS && id == 0) {
        struct ft_row row;
        int rc = ft_dir_version(s->d, s->c, s->bucket, after, l->after_version, &row, err);
        if (rc < 0)
            return rc;
        if (rc == 1) {
            s->order = row.at.order;
            ft_row_fini(&row);
        }
    }
    return 0;
}

enum next { STEP, ANEW, END };

/* Takes the row that the statement is on. */
static int take(struct scan *s, sqlite3_stmt *q, enum next *ret, struct ft_err *err)
{
    const char *key = (const char *)sqlite3_column_text(q, 0);
    const uint8_t *bytes = sqlite3_column_blob(q, 2);
    size_t n_bytes = (size_t)sqlite3_column_bytes(q, 2), n_key = key == NULL ? 0 : strlen(key);
    *ret = END;
    if (n_key == 0 || n_key > FT_BLOB_KEY_MAX)
        return ft_err_set(err, FT_ECORRUPT, "a key of the index changed on the disk");
    if (strncmp(key, s->prefix, s->n_prefix) != 0)
        return 0;
    struct ft_page_entry e = {key, sqlite3_column_int64(q, 1), false, bytes, n_bytes};
    bool is_new = !s->has_last || strcmp(key, s->last) != 0;
    *ret = STEP;
    memcpy(s->last, key, n_key + 1);
    s->has_last = true;
    if (s->what == LATEST && !is_new) {
        if (++s->skips < SKIPS_MAX)
            return 0;
        memcpy(s->key, key, n_key + 1);
        s->order = INT64_MAX;
        *ret = ANEW;
        return 0;
    }
    s->skips = 0;
    if (s->what == LATEST) {
        int is_marker = ft_page_is_marker(&e, s->bucket, err);
        if (is_marker != 0)
            return is_marker < 0 ? is_marker : 0;
    }
    if (s->n == s->l->max || s->page.bytes.len >= FT_PAGE_BYTES_MAX) {
        s->more = true;
        *ret = END;
        return 0;
    }
    s->n++;
    size_t n_rolled = rolled(s, key);
    if (n_rolled > 0) {
        go_past(s, key, n_rolled);
        *ret = ANEW;
        return ft_page_add_prefix(&s->page, key, n_rolled, err);
    }
    e.is_latest = is_new;
    return ft_page_add(&s->page, &e, err);
}

static int gather(struct scan *s, struct ft_err *err)
{
    enum next next = ANEW;
    int rc = begin(s, err);
    while (rc == 0 && next == ANEW) {
        sqlite3_stmt *q;
        rc = ft_sql_row(s->c, &q, err, s->what == UPLOADS ? FT_SQL_UPLOAD_LIST : FT_SQL_LIST, "iti",
                        s->bucket, s->key, s->order);
        for (next = END; rc == 1; rc = ft_sql_step(s->c, q, err)) {
            rc = take(s, q, &next, err);
            if (rc != 0 || next != STEP)
                break;
        }
        if (next == STEP)
            next = END;
        ft_sql_end(q);
    }
    return rc;
}

static int scan(struct ft_blob *b, const struct ft_blob_list *l, struct scan *s, struct ft_err *err)
{
    struct ft_dir_bucket bucket;
    s->d = ft_dir_of(b);
    s->l = l;
    s->prefix = l->prefix == NULL ? "" : l->prefix;
    s->delimiter = l->delimiter == NULL ? "" : l->delimiter;
    s->n_prefix = strlen(s->prefix);
    s->n_delimiter = strlen(s->delimiter);
    int rc = ft_index_read(&s->d->index, &s->c, err);
    if (rc != 0)
        return rc;
    rc = ft_dir_bucket_find(s->c, l->bucket, &bucket, err);
    if (rc == 0 && l->max > 0) {
        s->bucket = bucket.id;
        rc = gather(s, err);
    }
    ft_index_done(&s->d->index, s->c);
    return rc;
}

/* One entry to whoever asked. */
static int hand_out(struct scan *s, const struct ft_page_entry *e, struct ft_row *row,
                    ft_blob_list_fn *fn, ft_blob_uploads_fn *uploads_fn, void *ctx,
                    struct ft_err *err)
{
    if (e->bytes == NULL)
        return fn != NULL ? fn(ctx, NULL, e->key) : uploads_fn(ctx, NULL, e->key);
    struct ft_row_at at = {s->bucket, e->order, e->key};
    int rc = ft_row_decode(e->bytes, e->n_bytes, &at, row, err);
    if (rc != 0)
        return rc;
    if (s->what == UPLOADS) {
        struct ft_blob_upload u = {e->key, "", row->info.modified_ns, row->info.fields,
                                   row->info.n_fields};
        ft_dir_id_text(s->d, e->order, u.id);
        return uploads_fn(ctx, &u, NULL);
    }
    row->info.is_latest = s->what == LATEST || e->is_latest;
    if (row->is_null)
        memcpy(row->info.version, "null", 5);
    else
        ft_dir_id_text(s->d, -e->order, row->info.version);
    return fn(ctx, &row->info, NULL);
}

static int run(struct ft_blob *b, const struct ft_blob_list *l, enum what what, ft_blob_list_fn *fn,
               ft_blob_uploads_fn *uploads_fn, void *ctx, bool *ret_more, struct ft_err *err)
{
    struct scan *s = calloc(1, sizeof *s);
    struct ft_row *row = malloc(sizeof *row);
    int rc = s == NULL || row == NULL ? ft_err_set(err, FT_ENOMEM, "no memory for a listing") : 0;
    if (rc == 0) {
        s->what = what;
        ft_page_init(&s->page);
        rc = scan(b, l, s, err);
        struct ft_page_entry e;
        for (size_t at = 0; rc == 0 && ft_page_next(&s->page, &at, &e);)
            rc = hand_out(s, &e, row, fn, uploads_fn, ctx, err);
        if (rc == 0 && ret_more != NULL)
            *ret_more = s->more;
        ft_page_fini(&s->page);
    }
    free(row);
    free(s);
    return rc;
}

int ft_dir_list(struct ft_blob *b, const struct ft_blob_list *l, bool versions, ft_blob_list_fn *fn,
                void *ctx, bool *ret_more, struct ft_err *err)
{
    return run(b, l, versions ? VERSIONS : LATEST, fn, NULL, ctx, ret_more, err);
}

int ft_dir_uploads(struct ft_blob *b, const struct ft_blob_list *l, ft_blob_uploads_fn *fn,
                   void *ctx, bool *ret_more, struct ft_err *err)
{
    return run(b, l, UPLOADS, NULL, fn, ctx, ret_more, err);
}
