/* See ask.h. */
#include "worker/ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "worker/calls.h"
#include "worker/forced.h"

#define PROMPT_BYTES_MAX (64u << 20)
#define CALL_MARK_MAX    1024
#define THINK_BEGIN      "<think>\n"

void ft_ask_fini(struct ft_ask *a)
{
    ft_buf_fini(&a->text);
    ft_buf_fini(&a->call_begin);
    ft_buf_fini(&a->call_end);
    free(a->ids);
    if (a->grammar != NULL)
        ft_grammar_unref(a->grammar);
    *a = (struct ft_ask){0};
}

static int no_memory(struct ft_oai_error *e)
{
    return ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "request: no memory");
}

/* An error of the parts below, told of a field of the request. */
static int field_error(struct ft_oai_error *e, const char *field, const struct ft_err *err)
{
    enum ft_code code = err->code == FT_EUNSUPPORTED ? FT_EINVAL : err->code;
    const char *name = err->code == FT_EUNSUPPORTED ? "unsupported_value" : NULL;
    return ft_oai_error_set(e, code, name, field, "%s: %s", field, err->msg);
}

/* ---- grammars ---- */

int ft_ask_format(const struct ft_oai_request *q, struct ft_grammar **ret, struct ft_oai_error *e)
{
    struct ft_err err = {0};
    const char *p = q->format_text.p;
    size_t n = q->format_text.n;
    int rc = 0;
    switch (q->format) {
    case FT_OAI_FORMAT_TEXT:
        return 0;
    case FT_OAI_FORMAT_JSON:
        rc = ft_grammar_json_object(ret, &err);
        break;
    case FT_OAI_FORMAT_SCHEMA:
        rc = ft_grammar_from_schema(p, n, ret, &err);
        break;
    case FT_OAI_FORMAT_REGEX:
        rc = ft_grammar_from_regex(p, n, ret, &err);
        break;
    case FT_OAI_FORMAT_GBNF:
        rc = ft_grammar_from_gbnf(p, n, ret, &err);
        break;
    }
    return rc == 0 ? 0 : field_error(e, "response_format", &err);
}

static int forced_grammar(const struct ft_oai_request *q, struct ft_ask *a, struct ft_oai_error *e)
{
    struct ft_err err = {0};
    json_t *schema = NULL;
    const char *name = q->choose == FT_OAI_CHOOSE_NAMED ? q->tool_name : NULL;
    int rc = ft_forced_call(q->tools, name, &a->call_begin, &a->call_end, &schema, &err);
    char *text = rc == 0 ? json_dumps(schema, JSON_COMPACT) : NULL;
    json_decref(schema);
    if (rc == 0)
        rc = text != NULL ? ft_grammar_from_schema(text, strlen(text), &a->grammar, &err)
                          : ft_err_set(&err, FT_ENOMEM, "no memory");
    free(text);
    return rc == 0 ? 0 : field_error(e, "tools", &err);
}

static void calls_format(const struct ft_oai_request *q, struct ft_calls_config *c)
{
    static const enum ft_layout_op op[] = {[FT_OAI_FORMAT_JSON] = FT_LAYOUT_SCHEMA,
                                           [FT_OAI_FORMAT_SCHEMA] = FT_LAYOUT_SCHEMA,
                                           [FT_OAI_FORMAT_REGEX] = FT_LAYOUT_REGEX,
                                           [FT_OAI_FORMAT_GBNF] = FT_LAYOUT_GBNF};
    if (q->format == FT_OAI_FORMAT_TEXT)
        return;
    c->format = op[q->format];
    c->format_text = q->format == FT_OAI_FORMAT_JSON
                         ? (struct ft_slice){FT_ANY_OBJECT, sizeof FT_ANY_OBJECT - 1}
                         : q->format_text;
}

/* Calls that the model makes by itself. */
static int calls_grammar(const struct ft_oai_request *q, struct ft_ask *a, struct ft_oai_error *e)
{
    struct ft_err err = {0};
    char field[FT_CALLS_FIELD_BYTES];
    struct ft_calls_config c = {.dialect = a->dialect,
                                .tools = q->tools,
                                .control = a->keep_control,
                                .reasons = a->reasons};
    calls_format(q, &c);
    int rc = ft_calls_grammar(&c, field, &a->grammar, &err);
    return rc == 0 ? 0 : field_error(e, field, &err);
}

/* What the answer is kept to; the prompt is rendered. */
static int make_grammar(const struct ft_oai_request *q, bool tools, struct ft_ask *a,
                        struct ft_oai_error *e)
{
    bool formatted = q->format != FT_OAI_FORMAT_TEXT;
    if (tools && q->choose != FT_OAI_CHOOSE_AUTO) /* the call comes, so there is no content */
        return forced_grammar(q, a, e);
    if (!tools || a->dialect == FT_DIALECT_PLAIN) /* none can be made */
        return ft_ask_format(q, &a->grammar, e);
    if (!formatted && !ft_calls_any_strict(q->tools))
        return 0;
    a->bound = formatted ? FT_CHAT_BOUND_ANSWER : FT_CHAT_BOUND_CALLS;
    return calls_grammar(q, a, e);
}

/* ---- prompts ---- */

/* The messages in the template's shape: calls' arguments as it takes them. */
static json_t *template_messages(const struct ft_lodger_model *m, const struct ft_oai_request *q,
                                 bool tools, struct ft_oai_error *e)
{
    size_t i;
    json_t *message, *list = json_array();
    json_array_foreach(q->messages, i, message)
    {
        struct ft_err err = {0};
        bool calls = json_object_get(message, "tool_calls") != NULL;
        json_t *own = calls ? json_deep_copy(message) : json_incref(message);
        int rc = own != NULL ? 0 : ft_err_set(&err, FT_ENOMEM, "no memory");
        if (rc == 0 && calls)
            rc = ft_prompter_fix_calls(m->prompter, tools, own, &err);
        if (rc != 0) {
            char field[64];
            snprintf(field, sizeof field, "messages[%zu]", i);
            json_decref(own);
            json_decref(list);
            field_error(e, field, &err);
            return NULL;
        }
        json_array_append_new(list, own);
    }
    if (list == NULL)
        no_memory(e);
    return list;
}

static int render(const struct ft_lodger *l, const struct ft_oai_request *q, bool tools,
                  enum ft_oai_think think, struct ft_buf *out, struct ft_oai_error *e)
{
    struct ft_err err = {0};
    json_t *messages = template_messages(l->m, q, tools, e);
    if (messages == NULL)
        return e->err.code;
    json_t *vars = json_pack("{s:o, s:b}", "messages", messages, "add_generation_prompt", 1);
    if (vars == NULL)
        return no_memory(e);
    if (tools)
        json_object_set(vars, "tools", (json_t *)q->tools);
    if (think != FT_OAI_THINK_DEFAULT)
        json_object_set_new(vars, "enable_thinking", json_boolean(think == FT_OAI_THINK_ON));
    if (q->effort != NULL)
        json_object_set_new(vars, "reasoning_effort", json_string(q->effort));
    if (q->template_kwargs != NULL)
        json_object_update_missing(vars, (json_t *)q->template_kwargs);
    int rc = ft_prompter_render(l->m->prompter, vars, ft_clock_wall_s(), out, &err);
    json_decref(vars);
    return rc == 0 ? 0 : field_error(e, "messages", &err);
}

static int finish_prompt(const struct ft_lodger *l, const struct ft_oai_request *q,
                         struct ft_ask *a, struct ft_oai_error *e)
{
    struct ft_err err = {0};
    bool constrained = a->grammar != NULL && a->bound != FT_CHAT_BOUND_CALLS;
    if (constrained && !a->reasons && q->think == FT_OAI_THINK_ON && l->m->thinks) {
        ft_buf_add_str(&a->text, THINK_BEGIN); /* such models write it themselves */
        a->reasons = true;
    }
    if (a->call_begin.len > 0 && !a->reasons && a->dialect == FT_DIALECT_HERMES)
        ft_buf_add(&a->text, a->call_begin.data, a->call_begin.len);
    if (a->text.failed != 0)
        return ft_oai_error_set(e, FT_ELIMIT, "context_length_exceeded", "messages",
                                "The messages are longer than %u bytes.", PROMPT_BYTES_MAX);
    int rc = ft_prompt_encode(l->m->source->tokenizer, a->text.len > 0 ? a->text.data : "",
                              a->text.len, &a->ids, &a->n_ids, &err);
    if (rc == 0 && a->n_ids == 0)
        rc = ft_err_set(&err, FT_EINVAL, "the model's template makes nothing of them");
    return rc == 0 ? 0 : field_error(e, "messages", &err);
}

int ft_ask_chat(const struct ft_lodger *l, const struct ft_oai_request *q, bool grammar,
                struct ft_ask *ret, struct ft_oai_error *e)
{
    if (l->m->prompter == NULL)
        return ft_oai_error_set(e, FT_EINVAL, NULL, "model",
                                "The model `%s` has no chat template: /v1/completions takes it.",
                                l->name);
    struct ft_ask a = {0};
    bool tools = q->choose != FT_OAI_CHOOSE_NONE && json_array_size(q->tools) > 0;
    bool forced = tools && q->choose != FT_OAI_CHOOSE_AUTO;
    a.dialect = tools ? l->m->dialect_tools : l->m->dialect;
    ft_buf_init(&a.text, PROMPT_BYTES_MAX);
    ft_buf_init(&a.call_begin, CALL_MARK_MAX);
    ft_buf_init(&a.call_end, CALL_MARK_MAX);
    a.keep_control = tools && q->choose == FT_OAI_CHOOSE_AUTO && a.dialect >= FT_DIALECT_LLAMA3;
    enum ft_oai_think think = q->think;
    if (think == FT_OAI_THINK_DEFAULT && (forced || q->format != FT_OAI_FORMAT_TEXT))
        think = FT_OAI_THINK_OFF;
    int rc = render(l, q, tools, think, &a.text, e);
    a.reasons = ft_chat_opens_reasoning(a.text.data, a.text.len);
    if (rc == 0 && grammar)
        rc = make_grammar(q, tools, &a, e);
    if (rc == 0)
        rc = finish_prompt(l, q, &a, e);
    if (rc != 0) {
        ft_ask_fini(&a);
        return rc;
    }
    *ret = a;
    return 0;
}

int ft_ask_input(const struct ft_lodger *l, const struct ft_oai_input *in, const char *field,
                 bool eos, int32_t **ids, size_t *n_ids, struct ft_oai_error *e)
{
    struct ft_err err = {0};
    int32_t *got = NULL;
    size_t n = 0;
    int rc = 0;
    if (in->ids != NULL) {
        n = in->n_ids;
        got = calloc(n > 0 ? n : 1, sizeof *got);
        if (got == NULL)
            return no_memory(e);
        for (size_t i = 0; i < n; i++)
            got[i] = (int32_t)json_integer_value(json_array_get(in->ids, i));
    } else {
        rc = ft_tokenizer_encode(l->m->source->tokenizer, in->text.p, in->text.n,
                                 FT_TOK_BOS | (eos ? FT_TOK_EOS : 0), &got, &n, &err);
    }
    int n_vocab = l->m->source->hp.n_vocab;
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (got[i] < 0 || got[i] >= n_vocab)
            rc = ft_err_set(&err, FT_EINVAL, "token %d is outside the vocabulary of %d", got[i],
                            n_vocab);
    if (rc == 0 && n == 0)
        rc = ft_err_set(&err, FT_EINVAL, "empty, and the model begins texts with no token");
    if (rc != 0) {
        free(got);
        return field_error(e, field, &err);
    }
    *ids = got;
    *n_ids = n;
    return 0;
}

int ft_ask_check_length(const struct ft_lodger *l, const char *field, size_t n, size_t more,
                        struct ft_oai_error *e)
{
    size_t n_ctx = (size_t)l->m->source->n_ctx;
    if (n + more <= n_ctx)
        return 0;
    return ft_oai_error_set(e, FT_ELIMIT, "context_length_exceeded", field,
                            "This model's maximum context length is %zu tokens. However, your %s "
                            "resulted in %zu tokens. Please reduce its length.",
                            n_ctx, field, n);
}

/* ---- the engine's request ---- */

static void sampling_of(const struct ft_lodger *l, const struct ft_oai_request *q,
                        struct ft_sampling *s)
{
    const struct ft_sampling *own = &l->m->sampling;
    unsigned set = q->set;
    s->temperature = set & FT_OAI_SET_TEMPERATURE ? q->temperature : own->temperature;
    s->top_k = set & FT_OAI_SET_TOP_K ? q->top_k : own->top_k;
    s->top_p = set & FT_OAI_SET_TOP_P ? q->top_p : own->top_p;
    s->min_p = set & FT_OAI_SET_MIN_P ? q->min_p : own->min_p;
    s->typical_p = set & FT_OAI_SET_TYPICAL_P ? q->typical_p : own->typical_p;
    s->repetition_penalty =
        set & FT_OAI_SET_REPETITION_PENALTY ? q->repetition_penalty : own->repetition_penalty;
    s->presence_penalty = q->presence_penalty;
    s->frequency_penalty = q->frequency_penalty;
    s->seed = q->seed;
    if (!(set & FT_OAI_SET_SEED))
        (void)!getentropy(&s->seed, sizeof s->seed); /* cannot fail for so few bytes */
}

void ft_ask_request(const struct ft_lodger *l, const struct ft_oai_request *q,
                    struct ft_logit_bias *bias, struct ft_request *ret)
{
    struct ft_request *r = ret;
    ft_request_init(r);
    r->model = l->base;
    r->adapter = l->adapter[0] != '\0' ? l->adapter : NULL;
    r->n = q->n;
    r->max_tokens = q->max_tokens;
    r->min_tokens = q->min_tokens;
    sampling_of(l, q, &r->sampling);
    for (int i = 0; i < q->n_bias; i++)
        bias[i] = (struct ft_logit_bias){q->bias[i].token, q->bias[i].bias};
    r->sampling.bias = bias;
    r->sampling.n_bias = q->n_bias;
    r->stop = q->stop;
    r->n_stop = q->n_stop;
    r->stop_token = q->stop_id;
    r->n_stop_token = q->n_stop_id;
    r->ignore_eos = q->ignore_eos;
    r->logprobs = q->logprobs;
    r->n_top = q->logprobs ? q->n_top : 0;
    if (!q->inner.present)
        return;
    r->caller = (struct ft_slice){q->inner.caller, strlen(q->inner.caller)};
    r->salt = (struct ft_slice){q->inner.salt, strlen(q->inner.salt)};
    r->caller_weight = q->inner.weight;
    r->priority = q->inner.priority;
}
