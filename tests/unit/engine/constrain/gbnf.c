/* Grammars in GBNF notation. */
#include "texts.h"

static void rules_groups_and_repetitions_work(void **state)
{
    (void)state;
    ft_test_texts(ft_grammar_from_gbnf,
                  "# a list\nroot ::= \"(\" item (\",\" item){0,2} \")\" | [a-z]+ # or a word\n"
                  "item ::= root |\n  [0-9]{2}\n",
                  TEXTS("+(12)", "+(a,b,c)", "-(a,b,c,d)", "+((a),(12,(x)))", "-()", "+word",
                        "-Word", "-(1)", "-(a"));
    ft_test_texts(ft_grammar_from_gbnf, "root ::= \"a\"* \"b\"? (\"c\" | \"\")+ .\n",
                  TEXTS("+aabx", "+é", "+ccc", "-", "-aa b"));
    ft_test_texts(ft_grammar_from_gbnf, "root ::= [^\"\\n\\x41-\\x43\\u00e9]{2,} \"\\\"\"",
                  TEXTS("+xy\"", "-xé\"", "-xA\"", "-x\"", "+x😀\""));
    ft_test_texts(ft_grammar_from_gbnf,
                  "root ::= ((\"a\")*)* \"b\" x{3}\nx ::= \"1\" | y\ny ::= \"2\"",
                  TEXTS("+aab122", "+b111", "-b11", "-aab1111"));
    ft_test_texts(ft_grammar_from_gbnf, "root ::= \"a\" {2} ( \"b\"\n ? ) \"c\" * # counts\n",
                  TEXTS("+aabcc", "+aa", "-abc", "-aabb"));
}

static void json_in_gbnf_works_at_depth(void **state)
{
    (void)state;
    ft_test_texts(
        ft_grammar_from_gbnf,
        "root ::= object\nvalue ::= object | array | string | number | \"true\" | \"null\"\n"
        "object ::= \"{\" (string \":\" value (\",\" string \":\" value)*)? \"}\"\n"
        "array ::= \"[\" (value (\",\" value)*)? \"]\"\n"
        "string ::= \"\\\"\" ([^\"\\\\\\x00-\\x1f] | \"\\\\\" [\"\\\\bfnrt/])* \"\\\"\"\n"
        "number ::= \"-\"? [0-9]+ (\".\" [0-9]+)?\n",
        TEXTS("+{}", "+{\"a\":[1,[true,{\"b\":\"\\n\"}]]}", "-{\"a\":[1,}", "-[]"));
}

static void what_cannot_end_or_begin_is_refused(void **state)
{
    (void)state;
    ft_test_refused(ft_grammar_from_gbnf, "root ::= root \"x\" | \"y\"", FT_EUNSUPPORTED,
                    "left-recursive");
    ft_test_refused(ft_grammar_from_gbnf, "root ::= a\na ::= \"\" b\nb ::= \"x\"? a",
                    FT_EUNSUPPORTED, "left-recursive");
    ft_test_refused(ft_grammar_from_gbnf, "root ::= \"x\" root", FT_EUNSUPPORTED, "no text");
    ft_test_refused(ft_grammar_from_gbnf, "root ::= x", FT_EINVAL, "rule x is not defined");
    ft_test_refused(ft_grammar_from_gbnf, "a ::= \"x\"", FT_EINVAL, "rule root is not defined");
    ft_test_refused(ft_grammar_from_gbnf, "root ::= \"x\nroot ::= \"y\"", FT_EINVAL, "line 1");
    ft_test_refused(ft_grammar_from_gbnf, "root ::= \"x\"\nroot ::= \"y\"", FT_EINVAL, "line 2");
    ft_test_refused(ft_grammar_from_gbnf, "root ::= (\"x\"", FT_EINVAL, "( is not closed");
    ft_test_refused(ft_grammar_from_gbnf, "root ::= [b-a]", FT_EINVAL, "range");
    ft_test_refused(ft_grammar_from_gbnf, "root ::= \"x\"{3,1}", FT_EINVAL, "repetition");
    /* a branch that never ends is left out, the rest works */
    ft_test_texts(ft_grammar_from_gbnf, "root ::= \"a\" | \"b\" x\nx ::= \"c\" x",
                  TEXTS("+a", "-bc"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_groups_and_repetitions_work),
        cmocka_unit_test(json_in_gbnf_works_at_depth),
        cmocka_unit_test(what_cannot_end_or_begin_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
