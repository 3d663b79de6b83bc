/* The seam of storage over any S3 server: Ceph RGW first, feitian itself, AWS. See blob/blob.h for
 * what every call promises.
 *
 * One process at a time opens an upstream under one prefix: conditions, holds and replacements of
 * one key are put in a row here, and buckets' facts are kept in memory. Holds are feitian's: kept
 * beside the object and held to here, not by the upstream.
 *
 * Differences that an upstream makes: times are to the second (a commit tells the upstream's
 * clock), the ETag of an object above 8 MiB is that of an upload in parts, and a reader of an
 * object above 256 KiB that is replaced or removed meanwhile fails with FT_EUNAVAIL instead of
 * reading on, if the upstream does not hold the bytes any longer; other bytes never come. */
#ifndef FT_BLOB_S3_H
#define FT_BLOB_S3_H

#include "blob/blob.h"

struct ft_blob_s3_config {
    const char *endpoint; /* "http://host:port"; buckets are asked for by path */
    const char *region;   /* NULL: us-east-1 */
    const char *access_key, *secret_key;
    const char
        *prefix; /* of the upstream's buckets; NULL: "feitian-"; at most 16 bytes of a-z0-9- */
    const char *ca_file; /* PEM; NULL: the system's */
    /* Usage is counted by listing. Counted anew after this long; between, what is put is added.
     * 0: counted every time. */
    int usage_seconds;
    /* Documents that belong to nothing are removed by a scrub when they are older; 0: a day. Less
     * than a write takes would remove what it has just put there. */
    int document_seconds;
};
/* FT_EINVAL: names the field; FT_EIO: it does not answer, or refuses. */
int ft_blob_s3_open(const struct ft_blob_s3_config *config, struct ft_blob **ret,
                    struct ft_err *err);

#endif
