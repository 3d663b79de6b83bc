/* The server's watcher: one thread that knows every connection, and does what libmicrohttpd does
 * not.
 *
 * - Hang-ups of suspended connections, and those that libmicrohttpd overlooks. Every connection is
 *   in the watcher's epoll, edge-triggered, until it is closed.
 * - Deadlines that count from the beginning of something and not from the last byte, so that
 *   trickling does not move them: heads, bodies and answers at less than FT_HTTP_RATE_MIN.
 * - Lingering: where a connection is closed with some of the request unread, the system would send
 *   a reset, and the client might lose the answer. A duplicate of the socket is read for a moment.
 *
 * Connections are cut by shutdown(2): libmicrohttpd sees the end and cleans up on its own thread.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/server_impl.h"

#define EVENTS_MAX    64
#define LINGER_MS     2000
#define LINGER_READS  16 /* of READ_BYTES, at each event */
#define READ_BYTES    8192
#define DRAIN_IDLE_MS 50 /* a kept connection is closed when nothing came for so long */
#define DRAIN_STEP_MS 20
#define UNSEEN_END_MS 200
#define WAKE_EVENT    UINT64_MAX
#define LINGER_EVENT  (1ull << 63)

static int64_t coarse_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void ft_http_conn_enter(struct conn *c, enum conn_state state)
{
    int64_t now = coarse_ns();
    pthread_mutex_lock(&c->lock);
    c->state = state;
    c->since_ns = c->mark_ns = now;
    c->progress = UINT64_MAX; /* not measured yet */
    c->in_bytes = 0;
    pthread_mutex_unlock(&c->lock);
}

/* ---- connections come and go ---- */

static void conn_name_peer(struct conn *c, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info != NULL ? info->client_addr : NULL;
    socklen_t len = a == NULL                  ? 0
                    : a->sa_family == AF_INET  ? sizeof(struct sockaddr_in)
                    : a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                               : 0;
    c->is_tcp = len != 0;
    if (len == 0 || getnameinfo(a, len, c->peer, sizeof c->peer, NULL, 0, NI_NUMERICHOST) != 0)
        memcpy(c->peer, "unix", 5);
}

static bool conn_add(struct ft_http_server *s, struct conn *c)
{
    pthread_mutex_lock(&s->lock);
    bool room = s->n_free != 0;
    if (room) {
        c->slot = s->free_slots[--s->n_free];
        c->generation = s->generation = (s->generation + 1) & 0x7fffffffu;
        s->slots[c->slot] = c;
        c->next = s->conns;
        if (c->next != NULL)
            c->next->prev = c;
        s->conns = c;
        s->n_conns++;
    }
    pthread_mutex_unlock(&s->lock);
    return room;
}

static void linger_begin(struct ft_http_server *s, struct conn *c)
{
    int fd = dup(c->fd);
    if (fd < 0)
        return;
    shutdown(fd, SHUT_WR);
    uint32_t i = 0;
    while (i < FT_HTTP_LINGER_MAX && s->linger[i].fd >= 0)
        i++;
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = LINGER_EVENT | i};
    if (i == FT_HTTP_LINGER_MAX || epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, fd, &e) != 0) {
        close(fd);
        return;
    }
    s->linger[i] = (struct lingering){fd, coarse_ns() + LINGER_MS * 1000000ll};
}

static void conn_remove(struct ft_http_server *s, struct conn *c)
{
    pthread_mutex_lock(&s->lock);
    if (c->watched)
        epoll_ctl(s->watch_fd, EPOLL_CTL_DEL, c->fd, NULL);
    if (c->linger && !atomic_load(&s->closing))
        linger_begin(s, c);
    *(c->prev != NULL ? &c->prev->next : &s->conns) = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    s->slots[c->slot] = NULL;
    s->free_slots[s->n_free++] = c->slot;
    s->n_conns--;
    pthread_mutex_unlock(&s->lock);
}

void ft_http_notify_connection(void *cls, struct MHD_Connection *mhd, void **ctx,
                               enum MHD_ConnectionNotificationCode code)
{
    struct ft_http_server *s = cls;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        struct conn *c = *ctx;
        if (c == NULL)
            return;
        conn_remove(s, c);
        pthread_mutex_destroy(&c->lock);
        free(c);
        *ctx = NULL;
        return;
    }
    struct conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return; /* its requests find no conn, and are closed */
    c->server = s;
    c->mhd = mhd;
    c->fd = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    c->first = true;
    pthread_mutex_init(&c->lock, NULL);
    conn_name_peer(c, mhd);
    ft_http_conn_enter(c, CONN_IDLE);
    if (!conn_add(s, c)) {
        pthread_mutex_destroy(&c->lock);
        free(c);
        return;
    }
    *ctx = c;
    struct epoll_event e = {.events = EPOLLRDHUP | EPOLLET,
                            .data.u64 = (uint64_t)c->generation << 32 | c->slot};
    c->watched = epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, c->fd, &e) == 0;
}

/* ---- hang-ups ---- */

/* x is gone, and whoever waits for it is woken. Under its connection's lock. */
static void exchange_gone(struct exchange *x)
{
    pthread_mutex_lock(&x->lock);
    ft_http_gone(x);
    pthread_mutex_unlock(&x->lock);
}

static void on_hup(struct ft_http_server *s, uint64_t data)
{
    uint32_t slot = (uint32_t)data, generation = (uint32_t)(data >> 32);
    pthread_mutex_lock(&s->lock);
    struct conn *c = slot < s->n_slots ? s->slots[slot] : NULL;
    if (c != NULL && c->generation == generation) {
        atomic_store(&c->hup, true);
        pthread_mutex_lock(&c->lock);
        if (c->x != NULL) {
            pthread_mutex_lock(&c->x->lock);
            if (c->x->suspended)
                ft_http_gone(c->x);
            pthread_mutex_unlock(&c->x->lock);
        }
        pthread_mutex_unlock(&c->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

static void linger_end(struct ft_http_server *s, uint32_t i)
{
    close(s->linger[i].fd); /* leaves the epoll with it */
    s->linger[i].fd = -1;
}

static void on_linger(struct ft_http_server *s, uint32_t i)
{
    char waste[READ_BYTES];
    pthread_mutex_lock(&s->lock);
    ssize_t n = 1;
    for (int k = 0; k < LINGER_READS && n > 0 && s->linger[i].fd >= 0; k++)
        n = recv(s->linger[i].fd, waste, sizeof waste, MSG_DONTWAIT);
    if (s->linger[i].fd >= 0 && (n == 0 || (n < 0 && errno != EAGAIN)))
        linger_end(s, i);
    pthread_mutex_unlock(&s->lock);
}

/* ---- deadlines ---- */

/* Bytes that moved in the direction of the state; 0 where nobody can tell. */
static uint64_t conn_progress(const struct conn *c)
{
    if (c->state == CONN_BODY)
        return c->in_bytes;
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    return info.tcpi_bytes_acked;
}

/* Has the client been holding up what could be moved? Under c->lock. */
static bool is_blocked(struct conn *c)
{
    if (c->x == NULL || (c->state == CONN_SEND && !c->is_tcp))
        return false;
    pthread_mutex_lock(&c->x->lock);
    bool blocked = !c->x->suspended && (!c->x->stream || c->x->out_n != 0 || c->x->block);
    pthread_mutex_unlock(&c->x->lock);
    return blocked;
}

static bool is_stalled(struct conn *c, int64_t now)
{
    int64_t window_ns = c->server->config.stall_timeout_ms * 1000000ll;
    if (c->progress == UINT64_MAX && now - c->mark_ns < window_ns / 4)
        return false;
    if (!is_blocked(c)) {
        c->progress = UINT64_MAX;
        c->mark_ns = now;
        return false;
    }
    if (c->progress != UINT64_MAX && now - c->mark_ns < window_ns)
        return false;
    uint64_t p = conn_progress(c),
             least = (uint64_t)(window_ns / 1000000) * FT_HTTP_RATE_MIN / 1000;
    bool stalled = c->progress != UINT64_MAX && p - c->progress < least;
    c->progress = p;
    c->mark_ns = now;
    return stalled;
}

/* Has the client's end been overlooked? libmicrohttpd takes a short read for the last there is, but
 * an end that came with those bytes is no new edge to its epoll. */
static bool is_unseen_end(const struct conn *c, int64_t ms)
{
    char byte;
    return atomic_load(&c->hup) && ms >= UNSEEN_END_MS &&
           recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* 0, or what to say before the connection is cut; 1: nothing. */
static int is_late(struct conn *c, int64_t now, const char **ret_why)
{
    const struct ft_http_server_config *config = &c->server->config;
    int64_t ms = (now - c->since_ns) / 1000000;
    if (c->state <= CONN_BODY && is_unseen_end(c, ms))
        return 1;
    switch (c->state) {
    case CONN_IDLE:
        if (atomic_load(&c->server->draining) && ms >= DRAIN_IDLE_MS)
            return 1;
        return ms >= (c->first ? config->head_timeout_ms : config->idle_timeout_ms) ? 1 : 0;
    case CONN_HEAD:
        *ret_why = "the head of the request took too long";
        return ms >= config->head_timeout_ms ? 408 : 0;
    case CONN_BODY:
        *ret_why = "the body of the request came too slowly";
        return is_stalled(c, now) ? 408 : 0;
    case CONN_SEND:
        return is_stalled(c, now) ? 1 : 0;
    case CONN_WAIT:
        break;
    }
    return 0;
}

static void sweep(struct ft_http_server *s)
{
    int64_t now = coarse_ns();
    pthread_mutex_lock(&s->lock);
    for (struct conn *c = s->conns; c != NULL; c = c->next) {
        pthread_mutex_lock(&c->lock);
        const char *why = "";
        int status = c->cut ? 0 : is_late(c, now, &why);
        if (status != 0) {
            c->cut = true; /* seen under the lock before the handler would be called */
            if (status != 1) {
                ft_http_raw_error(c, status, why, false);
                atomic_fetch_add(&s->n_refused, 1);
            }
            shutdown(c->fd, SHUT_RDWR);
        }
        pthread_mutex_unlock(&c->lock);
    }
    for (uint32_t i = 0; i < FT_HTTP_LINGER_MAX; i++)
        if (s->linger[i].fd >= 0 && now >= s->linger[i].until_ns)
            linger_end(s, i);
    pthread_mutex_unlock(&s->lock);
}

static void *watch(void *arg)
{
    struct ft_http_server *s = arg;
    int64_t next = coarse_ns();
    while (!atomic_load(&s->closing)) {
        struct epoll_event events[EVENTS_MAX];
        int step = atomic_load(&s->draining) ? DRAIN_STEP_MS : FT_HTTP_SWEEP_MS;
        int n = epoll_wait(s->watch_fd, events, EVENTS_MAX, step);
        for (int i = 0; i < n; i++) {
            uint64_t data = events[i].data.u64;
            uint64_t one;
            if (data == WAKE_EVENT)
                step = read(s->wake_fd, &one, sizeof one) > 0 ? DRAIN_STEP_MS : step;
            else if ((data & LINGER_EVENT) != 0)
                on_linger(s, (uint32_t)data);
            else
                on_hup(s, data);
        }
        int64_t now = coarse_ns();
        if (now >= next) {
            sweep(s);
            next = now + step * 1000000ll;
        }
    }
    return NULL;
}

int ft_http_watch_start(struct ft_http_server *s, struct ft_err *err)
{
    for (int i = 0; i < FT_HTTP_LINGER_MAX; i++)
        s->linger[i].fd = -1;
    s->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = WAKE_EVENT};
    if (s->watch_fd < 0 || s->wake_fd < 0 ||
        epoll_ctl(s->watch_fd, EPOLL_CTL_ADD, s->wake_fd, &e) != 0)
        return ft_err_sys(err, "epoll");
    int rc = pthread_create(&s->watcher, NULL, watch, s);
    if (rc != 0)
        return ft_err_set(err, FT_EIO, "watcher's thread: %s", strerror(rc));
    s->watching = true;
    return 0;
}

void ft_http_watch_stop(struct ft_http_server *s)
{
    if (s->watching) {
        uint64_t one = 1;
        ssize_t n = write(s->wake_fd, &one, sizeof one);
        (void)n;
        pthread_join(s->watcher, NULL);
    }
    for (uint32_t i = 0; i < FT_HTTP_LINGER_MAX && s->watching; i++)
        if (s->linger[i].fd >= 0)
            linger_end(s, i);
    if (s->watch_fd >= 0)
        close(s->watch_fd);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    s->watching = false;
    s->watch_fd = s->wake_fd = -1;
}

void ft_http_wake_all(struct ft_http_server *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct conn *c = s->conns; c != NULL; c = c->next) {
        pthread_mutex_lock(&c->lock);
        if (c->x != NULL)
            exchange_gone(c->x);
        pthread_mutex_unlock(&c->lock);
    }
    pthread_mutex_unlock(&s->lock);
}
