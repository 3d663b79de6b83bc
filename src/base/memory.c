/* Memory left: /proc/meminfo and the control group's files. */
#include "base/memory.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#define PATH_BYTES 4352

/* The first number of a file; false if it has none ("max"). */
static bool read_number(const char *path, uint64_t *ret)
{
    FILE *f = fopen(path, "re");
    unsigned long long v;
    bool ok = f != NULL && fscanf(f, "%llu", &v) == 1;
    if (f != NULL)
        fclose(f);
    if (ok)
        *ret = v;
    return ok;
}

static uint64_t of_system(void)
{
    FILE *f = fopen("/proc/meminfo", "re");
    char line[256];
    unsigned long long kib = 0;
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1)
            break;
    if (f != NULL)
        fclose(f);
    return (uint64_t)kib << 10;
}

/* Limit less use of one group; UINT64_MAX without a limit. */
static uint64_t of_group(const char *folder, const char *limit, const char *use)
{
    char path[PATH_BYTES + 64];
    uint64_t most, used;
    snprintf(path, sizeof path, "%s/%s", folder, limit);
    if (!read_number(path, &most))
        return UINT64_MAX;
    snprintf(path, sizeof path, "%s/%s", folder, use);
    if (!read_number(path, &used))
        used = 0;
    return most > used ? most - used : 0;
}

/* The least over the process's groups and those above them. */
static uint64_t of_groups(void)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[PATH_BYTES - 64], folder[PATH_BYTES];
    uint64_t least = UINT64_MAX;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *kind = strchr(line, ':'), *path = kind != NULL ? strchr(kind + 1, ':') : NULL;
        if (path == NULL)
            continue;
        *path++ = 0;
        bool v2 = kind[1] == 0;
        if (!v2 && strstr(kind + 1, "memory") == NULL)
            continue;
        for (char *end = path + strlen(path); end != NULL; end = strrchr(path, '/')) {
            *end = 0;
            snprintf(folder, sizeof folder, "/sys/fs/cgroup%s%s", v2 ? "" : "/memory", path);
            uint64_t left = v2 ? of_group(folder, "memory.max", "memory.current")
                               : of_group(folder, "memory.limit_in_bytes", "memory.usage_in_bytes");
            least = FT_MIN(least, left);
        }
    }
    if (f != NULL)
        fclose(f);
    return least;
}

uint64_t ft_memory_available(void)
{
    uint64_t system = of_system(), groups = of_groups();
    return FT_MIN(system, groups);
}

uint64_t ft_memory_resident(pid_t pid)
{
    char path[64];
    unsigned long long pages = 0;
    snprintf(path, sizeof path, "/proc/%lld/statm", (long long)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%*s %llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
