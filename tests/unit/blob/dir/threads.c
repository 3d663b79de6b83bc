/* Many threads on a few keys: what is read is always one whole version, also when it is replaced or
 * removed while it is being read; and readers of large objects keep their bytes. */
/* labels: threads */
#include <pthread.h>
#include <stdatomic.h>

#include "fixture.h"

#define WRITERS 3
#define READERS 3
#define KEYS    3
#define PUTS    40

static struct ft_blob *blob;
static _Atomic bool is_over;
static _Atomic int n_read;

/* Numbers of objects tell their size. */
static size_t size_of(uint64_t number)
{
    return number % 3 == 0 ? 1000 : number % 3 == 1 ? 100000 : 300000;
}

static void *write_all(void *arg)
{
    uint64_t writer = (uint64_t)(uintptr_t)arg;
    for (uint64_t i = 0; i < PUTS; i++) {
        uint64_t number = writer * PUTS + i + 1;
        char key[16], value[24];
        struct ft_err e;
        struct ft_blob_writer *w;
        uint8_t *data = malloc(size_of(number));
        snprintf(key, sizeof key, "k%d", (int)(number % KEYS));
        snprintf(value, sizeof value, "%llu", (unsigned long long)number);
        struct ft_blob_field f = {"number", value};
        struct ft_blob_put put = {
            .bucket = "b", .key = key, .size = -1, .fields = &f, .n_fields = 1};
        fill(number, 0, data, size_of(number));
        assert_int_equal(ft_blob_put(blob, &put, &w, &e), 0);
        assert_int_equal(ft_blob_put_write(w, data, size_of(number), &e), 0);
        assert_int_equal(ft_blob_put_commit(w, NULL, 0, NULL, &e), 0);
        if (i % 5 == 4)
            assert_int_equal(
                ft_blob_remove(blob, &(struct ft_blob_delete){.bucket = "b", .key = key}, NULL, &e),
                0);
        free(data);
    }
    return NULL;
}

static void *read_all(void *arg)
{
    uint64_t reader = (uint64_t)(uintptr_t)arg;
    uint8_t *got = malloc(300000), *want = malloc(300000);
    for (uint64_t i = 0; !is_over; i++) {
        char key[16];
        struct ft_err e;
        struct ft_blob_reader *r;
        snprintf(key, sizeof key, "k%d", (int)((i + reader) % KEYS));
        int rc = ft_blob_open(blob, "b", key, NULL, &r, &e);
        if (rc == FT_ENOTFOUND)
            continue;
        if (rc != 0)
            fail_msg("%s", e.msg);
        const struct ft_blob_info *info = ft_blob_reader_info(r);
        uint64_t number = strtoull(ft_blob_field(info, "number"), NULL, 10);
        size_t n = size_of(number);
        assert_int_equal(info->size, n);
        fill(number, 0, want, n);
        for (size_t at = 0; at < n; at += 50000) { /* others go on in between */
            size_t piece = FT_MIN(n - at, (size_t)50000);
            rc = ft_blob_read(r, (int64_t)at, got + at, piece, &e);
            if (rc != 0)
                fail_msg("%s", e.msg);
        }
        assert_memory_equal(got, want, n);
        ft_blob_close_reader(r);
        n_read++;
    }
    free(got);
    free(want);
    return NULL;
}

static void whole_versions_only(void **state)
{
    pthread_t w[WRITERS], r[READERS];
    (void)state;
    blob = open_blob();
    OK(ft_blob_bucket_create(blob, "b", "prj", &err));
    for (uintptr_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&r[i], NULL, read_all, (void *)i), 0);
    for (uintptr_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&w[i], NULL, write_all, (void *)i), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(w[i], NULL);
    is_over = true;
    for (int i = 0; i < READERS; i++)
        pthread_join(r[i], NULL);
    assert_true(n_read > 0);
    assert_sound(blob);
    assert_counted();
    ft_blob_close(blob);
}

/* A reader that is open keeps an object of parts that is removed; its files go when it is closed.
 */
static void removed_while_read(void **state)
{
    struct ft_blob_put put = {.bucket = "b", .key = "k", .size = -1};
    struct ft_blob_part parts[2] = {{.number = 1}, {.number = 2}};
    struct ft_blob_done done;
    struct ft_blob_reader *r;
    char id[FT_BLOB_UPLOAD_MAX + 1];
    static uint8_t got[101000], want[101000];
    (void)state;
    blob = open_blob();
    OK(ft_blob_bucket_create(blob, "b", "prj", &err));
    OK(ft_blob_upload_begin(blob, &put, id, &err));
    put.upload = id;
    put.part = 1;
    OK(put_made(blob, &put, 1, 0, 100000, &done));
    memcpy(parts[0].etag, done.etag, sizeof done.etag);
    put.part = 2;
    OK(put_made(blob, &put, 1, 100000, 1000, &done)); /* a small one */
    memcpy(parts[1].etag, done.etag, sizeof done.etag);
    OK(ft_blob_upload_complete(blob, "b", "k", id, parts, 2, NULL, NULL, 0, &done, &err));
    OK(ft_blob_open(blob, "b", "k", NULL, &r, &err));
    OK(ft_blob_remove(blob, &(struct ft_blob_delete){.bucket = "b", .key = "k"}, NULL, &err));
    usleep(100000); /* the sweeper has looked */
    OK(ft_blob_read(r, 0, got, sizeof got, &err));
    fill(1, 0, want, sizeof want);
    assert_memory_equal(got, want, sizeof got);
    assert_int_equal(ask_index("SELECT COUNT(*) FROM trash"), 2);
    ft_blob_close_reader(r);
    assert_sound(blob);
    assert_int_equal(ask_index("SELECT COUNT(*) FROM small"), 0);
    assert_int_equal(count_data_files(), 0);
    ft_blob_close(blob);
}

/* One process at a time; a folder is opened again with all that it had. */
static void one_at_a_time(void **state)
{
    struct ft_blob *second;
    struct ft_blob_dir_config config = {.path = folder};
    (void)state;
    blob = open_blob();
    assert_int_equal(ft_blob_dir_open(&config, &second, &err), FT_EBUSY);
    OK(ft_blob_bucket_create(blob, "b", "prj", &err));
    ft_blob_close(blob);
    blob = open_blob();
    struct ft_blob_bucket b;
    OK(ft_blob_bucket_get(blob, "b", &b, &err));
    ft_blob_close(blob);
}

static void *scrub(void *arg)
{
    struct ft_err e;
    (void)arg;
    int rc = ft_blob_scrub(blob, &(struct ft_blob_scrub){.fault = NULL}, NULL, &e);
    if (rc != 0)
        print_error("%s\n", e.msg);
    return (void *)(intptr_t)rc;
}

/* Each collects what a killed process left; the other may be faster at any of it. */
static void scrubs_beside_each_other(void **state)
{
    pthread_t thread[4];
    char cmd[160];
    (void)state;
    for (int i = 0; i < 3; i++) { /* folders are looked at that are older than this opening */
        blob = open_blob();
        ft_blob_close(blob);
    }
    blob = open_blob();
    snprintf(cmd, sizeof cmd, "for i in $(seq 1000 1400); do mkdir -p %s/data/000001/000$i; done",
             folder);
    assert_int_equal(system(cmd), 0);
    for (size_t i = 0; i < FT_COUNT(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, scrub, NULL), 0);
    for (size_t i = 0; i < FT_COUNT(thread); i++) {
        void *rc;
        assert_int_equal(pthread_join(thread[i], &rc), 0);
        assert_null(rc);
    }
    ft_blob_close(blob);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scrubs_beside_each_other, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(whole_versions_only, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(removed_while_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(one_at_a_time, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
