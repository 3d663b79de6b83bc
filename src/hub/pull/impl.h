/* Shared by the files of hub/pull. */
#ifndef FT_HUB_PULL_IMPL_H
#define FT_HUB_PULL_IMPL_H

#include <stdatomic.h>
#include <stddef.h>

#include "base/buf.h"
#include "hub/pull/pull.h"

enum ft_pull_hash {
    FT_PULL_UNHASHED,
    FT_PULL_SHA256,
    FT_PULL_GIT /* git's name of a blob: SHA-1 */
};

struct ft_pull_file {
    char *path; /* in the repository */
    uint64_t bytes;
    enum ft_pull_hash hash;
    char hex[65]; /* lower case */
    char tag[17]; /* of all that must be the same for a later pull to go on with it */
};

struct ft_pull_list {
    struct ft_pull_file *file;
    int n;
    char commit[FT_PULL_REPO_MAX]; /* the revision that the listing is of, fixed; "": not told */
};

void ft_pull_list_fini(struct ft_pull_list *l); /* a zeroed one is accepted */
/* Adds a file; paths that could leave a folder are refused. */
int ft_pull_list_add(struct ft_pull_list *l, const char *path, uint64_t bytes, const char *hash,
                     struct ft_err *err);

/* ---- remote.c: what the two hubs' answers look like ---- */

/* "https://huggingface.co", without a slash at the end. */
void ft_pull_endpoint(enum ft_pull_hub hub, char *ret, size_t n);
/* Where the listing and a file are found; appended to b. */
void ft_pull_list_url(const struct ft_pull_source *s, struct ft_buf *b);
void ft_pull_file_url(const struct ft_pull_source *s, const char *commit, const char *path,
                      struct ft_buf *b);
/* "Authorization: ..." and the like: at most max, each malloc'ed. Returns how many. */
int ft_pull_headers(enum ft_pull_hub hub, char **ret, int max);
int ft_pull_list_parse(enum ft_pull_hub hub, const char *json, size_t n, struct ft_pull_list *ret,
                       struct ft_err *err);
/* What an answer that is no success means, for people. file: NULL for the listing. retry: whether
 * it is worth another try. */
int ft_pull_refused(const struct ft_pull_source *s, const char *file, int status, const char *body,
                    size_t n, bool *ret_retry, struct ft_err *err);

/* ---- choose.c: which files of a listing make the model ---- */

enum ft_pull_form { FT_PULL_GGUF, FT_PULL_GGUF_SPLIT, FT_PULL_FOLDER };

/* Keeps those files of *l that make an adapter. */
int ft_pull_choose_adapter(struct ft_pull_list *l, struct ft_err *err);
/* Keeps those files of *l that make the model that `hint` ("": none) speaks of. */
int ft_pull_choose(struct ft_pull_list *l, const char *hint, enum ft_pull_form *ret_form,
                   struct ft_err *err);
/* The same of a folder on this machine: it is a model itself, or holds the files of one and nothing
 * else. FT_EINVAL names those to choose from. */
int ft_pull_choose_in_folder(struct ft_pull_list *l, enum ft_pull_form *ret_form,
                             struct ft_err *err);
/* The name that the model has if nobody gives it one; `whole`: of the repository or folder. */
void ft_pull_name(const struct ft_pull_list *l, enum ft_pull_form form, const char *whole,
                  char ret[FT_PULL_NAME_MAX]);
/* FT_EINVAL for a name that is not [A-Za-z0-9][A-Za-z0-9._-]*. */
int ft_pull_name_check(const char *name, struct ft_err *err);
const char *ft_pull_base(const char *path);

/* ---- stage.c: the folder in the making ---- */

struct ft_pull_stage {
    char models[3072], dir[3328]; /* dir: MODELS/.pull/NAME */
    char name[FT_PULL_NAME_MAX];
    enum ft_pull_form form;
    int lock;
};

enum ft_pull_where { FT_PULL_PARTIAL, FT_PULL_WHOLE, FT_PULL_FINAL };

/* Makes the folder and locks it. FT_EBUSY: another process has it. */
int ft_pull_stage_open(struct ft_pull_stage *st, const char *models, const char *name,
                       enum ft_pull_form form, struct ft_err *err);
void ft_pull_stage_close(struct ft_pull_stage *st); /* a folder that is empty goes */
/* Where a file is: in the making, whole, or under its name. */
void ft_pull_stage_path(const struct ft_pull_stage *st, const struct ft_pull_file *f,
                        enum ft_pull_where where, char *ret, size_t n);
/* Removes what is of none of these files. */
void ft_pull_stage_sweep(const struct ft_pull_stage *st, const struct ft_pull_list *l);
/* 1: all of it stands under its name; 0: nothing does; FT_EEXIST: something else. */
int ft_pull_stage_present(const struct ft_pull_stage *st, const struct ft_pull_list *l,
                          const atomic_int *interrupt, struct ft_err *err);
/* Room for `bytes` more. FT_ELIMIT. */
int ft_pull_stage_room(const struct ft_pull_stage *st, uint64_t bytes, struct ft_err *err);
/* Brings whole files to where a model can be opened; *ret_path (n bytes): which. */
int ft_pull_stage_assemble(const struct ft_pull_stage *st, const struct ft_pull_list *l,
                           char *ret_path, size_t n, struct ft_err *err);
/* What was assembled appears under its name, and the stage goes. */
int ft_pull_stage_commit(struct ft_pull_stage *st, const struct ft_pull_list *l,
                         struct ft_err *err);
/* What to open once it has appeared. */
void ft_pull_stage_model(const struct ft_pull_stage *st, const struct ft_pull_list *l, char *ret,
                         size_t n);

/* ---- hash.c ---- */

/* Sets f->tag; more: what else must be the same ("": nothing). */
void ft_pull_tag(struct ft_pull_file *f, const char *more);

struct ft_pull_sum;
struct ft_pull_sum *ft_pull_sum_open(const struct ft_pull_file *f); /* NULL: no memory */
void ft_pull_sum_close(struct ft_pull_sum *s);
void ft_pull_sum_reset(struct ft_pull_sum *s);
void ft_pull_sum_add(struct ft_pull_sum *s, const void *data, size_t n);
/* FT_ECORRUPT unless the sum is the file's. */
int ft_pull_sum_check(struct ft_pull_sum *s, struct ft_err *err);
/* Adds the first `bytes` of an open file. */
int ft_pull_sum_file(struct ft_pull_sum *s, int fd, uint64_t bytes, const atomic_int *interrupt,
                     struct ft_err *err);

/* ---- get.c, local.c: bytes into the stage ---- */

int ft_pull_get(const struct ft_pull_source *s, const struct ft_pull_options *o,
                struct ft_pull_stage *st, const struct ft_pull_list *l, struct ft_err *err);
/* The files that a path on this machine names, with whole paths. */
int ft_pull_local_list(const char *path, struct ft_pull_list *ret, struct ft_err *err);
int ft_pull_local_get(const struct ft_pull_options *o, struct ft_pull_stage *st,
                      const struct ft_pull_list *l, const char *folder, bool *ret_linked,
                      struct ft_err *err);
/* 1: the files that stand under their names already are these; FT_EEXIST: they are not. */
int ft_pull_local_same(const struct ft_pull_options *o, const struct ft_pull_stage *st,
                       const struct ft_pull_list *l, const char *folder, struct ft_err *err);

#endif
