/* Rotary frequencies: the corners of each context extension, from their papers' definitions. */
#include "testing.h"

#include <math.h>

#include "engine/arch/rope.h"

static const struct ft_rope_params base = {.n_rot = 64,
                                           .theta = 10000,
                                           .factor = 8,
                                           .orig_ctx = 4096,
                                           .attn_factor = 1,
                                           .beta_fast = 32,
                                           .beta_slow = 1,
                                           .low_freq_factor = 1,
                                           .high_freq_factor = 4};

static void plain_frequencies_fall_from_one_by_the_base(void **state)
{
    (void)state;
    double f[32];
    ft_rope_freqs(&base, NULL, f);
    for (int j = 0; j < 32; j++)
        assert_true(fabs(f[j] - exp(-log(10000) * j / 32)) < 1e-12);
    assert_true(ft_rope_mul(&base) == 1);
}

static void yarn_keeps_fast_pairs_and_stretches_slow_ones(void **state)
{
    (void)state;
    struct ft_rope_params p = base;
    double plain[32], f[32];
    ft_rope_freqs(&p, NULL, plain);
    p.scaling = FT_ROPE_YARN;
    ft_rope_freqs(&p, NULL, f);
    for (int j = 0; j < 32; j++) {
        double turns = p.orig_ctx * plain[j] / (2 * M_PI), ratio = plain[j] / f[j];
        if (turns > 1.5 * p.beta_fast)
            assert_true(fabs(ratio - 1) < 1e-9);
        else if (turns < p.beta_slow / 1.5)
            assert_true(fabs(ratio - p.factor) < 1e-9);
        else
            assert_true(ratio > 1 - 1e-9 && ratio < p.factor + 1e-9);
    }
    assert_true(fabs(ft_rope_mul(&p) - (1 + 0.1 * log(8))) < 1e-12);
}

static void llama3_interpolates_between_its_wavelengths(void **state)
{
    (void)state;
    struct ft_rope_params p = base;
    double plain[32], f[32];
    ft_rope_freqs(&p, NULL, plain);
    p.scaling = FT_ROPE_LLAMA3;
    ft_rope_freqs(&p, NULL, f);
    int between = 0;
    for (int j = 0; j < 32; j++) {
        double wave = 2 * M_PI / plain[j], ratio = plain[j] / f[j];
        if (wave < p.orig_ctx / p.high_freq_factor)
            assert_true(ratio == 1);
        else if (wave > p.orig_ctx / p.low_freq_factor)
            assert_true(fabs(ratio - p.factor) < 1e-9);
        else
            between += ratio > 1 && ratio < p.factor;
    }
    assert_true(between > 0);
}

static void divisors_from_the_file_are_the_whole_extension(void **state)
{
    (void)state;
    struct ft_rope_params p = base;
    p.scaling = FT_ROPE_LINEAR;
    float factors[32];
    double plain[32], f[32];
    ft_rope_freqs(&base, NULL, plain);
    for (int j = 0; j < 32; j++)
        factors[j] = (float)(j + 1);
    ft_rope_freqs(&p, factors, f);
    for (int j = 0; j < 32; j++)
        assert_true(fabs(f[j] * (j + 1) - plain[j]) < 1e-12);
    ft_rope_freqs(&p, NULL, f);
    assert_true(fabs(f[3] * p.factor - plain[3]) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_frequencies_fall_from_one_by_the_base),
        cmocka_unit_test(yarn_keeps_fast_pairs_and_stretches_slow_ones),
        cmocka_unit_test(llama3_interpolates_between_its_wavelengths),
        cmocka_unit_test(divisors_from_the_file_are_the_whole_extension),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
