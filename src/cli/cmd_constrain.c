/* feitian constrain: what constrained decoding would let through.
 *
 * Compiles a schema, regular expression or grammar; then every line of standard input is fed byte
 * by byte, as tokens would be, and `accept` or `reject` is printed for it. A refused grammar is
 * status 2 with the keyword on standard error.
 *
 * --sample N --model MODEL instead draws N texts at random, token by token through the masks of
 * that model's vocabulary, one a line: each must be valid, whatever the dice say. Statistics of the
 * masks go to standard error. */
#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rand.h"
#include "engine/constrain/constrain.h"
#include "model/token/tokenizer.h"

#define GRAMMAR_BYTES_MAX ((size_t)16 << 20)
#define SAMPLE_BYTES_MAX  ((size_t)16 << 20)
#define SAMPLE_TOKENS     200   /* from here on the end is sought */
#define SAMPLE_TOKENS_MAX 20000 /* then the text is given up */
#define TIMES_MAX         ((size_t)1 << 24)

typedef int from_text(const char *, size_t, struct ft_grammar **, struct ft_err *);

struct options {
    from_text *how;
    const char *what; /* file or text */
    bool is_text, json;
    const char *model;
    int sample;
    uint64_t seed;
};

static int compile(const struct options *o, struct ft_grammar **ret)
{
    struct ft_err err;
    char *text = NULL;
    size_t n = 0;
    if (o->json)
        return ft_grammar_json_object(ret, &err) == 0 ? 0 : ft_cli_fail(2, &err, "constrain");
    if (o->is_text)
        n = strlen(o->what);
    else if (ft_file_read(o->what, GRAMMAR_BYTES_MAX, &text, &n, &err) != 0)
        return ft_cli_fail(1, &err, "constrain");
    int rc = o->how(o->is_text ? o->what : text, n, ret, &err);
    free(text);
    return rc == 0 ? 0 : ft_cli_fail(2, &err, "constrain");
}

/* ---- lines ---- */

static int judge_lines(struct ft_grammar *g)
{
    char *line = NULL;
    size_t cap = 0;
    int status = 0;
    for (ssize_t n; status == 0 && (n = getline(&line, &cap, stdin)) >= 0;) {
        struct ft_err err;
        struct ft_matcher *m;
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (ft_matcher_open(g, NULL, &m, &err) != 0) {
            status = ft_cli_fail(1, &err, "constrain");
            break;
        }
        bool ok = ft_matcher_accept_bytes(m, line, (size_t)n) && ft_matcher_may_end(m);
        ft_matcher_close(m);
        puts(ok ? "accept" : "reject");
        fflush(stdout);
    }
    free(line);
    return status;
}

/* ---- samples ---- */

struct sampler {
    struct ft_vocab *vocab;
    int n_vocab;
    const struct ft_tokenizer *tok;
    uint32_t *mask, *closing; /* closing: tokens that bring the end nearer: brackets, quotes */
    int64_t *time_ns;
    size_t n_times, dead_ends, given_up;
    uint64_t seed, draws;
};

static int vocab_open(struct sampler *s, struct ft_err *err)
{
    s->n_vocab = ft_tokenizer_size(s->tok);
    size_t words = ((size_t)s->n_vocab + 31) / 32;
    struct ft_vocab_token *t = calloc((size_t)s->n_vocab, sizeof *t);
    s->mask = calloc(words, sizeof *s->mask);
    s->closing = calloc(words, sizeof *s->closing);
    s->time_ns = malloc(TIMES_MAX * sizeof *s->time_ns);
    if (t == NULL || s->mask == NULL || s->closing == NULL || s->time_ns == NULL) {
        free(t);
        return ft_err_set(err, FT_ENOMEM, "no memory for the vocabulary");
    }
    for (int i = 0; i < s->n_vocab; i++) {
        size_t n;
        t[i].bytes = ft_tokenizer_bytes(s->tok, i, &n);
        t[i].n = (uint32_t)n;
        t[i].eog = ft_tokenizer_is_eog(s->tok, i);
        t[i].never = !t[i].eog && (n == 0 || ft_tokenizer_is_control(s->tok, i));
        if (t[i].eog || (n > 0 && n < 4 && strpbrk(t[i].bytes, "\"}])") != NULL &&
                         memchr(t[i].bytes, '{', n) == NULL && memchr(t[i].bytes, '[', n) == NULL))
            s->closing[i / 32] |= 1u << i % 32;
    }
    int64_t t0 = ft_clock_now_ns();
    int rc = ft_vocab_open(t, s->n_vocab, &s->vocab, err);
    fprintf(stderr, "vocabulary: %d tokens in %.1f ms\n", s->n_vocab,
            (double)(ft_clock_now_ns() - t0) / 1e6);
    free(t);
    return rc;
}

/* A random set bit of mask (and `also`, if there is one in common); -1 if mask is empty. */
static int draw(struct sampler *s, const uint32_t *also)
{
    size_t words = ((size_t)s->n_vocab + 31) / 32;
    uint64_t n = 0;
    for (size_t i = 0; i < words; i++)
        n += (uint64_t)__builtin_popcount(also != NULL ? s->mask[i] & also[i] : s->mask[i]);
    if (n == 0)
        return also != NULL ? draw(s, NULL) : -1;
    uint64_t k = ft_rand_u64(s->seed, 0, s->draws++) % n;
    for (size_t i = 0; i < words; i++) {
        uint32_t w = also != NULL ? s->mask[i] & also[i] : s->mask[i];
        uint64_t c = (uint64_t)__builtin_popcount(w);
        if (k >= c) {
            k -= c;
            continue;
        }
        for (; k > 0; k--)
            w &= w - 1;
        return (int)(i * 32) + __builtin_ctz(w);
    }
    return -1;
}

static int sample_one(struct sampler *s, struct ft_grammar *g, struct ft_buf *out,
                      struct ft_err *err)
{
    struct ft_matcher *m;
    int rc = ft_matcher_open(g, s->vocab, &m, err);
    ft_buf_reset(out);
    for (int i = 0; rc == 0; i++) {
        int64_t t0 = ft_clock_now_ns();
        rc = ft_matcher_mask(m, s->mask, err);
        if (s->n_times < TIMES_MAX)
            s->time_ns[s->n_times++] = ft_clock_now_ns() - t0;
        if (rc != 0)
            break;
        bool hurry = i > SAMPLE_TOKENS || ft_rand_unit(s->seed, 1, s->draws++) < 0.35;
        int id = draw(s, hurry ? s->closing : NULL);
        if (id < 0 || i >= SAMPLE_TOKENS_MAX) {
            s->dead_ends += id < 0;
            s->given_up += id >= 0;
            fprintf(stderr, "%s: %.*s\n", id < 0 ? "dead end" : "given up", (int)out->len,
                    out->data != NULL ? out->data : "");
            ft_buf_reset(out);
            break;
        }
        if (!ft_matcher_accept(m, id)) {
            rc = ft_err_set(err, FT_EINTERNAL, "token %d was in the mask and is not accepted", id);
            break;
        }
        if (ft_tokenizer_is_eog(s->tok, id))
            break;
        size_t n;
        const char *p = ft_tokenizer_bytes(s->tok, id, &n);
        rc = ft_buf_add(out, p, n);
    }
    ft_matcher_close(m);
    return rc;
}

static int cmp_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_stats(struct sampler *s)
{
    double sum = 0;
    for (size_t i = 0; i < s->n_times; i++)
        sum += (double)s->time_ns[i];
    qsort(s->time_ns, s->n_times, sizeof *s->time_ns, cmp_i64);
    if (s->n_times > 0)
        fprintf(stderr,
                "masks: %zu, mean %.1f us, median %.1f, p99 %.1f, max %.1f; dead ends: %zu, given "
                "up: %zu\n",
                s->n_times, sum / (double)s->n_times / 1e3,
                (double)s->time_ns[s->n_times / 2] / 1e3,
                (double)s->time_ns[s->n_times * 99 / 100] / 1e3,
                (double)s->time_ns[s->n_times - 1] / 1e3, s->dead_ends, s->given_up);
}

static int sample(struct ft_grammar *g, const struct options *o)
{
    struct ft_err err;
    struct ft_weights *w = NULL;
    struct ft_tokenizer *t = NULL;
    struct ft_buf out;
    struct sampler s = {.seed = o->seed};
    ft_buf_init(&out, SAMPLE_BYTES_MAX);
    int rc = ft_weights_open(o->model, &w, &err);
    if (rc == 0)
        rc = ft_tokenizer_open(w, &t, &err);
    s.tok = t;
    if (rc == 0)
        rc = vocab_open(&s, &err);
    for (int i = 0; rc == 0 && i < o->sample; i++) {
        rc = sample_one(&s, g, &out, &err);
        if (rc == 0 && out.len > 0)
            printf("%s\n", out.data);
    }
    print_stats(&s);
    ft_vocab_close(s.vocab);
    ft_tokenizer_close(t);
    ft_weights_close(w);
    ft_buf_fini(&out);
    free(s.mask);
    free(s.closing);
    free(s.time_ns);
    if (rc != 0)
        return ft_cli_fail(1, &err, "constrain");
    return s.dead_ends > 0 ? 1 : 0;
}

/* ---- arguments ---- */

static int args_parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"schema", required_argument, NULL, 's'}, {"gbnf", required_argument, NULL, 'g'},
        {"regex", required_argument, NULL, 'r'},  {"json", no_argument, NULL, 'j'},
        {"model", required_argument, NULL, 'm'},  {"sample", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 'S'},   {0}};
    struct ft_err err;
    int n_given = 0;
    *o = (struct options){.seed = 1};
    for (int c; (c = ft_cli_getopt(argc, argv, "", options)) != -1;) {
        n_given += c == 's' || c == 'g' || c == 'r' || c == 'j';
        switch (c) {
        case 's':
        case 'g':
        case 'r':
            o->how = c == 's'   ? ft_grammar_from_schema
                     : c == 'g' ? ft_grammar_from_gbnf
                                : ft_grammar_from_regex;
            o->is_text = c == 'r';
            o->what = optarg;
            break;
        case 'j':
            o->json = true;
            break;
        case 'm':
            o->model = optarg;
            break;
        case 'n':
            if (ft_cli_int("--sample", optarg, 1, 1 << 24, &o->sample, &err) != 0)
                return ft_cli_usage("constrain", "%s", err.msg);
            break;
        case 'S':
            o->seed = strtoull(optarg, NULL, 10);
            break;
        default:
            return ft_cli_see_help("constrain");
        }
    }
    if (optind < argc)
        return ft_cli_usage("constrain", "'%s' is too many", argv[optind]);
    if (n_given != 1)
        return ft_cli_usage("constrain", "one of --schema, --regex, --gbnf and --json is needed");
    if ((o->sample > 0) != (o->model != NULL))
        return ft_cli_usage("constrain", "--sample and --model belong together");
    return 0;
}

int ft_cmd_constrain(int argc, char **argv)
{
    struct options o;
    struct ft_grammar *g = NULL;
    int rc = args_parse(argc, argv, &o);
    if (rc == 0)
        rc = compile(&o, &g);
    if (rc != 0)
        return rc;
    rc = o.sample > 0 ? sample(g, &o) : judge_lines(g);
    ft_grammar_unref(g);
    return rc;
}
