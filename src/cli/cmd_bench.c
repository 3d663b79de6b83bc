/* feitian bench: tokens per second, each beside the limit that the machine sets. */
#include "cli/cli.h"

#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bench.h"
#include "cli/interrupt.h"
#include "model/file/shape.h"

struct args {
    const char *model, *shape, *type;
    struct ft_local_config local;
    struct ft_bench_config bench;
    bool json;
};

/* "1,4,16", or "none" */
static int parse_batches(const char *text, struct ft_bench_config *b, struct ft_err *err)
{
    char copy[256];
    if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
        return ft_err_set(err, FT_ELIMIT, "--batch: more than %d sizes", FT_BENCH_BATCHES_MAX);
    b->n_batch = 0;
    if (strcmp(text, "none") == 0)
        return 0;
    for (char *rest = copy, *p; (p = strsep(&rest, ",")) != NULL;) {
        if (b->n_batch == FT_BENCH_BATCHES_MAX)
            return ft_err_set(err, FT_ELIMIT, "--batch: more than %d sizes", FT_BENCH_BATCHES_MAX);
        int rc = ft_cli_int("--batch", p, 1, FT_BENCH_SIZE_MAX, &b->batch[b->n_batch++], err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int parse(int argc, char **argv, struct args *a, struct ft_err *err)
{
    static const struct option options[] = {{"shape", required_argument, NULL, 's'},
                                            {"type", required_argument, NULL, 'T'},
                                            {"prefill", required_argument, NULL, 'p'},
                                            {"decode", required_argument, NULL, 'd'},
                                            {"depth", required_argument, NULL, 'D'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"repeat", required_argument, NULL, 'r'},
                                            {"device", required_argument, NULL, 'v'},
                                            {"isa", required_argument, NULL, 'i'},
                                            {"kv", required_argument, NULL, 'k'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    for (int c; (c = ft_cli_getopt(argc, argv, "", options)) != -1;) {
        int rc = 0;
        switch (c) {
        case 's':
            a->shape = optarg;
            break;
        case 'T':
            a->type = optarg;
            break;
        case 'p':
            rc = ft_cli_int("--prefill", optarg, 0, 1 << 20, &a->bench.n_prefill, err);
            break;
        case 'd':
            rc = ft_cli_int("--decode", optarg, 0, 1 << 16, &a->bench.n_decode, err);
            break;
        case 'D':
            rc = ft_cli_int("--depth", optarg, 0, 1 << 20, &a->bench.depth, err);
            break;
        case 'b':
            rc = parse_batches(optarg, &a->bench, err);
            break;
        case 't':
            rc = ft_cli_int("--threads", optarg, 1, 1024, &a->local.n_threads, err);
            break;
        case 'r':
            rc = ft_cli_int("--repeat", optarg, 1, FT_BENCH_REPEAT_MAX, &a->bench.repeat, err);
            break;
        case 'v':
            a->local.device = optarg;
            break;
        case 'i':
            a->local.isa = optarg;
            break;
        case 'k':
            rc = ft_local_kv_type(optarg, &a->local.kv_type, err);
            break;
        case 'j':
            a->json = true;
            break;
        default:
            return ft_err_set(err, FT_EINVAL, "%s", ""); /* getopt has said it */
        }
        if (rc != 0)
            return rc;
    }
    a->model = argc - optind == 1 ? argv[optind] : NULL;
    if (argc - optind > 1 || (a->model == NULL) == (a->shape == NULL))
        return ft_err_set(err, FT_EINVAL, "one of MODEL and --shape is needed");
    if ((a->shape != NULL) != (a->type != NULL))
        return ft_err_set(err, FT_EINVAL, "--shape and --type go together");
    return 0;
}

static json_t *rates_json(const struct ft_bench_config *cfg, const struct ft_bench_rates *r)
{
    json_t *batch = json_object();
    for (int i = 0; i < cfg->n_batch; i++) {
        char size[16];
        snprintf(size, sizeof size, "%d", cfg->batch[i]);
        json_object_set_new(batch, size, json_real(r->batch[i]));
    }
    return json_pack("{s:f, s:f, s:o}", "prefill_tok_s", r->prefill, "decode_tok_s", r->decode,
                     "batch", batch);
}

static double ratio(double got, double limit)
{
    return limit > 0 ? got / limit : 0;
}

static int print_json(const struct ft_bench_config *cfg, const struct ft_bench_result *r)
{
    struct ft_bench_rates fraction = {.prefill = ratio(r->got.prefill, r->limit.prefill),
                                      .decode = ratio(r->got.decode, r->limit.decode)};
    for (int i = 0; i < cfg->n_batch; i++)
        fraction.batch[i] = ratio(r->got.batch[i], r->limit.batch[i]);
    json_t *out = rates_json(cfg, &r->got);
    json_object_set_new(out, "ready_s", json_real(r->ready_s));
    json_object_set_new(out, "overhead_bytes", json_integer((json_int_t)r->overhead_bytes));
    json_object_set_new(out, "limits",
                        json_pack("{s:f, s:f, s:f, s:f}", "read_gb_s", r->machine.read_gb_s,
                                  "int8_gop_s", r->machine.int8_gop_s, "bf16_gflop_s",
                                  r->machine.bf16_gflop_s, "f32_gflop_s", r->machine.f32_gflop_s));
    json_object_set_new(out, "limit", rates_json(cfg, &r->limit));
    json_object_set_new(out, "fraction", rates_json(cfg, &fraction));
    int rc = json_dumpf(out, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(out);
    return rc == 0 && fflush(stdout) == 0 ? 0 : 1;
}

static void print_row(const char *what, double got, double limit)
{
    printf("  %-24s %10.1f tok/s   limit %9.1f   %5.1f %%\n", what, got, limit,
           100 * ratio(got, limit));
}

static void print_text(const struct args *a, const struct ft_bench_result *r, const char *device)
{
    const struct ft_bench_config *cfg = &a->bench;
    char what[64];
    if (a->shape != NULL)
        printf("%s, %s, random weights\n%s\n", a->shape, a->type, device);
    else
        printf("%s\n%s\n", a->model, device);
    printf("this machine: reads %.1f GB/s; int8 %.0f, bf16 %.0f, f32 %.0f Gop/s\n\n",
           r->machine.read_gb_s, r->machine.int8_gop_s, r->machine.bf16_gflop_s,
           r->machine.f32_gflop_s);
    snprintf(what, sizeof what, "prefill %d", cfg->n_prefill);
    if (cfg->n_prefill > 0)
        print_row(what, r->got.prefill, r->limit.prefill);
    snprintf(what, sizeof what, "decode at %d", cfg->depth);
    if (cfg->n_decode > 0)
        print_row(what, r->got.decode, r->limit.decode);
    for (int i = 0; i < cfg->n_batch && cfg->n_decode > 0; i++) {
        snprintf(what, sizeof what, "decode %d together", cfg->batch[i]);
        print_row(what, r->got.batch[i], r->limit.batch[i]);
    }
    printf("\n  ready after %.2f s; %.1f MB resident beyond weights and KV\n", r->ready_s,
           r->overhead_bytes / 1e6);
}

static int measure(const struct args *a, struct ft_err *err)
{
    struct ft_local l = {0};
    struct ft_bench_result r = {0};
    struct ft_bench_config cfg = a->bench;
    ft_bench_say("loading the model");
    int rc = ft_local_open(a->model, &a->local, ft_bench_tokens(&cfg), &l, err);
    if (rc != 0)
        return rc;
    r.ready_s = ft_bench_since_start();
    rc = ft_bench_run(&l, &cfg, &r, err);
    /* After the model: the probe's own memory would count as overhead. */
    if (rc == 0)
        ft_bench_say("what this machine can do at most");
    if (rc == 0)
        rc = ft_cpu_probe(a->local.n_threads, &r.machine, err);
    if (rc == 0) {
        ft_bench_limits(l.model, &cfg, &r.machine, &r.limit);
        if (a->json)
            print_json(&cfg, &r);
        else
            print_text(a, &r, ft_dev_describe(l.dev));
    }
    ft_local_close(&l);
    return rc;
}

/* A shape is written to a temporary file, which has lost its name before anything is measured, and
 * read by a child, whose start and memory are then those of any user of a model file. */
static int measure_shape(struct args *a, struct ft_err *err)
{
    const struct ft_shape *shape = ft_shape_by_name(a->shape);
    if (shape == NULL)
        return ft_err_set(err, FT_EINVAL, "--shape: '%s' is not one of: %s", a->shape,
                          ft_shape_names());
    int fd;
    ft_bench_say("writing random weights: %s, %s", a->shape, a->type);
    int rc = ft_shape_temp(shape, a->type, ft_interrupt_catch(), &fd, err);
    ft_interrupt_release();
    if (rc != 0)
        return rc;
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    fflush(stdout);
    pid_t parent = getpid(), child = fork();
    if (child < 0)
        rc = ft_err_sys(err, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(1);
        a->model = path;
        struct ft_err inner;
        _exit(measure(a, &inner) == 0 && fflush(stdout) == 0 ? 0 : ft_cli_fail(1, &inner, "bench"));
    }
    int status = 0;
    if (child > 0 && waitpid(child, &status, 0) < 0)
        rc = ft_err_sys(err, "wait");
    close(fd);
    if (rc == 0 && status != 0)
        rc = ft_err_set(err, FT_EINTERNAL, "the measuring process failed");
    return rc;
}

int ft_cmd_bench(int argc, char **argv)
{
    struct args a = {.bench = {.n_prefill = 512,
                               .n_decode = 128,
                               .repeat = 5,
                               .batch = {1, 4, 16, 32},
                               .n_batch = 4},
                     .local = {.kv_type = FT_KV_F16}};
    struct ft_err err = {0};
    if (parse(argc, argv, &a, &err) != 0)
        return err.msg[0] == '\0' ? ft_cli_see_help("bench") : ft_cli_usage("bench", "%s", err.msg);
    int rc = a.shape != NULL ? measure_shape(&a, &err) : measure(&a, &err);
    if (rc != 0)
        return ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "bench");
    return 0;
}
