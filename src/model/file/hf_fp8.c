/* FP8 matrices with block scales, widened to BF16.
 *
 * A matrix of r x c is cut into blocks (128 x 128 as a rule), a scale each; the last row and column
 * of blocks may be short. weight = e4m3(byte) * scale, rounded to BF16. Format: "FP8 Formats for
 * Deep Learning" (Micikevicius et al., 2022), the variant without infinities. */
#include "model/file/hf_fp8.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/half.h"

#define SCALE_SUFFIX "_scale_inv"

struct matrix {
    int tensor, part; /* whose it is */
    const uint8_t *bytes, *scale;
    const struct ft_type_info *scale_type;
    int64_t rows, cols, block_rows, block_cols;
    uint16_t *out;
    struct matrix *next; /* of the same tensor */
};

struct ft_fp8 {
    struct matrix **of; /* per tensor: its matrices, or NULL */
    bool *filled;       /* per tensor */
    int n_tensor;
    pthread_mutex_t lock; /* guards filled, and the filling */
    uint8_t *memory;
    size_t memory_bytes;
    float value[256];
};

bool ft_fp8_is_scale(const char *name, size_t *ret_n)
{
    if (!ft_str_ends(name, SCALE_SUFFIX))
        return false;
    *ret_n = strlen(name) - strlen(SCALE_SUFFIX);
    return *ret_n > 0;
}

bool ft_fp8_is_matrix(const struct ft_st_tensor *t)
{
    return strcmp(t->dtype, "F8_E4M3") == 0;
}

static float e4m3(unsigned b)
{
    unsigned exponent = b >> 3 & 15, mantissa = b & 7;
    if (exponent == 15 && mantissa == 7)
        return NAN;
    float v = exponent == 0 ? ldexpf((float)mantissa, -9)
                            : ldexpf((float)(8 + mantissa), (int)exponent - 10);
    return (b & 0x80) != 0 ? -v : v;
}

static int fp8_init(struct ft_weights *w, struct ft_err *err)
{
    struct ft_fp8 *f = ft_arena_alloc(&w->arena, sizeof *f);
    size_t n = (size_t)w->n_tensor_cap;
    if (f != NULL) {
        f->of = ft_arena_array(&w->arena, n, sizeof *f->of);
        f->filled = ft_arena_array(&w->arena, n, sizeof *f->filled);
    }
    if (f == NULL || f->of == NULL || f->filled == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a list of matrices");
    pthread_mutex_init(&f->lock, NULL);
    f->n_tensor = w->n_tensor_cap;
    for (unsigned b = 0; b < 256; b++)
        f->value[b] = e4m3(b);
    w->fp8 = f;
    return 0;
}

/* The scale's format, if its shape is that of the matrix's blocks. */
static const struct ft_type_info *
scale_check(const struct ft_st_tensor *t, const struct ft_st_tensor *scale, const int64_t block[2])
{
    const struct ft_type_info *info = ft_type_by_name(scale->dtype);
    bool known = info != NULL && ft_type_is_float(info->type);
    for (int d = 0; known && d < 2; d++)
        known = scale->dim[d] == (t->dim[d] + block[d] - 1) / block[d];
    return known && scale->n_dims == 2 ? info : NULL;
}

int ft_fp8_add(struct ft_weights *w, int index, int part, const struct ft_st_tensor *t,
               const struct ft_st_tensor *scale, const int64_t block[2], struct ft_err *err)
{
    if (scale == NULL || block[0] <= 0 || block[1] <= 0)
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "tensor %s: FP8 without %s" SCALE_SUFFIX
                          " and quantization_config.weight_block_size",
                          t->name, t->name);
    const struct ft_type_info *info = t->n_dims == 2 ? scale_check(t, scale, block) : NULL;
    if (info == NULL)
        return ft_err_set(err, FT_ECORRUPT,
                          "tensor %s: its shape is not that of the blocks of the matrix, or its "
                          "dtype is %s",
                          scale->name, scale->dtype);
    int rc = w->fp8 != NULL ? 0 : fp8_init(w, err);
    if (rc != 0)
        return rc;
    struct matrix *m = ft_arena_alloc(&w->arena, sizeof *m);
    if (m == NULL)
        return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory", t->name);
    *m = (struct matrix){.tensor = index,
                         .part = part,
                         .bytes = t->p,
                         .scale = scale->p,
                         .scale_type = info,
                         .rows = t->dim[0],
                         .cols = t->dim[1],
                         .block_rows = block[0],
                         .block_cols = block[1],
                         .next = w->fp8->of[index]};
    w->fp8->of[index] = m;
    return 0;
}

static size_t matrix_bytes(const struct matrix *m)
{
    return (size_t)m->rows * (size_t)m->cols * 2;
}

/* Each tensor begins at a page of its own, so that it can be given back alone. */
static size_t tensor_bytes(const struct matrix *m)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
    for (; m != NULL; m = m->next)
        n += matrix_bytes(m);
    return (n + page - 1) / page * page;
}

int ft_fp8_place(struct ft_weights *w, struct ft_err *err)
{
    struct ft_fp8 *f = w->fp8;
    if (f == NULL)
        return 0;
    for (int i = 0; i < f->n_tensor; i++)
        f->memory_bytes += tensor_bytes(f->of[i]);
    void *p = mmap(NULL, f->memory_bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return ft_err_sys(err, "reserve %zu bytes for FP8 weights", f->memory_bytes);
    f->memory = p;
    uint8_t *at = p;
    for (int i = 0; i < f->n_tensor; at += tensor_bytes(f->of[i]), i++) {
        uint8_t *out = at;
        for (struct matrix *m = f->of[i]; m != NULL; out += matrix_bytes(m), m = m->next) {
            m->out = (uint16_t *)(void *)out;
            ((const void **)w->tensor[i].part)[m->part] = out;
        }
    }
    return 0;
}

void ft_fp8_close(struct ft_weights *w)
{
    if (w->fp8 == NULL)
        return;
    if (w->fp8->memory != NULL)
        munmap(w->fp8->memory, w->fp8->memory_bytes);
    pthread_mutex_destroy(&w->fp8->lock);
}

static void matrix_fill(const struct ft_fp8 *f, const struct matrix *m)
{
    size_t scale_bytes = (size_t)m->scale_type->block_bytes;
    int64_t across = (m->cols + m->block_cols - 1) / m->block_cols;
    for (int64_t r = 0; r < m->rows; r++) {
        const uint8_t *in = m->bytes + r * m->cols;
        uint16_t *out = m->out + r * m->cols;
        for (int64_t b = 0; b < across; b++) {
            float scale;
            const uint8_t *at = m->scale + (size_t)(r / m->block_rows * across + b) * scale_bytes;
            m->scale_type->dequantise(at, &scale, 1);
            int64_t end = FT_MIN((b + 1) * m->block_cols, m->cols);
            for (int64_t c = b * m->block_cols; c < end; c++)
                out[c] = ft_f32_to_bf16(f->value[in[c]] * scale);
        }
    }
}

void ft_fp8_fetch(const struct ft_weights *w, int tensor)
{
    struct ft_fp8 *f = w->fp8;
    if (f == NULL || f->of[tensor] == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    if (!f->filled[tensor])
        for (const struct matrix *m = f->of[tensor]; m != NULL; m = m->next)
            matrix_fill(f, m);
    f->filled[tensor] = true;
    pthread_mutex_unlock(&f->lock);
}

void ft_fp8_drop(const struct ft_weights *w, int tensor)
{
    struct ft_fp8 *f = w->fp8;
    if (f == NULL || f->of[tensor] == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    if (f->filled[tensor]) /* the first of the list lies at the tensor's own page */
        madvise(f->of[tensor]->out, tensor_bytes(f->of[tensor]), MADV_DONTNEED);
    f->filled[tensor] = false;
    pthread_mutex_unlock(&f->lock);
}
