/* Names of files in the making: as long as names may be, and swept when they were left behind. */
#include "base/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "testing.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_room_for_what_follows),
        cmocka_unit_test(a_long_name_is_made_and_swept),
        cmocka_unit_test(a_name_that_only_looks_like_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
