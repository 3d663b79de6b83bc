/* Row kernels of the training device: everything that is no matrix product. One text
 * (vec_lanes.inc) per instruction set. Sums run over 16 fixed lanes, so a row's bits depend on its
 * length alone. */
#ifndef FT_TRAIN_TAPE_VEC_H
#define FT_TRAIN_TAPE_VEC_H

#include <stdbool.h>
#include <stdint.h>

#include "model/file/hparams.h"

struct ft_tape_vec {
    /* y = x * r * w with r = 1 / sqrt(mean(x^2) + eps), which is returned. */
    float (*norm)(const float *x, int n, const float *w, float eps, float *y);
    /* gx (=, +=) the gradient of norm at x with that r, from gy. */
    void (*norm_back)(const float *x, int n, const float *w, float r, const float *gy, bool add,
                      float *gx);
    /* acc += a * b * s, element by element. */
    void (*mul_add)(const float *a, const float *b, float s, int n, float *acc);
    void (*add)(const float *a, int n, float *acc); /* acc += a */

    /* Pairs of x turned by cs; sign -1 turns back. */
    void (*rotate)(float *x, const float *cs, int n_rot, enum ft_rope_pairs pairs, float sign);

    void (*swiglu)(const float *gate, const float *up, int n, float *y);
    /* From gy: ggate, gup (=). gy may be ggate. */
    void (*swiglu_back)(const float *gate, const float *up, int n, const float *gy, float *ggate,
                        float *gup);

    float (*max)(const float *x, int n);
    /* y = e^(x * scale - shift); returns the sum. y may be x. */
    float (*exp_sum)(const float *x, int n, float scale, float shift, float *y);
    void (*scale)(const float *x, int n, float s, float *y);
    float (*dot)(const float *a, const float *b, int n);
    /* ds = p * (dp - delta) * scale. ds may be dp. */
    void (*softmax_back)(const float *p, const float *dp, float delta, float scale, int n,
                         float *ds);

    void (*to_bf16)(const float *x, int n, uint16_t *y); /* nearest even */
    void (*from_bf16)(const uint16_t *x, int n, float *y);
    /* y = x where the element's draw is at least drop / 2^16, times mul; else 0. Draws depend on
     * (key, index of the element). y may be x. */
    void (*dropout)(const float *x, int n, uint32_t drop, float mul, uint64_t key, float *y);
};

extern const struct ft_tape_vec ft_tape_vec_plain, ft_tape_vec_avx2, ft_tape_vec_avx512;

#endif
