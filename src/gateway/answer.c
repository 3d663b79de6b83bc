/* Answers: headers that all have, errors in the caller's protocol. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/anthropic/messages.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "gateway/inner.h"
#include "gateway/watch/requests.h"
#include "net/xml.h"

#define ERROR_BYTES_MAX ((size_t)FT_OAI_ERROR_BYTES_MAX)

static int add(struct ft_http_field *ret, int at, int n, const char *name, const char *value)
{
    if (at < n && value != NULL)
        ret[at++] = (struct ft_http_field){name, value};
    return at;
}

static const char *number(struct gw_request *r, int64_t v)
{
    char s[24];
    int n = snprintf(s, sizeof s, "%lld", (long long)v);
    return ft_arena_strndup(&r->x->arena, s, (size_t)n);
}

/* "17ms", "6s", "1m30s": as OpenAI writes the time until a limit is whole again. */
static const char *span(struct gw_request *r, int64_t ms)
{
    char s[40];
    int n;
    if (ms < 1000)
        n = snprintf(s, sizeof s, "%lldms", (long long)ms);
    else if (ms < 60000)
        n = snprintf(s, sizeof s, "%.3gs", (double)ms / 1000);
    else
        n = snprintf(s, sizeof s, "%lldm%llds", (long long)(ms / 60000),
                     (long long)(ms / 1000 % 60));
    return ft_arena_strndup(&r->x->arena, s, (size_t)n);
}

int gw_fields(struct gw_request *r, struct ft_http_field *ret, int n)
{
    const struct ft_tenant_rate *q = &r->limits.requests, *t = &r->limits.tokens;
    int at = add(ret, 0, n, "x-request-id", r->id);
    if (r->style == GW_ANTHROPIC)
        at = add(ret, at, n, "request-id", r->id);
    at = add(ret, at, n, "x-feitian-record", r->record);
    if (r->x->path != NULL && strncmp(r->x->path, "/api/v1/", 8) == 0) { /* may have secrets */
        at = add(ret, at, n, "cache-control", "no-store");
        at = add(ret, at, n, "x-content-type-options", "nosniff");
    }
    at = add(ret, at, n, "set-cookie", r->set_cookie);
    if (!r->measured)
        return at;
    at = add(ret, at, n, "openai-processing-ms",
             number(r, (ft_clock_now_ns() - r->x->begun_ns) / 1000000));
    if (q->limit > 0) {
        at = add(ret, at, n, "x-ratelimit-limit-requests", number(r, q->limit));
        at = add(ret, at, n, "x-ratelimit-remaining-requests", number(r, q->remaining));
        at = add(ret, at, n, "x-ratelimit-reset-requests", span(r, q->reset_ms));
    }
    if (t->limit > 0) {
        at = add(ret, at, n, "x-ratelimit-limit-tokens", number(r, t->limit));
        at = add(ret, at, n, "x-ratelimit-remaining-tokens", number(r, t->remaining));
        at = add(ret, at, n, "x-ratelimit-reset-tokens", span(r, t->reset_ms));
    }
    return at;
}

void gw_respond(struct gw_request *r, int status, const char *type, const void *body, size_t n)
{
    struct ft_http_field f[GW_FIELDS_MAX];
    int n_f = gw_fields(r, f, GW_FIELDS_MAX - 1);
    if (type != NULL)
        f[n_f++] = (struct ft_http_field){"content-type", type};
    atomic_store(&r->status, status);
    ft_http_respond(r->x, status, f, n_f, body, n); /* a client that is gone is not told */
}

void gw_respond_json(struct gw_request *r, json_t *answer)
{
    char *text = answer != NULL ? json_dumps(answer, JSON_COMPACT) : NULL;
    gw_respond(r, text != NULL ? 200 : 500, "application/json", text,
               text != NULL ? strlen(text) : 0);
    free(text);
    json_decref(answer);
}

/* What S3 calls errors of ours: those that come before its own code does. */
static void write_s3(struct ft_buf *b, const struct gw_request *r, const struct ft_oai_error *e,
                     int status)
{
    const char *code = status == 503                    ? "ServiceUnavailable"
                       : status == 401 || status == 403 ? "AccessDenied"
                       : status == 413                  ? "EntityTooLarge"
                       : status < 500                   ? "InvalidRequest"
                                                        : "InternalError";
    struct ft_xml x;
    ft_xml_init(&x, ERROR_BYTES_MAX);
    ft_xml_begin(&x, "Error");
    ft_xml_text(&x, "Code", code);
    ft_xml_text(&x, "Message", ft_oai_error_message(e));
    ft_xml_text(&x, "RequestId", r->id);
    ft_xml_end(&x);
    ft_buf_add(b, x.buf.data, x.buf.len);
    ft_xml_fini(&x);
}

/* Hugging Face's clients go by the headers. */
static int write_hub(struct ft_buf *b, const struct ft_oai_error *e, struct gw_request *r,
                     struct ft_http_field *ret)
{
    const char *message = ft_oai_error_message(e);
    json_t *j = json_pack("{s:s}", "error", message);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    if (text != NULL)
        ft_buf_add_str(b, text);
    free(text);
    json_decref(j);
    char *line = ft_arena_strndup(&r->x->arena, message, strlen(message));
    for (char *p = line; p != NULL && *p != '\0'; p++)
        *p = *p < ' ' || *p > '~' ? '?' : *p;
    *ret = (struct ft_http_field){"x-error-message", line != NULL ? line : ""};
    return 1;
}

/* What stands in quotes is the client's own, perhaps of a prompt, which no record holds: all from
 * the first quote to the last of its kind is left out, or to the end where it is the only one. An
 * apostrophe behind a letter opens none. Nothing but `known` between them stays: the record has it
 * anyway. */
static void put_without_quotes(const char *text, const char *known, char *ret, size_t n)
{
    size_t at = 0;
    for (const char *p = text; *p != '\0' && at + 6 < n; p++) {
        bool inside = p > text && isalnum((unsigned char)p[-1]);
        ret[at++] = *p;
        if (inside || strchr("'\"`", *p) == NULL)
            continue;
        const char *end = strrchr(p + 1, *p);
        size_t len = end != NULL ? (size_t)(end - p - 1) : 0;
        if (known != NULL && len > 0 && at + len + 6 < n && strlen(known) == len &&
            memcmp(p + 1, known, len) == 0) {
            memcpy(ret + at, p + 1, len + 1);
            at += len + 1;
            p = end;
            continue;
        }
        memcpy(ret + at, "...", 3);
        at += 3;
        if (end == NULL)
            break;
        ret[at++] = *end;
        p = end;
    }
    ret[at] = '\0';
}

void gw_error_note(struct gw_request *r, const char *endpoint, const struct ft_oai_error *e)
{
    struct ft_record_error *ret = &r->error;
    const char *code = ft_oai_error_code(e), *text = ft_oai_error_message(e);
    snprintf(ret->code, sizeof ret->code, "%s", code != NULL ? code : ft_oai_error_type(e));
    put_without_quotes(text, endpoint, ret->text, sizeof ret->text);
    ret->text[ft_utf8_valid_len(ret->text, strlen(ret->text))] = '\0'; /* it may be cut */
}

void gw_fail(struct gw_request *r, const struct ft_oai_error *e)
{
    struct ft_http_field f[GW_FIELDS_MAX];
    struct ft_oai_header h[FT_OAI_ERROR_HEADERS_MAX];
    struct ft_buf b;
    bool anthropic = r->style == GW_ANTHROPIC;
    int status = anthropic ? ft_anthropic_error_status(e) : ft_oai_error_status(e);
    int n_f = gw_fields(r, f, GW_FIELDS_MAX - FT_OAI_ERROR_HEADERS_MAX - 4);
    int n_h = ft_oai_error_headers(e, h);
    ft_buf_init(&b, ERROR_BYTES_MAX);
    if (anthropic)
        ft_anthropic_error_write(e, r->id, &b);
    else if (r->style == GW_S3)
        write_s3(&b, r, e, status);
    else if (r->style == GW_HUB)
        n_f += write_hub(&b, e, r, &f[n_f]);
    else
        ft_oai_error_write(e, &b);
    f[n_f++] = (struct ft_http_field){"content-type",
                                      r->style == GW_S3 ? "application/xml" : "application/json"};
    for (int i = 0; i < n_h; i++)
        f[n_f++] = (struct ft_http_field){h[i].name, h[i].value};
    if (status == 405 && r->allow != NULL)
        f[n_f++] = (struct ft_http_field){"allow", r->allow};
    if (status == 401)
        f[n_f++] = (struct ft_http_field){"www-authenticate", "Bearer"};
    gw_error_note(r, NULL, e);
    atomic_store(&r->status, status);
    ft_http_respond(r->x, status, f, n_f, b.data, b.len);
    ft_buf_fini(&b);
}

/* Of a request that is over: its record in the ledger and the one that is kept here say the same.
 */
static struct ft_ledger_begin record_of(const struct gw_request *r, const char *model)
{
    return (struct ft_ledger_begin){.id = r->id,
                                    .project = r->ident != NULL ? r->ident->project : r->project,
                                    .key = r->ident != NULL ? r->ident->key : r->key,
                                    .model = model,
                                    .route = r->name,
                                    .ago_us = (ft_clock_now_ns() - r->x->begun_ns) / 1000,
                                    .at_us = ft_clock_unix_us(),
                                    .client_id = r->client_id,
                                    .trace_id = r->trace_id};
}

/* Has it a record of its own still to come? Then it is the caller's. */
static bool unrecorded(struct gw_request *r)
{
    return r->name != NULL && !r->batch && !atomic_exchange(&r->accounted, true);
}

int gw_record_begin(struct gw_request *r, struct ft_err *err)
{
    if (r->name == NULL || r->batch)
        return 0;
    struct ft_ledger_begin b = record_of(r, "");
    return ft_ledger_begin(r->gw->ledger, &b, &r->slot, err);
}

/* Pages of the console look again and again, as long as they are open: what they got is recorded,
 * but not what somebody looks for in a list of requests. What is taken out of the store is. */
static bool is_of_page(const struct gw_request *r, int status)
{
    return status > 0 && status < 400 && r->session[0] != '\0' && !r->content &&
           (strcmp(r->x->method, "GET") == 0 || strcmp(r->x->method, "HEAD") == 0);
}

/* Of these, those that move no bytes worth a record each. */
static bool is_polled(const struct gw_request *r, const struct ft_ledger_begin *b)
{
    return b->page && r->lane == NULL && strcmp(r->name, "admin") == 0;
}

/* Refused ones are added up where they are many: nobody makes the ledger long by being refused. */

void gw_record(struct gw_request *r)
{
    int slot, status = atomic_load(&r->status);
    bool refused = status >= 400 && status < 500;
    if (r->slot != FT_LEDGER_SLOT_NONE) /* by now it is known whose it was, and what */
        ft_ledger_drop(r->gw->ledger, r->slot);
    r->slot = FT_LEDGER_SLOT_NONE;
    if (!refused && r->ident == NULL && r->project[0] == '\0') /* nobody's */
        return;
    if (!unrecorded(r))
        return;
    struct ft_ledger_begin b = record_of(r, "");
    b.page = is_of_page(r, status);
    struct ft_ledger_end e = {.status = status == 0    ? FT_RECORD_CANCELLED
                                        : status < 400 ? FT_RECORD_OK
                                                       : FT_RECORD_ERROR,
                              .http = status,
                              .end_us = b.at_us,
                              .error = &r->error};
    struct ft_ledger_sum sum;
    if (r->lane != NULL) { /* what blocks moves bytes */
        ft_http_body_bytes(r->x, &e.bytes_in, &e.bytes_out);
        atomic_fetch_add(&r->gw->moved.requests, 1);
        atomic_fetch_add(&r->gw->moved.in, e.bytes_in);
        atomic_fetch_add(&r->gw->moved.out, e.bytes_out);
    }
    gw_request_ended(r, &b, refused ? FT_RECORD_REFUSED : e.status, e.bytes_in, e.bytes_out);
    if (refused)
        ft_ledger_refuse(r->gw->ledger, &b, status, &r->error);
    else if (is_polled(r, &b))
        ft_ledger_polled(r->gw->ledger, &b, status);
    else if (ft_ledger_begin(r->gw->ledger, &b, &slot, NULL) == 0)
        ft_ledger_end(r->gw->ledger, slot, &e, &sum);
}

void gw_record_tell(struct gw_request *r, const struct ft_record *n)
{
    struct ft_buf line;
    ft_buf_init(&line, FT_RECORD_LINE_MAX);
    if (ft_record_write(n, &line) == 0) /* without its newline */
        r->record = ft_arena_strndup(&r->x->arena, line.data, line.len - 1);
    ft_buf_fini(&line);
}

void gw_refuse(struct gw_request *r, const char *model, const struct ft_oai_error *e)
{
    struct ft_ledger_begin b = record_of(r, model);
    gw_error_note(r, NULL, e);
    gw_meter_refused(&r->gw->meter, r, e);
    atomic_store(&r->status, ft_oai_error_status(e));
    if (r->batch) {
        struct ft_record n;
        gw_request_record(r, &b, FT_RECORD_REFUSED, &n);
        gw_record_tell(r, &n);
    } else if (unrecorded(r)) {
        ft_ledger_refuse(r->gw->ledger, &b, ft_oai_error_status(e), &r->error);
        gw_request_ended(r, &b, FT_RECORD_REFUSED, 0, 0);
    }
    gw_fail(r, e);
}
