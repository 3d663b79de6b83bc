/* Reads /proc/PID. See process.h. */
#include "monitor/process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STAT_BYTES_MAX 2048
#define FDS_MAX        1000000 /* counted at most */

/* Fields of /proc/PID/stat behind the name: proc(5) counts from 3. */
enum { FIELD_UTIME = 14, FIELD_STIME = 15, FIELD_THREADS = 20, FIELD_START = 22, FIELD_LAST = 24 };

static int64_t count_fds(const char *folder)
{
    DIR *d = opendir(folder);
    int64_t n = 0;
    if (d == NULL)
        return -1;
    for (const struct dirent *e; n < FDS_MAX && (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static int64_t limit_of_fds(const char *path)
{
    static const char name[] = "Max open files";
    char line[256];
    int64_t limit = -1;
    FILE *f = fopen(path, "re");
    while (f != NULL && limit < 0 && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, name, sizeof name - 1) == 0)
            limit = strtoll(line + sizeof name - 1, NULL, 10);
    if (f != NULL)
        fclose(f);
    return limit;
}

/* When the process's clock began to tick, as unix time. */
static double boot_s(void)
{
    struct timespec wall, up;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &up);
    return (double)(wall.tv_sec - up.tv_sec) + (double)(wall.tv_nsec - up.tv_nsec) / 1e9;
}

static int read_stat(const char *path, char text[STAT_BYTES_MAX], struct ft_err *err)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return ft_err_sys(err, "open %s", path);
    size_t n = fread(text, 1, STAT_BYTES_MAX - 1, f);
    fclose(f);
    text[n] = '\0';
    return 0;
}

int ft_process_info(int64_t pid, struct ft_process_info *ret, struct ft_err *err)
{
    char folder[40], path[64], text[STAT_BYTES_MAX];
    int64_t field[FIELD_LAST + 1] = {0};
    if (pid == 0)
        snprintf(folder, sizeof folder, "/proc/self");
    else
        snprintf(folder, sizeof folder, "/proc/%lld", (long long)pid);
    snprintf(path, sizeof path, "%s/stat", folder);
    int rc = read_stat(path, text, err);
    if (rc != 0)
        return rc;
    const char *at = strrchr(text, ')'); /* the name before it may hold anything */
    for (int i = 3; at != NULL && i <= FIELD_LAST; i++) {
        at = strchr(at, ' ');
        if (at == NULL)
            break;
        field[i] = strtoll(++at, NULL, 10);
    }
    if (at == NULL)
        return ft_err_set(err, FT_ECORRUPT, "%s: not as expected", path);
    double tick = (double)sysconf(_SC_CLK_TCK);
    *ret =
        (struct ft_process_info){.cpu_s = (double)(field[FIELD_UTIME] + field[FIELD_STIME]) / tick,
                                 .start_s = boot_s() + (double)field[FIELD_START] / tick,
                                 .virtual_bytes = field[FIELD_LAST - 1],
                                 .resident_bytes = field[FIELD_LAST] * sysconf(_SC_PAGESIZE),
                                 .threads = (int)field[FIELD_THREADS]};
    snprintf(path, sizeof path, "%s/fd", folder);
    ret->open_fds = count_fds(path);
    snprintf(path, sizeof path, "%s/limits", folder);
    ret->max_fds = limit_of_fds(path);
    return 0;
}
