/* Regular expressions as whole-text grammars, and in `pattern`'s way of searching. */
#include "texts.h"

static void the_whole_text_must_match(void **state)
{
    (void)state;
    ft_test_texts(ft_grammar_from_regex, "[0-9]{2}-x+",
                  TEXTS("+12-x", "+12-xxx", "-1-x", "-12-", "-a12-x", "-12-xy"));
    ft_test_texts(ft_grammar_from_regex, "(?:a|bc)*d?",
                  TEXTS("+", "+abca", "+abcd", "-abd d", "-b"));
    ft_test_texts(ft_grammar_from_regex, "[^a-c\\d]|\\u00e9{2}|\\p{Lu}x",
                  TEXTS("+d", "-a", "-5", "+éé", "+Éx", "-éx", "+😀", "-\xf0\x9f"));
    ft_test_texts(ft_grammar_from_regex, "a{0}b{2,}?c{1,2}",
                  TEXTS("+bbc", "+bbbcc", "-bc", "-bbccc"));
    ft_test_texts(ft_grammar_from_regex, "x{,3}|[]", TEXTS("+x{,3}", "-x", "-xxx"));
}

static void assertions_hold_where_they_stand(void **state)
{
    (void)state;
    ft_test_texts(ft_grammar_from_regex, ".*\\bfoo\\b.*",
                  TEXTS("+a foo b", "+foo", "-afoo", "-foob"));
    ft_test_texts(ft_grammar_from_regex, "(?!@@)[@a-z]+", TEXTS("+@a", "+a@@", "-@@a"));
    ft_test_texts(ft_grammar_from_regex, "(?:(?!foo).)*", TEXTS("+fofo", "-afoob", "+"));
    ft_test_texts(ft_grammar_from_regex, "(?=.*[0-9])(?=.*[a-z]).{4,6}",
                  TEXTS("+abc1", "-abcd", "-1234", "+1a2b3c", "-a1", "-a1b2c3d"));
    ft_test_texts(ft_grammar_from_regex, "a^b|c$|^d", TEXTS("-ab", "+c", "+d"));
    ft_test_texts(ft_grammar_from_regex, "a(?=b)(b|c)", TEXTS("+ab", "-ac"));
}

static void patterns_are_searched_for(void **state)
{
    (void)state;
    ft_test_texts(ft_grammar_from_schema, "{\"pattern\":\"b+$|^x\"}",
                  TEXTS("+\"abb\"", "-\"abc\"", "+\"xyz\"", "-\"ax\""));
    ft_test_texts(ft_grammar_from_schema, "{\"pattern\":\"\"}", TEXTS("+\"\"", "+\"abc\""));
}

static void other_dialects_are_refused(void **state)
{
    (void)state;
    static const char *const unsupported[] = {
        "(a)\\1", "(?<=a)b", "(?i)a", "a++", "\\Ab", "\\p{Greek}", "(a|b)*a(a|b){40}", "a{100001}"};
    for (size_t i = 0; i < FT_COUNT(unsupported); i++)
        ft_test_refused(ft_grammar_from_regex, unsupported[i], FT_EUNSUPPORTED,
                        "regular expression");
    static const char *const bad[] = {"(a",    "a)",     "[a", "*a",
                                      "[b-a]", "a{3,2}", "\\", "a\\u{110000}"};
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        ft_test_refused(ft_grammar_from_regex, bad[i], FT_EINVAL, "regular expression");
    ft_test_refused(ft_grammar_from_regex, "a[]", FT_EUNSUPPORTED, "no text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_whole_text_must_match),
        cmocka_unit_test(assertions_hold_where_they_stand),
        cmocka_unit_test(patterns_are_searched_for),
        cmocka_unit_test(other_dialects_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
