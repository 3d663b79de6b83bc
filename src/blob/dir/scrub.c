/* Reads everything there is against its checksums: the index by SQLite's own check, every row,
 * every byte of every object and of the parts of unfinished uploads; then removes data files that
 * are nobody's. Walks from row to row without holding a view of the index, so it may take days. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "blob/dir/calls.h"

#define READ_BYTES (1u << 20)
#define NAP_NS_MAX 100000000 /* asks whether to stop between naps */

struct scrub {
    struct ft_dir *d;
    const struct ft_blob_scrub *asked;
    struct ft_blob_scrubbed done;
    int64_t begun_ns;
    uint8_t *buf;
    /* where it is */
    int64_t bucket, order;
    char name[FT_BLOB_BUCKET_MAX + 1], key[FT_BLOB_KEY_MAX + 1];
};

static bool is_stopped(struct scrub *s)
{
    return s->asked->stop != NULL && s->asked->stop(s->asked->ctx);
}

static void tell(struct scrub *s, const char *bucket, const char *key, const char *version,
                 const char *what)
{
    struct ft_blob_fault fault = {bucket, key, version, what};
    s->done.faults++;
    if (s->asked->fault != NULL)
        s->asked->fault(s->asked->ctx, &fault);
}

/* Not faster than asked. */
static void nap(struct scrub *s)
{
    while (s->asked->bytes_per_s > 0 && !is_stopped(s)) {
        double due = (double)s->done.bytes / (double)s->asked->bytes_per_s * 1e9;
        int64_t wait = (int64_t)due - (ft_clock_now_ns() - s->begun_ns);
        if (wait <= 0)
            return;
        wait = FT_MIN(wait, NAP_NS_MAX);
        struct timespec t = {wait / 1000000000, wait % 1000000000};
        nanosleep(&t, NULL);
    }
}

static int interrupt(void *ctx)
{
    return is_stopped(ctx);
}

/* SQLite's own check of the index's pages. */
static int index_check(struct scrub *s, struct ft_err *err)
{
    struct ft_conn *c;
    sqlite3_stmt *q;
    struct ft_err bad = {.msg = ""};
    int rc = ft_index_read(&s->d->index, &c, err);
    if (rc != 0)
        return rc;
    sqlite3_progress_handler(c->db, 100000, interrupt, s);
    rc = ft_sql_row(c, &q, &bad, FT_SQL_QUICK_CHECK, "");
    for (; rc == 1; rc = ft_sql_step(c, q, &bad)) {
        const char *line = (const char *)sqlite3_column_text(q, 0);
        if (line != NULL && strcmp(line, "ok") != 0)
            tell(s, "", "", "", line);
    }
    ft_sql_end(q);
    sqlite3_progress_handler(c->db, 0, NULL, NULL);
    ft_index_done(&s->d->index, c);
    if (rc < 0 && !is_stopped(s))
        tell(s, "", "", "", bad.msg);
    return 0;
}

/* The next row behind where it is. 1: there is one. */
static int next_row(struct scrub *s, struct ft_row *row, struct ft_err *ret_bad, struct ft_err *err)
{
    struct ft_conn *c;
    sqlite3_stmt *q;
    int rc = ft_index_read(&s->d->index, &c, err);
    if (rc != 0)
        return rc;
    ret_bad->msg[0] = '\0';
    rc = ft_sql_row(c, &q, err, FT_SQL_WALK, "iti", s->bucket, s->key, s->order);
    if (rc == 1) {
        const char *name = (const char *)sqlite3_column_text(q, 1);
        const char *key = (const char *)sqlite3_column_text(q, 2);
        s->bucket = sqlite3_column_int64(q, 0);
        s->order = sqlite3_column_int64(q, 3);
        snprintf(s->name, sizeof s->name, "%s", name == NULL ? "" : name);
        snprintf(s->key, sizeof s->key, "%s", key == NULL ? "" : key);
        struct ft_row_at at = {s->bucket, s->order, s->key};
        if (ft_row_decode(sqlite3_column_blob(q, 4), (size_t)sqlite3_column_bytes(q, 4), &at, row,
                          ret_bad) == 0) {
            if (row->is_null)
                memcpy(row->info.version, "null", 5);
            else
                ft_dir_id_text(s->d, -s->order, row->info.version);
        }
    }
    ft_sql_end(q);
    ft_index_done(&s->d->index, c);
    return rc;
}

/* Every byte that the reader can read. Goes on behind what is damaged; one fault each object. */
static void bytes_check(struct scrub *s, struct ft_blob_reader *r, const char *bucket,
                        const char *version)
{
    const struct ft_blob_info *info = ft_dir_reader_info(r);
    struct ft_err err = {.msg = ""};
    for (int64_t at = 0; at < info->size && !is_stopped(s);) {
        size_t n = (size_t)FT_MIN(info->size - at, (int64_t)READ_BYTES);
        if (ft_dir_read(r, at, s->buf, n, &err) != 0) {
            tell(s, bucket, info->key, version, err.msg);
            return;
        }
        at += (int64_t)n;
        s->done.bytes += (int64_t)n;
        nap(s);
    }
}

static int objects_check(struct scrub *s, struct ft_row *row, struct ft_err *err)
{
    int rc = 0;
    s->order = INT64_MIN;
    while (!is_stopped(s)) {
        struct ft_err bad;
        struct ft_blob_reader *r;
        rc = next_row(s, row, &bad, err);
        if (rc != 1)
            return rc;
        if (bad.msg[0] != '\0') {
            tell(s, s->name, s->key, "", bad.msg);
            continue;
        }
        s->done.objects++;
        if (row->info.is_marker)
            continue;
        char version[FT_BLOB_VERSION_MAX + 1];
        memcpy(version, row->info.version, sizeof version);
        rc = ft_dir_open(&s->d->base, s->name, s->key, version, &r, &bad);
        if (rc == FT_ENOTFOUND) /* removed meanwhile */
            continue;
        if (rc != 0) {
            tell(s, s->name, s->key, version, bad.msg);
            continue;
        }
        bytes_check(s, r, s->name, version);
        ft_dir_close_reader(r);
    }
    return 0;
}

static int parts_check(struct scrub *s, struct ft_err *err)
{
    struct ft_dir_part_at at = {.upload = 0};
    while (!is_stopped(s)) {
        struct ft_blob_reader *r;
        struct ft_err bad = {.msg = ""};
        int64_t upload = at.upload, number = at.number;
        int rc = ft_dir_open_next_part(s->d, &at, &r, &bad);
        if (rc == 0)
            return 0;
        if (rc < 0 && at.upload == upload && at.number == number) { /* not the row alone */
            *err = bad;
            return rc;
        }
        s->done.objects++;
        if (rc < 0)
            tell(s, at.bucket, at.key, "", bad.msg);
        else
            bytes_check(s, r, at.bucket, "");
        if (rc == 1)
            ft_dir_close_reader(r);
    }
    return 0;
}

int ft_dir_scrub(struct ft_blob *b, const struct ft_blob_scrub *asked, struct ft_blob_scrubbed *ret,
                 struct ft_err *err)
{
    struct scrub *s = calloc(1, sizeof *s);
    struct ft_row *row = malloc(sizeof *row);
    int rc = 0;
    if (s != NULL)
        s->buf = malloc(READ_BYTES);
    if (s == NULL || row == NULL || s->buf == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory for a scrub");
    if (rc == 0) {
        s->d = ft_dir_of(b);
        s->asked = asked;
        s->begun_ns = ft_clock_now_ns();
        rc = index_check(s, err);
    }
    if (rc == 0)
        rc = objects_check(s, row, err);
    if (rc == 0)
        rc = parts_check(s, err);
    if (rc == 0 && is_stopped(s))
        rc = ft_err_set(err, FT_ECANCELED, "scrub: stopped");
    if (rc == 0)
        rc = ft_dir_collect(s->d, 0, err);
    if ((rc == 0 || rc == FT_ECANCELED) && ret != NULL)
        *ret = s->done;
    if (s != NULL)
        free(s->buf);
    free(row);
    free(s);
    return rc;
}
