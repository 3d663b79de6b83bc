/* See forced.h. */
#include "worker/forced.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 256

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

static int one_call(const json_t *tool, const char *place, json_t **ret, struct ft_err *err)
{
    const json_t *f = json_object_get(tool, "function");
    const json_t *p = json_object_get(f, "parameters");
    json_t *args = json_is_object(p) ? json_deep_copy(p) : json_pack("{s:s}", "type", "object");
    int rc = args != NULL ? move_refs(args, place, 0, err) : 0;
    if (rc != 0) {
        json_decref(args);
        return rc;
    }
    *ret = json_pack("{s:s, s:{s:{s:O?}, s:o?}, s:[s,s], s:b}", "type", "object", "properties",
                     "name", "const", json_object_get(f, "name"), "arguments", args, "required",
                     "name", "arguments", "additionalProperties", 0);
    return *ret != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "tools: no memory");
}

static const char *name_of(const json_t *tool)
{
    const char *s = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
    return s != NULL ? s : "";
}

int ft_forced_schema(const json_t *tools, const char *name, json_t **ret, struct ft_err *err)
{
    size_t i, n = 0;
    json_t *tool, *any = json_array(), *call = NULL;
    int rc = any != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "tools: no memory");
    bool alone = name != NULL || json_array_size(tools) == 1;
    json_array_foreach(tools, i, tool)
    {
        char place[64];
        if (rc != 0 || (name != NULL && strcmp(name_of(tool), name) != 0))
            continue;
        snprintf(place, sizeof place, "/anyOf/%zu/properties/arguments", n++);
        rc = one_call(tool, alone ? "/properties/arguments" : place, &call, err);
        if (rc == 0 && json_array_append_new(any, call) != 0)
            rc = ft_err_set(err, FT_ENOMEM, "tools: no memory");
    }
    if (rc == 0 && n == 0)
        rc = ft_err_set(err, FT_EINVAL, "tool_choice: no tool is called %s",
                        name != NULL ? name : "so");
    if (rc == 0) {
        *ret = alone ? json_incref(json_array_get(any, 0)) : json_pack("{s:O}", "anyOf", any);
        rc = *ret != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "tools: no memory");
    }
    json_decref(any);
    return rc;
}
