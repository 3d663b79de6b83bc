/* Bounded parsing: a pass over the bytes that adds up depth and cost, then jansson's. */
#include "api/openai/json.h"

#include <string.h>

/* What jansson 2.14 allocates on a 64-bit machine, allocator's overhead included, rounded up. */
enum {
    COST_SCALAR = 48,
    COST_ARRAY = 176,  /* with its first table */
    COST_OBJECT = 416, /* with its first buckets */
    COST_MEMBER = 96,  /* beside name and value */
};

/* The closing quote's place, or end. */
static const char *string_end(const char *p, const char *end)
{
    while (p < end && *p != '"')
        p += *p == '\\' ? 2 : 1;
    return p < end ? p : end;
}

/* Malformed text is jansson's to tell: here it only must not be counted too low. */
static int check_bounds(const char *text, size_t n, struct ft_oai_error *e)
{
    const char *p = text, *end = text + n;
    size_t cost = 0;
    int depth = 0;
    bool scalar = false; /* within a number or literal */
    for (; p < end; p++) {
        bool was = scalar;
        scalar = false;
        switch (*p) {
        case '"': {
            const char *q = string_end(p + 1, end);
            cost += COST_SCALAR + (size_t)(q - p);
            p = q;
            break;
        }
        case '{':
        case '[':
            cost += *p == '{' ? COST_OBJECT : COST_ARRAY;
            if (++depth > FT_OAI_JSON_DEPTH_MAX)
                return ft_oai_error_set(e, FT_EINVAL, "invalid_json", NULL,
                                        "the JSON is nested deeper than %d levels",
                                        FT_OAI_JSON_DEPTH_MAX);
            break;
        case '}':
        case ']':
            depth -= depth > 0;
            break;
        case ':':
            cost += COST_MEMBER;
            break;
        case ',':
        case ' ':
        case '\n':
        case '\r':
        case '\t':
            break;
        default:
            scalar = true;
            cost += was ? 0 : COST_SCALAR;
        }
        if (cost > FT_OAI_JSON_TREE_MAX)
            return ft_oai_error_set(e, FT_ELIMIT, "request_too_large", NULL,
                                    "the JSON holds too many values");
    }
    return 0;
}

int ft_oai_json_object(const char *text, size_t n, json_t **ret, struct ft_oai_error *e)
{
    int rc = check_bounds(text, n, e);
    if (rc != 0)
        return rc;
    json_error_t je;
    json_t *v = json_loadb(text, n, JSON_REJECT_DUPLICATES, &je);
    if (v == NULL && json_error_code(&je) == json_error_out_of_memory)
        return ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "no memory for the request");
    if (v == NULL)
        return ft_oai_error_set(e, FT_EINVAL, "invalid_json", NULL,
                                "the body is not valid JSON: line %d, column %d: %s", je.line,
                                je.column, je.text);
    if (!json_is_object(v)) {
        json_decref(v);
        return ft_oai_error_set(e, FT_EINVAL, "invalid_json", NULL,
                                "the body must be a JSON object");
    }
    *ret = v;
    return 0;
}

static int dump(const char *data, size_t n, void *out)
{
    return ft_buf_add(out, data, n) == 0 ? 0 : -1;
}

static void dump_value(const json_t *v, size_t flags, struct ft_buf *out)
{
    flags |= JSON_COMPACT | JSON_ENCODE_ANY;
    if (json_dump_callback(v, dump, out, flags) != 0 && out->failed == 0)
        out->failed = FT_ENOMEM;
}

void ft_oai_json_dump(const json_t *v, struct ft_buf *out)
{
    dump_value(v, 0, out);
}

void ft_oai_json_dump_f32(const json_t *v, struct ft_buf *out)
{
    dump_value(v, JSON_REAL_PRECISION(9), out);
}
