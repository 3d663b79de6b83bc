/* ModelScope's way to fetch: the list of files, revisions, a file. Its usual branch is "master",
 * which is main here. */
#include <stdio.h>
#include <string.h>

#include "api/hub/impl.h"

static int answer(struct hub_call *c, json_t *data)
{
    return hub_json(c, 200,
                    json_pack("{s:i,s:s,s:s,s:b,s:o}", "Code", 200, "Message", "success",
                              "RequestId", c->who->request_id, "Success", 1, "Data", data));
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
    return json_pack("{s:s#,s:s#,s:s,s:I,s:s,s:s,s:b,s:s}", "Name", name, (int)(path + n - name),
                     "Path", path, (int)n, "Type", f != NULL ? "blob" : "tree", "Size",
                     (json_int_t)(f != NULL ? f->size : 0), "Sha256", f != NULL ? f->sha256 : "",
                     "Id", f != NULL ? f->oid : "", "IsLFS", f != NULL && f->lfs, "Mode",
                     f != NULL ? "33188" : "16384");
}

static int files(struct hub_call *c)
{
    struct ft_err err = {0};
    const struct ft_repo_tree *t = NULL;
    const char *root = hub_param(c, "Root");
    bool recursive = hub_flag(c, "Recursive");
    json_t *list = json_array();
    int n, rc = ft_repo_tree(c->hub->repos, &c->repo, c->commit, &t, &err);
    if (rc != 0) {
        json_decref(list);
        return hub_fail_err(c, &err);
    }
    int first = ft_repo_tree_folder(t, root != NULL ? root : "", &n);
    size_t skip = root != NULL && root[0] != '\0' ? strlen(root) + 1 : 0;
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

static int on_ref(void *ctx, const char *name, const char *commit)
{
    (void)commit;
    return json_array_append_new(ctx, json_pack("{s:s}", "Revision", name));
}

static int revisions(struct hub_call *c)
{
    struct ft_err err = {0};
    json_t *branches = json_array(), *tags = json_array();
    int rc = ft_repo_ref_list(c->hub->repos, &c->repo, FT_REPO_BRANCH, on_ref, branches, &err);
    if (rc == 0)
        rc = ft_repo_ref_list(c->hub->repos, &c->repo, FT_REPO_TAG, on_ref, tags, &err);
    if (rc != 0) {
        json_decref(branches);
        json_decref(tags);
        return hub_fail_err(c, &err);
    }
    return answer(c, json_pack("{s:{s:o,s:o}}", "RevisionMap", "Branches", branches, "Tags", tags));
}

/* /api/v1/models/ORG/NAME/repo, .../repo/files, .../revisions */
int hub_scope(struct hub_call *c)
{
    const char *a = c->n_parts > 5 ? c->part[5] : "", *b = c->n_parts > 6 ? c->part[6] : "";
    bool get = strcmp(c->x->method, "GET") == 0 || strcmp(c->x->method, "HEAD") == 0;
    int rc = hub_repo(c, FT_REPO_MODEL, 3, false);
    if (rc != 0)
        return rc;
    if (get && c->n_parts == 6 && strcmp(a, "revisions") == 0)
        return revisions(c);
    if (!get || strcmp(a, "repo") != 0)
        return hub_fail(c, 404, NULL, "the hub has no %s %.200s", c->x->method, c->x->target);
    rc = revision(c);
    if (rc == 0 && c->n_parts == 7 && strcmp(b, "files") == 0)
        return files(c);
    if (rc == 0 && c->n_parts == 6) {
        const char *path = hub_param(c, "FilePath");
        c->path = path != NULL ? path : "";
        return hub_resolve(c);
    }
    return rc != 0 ? rc
                   : hub_fail(c, 404, NULL, "the hub has no %s %.200s", c->x->method, c->x->target);
}
