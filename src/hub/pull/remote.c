/* What the hubs say: names of repositories, addresses, listings, refusals.
 *
 * Hugging Face: GET /api/models/ID/revision/REV?blobs=true gives the commit and every file with its
 * size and hash (of large files SHA-256, of others git's), /ID/resolve/COMMIT/FILE the bytes.
 * ModelScope: GET /api/v1/models/ID/repo/files?Revision=&Recursive=true gives every file with size
 * and SHA-256, /models/ID/resolve/REV/FILE the bytes. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/pull/impl.h"
#include "net/url.h"

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && v[0] != '\0' ? v : NULL;
}

/* ---- sources ---- */

static bool repo_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/';
}

static bool repo_valid(const char *repo)
{
    const char *slash = strchr(repo, '/');
    if (slash == NULL || slash == repo || slash[1] == '\0' || strchr(slash + 1, '/') != NULL ||
        strstr(repo, "..") != NULL || repo[0] == '.' || slash[1] == '.')
        return false;
    for (const char *p = repo; *p != '\0'; p++)
        if (!repo_char(*p))
            return false;
    return true;
}

static int copy_part(char *to, size_t size, const char *from, size_t n, const char *what,
                     struct ft_err *err)
{
    if (n >= size)
        return ft_err_set(err, FT_EINVAL, "%s: longer than %zu bytes", what, size - 1);
    memcpy(to, from, n);
    to[n] = '\0';
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)to[i] < 0x20 || to[i] == 0x7f)
            return ft_err_set(err, FT_EINVAL, "%s: has control characters", what);
    return 0;
}

int ft_pull_source_parse(const char *text, struct ft_pull_source *ret, struct ft_err *err)
{
    struct ft_pull_source s = {0};
    if (strncmp(text, "hf:", 3) == 0 || strncmp(text, "ms:", 3) == 0) {
        s.hub = text[0] == 'h' ? FT_PULL_HF : FT_PULL_MS;
        const char *repo = text + 3, *colon = strchr(repo, ':');
        const char *end = colon != NULL ? colon : repo + strlen(repo);
        const char *at = memchr(repo, '@', (size_t)(end - repo));
        const char *repo_end = at != NULL ? at : end;
        int rc = copy_part(s.repo, sizeof s.repo, repo, (size_t)(repo_end - repo), text, err);
        if (rc == 0 && at != NULL)
            rc =
                copy_part(s.revision, sizeof s.revision, at + 1, (size_t)(end - at - 1), text, err);
        if (rc == 0 && colon != NULL)
            rc = copy_part(s.file, sizeof s.file, colon + 1, strlen(colon + 1), text, err);
        if (rc != 0)
            return rc;
        if (!repo_valid(s.repo))
            return ft_err_set(err, FT_EINVAL,
                              "%s: not of the form %.3sORG/NAME, %.3sORG/NAME:FILE or "
                              "%.3sORG/NAME@REVISION:FILE",
                              text, text, text, text);
    } else {
        int rc = copy_part(s.file, sizeof s.file, text, strlen(text), "path", err);
        if (rc != 0)
            return rc;
        if (s.file[0] == '\0')
            return ft_err_set(err, FT_EINVAL, "the path is empty");
    }
    *ret = s;
    return 0;
}

/* ---- addresses ---- */

void ft_pull_endpoint(enum ft_pull_hub hub, char *ret, size_t n)
{
    const char *e = hub == FT_PULL_HF ? env("HF_ENDPOINT") : env("MODELSCOPE_ENDPOINT");
    if (e == NULL && hub == FT_PULL_MS)
        e = env("MODELSCOPE_DOMAIN");
    if (e == NULL)
        e = hub == FT_PULL_HF ? "https://huggingface.co" : "https://www.modelscope.cn";
    snprintf(ret, n, "%s%s", strstr(e, "://") != NULL ? "" : "https://", e);
    for (size_t len = strlen(ret); len > 0 && ret[len - 1] == '/'; len--)
        ret[len - 1] = '\0';
}

static const char *revision_of(const struct ft_pull_source *s)
{
    return s->revision[0] != '\0' ? s->revision : s->hub == FT_PULL_HF ? "main" : "master";
}

void ft_pull_list_url(const struct ft_pull_source *s, struct ft_buf *b)
{
    char endpoint[1024];
    const char *rev = revision_of(s);
    ft_pull_endpoint(s->hub, endpoint, sizeof endpoint);
    if (s->hub == FT_PULL_HF) {
        ft_buf_addf(b, "%s/api/models/%s/revision/", endpoint, s->repo);
        ft_url_encode(b, rev, strlen(rev));
        ft_buf_add_str(b, "?blobs=true");
    } else {
        ft_buf_addf(b, "%s/api/v1/models/%s/repo/files?Revision=", endpoint, s->repo);
        ft_url_encode(b, rev, strlen(rev));
        ft_buf_add_str(b, "&Recursive=true");
    }
}

void ft_pull_file_url(const struct ft_pull_source *s, const char *commit, const char *path,
                      struct ft_buf *b)
{
    char endpoint[1024];
    const char *rev = commit[0] != '\0' ? commit : revision_of(s);
    ft_pull_endpoint(s->hub, endpoint, sizeof endpoint);
    ft_buf_addf(b, "%s/%s%s/resolve/", endpoint, s->hub == FT_PULL_MS ? "models/" : "", s->repo);
    ft_url_encode(b, rev, strlen(rev));
    for (const char *part = path;;) {
        size_t n = strcspn(part, "/");
        ft_buf_add_byte(b, '/');
        ft_url_encode(b, part, n);
        if (part[n] == '\0')
            break;
        part += n + 1;
    }
}

static int add_header(char **ret, int n, int max, const char *fmt, const char *value)
{
    char *text;
    int len = snprintf(NULL, 0, fmt, value) + 1;
    if (n == max || (text = malloc((size_t)len)) == NULL)
        return n;
    snprintf(text, (size_t)len, fmt, value);
    ret[n] = text;
    return n + 1;
}

int ft_pull_headers(enum ft_pull_hub hub, char **ret, int max)
{
    const char *token = hub == FT_PULL_HF ? env("HF_TOKEN") : env("MODELSCOPE_API_TOKEN");
    int n = add_header(ret, 0, max, "User-Agent: feitian/%s", FT_VERSION);
    n = add_header(ret, n, max, "Accept-Encoding: %s", "identity");
    if (token != NULL)
        n = add_header(ret, n, max, "Authorization: Bearer %s", token);
    if (token != NULL && hub == FT_PULL_MS) /* its older servers look here */
        n = add_header(ret, n, max, "Cookie: m_session_id=%s", token);
    return n;
}

/* ---- listings ---- */

void ft_pull_list_fini(struct ft_pull_list *l)
{
    for (int i = 0; i < l->n; i++)
        free(l->file[i].path);
    free(l->file);
    *l = (struct ft_pull_list){0};
}

/* A path below the repository: no part of it leads out. */
static bool path_valid(const char *path)
{
    if (path[0] == '\0' || path[0] == '/' || strlen(path) >= FT_PULL_PATH_MAX)
        return false;
    for (const char *part = path;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && memcmp(part, "..", 2) == 0))
            return false;
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)part[i] < 0x20 || part[i] == 0x7f || part[i] == '\\')
                return false;
        part += n;
        if (*part == '\0')
            return true;
    }
}

static void set_hash(struct ft_pull_file *f, const char *hash)
{
    size_t n = hash != NULL ? strlen(hash) : 0;
    if ((n != 64 && n != 40) || strspn(hash, "0123456789abcdefABCDEF") != n)
        return;
    f->hash = n == 64 ? FT_PULL_SHA256 : FT_PULL_GIT;
    for (size_t i = 0; i <= n; i++)
        f->hex[i] = hash[i] >= 'A' && hash[i] <= 'F' ? (char)(hash[i] | 0x20) : hash[i];
}

int ft_pull_list_add(struct ft_pull_list *l, const char *path, uint64_t bytes, const char *hash,
                     struct ft_err *err)
{
    if (l->n == FT_PULL_FILES_MAX)
        return ft_err_set(err, FT_ELIMIT, "more than %d files", FT_PULL_FILES_MAX);
    if ((l->n & (l->n - 1)) == 0) { /* full at every power of two */
        size_t cap = l->n == 0 ? 1 : 2 * (size_t)l->n;
        struct ft_pull_file *grown = realloc(l->file, cap * sizeof *grown);
        if (grown == NULL)
            return ft_err_set(err, FT_ENOMEM, "list of files: no memory");
        l->file = grown;
    }
    struct ft_pull_file f = {.path = strdup(path), .bytes = bytes};
    if (f.path == NULL)
        return ft_err_set(err, FT_ENOMEM, "list of files: no memory");
    set_hash(&f, hash);
    l->file[l->n++] = f;
    return 0;
}

static int add_remote(struct ft_pull_list *l, const json_t *path, const json_t *size,
                      const char *hash, struct ft_err *err)
{
    const char *p = json_string_value(path);
    if (p == NULL || strlen(p) != json_string_length(path) || !path_valid(p))
        return ft_err_set(err, FT_ECORRUPT,
                          "the listing has a file whose path is not a path: %.200s",
                          p != NULL ? p : "(none)");
    if (!json_is_integer(size) || json_integer_value(size) < 0)
        return ft_err_set(err, FT_ECORRUPT, "the listing has no size for %.200s", p);
    return ft_pull_list_add(l, p, (uint64_t)json_integer_value(size), hash, err);
}

static int parse_hf(const json_t *root, struct ft_pull_list *l, struct ft_err *err)
{
    const json_t *siblings = json_object_get(root, "siblings"), *f;
    const char *sha = json_string_value(json_object_get(root, "sha"));
    size_t i;
    if (!json_is_array(siblings))
        return ft_err_set(err, FT_ECORRUPT, "the listing has no \"siblings\"");
    if (sha != NULL && strlen(sha) < sizeof l->commit &&
        strspn(sha, "0123456789abcdefABCDEF") == strlen(sha))
        strcpy(l->commit, sha);
    json_array_foreach(siblings, i, f)
    {
        const json_t *lfs = json_object_get(f, "lfs"), *size = json_object_get(f, "size");
        const json_t *large = json_object_get(lfs, "size");
        const char *hash = json_string_value(json_object_get(lfs, "sha256"));
        if (hash == NULL)
            hash = json_string_value(json_object_get(lfs, "oid"));
        if (hash == NULL && !json_is_object(lfs))
            hash = json_string_value(json_object_get(f, "blobId"));
        int rc =
            add_remote(l, json_object_get(f, "rfilename"), large != NULL ? large : size, hash, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int parse_ms(const json_t *root, struct ft_pull_list *l, struct ft_err *err)
{
    const json_t *files = json_object_get(json_object_get(root, "Data"), "Files"), *f;
    size_t i;
    if (!json_is_array(files)) {
        const char *message = json_string_value(json_object_get(root, "Message"));
        return ft_err_set(err, message != NULL ? FT_ENOTFOUND : FT_ECORRUPT, "%.300s",
                          message != NULL ? message : "the listing has no \"Data.Files\"");
    }
    json_array_foreach(files, i, f)
    {
        const char *type = json_string_value(json_object_get(f, "Type"));
        if (type != NULL && strcmp(type, "tree") == 0)
            continue;
        int rc = add_remote(l, json_object_get(f, "Path"), json_object_get(f, "Size"),
                            json_string_value(json_object_get(f, "Sha256")), err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int ft_pull_list_parse(enum ft_pull_hub hub, const char *json, size_t n, struct ft_pull_list *ret,
                       struct ft_err *err)
{
    struct ft_pull_list l = {0};
    json_error_t at;
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &at);
    if (!json_is_object(root)) {
        json_decref(root);
        return ft_err_set(err, FT_ECORRUPT, "the listing is no JSON object%s%s",
                          root == NULL ? ": " : "", root == NULL ? at.text : "");
    }
    int rc = hub == FT_PULL_HF ? parse_hf(root, &l, err) : parse_ms(root, &l, err);
    json_decref(root);
    if (rc != 0)
        ft_pull_list_fini(&l);
    else
        *ret = l;
    return rc;
}

/* ---- refusals ---- */

/* What the server says itself: {"error":"..."} or {"Message":"..."}; "" if nothing useful. */
static void said(const char *body, size_t n, char *ret, size_t size)
{
    json_t *root = json_loadb(body, n, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "error"));
    if (text == NULL)
        text = json_string_value(json_object_get(root, "Message"));
    ret[0] = '\0';
    if (text != NULL && text[0] != '\0')
        snprintf(ret, size, " (%.200s)", text);
    json_decref(root);
}

int ft_pull_refused(const struct ft_pull_source *s, const char *file, int status, const char *body,
                    size_t n, bool *ret_retry, struct ft_err *err)
{
    char words[256], endpoint[1024];
    const char *token = s->hub == FT_PULL_HF ? "HF_TOKEN" : "MODELSCOPE_API_TOKEN";
    const char *what = file != NULL ? file : s->repo, *in = file != NULL ? " in " : "";
    said(body, n, words, sizeof words);
    ft_pull_endpoint(s->hub, endpoint, sizeof endpoint);
    *ret_retry = status == 408 || status == 429 || status >= 500;
    if (status == 404)
        return ft_err_set(err, FT_ENOTFOUND, "%s: there is no %s%s%s%s%s%s", endpoint, what, in,
                          file != NULL ? s->repo : "", s->revision[0] != '\0' ? " at " : "",
                          s->revision, words);
    if (status == 401)
        return ft_err_set(err, FT_EINVAL,
                          "%s: there is no %s, or it is not for everybody%s: if it is private, set "
                          "%s to a token that may read it",
                          endpoint, s->repo, words, token);
    if (status == 403)
        return ft_err_set(err, FT_EINVAL,
                          "%s: %s may not be read%s: accept its terms on its page, and set %s to "
                          "a token of that account",
                          endpoint, s->repo, words, token);
    return ft_err_set(err, FT_EIO, "%s: %s: answered with status %d%s", endpoint, what, status,
                      words);
}
