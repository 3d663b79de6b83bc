/* Bodies into requests: one table of every member of every route, its type, range and place; then
 * what members demand of each other. */
#include "api/openai/request.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "api/openai/json.h"
#include "api/openai/parts.h"

#define TEXT_TOKENS_DEFAULT 16    /* completions' max_tokens, as OpenAI has it */
#define TOP_P_LEAST         1e-6f /* what top_p 0 means: the most likely token alone */

struct parse {
    struct ft_oai_request q;
    enum ft_oai_mode mode;
    struct ft_oai_error *e;
    int64_t max_completion_tokens; /* 0: absent */
};
typedef int member_fn(struct parse *p, json_t *v, const struct ft_oai_at *at);

/* ---- members that need more than a type and a range ---- */

static int parse_messages(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    (void)at;
    return ft_oai_parse_messages(&p->q, v, p->e);
}

static int parse_prompt(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    (void)at;
    return ft_oai_parse_prompt(&p->q, v, p->e);
}

static int parse_input(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    (void)at;
    return ft_oai_parse_input(&p->q, v, p->e);
}

static int parse_documents(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    (void)at;
    return ft_oai_parse_documents(&p->q, v, p->e);
}

static int parse_format(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    (void)at;
    return ft_oai_parse_format(&p->q, v, p->mode, p->e);
}

static int parse_inner(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    return p->mode == FT_OAI_WORKER ? ft_oai_parse_inner(&p->q, v, p->e) : ft_oai_unknown(p->e, at);
}

static int parse_later(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    (void)p, (void)v, (void)at; /* tools and tool_choice: together, in finish_chat() */
    return 0;
}

static int parse_metadata(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    p->q.metadata = v;
    return ft_oai_metadata(v, at, p->e);
}

static int parse_query(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    const char *s;
    int rc = ft_oai_str(v, at, 1, FT_OAI_BODY_BYTES_MAX, &s, p->e);
    if (rc == 0)
        p->q.query = (struct ft_slice){s, json_string_length(v)};
    return rc;
}

static int parse_encoding(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"float", "base64", NULL};
    int i, rc = ft_oai_enum(v, at, names, &i, p->e);
    p->q.base64 = rc == 0 && i == 1;
    return rc;
}

static int parse_modalities(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    int rc = ft_oai_array(v, at, 1, 8, p->e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
        const char *s;
        rc = ft_oai_str(json_array_get(v, i), FT_OAI_ELEM(at, i), 1, 64, &s, p->e);
        if (rc == 0 && strcmp(s, "text") != 0)
            rc = ft_oai_unsupported(p->e, at, "models here write text only");
    }
    return rc;
}

static int parse_effort(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"none", "minimal", "low", "medium",
                                        "high", "xhigh",   "max", NULL};
    int i, rc = ft_oai_enum(v, at, names, &i, p->e);
    if (rc != 0)
        return rc;
    p->q.effort = names[i];
    if (p->q.think == FT_OAI_THINK_DEFAULT) /* else chat_template_kwargs has said it */
        p->q.think = i == 0 ? FT_OAI_THINK_OFF : FT_OAI_THINK_ON;
    return 0;
}

static int parse_kwargs(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const ours[] = {"messages", "tools", "add_generation_prompt", "bos_token",
                                       "eos_token"};
    int rc = ft_oai_object(v, at, p->e);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < FT_COUNT(ours); i++)
        if (json_object_get(v, ours[i]) != NULL)
            return ft_oai_bad(p->e, FT_OAI_AT(at, ours[i]), "invalid_value",
                              "is set by the server");
    json_t *think = ft_oai_get(v, "enable_thinking");
    bool on;
    if (think != NULL) {
        if ((rc = ft_oai_bool(think, FT_OAI_AT(at, "enable_thinking"), &on, p->e)) != 0)
            return rc;
        p->q.think = on ? FT_OAI_THINK_ON : FT_OAI_THINK_OFF;
    }
    p->q.template_kwargs = v;
    return 0;
}

static int parse_logprobs(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    if (p->q.kind != FT_TASK_TEXT)
        return ft_oai_bool(v, at, &p->q.logprobs, p->e);
    int64_t n;
    int rc = ft_oai_int(v, at, 0, FT_OAI_TOP_MAX, &n, p->e);
    if (rc == 0) {
        p->q.logprobs = true;
        p->q.n_top = (int)n;
    }
    return rc;
}

static int parse_max_completion(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    return ft_oai_int(v, at, 1, INT_MAX, &p->max_completion_tokens, p->e);
}

static int parse_max_tokens(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    bool text = p->q.kind == FT_TASK_TEXT;
    int64_t n;
    int rc = ft_oai_int(v, at, text ? 0 : 1, INT_MAX, &n, p->e);
    if (rc != 0)
        return rc;
    p->q.max_tokens = (int)n;
    p->q.max_zero = n == 0;
    p->q.set |= FT_OAI_SET_MAX_TOKENS;
    return 0;
}

static int parse_seed(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    int64_t seed;
    int rc = ft_oai_int(v, at, INT64_MIN, INT64_MAX, &seed, p->e);
    if (rc == 0) {
        p->q.seed = (uint64_t)seed;
        p->q.set |= FT_OAI_SET_SEED;
    }
    return rc;
}

static int one_stop(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    const char *s;
    int rc = ft_oai_str(v, at, 1, FT_OAI_STOP_BYTES_MAX, &s, p->e);
    if (rc == 0)
        p->q.stop[p->q.n_stop++] = (struct ft_slice){s, json_string_length(v)};
    return rc;
}

static int parse_stop(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    if (json_is_string(v))
        return one_stop(p, v, at);
    if (!json_is_array(v))
        return ft_oai_wrong_type(p->e, at, "a string or an array of strings", v);
    size_t max = p->mode == FT_OAI_GATEWAY ? FT_OAI_STOPS_MAX : FT_OAI_STOPS_INSIDE_MAX;
    int rc = ft_oai_array(v, at, 0, max, p->e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++)
        rc = one_stop(p, json_array_get(v, i), FT_OAI_ELEM(at, i));
    return rc;
}

static int parse_stop_ids(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    int rc = ft_oai_array(v, at, 0, FT_OAI_STOP_IDS_MAX, p->e);
    for (size_t i = 0; rc == 0 && i < json_array_size(v); i++) {
        int64_t id;
        rc = ft_oai_int(json_array_get(v, i), FT_OAI_ELEM(at, i), 0, INT32_MAX, &id, p->e);
        if (rc == 0)
            p->q.stop_id[p->q.n_stop_id++] = (int32_t)id;
    }
    return rc;
}

static int parse_bias(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    int rc = ft_oai_object(v, at, p->e);
    if (rc != 0)
        return rc;
    size_t n = json_object_size(v);
    if (n > FT_OAI_BIAS_MAX)
        return ft_oai_bad(p->e, at, "object_above_max_properties", "must have at most %d tokens",
                          FT_OAI_BIAS_MAX);
    if (n == 0)
        return 0;
    p->q.bias = calloc(n, sizeof *p->q.bias);
    if (p->q.bias == NULL)
        return ft_oai_error_set(p->e, FT_ENOMEM, NULL, NULL, "no memory for the request");
    const char *key;
    json_t *b;
    json_object_foreach(v, key, b)
    {
        char *end;
        double bias;
        long id = key[0] >= '0' && key[0] <= '9' ? strtol(key, &end, 10) : -1;
        if (id < 0 || *end != '\0' || id > INT32_MAX)
            return ft_oai_bad(p->e, FT_OAI_AT(at, key), "invalid_value",
                              "names must be token ids, such as \"50256\"");
        if ((rc = ft_oai_num(b, FT_OAI_AT(at, key), -100, 100, &bias, p->e)) != 0)
            return rc;
        p->q.bias[p->q.n_bias++] = (struct ft_oai_bias){(int32_t)id, (float)bias};
    }
    return 0;
}

static int parse_stream_options(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"include_usage", "include_obfuscation", NULL};
    bool obfuscate = false;
    int rc = ft_oai_object(v, at, p->e);
    if (rc != 0 || (rc = ft_oai_only(v, at, names, p->e)) != 0)
        return rc;
    json_t *m = ft_oai_get(v, names[0]);
    if (m != NULL && (rc = ft_oai_bool(m, FT_OAI_AT(at, names[0]), &p->q.include_usage, p->e)) != 0)
        return rc;
    m = ft_oai_get(v, names[1]);
    if (m != NULL && (rc = ft_oai_bool(m, FT_OAI_AT(at, names[1]), &obfuscate, p->e)) != 0)
        return rc;
    return obfuscate ? ft_oai_unsupported(p->e, FT_OAI_AT(at, names[1]), "events are not padded")
                     : 0;
}

/* ---- members that are accepted in one of their values ---- */

static int parse_tier(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"auto",     "default", "flex",      "scale",
                                        "priority", "fast",    "ultrafast", NULL};
    int i, rc = ft_oai_enum(v, at, names, &i, p->e);
    if (rc == 0 && i > 1)
        rc = ft_oai_unsupported(p->e, at, "there is one tier, \"default\"");
    return rc;
}

static int parse_retention(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"in_memory", "in-memory", "24h", NULL};
    int i, rc = ft_oai_enum(v, at, names, &i, p->e);
    if (rc == 0 && i == 2)
        rc = ft_oai_unsupported(p->e, at, "prompts are cached in memory");
    return rc;
}

static int parse_verbosity(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    static const char *const names[] = {"low", "medium", "high", NULL};
    int i, rc = ft_oai_enum(v, at, names, &i, p->e);
    if (rc == 0 && i != 1)
        rc = ft_oai_unsupported(p->e, at, "say it in the messages");
    return rc;
}

static int parse_store(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    bool store;
    int rc = ft_oai_bool(v, at, &store, p->e);
    if (rc == 0 && store)
        rc = ft_oai_unsupported(p->e, at, "only /v1/responses are stored");
    return rc;
}

static int parse_suffix(struct parse *p, json_t *v, const struct ft_oai_at *at)
{
    const char *s;
    int rc = ft_oai_str(v, at, 0, FT_OAI_BODY_BYTES_MAX, &s, p->e);
    if (rc == 0 && s[0] != '\0')
        rc = ft_oai_unsupported(p->e, at, "models here do not fill in the middle");
    return rc;
}

/* ---- the table ---- */

enum what { FN, INT, NUM, NUM_ABOVE_0, BOOL, STR, REFUSED };

#define CHAT   (1u << FT_TASK_CHAT | 1u << FT_TASK_COUNT)
#define TEXT   (1u << FT_TASK_TEXT)
#define EMBED  (1u << FT_TASK_EMBED)
#define RERANK (1u << FT_TASK_RERANK)
#define ALL    (CHAT | TEXT | EMBED | RERANK)

struct member {
    const char *name;
    unsigned kinds;
    enum what what;
    size_t offset; /* in struct ft_oai_request; 0: checked only */
    double lo, hi; /* STR: bytes */
    unsigned set;
    member_fn *fn;
    const char *why; /* REFUSED */
};
#define M_FN(n, k, f)                                                                              \
    {                                                                                              \
        .name = n, .kinds = k, .what = FN, .fn = f                                                 \
    }
#define M_NO(n, k, w)                                                                              \
    {                                                                                              \
        .name = n, .kinds = k, .what = REFUSED, .why = w                                           \
    }
#define M_BOOL(k, m)            M_OF(k, BOOL, m, 0, 1, 0)
#define M_INT(k, m, l, h)       M_OF(k, INT, m, l, h, 0)
#define M_NUM(k, m, l, h, flag) M_OF(k, NUM, m, l, h, FT_OAI_SET_##flag)
#define M_OF(k, w, m, l, h, s)                                                                     \
    {                                                                                              \
        .name = #m, .kinds = k, .what = w, .offset = offsetof(struct ft_oai_request, m), .lo = l,  \
        .hi = h, .set = s                                                                          \
    }
#define M_SEEN(n, k)                                                                               \
    {                                                                                              \
        .name = n, .kinds = k, .what = STR, .hi = 512                                              \
    }

#define GEN (CHAT | TEXT)
/* clang-format off */
static const struct member members[] = { /* sorted by name */
    M_NO("audio", CHAT, "models here write text only"),
    M_INT(TEXT, best_of, 1, FT_PIECE_CHOICES_MAX),
    M_FN("chat_template_kwargs", CHAT, parse_kwargs),
    M_INT(EMBED, dimensions, 1, 65536),
    M_FN("documents", RERANK, parse_documents),
    M_BOOL(TEXT, echo),
    M_FN("encoding_format", EMBED, parse_encoding),
    M_FN("feitian", ALL, parse_inner),
    M_NUM(GEN, frequency_penalty, -2, 2, FREQUENCY_PENALTY),
    M_NO("function_call", CHAT, "use tool_choice"),
    M_NO("functions", CHAT, "use tools"),
    M_BOOL(GEN, ignore_eos),
    M_FN("input", EMBED, parse_input),
    M_FN("logit_bias", GEN, parse_bias),
    M_FN("logprobs", GEN, parse_logprobs),
    M_NO("max_chunks_per_doc", RERANK, "documents are read whole"),
    M_FN("max_completion_tokens", CHAT, parse_max_completion),
    M_FN("max_tokens", GEN, parse_max_tokens),
    M_NO("max_tokens_per_doc", RERANK, "documents are read whole"),
    M_FN("messages", CHAT, parse_messages),
    M_FN("metadata", CHAT, parse_metadata),
    M_NUM(GEN, min_p, 0, 1, MIN_P),
    M_INT(GEN, min_tokens, 0, INT_MAX),
    M_FN("modalities", CHAT, parse_modalities),
    M_OF(ALL, STR, model, 1, FT_OAI_MODEL_BYTES_MAX, 0),
    M_NO("moderation", CHAT, "nothing is moderated here"),
    M_INT(GEN, n, 1, FT_PIECE_CHOICES_MAX),
    {.name = "parallel_tool_calls", .kinds = CHAT, .what = BOOL,
     .offset = offsetof(struct ft_oai_request, parallel_calls)},
    M_NO("prediction", CHAT, "there are no predicted outputs"),
    M_NUM(GEN, presence_penalty, -2, 2, PRESENCE_PENALTY),
    M_FN("prompt", TEXT, parse_prompt),
    M_SEEN("prompt_cache_key", CHAT),
    M_NO("prompt_cache_options", CHAT, "prompts are cached by themselves"),
    M_FN("prompt_cache_retention", CHAT, parse_retention),
    M_FN("query", RERANK, parse_query),
    M_NO("rank_fields", RERANK, "documents are texts"),
    M_FN("reasoning_effort", CHAT, parse_effort),
    M_OF(GEN, NUM_ABOVE_0, repetition_penalty, 0, 10, FT_OAI_SET_REPETITION_PENALTY),
    M_FN("response_format", CHAT, parse_format),
    M_BOOL(RERANK, return_documents),
    M_SEEN("safety_identifier", CHAT),
    M_FN("seed", GEN, parse_seed),
    M_FN("service_tier", CHAT, parse_tier),
    M_FN("stop", GEN, parse_stop),
    M_FN("stop_token_ids", GEN, parse_stop_ids),
    M_FN("store", CHAT, parse_store),
    M_BOOL(GEN, stream),
    M_FN("stream_options", GEN, parse_stream_options),
    M_FN("suffix", TEXT, parse_suffix),
    M_NUM(GEN, temperature, 0, 2, TEMPERATURE),
    M_FN("tool_choice", CHAT, parse_later),
    M_FN("tools", CHAT, parse_later),
    M_OF(GEN, INT, top_k, -1, INT_MAX, FT_OAI_SET_TOP_K),
    {.name = "top_logprobs", .kinds = CHAT, .what = INT, .lo = 0, .hi = FT_OAI_TOP_MAX,
     .offset = offsetof(struct ft_oai_request, n_top)},
    M_INT(RERANK, top_n, 1, INT_MAX),
    M_NUM(GEN, top_p, 0, 1, TOP_P),
    M_OF(GEN, NUM_ABOVE_0, typical_p, 0, 1, FT_OAI_SET_TYPICAL_P),
    M_OF(ALL, STR, user, 0, 512, 0),
    M_FN("verbosity", CHAT, parse_verbosity),
    M_NO("web_search_options", CHAT, "nothing is searched here"),
};
/* clang-format on */

static int by_name(const void *key, const void *member)
{
    return strcmp(key, ((const struct member *)member)->name);
}

static int parse_member(struct parse *p, const struct member *m, json_t *v)
{
    const struct ft_oai_at *at = FT_OAI_AT(NULL, m->name);
    void *place = m->offset != 0 ? (char *)&p->q + m->offset : NULL;
    const char *s;
    int64_t i;
    double x;
    int rc = 0;
    switch (m->what) {
    case FN:
        return m->fn(p, v, at);
    case REFUSED:
        return ft_oai_unsupported(p->e, at, m->why);
    case INT:
        if ((rc = ft_oai_int(v, at, (int64_t)m->lo, (int64_t)m->hi, &i, p->e)) == 0)
            *(int *)place = (int)i;
        break;
    case NUM:
    case NUM_ABOVE_0:
        rc = ft_oai_num(v, at, m->lo, m->hi, &x, p->e);
        if (rc == 0 && m->what == NUM_ABOVE_0 && !((float)x > 0))
            rc = ft_oai_bad(p->e, at, "decimal_below_min_value", "must be above 0");
        if (rc == 0)
            *(float *)place = (float)x;
        break;
    case BOOL:
        rc = ft_oai_bool(v, at, place, p->e);
        break;
    case STR:
        rc = ft_oai_str(v, at, (size_t)m->lo, (size_t)m->hi, &s, p->e);
        if (rc == 0 && place != NULL)
            *(const char **)place = s;
        break;
    }
    p->q.set |= rc == 0 ? m->set : 0;
    return rc;
}

static int parse_members(struct parse *p)
{
    const char *key;
    json_t *v;
    json_object_foreach(p->q.root, key, v)
    {
        const struct member *m =
            bsearch(key, members, FT_COUNT(members), sizeof members[0], by_name);
        if (m == NULL || (m->kinds & 1u << p->q.kind) == 0)
            return ft_oai_unknown(p->e, FT_OAI_AT(NULL, key));
        int rc = json_is_null(v) ? 0 : parse_member(p, m, v);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- what members demand of each other ---- */

static int need(struct parse *p, const char *name, bool there)
{
    return there ? 0 : ft_oai_missing(p->e, FT_OAI_AT(NULL, name));
}

static int finish_chat(struct parse *p)
{
    struct ft_oai_request *q = &p->q;
    int rc = need(p, "messages", q->messages != NULL);
    if (rc != 0)
        return rc;
    if (p->max_completion_tokens != 0) {
        if ((q->set & FT_OAI_SET_MAX_TOKENS) != 0 && q->max_tokens != p->max_completion_tokens)
            return ft_oai_bad(p->e, FT_OAI_AT(NULL, "max_tokens"), "invalid_value",
                              "give max_tokens or max_completion_tokens, not both");
        q->max_tokens = (int)p->max_completion_tokens;
        q->set |= FT_OAI_SET_MAX_TOKENS;
    }
    if (q->n_top > 0 && !q->logprobs)
        return ft_oai_bad(p->e, FT_OAI_AT(NULL, "top_logprobs"), "invalid_value",
                          "is only allowed with logprobs: true");
    return ft_oai_parse_tools(q, p->e);
}

/* The gateway asks for best_of choices and their log-probabilities; the writer chooses among them.
 */
static int finish_best_of(struct parse *p)
{
    struct ft_oai_request *q = &p->q;
    const struct ft_oai_at *at = FT_OAI_AT(NULL, "best_of");
    if (q->best_of == 0)
        q->best_of = q->n;
    if (q->best_of < q->n)
        return ft_oai_bad(p->e, at, "invalid_value", "must be at least n");
    if ((int64_t)q->best_of * (int64_t)q->n_input > FT_PIECE_CHOICES_MAX)
        return ft_oai_bad(p->e, FT_OAI_AT(NULL, "n"), "invalid_value",
                          "at most %d choices over all prompts", FT_PIECE_CHOICES_MAX);
    json_t *there = json_object_get(q->root, "best_of");
    if (there == NULL || q->best_of == q->n) {
        json_object_del(q->root, "best_of");
        return 0;
    }
    if (q->stream)
        return ft_oai_bad(p->e, at, "invalid_value", "above n is not possible while streaming");
    if (p->mode == FT_OAI_WORKER)
        return ft_oai_unsupported(p->e, at, "above n, the gateway chooses");
    json_object_del(q->root, "best_of");
    json_object_set_new(q->root, "n", json_integer(q->best_of));
    if (!q->logprobs)
        json_object_set_new(q->root, "logprobs", json_integer(0));
    return 0;
}

static int finish_text(struct parse *p)
{
    struct ft_oai_request *q = &p->q;
    int rc = need(p, "prompt", q->n_input > 0);
    if (rc != 0)
        return rc;
    if ((q->set & FT_OAI_SET_MAX_TOKENS) == 0)
        q->max_tokens = TEXT_TOKENS_DEFAULT;
    if (q->max_zero && !q->echo)
        return ft_oai_bad(p->e, FT_OAI_AT(NULL, "max_tokens"), "integer_below_min_value",
                          "0 is only of use with echo: true");
    return finish_best_of(p);
}

static int finish_generation(struct parse *p)
{
    struct ft_oai_request *q = &p->q;
    if (ft_oai_get(q->root, "stream_options") != NULL && !q->stream)
        return ft_oai_bad(p->e, FT_OAI_AT(NULL, "stream_options"), "invalid_value",
                          "is only allowed with stream: true");
    if (q->max_tokens > 0 && q->min_tokens > q->max_tokens)
        return ft_oai_bad(p->e, FT_OAI_AT(NULL, "min_tokens"), "invalid_value",
                          "must be at most max_tokens");
    if (q->top_k < 0)
        q->top_k = 0;
    if (q->top_p < TOP_P_LEAST)
        q->top_p = TOP_P_LEAST;
    if (q->inner.n_resume > (size_t)q->best_of * FT_MAX(q->n_input, 1))
        return ft_oai_bad(p->e, FT_OAI_AT(FT_OAI_AT(NULL, "feitian"), "resume"), "invalid_value",
                          "has more lists than there are choices");
    return 0;
}

static int finish(struct parse *p)
{
    struct ft_oai_request *q = &p->q;
    int rc = need(p, "model", q->model != NULL);
    if (rc != 0)
        return rc;
    switch (q->kind) {
    case FT_TASK_CHAT:
    case FT_TASK_COUNT:
        q->best_of = q->n;
        if ((rc = finish_chat(p)) != 0)
            return rc;
        break;
    case FT_TASK_TEXT:
        if ((rc = finish_text(p)) != 0)
            return rc;
        break;
    case FT_TASK_EMBED: /* a tree of strings is a tenth of one of numbers */
        if (p->mode != FT_OAI_WORKER)
            json_object_set_new(q->root, "encoding_format", json_string("base64"));
        return need(p, "input", q->n_input > 0);
    case FT_TASK_RERANK:
        rc = need(p, "query", q->query.p != NULL);
        return rc != 0 ? rc : need(p, "documents", q->document != NULL);
    }
    return finish_generation(p);
}

int ft_oai_parse_root(enum ft_task_kind kind, enum ft_oai_mode mode, json_t *root,
                      struct ft_oai_request *ret, struct ft_oai_error *e)
{
    struct parse p = {.mode = mode, .e = e};
    p.q = (struct ft_oai_request){
        .kind = kind,
        .root = root,
        .n = 1,
        .temperature = 1,
        .top_p = 1,
        .typical_p = 1,
        .repetition_penalty = 1,
        .parallel_calls = true,
        .inner = {.id = "", .salt = "", .caller = "", .weight = 1},
    };
    int rc = parse_members(&p);
    if (rc == 0)
        rc = finish(&p);
    if (rc != 0) {
        ft_oai_request_fini(&p.q);
        return rc;
    }
    *ret = p.q;
    return 0;
}

int ft_oai_parse(enum ft_task_kind kind, enum ft_oai_mode mode, const char *body, size_t n,
                 struct ft_oai_request *ret, struct ft_oai_error *e)
{
    json_t *root;
    if (n > FT_OAI_BODY_BYTES_MAX)
        return ft_oai_error_set(e, FT_ELIMIT, "request_too_large", NULL,
                                "the body has more than %zu bytes", FT_OAI_BODY_BYTES_MAX);
    int rc = ft_oai_json_object(body, n, &root, e);
    return rc != 0 ? rc : ft_oai_parse_root(kind, mode, root, ret, e);
}

void ft_oai_request_fini(struct ft_oai_request *q)
{
    free(q->bias);
    free(q->input);
    free(q->document);
    free(q->owned_format);
    ft_json_unref(q->root); /* serving may hold it */
    *q = (struct ft_oai_request){.root = NULL};
}
