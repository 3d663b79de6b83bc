/* The worker's life: listen, confine itself, open the engine, answer, and end when it is told to or
 * when nobody has asked for its health for too long. */
#include "worker/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "worker/impl.h"

#define DRAIN_MS     30000              /* running requests have so long to end */
#define POLL_MS      500                /* how often the lease is looked at */
#define STALL_MS     (24 * 3600 * 1000) /* a gateway that pauses a stream is no slow client */
#define REQUESTS_MAX 4096
#define RUNNING_MAX  64

static int listen_for(struct ft_worker *w, struct ft_err *err)
{
    char where[4096];
    if (w->cfg->socket == NULL ||
        (size_t)snprintf(where, sizeof where, "unix:%s", w->cfg->socket) >= sizeof where)
        return ft_err_set(err, FT_EINVAL, "--socket: no path, or too long");
    struct ft_http_server_config cfg = {.listen = where,
                                        .n_threads = 1,
                                        .stall_timeout_ms = STALL_MS,
                                        .idle_timeout_ms = STALL_MS,
                                        .handler = ft_worker_handle,
                                        .error = ft_worker_error_body,
                                        .ctx = w};
    return ft_http_server_bind(&cfg, &w->http, err);
}

static int confine(struct ft_worker *w, struct ft_err *err)
{
    struct ft_sandbox_cfg cfg = {.read_paths = w->cfg->read,
                                 .n_read_paths = w->cfg->n_read,
                                 .best_effort = w->cfg->sandbox_best_effort};
    return ft_sandbox_enter(&cfg, &w->sandbox, err);
}

static int open_engine(struct ft_worker *w, struct ft_err *err)
{
    struct ft_engine_config cfg;
    ft_engine_config_init(&cfg);
    cfg.kv_type = w->cfg->kv_type;
    cfg.memory_bytes = w->cfg->memory_bytes;
    cfg.max_requests = REQUESTS_MAX;
    cfg.max_running = RUNNING_MAX;
    int rc = ft_dev_open(w->cfg->device, &w->cfg->dev, &w->dev, err);
    if (rc == 0)
        rc = ft_engine_open(w->dev, &cfg, &w->engine, err);
    if (rc == 0)
        rc = ft_lodgers_init(&w->lodgers, w->engine, err);
    if (rc == 0)
        rc = ft_crew_open(FT_WORKER_PREP_THREADS, FT_WORKER_PREP_MAX, &w->prep, err);
    if (rc == 0)
        rc = ft_crew_open(1, FT_WORKER_ADMIN_MAX, &w->admin, err);
    return rc;
}

static int start(struct ft_worker *w, struct ft_err *err)
{
    int rc = listen_for(w, err);
    ft_energy_open(&w->energy, "/sys/class/powercap", "/proc/stat");
    if (rc == 0)
        rc = confine(w, err);
    if (rc == 0)
        rc = open_engine(w, err);
    if (rc == 0) /* who connected meanwhile has waited for a few milliseconds */
        rc = ft_http_server_start(w->http, err);
    w->ready = rc == 0;
    return rc;
}

static bool lease_is_over(struct ft_worker *w)
{
    int64_t since = ft_clock_now_ns() - atomic_load(&w->renewed_ns);
    return w->cfg->lease_s > 0 && since > (int64_t)w->cfg->lease_s * 1000000000;
}

static void serve(struct ft_worker *w, const sigset_t *ends)
{
    struct timespec wait = {.tv_nsec = POLL_MS * 1000000};
    while (!lease_is_over(w)) {
        int sig = sigtimedwait(ends, NULL, &wait);
        if (sig > 0) {
            ft_log(FT_LOG_INFO, "worker", "%s: draining", strsignal(sig));
            return;
        }
    }
    ft_log(FT_LOG_WARN, "worker", "nobody asked for its health for %d s: draining",
           w->cfg->lease_s);
}

/* Many may have it at once, so that a thread may borrow it twice: the lock prefers readers. */
struct ft_engine *ft_worker_borrow_engine(struct ft_worker *w)
{
    pthread_rwlock_rdlock(&w->engine_lock);
    if (!w->engine_gone)
        return w->engine;
    pthread_rwlock_unlock(&w->engine_lock);
    return NULL;
}

void ft_worker_return_engine(struct ft_worker *w)
{
    pthread_rwlock_unlock(&w->engine_lock);
}

/* From here on only its own events use it. */
static void take_engine(struct ft_worker *w)
{
    pthread_rwlock_wrlock(&w->engine_lock);
    w->engine_gone = true;
    pthread_rwlock_unlock(&w->engine_lock);
}

/* What runs may end, for a while; then it is cancelled, and told so by the server, which is
 * therefore closed after the engine: its threads still answer for health and hear of clients that
 * left. */
static void end(struct ft_worker *w)
{
    atomic_store(&w->draining, true);
    if (w->http != NULL && w->ready && ft_http_server_drain(w->http, DRAIN_MS) != 0)
        ft_log(FT_LOG_WARN, "worker", "requests still ran after %d s", DRAIN_MS / 1000);
    ft_crew_stop(w->admin);
    ft_crew_stop(w->prep);
    take_engine(w);
    ft_engine_close(w->engine);
    ft_http_server_close(w->http);
    ft_crew_close(w->admin);
    ft_crew_close(w->prep);
    ft_lodgers_fini(&w->lodgers);
    ft_dev_close(w->dev);
    ft_energy_close(&w->energy);
}

int ft_worker_run(const struct ft_worker_config *cfg, struct ft_err *err)
{
    static struct ft_worker w; /* one per process */
    sigset_t ends;
    w.cfg = cfg;
    w.started_ns = w.rate.at_ns = ft_clock_now_ns();
    pthread_mutex_init(&w.rate.lock, NULL);
    pthread_rwlock_init(&w.engine_lock, NULL);
    atomic_store(&w.renewed_ns, w.started_ns);
    /* blocked in all threads, waited for in this one; a stream's reader may go any time */
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    int rc = start(&w, err);
    if (rc == 0) {
        ft_log(FT_LOG_INFO, "worker", "listens on %s after %lld ms; %s", cfg->socket,
               (long long)((ft_clock_now_ns() - w.started_ns) / 1000000), w.sandbox.text);
        serve(&w, &ends);
    }
    end(&w);
    return rc;
}
