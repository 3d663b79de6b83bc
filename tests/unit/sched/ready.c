/* Readiness: to a pipe, to systemd, to nobody. */
#include "sched/ready.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "testing.h"

static struct ft_err err;

static void nobody_asked(void **state)
{
    (void)state;
    unsetenv("FEITIAN_READY_FD");
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(ft_ready_fd(), -1);
    assert_int_equal(ft_ready_tell(&err), 0);
}

static void the_pipe_gets_one_byte_and_is_closed(void **state)
{
    (void)state;
    int fds[2];
    char text[16], byte;
    assert_int_equal(pipe(fds), 0);
    snprintf(text, sizeof text, "%d", fds[1]);
    setenv("FEITIAN_READY_FD", text, 1);
    assert_int_equal(ft_ready_fd(), fds[1]);
    assert_int_equal(ft_ready_tell(&err), 0);
    assert_int_equal(ft_ready_tell(&err), 0);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    close(fds[0]);
}

static void what_is_taken_is_not_in_the_environment(void **state)
{
    (void)state;
    int fds[2];
    char text[16], byte;
    assert_int_equal(pipe(fds), 0);
    snprintf(text, sizeof text, "%d", fds[1]);
    setenv("FEITIAN_READY_FD", text, 1);
    ft_ready_take();
    assert_null(getenv("FEITIAN_READY_FD"));
    assert_int_equal(ft_ready_fd(), fds[1]);
    assert_int_equal(fcntl(fds[1], F_GETFD), FD_CLOEXEC);
    ft_ready_take(); /* forgets nothing */
    assert_int_equal(ft_ready_tell(&err), 0);
    assert_int_equal(ft_ready_fd(), -1);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(read(fds[0], &byte, 1), 0);
    close(fds[0]);
}

static void an_owner_that_is_gone_is_no_reason_to_die(void **state)
{
    (void)state;
    int fds[2];
    char text[16];
    assert_int_equal(pipe(fds), 0);
    snprintf(text, sizeof text, "%d", fds[1]);
    setenv("FEITIAN_READY_FD", text, 1);
    close(fds[0]);
    assert_int_equal(ft_ready_tell(&err), 0);
}

static void words_that_are_no_descriptor_are_ignored(void **state)
{
    (void)state;
    static const char *const BAD[] = {"", "x", "3x", "-1", "0", "2", "99999999999999999999"};
    for (size_t i = 0; i < FT_COUNT(BAD); i++) {
        setenv("FEITIAN_READY_FD", BAD[i], 1);
        assert_int_equal(ft_ready_fd(), -1);
    }
    unsetenv("FEITIAN_READY_FD");
}

static void systemd_is_told(const char *path, const char *name)
{
    char text[64] = "";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    memcpy(at.sun_path, path, n);
    if (path[0] == '@')
        at.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(ft_ready_tell(&err), 0);
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), 7);
    assert_string_equal(text, "READY=1");
    assert_int_equal(ft_ready_systemd("STOPPING=1", &err), 0);
    memset(text, 0, sizeof text);
    recv(fd, text, sizeof text - 1, 0);
    assert_string_equal(text, "STOPPING=1");
    close(fd);
    assert_int_not_equal(ft_ready_systemd("READY=1", &err), 0);
    unsetenv("NOTIFY_SOCKET");
}

static void systemd_is_told_by_path_and_by_abstract_name(void **state)
{
    (void)state;
    char path[64], name[64];
    snprintf(path, sizeof path, "/tmp/ft_notify_%d", (int)getpid());
    systemd_is_told(path, path);
    unlink(path);
    snprintf(name, sizeof name, "@ft_notify_%d", (int)getpid());
    systemd_is_told(name, name);
}

static void a_wrong_socket_is_an_error(void **state)
{
    (void)state;
    char longer[200];
    memset(longer, 'x', sizeof longer);
    longer[0] = '/';
    longer[sizeof longer - 1] = 0;
    setenv("NOTIFY_SOCKET", longer, 1);
    assert_int_equal(ft_ready_systemd("READY=1", &err), FT_EINVAL);
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_int_equal(ft_ready_systemd("READY=1", &err), FT_EINVAL);
    unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_asked),
        cmocka_unit_test(the_pipe_gets_one_byte_and_is_closed),
        cmocka_unit_test(what_is_taken_is_not_in_the_environment),
        cmocka_unit_test(an_owner_that_is_gone_is_no_reason_to_die),
        cmocka_unit_test(words_that_are_no_descriptor_are_ignored),
        cmocka_unit_test(systemd_is_told_by_path_and_by_abstract_name),
        cmocka_unit_test(a_wrong_socket_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
