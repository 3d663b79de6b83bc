/* Usage records as lines of JSON. Written by hand, since the journal's thread writes thousands a
 * second; read by jansson. */
#include "ledger/record.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define BATCH_PREFIX "batch_"

static const char *const statuses[] = {"ok", "cancelled", "error", "refused", "lost"};

const char *ft_record_status_name(enum ft_record_status s)
{
    return statuses[s];
}

size_t ft_record_batch(const char *id)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t prefix = strlen(BATCH_PREFIX);
    if (strncmp(id, BATCH_PREFIX, prefix) != 0)
        return 0;
    size_t n = prefix + strspn(id + prefix, letters);
    size_t digits = id[n] == '.' ? strspn(id + n + 1, "0123456789") : 0;
    return n > prefix && digits > 0 && id[n + 1 + digits] == '\0' ? n : 0;
}

/* ---- writing ---- */

static void put_text(struct ft_buf *out, const char *name, const char *text)
{
    ft_buf_add_str(out, name);
    for (const char *p = text; *p != '\0'; p++) {
        size_t plain = strcspn(p, "\"\\\x01\x02\x03\x04\x05\x06\x07\b\t\n\v\f\r\x0e\x0f\x10\x11\x12"
                                  "\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f");
        ft_buf_add(out, p, plain);
        p += plain;
        if (*p == '\0')
            break;
        if (*p == '"' || *p == '\\')
            ft_buf_addf(out, "\\%c", *p);
        else
            ft_buf_addf(out, "\\u%04x", (unsigned)*p);
    }
    ft_buf_add_byte(out, '"');
}

static void put_int(struct ft_buf *out, const char *name, int64_t value)
{
    char digits[24], *p = digits + sizeof digits;
    uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    if (value < 0)
        *--p = '-';
    ft_buf_add_str(out, name);
    ft_buf_add(out, p, (size_t)(digits + sizeof digits - p));
}

/* What is not there in most records: left out where it is empty. */
static void put_more(const struct ft_record *r, struct ft_buf *out)
{
    bool any = false;
    if (r->page)
        ft_buf_add_str(out, ",\"page\":true");
    if (r->target[0] != '\0')
        put_text(out, ",\"target\":\"", r->target);
    if (r->client_id[0] != '\0')
        put_text(out, ",\"client_id\":\"", r->client_id);
    if (r->trace_id[0] != '\0')
        put_text(out, ",\"trace_id\":\"", r->trace_id);
    if (r->error.code[0] != '\0' || r->error.text[0] != '\0') {
        put_text(out, ",\"error_code\":\"", r->error.code);
        put_text(out, ",\"error_text\":\"", r->error.text);
    }
    for (int i = 0; i < FT_PHASE_FIELDS; i++) {
        char name[48];
        if (ft_phase_get(&r->phases, i) <= 0)
            continue;
        snprintf(name, sizeof name, "%s\"%s\":", any ? "," : ",\"phases\":{",
                 ft_phase_fields[i].name);
        put_int(out, name, ft_phase_get(&r->phases, i));
        any = true;
    }
    if (any)
        ft_buf_add_byte(out, '}');
}

int ft_record_write(const struct ft_record *r, struct ft_buf *out)
{
    put_text(out, "{\"id\":\"", r->id); /* first: ft_journal_id looks for it there */
    put_text(out, ",\"project\":\"", r->project);
    put_text(out, ",\"key\":\"", r->key);
    put_text(out, ",\"model\":\"", r->model);
    put_text(out, ",\"route\":\"", r->route);
    put_text(out, ",\"status\":\"", ft_record_status_name(r->status));
    put_int(out, ",\"http\":", r->http);
    ft_buf_add_str(out, r->stream ? ",\"stream\":true" : ",\"stream\":false");
    put_int(out, ",\"requests\":", r->requests);
    put_int(out, ",\"start_us\":", r->start_us);
    put_int(out, ",\"end_us\":", r->end_us);
    put_int(out, ",\"first_us\":", r->first_us);
    put_int(out, ",\"prompt_tokens\":", r->prompt_tokens);
    put_int(out, ",\"cached_tokens\":", r->cached_tokens);
    put_int(out, ",\"completion_tokens\":", r->completion_tokens);
    put_int(out, ",\"reasoning_tokens\":", r->reasoning_tokens);
    put_int(out, ",\"cost_nanos\":", r->cost_nanos);
    put_int(out, ",\"cpu_us\":", r->cpu_us);
    put_int(out, ",\"energy_uj\":", r->energy_uj);
    if (r->bytes_in > 0 || r->bytes_out > 0) {
        put_int(out, ",\"bytes_in\":", r->bytes_in);
        put_int(out, ",\"bytes_out\":", r->bytes_out);
    }
    put_more(r, out);
    return ft_buf_add_str(out, r->energy_estimated ? ",\"energy_estimated\":true}\n"
                                                   : ",\"energy_estimated\":false}\n");
}

/* ---- reading ---- */

static int take_text(const json_t *o, const char *name, char *ret, size_t max, size_t min,
                     struct ft_err *err)
{
    const json_t *v = json_object_get(o, name);
    size_t n = json_string_length(v);
    if (!json_is_string(v) || n < min || n > max || strlen(json_string_value(v)) != n)
        return ft_err_set(err, FT_EINVAL, "usage record: %s: must be a text of %zu to %zu bytes",
                          name, min, max);
    memcpy(ret, json_string_value(v), n + 1);
    return 0;
}

/* What a writer cuts; one of another version may have let more pass. */
static int take_cut(const json_t *o, const char *name, char *ret, size_t max, struct ft_err *err)
{
    char whole[FT_RECORD_LINE_MAX + 1];
    int rc = take_text(o, name, whole, FT_RECORD_LINE_MAX, 0, err);
    if (rc != 0)
        return rc;
    size_t n = FT_MIN(strlen(whole), max);
    n -= ft_utf8_tail(whole, n);
    memcpy(ret, whole, n);
    ret[n] = '\0';
    return 0;
}

static int take_int(const json_t *o, const char *name, int64_t max, int64_t *ret,
                    struct ft_err *err)
{
    const json_t *v = json_object_get(o, name);
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
        return ft_err_set(err, FT_EINVAL, "usage record: %s: must be a whole number up to %lld",
                          name, (long long)max);
    *ret = json_integer_value(v);
    return 0;
}

static int take_bool(const json_t *o, const char *name, bool *ret, struct ft_err *err)
{
    const json_t *v = json_object_get(o, name);
    if (!json_is_boolean(v))
        return ft_err_set(err, FT_EINVAL, "usage record: %s: must be true or false", name);
    *ret = json_is_true(v);
    return 0;
}

static int take_status(const json_t *o, enum ft_record_status *ret, struct ft_err *err)
{
    const char *s = json_string_value(json_object_get(o, "status"));
    for (size_t i = 0; s != NULL && i < FT_COUNT(statuses); i++)
        if (strcmp(s, statuses[i]) == 0) {
            *ret = (enum ft_record_status)i;
            return 0;
        }
    return ft_err_set(err, FT_EINVAL, "usage record: status: is none of ours");
}

/* What may be missing. */
static int take_more(const json_t *o, struct ft_record *r, struct ft_err *err)
{
    const struct {
        const char *name;
        char *ret;
        size_t max;
        bool cut;
    } texts[] = {{"target", r->target, FT_RECORD_TARGET_MAX, true},
                 {"client_id", r->client_id, FT_RECORD_ID_MAX, false},
                 {"trace_id", r->trace_id, FT_RECORD_TRACE_MAX, false},
                 {"error_code", r->error.code, FT_RECORD_CODE_MAX, false},
                 {"error_text", r->error.text, FT_RECORD_TEXT_MAX, true}};
    const json_t *phases = json_object_get(o, "phases");
    int rc = 0;
    if (json_object_get(o, "bytes_in") != NULL)
        rc = take_int(o, "bytes_in", INT64_MAX, &r->bytes_in, err);
    if (rc == 0 && json_object_get(o, "bytes_out") != NULL)
        rc = take_int(o, "bytes_out", INT64_MAX, &r->bytes_out, err);
    if (rc == 0 && json_object_get(o, "page") != NULL)
        rc = take_bool(o, "page", &r->page, err);
    for (size_t i = 0; rc == 0 && i < FT_COUNT(texts); i++)
        if (json_object_get(o, texts[i].name) != NULL)
            rc = texts[i].cut ? take_cut(o, texts[i].name, texts[i].ret, texts[i].max, err)
                              : take_text(o, texts[i].name, texts[i].ret, texts[i].max, 0, err);
    if (rc == 0 && phases != NULL && !json_is_object(phases))
        rc = ft_err_set(err, FT_EINVAL, "usage record: phases: must be an object");
    for (int i = 0; rc == 0 && i < FT_PHASE_FIELDS; i++)
        if (json_object_get(phases, ft_phase_fields[i].name) != NULL)
            rc = take_int(phases, ft_phase_fields[i].name, INT64_MAX / 2,
                          ft_phase_at(&r->phases, i), err);
    return rc;
}

static int take_all(const json_t *o, struct ft_record *r, struct ft_err *err)
{
    const int64_t tokens_max = INT32_MAX;
    struct {
        const char *name;
        int64_t max;
        int64_t *ret;
    } ints[] = {
        {"requests", INT32_MAX, &r->requests},
        {"start_us", INT64_MAX / 2, &r->start_us},
        {"end_us", INT64_MAX / 2, &r->end_us},
        {"first_us", INT64_MAX / 2, &r->first_us},
        {"prompt_tokens", tokens_max, &r->prompt_tokens},
        {"cached_tokens", tokens_max, &r->cached_tokens},
        {"completion_tokens", tokens_max, &r->completion_tokens},
        {"reasoning_tokens", tokens_max, &r->reasoning_tokens},
        {"cost_nanos", INT64_MAX, &r->cost_nanos},
        {"cpu_us", INT64_MAX, &r->cpu_us},
        {"energy_uj", INT64_MAX, &r->energy_uj},
    };
    int64_t http = 0;
    int rc = take_text(o, "id", r->id, FT_RECORD_ID_MAX, 1, err);
    if (rc == 0)
        rc = take_text(o, "project", r->project, FT_RECORD_ID_MAX, 0, err);
    if (rc == 0)
        rc = take_text(o, "key", r->key, FT_RECORD_ID_MAX, 0, err);
    if (rc == 0)
        rc = take_text(o, "model", r->model, FT_RECORD_MODEL_MAX, 0, err);
    if (rc == 0)
        rc = take_text(o, "route", r->route, FT_RECORD_ROUTE_MAX, 0, err);
    if (rc == 0)
        rc = take_status(o, &r->status, err);
    if (rc == 0)
        rc = take_int(o, "http", 999, &http, err);
    if (rc == 0)
        rc = take_bool(o, "stream", &r->stream, err);
    for (size_t i = 0; rc == 0 && i < FT_COUNT(ints); i++)
        rc = take_int(o, ints[i].name, ints[i].max, ints[i].ret, err);
    if (rc == 0)
        rc = take_more(o, r, err);
    if (rc == 0)
        rc = take_bool(o, "energy_estimated", &r->energy_estimated, err);
    r->http = (int)http;
    return rc;
}

int ft_record_more_write(const struct ft_record *r, struct ft_buf *out)
{
    size_t at = out->len;
    put_more(r, out);
    if (out->failed != 0 || out->len == at)
        return out->failed;
    out->data[at] = '{'; /* in the place of the first comma */
    return ft_buf_add_byte(out, '}');
}

int ft_record_more_parse(const char *text, size_t n, struct ft_record *r, struct ft_err *err)
{
    json_error_t bad;
    if (n == 0)
        return 0;
    json_t *o = json_loadb(text, n, 0, &bad);
    int rc = json_is_object(o) ? take_more(o, r, err)
                               : ft_err_set(err, FT_EINVAL, "usage record: not an object");
    json_decref(o);
    return rc;
}

int ft_record_parse(const char *line, size_t n, struct ft_record *ret, struct ft_err *err)
{
    if (n > FT_RECORD_LINE_MAX)
        return ft_err_set(err, FT_EINVAL, "usage record: a line of more than %d bytes",
                          FT_RECORD_LINE_MAX);
    json_error_t bad;
    json_t *o = json_loadb(line, n, 0, &bad);
    if (!json_is_object(o)) {
        json_decref(o);
        return ft_err_set(err, FT_EINVAL, "usage record: %s",
                          o == NULL ? bad.text : "not an object");
    }
    struct ft_record r = {.id = ""};
    int rc = take_all(o, &r, err);
    json_decref(o);
    if (rc == 0)
        *ret = r;
    return rc;
}
