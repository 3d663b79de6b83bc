/* Inside of the store over S3; for src/blob/s3 alone. ups_, ft_ups_: upstream. README.md says what
 * lies where upstream. */
#ifndef FT_BLOB_S3_IMPL_H
#define FT_BLOB_S3_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "blob/backend.h"
#include "blob/s3/call.h"
#include "blob/s3/s3.h"

#define S3_PART_BYTES                                                                              \
    ((size_t)8 << 20)         /* of an object's own parts, and held back until they are sent */
#define S3_FIRST_BYTES 262144 /* of an object come with its opening */
#define S3_LOCKS       64     /* keys are put in a row by these */
#define S3_TOKEN_SIZE  33
#define S3_META_MAX    1800 /* bytes of state in headers; AWS takes 2 KiB */
#define S3_DOC_MAX     (8u << 20)
#define S3_NATIVE_MAX  ((int64_t)5 << 30) /* of one copy */

struct ups_document { /* of a bucket, as far as it was asked for */
    struct ups_document *next;
    char *what, *text; /* text NULL: there is none */
};
struct ups_bucket {
    struct ft_blob_bucket facts;
    char upstream[FT_BLOB_BUCKET_MAX + 1];
    bool held; /* some object of it has, or had, a hold */
    struct ups_document *documents;
    struct ft_blob_usage usage; /* as counted, and what was put since */
    int64_t counted_s;          /* 0: never */
};
/* What a call needs of a bucket. */
struct ups_place {
    char name[FT_BLOB_BUCKET_MAX + 1];
    char upstream[FT_BLOB_BUCKET_MAX + 1];
    enum ft_blob_versioning versioning;
    int64_t created_ns; /* tells it from another of its name */
    bool held;
};

struct ups {
    struct ft_blob base;
    struct ft_ups_server server;
    char prefix[20];
    char hidden[FT_BLOB_BUCKET_MAX + 1]; /* the upstream bucket of documents */
    int usage_seconds, document_seconds;
    pthread_mutex_t keys[S3_LOCKS]; /* held over a change of a key, also while the upstream works */
    pthread_mutex_t lock;           /* of all below; never held over a call */
    struct ups_bucket **buckets;    /* by name */
    size_t n_buckets;
};

static inline struct ups *ups_of(struct ft_blob *b)
{
    return (struct ups *)b;
}

/* ---- s3.c: the store, places, documents of the store's own ---- */
int ups_place(struct ups *s, const char *bucket, struct ups_place *ret, struct ft_err *err);
pthread_mutex_t *ups_key_lock(struct ups *s, const char *bucket, const char *key);
void ups_token(char ret[S3_TOKEN_SIZE]); /* never given before */
int64_t ups_now_s(void);

int ups_doc_put(struct ups *s, const char *key, const char *text, struct ft_err *err);
/* 1: there is one (malloc'ed, ended by NUL), 0: none. */
int ups_doc_get(struct ups *s, const char *key, char **ret, struct ft_err *err);
int ups_doc_remove(struct ups *s, const char *key, struct ft_err *err);
/* Every document whose key begins with the prefix; non-zero of fn stops. */
typedef int ups_doc_fn(void *ctx, const char *key, int64_t modified_s);
int ups_docs(struct ups *s, const char *prefix, ups_doc_fn *fn, void *ctx, struct ft_err *err);
int ups_docs_remove(struct ups *s, const char *prefix, struct ft_err *err);

/* ---- bucket.c ---- */
/* Makes a bucket of the upstream; one that is there already is ours, from a try that broke off. */
int ups_bucket_make(struct ups *s, const char *upstream, struct ft_err *err);
int ups_buckets_load(struct ups *s, struct ft_err *err);
void ups_bucket_free(struct ups_bucket *k);
/* Remembers that the bucket has holds, before the first. */
int ups_bucket_held(struct ups *s, struct ups_place *p, struct ft_err *err);
void ups_bucket_added(struct ups *s, const char *name, int64_t bytes);
struct ups_bucket *ups_bucket_find(struct ups *s, const char *name); /* under s->lock */

int ups_bucket_create(struct ft_blob *b, const char *name, const char *owner, struct ft_err *err);
int ups_bucket_delete(struct ft_blob *b, const char *name, struct ft_err *err);
int ups_bucket_get(struct ft_blob *b, const char *name, struct ft_blob_bucket *ret,
                   struct ft_err *err);
int ups_bucket_list(struct ft_blob *b, const char *owner, ft_blob_buckets_fn *fn, void *ctx,
                    struct ft_err *err);
int ups_bucket_set_versioning(struct ft_blob *b, const char *name, enum ft_blob_versioning v,
                              struct ft_err *err);
int ups_bucket_set(struct ft_blob *b, const char *name, const char *what, const char *text,
                   struct ft_err *err);
int ups_bucket_config(struct ft_blob *b, const char *name, const char *what, struct ft_buf *ret,
                      struct ft_err *err);

/* ---- state.c: what an object carries, upstream ---- */
/* As JSON; malloc'ed. bucket: for who finds it as a document and asks whose it is; NULL: left out.
 */
int ups_state_write(const struct ft_blob_info *info, const char *nonce, const char *bucket,
                    char **ret, struct ft_err *err);
/* Adds the headers that carry the state to the request of a write; a document is written first if
 * it does not fit into them. nonce: of this write, so that it can be known again. */
int ups_state_send(struct ups *s, const struct ups_place *p, struct ft_ups_request *q,
                   const struct ft_blob_info *info, const char nonce[S3_TOKEN_SIZE],
                   struct ft_err *err);
/* The same for an upload: its state is in the document of this name, which is written later. */
void ups_state_promise(struct ft_ups_request *q, const struct ft_blob_info *info,
                       const char nonce[S3_TOKEN_SIZE]);
int ups_state_keep(struct ups *s, const struct ups_place *p, const char *nonce,
                   const struct ft_blob_info *info, struct ft_err *err);
/* 1: the document state/TOKEN is a state of some version that is there; 0: of none. */
int ups_state_is_used(struct ups *s, const char *token, struct ft_err *err);
/* From the answer to GET or HEAD: everything of ret->info, but is_latest. */
int ups_state_receive(struct ups *s, const struct ups_place *p, const char *key,
                      const char *version, const struct ft_ups_answer *a,
                      struct ft_blob_object *ret, struct ft_err *err);
/* Replaces the state of a version that is there. */
int ups_state_replace(struct ups *s, const struct ups_place *p, const struct ft_blob_info *info,
                      const struct ft_ups_answer *head, struct ft_err *err);
/* The state as it was written by ups_state_write, into *ret (its info given by the caller else). */
int ups_state_read(const char *text, struct ft_blob_info info, struct ft_blob_object *ret,
                   struct ft_err *err);

/* ---- object.c ---- */
/* HEAD of a version, or of the latest; *ret_answer too, if it is not NULL (the caller's to free,
 * when 0 was returned). Markers as in blob.h. */
int ups_look(struct ups *s, const struct ups_place *p, const char *key, const char *version,
             struct ft_blob_object *ret, struct ft_ups_answer *ret_answer, struct ft_err *err);
/* Looks at conditions and holds before the latest is replaced; under the key's lock. */
int ups_may_replace(struct ups *s, const struct ups_place *p, const char *key,
                    const struct ft_blob_condition *c, struct ft_err *err);
/* After a change whose answer did not come: is the latest what was written with this nonce? Then
 * *ret tells of it. 1, 0 or an error. */
int ups_was_written(struct ups *s, const struct ups_place *p, const char *key, const char *nonce,
                    struct ft_blob_done *ret, struct ft_err *err);
/* What a write's answer tells. */
void ups_done(const struct ups_place *p, const struct ft_ups_answer *a, int64_t size,
              struct ft_blob_done *ret);
void ups_etag(const char *from, char ret[FT_BLOB_ETAG_MAX + 1]); /* without quotes; NULL: "" */

int ups_remove(struct ft_blob *b, const struct ft_blob_delete *d, struct ft_blob_deleted *ret,
               struct ft_err *err);
int ups_annotate(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                 const struct ft_blob_marks *marks, char ret_version[FT_BLOB_VERSION_MAX + 1],
                 struct ft_err *err);
int ups_head(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             struct ft_blob_object *ret, struct ft_err *err);

#include "blob/s3/ops.h"

#endif
