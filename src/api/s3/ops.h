/* The handlers behind the tables. */
#ifndef FT_API_S3_OPS_H
#define FT_API_S3_OPS_H

#include "api/s3/impl.h"

/* objects (ops_object.c) */
int ft_s3_object_put(struct ft_s3_call *c); /* put.c */
int ft_s3_object_get(struct ft_s3_call *c); /* get.c: HEAD too */
int ft_s3_object_torrent(struct ft_s3_call *c);
int ft_s3_object_attributes(struct ft_s3_call *c); /* attributes.c */
int ft_s3_object_delete(struct ft_s3_call *c);     /* delete.c */
int ft_s3_objects_delete(struct ft_s3_call *c);
int ft_s3_object_copy(struct ft_s3_call *c); /* copy.c */
int ft_s3_part_copy(struct ft_s3_call *c);
int ft_s3_upload_begin(struct ft_s3_call *c); /* upload.c */
int ft_s3_upload_complete(struct ft_s3_call *c);
int ft_s3_upload_abort(struct ft_s3_call *c);
int ft_s3_part_put(struct ft_s3_call *c);
int ft_s3_objects_list(struct ft_s3_call *c); /* list.c */
int ft_s3_objects_list_v2(struct ft_s3_call *c);
int ft_s3_uploads_list(struct ft_s3_call *c);
int ft_s3_parts_list(struct ft_s3_call *c);
int ft_s3_form_put(struct ft_s3_call *c); /* form.c */

/* buckets (ops_bucket.c) */
int ft_s3_buckets_list(struct ft_s3_call *c); /* bucket.c */
int ft_s3_usage(struct ft_s3_call *c);
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
