/* A line of JSONL: which form it has, and the forms that are made of strings. Messages are checked
 * in messages.c and rendered in chat.c. */
#include <string.h>

#include "base/utf8.h"
#include "train/data/impl.h"

#define RENDERED_MAX ((size_t)256 << 20) /* bytes of a rendered conversation */

void ft_line_reader_init(struct ft_line_reader *r, const struct ft_data_config *cfg)
{
    *r = (struct ft_line_reader){.cfg = *cfg};
    ft_buf_init(&r->context, RENDERED_MAX);
    ft_buf_init(&r->whole, RENDERED_MAX);
    ft_buf_init(&r->before, RENDERED_MAX);
    ft_buf_init(&r->answer, RENDERED_MAX);
    for (int id = 0; id < ft_tokenizer_size(cfg->tokenizer); id++) {
        size_t n;
        const char *p = ft_tokenizer_bytes(cfg->tokenizer, id, &n);
        if (n > 0 && ft_tokenizer_is_control(cfg->tokenizer, id))
            r->control_byte[(unsigned char)p[0]] = true;
    }
}

void ft_line_reader_fini(struct ft_line_reader *r)
{
    ft_buf_fini(&r->context);
    ft_buf_fini(&r->whole);
    ft_buf_fini(&r->before);
    ft_buf_fini(&r->answer);
}

/* ---- strings ---- */

static int want_string(json_t *line, const char *name, json_t **ret, struct ft_err *err)
{
    json_t *v = json_object_get(line, name);
    if (v == NULL)
        return ft_err_set(err, FT_EINVAL, "%s is missing", name);
    if (!json_is_string(v))
        return ft_err_set(err, FT_EINVAL, "%s is not a string", name);
    *ret = v;
    return 0;
}

static unsigned special(const struct ft_line_reader *r)
{
    return r->cfg.special_text ? FT_TOK_SPECIAL : 0;
}

/* The text that begins a sequence. */
static int encode_first(const struct ft_line_reader *r, struct ft_draft *d, const char *p, size_t n,
                        bool loss, struct ft_err *err)
{
    const struct ft_tokenizer *t = r->cfg.tokenizer;
    int rc = r->cfg.special_text ? ft_draft_encode_prompt(d, t, p, n, err)
                                 : ft_draft_encode(d, t, p, n, FT_TOK_BOS, false, err);
    if (rc == 0 && loss && d->n > 0)
        memset(d->loss + 1, 1, d->n - 1);
    return rc;
}

/* The model is to stop after what it has learnt to say. */
static int push_end(const struct ft_line_reader *r, struct ft_draft *d, struct ft_err *err)
{
    const struct ft_tokenizer *t = r->cfg.tokenizer;
    int32_t eos = ft_tokenizer_eos(t);
    if (eos < 0 || (d->n > 0 && ft_tokenizer_is_eog(t, d->token[d->n - 1])))
        return 0;
    return ft_draft_push(d, eos, d->n > 0, err);
}

static int read_strings(struct ft_line_reader *r, json_t *line, const char *answer_name,
                        struct ft_drafts *out, struct ft_err *err)
{
    json_t *prompt, *answer;
    int rc = want_string(line, "prompt", &prompt, err);
    if (rc == 0)
        rc = want_string(line, answer_name, &answer, err);
    if (rc != 0)
        return rc;
    if (json_string_length(answer) == 0)
        return ft_err_set(err, FT_EINVAL, "%s is empty", answer_name);
    struct ft_draft *d = ft_drafts_add(out);
    if (d == NULL)
        return ft_err_set(err, FT_ENOMEM, "a sample: no memory");
    rc = encode_first(r, d, json_string_value(prompt), json_string_length(prompt), false, err);
    unsigned flags = special(r) | (json_string_length(prompt) > 0 ? FT_TOK_CONTINUE : 0);
    if (rc == 0)
        rc = ft_draft_encode(d, r->cfg.tokenizer, json_string_value(answer),
                             json_string_length(answer), flags, true, err);
    return rc != 0 ? rc : push_end(r, d, err);
}

int ft_line_read_text(struct ft_line_reader *r, const char *text, size_t n, struct ft_drafts *ret,
                      struct ft_err *err)
{
    struct ft_draft *d = ft_drafts_add(ret);
    if (d == NULL)
        return ft_err_set(err, FT_ENOMEM, "a sample: no memory");
    ret->form = FT_DATA_TEXT;
    int rc = encode_first(r, d, text, n, true, err);
    return rc != 0 ? rc : push_end(r, d, err);
}

static int read_text(struct ft_line_reader *r, json_t *line, struct ft_drafts *out,
                     struct ft_err *err)
{
    json_t *text;
    int rc = want_string(line, "text", &text, err);
    if (rc != 0)
        return rc;
    if (json_string_length(text) == 0)
        return ft_err_set(err, FT_EINVAL, "text is empty");
    return ft_line_read_text(r, json_string_value(text), json_string_length(text), out, err);
}

/* ---- messages ---- */

/* A conversation of two lists: what is given, and what is to be learnt. */
static int read_continued(struct ft_line_reader *r, json_t *tools_of, json_t *given,
                          const char *given_path, json_t *answer, const char *answer_path,
                          struct ft_drafts *out, struct ft_err *err)
{
    struct ft_conversation c;
    const char *tools_path = strncmp(given_path, "input.", 6) == 0 ? "input." : "";
    int rc = ft_conversation_init(&c, err);
    if (rc == 0)
        rc = ft_conversation_tools(&c, r, tools_of, tools_path, err);
    if (rc == 0)
        rc = ft_conversation_add(&c, r, given, given_path, answer == NULL, err);
    if (rc == 0 && answer != NULL)
        rc = ft_conversation_add(&c, r, answer, answer_path, true, err);
    if (rc == 0)
        rc = ft_conversation_read(&c, r, out, err);
    ft_conversation_fini(&c);
    return rc;
}

/* One half of a pair is one sample. */
static int read_half(struct ft_line_reader *r, json_t *tools_of, json_t *given,
                     const char *given_path, json_t *answer, const char *answer_path,
                     struct ft_drafts *out, struct ft_err *err)
{
    int n = out->n;
    if (answer == NULL)
        return ft_err_set(err, FT_EINVAL, "%s is missing", answer_path);
    int rc = read_continued(r, tools_of, given, given_path, answer, answer_path, out, err);
    if (rc == 0 && out->n != n + 1)
        rc = ft_err_set(err, FT_EINVAL,
                        "%s: the chat template rewrites earlier turns, so more than one answer "
                        "cannot be compared",
                        answer_path);
    return rc;
}

/* Where chosen and rejected are whole conversations: what both begin with. */
static json_t *common_prompt(json_t *chosen, json_t *rejected)
{
    json_t *prompt = json_array(), *m;
    size_t i;
    json_array_foreach(chosen, i, m)
    {
        json_t *other = json_array_get(rejected, i);
        bool answer = i + 1 == json_array_size(chosen) || i + 1 == json_array_size(rejected);
        if (answer || !json_equal(m, other) || json_array_append(prompt, m) != 0)
            break;
    }
    return prompt;
}

static json_t *without_first(json_t *list, size_t n)
{
    json_t *rest = json_array();
    for (size_t i = n; i < json_array_size(list); i++)
        json_array_append(rest, json_array_get(list, i));
    return rest;
}

static int read_whole_pair(struct ft_line_reader *r, json_t *line, json_t *chosen, json_t *rejected,
                           struct ft_drafts *out, struct ft_err *err)
{
    json_t *prompt = common_prompt(chosen, rejected);
    size_t n = json_array_size(prompt);
    json_t *a = without_first(chosen, n), *b = without_first(rejected, n);
    int rc = n == 0
                 ? ft_err_set(err, FT_EINVAL,
                              json_object_get(line, "prompt") == NULL
                                  ? "prompt is missing, and chosen and rejected begin differently"
                                  : "chosen and rejected begin differently: they are whole "
                                    "conversations where prompt is a string")
                 : 0;
    if (rc == 0)
        rc = read_half(r, line, prompt, "chosen", a, "the end of chosen", out, err);
    if (rc == 0)
        rc = read_half(r, line, prompt, "rejected", b, "the end of rejected", out, err);
    json_decref(prompt);
    json_decref(a);
    json_decref(b);
    return rc;
}

static int read_pair(struct ft_line_reader *r, json_t *line, struct ft_drafts *out,
                     struct ft_err *err)
{
    json_t *prompt = json_object_get(line, "prompt");
    json_t *chosen = json_object_get(line, "chosen"), *rejected = json_object_get(line, "rejected");
    if (json_is_array(chosen) && json_is_array(rejected) && !json_is_array(prompt))
        return read_whole_pair(r, line, chosen, rejected, out, err);
    if (json_is_array(prompt)) {
        int rc = read_half(r, line, prompt, "prompt", chosen, "chosen", out, err);
        return rc != 0 ? rc : read_half(r, line, prompt, "prompt", rejected, "rejected", out, err);
    }
    int rc = read_strings(r, line, "chosen", out, err);
    return rc != 0 ? rc : read_strings(r, line, "rejected", out, err);
}

static int read_pair_openai(struct ft_line_reader *r, json_t *line, struct ft_drafts *out,
                            struct ft_err *err)
{
    json_t *input = json_object_get(line, "input");
    json_t *given = json_object_get(input, "messages");
    if (!json_is_object(input))
        return ft_err_set(err, FT_EINVAL, "input is not an object");
    int rc = read_half(r, input, given, "input.messages", json_object_get(line, "preferred_output"),
                       "preferred_output", out, err);
    if (rc == 0)
        rc = read_half(r, input, given, "input.messages",
                       json_object_get(line, "non_preferred_output"), "non_preferred_output", out,
                       err);
    return rc;
}

/* ---- forms ---- */

static bool has(json_t *line, const char *name)
{
    return json_object_get(line, name) != NULL;
}

static int find_form(const struct ft_line_reader *r, json_t *line, enum ft_data_form *ret,
                     struct ft_err *err)
{
    bool pair = has(line, "preferred_output") || has(line, "chosen");
    bool plain = has(line, "messages") || has(line, "completion") || has(line, "text");
    if (r->cfg.form != FT_DATA_AUTO)
        *ret = r->cfg.form;
    else if (r->cfg.kind == FT_DATA_PREFERENCE && pair)
        *ret = has(line, "preferred_output") ? FT_DATA_PAIR_OPENAI : FT_DATA_PAIR;
    else if (r->cfg.kind == FT_DATA_PREFERENCE)
        return ft_err_set(err, FT_EINVAL,
                          "no preference pair: prompt, chosen and rejected are wanted, or input, "
                          "preferred_output and non_preferred_output");
    else if (plain)
        *ret = has(line, "messages")     ? FT_DATA_CHAT
               : has(line, "completion") ? FT_DATA_PROMPT
                                         : FT_DATA_TEXT;
    else
        return ft_err_set(err, FT_EINVAL, "%s: messages, prompt and completion, or text are wanted",
                          pair ? "a preference pair" : "an unknown form");
    return 0;
}

static int read_form(struct ft_line_reader *r, json_t *line, enum ft_data_form form,
                     struct ft_drafts *ret, struct ft_err *err)
{
    switch (form) {
    case FT_DATA_CHAT:
        return read_continued(r, line, json_object_get(line, "messages"), "messages", NULL, NULL,
                              ret, err);
    case FT_DATA_PROMPT:
        if (!json_is_array(json_object_get(line, "prompt")))
            return read_strings(r, line, "completion", ret, err);
        if (!has(line, "completion"))
            return ft_err_set(err, FT_EINVAL, "completion is missing");
        return read_continued(r, line, json_object_get(line, "prompt"), "prompt",
                              json_object_get(line, "completion"), "completion", ret, err);
    case FT_DATA_TEXT:
        return read_text(r, line, ret, err);
    case FT_DATA_PAIR:
        return read_pair(r, line, ret, err);
    case FT_DATA_PAIR_OPENAI:
        return read_pair_openai(r, line, ret, err);
    default:
        return ft_err_set(err, FT_EINTERNAL, "form %d", (int)form);
    }
}

/* Writers whose lines all have the same columns put null where there is nothing. */
void ft_line_drop_nulls(json_t *object, const char *except)
{
    const char *key;
    json_t *v;
    void *next;
    json_object_foreach_safe(object, next, key, v) if (json_is_null(v) && strcmp(key, except) != 0)
        json_object_del(object, key);
}

int ft_line_read_json(struct ft_line_reader *r, json_t *line, struct ft_drafts *ret,
                      struct ft_err *err)
{
    enum ft_data_form form = FT_DATA_AUTO;
    if (!json_is_object(line))
        return ft_err_set(err, FT_EINVAL, "not a JSON object");
    ft_line_drop_nulls(line, "");
    ft_line_drop_nulls(json_object_get(line, "input"), "");
    int rc = find_form(r, line, &form, err);
    if (rc == 0)
        rc = read_form(r, line, form, ret, err);
    ret->form = form;
    return rc;
}

int ft_line_read(struct ft_line_reader *r, const char *text, size_t n, struct ft_drafts *ret,
                 struct ft_err *err)
{
    json_error_t e;
    size_t valid = ft_utf8_valid_len(text, n);
    if (valid < n)
        return ft_err_set(err, FT_EINVAL, "byte %zu is not UTF-8", valid + 1);
    json_t *line = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (line == NULL)
        return ft_err_set(err, FT_EINVAL, "not JSON: %s, byte %d", e.text, e.position);
    int rc = ft_line_read_json(r, line, ret, err);
    json_decref(line);
    return rc;
}
