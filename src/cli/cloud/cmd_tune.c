/* feitian tune: fine-tuning jobs of a cloud. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/cloud/show.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

#define JOBS    "/v1/fine_tuning/jobs"
#define LOOK_US 500000

struct tune_options {
    struct ft_cloud_options cloud;
    const char *valid, *suffix;
    int64_t epochs, batch, seed; /* -1: not given */
    double lr, beta;             /* negative: not given */
    bool dpo, wait, follow;
    const char *act; /* of cancel, pause, resume */
    char **args;
};

static int get(struct ft_cloud *c, const char *id, const char *rest, json_t **ret,
               struct ft_err *err)
{
    struct ft_buf b;
    ft_buf_init(&b, 1024);
    ft_buf_add_str(&b, JOBS "/");
    ft_cloud_escape(&b, id);
    ft_buf_add_str(&b, rest);
    int rc = b.failed == 0 ? ft_cloud_call(c, "GET", b.data, NULL, ret, err)
                           : ft_err_set(err, FT_EINVAL, "%.60s...: is no job's id", id);
    ft_buf_fini(&b);
    return rc;
}

static bool has_ended(const json_t *job)
{
    const char *s = ft_cloud_text(job, "status", "");
    return strcmp(s, "succeeded") == 0 || strcmp(s, "failed") == 0 || strcmp(s, "cancelled") == 0;
}

/* ---- looking ---- */

static void show(const json_t *job)
{
    char when[FT_SHOW_TIME_BYTES];
    const char *id = ft_cloud_text(job, "id", "?"), *status = ft_cloud_text(job, "status", "?");
    const json_t *tokens = json_object_get(job, "trained_tokens");
    const char *why = ft_cloud_text(json_object_get(job, "error"), "message", NULL);
    const char *model = ft_cloud_text(job, "fine_tuned_model", NULL);
    printf("%s  %s\n", id, status);
    printf("  model      %s\n", ft_cloud_text(job, "model", "?"));
    printf("  begun      %s\n", ft_show_time(json_object_get(job, "created_at"), when));
    if (json_is_integer(json_object_get(job, "estimated_finish")))
        printf("  done by    %s\n", ft_show_time(json_object_get(job, "estimated_finish"), when));
    if (json_is_integer(json_object_get(job, "finished_at")))
        printf("  ended      %s\n", ft_show_time(json_object_get(job, "finished_at"), when));
    if (json_is_integer(tokens))
        printf("  trained    %lld tokens\n", (long long)json_integer_value(tokens));
    if (why != NULL) {
        printf("  why        ");
        ft_cli_put_plain(stdout, why);
        printf("\n");
    }
    if (ft_cloud_text(job, "repository", NULL) != NULL)
        printf("  hub        %s\n", ft_cloud_text(job, "repository", ""));
    if (model != NULL)
        printf("  result     %s\n\n  feitian chat %s\n", model, model);
}

static void bar(struct ft_progress *p, const json_t *events)
{
    size_t i;
    const json_t *e;
    json_array_foreach(json_object_get(events, "data"), i, e)
    {
        const json_t *data = json_object_get(e, "data");
        json_int_t step = json_integer_value(json_object_get(data, "step"));
        json_int_t all = json_integer_value(json_object_get(data, "total_steps"));
        if (all > 0 && step <= all) {
            ft_progress_show(p, (uint64_t)step, (uint64_t)all);
            return;
        }
    }
}

/* Until it has ended; Ctrl-C ends the looking alone. */
static int wait_for(struct ft_cloud *c, const char *id, bool json, struct ft_err *err)
{
    struct ft_progress p = {.what = "training"};
    const atomic_int *stop = ft_interrupt_catch();
    json_t *job = NULL, *events = NULL;
    int rc = 0;
    while (*stop == 0) {
        json_decref(job);
        job = NULL;
        rc = get(c, id, "", &job, err);
        if (rc != 0 || has_ended(job))
            break;
        if (get(c, id, "/events?limit=5", &events, err) == 0)
            bar(&p, events);
        json_decref(events);
        events = NULL;
        usleep(LOOK_US);
    }
    ft_progress_clear(&p);
    ft_interrupt_release();
    if (rc != 0 || job == NULL)
        return rc;
    bool failed = strcmp(ft_cloud_text(job, "status", ""), "failed") == 0;
    if (failed)
        rc = ft_err_set(err, FT_EINVAL, "%s failed: %s", id,
                        ft_cloud_text(json_object_get(job, "error"), "message", "?"));
    if (json)
        ft_show_json(job);
    else if (!failed)
        show(job);
    if (!json)
        json_decref(job);
    return rc;
}

/* ---- create ---- */

/* A file of this machine is uploaded, and noted; "file-..." is one of the cloud's. */
static int file_id(struct ft_cloud *c, const char *name, json_t *body, const char *member,
                   json_t *uploaded, struct ft_err *err)
{
    json_t *file = NULL;
    if (strncmp(name, "file-", 5) == 0 && access(name, F_OK) != 0) {
        json_object_set_new(body, member, json_string(name));
        return 0;
    }
    int rc = ft_cloud_upload(c, name, "fine-tune", &file, err);
    if (rc == 0) {
        json_object_set(body, member, json_object_get(file, "id"));
        json_array_append(uploaded, json_object_get(file, "id"));
    }
    json_decref(file);
    return rc;
}

static json_t *method(const struct tune_options *o)
{
    json_t *h = json_object();
    if (o->epochs >= 0)
        json_object_set_new(h, "n_epochs", json_integer(o->epochs));
    if (o->batch >= 0)
        json_object_set_new(h, "batch_size", json_integer(o->batch));
    if (o->lr >= 0)
        json_object_set_new(h, "learning_rate_multiplier", json_real(o->lr));
    if (o->beta >= 0)
        json_object_set_new(h, "beta", json_real(o->beta));
    const char *kind = o->dpo ? "dpo" : "supervised";
    return json_pack("{s:s,s:{s:o}}", "type", kind, kind, "hyperparameters", h);
}

/* No job came of them. What cannot be removed now stays among the files: no error of its own. */
static void remove_files(struct ft_cloud *c, const json_t *uploaded)
{
    const json_t *id;
    size_t i;
    json_array_foreach(uploaded, i, id)
    {
        char path[256];
        struct ft_err ignored = {0};
        snprintf(path, sizeof path, "/v1/files/%s", json_string_value(id));
        ft_cloud_call(c, "DELETE", path, NULL, NULL, &ignored);
    }
}

static int begin_job(struct ft_cloud *c, const struct tune_options *o, json_t *uploaded,
                     json_t **ret, struct ft_err *err)
{
    json_t *body = json_pack("{s:s,s:o}", "model", o->args[0], "method", method(o));
    int rc = body == NULL ? ft_err_set(err, FT_EINVAL, "MODEL: is not UTF-8") : 0;
    if (rc == 0)
        rc = file_id(c, o->args[1], body, "training_file", uploaded, err);
    if (rc == 0 && o->valid != NULL)
        rc = file_id(c, o->valid, body, "validation_file", uploaded, err);
    if (rc == 0 && o->suffix != NULL)
        json_object_set_new(body, "suffix", json_string(o->suffix));
    if (rc == 0 && o->seed >= 0)
        json_object_set_new(body, "seed", json_integer(o->seed));
    if (rc != 0) {
        json_decref(body);
        return rc;
    }
    return ft_cloud_call(c, "POST", JOBS, body, ret, err);
}

static int create(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct tune_options *o = ctx;
    json_t *job = NULL, *uploaded = json_array();
    c->status = 0;
    int rc = begin_job(c, o, uploaded, &job, err);
    if (rc != 0 && c->status != 0) /* without an answer nobody knows whether there is a job */
        remove_files(c, uploaded);
    json_decref(uploaded);
    if (rc != 0)
        return rc;
    const char *id = ft_cloud_text(job, "id", "?");
    if (o->wait)
        rc = wait_for(c, id, o->cloud.json, err);
    else if (o->cloud.json)
        ft_show_json(json_incref(job));
    else
        printf("%s is begun; 'feitian tune show %s' says how it goes\n", id, id);
    json_decref(job);
    return rc;
}

static int tune_create(int argc, char **argv)
{
    struct tune_options o = {.epochs = -1, .batch = -1, .seed = -1, .lr = -1, .beta = -1};
    const struct ft_opt opts[] = {
        FT_CLOUD_OPTIONS(o.cloud),
        {"valid", 0, FT_OPT_TEXT, &o.valid, 0, 0},
        {"suffix", 0, FT_OPT_TEXT, &o.suffix, 0, 0},
        {"epochs", 0, FT_OPT_WHOLE, &o.epochs, 1, 50},
        {"batch", 0, FT_OPT_WHOLE, &o.batch, 1, 256},
        {"lr-multiplier", 0, FT_OPT_REAL, &o.lr, 1e-4, 1e4},
        {"dpo", 0, FT_OPT_FLAG, &o.dpo, 0, 0},
        {"beta", 0, FT_OPT_REAL, &o.beta, 1e-4, 2},
        {"seed", 0, FT_OPT_WHOLE, &o.seed, 0, 9007199254740992.0},
        {"wait", 0, FT_OPT_FLAG, &o.wait, 0, 0},
    };
    int rc = ft_opts_parse("tune create", opts, FT_COUNT(opts), argc, argv, 2, 2,
                           "a model and a file: feitian tune create MODEL FILE", &o.args);
    if (rc == 0 && o.beta >= 0 && !o.dpo)
        return ft_cli_usage("tune create", "--beta: is for --dpo");
    return rc != 0 ? rc : ft_cloud_command("tune create", &o.cloud, create, &o);
}

/* ---- the rest ---- */

static void job_row(struct ft_table *t, const json_t *job)
{
    char when[FT_SHOW_TIME_BYTES];
    ft_table_add(t, ft_cloud_text(job, "id", ""));
    ft_table_add(t, ft_cloud_text(job, "status", ""));
    ft_table_add(t, ft_cloud_text(job, "model", ""));
    ft_table_add(t, ft_cloud_text(job, "fine_tuned_model", ""));
    ft_table_add(t, ft_show_time(json_object_get(job, "created_at"), when));
}

static int list(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    static const char *const heads[] = {"JOB", "STATUS", "MODEL", "RESULT", "BEGUN"};
    const struct tune_options *o = ctx;
    const struct ft_show_list l = {.path = JOBS,
                                   .none = "there are no jobs: feitian tune create MODEL FILE",
                                   .heads = heads,
                                   .n_heads = FT_COUNT(heads),
                                   .row = job_row};
    return ft_show_list(c, &l, o->cloud.json, err);
}

static int tune_list(int argc, char **argv)
{
    struct tune_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("tune list", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &o.args);
    return rc != 0 ? rc : ft_cloud_command("tune list", &o.cloud, list, &o);
}

static int show_one(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct tune_options *o = ctx;
    json_t *job = NULL;
    if (o->wait)
        return wait_for(c, o->args[0], o->cloud.json, err);
    int rc = get(c, o->args[0], "", &job, err);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(job);
        return 0;
    }
    show(job);
    json_decref(job);
    return 0;
}

static int tune_show(int argc, char **argv)
{
    struct tune_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud),
                                  {"wait", 0, FT_OPT_FLAG, &o.wait, 0, 0}};
    int rc = ft_opts_parse("tune show", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a job's id, which 'feitian tune list' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("tune show", &o.cloud, show_one, &o);
}

static int events(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct tune_options *o = ctx;
    json_t *all;
    struct ft_buf b;
    char when[FT_SHOW_TIME_BYTES];
    ft_buf_init(&b, 1024);
    ft_buf_add_str(&b, JOBS "/");
    ft_cloud_escape(&b, o->args[0]);
    ft_buf_add_str(&b, "/events?limit=1000");
    int rc = b.failed == 0 ? ft_cloud_list(c, b.data, &all, err)
                           : ft_err_set(err, FT_EINVAL, "no job's id");
    ft_buf_fini(&b);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(all);
        return 0;
    }
    for (size_t i = json_array_size(all); i-- > 0;) { /* the oldest first */
        const json_t *e = json_array_get(all, i);
        printf("%s  %-5s ", ft_show_time(json_object_get(e, "created_at"), when),
               ft_cloud_text(e, "level", ""));
        ft_cli_put_plain(stdout, ft_cloud_text(e, "message", ""));
        printf("\n");
    }
    json_decref(all);
    return 0;
}

static int tune_events(int argc, char **argv)
{
    struct tune_options o = {0};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse("tune events", opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a job's id, which 'feitian tune list' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command("tune events", &o.cloud, events, &o);
}

static int act(struct ft_cloud *c, void *ctx, struct ft_err *err)
{
    const struct tune_options *o = ctx;
    json_t *job = NULL;
    struct ft_buf b;
    ft_buf_init(&b, 1024);
    ft_buf_add_str(&b, JOBS "/");
    ft_cloud_escape(&b, o->args[0]);
    ft_buf_addf(&b, "/%s", o->act);
    int rc = b.failed == 0 ? ft_cloud_call(c, "POST", b.data, NULL, &job, err)
                           : ft_err_set(err, FT_EINVAL, "no job's id");
    ft_buf_fini(&b);
    if (rc != 0)
        return rc;
    if (o->cloud.json) {
        ft_show_json(job);
        return 0;
    }
    printf("%s is %s\n", o->args[0], ft_cloud_text(job, "status", "?"));
    json_decref(job);
    return 0;
}

static int tune_act(const char *name, const char *word, int argc, char **argv)
{
    struct tune_options o = {.act = word};
    const struct ft_opt opts[] = {FT_CLOUD_OPTIONS(o.cloud)};
    int rc = ft_opts_parse(name, opts, FT_COUNT(opts), argc, argv, 1, 1,
                           "a job's id, which 'feitian tune list' shows", &o.args);
    return rc != 0 ? rc : ft_cloud_command(name, &o.cloud, act, &o);
}

static int tune_cancel(int argc, char **argv)
{
    return tune_act("tune cancel", "cancel", argc, argv);
}

static int tune_pause(int argc, char **argv)
{
    return tune_act("tune pause", "pause", argc, argv);
}

static int tune_resume(int argc, char **argv)
{
    return tune_act("tune resume", "resume", argc, argv);
}

const struct ft_cmd ft_cmd_tune_subs[] = {
    {"create", "MODEL FILE [--valid FILE] [--epochs N] [--dpo] [--suffix NAME] [--wait] [...]",
     "train a model on a file of conversations or preferences", tune_create, 0, NULL},
    {"list", "[--json]", "the jobs there are", tune_list, 0, NULL},
    {"show", "ID [--wait] [--json]", "how a job goes, and what came of it", tune_show, 0, NULL},
    {"events", "ID [--json]", "what happened to a job", tune_events, 0, NULL},
    {"pause", "ID", "stop a training; it keeps what it has learnt", tune_pause, 0, NULL},
    {"resume", "ID", "go on with one that was paused", tune_resume, 0, NULL},
    {"cancel", "ID", "end a job for good", tune_cancel, 0, NULL},
    {0},
};
