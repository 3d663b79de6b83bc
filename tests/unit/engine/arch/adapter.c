/* Adapters through whole models: the same logits as with the adapter merged into the weights, for
 * every architecture, mixed with other rows in one batch; and what is refused. */
#include "testing.h"

#include <math.h>

#include "engine/arch/model.h"
#include "engine/cpu/cpu.h"
#include "engine/ref/ref.h"
#include "unit/engine/made_adapter.h"

static const char *const files[] = {"models/llama-s-F32.gguf",     "models/qwen2-s-F32.gguf",
                                    "models/qwen3-s-F32.gguf",     "models/qwen3moe-s-F32.gguf",
                                    "models/deepseek2-s-F32.gguf", "stories/stories260K-F32.gguf"};

#define SEQS   4
#define ROWS   20 /* of the first sequence; others are shorter */
#define BLOCKS (SEQS * 2)
#define SIZE   0.02
#define VOCAB  300 /* tokens used */

static void must(int rc, const struct ft_err *err)
{
    if (rc != 0)
        fail_msg("%s", err->msg);
}

/* A copy of the file at `path` with the adapter's products added to its F32 weights. */
static void write_merged(const char *path, const struct ft_weights *w, const struct ft_adapter *a,
                         const char *to)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size_t n = (size_t)ftell(f);
    rewind(f);
    char *data = malloc(n);
    assert_int_equal(fread(data, 1, n, f), n);
    fclose(f);
    for (int i = 0; i < a->n; i++) {
        const struct ft_adapter_pair *p = &a->pair[i];
        const struct ft_tensor *t = ft_weights_find(w, p->tensor);
        assert_int_equal(t->type, FT_F32);
        float *at = memmem(data, n, t->part[0], t->part_bytes);
        assert_non_null(at);
        for (int64_t o = 0; o < p->n_out; o++)
            for (int64_t k = 0; k < p->n_in; k++) {
                double sum = 0;
                for (int r = 0; r < p->rank; r++)
                    sum += (double)p->b[o * p->rank + r] * p->a[r * p->n_in + k];
                at[o * p->n_in + k] = (float)(at[o * p->n_in + k] + (double)p->scale * sum);
            }
    }
    f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    free(data);
}

struct rig {
    struct ft_dev *dev;
    struct ft_weights *w;
    struct ft_model *m;
    struct ft_kv *kv;
};

static void rig_open(struct rig *g, const struct ft_dev_ops *ops, const char *path)
{
    struct ft_err err = {0};
    struct ft_dev_config dev = {.n_threads = 2};
    struct ft_model_config cfg = {.kv_type = FT_KV_F32, .max_rows = SEQS * ROWS};
    must(ft_dev_open(ops, ops == &ft_dev_ref_ops ? NULL : &dev, &g->dev, &err), &err);
    must(ft_weights_open(path, &g->w, &err), &err);
    must(ft_model_open(g->dev, g->w, &cfg, &g->m, &err), &err);
    must(ft_model_load(g->m, NULL, NULL, &err), &err);
    must(ft_dev_kv_open(g->dev, &g->m->kv_shape, BLOCKS, 0, &g->kv, &err), &err);
}

static void rig_close(struct rig *g)
{
    ft_dev_kv_close(g->dev, g->kv);
    ft_model_close(g->m);
    ft_weights_close(g->w);
    ft_dev_close(g->dev);
}

static int32_t token_of(int seq, int pos)
{
    return (seq * 131 + pos * 17 + pos * pos) % VOCAB;
}

static int rows_of(int seq)
{
    return ROWS - 5 * seq;
}

/* One batch of the sequences from..to-1, each whole, each with its adapter; the logits of every
 * third row of them into `out`. Returns how many rows that is. */
static int run(struct rig *g, int from, int to, struct ft_model_adapter *const *adapter, float *out)
{
    struct ft_seg seg[SEQS];
    int32_t token[SEQS * ROWS], pos[SEQS * ROWS], row[SEQS * ROWS], block[SEQS][2];
    struct ft_batch b = {.token = token, .pos = pos, .seg = seg, .out_row = row};
    for (int s = from; s < to; s++) {
        block[s][0] = 2 * s;
        block[s][1] = 2 * s + 1;
        seg[b.n_segs++] = (struct ft_seg){.row = b.n_rows,
                                          .n = rows_of(s),
                                          .block = block[s],
                                          .state = -1,
                                          .adapter = adapter[s]};
        for (int i = 0; i < rows_of(s); i++, b.n_rows++) {
            token[b.n_rows] = token_of(s, i);
            pos[b.n_rows] = i;
            if (i % 3 == 1)
                row[b.n_out++] = b.n_rows;
        }
    }
    struct ft_err err = {0};
    const float *logits = NULL;
    must(ft_model_forward(g->m, g->kv, &b, &logits, NULL, &err), &err);
    memcpy(out, logits, (size_t)(b.n_out * g->m->hp.n_vocab) * sizeof *out);
    return b.n_out;
}

static double furthest(const float *a, const float *b, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)a[i] - b[i]));
    return most;
}

/* tolerance: of what the adapter changes. Sequence 0 without an adapter, 1 with one on everything,
 * 2 with one on a few matrices, 3 without: all in one batch against merged files, sequence by
 * sequence. */
static void check_merged(const struct ft_dev_ops *ops, const char *path, double tolerance)
{
    char tmp[] = "/tmp/ft_mergedXXXXXX";
    int fd = mkstemp(tmp);
    assert_true(fd >= 0);
    close(fd);
    struct rig g;
    struct ft_err err = {0};
    rig_open(&g, ops, path);
    size_t n_vocab = (size_t)g.m->hp.n_vocab;
    float *got = calloc(SEQS * ROWS * n_vocab, sizeof *got);
    float *want = calloc(SEQS * ROWS * n_vocab, sizeof *want);
    struct ft_adapter *made[2] = {made_adapter(g.w, adapted_all, 0, SIZE, 1),
                                  made_adapter(g.w, adapted_few, 4, SIZE, 2)};
    struct ft_model_adapter *a[SEQS] = {0}, *none[SEQS] = {0};
    for (int i = 0; i < 2; i++)
        must(ft_model_adapter_open(g.m, made[i], &a[1 + i], &err), &err);
    int n_out = run(&g, 0, SEQS, a, got), at = 0;
    for (int s = 0; s < SEQS; s++) {
        struct rig h;
        if (a[s] != NULL)
            write_merged(path, g.w, made[s - 1], tmp);
        rig_open(&h, ops, a[s] != NULL ? tmp : path);
        int n = run(&h, s, s + 1, none, want);
        double off = furthest(got + (size_t)at * n_vocab, want, n * (int64_t)n_vocab);
        int n_base = run(&g, s, s + 1, none, want);
        double change = furthest(got + (size_t)at * n_vocab, want, n_base * (int64_t)n_vocab);
        bool adapted = a[s] != NULL;
        if (adapted ? change < 0.5 || off > tolerance * change : off != 0 || change != 0)
            fail_msg("%s, sequence %d: %g from the merged weights, %g from the base", path, s, off,
                     change);
        at += n;
        rig_close(&h);
    }
    assert_int_equal(at, n_out);
    for (int i = 0; i < 2; i++) {
        ft_model_adapter_close(g.m, a[1 + i]);
        ft_adapter_close(made[i]);
    }
    rig_close(&g);
    free(got);
    free(want);
    unlink(tmp);
}

static void rows_through_an_adapter_are_those_of_the_merged_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < FT_COUNT(files); i++) {
        const char *path = ft_test_ref(files[i]);
        if (path == NULL)
            skip();
        check_merged(&ft_dev_ref_ops, path, 1e-5);
        check_merged(&ft_dev_cpu_ops, path, 1e-3); /* pairs are rounded to 12 bits */
    }
}

static void refused(const struct rig *g, const struct ft_adapter *a, enum ft_code code,
                    const char *tensor, const char *text)
{
    struct ft_model_adapter *d = NULL;
    struct ft_err err = {0};
    assert_int_equal(ft_model_adapter_open(g->m, a, &d, &err), code);
    assert_null(d);
    assert_non_null(strstr(err.msg, tensor));
    assert_non_null(strstr(err.msg, text));
}

static void what_the_architecture_cannot_adapt_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *file, *tensor;
    } cases[] = {
        {"models/qwen3moe-s-F32.gguf", "blk.0.ffn_gate_exps.weight"},
        {"models/qwen3moe-s-F32.gguf", "token_embd.weight"},
        {"models/deepseek2-s-F32.gguf", "blk.0.attn_k_b.weight"},
        {"models/llama-s-F32.gguf", "blk.0.attn_norm.weight"},
        {"models/llama-s-F32.gguf", "blk.0.nothing.weight"},
    };
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        const char *path = ft_test_ref(cases[i].file);
        if (path == NULL)
            skip();
        struct rig g;
        rig_open(&g, &ft_dev_ref_ops, path);
        struct ft_adapter *a = made_adapter(g.w, adapted_few, 2, SIZE, 1);
        snprintf(a->pair[a->n - 1].tensor, sizeof a->pair[0].tensor, "%s", cases[i].tensor);
        refused(&g, a, FT_EUNSUPPORTED, cases[i].tensor, g.m->hp.arch);
        ft_adapter_close(a);
        rig_close(&g);
    }
}

static void a_pair_of_another_shape_is_refused_with_both(void **state)
{
    (void)state;
    const char *path = ft_test_ref(files[0]);
    if (path == NULL)
        skip();
    struct rig g;
    rig_open(&g, &ft_dev_ref_ops, path);
    struct ft_adapter *a = made_adapter(g.w, adapted_all, 2, SIZE, 1);
    struct ft_adapter_pair *p = &a->pair[1];
    char want[64], has[64];
    snprintf(has, sizeof has, "[%d, %d]", (int)p->n_in, (int)p->n_out);
    p->n_out--;
    snprintf(want, sizeof want, "[%d, %d]", (int)p->n_in, (int)p->n_out);
    refused(&g, a, FT_EINVAL, p->tensor, want);
    refused(&g, a, FT_EINVAL, p->tensor, has);
    p->n_out++;
    p->rank = FT_LORA_RANK_MAX + 1;
    refused(&g, a, FT_EUNSUPPORTED, p->tensor, "rank");
    ft_adapter_close(a);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_through_an_adapter_are_those_of_the_merged_model),
        cmocka_unit_test(what_the_architecture_cannot_adapt_is_named),
        cmocka_unit_test(a_pair_of_another_shape_is_refused_with_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
