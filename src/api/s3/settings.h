/* What is said of a bucket beside its objects, read once and kept in memory: its access control
 * list, policy, public access block, ownership, cross-origin rules, lifecycle, object lock.
 *
 * The documents are the bucket's (ft_blob_bucket_set) and are changed through here alone, so what
 * is in memory is what is kept. Any thread. */
#ifndef FT_API_S3_SETTINGS_H
#define FT_API_S3_SETTINGS_H

#include <stdatomic.h>

#include "api/s3/documents.h"
#include "api/s3/policy.h"

#define FT_S3_SETTINGS_CACHED 1024       /* buckets */
#define FT_S3_SETTINGS_BYTES  (4u << 20) /* of one bucket's, in memory */

/* Names of the documents. */
#define FT_S3_DOC_ACL       "acl" /* the list's own text; the others are as clients get them */
#define FT_S3_DOC_POLICY    "policy"
#define FT_S3_DOC_BLOCK     "public-access"
#define FT_S3_DOC_OWNERSHIP "ownership"
#define FT_S3_DOC_CORS      "cors"
#define FT_S3_DOC_LIFECYCLE "lifecycle"
#define FT_S3_DOC_LOCK      "lock"
#define FT_S3_DOC_TAGS      "tags" /* not kept in memory */

/* Read-only, counted. */
struct ft_s3_settings {
    struct ft_s3_acl acl;
    struct ft_s3_policy *policy; /* NULL: none */
    struct ft_s3_block block;
    bool has_ownership;
    enum ft_s3_ownership ownership;
    struct ft_s3_cors cors;           /* n 0: none */
    struct ft_s3_lifecycle lifecycle; /* n 0: none */
    struct ft_s3_lock lock;
    /* the cache's */
    char bucket[FT_BLOB_BUCKET_MAX + 1];
    int64_t created_ns;
    struct ft_arena arena;
    _Atomic int refs;
};

struct ft_s3_cache;
int ft_s3_cache_open(struct ft_blob *blob, struct ft_s3_cache **ret, struct ft_err *err);
void ft_s3_cache_close(struct ft_s3_cache *cache); /* NULL is accepted */

int ft_s3_settings_get(struct ft_s3_cache *cache, const struct ft_blob_bucket *bucket,
                       struct ft_s3_settings **ret, struct ft_err *err);
void ft_s3_settings_unref(struct ft_s3_settings *s); /* NULL is accepted */
/* Keeps a document (NULL: takes it away); in force when it returns. */
int ft_s3_settings_set(struct ft_s3_cache *cache, const char *bucket, const char *what,
                       const char *text, struct ft_err *err);

#endif
