/* The lines of a commit as they come, and the objects of an LFS batch: what is outside's, read
 * within bounds. One line is held at a time; content that comes inline is stored as its line is
 * read. */
#include "api/hub/lines.h"

#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>

#include "api/openai/json.h"

#define TEXTS_MAX ((size_t)128 << 20) /* of all paths of a commit */

void ft_hub_lines_init(struct ft_hub_lines *l)
{
    ft_buf_init(&l->line, FT_HUB_LINE_MAX);
    ft_arena_init(&l->arena, TEXTS_MAX);
}

void ft_hub_lines_fini(struct ft_hub_lines *l)
{
    ft_buf_fini(&l->line);
    ft_arena_fini(&l->arena);
    free(l->op);
}

static const char *text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

/* A text of the line's value; NULL: not there, or null. */
static int text_of(const struct ft_hub_lines *l, const char *key, const json_t *v, const char *name,
                   const char **ret, struct ft_err *err)
{
    const json_t *t = json_object_get(v, name);
    *ret = json_string_value(t);
    return t == NULL || json_is_null(t) || json_is_string(t)
               ? 0
               : ft_err_set(err, FT_EINVAL, "line %d: %.20s: %s must be a text", l->n, key, name);
}

static const char *keep(struct ft_hub_lines *l, const char *s)
{
    return ft_arena_strndup(&l->arena, s, strlen(s));
}

static int no_memory(struct ft_err *err)
{
    return ft_err_set(err, FT_ENOMEM, "commit: out of memory");
}

static int header(struct ft_hub_lines *l, const json_t *v, struct ft_err *err)
{
    const char *summary, *description, *parent;
    if (l->has_header)
        return ft_err_set(err, FT_EINVAL, "line %d: a second header", l->n);
    if (text_of(l, "header", v, "summary", &summary, err) != 0 ||
        text_of(l, "header", v, "description", &description, err) != 0 ||
        text_of(l, "header", v, "parentCommit", &parent, err) != 0)
        return FT_EINVAL;
    if (summary == NULL || summary[0] == '\0')
        return ft_err_set(err, FT_EINVAL, "line %d: header: summary is missing", l->n);
    if (parent != NULL && (strlen(parent) < 7 || strlen(parent) > 40 ||
                           strspn(parent, "0123456789abcdef") != strlen(parent)))
        return ft_err_set(err, FT_EINVAL, "line %d: header: parentCommit is no id of a commit",
                          l->n);
    l->title = keep(l, summary);
    l->message = keep(l, description != NULL ? description : "");
    l->parent = parent != NULL ? keep(l, parent) : NULL;
    l->has_header = true;
    return l->title != NULL && l->message != NULL && (parent == NULL || l->parent != NULL)
               ? 0
               : no_memory(err);
}

/* Decodes in place; *ret_n: how many bytes. */
static bool decode_base64(char *s, size_t n, size_t *ret_n)
{
    struct base64_decode_ctx c;
    base64_decode_init(&c);
    *ret_n = BASE64_DECODE_LENGTH(n);
    return base64_decode_update(&c, ret_n, (uint8_t *)s, n, s) != 0 && base64_decode_final(&c) != 0;
}

static int inline_file(struct ft_hub_lines *l, const json_t *v, struct ft_repo_op *op,
                       struct ft_err *err)
{
    const json_t *content = json_object_get(v, "content");
    const char *encoding;
    struct ft_repo_content got;
    size_t n = json_string_length(content);
    if (text_of(l, "file", v, "encoding", &encoding, err) != 0)
        return FT_EINVAL;
    bool base64 = encoding != NULL && strcmp(encoding, "base64") == 0;
    if (!json_is_string(content))
        return ft_err_set(err, FT_EINVAL, "line %d: file: content is missing", l->n);
    if (encoding != NULL && !base64 && strcmp(encoding, "utf-8") != 0)
        return ft_err_set(err, FT_EINVAL, "line %d: file: encoding must be 'base64' or 'utf-8'",
                          l->n);
    char *data = malloc(n + 1);
    if (data == NULL)
        return no_memory(err);
    memcpy(data, json_string_value(content), n);
    int rc = 0;
    if (base64 && !decode_base64(data, n, &n))
        rc = ft_err_set(err, FT_EINVAL, "line %d: file: content is no base64", l->n);
    else if (n > FT_REPO_INLINE_MAX)
        rc = ft_err_set(err, FT_ELIMIT,
                        "line %d: file: more than %u bytes; send it by LFS (preupload says which)",
                        l->n, FT_REPO_INLINE_MAX);
    else
        rc = l->store(l->ctx, data, n, &got, err);
    free(data);
    if (rc != 0)
        return rc;
    op->kind = FT_REPO_PUT;
    memcpy(op->sha256, got.sha256, sizeof op->sha256);
    memcpy(op->oid, got.oid, sizeof op->oid);
    op->size = got.size;
    return 0;
}

static bool is_sha256(const char *s)
{
    return s != NULL && strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static int lfs_file(struct ft_hub_lines *l, const json_t *v, struct ft_repo_op *op,
                    struct ft_err *err)
{
    const char *oid = text(v, "oid"), *algo;
    const json_t *size = json_object_get(v, "size");
    if (text_of(l, "lfsFile", v, "algo", &algo, err) != 0)
        return FT_EINVAL;
    if (!is_sha256(oid) || (algo != NULL && strcmp(algo, "sha256") != 0))
        return ft_err_set(err, FT_EINVAL, "line %d: lfsFile: oid must be a SHA-256 in lower case",
                          l->n);
    if (size != NULL && !json_is_null(size) &&
        (!json_is_integer(size) || json_integer_value(size) < 0))
        return ft_err_set(err, FT_EINVAL, "line %d: lfsFile: size must be a number of bytes", l->n);
    op->kind = FT_REPO_PUT;
    op->lfs = true;
    memcpy(op->sha256, oid, 65);
    op->size = json_is_integer(size) ? json_integer_value(size) : -1;
    return 0;
}

static int operation(struct ft_hub_lines *l, const char *key, const json_t *v, struct ft_err *err)
{
    struct ft_repo_op op = {.size = -1};
    const char *path;
    int rc = 0;
    if (!l->has_header)
        return ft_err_set(err, FT_EINVAL, "line %d: the first line must be the header", l->n);
    if (text_of(l, key, v, "path", &path, err) != 0)
        return FT_EINVAL;
    if (path == NULL)
        return ft_err_set(err, FT_EINVAL, "line %d: %.20s: path is missing", l->n, key);
    if (l->n_ops == FT_REPO_OPS_MAX)
        return ft_err_set(err, FT_ELIMIT, "a commit has at most %d files", FT_REPO_OPS_MAX);
    if (l->n_ops == l->cap) {
        int cap = l->cap == 0 ? 64 : 2 * l->cap;
        struct ft_repo_op *more = realloc(l->op, (size_t)cap * sizeof *more);
        if (more == NULL)
            return no_memory(err);
        l->op = more;
        l->cap = cap;
    }
    if (strcmp(key, "file") == 0 || strcmp(key, "lfsFile") == 0) {
        rc = ft_repo_path_check(path, err); /* before its bytes are kept */
        if (rc == 0)
            rc = key[0] == 'f' ? inline_file(l, v, &op, err) : lfs_file(l, v, &op, err);
    } else if (strcmp(key, "deletedFile") == 0) {
        op.kind = FT_REPO_DELETE;
    } else if (strcmp(key, "deletedFolder") == 0) {
        op.kind = FT_REPO_DELETE_FOLDER;
    } else {
        rc = ft_err_set(err, FT_EINVAL, "line %d: key: '%.50s' is not known", l->n, key);
    }
    if (rc != 0)
        return rc;
    op.path = keep(l, path);
    if (op.path == NULL)
        return no_memory(err);
    l->op[l->n_ops++] = op;
    return 0;
}

static int line(struct ft_hub_lines *l, const char *s, size_t n, struct ft_err *err)
{
    struct ft_oai_error e;
    json_t *o = NULL;
    l->n++;
    while (n > 0 && strchr(" \t\r", s[n - 1]) != NULL)
        n--;
    if (n == 0)
        return 0;
    ft_oai_error_init(&e);
    if (ft_oai_json_object(s, n, &o, &e) != 0)
        return ft_err_set(err, FT_EINVAL, "line %d: %.300s", l->n, e.err.msg);
    const char *key = text(o, "key");
    const json_t *v = json_object_get(o, "value");
    int rc = 0;
    if (key == NULL || !json_is_object(v))
        rc = ft_err_set(err, FT_EINVAL, "line %d: must be {\"key\": ..., \"value\": {...}}", l->n);
    else if (strcmp(key, "header") == 0)
        rc = header(l, v, err);
    else
        rc = operation(l, key, v, err);
    json_decref(o);
    return rc;
}

int ft_hub_lines_feed(struct ft_hub_lines *l, const char *data, size_t n, struct ft_err *err)
{
    while (n > 0) {
        const char *end = memchr(data, '\n', n);
        size_t len = end != NULL ? (size_t)(end - data) : n;
        if (ft_buf_add(&l->line, data, len) != 0)
            return ft_err_set(err, FT_ELIMIT,
                              "line %d: longer than %u bytes; send large files by LFS", l->n + 1,
                              FT_HUB_LINE_MAX);
        if (end == NULL)
            return 0;
        int rc = line(l, l->line.len > 0 ? l->line.data : "", l->line.len, err);
        if (rc != 0)
            return rc;
        ft_buf_reset(&l->line);
        data = end + 1;
        n -= len + 1;
    }
    return 0;
}

int ft_hub_lines_end(struct ft_hub_lines *l, struct ft_err *err)
{
    int rc = l->line.len > 0 ? line(l, l->line.data, l->line.len, err) : 0;
    if (rc == 0 && !l->has_header)
        rc = ft_err_set(err, FT_EINVAL, "the commit has no header");
    return rc;
}

/* ---- LFS ---- */

int ft_hub_lfs_parse(const json_t *body, struct ft_hub_lfs_ask *ret, struct ft_err *err)
{
    const char *operation = text(body, "operation");
    const json_t *algo = json_object_get(body, "hash_algo");
    const json_t *objects = json_object_get(body, "objects");
    const json_t *transfers = json_object_get(body, "transfers");
    json_t *t, *o;
    size_t i;
    if (operation == NULL ||
        (strcmp(operation, "upload") != 0 && strcmp(operation, "download") != 0))
        return ft_err_set(err, FT_EINVAL, "operation: must be 'upload' or 'download'");
    if (algo != NULL && !json_is_null(algo) &&
        (!json_is_string(algo) || (strcmp(json_string_value(algo), "sha256") != 0 &&
                                   strcmp(json_string_value(algo), "sha_256") != 0)))
        return ft_err_set(err, FT_EINVAL, "hash_algo: must be 'sha256'");
    if (!json_is_array(objects) || json_array_size(objects) > FT_HUB_LFS_MAX)
        return ft_err_set(err, FT_EINVAL, "objects: must be a list of at most %d", FT_HUB_LFS_MAX);
    if (transfers != NULL && !json_is_null(transfers) && !json_is_array(transfers))
        return ft_err_set(err, FT_EINVAL, "transfers: must be a list of names");
    ret->upload = operation[0] == 'u';
    ret->multipart = false;
    json_array_foreach(transfers, i, t)
    {
        if (!json_is_string(t))
            return ft_err_set(err, FT_EINVAL, "transfers[%zu]: must be a name", i);
        ret->multipart |= strcmp(json_string_value(t), "multipart") == 0;
    }
    ret->n = 0;
    json_array_foreach(objects, i, o)
    {
        const char *oid = text(o, "oid");
        const json_t *size = json_object_get(o, "size");
        if (!is_sha256(oid))
            return ft_err_set(err, FT_EINVAL, "objects[%zu].oid: must be a SHA-256 in lower case",
                              i);
        if (!json_is_integer(size) || json_integer_value(size) < 0 ||
            json_integer_value(size) > FT_BLOB_SIZE_MAX)
            return ft_err_set(err, FT_EINVAL, "objects[%zu].size: must be a number of bytes", i);
        memcpy(ret->object[ret->n].sha256, oid, 65);
        ret->object[ret->n++].size = json_integer_value(size);
    }
    return 0;
}
