/* Tags of objects and buckets, as clients write them. */
#ifndef FT_API_S3_TAGS_H
#define FT_API_S3_TAGS_H

#include "base/arena.h"
#include "base/err.h"
#include "blob/blob.h"
#include "net/xml.h"

#define FT_S3_TAGS_MAX        10 /* of an object */
#define FT_S3_BUCKET_TAGS_MAX 50
#define FT_S3_TAG_KEY_MAX     128 /* characters */
#define FT_S3_TAG_VALUE_MAX   256

struct ft_s3_tags {
    struct ft_blob_field v[FT_S3_BUCKET_TAGS_MAX]; /* by key */
    int n;
};

/* <Tagging><TagSet><Tag><Key/><Value/></Tag>...; FT_ECORRUPT: not of this form (MalformedXML),
 * FT_EINVAL: too many, too long, twice (InvalidTag). Strings are the tree's. */
int ft_s3_tags_read(const struct ft_xml_node *root, int max, struct ft_s3_tags *ret,
                    struct ft_err *err);
/* "a=1&b", as x-amz-tagging has it; strings are the arena's. FT_EINVAL. */
int ft_s3_tags_of_query(const char *text, struct ft_arena *arena, struct ft_s3_tags *ret,
                        struct ft_err *err);
/* A whole document. */
void ft_s3_tags_write(const struct ft_blob_field *tags, int n, struct ft_xml *x);

#endif
