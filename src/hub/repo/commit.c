/* Commits: the files of the branch's head, changed op by op, become the document of a new commit,
 * and the branch moves to it if it is where it was. Who is overtaken begins again from the new head
 * unless a parent was asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "hub/repo/impl.h"

#define TRIES_MAX 16 /* against others' commits on the same branch */

int ft_repo_path_check(const char *path, struct ft_err *err)
{
    size_t n = strlen(path);
    int depth = 0;
    bool bad =
        n == 0 || n > FT_REPO_PATH_MAX || !ft_utf8_valid(path, n) || strchr(path, '\\') != NULL;
    for (size_t i = 0; !bad && i < n; i++)
        bad = (unsigned char)path[i] < ' ' || path[i] == 0x7f;
    for (const char *p = path; !bad && p != NULL; p = strchr(p, '/')) {
        p += p != path && *p == '/';
        size_t len = strcspn(p, "/");
        bad = len == 0 || (len <= 2 && strspn(p, ".") == len) || ++depth > FT_REPO_DEPTH_MAX ||
              (len == 4 && strncasecmp(p, ".git", 4) == 0);
    }
    if (bad)
        return ft_err_set(err, FT_EINVAL,
                          "path: '%.200s' must be UTF-8 of at most %d bytes and %d parts, none of "
                          "them empty, '.', '..' or '.git', without '\\' and control bytes",
                          path, FT_REPO_PATH_MAX, FT_REPO_DEPTH_MAX);
    return 0;
}

/* ---- the files ---- */

struct files {
    struct ft_repo_file *file; /* path NULL: removed */
    int n, cap;
    struct ft_strmap at;
    bool changed;
};

static void files_fini(struct files *f)
{
    ft_strmap_fini(&f->at);
    free(f->file);
}

static int files_init(struct files *f, const struct ft_repo_tree *t, int n_ops, struct ft_err *err)
{
    *f = (struct files){.cap = t->n_files + n_ops, .n = t->n_files};
    f->file = calloc((size_t)f->cap + 1, sizeof *f->file);
    int rc = f->file != NULL ? ft_strmap_init(&f->at, (size_t)f->cap) : FT_ENOMEM;
    for (int i = 0; rc == 0 && i < t->n_files; i++) {
        f->file[i] = t->file[i];
        rc = ft_strmap_add(&f->at, t->file[i].path, strlen(t->file[i].path), i);
    }
    return rc == 0 ? 0 : ft_err_set(err, (enum ft_code)rc, "commit: out of memory");
}

static int put_file(struct ft_repos *r, struct files *f, const struct ft_repo_op *op,
                    struct ft_err *err)
{
    int64_t size = op->size;
    int32_t at;
    int rc = ft_repo_content_head(r, op->sha256, &size, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return ft_repo_err(err, FT_ENOTFOUND, FT_REPO_NO_CONTENT,
                           "%.200s: its content %s is not there: upload it first", op->path,
                           op->sha256);
    if (op->size >= 0 && size != op->size)
        return ft_err_set(err, FT_EINVAL, "%.200s: size: is %lld, not %lld", op->path,
                          (long long)size, (long long)op->size);
    if (!ft_strmap_get(&f->at, op->path, strlen(op->path), &at)) {
        at = f->n++;
        rc = ft_strmap_add(&f->at, op->path, strlen(op->path), at);
        if (rc != 0)
            return ft_err_set(err, (enum ft_code)rc, "commit: out of memory");
        f->file[at] = (struct ft_repo_file){0};
    }
    struct ft_repo_file *file = &f->file[at];
    if (file->path != NULL && strcmp(file->sha256, op->sha256) == 0 && file->lfs == op->lfs)
        return 0;
    *file = (struct ft_repo_file){.path = op->path, .size = size, .lfs = op->lfs};
    memcpy(file->sha256, op->sha256, sizeof file->sha256);
    if (op->lfs)
        ft_repo_git_pointer(op->sha256, size, file->oid);
    else
        memcpy(file->oid, op->oid, sizeof file->oid);
    f->changed = true; /* its commit is filled in once that has an id */
    return 0;
}

static int remove_file(struct files *f, const char *path, struct ft_err *err)
{
    int32_t at;
    if (!ft_strmap_get(&f->at, path, strlen(path), &at) || f->file[at].path == NULL)
        return ft_repo_err(err, FT_ENOTFOUND, FT_REPO_NO_FILE, "there is no file '%.200s'", path);
    f->file[at].path = NULL;
    f->changed = true;
    return 0;
}

static int remove_folder(struct files *f, const char *path, struct ft_err *err)
{
    size_t n = strlen(path);
    bool any = false;
    n -= n > 0 && path[n - 1] == '/';
    for (int i = 0; i < f->n; i++) {
        const char *p = f->file[i].path;
        if (p == NULL || (n > 0 && (strncmp(p, path, n) != 0 || p[n] != '/')))
            continue;
        f->file[i].path = NULL;
        any = true;
    }
    f->changed |= any;
    return any ? 0
               : ft_repo_err(err, FT_ENOTFOUND, FT_REPO_NO_FILE, "there is no folder '%.200s'",
                             path);
}

static int by_path(const void *a, const void *b)
{
    const struct ft_repo_file *x = a, *y = b;
    if (x->path == NULL || y->path == NULL)
        return (x->path == NULL) - (y->path == NULL);
    return strcmp(x->path, y->path);
}

/* Is a file where another one has a folder? */
static int check_folders(struct files *f, struct ft_err *err)
{
    for (int i = 0; i < f->n; i++) {
        const char *path = f->file[i].path;
        for (const char *p = strchr(path, '/'); p != NULL; p = strchr(p + 1, '/')) {
            int32_t at;
            if (ft_strmap_get(&f->at, path, (size_t)(p - path), &at))
                return ft_err_set(err, FT_EINVAL, "path: '%.200s': there is a file '%.*s'", path,
                                  (int)FT_MIN(p - path, 200), path);
        }
    }
    return 0;
}

/* In order, without those removed. */
static int finish(struct files *f, struct ft_err *err)
{
    qsort(f->file, (size_t)f->n, sizeof *f->file, by_path);
    while (f->n > 0 && f->file[f->n - 1].path == NULL)
        f->n--;
    if (f->n > FT_REPO_FILES_MAX)
        return ft_err_set(err, FT_ELIMIT, "a repository has at most %d files", FT_REPO_FILES_MAX);
    ft_strmap_fini(&f->at);
    int rc = ft_strmap_init(&f->at, (size_t)f->n);
    for (int i = 0; rc == 0 && i < f->n; i++)
        rc = ft_strmap_add(&f->at, f->file[i].path, strlen(f->file[i].path), i);
    if (rc != 0)
        return ft_err_set(err, (enum ft_code)rc, "commit: out of memory");
    return check_folders(f, err);
}

static int apply(struct ft_repos *r, struct files *f, const struct ft_repo_commit *c,
                 struct ft_err *err)
{
    for (int i = 0; i < c->n_ops; i++) {
        const struct ft_repo_op *op = &c->ops[i];
        int rc = op->kind == FT_REPO_PUT             ? put_file(r, f, op, err)
                 : op->kind == FT_REPO_DELETE_FOLDER ? remove_folder(f, op->path, err)
                                                     : remove_file(f, op->path, err);
        if (rc != 0)
            return rc;
    }
    return finish(f, err);
}

/* ---- the commit ---- */

static int check(const struct ft_repo_commit *c, struct ft_err *err)
{
    if (c->title[0] == '\0' || strlen(c->title) > FT_REPO_TEXT_MAX)
        return ft_err_set(err, FT_EINVAL, "summary: must have 1 to %d bytes", FT_REPO_TEXT_MAX);
    if (strlen(c->message) > FT_REPO_TEXT_MAX)
        return ft_err_set(err, FT_EINVAL, "description: has more than %d bytes", FT_REPO_TEXT_MAX);
    if (c->n_ops > FT_REPO_OPS_MAX)
        return ft_err_set(err, FT_ELIMIT, "a commit has at most %d files", FT_REPO_OPS_MAX);
    for (int i = 0; i < c->n_ops; i++) {
        const struct ft_repo_op *op = &c->ops[i];
        bool all = op->kind == FT_REPO_DELETE_FOLDER &&
                   (op->path[0] == '\0' || strcmp(op->path, "/") == 0);
        char path[FT_REPO_PATH_MAX + 2];
        size_t n = strlen(op->path);
        snprintf(path, sizeof path, "%s", op->path);
        if (op->kind == FT_REPO_DELETE_FOLDER && n > 0 && n < sizeof path && path[n - 1] == '/')
            path[n - 1] = '\0';
        if (!all && ft_repo_path_check(path, err) != 0)
            return FT_EINVAL;
    }
    return 0;
}

/* Writes the commit of these files on top of head; *ret_id: its id. */
static int write(struct ft_repos *r, const struct ft_repo *repo, const struct ft_repo_commit *c,
                 const struct ft_repo_tree *head, struct files *f, char ret_id[FT_REPO_OID_BYTES],
                 struct ft_err *err)
{
    struct ft_repo_tree t = {.title = c->title,
                             .message = c->message,
                             .author = c->author,
                             .date_s = ft_repo_now_s(r),
                             .file = f->file,
                             .n_files = f->n};
    char folder[FT_REPO_OID_BYTES];
    memcpy(t.parent, head->id, sizeof t.parent);
    t.number = head->number + 1;
    int rc = ft_repo_folder_oid(f->file, f->n, 0, folder, err);
    if (rc == 0)
        rc = ft_repo_git_commit(folder, &t, t.id, err);
    if (rc != 0)
        return rc;
    for (int i = 0; i < f->n; i++)
        if (f->file[i].commit[0] == '\0') {
            memcpy(f->file[i].commit, t.id, sizeof t.id);
            f->file[i].number = t.number;
        }
    memcpy(ret_id, t.id, sizeof t.id);
    return ft_repo_tree_write(r, repo->uid, &t, err);
}

static int no_branch(const char *branch, struct ft_err *err)
{
    return ft_repo_err(err, FT_ENOTFOUND, FT_REPO_NO_REVISION, "there is no branch '%.100s'",
                       branch);
}

static int head_moved(const char *branch, struct ft_err *err)
{
    return ft_repo_err(err, FT_EBUSY, FT_REPO_HEAD_MOVED,
                       "A commit has happened since. '%s' is elsewhere now: refresh and try again",
                       branch);
}

static int try_once(struct ft_repos *r, const struct ft_repo *repo, const struct ft_repo_commit *c,
                    const char *key, char ret_id[FT_REPO_OID_BYTES], struct ft_err *err)
{
    char head[FT_REPO_OID_BYTES], etag[FT_BLOB_ETAG_MAX + 1];
    const struct ft_repo_tree *t = NULL;
    struct files f = {0};
    int rc = ft_repo_ref_load(r, key, head, etag, err);
    if (rc == 0)
        return no_branch(c->branch, err);
    if (rc < 0)
        return rc;
    if (c->parent != NULL && strncmp(head, c->parent, FT_MAX(strlen(c->parent), (size_t)7)) != 0)
        return head_moved(c->branch, err);
    rc = ft_repo_tree(r, repo, head, &t, err);
    if (rc == 0)
        rc = files_init(&f, t, c->n_ops, err);
    if (rc == 0)
        rc = apply(r, &f, c, err);
    if (rc == 0 && f.changed) {
        rc = write(r, repo, c, t, &f, ret_id, err);
        if (rc == 0)
            rc = ft_repo_store(r, key, ret_id, 40, etag, err);
        if (rc == FT_EBUSY)
            rc = head_moved(c->branch, err);
    } else if (rc == 0) {
        memcpy(ret_id, head, sizeof head);
    }
    files_fini(&f);
    ft_repo_tree_unref(r, t);
    return rc;
}

int ft_repo_commit(struct ft_repos *r, const struct ft_repo *repo, const struct ft_repo_commit *c,
                   char ret_id[FT_REPO_OID_BYTES], struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    int rc = check(c, err);
    if (rc == 0)
        rc = ft_repo_ref_key(repo->uid, FT_REPO_BRANCH, c->branch, key, err);
    if (rc != 0)
        return rc;
    for (int i = 0; i < TRIES_MAX; i++) {
        rc = try_once(r, repo, c, key, ret_id, err);
        if (rc != FT_EBUSY || c->parent != NULL || ft_repo_why(err) != FT_REPO_HEAD_MOVED)
            break;
    }
    return rc;
}

/* ---- commits without history ---- */

int ft_repo_branch_empty(struct ft_repos *r, const struct ft_repo *repo, const char *branch,
                         const char *author, bool overwrite, char ret_id[FT_REPO_OID_BYTES],
                         struct ft_err *err)
{
    struct ft_repo_tree t = {.title = "initial commit",
                             .message = "",
                             .author = author,
                             .date_s = ft_repo_now_s(r),
                             .number = 1};
    char oid[FT_REPO_OID_BYTES];
    int rc = ft_repo_folder_oid(NULL, 0, 0, oid, err);
    if (rc == 0)
        rc = ft_repo_git_commit(oid, &t, t.id, err);
    if (rc == 0)
        rc = ft_repo_tree_write(r, repo->uid, &t, err);
    memcpy(ret_id, t.id, sizeof t.id);
    return rc == 0 ? ft_repo_ref_set(r, repo, FT_REPO_BRANCH, branch, t.id, overwrite, err) : rc;
}

int ft_repo_squash(struct ft_repos *r, const struct ft_repo *repo, const char *branch,
                   const char *title, const char *author, char ret_id[FT_REPO_OID_BYTES],
                   struct ft_err *err)
{
    static const struct ft_repo_tree before; /* no commit, of number 0 */
    const struct ft_repo_commit c = {
        .branch = branch, .title = title, .message = "", .author = author};
    char key[FT_REPO_KEY_MAX], head[FT_REPO_OID_BYTES], etag[FT_BLOB_ETAG_MAX + 1];
    const struct ft_repo_tree *t = NULL;
    struct files f = {0};
    int rc = check(&c, err);
    if (rc == 0)
        rc = ft_repo_ref_key(repo->uid, FT_REPO_BRANCH, branch, key, err);
    if (rc != 0)
        return rc;
    rc = ft_repo_ref_load(r, key, head, etag, err);
    if (rc == 0)
        return no_branch(branch, err);
    if (rc > 0)
        rc = ft_repo_tree(r, repo, head, &t, err);
    if (rc == 0)
        rc = files_init(&f, t, 0, err);
    for (int i = 0; rc == 0 && i < f.n; i++)
        f.file[i].commit[0] = '\0'; /* those that changed them go */
    if (rc == 0)
        rc = write(r, repo, &c, &before, &f, ret_id, err);
    if (rc == 0)
        rc = ft_repo_store(r, key, ret_id, 40, etag, err);
    if (rc == FT_EBUSY)
        rc = head_moved(branch, err);
    files_fini(&f);
    ft_repo_tree_unref(r, t);
    return rc;
}
