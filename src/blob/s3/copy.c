/* Copies over S3: the upstream copies, no byte comes here. Whole objects up to 5 GiB in one step;
 * ranges and larger ones as uploads whose parts are copied. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/s3/impl.h"
#include "net/date.h"
#include "net/url.h"
#include "net/xml.h"

#define XML_MAX    (64u << 10)
#define PIECE      ((int64_t)1 << 30)
#define SOURCE_MAX (3 * (FT_BLOB_KEY_MAX + FT_BLOB_VERSION_MAX) + 256)

struct source {
    struct ups_place p;
    struct ft_blob_object o;
    int64_t offset, size; /* what is copied of it */
};

static int source_find(struct ups *s, const struct ft_blob_copy *c, struct source *ret,
                       struct ft_err *err)
{
    int rc = ups_place(s, c->from_bucket, &ret->p, err);
    if (rc == 0)
        rc = ups_look(s, &ret->p, c->from_key, c->from_version, &ret->o, NULL, err);
    if (rc != 0)
        return rc;
    const struct ft_blob_info *info = &ret->o.info;
    if (c->from_etag != NULL && strcmp(c->from_etag, info->etag) != 0)
        return ft_blob_err(err, FT_EBUSY, FT_BLOB_CONDITION, "the source is %s now", info->etag);
    if (c->size >= 0 && (c->offset > info->size || c->size > info->size - c->offset))
        return ft_err_set(err, FT_EINVAL, "range: behind the source's %lld bytes",
                          (long long)info->size);
    ret->offset = c->size >= 0 ? c->offset : 0;
    ret->size = c->size >= 0 ? c->size : info->size;
    return 0;
}

static void send_source(struct ft_ups_request *q, const struct source *from)
{
    struct ft_buf name;
    const char *key = from->o.info.key;
    ft_buf_init(&name, SOURCE_MAX);
    ft_buf_addf(&name, "/%s/", from->p.upstream);
    for (const char *at = key; *at != '\0';) {
        size_t n = strcspn(at, "/");
        ft_url_encode(&name, at, n);
        at += n;
        if (*at == '/')
            ft_buf_add_byte(&name, *at++);
    }
    if (from->p.versioning != FT_BLOB_UNVERSIONED) {
        ft_buf_add_str(&name, "?versionId=");
        ft_url_encode(&name, from->o.info.version, strlen(from->o.info.version));
    }
    ft_ups_header(q, "x-amz-copy-source", "%s", name.failed == 0 ? name.data : "");
    q->failed = q->failed || name.failed != 0;
    ft_ups_header(q, "x-amz-copy-source-if-match", "\"%s\"", from->o.info.etag);
    ft_buf_fini(&name);
}

/* The result of either kind of copy: an ETag, or an error although the status is 200. */
static int copied(const struct ft_ups_answer *a, char etag[FT_BLOB_ETAG_MAX + 1],
                  int64_t *ret_modified_s, struct ft_err *err)
{
    struct ft_arena arena;
    struct ft_xml_node *root;
    ft_arena_init(&arena, XML_MAX);
    int rc = ft_ups_xml(a, &arena, &root, err);
    if (rc == 0 && strcmp(root->name, "Error") == 0) {
        rc = ft_ups_refused(a, "copy", err);
    } else if (rc == 0) {
        const char *at = ft_xml_child_text(root, "LastModified");
        ups_etag(ft_xml_child_text(root, "ETag"), etag);
        if (at != NULL)
            ft_date_parse_iso(at, ret_modified_s);
    }
    ft_arena_fini(&arena);
    return rc;
}

static int copy_piece(struct ups *s, const struct source *from, const struct ups_place *p,
                      const char *key, const char *id, int64_t offset, struct ups_piece *piece,
                      struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    ups_native_part(&q, p, key, id, piece->number);
    send_source(&q, from);
    ft_ups_header(&q, "x-amz-copy-source-range", "bytes=%lld-%lld", (long long)offset,
                  (long long)(offset + piece->size - 1));
    int rc = ft_ups_do(&s->server, &q, key, &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return rc;
    rc = copied(&a, piece->etag, &piece->modified_s, err);
    ft_ups_answer_fini(&a);
    return rc;
}

/* Nothing to be copied: an empty object or part is put. */
static int put_nothing(struct ups *s, const struct ft_blob_copy *c, struct ft_blob_done *ret,
                       struct ft_err *err)
{
    struct ft_blob_put to = c->to;
    struct ft_blob_writer *w;
    to.size = 0;
    int rc = ups_put(&s->base, &to, &w, err);
    return rc != 0 ? rc : ups_put_commit(w, NULL, 0, ret, err);
}

static int copy_part(struct ups *s, const struct source *from, const struct ups_place *p,
                     const struct ft_blob_put *to, struct ft_blob_done *ret, struct ft_err *err)
{
    struct ups_piece piece = {.number = to->part, .size = from->size};
    struct ft_blob_info info = {.key = to->key, .fields = to->fields, .n_fields = to->n_fields};
    int rc = copy_piece(s, from, p, to->key, to->upload, from->offset, &piece, err);
    if (rc == 0 && to->n_fields > 0)
        rc = ups_part_keep(s, p->name, to->key, to->upload, to->part, piece.etag, &info, err);
    if (rc != 0)
        return rc;
    *ret = (struct ft_blob_done){.size = piece.size, .modified_ns = piece.modified_s * 1000000000};
    strcpy(ret->etag, piece.etag);
    return 0;
}

static int copy_whole(struct ups *s, const struct source *from, const struct ups_place *p,
                      const struct ft_blob_info *info, struct ft_blob_done *ret, struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    char nonce[S3_TOKEN_SIZE];
    int64_t modified_s = 0;
    ups_token(nonce);
    ft_ups_request_init(&q, "PUT", p->upstream, info->key);
    send_source(&q, from);
    ft_ups_header(&q, "x-amz-metadata-directive", "REPLACE");
    ft_ups_header(&q, "x-amz-tagging-directive", "REPLACE");
    q.once = true;
    int rc = ups_state_send(s, p, &q, info, nonce, err);
    if (rc == 0)
        rc = ft_ups_do(&s->server, &q, info->key, &a, err);
    ft_ups_request_fini(&q);
    if (rc == 0) {
        ups_done(p, &a, from->size, ret);
        rc = copied(&a, ret->etag, &modified_s, err);
        if (modified_s != 0)
            ret->modified_ns = modified_s * 1000000000;
        ft_ups_answer_fini(&a);
    } else if (rc == FT_EIO && ups_was_written(s, p, info->key, nonce, ret, NULL) == 1) {
        rc = 0;
    }
    return rc;
}

static int copy_in_pieces(struct ups *s, const struct source *from, const struct ups_place *p,
                          const struct ft_blob_info *info, struct ft_blob_done *ret,
                          struct ft_err *err)
{
    int n = (int)((from->size + PIECE - 1) / PIECE);
    char nonce[S3_TOKEN_SIZE], id[FT_BLOB_UPLOAD_MAX + 1];
    struct ups_piece *pieces = calloc((size_t)n, sizeof *pieces);
    if (pieces == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a copy");
    ups_token(nonce);
    int rc = ups_native_begin(s, p, info, nonce, id, err);
    bool begun = rc == 0;
    for (int i = 0; rc == 0 && i < n; i++) {
        pieces[i].number = i + 1;
        pieces[i].size = FT_MIN(PIECE, from->size - i * PIECE);
        rc = copy_piece(s, from, p, info->key, id, from->offset + i * PIECE, &pieces[i], err);
    }
    if (rc == 0)
        rc = ups_state_keep(s, p, nonce, info, err);
    if (rc == 0)
        rc = ups_native_complete(s, p, info->key, id, pieces, n, nonce, ret, err);
    if (rc != 0 && begun)
        ups_native_abort(s, p, info->key, id, NULL);
    free(pieces);
    return rc;
}

static int copy_object(struct ups *s, const struct source *from, struct ups_place *p,
                       const struct ft_blob_put *to, struct ft_blob_done *ret, struct ft_err *err)
{
    struct ft_blob_info info = {.key = to->key,
                                .fields = to->fields,
                                .n_fields = to->n_fields,
                                .tags = to->tags,
                                .n_tags = to->n_tags,
                                .hold = to->hold,
                                .acl = to->acl};
    bool whole = from->offset == 0 && from->size == from->o.info.size;
    int rc = 0;
    if (to->hold.mode != FT_BLOB_LOCK_NONE || to->hold.legal)
        rc = ups_bucket_held(s, p, err);
    pthread_mutex_t *lock = ups_key_lock(s, p->name, to->key);
    pthread_mutex_lock(lock);
    if (rc == 0)
        rc = ups_place(s, p->name, p, err);
    if (rc == 0)
        rc = ups_may_replace(s, p, to->key, &to->condition, err);
    if (rc == 0)
        rc = whole && from->size <= S3_NATIVE_MAX ? copy_whole(s, from, p, &info, ret, err)
                                                  : copy_in_pieces(s, from, p, &info, ret, err);
    pthread_mutex_unlock(lock);
    return rc;
}

int ups_copy(struct ft_blob *b, const struct ft_blob_copy *c, struct ft_blob_done *ret,
             struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place p;
    struct ft_blob_done done;
    struct source from = {.size = 0};
    struct ft_err own;
    err = err != NULL ? err : &own;
    int rc = ups_place(s, c->to.bucket, &p, err);
    if (rc == 0)
        rc = source_find(s, c, &from, err);
    if (rc == 0 && from.size == 0)
        rc = put_nothing(s, c, &done, err);
    else if (rc == 0 && c->to.upload != NULL)
        rc = copy_part(s, &from, &p, &c->to, &done, err);
    else if (rc == 0)
        rc = copy_object(s, &from, &p, &c->to, &done, err);
    if (rc == 0 && from.size > 0)
        ups_bucket_added(s, p.name, done.size);
    if (rc == 0 && ret != NULL)
        *ret = done;
    ft_blob_object_fini(&from.o);
    return rc;
}
