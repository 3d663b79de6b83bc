/* Branches and tags, and what a revision's name means. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/repo/impl.h"

#define SHORT_MIN 7 /* digits of a commit's id that may stand for it */

static const char *const folder_of[] = {"heads", "tags"};

/* Names as git allows them, without the rare ones. */
static int name_check(enum ft_repo_ref kind, const char *name, struct ft_err *err)
{
    const char *what = kind == FT_REPO_BRANCH ? "branch" : "tag";
    size_t n = strlen(name);
    if (n == 0 || n > FT_REPO_REF_MAX)
        return ft_err_set(err, FT_EINVAL, "%s: a name has 1 to %d bytes", what, FT_REPO_REF_MAX);
    if (strncmp(name, "refs/pr/", 8) == 0)
        return ft_err_set(err, FT_EUNSUPPORTED, "%s: '%.100s': there are no pull requests here",
                          what, name);
    if (ft_repo_is_hex(name, 40))
        return ft_err_set(err, FT_EINVAL, "%s: '%s' reads like the id of a commit", what, name);
    if (strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/+-") != n ||
        strchr("./-", name[0]) != NULL || strchr("./", name[n - 1]) != NULL ||
        strstr(name, "..") != NULL || strstr(name, "//") != NULL || strstr(name, "/.") != NULL ||
        strcmp(name, "HEAD") == 0 || strncmp(name, "refs/", 5) == 0)
        return ft_err_set(err, FT_EINVAL,
                          "%s: '%.100s' must be letters, digits and ._/+- without '..', '//' or a "
                          "part that begins with '.'",
                          what, name);
    return 0;
}

int ft_repo_ref_key(const char *uid, enum ft_repo_ref kind, const char *name,
                    char ret[FT_REPO_KEY_MAX], struct ft_err *err)
{
    int rc = name_check(kind, name, err);
    if (rc == 0)
        snprintf(ret, FT_REPO_KEY_MAX, "u/%s/%s/%s", uid, folder_of[kind], name);
    return rc;
}

int ft_repo_ref_load(struct ft_repos *r, const char *key, char ret_commit[FT_REPO_OID_BYTES],
                     char etag[FT_BLOB_ETAG_MAX + 1], struct ft_err *err)
{
    char *text = NULL;
    size_t n = 0;
    int rc = ft_repo_load(r, key, 128, &text, &n, etag, err);
    if (rc <= 0)
        return rc;
    if (n < 40 || strspn(text, "0123456789abcdef") != 40)
        rc = ft_err_set(err, FT_ECORRUPT, "%.200s: is no id of a commit", key);
    else
        snprintf(ret_commit, FT_REPO_OID_BYTES, "%.40s", text);
    free(text);
    return rc;
}

static int no_revision(const char *rev, struct ft_err *err)
{
    return ft_repo_err(err, FT_ENOTFOUND, FT_REPO_NO_REVISION, "there is no revision '%.200s'",
                       rev);
}

struct found {
    char id[FT_REPO_OID_BYTES];
    int n;
};

static int on_commit(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    struct found *f = ctx;
    (void)size;
    (void)modified_s;
    snprintf(f->id, sizeof f->id, "%s", strrchr(key, '/') + 1);
    return ++f->n > 1;
}

static int by_digits(struct ft_repos *r, const struct ft_repo *repo, const char *rev,
                     char ret[FT_REPO_OID_BYTES], struct ft_err *err)
{
    struct found f = {.n = 0};
    char prefix[FT_REPO_KEY_MAX];
    size_t n = strlen(rev);
    if (n < SHORT_MIN || n > 40 || strspn(rev, "0123456789abcdef") != n)
        return no_revision(rev, err);
    snprintf(prefix, sizeof prefix, "u/%s/commits/%s", repo->uid, rev);
    int rc = ft_repo_each(r, prefix, on_commit, &f, err);
    if (rc < 0)
        return rc;
    if (f.n != 1)
        return no_revision(rev, err);
    strcpy(ret, f.id);
    return 0;
}

int ft_repo_resolve(struct ft_repos *r, const struct ft_repo *repo, const char *rev,
                    char ret_commit[FT_REPO_OID_BYTES], bool *ret_branch, struct ft_err *err)
{
    static const char *const prefix[] = {"refs/heads/", "refs/tags/"};
    char key[FT_REPO_KEY_MAX];
    struct ft_err bad;
    const char *name = strcmp(rev, "HEAD") == 0 ? "main" : rev;
    for (int kind = FT_REPO_BRANCH; kind <= FT_REPO_TAG; kind++) {
        size_t skip = strlen(prefix[kind]);
        bool is = strncmp(name, prefix[kind], skip) == 0;
        if ((!is && strncmp(name, "refs/", 5) == 0) ||
            ft_repo_ref_key(repo->uid, (enum ft_repo_ref)kind, is ? name + skip : name, key,
                            &bad) != 0)
            continue;
        int rc = ft_repo_ref_load(r, key, ret_commit, NULL, err);
        if (rc != 0 && ret_branch != NULL)
            *ret_branch = kind == FT_REPO_BRANCH;
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    if (ret_branch != NULL)
        *ret_branch = false;
    return by_digits(r, repo, rev, ret_commit, err);
}

/* The commit may be one that nothing leads to, so about to be collected: what is young stays. Those
 * before it are reached from it once the ref is there, or are gone already, which ends its history.
 */
static int make_young(struct ft_repos *r, const struct ft_repo *repo, const char *commit,
                      struct ft_err *err)
{
    struct ft_repo_tree_held *h = NULL;
    int rc = ft_repo_tree_read(r, repo->uid, commit, &h, err);
    if (rc != 0)
        return rc;
    for (int i = 0; rc == 0 && i < h->tree.n_files; i++) {
        rc = ft_repo_content_head(r, h->tree.file[i].sha256, NULL, err);
        rc = rc == 0 ? no_revision(commit, err) : FT_MIN(rc, 0); /* collected just now */
    }
    if (rc == 0)
        rc = ft_repo_tree_write(r, repo->uid, &h->tree, err);
    ft_repo_tree_free(h);
    return rc;
}

static int count_one(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    (void)key;
    (void)size;
    (void)modified_s;
    return ++*(int *)ctx >= FT_REPO_REFS_MAX;
}

/* Is there room for one more? What is there already takes none. */
static int check_room(struct ft_repos *r, const struct ft_repo *repo, enum ft_repo_ref kind,
                      const char *key, struct ft_err *err)
{
    char prefix[FT_REPO_KEY_MAX], commit[FT_REPO_OID_BYTES];
    int n = 0, rc = ft_repo_ref_load(r, key, commit, NULL, err);
    if (rc != 0)
        return FT_MIN(rc, 0);
    snprintf(prefix, sizeof prefix, "u/%s/%s/", repo->uid, folder_of[kind]);
    rc = ft_repo_each(r, prefix, count_one, &n, err);
    if (rc > 0)
        rc = ft_err_set(err, FT_ELIMIT, "a repository has at most %d %s", FT_REPO_REFS_MAX,
                        kind == FT_REPO_BRANCH ? "branches" : "tags");
    return rc;
}

int ft_repo_ref_set(struct ft_repos *r, const struct ft_repo *repo, enum ft_repo_ref kind,
                    const char *name, const char *commit, bool overwrite, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    int rc = ft_repo_ref_key(repo->uid, kind, name, key, err);
    if (rc == 0)
        rc = check_room(r, repo, kind, key, err);
    if (rc == 0)
        rc = make_young(r, repo, commit, err);
    if (rc != 0)
        return rc;
    rc = ft_repo_store(r, key, commit, strlen(commit), overwrite ? NULL : "", err);
    if (rc == FT_EBUSY)
        return ft_repo_err(err, FT_EEXIST, FT_REPO_IS_THERE, "there is a %s '%s' already",
                           kind == FT_REPO_BRANCH ? "branch" : "tag", name);
    return rc;
}

int ft_repo_ref_delete(struct ft_repos *r, const struct ft_repo *repo, enum ft_repo_ref kind,
                       const char *name, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX], commit[FT_REPO_OID_BYTES];
    int rc = ft_repo_ref_key(repo->uid, kind, name, key, err);
    if (rc == 0 && kind == FT_REPO_BRANCH && strcmp(name, "main") == 0)
        return ft_err_set(err, FT_EINVAL, "branch: 'main' stays as long as the repository");
    if (rc == 0)
        rc = ft_repo_ref_load(r, key, commit, NULL, err);
    if (rc == 0)
        return no_revision(name, err);
    return rc < 0 ? rc : ft_repo_unlink(r, key, err);
}

struct refs {
    struct ft_repos *r;
    ft_repo_ref_fn *fn;
    void *ctx;
    size_t skip;
    struct ft_err *err;
};

static int on_ref(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    struct refs *l = ctx;
    char commit[FT_REPO_OID_BYTES];
    (void)size;
    (void)modified_s;
    int rc = ft_repo_ref_load(l->r, key, commit, NULL, l->err);
    return rc <= 0 ? rc : l->fn(l->ctx, key + l->skip, commit);
}

int ft_repo_ref_list(struct ft_repos *r, const struct ft_repo *repo, enum ft_repo_ref kind,
                     ft_repo_ref_fn *fn, void *ctx, struct ft_err *err)
{
    char prefix[FT_REPO_KEY_MAX];
    int n = snprintf(prefix, sizeof prefix, "u/%s/%s/", repo->uid, folder_of[kind]);
    struct refs l = {.r = r, .fn = fn, .ctx = ctx, .skip = (size_t)n, .err = err};
    return ft_repo_each(r, prefix, on_ref, &l, err);
}
