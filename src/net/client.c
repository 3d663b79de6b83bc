/* The client's thread: curl's multi handle driven by epoll, so that what a byte costs does not
 * depend on how many other transfers wait.
 *
 * Other threads never touch a running transfer: they set what they want of a call, put it on the
 * list of those to look at, and wake the thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/client_impl.h"

#define EVENTS_MAX 128
#define SWEEP_MS   200  /* how often idle calls are looked for */
#define KEEP_CONNS 256L /* connections, with those in use, above which idle ones are closed */

struct ft_http_client {
    CURLM *multi;
    int epoll_fd, wake_fd;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    /* under lock */
    struct ft_http_call *todo, **todo_end;
    int n_todo;
    bool stopping;
    /* the thread alone */
    struct ft_http_call *running;
    int n_idle_timeouts; /* running calls that have one */
    int64_t timer_ns;    /* when curl wants to be called; INT64_MAX: not */
    int64_t next_sweep_ns;
};

static void call_unref(struct ft_http_call *call)
{
    if (atomic_fetch_sub(&call->refs, 1) == 1)
        ft_http_call_free(call);
}

/* ---- what other threads do ---- */

static void wake(struct ft_http_client *c)
{
    uint64_t one = 1;
    ssize_t n = write(c->wake_fd, &one, sizeof one);
    (void)n; /* full: it is awake */
}

/* Has the thread look at call. False, and nothing done, once it stops. */
static bool look_at(struct ft_http_call *call)
{
    if (atomic_load(&call->done))
        return false; /* the client may be closed by now */
    struct ft_http_client *c = call->client;
    pthread_mutex_lock(&c->lock);
    bool ok = !c->stopping, add = ok && !call->in_todo;
    if (add) {
        atomic_fetch_add(&call->refs, 1);
        call->in_todo = true;
        call->next_todo = NULL;
        c->n_todo++;
        *c->todo_end = call;
        c->todo_end = &call->next_todo;
    }
    if (add)
        wake(c);
    pthread_mutex_unlock(&c->lock);
    return ok;
}

int ft_http_call_start(struct ft_http_client *c, const struct ft_http_call_config *config,
                       struct ft_http_call **ret_call, struct ft_err *err)
{
    struct ft_http_call *call = calloc(1, sizeof *call);
    if (call == NULL)
        return ft_err_set(err, FT_ENOMEM, "call");
    call->client = c;
    atomic_init(&call->refs, ret_call != NULL ? 2 : 1); /* the thread's, the starter's */
    int rc = ft_http_call_setup(call, config, err);
    if (rc != 0) {
        ft_http_call_free(call);
        return rc;
    }
    if (ret_call != NULL)
        *ret_call = call;
    if (look_at(call))
        return 0;
    ft_http_call_free(call);
    if (ret_call != NULL)
        *ret_call = NULL;
    return ft_err_set(err, FT_ECANCELED, "the client is being closed");
}

void ft_http_call_cancel(struct ft_http_call *call)
{
    atomic_store(&call->cancelled, true);
    look_at(call);
}

void ft_http_call_pause(struct ft_http_call *call, bool paused)
{
    atomic_store(&call->paused, paused);
    look_at(call);
}

void ft_http_call_resume_read(struct ft_http_call *call)
{
    atomic_store(&call->read_again, true);
    look_at(call);
}

void ft_http_call_unref(struct ft_http_call *call)
{
    if (call != NULL)
        call_unref(call);
}

/* ---- the thread ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    (void)easy;
    struct ft_http_client *c = arg;
    struct epoll_event e = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    e.events =
        ((what & CURL_POLL_IN) != 0 ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0u);
    if (epoll_ctl(c->epoll_fd, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) != 0) {
        /* curl closes sockets that epoll then forgets by itself */
        int other = errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
        if (epoll_ctl(c->epoll_fd, other, fd, &e) != 0)
            return -1;
    }
    curl_multi_assign(c->multi, fd, c);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    struct ft_http_client *c = arg;
    c->timer_ns = ms < 0 ? INT64_MAX : ft_clock_now_ns() + ms * 1000000;
    return 0;
}

/* The end of a call: tells it, and drops the thread's reference. */
static void finish(struct ft_http_client *c, struct ft_http_call *call, CURLcode code)
{
    if (call->running) {
        *(call->prev != NULL ? &call->prev->next : &c->running) = call->next;
        if (call->next != NULL)
            call->next->prev = call->prev;
        if (call->idle_timeout_ms > 0)
            c->n_idle_timeouts--;
        curl_multi_remove_handle(c->multi, call->easy);
    }
    call->running = false;
    atomic_store(&call->done, true);
    struct ft_err err = {0};
    int rc = 0;
    if (atomic_load(&call->cancelled))
        rc = ft_err_set(&err, FT_ECANCELED, "cancelled");
    else if (call->idle_out)
        rc = ft_err_set(&err, FT_ELIMIT, "nothing came for %d ms", call->idle_timeout_ms);
    else if (code != CURLE_OK)
        rc = ft_http_call_error(call, code, &err);
    if (rc == 0)
        ft_http_tell_head(call); /* of an answer without a body, or a redirect's that ends here */
    if (call->on_done != NULL)
        call->on_done(call->ctx, rc != 0 ? &err : NULL);
    call_unref(call);
}

static void begin(struct ft_http_client *c, struct ft_http_call *call)
{
    call->running = true;
    call->active_ns = ft_clock_now_ns();
    call->next = c->running;
    if (call->next != NULL)
        call->next->prev = call;
    c->running = call;
    if (call->idle_timeout_ms > 0)
        c->n_idle_timeouts++;
    if (curl_multi_add_handle(c->multi, call->easy) != CURLM_OK)
        finish(c, call, CURLE_OUT_OF_MEMORY);
}

static void look(struct ft_http_client *c, struct ft_http_call *call)
{
    if (atomic_load(&call->done))
        return;
    if (atomic_load(&call->cancelled)) {
        finish(c, call, CURLE_OK);
        return;
    }
    if (!call->running) {
        begin(c, call);
        return;
    }
    int bits = call->pause_bits & ~CURLPAUSE_RECV;
    if (atomic_load(&call->paused))
        bits |= CURLPAUSE_RECV;
    if (atomic_exchange(&call->read_again, false))
        bits &= ~CURLPAUSE_SEND;
    if (bits == call->pause_bits)
        return;
    call->active_ns = ft_clock_now_ns();
    call->pause_bits = bits;
    curl_easy_pause(call->easy, bits); /* may call back, and set pause_bits again */
}

/* What was on the list when it began; what is put on it meanwhile has its turn later. */
static void look_at_todo(struct ft_http_client *c)
{
    pthread_mutex_lock(&c->lock);
    for (int n = c->n_todo; n > 0; n--) {
        struct ft_http_call *call = c->todo;
        c->todo = call->next_todo;
        if (c->todo == NULL)
            c->todo_end = &c->todo;
        c->n_todo--;
        call->in_todo = false;
        pthread_mutex_unlock(&c->lock);
        look(c, call);
        call_unref(call);
        pthread_mutex_lock(&c->lock);
    }
    bool more = c->n_todo != 0;
    pthread_mutex_unlock(&c->lock);
    if (more)
        wake(c);
}

static void collect_done(struct ft_http_client *c)
{
    int left;
    CURLMsg *msg;
    while ((msg = curl_multi_info_read(c->multi, &left)) != NULL) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        struct ft_http_call *call = NULL;
        CURLcode code = msg->data.result;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        finish(c, call, code);
    }
}

static void sweep(struct ft_http_client *c, int64_t now)
{
    if (c->n_idle_timeouts == 0 || now < c->next_sweep_ns)
        return;
    c->next_sweep_ns = now + SWEEP_MS * 1000000ll;
    for (struct ft_http_call *call = c->running, *next; call != NULL; call = next) {
        next = call->next;
        if (call->idle_timeout_ms == 0 || call->pause_bits != 0 ||
            now - call->active_ns < call->idle_timeout_ms * 1000000ll)
            continue;
        call->idle_out = true;
        finish(c, call, CURLE_OPERATION_TIMEDOUT);
        next = c->running; /* its on_done may have changed the list: begin again */
    }
}

static int wait_ms(const struct ft_http_client *c, int64_t now)
{
    int64_t until = c->timer_ns;
    if (c->n_idle_timeouts != 0)
        until = FT_MIN(until, c->next_sweep_ns);
    if (until == INT64_MAX)
        return -1;
    return until <= now ? 0 : (int)FT_MIN((until - now) / 1000000 + 1, 60000);
}

static void turn(struct ft_http_client *c)
{
    struct epoll_event events[EVENTS_MAX];
    int running, n = epoll_wait(c->epoll_fd, events, EVENTS_MAX, wait_ms(c, ft_clock_now_ns()));
    for (int i = 0; i < n; i++) {
        uint64_t count;
        if (events[i].data.fd == c->wake_fd) {
            while (read(c->wake_fd, &count, sizeof count) < 0 && errno == EINTR)
                ;
            continue;
        }
        /* neither of them: a hang-up or an error, which curl finds by itself */
        int what = ((events[i].events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
                   ((events[i].events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0);
        curl_multi_socket_action(c->multi, events[i].data.fd, what, &running);
    }
    int64_t now = ft_clock_now_ns();
    if (now >= c->timer_ns) {
        c->timer_ns = INT64_MAX;
        curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    look_at_todo(c);
    collect_done(c);
    sweep(c, now);
}

static void *run(void *arg)
{
    struct ft_http_client *c = arg;
    for (;;) {
        pthread_mutex_lock(&c->lock);
        bool stop = c->stopping;
        pthread_mutex_unlock(&c->lock);
        if (stop)
            break;
        turn(c);
    }
    look_at_todo(c); /* those that were started have their on_done too */
    while (c->running != NULL) {
        atomic_store(&c->running->cancelled, true);
        finish(c, c->running, CURLE_OK);
    }
    return NULL;
}

/* ---- life ---- */

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int start(struct ft_http_client *c, struct ft_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    c->multi = curl_multi_init();
    if (c->multi == NULL)
        return ft_err_set(err, FT_ENOMEM, "client");
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, KEEP_CONNS);
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = c->wake_fd};
    if (c->epoll_fd < 0 || c->wake_fd < 0 ||
        epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, c->wake_fd, &e) != 0)
        return ft_err_sys(err, "client: epoll");
    int rc = pthread_create(&c->thread, NULL, run, c);
    if (rc != 0)
        return ft_err_set(err, FT_EIO, "client's thread: %s", strerror(rc));
    c->started = true;
    return 0;
}

int ft_http_client_open(struct ft_http_client **ret, struct ft_err *err)
{
    struct ft_http_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ft_err_set(err, FT_ENOMEM, "client");
    c->epoll_fd = c->wake_fd = -1;
    c->timer_ns = INT64_MAX;
    c->todo_end = &c->todo;
    pthread_mutex_init(&c->lock, NULL);
    int rc = start(c, err);
    if (rc != 0) {
        ft_http_client_close(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void ft_http_client_close(struct ft_http_client *c)
{
    if (c == NULL)
        return;
    if (c->started) {
        pthread_mutex_lock(&c->lock);
        c->stopping = true;
        wake(c);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->thread, NULL);
    }
    if (c->multi != NULL)
        curl_multi_cleanup(c->multi);
    if (c->epoll_fd >= 0)
        close(c->epoll_fd);
    if (c->wake_fd >= 0)
        close(c->wake_fd);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
