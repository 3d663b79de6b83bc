/* Cookies out of their header. */
#include "testing.h"

#include "net/cookie.h"

static void expect(const char *header, const char *want)
{
    struct ft_slice v = {"", 0};
    bool found = ft_cookie_find(header, "sid", &v);
    if (found != (want != NULL))
        fail_msg("'%s': %s", header != NULL ? header : "NULL", found ? "found" : "not found");
    if (want != NULL) {
        assert_int_equal(strlen(want), v.n);
        assert_memory_equal(want, v.p, v.n);
    }
}

static void a_cookie_is_found_by_its_whole_name(void **state)
{
    (void)state;
    expect(NULL, NULL);
    expect("", NULL);
    expect("sid", NULL);
    expect("sid=", "");
    expect("sid=abc", "abc");
    expect("a=b; sid=abc; c=d", "abc");
    expect("a=b;sid=abc", "abc");
    expect("  sid=abc \t; c=d", "abc");
    expect("xsid=1; sidx=2; SID=3", NULL);
    expect("sid=first; sid=second", "first");
    expect("sid=\"quoted\"", "quoted");
    expect("sid=\"", "\"");
    expect("sid=a=b", "a=b");
    expect("other=\"x; sid=abc\"", "abc\""); /* quotes hide nothing: as browsers see it */
    expect(";;;;=;sid=z", "z");
}

static void so_many_are_looked_at(void **state)
{
    (void)state;
    char header[4 * FT_COOKIES_MAX + 16] = "";
    for (int i = 0; i < FT_COOKIES_MAX - 1; i++)
        strcat(header, "a=b;");
    strcat(header, "sid=last");
    expect(header, "last");
    memmove(header + 4, header, strlen(header) + 1);
    memcpy(header, "a=b;", 4);
    expect(header, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_cookie_is_found_by_its_whole_name),
                                       cmocka_unit_test(so_many_are_looked_at)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
