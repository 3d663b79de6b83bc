/* The lines of a batch's input: {"custom_id","method","url","body"} each. */
#include "control/batch/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/openai/json.h"
#include "base/arena.h"
#include "base/json_scan.h"
#include "base/map.h"
#include "control/inner.h"

#define IDS_BYTES   ((size_t)BATCH_LINES_MAX * (BATCH_ID_MAX + 32))
#define SCAN_BYTES  ((size_t)32 << 20)
#define STOP_EVERY  256 /* lines */
#define MESSAGE_MAX 200

static bool is_empty(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
            return false;
    return true;
}

int ft_batch_lines_index(const struct ft_map *input, struct ft_batch_lines *ret, struct ft_err *err)
{
    const char *p = (const char *)input->data, *end = p + input->bytes;
    struct ft_batch_lines l = {.line = malloc(sizeof *l.line * BATCH_LINES_MAX)};
    if (l.line == NULL)
        return ft_err_set(err, FT_ENOMEM, "batch: no memory");
    for (int number = 1; p != NULL && p < end; number++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((newline != NULL ? newline : end) - p);
        if (!is_empty(p, n) && l.n == BATCH_LINES_MAX) {
            free(l.line);
            return ft_err_set(err, FT_ELIMIT, "the input has more than %d lines", BATCH_LINES_MAX);
        }
        if (!is_empty(p, n))
            l.line[l.n++] = (struct ft_batch_line){
                .at = p - (const char *)input->data, .n = (uint32_t)n, .number = number};
        p += n + (newline != NULL);
    }
    *ret = l;
    return 0;
}

void ft_batch_lines_fini(struct ft_batch_lines *l)
{
    free(l->line);
    *l = (struct ft_batch_lines){0};
}

/* ---- checking ---- */

json_t *ft_batch_error(const char *code, const char *message, const char *param, int64_t line)
{
    return json_pack("{s:s,s:s,s:s?,s:o}", "code", code, "message", message, "param", param, "line",
                     line > 0 ? json_integer(line) : json_null());
}

struct check {
    const char *endpoint;
    json_t *errors;
    struct ft_arena arena; /* of custom ids */
    struct ft_strmap seen;
    char *model;
};

static void note(struct check *c, int line, const char *code, const char *param,
                 const char *message)
{
    if (json_array_size(c->errors) < BATCH_ERRORS_MAX)
        json_array_append_new(c->errors, ft_batch_error(code, message, param, line));
}

/* False: it is there, and of another type. */
static bool has_text(struct check *c, int line, const json_t *o, const char *name)
{
    char message[MESSAGE_MAX];
    const json_t *v = json_object_get(o, name);
    if (json_is_string(v) && json_string_length(v) > 0)
        return true;
    snprintf(message, sizeof message, "%s: %s", name,
             v == NULL ? "is missing" : "must be a text that is not empty");
    note(c, line, v == NULL ? "missing_required_parameter" : "invalid_type", name, message);
    return false;
}

static void check_id(struct check *c, int line, const json_t *o)
{
    const json_t *v = json_object_get(o, "custom_id");
    size_t n = json_string_length(v);
    if (!has_text(c, line, o, "custom_id"))
        return;
    if (n > BATCH_ID_MAX) {
        note(c, line, "invalid_custom_id", "custom_id", "custom_id: is longer than 512 bytes");
        return;
    }
    const char *kept = ft_arena_strndup(&c->arena, json_string_value(v), n);
    if (kept != NULL && ft_strmap_add(&c->seen, kept, n, line) == FT_EEXIST)
        note(c, line, "duplicate_custom_id", "custom_id",
             "custom_id: another line before has it too");
}

static void check_body(struct check *c, int line, const json_t *o)
{
    const json_t *body = json_object_get(o, "body");
    if (!json_is_object(body)) {
        note(c, line, body == NULL ? "missing_required_parameter" : "invalid_type", "body",
             body == NULL ? "body: is missing" : "body: must be an object");
        return;
    }
    if (json_is_true(json_object_get(body, "stream")))
        note(c, line, "unsupported_value", "body.stream", "body.stream: a batch has no streams");
    const json_t *model = json_object_get(body, "model");
    if (!json_is_string(model) || json_string_length(model) == 0)
        note(c, line, "missing_required_parameter", "body.model", "body.model: is missing");
    else if (c->model[0] == '\0')
        snprintf(c->model, 128, "%s", json_string_value(model));
}

static void check_members(struct check *c, int line, const json_t *o)
{
    static const char *const known[] = {"custom_id", "method", "url", "body"};
    char message[MESSAGE_MAX];
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)o, name, value)
    {
        bool found = false;
        for (size_t i = 0; i < FT_COUNT(known); i++)
            found |= strcmp(name, known[i]) == 0;
        if (!found) {
            snprintf(message, sizeof message, "%.60s: there is no such member of a line", name);
            note(c, line, "unknown_parameter", name, message);
        }
    }
    check_id(c, line, o);
    if (has_text(c, line, o, "method") && strcmp(ft_ctl_text(o, "method"), "POST") != 0)
        note(c, line, "invalid_method", "method", "method: must be POST");
    if (has_text(c, line, o, "url") && strcmp(ft_ctl_text(o, "url"), c->endpoint) != 0)
        note(c, line, "invalid_url", "url", "url: is not the batch's endpoint");
    check_body(c, line, o);
}

static void check_line(struct check *c, const char *text, size_t n, int line)
{
    struct ft_oai_error e;
    json_t *o;
    ft_oai_error_init(&e);
    if (ft_oai_json_object(text, n, &o, &e) != 0) {
        note(c, line, "invalid_json_line", NULL, ft_oai_error_message(&e));
        return;
    }
    check_members(c, line, o);
    json_decref(o);
    struct ft_slice id, body; /* how it will be read: within narrower bounds */
    struct ft_err err = {0};
    if (ft_batch_line_read(text, n, &id, &body, &err) != 0 && json_array_size(c->errors) == 0)
        note(c, line, "invalid_json_line", NULL, err.msg);
}

int ft_batch_lines_check(const struct ft_map *input, const struct ft_batch_lines *l,
                         const char *endpoint, json_t *errors, char ret_model[128],
                         bool (*stop)(void *ctx), void *ctx, struct ft_err *err)
{
    struct check c = {.endpoint = endpoint, .errors = errors, .model = ret_model};
    int rc = ft_strmap_init(&c.seen, (size_t)l->n);
    if (rc != 0)
        return ft_err_set(err, FT_ENOMEM, "batch: no memory");
    ft_arena_init(&c.arena, IDS_BYTES);
    ret_model[0] = '\0';
    if (l->n == 0)
        note(&c, 0, "empty_file", NULL, "the input has no lines");
    for (int i = 0; rc == 0 && i < l->n; i++) {
        if (i % STOP_EVERY == 0 && stop(ctx))
            rc = ft_err_set(err, FT_ECANCELED, "stopped");
        else
            check_line(&c, (const char *)input->data + l->line[i].at, l->line[i].n,
                       l->line[i].number);
    }
    ft_strmap_fini(&c.seen);
    ft_arena_fini(&c.arena);
    return rc;
}

/* ---- reading what was checked ---- */

int ft_batch_line_read(const char *text, size_t n, struct ft_slice *ret_custom_id,
                       struct ft_slice *ret_body, struct ft_err *err)
{
    struct ft_arena arena;
    struct ft_jscan s;
    struct ft_slice name, value;
    bool first = true;
    int rc;
    *ret_custom_id = *ret_body = (struct ft_slice){0};
    ft_arena_init(&arena, SCAN_BYTES);
    ft_jscan_init(&s, text, n, &arena, err);
    rc = ft_jscan_take(&s, '{');
    while (rc == 0 && (rc = ft_jscan_member(&s, &first, &name)) > 0) {
        rc = ft_jscan_value(&s, &value);
        if (rc == 0 && name.n == 9 && memcmp(name.p, "custom_id", 9) == 0)
            *ret_custom_id = value;
        else if (rc == 0 && name.n == 4 && memcmp(name.p, "body", 4) == 0)
            *ret_body = value;
    }
    ft_arena_fini(&arena);
    if (rc == 0 && (ret_custom_id->n == 0 || ret_body->n == 0))
        rc = ft_err_set(err, FT_EINVAL, "the line has no custom_id or body");
    return rc;
}
