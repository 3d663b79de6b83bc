/* feitian model: brings models into a cloud on this machine, lists and removes them. */
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/cloud/model_check.h"
#include "cli/cloud/show.h"
#include "cli/interrupt.h"
#include "hub/pull/pull.h"

#define IDS_MAX    64
#define BAR_WIDTH  24
#define SHOW_NS    100000000
#define RATE_NS    3000000000 /* over which the rate is taken */
#define LINE_BYTES 512

struct model_options {
    struct ft_cloud_options cloud;
    const char *name, *adapter_of, *project;
    bool no_endpoint, delete_file, all;
    char **args;
    int n_args;
    const atomic_int *interrupt;
    struct ft_pull_result pulled;
    /* the bar */
    bool shown, tty;
    int64_t last_ns, rate_from_ns, begun_ns;
    uint64_t rate_from, begun;
    double rate;
};

/* ---- the bar ---- */

static void clear_bar(struct model_options *o)
{
    if (o->shown)
        fprintf(stderr, "\r\033[K");
    o->shown = false;
}

static void measure(struct model_options *o, const struct ft_pull_progress *p, int64_t now)
{
    if (o->begun_ns == 0) {
        o->begun_ns = o->rate_from_ns = now;
        o->begun = o->rate_from = p->earlier;
    }
    if (now - o->rate_from_ns < RATE_NS / 3 && o->rate > 0)
        return;
    if (now - o->rate_from_ns < RATE_NS / 6)
        return;
    double moment =
        (double)(p->done - FT_MIN(o->rate_from, p->done)) * 1e9 / (double)(now - o->rate_from_ns);
    o->rate = o->rate > 0 ? 0.6 * o->rate + 0.4 * moment : moment;
    o->rate_from_ns = now;
    o->rate_from = p->done;
}

static void show_progress(void *ctx, const struct ft_pull_progress *p)
{
    struct model_options *o = ctx;
    char bar[BAR_WIDTH * 3 + 1] = "", line[LINE_BYTES], left[FT_FIGURE_BYTES], rest[96] = "";
    int64_t now = ft_clock_now_ns();
    int columns, rows;
    measure(o, p, now);
    if (!o->tty || (now - o->last_ns < SHOW_NS && p->done < p->all))
        return;
    o->last_ns = now;
    int filled = p->all > 0 ? (int)(p->done * BAR_WIDTH / p->all) : 0;
    for (int i = 0; i < BAR_WIDTH; i++)
        strcat(bar, i < filled ? "█" : "░");
    if (p->trouble != NULL)
        snprintf(rest, sizeof rest, "waiting: %.80s", p->trouble);
    else if (o->rate > 0 && p->done < p->all)
        snprintf(rest, sizeof rest, "%.1f MB/s, %s left", o->rate / 1e6,
                 ft_figure_seconds(left, (double)(p->all - p->done) / o->rate));
    snprintf(line, sizeof line, "%s %3d %%  %.1f of %.1f MB  %s", bar,
             (int)(p->all > 0 ? 100 * p->done / p->all : 0), (double)p->done / 1e6,
             (double)p->all / 1e6, rest);
    ft_terminal_size(STDERR_FILENO, &columns, &rows);
    fputs("\r\033[K", stderr);
    ft_text_put(stderr, line, columns > 1 ? columns - 1 : LINE_BYTES, 0);
    o->shown = true;
}

/* ---- add ---- */

static int check(void *ctx, const char *path, struct ft_err *err)
{
    return ft_model_check(path, ((struct model_options *)ctx)->interrupt, err);
}

static int pull(struct model_options *o, const struct ft_cloud *c, struct ft_err *err)
{
    struct ft_pull_source source;
    char folder[FT_HOME_PATH];
    bool adapter = o->adapter_of != NULL;
    struct ft_pull_options p = {.models =
                                    ft_home_at(&c->home, adapter ? "adapters" : "models", folder),
                                .name = o->name,
                                .adapter = adapter,
                                .check = adapter ? NULL : check,
                                .on_progress = show_progress,
                                .ctx = o,
                                .interrupt = o->interrupt};
    int rc = ft_pull_source_parse(o->args[0], &source, err);
    if (rc == 0)
        rc = ft_pull(&source, &p, &o->pulled, err);
    clear_bar(o);
    return rc;
}

static int get_model(struct ft_cloud *c, const char *name, json_t **ret, struct ft_err *err)
{
    struct ft_buf path;
    ft_buf_init(&path, PATH_MAX);
    ft_buf_add_str(&path, "/api/v1/models/");
    ft_cloud_escape(&path, name);
    int rc = path.failed == 0 ? ft_cloud_call(c, "GET", path.data, NULL, ret, err)
                              : ft_err_set(err, FT_EINVAL, "%.60s...: too long", name);
    ft_buf_fini(&path);
    return rc;
}

/* Registers what lies in HOME with the cloud. FT_EEXIST is none: then it is known already. */
static int enter(struct model_options *o, struct ft_cloud *c, json_t **ret, struct ft_err *err)
{
    const struct ft_pull_result *p = &o->pulled;
    json_t *body = json_pack("{s:s,s:s}", "name", p->name, "path", p->path);
    if (p->sha256[0] != '\0')
        json_object_set_new(body, "sha256", json_string(p->sha256));
    if (o->adapter_of != NULL)
        json_object_set_new(body, "adapter_of", json_string(o->adapter_of));
    int rc = ft_cloud_call(c, "POST", "/api/v1/models", body, ret, err);
    if (rc != FT_EEXIST)
        return rc;
    char real[PATH_MAX];
    rc = get_model(c, p->name, ret, err);
    const char *known = rc == 0 ? ft_cloud_text(*ret, "path", "") : "";
    if (rc == 0 && (realpath(p->path, real) == NULL || strcmp(real, known) != 0))
        rc = ft_err_set(err, FT_EEXIST,
                        "another model is called %s already (%.200s): give this one another name "
                        "by --name, or remove that one",
                        p->name, known);
    return rc;
}

static int make_endpoint(struct model_options *o, struct ft_cloud *c, struct ft_err *err)
{
    json_t *body = json_pack("{s:s,s:[{s:s}]}", "name", o->pulled.name, "targets", "model",
                             o->adapter_of != NULL ? o->adapter_of : o->pulled.name);
    if (o->adapter_of != NULL)
        json_object_set_new(json_array_get(json_object_get(body, "targets"), 0), "adapter",
                            json_string(o->pulled.name));
    if (o->project != NULL)
        json_object_set_new(body, "project", json_string(o->project));
    int rc = ft_cloud_call(c, "POST", "/api/v1/endpoints", body, NULL, err);
    return rc == FT_EEXIST ? 0 : rc;
}

/* Of a model whose tasks are not known: yes. */
static bool can_chat(const json_t *model)
{
    size_t i;
    json_t *task;
    const json_t *tasks = json_object_get(model, "tasks");
    json_array_foreach(tasks, i, task)
    {
        const char *word = json_string_value(task);
        if (word != NULL && strcmp(word, "chat") == 0)
            return true;
    }
    return tasks == NULL;
}

/* How it is used. of: the model whose tasks count, for an adapter its base. */
static void say_use(const struct model_options *o, const json_t *of)
{
    char words[128];
    const char *name = o->pulled.name;
    if (o->no_endpoint)
        printf("It has no name for clients yet: feitian endpoint create NAME --model %s\n", name);
    else if (can_chat(of))
        printf("Talk to it: feitian chat %s\n", name);
    else
        printf("It has no chat template, so it does not converse. As model %s of /v1 it does: %s\n",
               name, ft_show_words(json_object_get(of, "tasks"), words, sizeof words));
}

static void say_added(const struct model_options *o, const json_t *model)
{
    const struct ft_pull_result *p = &o->pulled;
    char size[FT_FIGURE_BYTES], params[FT_FIGURE_BYTES] = "";
    const json_t *n = json_object_get(model, "params");
    double s = (double)(ft_clock_now_ns() - o->begun_ns) / 1e9;
    printf("%s: %s%s%s%s, %s\n", p->name, ft_figure_bytes(size, p->bytes),
           json_is_integer(n) ? ", " : "",
           json_is_integer(n) ? ft_figure_count(params, json_number_value(n)) : "",
           json_is_integer(n) ? " weights" : "",
           p->present  ? "was there already"
           : p->linked ? "linked, not copied"
                       : "checked");
    if (!p->present && !p->linked && o->begun_ns > 0 && s > 1)
        printf("%.1f MB/s on average\n", (double)(p->bytes - o->begun) / s / 1e6);
    size_t n_file = strlen(p->file), len = strlen(o->args[0]);
    if (n_file > 0 && (len < n_file || strcmp(o->args[0] + len - n_file, p->file) != 0))
        printf("It is the file %s\n", p->file); /* nobody named it */
}

static int add(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    struct model_options *o = ctx;
    json_t *me = NULL, *model = NULL, *base = NULL;
    /* Before gigabytes are fetched: is there a cloud, and may this key change it? */
    int rc = ft_cloud_call(c, "GET", "/api/v1/me", NULL, &me, err);
    if (rc == 0 && strcmp(ft_cloud_text(me, "role", ""), "operator") != 0)
        rc = ft_err_set(err, FT_EINVAL, "models are added by operators; this key has the role %s",
                        ft_cloud_text(me, "role", "?"));
    json_decref(me);
    o->interrupt = ft_interrupt_catch_first();
    o->tty = isatty(STDERR_FILENO) == 1;
    if (rc == 0)
        rc = pull(o, c, err);
    if (rc == 0)
        rc = enter(o, c, &model, err);
    if (rc == 0 && !o->no_endpoint)
        rc = make_endpoint(o, c, err);
    if (rc == 0 && o->cloud.json) {
        ft_show_json(json_incref(model));
    } else if (rc == 0) {
        say_added(o, model);
        if (o->adapter_of != NULL)
            rc = get_model(c, o->adapter_of, &base, err);
        if (rc == 0)
            say_use(o, base != NULL ? base : model);
    }
    json_decref(base);
    json_decref(model);
    return rc;
}

static int model_add(int argc, char **argv)
{
    struct model_options o = {0};
    const struct ft_opt opts[] = {
        FT_CLOUD_OPTIONS(o.cloud),
        {"name", 0, FT_OPT_TEXT, &o.name, 0, 0},
        {"adapter-of", 0, FT_OPT_TEXT, &o.adapter_of, 0, 0},
        {"project", 0, FT_OPT_TEXT, &o.project, 0, 0},
        {"no-endpoint", 0, FT_OPT_FLAG, &o.no_endpoint, 0, 0},
    };
    int rc = ft_opts_parse("model add", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a path, hf:ORG/NAME[:FILE] or ms:ORG/NAME[:FILE]", &o.args);
    return rc != 0 ? rc : ft_cloud_command("model add", &o.cloud, add, &o);
}

/* ---- list, rm ---- */

static void row(struct ft_table *t, const json_t *m)
{
    char text[FT_FIGURE_BYTES], words[128], when[FT_SHOW_TIME_BYTES];
    const json_t *params = json_object_get(m, "params"), *ctx = json_object_get(m, "n_ctx");
    const char *of = json_string_value(json_object_get(m, "adapter_of"));
    ft_table_add(t, ft_cloud_text(m, "name", ""));
    if (of != NULL)
        ft_table_addf(t, "adapter of %s", of);
    else
        ft_table_add(t, ft_cloud_text(m, "arch", ""));
    ft_table_add(t,
                 json_is_integer(params) ? ft_figure_count(text, json_number_value(params)) : "");
    ft_table_add(t,
                 ft_figure_bytes(text, (uint64_t)json_integer_value(json_object_get(m, "bytes"))));
    if (json_is_integer(ctx))
        ft_table_addf(t, "%lld", (long long)json_integer_value(ctx));
    else
        ft_table_add(t, "");
    ft_table_add(t, ft_show_words(json_object_get(m, "tasks"), words, sizeof words));
    ft_table_add(t, ft_show_time(json_object_get(m, "created"), when));
}

static bool is_checkpoint(const json_t *m)
{
    return ft_show_is_checkpoint(ft_cloud_text(m, "name", ""));
}

static int list(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"NAME",     "ARCHITECTURE", ">WEIGHTS", ">SIZE",
                                        ">CONTEXT", "TASKS",        "ADDED"};
    const struct model_options *o = ctx;
    struct ft_show_list l = {.path = "/api/v1/models",
                             .none = "there are no models: 'feitian model add' brings one",
                             .heads = heads,
                             .n_heads = FT_COUNT(heads),
                             .row = row,
                             .hide = o->all ? NULL : is_checkpoint,
                             .hidden = "checkpoints of trainings: --all"};
    return ft_show_list(c, &l, o->cloud.json, err);
}

static int model_list(int argc, char **argv)
{
    struct model_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud), {"all", 0, FT_OPT_FLAG, &o.all, 0, 0}};
    int rc = ft_opts_parse("model list", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("model list", &o.cloud, list, &o);
}

/* The endpoint that `model add` made along with a model goes with it, if it is still that. */
static int rm(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct model_options *o = ctx;
    return ft_show_delete(c, "/api/v1/models/", o->args, o->n_args,
                          o->delete_file ? "?cascade=true&delete_file=true" : "?cascade=true",
                          o->delete_file ? "removed" : "removed; its file stays", o->cloud.json,
                          err);
}

static int model_rm(int argc, char **argv)
{
    struct model_options o = {0};
    bool keep = false;
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"keep-file", 0, FT_OPT_FLAG, &keep, 0, 0}};
    int rc = ft_opts_parse("model rm", opts, FT_COUNT(opts), argc, argv, 1, IDS_MAX,
                           "the model's name, which 'feitian model list' shows", &o.args);
    o.delete_file = !keep;
    o.n_args = rc == 0 ? (int)(argv + argc - o.args) : 0;
    return rc != 0 ? rc : ft_cloud_command("model rm", &o.cloud, rm, &o);
}

const struct ft_cmd ft_cmd_model_subs[] = {
    {"add",
     "PATH|hf:ORG/NAME[@REVISION][:FILE]|ms:ORG/NAME[:FILE] [--name N] [--no-endpoint]\n"
     "       feitian model add FOLDER --adapter-of MODEL [--name N]",
     "bring a model: from this machine, Hugging Face or ModelScope", model_add, 0, NULL},
    {"list", "[--all] [--json]", "the models there are", model_list, 0, NULL},
    {"rm", "NAME ... [--keep-file]", "remove models and their files", model_rm, 0, NULL},
    {0},
};
