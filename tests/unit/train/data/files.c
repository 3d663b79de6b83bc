/* Files to samples: what is kept, cut or dropped; every bad line told; the validation split. */
#include "support.h"

#include "train/data/lines.h"

static const char chatml[] =
    "{% for m in messages %}{{ '<' + m.role + '>' + m.content + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";

/* A file of the test's own; removed by the test. */
static const char *file_of(const char *suffix, const char *text, size_t n)
{
    static char path[8][64];
    static int next;
    char *p = path[next++ % 8];
    snprintf(p, sizeof path[0], "/tmp/ft_data_XXXXXX%s", suffix);
    int fd = mkstemps(p, (int)strlen(suffix));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), (ssize_t)n);
    close(fd);
    return p;
}

static const char *jsonl(const char *text)
{
    return file_of(".jsonl", text, strlen(text));
}

/* All samples as text, one a line. */
static const char *data_text(const struct kit *k, const struct ft_data *d, struct ft_buf *b)
{
    ft_buf_reset(b);
    for (int i = 0; i < d->n; i++) {
        write_tokens(b, k->t, d->sample[i].token, d->sample[i].loss, (size_t)d->sample[i].n);
        ft_buf_add_str(b, "|");
    }
    return b->data;
}

static struct ft_data *open_ok(const struct kit *k, const char *const *path, int n,
                               struct ft_data_report *report)
{
    struct ft_data *d = NULL;
    struct ft_err err = {0};
    if (ft_data_open(&k->cfg, path, n, &d, report, &err) != 0)
        fail_msg("%s", err.msg);
    return d;
}

static void test_samples_know_where_they_come_from(void **state)
{
    (void)state;
    struct kit k;
    struct ft_buf b;
    struct ft_data_report report;
    const char *path[] = {
        jsonl("\xef\xbb\xbf{\"text\":\"ab\"}\n\n  \r\n{\"prompt\":\"p\",\"completion\":\"c\"}\r\n"),
        jsonl("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\","
              "\"content\":\"a\"}]}"), /* no newline at its end */
    };
    ft_buf_init(&b, 1 << 16);
    kit_bytes(false, NULL, chatml, &k);
    struct ft_data *d = open_ok(&k, path, 2, &report);
    assert_string_equal(data_text(&k, d, &b),
                        "a[[b<EOS>]]|p[[c<EOS>]]|<user>q<|im_end|><assistant>[[a<|im_end|>]]|");
    assert_int_equal(d->n, 3);
    assert_int_equal(d->sample[0].line, 1);
    assert_int_equal(d->sample[1].line, 4);
    assert_int_equal(d->sample[2].line, 1);
    assert_int_equal(d->sample[2].file, 1);
    assert_int_equal(d->sample[1].n_target, 2);
    assert_int_equal(d->n_groups, 3);
    assert_int_equal(report.lines, 3);
    assert_int_equal(report.samples, 3);
    assert_int_equal(report.tokens, 3 + 3 + 21);
    assert_int_equal(report.targets, 6);
    assert_int_equal(report.bad, 0);
    ft_data_close(d);
    kit_close(&k);
    ft_buf_fini(&b);
    for (int i = 0; i < 2; i++)
        unlink(path[i]);
}

/* Every token but the first is a target once, wherever the text is cut. */
static void test_texts_are_cut_into_pieces(void **state)
{
    (void)state;
    struct kit k;
    struct ft_buf b;
    const char *path[] = {file_of(".txt", "abcdefg", 7), jsonl("{\"text\":\"xyz\"}\n")};
    ft_buf_init(&b, 1 << 16);
    kit_bytes(true, NULL, NULL, &k);
    k.cfg.max_len = 4;
    struct ft_data *d = open_ok(&k, path, 2, NULL);
    assert_string_equal(data_text(&k, d, &b),
                        "<BOS>[[abc]]|c[[def]]|f[[g<EOS>]]|<BOS>[[xyz]]|z[[<EOS>]]|");
    assert_int_equal(d->n_groups, 5);
    assert_int_equal(d->sample[0].line, 0);
    ft_data_close(d);
    kit_close(&k);
    ft_buf_fini(&b);
    for (int i = 0; i < 2; i++)
        unlink(path[i]);
}

static void test_long_samples_by_policy(void **state)
{
    (void)state;
    struct kit k;
    struct ft_buf b;
    struct ft_data_report report;
    struct ft_data *d;
    struct ft_err err = {0};
    const char *path[] = {jsonl("{\"prompt\":\"ab\",\"completion\":\"c\"}\n"
                                "{\"prompt\":\"ab\",\"completion\":\"cdef\"}\n"
                                "{\"prompt\":\"abcde\",\"completion\":\"c\"}\n")};
    ft_buf_init(&b, 1 << 16);
    kit_bytes(false, NULL, NULL, &k);
    k.cfg.max_len = 5;
    assert_int_equal(ft_data_open(&k.cfg, path, 1, &d, &report, &err), FT_EINVAL);
    assert_int_equal(report.bad, 2);
    assert_string_equal(report.told[0].msg, "7 tokens, more than the sequence length of 5");
    assert_int_equal(report.told[1].line, 3);
    k.cfg.too_long = FT_TOO_LONG_TRUNCATE;
    d = open_ok(&k, path, 1, &report);
    assert_string_equal(data_text(&k, d, &b), "ab[[c<EOS>]]|ab[[cde]]|");
    assert_int_equal(report.truncated, 1);
    assert_int_equal(report.dropped, 1); /* no target was left */
    ft_data_close(d);
    k.cfg.too_long = FT_TOO_LONG_DROP;
    d = open_ok(&k, path, 1, &report);
    assert_string_equal(data_text(&k, d, &b), "ab[[c<EOS>]]|");
    assert_int_equal(report.dropped, 2);
    assert_int_equal(d->n_groups, 1);
    ft_data_close(d);
    k.cfg.max_len = 2;
    assert_int_equal(ft_data_open(&k.cfg, path, 1, &d, &report, &err), FT_EINVAL);
    assert_string_equal(err.msg, "no sample is left: 3 were dropped");
    kit_close(&k);
    ft_buf_fini(&b);
    unlink(path[0]);
}

static void test_pairs_stay_together(void **state)
{
    (void)state;
    struct kit k;
    struct ft_buf b;
    struct ft_data_report report;
    const char *path[] = {jsonl("{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"r\"}\n"
                                "{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"rrrrr\"}\n"
                                "{\"prompt\":\"q\",\"chosen\":\"c\",\"rejected\":\"r\"}\n")};
    ft_buf_init(&b, 1 << 16);
    kit_bytes(false, NULL, NULL, &k);
    k.cfg.kind = FT_DATA_PREFERENCE;
    k.cfg.max_len = 4;
    k.cfg.too_long = FT_TOO_LONG_DROP;
    struct ft_data *d = open_ok(&k, path, 1, &report);
    assert_string_equal(data_text(&k, d, &b), "p[[c<EOS>]]|p[[r<EOS>]]|q[[c<EOS>]]|q[[r<EOS>]]|");
    assert_int_equal(report.dropped, 2);
    assert_int_equal(d->n_groups, 2);
    assert_int_equal(d->sample[3].group, 1);
    ft_data_close(d);
    kit_close(&k);
    ft_buf_fini(&b);
    unlink(path[0]);
}

static void test_every_bad_line_is_told(void **state)
{
    (void)state;
    struct kit k;
    struct ft_data *d = NULL;
    struct ft_err err = {0};
    struct ft_data_report report;
    struct ft_buf b;
    char want[256];
    ft_buf_init(&b, 1 << 16);
    ft_buf_add_str(&b, "{\"text\":\"fine\"}\n");
    for (int i = 0; i < 30; i++)
        ft_buf_add_str(&b, i % 2 == 0 ? "{\"text\":7}\n" : "nonsense\n");
    const char *path[] = {file_of(".txt", "a\nb\n\xff", 5), jsonl(b.data), file_of(".txt", "", 0)};
    kit_bytes(false, NULL, chatml, &k);
    assert_int_equal(ft_data_open(&k.cfg, path, 3, &d, &report, &err), FT_EINVAL);
    assert_null(d);
    assert_int_equal(report.bad, 32);
    assert_int_equal(report.n_told, FT_DATA_BAD_MAX);
    assert_int_equal(report.lines, 33);
    assert_int_equal(report.told[0].line, 3);
    assert_string_equal(report.told[0].msg, "byte 5 is not UTF-8");
    assert_int_equal(report.told[1].file, 1);
    assert_int_equal(report.told[1].line, 2);
    assert_string_equal(report.told[1].msg, "text is not a string");
    snprintf(want, sizeof want, "%s:3: byte 5 is not UTF-8 (and 31 more bad lines)", path[0]);
    assert_string_equal(err.msg, want);
    for (int i = 0; i < 3; i++)
        unlink(path[i]);
    kit_close(&k);
    ft_buf_fini(&b);
}

static void test_what_is_no_lines_fault(void **state)
{
    (void)state;
    struct kit k;
    struct ft_data *d = NULL;
    struct ft_err err = {0};
    char want[128];
    const char *path[] = {jsonl("{\"text\":\"abc\"}\n"), "/tmp/ft_no_such_file.jsonl"};
    kit_bytes(false, NULL, NULL, &k);
    assert_int_equal(ft_data_open(&k.cfg, path, 2, &d, NULL, &err), FT_ENOTFOUND);
    assert_non_null(strstr(err.msg, "ft_no_such_file"));
    k.cfg.max_tokens = 3;
    assert_int_equal(ft_data_open(&k.cfg, path, 1, &d, NULL, &err), FT_ENOMEM);
    assert_non_null(strstr(err.msg, ":1: more than 3 tokens"));
    k.cfg.max_tokens = 0;
    k.cfg.max_len = 1;
    assert_int_equal(ft_data_open(&k.cfg, path, 1, &d, NULL, &err), FT_EINVAL);
    k.cfg.max_len = 10;
    k.cfg.form = FT_DATA_PAIR;
    assert_int_equal(ft_data_open(&k.cfg, path, 1, &d, NULL, &err), FT_EINVAL);
    assert_string_equal(err.msg, "form: that is for preference pairs only");
    unlink(path[0]);
    path[0] = jsonl("\n\n");
    k.cfg.form = FT_DATA_AUTO;
    assert_int_equal(ft_data_open(&k.cfg, path, 1, &d, NULL, &err), FT_EINVAL);
    snprintf(want, sizeof want, "%s: the data is empty", path[0]);
    assert_string_equal(err.msg, want);
    /* also beside one that is not */
    path[1] = path[0];
    path[0] = jsonl("{\"text\":\"abc\"}\n");
    assert_int_equal(ft_data_open(&k.cfg, path, 2, &d, NULL, &err), FT_EINVAL);
    assert_string_equal(err.msg, want);
    unlink(path[1]);
    unlink(path[0]);
    kit_close(&k);
}

/* A line beyond the bound is skipped to its end; the next is read. */
static void test_a_line_beyond_the_bound(void **state)
{
    (void)state;
    struct kit k;
    struct ft_data *d = NULL;
    struct ft_err err = {0};
    struct ft_data_report report;
    const char *path = file_of(".jsonl", "", 0);
    FILE *f = fopen(path, "w");
    char *block = malloc(1 << 20);
    memset(block, 'x', 1 << 20);
    for (unsigned n = 0; n <= FT_LINES_BYTES_MAX + (2u << 20); n += 1 << 20)
        assert_int_equal(fwrite(block, 1, 1 << 20, f), 1 << 20);
    fputs("\n{\"text\":8}\n", f);
    fclose(f);
    free(block);
    kit_bytes(false, NULL, NULL, &k);
    assert_int_equal(ft_data_open(&k.cfg, &path, 1, &d, &report, &err), FT_EINVAL);
    assert_int_equal(report.bad, 2);
    assert_int_equal(report.told[0].line, 1);
    assert_string_equal(report.told[0].msg, "longer than 67108864 bytes");
    assert_int_equal(report.told[1].line, 2);
    kit_close(&k);
    unlink(path);
}

static int stop_at_once(void *ctx, int64_t done, int64_t all)
{
    assert_in_range(done, 1, all);
    *(int *)ctx += 1;
    return 1;
}

static void test_reading_can_be_stopped(void **state)
{
    (void)state;
    struct kit k;
    struct ft_data *d = NULL;
    struct ft_err err = {0};
    int calls = 0;
    const char *path = jsonl("{\"text\":\"abc\"}\n");
    kit_bytes(false, NULL, NULL, &k);
    k.cfg.progress = stop_at_once;
    k.cfg.ctx = &calls;
    assert_int_equal(ft_data_open(&k.cfg, &path, 1, &d, NULL, &err), FT_ECANCELED);
    assert_int_equal(calls, 1);
    kit_close(&k);
    unlink(path);
}

/* ---- split ---- */

/* groups[i]: the group of sample i. */
static void make_data(struct ft_data *d, enum ft_data_kind kind, const int32_t *groups, int n)
{
    *d = (struct ft_data){.kind = kind, .n = n, .sample = calloc((size_t)n, sizeof *d->sample)};
    for (int i = 0; i < n; i++) {
        d->sample[i].group = groups[i];
        d->n_groups = groups[i] + 1;
    }
}

static void test_split_keeps_groups_whole(void **state)
{
    (void)state;
    struct ft_data d;
    struct ft_data_split s = {0}, again = {0};
    struct ft_err err = {0};
    int32_t groups[300];
    for (int i = 0; i < 300; i++)
        groups[i] = i / 3;
    make_data(&d, FT_DATA_SUPERVISED, groups, 300);
    assert_int_equal(ft_data_split(&d, 1, 0, 0.1, &s, &err), 0);
    assert_int_equal(s.n_valid, 30);
    assert_int_equal(s.n_train, 270);
    for (int i = 0; i < s.n_valid; i++)
        for (int k = 0; k < s.n_train; k++)
            assert_int_not_equal(groups[s.valid[i]], groups[s.train[k]]);
    for (int i = 1; i < s.n_train; i++)
        assert_true(s.train[i - 1] < s.train[i]);
    assert_int_equal(ft_data_split(&d, 1, 30, 0, &again, &err), 0);
    assert_memory_equal(s.valid, again.valid, 30 * sizeof *s.valid);
    ft_data_split_fini(&again);
    assert_int_equal(ft_data_split(&d, 2, 30, 0, &again, &err), 0);
    assert_memory_not_equal(s.valid, again.valid, 30 * sizeof *s.valid);
    ft_data_split_fini(&again);
    ft_data_split_fini(&s);
    assert_int_equal(ft_data_split(&d, 1, 0, 0, &s, &err), 0);
    assert_int_equal(s.n_valid, 0);
    assert_int_equal(s.n_train, 300);
    ft_data_split_fini(&s);
    /* some are some, however small the part: early stopping counts on it */
    assert_int_equal(ft_data_split(&d, 1, 0, 1e-6, &s, &err), 0);
    assert_int_equal(s.n_valid, 3); /* a group */
    ft_data_split_fini(&s);
    assert_int_equal(ft_data_split(&d, 1, 300, 0, &s, &err), FT_EINVAL);
    assert_int_equal(ft_data_split(&d, 1, 0, 1.0, &s, &err), FT_EINVAL);
    free(d.sample);
}

static void test_split_of_pairs_names_the_chosen(void **state)
{
    (void)state;
    struct ft_data d;
    struct ft_data_split s = {0};
    struct ft_err err = {0};
    int32_t groups[20];
    for (int i = 0; i < 20; i++)
        groups[i] = i / 2;
    make_data(&d, FT_DATA_PREFERENCE, groups, 20);
    assert_int_equal(ft_data_split(&d, 7, 3, 0, &s, &err), 0);
    assert_int_equal(s.n_valid, 3);
    assert_int_equal(s.n_train, 7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(s.train[i] % 2, 0);
    ft_data_split_fini(&s);
    free(d.sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_know_where_they_come_from),
        cmocka_unit_test(test_texts_are_cut_into_pieces),
        cmocka_unit_test(test_long_samples_by_policy),
        cmocka_unit_test(test_pairs_stay_together),
        cmocka_unit_test(test_every_bad_line_is_told),
        cmocka_unit_test(test_what_is_no_lines_fault),
        cmocka_unit_test(test_a_line_beyond_the_bound),
        cmocka_unit_test(test_reading_can_be_stopped),
        cmocka_unit_test(test_split_keeps_groups_whole),
        cmocka_unit_test(test_split_of_pairs_names_the_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
