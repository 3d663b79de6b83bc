/* Downloads the files of a listing into the stage, a few at a time, each going on where it stopped.
 *
 *   IDLE --start--> RUNNING --all bytes, right hash--> DONE
 *                      |--broken off--> IDLE, to be started again at a later time
 *                      '--refused, wrong twice, too many tries--> the pull fails
 *
 * Bytes are written and summed on the HTTP client's thread; everything else happens on the
 * caller's, which waits for events. A transfer's fields below `mutex` belong to whoever holds it;
 * the file and the sum to the client's thread while RUNNING. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/file.h"
#include "hub/pull/impl.h"
#include "net/client.h"

#define WAIT_MS_MAX     30000
#define TICK_NS         100000000 /* between two looks at the clock */
#define CONNECT_MS      20000
#define IDLE_MS         60000
#define HEADERS_MAX     8
#define REFUSAL_BYTES   4096
#define PATH_BYTES      4096
#define URL_BYTES_MAX   16384
#define WRONG_TIMES_MAX 2 /* whole files with a wrong hash */

enum state { IDLE, RUNNING, ENDED, DONE };

struct transfer {
    struct get *get;
    const struct ft_pull_file *file;
    int fd;
    struct ft_pull_sum *sum;
    struct ft_http_call *call;
    int tries, wrong;
    int64_t next_ns;
    uint64_t begin; /* where this try went on */
    /* the client's thread, while RUNNING */
    int status;
    char refusal[REFUSAL_BYTES];
    size_t n_refusal;
    struct ft_err failed; /* of our own making: the disk, or too many bytes */
    /* under the mutex */
    enum state state;
    uint64_t done;
    struct ft_err end; /* ENDED: how the call ended; code 0: well */
};

struct get {
    const struct ft_pull_source *source;
    const struct ft_pull_options *o;
    const struct ft_pull_stage *stage;
    const struct ft_pull_list *list;
    struct ft_http_client *client;
    char *headers[HEADERS_MAX];
    int n_headers;
    struct transfer *transfer;
    uint64_t earlier;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

/* ---- the client's thread ---- */

static void fail(struct transfer *t, const char *what)
{
    if (t->failed.code == 0)
        ft_err_sys(&t->failed, "%s %.200s", what, t->file->path);
}

static void on_head(void *ctx, const struct ft_http_answer_head *head)
{
    struct transfer *t = ctx;
    const char *range = ft_http_answer_header(head, "content-range");
    unsigned long long from;
    t->status = head->status;
    if (head->status == 206 &&
        (range == NULL || sscanf(range, "bytes %llu-", &from) != 1 || from != t->begin)) {
        ft_err_set(&t->failed, FT_EIO, "%.200s: another range came than was asked for",
                   t->file->path);
    } else if (head->status == 200 && t->begin > 0) { /* it does not go on, it begins anew */
        ft_pull_sum_reset(t->sum);
        if (ftruncate(t->fd, 0) != 0)
            fail(t, "write");
        pthread_mutex_lock(&t->get->mutex);
        t->done = 0;
        pthread_mutex_unlock(&t->get->mutex);
    }
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct transfer *t = ctx;
    if (t->failed.code != 0)
        return true;
    if (t->status != 200 && t->status != 206) {
        size_t room = FT_MIN(n, sizeof t->refusal - t->n_refusal);
        memcpy(t->refusal + t->n_refusal, data, room);
        t->n_refusal += room;
        return true;
    }
    if (n > t->file->bytes - t->done) {
        ft_err_set(&t->failed, FT_ECORRUPT, "%.200s: longer than the %" PRIu64 " bytes announced",
                   t->file->path, t->file->bytes);
        return true;
    }
    for (size_t at = 0; at < n;) {
        ssize_t got = pwrite(t->fd, data + at, n - at, (off_t)(t->done + at));
        if (got < 0 && errno != EINTR) {
            fail(t, "write");
            return true;
        }
        at += got > 0 ? (size_t)got : 0;
    }
    ft_pull_sum_add(t->sum, data, n);
    pthread_mutex_lock(&t->get->mutex);
    t->done += n;
    pthread_mutex_unlock(&t->get->mutex);
    return true;
}

static void on_done(void *ctx, const struct ft_err *err)
{
    struct transfer *t = ctx;
    pthread_mutex_lock(&t->get->mutex);
    t->end = err != NULL ? *err : (struct ft_err){0};
    t->state = ENDED;
    pthread_cond_signal(&t->get->changed);
    pthread_mutex_unlock(&t->get->mutex);
}

/* ---- the caller's thread ---- */

static void path_of(const struct transfer *t, enum ft_pull_where where, char *ret)
{
    ft_pull_stage_path(t->get->stage, t->file, where, ret, PATH_BYTES);
}

static bool interrupted(const struct get *g)
{
    return g->o->interrupt != NULL && *g->o->interrupt != 0;
}

static int start(struct transfer *t, struct ft_err *err)
{
    struct get *g = t->get;
    struct ft_buf url;
    char range[64];
    const char *headers[HEADERS_MAX + 1];
    int n = 0;
    for (; n < g->n_headers; n++)
        headers[n] = g->headers[n];
    t->begin = t->done;
    t->status = 0;
    t->n_refusal = 0;
    t->failed = (struct ft_err){0};
    if (t->begin > 0) {
        snprintf(range, sizeof range, "Range: bytes=%" PRIu64 "-", t->begin);
        headers[n++] = range;
    }
    ft_buf_init(&url, URL_BYTES_MAX);
    ft_pull_file_url(g->source, g->list->commit, t->file->path, &url);
    struct ft_http_call_config c = {
        .url = url.data,
        .headers = headers,
        .n_headers = n,
        .connect_timeout_ms = CONNECT_MS,
        .idle_timeout_ms = IDLE_MS,
        .follow = true,
        .large = true,
        .on_head = on_head,
        .on_data = on_data,
        .on_done = on_done,
        .ctx = t,
    };
    t->state = RUNNING;
    int rc = url.failed != 0 ? ft_err_set(err, FT_ENOMEM, "%.200s: no memory", t->file->path)
                             : ft_http_call_start(g->client, &c, &t->call, err);
    if (rc != 0)
        t->state = IDLE;
    ft_buf_fini(&url);
    return rc;
}

/* It came whole: is it right? Then it is on the disk under its own name. */
static int finish(struct transfer *t, struct ft_err *err)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    path_of(t, FT_PULL_PARTIAL, from);
    path_of(t, FT_PULL_WHOLE, to);
    int rc = ft_pull_sum_check(t->sum, err);
    if (rc != 0) {
        ft_pull_sum_reset(t->sum);
        t->done = 0;
        if (ftruncate(t->fd, 0) != 0)
            return ft_err_sys(err, "write %s", from);
        return rc;
    }
    if (fsync(t->fd) != 0)
        return ft_err_sys(err, "sync %s", from);
    if (rename(from, to) != 0)
        return ft_err_sys(err, "rename %s to %s", from, to);
    t->state = DONE;
    return 0;
}

/* A try has ended. 0: done, or it will be tried again; else the pull has failed. */
static int judge(struct transfer *t, struct ft_err *err)
{
    const struct get *g = t->get;
    bool ok = t->status == 200 || t->status == 206, retry = true;
    struct ft_err why = {0};
    ft_http_call_unref(t->call);
    t->call = NULL;
    t->state = IDLE;
    if (t->failed.code != 0) {
        why = t->failed;
        retry = why.code == FT_EIO && why.sys_errno == 0;
        if (why.code == FT_ECORRUPT) /* what is there is worth nothing */
            (void)!ftruncate(t->fd, 0);
    } else if (t->end.code == FT_ECANCELED) {
        *err = t->end;
        return FT_ECANCELED;
    } else if (t->end.code != 0) {
        why = t->end;
        retry = why.code == FT_EIO || why.code == FT_ELIMIT || why.code == FT_ENOTFOUND;
    } else if (!ok && t->status != 416) {
        ft_pull_refused(g->source, t->file->path, t->status, t->refusal, t->n_refusal, &retry,
                        &why);
    } else if (t->done < t->file->bytes) {
        ft_err_set(&why, FT_EIO, "%.200s: the answer ended after %" PRIu64 " of %" PRIu64 " bytes",
                   t->file->path, t->done, t->file->bytes);
    } else if (finish(t, &why) == 0) {
        return 0;
    } else {
        retry = why.code == FT_ECORRUPT && ++t->wrong < WRONG_TIMES_MAX;
    }
    t->tries = t->done > t->begin ? 1 : t->tries + 1;
    if (!retry || t->tries >= FT_PULL_TRIES) {
        *err = why;
        return err->code;
    }
    int64_t wait_ms = (int64_t)(g->o->wait_ms > 0 ? g->o->wait_ms : 500) << (t->tries - 1);
    t->next_ns = ft_clock_now_ns() + FT_MIN(wait_ms, WAIT_MS_MAX) * 1000000;
    t->end = why; /* shown while it waits */
    return 0;
}

static void report(struct get *g)
{
    struct ft_pull_progress p = {.n_files = g->list->n, .file = "", .earlier = g->earlier};
    for (int i = 0; i < g->list->n; i++) {
        const struct transfer *t = &g->transfer[i];
        p.all += t->file->bytes;
        p.done += t->done;
        p.n_done += t->state == DONE;
        if (t->state == RUNNING || p.file[0] == '\0')
            p.file = t->file->path;
        if (t->state == IDLE && t->next_ns != 0)
            p.trouble = t->end.msg;
    }
    if (g->o->on_progress != NULL)
        g->o->on_progress(g->o->ctx, &p);
}

static void tick(struct get *g)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TICK_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&g->changed, &g->mutex, &until);
}

/* The mutex is held, but for the moments in which calls are started. */
static int loop(struct get *g, struct ft_err *err)
{
    int rc = 0;
    for (;;) {
        int running = 0, left = 0;
        int64_t now = ft_clock_now_ns();
        for (int i = 0; rc == 0 && i < g->list->n; i++)
            if (g->transfer[i].state == ENDED)
                rc = judge(&g->transfer[i], err);
        if (rc == 0 && interrupted(g))
            rc = ft_err_set(err, FT_ECANCELED, "interrupted; the same command goes on");
        for (int i = 0; i < g->list->n; i++) {
            running += g->transfer[i].state == RUNNING;
            left += g->transfer[i].state != DONE;
        }
        for (int i = 0; rc == 0 && i < g->list->n && running < FT_PULL_PARALLEL; i++) {
            struct transfer *t = &g->transfer[i];
            if (t->state != IDLE || t->next_ns > now)
                continue;
            pthread_mutex_unlock(&g->mutex);
            rc = start(t, err);
            pthread_mutex_lock(&g->mutex);
            running++;
        }
        report(g);
        if (left == 0 || (rc != 0))
            return rc;
        tick(g);
    }
}

/* Cancels what runs and waits for its end. */
static void stop(struct get *g)
{
    for (int i = 0; i < g->list->n; i++) {
        struct transfer *t = &g->transfer[i];
        if (t->call != NULL)
            ft_http_call_cancel(t->call);
    }
    ft_http_client_close(g->client); /* after this no callback comes */
    for (int i = 0; i < g->list->n; i++) {
        struct transfer *t = &g->transfer[i];
        ft_http_call_unref(t->call);
        ft_pull_sum_close(t->sum);
        if (t->fd >= 0) {
            fsync(t->fd); /* what is there is there for the next one; if not, its sum tells */
            close(t->fd);
        }
    }
}

/* Opens what there is of a file and sums it. */
static int resume(struct transfer *t, struct ft_err *err)
{
    char path[PATH_BYTES];
    struct stat st;
    path_of(t, FT_PULL_WHOLE, path);
    if (stat(path, &st) == 0 && (uint64_t)st.st_size == t->file->bytes) {
        t->state = DONE;
        t->done = t->file->bytes;
        return 0;
    }
    path_of(t, FT_PULL_PARTIAL, path);
    t->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (t->fd < 0 || fstat(t->fd, &st) != 0)
        return ft_err_sys(err, "open %s", path);
    t->sum = ft_pull_sum_open(t->file);
    if (t->sum == NULL)
        return ft_err_set(err, FT_ENOMEM, "fetch %.200s: no memory", t->file->path);
    uint64_t have = (uint64_t)st.st_size;
    if (have > t->file->bytes) {
        have = 0;
        if (ftruncate(t->fd, 0) != 0)
            return ft_err_sys(err, "write %s", path);
    }
    int rc = ft_pull_sum_file(t->sum, t->fd, have, t->get->o->interrupt, err);
    if (rc != 0)
        return rc;
    t->done = have;
    if (have < t->file->bytes)
        return 0;
    struct ft_err wrong; /* whole already, or empty: no bytes need to be asked for */
    return finish(t, &wrong) == 0 || wrong.code == FT_ECORRUPT ? 0 : (*err = wrong, (int)err->code);
}

int ft_pull_get(const struct ft_pull_source *s, const struct ft_pull_options *o,
                struct ft_pull_stage *st, const struct ft_pull_list *l, struct ft_err *err)
{
    struct get g = {.source = s, .o = o, .stage = st, .list = l};
    uint64_t all = 0;
    g.transfer = calloc((size_t)l->n, sizeof *g.transfer);
    if (g.transfer == NULL)
        return ft_err_set(err, FT_ENOMEM, "fetch: no memory");
    pthread_mutex_init(&g.mutex, NULL);
    ft_cond_init(&g.changed);
    for (int i = 0; i < l->n; i++)
        g.transfer[i] = (struct transfer){.get = &g, .file = &l->file[i], .fd = -1};
    int rc = 0;
    for (int i = 0; rc == 0 && i < l->n; i++) {
        rc = resume(&g.transfer[i], err);
        g.earlier += g.transfer[i].done;
        all += l->file[i].bytes;
        if (rc == 0)
            report(&g);
    }
    if (rc == 0)
        rc = ft_pull_stage_room(st, all - g.earlier, err);
    if (rc == 0)
        rc = ft_http_client_open(&g.client, err);
    if (rc == 0) {
        g.n_headers = ft_pull_headers(s->hub, g.headers, HEADERS_MAX);
        pthread_mutex_lock(&g.mutex);
        rc = loop(&g, err);
        pthread_mutex_unlock(&g.mutex);
    }
    stop(&g);
    for (int i = 0; i < g.n_headers; i++)
        free(g.headers[i]);
    free(g.transfer);
    pthread_cond_destroy(&g.changed);
    pthread_mutex_destroy(&g.mutex);
    return rc;
}
