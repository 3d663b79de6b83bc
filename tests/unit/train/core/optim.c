/* AdamW against its definition in f64, clipping, weight decay, threads. */
#include "testing.h"

#include <math.h>

#include "base/rand.h"
#include "train/core/optim.h"

#define N 70001 /* more than one piece, and no round number */

static float value[2][N], grad[2][N];

static double random_at(uint64_t stream, int64_t i)
{
    return 2 * ft_rand_unit(17, stream, (uint64_t)i) - 1;
}

static struct ft_optim *open_over(struct ft_pool *pool, struct ft_optim_param *p, double clip)
{
    struct ft_err err;
    struct ft_optim *o;
    struct ft_optim_config cfg = {0.9, 0.99, 1e-8, 0.1, clip};
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < N; i++)
            value[k][i] = (float)random_at((uint64_t)k, i);
        p[k] = (struct ft_optim_param){value[k], grad[k], N, k == 0, NULL, NULL};
    }
    assert_int_equal(ft_optim_open(pool, &cfg, p, 2, &o, &err), 0);
    return o;
}

static void fill_grads(int step)
{
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < N; i++)
            grad[k][i] = (float)(random_at((uint64_t)(10 + 2 * step + k), i) * 0.01);
}

static void steps_follow_the_definition(void **state)
{
    (void)state;
    struct ft_err err;
    struct ft_pool *pool;
    struct ft_optim_param p[2];
    static double x[2][N], m[2][N], v[2][N];
    assert_int_equal(ft_pool_open(3, &pool, &err), 0);
    struct ft_optim *o = open_over(pool, p, 1);
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < N; i++)
            x[k][i] = value[k][i];
    for (int s = 1; s <= 5; s++) {
        double square = 0, lr = 0.01 * s;
        fill_grads(s);
        for (int k = 0; k < 2; k++)
            for (int64_t i = 0; i < N; i++)
                square += (double)grad[k][i] * grad[k][i];
        double norm = ft_optim_norm(o);
        assert_true(fabs(norm - sqrt(square)) < 1e-9 * norm);
        assert_true(norm > 1); /* so it clips */
        ft_optim_step(o, s, lr, norm);
        for (int k = 0; k < 2; k++)
            for (int64_t i = 0; i < N; i++) {
                double g = grad[k][i] / norm;
                m[k][i] = 0.9 * m[k][i] + 0.1 * g;
                v[k][i] = 0.99 * v[k][i] + 0.01 * g * g;
                double step =
                    m[k][i] / (1 - pow(0.9, s)) / (sqrt(v[k][i] / (1 - pow(0.99, s))) + 1e-8);
                x[k][i] = x[k][i] * (k == 0 ? 1 - lr * 0.1 : 1) - lr * step;
                assert_true(fabs(x[k][i] - value[k][i]) < 2e-5);
            }
    }
    ft_optim_close(o);
    ft_pool_close(pool);
}

static void threads_change_no_bit(void **state)
{
    (void)state;
    static float first[2][N];
    double norms[2];
    for (int n = 0; n < 2; n++) {
        struct ft_err err;
        struct ft_pool *pool;
        struct ft_optim_param p[2];
        assert_int_equal(ft_pool_open(n == 0 ? 1 : 4, &pool, &err), 0);
        struct ft_optim *o = open_over(pool, p, 0);
        fill_grads(1);
        norms[n] = ft_optim_norm(o);
        ft_optim_step(o, 1, 0.01, norms[n]);
        if (n == 0)
            memcpy(first, value, sizeof first);
        ft_optim_close(o);
        ft_pool_close(pool);
    }
    assert_true(norms[0] == norms[1]);
    assert_memory_equal(first, value, sizeof first);
}

static void a_gradient_that_is_no_number_shows(void **state)
{
    (void)state;
    struct ft_err err;
    struct ft_pool *pool;
    struct ft_optim_param p[2];
    assert_int_equal(ft_pool_open(1, &pool, &err), 0);
    struct ft_optim *o = open_over(pool, p, 1);
    fill_grads(1);
    grad[1][N - 1] = NAN;
    assert_true(isnan(ft_optim_norm(o)));
    grad[1][N - 1] = INFINITY;
    assert_true(isinf(ft_optim_norm(o)));
    ft_optim_close(o);
    ft_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_the_definition),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(a_gradient_that_is_no_number_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
