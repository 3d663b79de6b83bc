/* Records and the journal: lines there and back, torn tails, damage, segments, a full disk. */
#include "unit/ledger/ledger_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "ledger/journal.h"

static struct ft_record sample(int i)
{
    struct ft_record r = {.project = "p",
                          .key = "k",
                          .route = "chat.completions",
                          .status = FT_RECORD_CANCELLED,
                          .http = 200,
                          .stream = true,
                          .page = true,
                          .target = "m + \"v2\"",
                          .requests = 1,
                          .start_us = 1767225600000000,
                          .end_us = 1767225600500000,
                          .first_us = 1200,
                          .prompt_tokens = 10,
                          .cached_tokens = 3,
                          .completion_tokens = i,
                          .reasoning_tokens = 1,
                          .cost_nanos = 12345,
                          .cpu_us = 777,
                          .energy_uj = 88,
                          .energy_estimated = true};
    snprintf(r.id, sizeof r.id, "req_%d", i);
    snprintf(r.model, sizeof r.model, "m\"\\\n\x01\x7f\xc3\xa9");
    return r;
}

static void test_a_record_survives_its_line(void **state)
{
    (void)state;
    struct ft_buf b;
    struct ft_record r = sample(7), back;
    struct ft_err err;
    memset(&back, 0xaa, sizeof back);
    ft_buf_init(&b, FT_RECORD_LINE_MAX);
    assert_int_equal(ft_record_write(&r, &b), 0);
    assert_int_equal(b.data[b.len - 1], '\n');
    assert_ptr_equal(memchr(b.data, '\n', b.len), b.data + b.len - 1);
    assert_int_equal(ft_record_parse(b.data, b.len, &back, &err), 0);
    assert_string_equal(back.id, r.id);
    assert_string_equal(back.project, r.project);
    assert_string_equal(back.target, r.target);
    assert_true(back.page);
    assert_string_equal(back.key, r.key);
    assert_string_equal(back.model, r.model);
    assert_string_equal(back.route, r.route);
    assert_int_equal(back.status, r.status);
    assert_int_equal(back.http, r.http);
    assert_true(back.stream && back.energy_estimated);
    const int64_t *a = &r.requests, *c = &back.requests; /* eleven whole numbers in a row */
    assert_memory_equal(
        a, c, offsetof(struct ft_record, energy_estimated) - offsetof(struct ft_record, requests));
    /* the longest there can be fits a line */
    memset(r.id, '\x01', FT_RECORD_ID_MAX);
    memset(r.project, '\x01', FT_RECORD_ID_MAX);
    memset(r.key, '\x01', FT_RECORD_ID_MAX);
    memset(r.model, '\x01', FT_RECORD_MODEL_MAX);
    memset(r.route, '\x01', FT_RECORD_ROUTE_MAX);
    r.cost_nanos = r.cpu_us = r.energy_uj = r.start_us = INT64_MAX;
    ft_buf_reset(&b);
    assert_int_equal(ft_record_write(&r, &b), 0);
    ft_buf_fini(&b);
}

static void test_bad_records_are_named(void **state)
{
    (void)state;
    struct ft_buf b;
    struct ft_record r = sample(7), back = {.id = "untouched"};
    struct ft_err err;
    ft_buf_init(&b, FT_RECORD_LINE_MAX);
    ft_record_write(&r, &b);
    static const char *const names[] = {"id",
                                        "project",
                                        "key",
                                        "model",
                                        "route",
                                        "status",
                                        "http",
                                        "stream",
                                        "requests",
                                        "start_us",
                                        "end_us",
                                        "first_us",
                                        "cpu_us",
                                        "energy_uj",
                                        "prompt_tokens",
                                        "cached_tokens",
                                        "cost_nanos",
                                        "completion_tokens",
                                        "reasoning_tokens",
                                        "energy_estimated"};
    json_t *good = json_loadb(b.data, b.len, 0, NULL);
    for (size_t i = 0; i < FT_COUNT(names); i++)
        for (int how = 0; how < 3; how++) {
            json_t *o = json_deep_copy(good);
            if (how == 0)
                json_object_del(o, names[i]);
            else
                json_object_set_new(o, names[i], how == 1 ? json_integer(-1) : json_array());
            char *text = json_dumps(o, 0);
            assert_int_equal(ft_record_parse(text, strlen(text), &back, &err), FT_EINVAL);
            if (strstr(err.msg, names[i]) == NULL)
                fail_msg("%s: %s", names[i], err.msg);
            free(text);
            json_decref(o);
        }
    json_decref(good);
    assert_int_equal(ft_record_parse("[]", 2, &back, &err), FT_EINVAL);
    assert_int_equal(ft_record_parse("{", 1, &back, &err), FT_EINVAL);
    assert_string_equal(back.id, "untouched");
    ft_buf_fini(&b);
}

/* The version before wrote more of an error's text. */
static void test_longer_texts_of_another_version_are_cut(void **state)
{
    (void)state;
    struct ft_buf b, more;
    struct ft_err err;
    struct ft_record r = sample(7), back;
    char text[256];
    for (size_t i = 0; i + 1 < sizeof text; i += 3) /* a character of three bytes, 85 times */
        strcpy(text + i, "\xe5\xad\x97");
    ft_buf_init(&b, FT_RECORD_LINE_MAX);
    ft_buf_init(&more, FT_RECORD_LINE_MAX);
    ft_record_write(&r, &b);
    json_t *o = json_loadb(b.data, b.len, 0, NULL);
    json_object_set_new(o, "error_code", json_string("x"));
    json_object_set_new(o, "error_text", json_string(text));
    json_object_set_new(o, "phases", json_pack("{s:i}", ft_phase_fields[0].name, 5));
    char *line = json_dumps(o, 0);
    assert_int_equal(ft_record_parse(line, strlen(line), &back, &err), 0);
    assert_int_equal(back.completion_tokens, 7);
    assert_int_equal(strlen(back.error.text), FT_RECORD_TEXT_MAX / 3 * 3); /* whole characters */
    assert_memory_equal(back.error.text, text, FT_RECORD_TEXT_MAX / 3 * 3);
    memset(&back, 0, sizeof back); /* as the store keeps it */
    ft_buf_addf(&more, "{\"target\":\"%0200d\",\"error_code\":\"x\",\"error_text\":\"%s\",", 1,
                text);
    ft_buf_addf(&more, "\"phases\":{\"%s\":5}}", ft_phase_fields[0].name);
    assert_int_equal(ft_record_more_parse(more.data, more.len, &back, &err), 0);
    assert_int_equal(strlen(back.target), FT_RECORD_TARGET_MAX);
    assert_int_equal(strlen(back.error.text), FT_RECORD_TEXT_MAX / 3 * 3);
    assert_int_equal(ft_phase_get(&back.phases, 0), 5);
    free(line);
    json_decref(o);
    ft_buf_fini(&b);
    ft_buf_fini(&more);
}

static void open_journal(const char *dir, int64_t segment, struct ft_journal *j)
{
    struct ft_err err;
    if (ft_journal_open(dir, segment, j, &err) != 0)
        fail_msg("%s", err.msg);
}

static void append(struct ft_journal *j, int from, int to)
{
    struct ft_buf b;
    struct ft_err err;
    ft_buf_init(&b, 1 << 20);
    for (int i = from; i < to; i++) {
        struct ft_record r = sample(i);
        ft_journal_line(&r, &b);
    }
    assert_int_equal(ft_journal_append(j, b.data, b.len, &err), 0);
    ft_buf_fini(&b);
}

/* Every record from pos: their numbers must rise by one from `from`. How many; *ret_bad: damaged.
 */
static int read_all(struct ft_journal *j, struct ft_journal_pos *pos, int from, int *ret_bad)
{
    struct ft_buf raw;
    struct ft_err err;
    int n = 0;
    ft_buf_init(&raw, 2048); /* smaller than many lines together */
    *ret_bad = 0;
    for (;;) {
        assert_int_equal(ft_journal_read(j, pos, &raw, &err), 0);
        if (raw.len == 0)
            break;
        for (size_t at = 0; at < raw.len;) {
            struct ft_slice json, id;
            size_t line = ft_journal_next(raw.data + at, raw.len - at, &json);
            if (json.p != NULL) {
                char want[32];
                snprintf(want, sizeof want, "req_%d", from + n++ + *ret_bad);
                assert_true(ft_journal_id(json, &id));
                assert_int_equal(id.n, strlen(want));
                assert_memory_equal(id.p, want, id.n);
            } else {
                ++*ret_bad;
            }
            at += line == 0 ? raw.len - at : line;
        }
    }
    ft_buf_fini(&raw);
    return n;
}

static void test_segments_are_read_in_order_and_dropped(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct ft_journal j;
    struct ft_journal_pos pos = {0, 0};
    int bad;
    open_journal(dir, 3000, &j);
    for (int i = 0; i < 100; i += 5)
        append(&j, i, i + 5);
    int files = count_files(dir, ".log");
    assert_in_range(files, 10, 21);
    assert_int_equal(read_all(&j, &pos, 0, &bad), 100);
    assert_int_equal(bad, 0);
    assert_int_equal(read_all(&j, &pos, 100, &bad), 0);
    assert_int_equal(ft_journal_bytes_from(&j, (struct ft_journal_pos){1, 0}) > 0, 1);
    append(&j, 100, 103);
    assert_int_equal(read_all(&j, &pos, 100, &bad), 3); /* goes on where it was */
    ft_journal_close(&j);
    open_journal(dir, 3000, &j); /* and after a restart */
    append(&j, 103, 104);
    assert_int_equal(read_all(&j, &pos, 103, &bad), 1);
    ft_journal_drop(&j, UINT32_MAX); /* never the last one */
    assert_int_equal(count_files(dir, ".log"), 1);
    assert_int_equal(ft_journal_bytes_from(&j, pos), 0);
    ft_journal_close(&j);
    remove_dir(dir);
}

static void path_of_first(const char *dir, char *path)
{
    snprintf(path, 128, "%s/0000000001.log", dir);
}

/* At whatever byte the last write was cut off, the lines before it are there and later ones follow.
 */
static void test_a_torn_tail_is_cut_off_at_any_byte(void **state)
{
    (void)state;
    const char *dir = new_dir();
    char path[128];
    struct ft_journal j;
    struct stat st;
    path_of_first(dir, path);
    open_journal(dir, 1 << 20, &j);
    append(&j, 0, 3);
    ft_journal_close(&j);
    assert_int_equal(stat(path, &st), 0);
    int line = (int)(st.st_size / 3);
    for (int cut = 0; cut < line; cut += 7) {
        struct ft_journal_pos pos = {0, 0};
        int bad;
        assert_int_equal(truncate(path, st.st_size), 0);
        assert_int_equal(truncate(path, st.st_size - 1 - cut), 0);
        open_journal(dir, 1 << 20, &j);
        append(&j, 2, 5);
        assert_int_equal(read_all(&j, &pos, 0, &bad), 5);
        assert_int_equal(bad, 0);
        ft_journal_close(&j);
        assert_int_equal(truncate(path, 2 * line), 0);
        open_journal(dir, 1 << 20, &j);
        append(&j, 2, 3);
        ft_journal_close(&j);
    }
    remove_dir(dir);
}

static void test_a_damaged_line_costs_itself_alone(void **state)
{
    (void)state;
    const char *dir = new_dir();
    char path[128];
    struct ft_journal j;
    int bad;
    path_of_first(dir, path);
    open_journal(dir, 1 << 20, &j);
    append(&j, 0, 9);
    struct ft_journal_pos end = ft_journal_end(&j), pos = {0, 0};
    int fd = open(path, O_RDWR);
    for (unsigned at = end.offset / 2; at < end.offset / 2 + 20; at++)
        assert_int_equal(pwrite(fd, "#", 1, at), 1);
    close(fd);
    assert_int_equal(read_all(&j, &pos, 0, &bad), 8);
    assert_int_equal(bad, 1);
    ft_journal_close(&j);
    remove_dir(dir);
}

static void test_a_failed_write_leaves_nothing_behind(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct ft_journal j;
    struct ft_buf b;
    struct ft_err err;
    struct rlimit was, small = {.rlim_cur = 1000};
    struct ft_journal_pos pos = {0, 0};
    int bad;
    open_journal(dir, 1 << 20, &j);
    append(&j, 0, 1);
    ft_buf_init(&b, 1 << 20);
    for (int i = 1; i < 10; i++) {
        struct ft_record r = sample(i);
        ft_journal_line(&r, &b);
    }
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    small.rlim_max = was.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small); /* the disk takes 1000 bytes: a part of the lines */
    int rc = ft_journal_append(&j, b.data, b.len, &err);
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(rc, FT_EIO);
    assert_int_equal(read_all(&j, &pos, 0, &bad), 1);
    assert_int_equal(ft_journal_append(&j, b.data, b.len, &err), 0);
    assert_int_equal(read_all(&j, &pos, 1, &bad), 9);
    assert_int_equal(bad, 0);
    ft_buf_fini(&b);
    ft_journal_close(&j);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_survives_its_line),
        cmocka_unit_test(test_bad_records_are_named),
        cmocka_unit_test(test_longer_texts_of_another_version_are_cut),
        cmocka_unit_test(test_segments_are_read_in_order_and_dropped),
        cmocka_unit_test(test_a_torn_tail_is_cut_off_at_any_byte),
        cmocka_unit_test(test_a_damaged_line_costs_itself_alone),
        cmocka_unit_test(test_a_failed_write_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
