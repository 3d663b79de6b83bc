/* What the seam of storage speaks of: buckets, objects and their versions, conditions, requests. */
#ifndef FT_BLOB_OBJECT_H
#define FT_BLOB_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* bytes of a bucket's name; those beginning with '.' are the cloud's own */
#define FT_BLOB_BUCKET_MAX   63
#define FT_BLOB_OWNER_MAX    64   /* bytes: a project */
#define FT_BLOB_KEY_MAX      1024 /* bytes of a key: UTF-8, 1 at least, no NUL */
#define FT_BLOB_ETAG_MAX     48   /* bytes of an ETag: MD5 in hex, "-N" behind it for multipart */
#define FT_BLOB_VERSION_MAX  64   /* bytes; "null" where the bucket had no versions */
#define FT_BLOB_UPLOAD_MAX   128  /* bytes of an upload's id */
#define FT_BLOB_FIELDS_MAX   128  /* of an object */
#define FT_BLOB_FIELDS_BYTES (16u << 10)  /* names and values together */
#define FT_BLOB_CONFIG_MAX   (256u << 10) /* bytes of one document of a bucket */
#define FT_BLOB_ACL_MAX      (16u << 10)  /* bytes of one */
#define FT_BLOB_PART_MAX     10000        /* the highest number of a part */
#define FT_BLOB_SIZE_MAX     ((int64_t)5 << 40)
#define FT_BLOB_LIST_MAX     1000 /* entries of one listing */

/* What FT_ENOTFOUND, FT_EEXIST, FT_EBUSY, FT_EINVAL of this seam are about. */
enum ft_blob_why {
    FT_BLOB_WHY_NONE,
    FT_BLOB_NO_BUCKET,  /* FT_ENOTFOUND */
    FT_BLOB_NO_KEY,     /* FT_ENOTFOUND */
    FT_BLOB_NO_VERSION, /* FT_ENOTFOUND */
    FT_BLOB_NO_UPLOAD,  /* FT_ENOTFOUND: ended, aborted, another's */
    FT_BLOB_NO_PART,    /* FT_EINVAL: complete names one that is not there, or with another ETag */
    FT_BLOB_PART_ORDER, /* FT_EINVAL: numbers do not rise */
    FT_BLOB_BUCKET_IS_THERE, /* FT_EEXIST */
    FT_BLOB_BUCKET_FULL,     /* FT_EBUSY: not empty */
    FT_BLOB_CONDITION,       /* FT_EBUSY: if_match, if_none_match do not hold */
    FT_BLOB_LOCKED,          /* FT_EBUSY: retention or a hold forbids it */
    FT_BLOB_IS_MARKER        /* FT_EINVAL: the version is a delete marker */
};
enum ft_blob_why ft_blob_why(const struct ft_err *err); /* NONE for errors not of this seam */

enum ft_blob_versioning { FT_BLOB_UNVERSIONED, FT_BLOB_VERSIONED, FT_BLOB_SUSPENDED };

struct ft_blob_bucket {
    char name[FT_BLOB_BUCKET_MAX + 1];
    char owner[FT_BLOB_OWNER_MAX + 1];
    int64_t created_ns; /* wall clock */
    enum ft_blob_versioning versioning;
};

/* What an object carries besides its bytes, as its writer gave it, in order. Names are lower case.
 * "content-type", "cache-control", "content-disposition", "content-encoding", "content-language",
 * "expires" and "x-amz-meta-..." mean what they mean in HTTP; others are the caller's own, and
 * kept. */
struct ft_blob_field {
    const char *name, *value;
};

enum ft_blob_lock { FT_BLOB_LOCK_NONE, FT_BLOB_LOCK_GOVERNANCE, FT_BLOB_LOCK_COMPLIANCE };
struct ft_blob_hold {
    enum ft_blob_lock mode;
    int64_t until_s; /* unix time */
    bool legal;      /* legal hold */
};

/* One version of an object. Strings live as long as whatever returned it says. */
struct ft_blob_info {
    const char *key;
    char version[FT_BLOB_VERSION_MAX + 1];
    bool is_latest, is_marker; /* marker: a deletion; it has neither size nor etag */
    int64_t size;
    int64_t modified_ns;             /* wall clock */
    char etag[FT_BLOB_ETAG_MAX + 1]; /* without quotes */
    const struct ft_blob_field *fields;
    int n_fields;
    const struct ft_blob_field *tags; /* the object's tags; may be changed later */
    int n_tags;
    struct ft_blob_hold hold;
    const char *acl; /* the caller's own text, may be changed later; "" */
    int n_parts;     /* of a multipart upload; 0: none */
};
/* The value of a field, or NULL. */
const char *ft_blob_field(const struct ft_blob_info *info, const char *name);

/* An object's state on its own: for head and copies. Zeroed: empty. */
struct ft_blob_object {
    struct ft_blob_info info;
    void *memory; /* holds what info points to */
};
void ft_blob_object_fini(struct ft_blob_object *o); /* a zeroed one is accepted */

/* Held against what is there at the moment of the change, in one step with it. Zeroed: none. */
struct ft_blob_condition {
    const char *if_match; /* an ETag without quotes, or "*": something is there (else NO_KEY) */
    const char *if_none_match; /* the same turned round; "*": nothing is there */
    int64_t if_size;           /* with if_size_set: of what is there */
    int64_t if_modified_s;     /* with if_modified_set: modified in this second */
    bool if_size_set, if_modified_set;
    bool if_marker; /* what is there is a marker; nothing else is looked at then */
};
/* Is there anything to be held against? */
static inline bool ft_blob_condition_any(const struct ft_blob_condition *c)
{
    return c->if_match != NULL || c->if_none_match != NULL || c->if_size_set ||
           c->if_modified_set || c->if_marker;
}

struct ft_blob_put {
    const char *bucket, *key;
    const struct ft_blob_field *fields; /* more may come with the commit */
    int n_fields;
    const struct ft_blob_field *tags;
    int n_tags;
    struct ft_blob_hold hold;
    const char *acl;                    /* NULL: "" */
    struct ft_blob_condition condition; /* held at the commit */
    int64_t size; /* -1: not known yet; else exactly this much must be written */
    /* a part of an upload instead of an object (fields are the part's, tags and hold not used) */
    const char *upload; /* NULL: an object */
    int part;           /* 1..FT_BLOB_PART_MAX */
};

/* What a commit made. */
struct ft_blob_done {
    char version[FT_BLOB_VERSION_MAX + 1];
    char etag[FT_BLOB_ETAG_MAX + 1];
    int64_t size, modified_ns;
};

struct ft_blob_part {
    int number;
    int64_t size, modified_ns;
    char etag[FT_BLOB_ETAG_MAX + 1];
    const struct ft_blob_field *fields;
    int n_fields;
};
struct ft_blob_upload {
    const char *key;
    char id[FT_BLOB_UPLOAD_MAX + 1];
    int64_t begun_ns;
    const struct ft_blob_field *fields; /* as it was begun with */
    int n_fields;
};

/* One page of a listing, in the order of keys by bytes (versions of a key: newest first). */
struct ft_blob_list {
    const char *bucket;
    const char *prefix;    /* "" or NULL: all */
    const char *delimiter; /* "" or NULL: none; keys that have it behind the prefix are rolled up */
    const char *after;     /* begin behind this key (or this rolled-up prefix); "" or NULL */
    const char
        *after_version; /* versions alone: behind this one of `after`; NULL: behind all of them */
    int max;            /* 0..FT_BLOB_LIST_MAX, objects and prefixes together */
};
/* info NULL: a rolled-up prefix. Valid during the call. Non-zero stops, and is returned. */
typedef int ft_blob_list_fn(void *ctx, const struct ft_blob_info *info, const char *prefix);
typedef int ft_blob_uploads_fn(void *ctx, const struct ft_blob_upload *u, const char *prefix);
typedef int ft_blob_parts_fn(void *ctx, const struct ft_blob_part *p);
typedef int ft_blob_buckets_fn(void *ctx, const struct ft_blob_bucket *b);

struct ft_blob_delete {
    const char *bucket, *key;
    const char
        *version; /* NULL: the key: removed, or a marker put on it where there are versions */
    struct ft_blob_condition condition;
    bool bypass; /* governance retention does not hold */
};
/* What may be changed of a version that is there; NULL: as it is. */
struct ft_blob_marks {
    const struct ft_blob_field *tags; /* all of them, in the place of those before */
    int n_tags;
    const struct ft_blob_hold *hold;
    const char *acl;
    bool bypass;
};
struct ft_blob_deleted {
    char version[FT_BLOB_VERSION_MAX + 1]; /* removed, or of the marker that was made; "" */
    bool is_marker;                        /* a marker was made, or the removed version was one */
};

struct ft_blob_copy {
    const char *from_bucket, *from_key, *from_version; /* version NULL: the latest */
    int64_t offset, size;                              /* size -1: all of it (then offset is 0) */
    const char *from_etag; /* as it was when its conditions were looked at; NULL: whatever */
    /* where to, with the fields and tags that it is to have; .size is not used */
    struct ft_blob_put to;
};

#endif
