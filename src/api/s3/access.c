/* Who may do what to a bucket and its objects. */
#include <string.h>

#include "api/s3/impl.h"

int ft_s3_bucket(struct ft_s3_call *c, const char *name, struct ft_blob_bucket *ret)
{
    struct ft_err err = {0};
    if (name[0] == '\0' || name[0] == '.' || strlen(name) > FT_BLOB_BUCKET_MAX)
        return ft_s3_fail(c, FT_S3_NoSuchBucket, NULL);
    if (ft_blob_bucket_get(c->blob, name, ret, &err) != 0)
        return err.code == FT_EINVAL ? ft_s3_fail(c, FT_S3_NoSuchBucket, NULL)
                                     : ft_s3_fail_err(c, &err);
    return 0;
}

static bool reads(const char *action)
{
    return strncmp(action, "s3:Get", 6) == 0 || strncmp(action, "s3:List", 7) == 0;
}

int ft_s3_may(struct ft_s3_call *c, const struct ft_s3_ask *ask)
{
    bool own = !c->anonymous && strcmp(ask->bucket->owner, c->caller.project) == 0;
    if (own && (reads(ask->action) ? c->caller.read : c->caller.write))
        return 0;
    return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
}
