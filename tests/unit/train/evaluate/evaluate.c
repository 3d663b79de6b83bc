/* Evaluation through an engine on the reference device: choices behind a chat template that gives
 * every answer a section of reasoning; stopping; what the configuration may say. The commands'
 * test compares numbers with logits (tests/integration/evaluate.py). */
#include "testing.h"

#include <math.h>

#include "base/file.h"
#include "engine/ref/ref.h"
#include "train/evaluate/evaluate.h"

#define MODEL "m"

static const char chat[] =
    "{% for m in messages %}{{ '<' + m.role + '>' }}"
    "{% if m.role == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m.content + ';' }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";

struct fixture {
    struct ft_dev *dev;
    struct ft_engine *engine;
    const struct ft_model_source *source;
    struct ft_prompter *prompter;
    struct ft_eval_config cfg;
    char path[64];
};

static bool open_all(struct fixture *f, const char *lines)
{
    struct ft_err err = {0};
    struct ft_engine_config cfg;
    struct ft_dev_config dev_cfg = {.n_threads = 1};
    *f = (struct fixture){0};
    const char *path = ft_test_ref("models/qwen3-s-F32.gguf");
    if (path == NULL)
        return false;
    ft_engine_config_init(&cfg);
    cfg.kv_type = FT_KV_F32;
    if (ft_dev_open(&ft_dev_ref_ops, &dev_cfg, &f->dev, &err) != 0 ||
        ft_engine_open(f->dev, &cfg, &f->engine, &err) != 0 ||
        ft_engine_model_add(f->engine, MODEL, path, NULL, &err) != 0 ||
        ft_engine_model_source(f->engine, MODEL, &f->source, &err) != 0 ||
        ft_prompter_open_text(chat, sizeof chat - 1, f->source->tokenizer, &f->prompter, &err) != 0)
        fail_msg("%s", err.msg);
    ft_eval_config_init(&f->cfg);
    f->cfg.engine = f->engine;
    f->cfg.model = MODEL;
    f->cfg.data.tokenizer = f->source->tokenizer;
    f->cfg.data.prompter = f->prompter;
    f->cfg.data.max_len = 256;
    strcpy(f->path, "/tmp/ft_eval_XXXXXX.jsonl");
    int fd = mkstemps(f->path, 6);
    assert_true(fd >= 0 && write(fd, lines, strlen(lines)) == (ssize_t)strlen(lines));
    close(fd);
    return true;
}

static void close_all(struct fixture *f)
{
    ft_prompter_close(f->prompter);
    ft_model_source_unref(f->source);
    ft_engine_close(f->engine);
    ft_dev_close(f->dev);
    unlink(f->path);
}

static int evaluate(struct fixture *f, struct ft_eval_result *r, struct ft_err *err)
{
    const char *path = f->path;
    return ft_evaluate(&f->cfg, &path, 1, r, err);
}

/* The log-probability of the choice behind a text that ends where the choice begins. */
static double score(struct fixture *f, const char *before, const char *choice)
{
    const struct ft_tokenizer *t = f->source->tokenizer;
    struct ft_err err = {0};
    struct ft_request r;
    struct ft_stream *s = NULL;
    int32_t *ids = NULL;
    size_t n = 0, from;
    uint64_t id;
    double sum = 0;
    assert_int_equal(ft_prompt_encode(t, before, strlen(before), &ids, &n, &err), 0);
    from = n;
    assert_int_equal(ft_tokenizer_encode(t, choice, strlen(choice), 0, &ids, &n, &err), 0);
    ft_request_init(&r);
    r.kind = FT_REQUEST_PROMPT;
    r.model = MODEL;
    r.prompt = ids;
    r.n_prompt = n;
    if (ft_engine_submit(f->engine, &r, &id, &s, &err) != 0)
        fail_msg("%s", err.msg);
    for (struct ft_event ev = {0}; ev.kind != FT_EVENT_END;) {
        assert_int_equal(ft_stream_take(s, &ev, -1), 0);
        for (int i = (int)from; ev.kind == FT_EVENT_RESULT && i < ev.n_value; i++)
            sum += (double)ev.value[i];
    }
    ft_stream_close(s);
    free(ids);
    return sum;
}

#define N_LINES 12
static const char *const choices[] = {"yes;", "no no no;", "a much longer answer;", "z;"};

struct seen {
    int choice[N_LINES], per_byte[N_LINES], n;
};

static void note(void *ctx, const struct ft_eval_item *item)
{
    struct seen *s = ctx;
    assert_int_equal(item->line, s->n + 1);
    s->choice[s->n] = item->choice;
    s->per_byte[s->n++] = item->choice_per_byte;
}

static void test_choices_behind_reasoning(void **state)
{
    (void)state;
    struct fixture f;
    struct ft_buf lines;
    struct ft_err err = {0};
    struct ft_eval_result r;
    struct seen seen = {0};
    ft_buf_init(&lines, 1 << 16);
    for (int i = 0; i < N_LINES; i++)
        ft_buf_addf(&lines,
                    "{\"question\":\"q%d\",\"choices\":[\"yes\",\"no no no\",\"a much longer "
                    "answer\",\"z\"],\"answer\":%d}\n",
                    i * 7, i % 4);
    if (!open_all(&f, lines.data)) {
        ft_buf_fini(&lines);
        skip();
    }
    f.cfg.on_item = note;
    f.cfg.ctx = &seen;
    if (evaluate(&f, &r, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(r.metric, FT_EVAL_CHOICE);
    assert_int_equal(r.samples, N_LINES);
    int correct = 0, correct_per_byte = 0;
    for (int i = 0; i < N_LINES; i++) {
        double sum[4], per_byte[4];
        int best = 0, best_per_byte = 0;
        for (int k = 0; k < 4; k++) {
            char before[128];
            snprintf(before, sizeof before, "<user>q%d;<assistant><think>\n\n</think>\n\n", i * 7);
            sum[k] = score(&f, before, choices[k]);
            per_byte[k] = sum[k] / (double)(strlen(choices[k]) - 1); /* ";" is the template's */
            best = sum[k] > sum[best] ? k : best;
            best_per_byte = per_byte[k] > per_byte[best_per_byte] ? k : best_per_byte;
        }
        assert_int_equal(seen.choice[i], best);
        assert_int_equal(seen.per_byte[i], best_per_byte);
        correct += best == i % 4;
        correct_per_byte += best_per_byte == i % 4;
    }
    assert_int_equal(r.correct, correct);
    assert_int_equal(r.correct_per_byte, correct_per_byte);
    close_all(&f);
    ft_buf_fini(&lines);
}

/* Only the last answer of a line counts, and reasoning does not. */
static void test_the_last_answer_is_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    struct ft_err err = {0};
    struct ft_eval_result r;
    if (!open_all(&f,
                  "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
                  "\"content\":\"b\"},{\"role\":\"user\",\"content\":\"c\"},{\"role\":"
                  "\"assistant\",\"content\":\"d\"}]}\n"
                  "{\"prompt\":\"x\",\"completion\":\"y\"}\n"))
        skip();
    f.cfg.max_tokens = 3;
    assert_int_equal(evaluate(&f, &r, &err), 0);
    assert_int_equal(r.metric, FT_EVAL_EXACT);
    assert_int_equal(r.samples, 2);
    f.cfg.limit = 1;
    assert_int_equal(evaluate(&f, &r, &err), 0);
    assert_int_equal(r.samples, 1);
    close_all(&f);
}

static int stop(void *ctx, int64_t done, int64_t all)
{
    assert_in_range(done, 0, all);
    *(int *)ctx += 1;
    return 1;
}

static void test_it_can_be_stopped(void **state)
{
    (void)state;
    struct fixture f;
    struct ft_err err = {0};
    struct ft_eval_result r = {.samples = -1};
    int calls = 0;
    if (!open_all(&f, "{\"prompt\":\"x\",\"completion\":\"y\"}\n"
                      "{\"prompt\":\"x\",\"completion\":\"z\"}\n"))
        skip();
    f.cfg.progress = stop;
    f.cfg.ctx = &calls;
    assert_int_equal(evaluate(&f, &r, &err), FT_ECANCELED);
    assert_int_equal(calls, 1);
    assert_int_equal(r.samples, -1);
    close_all(&f);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct ft_err err = {0};
    struct ft_eval_result r;
    if (!open_all(&f, "{\"text\":\"xyz\"}\n"))
        skip();
    f.cfg.parallel = 0;
    assert_int_equal(evaluate(&f, &r, &err), FT_EINVAL);
    assert_string_equal(err.msg, "0 requests at the same time are not 1 to 256");
    f.cfg.parallel = 1;
    f.cfg.adapter = "none";
    assert_int_equal(evaluate(&f, &r, &err), FT_ENOTFOUND);
    f.cfg.adapter = NULL;
    assert_int_equal(evaluate(&f, &r, &err), 0);
    assert_int_equal(r.metric, FT_EVAL_PERPLEXITY);
    assert_true(r.nll > 0 && r.targets >= 2);
    close_all(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices_behind_reasoning),
        cmocka_unit_test(test_the_last_answer_is_asked_for),
        cmocka_unit_test(test_it_can_be_stopped),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
