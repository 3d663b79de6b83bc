/* See explain.h. Every cause is a row: how long it took is one of the record's phases, what there
 * is to say about it a function. */
#include "monitor/explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define TEXT_MAX   600
#define WORTH_US   1000   /* what took less is not worth a word, */
#define WORTH_PART 0.02   /* nor what took a smaller part of all, */
#define ALWAYS_US  100000 /* unless it took so long */
#define BUSY_US    100000 /* a shorter wait at a worker is that of a busy machine */
#define FRESH_READ 64     /* tokens: reading fewer says nothing about speed */

static double ms(int64_t us)
{
    return (double)(us / 1000) + (double)(us % 1000) / 1000;
}

/* "85 ms", "2.4 s", "3 min 20 s". */
static const char *span(int64_t us, char ret[32])
{
    if (us < 1000)
        snprintf(ret, 32, "less than 1 ms");
    else if (us < 999500) /* rounded, as the figures beside it */
        snprintf(ret, 32, "%lld ms", (long long)((us + 500) / 1000));
    else if (us < 60000000)
        snprintf(ret, 32, "%.1f s", (double)us / 1e6);
    else
        snprintf(ret, 32, "%lld min %lld s", (long long)(us / 60000000),
                 (long long)(us / 1000000 % 60));
    return ret;
}

static const char *others(int64_t n, char ret[48])
{
    snprintf(ret, 48, n == 1 ? "%lld other" : "%lld others", (long long)n);
    return ret;
}

static json_t *entry(const char *code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static json_t *entry(const char *code, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_t *o = json_pack("{s:s}", "code", code);
    json_t *t = json_string(text); /* cut in the middle of a character, it is none */
    json_object_set_new(o, "text", t != NULL ? t : json_string(code));
    return o;
}

static void value(json_t *o, const char *name, double v)
{
    json_t *all = json_object_get(o, "values");
    if (all == NULL) {
        all = json_object();
        json_object_set_new(o, "values", all);
    }
    bool whole = v == (double)(int64_t)v;
    json_object_set_new(all, name, whole ? json_integer((json_int_t)v) : json_real(v));
}

/* ---- where the time went ---- */

typedef json_t *say_fn(const struct ft_record *r, int64_t us);

static json_t *say_upload(const struct ft_record *r, int64_t us)
{
    char t[32];
    (void)r;
    return entry("upload", "The request's body took %s to come in and to be checked.", span(us, t));
}

static json_t *say_queue(const struct ft_record *r, int64_t us)
{
    char t[32], n[48];
    int64_t ahead = r->phases.queue_ahead;
    /* The sum has the pauses between tries too. */
    bool again = ahead <= 0 && (r->phases.failovers > 0 || r->status == FT_RECORD_ERROR);
    json_t *o = again ? entry("queue",
                              "It waited %s until a replica had room, or before it was tried "
                              "again.",
                              span(us, t))
                : ahead > 0
                    ? entry("queue",
                            "It waited %s in the queue, behind %s: all replicas of the model "
                            "were busy. More replicas would shorten this.",
                            span(us, t), others(ahead, n))
                    : entry("queue",
                            "It waited %s in the queue until a replica of the model had "
                            "room.",
                            span(us, t));
    value(o, "ahead", (double)ahead);
    if (again)
        value(o, "again", 1);
    return o;
}

static json_t *say_start(const struct ft_record *r, int64_t us)
{
    char t[32];
    (void)r;
    return entry("cold_start",
                 "No replica of the model was running: starting one took %s. An endpoint with at "
                 "least one replica (replicas.min) does not have to wait for this.",
                 span(us, t));
}

static json_t *say_failover(const struct ft_record *r, int64_t us)
{
    char t[32];
    int64_t n = r->phases.failovers;
    char times[48] = "";
    if (n > 1)
        snprintf(times, sizeof times, " (%lld times)", (long long)n);
    /* An endpoint may have servers of others and workers: a record does not say which it was. */
    json_t *o =
        entry("failover",
              "The worker or server that had it failed or did not answer%s, which took %s; "
              "%s.",
              times, span(us, t),
              r->status == FT_RECORD_OK ? "the request went on elsewhere with the same answer"
                                        : "the request was then tried again");
    value(o, "answered", r->status == FT_RECORD_OK);
    value(o, "failovers", (double)n);
    return o;
}

static json_t *say_prepare(const struct ft_record *r, int64_t us)
{
    char t[32];
    (void)r;
    return entry("prepare",
                 "Turning the request into tokens (template, tokenizer, JSON schema) took %s.",
                 span(us, t));
}

static json_t *say_wait(const struct ft_record *r, int64_t us)
{
    char t[32];
    (void)r;
    if (us < BUSY_US)
        return entry("machine_busy", "The machine was busy: it waited %s at the worker.",
                     span(us, t));
    return entry("worker_queue",
                 "The worker was busy with other requests, or its memory was full: it waited %s "
                 "there.",
                 span(us, t));
}

static json_t *say_load(const struct ft_record *r, int64_t us)
{
    char t[32];
    return entry("model_load", "The weights of the model were not in memory: reading %s took %s.",
                 r->model[0] != '\0' ? r->model : "them", span(us, t));
}

static json_t *say_prefill(const struct ft_record *r, int64_t us)
{
    char t[32], saved[96] = "none of it was in the cache";
    int64_t fresh = r->prompt_tokens - r->cached_tokens;
    double rate = us > 0 ? (double)fresh * 1e6 / (double)us : 0;
    if (r->cached_tokens > 0)
        snprintf(saved, sizeof saved, "the cache saved reading %lld (%lld %%)",
                 (long long)r->cached_tokens,
                 (long long)(r->cached_tokens * 100 / FT_MAX(r->prompt_tokens, 1)));
    json_t *o =
        fresh >= FRESH_READ
            ? entry("prefill",
                    "Reading the prompt took %s: %lld tokens, of which %lld had to be read, "
                    "at %.0f tokens/s; %s.",
                    span(us, t), (long long)r->prompt_tokens, (long long)fresh, rate, saved)
            : entry("prefill", "Reading the prompt took %s: %lld tokens; %s.", span(us, t),
                    (long long)r->prompt_tokens, saved);
    value(o, "prompt_tokens", (double)r->prompt_tokens);
    value(o, "cached_tokens", (double)r->cached_tokens);
    value(o, "tokens_per_s", rate);
    return o;
}

static json_t *say_decode(const struct ft_record *r, int64_t us)
{
    char t[32], shared[128] = "";
    double with = FT_MAX((double)(r->phases.shared - 100) / 100, 0);
    double rate = us > 0 ? (double)(r->completion_tokens - 1) * 1e6 / (double)us : 0;
    if (r->phases.shared > 0 && with < 0.05)
        snprintf(shared, sizeof shared, ", alone in its batch");
    else if (r->phases.shared > 0)
        snprintf(shared, sizeof shared, ", sharing its steps with %.1f others on average", with);
    json_t *o = entry("decode", "Writing the answer took %s: %lld tokens, %.1f a second%s%s.",
                      span(us, t), (long long)r->completion_tokens, FT_MAX(rate, 0), shared,
                      r->phases.preemptions > 0 ? "; it had to make way for others meanwhile" : "");
    value(o, "completion_tokens", (double)r->completion_tokens);
    value(o, "tokens_per_s", FT_MAX(rate, 0));
    if (r->phases.shared > 0)
        value(o, "shared_with", with);
    value(o, "preemptions", (double)r->phases.preemptions);
    return o;
}

static json_t *say_paused(const struct ft_record *r, int64_t us)
{
    char t[32];
    (void)r;
    return entry("client_slow",
                 "The client did not read its answer fast enough: the request stood still for %s.",
                 span(us, t));
}

static json_t *say_elsewhere(const struct ft_record *r, int64_t us)
{
    char t[32];
    (void)r;
    return entry("elsewhere", "%s passed between these, or where nobody measures.", span(us, t));
}

struct cause {
    int64_t us;
    say_fn *say;
};
#define CAUSES_MAX 12

static int causes_of(const struct ft_record *r, int64_t all_us, struct cause *ret)
{
    const struct ft_phases *p = &r->phases;
    const struct cause list[] = {
        {p->admission_us, say_upload}, {p->queue_us, say_queue},     {p->start_us, say_start},
        {p->failed_us, say_failover},  {p->prepare_us, say_prepare}, {p->wait_us, say_wait},
        {p->load_us, say_load},        {p->prefill_us, say_prefill}, {p->decode_us, say_decode},
        {p->paused_us, say_paused},
    };
    int n = 0;
    int64_t known = 0;
    bool generates = r->completion_tokens > 0;
    for (size_t i = 0; i < FT_COUNT(list); i++) {
        const struct cause *c = &list[i];
        bool worth = c->us >= ALWAYS_US ||
                     (c->us >= WORTH_US && (double)c->us >= WORTH_PART * (double)all_us);
        bool always = (c->say == say_failover && p->failovers > 0) ||
                      (generates && (c->say == say_prefill || c->say == say_decode) && c->us > 0);
        known += c->say == say_paused ? 0 : c->us;
        if (worth || always)
            ret[n++] = *c;
    }
    int64_t rest = all_us - known;
    if (known > 0 && rest >= ALWAYS_US && (double)rest >= 0.2 * (double)all_us)
        ret[n++] = (struct cause){rest, say_elsewhere};
    return n;
}

static int longest_first(const void *a, const void *b)
{
    int64_t x = ((const struct cause *)a)->us, y = ((const struct cause *)b)->us;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* ---- why it was refused, or failed ---- */

/* By what the client was told: the code, then words of the message. */
static const struct reason {
    const char *code, *word; /* NULL: any */
    const char *is, *text;
} reasons[] = {
    {"rate_limit_exceeded", "concurrent", "rate_limit",
     "Too many requests of this key or project were running at once."},
    {"rate_limit_exceeded", "too large", "rate_limit",
     "The request alone is larger than the limit of tokens a minute: shorten it, or raise the "
     "limit."},
    {"rate_limit_exceeded", NULL, "rate_limit", "A limit of its key or project was reached."},
    {"insufficient_quota", NULL, "budget", "The budget of its key or project is used up."},
    {"invalid_api_key", NULL, "key", "Its key is missing, unknown, expired or revoked."},
    {"insufficient_permissions", NULL, "permission", "Its key or role may not do this."},
    {"model_not_allowed", NULL, "permission", "Its key may not use this model."},
    {"model_not_found", NULL, "model_unknown",
     "There is no endpoint of this name that its project may use."},
    {"context_length_exceeded", NULL, "context_too_long",
     "The prompt, with the answer that it asks for, is longer than the model's context."},
    {NULL, "wait already", "queue_full",
     "The queue was full: as many requests waited already as may. More replicas, or fewer "
     "requests at once, would help."},
    {NULL, "became free in time", "no_replica",
     "No replica of the model had room before the time to wait was over."},
};

static const struct reason *reason_of(const struct ft_record *r)
{
    for (size_t i = 0; i < FT_COUNT(reasons); i++) {
        const struct reason *w = &reasons[i];
        if ((w->code == NULL || strcmp(w->code, r->error.code) == 0) &&
            (w->word == NULL || strcasestr(r->error.text, w->word) != NULL))
            return w;
    }
    return NULL;
}

static json_t *say_reason(const struct ft_record *r)
{
    const struct reason *w = reason_of(r);
    bool worded = r->error.text[0] != '\0';
    if (w == NULL)
        return entry(r->http >= 400 && r->http < 500 ? "bad_request" : "error", "%s",
                     worded ? r->error.text : "Nothing more is known of it.");
    json_t *o = entry(w->is, "%s%s%s%s", w->text, worded ? " It was told: \"" : "", r->error.text,
                      worded ? "\"" : "");
    return o;
}

/* ---- the summary ---- */

/* "most of it writing the answer (2.1 s)": the longest cause, as part of a sentence. */
static void mostly(const struct cause *c, char *ret, size_t n)
{
    static const struct {
        say_fn *say;
        const char *words;
    } part[] = {
        {say_upload, "receiving it"},          {say_queue, "waiting in the queue"},
        {say_start, "starting a replica"},     {say_failover, "with tries that failed"},
        {say_prepare, "preparing the prompt"}, {say_wait, "waiting at the worker"},
        {say_load, "loading the model"},       {say_prefill, "reading the prompt"},
        {say_decode, "writing the answer"},    {say_paused, "waiting for its client to read"},
        {say_elsewhere, "elsewhere"},
    };
    char t[32];
    for (size_t i = 0; i < FT_COUNT(part); i++)
        if (part[i].say == c->say)
            snprintf(ret, n, ", most of it %s (%s)", part[i].words, span(c->us, t));
}

static json_t *summary(const struct ft_record *r, bool running, int64_t all_us,
                       const struct cause *cause, int n)
{
    char t[32], most[96] = "";
    if (n > 0 && cause[0].us > all_us / 2)
        mostly(&cause[0], most, sizeof most);
    span(all_us, t);
    if (running)
        return entry("running", "It is running, for %s so far%s.", t,
                     r->completion_tokens > 0 ? "; its answer has begun" : "");
    switch (r->status) {
    case FT_RECORD_CANCELLED:
        return entry("cancelled", "Its client left after %s; %lld tokens had been written%s.", t,
                     (long long)r->completion_tokens, most);
    case FT_RECORD_REFUSED:
        return entry("refused", "It was refused with status %d after %s.", r->http, t);
    case FT_RECORD_ERROR:
        return r->http >= 200 && r->http < 300
                   ? entry("failed", "It failed after %s, in the middle of its answer%s.", t, most)
                   : entry("failed", "It failed with status %d after %s%s.", r->http, t, most);
    case FT_RECORD_LOST:
        return entry("lost", "The gateway ended while it ran; %lld tokens had been delivered.",
                     (long long)r->completion_tokens);
    case FT_RECORD_OK:
        break;
    }
    return entry("done", "It was answered in %s%s.", t, most);
}

/* Of an endpoint that is called as its model there is nothing to say. */
static json_t *say_target(const struct ft_record *r, bool running)
{
    return entry("target", "%s '%s', of the endpoint '%s'.",
                 running                     ? "It is with"
                 : r->status == FT_RECORD_OK ? "It was answered by"
                 : r->status == FT_RECORD_CANCELLED || r->status == FT_RECORD_LOST
                     ? "It was with"
                     : "It was last given to",
                 r->target, r->model);
}

json_t *ft_explain(const struct ft_record *r, bool running)
{
    struct cause cause[CAUSES_MAX];
    int64_t all_us = FT_MAX(r->end_us - r->start_us, 0);
    int n = causes_of(r, all_us, cause);
    json_t *list = json_array();
    qsort(cause, (size_t)n, sizeof *cause, longest_first);
    json_t *o = summary(r, running, all_us, cause, n);
    json_object_set_new(o, "ms", json_real(ms(all_us)));
    json_array_append_new(list, o);
    bool bad = r->status == FT_RECORD_REFUSED || r->status == FT_RECORD_ERROR;
    if (!running && bad)
        json_array_append_new(list, say_reason(r));
    if (r->target[0] != '\0' && strcmp(r->target, r->model) != 0)
        json_array_append_new(list, say_target(r, running));
    for (int i = 0; i < n; i++) {
        o = cause[i].say(r, cause[i].us);
        json_object_set_new(o, "ms", json_real(ms(cause[i].us)));
        json_array_append_new(list, o);
    }
    return list;
}
