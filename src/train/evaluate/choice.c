/* Multiple choice: each choice is scored as the answer to its question, as training would see the
 * two, but for the end token. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "train/data/line.h"
#include "train/data/lines.h"
#include "train/evaluate/impl.h"

#define LINES_MAX       (1 << 24)
#define ARENA_BYTES_MAX ((size_t)FT_DATA_TOKENS_MAX * sizeof(int32_t))

/* A question with one of its choices. */
struct scored {
    const int32_t *token; /* [n] */
    int n, from;          /* the choice begins at `from` */
    int bytes;            /* of its text */
    int line;
};

struct line {
    int n, answer;
    int32_t file;
    int64_t line;
};

struct choices {
    const struct ft_eval_config *cfg;
    const char *path;
    int32_t file;
    struct ft_line_reader reader;
    struct ft_arena arena;
    struct scored *scored;
    int64_t n_scored, cap_scored;
    struct line *line;
    int n_lines, cap_lines;
    struct ft_eval_result *ret;
    double sum[FT_EVAL_CHOICES_MAX], per_byte[FT_EVAL_CHOICES_MAX]; /* of the line being answered */
    int n_known;
};

/* ---- reading ---- */

static bool is_white(char c)
{
    return strchr(" \t\r\n", c) != NULL;
}

/* Continuations of a text of letters are parted from it by a space, unless either has one. */
static const char *separator(json_t *prompt, const char *choice)
{
    const char *p = json_string_value(prompt);
    size_t n = json_string_length(prompt);
    return n == 0 || is_white(p[n - 1]) || is_white(choice[0]) || (p[n - 1] & 0x80) != 0 ||
                   (choice[0] & 0x80) != 0
               ? ""
               : " ";
}

/* The line that training would have if this choice were the answer; a new reference. */
static json_t *line_with(const struct choices *c, json_t *v, const char *choice)
{
    json_t *question = json_object_get(v, "question"), *prompt = json_object_get(v, "prompt");
    json_t *messages = json_object_get(v, "messages"), *line;
    if (messages == NULL && json_is_array(prompt))
        messages = prompt;
    if (messages != NULL)
        line = json_pack("{s:O, s:[{s:s, s:s}], s:O*}", "prompt", messages, "completion", "role",
                         "assistant", "content", choice, "tools", json_object_get(v, "tools"));
    else if (question != NULL && c->cfg->data.prompter != NULL)
        line = json_pack("{s:[{s:s, s:O}], s:[{s:s, s:s}]}", "prompt", "role", "user", "content",
                         question, "completion", "role", "assistant", "content", choice);
    else if (question != NULL)
        line = json_pack("{s:o, s:o}", "prompt",
                         json_sprintf("Question: %s\nAnswer:", json_string_value(question)),
                         "completion", json_sprintf(" %s", choice));
    else
        line = json_pack("{s:O, s:o}", "prompt", prompt, "completion",
                         json_sprintf("%s%s", separator(prompt, choice), choice));
    return line;
}

/* Where the choice begins in token[from .. to): behind the section of reasoning that some templates
 * give every answer. */
static int skip_reasoning(const struct ft_tokenizer *t, const int32_t *token, int from, int to)
{
    static const char mark[] = "</think>";
    struct ft_buf b;
    int at = from;
    ft_buf_init(&b, FT_LINES_BYTES_MAX);
    for (int i = from; i < to; i++) {
        size_t n;
        const char *p = ft_tokenizer_bytes(t, token[i], &n);
        ft_buf_add(&b, p, n);
    }
    const char *end = b.len > 0 ? memmem(b.data, b.len, mark, sizeof mark - 1) : NULL;
    size_t skip = end != NULL ? (size_t)(end - b.data) + sizeof mark - 1 : 0;
    while (skip > 0 && skip < b.len && b.data[skip] == '\n')
        skip++;
    for (size_t done = 0, n; at < to && done < skip; at++) {
        ft_tokenizer_bytes(t, token[at], &n);
        done += n;
    }
    ft_buf_fini(&b);
    return at;
}

static int scored_add(struct choices *c, const struct ft_draft *d, const char *choice,
                      struct ft_err *err)
{
    const struct ft_tokenizer *t = c->cfg->data.tokenizer;
    struct ft_eval_span at = ft_eval_last_answer(t, d->token, d->loss, (int)d->n);
    if (at.from == 0)
        return ft_err_set(err, FT_EINVAL, "nothing stands before it");
    at.from = skip_reasoning(t, d->token, at.from, at.to);
    if (at.to <= at.from)
        return ft_err_set(err, FT_EINVAL, "is empty");
    if (at.to > c->cfg->data.max_len)
        return ft_err_set(err, FT_EINVAL, "%d tokens with its question, more than %d", at.to,
                          c->cfg->data.max_len);
    if (c->n_scored == c->cap_scored) {
        int64_t cap = c->cap_scored == 0 ? 1024 : c->cap_scored * 2;
        struct scored *p = realloc(c->scored, (size_t)cap * sizeof *p);
        if (p == NULL)
            return ft_err_set(err, FT_ENOMEM, "choices: no memory");
        c->scored = p;
        c->cap_scored = cap;
    }
    int32_t *token = ft_arena_array(&c->arena, (size_t)at.to, sizeof *token);
    if (token == NULL)
        return ft_err_set(err, FT_ENOMEM, "choices: no memory");
    memcpy(token, d->token, (size_t)at.to * sizeof *token);
    c->scored[c->n_scored++] = (struct scored){.token = token,
                                               .n = at.to,
                                               .from = at.from,
                                               .bytes = (int)strlen(choice),
                                               .line = c->n_lines};
    return 0;
}

static int read_choice(struct choices *c, json_t *v, const char *choice, struct ft_err *err)
{
    struct ft_drafts d = {0};
    json_t *line = line_with(c, v, choice);
    if (line == NULL)
        return ft_err_set(err, FT_ENOMEM, "choices: no memory");
    int rc = ft_line_read_json(&c->reader, line, &d, err);
    if (rc == 0)
        rc = scored_add(c, &d.at[d.n - 1], choice, err);
    ft_drafts_fini(&d);
    json_decref(line);
    return rc;
}

/* The index that the answer names: a number, the text of a choice, or a letter. */
static int read_answer(json_t *answer, json_t *choices, int *ret, struct ft_err *err)
{
    json_int_t n = (json_int_t)json_array_size(choices), i = -1;
    if (json_is_integer(answer))
        i = json_integer_value(answer);
    for (size_t k = 0; json_is_string(answer) && k < (size_t)n && i < 0; k++)
        if (json_equal(answer, json_array_get(choices, k)))
            i = (json_int_t)k;
    if (i < 0 && json_string_length(answer) == 1)
        i = toupper((unsigned char)json_string_value(answer)[0]) - 'A';
    if (i < 0 || i >= n)
        return ft_err_set(err, FT_EINVAL,
                          answer == NULL ? "answer is missing"
                                         : "answer is no choice: an index from 0, a letter or its "
                                           "text");
    *ret = (int)i;
    return 0;
}

static int check_question(json_t *v, struct ft_err *err)
{
    json_t *question = json_object_get(v, "question"), *prompt = json_object_get(v, "prompt");
    if (json_object_get(v, "messages") != NULL)
        return 0; /* looked at with the rest */
    if (question != NULL ? json_is_string(question)
                         : json_is_string(prompt) || json_is_array(prompt))
        return 0;
    return ft_err_set(err, FT_EINVAL,
                      question != NULL ? "question is not a string"
                      : prompt != NULL ? "prompt is not a string or messages"
                                       : "prompt, question or messages are wanted");
}

static int read_question(struct choices *c, json_t *v, struct line *l, struct ft_err *err)
{
    json_t *choices = json_object_get(v, "choices"), *choice;
    size_t i;
    int rc = check_question(v, err);
    if (rc == 0 && (!json_is_array(choices) || json_array_size(choices) < 2 ||
                    json_array_size(choices) > FT_EVAL_CHOICES_MAX))
        rc = ft_err_set(err, FT_EINVAL, "choices are not an array of 2 to %d", FT_EVAL_CHOICES_MAX);
    if (rc == 0)
        rc = read_answer(json_object_get(v, "answer"), choices, &l->answer, err);
    if (rc != 0)
        return rc;
    l->n = (int)json_array_size(choices);
    json_array_foreach(choices, i, choice)
    {
        rc = json_string_length(choice) > 0
                 ? read_choice(c, v, json_string_value(choice), err)
                 : ft_err_set(err, FT_EINVAL, "is not a string with something in it");
        if (rc != 0)
            return ft_err_wrap(err, "choices[%zu]", i);
    }
    return 0;
}

static int take_line(void *ctx, int64_t line, const char *p, size_t n, struct ft_err *err)
{
    struct choices *c = ctx;
    struct line l = {.file = c->file, .line = line};
    json_error_t e;
    if (c->cfg->limit > 0 && c->n_lines >= c->cfg->limit)
        return 0;
    if (c->n_lines == c->cap_lines) {
        int cap = c->cap_lines == 0 ? 1024 : c->cap_lines * 2;
        struct line *q = cap <= LINES_MAX ? realloc(c->line, (size_t)cap * sizeof *q) : NULL;
        if (q == NULL)
            return ft_err_set(err, FT_ENOMEM, "%d questions: no memory", cap);
        c->line = q;
        c->cap_lines = cap;
    }
    json_t *v = p != NULL ? json_loadb(p, n, JSON_REJECT_DUPLICATES, &e) : NULL;
    ft_line_drop_nulls(v, "");
    int rc = p == NULL   ? ft_err_set(err, FT_ELIMIT, "longer than %u bytes", FT_LINES_BYTES_MAX)
             : v == NULL ? ft_err_set(err, FT_EINVAL, "not JSON: %s, byte %d", e.text, e.position)
                         : read_question(c, v, &l, err);
    json_decref(v);
    if (rc != 0)
        return ft_err_wrap(err, "%s:%lld", ft_lines_name(c->path), (long long)line);
    c->line[c->n_lines++] = l;
    return 0;
}

/* ---- asking ---- */

static void ask(void *ctx, int64_t i, struct ft_request *q)
{
    const struct choices *c = ctx;
    q->kind = FT_REQUEST_PROMPT;
    q->prompt = c->scored[i].token;
    q->n_prompt = (size_t)c->scored[i].n;
}

static int highest(const double *v, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (v[i] > v[best])
            best = i;
    return best;
}

static int answered(void *ctx, int64_t i, const struct ft_answer *a, struct ft_err *err)
{
    struct choices *c = ctx;
    const struct scored *s = &c->scored[i];
    const struct line *l = &c->line[s->line];
    double sum = 0;
    if (a->n_value != s->n)
        return ft_err_set(err, FT_EINTERNAL, "%d log-probabilities of %d tokens", a->n_value, s->n);
    for (int k = s->from; k < s->n; k++)
        sum += (double)a->value[k];
    c->sum[c->n_known] = sum;
    c->per_byte[c->n_known++] = sum / s->bytes;
    if (c->n_known < l->n)
        return 0;
    struct ft_eval_item item = {.file = l->file,
                                .line = l->line,
                                .answer = l->answer,
                                .choice = highest(c->sum, l->n),
                                .choice_per_byte = highest(c->per_byte, l->n)};
    item.correct = item.choice == l->answer;
    c->ret->samples++;
    c->ret->correct += item.correct;
    c->ret->correct_per_byte += item.choice_per_byte == l->answer;
    c->n_known = 0;
    if (c->cfg->on_item != NULL)
        c->cfg->on_item(c->cfg->ctx, &item);
    return 0;
}

int ft_evaluate_choice(const struct ft_eval_config *cfg, const char *const *path, int n_paths,
                       struct ft_eval_result *ret, struct ft_err *err)
{
    struct choices *c = calloc(1, sizeof *c);
    int rc = 0;
    if (c == NULL)
        return ft_err_set(err, FT_ENOMEM, "choices: no memory");
    c->cfg = cfg;
    c->ret = ret;
    ft_line_reader_init(&c->reader, &cfg->data);
    c->reader.cfg.kind = FT_DATA_SUPERVISED;
    c->reader.cfg.form = FT_DATA_AUTO;
    ft_arena_init(&c->arena, ARENA_BYTES_MAX);
    for (int i = 0; i < n_paths && rc == 0; i++) {
        c->path = path[i];
        c->file = i;
        int lines = c->n_lines;
        rc = ft_lines_read(path[i], take_line, c, err);
        if (rc == 0 && c->n_lines == lines && (cfg->limit == 0 || lines < cfg->limit))
            rc = ft_err_set(err, FT_EINVAL, "%s: the data is empty", ft_lines_name(path[i]));
    }
    struct ft_questions q = {.ask = ask, .answered = answered, .ctx = c, .n = c->n_scored};
    if (rc == 0)
        rc = ft_ask_all(cfg, &q, err);
    ft_line_reader_fini(&c->reader);
    ft_arena_fini(&c->arena);
    free(c->scored);
    free(c->line);
    free(c);
    return rc;
}
