/* Tools, which of them the model may call, and the form of its answer. */
#include <stdlib.h>
#include <string.h>

#include "api/openai/json.h"
#include "api/openai/parts.h"

/* ---- tools ---- */

static int check_function(json_t *f, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    static const char *const names[] = {"name", "description", "parameters", "strict", NULL};
    const char *s;
    bool strict;
    int rc = ft_oai_object(f, at, e);
    if (rc != 0 || (rc = ft_oai_only(f, at, names, e)) != 0)
        return rc;
    for (size_t i = 0; names[i] != NULL; i++) /* templates write null out */
        if (json_is_null(json_object_get(f, names[i])))
            json_object_del(f, names[i]);
    json_t *v = json_object_get(f, "name");
    if (v == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, "name"));
    if ((rc = ft_oai_name(v, FT_OAI_AT(at, "name"), &s, e)) != 0)
        return rc;
    if ((v = json_object_get(f, "description")) != NULL && !json_is_string(v))
        return ft_oai_wrong_type(e, FT_OAI_AT(at, "description"), "a string", v);
    if ((v = json_object_get(f, "parameters")) != NULL &&
        (rc = ft_oai_schema_shape(v, FT_OAI_AT(at, "parameters"), e)) != 0)
        return rc;
    v = json_object_get(f, "strict");
    return v != NULL ? ft_oai_bool(v, FT_OAI_AT(at, "strict"), &strict, e) : 0;
}

static const char *tool_name(const json_t *tools, size_t i)
{
    const json_t *function = json_object_get(json_array_get(tools, i), "function");
    return json_string_value(json_object_get(function, "name"));
}

static int find_tool(const json_t *tools, const char *name)
{
    for (size_t i = 0; i < json_array_size(tools); i++)
        if (strcmp(tool_name(tools, i), name) == 0)
            return (int)i;
    return -1;
}

/* {"type":"function","function":{...}}; *ret: the function. */
static int check_typed(const json_t *v, const struct ft_oai_at *at, json_t **ret,
                       struct ft_oai_error *e)
{
    static const char *const names[] = {"type", "function", NULL};
    int rc = ft_oai_object(v, at, e);
    if (rc != 0)
        return rc;
    json_t *type = ft_oai_get(v, "type");
    const char *s;
    if (type == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, "type"));
    if ((rc = ft_oai_str(type, FT_OAI_AT(at, "type"), 0, 64, &s, e)) != 0)
        return rc;
    if (strcmp(s, "custom") == 0)
        return ft_oai_unsupported(e, FT_OAI_AT(at, "type"), "tools are functions");
    if (strcmp(s, "function") != 0)
        return ft_oai_bad(e, FT_OAI_AT(at, "type"), "invalid_value",
                          "must be \"function\", but is \"%s\"", s);
    if ((rc = ft_oai_only(v, at, names, e)) != 0)
        return rc;
    if ((*ret = ft_oai_get(v, "function")) == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, "function"));
    return ft_oai_object(*ret, FT_OAI_AT(at, "function"), e);
}

static int check_tools(json_t *tools, struct ft_oai_error *e)
{
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "tools");
    int rc = ft_oai_array(tools, at, 0, FT_OAI_TOOLS_MAX, e);
    for (size_t i = 0; rc == 0 && i < json_array_size(tools); i++) {
        const struct ft_oai_at *here = FT_OAI_ELEM(at, i);
        json_t *f;
        rc = check_typed(json_array_get(tools, i), here, &f, e);
        if (rc == 0)
            rc = check_function(f, FT_OAI_AT(here, "function"), e);
        if (rc == 0 && (size_t)find_tool(tools, tool_name(tools, i)) < i)
            rc = ft_oai_bad(e, FT_OAI_AT(FT_OAI_AT(here, "function"), "name"), "invalid_value",
                            "two tools have the name \"%s\"", tool_name(tools, i));
    }
    return rc;
}

/* ---- tool_choice ---- */

static int choose_named(struct ft_oai_request *q, const json_t *v, const struct ft_oai_at *at,
                        struct ft_oai_error *e)
{
    static const char *const names[] = {"name", NULL};
    const struct ft_oai_at *here = FT_OAI_AT(at, "function");
    json_t *f;
    int rc = check_typed(v, at, &f, e);
    if (rc != 0 || (rc = ft_oai_only(f, here, names, e)) != 0)
        return rc;
    json_t *name = ft_oai_get(f, "name");
    here = FT_OAI_AT(here, "name");
    if (name == NULL)
        return ft_oai_missing(e, here);
    if ((rc = ft_oai_name(name, here, &q->tool_name, e)) != 0)
        return rc;
    if (find_tool(q->tools, q->tool_name) < 0)
        return ft_oai_bad(e, here, "invalid_value", "no tool is named \"%s\"", q->tool_name);
    q->choose = FT_OAI_CHOOSE_NAMED;
    return 0;
}

/* {"type":"allowed_tools","allowed_tools":{"mode":..,"tools":[..]}}: what is not allowed is taken
 * away from the request, which is what it means. */
static int choose_allowed(struct ft_oai_request *q, const json_t *v, const struct ft_oai_at *at,
                          struct ft_oai_error *e)
{
    static const char *const names[] = {"type", "allowed_tools", NULL};
    static const char *const allowed_names[] = {"mode", "tools", NULL};
    static const char *const modes[] = {"auto", "required", NULL};
    const struct ft_oai_at *here = FT_OAI_AT(at, "allowed_tools");
    json_t *allowed = ft_oai_get(v, "allowed_tools");
    int mode, rc = ft_oai_only(v, at, names, e);
    if (rc != 0)
        return rc;
    if (allowed == NULL)
        return ft_oai_missing(e, here);
    if ((rc = ft_oai_object(allowed, here, e)) != 0 ||
        (rc = ft_oai_only(allowed, here, allowed_names, e)) != 0)
        return rc;
    json_t *m = ft_oai_get(allowed, "mode"), *list = ft_oai_get(allowed, "tools");
    if (m == NULL || list == NULL)
        return ft_oai_missing(e, FT_OAI_AT(here, m == NULL ? "mode" : "tools"));
    if ((rc = ft_oai_enum(m, FT_OAI_AT(here, "mode"), modes, &mode, e)) != 0 ||
        (rc = ft_oai_array(list, FT_OAI_AT(here, "tools"), 1, FT_OAI_TOOLS_MAX, e)) != 0)
        return rc;
    json_t *kept = json_array();
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        struct ft_oai_request one = {.tools = q->tools};
        rc = choose_named(&one, json_array_get(list, i), FT_OAI_ELEM(FT_OAI_AT(here, "tools"), i),
                          e);
        if (rc == 0 && find_tool(kept, one.tool_name) < 0)
            json_array_append(kept,
                              json_array_get(q->tools, (size_t)find_tool(q->tools, one.tool_name)));
    }
    if (rc == 0) {
        json_object_set(q->root, "tools", kept);
        json_object_set_new(q->root, "tool_choice", json_string(modes[mode]));
        q->tools = kept;
        q->choose = mode == 0 ? FT_OAI_CHOOSE_AUTO : FT_OAI_CHOOSE_REQUIRED;
    }
    json_decref(kept);
    return rc;
}

static int choose(struct ft_oai_request *q, const json_t *v, struct ft_oai_error *e)
{
    static const char *const modes[] = {"none", "auto", "required", NULL};
    static const enum ft_oai_choose chosen[] = {FT_OAI_CHOOSE_NONE, FT_OAI_CHOOSE_AUTO,
                                                FT_OAI_CHOOSE_REQUIRED};
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "tool_choice");
    int mode, rc;
    if (!json_is_string(v) && !json_is_object(v))
        return ft_oai_wrong_type(e, at, "a string or an object", v);
    bool calls = json_is_object(v) || strcmp(json_string_value(v), "required") == 0;
    if (calls && q->tools == NULL)
        return ft_oai_bad(e, at, "invalid_value", "is only allowed with tools");
    if (json_is_object(v)) {
        const char *type = json_string_value(ft_oai_get(v, "type"));
        return type != NULL && strcmp(type, "allowed_tools") == 0 ? choose_allowed(q, v, at, e)
                                                                  : choose_named(q, v, at, e);
    }
    if ((rc = ft_oai_enum(v, at, modes, &mode, e)) != 0)
        return rc;
    if (q->tools != NULL)
        q->choose = chosen[mode];
    return 0;
}

int ft_oai_parse_tools(struct ft_oai_request *q, struct ft_oai_error *e)
{
    json_t *tools = ft_oai_get(q->root, "tools"), *choice = ft_oai_get(q->root, "tool_choice");
    int rc = tools != NULL ? check_tools(tools, e) : 0;
    if (rc != 0)
        return rc;
    if (tools != NULL && json_array_size(tools) == 0) {
        json_object_del(q->root, "tools");
        tools = NULL;
    }
    q->tools = tools;
    q->choose = tools != NULL ? FT_OAI_CHOOSE_AUTO : FT_OAI_CHOOSE_NONE;
    return choice != NULL ? choose(q, choice, e) : 0;
}

/* ---- response_format ---- */

/* {"type":TYPE,TYPE:"text"}: regular expressions and grammars, which OpenAI has not. */
static int format_text(struct ft_oai_request *q, const json_t *v, const struct ft_oai_at *at,
                       const char *name, enum ft_oai_format format, struct ft_oai_error *e)
{
    const char *const names[] = {"type", name, NULL};
    const char *s;
    json_t *text = ft_oai_get(v, name);
    int rc = ft_oai_only(v, at, names, e);
    if (rc != 0)
        return rc;
    if (text == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, name));
    if ((rc = ft_oai_str(text, FT_OAI_AT(at, name), 1, FT_OAI_SCHEMA_BYTES_MAX, &s, e)) != 0)
        return rc;
    q->format = format;
    q->format_text = (struct ft_slice){s, json_string_length(text)};
    return 0;
}

static int dump_schema(struct ft_oai_request *q, const json_t *schema, const struct ft_oai_at *at,
                       struct ft_oai_error *e)
{
    struct ft_buf text;
    ft_buf_init(&text, FT_OAI_SCHEMA_BYTES_MAX);
    ft_oai_json_dump(schema, &text);
    if (text.failed != 0) {
        int rc = ft_oai_bad(e, at, "request_too_large", "must have at most %zu bytes",
                            FT_OAI_SCHEMA_BYTES_MAX);
        ft_buf_fini(&text);
        return rc;
    }
    q->owned_format = text.data;
    q->format_text = (struct ft_slice){text.data, text.len};
    return 0;
}

static int format_schema(struct ft_oai_request *q, const json_t *v, const struct ft_oai_at *at,
                         enum ft_oai_mode mode, struct ft_oai_error *e)
{
    static const char *const names[] = {"type", "json_schema", NULL};
    static const char *const members[] = {"name", "description", "schema", "strict", NULL};
    const struct ft_oai_at *here = FT_OAI_AT(at, "json_schema");
    json_t *s = ft_oai_get(v, "json_schema"), *m;
    const char *name;
    int rc = ft_oai_only(v, at, names, e);
    if (rc != 0)
        return rc;
    if (s == NULL)
        return ft_oai_missing(e, here);
    if ((rc = ft_oai_object(s, here, e)) != 0 || (rc = ft_oai_only(s, here, members, e)) != 0)
        return rc;
    if ((m = ft_oai_get(s, "name")) == NULL)
        return ft_oai_missing(e, FT_OAI_AT(here, "name"));
    if ((rc = ft_oai_name(m, FT_OAI_AT(here, "name"), &name, e)) != 0)
        return rc;
    if ((m = ft_oai_get(s, "description")) != NULL && !json_is_string(m))
        return ft_oai_wrong_type(e, FT_OAI_AT(here, "description"), "a string", m);
    if ((m = ft_oai_get(s, "strict")) != NULL &&
        (rc = ft_oai_bool(m, FT_OAI_AT(here, "strict"), &q->format_strict, e)) != 0)
        return rc;
    m = ft_oai_get(s, "schema");
    q->format = m != NULL ? FT_OAI_FORMAT_SCHEMA : FT_OAI_FORMAT_JSON;
    if (m == NULL)
        return 0;
    if ((rc = ft_oai_object(m, FT_OAI_AT(here, "schema"), e)) != 0 || mode != FT_OAI_WORKER)
        return rc;
    return dump_schema(q, m, FT_OAI_AT(here, "schema"), e);
}

int ft_oai_parse_format(struct ft_oai_request *q, json_t *v, enum ft_oai_mode mode,
                        struct ft_oai_error *e)
{
    static const char *const types[] = {"text",  "json_object", "json_schema",
                                        "regex", "gbnf",        NULL};
    static const char *const alone[] = {"type", NULL};
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "response_format");
    int rc = ft_oai_object(v, at, e), type;
    if (rc != 0)
        return rc;
    json_t *t = ft_oai_get(v, "type");
    if (t == NULL)
        return ft_oai_missing(e, FT_OAI_AT(at, "type"));
    if ((rc = ft_oai_enum(t, FT_OAI_AT(at, "type"), types, &type, e)) != 0)
        return rc;
    switch ((enum ft_oai_format)type) {
    case FT_OAI_FORMAT_TEXT:
    case FT_OAI_FORMAT_JSON:
        q->format = (enum ft_oai_format)type;
        return ft_oai_only(v, at, alone, e);
    case FT_OAI_FORMAT_SCHEMA:
        return format_schema(q, v, at, mode, e);
    case FT_OAI_FORMAT_REGEX:
    case FT_OAI_FORMAT_GBNF:
        break;
    }
    return format_text(q, v, at, types[type], (enum ft_oai_format)type, e);
}
