/* A disk that fails: errors are said, nothing is changed by what failed, reads go on, and nothing
 * is left behind. Faults come under the data files and under the index alike. */
#include <errno.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "fault_vfs.h"
#include "mix.h"

#define STEPS 400

static _Atomic bool is_on;
static _Atomic int one_in;   /* calls fail by chance: one in this many; 0: none */
static _Atomic bool is_full; /* nothing can be written */
static _Atomic bool
    reserve_counts;              /* a full disk has room for the index once the reserve is gone */
static _Atomic bool reads_fail;  /* nothing can be read from data files */
static _Atomic bool syncs_fail;  /* of the index */
static _Atomic int folder_fails; /* which of the next makings and syncings of folders; 0: none */
static _Atomic uint64_t calls;

static bool is_due(void)
{
    return is_on && one_in > 0 && ft_rand_u64(11, 3, calls++) % (uint64_t)one_in == 0;
}

/* What was asked of the disk, in order: w s f: a data file written, synced, its folder synced; W S:
 * the index written, synced. */
static char events[4096];
static _Atomic int n_events;

static void note(char event)
{
    int i = n_events++;
    if (i < (int)sizeof events - 1)
        events[i] = event;
}

static int disk_fault(void *ctx, enum ft_disk_op op, size_t *n)
{
    (void)ctx;
    if (op == FT_DISK_WRITE || op == FT_DISK_SYNC || op == FT_DISK_FOLDER)
        note(op == FT_DISK_WRITE ? 'w' : op == FT_DISK_SYNC ? 's' : 'f');
    if (is_full && op != FT_DISK_OPEN && op != FT_DISK_READ && op != FT_DISK_UNLINK)
        return ENOSPC;
    if (reads_fail && op == FT_DISK_READ)
        return EIO;
    if (op == FT_DISK_FOLDER && folder_fails > 0 && --folder_fails == 0)
        return EIO;
    if (is_on && (op == FT_DISK_WRITE || op == FT_DISK_READ) && *n > 1)
        *n = *n / 2 + 1; /* every one is short */
    if (is_due())
        return op == FT_DISK_WRITE && calls % 2 == 0 ? ENOSPC : EIO;
    return 0;
}

/* The room that the store keeps for removals; when it is given up, the index may grow. */
static bool reserve_is_there(void)
{
    char path[80];
    snprintf(path, sizeof path, "%s/reserve", folder);
    return access(path, F_OK) == 0;
}

static int index_fault(enum vfs_op op)
{
    if (op != VFS_READ)
        note(op == VFS_WRITE ? 'W' : 'S');
    if (op == VFS_WRITE && is_full && (!reserve_counts || reserve_is_there()))
        return SQLITE_FULL;
    if (syncs_fail && op == VFS_SYNC)
        return SQLITE_IOERR_FSYNC;
    if (!is_due())
        return 0;
    return op == VFS_READ    ? SQLITE_IOERR_READ
           : op == VFS_WRITE ? SQLITE_IOERR_WRITE
                             : SQLITE_IOERR_FSYNC;
}

static struct ft_blob *open_faulty(void)
{
    struct ft_blob *b = NULL;
    struct ft_blob_dir_config config = {
        .path = folder, .disk = {.fault = disk_fault}, .vfs = "faults"};
    fault_vfs_register(index_fault);
    OK(ft_blob_dir_open(&config, &b, &err));
    return b;
}

static int quiet(void **state)
{
    is_on = is_full = reads_fail = syncs_fail = false;
    reserve_counts = false;
    one_in = 0;
    return remove_folder(state);
}

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
    while (ft_blob_uploads(b, &l, end_upload, &found, &more, &err) == 1)
        OK(ft_blob_upload_abort(b, bucket, found[0], found[1], &err));
}

static void failed_steps_change_nothing(void **state)
{
    int64_t there[MIX_KEYS] = {0};
    int failed = 0;
    (void)state;
    struct ft_blob *b = open_faulty();
    OK(ft_blob_bucket_create(b, "b", "prj", &err));
    one_in = 40;
    for (int64_t i = 1; i <= STEPS; i++) {
        struct mix_step s = mix_step(0, i);
        is_on = true;
        int rc = mix_run(b, "b", 0, i);
        is_on = false;
        if (rc != 0) {
            if (rc != FT_EIO && rc != FT_ELIMIT)
                fail_msg("step %lld: %d %s", (long long)i, rc, err.msg);
            failed++;
        } else {
            there[s.key] = mix_after(0, i, there[s.key]);
        }
        assert_true(mix_is(b, "b", 0, s.key, there[s.key]));
    }
    print_message("%d of %d steps failed\n", failed, STEPS);
    assert_in_range(failed, STEPS / 20, STEPS * 19 / 20);
    end_uploads(b, "b");
    assert_sound(b);
    assert_counted();
    ft_blob_close(b);
    b = open_faulty();
    for (int key = 0; key < MIX_KEYS; key++)
        assert_true(mix_is(b, "b", 0, key, there[key]));
    assert_sound(b);
    ft_blob_close(b);
}

/* The index could not be synced, its log may hold the step or not, and then the machine dies: the
 * step is done whole or not at all. */
static void failed_commits_then_death(void **state)
{
    int64_t there[MIX_KEYS] = {0}, i = 0;
    (void)state;
    struct ft_blob *b = open_faulty();
    OK(ft_blob_bucket_create(b, "b", "prj", &err));
    ft_blob_close(b);
    for (int round = 0; round < 10; round++) {
        int64_t first = i + 1;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            b = open_faulty();
            for (int k = 0; k < round % 4; k++)
                if (mix_run(b, "b", 0, first + k) != 0)
                    _exit(1);
            syncs_fail = true;
            int rc = mix_run(b, "b", 0, first + round % 4);
            /* to remove what is not there takes no commit */
            bool nothing = mix_step(0, first + round % 4).kind == MIX_DELETE;
            _exit(rc == FT_EIO || (rc == 0 && nothing) ? 0 : 2);
        }
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        for (i = first; i < first + round % 4; i++) {
            int key = mix_step(0, i).key;
            there[key] = mix_after(0, i, there[key]);
        }
        b = open_faulty();
        int key = mix_step(0, i).key;
        if (!mix_is(b, "b", 0, key, there[key])) {
            there[key] = mix_after(0, i, there[key]);
            assert_true(mix_is(b, "b", 0, key, there[key]));
        }
        end_uploads(b, "b");
        assert_sound(b);
        assert_counted();
        ft_blob_close(b);
    }
}

static int see(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    (void)info;
    (void)prefix;
    ++*(int *)ctx;
    return 0;
}

static void a_full_disk(void **state)
{
    struct ft_blob_put small = {.bucket = "b", .key = "actor-0/key-1", .size = -1},
                       large = {.bucket = "b", .key = "large", .size = -1};
    struct ft_blob_done done;
    struct ft_blob_writer *w;
    uint8_t bytes[100000];
    bool more;
    int n = 0;
    (void)state;
    struct ft_blob *b = open_faulty();
    OK(ft_blob_bucket_create(b, "b", "prj", &err));
    OK(put_made(b, &small, 5, 0, 1000, &done));
    OK(put_made(b, &large, 6, 0, sizeof bytes, &done));
    is_full = true;
    assert_int_equal(put_made(b, &small, 7, 0, 1000, &done), FT_ELIMIT);
    assert_non_null(strstr(err.msg, "full"));
    assert_int_equal(put_made(b, &large, 8, 0, sizeof bytes, &done), FT_ELIMIT);
    /* full in the middle of it */
    is_full = false;
    OK(ft_blob_put(b, &large, &w, &err));
    OK(ft_blob_put_write(w, bytes, sizeof bytes, &err));
    is_full = true;
    assert_int_equal(ft_blob_put_write(w, bytes, sizeof bytes, &err), FT_ELIMIT);
    assert_int_equal(ft_blob_put_commit(w, NULL, 0, &done, &err), FT_ELIMIT);
    /* what is there is read */
    struct ft_blob_reader *r;
    OK(ft_blob_open(b, "b", "large", NULL, &r, &err));
    assert_int_equal(ft_blob_reader_info(r)->size, sizeof bytes);
    OK(ft_blob_read(r, 0, bytes, sizeof bytes, &err));
    ft_blob_close_reader(r);
    struct ft_blob_list l = {.bucket = "b", .max = 10};
    OK(ft_blob_list(b, &l, false, see, &n, &more, &err));
    assert_int_equal(n, 2);
    /* what is in the way can be removed, and then alone */
    reserve_counts = true;
    OK(ft_blob_remove(b, &(struct ft_blob_delete){.bucket = "b", .key = "large"}, NULL, &err));
    assert_false(reserve_is_there());
    assert_int_equal(put_made(b, &small, 9, 0, 1000, &done), FT_ELIMIT);
    n = 0;
    OK(ft_blob_list(b, &l, false, see, &n, &more, &err));
    assert_int_equal(n, 1);
    /* and when there is room again, all is as before */
    is_full = false;
    for (int i = 0; i < 1000 && !reserve_is_there(); i++)
        usleep(10000);
    assert_true(reserve_is_there());
    int rc = FT_ELIMIT;
    for (int i = 0; i < 1000 && rc == FT_ELIMIT; i++) { /* who made it says so a moment later */
        rc = put_made(b, &small, 9, 0, 1000, &done);
        if (rc == FT_ELIMIT)
            usleep(10000);
    }
    OK(rc);
    assert_sound(b);
    assert_counted();
    ft_blob_close(b);
}

static void reads_that_fail(void **state)
{
    struct ft_blob_put put = {.bucket = "b", .key = "k", .size = -1};
    struct ft_blob_done done;
    struct ft_blob_reader *r;
    static uint8_t got[200000], want[200000];
    (void)state;
    struct ft_blob *b = open_faulty();
    OK(ft_blob_bucket_create(b, "b", "prj", &err));
    OK(put_made(b, &put, 3, 0, sizeof got, &done));
    fill(3, 0, want, sizeof want);
    OK(ft_blob_open(b, "b", "k", NULL, &r, &err));
    reads_fail = true;
    assert_int_equal(ft_blob_read(r, 100, got, 70000, &err), FT_EIO);
    assert_int_equal(ft_blob_read(r, 100, got, 10, &err), FT_EIO);
    reads_fail = false;
    OK(ft_blob_read(r, 100, got, 70000, &err));
    assert_memory_equal(got, want + 100, 70000);
    ft_blob_close_reader(r);
    ft_blob_close(b);
}

/* The sweeper has looked for orphans, and said so in the index: from then on it waits. */
static void wait_for_the_sweeper(void)
{
    static const char left[] = "SELECT (SELECT value FROM mark WHERE name = 'epoch')"
                               " - (SELECT value FROM mark WHERE name = 'collected')";
    for (int i = 0; i < 1000 && ask_index(left) != 0; i++)
        usleep(10000);
    assert_int_equal(ask_index(left), 0);
}

/* What is acknowledged was synced before: the bytes, the file's name, then the index that speaks of
 * it. */
static void synced_in_order(void **state)
{
    struct ft_blob_put put = {.bucket = "b", .key = "k", .size = -1};
    struct ft_blob_done done;
    (void)state;
    struct ft_blob *b = open_faulty();
    OK(ft_blob_bucket_create(b, "b", "prj", &err));
    OK(put_made(b, &put, 1, 0, 200000, &done)); /* makes the folder too */
    wait_for_the_sweeper();
    for (int i = 0; i < 2; i++) {
        bool small = i == 1;
        memset(events, 0, sizeof events);
        n_events = 0;
        put.key = small ? "small" : "large";
        OK(put_made(b, &put, 2, 0, small ? 1000 : 200000, &done));
        char *written = strrchr(events, 'w'), *synced = strchr(events, 's'),
             *named = strchr(events, 'f'), *index = strchr(events, 'W'),
             *index_last = strrchr(events, 'W'), *index_synced = strrchr(events, 'S');
        assert_non_null(index);
        assert_true(index_synced > index_last);
        if (!small)
            assert_true(written != NULL && written < synced && synced < named && named < index);
    }
    ft_blob_close(b);
}

/* The name of a new folder that could not be synced is not taken for one that the disk has. */
static void folders_are_synced_at_last(void **state)
{
    struct ft_blob_put put = {.bucket = "b", .key = "k", .size = -1};
    struct ft_blob_done done;
    int n = 0;
    (void)state;
    struct ft_blob *b = open_faulty();
    OK(ft_blob_bucket_create(b, "b", "prj", &err));
    folder_fails = 4; /* of the opening: made, synced; of 4096 files: made, synced */
    assert_int_equal(put_made(b, &put, 1, 0, 200000, &done), FT_EIO);
    memset(events, 0, sizeof events);
    n_events = 0;
    OK(put_made(b, &put, 1, 0, 200000, &done));
    for (const char *e = events; *e != '\0'; e++)
        n += *e == 'f';
    assert_int_equal(n, 3); /* made, synced, and the file's name within */
    ft_blob_close(b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(failed_steps_change_nothing, make_folder, quiet),
        cmocka_unit_test_setup_teardown(failed_commits_then_death, make_folder, quiet),
        cmocka_unit_test_setup_teardown(a_full_disk, make_folder, quiet),
        cmocka_unit_test_setup_teardown(synced_in_order, make_folder, quiet),
        cmocka_unit_test_setup_teardown(reads_that_fail, make_folder, quiet),
        cmocka_unit_test_setup_teardown(folders_are_synced_at_last, make_folder, quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
