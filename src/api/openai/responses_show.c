/* Stored responses, shown. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/openai/json.h"
#include "api/openai/responses.h"
#include "api/openai/writer.h"

#define ITEMS_SHOWN     20 /* of a page, by default */
#define ITEMS_SHOWN_MAX 100

static int corrupt(struct ft_oai_error *e)
{
    return ft_oai_error_set(e, FT_ECORRUPT, NULL, NULL, "a stored response is none");
}

int ft_oai_responses_show(const json_t *document, struct ft_buf *out, struct ft_oai_error *e)
{
    const json_t *response = json_object_get(document, "response");
    if (!json_is_object(response))
        return corrupt(e);
    ft_oai_json_dump(response, out);
    return 0;
}

static int parse_limit(const char *text, size_t *ret, struct ft_oai_error *e)
{
    char *end;
    long n = text != NULL ? strtol(text, &end, 10) : ITEMS_SHOWN;
    if (text != NULL && (*text == '\0' || *end != '\0' || n < 1 || n > ITEMS_SHOWN_MAX))
        return ft_oai_error_set(e, FT_EINVAL, "invalid_value", "limit", "limit: must be 1 to %d",
                                ITEMS_SHOWN_MAX);
    *ret = (size_t)n;
    return 0;
}

/* The k-th item in the order asked for: of the turns before, then of this one. */
static const json_t *item_at(const json_t *document, size_t k)
{
    const json_t *context = json_object_get(document, "context");
    size_t n = json_array_size(context);
    return k < n ? json_array_get(context, k)
                 : json_array_get(json_object_get(document, "input"), k - n);
}

static void write_id(const char *name, const json_t *item, struct ft_buf *out)
{
    const char *id = json_string_value(json_object_get(item, "id"));
    ft_buf_addf(out, ",\"%s\":", name);
    if (id != NULL)
        ft_oai_write_string(out, id, strlen(id));
    else
        FT_OAI_LIT(out, "null");
}

int ft_oai_responses_items(const json_t *document, const char *limit, const char *order,
                           const char *after, struct ft_buf *out, struct ft_oai_error *e)
{
    size_t n_max = 0, n = json_array_size(json_object_get(document, "context")) +
                          json_array_size(json_object_get(document, "input"));
    int rc = parse_limit(limit, &n_max, e);
    if (rc != 0)
        return rc;
    bool ascending = order != NULL && strcmp(order, "asc") == 0;
    if (order != NULL && !ascending && strcmp(order, "desc") != 0)
        return ft_oai_error_set(e, FT_EINVAL, "invalid_value", "order",
                                "order: must be \"asc\" or \"desc\"");
    if (!json_is_array(json_object_get(document, "input")))
        return corrupt(e);
    size_t from = 0;
    for (size_t i = 0; after != NULL && i < n; i++) {
        const json_t *item = item_at(document, ascending ? i : n - 1 - i);
        const char *id = json_string_value(json_object_get(item, "id"));
        if (id != NULL && strcmp(id, after) == 0)
            from = i + 1;
    }
    if (after != NULL && from == 0)
        return ft_oai_error_set(e, FT_EINVAL, "invalid_value", "after",
                                "after: no item has the id \"%.128s\"", after);
    const json_t *first = NULL, *last = NULL;
    FT_OAI_LIT(out, "{\"object\":\"list\",\"data\":[");
    size_t to = FT_MIN(n, from + n_max);
    for (size_t i = from; i < to; i++) {
        last = item_at(document, ascending ? i : n - 1 - i);
        first = first != NULL ? first : last;
        if (i > from)
            ft_buf_add_byte(out, ',');
        ft_oai_json_dump(last, out);
    }
    ft_buf_add_byte(out, ']');
    write_id("first_id", first, out);
    write_id("last_id", last, out);
    ft_buf_add_str(out, to < n ? ",\"has_more\":true}" : ",\"has_more\":false}");
    return 0;
}

void ft_oai_responses_deleted(const char *id, struct ft_buf *out)
{
    FT_OAI_LIT(out, "{\"id\":");
    ft_oai_write_string(out, id, strlen(id));
    FT_OAI_LIT(out, ",\"object\":\"response\",\"deleted\":true}");
}

int ft_oai_responses_cancel(struct ft_oai_error *e)
{
    return ft_oai_error_set(e, FT_EINVAL, "invalid_value", NULL,
                            "only responses that run in the background can be cancelled");
}

int ft_oai_responses_none(const char *id, struct ft_oai_error *e)
{
    return ft_oai_error_set(e, FT_ENOTFOUND, "not_found", NULL, "there is no response \"%.128s\"",
                            id);
}

void ft_oai_responses_no_previous(const struct ft_oai_responses *r, struct ft_oai_error *e)
{
    ft_oai_error_set(e, FT_EINVAL, "previous_response_not_found", "previous_response_id",
                     "previous_response_id: there is no response \"%.128s\"", r->previous);
}

void ft_oai_responses_count(struct ft_buf *out, int prompt_tokens)
{
    FT_OAI_LIT(out, "{\"object\":\"response.input_tokens\",\"input_tokens\":");
    ft_oai_write_int(out, prompt_tokens);
    ft_buf_add_byte(out, '}');
}
