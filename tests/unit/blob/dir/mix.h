/* Mixed changes of a store that follow from numbers, and a model of what they must leave behind.
 *
 * Step i of an actor changes one of its own keys: puts (of every kind of place), deletes, uploads
 * in parts, copies. The bytes of an object follow from the step that made it, so what is read tells
 * which step it was, and whether it is whole. */
#ifndef FT_TEST_BLOB_DIR_MIX_H
#define FT_TEST_BLOB_DIR_MIX_H

#include "fixture.h"

#define MIX_ACTORS 4
#define MIX_KEYS   12

struct mix_step {
    int key;
    enum { MIX_PUT, MIX_DELETE, MIX_PARTS, MIX_ABORT, MIX_COPY } kind;
    size_t size;
};

static inline struct mix_step mix_step(int actor, int64_t i)
{
    static const size_t sizes[] = {0, 700, 4096, 32768, 32769, 65536, 65537, 200000, 1300000};
    uint64_t r = ft_rand_u64(7, (uint64_t)actor, (uint64_t)i);
    struct mix_step s = {(int)(r % MIX_KEYS), MIX_PUT, sizes[(r >> 8) % FT_COUNT(sizes)]};
    unsigned kind = (unsigned)(r >> 16) % 16;
    s.kind = kind < 9    ? MIX_PUT
             : kind < 12 ? MIX_DELETE
             : kind < 14 ? MIX_PARTS
             : kind < 15 ? MIX_ABORT
                         : MIX_COPY;
    return s;
}

/* The step whose bytes the key has afterwards; 0: none. Copies are made of the step's own bytes
 * too, by way of another key. */
static inline uint64_t mix_number(int actor, int64_t i)
{
    return (uint64_t)i * MIX_ACTORS + (uint64_t)actor + 1;
}

static inline void mix_key(int actor, int key, char ret[32])
{
    snprintf(ret, 32, "actor-%d/key-%d", actor, key);
}

static inline int mix_parts(struct ft_blob *b, const char *bucket, const char *key, uint64_t number,
                            size_t size, bool complete)
{
    char id[FT_BLOB_UPLOAD_MAX + 1];
    struct ft_blob_part parts[3];
    struct ft_blob_done done;
    struct ft_blob_put put = {.bucket = bucket, .key = key, .size = -1};
    size_t at = 0;
    int rc = ft_blob_upload_begin(b, &put, id, &err);
    for (int i = 0; rc == 0 && i < 3; i++) {
        size_t n = i == 2 ? size - at : size / 3;
        put.upload = id;
        put.part = 2 * i + 1;
        rc = put_made(b, &put, number, at, n, &done);
        parts[i] = (struct ft_blob_part){.number = put.part};
        memcpy(parts[i].etag, done.etag, sizeof done.etag);
        at += n;
    }
    if (rc == 0 && !complete)
        return ft_blob_upload_abort(b, bucket, key, id, &err);
    if (rc == 0)
        return ft_blob_upload_complete(b, bucket, key, id, parts, 3, NULL, NULL, 0, &done, &err);
    return rc;
}

static inline int mix_run(struct ft_blob *b, const char *bucket, int actor, int64_t i)
{
    struct mix_step s = mix_step(actor, i);
    struct ft_blob_done done;
    char key[32], other[32];
    uint64_t number = mix_number(actor, i);
    int rc;
    mix_key(actor, s.key, key);
    struct ft_blob_put put = {.bucket = bucket, .key = key, .size = (int64_t)s.size};
    switch (s.kind) {
    case MIX_PUT:
        return put_made(b, &put, number, 0, s.size, &done);
    case MIX_DELETE:
        return ft_blob_remove(b, &(struct ft_blob_delete){.bucket = bucket, .key = key}, NULL,
                              &err);
    case MIX_PARTS:
    case MIX_ABORT:
        return mix_parts(b, bucket, key, number, s.size, s.kind == MIX_PARTS);
    case MIX_COPY:
        break;
    }
    snprintf(other, sizeof other, "source-%d", actor);
    put.key = other;
    rc = put_made(b, &put, number, 0, s.size, &done);
    put.key = key;
    put.size = -1;
    struct ft_blob_copy copy = {.from_bucket = bucket, .from_key = other, .size = -1, .to = put};
    return rc != 0 ? rc : ft_blob_copy(b, &copy, &done, &err);
}

/* What the step leaves at its key, given what was there. */
static inline int64_t mix_after(int actor, int64_t i, int64_t before)
{
    struct mix_step s = mix_step(actor, i);
    return s.kind == MIX_DELETE ? 0 : s.kind == MIX_ABORT ? before : i;
}

/* Are the bytes of the key those that step i made (0: is it gone)? */
static inline bool mix_is(struct ft_blob *b, const char *bucket, int actor, int key, int64_t i)
{
    char name[32];
    struct ft_blob_reader *r;
    mix_key(actor, key, name);
    int rc = ft_blob_open(b, bucket, name, NULL, &r, &err);
    if (rc == FT_ENOTFOUND && ft_blob_why(&err) == FT_BLOB_NO_KEY)
        return i == 0;
    OK(rc);
    size_t n = (size_t)ft_blob_reader_info(r)->size;
    bool same = i != 0 && n == mix_step(actor, i).size;
    if (same) {
        uint8_t *got = malloc(n + 1), *want = malloc(n + 1);
        OK(ft_blob_read(r, 0, got, n, &err));
        fill(mix_number(actor, i), 0, want, n);
        same = memcmp(got, want, n) == 0;
        free(got);
        free(want);
    }
    ft_blob_close_reader(r);
    return same;
}

#endif
