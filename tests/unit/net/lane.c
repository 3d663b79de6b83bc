/* Lanes: bodies and answers of any length by code that blocks, and clients that leave. */
/* labels: threads */
#include "net/lane.h"

#include "net_testing.h"

#define BIG        (3u << 20)
#define BODY_LEAST (1u << 20)

static struct ft_lanes *lanes;
static _Atomic int n_run, n_canceled, n_entered, n_reading, n_release, n_limit;
static int64_t body_max;

static char pattern(size_t i)
{
    return (char)('a' + (i * 7 + i / 4093) % 26);
}

/* Reads all and answers how many bytes came, and whether they were the pattern. */
static void count(struct ft_lane *l)
{
    char buf[50000];
    struct ft_err err;
    size_t seen = 0;
    bool same = true;
    int64_t n;
    atomic_fetch_add(&n_reading, 1);
    while ((n = ft_lane_read(l, buf, sizeof buf, &err)) > 0)
        for (int64_t i = 0; i < n; i++, seen++)
            same &= buf[i] == pattern(seen);
    if (n == FT_ELIMIT)
        atomic_fetch_add(&n_limit, 1);
    if (n == FT_ECANCELED)
        atomic_fetch_add(&n_canceled, 1);
    if (n < 0)
        return;
    char text[64];
    int len = snprintf(text, sizeof text, "%zu %s", seen, same ? "same" : "other");
    assert_int_equal(ft_http_respond(l->x, 200, NULL, 0, text, (size_t)len), 0);
}

/* Answers as many bytes of the pattern as the query says; "?n" of known length, "?-n" chunked. */
static void give(struct ft_lane *l)
{
    static char buf[BIG];
    long long want = strtoll(l->x->query, NULL, 10), n = want < 0 ? -want : want;
    struct ft_http_field f = {"Content-Type", "text/x"};
    struct ft_err err;
    for (size_t i = 0; i < sizeof buf && buf[sizeof buf - 1] == 0; i++)
        buf[i] = pattern(i);
    int rc = ft_lane_begin(l, 200, want < 0 ? -1 : want, &f, 1, &err);
    for (long long at = 0; rc == 0 && at < n;) {
        size_t part = (size_t)FT_MIN(n - at, 300000);
        rc = ft_lane_write(l, buf + at, part, &err);
        at += (long long)part;
    }
    if (rc == 0 && want >= 0 && strcmp(l->x->method, "GET") == 0)
        assert_int_equal(ft_lane_write(l, buf, 1, &err), FT_EINVAL);
    if (rc == 0)
        rc = ft_lane_end(l, &err);
    if (rc == FT_ECANCELED)
        atomic_fetch_add(&n_canceled, 1);
    else
        assert_int_equal(rc, 0);
}

/* As give, without copies; every third piece is written. */
static void fill(struct ft_lane *l)
{
    long long want = strtoll(l->x->query, NULL, 10), n = want < 0 ? -want : want;
    struct ft_err err;
    size_t room;
    assert_null(ft_lane_room(l, &room, &err));
    int rc = ft_lane_begin(l, 200, want, NULL, 0, &err);
    for (long long at = 0, k = 0; rc == 0 && at < n; k++) {
        char part[100], *to = ft_lane_room(l, &room, &err);
        assert_non_null(to);
        size_t m = (size_t)FT_MIN(n - at, (long long)room);
        if (k % 3 == 2)
            m = FT_MIN(m, 20000u);
        for (size_t i = 0; i < m; i++)
            to[i] = pattern((size_t)at + i);
        rc = ft_lane_filled(l, m, &err);
        at += (long long)m;
        m = (size_t)FT_MIN(n - at, 100);
        for (size_t i = 0; i < m; i++)
            part[i] = pattern((size_t)at + i);
        if (rc == 0)
            rc = ft_lane_write(l, part, m, &err);
        at += (long long)m;
    }
    if (rc == 0)
        rc = ft_lane_end(l, &err);
    assert_int_equal(rc, 0);
}

/* Writes until the client is gone. */
static void flood(struct ft_lane *l)
{
    char buf[100000] = "";
    struct ft_err err;
    int rc =
        ft_lane_begin(l, 200, strcmp(l->x->query, "sized") == 0 ? 1ll << 40 : -1, NULL, 0, &err);
    atomic_fetch_add(&n_entered, 1);
    while (rc == 0)
        rc = ft_lane_write(l, buf, sizeof buf, &err);
    assert_int_equal(rc, FT_ECANCELED);
    atomic_fetch_add(&n_canceled, 1);
}

static void run(void *ctx, struct ft_lane *l)
{
    (void)ctx;
    const char *path = l->x->path;
    struct ft_err err;
    if (strcmp(path, "/count") == 0) {
        count(l);
    } else if (strcmp(path, "/give") == 0) {
        give(l);
    } else if (strcmp(path, "/fill") == 0) {
        fill(l);
    } else if (strcmp(path, "/flood") == 0) {
        flood(l);
    } else if (strcmp(path, "/refuse") == 0) {
        struct ft_http_field f = {"X-Why", "no"};
        assert_int_equal(ft_http_respond(l->x, 403, &f, 1, "not you", 7), 0);
    } else if (strcmp(path, "/refuse-later") == 0) {
        char buf[1000];
        struct ft_http_field f = {"X-Why", "full"};
        assert_true(ft_lane_read(l, buf, sizeof buf, &err) > 0);
        assert_int_equal(ft_http_respond(l->x, 507, &f, 1, "no room", 7), 0);
    } else if (strcmp(path, "/short") == 0) {
        assert_int_equal(ft_lane_begin(l, 200, 10, NULL, 0, &err), 0);
        assert_int_equal(ft_lane_write(l, "12345", 5, &err), 0);
        assert_int_equal(ft_lane_end(l, &err), FT_EINVAL);
    } else if (strcmp(path, "/unended") == 0) {
        assert_int_equal(ft_lane_begin(l, 200, -1, NULL, 0, &err), 0);
        assert_int_equal(ft_lane_write(l, "12345", 5, &err), 0);
    } else if (strcmp(path, "/none") == 0) {
        int status = atoi(l->x->query);
        assert_int_equal(ft_lane_begin(l, status, 77, NULL, 0, &err), 0);
        assert_int_equal(ft_lane_write(l, "12345", 5, &err), 0);
        assert_int_equal(ft_lane_end(l, &err), 0);
    } else if (strcmp(path, "/hold") == 0) {
        atomic_fetch_add(&n_entered, 1);
        while (atomic_load(&n_release) == 0)
            nap_ms(1);
        ft_http_respond(l->x, 200, NULL, 0, "held", 4);
    } /* "/nothing": no answer */
    atomic_fetch_add(&n_run, 1);
}

static void handler(void *ctx, struct ft_http_exchange *x)
{
    (void)ctx;
    struct ft_err err;
    int rc = ft_lane_start(lanes, x, body_max, run, NULL, &err);
    if (rc != 0)
        ft_http_respond(x, rc == FT_ELIMIT ? 413 : 503, NULL, 0, err.msg, strlen(err.msg));
}

static int setup(void **state)
{
    struct ft_err err;
    body_max = 0;
    n_run = n_canceled = n_entered = n_reading = n_release = n_limit = 0;
    assert_int_equal(ft_lanes_open(0, &lanes, &err), 0);
    *state = open_server((struct ft_http_server_config){.n_threads = 2}, handler);
    return 0;
}

static int teardown(void **state)
{
    ft_http_server_close(*state);
    ft_lanes_close(lanes);
    return 0;
}

static void send_pattern(int fd, size_t from, size_t n)
{
    char buf[10000];
    for (size_t at = 0; at < n;) {
        size_t part = FT_MIN(n - at, sizeof buf);
        for (size_t i = 0; i < part; i++)
            buf[i] = pattern(from + at + i);
        raw_send_n(fd, buf, part);
        at += part;
    }
}

static void put(int fd, const char *path, size_t announced, size_t sent, const char *more)
{
    char head[300];
    snprintf(head, sizeof head, "PUT %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n%s\r\n", path,
             announced, more);
    raw_send(fd, head);
    send_pattern(fd, 0, sent);
}

static void test_bodies_of_every_length_arrive(void **state)
{
    static const size_t lengths[] = {0,  1, FT_LANE_SMALL, FT_LANE_SMALL + 1, FT_LANE_BYTES + 17,
                                     BIG};
    int fd = raw_connect(*state);
    for (size_t i = 0; i < FT_COUNT(lengths); i++) {
        char want[64];
        put(fd, "/count", lengths[i], lengths[i], "");
        snprintf(want, sizeof want, "\r\n\r\n%zu same", lengths[i]);
        assert_non_null(strstr(raw_read(fd, want), want));
    }
    close(fd);
    await_int(&n_run, (int)FT_COUNT(lengths));
}

static void test_chunked_bodies_arrive(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "PUT /count HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    size_t at = 0;
    for (size_t part = 1; at < BODY_LEAST; part = part * 3 + 1) {
        char size[20];
        snprintf(size, sizeof size, "%zx\r\n", part);
        raw_send(fd, size);
        send_pattern(fd, at, part);
        raw_send(fd, "\r\n");
        at += part;
    }
    raw_send(fd, "0\r\nX-Trailer: is dropped\r\n\r\n");
    char want[64];
    snprintf(want, sizeof want, "\r\n\r\n%zu same", at);
    assert_non_null(strstr(raw_read(fd, want), want));
    put(fd, "/count", 3, 3, "");
    assert_non_null(strstr(raw_read(fd, "3 same"), "3 same"));
    close(fd);
}

/* Reads a whole answer of n pattern bytes of known length. */
static void read_pattern(int fd, size_t n)
{
    static char buf[BIG + 1000];
    size_t have = 0, head = 0;
    while (head == 0 || have < head + n) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, FAR_MS), 1);
        ssize_t k = recv(fd, buf + have, sizeof buf - 1 - have, 0);
        assert_true(k > 0);
        have += (size_t)k;
        buf[have] = '\0';
        const char *end = head == 0 ? strstr(buf, "\r\n\r\n") : NULL;
        if (end != NULL)
            head = (size_t)(end - buf) + 4;
    }
    char want[64];
    snprintf(want, sizeof want, "Content-Length: %zu\r\n", n);
    assert_non_null(strstr(buf, want));
    assert_null(strstr(buf, "Connection: close"));
    assert_int_equal(have, head + n);
    for (size_t i = 0; i < n; i++)
        if (buf[head + i] != pattern(i))
            fail_msg("byte %zu of %zu is another", i, n);
}

static void test_answers_of_known_length(void **state)
{
    static const size_t lengths[] = {0,      1,   2, 4096,          300000,
                                     300001, BIG, 5, FT_LANE_SMALL, FT_LANE_SMALL + 1};
    int fd = raw_connect(*state);
    for (size_t i = 0; i < 2 * FT_COUNT(lengths); i++) {
        char head[200];
        snprintf(head, sizeof head, "GET /%s?%zu HTTP/1.1\r\nHost: h\r\n\r\n",
                 i % 2 != 0 ? "fill" : "give", lengths[i / 2]);
        raw_send(fd, head);
        read_pattern(fd, lengths[i / 2]);
    }
    close(fd);
    await_int(&n_run, 2 * (int)FT_COUNT(lengths));
}

static void test_answers_of_unknown_length(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "GET /give?-20000 HTTP/1.1\r\nHost: h\r\n\r\n"
                 "GET /give?2 HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *a = raw_read(fd, "Content-Length: 2\r\n");
    assert_non_null(strstr(a, "Transfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(a, "\r\n0\r\n\r\nHTTP/1.1 200"));
    close(fd);
    fd = raw_connect(*state);
    raw_send(fd, "GET /fill?-300 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strstr(raw_read(fd, "\r\n0\r\n\r\n"), "\r\n0\r\n\r\n"));
    close(fd);
    /* and long ones, to a client that closes when it has enough */
    fd = raw_connect(*state);
    raw_send(fd, "GET /give?-3000000 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    char waste[65536];
    size_t n = 0;
    for (ssize_t k; (k = recv(fd, waste, sizeof waste, 0)) > 0; n += (size_t)k)
        ;
    assert_true(n > 3000000);
    close(fd);
}

static void test_heads_alone_announce_the_length(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "HEAD /give?3000000 HTTP/1.1\r\nHost: h\r\n\r\n"
                 "HEAD /none?200 HTTP/1.1\r\nHost: h\r\n\r\n"
                 "GET /none?204 HTTP/1.1\r\nHost: h\r\n\r\n"
                 "GET /none?304 HTTP/1.1\r\nHost: h\r\n\r\n"
                 "GET /give?1 HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *a = raw_read(fd, "\r\n\r\na");
    assert_non_null(strstr(a, "Content-Length: 3000000\r\n"));
    assert_non_null(strstr(a, "Content-Length: 77\r\n"));
    assert_non_null(strstr(a, "HTTP/1.1 204"));
    assert_non_null(strstr(a, "HTTP/1.1 304"));
    assert_non_null(strstr(a, "\r\n\r\na"));
    assert_null(strstr(a, "12345"));
    close(fd);
    await_int(&n_run, 5);
}

static void test_an_early_refusal_spares_the_upload(void **state)
{
    /* who asks before sending is not told to go on */
    int fd = raw_connect(*state);
    put(fd, "/refuse", 5000000000, 0, "Expect: 100-continue\r\n");
    const char *a = raw_read(fd, "not you");
    assert_non_null(strstr(a, "HTTP/1.1 403"));
    assert_non_null(strstr(a, "X-Why: no\r\n"));
    assert_null(strstr(a, "100 Continue"));
    assert_true(raw_closed(fd));
    close(fd);
    /* who does not ask gets the answer too */
    fd = raw_connect(*state);
    put(fd, "/refuse", 5000000000, 300000, "");
    a = raw_read(fd, "not you");
    assert_non_null(strstr(a, "X-Why: no\r\n"));
    close(fd);
    /* and in the midst of it */
    fd = raw_connect(*state);
    put(fd, "/refuse-later", 5000000000, 700000, "");
    a = raw_read(fd, "no room");
    assert_non_null(strstr(a, "HTTP/1.1 507"));
    assert_non_null(strstr(a, "X-Why: full\r\n"));
    assert_non_null(strstr(a, "Content-Length: 7\r\n"));
    assert_non_null(strstr(a, "Connection: close\r\n"));
    assert_true(raw_closed(fd));
    close(fd);
    /* a short rest is read, and the connection kept */
    fd = raw_connect(*state);
    put(fd, "/refuse-later", 100000, 100000, "");
    put(fd, "/refuse", 100000, 100000, "");
    put(fd, "/count", 5, 5, "");
    a = raw_read(fd, "5 same");
    assert_non_null(strstr(a, "no room"));
    assert_non_null(strstr(a, "not you"));
    assert_non_null(strstr(a, "5 same"));
    close(fd);
}

static void test_a_wanted_body_is_asked_for(void **state)
{
    int fd = raw_connect(*state);
    for (size_t n = 10; n <= 1000000; n *= 1000) {
        put(fd, "/count", n, 0, "Expect: 100-continue\r\n");
        assert_non_null(strstr(raw_read(fd, "100 Continue\r\n\r\n"), "HTTP/1.1 100"));
        send_pattern(fd, 0, n);
        assert_non_null(strstr(raw_read(fd, " same"), " same"));
    }
    close(fd);
}

static void test_bodies_that_are_too_long(void **state)
{
    body_max = 100000;
    int fd = raw_connect(*state);
    put(fd, "/count", 100001, 100001, "");
    assert_non_null(strstr(raw_read(fd, "longer than"), "HTTP/1.1 413"));
    close(fd);
    fd = raw_connect(*state);
    put(fd, "/count", 100000, 100000, "");
    assert_non_null(strstr(raw_read(fd, "same"), "100000 same"));
    assert_int_equal(n_limit, 0);
    raw_send(fd, "PUT /count HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n186a1\r\n");
    send_pattern(fd, 0, 100001);
    raw_send(fd, "\r\n0\r\n\r\n");
    assert_non_null(strstr(raw_read(fd, "too long"), "HTTP/1.1 413"));
    assert_int_equal(n_limit, 1);
    close(fd);
}

static void test_clients_that_leave_are_noticed(void **state)
{
    /* before a lane is taken, while it reads, while it writes */
    int fd = raw_connect(*state);
    put(fd, "/count", 1000, 500, "");
    close(fd);
    await_int(&n_canceled, 1);
    fd = raw_connect(*state);
    put(fd, "/count", 1000000, 500000, "");
    close(fd);
    await_int(&n_canceled, 2);
    for (int i = 0; i < 2; i++) {
        fd = raw_connect(*state);
        raw_send(fd, i == 0 ? "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n"
                            : "GET /flood?sized HTTP/1.1\r\nHost: h\r\n\r\n");
        await_int(&n_entered, i + 1);
        nap_ms(20);
        close(fd);
        await_int(&n_canceled, 3 + i);
    }
    await_int(&n_run, 4);
}

static void test_clients_that_stop_reading_are_cut(void **state)
{
    struct ft_http_server *s = open_server(
        (struct ft_http_server_config){.n_threads = 1, .stall_timeout_ms = 200}, handler);
    (void)state;
    for (int i = 0; i < 2; i++) {
        int fd = raw_connect(s);
        raw_send(fd, i == 0 ? "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n"
                            : "GET /flood?sized HTTP/1.1\r\nHost: h\r\n\r\n");
        await_int(&n_canceled, i + 1);
        close(fd);
    }
    ft_http_server_close(s);
}

static void test_answers_that_are_not_whole_are_cut(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "GET /short HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_closed(fd));
    close(fd);
    fd = raw_connect(*state);
    raw_send(fd, "GET /unended HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_closed(fd));
    close(fd);
    fd = raw_connect(*state);
    raw_send(fd, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strstr(raw_read(fd, "nobody"), "HTTP/1.1 500"));
    close(fd);
}

static void test_more_requests_than_threads_wait(void **state)
{
    struct ft_err err;
    ft_http_server_close(*state);
    ft_lanes_close(lanes);
    assert_int_equal(ft_lanes_open(2, &lanes, &err), 0);
    *state = open_server((struct ft_http_server_config){.n_threads = 2}, handler);
    int fd[5];
    for (int i = 0; i < 5; i++) {
        fd[i] = raw_connect(*state);
        raw_send(fd[i], "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    await_int(&n_entered, 2);
    nap_ms(20);
    assert_int_equal(n_entered, 2);
    atomic_store(&n_release, 1);
    for (int i = 0; i < 5; i++) {
        assert_non_null(strstr(raw_read(fd[i], "held"), "held"));
        close(fd[i]);
    }
}

static void *drain(void *arg)
{
    assert_int_equal(ft_http_server_drain(arg, FAR_MS), 0);
    return NULL;
}

static void test_what_runs_is_waited_for(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    await_int(&n_entered, 1);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, drain, *state), 0);
    nap_ms(20);
    atomic_store(&n_release, 1);
    assert_non_null(strstr(raw_read(fd, "held"), "held"));
    pthread_join(t, NULL);
    close(fd);
}

static void test_close_tells_those_that_wait(void **state)
{
    int fd = raw_connect(*state), other = raw_connect(*state);
    raw_send(fd, "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
    put(other, "/count", 1000000, 500000, "");
    await_int(&n_entered, 1);
    await_int(&n_reading, 1);
    nap_ms(20);
    ft_http_server_close(*state);
    ft_lanes_close(lanes);
    assert_int_equal(n_canceled, 2);
    struct ft_err err;
    assert_int_equal(ft_lanes_open(0, &lanes, &err), 0);
    *state = open_server((struct ft_http_server_config){.n_threads = 2}, handler);
    close(fd);
    close(other);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_bodies_of_every_length_arrive),
        T(test_chunked_bodies_arrive),
        T(test_answers_of_known_length),
        T(test_answers_of_unknown_length),
        T(test_heads_alone_announce_the_length),
        T(test_an_early_refusal_spares_the_upload),
        T(test_a_wanted_body_is_asked_for),
        T(test_bodies_that_are_too_long),
        T(test_clients_that_leave_are_noticed),
        T(test_clients_that_stop_reading_are_cut),
        T(test_answers_that_are_not_whole_are_cut),
        T(test_more_requests_than_threads_wait),
        T(test_what_runs_is_waited_for),
        T(test_close_tells_those_that_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
