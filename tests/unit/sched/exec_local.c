/* Tasks as real processes: what the seam's contract test (tests/contract/sched) cannot ask of a
 * double: limits, logs, what a killed owner leaves, pids that were given to others. */
#include "sched/exec_local.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "sched/cgroup.h"
#include "sched/log_rotate.h"
#include "sched/proc.h"
#include "sched/task_file.h"
#include "testing.h"

#define WAIT_NS       (20LL * 1000000000)
#define KILLED_OWNERS 30

static struct ft_err err;
static char dir[64];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/ft_local_XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    return system(cmd);
}

static const char *path(const char *name)
{
    static char text[4][128];
    static int at;
    at = (at + 1) % 4;
    snprintf(text[at], sizeof text[at], "%s/%s", dir, name);
    return text[at];
}

static struct ft_exec *open_exec(void)
{
    struct ft_exec *x = NULL;
    assert_int_equal(ft_exec_local_open(path("tasks"), NULL, NULL, &x, &err), 0);
    return x;
}

static void run(struct ft_exec *x, struct ft_exec_spec spec, const char *script)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    spec.argv = argv;
    int e = ft_exec_start(x, &spec, &err);
    if (e != 0)
        print_error("%s\n", err.msg);
    assert_int_equal(e, 0);
}

static struct ft_exec_info wait_end(struct ft_exec *x, const char *id)
{
    const struct timespec pause = {0, 2000000};
    struct ft_exec_info info;
    int64_t until = ft_clock_now_ns() + WAIT_NS;
    for (;;) {
        assert_int_equal(ft_exec_query(x, id, &info, &err), 0);
        if (info.state == FT_EXEC_ENDED)
            return info;
        assert_true(ft_clock_now_ns() < until);
        nanosleep(&pause, NULL);
    }
}

static char *text_of(const char *name)
{
    static char text[65536];
    char *data;
    size_t n;
    if (ft_file_read(name, sizeof text - 1, &data, &n, &err) != 0) {
        text[0] = 0;
        return text;
    }
    memcpy(text, data, n + 1);
    free(data);
    return text;
}

static bool alive(pid_t pid)
{
    struct ft_proc_stat s;
    return ft_proc_stat(pid, &s) && s.state != 'Z' && s.state != 'X';
}

static void wait_gone(pid_t pid)
{
    const struct timespec pause = {0, 2000000};
    int64_t until = ft_clock_now_ns() + WAIT_NS;
    while (alive(pid)) {
        assert_true(ft_clock_now_ns() < until);
        nanosleep(&pause, NULL);
    }
}

/* ---- what a task is given ---- */

static void output_folder_and_variables_are_as_asked(void **state)
{
    (void)state;
    struct ft_exec *x = open_exec();
    const char *env[] = {"COLOUR=blue", "NOTIFY_SOCKET=/x", "FEITIAN_READY_FD=9", NULL};
    char here[128];
    snprintf(here, sizeof here, "%s", path("tasks"));
    char log[128];
    snprintf(log, sizeof log, "%s", path("log"));
    run(x, (struct ft_exec_spec){.id = "a", .log = log, .cwd = here, .env = env},
        "pwd; echo $COLOUR $NOTIFY_SOCKET $FEITIAN_READY_FD $HOME; echo complaint >&2; read x || "
        "echo no input; ls /proc/self/fd | wc -l");
    assert_int_equal(wait_end(x, "a").exit_code, 0);
    char want[256];
    /* ls: 0, 1, 2 and the folder it reads */
    snprintf(want, sizeof want, "%s\nblue\ncomplaint\nno input\n4\n", here);
    assert_string_equal(text_of(log), want);
    ft_exec_close(x);
}

static void signals_are_as_in_a_fresh_process(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* as under nohup */
    /* the library's own two as well: whoever started us may have another library */
    const unsigned long ignore[8] = {(unsigned long)SIG_IGN};
    for (int sig = 32; sig <= 33; sig++)
        assert_int_equal(syscall(SYS_rt_sigaction, sig, ignore, NULL, 8), 0);
    struct ft_exec *x = open_exec();
    run(x, (struct ft_exec_spec){.id = "a", .log = path("log")},
        "grep -E '^Sig(Blk|Ign)' /proc/self/status");
    assert_int_equal(wait_end(x, "a").exit_code, 0);
    assert_string_equal(text_of(path("log")),
                        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    ft_exec_close(x);
}

static void files_are_limited(void **state)
{
    (void)state;
    struct ft_exec *x = open_exec();
    run(x, (struct ft_exec_spec){.id = "a", .log = path("log"), .limits = {.nofile = 17}},
        "ulimit -n; ulimit -c");
    wait_end(x, "a");
    assert_string_equal(text_of(path("log")), "17\n0\n");
    ft_exec_close(x);
}

static void what_a_task_leaves_of_itself_is_killed_with_it(void **state)
{
    (void)state;
    struct ft_exec *x = open_exec();
    run(x, (struct ft_exec_spec){.id = "a", .log = path("log")}, "sleep 1000 & echo $!");
    wait_end(x, "a");
    pid_t pid = atoi(text_of(path("log")));
    assert_true(pid > 1);
    wait_gone(pid);
    ft_exec_close(x);
}

static void an_end_is_noticed_while_others_could_still_say_ready(void **state)
{
    (void)state;
    struct ft_exec *x = open_exec();
    /* the sleeper holds the pipe, on which nothing was said */
    run(x, (struct ft_exec_spec){.id = "a", .log = path("log"), .tells_ready = true},
        "sleep 1000 & echo $!; exit 3");
    struct ft_exec_info info = wait_end(x, "a");
    assert_int_equal(info.exit_code, 3);
    assert_false(info.ready);
    pid_t pid = atoi(text_of(path("log")));
    assert_true(pid > 1);
    wait_gone(pid);
    ft_exec_close(x);
}

/* What all epolls of this process look at. */
static int watched(void)
{
    char name[300], line[256];
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        snprintf(name, sizeof name, "/proc/self/fd/%s", e->d_name);
        ssize_t len = readlink(name, line, sizeof line - 1);
        line[len > 0 ? len : 0] = '\0';
        if (strstr(line, "[eventpoll]") == NULL)
            continue;
        snprintf(name, sizeof name, "/proc/self/fdinfo/%s", e->d_name);
        FILE *f = fopen(name, "r");
        while (f != NULL && fgets(line, sizeof line, f) != NULL)
            n += strncmp(line, "tfd:", 4) == 0;
        if (f != NULL)
            fclose(f);
    }
    closedir(d);
    return n;
}

/* Another thread's child has copies of all that is open here until it runs its own program. */
static void a_task_that_was_removed_is_watched_by_nobody(void **state)
{
    (void)state;
    struct ft_exec *x = open_exec();
    const int before = watched();
    run(x, (struct ft_exec_spec){.id = "a", .tells_ready = true}, "exec sleep 1000");
    assert_int_equal(watched(), before + 2);
    pid_t other = fork();
    if (other == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    assert_int_equal(ft_exec_kill(x, "a", SIGKILL, &err), 0);
    wait_end(x, "a");
    assert_int_equal(watched(), before);
    assert_int_equal(ft_exec_remove(x, "a", &err), 0);
    run(x, (struct ft_exec_spec){.id = "b"}, "exit 4"); /* and the watcher has gone around */
    assert_int_equal(wait_end(x, "b").exit_code, 4);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    ft_exec_close(x);
}

static void memory_is_limited(void **state)
{
    (void)state;
    struct ft_exec *x = open_exec();
    const struct ft_exec_limits limits = {
        .memory_bytes = 64 << 20, .cpu_weight = 50, .threads_max = 20};
    run(x, (struct ft_exec_spec){.id = "a", .log = path("log"), .limits = limits},
        "x=0123456789abcdef; while :; do x=$x$x; done");
    struct ft_exec_info info = wait_end(x, "a");
    print_message("%s\n", info.limits);
    assert_true(info.status_known && (info.term_signal != 0 || info.exit_code != 0));
    if (strstr(info.limits, "memory: cgroup") != NULL)
        assert_true(info.out_of_memory);
    assert_int_equal(ft_exec_remove(x, "a", &err), 0);
    ft_exec_close(x);
    struct ft_cgroup_base base;
    ft_cgroup_find("", &base);
    for (int k = 0; k < FT_CGROUP_KINDS; k++) { /* no group of it is left */
        struct stat st;
        char name[FT_CGROUP_PATH_MAX + 128];
        assert_int_equal(stat(path("tasks"), &st), 0);
        snprintf(name, sizeof name, "%s/feitian.%llx.%llx.a", base.path[k],
                 (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
        assert_int_not_equal(access(name, F_OK), 0);
    }
}

/* ---- logs ---- */

static void a_long_log_is_turned_over(void **state)
{
    (void)state;
    char name[128];
    snprintf(name, sizeof name, "%s", path("log"));
    FILE *f = fopen(name, "a");
    for (int i = 0; i < 100; i++)
        fprintf(f, "line %02d\n", i);
    fflush(f);
    ft_log_rotate(name, 800); /* 800 bytes are not more than 800 */
    assert_int_equal(strlen(text_of(name)), 800);
    ft_log_rotate(name, 80);
    assert_string_equal(text_of(name), "");
    assert_int_equal(strlen(text_of(path("log.1"))), 80);
    assert_memory_equal(text_of(path("log.1")), "line 90\n", 8);
    fputs("goes on\n", f);
    fclose(f);
    assert_string_equal(text_of(name), "goes on\n");
}

/* ---- owners that die ---- */

/* A process that opens the folder, starts tasks `stays` and `goes` and is killed. */
static void killed_owner(pid_t ret_pids[2])
{
    int fds[2], status;
    assert_int_equal(pipe(fds), 0);
    pid_t owner = fork();
    if (owner == 0) {
        struct ft_exec *x;
        struct ft_exec_info a, b;
        const char *argv[] = {"/bin/sleep", "1000", NULL};
        struct ft_exec_spec spec = {.id = "stays", .argv = argv, .note = "n", .outlives = true};
        if (ft_exec_local_open(path("tasks"), NULL, NULL, &x, &err) != 0 ||
            ft_exec_start(x, &spec, &err) != 0)
            _exit(1);
        spec.id = "goes";
        spec.outlives = false;
        if (ft_exec_start(x, &spec, &err) != 0)
            _exit(1);
        ft_exec_query(x, "stays", &a, &err);
        ft_exec_query(x, "goes", &b, &err);
        pid_t pids[2] = {(pid_t)a.pid, (pid_t)b.pid};
        _exit(write(fds[1], pids, sizeof pids) == sizeof pids ? raise(SIGKILL) : 1);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], ret_pids, 2 * sizeof *ret_pids), 2 * sizeof *ret_pids);
    close(fds[0]);
    waitpid(owner, &status, 0);
    assert_true(WIFSIGNALED(status));
}

static void a_killed_owner_takes_along_what_does_not_outlive_it(void **state)
{
    (void)state;
    pid_t pids[2];
    struct ft_exec_info info;
    killed_owner(pids);
    wait_gone(pids[1]);
    assert_true(alive(pids[0]));
    struct ft_exec *x = open_exec();
    assert_int_equal(ft_exec_query(x, "goes", &info, &err), FT_ENOTFOUND);
    assert_int_equal(ft_exec_query(x, "stays", &info, &err), 0);
    assert_true(info.adopted && info.state == FT_EXEC_RUNNING && info.pid == pids[0]);
    assert_string_equal(info.note, "n");
    ft_exec_sweep(x, 5000);
    assert_false(alive(pids[0]));
    int n;
    ft_exec_list(x, NULL, 0, &n);
    assert_int_equal(n, 0);
    ft_exec_close(x);
}

/* How many processes carry this variable in their environment. */
static int count_marked(const char *mark)
{
    static char env[65536];
    int n = 0;
    DIR *d = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(d)) != NULL) {
        char name[300];
        snprintf(name, sizeof name, "/proc/%s/environ", entry->d_name);
        int fd = atoi(entry->d_name) > 0 ? open(name, O_RDONLY) : -1;
        ssize_t got = fd < 0 ? -1 : read(fd, env, sizeof env);
        n += got > 0 && memmem(env, (size_t)got, mark, strlen(mark)) != NULL;
        if (fd >= 0)
            close(fd);
    }
    closedir(d);
    return n;
}

static void an_owner_killed_at_any_moment_leaves_no_task_unknown(void **state)
{
    (void)state;
    char mark[64];
    snprintf(mark, sizeof mark, "FT_MARK=%d.%lld", (int)getpid(), (long long)ft_clock_now_ns());
    for (int round = 0; round < KILLED_OWNERS; round++) {
        pid_t owner = fork();
        if (owner == 0) {
            struct ft_exec *x;
            const char *argv[] = {"/bin/sleep", "1000", NULL}, *env[] = {mark, NULL};
            if (ft_exec_local_open(path("tasks"), NULL, NULL, &x, &err) != 0)
                _exit(1);
            for (int i = 0;; i++) {
                char id[16];
                snprintf(id, sizeof id, "t%d", i);
                struct ft_exec_spec spec = {
                    .id = id, .argv = argv, .env = env, .outlives = i % 2 == 0};
                ft_exec_start(x, &spec, &err);
            }
        }
        const struct timespec pause = {0, (2 + round * 7 % 20) * 1000000 + round * 137 % 1000000};
        nanosleep(&pause, NULL);
        kill(owner, SIGKILL);
        waitpid(owner, NULL, 0);
        int64_t until = ft_clock_now_ns() + WAIT_NS; /* for one that is just ending by itself */
        struct ft_exec *x;
        int e; /* such a one holds the folder, too, and may be long in coming to its end */
        while ((e = ft_exec_local_open(path("tasks"), NULL, NULL, &x, &err)) == FT_EBUSY)
            assert_true(ft_clock_now_ns() < until);
        assert_int_equal(e, 0);
        ft_exec_sweep(x, 0);
        ft_exec_close(x);
        while (count_marked(mark) > 0)
            assert_true(ft_clock_now_ns() < until);
    }
}

static void adopted_tasks_that_die_are_noticed(void **state)
{
    (void)state;
    pid_t pids[2];
    killed_owner(pids);
    struct ft_exec *x = open_exec();
    kill(pids[0], SIGKILL);
    struct ft_exec_info info = wait_end(x, "stays");
    assert_true(info.adopted);
    assert_false(info.status_known);
    ft_exec_close(x);
}

static void a_pid_given_to_another_is_not_the_task(void **state)
{
    (void)state;
    pid_t pids[2];
    struct ft_task_file file;
    struct ft_exec_info info;
    killed_owner(pids);
    kill(pids[0], SIGKILL);
    /* as if the system had given the number to us meanwhile */
    assert_int_equal(ft_task_file_read(path("tasks"), "stays", &file, &err), 0);
    file.pid = getpid();
    assert_int_equal(ft_task_file_write(path("tasks"), &file, &err), 0);
    struct ft_exec *x = open_exec();
    assert_int_equal(ft_exec_query(x, "stays", &info, &err), 0);
    assert_int_equal(info.state, FT_EXEC_ENDED);
    assert_int_equal(ft_exec_kill(x, "stays", SIGKILL, &err), 0); /* and we live */
    ft_exec_close(x);

    struct ft_proc_stat s;
    assert_true(ft_proc_stat(getpid(), &s));
    file.start_ticks = s.start_ticks; /* the same moment, but of another life of the machine */
    snprintf(file.boot, sizeof file.boot, "another");
    assert_int_equal(ft_task_file_write(path("tasks"), &file, &err), 0);
    x = open_exec();
    assert_int_equal(ft_exec_query(x, "stays", &info, &err), 0);
    assert_int_equal(info.state, FT_EXEC_ENDED);
    ft_exec_sweep(x, 0);
    ft_exec_close(x);
}

static void a_zombie_counts_as_ended(void **state)
{
    (void)state;
    pid_t pids[2];
    struct ft_task_file file;
    struct ft_exec_info info;
    struct ft_proc_stat s;
    siginfo_t si;
    killed_owner(pids);
    kill(pids[0], SIGKILL);
    pid_t zombie = fork();
    if (zombie == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)zombie, &si, WEXITED | WNOWAIT), 0);
    assert_true(ft_proc_stat(zombie, &s));
    assert_int_equal(ft_task_file_read(path("tasks"), "stays", &file, &err), 0);
    file.pid = zombie;
    file.start_ticks = s.start_ticks;
    assert_int_equal(ft_task_file_write(path("tasks"), &file, &err), 0);
    struct ft_exec *x = open_exec();
    assert_int_equal(ft_exec_query(x, "stays", &info, &err), 0);
    assert_int_equal(info.state, FT_EXEC_ENDED);
    ft_exec_close(x);
    waitpid(zombie, NULL, 0);
}

static void remains_that_make_no_sense_are_removed(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "",
        "{",
        "[]",
        "{\"version\":1}",
        "{\"version\":2,\"id\":\"bad\"}",
        "\xff\xfe",
        "{\"version\":1,\"id\":\"other\",\"note\":\"\",\"boot\":\"\",\"limits\":\"\",\"log\":\"\","
        "\"log_bytes\":0,\"pid\":5,\"start_ticks\":1,\"started_ns\":1}",
        "{\"version\":1,\"id\":\"bad\",\"note\":\"\",\"boot\":\"\",\"limits\":\"\",\"log\":\"\","
        "\"log_bytes\":0,\"pid\":-1,\"start_ticks\":1,\"started_ns\":1}"};
    int n;
    mkdir(path("tasks"), 0700);
    for (size_t i = 0; i <= FT_COUNT(BAD); i++) {
        mkdir(path("tasks/bad"), 0700);
        if (i < FT_COUNT(BAD)) /* else: the owner died before it was written */
            assert_int_equal(ft_file_put(path("tasks/bad/task.json"), BAD[i], strlen(BAD[i]), &err),
                             0);
        struct ft_exec *x = open_exec();
        ft_exec_list(x, NULL, 0, &n);
        assert_int_equal(n, 0);
        assert_int_not_equal(access(path("tasks/bad"), F_OK), 0);
        ft_exec_close(x);
    }
}

static void a_folder_has_one_owner(void **state)
{
    (void)state;
    struct ft_exec *x = open_exec(), *second;
    assert_int_equal(ft_exec_local_open(path("tasks"), NULL, NULL, &second, &err), FT_EBUSY);
    ft_exec_close(x);
    ft_exec_close(open_exec());
    assert_int_not_equal(ft_exec_local_open("/proc/no/such", NULL, NULL, &x, &err), 0);
}

static void errors_name_what_is_wrong(void **state)
{
    (void)state;
    struct ft_exec *x = open_exec();
    const char *sh[] = {"/bin/sh", NULL}, *dir_argv[] = {"/tmp", NULL};
    struct ft_exec_spec spec = {.id = "a", .argv = sh, .cwd = "/no/such"};
    assert_int_equal(ft_exec_start(x, &spec, &err), FT_ENOTFOUND);
    assert_non_null(strstr(err.msg, "cwd"));
    spec = (struct ft_exec_spec){.id = "a", .argv = sh, .log = "/no/such/log"};
    assert_int_equal(ft_exec_start(x, &spec, &err), FT_ENOTFOUND);
    assert_non_null(strstr(err.msg, "/no/such/log"));
    spec = (struct ft_exec_spec){.id = "a", .argv = dir_argv};
    assert_int_equal(ft_exec_start(x, &spec, &err), FT_EIO);
    assert_non_null(strstr(err.msg, "/tmp"));
    ft_exec_close(x);
}

/* ---- where control groups are ---- */

static void put(const char *name, const char *text)
{
    char cmd[256];
    snprintf(cmd, sizeof cmd, "mkdir -p $(dirname %s)", path(name));
    assert_int_equal(system(cmd), 0);
    assert_int_equal(ft_file_put(path(name), text, strlen(text), &err), 0);
}

static const char *at(const struct ft_cgroup_base *b, int kind)
{
    return b->version[kind] == 0 ? "" : b->path[kind] + strlen(dir);
}

static void groups_are_found_v1_with_each_controller_elsewhere(void **state)
{
    (void)state;
    struct ft_cgroup_base b;
    put("proc/self/cgroup", "4:memory:/process_api/ab\n1:cpu,cpuacct:/\n0::/\n");
    put("proc/self/mountinfo",
        "30 20 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
        "31 20 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
        "32 20 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/memory/process_api/ab/cgroup.procs", "");
    put("sys/fs/cgroup/cpu/cgroup.procs", "");
    put("sys/fs/cgroup/unified/cgroup.controllers", "hugetlb\n");
    ft_cgroup_find(dir, &b);
    assert_int_equal(b.version[FT_CGROUP_MEMORY], 1);
    assert_string_equal(at(&b, FT_CGROUP_MEMORY), "/sys/fs/cgroup/memory/process_api/ab");
    assert_string_equal(at(&b, FT_CGROUP_CPU), "/sys/fs/cgroup/cpu");
    assert_int_equal(b.version[FT_CGROUP_PIDS], 0);
}

static void groups_are_found_v2(void **state)
{
    (void)state;
    struct ft_cgroup_base b;
    put("proc/self/cgroup", "0::/system.slice/feitian.service\n");
    put("proc/self/mountinfo", "32 20 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/system.slice/feitian.service/cgroup.controllers",
        "cpuset cpu memory pids\n");
    put("sys/fs/cgroup/system.slice/feitian.service/cgroup.subtree_control", "");
    ft_cgroup_find(dir, &b);
    for (int k = 0; k < FT_CGROUP_KINDS; k++) {
        assert_int_equal(b.version[k], 2);
        assert_string_equal(at(&b, k), "/sys/fs/cgroup/system.slice/feitian.service");
    }
    assert_string_equal(
        text_of(path("sys/fs/cgroup/system.slice/feitian.service/cgroup.subtree_control")),
        "+memory +cpu +pids");
    /* from the leaf that an earlier process moved to, the group above */
    put("proc/self/cgroup", "0::/system.slice/feitian.service/feitian-self\n");
    put("sys/fs/cgroup/system.slice/feitian.service/feitian-self/cgroup.procs", "");
    ft_cgroup_find(dir, &b);
    assert_string_equal(at(&b, FT_CGROUP_CPU), "/sys/fs/cgroup/system.slice/feitian.service");
}

static void groups_are_found_hybrid_and_in_containers(void **state)
{
    (void)state;
    struct ft_cgroup_base b;
    /* memory is v1; the container sees its own part as the root */
    put("proc/self/cgroup", "4:memory:/docker/77/x\n0::/docker/77\n");
    put("proc/self/mountinfo",
        "30 20 0:26 /docker/77 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        "32 20 0:28 /docker/77 /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("sys/fs/cgroup/memory/x/cgroup.procs", "");
    put("sys/fs/cgroup/unified/cgroup.controllers", "cpu pids\n");
    put("sys/fs/cgroup/unified/cgroup.subtree_control", "");
    ft_cgroup_find(dir, &b);
    assert_int_equal(b.version[FT_CGROUP_MEMORY], 1);
    assert_string_equal(at(&b, FT_CGROUP_MEMORY), "/sys/fs/cgroup/memory/x");
    assert_int_equal(b.version[FT_CGROUP_CPU], 2);
    assert_string_equal(at(&b, FT_CGROUP_CPU), "/sys/fs/cgroup/unified");
}

static void no_groups_no_error(void **state)
{
    (void)state;
    struct ft_cgroup_base b;
    struct ft_cgroup g;
    const struct ft_exec_limits limits = {.memory_bytes = 1 << 20, .cpu_weight = 10};
    ft_cgroup_find(dir, &b);
    for (int k = 0; k < FT_CGROUP_KINDS; k++)
        assert_int_equal(b.version[k], 0);
    ft_cgroup_make(&b, "x", &limits, &g);
    for (int k = 0; k < FT_CGROUP_KINDS; k++)
        assert_string_equal(g.path[k], "");
    put("proc/self/cgroup", "x\n::\n:\n4:memory\n0:::/..//\n");
    put("proc/self/mountinfo", "x\n - \n1 2 3 4\n30 20 0:26 / / rw - cgroup\n");
    ft_cgroup_find(dir, &b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(output_folder_and_variables_are_as_asked),
        T(signals_are_as_in_a_fresh_process),
        T(files_are_limited),
        T(what_a_task_leaves_of_itself_is_killed_with_it),
        T(an_end_is_noticed_while_others_could_still_say_ready),
        T(a_task_that_was_removed_is_watched_by_nobody),
        T(memory_is_limited),
        T(a_long_log_is_turned_over),
        T(a_killed_owner_takes_along_what_does_not_outlive_it),
        T(an_owner_killed_at_any_moment_leaves_no_task_unknown),
        T(adopted_tasks_that_die_are_noticed),
        T(a_pid_given_to_another_is_not_the_task),
        T(a_zombie_counts_as_ended),
        T(remains_that_make_no_sense_are_removed),
        T(a_folder_has_one_owner),
        T(errors_name_what_is_wrong),
        T(groups_are_found_v1_with_each_controller_elsewhere),
        T(groups_are_found_v2),
        T(groups_are_found_hybrid_and_in_containers),
        T(no_groups_no_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
