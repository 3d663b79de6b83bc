/* Repositories of models and datasets on the storage seam: names, revisions, trees, content.
 *
 * A repository belongs to a project: ORG in ORG/NAME is the project's id. Its content is stored
 * once by SHA-256, however many repositories and revisions hold it. A commit is a document with all
 * files of the revision; a branch or tag is a small object that names a commit and moves by a
 * conditional put, so of two commits on the same parent one wins and the other is told. Ids of
 * commits, trees and files are what git would compute.
 *
 * One process has the bucket; any thread may call anything, calls block. What is no revision's any
 * more is removed by ft_repos_collect. Who may do what is the caller's business (api/hub).
 *
 * FT_ENOTFOUND, FT_EEXIST and FT_EBUSY say what is missing, there or in the way: ft_repo_why. */
#ifndef FT_HUB_REPO_REPO_H
#define FT_HUB_REPO_REPO_H

#include <jansson.h>
#include <stdatomic.h>

#include "blob/blob.h"

#define FT_REPO_BUCKET     ".hub"
#define FT_REPO_ORG_MAX    64 /* bytes of a project's id */
#define FT_REPO_NAME_MAX   96
#define FT_REPO_PATH_MAX   1000 /* bytes of a file's path */
#define FT_REPO_DEPTH_MAX  64   /* parts of a path */
#define FT_REPO_REF_MAX    128  /* bytes of a branch's or tag's name */
#define FT_REPO_REFS_MAX   1000 /* branches, and tags, of one repository */
#define FT_REPO_FILES_MAX  100000
#define FT_REPO_OPS_MAX    100000      /* of one commit */
#define FT_REPO_INLINE_MAX (10u << 20) /* bytes of a file that comes within a commit */
#define FT_REPO_TEXT_MAX   4096        /* bytes of a commit's title, and of its message */
#define FT_REPO_CARD_MAX   (1u << 20)  /* bytes of a README.md whose card is read */
#define FT_REPO_GRACE_S    86400       /* unreferenced content stays at least this long */
#define FT_REPO_OID_BYTES  41
#define FT_REPO_SHA_BYTES  65

enum ft_repo_kind { FT_REPO_MODEL, FT_REPO_DATASET };
const char *ft_repo_kind_name(enum ft_repo_kind kind); /* "model" */

enum ft_repo_why {
    FT_REPO_WHY_NONE,
    FT_REPO_NO_REPO = 3000, /* FT_ENOTFOUND */
    FT_REPO_NO_REVISION,    /* FT_ENOTFOUND */
    FT_REPO_NO_FILE,        /* FT_ENOTFOUND */
    FT_REPO_NO_CONTENT,     /* FT_ENOTFOUND: a commit names content that nobody uploaded */
    FT_REPO_IS_THERE,       /* FT_EEXIST: a repository, branch or tag of this name */
    FT_REPO_HEAD_MOVED,     /* FT_EBUSY: somebody else's commit came first */
    FT_REPO_SUM             /* FT_ECORRUPT: bytes are not those of the announced hash or size */
};
enum ft_repo_why ft_repo_why(const struct ft_err *err); /* NONE for errors not of this module */

struct ft_repos;
struct ft_repos_config {
    struct ft_blob *blob;
    int64_t grace_s;             /* 0: FT_REPO_GRACE_S */
    int64_t (*now_s)(void *ctx); /* unix time; NULL: the system's */
    void *ctx;
};
/* Makes the bucket where it is not there. */
int ft_repos_open(const struct ft_repos_config *c, struct ft_repos **ret, struct ft_err *err);
void ft_repos_close(struct ft_repos *r); /* saves the counts; NULL is accepted */

/* ---- repositories ---- */

struct ft_repo {
    enum ft_repo_kind kind;
    char org[FT_REPO_ORG_MAX + 1], name[FT_REPO_NAME_MAX + 1];
    char uid[33]; /* stays when it is renamed */
    bool is_private;
    int64_t created_s;
};

/* FT_EINVAL names the field. */
int ft_repo_name_check(const char *org, const char *name, struct ft_err *err);
/* With a first, empty commit on "main" by `author`. IS_THERE. */
int ft_repo_create(struct ft_repos *r, enum ft_repo_kind kind, const char *org, const char *name,
                   bool is_private, const char *author, struct ft_repo *ret, struct ft_err *err);
/* Also by a name that it had before (then *ret has the new one). NO_REPO. */
int ft_repo_get(struct ft_repos *r, enum ft_repo_kind kind, const char *org, const char *name,
                struct ft_repo *ret, struct ft_err *err);
int ft_repo_set_private(struct ft_repos *r, const struct ft_repo *repo, bool is_private,
                        struct ft_err *err);
/* *repo has the new name then. IS_THERE. */
int ft_repo_move(struct ft_repos *r, struct ft_repo *repo, const char *org, const char *name,
                 struct ft_err *err);
/* Its name goes first, then its commits and all else that is its alone. left (may be NULL: no
 * bound) is counted down by each key; what stays at 0, the collection takes. */
int ft_repo_delete(struct ft_repos *r, const struct ft_repo *repo, int *left, struct ft_err *err);
/* In the order of names; org NULL: of all. fn returning non-zero stops, and is returned. */
typedef int ft_repo_fn(void *ctx, const struct ft_repo *repo);
int ft_repo_list(struct ft_repos *r, enum ft_repo_kind kind, const char *org, ft_repo_fn *fn,
                 void *ctx, struct ft_err *err);

/* ---- revisions ---- */

enum ft_repo_ref { FT_REPO_BRANCH, FT_REPO_TAG };
/* rev: a branch, a tag, "refs/heads/..", "refs/tags/..", a commit or its first 7 digits or more,
 * "HEAD" (main). NO_REVISION. ret_branch (may be NULL) is set true if it is a branch. */
int ft_repo_resolve(struct ft_repos *r, const struct ft_repo *repo, const char *rev,
                    char ret_commit[FT_REPO_OID_BYTES], bool *ret_branch, struct ft_err *err);
/* A new one at a commit; overwrite: or one that is there, moved. FT_ELIMIT. */
int ft_repo_ref_set(struct ft_repos *r, const struct ft_repo *repo, enum ft_repo_ref kind,
                    const char *name, const char *commit, bool overwrite, struct ft_err *err);
int ft_repo_ref_delete(struct ft_repos *r, const struct ft_repo *repo, enum ft_repo_ref kind,
                       const char *name, struct ft_err *err); /* NO_REVISION */
typedef int ft_repo_ref_fn(void *ctx, const char *name, const char *commit);
int ft_repo_ref_list(struct ft_repos *r, const struct ft_repo *repo, enum ft_repo_ref kind,
                     ft_repo_ref_fn *fn, void *ctx, struct ft_err *err);

struct ft_repo_file {
    const char *path;
    int64_t size;
    char sha256[FT_REPO_SHA_BYTES];
    char oid[FT_REPO_OID_BYTES];    /* git's name of the file, of an LFS file its pointer's */
    char commit[FT_REPO_OID_BYTES]; /* that changed it last, */
    int64_t number;                 /* and its number; 0: not known, written before it was kept */
    bool lfs;
};
/* A commit with all files of its revision, by path. Shared and read-only: unref it. */
struct ft_repo_tree {
    char id[FT_REPO_OID_BYTES], parent[FT_REPO_OID_BYTES]; /* parent "": the first */
    const char *title, *message, *author;
    int64_t date_s, number; /* number: of this commit and those before it */
    struct ft_repo_file *file;
    int n_files;
    int64_t bytes; /* of all files together */
};
int ft_repo_tree(struct ft_repos *r, const struct ft_repo *repo, const char *commit,
                 const struct ft_repo_tree **ret, struct ft_err *err);
void ft_repo_tree_unref(struct ft_repos *r, const struct ft_repo_tree *t); /* NULL is accepted */
/* A file of it, or NULL. */
const struct ft_repo_file *ft_repo_tree_file(const struct ft_repo_tree *t, const char *path);
/* The files under a folder ("": all): index of the first, and how many. */
int ft_repo_tree_folder(const struct ft_repo_tree *t, const char *folder, int *ret_n);
/* git's name of the folder that holds files[0..n), whose paths begin with the same n_prefix bytes
 * ("a/b/": 4). */
int ft_repo_folder_oid(const struct ft_repo_file *files, int n, size_t n_prefix,
                       char ret[FT_REPO_OID_BYTES], struct ft_err *err);
#define FT_REPO_POINTER_MAX 256
/* The text that git has in the place of an LFS file; how many bytes. */
int ft_repo_pointer(const char *sha256, int64_t size, char ret[FT_REPO_POINTER_MAX]);
int ft_repo_pointer_bytes(const struct ft_repo_file *f); /* of an LFS file's pointer */

/* The commits of a revision, newest first, without their files. */
struct ft_repo_commit_head {
    char id[FT_REPO_OID_BYTES], parent[FT_REPO_OID_BYTES];
    char title[FT_REPO_TEXT_MAX + 1], message[FT_REPO_TEXT_MAX + 1], author[129];
    int64_t date_s, number;
};
int ft_repo_commit_head(struct ft_repos *r, const struct ft_repo *repo, const char *commit,
                        struct ft_repo_commit_head *ret, struct ft_err *err);

/* ---- committing ---- */

enum ft_repo_op_kind { FT_REPO_PUT, FT_REPO_DELETE, FT_REPO_DELETE_FOLDER };
struct ft_repo_op {
    enum ft_repo_op_kind kind;
    const char *path;
    /* PUT: content that is there (ft_repo_content_*) */
    char sha256[FT_REPO_SHA_BYTES];
    char oid[FT_REPO_OID_BYTES]; /* git's name; "" with lfs */
    int64_t size;                /* -1 with lfs: whatever it has */
    bool lfs;
};
struct ft_repo_commit {
    const char *branch; /* one that is there */
    const char *parent; /* the branch must be there still, else HEAD_MOVED; NULL: wherever it is */
    const char *title, *message, *author;
    const struct ft_repo_op *ops;
    int n_ops;
};
/* FT_EINVAL names the path: a bad one, a file where a folder is. What changes nothing makes no
 * commit, *ret_id is the head then. NO_CONTENT, NO_REVISION (of the branch), HEAD_MOVED. */
int ft_repo_commit(struct ft_repos *r, const struct ft_repo *repo, const struct ft_repo_commit *c,
                   char ret_id[FT_REPO_OID_BYTES], struct ft_err *err);
int ft_repo_path_check(const char *path, struct ft_err *err);
/* The branch comes to hold what it holds in one commit without history. NO_REVISION, HEAD_MOVED. */
int ft_repo_squash(struct ft_repos *r, const struct ft_repo *repo, const char *branch,
                   const char *title, const char *author, char ret_id[FT_REPO_OID_BYTES],
                   struct ft_err *err);
/* A new branch that holds nothing; overwrite: or one that is there, emptied. IS_THERE. */
int ft_repo_branch_empty(struct ft_repos *r, const struct ft_repo *repo, const char *branch,
                         const char *author, bool overwrite, char ret_id[FT_REPO_OID_BYTES],
                         struct ft_err *err);

/* ---- content ---- */

struct ft_repo_content {
    char sha256[FT_REPO_SHA_BYTES], oid[FT_REPO_OID_BYTES];
    int64_t size;
};
/* All of it at once, for what comes within a commit. */
int ft_repo_content_put(struct ft_repos *r, const void *data, size_t n, struct ft_repo_content *ret,
                        struct ft_err *err);
/* As a stream that must have this hash and size (FT_REPO_SUM). */
struct ft_repo_writer;
int ft_repo_content_begin(struct ft_repos *r, const char *sha256, int64_t size,
                          struct ft_repo_writer **ret, struct ft_err *err);
int ft_repo_content_write(struct ft_repo_writer *w, const void *data, size_t n, struct ft_err *err);
int ft_repo_content_commit(struct ft_repo_writer *w, struct ft_err *err); /* frees it */
void ft_repo_content_abort(struct ft_repo_writer *w);                     /* NULL is accepted */
/* Is it there? Then it stays for the grace at least. 1 with its size, 0, or negative. */
int ft_repo_content_head(struct ft_repos *r, const char *sha256, int64_t *ret_size,
                         struct ft_err *err);
int ft_repo_content_open(struct ft_repos *r, const char *sha256, struct ft_blob_reader **ret,
                         struct ft_err *err); /* NO_CONTENT */
/* As ft_blob_link. */
int ft_repo_content_link(struct ft_repos *r, const char *sha256, const char *path,
                         struct ft_err *err);
/* Has the project shown that it has these bytes (by sending them)? Without, to know a hash would be
 * to get at another project's file. 1, 0, or negative. */
int ft_repo_content_owned(struct ft_repos *r, const char *org, const char *sha256,
                          struct ft_err *err);
int ft_repo_content_own(struct ft_repos *r, const char *org, const char *sha256, int64_t size,
                        struct ft_err *err);
/* Bytes of content that the project had sent and that are kept. */
int ft_repo_usage(struct ft_repos *r, const char *org, int64_t *ret_bytes, struct ft_err *err);

/* The same in parts, for what is large: parts come in any order; complete reads it all back against
 * the hash. n 0: all parts that came. */
int ft_repo_parts_begin(struct ft_repos *r, const char *sha256, int64_t size,
                        char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err);
int ft_repo_parts_put(struct ft_repos *r, const char *sha256, const char *id, int part,
                      int64_t size, struct ft_blob_writer **ret, struct ft_err *err);
int ft_repo_parts_complete(struct ft_repos *r, const char *sha256, int64_t size, const char *id,
                           const struct ft_blob_part *parts, int n, struct ft_err *err);

/* ---- what is said of one ---- */

/* The front matter of a README.md as JSON: a new object, {} if there is none or it is broken. */
json_t *ft_repo_card_parse(const char *text, size_t n);
/* The card of a revision. A new object. */
int ft_repo_card(struct ft_repos *r, const struct ft_repo_tree *t, json_t **ret,
                 struct ft_err *err);
/* A document of a commit that others keep here ("inspect"); value NULL for get of none. */
int ft_repo_note_get(struct ft_repos *r, const struct ft_repo *repo, const char *commit,
                     const char *what, json_t **ret, struct ft_err *err);
int ft_repo_note_put(struct ft_repos *r, const struct ft_repo *repo, const char *commit,
                     const char *what, const json_t *value, struct ft_err *err);

/* Counted in memory; ft_repos_save writes what has changed. */
void ft_repo_count_download(struct ft_repos *r, const struct ft_repo *repo, const char *who);
/* *ret_month: of the last 30 days. */
int ft_repo_downloads(struct ft_repos *r, const struct ft_repo *repo, int64_t *ret_all,
                      int64_t *ret_month, struct ft_err *err);
int ft_repos_save(struct ft_repos *r, struct ft_err *err);

/* ---- collection ---- */

struct ft_repos_collected {
    int64_t repos, revisions, contents, bytes;
};
/* Removes what no branch or tag leads to, and what deleted repositories left: what is older than
 * the grace and was not asked for since. stop (may be NULL) ends it early, which is no error. */
int ft_repos_collect(struct ft_repos *r, const atomic_int *stop, struct ft_repos_collected *ret,
                     struct ft_err *err);

#endif
