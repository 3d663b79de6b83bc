/* The events and the object of a response.
 *
 * An answer is a list of items: reasoning, a message, function calls; one is open at a time, and
 * what it says is kept to be told again when it is done, and at the end. Deltas are told step by
 * step, so that log-probabilities come with their text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/openai/check.h"
#include "api/openai/json.h"
#include "api/openai/responses.h"
#include "api/openai/writer.h"

enum open { NOTHING, REASONING, MESSAGE, CALL };

struct response {
    struct ft_oai_writer base;
    bool store, logprobs, begun;
    char *suffix; /* of ids: that of the request */
    int64_t created;
    struct ft_buf echo;     /* members that repeat the request, each with a comma behind */
    struct ft_buf turn;     /* the rest of the document: "input":..,"context":.. */
    struct ft_buf document; /* at the end */
    int64_t sequence;
    /* the answer so far */
    struct ft_buf output; /* items that are done, as JSON, commas between */
    int n_item;
    enum open open;
    struct ft_buf text;  /* of the open item, escaped */
    struct ft_buf probs; /* of the open item */
    int n_prob;
    struct ft_buf delta; /* told with the step, escaped */
    struct ft_buf call;  /* CALL: "call_id":..,"name":.. */
    enum ft_answer_finish finish;
};

/* ---- ids ---- */

static const char *suffix_of(const char *request_id)
{
    return strncmp(request_id, "req_", 4) == 0 ? request_id + 4 : request_id;
}

void ft_oai_responses_id(const char *request_id, char *ret, size_t bytes)
{
    snprintf(ret, bytes, "resp_%s", suffix_of(request_id));
}

static void write_item_id(const struct response *r, struct ft_buf *out)
{
    static const char *const prefix[] = {"", "rs_", "msg_", "fc_"};
    ft_buf_add_str(out, prefix[r->open]);
    ft_buf_add_str(out, r->suffix);
    ft_buf_add_byte(out, '_');
    ft_oai_write_int(out, r->n_item);
}

/* ---- the object ---- */

struct state {
    const char *status;
    const char *incomplete;           /* reason, or NULL */
    const struct ft_oai_error *error; /* or NULL */
    const struct ft_answer_usage *usage;
};

/* OpenAI knows few codes here. */
static const char *error_code(const struct ft_oai_error *e)
{
    int status = ft_oai_error_status(e);
    return status == 429 ? "rate_limit_exceeded" : status < 500 ? "invalid_prompt" : "server_error";
}

static void write_usage(const struct ft_answer_usage *u, struct ft_buf *out)
{
    FT_OAI_LIT(out, "{\"input_tokens\":");
    ft_oai_write_int(out, u->prompt_tokens);
    FT_OAI_LIT(out, ",\"input_tokens_details\":{\"cached_tokens\":");
    ft_oai_write_int(out, u->cached_tokens);
    FT_OAI_LIT(out, ",\"cache_write_tokens\":0},\"output_tokens\":"); /* writing costs nothing */
    ft_oai_write_int(out, u->completion_tokens);
    FT_OAI_LIT(out, ",\"output_tokens_details\":{\"reasoning_tokens\":");
    ft_oai_write_int(out, u->reasoning_tokens);
    FT_OAI_LIT(out, "},\"total_tokens\":");
    ft_oai_write_int(out, (int64_t)u->prompt_tokens + u->completion_tokens);
    ft_buf_add_byte(out, '}');
}

static void write_object(const struct response *r, const struct state *s, struct ft_buf *out)
{
    FT_OAI_LIT(out, "{\"id\":\"resp_");
    ft_buf_add_str(out, r->suffix);
    FT_OAI_LIT(out, "\",\"object\":\"response\",\"created_at\":");
    ft_oai_write_int(out, r->created);
    FT_OAI_LIT(out, ",\"status\":\"");
    ft_buf_add_str(out, s->status);
    FT_OAI_LIT(out, "\",\"background\":false,\"error\":");
    if (s->error != NULL) {
        const char *msg = ft_oai_error_message(s->error);
        FT_OAI_LIT(out, "{\"code\":\"");
        ft_buf_add_str(out, error_code(s->error));
        FT_OAI_LIT(out, "\",\"message\":");
        ft_oai_write_string(out, msg, strlen(msg));
        ft_buf_add_byte(out, '}');
    } else {
        FT_OAI_LIT(out, "null");
    }
    FT_OAI_LIT(out, ",\"incomplete_details\":");
    if (s->incomplete != NULL) {
        FT_OAI_LIT(out, "{\"reason\":\"");
        ft_buf_add_str(out, s->incomplete);
        FT_OAI_LIT(out, "\"}");
    } else {
        FT_OAI_LIT(out, "null");
    }
    ft_buf_add_byte(out, ',');
    ft_buf_add(out, r->echo.data, r->echo.len);
    FT_OAI_LIT(out, "\"output\":[");
    ft_buf_add(out, r->output.data, r->output.len);
    ft_buf_add_byte(out, ']');
    if (s->usage != NULL) {
        FT_OAI_LIT(out, ",\"usage\":");
        write_usage(s->usage, out);
    }
    ft_buf_add_byte(out, '}');
}

/* other: what stands there where the request has none; NULL: the member is left out then. */
static void echo_json(struct response *r, const json_t *root, const char *name, const char *other)
{
    const json_t *v = ft_oai_get(root, name);
    if (v == NULL && other == NULL)
        return;
    ft_buf_addf(&r->echo, "\"%s\":", name);
    if (v != NULL)
        ft_oai_json_dump(v, &r->echo);
    else
        ft_buf_add_str(&r->echo, other);
    ft_buf_add_byte(&r->echo, ',');
}

static void make_echo(struct response *r, const struct ft_oai_writer_config *cfg,
                      const struct ft_oai_responses *q)
{
    static const struct {
        const char *name, *other;
    } members[] = {
        {"instructions", "null"},
        {"max_output_tokens", "null"},
        {"metadata", "{}"},
        {"parallel_tool_calls", "true"},
        {"previous_response_id", "null"},
        {"service_tier", "\"default\""},
        {"store", "true"},
        {"temperature", "1.0"},
        {"top_p", "1.0"},
        {"top_logprobs", "0"},
        {"tool_choice", "\"auto\""},
        {"tools", "[]"},
        {"truncation", "\"disabled\""},
        {"user", NULL},
    };
    FT_OAI_LIT(&r->echo, "\"model\":");
    ft_oai_write_string(&r->echo, cfg->model, strlen(cfg->model));
    ft_buf_add_byte(&r->echo, ',');
    for (size_t i = 0; i < FT_COUNT(members); i++)
        echo_json(r, q->root, members[i].name, members[i].other);
    const json_t *effort = ft_oai_get(ft_oai_get(q->root, "reasoning"), "effort");
    FT_OAI_LIT(&r->echo, "\"reasoning\":{\"effort\":");
    if (effort != NULL)
        ft_oai_json_dump(effort, &r->echo);
    else
        FT_OAI_LIT(&r->echo, "null");
    FT_OAI_LIT(&r->echo, ",\"summary\":null},\"text\":{\"format\":");
    const json_t *format = ft_oai_get(ft_oai_get(q->root, "text"), "format");
    if (format != NULL)
        ft_oai_json_dump(format, &r->echo);
    else
        FT_OAI_LIT(&r->echo, "{\"type\":\"text\"}");
    FT_OAI_LIT(&r->echo, ",\"verbosity\":\"medium\"},");
}

/* ---- events ---- */

static void begin_event(struct response *r, const char *type, struct ft_buf *out)
{
    FT_OAI_LIT(out, "event: ");
    ft_buf_add_str(out, type);
    FT_OAI_LIT(out, "\ndata: {\"type\":\"");
    ft_buf_add_str(out, type);
    FT_OAI_LIT(out, "\",\"sequence_number\":");
    ft_oai_write_int(out, r->sequence++);
}

static void end_event(struct ft_buf *out)
{
    FT_OAI_LIT(out, "}\n\n");
}

static void object_event(struct response *r, const char *type, const struct state *s,
                         struct ft_buf *out)
{
    begin_event(r, type, out);
    FT_OAI_LIT(out, ",\"response\":");
    write_object(r, s, out);
    end_event(out);
}

static void write_place(const struct response *r, bool content, struct ft_buf *out)
{
    FT_OAI_LIT(out, ",\"item_id\":\"");
    write_item_id(r, out);
    FT_OAI_LIT(out, "\",\"output_index\":");
    ft_oai_write_int(out, r->n_item);
    if (content)
        FT_OAI_LIT(out, ",\"content_index\":0");
}

static void begin(struct response *r, struct ft_buf *out)
{
    const struct state s = {.status = "in_progress"};
    if (r->begun)
        return;
    r->begun = true;
    if (!r->base.stream)
        return;
    object_event(r, "response.created", &s, out);
    object_event(r, "response.in_progress", &s, out);
}

/* ---- items ---- */

static void write_part(const struct response *r, const struct ft_buf *text,
                       const struct ft_buf *probs, struct ft_buf *out)
{
    if (r->open == REASONING) {
        FT_OAI_LIT(out, "{\"type\":\"reasoning_text\",\"text\":\"");
        ft_buf_add(out, text->data, text->len);
        FT_OAI_LIT(out, "\"}");
        return;
    }
    FT_OAI_LIT(out, "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[");
    ft_buf_add(out, probs->data, probs->len);
    FT_OAI_LIT(out, "],\"text\":\"");
    ft_buf_add(out, text->data, text->len);
    FT_OAI_LIT(out, "\"}");
}

/* whole: with what the item says; otherwise as it is when it begins. */
static void write_item(const struct response *r, const char *status, bool whole, struct ft_buf *out)
{
    FT_OAI_LIT(out, "{\"id\":\"");
    write_item_id(r, out);
    FT_OAI_LIT(out, "\",\"type\":\"");
    ft_buf_add_str(out, r->open == REASONING ? "reasoning"
                        : r->open == MESSAGE ? "message"
                                             : "function_call");
    FT_OAI_LIT(out, "\",\"status\":\"");
    ft_buf_add_str(out, status);
    if (r->open == CALL) {
        FT_OAI_LIT(out, "\",\"arguments\":\"");
        if (whole)
            ft_buf_add(out, r->text.data, r->text.len);
        FT_OAI_LIT(out, "\",");
        ft_buf_add(out, r->call.data, r->call.len);
        ft_buf_add_byte(out, '}');
        return;
    }
    ft_buf_add_str(out, r->open == REASONING ? "\",\"summary\":[],\"content\":["
                                             : "\",\"role\":\"assistant\",\"content\":[");
    if (whole)
        write_part(r, &r->text, &r->probs, out);
    FT_OAI_LIT(out, "]}");
}

static void open_item(struct response *r, enum open open, struct ft_buf *out)
{
    static const struct ft_buf none = {.data = NULL};
    r->open = open;
    if (!r->base.stream)
        return;
    begin_event(r, "response.output_item.added", out);
    FT_OAI_LIT(out, ",\"output_index\":");
    ft_oai_write_int(out, r->n_item);
    FT_OAI_LIT(out, ",\"item\":");
    write_item(r, "in_progress", false, out);
    end_event(out);
    if (open == CALL)
        return;
    begin_event(r, "response.content_part.added", out);
    write_place(r, true, out);
    FT_OAI_LIT(out, ",\"part\":");
    write_part(r, &none, &none, out);
    end_event(out);
}

static void tell_done(struct response *r, struct ft_buf *out)
{
    static const char *const types[] = {"", "response.reasoning_text.done",
                                        "response.output_text.done",
                                        "response.function_call_arguments.done"};
    begin_event(r, types[r->open], out);
    write_place(r, r->open != CALL, out);
    if (r->open == MESSAGE) {
        FT_OAI_LIT(out, ",\"logprobs\":[");
        ft_buf_add(out, r->probs.data, r->probs.len);
        ft_buf_add_byte(out, ']');
    }
    ft_buf_add_str(out, r->open == CALL ? ",\"arguments\":\"" : ",\"text\":\"");
    ft_buf_add(out, r->text.data, r->text.len);
    ft_buf_add_byte(out, '"');
    if (r->open == CALL) { /* the name too, which newer clients read here */
        const char *name = strstr(r->call.data, "\"name\":");
        ft_buf_add_byte(out, ',');
        ft_buf_add_str(out, name);
    }
    end_event(out);
    if (r->open == CALL)
        return;
    begin_event(r, "response.content_part.done", out);
    write_place(r, true, out);
    FT_OAI_LIT(out, ",\"part\":");
    write_part(r, &r->text, &r->probs, out);
    end_event(out);
}

/* The delta of the open item that the step has made; logprobs: of the step, or NULL. */
static void flush(struct response *r, const json_t *logprobs, struct ft_buf *out)
{
    static const char *const types[] = {"", "response.reasoning_text.delta",
                                        "response.output_text.delta",
                                        "response.function_call_arguments.delta"};
    struct ft_buf probs;
    int n = 0;
    double sum = 0;
    ft_buf_init(&probs, FT_OAI_ANSWER_BYTES_MAX);
    if (logprobs != NULL && r->logprobs && r->open == MESSAGE) {
        ft_oai_logprobs_chat(&probs, logprobs, &n, &sum);
        ft_oai_logprobs_chat(&r->probs, logprobs, &r->n_prob, &sum);
    }
    if (r->base.stream && r->open != NOTHING && (r->delta.len > 0 || n > 0)) {
        begin_event(r, types[r->open], out);
        write_place(r, r->open != CALL, out);
        FT_OAI_LIT(out, ",\"delta\":\"");
        ft_buf_add(out, r->delta.data, r->delta.len);
        ft_buf_add_byte(out, '"');
        if (r->open == MESSAGE) {
            FT_OAI_LIT(out, ",\"logprobs\":[");
            ft_buf_add(out, probs.data, probs.len);
            ft_buf_add_byte(out, ']');
        }
        end_event(out);
    }
    ft_buf_fini(&probs);
    ft_buf_reset(&r->delta);
}

static void close_item(struct response *r, const char *status, struct ft_buf *out)
{
    if (r->open == NOTHING)
        return;
    flush(r, NULL, out);
    if (r->base.stream)
        tell_done(r, out);
    if (r->n_item > 0)
        ft_buf_add_byte(&r->output, ',');
    size_t before = r->output.len;
    write_item(r, status, true, &r->output);
    if (r->base.stream && r->output.failed == 0) {
        begin_event(r, "response.output_item.done", out);
        FT_OAI_LIT(out, ",\"output_index\":");
        ft_oai_write_int(out, r->n_item);
        FT_OAI_LIT(out, ",\"item\":");
        ft_buf_add(out, r->output.data + before, r->output.len - before);
        end_event(out);
    }
    r->n_item++;
    r->open = NOTHING;
    r->n_prob = 0;
    ft_buf_reset(&r->text);
    ft_buf_reset(&r->probs);
    ft_buf_reset(&r->call);
}

/* ---- pieces ---- */

static int add_text(struct response *r, enum open open, struct ft_slice text, struct ft_buf *out)
{
    if (r->open != open) {
        close_item(r, "completed", out);
        open_item(r, open, out);
    }
    size_t before = r->text.len;
    ft_oai_write_escaped(&r->text, text.p, text.n);
    if (r->text.failed == 0)
        ft_buf_add(&r->delta, r->text.data + before, r->text.len - before);
    int rc = r->text.failed | r->delta.failed;
    return rc != 0 ? FT_ENOMEM : ft_oai_writer_keep(&r->base, r->text.len - before);
}

static int begin_call(struct response *r, const struct ft_piece *p, struct ft_buf *out)
{
    close_item(r, "completed", out);
    FT_OAI_LIT(&r->call, "\"call_id\":");
    ft_oai_write_string(&r->call, p->call_id.p, p->call_id.n);
    FT_OAI_LIT(&r->call, ",\"name\":");
    ft_oai_write_string(&r->call, p->text.p, p->text.n);
    if (r->call.failed != 0)
        return FT_ENOMEM;
    open_item(r, CALL, out);
    return ft_oai_writer_keep(&r->base, r->call.len);
}

/* {"response":<object>,"input":..,"context":..} */
static void make_document(struct response *r, const struct state *s)
{
    if (!r->store)
        return;
    FT_OAI_LIT(&r->document, "{\"response\":");
    write_object(r, s, &r->document);
    ft_buf_add(&r->document, r->turn.data, r->turn.len);
}

static int take_end(struct response *r, const struct ft_piece *p, struct ft_buf *out)
{
    bool cut = r->finish == FT_ANSWER_LENGTH || r->finish == FT_ANSWER_FILTERED;
    begin(r, out);
    if (r->open == NOTHING && r->n_item == 0)
        open_item(r, MESSAGE, out);
    close_item(r, cut ? "incomplete" : "completed", out);
    const struct state s = {.status = cut ? "incomplete" : "completed",
                            .incomplete = !cut                            ? NULL
                                          : r->finish == FT_ANSWER_LENGTH ? "max_output_tokens"
                                                                          : "content_filter",
                            .usage = &p->usage};
    if (r->base.stream)
        object_event(r, cut ? "response.incomplete" : "response.completed", &s, out);
    else
        write_object(r, &s, out);
    make_document(r, &s);
    return r->output.failed | r->echo.failed ? FT_ENOMEM : 0;
}

static int response_piece(struct ft_oai_writer *w, const struct ft_piece *p, struct ft_buf *out)
{
    struct response *r = (struct response *)w;
    if (p->kind == FT_PIECE_END)
        return take_end(r, p, out);
    if (p->choice != 0)
        return FT_EINTERNAL;
    begin(r, out);
    switch (p->kind) {
    case FT_PIECE_CONTENT:
        return add_text(r, MESSAGE, p->text, out);
    case FT_PIECE_REASONING:
        return add_text(r, REASONING, p->text, out);
    case FT_PIECE_CALL_BEGIN:
        return begin_call(r, p, out);
    case FT_PIECE_CALL_ARGS:
        return r->open == CALL ? add_text(r, CALL, p->text, out) : FT_EINTERNAL;
    case FT_PIECE_FINISH:
        r->finish = p->finish;
        return 0;
    case FT_PIECE_STEP:
        flush(r, p->logprobs, out);
        return 0;
    case FT_PIECE_RESULT:
    case FT_PIECE_END:
        break;
    }
    return FT_EINTERNAL;
}

static void response_fail_stream(struct ft_oai_writer *w, const struct ft_oai_error *e,
                                 struct ft_buf *out)
{
    struct response *r = (struct response *)w;
    const struct state s = {.status = "failed", .error = e};
    close_item(r, "incomplete", out);
    object_event(r, "response.failed", &s, out);
    make_document(r, &s);
}

static void response_fail(struct ft_oai_writer *w, const struct ft_oai_error *e, struct ft_buf *out)
{
    (void)w;
    ft_oai_error_write(e, out);
}

static void response_close(struct ft_oai_writer *w)
{
    struct response *r = (struct response *)w;
    struct ft_buf *const bufs[] = {&r->echo, &r->turn,  &r->document, &r->output,
                                   &r->text, &r->probs, &r->delta,    &r->call};
    for (size_t i = 0; i < FT_COUNT(bufs); i++)
        ft_buf_fini(bufs[i]);
    free(r->suffix);
}

static const struct ft_oai_writer_ops response_ops = {
    .piece = response_piece,
    .fail_stream = response_fail_stream,
    .fail = response_fail,
    .rename = ft_oai_responses_rename,
    .close = response_close,
};

int ft_oai_responses_writer_open(const struct ft_oai_writer_config *cfg,
                                 const struct ft_oai_responses *q, struct ft_oai_writer **ret,
                                 struct ft_err *err)
{
    struct response *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for the answer");
    r->base.ops = &response_ops;
    r->base.stream = q->stream;
    r->store = q->store;
    r->logprobs = q->logprobs;
    r->created = cfg->created;
    r->suffix = strdup(suffix_of(cfg->id));
    struct ft_buf *const bufs[] = {&r->echo, &r->turn,  &r->document, &r->output,
                                   &r->text, &r->probs, &r->delta,    &r->call};
    for (size_t i = 0; i < FT_COUNT(bufs); i++)
        ft_buf_init(bufs[i], FT_OAI_DOCUMENT_BYTES_MAX);
    make_echo(r, cfg, q);
    if (q->store) {
        FT_OAI_LIT(&r->turn, ",\"input\":");
        ft_oai_json_dump(q->input, &r->turn);
        FT_OAI_LIT(&r->turn, ",\"context\":");
        ft_oai_json_dump(q->context, &r->turn);
        ft_buf_add_byte(&r->turn, '}');
    }
    if (r->suffix == NULL || r->echo.failed != 0 || r->turn.failed != 0) {
        ft_oai_writer_close(&r->base);
        return ft_err_set(err, FT_ENOMEM, "no memory for the answer");
    }
    *ret = &r->base;
    return 0;
}

int ft_oai_responses_document(const struct ft_oai_writer *w, struct ft_buf *out)
{
    FT_ASSERT(w->ops == &response_ops);
    const struct response *r = (const struct response *)w;
    if (r->document.len == 0)
        return FT_ENOTFOUND;
    ft_buf_add(out, r->document.data, r->document.len);
    return r->document.failed != 0 ? r->document.failed : out->failed;
}
