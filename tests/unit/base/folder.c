/* Folders that appear whole or not at all. */
#include "testing.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/folder.h"

static char root[64], path[128];

static int root_make(void **state)
{
    (void)state;
    strcpy(root, "/tmp/feitian-folder-XXXXXX");
    if (mkdtemp(root) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/out", root);
    return 0;
}

static int root_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

static int count(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;
    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return d != NULL ? n - 2 : -1;
}

static struct ft_folder *opened(bool replace)
{
    struct ft_folder *f = NULL;
    struct ft_err err;
    if (ft_folder_open(path, replace, &f, &err) != 0)
        fail_msg("%s", err.msg);
    return f;
}

static void put(struct ft_folder *f, const char *name, const char *text)
{
    assert_int_equal(0, ft_folder_put(f, name, text, strlen(text), NULL));
}

static void holds(const char *name, const char *text)
{
    char file[256], *data;
    size_t n;
    snprintf(file, sizeof file, "%s/%s", path, name);
    assert_int_equal(0, ft_file_read(file, 100, &data, &n, NULL));
    assert_string_equal(text, data);
    free(data);
}

/* A process that has ended: its number, for a while nobody's. */
static pid_t ended(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    assert_true(pid > 0);
    assert_int_equal(pid, waitpid(pid, NULL, 0));
    return pid;
}

static void there(bool is, const char *name)
{
    char file[256];
    snprintf(file, sizeof file, "%s/%s", root, name);
    if ((access(file, F_OK) == 0) != is)
        fail_msg("%s is %sthere", file, is ? "not " : "");
}

static void leave(const char *name)
{
    char file[256];
    snprintf(file, sizeof file, "%s/%s", root, name);
    assert_int_equal(0, mkdir(file, 0700));
    strcat(file, "/half");
    assert_int_equal(0, ft_file_put(file, "x", 1, NULL));
}

static void test_what_the_killed_left_is_swept(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/out", root);
    ft_folder_remove(path);
    int pid = (int)ended();
    char dead[64], held[64], other[64], file[256];
    snprintf(dead, sizeof dead, "out.partial-%d", pid);
    snprintf(held, sizeof held, "out.partial-%d", (int)ended());
    snprintf(other, sizeof other, "out2.partial-%d", pid);
    leave(dead);
    leave(held);
    leave(other);
    leave("out.partial-1"); /* somebody's who lives */
    leave("out.partial-");
    snprintf(file, sizeof file, "%s/%s", root, held);
    int fd = open(file, O_RDONLY | O_DIRECTORY); /* a writer on another machine */
    assert_int_equal(0, flock(fd, LOCK_EX));
    ft_folder_close(opened(false));
    there(false, dead);
    there(true, held);
    there(true, other);
    there(true, "out.partial-1");
    there(true, "out.partial-");
    close(fd);
    ft_folder_close(opened(false));
    there(false, held);
    there(true, other);
    snprintf(file, sizeof file, "%s/out2", root); /* files sweep as folders do */
    assert_int_equal(0, ft_file_put(file, "x", 1, NULL));
    there(false, other);
    there(true, "out2");
}

static void test_two_writers_of_one_path(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/out", root);
    ft_folder_remove(path);
    struct ft_folder *f = opened(false), *g = NULL;
    struct ft_err err = {0};
    put(f, "a", "first");
    assert_int_equal(FT_EEXIST, ft_folder_open(path, false, &g, &err));
    assert_int_equal(0, ft_folder_commit(f, NULL));
    ft_folder_close(f);
    holds("a", "first");
}

static void test_nothing_is_seen_before_the_commit(void **state)
{
    (void)state;
    struct ft_folder *f = opened(false);
    put(f, "a", "one");
    assert_int_equal(-1, access(path, F_OK));
    ft_folder_close(f);
    assert_int_equal(-1, access(path, F_OK));
    assert_int_equal(0, count(root));
    f = opened(false);
    put(f, "a", "two");
    put(f, "b", "");
    assert_int_equal(0, ft_folder_commit(f, NULL));
    ft_folder_close(f);
    holds("a", "two");
    holds("b", "");
    assert_int_equal(2, count(path));
    assert_int_equal(1, count(root));
}

static void test_a_folder_with_files_gives_way_only_if_asked(void **state)
{
    (void)state;
    struct ft_folder *f = NULL;
    struct ft_err err;
    assert_int_equal(FT_EEXIST, ft_folder_open(path, false, &f, &err));
    f = opened(true);
    put(f, "c", "three");
    holds("a", "two"); /* still */
    assert_int_equal(0, ft_folder_commit(f, NULL));
    ft_folder_close(f);
    holds("c", "three");
    assert_int_equal(1, count(path));
    assert_int_equal(1, count(root));
}

static void test_what_is_no_folder_of_files_stays(void **state)
{
    (void)state;
    struct ft_folder *f = NULL;
    struct ft_err err;
    char inner[256];
    snprintf(inner, sizeof inner, "%s/sub", path);
    assert_int_equal(0, mkdir(inner, 0777));
    assert_int_equal(FT_EEXIST, ft_folder_open(path, true, &f, &err));
    assert_int_equal(0, rmdir(inner));
    assert_int_equal(0, symlink("/", inner));
    assert_int_equal(FT_EEXIST, ft_folder_open(path, true, &f, &err));
    assert_int_equal(0, unlink(inner));
    strcat(path, "/c");
    assert_int_equal(FT_EEXIST, ft_folder_open(path, true, &f, &err)); /* a file */
    strcat(path, "/d");
    assert_int_not_equal(0, ft_folder_open(path, false, &f, &err)); /* below a file */
    assert_null(f);
}

static void test_an_empty_folder_and_slashes_at_the_end(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/empty", root);
    assert_int_equal(0, mkdir(path, 0777));
    strcat(path, "//");
    struct ft_folder *f = opened(false);
    put(f, "a", "x");
    assert_int_equal(0, ft_folder_commit(f, NULL));
    ft_folder_close(f);
    holds("a", "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_seen_before_the_commit),
        cmocka_unit_test(test_a_folder_with_files_gives_way_only_if_asked),
        cmocka_unit_test(test_what_is_no_folder_of_files_stays),
        cmocka_unit_test(test_an_empty_folder_and_slashes_at_the_end),
        cmocka_unit_test(test_two_writers_of_one_path),
        cmocka_unit_test(test_what_the_killed_left_is_swept),
    };
    return cmocka_run_group_tests(tests, root_make, root_remove);
}
