/* What is done with objects. The first row that fits a request is taken; rows with a parameter
 * therefore stand before those without. */
#include "api/s3/ops.h"

const struct ft_s3_op ft_s3_object_ops[] = {
    {FT_S3_OBJECT, "GET", "acl", NULL, "GetObjectAcl", "s3:GetObjectAcl", false,
     ft_s3_object_acl_get},
    {FT_S3_OBJECT, "PUT", "acl", NULL, "PutObjectAcl", "s3:PutObjectAcl", false,
     ft_s3_object_acl_put},
    {FT_S3_OBJECT, "GET", "tagging", NULL, "GetObjectTagging", "s3:GetObjectTagging", false,
     ft_s3_object_tags_get},
    {FT_S3_OBJECT, "PUT", "tagging", NULL, "PutObjectTagging", NULL, false, ft_s3_object_tags_put},
    {FT_S3_OBJECT, "DELETE", "tagging", NULL, "DeleteObjectTagging", "s3:DeleteObjectTagging",
     false, ft_s3_object_tags_delete},
    {FT_S3_OBJECT, "GET", "retention", NULL, "GetObjectRetention", "s3:GetObjectRetention", false,
     ft_s3_retention_get},
    {FT_S3_OBJECT, "PUT", "retention", NULL, "PutObjectRetention", "s3:PutObjectRetention", false,
     ft_s3_retention_put},
    {FT_S3_OBJECT, "GET", "legal-hold", NULL, "GetObjectLegalHold", "s3:GetObjectLegalHold", false,
     ft_s3_legal_hold_get},
    {FT_S3_OBJECT, "PUT", "legal-hold", NULL, "PutObjectLegalHold", "s3:PutObjectLegalHold", false,
     ft_s3_legal_hold_put},
    {.method = NULL},
};
