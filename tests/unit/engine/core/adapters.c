/* labels: threads */
/* Adapters beside one base: the same tokens alone and mixed, many resident, coming and going under
 * load, apart in the prefix cache, inside the memory budget. */
#define TEST_DEVICE ft_dev_cpu_ops
#include "fixture.h"

#include <stdatomic.h>
#include <unistd.h>

#include "engine/core/core.h"
#include "unit/engine/made_adapter.h"

static const char *const story = "stories/stories260K-F32.gguf";

#define VOCAB 512
#define SIZE  0.05 /* changes what is said after a few tokens */

static struct ft_weights *weights; /* of the story model, for its shapes */

static struct ft_adapter *make(int i)
{
    return made_adapter(weights, i % 3 == 0 ? adapted_few : adapted_all, 1 + i % 12, SIZE,
                        (uint64_t)(1 + i));
}

static int add(struct ft_engine *e, const char *id, int i, struct ft_err *err)
{
    struct ft_adapter *a = make(i);
    int rc = ft_engine_adapter_add_open(e, "m", id, a, err);
    ft_adapter_close(a);
    return rc;
}

static void must_add(struct ft_engine *e, const char *id, int i)
{
    struct ft_err err = {0};
    if (add(e, id, i, &err) != 0)
        fail_msg("%s", err.msg);
}

static const char *name_of(int i)
{
    static _Thread_local char name[8][32];
    static _Thread_local int at;
    at = (at + 1) % 8;
    snprintf(name[at], sizeof name[at], "adapter-%03d", i);
    return name[at];
}

static struct ft_engine_config base_config(void)
{
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.kv_type = FT_KV_F32;
    return c;
}

static void open_story(struct rig *g, const struct ft_engine_config *c)
{
    struct ft_engine_config base = base_config();
    struct ft_err err = {0};
    rig_open(g, c != NULL ? c : &base);
    if (!rig_add(g, "m", story)) {
        rig_close(g);
        skip();
    }
    if (weights == NULL && ft_weights_open(ft_test_ref(story), &weights, &err) != 0)
        fail_msg("%s", err.msg);
}

static struct ft_engine_stats stats_of(struct ft_engine *e)
{
    struct ft_engine_stats s;
    ft_engine_stats(e, &s);
    assert_true(s.weight_bytes + s.adapter_bytes + s.kv_bytes <= s.memory_bytes);
    return s;
}

static void asks_for(struct ft_request *r, const char *adapter, int32_t *prompt, int n,
                     uint32_t seed, int max_tokens)
{
    make_prompt(prompt, n, VOCAB, seed);
    *r = greedy_request("m", prompt, n, max_tokens);
    r->adapter = adapter;
}

static bool says_the_same(const struct said *a, const struct said *b)
{
    return a->n == b->n && memcmp(a->token, b->token, (size_t)a->n * sizeof a->token[0]) == 0;
}

/* ---- the same tokens ---- */

enum { MIXED = 18 }; /* sixteen with an adapter each, one that shares, one without */

static const char *mixed_name(int i)
{
    return i == MIXED - 1 ? NULL : name_of(i % 16);
}

/* Each alone, then all at once, with what `twist` sets. */
static void run_mixed(const struct ft_engine_config *c, void (*twist)(struct ft_request *r, int i),
                      struct ft_engine_stats *ret)
{
    static struct answer want[MIXED], got;
    static int32_t prompt[MIXED][64];
    struct ft_request r[MIXED];
    struct ft_stream *st[MIXED];
    struct rig g;
    for (int together = 0; together < 2; together++) {
        open_story(&g, together ? c : NULL);
        for (int i = 0; i < 16; i++)
            must_add(g.e, name_of(i), i);
        for (int i = 0; i < MIXED; i++) {
            asks_for(&r[i], mixed_name(i), prompt[i], 5 + i * 3, i < 8 ? 1 : (uint32_t)i, 60);
            r[i].prefix_cache = together != 0;
            if (i % 4 == 1) {
                r[i].sampling.temperature = 0.8f;
                r[i].sampling.seed = (uint64_t)i;
            }
            if (!together) {
                run_request(g.e, &r[i], &want[i]);
                continue;
            }
            if (twist != NULL)
                twist(&r[i], i);
            st[i] = must_submit(g.e, &r[i], NULL);
        }
        for (int i = 0; i < MIXED && together; i++) {
            drain_stream(st[i], &got);
            assert_same_said(&want[i].sample[0], &got.sample[0]);
        }
        *ret = stats_of(g.e);
        rig_close(&g);
    }
    for (int i = 1; i < 8; i++) /* same beginnings of prompts, other adapters */
        assert_false(says_the_same(&want[0].sample[0], &want[i].sample[0]));
}

static void sixteen_adapters_in_a_batch_say_what_each_says_alone(void **state)
{
    (void)state;
    struct ft_engine_stats s;
    struct ft_engine_config c = base_config();
    run_mixed(&c, NULL, &s);
    assert_true(s.steps < MIXED * 60 / 3); /* they were in one batch, not one after the other */
    assert_int_equal(s.adapters, 16);
}

static void small_batches_preemption_and_spilling_change_nothing(void **state)
{
    (void)state;
    struct ft_engine_stats s;
    struct ft_engine_config c = base_config();
    c.max_rows = 7; /* prompts come in pieces */
    run_mixed(&c, NULL, &s);
    c = base_config();
    c.memory_bytes = 3100000; /* weights, adapters and some of the blocks wanted */
    c.spill_dir = "/tmp";
    run_mixed(&c, NULL, &s);
    assert_true(s.preemptions > 0);
}

static void drafted(struct ft_request *r, int i)
{
    r->spec.lookup_max = i % 2 == 0 ? 4 : 0;
    r->spec.draft = i % 3 != 0 ? "m" : NULL; /* the base drafts for its adapters */
}

static void drafts_change_nothing(void **state)
{
    (void)state;
    struct ft_engine_stats s;
    struct ft_engine_config c = base_config();
    run_mixed(&c, drafted, &s);
    assert_true(s.drafted_tokens > 0 && s.accepted_tokens > 0);
}

static void samples_of_one_request_share_their_adapter(void **state)
{
    (void)state;
    static struct answer one, many;
    int32_t prompt[40];
    struct ft_request r;
    struct rig g;
    open_story(&g, NULL);
    must_add(g.e, "a", 1);
    asks_for(&r, "a", prompt, 40, 3, 30);
    run_request(g.e, &r, &one);
    r.n = 3;
    run_request(g.e, &r, &many);
    for (int i = 0; i < 3; i++)
        assert_same_said(&one.sample[0], &many.sample[i]);
    rig_close(&g);
}

/* ---- vectors and scores ---- */

static void embeddings_and_scores_go_through_the_adapter(void **state)
{
    (void)state;
    static const enum ft_request_kind kinds[] = {FT_REQUEST_EMBED, FT_REQUEST_SCORE,
                                                 FT_REQUEST_RANK, FT_REQUEST_PROMPT};
    static const int32_t score[2] = {17, 230};
    static const char *const who[3] = {NULL, "a", "b"};
    struct answer alone[3], got[3];
    int32_t prompt[50];
    struct ft_request r;
    struct rig g;
    open_story(&g, NULL);
    must_add(g.e, "a", 1);
    must_add(g.e, "b", 2);
    for (size_t k = 0; k < FT_COUNT(kinds); k++) {
        struct ft_stream *st[3];
        asks_for(&r, NULL, prompt, 50, 4, 1);
        r.kind = kinds[k];
        r.score_token = score;
        r.n_score = 2;
        r.prefix_cache = false;
        for (int i = 0; i < 3; i++) {
            r.adapter = who[i];
            run_request(g.e, &r, &alone[i]);
        }
        for (int i = 0; i < 3; i++) {
            r.adapter = who[i];
            st[i] = must_submit(g.e, &r, NULL);
        }
        for (int i = 0; i < 3; i++) {
            drain_stream(st[i], &got[i]);
            assert_int_equal(got[i].n_value, alone[i].n_value);
            size_t bytes = (size_t)got[i].n_value * sizeof(float);
            assert_memory_equal(got[i].value, alone[i].value, bytes);
            if (i > 0)
                assert_memory_not_equal(got[i].value, alone[0].value, bytes);
        }
        for (int i = 0; i < 3; i++) {
            free(alone[i].value);
            free(got[i].value);
        }
    }
    rig_close(&g);
}

/* ---- many, and what is known of them ---- */

static void hundreds_stay_resident(void **state)
{
    (void)state;
    enum { N = 256 };
    static struct answer got[N], alone;
    static int32_t prompt[N][8];
    struct ft_request r[N];
    struct ft_stream *st[N];
    struct rig g;
    open_story(&g, NULL);
    for (int i = 0; i < N; i++)
        must_add(g.e, name_of((i * 101) % N), (i * 101) % N);
    for (int i = 0; i < N; i++) {
        asks_for(&r[i], name_of(i), prompt[i], 8, 5, 6);
        st[i] = must_submit(g.e, &r[i], NULL);
    }
    for (int i = 0; i < N; i++)
        drain_stream(st[i], &got[i]);
    int differ = 0;
    for (int i = 0; i < N; i++)
        differ += !says_the_same(&got[0].sample[0], &got[i].sample[0]);
    assert_true(differ > N * 9 / 10);
    for (int i = 0; i < N; i += 37) {
        r[i].adapter = name_of(i);
        run_request(g.e, &r[i], &alone);
        assert_same_said(&alone.sample[0], &got[i].sample[0]);
    }
    static struct ft_adapter_stats all[N + 1];
    assert_int_equal(ft_engine_adapter_stats(g.e, all, N + 1), N);
    assert_int_equal(ft_engine_adapter_stats(g.e, NULL, 0), N);
    uint64_t bytes = 0;
    for (int i = 0; i < N; i++) {
        assert_string_equal(all[i].model, "m");
        assert_string_equal(all[i].id, name_of(i));
        assert_int_equal(all[i].rank_max, 1 + i % 12);
        assert_int_equal(all[i].requests, 0);
        assert_int_equal(all[i].generated_tokens, i % 37 == 0 ? 12 : 6);
        assert_true(all[i].pairs > 0 && all[i].bytes > 0);
        bytes += all[i].bytes;
    }
    struct ft_engine_stats s = stats_of(g.e);
    assert_int_equal(s.adapters, N);
    assert_int_equal(s.adapter_bytes, bytes);
    struct ft_err err = {0};
    assert_int_equal(ft_engine_model_remove(g.e, "m", &err), 0);
    s = stats_of(g.e);
    assert_int_equal(s.adapters, 0);
    assert_int_equal(s.adapter_bytes, 0);
    rig_close(&g);
}

/* ---- the prefix cache ---- */

static int cached(struct ft_engine *e, struct ft_request *r, const char *adapter, struct answer *a)
{
    r->adapter = adapter;
    run_request(e, r, a);
    return a->usage.cached_tokens;
}

static void kv_of_one_adapter_is_no_others(void **state)
{
    (void)state;
    static struct answer base, a, again, b, next;
    int32_t prompt[100];
    struct ft_request r;
    struct rig g;
    open_story(&g, NULL);
    must_add(g.e, "a", 1);
    must_add(g.e, "b", 2);
    asks_for(&r, NULL, prompt, 100, 6, 20);
    assert_int_equal(cached(g.e, &r, NULL, &base), 0);
    assert_int_equal(cached(g.e, &r, "a", &a), 0);
    assert_int_equal(cached(g.e, &r, "b", &b), 0);
    assert_int_equal(cached(g.e, &r, NULL, &again), 96);
    assert_same_said(&base.sample[0], &again.sample[0]);
    assert_int_equal(cached(g.e, &r, "a", &again), 96);
    assert_same_said(&a.sample[0], &again.sample[0]);
    /* another one under the same id */
    struct ft_err err = {0};
    assert_int_equal(ft_engine_adapter_remove(g.e, "m", "a", &err), 0);
    must_add(g.e, "a", 2);
    assert_int_equal(cached(g.e, &r, "a", &next), 0);
    assert_same_said(&b.sample[0], &next.sample[0]);
    /* a salt that looks like an adapter's number is a salt */
    uint64_t one = 1;
    r.salt = (struct ft_slice){(const char *)&one, sizeof one};
    assert_int_equal(cached(g.e, &r, NULL, &again), 0);
    assert_same_said(&base.sample[0], &again.sample[0]);
    rig_close(&g);
}

/* ---- the budget ---- */

/* One that is larger than a few blocks. */
static int add_big(struct ft_engine *e, const char *id, struct ft_err *err)
{
    struct ft_adapter *a = made_adapter(weights, adapted_all, 64, SIZE, 1);
    int rc = ft_engine_adapter_add_open(e, "m", id, a, err);
    ft_adapter_close(a);
    return rc;
}

static void adapters_count_in_the_memory_budget(void **state)
{
    (void)state;
    static struct answer a;
    int32_t prompt[100];
    struct ft_request r;
    struct rig g;
    struct ft_err err = {0};
    open_story(&g, NULL);
    assert_int_equal(add_big(g.e, "a", &err), 0);
    asks_for(&r, "a", prompt, 100, 1, 1);
    run_request(g.e, &r, &a);
    struct ft_engine_stats s = stats_of(g.e);
    struct ft_model_stats m;
    assert_int_equal(ft_engine_model_stats(g.e, &m, 1), 1);
    assert_int_equal(m.adapters, 1);
    uint64_t one = s.adapter_bytes, block = m.block_bytes;
    assert_true(one > 5 * block);
    rig_close(&g);

    struct ft_engine_config c = base_config();
    c.memory_bytes = s.weight_bytes + 2 * one + 5 * block;
    open_story(&g, &c);
    for (uint32_t i = 0; s.kv_bytes <= one + 5 * block; i++) { /* it takes what there is */
        assert_true(i < 100);
        asks_for(&r, NULL, prompt, 100, i, 1);
        run_request(g.e, &r, &a);
        s = stats_of(g.e);
    }
    assert_int_equal(add_big(g.e, "a", &err), 0);
    assert_int_equal(add_big(g.e, "b", &err), 0);
    s = stats_of(g.e);
    assert_int_equal(s.adapter_bytes, 2 * one);
    assert_true(s.evicted_blocks > 0);
    assert_int_equal(add_big(g.e, "c", &err), FT_ELIMIT);
    assert_non_null(strstr(err.msg, "budget"));
    asks_for(&r, "b", prompt, 100, 9, 1); /* four blocks: still room for it */
    run_request(g.e, &r, &a);
    assert_int_equal(a.finish, FT_FINISH_LENGTH);
    asks_for(&r, "b", prompt, 100, 9, 100); /* ends where the room does */
    run_request(g.e, &r, &a);
    assert_int_equal(a.finish, FT_FINISH_LENGTH);
    assert_true(a.sample[0].n > 50 && a.sample[0].n < 100);
    stats_of(g.e);
    /* nor would another model fit */
    const char *path = ft_test_ref("models/llama-k-F32.gguf");
    assert_int_equal(ft_engine_model_add(g.e, "n", path, NULL, &err), FT_ELIMIT);
    assert_int_equal(ft_engine_adapter_remove(g.e, "m", "a", &err), 0);
    assert_int_equal(stats_of(g.e).adapter_bytes, one);
    assert_int_equal(add_big(g.e, "c", &err), 0);
    rig_close(&g);
}

struct standing {
    struct ft_engine *e;
    atomic_bool still, ended;
};

static void stand_still(void *ctx, const struct ft_event *ev)
{
    struct standing *s = ctx;
    if (ev->kind == FT_EVENT_TOKEN && !atomic_load(&s->still)) {
        ft_engine_pause(s->e, 1, true); /* an engine's first request */
        atomic_store(&s->still, true);
    }
    if (ev->kind == FT_EVENT_END)
        atomic_store(&s->ended, true);
}

static void running_sequences_are_not_pushed_out_for_an_adapter(void **state)
{
    (void)state;
    static struct answer a;
    int32_t prompt[200];
    struct ft_request r;
    struct rig g;
    struct ft_err err = {0};
    struct ft_engine_stats s;
    open_story(&g, NULL);
    assert_int_equal(add_big(g.e, "a", &err), 0);
    asks_for(&r, "a", prompt, 200, 1, 1);
    run_request(g.e, &r, &a);
    s = stats_of(g.e);
    struct ft_model_stats m;
    ft_engine_model_stats(g.e, &m, 1);
    rig_close(&g);

    struct ft_engine_config c = base_config();
    c.memory_bytes = s.weight_bytes + s.adapter_bytes + 2 * m.block_bytes;
    open_story(&g, &c);
    struct standing still = {.e = g.e};
    uint64_t id;
    asks_for(&r, NULL, prompt, 150, 1, 50); /* five blocks */
    r.on_event = stand_still;
    r.ctx = &still;
    assert_int_equal(ft_engine_submit(g.e, &r, &id, NULL, &err), 0);
    assert_int_equal(id, 1);
    while (!atomic_load(&still.still))
        usleep(1000);
    assert_int_equal(add_big(g.e, "a", &err), FT_EBUSY);
    assert_non_null(strstr(err.msg, "memory"));
    ft_engine_pause(g.e, id, false);
    while (!atomic_load(&still.ended))
        usleep(1000);
    assert_int_equal(add_big(g.e, "a", &err), 0);
    rig_close(&g);
}

/* ---- errors ---- */

struct from_callback {
    struct ft_engine *e;
    int added, removed;
    atomic_bool ended;
};

static void try_in_callback(void *ctx, const struct ft_event *ev)
{
    struct from_callback *f = ctx;
    if (ev->kind == FT_EVENT_TOKEN) {
        f->added = add(f->e, "z", 1, NULL);
        f->removed = ft_engine_adapter_remove(f->e, "m", "a", NULL);
    }
    if (ev->kind == FT_EVENT_END)
        atomic_store(&f->ended, true);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    struct ft_err err = {0};
    struct ft_stream *st = NULL;
    int32_t prompt[8];
    struct ft_request r;
    struct rig g;
    open_story(&g, NULL);
    must_add(g.e, "a", 1);
    assert_int_equal(add(g.e, "a", 2, &err), FT_EEXIST);
    assert_int_equal(add(g.e, "", 2, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "adapter id"));
    char *long_id = calloc(1, FT_ENGINE_ID_MAX + 1);
    memset(long_id, 'x', FT_ENGINE_ID_MAX);
    assert_int_equal(add(g.e, long_id, 2, &err), FT_EINVAL);
    long_id[FT_ENGINE_ID_MAX - 1] = 0;
    assert_int_equal(add(g.e, long_id, 2, &err), 0);
    free(long_id);
    struct ft_adapter *a = make(1);
    assert_int_equal(ft_engine_adapter_add_open(g.e, "none", "b", a, &err), FT_ENOTFOUND);
    assert_non_null(strstr(err.msg, "none"));
    a->pair[0].n_in++;
    assert_int_equal(ft_engine_adapter_add_open(g.e, "m", "b", a, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, a->pair[0].tensor));
    ft_adapter_close(a);
    assert_int_equal(ft_engine_adapter_add(g.e, "m", "b", "/nowhere", &err), FT_ENOTFOUND);
    assert_int_equal(ft_engine_adapter_remove(g.e, "m", "b", &err), FT_ENOTFOUND);
    assert_int_equal(ft_engine_adapter_remove(g.e, "n", "a", &err), FT_ENOTFOUND);
    asks_for(&r, "b", prompt, 8, 1, 4);
    assert_int_equal(ft_engine_submit(g.e, &r, NULL, &st, &err), FT_ENOTFOUND);
    assert_non_null(strstr(err.msg, "adapter b"));
    struct from_callback f = {.e = g.e};
    asks_for(&r, "a", prompt, 8, 1, 4);
    r.on_event = try_in_callback;
    r.ctx = &f;
    assert_int_equal(ft_engine_submit(g.e, &r, NULL, NULL, &err), 0);
    while (!atomic_load(&f.ended))
        usleep(1000);
    assert_int_equal(f.added, FT_EINVAL);
    assert_int_equal(f.removed, FT_EINVAL);
    rig_close(&g);
}

/* ---- coming and going ---- */

/* As of a submission that fails for another reason, on its own thread. */
static void whoever_holds_a_removed_one_last_has_it_freed(void **state)
{
    (void)state;
    struct rig g;
    struct ft_err err = {0};
    open_story(&g, NULL);
    must_add(g.e, "a", 1);
    struct ft_hosted *h = ft_hosted_hold(g.e, "m");
    struct ft_hosted_adapter *a = ft_hosted_adapter_hold(g.e, h, "a");
    assert_non_null(a);
    assert_int_equal(ft_engine_adapter_remove(g.e, "m", "a", &err), 0);
    assert_true(stats_of(g.e).adapter_bytes > 0);
    ft_hosted_adapter_unhold(g.e, a); /* nobody asks the engine for anything after this */
    for (int i = 0; i < 10000 && stats_of(g.e).adapter_bytes > 0; i++)
        usleep(1000);
    assert_int_equal(stats_of(g.e).adapter_bytes, 0);
    ft_hosted_unhold(g.e, h);
    rig_close(&g);
}

static void removal_cancels_its_requests_and_no_others(void **state)
{
    (void)state;
    static struct answer a, b;
    int32_t prompt[2][8];
    struct ft_request r[2];
    struct ft_stream *st[2];
    struct ft_err err = {0};
    struct rig g;
    open_story(&g, NULL);
    must_add(g.e, "a", 1);
    must_add(g.e, "b", 2);
    asks_for(&r[0], "a", prompt[0], 8, 1, 400);
    asks_for(&r[1], "b", prompt[1], 8, 1, 100);
    for (int i = 0; i < 2; i++)
        st[i] = must_submit(g.e, &r[i], NULL);
    struct ft_event ev;
    assert_int_equal(ft_stream_take(st[0], &ev, 60000), 0);
    assert_int_equal(ft_engine_adapter_remove(g.e, "m", "a", &err), 0);
    struct ft_engine_stats s = stats_of(g.e);
    assert_int_equal(s.adapters, 1);
    struct ft_adapter_stats left;
    assert_int_equal(ft_engine_adapter_stats(g.e, &left, 1), 1);
    assert_string_equal(left.id, "b");
    assert_int_equal(s.adapter_bytes, left.bytes);
    drain_stream(st[0], &a);
    assert_int_equal(a.finish, FT_FINISH_CANCELLED);
    drain_stream(st[1], &b);
    assert_int_equal(b.finish, FT_FINISH_LENGTH);
    must_add(g.e, "a", 1);
    rig_close(&g);
}

enum { STORM_IDS = 6, STORM_ROUNDS = 12, STORM_TOKENS = 12, STORM_THREADS = 3 };

struct storm {
    struct ft_engine *e;
    struct answer want[STORM_IDS];
    atomic_int good, gone;
    atomic_bool wrong;
};

static struct storm storm;

static void storm_ask(int id)
{
    int32_t prompt[40];
    struct ft_request r;
    struct ft_stream *st = NULL;
    struct ft_err err = {0};
    static _Thread_local struct answer a;
    asks_for(&r, name_of(id), prompt, 40, 1, STORM_TOKENS);
    if (ft_engine_submit(storm.e, &r, NULL, &st, &err) != 0) {
        atomic_fetch_add(&storm.gone, 1);
        if (err.code != FT_ENOTFOUND)
            atomic_store(&storm.wrong, true);
        return;
    }
    drain_stream(st, &a);
    bool removed = a.finish == FT_FINISH_CANCELLED ||
                   (a.finish == FT_FINISH_ERROR && a.err.code == FT_ENOTFOUND);
    bool good =
        a.finish == FT_FINISH_LENGTH && says_the_same(&a.sample[0], &storm.want[id].sample[0]);
    atomic_fetch_add(good ? &storm.good : &storm.gone, 1);
    if (!good && !removed)
        atomic_store(&storm.wrong, true);
}

static void *storm_asks(void *arg)
{
    int seed = (int)(intptr_t)arg;
    for (int i = 0; i < 4 * STORM_ROUNDS; i++)
        storm_ask((i * 5 + seed) % STORM_IDS);
    return NULL;
}

static void adapters_come_and_go_under_load(void **state)
{
    (void)state;
    struct rig g;
    struct ft_err err = {0};
    int32_t prompt[40];
    struct ft_request r;
    pthread_t thread[STORM_THREADS];
    open_story(&g, NULL);
    memset(&storm, 0, sizeof storm);
    storm.e = g.e;
    for (int i = 0; i < STORM_IDS; i++) {
        must_add(g.e, name_of(i), i);
        asks_for(&r, name_of(i), prompt, 40, 1, STORM_TOKENS);
        run_request(g.e, &r, &storm.want[i]);
    }
    for (intptr_t i = 0; i < STORM_THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, storm_asks, (void *)i), 0);
    for (int i = 0; i < STORM_ROUNDS; i++) {
        int id = i * 7 % STORM_IDS;
        assert_int_equal(ft_engine_adapter_remove(g.e, "m", name_of(id), &err), 0);
        must_add(g.e, name_of(id), id);
    }
    for (int i = 0; i < STORM_THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_false(atomic_load(&storm.wrong));
    assert_true(atomic_load(&storm.good) > 0);
    assert_int_equal(atomic_load(&storm.good) + atomic_load(&storm.gone),
                     4 * STORM_ROUNDS * STORM_THREADS);
    struct ft_engine_stats s = stats_of(g.e);
    assert_int_equal(s.adapters, STORM_IDS);
    static struct ft_adapter_stats all[STORM_IDS];
    assert_int_equal(ft_engine_adapter_stats(g.e, all, STORM_IDS), STORM_IDS);
    uint64_t bytes = 0;
    for (int i = 0; i < STORM_IDS; i++) {
        bytes += all[i].bytes;
        assert_int_equal(all[i].requests, 0);
    }
    assert_int_equal(s.adapter_bytes, bytes);
    rig_close(&g);
}

static int close_weights(void **state)
{
    (void)state;
    ft_weights_close(weights);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixteen_adapters_in_a_batch_say_what_each_says_alone),
        cmocka_unit_test(small_batches_preemption_and_spilling_change_nothing),
        cmocka_unit_test(drafts_change_nothing),
        cmocka_unit_test(samples_of_one_request_share_their_adapter),
        cmocka_unit_test(embeddings_and_scores_go_through_the_adapter),
        cmocka_unit_test(hundreds_stay_resident),
        cmocka_unit_test(kv_of_one_adapter_is_no_others),
        cmocka_unit_test(adapters_count_in_the_memory_budget),
        cmocka_unit_test(running_sequences_are_not_pushed_out_for_an_adapter),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(whoever_holds_a_removed_one_last_has_it_freed),
        cmocka_unit_test(removal_cancels_its_requests_and_no_others),
        cmocka_unit_test(adapters_come_and_go_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, close_weights);
}
