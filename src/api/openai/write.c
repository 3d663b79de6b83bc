/* Streams of chat and completions: a step's pieces become the entry of one chunk.
 *
 * An entry is written as the pieces come and stays open until the step ends:
 *
 *     {"index":0,"delta":{"reasoning_content":"..","content":"..","tool_calls":[{..}]}
 *                         ^ phase 1              ^ 2             ^ 3
 *
 * Phases only go up in one entry; a piece that would go back begins another: of the same event in
 * the worker's form, of the next chunk in the clients'. */
#include "api/openai/write.h"

#include <stdlib.h>
#include <string.h>

#include "api/openai/answer.h"

#define STEP_BYTES_MAX  ((size_t)16 << 20)
#define STEP_BYTES_KEPT 4096 /* memory that a stream keeps between steps */

enum phase { NOTHING, REASONING, CONTENT, CALLS };

struct choice {
    bool begun;     /* its role was told */
    int64_t offset; /* completions with log-probabilities: characters so far */
};

struct stream {
    struct ft_oai_writer base;
    bool chat, worker, include_usage, logprobs;
    int n;           /* of choice */
    int prompt_told; /* worker: prompt tokens that steps have told of */
    struct choice *choice;
    char *head; /* {"id":..,"object":..,"created":..,"model":.. */
    size_t head_n;
    /* the open step */
    int at; /* its choice */
    enum phase phase;
    int call;             /* CALLS: which is open */
    struct ft_buf entry;  /* the open entry, up to within its delta */
    struct ft_buf before; /* worker: whole entries of this event, each with a comma behind */
    bool finished;
    enum ft_answer_finish finish;
    char *stop; /* a stop string, or NULL */
};

/* ---- entries ---- */

/* What is open inside the delta is closed. */
static void close_phase(struct stream *s)
{
    if (s->phase == REASONING || s->phase == CONTENT)
        ft_buf_add_byte(&s->entry, '"');
    if (s->phase == CALLS)
        FT_OAI_LIT(&s->entry, "\"}}]");
}

static void open_entry(struct stream *s)
{
    struct choice *c = &s->choice[s->at];
    FT_OAI_LIT(&s->entry, "{\"index\":");
    ft_oai_write_int(&s->entry, s->at);
    if (!s->chat) {
        FT_OAI_LIT(&s->entry, ",\"text\":\"");
        s->phase = CONTENT;
        return;
    }
    FT_OAI_LIT(&s->entry, ",\"delta\":{");
    if (!c->begun)
        FT_OAI_LIT(&s->entry, "\"role\":\"assistant\"");
    c->begun = true;
}

static void write_logprobs(struct stream *s, const json_t *logprobs)
{
    struct ft_buf *out = &s->entry;
    FT_OAI_LIT(out, ",\"logprobs\":");
    if (logprobs == NULL) {
        FT_OAI_LIT(out, "null");
    } else if (s->chat) {
        int n = 0;
        double sum = 0;
        FT_OAI_LIT(out, "{\"content\":[");
        ft_oai_logprobs_chat(out, logprobs, &n, &sum);
        FT_OAI_LIT(out, "],\"refusal\":null}");
    } else {
        struct ft_oai_text_logprobs l;
        ft_oai_text_logprobs_init(&l);
        ft_oai_text_logprobs_add(&l, logprobs, &s->choice[s->at].offset);
        ft_oai_text_logprobs_write(&l, out);
        ft_oai_text_logprobs_fini(&l);
    }
}

/* finish: the choice's end is told in this entry. */
static void close_entry(struct stream *s, const json_t *logprobs, bool finish)
{
    struct ft_buf *out = &s->entry;
    close_phase(s);
    s->phase = NOTHING;
    if (s->chat)
        ft_buf_add_byte(out, '}');
    write_logprobs(s, logprobs);
    FT_OAI_LIT(out, ",\"finish_reason\":");
    if (!finish) {
        FT_OAI_LIT(out, "null}");
        return;
    }
    ft_buf_add_byte(out, '"');
    ft_buf_add_str(out, ft_answer_finish_name(s->finish));
    ft_buf_add_byte(out, '"');
    if (s->stop != NULL) {
        FT_OAI_LIT(out, ",\"stop_reason\":");
        ft_oai_write_string(out, s->stop, strlen(s->stop));
    }
    ft_buf_add_byte(out, '}');
}

/* ---- events ---- */

static void begin_event(struct stream *s, struct ft_buf *out)
{
    FT_OAI_LIT(out, "data: ");
    ft_buf_add(out, s->head, s->head_n);
    FT_OAI_LIT(out, ",\"choices\":[");
}

static void end_chunk(const struct stream *s, struct ft_buf *out)
{
    if (s->include_usage)
        FT_OAI_LIT(out, "],\"usage\":null}\n\n");
    else
        FT_OAI_LIT(out, "]}\n\n");
}

/* OpenAI's first chunk of a choice has its role and no text, and so no log-probabilities: their
 * client counts those of a choice's first chunk twice. Needed only where there are any. */
static void write_role(struct stream *s, bool calls, struct ft_buf *out)
{
    if (s->worker || !s->chat || !s->logprobs || s->choice[s->at].begun)
        return;
    s->choice[s->at].begun = true;
    begin_event(s, out);
    FT_OAI_LIT(out, "{\"index\":");
    ft_oai_write_int(out, s->at);
    FT_OAI_LIT(out, ",\"delta\":{\"role\":\"assistant\",\"content\":");
    ft_buf_add_str(out, calls ? "null" : "\"\"");
    FT_OAI_LIT(out, "},\"logprobs\":null,\"finish_reason\":null}");
    end_chunk(s, out);
}

/* The open entry, closed, as a chunk of its own. */
static void write_chunk(struct stream *s, const json_t *logprobs, bool finish, struct ft_buf *out)
{
    if (s->entry.len == 0) {
        write_role(s, false, out);
        open_entry(s);
    }
    close_entry(s, logprobs, finish);
    begin_event(s, out);
    ft_buf_add(out, s->entry.data, s->entry.len);
    end_chunk(s, out);
    ft_buf_reset(&s->entry);
}

static void forget_step(struct stream *s)
{
    free(s->stop);
    s->stop = NULL;
    s->finished = false;
    struct ft_buf *const bufs[] = {&s->entry, &s->before};
    for (size_t i = 0; i < FT_COUNT(bufs); i++) {
        if (bufs[i]->cap > STEP_BYTES_KEPT)
            ft_buf_fini(bufs[i]);
        else
            ft_buf_reset(bufs[i]);
    }
}

/* Clients' form: the text, then the end of the choice. */
static void flush_chunks(struct stream *s, const json_t *logprobs, struct ft_buf *out)
{
    if (s->entry.len > 0 || logprobs != NULL)
        write_chunk(s, logprobs, false, out);
    if (s->finished)
        write_chunk(s, NULL, true, out);
}

/* The worker's form: one event, tokens or not. */
static void flush_event(struct stream *s, const struct ft_piece *step, const json_t *logprobs,
                        struct ft_buf *out)
{
    bool entry = s->entry.len > 0 || s->finished || logprobs != NULL;
    if (!entry && step == NULL)
        return;
    begin_event(s, out);
    if (s->entry.len == 0 && entry)
        open_entry(s);
    if (entry)
        close_entry(s, logprobs, s->finished);
    ft_buf_add(out, s->before.data, s->before.len);
    ft_buf_add(out, s->entry.data, s->entry.len);
    FT_OAI_LIT(out, "],\"feitian\":{\"i\":");
    ft_oai_write_int(out, s->at);
    if (step != NULL && step->usage.prompt_tokens != s->prompt_told) {
        s->prompt_told = step->usage.prompt_tokens;
        FT_OAI_LIT(out, ",\"p\":");
        ft_oai_write_int(out, step->usage.prompt_tokens);
        FT_OAI_LIT(out, ",\"c\":");
        ft_oai_write_int(out, step->usage.cached_tokens);
    }
    FT_OAI_LIT(out, ",\"t\":[");
    for (int i = 0; step != NULL && i < step->n_token; i++) {
        if (i > 0)
            ft_buf_add_byte(out, ',');
        ft_oai_write_int(out, step->token[i]);
    }
    FT_OAI_LIT(out, "]}}\n\n");
}

/* step: the STEP piece, or NULL when the step ends without one. */
static int flush(struct stream *s, const struct ft_piece *step, struct ft_buf *out)
{
    const json_t *logprobs = step != NULL && s->logprobs ? step->logprobs : NULL;
    if (s->worker)
        flush_event(s, step, logprobs, out);
    else
        flush_chunks(s, logprobs, out);
    int rc = s->entry.failed != 0 ? s->entry.failed : s->before.failed;
    forget_step(s);
    return rc;
}

/* ---- pieces ---- */

/* The entry is open and its delta ready for a member of this phase. */
static void enter(struct stream *s, enum phase phase, struct ft_buf *out)
{
    if (s->entry.len > 0 && s->phase > phase) {
        if (s->worker) {
            close_entry(s, NULL, false);
            ft_buf_add(&s->before, s->entry.data, s->entry.len);
            ft_buf_add_byte(&s->before, ',');
            ft_buf_reset(&s->entry);
        } else {
            write_chunk(s, NULL, false, out);
        }
    }
    if (s->entry.len == 0)
        write_role(s, phase == CALLS, out);
    bool first = s->entry.len == 0 && s->chat && !s->choice[s->at].begun;
    if (s->entry.len == 0)
        open_entry(s);
    if (s->phase == phase)
        return;
    close_phase(s);
    if (first && phase == CALLS)
        FT_OAI_LIT(&s->entry, ",\"content\":null");
    if (first || s->phase != NOTHING)
        ft_buf_add_byte(&s->entry, ',');
    s->phase = phase;
}

static void add_text(struct stream *s, enum phase phase, struct ft_slice text, struct ft_buf *out)
{
    bool open = s->entry.len > 0 && s->phase == phase;
    enter(s, phase, out);
    if (!open && s->chat && phase == CONTENT)
        FT_OAI_LIT(&s->entry, "\"content\":\"");
    if (!open && phase == REASONING)
        FT_OAI_LIT(&s->entry, "\"reasoning_content\":\"");
    ft_oai_write_escaped(&s->entry, text.p, text.n);
}

static void open_call(struct stream *s, const struct ft_piece *p, struct ft_buf *out)
{
    bool open = s->entry.len > 0 && s->phase == CALLS;
    enter(s, CALLS, out);
    if (open)
        FT_OAI_LIT(&s->entry, "\"}},");
    else
        FT_OAI_LIT(&s->entry, "\"tool_calls\":[");
    FT_OAI_LIT(&s->entry, "{\"index\":");
    ft_oai_write_int(&s->entry, p->call);
    s->call = p->call;
    if (p->kind == FT_PIECE_CALL_ARGS) {
        FT_OAI_LIT(&s->entry, ",\"function\":{\"arguments\":\"");
        return;
    }
    FT_OAI_LIT(&s->entry, ",\"id\":");
    ft_oai_write_string(&s->entry, p->call_id.p, p->call_id.n);
    FT_OAI_LIT(&s->entry, ",\"type\":\"function\",\"function\":{\"name\":");
    ft_oai_write_string(&s->entry, p->text.p, p->text.n);
    FT_OAI_LIT(&s->entry, ",\"arguments\":\"");
}

static void add_args(struct stream *s, const struct ft_piece *p, struct ft_buf *out)
{
    if (s->entry.len == 0 || s->phase != CALLS || s->call != p->call)
        open_call(s, p, out);
    ft_oai_write_escaped(&s->entry, p->text.p, p->text.n);
}

static int take_finish(struct stream *s, const struct ft_piece *p)
{
    s->finished = true;
    s->finish = p->finish;
    if (s->worker && p->stop.p != NULL) {
        free(s->stop);
        s->stop = strndup(p->stop.p, p->stop.n);
        if (s->stop == NULL)
            return FT_ENOMEM;
    }
    return 0;
}

/* The worker's own, as far as there are any. */
static void write_phases(struct ft_buf *out, const struct ft_phases *p)
{
    bool any = false;
    for (int i = FT_PHASE_FIELDS - FT_PHASE_FIELDS_WORKER; i < FT_PHASE_FIELDS; i++) {
        int64_t v = ft_phase_get(p, i);
        if (v <= 0)
            continue;
        ft_buf_add_str(out, any ? ",\"" : ",\"ph\":{\"");
        ft_buf_add_str(out, ft_phase_fields[i].name);
        FT_OAI_LIT(out, "\":");
        ft_oai_write_int(out, v);
        any = true;
    }
    if (any)
        ft_buf_add_byte(out, '}');
}

void ft_oai_write_cost(struct ft_buf *out, const struct ft_answer_usage *u)
{
    FT_OAI_LIT(out, ",\"feitian\":{\"cpu_us\":");
    ft_oai_write_int(out, u->cpu_us);
    FT_OAI_LIT(out, ",\"uj\":");
    ft_oai_write_int(out, u->energy_uj);
    ft_buf_add_str(out, u->energy_estimated ? ",\"uj_estimated\":true" : ",\"uj_estimated\":false");
    if (u->phases != NULL)
        write_phases(out, u->phases);
    ft_buf_add_byte(out, '}');
}

static int take_end(struct stream *s, const struct ft_piece *p, struct ft_buf *out)
{
    int rc = flush(s, NULL, out);
    if (s->worker || s->include_usage) {
        begin_event(s, out);
        FT_OAI_LIT(out, "],");
        ft_oai_write_usage(out, &p->usage);
        if (s->worker)
            ft_oai_write_cost(out, &p->usage);
        FT_OAI_LIT(out, "}\n\n");
    }
    FT_OAI_LIT(out, "data: [DONE]\n\n");
    return rc;
}

static int stream_piece(struct ft_oai_writer *w, const struct ft_piece *p, struct ft_buf *out)
{
    struct stream *s = (struct stream *)w;
    if (p->kind == FT_PIECE_END)
        return take_end(s, p, out);
    if (p->choice < 0 || p->choice >= s->n || p->kind == FT_PIECE_RESULT)
        return FT_EINTERNAL;
    if (p->choice != s->at) {
        int rc = flush(s, NULL, out);
        if (rc != 0)
            return rc;
        s->at = p->choice;
    }
    switch (p->kind) {
    case FT_PIECE_CONTENT:
        add_text(s, CONTENT, p->text, out);
        break;
    case FT_PIECE_REASONING:
        add_text(s, s->chat ? REASONING : CONTENT, p->text, out);
        break;
    case FT_PIECE_CALL_BEGIN:
        open_call(s, p, out);
        break;
    case FT_PIECE_CALL_ARGS:
        add_args(s, p, out);
        break;
    case FT_PIECE_FINISH:
        return take_finish(s, p);
    case FT_PIECE_STEP:
        return flush(s, p, out);
    case FT_PIECE_RESULT:
    case FT_PIECE_END:
        break;
    }
    return s->entry.failed;
}

/* ---- the rest ---- */

static void stream_fail(struct ft_oai_writer *w, const struct ft_oai_error *e, struct ft_buf *out)
{
    struct stream *s = (struct stream *)w;
    if (!s->worker) /* whose step is whole or was not */
        flush(s, NULL, out);
    FT_OAI_LIT(out, "data: ");
    ft_oai_error_write(e, out);
    if (s->worker && out->failed == 0) {
        out->len--; /* the closing brace */
        FT_OAI_LIT(out, ",\"feitian\":{\"code\":\"");
        ft_buf_add_str(out, ft_code_name(e->err.code));
        FT_OAI_LIT(out, "\"}}");
    }
    FT_OAI_LIT(out, "\n\ndata: [DONE]\n\n");
}

static void stream_close(struct ft_oai_writer *w)
{
    struct stream *s = (struct stream *)w;
    forget_step(s);
    ft_buf_fini(&s->entry);
    ft_buf_fini(&s->before);
    free(s->choice);
    free(s->head);
}

static const struct ft_oai_writer_ops stream_ops = {
    .piece = stream_piece,
    .fail_stream = stream_fail,
    .fail = ft_oai_answer_fail,
    .close = stream_close,
};

static int open_stream(const struct ft_oai_writer_config *cfg, const struct ft_oai_request *q,
                       struct ft_oai_writer **ret)
{
    struct stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return FT_ENOMEM;
    bool chat = q->kind == FT_TASK_CHAT;
    s->base.ops = &stream_ops;
    s->base.stream = true;
    s->chat = chat;
    s->worker = cfg->worker;
    s->include_usage = q->include_usage;
    s->logprobs = q->logprobs;
    s->n = q->best_of * (int)FT_MAX(q->n_input, 1);
    s->choice = calloc((size_t)s->n, sizeof *s->choice);
    ft_buf_init(&s->entry, STEP_BYTES_MAX);
    ft_buf_init(&s->before, STEP_BYTES_MAX);
    struct ft_buf head;
    ft_buf_init(&head, STEP_BYTES_MAX);
    ft_oai_answer_head(&head, cfg, q->kind, chat ? "chat.completion.chunk" : "text_completion");
    s->head = head.data;
    s->head_n = head.len;
    *ret = &s->base;
    return head.failed != 0 || s->choice == NULL ? FT_ENOMEM : 0;
}

int ft_oai_writer_open(const struct ft_oai_writer_config *cfg, const struct ft_oai_request *q,
                       struct ft_oai_writer **ret, struct ft_err *err)
{
    struct ft_oai_writer *w = NULL;
    bool generates = q->kind == FT_TASK_CHAT || q->kind == FT_TASK_TEXT;
    int rc = generates && q->stream ? open_stream(cfg, q, &w) : ft_oai_answer_open(cfg, q, &w);
    if (rc != 0) {
        ft_oai_writer_close(w);
        return ft_err_set(err, (enum ft_code)rc, "no memory for the answer");
    }
    *ret = w;
    return 0;
}
