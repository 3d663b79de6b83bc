/* What the machine offers: processor, memory, disk, limits, isolation, clock. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
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
#include "base/memory.h"
#include "cli/cloud/doctor.h"
#include "cli/table.h"
#include "sched/cgroup.h"
#include "sched/sandbox.h"

#define SYNCS        16         /* of a small file, to time them */
#define SYNC_SLOW_MS 20         /* a commit of the state store takes two */
#define FILES_FEW    4096       /* open files: two a stream, and those of the models */
#define YEAR_2025    1735689600 /* nothing of ours is older */
#define NFS_MAGIC    0x6969
#define CIFS_MAGIC   0xff534d42
#define GIB          ((uint64_t)1 << 30)

void ft_doctor_processor(struct ft_doctor *d)
{
    enum ft_cpu_isa isa = ft_cpu_isa_best();
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    ft_doctor_say(d, isa == FT_CPU_PLAIN ? FT_DOCTOR_WARN : FT_DOCTOR_OK, "processor",
                  "it works, many times slower than on a processor with AVX2",
                  "%ld core%s, vectors: %s", cores, cores == 1 ? "" : "s", ft_cpu_isa_name(isa));
}

void ft_doctor_memory(struct ft_doctor *d)
{
    uint64_t left = ft_memory_available();
    char text[FT_FIGURE_BYTES];
    ft_doctor_say(d,
                  left < GIB / 4 ? FT_DOCTOR_BAD
                  : left < GIB   ? FT_DOCTOR_WARN
                                 : FT_DOCTOR_OK,
                  "memory", "enough for nano alone: free some, or raise the container's limit",
                  "%s can be taken", ft_figure_bytes(text, left));
}

void ft_doctor_existing(const char *path, char *ret, size_t n)
{
    snprintf(ret, n, "%s", path);
    while (access(ret, F_OK) != 0 && strrchr(ret, '/') > ret)
        *strrchr(ret, '/') = '\0';
}

int ft_doctor_probe(const char *folder)
{
    char path[FT_HOME_PATH + 32];
    snprintf(path, sizeof path, "%s/.doctor-XXXXXX", folder);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* Milliseconds for a small write to be on the disk; negative: it cannot be tried. */
static double time_sync(const char *folder)
{
    int fd = ft_doctor_probe(folder);
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

void ft_doctor_disk(struct ft_doctor *d)
{
    char folder[FT_HOME_PATH], text[FT_FIGURE_BYTES];
    struct statvfs v;
    struct statfs f;
    ft_doctor_existing(d->home.path, folder, sizeof folder);
    if (statvfs(folder, &v) != 0 || statfs(folder, &f) != 0) {
        ft_doctor_say(d, FT_DOCTOR_BAD, "disk", "", "%s: %s", folder, strerror(errno));
        return;
    }
    uint64_t room = (uint64_t)v.f_bavail * v.f_frsize;
    ft_doctor_say(d,
                  room < GIB / 4   ? FT_DOCTOR_BAD
                  : room < 5 * GIB ? FT_DOCTOR_WARN
                                   : FT_DOCTOR_OK,
                  "disk", "models take gigabytes: make room, or take another folder (--home)",
                  "%s free in %s", ft_figure_bytes(text, room), folder);
    if (f.f_type == NFS_MAGIC || (unsigned)f.f_type == CIFS_MAGIC)
        ft_doctor_say(d, FT_DOCTOR_WARN, "disk",
                      "the state store wants locks and syncs that hold: take a local disk for "
                      "--home (models may be links to elsewhere)",
                      "%s is on a network file system", folder);
    double ms = time_sync(folder);
    if (ms < 0 && strcmp(folder, d->home.path) != 0)
        return; /* there is no home yet; what is in its way is said of it */
    if (ms < 0)
        ft_doctor_say(d, FT_DOCTOR_BAD, "disk", "let the user who runs feitian write there",
                      "%s cannot be written: %s", folder, strerror(errno));
    else
        ft_doctor_say(d, ms > SYNC_SLOW_MS ? FT_DOCTOR_WARN : FT_DOCTOR_OK, "disk",
                      "changes and usage are committed that slowly; calls are not held up",
                      "a small write is safe after %.1f ms", ms);
}

void ft_doctor_limits(struct ft_doctor *d)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return;
    ft_doctor_say(d, files.rlim_max < FILES_FEW ? FT_DOCTOR_WARN : FT_DOCTOR_OK, "limits",
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

void ft_doctor_sandbox(struct ft_doctor *d)
{
    struct ft_sandbox_report r = {0};
    struct ft_err err = {0};
    char text[128];
    int memory = 0, cpu = 0, pids = 0;
    if (ft_sandbox_probe(&r, &err) != 0)
        ft_doctor_say(d, FT_DOCTOR_BAD, "sandbox", "", "%s", err.msg);
    else
        ft_doctor_say(d, r.seccomp && r.landlock > 0 ? FT_DOCTOR_OK : FT_DOCTOR_WARN, "sandbox",
                      "workers are less confined here: load model files that you trust, or use a "
                      "newer kernel with Landlock",
                      "%s", r.text);
    find_groups(text, sizeof text);
    if (sscanf(text, "%d %d %d", &memory, &cpu, &pids) != 3 || memory == 0)
        ft_doctor_say(d, FT_DOCTOR_WARN, "cgroups",
                      "workers' memory is limited by the process instead; for groups, start it by "
                      "systemd (Delegate=yes) or as root",
                      "no control group can be made for memory here");
    else
        ft_doctor_say(d, FT_DOCTOR_OK, "cgroups", "", "memory: version %d, processors: %s", memory,
                      cpu != 0 ? "by weight" : "by nice");
}

void ft_doctor_clock(struct ft_doctor *d)
{
    char path[FT_HOME_PATH], text[32];
    struct stat st;
    time_t now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &t);
    bool ahead =
        stat(ft_home_at(&d->home, "state/state.db", path), &st) == 0 && st.st_mtime > now + 60;
    ft_doctor_say(d, now < YEAR_2025 || ahead ? FT_DOCTOR_BAD : FT_DOCTOR_OK, "clock",
                  "set the clock: budgets, keys' ends and usage go by it", "%s UTC%s", text,
                  ahead ? ", before the last change of the state store" : "");
}
