/* Shared by the files of hub/repo. Keys in the bucket:
 *
 *   n/model/ORG/NAME           a repository: {uid, private, created}, or {moved: "ORG/NAME"}
 *   u/UID/heads/NAME           a branch: the id of its commit; u/UID/tags/NAME a tag
 *   u/UID/commits/ID           a commit: a line of JSON, then a line for each file (tree.c)
 *   u/UID/notes/ID/WHAT        what others know of a commit
 *   u/UID/downloads            counts by day
 *   c/SHA256                   content
 *   p/ORG/SHA256               the project had these bytes
 *   s/ID                       content in the making, in parts
 */
#ifndef FT_HUB_REPO_IMPL_H
#define FT_HUB_REPO_IMPL_H

#include <pthread.h>

#include "base/arena.h"
#include "base/hex.h"
#include "base/map.h"
#include "hub/repo/repo.h"

#define FT_REPO_KEY_MAX    (FT_BLOB_KEY_MAX + 1)
#define FT_REPO_SMALL_MAX  (64u << 10) /* bytes of a small document */
#define FT_REPO_TREES_MAX  32          /* parsed ones kept */
#define FT_REPO_RECENT_MAX (1 << 20)   /* contents remembered as asked for lately */

/* A tree with its memory; the public part first. */
struct ft_repo_tree_held {
    struct ft_repo_tree tree;
    struct ft_arena arena;
    char uid[33];
    int refs;     /* the cache's too */
    int64_t used; /* by count, for who goes first */
};

struct ft_repo_recent {
    char sha256[FT_REPO_SHA_BYTES];
    int64_t at_s;
};

struct ft_repo_count;

struct ft_repos {
    struct ft_repos_config c;
    pthread_mutex_t lock; /* of the trees and the counts */
    struct ft_repo_tree_held *trees[FT_REPO_TREES_MAX];
    int64_t clock;
    struct ft_repo_count *counts;
    int n_counts;
    struct {
        char key[129 + 33];
    } seen[256]; /* who fetched what lately: one download each */
    int seen_at;
    pthread_rwlock_t saving; /* a count is in memory or in its document; before the others */
    pthread_mutex_t using;   /* of what was asked for lately, and around removing content */
    struct ft_repo_recent *recent;
    struct ft_strmap recent_at;
    int n_recent;
    int64_t forgot_s; /* recent was full then */
    int64_t n_moves;  /* of repositories, so far */
    bool collecting;
};

int64_t ft_repo_now_s(const struct ft_repos *r);
int ft_repo_err(struct ft_err *err, int code, enum ft_repo_why why, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- small documents (store.c) ---- */

/* 1: there, its bytes in *ret (to be freed, NUL-terminated), its ETag in etag (may be NULL). */
int ft_repo_load(struct ft_repos *r, const char *key, size_t max, char **ret, size_t *ret_n,
                 char etag[FT_BLOB_ETAG_MAX + 1], struct ft_err *err);
/* if_match: NULL whatever; "": nothing there; else the ETag. FT_EBUSY: the condition. */
int ft_repo_store(struct ft_repos *r, const char *key, const char *data, size_t n,
                  const char *if_match, struct ft_err *err);
int ft_repo_unlink(struct ft_repos *r, const char *key, struct ft_err *err);
/* The same if it was last written in this second; else it stays, which is no error. */
int ft_repo_unlink_old(struct ft_repos *r, const char *key, int64_t modified_s, struct ft_err *err);
/* Every key under a prefix, in order; modified in seconds. */
typedef int ft_repo_key_fn(void *ctx, const char *key, int64_t size, int64_t modified_s);
int ft_repo_each(struct ft_repos *r, const char *prefix, ft_repo_key_fn *fn, void *ctx,
                 struct ft_err *err);
/* The rolled-up prefixes behind `prefix` up to the next '/': fn's key is one, with its '/'. */
int ft_repo_each_folder(struct ft_repos *r, const char *prefix, ft_repo_key_fn *fn, void *ctx,
                        struct ft_err *err);
bool ft_repo_is_hex(const char *s, size_t n);

/* ---- git.c ---- */

void ft_repo_git_blob(const void *data, size_t n, char ret[FT_REPO_OID_BYTES]);
void ft_repo_git_pointer(const char *sha256, int64_t size, char ret[FT_REPO_OID_BYTES]);
int ft_repo_git_commit(const char *tree, const struct ft_repo_tree *t, char ret[FT_REPO_OID_BYTES],
                       struct ft_err *err);

/* ---- tree.c ---- */

/* Writes t as the document of its commit. */
int ft_repo_tree_write(struct ft_repos *r, const char *uid, const struct ft_repo_tree *t,
                       struct ft_err *err);
/* The same by uid: for the collection, past the cache. */
int ft_repo_tree_read(struct ft_repos *r, const char *uid, const char *commit,
                      struct ft_repo_tree_held **ret, struct ft_err *err);
void ft_repo_tree_free(struct ft_repo_tree_held *h);

/* ---- refs.c ---- */

/* The commit of a ref by its key and the ETag. 1, 0, negative. */
int ft_repo_ref_load(struct ft_repos *r, const char *key, char ret_commit[FT_REPO_OID_BYTES],
                     char etag[FT_BLOB_ETAG_MAX + 1], struct ft_err *err);
int ft_repo_ref_key(const char *uid, enum ft_repo_ref kind, const char *name,
                    char ret[FT_REPO_KEY_MAX], struct ft_err *err); /* FT_EINVAL: a bad name */

/* ---- content.c ---- */

/* Forgets what was asked for before `before_s`, as far as it need not be known. */
void ft_repo_recent_purge(struct ft_repos *r, int64_t before_s);
void ft_repo_note_use(struct ft_repos *r, const char *sha256);
bool ft_repo_was_used(struct ft_repos *r, const char *sha256, int64_t since_s);
/* Removes content unless it was asked for since `since_s`. 1: removed, 0: kept. */
int ft_repo_content_drop(struct ft_repos *r, const char *sha256, int64_t since_s,
                         struct ft_err *err);

void ft_repo_counts_free(struct ft_repos *r);

#endif
