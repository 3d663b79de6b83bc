/* Load for gateway.py: requests at a fixed rate whatever the answers (an open loop, so a slow
 * server cannot hide by slowing the client), or many streams held open at once.
 *
 * usage: bench_gateway_load rate PORT PATH KEY BODY RATE SECONDS
 *        bench_gateway_load hold PORT PATH KEY BODY STREAMS
 * prints one JSON object. Times are from when a request was due until the first byte of its
 * answer's body. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define HEAD_MAX    8192
#define CONNS_RATE  64
#define CONNS_MAX   20000
#define TIMES_MAX   2000000
#define QUIET_MS    15000 /* nothing for so long: give up */
#define OPEN_A_TURN 50    /* streams opened between looks at the answers */

struct conn {
    int fd;
    bool busy, in_body, chunked;
    long left; /* of a body with a length */
    int64_t due_ns;
    size_t n_head;
    char head[HEAD_MAX + 1];
    char tail[8]; /* the last bytes, to find what is cut between two reads */
};

static int port, ep;
static char *request;
static size_t n_request;
static struct conn *conns;
static int n_conns;
static double *times;
static long n_times, n_events, n_errors, n_done;

static bool dial(struct conn *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    return epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e) == 0;
}

static void ask(struct conn *c, int64_t due_ns)
{
    c->busy = true;
    c->in_body = false;
    c->n_head = 0;
    c->due_ns = due_ns;
    memset(c->tail, 0, sizeof c->tail);
    if (send(c->fd, request, n_request, MSG_NOSIGNAL) != (ssize_t)n_request)
        n_errors++;
}

static void done(struct conn *c, bool ok)
{
    c->busy = false;
    n_done++;
    n_errors += !ok;
}

/* Events and the end, in this piece and across its edge. */
static void take_body(struct conn *c, const char *s, size_t n)
{
    char seam[16];
    size_t k = n < 7 ? n : 7;
    memcpy(seam, c->tail, 7);
    memcpy(seam + 7, s, k);
    for (size_t i = 1; i < 7; i++)
        n_events += i + 7 <= 7 + k && memcmp(seam + i, "data: {", 7) == 0;
    for (const char *p = s; (p = memmem(p, n - (size_t)(p - s), "data: {", 7)) != NULL; p += 7)
        n_events++;
    if (n >= 7)
        memcpy(c->tail, s + n - 7, 7);
    else {
        memmove(c->tail, c->tail + n, 7 - n);
        memcpy(c->tail + 7 - n, s, n);
    }
    c->left -= (long)n;
    if (c->chunked ? memcmp(c->tail + 2, "0\r\n\r\n", 5) == 0 : c->left <= 0)
        done(c, true);
}

static void take(struct conn *c, const char *s, size_t n)
{
    if (!c->in_body) {
        size_t room = HEAD_MAX - c->n_head, k = n < room ? n : room, before = c->n_head;
        memcpy(c->head + c->n_head, s, k);
        c->n_head += k;
        c->head[c->n_head] = '\0';
        char *end = strstr(c->head, "\r\n\r\n");
        if (end == NULL)
            return;
        size_t used = (size_t)(end + 4 - c->head) - before;
        s += used;
        n -= used;
        end[2] = '\0';
        c->in_body = true;
        c->chunked = strcasestr(c->head, "transfer-encoding: chunked") != NULL;
        const char *length = strcasestr(c->head, "content-length:");
        c->left = length != NULL ? strtol(length + 15, NULL, 10) : 0;
        if (strncmp(c->head, "HTTP/1.1 200", 12) != 0) {
            n_errors++;
            if (n_errors < 4)
                fprintf(stderr, "%s%.*s\n", c->head, (int)n, s);
        }
        c->n_head = 0;
        if (n == 0)
            return;
    }
    if (c->due_ns != 0 && n_times < TIMES_MAX)
        times[n_times++] = (double)(ft_clock_now_ns() - c->due_ns) / 1e6;
    c->due_ns = 0;
    take_body(c, s, n);
}

/* Whatever came; waits up to wait_ns for something. Returns how many sockets had some. */
static int turn(int64_t wait_ns)
{
    struct epoll_event e[256];
    char buf[65536];
    struct timespec t = {wait_ns / 1000000000, wait_ns % 1000000000};
    int n = epoll_pwait2(ep, e, 256, &t, NULL);
    for (int i = 0; i < n; i++) {
        struct conn *c = e[i].data.ptr;
        ssize_t k = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
        if (k > 0) {
            take(c, buf, (size_t)k);
        } else if (k == 0 || errno != EAGAIN) {
            if (c->busy)
                done(c, false);
            close(c->fd);
            c->fd = -1;
        }
    }
    return n;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double q)
{
    return n_times == 0 ? 0 : times[(long)(q * (double)(n_times - 1))];
}

static void report(double seconds)
{
    qsort(times, (size_t)n_times, sizeof *times, by_value);
    printf(
        "{\"done\":%ld,\"errors\":%ld,\"events\":%ld,\"seconds\":%.3f,\"first_ms\":{\"p50\":%.3f,"
        "\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f}}\n",
        n_done, n_errors, n_events, seconds, quantile(.5), quantile(.9), quantile(.99),
        quantile(1));
}

static struct conn *idle_conn(void)
{
    for (int i = 0; i < n_conns; i++)
        if (!conns[i].busy && conns[i].fd >= 0)
            return &conns[i];
    if (n_conns == CONNS_RATE || !dial(&conns[n_conns]))
        return NULL;
    return &conns[n_conns++];
}

static void run_rate(double rate, double seconds)
{
    int64_t begin = ft_clock_now_ns(), now = begin;
    long asked = 0, total = (long)(rate * seconds);
    while (asked < total || n_done < asked) {
        int64_t due = begin + (int64_t)((double)asked * 1e9 / rate);
        bool is_due = asked < total && due <= now;
        struct conn *c = is_due ? idle_conn() : NULL;
        if (c != NULL) {
            ask(c, due);
            asked++;
        }
        int64_t next = begin + (int64_t)((double)asked * 1e9 / rate) - ft_clock_now_ns();
        turn(asked == total || (is_due && c == NULL) ? 1000000 : next > 0 ? next : 0);
        now = ft_clock_now_ns();
        if (now - begin > (int64_t)(seconds * 1e9) + QUIET_MS * 1000000ll)
            break;
    }
    report((double)(now - begin) / 1e9);
}

static void run_hold(int n)
{
    int64_t begin = ft_clock_now_ns();
    for (int i = 0; i < n; i++) {
        if (!dial(&conns[i])) {
            perror("connect");
            exit(1);
        }
        ask(&conns[i], ft_clock_now_ns());
        if (i % OPEN_A_TURN == 0)
            turn(0);
    }
    while (n_done < n && turn(QUIET_MS * 1000000ll) > 0)
        ;
    report((double)(ft_clock_now_ns() - begin) / 1e9);
}

int main(int argc, char **argv)
{
    bool hold = argc == 7 && strcmp(argv[1], "hold") == 0;
    if (!hold && (argc != 8 || strcmp(argv[1], "rate") != 0)) {
        fprintf(stderr, "usage: see the top of tests/bench/gateway_load.c\n");
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    port = atoi(argv[2]);
    int k = asprintf(&request,
                     "POST %s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     argv[3], argv[4], strlen(argv[5]), argv[5]);
    n_request = k > 0 ? (size_t)k : 0;
    ep = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc(CONNS_MAX, sizeof *conns);
    times = calloc(TIMES_MAX, sizeof *times);
    if (conns == NULL || times == NULL || k <= 0 || atoi(argv[6]) < 1 ||
        (hold && atoi(argv[6]) > CONNS_MAX))
        return 2;
    if (hold)
        run_hold(atoi(argv[6]));
    else
        run_rate(atof(argv[6]), atof(argv[7]));
    return 0;
}
