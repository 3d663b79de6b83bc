/* Vector kernels of the small steps (steps.h), compiled once per instruction set: the including file
 * has chosen a vec_<isa>.h and defines STEPS_TABLE, the name of its table, and ISA(), which adds
 * its suffix. Sums run over fixed lanes, so a row's bits depend on its length alone. */
#include <math.h>

/* Sum of squares: four accumulators of VW lanes. */
INLINE float norm_factor(const float *x, int d, float eps)
{
    vf a[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    int i = 0;
    for (; i + 4 * VW <= d; i += 4 * VW) {
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            vf v = v_load(x + i + j * VW);
            a[j] = v_fma(v, v, a[j]);
        }
    }
    for (; i < d; i += VW) {
        vf v = v_load_n(x + i, FT_MIN(VW, d - i));
        a[0] = v_fma(v, v, a[0]);
    }
    float sum = v_hsum(v_add(v_add(a[0], a[1]), v_add(a[2], a[3])));
    return 1 / sqrtf(sum / (float)d + eps);
}

INLINE void norm(const float *x, int d, const float *w, float eps, float *y)
{
    vf f = v_set1(norm_factor(x, d, eps));
    int i = 0;
    for (; i + VW <= d; i += VW)
        v_store(y + i, v_mul(v_mul(v_load(x + i), f), v_load(w + i)));
    if (i < d)
        v_store_n(y + i, v_mul(v_mul(v_load_n(x + i, d - i), f), v_load_n(w + i, d - i)), d - i);
}

static void rmsnorm(const float *x, int d, const float *w, float eps, float *y)
{
    norm(x, d, w, eps, y);
}

INLINE void turn_pair(float *a, float *b, const float *cs)
{
    float u = *a, v = *b;
    *a = u * cs[0] - v * cs[1];
    *b = u * cs[1] + v * cs[0];
}

INLINE void rotate_halves(float *x, const float *cs, int n_rot)
{
    int half = n_rot / 2, j = 0;
    for (; j + VW <= half; j += VW) {
        vf c, s, u = v_load(x + j), v = v_load(x + half + j);
        v_load_pairs(cs + 2 * j, &c, &s);
        v_store(x + j, v_fms(u, c, v_mul(v, s)));
        v_store(x + half + j, v_fma(u, s, v_mul(v, c)));
    }
    for (; j < half; j++)
        turn_pair(x + j, x + half + j, cs + 2 * j);
}

INLINE void rotate_neighbours(float *x, const float *cs, int n_rot)
{
    int j = 0;
    for (; j + VW <= n_rot; j += VW)
        v_store(x + j, v_turn(v_load(x + j), v_load(cs + j)));
    for (; j < n_rot; j += 2)
        turn_pair(x + j, x + j + 1, cs + j);
}

static void heads(float *x, int n_head, int d_head, const float *w, float eps, const float *cs,
                  int at, int n_rot, enum ft_rope_pairs pairs)
{
    for (int h = 0; h < n_head; h++, x += d_head) {
        if (w != NULL)
            norm(x, d_head, w, eps, x);
        if (cs != NULL && pairs == FT_ROPE_HALVES)
            rotate_halves(x + at, cs, n_rot);
        else if (cs != NULL)
            rotate_neighbours(x + at, cs, n_rot);
    }
}

/* 1 / (1 + e^-x) * y */
INLINE vf logistic(vf x, vf y)
{
    return v_div(y, v_add(v_set1(1), v_exp2(v_mul(x, v_set1((float)-FT_LOG2E)))));
}

static void swiglu(const float *gate, const float *up, int n, float *y)
{
    int i = 0;
    for (; i + VW <= n; i += VW) {
        vf g = v_load(gate + i);
        v_store(y + i, v_mul(logistic(g, g), v_load(up + i)));
    }
    if (i < n) {
        vf g = v_load_n(gate + i, n - i);
        v_store_n(y + i, v_mul(logistic(g, g), v_load_n(up + i, n - i)), n - i);
    }
}

static void sigmoid(const float *x, int n, float *y)
{
    for (int i = 0; i < n; i += VW) {
        int m = FT_MIN(VW, n - i);
        v_store_n(y + i, logistic(v_load_n(x + i, m), v_set1(1)), m);
    }
}

static void softmax(const float *x, int n, float *y)
{
    vf low = v_set1(-INFINITY), most = low, sum = v_zero();
    for (int i = 0; i < n; i += VW) {
        int m = FT_MIN(VW, n - i);
        most = v_max(most, v_first(v_load_n(x + i, m), low, m));
    }
    vf top = v_set1(v_hmax(most));
    for (int i = 0; i < n; i += VW) {
        int m = FT_MIN(VW, n - i);
        vf e = v_exp2(v_mul(v_sub(v_load_n(x + i, m), top), v_set1((float)FT_LOG2E)));
        sum = v_add(sum, v_first(e, v_zero(), m));
        v_store_n(y + i, e, m);
    }
    vf total = v_set1(v_hsum(sum));
    for (int i = 0; i < n; i += VW) {
        int m = FT_MIN(VW, n - i);
        v_store_n(y + i, v_div(v_load_n(y + i, m), total), m);
    }
}

const struct ft_cpu_steps STEPS_TABLE = {
    .attend_scratch = ISA(ft_attend_scratch),
    .attend_tile = ISA(ft_attend_tile),
    .attend_fold = ISA(ft_attend_fold),
    .kv_store = ISA(ft_kv_store),
    .rmsnorm = rmsnorm,
    .heads = heads,
    .swiglu = swiglu,
    .sigmoid = sigmoid,
    .softmax = softmax,
};
