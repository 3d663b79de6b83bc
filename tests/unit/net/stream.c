/* Streams in both directions: back-pressure, clients that leave, drain, cuts. */
/* labels: threads */
#include <poll.h>

#include "net_testing.h"

static struct state {
    struct ft_http_exchange *_Atomic x; /* the stream in work, with a reference */
    _Atomic int n_open, n_closed, n_clean, n_drained;
    _Atomic long n_in, n_end, n_whole;
    _Atomic bool pause_in;
} st;

static void on_close(void *ctx, struct ft_http_exchange *x, bool clean)
{
    (void)ctx;
    (void)x;
    atomic_fetch_add(&st.n_clean, clean);
    atomic_fetch_add(&st.n_closed, 1);
}

static void on_drained(void *ctx, struct ft_http_exchange *x)
{
    (void)ctx;
    assert_false(ft_http_stream_is_full(x));
    atomic_fetch_add(&st.n_drained, 1);
}

static size_t on_data(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    (void)ctx;
    (void)x;
    size_t take = atomic_load(&st.pause_in) ? n / 2 : n;
    for (size_t i = 0; i < take; i++)
        assert_int_equal(data[i], 'u');
    atomic_fetch_add(&st.n_in, (long)take);
    return take;
}

static void on_end(void *ctx, struct ft_http_exchange *x, bool whole)
{
    (void)ctx;
    atomic_fetch_add(&st.n_end, 1);
    atomic_fetch_add(&st.n_whole, whole);
    if (whole)
        ft_http_respond(x, 200, NULL, 0, "taken", 5);
}

static void handler(void *ctx, struct ft_http_exchange *x)
{
    (void)ctx;
    ft_http_on_close(x, on_close, NULL);
    if (strcmp(x->path, "/up") == 0 || strcmp(x->path, "/up-some") == 0) {
        ft_http_body_stream(x, x->path[3] == '\0' ? 0 : 1000, on_data, on_end, NULL);
        if (x->path[3] != '\0')
            return;
    } else if (strcmp(x->path, "/lost") == 0) {
        ft_http_stream_begin(x, 200, NULL, NULL, 0);
        ft_http_stream_write(x, "some", 4);
        return;
    } else {
        ft_http_stream_on_drained(x, on_drained, NULL);
    }
    ft_http_unref(atomic_exchange(&st.x, ft_http_ref(x)));
    atomic_fetch_add(&st.n_open, 1);
}

static int setup(void **state)
{
    memset(&st, 0, sizeof st);
    *state = open_server((struct ft_http_server_config){.stall_timeout_ms = 600}, handler);
    return 0;
}

static int teardown(void **state)
{
    ft_http_unref(atomic_exchange(&st.x, NULL));
    ft_http_server_close(*state);
    return 0;
}

static int open_stream(struct ft_http_server *s, const char *head)
{
    int fd = raw_connect(s), before = atomic_load(&st.n_open);
    raw_send(fd, head != NULL ? head : "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    await_int(&st.n_open, before + 1);
    return fd;
}

static void test_pieces_arrive_as_they_are_written(void **state)
{
    int fd = open_stream(*state, NULL);
    assert_int_equal(ft_http_stream_write(st.x, "early", 5), FT_EINVAL);
    struct ft_http_field f = {"X-A", "b"};
    assert_int_equal(ft_http_stream_begin(st.x, 200, "text/event-stream", &f, 1), 0);
    int64_t t = ft_clock_now_ns();
    const char *head = raw_read(fd, "\r\n\r\n"); /* the head does not wait for a body */
    assert_non_null(strstr(head, "Content-Type: text/event-stream\r\n"));
    assert_non_null(strstr(head, "X-A: b\r\n"));
    assert_true(ft_clock_now_ns() - t < 3000000000);
    for (int i = 0; i < 5; i++) {
        char piece[32];
        int n = sprintf(piece, "piece %d;", i);
        assert_int_equal(ft_http_stream_write(st.x, piece, (size_t)n), 0);
        assert_non_null(strstr(raw_read(fd, ";"), piece));
    }
    assert_int_equal(ft_http_stream_end(st.x), 0);
    assert_int_equal(ft_http_stream_end(st.x) < 0, 1);
    assert_non_null(strstr(raw_read(fd, "0\r\n\r\n"), "0\r\n\r\n"));
    await_int(&st.n_closed, 1);
    assert_int_equal(st.n_clean, 1);
    assert_int_equal(ft_http_stream_write(st.x, "late", 4), FT_ECANCELED);
    /* and the connection is good for another request */
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    await_int(&st.n_open, 2);
    close(fd);
    await_int(&st.n_closed, 2);
}

static void test_old_clients_get_streams_that_end_with_the_connection(void **state)
{
    int fd = open_stream(*state, "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(ft_http_stream_begin(st.x, 200, NULL, NULL, 0), 0);
    ft_http_stream_write(st.x, "body", 4);
    ft_http_stream_end(st.x);
    const char *a = raw_read(fd, NULL);
    assert_null(strstr(a, "chunked"));
    assert_string_equal(a + strlen(a) - 4, "body");
    close(fd);
}

static void test_clients_that_leave_are_noticed_in_silence(void **state)
{
    int64_t t = ft_clock_now_ns();
    int fd = open_stream(*state, NULL); /* not answered yet */
    close(fd);
    await_int(&st.n_closed, 1);
    assert_int_equal(ft_http_respond(st.x, 200, NULL, 0, "", 0), FT_ECANCELED);
    fd = open_stream(*state, NULL); /* a stream in which nothing flows */
    ft_http_stream_begin(st.x, 200, NULL, NULL, 0);
    ft_http_stream_write(st.x, "x", 1);
    raw_read(fd, "x");
    nap_ms(20);
    close(fd);
    await_int(&st.n_closed, 2);
    assert_int_equal(ft_http_stream_write(st.x, "x", 1), FT_ECANCELED);
    assert_int_equal(st.n_clean, 0);
    assert_true(ft_clock_now_ns() - t < 5000000000);
}

static void test_slow_readers_hold_the_writer_back(void **state)
{
    int fd = raw_connect(*state), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    await_int(&st.n_open, 1);
    ft_http_stream_begin(st.x, 200, NULL, NULL, 0);
    char piece[8192];
    memset(piece, 'p', sizeof piece);
    long written = 0;
    int rc = 0;
    bool full = false; /* for good, when the system takes no more */
    while (!full && written < 64 << 20) {
        rc = ft_http_stream_write(st.x, piece, sizeof piece);
        written += (long)sizeof piece;
        full = rc == FT_EBUSY && ft_http_stream_is_full(st.x);
    }
    assert_int_equal(rc, FT_EBUSY);
    assert_true(full);
    ft_http_stream_end(st.x);
    long got = 0;
    char buf[65536];
    ssize_t n;
    while ((n = recv(fd, buf, sizeof buf, 0)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            got += buf[i] == 'p'; /* neither the head nor the chunks' sizes have one */
        if (n >= 5 && memcmp(buf + n - 5, "0\r\n\r\n", 5) == 0)
            break;
    }
    await_int(&st.n_drained, 1);
    assert_int_equal(got, written);
    await_int(&st.n_closed, 1);
    assert_int_equal(st.n_clean, 1);
    close(fd);
}

static void test_readers_that_stop_are_cut(void **state)
{
    int fd = raw_connect(*state), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    await_int(&st.n_open, 1);
    ft_http_stream_begin(st.x, 200, NULL, NULL, 0);
    char piece[8192] = {0};
    int64_t stop = ft_clock_now_ns() + FAR_MS * 1000000ll;
    int rc = 0; /* the system takes some megabytes, then nothing moves, then stall_timeout_ms */
    while (rc != FT_ECANCELED && ft_clock_now_ns() < stop) {
        if (ft_http_stream_is_full(st.x))
            nap_ms(10);
        else
            rc = ft_http_stream_write(st.x, piece, sizeof piece);
        rc = atomic_load(&st.n_closed) != 0 ? FT_ECANCELED : rc;
    }
    assert_int_equal(st.n_closed, 1);
    assert_int_equal(ft_http_stream_write(st.x, "x", 1), FT_ECANCELED);
    close(fd);
}

static void test_writers_that_do_not_heed_are_cut(void **state)
{
    int fd = open_stream(*state, NULL);
    ft_http_stream_begin(st.x, 200, NULL, NULL, 0);
    char *much = calloc(1, FT_HTTP_STREAM_MAX + 1);
    assert_int_equal(ft_http_stream_write(st.x, much, FT_HTTP_STREAM_MAX + 1), FT_ELIMIT);
    assert_int_equal(ft_http_stream_write(st.x, much, 1), FT_ECANCELED);
    free(much);
    await_int(&st.n_closed, 1);
    assert_int_equal(st.n_clean, 0);
    close(fd);
}

static void test_cut_streams_look_cut(void **state)
{
    for (int i = 0; i < 2; i++) {
        int fd = i == 0 ? open_stream(*state, NULL) : raw_connect(*state);
        if (i == 0) {
            ft_http_stream_begin(st.x, 200, NULL, NULL, 0);
            ft_http_stream_write(st.x, "some", 4);
            raw_read(fd, "some");
            ft_http_abort(st.x);
        } else { /* the handler let go of it without an end */
            raw_send(fd, "GET /lost HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        const char *a = raw_read(fd, NULL);
        assert_null(strstr(a, "0\r\n\r\n"));
        await_int(&st.n_closed, i + 1);
        assert_int_equal(st.n_clean, 0);
        close(fd);
    }
}

static void test_uploads_in_pieces_can_be_paused(void **state)
{
    int fd = raw_connect(*state);
    atomic_store(&st.pause_in, true);
    raw_send(fd, "POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n");
    await_int(&st.n_open, 1);
    char *data = malloc(300000);
    memset(data, 'u', 300000);
    raw_send_n(fd, data, 100000);
    nap_ms(700); /* longer than stall_timeout_ms: it is us who hold it up */
    assert_true(atomic_load(&st.n_in) < 100000);
    atomic_store(&st.pause_in, false);
    ft_http_body_resume(st.x);
    raw_send_n(fd, data, 200000);
    assert_non_null(strstr(raw_read(fd, "taken"), "200 OK"));
    assert_int_equal(st.n_in, 300000);
    assert_int_equal(st.n_whole, 1);
    /* one that breaks off */
    raw_send(fd, "POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\nuuu");
    nap_ms(20);
    close(fd);
    await_int(&st.n_closed, 2);
    assert_int_equal(st.n_end, 2);
    assert_int_equal(st.n_whole, 1);
    /* and ones that are too long, told before and not */
    fd = raw_connect(*state);
    raw_send(fd, "POST /up-some HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3e8\r\n");
    raw_send_n(fd, data, 1000);
    raw_send(fd, "\r\n1\r\nu\r\n0\r\n\r\n");
    assert_non_null(strstr(raw_read(fd, NULL), "413"));
    close(fd);
    fd = raw_connect(*state);
    raw_send(fd, "POST /up-some HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n");
    raw_send_n(fd, data, 1001);
    assert_non_null(strstr(raw_read(fd, "too long"), "413"));
    close(fd);
    await_int(&st.n_closed, 4);
    assert_int_equal(st.n_end, 4);
    assert_int_equal(st.n_whole, 1);
    free(data);
}

static void *end_later(void *arg)
{
    nap_ms(100);
    ft_http_stream_write(st.x, "last words", 10);
    ft_http_stream_end(st.x);
    return arg;
}

static void test_drain_lets_streams_finish(void **state)
{
    struct ft_http_server *s = *state;
    int idle = raw_connect(s), fd = open_stream(s, NULL);
    ft_http_stream_begin(st.x, 200, NULL, NULL, 0);
    assert_int_equal(ft_http_server_drain(s, 50), FT_ELIMIT);
    pthread_t t;
    pthread_create(&t, NULL, end_later, NULL);
    assert_int_equal(ft_http_server_drain(s, FAR_MS), 0);
    pthread_join(t, NULL);
    assert_non_null(strstr(raw_read(fd, "0\r\n\r\n"), "last words"));
    assert_true(raw_closed(idle));
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)ft_http_server_port(s)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int late = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_not_equal(connect(late, (struct sockaddr *)&a, sizeof a), 0);
    close(idle), close(fd), close(late);
}

static void test_exchanges_outlive_the_server(void **state)
{
    (void)state;
    struct ft_http_server *s = open_server((struct ft_http_server_config){.n_threads = 2}, handler);
    int waiting = open_stream(s, NULL);
    struct ft_http_exchange *first = ft_http_ref(st.x);
    int stream = open_stream(s, NULL);
    ft_http_stream_begin(st.x, 200, NULL, NULL, 0);
    ft_http_server_close(s);
    assert_int_equal(st.n_closed, 2);
    assert_int_equal(ft_http_respond(first, 200, NULL, 0, "", 0), FT_ECANCELED);
    assert_int_equal(ft_http_stream_write(st.x, "x", 1), FT_ECANCELED);
    assert_string_equal(first->path, "/");
    ft_http_unref(first);
    close(waiting), close(stream);
}

#define MANY 200

static void test_many_come_and_go(void **state)
{
    int fds[MANY];
    for (int i = 0; i < MANY; i++) {
        fds[i] = open_stream(*state, NULL);
        ft_http_stream_begin(st.x, 200, NULL, NULL, 0);
        ft_http_stream_write(st.x, "x", 1);
        if (i % 2 == 0)
            ft_http_stream_end(st.x);
        ft_http_unref(atomic_exchange(&st.x, NULL)); /* half of them are cut by this */
        if (i % 3 == 0)
            close(fds[i]);
    }
    await_int(&st.n_closed, MANY);
    for (int i = 0; i < MANY; i++)
        if (i % 3 != 0)
            close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pieces_arrive_as_they_are_written, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_clients_get_streams_that_end_with_the_connection,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_clients_that_leave_are_noticed_in_silence, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_slow_readers_hold_the_writer_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_readers_that_stop_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writers_that_do_not_heed_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_streams_look_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_uploads_in_pieces_can_be_paused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drain_lets_streams_finish, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exchanges_outlive_the_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_come_and_go, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
