/* For a backup: while the store is held, bytes of what was removed stay; a copy of the index says
 * which data files there are. */
#include <sys/stat.h>

#include "blob/dir/impl.h"

#include "fixture.h"

#define LARGE 200000

static void put(struct ft_blob *b, const char *key, uint64_t number)
{
    struct ft_blob_put p = {.bucket = "b", .key = key, .size = -1};
    struct ft_blob_done done;
    OK(put_made(b, &p, number, 0, LARGE, &done));
}

struct found {
    int n;
    char path[8][160];
};

static int note(void *ctx, const char *path, int64_t bytes, struct ft_err *e)
{
    struct found *f = ctx;
    (void)e;
    assert_int_equal(bytes, LARGE);
    snprintf(f->path[f->n++], sizeof f->path[0], "%s/%s", folder, path);
    return 0;
}

static struct found files(void)
{
    struct found f = {.n = 0};
    char index[96];
    snprintf(index, sizeof index, "%s/index.db", folder);
    OK(ft_blob_dir_files(index, note, &f, &err));
    return f;
}

/* The sweeper has gone through the trash once since: it begins each turn with the files in doubt,
 * so one that is gone says that a turn has begun, and another that the turn before has ended. */
static void wait_for_a_sweep(struct ft_blob *b)
{
    struct ft_dir *d = ft_dir_of(b);
    char path[FT_DIR_PATH_MAX];
    struct stat st;
    for (int i = 0; i < 2; i++) {
        int64_t id = ft_dir_id_next(d);
        OK(ft_dir_file_place(d, id, path, &err));
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fclose(f);
        ft_dir_file_drop(d, id, true);
        for (int k = 0; k < 1000 && stat(path, &st) == 0; k++)
            usleep(10000);
        assert_int_equal(stat(path, &st), -1);
    }
}

static void what_is_removed_stays_while_it_is_held(void **state)
{
    struct ft_blob_held *one = NULL, *two = NULL;
    struct ft_blob_deleted gone;
    struct stat st;
    (void)state;
    struct ft_blob *b = open_blob();
    OK(ft_blob_bucket_create(b, "b", "", &err));
    put(b, "a", 1);
    put(b, "c", 2);
    struct found before = files();
    assert_int_equal(before.n, 2);
    assert_true(strcmp(before.path[0], before.path[1]) < 0);
    OK(ft_blob_hold(b, &one, &err));
    OK(ft_blob_hold(b, &two, &err));
    OK(ft_blob_remove(b, &(struct ft_blob_delete){.bucket = "b", .key = "a"}, &gone, &err));
    assert_int_equal(files().n, 1); /* the other one is to go */
    ft_blob_release(b, one);
    wait_for_a_sweep(b);
    assert_int_equal(stat(before.path[0], &st), 0);
    ft_blob_release(b, two);
    for (int i = 0; i < 500 && stat(before.path[0], &st) == 0; i++)
        usleep(10000);
    assert_int_equal(stat(before.path[0], &st), -1);
    assert_int_equal(stat(before.path[1], &st), 0);
    ft_blob_close(b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
        what_is_removed_stays_while_it_is_held, make_folder, remove_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
