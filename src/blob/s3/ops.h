/* The seam's functions of the store over S3, by file, and what their files share. */
#ifndef FT_BLOB_S3_OPS_H
#define FT_BLOB_S3_OPS_H

/* ---- native.c: uploads in parts of the upstream ---- */
struct ups_piece { /* of a native upload */
    int number;
    char etag[FT_BLOB_ETAG_MAX + 1];
    int64_t size, modified_s;
};
/* info: for the headers that upstream users see. */
int ups_native_begin(struct ups *s, const struct ups_place *p, const struct ft_blob_info *info,
                     const char *nonce, char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err);
/* The request of a part; to be finished by the caller. */
void ups_native_part(struct ft_ups_request *q, const struct ups_place *p, const char *key,
                     const char *id, int number);
int ups_native_complete(struct ups *s, const struct ups_place *p, const char *key, const char *id,
                        const struct ups_piece *pieces, int n, const char *nonce,
                        struct ft_blob_done *ret, struct ft_err *err);
int ups_native_abort(struct ups *s, const struct ups_place *p, const char *key, const char *id,
                     struct ft_err *err);
/* Up to max of them behind `after`; *ret_pieces is malloc'ed. */
int ups_native_parts(struct ups *s, const struct ups_place *p, const char *key, const char *id,
                     int after, int max, struct ups_piece **ret_pieces, int *ret_n, bool *ret_more,
                     struct ft_err *err);

/* ---- write.c, copy.c ---- */
int ups_put(struct ft_blob *b, const struct ft_blob_put *put, struct ft_blob_writer **ret,
            struct ft_err *err);
int ups_put_write(struct ft_blob_writer *w, const void *data, size_t n, struct ft_err *err);
int ups_put_commit(struct ft_blob_writer *w, const struct ft_blob_field *fields, int n_fields,
                   struct ft_blob_done *ret, struct ft_err *err);
void ups_put_abort(struct ft_blob_writer *w);
int ups_copy(struct ft_blob *b, const struct ft_blob_copy *copy, struct ft_blob_done *ret,
             struct ft_err *err);

/* ---- read.c ---- */
int ups_open(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             struct ft_blob_reader **ret, struct ft_err *err);
const struct ft_blob_info *ups_reader_info(struct ft_blob_reader *r);
int ups_read(struct ft_blob_reader *r, int64_t offset, void *data, size_t n, struct ft_err *err);
void ups_close_reader(struct ft_blob_reader *r);
int ups_link(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             const char *path, struct ft_err *err);
int ups_part_of(struct ft_blob_reader *r, int number, struct ft_blob_part *ret, int64_t *ret_offset,
                struct ft_err *err);

/* ---- list.c ---- */
int ups_list(struct ft_blob *b, const struct ft_blob_list *l, bool versions, ft_blob_list_fn *fn,
             void *ctx, bool *ret_more, struct ft_err *err);
int ups_uploads(struct ft_blob *b, const struct ft_blob_list *l, ft_blob_uploads_fn *fn, void *ctx,
                bool *ret_more, struct ft_err *err);

/* ---- upload.c ---- */
int ups_upload_begin(struct ft_blob *b, const struct ft_blob_put *put,
                     char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err);
int ups_upload_get(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                   struct ft_blob_object *ret, struct ft_err *err);
int ups_upload_complete(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                        const struct ft_blob_part *parts, int n_parts,
                        const struct ft_blob_condition *condition,
                        const struct ft_blob_field *fields, int n_fields, struct ft_blob_done *ret,
                        struct ft_err *err);
int ups_upload_abort(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                     struct ft_err *err);
int ups_upload_parts(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                     int after, int max, ft_blob_parts_fn *fn, void *ctx, bool *ret_more,
                     struct ft_err *err);
/* The fields of a part that was put (o's), kept until the upload ends. */
int ups_part_keep(struct ups *s, const char *bucket, const char *key, const char *id, int number,
                  const char *etag, const struct ft_blob_info *info, struct ft_err *err);
/* The name of an upload in the documents' keys. */
void ups_upload_name(const char *bucket, const char *key, const char *id, char ret[S3_TOKEN_SIZE]);
/* Removes what is kept of an upload that ended; also one that the upstream began alone. */
int ups_upload_forget(struct ups *s, const char *bucket, const char *key, const char *id,
                      struct ft_err *err);
/* The parts of a finished upload, as ups_upload_complete kept them: part `number`, and where it
 * begins; memory holds what *ret points to. */
int ups_part_find(struct ups *s, const char *nonce, int number, struct ft_blob_part *ret,
                  int64_t *ret_offset, void **memory, struct ft_err *err);

/* ---- whole.c ---- */
int ups_usage(struct ft_blob *b, const char *owner, struct ft_blob_usage *ret, struct ft_err *err);
int ups_bucket_usage(struct ft_blob *b, const char *name, struct ft_blob_usage *ret,
                     struct ft_err *err);
int ups_scrub(struct ft_blob *b, const struct ft_blob_scrub *scrub, struct ft_blob_scrubbed *ret,
              struct ft_err *err);

#endif
