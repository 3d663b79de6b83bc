/* What requests about objects share: headers that are kept with an object, conditions, and the
 * headers that tell of one. */
#ifndef FT_API_S3_OBJECT_H
#define FT_API_S3_OBJECT_H

#include "api/s3/body.h"

#define FT_S3_FIELD_SUM_NAME "ft-checksum"         /* of an upload: which one its parts have */
#define FT_S3_FIELD_SUM_TYPE "x-amz-checksum-type" /* "FULL_OBJECT", "COMPOSITE" */
/* Of an upload, where they are not who owns the bucket. */
#define FT_S3_FIELD_OWNER     "ft-owner"     /* of what it will be */
#define FT_S3_FIELD_INITIATOR "ft-initiator" /* who began it */

/* The headers that an object keeps: content-type, cache-control, ..., x-amz-meta-, storage class.
 * In the arena, with room for FT_S3_MORE_FIELDS more. MetadataTooLarge, InvalidStorageClass, ... */
#define FT_S3_MORE_FIELDS 4
int ft_s3_fields_read(struct ft_s3_call *c, struct ft_blob_field **ret, int *ret_n);
/* The same of a list of one's own. */
int ft_s3_fields_of(struct ft_s3_call *c, const struct ft_http_field *from, int n_from,
                    struct ft_blob_field **ret, int *ret_n);
bool ft_s3_is_metadata(const char *name); /* what a copy takes along, or replaces */

/* If-Match and If-None-Match of something that writes. */
void ft_s3_write_condition(struct ft_s3_call *c, struct ft_blob_condition *ret);
/* Are the conditions of a read met by what is there? prefix: "" or "x-amz-copy-source-".
 * PreconditionFailed or NotModified (always the former for copies). */
int ft_s3_read_conditions(struct ft_s3_call *c, const struct ft_blob_info *info,
                          const char *prefix);
bool ft_s3_etag_matches(const char *header, const char *etag);       /* a list, or "*" */
const char *ft_s3_etag_bare(struct ft_s3_call *c, const char *etag); /* without quotes */

/* versionId; NULL: none. InvalidArgument for an empty one. */
int ft_s3_version_param(struct ft_s3_call *c, const char **ret);
bool ft_s3_versions_kept(const struct ft_blob_bucket *b);

/* x-amz-version-id of what was made: where versions are suspended there is nothing to tell. */
void ft_s3_out_new_version(struct ft_s3_call *c, const char *version);
/* Last-Modified, ETag, x-amz-version-id, and the fields; sums: the checksums too. */
void ft_s3_info_out(struct ft_s3_call *c, const struct ft_blob_info *info, bool sums);
/* The checksum that an object or part keeps; NONE. */
enum ft_s3_sum ft_s3_sum_of(const struct ft_blob_field *fields, int n, const char **ret_text);
/* The bytes still to come, from the body into the writer. The writer is the caller's to commit or
 * abort. */
int ft_s3_body_store(struct ft_s3_call *c, struct ft_blob_writer *w);
/* Behind the body: its checksum's fields (for objects with the type), in the arena; also told in
 * the answer. */
int ft_s3_sum_fields(struct ft_s3_call *c, bool with_type, struct ft_blob_field *ret, int *ret_n);
int ft_s3_quota(struct ft_s3_call *c, int64_t bytes); /* of the bucket's owner: QuotaExceeded */
int ft_s3_quota_more(struct ft_s3_call *c, int64_t bytes); /* came, of a body without a length */
/* What could not be opened or looked at: with what AWS says of delete markers. */
int ft_s3_fail_read(struct ft_s3_call *c, const char *version, const struct ft_err *err);

/* The delete marker that is a key's latest version. */
struct ft_s3_marker {
    const char *key;
    bool there;
    char version[FT_BLOB_VERSION_MAX + 1];
    int64_t modified_ns;
};
void ft_s3_marker_find(struct ft_s3_call *c, const char *key, struct ft_s3_marker *ret);

#endif
