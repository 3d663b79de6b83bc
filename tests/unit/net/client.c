/* The client against our server, and against sockets that die: over TCP, unix sockets and TLS. */
/* labels: threads */
#include <gnutls/x509.h>
#include <sys/stat.h>

#include "net/tls.h"
#include "net_testing.h"

static char folder[] = "/tmp/ft-net-XXXXXX";
static struct ft_http_client *client;
static struct ft_err err;

static void echo(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    (void)ctx;
    char about[200];
    snprintf(about, sizeof about, "%s %s %s: %s", x->method, x->path, x->peer,
             x->secure ? "secure" : "plain");
    struct ft_http_field f[] = {{"X-About", about}, {"Content-Type", "text/x"}};
    const char *a = ft_http_header(x, "X-A");
    if (a != NULL)
        ft_http_respond(x, 200, f, 2, a, strlen(a));
    else
        ft_http_respond(x, 200, f, 2, data, n);
}

static _Atomic int n_closed;
static struct ft_http_exchange *_Atomic kept;

static void on_close(void *ctx, struct ft_http_exchange *x, bool clean)
{
    (void)ctx;
    (void)x;
    (void)clean;
    atomic_fetch_add(&n_closed, 1);
}

static void handler(void *ctx, struct ft_http_exchange *x)
{
    (void)ctx;
    struct ft_http_field retry = {"Retry-After", "7"};
    struct ft_http_field to = {"Location", "/echo"}, round = {"Location", "/round"};
    if (strcmp(x->path, "/echo") == 0) {
        ft_http_body_collect(x, 64 << 20, echo, NULL);
    } else if (strcmp(x->path, "/busy") == 0) {
        ft_http_respond(x, 429, &retry, 1, "later", 5);
    } else if (strcmp(x->path, "/moved") == 0) {
        ft_http_respond(x, 302, &to, 1, "moved", 5);
    } else if (strcmp(x->path, "/round") == 0) {
        ft_http_respond(x, 302, &round, 1, "", 0);
    } else if (strcmp(x->path, "/cut") == 0) {
        ft_http_stream_begin(x, 200, NULL, NULL, 0);
        ft_http_stream_write(x, "half", 4); /* and no end: the server cuts it */
    } else {                                /* held open for the test */
        ft_http_on_close(x, on_close, NULL);
        atomic_store(&kept, ft_http_ref(x));
    }
}

/* A call whose events are counted. */
static struct seen {
    _Atomic int n_head, n_data, n_done, status;
    _Atomic long bytes;
    _Atomic bool take;
    int rc;
    struct ft_err err;
    char about[200];
} seen;

static void on_head(void *ctx, const struct ft_http_answer_head *head)
{
    struct seen *s = ctx;
    const char *about = ft_http_answer_header(head, "X-ABOUT");
    snprintf(s->about, sizeof s->about, "%s", about != NULL ? about : "");
    atomic_store(&s->status, head->status);
    atomic_fetch_add(&s->n_head, 1);
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct seen *s = ctx;
    (void)data;
    assert_int_equal(s->n_done, 0);
    atomic_fetch_add(&s->n_data, 1);
    if (!atomic_load(&s->take))
        return false;
    atomic_fetch_add(&s->bytes, (long)n);
    return true;
}

static void on_done(void *ctx, const struct ft_err *e)
{
    struct seen *s = ctx;
    s->rc = e != NULL ? (int)e->code : 0;
    if (e != NULL)
        s->err = *e;
    atomic_fetch_add(&s->n_done, 1);
}

static struct ft_http_call *start(struct ft_http_call_config config)
{
    memset(&seen, 0, sizeof seen);
    atomic_store(&seen.take, true);
    config.on_head = on_head;
    config.on_data = on_data;
    config.on_done = on_done;
    config.ctx = &seen;
    struct ft_http_call *call;
    if (ft_http_call_start(client, &config, &call, &err) != 0)
        fail_msg("%s", err.msg);
    return call;
}

static const char *url(struct ft_http_server *s, const char *path)
{
    static char text[200];
    snprintf(text, sizeof text, "http://%s%s", ft_http_server_address(s), path);
    return text;
}

static void await_kept(void)
{
    for (int i = 0; i < FAR_MS && atomic_load(&kept) == NULL; i++)
        nap_ms(1);
    assert_non_null(kept);
}

static void let_go(void)
{
    ft_http_unref(atomic_exchange(&kept, NULL));
}

static void test_whole_answers(void **state)
{
    struct ft_http_answer a;
    struct ft_http_call_config c = {.url = url(*state, "/echo?x=1"), .body = "hello", .n_body = 5};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ft_http_fetch(client, &c, 100, &a, &err), 0);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body.data, "hello");
        assert_string_equal(a.content_type, "text/x");
        assert_int_equal(a.retry_after_s, -1);
        ft_http_answer_fini(&a);
    }
    const char *header = "x-a: of mine";
    c = (struct ft_http_call_config){
        .url = url(*state, "/echo"), .headers = &header, .n_headers = 1};
    assert_int_equal(ft_http_fetch(client, &c, 100, &a, &err), 0);
    assert_string_equal(a.body.data, "of mine");
    ft_http_answer_fini(&a);
    assert_int_equal(ft_http_fetch(client, &c, 3, &a, &err), FT_ELIMIT);
    ft_http_answer_fini(&a);
    c = (struct ft_http_call_config){.url = url(*state, "/busy"), .method = "DELETE"};
    assert_int_equal(ft_http_fetch(client, &c, 100, &a, &err), 0);
    assert_int_equal(a.status, 429);
    assert_int_equal(a.retry_after_s, 7);
    ft_http_answer_fini(&a);
}

static void test_connections_are_used_again(void **state)
{
    struct ft_http_answer a;
    struct ft_http_call_config c = {.url = url(*state, "/echo"), .body = "x", .n_body = 1};
    struct ft_http_stats stats;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ft_http_fetch(client, &c, 100, &a, &err), 0);
        ft_http_answer_fini(&a);
    }
    ft_http_server_stats(*state, &stats);
    assert_true(stats.connections <= 2);
}

static void test_redirects_only_when_asked(void **state)
{
    struct ft_http_answer a;
    struct ft_http_call_config c = {.url = url(*state, "/moved")};
    assert_int_equal(ft_http_fetch(client, &c, 100, &a, &err), 0);
    assert_int_equal(a.status, 302);
    assert_string_equal(a.body.data, "moved");
    ft_http_answer_fini(&a);
    c.follow = true;
    assert_int_equal(ft_http_fetch(client, &c, 100, &a, &err), 0);
    assert_int_equal(a.status, 200);
    ft_http_answer_fini(&a);
    c.url = url(*state, "/round");
    assert_int_equal(ft_http_fetch(client, &c, 100, &a, &err), FT_ELIMIT);
    ft_http_call_unref(
        start((struct ft_http_call_config){.url = url(*state, "/moved"), .follow = true}));
    await_int(&seen.n_done, 1);
    assert_int_equal(seen.n_head, 1);
    assert_string_equal(seen.about, "GET /echo 127.0.0.1: plain");
}

static void test_bad_calls_are_refused_at_once(void **state)
{
    (void)state;
    static const char *const urls[] = {
        NULL, "", "nonsense", "file:///etc/passwd", "ftp://h/x", "http://h/\r\nX: y"};
    for (size_t i = 0; i < FT_COUNT(urls); i++) {
        struct ft_http_call_config c = {.url = urls[i]};
        assert_int_equal(ft_http_call_start(client, &c, NULL, &err), FT_EINVAL);
        assert_non_null(strstr(err.msg, "url"));
    }
    static const char *const headers[] = {"no colon", ": x", "A: b\r\nC: d", "A: b\n"};
    for (size_t i = 0; i < FT_COUNT(headers); i++) {
        struct ft_http_call_config c = {
            .url = "http://127.0.0.1/", .headers = &headers[i], .n_headers = 1};
        assert_int_equal(ft_http_call_start(client, &c, NULL, &err), FT_EINVAL);
        assert_non_null(strstr(err.msg, "headers"));
    }
    struct ft_http_call_config c = {.url = "http://127.0.0.1/", .method = "GET / HTTP/1.1"};
    assert_int_equal(ft_http_call_start(client, &c, NULL, &err), FT_EINVAL);
}

static void test_unix_sockets(void **state)
{
    (void)state;
    char where[100];
    snprintf(where, sizeof where, "unix:%s/sock", folder);
    struct ft_http_server *s =
        open_server((struct ft_http_server_config){.listen = where}, handler);
    assert_string_equal(ft_http_server_address(s), where);
    struct stat st;
    assert_int_equal(stat(where + 5, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    ft_http_call_unref(start((struct ft_http_call_config){
        .url = "http://worker/echo", .unix_socket = where + 5, .body = "b", .n_body = 1}));
    await_int(&seen.n_done, 1);
    assert_int_equal(seen.rc, 0);
    assert_string_equal(seen.about, "POST /echo unix: plain");
    /* a client that leaves is noticed here as well */
    int closed = atomic_load(&n_closed);
    struct ft_http_call *call =
        start((struct ft_http_call_config){.url = "http://worker/wait", .unix_socket = where + 5});
    await_kept();
    ft_http_call_cancel(call);
    ft_http_call_unref(call);
    await_int(&seen.n_done, 1);
    await_int(&n_closed, closed + 1);
    let_go();
    /* a second server does not take a socket that is in use, and takes a stale one */
    struct ft_http_server_config again = {.listen = where, .handler = handler};
    struct ft_http_server *s2;
    assert_int_equal(ft_http_server_open(&again, &s2, &err), FT_EIO);
    ft_http_server_close(s);
    assert_int_not_equal(access(where + 5, F_OK), 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, where + 5);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
    s = open_server((struct ft_http_server_config){.listen = where}, handler);
    ft_http_server_close(s);
    ft_http_call_unref(
        start((struct ft_http_call_config){.url = "http://worker/", .unix_socket = where + 5}));
    await_int(&seen.n_done, 1);
    assert_int_equal(seen.rc, FT_EIO);
}

static void test_cancelling(void **state)
{
    int closed = atomic_load(&n_closed);
    struct ft_http_call *call = start((struct ft_http_call_config){.url = url(*state, "/wait")});
    await_kept();
    assert_int_equal(seen.n_done, 0);
    ft_http_call_cancel(call);
    await_int(&seen.n_done, 1);
    assert_int_equal(seen.rc, FT_ECANCELED);
    ft_http_call_cancel(call);
    ft_http_call_pause(call, true);
    ft_http_call_unref(call);
    await_int(&n_closed, closed + 1); /* the server knows soon */
    let_go();
    call = start((struct ft_http_call_config){.url = url(*state, "/wait")});
    ft_http_call_cancel(call); /* perhaps before it began */
    await_int(&seen.n_done, 1);
    ft_http_call_unref(call);
    nap_ms(50);
    if (kept != NULL)
        let_go();
}

static void test_streams_can_be_paused(void **state)
{
    struct ft_http_call *call = start((struct ft_http_call_config){.url = url(*state, "/wait")});
    await_kept();
    ft_http_stream_begin(kept, 200, NULL, NULL, 0);
    await_int(&seen.n_head, 1);
    assert_int_equal(seen.status, 200);
    ft_http_stream_write(kept, "abc", 3);
    for (int i = 0; i < FAR_MS && atomic_load(&seen.bytes) < 3; i++)
        nap_ms(1);
    ft_http_call_pause(call, true);
    nap_ms(50);
    ft_http_stream_write(kept, "defg", 4);
    nap_ms(100);
    assert_int_equal(seen.bytes, 3);
    ft_http_call_pause(call, false);
    for (int i = 0; i < FAR_MS && atomic_load(&seen.bytes) < 7; i++)
        nap_ms(1);
    assert_int_equal(seen.bytes, 7);
    atomic_store(&seen.take, false); /* on_data itself says not now */
    int n = atomic_load(&seen.n_data);
    ft_http_stream_write(kept, "hi", 2);
    await_int(&seen.n_data, n + 1);
    ft_http_stream_end(kept);
    let_go();
    nap_ms(50);
    assert_int_equal(seen.n_done, 0);
    atomic_store(&seen.take, true);
    ft_http_call_pause(call, false);
    await_int(&seen.n_done, 1);
    assert_int_equal(seen.rc, 0);
    assert_int_equal(seen.bytes, 9);
    ft_http_call_unref(call);
}

static void test_answers_cut_short_are_errors(void **state)
{
    ft_http_call_unref(start((struct ft_http_call_config){.url = url(*state, "/cut")}));
    await_int(&seen.n_done, 1);
    assert_int_equal(seen.rc, FT_EIO);
    assert_int_equal(seen.bytes, 4);
    /* a listener that nobody serves, one that answers rubbish, and one that closes at once */
    int l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    assert_int_equal(bind(l, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(l, (struct sockaddr *)&a, &len), 0);
    char there[64];
    snprintf(there, sizeof there, "http://127.0.0.1:%d/", ntohs(a.sin_port));
    ft_http_call_unref(start((struct ft_http_call_config){.url = there}));
    await_int(&seen.n_done, 1);
    assert_int_equal(seen.rc, FT_EIO);
    assert_int_equal(listen(l, 5), 0);
    static const char *const say[] = {"", "rubbish\r\n\r\n",
                                      "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"};
    for (size_t i = 0; i < FT_COUNT(say); i++) {
        ft_http_call_unref(start((struct ft_http_call_config){.url = there}));
        int fd = accept(l, NULL, NULL);
        raw_read(fd, "\r\n\r\n");
        raw_send(fd, say[i]);
        close(fd);
        await_int(&seen.n_done, 1);
        assert_true(seen.rc < 0);
    }
    ft_http_call_unref(start((struct ft_http_call_config){.url = there, .idle_timeout_ms = 300}));
    await_int(&seen.n_done, 1); /* nobody accepts it */
    assert_int_equal(seen.rc, FT_ELIMIT);
    ft_http_call_unref(start((struct ft_http_call_config){.url = there, .total_timeout_ms = 200}));
    await_int(&seen.n_done, 1);
    assert_int_equal(seen.rc, FT_ELIMIT);
    close(l);
}

static size_t reader(void *ctx, char *data, size_t n)
{
    (void)ctx;
    static _Atomic int step;
    int now = atomic_fetch_add(&step, 1) % 4;
    if (now == 1)
        return FT_HTTP_READ_PAUSE;
    if (now == 3)
        return 0;
    memcpy(data, "piece", 5);
    return n < 5 ? FT_HTTP_READ_ABORT : 5;
}

static void test_bodies_in_pieces(void **state)
{
    for (int known = 0; known < 2; known++) {
        struct ft_http_call *call = start((struct ft_http_call_config){
            .url = url(*state, "/echo"), .on_read = reader, .body_bytes = known ? 10 : -1});
        nap_ms(100);
        assert_int_equal(seen.n_done, 0);
        ft_http_call_resume_read(call);
        await_int(&seen.n_done, 1);
        assert_int_equal(seen.rc, 0);
        assert_int_equal(seen.bytes, 10);
        ft_http_call_unref(call);
        if (known)
            break;
    }
}

static void test_large_bodies_both_ways(void **state)
{
    size_t n = 8 << 20;
    char *big = malloc(n);
    memset(big, 'b', n);
    struct ft_http_answer a;
    struct ft_http_call_config c = {
        .url = url(*state, "/echo"), .body = big, .n_body = n, .large = true};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ft_http_fetch(client, &c, n, &a, &err), 0);
        assert_int_equal(a.body.len, n);
        assert_memory_equal(a.body.data, big, n);
        ft_http_answer_fini(&a);
        c.large = false;
    }
    free(big);
}

static long n_streamed;

static bool take_streamed(void *ctx, const char *data, size_t n)
{
    (void)data;
    n_streamed += (long)n;
    return n_streamed < *(long *)ctx;
}

static bool at_once(void *ctx)
{
    (void)ctx;
    return true;
}

static void test_fetching_in_pieces(void **state)
{
    struct ft_http_answer a;
    long enough = 1000;
    struct ft_http_call_config c = {.url = url(*state, "/echo"), .body = "12345678", .n_body = 8};
    assert_int_equal(ft_http_fetch_stream(client, &c, take_streamed, NULL, &enough, &a, &err), 0);
    assert_int_equal(n_streamed, 8);
    ft_http_answer_fini(&a);
    enough = 9;
    assert_int_equal(ft_http_fetch_stream(client, &c, take_streamed, NULL, &enough, &a, &err),
                     FT_ECANCELED);
    c.url = url(*state, "/busy");
    assert_int_equal(ft_http_fetch_stream(client, &c, take_streamed, NULL, &enough, &a, &err), 0);
    assert_int_equal(a.status, 429);
    assert_string_equal(a.body.data, "later");
    ft_http_answer_fini(&a);
    c.url = url(*state, "/wait");
    assert_int_equal(ft_http_fetch_stream(client, &c, take_streamed, at_once, &enough, &a, &err),
                     FT_ECANCELED);
    nap_ms(50);
    if (kept != NULL)
        let_go();
}

/* Names that a certificate speaks for. */
static int names_in(const char *path)
{
    gnutls_x509_crt_t crt;
    gnutls_datum_t pem;
    unsigned char name[256];
    int n = 0;
    assert_int_equal(gnutls_load_file(path, &pem), 0);
    assert_int_equal(gnutls_x509_crt_init(&crt), 0);
    assert_int_equal(gnutls_x509_crt_import(crt, &pem, GNUTLS_X509_FMT_PEM), 0);
    for (size_t size = sizeof name;
         gnutls_x509_crt_get_subject_alt_name(crt, (unsigned)n, name, &size, NULL) >= 0; n++)
        size = sizeof name;
    gnutls_x509_crt_deinit(crt);
    gnutls_free(pem.data);
    return n;
}

static void test_tls(void **state)
{
    (void)state;
    char cert[100], key[100];
    snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    static const char *const names[] = {"localhost", "127.0.0.1", "::1", "127.0.0.1", "localhost"};
    static const char *const bad[] = {"not a name"};
    assert_int_equal(ft_tls_self_signed(bad, 1, 30, cert, key, &err), FT_EINVAL);
    assert_int_equal(ft_tls_self_signed(names, 0, 30, cert, key, &err), FT_EINVAL);
    assert_int_equal(ft_tls_self_signed(names, 5, 30, cert, key, &err), 0);
    assert_int_equal(names_in(cert), 3); /* each once */
    struct stat st;
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct ft_http_server *s =
        open_server((struct ft_http_server_config){.tls_cert = cert, .tls_key = key}, handler);
    char there[100];
    snprintf(there, sizeof there, "https://%s/echo", ft_http_server_address(s));
    ft_http_call_unref(start(
        (struct ft_http_call_config){.url = there, .ca_file = cert, .body = "b", .n_body = 1}));
    await_int(&seen.n_done, 1);
    if (seen.rc != 0)
        fail_msg("%s", seen.err.msg);
    assert_string_equal(seen.about, "POST /echo 127.0.0.1: secure");
    ft_http_call_unref(
        start((struct ft_http_call_config){.url = there})); /* nobody vouches for it */
    await_int(&seen.n_done, 1);
    assert_int_equal(seen.rc, FT_EIO);
    /* streams and leaving work as without */
    int closed = atomic_load(&n_closed);
    snprintf(there, sizeof there, "https://%s/wait", ft_http_server_address(s));
    struct ft_http_call *call = start((struct ft_http_call_config){.url = there, .insecure = true});
    await_kept();
    ft_http_stream_begin(kept, 200, NULL, NULL, 0);
    ft_http_stream_write(kept, "abc", 3);
    await_int(&seen.n_data, 1);
    ft_http_call_cancel(call);
    ft_http_call_unref(call);
    await_int(&seen.n_done, 1);
    await_int(&n_closed, closed + 1);
    let_go();
    int fd = raw_connect(s); /* one who speaks without it */
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(raw_closed(fd));
    close(fd);
    ft_http_server_close(s);
    struct ft_http_server_config c = {
        .listen = "127.0.0.1:0", .tls_cert = key, .tls_key = cert, .handler = handler};
    assert_int_equal(ft_http_server_open(&c, &s, &err), FT_EINVAL);
}

static void test_closing_ends_what_runs(void **state)
{
    struct ft_http_client *keep = client;
    assert_int_equal(ft_http_client_open(&client, &err), 0);
    struct ft_http_call *call = start((struct ft_http_call_config){.url = url(*state, "/wait")});
    await_kept();
    ft_http_client_close(client);
    assert_int_equal(seen.n_done, 1);
    assert_int_equal(seen.rc, FT_ECANCELED);
    ft_http_call_cancel(call);
    ft_http_call_unref(call);
    client = keep;
    let_go();
}

#define MANY 300
static _Atomic int n_many;

static void on_many(void *ctx, const struct ft_err *e)
{
    (void)ctx;
    assert_null(e);
    atomic_fetch_add(&n_many, 1);
}

static void test_many_at_once(void **state)
{
    struct ft_http_call_config c = {
        .url = url(*state, "/echo"), .body = "x", .n_body = 1, .on_done = on_many};
    for (int i = 0; i < MANY; i++)
        assert_int_equal(ft_http_call_start(client, &c, NULL, &err), 0);
    await_int(&n_many, MANY);
}

static int setup(void **state)
{
    assert_non_null(mkdtemp(folder));
    assert_int_equal(ft_http_client_open(&client, &err), 0);
    *state = open_server((struct ft_http_server_config){0}, handler);
    return 0;
}

static int teardown(void **state)
{
    ft_http_client_close(client);
    ft_http_server_close(*state);
    char path[100];
    static const char *const files[] = {"cert.pem", "key.pem", "sock", ""};
    for (size_t i = 0; i < FT_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        remove(path);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_answers),
        cmocka_unit_test(test_connections_are_used_again),
        cmocka_unit_test(test_redirects_only_when_asked),
        cmocka_unit_test(test_bad_calls_are_refused_at_once),
        cmocka_unit_test(test_unix_sockets),
        cmocka_unit_test(test_cancelling),
        cmocka_unit_test(test_streams_can_be_paused),
        cmocka_unit_test(test_answers_cut_short_are_errors),
        cmocka_unit_test(test_bodies_in_pieces),
        cmocka_unit_test(test_large_bodies_both_ways),
        cmocka_unit_test(test_fetching_in_pieces),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_closing_ends_what_runs),
        cmocka_unit_test(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
