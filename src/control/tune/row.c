/* A job's row, from a request and for an answer. */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "api/openai/check.h"
#include "base/glob.h"
#include "control/tune/tune.h"

#define SUFFIX_MAX 24
#define EPOCHS     3 /* where the request says "auto" */
#define BATCH      4
#define BETA       0.1

/* ---- the request ---- */

static int whole(const json_t *of, const char *name, const struct ft_oai_at *at, int64_t lo,
                 int64_t hi, int64_t fallback, json_t *into, struct ft_oai_error *e)
{
    const json_t *v = ft_oai_get(of, name);
    int64_t n = fallback;
    const char *word = json_string_value(v);
    if (v != NULL && (word == NULL || strcmp(word, "auto") != 0)) {
        int rc = ft_oai_int(v, FT_OAI_AT(at, name), lo, hi, &n, e);
        if (rc != 0)
            return rc;
    }
    json_object_set_new(into, name, json_integer(n));
    return 0;
}

static int real(const json_t *of, const char *name, const struct ft_oai_at *at, double lo,
                double hi, double fallback, json_t *into, struct ft_oai_error *e)
{
    const json_t *v = ft_oai_get(of, name);
    double x = fallback;
    const char *word = json_string_value(v);
    if (v != NULL && (word == NULL || strcmp(word, "auto") != 0)) {
        int rc = ft_oai_num(v, FT_OAI_AT(at, name), lo, hi, &x, e);
        if (rc != 0)
            return rc;
    }
    json_object_set_new(into, name, json_real(x));
    return 0;
}

/* given: what the request says of them; NULL for nothing. */
static int hyperparameters(const json_t *given, const struct ft_oai_at *at, bool dpo, json_t *into,
                           struct ft_oai_error *e)
{
    static const char *const plain[] = {"n_epochs", "batch_size", "learning_rate_multiplier", NULL};
    static const char *const preferences[] = {"n_epochs", "batch_size", "learning_rate_multiplier",
                                              "beta", NULL};
    int rc = given != NULL ? ft_oai_object(given, at, e) : 0;
    if (rc == 0 && given != NULL)
        rc = ft_oai_only(given, at, dpo ? preferences : plain, e);
    if (rc == 0)
        rc = whole(given, "n_epochs", at, 1, 50, EPOCHS, into, e);
    if (rc == 0)
        rc = whole(given, "batch_size", at, 1, 256, BATCH, into, e);
    if (rc == 0)
        rc = real(given, "learning_rate_multiplier", at, 1e-4, 1e4, 1, into, e);
    if (rc == 0 && dpo)
        rc = real(given, "beta", at, 1e-4, 2, BETA, into, e);
    return rc;
}

/* {"type": "supervised", "supervised": {"hyperparameters": {}}}, or hyperparameters alone. */
static int method(const json_t *body, json_t *row, struct ft_oai_error *e)
{
    static const char *const kinds[] = {"supervised", "dpo", "reinforcement", NULL};
    static const char *const inner[] = {"hyperparameters", NULL};
    const json_t *old = ft_oai_get(body, "hyperparameters"), *m = ft_oai_get(body, "method");
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "method");
    json_t *into = json_object();
    json_object_set_new(row, "hyperparameters", into);
    json_object_set_new(row, "method", json_string("supervised"));
    if (m == NULL)
        return hyperparameters(old, FT_OAI_AT(NULL, "hyperparameters"), false, into, e);
    if (old != NULL)
        return ft_oai_bad(e, FT_OAI_AT(NULL, "hyperparameters"), "invalid_value",
                          "must not stand beside method, which has its own");
    int kind = 0, rc = ft_oai_object(m, at, e);
    if (rc == 0)
        rc = ft_oai_only(m, at, (const char *const[]){"type", kinds[0], kinds[1], kinds[2], NULL},
                         e);
    if (rc == 0 && ft_oai_get(m, "type") == NULL)
        rc = ft_oai_missing(e, FT_OAI_AT(at, "type"));
    if (rc == 0)
        rc = ft_oai_enum(ft_oai_get(m, "type"), FT_OAI_AT(at, "type"), kinds, &kind, e);
    if (rc == 0 && kind == 2)
        rc = ft_oai_unsupported(e, FT_OAI_AT(at, "type"), "supervised and dpo are trained here");
    for (int k = 0; k < 3 && rc == 0; k++)
        if (k != kind && ft_oai_get(m, kinds[k]) != NULL)
            rc = ft_oai_bad(e, FT_OAI_AT(at, kinds[k]), "invalid_value", "is not of type '%s'",
                            kinds[kind]);
    if (rc != 0)
        return rc;
    const json_t *own = ft_oai_get(m, kinds[kind]);
    const struct ft_oai_at *within = FT_OAI_AT(at, kinds[kind]);
    rc = own != NULL ? ft_oai_object(own, within, e) : 0;
    if (rc == 0 && own != NULL)
        rc = ft_oai_only(own, within, inner, e);
    json_object_set_new(row, "method", json_string(kinds[kind]));
    return rc != 0 ? rc
                   : hyperparameters(ft_oai_get(own, "hyperparameters"),
                                     FT_OAI_AT(within, "hyperparameters"), kind == 1, into, e);
}

static int suffix(const json_t *body, json_t *row, struct ft_oai_error *e)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    const char *s;
    const json_t *v = ft_oai_get(body, "suffix");
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "suffix");
    if (v == NULL)
        return 0;
    int rc = ft_oai_str(v, at, 1, SUFFIX_MAX, &s, e);
    if (rc == 0 && s[strspn(s, good)] != '\0')
        rc = ft_oai_bad(e, at, "invalid_value", "must be made of A-Z a-z 0-9 - _ .");
    if (rc == 0)
        json_object_set_new(row, "suffix", json_string(s));
    return rc;
}

static int seed(const json_t *body, json_t *row, struct ft_oai_error *e)
{
    uint32_t drawn = 0;
    const json_t *v = ft_oai_get(body, "seed");
    int64_t n;
    if (getrandom(&drawn, sizeof drawn, 0) != sizeof drawn)
        drawn = 1;
    n = drawn >> 1;
    int rc = v != NULL ? ft_oai_int(v, FT_OAI_AT(NULL, "seed"), 0, INT64_C(1) << 53, &n, e) : 0;
    json_object_set_new(row, "seed", json_integer(n));
    return rc;
}

static int file(const json_t *body, const char *name, bool needed, json_t *row,
                struct ft_oai_error *e)
{
    const char *id;
    const json_t *v = ft_oai_get(body, name);
    const struct ft_oai_at *at = FT_OAI_AT(NULL, name);
    if (v == NULL)
        return needed ? ft_oai_missing(e, at) : 0;
    int rc = ft_oai_name(v, at, &id, e);
    if (rc == 0)
        json_object_set_new(row, name, json_string(id));
    return rc;
}

static int others(const json_t *body, json_t *row, struct ft_oai_error *e)
{
    const json_t *metadata = ft_oai_get(body, "metadata"), *v = ft_oai_get(body, "integrations");
    int rc = 0;
    if (metadata != NULL)
        rc = ft_oai_metadata(metadata, FT_OAI_AT(NULL, "metadata"), e);
    if (rc == 0 && metadata != NULL)
        json_object_set(row, "metadata", (json_t *)metadata);
    if (rc == 0 && v != NULL && !(json_is_array(v) && json_array_size(v) == 0))
        rc = ft_oai_unsupported(e, FT_OAI_AT(NULL, "integrations"),
                                "events and metrics are at the job itself");
    return rc;
}

static int parse(const json_t *body, json_t *row, struct ft_oai_error *e)
{
    static const char *const known[] = {
        "model",           "training_file", "validation_file", "method",       "suffix",
        "hyperparameters", "seed",          "metadata",        "integrations", NULL};
    const char *model;
    int rc = ft_oai_only(body, NULL, known, e);
    if (rc == 0 && ft_oai_get(body, "model") == NULL)
        rc = ft_oai_missing(e, FT_OAI_AT(NULL, "model"));
    if (rc == 0)
        rc = ft_oai_str(ft_oai_get(body, "model"), FT_OAI_AT(NULL, "model"), 1, 96, &model, e);
    if (rc == 0)
        json_object_set_new(row, "model", json_string(model));
    if (rc == 0)
        rc = file(body, "training_file", true, row, e);
    if (rc == 0)
        rc = file(body, "validation_file", false, row, e);
    if (rc == 0)
        rc = method(body, row, e);
    if (rc == 0)
        rc = suffix(body, row, e);
    if (rc == 0)
        rc = seed(body, row, e);
    return rc == 0 ? others(body, row, e) : rc;
}

/* ---- the model ---- */

static int no_model(struct ft_ctl_call *c, const char *name)
{
    return ft_ctl_refuse(c, 404, "model_not_found", "model",
                         "The model '%.96s' does not exist or you do not have access to it.", name);
}

/* The endpoint that a call of this name would find. */
static int find_endpoint(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *name,
                         struct ft_ctl_entity *ret, struct ft_err *err)
{
    char id[264];
    snprintf(id, sizeof id, "%s@%s", name, c->project);
    int rc = ft_ctl_get(tx, "endpoint", id, ret, err);
    if (rc == 0)
        rc = ft_ctl_get(tx, "endpoint", name, ret, err);
    const char *of = ft_ctl_text(ret->body, "project");
    if (rc > 0 && of != NULL && strcmp(of, c->project) != 0) { /* the name was "NAME@PROJECT" */
        ft_ctl_entity_fini(ret);
        rc = 0;
    }
    return rc;
}

/* Who may not call a model may not train it either. */
static int check_key(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *name,
                     struct ft_err *err)
{
    struct ft_ctl_entity key = {0};
    int rc = ft_ctl_get(tx, "key", c->key, &key, err);
    const json_t *globs = json_object_get(key.body, "models"), *glob;
    bool any = globs == NULL;
    size_t i;
    json_array_foreach(globs, i, glob) any |= ft_glob_match(json_string_value(glob), name);
    ft_ctl_entity_fini(&key);
    if (rc >= 0 && !any)
        return ft_ctl_refuse(c, 403, "model_not_allowed", "model",
                             "This key is not allowed to use the model '%.96s'.", name);
    return FT_MIN(rc, 0);
}

/* Sets the row's "base": the registered model whose weights are trained upon. */
static int resolve(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *row, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    const char *name = ft_ctl_text(row, "model");
    int rc = check_key(c, tx, name, err);
    if (rc != 0)
        return rc;
    rc = find_endpoint(c, tx, name, &e, err);
    if (rc <= 0)
        return rc == 0 ? no_model(c, name) : rc;
    const json_t *targets = json_object_get(e.body, "targets"), *t = json_array_get(targets, 0);
    const char *base = ft_ctl_text(t, "model");
    rc = 0;
    if (json_array_size(targets) != 1 || base == NULL || ft_ctl_has(t, "url"))
        rc = ft_ctl_refuse(c, 400, "invalid_value", "model",
                           "model: '%.96s' is not one model of this cloud, so it cannot be trained",
                           name);
    else if (ft_ctl_has(t, "adapter"))
        rc = ft_ctl_refuse(c, 400, "unsupported_value", "model",
                           "model: '%.96s' is fine-tuned already; train '%.96s' on all of the data",
                           name, base);
    else
        json_object_set_new(row, "base", json_string(base));
    ft_ctl_entity_fini(&e);
    return rc;
}

static json_int_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (json_int_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int ft_tune_row_make(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t **ret,
                     struct ft_err *err)
{
    json_t *row = json_object();
    int rc = parse(c->body, row, &c->error);
    if (rc != 0)
        c->refused = true;
    else
        rc = resolve(c, tx, row, err);
    if (rc != 0) {
        json_decref(row);
        return rc;
    }
    json_object_set_new(row, "project", json_string(c->project));
    json_object_set_new(row, "key", json_string(c->key));
    json_object_set_new(row, "status", json_string("validating_files"));
    json_object_set_new(row, "created", json_integer(c->now_s));
    json_object_set_new(row, "created_ns", json_integer(now_ns())); /* their order */
    *ret = row;
    return 0;
}

/* ---- the answer ---- */

static json_t *member(const json_t *body, const char *name)
{
    json_t *v = json_object_get(body, name);
    return v != NULL ? json_incref(v) : json_null();
}

static void put_method(json_t *o, const json_t *body)
{
    const char *kind = ft_ctl_text(body, "method");
    json_object_set(o, "hyperparameters", json_object_get(body, "hyperparameters"));
    json_object_set_new(o, "method",
                        json_pack("{s:s,s:{s:O}}", "type", kind, kind, "hyperparameters",
                                  json_object_get(body, "hyperparameters")));
}

json_t *ft_tune_view(const char *id, const json_t *body)
{
    json_t *files = json_object_get(body, "result_files");
    json_t *error = json_object_get(body, "error"), *meta = json_object_get(body, "metadata");
    json_t *o = json_pack(
        "{s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:[],s:o}", "id", id, "object",
        "fine_tuning.job", "created_at", member(body, "created"), "finished_at",
        member(body, "finished"), "model", member(body, "model"), "fine_tuned_model",
        member(body, "fine_tuned_model"), "organization_id", member(body, "project"), "status",
        member(body, "status"), "training_file", member(body, "training_file"), "validation_file",
        member(body, "validation_file"), "trained_tokens", member(body, "trained_tokens"), "seed",
        member(body, "seed"), "user_provided_suffix", member(body, "suffix"), "estimated_finish",
        member(body, "estimated_finish"), "integrations", "repository", member(body, "repository"));
    json_object_set_new(o, "error", error != NULL ? json_incref(error) : json_null());
    json_object_set_new(o, "result_files", files != NULL ? json_incref(files) : json_array());
    json_object_set_new(o, "metadata", meta != NULL ? json_incref(meta) : json_null());
    put_method(o, body);
    return o;
}

bool ft_tune_has_ended(const json_t *body)
{
    const char *s = ft_ctl_text(body, "status");
    return s == NULL || strcmp(s, "succeeded") == 0 || strcmp(s, "failed") == 0 ||
           strcmp(s, "cancelled") == 0;
}

#define STEP_MARK ":ckpt-step-"

void ft_tune_model_name(const char *id, const json_t *body, int64_t step, char ret[TUNE_NAME_MAX])
{
    const char *given = ft_ctl_text(body, "suffix"), *digits = strchr(id, '-');
    int n = snprintf(ret, TUNE_NAME_MAX, "ft:%.20s:%.16s:%.*s:%.8s", ft_ctl_text(body, "base"),
                     ft_ctl_text(body, "project"), SUFFIX_MAX, given != NULL ? given : "",
                     digits != NULL ? digits + 1 : id);
    if (step > 0)
        snprintf(ret + n, (size_t)(TUNE_NAME_MAX - n), STEP_MARK "%lld", (long long)step);
}

bool ft_tune_is_checkpoint_of(const char *name, const char *result)
{
    size_t n = strlen(result);
    return strncmp(result, "ft:", 3) == 0 && strncmp(name, result, n) == 0 &&
           strncmp(name + n, STEP_MARK, strlen(STEP_MARK)) == 0;
}
