/* Reading adapter_config.json.
 *
 * The fields are those of PEFT's LoraConfig (src/peft/tuners/lora/config.py); a table says of each
 * whether it is read, has no bearing on what a finished adapter computes, or would change it in a
 * way that is not computed here and must say nothing. rank_pattern's and alpha_pattern's keys are
 * Python's regular expressions, matched as PEFT's get_pattern_key() does: at the end of the
 * module's name, after a dot or from the start. Keys that are plain names, as tools write them for
 * every module, are compared without PCRE2; the others are few, and every match is bounded. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/adapter/peft_config.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "model/adapter/adapter.h"

#define FILE_NAME       "adapter_config.json"
#define KEY_BYTES_MAX   1024
#define MATCH_STEPS_MAX 20000
#define HEAP_KIB_MAX    1024

/* What a field's value must be. */
enum rule {
    RULE_ANY,     /* read elsewhere, or of training and book-keeping only */
    RULE_NOTHING, /* null, false, 0 or empty: anything else is not computed here */
    RULE_TARGETS, /* a string or a list of strings; which modules there are, the tensors say */
};

static const struct field {
    const char *name;
    enum rule rule;
} fields[] = {
    {"peft_type", RULE_ANY},
    {"r", RULE_ANY},
    {"lora_alpha", RULE_ANY},
    {"use_rslora", RULE_ANY},
    {"rank_pattern", RULE_ANY},
    {"alpha_pattern", RULE_ANY},
    {"bias", RULE_ANY},
    {"task_type", RULE_ANY},
    {"init_lora_weights", RULE_ANY},
    {"target_modules", RULE_TARGETS},
    {"exclude_modules", RULE_TARGETS},
    {"layers_pattern", RULE_TARGETS},
    {"layers_to_transform", RULE_ANY},
    {"auto_mapping", RULE_ANY},
    {"base_model_name_or_path", RULE_ANY},
    {"corda_config", RULE_ANY}, /* in force by init_lora_weights alone; so the next three */
    {"eva_config", RULE_ANY},
    {"loftq_config", RULE_ANY},
    {"lora_ga_config", RULE_ANY},
    {"ensure_weight_tying", RULE_ANY}, /* of modules_to_save and embeddings */
    {"inference_mode", RULE_ANY},
    {"lora_dropout", RULE_ANY},
    {"megatron_config", RULE_ANY}, /* how training was spread */
    {"megatron_core", RULE_ANY},
    {"peft_version", RULE_ANY},
    {"qalora_group_size", RULE_ANY}, /* in force by use_qalora alone */
    {"revision", RULE_ANY},
    {"runtime_config", RULE_ANY},
    {"velora_config", RULE_ANY}, /* the backward pass only */
    {"alora_invocation_tokens", RULE_NOTHING},
    {"arrow_config", RULE_NOTHING},
    {"fan_in_fan_out", RULE_NOTHING},
    {"kasa_config", RULE_NOTHING},
    {"layer_replication", RULE_NOTHING},
    {"lora_bias", RULE_NOTHING},
    {"modules_to_save", RULE_NOTHING},
    {"monteclora_config", RULE_NOTHING},
    {"target_parameters", RULE_NOTHING},
    {"trainable_token_indices", RULE_NOTHING},
    {"use_bdlora", RULE_NOTHING},
    {"use_dora", RULE_NOTHING},
    {"use_qalora", RULE_NOTHING},
};

static int corrupt(struct ft_err *err, const char *field, const char *what)
{
    return ft_err_set(err, FT_ECORRUPT, FILE_NAME ": %s: %s", field, what);
}

static bool says_nothing(const json_t *v)
{
    return v == NULL || json_is_null(v) || json_is_false(v) ||
           (json_is_number(v) && json_number_value(v) == 0) ||
           (json_is_string(v) && json_string_length(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0) ||
           (json_is_object(v) && json_object_size(v) == 0);
}

static bool is_targets(json_t *v)
{
    json_t *item;
    size_t i;
    if (v == NULL || json_is_null(v) || json_is_string(v))
        return true;
    if (!json_is_array(v))
        return false;
    json_array_foreach(v, i, item)
    {
        if (!json_is_string(item))
            return false;
    }
    return true;
}

static int fields_check(json_t *json, struct ft_err *err)
{
    const char *name;
    json_t *v;
    json_object_foreach(json, name, v)
    {
        size_t i = 0;
        while (i < FT_COUNT(fields) && strcmp(fields[i].name, name) != 0)
            i++;
        if (i == FT_COUNT(fields) && !says_nothing(v))
            return ft_err_set(err, FT_EUNSUPPORTED, FILE_NAME ": %.64s: not a field known here",
                              name);
        if (i == FT_COUNT(fields) || fields[i].rule == RULE_ANY)
            continue;
        if (fields[i].rule == RULE_NOTHING && !says_nothing(v))
            return ft_err_set(err, FT_EUNSUPPORTED,
                              FILE_NAME ": %s: adapters with this set cannot be used", name);
        if (fields[i].rule == RULE_TARGETS && !is_targets(v))
            return corrupt(err, name, "not a string or a list of strings");
    }
    return 0;
}

/* A string that must be one of the given; an absent or null one is `absent`. */
static int choice_check(json_t *json, const char *field, const char *const *allowed, bool absent,
                        struct ft_err *err)
{
    json_t *v = json_object_get(json, field);
    if (v == NULL || json_is_null(v))
        return absent ? 0 : corrupt(err, field, "missing");
    const char *s = json_string_value(v);
    if (s == NULL)
        return corrupt(err, field, "not a string");
    for (size_t i = 0; allowed[i] != NULL; i++)
        if (strcmp(s, allowed[i]) == 0)
            return 0;
    return ft_err_set(err, FT_EUNSUPPORTED, FILE_NAME ": %s: '%.32s' cannot be used (%s can)",
                      field, s, allowed[0]);
}

/* PiSSA and its like change the base when the adapter is made, and again when PEFT loads it: the
 * adapter beside the base as it is would compute something else. */
static int init_check(json_t *json, struct ft_err *err)
{
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal", NULL};
    json_t *v = json_object_get(json, "init_lora_weights");
    if (json_is_boolean(v))
        return 0;
    return choice_check(json, "init_lora_weights", harmless, true, err);
}

static int rank_take(const json_t *v, const char *field, double *ret, struct ft_err *err)
{
    if (!json_is_integer(v) || json_integer_value(v) < 1 ||
        json_integer_value(v) > FT_ADAPTER_RANK_MAX)
        return ft_err_set(err, FT_ECORRUPT, FILE_NAME ": %s: not a whole number from 1 to %d",
                          field, FT_ADAPTER_RANK_MAX);
    *ret = (double)json_integer_value(v);
    return 0;
}

static int alpha_take(const json_t *v, const char *field, double *ret, struct ft_err *err)
{
    double x = json_number_value(v);
    if (!json_is_number(v) || !isfinite(x) || fabs(x) > 1e9)
        return corrupt(err, field, "not a number of at most 1e9");
    *ret = x;
    return 0;
}

static bool is_name(const char *key)
{
    for (; *key != '\0'; key++)
        if (!isalnum((unsigned char)*key) && *key != '_' && *key != '.')
            return false;
    return true;
}

static int regex_make(const char *field, const char *key, void **ret, struct ft_err *err)
{
    char text[KEY_BYTES_MAX + 16], why[128] = "";
    int code;
    PCRE2_SIZE at;
    snprintf(text, sizeof text, "(?:.*\\.)?(?:%s)$", key);
    pcre2_code *regex =
        pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_ANCHORED, &code, &at, NULL);
    if (regex == NULL) {
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return ft_err_set(err, FT_ECORRUPT, FILE_NAME ": %s: '%.64s': %s", field, key, why);
    }
    *ret = regex;
    return 0;
}

typedef int take_fn(const json_t *v, const char *field, double *ret, struct ft_err *err);

static int patterns_read(json_t *json, const char *field, take_fn *take,
                         struct ft_peft_patterns *ret, struct ft_err *err)
{
    json_t *map = json_object_get(json, field), *v;
    const char *key;
    int rc = 0, n_regex = 0;
    if (map == NULL || json_is_null(map))
        return 0;
    if (!json_is_object(map))
        return corrupt(err, field, "not an object");
    if (json_object_size(map) > FT_PEFT_PATTERNS_MAX)
        return ft_err_set(err, FT_ELIMIT, FILE_NAME ": %s: more than %d entries", field,
                          FT_PEFT_PATTERNS_MAX);
    ret->at = calloc(json_object_size(map) + 1, sizeof *ret->at);
    if (ret->at == NULL)
        return ft_err_set(err, FT_ENOMEM, FILE_NAME ": %s: no memory", field);
    json_object_foreach(map, key, v)
    {
        struct ft_peft_pattern *p = &ret->at[ret->n];
        if (strlen(key) > KEY_BYTES_MAX)
            return ft_err_set(err, FT_ELIMIT, FILE_NAME ": %s: a key of more than %d bytes", field,
                              KEY_BYTES_MAX);
        p->key = strdup(key);
        if (p->key == NULL)
            return ft_err_set(err, FT_ENOMEM, FILE_NAME ": %s: no memory", field);
        ret->n++;
        if (!is_name(key) && ++n_regex > FT_PEFT_REGEX_MAX)
            return ft_err_set(err, FT_ELIMIT, FILE_NAME ": %s: more than %d regular expressions",
                              field, FT_PEFT_REGEX_MAX);
        if (!is_name(key))
            rc = regex_make(field, key, &p->regex, err);
        if (rc == 0)
            rc = take(v, field, &p->value, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int config_fill(json_t *json, struct ft_peft_config *c, struct ft_err *err)
{
    static const char *const types[] = {"LORA", NULL};
    static const char *const biases[] = {"none", NULL};
    static const char *const tasks[] = {"CAUSAL_LM", "FEATURE_EXTRACTION", NULL};
    double rank = 8; /* PEFT's defaults, of both */
    c->alpha = 8;
    int rc = choice_check(json, "peft_type", types, false, err);
    if (rc == 0)
        rc = choice_check(json, "bias", biases, true, err);
    if (rc == 0)
        rc = choice_check(json, "task_type", tasks, true, err);
    if (rc == 0)
        rc = init_check(json, err);
    if (rc == 0)
        rc = fields_check(json, err);
    json_t *r = json_object_get(json, "r"), *alpha = json_object_get(json, "lora_alpha");
    json_t *rslora = json_object_get(json, "use_rslora");
    if (rc == 0 && r != NULL)
        rc = rank_take(r, "r", &rank, err);
    if (rc == 0 && alpha != NULL)
        rc = alpha_take(alpha, "lora_alpha", &c->alpha, err);
    if (rc == 0 && rslora != NULL && !json_is_null(rslora) && !json_is_boolean(rslora))
        rc = corrupt(err, "use_rslora", "not a boolean");
    c->rank = (int)rank;
    c->is_rslora = json_is_true(rslora);
    if (rc == 0)
        rc = patterns_read(json, "rank_pattern", rank_take, &c->ranks, err);
    if (rc == 0)
        rc = patterns_read(json, "alpha_pattern", alpha_take, &c->alphas, err);
    return rc;
}

int ft_peft_config_read(const char *text, size_t n, struct ft_peft_config *ret, struct ft_err *err)
{
    if (n > FT_PEFT_CONFIG_MAX)
        return ft_err_set(err, FT_ELIMIT, FILE_NAME ": longer than %zu bytes", FT_PEFT_CONFIG_MAX);
    json_error_t e;
    json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (json == NULL)
        return ft_err_set(err, FT_ECORRUPT, FILE_NAME ": line %d: %s", e.line, e.text);
    struct ft_peft_config c = {0};
    int rc = json_is_object(json) ? config_fill(json, &c, err)
                                  : ft_err_set(err, FT_ECORRUPT, FILE_NAME ": not an object");
    json_decref(json);
    if (rc == 0)
        *ret = c;
    else
        ft_peft_config_fini(&c);
    return rc;
}

static void patterns_fini(struct ft_peft_patterns *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->at[i].key);
        pcre2_code_free(p->at[i].regex);
    }
    free(p->at);
}

void ft_peft_config_fini(struct ft_peft_config *c)
{
    patterns_fini(&c->ranks);
    patterns_fini(&c->alphas);
    *c = (struct ft_peft_config){0};
}

/* The key as the end of the module's name, after a dot or from the start. */
static bool name_matches(const char *key, const char *module)
{
    size_t n = strlen(key), m = strlen(module);
    if (n > m || (n < m && module[m - n - 1] != '.'))
        return false;
    for (size_t i = 0; i < n; i++)
        if (key[i] != '.' && key[i] != module[m - n + i])
            return false;
    return true;
}

/* 1: matches, 0: does not; or a negative code. */
static int pattern_matches(const struct ft_peft_pattern *p, const char *module, struct ft_err *err)
{
    if (p->regex == NULL)
        return name_matches(p->key, module);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    int rc = PCRE2_ERROR_NOMEMORY;
    if (limits != NULL && data != NULL) {
        pcre2_set_match_limit(limits, MATCH_STEPS_MAX);
        pcre2_set_depth_limit(limits, MATCH_STEPS_MAX);
        pcre2_set_heap_limit(limits, HEAP_KIB_MAX);
        rc = pcre2_match(p->regex, (PCRE2_SPTR)module, strlen(module), 0, 0, data, limits);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
    if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
        return ft_err_set(err, rc == PCRE2_ERROR_NOMEMORY ? FT_ENOMEM : FT_ELIMIT,
                          FILE_NAME ": the pattern '%.64s' takes too long on %.128s", p->key,
                          module);
    return rc >= 0;
}

static int patterns_get(const struct ft_peft_patterns *p, const char *module, double *value,
                        struct ft_err *err)
{
    for (size_t i = 0; i < p->n; i++) {
        int match = pattern_matches(&p->at[i], module, err);
        if (match < 0)
            return match;
        if (match > 0) {
            *value = p->at[i].value;
            break;
        }
    }
    return 0;
}

int ft_peft_config_module(const struct ft_peft_config *c, const char *module, int *ret_rank,
                          double *ret_alpha, struct ft_err *err)
{
    double rank = c->rank, alpha = c->alpha;
    int rc = patterns_get(&c->ranks, module, &rank, err);
    if (rc == 0)
        rc = patterns_get(&c->alphas, module, &alpha, err);
    if (rc != 0)
        return rc;
    *ret_rank = (int)rank;
    *ret_alpha = alpha;
    return 0;
}
