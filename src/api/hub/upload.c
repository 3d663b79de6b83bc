/* Commits: which files are sent how, and the commit itself, read line by line. */
#include <errno.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/hub/impl.h"
#include "base/cond.h"
#include "base/slice.h"

#define REGULAR_MAX  1000000 /* bytes; above it a file goes by LFS */
#define CHUNK_BYTES  65536
#define LONG_LINE    ((size_t)2 << 20)
#define PLACE_WAIT_S 30
#define SAMPLE_MAX   1024 /* of what a client shows of a file, in base64 */

/* ---- preupload ---- */

/* Weights, data and packed things, however small. */
static bool is_large_kind(const char *path)
{
    static const char *const endings[] = {
        ".gguf",    ".safetensors", ".bin",   ".pt",  ".pth",   ".ckpt", ".onnx", ".h5",
        ".msgpack", ".parquet",     ".arrow", ".npz", ".npy",   ".zip",  ".gz",   ".xz",
        ".zst",     ".bz2",         ".tar",   ".pkl", ".model", ".7z"};
    for (size_t i = 0; i < FT_COUNT(endings); i++)
        if (ft_str_ends_as(path, endings[i]))
            return true;
    return false;
}

static bool looks_binary(const char *sample)
{
    struct base64_decode_ctx c;
    uint8_t bytes[SAMPLE_MAX];
    size_t n = sizeof bytes;
    if (sample == NULL || strlen(sample) > SAMPLE_MAX)
        return false;
    base64_decode_init(&c);
    return base64_decode_update(&c, &n, bytes, strlen(sample), sample) != 0 &&
           memchr(bytes, 0, n) != NULL;
}

/* The Python client may be about to upload by Xet, whose library tells less than we can. */
static void warn_of_xet(struct hub_call *c)
{
    const char *agent = ft_http_header(c->x, "user-agent");
    if (agent != NULL && strstr(agent, "hf_hub/") != NULL)
        hub_field(c, "X-HF-Warning",
                  "xet; This hub has no Xet storage: if the upload fails, set "
                  "HF_HUB_DISABLE_XET=1.");
}

/* What is wrong with an entry of "files"; NULL: nothing. */
static const char *file_fault(const json_t *f)
{
    const json_t *size = json_object_get(f, "size"), *sample = json_object_get(f, "sample");
    if (!json_is_string(json_object_get(f, "path")))
        return "path: must be a text";
    if (size != NULL && !json_is_null(size) &&
        (!json_is_integer(size) || json_integer_value(size) < 0))
        return "size: must be a number of bytes";
    if (sample != NULL && !json_is_null(sample) && !json_is_string(sample))
        return "sample: must be a text";
    return NULL;
}

int hub_preupload(struct hub_call *c)
{
    struct ft_err err = {0};
    json_t *body = NULL, *f, *files = json_array();
    const json_t *asked = NULL;
    const struct ft_repo_tree *t = NULL;
    bool any = false;
    size_t i;
    int rc = hub_body(c, &body);
    if (rc == 0)
        rc = hub_list_of(c, body, "files", &asked);
    if (rc == 0 && asked == NULL)
        rc = hub_fail(c, 400, NULL, "files: is missing");
    if (rc == 0)
        rc = hub_revision(c, 5);
    if (rc == 0 && ft_repo_tree(c->hub->repos, &c->repo, c->commit, &t, &err) != 0)
        rc = hub_fail_err(c, &err);
    json_array_foreach(asked, i, f)
    {
        const char *fault = rc == 0 ? file_fault(f) : NULL;
        if (fault != NULL)
            rc = hub_fail(c, 400, NULL, "files[%zu].%s", i, fault);
        if (rc != 0)
            break;
        const char *path = json_string_value(json_object_get(f, "path"));
        json_int_t size = json_integer_value(json_object_get(f, "size"));
        const char *sample = json_string_value(json_object_get(f, "sample"));
        bool lfs = size > 0 && (size > REGULAR_MAX || is_large_kind(path) || looks_binary(sample));
        any |= lfs;
        const struct ft_repo_file *old = ft_repo_tree_file(t, path);
        json_t *o = json_pack("{s:s,s:s,s:b}", "path", path, "uploadMode", lfs ? "lfs" : "regular",
                              "shouldIgnore", 0);
        if (old != NULL)
            json_object_set_new(o, "oid", json_string(old->lfs ? old->sha256 : old->oid));
        json_array_append_new(files, o);
    }
    ft_repo_tree_unref(c->hub->repos, t);
    json_decref(body);
    if (rc != 0) {
        json_decref(files);
        return rc;
    }
    if (any)
        warn_of_xet(c);
    return hub_json(c, 200, json_pack("{s:o,s:s}", "files", files, "commitOid", c->commit));
}

/* ---- commit ---- */

static int may_store(struct hub_call *c, int64_t bytes, struct ft_err *err)
{
    return c->hub->c.may_store != NULL
               ? c->hub->c.may_store(c->hub->c.ctx, c->repo.org, bytes, false, err)
               : 0;
}

static int store(void *ctx, const void *data, size_t n, struct ft_repo_content *ret,
                 struct ft_err *err)
{
    struct hub_call *c = ctx;
    int rc = may_store(c, (int64_t)n, err);
    if (rc == 0)
        rc = ft_repo_content_put(c->hub->repos, data, n, ret, err);
    return rc != 0 ? rc
                   : ft_repo_content_own(c->hub->repos, c->repo.org, ret->sha256, ret->size, err);
}

/* A file that is named by its hash alone must be the project's already, or in this repository. */
static int check_owned(struct hub_call *c, const struct ft_hub_lines *l, struct ft_err *err)
{
    const struct ft_repo_tree *t = NULL;
    int rc = ft_repo_resolve(c->hub->repos, &c->repo, c->rev, c->commit, NULL, err);
    if (rc == 0)
        rc = ft_repo_tree(c->hub->repos, &c->repo, c->commit, &t, err);
    for (int i = 0; rc == 0 && i < l->n_ops; i++) {
        const struct ft_repo_op *op = &l->op[i];
        bool here = !op->lfs;
        int owned = here ? 1 : ft_repo_content_owned(c->hub->repos, c->repo.org, op->sha256, err);
        for (int k = 0; owned == 0 && !here && k < t->n_files; k++)
            here = strcmp(t->file[k].sha256, op->sha256) == 0;
        if (owned < 0)
            rc = owned;
        else if (owned == 0 && !here)
            rc = ft_err_set(err, FT_EINVAL,
                            "%.200s: its content %s was not uploaded: ask the LFS batch where to "
                            "send it",
                            op->path, op->sha256);
    }
    ft_repo_tree_unref(c->hub->repos, t);
    return rc;
}

/* Lines that are long take a place of a few; who waits for one too long may try again. */
static int take_place(struct hub_call *c, const struct ft_hub_lines *l, bool *has,
                      struct ft_err *err)
{
    if (*has || l->line.len <= LONG_LINE)
        return 0;
    const struct timespec until = ft_cond_until(PLACE_WAIT_S * INT64_C(1000));
    while (sem_clockwait(&c->hub->commits, CLOCK_MONOTONIC, &until) != 0)
        if (errno == ETIMEDOUT)
            return ft_err_set(err, FT_EBUSY, "too many commits with large inline files at a time");
    *has = true;
    return 0;
}

static int read_lines(struct hub_call *c, struct ft_hub_lines *l, struct ft_err *err)
{
    char *chunk = malloc(CHUNK_BYTES);
    int64_t n = 0;
    bool has = false;
    int rc = chunk != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "out of memory");
    while (rc == 0 && (n = ft_lane_read(c->lane, chunk, CHUNK_BYTES, err)) > 0) {
        rc = ft_hub_lines_feed(l, chunk, (size_t)n, err);
        if (rc == 0)
            rc = take_place(c, l, &has, err);
    }
    if (has)
        sem_post(&c->hub->commits);
    free(chunk);
    if (rc == 0)
        rc = n < 0 ? (int)n : ft_hub_lines_end(l, err);
    return rc;
}

static int commit(struct hub_call *c, struct ft_hub_lines *l)
{
    struct ft_err err = {0};
    char id[FT_REPO_OID_BYTES], url[512];
    int rc = read_lines(c, l, &err);
    if (rc == 0)
        rc = check_owned(c, l, &err);
    struct ft_repo_commit k = {.branch =
                                   strncmp(c->rev, "refs/heads/", 11) == 0 ? c->rev + 11 : c->rev,
                               .parent = l->parent,
                               .title = l->title,
                               .message = l->message,
                               .author = c->author,
                               .ops = l->op,
                               .n_ops = l->n_ops};
    if (rc == 0)
        rc = ft_repo_commit(c->hub->repos, &c->repo, &k, id, &err);
    if (rc != 0)
        return hub_fail_err(c, &err);
    hub_look_later(c->hub, &c->repo);
    snprintf(url, sizeof url, "%s/commit/%s", hub_url_of(c, &c->repo), id);
    return hub_json(c, 200,
                    json_pack("{s:b,s:s,s:s,s:s}", "success", 1, "commitOid", id, "commitUrl", url,
                              "hookOutput", ""));
}

int hub_commit(struct hub_call *c)
{
    struct ft_hub_lines l = {.store = store, .ctx = c};
    if (hub_flag(c, "create_pr"))
        return hub_fail(c, 501, NULL,
                        "create_pr: this hub keeps no pull requests; commit to a "
                        "branch");
    c->rev = c->n_parts > 5 ? c->part[5] : "main";
    ft_hub_lines_init(&l);
    int status = commit(c, &l);
    ft_hub_lines_fini(&l);
    return status;
}

/* ---- a repository's first files ---- */

#define LICENSE_MAX 64

static int feed(struct ft_hub_lines *l, const char *key, const json_t *value, struct ft_err *err)
{
    json_t *o = json_pack("{s:s,s:O}", "key", key, "value", value);
    char *line = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    int rc = line != NULL ? ft_hub_lines_feed(l, line, strlen(line), err)
                          : ft_err_set(err, FT_ENOMEM, "out of memory");
    if (rc == 0)
        rc = ft_hub_lines_feed(l, "\n", 1, err);
    free(line);
    json_decref(o);
    return rc;
}

/* A card that says the licence and no more. */
static int feed_license(struct hub_call *c, const char *license, struct ft_hub_lines *l)
{
    struct ft_err err = {0};
    char card[LICENSE_MAX + 32];
    if (license[0] == '\0' || strlen(license) > LICENSE_MAX ||
        strspn(license, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-") !=
            strlen(license))
        return hub_fail(c, 400, NULL, "license: must be the identifier of one, as apache-2.0");
    for (int i = 0; i < l->n_ops; i++)
        if (strcmp(l->op[i].path, "README.md") == 0)
            return hub_fail(c, 400, NULL, "license: README.md, which comes too, says it");
    snprintf(card, sizeof card, "---\nlicense: %s\n---\n", license);
    json_t *file = json_pack("{s:s,s:s}", "path", "README.md", "content", card);
    int rc = feed(l, "file", file, &err);
    json_decref(file);
    return rc != 0 ? hub_fail_err(c, &err) : 0;
}

int hub_first_files(struct hub_call *c, const json_t *body, struct ft_hub_lines *l)
{
    struct ft_err err = {0};
    const json_t *files = NULL;
    const char *license = NULL;
    size_t i;
    json_t *file, *header;
    int rc = hub_list_of(c, body, "files", &files);
    if (rc == 0)
        rc = hub_text(c, body, "license", &license);
    if (rc != 0)
        return rc;
    l->store = store;
    header = json_pack("{s:s}", "summary", "first files");
    if (feed(l, "header", header, &err) != 0)
        rc = hub_fail_err(c, &err);
    json_decref(header);
    json_array_foreach(files, i, file)
    {
        if (rc != 0)
            break;
        if (!json_is_object(file)) {
            rc = hub_fail(c, 400, NULL, "files[%zu]: must be an object", i);
        } else if (feed(l, "file", file, &err) != 0) {
            const char *behind = strncmp(err.msg, "line ", 5) == 0 ? strchr(err.msg, ':') : NULL;
            struct ft_err told = {.code = err.code};
            snprintf(told.msg, sizeof told.msg, "files[%zu]: %.300s", i,
                     behind != NULL ? behind + 2 : err.msg);
            rc = hub_fail_err(c, &told);
        }
    }
    return rc == 0 && license != NULL ? feed_license(c, license, l) : rc;
}

int hub_first_commit(struct hub_call *c, const struct ft_hub_lines *l, struct ft_err *err)
{
    char id[FT_REPO_OID_BYTES];
    const struct ft_repo_commit k = {.branch = "main",
                                     .title = l->title,
                                     .message = "",
                                     .author = c->author,
                                     .ops = l->op,
                                     .n_ops = l->n_ops};
    int rc = ft_repo_commit(c->hub->repos, &c->repo, &k, id, err);
    if (rc == 0)
        hub_look_later(c->hub, &c->repo);
    return rc;
}

/* ---- a branch without its history ---- */

/* POST .../super-squash/BRANCH {"message"} */
int hub_squash(struct hub_call *c)
{
    struct ft_err err = {0};
    json_t *body = NULL;
    char id[FT_REPO_OID_BYTES], title[128];
    const char *message = NULL, *branch = hub_rest(c, 5);
    int rc = c->x->content_length == 0 ? 0 : hub_body(c, &body);
    if (rc == 0)
        rc = hub_text(c, body, "message", &message);
    snprintf(title, sizeof title, "Squash %.100s", branch);
    if (rc == 0 && ft_repo_squash(c->hub->repos, &c->repo, branch,
                                  message != NULL && message[0] != '\0' ? message : title,
                                  c->author, id, &err) != 0)
        rc = hub_fail_err(c, &err);
    json_decref(body);
    if (rc != 0)
        return rc;
    hub_look_later(c->hub, &c->repo);
    return hub_json(c, 200, json_pack("{s:s}", "commitOid", id));
}
