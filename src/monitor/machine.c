/* What the kernel counts: proc(5), /proc/stat and statvfs. */
#include "monitor/machine.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"

int64_t ft_machine_busy_ticks(const char *line)
{
    long long v[8] = {0};
    int n = sscanf(line, "cpu %lld %lld %lld %lld %lld %lld %lld %lld", &v[0], &v[1], &v[2], &v[3],
                   &v[4], &v[5], &v[6], &v[7]);
    if (n < 4)
        return -1;
    /* all but idle and iowait; guests' time is in user's and nice's already */
    return v[0] + v[1] + v[2] + v[5] + v[6] + v[7];
}

int ft_machine_read(const char *path, struct ft_machine *ret, struct ft_err *err)
{
    char line[256] = "";
    struct sysinfo s;
    struct statvfs v;
    FILE *f = fopen("/proc/stat", "re");
    if (f == NULL)
        return ft_err_sys(err, "open /proc/stat");
    bool read = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    int64_t ticks = read ? ft_machine_busy_ticks(line) : -1;
    if (ticks < 0 || sysinfo(&s) != 0)
        return ft_err_set(err, FT_EUNSUPPORTED, "/proc/stat cannot be read");
    *ret = (struct ft_machine){.at_ns = ft_clock_now_ns(),
                               .cpu_s = (double)ticks / (double)sysconf(_SC_CLK_TCK),
                               .memory_total = (int64_t)s.totalram * s.mem_unit,
                               .memory_left = (int64_t)ft_memory_available(),
                               .disk_free = -1,
                               .disk = -1};
    if (statvfs(path, &v) == 0) {
        ret->disk_free = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
        ret->disk = (int64_t)v.f_blocks * (int64_t)v.f_frsize;
    }
    return 0;
}

double ft_machine_cores(const struct ft_machine *before, const struct ft_machine *now)
{
    double s = (double)(now->at_ns - before->at_ns) / 1e9;
    return s > 0 && now->cpu_s >= before->cpu_s ? (now->cpu_s - before->cpu_s) / s : NAN;
}
