/* Calls written in tags: Qwen3-Coder's <parameter=key>, DeepSeek V3.2's <｜DSML｜parameter ...>.
 * See calls_impl.h and model/chat/parse_tags.c, which reads them.
 *
 * Strings stand bare, everything else as JSON. The parameters of a strict tool come in the order
 * of its schema, those that are not required may be left out, and others do not come. What is said
 * of the object beyond that cannot be kept in tags and is refused; so is a schema that mentions
 * the tag which ends a value, since no value may have that in it. */
#include <stdlib.h>
#include <string.h>

#include "worker/calls_impl.h"
#include "worker/forced.h"

/* Keys that generic parameters have: at most 256 bytes of UTF-8. */
#define KEY_REGEX     "[^\\u0000-\\u001f<>\"]{1,60}"
#define KEY_BYTES_MAX 200
/* Of one function: where all may be left out, two ways for each are open at once, which a layout
 * has room for (FT_LAYOUT_THREADS_MAX). */
#define PARAMS_MAX 500
/* A bare text that would be read as another type than a string. */
#define NOT_TEXT                                                                                   \
    "^\\s*(true|false|null|True|False|None|-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?|"                \
    "[\\[{][\\s\\S]*)\\s*$"

struct tags {
    const char *end, *before_end, *after_end; /* of a value: what stands around the tag */
    const char *end_name;                     /* its text without '<' and '>' */
    bool typed;                               /* a tag says whether its value is a string */
};

static const struct tags qwen = {"</parameter>", "\n", "\n", "/parameter", false};
static const struct tags dsml = {"</｜DSML｜parameter>", "", "\n", "/｜DSML｜parameter", true};

static const struct tags *tags_of(const struct fc *c)
{
    return c->cfg->dialect == FT_DIALECT_QWEN_XML ? &qwen : &dsml;
}

static int param_open(struct fc *c, int next, const char *key, bool text)
{
    if (!tags_of(c)->typed)
        return fc_text(c, next, "<parameter=%s>\n", key);
    return fc_text(c, next, "<｜DSML｜parameter name=\"%s\" string=\"%s\">", key,
                   text ? "true" : "false");
}

/* Any text, up to the tag that ends it. */
static int any_text(struct fc *c, int next)
{
    const struct tags *t = tags_of(c);
    int loop = fc_fork(c, -1, -1);
    c->node[loop].next = fc_node(c, &(struct ft_layout_node){.op = FT_LAYOUT_ANY, .next = loop});
    c->node[loop].other = fc_text(c, fc_cut(c, fc_text(c, next, "%s", t->after_end)), "%s", t->end);
    return loop;
}

static int value_end(struct fc *c, int next)
{
    const struct tags *t = tags_of(c);
    return fc_text(c, next, "%s%s%s", t->before_end, t->end, t->after_end);
}

/* ---- tools that are not strict ---- */

static int any_params(struct fc *c, int next)
{
    if (c->any >= 0)
        return c->any;
    int loop = c->any = fc_fork(c, next, -1);
    if (!tags_of(c)->typed) {
        int rest = fc_regex(c, fc_text(c, any_text(c, loop), ">\n"), KEY_REGEX);
        c->node[loop].other = fc_text(c, rest, "<parameter=");
        return loop;
    }
    int text = fc_text(c, any_text(c, loop), "\" string=\"true\">");
    int json = fc_schema(c, value_end(c, loop), FT_LAYOUT_SCHEMA, json_true(), dsml.end, false);
    json = fc_text(c, json, "\" string=\"false\">");
    int key = fc_regex(c, fc_fork(c, text, json), KEY_REGEX);
    c->node[loop].other = fc_text(c, key, "<｜DSML｜parameter name=\"");
    return loop;
}

/* ---- strict ones ---- */

/* Keywords that say no more of an object than its parameters do. */
static bool is_plain_keyword(const char *key)
{
    static const char *const known[] = {
        "type",    "properties", "required", "title",       "description", "additionalProperties",
        "$schema", "$id",        "$defs",    "definitions", "$comment",    "default",
        "examples"};
    for (size_t i = 0; i < FT_COUNT(known); i++)
        if (strcmp(key, known[i]) == 0)
            return true;
    return false;
}

static bool is_required(const json_t *params, const char *key)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(params, "required"), i, v)
    {
        if (json_is_string(v) && strcmp(json_string_value(v), key) == 0)
            return true;
    }
    return false;
}

/* What no schema is compiled from: nobody else would notice that it is none. */
static void check_form(struct fc *c, const json_t *params)
{
    const char *type = json_string_value(json_object_get(params, "type"));
    const json_t *props = json_object_get(params, "properties");
    json_t *required = json_object_get(params, "required"), *v;
    size_t i;
    if (type == NULL || strcmp(type, "object") != 0)
        fc_fail(c, FT_EINVAL, "#/type: arguments are an object");
    if (props != NULL && !json_is_object(props))
        fc_fail(c, FT_EINVAL, "#/properties: must be an object");
    bool names = required == NULL || json_is_array(required);
    json_array_foreach(required, i, v) names = names && json_is_string(v);
    if (!names)
        fc_fail(c, FT_EINVAL, "#/required: must be an array of strings");
}

static void check_params(struct fc *c, const json_t *params)
{
    const char *key;
    json_t *v, *props = json_object_get(params, "properties");
    size_t i;
    check_form(c, params);
    json_object_foreach((json_t *)params, key, v)
    {
        if (!is_plain_keyword(key))
            fc_fail(c, FT_EUNSUPPORTED, "#/%.100s: not enforced in calls as this model writes them",
                    key);
    }
    json_array_foreach(json_object_get(params, "required"), i, v)
    {
        if (c->failed == 0 && json_object_get(props, json_string_value(v)) == NULL)
            fc_fail(c, FT_EUNSUPPORTED, "#/required: \"%.100s\" is none of the properties",
                    json_string_value(v));
    }
    json_object_foreach(props, key, v)
    {
        bool plain = key[0] != '\0' && strlen(key) <= KEY_BYTES_MAX &&
                     strpbrk(key, "<>\"") == NULL && !ft_str_has_control(key, "");
        if (!plain)
            fc_fail(c, FT_EUNSUPPORTED,
                    "#/properties: \"%.100s\" is no name in calls as this model writes them", key);
    }
}

/* A string of which nothing else is said. */
static bool is_any_string(const json_t *schema)
{
    static const char *const silent[] = {"title", "description", "default", "examples", "$comment"};
    const char *key, *type = json_string_value(json_object_get(schema, "type"));
    json_t *v;
    if (type == NULL || strcmp(type, "string") != 0)
        return false;
    json_object_foreach((json_t *)schema, key, v)
    {
        bool says = strcmp(key, "type") != 0;
        for (size_t i = 0; i < FT_COUNT(silent); i++)
            says = says && strcmp(key, silent[i]) != 0;
        if (says)
            return false;
    }
    return true;
}

static bool refers(const json_t *schema)
{
    char *text = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    bool yes = text == NULL || strstr(text, "\"$ref\"") != NULL;
    free(text);
    return yes;
}

/* What satisfies both, in a document that has what `schema` refers to. */
static json_t *both(json_t *schema, json_t *more, json_t *root)
{
    if (!refers(schema))
        return json_pack("{s:[O,o]}", "allOf", schema, more);
    return json_pack("{s:[O,o], s:{s:O}}", "allOf", schema, more, "$defs", "root", root);
}

static int param(struct fc *c, const char *key, json_t *schema, json_t *root, int next)
{
    const struct tags *t = tags_of(c);
    bool text = ft_chat_tag_is_text(schema);
    if (is_any_string(schema))
        return param_open(c, any_text(c, next), key, true);
    int end = value_end(c, next);
    bool mixed = !text && !t->typed; /* nothing but the value tells strings from others */
    json_t *string = mixed
                         ? json_pack("{s:s, s:{s:s}}", "type", "string", "not", "pattern", NOT_TEXT)
                         : json_pack("{s:s}", "type", "string");
    int bare = fc_schema(c, end, FT_LAYOUT_STRING, both(schema, string, root), t->end, true);
    if (text && !t->typed)
        return param_open(c, bare, key, true);
    json_t *other = json_pack("{s:{s:s}}", "not", "type", "string");
    int json = fc_schema(c, end, FT_LAYOUT_SCHEMA, both(schema, other, root), t->end, true);
    if (t->typed)
        return fc_fork(c, param_open(c, bare, key, true), param_open(c, json, key, false));
    return param_open(c, fc_fork(c, bare, json), key, false);
}

static int strict_params(struct fc *c, json_t *params, int next)
{
    check_params(c, params);
    char *dump = json_dumps(params, JSON_COMPACT);
    if (dump == NULL || strstr(dump, tags_of(c)->end_name) != NULL)
        fc_fail(c, dump != NULL ? FT_EUNSUPPORTED : FT_ENOMEM,
                "\"%s\" cannot be in calls as this model writes them", tags_of(c)->end);
    free(dump);
    int rc = ft_forced_move_refs(params, "/$defs/root", c->err);
    if (rc != 0 && c->failed == 0) {
        c->failed = rc;
        c->blamed = c->tool_now;
    }
    const char *keys[PARAMS_MAX];
    size_t n = 0;
    json_t *v, *props = json_object_get(params, "properties");
    const char *key;
    json_object_foreach(props, key, v)
    {
        if (n < FT_COUNT(keys))
            keys[n++] = key;
        else
            fc_fail(c, FT_EUNSUPPORTED, "more than %zu properties", FT_COUNT(keys));
    }
    while (n > 0 && c->failed == 0) {
        key = keys[--n];
        int with = param(c, key, json_object_get(props, key), params, next);
        next = is_required(params, key) ? with : fc_fork(c, with, next);
    }
    return next;
}

static int params(struct fc *c, const json_t *tool, int next)
{
    if (!fc_is_strict(tool))
        return any_params(c, next);
    json_t *p = ft_forced_parameters(tool);
    if (p == NULL)
        fc_fail(c, FT_ENOMEM, "no memory");
    int first = p != NULL ? strict_params(c, p, next) : next;
    json_decref(p);
    return first;
}

void fc_tags(struct fc *c, int done)
{
    if (c->cfg->dialect == FT_DIALECT_QWEN_XML) {
        int end = fc_text(c, done, "</function>\n</tool_call>");
        int names = fc_tools(c, params, end, "", ">\n");
        fc_mark(c, "<tool_call>", fc_text(c, names, "\n<function="));
        fc_mark(c, "<function=", names); /* the wrapper was left out */
        return;
    }
    int more = fc_fork(c, fc_text(c, done, "</｜DSML｜function_calls>"), -1);
    int end = fc_text(c, more, "</｜DSML｜invoke>\n");
    int names = fc_tools(c, params, end, "<｜DSML｜invoke name=\"", "\">\n");
    c->node[more].other = names;
    fc_mark(c, "<｜DSML｜function_calls>", fc_text(c, names, "\n"));
}
