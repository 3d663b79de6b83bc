/* Repositories by their names. The document of a name holds all that is said of the repository; it
 * changes by conditional puts, so two that change it at once do not undo each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/slice.h"
#include "hub/repo/impl.h"

#define MOVES_MAX 8 /* from an old name to the one it has now */
#define TRIES_MAX 8 /* of a change that others come before */

int ft_repos_open(const struct ft_repos_config *c, struct ft_repos **ret, struct ft_err *err)
{
    struct ft_err there = {0};
    int rc = ft_blob_bucket_create(c->blob, FT_REPO_BUCKET, "", &there);
    if (rc != 0 && rc != FT_EEXIST) {
        *err = there;
        return ft_err_wrap(err, "hub");
    }
    struct ft_repos *r = calloc(1, sizeof *r);
    if (r == NULL || ft_strmap_init(&r->recent_at, 0) != 0) {
        free(r);
        return ft_err_set(err, FT_ENOMEM, "hub: out of memory");
    }
    r->c = *c;
    if (r->c.grace_s == 0)
        r->c.grace_s = FT_REPO_GRACE_S;
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->using, NULL);
    pthread_rwlock_init(&r->saving, NULL);
    *ret = r;
    return 0;
}

void ft_repos_close(struct ft_repos *r)
{
    struct ft_err err;
    if (r == NULL)
        return;
    ft_repos_save(r, &err);
    for (int i = 0; i < FT_REPO_TREES_MAX; i++)
        ft_repo_tree_free(r->trees[i]);
    ft_repo_counts_free(r);
    ft_strmap_fini(&r->recent_at);
    free(r->recent);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->using);
    pthread_rwlock_destroy(&r->saving);
    free(r);
}

/* ---- names ---- */

int ft_repo_name_check(const char *org, const char *name, struct ft_err *err)
{
    static const char ok[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t n = strlen(name), o = strlen(org);
    if (o == 0 || o > FT_REPO_ORG_MAX || strspn(org, ok) != o || strchr(".-", org[0]) != NULL)
        return ft_err_set(err, FT_EINVAL, "organization: '%.100s' is no project's id", org);
    if (n == 0 || n > FT_REPO_NAME_MAX || strspn(name, ok) != n || strchr(".-", name[0]) != NULL ||
        strchr(".-", name[n - 1]) != NULL || strstr(name, "..") != NULL ||
        strstr(name, "--") != NULL || ft_str_ends(name, ".git") || ft_str_ends(name, ".ipynb"))
        return ft_err_set(err, FT_EINVAL,
                          "name: '%.100s' must be 1 to %d letters, digits and ._- without '--' and "
                          "'..', not begin or end with . or -, nor end with .git or .ipynb",
                          name, FT_REPO_NAME_MAX);
    return 0;
}

static void name_key(enum ft_repo_kind kind, const char *org, const char *name,
                     char ret[FT_REPO_KEY_MAX])
{
    snprintf(ret, FT_REPO_KEY_MAX, "n/%s/%s/%s", ft_repo_kind_name(kind), org, name);
}

static int no_repo(enum ft_repo_kind kind, const char *org, const char *name, struct ft_err *err)
{
    return ft_repo_err(err, FT_ENOTFOUND, FT_REPO_NO_REPO, "there is no %s '%.100s/%.100s'",
                       ft_repo_kind_name(kind), org, name);
}

/* 1: a repository in *ret, or moved to *ret_moved; 0: nothing of the name. */
static int load(struct ft_repos *r, enum ft_repo_kind kind, const char *org, const char *name,
                struct ft_repo *ret, char ret_moved[FT_REPO_ORG_MAX + FT_REPO_NAME_MAX + 2],
                char etag[FT_BLOB_ETAG_MAX + 1], struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX], *text = NULL;
    size_t n = 0;
    name_key(kind, org, name, key);
    int rc = ft_repo_load(r, key, FT_REPO_SMALL_MAX, &text, &n, etag, err);
    if (rc <= 0)
        return rc;
    json_t *o = json_loadb(text, n, 0, NULL);
    const char *uid = json_string_value(json_object_get(o, "uid"));
    const char *moved = json_string_value(json_object_get(o, "moved"));
    free(text);
    ret_moved[0] = '\0';
    if (moved != NULL && strlen(moved) < FT_REPO_ORG_MAX + FT_REPO_NAME_MAX + 2) {
        strcpy(ret_moved, moved);
    } else if (uid == NULL || strlen(uid) != 32) {
        rc = ft_err_set(err, FT_ECORRUPT, "%.200s: is broken", key);
    } else {
        ret->kind = kind;
        snprintf(ret->org, sizeof ret->org, "%s", org);
        snprintf(ret->name, sizeof ret->name, "%s", name);
        strcpy(ret->uid, uid);
        ret->is_private = json_is_true(json_object_get(o, "private"));
        ret->created_s = json_integer_value(json_object_get(o, "created"));
    }
    json_decref(o);
    return rc;
}

static int store(struct ft_repos *r, const struct ft_repo *repo, const char *if_match,
                 struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    name_key(repo->kind, repo->org, repo->name, key);
    json_t *o = json_pack("{s:s,s:b,s:I}", "uid", repo->uid, "private", repo->is_private, "created",
                          (json_int_t)repo->created_s);
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    int rc = text != NULL ? ft_repo_store(r, key, text, strlen(text), if_match, err)
                          : ft_err_set(err, FT_ENOMEM, "out of memory");
    free(text);
    return rc;
}

int ft_repo_get(struct ft_repos *r, enum ft_repo_kind kind, const char *org, const char *name,
                struct ft_repo *ret, struct ft_err *err)
{
    char at[FT_REPO_ORG_MAX + FT_REPO_NAME_MAX + 2], moved[sizeof at], etag[FT_BLOB_ETAG_MAX + 1];
    struct ft_err bad;
    if (ft_repo_name_check(org, name, &bad) != 0)
        return no_repo(kind, org, name, err);
    snprintf(at, sizeof at, "%s/%s", org, name);
    for (int i = 0; i < MOVES_MAX; i++) {
        char *slash = strchr(at, '/');
        if (slash == NULL)
            break;
        *slash = '\0';
        int rc = load(r, kind, at, slash + 1, ret, moved, etag, err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            break;
        if (moved[0] == '\0')
            return 0;
        strcpy(at, moved);
    }
    return no_repo(kind, org, name, err);
}

static int is_there(const struct ft_repo *repo, struct ft_err *err)
{
    return ft_repo_err(err, FT_EEXIST, FT_REPO_IS_THERE, "there is a %s '%s/%s' already",
                       ft_repo_kind_name(repo->kind), repo->org, repo->name);
}

/* Takes a name that is free, or that a repository had before it moved. */
static int claim(struct ft_repos *r, const struct ft_repo *repo, struct ft_err *err)
{
    struct ft_repo other;
    char moved[FT_REPO_ORG_MAX + FT_REPO_NAME_MAX + 2], etag[FT_BLOB_ETAG_MAX + 1] = "";
    int rc = load(r, repo->kind, repo->org, repo->name, &other, moved, etag, err);
    if (rc < 0)
        return rc;
    if (rc > 0 && moved[0] == '\0')
        return is_there(repo, err);
    rc = store(r, repo, rc > 0 ? etag : "", err);
    return rc == FT_EBUSY ? is_there(repo, err) : rc;
}

int ft_repo_create(struct ft_repos *r, enum ft_repo_kind kind, const char *org, const char *name,
                   bool is_private, const char *author, struct ft_repo *ret, struct ft_err *err)
{
    struct ft_repo repo = {.kind = kind, .is_private = is_private, .created_s = ft_repo_now_s(r)};
    uint8_t random[16];
    char first[FT_REPO_OID_BYTES];
    int rc = ft_repo_name_check(org, name, err);
    if (rc != 0)
        return rc;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return ft_err_sys(err, "random bytes");
    ft_hex(random, sizeof random, repo.uid);
    snprintf(repo.org, sizeof repo.org, "%s", org);
    snprintf(repo.name, sizeof repo.name, "%s", name);
    rc = ft_repo_branch_empty(r, &repo, "main", author, true, first,
                              err); /* under an id that nobody knows before the name */
    if (rc == 0)
        rc = claim(r, &repo, err);
    if (rc == 0)
        *ret = repo;
    return rc;
}

int ft_repo_set_private(struct ft_repos *r, const struct ft_repo *repo, bool is_private,
                        struct ft_err *err)
{
    char moved[FT_REPO_ORG_MAX + FT_REPO_NAME_MAX + 2], etag[FT_BLOB_ETAG_MAX + 1];
    struct ft_repo now;
    int rc = FT_EBUSY;
    for (int i = 0; rc == FT_EBUSY && i < TRIES_MAX; i++) {
        rc = load(r, repo->kind, repo->org, repo->name, &now, moved, etag, err);
        if (rc == 0 || (rc > 0 && (moved[0] != '\0' || strcmp(now.uid, repo->uid) != 0)))
            return no_repo(repo->kind, repo->org, repo->name, err);
        if (rc < 0)
            return rc;
        now.is_private = is_private;
        rc = store(r, &now, etag, err);
    }
    return rc;
}

int ft_repo_move(struct ft_repos *r, struct ft_repo *repo, const char *org, const char *name,
                 struct ft_err *err)
{
    struct ft_repo to = *repo;
    char key[FT_REPO_KEY_MAX], text[512];
    int rc = ft_repo_name_check(org, name, err);
    if (rc != 0 || (strcmp(org, repo->org) == 0 && strcmp(name, repo->name) == 0))
        return rc;
    snprintf(to.org, sizeof to.org, "%s", org);
    snprintf(to.name, sizeof to.name, "%s", name);
    rc = claim(r, &to, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&r->using);
    r->n_moves++;
    pthread_mutex_unlock(&r->using);
    /* both names are its until this is written: a process that dies in between loses nothing */
    name_key(repo->kind, repo->org, repo->name, key);
    snprintf(text, sizeof text, "{\"moved\":\"%s/%s\"}", org, name);
    rc = ft_repo_store(r, key, text, strlen(text), NULL, err);
    if (rc == 0)
        *repo = to;
    return rc;
}

struct removing {
    struct ft_repos *r;
    int *left; /* NULL: no bound */
};

static int remove_key(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    const struct removing *m = ctx;
    struct ft_err err;
    (void)size;
    (void)modified_s;
    if (m->left != NULL && --*m->left < 0) {
        *m->left = 0;
        return 1;
    }
    ft_repo_unlink(m->r, key, &err); /* what stays, the collection takes */
    return 0;
}

int ft_repo_delete(struct ft_repos *r, const struct ft_repo *repo, int *left, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    struct ft_err later;
    struct removing m = {r, left};
    name_key(repo->kind, repo->org, repo->name, key);
    int rc = ft_repo_unlink(r, key, err);
    if (left != NULL && *left > 0)
        --*left;
    if (rc != 0)
        return rc;
    snprintf(key, sizeof key, "u/%s/", repo->uid);
    ft_repo_each(r, key, remove_key, &m, &later);
    return 0;
}

/* ---- lists ---- */

struct listing {
    struct ft_repos *r;
    enum ft_repo_kind kind;
    ft_repo_fn *fn;
    void *ctx;
    struct ft_err *err;
};

static int on_name(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    struct listing *l = ctx;
    struct ft_repo repo;
    char org[FT_REPO_KEY_MAX], moved[FT_REPO_ORG_MAX + FT_REPO_NAME_MAX + 2];
    char etag[FT_BLOB_ETAG_MAX + 1];
    (void)size;
    (void)modified_s;
    snprintf(org, sizeof org, "%s", key + strlen("n/") + strlen(ft_repo_kind_name(l->kind)) + 1);
    char *slash = strchr(org, '/');
    if (slash == NULL)
        return 0;
    *slash = '\0';
    int rc = load(l->r, l->kind, org, slash + 1, &repo, moved, etag, l->err);
    return rc <= 0 || moved[0] != '\0' ? FT_MIN(rc, 0) : l->fn(l->ctx, &repo);
}

int ft_repo_list(struct ft_repos *r, enum ft_repo_kind kind, const char *org, ft_repo_fn *fn,
                 void *ctx, struct ft_err *err)
{
    struct listing l = {.r = r, .kind = kind, .fn = fn, .ctx = ctx, .err = err};
    char prefix[FT_REPO_KEY_MAX];
    snprintf(prefix, sizeof prefix, "n/%s/%s%s", ft_repo_kind_name(kind), org != NULL ? org : "",
             org != NULL ? "/" : "");
    return ft_repo_each(r, prefix, on_name, &l, err);
}
