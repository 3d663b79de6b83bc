/* Which metric is meant; perplexity and exact match, on samples as training has them. */
#include "train/evaluate/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "train/data/line.h"
#include "train/data/lines.h"
#include "train/evaluate/impl.h"

#define NO_QUESTION "a text asks nothing: exact match wants messages or prompts"
#define TEXT_MAX    ((size_t)64 << 20) /* bytes of one answer */

static const char *const names[] = {[FT_EVAL_AUTO] = "auto",
                                    [FT_EVAL_PERPLEXITY] = "perplexity",
                                    [FT_EVAL_EXACT] = "exact",
                                    [FT_EVAL_CHOICE] = "choice"};

const char *ft_eval_metric_name(enum ft_eval_metric m)
{
    return names[m];
}

void ft_eval_config_init(struct ft_eval_config *cfg)
{
    *cfg = (struct ft_eval_config){.max_tokens = 256, .parallel = 16};
    ft_data_config_init(&cfg->data);
}

struct ft_eval_span ft_eval_last_answer(const struct ft_tokenizer *t, const int32_t *token,
                                        const uint8_t *loss, int n)
{
    int to = n;
    while (to > 0 && !loss[to - 1])
        to--;
    int from = to;
    while (from > 0 && loss[from - 1])
        from--;
    while (to > from && ft_tokenizer_is_eog(t, token[to - 1]))
        to--;
    return (struct ft_eval_span){from, to};
}

/* What both metrics here work on. */
struct run {
    const struct ft_eval_config *cfg;
    struct ft_data *d;
    int32_t *item; /* samples to look at */
    int64_t n;
    struct ft_eval_result *ret;
    struct ft_buf want, got;
};

static void tell(const struct run *r, struct ft_eval_item item, const struct ft_sample *s)
{
    item.file = s->file;
    item.line = s->line;
    if (r->cfg->on_item != NULL)
        r->cfg->on_item(r->cfg->ctx, &item);
}

/* ---- perplexity ---- */

static void ask_prompt(void *ctx, int64_t i, struct ft_request *q)
{
    const struct run *r = ctx;
    const struct ft_sample *s = &r->d->sample[r->item[i]];
    q->kind = FT_REQUEST_PROMPT;
    q->prompt = s->token;
    q->n_prompt = (size_t)s->n;
}

static int take_prompt(void *ctx, int64_t i, const struct ft_answer *a, struct ft_err *err)
{
    struct run *r = ctx;
    const struct ft_sample *s = &r->d->sample[r->item[i]];
    double nll = 0;
    if (a->n_value != s->n)
        return ft_err_set(err, FT_EINTERNAL, "%d log-probabilities of %d tokens", a->n_value, s->n);
    for (int k = 1; k < s->n; k++)
        nll -= s->loss[k] ? (double)a->value[k] : 0;
    r->ret->nll += nll;
    r->ret->targets += s->n_target;
    r->ret->samples++;
    tell(r, (struct ft_eval_item){.nll = nll, .targets = s->n_target}, s);
    return 0;
}

/* ---- exact match ---- */

static void ask_answer(void *ctx, int64_t i, struct ft_request *q)
{
    const struct run *r = ctx;
    const struct ft_sample *s = &r->d->sample[r->item[i]];
    q->prompt = s->token;
    q->n_prompt = (size_t)ft_eval_last_answer(r->cfg->data.tokenizer, s->token, s->loss, s->n).from;
    q->max_tokens = r->cfg->max_tokens;
    q->sampling.temperature = 0;
}

/* What is compared: the text behind a section of reasoning, without the space around it. */
static struct ft_slice essence(const struct ft_buf *b)
{
    static const char end[] = "</think>";
    struct ft_slice s = {b->len > 0 ? b->data : "", b->len};
    const char *p = s.n > 0 ? memmem(s.p, s.n, end, sizeof end - 1) : NULL;
    if (p != NULL) {
        p += sizeof end - 1;
        s = (struct ft_slice){p, (size_t)(s.p + s.n - p)};
    }
    while (s.n > 0 && strchr(" \t\r\n", s.p[0]) != NULL) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL)
        s.n--;
    return s;
}

static int take_answer(void *ctx, int64_t i, const struct ft_answer *a, struct ft_err *err)
{
    struct run *r = ctx;
    const struct ft_tokenizer *t = r->cfg->data.tokenizer;
    const struct ft_sample *s = &r->d->sample[r->item[i]];
    struct ft_eval_span at = ft_eval_last_answer(t, s->token, s->loss, s->n);
    ft_buf_reset(&r->want);
    ft_buf_reset(&r->got);
    int rc =
        ft_tokenizer_decode(t, s->token + at.from, (size_t)(at.to - at.from), false, &r->want, err);
    if (rc == 0)
        rc = ft_tokenizer_decode(t, a->token, a->n, false, &r->got, err);
    if (rc != 0)
        return rc;
    struct ft_eval_item item = {
        .want = essence(&r->want), .got = essence(&r->got), .cut = a->finish == FT_FINISH_LENGTH};
    item.correct = item.want.n == item.got.n && memcmp(item.want.p, item.got.p, item.want.n) == 0;
    r->ret->samples++;
    r->ret->correct += item.correct;
    r->ret->cut += item.cut;
    tell(r, item, s);
    return 0;
}

/* ---- samples ---- */

/* The last sample of each line; a line must have a question before its answer. */
static int choose_last(struct run *r, const char *const *path, struct ft_err *err)
{
    int64_t limit = r->cfg->limit;
    for (int i = 0; i < r->d->n && (limit == 0 || r->n < limit); i++) {
        const struct ft_sample *s = &r->d->sample[i];
        if (i + 1 < r->d->n && r->d->sample[i + 1].group == s->group)
            continue;
        struct ft_eval_span at =
            ft_eval_last_answer(r->cfg->data.tokenizer, s->token, s->loss, s->n);
        if (s->form == FT_DATA_TEXT && s->line == 0) /* a file of text has no lines */
            return ft_err_set(err, FT_EINVAL, "%s: " NO_QUESTION, ft_lines_name(path[s->file]));
        if (s->form == FT_DATA_TEXT || at.from == 0)
            return ft_err_set(
                err, FT_EINVAL, "%s:%lld: %s", ft_lines_name(path[s->file]), (long long)s->line,
                s->form == FT_DATA_TEXT ? NO_QUESTION : "nothing stands before the answer");
        r->item[r->n++] = i;
    }
    return 0;
}

static int evaluate_samples(const struct ft_eval_config *cfg, const char *const *path, int n_paths,
                            struct ft_eval_result *ret, struct ft_err *err)
{
    bool exact = ret->metric == FT_EVAL_EXACT;
    struct run r = {.cfg = cfg, .ret = ret};
    struct ft_questions q = {.ask = exact ? ask_answer : ask_prompt,
                             .answered = exact ? take_answer : take_prompt,
                             .ctx = &r};
    ft_buf_init(&r.want, TEXT_MAX);
    ft_buf_init(&r.got, TEXT_MAX);
    int rc = ft_data_open(&cfg->data, path, n_paths, &r.d, NULL, err);
    if (rc != 0)
        return rc;
    r.item = malloc((size_t)r.d->n * sizeof *r.item);
    if (r.item == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "%d samples: no memory", r.d->n);
    else if (exact)
        rc = choose_last(&r, path, err);
    else
        for (int i = 0; i < r.d->n; i++)
            r.item[r.n++] = i;
    q.n = cfg->limit > 0 ? FT_MIN(cfg->limit, r.n) : r.n;
    if (rc == 0)
        rc = ft_ask_all(cfg, &q, err);
    free(r.item);
    ft_buf_fini(&r.want);
    ft_buf_fini(&r.got);
    ft_data_close(r.d);
    return rc;
}

/* ---- which metric ---- */

#define FOUND 1 /* ends the reading of lines: what we look for is there */

static int look_at(void *ctx, int64_t line, const char *p, size_t n, struct ft_err *err)
{
    enum ft_eval_metric *m = ctx;
    json_t *v = p != NULL ? json_loadb(p, n, JSON_ALLOW_NUL, NULL) : NULL;
    (void)line;
    (void)err;
    ft_line_drop_nulls(v, "");
    *m = json_object_get(v, "choices") != NULL ? FT_EVAL_CHOICE
         : json_object_get(v, "messages") != NULL || json_object_get(v, "completion") != NULL
             ? FT_EVAL_EXACT
             : FT_EVAL_PERPLEXITY;
    json_decref(v);
    return FOUND;
}

int ft_evaluate_metric(const struct ft_eval_config *cfg, const char *path, enum ft_eval_metric *ret,
                       struct ft_err *err)
{
    enum ft_eval_metric m = cfg->metric;
    int rc = 0;
    if (m == FT_EVAL_AUTO && strcmp(path, "-") == 0) /* it can be read once only */
        return ft_err_set(err, FT_EINVAL, "a metric must be chosen for standard input");
    if (m == FT_EVAL_AUTO && !ft_str_ends(path, ".txt"))
        rc = ft_lines_read(path, look_at, &m, err);
    if (rc != 0 && rc != FOUND)
        return rc;
    *ret = m == FT_EVAL_AUTO ? FT_EVAL_PERPLEXITY : m;
    return 0;
}

int ft_evaluate(const struct ft_eval_config *cfg, const char *const *path, int n_paths,
                struct ft_eval_result *ret, struct ft_err *err)
{
    struct ft_eval_result result = {0};
    if (n_paths < 1)
        return ft_err_set(err, FT_EINVAL, "no data is given");
    if (cfg->parallel < 1 || cfg->parallel > FT_EVAL_PARALLEL_MAX)
        return ft_err_set(err, FT_EINVAL, "%d requests at the same time are not 1 to %d",
                          cfg->parallel, FT_EVAL_PARALLEL_MAX);
    int rc = ft_evaluate_metric(cfg, path[0], &result.metric, err);
    if (rc == 0)
        rc = result.metric == FT_EVAL_CHOICE ? ft_evaluate_choice(cfg, path, n_paths, &result, err)
                                             : evaluate_samples(cfg, path, n_paths, &result, err);
    if (rc == 0)
        *ret = result;
    return rc;
}
