/* Names that may be in a backup, and the lines of its manifest. */
#include "backup/impl.h"

#include <sys/stat.h>

#include "base/file.h"

#include "testing.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void names_stay_within_the_folder(void **state)
{
    static const char *const good[] = {"a", "a/b", "..a", "a/...", ".hidden", "a b\n\\", "-"};
    static const char *const bad[] = {"",  "/",  "/a",   "a/",  "a//b",
                                      ".", "..", "a/..", "./a", "a/./b"};
    char longest[FT_BACKUP_NAME_MAX + 1];
    (void)state;
    for (size_t i = 0; i < FT_COUNT(good); i++)
        assert_true(ft_bk_name_ok(good[i]));
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        assert_false(ft_bk_name_ok(bad[i]));
    memset(longest, 'a', sizeof longest);
    longest[FT_BACKUP_NAME_MAX] = '\0';
    assert_false(ft_bk_name_ok(longest));
    longest[FT_BACKUP_NAME_MAX - 1] = '\0';
    assert_true(ft_bk_name_ok(longest));
}

static void a_line_is_read_as_it_was_written(void **state)
{
    static const char *const name[] = {"a", "a  b", "#a", "\\", "line\nand\r", "back\\n"};
    char line[BACKUP_LINE_MAX];
    struct ft_bk_line l;
    (void)state;
    for (size_t i = 0; i < FT_COUNT(name); i++) {
        ft_bk_line_file(HEX, name[i], line);
        assert_null(strchr(line, '\r'));
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        line[strlen(line) - 1] = '\0';
        assert_true(ft_bk_line_parse(line, &l));
        assert_int_equal(l.kind, LINE_FILE);
        assert_string_equal(l.name, name[i]);
        assert_string_equal(l.hex, HEX);
        ft_bk_line_note("link", name[i], line);
        line[strlen(line) - 1] = '\0';
        assert_true(ft_bk_line_parse(line, &l));
        assert_int_equal(l.kind, LINE_LINK);
        assert_string_equal(l.name, name[i]);
    }
    ft_bk_line_file(HEX, "a\nb", line); /* as sha256sum has it */
    assert_string_equal(line, "\\" HEX "  a\\nb\n");
}

static void what_is_no_line(void **state)
{
    static const char *const bad[] = {
        "",        "#",          "a", HEX, HEX " a", HEX "  ", "\\" HEX "  a\\x", "\\" HEX "  a\\",
        "# link ", "A" HEX "  a"};
    struct ft_bk_line l;
    (void)state;
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        assert_false(ft_bk_line_parse(bad[i], &l));
}

/* What is written is read again; what is written before an abort is nowhere. */
static void there_and_back(void **state)
{
    static const struct ft_backup_watch watch = {0};
    char dir[] = "/tmp/ft_backup_XXXXXX", dest[64], text[64];
    struct ft_backup_out *o = NULL;
    struct ft_backup_in *in = NULL;
    struct ft_backup_member m;
    struct ft_backup_sum sum;
    struct ft_err err = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (int tar = 0; tar < 2; tar++) {
        snprintf(dest, sizeof dest, "%s/b%s", dir, tar ? ".tar" : "");
        assert_int_equal(ft_backup_create(dest, NULL, &watch, &o, &err), 0);
        assert_int_equal(ft_backup_put(o, "BACKUP", "{\"format\":1}", 12, &err), 0);
        ft_backup_abort(o);
        assert_int_equal(access(dest, F_OK), -1);
        assert_int_equal(ft_backup_create(dest, NULL, &watch, &o, &err), 0);
        assert_int_equal(ft_backup_put(o, "BACKUP", "{\"format\":1}", 12, &err), 0);
        assert_int_equal(ft_backup_put(o, "../a", "", 0, &err), FT_EINVAL);
        assert_int_equal(ft_backup_put(o, "a/b", "bytes", 5, &err), 0);
        assert_int_equal(ft_backup_put(o, "empty", "", 0, &err), 0);
        assert_int_equal(ft_backup_symlink(o, "soft", "a/b", &err), 0);
        assert_int_equal(ft_backup_commit(o, &sum, &err), 0);
        assert_int_equal(sum.files, 3);
        assert_int_equal(sum.bytes, 17);
        assert_int_equal(ft_backup_open(dest, &watch, &in, &err), 0);
        assert_int_equal(ft_backup_next(in, &m, &err), 1);
        assert_string_equal(m.name, "a/b");
        assert_int_equal(ft_backup_read(in, text, sizeof text, &err), 5);
        assert_memory_equal(text, "bytes", 5);
        assert_int_equal(ft_backup_read(in, text, sizeof text, &err), 0);
        assert_int_equal(ft_backup_next(in, &m, &err), 1);
        assert_int_equal(m.bytes, 0);
        assert_int_equal(ft_backup_next(in, &m, &err), 1);
        assert_int_equal(m.kind, FT_BACKUP_SYMLINK);
        assert_string_equal(m.target, "a/b");
        assert_int_equal(ft_backup_next(in, &m, &err), 0);
        ft_backup_close(in);
        assert_int_equal(ft_backup_create(dest, NULL, &watch, &o, &err), FT_EEXIST);
    }
    snprintf(text, sizeof text, "rm -r %s", dir);
    assert_int_equal(system(text), 0);
}

/* Hashes are taken over from an earlier backup only as they were written. */
static void an_earlier_one_that_has_changed(void **state)
{
    static const struct ft_backup_watch watch = {0};
    char dir[] = "/tmp/ft_backup_XXXXXX", one[64], two[64], path[80], rm[64], *text = NULL;
    struct ft_backup_out *o = NULL;
    struct ft_backup_sum sum;
    struct ft_err err = {0};
    size_t n;
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(one, sizeof one, "%s/one", dir);
    snprintf(two, sizeof two, "%s/two", dir);
    snprintf(path, sizeof path, "%s/MANIFEST", one);
    assert_int_equal(ft_backup_create(one, NULL, &watch, &o, &err), 0);
    assert_int_equal(ft_backup_put(o, "BACKUP", "{\"format\":1}", 12, &err), 0);
    assert_int_equal(ft_backup_put(o, "a", "bytes", 5, &err), 0);
    assert_int_equal(ft_backup_commit(o, &sum, &err), 0);
    assert_int_equal(ft_file_read(path, 1 << 16, &text, &n, &err), 0);
    for (size_t cut = 0; cut < 2; cut++) { /* another hash; no seal */
        char was = text[0];
        text[0] = was == '0' ? '1' : '0';
        assert_int_equal(ft_file_put(path, text, cut ? n - 1 : n, &err), 0);
        text[0] = was;
        assert_int_equal(ft_backup_create(two, one, &watch, &o, &err), FT_ECORRUPT);
        assert_non_null(strstr(err.msg, one));
    }
    assert_int_equal(ft_file_put(path, text, n, &err), 0);
    assert_int_equal(ft_backup_create(two, one, &watch, &o, &err), 0);
    ft_backup_abort(o);
    free(text);
    snprintf(rm, sizeof rm, "rm -r %s", dir);
    assert_int_equal(system(rm), 0);
}

/* What is compressed in a way that a program of its own reads is no backup, and none is run. */
static void no_program_reads_it(void **state)
{
    static const struct ft_backup_watch watch = {0};
    static const char bytes[512] = "LRZI\0\6"; /* as of lrzip */
    static const char script[] = "#!/bin/sh\n: > \"${0%/*}/ran\"\n";
    char dir[] = "/tmp/ft_backup_XXXXXX", path[64], program[64], ran[64], rm[64];
    const char *was = getenv("PATH");
    struct ft_backup_in *in = NULL;
    struct ft_err err = {0};
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/b.tar", dir);
    snprintf(program, sizeof program, "%s/lrzip", dir);
    snprintf(ran, sizeof ran, "%s/ran", dir);
    assert_int_equal(ft_file_put(path, bytes, sizeof bytes, &err), 0);
    assert_int_equal(ft_file_put(program, script, strlen(script), &err), 0);
    assert_int_equal(chmod(program, 0755), 0);
    char *keep = strdup(was != NULL ? was : "/usr/bin:/bin");
    setenv("PATH", dir, 1);
    assert_int_equal(ft_backup_open(path, &watch, &in, &err), FT_ECORRUPT);
    setenv("PATH", keep, 1);
    free(keep);
    assert_int_equal(access(ran, F_OK), -1);
    snprintf(rm, sizeof rm, "rm -r %s", dir);
    assert_int_equal(system(rm), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stay_within_the_folder),
        cmocka_unit_test(a_line_is_read_as_it_was_written),
        cmocka_unit_test(what_is_no_line),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(an_earlier_one_that_has_changed),
        cmocka_unit_test(no_program_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
