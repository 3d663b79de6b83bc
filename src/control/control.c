/* The process: HTTP in front, the writer's thread behind it, a few for what takes long.
 *
 *   HTTP's thread --(bounded)--> writer: checks, runs on the store, answers --> HTTP's thread
 *                                   |  ^
 *                                   v  |   requests with something to find out first (models)
 *                                 slow threads
 *
 * The writer alone uses the store, one request after the other. Long polls of the feed lie with it
 * until something is committed or their time is over. */
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/openai/json.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mailbox.h"
#include "control/admin/sign_in.h"
#include "control/batch/batch.h"
#include "control/inner.h"
#include "control/inside.h"
#include "control/leftover.h"
#include "control/tune/tune.h"
#include "control/watch/watch.h"
#include "ledger/store.h"
#include "net/server.h"
#include "sched/ready.h"

#define QUEUE_MAX    512 /* requests on their way to the writer; more get 503 */
#define SLOW_MAX     16
#define SLOW_THREADS 4  /* one that waits for the hub does not hold up the others */
#define HASH_THREADS 2  /* of passwords: each takes a core and 16 MiB for a tenth of a second */
#define WAITERS_MAX  32 /* long polls; more are answered at once */
#define TICK_MS      100
#define DRAIN_MS     5000
#define FIELDS_MAX   8

struct request {
    struct ft_ctl_call call;
    struct ft_http_exchange *x;
    bool prepared;
    int64_t give_up_ns; /* of a long poll */
};

/* Threads that do what comes before the store, and what waits for them. */
struct side {
    struct process *process;
    struct ft_mailbox *queue;
    pthread_t thread[SLOW_THREADS];
    pthread_mutex_t lock;
    int n;
};

struct process {
    struct ft_ctl ctl;
    struct ft_http_server *server;
    struct ft_mailbox *queue;
    pthread_t writer_thread;
    struct side slow, hash;
    atomic_bool stopping;
    /* the writer's own */
    struct request *waiter[WAITERS_MAX];
    int n_waiters;
    atomic_llong committed; /* jobs commit too, on threads of their own */
};

/* ---- answers ---- */

static int error_fields(const struct ft_oai_error *e, struct ft_http_field *fields,
                        struct ft_oai_header *store)
{
    int n = ft_oai_error_headers(e, store);
    for (int i = 0; i < n; i++)
        fields[i] = (struct ft_http_field){store[i].name, store[i].value};
    return n;
}

static void respond(struct request *q)
{
    struct ft_ctl_call *c = &q->call;
    struct ft_http_field fields[FIELDS_MAX];
    struct ft_oai_header headers[FT_OAI_ERROR_HEADERS_MAX];
    struct ft_buf body;
    char seq[24];
    int n = 0, status = c->status;
    const char *type = "application/json";
    ft_buf_init(&body, CTL_ANSWER_MAX);
    if (c->refused) {
        ft_oai_error_write(&c->error, &body);
        status = ft_oai_error_status(&c->error);
        n = error_fields(&c->error, fields, headers);
    } else if (c->answer != NULL) {
        ft_oai_json_dump(c->answer, &body);
    } else {
        type = c->raw_type;
    }
    const struct ft_buf *out = !c->refused && c->answer == NULL ? &c->raw : &body;
    fields[n++] = (struct ft_http_field){"Content-Type", type};
    if (!c->refused && c->seq != 0) {
        snprintf(seq, sizeof seq, "%lld", (long long)c->seq);
        fields[n++] = (struct ft_http_field){"X-Feitian-Seq", seq};
    }
    if (!c->refused && c->cookie[0] != '\0')
        fields[n++] = (struct ft_http_field){"X-Feitian-Cookie", c->cookie};
    if (out->failed != 0)
        ft_http_abort(q->x);
    else
        ft_http_respond(q->x, status, fields, n, out->data != NULL ? out->data : "", out->len);
    ft_buf_fini(&body);
}

static void request_free(struct request *q)
{
    struct ft_http_exchange *x = q->x;
    ft_ctl_call_fini(&q->call);
    free(q);
    ft_http_unref(x);
}

static void finish(struct request *q)
{
    respond(q);
    request_free(q);
}

static void server_error(void *ctx, int status, const char *why, struct ft_buf *ret_body,
                         const char **ret_type)
{
    struct ft_oai_error e;
    (void)ctx;
    ft_oai_error_set(&e, FT_EINVAL, NULL, NULL, "%s", why);
    e.status = status;
    ft_oai_error_write(&e, ret_body);
    *ret_type = "application/json";
}

static void busy(struct request *q)
{
    ft_oai_error_init(&q->call.error);
    ft_ctl_refuse(&q->call, 503, "overloaded", NULL, "too many requests wait; try again soon");
    q->call.error.retry_after_ms = 1000;
    finish(q);
}

/* ---- the writer ---- */

static void answer_waiters(struct process *p, int64_t now_ns, bool changed)
{
    int kept = 0;
    for (int i = 0; i < p->n_waiters; i++) {
        struct request *q = p->waiter[i];
        bool over = now_ns >= q->give_up_ns || atomic_load(&p->stopping);
        if (!changed && !over) {
            p->waiter[kept++] = q;
            continue;
        }
        if (changed)
            ft_ctl_call_run(&q->call);
        finish(q);
    }
    p->n_waiters = kept;
}

static void work(struct process *p, struct request *q)
{
    struct ft_ctl_call *c = &q->call;
    if (!q->prepared && ft_ctl_call_begin(c) && c->route->before != NULL) {
        q->prepared = true;
        struct side *side = ft_ctl_hashes(c->route) ? &p->hash : &p->slow;
        if (ft_mailbox_try_post(side->queue, &q) != 0)
            busy(q);
        return;
    }
    ft_ctl_call_run(c);
    if (!c->refused && c->wait_after >= 0 && p->n_waiters < WAITERS_MAX) {
        q->give_up_ns = ft_clock_now_ns() + c->wait_s * INT64_C(1000000000);
        p->waiter[p->n_waiters++] = q;
        return;
    }
    finish(q);
}

/* On the thread that commits: the writer's, or a job's, which the writer sees at its next tick. */
static void on_commit(void *ctx, int64_t seq)
{
    atomic_store(&((struct process *)ctx)->committed, seq);
}

/* Asked by jobs that wait for the gateway. */
static bool ends(void *ctx)
{
    return atomic_load(&((struct process *)ctx)->stopping);
}

static void *writer(void *ctx)
{
    struct process *p = ctx;
    for (int64_t seen = atomic_load(&p->committed);;) {
        struct request *q;
        int rc = ft_mailbox_take(p->queue, &q, TICK_MS);
        if (rc == 0)
            work(p, q);
        else if (rc == FT_ECANCELED)
            break;
        int64_t now = atomic_load(&p->committed);
        answer_waiters(p, ft_clock_now_ns(), now != seen);
        seen = now;
    }
    answer_waiters(p, INT64_MAX, false);
    return NULL;
}

static bool take_slow(struct side *s, struct request **ret)
{
    pthread_mutex_lock(&s->lock); /* a mailbox has one consumer at a time */
    int rc = ft_mailbox_take(s->queue, ret, -1);
    pthread_mutex_unlock(&s->lock);
    return rc == 0;
}

static void *slow(void *ctx)
{
    struct side *s = ctx;
    struct request *q;
    while (take_slow(s, &q)) {
        q->call.route->before(&q->call);
        if (ft_mailbox_post(s->process->queue, &q) != 0)
            busy(q);
    }
    return NULL;
}

/* As many as can be had; false: none. */
static bool start_side(struct side *s, int n)
{
    while (s->n < n && pthread_create(&s->thread[s->n], NULL, slow, s) == 0)
        s->n++;
    return s->n > 0;
}

static void stop_side(struct side *s)
{
    ft_mailbox_shut(s->queue);
    while (s->n > 0)
        pthread_join(s->thread[--s->n], NULL);
}

/* ---- HTTP's thread ---- */

/* What a client says of itself: no more of it than can be shown. */
static void take_shown(const struct ft_http_exchange *x, const char *name, char *ret, size_t n)
{
    const char *value = ft_http_header(x, name);
    snprintf(ret, n, "%s", value != NULL ? value : "");
    for (char *p = ret; *p != '\0'; p++)
        *p = *p < ' ' || *p > '~' ? '?' : *p;
}

static void take_header(const struct ft_http_exchange *x, const char *name, char *ret, size_t n)
{
    const char *value = ft_http_header(x, name);
    if (value != NULL && strlen(value) < n)
        strcpy(ret, value);
}

static void on_body(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    struct process *p = ctx;
    struct request *q = calloc(1, sizeof *q);
    if (q == NULL)
        return; /* nobody holds it: 500 */
    struct ft_ctl_call *c = &q->call;
    c->ctl = &p->ctl;
    c->method = x->method;
    c->path = x->path;
    c->query = x->query;
    c->text = data;
    c->n_text = n;
    take_header(x, "X-Feitian-Key", c->key, sizeof c->key);
    take_header(x, "X-Feitian-Project", c->project, sizeof c->project);
    take_header(x, "X-Feitian-Session", c->session, sizeof c->session);
    take_shown(x, "X-Feitian-Address", c->address, sizeof c->address);
    take_shown(x, "User-Agent", c->agent, sizeof c->agent);
    take_header(x, "X-Request-Id", c->request_id, sizeof c->request_id);
    c->role = ft_ctl_role_of(ft_http_header(x, "X-Feitian-Role"));
    ft_buf_init(&c->raw, CTL_ANSWER_MAX);
    q->x = ft_http_ref(x);
    if (ft_mailbox_try_post(p->queue, &q) != 0)
        busy(q);
}

static void handle(void *ctx, struct ft_http_exchange *x)
{
    ft_http_body_collect(x, CTL_BODY_MAX, on_body, ctx);
}

/* ---- the process ---- */

static int open_queues(struct process *p, struct ft_err *err)
{
    int rc = ft_mailbox_open(QUEUE_MAX, sizeof(struct request *), &p->queue, err);
    if (rc == 0)
        rc = ft_mailbox_open(SLOW_MAX, sizeof(struct request *), &p->slow.queue, err);
    if (rc == 0)
        rc = ft_mailbox_open(SLOW_MAX, sizeof(struct request *), &p->hash.queue, err);
    return rc;
}

static int open_server(struct process *p, struct ft_err *err)
{
    char listen[PATH_MAX];
    const struct ft_control_options *o = p->ctl.opt;
    if (o->socket != NULL) {
        snprintf(listen, sizeof listen, "unix:%s", o->socket);
    } else {
        snprintf(listen, sizeof listen, "%s/run", p->ctl.home);
        mkdir(listen, 0700); /* there already, as a rule */
        snprintf(listen, sizeof listen, "unix:%s/run/control.sock", p->ctl.home);
    }
    struct ft_http_server_config config = {
        .listen = listen, .handler = handle, .error = server_error, .ctx = p};
    return ft_http_server_open(&config, &p->server, err);
}

/* All must be known to the store, also when the first fails for now. */
static int migrate(struct ft_state *s, struct ft_err *err)
{
    static int (*const modules[])(struct ft_state *, struct ft_err *) = {
        ft_ctl_store_migrate, ft_usage_migrate, ft_tune_migrate, ft_batches_migrate,
        ft_ctl_sign_in_migrate};
    int rc = 0;
    for (size_t i = 0; i < FT_COUNT(modules); i++) {
        struct ft_err more = {0};
        int one = modules[i](s, &more);
        if (rc == 0 && one != 0) {
            rc = one;
            *err = more;
        }
    }
    return rc;
}

static int prepare(struct process *p, struct ft_err *err)
{
    const struct ft_control_options *o = p->ctl.opt;
    char home[PATH_MAX];
    json_error_t why;
    if (realpath(o->home, home) == NULL || strlen(home) >= sizeof p->ctl.home)
        return ft_err_sys(err, "%s", o->home);
    strcpy(p->ctl.home, home);
    p->ctl.doc = json_loadb(ft_ctl_openapi, (size_t)(ft_ctl_openapi_end - ft_ctl_openapi), 0, &why);
    if (p->ctl.doc == NULL)
        return ft_err_set(err, FT_EINTERNAL, "openapi.json: line %d: %s", why.line, why.text);
    int rc = migrate(p->ctl.state, err);
    if (rc != 0 && (rc == FT_EUNSUPPORTED || !ft_control_known(p->ctl.home)))
        return rc;
    if (rc != 0) /* it was here before and may come back */
        ft_log(FT_LOG_WARN, "control", "the state store cannot be used now: %s", err->msg);
    return rc != 0 ? 0 : ft_ctl_bootstrap(&p->ctl, err);
}

static void stop_threads(struct process *p)
{
    stop_side(&p->slow);
    stop_side(&p->hash);
    ft_mailbox_shut(p->queue);
    pthread_join(p->writer_thread, NULL);
}

static int start_threads(struct process *p, struct ft_err *err)
{
    if (pthread_create(&p->writer_thread, NULL, writer, p) != 0)
        return ft_err_sys(err, "control: start a thread");
    if (start_side(&p->slow, SLOW_THREADS) && start_side(&p->hash, HASH_THREADS))
        return 0;
    stop_threads(p);
    return ft_err_sys(err, "control: start a thread");
}

static int serve(struct process *p, struct ft_err *err)
{
    ft_state_watch(p->ctl.state, on_commit, p);
    int rc = open_server(p, err);
    if (rc != 0)
        return rc;
    if (p->ctl.opt->exec != NULL && ft_tune_open(&p->ctl, &p->ctl.tune, err) != 0)
        ft_log(FT_LOG_ERROR, "control", "no fine-tuning: %s", err->msg);
    rc = start_threads(p, err); /* last: they find all of ctl in its place */
    if (rc == 0) {
        ft_log(FT_LOG_INFO, "control", "serves %s", ft_http_server_address(p->server));
        ft_ready_tell(NULL);
        while (!*p->ctl.opt->end)
            usleep(TICK_MS * 1000);
    }
    atomic_store(&p->stopping, true);
    if (rc == 0) {
        ft_http_server_drain(p->server, DRAIN_MS);
        stop_threads(p);
    }
    ft_tune_close(p->ctl.tune);
    ft_state_watch(p->ctl.state, NULL, NULL);
    return rc;
}

int ft_control_run(const struct ft_control_options *o, struct ft_err *err)
{
    struct process *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    p->ctl.opt = o;
    p->ctl.state = o->state;
    p->slow.process = p->hash.process = p;
    pthread_mutex_init(&p->slow.lock, NULL);
    pthread_mutex_init(&p->hash.lock, NULL);
    int rc = open_queues(p, err);
    if (rc == 0)
        rc = prepare(p, err);
    if (rc == 0)
        rc = ft_inside_open(p->ctl.home, ends, p, &p->ctl.inside, err);
    if (rc == 0)
        rc = ft_batches_open(&p->ctl, &p->ctl.batches, err);
    if (rc == 0)
        rc = ft_watch_open(&p->ctl, &p->ctl.watch, err);
    if (rc == 0)
        rc = ft_leftovers_open(&p->ctl, &p->ctl.leftovers, err);
    if (rc == 0)
        rc = serve(p, err);
    ft_leftovers_close(p->ctl.leftovers);
    ft_watch_close(p->ctl.watch);
    ft_batches_close(p->ctl.batches);
    ft_http_server_close(p->server);
    ft_inside_close(p->ctl.inside);
    ft_mailbox_close(p->hash.queue);
    ft_mailbox_close(p->slow.queue);
    ft_mailbox_close(p->queue);
    pthread_mutex_destroy(&p->hash.lock);
    pthread_mutex_destroy(&p->slow.lock);
    json_decref(p->ctl.doc);
    free(p);
    return rc;
}
