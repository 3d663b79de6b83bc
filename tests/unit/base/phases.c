/* Phases and moments of a request: names, order, bounds. */
#include "testing.h"

#include "base/phases.h"

static void fields_are_named_and_apart(void **state)
{
    (void)state;
    struct ft_phases p = {0};
    for (int i = 0; i < FT_PHASE_FIELDS; i++)
        *ft_phase_at(&p, i) = i + 1;
    for (int i = 0; i < FT_PHASE_FIELDS; i++) {
        assert_int_equal(ft_phase_get(&p, i), i + 1);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(ft_phase_fields[i].name, ft_phase_fields[k].name);
    }
    assert_int_equal(p.admission_us, 1);
    assert_int_equal(p.preemptions, FT_PHASE_FIELDS);
    /* the worker's come last */
    assert_string_equal(ft_phase_fields[FT_PHASE_FIELDS - FT_PHASE_FIELDS_WORKER].name,
                        "prepare_us");
}

static void moments_are_bounded_and_sorted_by_time(void **state)
{
    (void)state;
    struct ft_phases p = {0};
    for (int i = 0; i < FT_MOMENTS_MAX + 5; i++)
        ft_moment_add(&p, FT_MOMENT_GIVEN, i, 1000 - i / 2);
    assert_int_equal(p.n_moments, FT_MOMENTS_MAX);
    ft_moments_sort(&p);
    for (int i = 1; i < p.n_moments; i++) {
        const struct ft_moment *a = &p.moment[i - 1], *b = &p.moment[i];
        assert_true(a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->n < b->n));
    }
    for (int k = 0; k < FT_MOMENT_KINDS; k++)
        assert_non_null(ft_moment_name((enum ft_moment_kind)k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_named_and_apart),
        cmocka_unit_test(moments_are_bounded_and_sorted_by_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
