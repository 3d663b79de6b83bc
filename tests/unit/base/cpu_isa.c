/* The choice of an instruction set by name. */
#include "testing.h"

#include "base/cpu_isa.h"

static void none_named_is_the_best_that_the_machine_has(void **state)
{
    (void)state;
    enum ft_cpu_isa isa = FT_CPU_ISA_COUNT;
    struct ft_err err;
    assert_int_equal(ft_cpu_isa_choose(NULL, &isa, &err), 0);
    assert_int_equal(isa, ft_cpu_isa_best());
    assert_true(ft_cpu_isa_has(isa));
    for (int i = 0; i < (int)isa; i++) /* each set includes the ones before it */
        assert_true(ft_cpu_isa_has((enum ft_cpu_isa)i));
}

static void a_name_is_that_set_or_an_error(void **state)
{
    (void)state;
    for (int i = 0; i < FT_CPU_ISA_COUNT; i++) {
        enum ft_cpu_isa isa = FT_CPU_ISA_COUNT;
        struct ft_err err;
        int rc = ft_cpu_isa_choose(ft_cpu_isa_name((enum ft_cpu_isa)i), &isa, &err);
        assert_int_equal(rc, ft_cpu_isa_has((enum ft_cpu_isa)i) ? 0 : FT_EUNSUPPORTED);
        assert_int_equal(isa, rc == 0 ? i : FT_CPU_ISA_COUNT);
    }
    enum ft_cpu_isa isa = FT_CPU_ISA_COUNT;
    struct ft_err err;
    assert_int_equal(ft_cpu_isa_choose("sse", &isa, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "sse"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_named_is_the_best_that_the_machine_has),
        cmocka_unit_test(a_name_is_that_set_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
