/* Packing: every sample once an epoch, whole, in bins of the given size; the same batches for the
 * same seed and epoch. */
#include "testing.h"

#include "train/data/pack.h"

/* n samples of lengths from min to max; token k of sample i is 1000 * i + k; the second half of
 * each is to be learnt. */
static void make_data(struct ft_data *d, enum ft_data_kind kind, int n, int min, int max)
{
    *d = (struct ft_data){.kind = kind, .n = n, .sample = calloc((size_t)n, sizeof *d->sample)};
    for (int i = 0; i < n; i++) {
        struct ft_sample *s = &d->sample[i];
        s->n = min + (i * 7919 + 13) % (max - min + 1);
        s->token = calloc((size_t)s->n, sizeof *s->token);
        s->loss = calloc((size_t)s->n, 1);
        for (int k = 0; k < s->n; k++) {
            s->token[k] = 1000 * i + k;
            s->loss[k] = k >= (s->n + 1) / 2;
            s->n_target += s->loss[k];
        }
    }
}

static void drop_data(struct ft_data *d)
{
    for (int i = 0; i < d->n; i++) {
        free(d->sample[i].token);
        free(d->sample[i].loss);
    }
    free(d->sample);
}

static struct ft_epoch *epoch_of(const struct ft_data *d, const struct ft_pack_config *cfg,
                                 uint64_t epoch)
{
    struct ft_epoch *e = NULL;
    struct ft_err err = {0};
    if (ft_epoch_open(d, NULL, 0, cfg, epoch, &e, &err) != 0)
        fail_msg("%s", err.msg);
    return e;
}

static void batch_for(struct ft_pack_batch *b, const struct ft_epoch *e)
{
    struct ft_err err = {0};
    assert_int_equal(ft_pack_batch_init(b, e, &err), 0);
}

static void check_segment(const struct ft_data *d, const struct ft_pack_batch *b,
                          const struct ft_pack_seg *seg, int *n_out)
{
    const struct ft_sample *s = &d->sample[seg->sample];
    assert_int_equal(seg->n, s->n - 1);
    for (int i = 0; i < seg->n; i++) {
        int row = seg->row + i;
        assert_int_equal(b->token[row], s->token[i]);
        assert_int_equal(b->pos[row], i);
        assert_int_equal(b->target[row], s->loss[i + 1] ? s->token[i + 1] : -1);
        if (s->loss[i + 1])
            assert_int_equal(b->out_row[(*n_out)++], row);
    }
}

/* Checks all batches of an epoch; counts how often each sample is there. */
static void check_epoch(const struct ft_data *d, const struct ft_epoch *e,
                        const struct ft_pack_config *cfg, int *seen)
{
    struct ft_pack_batch b;
    int64_t targets = 0;
    int step = d->kind == FT_DATA_PREFERENCE ? 2 : 1;
    batch_for(&b, e);
    memset(seen, 0, (size_t)d->n * sizeof *seen);
    for (int i = 0; i < e->n_batches; i++) {
        int rows = 0, n_out = 0;
        ft_epoch_batch(e, i, &b);
        assert_in_range(b.n_rows, 1, cfg->len * cfg->bins * step);
        assert_in_range(b.n_rows, 1, e->max_rows);
        assert_in_range(b.n_segs, 1, e->max_segs);
        assert_in_range(b.n_out, 1, e->max_out);
        for (int k = 0; k < b.n_segs; k++) {
            assert_int_equal(b.seg[k].row, rows);
            rows += b.seg[k].n;
            seen[b.seg[k].sample]++;
            check_segment(d, &b, &b.seg[k], &n_out);
        }
        assert_int_equal(rows, b.n_rows);
        assert_int_equal(n_out, b.n_out);
        targets += n_out;
    }
    assert_int_equal(targets, e->targets);
    ft_pack_batch_fini(&b);
}

static void test_every_sample_once(void **state)
{
    (void)state;
    static const struct ft_pack_config cfgs[] = {
        {.len = 64, .bins = 1, .packing = true, .shuffle = true, .seed = 1},
        {.len = 64, .bins = 4, .packing = true, .shuffle = true, .seed = 2},
        {.len = 200, .bins = 3, .packing = true},
        {.len = 64, .bins = 5, .packing = false, .shuffle = true},
        {.len = 63, .bins = 4096, .packing = true, .shuffle = true},
    };
    struct ft_data d;
    int seen[1000];
    make_data(&d, FT_DATA_SUPERVISED, 1000, 2, 64);
    for (size_t c = 0; c < FT_COUNT(cfgs); c++) {
        struct ft_epoch *e = epoch_of(&d, &cfgs[c], 3);
        check_epoch(&d, e, &cfgs[c], seen);
        for (int i = 0; i < d.n; i++)
            assert_int_equal(seen[i], 1);
        if (!cfgs[c].packing)
            assert_int_equal(e->n_bins, 1000);
        else
            assert_true(e->fill > 0.94);
        assert_int_equal(e->n_batches, (e->n_bins + cfgs[c].bins - 1) / cfgs[c].bins);
        ft_epoch_close(e);
    }
    drop_data(&d);
}

static void test_only_the_samples_given(void **state)
{
    (void)state;
    struct ft_data d;
    struct ft_epoch *e = NULL;
    struct ft_err err = {0};
    static const int32_t index[] = {3, 17, 90};
    struct ft_pack_config cfg = {.len = 64, .bins = 2, .packing = true, .shuffle = true};
    int seen[100];
    make_data(&d, FT_DATA_SUPERVISED, 100, 2, 64);
    assert_int_equal(ft_epoch_open(&d, index, 3, &cfg, 0, &e, &err), 0);
    check_epoch(&d, e, &cfg, seen);
    for (int i = 0; i < 100; i++)
        assert_int_equal(seen[i], i == 3 || i == 17 || i == 90);
    ft_epoch_close(e);
    drop_data(&d);
}

/* The order of samples over an epoch, as one array. */
static int order_of(const struct ft_epoch *e, int *out)
{
    struct ft_pack_batch b;
    int n = 0;
    batch_for(&b, e);
    for (int i = 0; i < e->n_batches; i++) {
        ft_epoch_batch(e, i, &b);
        for (int k = 0; k < b.n_segs; k++)
            out[n++] = b.seg[k].sample;
    }
    ft_pack_batch_fini(&b);
    return n;
}

static void test_batches_depend_on_seed_and_epoch_alone(void **state)
{
    (void)state;
    struct ft_data d;
    struct ft_pack_config cfg = {.len = 64, .bins = 2, .packing = true, .shuffle = true, .seed = 5};
    int order[4][500];
    make_data(&d, FT_DATA_SUPERVISED, 500, 2, 64);
    for (int i = 0; i < 4; i++) {
        cfg.seed = i == 3 ? 6 : 5;
        struct ft_epoch *e = epoch_of(&d, &cfg, i == 2 ? 1 : 0);
        assert_int_equal(order_of(e, order[i]), 500);
        ft_epoch_close(e);
    }
    assert_memory_equal(order[0], order[1], sizeof order[0]);
    assert_memory_not_equal(order[0], order[2], sizeof order[0]);
    assert_memory_not_equal(order[0], order[3], sizeof order[0]);
    /* batch 7 alone is batch 7 after the others */
    struct ft_epoch *e = epoch_of(&d, &cfg, 0);
    struct ft_pack_batch a, b;
    batch_for(&a, e);
    batch_for(&b, e);
    for (int i = 0; i <= 7; i++)
        ft_epoch_batch(e, i, &a);
    ft_epoch_batch(e, 7, &b);
    assert_int_equal(a.n_rows, b.n_rows);
    assert_memory_equal(a.token, b.token, (size_t)a.n_rows * sizeof *a.token);
    ft_pack_batch_fini(&a);
    ft_pack_batch_fini(&b);
    ft_epoch_close(e);
    cfg.shuffle = false;
    cfg.packing = false;
    e = epoch_of(&d, &cfg, 0);
    order_of(e, order[0]);
    for (int i = 0; i < 500; i++)
        assert_int_equal(order[0][i], i);
    ft_epoch_close(e);
    drop_data(&d);
}

static void test_pairs_share_a_batch(void **state)
{
    (void)state;
    struct ft_data d;
    struct ft_pack_config cfg = {.len = 70, .bins = 3, .packing = true, .shuffle = true, .seed = 9};
    int seen[400], order[400];
    make_data(&d, FT_DATA_PREFERENCE, 400, 2, 64);
    struct ft_epoch *e = epoch_of(&d, &cfg, 0);
    check_epoch(&d, e, &cfg, seen);
    for (int i = 0; i < 400; i++)
        assert_int_equal(seen[i], 1);
    order_of(e, order);
    for (int i = 0; i < 400; i += 2) {
        assert_int_equal(order[i] % 2, 0);
        assert_int_equal(order[i + 1], order[i] + 1);
    }
    ft_epoch_close(e);
    drop_data(&d);
}

static void test_bounds_are_told(void **state)
{
    (void)state;
    struct ft_data d;
    struct ft_epoch *e = NULL;
    struct ft_err err = {0};
    struct ft_pack_config cfg = {.len = 20, .bins = 1, .packing = true};
    make_data(&d, FT_DATA_SUPERVISED, 10, 30, 30);
    assert_int_equal(ft_epoch_open(&d, NULL, 0, &cfg, 0, &e, &err), FT_EINVAL);
    assert_string_equal(err.msg, "a sample of 30 tokens, the sequence length is 20");
    cfg.len = 30;
    cfg.bins = 0;
    assert_int_equal(ft_epoch_open(&d, NULL, 0, &cfg, 0, &e, &err), FT_EINVAL);
    cfg.bins = FT_PACK_BINS_MAX;
    cfg.len = FT_DATA_LEN_MAX;
    assert_int_equal(ft_epoch_open(&d, NULL, 0, &cfg, 0, &e, &err), FT_EINVAL);
    cfg.bins = 1;
    assert_int_equal(ft_epoch_open(&d, (const int32_t[]){0}, 0, &cfg, 0, &e, &err), FT_EINVAL);
    drop_data(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_sample_once),
        cmocka_unit_test(test_only_the_samples_given),
        cmocka_unit_test(test_batches_depend_on_seed_and_epoch_alone),
        cmocka_unit_test(test_pairs_share_a_batch),
        cmocka_unit_test(test_bounds_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
