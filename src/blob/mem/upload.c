/* Uploads in parts of the store in memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/mem/impl.h"

void mem_upload_free(struct upload *u)
{
    ft_blob_object_fini(&u->o);
    mem_pieces_free(u->pieces, u->n_pieces);
    free(u);
}

static struct upload **upload_slot(struct bucket *k, const char *key, const char *id)
{
    struct upload **at = &k->uploads;
    while (*at != NULL && (strcmp((*at)->id, id) != 0 || strcmp((*at)->o.info.key, key) != 0))
        at = &(*at)->next;
    return at;
}

int mem_upload_find(struct bucket *k, const char *key, const char *id, struct upload **ret,
                    struct ft_err *err)
{
    *ret = *upload_slot(k, key, id);
    return *ret != NULL ? 0
                        : ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_UPLOAD,
                                      "key %s has no upload %s", key, id);
}

int mem_upload_begin(struct ft_blob *b, const struct ft_blob_put *put,
                     char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct ft_blob_info info = {.key = put->key,
                                .fields = put->fields,
                                .n_fields = put->n_fields,
                                .tags = put->tags,
                                .n_tags = put->n_tags,
                                .hold = put->hold,
                                .acl = put->acl};
    info.modified_ns = mem_now_ns();
    struct upload *u = calloc(1, sizeof *u);
    if (u == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for an upload");
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket_to_change(m, put->bucket, &k, err);
    if (rc == 0)
        rc = ft_blob_object_set(&u->o, &info, NULL, 0, err);
    if (rc == 0) {
        struct upload **at = &k->uploads;
        mem_new_id(m, u->id, sizeof u->id);
        strcpy(ret_id, u->id);
        while (*at != NULL && strcmp((*at)->o.info.key, put->key) <= 0)
            at = &(*at)->next;
        u->next = *at;
        *at = u;
    }
    pthread_mutex_unlock(&m->lock);
    if (rc != 0)
        free(u);
    return rc;
}

int mem_upload_get(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                   struct ft_blob_object *ret, struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct upload *u;
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket(m, bucket, &k, err);
    if (rc == 0)
        rc = mem_upload_find(k, key, id, &u, err);
    if (rc == 0)
        rc = ft_blob_object_set(ret, &u->o.info, NULL, 0, err);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

int mem_upload_abort(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                     struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct upload *u;
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket_to_change(m, bucket, &k, err);
    if (rc == 0)
        rc = mem_upload_find(k, key, id, &u, err);
    if (rc == 0) {
        *upload_slot(k, key, id) = u->next;
        mem_upload_free(u);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

int mem_upload_put_part(struct upload *u, int number, struct ft_blob_object *o,
                        struct content *content, struct ft_err *err)
{
    int at = 0;
    while (at < u->n_pieces && u->pieces[at].number < number)
        at++;
    struct piece *p = u->pieces;
    if (at == u->n_pieces || p[at].number != number) {
        p = realloc(p, (size_t)(u->n_pieces + 1) * sizeof *p);
        if (p == NULL)
            return ft_err_set(err, FT_ENOMEM, "no memory for a part");
        u->pieces = p;
        memmove(p + at + 1, p + at, (size_t)(u->n_pieces - at) * sizeof *p);
        u->n_pieces++;
    } else {
        ft_blob_object_fini(&p[at].o);
        mem_content_unref(p[at].content);
    }
    p[at] = (struct piece){.number = number, .size = content->size, .o = *o, .content = content};
    *o = (struct ft_blob_object){.memory = NULL};
    return 0;
}

int mem_upload_parts(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                     int after, int max, ft_blob_parts_fn *fn, void *ctx, bool *ret_more,
                     struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct upload *u;
    struct piece *found = NULL;
    int n = 0;
    bool more = false;
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket(m, bucket, &k, err);
    if (rc == 0)
        rc = mem_upload_find(k, key, id, &u, err);
    if (rc == 0 && (found = calloc((size_t)max + 1, sizeof *found)) == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory for a list of parts");
    for (int i = 0; rc == 0 && i < u->n_pieces; i++) {
        if (u->pieces[i].number <= after)
            continue;
        if ((more = n == max))
            break;
        found[n] = u->pieces[i];
        found[n].content = NULL;
        rc = ft_blob_object_set(&found[n].o, &u->pieces[i].o.info, NULL, 0, err);
        n += rc == 0;
    }
    pthread_mutex_unlock(&m->lock);
    for (int i = 0; i < n && rc == 0; i++) {
        struct ft_blob_part p = {.number = found[i].number,
                                 .size = found[i].size,
                                 .modified_ns = found[i].o.info.modified_ns,
                                 .fields = found[i].o.info.fields,
                                 .n_fields = found[i].o.info.n_fields};
        strcpy(p.etag, found[i].o.info.etag);
        rc = fn(ctx, &p);
    }
    if (rc == 0)
        *ret_more = more && max > 0;
    mem_pieces_free(found, n);
    return rc;
}

/* ---- completing ---- */

static const struct piece *piece_of(const struct upload *u, int number)
{
    for (int i = 0; i < u->n_pieces; i++)
        if (u->pieces[i].number == number)
            return &u->pieces[i];
    return NULL;
}

/* MD5 of the parts' MD5s, and how many. */
static void upload_etag(const struct ft_blob_part *parts, int n, unsigned char *digests, char *ret)
{
    for (int i = 0; i < n; i++) {
        unsigned byte = 0; /* what is no MD5 is no part's ETag either, and refused later */
        for (int j = 0; j < 16 && strlen(parts[i].etag) == 32; j++) {
            sscanf(parts[i].etag + 2 * j, "%2x", &byte);
            digests[16 * i + j] = (unsigned char)byte;
        }
    }
    mem_md5_hex(digests, (size_t)n * 16, ret);
    sprintf(ret + 32, "-%d", n);
}

static int parts_check(const struct upload *u, const struct ft_blob_part *parts, int n,
                       int64_t *ret_size, struct ft_err *err)
{
    int64_t size = 0;
    for (int i = 0; i < n; i++) {
        const struct piece *p = piece_of(u, parts[i].number);
        if (p == NULL || strcmp(p->o.info.etag, parts[i].etag) != 0)
            return ft_blob_err(err, FT_EINVAL, FT_BLOB_NO_PART, "part %d: %s", parts[i].number,
                               p == NULL ? "never uploaded" : "has another ETag");
        size += p->size;
    }
    *ret_size = size;
    return 0;
}

/* All parts in one piece. */
static int assemble(struct mem *m, const struct upload *u, const struct ft_blob_part *parts, int n,
                    int64_t size, struct content **ret, struct ft_err *err)
{
    struct content *c;
    int rc = mem_take(m, size, err);
    if (rc != 0)
        return rc;
    unsigned char *bytes = malloc(size > 0 ? (size_t)size : 1);
    struct piece *pieces = calloc((size_t)n, sizeof *pieces);
    if (bytes == NULL || pieces == NULL) {
        free(bytes);
        free(pieces);
        mem_take(m, -size, NULL);
        return ft_err_set(err, FT_ENOMEM, "no memory for an object's bytes");
    }
    int64_t at = 0;
    for (int i = 0; i < n && rc == 0; i++) {
        const struct piece *p = piece_of(u, parts[i].number);
        memcpy(bytes + at, p->content->bytes, (size_t)p->size);
        pieces[i] = (struct piece){.number = i + 1, .offset = at, .size = p->size};
        rc = ft_blob_object_set(&pieces[i].o, &p->o.info, NULL, 0, err);
        at += p->size;
    }
    if (rc != 0) {
        free(bytes);
        mem_take(m, -size, NULL);
    } else {
        rc = mem_content_new(m, bytes, size, &c, err);
    }
    if (rc != 0) {
        mem_pieces_free(pieces, n);
        return rc;
    }
    c->pieces = pieces;
    c->n_pieces = n;
    *ret = c;
    return 0;
}

static int complete(struct mem *m, struct bucket *k, struct upload *u,
                    const struct ft_blob_part *parts, int n_parts,
                    const struct ft_blob_condition *condition, const char *etag,
                    const struct ft_blob_field *fields, int n_fields, struct ft_blob_done *ret,
                    struct ft_err *err)
{
    struct ft_blob_object o;
    struct content *content = NULL;
    int64_t size = 0;
    int rc = parts_check(u, parts, n_parts, &size, err);
    if (rc == 0)
        rc = ft_blob_object_set(&o, &u->o.info, fields, n_fields, err);
    if (rc != 0)
        return rc;
    rc = assemble(m, u, parts, n_parts, size, &content, err);
    if (rc == 0) {
        o.info.size = size;
        o.info.n_parts = n_parts;
        strcpy(o.info.etag, etag);
        rc = mem_version_put(m, k, &o, content, condition, ret, err);
        if (rc != 0)
            mem_content_unref(content);
    }
    if (rc != 0) {
        ft_blob_object_fini(&o);
        return rc;
    }
    struct completed *c = &m->completed[m->n_completed++ % MEM_COMPLETED_MAX];
    strcpy(c->id, u->id);
    c->done = *ret;
    *upload_slot(k, u->o.info.key, u->id) = u->next;
    mem_upload_free(u);
    return 0;
}

static bool completed_before(struct mem *m, const char *id, const char *etag,
                             struct ft_blob_done *ret)
{
    for (int i = 0; i < MEM_COMPLETED_MAX; i++)
        if (strcmp(m->completed[i].id, id) == 0 && strcmp(m->completed[i].done.etag, etag) == 0) {
            *ret = m->completed[i].done;
            return true;
        }
    return false;
}

int mem_upload_complete(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                        const struct ft_blob_part *parts, int n_parts,
                        const struct ft_blob_condition *condition,
                        const struct ft_blob_field *fields, int n_fields, struct ft_blob_done *ret,
                        struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct upload *u;
    struct ft_blob_done done;
    char etag[FT_BLOB_ETAG_MAX + 1];
    unsigned char *digests = calloc((size_t)n_parts, 16);
    if (digests == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for the parts' digests");
    upload_etag(parts, n_parts, digests, etag);
    free(digests);
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket_to_change(m, bucket, &k, err);
    if (rc == 0)
        rc = mem_upload_find(k, key, id, &u, err);
    if (rc == 0)
        rc = complete(m, k, u, parts, n_parts, condition, etag, fields, n_fields, &done, err);
    else if (rc == FT_ENOTFOUND && completed_before(m, id, etag, &done))
        rc = 0;
    pthread_mutex_unlock(&m->lock);
    if (rc == 0 && ret != NULL)
        *ret = done;
    return rc;
}
