/* Ids: unique, in the order of their time, and turned round. */
#include "api/openai/id.h"

#include "testing.h"

static void ids(void **state)
{
    (void)state;
    char last[FT_OAI_ID_BYTES] = "", turned_last[FT_OAI_ID_BYTES] = "~", id[FT_OAI_ID_BYTES],
         turned[FT_OAI_ID_BYTES], back[FT_OAI_ID_BYTES];
    struct ft_err err;
    for (int64_t ms = 0; ms < INT64_C(200000000000000); ms = ms * 3 + 1) {
        assert_int_equal(ft_oai_id_new("file-", ms, id, &err), 0);
        assert_true(ft_oai_id_is(id, "file-"));
        assert_false(ft_oai_id_is(id, "batch_"));
        assert_int_equal(ft_oai_id_time(id), ms);
        assert_true(strcmp(id, last) > 0);
        ft_oai_id_turn(id, turned);
        assert_true(strcmp(turned, turned_last) < 0);
        ft_oai_id_turn(turned, back);
        assert_string_equal(back, id);
        strcpy(last, id);
        strcpy(turned_last, turned);
    }
    ft_oai_id_new("file-", 7, id, &err);
    ft_oai_id_new("file-", 7, last, &err);
    assert_string_not_equal(id, last);
}

static void what_is_none(void **state)
{
    (void)state;
    static const char *const none[] = {"",
                                       "file-",
                                       "file-0123456789012345678901",
                                       "file-0123456789012345678901234",
                                       "file-01234567890123456789012/",
                                       "File-012345678901234567890123"};
    for (size_t i = 0; i < FT_COUNT(none); i++)
        assert_false(ft_oai_id_is(none[i], "file-"));
    assert_true(ft_oai_id_is("file-012345678901234567890123", "file-"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ids), cmocka_unit_test(what_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
