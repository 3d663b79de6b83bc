/* From a conversation to what a model is given. */
#include "model/prompt/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "model/jinja/template.h"

#define PROBE_BYTES_MAX (16u << 20)

struct ft_prompter {
    const struct ft_tokenizer *tokenizer;
    struct side {
        struct ft_template *template;
        bool as_text;           /* takes the arguments of calls as a string */
        bool no_null;           /* takes no content as "", not as null */
    } plain, tools;             /* tools.template NULL: the model has one template */
    struct ft_template *tojson; /* writes arguments as templates do */
};

int ft_prompt_template_text(const struct ft_weights *w, bool tools, struct ft_slice *ret,
                            struct ft_err *err)
{
    if (tools && ft_meta_str(w, "tokenizer.chat_template.tool_use", ret))
        return 0;
    if (ft_meta_str(w, "tokenizer.chat_template", ret) ||
        ft_meta_str(w, "tokenizer.chat_template.default", ret))
        return 0;
    return ft_err_set(err, FT_ENOTFOUND, "%s has no chat template (tokenizer.chat_template)",
                      ft_weights_path(w));
}

static int token_set(const struct ft_tokenizer *t, json_t *vars, const char *name, int32_t id,
                     struct ft_err *err)
{
    if (id < 0 || json_object_get(vars, name) != NULL)
        return 0;
    size_t n;
    const char *p = ft_tokenizer_bytes(t, id, &n);
    json_t *text = json_stringn(p, n); /* NULL as well for bytes that are no UTF-8 */
    if (text == NULL || json_object_set_new(vars, name, text) != 0)
        return ft_err_set(err, FT_ECORRUPT, "%s of the model is not valid text", name);
    return 0;
}

int ft_prompt_vars(const struct ft_tokenizer *t, json_t *vars, struct ft_err *err)
{
    int rc = token_set(t, vars, "bos_token", ft_tokenizer_bos(t), err);
    return rc != 0 ? rc : token_set(t, vars, "eos_token", ft_tokenizer_eos(t), err);
}

int ft_prompt_encode(const struct ft_tokenizer *t, const char *text, size_t n, int32_t **ids,
                     size_t *n_ids, struct ft_err *err)
{
    unsigned flags = FT_TOK_SPECIAL | FT_TOK_BOS;
    size_t bos_n = 0;
    int32_t bos_id = ft_tokenizer_bos(t);
    const char *bos = bos_id >= 0 ? ft_tokenizer_bytes(t, bos_id, &bos_n) : NULL;
    if (bos_n > 0 && n >= bos_n && memcmp(text, bos, bos_n) == 0)
        flags &= ~FT_TOK_BOS;
    return ft_tokenizer_encode(t, text, n, flags, ids, n_ids, err);
}

/* ---- prompter ---- */

/* Does the template write a call as JSON or tags, when content and arguments are given so? One that
 * takes strings only fails on an object, loses it or shows it as Python would; one that takes
 * objects turns a string into a quoted one. Some fail on content that is null, some write no call
 * unless it is. */
static bool writes_call(const struct ft_prompter *p, const struct ft_template *t,
                        json_t *arguments /* stolen */, json_t *content /* stolen */)
{
    struct ft_err err;
    struct ft_buf out;
    json_t *vars = json_pack(
        "{s:[{s:s, s:s}, {s:s, s:o, s:[{s:s, s:s, s:{s:s, s:o}}]}, {s:s, s:s, s:s}], s:b}",
        "messages", "role", "user", "content", "hi", "role", "assistant", "content", content,
        "tool_calls", "id", "call00000", "type", "function", "function", "name", "probe",
        "arguments", arguments, "role", "tool", "tool_call_id", "call00000", "content", "result",
        "add_generation_prompt", 0);
    ft_buf_init(&out, PROBE_BYTES_MAX);
    bool ok = vars != NULL && ft_prompt_vars(p->tokenizer, vars, &err) == 0 &&
              ft_template_render(t, vars, 0, &out, &err) == 0 && out.len > 0 &&
              strstr(out.data, "needle") != NULL && strstr(out.data, "\\\"needle") == NULL &&
              strstr(out.data, "'needle'") == NULL;
    ft_buf_fini(&out);
    json_decref(vars);
    return ok;
}

static int side_open(struct ft_prompter *p, struct side *s, const char *text, size_t n,
                     struct ft_err *err)
{
    int rc = ft_template_open(text, n, &s->template, err);
    if (rc != 0)
        return ft_err_wrap(err, "chat template");
    s->no_null = true;            /* of templates that know no calls: they join what is there */
    for (int i = 0; i < 4; i++) { /* objects and null where more than one way is right */
        bool as_text = (i & 1) != 0, no_null = (i & 2) != 0;
        if (!writes_call(p, s->template,
                         as_text ? json_string("{\"needle\": \"x\"}")
                                 : json_pack("{s:s}", "needle", "x"),
                         no_null ? json_string("") : json_null()))
            continue;
        s->as_text = as_text;
        s->no_null = no_null;
        break;
    }
    return 0;
}

static int prompter_new(const struct ft_tokenizer *t, struct ft_prompter **ret, struct ft_err *err)
{
    struct ft_prompter *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ft_err_set(err, FT_ENOMEM, "chat template: no memory");
    p->tokenizer = t;
    int rc = ft_template_open("{{ x | tojson }}", 16, &p->tojson, err);
    if (rc != 0) {
        ft_prompter_close(p);
        return rc;
    }
    *ret = p;
    return 0;
}

static int opened(struct ft_prompter *p, int rc, struct ft_prompter **ret_p)
{
    if (rc != 0)
        ft_prompter_close(p);
    else
        *ret_p = p;
    return rc;
}

int ft_prompter_open(const struct ft_weights *w, const struct ft_tokenizer *t,
                     struct ft_prompter **ret_p, struct ft_err *err)
{
    struct ft_slice text, tools;
    struct ft_prompter *p = NULL;
    int rc = ft_prompt_template_text(w, false, &text, err);
    if (rc == 0)
        rc = prompter_new(t, &p, err);
    if (rc == 0)
        rc = side_open(p, &p->plain, text.p, text.n, err);
    if (rc == 0 && ft_prompt_template_text(w, true, &tools, NULL) == 0 && tools.p != text.p)
        rc = side_open(p, &p->tools, tools.p, tools.n, err);
    return opened(p, rc, ret_p);
}

int ft_prompter_open_text(const char *text, size_t n, const struct ft_tokenizer *t,
                          struct ft_prompter **ret_p, struct ft_err *err)
{
    struct ft_prompter *p = NULL;
    int rc = prompter_new(t, &p, err);
    if (rc == 0)
        rc = side_open(p, &p->plain, text, n, err);
    return opened(p, rc, ret_p);
}

void ft_prompter_close(struct ft_prompter *p)
{
    if (p == NULL)
        return;
    ft_template_close(p->plain.template);
    ft_template_close(p->tools.template);
    ft_template_close(p->tojson);
    free(p);
}

static const struct side *side_for(const struct ft_prompter *p, bool tools)
{
    return tools && p->tools.template != NULL ? &p->tools : &p->plain;
}

int ft_prompter_render(const struct ft_prompter *p, json_t *vars, int64_t now, struct ft_buf *out,
                       struct ft_err *err)
{
    bool tools = json_array_size(json_object_get(vars, "tools")) > 0;
    int rc = ft_prompt_vars(p->tokenizer, vars, err);
    if (rc == 0)
        rc = ft_template_render(side_for(p, tools)->template, vars, now, out, err);
    return rc != 0 ? ft_err_wrap(err, "chat template") : 0;
}

/* A call's arguments as an object, whichever they are; a new reference, NULL if they are neither.
 */
static json_t *arguments_object(json_t *a)
{
    if (json_is_object(a))
        return json_incref(a);
    json_t *o =
        json_is_string(a) ? json_loadb(json_string_value(a), json_string_length(a), 0, NULL) : NULL;
    if (o != NULL && !json_is_object(o)) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

/* JSON text of an object, a new reference; NULL if there is none. */
static json_t *arguments_text(const struct ft_prompter *p, json_t *object)
{
    struct ft_err err;
    struct ft_buf out;
    json_t *text = NULL, *vars = json_pack("{s:O}", "x", object);
    ft_buf_init(&out, PROBE_BYTES_MAX);
    if (vars != NULL && ft_template_render(p->tojson, vars, 0, &out, &err) == 0)
        text = json_stringn(out.data, out.len);
    ft_buf_fini(&out);
    json_decref(vars);
    return text;
}

static int fix_call(const struct ft_prompter *p, json_t *call, bool as_text)
{
    json_t *f = json_object_get(call, "function"), *a = json_object_get(f, "arguments");
    json_t *object = arguments_object(a);
    if (object == NULL)
        return -1;
    json_t *fixed = !as_text            ? json_incref(object)
                    : json_is_string(a) ? json_incref(a)
                                        : arguments_text(p, object);
    json_decref(object);
    return fixed == NULL ? -1 : json_object_set_new(f, "arguments", fixed);
}

int ft_prompter_fix_calls(const struct ft_prompter *p, bool tools, json_t *message,
                          struct ft_err *err)
{
    const struct side *s = side_for(p, tools);
    json_t *calls = json_object_get(message, "tool_calls"), *call;
    size_t i;
    json_array_foreach(calls, i, call) if (fix_call(p, call, s->as_text) != 0) return ft_err_set(
        err, FT_EINVAL, "tool_calls[%zu].function.arguments is not a JSON object", i);
    json_t *content = json_object_get(message, "content");
    if (json_array_size(calls) == 0 || (content != NULL && !json_is_null(content)))
        return 0;
    return json_object_set_new(message, "content", s->no_null ? json_string("") : json_null()) == 0
               ? 0
               : ft_err_set(err, FT_ENOMEM, "content: no memory");
}
