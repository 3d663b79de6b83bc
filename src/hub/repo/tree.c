/* Documents of commits: a line of JSON for the commit, then one line for each file, by path:
 *
 *   SHA256 OID SIZE l|- COMMIT[:NUMBER] PATH
 *
 * NUMBER is the commit's, which older documents do not have: so the newest change of many files is
 * found without their commits.
 *
 * Read whole and kept parsed for a while: trees are shared and never change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/repo/impl.h"

#define LINE_FIXED                                                                                 \
    (64 + 1 + 40 + 1 + 20 + 1 + 1 + 1 + 40 + 1 + 20 + 1) /* at most, without the path */
#define DOC_MAX        ((size_t)FT_REPO_FILES_MAX * (LINE_FIXED + 256) + FT_REPO_SMALL_MAX)
#define FIRST_LINE_MAX FT_REPO_SMALL_MAX

static void doc_key(const char *uid, const char *commit, char ret[FT_REPO_KEY_MAX])
{
    snprintf(ret, FT_REPO_KEY_MAX, "u/%s/commits/%s", uid, commit);
}

int ft_repo_tree_write(struct ft_repos *r, const char *uid, const struct ft_repo_tree *t,
                       struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    struct ft_buf b;
    json_t *head = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I}", "id", t->id, "parent", t->parent,
                             "title", t->title, "message", t->message, "author", t->author, "date",
                             (json_int_t)t->date_s, "number", (json_int_t)t->number);
    char *line = head != NULL ? json_dumps(head, JSON_COMPACT) : NULL;
    json_decref(head);
    if (line == NULL)
        return ft_err_set(err, FT_EINVAL, "the commit's texts are not UTF-8");
    ft_buf_init(&b, DOC_MAX);
    ft_buf_addf(&b, "%s\n", line);
    free(line);
    for (int i = 0; i < t->n_files; i++) {
        const struct ft_repo_file *f = &t->file[i];
        ft_buf_addf(&b, "%s %s %lld %c %s", f->sha256, f->oid, (long long)f->size,
                    f->lfs ? 'l' : '-', f->commit);
        if (f->number > 0)
            ft_buf_addf(&b, ":%lld", (long long)f->number);
        ft_buf_addf(&b, " %s\n", f->path);
    }
    doc_key(uid, t->id, key);
    int rc = b.failed != 0 ? ft_err_set(err, (enum ft_code)b.failed, "the revision is too large")
                           : ft_repo_store(r, key, b.data, b.len, NULL, err);
    ft_buf_fini(&b);
    return rc;
}

/* ---- reading ---- */

static int broken(const char *commit, struct ft_err *err)
{
    return ft_err_set(err, FT_ECORRUPT, "commit %s: its document is broken", commit);
}

static const char *keep(struct ft_arena *a, const json_t *o, const char *member)
{
    const char *s = json_string_value(json_object_get(o, member));
    return ft_arena_strndup(a, s != NULL ? s : "", s != NULL ? strlen(s) : 0);
}

static int read_head(struct ft_repo_tree_held *h, const json_t *o, const char *commit,
                     struct ft_err *err)
{
    struct ft_repo_tree *t = &h->tree;
    const char *id = json_string_value(json_object_get(o, "id"));
    const char *parent = json_string_value(json_object_get(o, "parent"));
    if (id == NULL || strcmp(id, commit) != 0 || parent == NULL || strlen(parent) > 40)
        return broken(commit, err);
    strcpy(t->id, id);
    strcpy(t->parent, parent);
    t->title = keep(&h->arena, o, "title");
    t->message = keep(&h->arena, o, "message");
    t->author = keep(&h->arena, o, "author");
    t->date_s = json_integer_value(json_object_get(o, "date"));
    t->number = json_integer_value(json_object_get(o, "number"));
    return t->title != NULL && t->message != NULL && t->author != NULL
               ? 0
               : ft_err_set(err, FT_ENOMEM, "out of memory");
}

static int read_line(struct ft_repo_file *f, char *line, const char *commit, struct ft_err *err)
{
    char flag;
    int at = 0;
    long long size;
    if (sscanf(line, "%64[0-9a-f] %40[0-9a-f] %lld %c %40[0-9a-f]%n", f->sha256, f->oid, &size,
               &flag, f->commit, &at) != 5 ||
        at == 0 || size < 0)
        return broken(commit, err);
    char *end = line + at;
    f->number = *end == ':' ? strtoll(end + 1, &end, 10) : 0;
    if (*end != ' ' || end[1] == '\0' || f->number < 0)
        return broken(commit, err);
    f->size = size;
    f->lfs = flag == 'l';
    f->path = end + 1; /* which may begin with spaces */
    return 0;
}

/* text: NUL-terminated, of the held arena; lines become strings. */
static int parse(struct ft_repo_tree_held *h, char *text, size_t n, const char *commit,
                 struct ft_err *err)
{
    char *end = memchr(text, '\n', n);
    json_t *o = end != NULL ? json_loadb(text, (size_t)(end - text), 0, NULL) : NULL;
    int rc = o != NULL ? read_head(h, o, commit, err) : broken(commit, err);
    json_decref(o);
    size_t lines = 0;
    for (const char *p = end; rc == 0 && (p = memchr(p + 1, '\n', n - (size_t)(p + 1 - text)));)
        lines++;
    if (rc != 0)
        return rc;
    if (lines > FT_REPO_FILES_MAX)
        return broken(commit, err);
    h->tree.file = ft_arena_array(&h->arena, lines > 0 ? lines : 1, sizeof *h->tree.file);
    if (h->tree.file == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    for (char *line = end + 1; rc == 0 && line < text + n; line = end + 1) {
        end = memchr(line, '\n', n - (size_t)(line - text));
        if (end == NULL)
            return broken(commit, err);
        *end = '\0';
        rc = read_line(&h->tree.file[h->tree.n_files], line, commit, err);
        h->tree.bytes += h->tree.file[h->tree.n_files++].size;
    }
    return rc;
}

void ft_repo_tree_free(struct ft_repo_tree_held *h)
{
    if (h == NULL)
        return;
    ft_arena_fini(&h->arena);
    free(h);
}

int ft_repo_tree_read(struct ft_repos *r, const char *uid, const char *commit,
                      struct ft_repo_tree_held **ret, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX], *text = NULL, *own;
    size_t n = 0;
    doc_key(uid, commit, key);
    int rc = ft_repo_load(r, key, DOC_MAX, &text, &n, NULL, err);
    if (rc == 0)
        return ft_repo_err(err, FT_ENOTFOUND, FT_REPO_NO_REVISION, "there is no commit %s", commit);
    if (rc < 0)
        return rc;
    struct ft_repo_tree_held *h = calloc(1, sizeof *h);
    if (h == NULL) {
        free(text);
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    }
    ft_arena_init(&h->arena, 4 * DOC_MAX);
    snprintf(h->uid, sizeof h->uid, "%s", uid);
    h->refs = 1;
    own = ft_arena_strndup(&h->arena, text, n);
    free(text);
    rc = own != NULL ? parse(h, own, n, commit, err) : ft_err_set(err, FT_ENOMEM, "out of memory");
    if (rc == 0)
        *ret = h;
    else
        ft_repo_tree_free(h);
    return rc;
}

/* ---- the cache ---- */

static struct ft_repo_tree_held *cached(struct ft_repos *r, const char *uid, const char *commit)
{
    for (int i = 0; i < FT_REPO_TREES_MAX; i++) {
        struct ft_repo_tree_held *h = r->trees[i];
        if (h != NULL && strcmp(h->tree.id, commit) == 0 && strcmp(h->uid, uid) == 0) {
            h->used = ++r->clock;
            h->refs++;
            return h;
        }
    }
    return NULL;
}

int ft_repo_tree(struct ft_repos *r, const struct ft_repo *repo, const char *commit,
                 const struct ft_repo_tree **ret, struct ft_err *err)
{
    struct ft_repo_tree_held *drop = NULL;
    pthread_mutex_lock(&r->lock);
    struct ft_repo_tree_held *h = cached(r, repo->uid, commit);
    pthread_mutex_unlock(&r->lock);
    if (h != NULL) {
        *ret = &h->tree;
        return 0;
    }
    int rc = ft_repo_tree_read(r, repo->uid, commit, &h, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&r->lock);
    int oldest = 0;
    for (int i = 0; i < FT_REPO_TREES_MAX; i++)
        if (r->trees[i] == NULL ||
            (r->trees[oldest] != NULL && r->trees[i]->used < r->trees[oldest]->used))
            oldest = i;
    if (r->trees[oldest] != NULL && --r->trees[oldest]->refs == 0)
        drop = r->trees[oldest];
    r->trees[oldest] = h;
    h->used = ++r->clock;
    h->refs++;
    pthread_mutex_unlock(&r->lock);
    ft_repo_tree_free(drop);
    *ret = &h->tree;
    return 0;
}

void ft_repo_tree_unref(struct ft_repos *r, const struct ft_repo_tree *t)
{
    if (t == NULL)
        return;
    struct ft_repo_tree_held *h = (struct ft_repo_tree_held *)t; /* its first member */
    pthread_mutex_lock(&r->lock);
    bool last = --h->refs == 0;
    pthread_mutex_unlock(&r->lock);
    if (last)
        ft_repo_tree_free(h);
}

/* ---- looking into one ---- */

/* The first file whose path is not before `path`. */
static int lower_bound(const struct ft_repo_tree *t, const char *path)
{
    int lo = 0, hi = t->n_files;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (strcmp(t->file[mid].path, path) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct ft_repo_file *ft_repo_tree_file(const struct ft_repo_tree *t, const char *path)
{
    int i = lower_bound(t, path);
    return i < t->n_files && strcmp(t->file[i].path, path) == 0 ? &t->file[i] : NULL;
}

int ft_repo_tree_folder(const struct ft_repo_tree *t, const char *folder, int *ret_n)
{
    char prefix[FT_REPO_PATH_MAX + 2];
    if (folder[0] == '\0') {
        *ret_n = t->n_files;
        return 0;
    }
    int n = snprintf(prefix, sizeof prefix, "%s/", folder);
    if (n >= (int)sizeof prefix) {
        *ret_n = 0;
        return 0;
    }
    int first = lower_bound(t, prefix), end = first;
    while (end < t->n_files && strncmp(t->file[end].path, prefix, (size_t)n) == 0)
        end++;
    *ret_n = end - first;
    return first;
}

/* ---- a commit without its files ---- */

static void text_of(const json_t *o, const char *member, char *ret, size_t n)
{
    const char *s = json_string_value(json_object_get(o, member));
    snprintf(ret, n, "%s", s != NULL ? s : "");
}

int ft_repo_commit_head(struct ft_repos *r, const struct ft_repo *repo, const char *commit,
                        struct ft_repo_commit_head *ret, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX], *text;
    struct ft_blob_reader *in = NULL;
    doc_key(repo->uid, commit, key);
    int rc = ft_blob_open(r->c.blob, FT_REPO_BUCKET, key, NULL, &in, err);
    if (rc == FT_ENOTFOUND)
        return ft_repo_err(err, FT_ENOTFOUND, FT_REPO_NO_REVISION, "there is no commit %s", commit);
    if (rc != 0)
        return rc;
    size_t n = (size_t)FT_MIN(ft_blob_reader_info(in)->size, (int64_t)FIRST_LINE_MAX);
    text = malloc(n + 1);
    rc = text != NULL ? ft_blob_read(in, 0, text, n, err)
                      : ft_err_set(err, FT_ENOMEM, "out of memory");
    ft_blob_close_reader(in);
    char *end = rc == 0 ? memchr(text, '\n', n) : NULL;
    json_t *o = end != NULL ? json_loadb(text, (size_t)(end - text), 0, NULL) : NULL;
    free(text);
    if (rc == 0 && o == NULL)
        rc = broken(commit, err);
    if (rc == 0) {
        text_of(o, "id", ret->id, sizeof ret->id);
        text_of(o, "parent", ret->parent, sizeof ret->parent);
        text_of(o, "title", ret->title, sizeof ret->title);
        text_of(o, "message", ret->message, sizeof ret->message);
        text_of(o, "author", ret->author, sizeof ret->author);
        ret->date_s = json_integer_value(json_object_get(o, "date"));
        ret->number = json_integer_value(json_object_get(o, "number"));
    }
    json_decref(o);
    return rc;
}
