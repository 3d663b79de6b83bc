/* What nobody can reach any more is removed: documents of commits that no branch or tag leads to,
 * what deleted repositories left, content that no revision holds.
 *
 * Safe beside everything else, because all of it is young before it is reached: a commit's document
 * is written before its branch moves, content before that, and what is younger than the grace stays
 * (of content: also what was asked for since, content.c). A branch that is put on an old commit has
 * that and its content made young first (refs.c). */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "hub/repo/impl.h"

#define HELD_MAX    (1 << 26) /* contents that revisions hold */
#define LINEAGE_MAX 1000000   /* commits of one repository */

struct set {
    struct ft_arena arena;
    struct ft_strmap map;
};

struct collect {
    struct ft_repos *r;
    int64_t before_s; /* older than this may go */
    struct set live;  /* uids that have a name */
    struct set held;  /* contents */
    const atomic_int *stop;
    struct ft_repos_collected done;
    struct ft_err *err;
    /* of the repository that is looked at */
    const char *uid;
    struct set reached;
    /* where a listing of uploads is */
    char upload_key[FT_REPO_KEY_MAX], upload_id[FT_BLOB_UPLOAD_MAX + 1];
};

static int set_init(struct set *s, struct ft_err *err)
{
    ft_arena_init(&s->arena, (size_t)HELD_MAX * 96);
    return ft_strmap_init(&s->map, 0) == 0 ? 0 : ft_err_set(err, FT_ENOMEM, "out of memory");
}

static void set_fini(struct set *s)
{
    ft_strmap_fini(&s->map);
    ft_arena_fini(&s->arena);
}

static bool has(const struct set *s, const char *key)
{
    return ft_strmap_get(&s->map, key, strlen(key), NULL);
}

/* 1: new; 0: there already. */
static int add(struct set *s, const char *key, struct ft_err *err)
{
    if (has(s, key))
        return 0;
    size_t n = strlen(key);
    const char *own = ft_arena_strndup(&s->arena, key, n);
    if (own == NULL || ft_strmap_add(&s->map, own, n, 0) != 0)
        return ft_err_set(err, FT_ENOMEM, "collection: out of memory");
    return 1;
}

static bool stopped(const struct collect *c)
{
    return c->stop != NULL && *c->stop != 0;
}

/* ---- what is reached ---- */

/* A commit and those before it, with the content of each. */
static int reach(struct collect *c, const char *commit)
{
    char at[FT_REPO_OID_BYTES];
    snprintf(at, sizeof at, "%s", commit);
    for (int i = 0; i < LINEAGE_MAX && at[0] != '\0' && !stopped(c); i++) {
        struct ft_repo_tree_held *h = NULL;
        int rc = add(&c->reached, at, c->err);
        if (rc <= 0)
            return rc;
        rc = ft_repo_tree_read(c->r, c->uid, at, &h, c->err);
        for (int k = 0; rc == 0 && k < h->tree.n_files; k++)
            rc = FT_MIN(add(&c->held, h->tree.file[k].sha256, c->err), 0);
        snprintf(at, sizeof at, "%s", rc == 0 ? h->tree.parent : "");
        ft_repo_tree_free(h);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int on_ref(void *ctx, const char *name, const char *commit)
{
    (void)name;
    return reach(ctx, commit);
}

static int drop(struct collect *c, const char *key, int64_t modified_s)
{
    return stopped(c) ? 1 : ft_repo_unlink_old(c->r, key, modified_s, c->err);
}

/* Of a commit's document or what is noted of it: the id. */
static bool commit_of(const char *rest, char ret[FT_REPO_OID_BYTES])
{
    const char *p = strncmp(rest, "commits/", 8) == 0 ? rest + 8
                    : strncmp(rest, "notes/", 6) == 0 ? rest + 6
                                                      : NULL;
    if (p == NULL || strcspn(p, "/") != 40)
        return false;
    snprintf(ret, FT_REPO_OID_BYTES, "%.40s", p);
    return true;
}

static int on_own(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    struct collect *c = ctx;
    char id[FT_REPO_OID_BYTES];
    (void)size;
    const char *rest = strchr(key + 2, '/');
    if (modified_s >= c->before_s || rest == NULL || !commit_of(rest + 1, id) ||
        has(&c->reached, id))
        return 0;
    c->done.revisions += strncmp(rest + 1, "commits/", 8) == 0;
    return drop(c, key, modified_s);
}

static int on_left(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    struct collect *c = ctx;
    (void)size;
    return modified_s < c->before_s ? drop(c, key, modified_s) : 0;
}

/* u/UID/ */
static int on_repo(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    struct collect *c = ctx;
    struct ft_repo repo = {0};
    (void)size;
    (void)modified_s;
    if (strlen(key) != 2 + 32 + 1 || stopped(c))
        return stopped(c);
    snprintf(repo.uid, sizeof repo.uid, "%.32s", key + 2);
    if (!has(&c->live, repo.uid)) {
        c->done.repos++;
        return ft_repo_each(c->r, key, on_left, c, c->err);
    }
    c->uid = repo.uid;
    int rc = set_init(&c->reached, c->err);
    if (rc == 0)
        rc = ft_repo_ref_list(c->r, &repo, FT_REPO_BRANCH, on_ref, c, c->err);
    if (rc == 0)
        rc = ft_repo_ref_list(c->r, &repo, FT_REPO_TAG, on_ref, c, c->err);
    if (rc == 0 && !stopped(c))
        rc = ft_repo_each(c->r, key, on_own, c, c->err);
    set_fini(&c->reached);
    return rc;
}

/* ---- content ---- */

static int on_content(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    struct collect *c = ctx;
    const char *sha256 = key + 2;
    if (stopped(c))
        return 1;
    if (modified_s >= c->before_s || has(&c->held, sha256))
        return 0;
    int rc = ft_repo_content_drop(c->r, sha256, c->before_s, c->err);
    c->done.contents += rc > 0;
    c->done.bytes += rc > 0 ? size : 0;
    return FT_MIN(rc, 0);
}

/* Who had content that is gone has it no more; and parts that were never put together. */
static int on_owner(void *ctx, const char *key, int64_t size, int64_t modified_s)
{
    struct collect *c = ctx;
    (void)size;
    const char *sha256 = strrchr(key, '/') + 1;
    if (modified_s >= c->before_s || has(&c->held, sha256) ||
        ft_repo_was_used(c->r, sha256, c->before_s))
        return stopped(c);
    return drop(c, key, modified_s);
}

/* Parts of what was never put together. */
static int on_upload(void *ctx, const struct ft_blob_upload *u, const char *prefix)
{
    struct collect *c = ctx;
    (void)prefix;
    if (stopped(c))
        return 1;
    snprintf(c->upload_key, sizeof c->upload_key, "%s", u->key);
    snprintf(c->upload_id, sizeof c->upload_id, "%s", u->id);
    if (u->begun_ns / 1000000000 >= c->before_s)
        return 0;
    return 2; /* taken away outside of the listing, which then goes on behind it */
}

static int abort_uploads(struct collect *c)
{
    bool more = true;
    int rc = 0;
    while (rc == 0 && more && !stopped(c)) {
        char after[FT_REPO_KEY_MAX], id[FT_BLOB_UPLOAD_MAX + 1];
        snprintf(after, sizeof after, "%s", c->upload_key);
        snprintf(id, sizeof id, "%s", c->upload_id);
        struct ft_blob_list l = {.bucket = FT_REPO_BUCKET,
                                 .prefix = "s/",
                                 .after = after,
                                 .after_version = id[0] != '\0' ? id : NULL,
                                 .max = FT_BLOB_LIST_MAX};
        rc = ft_blob_uploads(c->r->c.blob, &l, on_upload, c, &more, c->err);
        if (rc == 2) {
            rc = ft_blob_upload_abort(c->r->c.blob, FT_REPO_BUCKET, c->upload_key, c->upload_id,
                                      c->err);
            rc = rc == FT_ENOTFOUND ? 0 : rc;
            more = true;
        }
    }
    return FT_MIN(rc, 0);
}

static int on_live(void *ctx, const struct ft_repo *repo)
{
    struct collect *c = ctx;
    return FT_MIN(add(&c->live, repo->uid, c->err), 0);
}

static int64_t moves(struct ft_repos *r)
{
    pthread_mutex_lock(&r->using);
    int64_t n = r->n_moves;
    pthread_mutex_unlock(&r->using);
    return n;
}

/* All that have a name. One that moves while names are listed may be missed, so then again. */
static int find_live(struct collect *c)
{
    int rc = 0;
    for (int64_t before = -1; rc == 0 && before != moves(c->r) && !stopped(c);) {
        before = moves(c->r);
        rc = ft_repo_list(c->r, FT_REPO_MODEL, NULL, on_live, c, c->err);
        if (rc == 0)
            rc = ft_repo_list(c->r, FT_REPO_DATASET, NULL, on_live, c, c->err);
    }
    return rc;
}

static int run(struct collect *c)
{
    struct ft_repos *r = c->r;
    int rc = find_live(c);
    if (rc == 0 && !stopped(c))
        rc = ft_repo_each_folder(r, "u/", on_repo, c, c->err);
    if (rc == 0 && !stopped(c)) /* only with all that is held known */
        rc = ft_repo_each(r, "c/", on_content, c, c->err);
    if (rc == 0 && !stopped(c))
        rc = ft_repo_each(r, "p/", on_owner, c, c->err);
    if (rc == 0 && !stopped(c))
        rc = ft_repo_each(r, "s/", on_left, c, c->err);
    if (rc == 0 && !stopped(c))
        rc = abort_uploads(c);
    return FT_MIN(rc, 0);
}

int ft_repos_collect(struct ft_repos *r, const atomic_int *stop, struct ft_repos_collected *ret,
                     struct ft_err *err)
{
    struct collect c = {
        .r = r, .before_s = ft_repo_now_s(r) - r->c.grace_s, .stop = stop, .err = err};
    pthread_mutex_lock(&r->using);
    bool alone = !r->collecting;
    r->collecting = true;
    pthread_mutex_unlock(&r->using);
    if (!alone)
        return ft_err_set(err, FT_EBUSY, "a collection runs already");
    int rc = set_init(&c.live, err);
    if (rc == 0)
        rc = set_init(&c.held, err);
    if (rc == 0)
        rc = run(&c);
    if (rc == 0)
        ft_repo_recent_purge(r, c.before_s);
    set_fini(&c.live);
    set_fini(&c.held);
    pthread_mutex_lock(&r->using);
    r->collecting = false;
    pthread_mutex_unlock(&r->using);
    *ret = c.done;
    return rc;
}
