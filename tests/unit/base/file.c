/* Files: mappings and bounded reads of what is there, and clear errors for what is not. */
#include "testing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"

static char path[64];

static void write_file(const void *data, size_t n)
{
    strcpy(path, "/tmp/ft-test-file-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
    close(fd);
}

static void test_maps_a_whole_file(void **state)
{
    (void)state;
    struct ft_map map;
    struct ft_err err;
    write_file("hello", 5);
    assert_int_equal(ft_map_open(path, &map, &err), 0);
    assert_int_equal(map.bytes, 5);
    assert_memory_equal(map.data, "hello", 5);
    ft_map_close(&map);
    assert_null(map.data);
    ft_map_close(&map);
    unlink(path);
}

static void test_an_empty_file_maps_to_nothing(void **state)
{
    (void)state;
    struct ft_map map = {.bytes = 7};
    struct ft_err err;
    write_file("", 0);
    assert_int_equal(ft_map_open(path, &map, &err), 0);
    assert_null(map.data);
    assert_int_equal(map.bytes, 0);
    ft_map_close(&map);
    unlink(path);
}

static void test_what_cannot_be_mapped_is_named(void **state)
{
    (void)state;
    struct ft_map map = {.bytes = 7};
    struct ft_err err;
    assert_int_equal(ft_map_open("/tmp/ft-no-such-file", &map, &err), FT_ENOTFOUND);
    assert_non_null(strstr(err.msg, "/tmp/ft-no-such-file"));
    assert_int_equal(ft_map_open("/tmp", &map, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "not a regular file"));
    assert_int_equal(ft_map_open("/dev/zero", &map, &err), FT_EINVAL);
    write_file("", 0);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(ft_map_open(path, &map, &err), FT_EINVAL); /* and does not wait for a writer */
    unlink(path);
    assert_int_equal(map.bytes, 7); /* untouched on failure */
}

static void test_reads_up_to_its_maximum(void **state)
{
    (void)state;
    char *data = NULL;
    size_t n = 0;
    struct ft_err err;
    static char big[100000];
    memset(big, 'x', sizeof big);
    write_file(big, sizeof big);
    assert_int_equal(ft_file_read(path, sizeof big - 1, &data, &n, &err), FT_ELIMIT);
    assert_null(data);
    assert_int_equal(ft_file_read(path, sizeof big, &data, &n, &err), 0);
    assert_int_equal(n, sizeof big);
    assert_memory_equal(data, big, n);
    assert_int_equal(data[n], '\0');
    free(data);
    unlink(path);
    assert_int_equal(ft_file_read(path, 10, &data, &n, &err), FT_ENOTFOUND);
    assert_int_equal(ft_file_read("/dev/zero", 1 << 20, &data, &n, &err), FT_ELIMIT);
    assert_int_equal(ft_file_read("/tmp", 10, &data, &n, &err), FT_EIO);
}

static void test_a_dash_is_standard_input(void **state)
{
    (void)state;
    char *data = NULL;
    size_t n = 0;
    struct ft_err err;
    write_file("from stdin", 10);
    int saved = dup(STDIN_FILENO), fd = open(path, O_RDONLY);
    assert_true(saved >= 0 && fd >= 0);
    dup2(fd, STDIN_FILENO);
    int rc = ft_file_read("-", 100, &data, &n, &err);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(fd);
    unlink(path);
    assert_int_equal(rc, 0);
    assert_string_equal(data, "from stdin");
    free(data);
}

static void test_a_file_is_put_whole(void **state)
{
    (void)state;
    char *data = NULL, there[sizeof path + 16];
    size_t n = 0;
    struct ft_err err;
    write_file("before", 6);
    assert_int_equal(ft_file_put(path, "after, and longer", 17, &err), 0);
    assert_int_equal(ft_file_read(path, 100, &data, &n, &err), 0);
    assert_string_equal(data, "after, and longer");
    free(data);
    snprintf(there, sizeof there, "%s/x", path); /* the file is no folder */
    assert_int_equal(ft_file_put(there, "x", 1, &err), FT_EIO);
    snprintf(there, sizeof there, "%s.partial-%d", path, (int)getpid());
    assert_int_not_equal(access(there, F_OK), 0);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0); /* cannot be renamed over */
    assert_int_equal(ft_file_put(path, "x", 1, &err), FT_EIO);
    assert_int_not_equal(access(there, F_OK), 0);
    rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps_a_whole_file),
        cmocka_unit_test(test_an_empty_file_maps_to_nothing),
        cmocka_unit_test(test_what_cannot_be_mapped_is_named),
        cmocka_unit_test(test_reads_up_to_its_maximum),
        cmocka_unit_test(test_a_dash_is_standard_input),
        cmocka_unit_test(test_a_file_is_put_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
