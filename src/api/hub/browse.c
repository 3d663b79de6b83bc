/* Trees, paths, branches, tags and commits of a repository. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/hub/impl.h"
#include "net/date.h"
#include "net/url.h"

#define COMMITS_PAGE 50

/* ---- entries ---- */

static void put_last_commit(struct hub_call *c, json_t *o, const char *commit)
{
    static const struct ft_repo_commit_head none;
    struct ft_repo_commit_head h = none;
    struct ft_err err;
    char date[FT_DATE_MAX];
    if (ft_repo_commit_head(c->hub->repos, &c->repo, commit, &h, &err) != 0)
        return; /* before history that was collected */
    ft_date_iso(h.date_s * 1000000000, date);
    json_object_set_new(o, "lastCommit",
                        json_pack("{s:s,s:s,s:s}", "id", h.id, "title", h.title, "date", date));
}

static json_t *file_entry(struct hub_call *c, const struct ft_repo_file *f, bool expand)
{
    json_t *o = json_pack("{s:s,s:s,s:I,s:s}", "type", "file", "oid", f->oid, "size",
                          (json_int_t)f->size, "path", f->path);
    if (f->lfs)
        json_object_set_new(o, "lfs",
                            json_pack("{s:s,s:I,s:i}", "oid", f->sha256, "size",
                                      (json_int_t)f->size, "pointerSize",
                                      ft_repo_pointer_bytes(f)));
    if (expand)
        put_last_commit(c, o, f->commit);
    return o;
}

/* The folder that files [0..n) of the tree lie in; its last commit is the newest of theirs. */
static json_t *folder_entry(struct hub_call *c, const char *path, const struct ft_repo_file *files,
                            int n, bool expand)
{
    char oid[FT_REPO_OID_BYTES] = "";
    struct ft_err err;
    ft_repo_folder_oid(files, n, strlen(path) + 1, oid, &err);
    json_t *o =
        json_pack("{s:s,s:s,s:i,s:s}", "type", "directory", "oid", oid, "size", 0, "path", path);
    if (expand)
        put_last_commit(c, o, files[0].commit);
    return o;
}

/* ---- tree ---- */

struct page {
    struct hub_call *c;
    json_t *list;
    const char *after; /* cursor: the path of the last entry before */
    int limit;
    bool expand, more;
};

/* False: the page is full. */
static bool add(struct page *p, const char *path, const struct ft_repo_file *files, int n)
{
    if (p->after != NULL) {
        if (strcmp(path, p->after) == 0)
            p->after = NULL;
        return true;
    }
    if ((int)json_array_size(p->list) == p->limit) {
        p->more = true;
        return false;
    }
    json_array_append_new(p->list, n > 0 ? folder_entry(p->c, path, files, n, p->expand)
                                         : file_entry(p->c, files, p->expand));
    return true;
}

/* Files [0..n), all under the folder of n_prefix bytes; as deep as paths are. False: full. */
static bool list_folder(struct page *p, const struct ft_repo_file *f, int n, size_t n_prefix,
                        bool recursive)
{
    for (int i = 0; i < n;) {
        const char *slash = strchr(f[i].path + n_prefix, '/');
        char path[FT_REPO_PATH_MAX + 1];
        int end = i + 1;
        if (slash == NULL) {
            if (!add(p, f[i].path, &f[i], 0))
                return false;
            i++;
            continue;
        }
        size_t len = (size_t)(slash - f[i].path);
        snprintf(path, sizeof path, "%.*s", (int)len, f[i].path);
        while (end < n && strncmp(f[end].path, f[i].path, len + 1) == 0)
            end++;
        if (!add(p, path, f + i, end - i) ||
            (recursive && !list_folder(p, f + i, end - i, len + 1, true)))
            return false;
        i = end;
    }
    return true;
}

int hub_tree(struct hub_call *c)
{
    struct ft_err err = {0};
    const struct ft_repo_tree *t = NULL;
    int n, limit = 0, rc = hub_limit(c, FT_HUB_PAGE_MAX, &limit);
    if (rc != 0)
        return rc;
    rc = ft_repo_tree(c->hub->repos, &c->repo, c->commit, &t, &err);
    if (rc != 0)
        return hub_fail_err(c, &err);
    int first = ft_repo_tree_folder(t, c->path, &n);
    if (n == 0 && c->path[0] != '\0') {
        rc = ft_repo_tree_file(t, c->path) != NULL
                 ? hub_fail(c, 400, NULL, "'%.200s' is a file, no folder", c->path)
                 : hub_fail(c, 404, "EntryNotFound", "there is no folder '%.200s'", c->path);
        ft_repo_tree_unref(c->hub->repos, t);
        return rc;
    }
    struct page p = {.c = c,
                     .list = json_array(),
                     .after = hub_param(c, "cursor"),
                     .limit = limit,
                     .expand = hub_flag(c, "expand")};
    list_folder(&p, t->file + first, n, c->path[0] != '\0' ? strlen(c->path) + 1 : 0,
                hub_flag(c, "recursive"));
    if (p.more)
        hub_next(c, json_string_value(json_object_get(
                        json_array_get(p.list, json_array_size(p.list) - 1), "path")));
    ft_repo_tree_unref(c->hub->repos, t);
    return hub_json(c, 200, p.list);
}

/* ---- paths ---- */

/* JSON, or a form: {paths, expand}. 0, or a status that was sent. */
static int read_paths(struct hub_call *c, json_t **ret_paths, bool *ret_expand)
{
    const char *type = ft_http_header(c->x, "content-type");
    if (type == NULL || strncasecmp(type, "application/x-www-form-urlencoded", 33) != 0) {
        json_t *body = NULL;
        int rc = hub_body(c, &body);
        if (rc != 0)
            return rc;
        const json_t *paths = json_object_get(body, "paths");
        *ret_paths = json_is_string(paths) ? json_pack("[O]", paths) : json_incref((json_t *)paths);
        *ret_expand = json_is_true(json_object_get(body, "expand"));
        json_decref(body);
        return json_is_array(*ret_paths) ? 0 : hub_fail(c, 400, NULL, "paths: must be a list");
    }
    struct ft_buf b;
    size_t at = 0;
    const char *name, *value;
    ft_buf_init(&b, FT_HUB_JSON_MAX);
    int rc = hub_body_text(c, &b);
    *ret_paths = json_array();
    while (rc == 0 && b.len > 0 &&
           ft_url_param_next(b.data, &at, &c->x->arena, &name, &value, NULL) > 0) {
        if (strcmp(name, "paths") == 0)
            json_array_append_new(*ret_paths, json_string(value));
        else if (strcmp(name, "expand") == 0)
            *ret_expand = strcasecmp(value, "true") == 0 || strcmp(value, "1") == 0;
    }
    ft_buf_fini(&b);
    return rc;
}

int hub_paths_info(struct hub_call *c)
{
    struct ft_err err = {0};
    const struct ft_repo_tree *t = NULL;
    json_t *paths = NULL, *p, *list = json_array();
    bool expand = false;
    size_t i;
    int rc = read_paths(c, &paths, &expand);
    if (rc == 0 && ft_repo_tree(c->hub->repos, &c->repo, c->commit, &t, &err) != 0)
        rc = hub_fail_err(c, &err);
    json_array_foreach(paths, i, p)
    {
        const char *path = json_string_value(p);
        int n = 0;
        if (rc != 0 || path == NULL)
            break;
        const struct ft_repo_file *f = ft_repo_tree_file(t, path);
        int first = f == NULL && path[0] != '\0' ? ft_repo_tree_folder(t, path, &n) : 0;
        if (f != NULL)
            json_array_append_new(list, file_entry(c, f, expand));
        else if (n > 0)
            json_array_append_new(list, folder_entry(c, path, t->file + first, n, expand));
    }
    ft_repo_tree_unref(c->hub->repos, t);
    json_decref(paths);
    if (rc != 0) {
        json_decref(list);
        return rc;
    }
    return hub_json(c, 200, list);
}

/* ---- refs ---- */

struct refs {
    json_t *list;
    const char *prefix;
};

static int on_ref(void *ctx, const char *name, const char *commit)
{
    struct refs *r = ctx;
    char ref[FT_REPO_REF_MAX + 16];
    snprintf(ref, sizeof ref, "%s%s", r->prefix, name);
    json_array_append_new(
        r->list, json_pack("{s:s,s:s,s:s}", "name", name, "ref", ref, "targetCommit", commit));
    return json_array_size(r->list) >= FT_REPO_REFS_MAX;
}

int hub_refs(struct hub_call *c)
{
    struct ft_err err = {0};
    struct refs b = {json_array(), "refs/heads/"}, t = {json_array(), "refs/tags/"};
    int rc = ft_repo_ref_list(c->hub->repos, &c->repo, FT_REPO_BRANCH, on_ref, &b, &err);
    if (rc >= 0)
        rc = ft_repo_ref_list(c->hub->repos, &c->repo, FT_REPO_TAG, on_ref, &t, &err);
    if (rc < 0) {
        json_decref(b.list);
        json_decref(t.list);
        return hub_fail_err(c, &err);
    }
    return hub_json(c, 200,
                    json_pack("{s:o,s:[],s:o,s:[]}", "branches", b.list, "converts", "tags", t.list,
                              "pullRequests"));
}

/* The name behind ".../branch/", perhaps with '/' that were not encoded. */
static const char *ref_name(struct hub_call *c)
{
    struct ft_buf b;
    ft_buf_init(&b, 1024);
    for (int i = 5; i < c->n_parts; i++)
        ft_buf_addf(&b, "%s%s", i > 5 ? "/" : "", c->part[i]);
    const char *own = ft_arena_strndup(&c->x->arena, b.len > 0 ? b.data : "", b.len);
    ft_buf_fini(&b);
    return own != NULL ? own : "";
}

static int put_ref(struct hub_call *c, enum ft_repo_ref kind, const char *name, const char *from,
                   bool overwrite)
{
    struct ft_err err = {0};
    int rc = ft_repo_resolve(c->hub->repos, &c->repo, from, c->commit, NULL, &err);
    if (rc == 0)
        rc = ft_repo_ref_set(c->hub->repos, &c->repo, kind, name, c->commit, overwrite, &err);
    if (rc != 0)
        return hub_fail_err(c, &err);
    return hub_json(c, 200, json_pack("{s:s,s:s}", "name", name, "targetCommit", c->commit));
}

static int delete_ref(struct hub_call *c, enum ft_repo_ref kind)
{
    struct ft_err err = {0};
    if (ft_repo_ref_delete(c->hub->repos, &c->repo, kind, ref_name(c), &err) != 0)
        return hub_fail_err(c, &err);
    return hub_json(c, 200, json_object());
}

int hub_branch(struct hub_call *c)
{
    json_t *body = NULL;
    if (strcmp(c->x->method, "DELETE") == 0)
        return delete_ref(c, FT_REPO_BRANCH);
    int rc = c->x->content_length == 0 ? 0 : hub_body(c, &body);
    const char *from = json_string_value(json_object_get(body, "startingPoint"));
    if (rc == 0 && json_is_true(json_object_get(body, "emptyBranch")))
        rc = hub_fail(c, 501, NULL, "emptyBranch: a branch begins at a revision here");
    if (rc == 0)
        rc = put_ref(c, FT_REPO_BRANCH, ref_name(c), from != NULL ? from : "main",
                     json_is_true(json_object_get(body, "overwrite")));
    json_decref(body);
    return rc;
}

/* POST .../tag/REV {"tag": NAME}; DELETE .../tag/NAME */
int hub_tag(struct hub_call *c)
{
    json_t *body = NULL;
    if (strcmp(c->x->method, "DELETE") == 0)
        return delete_ref(c, FT_REPO_TAG);
    int rc = hub_body(c, &body);
    const char *name = json_string_value(json_object_get(body, "tag"));
    if (rc == 0 && name == NULL)
        rc = hub_fail(c, 400, NULL, "tag: is missing");
    if (rc == 0)
        rc = put_ref(c, FT_REPO_TAG, name, c->n_parts > 5 ? ref_name(c) : "main", false);
    json_decref(body);
    return rc;
}

/* ---- commits ---- */

static json_t *commit_entry(const struct ft_repo_commit_head *h)
{
    char date[FT_DATE_MAX];
    ft_date_iso(h->date_s * 1000000000, date);
    return json_pack("{s:s,s:s,s:s,s:[{s:s,s:s}],s:s}", "id", h->id, "title", h->title, "message",
                     h->message, "authors", "user", h->author, "avatar", "", "date", date);
}

int hub_commits(struct hub_call *c)
{
    struct ft_err err = {0};
    const char *cursor = hub_param(c, "cursor");
    char at[FT_REPO_OID_BYTES];
    int limit = 0, rc = hub_limit(c, COMMITS_PAGE, &limit);
    if (rc != 0)
        return rc;
    json_t *list = json_array();
    if (cursor != NULL && (strlen(cursor) != 40 || strspn(cursor, "0123456789abcdef") != 40)) {
        json_decref(list);
        return hub_fail(c, 400, NULL, "cursor: is none of this list");
    }
    snprintf(at, sizeof at, "%s", cursor != NULL ? cursor : c->commit);
    struct ft_repo_commit_head *h = calloc(1, sizeof *h);
    if (h == NULL)
        rc = ft_err_set(&err, FT_ENOMEM, "out of memory");
    for (int i = 0; rc == 0 && i < limit && at[0] != '\0'; i++) {
        rc = ft_repo_commit_head(c->hub->repos, &c->repo, at, h, &err);
        if (rc == FT_ENOTFOUND && i > 0) { /* history that was collected */
            at[0] = '\0';
            rc = 0;
            break;
        }
        if (rc == 0) {
            json_array_append_new(list, commit_entry(h));
            memcpy(at, h->parent, sizeof at);
            if (i == 0 && cursor == NULL) {
                char total[24];
                snprintf(total, sizeof total, "%lld", (long long)h->number);
                hub_field(c, "X-Total-Count", total);
            }
        }
    }
    free(h);
    if (rc != 0) {
        json_decref(list);
        return hub_fail_err(c, &err);
    }
    if (at[0] != '\0')
        hub_next(c, at);
    return hub_json(c, 200, list);
}
