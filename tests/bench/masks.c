/* What constrained output costs: masks over a vocabulary of 150,000 tokens along the texts of real
 * schemas, as a decoding sequence would meet them.
 *
 * usage: bench_masks VOCABULARY.gguf SCHEMAS.json [DECODE_MS]
 *
 * SCHEMAS.json: [{"schema": ..., "tests": [{"data": ..., "valid": true}]}]. Every valid instance,
 * as compact JSON, is tokenised; at each token the mask is made and the token accepted. Printed:
 * compile time, and time per mask (median, mean, 99th percentile, most), the mean also as a share
 * of decoding a token (DECODE_MS, 10 if not given). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/constrain/constrain.h"
#include "model/token/tokenizer.h"

#define TIMES_MAX (1 << 20)

struct times {
    double *us;
    size_t n;
};

static struct times masks = {NULL, 0}, compiles = {NULL, 0};
static int n_refused, n_left;

static void note(struct times *t, int64_t from)
{
    if (t->us == NULL)
        t->us = malloc(TIMES_MAX * sizeof *t->us);
    if (t->us != NULL && t->n < TIMES_MAX)
        t->us[t->n++] = (double)(ft_clock_now_ns() - from) / 1e3;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *what, struct times *t, double decode_ms)
{
    double sum = 0;
    if (t->n == 0)
        return;
    qsort(t->us, t->n, sizeof *t->us, by_value);
    for (size_t i = 0; i < t->n; i++)
        sum += t->us[i];
    printf("%-9s %7zu  median %8.1f us  mean %8.1f us  p99 %9.1f us  most %9.1f us", what, t->n,
           t->us[t->n / 2], sum / (double)t->n, t->us[t->n * 99 / 100], t->us[t->n - 1]);
    if (decode_ms > 0)
        printf("  mean %.2f%% of a token", sum / (double)t->n / decode_ms / 10);
    printf("\n");
}

/* One text, token by token. */
static int walk(struct ft_grammar *g, const struct ft_vocab *v, const struct ft_tokenizer *t,
                const char *text, struct ft_err *err)
{
    struct ft_matcher *m = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    uint32_t *mask = calloc((size_t)ft_tokenizer_size(t) / 32 + 1, sizeof *mask);
    int rc = ft_tokenizer_encode(t, text, strlen(text), 0, &ids, &n, err);
    if (rc == 0)
        rc = ft_matcher_open(g, v, &m, err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        int64_t start = ft_clock_now_ns();
        rc = ft_matcher_mask(m, mask, err);
        note(&masks, start);
        if (rc == 0 && !ft_matcher_accept(m, ids[i])) {
            n_left++; /* a property order, or a keyword, that is not enforced */
            break;
        }
    }
    ft_matcher_close(m);
    free(mask);
    free(ids);
    return rc;
}

static int schema(const json_t *entry, const struct ft_vocab *v, const struct ft_tokenizer *t,
                  struct ft_err *err)
{
    char *text = json_dumps(json_object_get(entry, "schema"), JSON_COMPACT | JSON_ENCODE_ANY);
    struct ft_grammar *g = NULL;
    int64_t start = ft_clock_now_ns();
    int rc = ft_grammar_from_schema(text, strlen(text), &g, err);
    note(&compiles, start);
    free(text);
    if (rc != 0) {
        n_refused++;
        return 0;
    }
    size_t i;
    json_t *test;
    json_array_foreach(json_object_get(entry, "tests"), i, test)
    {
        if (!json_is_true(json_object_get(test, "valid")) || rc != 0)
            continue;
        char *data = json_dumps(json_object_get(test, "data"), JSON_COMPACT | JSON_ENCODE_ANY);
        rc = walk(g, v, t, data, err);
        free(data);
    }
    ft_grammar_unref(g);
    return rc;
}

static int vocab_of(const struct ft_tokenizer *t, struct ft_vocab **ret, struct ft_err *err)
{
    int n = ft_tokenizer_size(t);
    struct ft_vocab_token *tok = calloc((size_t)n, sizeof *tok);
    for (int32_t i = 0; i < n && tok != NULL; i++) {
        size_t len;
        tok[i].bytes = ft_tokenizer_bytes(t, i, &len);
        tok[i].n = (uint32_t)len;
        tok[i].eog = ft_tokenizer_is_eog(t, i);
        tok[i].never = !tok[i].eog && (ft_tokenizer_is_control(t, i) || len == 0);
    }
    int rc =
        tok == NULL ? ft_err_set(err, FT_ENOMEM, "no memory") : ft_vocab_open(tok, n, ret, err);
    free(tok);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        printf("usage: bench_masks VOCABULARY.gguf SCHEMAS.json [DECODE_MS]\n");
        return 0;
    }
    struct ft_err err = {0};
    struct ft_weights *w = NULL;
    struct ft_tokenizer *t = NULL;
    struct ft_vocab *v = NULL;
    json_t *all = json_load_file(argv[2], JSON_ALLOW_NUL, NULL);
    int rc = all == NULL ? ft_err_set(&err, FT_ECORRUPT, "%s: not JSON", argv[2]) : 0;
    if (rc == 0)
        rc = ft_weights_open(argv[1], &w, &err);
    if (rc == 0)
        rc = ft_tokenizer_open(w, &t, &err);
    if (rc == 0)
        rc = vocab_of(t, &v, &err);
    for (size_t i = 0; rc == 0 && i < json_array_size(all); i++)
        rc = schema(json_array_get(all, i), v, t, &err);
    if (rc != 0) {
        fprintf(stderr, "bench_masks: %s\n", err.msg);
        return 1;
    }
    printf("%d tokens; %d schemas refused, %d texts left early\n", ft_tokenizer_size(t), n_refused,
           n_left);
    print("compiles", &compiles, 0);
    print("masks", &masks, argc > 3 ? atof(argv[3]) : 10);
    ft_vocab_close(v);
    ft_tokenizer_close(t);
    ft_weights_close(w);
    json_decref(all);
    free(masks.us);
    free(compiles.us);
    return 0;
}
