/* JSON Schema, keyword by keyword: what is taken, what is not, what is refused. */
#include "texts.h"

static void takes(const char *schema, const char *const *texts)
{
    ft_test_texts(ft_grammar_from_schema, schema, texts);
}

static void refuses(const char *schema, int code, const char *word)
{
    ft_test_refused(ft_grammar_from_schema, schema, code, word);
}

static void types_are_kept_apart(void **state)
{
    (void)state;
    takes("{\"type\":\"integer\"}", TEXTS("+0", "+-12", "-1.0", "-1e3", "-01", "-\"1\"", "--"));
    takes("{\"type\":[\"null\",\"boolean\"]}", TEXTS("+null", "+true", "+false", "-nul", "-0"));
    takes("{}",
          TEXTS("+{}", "+[1,[2,{\"a\":null}]]", "+\"x\"", "+-0.5e-3", "-", "-[1,]", "-{\"a\"}"));
    takes("{\"type\":\"string\"}",
          TEXTS("+\"\"", "+\"\\u00e9\\ud83d\\ude00\\n\"", "+\"é😀\"", "-\"\n\"", "-\"\\x\"",
                "-\"\\ud83d\"", "-\"\\udc00\"", "-\"\xc0\x80\"", "-\"\xed\xa0\x80\"", "-\"a"));
}

static void numbers_keep_to_their_bounds_exactly(void **state)
{
    (void)state;
    takes("{\"type\":\"number\",\"minimum\":-1.5,\"exclusiveMaximum\":10}",
          TEXTS("+-1.5", "+-1.50", "--1.51", "+9.999", "-10", "+0", "--2", "-10.0"));
    takes("{\"type\":\"integer\",\"minimum\":3,\"exclusiveMinimum\":true,\"maximum\":1200}",
          TEXTS("-3", "+4", "+1200", "-1201", "-12000", "+999"));
    takes("{\"type\":\"number\",\"multipleOf\":0.01}", TEXTS("+1.25", "+3", "-1.255", "+-0.07"));
    takes("{\"type\":\"integer\",\"multipleOf\":7,\"not\":{\"multipleOf\":2}}",
          TEXTS("+7", "-14", "+21", "-8", "+-7", "-0"));
    takes("{\"enum\":[1,2.50,\"a\",null,[1,{\"b\":2}]]}",
          TEXTS("+1", "+1.0", "+2.5", "+2.50", "+\"a\"", "+\"\\u0061\"", "+null", "+[1,{\"b\":2}]",
                "-[1,{\"b\":3}]", "-3", "-[1]"));
    takes(
        "{\"type\":\"integer\",\"maximum\":18446744073709551615,\"minimum\":18446744073709551614}",
        TEXTS("+18446744073709551615", "-18446744073709551616", "-18446744073709551613"));
}

static void strings_keep_to_patterns_lengths_and_formats(void **state)
{
    (void)state;
    takes("{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
          TEXTS("-\"a\"", "+\"ab\"", "+\"éé\\u0041\"", "-\"abcd\"", "-\"\\ud83d\\ude00\""));
    takes("{\"type\":\"string\",\"pattern\":\"^[a-z]+$\",\"maxLength\":5000}",
          TEXTS("+\"abc\"", "-\"aBc\"", "-\"\"", "+\"\\u0061\""));
    takes("{\"type\":\"string\",\"not\":{\"pattern\":\"b\"},\"minLength\":1}",
          TEXTS("+\"ac\"", "-\"abc\"", "-\"\"", "-\"\\u0062\""));
    takes("{\"format\":\"date\",\"type\":\"string\"}",
          TEXTS("+\"2024-02-29\"", "-\"2023-02-29\"", "-\"2023-04-31\"", "-\"2023-13-01\""));
    takes("{\"format\":\"email\",\"maxLength\":1024,\"type\":\"string\"}",
          TEXTS("+\"a.b@example.com\"", "-\"a b@example.com\"", "-\"a@\""));
    takes("{\"format\":\"no-such-format\",\"type\":\"string\"}", TEXTS("+\"x\""));
    takes("{\"format\":\"uri\"}", TEXTS("+\"https://a.b/c?d#e\"", "-\" invalid uri \"", "+1"));
}

static void objects_take_keys_in_any_order_once(void **state)
{
    (void)state;
    const char *schema = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"ab\":"
                         "{\"type\":\"null\"}},"
                         "\"required\":[\"a\"],\"additionalProperties\":false}";
    takes(schema, TEXTS("+{\"a\":1}", "+{\"ab\":null,\"a\":1}", "+{\"a\":1, \"ab\": null}", "-{}",
                        "-{\"a\":1,\"a\":2}", "-{\"ab\":null}", "-{\"a\":1,\"x\":1}",
                        "-{\"a\":null}", "+{\"\\u0061\":1}", "-{\"\\u0061\":1,\"a\":1}"));
    takes(
        "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"},\"maxProperties\":2}",
        TEXTS("+{\"x\":1,\"y\":2}", "-{\"x\":1,\"x\":2}", "-{\"x\":1,\"y\":2,\"z\":3}",
              "-{\"x\":\"\"}"));
    takes("{\"type\":\"object\",\"patternProperties\":{\"^n_\":{\"type\":\"integer\"}},"
          "\"properties\":{\"n_a\":{\"minimum\":5}}}",
          TEXTS("+{\"n_a\":5}", "-{\"n_a\":4}", "-{\"n_a\":\"x\"}", "-{\"n_b\":\"x\"}",
                "+{\"m\":\"x\"}"));
    takes("{\"type\":\"object\",\"dependencies\":{\"a\":[\"b\"]}}",
          TEXTS("+{\"b\":1}", "-{\"a\":1}", "+{\"a\":1,\"b\":2}", "+{}"));
    takes("{\"type\":\"object\",\"propertyNames\":{\"maxLength\":2},\"minProperties\":1}",
          TEXTS("-{}", "+{\"ab\":1}", "-{\"abc\":1}"));
    takes("{\"type\":\"object\",\"patternProperties\":{\"^[01]$\":true},\"additionalProperties\":"
          "false,"
          "\"minProperties\":2}",
          TEXTS("+{\"1\":1,\"0\":2}", "-{\"0\":1}", "-{\"0\":1,\"0\":1}"));
}

static void arrays_keep_to_items_contains_and_uniqueness(void **state)
{
    (void)state;
    takes("{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":2}",
          TEXTS("-[]", "+[1]", "+[1, 2]", "-[1,2,3]", "-[\"\"]"));
    takes("{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"}],\"items\":false}",
          TEXTS("+[]", "+[1]", "-[1,1]", "-[null]"));
    takes("{\"type\":\"array\",\"items\":[{\"type\":\"integer\"}],\"additionalItems\":{\"type\":"
          "\"null\"}}",
          TEXTS("+[1,null,null]", "-[1,1]"));
    takes("{\"type\":\"array\",\"contains\":{\"const\":5},\"maxItems\":3}",
          TEXTS("+[5]", "+[1,2,5]", "-[1,2,3]", "-[]", "+[5,5]"));
    takes("{\"type\":\"array\",\"contains\":{\"const\":5},\"maxContains\":1}",
          TEXTS("+[5]", "+[1,5,2]", "-[5,5]", "-[1]"));
    takes("{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"enum\":[\"a\",\"b\",1,2]},"
          "\"minItems\":4}",
          TEXTS("+[\"a\",1,\"b\",2]", "-[\"a\",1,\"b\",\"a\"]", "-[\"a\",1,1.0,2]",
                "-[\"a\",\"\\u0061\",1,2]"));
    takes("{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"string\",\"pattern\":\"^["
          "ab]$\"}}",
          TEXTS("+[\"b\",\"a\"]", "-[\"a\",\"a\"]", "-[\"a\",\"b\",\"a\"]"));
}

static void combinations_are_exact(void **state)
{
    (void)state;
    takes("{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}",
          TEXTS("+1", "-3", "+2.5", "-1.5", "+\"x\""));
    takes("{\"type\":\"object\",\"oneOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
          TEXTS("+{\"a\":1}", "+{\"b\":1}", "-{\"a\":1,\"b\":1}", "-{}"));
    takes("{\"anyOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":1},\"v\":{\"type\":"
          "\"null\"}},"
          "\"required\":[\"k\",\"v\"]},{\"type\":\"object\",\"properties\":{\"k\":{\"const\":2}},"
          "\"required\":[\"k\"]}]}",
          TEXTS("+{\"v\":null,\"k\":1}", "-{\"v\":1,\"k\":1}", "+{\"v\":1,\"k\":2}", "-{\"k\":1}"));
    takes("{\"if\":{\"properties\":{\"a\":{\"const\":1}},\"required\":[\"a\"]},\"then\":{"
          "\"required\":[\"b\"]},"
          "\"else\":{\"maxProperties\":1}}",
          TEXTS("+{\"a\":1,\"b\":2}", "-{\"a\":1}", "+{\"a\":2}", "-{\"a\":2,\"c\":1}", "+3"));
    takes("{\"not\":{\"properties\":{\"a\":{\"type\":\"string\"}}},\"type\":\"object\"}",
          TEXTS("+{\"a\":1}", "-{\"a\":\"\"}", "-{}", "+{\"b\":\"\",\"a\":[]}"));
    takes(
        "{\"type\":\"object\",\"not\":{\"additionalProperties\":{\"type\":\"integer\"}},"
        "\"maxProperties\":2}",
        TEXTS("+{\"x\":\"\"}", "-{\"x\":1}", "+{\"x\":1,\"y\":null}", "-{\"x\":1,\"y\":2}", "-{}"));
    takes("{\"allOf\":[{\"type\":\"string\",\"pattern\":\"a\"},{\"pattern\":\"b\"},{\"maxLength\":"
          "2}]}",
          TEXTS("+\"ab\"", "+\"ba\"", "-\"aa\"", "-\"abc\""));
}

static void references_may_be_recursive(void **state)
{
    (void)state;
    takes("{\"$ref\":\"#/$defs/"
          "n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":"
          "\"integer\"},\"next\":{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#/$defs/n\"}]}},"
          "\"required\":[\"v\",\"next\"],\"additionalProperties\":false}}}",
          TEXTS("+{\"v\":1,\"next\":null}", "+{\"v\":1,\"next\":{\"next\":null,\"v\":2}}",
                "-{\"v\":1}"));
    takes("{\"$id\":\"http://x/y\",\"properties\":{\"a\":{\"$ref\":\"#b\"}},\"definitions\":{\"q\":"
          "{\"$id\":\"#b\",\"type\":\"null\"}}}",
          TEXTS("+{\"a\":null}", "-{\"a\":1}"));
    takes(
        "{\"properties\":{\"a~/b\":{\"type\":\"null\"},\"c\":{\"$ref\":\"#/properties/a~0~1b\"}}}",
        TEXTS("+{\"c\":null}", "-{\"c\":1}"));
}

static void what_cannot_be_enforced_is_refused_by_name(void **state)
{
    (void)state;
    refuses("{\"unevaluatedProperties\":false}", FT_EUNSUPPORTED, "unevaluatedProperties at #");
    refuses("{\"properties\":{\"a\":{\"pattern\":\"(a)\\\\1\"}}}", FT_EUNSUPPORTED,
            "pattern at #/properties/a");
    refuses("{\"$ref\":\"http://elsewhere/x.json\"}", FT_EUNSUPPORTED, "$ref");
    refuses("{\"required\":\"a\"}", FT_EINVAL, "required at #: an array of strings");
    refuses("{\"$ref\":\"#/nowhere\"}", FT_EUNSUPPORTED, "$ref");
    refuses("{\"$ref\":\"#\"}", FT_EUNSUPPORTED, "$ref");
    refuses("{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"object\"}}",
            FT_EUNSUPPORTED, "uniqueItems");
    refuses("{\"type\":\"string\",\"pattern\":\"^a$\",\"minLength\":2}", FT_EUNSUPPORTED,
            "no value");
    refuses("{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"array\",\"minItems\":1,\"items\":"
            "{\"$ref\":\"#/$defs/a\"}}}}",
            FT_EUNSUPPORTED, "no value");
    refuses("{\"type\":\"strnig\"}", FT_EINVAL, "type at #");
    refuses("{\"multipleOf\":0}", FT_EINVAL, "multipleOf");
    refuses("{\"type\":", FT_EINVAL, "JSON");
    refuses("[]", FT_EINVAL, "schema");
}

static void whitespace_and_depth_are_bounded(void **state)
{
    (void)state;
    takes("{}", TEXTS("+{\"a\": 1, \"b\": [1, 2]}", "+{\n  \"a\": [\n    1\n  ]\n}", "+{ \"a\":1 }",
                      "+[\n\t[\n\t\t1\n\t]\n]", "+[\n1,\n2\n]", "+[\n    1\n]", "+[]",
                      "-[\n     1\n]", "-[\n\t\t1]", "-[\n \t1]", "-[\n\t 1]", "-[\n 1\n ]",
                      "-[\t1]", "-[  1]", "-[1  ]", "-[1 ,2]", "-{\"a\":\n1}", "-{\"a\":  1}",
                      "- 1", "-1 ", "-[1] ", "-[\n\n1]", "-[ \n1]", "-{\"a\" :1}"));
    /* space before a bracket that may not come yet would promise what cannot be kept */
    takes("{\"minItems\":2}", TEXTS("+[1, 2 ]", "-[1 ", "-[1\n"));
    char text[400];
    memset(text, 0, sizeof text);
    text[0] = '+';
    memset(text + 1, '[', 64);
    memset(text + 65, ']', 64);
    takes("{}", TEXTS(text));
    memset(text, 0, sizeof text);
    text[0] = '-';
    memset(text + 1, '[', 65);
    memset(text + 66, ']', 65);
    takes("{}", TEXTS(text));
}

static void a_byte_order_mark_is_none_of_a_schema(void **state)
{
    (void)state;
    takes("\xef\xbb\xbf{\"type\":\"integer\"}", TEXTS("+12", "-true"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_kept_apart),
        cmocka_unit_test(numbers_keep_to_their_bounds_exactly),
        cmocka_unit_test(strings_keep_to_patterns_lengths_and_formats),
        cmocka_unit_test(objects_take_keys_in_any_order_once),
        cmocka_unit_test(arrays_keep_to_items_contains_and_uniqueness),
        cmocka_unit_test(combinations_are_exact),
        cmocka_unit_test(references_may_be_recursive),
        cmocka_unit_test(what_cannot_be_enforced_is_refused_by_name),
        cmocka_unit_test(whitespace_and_depth_are_bounded),
        cmocka_unit_test(a_byte_order_mark_is_none_of_a_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
