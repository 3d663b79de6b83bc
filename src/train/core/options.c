/* The options of a training run: the table, and texts and JSON through it. */
#include "train/core/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/file/quant_mix.h"
#include "train/core/option_table.h"

#define ARENA_MAX ((size_t)16 << 20)
#define NEAR      3 /* edits within which a name is meant */

static void *field(const struct ft_train_options *o, const struct ft_train_option *p)
{
    return (char *)(uintptr_t)o + p->offset;
}

static int64_t index_of(const struct ft_train_option *p)
{
    return p - ft_train_option_table;
}

static bool is_given(const struct ft_train_options *o, const struct ft_train_option *p)
{
    return (o->given >> index_of(p) & 1) != 0;
}

/* ---- names ---- */

/* Equal, '_' and '-' being the same. */
static bool same_key(const char *a, const char *b)
{
    for (; *a != 0 && *b != 0; a++, b++)
        if (*a != *b && !(*a == '_' && *b == '-'))
            return false;
    return *a == *b;
}

/* Edits from a to b (Levenshtein), for short names; upper and lower case are the same. */
static int distance(const char *a, const char *b)
{
    int row[64], n = (int)strnlen(b, 63);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; *a != 0; a++, i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int keep = corner + (tolower((unsigned char)*a) != b[j - 1]);
            corner = row[j];
            row[j] = FT_MIN(keep, FT_MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}

/* What other trainers call them. */
static const char *const elsewhere[][2] = {
    {"learning-rate", "lr"},
    {"batch-size", "batch"},
    {"per-device-train-batch-size", "batch"},
    {"gradient-accumulation-steps", "accumulate"},
    {"num-train-epochs", "epochs"},
    {"n-epochs", "epochs"},
    {"max-seq-length", "seq-len"},
    {"cutoff-len", "seq-len"},
    {"lora-rank", "rank"},
    {"lora-alpha", "alpha"},
    {"lora-dropout", "dropout"},
    {"lora-target", "targets"},
    {"target-modules", "targets"},
    {"output-dir", "output"},
    {"dataset", "data"},
    {"max-grad-norm", "clip"},
    {"lr-scheduler-type", "schedule"},
};

static const struct ft_train_option *find(const char *key, struct ft_err *err)
{
    const struct ft_train_option *best = &ft_train_option_table[0];
    for (int i = 0; i < ft_train_option_count; i++) {
        const struct ft_train_option *p = &ft_train_option_table[i];
        if (same_key(key, p->key))
            return p;
        if (distance(key, p->key) < distance(key, best->key))
            best = p;
    }
    for (size_t i = 0; i < FT_COUNT(elsewhere); i++)
        if (same_key(key, elsewhere[i][0])) {
            ft_err_set(err, FT_EINVAL, "there is no option '%s'; it is called '%s' here", key,
                       elsewhere[i][1]);
            return NULL;
        }
    int n = (int)strlen(key); /* of a short name half is another one */
    if (distance(key, best->key) <= FT_MIN(n / 2, NEAR))
        ft_err_set(err, FT_EINVAL, "there is no option '%.60s'; did you mean '%s'?", key,
                   best->key);
    else
        ft_err_set(err, FT_EINVAL, "there is no option '%.60s'", key);
    return NULL;
}

/* ---- values ---- */

static int set_i64(struct ft_train_options *o, const struct ft_train_option *p, double v,
                   struct ft_err *err)
{
    if (!(v >= p->min && v <= p->max) || v != floor(v))
        return ft_err_set(err, FT_EINVAL, "%s: must be a whole number from %.0f to %.0f", p->key,
                          p->min, p->max);
    *(int64_t *)field(o, p) = (int64_t)v;
    return 0;
}

static int set_f64(struct ft_train_options *o, const struct ft_train_option *p, double v,
                   struct ft_err *err)
{
    if (!(v >= p->min && v <= p->max))
        return ft_err_set(err, FT_EINVAL, "%s: must be a number from %g to %g", p->key, p->min,
                          p->max);
    *(double *)field(o, p) = v;
    return 0;
}

/* The i-th of "a|b|c"; length 0 past the end. */
static size_t choice_at(const char *names, int i, const char **ret)
{
    for (; i > 0 && *names != 0; i--) {
        names = strchrnul(names, '|');
        names += *names == '|';
    }
    *ret = names;
    return (size_t)(strchrnul(names, '|') - names);
}

static int set_choice(struct ft_train_options *o, const struct ft_train_option *p, const char *text,
                      struct ft_err *err)
{
    const char *name;
    size_t n;
    for (int i = 0; (n = choice_at(p->value, i, &name)) > 0; i++)
        if (strlen(text) == n && memcmp(text, name, n) == 0) {
            *(int *)field(o, p) = i;
            return 0;
        }
    return ft_err_set(err, FT_EINVAL, "%s: '%.60s' is not one of %s", p->key, text, p->value);
}

static int set_text(struct ft_train_options *o, const struct ft_train_option *p, const char *text,
                    struct ft_err *err)
{
    size_t n = strlen(text);
    if (n == 0 || n > FT_TRAIN_TEXT_MAX)
        return ft_err_set(err, FT_EINVAL, "%s: must be 1 to %d bytes", p->key, FT_TRAIN_TEXT_MAX);
    char *copy = ft_arena_strndup(&o->arena, text, n);
    if (copy == NULL)
        return ft_err_set(err, FT_ENOMEM, "%s: no memory", p->key);
    *(const char **)field(o, p) = copy;
    return 0;
}

static int set_bool(struct ft_train_options *o, const struct ft_train_option *p, const char *text,
                    struct ft_err *err)
{
    bool yes = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "on") == 0;
    bool no = strcmp(text, "false") == 0 || strcmp(text, "no") == 0 || strcmp(text, "off") == 0;
    if (!yes && !no)
        return ft_err_set(err, FT_EINVAL, "%s: must be true or false", p->key);
    *(bool *)field(o, p) = yes;
    return 0;
}

/* Items are set one by one into an array of n. */
static int list_open(struct ft_train_options *o, const struct ft_train_option *p, size_t n,
                     const char ***ret_item, struct ft_err *err)
{
    if (n < 1 || n > FT_TRAIN_LIST_MAX)
        return ft_err_set(err, FT_EINVAL, "%s: must have 1 to %d elements", p->key,
                          FT_TRAIN_LIST_MAX);
    const char **item = ft_arena_array(&o->arena, n, sizeof *item);
    if (item == NULL)
        return ft_err_set(err, FT_ENOMEM, "%s: no memory", p->key);
    *(struct ft_train_list *)field(o, p) = (struct ft_train_list){item, (int)n};
    *ret_item = item;
    return 0;
}

static int list_item(struct ft_train_options *o, const struct ft_train_option *p, const char *text,
                     size_t n, const char **ret, struct ft_err *err)
{
    if (n == 0 || n > FT_TRAIN_TEXT_MAX)
        return ft_err_set(err, FT_EINVAL, "%s: an element must be 1 to %d bytes", p->key,
                          FT_TRAIN_TEXT_MAX);
    *ret = ft_arena_strndup(&o->arena, text, n);
    return *ret != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "%s: no memory", p->key);
}

static int set_list(struct ft_train_options *o, const struct ft_train_option *p, const char *text,
                    struct ft_err *err)
{
    size_t n = 1;
    for (const char *c = text; *c != 0; c++)
        n += *c == ',';
    const char **item;
    int rc = list_open(o, p, n, &item, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        size_t len = (size_t)(strchrnul(text, ',') - text);
        rc = list_item(o, p, text, len, &item[i], err);
        text += len + 1;
    }
    return rc;
}

static int number_of(const struct ft_train_option *p, const char *text, double *ret,
                     struct ft_err *err)
{
    char *end;
    errno = 0;
    *ret = strtod(text, &end);
    if (end == text || *end != 0 || errno != 0)
        return ft_err_set(err, FT_EINVAL, "%s: '%.60s' is not a number", p->key, text);
    return 0;
}

static int set_value(struct ft_train_options *o, const struct ft_train_option *p, const char *text,
                     struct ft_err *err)
{
    double v = 0;
    int rc;
    switch (p->kind) {
    case FT_OPTION_I64:
    case FT_OPTION_F64:
        rc = number_of(p, text, &v, err);
        if (rc != 0)
            return rc;
        return p->kind == FT_OPTION_I64 ? set_i64(o, p, v, err) : set_f64(o, p, v, err);
    case FT_OPTION_BOOL:
        return set_bool(o, p, text, err);
    case FT_OPTION_CHOICE:
        return set_choice(o, p, text, err);
    case FT_OPTION_TEXT:
        return set_text(o, p, text, err);
    case FT_OPTION_LIST:
        return set_list(o, p, text, err);
    }
    return FT_EINTERNAL;
}

int ft_train_options_set(struct ft_train_options *o, const char *key, const char *text,
                         struct ft_err *err)
{
    const struct ft_train_option *p = find(key, err);
    if (p == NULL)
        return FT_EINVAL;
    int rc = set_value(o, p, text, err);
    if (rc == 0)
        o->given |= UINT64_C(1) << index_of(p);
    return rc;
}

/* ---- JSON ---- */

static int set_json_list(struct ft_train_options *o, const struct ft_train_option *p, json_t *v,
                         struct ft_err *err)
{
    if (json_is_string(v)) /* one, which may have commas in it */
        v = json_pack("[O]", v);
    else
        json_incref(v);
    const char **item = NULL;
    int rc = json_is_array(v) ? list_open(o, p, json_array_size(v), &item, err)
                              : ft_err_set(err, FT_EINVAL, "%s: must be a list of texts", p->key);
    size_t i;
    json_t *e;
    if (rc == 0)
        json_array_foreach(v, i, e)
        {
            rc = json_is_string(e)
                     ? list_item(o, p, json_string_value(e), json_string_length(e), &item[i], err)
                     : ft_err_set(err, FT_EINVAL, "%s: element %zu is no text", p->key, i);
            if (rc != 0)
                break;
        }
    json_decref(v);
    return rc;
}

static int set_json(struct ft_train_options *o, const struct ft_train_option *p, json_t *v,
                    struct ft_err *err)
{
    switch (p->kind) {
    case FT_OPTION_I64:
    case FT_OPTION_F64:
        if (!json_is_number(v))
            return ft_err_set(err, FT_EINVAL, "%s: must be a number", p->key);
        return p->kind == FT_OPTION_I64 ? set_i64(o, p, json_number_value(v), err)
                                        : set_f64(o, p, json_number_value(v), err);
    case FT_OPTION_BOOL:
        if (!json_is_boolean(v))
            return ft_err_set(err, FT_EINVAL, "%s: must be true or false", p->key);
        *(bool *)field(o, p) = json_is_true(v);
        return 0;
    case FT_OPTION_LIST:
        return set_json_list(o, p, v, err);
    default:
        if (!json_is_string(v))
            return ft_err_set(err, FT_EINVAL, "%s: must be a text", p->key);
        return set_value(o, p, json_string_value(v), err);
    }
}

int ft_train_options_set_json(struct ft_train_options *o, json_t *object, const char **ret_key,
                              struct ft_err *err)
{
    const char *key;
    json_t *v;
    *ret_key = NULL;
    if (!json_is_object(object))
        return ft_err_set(err, FT_EINVAL, "the configuration must be a JSON object");
    json_object_foreach(object, key, v)
    {
        /* what a run.json has beside its options */
        if (strcmp(key, "data_hash") == 0 || strcmp(key, "now") == 0 || strcmp(key, "n_valid") == 0)
            continue;
        const struct ft_train_option *p = find(key, err);
        if (p == NULL) {
            *ret_key = key;
            return FT_EINVAL;
        }
        if (json_is_null(v)) /* as if it were not there */
            continue;
        int rc = set_json(o, p, v, err);
        if (rc != 0) {
            *ret_key = key;
            return rc;
        }
        o->given |= UINT64_C(1) << index_of(p);
    }
    return 0;
}

/* Options that mean something only for a model from scratch, or only for LoRA, or only for DPO. */
static bool applies(const struct ft_train_options *o, const struct ft_train_option *p)
{
    switch (p->only) {
    case FT_ONLY_SCRATCH:
        return o->model == NULL;
    case FT_ONLY_LORA:
        return o->method == FT_TRAIN_LORA;
    case FT_ONLY_DPO:
        return o->objective == FT_TRAIN_DPO;
    default:
        return true;
    }
}

static json_t *value_json(const struct ft_train_options *o, const struct ft_train_option *p)
{
    const void *at = field(o, p);
    const char *name;
    if ((p->kind == FT_OPTION_I64 && p->fallback == NULL && !is_given(o, p)) || !applies(o, p))
        return json_null();
    switch (p->kind) {
    case FT_OPTION_I64:
        return json_integer(*(const int64_t *)at);
    case FT_OPTION_F64:
        return json_real(*(const double *)at);
    case FT_OPTION_BOOL:
        return json_boolean(*(const bool *)at);
    case FT_OPTION_CHOICE: {
        size_t n = choice_at(p->value, *(const int *)at, &name);
        return json_stringn(name, n);
    }
    case FT_OPTION_TEXT:
        return *(const char *const *)at != NULL ? json_string(*(const char *const *)at)
                                                : json_null();
    case FT_OPTION_LIST: {
        const struct ft_train_list *l = at;
        json_t *a = l->n > 0 ? json_array() : json_null();
        for (int i = 0; i < l->n; i++)
            json_array_append_new(a, json_string(l->item[i]));
        return a;
    }
    }
    return NULL;
}

json_t *ft_train_options_json(const struct ft_train_options *o)
{
    json_t *all = json_object();
    for (int i = 0; all != NULL && i < ft_train_option_count; i++) {
        const struct ft_train_option *p = &ft_train_option_table[i];
        char key[64];
        snprintf(key, sizeof key, "%s", p->key);
        for (char *c = key; *c != 0; c++)
            *c = *c == '-' ? '_' : *c;
        if (json_object_set_new(all, key, value_json(o, p)) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

/* ---- the whole ---- */

void ft_train_options_init(struct ft_train_options *o)
{
    memset(o, 0, sizeof *o);
    ft_arena_init(&o->arena, ARENA_MAX);
    for (int i = 0; i < ft_train_option_count; i++) {
        const struct ft_train_option *p = &ft_train_option_table[i];
        if (p->fallback != NULL) {
            int rc = set_value(o, p, p->fallback, NULL);
            FT_ASSERT(rc == 0);
        }
    }
}

void ft_train_options_fini(struct ft_train_options *o)
{
    ft_arena_fini(&o->arena);
}

bool ft_train_options_given(const struct ft_train_options *o, const char *key)
{
    return is_given(o, find(key, NULL));
}

/* Options that mean something only for a model from scratch, or only for LoRA, or only for DPO. */
static int check_unused(const struct ft_train_options *o, struct ft_err *err)
{
    for (int i = 0; i < ft_train_option_count; i++) {
        const struct ft_train_option *p = &ft_train_option_table[i];
        if (!is_given(o, p))
            continue;
        if (p->only == FT_ONLY_SCRATCH && o->model != NULL)
            return ft_err_set(err, FT_EINVAL,
                              "%s: belongs to a model from scratch, but model is given", p->key);
        if (p->only == FT_ONLY_LORA && o->method != FT_TRAIN_LORA)
            return ft_err_set(err, FT_EINVAL, "%s: belongs to method lora", p->key);
        if (p->only == FT_ONLY_DPO && o->objective != FT_TRAIN_DPO)
            return ft_err_set(err, FT_EINVAL, "%s: belongs to objective dpo", p->key);
    }
    return 0;
}

static int check_model(struct ft_train_options *o, struct ft_err *err)
{
    static const char *const need[] = {"tokenizer", "layers", "d-model", "d-ff", "heads"};
    if (o->model != NULL)
        return 0;
    if (o->arch == NULL)
        return ft_err_set(err, FT_EINVAL,
                          "model: must be given (or arch and a shape, to train from scratch)");
    for (size_t i = 0; i < FT_COUNT(need); i++)
        if (!ft_train_options_given(o, need[i]))
            return ft_err_set(err, FT_EINVAL, "%s: a model from scratch needs it", need[i]);
    if (ft_train_options_given(o, "method") && o->method != FT_TRAIN_FULL)
        return ft_err_set(err, FT_EINVAL, "method: a model from scratch is trained in full");
    if (o->objective != FT_TRAIN_SFT)
        return ft_err_set(err, FT_EINVAL, "objective: a model from scratch has no preferences yet");
    o->method = FT_TRAIN_FULL;
    if (o->kv_heads == 0)
        o->kv_heads = o->heads;
    if (o->head_dim == 0)
        o->head_dim = o->d_model / o->heads;
    return 0;
}

/* As PEFT's users know them, and GGUF's. */
static const char *const targets[][3] = {
    {"q", "q_proj", "attn_q"},         {"k", "k_proj", "attn_k"},
    {"v", "v_proj", "attn_v"},         {"o", "o_proj", "attn_output"},
    {"gate", "gate_proj", "ffn_gate"}, {"up", "up_proj", "ffn_up"},
    {"down", "down_proj", "ffn_down"},
};

const char *ft_train_target(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(targets); i++)
        for (size_t k = 0; k < FT_COUNT(targets[i]); k++)
            if (strcmp(name, targets[i][k]) == 0)
                return targets[i][2];
    return NULL;
}

static int check_targets(const struct ft_train_options *o, struct ft_err *err)
{
    const char *found[FT_COUNT(targets)];
    for (int i = 0; i < o->targets.n; i++) {
        const char *name = o->targets.item[i], *target = ft_train_target(name);
        if (target == NULL)
            return ft_err_set(err, FT_EINVAL,
                              "targets: '%.60s' is not one of q, k, v, o, gate, up, down", name);
        for (int k = 0; k < i; k++)
            if (found[k] == target)
                return ft_err_set(err, FT_EINVAL, "targets: '%s' is there twice", name);
        found[i] = target; /* no more than there are different ones */
    }
    return 0;
}

static int check_save(struct ft_train_options *o, struct ft_err *err)
{
    static const char *const known[] = {"adapter", "gguf", "hf"};
    bool gguf = false;
    if (o->save.n == 0) {
        int rc =
            ft_train_options_set(o, "save", o->method == FT_TRAIN_LORA ? "adapter" : "gguf", err);
        if (rc != 0)
            return rc;
    }
    for (int i = 0; i < o->save.n; i++) {
        size_t k = 0;
        while (k < FT_COUNT(known) && strcmp(o->save.item[i], known[k]) != 0)
            k++;
        if (k == FT_COUNT(known))
            return ft_err_set(err, FT_EINVAL, "save: '%s' is not adapter, gguf or hf",
                              o->save.item[i]);
        if (k == 0 && o->method != FT_TRAIN_LORA)
            return ft_err_set(err, FT_EINVAL, "save: only method lora has an adapter");
        gguf |= strcmp(o->save.item[i], "gguf") == 0;
    }
    if (o->gguf_type != NULL && !gguf)
        return ft_err_set(err, FT_EINVAL, "gguf-type: save has no gguf");
    if (o->gguf_type != NULL && ft_mix_by_name(o->gguf_type) == NULL)
        return ft_err_set(err, FT_EINVAL, "gguf-type: '%.60s' is not one of %s", o->gguf_type,
                          ft_mix_names());
    return 0;
}

static int check_validation(const struct ft_train_options *o, struct ft_err *err)
{
    bool own = o->valid_data.n > 0, split = o->valid_samples > 0 || o->valid_fraction > 0;
    if (own && split)
        return ft_err_set(err, FT_EINVAL,
                          "valid-data: not together with valid-samples or valid-fraction");
    if (o->valid_samples > 0 && o->valid_fraction > 0)
        return ft_err_set(err, FT_EINVAL, "valid-fraction: not together with valid-samples");
    if (o->patience > 0 && !own && !split)
        return ft_err_set(err, FT_EINVAL,
                          "patience: stopping early needs valid-data, -samples or -fraction");
    if (o->eval_every > 0 && !own && !split)
        return ft_err_set(err, FT_EINVAL,
                          "eval-every: validation needs valid-data, -samples or -fraction");
    return 0;
}

/* A model that knows something already is spoilt by what a new one needs. */
static double default_rate(const struct ft_train_options *o)
{
    if (o->objective == FT_TRAIN_DPO)
        return 5e-6;
    if (o->method == FT_TRAIN_LORA)
        return 2e-4;
    return o->model != NULL ? 2e-5 : 1e-3;
}

static int check_rates(struct ft_train_options *o, struct ft_err *err)
{
    if (!ft_train_options_given(o, "alpha"))
        o->alpha = 2 * (double)o->rank;
    if (!ft_train_options_given(o, "lr"))
        o->lr = default_rate(o);
    if (o->min_lr > 0 && o->schedule == FT_TRAIN_CONSTANT)
        return ft_err_set(err, FT_EINVAL, "min-lr: schedule constant never gets there");
    if (o->min_lr > o->lr)
        return ft_err_set(err, FT_EINVAL, "min-lr: must not be above lr, which is %g", o->lr);
    return 0;
}

/* "out/" is "out": paths of what is in it are made from it, and shown. */
static int trim_output(struct ft_train_options *o, struct ft_err *err)
{
    size_t n = strlen(o->output);
    while (n > 1 && o->output[n - 1] == '/')
        n--;
    o->output = ft_arena_strndup(&o->arena, o->output, n);
    return o->output != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "output: no memory");
}

int ft_train_options_check(struct ft_train_options *o, struct ft_err *err)
{
    int rc = check_model(o, err);
    if (rc == 0)
        rc = check_unused(o, err);
    if (rc == 0 && o->data.n == 0)
        rc = ft_err_set(err, FT_EINVAL, "data: must be given");
    if (rc == 0 && o->output == NULL)
        rc = ft_err_set(err, FT_EINVAL, "output: must be given");
    if (rc == 0)
        rc = trim_output(o, err);
    if (rc == 0)
        rc = check_targets(o, err);
    if (rc == 0)
        rc = check_validation(o, err);
    if (rc == 0)
        rc = check_rates(o, err);
    return rc == 0 ? check_save(o, err) : rc;
}

bool ft_train_option_help(int i, struct ft_train_option_help *ret)
{
    if (i < 0 || i >= ft_train_option_count)
        return false;
    const struct ft_train_option *p = &ft_train_option_table[i];
    *ret = (struct ft_train_option_help){p->group, p->key, p->value, p->fallback, p->help};
    return true;
}
