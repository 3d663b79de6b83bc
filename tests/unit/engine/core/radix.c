/* The prefix cache and the block pool against a naive list of prefixes. */
#include "testing.h"

#include "base/rand.h"
#include "engine/core/radix.h"

#define BLOCKS  48
#define SEQS    12
#define SALTS   3
#define DEPTH   6
#define ENTRIES 4096

struct world {
    struct ft_budget budget;
    struct ft_blocks pool;
    struct ft_radix radix;
    uint64_t clock;
};

static void open_world(struct world *w, int n_blocks, uint64_t max_bytes)
{
    memset(w, 0, sizeof *w);
    w->budget.max_bytes = max_bytes;
    struct ft_err err;
    assert_int_equal(ft_blocks_init(&w->pool, &w->budget, NULL, NULL, 100, n_blocks, &err), 0);
    assert_int_equal(ft_radix_init(&w->radix, &w->pool, &w->clock, &err), 0);
}

static void close_world(struct world *w)
{
    ft_radix_clear(&w->radix);
    assert_int_equal(w->pool.n_used, 0);
    ft_radix_fini(&w->radix);
    ft_blocks_fini(&w->pool);
    assert_int_equal(w->budget.kv_bytes, 0);
}

/* Tokens of block number `d` of a text: few kinds, so that prefixes are shared. */
static void fill(int32_t *token, int kind)
{
    for (int i = 0; i < FT_KV_BLOCK; i++)
        token[i] = kind * 7 + i % 3;
}

struct seq {
    bool live;
    int root, n_block, kind[DEPTH];
    int32_t token[DEPTH * FT_KV_BLOCK], block[DEPTH];
};

/* The naive side: every prefix that is in the tree, by salt and kinds, and its block. */
struct naive {
    int root, n, kind[DEPTH];
    int32_t block;
    uint64_t used;
    bool live;
};
static struct naive naive[ENTRIES];

static struct naive *naive_find(int root, const int *kind, int n)
{
    for (int i = 0; i < ENTRIES; i++)
        if (naive[i].live && naive[i].root == root && naive[i].n == n &&
            memcmp(naive[i].kind, kind, (size_t)n * sizeof *kind) == 0)
            return &naive[i];
    return NULL;
}

static int32_t take(struct world *w)
{
    int32_t b;
    while ((b = ft_blocks_take(&w->pool)) < 0) {
        /* the block evicted must be the least recently used idle one without children */
        struct naive *oldest = NULL;
        for (int i = 0; i < ENTRIES; i++) {
            struct naive *e = &naive[i];
            if (!e->live || w->pool.ref[e->block] != 1)
                continue;
            bool leaf = true;
            for (int j = 0; j < ENTRIES; j++)
                leaf &= !(naive[j].live && naive[j].root == e->root && naive[j].n == e->n + 1 &&
                          memcmp(naive[j].kind, e->kind, (size_t)e->n * sizeof(int)) == 0);
            if (leaf && (oldest == NULL || e->used < oldest->used))
                oldest = e;
        }
        bool any = ft_radix_evict(&w->radix);
        assert_int_equal(any, oldest != NULL);
        if (!any)
            return -1;
        assert_false(w->radix.node[oldest->block].live);
        oldest->live = false;
    }
    return b;
}

static void start(struct world *w, struct seq *s, uint64_t r)
{
    s->root = (int)(r % SALTS);
    int want = 1 + (int)(r >> 8) % DEPTH;
    for (int i = 0; i < want; i++) {
        s->kind[i] = (int)(r >> (16 + 2 * i)) & 1;
        fill(s->token + i * FT_KV_BLOCK, s->kind[i]);
    }
    int expect = 0;
    while (expect < want && naive_find(s->root, s->kind, expect + 1) != NULL)
        expect++;
    int idle;
    assert_int_equal(ft_radix_peek(&w->radix, s->root, s->token, want * FT_KV_BLOCK + 5, &idle),
                     expect);
    s->n_block = ft_radix_match(&w->radix, s->root, s->token,
                                want * FT_KV_BLOCK + 5 * (want < DEPTH), s->block);
    assert_int_equal(s->n_block, expect);
    for (int i = 0; i < expect; i++) {
        struct naive *e = naive_find(s->root, s->kind, i + 1);
        assert_int_equal(s->block[i], e->block);
        e->used = w->radix.node[e->block].used;
    }
    s->live = true;
    for (; s->n_block < want; s->n_block++) {
        int i = s->n_block;
        int32_t b = take(w);
        if (b < 0)
            return;
        struct naive *e = naive_find(s->root, s->kind, i + 1);
        s->block[i] = ft_radix_insert(&w->radix, s->root, i > 0 ? s->block[i - 1] : -1,
                                      s->token + i * FT_KV_BLOCK, b);
        assert_int_equal(s->block[i], e != NULL ? e->block : b);
        for (int k = 0; e == NULL; k++)
            if (!naive[k].live) {
                e = &naive[k];
                *e = (struct naive){s->root, i + 1, {0}, b, 0, true};
                memcpy(e->kind, s->kind, sizeof e->kind);
            }
        e->used = w->radix.node[e->block].used;
    }
}

static void stop(struct world *w, struct seq *s)
{
    while (s->n_block > 0) {
        struct naive *e = naive_find(s->root, s->kind, s->n_block);
        ft_radix_release(&w->radix, s->block[--s->n_block]);
        e->used = w->radix.node[e->block].used;
    }
    s->live = false;
}

static void agrees_with_a_naive_list(void **state)
{
    (void)state;
    static struct world w;
    static struct seq seq[SEQS];
    memset(naive, 0, sizeof naive);
    memset(seq, 0, sizeof seq);
    open_world(&w, BLOCKS, 100 * (BLOCKS - 8));
    static const char *const salt[SALTS] = {"", "a", "ab"};
    for (int i = 0; i < SALTS; i++)
        assert_int_equal(ft_radix_root_get(&w.radix, salt[i], strlen(salt[i])), i);
    for (uint64_t step = 0; step < 4000; step++) {
        struct seq *s = &seq[ft_rand_u64(1, 1, step) % SEQS];
        if (s->live)
            stop(&w, s);
        else
            start(&w, s, ft_rand_u64(2, 2, step));
        int nodes = 0, idle = 0;
        for (int i = 0; i < ENTRIES; i++) {
            nodes += naive[i].live;
            idle += naive[i].live && w.pool.ref[naive[i].block] == 1;
        }
        assert_int_equal(w.radix.n_nodes, nodes);
        assert_int_equal(w.radix.n_idle, idle);
        assert_true(w.budget.kv_bytes <= w.budget.max_bytes);
    }
    for (int i = 0; i < SEQS; i++)
        if (seq[i].live)
            stop(&w, &seq[i]);
    close_world(&w);
}

static void salts_never_meet(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 8, 800);
    int32_t token[FT_KV_BLOCK], got;
    fill(token, 1);
    int32_t a = ft_radix_root_get(&w.radix, "a", 1), b = ft_radix_root_get(&w.radix, "b", 1);
    assert_int_not_equal(a, b);
    assert_int_equal(ft_radix_root_get(&w.radix, "a", 1), a);
    int32_t block = ft_blocks_take(&w.pool);
    assert_int_equal(ft_radix_insert(&w.radix, a, -1, token, block), block);
    assert_int_equal(ft_radix_match(&w.radix, b, token, FT_KV_BLOCK, &got), 0);
    assert_int_equal(ft_radix_match(&w.radix, a, token, FT_KV_BLOCK, &got), 1);
    assert_int_equal(got, block);
    ft_radix_release(&w.radix, block);
    ft_radix_release(&w.radix, block);
    ft_radix_root_put(&w.radix, a);
    ft_radix_root_put(&w.radix, a);
    ft_radix_root_put(&w.radix, b);
    /* a's root lives on while it has a block; b's is free for another salt */
    assert_int_equal(ft_radix_root_get(&w.radix, "c", 1), b);
    assert_int_equal(ft_radix_root_get(&w.radix, "a", 1), a);
    close_world(&w);
}

static void too_many_salts_go_without_cache(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, 8, 800);
    for (int i = 0; i < FT_RADIX_ROOTS_MAX; i++)
        assert_int_equal(ft_radix_root_get(&w.radix, &i, sizeof i), i);
    int more = -1;
    assert_int_equal(ft_radix_root_get(&w.radix, &more, sizeof more), -1);
    int32_t token[FT_KV_BLOCK] = {0}, got;
    assert_int_equal(ft_radix_match(&w.radix, -1, token, FT_KV_BLOCK, &got), 0);
    /* two salts leave; what they left in the cache does not keep others out */
    for (int32_t i = 0; i < 2; i++) {
        int32_t block = ft_blocks_take(&w.pool);
        assert_int_equal(ft_radix_insert(&w.radix, i, -1, token, block), block);
        ft_radix_release(&w.radix, block);
        ft_radix_root_put(&w.radix, i);
    }
    assert_int_equal(ft_radix_root_get(&w.radix, &more, sizeof more), 0);
    assert_int_equal(ft_radix_match(&w.radix, 0, token, FT_KV_BLOCK, &got), 0);
    assert_int_equal(ft_radix_match(&w.radix, 1, token, FT_KV_BLOCK, &got), 1);
    ft_radix_release(&w.radix, got);
    close_world(&w);
}

static void two_pools_share_one_budget(void **state)
{
    (void)state;
    struct ft_budget budget = {.max_bytes = 1000, .weight_bytes = 200};
    struct ft_blocks a, b;
    struct ft_err err;
    assert_int_equal(ft_blocks_init(&a, &budget, NULL, NULL, 100, 100, &err), 0);
    assert_int_equal(ft_blocks_init(&b, &budget, NULL, NULL, 50, 100, &err), 0);
    int32_t got[8];
    for (int i = 0; i < 6; i++)
        assert_true((got[i] = ft_blocks_take(&a)) >= 0);
    assert_int_equal(ft_blocks_available(&b), 4);
    for (int i = 0; i < 4; i++)
        assert_true(ft_blocks_take(&b) >= 0);
    assert_int_equal(ft_blocks_take(&b), -1);
    assert_int_equal(ft_blocks_take(&a), -1);
    assert_int_equal(ft_blocks_unref(&a, got[0]), 0);
    assert_int_equal(ft_blocks_take(&b), -1); /* a keeps it warm */
    assert_true(ft_blocks_trim(&a));
    assert_true(ft_blocks_take(&b) >= 0);
    ft_blocks_fini(&a);
    ft_blocks_fini(&b);
    assert_int_equal(budget.kv_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_naive_list),
        cmocka_unit_test(salts_never_meet),
        cmocka_unit_test(too_many_salts_go_without_cache),
        cmocka_unit_test(two_pools_share_one_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
