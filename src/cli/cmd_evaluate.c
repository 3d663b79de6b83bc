/* feitian evaluate: perplexity, exact match or multiple choice of a model on data. */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "cli/interrupt.h"
#include "cli/local.h"
#include "cli/progress.h"
#include "train/evaluate/evaluate.h"

#define MODEL_ID           "model"
#define ADAPTER_ID         "adapter"
#define TEMPLATE_BYTES_MAX ((size_t)1 << 20)
#define CTX_DEFAULT        4096

struct options {
    const char *model, *adapter, *chat_template, *details, *device;
    struct ft_eval_config eval;
    enum ft_kv_type kv_type;
    int n_threads, ctx, limit, memory_mb, thinking; /* thinking: -1 as the template says */
    bool json;
};

struct watch {
    struct ft_progress bar;
    const atomic_int *interrupt;
    const char *const *path;
    enum ft_eval_metric metric;
    FILE *details; /* NULL: none */
};

/* ---- what is told ---- */

static int on_read(void *ctx, int64_t done, int64_t all)
{
    struct watch *w = ctx;
    w->bar.what = "reading";
    ft_progress_show(&w->bar, (uint64_t)done, (uint64_t)all);
    return *w->interrupt;
}

static void on_load(void *ctx, uint64_t done, uint64_t all)
{
    struct watch *w = ctx;
    w->bar.what = "loading";
    ft_progress_show(&w->bar, done, all);
}

static int on_work(void *ctx, int64_t done, int64_t all)
{
    struct watch *w = ctx;
    w->bar.what = "evaluating";
    ft_progress_show(&w->bar, (uint64_t)done, (uint64_t)all);
    return *w->interrupt;
}

static void on_item(void *ctx, const struct ft_eval_item *item)
{
    struct watch *w = ctx;
    if (w->details == NULL)
        return;
    json_t *o =
        json_pack("{s:s, s:I}", "file", w->path[item->file], "line", (json_int_t)item->line);
    if (w->metric == FT_EVAL_PERPLEXITY) {
        json_object_set_new(o, "nll", json_real(item->nll));
        json_object_set_new(o, "tokens", json_integer(item->targets));
    } else if (w->metric == FT_EVAL_CHOICE) {
        json_object_set_new(o, "answer", json_integer(item->answer));
        json_object_set_new(o, "choice", json_integer(item->choice));
        json_object_set_new(o, "choice_per_byte", json_integer(item->choice_per_byte));
    } else { /* bytes that are no text, as a model may write them, are left out */
        json_t *got = json_stringn(item->got.p, item->got.n);
        json_object_set_new(o, "correct", json_boolean(item->correct));
        json_object_set_new(o, "want", json_stringn(item->want.p, item->want.n));
        json_object_set_new(o, "got", got != NULL ? got : json_null());
        json_object_set_new(o, "cut", json_boolean(item->cut));
    }
    json_dumpf(o, w->details, JSON_COMPACT | JSON_REAL_PRECISION(8));
    fputc('\n', w->details);
    json_decref(o);
}

/* ---- results ---- */

static double part(int64_t n, int64_t all)
{
    return all > 0 ? (double)n / (double)all : 0;
}

/* The standard error of a part of n samples. */
static double deviation(double p, int64_t n)
{
    return n > 1 ? sqrt(p * (1 - p) / (double)(n - 1)) : 0;
}

static void print_json(const struct options *o, const struct ft_eval_result *r)
{
    printf("{\"metric\": \"%s\", \"samples\": %lld", ft_eval_metric_name(r->metric),
           (long long)r->samples);
    if (r->metric == FT_EVAL_PERPLEXITY) {
        double loss = r->nll / (double)r->targets;
        printf(", \"perplexity\": %.6f, \"loss\": %.6f, \"tokens\": %lld, \"ctx\": %d}\n",
               exp(loss), loss, (long long)r->targets, o->eval.data.max_len);
        return;
    }
    double p = part(r->correct, r->samples);
    printf(", \"correct\": %lld, \"accuracy\": %.6f, \"error\": %.6f", (long long)r->correct, p,
           deviation(p, r->samples));
    if (r->metric == FT_EVAL_EXACT) {
        printf(", \"cut\": %lld}\n", (long long)r->cut);
        return;
    }
    p = part(r->correct_per_byte, r->samples);
    printf(", \"correct_per_byte\": %lld, \"accuracy_per_byte\": %.6f, \"error_per_byte\": %.6f}\n",
           (long long)r->correct_per_byte, p, deviation(p, r->samples));
}

static void print_text(const struct options *o, const struct ft_eval_result *r)
{
    long long n = (long long)r->samples;
    double p = part(r->correct, r->samples), q = part(r->correct_per_byte, r->samples);
    if (r->metric == FT_EVAL_PERPLEXITY)
        printf("perplexity %.4f over %lld tokens of %lld sample%s\n",
               exp(r->nll / (double)r->targets), (long long)r->targets, n, n == 1 ? "" : "s");
    else if (r->metric == FT_EVAL_EXACT)
        printf("exact match %.4f +/- %.4f (%lld of %lld)\n", p, deviation(p, r->samples),
               (long long)r->correct, n);
    else
        printf("accuracy %.4f +/- %.4f (%lld of %lld), per byte %.4f +/- %.4f (%lld)\n", p,
               deviation(p, r->samples), (long long)r->correct, n, q, deviation(q, r->samples),
               (long long)r->correct_per_byte);
    if (r->cut > 0)
        fprintf(stderr, "%lld answers were cut off at %d tokens (--max-tokens)\n",
                (long long)r->cut, o->eval.max_tokens);
}

/* ---- the work ---- */

static int open_engine(const struct options *o, struct watch *w, struct ft_dev **dev,
                       struct ft_engine **engine, struct ft_err *err)
{
    struct ft_engine_config cfg;
    struct ft_dev_config dev_cfg = {.n_threads = o->n_threads};
    struct ft_model_options opt = {.n_ctx = o->ctx};
    const struct ft_dev_ops *ops = ft_local_device(o->device);
    ft_engine_config_init(&cfg);
    cfg.kv_type = o->kv_type;
    if (o->memory_mb > 0)
        cfg.memory_bytes = (uint64_t)o->memory_mb << 20;
    int rc = ops != NULL
                 ? ft_dev_open(ops, &dev_cfg, dev, err)
                 : ft_err_set(err, FT_EINVAL, "--device: '%s' is not cpu or ref", o->device);
    if (rc == 0)
        rc = ft_engine_open(*dev, &cfg, engine, err);
    if (rc == 0)
        rc = ft_engine_model_add(*engine, MODEL_ID, o->model, &opt, err);
    if (rc == 0 && o->adapter != NULL)
        rc = ft_engine_adapter_add(*engine, MODEL_ID, ADAPTER_ID, o->adapter, err);
    if (rc == 0)
        rc = ft_engine_model_load(*engine, MODEL_ID, on_load, w, err);
    ft_progress_clear(&w->bar);
    return rc;
}

static int open_prompter(const struct options *o, const struct ft_model_source *s,
                         struct ft_prompter **ret, struct ft_err *err)
{
    char *text;
    size_t n;
    if (o->chat_template == NULL) {
        struct ft_err e;
        int rc = ft_prompter_open(s->weights, s->tokenizer, ret, &e);
        if (rc != 0 && rc != FT_ENOTFOUND) /* without one, messages will be refused */
            *err = e;
        return rc == FT_ENOTFOUND ? 0 : rc;
    }
    int rc = ft_file_read(o->chat_template, TEMPLATE_BYTES_MAX, &text, &n, err);
    if (rc == 0) {
        rc = ft_prompter_open_text(text, n, s->tokenizer, ret, err);
        free(text);
    }
    return rc != 0 ? ft_err_wrap(err, "--chat-template") : 0;
}

static int evaluate(struct options *o, const struct ft_model_source *s, int n_paths,
                    struct watch *w, struct ft_eval_result *ret, struct ft_err *err)
{
    struct ft_data_config *d = &o->eval.data;
    struct ft_prompter *prompter = NULL;
    if (s->tokenizer == NULL)
        return ft_err_set(err, FT_EINVAL, "the model has no tokenizer");
    int rc = open_prompter(o, s, &prompter, err);
    d->tokenizer = s->tokenizer;
    d->prompter = prompter;
    d->now = ft_clock_wall_s();
    d->max_len = o->ctx > 0 ? FT_MIN(o->ctx, s->n_ctx) : FT_MIN(CTX_DEFAULT, s->n_ctx);
    d->template_vars = o->thinking >= 0 ? json_pack("{s:b}", "enable_thinking", o->thinking) : NULL;
    d->progress = on_read;
    d->ctx = w;
    o->eval.progress = on_work;
    o->eval.on_item = on_item;
    o->eval.ctx = w;
    o->eval.limit = o->limit;
    if (rc == 0)
        rc = ft_evaluate(&o->eval, w->path, n_paths, ret, err);
    json_decref(d->template_vars);
    ft_prompter_close(prompter);
    return rc;
}

static int run(struct options *o, const char *const *path, int n_paths, struct ft_eval_result *ret,
               struct ft_err *err)
{
    struct ft_dev *dev = NULL;
    struct ft_engine *engine = NULL;
    const struct ft_model_source *source = NULL;
    struct watch w = {.interrupt = ft_interrupt_catch(), .path = path};
    int rc = ft_evaluate_metric(&o->eval, path[0], &w.metric, err);
    o->eval.metric = w.metric;
    if (rc == 0 && o->details != NULL && (w.details = fopen(o->details, "w")) == NULL)
        rc = ft_err_sys(err, "--details %s", o->details);
    if (rc == 0)
        rc = open_engine(o, &w, &dev, &engine, err);
    if (rc == 0)
        rc = ft_engine_model_source(engine, MODEL_ID, &source, err);
    o->eval.engine = engine;
    o->eval.model = MODEL_ID;
    o->eval.adapter = o->adapter != NULL ? ADAPTER_ID : NULL;
    if (rc == 0)
        rc = evaluate(o, source, n_paths, &w, ret, err);
    ft_progress_clear(&w.bar);
    if (w.details != NULL && (ferror(w.details) | fclose(w.details)) != 0 && rc == 0)
        rc = ft_err_set(err, FT_EIO, "--details %s: not all could be written", o->details);
    ft_model_source_unref(source);
    ft_engine_close(engine);
    ft_dev_close(dev);
    ft_interrupt_release();
    return rc;
}

/* ---- options ---- */

static int set_metric(const char *name, enum ft_eval_metric *ret, struct ft_err *err)
{
    for (int m = FT_EVAL_PERPLEXITY; m <= FT_EVAL_CHOICE; m++)
        if (strcmp(name, ft_eval_metric_name((enum ft_eval_metric)m)) == 0) {
            *ret = (enum ft_eval_metric)m;
            return 0;
        }
    return ft_err_set(err, FT_EINVAL, "--metric: '%s' is not perplexity, exact or choice", name);
}

static int set_thinking(const char *text, int *ret, struct ft_err *err)
{
    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
        return ft_err_set(err, FT_EINVAL, "--thinking: '%s' is not on or off", text);
    *ret = strcmp(text, "on") == 0;
    return 0;
}

static int set_too_long(const char *text, enum ft_too_long *ret, struct ft_err *err)
{
    static const char *const names[] = {[FT_TOO_LONG_ERROR] = "error",
                                        [FT_TOO_LONG_TRUNCATE] = "truncate",
                                        [FT_TOO_LONG_DROP] = "drop"};
    for (size_t i = 0; i < FT_COUNT(names); i++)
        if (strcmp(names[i], text) == 0) {
            *ret = (enum ft_too_long)i;
            return 0;
        }
    return ft_err_set(err, FT_EINVAL, "--too-long: '%s' is not error, truncate or drop", text);
}

static int parse_option(int c, struct options *o, struct ft_err *err)
{
    switch (c) {
    case 'm':
        return set_metric(optarg, &o->eval.metric, err);
    case 'a':
        o->adapter = optarg;
        return 0;
    case 'c':
        return ft_cli_int("--ctx", optarg, 2, FT_DATA_LEN_MAX, &o->ctx, err);
    case 'x':
        return ft_cli_int("--max-tokens", optarg, 1, 1 << 20, &o->eval.max_tokens, err);
    case 'l':
        return ft_cli_int("--limit", optarg, 1, 1 << 30, &o->limit, err);
    case 'p':
        return ft_cli_int("--parallel", optarg, 1, FT_EVAL_PARALLEL_MAX, &o->eval.parallel, err);
    case 'T':
        return set_thinking(optarg, &o->thinking, err);
    case 'L':
        return set_too_long(optarg, &o->eval.data.too_long, err);
    case 's':
        o->eval.data.special_text = true;
        return 0;
    case 'C':
        o->chat_template = optarg;
        return 0;
    case 'D':
        o->details = optarg;
        return 0;
    case 'd':
        o->device = optarg;
        return 0;
    case 't':
        return ft_cli_int("--threads", optarg, 1, 1024, &o->n_threads, err);
    case 'M':
        return ft_cli_int("--memory-mb", optarg, 1, 1 << 30, &o->memory_mb, err);
    case 'k':
        return ft_local_kv_type(optarg, &o->kv_type, err);
    case 'j':
        o->json = true;
        return 0;
    default:
        return ft_err_set(err, FT_EINVAL, "%s", ""); /* getopt has said it */
    }
}

int ft_cmd_evaluate(int argc, char **argv)
{
    static const struct option options[] = {{"metric", required_argument, NULL, 'm'},
                                            {"adapter", required_argument, NULL, 'a'},
                                            {"ctx", required_argument, NULL, 'c'},
                                            {"max-tokens", required_argument, NULL, 'x'},
                                            {"limit", required_argument, NULL, 'l'},
                                            {"parallel", required_argument, NULL, 'p'},
                                            {"thinking", required_argument, NULL, 'T'},
                                            {"chat-template", required_argument, NULL, 'C'},
                                            {"too-long", required_argument, NULL, 'L'},
                                            {"special-text", no_argument, NULL, 's'},
                                            {"details", required_argument, NULL, 'D'},
                                            {"device", required_argument, NULL, 'd'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"kv", required_argument, NULL, 'k'},
                                            {"memory-mb", required_argument, NULL, 'M'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    struct options o = {.device = "cpu", .kv_type = FT_KV_F16, .thinking = -1};
    struct ft_eval_result r;
    struct ft_err err = {0};
    int rc = 0;
    ft_eval_config_init(&o.eval);
    for (int c; rc == 0 && (c = ft_cli_getopt(argc, argv, "", options)) != -1;)
        rc = parse_option(c, &o, &err);
    if (rc != 0)
        return err.msg[0] == '\0' ? ft_cli_see_help("evaluate")
                                  : ft_cli_usage("evaluate", "%s", err.msg);
    if (argc - optind < 2)
        return ft_cli_usage("evaluate", "MODEL and DATA are needed");
    o.model = argv[optind];
    if (run(&o, (const char *const *)argv + optind + 1, argc - optind - 1, &r, &err) != 0)
        return ft_cli_fail(err.code == FT_EINVAL || err.code == FT_EUNSUPPORTED ? 2 : 1, &err,
                           "evaluate");
    if (o.json)
        print_json(&o, &r);
    else
        print_text(&o, &r);
    return 0;
}
