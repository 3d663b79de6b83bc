/* Queues of notices, one for each channel. */
#include "monitor/notify.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHY_BYTES 300

struct waiting {
    json_t *body;
    int tries;
    int64_t next_s;
};

struct channel {
    char id[FT_NOTIFY_ID_BYTES];
    int64_t heartbeat_s, beat_s; /* beat_s: the last one; 0: none yet */
    struct waiting queue[FT_NOTIFY_WAITING_MAX];
    int n;
    enum { NOTHING, NOTICE, HEARTBEAT } trying; /* since ft_notify_next */
    int64_t sent, failed, given_up, ok_s, error_s;
    char why[WHY_BYTES];
};

struct ft_notify {
    struct channel channel[FT_NOTIFY_CHANNELS_MAX];
    int n, turn;
};

int ft_notify_open(struct ft_notify **ret, struct ft_err *err)
{
    struct ft_notify *n = calloc(1, sizeof *n);
    if (n == NULL)
        return ft_err_set(err, FT_ENOMEM, "monitor: out of memory");
    *ret = n;
    return 0;
}

static void take_first(struct channel *c)
{
    json_decref(c->queue[0].body);
    memmove(c->queue, c->queue + 1, (size_t)--c->n * sizeof c->queue[0]);
}

static void channel_empty(struct channel *c)
{
    while (c->n > 0)
        take_first(c);
}

void ft_notify_close(struct ft_notify *n)
{
    for (int i = 0; n != NULL && i < n->n; i++)
        channel_empty(&n->channel[i]);
    free(n);
}

static struct channel *find(const struct ft_notify *n, const char *id)
{
    for (int i = 0; i < n->n; i++)
        if (strcmp(n->channel[i].id, id) == 0)
            return (struct channel *)&n->channel[i];
    return NULL;
}

void ft_notify_channels(struct ft_notify *n, const struct ft_notify_channel *list, int count)
{
    for (int i = n->n - 1; i >= 0; i--) { /* those that are gone */
        bool there = false;
        for (int k = 0; k < count; k++)
            there |= strcmp(list[k].id, n->channel[i].id) == 0;
        if (there)
            continue;
        channel_empty(&n->channel[i]);
        n->channel[i] = n->channel[--n->n];
    }
    for (int k = 0; k < count; k++) {
        struct channel *c = find(n, list[k].id);
        if (c == NULL && n->n < FT_NOTIFY_CHANNELS_MAX) {
            c = &n->channel[n->n++];
            memset(c, 0, sizeof *c);
            snprintf(c->id, sizeof c->id, "%s", list[k].id);
        }
        if (c != NULL)
            c->heartbeat_s = list[k].heartbeat_s;
    }
}

static void add(struct channel *c, json_t *body, int tries, int64_t next_s)
{
    if (c->n == FT_NOTIFY_WAITING_MAX) {
        c->given_up++;
        if (c->trying == NOTICE) { /* the first is under way: the second is the oldest */
            json_decref(c->queue[1].body);
            memmove(c->queue + 1, c->queue + 2, (size_t)(c->n - 2) * sizeof c->queue[0]);
            c->n--;
        } else {
            take_first(c);
        }
    }
    c->queue[c->n++] = (struct waiting){json_incref(body), tries, next_s};
}

void ft_notify_add(struct ft_notify *n, const char *channel, json_t *body, int64_t now_s)
{
    struct channel *c = find(n, channel);
    assert(body != NULL);
    if (c != NULL)
        add(c, body, 0, now_s);
}

/* When the channel has something to do; INT64_MAX: never. */
static int64_t due(const struct channel *c, int64_t now_s, bool *ret_beat)
{
    int64_t notice = c->n > 0 ? c->queue[0].next_s : INT64_MAX;
    int64_t beat = c->heartbeat_s == 0                   ? INT64_MAX
                   : c->beat_s == 0 || c->beat_s > now_s ? now_s /* never, or the clock went back */
                                                         : c->beat_s + c->heartbeat_s;
    if (c->n > 0 && notice > now_s + FT_NOTIFY_RETRY_S_MAX)
        notice = now_s; /* so late only by a clock that was set back */
    *ret_beat = beat <= now_s && notice > now_s;
    return c->trying != NOTHING ? INT64_MAX : FT_MIN(notice, beat);
}

bool ft_notify_next(struct ft_notify *n, int64_t now_s, struct ft_notify_due *ret,
                    int64_t *ret_wake_s)
{
    *ret_wake_s = INT64_MAX;
    for (int k = 0; k < n->n; k++) { /* in turn */
        struct channel *c = &n->channel[(n->turn + k) % n->n];
        bool beat;
        int64_t at = due(c, now_s, &beat);
        *ret_wake_s = FT_MIN(*ret_wake_s, at);
        if (at > now_s)
            continue;
        n->turn = (n->turn + k + 1) % n->n;
        c->trying = beat ? HEARTBEAT : NOTICE;
        strcpy(ret->channel, c->id);
        ret->is_heartbeat = beat;
        ret->body = beat ? NULL : json_incref(c->queue[0].body);
        return true;
    }
    return false;
}

static int64_t pause_s(int tries)
{
    int64_t s = FT_NOTIFY_RETRY_S;
    for (int i = 1; i < tries && s < FT_NOTIFY_RETRY_S_MAX; i++)
        s *= 3;
    return FT_MIN(s, FT_NOTIFY_RETRY_S_MAX);
}

void ft_notify_done(struct ft_notify *n, const char *channel, int64_t now_s, const char *why,
                    bool never)
{
    struct channel *c = find(n, channel);
    if (c == NULL || c->trying == NOTHING)
        return; /* it went meanwhile */
    bool notice = c->trying == NOTICE && c->n > 0;
    if (c->trying == HEARTBEAT)
        c->beat_s = now_s;
    c->trying = NOTHING;
    if (why == NULL) {
        c->sent++;
        c->ok_s = now_s;
        if (notice)
            take_first(c);
        return;
    }
    c->failed++;
    c->error_s = now_s;
    snprintf(c->why, sizeof c->why, "%s", why);
    if (!notice)
        return;
    if (++c->queue[0].tries >= FT_NOTIFY_TRIES || never) {
        c->given_up++;
        take_first(c);
    } else {
        c->queue[0].next_s = now_s + pause_s(c->queue[0].tries);
    }
}

static json_t *time_or_null(int64_t s)
{
    return s != 0 ? json_integer(s) : json_null();
}

json_t *ft_notify_status(const struct ft_notify *n, const char *channel)
{
    static const struct channel none;
    const struct channel *c = find(n, channel);
    if (c == NULL)
        c = &none;
    return json_pack("{s:i,s:I,s:I,s:I,s:o,s:s?,s:o,s:o}", "waiting", c->n, "sent",
                     (json_int_t)c->sent, "failed", (json_int_t)c->failed, "given_up",
                     (json_int_t)c->given_up, "last_ok", time_or_null(c->ok_s), "last_error",
                     c->why[0] != '\0' ? c->why : NULL, "last_error_at", time_or_null(c->error_s),
                     "last_heartbeat", time_or_null(c->beat_s));
}

json_t *ft_notify_save(const struct ft_notify *n)
{
    json_t *all = json_object();
    for (int i = 0; i < n->n; i++) {
        const struct channel *c = &n->channel[i];
        json_t *queue = json_array();
        for (int k = 0; k < c->n; k++)
            json_array_append_new(queue, json_pack("{s:O,s:i}", "body", c->queue[k].body, "tries",
                                                   c->queue[k].tries));
        json_object_set_new(all, c->id,
                            json_pack("{s:I,s:o}", "beat", (json_int_t)c->beat_s, "queue", queue));
    }
    return all;
}

void ft_notify_load(struct ft_notify *n, const json_t *o, int64_t now_s)
{
    for (int i = 0; i < n->n; i++) {
        struct channel *c = &n->channel[i];
        const json_t *of = json_object_get(o, c->id), *queue = json_object_get(of, "queue");
        int64_t beat = json_integer_value(json_object_get(of, "beat"));
        if (beat > 0 && beat <= now_s)
            c->beat_s = beat;
        for (size_t k = 0; k < json_array_size(queue) && k < FT_NOTIFY_WAITING_MAX; k++) {
            const json_t *w = json_array_get(queue, k);
            json_t *body = json_object_get(w, "body");
            int64_t tries = json_integer_value(json_object_get(w, "tries"));
            if (json_is_object(body) && tries >= 0 && tries < FT_NOTIFY_TRIES)
                add(c, body, (int)tries, now_s);
        }
    }
}
