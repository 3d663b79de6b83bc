/* See forced.h. */
#include "worker/forced.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX  256
#define CALL_BEGIN "<tool_call>\n"
#define CALL_END   "\n</tool_call>"

/* "#/$defs/x" meant the parameters' own root. */
static int move_refs(json_t *v, const char *to, int depth, struct ft_err *err)
{
    const char *key;
    json_t *child;
    size_t i;
    int rc = 0;
    if (depth > DEPTH_MAX)
        return ft_err_set(err, FT_ELIMIT, "a schema is nested deeper than %d", DEPTH_MAX);
    json_array_foreach(v, i, child)
    {
        if ((rc = move_refs(child, to, depth + 1, err)) != 0)
            return rc;
    }
    json_object_foreach(v, key, child)
    {
        const char *ref = json_string_value(child);
        if (strcmp(key, "$ref") == 0 && ref != NULL && ref[0] == '#') {
            json_t *moved = json_sprintf("#%s%s", to, ref + 1);
            rc = moved != NULL && json_object_set_new(v, key, moved) == 0
                     ? 0
                     : ft_err_set(err, FT_ENOMEM, "tools: no memory");
        } else {
            rc = move_refs(child, to, depth + 1, err);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

int ft_forced_move_refs(json_t *schema, const char *to, struct ft_err *err)
{
    return move_refs(schema, to, 0, err);
}

/* Objects may go unsaid, or be one of several types; arguments are objects. */
static bool is_object_among(const json_t *type)
{
    size_t i;
    json_t *t;
    json_array_foreach(type, i, t)
    {
        if (json_is_string(t) && strcmp(json_string_value(t), "object") == 0)
            return true;
    }
    return type == NULL;
}

json_t *ft_forced_parameters(const json_t *tool)
{
    const json_t *p = json_object_get(json_object_get(tool, "function"), "parameters");
    json_t *own = json_is_object(p) ? json_deep_copy(p) : json_object();
    if (own != NULL && json_object_get(own, "$ref") == NULL &&
        is_object_among(json_object_get(own, "type")))
        json_object_set_new(own, "type", json_string("object"));
    return own;
}

static const char *name_of(const json_t *tool)
{
    const char *s = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
    return s != NULL ? s : "";
}

static int add_call(json_t *any, const json_t *tool, struct ft_err *err)
{
    char place[64];
    json_t *args = ft_forced_parameters(tool);
    snprintf(place, sizeof place, "/anyOf/%zu/properties/arguments", json_array_size(any));
    int rc = args != NULL ? move_refs(args, place, 0, err)
                          : ft_err_set(err, FT_ENOMEM, "tools: no memory");
    if (rc != 0) {
        json_decref(args);
        return rc;
    }
    json_t *call = json_pack("{s:s, s:{s:{s:s}, s:o}, s:[s,s], s:b}", "type", "object",
                             "properties", "name", "const", name_of(tool), "arguments", args,
                             "required", "name", "arguments", "additionalProperties", 0);
    return json_array_append_new(any, call) == 0 ? 0
                                                 : ft_err_set(err, FT_ENOMEM, "tools: no memory");
}

static int any_call(const json_t *tools, json_t **ret, struct ft_err *err)
{
    size_t i;
    json_t *tool, *any = json_array();
    int rc = any != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "tools: no memory");
    json_array_foreach(tools, i, tool)
    {
        if (rc == 0)
            rc = add_call(any, tool, err);
    }
    if (rc == 0)
        *ret = json_pack("{s:o}", "anyOf", any);
    else
        json_decref(any);
    return rc;
}

int ft_forced_call(const json_t *tools, const char *name, struct ft_buf *begin, struct ft_buf *end,
                   json_t **ret, struct ft_err *err)
{
    const json_t *only = json_array_size(tools) == 1 ? json_array_get(tools, 0) : NULL;
    size_t i;
    json_t *tool;
    json_array_foreach(tools, i, tool)
    {
        if (name != NULL && strcmp(name_of(tool), name) == 0)
            only = tool;
    }
    bool missing = name != NULL && (only == NULL || strcmp(name_of(only), name) != 0);
    if (json_array_size(tools) == 0 || missing)
        return ft_err_set(err, FT_EINVAL, "tool_choice: no tool is called %s",
                          name != NULL ? name : "so");
    ft_buf_add_str(begin, CALL_BEGIN);
    if (only != NULL) { /* names are letters, digits, '-' and '_' */
        ft_buf_addf(begin, "{\"name\": \"%s\", \"arguments\": ", name_of(only));
        ft_buf_add_str(end, "}");
    }
    ft_buf_add_str(end, CALL_END);
    if (begin->failed != 0 || end->failed != 0)
        return ft_err_set(err, FT_ENOMEM, "tools: no memory");
    if (only == NULL)
        return any_call(tools, ret, err);
    *ret = ft_forced_parameters(only);
    return *ret != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "tools: no memory");
}
