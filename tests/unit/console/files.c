/* The console's table: what is at a path, in which coding, and what If-None-Match names. */
#include "testing.h"

#include "console/console.h"

static const struct ft_console_file *ending_in(const char *end)
{
    const struct ft_console_file *f;
    for (size_t i = 0; (f = ft_console_each(i)) != NULL; i++) {
        size_t n = strlen(f->name), n_end = strlen(end);
        if (n > n_end && strcmp(f->name + n - n_end, end) == 0)
            return f;
    }
    fail_msg("no file ends in %s", end);
    return NULL;
}

static void test_every_file_is_found_by_its_name(void **state)
{
    const struct ft_console_file *f, *last = NULL;
    size_t i, n;
    (void)state;
    for (i = 0; (f = ft_console_each(i)) != NULL; last = f, i++) {
        assert_ptr_equal(ft_console_find(f->name), f);
        assert_true(last == NULL || strcmp(last->name, f->name) < 0);
        assert_non_null(ft_console_bytes(f, FT_CONSOLE_PLAIN, &n));
        assert_true(n > 0);
        assert_int_equal(f->immutable, strncmp(f->name, "assets/", 7) == 0);
        for (int c = FT_CONSOLE_BR; c < FT_CONSOLE_CODINGS; c++)
            assert_true(f->bytes[c].n < f->bytes[FT_CONSOLE_PLAIN].n);
    }
    assert_true(i >= 4); /* the page, a style sheet, scripts */
}

static void test_bytes_are_those_of_the_file(void **state)
{
    size_t n;
    (void)state;
    const struct ft_console_file *f = ft_console_find("index.html");
    const char *page = ft_console_bytes(f, FT_CONSOLE_PLAIN, &n);
    assert_memory_equal(page, "<!doctype html>", 15);
    assert_memory_equal(page + n - 8, "</html>\n", 8);
    const unsigned char *gzip = ft_console_bytes(f, FT_CONSOLE_GZIP, &n);
    assert_int_equal(gzip[0], 0x1f);
    assert_int_equal(gzip[1], 0x8b);
}

static void test_addresses_of_pages_are_the_application(void **state)
{
    (void)state;
    const struct ft_console_file *index = ft_console_find("index.html");
    assert_non_null(index);
    assert_ptr_equal(ft_console_at(""), index);
    assert_ptr_equal(ft_console_at("models/org/name"), index);
    assert_ptr_equal(ft_console_at("storage/../x.js"), index);
    assert_null(ft_console_at("assets/"));
    assert_null(ft_console_at("assets/gone-12345678.js"));
    assert_ptr_equal(ft_console_at(ending_in(".css")->name), ending_in(".css"));
}

static void test_the_smallest_coding_that_is_taken(void **state)
{
    (void)state;
    const struct ft_console_file *f = ending_in(".css");
    static const struct {
        const char *accept;
        enum ft_console_coding coding;
    } cases[] = {
        {NULL, FT_CONSOLE_PLAIN},
        {"", FT_CONSOLE_PLAIN},
        {"identity", FT_CONSOLE_PLAIN},
        {"gzip", FT_CONSOLE_GZIP},
        {"GZIP", FT_CONSOLE_GZIP},
        {"gzip, deflate, br, zstd", FT_CONSOLE_BR},
        {"br;q=1.0, gzip;q=0.8, *;q=0.1", FT_CONSOLE_BR},
        {"br ; q=0 , gzip", FT_CONSOLE_GZIP},
        {"br;q=0.000, gzip;q=0", FT_CONSOLE_PLAIN},
        {"br;q=0.001", FT_CONSOLE_BR},
        {"*", FT_CONSOLE_BR},
        {"*;q=0.5, br;q=0", FT_CONSOLE_GZIP},
        {"gzip;q=0, *", FT_CONSOLE_BR},
        {"*;q=0", FT_CONSOLE_PLAIN},
        {"brotli, xgzip", FT_CONSOLE_PLAIN},
        {",,;;,;q=,", FT_CONSOLE_PLAIN},
        {"br;q", FT_CONSOLE_BR},
        {"deflate;q=0,br", FT_CONSOLE_BR},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ft_console_choose(f, cases[i].accept) != cases[i].coding)
            fail_msg("%s", cases[i].accept);
}

static void test_lists_of_etags(void **state)
{
    (void)state;
    assert_false(ft_console_matches(NULL, "\"a\""));
    assert_false(ft_console_matches("", "\"a\""));
    assert_true(ft_console_matches("*", "\"a\""));
    assert_true(ft_console_matches("\"a\"", "\"a\""));
    assert_true(ft_console_matches("W/\"a\"", "\"a\""));
    assert_true(ft_console_matches("\"b\", W/\"c,\" ,\"a\"", "\"a\""));
    assert_false(ft_console_matches("\"b\", \"ab\"", "\"a\""));
    assert_false(ft_console_matches("a", "\"a\""));
    assert_false(ft_console_matches("\"a", "\"a\""));
    assert_false(ft_console_matches("\"x", "\"a\""));
    assert_false(ft_console_matches("\"a-br\"", "\"a\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_file_is_found_by_its_name),
        cmocka_unit_test(test_bytes_are_those_of_the_file),
        cmocka_unit_test(test_addresses_of_pages_are_the_application),
        cmocka_unit_test(test_the_smallest_coding_that_is_taken),
        cmocka_unit_test(test_lists_of_etags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
