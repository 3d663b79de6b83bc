/* labels: threads */
/* The thread that brings files to the disk. */
#include "ledger/syncer.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "testing.h"

static atomic_int done, failed;

static void on_synced(void *ctx, const struct ft_err *err)
{
    (void)ctx;
    atomic_fetch_add(err == NULL ? &done : &failed, 1);
}

static int file(void)
{
    char path[] = "/tmp/ft-syncer-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static void test_every_file_asked_for_is_synced_once_or_more(void **state)
{
    (void)state;
    struct ft_syncer s;
    struct ft_err err;
    atomic_store(&done, 0);
    ft_syncer_init(&s, on_synced, NULL);
    for (int i = 0; i < FT_SYNCER_FILES_MAX + 3;
         i++) { /* not started yet: the last are done here */
        int fd = file();
        ft_syncer_ask(&s, fd);
        close(fd);
    }
    assert_int_equal(atomic_load(&done), 3);
    assert_int_equal(ft_syncer_start(&s, &err), 0);
    ft_syncer_fini(&s);
    assert_int_equal(atomic_load(&done), FT_SYNCER_FILES_MAX + 3);
}

static void test_a_file_that_waits_is_not_asked_for_twice(void **state)
{
    (void)state;
    struct ft_syncer s;
    atomic_store(&done, 0);
    ft_syncer_init(&s, on_synced, NULL);
    int fd = file();
    for (int i = 0; i < 5; i++)
        ft_syncer_ask(&s, fd);
    ft_syncer_ask(&s, -1);
    close(fd);
    ft_syncer_fini(&s);
    assert_int_equal(atomic_load(&done), 1);
}

static void test_a_failure_is_told(void **state)
{
    (void)state;
    struct ft_syncer s;
    int fds[2];
    atomic_store(&failed, 0);
    assert_int_equal(pipe(fds), 0);
    ft_syncer_init(&s, on_synced, NULL);
    ft_syncer_ask(&s, fds[1]); /* a pipe cannot be synced */
    ft_syncer_fini(&s);
    assert_int_equal(atomic_load(&failed), 1);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_file_asked_for_is_synced_once_or_more),
        cmocka_unit_test(test_a_file_that_waits_is_not_asked_for_twice),
        cmocka_unit_test(test_a_failure_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
