/* What handlers on lanes cost, beside nginx serving the same file and beside bare sockets: bytes
 * per second of answers and bodies of 64 MiB, requests per second of 4 KiB, and the memory of 64
 * uploads at once. Client, server and nginx share the machine; every figure is the median of rounds
 * in turns, and the ratios are of medians.
 *
 * usage: bench_lanes [ROUNDS]      (nginx must be installed for its rows)
 *        bench_lanes serve         (the server alone, for a profiler) */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/lane.h"

#define LONG_BYTES  (64 << 20)
#define SMALL_BYTES 4096
#define N_CLIENTS   16
#define SMALL_NS    500000000
#define ROUNDS_MAX  101
#define N_UPLOADS   64
#define BLOCK       (256 << 10)

static char dir[] = "/tmp/bench_lanes.XXXXXX";

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- the server: a process of its own ---- */

static void get(struct ft_lane *l, int fd, int64_t n)
{
    struct ft_err err;
    int rc = ft_lane_begin(l, 200, n, NULL, 0, &err);
    for (int64_t at = 0; rc == 0 && at < n;) {
        size_t k;
        char *room = ft_lane_room(l, &k, &err);
        if (room == NULL || pread(fd, room, k, at) != (ssize_t)k)
            break;
        rc = ft_lane_filled(l, k, &err);
        at += (int64_t)k;
    }
    if (rc == 0)
        ft_lane_end(l, &err);
}

static void put(struct ft_lane *l)
{
    static _Thread_local char buf[BLOCK];
    struct ft_err err;
    int64_t n;
    while ((n = ft_lane_read(l, buf, sizeof buf, &err)) > 0)
        ;
    if (n == 0)
        ft_http_respond(l->x, 200, NULL, 0, "", 0);
}

static int files[2];

static void run(void *ctx, struct ft_lane *l)
{
    (void)ctx;
    if (strcmp(l->x->method, "PUT") == 0)
        put(l);
    else if (strcmp(l->x->path, "/long") == 0)
        get(l, files[0], LONG_BYTES);
    else
        get(l, files[1], SMALL_BYTES);
}

static void handler(void *ctx, struct ft_http_exchange *x)
{
    struct ft_err err;
    if (strcmp(x->path, "/plain") == 0) { /* no lane */
        static const char body[SMALL_BYTES];
        ft_http_respond(x, 200, NULL, 0, body, sizeof body);
    } else if (ft_lane_start(ctx, x, 0, run, NULL, &err) != 0) {
        ft_http_respond(x, 503, NULL, 0, "", 0);
    }
}

static pid_t start_server(int *ret_port)
{
    int pipes[2];
    pid_t pid;
    if (pipe(pipes) != 0 || (pid = fork()) < 0)
        die("fork");
    if (pid == 0) {
        struct ft_lanes *lanes = NULL;
        struct ft_http_server *s = NULL;
        struct ft_err err;
        struct ft_http_server_config c = {.listen = "127.0.0.1:0", .handler = handler};
        if (ft_lanes_open(0, &lanes, &err) != 0)
            exit(1);
        c.ctx = lanes;
        c.n_threads = 2;
        if (ft_http_server_open(&c, &s, &err) != 0)
            exit(1);
        int port = ft_http_server_port(s);
        if (write(pipes[1], &port, sizeof port) != sizeof port)
            exit(1);
        for (;;)
            pause();
    }
    if (read(pipes[0], ret_port, sizeof *ret_port) != sizeof *ret_port)
        die("server");
    return pid;
}

/* ---- references ---- */

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        die("bind");
    close(fd);
    return ntohs(a.sin_port);
}

static pid_t start_nginx(int port)
{
    char path[100];
    snprintf(path, sizeof path, "%s/nginx.conf", dir);
    FILE *f = fopen(path, "w");
    if (f == NULL)
        die(path);
    fprintf(f,
            "daemon off; master_process off; pid %s/pid; error_log %s/error.log;\n"
            "events { worker_connections 512; }\n"
            "http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;\n"
            "client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s;\n"
            "uwsgi_temp_path %s; scgi_temp_path %s;\n"
            "server { listen 127.0.0.1:%d; root %s; open_file_cache max=10; } }\n",
            dir, dir, dir, dir, dir, dir, dir, port, dir);
    fclose(f);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        execlp("nginx", "nginx", "-p", dir, "-c", path, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/* Sends LONG_BYTES for every byte that it gets, or takes as many. */
static void *bare(void *arg)
{
    int *pair = arg;
    static char buf[BLOCK];
    char what;
    while (recv(pair[0], &what, 1, 0) == 1) {
        long left = LONG_BYTES;
        while (left > 0) {
            size_t k = left < BLOCK ? (size_t)left : BLOCK;
            ssize_t n = what == 'g' ? pread(files[0], buf, k, LONG_BYTES - left) : (ssize_t)k;
            n = what == 'g' ? send(pair[0], buf, (size_t)n, 0) : recv(pair[0], buf, k, 0);
            if (n <= 0)
                return NULL;
            left -= n;
        }
        if (what == 'p' && send(pair[0], &what, 1, 0) != 1)
            break;
    }
    return NULL;
}

/* ---- the client ---- */

static int dial(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    for (int i = 0; connect(fd, (struct sockaddr *)&a, sizeof a) != 0; i++) {
        if (i == 200)
            die("connect");
        usleep(10000);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0)
            die("send");
        p += k;
        n -= (size_t)k;
    }
}

/* One answer with Content-Length: its head, and so many bytes of body. */
static void read_answer(int fd, char *buf)
{
    size_t have = 0;
    char *end = NULL, *length;
    while (end == NULL) {
        ssize_t k = recv(fd, buf + have, BLOCK - 1 - have, 0);
        if (k <= 0)
            die("recv");
        have += (size_t)k;
        buf[have] = '\0';
        end = strstr(buf, "\r\n\r\n");
    }
    length = strcasestr(buf, "Content-Length:");
    if (length == NULL || strncmp(buf, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "answer: %.300s\n", buf);
        exit(1);
    }
    int64_t left = strtoll(length + 15, NULL, 10) - (int64_t)(have - (size_t)(end + 4 - buf));
    while (left > 0) {
        ssize_t k = recv(fd, buf, left < BLOCK ? (size_t)left : BLOCK, 0);
        if (k <= 0)
            die("recv");
        left -= k;
    }
}

static char block[BLOCK];

static double long_get(int fd)
{
    static char buf[BLOCK];
    static const char head[] = "GET /long HTTP/1.1\r\nHost: h\r\n\r\n";
    int64_t t = ft_clock_now_ns();
    send_all(fd, head, sizeof head - 1);
    read_answer(fd, buf);
    return LONG_BYTES / ((double)(ft_clock_now_ns() - t) / 1e9) / 1e9;
}

static double long_put(int fd)
{
    static char buf[BLOCK];
    char head[100];
    int n = snprintf(head, sizeof head, "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
                     LONG_BYTES);
    int64_t t = ft_clock_now_ns();
    send_all(fd, head, (size_t)n);
    for (int i = 0; i < LONG_BYTES / BLOCK; i++)
        send_all(fd, block, BLOCK);
    read_answer(fd, buf);
    return LONG_BYTES / ((double)(ft_clock_now_ns() - t) / 1e9) / 1e9;
}

static double long_bare(int fd, char what)
{
    int64_t t = ft_clock_now_ns();
    long left = LONG_BYTES;
    static char buf[BLOCK];
    send_all(fd, &what, 1);
    for (; what == 'p' && left > 0; left -= BLOCK)
        send_all(fd, block, BLOCK);
    for (left = what == 'p' ? 1 : LONG_BYTES; left > 0;) {
        ssize_t k = recv(fd, buf, BLOCK, 0);
        if (k <= 0)
            die("recv");
        left -= k;
    }
    return LONG_BYTES / ((double)(ft_clock_now_ns() - t) / 1e9) / 1e9;
}

struct small {
    int port;
    const char *request;
    size_t n;
    _Atomic bool *stop;
    long done;
};

/* Keeps N_CLIENTS connections busy from one thread. */
static double small_rate(int port, const char *request, size_t n)
{
    static char buf[BLOCK];
    int fds[N_CLIENTS];
    struct pollfd p[N_CLIENTS];
    size_t got[N_CLIENTS] = {0}, want = 0;
    long done = 0;
    for (int i = 0; i < N_CLIENTS; i++) {
        fds[i] = dial(port);
        p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    /* how long an answer is, by a first one */
    send_all(fds[0], request, n);
    for (;;) {
        ssize_t k = recv(fds[0], buf + want, BLOCK - 1 - want, 0);
        if (k <= 0)
            die("recv");
        want += (size_t)k;
        buf[want] = '\0';
        char *end = strstr(buf, "\r\n\r\n"), *length = strcasestr(buf, "Content-Length:");
        if (end != NULL && want >= (size_t)(end + 4 - buf) + (size_t)atol(length + 15))
            break;
    }
    if (strncmp(buf, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "answer: %.300s\n", buf);
        exit(1);
    }
    for (int i = 0; i < N_CLIENTS; i++)
        send_all(fds[i], request, n);
    int64_t begin = ft_clock_now_ns(), now = begin;
    while (now - begin < SMALL_NS) {
        poll(p, N_CLIENTS, 1000);
        for (int i = 0; i < N_CLIENTS; i++) {
            if ((p[i].revents & POLLIN) == 0)
                continue;
            ssize_t k = recv(fds[i], buf, BLOCK, 0);
            if (k <= 0)
                die("recv");
            got[i] += (size_t)k;
            if (got[i] < want)
                continue;
            got[i] = 0;
            done++;
            send_all(fds[i], request, n);
        }
        now = ft_clock_now_ns();
    }
    for (int i = 0; i < N_CLIENTS; i++)
        close(fds[i]);
    return (double)done / ((double)(now - begin) / 1e9);
}

static double small_get(int port, const char *path)
{
    char text[200];
    int n = snprintf(text, sizeof text, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", path);
    return small_rate(port, text, (size_t)n);
}

static double small_put(int port)
{
    static char text[200 + SMALL_BYTES];
    int n = snprintf(text, sizeof text, "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
                     SMALL_BYTES);
    return small_rate(port, text, (size_t)n + SMALL_BYTES);
}

static long resident_kb(pid_t pid)
{
    char path[50];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = fopen(path, "r");
    if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f != NULL)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* 64 uploads of which each has sent some megabytes, and its lane has them. */
static double upload_kb(int port, pid_t server)
{
    int fds[N_UPLOADS];
    long before = resident_kb(server);
    char head[100];
    int n = snprintf(head, sizeof head,
                     "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: %lld\r\n\r\n", 1ll << 30);
    for (int i = 0; i < N_UPLOADS; i++) {
        fds[i] = dial(port);
        send_all(fds[i], head, (size_t)n);
    }
    long most = 0;
    for (int k = 0; k < 16; k++) {
        for (int i = 0; i < N_UPLOADS; i++)
            send_all(fds[i], block, BLOCK);
        long now = resident_kb(server);
        most = now > most ? now : most;
    }
    for (int i = 0; i < N_UPLOADS; i++)
        close(fds[i]);
    return (double)(most - before) / N_UPLOADS;
}

/* ---- rounds ---- */

enum row {
    GET_LANE,
    GET_NGINX,
    GET_BARE,
    PUT_LANE,
    PUT_BARE,
    S_LANE,
    S_PLAIN,
    S_NGINX,
    S_PUT,
    ROWS
};
static double seen[ROWS][ROUNDS_MAX];
static double cpu[ROWS]; /* seconds of the server's processors, in the best round */

static double cpu_seconds(pid_t pid)
{
    clockid_t id;
    struct timespec t;
    if (clock_getcpuclockid(pid, &id) != 0 || clock_gettime(id, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#define MEASURE(row, i, pid, call)                                                                 \
    do {                                                                                           \
        double before_ = cpu_seconds(pid);                                                         \
        seen[row][i] = (call);                                                                     \
        double used_ = cpu_seconds(pid) - before_;                                                 \
        if ((row) >= S_LANE) /* each of them; SMALL_NS were spent */                               \
            used_ /= seen[row][i] * (SMALL_NS / 1e9);                                              \
        if (cpu[row] == 0 || used_ < cpu[row])                                                     \
            cpu[row] = used_;                                                                      \
    } while (0)

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(enum row r, int n)
{
    qsort(seen[r], (size_t)n, sizeof seen[r][0], by_value);
    return seen[r][n / 2];
}

static void make_file(const char *name, size_t n, int *ret_fd)
{
    char path[100];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    *ret_fd = open(path, O_RDWR | O_CREAT, 0644);
    for (size_t at = 0; at < n; at += BLOCK)
        if (write(*ret_fd, block, n - at < BLOCK ? n - at : BLOCK) <= 0)
            die(path);
}

static void print(int rounds, bool nginx)
{
    double get = median(GET_LANE, rounds), small = median(S_LANE, rounds);
    printf("GET 64 MiB       %5.2f GB/s", get);
    if (nginx)
        printf(", nginx %5.2f (%.2f of it)", median(GET_NGINX, rounds),
               get / median(GET_NGINX, rounds));
    printf(", bare sockets %5.2f (%.2f)\n", median(GET_BARE, rounds),
           get / median(GET_BARE, rounds));
    printf("PUT 64 MiB       %5.2f GB/s, bare sockets %5.2f (%.2f of it)\n",
           median(PUT_LANE, rounds), median(PUT_BARE, rounds),
           median(PUT_LANE, rounds) / median(PUT_BARE, rounds));
    printf("GET 4 KiB, %d    %6.0f/s", N_CLIENTS, small);
    if (nginx)
        printf(", nginx %6.0f (%.2f of it)", median(S_NGINX, rounds),
               small / median(S_NGINX, rounds));
    printf(", without a lane %6.0f (%.2f)\n", median(S_PLAIN, rounds),
           small / median(S_PLAIN, rounds));
    printf("PUT 4 KiB, %d    %6.0f/s\n", N_CLIENTS, median(S_PUT, rounds));
    printf("processor: GET 64 MiB %.1f ms, nginx %.1f; PUT %.1f; GET 4 KiB %.1f us, nginx %.1f, "
           "without a lane %.1f; PUT %.1f\n",
           cpu[GET_LANE] * 1e3, cpu[GET_NGINX] * 1e3, cpu[PUT_LANE] * 1e3, cpu[S_LANE] * 1e6,
           cpu[S_NGINX] * 1e6, cpu[S_PLAIN] * 1e6, cpu[S_PUT] * 1e6);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5, port, nginx_port = free_port(), pair[2];
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    signal(SIGPIPE, SIG_IGN);
    if (mkdtemp(dir) == NULL)
        die(dir);
    chmod(dir, 0755);
    memset(block, 'x', sizeof block);
    make_file("long", LONG_BYTES, &files[0]);
    make_file("small", SMALL_BYTES, &files[1]);
    pid_t server = start_server(&port), nginx = start_nginx(nginx_port);
    if (argc > 1 && strcmp(argv[1], "serve") == 0) {
        printf("port %d, nginx %d, pid %d\n", port, nginx_port, (int)server);
        fflush(stdout);
        waitpid(server, NULL, 0);
    }
    usleep(300000);
    bool has_nginx = waitpid(nginx, NULL, WNOHANG) == 0;
    printf("a connection that uploads: %.0f KB\n", upload_kb(port, server));

    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    bind(listener, (struct sockaddr *)&a, sizeof a);
    listen(listener, 1);
    getsockname(listener, (struct sockaddr *)&a, &len);
    pair[1] = dial(ntohs(a.sin_port));
    pair[0] = accept(listener, NULL, NULL);
    pthread_t t;
    pthread_create(&t, NULL, bare, pair);
    int lane_fd = dial(port), nginx_fd = has_nginx ? dial(nginx_port) : -1;
    for (int i = 0; i < rounds; i++) {
        MEASURE(GET_LANE, i, server, long_get(lane_fd));
        seen[GET_BARE][i] = long_bare(pair[1], 'g');
        MEASURE(PUT_LANE, i, server, long_put(lane_fd));
        seen[PUT_BARE][i] = long_bare(pair[1], 'p');
        MEASURE(S_LANE, i, server, small_get(port, "small"));
        MEASURE(S_PLAIN, i, server, small_get(port, "plain"));
        MEASURE(S_PUT, i, server, small_put(port));
        if (has_nginx) {
            MEASURE(GET_NGINX, i, nginx, long_get(nginx_fd));
            MEASURE(S_NGINX, i, nginx, small_get(nginx_port, "small"));
        }
    }
    print(rounds, has_nginx);
    shutdown(pair[1], SHUT_RDWR);
    pthread_join(t, NULL);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    if (has_nginx) {
        kill(nginx, SIGKILL);
        waitpid(nginx, NULL, 0);
    }
    static const char *const names[] = {"long", "small", "nginx.conf", "pid", "error.log"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[100];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    rmdir(dir);
    return 0;
}
