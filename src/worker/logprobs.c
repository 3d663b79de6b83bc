/* See logprobs.h. A token may hold part of a character: its text has U+FFFD for such bytes, its
 * "bytes" are exact. */
#include "worker/logprobs.h"

#include "base/utf8.h"

#define TOKEN_TEXT_MAX 4096

static json_t *token_text(const struct ft_tokenizer *t, int32_t token)
{
    struct ft_buf out;
    size_t n;
    const char *s = ft_tokenizer_bytes(t, token, &n);
    size_t whole = ft_utf8_valid_len(s, n);
    if (whole == n)
        return json_stringn(s, n);
    ft_buf_init(&out, TOKEN_TEXT_MAX);
    for (size_t i = 0; i < n;) {
        int len = ft_utf8_decode(s + i, n - i, NULL);
        if (len > 0)
            ft_buf_add(&out, s + i, (size_t)len);
        else
            ft_buf_add_str(&out, "\xef\xbf\xbd");
        i += len > 0 ? (size_t)len : 1;
    }
    json_t *v = json_stringn(out.data != NULL ? out.data : "", out.len);
    ft_buf_fini(&out);
    return v;
}

/* JSON knows no infinity; OpenAI's least is this. */
static json_t *number(float logprob)
{
    return json_real(logprob > -9999.0f ? (double)logprob : -9999.0);
}

size_t ft_text_chars(const char *s, size_t n)
{
    size_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)s[i] & 0xc0) != 0x80;
    return chars;
}

static json_t *entry(const struct ft_tokenizer *t, int32_t token, float logprob)
{
    size_t n;
    const char *s = ft_tokenizer_bytes(t, token, &n);
    json_t *bytes = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(bytes, json_integer((unsigned char)s[i]));
    return json_pack("{s:o, s:o, s:o}", "token", token_text(t, token), "logprob", number(logprob),
                     "bytes", bytes);
}

json_t *ft_logprobs_chat(const struct ft_tokenizer *t, const struct ft_event *ev)
{
    json_t *one = entry(t, ev->token, ev->logprob), *top = json_array();
    for (int i = 0; i < ev->n_top; i++)
        json_array_append_new(top, entry(t, ev->top[i].token, ev->top[i].logprob));
    json_object_set_new(one, "top_logprobs", top);
    return json_pack("{s:[o], s:n}", "content", one, "refusal");
}

json_t *ft_logprobs_text(void)
{
    return json_pack("{s:[], s:[], s:[], s:[]}", "tokens", "token_logprobs", "top_logprobs",
                     "text_offset");
}

void ft_logprobs_text_add(json_t *lp, const struct ft_tokenizer *t, const struct ft_event *ev,
                          bool first, size_t offset)
{
    json_t *top = first ? json_null() : json_object();
    for (int i = 0; i < ev->n_top && !first; i++) {
        json_t *name = token_text(t, ev->top[i].token);
        json_object_set_new(top, json_string_value(name), number(ev->top[i].logprob));
        json_decref(name);
    }
    if (!first && ev->n_top > 0) { /* the token itself is always among them */
        json_t *name = token_text(t, ev->token);
        json_object_set_new(top, json_string_value(name), number(ev->logprob));
        json_decref(name);
    }
    json_array_append_new(json_object_get(lp, "tokens"), token_text(t, ev->token));
    json_array_append_new(json_object_get(lp, "token_logprobs"),
                          first ? json_null() : number(ev->logprob));
    json_array_append_new(json_object_get(lp, "top_logprobs"), top);
    json_array_append_new(json_object_get(lp, "text_offset"), json_integer((json_int_t)offset));
}
