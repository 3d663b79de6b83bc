/* labels: threads */
/* The gateway's end while something is still asked for: a whole one in this process, with a control
 * that does not answer. */
#include "testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "blob/mem/mem.h"
#include "gateway/gateway.h"
#include "net/server.h"

#define WAIT_NS INT64_C(20000000000)
#define STEP_US 1000
#define FEED_US 20000 /* instead of a long poll */

static char home[] = "/tmp/ft_ending_XXXXXX", front[96], control[96];
static atomic_int end;
static _Atomic int asked; /* for figures, which it keeps to itself */
static struct ft_http_exchange *held;

/* ---- a control that tells the feed, and no more ---- */

static void answer(struct ft_http_exchange *x, const char *text)
{
    ft_http_respond(x, 200, NULL, 0, text, strlen(text));
}

static void control_handle(void *ctx, struct ft_http_exchange *x)
{
    (void)ctx;
    if (strcmp(x->path, "/internal/metrics") == 0) {
        held = ft_http_ref(x);
        atomic_fetch_add(&asked, 1);
    } else if (strcmp(x->path, "/internal/feed") == 0) {
        usleep(FEED_US);
        answer(x, "{\"store\":\"s\"}\n");
    } else {
        answer(x, "");
    }
}

/* ---- the gateway ---- */

static int open_blob(void *ctx, struct ft_blob **ret, struct ft_err *err)
{
    (void)ctx;
    return ft_blob_mem_open(0, ret, err);
}

static void *gateway(void *arg)
{
    const struct ft_gateway_options o = {.home = home,
                                         .program = "/bin/false",
                                         .listen = front,
                                         .drain_ms = 1,
                                         .end = &end,
                                         .open_blob = open_blob,
                                         .storage = "memory"};
    struct ft_err *err = arg;
    return ft_gateway_run(&o, err) == 0 ? arg : NULL;
}

/* Connects as soon as there is somebody, and says it. */
static int say(const char *text)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, front + strlen("unix:"));
    int64_t until = ft_clock_now_ns() + WAIT_NS;
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) {
            assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
            return fd;
        }
        close(fd);
        assert_true(ft_clock_now_ns() < until);
        usleep(STEP_US);
    }
}

static void figures_that_are_on_their_way_do_not_outlive_it(void **state)
{
    struct ft_http_server *s = NULL;
    struct ft_err err = {.msg = ""};
    pthread_t thread;
    void *good = NULL;
    (void)state;
    const struct ft_http_server_config c = {.listen = control, .handler = control_handle};
    assert_int_equal(ft_http_server_open(&c, &s, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, gateway, &err), 0);
    int fd = say("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    int64_t until = ft_clock_now_ns() + WAIT_NS;
    while (atomic_load(&asked) == 0) {
        assert_true(ft_clock_now_ns() < until);
        usleep(STEP_US);
    }
    atomic_store(&end,
                 1); /* what control was asked is given up, and goes on aside without its answer */
    pthread_join(thread, &good);
    assert_non_null(good);
    close(fd);
    ft_http_unref(held);
    ft_http_server_close(s);
}

static int set_up(void **state)
{
    char dir[64];
    (void)state;
    if (mkdtemp(home) == NULL)
        return -1;
    snprintf(dir, sizeof dir, "%s/run", home);
    snprintf(front, sizeof front, "unix:%s/front.sock", home);
    snprintf(control, sizeof control, "unix:%s/run/control.sock", home);
    return mkdir(dir, 0700);
}

static int tear_down(void **state)
{
    char rm[64];
    (void)state;
    snprintf(rm, sizeof rm, "rm -r %s", home);
    return system(rm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(figures_that_are_on_their_way_do_not_outlive_it, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
