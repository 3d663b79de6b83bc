/* JSON Schema, as much of it as openapi.json says: so the document is what the server does.
 *
 * Keywords: $ref into the document, anyOf (a schema or null), type, const, enum, minimum, maximum,
 * exclusiveMinimum, exclusiveMaximum, minLength, maxLength (characters), pattern (what POSIX and
 * JavaScript have in common), minItems, maxItems, items, properties, required,
 * additionalProperties. A keyword beyond these is a fault in the document, and is said so. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/utf8.h"
#include "control/inner.h"
#include "net/url.h"

#define DEPTH_MAX    16
#define PARAMS_BYTES (64u << 10)
#define PARAMS_MAX   256

static int bad(struct ft_oai_error *e, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int bad(struct ft_oai_error *e, const char *name, const char *fmt, ...)
{
    char why[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof why, fmt, ap);
    va_end(ap);
    return ft_oai_error_set(e, FT_EINVAL, "invalid_value", name, "%s%s%s", name,
                            name[0] != '\0' ? ": " : "the request's body: ", why);
}

static const json_t *resolve(const json_t *doc, const json_t *schema)
{
    for (int i = 0; i < DEPTH_MAX; i++) {
        const char *ref = json_string_value(json_object_get(schema, "$ref"));
        if (ref == NULL)
            return schema;
        const char *name = strrchr(ref, '/');
        schema = json_object_get(json_object_get(json_object_get(doc, "components"), "schemas"),
                                 name + 1);
        FT_ASSERT(schema != NULL && "a $ref in openapi.json to nothing");
    }
    return schema;
}

static bool is_type(const json_t *v, const char *type)
{
    return strcmp(type, "null") == 0      ? json_is_null(v)
           : strcmp(type, "object") == 0  ? json_is_object(v)
           : strcmp(type, "array") == 0   ? json_is_array(v)
           : strcmp(type, "string") == 0  ? json_is_string(v)
           : strcmp(type, "integer") == 0 ? json_is_integer(v)
           : strcmp(type, "number") == 0  ? json_is_number(v)
                                          : json_is_boolean(v);
}

static const char *type_words(const char *type)
{
    return strcmp(type, "object") == 0    ? "an object"
           : strcmp(type, "array") == 0   ? "a list"
           : strcmp(type, "string") == 0  ? "a text"
           : strcmp(type, "integer") == 0 ? "a whole number"
           : strcmp(type, "number") == 0  ? "a number"
           : strcmp(type, "boolean") == 0 ? "true or false"
                                          : "null";
}

static int check_type(const json_t *type, const json_t *v, const char *name, struct ft_oai_error *e)
{
    char words[80] = "";
    if (json_is_string(type))
        return is_type(v, json_string_value(type))
                   ? 0
                   : bad(e, name, "must be %s", type_words(json_string_value(type)));
    for (size_t i = 0; i < json_array_size(type); i++) {
        const char *t = json_string_value(json_array_get(type, i));
        if (is_type(v, t))
            return 0;
        size_t n = strlen(words);
        snprintf(words + n, sizeof words - n, "%s%s", i > 0 ? " or " : "", type_words(t));
    }
    return bad(e, name, "must be %s", words);
}

static int check_text(const json_t *schema, const json_t *v, const char *name,
                      struct ft_oai_error *e)
{
    const char *text = json_string_value(v);
    size_t bytes = json_string_length(v), n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    const json_t *min = json_object_get(schema, "minLength");
    const json_t *max = json_object_get(schema, "maxLength");
    const char *pattern = json_string_value(json_object_get(schema, "pattern"));
    if (min != NULL && n < (size_t)json_integer_value(min))
        return bad(e, name, n == 0 ? "must not be empty" : "is too short");
    if (max != NULL && n > (size_t)json_integer_value(max))
        return bad(e, name, "is longer than %d characters", (int)json_integer_value(max));
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return bad(e, name, "must not hold control characters");
    if (pattern == NULL)
        return 0;
    regex_t re;
    int rc = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB);
    FT_ASSERT(rc == 0 && "a pattern in openapi.json");
    rc = regexec(&re, text, 0, NULL, 0);
    regfree(&re);
    const char *words = json_string_value(json_object_get(schema, "x-pattern-words"));
    return rc == 0         ? 0
           : words != NULL ? bad(e, name, "must be %s", words)
                           : bad(e, name, "must match %s", pattern);
}

static int check_number(const json_t *schema, const json_t *v, const char *name,
                        struct ft_oai_error *e)
{
    const json_t *min = json_object_get(schema, "minimum");
    const json_t *max = json_object_get(schema, "maximum");
    const json_t *above = json_object_get(schema, "exclusiveMinimum");
    const json_t *below = json_object_get(schema, "exclusiveMaximum");
    double x = json_number_value(v);
    if (min != NULL && !(x >= json_number_value(min)))
        return bad(e, name, "must be at least %.15g", json_number_value(min));
    if (max != NULL && !(x <= json_number_value(max)))
        return bad(e, name, "must be at most %.15g", json_number_value(max));
    if (above != NULL && !(x > json_number_value(above)))
        return bad(e, name, "must be above %.15g", json_number_value(above));
    if (below != NULL && !(x < json_number_value(below)))
        return bad(e, name, "must be below %.15g", json_number_value(below));
    return 0;
}

static int check_choice(const json_t *schema, const json_t *v, const char *name,
                        struct ft_oai_error *e)
{
    const json_t *list = json_object_get(schema, "enum");
    const json_t *one = json_object_get(schema, "const");
    char words[200] = "";
    if (one != NULL && !json_equal(one, v))
        return bad(e, name, "must be %s", json_string_value(one));
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_equal(json_array_get(list, i), v))
            return 0;
        size_t n = strlen(words);
        snprintf(words + n, sizeof words - n, "%s%s", i > 0 ? ", " : "",
                 json_string_value(json_array_get(list, i)));
    }
    return list != NULL ? bad(e, name, "must be one of: %s", words) : 0;
}

static int check(const json_t *doc, const json_t *schema, const json_t *v, const char *name,
                 int depth, struct ft_oai_error *e);

static int check_object(const json_t *doc, const json_t *schema, const json_t *v, const char *name,
                        int depth, struct ft_oai_error *e)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *more = json_object_get(schema, "additionalProperties");
    const char *key, *dot = name[0] != '\0' ? "." : "";
    char inner[FT_OAI_PARAM_MAX];
    json_t *member;
    json_object_foreach((json_t *)v, key, member)
    {
        const json_t *own = json_object_get(properties, key);
        snprintf(inner, sizeof inner, "%s%s%.60s", name, dot, key);
        if (own == NULL && json_is_false(more))
            return ft_oai_error_set(e, FT_EINVAL, "unknown_parameter", inner,
                                    "%s: there is no such field", inner);
        int rc = own != NULL ? check(doc, own, member, inner, depth + 1, e) : 0;
        if (rc != 0)
            return rc;
    }
    const json_t *required = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        key = json_string_value(json_array_get(required, i));
        snprintf(inner, sizeof inner, "%s%s%s", name, dot, key);
        if (json_object_get(v, key) == NULL)
            return ft_oai_error_set(e, FT_EINVAL, "missing_required_parameter", inner,
                                    "%s: is missing", inner);
    }
    return 0;
}

static int check_array(const json_t *doc, const json_t *schema, const json_t *v, const char *name,
                       int depth, struct ft_oai_error *e)
{
    const json_t *items = json_object_get(schema, "items");
    const json_t *min = json_object_get(schema, "minItems");
    const json_t *max = json_object_get(schema, "maxItems");
    size_t n = json_array_size(v);
    char inner[FT_OAI_PARAM_MAX];
    if (min != NULL && n < (size_t)json_integer_value(min))
        return bad(e, name, "must have at least %d", (int)json_integer_value(min));
    if (max != NULL && n > (size_t)json_integer_value(max))
        return bad(e, name, "must have at most %d", (int)json_integer_value(max));
    for (size_t i = 0; items != NULL && i < n; i++) {
        snprintf(inner, sizeof inner, "%s[%zu]", name, i);
        int rc = check(doc, items, json_array_get(v, i), inner, depth + 1, e);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int check(const json_t *doc, const json_t *schema, const json_t *v, const char *name,
                 int depth, struct ft_oai_error *e)
{
    if (depth > DEPTH_MAX)
        return bad(e, name, "is nested too deeply");
    schema = resolve(doc, schema);
    const json_t *any = json_object_get(schema, "anyOf"); /* something, or null */
    if (any != NULL)
        return json_is_null(v) ? 0 : check(doc, json_array_get(any, 0), v, name, depth + 1, e);
    const json_t *type = json_object_get(schema, "type");
    int rc = type != NULL ? check_type(type, v, name, e) : 0;
    if (rc == 0)
        rc = check_choice(schema, v, name, e);
    if (rc == 0 && json_is_string(v))
        rc = check_text(schema, v, name, e);
    if (rc == 0 && json_is_number(v))
        rc = check_number(schema, v, name, e);
    if (rc == 0 && json_is_array(v))
        rc = check_array(doc, schema, v, name, depth, e);
    if (rc == 0 && json_is_object(v))
        rc = check_object(doc, schema, v, name, depth, e);
    return rc;
}

int ft_ctl_schema_check(const json_t *doc, const json_t *schema, const json_t *value,
                        const char *name, struct ft_oai_error *e)
{
    return check(doc, schema, value, name, 0, e);
}

/* ---- queries ---- */

static const json_t *parameter(const json_t *operation, const char *name)
{
    const json_t *list = json_object_get(operation, "parameters");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        if (strcmp(json_string_value(json_object_get(p, "name")), name) == 0)
            return json_object_get(p, "schema");
    }
    return NULL;
}

/* Text as the schema's type; what does not read as it stays text, and is refused by the check. */
static json_t *typed(const json_t *schema, const char *text)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (type != NULL && strcmp(type, "integer") == 0) {
        char *end;
        long long v = strtoll(text, &end, 10);
        if (*text >= '0' && *text <= '9' && *end == '\0' && strlen(text) <= 18)
            return json_integer(v);
    }
    if (type != NULL && strcmp(type, "boolean") == 0 &&
        (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
        return json_boolean(text[0] == 't');
    return json_string(text);
}

/* a,b and repeated ones add up. */
static void append_list(json_t *params, const char *name, const json_t *items, char *text)
{
    json_t *list = json_object_get(params, name);
    char *save, *word;
    if (list == NULL) {
        list = json_array();
        json_object_set_new(params, name, list);
    }
    for (word = strtok_r(text, ",", &save); word != NULL; word = strtok_r(NULL, ",", &save))
        json_array_append_new(list, typed(items, word));
}

static int take(const json_t *operation, char *name, char *value, json_t *params,
                struct ft_oai_error *e)
{
    size_t n = strlen(name);
    bool list = n > 2 && strcmp(name + n - 2, "[]") == 0;
    if (list)
        name[n - 2] = '\0';
    const json_t *schema = parameter(operation, name);
    const char *type = json_string_value(json_object_get(schema, "type"));
    bool is_list = type != NULL && strcmp(type, "array") == 0;
    if (schema == NULL || (list && !is_list))
        return ft_oai_error_set(e, FT_EINVAL, "unknown_parameter", name,
                                "%.60s: there is no such parameter", name);
    if (is_list)
        append_list(params, name, json_object_get(schema, "items"), value);
    else if (json_object_get(params, name) != NULL)
        return bad(e, name, "is given twice");
    else
        json_object_set_new(params, name, typed(schema, value));
    return 0;
}

int ft_ctl_schema_query(const json_t *doc, const json_t *operation, const char *query, json_t **ret,
                        struct ft_oai_error *e)
{
    struct ft_arena arena;
    struct ft_err err = {0};
    const char *name, *value;
    size_t at = 0;
    int rc, n = 0;
    json_t *params = json_object();
    ft_arena_init(&arena, PARAMS_BYTES);
    while ((rc = ft_url_param_next(query, &at, &arena, &name, &value, &err)) > 0) {
        rc = ++n > PARAMS_MAX ? ft_oai_error_set(e, FT_EINVAL, NULL, NULL, "too many parameters")
                              : take(operation, (char *)name, (char *)value, params, e);
        if (rc != 0)
            break;
    }
    if (err.code != 0)
        ft_oai_error_from_query(e, &err);
    ft_arena_fini(&arena);
    const json_t *list = json_object_get(operation, "parameters");
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        const json_t *p = json_array_get(list, i);
        name = json_string_value(json_object_get(p, "name"));
        const json_t *v = json_object_get(params, name);
        if (v != NULL)
            rc = ft_ctl_schema_check(doc, json_object_get(p, "schema"), v, name, e);
        else if (json_is_true(json_object_get(p, "required")))
            rc = ft_oai_error_set(e, FT_EINVAL, "missing_required_parameter", name,
                                  "%s: is missing", name);
    }
    if (rc != 0)
        json_decref(params);
    else
        *ret = params;
    return rc;
}
