/* What has changed: the feed for the gateway, the audit log for people. And the document. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "control/inner.h"
#include "net/url.h"

#define FEED_WAIT_MAX 60 /* seconds */

__asm__(".section .rodata\n"
        ".global ft_ctl_openapi\n"
        ".global ft_ctl_openapi_end\n"
        "ft_ctl_openapi: .incbin \"" CTL_OPENAPI_PATH "\"\n"
        "ft_ctl_openapi_end: .byte 0\n"
        ".previous\n");

int ft_ctl_openapi_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    (void)tx;
    (void)err;
    c->raw_type = "application/json";
    return ft_buf_add(&c->raw, ft_ctl_openapi, (size_t)(ft_ctl_openapi_end - ft_ctl_openapi));
}

/* The document has what people use; the rest has no operation. */
const json_t *ft_ctl_doc_operation(const json_t *doc, const struct ft_ctl_route *route)
{
    char method[8] = "";
    for (size_t i = 0; route->method[i] != '\0' && i + 1 < sizeof method; i++)
        method[i] = (char)(route->method[i] | 0x20);
    return json_object_get(json_object_get(json_object_get(doc, "paths"), route->path), method);
}

/* ---- the feed ---- */

/* A whole number of the query, or the fallback. */
static int query_int(struct ft_ctl_call *c, struct ft_arena *arena, const char *name,
                     int64_t fallback, int64_t *ret)
{
    struct ft_err err = {0};
    const char *text;
    char *end;
    if (ft_url_param(c->query, name, arena, &text, &err) != 0)
        return ft_ctl_refuse(c, 400, "invalid_value", name, "%s", err.msg);
    *ret = fallback;
    if (text == NULL)
        return 0;
    *ret = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || strlen(text) > 18)
        return ft_ctl_refuse(c, 400, "invalid_value", name, "%s: must be a whole number", name);
    return 0;
}

/* {"store":ID} and then the rows after the number, whole transactions, the deleted ones too;
 * after=0 is all that there is now: who asks for that knows nothing that could have gone. A gateway
 * that is ahead of the store (which was restored from a copy) is told of no store by the name that
 * it knows, and so asks for everything anew. */
static int write_feed(struct ft_ctl_call *c, struct ft_state_tx *tx, int64_t after, int64_t last,
                      struct ft_err *err)
{
    struct ft_state_rows *r;
    ft_buf_addf(&c->raw, "{\"store\":\"%s\"}\n",
                after <= last ? ft_state_id(c->ctl->state) : "restored");
    int rc = ft_state_query(tx,
                            "SELECT seq, kind, id, body FROM entity WHERE seq > $1"
                            " AND (body IS NOT NULL OR $1 > 0) ORDER BY seq, kind, id",
                            FT_ARGS(ft_sql_int(after)), &r, err);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(r, err)) > 0) {
        /* ids are made of characters that JSON takes as they are (the document's patterns) */
        ft_buf_addf(&c->raw, "{\"seq\":%" PRId64 ",\"kind\":\"%s\",\"id\":\"%s\",\"body\":",
                    ft_rows_int(r, 0), ft_rows_text(r, 1).p, ft_rows_text(r, 2).p);
        if (ft_rows_is_null(r, 3))
            ft_buf_add_str(&c->raw, "null");
        else
            ft_buf_add(&c->raw, ft_rows_text(r, 3).p, ft_rows_text(r, 3).n);
        ft_buf_add_str(&c->raw, "}\n");
    }
    ft_rows_close(r);
    return rc;
}

int ft_ctl_feed(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_arena arena;
    int64_t after = 0, wait = 0, last = 0;
    ft_arena_init(&arena, 4096);
    int rc = query_int(c, &arena, "after", 0, &after);
    if (rc == 0)
        rc = query_int(c, &arena, "wait", 0, &wait);
    ft_arena_fini(&arena);
    if (rc == 0)
        rc = ft_state_seq_last(tx, &last, err);
    if (rc != 0)
        return rc;
    c->raw_type = "application/x-ndjson";
    if (last == after && wait > 0) {
        c->wait_after = after;
        c->wait_s = FT_MIN(wait, FEED_WAIT_MAX);
    }
    return write_feed(c, tx, after, last, err);
}

/* ---- the audit log ---- */

static json_t *parsed(struct ft_slice text)
{
    json_t *v = text.n > 0 ? json_loadb(text.p, text.n, 0, NULL) : NULL;
    return v != NULL ? v : json_null();
}

static json_t *text_or_null(struct ft_state_rows *r, int column)
{
    return ft_rows_is_null(r, column) ? json_null() : json_string(ft_rows_text(r, column).p);
}

static json_t *event_view(struct ft_state_rows *r)
{
    char id[64];
    snprintf(id, sizeof id, "evt_%" PRId64 "_%" PRId64, ft_rows_int(r, 0), ft_rows_int(r, 1));
    return json_pack("{s:s,s:s,s:I,s:I,s:s,s:s,s:s,s:o,s:{s:o,s:o,s:s,s:o},s:o,s:o,s:o}", "id", id,
                     "object", "audit_event", "at", (json_int_t)ft_rows_int(r, 2), "seq",
                     (json_int_t)ft_rows_int(r, 0), "action", ft_rows_text(r, 3).p, "kind",
                     ft_rows_text(r, 4).p, "target", ft_rows_text(r, 5).p, "project",
                     text_or_null(r, 6), "actor", "key", text_or_null(r, 7), "project",
                     text_or_null(r, 8), "role", ft_rows_text(r, 9).p, "member",
                     text_or_null(r, 10), "before", parsed(ft_rows_text(r, 11)), "after",
                     parsed(ft_rows_text(r, 12)), "request_id", text_or_null(r, 13));
}

/* Where the page before ended; the log goes backwards. */
static int parse_after(struct ft_ctl_call *c, int64_t *ret_seq, int64_t *ret_n)
{
    const char *after = ft_ctl_text(c->params, "after");
    char rest;
    *ret_seq = INT64_MAX;
    *ret_n = 0;
    if (after != NULL && sscanf(after, "evt_%" SCNd64 "_%" SCNd64 "%c", ret_seq, ret_n, &rest) != 2)
        return ft_ctl_refuse(c, 400, "invalid_value", "after", "after: is no event's id");
    return 0;
}

int ft_ctl_audit_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    const char *project;
    struct ft_state_rows *r;
    int64_t seq, n, limit = ft_ctl_int(c->params, "limit", CTL_LIST_DEFAULT);
    int rc = ft_ctl_project_filter(c, &project);
    if (rc == 0)
        rc = parse_after(c, &seq, &n);
    if (rc == 0)
        rc = ft_state_query(
            tx,
            "SELECT seq, n, at_ms, action, kind, target, project, actor_key, actor_project,"
            " actor_role, actor_member, body_before, body_after, request_id FROM event"
            " WHERE (seq < $1 OR (seq = $1 AND n < $2))"
            " AND (CAST($3 AS TEXT) IS NULL OR project = $3)"
            " AND (CAST($4 AS TEXT) IS NULL OR kind = $4)"
            " AND (CAST($5 AS TEXT) IS NULL OR target = $5)"
            " AND (CAST($6 AS TEXT) IS NULL OR actor_key = $6)"
            " AND at_ms >= $7 AND at_ms < $8 ORDER BY seq DESC, n DESC LIMIT $9",
            FT_ARGS(ft_sql_int(seq), ft_sql_int(n), ft_sql_text(project),
                    ft_sql_text(ft_ctl_text(c->params, "kind")),
                    ft_sql_text(ft_ctl_text(c->params, "target")),
                    ft_sql_text(ft_ctl_text(c->params, "actor")),
                    ft_sql_int(ft_ctl_int(c->params, "start_time", 0) * 1000),
                    ft_sql_int(ft_ctl_int(c->params, "end_time", INT64_MAX / 1000) * 1000),
                    ft_sql_int(limit + 1)),
            &r, err);
    if (rc != 0)
        return rc;
    json_t *data = json_array();
    bool more = false;
    while ((rc = ft_rows_step(r, err)) > 0) {
        more = (int64_t)json_array_size(data) == limit;
        if (!more)
            json_array_append_new(data, event_view(r));
    }
    ft_rows_close(r);
    if (rc == 0)
        return ft_ctl_answer(c, 200, ft_ctl_page(data, more));
    json_decref(data);
    return rc;
}
