/* Matrix products of the trainer on the CPU: C[m, n] = alpha * A[m, k] B[k, n], or += that.
 *
 * Operands may be stored either way round, in any weight format; they are converted, rounded and
 * brought into the order of the kernels (packed) on the way in, so a quantised matrix is never held
 * as a whole in another form. C is f32.
 *
 * The same bits always: each element of C is summed over k in one order, which k and the kernels
 * alone decide (blocks of k ascending; each block summed from zero, times alpha, added to C). They
 * depend neither on m, n, the other elements, the number of threads, nor on ft_gemm_run or
 * ft_gemm_one. They do depend on the instruction set and on the kind of arithmetic.
 *
 * Memory, all of it taken by ft_gemm_open: FT_GEMM_SHARED_BYTES once and FT_GEMM_WORKER_BYTES a
 * worker, used as far as products need it. */
#ifndef FT_TRAIN_GEMM_H
#define FT_TRAIN_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "model/file/quant.h"

#define FT_GEMM_SHARED_BYTES ((size_t)8 << 20)
#define FT_GEMM_WORKER_BYTES ((size_t)2 << 20)

enum ft_gemm_math {
    FT_GEMM_BF16, /* operands rounded to bfloat16 (to nearest even), sums in f32 */
    FT_GEMM_F32
};

struct ft_gemm; /* the pool (borrowed), buffers for packed operands, the chosen kernels */

/* isa: "plain", "avx2", "avx512", NULL for the best of this machine. FT_EINVAL, FT_EUNSUPPORTED,
 * FT_ENOMEM. The pool must outlive it. */
int ft_gemm_open(struct ft_pool *pool, const char *isa, enum ft_gemm_math math,
                 struct ft_gemm **ret_g, struct ft_err *err);
void ft_gemm_close(struct ft_gemm *g); /* NULL is accepted */

/* An operand: rows of elements, `ld` elements from the start of one stored row to the next. Element
 * (i, j) lies in stored row i at column j; with trans in stored row j at column i. Floats may lie
 * at any address. With a block format ld is the row's length, whole blocks, and `p` the first
 * element of a stored row. Infinite and not-a-number values go through as the arithmetic has it. */
struct ft_gemm_in {
    const void *p;
    enum ft_type type;
    int64_t ld;
    bool trans;
};

/* m, n, k >= 0; k == 0 is a sum of nothing. c: [m, n] f32, ldc elements between rows; must not
 * overlap the operands. add: to what c holds (it is not read otherwise). */
struct ft_gemm_args {
    int64_t m, n, k;
    struct ft_gemm_in a, b;
    float alpha;
    bool add;
    float *c;
    int64_t ldc;
};

/* Spread over the pool. Owner thread of the pool only, not inside a region. */
void ft_gemm_run(struct ft_gemm *g, const struct ft_gemm_args *x);

/* On the calling worker alone, from inside a region of the same pool (worker: as the pool names it)
 * or by its owner outside (worker 0): for many small products at once, as attention has them. */
void ft_gemm_one(struct ft_gemm *g, int worker, const struct ft_gemm_args *x);

#endif
