/* Events: kept in order, counted when they repeat, bounded, read again after a kill, shown to those
 * whom they are for. */
/* labels: threads */
#include "monitor/events.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing.h"

static char dir[] = "/tmp/ft-events-XXXXXX";
static char file[80], older[80];

static struct ft_events *start(void)
{
    struct ft_events *e = NULL;
    struct ft_err err = {0};
    assert_int_equal(ft_events_open(dir, &e, &err), 0);
    return e;
}

static struct ft_events *fresh(void)
{
    unlink(file);
    unlink(older);
    return start();
}

static void tell(struct ft_events *e, const char *kind, const char *endpoint, const char *project,
                 int worker, int64_t at_ms)
{
    ft_events_tell_at(e,
                      &(struct ft_event){.kind = kind,
                                         .level = FT_EVENT_WARN,
                                         .text = "it happened",
                                         .endpoint = endpoint,
                                         .project = project,
                                         .worker = worker},
                      at_ms);
}

static json_t *list(struct ft_events *e, struct ft_events_filter f, size_t n)
{
    json_t *all = ft_events_list(e, &f), *data = json_incref(json_object_get(all, "data"));
    assert_int_equal(json_array_size(data), n);
    json_decref(all);
    return data;
}

static const char *text(const json_t *data, size_t i, const char *name)
{
    return json_string_value(json_object_get(json_array_get(data, i), name));
}

static void test_newest_first_and_again_after_a_start(void **state)
{
    (void)state;
    struct ft_events *e = fresh();
    tell(e, "worker_started", NULL, NULL, 0, 1000);
    tell(e, "worker_ready", NULL, NULL, 0, 9000);
    tell(e, "scaled", "nano", NULL, -1, 9001);
    for (int round = 0; round < 2; round++) {
        json_t *data = list(e, (struct ft_events_filter){0}, 3);
        assert_string_equal(text(data, 0, "kind"), "scaled");
        assert_string_equal(text(data, 0, "id"), "ev_3");
        assert_string_equal(text(data, 2, "level"), "warn");
        assert_true(json_is_null(json_object_get(json_array_get(data, 0), "worker")));
        assert_int_equal(json_integer_value(json_object_get(json_array_get(data, 1), "at")), 9000);
        json_decref(data);
        ft_events_close(e);
        e = start();
    }
    tell(e, "failover", "nano", NULL, 1, 20000);
    json_t *data = list(e, (struct ft_events_filter){.before = 4}, 3);
    json_decref(data);
    data = list(e, (struct ft_events_filter){.kind = "failover"}, 1);
    assert_string_equal(text(data, 0, "id"), "ev_4"); /* ids only grow */
    json_decref(data);
    ft_events_close(e);
}

static void test_what_repeats_is_counted(void **state)
{
    (void)state;
    struct ft_events *e = fresh();
    for (int i = 0; i < 300; i++)
        tell(e, "failover", "nano", NULL, 2, 1000 + i);
    tell(e, "failover", "nano", NULL, 3, 1400); /* another worker */
    tell(e, "failover", "nano", NULL, 2, 1000 + FT_EVENTS_SAME_MS);
    ft_events_close(e);
    e = start();
    json_t *data = list(e, (struct ft_events_filter){0}, 3);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(data, 2), "count")), 300);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(data, 0), "count")), 1);
    json_decref(data);
    ft_events_close(e);
    e = fresh(); /* to and fro is told in its order */
    for (int i = 0; i < 4; i++)
        tell(e, i % 2 == 0 ? "worker_died" : "worker_ready", "nano", NULL, 2, 1000 + i);
    json_decref(list(e, (struct ft_events_filter){0}, 4));
    ft_events_close(e);
}

static void test_what_is_counted_says_the_latest(void **state)
{
    (void)state;
    static const char *const words[] = {"x is changed: 1 to 4", "x is changed: 0 to 4"};
    struct ft_events *e = fresh();
    for (int i = 0; i < 2; i++) {
        struct ft_event v = {
            .kind = "endpoint_changed", .text = words[i], .endpoint = "x", .worker = -1};
        ft_events_tell_at(e, &v, 1000 + i);
    }
    for (int round = 0; round < 2; round++) {
        json_t *data = list(e, (struct ft_events_filter){0}, 1);
        assert_string_equal(text(data, 0, "text"), words[1]);
        assert_int_equal(json_integer_value(json_object_get(json_array_get(data, 0), "count")), 2);
        json_decref(data);
        ft_events_close(e);
        e = start();
    }
    ft_events_close(e);
}

static void tell_alert(struct ft_events *e, const char *rule, const char *words, int64_t at_ms)
{
    struct ft_event v = {
        .kind = "alert_firing", .level = FT_EVENT_WARN, .text = words, .rule = rule, .worker = -1};
    ft_events_tell_at(e, &v, at_ms);
}

static void test_alerts_of_one_look_are_told_apart(void **state)
{
    (void)state;
    struct ft_events *e = fresh();
    tell_alert(e, "alert_a", "a fires", 1000);
    tell_alert(e, "alert_b", "b fires", 1000);
    tell_alert(e, "alert_b", "b fires of another worker", 1000);
    tell_alert(e, "alert_c", "b fires of another worker", 1000); /* of the same name */
    json_t *data = list(e, (struct ft_events_filter){0}, 4);
    assert_string_equal(text(data, 0, "rule"), "alert_c");
    assert_string_equal(text(data, 3, "rule"), "alert_a");
    json_decref(data);
    ft_events_close(e);
}

static void test_projects_see_their_own_and_the_common_ones(void **state)
{
    (void)state;
    struct ft_events *e = fresh();
    tell(e, "worker_died", NULL, NULL, 0, 1000);
    tell(e, "scaled", "common", NULL, -1, 1000);
    tell(e, "scaled", "mine", "a", -1, 1000);
    tell(e, "scaled", "theirs", "b", -1, 1000);
    json_t *data = list(e, (struct ft_events_filter){.project = "a"}, 2);
    assert_string_equal(text(data, 0, "endpoint"), "mine");
    assert_string_equal(text(data, 1, "endpoint"), "common");
    json_decref(data);
    json_decref(list(e, (struct ft_events_filter){0}, 4));
    json_decref(list(e, (struct ft_events_filter){.endpoint = "theirs"}, 1));
    json_decref(list(e, (struct ft_events_filter){.endpoint = "theirs", .project = "a"}, 0));
    ft_events_close(e);
}

static void test_memory_and_files_are_bounded(void **state)
{
    (void)state;
    struct stat st;
    struct ft_events *e = fresh();
    for (int i = 0; i < 12000; i++)
        tell(e, "scaled", "nano", NULL, -1, INT64_C(10000) * i);
    json_t *all = ft_events_list(e, &(struct ft_events_filter){.limit = 100000});
    assert_int_equal(json_array_size(json_object_get(all, "data")), FT_EVENTS_LIST_MAX);
    assert_true(json_is_true(json_object_get(all, "has_more")));
    json_decref(all);
    json_decref(list(e, (struct ft_events_filter){.before = 12000 - FT_EVENTS_MAX + 3}, 2));
    ft_events_close(e);
    assert_int_equal(stat(file, &st), 0);
    assert_true(st.st_size <= FT_EVENTS_FILE_MAX + 4096);
    if (stat(older, &st) == 0)
        assert_true(st.st_size <= FT_EVENTS_FILE_MAX + 4096);
    e = start();
    json_decref(list(e, (struct ft_events_filter){.before = 12000 - FT_EVENTS_MAX + 3}, 2));
    ft_events_close(e);
}

static void test_damaged_lines_are_left_out(void **state)
{
    (void)state;
    static const char noise[] =
        "{\"id\":\"ev_9\",\"at\":\"x\",\"kind\":\"scaled\",\"count\":1}\n"
        "{\"id\":\"ev_99999999999999999999\",\"at\":1,\"kind\":\"scaled\",\"count\":1}\n"
        "\xff\xfe\n[]\n{\"id\":\"ev_3\",\"at\":5,\"ki";
    struct ft_events *e = fresh();
    tell(e, "scaled", "nano", NULL, -1, 1000);
    tell(e, "worker_died", NULL, NULL, 1, 2000);
    ft_events_close(e);
    int fd = open(file, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, noise, sizeof noise - 1), sizeof noise - 1);
    close(fd);
    e = start();
    json_decref(list(e, (struct ft_events_filter){0}, 2));
    tell(e, "scaled", "nano", NULL, -1, 90000); /* behind the torn line */
    ft_events_close(e);
    e = start();
    json_t *data = list(e, (struct ft_events_filter){0}, 3);
    assert_string_equal(text(data, 0, "id"), "ev_3");
    json_decref(data);
    ft_events_close(e);
}

static void test_long_and_odd_texts(void **state)
{
    (void)state;
    char much[2 * FT_EVENTS_TEXT_MAX + 1];
    for (size_t i = 0; i + 2 < sizeof much; i += 2)
        memcpy(much + i, "\xc3\xa9", 3);
    memmove(much + 1, much, sizeof much - 1);
    much[0] = 'a';
    much[sizeof much - 2] = '\0';
    struct ft_events *e = fresh();
    struct ft_event v = {.kind = "scaled", .text = much, .worker = -1};
    ft_events_tell_at(e, &v, 1);
    v.text = "\xff";
    v.kind = "other";
    ft_events_tell_at(e, &v, 1);
    json_t *data = list(e, (struct ft_events_filter){0}, 2);
    assert_int_equal(strlen(text(data, 1, "text")), FT_EVENTS_TEXT_MAX - 1);
    json_decref(data);
    ft_events_close(e);
    ft_events_tell(NULL, &v);
    assert_int_equal(ft_events_id_parse("ev_12"), 12);
    assert_int_equal(ft_events_id_parse("ev_12x"), 0);
    assert_int_equal(ft_events_id_parse("ev_"), 0);
    assert_int_equal(ft_events_id_parse("evt_1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_newest_first_and_again_after_a_start),
        cmocka_unit_test(test_what_repeats_is_counted),
        cmocka_unit_test(test_what_is_counted_says_the_latest),
        cmocka_unit_test(test_alerts_of_one_look_are_told_apart),
        cmocka_unit_test(test_projects_see_their_own_and_the_common_ones),
        cmocka_unit_test(test_memory_and_files_are_bounded),
        cmocka_unit_test(test_damaged_lines_are_left_out),
        cmocka_unit_test(test_long_and_odd_texts),
    };
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(file, sizeof file, "%s/events.jsonl", dir);
    snprintf(older, sizeof older, "%s/events.1.jsonl", dir);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    unlink(older);
    rmdir(dir);
    return rc;
}
