/* See timeline.h. Phases follow each other without gaps as far as they were measured: serving's by
 * its moments or, where those are gone, one after the other by their sums; the worker's after it
 * was given the request for the last time. */
#include "monitor/timeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "monitor/json.h"

static const char *const names[FT_PHASE_KINDS] = {
    [FT_PHASE_ADMISSION] = "admission", [FT_PHASE_QUEUE] = "queue",
    [FT_PHASE_START] = "start",         [FT_PHASE_FAILOVER] = "failover",
    [FT_PHASE_PREPARE] = "prepare",     [FT_PHASE_WORKER_QUEUE] = "worker_queue",
    [FT_PHASE_LOAD] = "load",           [FT_PHASE_PREFILL] = "prefill",
    [FT_PHASE_DECODE] = "decode",       [FT_PHASE_PAUSED] = "paused"};

const char *ft_phase_name(enum ft_phase_kind k)
{
    FT_ASSERT((unsigned)k < FT_PHASE_KINDS);
    return names[k];
}

/* ---- the record ---- */

json_t *ft_money_json(int64_t nanos)
{
    char text[40];
    int n = snprintf(text, sizeof text, "%" PRId64 ".%09" PRId64, nanos / 1000000000,
                     nanos % 1000000000);
    while (text[n - 1] == '0')
        text[--n] = '\0';
    if (text[n - 1] == '.')
        text[--n] = '\0';
    return json_string(text);
}

static double ms(int64_t us)
{
    return (double)(us / 1000) + (double)(us % 1000) / 1000;
}

static void add_numbers(json_t *o, const struct ft_record *r)
{
    const struct {
        const char *name;
        int64_t v;
    } counts[] = {{"requests", r->requests},
                  {"prompt_tokens", r->prompt_tokens},
                  {"cached_tokens", r->cached_tokens},
                  {"completion_tokens", r->completion_tokens},
                  {"reasoning_tokens", r->reasoning_tokens},
                  {"cost_nanos", r->cost_nanos},
                  {"bytes_in", r->bytes_in},
                  {"bytes_out", r->bytes_out}};
    for (size_t i = 0; i < FT_COUNT(counts); i++)
        json_object_set_new(o, counts[i].name, json_integer(counts[i].v));
    json_object_set_new(o, "cost", ft_money_json(r->cost_nanos));
    json_object_set_new(o, "cpu_s", json_real((double)r->cpu_us / 1e6));
    json_object_set_new(o, "energy_j", json_real((double)r->energy_uj / 1e6));
    json_object_set_new(o, "energy_estimated", json_boolean(r->energy_estimated));
}

json_t *ft_request_json(const struct ft_record *r)
{
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:b,s:f,s:f}", "id", r->id, "object",
                          "request", "project", r->project, "key", r->key, "model", r->model,
                          "route", r->route, "status", ft_record_status_name(r->status), "http",
                          r->http, "stream", (int)r->stream, "start", (double)r->start_us / 1e6,
                          "end", (double)r->end_us / 1e6);
    add_numbers(o, r);
    bool failed = r->error.code[0] != '\0' || r->error.text[0] != '\0';
    json_object_set_new(o, "duration_ms", json_real(ms(FT_MAX(r->end_us - r->start_us, 0))));
    json_object_set_new(o, "first_token_ms",
                        r->first_us > 0 ? json_real(ms(r->first_us)) : json_null());
    size_t batch = ft_record_batch(r->id);
    json_object_set_new(o, "batch", batch > 0 ? json_stringn(r->id, batch) : json_null());
    json_object_set_new(o, "client_request_id", ft_json_text(r->client_id));
    json_object_set_new(o, "trace_id", ft_json_text(r->trace_id));
    json_object_set_new(o, "target", ft_json_text(r->target));
    json_object_set_new(o, "page", json_boolean(r->page));
    json_object_set_new(
        o, "error",
        failed ? json_pack("{s:s,s:s}", "code", r->error.code, "message", r->error.text)
               : json_null());
    return o;
}

json_t *ft_request_json_running(const struct ft_record *r)
{
    json_t *o = ft_request_json(r);
    json_object_set_new(o, "status", json_string("running"));
    json_object_set_new(o, "end", json_null());
    return o;
}

/* ---- its course ---- */

struct course {
    struct ft_timeline_entry *entry;
    int n;
    int64_t at_us; /* where the last one ended */
};

static void add_at(struct course *c, enum ft_phase_kind phase, int64_t at_us, int64_t us, int n)
{
    if (us <= 0 || c->n == FT_TIMELINE_MAX)
        return;
    c->entry[c->n++] = (struct ft_timeline_entry){phase, at_us, us, n};
}

/* Behind the one before. */
static void add(struct course *c, enum ft_phase_kind phase, int64_t us, int n)
{
    add_at(c, phase, c->at_us, us, n);
    c->at_us += FT_MAX(us, 0);
}

static int64_t moment_us(const struct ft_moment *m)
{
    return m->at_ns / 1000;
}

/* What waits, runs or is paused from one moment to the next. */
struct open_phases {
    enum ft_phase_kind waits;
    int64_t waits_us, given_us, paused_us; /* since when; -1: not now */
    int ahead;
};

static void end_waiting(struct course *c, struct open_phases *o, int64_t now_us)
{
    if (o->waits_us >= 0)
        add_at(c, o->waits, o->waits_us, now_us - o->waits_us,
               o->waits == FT_PHASE_QUEUE ? o->ahead : -1);
    o->waits_us = -1;
}

static void take_moment(struct course *c, struct open_phases *o, const struct ft_moment *m)
{
    int64_t now_us = moment_us(m);
    switch (m->kind) {
    case FT_MOMENT_QUEUED:
    case FT_MOMENT_COLD:
    case FT_MOMENT_REPLICA:
        end_waiting(c, o, now_us);
        if (m->kind == FT_MOMENT_QUEUED)
            o->ahead = m->n;
        o->waits = m->kind == FT_MOMENT_COLD ? FT_PHASE_START : FT_PHASE_QUEUE;
        o->waits_us = now_us;
        break;
    case FT_MOMENT_GIVEN:
        end_waiting(c, o, now_us);
        o->given_us = now_us;
        break;
    case FT_MOMENT_FAILED:
        if (o->given_us >= 0)
            add_at(c, FT_PHASE_FAILOVER, o->given_us, now_us - o->given_us, m->n);
        o->given_us = -1;
        break;
    case FT_MOMENT_PAUSED:
        o->paused_us = now_us;
        break;
    case FT_MOMENT_RESUMED:
        if (o->paused_us >= 0)
            add_at(c, FT_PHASE_PAUSED, o->paused_us, now_us - o->paused_us, -1);
        o->paused_us = -1;
        break;
    case FT_MOMENT_FIRST_TOKEN:
    case FT_MOMENT_CLIENT_LEFT:
        break;
    }
}

static void by_moments(struct course *c, const struct ft_phases *p, int64_t end_us)
{
    struct open_phases o = {.waits_us = -1, .given_us = -1, .paused_us = -1};
    for (int i = 0; i < p->n_moments; i++)
        take_moment(c, &o, &p->moment[i]);
    end_waiting(c, &o, end_us); /* it never came to a replica */
    if (o.given_us >= 0)
        c->at_us = o.given_us;
}

static void by_sums(struct course *c, const struct ft_phases *p)
{
    add(c, FT_PHASE_FAILOVER, p->failed_us, -1);
    add(c, FT_PHASE_START, p->start_us, -1);
    add(c, FT_PHASE_QUEUE, p->queue_us, (int)FT_MIN(p->queue_ahead, INT32_MAX));
}

static void sort(struct course *c)
{
    for (int i = 1; i < c->n; i++) {
        struct ft_timeline_entry e = c->entry[i];
        int at = i;
        for (; at > 0 && c->entry[at - 1].at_us > e.at_us; at--)
            c->entry[at] = c->entry[at - 1];
        c->entry[at] = e;
    }
}

int ft_timeline(const struct ft_record *r, struct ft_timeline_entry *ret)
{
    const struct ft_phases *p = &r->phases;
    struct course c = {.entry = ret};
    int64_t end_us = FT_MAX(r->end_us - r->start_us, 0);
    add(&c, FT_PHASE_ADMISSION, p->admission_us, -1);
    if (p->n_moments > 0)
        by_moments(&c, p, end_us);
    else
        by_sums(&c, p);
    add(&c, FT_PHASE_PREPARE, p->prepare_us, -1);
    add(&c, FT_PHASE_WORKER_QUEUE, p->wait_us, -1);
    add(&c, FT_PHASE_LOAD, p->load_us, -1);
    add(&c, FT_PHASE_PREFILL, p->prefill_us, -1);
    int64_t decode_us = c.at_us;
    add(&c, FT_PHASE_DECODE, p->decode_us, -1);
    if (p->n_moments == 0) /* when exactly is not known any more: within the decoding */
        add_at(&c, FT_PHASE_PAUSED, decode_us, p->paused_us, -1);
    sort(&c);
    return c.n;
}

static json_t *detail(const struct ft_timeline_entry *e, const struct ft_record *r)
{
    char text[160] = "";
    double s = (double)e->us / 1e6;
    long long read = r->prompt_tokens - r->cached_tokens;
    if (e->phase == FT_PHASE_QUEUE && e->n > 0)
        snprintf(text, sizeof text, "behind %d others", e->n);
    else if (e->phase == FT_PHASE_FAILOVER && e->n >= 0)
        snprintf(text, sizeof text, "worker %d failed; the request was tried again", e->n);
    else if (e->phase == FT_PHASE_FAILOVER)
        snprintf(text, sizeof text, "%lld %s failed; the request was tried again",
                 (long long)r->phases.failovers, r->phases.failovers == 1 ? "try" : "tries");
    else if (e->phase == FT_PHASE_PREFILL && r->prompt_tokens > 0)
        snprintf(text, sizeof text, "%lld tokens read, %lld from the cache, %.0f tokens/s", read,
                 (long long)r->cached_tokens, (double)read / s);
    else if (e->phase == FT_PHASE_DECODE && r->completion_tokens > 1)
        snprintf(text, sizeof text, "%lld tokens, %.1f tokens/s", (long long)r->completion_tokens,
                 (double)(r->completion_tokens - 1) / s);
    return ft_json_text(text);
}

json_t *ft_timeline_json(const struct ft_record *r)
{
    struct ft_timeline_entry e[FT_TIMELINE_MAX];
    int n = ft_timeline(r, e);
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s,s:f,s:f,s:o}", "phase",
                                              ft_phase_name(e[i].phase), "at_ms", ms(e[i].at_us),
                                              "ms", ms(e[i].us), "detail", detail(&e[i], r)));
    return list;
}
