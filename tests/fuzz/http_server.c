/* Any bytes to a running server, over loopback: it answers in HTTP or closes, and what reaches the
 * handler keeps the promises of net/server.h, and on a lane those of net/lane.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/lane.h"

#define ANSWER_MS 20 /* how long an answer is waited for: none may come */

static void on_body(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    (void)ctx;
    FT_ASSERT(n <= 1000 && data[n] == '\0');
    FT_ASSERT(x->content_length < 0 || (int64_t)n == x->content_length);
    ft_http_respond(x, 200, NULL, 0, data, n);
}

/* Reads the body, or a part of it, and answers it in one of three ways. */
static void on_lane(void *ctx, struct ft_lane *l)
{
    (void)ctx;
    char buf[1000];
    struct ft_err err;
    int64_t n, all = 0;
    char way = l->x->path[2];
    while (way != 'r' && (n = ft_lane_read(l, buf, sizeof buf, &err)) > 0)
        all += n;
    FT_ASSERT(l->x->content_length < 0 || all <= l->x->content_length);
    if (way == 'r')
        ft_http_respond(l->x, 403, NULL, 0, "no", 2);
    else if (ft_lane_begin(l, 200, way == 'c' ? -1 : 3, NULL, 0, &err) == 0 &&
             ft_lane_write(l, "yes", 3, &err) == 0)
        ft_lane_end(l, &err);
}

static void handler(void *ctx, struct ft_http_exchange *x)
{
    if (x->path == NULL) {
        FT_ASSERT(x->target[0] == '/' && strpbrk(x->target, "\r\n\t") == NULL);
        ft_http_respond(x, 404, NULL, 0, "no", 2);
        return;
    }
    FT_ASSERT(x->path[0] == '/' || strcmp(x->path, "*") == 0);
    FT_ASSERT(strstr(x->path, "/../") == NULL && strchr(x->path, '\n') == NULL);
    FT_ASSERT(x->method[0] != '\0' && strpbrk(x->method, " \r\n\t") == NULL);
    int n_length = 0;
    for (int i = 0; i < x->n_fields; i++) {
        FT_ASSERT(x->fields[i].name[0] != '\0');
        FT_ASSERT(strpbrk(x->fields[i].name, " \r\n\t:") == NULL);
        FT_ASSERT(strpbrk(x->fields[i].value, "\r\n") == NULL);
        n_length += strcasecmp(x->fields[i].name, "content-length") == 0;
    }
    FT_ASSERT(n_length <= 1 && (n_length == 0 || x->content_length >= 0));
    if (strcmp(x->path, "/drop") == 0)
        ft_http_respond(x, 404, NULL, 0, "no", 2);
    else if (strncmp(x->path, "/l", 2) == 0)
        FT_ASSERT(ft_lane_start(ctx, x, 100000, on_lane, NULL, NULL) != FT_ENOMEM);
    else
        ft_http_body_collect(x, 1000, on_body, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct ft_http_server *s;
    static struct ft_lanes *lanes;
    struct ft_http_server_config config = {
        .listen = "127.0.0.1:0", .handler = handler, .raw_targets = true};
    if (s == NULL) {
        FT_ASSERT(ft_lanes_open(8, &lanes, NULL) == 0);
        config.ctx = lanes;
        FT_ASSERT(ft_http_server_open(&config, &s, NULL) == 0);
    }
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)ft_http_server_port(s)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct linger reset = {.l_onoff = 1}; /* no thousands of closed sockets in TIME_WAIT */
    FT_ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    ssize_t sent = send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)sent;
    shutdown(fd, SHUT_WR);
    char answer[4096];
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, ANSWER_MS) > 0) {
        ssize_t k = recv(fd, answer, sizeof answer, MSG_DONTWAIT);
        FT_ASSERT(k < 9 || memcmp(answer, "HTTP/1.", 7) == 0);
    }
    close(fd);
    return 0;
}
