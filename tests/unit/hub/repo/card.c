/* Cards: the YAML of README.md as JSON. */
#include "hub/repo/repo.h"
#include "testing.h"

static void check(const char *text, const char *want)
{
    json_t *got = ft_repo_card_parse(text, strlen(text));
    json_t *expected = json_loads(want, 0, NULL);
    if (!json_equal(got, expected)) {
        char *s = json_dumps(got, JSON_COMPACT);
        fail_msg("%s\nis %s", text, s);
    }
    json_decref(got);
    json_decref(expected);
}

static void test_cards_as_they_are_written(void **state)
{
    (void)state;
    check(
        "---\nlicense: apache-2.0\nlanguage:\n- en\n- zh\ntags: [chat, 'a b', \"c\"]\n"
        "pipeline_tag: text-generation # what it does\nlibrary_name: \"transformers\"\n---\n# Hi\n",
        "{\"license\":\"apache-2.0\",\"language\":[\"en\",\"zh\"],\"tags\":[\"chat\",\"a "
        "b\",\"c\"],"
        "\"pipeline_tag\":\"text-generation\",\"library_name\":\"transformers\"}");
    check("---\r\nlicense: mit\r\n---\r\n", "{\"license\":\"mit\"}");
    check("---\nmodel-index:\n- name: x\n  results:\n    - task:\n        type: t\n      metrics:\n"
          "        - value: 0.5\n          name: acc\n---\n",
          "{\"model-index\":[{\"name\":\"x\",\"results\":[{\"task\":{\"type\":\"t\"},"
          "\"metrics\":[{\"value\":0.5,\"name\":\"acc\"}]}]}]}");
    check("---\na: |\n  one\n    two\n\n  three\nb: >-\n  x\n  y\nc: true\nd: ~\ne: 12\n---\n",
          "{\"a\":\"one\\n  two\\n\\nthree\",\"b\":\"x y\",\"c\":true,\"d\":null,\"e\":12}");
}

static void test_what_is_no_card_is_empty(void **state)
{
    (void)state;
    check("# Title\n", "{}");
    check("", "{}");
    check("---\nlicense: mit\n", "{}"); /* it never ends */
    check("---\n- a\n- b\n---\n", "{}");
    check("---\n\xff: x\n---\n", "{}");
    check("---\n---\n", "{}");
}

static void test_a_byte_order_mark_is_none_of_it(void **state)
{
    (void)state;
    check("\xef\xbb\xbf---\nlicense: mit\n---\n", "{\"license\":\"mit\"}");
    check("\xef\xbb---\nlicense: mit\n---\n", "{}"); /* a part of one is no text */
}

static void test_what_is_too_large_is_empty(void **state)
{
    (void)state;
    size_t n = 500000; /* of tags, a hundred times as much memory as text */
    char *text = malloc(n + 64);
    int at = sprintf(text, "---\ntags: [");
    for (size_t i = (size_t)at; i < n; i += 2)
        memcpy(text + i, "a,", 3);
    strcpy(text + strlen(text), "b]\n---\n");
    json_t *got = ft_repo_card_parse(text, strlen(text));
    assert_int_equal(json_object_size(got), 0);
    json_decref(got);
    free(text);
}

static void test_hostile_ones_end(void **state)
{
    (void)state;
    size_t n = 400000;
    char *text = malloc(n + 8);
    strcpy(text, "---\n");
    memset(text + 4, '-', n);
    for (size_t i = 5; i < n; i += 2)
        text[i] = ' ';
    strcpy(text + n, "\n---\n");
    json_decref(ft_repo_card_parse(text, strlen(text)));
    for (size_t i = 4; i + 2 < n; i += 2)
        memcpy(text + i, "[,", 2);
    json_decref(ft_repo_card_parse(text, strlen(text)));
    char *p = text + 4;
    for (int i = 0; i < 300; i++)
        p += sprintf(p, "%*sk:\n", i, "");
    strcpy(p, "---\n");
    json_decref(ft_repo_card_parse(text, strlen(text)));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cards_as_they_are_written),
        cmocka_unit_test(test_what_is_no_card_is_empty),
        cmocka_unit_test(test_a_byte_order_mark_is_none_of_it),
        cmocka_unit_test(test_what_is_too_large_is_empty),
        cmocka_unit_test(test_hostile_ones_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
