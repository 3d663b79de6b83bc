/* What the store in memory can be told, beyond the contract (tests/contract/blob): to be small, to
 * fail, to have a damaged object. */
#include "blob/mem/mem.h"

#include "testing.h"

static struct ft_err err;

static int put(struct ft_blob *b, const char *key, size_t n)
{
    static const char bytes[4096];
    struct ft_blob_put p = {.bucket = "b", .key = key, .size = -1};
    struct ft_blob_writer *w;
    int rc = ft_blob_put(b, &p, &w, &err);
    if (rc != 0)
        return rc;
    for (; n > 0 && rc == 0; n -= FT_MIN(n, sizeof bytes))
        rc = ft_blob_put_write(w, bytes, FT_MIN(n, sizeof bytes), &err);
    if (rc != 0) {
        ft_blob_put_abort(w);
        return rc;
    }
    return ft_blob_put_commit(w, NULL, 0, NULL, &err);
}

static int read_some(struct ft_blob *b, const char *key)
{
    struct ft_blob_reader *r;
    char bytes[10];
    int rc = ft_blob_open(b, "b", key, NULL, &r, &err);
    if (rc != 0)
        return rc;
    rc = ft_blob_read(r, 0, bytes, sizeof bytes, &err);
    ft_blob_close_reader(r);
    return rc;
}

static struct ft_blob *opened(int64_t bytes_max)
{
    struct ft_blob *b;
    assert_int_equal(ft_blob_mem_open(bytes_max, &b, &err), 0);
    assert_int_equal(ft_blob_bucket_create(b, "b", "p", &err), 0);
    return b;
}

static void a_full_store_goes_on_reading(void **state)
{
    struct ft_blob *b = opened(10000);
    struct ft_blob_delete d = {.bucket = "b", .key = "a"};
    (void)state;
    assert_int_equal(put(b, "a", 4096), 0);
    assert_int_equal(put(b, "c", 8192), FT_ELIMIT);
    assert_int_equal(read_some(b, "c"), FT_ENOTFOUND);
    assert_int_equal(read_some(b, "a"), 0);
    assert_int_equal(ft_blob_remove(b, &d, NULL, &err), 0);
    assert_int_equal(put(b, "c", 8192), 0); /* what failed took nothing */
    ft_blob_close(b);
}

static void a_broken_store_goes_on_reading(void **state)
{
    struct ft_blob *b = opened(0);
    struct ft_blob_delete d = {.bucket = "b", .key = "a"};
    (void)state;
    assert_int_equal(put(b, "a", 100), 0);
    ft_blob_mem_break(b, true);
    assert_int_equal(put(b, "a", 10), FT_EIO);
    assert_int_equal(ft_blob_remove(b, &d, NULL, &err), FT_EIO);
    assert_int_equal(ft_blob_bucket_create(b, "other", "p", &err), FT_EIO);
    assert_int_equal(read_some(b, "a"), 0);
    ft_blob_mem_break(b, false);
    assert_int_equal(put(b, "a", 10), 0);
    ft_blob_close(b);
}

struct found {
    char text[64];
};

static void note(void *ctx, const struct ft_blob_fault *fault)
{
    struct found *f = ctx;
    snprintf(f->text, sizeof f->text, "%s/%s %s", fault->bucket, fault->key, fault->version);
}

static void damage_is_found(void **state)
{
    struct ft_blob *b = opened(0);
    struct found found = {""};
    struct ft_blob_scrub scrub = {.fault = note, .ctx = &found};
    struct ft_blob_scrubbed scrubbed;
    (void)state;
    assert_int_equal(put(b, "a", 100), 0);
    assert_int_equal(put(b, "well", 100), 0);
    ft_blob_mem_damage(b, "b", "a");
    assert_int_equal(read_some(b, "a"), FT_ECORRUPT);
    assert_int_equal(read_some(b, "well"), 0);
    assert_int_equal(ft_blob_scrub(b, &scrub, &scrubbed, &err), 0);
    assert_true(scrubbed.faults == 1 && scrubbed.objects == 2 && scrubbed.bytes == 200);
    assert_string_equal(found.text, "b/a null");
    ft_blob_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_store_goes_on_reading),
        cmocka_unit_test(a_broken_store_goes_on_reading),
        cmocka_unit_test(damage_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
