/* Objects of a cloud for its commands: addresses, listings, and transfers of many files at once. */
#ifndef FT_CLI_CLOUD_OBJECTS_H
#define FT_CLI_CLOUD_OBJECTS_H

#include <stdatomic.h>

#include "blob/s3/call.h"
#include "cli/cloud/client.h"

#define FT_OBJECT_KEY_MAX 1024
#define FT_PART_BYTES     ((int64_t)16 << 20) /* of a large object, sent and fetched by itself */
#define FT_PARTS_MAX      10000
#define FT_TRANSFERS_MAX  32 /* threads */

/* ---- where (objects.c) ---- */

struct ft_object_at {
    char bucket[64];                 /* "": none named */
    char key[FT_OBJECT_KEY_MAX + 1]; /* "": the bucket */
};
/* "s3://BUCKET/KEY", "s3://BUCKET", "s3://". 1: it is one, 0: it is a path of this machine,
 * FT_EINVAL. */
int ft_object_at(const char *text, struct ft_object_at *ret, struct ft_err *err);

/* The cloud's S3 in the name of the command's key: asks for its secret. */
int ft_objects_open(struct ft_cloud *c, struct ft_ups_server *ret, struct ft_err *err);
void ft_objects_close(struct ft_ups_server *s); /* a zeroed one is accepted */

/* What an answer that is no 2xx means to people. */
int ft_object_refused(const struct ft_ups_answer *a, struct ft_err *err);
/* The whole exchange; other answers than 2xx are such an error. */
int ft_object_do(struct ft_ups_server *s, struct ft_ups_request *q, struct ft_ups_answer *ret,
                 struct ft_err *err);

/* FT_ENOTFOUND if there is surely no such bucket; where the key may not see it, that is not known.
 */
int ft_object_bucket(struct ft_ups_server *s, const char *bucket, struct ft_err *err);
/* After a HEAD of an object was answered 404, which says no more: is there its bucket? */
int ft_object_missing(struct ft_ups_server *s, const char *bucket, struct ft_err *err);

struct ft_object_entry {
    const char *key;             /* or a rolled-up prefix */
    int64_t size;                /* -1: a prefix */
    const char *modified, *etag; /* etag: with its quotes */
    const char *version;         /* ft_object_versions: which; deletions are some, too */
};
/* Every object below a prefix, or, with delimiter, one level of it. Non-zero from fn ends it. */
typedef int ft_object_fn(void *ctx, const struct ft_object_entry *e, struct ft_err *err);
int ft_object_list(struct ft_ups_server *s, const struct ft_object_at *at, bool deep,
                   ft_object_fn *fn, void *ctx, struct ft_err *err);
/* Every version and every deletion's marker below a prefix. */
int ft_object_versions(struct ft_ups_server *s, const struct ft_object_at *at, ft_object_fn *fn,
                       void *ctx, struct ft_err *err);

/* ---- transfers (transfer.c) ---- */

enum ft_transfer_kind { FT_UPLOAD, FT_DOWNLOAD, FT_COPY };

struct ft_transfers;
struct ft_transfers_config {
    struct ft_ups_server *server;
    int n_threads;
    bool fresh; /* nothing is gone on with that an earlier one left */
    bool quiet; /* no bar, no names */
    const atomic_int *stop;
};
int ft_transfers_open(const struct ft_transfers_config *c, struct ft_transfers **ret,
                      struct ft_err *err);
/* path: of this machine, for uploads from, for downloads to; from: of copies and downloads; to: of
 * copies and uploads. size: as far as it is known, -1. The path "-" is standard input or output. */
int ft_transfers_add(struct ft_transfers *t, enum ft_transfer_kind kind, const char *path,
                     const struct ft_object_at *from, const struct ft_object_at *to, int64_t size,
                     struct ft_err *err);
struct ft_transfers_sum {
    int failed, again; /* again: of those that failed, the ones that may go on later */
    int64_t bytes;
};
/* Runs them all; what fails is said on standard error, and the others go on. */
int ft_transfers_run(struct ft_transfers *t, struct ft_transfers_sum *ret, struct ft_err *err);
void ft_transfers_close(struct ft_transfers *t); /* NULL is accepted */

#endif
