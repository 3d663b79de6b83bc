/* feitian endpoint: the names that clients call models by, and what stands behind them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/cloud/show.h"

#define TARGETS_MAX  16
#define KEY_FILE_MAX 4096

struct endpoint_options {
    struct ft_cloud_options cloud;
    struct ft_opt_many to;
    bool all;
    const char *url, *key, *key_file, *model, *adapter, *project;
    int64_t min, max, n_ctx, in_flight; /* -1: not given */
    double load, idle;                  /* negative: not given */
    char **args;
    int n_args;
};

#define NOT_GIVEN                                                                                  \
    {                                                                                              \
        .min = -1, .max = -1, .n_ctx = -1, .in_flight = -1, .load = -1, .idle = -1                 \
    }
#define SCALE_OPTIONS(o)                                                                           \
    {"min", 0, FT_OPT_WHOLE, &(o).min, 0, 1000}, {"max", 0, FT_OPT_WHOLE, &(o).max, 0, 1000},      \
        {"load", 0, FT_OPT_REAL, &(o).load, 0.01, 1e6},                                            \
        {"idle", 0, FT_OPT_REAL, &(o).idle, 0, 1e9},                                               \
    {                                                                                              \
        "ctx", 0, FT_OPT_WHOLE, &(o).n_ctx, 1, 1 << 24                                             \
    }
#define TARGET_OPTIONS(o)                                                                          \
    {"to", 0, FT_OPT_MANY, &(o).to, 0, 0}, {"model", 0, FT_OPT_TEXT, &(o).model, 0, 0},            \
        {"adapter", 0, FT_OPT_TEXT, &(o).adapter, 0, 0}, {"url", 0, FT_OPT_TEXT, &(o).url, 0, 0},  \
        {"key", 0, FT_OPT_TEXT, &(o).key, 0, 0},                                                   \
        {"key-file", 0, FT_OPT_TEXT, &(o).key_file, 0, 0},                                         \
    {                                                                                              \
        "at-once", 0, FT_OPT_WHOLE, &(o).in_flight, 1, 1e6                                         \
    }

/* "MODEL", "MODEL+ADAPTER", each with "=WEIGHT": a target. */
static int add_target(json_t *targets, const char *text, struct ft_err *err)
{
    char copy[256], *weight, *adapter, *end;
    double w = 1;
    if (strlen(text) >= sizeof copy || json_array_size(targets) == TARGETS_MAX)
        return ft_err_set(err, FT_EINVAL, "--to: too long, or more than %d of them", TARGETS_MAX);
    strcpy(copy, text);
    weight = strchr(copy, '=');
    if (weight != NULL) {
        *weight++ = '\0';
        w = strtod(weight, &end);
        if (end == weight || *end != '\0' || !(w >= 0 && w <= 1e6))
            return ft_err_set(err, FT_EINVAL, "--to %s: '%s' is no weight", text, weight);
    }
    adapter = strchr(copy, '+');
    if (adapter != NULL)
        *adapter++ = '\0';
    json_t *t = json_pack("{s:s,s:f}", "model", copy, "weight", w);
    if (t == NULL)
        return ft_err_set(err, FT_EINVAL, "--to: '%s' is not UTF-8", text);
    if (adapter != NULL)
        json_object_set_new(t, "adapter", json_string(adapter));
    return json_array_append_new(targets, t);
}

/* --url: one target, another server. */
static int add_remote(const struct endpoint_options *o, const char *name, json_t *targets,
                      struct ft_err *err)
{
    char *key = NULL;
    size_t n = 0;
    json_t *t = json_pack("{s:s,s:s}", "url", o->url, "model", o->model != NULL ? o->model : name);
    int rc = 0;
    if (o->key_file != NULL)
        rc = ft_file_read(o->key_file, KEY_FILE_MAX, &key, &n, err);
    if (key != NULL)
        key[strcspn(key, "\r\n")] = '\0';
    if (key != NULL || o->key != NULL)
        json_object_set_new(t, "key", json_string(key != NULL ? key : o->key));
    if (o->in_flight > 0)
        json_object_set_new(t, "in_flight_max", json_integer(o->in_flight));
    free(key);
    json_array_append_new(targets, t);
    return rc;
}

static int put_targets(const struct endpoint_options *o, const char *name, bool must, json_t *body,
                       struct ft_err *err)
{
    json_t *targets = json_array();
    bool one = o->model != NULL || (must && o->to.n == 0);
    int rc = 0;
    if (o->adapter != NULL && (o->url != NULL || !one))
        rc = ft_err_set(err, FT_EINVAL,
                        "--adapter: is for --model; one of several versions is --to MODEL+ADAPTER");
    else if (o->url == NULL && (o->key != NULL || o->key_file != NULL || o->in_flight > 0))
        rc = ft_err_set(err, FT_EINVAL, "--%s: is for --url",
                        o->key != NULL        ? "key"
                        : o->key_file != NULL ? "key-file"
                                              : "at-once");
    else if (o->key != NULL && o->key_file != NULL)
        rc = ft_err_set(err, FT_EINVAL, "--key and --key-file: only one of the two");
    else if (o->url != NULL)
        rc = add_remote(o, name, targets, err);
    else if (one) {
        json_t *t = json_pack("{s:s}", "model", o->model != NULL ? o->model : name);
        if (o->adapter != NULL)
            json_object_set_new(t, "adapter", json_string(o->adapter));
        json_array_append_new(targets, t);
    }
    for (int i = 0; rc == 0 && i < o->to.n; i++)
        rc = add_target(targets, o->to.value[i], err);
    if (json_array_size(targets) > 0)
        json_object_set(body, "targets", targets);
    json_decref(targets);
    return rc;
}

static void put_scale(const struct endpoint_options *o, json_t *body)
{
    json_t *replicas = json_object();
    if (o->min >= 0)
        json_object_set_new(replicas, "min", json_integer(o->min));
    if (o->max >= 0)
        json_object_set_new(replicas, "max", json_integer(o->max));
    if (json_object_size(replicas) > 0)
        json_object_set(body, "replicas", replicas);
    json_decref(replicas);
    if (o->load >= 0)
        json_object_set_new(body, "target_load", json_real(o->load));
    if (o->idle >= 0)
        json_object_set_new(body, "idle_s", json_real(o->idle));
    if (o->n_ctx > 0)
        json_object_set_new(body, "n_ctx", json_integer(o->n_ctx));
}

static const char *targets_text(const json_t *e, char *ret, size_t n)
{
    const json_t *t;
    size_t i, at = 0;
    const json_t *targets = json_object_get(e, "targets");
    ret[0] = '\0';
    json_array_foreach(targets, i, t)
    {
        const char *adapter = json_string_value(json_object_get(t, "adapter"));
        const char *url = json_string_value(json_object_get(t, "url"));
        bool script = json_object_get(t, "script") != NULL;
        snprintf(ret + at, n - at, "%s%s%s%s%s%s", i > 0 ? ", " : "",
                 ft_cloud_text(t, "model", script ? "script" : "?"), adapter != NULL ? "+" : "",
                 adapter != NULL ? adapter : "", url != NULL ? " at " : "", url != NULL ? url : "");
        at += strlen(ret + at);
        if (json_array_size(targets) > 1) {
            snprintf(ret + at, n - at, "=%g", json_number_value(json_object_get(t, "weight")));
            at += strlen(ret + at);
        }
    }
    return ret;
}

static int send(struct ft_cloud *c, const char *method, const char *path, const char *name,
                json_t *body, const struct endpoint_options *o, const char *done,
                struct ft_err *err)
{
    struct ft_buf b;
    json_t *answer;
    char text[512];
    ft_buf_init(&b, 4096);
    ft_buf_add_str(&b, path);
    ft_cloud_escape(&b, name);
    int rc = ft_cloud_call(c, method, b.data, body, &answer, err);
    ft_buf_fini(&b);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(answer);
        return 0;
    }
    const json_t *r = json_object_get(answer, "replicas");
    printf("%s %s: %s, %d to %d replicas\n", ft_cloud_text(answer, "name", "?"), done,
           targets_text(answer, text, sizeof text),
           (int)json_integer_value(json_object_get(r, "min")),
           (int)json_integer_value(json_object_get(r, "max")));
    json_decref(answer);
    return 0;
}

static int create(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct endpoint_options *o = ctx;
    json_t *body = json_pack("{s:s}", "name", o->args[0]);
    int rc = put_targets(o, o->args[0], true, body, err);
    put_scale(o, body);
    if (o->project != NULL)
        json_object_set_new(body, "project",
                            strcmp(o->project, "all") == 0 ? json_null() : json_string(o->project));
    if (rc == 0)
        return send(c, "POST", "/api/v1/endpoints", "", body, o, "created", err);
    json_decref(body);
    return rc;
}

static int endpoint_create(int argc, char **argv)
{
    struct endpoint_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  SCALE_OPTIONS(o),
                                  TARGET_OPTIONS(o),
                                  {"project", 0, FT_OPT_TEXT, &o.project, 0, 0}};
    int rc = ft_opts_parse("endpoint create", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a name: feitian endpoint create NAME", &o.args);
    return rc != 0 ? rc : ft_cloud_command("endpoint create", &o.cloud, create, &o);
}

static void row(struct ft_table *t, const json_t *e)
{
    char text[512], when[FT_SHOW_TIME_BYTES];
    const json_t *r = json_object_get(e, "replicas");
    ft_table_add(t, ft_cloud_text(e, "id", "")); /* NAME@PROJECT for one of a project alone */
    ft_table_add(t, targets_text(e, text, sizeof text));
    ft_table_add(t, ft_cloud_text(e, "project", "all"));
    ft_table_addf(t, "%d-%d", (int)json_integer_value(json_object_get(r, "min")),
                  (int)json_integer_value(json_object_get(r, "max")));
    ft_table_addf(t, "%g", json_number_value(json_object_get(e, "target_load")));
    ft_table_addf(t, "%g s", json_number_value(json_object_get(e, "idle_s")));
    ft_table_add(t, ft_show_time(json_object_get(e, "created"), when));
}

static bool is_checkpoint(const json_t *e)
{
    return ft_show_is_checkpoint(ft_cloud_text(e, "name", ""));
}

static int list(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"NAME",  "BEHIND IT", "PROJECT", ">REPLICAS",
                                        ">LOAD", ">IDLE",     "CREATED"};
    const struct endpoint_options *o = ctx;
    struct ft_show_list l = {
        .path = "/api/v1/endpoints",
        .filter = "project",
        .value = o->project,
        .none = "there are no endpoints: 'feitian model add' makes one with a model",
        .heads = heads,
        .n_heads = FT_COUNT(heads),
        .row = row,
        .hide = o->all ? NULL : is_checkpoint,
        .hidden = "checkpoints of trainings: --all"};
    return ft_show_list(c, &l, o->cloud.json, err);
}

static int endpoint_list(int argc, char **argv)
{
    struct endpoint_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"project", 0, FT_OPT_TEXT, &o.project, 0, 0},
                                  {"all", 0, FT_OPT_FLAG, &o.all, 0, 0}};
    int rc = ft_opts_parse("endpoint list", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("endpoint list", &o.cloud, list, &o);
}

/* What serving says of it now; NULL: it is not known. A new reference. */
static json_t *live_state(struct ft_cloud *c, const char *id)
{
    struct ft_err ignored = {0};
    json_t *status, *e, *found = NULL;
    size_t i;
    if (ft_cloud_call(c, "GET", "/api/v1/status", NULL, &status, &ignored) != 0)
        return NULL;
    const json_t *all = json_object_get(json_object_get(status, "serving"), "endpoints");
    json_array_foreach(all, i, e)
    {
        if (strcmp(ft_cloud_text(e, "id", ""), id) == 0)
            found = json_incref(e);
    }
    json_decref(status);
    return found;
}

static int64_t whole(const json_t *o, const char *name)
{
    return (int64_t)json_integer_value(json_object_get(o, name));
}

/* How each of several versions does: a canary beside the others. */
static void print_versions(const json_t *live)
{
    static const char *const heads[] = {"VERSION",  ">WEIGHT", ">READY",
                                        ">RUNNING", ">OK",     ">FAILED"};
    const json_t *targets = json_object_get(live, "targets"), *t;
    size_t i;
    if (json_array_size(targets) < 2)
        return;
    struct ft_table *table = ft_table_open(FT_COUNT(heads), heads);
    json_array_foreach(targets, i, t)
    {
        const json_t *requests = json_object_get(t, "requests");
        ft_table_add(table, ft_cloud_text(t, "name", "?"));
        ft_table_addf(table, "%g", json_number_value(json_object_get(t, "weight")));
        ft_table_addf(table, "%lld", (long long)whole(t, "ready"));
        ft_table_addf(table, "%lld", (long long)whole(t, "in_flight"));
        ft_table_addf(table, "%lld", (long long)whole(requests, "ok"));
        ft_table_addf(table, "%lld", (long long)whole(requests, "error"));
    }
    putchar('\n');
    ft_table_print_here(table);
    ft_table_close(table);
}

static void print_live(const json_t *live)
{
    const json_t *r = json_object_get(live, "replicas");
    if (strcmp(ft_cloud_text(live, "kind", "model"), "model") == 0)
        printf("  now        %lld of %lld replicas ready\n", (long long)whole(r, "ready"),
               (long long)whole(r, "wanted"));
    printf("  calls      %lld running, %lld waiting, %lld so far\n",
           (long long)whole(live, "in_flight"), (long long)whole(live, "queue"),
           (long long)whole(live, "requests"));
}

static void print_one(const json_t *e, const json_t *live)
{
    char text[512], when[FT_SHOW_TIME_BYTES];
    const json_t *r = json_object_get(e, "replicas");
    int64_t n_ctx = whole(e, "n_ctx");
    printf("%s\n  behind it  ", ft_cloud_text(e, "id", "?"));
    ft_cli_put_plain(stdout, targets_text(e, text, sizeof text));
    printf("\n  project    %s\n", ft_cloud_text(e, "project", "all"));
    if (live != NULL)
        print_live(live);
    if (json_object_get(json_array_get(json_object_get(e, "targets"), 0), "url") == NULL)
        printf(
            "  replicas   %lld to %lld: one for every %g calls at a time, fewer after %g s idle\n",
            (long long)whole(r, "min"), (long long)whole(r, "max"),
            json_number_value(json_object_get(e, "target_load")),
            json_number_value(json_object_get(e, "idle_s")));
    if (n_ctx > 0)
        printf("  context    %lld tokens\n", (long long)n_ctx);
    printf("  created    %s\n", ft_show_time(json_object_get(e, "created"), when));
    print_versions(live);
}

static int show(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct endpoint_options *o = ctx;
    json_t *e;
    int rc = ft_show_get(c, "/api/v1/endpoints/", o->args[0], &e, err);
    if (rc != 0)
        return rc;
    json_t *live = live_state(c, ft_cloud_text(e, "id", ""));
    if (o->cloud.json) {
        json_object_set_new(e, "live", live != NULL ? json_incref(live) : json_null());
        ft_show_json(json_incref(e));
    } else {
        print_one(e, live);
    }
    json_decref(live);
    json_decref(e);
    return 0;
}

static int endpoint_show(int argc, char **argv)
{
    struct endpoint_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("endpoint show", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "the endpoint's name, which 'feitian endpoint list' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("endpoint show", &o.cloud, show, &o);
}

static int scale(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct endpoint_options *o = ctx;
    json_t *body = json_object();
    int rc = put_targets(o, o->args[0], false, body, err);
    put_scale(o, body);
    if (rc == 0 && json_object_size(body) == 0)
        rc = ft_err_set(err, FT_EINVAL, "nothing to change is given");
    if (rc == 0)
        return send(c, "PATCH", "/api/v1/endpoints/", o->args[0], body, o, "changed", err);
    json_decref(body);
    return rc;
}

static int endpoint_scale(int argc, char **argv)
{
    struct endpoint_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud), SCALE_OPTIONS(o)};
    int rc = ft_opts_parse("endpoint scale", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "the endpoint's name", &o.args);
    return rc != 0 ? rc : ft_cloud_command("endpoint scale", &o.cloud, scale, &o);
}

static int endpoint_set(int argc, char **argv)
{
    struct endpoint_options o = NOT_GIVEN;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud), SCALE_OPTIONS(o), TARGET_OPTIONS(o)};
    int rc = ft_opts_parse("endpoint set", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "the endpoint's name", &o.args);
    return rc != 0 ? rc : ft_cloud_command("endpoint set", &o.cloud, scale, &o);
}

static int endpoint_rm(int argc, char **argv)
{
    static const struct ft_show_removal r = {"endpoint rm", "/api/v1/endpoints/",
                                             "the endpoint's name", "removed"};
    return ft_show_remove(&r, argc, argv);
}

const struct ft_cmd ft_cmd_endpoint_subs[] = {
    {"create",
     "NAME [--model M [--adapter A] | --to M[+A][=WEIGHT] ... | --url URL [--key-file F]]\n"
     "       [--min N] [--max N] [--load N] [--idle S] [--ctx N] [--project ID|all]",
     "give models, versions of one, or another server a name", endpoint_create, 0, NULL},
    {"list", "[--project ID] [--all] [--json]", "the endpoints there are", endpoint_list, 0, NULL},
    {"show", "NAME [--json]", "what stands behind one, and how it does", endpoint_show, 0, NULL},
    {"scale", "NAME [--min N] [--max N] [--load N] [--idle S] [--ctx N]",
     "how many replicas, and when", endpoint_scale, 0, NULL},
    {"set", "NAME [--to M[+A][=WEIGHT] ...] [OPTION ...]",
     "change what stands behind a name, such as a canary's weight", endpoint_set, 0, NULL},
    {"rm", "NAME ...", "remove endpoints; their models stay", endpoint_rm, 0, NULL},
    {0},
};
