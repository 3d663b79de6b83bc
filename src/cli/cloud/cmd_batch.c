/* feitian batch: many requests of a file, at batch price, behind other work. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cloud/show.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

#define BATCHES    "/v1/batches"
#define LOOK_US    300000
#define FIRST_MAX  (1u << 20) /* bytes of a line that are looked at */
#define LOOK_LINES 20         /* before the upload */
#define ERRORS_MAX 10         /* shown */

struct batch_options {
    struct ft_cloud_options cloud;
    const char *endpoint, *window, *out;
    bool wait, errors;
    char **args;
};

static int ask(struct ft_cloud *c, const char *method, const char *id, const char *rest,
               json_t **ret, struct ft_err *err)
{
    struct ft_buf b;
    ft_buf_init(&b, 1024);
    ft_buf_add_str(&b, BATCHES "/");
    ft_cloud_escape(&b, id);
    ft_buf_add_str(&b, rest);
    int rc = b.failed == 0 ? ft_cloud_call(c, method, b.data, NULL, ret, err)
                           : ft_err_set(err, FT_EINVAL, "%.60s...: is no batch's id", id);
    ft_buf_fini(&b);
    return rc;
}

static int64_t count(const json_t *batch, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(batch, "request_counts"), name));
}

static bool has_ended(const json_t *b)
{
    const char *s = ft_cloud_text(b, "status", "");
    return strcmp(s, "completed") == 0 || strcmp(s, "failed") == 0 || strcmp(s, "expired") == 0 ||
           strcmp(s, "cancelled") == 0;
}

/* ---- looking ---- */

static void show_errors(const json_t *b)
{
    const json_t *data = json_object_get(json_object_get(b, "errors"), "data"), *e;
    size_t i;
    json_array_foreach(data, i, e)
    {
        if (i == ERRORS_MAX) {
            printf("  and %zu more\n", json_array_size(data) - i);
            break;
        }
        const json_t *line = json_object_get(e, "line");
        printf("  ! ");
        if (json_is_integer(line))
            printf("line %lld: ", (long long)json_integer_value(line));
        ft_cli_put_plain(stdout, ft_cloud_text(e, "message", "?"));
        printf("\n");
    }
}

static void show(const json_t *b)
{
    char when[FT_SHOW_TIME_BYTES];
    const char *id = ft_cloud_text(b, "id", "?");
    const json_t *usage = json_object_get(b, "usage");
    printf("%s  %s\n", id, ft_cloud_text(b, "status", "?"));
    printf("  endpoint   %s\n", ft_cloud_text(b, "endpoint", "?"));
    printf("  model      %s\n", ft_cloud_text(b, "model", "-"));
    printf("  begun      %s\n", ft_show_time(json_object_get(b, "created_at"), when));
    if (!has_ended(b))
        printf("  until      %s\n", ft_show_time(json_object_get(b, "expires_at"), when));
    printf("  requests   %lld of %lld done, %lld of them failed\n",
           (long long)(count(b, "completed") + count(b, "failed")), (long long)count(b, "total"),
           (long long)count(b, "failed"));
    printf("  tokens     %lld in, %lld out\n",
           (long long)json_integer_value(json_object_get(usage, "input_tokens")),
           (long long)json_integer_value(json_object_get(usage, "output_tokens")));
    show_errors(b);
    if (json_is_string(json_object_get(b, "output_file_id")))
        printf("\n  feitian batch results %s\n", id);
    if (json_is_string(json_object_get(b, "error_file_id")))
        printf("  feitian batch results %s --errors\n", id);
}

/* Until it has ended; Ctrl-C ends the looking alone. */
static int wait_for(struct ft_cloud *c, const char *id, bool json, struct ft_err *err)
{
    struct ft_progress p = {.what = "batch"};
    const atomic_int *stop = ft_interrupt_catch();
    json_t *b = NULL;
    int rc = 0;
    while (*stop == 0) {
        json_decref(b);
        b = NULL;
        rc = ask(c, "GET", id, "", &b, err);
        if (rc != 0 || has_ended(b))
            break;
        if (count(b, "total") > 0)
            ft_progress_show(&p, (uint64_t)(count(b, "completed") + count(b, "failed")),
                             (uint64_t)count(b, "total"));
        usleep(LOOK_US);
    }
    ft_progress_clear(&p);
    ft_interrupt_release();
    if (rc != 0 || b == NULL)
        return rc;
    if (json)
        ft_show_json(json_incref(b));
    else
        show(b);
    if (strcmp(ft_cloud_text(b, "status", ""), "failed") == 0)
        rc = ft_err_set(err, FT_EINVAL, "%s failed", id);
    json_decref(b);
    return rc;
}

/* ---- create ---- */

/* Is it one request? An empty line is none, and no fault. */
static int check_line(const char *path, int number, const char *line, char *url, size_t n,
                      struct ft_err *err)
{
    json_error_t why;
    if (line[strspn(line, " \t\r\n")] == '\0')
        return 0;
    json_t *o = json_loads(line, 0, &why);
    const char *wrong = o == NULL                                          ? why.text
                        : !json_is_object(o)                               ? "is no object"
                        : !json_is_string(json_object_get(o, "custom_id")) ? "has no custom_id"
                        : !json_is_object(json_object_get(o, "body"))      ? "has no body"
                                                                           : NULL;
    int rc = wrong == NULL ? 0
                           : ft_err_set(err, FT_EINVAL,
                                        "%.200s, line %d: %.100s; a line of a batch is "
                                        "{\"custom_id\": \"1\", \"method\": \"POST\", "
                                        "\"url\": \"/v1/chat/completions\", \"body\": {...}}",
                                        path, number, wrong);
    if (rc == 0 && url[0] == '\0')
        snprintf(url, n, "%s", ft_cloud_text(o, "url", ""));
    json_decref(o);
    return rc;
}

/* Looks at the first lines of the file, and where they are to go; "": they do not say. What is
 * wrong further down, the cloud tells. */
static int look_at(const char *path, char *url, size_t n, struct ft_err *err)
{
    FILE *f = fopen(path, "rb");
    char *line = malloc(FIRST_MAX);
    int rc = 0, number = 0;
    url[0] = '\0';
    if (f == NULL)
        rc = ft_err_sys(err, "%.200s", path);
    else if (line == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "out of memory");
    while (rc == 0 && number < LOOK_LINES && fgets(line, FIRST_MAX, f) != NULL) {
        if (strchr(line, '\n') == NULL && !feof(f))
            break; /* longer than is looked at */
        rc = check_line(path, ++number, line, url, n, err);
    }
    if (rc == 0 && number == 0 && feof(f))
        rc = ft_err_set(err, FT_EINVAL, "%.200s: is empty", path);
    free(line);
    if (f != NULL)
        fclose(f);
    return rc;
}

/* A file of this machine is uploaded; "file-..." is one of the cloud's. */
static int input(struct ft_cloud *c, const struct batch_options *o, json_t *body,
                 struct ft_err *err)
{
    const char *name = o->args[0];
    char url[128] = "";
    json_t *file = NULL;
    int rc = 0;
    if (strncmp(name, "file-", 5) == 0 && access(name, F_OK) != 0) {
        json_object_set_new(body, "input_file_id", json_string(name));
    } else {
        rc = look_at(name, url, sizeof url, err);
        if (rc == 0)
            rc = ft_cloud_upload(c, name, "batch", &file, err);
        json_object_set(body, "input_file_id", json_object_get(file, "id"));
    }
    const char *endpoint = o->endpoint != NULL ? o->endpoint
                           : url[0] != '\0'    ? url
                                               : "/v1/chat/completions";
    json_object_set_new(body, "endpoint", json_string(endpoint));
    json_decref(file);
    return rc;
}

static int create(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct batch_options *o = ctx;
    json_t *b = NULL, *body = json_pack("{s:s}", "completion_window", o->window);
    int rc = body == NULL ? ft_err_set(err, FT_EINVAL, "--window: is not UTF-8") : 0;
    if (rc == 0)
        rc = input(c, o, body, err);
    if (rc != 0) {
        json_decref(body);
        return rc;
    }
    rc = ft_cloud_call(c, "POST", BATCHES, body, &b, err);
    if (rc != 0)
        return rc;
    const char *id = ft_cloud_text(b, "id", "?");
    if (o->wait)
        rc = wait_for(c, id, o->cloud.json, err);
    else if (o->cloud.json)
        ft_show_json(json_incref(b));
    else
        printf("%s is begun; 'feitian batch show %s' says how it goes\n", id, id);
    json_decref(b);
    return rc;
}

static int batch_create(int argc, char **argv)
{
    struct batch_options o = {.window = "24h"};
    const struct ft_opt opts[] = {
        FT_CLOUD_OPTIONS(o.cloud),
        {"endpoint", 0, FT_OPT_TEXT, &o.endpoint, 0, 0},
        {"window", 0, FT_OPT_TEXT, &o.window, 0, 0},
        {"wait", 0, FT_OPT_FLAG, &o.wait, 0, 0},
    };
    int rc = ft_opts_parse("batch create", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a file of requests: feitian batch create FILE", &o.args);
    return rc != 0 ? rc : ft_cloud_command("batch create", &o.cloud, create, &o);
}

/* ---- the rest ---- */

static void batch_row(struct ft_table *t, const json_t *b)
{
    char when[FT_SHOW_TIME_BYTES];
    ft_table_add(t, ft_cloud_text(b, "id", ""));
    ft_table_add(t, ft_cloud_text(b, "status", ""));
    ft_table_addf(t, "%lld", (long long)count(b, "total"));
    ft_table_addf(t, "%lld", (long long)count(b, "completed"));
    ft_table_addf(t, "%lld", (long long)count(b, "failed"));
    ft_table_add(t, ft_cloud_text(b, "model", ""));
    ft_table_add(t, ft_show_time(json_object_get(b, "created_at"), when));
}

static int list(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"BATCH",   "STATUS", ">LINES", ">DONE",
                                        ">FAILED", "MODEL",  "BEGUN"};
    const struct batch_options *o = ctx;
    const struct ft_show_list l = {.path = BATCHES,
                                   .none = "there are no batches: feitian batch create FILE",
                                   .heads = heads,
                                   .n_heads = FT_COUNT(heads),
                                   .row = batch_row};
    return ft_show_list(c, &l, o->cloud.json, err);
}

static int batch_ls(int argc, char **argv)
{
    struct batch_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("batch ls", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("batch ls", &o.cloud, list, &o);
}

static int show_one(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct batch_options *o = ctx;
    json_t *b = NULL;
    if (o->wait)
        return wait_for(c, o->args[0], o->cloud.json, err);
    int rc = ask(c, "GET", o->args[0], "", &b, err);
    if (rc != 0)
        return rc;
    if (o->cloud.json)
        ft_show_json(json_incref(b));
    else
        show(b);
    json_decref(b);
    return 0;
}

static int batch_show(int argc, char **argv)
{
    struct batch_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"wait", 0, FT_OPT_FLAG, &o.wait, 0, 0}};
    int rc = ft_opts_parse("batch show", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a batch's id, which 'feitian batch ls' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("batch show", &o.cloud, show_one, &o);
}

static int cancel(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct batch_options *o = ctx;
    json_t *b = NULL;
    int rc = ask(c, "POST", o->args[0], "/cancel", &b, err);
    if (rc != 0)
        return rc;
    if (o->cloud.json)
        ft_show_json(json_incref(b));
    else
        printf("%s is %s; what is done is kept\n", o->args[0], ft_cloud_text(b, "status", "?"));
    json_decref(b);
    return 0;
}

static int batch_cancel(int argc, char **argv)
{
    struct batch_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("batch cancel", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a batch's id, which 'feitian batch ls' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("batch cancel", &o.cloud, cancel, &o);
}

static int results(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct batch_options *o = ctx;
    char path[256];
    json_t *b = NULL;
    int rc = ask(c, "GET", o->args[0], "", &b, err);
    const char *file = ft_cloud_text(b, o->errors ? "error_file_id" : "output_file_id", NULL);
    if (rc == 0 && file == NULL)
        rc = ft_err_set(err, FT_ENOTFOUND, "%s is %s and has no %s", o->args[0],
                        ft_cloud_text(b, "status", "?"), o->errors ? "errors" : "results");
    if (rc == 0) {
        snprintf(path, sizeof path, "/v1/files/%.100s/content", file);
        rc = ft_cloud_save(c, path, o->out, err);
    }
    json_decref(b);
    return rc;
}

static int batch_results(int argc, char **argv)
{
    struct batch_options o = {.out = "-"};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"output", 'o', FT_OPT_TEXT, &o.out, 0, 0},
                                  {"errors", 0, FT_OPT_FLAG, &o.errors, 0, 0}};
    int rc = ft_opts_parse("batch results", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a batch's id, which 'feitian batch ls' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("batch results", &o.cloud, results, &o);
}

const struct ft_cmd ft_cmd_batch_subs[] = {
    {"create", "FILE [--endpoint PATH] [--window 24h] [--wait] [--json]",
     "send every line of a file", batch_create, 0, NULL},
    {"ls", "[--json]", "the batches there are", batch_ls, 0, NULL},
    {"show", "ID [--wait] [--json]", "how far one is", batch_show, 0, NULL},
    {"cancel", "ID", "end one; what is done is kept", batch_cancel, 0, NULL},
    {"results", "ID [-o PATH] [--errors]", "its answers", batch_results, 0, NULL},
    {0},
};
