/* See requests.h: what is kept, and its files. Who asks for it is in requests_api.c.
 *
 * Rings are under one lock, held for a copy. A thread of their own writes what must survive. */
#include "gateway/watch/requests.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/file.h"
#include "base/log.h"
#include "gateway/inner.h"
#include "gateway/watch/requests_kept.h"

#define WRITE_EVERY_S  1
#define KEPT_AT_ONCE   32 /* copies made in one hold of the lock */
#define WRITE_MAX      64 /* at a time, so that the lock is held for short */
#define LINE_BYTES_MAX (FT_RECORD_LINE_MAX + 64 * FT_MOMENTS_MAX)

static const int ring_sizes[GW_RINGS] = {[GW_RING_ENDED] = GW_KEPT_ENDED,
                                         [GW_RING_REFUSED] = GW_KEPT_REFUSED,
                                         [GW_RING_SLOW] = GW_KEPT_SLOW,
                                         [GW_RING_STRANGERS] = GW_KEPT_STRANGERS};

/* ---- those that run ---- */

void gw_requests_enter(struct gw_requests *q, struct gw_running *u)
{
    pthread_mutex_lock(&q->lock);
    u->prev = NULL;
    u->next = q->running;
    if (u->next != NULL)
        u->next->prev = u;
    q->running = u;
    q->n_running++;
    pthread_mutex_unlock(&q->lock);
}

/* ---- those that ended ---- */

/* A line of a batch that is sent again is the same request: what became of it before gives way.
 * Looking through the rings costs some 100 us; batches are in no hurry. Under the lock. */
static void forget_try(struct gw_requests *q, const char *id)
{
    for (int k = 0; k < GW_RINGS; k++) {
        struct gw_ring *ring = &q->ring[k];
        for (int64_t i = FT_MAX(ring->n - ring_sizes[k], 0); i < ring->n; i++) {
            struct gw_kept *kept = &ring->kept[i % ring_sizes[k]];
            if (strcmp(kept->record.id, id) == 0) {
                kept->record.id[0] = '\0';
                kept->written = true;
            }
        }
    }
}

/* Under the lock. */
static void keep(struct gw_requests *q, enum gw_ring_kind kind, const struct ft_record *r,
                 bool written)
{
    if (ft_record_batch(r->id) > 0)
        forget_try(q, r->id);
    struct gw_ring *ring = &q->ring[kind];
    struct gw_kept *at = &ring->kept[ring->n % ring_sizes[kind]];
    if (ring->n >= ring_sizes[kind] && !at->written && kind != GW_RING_ENDED &&
        kind != GW_RING_STRANGERS)
        q->unwritten++;
    at->record = *r;
    at->written = written;
    ring->n++;
}

static enum gw_ring_kind ring_of(const struct gw_requests *q, const struct ft_record *r)
{
    int64_t us = r->end_us - r->start_us;
    bool refused = r->status == FT_RECORD_REFUSED || (r->http >= 400 && r->http < 500);
    if (refused && r->key[0] == '\0' && r->project[0] == '\0')
        return GW_RING_STRANGERS;
    if (refused)
        return GW_RING_REFUSED;
    bool failed = r->status == FT_RECORD_ERROR || r->status == FT_RECORD_LOST;
    return failed || us >= atomic_load(&q->slow_us) ? GW_RING_SLOW : GW_RING_ENDED;
}

void gw_requests_leave(struct gw_requests *q, struct gw_running *u, const struct ft_record *r)
{
    pthread_mutex_lock(&q->lock);
    *(u->prev != NULL ? &u->prev->next : &q->running) = u->next;
    if (u->next != NULL)
        u->next->prev = u->prev;
    q->n_running--;
    keep(q, ring_of(q, r), r, false);
    pthread_mutex_unlock(&q->lock);
}

void gw_requests_ended(struct gw_requests *q, const struct ft_record *r)
{
    pthread_mutex_lock(&q->lock);
    keep(q, ring_of(q, r), r, false);
    pthread_mutex_unlock(&q->lock);
}

static void copy(char *ret, size_t n, const char *text)
{
    snprintf(ret, n, "%s", text != NULL ? text : "");
}

void gw_request_record(const struct gw_request *r, const struct ft_ledger_begin *b,
                       enum ft_record_status status, struct ft_record *ret)
{
    *ret = (struct ft_record){.status = status,
                              .http = atomic_load(&r->status),
                              .requests = 1,
                              .page = b->page,
                              .start_us = b->at_us - FT_MAX(b->ago_us, 0),
                              .end_us = b->at_us,
                              .error = r->error};
    copy(ret->id, sizeof ret->id, b->id);
    copy(ret->project, sizeof ret->project, b->project);
    copy(ret->key, sizeof ret->key, b->key);
    copy(ret->model, sizeof ret->model, b->model);
    copy(ret->route, sizeof ret->route, b->route);
    copy(ret->client_id, sizeof ret->client_id, b->client_id);
    copy(ret->trace_id, sizeof ret->trace_id, b->trace_id);
}

void gw_request_ended(struct gw_request *r, const struct ft_ledger_begin *b,
                      enum ft_record_status status, int64_t bytes_in, int64_t bytes_out)
{
    struct ft_record o;
    gw_request_record(r, b, status, &o);
    o.bytes_in = bytes_in;
    o.bytes_out = bytes_out;
    gw_requests_ended(r->gw->requests, &o);
    gw_request_told(r, &o, NULL);
}

void gw_requests_apply(struct gw_requests *q, const char *kind, const char *id, const json_t *body)
{
    if (strcmp(kind, "setting") != 0 || strcmp(id, "slow_request_ms") != 0)
        return;
    const json_t *ms = json_object_get(body, "slow_request_ms");
    bool good = json_is_integer(ms) && json_integer_value(ms) >= 0;
    atomic_store(&q->slow_us, 1000 * (good ? FT_MIN(json_integer_value(ms), INT32_MAX)
                                           : (json_int_t)GW_SLOW_MS_DEFAULT));
}

json_t *gw_requests_status(struct gw_requests *q)
{
    pthread_mutex_lock(&q->lock);
    int64_t n[GW_RINGS], unwritten = q->unwritten;
    for (int i = 0; i < GW_RINGS; i++)
        n[i] = q->ring[i].n;
    pthread_mutex_unlock(&q->lock);
    return json_pack("{s:I,s:I,s:I,s:I,s:I}", "ended", (json_int_t)n[GW_RING_ENDED], "refused",
                     (json_int_t)n[GW_RING_REFUSED], "slow_or_failed", (json_int_t)n[GW_RING_SLOW],
                     "unknown_keys", (json_int_t)n[GW_RING_STRANGERS], "unwritten",
                     (json_int_t)unwritten);
}

/* ---- looking ---- */

bool gw_kept_find(struct gw_requests *q, const char *id, struct ft_record *ret, bool *ret_running)
{
    bool found = false;
    *ret_running = false;
    pthread_mutex_lock(&q->lock);
    for (struct gw_running *u = q->running; u != NULL && !found; u = u->next)
        if (strcmp(u->id, id) == 0) {
            u->look(u, ret);
            found = *ret_running = true;
        }
    for (int k = 0; k < GW_RINGS && !found; k++) {
        const struct gw_ring *ring = &q->ring[k];
        int64_t from = FT_MAX(ring->n - ring_sizes[k], 0);
        for (int64_t i = ring->n; i-- > from && !found;) {
            const struct gw_kept *kept = &ring->kept[i % ring_sizes[k]];
            found = strcmp(kept->record.id, id) == 0;
            if (found)
                *ret = kept->record;
        }
    }
    pthread_mutex_unlock(&q->lock);
    return found;
}

/* Copies of all that run, in *ret (free()), and how far the rings were at that moment. */
static int copy_running(struct gw_requests *q, struct ft_record **ret, int64_t ended[GW_RINGS])
{
    int n = 0, cap = 0;
    *ret = NULL;
    pthread_mutex_lock(&q->lock);
    while (q->n_running > cap) { /* more may have come while there was no lock */
        cap = q->n_running + KEPT_AT_ONCE;
        pthread_mutex_unlock(&q->lock);
        free(*ret);
        *ret = malloc((size_t)cap * sizeof **ret);
        if (*ret == NULL)
            return FT_ENOMEM;
        pthread_mutex_lock(&q->lock);
    }
    for (struct gw_running *u = q->running; u != NULL; u = u->next)
        u->look(u, &(*ret)[n++]);
    for (int k = 0; k < GW_RINGS; k++)
        ended[k] = q->ring[k].n;
    pthread_mutex_unlock(&q->lock);
    return n;
}

/* Those of a ring before *at that are there yet, the newest first, at most KEPT_AT_ONCE. */
static int copy_ended(struct gw_requests *q, int k, int64_t *at, struct ft_record *ret)
{
    const struct gw_ring *ring = &q->ring[k];
    int n = 0;
    pthread_mutex_lock(&q->lock);
    int64_t from = FT_MAX(ring->n - ring_sizes[k], 0);
    while (*at > from && n < KEPT_AT_ONCE) {
        const struct ft_record *r = &ring->kept[--*at % ring_sizes[k]].record;
        if (r->id[0] != '\0') /* else a try that gave way */
            ret[n++] = *r;
    }
    pthread_mutex_unlock(&q->lock);
    return n;
}

int gw_kept_each(struct gw_requests *q, gw_kept_fn *fn, void *ctx)
{
    int64_t ended[GW_RINGS];
    struct ft_record *running, *some = malloc(KEPT_AT_ONCE * sizeof *some);
    int n = some != NULL ? copy_running(q, &running, ended) : FT_ENOMEM;
    if (n < 0) {
        free(some);
        return n;
    }
    for (int i = 0; i < n; i++)
        fn(ctx, &running[i], true);
    free(running);
    for (int k = 0; k < GW_RINGS; k++)
        while ((n = copy_ended(q, k, &ended[k], some)) > 0)
            for (int i = 0; i < n; i++)
                fn(ctx, &some[i], false);
    free(some);
    return 0;
}

/* ---- the files ---- */

static void path_of(const struct gw_requests *q, bool old, char *ret, size_t n)
{
    snprintf(ret, n, "%s/requests%s.ndjson", q->gw->opt->home, old ? ".1" : "");
}

/* A record's line, with its moments in the place of its end. */
static void write_line(const struct ft_record *r, struct ft_buf *out)
{
    ft_record_write(r, out);
    if (out->failed != 0 || out->len < 2)
        return;
    out->len -= 2; /* "}\n" */
    ft_buf_add_str(out, ",\"moments\":[");
    for (int i = 0; i < r->phases.n_moments; i++) {
        const struct ft_moment *m = &r->phases.moment[i];
        ft_buf_addf(out, "%s[%d,%d,%lld]", i > 0 ? "," : "", (int)m->kind, (int)m->n,
                    (long long)m->at_ns);
    }
    ft_buf_add_str(out, "]}\n");
}

static void read_moments(const char *line, size_t n, struct ft_phases *p)
{
    json_t *o = json_loadb(line, n, 0, NULL), *m;
    size_t i;
    json_array_foreach(json_object_get(o, "moments"), i, m)
    {
        json_int_t kind = json_integer_value(json_array_get(m, 0));
        json_int_t number = json_integer_value(json_array_get(m, 1));
        json_int_t at_ns = json_integer_value(json_array_get(m, 2));
        if (kind >= 0 && kind < FT_MOMENT_KINDS && at_ns >= 0 && number >= -1 && number < INT32_MAX)
            ft_moment_add(p, (enum ft_moment_kind)kind, (int32_t)number, at_ns);
    }
    json_decref(o);
}

/* What a process before wrote; a line that makes no sense is left out. */
static void read_file(struct gw_requests *q, bool old)
{
    char path[4096];
    struct ft_record r;
    struct ft_err err;
    path_of(q, old, path, sizeof path);
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    for (ssize_t n; f != NULL && (n = getline(&line, &cap, f)) > 0;) {
        if (n > LINE_BYTES_MAX || ft_record_parse(line, (size_t)n, &r, &err) != 0)
            continue;
        read_moments(line, (size_t)n, &r.phases);
        keep(q, ring_of(q, &r), &r, true);
    }
    free(line);
    if (f != NULL)
        fclose(f);
}

static int open_file(struct gw_requests *q, struct ft_err *err)
{
    char path[4096];
    struct stat st;
    path_of(q, false, path, sizeof path);
    q->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (q->fd < 0 || fstat(q->fd, &st) != 0)
        return ft_err_sys(err, "open %s", path);
    q->file_bytes = st.st_size;
    return 0;
}

/* The file is full: it becomes the older one. */
static void rotate(struct gw_requests *q)
{
    char path[4096], old[4096];
    struct ft_err err = {0};
    path_of(q, false, path, sizeof path);
    path_of(q, true, old, sizeof old);
    close(q->fd);
    if (rename(path, old) != 0)
        ft_log(FT_LOG_WARN, "gateway", "rename %s: %s", path, strerror(errno));
    if (open_file(q, &err) != 0)
        ft_log(FT_LOG_WARN, "gateway", "%s; refused and slow requests are not kept over a restart",
               err.msg);
}

/* Copies of some that are to be written, oldest first. Under the lock. */
static int take_unwritten(struct gw_requests *q, struct ft_record *ret)
{
    static const enum gw_ring_kind kinds[] = {GW_RING_REFUSED, GW_RING_SLOW};
    int n = 0;
    for (size_t k = 0; k < FT_COUNT(kinds); k++) {
        struct gw_ring *ring = &q->ring[kinds[k]];
        int64_t from = FT_MAX(ring->n - ring_sizes[kinds[k]], ring->written);
        for (; from < ring->n && n < WRITE_MAX; from++) {
            struct gw_kept *kept = &ring->kept[from % ring_sizes[kinds[k]]];
            if (!kept->written)
                ret[n++] = kept->record;
            kept->written = true;
        }
        ring->written = from;
    }
    return n;
}

static void write_some(struct gw_requests *q, const struct ft_record *list, int n)
{
    struct ft_buf out;
    struct ft_err err = {0};
    ft_buf_init(&out, (size_t)WRITE_MAX * LINE_BYTES_MAX);
    for (int i = 0; i < n; i++)
        write_line(&list[i], &out);
    if (q->file_bytes + (int64_t)out.len > GW_KEPT_FILE_BYTES)
        rotate(q);
    if (q->fd >= 0 && out.len > 0 &&
        ft_file_write(q->fd, out.data, out.len, "requests.ndjson", NULL, &err) != 0 && !q->trouble)
        ft_log(FT_LOG_WARN, "gateway", "%s; it is tried with the next ones", err.msg);
    q->trouble = err.code != FT_OK;
    q->file_bytes += (int64_t)out.len;
    ft_buf_fini(&out);
}

static void *writer_main(void *arg)
{
    struct gw_requests *q = arg;
    struct ft_record *list = calloc(WRITE_MAX, sizeof *list);
    pthread_mutex_lock(&q->lock);
    for (bool last = false; list != NULL;) {
        int n = take_unwritten(q, list);
        if (n > 0) {
            pthread_mutex_unlock(&q->lock);
            write_some(q, list, n);
            pthread_mutex_lock(&q->lock);
            continue;
        }
        if (last)
            break;
        struct timespec until = ft_cond_until(WRITE_EVERY_S * 1000);
        if (!q->stop)
            pthread_cond_timedwait(&q->wake, &q->lock, &until);
        last = q->stop;
    }
    pthread_mutex_unlock(&q->lock);
    free(list);
    return NULL;
}

/* ---- open, close ---- */

int gw_requests_open(struct gw *g, struct gw_requests **ret, struct ft_err *err)
{
    struct gw_requests *q = calloc(1, sizeof *q);
    if (q == NULL)
        return ft_err_set(err, FT_ENOMEM, "requests: no memory");
    q->gw = g;
    q->fd = -1;
    atomic_init(&q->slow_us, 1000 * GW_SLOW_MS_DEFAULT);
    pthread_mutex_init(&q->lock, NULL);
    ft_cond_init(&q->wake);
    int rc = 0;
    for (int i = 0; rc == 0 && i < GW_RINGS; i++) {
        q->ring[i].kept = calloc((size_t)ring_sizes[i], sizeof *q->ring[i].kept);
        if (q->ring[i].kept == NULL)
            rc = ft_err_set(err, FT_ENOMEM, "requests: no memory");
    }
    if (rc == 0) {
        read_file(q, true);
        read_file(q, false);
        rc = open_file(q, err);
    }
    if (rc == 0) {
        errno = pthread_create(&q->thread, NULL, writer_main, q);
        q->runs = errno == 0;
        rc = q->runs ? 0 : ft_err_sys(err, "start a thread");
    }
    if (rc != 0) {
        gw_requests_close(q);
        return rc;
    }
    *ret = q;
    return 0;
}

void gw_requests_close(struct gw_requests *q)
{
    if (q == NULL)
        return;
    pthread_mutex_lock(&q->lock);
    q->stop = true;
    pthread_cond_signal(&q->wake);
    pthread_mutex_unlock(&q->lock);
    if (q->runs)
        pthread_join(q->thread, NULL);
    for (int i = 0; i < GW_RINGS; i++)
        free(q->ring[i].kept);
    if (q->fd >= 0)
        close(q->fd);
    pthread_cond_destroy(&q->wake);
    pthread_mutex_destroy(&q->lock);
    free(q);
}
