/* No allocation while decoding, once warm: counted in malloc itself, on the owner thread. Not on
 * the reference device, which allocates as it likes. */
#define TEST_DEVICE ft_dev_cpu_ops
#include "fixture.h"

#include <stdatomic.h>

#include "unit/engine/made_adapter.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS 1
#else
#define COUNTS 0
#endif

static _Thread_local bool counting;
static bool warm; /* the same requests have run once: every state of the grammar was met */
static atomic_int n_allocs;

#if COUNTS
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t m);
void *__libc_realloc(void *p, size_t n);

static void count(void)
{
    if (counting)
        atomic_fetch_add(&n_allocs, 1);
}

void *malloc(size_t n)
{
    count();
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t m)
{
    count();
    return __libc_calloc(n, m);
}

void *realloc(void *p, size_t n)
{
    count();
    return __libc_realloc(p, n);
}
#endif

#define REQUESTS 4
#define WARM     40 /* tokens, of the first request */
#define TOKENS   120

struct watch {
    int index;
    atomic_int ended;
    int n;
};

static void on_event(void *ctx, const struct ft_event *ev)
{
    struct watch *w = ctx;
    if (ev->kind == FT_EVENT_TOKEN && w->index == 0) {
        w->n++;
        counting = warm && w->n >= WARM && w->n < TOKENS - 10;
    }
    if (ev->kind == FT_EVENT_END)
        atomic_store(&w->ended, 1);
}

static void run_all(struct rig *g, struct watch *w, struct ft_grammar *grammar)
{
    int32_t prompt[40];
    make_prompt(prompt, 40, 512, 5);
    struct ft_slice stop = {"never to be found", 17};
    memset(w, 0, REQUESTS * sizeof *w);
    for (int i = 0; i < REQUESTS; i++) {
        w[i].index = i;
        struct ft_request r = greedy_request("s", prompt, 40, i == 0 ? TOKENS : 200);
        r.on_event = on_event;
        r.ctx = &w[i];
        r.stop = &stop;
        r.n_stop = 1;
        r.sampling.temperature = i % 2 == 0 ? 0 : 1;
        r.sampling.top_p = 0.9f;
        r.sampling.repetition_penalty = 1.1f;
        r.logprobs = true;
        r.n_top = 5;
        r.grammar = i % 2 == 1 ? grammar : NULL;
        r.adapter = i == 0 ? NULL : i == 1 ? "a" : "b";
        r.spec.lookup_max = i == 3 ? 8 : 0;
        assert_int_equal(ft_engine_submit(g->e, &r, NULL, NULL, NULL), 0);
    }
    for (int i = 0; i < REQUESTS; i++)
        while (!atomic_load(&w[i].ended))
            usleep(1000);
}

static void add_adapter(struct rig *g, const char *id, int rank)
{
    struct ft_err err = {0};
    const struct ft_model_source *src = NULL;
    assert_int_equal(ft_engine_model_source(g->e, "s", &src, NULL), 0);
    struct ft_adapter *a = made_adapter(src->weights, adapted_all, rank, 0.01, 1);
    if (ft_engine_adapter_add_open(g->e, "s", id, a, &err) != 0)
        fail_msg("%s", err.msg);
    ft_adapter_close(a);
    ft_model_source_unref(src);
}

static void decoding_allocates_nothing(void **state)
{
    (void)state;
    if (!COUNTS)
        skip();
    struct rig g;
    rig_open(&g, NULL);
    if (!rig_add(&g, "s", "stories/stories260K-F32.gguf")) {
        rig_close(&g);
        skip();
    }
    add_adapter(&g, "a", 4);
    add_adapter(&g, "b", 9);
    static struct watch w[REQUESTS];
    static const char re[] = "(.|\n)*";
    struct ft_grammar *grammar;
    assert_int_equal(ft_grammar_from_regex(re, strlen(re), &grammar, NULL), 0);
    run_all(&g, w, grammar);
    warm = true;
    run_all(&g, w, grammar);
    rig_close(&g);
    ft_grammar_unref(grammar);
    assert_int_equal(atomic_load(&n_allocs), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
