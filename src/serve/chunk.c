/* Chunks of chat and text completions, whole answers, errors.
 *
 * What servers do differently, and is read all the same: usage in the last chunk, in each, or
 * nowhere; choices that are null or empty; null contents; reasoning under two names; tool calls
 * without index, without id, or with arguments as an object; errors as objects, as text, or as the
 * whole event; an answer in one piece though a stream was asked for. A worker's events carry
 * "feitian" (replica.h): then the ids there are the event's step. */
#include "serve/chunk.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX     400 /* bytes of a server's own words that are passed on */
#define PARAM_MAX       96  /* and of the member that they are about */
#define BYTES_PER_TOKEN 4   /* where nothing better is known */
#define LARGE_MAX       ((int64_t)1 << 50)

void ft_chunk_init(struct ft_chunk_reader *r, enum ft_task_kind kind, uint64_t salt,
                   ft_piece_fn *on_piece, void *ctx)
{
    *r = (struct ft_chunk_reader){.kind = kind, .on_piece = on_piece, .ctx = ctx, .salt = salt};
}

void ft_chunk_fini(struct ft_chunk_reader *r)
{
    for (int i = 0; i < FT_PIECE_CHOICES_MAX; i++)
        free(r->choice[i]);
    free(r->token);
}

/* ---- small readers ---- */

static int count_of(const json_t *v)
{
    json_int_t n = json_integer_value(v);
    return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : (int)n;
}

/* Outside numbers: none is so large that sums of them overflow. */
static int64_t large_of(const json_t *v)
{
    json_int_t n = json_integer_value(v);
    return n < 0 ? 0 : FT_MIN((int64_t)n, LARGE_MAX);
}

/* A member's text; empty if it is none. */
static struct ft_slice text_of(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    if (!json_is_string(v))
        return (struct ft_slice){NULL, 0};
    return (struct ft_slice){json_string_value(v), json_string_length(v)};
}

/* With what is known by now of the prompt. */
static void give(struct ft_chunk_reader *r, struct ft_piece *p)
{
    p->usage.prompt_tokens = r->usage.prompt_tokens;
    p->usage.cached_tokens = r->usage.cached_tokens;
    r->any = true;
    r->on_piece(r->ctx, p);
}

static void read_usage(struct ft_chunk_reader *r, const json_t *u)
{
    if (!json_is_object(u))
        return;
    r->has_usage = true;
    r->usage.prompt_tokens = count_of(json_object_get(u, "prompt_tokens"));
    r->usage.completion_tokens = count_of(json_object_get(u, "completion_tokens"));
    r->usage.cached_tokens =
        count_of(json_object_get(json_object_get(u, "prompt_tokens_details"), "cached_tokens"));
    r->usage.reasoning_tokens = count_of(
        json_object_get(json_object_get(u, "completion_tokens_details"), "reasoning_tokens"));
}

static void read_phases(struct ft_chunk_reader *r, const json_t *ph)
{
    if (!json_is_object(ph))
        return;
    for (int i = FT_PHASE_FIELDS - FT_PHASE_FIELDS_WORKER; i < FT_PHASE_FIELDS; i++)
        *ft_phase_at(&r->phases, i) = large_of(json_object_get(ph, ft_phase_fields[i].name));
    r->usage.phases = &r->phases;
}

static void read_cost(struct ft_chunk_reader *r, const json_t *f)
{
    if (json_object_get(f, "cpu_us") != NULL)
        r->usage.cpu_us = large_of(json_object_get(f, "cpu_us"));
    if (json_object_get(f, "uj") != NULL)
        r->usage.energy_uj = large_of(json_object_get(f, "uj"));
    if (json_object_get(f, "uj_estimated") != NULL)
        r->usage.energy_estimated = json_is_true(json_object_get(f, "uj_estimated"));
    read_phases(r, json_object_get(f, "ph"));
}

/* ---- errors ---- */

static enum ft_code code_of_status(int status, enum ft_piece_fault *ret_fault)
{
    *ret_fault = FT_FAULT_CALL;
    switch (status) {
    case 404:
        return FT_ENOTFOUND;
    case 413:
        return FT_ELIMIT;
    case 501:
        return FT_EUNSUPPORTED;
    case 507:
        return FT_ENOMEM;
    case 429:
    case 503:
    case 529:
        *ret_fault = FT_FAULT_BUSY;
        return FT_EBUSY;
    case 401: /* its own key is wrong: nothing that the client could mend */
    case 403:
        *ret_fault = FT_FAULT_REPLICA;
        return FT_EINTERNAL;
    default:
        if (status >= 400 && status < 500)
            return FT_EINVAL;
        *ret_fault = FT_FAULT_REPLICA;
        return FT_EINTERNAL;
    }
}

/* A worker says its code itself. */
static bool code_of_worker(const json_t *root, enum ft_code *ret, enum ft_piece_fault *ret_fault)
{
    const char *name = json_string_value(json_object_get(json_object_get(root, "feitian"), "code"));
    for (int code = FT_EINVAL; name != NULL && code >= FT_EINTERNAL; code--) {
        if (strcmp(name, ft_code_name((enum ft_code)code)) != 0)
            continue;
        bool broke = code == FT_EIO || code == FT_EINTERNAL || code == FT_ECORRUPT ||
                     code == FT_ECANCELED; /* nobody here asked it to */
        *ret = broke ? FT_EINTERNAL : (enum ft_code)code;
        *ret_fault = broke ? FT_FAULT_REPLICA : code == FT_EBUSY ? FT_FAULT_BUSY : FT_FAULT_CALL;
        return true;
    }
    return false;
}

/* The status that an error in mid-stream stands for. */
static int status_of_error(const json_t *e)
{
    static const struct {
        const char *type;
        int status;
    } types[] = {
        {"invalid_request_error", 400},
        {"BadRequestError", 400},
        {"not_found_error", 404},
        {"NotFoundError", 404},
        {"rate_limit_error", 429},
        {"rate_limit_exceeded", 429},
        {"tokens", 429},
        {"overloaded_error", 529},
        {"requests", 429},
        {"insufficient_memory", 507},
        {"context_length_exceeded", 400},
    };
    const json_t *code = json_object_get(e, "code");
    if (json_is_integer(code) && json_integer_value(code) >= 400 && json_integer_value(code) < 600)
        return (int)json_integer_value(code);
    const char *names[] = {json_string_value(code), json_string_value(json_object_get(e, "type"))};
    for (size_t k = 0; k < FT_COUNT(names); k++)
        for (size_t i = 0; i < FT_COUNT(types) && names[k] != NULL; i++)
            if (strcmp(names[k], types[i].type) == 0)
                return types[i].status;
    return 500;
}

/* That a prompt is too long is the one refusal that APIs tell apart from others. */
static bool too_long(const json_t *root)
{
    const char *code = json_string_value(json_object_get(json_object_get(root, "error"), "code"));
    return code != NULL && strcmp(code, "context_length_exceeded") == 0;
}

/* A refusal in the server's words, behind the member that they are about: "messages: ...". */
static int set_words(struct ft_err *err, enum ft_code code, const json_t *root, const char *text)
{
    const char *param = json_string_value(json_object_get(json_object_get(root, "error"), "param"));
    size_t n = param != NULL ? strlen(param) : 0;
    bool said = n == 0 || n > PARAM_MAX || (strncmp(text, param, n) == 0 && text[n] == ':');
    return ft_err_set(err, code, "%s%s%.*s", said ? "" : param, said ? "" : ": ", MESSAGE_MAX,
                      text);
}

/* What a server says in its error; NULL if nothing. */
static const char *message_of(const json_t *root)
{
    const json_t *e = json_object_get(root, "error");
    if (json_is_string(e))
        return json_string_value(e);
    const json_t *o = json_is_object(e) ? e : root;
    const char *text = json_string_value(json_object_get(o, "message"));
    if (text == NULL)
        text = json_string_value(json_object_get(o, "detail"));
    return text;
}

void ft_chunk_error(int status, const char *body, size_t n, enum ft_piece_fault *ret_fault,
                    struct ft_err *err)
{
    enum ft_code code = code_of_status(status, ret_fault);
    json_t *root = json_loadb(body, n, 0, NULL);
    const char *text = message_of(root);
    if (code == FT_EINVAL && too_long(root))
        code = FT_ELIMIT;
    code_of_worker(root, &code, ret_fault);
    if (status == 401 || status == 403)
        ft_err_set(err, code, "the server refused its key (status %d)", status);
    else if (text != NULL)
        set_words(err, code, root, text);
    else
        ft_err_set(err, code, "the server answered with status %d", status);
    json_decref(root);
}

/* 0 if the event tells of no error. */
static int read_error(const json_t *root, enum ft_piece_fault *ret_fault, struct ft_err *err)
{
    const json_t *e = json_object_get(root, "error");
    const char *object = json_string_value(json_object_get(root, "object"));
    bool bare = object != NULL && strcmp(object, "error") == 0;
    if ((e == NULL || json_is_null(e)) && !bare)
        return 0;
    const char *text = message_of(root);
    enum ft_code code = code_of_status(status_of_error(json_is_object(e) ? e : root), ret_fault);
    if (code == FT_EINVAL && too_long(root))
        code = FT_ELIMIT;
    code_of_worker(root, &code, ret_fault);
    return set_words(err, code, root,
                     text != NULL ? text : "the server reports an error without words");
}

/* ---- choices ---- */

static struct ft_chunk_choice *choice_at(struct ft_chunk_reader *r, int i)
{
    if (r->choice[i] == NULL)
        r->choice[i] = calloc(1, sizeof *r->choice[i]);
    return r->choice[i];
}

/* Which of the choice's calls a tool-call delta belongs to; *ret_new: it begins one. -1: too many.
 */
static int call_number(struct ft_chunk_choice *c, const json_t *delta, bool *ret_new)
{
    const json_t *index = json_object_get(delta, "index");
    struct ft_slice id = text_of(delta, "id");
    *ret_new = false;
    if (json_is_integer(index)) {
        for (int i = 0; i < c->n_call; i++)
            if (c->call_index[i] == json_integer_value(index))
                return i;
    } else if (c->n_call > 0 && id.n == 0 &&
               text_of(json_object_get(delta, "function"), "name").n == 0) {
        return c->n_call - 1; /* without a number: more of the last one */
    }
    if (c->n_call == FT_CHUNK_CALLS_MAX)
        return -1;
    *ret_new = true;
    c->call_index[c->n_call] =
        json_is_integer(index) ? json_integer_value(index) : INT64_MIN + c->n_call;
    return c->n_call++;
}

static void read_call(struct ft_chunk_reader *r, int i, struct ft_chunk_choice *c,
                      const json_t *delta)
{
    bool is_new;
    int number = call_number(c, delta, &is_new);
    if (number < 0)
        return;
    const json_t *function = json_object_get(delta, "function");
    struct ft_piece p = {.choice = i, .call = number, .call_id = text_of(delta, "id")};
    char id[48];
    if (is_new) {
        if (p.call_id.n == 0) {
            int n = snprintf(id, sizeof id, "call_%016llx_%d_%d", (unsigned long long)r->salt, i,
                             number);
            p.call_id = (struct ft_slice){id, (size_t)n};
        }
        p.kind = FT_PIECE_CALL_BEGIN;
        p.text = text_of(function, "name");
        give(r, &p);
    }
    const json_t *arguments = json_object_get(function, "arguments");
    char *dumped = json_is_object(arguments) ? json_dumps(arguments, JSON_COMPACT) : NULL;
    p.kind = FT_PIECE_CALL_ARGS;
    p.text =
        dumped != NULL ? (struct ft_slice){dumped, strlen(dumped)} : text_of(function, "arguments");
    if (p.text.n > 0)
        give(r, &p);
    free(dumped);
}

static void read_finish(struct ft_chunk_reader *r, int i, struct ft_chunk_choice *c,
                        const json_t *entry)
{
    const char *why = json_string_value(json_object_get(entry, "finish_reason"));
    if (why == NULL || why[0] == '\0' || c->finished)
        return;
    struct ft_piece p = {.kind = FT_PIECE_FINISH, .choice = i};
    if (!ft_answer_finish_parse(why, &p.finish))
        p.finish = strcmp(why, "function_call") == 0 ? FT_ANSWER_CALLS : FT_ANSWER_STOP;
    p.stop = text_of(entry, "stop_reason"); /* vLLM's name for the stop string that was met */
    c->finished = true;
    give(r, &p);
}

static void read_text(struct ft_chunk_reader *r, enum ft_piece_kind kind, int i,
                      struct ft_slice text)
{
    if (text.n == 0)
        return;
    struct ft_piece p = {.kind = kind, .choice = i, .text = text};
    give(r, &p);
}

/* One entry of choices; *ret_index: whose it is, or -1. True: it had something to say. */
static bool read_choice(struct ft_chunk_reader *r, const json_t *entry, int *ret_index)
{
    const json_t *index = json_object_get(entry, "index");
    json_int_t i = json_integer_value(index);
    *ret_index = -1;
    if (!json_is_object(entry) || i < 0 || i >= FT_PIECE_CHOICES_MAX)
        return false;
    struct ft_chunk_choice *c = choice_at(r, (int)i);
    if (c == NULL)
        return false;
    bool was = r->any;
    r->any = false;
    *ret_index = (int)i;
    c->begun = true;
    const json_t *delta = json_object_get(entry, "delta");
    if (!json_is_object(delta))
        delta = json_object_get(entry, "message"); /* answered in one piece */
    struct ft_slice thought = text_of(delta, "reasoning_content");
    read_text(r, FT_PIECE_REASONING, (int)i, thought.n > 0 ? thought : text_of(delta, "reasoning"));
    read_text(r, FT_PIECE_CONTENT, (int)i, text_of(delta, "content"));
    read_text(r, FT_PIECE_CONTENT, (int)i, text_of(delta, "refusal"));
    read_text(r, FT_PIECE_CONTENT, (int)i, text_of(entry, "text"));
    size_t k;
    json_t *call;
    json_array_foreach(json_object_get(delta, "tool_calls"), k, call) read_call(r, (int)i, c, call);
    bool said = r->any;
    read_finish(r, (int)i, c, entry);
    r->any |= was;
    return said;
}

static json_t *logprobs_of(const json_t *entry)
{
    json_t *l = json_object_get(entry, "logprobs");
    return json_is_object(l) ? l : NULL;
}

/* The step of a worker's event. */
static int read_step(struct ft_chunk_reader *r, const json_t *f, const json_t *choices,
                     struct ft_err *err)
{
    const json_t *ids = json_object_get(f, "t");
    size_t n = json_array_size(ids), k;
    json_int_t i = json_integer_value(json_object_get(f, "i"));
    if (i < 0 || i >= FT_PIECE_CHOICES_MAX || n > FT_CHUNK_TOKENS_MAX)
        return ft_err_set(err, FT_ECORRUPT, "feitian: impossible step");
    if ((int)n > r->cap_token) {
        int32_t *more = realloc(r->token, n * sizeof *more);
        if (more == NULL)
            return ft_err_set(err, FT_ENOMEM, "out of memory");
        r->token = more;
        r->cap_token = (int)n;
    }
    json_t *id, *entry;
    json_array_foreach(ids, k, id) r->token[k] = count_of(id);
    struct ft_piece p = {
        .kind = FT_PIECE_STEP, .choice = (int)i, .token = r->token, .n_token = (int)n};
    json_array_foreach(choices, k, entry) if (p.logprobs == NULL &&
                                              json_integer_value(json_object_get(entry, "index")) ==
                                                  i) p.logprobs = logprobs_of(entry);
    give(r, &p);
    return 0;
}

static int read_completion(struct ft_chunk_reader *r, const json_t *root, struct ft_err *err)
{
    const json_t *choices = json_object_get(root, "choices");
    const json_t *f = json_object_get(root, "feitian");
    bool steps = json_is_object(f) && json_object_get(f, "t") != NULL;
    if (choices == NULL && f == NULL && json_object_get(root, "usage") == NULL)
        return ft_err_set(err, FT_ECORRUPT, "the server's answer is no completion");
    read_usage(r, json_object_get(root, "usage"));
    read_cost(r, f);
    if (json_object_get(f, "p") != NULL) { /* before its pieces, so that they tell */
        r->usage.prompt_tokens = count_of(json_object_get(f, "p"));
        r->usage.cached_tokens = count_of(json_object_get(f, "c"));
    }
    size_t k;
    json_t *entry;
    json_array_foreach(choices, k, entry)
    {
        int i;
        bool said = read_choice(r, entry, &i);
        r->steps += said;
        if (steps || i < 0 || (!said && logprobs_of(entry) == NULL))
            continue;
        struct ft_piece p = {.kind = FT_PIECE_STEP, .choice = i, .logprobs = logprobs_of(entry)};
        give(r, &p);
    }
    return steps ? read_step(r, f, choices, err) : 0;
}

static int read_result(struct ft_chunk_reader *r, json_t *root, struct ft_err *err)
{
    const char *member = r->kind == FT_TASK_EMBED    ? "data"
                         : r->kind == FT_TASK_RERANK ? "results"
                                                     : "prompt_tokens";
    const json_t *v = json_object_get(root, member);
    if (r->kind == FT_TASK_COUNT ? !json_is_integer(v) : !json_is_array(v))
        return ft_err_set(err, FT_ECORRUPT, "the server's answer has no %s", member);
    read_usage(r, json_object_get(root, "usage"));
    read_cost(r, json_object_get(root, "feitian"));
    if (r->kind == FT_TASK_COUNT)
        r->usage.prompt_tokens = count_of(v);
    if (r->usage.prompt_tokens == 0 && r->has_usage) /* of some rerankers */
        r->usage.prompt_tokens =
            count_of(json_object_get(json_object_get(root, "usage"), "total_tokens"));
    json_object_del(root, "feitian");
    struct ft_piece p = {.kind = FT_PIECE_RESULT, .json = root};
    r->done = true;
    give(r, &p);
    return 0;
}

int ft_chunk_read(struct ft_chunk_reader *r, const char *data, size_t n,
                  enum ft_piece_fault *ret_fault, struct ft_err *err)
{
    *ret_fault = FT_FAULT_REPLICA;
    if (r->done)
        return 0; /* nothing counts after [DONE] */
    bool generates = r->kind == FT_TASK_CHAT || r->kind == FT_TASK_TEXT;
    if (generates && n == 6 && memcmp(data, "[DONE]", 6) == 0) {
        r->done = true;
        return 0;
    }
    json_error_t where;
    json_t *root = json_loadb(data, n, 0, &where);
    if (!json_is_object(root)) {
        json_decref(root);
        return ft_err_set(err, FT_ECORRUPT, "the server's answer is no JSON object");
    }
    int rc = read_error(root, ret_fault, err);
    if (rc == 0)
        rc = generates ? read_completion(r, root, err) : read_result(r, root, err);
    json_decref(root);
    return rc;
}

static int bytes_in(const char *data, size_t n, void *ctx)
{
    (void)data;
    *(size_t *)ctx += n;
    return 0;
}

/* Where the server does not tell: counted here, and said so. */
static void count_roughly(struct ft_chunk_reader *r, const json_t *body)
{
    static const char *const members[] = {"messages", "prompt", "input"};
    const json_t *said = NULL;
    size_t bytes = 0;
    for (size_t i = 0; i < FT_COUNT(members) && said == NULL; i++)
        said = json_object_get(body, members[i]);
    if (said != NULL)
        json_dump_callback(said, bytes_in, &bytes, JSON_COMPACT | JSON_ENCODE_ANY);
    r->usage.prompt_tokens = (int)FT_MIN(bytes / BYTES_PER_TOKEN, (size_t)INT32_MAX);
    r->usage.completion_tokens = r->steps;
    r->usage.counted = true;
}

int ft_chunk_end(struct ft_chunk_reader *r, const json_t *body, struct ft_answer_usage *ret_usage,
                 struct ft_err *err)
{
    bool begun = false;
    for (int i = 0; i < FT_PIECE_CHOICES_MAX; i++) {
        struct ft_chunk_choice *c = r->choice[i];
        if (c == NULL)
            continue;
        begun = true;
        if (c->finished)
            continue;
        if (!r->done)
            return ft_err_set(err, FT_EIO, "the server's answer ended in the middle");
        c->finished = true;
        struct ft_piece p = {.kind = FT_PIECE_FINISH, .choice = i, .finish = FT_ANSWER_STOP};
        give(r, &p);
    }
    if (!r->done && !begun)
        return ft_err_set(err, FT_EIO, "the server's answer ended before it began");
    if (!r->has_usage && r->kind != FT_TASK_COUNT)
        count_roughly(r, body);
    *ret_usage = r->usage;
    return 0;
}

void ft_chunk_cut(struct ft_chunk_reader *r, const json_t *body, struct ft_answer_usage *ret_usage)
{
    if (!r->has_usage && r->steps > 0 && r->usage.prompt_tokens == 0)
        count_roughly(r, body);
    *ret_usage = r->usage;
}
