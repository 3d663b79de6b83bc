/* Lanes: a queue of requests, threads that come and go with it, and the two buffers between a lane
 * and the server's threads.
 *
 * A job is one request. Its state is under its exchange's lock, and so is the condition its lane
 * waits on: `waiter` of the exchange, signalled by the server when the client is gone or has taken
 * what was there, and here when a part of the body comes.
 *
 *   body   libmicrohttpd's thread: on_data -> ring of at most FT_LANE_BYTES -> ft_lane_read
 *   answer ft_lane_write -> the exchange's stream (server_answer.c), which says when it is full
 *
 * A job ends when both are over: the body (on_end is always called) and fn. */
#include "net/lane.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cond.h"
#include "net/server_impl.h"

#define IDLE_MS       10000 /* an idle thread waits so long for work */
#define STACK_BYTES   (1u << 20)
#define SCRATCH_BYTES (64u << 10)  /* room for an answer of unknown length */
#define READ_LEAST    (128u << 10) /* a sleeping lane is woken for so much of a body, or its end */

struct job {
    struct ft_lane lane; /* first: what fn sees */
    struct exchange *x;
    struct ft_lanes *pool;
    struct job *next; /* in the queue */
    ft_lane_fn *fn;
    void *ctx;
    int64_t body_max;
    bool early; /* a lane is taken before the body is in */
    /* the lane's: its answer */
    enum { ANSWER_NONE, ANSWER_SMALL, ANSWER_BLOCKS, ANSWER_CHUNKS, ANSWER_HEAD } kind;
    int64_t left;               /* bytes that are announced and not written */
    struct MHD_Response *small; /* put together here before it is handed over */
    int small_status;
    char *room; /* SMALL: what is left of small's body; BLOCKS: of a block of room_n, or NULL */
    size_t room_n, room_used;
    char *scratch; /* CHUNKS, HEAD */
    /* under x->lock */
    char *ring;
    size_t at, n, cap; /* bytes at .. at + n wait, around the end */
    int64_t seen;
    size_t wanted; /* bytes that ft_lane_read sleeps for; 0: it does not */
    bool body_over, body_whole, too_long, fn_over;
};

struct ft_lanes {
    pthread_mutex_t lock;
    pthread_cond_t work;
    int max_threads;
    /* under lock */
    struct job *head, *tail;
    int n_queued, n_threads, n_idle;
    bool waking; /* a thread is on its way to the queue: no other is called */
    bool closing;
    struct thread {
        pthread_t id;
        enum { THREAD_NONE, THREAD_RUNS, THREAD_ENDED } state;
        pthread_cond_t changed; /* what its job waits on */
        struct ft_lanes *pool;
    } threads[FT_LANES_MAX];
};

/* ---- jobs ---- */

static void job_free(struct job *j)
{
    if (j->small != NULL)
        MHD_destroy_response(j->small);
    free(j->ring);
    free(j->scratch);
    free(j);
}

/* Both ends call this when they are through; the second frees. */
static void job_over(struct job *j, bool *which)
{
    struct exchange *x = j->x;
    pthread_mutex_lock(&x->lock);
    *which = true;
    if (which == &j->fn_over) {
        x->waiter = NULL;
        free(j->ring); /* what still comes is dropped */
        j->ring = NULL;
        j->n = j->cap = 0;
    } else if (x->waiter != NULL) {
        pthread_cond_signal(x->waiter);
    }
    bool last = j->fn_over && j->body_over;
    pthread_mutex_unlock(&x->lock);
    if (last)
        job_free(j);
}

/* Has an answer given for a fn that did not, and lets go. */
static void job_finish(struct job *j)
{
    struct exchange *x = j->x;
    pthread_mutex_lock(&x->lock);
    bool open = x->stream && !x->stream_ended, bodyless = open && ft_http_is_bodyless(x);
    if (!x->answered && j->small == NULL) { /* the server will; from here it may be closed by now */
        x->handed_over = true;
        x->lost_status = j->too_long ? 413 : 500;
    }
    pthread_mutex_unlock(&x->lock);
    if (bodyless)
        ft_http_stream_end(&x->pub);
    else if (open || j->small != NULL)
        ft_http_abort(&x->pub);
    job_over(j, &j->fn_over);
    ft_http_unref(&x->pub);
}

/* ---- threads ---- */

static void *run(void *arg);

/* One more; there must be room. Under p->lock. */
static int add_thread(struct ft_lanes *p)
{
    struct thread *t = p->threads;
    while (t->state == THREAD_RUNS)
        t++;
    if (t->state == THREAD_ENDED)
        pthread_join(t->id, NULL); /* is past its last use of the lock, or nearly */
    t->state = THREAD_NONE;
    t->pool = p;
    sigset_t all, was;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was); /* signals are for the threads that expect them */
    int rc = pthread_create(&t->id, &attr, run, t);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    pthread_attr_destroy(&attr);
    if (rc == 0) {
        t->state = THREAD_RUNS;
        p->n_threads++;
    }
    return rc;
}

/* Has somebody come for the first in the queue. One at a time: who comes calls the next, and a
 * thread that is through with its job may be faster than one that sleeps. Under p->lock. */
static void call_thread(struct ft_lanes *p)
{
    if (p->head == NULL || p->waking || p->closing) /* who closes waits for those that there are */
        return;
    if (p->n_idle != 0) {
        p->waking = true;
        pthread_cond_signal(&p->work);
    } else if (p->n_threads < p->max_threads) {
        p->waking = add_thread(p) == 0; /* else those that run come to it */
    }
}

static struct job *next_job(struct ft_lanes *p)
{
    bool stay = true;
    p->n_idle++;
    while (p->head == NULL && !p->closing && stay) {
        struct timespec until = ft_cond_until(IDLE_MS);
        bool late = pthread_cond_timedwait(&p->work, &p->lock, &until) != 0;
        p->waking = false;
        stay = !late || p->n_threads == 1; /* one stays for what is started when none can be made */
    }
    p->n_idle--;
    struct job *j = p->head;
    if (j != NULL) {
        p->head = j->next;
        p->n_queued--;
        call_thread(p);
    }
    return j;
}

static void *run(void *arg)
{
    struct thread *t = arg;
    struct ft_lanes *p = t->pool;
    struct job *j;
    pthread_setname_np(pthread_self(), "lane");
    pthread_mutex_lock(&p->lock);
    p->waking = false;
    while ((j = next_job(p)) != NULL) {
        pthread_mutex_unlock(&p->lock);
        pthread_mutex_lock(&j->x->lock);
        j->x->waiter = &t->changed;
        pthread_mutex_unlock(&j->x->lock);
        j->fn(j->ctx, &j->lane);
        job_finish(j);
        pthread_mutex_lock(&p->lock);
    }
    t->state = THREAD_ENDED;
    p->n_threads--;
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void enqueue(struct job *j)
{
    struct ft_lanes *p = j->pool;
    pthread_mutex_lock(&p->lock);
    j->next = NULL;
    if (p->head != NULL)
        p->tail->next = j;
    else
        p->head = j;
    p->tail = j;
    p->n_queued++;
    call_thread(p);
    pthread_mutex_unlock(&p->lock);
}

int ft_lanes_open(int max_threads, struct ft_lanes **ret, struct ft_err *err)
{
    if (max_threads < 0 || max_threads > FT_LANES_MAX)
        return ft_err_set(err, FT_EINVAL, "lanes: max_threads is not in 0..%d", FT_LANES_MAX);
    struct ft_lanes *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ft_err_set(err, FT_ENOMEM, "lanes");
    p->max_threads = max_threads != 0 ? max_threads : FT_LANES_MAX;
    ft_cond_init(&p->work);
    pthread_mutex_init(&p->lock, NULL);
    for (int i = 0; i < FT_LANES_MAX; i++)
        pthread_cond_init(&p->threads[i].changed, NULL);
    pthread_mutex_lock(&p->lock);
    int rc = add_thread(p);
    pthread_mutex_unlock(&p->lock);
    if (rc != 0) {
        ft_lanes_close(p);
        return ft_err_set(err, FT_EIO, "lanes: a thread: %s", strerror(rc));
    }
    *ret = p;
    return 0;
}

void ft_lanes_close(struct ft_lanes *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < FT_LANES_MAX; i++) {
        pthread_mutex_lock(&p->lock);
        bool made = p->threads[i].state != THREAD_NONE;
        pthread_mutex_unlock(&p->lock);
        if (made)
            pthread_join(p->threads[i].id, NULL);
        pthread_cond_destroy(&p->threads[i].changed);
    }
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* ---- the body ---- */

/* Room for what is to come. Under the lock. */
static bool ring_make(struct job *j)
{
    int64_t all = j->x->pub.content_length;
    if (j->ring != NULL)
        return true;
    j->cap = all > 0 && all < FT_LANE_BYTES ? (size_t)all : FT_LANE_BYTES;
    j->ring = malloc(j->cap);
    return j->ring != NULL;
}

static size_t on_data(void *ctx, struct ft_http_exchange *pub, const char *data, size_t n)
{
    struct job *j = ctx;
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    size_t taken = 0;
    if (j->body_max > 0 && (int64_t)n > j->body_max - j->seen)
        j->too_long = true;
    if (j->fn_over || j->too_long) {
        taken = n;
    } else if (!ring_make(j)) {
        ft_http_gone(x);
    } else {
        taken = FT_MIN(n, j->cap - j->n);
        size_t to = (j->at + j->n) % j->cap, first = FT_MIN(taken, j->cap - to);
        memcpy(j->ring + to, data, first);
        memcpy(j->ring, data + first, taken - first);
        j->n += taken;
    }
    j->seen += (int64_t)taken;
    bool enough = j->wanted != 0 && (j->n >= j->wanted || j->too_long || x->gone);
    pthread_cond_t *waiter = enough ? x->waiter : NULL;
    pthread_mutex_unlock(&x->lock);
    if (waiter != NULL)
        pthread_cond_signal(waiter);
    return taken;
}

static void on_end(void *ctx, struct ft_http_exchange *pub, bool whole)
{
    struct job *j = ctx;
    (void)pub;
    j->body_whole = whole;  /* seen after body_over, which is set under the lock */
    bool start = !j->early; /* then fn is not over, and j stays */
    job_over(j, &j->body_over);
    if (start)
        enqueue(j);
}

int ft_lane_start(struct ft_lanes *p, struct ft_http_exchange *pub, int64_t body_max,
                  ft_lane_fn *fn, void *ctx, struct ft_err *err)
{
    struct exchange *x = ft_exchange_of(pub);
    if (body_max > 0 && pub->content_length > body_max)
        return ft_err_set(err, FT_ELIMIT, "the body of the request is longer than %lld bytes",
                          (long long)body_max);
    pthread_mutex_lock(&p->lock);
    bool full = p->n_queued >= FT_LANES_QUEUE_MAX;
    pthread_mutex_unlock(&p->lock);
    if (full)
        return ft_err_set(err, FT_EBUSY, "%d requests wait already", FT_LANES_QUEUE_MAX);
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return ft_err_set(err, FT_ENOMEM, "a lane");
    *j = (struct job){.lane.x = pub, .x = x, .pool = p, .fn = fn, .ctx = ctx};
    j->body_max = body_max;
    int64_t n = pub->content_length;
    j->early = n < 0 || n > FT_LANE_SMALL || (n > 0 && x->expect);
    ft_http_ref(pub);
    ft_http_body_stream(pub, 0, on_data, on_end, j);
    if (j->early) {
        ft_http_body_hold(pub);
        enqueue(j);
    }
    return 0;
}

static struct job *job_of(struct ft_lane *l)
{
    return (struct job *)l;
}

static bool is_gone(const struct exchange *x)
{
    return x->gone || x->phase == PHASE_DONE;
}

static int64_t say_gone(struct ft_err *err)
{
    return ft_err_set(err, FT_ECANCELED, "the client is gone");
}

/* Some of what waits. Under the lock. */
static size_t ring_take(struct job *j, char *data, size_t n)
{
    n = FT_MIN(n, j->n);
    size_t first = FT_MIN(n, j->cap - j->at);
    memcpy(data, j->ring + j->at, first);
    memcpy(data + first, j->ring, n - first);
    j->at = (j->at + n) % j->cap;
    j->n -= n;
    return n;
}

int64_t ft_lane_read(struct ft_lane *l, void *data, size_t n, struct ft_err *err)
{
    struct job *j = job_of(l);
    struct exchange *x = j->x;
    int64_t rc = 0;
    pthread_mutex_lock(&x->lock);
    size_t least = FT_MIN(n, READ_LEAST); /* for fewer a thread is not worth waking */
    while (j->n < least && !j->body_over && !j->too_long && !x->answered && !is_gone(x)) {
        ft_http_want_body(x);
        j->wanted = least;
        pthread_cond_wait(x->waiter, &x->lock);
        j->wanted = 0;
    }
    if (j->too_long)
        rc = ft_err_set(err, FT_ELIMIT, "the body of the request is longer than %lld bytes",
                        (long long)j->body_max);
    else if (j->n != 0)
        rc = (int64_t)ring_take(j, data, n);
    else if (!j->body_over || !j->body_whole)
        rc = say_gone(err);
    if (j->n <= FT_LANE_BYTES / 2 && !j->body_over)
        ft_http_want_body(x);
    pthread_mutex_unlock(&x->lock);
    return rc;
}

/* ---- the answer ---- */

static int say(int rc, struct ft_err *err)
{
    return rc == 0              ? 0
           : rc == FT_ECANCELED ? (int)say_gone(err)
           : rc == FT_EEXIST    ? ft_err_set(err, rc, "the request is answered already")
           : rc == FT_ENOMEM
               ? ft_err_set(err, rc, "the answer")
               : ft_err_set(err, rc,
                            "the answer: its status, a header, or not as many bytes as announced");
}

/* A short answer is put together here and handed over once. */
static int begin_small(struct job *j, int status, size_t n, const struct ft_http_field *fields,
                       int n_fields)
{
    char *body = malloc(n + 1);
    if (body == NULL)
        return FT_ENOMEM;
    struct MHD_Response *r = ft_http_whole(body, n, status, fields, n_fields);
    if (r == NULL)
        return FT_EINVAL;
    if (n == 0)
        return ft_http_put_answer(j->x, status, r, false, 0);
    j->small = r;
    j->small_status = status;
    j->room = body;
    return 0;
}

int ft_lane_begin(struct ft_lane *l, int status, int64_t length, const struct ft_http_field *fields,
                  int n_fields, struct ft_err *err)
{
    struct job *j = job_of(l);
    bool head = strcmp(l->x->method, "HEAD") == 0 || status == 204 || status == 304;
    bool small = length >= 0 && length <= FT_LANE_SMALL && !head;
    int rc;
    if (j->kind != ANSWER_NONE)
        rc = FT_EEXIST;
    else if (small)
        rc = begin_small(j, status, (size_t)length, fields, n_fields);
    else if (length >= 0)
        rc = ft_http_block_begin(j->x, status, length, fields, n_fields);
    else
        rc = ft_http_stream_begin(l->x, status, NULL, fields, n_fields);
    if (rc == 0) {
        j->left = length;
        j->kind = head          ? ANSWER_HEAD
                  : small       ? ANSWER_SMALL
                  : length >= 0 ? ANSWER_BLOCKS
                                : ANSWER_CHUNKS;
    }
    return say(rc, err);
}

static int write_chunks(struct job *j, const void *data, size_t n)
{
    struct exchange *x = j->x;
    int rc = ft_http_stream_write(&x->pub, data, n);
    if (rc != FT_EBUSY)
        return rc;
    pthread_mutex_lock(&x->lock);
    while (x->out_full && !is_gone(x))
        pthread_cond_wait(x->waiter, &x->lock);
    pthread_mutex_unlock(&x->lock);
    return 0; /* a client that is gone shows at the next */
}

char *ft_lane_room(struct ft_lane *l, size_t *ret_n, struct ft_err *err)
{
    struct job *j = job_of(l);
    int rc = 0;
    if (j->kind == ANSWER_NONE || j->left == 0)
        rc = FT_EINVAL;
    else if (j->kind == ANSWER_BLOCKS && j->room == NULL)
        rc = ft_http_block_room(j->x, &j->room, &j->room_n);
    else if (j->kind >= ANSWER_CHUNKS && j->scratch == NULL)
        rc = (j->scratch = malloc(SCRATCH_BYTES)) == NULL ? FT_ENOMEM : 0;
    if (rc != 0) {
        say(rc, err);
        return NULL;
    }
    size_t n = j->kind == ANSWER_BLOCKS  ? j->room_n - j->room_used
               : j->kind == ANSWER_SMALL ? (size_t)j->left
                                         : SCRATCH_BYTES;
    *ret_n = j->left >= 0 && (uint64_t)j->left < n ? (size_t)j->left : n;
    return j->kind >= ANSWER_CHUNKS ? j->scratch : j->room + j->room_used;
}

int ft_lane_filled(struct ft_lane *l, size_t n, struct ft_err *err)
{
    struct job *j = job_of(l);
    int rc = 0;
    if (n == 0)
        return 0;
    if (j->left > 0)
        j->left -= (int64_t)n;
    if (j->kind == ANSWER_CHUNKS) {
        rc = write_chunks(j, j->scratch, n);
    } else if (j->kind != ANSWER_HEAD) {
        j->room_used += n;
        if (j->kind == ANSWER_SMALL && j->left == 0) {
            struct MHD_Response *r = j->small;
            j->small = NULL;
            rc = ft_http_put_answer(j->x, j->small_status, r, false, 0);
        } else if (j->kind == ANSWER_BLOCKS && (j->room_used == j->room_n || j->left == 0)) {
            rc = ft_http_block_filled(j->x, j->room_used);
            j->room = NULL;
            j->room_used = 0;
        }
    }
    return say(rc, err);
}

int ft_lane_write(struct ft_lane *l, const void *data, size_t n, struct ft_err *err)
{
    struct job *j = job_of(l);
    const char *p = data;
    if (j->kind == ANSWER_HEAD)
        return 0;
    if (j->kind == ANSWER_CHUNKS)
        return say(write_chunks(j, data, n), err);
    if (n > (uint64_t)j->left)
        return say(FT_EINVAL, err);
    while (n > 0) {
        size_t part;
        char *room = ft_lane_room(l, &part, err);
        if (room == NULL)
            return FT_ECANCELED;
        part = FT_MIN(part, n);
        memcpy(room, p, part);
        int rc = ft_lane_filled(l, part, err);
        if (rc != 0)
            return rc;
        p += part;
        n -= part;
    }
    return 0;
}

int ft_lane_end(struct ft_lane *l, struct ft_err *err)
{
    struct job *j = job_of(l);
    if (j->kind == ANSWER_NONE)
        return say(FT_EINVAL, err);
    if (j->left == 0 && j->kind != ANSWER_HEAD)
        return 0;
    if (j->kind >= ANSWER_CHUNKS) {
        int rc = ft_http_stream_end(l->x);
        return j->kind == ANSWER_HEAD ? 0 : say(rc, err); /* a head alone may be gone already */
    }
    ft_http_abort(l->x);
    return say(FT_EINVAL, err);
}

void ft_lane_cut(struct ft_lane *l)
{
    ft_http_abort(l->x);
}
