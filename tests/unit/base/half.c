/* Scalar float conversions against the compiler's own _Float16 over every value. */
#include "testing.h"

#include <math.h>

#include "base/half.h"

static void every_f16_widens_as_the_compiler_does(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t h = (uint16_t)i;
        _Float16 f;
        memcpy(&f, &h, 2);
        float want = (float)f, got = ft_f16_to_f32(h);
        assert_true(isnan(want) ? isnan(got) : ft_f32_bits(want) == ft_f32_bits(got));
    }
}

static void narrowing_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 0x100000000u; i += 997) {
        float x = ft_f32_from_bits((uint32_t)i);
        if (isnan(x))
            continue;
        _Float16 f = (_Float16)x;
        uint16_t want;
        memcpy(&want, &f, 2);
        assert_int_equal(want, ft_f32_to_f16(x));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_f16_widens_as_the_compiler_does),
        cmocka_unit_test(narrowing_rounds_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
