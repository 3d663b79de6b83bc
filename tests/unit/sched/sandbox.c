/* The sandbox, tried from within: a child process enters it and attempts what must fail, and what
 * must go on working. */
#include "sched/sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/memory.h"
#include "testing.h"

#define NOBODY     65534
#define REFUSED    0 /* what a deed returns: the call failed, as it must */
#define DONE       1 /* it succeeded */
#define BROKEN     2 /* the sandbox could not be entered, or the test is wrong */
#define BY_SIGNAL  1000
#define KILLED_SYS (BY_SIGNAL + SIGSYS)

static char root[64];  /* a folder with in/model, out/secret and sock */
static bool may_write; /* below "work" */
static bool as_nobody; /* in which shape the deeds are done */
static int listener = -1;
static pid_t parent;

static const char *path(const char *name)
{
    static char text[4][128];
    static int at;
    at = (at + 1) % 4;
    snprintf(text[at], sizeof text[at], "%s/%s", root, name);
    return text[at];
}

static void put(const char *name)
{
    FILE *f = fopen(path(name), "w");
    assert_non_null(f);
    fputs("words", f);
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/ft_box_XXXXXX");
    assert_non_null(mkdtemp(root));
    chmod(root, 0777);
    mkdir(path("in"), 0777);
    mkdir(path("out"), 0777);
    mkdir(path("work"), 0777);
    chmod(path("work"), 0777);
    put("in/model");
    put("out/secret");
    chmod(path("in"), 0777);
    chmod(path("out"), 0777);
    chmod(path("in/model"), 0666);
    chmod(path("out/secret"), 0666);
    symlink("../out/secret", path("in/link"));
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path("sock"));
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 8), 0);
    parent = getpid();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char cmd[128];
    close(listener);
    snprintf(cmd, sizeof cmd, "rm -r %s", root);
    return system(cmd);
}

typedef int deed_fn(void);

/* The exit status of a child that enters and does it; BY_SIGNAL + n if that killed it. */
static int inside(deed_fn *deed)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(30);
        if (as_nobody && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
            _exit(BROKEN);
        const char *read[] = {path("in")};
        const struct ft_sandbox_cfg cfg = {.read_paths = read,
                                           .n_read_paths = 1,
                                           .write_path = may_write ? path("work") : NULL,
                                           .keep_fds = &listener,
                                           .n_keep_fds = 1};
        struct ft_sandbox_report r;
        struct ft_err err;
        if (ft_sandbox_enter(&cfg, &r, &err) != 0) {
            fprintf(stderr, "%s\n", err.msg);
            _exit(BROKEN);
        }
        _exit(deed());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static int verdict(bool succeeded)
{
    return succeeded ? DONE : REFUSED;
}

/* ---- deeds ---- */

static int run_a_program(void)
{
    char *argv[] = {"/bin/true", NULL};
    execv(argv[0], argv);
    return DONE;
}

static int run_a_program_by_descriptor(void)
{
    char *argv[] = {"true", NULL}, *env[] = {NULL};
    int fd = open("/bin/true", O_PATH);
    syscall(SYS_execveat, fd, "", argv, env, AT_EMPTY_PATH);
    return DONE;
}

static int trace_the_parent(void)
{
    ptrace(PTRACE_ATTACH, parent, NULL, NULL);
    return DONE;
}

static int read_the_parents_memory(void)
{
    char byte;
    struct iovec to = {&byte, 1}, from = {root, 1};
    process_vm_readv(parent, &to, 1, &from, 1, 0);
    return DONE;
}

static int new_user_namespace(void)
{
    unshare(CLONE_NEWUSER);
    return DONE;
}

static int mount_something(void)
{
    syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL);
    return DONE;
}

static int load_bpf(void)
{
    syscall(SYS_bpf, 0, NULL, 0);
    return DONE;
}

static int set_up_io_uring(void) /* would do calls that the filter never sees */
{
    syscall(SYS_io_uring_setup, 1, NULL);
    return DONE;
}

static int use_keyrings(void)
{
    syscall(SYS_keyctl, 0, 0, 0, 0, 0);
    return DONE;
}

static int make_a_socket(void)
{
    return verdict(socket(AF_INET, SOCK_STREAM, 0) >= 0 || socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ||
                   socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
}

static int make_a_socket_pair(void)
{
    int fds[2];
    return verdict(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
}

static int connect_somewhere(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return verdict(connect(listener, (struct sockaddr *)&to, sizeof to) == 0 || errno != EPERM);
}

static int send_to_an_address(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = "/tmp/x"};
    return verdict(sendto(listener, "x", 1, 0, (struct sockaddr *)&to, sizeof to) >= 0 ||
                   errno != EPERM);
}

static int open_for_writing(void)
{
    return verdict(open(path("in/model"), O_WRONLY) >= 0 || open(path("in/model"), O_RDWR) >= 0 ||
                   open(path("out/secret"), O_WRONLY | O_APPEND) >= 0 ||
                   open(path("in/model"), O_RDONLY | O_TRUNC) >= 0);
}

static int create_files(void)
{
    struct {
        uint64_t flags, mode, resolve;
    } how = {O_WRONLY | O_CREAT, 0666, 0};
    return verdict(open(path("in/new"), O_RDONLY | O_CREAT, 0666) >= 0 ||
                   open(path("in"), O_TMPFILE | O_RDWR, 0666) >= 0 ||
                   creat(path("in/new"), 0666) >= 0 || mkdir(path("in/dir"), 0777) == 0 ||
                   mkfifo(path("in/pipe"), 0666) == 0 || symlink("x", path("in/sym")) == 0 ||
                   link(path("in/model"), path("in/hard")) == 0 ||
                   syscall(SYS_openat2, AT_FDCWD, path("in/new"), &how, sizeof how) >= 0);
}

static int change_files(void)
{
    return verdict(unlink(path("in/model")) == 0 || rename(path("in/model"), path("in/m")) == 0 ||
                   truncate(path("in/model"), 0) == 0 || chmod(path("in/model"), 0600) == 0 ||
                   chown(path("in/model"), 1, 1) == 0 || rmdir(path("in")) == 0 ||
                   utimensat(AT_FDCWD, path("in/model"), NULL, 0) == 0);
}

static int read_outside(void)
{
    return verdict(open(path("out/secret"), O_RDONLY) >= 0 || open("/etc/passwd", O_RDONLY) >= 0 ||
                   open(path("in/../out/secret"), O_RDONLY) >= 0 ||
                   open(path("in/link"), O_RDONLY) >= 0 || open(root, O_RDONLY) >= 0);
}

static int read_the_parents_environment(void)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/environ", (int)parent);
    return verdict(open(name, O_RDONLY) >= 0);
}

static int write_own_memory_by_file(void)
{
    return verdict(open("/proc/self/mem", O_RDWR) >= 0);
}

static int signal_others(void)
{
    return verdict(kill(parent, SIGUSR2) == 0 || kill(-1, SIGUSR2) == 0 || kill(0, SIGUSR2) == 0 ||
                   syscall(SYS_tgkill, parent, parent, SIGUSR2) == 0 ||
                   syscall(SYS_tkill, parent, SIGUSR2) == 0 ||
                   syscall(SYS_pidfd_open, parent, 0) >= 0 ||
                   sigqueue(parent, SIGUSR2, (union sigval){0}) == 0);
}

static int signal_others_by_a_file(void) /* F_SETOWN and F_SETSIG: the kernel signals for one */
{
    return verdict(fcntl(listener, F_SETOWN, parent) == 0 ||
                   fcntl(listener, F_SETSIG, SIGKILL) == 0 || fcntl(listener, F_NOTIFY, 1) == 0);
}

static int fork_bomb(void)
{
    int made = 0;
    for (int i = 0; i < 1000; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        made += pid > 0;
    }
    made += vfork() >= 0;
    made += syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) >= 0;
    made += syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_NEWUSER, NULL, NULL,
                    NULL, NULL) >= 0;
    return verdict(made > 0);
}

static int gain_privileges(void)
{
    struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};
    return verdict(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ||
                   prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 || setuid(0) == 0 ||
                   setrlimit(RLIMIT_CORE, &r) == 0 || prlimit(parent, RLIMIT_CORE, NULL, &r) == 0 ||
                   nice(-5) != -1);
}

static int map_code(void)
{
    return verdict(mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
                        -1, 0) != MAP_FAILED);
}

static int type_into_a_terminal(void)
{
    return verdict(syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x") == 0 || errno != EPERM);
}

static int use_a_stray_file(void)
{
    char byte;
    for (int fd = 3; fd < 100; fd++)
        if (fd != listener && (fcntl(fd, F_GETFD) >= 0 || read(fd, &byte, 1) >= 0))
            return DONE;
    return REFUSED;
}

/* What must work; DONE is right here. */

static void *work(void *arg)
{
    char *memory = malloc(1 << 20);
    memset(memory, 1, 1 << 20);
    free(memory);
    return arg;
}

static int live_on(void)
{
    char text[8] = {0};
    int fd = open(path("in/model"), O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, 5) != 5 || strcmp(text, "words") != 0)
        return REFUSED;
    void *map = mmap(NULL, 5, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED || memcmp(map, "words", 5) != 0)
        return REFUSED;
    pthread_t t;
    if (pthread_create(&t, NULL, work, NULL) != 0 || pthread_join(t, NULL) != 0)
        return REFUSED;
    FILE *f = fopen("/proc/self/status", "r");
    if (f == NULL || ft_memory_available() == 0)
        return REFUSED;
    fclose(f);
    return DONE;
}

static int serve_one(void)
{
    char byte;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || recv(fd, &byte, 1, 0) != 1 || send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
        return REFUSED;
    return DONE;
}

static int abort_itself(void)
{
    abort();
}

/* ---- tests ---- */

static void deeds(bool nobody)
{
    static const struct {
        const char *name;
        deed_fn *deed;
        int want;
    } DEED[] = {
        {"run a program", run_a_program, KILLED_SYS},
        {"run one by descriptor", run_a_program_by_descriptor, KILLED_SYS},
        {"trace the parent", trace_the_parent, KILLED_SYS},
        {"read its memory", read_the_parents_memory, KILLED_SYS},
        {"user namespace", new_user_namespace, KILLED_SYS},
        {"mount", mount_something, KILLED_SYS},
        {"bpf", load_bpf, KILLED_SYS},
        {"io_uring", set_up_io_uring, KILLED_SYS},
        {"keyrings", use_keyrings, KILLED_SYS},
        {"socket", make_a_socket, REFUSED},
        {"socket pair", make_a_socket_pair, REFUSED},
        {"connect", connect_somewhere, REFUSED},
        {"send to", send_to_an_address, REFUSED},
        {"open for writing", open_for_writing, REFUSED},
        {"create files", create_files, REFUSED},
        {"change files", change_files, REFUSED},
        {"write own memory", write_own_memory_by_file, REFUSED},
        {"signal others", signal_others, REFUSED},
        {"signal by a file", signal_others_by_a_file, REFUSED},
        {"fork", fork_bomb, REFUSED},
        {"gain privileges", gain_privileges, REFUSED},
        {"map code", map_code, REFUSED},
        {"type into a terminal", type_into_a_terminal, REFUSED},
        {"stray files", use_a_stray_file, REFUSED},
        {"live on", live_on, DONE},
        {"abort", abort_itself, BY_SIGNAL + SIGABRT},
    };
    as_nobody = nobody;
    int stray = open("/etc/passwd", O_RDONLY);
    for (size_t i = 0; i < FT_COUNT(DEED); i++) {
        int got = inside(DEED[i].deed);
        if (got != DEED[i].want)
            print_error("%s: %d, not %d\n", DEED[i].name, got, DEED[i].want);
        assert_int_equal(got, DEED[i].want);
    }
    close(stray);
    as_nobody = false;
}

static void nothing_gets_out(void **state)
{
    (void)state;
    signal(SIGUSR2, SIG_IGN);
    deeds(false);
    assert_int_equal(access(path("in/model"), F_OK), 0);
    assert_int_not_equal(access(path("in/new"), F_OK), 0);
}

static void nothing_gets_out_of_a_plain_user_either(void **state)
{
    (void)state;
    if (getuid() != 0)
        skip(); /* then the test before was one */
    deeds(true);
}

static void files_outside_cannot_be_read(void **state)
{
    (void)state;
    struct ft_sandbox_report r;
    struct ft_err err;
    assert_int_equal(ft_sandbox_probe(&r, &err), 0);
    if (r.landlock == 0) {
        print_message("[ SKIPPED  ] no Landlock in this kernel\n");
        skip();
    }
    assert_int_equal(inside(read_outside), REFUSED);
    assert_int_equal(inside(read_the_parents_environment), REFUSED);
}

static int write_below_the_folder(void)
{
    char word[8];
    int fd = open(path("work/new"), O_RDWR | O_CREAT | O_EXCL, 0600);
    bool ok = fd >= 0 && write(fd, "words", 5) == 5 && fsync(fd) == 0;
    ok = ok && pread(fd, word, sizeof word, 0) == 5 && close(fd) == 0;
    ok = ok && mkdir(path("work/sub"), 0700) == 0;
    ok = ok && rename(path("work/new"), path("work/sub/moved")) == 0;
    ok = ok && unlink(path("work/sub/moved")) == 0 && rmdir(path("work/sub")) == 0;
    return verdict(ok);
}

static int write_beside_the_folder(void)
{
    int fd = open(path("in/model"), O_WRONLY);
    return verdict(fd >= 0 || mkdir(path("in/sub"), 0700) == 0 || unlink(path("in/model")) == 0);
}

static void one_folder_can_be_written(void **state)
{
    (void)state;
    struct ft_sandbox_report r;
    struct ft_err err;
    assert_int_equal(ft_sandbox_probe(&r, &err), 0);
    may_write = true;
    assert_int_equal(inside(write_below_the_folder), DONE);
    assert_int_equal(inside(run_a_program), KILLED_SYS);
    assert_int_equal(inside(make_a_socket), REFUSED);
    if (r.landlock > 0) {
        assert_int_equal(inside(write_beside_the_folder), REFUSED);
        assert_int_equal(inside(read_outside), REFUSED);
    }
    may_write = false;
    assert_int_equal(inside(write_below_the_folder), REFUSED);
}

static void the_listener_still_accepts(void **state)
{
    (void)state;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path("sock"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(send(fd, "x", 1, 0), 1);
    assert_int_equal(inside(serve_one), DONE);
    close(fd);
}

static void the_report_says_what_holds(void **state)
{
    (void)state;
    struct ft_sandbox_report r;
    struct ft_err err;
    assert_int_equal(ft_sandbox_probe(&r, &err), 0);
    print_message("%s\n", r.text);
    assert_true(r.seccomp && r.no_new_privs && r.no_capabilities);
    assert_non_null(strstr(r.text, "system calls filtered"));
    assert_non_null(strstr(r.text, r.landlock > 0 ? "held by Landlock" : "no Landlock"));
}

static int enter_missing(void)
{
    const char *read[] = {"/no/such/folder"};
    const struct ft_sandbox_cfg cfg = {.read_paths = read, .n_read_paths = 1};
    struct ft_sandbox_report r;
    struct ft_err err;
    return ft_sandbox_enter(&cfg, &r, &err) == FT_ENOTFOUND &&
           strstr(err.msg, "/no/such/folder") != NULL;
}

static void *wait_for_ever(void *arg)
{
    pause();
    return arg;
}

static int enter_with_threads(void)
{
    pthread_t t;
    const struct ft_sandbox_cfg cfg = {.best_effort = true};
    struct ft_sandbox_report r;
    struct ft_err err;
    pthread_create(&t, NULL, wait_for_ever, NULL);
    return ft_sandbox_enter(&cfg, &r, &err) == FT_EINVAL && strstr(err.msg, "threads") != NULL;
}

static int outside(deed_fn *deed)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(deed());
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void what_cannot_hold_is_refused(void **state)
{
    (void)state;
    struct ft_sandbox_report r;
    struct ft_err err;
    assert_int_equal(ft_sandbox_probe(&r, &err), 0);
    if (r.landlock > 0)
        assert_int_equal(outside(enter_missing), 1);
    assert_int_equal(outside(enter_with_threads), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_gets_out),
        cmocka_unit_test(nothing_gets_out_of_a_plain_user_either),
        cmocka_unit_test(files_outside_cannot_be_read),
        cmocka_unit_test(one_folder_can_be_written),
        cmocka_unit_test(the_listener_still_accepts),
        cmocka_unit_test(the_report_says_what_holds),
        cmocka_unit_test(what_cannot_hold_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
