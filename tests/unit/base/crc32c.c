/* CRC-32C against its published values, in one piece and in many. */
#include "testing.h"

#include "base/crc32c.h"

static void test_published_values(void **state)
{
    (void)state;
    unsigned char ones[32], up[32];
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++)
        up[i] = (unsigned char)i;
    assert_int_equal(ft_crc32c(0, "", 0), 0);
    assert_int_equal(ft_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(ft_crc32c(0, (unsigned char[32]){0}, 32), 0x8a9136aau); /* RFC 3720, B.4 */
    assert_int_equal(ft_crc32c(0, ones, 32), 0x62a8ab43u);
    assert_int_equal(ft_crc32c(0, up, 32), 0x46dd794eu);
}

static void test_pieces_are_the_whole(void **state)
{
    (void)state;
    char text[100];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    uint32_t whole = ft_crc32c(0, text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++)
        assert_int_equal(ft_crc32c(ft_crc32c(0, text, cut), text + cut, sizeof text - cut), whole);
}

/* Long input is taken in stretches side by side: the same as in pieces that are too short for it.
 */
static void test_long_input(void **state)
{
    static unsigned char bytes[70000];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * i >> 3 ^ i);
    for (size_t n = 16000; n <= sizeof bytes; n += 1777) {
        uint32_t pieces = 5;
        for (size_t at = 0; at < n; at += 1000)
            pieces = ft_crc32c(pieces, bytes + at, n - at < 1000 ? n - at : 1000);
        assert_int_equal(ft_crc32c(5, bytes, n), pieces);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_values),
        cmocka_unit_test(test_pieces_are_the_whole),
        cmocka_unit_test(test_long_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
