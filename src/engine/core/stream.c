/* See stream.h and engine.h. One mutex per stream; the owner never waits for a consumer. */
#include "engine/core/stream.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/cond.h"
#include "engine/core/engine.h"

struct ft_stream {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct ft_stream_hooks hooks;
    char *ring;
    size_t cap, head, used; /* bytes */
    size_t burst, end_bytes;
    int n_ref;
    bool ended;   /* END is in the ring or was taken */
    bool taken;   /* END was taken */
    bool closed;  /* the consumer is gone: events are dropped */
    bool blocked; /* the owner waits for room */
    char *out;    /* the event last taken */
    size_t out_cap;
};

struct record {
    size_t bytes; /* all of it, this header included */
    struct ft_event ev;
};

size_t ft_stream_event_bytes(size_t text_n, int n_top, int n_value)
{
    size_t n = sizeof(struct record) + text_n + (size_t)n_top * sizeof(struct ft_top) +
               (size_t)n_value * sizeof(float) + sizeof(struct ft_err);
    return (n + 15) / 16 * 16;
}

int ft_stream_open(const struct ft_stream_hooks *hooks, size_t event_bytes, size_t burst_bytes,
                   size_t end_bytes, struct ft_stream **ret_s, struct ft_err *err)
{
    struct ft_stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "stream: no memory");
    s->cap = 2 * burst_bytes + end_bytes;
    if (s->cap < FT_STREAM_BYTES_MIN)
        s->cap = FT_STREAM_BYTES_MIN;
    s->ring = malloc(s->cap);
    s->out_cap = event_bytes;
    s->out = malloc(s->out_cap);
    if (s->ring == NULL || s->out == NULL) {
        free(s->ring);
        free(s->out);
        free(s);
        return ft_err_set(err, FT_ENOMEM, "stream: no memory");
    }
    s->hooks = *hooks;
    s->burst = burst_bytes;
    s->end_bytes = end_bytes;
    s->n_ref = 2;
    pthread_mutex_init(&s->lock, NULL);
    ft_cond_init(&s->cond);
    *ret_s = s;
    return 0;
}

static void destroy(struct ft_stream *s)
{
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->cond);
    free(s->ring);
    free(s->out);
    free(s);
}

/* Lock held; releases it. */
static void unref_unlock(struct ft_stream *s)
{
    int left = --s->n_ref;
    pthread_mutex_unlock(&s->lock);
    if (left == 0)
        destroy(s);
}

void ft_stream_drop(struct ft_stream *s)
{
    if (s != NULL)
        destroy(s);
}

bool ft_stream_has_room(struct ft_stream *s)
{
    pthread_mutex_lock(&s->lock);
    bool room = s->closed || s->cap - s->used >= s->burst + s->end_bytes;
    s->blocked = !room;
    pthread_mutex_unlock(&s->lock);
    return room;
}

static void put(struct ft_stream *s, const void *data, size_t n)
{
    if (n == 0)
        return;
    size_t at = (s->head + s->used) % s->cap, first = FT_MIN(n, s->cap - at);
    memcpy(s->ring + at, data, first);
    memcpy(s->ring, (const char *)data + first, n - first);
    s->used += n;
}

static void get(struct ft_stream *s, void *data, size_t n)
{
    if (n == 0)
        return;
    size_t first = FT_MIN(n, s->cap - s->head);
    memcpy(data, s->ring + s->head, first);
    memcpy((char *)data + first, s->ring, n - first);
    s->head = (s->head + n) % s->cap;
    s->used -= n;
}

void ft_stream_push(struct ft_stream *s, const struct ft_event *ev)
{
    struct record r = {.ev = *ev};
    size_t top = (size_t)ev->n_top * sizeof *ev->top, value = (size_t)ev->n_value * sizeof(float);
    size_t fail = ev->err != NULL ? sizeof *ev->err : 0;
    r.bytes = sizeof r + top + value + fail + ev->text_n;
    pthread_mutex_lock(&s->lock);
    bool was_empty = s->used == 0, end = ev->kind == FT_EVENT_END;
    if (!s->closed) {
        FT_ASSERT(r.bytes <= s->cap - s->used);
        put(s, &r, sizeof r);
        put(s, ev->err, fail);
        put(s, ev->top, top);
        put(s, ev->value, value);
        put(s, ev->text, ev->text_n);
        pthread_cond_signal(&s->cond);
        if (was_empty && s->hooks.ready != NULL)
            s->hooks.ready(s->hooks.ctx);
    }
    s->ended = end;
    if (end)
        unref_unlock(s);
    else
        pthread_mutex_unlock(&s->lock);
}

/* Lock held. Waits for a record; 0, FT_EBUSY. */
static int wait_for(struct ft_stream *s, int64_t timeout_ms)
{
    int64_t until = ft_clock_now_ns() + timeout_ms * 1000000;
    struct timespec t = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    while (s->used == 0) {
        if (timeout_ms == 0)
            return FT_EBUSY;
        if (timeout_ms < 0)
            pthread_cond_wait(&s->cond, &s->lock);
        else if (pthread_cond_timedwait(&s->cond, &s->lock, &t) != 0 && s->used == 0)
            return FT_EBUSY;
    }
    return 0;
}

static void pop(struct ft_stream *s, struct ft_event *ret_ev)
{
    struct record r;
    get(s, &r, sizeof r);
    size_t rest = r.bytes - sizeof r;
    FT_ASSERT(rest <= s->out_cap);
    get(s, s->out, rest);
    const char *p = s->out;
    if (r.ev.err != NULL) {
        r.ev.err = (const struct ft_err *)p;
        p += sizeof *r.ev.err;
    }
    r.ev.top = (const struct ft_top *)p;
    p += (size_t)r.ev.n_top * sizeof *r.ev.top;
    r.ev.value = (const float *)p;
    p += (size_t)r.ev.n_value * sizeof *r.ev.value;
    r.ev.text = p;
    *ret_ev = r.ev;
    s->taken = r.ev.kind == FT_EVENT_END;
}

int ft_stream_take(struct ft_stream *s, struct ft_event *ret_ev, int64_t timeout_ms)
{
    pthread_mutex_lock(&s->lock);
    int rc = s->taken ? FT_ECANCELED : wait_for(s, timeout_ms);
    if (rc == 0) {
        pop(s, ret_ev);
        /* Under the lock: until END is pushed, which needs it, the engine cannot go away. */
        if (s->blocked && !s->ended && s->cap - s->used >= s->burst + s->end_bytes) {
            s->blocked = false;
            s->hooks.wake(s->hooks.engine);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void ft_stream_close(struct ft_stream *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    /* Not waiting with the lock held: the owner, who empties the mailbox, may want it. */
    while (!s->ended && !s->hooks.cancel(s->hooks.engine, s->hooks.id)) {
        pthread_mutex_unlock(&s->lock);
        sched_yield();
        pthread_mutex_lock(&s->lock);
    }
    unref_unlock(s);
}
