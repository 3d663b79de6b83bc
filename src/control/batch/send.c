/* A batch's lines at the gateway, many at a time, and their results into files and the store.
 *
 *   TO_SEND --(sent)--> FLYING --(answered)--> waiting for the commit --> DONE
 *     ^                 '--(again: the gateway is away, asks for patience)--.
 *     '----------------------------------------------------------------------'
 *
 * How many fly is found out: one more after each that went well, half after a refusal. Who answers
 * "again" is asked after a pause that grows. Results are committed together, as many as are there:
 * written behind what was committed, synced, then one transaction. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "control/batch/run.h"
#include "ledger/record.h"
#include "ledger/store.h"

#define ANSWER_MAX     ((size_t)32 << 20)
#define PENDING_MAX    ((size_t)8 << 20) /* bytes of results that wait for their commit */
#define PENDING_LINES  256
#define PENDING_BOUND  ((size_t)512 << 20)
#define CALL_MS        (3600 * 1000)
#define TICK_MS        100
#define BACKOFF_MS     100
#define BACKOFF_MS_MAX 30000
#define AWAY_MS_MAX    2000 /* between tries while the gateway is away */
#define TRIES_FAULT    5    /* of a line that is answered 5xx, or not within CALL_MS */
#define TRIES_WAIT     50   /* of one that is told to wait (503) */
#define COMMIT_MS      500  /* between tries while the store is in trouble */

enum line_state { TO_SEND, FLYING, DONE };

struct sender;

struct flight {
    struct sender *s;
    struct ft_http_call *call; /* of one that is on its way; the sender's */
    int line;                  /* index */
    bool flying;
    /* what came */
    int status;
    int64_t retry_ms;
    bool final; /* x-should-retry: false */
    char request_id[BATCH_LINE_ID_BYTES];
    char *record;
    struct ft_buf body;
    struct ft_err err;
    bool broken;
};

struct sender {
    struct batch *b;
    uint8_t *state, *tries;
    struct ft_mailbox *landed;
    struct flight flight[BATCH_IN_FLIGHT];
    int n_flying;
    int window; /* how many may fly */
    int next;   /* no line before it is TO_SEND, but those to be sent again */
    int *again; /* lines to be sent again */
    int n_again;
    int64_t pause_until_ns;
    int backoff_ms;
    bool said; /* why nothing goes on is in the row */
    enum batch_end end;
    /* what waits for its commit */
    struct ft_buf out, err, records;
    struct bt_progress then; /* once it is */
    int *line;
    int n_line;
    bool *answered;
};

/* ---- on the client's thread ---- */

static void on_head(void *ctx, const struct ft_http_answer_head *head)
{
    struct flight *f = ctx;
    const char *id = ft_http_answer_header(head, "x-request-id");
    const char *record = ft_http_answer_header(head, "x-feitian-record");
    const char *retry = ft_http_answer_header(head, "x-should-retry");
    const char *ms = ft_http_answer_header(head, "retry-after-ms");
    f->status = head->status;
    f->final = retry != NULL && strcmp(retry, "false") == 0;
    f->retry_ms = ms != NULL ? strtoll(ms, NULL, 10) : 0;
    snprintf(f->request_id, sizeof f->request_id, "%s", id != NULL ? id : "");
    free(f->record);
    f->record = record != NULL ? strdup(record) : NULL;
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    ft_buf_add(&((struct flight *)ctx)->body, data, n); /* a failure is seen at the end */
    return true;
}

static void on_done(void *ctx, const struct ft_err *err)
{
    struct flight *f = ctx;
    f->broken = err != NULL;
    if (err != NULL)
        f->err = *err;
    ft_mailbox_post(f->s->landed, &f); /* never full: a place a flight */
}

/* ---- sending ---- */

/* What the line is called wherever it is a request (ft_record_batch), however often it is sent. */
static void line_id(const struct sender *s, int line, char ret[BATCH_LINE_ID_BYTES])
{
    snprintf(ret, BATCH_LINE_ID_BYTES, "%s.%d", s->b->id, s->b->lines.line[line].number);
}

static int start(struct sender *s, struct flight *f, int line, struct ft_err *err)
{
    struct batch *b = s->b;
    const struct ft_batch_line *l = &b->lines.line[line];
    const char *text = (const char *)b->input.data + l->at;
    char url[96], key[CTL_ID_MAX + 32], batch[BATCH_LINE_ID_BYTES + 32];
    char name[BATCH_LINE_ID_BYTES];
    struct ft_slice id, body;
    int rc = ft_batch_line_read(text, l->n, &id, &body, err);
    line_id(s, line, name);
    free(f->record); /* of the line before */
    f->record = NULL;
    f->line = line;
    f->status = 0;
    f->broken = f->final = false;
    f->retry_ms = 0;
    f->request_id[0] = '\0';
    ft_buf_reset(&f->body);
    f->body.failed = 0;
    f->call = NULL;
    if (rc != 0)
        return rc;
    snprintf(url, sizeof url, "http://gateway%s", b->endpoint);
    snprintf(key, sizeof key, "X-Feitian-Key: %s", b->key);
    snprintf(batch, sizeof batch, "X-Feitian-Batch: %s", name);
    const char *headers[] = {key, batch, "Content-Type: application/json"};
    struct ft_http_call_config c = {.method = "POST",
                                    .url = url,
                                    .unix_socket = ft_inside_socket(b->ctl->inside),
                                    .headers = headers,
                                    .n_headers = (int)FT_COUNT(headers),
                                    .body = body.p,
                                    .n_body = body.n,
                                    .total_timeout_ms = CALL_MS,
                                    .on_head = on_head,
                                    .on_data = on_data,
                                    .on_done = on_done,
                                    .ctx = f};
    f->flying = true;
    s->n_flying++;
    s->state[line] = FLYING;
    rc = ft_http_call_start(ft_inside_client(b->ctl->inside), &c, &f->call, err);
    if (rc != 0) {
        f->flying = false;
        s->n_flying--;
        s->state[line] = TO_SEND;
    }
    return rc;
}

/* ---- results ---- */

/* A text as JSON. */
static void add_json_text(struct ft_buf *b, const char *text)
{
    json_t *v = json_string_nocheck(text);
    char *s = v != NULL ? json_dumps(v, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    ft_buf_add_str(b, s != NULL ? s : "null");
    free(s);
    json_decref(v);
}

/* {"id","custom_id", and what stands before the body. */
static void add_head(struct sender *s, struct ft_buf *to, int line)
{
    struct batch *b = s->b;
    const struct ft_batch_line *l = &b->lines.line[line];
    struct ft_slice id = {0}, body;
    ft_batch_line_read((const char *)b->input.data + l->at, l->n, &id, &body, NULL);
    ft_buf_addf(to, "{\"id\":\"batch_req_%s_%d\",\"custom_id\":", strrchr(b->id, '_') + 1,
                l->number);
    if (id.n > 0)
        ft_buf_add(to, id.p, id.n);
    else
        ft_buf_add_str(to, "null");
}

static void add_answer(struct sender *s, struct ft_buf *to, const struct flight *f)
{
    add_head(s, to, f->line);
    ft_buf_addf(to, ",\"response\":{\"status_code\":%d,\"request_id\":", f->status);
    add_json_text(to, f->request_id);
    ft_buf_add_str(to, ",\"body\":");
    size_t at = to->len;
    json_error_t why;
    json_t *body =
        f->body.len > 0 ? json_loadb(f->body.data, f->body.len, JSON_DECODE_ANY, &why) : NULL;
    if (body != NULL)
        ft_buf_add(to, f->body.data, f->body.len); /* its figures as they were written */
    else
        ft_buf_add_str(to, "null");
    json_decref(body);
    for (size_t i = at; i < to->len; i++)
        if (to->data[i] == '\n' || to->data[i] == '\r') /* none is within a text */
            to->data[i] = ' ';
    ft_buf_add_str(to, "},\"error\":null}\n");
}

static void add_error(struct sender *s, int line, const char *code, const char *message)
{
    add_head(s, &s->err, line);
    ft_buf_addf(&s->err, ",\"response\":null,\"error\":{\"code\":\"%s\",\"message\":", code);
    add_json_text(&s->err, message);
    ft_buf_add_str(&s->err, "}}\n");
}

/* The line's usage, under an id that tells batch and line: the store takes each once. */
static void add_record(struct sender *s, const struct flight *f)
{
    struct batch *b = s->b;
    struct ft_record r = {.status = FT_RECORD_REFUSED, .requests = 1, .http = f->status};
    struct ft_err err = {0};
    r.start_us = r.end_us = ft_clock_unix_us();
    if (f->record != NULL && ft_record_parse(f->record, strlen(f->record), &r, &err) != 0)
        ft_log(FT_LOG_ERROR, "control", "%s: the record of a line is none: %s", b->id, err.msg);
    if (f->record == NULL && f->status / 100 == 2)
        ft_log(FT_LOG_ERROR, "control", "%s: an answer came without its record", b->id);
    line_id(s, f->line, r.id);
    snprintf(r.project, sizeof r.project, "%s", b->project);
    snprintf(r.key, sizeof r.key, "%s", b->key);
    if (r.route[0] == '\0')
        snprintf(r.route, sizeof r.route, "%s", b->route);
    ft_record_write(&r, &s->records);
    s->then.prompt_tokens += r.prompt_tokens;
    s->then.cached_tokens += r.cached_tokens;
    s->then.completion_tokens += r.completion_tokens;
    s->then.reasoning_tokens += r.reasoning_tokens;
}

static void add_line(struct sender *s, int line, bool ok)
{
    s->line[s->n_line++] = line;
    s->then.completed += ok;
    s->then.failed += !ok;
}

static void take_result(struct sender *s, const struct flight *f, bool ok)
{
    add_answer(s, ok ? &s->out : &s->err, f);
    add_record(s, f);
    add_line(s, f->line, ok);
}

/* ---- the commit ---- */

static int write_at(int fd, const struct ft_buf *b, int64_t at, const char *name,
                    struct ft_err *err)
{
    for (size_t done = 0; done < b->len;) {
        ssize_t n = pwrite(fd, b->data + done, b->len - done, at + (int64_t)done);
        if (n < 0 && errno != EINTR)
            return ft_err_sys(err, "batch: write its %s", name);
        done += n > 0 ? (size_t)n : 0;
    }
    return b->len == 0 || fdatasync(fd) == 0 ? 0 : ft_err_sys(err, "batch: sync its %s", name);
}

static int commit_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct sender *s = ctx;
    int64_t is_new;
    int rc = bt_progress_set(tx, s->b->id, &s->then, err);
    if (rc == 0 && s->records.len > 0)
        rc = ft_usage_put(tx, s->records.data, s->records.len, &is_new, err);
    return rc;
}

static int try_commit(struct sender *s, struct ft_err *err)
{
    struct batch *b = s->b;
    s->then.out_bytes = b->done.out_bytes + (int64_t)s->out.len;
    s->then.err_bytes = b->done.err_bytes + (int64_t)s->err.len;
    int rc = write_at(b->out_fd, &s->out, b->done.out_bytes, "output", err);
    if (rc == 0)
        rc = write_at(b->err_fd, &s->err, b->done.err_bytes, "errors", err);
    return rc == 0 ? ft_state_tx(b->ctl->state, commit_tx, s, err) : rc;
}

/* Until it is committed, or the process ends (then nothing is, and the lines are sent again). */
static int commit(struct sender *s, struct ft_err *err)
{
    struct batch *b = s->b;
    struct ft_err why = {0};
    int rc = 0;
    if (s->n_line == 0)
        return 0;
    if (s->out.failed != 0 || s->err.failed != 0 || s->records.failed != 0)
        return ft_err_set(err, FT_ENOMEM, "batch: no memory for its results");
    for (bool told = false; (rc = try_commit(s, &why)) != 0; told = true) {
        bool waits = ft_state_is_trouble(rc) || rc == FT_EBUSY || rc == FT_EIO;
        if (!waits || bt_stops(b)) {
            b->gone = rc == FT_ENOTFOUND;
            return ft_err_set(err, waits ? FT_ECANCELED : (enum ft_code)rc, "%s", why.msg);
        }
        if (!told)
            ft_log(FT_LOG_WARN, "control", "%s: its results wait: %s", b->id, why.msg);
        bt_sleep(b, COMMIT_MS);
    }
    b->done = s->then;
    for (int i = 0; i < s->n_line; i++) {
        s->state[s->line[i]] = DONE;
        s->answered[s->line[i]] = true;
    }
    s->n_line = 0;
    ft_buf_reset(&s->out);
    ft_buf_reset(&s->err);
    ft_buf_reset(&s->records);
    return 0;
}

/* ---- verdicts ---- */

enum verdict { WELL, BADLY, AGAIN, NO_BUDGET, NO_KEY };

static enum verdict verdict_of(struct sender *s, const struct flight *f)
{
    uint8_t *tries = &s->tries[f->line];
    if (f->body.failed != 0)
        return BADLY;
    if (f->broken) /* the gateway is away; or it took an hour */
        return f->err.code != FT_ELIMIT || ++*tries < TRIES_FAULT ? AGAIN : BADLY;
    if (f->status / 100 == 2)
        return WELL;
    if (f->status == 401)
        return NO_KEY;
    if (f->status == 429 && !f->final)
        return AGAIN;
    if (f->status == 429)
        return f->body.len > 0 && strstr(f->body.data, "\"insufficient_quota\"") != NULL ? NO_BUDGET
                                                                                         : BADLY;
    if (f->status == 408 || f->status == 503)
        return ++*tries < TRIES_WAIT ? AGAIN : BADLY;
    return f->status >= 500 && ++*tries < TRIES_FAULT ? AGAIN : BADLY;
}

/* A pause; and half as many from now on, where patience was asked for: once for all that were
 * refused together. */
static void back_off(struct sender *s, const struct flight *f)
{
    int64_t now = ft_clock_now_ns();
    if (now < s->pause_until_ns)
        return;
    int most = f->broken ? AWAY_MS_MAX : BACKOFF_MS_MAX;
    int64_t ms = FT_MIN(FT_MAX(f->retry_ms, (int64_t)s->backoff_ms), (int64_t)most);
    s->pause_until_ns = now + ms * 1000000;
    s->backoff_ms = FT_MIN(2 * s->backoff_ms, most);
    s->window = f->broken ? s->window : FT_MAX(1, s->window / 2);
}

static void goes_on(struct sender *s)
{
    s->window = FT_MIN(s->window + 1, BATCH_IN_FLIGHT);
    s->backoff_ms = BACKOFF_MS;
    if (s->said)
        bt_say(s->b, NULL, NULL);
    s->said = false;
}

static void once_more(struct sender *s, const struct flight *f)
{
    s->state[f->line] = TO_SEND;
    s->again[s->n_again++] = f->line;
}

static void land(struct sender *s, struct flight *f)
{
    ft_http_call_unref(f->call);
    f->call = NULL;
    f->flying = false;
    s->n_flying--;
    if (f->broken && f->err.code == FT_ECANCELED && s->end != BATCH_ALL) {
        s->state[f->line] = TO_SEND; /* ours: nothing became of it */
        return;
    }
    switch (verdict_of(s, f)) {
    case WELL:
        goes_on(s);
        take_result(s, f, true);
        break;
    case BADLY:
        if (f->broken || f->body.failed != 0) {
            add_error(s, f->line, f->broken ? "upstream_unavailable" : "answer_too_large",
                      f->broken ? f->err.msg : "The answer is larger than a batch may hold.");
            add_record(s, f);
            add_line(s, f->line, false);
        } else {
            goes_on(s);
            take_result(s, f, false);
        }
        break;
    case NO_KEY:
        once_more(s, f);
        back_off(s, f);
        if (!bt_key_is_good(s->b))
            s->end = BATCH_KEY_GONE;
        break;
    case NO_BUDGET:
        once_more(s, f);
        back_off(s, f);
        if (!s->said)
            bt_say(s->b, "insufficient_quota",
                   "The budget of the key or its project is used up. The batch goes on when "
                   "there is some again, until its completion window ends.");
        s->said = true;
        break;
    case AGAIN:
        once_more(s, f);
        back_off(s, f);
        break;
    }
}

/* ---- the loop ---- */

static enum batch_end why_stop(const struct sender *s)
{
    struct batch *b = s->b;
    return s->end != BATCH_ALL                   ? s->end
           : bt_stops(b)                         ? BATCH_STOPPED
           : atomic_load(&b->cancel)             ? BATCH_CANCELLED
           : (int64_t)time(NULL) >= b->expires_s ? BATCH_EXPIRED
                                                 : BATCH_ALL;
}

/* -1: none. */
static int next_line(struct sender *s)
{
    if (s->n_again > 0)
        return s->again[--s->n_again];
    while (s->next < s->b->lines.n && s->state[s->next] != TO_SEND)
        s->next++;
    return s->next < s->b->lines.n ? s->next : -1;
}

static void send_more(struct sender *s)
{
    for (int i = 0;
         i < BATCH_IN_FLIGHT && s->n_flying < s->window && ft_clock_now_ns() >= s->pause_until_ns;
         i++) {
        struct ft_err err = {0};
        struct flight *f = &s->flight[i];
        int line = f->flying ? -1 : next_line(s);
        if (line < 0)
            continue;
        if (start(s, f, line, &err) != 0) { /* deeper than can be sent, or no memory */
            f->status = 400;
            add_error(s, line, "invalid_json_line", err.msg);
            add_record(s, f);
            add_line(s, line, false);
            s->state[line] = FLYING; /* until its commit */
        }
    }
}

static bool cancel_all(struct sender *s)
{
    for (int i = 0; i < BATCH_IN_FLIGHT; i++)
        if (s->flight[i].flying && s->flight[i].call != NULL)
            ft_http_call_cancel(s->flight[i].call);
    return true;
}

static int run(struct sender *s, struct ft_err *err)
{
    int rc = 0;
    for (bool cancelled = false; rc == 0;) {
        struct flight *f;
        s->end = why_stop(s);
        if (s->end == BATCH_ALL)
            send_more(s);
        else if (!cancelled)
            cancelled = cancel_all(s);
        if (s->n_flying == 0 && s->n_line == 0 &&
            (s->end != BATCH_ALL || (s->next >= s->b->lines.n && s->n_again == 0)))
            break;
        int got = ft_mailbox_take(s->landed, &f, s->n_line > 0 ? 0 : TICK_MS);
        if (got == 0)
            land(s, f);
        size_t bytes = s->out.len + s->err.len;
        if (got != 0 || s->n_line >= PENDING_LINES || bytes >= PENDING_MAX)
            rc = commit(s, err);
    }
    return rc;
}

static int sender_open(struct sender *s, struct batch *b, bool *answered, struct ft_err *err)
{
    size_t n = (size_t)FT_MAX(b->lines.n, 1);
    s->b = b;
    s->answered = answered;
    s->state = calloc(n, 1);
    s->tries = calloc(n, 1);
    s->again = calloc(n, sizeof *s->again);
    s->line = calloc(n + PENDING_LINES, sizeof *s->line);
    s->window = BATCH_IN_FLIGHT / 4;
    s->backoff_ms = BACKOFF_MS;
    s->then = b->done;
    ft_buf_init(&s->out, PENDING_BOUND);
    ft_buf_init(&s->err, PENDING_BOUND);
    ft_buf_init(&s->records, PENDING_BOUND);
    for (int i = 0; i < BATCH_IN_FLIGHT; i++) {
        s->flight[i].s = s;
        ft_buf_init(&s->flight[i].body, ANSWER_MAX);
    }
    if (s->state == NULL || s->tries == NULL || s->again == NULL || s->line == NULL)
        return ft_err_set(err, FT_ENOMEM, "batch: no memory");
    for (int i = 0; i < b->lines.n; i++)
        s->state[i] = answered[i] ? DONE : TO_SEND;
    return ft_mailbox_open(BATCH_IN_FLIGHT, sizeof(struct flight *), &s->landed, err);
}

static void sender_close(struct sender *s)
{
    struct flight *f;
    cancel_all(s);
    while (s->n_flying > 0 && ft_mailbox_take(s->landed, &f, -1) == 0) {
        ft_http_call_unref(f->call);
        f->call = NULL;
        f->flying = false;
        s->n_flying--;
    }
    for (int i = 0; i < BATCH_IN_FLIGHT; i++) {
        ft_buf_fini(&s->flight[i].body);
        free(s->flight[i].record);
    }
    ft_mailbox_close(s->landed);
    ft_buf_fini(&s->out);
    ft_buf_fini(&s->err);
    ft_buf_fini(&s->records);
    free(s->state);
    free(s->tries);
    free(s->again);
    free(s->line);
    free(s);
}

int bt_send(struct batch *b, bool *answered, enum batch_end *ret, struct ft_err *err)
{
    struct sender *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "batch: no memory");
    int rc = sender_open(s, b, answered, err);
    if (rc == 0)
        rc = run(s, err);
    if (rc == 0)
        *ret = s->end;
    sender_close(s);
    return rc;
}

int bt_send_none(struct batch *b, bool *answered, const char *code, const char *message,
                 struct ft_err *err)
{
    struct sender *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "batch: no memory");
    int rc = sender_open(s, b, answered, err);
    for (int i = 0; rc == 0 && i < b->lines.n; i++) {
        if (answered[i])
            continue;
        add_error(s, i, code, message);
        add_line(s, i, false);
        if (s->n_line >= PENDING_LINES)
            rc = commit(s, err);
    }
    if (rc == 0)
        rc = commit(s, err);
    sender_close(s);
    return rc;
}
