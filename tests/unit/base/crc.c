/* CRCs: the published check values, long input against one byte at a time, and parts put together.
 */
#include "base/crc.h"

#include "base/crc32c.h"
#include "base/err.h"
#include "testing.h"

static unsigned char bytes[4096];

static void test_published_values(void **state)
{
    (void)state;
    assert_int_equal(ft_crc32(0, "123456789", 9), 0xcbf43926);
    assert_true(ft_crc64nvme(0, "123456789", 9) == UINT64_C(0xae8b14860a799888));
    assert_int_equal(ft_crc32(0, "", 0), 0);
}

/* From 128 bytes on the input is folded; before, and at its ends, a table is used. */
static void test_every_length_and_cut(void **state)
{
    (void)state;
    uint32_t a = 0;
    uint64_t b = 0;
    for (size_t n = 0; n < 1000; n++) {
        assert_int_equal(ft_crc32(0, bytes + 1, n), a);
        assert_true(ft_crc64nvme(0, bytes + 1, n) == b);
        assert_int_equal(ft_crc32(ft_crc32(0, bytes + 1, n / 3), bytes + 1 + n / 3, n - n / 3), a);
        a = ft_crc32(a, bytes + 1 + n, 1);
        b = ft_crc64nvme(b, bytes + 1 + n, 1);
    }
}

static void test_parts_are_put_together(void **state)
{
    (void)state;
    static const size_t cuts[] = {0, 1, 7, 128, 4095, 4096};
    size_t all = sizeof bytes;
    for (size_t i = 0; i < FT_COUNT(cuts); i++) {
        size_t n = cuts[i], m = all - n;
        assert_int_equal(
            ft_crc_combine(FT_CRC32, ft_crc32(0, bytes, n), ft_crc32(0, bytes + n, m), m),
            ft_crc32(0, bytes, all));
        assert_int_equal(
            ft_crc_combine(FT_CRC32C, ft_crc32c(0, bytes, n), ft_crc32c(0, bytes + n, m), m),
            ft_crc32c(0, bytes, all));
        assert_true(ft_crc_combine(FT_CRC64NVME, ft_crc64nvme(0, bytes, n),
                                   ft_crc64nvme(0, bytes + n, m),
                                   m) == ft_crc64nvme(0, bytes, all));
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 13);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_values),
        cmocka_unit_test(test_every_length_and_cut),
        cmocka_unit_test(test_parts_are_put_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
