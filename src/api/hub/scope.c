/* ModelScope's way to fetch: whether a model is there, its revisions, the list of files, a file.
 * Its usual branch is "master", which is main here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/hub/impl.h"

#define SCOPE_PRIVATE 1 /* ModelScope's numbers for who sees a model */
#define SCOPE_PUBLIC  5

static int answer(struct hub_call *c, json_t *data)
{
    return hub_json(c, 200,
                    json_pack("{s:i,s:s,s:s,s:b,s:o}", "Code", 200, "Message", "success",
                              "RequestId", c->who->request_id, "Success", 1, "Data", data));
}

void hub_scope_error(const struct hub_call *c, int status, const char *msg, json_t *body)
{
    json_object_set_new(body, "Code", json_integer(status));
    json_object_set_new(body, "Message", json_string(msg));
    json_object_set_new(body, "RequestId", json_string(c->who->request_id));
    json_object_set_new(body, "Success", json_false());
}

/* ModelScope's usual branch, unless there is one of the name. */
static const char *master(struct hub_call *c, const char *rev)
{
    struct ft_err err;
    char commit[FT_REPO_OID_BYTES];
    bool is = strcmp(rev, "master") == 0 &&
              ft_repo_resolve(c->hub->repos, &c->repo, rev, commit, NULL, &err) == FT_ENOTFOUND;
    return is ? "main" : rev;
}

void hub_scope_master(struct hub_call *c, int at)
{
    if (at < c->n_parts)
        c->part[at] = master(c, c->part[at]);
}

static int revision(struct hub_call *c)
{
    const char *rev = hub_param(c, "Revision");
    struct ft_err err = {0};
    c->rev = rev == NULL || rev[0] == '\0' ? "main" : master(c, rev);
    int rc = ft_repo_resolve(c->hub->repos, &c->repo, c->rev, c->commit, NULL, &err);
    if (rc != 0)
        return hub_fail_err(c, &err);
    hub_field(c, "X-Repo-Commit", c->commit);
    return 0;
}

static json_t *entry(const char *path, size_t n, const struct ft_repo_file *f)
{
    const char *name = path;
    for (const char *p = path; p < path + n; p++)
        if (*p == '/')
            name = p + 1;
    return json_pack("{s:s#,s:s#,s:s,s:I,s:s,s:s,s:s,s:b,s:s}", "Name", name,
                     (int)(path + n - name), "Path", path, (int)n, "Type",
                     f != NULL ? "blob" : "tree", "Size", (json_int_t)(f != NULL ? f->size : 0),
                     "Sha256", f != NULL ? f->sha256 : "", "Id", f != NULL ? f->oid : "",
                     "Revision", f != NULL ? f->commit : "", "IsLFS", f != NULL && f->lfs, "Mode",
                     f != NULL ? "33188" : "16384");
}

/* The folder that is asked for, without the '/' around it; "": all. */
static const char *root_of(struct hub_call *c)
{
    const char *root = hub_param(c, "Root");
    root = root != NULL ? root + strspn(root, "/") : "";
    size_t n = strlen(root);
    while (n > 0 && root[n - 1] == '/')
        n--;
    const char *own = ft_arena_strndup(&c->x->arena, root, n);
    return own != NULL ? own : "";
}

static int files(struct hub_call *c)
{
    struct ft_err err = {0};
    const struct ft_repo_tree *t = NULL;
    const char *root = root_of(c);
    bool recursive = hub_flag(c, "Recursive");
    json_t *list = json_array();
    int n, rc = ft_repo_tree(c->hub->repos, &c->repo, c->commit, &t, &err);
    if (rc != 0) {
        json_decref(list);
        return hub_fail_err(c, &err);
    }
    int first = ft_repo_tree_folder(t, root, &n);
    size_t skip = root[0] != '\0' ? strlen(root) + 1 : 0;
    if (n == 0 && root[0] != '\0') {
        ft_repo_tree_unref(c->hub->repos, t);
        json_decref(list);
        return hub_fail(c, 404, "EntryNotFound", "there is no folder '%.200s'", root);
    }
    const char *before = "";
    for (int i = first; i < first + n; i++) {
        const struct ft_repo_file *f = &t->file[i];
        const char *slash = strchr(f->path + skip, '/');
        /* folders as they are entered */
        for (; slash != NULL; slash = recursive ? strchr(slash + 1, '/') : NULL) {
            size_t len = (size_t)(slash - f->path);
            if (strncmp(before, f->path, len + 1) != 0)
                json_array_append_new(list, entry(f->path, len, NULL));
        }
        if (recursive || strchr(f->path + skip, '/') == NULL)
            json_array_append_new(list, entry(f->path, strlen(f->path), f));
        before = f->path;
    }
    ft_repo_tree_unref(c->hub->repos, t);
    return answer(c, json_pack("{s:o}", "Files", list));
}

struct refs {
    struct hub_call *c;
    json_t *list;
};

static int on_ref(void *ctx, const char *name, const char *commit)
{
    struct refs *r = ctx;
    struct ft_err err;
    struct ft_repo_commit_head *h = calloc(1, sizeof *h);
    if (h != NULL && ft_repo_commit_head(r->c->hub->repos, &r->c->repo, commit, h, &err) == 0)
        json_array_append_new(r->list, json_pack("{s:s,s:I,s:s}", "Revision", name, "CreatedAt",
                                                 (json_int_t)h->date_s, "CommitId", commit));
    free(h);
    return 0;
}

/* Clients look for their "master" before they ask for it. */
static void add_master(struct hub_call *c, json_t *branches)
{
    struct ft_err err;
    struct refs r = {c, branches};
    char commit[FT_REPO_OID_BYTES];
    if (strcmp(master(c, "master"), "main") == 0 &&
        ft_repo_resolve(c->hub->repos, &c->repo, "main", commit, NULL, &err) == 0)
        on_ref(&r, "master", commit);
}

static int revisions(struct hub_call *c)
{
    struct ft_err err = {0};
    struct refs b = {c, json_array()}, t = {c, json_array()};
    int rc = ft_repo_ref_list(c->hub->repos, &c->repo, FT_REPO_BRANCH, on_ref, &b, &err);
    if (rc == 0)
        rc = ft_repo_ref_list(c->hub->repos, &c->repo, FT_REPO_TAG, on_ref, &t, &err);
    if (rc != 0) {
        json_decref(b.list);
        json_decref(t.list);
        return hub_fail_err(c, &err);
    }
    add_master(c, b.list);
    return answer(c, json_pack("{s:{s:o,s:o}}", "RevisionMap", "Branches", b.list, "Tags", t.list));
}

/* What a model is: clients ask whether it is there. */
static int model(struct hub_call *c)
{
    struct ft_err err = {0};
    int64_t all = 0, month = 0;
    if (ft_repo_downloads(c->hub->repos, &c->repo, &all, &month, &err) != 0)
        return hub_fail_err(c, &err);
    return answer(c, json_pack("{s:s,s:s,s:i,s:I,s:I}", "Name", c->repo.name, "Path", c->repo.org,
                               "Visibility", c->repo.is_private ? SCOPE_PRIVATE : SCOPE_PUBLIC,
                               "Downloads", (json_int_t)all, "CreatedTime",
                               (json_int_t)c->repo.created_s));
}

/* /api/v1/models/ORG/NAME, .../repo, .../repo/files, .../revisions */
int hub_scope(struct hub_call *c)
{
    const char *a = c->n_parts > 5 ? c->part[5] : "", *b = c->n_parts > 6 ? c->part[6] : "";
    bool get = strcmp(c->x->method, "GET") == 0 || strcmp(c->x->method, "HEAD") == 0;
    c->scope = true;
    int rc = hub_repo(c, FT_REPO_MODEL, 3, false);
    if (rc == 0)
        rc = revision(c);
    if (rc != 0)
        return rc;
    if (get && c->n_parts == 5)
        return model(c);
    if (get && c->n_parts == 6 && strcmp(a, "revisions") == 0)
        return revisions(c);
    if (!get || strcmp(a, "repo") != 0)
        return hub_fail(c, 404, NULL, "the hub has no %s %.200s", c->x->method, c->x->target);
    if (c->n_parts == 7 && strcmp(b, "files") == 0)
        return files(c);
    if (c->n_parts == 6) {
        const char *path = hub_param(c, "FilePath");
        c->path = path != NULL ? path : "";
        return hub_resolve(c);
    }
    return hub_fail(c, 404, NULL, "the hub has no %s %.200s", c->x->method, c->x->target);
}
