/* Routing against the published definitions, written out in f64: softmax and sigmoid, bias for
 * choosing, groups, normalisation and scale, ties, and logits that are not numbers. */
#include "testing.h"

#include <math.h>

#include "base/rand.h"
#include "engine/cpu/cpu.h"

static const char *const isas[] = {"plain", "avx2", "avx512"};

enum { ROWS = 150, EXPERTS_MAX = 256, USED_MAX = 12 };

static struct ft_dev *dev_open(const char *isa)
{
    struct ft_dev *d = NULL;
    struct ft_dev_config cfg = {2, isa};
    return ft_dev_open(&ft_dev_cpu_ops, &cfg, &d, NULL) == 0 ? d : NULL;
}

/* Index of the best value that is not excluded, lowest first. */
static int best(const double *x, const bool *out, int n)
{
    int b = -1;
    for (int i = 0; i < n; i++)
        if (!out[i] && (b < 0 || x[i] > x[b]))
            b = i;
    return b;
}

static void exact(const struct ft_route *r, const float *logit, int *id, double *weight)
{
    double p[EXPERTS_MAX], score[EXPERTS_MAX], sum = 0, group[EXPERTS_MAX];
    bool out[EXPERTS_MAX] = {false}, kept[EXPERTS_MAX] = {false};
    for (int i = 0; i < r->n_expert; i++)
        sum += exp((double)logit[i]);
    for (int i = 0; i < r->n_expert; i++) {
        p[i] = r->gating == FT_GATE_SIGMOID ? 1 / (1 + exp(-(double)logit[i]))
                                            : exp((double)logit[i]) / sum;
        score[i] = p[i] + (r->bias != NULL ? (double)r->bias[i] : 0);
    }
    if (r->n_group > 1) {
        int size = r->n_expert / r->n_group;
        for (int g = 0; g < r->n_group; g++) {
            bool one[EXPERTS_MAX] = {false};
            int first = best(score + g * size, one, size);
            one[first] = true;
            group[g] = score[g * size + first];
            if (r->n_group_best == 2)
                group[g] += score[g * size + best(score + g * size, one, size)];
        }
        for (int i = 0; i < r->n_group_used; i++)
            kept[best(group, kept, r->n_group)] = true;
        for (int i = 0; i < r->n_expert; i++)
            out[i] = !kept[i / size];
    }
    sum = 0;
    for (int i = 0; i < r->n_used; i++) {
        id[i] = best(score, out, r->n_expert);
        out[id[i]] = true;
        weight[i] = p[id[i]];
        sum += weight[i];
    }
    for (int i = 0; i < r->n_used; i++)
        weight[i] *= r->norm ? (double)r->scale / sum : (double)r->scale;
}

static void routes_as_published(void **state)
{
    (void)state;
    float bias[EXPERTS_MAX];
    for (int i = 0; i < EXPERTS_MAX; i++)
        bias[i] = (float)ft_rand_unit(3, 1, (uint64_t)i) - 0.5f;
    const struct ft_route routes[] = {
        {128, 8, FT_GATE_SOFTMAX, NULL, true, 1, 0, 0, 1},    /* Qwen3-MoE */
        {64, 6, FT_GATE_SOFTMAX, NULL, false, 1, 1, 1, 1},    /* DeepSeek V2 Lite */
        {160, 6, FT_GATE_SOFTMAX, NULL, false, 16, 8, 3, 1},  /* DeepSeek V2 */
        {256, 8, FT_GATE_SIGMOID, bias, true, 2.5f, 8, 4, 2}, /* DeepSeek V3 */
        {10, 3, FT_GATE_SIGMOID, bias, false, 1.5f, 5, 2, 2},
        {7, 7, FT_GATE_SOFTMAX, NULL, true, 1, 0, 0, 1},
        {1, 1, FT_GATE_SIGMOID, NULL, true, 1, 0, 0, 2},
        {33, 12, FT_GATE_SOFTMAX, bias, true, 3, 0, 0, 1},
    };
    for (size_t k = 0; k < FT_COUNT(isas); k++) {
        struct ft_dev *d = dev_open(isas[k]);
        for (size_t j = 0; d != NULL && j < FT_COUNT(routes); j++) {
            const struct ft_route *r = &routes[j];
            int ld = r->n_expert + 3;
            float *logit = malloc((size_t)(ROWS * ld) * sizeof *logit);
            for (int i = 0; i < ROWS * ld; i++)
                logit[i] = 8 * (float)ft_rand_unit(4, j, (uint64_t)i) - 4;
            int32_t *id = calloc(ROWS * USED_MAX, sizeof *id);
            float *weight = calloc(ROWS * USED_MAX, sizeof *weight);
            ft_dev_route(d, r, (struct ft_mat){logit, ld}, ROWS, id, weight);
            for (int i = 0; i < ROWS; i++) {
                int want[USED_MAX];
                double w[USED_MAX];
                exact(r, logit + i * ld, want, w);
                for (int u = 0; u < r->n_used; u++) {
                    assert_int_equal(id[i * r->n_used + u], want[u]);
                    assert_true(fabs((double)weight[i * r->n_used + u] - w[u]) <= 2e-6 * w[u]);
                }
            }
            free(logit);
            free(id);
            free(weight);
        }
        ft_dev_close(d);
    }
}

static void ties_go_to_the_lower_index(void **state)
{
    (void)state;
    for (size_t k = 0; k < FT_COUNT(isas); k++) {
        struct ft_dev *d = dev_open(isas[k]);
        if (d == NULL)
            continue;
        float logit[32], weight[4];
        int32_t id[4];
        for (int i = 0; i < 32; i++)
            logit[i] = i == 20 ? 2 : 1;
        struct ft_route r = {32, 4, FT_GATE_SOFTMAX, NULL, true, 1, 0, 0, 1};
        ft_dev_route(d, &r, (struct ft_mat){logit, 32}, 1, id, weight);
        const int32_t want[] = {20, 0, 1, 2};
        assert_memory_equal(id, want, sizeof want);
        r.n_group = 4; /* 20 is in the third group; the first is the first of equals */
        r.n_group_used = 2;
        ft_dev_route(d, &r, (struct ft_mat){logit, 32}, 1, id, weight);
        assert_memory_equal(id, want, sizeof want);
        ft_dev_close(d);
    }
}

/* Whatever comes, the ids are distinct and valid: experts are addressed by them. */
static void broken_logits_still_give_distinct_experts(void **state)
{
    (void)state;
    for (size_t k = 0; k < FT_COUNT(isas); k++)
        for (int c = 0; c < 3; c++) {
            struct ft_dev *d = dev_open(isas[k]);
            if (d == NULL)
                continue;
            float logit[64], weight[8];
            for (int i = 0; i < 64; i++)
                logit[i] = c == 0 ? NAN : c == 1 ? (i % 3 == 0 ? NAN : -INFINITY) : INFINITY;
            int32_t id[8];
            struct ft_route r = {64, 8, FT_GATE_SIGMOID, NULL, true, 1, 8, 1, 2};
            for (int g = 0; g < 2; g++, r.gating = FT_GATE_SOFTMAX) {
                ft_dev_route(d, &r, (struct ft_mat){logit, 64}, 1, id, weight);
                for (int i = 0; i < 8; i++) {
                    assert_in_range(id[i], 0, 63);
                    for (int j = 0; j < i; j++)
                        assert_int_not_equal(id[i], id[j]);
                }
            }
            ft_dev_close(d);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_as_published),
        cmocka_unit_test(ties_go_to_the_lower_index),
        cmocka_unit_test(broken_logits_still_give_distinct_experts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
