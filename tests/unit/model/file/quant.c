/* Weight formats: hand-made blocks, and files that llama.cpp quantised against their F32 twins. */
#include "testing.h"

#include <math.h>

#include "base/half.h"
#include "base/rand.h"
#include "model/file/quant.h"
#include "model/file/quant_block.h"
#include "model/file/weights.h"

static void put16(void *p, float f)
{
    uint16_t h = ft_f32_to_f16(f);
    memcpy(p, &h, 2);
}

static void check(enum ft_type type, const void *block, int at, float want)
{
    const struct ft_type_info *t = ft_type_info(type);
    float y[256];
    unsigned char odd[256]; /* blocks may lie at odd addresses */
    memcpy(odd + 1, block, (size_t)t->block_bytes);
    t->dequantise(odd + 1, y, t->block_len);
    if (fabsf(y[at] - want) > 1e-6f * fabsf(want))
        fail_msg("%s: weight %d is %g, not %g", t->name, at, (double)y[at], (double)want);
}

static void blocks_of_32_by_hand(void **state)
{
    (void)state;
    struct ft_block_q4_0 q40 = {.qs = {[3] = 0xf1}};
    put16(&q40.d, 0.5f);
    check(FT_Q4_0, &q40, 3, (1 - 8) * 0.5f);
    check(FT_Q4_0, &q40, 19, (15 - 8) * 0.5f);
    struct ft_block_q4_1 q41 = {.qs = {[15] = 0xa2}};
    put16(&q41.d, 0.25f);
    put16(&q41.m, -3);
    check(FT_Q4_1, &q41, 15, 2 * 0.25f - 3);
    check(FT_Q4_1, &q41, 31, 10 * 0.25f - 3);
    struct ft_block_q5_0 q50 = {.qs = {[1] = 0x43}, .qh = {2, 0, 0, 0}};
    put16(&q50.d, 2);
    check(FT_Q5_0, &q50, 1, (16 + 3 - 16) * 2);
    check(FT_Q5_0, &q50, 17, (4 - 16) * 2);
    struct ft_block_q5_1 q51 = {.qs = {[15] = 0x43}, .qh = {0, 0, 0, 0x80}};
    put16(&q51.d, 2);
    put16(&q51.m, 1);
    check(FT_Q5_1, &q51, 15, 3 * 2 + 1);
    check(FT_Q5_1, &q51, 31, (16 + 4) * 2 + 1);
    struct ft_block_q8_0 q80 = {.qs = {[31] = -128}};
    put16(&q80.d, 0.125f);
    check(FT_Q8_0, &q80, 31, -16);
    struct ft_block_iq4_nl nl = {.qs = {[0] = 0xf0}};
    put16(&nl.d, 1);
    check(FT_IQ4_NL, &nl, 0, -127);
    check(FT_IQ4_NL, &nl, 16, 113);
    struct ft_block_mxfp4 mx = {.e = 128, .qs = {[2] = 0xf3}};
    check(FT_MXFP4, &mx, 2, 3); /* 2^1 * 1.5 */
    check(FT_MXFP4, &mx, 18, -12);
    mx.e = 0;
    check(FT_MXFP4, &mx, 2, 1.5f * 0x1p-127f);
}

static void blocks_of_256_by_hand(void **state)
{
    (void)state;
    struct ft_block_q2_k q2 = {.scales = {[9] = 0x37}, .qs = {[32 + 16 + 5] = 0x02}};
    put16(&q2.d, 0.5f);
    put16(&q2.dmin, 0.25f);
    check(FT_Q2_K, &q2, 128 + 16 + 5, 0.5f * 7 * 2 - 0.25f * 3);
    struct ft_block_q3_k q3 = {.scales = {[1] = 0xc5, [9] = 0x42}, .qs = {[17] = 3}};
    put16(&q3.d, 1);
    q3.hmask[17] = 1;
    /* scale 1: low nibble 5, upper bits 2: 37 - 32; scale 9: 12 | bits 4..5 of byte 9 = 0: -20 */
    check(FT_Q3_K, &q3, 17, 5 * 3);
    q3.qs[32 + 17] = 1;
    check(FT_Q3_K, &q3, 128 + 17, -20 * (1 - 4));
    struct ft_block_q4_k q4 = {.qs = {[33] = 0xc5, [96] = 0x70}};
    put16(&q4.d, 0.5f);
    put16(&q4.dmin, 2);
    q4.scales[2] = 40;
    q4.scales[6] = 3;
    check(FT_Q4_K, &q4, 65, 0.5f * 40 * 5 - 6);
    q4.scales[3] = 0x80; /* sub-block 7: scale 4 | 2 << 4, min 9 | 3 << 4 */
    q4.scales[7] = 0xc0;
    q4.scales[11] = 0x94;
    check(FT_Q4_K, &q4, 224, 0.5f * 36 * 7 - 2 * 57);
    struct ft_block_q5_k q5 = {.qs = {[96 + 4] = 0x70}, .qh = {[4] = 0x80}};
    memcpy(q5.scales, q4.scales, sizeof q5.scales);
    put16(&q5.d, 0.5f);
    put16(&q5.dmin, 2);
    check(FT_Q5_K, &q5, 228, 0.5f * 36 * 23 - 2 * 57);
    struct ft_block_q6_k q6 = {.scales = {[15] = -3, [2] = 7}};
    put16(&q6.d, 0.5f);
    q6.ql[64 + 32 + 20] = 0xb0;
    q6.qh[32 + 20] = 0x80;
    check(FT_Q6_K, &q6, 128 + 96 + 20, 0.5f * -3 * ((11 | 2 << 4) - 32));
    q6.ql[32 + 3] = 0x09;
    q6.qh[3] = 0x04;
    check(FT_Q6_K, &q6, 35, 0.5f * 7 * ((9 | 1 << 4) - 32));
    struct ft_block_iq4_xs xs = {.scales_h = 3 << 10, .scales_l = {[2] = 0x20}};
    put16(&xs.d, 0.5f);
    xs.qs[16 * 5 + 1] = 0xf0;
    check(FT_IQ4_XS, &xs, 160 + 1, 0.5f * (50 - 32) * -127);
    check(FT_IQ4_XS, &xs, 160 + 17, 0.5f * (50 - 32) * 113);
}

/* Squared errors over the tensors of a file stored as `type`, against its F32 twin: the file's
 * own, and what our quantiser makes of the twin. */
struct errors {
    double file, ours, power;
};

static void tensor_errors(const struct ft_type_info *info, const void *blocks, const float *x,
                          int64_t n, struct errors *e)
{
    float *y = malloc((size_t)n * 4), *z = malloc((size_t)n * 4);
    void *mine = malloc(ft_type_row_bytes(info, n));
    info->dequantise(blocks, y, n);
    info->quantise(x, mine, n);
    info->dequantise(mine, z, n);
    for (int64_t k = 0; k < n; k++) {
        e->file += (double)(y[k] - x[k]) * (y[k] - x[k]);
        e->ours += (double)(z[k] - x[k]) * (z[k] - x[k]);
        e->power += (double)x[k] * x[k];
    }
    free(y);
    free(z);
    free(mine);
}

static struct errors file_errors(const char *name, enum ft_type type)
{
    char path[128];
    struct ft_weights *q, *f;
    struct ft_err err;
    const struct ft_type_info *info = ft_type_info(type);
    struct errors e = {0};
    snprintf(path, sizeof path, "models/%s-%s.gguf", name, info->name);
    const char *file = ft_test_ref(path);
    if (file == NULL)
        skip();
    if (ft_weights_open(file, &q, &err) != 0)
        fail_msg("%s", err.msg);
    snprintf(path, sizeof path, "models/%s-F32.gguf", name);
    assert_int_equal(0, ft_weights_open(ft_test_ref(path), &f, &err));
    for (int i = 0; i < ft_weights_count(q); i++) {
        const struct ft_tensor *t = ft_weights_at(q, i), *u = ft_weights_find(f, t->name);
        if (t->type != type)
            continue;
        assert_non_null(u);
        int64_t n = (int64_t)(u->part_bytes / 4);
        assert_int_equal(t->part_bytes, ft_type_row_bytes(info, n));
        tensor_errors(info, t->part[0], u->part[0], n, &e);
    }
    ft_weights_close(q);
    ft_weights_close(f);
    assert_true(e.power > 0);
    return e;
}

/* bound: on the relative error, a little above what the format can do on Gaussian weights; a wrong
 * bit anywhere gives several times as much. */
static const struct {
    enum ft_type type;
    double bound;
} formats[] = {
    {FT_F16, 3e-4},   {FT_BF16, 2e-3},  {FT_Q8_0, 0.0056}, {FT_Q4_0, 0.089},  {FT_Q4_1, 0.081},
    {FT_Q5_0, 0.045}, {FT_Q5_1, 0.04},  {FT_Q2_K, 0.31},   {FT_Q3_K, 0.16},   {FT_Q4_K, 0.075},
    {FT_Q5_K, 0.038}, {FT_Q6_K, 0.019}, {FT_IQ4_NL, 0.08}, {FT_IQ4_XS, 0.08},
};

static void files_lie_near_their_f32_twins(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct errors e = file_errors("llama-k", formats[i].type);
        assert_true(e.file > 0 && sqrt(e.file / e.power) < formats[i].bound);
    }
}

static void quantising_loses_no_more_than_the_files_did(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct errors e = file_errors("llama-k", formats[i].type);
        double ratio = sqrt(e.ours / e.file);
        print_message("%-8s relative error %.5f, file's %.5f, ratio %.4f\n",
                      ft_type_info(formats[i].type)->name, sqrt(e.ours / e.power),
                      sqrt(e.file / e.power), ratio);
        assert_true(e.ours > 0 && ratio < 1.005);
    }
}

static double unit(uint64_t i)
{
    return ft_rand_unit(1, 2, i) * 2 - 1;
}

static void awkward_weights_stay_bounded(void **state)
{
    (void)state;
    static const float scales[] = {0, 1e-42f, 1e-20f, 1e-6f, 1, 1e4f};
    for (enum ft_type type = 0; type < 64; type++) {
        const struct ft_type_info *t = ft_type_info(type);
        if (t == NULL)
            continue;
        float x[256], y[256];
        unsigned char b[1024];
        for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
            for (int offset = -1; offset <= 1; offset++) { /* all of one sign too */
                float top = 0;
                for (int i = 0; i < 256; i++) {
                    x[i] = scales[s] * (float)(unit((uint64_t)i) + 2 * offset);
                    top = fmaxf(top, fabsf(x[i]));
                }
                t->quantise(x, b, 256);
                t->dequantise(b, y, 256);
                for (int i = 0; i < 256; i++)
                    if (!(fabsf(y[i] - x[i]) <= 0.5f * top + 1.3e-4f)) /* f16 scales underflow */
                        fail_msg("%s: %g became %g", t->name, (double)x[i], (double)y[i]);
            }
        }
        /* no crash and no undefined conversion; what comes out is not defined */
        for (int i = 0; i < 256; i++)
            x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : 3e38f;
        t->quantise(x, b, 256);
        t->dequantise(b, y, 256);
    }
}

static void one_outlier_does_not_drown_the_rest_of_a_super_block(void **state)
{
    (void)state;
    float x[256], y[256];
    unsigned char b[256];
    for (int i = 0; i < 256; i++)
        x[i] = (float)unit((uint64_t)i);
    x[100] = 8;
    const struct ft_type_info *t = ft_type_info(FT_Q4_K);
    t->quantise(x, b, 256);
    t->dequantise(b, y, 256);
    for (int i = 0; i < 256; i++) /* the outlier's own sub-block has 15 steps for 9 */
        assert_true(fabsf(y[i] - x[i]) < (i / 32 == 3 ? 0.5f : 0.12f));
}

static void names_and_numbers_find_a_type(void **state)
{
    (void)state;
    assert_ptr_equal(ft_type_by_name("q4_k"), ft_type_info(FT_Q4_K));
    assert_null(ft_type_by_name("Q4_K_M"));
    assert_null(ft_type_info((enum ft_type)4));
    assert_int_equal(ft_type_row_bytes(ft_type_info(FT_Q6_K), 512), 420);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_32_by_hand),
        cmocka_unit_test(blocks_of_256_by_hand),
        cmocka_unit_test(files_lie_near_their_f32_twins),
        cmocka_unit_test(quantising_loses_no_more_than_the_files_did),
        cmocka_unit_test(awkward_weights_stay_bounded),
        cmocka_unit_test(one_outlier_does_not_drown_the_rest_of_a_super_block),
        cmocka_unit_test(names_and_numbers_find_a_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
