/* The handlers behind the tables. */
#ifndef FT_API_S3_OPS_H
#define FT_API_S3_OPS_H

#include "api/s3/impl.h"

/* buckets (ops_bucket.c) */
int ft_s3_buckets_list(struct ft_s3_call *c); /* bucket.c */
int ft_s3_bucket_create(struct ft_s3_call *c);
int ft_s3_bucket_delete(struct ft_s3_call *c);
int ft_s3_bucket_head(struct ft_s3_call *c);
int ft_s3_bucket_location(struct ft_s3_call *c);

#endif
