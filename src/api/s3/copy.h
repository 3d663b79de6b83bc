/* The source of a copy, and the upload that a part is for. */
#ifndef FT_API_S3_COPY_H
#define FT_API_S3_COPY_H

#include "api/s3/body.h"

struct ft_s3_source {
    const char *bucket, *key, *version; /* version NULL: the latest */
    struct ft_blob_bucket at;
    struct ft_blob_object object;
};
/* x-amz-copy-source, looked up, allowed to be read, its conditions met. s is zeroed before, and
 * closed whatever comes. */
int ft_s3_source_open(struct ft_s3_call *c, struct ft_s3_source *s);
void ft_s3_source_close(struct ft_s3_source *s);
/* The checksum of a range of it, in the arena: reads it all. */
int ft_s3_source_sum(struct ft_s3_call *c, const struct ft_s3_source *s, int64_t offset,
                     int64_t size, enum ft_s3_sum sum, const char **ret);

/* What uploadId and partNumber name (upload.c). */
struct ft_s3_upload {
    const char *id;
    int part;
    enum ft_s3_sum sum; /* of all parts; NONE: each as its client likes */
    bool whole;         /* FULL_OBJECT: the object's is of all bytes, not of the parts' sums */
};
int ft_s3_upload_read(struct ft_s3_call *c, struct ft_s3_upload *ret); /* with the part */

#endif
