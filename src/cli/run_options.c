/* Options of `feitian run`: numbers by a table, the rest one by one. */
#include "cli/run_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/rand.h"
#include "cli/cli.h"
#include "cli/local.h"

#define GRAMMAR_FILE_MAX (4u << 20)

enum {
    OPT_SYSTEM = 256,
    OPT_RAW,
    OPT_THINKING,
    OPT_JSON,
    OPT_SCHEMA,
    OPT_REGEX,
    OPT_GBNF,
    OPT_SEED,
    OPT_STOP,
    OPT_BIAS,
    OPT_DEVICE,
    OPT_ISA,
    OPT_KV,
    OPT_DRAFT,
    OPT_ADAPTER,
    OPT_QUIET,
    OPT_IGNORE_EOS,
    OPT_NUMBER, /* the first row of the table below; must be last */
};

/* Numeric options: where the value goes and what it may be. The engine checks again. */
struct number {
    const char *name;
    bool real;
    size_t at; /* offset in struct ft_run_options */
    double min, max;
};
#define SAMPLING(field) offsetof(struct ft_run_options, chat.request.sampling.field)
#define REQUEST(field)  offsetof(struct ft_run_options, chat.request.field)
#define OPTION(field)   offsetof(struct ft_run_options, field)
static const struct number numbers[] = {
    {"temperature", true, SAMPLING(temperature), 0, 100},
    {"top-k", false, SAMPLING(top_k), 0, FT_VOCAB_MAX},
    {"top-p", true, SAMPLING(top_p), 1e-6, 1},
    {"min-p", true, SAMPLING(min_p), 0, 1},
    {"typical-p", true, SAMPLING(typical_p), 1e-6, 1},
    {"repetition-penalty", true, SAMPLING(repetition_penalty), 0.01, 10},
    {"presence-penalty", true, SAMPLING(presence_penalty), -2, 2},
    {"frequency-penalty", true, SAMPLING(frequency_penalty), -2, 2},
    {"penalty-window", false, SAMPLING(penalty_window), 0, 1 << 20},
    {"max-tokens", false, REQUEST(max_tokens), 0, 1 << 20},
    {"min-tokens", false, REQUEST(min_tokens), 0, 1 << 20},
    {"lookup", false, REQUEST(spec.lookup_max), 0, FT_SPEC_TOKENS_MAX},
    {"draft-max", false, REQUEST(spec.draft_max), 1, FT_SPEC_TOKENS_MAX},
    {"threads", false, OPTION(n_threads), 1, 1024},
    {"ctx", false, OPTION(n_ctx), 1, 1 << 24},
    {"memory-mb", false, OPTION(memory_mb), 1, 1 << 30},
};
#define N_NUMBERS ((int)FT_COUNT(numbers))

static const struct option words[] = {
    {"prompt", required_argument, NULL, 'p'},
    {"system", required_argument, NULL, OPT_SYSTEM},
    {"raw", no_argument, NULL, OPT_RAW},
    {"thinking", required_argument, NULL, OPT_THINKING},
    {"json", no_argument, NULL, OPT_JSON},
    {"json-schema", required_argument, NULL, OPT_SCHEMA},
    {"regex", required_argument, NULL, OPT_REGEX},
    {"gbnf", required_argument, NULL, OPT_GBNF},
    {"seed", required_argument, NULL, OPT_SEED},
    {"stop", required_argument, NULL, OPT_STOP},
    {"logit-bias", required_argument, NULL, OPT_BIAS},
    {"device", required_argument, NULL, OPT_DEVICE},
    {"isa", required_argument, NULL, OPT_ISA},
    {"kv", required_argument, NULL, OPT_KV},
    {"draft", required_argument, NULL, OPT_DRAFT},
    {"adapter", required_argument, NULL, OPT_ADAPTER},
    {"ignore-eos", no_argument, NULL, OPT_IGNORE_EOS},
    {"quiet", no_argument, NULL, OPT_QUIET},
};

static int decimals(double v)
{
    return v == (double)(long long)v ? 0 : v < 1e-3 ? 6 : 2;
}

static int parse_number(const struct number *d, const char *text, struct ft_run_options *o,
                        struct ft_err *err)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    bool whole = d->real || v == (double)(long long)v;
    if (end == text || *end != '\0' || errno != 0 || !(v >= d->min && v <= d->max) || !whole)
        return ft_err_set(err, FT_EINVAL, "--%s: '%s' is not a %s from %.*f to %.*f", d->name, text,
                          d->real ? "number" : "whole number", decimals(d->min), d->min,
                          decimals(d->max), d->max);
    char *field = (char *)o + d->at;
    if (d->real) {
        float f = (float)v;
        memcpy(field, &f, sizeof f);
    } else {
        int i = (int)v;
        memcpy(field, &i, sizeof i);
    }
    o->given_temperature |= d->at == SAMPLING(temperature);
    o->given_top_k |= d->at == SAMPLING(top_k);
    o->given_top_p |= d->at == SAMPLING(top_p);
    o->given_min_p |= d->at == SAMPLING(min_p);
    return 0;
}

static int parse_seed(const char *text, uint64_t *ret, struct ft_err *err)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || text[0] == '-')
        return ft_err_set(err, FT_EINVAL, "--seed: '%s' is not a whole number", text);
    *ret = v;
    return 0;
}

static int parse_bias(const char *text, struct ft_run_options *o, struct ft_err *err)
{
    struct ft_sampling *s = &o->chat.request.sampling;
    int id, n = 0;
    float bias;
    if (sscanf(text, "%d=%f%n", &id, &bias, &n) != 2 || text[n] != '\0' || id < 0)
        return ft_err_set(err, FT_EINVAL, "--logit-bias: '%s' is not TOKEN=BIAS", text);
    if (s->n_bias == FT_REQUEST_BIASES_MAX)
        return ft_err_set(err, FT_ELIMIT, "--logit-bias: more than %d", FT_REQUEST_BIASES_MAX);
    o->bias[s->n_bias++] = (struct ft_logit_bias){id, bias};
    s->bias = o->bias;
    return 0;
}

static int parse_stop(const char *text, struct ft_run_options *o, struct ft_err *err)
{
    struct ft_request *r = &o->chat.request;
    if (r->n_stop == FT_REQUEST_STOPS_MAX)
        return ft_err_set(err, FT_ELIMIT, "--stop: more than %d", FT_REQUEST_STOPS_MAX);
    o->stop[r->n_stop++] = (struct ft_slice){text, strlen(text)};
    r->stop = o->stop;
    return 0;
}

static int parse_grammar(int option, const char *arg, struct ft_run_options *o, struct ft_err *err)
{
    if (o->grammar != NULL)
        return ft_err_set(err, FT_EINVAL,
                          "only one of --json, --json-schema, --regex and --gbnf can be given");
    if (option == OPT_JSON)
        return ft_grammar_json_object(&o->grammar, err);
    if (option == OPT_REGEX)
        return ft_grammar_from_regex(arg, strlen(arg), &o->grammar, err);
    char *text = NULL;
    size_t n = 0;
    int rc = ft_file_read(arg, GRAMMAR_FILE_MAX, &text, &n, err);
    if (rc == 0)
        rc = option == OPT_SCHEMA ? ft_grammar_from_schema(text, n, &o->grammar, err)
                                  : ft_grammar_from_gbnf(text, n, &o->grammar, err);
    free(text);
    return rc != 0 ? ft_err_wrap(err, "%s", arg) : 0;
}

static int parse_thinking(const char *text, enum ft_thinking *ret, struct ft_err *err)
{
    if (strcmp(text, "on") != 0 && strcmp(text, "off") != 0)
        return ft_err_set(err, FT_EINVAL, "--thinking: '%s' is not on or off", text);
    *ret = strcmp(text, "on") == 0 ? FT_THINKING_ON : FT_THINKING_OFF;
    return 0;
}

static int parse_word(int option, const char *arg, struct ft_run_options *o, struct ft_err *err)
{
    switch (option) {
    case 'p':
        o->prompt = arg;
        return 0;
    case OPT_SYSTEM:
        o->chat.system = arg;
        return 0;
    case OPT_RAW:
        o->chat.raw = true;
        return 0;
    case OPT_THINKING:
        return parse_thinking(arg, &o->chat.thinking, err);
    case OPT_JSON:
    case OPT_SCHEMA:
    case OPT_REGEX:
    case OPT_GBNF:
        return parse_grammar(option, arg, o, err);
    case OPT_SEED:
        return parse_seed(arg, &o->chat.request.sampling.seed, err);
    case OPT_STOP:
        return parse_stop(arg, o, err);
    case OPT_BIAS:
        return parse_bias(arg, o, err);
    case OPT_DEVICE:
        o->device = arg;
        return 0;
    case OPT_ISA:
        o->isa = arg;
        return 0;
    case OPT_KV:
        return ft_local_kv_type(arg, &o->kv_type, err);
    case OPT_DRAFT:
        o->draft = arg;
        return 0;
    case OPT_ADAPTER:
        o->adapter = arg;
        return 0;
    case OPT_IGNORE_EOS:
        o->chat.request.ignore_eos = true;
        return 0;
    case OPT_QUIET:
        o->quiet = true;
        return 0;
    default:
        return ft_err_set(err, FT_EINVAL, "%s", ""); /* getopt has said it */
    }
}

static void set_defaults(struct ft_run_options *o)
{
    *o = (struct ft_run_options){.kv_type = FT_KV_F16, .device = "cpu"};
    ft_request_init(&o->chat.request);
    struct ft_sampling *s = &o->chat.request.sampling;
    s->temperature = 0.7f;
    s->top_p = 0.95f;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    s->seed = ft_rand_mix((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
}

int ft_run_options_parse(int argc, char **argv, struct ft_run_options *o, struct ft_err *err)
{
    struct option options[FT_COUNT(words) + FT_COUNT(numbers) + 1];
    memcpy(options, words, sizeof words);
    struct option *at = options + FT_COUNT(words);
    for (int i = 0; i < N_NUMBERS; i++)
        *at++ = (struct option){numbers[i].name, required_argument, NULL, OPT_NUMBER + i};
    *at = (struct option){0};
    set_defaults(o);
    for (int c; (c = ft_cli_getopt(argc, argv, "p:", options)) != -1;) {
        int rc = c >= OPT_NUMBER ? parse_number(&numbers[c - OPT_NUMBER], optarg, o, err)
                                 : parse_word(c, optarg, o, err);
        if (rc != 0)
            return rc;
    }
    if (argc - optind != 1)
        return ft_err_set(err, FT_EINVAL, "one MODEL is needed");
    o->model = argv[optind];
    o->chat.request.grammar = o->grammar;
    if (o->draft != NULL && o->chat.request.spec.draft_max == 0)
        o->chat.request.spec.draft_max = 4;
    return 0;
}

void ft_run_options_fini(struct ft_run_options *o)
{
    ft_grammar_unref(o->grammar);
    o->grammar = NULL;
}
