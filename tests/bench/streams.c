/* What an open stream costs: N clients read events through a proxy made of net's server and client,
 * whose upstream is a server on a unix socket that sends each of them an event a second. Prints the
 * proxy's resident memory and processor time per stream, and what was lost (nothing should be).
 *
 * usage: bench_streams [N] [SECONDS] */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/client.h"
#include "net/server.h"

#define STREAMS_MAX 100000

static const char event[] =
    "data: {\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":"
    "1700000000,\"model\":\"nano\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},"
    "\"finish_reason\":null}]}\n\n";

static void die(const char *what, const struct ft_err *err)
{
    fprintf(stderr, "%s: %s\n", what, err->msg);
    exit(1);
}

static long resident_kb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f != NULL)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* ---- upstream: an event a second to everybody, spread over the second ---- */

static struct ft_http_exchange *streams[STREAMS_MAX];
static _Atomic int n_streams;

static void up_handler(void *ctx, struct ft_http_exchange *x)
{
    (void)ctx;
    ft_http_stream_begin(x, 200, "text/event-stream", NULL, 0);
    int i = atomic_load(&n_streams); /* one thread */
    streams[i] = ft_http_ref(x);
    atomic_store(&n_streams, i + 1);
}

static void upstream(const char *where, int n, int seconds)
{
    struct ft_http_server *s;
    struct ft_err err;
    struct ft_http_server_config c = {
        .listen = where, .handler = up_handler, .max_connections = n + 100};
    if (ft_http_server_open(&c, &s, &err) != 0)
        die("upstream", &err);
    while (atomic_load(&n_streams) < n)
        usleep(10000);
    sleep(2);
    int64_t begin = ft_clock_now_ns();
    for (int k = 0; k < seconds; k++)
        for (int i = 0; i < n; i++) {
            int64_t due = begin + k * 1000000000ll + (int64_t)i * 1000000000 / n;
            while (ft_clock_now_ns() < due)
                usleep(500);
            ft_http_stream_write(streams[i], event, sizeof event - 1);
        }
    for (int i = 0; i < n; i++) {
        ft_http_stream_end(streams[i]);
        ft_http_unref(streams[i]);
    }
    ft_http_server_drain(s, 5000);
    ft_http_server_close(s);
    exit(0);
}

/* ---- readers ---- */

static void readers(int port, int n, int seconds)
{
    int ep = epoll_create1(0);
    for (int i = 0; i < n; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        static const char q[] = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n"
                                "Authorization: Bearer sk-ft-0123456789\r\n"
                                "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
            send(fd, q, sizeof q - 1, 0) != sizeof q - 1) {
            perror("reader");
            exit(1);
        }
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    }
    long events = 0, open = n;
    struct epoll_event got[64];
    while (open > 0) {
        int k = epoll_wait(ep, got, 64, 20000);
        if (k <= 0)
            break;
        for (int i = 0; i < k; i++) {
            char buf[4096];
            ssize_t r = recv(got[i].data.fd, buf, sizeof buf, 0);
            bool end = r <= 0 || (r >= 5 && memcmp(buf + r - 5, "0\r\n\r\n", 5) == 0);
            for (ssize_t j = 0; j + 6 < r; j++)
                events += memcmp(buf + j, "data: ", 6) == 0;
            if (end) {
                close(got[i].data.fd);
                open--;
            }
        }
    }
    printf("lost: %ld of %ld events, %ld streams not ended\n", (long)n * seconds - events,
           (long)n * seconds, open);
    exit(0);
}

/* ---- the proxy between them ---- */

struct relay {
    struct ft_http_exchange *x;
    struct ft_http_call *call;
};

static struct ft_http_client *client;
static const char *up_path;
static _Atomic int n_relays, n_failed;

static void on_head(void *ctx, const struct ft_http_answer_head *head)
{
    struct relay *r = ctx;
    ft_http_stream_begin(r->x, head->status, ft_http_answer_header(head, "content-type"), NULL, 0);
    atomic_fetch_add(&n_relays, 1);
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct relay *r = ctx;
    ft_http_stream_write(r->x, data, n);
    return true;
}

static void on_done(void *ctx, const struct ft_err *err)
{
    struct relay *r = ctx;
    if (err != NULL)
        atomic_fetch_add(&n_failed, 1);
    ft_http_stream_end(r->x);
    ft_http_unref(r->x);
    free(r);
}

static void on_body(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    (void)ctx;
    struct relay *r = calloc(1, sizeof *r);
    struct ft_err err;
    struct ft_http_call_config c = {.url = "http://worker/v1/chat/completions",
                                    .unix_socket = up_path,
                                    .body = data,
                                    .n_body = n,
                                    .on_head = on_head,
                                    .on_data = on_data,
                                    .on_done = on_done,
                                    .ctx = r};
    r->x = ft_http_ref(x);
    if (ft_http_call_start(client, &c, NULL, &err) != 0)
        die("call", &err);
    ft_http_body_release(x);
}

static void handler(void *ctx, struct ft_http_exchange *x)
{
    (void)ctx;
    ft_http_body_collect(x, 1 << 20, on_body, NULL);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 2000, seconds = argc > 2 ? atoi(argv[2]) : 5;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    char where[64];
    snprintf(where, sizeof where, "unix:/tmp/bench-streams-%d", (int)getpid());
    up_path = where + 5;
    if (n < 1 || n > STREAMS_MAX)
        return 2;
    pid_t up = fork();
    if (up == 0)
        upstream(where, n, seconds);
    struct ft_http_server *s;
    struct ft_err err;
    struct ft_http_server_config c = {
        .listen = "127.0.0.1:0", .handler = handler, .max_connections = n + 100, .n_threads = 2};
    int ready[2], port;
    if (pipe(ready) != 0)
        return 1;
    pid_t reader = fork();
    if (reader == 0 && read(ready[0], &port, sizeof port) == sizeof port)
        readers(port, n, seconds);
    if (ft_http_client_open(&client, &err) != 0 || ft_http_server_open(&c, &s, &err) != 0)
        die("proxy", &err);
    sleep(1); /* upstream listens */
    long before = resident_kb();
    port = ft_http_server_port(s);
    if (write(ready[1], &port, sizeof port) != sizeof port)
        return 1;
    while (atomic_load(&n_relays) < n)
        usleep(10000);
    long opened = resident_kb();
    sleep(2);
    double cpu = cpu_s();
    sleep((unsigned)seconds - 1);
    cpu = (cpu_s() - cpu) / (seconds - 1);
    long running = resident_kb();
    waitpid(reader, NULL, 0);
    waitpid(up, NULL, 0);
    printf(
        "proxy: %ld KB before, %.1f KB a stream when open, %.1f KB a stream at an event a second\n",
        before, (double)(opened - before) / n, (double)(running - before) / n);
    printf("proxy: %.3f of a core for %d events a second, %.1f us each; %d failed\n", cpu, n,
           cpu * 1e6 / n, atomic_load(&n_failed));
    ft_http_client_close(client);
    ft_http_server_close(s);
    return 0;
}
