/* Events and messages of Anthropic's form, and its errors.
 *
 * An answer is a list of content blocks: thinking, text, tool_use; one is open at a time. A stream
 * tells what a step added to the open block when the step ends. A worker tells with its first step
 * how many tokens the prompt had: message_start, written then, says so. Of servers that tell it at
 * the end message_start says 0; message_delta has the numbers in any case. */
#include <stdlib.h>
#include <string.h>

#include "api/anthropic/messages.h"
#include "api/anthropic/turns.h"
#include "api/openai/json.h"
#include "api/openai/writer.h"

enum block { NOTHING, THINKING, TEXT, TOOL };

struct message {
    struct ft_oai_writer base;
    char *id, *model; /* id: the request's */
    bool begun, omit_thinking, count;
    /* the answer so far */
    struct ft_buf blocks; /* not streamed: those that are done, commas between */
    int n_block;
    enum block open;
    struct ft_buf head;  /* TOOL: "id":..,"name":.. */
    struct ft_buf text;  /* not streamed: of the open block; TOOL: raw, otherwise escaped */
    struct ft_buf delta; /* streamed: of this step, escaped */
    enum ft_answer_finish finish;
    char *stop;
};

/* ---- errors ---- */

int ft_anthropic_error_status(const struct ft_oai_error *e)
{
    int status = ft_oai_error_status(e);
    return status == 503 ? 529 : status;
}

const char *ft_anthropic_error_type(const struct ft_oai_error *e)
{
    static const struct {
        int status;
        const char *type;
    } types[] = {
        {401, "authentication_error"}, {402, "billing_error"}, {403, "permission_error"},
        {404, "not_found_error"},      {408, "timeout_error"}, {413, "request_too_large"},
        {429, "rate_limit_error"},     {504, "timeout_error"}, {529, "overloaded_error"},
    };
    int status = ft_anthropic_error_status(e);
    for (size_t i = 0; i < FT_COUNT(types); i++)
        if (types[i].status == status)
            return types[i].type;
    return status >= 500 ? "api_error" : "invalid_request_error";
}

void ft_anthropic_error_write(const struct ft_oai_error *e, const char *request_id,
                              struct ft_buf *out)
{
    const char *msg = ft_oai_error_message(e);
    FT_OAI_LIT(out, "{\"type\":\"error\",\"error\":{\"type\":\"");
    ft_buf_add_str(out, ft_anthropic_error_type(e));
    FT_OAI_LIT(out, "\",\"message\":");
    ft_oai_write_string(out, msg, strlen(msg));
    if (e->code != NULL && strcmp(e->code, FT_ANTHROPIC_NO_THREADS) == 0)
        FT_OAI_LIT(out, ",\"details\":{\"error_code\":\"" FT_ANTHROPIC_NO_THREADS "\"}");
    FT_OAI_LIT(out, "},\"request_id\":");
    if (request_id != NULL)
        ft_oai_write_string(out, request_id, strlen(request_id));
    else
        FT_OAI_LIT(out, "null");
    ft_buf_add_byte(out, '}');
}

/* ---- parts ---- */

static void begin_event(const char *type, struct ft_buf *out)
{
    FT_OAI_LIT(out, "event: ");
    ft_buf_add_str(out, type);
    FT_OAI_LIT(out, "\ndata: {\"type\":\"");
    ft_buf_add_str(out, type);
    ft_buf_add_byte(out, '"');
}

static void end_event(struct ft_buf *out)
{
    FT_OAI_LIT(out, "}\n\n");
}

/* Anthropic counts what came from the cache beside input_tokens, not among them. */
static void write_usage(const struct ft_answer_usage *u, struct ft_buf *out)
{
    FT_OAI_LIT(out, "\"usage\":{\"input_tokens\":");
    ft_oai_write_int(out, (int64_t)u->prompt_tokens - u->cached_tokens);
    FT_OAI_LIT(out, ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":");
    ft_oai_write_int(out, u->cached_tokens);
    FT_OAI_LIT(out, ",\"output_tokens\":");
    ft_oai_write_int(out, u->completion_tokens);
    FT_OAI_LIT(out, ",\"output_tokens_details\":{\"thinking_tokens\":");
    ft_oai_write_int(out, u->reasoning_tokens);
    FT_OAI_LIT(out,
               "},\"cache_creation\":null,\"server_tool_use\":null,\"service_tier\":\"standard\"}");
}

static const char *stop_reason(const struct message *m)
{
    switch (m->finish) {
    case FT_ANSWER_STOP:
        return m->stop != NULL ? "stop_sequence" : "end_turn";
    case FT_ANSWER_LENGTH:
        return "max_tokens";
    case FT_ANSWER_CALLS:
        return "tool_use";
    case FT_ANSWER_FILTERED:
        return "refusal";
    }
    return "end_turn";
}

static void write_stop(const struct message *m, struct ft_buf *out)
{
    FT_OAI_LIT(out, "\"stop_reason\":\"");
    ft_buf_add_str(out, stop_reason(m));
    FT_OAI_LIT(out, "\",\"stop_sequence\":");
    if (m->stop != NULL)
        ft_oai_write_string(out, m->stop, strlen(m->stop));
    else
        FT_OAI_LIT(out, "null");
}

static void write_head(const struct message *m, struct ft_buf *out)
{
    const char *id = strncmp(m->id, "req_", 4) == 0 ? m->id + 4 : m->id;
    FT_OAI_LIT(out, "{\"id\":\"msg_");
    ft_oai_write_escaped(out, id, strlen(id));
    FT_OAI_LIT(out, "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    ft_oai_write_string(out, m->model, strlen(m->model));
    FT_OAI_LIT(out, ",\"content\":[");
}

static void begin(struct message *m, const struct ft_answer_usage *u, struct ft_buf *out)
{
    if (m->begun || !m->base.stream)
        return;
    m->begun = true;
    begin_event("message_start", out);
    FT_OAI_LIT(out, ",\"message\":");
    write_head(m, out);
    FT_OAI_LIT(out, "],\"stop_reason\":null,\"stop_sequence\":null,");
    write_usage(u, out);
    ft_buf_add_byte(out, '}');
    end_event(out);
    begin_event("ping", out);
    end_event(out);
}

/* ---- blocks ---- */

/* The input of a tool: what the model wrote, if that is an object; it is not where the answer was
 * cut off within it, and then stands whole under a name of its own. */
static void write_input(const struct ft_buf *text, struct ft_buf *out)
{
    json_t *v = text->len > 0 ? json_loadb(text->data, text->len, 0, NULL) : json_object();
    if (json_is_object(v)) {
        ft_oai_json_dump(v, out);
    } else {
        FT_OAI_LIT(out, "{\"incomplete_json\":");
        ft_oai_write_string(out, text->data, text->len);
        ft_buf_add_byte(out, '}');
    }
    json_decref(v);
}

/* text: NULL for a block that begins. */
static void write_block(const struct message *m, const struct ft_buf *text, struct ft_buf *out)
{
    if (m->open == TOOL) {
        FT_OAI_LIT(out, "{\"type\":\"tool_use\",");
        ft_buf_add(out, m->head.data, m->head.len);
        FT_OAI_LIT(out, ",\"input\":");
        if (text != NULL)
            write_input(text, out);
        else
            FT_OAI_LIT(out, "{}");
        ft_buf_add_byte(out, '}');
        return;
    }
    ft_buf_add_str(out, m->open == THINKING ? "{\"type\":\"thinking\",\"thinking\":\""
                                            : "{\"type\":\"text\",\"text\":\"");
    if (text != NULL)
        ft_buf_add(out, text->data, text->len);
    ft_buf_add_str(out, m->open == THINKING ? "\",\"signature\":\"\"}" : "\",\"citations\":null}");
}

static void flush(struct message *m, struct ft_buf *out)
{
    static const char *const kinds[] = {"", "\"thinking_delta\",\"thinking\":\"",
                                        "\"text_delta\",\"text\":\"",
                                        "\"input_json_delta\",\"partial_json\":\""};
    if (m->delta.len == 0 || m->open == NOTHING)
        return;
    begin_event("content_block_delta", out);
    FT_OAI_LIT(out, ",\"index\":");
    ft_oai_write_int(out, m->n_block);
    FT_OAI_LIT(out, ",\"delta\":{\"type\":");
    ft_buf_add_str(out, kinds[m->open]);
    ft_buf_add(out, m->delta.data, m->delta.len);
    FT_OAI_LIT(out, "\"}");
    end_event(out);
    ft_buf_reset(&m->delta);
}

static void open_block(struct message *m, enum block block, struct ft_buf *out)
{
    m->open = block;
    if (!m->base.stream)
        return;
    begin_event("content_block_start", out);
    FT_OAI_LIT(out, ",\"index\":");
    ft_oai_write_int(out, m->n_block);
    FT_OAI_LIT(out, ",\"content_block\":");
    write_block(m, NULL, out);
    end_event(out);
}

static void close_block(struct message *m, struct ft_buf *out)
{
    if (m->open == NOTHING)
        return;
    if (m->base.stream) {
        flush(m, out);
        begin_event("content_block_stop", out);
        FT_OAI_LIT(out, ",\"index\":");
        ft_oai_write_int(out, m->n_block);
        end_event(out);
    } else {
        if (m->n_block > 0)
            ft_buf_add_byte(&m->blocks, ',');
        write_block(m, &m->text, &m->blocks);
    }
    m->n_block++;
    m->open = NOTHING;
    ft_buf_reset(&m->text);
    ft_buf_reset(&m->head);
}

/* ---- pieces ---- */

static int add_text(struct message *m, enum block block, struct ft_slice text, struct ft_buf *out)
{
    if (m->open != block) {
        close_block(m, out);
        open_block(m, block, out);
    }
    struct ft_buf *to = m->base.stream ? &m->delta : &m->text;
    size_t before = to->len;
    if (block == TOOL && !m->base.stream)
        ft_buf_add(to, text.p, text.n);
    else
        ft_oai_write_escaped(to, text.p, text.n);
    if (to->failed != 0)
        return to->failed;
    return m->base.stream ? 0 : ft_oai_writer_keep(&m->base, to->len - before);
}

static int begin_call(struct message *m, const struct ft_piece *p, struct ft_buf *out)
{
    close_block(m, out);
    FT_OAI_LIT(&m->head, "\"id\":");
    ft_oai_write_string(&m->head, p->call_id.p, p->call_id.n);
    FT_OAI_LIT(&m->head, ",\"name\":");
    ft_oai_write_string(&m->head, p->text.p, p->text.n);
    open_block(m, TOOL, out);
    return m->head.failed;
}

static int take_finish(struct message *m, const struct ft_piece *p)
{
    m->finish = p->finish;
    if (p->stop.p == NULL)
        return 0;
    free(m->stop);
    m->stop = strndup(p->stop.p, p->stop.n);
    return m->stop != NULL ? 0 : FT_ENOMEM;
}

static void take_end(struct message *m, const struct ft_answer_usage *usage, struct ft_buf *out)
{
    if (m->count) {
        FT_OAI_LIT(out, "{\"input_tokens\":");
        ft_oai_write_int(out, usage->prompt_tokens);
        ft_buf_add_byte(out, '}');
        return;
    }
    close_block(m, out);
    if (!m->base.stream) {
        write_head(m, out);
        ft_buf_add(out, m->blocks.data, m->blocks.len);
        FT_OAI_LIT(out, "],");
        write_stop(m, out);
        ft_buf_add_byte(out, ',');
        write_usage(usage, out);
        ft_buf_add_byte(out, '}');
        return;
    }
    begin_event("message_delta", out);
    FT_OAI_LIT(out, ",\"delta\":{");
    write_stop(m, out);
    FT_OAI_LIT(out, "},");
    write_usage(usage, out);
    end_event(out);
    begin_event("message_stop", out);
    end_event(out);
}

static int message_piece(struct ft_oai_writer *w, const struct ft_piece *p, struct ft_buf *out)
{
    struct message *m = (struct message *)w;
    if (p->kind == FT_PIECE_RESULT)
        return 0; /* a count: END says it too */
    if (p->choice != 0)
        return FT_EINTERNAL;
    begin(m,
          &(struct ft_answer_usage){.prompt_tokens = p->usage.prompt_tokens,
                                    .cached_tokens = p->usage.cached_tokens},
          out);
    switch (p->kind) {
    case FT_PIECE_CONTENT:
        return add_text(m, TEXT, p->text, out);
    case FT_PIECE_REASONING:
        return m->omit_thinking ? 0 : add_text(m, THINKING, p->text, out);
    case FT_PIECE_CALL_BEGIN:
        return begin_call(m, p, out);
    case FT_PIECE_CALL_ARGS:
        return m->open == TOOL ? add_text(m, TOOL, p->text, out) : FT_EINTERNAL;
    case FT_PIECE_FINISH:
        return take_finish(m, p);
    case FT_PIECE_STEP:
        flush(m, out);
        return 0;
    case FT_PIECE_END:
        take_end(m, &p->usage, out);
        return m->blocks.failed;
    case FT_PIECE_RESULT:
        break;
    }
    return 0;
}

static void message_fail(struct ft_oai_writer *w, const struct ft_oai_error *e, struct ft_buf *out)
{
    ft_anthropic_error_write(e, ((struct message *)w)->id, out);
}

static void message_fail_stream(struct ft_oai_writer *w, const struct ft_oai_error *e,
                                struct ft_buf *out)
{
    flush((struct message *)w, out);
    FT_OAI_LIT(out, "event: error\ndata: ");
    message_fail(w, e, out);
    FT_OAI_LIT(out, "\n\n");
}

static void message_close(struct ft_oai_writer *w)
{
    struct message *m = (struct message *)w;
    ft_buf_fini(&m->blocks);
    ft_buf_fini(&m->head);
    ft_buf_fini(&m->text);
    ft_buf_fini(&m->delta);
    free(m->id);
    free(m->model);
    free(m->stop);
}

static const struct ft_oai_writer_ops message_ops = {
    .piece = message_piece,
    .fail_stream = message_fail_stream,
    .fail = message_fail,
    .rename = ft_anthropic_rename,
    .status = ft_anthropic_error_status,
    .close = message_close,
};

int ft_anthropic_writer_open(const struct ft_oai_writer_config *cfg,
                             const struct ft_anthropic_request *r, struct ft_oai_writer **ret,
                             struct ft_err *err)
{
    struct message *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for the answer");
    m->base.ops = &message_ops;
    m->base.stream = r->stream;
    m->count = r->chat.kind == FT_TASK_COUNT;
    m->omit_thinking = r->omit_thinking;
    m->id = strdup(cfg->id);
    m->model = strdup(cfg->model);
    ft_buf_init(&m->blocks, FT_OAI_ANSWER_BYTES_MAX);
    ft_buf_init(&m->head, FT_OAI_ANSWER_BYTES_MAX);
    ft_buf_init(&m->text, FT_OAI_ANSWER_BYTES_MAX);
    ft_buf_init(&m->delta, FT_OAI_ANSWER_BYTES_MAX);
    if (m->id == NULL || m->model == NULL) {
        ft_oai_writer_close(&m->base);
        return ft_err_set(err, FT_ENOMEM, "no memory for the answer");
    }
    *ret = &m->base;
    return 0;
}
