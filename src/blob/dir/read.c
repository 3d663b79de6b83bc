/* Readers: bytes of an object, checked.
 *
 * A small object is read and checked when it is opened. Of data files, every FT_DIR_BLOCK that a
 * read touches is read whole and held against its CRC-32C before any of it is handed out: straight
 * into the caller's memory where the read covers the block, through the reader's own where it does
 * not. An object of parts is a list of such pieces, of which one is open at a time.
 *
 * A reader pins its place: the sweeper leaves it alone, whatever is removed meanwhile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "blob/dir/calls.h"

#define CRC_BYTES 4

/* Bytes that lie together. */
struct piece {
    int64_t offset, size; /* in the object */
    int64_t id;
    enum ft_place place;
    int number; /* that the part was uploaded under */
};

struct reader {
    struct ft_blob_reader base;
    struct ft_dir *d;
    struct ft_dir_pin pin;
    struct ft_blob_object object;
    struct piece one, *pieces; /* one, or allocated */
    int n_pieces;
    int64_t upload; /* whose parts they are; 0: none */

    /* the piece that is open */
    int open; /* -1: none */
    int fd;
    uint8_t *small; /* its bytes, if it is small */
    uint8_t *crcs;  /* of one chunk */
    int64_t chunk, n_crcs;
    uint8_t *block; /* FT_DIR_BLOCK: the last that was read in part */
    int64_t block_at;
    size_t block_n;
    struct ft_blob_object part; /* what part_of answered last */
};

static void piece_close(struct reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    free(r->small);
    free(r->crcs);
    r->fd = -1;
    r->small = r->crcs = NULL;
    r->open = -1;
    r->chunk = r->block_at = -1;
}

void ft_dir_close_reader(struct ft_blob_reader *base)
{
    struct reader *r = (struct reader *)base;
    piece_close(r);
    ft_dir_unpin(r->d, &r->pin);
    ft_blob_object_fini(&r->object);
    ft_blob_object_fini(&r->part);
    if (r->pieces != &r->one)
        free(r->pieces);
    free(r->block);
    free(r);
}

static int damaged(const struct reader *r, const char *what, struct ft_err *err)
{
    return ft_err_set(err, FT_ECORRUPT, "%s: %s changed on the disk", r->object.info.key, what);
}

static int small_load(struct reader *r, struct ft_conn *c, const struct piece *p,
                      struct ft_err *err)
{
    sqlite3_stmt *s;
    int rc = ft_sql_row(c, &s, err, FT_SQL_SMALL_GET, "i", p->id);
    if (rc == 0)
        rc = damaged(r, "the row of its bytes", err);
    if (rc == 1) {
        uint32_t crc = (uint32_t)sqlite3_column_int64(s, 0);
        size_t n = (size_t)sqlite3_column_bytes(s, 1);
        const void *data = sqlite3_column_blob(s, 1);
        rc = 0;
        if ((int64_t)n != p->size || ft_crc32c(0, data, n) != crc)
            rc = damaged(r, "a byte", err);
        else if ((r->small = malloc(n)) == NULL)
            rc = ft_err_set(err, FT_ENOMEM, "no memory for a reader");
        else
            memcpy(r->small, data, n);
    }
    ft_sql_end(s);
    return rc;
}

/* The list of pieces of an object of parts. */
static int parts_load(struct reader *r, struct ft_conn *c, struct ft_err *err)
{
    sqlite3_stmt *s;
    struct ft_row *part = malloc(sizeof *part);
    int n_max = r->object.info.n_parts, n = 0;
    int64_t offset = 0;
    r->pieces = calloc((size_t)n_max + 1, sizeof *r->pieces);
    if (r->pieces == NULL || part == NULL) {
        free(part);
        return ft_err_set(err, FT_ENOMEM, "no memory for a reader");
    }
    int rc = ft_sql_row(c, &s, err, FT_SQL_PART_LIST, "ii", r->upload, (int64_t)0);
    for (; rc == 1 && n < n_max; rc = ft_sql_step(c, s, err), n++) {
        struct ft_row_at at = {r->upload, sqlite3_column_int64(s, 0), ""};
        rc = ft_row_decode(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1), &at, part,
                           err);
        if (rc != 0)
            break;
        r->pieces[n] =
            (struct piece){offset, part->info.size, part->id, part->place, (int)at.order};
        offset += part->info.size;
    }
    ft_sql_end(s);
    free(part);
    r->n_pieces = n;
    if (rc == 0 && (n != n_max || offset != r->object.info.size))
        rc = damaged(r, "the list of its parts", err);
    return rc < 0 ? rc : rc == 1 ? damaged(r, "the list of its parts", err) : 0;
}

static int load(struct reader *r, struct ft_conn *c, const char *bucket, const char *key,
                const char *version, struct ft_err *err)
{
    struct ft_dir_bucket found;
    struct ft_row row = {.memory = NULL};
    int rc = ft_dir_bucket_find(c, bucket, &found, err);
    if (rc == 0)
        rc = ft_dir_find(r->d, c, found.id, key, version, &row, err);
    if (rc == 0)
        rc = ft_blob_object_set(&r->object, &row.info, NULL, 0, err);
    ft_row_fini(&row);
    if (rc != 0)
        return rc;
    ft_dir_pin_set(r->d, &r->pin, row.id == 0 ? -1 : row.id);
    if (row.place == FT_PLACE_PARTS) {
        r->upload = row.id;
        return parts_load(r, c, err);
    }
    r->one = (struct piece){0, row.info.size, row.id, row.place, 0};
    r->n_pieces = row.place == FT_PLACE_NONE ? 0 : 1;
    if (row.place != FT_PLACE_SMALL)
        return 0;
    r->open = 0;
    return small_load(r, c, &r->one, err);
}

/* One that pins everything: before it looks, so what it finds stays. */
static struct reader *reader_new(struct ft_dir *d, struct ft_err *err)
{
    struct reader *r = calloc(1, sizeof *r);
    if (r == NULL) {
        ft_err_set(err, FT_ENOMEM, "no memory for a reader");
        return NULL;
    }
    r->base.blob = &d->base;
    r->d = d;
    r->pieces = &r->one;
    r->fd = -1;
    piece_close(r);
    ft_dir_pin(d, &r->pin);
    return r;
}

int ft_dir_open(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                struct ft_blob_reader **ret, struct ft_err *err)
{
    struct ft_dir *d = ft_dir_of(b);
    struct ft_conn *c;
    struct reader *r = reader_new(d, err);
    if (r == NULL)
        return FT_ENOMEM;
    int rc = ft_index_read(&d->index, &c, err);
    if (rc == 0) {
        rc = load(r, c, bucket, key, version, err);
        ft_index_done(&d->index, c);
    }
    if (rc != 0) {
        ft_dir_close_reader(&r->base);
        return rc;
    }
    *ret = &r->base;
    return 0;
}

/* The row of a part becomes what the reader reads. */
static int part_load(struct reader *r, sqlite3_stmt *s, struct ft_dir_part_at *at,
                     struct ft_err *err)
{
    struct ft_row row;
    const char *name = (const char *)sqlite3_column_text(s, 2);
    const char *key = (const char *)sqlite3_column_text(s, 3);
    at->upload = sqlite3_column_int64(s, 0);
    at->number = sqlite3_column_int64(s, 1);
    snprintf(at->bucket, sizeof at->bucket, "%s", name == NULL ? "" : name);
    snprintf(at->key, sizeof at->key, "%s", key == NULL ? "" : key);
    struct ft_row_at where = {at->upload, at->number, ""};
    int rc = ft_row_decode(sqlite3_column_blob(s, 4), (size_t)sqlite3_column_bytes(s, 4), &where,
                           &row, err);
    row.info.key = at->key;
    if (rc == 0)
        rc = ft_blob_object_set(&r->object, &row.info, NULL, 0, err);
    if (rc == 0) {
        r->one = (struct piece){0, row.info.size, row.id, row.place, (int)at->number};
        r->n_pieces = row.place == FT_PLACE_NONE ? 0 : 1;
    }
    return rc;
}

int ft_dir_open_next_part(struct ft_dir *d, struct ft_dir_part_at *at, struct ft_blob_reader **ret,
                          struct ft_err *err)
{
    struct ft_conn *c;
    sqlite3_stmt *s;
    struct reader *r = reader_new(d, err);
    if (r == NULL)
        return FT_ENOMEM;
    *ret = NULL;
    int rc = ft_index_read(&d->index, &c, err);
    if (rc == 0) {
        rc = ft_sql_row(c, &s, err, FT_SQL_PART_WALK, "ii", at->upload, at->number);
        if (rc == 1 && (rc = part_load(r, s, at, err)) == 0)
            rc = 1;
        ft_sql_end(s);
        ft_index_done(&d->index, c);
    }
    if (rc == 1)
        *ret = &r->base;
    else
        ft_dir_close_reader(&r->base);
    return rc;
}

const struct ft_blob_info *ft_dir_reader_info(struct ft_blob_reader *base)
{
    return &((struct reader *)base)->object.info;
}

int64_t ft_dir_reader_file(const struct ft_blob_reader *base)
{
    const struct reader *r = (const struct reader *)base;
    return r->upload == 0 && r->n_pieces == 1 && r->one.place == FT_PLACE_FILE ? r->one.id : 0;
}

/* ---- pieces ---- */

static int piece_open(struct reader *r, int i, struct ft_err *err)
{
    char path[FT_DIR_PATH_MAX];
    const struct piece *p = &r->pieces[i];
    struct ft_conn *c;
    int rc;
    if (r->open == i)
        return 0;
    piece_close(r);
    if (p->place == FT_PLACE_SMALL) {
        rc = ft_index_read(&r->d->index, &c, err);
        if (rc == 0) {
            rc = small_load(r, c, p, err);
            ft_index_done(&r->d->index, c);
        }
    } else {
        ft_dir_file_path(r->d, p->id, path);
        rc = ft_disk_open(&r->d->disk, path, &r->fd, err);
    }
    if (rc == 0)
        r->open = i;
    return rc;
}

/* The checksums of one GiB of the open file. The last chunk stands in `file`, those before in
 * `sums`. */
static int crcs_load(struct reader *r, const struct piece *p, int64_t chunk, struct ft_err *err)
{
    struct ft_conn *c;
    sqlite3_stmt *s;
    if (r->chunk == chunk)
        return 0;
    int64_t blocks = (p->size + FT_DIR_BLOCK - 1) / FT_DIR_BLOCK;
    bool is_last = chunk == blocks / FT_DIR_SUMS_CHUNK;
    int64_t n = is_last ? blocks % FT_DIR_SUMS_CHUNK : FT_DIR_SUMS_CHUNK;
    int rc = ft_index_read(&r->d->index, &c, err);
    if (rc != 0)
        return rc;
    rc = is_last ? ft_sql_row(c, &s, err, FT_SQL_FILE_GET, "i", p->id)
                 : ft_sql_row(c, &s, err, FT_SQL_SUMS_GET, "ii", p->id, chunk);
    free(r->crcs);
    r->crcs = NULL;
    r->chunk = -1;
    if (rc == 1) {
        const void *data = sqlite3_column_blob(s, is_last ? 1 : 0);
        if (sqlite3_column_bytes(s, is_last ? 1 : 0) != n * CRC_BYTES)
            rc = damaged(r, "a list of checksums", err);
        else if ((r->crcs = malloc((size_t)n * CRC_BYTES + 1)) == NULL)
            rc = ft_err_set(err, FT_ENOMEM, "no memory for a reader");
        else
            memcpy(r->crcs, n == 0 ? "" : data, (size_t)n * CRC_BYTES);
    } else if (rc == 0) {
        rc = damaged(r, "a list of checksums", err);
    }
    ft_sql_end(s);
    ft_index_done(&r->d->index, c);
    if (rc < 0)
        return rc;
    r->chunk = chunk;
    return 0;
}

static int block_check(struct reader *r, const struct piece *p, int64_t block, const void *data,
                       size_t n, struct ft_err *err)
{
    int rc = crcs_load(r, p, block / FT_DIR_SUMS_CHUNK, err);
    if (rc != 0)
        return rc;
    const uint8_t *at = r->crcs + block % FT_DIR_SUMS_CHUNK * CRC_BYTES;
    uint32_t crc =
        (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return ft_crc32c(0, data, n) == crc ? 0 : damaged(r, "a byte", err);
}

/* A block into the reader's own memory. */
static int block_load(struct reader *r, const struct piece *p, int64_t block, size_t n,
                      struct ft_err *err)
{
    if (r->block_at == block)
        return 0;
    if (r->block == NULL && (r->block = malloc(FT_DIR_BLOCK)) == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a reader");
    r->block_at = -1;
    int rc = ft_disk_read(&r->d->disk, r->fd, block * FT_DIR_BLOCK, r->block, n, err);
    if (rc == 0)
        rc = block_check(r, p, block, r->block, n, err);
    if (rc == 0)
        r->block_at = block;
    return rc;
}

/* Whole blocks straight to where they are wanted: one read, then block by block. */
static int blocks_read(struct reader *r, const struct piece *p, int64_t at, uint8_t *to, size_t n,
                       struct ft_err *err)
{
    int rc = ft_disk_read(&r->d->disk, r->fd, at, to, n, err);
    for (size_t done = 0; rc == 0 && done < n; done += FT_DIR_BLOCK)
        rc = block_check(r, p, (at + (int64_t)done) / FT_DIR_BLOCK, to + done,
                         FT_MIN(n - done, FT_DIR_BLOCK), err);
    return rc;
}

/* n bytes from `at` of the open piece. */
static int piece_read(struct reader *r, const struct piece *p, int64_t at, uint8_t *to, size_t n,
                      struct ft_err *err)
{
    if (r->small != NULL) {
        memcpy(to, r->small + at, n);
        return 0;
    }
    while (n > 0) {
        int64_t block = at / FT_DIR_BLOCK;
        size_t from = (size_t)(at % FT_DIR_BLOCK), take;
        size_t in_block = (size_t)FT_MIN(p->size - block * FT_DIR_BLOCK, (int64_t)FT_DIR_BLOCK);
        int rc;
        if (from == 0 && n >= in_block) {
            take = at + (int64_t)n == p->size ? n : n - n % FT_DIR_BLOCK;
            rc = blocks_read(r, p, at, to, take, err);
        } else {
            take = FT_MIN(n, in_block - from);
            rc = block_load(r, p, block, in_block, err);
            if (rc == 0)
                memcpy(to, r->block + from, take);
        }
        if (rc != 0)
            return rc;
        at += (int64_t)take;
        to += take;
        n -= take;
    }
    return 0;
}

/* The piece that holds the byte. */
static int piece_at(const struct reader *r, int64_t offset)
{
    int lo = 0, hi = r->n_pieces - 1;
    while (lo < hi) {
        int mid = (lo + hi + 1) / 2;
        if (r->pieces[mid].offset <= offset)
            lo = mid;
        else
            hi = mid - 1;
    }
    return lo;
}

int ft_dir_read(struct ft_blob_reader *base, int64_t offset, void *data, size_t n,
                struct ft_err *err)
{
    struct reader *r = (struct reader *)base;
    uint8_t *to = data;
    for (int i = piece_at(r, offset); n > 0; i++) {
        const struct piece *p = &r->pieces[i];
        int64_t at = offset - p->offset;
        size_t take = (size_t)FT_MIN((int64_t)n, p->size - at);
        if (take == 0) /* an empty part */
            continue;
        int rc = piece_open(r, i, err);
        if (rc == 0)
            rc = piece_read(r, p, at, to, take, err);
        if (rc != 0)
            return rc;
        offset += (int64_t)take;
        to += take;
        n -= take;
    }
    return 0;
}

int ft_dir_head(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                struct ft_blob_object *ret, struct ft_err *err)
{
    struct ft_dir *d = ft_dir_of(b);
    struct ft_conn *c;
    struct ft_dir_bucket found;
    struct ft_row row = {.memory = NULL};
    struct ft_err none;
    int rc = ft_index_read(&d->index, &c, err);
    if (rc != 0)
        return rc;
    rc = ft_dir_bucket_find(c, bucket, &found, err);
    if (rc == 0)
        rc = ft_dir_find(d, c, found.id, key, version, &row, err);
    ft_index_done(&d->index, c);
    if (rc == 0)
        rc = ft_blob_object_set(ret, &row.info, NULL, 0, err);
    else if (row.memory != NULL) /* a marker, found by its name */
        ft_blob_object_set(ret, &row.info, NULL, 0, &none);
    ft_row_fini(&row);
    return rc;
}

int ft_dir_part_of(struct ft_blob_reader *base, int number, struct ft_blob_part *ret,
                   int64_t *ret_offset, struct ft_err *err)
{
    struct reader *r = (struct reader *)base;
    if (r->upload == 0 || number < 1 || number > r->n_pieces)
        return ft_blob_err(err, FT_EINVAL, FT_BLOB_NO_PART, "%s: no part %d", r->object.info.key,
                           number);
    const struct piece *p = &r->pieces[number - 1]; /* counted anew, without gaps */
    struct ft_conn *c;
    int rc = ft_index_read(&r->d->index, &c, err);
    if (rc != 0)
        return rc;
    rc = ft_dir_part_get(c, r->upload, p->number, &r->part, err);
    ft_index_done(&r->d->index, c);
    if (rc != 0)
        return rc;
    const struct ft_blob_info *info = &r->part.info;
    *ret = (struct ft_blob_part){number, info->size,   info->modified_ns,
                                 "",     info->fields, info->n_fields};
    memcpy(ret->etag, info->etag, sizeof ret->etag);
    *ret_offset = p->offset;
    return 0;
}
