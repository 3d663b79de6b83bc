/* What this machine can do at most: the limits that measured speeds are held against. */
#ifndef FT_ENGINE_CPU_PROBE_H
#define FT_ENGINE_CPU_PROBE_H

#include "base/err.h"

struct ft_cpu_limits {
    double read_gb_s;    /* memory, read by all threads together */
    double int8_gop_s;   /* 8-bit integer products and sums, counted as two operations */
    double bf16_gflop_s; /* bf16 products, f32 sums; the f32 rate where there is no instruction */
    double f32_gflop_s;
};

/* Measures with n_threads (0: one per core) for about half a second; the best of several rounds,
 * since neighbours only ever take away. FT_ENOMEM. */
int ft_cpu_probe(int n_threads, struct ft_cpu_limits *ret, struct ft_err *err);

/* The same for the products alone (read_gb_s is 0): a few hundredths of a second, no memory to
 * speak of, so that it can alternate with what is measured. */
int ft_cpu_probe_products(int n_threads, struct ft_cpu_limits *ret, struct ft_err *err);

#endif
