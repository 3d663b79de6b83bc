/* What comes of a training that has ended well: adapters in HOME/adapters, their names, figures as
 * a file, a repository of the hub. Files first, each once; then all rows
 * in one transaction. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/openai/id.h"
#include "base/folder.h"
#include "base/log.h"
#include "control/inside.h"
#include "control/tune/run.h"

#define LINE_MAX_BYTES 4096 /* of metrics.jsonl */
#define ADAPTERS_MAX   (TUNE_CHECKPOINTS_MAX + 1)

struct kept {
    int64_t step; /* 0: the result */
    char path[PATH_MAX];
    int64_t bytes;
};

struct result {
    struct ft_tune *t;
    struct tune_job *job;
    struct kept kept[ADAPTERS_MAX];
    int n;
    char name[TUNE_NAME_MAX];
    char lack[FT_ERR_MSG_MAX + 64]; /* what could not be kept; "" */
    int64_t cost_nanos;
};

/* ---- files ---- */

static int64_t folder_bytes(const char *path)
{
    char file[PATH_MAX];
    struct stat st;
    int64_t sum = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (snprintf(file, sizeof file, "%s/%s", path, e->d_name) < (int)sizeof file &&
            stat(file, &st) == 0 && S_ISREG(st.st_mode))
            sum += st.st_size;
    if (d != NULL)
        closedir(d);
    return sum;
}

/* From where the training left it to where workers may read it; there already after a kill. */
static int keep(struct result *r, int64_t step, const char *from, struct ft_err *err)
{
    struct kept *k = &r->kept[r->n];
    char tail[32] = "";
    if (step > 0)
        snprintf(tail, sizeof tail, "-step-%" PRId64, step);
    if (snprintf(k->path, sizeof k->path, "%s/adapters/%s%s", r->t->ctl->home, r->job->id, tail) >=
        (int)sizeof k->path)
        return ft_err_set(err, FT_ELIMIT, "the path is too long");
    if (access(k->path, F_OK) != 0 && rename(from, k->path) != 0)
        return ft_err_sys(err, "%s", k->path);
    k->step = step;
    k->bytes = folder_bytes(k->path);
    r->n++;
    return 0;
}

/* Checkpoints still in `folder`, or moved by an earlier try. */
static int keep_checkpoints(struct result *r, const char *folder, const char *head,
                            struct ft_err *err)
{
    int rc = 0;
    char from[PATH_MAX + 300];
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && rc == 0 && (e = readdir(d)) != NULL;) {
        size_t n = strlen(head);
        if (strncmp(e->d_name, head, n) != 0)
            continue;
        char *end;
        int64_t step = strtoll(e->d_name + n, &end, 10);
        bool known = step <= 0 || *end != '\0' || r->n == ADAPTERS_MAX;
        for (int i = 0; i < r->n; i++)
            known = known || r->kept[i].step == step;
        snprintf(from, sizeof from, "%s/%s", folder, e->d_name);
        if (!known)
            rc = keep(r, step, from, err);
    }
    if (d != NULL)
        closedir(d);
    return rc;
}

static int keep_all(struct result *r, struct ft_err *err)
{
    char path[PATH_MAX], head[CTL_ID_MAX + 8];
    ft_tune_path(r->t, r->job->id, "out/adapter", path);
    int rc = keep(r, 0, path, err);
    ft_tune_path(r->t, r->job->id, "out/adapters", path);
    if (rc == 0)
        rc = keep_checkpoints(r, path, "step-", err);
    snprintf(head, sizeof head, "%s-step-", r->job->id);
    snprintf(path, sizeof path, "%.3000s/adapters", r->t->ctl->home);
    return rc == 0 ? keep_checkpoints(r, path, head, err) : rc;
}

void ft_tune_drop_adapters(const struct ft_tune *t, const struct tune_job *job)
{
    char folder[PATH_MAX], path[PATH_MAX];
    size_t n = strlen(job->id);
    snprintf(folder, sizeof folder, "%s/adapters", t->ctl->home);
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (strncmp(e->d_name, job->id, n) == 0 &&
            (e->d_name[n] == '\0' || strncmp(e->d_name + n, "-step-", 6) == 0) &&
            snprintf(path, sizeof path, "%.3000s/%s", folder, e->d_name) < (int)sizeof path)
            ft_folder_remove_all(path);
    if (d != NULL)
        closedir(d);
}

/* ---- figures ---- */

static void put_figure(FILE *to, const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    if (v != NULL)
        fprintf(to, ",%.9g", json_number_value(v));
    else
        fputc(',', to);
}

/* metrics.jsonl as a table. */
static int write_figures(struct ft_tune *t, const struct tune_job *job, const char *to_path,
                         struct ft_err *err)
{
    char path[PATH_MAX], line[LINE_MAX_BYTES];
    ft_tune_path(t, job->id, "out/metrics.jsonl", path);
    FILE *from = fopen(path, "re"), *to = fopen(to_path, "we");
    bool good = from != NULL && to != NULL;
    if (good)
        fputs("step,train_loss,valid_loss,learning_rate\n", to);
    while (good && fgets(line, sizeof line, from) != NULL) {
        json_t *o = json_loads(line, 0, NULL);
        if (json_is_integer(json_object_get(o, "step"))) {
            fprintf(to, "%lld", (long long)ft_ctl_int(o, "step", 0));
            put_figure(to, o, "loss");
            put_figure(to, o, "valid_loss");
            put_figure(to, o, "lr");
            fputc('\n', to);
        }
        json_decref(o);
    }
    if (from != NULL)
        fclose(from);
    if (to != NULL && fclose(to) != 0)
        good = false;
    return good ? 0 : ft_err_sys(err, "%s", to_path);
}

/* Takes the patch. */
static int patch_row(struct ft_tune *t, struct tune_job *job, json_t *patch, struct ft_err *err)
{
    const struct ft_tune_change what = {.patch = patch};
    int rc = ft_tune_change(t, job, &what, err);
    json_decref(patch);
    return rc;
}

/* As a file of the project. Its id is in the row before, so that another try makes the same one. */
static int give_figures(struct ft_tune *t, struct tune_job *job, struct ft_err *err)
{
    char path[PATH_MAX], id[FT_OAI_ID_BYTES];
    int rc = 0;
    if (json_array_size(json_object_get(job->body, "result_files")) > 0)
        return 0;
    if (!ft_ctl_has(job->body, "figures_id")) {
        rc = ft_oai_id_new("file-", (int64_t)time(NULL) * 1000, id, err);
        if (rc == 0)
            rc = patch_row(t, job, json_pack("{s:s}", "figures_id", id), err);
    }
    const char *drawn = ft_ctl_text(job->body, "figures_id");
    if (rc != 0 || drawn == NULL) /* cancelled meanwhile */
        return rc;
    snprintf(id, sizeof id, "%s", drawn);
    ft_tune_path(t, job->id, "step_metrics.csv", path);
    rc = write_figures(t, job, path, err);
    const struct ft_inside_file f = {.key = ft_ctl_text(job->body, "key"),
                                     .id = id,
                                     .purpose = "fine-tune-results",
                                     .filename = "step_metrics.csv",
                                     .path = path};
    if (rc == 0)
        rc = ft_inside_put_file(t->ctl->inside, &f, err);
    if (rc == FT_EUNAVAIL || rc == FT_ECANCELED)
        return rc;
    if (rc != 0) { /* the key is gone, the project is full: the model is no worse for it */
        ft_log(FT_LOG_WARN, "tune", "%s: no file of figures: %s", job->id, err->msg);
        return 0;
    }
    return patch_row(t, job, json_pack("{s:[s]}", "result_files", id), err);
}

static int give_repository(struct result *r, struct ft_err *err)
{
    char name[TUNE_REPO_MAX];
    if (ft_ctl_has(r->job->body, "repository"))
        return 0;
    int rc = ft_tune_push(r->t, r->job, r->kept[0].path, name, err);
    if (rc == FT_EUNAVAIL || rc == FT_ECANCELED)
        return rc;
    if (rc != 0) { /* as for the figures */
        ft_log(FT_LOG_WARN, "tune", "%s: no repository: %s", r->job->id, err->msg);
        snprintf(r->lack, sizeof r->lack, "The result is in no repository of the hub: %s",
                 err->msg);
        return 0;
    }
    return patch_row(r->t, r->job, json_pack("{s:s}", "repository", name), err);
}

/* ---- rows ---- */

static int put_new(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind, const char *id,
                   json_t *body, struct ft_err *err)
{
    struct ft_ctl_entity old = {0};
    int rc = ft_ctl_get(tx, kind, id, &old, err);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, kind, id, NULL, body, err);
    ft_ctl_entity_fini(&old);
    json_decref(body);
    return rc < 0 ? rc : 0;
}

/* A model and an endpoint of the project by the same name. */
static int name_adapter(struct ft_ctl_call *c, struct ft_state_tx *tx, const struct result *r,
                        const struct kept *k, struct ft_err *err)
{
    char name[TUNE_NAME_MAX], id[264];
    const json_t *job = r->job->body;
    const char *base = ft_ctl_text(job, "base"), *project = ft_ctl_text(job, "project");
    ft_tune_model_name(r->job->id, job, k->step, name);
    json_t *model =
        json_pack("{s:s,s:s,s:s,s:s,s:s,s:[],s:I,s:I}", "name", name, "project", project, "path",
                  k->path, "adapter_of", base, "format", "peft", "tasks", "bytes",
                  (json_int_t)k->bytes, "created", (json_int_t)c->now_s);
    json_t *endpoint = ft_ctl_endpoint_body(name, project, base, name, c->now_s);
    int rc = put_new(c, tx, "model", name, model, err);
    snprintf(id, sizeof id, "%s@%s", name, project);
    if (rc == 0)
        return put_new(c, tx, "endpoint", id, endpoint, err);
    json_decref(endpoint);
    return rc;
}

static int put_rows(struct ft_ctl_call *c, struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct result *r = ctx;
    char text[TUNE_NAME_MAX + 64];
    int rc = 0;
    for (int i = 0; i < r->n && rc == 0; i++)
        rc = name_adapter(c, tx, r, &r->kept[i], err);
    if (rc == 0)
        rc = ft_tune_settle_in(tx, r->t, r->job, r->job->body, &r->cost_nanos, err);
    if (rc == 0 && r->lack[0] != '\0')
        rc = ft_tune_note(tx, r->job->id, c->now_s, "warn", "message", r->lack, NULL, err);
    snprintf(text, sizeof text, "New fine-tuned model created: %s", r->name);
    if (rc == 0)
        rc = ft_tune_note(tx, r->job->id, c->now_s, "info", "message", text, NULL, err);
    if (rc == 0)
        rc = ft_tune_note(tx, r->job->id, c->now_s, "info", "message",
                          "The job has successfully completed", NULL, err);
    return rc;
}

int ft_tune_finish(struct ft_tune *t, struct tune_job *job, struct ft_err *err)
{
    struct result *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    r->t = t;
    r->job = job;
    ft_tune_model_name(job->id, job->body, 0, r->name);
    int rc = keep_all(r, err);
    if (rc == 0)
        rc = give_figures(t, job, err);
    if (rc == 0)
        rc = give_repository(r, err);
    if (rc == 0) {
        json_t *patch = json_pack("{s:s,s:I,s:s,s:I,s:n}", "status", "succeeded", "finished",
                                  (json_int_t)time(NULL), "fine_tuned_model", r->name,
                                  "trained_tokens", (json_int_t)job->tokens, "error");
        char status[32];
        snprintf(status, sizeof status, "%s", ft_ctl_text(job->body, "status"));
        const struct ft_tune_change what = {
            .only = status, .patch = patch, .more = put_rows, .ctx = r};
        rc = ft_tune_change(t, job, &what, err);
        json_decref(patch);
    }
    if (rc == 0)
        ft_tune_tell_cost(t, job, r->cost_nanos);
    free(r);
    return rc;
}
