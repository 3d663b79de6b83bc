/* What the engine's tests share: an engine on the reference device with one or more tiny models of
 * the reference data, requests run to their end, and what came of them. */
#ifndef FT_TEST_ENGINE_FIXTURE_H
#define FT_TEST_ENGINE_FIXTURE_H

#include "testing.h"

#include <pthread.h>

#include "engine/core/engine.h"
#include "engine/cpu/cpu.h"
#include "engine/ref/ref.h"

#define OUT_MAX 512

/* What one sample said. */
struct said {
    int32_t token[OUT_MAX];
    float logprob[OUT_MAX];
    struct ft_top top[OUT_MAX][FT_REQUEST_TOP_MAX];
    int n;
    int n_resumed; /* of these, told again */
    char text[8 * OUT_MAX];
    size_t text_n;
    enum ft_finish finish;
    int32_t last;
    int stop_index;
    bool done, last_told, done_resumed;
};

struct answer {
    struct said sample[8];
    float *value;
    int n_value;
    enum ft_finish finish;
    struct ft_usage usage;
    struct ft_err err;
    bool ended;
};

static inline void note_event(struct answer *a, const struct ft_event *ev)
{
    assert_false(a->ended);
    struct said *s = &a->sample[ev->index];
    switch (ev->kind) {
    case FT_EVENT_TOKEN:
        assert_false(s->done);
        assert_true(s->n < OUT_MAX);
        assert_false(s->last_told);
        assert_int_equal(ev->resumed, s->n == s->n_resumed && ev->resumed);
        s->n_resumed += ev->resumed;
        s->last_told = ev->last;
        s->logprob[s->n] = ev->logprob;
        if (ev->n_top > 0)
            memcpy(s->top[s->n], ev->top, (size_t)ev->n_top * sizeof *ev->top);
        s->token[s->n++] = ev->token;
        break;
    case FT_EVENT_DONE:
        assert_false(s->done);
        s->done = true;
        s->done_resumed = ev->resumed;
        assert_true(!s->last_told || ev->token < 0);
        s->finish = ev->finish;
        s->last = ev->token;
        s->stop_index = ev->stop_index;
        break;
    case FT_EVENT_RESULT:
        a->value = calloc((size_t)ev->n_value, sizeof *a->value);
        memcpy(a->value, ev->value, (size_t)ev->n_value * sizeof *a->value);
        a->n_value = ev->n_value;
        return;
    case FT_EVENT_END:
        a->ended = true;
        a->finish = ev->finish;
        a->usage = ev->usage;
        if (ev->err != NULL)
            a->err = *ev->err;
        return;
    }
    if (ev->text_n > 0 && s->text_n + ev->text_n < sizeof s->text) {
        memcpy(s->text + s->text_n, ev->text, ev->text_n);
        s->text_n += ev->text_n;
    }
}

static inline void drain_stream(struct ft_stream *st, struct answer *a)
{
    struct ft_event ev;
    memset(a, 0, sizeof *a);
    while (!a->ended) {
        int rc = ft_stream_take(st, &ev, 60000);
        assert_int_equal(rc, 0);
        note_event(a, &ev);
    }
    assert_int_equal(ft_stream_take(st, &ev, 0), FT_ECANCELED);
    ft_stream_close(st);
}

static inline struct ft_stream *must_submit(struct ft_engine *e, const struct ft_request *r,
                                            uint64_t *id)
{
    struct ft_stream *st = NULL;
    struct ft_err err = {0};
    if (ft_engine_submit(e, r, id, &st, &err) != 0)
        fail_msg("submit: %s", err.msg);
    return st;
}

/* Submits and waits for the end. */
static inline void run_request(struct ft_engine *e, const struct ft_request *r, struct answer *a)
{
    drain_stream(must_submit(e, r, NULL), a);
}

struct rig {
    struct ft_dev *dev;
    struct ft_engine *e;
};

/* Set before including: the device of the file's tests. FT_TEST_DEVICE overrides it. */
#ifndef TEST_DEVICE
#define TEST_DEVICE ft_dev_ref_ops
#endif

static int test_threads; /* 0: as many as there are cores */

static inline const struct ft_dev_ops *test_device(void)
{
    const char *name = getenv("FT_TEST_DEVICE");
    if (name == NULL)
        return &TEST_DEVICE;
    return strcmp(name, "cpu") == 0 ? &ft_dev_cpu_ops : &ft_dev_ref_ops;
}

static inline void rig_open(struct rig *g, const struct ft_engine_config *cfg)
{
    struct ft_err err = {0};
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.kv_type = FT_KV_F32;
    if (cfg == NULL)
        cfg = &c;
    struct ft_dev_config d = {.n_threads = test_threads};
    if (ft_dev_open(test_device(), &d, &g->dev, &err) != 0 ||
        ft_engine_open(g->dev, cfg, &g->e, &err) != 0)
        fail_msg("%s", err.msg);
}

static inline void rig_close(struct rig *g)
{
    ft_engine_close(g->e);
    ft_dev_close(g->dev);
}

/* Adds a model of the reference data under its name; false (and a line) where the data is absent.
 */
static inline bool rig_add(struct rig *g, const char *id, const char *file)
{
    struct ft_err err = {0};
    const char *path = ft_test_ref(file);
    if (path == NULL)
        return false;
    if (ft_engine_model_add(g->e, id, path, NULL, &err) != 0)
        fail_msg("%s: %s", path, err.msg);
    return true;
}

/* The reference's own prompt of 32 tokens for the tiny models. */
static const int32_t ref_prompt[32] = {5,   25, 59,  107, 169, 245, 49,  153, 271, 117, 263,
                                       137, 25, 213, 129, 59,  3,   247, 219, 205, 205, 219,
                                       247, 3,  59,  129, 213, 25,  137, 263, 117, 271};

/* A made-up prompt of n tokens below n_vocab. */
static inline void make_prompt(int32_t *token, int n, int n_vocab, uint32_t seed)
{
    uint32_t x = seed * 2654435761u + 12345;
    for (int i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        token[i] = (int32_t)((x >> 8) % (uint32_t)n_vocab);
    }
}

static inline struct ft_request greedy_request(const char *model, const int32_t *prompt, int n,
                                               int max_tokens)
{
    struct ft_request r;
    ft_request_init(&r);
    r.model = model;
    r.prompt = prompt;
    r.n_prompt = (size_t)n;
    r.max_tokens = max_tokens;
    r.sampling.temperature = 0;
    r.ignore_eos = true;
    return r;
}

static inline void assert_same_said(const struct said *a, const struct said *b)
{
    assert_int_equal(a->n, b->n);
    for (int i = 0; i < a->n; i++)
        if (a->token[i] != b->token[i])
            fail_msg("token %d: %d and %d", i, a->token[i], b->token[i]);
    assert_int_equal(a->finish, b->finish);
    assert_int_equal(a->last, b->last);
}

#endif
