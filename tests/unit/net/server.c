/* Requests and whole answers: what a well-behaved client gets, and what a bad one. */
/* labels: threads */
#include "net_testing.h"

#define BODY_MAX 1000

static _Atomic int n_closed, n_clean, n_handled;

static void on_close(void *ctx, struct ft_http_exchange *x, bool clean)
{
    (void)ctx;
    (void)x;
    atomic_fetch_add(&n_clean, clean);
    atomic_fetch_add(&n_closed, 1);
}

static void echo(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    (void)ctx;
    struct ft_http_field f = {"X-Path", x->path};
    assert_int_equal(ft_http_respond(x, 200, &f, 1, data, n), 0);
    assert_int_equal(ft_http_respond(x, 200, &f, 1, data, n), FT_EEXIST);
    ft_http_body_release(x);
}

static void *answer_later(void *arg)
{
    struct ft_http_exchange *x = arg;
    nap_ms(20);
    const char *name = ft_http_header(x, "x-NAME");
    ft_http_respond(x, 201, NULL, 0, name != NULL ? name : "none", name != NULL ? strlen(name) : 4);
    ft_http_unref(x);
    return NULL;
}

static void *forget(void *arg)
{
    nap_ms(20);
    ft_http_unref(arg);
    return NULL;
}

static void in_thread(struct ft_http_exchange *x, void *(*fn)(void *))
{
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, fn, ft_http_ref(x)), 0);
    pthread_detach(t);
}

static void try_injections(struct ft_http_exchange *x)
{
    static const struct ft_http_field bad[] = {
        {"X-A", "a\r\nX-Evil: 1"},
        {"X-A", "a\nb"},
        {"X-A", "\x01"},
        {"X A", "a"},
        {"X-A:", "a"},
        {"", "a"},
        {"Content-Length", "1"},
        {"X-A\r\nB", "a"},
        {"Transfer-Encoding", "chunked"},
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        assert_int_equal(ft_http_respond(x, 200, &bad[i], 1, "", 0), FT_EINVAL);
        assert_int_equal(ft_http_stream_begin(x, 200, NULL, &bad[i], 1), FT_EINVAL);
    }
    assert_int_equal(ft_http_respond(x, 99, NULL, 0, "", 0), FT_EINVAL);
    ft_http_respond(x, 204, NULL, 0, "", 0);
}

static void handler(void *ctx, struct ft_http_exchange *x)
{
    (void)ctx;
    atomic_fetch_add(&n_handled, 1);
    ft_http_on_close(x, on_close, NULL);
    if (strcmp(x->path, "/echo") == 0)
        ft_http_body_collect(x, BODY_MAX, echo, NULL);
    else if (strcmp(x->path, "/later") == 0)
        in_thread(x, answer_later);
    else if (strcmp(x->path, "/forget") == 0)
        in_thread(x, forget);
    else if (strcmp(x->path, "/inject") == 0)
        try_injections(x);
    else if (strcmp(x->path, "/head") == 0) {
        char text[20000];
        int n = snprintf(text, sizeof text, "%s|%s|%s|%s|%s|%d", x->method, x->target, x->query,
                         x->peer, ft_http_header(x, "host"), x->n_fields);
        ft_http_respond(x, 200, NULL, 0, text, (size_t)n);
    } else if (strcmp(x->path, "/no") == 0)
        ft_http_respond(x, 401, NULL, 0, "who are you", 11);
    /* "/nothing" and "/": neither answered nor kept */
}

static int setup(void **state)
{
    *state = open_server((struct ft_http_server_config){.n_threads = 2}, handler);
    return 0;
}

static int teardown(void **state)
{
    ft_http_server_close(*state);
    return 0;
}

static void test_connections_are_kept(void **state)
{
    int fd = raw_connect(*state);
    for (int i = 0; i < 3; i++) {
        raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
        const char *a = raw_read(fd, "hello");
        assert_non_null(strstr(a, "HTTP/1.1 200 OK\r\n"));
        assert_non_null(strstr(a, "X-Path: /echo\r\n"));
        assert_null(strstr(a, "Connection: close"));
    }
    /* one behind the other, without waiting */
    raw_send(fd, "GET /head?a=%20&b HTTP/1.1\r\nHost: me\r\nX-Two: 2\r\n\r\n"
                 "GET /later HTTP/1.1\r\nHost: h\r\nx-name: bob\r\n\r\n"
                 "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    const char *a = raw_read(fd, "abcdefg");
    assert_non_null(strstr(a, "GET|/head?a=%20&b|a=%20&b|127.0.0.1|me|2"));
    assert_non_null(strstr(a, "HTTP/1.1 201"));
    assert_non_null(strstr(a, "bob"));
    assert_non_null(strstr(a, "abcdefg"));
    close(fd);
}

static void test_an_answer_without_its_body_read_keeps_the_connection(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "POST /no HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
                 "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nend");
    const char *a = raw_read(fd, "\r\n\r\nend");
    assert_non_null(strstr(a, "401"));
    assert_non_null(strstr(a, "who are you"));
    assert_non_null(strstr(a, "\r\n\r\nend"));
    close(fd);
}

static void test_empty_bodies_and_heads_only(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
                 "HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n"
                 "GET /inject HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *a = raw_read(fd, "204 No Content");
    assert_non_null(strstr(a, "Content-Length: 0\r\n"));
    assert_null(strstr(a, "HEAD|"));
    assert_null(strstr(a, "Evil"));
    close(fd);
}

static void test_a_client_that_stops_sending_is_let_go(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "GET /head HTTP/1.1\r\nHost: h\r\n\r\n");
    shutdown(fd, SHUT_WR);
    assert_non_null(strstr(raw_read(fd, "GET|"), "200 OK"));
    assert_true(raw_closed(fd));
    close(fd);
}

static void test_nobody_waits_for_a_lost_request(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strstr(raw_read(fd, "nobody answered"), "HTTP/1.1 500"));
    raw_send(fd, "GET /forget HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strstr(raw_read(fd, "nobody answered"), "HTTP/1.1 500"));
    close(fd);
}

static void test_expecting_clients_are_told(void **state)
{
    int fd = raw_connect(*state);
    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
                 "Expect: 100-continue\r\n\r\n");
    assert_non_null(strstr(raw_read(fd, "\r\n\r\n"), "100 Continue"));
    raw_send(fd, "body");
    assert_non_null(strstr(raw_read(fd, "body"), "200 OK"));
    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n"
                 "Expect: 100-continue\r\n\r\n");
    assert_non_null(strstr(raw_read(fd, "\r\n\r\n"), "HTTP/1.1 413"));
    assert_true(raw_closed(fd));
    close(fd);
}

static void test_bodies_too_long_are_refused_and_the_answer_arrives(void **state)
{
    char *big = calloc(1, 4 << 20);
    static const char *const heads[] = {
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4194304\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n",
    };
    for (int i = 0; i < 3; i++) {
        int fd = raw_connect(*state);
        raw_send(fd, heads[i]);
        raw_send_n(fd, big, i < 2 ? 1 << 20 : 2000); /* the server stops reading, or drops it */
        assert_non_null(strstr(raw_read(fd, "too long"), "HTTP/1.1 413"));
        close(fd);
    }
    free(big);
}

static void test_malformed_requests_get_4xx_or_nothing(void **state)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\n\r\n",                        /* no Host */
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",  /* two */
        "GET  HTTP/1.1\r\nHost: h\r\n\r\n",              /* no target */
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",          /* a space in it */
        "GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",     /* a proxy's */
        "GET /../x HTTP/1.1\r\nHost: h\r\n\r\n",         /* path tricks */
        "GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n",          /* */
        "GET / HTTP/9.9\r\nHost: h\r\n\r\n",             /* no such version */
        "GE\x01T / HTTP/1.1\r\nHost: h\r\n\r\n",         /* method */
        "GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", /* header */
        "GET / HTTP/1.1\r\nHost: h\r\nX Y: 1\r\n\r\n",   /* */
        "GET / HTTP/1.1\r\nHost: h\r\nX-Y : 1\r\n\r\n",  /* the smuggler's space */
        "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",  /* a bare CR */
        "GET / HTTP/1.1\r\nHost: h\r\nX: \x01\r\n\r\n",  /* */
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0"
        "\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "fffffffffffffffffffff\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\x16\x03\x01\x02\x01\x01\xfc\x03\x03\r\n\r\n", /* TLS where there is none */
        "hello\r\n\r\n",
    };
    int before = atomic_load(&n_handled);
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        int fd = raw_connect(*state);
        raw_send(fd, bad[i]);
        shutdown(fd, SHUT_WR);
        const char *a = raw_read(fd, NULL);
        bool refused = strncmp(a, "HTTP/1.1 4", 10) == 0 || strncmp(a, "HTTP/1.1 50", 11) == 0;
        if (a[0] != '\0' && !refused)
            fail_msg("%s\n got %.200s", bad[i], a);
        close(fd);
    }
    /* those whose head was fine reached the handler, none of the others */
    assert_int_equal(atomic_load(&n_handled) - before, 4);
}

/* What libmicrohttpd takes without a word and hands on as something else. */
static void test_heads_that_are_not_what_they_seem_are_refused(void **state)
{
#define BAD(text)                                                                                  \
    {                                                                                              \
        text, sizeof text - 1                                                                      \
    }
    static const struct {
        const char *text;
        size_t n;
    } bad[] = {
        /* a line that goes on: its field would be lost, and the body the next request */
        BAD("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n"
            "GET /head HTTP/1.1\r\nHost: h\r\n\r\n"),
        BAD("POST /echo HTTP/1.1\r\nTransfer-Encoding:\r\n\tchunked\r\nHost: h\r\n\r\n"
            "GET /head HTTP/1.1\r\nHost: h\r\n\r\n"),
        BAD("GET /head HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\nY: c\r\n\r\n"),
        BAD("GET /head HTTP/1.1\r\n Host: h\r\n\r\n"),
        BAD("GET /head HTTP/1.1\r\nHost: h\r\nX: a\0b\r\nY: c\r\n\r\n"),
        BAD("GET /head HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"),
        /* a line that begins with a colon: it would end the head, and what follows be the body */
        BAD("GET /head HTTP/1.1\r\nHost: h\r\n: c\r\nY: c\r\n\r\n"),
        BAD("GET /head HTTP/1.1\r\nHost: h\r\n:\r\nY: c\r\n\r\n"),
        BAD("GET /head HTTP/1.1\r\n: c\r\nHost: h\r\n\r\n"),
        BAD("GET /head HTTP/1.1\nHost: h\n:c\n\n"),
        BAD("GET /head HTTP/1.1\r\nX: c\r\n\r\n"), /* no Host */
        BAD("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"),
    };
#undef BAD
    static const char *const good[] = {
        "GET /head HTTP/1.1\nHost: h\nX: y\n\n",
        "GET /head HTTP/1.1\r\nX:\r\nHost:h\r\nY: \t c  \r\nZ:\t\r\n\r\n",
        "GET /head HTTP/1.0\r\n\r\n",
        "GET /head HTTP/1.0\r\nX: y\r\n\r\n",
    };
    int before = atomic_load(&n_handled);
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        int fd = raw_connect(*state);
        raw_send_n(fd, bad[i].text, bad[i].n);
        const char *a = raw_read(fd, NULL); /* to the end: the connection is closed */
        if (strncmp(a, "HTTP/1.1 400", 12) != 0 || strstr(a + 1, "HTTP/1.1") != NULL)
            fail_msg("%s\n got %.300s", bad[i].text, a);
        close(fd);
    }
    assert_int_equal(atomic_load(&n_handled), before);
    for (size_t i = 0; i < FT_COUNT(good); i++) {
        int fd = raw_connect(*state);
        raw_send(fd, good[i]);
        const char *a = raw_read(fd, "\r\n\r\n");
        if (strncmp(a, "HTTP/1.1 200", 12) != 0 && strncmp(a, "HTTP/1.0 200", 12) != 0)
            fail_msg("%s\n got %.300s", good[i], a);
        close(fd);
    }
}

/* Targets that have no safe path are the handler's where it wants them, and nobody's elsewhere. */
static void raw_handler(void *ctx, struct ft_http_exchange *x)
{
    (void)ctx;
    char text[8192];
    int n = snprintf(text, sizeof text, "%s|%s|%d|", x->path != NULL ? x->path : "NULL", x->target,
                     x->n_fields);
    ft_http_respond(x, 200, NULL, 0, text, (size_t)n);
}

static void test_raw_targets(void **state)
{
    static const char *const odd[] = {"/b/../k",       "/b/./k", "/b/..",       "/b/%2e%2e/k",
                                      "/b/k%00",       "/b/%ff", "/b/\xff\xfe", "/b/k%0a",
                                      "/b/a\\b?c=%zz", "/b/%zz"};
    static const char *const plain[][2] = {
        {"/b//k", "/b//k"}, {"//", "//"}, {"/b/a%2Fb?x=/../", "/b/a/b"}, {"/b/...", "/b/..."}};
    static const char *const never[] = {"b/k", "http://h/k", "/a\x01", "/a\x7f", "*"};
    struct ft_http_server *raw =
        open_server((struct ft_http_server_config){.raw_targets = true}, raw_handler);
    struct ft_http_server *strict = open_server((struct ft_http_server_config){0}, raw_handler);
    char text[500];
    (void)state;
    for (size_t i = 0; i < FT_COUNT(odd) + FT_COUNT(plain) + FT_COUNT(never); i++) {
        size_t k = i - FT_COUNT(odd), l = k - FT_COUNT(plain);
        const char *target = i < FT_COUNT(odd)     ? odd[i]
                             : k < FT_COUNT(plain) ? plain[k][0]
                                                   : never[l];
        for (int r = 0; r < 2; r++) {
            int fd = raw_connect(r != 0 ? raw : strict);
            snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
                     target);
            raw_send(fd, text);
            const char *a = raw_read(fd, NULL);
            snprintf(text, sizeof text, "\r\n\r\n%s|%s|2|",
                     i < FT_COUNT(odd)     ? "NULL"
                     : k < FT_COUNT(plain) ? plain[k][1]
                                           : "",
                     target);
            bool taken = k < FT_COUNT(plain) || (r != 0 && i < FT_COUNT(odd));
            if (strncmp(a, taken ? "HTTP/1.1 200" : "HTTP/1.1 400", 12) != 0 ||
                (taken && strstr(a, text) == NULL))
                fail_msg("%s (%d): %s", target, r, a);
            close(fd);
        }
    }
    ft_http_server_close(raw);
    ft_http_server_close(strict);
}

/* A key of 1024 bytes, each escaped; ten tags and 2 KB of metadata, some twice. */
static void test_heads_as_object_clients_send_them(void **state)
{
    char *text = malloc(32768);
    struct ft_http_server *s = open_server((struct ft_http_server_config){0}, raw_handler);
    (void)state;
    size_t n = (size_t)sprintf(text, "GET /bucket/");
    for (int i = 0; i < 1024; i++)
        n += (size_t)sprintf(text + n, "%%41");
    n +=
        (size_t)sprintf(text + n, " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nx-amz-tagging: a=");
    for (int i = 0; i < 1280; i++)
        n += (size_t)sprintf(text + n, "%%2B");
    for (int i = 0; i < 64; i++)
        n += (size_t)sprintf(text + n, "\r\nx-amz-meta-%d: %032d", i / 2, i);
    sprintf(text + n, "\r\n\r\n");
    int fd = raw_connect(s);
    raw_send(fd, text);
    const char *a = raw_read(fd, NULL);
    assert_non_null(strstr(a, "HTTP/1.1 200"));
    assert_non_null(strstr(a, "|67|"));
    close(fd);
    ft_http_server_close(s);
    free(text);
}

static void test_heads_too_long_are_refused(void **state)
{
    char *huge = malloc(1 << 20);
    for (int kind = 0; kind < 5; kind++) {
        static const char *const begin[] = {
            "GET /", "GET / HTTP/1.1\r\nHost: h\r\nX: ", "GET /?",
            "GET / HTTP/1.1\r\nHost: h\r\nCookie: ", "GET / HTTP/1.1\r\nHost: h\r\n"};
        static const char *const unit[] = {"aaaa", "aaaa", "a&b&", "a;b;", "X:\r\n"};
        size_t n = (size_t)sprintf(huge, "%s", begin[kind]);
        for (; n < 100000; n += 4)
            memcpy(huge + n, unit[kind], 4);
        n += (size_t)sprintf(huge + n, "%s",
                             kind % 2 == 0 && kind < 4 ? " HTTP/1.1\r\n\r\n" : "\r\n\r\n");
        int fd = raw_connect(*state);
        raw_send_n(fd, huge, n);
        const char *a = raw_read(fd, NULL);
        if (a[0] != '\0' && strncmp(a, "HTTP/1.1 4", 10) != 0)
            fail_msg("%d: %.200s", kind, a);
        close(fd);
    }
    free(huge);
    int fd = raw_connect(*state); /* and the server is well */
    raw_send(fd, "GET /head HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_non_null(strstr(raw_read(fd, "GET|"), "200 OK"));
    close(fd);
}

static void test_many_parameters_are_not_too_many(void **state)
{
    char request[12000];
    size_t n = (size_t)sprintf(request, "GET /head?");
    while (n < 8000)
        n += (size_t)sprintf(request + n, "a=1&");
    sprintf(request + n, " HTTP/1.1\r\nHost: h\r\n\r\n");
    int fd = raw_connect(*state);
    raw_send(fd, request);
    assert_non_null(strstr(raw_read(fd, "GET|/head?a=1&"), "200 OK"));
    close(fd);
}

static void test_every_exchange_is_closed_once(void **state)
{
    struct ft_http_stats stats = {.exchanges = 1};
    for (int i = 0; i < FAR_MS && stats.exchanges != 0; i++) { /* of the tests before */
        ft_http_server_stats(*state, &stats);
        nap_ms(1);
    }
    int fd = raw_connect(*state);
    int closed = atomic_load(&n_closed), clean = atomic_load(&n_clean);
    raw_send(fd, "GET /head HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_read(fd, "GET|");
    await_int(&n_closed, closed + 1);
    assert_int_equal(atomic_load(&n_clean), clean + 1);
    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nnot all");
    nap_ms(20);
    close(fd);
    await_int(&n_closed, closed + 2);
    assert_int_equal(atomic_load(&n_clean), clean + 1);
    for (int i = 0; i < FAR_MS; i++) {
        ft_http_server_stats(*state, &stats);
        if (stats.exchanges == 0 && stats.connections == 0)
            break;
        nap_ms(1);
    }
    assert_int_equal(stats.exchanges, 0);
    assert_int_equal(stats.connections, 0);
}

static void test_trickling_clients_are_cut(void **state)
{
    (void)state;
    struct ft_http_server *s = open_server((struct ft_http_server_config){.head_timeout_ms = 400,
                                                                          .idle_timeout_ms = 300,
                                                                          .stall_timeout_ms = 400},
                                           handler);
    int head = raw_connect(s), silent = raw_connect(s), body = raw_connect(s),
        idle = raw_connect(s);
    raw_send(head, "GET / HTTP/1.1\r\n");
    raw_send(body, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n");
    raw_send(idle, "GET /head HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_read(idle, "GET|");
    for (int i = 0; i < 40; i++) { /* a byte now and then helps nobody */
        raw_send(head, "X");
        raw_send(body, "X");
        nap_ms(50);
    }
    assert_non_null(strstr(raw_read(head, NULL), "HTTP/1.1 408"));
    assert_non_null(strstr(raw_read(body, NULL), "HTTP/1.1 408"));
    assert_true(raw_closed(silent));
    assert_true(raw_closed(idle));
    close(head), close(silent), close(body), close(idle);
    ft_http_server_close(s);
}

/* Is fd answered within ms? */
static bool is_answered(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) > 0 && strstr(raw_read(fd, "GET|"), "200 OK") != NULL;
}

static void test_connections_are_counted(void **state)
{
    (void)state;
    static const char ask[] = "GET /head HTTP/1.1\r\nHost: h\r\n\r\n";
    for (int per_ip = 0; per_ip < 2; per_ip++) {
        struct ft_http_server *s =
            open_server(per_ip ? (struct ft_http_server_config){.max_per_ip = 2}
                               : (struct ft_http_server_config){.max_connections = 2},
                        handler);
        int fd[3];
        for (int i = 0; i < 3; i++) {
            fd[i] = raw_connect(s);
            raw_send(fd[i], ask);
        }
        assert_true(is_answered(fd[0], FAR_MS) && is_answered(fd[1], FAR_MS));
        if (per_ip)
            assert_true(raw_closed(fd[2]));
        else
            assert_false(is_answered(fd[2], 200)); /* it waits */
        close(fd[0]);
        assert_true(per_ip || is_answered(fd[2], FAR_MS));
        close(fd[1]), close(fd[2]);
        ft_http_server_close(s);
    }
}

static void test_bad_configurations_are_refused(void **state)
{
    (void)state;
    struct ft_http_server *s = NULL;
    struct ft_err err;
    static const char *const bad[] = {"",           "nonsense",    "127.0.0.1",
                                      "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999",
                                      "::1:80",     "unix:",       "nosuchhost.invalid:1"};
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_http_server_config c = {.listen = bad[i], .handler = handler};
        assert_int_equal(ft_http_server_open(&c, &s, &err), FT_EINVAL);
        assert_non_null(strstr(err.msg, "listen"));
    }
    struct ft_http_server_config c = {.listen = "unix:/nonexistent/s", .handler = handler};
    assert_int_equal(ft_http_server_open(&c, &s, &err), FT_ENOTFOUND);
    s = open_server((struct ft_http_server_config){0}, handler);
    char again[64];
    snprintf(again, sizeof again, "%s", ft_http_server_address(s));
    c.listen = again;
    struct ft_http_server *second;
    assert_int_equal(ft_http_server_open(&c, &second, &err), FT_EIO);
    ft_http_server_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connections_are_kept),
        cmocka_unit_test(test_an_answer_without_its_body_read_keeps_the_connection),
        cmocka_unit_test(test_empty_bodies_and_heads_only),
        cmocka_unit_test(test_a_client_that_stops_sending_is_let_go),
        cmocka_unit_test(test_nobody_waits_for_a_lost_request),
        cmocka_unit_test(test_expecting_clients_are_told),
        cmocka_unit_test(test_bodies_too_long_are_refused_and_the_answer_arrives),
        cmocka_unit_test(test_malformed_requests_get_4xx_or_nothing),
        cmocka_unit_test(test_heads_that_are_not_what_they_seem_are_refused),
        cmocka_unit_test(test_raw_targets),
        cmocka_unit_test(test_heads_as_object_clients_send_them),
        cmocka_unit_test(test_heads_too_long_are_refused),
        cmocka_unit_test(test_many_parameters_are_not_too_many),
        cmocka_unit_test(test_every_exchange_is_closed_once),
        cmocka_unit_test(test_trickling_clients_are_cut),
        cmocka_unit_test(test_connections_are_counted),
        cmocka_unit_test(test_bad_configurations_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
