/* S3's protocol over the seam of storage: from a request on a lane to its answer.
 *
 * A bucket belongs to a project (its owner in the blob store). Who a caller is and how much a
 * project may store is asked of whoever opens this; buckets whose name begins with '.' are never
 * seen here. */
#ifndef FT_API_S3_S3_H
#define FT_API_S3_S3_H

#include <stdbool.h>
#include <stdint.h>

#include "blob/blob.h"
#include "net/lane.h"

#define FT_S3_SECRET_MAX  128
#define FT_S3_DISPLAY_MAX 128
#define FT_S3_DOMAINS_MAX 8
#define FT_S3_BUCKETS_MAX 1000 /* of a project */

/* Whom an access key id stands for. */
struct ft_s3_caller {
    char id[FT_BLOB_OWNER_MAX + 1 + 64]; /* the key's id, as records and policies name it */
    char secret[FT_S3_SECRET_MAX + 1];
    char project[FT_BLOB_OWNER_MAX + 1];
    char display[FT_S3_DISPLAY_MAX + 1]; /* the project's name */
    bool read, write;                    /* what the key's role allows in its own project */
};

/* What came of one request. Strings live during the call. */
struct ft_s3_record {
    const char *operation;             /* "PutObject"; "" if it was none */
    const struct ft_s3_caller *caller; /* NULL: anonymous, or not proved */
    const char *owner;                 /* the project that the bucket belongs to; "" if none */
    const char *bucket, *key;          /* "" if none */
    int status;
    const char *code;            /* of the error; "" */
    int64_t bytes_in, bytes_out; /* of bodies */
};

struct ft_s3_config {
    struct ft_blob *blob;
    const char *region;         /* said by GetBucketLocation; NULL: "us-east-1" */
    bool region_checked;        /* signatures for another region are refused */
    const char *const *domains; /* "s3.example.com": BUCKET.s3.example.com is host style */
    int n_domains;
    int day_s; /* the seconds of a day in lifecycle rules; 0: 86400 (less is for tests) */
    void *ctx; /* of the calls below: any thread, several at once; they may block */
    /* FT_ENOTFOUND: no such key, or it is dead. */
    int (*credentials)(void *ctx, const char *access_key, struct ft_s3_caller *ret,
                       struct ft_err *err);
    /* Who sent it, where that was proved in another way than by a signature: true with *ret, whose
     * secret is not looked at. NULL: never. */
    bool (*known)(void *ctx, const struct ft_http_exchange *x, struct ft_s3_caller *ret);
    /* FT_ENOTFOUND: no project of that id (grants name them). NULL: ids are their own names. */
    int (*display)(void *ctx, const char *project, char ret[FT_S3_DISPLAY_MAX + 1],
                   struct ft_err *err);
    /* May the project store `bytes` more? FT_ELIMIT. NULL: always. */
    int (*quota)(void *ctx, const char *project, int64_t bytes, struct ft_err *err);
    /* How much that is in all; -1: there is no bound. NULL: never one. */
    int64_t (*quota_max)(void *ctx, const char *project);
    /* Before a request is done, and its body read: rates and the like. Again when a form has said
     * whose it is. Nobody's: an empty caller. FT_EBUSY: SlowDown. NULL. */
    int (*admit)(void *ctx, const struct ft_s3_caller *caller, bool writes, struct ft_err *err);
    void (*done)(void *ctx, struct ft_http_exchange *x, const struct ft_s3_record *r); /* or NULL */
};

struct ft_s3;
int ft_s3_open(const struct ft_s3_config *config, struct ft_s3 **ret, struct ft_err *err);
void ft_s3_close(struct ft_s3 *s3); /* none may run; NULL is accepted */

/* Is it S3 by its looks alone: a signature of AWS, a bucket in the host's name, a form for a
 * bucket? Does not block. */
bool ft_s3_wants(const struct ft_s3 *s3, const struct ft_http_exchange *x);
/* Does an unsigned request name a bucket that is there (its path's first part)? Blocks. */
bool ft_s3_has_bucket(const struct ft_s3 *s3, const struct ft_http_exchange *x);
/* Carries out the lifecycle rules of all buckets once: expired versions, lone markers, unfinished
 * uploads. Blocks; stop (may be NULL) is asked between pages. */
struct ft_s3_swept {
    int64_t versions, markers, uploads; /* removed; a marker that was put counts as a version */
};
int ft_s3_sweep(struct ft_s3 *s3, bool (*stop)(void *ctx), void *ctx, struct ft_s3_swept *ret,
                struct ft_err *err);
/* A ft_lane_fn with an s3 as its ctx: answers the request, whatever it is. Bodies are bounded here;
 * the lane's body_max is 0. */
void ft_s3_serve(void *s3, struct ft_lane *lane);

#endif
