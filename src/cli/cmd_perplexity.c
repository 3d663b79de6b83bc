/* feitian perplexity: how well a model predicts a text.
 *
 * The text is cut into windows of --ctx tokens; the second half of each counts, so that every
 * counted token has more than half a window before it: exactly the tokens that llama.cpp's tool
 * counts. */
#include "cli/cli.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/local.h"
#include "model/token/tokenizer.h"

#define TEXT_MAX    (1u << 30)
#define CTX_DEFAULT 512
#define CTX_MIN     4

struct score {
    const int32_t *token; /* of the window */
    int n, first;         /* tokens of the window; those up to `first` are not counted */
    int n_vocab;
    double sum, sum_squares;
    long count;
};

static double log_probability(const float *logits, int n, int32_t token)
{
    double max = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        max = fmax(max, logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp(logits[i] - max);
    return logits[token] - max - log(sum);
}

static int score_rows(void *ctx, int pos, int n_rows, const float *logits, struct ft_err *err)
{
    (void)err;
    struct score *s = ctx;
    for (int i = 0; i < n_rows; i++) {
        int next = pos + i + 1;
        if (next <= s->first || next >= s->n)
            continue;
        double nll = -log_probability(logits + (int64_t)i * s->n_vocab, s->n_vocab, s->token[next]);
        s->sum += nll;
        s->sum_squares += nll * nll;
        s->count++;
    }
    return 0;
}

static int score_windows(struct ft_local *l, int32_t *id, size_t n, int ctx, int32_t bos,
                         struct score *s, struct ft_err *err)
{
    size_t windows = n / (size_t)ctx;
    bool tty = isatty(STDERR_FILENO) == 1;
    for (size_t i = 0; i < windows; i++) {
        int32_t *window = id + i * (size_t)ctx, first = window[0];
        if (bos >= 0)
            window[0] = bos;
        s->token = window;
        int rc = ft_local_feed(l, window, ctx, 0, 0, FT_LOCAL_ALL, score_rows, s, err);
        window[0] = first;
        if (rc != 0)
            return rc;
        if (tty)
            fprintf(stderr, "\r%zu of %zu windows, perplexity %.4f ", i + 1, windows,
                    exp(s->sum / (double)s->count));
    }
    if (tty)
        fprintf(stderr, "\n");
    return 0;
}

static int encode_file(const struct ft_local *l, const char *path, int32_t **ret_id, size_t *ret_n,
                       int32_t *ret_bos, struct ft_err *err)
{
    struct ft_tokenizer *t = NULL;
    char *text = NULL;
    size_t n = 0;
    int rc = ft_tokenizer_open(l->weights, &t, err);
    if (rc == 0)
        rc = ft_file_read(path, TEXT_MAX, &text, &n, err);
    if (rc == 0)
        rc = ft_tokenizer_encode(t, text, n, FT_TOK_BOS, ret_id, ret_n, err);
    if (rc == 0)
        *ret_bos = *ret_n > 0 && (*ret_id)[0] == ft_tokenizer_bos(t) ? (*ret_id)[0] : -1;
    free(text);
    ft_tokenizer_close(t);
    return rc;
}

/* ctx: 0 for CTX_DEFAULT, or less where the model or the text is shorter. */
static int perplexity(const char *model, const char *path, int ctx, bool json,
                      const struct ft_local_config *cfg, struct ft_err *err)
{
    struct ft_local l = {0};
    int32_t *id = NULL, bos = -1;
    size_t n = 0;
    struct score s = {0};
    int rc = ft_local_open(model, cfg, ctx > 0 ? ctx : CTX_DEFAULT, &l, err);
    if (rc == 0)
        rc = encode_file(&l, path, &id, &n, &bos, err);
    if (rc == 0 && ctx == 0) {
        ctx = FT_MIN(CTX_DEFAULT, l.model->hp.n_ctx_train);
        ctx = n < (size_t)ctx ? FT_MAX((int)n, CTX_MIN) : FT_MAX(ctx, CTX_MIN);
    }
    s.n = ctx;
    s.first = ctx / 2;
    if (rc == 0 && n < (size_t)ctx)
        rc = ft_err_set(err, FT_EINVAL, "%s: %zu tokens are less than one window of %d (--ctx)",
                        path, n, ctx);
    if (rc == 0) {
        s.n_vocab = l.model->hp.n_vocab;
        rc = score_windows(&l, id, n, ctx, bos, &s, err);
    }
    if (rc == 0) {
        double count = (double)s.count, mean = s.sum / count;
        double deviation = sqrt(fmax(0, s.sum_squares / count - mean * mean) / count);
        printf(json ? "{\"perplexity\": %.6f, \"error\": %.6f, \"tokens\": %ld}\n"
                    : "perplexity %.4f +/- %.4f over %ld tokens\n",
               exp(mean), exp(mean) * deviation, s.count);
    }
    free(id);
    ft_local_close(&l);
    return rc;
}

int ft_cmd_perplexity(int argc, char **argv)
{
    static const struct option options[] = {{"ctx", required_argument, NULL, 'c'},
                                            {"threads", required_argument, NULL, 't'},
                                            {"device", required_argument, NULL, 'd'},
                                            {"kv", required_argument, NULL, 'k'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"adapter", required_argument, NULL, 'a'},
                                            {0}};
    struct ft_local_config cfg = {.kv_type = FT_KV_F16, .max_rows = 128};
    struct ft_err err = {0};
    int ctx = 0;
    bool json = false;
    for (int c; (c = ft_cli_getopt(argc, argv, "", options)) != -1;) {
        int rc = 0;
        switch (c) {
        case 'c':
            rc = ft_cli_int("--ctx", optarg, CTX_MIN, 1 << 20, &ctx, &err);
            break;
        case 't':
            rc = ft_cli_int("--threads", optarg, 1, 1024, &cfg.n_threads, &err);
            break;
        case 'd':
            cfg.device = optarg;
            break;
        case 'k':
            rc = ft_local_kv_type(optarg, &cfg.kv_type, &err);
            break;
        case 'a':
            cfg.adapter = optarg;
            break;
        case 'j':
            json = true;
            break;
        default:
            return ft_cli_see_help("perplexity");
        }
        if (rc != 0)
            return ft_cli_usage("perplexity", "%s", err.msg);
    }
    if (argc - optind != 2)
        return ft_cli_usage("perplexity", "MODEL and FILE are needed");
    if (perplexity(argv[optind], argv[optind + 1], ctx, json, &cfg, &err) != 0)
        return ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "perplexity");
    return 0;
}
