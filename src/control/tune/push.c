/* The result as a repository of the hub, by the hub's own API: the weights as a large file, the
 * rest within the commit. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "control/inside.h"
#include "control/tune/run.h"

#define WEIGHTS    "adapter_model.safetensors"
#define CONFIG     "adapter_config.json"
#define CONFIG_MAX ((size_t)1 << 20)
#define READ_BYTES ((size_t)1 << 20)
#define PATH_WORDS 512

struct push {
    struct ft_inside *in;
    const struct tune_job *job;
    const char *key, *folder;
    char repo[TUNE_REPO_MAX];
    char sha256[65];
    int64_t size;
};

/* "ft-nano-office-AbC123xy": what stands in names of models and not of repositories becomes '-'. */
static void name_it(struct push *p)
{
    const char *suffix = ft_ctl_text(p->job->body, "suffix"), *digits = strchr(p->job->id, '-');
    int at = snprintf(p->repo, sizeof p->repo, "%s/", ft_ctl_text(p->job->body, "project"));
    snprintf(p->repo + at, sizeof p->repo - (size_t)at, "ft-%.20s%s%s-%.8s",
             ft_ctl_text(p->job->body, "base"), suffix != NULL ? "-" : "",
             suffix != NULL ? suffix : "", digits != NULL ? digits + 1 : p->job->id);
    for (char *c = p->repo + at; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("-_.", *c) == NULL)
            *c = '-';
}

static int ask_as(struct push *p, const char *method, const char *path, const char *type,
                  const char *text, json_t **ret, struct ft_err *err)
{
    const struct ft_inside_ask a = {.method = method,
                                    .path = path,
                                    .key = p->key,
                                    .type = type,
                                    .body = text,
                                    .n_body = strlen(text)};
    return ft_inside_ask(p->in, &a, ret, err);
}

static int ask(struct push *p, const char *path, const char *type, const char *text, json_t **ret,
               struct ft_err *err)
{
    return ask_as(p, "POST", path, type, text, ret, err);
}

/* Takes the body. */
static int ask_json(struct push *p, const char *path, json_t *body, json_t **ret,
                    struct ft_err *err)
{
    char *text = json_dumps(body, JSON_COMPACT);
    int rc = text != NULL ? ask(p, path, "application/json", text, ret, err)
                          : ft_err_set(err, FT_ENOMEM, "control: no memory");
    json_decref(body);
    free(text);
    return rc;
}

static int create(struct push *p, struct ft_err *err)
{
    json_t *body = json_pack("{s:s,s:s,s:s,s:b}", "type", "model", "name", strchr(p->repo, '/') + 1,
                             "organization", ft_ctl_text(p->job->body, "project"), "private", 1);
    int rc = ask_json(p, "/api/repos/create", body, NULL, err);
    return rc == FT_EEXIST ? 0 : rc; /* made by an earlier try */
}

/* No empty repository is left. */
static void take_back(struct push *p)
{
    char text[TUNE_REPO_MAX + 128];
    struct ft_err err = {0};
    snprintf(text, sizeof text, "{\"type\":\"model\",\"name\":\"%s\",\"organization\":\"%s\"}",
             strchr(p->repo, '/') + 1, ft_ctl_text(p->job->body, "project"));
    if (ask_as(p, "DELETE", "/api/repos/delete", "application/json", text, NULL, &err) != 0)
        ft_log(FT_LOG_WARN, "tune", "%s stays, empty: %s", p->repo, err.msg);
}

static int sum_up(struct push *p, const char *path, struct ft_err *err)
{
    struct sha256_ctx c;
    uint8_t digest[SHA256_DIGEST_SIZE], *buf = malloc(READ_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    sha256_init(&c);
    p->size = 0;
    while (fd >= 0 && buf != NULL && (n = read(fd, buf, READ_BYTES)) > 0) {
        sha256_update(&c, (size_t)n, buf);
        p->size += n;
    }
    int rc = n == 0 ? 0 : ft_err_sys(err, "%s", path);
    if (fd >= 0)
        close(fd);
    free(buf);
    sha256_digest(&c, sizeof digest, digest);
    ft_hex(digest, sizeof digest, p->sha256);
    return rc;
}

/* The weights, unless the hub has them. */
static int send_weights(struct push *p, struct ft_err *err)
{
    char path[PATH_MAX], where[PATH_WORDS];
    json_t *answer = NULL;
    snprintf(path, sizeof path, "%s/" WEIGHTS, p->folder);
    snprintf(where, sizeof where, "/%s.git/info/lfs/objects/batch", p->repo);
    int rc = sum_up(p, path, err);
    if (rc == 0)
        rc = ask_json(p, where,
                      json_pack("{s:s,s:[s],s:[{s:s,s:I}]}", "operation", "upload", "transfers",
                                "basic", "objects", "oid", p->sha256, "size", (json_int_t)p->size),
                      &answer, err);
    const json_t *object = json_array_get(json_object_get(answer, "objects"), 0);
    const json_t *to = json_object_get(json_object_get(object, "actions"), "upload");
    const char *why = ft_ctl_text(json_object_get(object, "error"), "message");
    const char *href = ft_ctl_text(to, "href"), *host = href != NULL ? strstr(href, "//") : NULL;
    const char *local = host != NULL ? strchr(host + 2, '/') : NULL;
    if (rc == 0 && why != NULL)
        rc = ft_err_set(err, FT_EINVAL, "%s", why);
    if (rc == 0 && local != NULL)
        rc = ft_inside_send(p->in, p->key, local, path, err);
    json_decref(answer);
    return rc;
}

/* ---- the commit ---- */

/* As the training wrote it, but the base by its name here, not by a path of this machine. */
static int config_text(const struct push *p, char **ret, struct ft_err *err)
{
    char path[PATH_MAX], *text;
    size_t n;
    snprintf(path, sizeof path, "%s/" CONFIG, p->folder);
    int rc = ft_file_read(path, CONFIG_MAX, &text, &n, err);
    if (rc != 0)
        return rc;
    json_t *o = json_loadb(text, n, 0, NULL);
    free(text);
    json_object_set(o, "base_model_name_or_path", json_object_get(p->job->body, "base"));
    *ret = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    return *ret != NULL ? 0 : ft_err_set(err, FT_ECORRUPT, "%s: is no JSON", path);
}

static char *card_text(const struct push *p)
{
    char *text, name[TUNE_NAME_MAX];
    const json_t *h = json_object_get(p->job->body, "hyperparameters");
    ft_tune_model_name(p->job->id, p->job->body, 0, name);
    int n = asprintf(
        &text,
        "---\nbase_model: \"%s\"\nlibrary_name: peft\npipeline_tag: text-generation\ntags:\n- "
        "lora\n"
        "---\n\n# %s\n\nA LoRA adapter of %s, made by the fine-tuning job %s (%s): %lld epochs, "
        "batches of %lld, %lld tokens.\n",
        ft_ctl_text(p->job->body, "base"), name, ft_ctl_text(p->job->body, "base"), p->job->id,
        ft_ctl_text(p->job->body, "method"), (long long)ft_ctl_int(h, "n_epochs", 0),
        (long long)ft_ctl_int(h, "batch_size", 0), (long long)p->job->tokens);
    return n >= 0 ? text : NULL;
}

/* A line of the commit; takes the value. */
static void put_line(struct ft_buf *b, const char *key, json_t *value)
{
    json_t *o = json_pack("{s:s,s:o}", "key", key, "value", value);
    char *text = json_dumps(o, JSON_COMPACT);
    ft_buf_addf(b, "%s\n", text != NULL ? text : "");
    free(text);
    json_decref(o);
}

static json_t *inline_file(const char *path, const char *text)
{
    return json_pack("{s:s,s:s,s:s}", "path", path, "encoding", "utf-8", "content", text);
}

static int commit(struct push *p, struct ft_err *err)
{
    char where[PATH_WORDS], title[96], *config = NULL, *card = card_text(p);
    struct ft_buf b;
    ft_buf_init(&b, 4 * CONFIG_MAX);
    snprintf(where, sizeof where, "/api/models/%s/commit/main", p->repo);
    snprintf(title, sizeof title, "Result of %s", p->job->id);
    int rc = config_text(p, &config, err);
    if (rc == 0) {
        put_line(&b, "header", json_pack("{s:s,s:s}", "summary", title, "description", ""));
        put_line(&b, "file", inline_file("README.md", card != NULL ? card : ""));
        put_line(&b, "file", inline_file(CONFIG, config));
        put_line(&b, "lfsFile",
                 json_pack("{s:s,s:s,s:s,s:I}", "path", WEIGHTS, "algo", "sha256", "oid", p->sha256,
                           "size", (json_int_t)p->size));
        rc = b.failed != 0 ? ft_err_set(err, FT_ENOMEM, "control: no memory")
                           : ask(p, where, "application/x-ndjson", b.data, NULL, err);
    }
    ft_buf_fini(&b);
    free(config);
    free(card);
    return rc;
}

int ft_tune_push(struct ft_tune *t, const struct tune_job *job, const char *folder,
                 char ret[TUNE_REPO_MAX], struct ft_err *err)
{
    struct push p = {
        .in = t->ctl->inside, .job = job, .key = ft_ctl_text(job->body, "key"), .folder = folder};
    name_it(&p);
    int rc = create(&p, err);
    if (rc != 0)
        return rc;
    rc = send_weights(&p, err);
    if (rc == 0)
        rc = commit(&p, err);
    if (rc != 0 && rc != FT_EUNAVAIL && rc != FT_ECANCELED) /* it will not be tried again */
        take_back(&p);
    snprintf(ret, TUNE_REPO_MAX, "%s", p.repo);
    return rc;
}
