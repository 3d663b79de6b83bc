/* What a put carries beside its bytes and headers: tags, ACL, retention. */
#include <string.h>

#include "api/s3/impl.h"
#include "api/s3/tags.h"

static int read_tags(struct ft_s3_call *c, const char *text, struct ft_blob_put *put)
{
    struct ft_s3_tags *tags = ft_arena_alloc(c->arena, sizeof *tags);
    struct ft_err err = {0};
    if (tags == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    if (ft_s3_tags_of_query(text, c->arena, tags, &err) != 0)
        return ft_s3_fail(c, FT_S3_InvalidTag, "%s", err.msg);
    put->tags = tags->v;
    put->n_tags = tags->n;
    return 0;
}

int ft_s3_put_marks(struct ft_s3_call *c, struct ft_blob_put *put)
{
    static const char *const refused[] = {"x-amz-object-lock-mode",
                                          "x-amz-object-lock-retain-until-date",
                                          "x-amz-object-lock-legal-hold",
                                          "x-amz-grant-read",
                                          "x-amz-grant-write",
                                          "x-amz-grant-full-control"};
    for (size_t i = 0; i < FT_COUNT(refused); i++)
        if (ft_s3_in(c, refused[i]) != NULL)
            return ft_s3_fail(c, FT_S3_NotImplemented, NULL);
    const char *acl = ft_s3_in(c, "x-amz-acl");
    if (acl != NULL && strcmp(acl, "private") != 0)
        return ft_s3_fail(c, FT_S3_NotImplemented, NULL);
    const char *tagging = ft_s3_in(c, "x-amz-tagging");
    return tagging != NULL ? read_tags(c, tagging, put) : 0;
}
