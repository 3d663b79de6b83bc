/* The folder in the making comes and goes with those who work in it. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "hub/pull/impl.h"

#include "testing.h"

#define ROUNDS 200

struct puller {
    const char *models, *name;
    atomic_int *inside; /* how many hold this name */
    int held, busy, bad;
};

/* Whoever holds the name holds it alone, in a folder that is there. */
static void pull_once(struct puller *p)
{
    struct ft_pull_stage st;
    struct ft_err err = {0};
    char path[4096];
    int rc = ft_pull_stage_open(&st, p->models, p->name, FT_PULL_GGUF, &err);
    if (rc == FT_EBUSY) {
        p->busy++;
        return;
    }
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", p->name, err.msg);
        p->bad++;
        return;
    }
    p->held++;
    p->bad += atomic_fetch_add(p->inside, 1) != 0;
    snprintf(path, sizeof path, "%s/file", st.dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    p->bad += fd < 0;
    if (fd >= 0)
        close(fd);
    unlink(path);
    atomic_fetch_sub(p->inside, 1);
    ft_pull_stage_close(&st);
}

static void *puller_main(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        pull_once(arg);
    return NULL;
}

static void who_holds_a_name_holds_a_folder_that_is_there(void **state)
{
    (void)state;
    char dir[] = "/tmp/ft-stage-XXXXXX";
    atomic_int inside[2] = {0};
    struct puller p[4] = {0};
    pthread_t t[4];
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 4; i++) {
        p[i] = (struct puller){
            .models = dir, .name = i < 3 ? "one" : "two", .inside = &inside[i == 3]};
        assert_int_equal(pthread_create(&t[i], NULL, puller_main, &p[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(p[i].bad, 0);
        assert_int_equal(p[i].held + p[i].busy, ROUNDS);
    }
    assert_int_equal(p[3].held, ROUNDS); /* nobody else wants it */
    assert_int_equal(rmdir(dir), 0);     /* nothing was left behind */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_holds_a_name_holds_a_folder_that_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
