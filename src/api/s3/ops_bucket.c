/* What is done with buckets and with the whole. The first row that fits is taken, as for objects.
 */
#include "api/s3/ops.h"

const struct ft_s3_op ft_s3_bucket_ops[] = {
    {FT_S3_SERVICE, "GET", NULL, NULL, "ListBuckets", NULL, true, ft_s3_buckets_list},
    {FT_S3_BUCKET, "GET", "location", NULL, "GetBucketLocation", "s3:GetBucketLocation", false,
     ft_s3_bucket_location},
    {FT_S3_BUCKET, "PUT", NULL, NULL, "CreateBucket", NULL, true, ft_s3_bucket_create},
    {FT_S3_BUCKET, "DELETE", NULL, NULL, "DeleteBucket", "s3:DeleteBucket", false,
     ft_s3_bucket_delete},
    {FT_S3_BUCKET, "HEAD", NULL, NULL, "HeadBucket", "s3:ListBucket", false, ft_s3_bucket_head},
    {.method = NULL},
};
