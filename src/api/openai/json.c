/* Bounded parsing: a pass over the bytes that adds up depth and cost, then jansson's. */
#include "api/openai/json.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

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

/* ---- where a value stands ---- */

/* The way from the top to a place in text: at each level a member's name or an element's number. */
struct way {
    struct step {
        const char *name; /* as it is written, in an object; NULL: in an array */
        int n;            /* of its bytes; of an array: the element */
        bool named;       /* the next string is a value, not a name */
    } step[FT_OAI_JSON_DEPTH_MAX];
    int depth;
};

/* Up to p; what is malformed before it was refused. */
static void follow(struct way *w, const char *text, const char *p)
{
    for (const char *at = text; at < p; at++) {
        struct step *s = w->depth > 0 ? &w->step[w->depth - 1] : NULL;
        const char *end;
        switch (*at) {
        case '{':
        case '[':
            if (w->depth == FT_OAI_JSON_DEPTH_MAX)
                return;
            w->step[w->depth++] = (struct step){.name = *at == '{' ? "" : NULL};
            break;
        case '}':
        case ']':
            w->depth -= w->depth > 0;
            break;
        case ',':
            if (s != NULL && s->name == NULL)
                s->n++;
            else if (s != NULL)
                s->named = false;
            break;
        case '"':
            end = string_end(at + 1, p);
            if (s != NULL && s->name != NULL && !s->named) {
                s->name = at + 1;
                s->n = (int)FT_MIN(end - at - 1, FT_OAI_PARAM_MAX);
                s->named = true;
            }
            at = end;
        }
    }
}

/* "messages[0].content"; empty at the top. Cut where it is too long. */
static void write_way(const struct way *w, char ret[FT_OAI_PARAM_MAX])
{
    size_t n = 0;
    ret[0] = '\0';
    for (int i = 0; i < w->depth && n < FT_OAI_PARAM_MAX; i++) {
        const struct step *s = &w->step[i];
        int more = s->name == NULL ? snprintf(ret + n, FT_OAI_PARAM_MAX - n, "[%d]", s->n)
                                   : snprintf(ret + n, FT_OAI_PARAM_MAX - n, "%s%.*s",
                                              n > 0 ? "." : "", s->n, s->name);
        n += (size_t)FT_MAX(more, 0);
    }
    ret[ft_utf8_valid_len(ret, strlen(ret))] = '\0'; /* it may be cut */
}

/* What jansson does not take though it is JSON? */
static bool is_value(enum json_error_code code)
{
    return code == json_error_numeric_overflow || code == json_error_null_character ||
           code == json_error_null_byte_in_key;
}

/* That, named. */
static int refuse_value(const char *text, size_t n, const json_error_t *je, struct ft_oai_error *e)
{
    struct way w = {.depth = 0};
    char place[FT_OAI_PARAM_MAX];
    bool number = json_error_code(je) == json_error_numeric_overflow;
    follow(&w, text, text + FT_MIN((size_t)FT_MAX(je->position, 0), n));
    write_way(&w, place);
    return ft_oai_error_set(e, FT_EINVAL, "invalid_value", place[0] != '\0' ? place : NULL,
                            "%s: %s", place[0] != '\0' ? place : "the body",
                            number ? "the number is too large" : "holds \\u0000, which is no text");
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
    if (v == NULL && is_value(json_error_code(&je)))
        return refuse_value(text, n, &je, e);
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
