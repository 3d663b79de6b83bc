/* Following control: rows of the feed go to whoever holds them in memory, and into HOME/snapshot,
 * so that a gateway that starts while control is dead knows all that the one before knew.
 *
 * The snapshot is the feed's own text, one row a line, later rows standing for earlier ones of the
 * same kind and id; its first line names the store it is of. It is appended to as rows come, and
 * written anew from control's whole feed at the start, whenever the store is another one, and when
 * it has become twice as long as that was: later rows repeat earlier ones. What was spent is beside
 * it (spend.c).
 *
 * One thread, which blocks in a long poll; those who wait for a sequence number are called by it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/file.h"
#include "base/log.h"
#include "gateway/inner.h"
#include "gateway/watch/prompts.h"
#include "gateway/watch/requests.h"

#define FEED_BYTES_MAX    ((size_t)1 << 30)
#define FEED_POLL_S       2    /* a long poll's length: also how late waiting ones are given up */
#define FEED_FIRST_MS     1000 /* for control's first answer, where a snapshot is there */
#define FEED_LOOK_MS      50   /* how often the end is looked for meanwhile */
#define FEED_RETRY_MS_MIN 20
#define FEED_RETRY_MS_MAX 500
#define STORE_ID_MAX      64
#define SNAPSHOT_SPARE    ((size_t)256 << 10) /* a shorter one is not worth writing anew */

struct waiter {
    int64_t seq, give_up_ns;
    void (*fn)(void *ctx);
    void *ctx;
    struct waiter *next;
};

struct gw_feed {
    struct gw *gw;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct waiter *waiting;
    int64_t seq;
    bool first, connected, stop;
    bool asked; /* control was, once: what was spent and what is revoked is known if it lives */
    /* the thread's own */
    char snapshot[4096], store[STORE_ID_MAX + 1];
    struct gw_spend *spend;
    bool whole; /* control's whole feed was seen since the start */
    size_t whole_bytes, appended_bytes;
    bool spend_known;
};

/* ---- rows ---- */

static void apply(struct gw *g, const char *kind, const char *id, const json_t *body)
{
    struct ft_err err = {0};
    gw_requests_apply(g->requests, kind, id, body);
    if (ft_tenant_apply(g->tenant, kind, id, body, &err) != 0 ||
        ft_ledger_apply(g->ledger, kind, id, body, &err) != 0 ||
        ft_serve_apply(g->serve, kind, id, body, &err) != 0)
        ft_log(FT_LOG_WARN, "gateway", "%s %s as control tells it is not taken: %s", kind, id,
               err.msg);
    gw_prompts_apply(g->prompts, kind, id, body); /* it goes by what the tenants know */
}

/* One line of the feed. Returns its sequence number, or FT_ECORRUPT. */
static int64_t apply_line(struct gw *g, const char *line, size_t n)
{
    json_t *row = json_loadb(line, n, 0, NULL);
    const char *kind = json_string_value(json_object_get(row, "kind"));
    const char *id = json_string_value(json_object_get(row, "id"));
    json_t *body = json_object_get(row, "body");
    int64_t seq = json_integer_value(json_object_get(row, "seq"));
    if (kind == NULL || id == NULL || seq <= 0)
        seq = FT_ECORRUPT;
    else
        apply(g, kind, id, json_is_object(body) ? body : NULL);
    json_decref(row);
    return seq;
}

/* All lines; a torn last one is left out. Returns the highest sequence number. */
static int64_t apply_lines(struct gw *g, const char *text, size_t n)
{
    int64_t last = 0;
    for (const char *end; n > 0 && (end = memchr(text, '\n', n)) != NULL;) {
        size_t len = (size_t)(end - text);
        int64_t seq = len > 0 ? apply_line(g, text, len) : 0;
        last = FT_MAX(last, seq);
        text = end + 1;
        n -= len + 1;
    }
    return last;
}

/* ---- the snapshot ---- */

static void snapshot_load(struct gw_feed *f)
{
    struct ft_err err = {0};
    char *text = NULL;
    size_t n = 0;
    if (ft_file_read(f->snapshot, FEED_BYTES_MAX, &text, &n, &err) != 0) {
        if (err.code != FT_ENOTFOUND)
            ft_log(FT_LOG_WARN, "gateway", "snapshot: %s", err.msg);
        return;
    }
    char *end = memchr(text, '\n', n);
    size_t len = end != NULL ? (size_t)(end - text) : n;
    if (end != NULL && len <= STORE_ID_MAX) {
        memcpy(f->store, text, len);
        f->store[len] = '\0';
        f->seq = apply_lines(f->gw, end + 1, n - len - 1);
        f->first = f->seq > 0;
    }
    free(text);
}

static void snapshot_put(struct gw_feed *f, const char *text, size_t n)
{
    struct ft_err err = {0};
    struct ft_buf b;
    ft_buf_init(&b, FEED_BYTES_MAX + STORE_ID_MAX + 2);
    ft_buf_add_str(&b, f->store);
    ft_buf_add_byte(&b, '\n');
    ft_buf_add(&b, text, n);
    if (b.failed != 0 || ft_file_put(f->snapshot, b.data, b.len, &err) != 0)
        ft_log(FT_LOG_ERROR, "gateway", "snapshot: %s", b.failed ? "too large" : err.msg);
    ft_buf_fini(&b);
    f->whole_bytes = n;
    f->appended_bytes = 0;
}

static bool snapshot_is_long(const struct gw_feed *f)
{
    return f->appended_bytes > FT_MAX(f->whole_bytes, SNAPSHOT_SPARE);
}

/* Losing these lines in a crash of the machine is harmless: control tells them again. */
static void snapshot_append(struct gw_feed *f, const char *text, size_t n)
{
    struct ft_err err = {0};
    int fd = open(f->snapshot, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        ft_err_sys(&err, "open %s", f->snapshot);
    else
        ft_file_write(fd, text, n, f->snapshot, NULL, &err);
    f->appended_bytes += n;
    if (fd >= 0)
        close(fd);
    if (err.code != 0)
        ft_log(FT_LOG_ERROR, "gateway", "snapshot: %s", err.msg);
}

/* ---- asking control ---- */

static int ask(struct gw_feed *f, const char *path, struct ft_http_answer *ret, struct ft_err *err)
{
    char url[160];
    snprintf(url, sizeof url, "http://control%s", path);
    struct ft_http_call_config c = {.url = url,
                                    .unix_socket = f->gw->control_socket,
                                    .total_timeout_ms = (FEED_POLL_S + 5) * 1000};
    int rc = ft_http_fetch(f->gw->client, &c, FEED_BYTES_MAX, ret, err);
    if (rc == 0 && ret->status != 200)
        rc = ft_err_set(err, FT_EIO, "control answered %d", ret->status);
    return rc;
}

/* Once, when control first answers. Usage is delivered only then, or control's sums would hold
 * some of it already. */
static void learn_spend(struct gw_feed *f)
{
    struct ft_http_answer a = {0};
    struct ft_err err = {0};
    if (ask(f, "/internal/spend", &a, &err) == 0) {
        gw_spend_learn(f->spend, a.body.data != NULL ? a.body.data : "", a.body.len);
        ft_ledger_deliver_start(f->gw->ledger);
        f->spend_known = true;
    }
    ft_http_answer_fini(&a);
}

static void notice(struct gw_feed *f, bool connected, int64_t seq);

/* Asks for what is new and applies it. The answer's first line is {"store":ID}. */
static int poll_once(struct gw_feed *f, struct ft_err *err)
{
    struct ft_http_answer a = {0};
    char path[96];
    snprintf(path, sizeof path, "/internal/feed?after=%lld&wait=%d",
             f->whole ? (long long)f->seq : 0ll, f->whole ? FEED_POLL_S : 0);
    int rc = ask(f, path, &a, err);
    const char *text = a.body.data != NULL ? a.body.data : "";
    const char *end = rc == 0 ? memchr(text, '\n', a.body.len) : NULL;
    if (rc == 0 && end == NULL)
        rc = ft_err_set(err, FT_ECORRUPT, "the feed names no store");
    if (rc == 0) {
        json_t *head = json_loadb(text, (size_t)(end - text), 0, NULL);
        const char *store = json_string_value(json_object_get(head, "store"));
        size_t n = a.body.len - (size_t)(end + 1 - text);
        int64_t seq = f->seq;
        if (store == NULL || strlen(store) > STORE_ID_MAX) {
            rc = ft_err_set(err, FT_ECORRUPT, "the feed names no store");
        } else if (f->whole && strcmp(store, f->store) != 0) {
            f->whole = false; /* another store: from the start, at the next poll */
        } else if (!f->whole) {
            strcpy(f->store, store);
            ft_tenant_snapshot_begin(f->gw->tenant);
            ft_ledger_snapshot_begin(f->gw->ledger);
            ft_serve_snapshot_begin(f->gw->serve);
            seq = apply_lines(f->gw, end + 1, n);
            ft_serve_snapshot_end(f->gw->serve);
            ft_ledger_snapshot_end(f->gw->ledger);
            ft_tenant_snapshot_end(f->gw->tenant);
            gw_prompts_snapshot_end(f->gw->prompts);
            f->whole = true;
            snapshot_put(f, end + 1, n);
        } else if (n > 0) {
            seq = FT_MAX(seq, apply_lines(f->gw, end + 1, n));
            snapshot_append(f, end + 1, n);
            f->whole = !snapshot_is_long(f); /* or it is asked for anew, and written */
        }
        json_decref(head);
        if (rc == 0)
            notice(f, true, seq);
    }
    ft_http_answer_fini(&a);
    return rc;
}

/* ---- those who wait ---- */

/* Notes how far the feed has come and calls those who waited for that, or for too long. */
static void notice(struct gw_feed *f, bool connected, int64_t seq)
{
    int64_t now = ft_clock_now_ns();
    struct waiter *due = NULL;
    pthread_mutex_lock(&f->lock);
    f->connected = connected;
    f->seq = seq;
    f->first |= connected;
    for (struct waiter **at = &f->waiting; *at != NULL;) {
        struct waiter *w = *at;
        if (w->seq > seq && w->give_up_ns > now && !f->stop) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->next = due;
        due = w;
    }
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    while (due != NULL) {
        struct waiter *w = due;
        due = w->next;
        w->fn(w->ctx);
        free(w);
    }
}

void gw_feed_after(struct gw_feed *f, int64_t seq, void (*fn)(void *ctx), void *ctx)
{
    struct waiter *w = malloc(sizeof *w);
    pthread_mutex_lock(&f->lock);
    bool wait = w != NULL && f->seq < seq && !f->stop;
    if (wait) {
        *w = (struct waiter){.seq = seq,
                             .give_up_ns = ft_clock_now_ns() + GW_FEED_WAIT_MS * 1000000ll,
                             .fn = fn,
                             .ctx = ctx,
                             .next = f->waiting};
        f->waiting = w;
    }
    pthread_mutex_unlock(&f->lock);
    if (!wait) {
        free(w);
        fn(ctx);
    }
}

int64_t gw_feed_seq(struct gw_feed *f)
{
    pthread_mutex_lock(&f->lock);
    int64_t seq = f->seq;
    pthread_mutex_unlock(&f->lock);
    return seq;
}

bool gw_feed_connected(struct gw_feed *f)
{
    pthread_mutex_lock(&f->lock);
    bool connected = f->connected;
    pthread_mutex_unlock(&f->lock);
    return connected;
}

bool gw_feed_wait_first(struct gw_feed *f)
{
    int64_t until = ft_clock_now_ns() + FEED_FIRST_MS * 1000000ll;
    pthread_mutex_lock(&f->lock);
    while ((!f->first || (!f->asked && ft_clock_now_ns() < until)) && !*f->gw->opt->end) {
        const struct timespec t = ft_cond_until(FEED_LOOK_MS);
        pthread_cond_timedwait(&f->changed, &f->lock, &t);
    }
    bool first = f->first;
    pthread_mutex_unlock(&f->lock);
    return first;
}

/* ---- the thread ---- */

static void note_asked(struct gw_feed *f)
{
    pthread_mutex_lock(&f->lock);
    f->asked = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static bool stopping(struct gw_feed *f)
{
    pthread_mutex_lock(&f->lock);
    bool stop = f->stop;
    pthread_mutex_unlock(&f->lock);
    return stop;
}

static void *follow(void *ctx)
{
    struct gw_feed *f = ctx;
    int pause_ms = FEED_RETRY_MS_MIN;
    bool told = false;
    while (!stopping(f)) {
        struct ft_err err = {0};
        if (poll_once(f, &err) == 0) {
            if (!f->spend_known)
                learn_spend(f);
            note_asked(f);
            if (told)
                ft_log(FT_LOG_INFO, "gateway", "control answers again");
            told = false;
            pause_ms = FEED_RETRY_MS_MIN;
        } else {
            notice(f, false, gw_feed_seq(f));
            if (!told && pause_ms >= FEED_RETRY_MS_MAX) {
                ft_log(FT_LOG_WARN, "gateway", "control does not answer: %s; going on without",
                       err.msg);
                told = true;
            }
            usleep((useconds_t)pause_ms * 1000);
            pause_ms = FT_MIN(2 * pause_ms, FEED_RETRY_MS_MAX);
        }
        gw_spend_save(f->spend, false);
    }
    notice(f, false, gw_feed_seq(f));
    return NULL;
}

int gw_feed_open(struct gw *g, struct gw_feed **ret, struct ft_err *err)
{
    struct gw_feed *f = calloc(1, sizeof *f);
    if (f == NULL)
        return ft_err_set(err, FT_ENOMEM, "feed");
    f->gw = g;
    snprintf(f->snapshot, sizeof f->snapshot, "%s/snapshot", g->opt->home);
    pthread_mutex_init(&f->lock, NULL);
    ft_cond_init(&f->changed);
    snapshot_load(f);
    int rc = gw_spend_open(g, &f->spend, err);
    if (rc != 0) {
        free(f);
        return rc;
    }
    if (pthread_create(&f->thread, NULL, follow, f) != 0) {
        gw_spend_close(f->spend);
        free(f);
        return ft_err_sys(err, "start the feed's thread");
    }
    *ret = f;
    return 0;
}

void gw_feed_close(struct gw_feed *f)
{
    if (f == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    gw_spend_save(f->spend, true);
    gw_spend_close(f->spend);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
