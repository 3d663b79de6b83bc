/* Checkpoints: what is written is read, only whole ones are found, old ones go, another run's are
 * refused, damage is found. */
#include "testing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "train/core/checkpoint.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/ft-checkpoint-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_all(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

struct rig {
    float value[2][6], m[2][6], v[2][6];
    struct ft_optim_param o[2];
    struct ft_checkpoint_param p[2];
};

static void rig_init(struct rig *r, float base)
{
    static const char *const names[] = {"blk.0.attn_q.weight", "output_norm.weight"};
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 6; i++) {
            r->value[k][i] = base + (float)i;
            r->m[k][i] = base + 10 + (float)i;
            r->v[k][i] = base + 20 + (float)(k * i);
        }
        r->o[k] = (struct ft_optim_param){r->value[k], NULL, 6, true, r->m[k], r->v[k]};
        r->p[k] = (struct ft_checkpoint_param){names[k], k == 0 ? 2 : 1, k == 0 ? 3 : 6, &r->o[k]};
    }
}

static json_t *run_of(int rank)
{
    return json_pack("{s:i, s:s, s:i}", "rank", rank, "model", "m.gguf", "threads", rank);
}

static void write_step(struct rig *r, int64_t step, int keep)
{
    struct ft_err err;
    struct ft_train_state s = {.step = step,
                               .epoch = 2,
                               .batch = 7,
                               .tokens = 1234567890123,
                               .seconds = 0.1,
                               .best_valid = 1e300,
                               .best_step = 3,
                               .bad_valids = 1,
                               .last_valid_step = 9};
    json_t *run = run_of(8);
    if (ft_checkpoint_write(folder, &s, run, r->p, 2, keep, &err) != 0)
        fail_msg("%s", err.msg);
    json_decref(run);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct rig a, b;
    struct ft_err err;
    struct ft_train_state s;
    char path[4096];
    rig_init(&a, 0.25f);
    rig_init(&b, 100);
    assert_int_equal(ft_checkpoint_newest(folder, INT64_MAX, path, sizeof path, &err),
                     FT_ENOTFOUND);
    write_step(&a, 5, 2);
    a.value[0][0] = 42;
    write_step(&a, 12, 2);
    assert_int_equal(ft_checkpoint_newest(folder, INT64_MAX, path, sizeof path, &err), 12);
    assert_non_null(strstr(path, "step-00000012"));
    assert_int_equal(ft_checkpoint_newest(folder, 12, path, sizeof path, &err), 5);
    assert_int_equal(ft_checkpoint_newest(folder, 5, path, sizeof path, &err), FT_ENOTFOUND);
    assert_int_equal(ft_checkpoint_newest(folder, INT64_MAX, path, sizeof path, &err), 12);
    json_t *run = run_of(8);
    assert_int_equal(ft_checkpoint_read(path, run, &s, b.p, 2, &err), 0);
    json_decref(run);
    assert_int_equal(s.step, 12);
    assert_int_equal(s.batch, 7);
    assert_true(s.tokens == 1234567890123 && s.best_valid == 1e300 && s.seconds == 0.1);
    assert_memory_equal(a.value, b.value, sizeof a.value);
    assert_memory_equal(a.m, b.m, sizeof a.m);
    assert_memory_equal(a.v, b.v, sizeof a.v);
}

static void only_the_newest_are_kept(void **state)
{
    (void)state;
    struct rig a;
    char path[4096];
    rig_init(&a, 0);
    for (int i = 20; i < 24; i++)
        write_step(&a, i, 2);
    for (int i = 20; i < 24; i++) {
        snprintf(path, sizeof path, "%s/checkpoints/step-%08d", folder, i);
        assert_int_equal(access(path, F_OK) == 0, i >= 22);
    }
}

static void half_written_ones_are_not_seen(void **state)
{
    (void)state;
    struct ft_err err;
    char path[4096];
    snprintf(path, sizeof path, "%s/checkpoints/step-00000099.partial-1", folder);
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(ft_checkpoint_newest(folder, INT64_MAX, path, sizeof path, &err), 23);
    assert_non_null(strstr(path, "step-00000023"));
}

static void other_runs_and_damage_are_refused(void **state)
{
    (void)state;
    struct rig a, b;
    struct ft_err err;
    struct ft_train_state s = {.step = -1};
    char path[4096], file[4200];
    rig_init(&a, 0);
    rig_init(&b, 0);
    write_step(&a, 30, 1);
    snprintf(path, sizeof path, "%s/checkpoints/step-00000099.partial-1", folder);
    assert_int_equal(access(path, F_OK), -1); /* a half-written one goes with the next */
    assert_int_equal(ft_checkpoint_newest(folder, INT64_MAX, path, sizeof path, &err), 30);
    json_t *other = run_of(16), *same = run_of(8);
    json_object_set_new(same, "threads", json_integer(64)); /* where it runs may change */
    assert_int_equal(ft_checkpoint_read(path, other, &s, b.p, 2, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "rank: "));
    assert_int_equal(ft_checkpoint_read(path, same, &s, b.p, 2, &err), 0);
    b.p[1].name = "blk.0.attn_k.weight";
    assert_int_equal(ft_checkpoint_read(path, same, &s, b.p, 2, &err), FT_ECORRUPT);
    b.p[1].name = a.p[1].name;
    b.p[0].cols = 4;
    assert_int_equal(ft_checkpoint_read(path, same, &s, b.p, 2, &err), FT_ECORRUPT);
    b.p[0].cols = 3;
    snprintf(file, sizeof file, "%s/state.safetensors", path);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    struct stat st;
    char byte;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size - 1), 1);
    byte ^= 4; /* of the last number one bit */
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 1), 1);
    close(fd);
    assert_int_equal(ft_checkpoint_read(path, same, &s, b.p, 2, &err), FT_ECORRUPT);
    assert_non_null(strstr(err.msg, "not the bytes that were written"));
    assert_int_equal(truncate(file, 200), 0);
    assert_int_equal(ft_checkpoint_read(path, same, &s, b.p, 2, &err), FT_ECORRUPT);
    json_decref(other);
    json_decref(same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(only_the_newest_are_kept),
        cmocka_unit_test(half_written_ones_are_not_seen),
        cmocka_unit_test(other_runs_and_damage_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_all);
}
