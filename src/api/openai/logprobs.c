/* Log-probabilities of tokens in the forms of chat and of completions. */
#include <math.h>
#include <stdio.h>

#include "api/openai/json.h"
#include "api/openai/writer.h"

static void add_sum(const json_t *v, int *n, double *sum)
{
    if (json_is_number(v) && n != NULL) {
        ++*n;
        *sum += json_number_value(v);
    }
}

void ft_oai_logprobs_sum(const json_t *logprobs, int *n, double *sum)
{
    const json_t *content = json_object_get(logprobs, "content");
    const json_t *values = json_object_get(logprobs, "token_logprobs");
    for (size_t i = 0; i < json_array_size(content); i++)
        add_sum(json_object_get(json_array_get(content, i), "logprob"), n, sum);
    for (size_t i = 0; i < json_array_size(values); i++)
        add_sum(json_array_get(values, i), n, sum);
}

void ft_oai_logprobs_chat(struct ft_buf *out, const json_t *logprobs, int *n, double *sum)
{
    const json_t *content = json_object_get(logprobs, "content");
    for (size_t i = 0; i < json_array_size(content); i++) {
        if (*n > 0)
            ft_buf_add_byte(out, ',');
        ft_oai_json_dump_f32(json_array_get(content, i), out);
        add_sum(json_object_get(json_array_get(content, i), "logprob"), n, sum);
    }
}

/* ---- completions ---- */

void ft_oai_text_logprobs_init(struct ft_oai_text_logprobs *l)
{
    ft_buf_init(&l->tokens, FT_OAI_ANSWER_BYTES_MAX);
    ft_buf_init(&l->values, FT_OAI_ANSWER_BYTES_MAX);
    ft_buf_init(&l->top, FT_OAI_ANSWER_BYTES_MAX);
    ft_buf_init(&l->offsets, FT_OAI_ANSWER_BYTES_MAX);
    l->n = 0;
    l->sum = 0;
}

void ft_oai_text_logprobs_fini(struct ft_oai_text_logprobs *l)
{
    ft_buf_fini(&l->tokens);
    ft_buf_fini(&l->values);
    ft_buf_fini(&l->top);
    ft_buf_fini(&l->offsets);
}

/* Characters that begin in a token: its bytes but UTF-8's continuations. */
static int64_t characters(const json_t *token)
{
    const json_t *bytes = json_object_get(token, "bytes");
    int64_t n = 0;
    if (json_is_array(bytes)) {
        for (size_t i = 0; i < json_array_size(bytes); i++)
            n += (json_integer_value(json_array_get(bytes, i)) & 0xc0) != 0x80;
        return n;
    }
    const char *s = json_string_value(json_object_get(token, "token"));
    for (; s != NULL && *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void dump_or_null(const json_t *v, struct ft_buf *out)
{
    if (v == NULL)
        FT_OAI_LIT(out, "null");
    else
        ft_oai_json_dump_f32(v, out);
}

/* [{"token":T,"logprob":L},..] as {T:L,..}; of two tokens with one text the likelier is told. */
static void add_top(const json_t *top, struct ft_buf *out)
{
    json_t *map = json_object();
    for (size_t i = 0; i < json_array_size(top); i++) {
        const json_t *t = json_array_get(top, i);
        const json_t *token = json_object_get(t, "token");
        if (json_is_string(token) && json_object_get(map, json_string_value(token)) == NULL)
            json_object_set(map, json_string_value(token), json_object_get(t, "logprob"));
    }
    ft_oai_json_dump_f32(map, out);
    json_decref(map);
}

static void separate(struct ft_oai_text_logprobs *l)
{
    if (l->n++ == 0)
        return;
    ft_buf_add_byte(&l->tokens, ',');
    ft_buf_add_byte(&l->values, ',');
    ft_buf_add_byte(&l->top, ',');
    ft_buf_add_byte(&l->offsets, ',');
}

/* A server's own lists, its offsets too. */
static void add_lists(struct ft_oai_text_logprobs *l, const json_t *logprobs)
{
    const json_t *tokens = json_object_get(logprobs, "tokens");
    for (size_t i = 0; i < json_array_size(tokens); i++) {
        separate(l);
        const json_t *value = json_array_get(json_object_get(logprobs, "token_logprobs"), i);
        dump_or_null(json_array_get(tokens, i), &l->tokens);
        dump_or_null(value, &l->values);
        dump_or_null(json_array_get(json_object_get(logprobs, "top_logprobs"), i), &l->top);
        dump_or_null(json_array_get(json_object_get(logprobs, "text_offset"), i), &l->offsets);
        l->sum += json_number_value(value);
    }
}

void ft_oai_text_logprobs_add(struct ft_oai_text_logprobs *l, const json_t *logprobs,
                              int64_t *offset)
{
    const json_t *content = json_object_get(logprobs, "content");
    if (!json_is_array(content)) {
        add_lists(l, logprobs);
        return;
    }
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *t = json_array_get(content, i);
        const json_t *top = json_object_get(t, "top_logprobs");
        separate(l);
        dump_or_null(json_object_get(t, "token"), &l->tokens);
        dump_or_null(json_object_get(t, "logprob"), &l->values);
        if (json_array_size(top) > 0)
            add_top(top, &l->top);
        else
            FT_OAI_LIT(&l->top, "null");
        ft_oai_write_int(&l->offsets, *offset);
        *offset += characters(t);
        l->sum += json_number_value(json_object_get(t, "logprob"));
    }
}

static void add_list(const char *name, const struct ft_buf *list, struct ft_buf *out)
{
    ft_buf_add_str(out, name);
    ft_buf_add(out, list->data, list->len);
    if (list->failed != 0 && out->failed == 0)
        out->failed = list->failed;
}

void ft_oai_text_logprobs_write(const struct ft_oai_text_logprobs *l, struct ft_buf *out)
{
    add_list("{\"tokens\":[", &l->tokens, out);
    add_list("],\"token_logprobs\":[", &l->values, out);
    add_list("],\"top_logprobs\":[", &l->top, out);
    add_list("],\"text_offset\":[", &l->offsets, out);
    FT_OAI_LIT(out, "]}");
}
