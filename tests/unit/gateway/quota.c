/* labels: threads */
/* What projects may keep, and how many of their requests block at once: over a store in memory. */
#include "testing.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "blob/mem/mem.h"
#include "gateway/store/quota.h"

#define WAIT_US        300000 /* what the store said is not gone by any more */
#define ASKED_AGAIN_NS INT64_C(250000000)

static struct ft_blob *blob;
static struct ft_quota *quota;

static int usage(void *ctx, const char *project, int64_t *ret_bytes, struct ft_err *err)
{
    struct ft_blob_usage u = {0};
    int rc = ft_blob_usage(*(struct ft_blob **)ctx, project, &u, err);
    *ret_bytes = u.bytes;
    return rc;
}

static int set_up(void **state)
{
    struct ft_err err = {.msg = ""};
    (void)state;
    assert_int_equal(ft_blob_mem_open(0, &blob, &err), 0);
    assert_int_equal(ft_quota_open(usage, &blob, &quota, &err), 0);
    assert_int_equal(ft_blob_bucket_create(blob, "bucket", "p1", &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ft_quota_close(quota);
    ft_blob_close(blob);
    return 0;
}

static void put(const char *key, size_t n)
{
    struct ft_err err = {.msg = ""};
    char data[1000];
    struct ft_blob_writer *w;
    struct ft_blob_done done;
    const struct ft_blob_put p = {.bucket = "bucket", .key = key, .size = -1};
    memset(data, 'x', sizeof data);
    assert_true(n <= sizeof data);
    assert_int_equal(ft_blob_put(blob, &p, &w, &err), 0);
    assert_int_equal(ft_blob_put_write(w, data, n, &err), 0);
    assert_int_equal(ft_blob_put_commit(w, NULL, 0, &done, &err), 0);
}

static int take(const char *project, int64_t max, int64_t bytes, struct ft_quota_hold *h)
{
    struct ft_err err = {.msg = ""};
    int rc = ft_quota_take(quota, project, max, bytes, h, &err);
    assert_int_equal(rc == 0, err.msg[0] == '\0');
    return rc;
}

static void what_is_stored_counts(void **state)
{
    (void)state;
    struct ft_quota_hold h = {.entry = NULL};
    put("a", 600);
    assert_int_equal(take("p1", 1000, 401, &h), FT_ELIMIT);
    int64_t left = -1;
    struct ft_err err;
    assert_int_equal(ft_quota_left(quota, "p1", 1000, &left, &err), 0);
    assert_int_equal(left, 400);
    assert_int_equal(take("p1", 1000, 400, &h), 0);
    assert_int_equal(ft_quota_left(quota, "p1", 1000, &left, &err), 0);
    assert_int_equal(left, 0);
    assert_int_equal(ft_quota_left(quota, "p1", 500, &left, &err), 0);
    assert_int_equal(left, 0);
    assert_int_equal(take("p1", 1000, INT64_MAX, &h), FT_ELIMIT);
    assert_int_equal(take("p1", 1000, -1, &h), FT_ELIMIT);
    ft_quota_give(quota, &h, false);
    assert_int_equal(take("p1", -1, INT64_MAX, &h), 0); /* no limit */
    assert_int_equal(take("p2", 1000, 1000, &h), 0);    /* another's is another's */
    ft_quota_give(quota, &h, false);
    assert_int_equal(take("p1", 0, 0, &h), FT_ELIMIT); /* it keeps more already */
    ft_quota_give(quota, &h, false);
}

static void many_at_once_do_not_pass_what_each_would_keep(void **state)
{
    (void)state;
    struct ft_quota_hold h[4] = {{.entry = NULL}};
    int64_t begun_ns = ft_clock_now_ns();
    for (int i = 0; i < 3; i++)
        assert_int_equal(take("p1", 1000, 300, &h[i]), 0);
    assert_int_equal(take("p1", 1000, 300, &h[3]), FT_ELIMIT);
    ft_quota_give(quota, &h[0], false); /* it failed */
    assert_int_equal(take("p1", 1000, 300, &h[3]), 0);
    ft_quota_give(quota, &h[1], true);       /* written, though the store was not asked since */
    if (take("p1", 1000, 300, &h[0]) == 0) { /* a machine so slow that the store was asked */
        assert_true(ft_clock_now_ns() - begun_ns > ASKED_AGAIN_NS);
        ft_quota_give(quota, &h[0], false);
    }
    ft_quota_give(quota, &h[2], false);
    ft_quota_give(quota, &h[3], false);
    ft_quota_give(quota, &h[3], false); /* zeroed: nothing */
    usleep(WAIT_US);
    assert_int_equal(take("p1", 1000, 1000, &h[0]), 0); /* the store has nothing of it */
    ft_quota_give(quota, &h[0], false);
}

static void a_request_may_take_more_as_it_goes(void **state)
{
    (void)state;
    struct ft_quota_hold h = {.entry = NULL}, other = {.entry = NULL};
    for (int i = 0; i < 10; i++)
        assert_int_equal(take("p1", 1000, 100, &h), 0);
    assert_int_equal(take("p1", 1000, 1, &h), FT_ELIMIT);
    assert_int_equal(take("p1", 1000, 1, &other), FT_ELIMIT);
    ft_quota_give(quota, &h, false);
    assert_int_equal(take("p1", 1000, 1000, &other), 0);
    ft_quota_give(quota, &other, false);
}

static void what_was_removed_is_free_soon(void **state)
{
    (void)state;
    struct ft_err err;
    struct ft_blob_deleted deleted;
    struct ft_quota_hold h = {.entry = NULL};
    const struct ft_blob_delete d = {.bucket = "bucket", .key = "a"};
    put("a", 1000);
    assert_int_equal(take("p1", 1000, 1, &h), FT_ELIMIT);
    assert_int_equal(ft_blob_remove(blob, &d, &deleted, &err), 0);
    usleep(WAIT_US);
    assert_int_equal(take("p1", 1000, 1000, &h), 0);
    ft_quota_give(quota, &h, false);
}

static void one_project_leaves_lanes_to_the_others(void **state)
{
    (void)state;
    static struct ft_quota_hold held[FT_QUOTA_LANES_MAX];
    struct ft_quota_hold h = {.entry = NULL};
    struct ft_err err;
    for (int i = 0; i < FT_QUOTA_LANES_MAX; i++)
        assert_int_equal(ft_quota_lane(quota, "p1", &held[i], &err), 0);
    assert_int_equal(ft_quota_lane(quota, "p1", &h, &err), FT_EBUSY);
    assert_int_equal(ft_quota_lane(quota, "p2", &h, &err), 0);
    ft_quota_give(quota, &h, false);
    ft_quota_give(quota, &held[7], false);
    assert_int_equal(ft_quota_lane(quota, "p1", &held[7], &err), 0);
    for (int i = 0; i < FT_QUOTA_LANES_MAX; i++)
        ft_quota_give(quota, &held[i], false);
    for (int i = 0; i < FT_QUOTA_LANES_OPEN; i++) /* who shows no key has fewer */
        assert_int_equal(ft_quota_lane(quota, "", &held[i], &err), 0);
    assert_int_equal(ft_quota_lane(quota, "", &h, &err), FT_EBUSY);
    for (int i = 0; i < FT_QUOTA_LANES_OPEN; i++)
        ft_quota_give(quota, &held[i], false);
}

static void *take_and_give(void *arg)
{
    struct ft_err err;
    int64_t *most = arg;
    for (int i = 0; i < 2000; i++) {
        struct ft_quota_hold h = {.entry = NULL};
        if (ft_quota_take(quota, "p1", 1000, 400, &h, &err) == 0)
            (*most)++;
        ft_quota_give(quota, &h, false);
    }
    return NULL;
}

static void nothing_stays_held(void **state)
{
    (void)state;
    pthread_t t[4];
    int64_t n[4] = {0};
    struct ft_quota_hold h = {.entry = NULL};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, take_and_give, &n[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_true(n[0] + n[1] + n[2] + n[3] > 0);
    assert_int_equal(take("p1", 1000, 1000, &h), 0);
    ft_quota_give(quota, &h, false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_stored_counts),
        TEST(many_at_once_do_not_pass_what_each_would_keep),
        TEST(a_request_may_take_more_as_it_goes),
        TEST(what_was_removed_is_free_soon),
        TEST(one_project_leaves_lanes_to_the_others),
        TEST(nothing_stays_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
