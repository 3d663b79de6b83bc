/* Control groups: found by /proc/self/{cgroup,mountinfo}, made with mkdir, set by writing files.
 * cgroups(7); Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of the kernel. */
#include "sched/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX   4096
#define LINES_MAX        4096 /* of mountinfo and cgroup */
#define REMOVE_TRIES     50
#define REMOVE_PAUSE_NS  (10 * 1000000)
#define SELF             "feitian-self"
#define SWEEP_GROUPS_MAX 4096

static const char *const CONTROLLER[FT_CGROUP_KINDS] = {"memory", "cpu", "pids"};

/* ---- small files ---- */

/* errno on failure, else 0. */
static int put(const char *folder, const char *file, const char *text)
{
    char path[FT_CGROUP_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    ssize_t n = write(fd, text, strlen(text));
    int e = n < 0 ? errno : 0;
    close(fd);
    return e;
}

/* NUL-terminated; false if there is none. */
static bool get(const char *folder, const char *file, char *ret, size_t n)
{
    char path[FT_CGROUP_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, ret, n - 1);
    close(fd);
    if (got < 0)
        return false;
    ret[got] = 0;
    return true;
}

/* Is word one of those in text, parted by any of `by`? */
static bool has_word(const char *text, const char *word, const char *by)
{
    size_t n = strlen(word);
    for (const char *p = text; *p != 0;) {
        size_t k = strcspn(p, by);
        if (k == n && memcmp(p, word, n) == 0)
            return true;
        p += k;
        p += strspn(p, by);
    }
    return false;
}

/* ---- where ---- */

/* The line of /proc/self/cgroup for a controller ("" for v2): its path in *ret. */
static bool own_path(const char *root, const char *controller, char *ret, size_t n)
{
    char name[FT_CGROUP_PATH_MAX], line[LINE_BYTES_MAX];
    snprintf(name, sizeof name, "%s/proc/self/cgroup", root);
    FILE *f = fopen(name, "re");
    if (f == NULL)
        return false;
    bool found = false;
    for (int i = 0; i < LINES_MAX && !found && fgets(line, sizeof line, f) != NULL; i++) {
        line[strcspn(line, "\n")] = 0;
        char *list = strchr(line, ':');
        char *path = list == NULL ? NULL : strchr(list + 1, ':');
        if (path == NULL)
            continue;
        *path++ = 0;
        list++;
        found = controller[0] == 0 ? list[0] == 0 : has_word(list, controller, ",");
        if (found)
            found = snprintf(ret, n, "%s", path) < (int)n;
    }
    fclose(f);
    return found;
}

/* The mount of a controller's hierarchy ("" for v2): the group that is its root, and where. */
static bool mount_of(const char *root, const char *controller, char *ret_top, char *ret_point,
                     size_t n)
{
    char name[FT_CGROUP_PATH_MAX], line[LINE_BYTES_MAX];
    snprintf(name, sizeof name, "%s/proc/self/mountinfo", root);
    FILE *f = fopen(name, "re");
    if (f == NULL)
        return false;
    bool found = false;
    for (int i = 0; i < LINES_MAX && !found && fgets(line, sizeof line, f) != NULL; i++) {
        char top[FT_CGROUP_PATH_MAX], point[FT_CGROUP_PATH_MAX], type[32], options[512];
        const char *dash = strstr(line, " - ");
        if (dash == NULL || sscanf(line, "%*s %*s %*s %511s %511s", top, point) != 2 ||
            sscanf(dash, " - %31s %*s %511s", type, options) != 2)
            continue;
        if (controller[0] == 0)
            found = strcmp(type, "cgroup2") == 0;
        else
            found = strcmp(type, "cgroup") == 0 && has_word(options, controller, ",");
        if (found && strchr(point, '\\') == NULL) /* escapes: nobody mounts it so */
            found = snprintf(ret_top, n, "%s", top) < (int)n &&
                    snprintf(ret_point, n, "%s%s", root, point) < (int)n;
    }
    fclose(f);
    return found;
}

/* The folder of this process's own group. */
static bool own_folder(const char *root, const char *controller, char *ret)
{
    char top[FT_CGROUP_PATH_MAX], point[FT_CGROUP_PATH_MAX], path[FT_CGROUP_PATH_MAX];
    if (!mount_of(root, controller, top, point, sizeof top) ||
        !own_path(root, controller, path, sizeof path))
        return false;
    /* a container may see a part of the hierarchy only, mounted as if it were the whole */
    size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);
    const char *below = strncmp(path, top, n) == 0 ? path + n : "";
    if (strcmp(below, "/") == 0)
        below = "";
    int k = snprintf(ret, FT_CGROUP_PATH_MAX, "%s%s", point, below);
    if (k < FT_CGROUP_PATH_MAX && access(ret, F_OK) == 0)
        return true;
    k = snprintf(ret, FT_CGROUP_PATH_MAX, "%s", point);
    return k < FT_CGROUP_PATH_MAX && access(ret, F_OK) == 0;
}

/* v2: lets children of `base` have limits of these kinds. A group with processes in it may not, so
 * this one moves out of the way if it is there; other processes stay, and then it fails. */
static bool delegate(const char *base, bool is_own, const char *wanted)
{
    int e = put(base, "cgroup.subtree_control", wanted);
    if (e != EBUSY || !is_own)
        return e == 0;
    char leaf[FT_CGROUP_PATH_MAX + 32], pid[32];
    snprintf(leaf, sizeof leaf, "%s/" SELF, base);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    if ((mkdir(leaf, 0755) != 0 && errno != EEXIST) || put(leaf, "cgroup.procs", pid) != 0)
        return false;
    if (put(base, "cgroup.subtree_control", wanted) == 0)
        return true;
    put(base, "cgroup.procs", pid);
    rmdir(leaf);
    return false;
}

static void find_v2(const char *root, struct ft_cgroup_base *base)
{
    char own[FT_CGROUP_PATH_MAX], there[512], wanted[64] = "";
    bool have[FT_CGROUP_KINDS] = {false};
    if (!own_folder(root, "", own))
        return;
    char *last = strrchr(own, '/');
    bool in_leaf = last != NULL && strcmp(last + 1, SELF) == 0;
    if (in_leaf)
        *last = 0;
    if (!get(own, "cgroup.controllers", there, sizeof there))
        return;
    for (int k = 0; k < FT_CGROUP_KINDS; k++) {
        have[k] = base->version[k] == 0 && has_word(there, CONTROLLER[k], " \n");
        if (have[k]) {
            size_t n = strlen(wanted);
            snprintf(wanted + n, sizeof wanted - n, "%s+%s", n > 0 ? " " : "", CONTROLLER[k]);
        }
    }
    if (wanted[0] == 0 || !delegate(own, !in_leaf, wanted))
        return;
    for (int k = 0; k < FT_CGROUP_KINDS; k++) {
        if (have[k]) {
            base->version[k] = 2;
            snprintf(base->path[k], sizeof base->path[k], "%s", own);
        }
    }
}

void ft_cgroup_find(const char *root, struct ft_cgroup_base *ret_base)
{
    memset(ret_base, 0, sizeof *ret_base);
    for (int k = 0; k < FT_CGROUP_KINDS; k++)
        if (own_folder(root, CONTROLLER[k], ret_base->path[k]))
            ret_base->version[k] = 1;
    find_v2(root, ret_base);
}

/* ---- one task's groups ---- */

static bool set_memory(const char *path, int version, int64_t bytes)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)bytes);
    if (version == 1) {
        if (put(path, "memory.limit_in_bytes", text) != 0)
            return false;
        put(path, "memory.memsw.limit_in_bytes", text); /* where the kernel counts swap */
        return true;
    }
    if (put(path, "memory.max", text) != 0)
        return false;
    put(path, "memory.swap.max", "0");
    put(path, "memory.oom.group", "1");
    return true;
}

static bool set_limit(enum ft_cgroup_kind kind, const char *path, int version,
                      const struct ft_exec_limits *limits)
{
    char text[32];
    switch (kind) {
    case FT_CGROUP_MEMORY:
        return set_memory(path, version, limits->memory_bytes);
    case FT_CGROUP_CPU: /* 100 is the default of v2, 1024 the same of v1, whose least is 2 */
        if (version == 1) {
            snprintf(text, sizeof text, "%d", FT_MAX(2, limits->cpu_weight * 1024 / 100));
            return put(path, "cpu.shares", text) == 0;
        }
        snprintf(text, sizeof text, "%d", limits->cpu_weight);
        return put(path, "cpu.weight", text) == 0;
    default:
        snprintf(text, sizeof text, "%d", limits->threads_max);
        return put(path, "pids.max", text) == 0;
    }
}

/* Is the folder that of another kind too (v2)? */
static bool used_by_other(const struct ft_cgroup *g, int kind)
{
    for (int k = 0; k < FT_CGROUP_KINDS; k++)
        if (k != kind && strcmp(g->path[k], g->path[kind]) == 0)
            return true;
    return false;
}

static void drop(struct ft_cgroup *g, int kind)
{
    if (!used_by_other(g, kind))
        rmdir(g->path[kind]);
    g->path[kind][0] = 0;
}

void ft_cgroup_make(const struct ft_cgroup_base *base, const char *name,
                    const struct ft_exec_limits *limits, struct ft_cgroup *ret_group)
{
    const bool wanted[FT_CGROUP_KINDS] = {limits->memory_bytes > 0, limits->cpu_weight > 0,
                                          limits->threads_max > 0};
    memset(ret_group, 0, sizeof *ret_group);
    for (int k = 0; k < FT_CGROUP_KINDS; k++) {
        char *path = ret_group->path[k];
        if (!wanted[k] || base->version[k] == 0)
            continue;
        int n = snprintf(path, FT_CGROUP_PATH_MAX, "%s/%s", base->path[k], name);
        if (n >= FT_CGROUP_PATH_MAX || (mkdir(path, 0755) != 0 && errno != EEXIST))
            path[0] = 0;
        else if (!set_limit((enum ft_cgroup_kind)k, path, base->version[k], limits))
            drop(ret_group, k);
    }
}

void ft_cgroup_enter(struct ft_cgroup *group, pid_t pid)
{
    char text[32];
    snprintf(text, sizeof text, "%d", (int)pid);
    for (int k = 0; k < FT_CGROUP_KINDS; k++)
        if (group->path[k][0] != 0 && put(group->path[k], "cgroup.procs", text) != 0)
            drop(group, k);
}

bool ft_cgroup_out_of_memory(const struct ft_cgroup *group)
{
    char text[1024];
    const char *path = group->path[FT_CGROUP_MEMORY];
    if (path[0] == 0 || (!get(path, "memory.events", text, sizeof text) &&
                         !get(path, "memory.oom_control", text, sizeof text)))
        return false;
    const char *at = strstr(text, "oom_kill ");
    return at != NULL && strtoll(at + 9, NULL, 10) > 0;
}

static void kill_all(const char *path)
{
    char text[LINE_BYTES_MAX];
    if (put(path, "cgroup.kill", "1") == 0 || !get(path, "cgroup.procs", text, sizeof text))
        return;
    char *next = text;
    for (char *p = text; *p != 0; p = next) { /* a last number that was cut has no newline */
        long pid = strtol(p, &next, 10);
        if (next == p || *next != '\n')
            break;
        next++;
        if (pid > 1 && pid != getpid())
            kill((pid_t)pid, SIGKILL);
    }
}

void ft_cgroup_remove(const struct ft_cgroup *group)
{
    const struct timespec pause = {0, REMOVE_PAUSE_NS};
    for (int k = 0; k < FT_CGROUP_KINDS; k++) {
        const char *path = group->path[k];
        if (path[0] == 0)
            continue;
        for (int i = 0; i < REMOVE_TRIES; i++) {
            if (rmdir(path) == 0 || errno != EBUSY)
                break;
            kill_all(path);
            nanosleep(&pause, NULL);
        }
    }
}

void ft_cgroup_sweep(const struct ft_cgroup_base *base, const char *prefix)
{
    for (int k = 0; k < FT_CGROUP_KINDS; k++) {
        DIR *d = base->version[k] == 0 ? NULL : opendir(base->path[k]);
        if (d == NULL)
            continue;
        struct dirent *entry;
        for (int i = 0; i < SWEEP_GROUPS_MAX && (entry = readdir(d)) != NULL; i++)
            if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
                unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR); /* refused while in use */
        closedir(d);
    }
}
