/* The shape of a JSON Schema: every keyword has a value of its type. What a schema means is
 * engine/constrain's matter, where an answer is held to it; one that is only shown to the model
 * would otherwise be taken whatever it is. Keywords that nobody knows are allowed, as the standard
 * does, and null is absent. The depth is that of the body, which is bounded. */
#include <string.h>

#include "api/openai/json.h"
#include "api/openai/parts.h"

enum kind { SCHEMA, ITEMS, SCHEMAS, LIST, STRINGS, TYPE, NUMBER, BOUND, COUNT, TEXT, VALUES };

static const struct keyword {
    const char *name;
    enum kind kind;
} keywords[] = {
    {"type", TYPE},
    {"properties", SCHEMAS},
    {"required", STRINGS},
    {"additionalProperties", SCHEMA},
    {"items", ITEMS},
    {"enum", VALUES},
    {"anyOf", LIST},
    {"oneOf", LIST},
    {"allOf", LIST},
    {"not", SCHEMA},
    {"if", SCHEMA},
    {"then", SCHEMA},
    {"else", SCHEMA},
    {"prefixItems", LIST},
    {"contains", SCHEMA},
    {"propertyNames", SCHEMA},
    {"patternProperties", SCHEMAS},
    {"$defs", SCHEMAS},
    {"definitions", SCHEMAS},
    {"$ref", TEXT},
    {"pattern", TEXT},
    {"format", TEXT},
    {"title", TEXT},
    {"description", TEXT},
    {"minimum", NUMBER},
    {"maximum", NUMBER},
    {"multipleOf", NUMBER},
    {"exclusiveMinimum", BOUND}, /* true and false up to draft 4 */
    {"exclusiveMaximum", BOUND},
    {"minLength", COUNT},
    {"maxLength", COUNT},
    {"minItems", COUNT},
    {"maxItems", COUNT},
    {"minProperties", COUNT},
    {"maxProperties", COUNT},
};

static int check(const json_t *v, const struct ft_oai_at *at, struct ft_oai_error *e);

static int check_map(const json_t *map, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    const char *name;
    json_t *v;
    if (!json_is_object(map))
        return ft_oai_wrong_type(e, at, "an object", map);
    json_object_foreach((json_t *)(uintptr_t)map, name, v)
    {
        int rc = check(v, FT_OAI_AT(at, name), e);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int check_list(const json_t *list, const struct ft_oai_at *at, bool schemas,
                      struct ft_oai_error *e)
{
    if (!json_is_array(list))
        return ft_oai_wrong_type(e, at, schemas ? "an array" : "an array of strings", list);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        int rc = 0;
        if (schemas)
            rc = check(v, FT_OAI_ELEM(at, i), e);
        else if (!json_is_string(v))
            rc = ft_oai_wrong_type(e, FT_OAI_ELEM(at, i), "a string", v);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int check_value(enum kind kind, const json_t *v, const struct ft_oai_at *at,
                       struct ft_oai_error *e)
{
    switch (kind) {
    case SCHEMA:
        return check(v, at, e);
    case ITEMS: /* one for each place, up to draft 2019-09 */
        return json_is_array(v) ? check_list(v, at, true, e) : check(v, at, e);
    case SCHEMAS:
        return check_map(v, at, e);
    case LIST:
        return check_list(v, at, true, e);
    case TYPE:
        if (json_is_string(v))
            return 0;
        return check_list(v, at, false, e);
    case STRINGS:
        return check_list(v, at, false, e);
    case BOUND:
        if (json_is_boolean(v))
            return 0;
        return json_is_number(v) ? 0 : ft_oai_wrong_type(e, at, "a number", v);
    case NUMBER:
        return json_is_number(v) ? 0 : ft_oai_wrong_type(e, at, "a number", v);
    case COUNT:
        if (!json_is_number(v))
            return ft_oai_wrong_type(e, at, "a number", v);
        return json_number_value(v) >= 0
                   ? 0
                   : ft_oai_bad(e, at, "integer_below_min_value", "must not be below 0");
    case TEXT:
        return json_is_string(v) ? 0 : ft_oai_wrong_type(e, at, "a string", v);
    case VALUES:
        return json_is_array(v) ? 0 : ft_oai_wrong_type(e, at, "an array", v);
    }
    return 0;
}

static int check(const json_t *v, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    if (json_is_boolean(v)) /* everything, or nothing */
        return 0;
    if (!json_is_object(v))
        return ft_oai_wrong_type(e, at, "a schema, which is an object", v);
    for (size_t i = 0; i < FT_COUNT(keywords); i++) {
        const json_t *value = ft_oai_get(v, keywords[i].name);
        int rc = value != NULL
                     ? check_value(keywords[i].kind, value, FT_OAI_AT(at, keywords[i].name), e)
                     : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

int ft_oai_schema_shape(const json_t *schema, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    int rc = ft_oai_object(schema, at, e);
    return rc != 0 ? rc : check(schema, at, e);
}
