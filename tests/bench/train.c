/* Training steps beside what the machine's matrix instructions can do: full training of a model of
 * 30 million parameters in sequences of 512, and LoRA beside frozen weights in the shape of
 * Qwen3-0.6B. Random weights and tokens; every row has a target.
 *
 * The limit is the bf16 peak (probe.h), measured again before every round. "model" counts what the
 * mathematics asks for: 6 operations per weight and token for full training, 4 for LoRA (no weight
 * gradients of what is frozen), and attention's; "done" counts recomputation too.
 *
 * usage: bench_train [--threads N] [--rounds N] [--only NAME] [--math bf16|f32] */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rand.h"
#include "engine/cpu/probe.h"
#include "model/file/shape.h"
#include "train/tape/tape.h"

#define ROUNDS_MAX 31

struct job {
    const char *name, *shape, *type; /* shape: small[] or one by name */
    int rows, seq;
    int rank; /* 0: full training */
    bool recompute;
};

static const struct job jobs[] = {
    {"full-nano", "nano", "F32", 2048, 128, 0, false},
    {"full-30m", "30m", "F32", 4096, 512, 0, false},
    {"full-30m-recompute", "30m", "F32", 4096, 512, 0, true},
    {"lora-0.6b-q8", "qwen3-0.6b", "Q8_0", 1024, 1024, 16, true},
    {"lora-0.6b-bf16", "qwen3-0.6b", "BF16", 1024, 1024, 16, true},
    {"lora-0.6b-q8-keep", "qwen3-0.6b", "Q8_0", 1024, 1024, 16, false},
};

static const struct ft_shape small[] = {
    {
        .name = "30m",
        .arch = "qwen3",
        .n_layer = 8,
        .d_model = 512,
        .d_ff = 1536,
        .n_head = 8,
        .n_head_kv = 8,
        .d_head = 64,
        .n_vocab = 8192,
        .n_ctx = 4096,
        .theta = 1e6,
        .tied = 1,
    },
    {
        .name = "nano",
        .arch = "qwen3",
        .n_layer = 6,
        .d_model = 192,
        .d_ff = 512,
        .n_head = 6,
        .n_head_kv = 2,
        .d_head = 32,
        .n_vocab = 4096,
        .n_ctx = 1024,
        .theta = 1e4,
        .tied = 1,
    },
};

static const struct ft_shape *shape_of(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(small); i++)
        if (strcmp(small[i].name, name) == 0)
            return &small[i];
    return ft_shape_by_name(name);
}

static void die(const struct ft_err *err)
{
    fprintf(stderr, "bench_train: %s\n", err->msg);
    exit(1);
}

#define MUST(call)                                                                                 \
    do {                                                                                           \
        if ((call) != 0)                                                                           \
            die(&err);                                                                             \
    } while (0)

static double median(double *v, int n)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && v[j] < v[j - 1]; j--) {
            double x = v[j];
            v[j] = v[j - 1];
            v[j - 1] = x;
        }
    return v[n / 2];
}

struct rig {
    const struct job *job;
    struct ft_weights *file;
    struct ft_dev *dev;
    struct ft_model *m;
    struct ft_kv *kv;
    struct ft_batch b;
    struct ft_seg *seg;
    int32_t *ids; /* tokens, positions, rows, targets */
    float *coef, *logprob;
    double model_flops; /* of one step */
};

static void open_batch(struct rig *r)
{
    int n = r->job->rows, n_segs = n / r->job->seq;
    r->ids = calloc(4 * (size_t)n, sizeof *r->ids);
    r->seg = calloc((size_t)n_segs, sizeof *r->seg);
    r->coef = calloc((size_t)n, sizeof *r->coef);
    r->logprob = calloc((size_t)n, sizeof *r->logprob);
    for (int i = 0; i < n; i++) {
        r->ids[i] = (int32_t)(ft_rand_u64(1, 1, (uint64_t)i) % 1000);
        r->ids[n + i] = i % r->job->seq;
        r->ids[2 * n + i] = i;
        r->ids[3 * n + i] = (int32_t)(ft_rand_u64(1, 2, (uint64_t)i) % 1000);
        r->coef[i] = -1.0f / (float)n;
    }
    for (int s = 0; s < n_segs; s++)
        r->seg[s] = (struct ft_seg){.row = s * r->job->seq, .n = r->job->seq, .state = -1};
    r->b = (struct ft_batch){.n_rows = n,
                             .token = r->ids,
                             .pos = r->ids + n,
                             .n_segs = n_segs,
                             .seg = r->seg,
                             .n_out = n,
                             .out_row = r->ids + 2 * n};
}

static double weight_flops(const struct rig *r)
{
    double params = 0;
    for (int i = 0; i < r->m->n_weights; i++)
        if (r->m->weight[i] != r->m->embed || r->m->embed == r->m->output)
            params += (double)r->m->weight[i]->n_in * (double)r->m->weight[i]->n_out;
    return params * r->job->rows * (r->job->rank > 0 ? 4 : 6);
}

/* Causal scores and sums of values, once forwards, two and a half times backwards. */
static double attention_flops(const struct rig *r)
{
    const struct ft_hparams *hp = &r->m->hp;
    double pairs = (double)r->job->rows * r->job->seq;
    return 3.5 * pairs * hp->n_head * (hp->d_k + hp->d_v) * hp->n_layer;
}

static void rig_open(struct rig *r, const struct job *job, int n_threads, enum ft_gemm_math math)
{
    static const char *const targets[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                          "ffn_gate", "ffn_up", "ffn_down"};
    struct ft_err err;
    char path[64];
    int fd;
    uint64_t bytes;
    memset(r, 0, sizeof *r);
    r->job = job;
    MUST(ft_shape_temp(shape_of(job->shape), job->type, NULL, &fd, &err));
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    MUST(ft_weights_open(path, &r->file, &err));
    close(fd);
    struct ft_tape_config tc = {.n_threads = n_threads, .math = math, .recompute = job->recompute};
    struct ft_model_config mc = {.max_rows = job->rows};
    MUST(ft_tape_open(&tc, &r->dev, &err));
    MUST(ft_model_open(r->dev, r->file, &mc, &r->m, &err));
    MUST(ft_dev_kv_open(r->dev, &r->m->kv_shape, 0, 0, &r->kv, &err));
    struct ft_tape_lora lora = {
        .rank = job->rank, .scale = 2, .seed = 1, .target = targets, .n_target = 7};
    if (job->rank > 0)
        MUST(ft_tape_train_lora(r->dev, r->m, &lora, &err));
    else
        MUST(ft_tape_train_full(r->dev, r->m, &err));
    MUST(ft_model_load(r->m, NULL, NULL, &err));
    MUST(ft_tape_measure(r->dev, r->m, r->kv, &bytes, &err));
    MUST(ft_tape_prepare(r->dev, r->m, r->kv, &err));
    open_batch(r);
    r->model_flops = weight_flops(r) + attention_flops(r);
    printf("%s: %s, %d rows, passes take %.0f MB\n", job->name, ft_dev_describe(r->dev), job->rows,
           (double)bytes / 1e6);
}

static void rig_close(struct rig *r)
{
    ft_dev_kv_close(r->dev, r->kv);
    ft_model_close(r->m);
    ft_dev_close(r->dev);
    ft_weights_close(r->file);
    free(r->ids);
    free(r->seg);
    free(r->coef);
    free(r->logprob);
}

static double step(struct rig *r, uint64_t i)
{
    struct ft_err err;
    int64_t began = ft_clock_now_ns();
    ft_tape_zero_grad(r->dev);
    ft_tape_begin(r->dev, true, i);
    MUST(ft_model_forward(r->m, r->kv, &r->b, NULL, NULL, &err));
    ft_tape_logprobs(r->dev, r->m, r->ids + 3 * r->job->rows, r->job->rows, r->coef, r->logprob);
    ft_tape_backward(r->dev);
    return (double)(ft_clock_now_ns() - began) * 1e-9;
}

static void run(const struct job *job, int n_threads, int rounds, enum ft_gemm_math math)
{
    struct rig r;
    struct ft_err err;
    struct rusage use;
    double share[ROUNDS_MAX], done[ROUNDS_MAX], rate[ROUNDS_MAX], peak[ROUNDS_MAX];
    rig_open(&r, job, n_threads, math);
    step(&r, 0);
    for (int i = 0; i < rounds; i++) {
        struct ft_cpu_limits lim;
        MUST(ft_cpu_probe(n_threads, &lim, &err));
        double limit = math == FT_GEMM_BF16 ? lim.bf16_gflop_s : lim.f32_gflop_s;
        double flops = ft_tape_flops(r.dev), s = step(&r, (uint64_t)i + 1);
        flops = ft_tape_flops(r.dev) - flops;
        rate[i] = job->rows / s;
        peak[i] = limit;
        share[i] = r.model_flops * 1e-9 / s / limit;
        done[i] = flops * 1e-9 / s / limit;
    }
    getrusage(RUSAGE_SELF, &use);
    printf("  %8.0f tokens/s   model %4.1f%%   done %4.1f%% of %.0f GFLOP/s   process %ld MB\n",
           median(rate, rounds), 100 * median(share, rounds), 100 * median(done, rounds),
           median(peak, rounds), use.ru_maxrss / 1024);
    rig_close(&r);
}

int main(int argc, char **argv)
{
    int n_threads = (int)sysconf(_SC_NPROCESSORS_ONLN), rounds = 5;
    const char *only = NULL;
    enum ft_gemm_math math = FT_GEMM_BF16;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--threads") == 0)
            n_threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--rounds") == 0)
            rounds = FT_MIN(FT_MAX(atoi(argv[i + 1]), 1), ROUNDS_MAX);
        else if (strcmp(argv[i], "--only") == 0)
            only = argv[i + 1];
        else if (strcmp(argv[i], "--math") == 0)
            math = strcmp(argv[i + 1], "f32") == 0 ? FT_GEMM_F32 : FT_GEMM_BF16;
    }
    for (size_t i = 0; i < FT_COUNT(jobs); i++)
        if (only == NULL || strcmp(only, jobs[i].name) == 0)
            run(&jobs[i], n_threads, rounds, math);
    return 0;
}
