/* Killed at any moment, the store has everything that was acknowledged, whole, and nothing of what
 * was not but what was in the making right then.
 *
 * FT_CRASH_ROUNDS: 10 unless given; `make test-crash` runs 100. */
/* labels: slow */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "mix.h"

#define STEPS_MAX 1000 /* of one round */

static const char *const buckets[] = {"plain", "versions"}; /* actors take turns */

/* Memory that outlives the process that is killed. */
struct seen {
    _Atomic int64_t begun[MIX_ACTORS], acked[MIX_ACTORS];
    _Atomic int failed;
};
static struct seen *seen;
static struct ft_blob *child_blob;

static const char *bucket_of(int actor)
{
    return buckets[actor % 2];
}

static void *act(void *arg)
{
    int actor = (int)(intptr_t)arg;
    for (;;) {
        int64_t i = seen->begun[actor] + 1;
        seen->begun[actor] = i;
        if (mix_run(child_blob, bucket_of(actor), actor, i) != 0) {
            fprintf(stderr, "actor %d step %lld: %s\n", actor, (long long)i, err.msg);
            seen->failed = 1;
            return NULL;
        }
        seen->acked[actor] = i;
    }
}

static void child(void)
{
    pthread_t t[MIX_ACTORS];
    if (ft_blob_dir_open(&(struct ft_blob_dir_config){.path = folder}, &child_blob, &err) != 0) {
        fprintf(stderr, "open: %s\n", err.msg);
        _exit(1);
    }
    for (int i = 0; i < MIX_ACTORS; i++)
        if (pthread_create(&t[i], NULL, act, (void *)(intptr_t)i) != 0)
            _exit(1);
    pthread_join(t[0], NULL);
    _exit(1);
}

static int64_t steps(void)
{
    int64_t n = 0;
    for (int i = 0; i < MIX_ACTORS; i++)
        n += seen->acked[i];
    return n;
}

static int64_t there[MIX_ACTORS][MIX_KEYS]; /* the step whose bytes are there */
static int64_t checked[MIX_ACTORS];         /* steps that are in `there` */

static void check(struct ft_blob *b, int actor)
{
    int64_t acked = seen->acked[actor], begun = seen->begun[actor];
    for (int64_t i = checked[actor] + 1; i <= acked; i++) {
        int key = mix_step(actor, i).key;
        there[actor][key] = mix_after(actor, i, there[actor][key]);
    }
    for (int key = 0; key < MIX_KEYS; key++) {
        if (mix_is(b, bucket_of(actor), actor, key, there[actor][key]))
            continue;
        /* then it is the step that was under way */
        assert_true(begun > acked && mix_step(actor, begun).key == key);
        there[actor][key] = mix_after(actor, begun, there[actor][key]);
        assert_true(mix_is(b, bucket_of(actor), actor, key, there[actor][key]));
    }
    checked[actor] = begun;
}

/* Uploads that a killed process left open are no harm; they are ended here. */
static int end_upload(void *ctx, const struct ft_blob_upload *u, const char *prefix)
{
    (void)prefix;
    char(*found)[2][FT_BLOB_KEY_MAX + 1] = ctx;
    snprintf((*found)[0], sizeof(*found)[0], "%s", u->key);
    snprintf((*found)[1], sizeof(*found)[1], "%s", u->id);
    return 1;
}

static void end_uploads(struct ft_blob *b, const char *bucket)
{
    static char found[2][FT_BLOB_KEY_MAX + 1];
    struct ft_blob_list l = {.bucket = bucket, .max = 1};
    bool more;
    int rc;
    while ((rc = ft_blob_uploads(b, &l, end_upload, &found, &more, &err)) == 1)
        OK(ft_blob_upload_abort(b, bucket, found[0], found[1], &err));
    OK(rc);
}

static void killed_at_any_moment(void **state)
{
    const char *text = getenv("FT_CRASH_ROUNDS");
    int rounds = text == NULL ? 10 : atoi(text);
    (void)state;
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(seen != MAP_FAILED);
    struct ft_blob *b = open_blob();
    for (int i = 0; i < 2; i++)
        OK(ft_blob_bucket_create(b, buckets[i], "prj", &err));
    OK(ft_blob_bucket_set_versioning(b, buckets[1], FT_BLOB_VERSIONED, &err));
    ft_blob_close(b);
    for (int round = 0; round < rounds; round++) {
        int64_t until = steps() + 1 + (int64_t)(ft_rand_u64(1, 2, (uint64_t)round) % STEPS_MAX);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            child();
        while (steps() < until && seen->failed == 0 && waitpid(pid, NULL, WNOHANG) == 0)
            usleep(200);
        assert_int_equal(seen->failed, 0);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        b = open_blob();
        for (int actor = 0; actor < MIX_ACTORS; actor++) {
            check(b, actor);
            seen->begun[actor] = checked[actor];
        }
        end_uploads(b, buckets[0]);
        end_uploads(b, buckets[1]);
        assert_sound(b);
        assert_counted();
        ft_blob_close(b);
    }
    print_message("%d rounds, %lld acknowledged steps\n", rounds, (long long)steps());
    munmap(seen, sizeof *seen);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(killed_at_any_moment, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
