/* Every step's way back against finite differences of the reference device's forward pass (f64
 * sums): for random inputs and a random weighting c of the outputs, the gradient of sum(c y). */
#include "testing.h"

#include <math.h>

#include "base/rand.h"
#include "engine/ref/ref.h"
#include "train/tape/impl.h"

#define BUFS 4
#define ROWS 37

/* A case: buffers of which some are inputs; run() does the step on any device. */
struct step_case {
    const char *name;
    int64_t width[BUFS]; /* floats per row; 0: unused */
    int n_in;            /* the first buffers are inputs */
    int out;             /* the buffer whose gradient is given */
    int d_w;             /* length of the vector, 0: none */
    void (*run)(struct ft_dev *d, struct ft_mat *m, const float *w);
};

static const struct ft_seg segs[3] = {{.row = 0, .n = 5}, {.row = 5, .n = 1}, {.row = 6, .n = 31}};
static int32_t pos[ROWS];

static struct ft_batch batch(void)
{
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < segs[s].n; i++)
            pos[segs[s].row + i] = i;
    return (struct ft_batch){.n_rows = ROWS, .pos = pos, .n_segs = 3, .seg = segs};
}

static void run_rmsnorm(struct ft_dev *d, struct ft_mat *m, const float *w)
{
    ft_dev_rmsnorm(d, m[0], ROWS, 45, w, 1e-5f, m[1]);
}

static void run_heads(struct ft_dev *d, struct ft_mat *m, const float *w)
{
    static float cs[ROWS * 10];
    double freq[5] = {1, 0.5, 0.1, 0.05, 0.01};
    struct ft_batch b = batch();
    ft_dev_rope_table(d, freq, 10, 1, b.pos, ROWS, cs);
    ft_dev_heads(d, m[0], ROWS, 3, 14, w, 1e-5f, cs, 2, 10, FT_ROPE_HALVES);
}

static void run_turn(struct ft_dev *d, struct ft_mat *m, const float *w)
{
    (void)w;
    static float cs[ROWS * 14];
    double freq[7] = {1, 0.5, 0.1, 0.05, 0.01, 0.003, 0.001};
    struct ft_batch b = batch();
    ft_dev_rope_table(d, freq, 14, 1.1, b.pos, ROWS, cs);
    ft_dev_heads(d, m[0], ROWS, 3, 14, NULL, 0, cs, 0, 14, FT_ROPE_NEIGHBOURS);
}

static void run_swiglu(struct ft_dev *d, struct ft_mat *m, const float *w)
{
    (void)w;
    ft_dev_swiglu(d, m[0], m[1], ROWS, 45, m[0]);
}

static void run_gather(struct ft_dev *d, struct ft_mat *m, const float *w)
{
    (void)w;
    static const int32_t row[] = {0, 3, 4, 5, 20, 36};
    ft_dev_gather(d, m[0], row, 6, 45, m[0]);
    ft_dev_gather(d, m[0], row, 2, 45, m[1]);
}

static void run_attend(struct ft_dev *d, struct ft_mat *m, const float *w)
{
    (void)w;
    static const int32_t block[3][1] = {{0}, {1}, {2}};
    struct ft_seg s[3];
    struct ft_kv_layer l = {.n_head = 2, .d_k = 12, .d_v = 9};
    struct ft_kv_shape shape = {.n_layer = 1, .type = FT_KV_F32, .layer = &l};
    struct ft_batch b = batch();
    struct ft_kv *kv;
    struct ft_err err;
    for (int i = 0; i < 3; i++) {
        s[i] = segs[i];
        s[i].block = block[i];
    }
    b.seg = s;
    assert_int_equal(ft_dev_kv_open(d, &shape, 3, 0, &kv, &err), 0);
    ft_dev_kv_store(d, kv, 0, &b, m[1], m[2]);
    b.seg = segs;
    if (strcmp(d->ops->name, "ref") == 0)
        b.seg = s;
    ft_dev_attend(d, kv, 0, &b, m[0], 4, 0.3f, m[3]);
    ft_dev_kv_close(d, kv);
}

static const struct step_case cases[] = {
    {"rmsnorm", {45, 45}, 1, 1, 45, run_rmsnorm},
    {"heads with norm", {42}, 1, 0, 14, run_heads},
    {"rotation of neighbours", {42}, 1, 0, 0, run_turn},
    {"swiglu in place", {45, 45}, 2, 0, 0, run_swiglu},
    {"gather in place and away", {45, 45}, 1, 1, 0, run_gather},
    {"attend", {48, 24, 18, 36}, 3, 3, 0, run_attend},
};

struct side {
    struct ft_dev *d;
    struct ft_mat m[BUFS];
    float *w;
};

static void side_open(struct side *s, struct ft_dev *d, const struct step_case *c)
{
    memset(s, 0, sizeof *s);
    s->d = d;
    for (int i = 0; i < BUFS && c->width[i] > 0; i++) {
        int64_t ld = c->width[i] + 3;
        s->m[i] = (struct ft_mat){ft_dev_mem_alloc(d, (size_t)(ROWS * ld) * sizeof(float)), ld};
    }
    s->w = ft_dev_mem_alloc(d, 64 * sizeof(float));
}

static void side_fill(struct side *s, const struct step_case *c)
{
    for (int b = 0; b < BUFS && c->width[b] > 0; b++)
        for (int64_t i = 0; i < ROWS * s->m[b].ld; i++)
            s->m[b].p[i] =
                b < c->n_in ? (float)(2 * ft_rand_unit(7, (uint64_t)b, (uint64_t)i) - 1) : 0;
    for (int i = 0; i < 64; i++)
        s->w[i] = 0.5f + (float)ft_rand_unit(7, 99, (uint64_t)i);
}

static void side_close(struct side *s)
{
    for (int b = 0; b < BUFS; b++)
        if (s->m[b].p != NULL)
            ft_dev_mem_free(s->d, s->m[b].p, 0);
    ft_dev_mem_free(s->d, s->w, 64 * sizeof(float));
}

static float weighting(int64_t row, int64_t col)
{
    return (float)(2 * ft_rand_unit(11, (uint64_t)row, (uint64_t)col) - 1);
}

/* sum(c y) after the step, inputs being as they are in s. */
static double value(struct side *s, const struct step_case *c)
{
    double sum = 0;
    c->run(s->d, s->m, s->w);
    for (int64_t i = 0; i < ROWS; i++)
        for (int64_t j = 0; j < c->width[c->out]; j++)
            sum += (double)weighting(i, j) * s->m[c->out].p[i * s->m[c->out].ld + j];
    return sum;
}

static double difference(struct side *s, const struct step_case *c, float *at)
{
    const float eps = 1.0f / 256;
    ptrdiff_t buf = -1, off = 0;
    for (int b = 0; b < c->n_in; b++)
        if (at >= s->m[b].p && at < s->m[b].p + ROWS * s->m[b].ld) {
            buf = b;
            off = at - s->m[b].p;
        }
    double v[2];
    for (int k = 0; k < 2; k++) {
        side_fill(s, c);
        float *p = buf >= 0 ? s->m[buf].p + off : at;
        *p += k == 0 ? eps : -eps;
        v[k] = value(s, c);
    }
    return (v[0] - v[1]) / (2 * (double)eps);
}

static void check(double got, double want, const char *name, const char *what, int64_t i)
{
    if (fabs(got - want) <= 2e-3 * (1 + fabs(want)))
        return;
    fail_msg("%s: %s %lld: gradient %g, finite difference %g", name, what, (long long)i, got, want);
}

static void run_case(const struct step_case *c, const char *isa, int n_threads)
{
    struct ft_err err;
    struct ft_dev *ref, *dev;
    struct ft_tape_config cfg = {.n_threads = n_threads, .isa = isa, .math = FT_GEMM_F32};
    assert_int_equal(ft_dev_open(&ft_dev_ref_ops, NULL, &ref, &err), 0);
    assert_int_equal(ft_tape_open(&cfg, &dev, &err), 0);
    struct tape *t = ft_tape_of(dev);
    struct side r, s;
    side_open(&r, ref, c);
    side_open(&s, dev, c);
    side_fill(&s, c);
    if (c->d_w > 0) { /* the vector is a parameter */
        t->param = calloc(1, sizeof *t->param);
        t->param[0] = (struct ft_param){.name = "w", .rows = 1, .cols = c->d_w, .value = s.w};
        t->param[0].grad = calloc((size_t)c->d_w, sizeof(float));
        t->n_params = 1;
        ft_tape_region(t, s.w)->param = 0;
    }
    ft_tape_measuring(t);
    t->n_rows = ROWS;
    c->run(dev, s.m, s.w);
    assert_int_equal(ft_tape_take(t, &err), 0);
    ft_tape_begin(dev, true, 0);
    side_fill(&s, c);
    c->run(dev, s.m, s.w);
    struct ft_mat g = ft_tape_grad(t, s.m[c->out]);
    int out_rows = strncmp(c->name, "gather", 6) == 0 ? 2 : ROWS;
    for (int64_t i = 0; i < out_rows; i++)
        for (int64_t j = 0; j < c->width[c->out]; j++)
            g.p[i * g.ld + j] = weighting(i, j);
    ft_tape_set_live(t, s.m[c->out], true);
    ft_tape_backward(dev);
    for (int b = 0; b < c->n_in; b++) {
        struct ft_mat gb = ft_tape_grad(t, s.m[b]);
        for (int64_t i = 0; i < ROWS; i += 3)
            for (int64_t j = 0; j < c->width[b]; j += 5) {
                double want = difference(&r, c, r.m[b].p + i * r.m[b].ld + j);
                check(gb.p[i * gb.ld + j], want, c->name, "input", i * 1000 + j);
            }
    }
    for (int j = 0; j < c->d_w; j++)
        check(t->param[0].grad[j], difference(&r, c, r.w + j), c->name, "weight", j);
    side_close(&r);
    side_close(&s);
    ft_dev_close(dev);
    ft_dev_close(ref);
}

static const char *const isas[] = {"plain", "avx2", "avx512"};

static void gradients_match_finite_differences(void **state)
{
    (void)state;
    for (size_t k = 0; k < FT_COUNT(isas); k++) {
        struct ft_dev *d;
        struct ft_err err;
        struct ft_tape_config cfg = {.n_threads = 1, .isa = isas[k], .math = FT_GEMM_F32};
        if (ft_tape_open(&cfg, &d, &err) != 0)
            continue; /* not on this machine */
        ft_dev_close(d);
        for (size_t i = 0; i < FT_COUNT(cases); i++)
            run_case(&cases[i], isas[k], k == 0 ? 1 : 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_match_finite_differences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
