/* Access control lists: grants of one permission each to a project or a group, as S3 has them.
 *
 * A list is kept as text beside its bucket or object: "owner ID", then one grant per line, "READ
 * all", "FULL_CONTROL id PROJECT". An empty text is the list that a resource without one has:
 * FULL_CONTROL for its owner. */
#ifndef FT_API_S3_ACL_H
#define FT_API_S3_ACL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FT_S3_GRANTS_MAX    100 /* of one list */
#define FT_S3_WHO_MAX       64  /* bytes of a project's id */
#define FT_S3_NAME_MAX      128 /* bytes of its name */
#define FT_S3_ACL_BYTES_MAX (16u << 10)

enum ft_s3_perm {
    FT_S3_READ = 1,
    FT_S3_WRITE = 2,
    FT_S3_READ_ACP = 4,
    FT_S3_WRITE_ACP = 8,
    FT_S3_FULL_CONTROL = 15
};
const char *ft_s3_perm_name(enum ft_s3_perm p); /* "READ_ACP" */
bool ft_s3_perm_find(const char *name, enum ft_s3_perm *ret);

enum ft_s3_group { FT_S3_ONE, FT_S3_ALL_USERS, FT_S3_AUTHENTICATED, FT_S3_LOG_DELIVERY };
const char *ft_s3_group_uri(enum ft_s3_group g); /* "http://acs.amazonaws.com/groups/..." */
bool ft_s3_group_find(const char *uri, enum ft_s3_group *ret);

struct ft_s3_grant {
    enum ft_s3_perm perm;
    enum ft_s3_group group;
    char who[FT_S3_WHO_MAX + 1]; /* a project; "" for groups */
};

struct ft_s3_acl {
    char owner[FT_S3_WHO_MAX + 1];
    struct ft_s3_grant grants[FT_S3_GRANTS_MAX]; /* groups before projects, else as given */
    int n;
};

/* FT_ELIMIT: too many. */
int ft_s3_acl_grant(struct ft_s3_acl *acl, enum ft_s3_perm perm, enum ft_s3_group group,
                    const char *who, struct ft_err *err);
/* The list that a canned name stands for; bucket_owner: for "bucket-owner-...". FT_EINVAL: there is
 * no such. */
int ft_s3_acl_canned(struct ft_s3_acl *ret, const char *name, const char *owner,
                     const char *bucket_owner, struct ft_err *err);
/* Text as it is kept; owner: of a list without text. FT_ECORRUPT. */
int ft_s3_acl_read(struct ft_s3_acl *ret, const char *text, const char *owner, struct ft_err *err);
int ft_s3_acl_write(const struct ft_s3_acl *acl, struct ft_buf *ret);

/* who NULL: nobody. no_groups: as if there were no grants to groups of strangers. */
bool ft_s3_acl_allows(const struct ft_s3_acl *acl, const char *who, enum ft_s3_perm perm,
                      bool no_groups);
/* Does it grant anything to everybody, or to everybody with a key? */
bool ft_s3_acl_is_public(const struct ft_s3_acl *acl);

/* One grantee of an x-amz-grant header: `id="..."`, `uri="..."`, `emailAddress="..."`, taken apart.
 * *text moves behind it and its comma. 1: one, 0: there are no more, FT_EINVAL. */
int ft_s3_grantee_next(const char **text, char kind[16], char value[256], struct ft_err *err);

#endif
