/* Curves on the disk: what was put is read, gaps are gaps, damage is a gap too; folding, bounds,
 * giving way, clocks that jump, files that are not ours. */
#include "monitor/history.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testing.h"

#define T0 INT64_C(1700000100) /* a multiple of 300 */

static char dir[] = "/tmp/ft-history-XXXXXX";
static char path[64];

static struct ft_history *fresh(void)
{
    struct ft_history *h = NULL;
    struct ft_err err = {0};
    unlink(path);
    assert_int_equal(ft_history_open(path, T0, &h, &err), 0);
    return h;
}

static struct ft_history *again(struct ft_history *h, int64_t now_s)
{
    struct ft_err err = {0};
    ft_history_close(h);
    h = NULL;
    assert_int_equal(ft_history_open(path, now_s, &h, &err), 0);
    return h;
}

static struct ft_history_name series(const char *name, const char *value, enum ft_history_fold fold)
{
    struct ft_history_name n = {.unit = "1/s", .fold = fold};
    snprintf(n.name, sizeof n.name, "%s", name);
    snprintf(n.label, sizeof n.label, "%s", value[0] != '\0' ? "model" : "");
    snprintf(n.value, sizeof n.value, "%s", value);
    return n;
}

struct look {
    const char *name, *value;
    int place, count;
    int64_t last_s;
};

static void look(void *ctx, int place, const struct ft_history_name *n, int64_t last_s)
{
    struct look *l = ctx;
    l->count++;
    if (l->name != NULL && strcmp(n->name, l->name) == 0 && strcmp(n->value, l->value) == 0) {
        l->place = place;
        l->last_s = last_s;
    }
}

static int place_of(struct ft_history *h, const char *name, const char *value)
{
    struct look l = {.name = name, .value = value, .place = -1};
    ft_history_each(h, look, &l);
    return l.place;
}

static int count(struct ft_history *h)
{
    struct look l = {0};
    ft_history_each(h, look, &l);
    return l.count;
}

static void put(struct ft_history *h, const struct ft_history_name *n, int64_t at, double v)
{
    struct ft_err err = {0};
    assert_int_equal(ft_history_put(h, n, at, v, &err), 0);
}

static double at(struct ft_history *h, int place, int64_t from, int64_t step)
{
    double x = -1;
    struct ft_err err = {0};
    assert_int_equal(ft_history_read(h, place, NULL, from, step, 1, &x, &err), 0);
    return x;
}

static void test_points_survive_and_gaps_are_none(void **state)
{
    (void)state;
    struct ft_history *h = fresh();
    struct ft_history_name n = series("requests", "", FT_FOLD_MEAN);
    put(h, &n, T0, 1.5);
    put(h, &n, T0 + 13, 2.5); /* rounded down */
    put(h, &n, T0 + 20, NAN);
    put(h, &n, T0 + 20, INFINITY);
    put(h, &n, T0 + 30, 0);
    h = again(h, T0 + 40);
    int p = place_of(h, "requests", "");
    double x[5];
    struct ft_err err = {0};
    assert_int_equal(ft_history_read(h, p, NULL, T0, 10, 5, x, &err), 0);
    assert_true(x[0] == 1.5 && x[1] == 2.5 && isnan(x[2]) && x[3] == 0 && isnan(x[4]));
    double last;
    assert_true(ft_history_last(h, p, T0 + 40, 60, &last) && last == 0);
    assert_false(ft_history_last(h, p, T0 + 100, 60, &last));
    ft_history_close(h);
}

/* A process that is killed closes nothing: another that opens the file has every point. */
static void test_a_kill_loses_nothing_and_the_file_has_one_owner(void **state)
{
    (void)state;
    struct ft_history *h = fresh();
    struct ft_history_name n = series("requests", "", FT_FOLD_MEAN);
    put(h, &n, T0, 7);
    struct ft_history *second = NULL;
    struct ft_err err = {0};
    assert_int_equal(ft_history_open(path, T0, &second, &err), FT_EBUSY);
    char copy[80], command[200];
    snprintf(copy, sizeof copy, "%s.copy", path);
    snprintf(command, sizeof command, "cp --sparse=always %s %s", path, copy);
    assert_int_equal(system(command), 0);
    assert_int_equal(ft_history_open(copy, T0, &second, &err), 0);
    assert_true(at(second, place_of(second, "requests", ""), T0, 10) == 7);
    ft_history_close(second);
    ft_history_close(h);
    unlink(copy);
}

static void test_five_minutes_by_the_rule_of_the_series(void **state)
{
    (void)state;
    struct ft_history *h = fresh();
    struct ft_history_name mean = series("requests", "", FT_FOLD_MEAN),
                           most = series("ttft_p95", "", FT_FOLD_MAX),
                           least = series("disk_free_bytes", "", FT_FOLD_MIN);
    for (int i = 0; i < 31; i++) { /* the 31st begins the next five minutes */
        put(h, &mean, T0 + 10 * i, i < 30 ? i % 2 : 0);
        put(h, &most, T0 + 10 * i, i % 7);
        put(h, &least, T0 + 10 * i, 100 - i % 7);
    }
    h = again(h, T0 + 300);
    assert_true(at(h, place_of(h, "requests", ""), T0, 300) == 0.5);
    assert_true(at(h, place_of(h, "ttft_p95", ""), T0, 300) == 6);
    assert_true(at(h, place_of(h, "disk_free_bytes", ""), T0, 300) == 94);
    assert_true(at(h, place_of(h, "requests", ""), T0, 20) == 0.5); /* of short ones alike */
    ft_history_close(h);
}

/* The five minutes under way are shown, and made for good by who comes after a kill. */
static void test_what_was_not_folded_is_folded_later(void **state)
{
    (void)state;
    struct ft_history *h = fresh();
    struct ft_history_name n = series("requests", "", FT_FOLD_MEAN);
    put(h, &n, T0, 4);
    put(h, &n, T0 + 10, 8);
    int p = place_of(h, "requests", "");
    assert_true(at(h, p, T0, 300) == 6);
    h = again(h, T0 + 3000);
    assert_true(at(h, p, T0, 300) == 6);
    put(h, &n, T0 + 3000, 1);
    /* the ring of 10 s goes round: what is read now is of five minutes */
    for (int64_t s = T0 + 86400 - 100; s < T0 + 86400 + 400; s += 10)
        put(h, &n, s, 2);
    assert_true(isnan(at(h, p, T0, 10)));
    assert_true(at(h, p, T0, 300) == 6);
    assert_true(at(h, p, T0 + 3000, 300) == 1);
    ft_history_close(h);
}

static void test_the_ring_forgets_after_30_days(void **state)
{
    (void)state;
    struct ft_history *h = fresh();
    struct ft_history_name n = series("requests", "", FT_FOLD_MEAN);
    put(h, &n, T0, 3);
    put(h, &n, T0 + 300, 3);
    int p = place_of(h, "requests", "");
    assert_true(at(h, p, T0, 300) == 3);
    int64_t later = T0 + 30 * 86400;
    put(h, &n, later, 5);
    put(h, &n, later + 300, 5);
    assert_true(isnan(at(h, p, T0, 300))); /* another's place now */
    assert_true(at(h, p, later, 300) == 5);
    assert_true(isnan(at(h, p, later - 300, 300)));
    ft_history_close(h);
}

/* Any byte of the file may be another: what is read is what was put, or nothing. */
static void test_damage_is_a_gap(void **state)
{
    (void)state;
    struct ft_history *h = fresh();
    struct ft_history_name n = series("requests", "", FT_FOLD_MEAN);
    for (int i = 0; i < 64; i++)
        put(h, &n, T0 + 10 * i, i + 1);
    ft_history_close(h);
    int fd = open(path, O_RDWR);
    off_t ring = FT_HISTORY_HEAD_BYTES + FT_HISTORY_NAME_BYTES;
    for (int i = 0; i < 64; i++) {
        off_t point = ring + (T0 / 10 + i) % FT_HISTORY_POINTS * 8;
        unsigned char b;
        assert_int_equal(pread(fd, &b, 1, point + i % 8), 1);
        b ^= (unsigned char)(1 << i % 7);
        assert_int_equal(pwrite(fd, &b, 1, point + i % 8), 1);
    }
    close(fd);
    struct ft_err err = {0};
    assert_int_equal(ft_history_open(path, T0 + 640, &h, &err), 0);
    double x[64];
    assert_int_equal(ft_history_read(h, 0, NULL, T0, 10, 64, x, &err), 0);
    for (int i = 0; i < 64; i++)
        assert_true(isnan(x[i]));
    put(h, &n, T0 + 650, 9);
    assert_true(at(h, 0, T0 + 650, 10) == 9);
    ft_history_close(h);
}

static void test_a_damaged_name_frees_its_place_alone(void **state)
{
    (void)state;
    struct ft_history *h = fresh();
    struct ft_history_name a = series("requests", "a", FT_FOLD_MEAN),
                           b = series("requests", "b", FT_FOLD_MEAN);
    put(h, &a, T0, 1);
    put(h, &b, T0, 2);
    ft_history_close(h);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "x", 1, FT_HISTORY_HEAD_BYTES + 40), 1);
    close(fd);
    struct ft_err err = {0};
    assert_int_equal(ft_history_open(path, T0 + 10, &h, &err), 0);
    assert_int_equal(place_of(h, "requests", "a"), -1);
    assert_true(at(h, place_of(h, "requests", "b"), T0, 10) == 2);
    put(h, &a, T0 + 10, 3); /* takes the place; what lay there is none of its own */
    assert_int_equal(place_of(h, "requests", "a"), 0);
    assert_true(isnan(at(h, 0, T0, 10)) && at(h, 0, T0 + 10, 10) == 3);
    ft_history_close(h);
}

static void test_another_file_is_set_aside(void **state)
{
    (void)state;
    char aside[80];
    struct stat st;
    struct ft_err err = {0};
    struct ft_history *h = fresh();
    ft_history_close(h);
    snprintf(aside, sizeof aside, "%s.broken", path);
    int fd = open(path, O_RDWR | O_TRUNC);
    assert_int_equal(write(fd, "my shopping list", 16), 16);
    close(fd);
    assert_int_equal(ft_history_open(path, T0, &h, &err), 0);
    assert_int_equal(stat(aside, &st), 0);
    assert_int_equal(st.st_size, 16);
    struct ft_history_name n = series("requests", "", FT_FOLD_MEAN);
    put(h, &n, T0, 1);
    h = again(h, T0);
    assert_true(at(h, 0, T0, 10) == 1);
    ft_history_close(h);
    unlink(aside);
}

static void test_series_are_bounded_and_the_least_recent_gives_way(void **state)
{
    (void)state;
    struct stat st;
    struct ft_err err = {0};
    char value[16];
    struct ft_history *h = fresh();
    for (int i = 0; i < FT_HISTORY_SERIES_MAX; i++) {
        snprintf(value, sizeof value, "m%d", i);
        struct ft_history_name n = series("requests", value, FT_FOLD_MEAN);
        put(h, &n, T0 + (i == 77 ? 0 : 10), i);
    }
    struct ft_history_name one = series("requests", "new", FT_FOLD_MEAN);
    assert_int_equal(ft_history_put(h, &one, T0 + 20, 1, &err), FT_ELIMIT);
    put(h, &one, T0 + FT_HISTORY_STALE_S, 1);
    assert_int_equal(place_of(h, "requests", "new"), 77);
    assert_int_equal(place_of(h, "requests", "m77"), -1);
    assert_true(isnan(at(h, 77, T0, 10)));
    /* who found the other one there before does not read this one */
    struct ft_history_name was = series("requests", "m77", FT_FOLD_MEAN);
    double x = 0;
    assert_int_equal(ft_history_read(h, 77, &was, T0 + FT_HISTORY_STALE_S, 10, 1, &x, &err), 0);
    assert_true(isnan(x));
    assert_int_equal(ft_history_read(h, 77, &one, T0 + FT_HISTORY_STALE_S, 10, 1, &x, &err), 0);
    assert_true(x == 1);
    assert_int_equal(count(h), FT_HISTORY_SERIES_MAX);
    h = again(h, T0 + FT_HISTORY_STALE_S);
    assert_int_equal(count(h), FT_HISTORY_SERIES_MAX);
    assert_true(at(h, place_of(h, "requests", "m3"), T0 + 10, 10) == 3);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size <= FT_HISTORY_BYTES && FT_HISTORY_BYTES <= 140 << 20);
    ft_history_close(h);
}

static void test_a_clock_that_is_set_back_leaves_no_ghosts(void **state)
{
    (void)state;
    struct ft_history *h = fresh();
    struct ft_history_name n = series("requests", "", FT_FOLD_MEAN);
    for (int i = 0; i < 360; i++)
        put(h, &n, T0 + 10 * i, 5);
    put(h, &n, T0 + 100, 1); /* an hour back, nearly */
    assert_true(at(h, 0, T0 + 100, 10) == 1 && at(h, 0, T0 + 90, 10) == 5);
    assert_true(isnan(at(h, 0, T0 + 110, 10)) && isnan(at(h, 0, T0 + 3000, 10)));
    assert_true(isnan(at(h, 0, T0 + 600, 300)));
    /* and where the clock was wrong while nobody ran */
    put(h, &n, T0 + 7200, 8);
    h = again(h, T0 + 200);
    assert_true(isnan(at(h, 0, T0 + 7200, 10)));
    ft_history_close(h);
}

/* Every write goes through here. */
static int writes;
ssize_t pwrite(int fd, const void *data, size_t n, off_t where)
{
    writes++;
    return (ssize_t)syscall(SYS_pwrite64, fd, data, n, where);
}

static void test_a_clock_set_back_a_day_costs_few_writes(void **state)
{
    (void)state;
    struct ft_history *h = fresh();
    struct ft_history_name n = series("requests", "", FT_FOLD_MEAN);
    for (int i = 0; i < 8640; i += 3)
        put(h, &n, T0 + 10 * i, 5);
    writes = 0;
    put(h, &n, T0 + 100, 1);
    assert_in_range(writes, 1, 40);
    assert_true(at(h, 0, T0 + 100, 10) == 1 && at(h, 0, T0 + 90, 10) == 5);
    for (int i = 11; i < 8640; i++)
        assert_true(isnan(at(h, 0, T0 + 10 * i, 10)));
    ft_history_close(h);
}

static void test_the_last_value_is_known_though_the_disk_is_full(void **state)
{
    (void)state;
    struct ft_history *h = fresh();
    struct ft_history_name n = series("disk_free_ratio", "", FT_FOLD_MIN);
    struct ft_history_name later = series("later", "", FT_FOLD_MIN);
    struct ft_err err = {0};
    struct rlimit was, full;
    double v = 0;
    put(h, &n, T0, 0.5);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    full = (struct rlimit){1, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    int rc = ft_history_put(h, &n, T0 + 10, 0.01, &err);
    int rc_later = ft_history_put(h, &later, T0 + 10, 3, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_not_equal(rc, 0);
    assert_int_not_equal(rc_later, 0);
    assert_true(ft_history_last(h, place_of(h, "disk_free_ratio", ""), T0 + 15, 10, &v));
    assert_true(v == 0.01);
    assert_true(ft_history_last(h, place_of(h, "later", ""), T0 + 15, 10, &v) && v == 3);
    put(h, &later, T0 + 20, 4); /* its name is written now */
    h = again(h, T0 + 30);
    assert_true(ft_history_last(h, place_of(h, "later", ""), T0 + 30, 20, &v) && v == 4);
    ft_history_close(h);
}

static void test_steps(void **state)
{
    (void)state;
    assert_int_equal(ft_history_step(T0 - 3600, T0, 0, T0), 20);
    assert_int_equal(ft_history_step(T0 - 600, T0, 0, T0), 10);
    assert_int_equal(ft_history_step(T0 - 600, T0, 15, T0), 20);
    assert_int_equal(ft_history_step(T0 - 86400, T0, 10, T0), 10);
    assert_int_equal(ft_history_step(T0 - 2 * 86400, T0, 10, T0), 300);
    assert_int_equal(ft_history_step(T0 - 86400, T0, 310, T0), 600);
    assert_int_equal(ft_history_step(T0 - 30 * 86400, T0, 0, T0), 8700);
    double x;
    struct ft_err err = {0};
    struct ft_history *h = fresh();
    assert_int_equal(ft_history_read(h, -1, NULL, T0, 10, 1, &x, &err), FT_EINVAL);
    assert_int_equal(ft_history_read(h, 0, NULL, T0 + 3, 10, 1, &x, &err), FT_EINVAL);
    assert_int_equal(ft_history_read(h, 0, NULL, T0, 10, FT_HISTORY_POINTS + 1, &x, &err),
                     FT_EINVAL);
    ft_history_close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_survive_and_gaps_are_none),
        cmocka_unit_test(test_a_kill_loses_nothing_and_the_file_has_one_owner),
        cmocka_unit_test(test_five_minutes_by_the_rule_of_the_series),
        cmocka_unit_test(test_what_was_not_folded_is_folded_later),
        cmocka_unit_test(test_the_ring_forgets_after_30_days),
        cmocka_unit_test(test_damage_is_a_gap),
        cmocka_unit_test(test_a_damaged_name_frees_its_place_alone),
        cmocka_unit_test(test_another_file_is_set_aside),
        cmocka_unit_test(test_series_are_bounded_and_the_least_recent_gives_way),
        cmocka_unit_test(test_a_clock_that_is_set_back_leaves_no_ghosts),
        cmocka_unit_test(test_a_clock_set_back_a_day_costs_few_writes),
        cmocka_unit_test(test_the_last_value_is_known_though_the_disk_is_full),
        cmocka_unit_test(test_steps),
    };
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/history", dir);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    rmdir(dir);
    return rc;
}
