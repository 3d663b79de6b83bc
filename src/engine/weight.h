/* What the matrix products of a device work on: matrices of numbers, weights, adapters. Data only;
 * dev.h has the steps. */
#ifndef FT_ENGINE_WEIGHT_H
#define FT_ENGINE_WEIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/file/weights.h"

struct ft_mat {
    float *p;
    int64_t ld; /* elements between rows */
};

/* A weight matrix, or a stack of them, in the device's own layout. Embedded first by backends. */
struct ft_weight {
    int64_t n_in, n_out; /* y[n_out] = W x[n_in] */
    int n_stack;         /* experts or heads; 1 for a plain matrix */
    enum ft_type type;
    size_t file_bytes; /* bytes read when every row is used once */
    int index;         /* among its model's weights; set by the model */
};

/* One of several products of the same input (queries, keys and values; gate and up). */
struct ft_linear {
    struct ft_weight *w;
    const float *bias; /* [n_out] device f32, or NULL */
    struct ft_mat y;   /* [n, n_out] */
    bool add;          /* y += instead of y = (the residual) */
};

/* One low-rank pair of an adapter: W x becomes W x + scale * B (A x). Host memory. */
struct ft_lora_pair {
    int64_t n_in, n_out;
    int rank; /* 1 .. FT_LORA_RANK_MAX */
    float scale;
    const float *a; /* [rank, n_in] */
    const float *b; /* [n_out, rank] */
};

#define FT_LORA_RANK_MAX 4096

/* The pairs of one adapter in the device's own layout. Embedded first by backends. */
struct ft_lora {
    int n_pairs;
    size_t bytes; /* of device memory */
};

/* Some rows of a product and the pair they go through. */
struct ft_lora_use {
    const struct ft_lora *lora;
    int pair;
    int row, n;      /* rows [row, row + n) of x and y */
    struct ft_mat y; /* the product's output */
};

#endif
