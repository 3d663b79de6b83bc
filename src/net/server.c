/* The server's life: open, drain, close. libmicrohttpd's threads do the work (server_request.c,
 * server_answer.c), one more watches (server_watch.c). */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "net/server_impl.h"

#define HEAD_TIMEOUT_MS  15000
#define IDLE_TIMEOUT_MS  75000
#define STALL_TIMEOUT_MS 30000
#define PEM_BYTES_MAX    (1u << 20)
#define THREADS_MAX      64
#define CONNECTIONS_MAX  (1 << 20)
#define DRAIN_POLL_MS    5

static int check_config(struct ft_http_server_config *c, struct ft_err *err)
{
    if (c->handler == NULL || c->listen == NULL)
        return ft_err_set(err, FT_EINVAL, "server: no handler, or nowhere to listen");
    if ((c->tls_cert == NULL) != (c->tls_key == NULL))
        return ft_err_set(err, FT_EINVAL, "server: tls_cert and tls_key go together");
    if (c->n_threads < 0 || c->n_threads > THREADS_MAX)
        return ft_err_set(err, FT_EINVAL, "server: n_threads is not in 0..%d", THREADS_MAX);
    if (c->max_connections < 0 || c->max_connections > CONNECTIONS_MAX || c->max_per_ip < 0)
        return ft_err_set(err, FT_EINVAL, "server: max_connections is not in 0..%d",
                          CONNECTIONS_MAX);
    c->n_threads = c->n_threads != 0 ? c->n_threads : 1;
    c->max_connections = c->max_connections != 0 ? c->max_connections : FT_HTTP_CONNECTIONS;
    c->head_bytes = c->head_bytes != 0 ? c->head_bytes : FT_HTTP_HEAD_BYTES;
    c->head_timeout_ms = c->head_timeout_ms > 0 ? c->head_timeout_ms : HEAD_TIMEOUT_MS;
    c->idle_timeout_ms = c->idle_timeout_ms > 0 ? c->idle_timeout_ms : IDLE_TIMEOUT_MS;
    c->stall_timeout_ms = c->stall_timeout_ms > 0 ? c->stall_timeout_ms : STALL_TIMEOUT_MS;
    return 0;
}

/* Half of the files that the process may open are for connections, the other half for what answers
 * them; the limit is raised as far as that is allowed and needed. */
static void fit_files(struct ft_http_server_config *c)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        return;
    rlim_t want = 2 * (rlim_t)c->max_connections;
    if (l.rlim_cur < want) {
        rlim_t before = l.rlim_cur;
        l.rlim_cur = FT_MIN(want, l.rlim_max);
        if (setrlimit(RLIMIT_NOFILE, &l) != 0)
            l.rlim_cur = before;
    }
    if (l.rlim_cur < want)
        c->max_connections = FT_MAX((int)(l.rlim_cur / 2), c->n_threads);
}

static int make_slots(struct ft_http_server *s, struct ft_err *err)
{
    /* each thread may accept one more before it sees that it is full */
    s->n_slots = (uint32_t)(s->config.max_connections + s->config.n_threads);
    s->slots = calloc(s->n_slots, sizeof *s->slots);
    s->free_slots = calloc(s->n_slots, sizeof *s->free_slots);
    if (s->slots == NULL || s->free_slots == NULL)
        return ft_err_set(err, FT_ENOMEM, "server: %u connections", s->n_slots);
    while (s->n_free < s->n_slots) {
        s->free_slots[s->n_free] = s->n_slots - 1 - s->n_free;
        s->n_free++;
    }
    return 0;
}

static int read_pem(struct ft_http_server *s, struct ft_err *err)
{
    size_t n;
    if (s->config.tls_cert == NULL)
        return 0;
    int rc = ft_file_read(s->config.tls_cert, PEM_BYTES_MAX, &s->cert, &n, err);
    return rc != 0 ? rc : ft_file_read(s->config.tls_key, PEM_BYTES_MAX, &s->key, &n, err);
}

/* A connection's memory: half of it is for the head at first, more when it is needed; later the
 * answer is written in what is left. Up to 32 KB it comes from malloc, beyond from mmap. */
static size_t pool_bytes(const struct ft_http_server *s)
{
    return s->config.head_bytes + s->config.head_bytes / 2;
}

static int start_daemon(struct ft_http_server *s, struct ft_err *err)
{
    const struct ft_http_server_config *c = &s->config;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, s->cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, s->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem pool[] = {{MHD_OPTION_THREAD_POOL_SIZE, c->n_threads, NULL},
                                    {MHD_OPTION_END, 0, NULL}};
    if (s->cert == NULL)
        tls[0].option = MHD_OPTION_END;
    else
        flags |= MHD_USE_TLS;
    if (c->n_threads < 2)
        pool[0].option = MHD_OPTION_END;
    s->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, ft_http_access, s, MHD_OPTION_LISTEN_SOCKET, s->listen_fd,
        MHD_OPTION_URI_LOG_CALLBACK, ft_http_uri_log, s, MHD_OPTION_NOTIFY_COMPLETED,
        ft_http_completed, s, MHD_OPTION_NOTIFY_CONNECTION, ft_http_notify_connection, s,
        MHD_OPTION_UNESCAPE_CALLBACK, ft_http_keep_escapes, NULL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)c->max_connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)c->max_per_ip,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool_bytes(s), MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
    if (s->daemon == NULL)
        return ft_err_set(err, s->cert != NULL ? FT_EINVAL : FT_EIO, "server: %s",
                          s->cert != NULL ? "does not start; are the certificate and the key right?"
                                          : "its threads do not start");
    return 0;
}

int ft_http_server_bind(const struct ft_http_server_config *config, struct ft_http_server **ret,
                        struct ft_err *err)
{
    struct ft_http_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "server");
    s->config = *config;
    s->listen_fd = s->watch_fd = s->wake_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    int rc = check_config(&s->config, err);
    if (rc == 0)
        fit_files(&s->config);
    if (rc == 0)
        rc = make_slots(s, err);
    if (rc == 0)
        rc = read_pem(s, err);
    if (rc == 0)
        rc = ft_http_listen(config->listen, config->unix_mode, &s->listen_fd, &s->address,
                            &s->unix_path, &s->port, err);
    /* config's own strings belong to the caller */
    s->config.listen = s->config.tls_cert = s->config.tls_key = NULL;
    if (rc != 0) {
        ft_http_server_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

int ft_http_server_start(struct ft_http_server *s, struct ft_err *err)
{
    int rc = ft_http_watch_start(s, err);
    return rc == 0 ? start_daemon(s, err) : rc;
}

int ft_http_server_open(const struct ft_http_server_config *config, struct ft_http_server **ret,
                        struct ft_err *err)
{
    struct ft_http_server *s = NULL;
    int rc = ft_http_server_bind(config, &s, err);
    if (rc == 0)
        rc = ft_http_server_start(s, err);
    if (rc != 0) {
        ft_http_server_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

const char *ft_http_server_address(const struct ft_http_server *s)
{
    return s->address;
}

int ft_http_server_port(const struct ft_http_server *s)
{
    return s->port;
}

void ft_http_server_stats(struct ft_http_server *s, struct ft_http_stats *ret)
{
    pthread_mutex_lock(&s->lock);
    ret->connections = s->n_conns;
    pthread_mutex_unlock(&s->lock);
    ret->exchanges = atomic_load(&s->n_exchanges);
    ret->requests = atomic_load(&s->n_requests);
    ret->refused = atomic_load(&s->n_refused);
}

/* No new connections. The socket stays open: libmicrohttpd's threads may still be about to look at
 * it until they have ended. Its name goes first: once nobody listens, it may be the next one's. */
static void stop_listening(struct ft_http_server *s)
{
    if (s->stopped)
        return;
    s->stopped = true;
    if (s->listen_fd >= 0 && s->unix_path != NULL)
        unlink(s->unix_path);
    if (s->daemon != NULL)
        MHD_quiesce_daemon(s->daemon);
    if (s->listen_fd >= 0)
        shutdown(s->listen_fd, SHUT_RDWR);
}

int ft_http_server_drain(struct ft_http_server *s, int timeout_ms)
{
    stop_listening(s);
    atomic_store(&s->draining, true);
    int64_t until = ft_clock_now_ns() + timeout_ms * 1000000ll;
    while (atomic_load(&s->n_exchanges) != 0) {
        if (ft_clock_now_ns() >= until)
            return FT_ELIMIT;
        nanosleep(&(struct timespec){.tv_nsec = DRAIN_POLL_MS * 1000000}, NULL);
    }
    return 0;
}

void ft_http_server_stop(struct ft_http_server *s)
{
    if (s == NULL)
        return;
    stop_listening(s);
    /* Nothing may be suspended when libmicrohttpd stops: from here nothing is any more. */
    atomic_store(&s->closing, true);
    ft_http_wake_all(s);
    if (s->daemon != NULL)
        MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    s->listen_fd = -1;
    ft_http_watch_stop(s);
}

void ft_http_server_close(struct ft_http_server *s)
{
    if (s == NULL)
        return;
    ft_http_server_stop(s);
    free(s->slots);
    free(s->free_slots);
    free(s->cert);
    free(s->key);
    free(s->address);
    free(s->unix_path);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
