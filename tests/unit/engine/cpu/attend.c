/* Attention and the cache against the definition in f64, and bit for bit against itself: whatever
 * the chunks rows come in, the sequences beside them, the threads. Every instruction set of this
 * machine, every cache type. */
/* labels: threads */
#include "testing.h"

#include <math.h>

#include "base/half.h"
#include "base/rand.h"
#include "engine/cpu/cpu.h"

#define SEQS_MAX 3

static const char *const isas[] = {"plain", "avx2", "avx512"};

struct shape {
    int n_q_head, n_head, d_k, d_v;
    bool v_in_k;
};

/* Sequences of tokens with made-up queries, keys and values. */
struct data {
    struct shape s;
    int n_seqs, len[SEQS_MAX];
    float *q[SEQS_MAX], *k[SEQS_MAX], *v[SEQS_MAX]; /* [len, heads * d] */
};

static float *random_floats(uint64_t stream, int64_t n, float size)
{
    float *p = malloc((size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++) /* sum of three: bell-shaped enough */
        p[i] = size * (float)(ft_rand_unit(1, stream, (uint64_t)i * 3) +
                              ft_rand_unit(1, stream, (uint64_t)i * 3 + 1) +
                              ft_rand_unit(1, stream, (uint64_t)i * 3 + 2) - 1.5);
    return p;
}

static struct data data_make(struct shape s, int n_seqs, const int *len)
{
    struct data d = {.s = s, .n_seqs = n_seqs};
    for (int i = 0; i < n_seqs; i++) {
        d.len[i] = len[i];
        d.q[i] = random_floats(10 + (uint64_t)i, (int64_t)len[i] * s.n_q_head * s.d_k, 3);
        d.k[i] = random_floats(20 + (uint64_t)i, (int64_t)len[i] * s.n_head * s.d_k, 2);
        d.v[i] = random_floats(30 + (uint64_t)i, (int64_t)len[i] * s.n_head * s.d_v, 2);
    }
    return d;
}

static void data_free(struct data *d)
{
    for (int i = 0; i < d->n_seqs; i++) {
        free(d->q[i]);
        free(d->k[i]);
        free(d->v[i]);
    }
}

static float scale_of(struct shape s)
{
    return 1 / sqrtf((float)s.d_k);
}

/* What the cache holds instead of x. */
static double stored(enum ft_kv_type type, float x)
{
    return type == FT_KV_F16 ? ft_f16_to_f32(ft_f32_to_f16(x)) : x;
}

/* One row of attention by the definition. y: [n_q_head * d_v]. */
static void exact_row(const struct data *d, int seq, int pos, enum ft_kv_type type, double *y)
{
    struct shape s = d->s;
    double *p = malloc((size_t)(pos + 1) * sizeof *p);
    for (int h = 0; h < s.n_q_head; h++) {
        int g = h / (s.n_q_head / s.n_head);
        const float *q = d->q[seq] + ((int64_t)pos * s.n_q_head + h) * s.d_k;
        double most = -INFINITY, sum = 0;
        for (int t = 0; t <= pos; t++) {
            const float *k = d->k[seq] + ((int64_t)t * s.n_head + g) * s.d_k;
            double dot = 0;
            for (int i = 0; i < s.d_k; i++)
                dot += (double)q[i] * stored(type, k[i]);
            p[t] = dot * (double)scale_of(s);
            most = fmax(most, p[t]);
        }
        memset(y + (int64_t)h * s.d_v, 0, (size_t)s.d_v * sizeof *y);
        for (int t = 0; t <= pos; t++) {
            const float *v = s.v_in_k ? d->k[seq] + ((int64_t)t * s.n_head + g) * s.d_k
                                      : d->v[seq] + ((int64_t)t * s.n_head + g) * s.d_v;
            double w = exp(p[t] - most);
            sum += w;
            for (int i = 0; i < s.d_v; i++)
                y[(int64_t)h * s.d_v + i] += w * stored(type, v[i]);
        }
        for (int i = 0; i < s.d_v; i++)
            y[(int64_t)h * s.d_v + i] /= sum;
    }
    free(p);
}

static struct ft_dev *dev_open(const char *isa, int n_threads)
{
    struct ft_dev *d = NULL;
    struct ft_err err;
    struct ft_dev_config cfg = {n_threads, isa};
    return ft_dev_open(&ft_dev_cpu_ops, &cfg, &d, &err) == 0 ? d : NULL;
}

/* Which rows are fed together: `chunk` rows of every sequence of `mask` at a time, `first` of each
 * in the first batch. */
struct plan {
    const char *isa;
    int n_threads, first, chunk;
    unsigned mask;
    bool bf16;
};

/* What rounding queries, keys, weights and values to bfloat16 adds to a result here. */
#define BF16_ALLOWED 3e-2

/* Feeds the sequences by plan; returns y of every row, per sequence in y[i] (malloc). */
static void run(const struct data *d, enum ft_kv_type type, struct plan p, float *y[SEQS_MAX])
{
    struct shape s = d->s;
    struct ft_dev *dev = dev_open(p.isa, p.n_threads);
    assert_non_null(dev);
    struct ft_kv_layer layer[3] = {
        {0, 0, 0, false, 0}, /* a layer without keys and values, one beside the tested one */
        {1, 24, 40, false, 0},
        {s.n_head, s.d_k, s.d_v, s.v_in_k, 0}};
    struct ft_kv_shape ks = {3, type, layer, p.bf16};
    struct ft_kv *kv = NULL;
    struct ft_err err;
    int n_blocks = 0, at[SEQS_MAX] = {0}, table[SEQS_MAX][64], rows_max = 0;
    for (int i = 0; i < d->n_seqs; i++) {
        int n = (d->len[i] + FT_KV_BLOCK - 1) / FT_KV_BLOCK;
        for (int j = 0; j < n; j++)
            table[i][j] = (int)(((unsigned)j * 5 + 3) % (unsigned)n * (unsigned)d->n_seqs) + i;
        if (n % 5 == 0)
            for (int j = 0; j < n; j++)
                table[i][j] = (n - 1 - j) * d->n_seqs + i;
        n_blocks = n * d->n_seqs > n_blocks ? n * d->n_seqs : n_blocks;
        rows_max += d->len[i];
        y[i] = calloc((size_t)d->len[i] * (size_t)(s.n_q_head * s.d_v), sizeof(float));
    }
    assert_int_equal(ft_dev_kv_open(dev, &ks, n_blocks, 0, &kv, &err), 0);
    int64_t qw = (int64_t)s.n_q_head * s.d_k, kw = (int64_t)s.n_head * s.d_k,
            vw = (int64_t)s.n_head * s.d_v, yw = (int64_t)s.n_q_head * s.d_v;
    /* distances between rows that are not the width, to see that ld is used */
    struct ft_mat q = {calloc((size_t)rows_max, (size_t)(qw + 3) * 4), qw + 3},
                  k = {calloc((size_t)rows_max, (size_t)(kw + 5) * 4), kw + 5},
                  v = {calloc((size_t)rows_max, (size_t)(vw + 1) * 4), vw + 1},
                  o = {calloc((size_t)rows_max, (size_t)(yw + 7) * 4), yw + 7};
    for (int step = 0;; step++) {
        struct ft_seg seg[SEQS_MAX];
        int who[SEQS_MAX];
        struct ft_batch b = {.seg = seg};
        for (int i = 0; i < d->n_seqs; i++) {
            int n = FT_MIN(step == 0 ? p.first : p.chunk, d->len[i] - at[i]);
            if (n <= 0 || (p.mask >> i & 1) == 0)
                continue;
            for (int r = 0; r < n; r++) {
                int64_t row = b.n_rows + r, pos = at[i] + r;
                memcpy(q.p + row * q.ld, d->q[i] + pos * qw, (size_t)qw * 4);
                memcpy(k.p + row * k.ld, d->k[i] + pos * kw, (size_t)kw * 4);
                memcpy(v.p + row * v.ld, d->v[i] + pos * vw, (size_t)vw * 4);
            }
            who[b.n_segs] = i;
            seg[b.n_segs++] = (struct ft_seg){b.n_rows, n, at[i], table[i], -1, NULL};
            b.n_rows += n;
        }
        if (b.n_segs == 0)
            break;
        ft_dev_kv_store(dev, kv, 2, &b, k, v);
        ft_dev_attend(dev, kv, 2, &b, q, s.n_q_head, scale_of(s), o);
        for (int j = 0; j < b.n_segs; j++) {
            for (int r = 0; r < seg[j].n; r++)
                memcpy(y[who[j]] + (int64_t)(seg[j].pos + r) * yw,
                       o.p + (int64_t)(seg[j].row + r) * o.ld, (size_t)yw * 4);
            at[who[j]] += seg[j].n;
        }
    }
    free(q.p);
    free(k.p);
    free(v.p);
    free(o.p);
    ft_dev_kv_close(dev, kv);
    ft_dev_close(dev);
}

/* Whether leave to round (ft_kv_shape.bf16) changes anything. */
static bool rounds(const char *isa, enum ft_kv_type type)
{
    return strcmp(isa, "avx512") == 0 && type != FT_KV_F32;
}

static void free_rows(float *y[SEQS_MAX])
{
    for (int i = 0; i < SEQS_MAX; i++)
        free(y[i]);
    memset(y, 0, SEQS_MAX * sizeof *y);
}

static bool have(const char *isa)
{
    struct ft_dev *d = dev_open(isa, 1);
    ft_dev_close(d);
    return d != NULL;
}

/* Largest difference of sampled rows from the definition. */
static double worst(const struct data *d, enum ft_kv_type type, float *y[SEQS_MAX], int step)
{
    int64_t yw = (int64_t)d->s.n_q_head * d->s.d_v;
    double *want = malloc((size_t)yw * sizeof *want), most = 0;
    for (int i = 0; i < d->n_seqs; i++)
        for (int pos = 0; pos < d->len[i];
             pos += pos + step < d->len[i] || pos == d->len[i] - 1 ? step : d->len[i] - 1 - pos) {
            exact_row(d, i, pos, type, want);
            for (int64_t j = 0; j < yw; j++) {
                double e = fabs(want[j] - y[i][(int64_t)pos * yw + j]);
                most = e > most || isnan(e) ? e : most; /* NaN sticks: comparisons fail */
                if (isnan(e))
                    i = d->n_seqs - 1;
            }
        }
    free(want);
    return most;
}

static const struct shape shapes[] = {
    {2, 2, 16, 16, false},  {3, 1, 20, 20, false},   {4, 2, 48, 48, false},
    {8, 1, 64, 64, false},  {4, 2, 128, 128, false}, {5, 1, 96, 96, false},
    {7, 1, 80, 80, false},  {2, 1, 192, 128, false}, {2, 1, 256, 256, false},
    {1, 1, 33, 7, false},   {4, 1, 288, 256, true},  {13, 1, 40, 32, true},
    {2, 1, 576, 512, true}, {20, 2, 72, 24, false},
};

static void every_shape_matches_the_definition(void **state)
{
    (void)state;
    const int len[] = {70, 39, 1};
    const double allowed[] = {[FT_KV_F32] = 4e-6, [FT_KV_F16] = 4e-6, [FT_KV_Q8] = 4e-2};
    for (size_t i = 0; i < FT_COUNT(shapes); i++) {
        struct data d = data_make(shapes[i], 3, len);
        for (size_t isa = 0; isa < FT_COUNT(isas); isa++)
            for (int c = 0; have(isas[isa]) && c < 2 * (FT_KV_Q8 + 1); c++) {
                enum ft_kv_type type = (enum ft_kv_type)(c / 2);
                bool bf16 = c % 2 == 1;
                float *y[SEQS_MAX] = {0};
                if (bf16 && !rounds(isas[isa], type))
                    continue;
                run(&d, type, (struct plan){isas[isa], 2, 36, 17, 7, bf16}, y);
                double e = worst(&d, type, y, 3);
                if (!(e <= allowed[type] + (bf16 ? BF16_ALLOWED : 0)))
                    fail_msg("%s type %d%s, heads %d/%d, d %d/%d: off by %g", isas[isa], type,
                             bf16 ? " bf16" : "", shapes[i].n_q_head, shapes[i].n_head,
                             shapes[i].d_k, shapes[i].d_v, e);
                free_rows(y);
            }
        data_free(&d);
    }
}

/* Every instruction set sees the same 8-bit numbers: they agree far below the quantisation error.
 */
static void kernels_agree_on_what_8_bits_hold(void **state)
{
    (void)state;
    const int len[] = {70};
    for (size_t i = 0; i < FT_COUNT(shapes); i++) {
        struct data d = data_make(shapes[i], 1, len);
        float *want[SEQS_MAX] = {0}, *y[SEQS_MAX] = {0};
        run(&d, FT_KV_Q8, (struct plan){"plain", 1, 70, 70, 1, false}, want);
        for (size_t isa = 1; isa < FT_COUNT(isas); isa++) {
            if (!have(isas[isa]))
                continue;
            run(&d, FT_KV_Q8, (struct plan){isas[isa], 1, 70, 70, 1, false}, y);
            for (int64_t j = 0; j < (int64_t)70 * shapes[i].n_q_head * shapes[i].d_v; j++)
                assert_true(fabsf(y[0][j] - want[0][j]) < 4e-6f);
            free_rows(y);
        }
        free_rows(want);
        data_free(&d);
    }
}

static void same_bits(const struct data *d, enum ft_kv_type type, struct plan a, struct plan b)
{
    float *x[SEQS_MAX] = {0}, *y[SEQS_MAX] = {0};
    a.bf16 = b.bf16;
    run(d, type, a, x);
    run(d, type, b, y);
    for (int i = 0; i < d->n_seqs; i++)
        if ((a.mask & b.mask) >> i & 1)
            for (int64_t j = 0; j < (int64_t)d->len[i] * d->s.n_q_head * d->s.d_v; j++)
                if (ft_f32_bits(x[i][j]) != ft_f32_bits(y[i][j]))
                    fail_msg("%s type %d threads %d chunk %d mask %u: row %d differs: %a %a", b.isa,
                             type, b.n_threads, b.chunk, b.mask,
                             (int)(j / (d->s.n_q_head * d->s.d_v)), (double)x[i][j],
                             (double)y[i][j]);
    free_rows(x);
    free_rows(y);
}

static void a_row_is_the_same_bits_however_it_comes(void **state)
{
    (void)state;
    static const struct shape some[] = {
        {4, 2, 16, 16, false}, {6, 2, 32, 20, false}, {9, 1, 40, 32, true}, {14, 2, 24, 48, false}};
    const int len[] = {170, 67, 33}, few[] = {70, 33, 1}; /* plain C is slow */
    for (size_t i = 0; i < FT_COUNT(some) * FT_COUNT(isas); i++) {
        size_t isa = i % FT_COUNT(isas);
        struct data d = data_make(some[i / FT_COUNT(isas)], 3, isa == 0 ? few : len);
        for (int type = FT_KV_F32; have(isas[isa]) && type <= FT_KV_Q8; type++) {
            struct plan whole = {isas[isa], 1, 512, 512, 7, false};
            const struct plan other[] = {{isas[isa], 2, 1, 1, 7, false},
                                         {isas[isa], 3, 7, 7, 7, false},
                                         {isas[isa], 4, 32, 32, 5, false},
                                         {isas[isa], 2, 100, 1, 1, false},
                                         {isas[isa], 4, 3, 2, 2, false}};
            for (size_t j = 0; j < 2 * FT_COUNT(other); j++) {
                struct plan p = other[j / 2];
                p.bf16 = j % 2 == 1;
                if (!p.bf16 || rounds(isas[isa], (enum ft_kv_type)type))
                    same_bits(&d, (enum ft_kv_type)type, whole, p);
            }
        }
        data_free(&d);
    }
}

/* Long enough for several parts, which threads compute apart. */
static void long_sequences_are_the_same_bits_on_any_threads(void **state)
{
    (void)state;
    static const struct shape some[] = {{4, 2, 64, 64, false}, {16, 1, 48, 32, true}};
    const int len[] = {1060, 515}; /* too long for plain C, which takes the parts alike */
    for (size_t i = 0; i < FT_COUNT(some); i++) {
        struct data d = data_make(some[i], 2, len);
        for (size_t isa = 1; isa < FT_COUNT(isas); isa++) {
            if (!have(isas[isa]))
                continue;
            struct plan a = {isas[isa], 1, 1030, 31, 3, false};
            const struct plan other[] = {{isas[isa], 4, 1060, 1, 3, false},
                                         {isas[isa], 2, 1030, 1, 1, false},
                                         {isas[isa], 3, 500, 100, 3, false}};
            for (size_t j = 0; j < 2 * FT_COUNT(other); j++) {
                struct plan p = other[j / 2];
                p.bf16 = j % 2 == 1;
                if (!p.bf16 || rounds(isas[isa], FT_KV_F16))
                    same_bits(&d, FT_KV_F16, a, p);
            }
            float *y[SEQS_MAX] = {0};
            run(&d, FT_KV_F32, other[1], y);
            d.n_seqs = 1;
            assert_true(worst(&d, FT_KV_F32, y, 191) < 4e-6);
            d.n_seqs = 2;
            free_rows(y);
        }
        data_free(&d);
    }
}

/* What a released block held before, even infinities, reaches nobody else's rows. */
static void stale_tokens_of_a_block_are_not_seen(void **state)
{
    (void)state;
    struct shape s = {4, 2, 32, 32, false};
    const int len[] = {45};
    struct data d = data_make(s, 1, len);
    for (size_t i = 0; i < 2 * FT_COUNT(isas); i++) {
        struct ft_dev *dev = dev_open(isas[i / 2], 2);
        if (dev == NULL)
            continue;
        struct ft_kv_layer layer = {2, 32, 32, false, 0};
        struct ft_kv_shape ks = {1, FT_KV_F16, &layer, i % 2 == 1};
        struct ft_kv *kv = NULL;
        assert_int_equal(ft_dev_kv_open(dev, &ks, 2, 0, &kv, NULL), 0);
        size_t bytes = ft_dev_kv_block_bytes(dev, &ks);
        void *dirt = malloc(bytes);
        memset(dirt, 0xff, bytes); /* NaN in every type */
        ft_dev_kv_write(dev, kv, 0, dirt);
        ft_dev_kv_write(dev, kv, 1, dirt);
        const int32_t table[] = {1, 0};
        struct ft_seg seg = {0, 45, 0, table, -1, NULL};
        struct ft_batch b = {.n_rows = 45, .n_segs = 1, .seg = &seg};
        float *y[SEQS_MAX] = {calloc(45 * 128, sizeof(float))};
        ft_dev_kv_store(dev, kv, 0, &b, (struct ft_mat){d.k[0], 64}, (struct ft_mat){d.v[0], 64});
        ft_dev_attend(dev, kv, 0, &b, (struct ft_mat){d.q[0], 128}, 4, scale_of(s),
                      (struct ft_mat){y[0], 128});
        assert_true(worst(&d, FT_KV_F16, y, 1) < (ks.bf16 ? BF16_ALLOWED : 4e-6));
        free_rows(y);
        free(dirt);
        ft_dev_kv_close(dev, kv);
        ft_dev_close(dev);
    }
    data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_matches_the_definition),
        cmocka_unit_test(kernels_agree_on_what_8_bits_hold),
        cmocka_unit_test(a_row_is_the_same_bits_however_it_comes),
        cmocka_unit_test(long_sequences_are_the_same_bits_on_any_threads),
        cmocka_unit_test(stale_tokens_of_a_block_are_not_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
