/* Prices: strings to whole nanos, the longest pattern, what a request costs. */
#include "testing.h"

#include "ledger/prices.h"

static void test_strings_are_whole_nanos_or_refused(void **state)
{
    (void)state;
    struct ft_err err;
    int64_t nanos = -1;
    assert_int_equal(ft_price_parse("0.15", "input", &nanos, &err), 0);
    assert_int_equal(nanos, 150);
    assert_int_equal(ft_price_parse("1000000", "input", &nanos, &err), 0);
    assert_int_equal(nanos, FT_PRICE_NANOS_MAX);
    static const char *const bad[] = {"", "0.0001", "-1", "1e3", "1000000.001", "1 ", "x", "1."};
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        assert_int_equal(ft_price_parse(bad[i], "output", &nanos, &err), FT_EINVAL);
        assert_non_null(strstr(err.msg, "output"));
        assert_int_equal(nanos, FT_PRICE_NANOS_MAX);
    }
}

static void test_cost_is_by_direction(void **state)
{
    (void)state;
    struct ft_price p = {150, 75, 600};
    assert_int_equal(ft_price_cost(&p, 1000, 0, 10), 156000);
    assert_int_equal(ft_price_cost(&p, 1000, 400, 10), 600 * 150 + 400 * 75 + 6000);
    assert_int_equal(ft_price_cost(&p, 10, 400, 0), 10 * 75); /* no more cached than there are */
    struct ft_price most = {FT_PRICE_NANOS_MAX, 0, FT_PRICE_NANOS_MAX};
    assert_int_equal(ft_price_cost(&most, INT64_MAX / 2, 0, INT64_MAX / 2), INT64_MAX);
}

static int put(struct ft_prices *p, const char *id, const char *body, struct ft_err *err)
{
    json_t *json = json_loads(body, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    int rc = ft_prices_put(p, id, json, err);
    json_decref(json);
    return rc;
}

static int64_t input_of(struct ft_prices *p, const char *model)
{
    struct ft_price price;
    ft_prices_find(p, model, &price);
    return price.input;
}

static void test_the_longest_pattern_holds(void **state)
{
    (void)state;
    struct ft_prices p;
    struct ft_err err;
    ft_prices_init(&p);
    assert_int_equal(input_of(&p, "nano"), 0);
    assert_int_equal(put(&p, "a", "{\"model\":\"*\",\"input\":\"1\",\"output\":\"2\"}", &err), 0);
    assert_int_equal(put(&p, "b", "{\"model\":\"qwen*\",\"input\":\"2\",\"output\":\"2\"}", &err),
                     0);
    assert_int_equal(put(&p, "c", "{\"model\":\"qwen3-*\",\"input\":\"3\",\"output\":\"2\"}", &err),
                     0);
    assert_int_equal(input_of(&p, "nano"), 1000);
    assert_int_equal(input_of(&p, "qwen2"), 2000);
    assert_int_equal(input_of(&p, "qwen3-8b"), 3000);
    struct ft_price price;
    ft_prices_find(&p, "nano", &price);
    assert_int_equal(price.cached_input, 1000); /* as input where it says nothing */
    assert_int_equal(put(&p, "c",
                         "{\"model\":\"q*\",\"input\":\"9\",\"cached_input\":\"1\","
                         "\"output\":\"2\"}",
                         &err),
                     0); /* the same row, another pattern */
    assert_int_equal(input_of(&p, "qwen3-8b"), 2000);
    assert_int_equal(input_of(&p, "quark"), 9000);
    ft_prices_snapshot_begin(&p);
    assert_int_equal(put(&p, "b", "{\"model\":\"qwen*\",\"input\":\"4\",\"output\":\"2\"}", &err),
                     0);
    assert_int_equal(input_of(&p, "nano"), 1000); /* nothing is free meanwhile */
    ft_prices_snapshot_end(&p);
    assert_int_equal(input_of(&p, "nano"), 0);
    assert_int_equal(input_of(&p, "qwen3-8b"), 4000);
    ft_prices_remove(&p, "b");
    ft_prices_remove(&p, "none");
    assert_int_equal(input_of(&p, "qwen3-8b"), 0);
    ft_prices_fini(&p);
}

static void test_bad_rows_name_the_field_and_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *body, *field;
    } bad[] = {
        {"[]", "object"},
        {"{\"input\":\"1\",\"output\":\"1\"}", "model"},
        {"{\"model\":\"\",\"input\":\"1\",\"output\":\"1\"}", "model"},
        {"{\"model\":\"x\",\"output\":\"1\"}", "input"},
        {"{\"model\":\"x\",\"input\":1,\"output\":\"1\"}", "input"},
        {"{\"model\":\"x\",\"input\":\"1\"}", "output"},
        {"{\"model\":\"x\",\"input\":\"1\",\"output\":\"1\",\"cached_input\":\"0.00001\"}",
         "cached_input"},
    };
    struct ft_prices p;
    struct ft_err err;
    ft_prices_init(&p);
    assert_int_equal(put(&p, "a", "{\"model\":\"*\",\"input\":\"1\",\"output\":\"2\"}", &err), 0);
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        assert_int_equal(put(&p, "a", bad[i].body, &err), FT_EINVAL);
        assert_non_null(strstr(err.msg, bad[i].field));
        assert_int_equal(input_of(&p, "x"), 1000);
    }
    ft_prices_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_are_whole_nanos_or_refused),
        cmocka_unit_test(test_cost_is_by_direction),
        cmocka_unit_test(test_the_longest_pattern_holds),
        cmocka_unit_test(test_bad_rows_name_the_field_and_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
