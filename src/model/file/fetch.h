/* A tensor's weights as f32, a few rows at a time, changed on their way if somebody asks for it:
 * what writing a model reads. */
#ifndef FT_MODEL_FETCH_H
#define FT_MODEL_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/file/weights.h"

/* A change of a model's weights: an adapter's product added, trained values in their stead. */
struct ft_edit {
    /* Does it change this tensor of the source? */
    bool (*changes)(void *ctx, const struct ft_tensor *t);
    /* y: [n] f32 from element `at` of t as the source has them; whole rows of a matrix, any
     * elements of a vector. Called from several threads at once. */
    void (*apply)(void *ctx, const struct ft_tensor *t, int64_t at, int64_t n, float *y);
    void *ctx;
};

static inline int64_t ft_tensor_elements(const struct ft_tensor *t)
{
    return t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
}

/* e may be NULL. */
static inline bool ft_edit_changes(const struct ft_edit *e, const struct ft_tensor *t)
{
    return e != NULL && e->changes(e->ctx, t);
}

/* y: [n] f32 from element `at` of t; both multiples of the format's block. e (may be NULL) changes
 * the tensor. */
void ft_tensor_fetch(const struct ft_tensor *t, const struct ft_edit *e, int64_t at, int64_t n,
                     float *y);
/* The bytes of n elements from element `at` on, whole rows, as they lie in the file: to put() in
 * pieces. */
int ft_tensor_copy(const struct ft_tensor *t, int64_t at, int64_t n,
                   int (*put)(void *sink, const void *data, size_t bytes, struct ft_err *err),
                   void *sink, struct ft_err *err);
/* The pages that hold these elements are not needed now: they leave this process's memory, and are
 * read again when touched. */
void ft_tensor_release(const struct ft_tensor *t, int64_t at, int64_t n);

#endif
