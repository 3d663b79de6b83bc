/* The checks. Those of the machine were found by what clouds stumbled upon: slow syncs, network
 * file systems, few open files, no control groups, clocks that are wrong. */
#include "monitor/checks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu_isa.h"
#include "base/figure.h"
#include "base/memory.h"
#include "sched/cgroup.h"
#include "sched/sandbox.h"

#define PATH_BYTES   4096
#define SYNCS        16         /* of a small file, to time them */
#define SYNC_SLOW_MS 20         /* a commit of the state store takes two */
#define FILES_FEW    4096       /* open files: two a stream, and those of the models */
#define YEAR_2025    1735689600 /* nothing of ours is older */
#define NFS_MAGIC    0x6969
#define CIFS_MAGIC   0xff534d42
#define GIB          ((uint64_t)1 << 30)

const char *const ft_check_level_name[] = {"ok", "warn", "bad"};

void ft_check_say(const struct ft_checks *c, enum ft_check_level level, const char *check,
                  const char *mend, const char *fmt, ...)
{
    char text[FT_CHECK_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->say(c->ctx, level, check, level == FT_CHECK_OK ? "" : mend, text);
}

/* A path in the home, into path (PATH_BYTES), which is returned. */
static const char *at(const struct ft_checks *c, const char *name, char *path)
{
    snprintf(path, PATH_BYTES, "%s/%s", c->home, name);
    return path;
}

/* ---- the machine ---- */

void ft_check_processor(const struct ft_checks *c)
{
    enum ft_cpu_isa isa = ft_cpu_isa_best();
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    ft_check_say(c, isa == FT_CPU_PLAIN ? FT_CHECK_WARN : FT_CHECK_OK, "processor",
                 "it works, many times slower than on a processor with AVX2",
                 "%ld core%s, vectors: %s", cores, cores == 1 ? "" : "s", ft_cpu_isa_name(isa));
}

void ft_check_memory(const struct ft_checks *c)
{
    uint64_t left = ft_memory_available();
    char text[FT_FIGURE_BYTES];
    ft_check_say(c,
                 left < GIB / 4 ? FT_CHECK_BAD
                 : left < GIB   ? FT_CHECK_WARN
                                : FT_CHECK_OK,
                 "memory", "enough for nano alone: free some, or raise the container's limit",
                 "%s can be taken", ft_figure_bytes(text, left));
}

static void existing(const char *path, char *ret, size_t n)
{
    snprintf(ret, n, "%s", path);
    while (access(ret, F_OK) != 0 && strrchr(ret, '/') > ret)
        *strrchr(ret, '/') = '\0';
}

static int probe(const char *folder)
{
    char path[PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/.doctor-XXXXXX", folder);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* Milliseconds for a small write to be on the disk; negative: it cannot be tried. */
static double time_sync(const char *folder)
{
    int fd = probe(folder);
    if (fd < 0)
        return -1;
    int64_t begun = ft_clock_now_ns();
    bool ok = true;
    for (int i = 0; ok && i < SYNCS; i++)
        ok = pwrite(fd, "feitian", 7, i * 4096) == 7 && fsync(fd) == 0;
    int64_t took = ft_clock_now_ns() - begun;
    close(fd);
    return ok ? (double)took / 1e6 / SYNCS : -1;
}

void ft_check_disk(const struct ft_checks *c)
{
    char folder[PATH_BYTES], text[FT_FIGURE_BYTES];
    struct statvfs v;
    struct statfs f;
    existing(c->home, folder, sizeof folder);
    if (statvfs(folder, &v) != 0 || statfs(folder, &f) != 0) {
        ft_check_say(c, FT_CHECK_BAD, "disk", "", "%s: %s", folder, strerror(errno));
        return;
    }
    uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
    ft_check_say(c,
                 room < GIB / 4   ? FT_CHECK_BAD
                 : room < 5 * GIB ? FT_CHECK_WARN
                                  : FT_CHECK_OK,
                 "disk", "models take gigabytes: make room, or take another folder (--home)",
                 "%s free in %s", ft_figure_bytes(text, room), folder);
    if (f.f_type == NFS_MAGIC || (unsigned)f.f_type == CIFS_MAGIC)
        ft_check_say(c, FT_CHECK_WARN, "disk",
                     "the state store wants locks and syncs that hold: take a local disk for "
                     "--home (models may be links to elsewhere)",
                     "%s is on a network file system", folder);
    double ms = time_sync(folder);
    if (ms < 0 && strcmp(folder, c->home) != 0)
        return; /* there is no home yet; what is in its way is said of it */
    if (ms < 0)
        ft_check_say(c, FT_CHECK_BAD, "disk", "let the user who runs feitian write there",
                     "%s cannot be written: %s", folder, strerror(errno));
    else
        ft_check_say(c, ms > SYNC_SLOW_MS ? FT_CHECK_WARN : FT_CHECK_OK, "disk",
                     "changes and usage are committed that slowly; calls are not held up",
                     "a small write is safe after %.1f ms", ms);
}

void ft_check_limits(const struct ft_checks *c)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    ft_check_say(c, files.rlim_max < FILES_FEW ? FT_CHECK_WARN : FT_CHECK_OK, "limits",
                 "raise it: LimitNOFILE=65536 in the unit, or ulimit -Hn 65536",
                 "%llu open files (hard limit %llu)", (unsigned long long)files.rlim_cur,
                 (unsigned long long)files.rlim_max);
}

/* In a child: looking may move the process into a group of its own. */
static void find_groups(char *ret, size_t n)
{
    int pipes[2];
    ret[0] = '\0';
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        static struct ft_cgroup_base base;
        char text[128];
        ft_cgroup_find("", &base);
        for (int k = 0; k < FT_CGROUP_KINDS; k++) /* another user's can be seen, no more */
            if (access(base.path[k], W_OK) != 0)
                base.version[k] = 0;
        int len = snprintf(text, sizeof text, "%d %d %d", base.version[FT_CGROUP_MEMORY],
                           base.version[FT_CGROUP_CPU], base.version[FT_CGROUP_PIDS]);
        _exit(write(pipes[1], text, (size_t)len) == len ? 0 : 1);
    }
    close(pipes[1]);
    ssize_t got = child > 0 ? read(pipes[0], ret, n - 1) : 0;
    ret[got > 0 ? got : 0] = '\0';
    close(pipes[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
}

void ft_check_sandbox(const struct ft_checks *c)
{
    struct ft_sandbox_report r = {0};
    struct ft_err err = {0};
    char text[128];
    int memory = 0, cpu = 0, pids = 0;
    if (ft_sandbox_probe(&r, &err) != 0)
        ft_check_say(c, FT_CHECK_BAD, "sandbox", "", "%s", err.msg);
    else
        ft_check_say(c, r.seccomp && r.landlock > 0 ? FT_CHECK_OK : FT_CHECK_WARN, "sandbox",
                     "workers are less confined here: load model files that you trust, or use a "
                     "newer kernel with Landlock",
                     "%s", r.text);
    find_groups(text, sizeof text);
    if (sscanf(text, "%d %d %d", &memory, &cpu, &pids) != 3 || memory == 0)
        ft_check_say(c, FT_CHECK_WARN, "cgroups",
                     "workers' memory is limited by the process instead; for groups, start it by "
                     "systemd (Delegate=yes) or as root",
                     "no control group can be made for memory here");
    else
        ft_check_say(c, FT_CHECK_OK, "cgroups", "", "memory: version %d, processors: %s", memory,
                     cpu != 0 ? "by weight" : "by nice");
}

void ft_check_clock(const struct ft_checks *c)
{
    char path[PATH_BYTES], text[32];
    struct stat st;
    time_t now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &t);
    bool ahead = stat(at(c, "state/state.db", path), &st) == 0 && st.st_mtime > now + 60;
    ft_check_say(c, now < YEAR_2025 || ahead ? FT_CHECK_BAD : FT_CHECK_OK, "clock",
                 "set the clock: budgets, keys' ends and usage go by it", "%s UTC%s", text,
                 ahead ? ", before the last change of the state store" : "");
}

/* ---- the folder ---- */

/* There is no home: `up` makes it and no folder above it. */
static void look_where_it_will_be(const struct ft_checks *c, int why)
{
    char above[PATH_BYTES], parent[PATH_BYTES];
    int fd = -1;
    snprintf(parent, sizeof parent, "%s", c->home);
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    existing(c->home, above, sizeof above);
    if (why != ENOENT)
        ft_check_say(c, FT_CHECK_BAD, "home",
                     "see to it that the user who runs feitian can reach it", "%s: %s", c->home,
                     strerror(why));
    else if (access(parent, F_OK) != 0)
        ft_check_say(c, FT_CHECK_BAD, "home", "make that folder, or choose another by --home",
                     "%s is not there yet, nor is %s, where 'feitian up' would make it", c->home,
                     parent);
    else if ((fd = probe(above)) < 0)
        ft_check_say(c, FT_CHECK_BAD, "home",
                     "let the user who runs feitian write there, or choose another by --home",
                     "%s is not there yet, and %s cannot be written: %s", c->home, above,
                     strerror(errno));
    else
        ft_check_say(c, FT_CHECK_OK, "home", "", "%s is not there yet; 'feitian up' makes it",
                     c->home);
    if (fd >= 0)
        close(fd);
}

void ft_check_home(const struct ft_checks *c)
{
    struct stat st;
    char path[PATH_BYTES], mend[PATH_BYTES + 64];
    if (stat(c->home, &st) != 0) {
        look_where_it_will_be(c, errno);
        return;
    }
    snprintf(mend, sizeof mend, "chmod 700 %s", c->home);
    if (!S_ISDIR(st.st_mode))
        ft_check_say(c, FT_CHECK_BAD, "home", "take it away, or choose another by --home",
                     "%s is no folder", c->home);
    else if (access(c->home, W_OK | X_OK) != 0)
        ft_check_say(c, FT_CHECK_BAD, "home",
                     "run feitian as the user whom it belongs to, or choose another by --home",
                     "%s cannot be written", c->home);
    else if (st.st_uid != geteuid())
        ft_check_say(c, FT_CHECK_WARN, "home", "run feitian as that user",
                     "%s belongs to another user (%u)", c->home, (unsigned)st.st_uid);
    else
        ft_check_say(c, (st.st_mode & 077) != 0 ? FT_CHECK_WARN : FT_CHECK_OK, "home", mend, "%s%s",
                     c->home, (st.st_mode & 077) != 0 ? " can be entered by others" : "");
    if (stat(at(c, "credentials.json", path), &st) == 0 && (st.st_mode & 077) != 0) {
        snprintf(mend, sizeof mend, "chmod 600 %s", path);
        ft_check_say(c, FT_CHECK_BAD, "home", mend, "others can read the key in %s", path);
    }
}

/* ---- what runs ---- */

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text != NULL ? text : "";
}

static void look_at_storage(const struct ft_checks *c, const json_t *storage)
{
    const json_t *scrub = json_object_get(storage, "scrub");
    const char *where = text_of(storage, "where");
    if (storage == NULL)
        return;
    if (!json_is_true(json_object_get(storage, "open")))
        ft_check_say(c, FT_CHECK_BAD, "storage",
                     "see to the folder and its disk, or, for an S3 server, to its keys in "
                     "storage.json of the "
                     "cloud's folder; it is tried again by itself, and chats go on",
                     "objects, files and models of the hub cannot be had: %s",
                     text_of(storage, "trouble"));
    else if (json_array_size(json_object_get(scrub, "found")) > 0 ||
             json_integer_value(json_object_get(scrub, "faults")) > 0)
        ft_check_say(
            c, FT_CHECK_BAD, "storage",
            "'feitian blob check' lists what it is: put it back from a copy, and see to the "
            "disk",
            "something in %s is not as it was written; it is not served", where);
    else
        ft_check_say(c, FT_CHECK_OK, "storage", "", "open in %s", where);
}

void ft_check_live(const struct ft_checks *c, const json_t *status)
{
    const char *trouble = text_of(json_object_get(status, "ledger"), "trouble");
    if (!json_is_true(json_object_get(json_object_get(status, "control"), "connected")))
        ft_check_say(c, FT_CHECK_BAD, "cloud", "see logs/feitian.log for what control says",
                     "the admin side does not answer; calls with known keys go on");
    if (trouble[0] != '\0')
        ft_check_say(c, FT_CHECK_BAD, "cloud", "see to the disk; usage is kept until then",
                     "ledger: %s", trouble);
    look_at_storage(c, json_object_get(status, "storage"));
}
