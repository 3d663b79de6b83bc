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
int ft_s3_list_versions(struct ft_s3_call *c); /* versions.c */

/* documents of buckets (bucket_docs.c) */
int ft_s3_policy_get(struct ft_s3_call *c);
int ft_s3_policy_put(struct ft_s3_call *c);
int ft_s3_policy_delete(struct ft_s3_call *c);
int ft_s3_policy_status(struct ft_s3_call *c);
int ft_s3_block_get(struct ft_s3_call *c);
int ft_s3_block_put(struct ft_s3_call *c);
int ft_s3_block_delete(struct ft_s3_call *c);
int ft_s3_ownership_get(struct ft_s3_call *c);
int ft_s3_ownership_put(struct ft_s3_call *c);
int ft_s3_ownership_delete(struct ft_s3_call *c);
int ft_s3_ownership_keep(struct ft_s3_call *c, enum ft_s3_ownership ownership);
int ft_s3_cors_get(struct ft_s3_call *c);
int ft_s3_cors_put(struct ft_s3_call *c);
int ft_s3_cors_delete(struct ft_s3_call *c);
int ft_s3_lifecycle_get(struct ft_s3_call *c);
int ft_s3_lifecycle_put(struct ft_s3_call *c);
int ft_s3_lifecycle_delete(struct ft_s3_call *c);
int ft_s3_lock_get(struct ft_s3_call *c);
int ft_s3_lock_put(struct ft_s3_call *c);
int ft_s3_lock_keep(struct ft_s3_call *c, const struct ft_s3_lock *lock);
int ft_s3_bucket_tags_get(struct ft_s3_call *c);
int ft_s3_bucket_tags_put(struct ft_s3_call *c);
int ft_s3_bucket_tags_delete(struct ft_s3_call *c);
int ft_s3_versioning_get(struct ft_s3_call *c);
int ft_s3_versioning_put(struct ft_s3_call *c);
int ft_s3_payment_get(struct ft_s3_call *c);
int ft_s3_acceleration_get(struct ft_s3_call *c);
int ft_s3_logging_get(struct ft_s3_call *c);
int ft_s3_notification_get(struct ft_s3_call *c);
int ft_s3_website_get(struct ft_s3_call *c);
int ft_s3_encryption_get(struct ft_s3_call *c);
int ft_s3_replication_get(struct ft_s3_call *c);

/* access control lists (acls.c) */
int ft_s3_bucket_acl_get(struct ft_s3_call *c);
int ft_s3_bucket_acl_put(struct ft_s3_call *c);
int ft_s3_bucket_acl_keep(struct ft_s3_call *c, const struct ft_s3_acl *acl);
int ft_s3_object_acl_get(struct ft_s3_call *c);
int ft_s3_object_acl_put(struct ft_s3_call *c);

/* what changes of objects that are there (object_marks.c) */
int ft_s3_object_tags_get(struct ft_s3_call *c);
int ft_s3_object_tags_put(struct ft_s3_call *c);
int ft_s3_object_tags_delete(struct ft_s3_call *c);
int ft_s3_retention_get(struct ft_s3_call *c);
int ft_s3_retention_put(struct ft_s3_call *c);
int ft_s3_legal_hold_get(struct ft_s3_call *c);
int ft_s3_legal_hold_put(struct ft_s3_call *c);

#endif
