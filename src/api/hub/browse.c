/* Trees, paths, branches, tags and commits of a repository. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/hub/impl.h"
#include "net/date.h"
#include "net/url.h"
#include "net/xml.h"

#define COMMITS_PAGE 50
#define OLD_MAX      1000 /* commits read of a request to learn their numbers */

/* ---- entries ---- */

/* The commits that a listing names, each looked up once: {ID: {"number", "shown"}}. */
struct heads {
    struct hub_call *c;
    json_t *seen; /* NULL: nobody asked */
    int n_old;    /* read for their numbers */
};

static json_t *head_of(struct heads *h, const char *commit)
{
    struct ft_err err;
    char date[FT_DATE_MAX];
    json_t *o = json_object_get(h->seen, commit);
    struct ft_repo_commit_head *k = o == NULL ? calloc(1, sizeof *k) : NULL;
    if (o != NULL || k == NULL)
        return o;
    if (ft_repo_commit_head(h->c->hub->repos, &h->c->repo, commit, k, &err) == 0) {
        ft_date_iso(k->date_s * 1000000000, date);
        o = json_pack("{s:I,s:{s:s,s:s,s:s}}", "number", (json_int_t)k->number, "shown", "id",
                      k->id, "title", k->title, "date", date);
    } else { /* before history that was collected */
        o = json_object();
    }
    json_object_set_new(h->seen, commit, o);
    free(k);
    return o;
}

/* The number of the commit that changed the file last; 0: it would be one read too many. */
static int64_t number_of(struct heads *h, const struct ft_repo_file *f)
{
    if (f->number > 0)
        return f->number;
    if (json_object_get(h->seen, f->commit) == NULL && h->n_old++ >= OLD_MAX)
        return 0;
    return json_integer_value(json_object_get(head_of(h, f->commit), "number"));
}

/* The newest of the commits that changed files[0..n) last. */
static void put_last_commit(struct heads *h, json_t *o, const struct ft_repo_file *files, int n)
{
    const struct ft_repo_file *last = files;
    int64_t newest = n > 1 ? 0 : 1;
    for (int i = 0; n > 1 && i < n; i++) {
        int64_t number = number_of(h, &files[i]);
        if (number > newest)
            last = &files[i];
        newest = FT_MAX(newest, number);
    }
    json_t *shown = newest > 0 ? json_object_get(head_of(h, last->commit), "shown") : NULL;
    if (shown != NULL)
        json_object_set(o, "lastCommit", shown);
}

static json_t *file_entry(struct heads *h, const struct ft_repo_file *f)
{
    json_t *o = json_pack("{s:s,s:s,s:I,s:s}", "type", "file", "oid", f->oid, "size",
                          (json_int_t)f->size, "path", f->path);
    if (f->lfs)
        json_object_set_new(o, "lfs",
                            json_pack("{s:s,s:I,s:i}", "oid", f->sha256, "size",
                                      (json_int_t)f->size, "pointerSize",
                                      ft_repo_pointer_bytes(f)));
    if (h->seen != NULL)
        put_last_commit(h, o, f, 1);
    return o;
}

/* The folder that files [0..n) of the tree lie in. */
static json_t *folder_entry(struct heads *h, const char *path, const struct ft_repo_file *files,
                            int n)
{
    char oid[FT_REPO_OID_BYTES] = "";
    struct ft_err err;
    ft_repo_folder_oid(files, n, strlen(path) + 1, oid, &err);
    json_t *o =
        json_pack("{s:s,s:s,s:i,s:s}", "type", "directory", "oid", oid, "size", 0, "path", path);
    if (h->seen != NULL)
        put_last_commit(h, o, files, n);
    return o;
}

/* ---- tree ---- */

struct page {
    struct heads heads;
    json_t *list;
    const char *after; /* cursor: where the page before ended; NULL: this is the first */
    char *last;        /* the same of this page */
    int limit;
    bool more;
};

/* False: the page is full. Entries come in the order of their paths, a folder's as if it ended in
 * '/': so where a page ended is a place, also when what stood there went meanwhile. */
static bool add(struct page *p, const char *path, const struct ft_repo_file *files, int n)
{
    char place[FT_REPO_PATH_MAX + 2];
    snprintf(place, sizeof place, "%s%s", path, n > 0 ? "/" : "");
    if (p->after != NULL && strcmp(place, p->after) <= 0)
        return true;
    if ((int)json_array_size(p->list) == p->limit) {
        p->more = true;
        return false;
    }
    json_array_append_new(p->list, n > 0 ? folder_entry(&p->heads, path, files, n)
                                         : file_entry(&p->heads, files));
    strcpy(p->last, place);
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
                 ? hub_fail(c, 404, "EntryNotFound", "'%.200s' is a file, no folder", c->path)
                 : hub_fail(c, 404, "EntryNotFound", "there is no folder '%.200s'", c->path);
        ft_repo_tree_unref(c->hub->repos, t);
        return rc;
    }
    char last[FT_REPO_PATH_MAX + 2] = "";
    struct page p = {.heads = {.c = c, .seen = hub_flag(c, "expand") ? json_object() : NULL},
                     .list = json_array(),
                     .after = hub_param(c, "cursor"),
                     .last = last,
                     .limit = limit};
    list_folder(&p, t->file + first, n, c->path[0] != '\0' ? strlen(c->path) + 1 : 0,
                hub_flag(c, "recursive"));
    if (p.more)
        hub_next(c, last);
    json_decref(p.heads.seen);
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
        rc = hub_truth(c, body, "expand", ret_expand);
        if (rc == 0 && !json_is_array(*ret_paths))
            rc = hub_fail(c, 400, NULL, "paths: must be a list");
        json_decref(body);
        return rc;
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
    struct heads heads = {.c = c};
    bool expand = false;
    size_t i;
    int rc = read_paths(c, &paths, &expand);
    heads.seen = expand ? json_object() : NULL;
    if (rc == 0 && ft_repo_tree(c->hub->repos, &c->repo, c->commit, &t, &err) != 0)
        rc = hub_fail_err(c, &err);
    json_array_foreach(paths, i, p)
    {
        const char *path = json_string_value(p);
        int n = 0;
        if (rc == 0 && path == NULL)
            rc = hub_fail(c, 400, NULL, "paths[%zu]: must be a text", i);
        if (rc != 0)
            break;
        const struct ft_repo_file *f = ft_repo_tree_file(t, path);
        int first = f == NULL && path[0] != '\0' ? ft_repo_tree_folder(t, path, &n) : 0;
        if (f != NULL)
            json_array_append_new(list, file_entry(&heads, f));
        else if (n > 0)
            json_array_append_new(list, folder_entry(&heads, path, t->file + first, n));
    }
    ft_repo_tree_unref(c->hub->repos, t);
    json_decref(heads.seen);
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
    return 0;
}

int hub_refs(struct hub_call *c)
{
    struct ft_err err = {0};
    struct refs b = {json_array(), "refs/heads/"}, t = {json_array(), "refs/tags/"};
    int rc = ft_repo_ref_list(c->hub->repos, &c->repo, FT_REPO_BRANCH, on_ref, &b, &err);
    if (rc == 0)
        rc = ft_repo_ref_list(c->hub->repos, &c->repo, FT_REPO_TAG, on_ref, &t, &err);
    if (rc != 0) {
        json_decref(b.list);
        json_decref(t.list);
        return hub_fail_err(c, &err);
    }
    return hub_json(c, 200,
                    json_pack("{s:o,s:[],s:o,s:[]}", "branches", b.list, "converts", "tags", t.list,
                              "pullRequests"));
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
    if (kind == FT_REPO_BRANCH) /* main, perhaps */
        hub_look_later(c->hub, &c->repo);
    return hub_json(c, 200, json_pack("{s:s,s:s}", "name", name, "targetCommit", c->commit));
}

static int delete_ref(struct hub_call *c, enum ft_repo_ref kind)
{
    struct ft_err err = {0};
    if (ft_repo_ref_delete(c->hub->repos, &c->repo, kind, hub_rest(c, 5), &err) != 0)
        return hub_fail_err(c, &err);
    return hub_json(c, 200, json_object());
}

static int make_branch(struct hub_call *c, const json_t *body)
{
    struct ft_err err = {0};
    const char *from = NULL, *name = hub_rest(c, 5);
    bool empty = false, overwrite = false;
    int rc = hub_text(c, body, "startingPoint", &from);
    if (rc == 0)
        rc = hub_truth(c, body, "emptyBranch", &empty);
    if (rc == 0)
        rc = hub_truth(c, body, "overwrite", &overwrite);
    if (rc != 0)
        return rc;
    if (!empty)
        return put_ref(c, FT_REPO_BRANCH, name, from != NULL ? from : "main", overwrite);
    if (from != NULL)
        return hub_fail(c, 400, NULL, "emptyBranch: an empty branch has no startingPoint");
    if (ft_repo_branch_empty(c->hub->repos, &c->repo, name, c->author, overwrite, c->commit,
                             &err) != 0)
        return hub_fail_err(c, &err);
    hub_look_later(c->hub, &c->repo);
    return hub_json(c, 200, json_pack("{s:s,s:s}", "name", name, "targetCommit", c->commit));
}

int hub_branch(struct hub_call *c)
{
    json_t *body = NULL;
    if (strcmp(c->x->method, "DELETE") == 0)
        return delete_ref(c, FT_REPO_BRANCH);
    int rc = c->x->content_length == 0 ? 0 : hub_body(c, &body);
    if (rc == 0)
        rc = make_branch(c, body);
    json_decref(body);
    return rc;
}

/* POST .../tag/REV {"tag": NAME, "message"?}; DELETE .../tag/NAME */
int hub_tag(struct hub_call *c)
{
    json_t *body = NULL;
    const char *name = NULL, *message;
    if (strcmp(c->x->method, "DELETE") == 0)
        return delete_ref(c, FT_REPO_TAG);
    int rc = hub_body(c, &body);
    if (rc == 0)
        rc = hub_text(c, body, "tag", &name);
    if (rc == 0) /* which a tag has only in git */
        rc = hub_text(c, body, "message", &message);
    if (rc == 0 && name == NULL)
        rc = hub_fail(c, 400, NULL, "tag: is missing");
    if (rc == 0)
        rc = put_ref(c, FT_REPO_TAG, name, c->n_parts > 5 ? hub_rest(c, 5) : "main", false);
    json_decref(body);
    return rc;
}

/* ---- commits ---- */

/* As it may stand in a page. */
static json_t *escaped(const char *text)
{
    struct ft_buf b;
    ft_buf_init(&b, 8 * FT_REPO_TEXT_MAX);
    ft_xml_escape(&b, text, strlen(text));
    json_t *o = json_string(b.len > 0 ? b.data : "");
    ft_buf_fini(&b);
    return o;
}

static json_t *commit_entry(const struct ft_repo_commit_head *h, bool formatted)
{
    char date[FT_DATE_MAX];
    ft_date_iso(h->date_s * 1000000000, date);
    json_t *o =
        json_pack("{s:s,s:s,s:s,s:[{s:s,s:s}],s:s}", "id", h->id, "title", h->title, "message",
                  h->message, "authors", "user", h->author, "avatar", "", "date", date);
    if (formatted)
        json_object_set_new(
            o, "formatted",
            json_pack("{s:o,s:o}", "title", escaped(h->title), "message", escaped(h->message)));
    return o;
}

int hub_commits(struct hub_call *c)
{
    struct ft_err err = {0};
    const char *cursor = hub_param(c, "cursor");
    char at[FT_REPO_OID_BYTES];
    bool formatted = hub_expands(c, "formatted");
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
            json_array_append_new(list, commit_entry(h, formatted));
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
