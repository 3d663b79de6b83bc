/* Names of files in the making: as long as names may be, and swept when they were left behind. */
/* labels: threads */
#include "base/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/file.h"
#include "testing.h"

#define WRITERS 4
#define WRITES  200

static void a_name_has_room_for_what_follows(void **state)
{
    char name[NAME_MAX + 8] = "/x/", *stem, *other;
    (void)state;
    stem = ft_partial_stem("/x/short");
    assert_string_equal(stem, "/x/short");
    free(stem);
    memset(name + 3, 'a', NAME_MAX);
    name[3 + NAME_MAX] = '\0';
    stem = ft_partial_stem(name);
    assert_true(strlen(stem) - 3 + FT_PARTIAL_ROOM <= NAME_MAX);
    assert_memory_equal(stem, "/x/aaa", 6);
    name[2 + NAME_MAX] = 'b'; /* another file has another one */
    other = ft_partial_stem(name);
    assert_string_not_equal(stem, other);
    free(stem);
    free(other);
}

static void a_long_name_is_made_and_swept(void **state)
{
    char dir[] = "/tmp/ft_partial_XXXXXX", path[400], rm[64], *temp = NULL;
    struct ft_err err;
    int fd;
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/%0255d", dir, 1);
    for (int folder = 0; folder < 2; folder++) {
        assert_int_equal(ft_partial_open(path, folder, &temp, &fd, &err), 0);
        close(fd); /* as one that was killed leaves it */
        if (folder) {
            char below[600];
            snprintf(below, sizeof below, "%s/a", temp);
            assert_int_equal(mkdir(below, 0700), 0); /* not empty, and deep */
        }
        char *left = temp;
        assert_int_equal(ft_partial_open(path, folder, &temp, &fd, &err), 0);
        assert_string_equal(left, temp);
        close(fd);
        remove(temp);
        free(left);
        free(temp);
    }
    snprintf(rm, sizeof rm, "rm -r %s", dir);
    assert_int_equal(system(rm), 0);
}

static void a_name_that_only_looks_like_one(void **state)
{
    static const char *const is[] = {"a.partial-1", "a/b.partial-999999999",
                                     "x.partial-a.partial-7"};
    static const char *const not [] = {"a",
                                       "a.partial-",
                                       "a.partial-notes",
                                       "a.partial-1x",
                                       "a.partial-1/b",
                                       "a.partial-1.gguf",
                                       ".partial-1",
                                       "a/.partial-1",
                                       "a.partial-0123456789"};
    (void)state;
    for (size_t i = 0; i < FT_COUNT(is); i++)
        assert_true(ft_partial_is(is[i]));
    for (size_t i = 0; i < FT_COUNT(not ); i++)
        assert_false(ft_partial_is(not [i]));
}

/* ---- several threads and one path ---- */

struct writer {
    pthread_t thread;
    char path[64];
    _Atomic int *n_good;
    int rc; /* the first that is neither written nor told that another writes */
    struct ft_err err;
};

static void *write_again_and_again(void *arg)
{
    struct writer *w = arg;
    for (int i = 0; i < WRITES && w->rc == 0; i++) {
        int rc = ft_file_put(w->path, "whole", 5, &w->err);
        if (rc == 0)
            atomic_fetch_add(w->n_good, 1);
        else if (rc != FT_EEXIST)
            w->rc = rc;
    }
    return NULL;
}

static void threads_that_write_one_path_take_nothing_from_each_other(void **state)
{
    char dir[] = "/tmp/ft_partial_XXXXXX", rm[64], *data;
    struct writer w[WRITERS] = {0};
    struct ft_err err;
    _Atomic int n_good = 0;
    size_t n;
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < WRITERS; i++) {
        snprintf(w[i].path, sizeof w[i].path, "%s/a", dir);
        w[i].n_good = &n_good;
        assert_int_equal(pthread_create(&w[i].thread, NULL, write_again_and_again, &w[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(w[i].thread, NULL);
    for (int i = 0; i < WRITERS; i++) {
        if (w[i].rc != 0)
            print_error("%s\n", w[i].err.msg);
        assert_int_equal(w[i].rc, 0);
    }
    assert_true(n_good > 0);
    assert_int_equal(ft_file_read(w[0].path, 100, &data, &n, &err), 0);
    assert_string_equal(data, "whole");
    free(data);
    snprintf(rm, sizeof rm, "rm -r %s", dir);
    assert_int_equal(system(rm), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_that_write_one_path_take_nothing_from_each_other),
        cmocka_unit_test(a_name_has_room_for_what_follows),
        cmocka_unit_test(a_long_name_is_made_and_swept),
        cmocka_unit_test(a_name_that_only_looks_like_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
