/* kill -9 at random moments: every request that was begun has one record, with what was counted.
 *
 * Children share a table with this process. Around each step a child says what it is about to do
 * and that it has done it, so that after a kill the truth is known up to the one step of each
 * thread that the kill may have fallen into. */
/* labels: threads */
#include "unit/ledger/ledger_test.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/rand.h"

enum { REQUESTS_MAX = 400000, ROUNDS = 30, THREADS = 6 };

struct truth { /* of one request */
    atomic_int begin_meant, begun, end_meant, ended;
    atomic_int tokens_meant, tokens;
    atomic_int delivered, delivered_tokens, status; /* what came of it */
};

struct shared {
    atomic_int next;
    atomic_int mismatches; /* a record that came twice and was not the same */
    struct truth of[REQUESTS_MAX];
};

static struct shared *shared;

static int take_shared(void *ctx, const char *ndjson, size_t n, int n_records, struct ft_err *err)
{
    (void)ctx;
    (void)n_records;
    (void)err;
    for (const char *p = ndjson, *end = ndjson + n; p < end;) {
        const char *line = memchr(p, '\n', (size_t)(end - p));
        struct ft_record r;
        if (line == NULL || ft_record_parse(p, (size_t)(line - p), &r, NULL) != 0)
            abort();
        struct truth *t = &shared->of[atoi(r.id + 1)];
        if (atomic_load(&t->delivered) != 0 &&
            (atomic_load(&t->delivered_tokens) != (int)r.completion_tokens ||
             atomic_load(&t->status) != (int)r.status))
            atomic_fetch_add(&shared->mismatches, 1);
        atomic_store(&t->delivered_tokens, (int)r.completion_tokens);
        atomic_store(&t->status, (int)r.status);
        atomic_store(&t->delivered, 1);
        p = line + 1;
    }
    return 0;
}

static struct ft_ledger *open_here(const char *dir)
{
    struct ft_ledger *l = NULL;
    struct ft_err err = {.msg = ""};
    struct ft_ledger_options o = {
        .dir = dir, .slots_max = 8192, .segment_bytes = 200000, .deliver = take_shared};
    if (ft_ledger_open(&o, &l, &err) != 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    return l;
}

static void *requests(void *arg)
{
    struct ft_ledger *l = arg;
    for (;;) {
        int i = atomic_fetch_add(&shared->next, 1);
        if (i >= REQUESTS_MAX)
            pause();
        struct truth *t = &shared->of[i];
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        struct ft_ledger_begin b = {.id = id,
                                    .project = "p",
                                    .key = "k",
                                    .model = "m",
                                    .route = "chat",
                                    .price = {1, 1, 1}};
        struct ft_err err;
        int slot;
        atomic_store(&t->begin_meant, 1);
        while (ft_ledger_begin(l, &b, &slot, &err) != 0)
            usleep(100); /* the writer is slow today */
        atomic_store(&t->begun, 1);
        int tokens = (int)(ft_rand_u64(1, 2, (uint64_t)i) % 20);
        for (int k = 1; k <= tokens; k++) {
            if (k == 5 && i % 3 == 0)
                usleep(200); /* so that some are open at any time */
            atomic_store(&t->tokens_meant, k);
            ft_ledger_count(l, slot, 3, 0, k);
            atomic_store(&t->tokens, k);
        }
        struct ft_ledger_end e = {.status = FT_RECORD_OK, .http = 200};
        atomic_store(&t->end_meant, 1);
        ft_ledger_end(l, slot, &e, NULL);
        atomic_store(&t->ended, 1);
    }
    return NULL;
}

static void live_and_die(const char *dir)
{
    struct ft_ledger *l = open_here(dir);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, requests, l);
    for (;;)
        pause();
}

static void check(const struct truth *t, int i, int64_t *sum)
{
    bool there = atomic_load(&t->delivered) != 0;
    int tokens = atomic_load(&t->delivered_tokens);
    if (atomic_load(&t->begun) && !there)
        fail_msg("request %d has no record", i);
    if (!atomic_load(&t->begin_meant) && there)
        fail_msg("request %d was never begun", i);
    if (there && tokens != atomic_load(&t->tokens) && tokens != atomic_load(&t->tokens_meant))
        fail_msg("request %d: %d tokens of %d", i, tokens, atomic_load(&t->tokens));
    if (atomic_load(&t->ended) && atomic_load(&t->status) != FT_RECORD_OK)
        fail_msg("request %d ended, its record says %d", i, atomic_load(&t->status));
    if (there && !atomic_load(&t->end_meant) && atomic_load(&t->status) != FT_RECORD_LOST)
        fail_msg("request %d did not end, its record says %d", i, atomic_load(&t->status));
    *sum += tokens;
}

static void test_nothing_is_lost_and_nothing_counts_twice(void **state)
{
    (void)state;
    const char *dir = new_dir();
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    for (int round = 0; round < ROUNDS; round++) {
        pid_t child = fork();
        if (child == 0)
            live_and_die(dir);
        /* some are killed while they still recover, most while requests run */
        int before = atomic_load(&shared->next);
        for (int i = 0; round % 3 != 0 && i < 10000 && atomic_load(&shared->next) < before + 50;
             i++)
            usleep(1000);
        usleep((useconds_t)(ft_rand_u64(3, 4, (uint64_t)round) % (round % 3 == 0 ? 4000 : 90000)));
        assert_int_equal(kill(child, SIGKILL), 0);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    struct ft_ledger *l = open_here(dir);
    assert_true(ft_ledger_drain(l, 60000));
    struct ft_ledger_stats s;
    ft_ledger_stats(l, &s);
    assert_int_equal(s.slots_used, 0);
    assert_int_equal(s.corrupt, 0);
    ft_ledger_close(l);
    int n = atomic_load(&shared->next);
    assert_in_range(n, 100, REQUESTS_MAX - 1);
    assert_int_equal(atomic_load(&shared->mismatches), 0);
    int64_t sum = 0, least = 0, most = 0;
    for (int i = 0; i < n; i++) {
        check(&shared->of[i], i, &sum);
        least += atomic_load(&shared->of[i].tokens);
        most += atomic_load(&shared->of[i].tokens_meant);
    }
    assert_in_range(sum, least, most);
    assert_true(most - least <= ROUNDS * THREADS);
    print_message("%d requests, %lld tokens, %d kills\n", n, (long long)sum, ROUNDS);
    munmap(shared, sizeof *shared);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_lost_and_nothing_counts_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
