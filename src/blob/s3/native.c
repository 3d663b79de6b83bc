/* Uploads in parts of the upstream: what objects above S3_PART_BYTES, copies and uploads of callers
 * are made with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/s3/impl.h"
#include "net/date.h"
#include "net/xml.h"

#define XML_MAX        (8u << 20)
#define COMPLETE_MAX   ((size_t)FT_BLOB_PART_MAX * 128 + 1024)
#define COMPLETE_TRIES 3

int ups_native_begin(struct ups *s, const struct ups_place *p, const struct ft_blob_info *info,
                     const char *nonce, char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    struct ft_arena arena;
    struct ft_xml_node *root;
    ft_ups_request_init(&q, "POST", p->upstream, info->key);
    ft_ups_query(&q, "uploads", NULL);
    ups_state_promise(&q, info, nonce);
    int rc = ft_ups_do(&s->server, &q, info->key, &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return rc;
    ft_arena_init(&arena, XML_MAX);
    rc = ft_ups_xml(&a, &arena, &root, err);
    const char *id = rc == 0 ? ft_xml_child_text(root, "UploadId") : NULL;
    if (rc == 0 && (id == NULL || *id == '\0' || strlen(id) > FT_BLOB_UPLOAD_MAX))
        rc = ft_err_set(err, FT_EIO, "key %s: the upstream began no upload", info->key);
    if (rc == 0)
        strcpy(ret_id, id);
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return rc;
}

void ups_native_part(struct ft_ups_request *q, const struct ups_place *p, const char *key,
                     const char *id, int number)
{
    ft_ups_request_init(q, "PUT", p->upstream, key);
    ft_ups_query_int(q, "partNumber", number);
    ft_ups_query(q, "uploadId", id);
}

int ups_native_abort(struct ups *s, const struct ups_place *p, const char *key, const char *id,
                     struct ft_err *err)
{
    struct ft_ups_request q;
    ft_ups_request_init(&q, "DELETE", p->upstream, key);
    ft_ups_query(&q, "uploadId", id);
    int rc = ft_ups_do(&s->server, &q, key, NULL, err);
    ft_ups_request_fini(&q);
    return rc;
}

/* The body of an answer that may be an error after all: the upstream begins to answer before it
 * knows. */
static int completed(const struct ups_place *p, const struct ft_ups_answer *a, int64_t size,
                     struct ft_blob_done *ret, struct ft_err *err)
{
    struct ft_arena arena;
    struct ft_xml_node *root;
    ft_arena_init(&arena, XML_MAX);
    int rc = ft_ups_xml(a, &arena, &root, err);
    if (rc == 0 && strcmp(root->name, "Error") == 0) {
        rc = ft_ups_refused(a, "completion", err);
    } else if (rc == 0) {
        ups_done(p, a, size, ret);
        ups_etag(ft_xml_child_text(root, "ETag"), ret->etag);
    }
    ft_arena_fini(&arena);
    return rc;
}

static int64_t pieces_write(const struct ups_piece *pieces, int n, struct ft_xml *xml)
{
    int64_t size = 0;
    ft_xml_root(xml, "CompleteMultipartUpload", "http://s3.amazonaws.com/doc/2006-03-01/");
    for (int i = 0; i < n; i++) {
        char quoted[FT_BLOB_ETAG_MAX + 3];
        snprintf(quoted, sizeof quoted, "\"%s\"", pieces[i].etag);
        ft_xml_begin(xml, "Part");
        ft_xml_int(xml, "PartNumber", pieces[i].number);
        ft_xml_text(xml, "ETag", quoted);
        ft_xml_end(xml);
        size += pieces[i].size;
    }
    ft_xml_end(xml);
    return size;
}

/* Tries once. 0 with an empty ETag or version: well, but they have to be asked for. */
static int complete_once(struct ups *s, const struct ups_place *p, const char *key, const char *id,
                         const struct ft_xml *xml, int64_t size, struct ft_blob_done *ret,
                         struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    ft_ups_request_init(&q, "POST", p->upstream, key);
    ft_ups_query(&q, "uploadId", id);
    ft_ups_body(&q, xml->buf.data, xml->buf.len);
    q.once = true;
    int rc = ft_ups_do(&s->server, &q, key, &a, err);
    ft_ups_request_fini(&q);
    if (rc != 0)
        return rc;
    rc = completed(p, &a, size, ret, err);
    ft_ups_answer_fini(&a);
    return rc;
}

int ups_native_complete(struct ups *s, const struct ups_place *p, const char *key, const char *id,
                        const struct ups_piece *pieces, int n, const char *nonce,
                        struct ft_blob_done *ret, struct ft_err *err)
{
    struct ft_xml xml;
    ft_xml_init(&xml, COMPLETE_MAX);
    int64_t size = pieces_write(pieces, n, &xml);
    int rc = xml.buf.failed;
    if (rc != 0)
        ft_err_set(err, rc, "no memory for a list of parts");
    for (int try = 1; rc == 0; try++) {
        rc = complete_once(s, p, key, id, &xml, size, ret, err);
        bool versioned = p->versioning == FT_BLOB_VERSIONED;
        if (rc == 0 && ret->etag[0] != '\0' && (!versioned || strcmp(ret->version, "null") != 0))
            break;
        /* An answer that says less (Ceph 16 leaves out the ETag), that was lost, or that an earlier
         * try got: it is there then. */
        struct ft_err why = {.code = FT_OK};
        int there = ups_was_written(s, p, key, nonce, ret, &why);
        if (rc == 0 && there < 0 && err != NULL)
            *err = why;
        if (rc == 0 && there == 0)
            ft_err_set(err, FT_EIO, "key %s: completed, and not there", key);
        if (rc == 0)
            rc = there < 0 ? there : there == 0 ? FT_EIO : 0;
        else if (there == 1)
            rc = 0;
        if (rc != FT_EIO || try == COMPLETE_TRIES)
            break;
        rc = 0;
    }
    ft_xml_fini(&xml);
    return rc;
}

/* One page; the upstream chooses how long. */
static int parts_page(struct ups *s, const struct ups_place *p, const char *key, const char *id,
                      int after, int max, struct ups_piece *ret, int *ret_n, bool *ret_more,
                      struct ft_err *err)
{
    struct ft_ups_request q;
    struct ft_ups_answer a;
    struct ft_arena arena;
    struct ft_xml_node *root;
    ft_ups_request_init(&q, "GET", p->upstream, key);
    ft_ups_query(&q, "uploadId", id);
    ft_ups_query_int(&q, "part-number-marker", after);
    ft_ups_query_int(&q, "max-parts", FT_MIN(max, 1000));
    int rc = ft_ups_do(&s->server, &q, "list of parts", &a, err);
    ft_ups_request_fini(&q);
    if (rc == FT_ENOTFOUND) /* Ceph says that the key is not there */
        return ft_blob_err(err, rc, FT_BLOB_NO_UPLOAD, "key %s has no upload %s", key, id);
    if (rc != 0)
        return rc;
    ft_arena_init(&arena, XML_MAX);
    rc = ft_ups_xml(&a, &arena, &root, err);
    *ret_n = 0;
    if (rc == 0) {
        const char *truncated = ft_xml_child_text(root, "IsTruncated");
        *ret_more = truncated != NULL && strcmp(truncated, "true") == 0;
        for (const struct ft_xml_node *n = root->first; n != NULL && *ret_n < max; n = n->next) {
            const char *number = ft_xml_child_text(n, "PartNumber");
            const char *size = ft_xml_child_text(n, "Size");
            const char *at = ft_xml_child_text(n, "LastModified");
            if (strcmp(n->name, "Part") != 0 || number == NULL || size == NULL)
                continue;
            struct ups_piece *piece = &ret[(*ret_n)++];
            *piece = (struct ups_piece){.number = atoi(number), .size = atoll(size)};
            ups_etag(ft_xml_child_text(n, "ETag"), piece->etag);
            if (at != NULL)
                ft_date_parse_iso(at, &piece->modified_s);
        }
    }
    ft_arena_fini(&arena);
    ft_ups_answer_fini(&a);
    return rc;
}

int ups_native_parts(struct ups *s, const struct ups_place *p, const char *key, const char *id,
                     int after, int max, struct ups_piece **ret_pieces, int *ret_n, bool *ret_more,
                     struct ft_err *err)
{
    struct ups_piece *all = calloc((size_t)max + 1, sizeof *all);
    int n = 0, rc = 0;
    bool more = true;
    if (all == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a list of parts");
    while (rc == 0 && more && n <= max) {
        int got;
        rc = parts_page(s, p, key, id, n > 0 ? all[n - 1].number : after, max + 1 - n, all + n,
                        &got, &more, err);
        if (rc == 0)
            n += got;
        more = more && got > 0;
    }
    if (rc != 0) {
        free(all);
        return rc;
    }
    *ret_more = n > max;
    *ret_n = FT_MIN(n, max);
    *ret_pieces = all;
    return 0;
}
