/* Bytes that change on the disk: found when they are read and by a scrub, which says whose they
 * are; never served; and everything else is read as before. */
#include <fcntl.h>

#include "fixture.h"

#define LARGE 200000

struct told {
    int n;
    char key[64], what[256];
};

static void tell(void *ctx, const struct ft_blob_fault *fault)
{
    struct told *t = ctx;
    t->n++;
    snprintf(t->key, sizeof t->key, "%s", fault->key);
    snprintf(t->what, sizeof t->what, "%s", fault->what);
}

static struct told scrub(struct ft_blob *b)
{
    struct told t = {.n = 0};
    struct ft_blob_scrubbed done;
    OK(ft_blob_scrub(b, &(struct ft_blob_scrub){.fault = tell, .ctx = &t}, &done, &err));
    assert_int_equal(done.faults, t.n);
    return t;
}

static void put(struct ft_blob *b, const char *key, uint64_t number, size_t n)
{
    struct ft_blob_field field = {"x-amz-meta-find", "FINDME0123456789"};
    struct ft_blob_put p = {.bucket = "b", .key = key, .size = -1, .fields = &field, .n_fields = 1};
    struct ft_blob_done done;
    OK(put_made(b, &p, number, 0, n, &done));
}

/* Reading the whole object; 0 means that every byte was right. */
static int get(struct ft_blob *b, const char *key, uint64_t number)
{
    struct ft_blob_reader *r;
    int rc = ft_blob_open(b, "b", key, NULL, &r, &err);
    if (rc != 0)
        return rc;
    size_t n = (size_t)ft_blob_reader_info(r)->size;
    uint8_t *got = malloc(n + 1), *want = malloc(n + 1);
    rc = ft_blob_read(r, 0, got, n, &err);
    fill(number, 0, want, n);
    if (rc == 0)
        assert_memory_equal(got, want, n);
    free(got);
    free(want);
    ft_blob_close_reader(r);
    return rc;
}

static struct ft_blob *filled(void)
{
    struct ft_blob *b = open_blob();
    OK(ft_blob_bucket_create(b, "b", "prj", &err));
    put(b, "large", 1, LARGE);
    put(b, "small", 2, 3000);
    put(b, "other", 3, LARGE);
    return b;
}

/* Path of the data file with the n-th smallest number. */
static void data_file(int n, char ret[256])
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "find %s/data -type f | sort | sed -n %dp", folder, n + 1);
    FILE *f = popen(cmd, "r");
    assert_non_null(f);
    assert_non_null(fgets(ret, 256, f));
    ret[strcspn(ret, "\n")] = '\0';
    pclose(f);
}

static void flip(const char *path, int64_t at)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Where n bytes stand in the index's file; the store is closed. */
static int64_t find(const void *bytes, size_t n)
{
    char path[80];
    static uint8_t all[4 << 20];
    snprintf(path, sizeof path, "%s/index.db", folder);
    int fd = open(path, O_RDONLY);
    ssize_t len = read(fd, all, sizeof all);
    close(fd);
    const uint8_t *at = len <= 0 ? NULL : memmem(all, (size_t)len, bytes, n);
    assert_non_null(at);
    return at - all;
}

static void in_a_data_file(void **state)
{
    static const int64_t places[] = {0, 65535, 65536, 131072, LARGE - 1};
    char path[256];
    (void)state;
    struct ft_blob *b = filled();
    data_file(0, path);
    for (size_t i = 0; i < FT_COUNT(places); i++) {
        flip(path, places[i]);
        assert_int_equal(get(b, "large", 1), FT_ECORRUPT);
        assert_non_null(strstr(err.msg, "large"));
        /* every read that touches the block, and no other */
        struct ft_blob_reader *r;
        uint8_t got[10], want[10];
        OK(ft_blob_open(b, "b", "large", NULL, &r, &err));
        int64_t block = places[i] / 65536, other = block == 0 ? 70000 : 100;
        assert_int_equal(ft_blob_read(r, block * 65536 + 5, got, 1, &err), FT_ECORRUPT);
        OK(ft_blob_read(r, other, got, 10, &err));
        fill(1, (size_t)other, want, 10);
        assert_memory_equal(got, want, 10);
        ft_blob_close_reader(r);
        struct told t = scrub(b);
        assert_int_equal(t.n, 1);
        assert_string_equal(t.key, "large");
        flip(path, places[i]);
    }
    OK(get(b, "large", 1));
    assert_int_equal(truncate(path, LARGE - 1), 0); /* cut off */
    assert_int_equal(get(b, "large", 1), FT_ECORRUPT);
    unlink(path); /* gone */
    assert_int_equal(get(b, "large", 1), FT_ECORRUPT);
    assert_int_equal(scrub(b).n, 1);
    OK(get(b, "other", 3));
    OK(get(b, "small", 2));
    /* and may be removed */
    OK(ft_blob_remove(b, &(struct ft_blob_delete){.bucket = "b", .key = "large"}, NULL, &err));
    assert_int_equal(scrub(b).n, 0);
    ft_blob_close(b);
}

static void in_a_small_object(void **state)
{
    char path[80];
    uint8_t want[3000];
    (void)state;
    struct ft_blob *b = filled();
    ft_blob_close(b);
    fill(2, 0, want, sizeof want);
    snprintf(path, sizeof path, "%s/index.db", folder);
    flip(path, find(want, sizeof want) + 1234);
    b = open_blob();
    assert_int_equal(get(b, "small", 2), FT_ECORRUPT);
    OK(get(b, "large", 1));
    struct told t = scrub(b);
    assert_int_equal(t.n, 1);
    assert_string_equal(t.key, "small");
    ft_blob_close(b);
}

/* Parts are looked at before their upload is completed, and read with it after. */
static void in_a_part(void **state)
{
    struct ft_blob_put p = {.bucket = "b", .key = "parts", .size = -1};
    struct ft_blob_part parts[2] = {{.number = 1}, {.number = 2}};
    struct ft_blob_done done;
    char id[FT_BLOB_UPLOAD_MAX + 1], path[256];
    (void)state;
    struct ft_blob *b = filled();
    OK(ft_blob_upload_begin(b, &p, id, &err));
    p.upload = id;
    for (int i = 0; i < 2; i++) {
        p.part = i + 1;
        OK(put_made(b, &p, 9, (size_t)i * LARGE, LARGE, &done));
        memcpy(parts[i].etag, done.etag, sizeof done.etag);
    }
    data_file(3, path); /* behind large and other: the second */
    assert_int_equal(scrub(b).n, 0);
    flip(path, 70000);
    struct told t = scrub(b);
    assert_int_equal(t.n, 1);
    assert_string_equal(t.key, "parts");
    OK(ft_blob_upload_complete(b, "b", "parts", id, parts, 2, NULL, NULL, 0, &done, &err));
    t = scrub(b);
    assert_int_equal(t.n, 1);
    assert_string_equal(t.key, "parts");
    assert_int_equal(get(b, "parts", 9), FT_ECORRUPT);
    flip(path, 70000);
    OK(get(b, "parts", 9));
    ft_blob_close(b);
}

static int see(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    (void)info;
    (void)prefix;
    ++*(int *)ctx;
    return 0;
}

static void in_a_row_of_the_index(void **state)
{
    char path[80];
    struct ft_blob_object o = {.memory = NULL};
    struct ft_blob_list l = {.bucket = "b", .max = 10};
    bool more;
    int n = 0;
    (void)state;
    struct ft_blob *b = filled();
    put(b, "unlike", 4, 10);
    OK(ft_blob_remove(b, &(struct ft_blob_delete){.bucket = "b", .key = "large"}, NULL, &err));
    OK(ft_blob_remove(b, &(struct ft_blob_delete){.bucket = "b", .key = "other"}, NULL, &err));
    OK(ft_blob_remove(b, &(struct ft_blob_delete){.bucket = "b", .key = "small"}, NULL, &err));
    put(b, "z", 5, 10);
    ft_blob_close(b);
    snprintf(path, sizeof path, "%s/index.db", folder);
    flip(path, find("unlike", 6) + 5); /* a key: now "unliku" */
    b = open_blob();
    assert_int_equal(ft_blob_head(b, "b", "unliku", NULL, &o, &err), FT_ECORRUPT);
    assert_int_equal(ft_blob_list(b, &l, false, see, &n, &more, &err), FT_ECORRUPT);
    assert_int_equal(scrub(b).n, 1);
    OK(get(b, "z", 5));
    ft_blob_close(b);
}

static void an_index_that_is_gone(void **state)
{
    char cmd[128];
    struct ft_blob *b = filled();
    (void)state;
    ft_blob_close(b);
    snprintf(cmd, sizeof cmd, "rm %s/index.db*", folder);
    assert_int_equal(system(cmd), 0);
    struct ft_blob_dir_config config = {.path = folder};
    assert_int_equal(ft_blob_dir_open(&config, &b, &err), FT_ECORRUPT);
    assert_non_null(strstr(err.msg, "no index"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_a_data_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(in_a_small_object, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(in_a_part, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(in_a_row_of_the_index, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(an_index_that_is_gone, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
