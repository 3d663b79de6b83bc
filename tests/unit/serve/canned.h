/* A server that answers every request with canned bytes, nasty ones too. The first part of the
 * request's path chooses: "/good/chat/completions" gets the answer "good". */
#ifndef FT_TEST_SERVE_CANNED_H
#define FT_TEST_SERVE_CANNED_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "testing.h"

struct canned_answer {
    const char *name;
    const char *head; /* status line and headers; NULL: the connection is cut at once */
    const char *body; /* written as it is, then the connection is closed */
    int repeat;       /* body is written so many times, 1 ms apart; 0: once */
};

#define CANNED_SSE  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define CANNED_JSON "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"

struct canned {
    const struct canned_answer *answer;
    int n_answer, fd, port;
    char path[64]; /* of the unix socket */
    pthread_t thread;
    pthread_mutex_t mu;
    char request[8192]; /* the last one; under mu */
    int live;           /* connections; under mu */
    pthread_cond_t less;
};

struct canned_connection {
    struct canned *c;
    int fd;
};

static inline bool canned_send(int fd, const char *data)
{
    return send(fd, data, strlen(data), MSG_NOSIGNAL) == (ssize_t)strlen(data);
}

/* Reads head and body, by content-length. */
static inline void canned_read(int fd, char *buf, size_t n)
{
    size_t have = 0;
    while (have + 1 < n) {
        ssize_t got = recv(fd, buf + have, n - 1 - have, 0);
        if (got <= 0)
            break;
        have += (size_t)got;
        buf[have] = '\0';
        const char *end = strstr(buf, "\r\n\r\n"), *length = strcasestr(buf, "content-length:");
        if (end != NULL &&
            (length == NULL || have >= (size_t)(end + 4 - buf) + strtoul(length + 15, NULL, 10)))
            break;
    }
}

static inline void *canned_serve(void *arg)
{
    struct canned_connection *x = arg;
    char request[8192] = "";
    canned_read(x->fd, request, sizeof request);
    pthread_mutex_lock(&x->c->mu);
    memcpy(x->c->request, request, sizeof request);
    pthread_mutex_unlock(&x->c->mu);
    for (int i = 0; i < x->c->n_answer; i++) {
        const struct canned_answer *a = &x->c->answer[i];
        size_t n = strlen(a->name);
        const char *path = strchr(request, '/');
        if (path == NULL || strncmp(path + 1, a->name, n) != 0 || path[n + 1] != '/')
            continue;
        bool open = a->head != NULL && canned_send(x->fd, a->head);
        for (int k = 0; open && k < (a->repeat > 0 ? a->repeat : 1); k++) {
            open = canned_send(x->fd, a->body);
            if (a->repeat > 0)
                usleep(1000);
        }
        break;
    }
    close(x->fd);
    pthread_mutex_lock(&x->c->mu);
    x->c->live--;
    pthread_cond_signal(&x->c->less);
    pthread_mutex_unlock(&x->c->mu);
    free(x);
    return NULL;
}

static inline void *canned_accept(void *arg)
{
    struct canned *c = arg;
    for (;;) {
        int fd = accept(c->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct canned_connection *x = malloc(sizeof *x);
        *x = (struct canned_connection){c, fd};
        pthread_mutex_lock(&c->mu);
        c->live++;
        pthread_mutex_unlock(&c->mu);
        pthread_t t;
        pthread_create(&t, NULL, canned_serve, x);
        pthread_detach(t);
    }
}

/* On a free port of loopback, or on a unix socket. */
static inline void canned_open(struct canned *c, const struct canned_answer *answer, int n,
                               bool on_unix)
{
    memset(c, 0, sizeof *c);
    c->answer = answer;
    c->n_answer = n;
    pthread_mutex_init(&c->mu, NULL);
    pthread_cond_init(&c->less, NULL);
    c->fd = socket(on_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    if (on_unix) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        snprintf(c->path, sizeof c->path, "/tmp/ft_canned.%d", (int)getpid());
        unlink(c->path);
        strcpy(a.sun_path, c->path);
        assert_int_equal(bind(c->fd, (struct sockaddr *)&a, sizeof a), 0);
    } else {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t size = sizeof a;
        assert_int_equal(bind(c->fd, (struct sockaddr *)&a, size), 0);
        getsockname(c->fd, (struct sockaddr *)&a, &size);
        c->port = ntohs(a.sin_port);
    }
    assert_int_equal(listen(c->fd, 64), 0);
    pthread_create(&c->thread, NULL, canned_accept, c);
}

static inline void canned_close(struct canned *c)
{
    shutdown(c->fd, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    close(c->fd);
    if (c->path[0] != '\0')
        unlink(c->path);
    pthread_mutex_lock(&c->mu);
    while (c->live > 0) /* their clients have closed them */
        pthread_cond_wait(&c->less, &c->mu);
    pthread_mutex_unlock(&c->mu);
}

#endif
