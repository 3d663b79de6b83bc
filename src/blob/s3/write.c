/* Writers over S3. What is small is held back and put at once, at the commit, as conditions are
 * held then; what is larger goes on as an upload in parts, whose completion is the commit. Parts
 * that are held back are sent again when that fails; those of known size above S3_PART_BYTES stream
 * through and are not. */
#include <nettle/md5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "blob/s3/impl.h"

#define HELD_PART_MAX ((size_t)64 << 20) /* a caller's part of unknown size */
#define PIECES_WANTED 9000               /* of an object of known size, at most */
#define PUT_TRIES     3

struct writer {
    struct ft_blob_writer base;
    struct ups_place p;
    struct ft_blob_object o; /* as it is to be */
    char upload[FT_BLOB_UPLOAD_MAX + 1];
    int part; /* of the caller's upload; 0: an object */
    struct ft_blob_condition condition;
    char if_match[FT_BLOB_ETAG_MAX + 1], if_none_match[FT_BLOB_ETAG_MAX + 1];
    char nonce[S3_TOKEN_SIZE];
    int64_t expected, n; /* bytes; -1: not known */
    int failed;          /* code of the first failure; a failed writer cannot commit */
    /* held back */
    unsigned char *held;
    size_t n_held, cap;
    /* an object's own upload */
    char native[FT_BLOB_UPLOAD_MAX + 1];
    struct ups_piece *pieces;
    int n_pieces;
    /* streaming, if piece_bytes is not 0 */
    int64_t piece_bytes, left;
    struct ft_ups_exchange *x;
    struct md5_ctx md5;
    struct ups_piece streamed; /* of a caller's part */
};

static struct ups *store_of(const struct writer *w)
{
    return ups_of(w->base.blob);
}

static void writer_free(struct writer *w)
{
    ft_ups_cancel(w->x);
    if (w->native[0] != '\0') /* else it was completed; if this fails, the upstream's rules clean */
        ups_native_abort(store_of(w), &w->p, w->o.info.key, w->native, NULL);
    ft_blob_object_fini(&w->o);
    free(w->pieces);
    free(w->held);
    free(w);
}

static const char *etag_keep(char *to, const char *etag)
{
    if (etag == NULL)
        return NULL;
    strncpy(to, etag, FT_BLOB_ETAG_MAX); /* a longer one is nobody's: shortened, it still is not */
    return to;
}

/* Streams what is too large to be held back, if its size is known. */
static int64_t piece_bytes(const struct ft_blob_put *put)
{
    if (put->upload != NULL)
        return put->size > (int64_t)S3_PART_BYTES ? put->size : 0;
    int64_t bytes = (put->size + PIECES_WANTED - 1) / PIECES_WANTED;
    return bytes > (int64_t)S3_PART_BYTES ? bytes : 0;
}

int ups_put(struct ft_blob *b, const struct ft_blob_put *put, struct ft_blob_writer **ret,
            struct ft_err *err)
{
    struct ft_blob_info info = {.key = put->key, .fields = put->fields, .n_fields = put->n_fields};
    struct writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a writer");
    w->base.blob = b;
    w->expected = put->size;
    w->piece_bytes = piece_bytes(put);
    ups_token(w->nonce);
    if (put->upload != NULL) {
        w->part = put->part;
        strcpy(w->upload, put->upload);
    } else {
        info.tags = put->tags;
        info.n_tags = put->n_tags;
        info.hold = put->hold;
        info.acl = put->acl;
        w->condition = put->condition;
        w->condition.if_match = etag_keep(w->if_match, put->condition.if_match);
        w->condition.if_none_match = etag_keep(w->if_none_match, put->condition.if_none_match);
    }
    int rc = ups_place(ups_of(b), put->bucket, &w->p, err);
    if (rc == 0)
        rc = ft_blob_object_set(&w->o, &info, NULL, 0, err);
    if (rc != 0) {
        writer_free(w);
        return rc;
    }
    *ret = &w->base;
    return 0;
}

/* ---- parts ---- */

static int piece_add(struct writer *w, const struct ups_piece *piece, struct ft_err *err)
{
    struct ups_piece *more = realloc(w->pieces, (size_t)(w->n_pieces + 1) * sizeof *more);
    if (more == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a part");
    w->pieces = more;
    more[w->n_pieces++] = *piece;
    return 0;
}

/* The request of the next part, be it the caller's or one of the object's own. */
static int part_request(struct writer *w, struct ft_ups_request *q, struct ups_piece *piece,
                        struct ft_err *err)
{
    *piece = (struct ups_piece){.number = w->part > 0 ? w->part : w->n_pieces + 1};
    if (w->part == 0 && piece->number > FT_BLOB_PART_MAX)
        return ft_err_set(err, FT_ELIMIT, "size: above %d parts of %zu bytes; tell it before",
                          FT_BLOB_PART_MAX, S3_PART_BYTES);
    if (w->part == 0 && w->native[0] == '\0') {
        int rc = ups_native_begin(store_of(w), &w->p, &w->o.info, w->nonce, w->native, err);
        if (rc != 0)
            return rc;
    }
    ups_native_part(q, &w->p, w->o.info.key, w->part > 0 ? w->upload : w->native, piece->number);
    return 0;
}

static int send_held_part(struct writer *w, struct ups_piece *piece, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    int rc = part_request(w, &q, piece, err);
    if (rc != 0)
        return rc;
    ft_ups_body(&q, w->held != NULL ? w->held : (unsigned char *)"", w->n_held);
    rc = ft_ups_do(&store_of(w)->server, &q, w->o.info.key, &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return rc;
    ups_etag(ft_ups_answer_header(&a, "etag"), piece->etag);
    piece->size = (int64_t)w->n_held;
    w->n_held = 0;
    ft_ups_answer_fini(&a);
    return 0;
}

static int stream_begin(struct writer *w, struct ft_err *err)
{
    struct ft_ups_request q;
    int rc = part_request(w, &q, &w->streamed, err);
    if (rc != 0)
        return rc;
    w->left = FT_MIN(w->piece_bytes, w->expected - w->n);
    w->streamed.size = w->left;
    q.streamed = true;
    q.body_bytes = w->left;
    md5_init(&w->md5);
    rc = ft_ups_start(&store_of(w)->server, &q, &w->x, err);
    ft_ups_request_fini(&q);
    return rc;
}

static int stream_end(struct writer *w, struct ft_err *err)
{
    struct ft_ups_answer a;
    uint8_t digest[MD5_DIGEST_SIZE];
    char wanted[2 * MD5_DIGEST_SIZE + 1];
    int rc = ft_ups_finish(w->x, &a, err);
    w->x = NULL;
    if (rc != 0)
        return rc;
    if (a.status / 100 != 2)
        rc = ft_ups_refused(&a, w->o.info.key, err);
    ups_etag(ft_ups_answer_header(&a, "etag"), w->streamed.etag);
    ft_ups_answer_fini(&a);
    md5_digest(&w->md5, sizeof digest, digest);
    ft_hex(digest, sizeof digest, wanted);
    /* an upstream that encrypts has ETags of another kind, which prove nothing */
    if (rc == 0 && strlen(w->streamed.etag) == 32 && strcmp(w->streamed.etag, wanted) != 0)
        rc = ft_err_set(err, FT_EIO, "part %d came to the upstream as other bytes",
                        w->streamed.number);
    if (rc == 0 && w->part == 0)
        rc = piece_add(w, &w->streamed, err);
    return rc;
}

static int stream(struct writer *w, const char *data, size_t n, struct ft_err *err)
{
    int rc = 0;
    while (rc == 0 && n > 0) {
        size_t k;
        if (w->x == NULL && (rc = stream_begin(w, err)) != 0)
            break;
        k = (size_t)FT_MIN((int64_t)n, w->left);
        rc = ft_ups_send(w->x, data, k, err);
        md5_update(&w->md5, k, (const uint8_t *)data);
        data += k;
        n -= k;
        w->n += (int64_t)k;
        w->left -= (int64_t)k;
        /* an answer before the end says why nothing more is taken */
        if (rc != 0 || w->left == 0) {
            struct ft_err why = {.code = FT_OK};
            int ended = stream_end(w, &why);
            if (ended != 0) {
                rc = ended;
                if (err != NULL)
                    *err = why;
            }
        }
    }
    return rc;
}

/* ---- held back ---- */

static int held_grow(struct writer *w, size_t need, struct ft_err *err)
{
    size_t cap = FT_MAX(w->cap, (size_t)4096);
    if (need <= w->cap)
        return 0;
    while (cap < need)
        cap *= 2;
    unsigned char *more = realloc(w->held, cap);
    if (more == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for an object's bytes");
    w->held = more;
    w->cap = cap;
    return 0;
}

static int hold_back(struct writer *w, const char *data, size_t n, struct ft_err *err)
{
    size_t max = w->part > 0 ? HELD_PART_MAX : S3_PART_BYTES;
    int rc = 0;
    while (rc == 0 && n > 0) {
        struct ups_piece piece;
        if (w->n_held == max && w->part > 0)
            return ft_err_set(err, FT_ELIMIT, "size: a part above %zu bytes must tell it before",
                              max);
        if (w->n_held == max) { /* there is more: this much can go */
            rc = send_held_part(w, &piece, err);
            if (rc == 0)
                rc = piece_add(w, &piece, err);
            continue;
        }
        size_t k = FT_MIN(n, max - w->n_held);
        rc = held_grow(w, w->n_held + k, err);
        if (rc != 0)
            break;
        memcpy(w->held + w->n_held, data, k);
        w->n_held += k;
        w->n += (int64_t)k;
        data += k;
        n -= k;
    }
    return rc;
}

int ups_put_write(struct ft_blob_writer *base, const void *data, size_t n, struct ft_err *err)
{
    struct writer *w = (struct writer *)base;
    int rc;
    if (w->failed != 0)
        return ft_err_set(err, w->failed, "writing failed before");
    if (w->expected >= 0 && (int64_t)n > w->expected - w->n)
        rc = ft_err_set(err, FT_EINVAL, "size: more than the %lld bytes that were announced",
                        (long long)w->expected);
    else
        rc = w->piece_bytes > 0 ? stream(w, data, n, err) : hold_back(w, data, n, err);
    w->failed = rc;
    return rc;
}

/* ---- committing ---- */

static int put_small(struct writer *w, struct ft_blob_done *ret, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    struct ups *s = store_of(w);
    ft_ups_request_init(&q, "PUT", w->p.upstream, w->o.info.key);
    ft_ups_body(&q, w->held != NULL ? w->held : (unsigned char *)"", w->n_held);
    q.once = true;
    int rc = ups_state_send(s, &w->p, &q, &w->o.info, w->nonce, err);
    for (int try = 0; rc == 0; try++) {
        rc = ft_ups_do(&s->server, &q, w->o.info.key, &a, err);
        if (rc == 0) {
            ups_done(&w->p, &a, w->n, ret);
            ft_ups_answer_fini(&a);
            break;
        }
        if (rc != FT_EIO)
            break;
        int there = ups_was_written(s, &w->p, w->o.info.key, w->nonce, ret, NULL);
        if (there == 1)
            rc = 0;
        if (there == 1 || try + 1 == PUT_TRIES)
            break;
        rc = 0;
    }
    ft_ups_request_fini(&q);
    return rc;
}

static int put_large(struct writer *w, struct ft_blob_done *ret, struct ft_err *err)
{
    int rc = ups_state_keep(store_of(w), &w->p, w->nonce, &w->o.info, err);
    if (rc == 0)
        rc = ups_native_complete(store_of(w), &w->p, w->o.info.key, w->native, w->pieces,
                                 w->n_pieces, w->nonce, ret, err);
    if (rc == 0)
        w->native[0] = '\0';
    return rc;
}

static int commit_object(struct writer *w, struct ft_blob_done *ret, struct ft_err *err)
{
    struct ups *s = store_of(w);
    struct ups_piece piece;
    struct ft_err own;
    int rc = 0;
    err = err != NULL ? err : &own;
    if (w->native[0] != '\0' && w->n_held > 0) {
        rc = send_held_part(w, &piece, err);
        if (rc == 0)
            rc = piece_add(w, &piece, err);
    }
    if (rc == 0 && (w->o.info.hold.mode != FT_BLOB_LOCK_NONE || w->o.info.hold.legal))
        rc = ups_bucket_held(s, &w->p, err);
    if (rc != 0)
        return rc;
    pthread_mutex_t *lock = ups_key_lock(s, w->p.name, w->o.info.key);
    pthread_mutex_lock(lock);
    int64_t created_ns = w->p.created_ns;
    rc = ups_place(s, w->p.name, &w->p, err); /* as it is now */
    if (rc == 0 && w->p.created_ns != created_ns)
        rc = ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_BUCKET, "bucket %s: is another by now",
                         w->p.name);
    if (rc == 0)
        rc = ups_may_replace(s, &w->p, w->o.info.key, &w->condition, err);
    if (rc == 0)
        rc = w->native[0] != '\0' ? put_large(w, ret, err) : put_small(w, ret, err);
    pthread_mutex_unlock(lock);
    if (rc == 0)
        ups_bucket_added(s, w->p.name, w->n);
    return rc;
}

static int commit_part(struct writer *w, struct ft_blob_done *ret, struct ft_err *err)
{
    struct ups_piece piece = w->streamed;
    int rc = 0;
    if (w->piece_bytes == 0)
        rc = send_held_part(w, &piece, err);
    if (rc == 0 && w->o.info.n_fields > 0)
        rc = ups_part_keep(store_of(w), w->p.name, w->o.info.key, w->upload, w->part, piece.etag,
                           &w->o.info, err);
    if (rc != 0)
        return rc;
    *ret = (struct ft_blob_done){.size = w->n, .modified_ns = ups_now_s() * 1000000000};
    strcpy(ret->etag, piece.etag);
    ups_bucket_added(store_of(w), w->p.name, w->n);
    return 0;
}

static int commit(struct writer *w, const struct ft_blob_field *fields, int n_fields,
                  struct ft_blob_done *ret, struct ft_err *err)
{
    struct ft_blob_object whole;
    if (w->failed != 0)
        return ft_err_set(err, w->failed, "writing failed before");
    if (w->expected >= 0 && w->n != w->expected)
        return ft_err_set(err, FT_EINVAL, "size: %lld bytes came, %lld were announced",
                          (long long)w->n, (long long)w->expected);
    int rc = ft_blob_object_set(&whole, &w->o.info, fields, n_fields, err);
    if (rc != 0)
        return rc;
    ft_blob_object_fini(&w->o);
    w->o = whole;
    return w->part > 0 ? commit_part(w, ret, err) : commit_object(w, ret, err);
}

int ups_put_commit(struct ft_blob_writer *base, const struct ft_blob_field *fields, int n_fields,
                   struct ft_blob_done *ret, struct ft_err *err)
{
    struct writer *w = (struct writer *)base;
    struct ft_blob_done done;
    int rc = commit(w, fields, n_fields, &done, err);
    if (rc == 0 && ret != NULL)
        *ret = done;
    writer_free(w);
    return rc;
}

void ups_put_abort(struct ft_blob_writer *base)
{
    writer_free((struct writer *)base);
}
