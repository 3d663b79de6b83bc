/* See energy.h. */
#include "worker/energy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

static bool read_number(int fd, int64_t *ret)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return false;
    text[n] = '\0';
    char *end;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return end != text && errno == 0 && *ret >= 0;
}

static int open_in(const char *root, int package, const char *file)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/intel-rapl:%d/%s", root, package, file);
    return open(path, O_RDONLY | O_CLOEXEC);
}

void ft_energy_open(struct ft_energy *e, const char *root, const char *stat)
{
    *e = (struct ft_energy){.stat_fd = open(stat, O_RDONLY | O_CLOEXEC)};
    for (int i = 0; i < FT_ENERGY_PACKAGES_MAX && e->stat_fd >= 0; i++) {
        int64_t now, wrap = 0;
        int fd = open_in(root, i, "energy_uj"), range = open_in(root, i, "max_energy_range_uj");
        bool ok = fd >= 0 && range >= 0 && read_number(fd, &now) && read_number(range, &wrap);
        if (range >= 0)
            close(range);
        if (!ok || wrap <= 0) {
            if (fd >= 0)
                close(fd);
            break;
        }
        e->wrap_uj[e->n] = wrap;
        e->fd[e->n++] = fd;
    }
}

void ft_energy_close(struct ft_energy *e)
{
    for (int i = 0; i < e->n; i++)
        close(e->fd[i]);
    if (e->stat_fd >= 0)
        close(e->stat_fd);
    *e = (struct ft_energy){.stat_fd = -1};
}

int ft_energy_fds(const struct ft_energy *e, int *fd, int n)
{
    int got = 0;
    for (int i = 0; i < e->n && got < n; i++)
        fd[got++] = e->fd[i];
    if (e->stat_fd >= 0 && got < n)
        fd[got++] = e->stat_fd;
    return got;
}

/* First line of /proc/stat: "cpu user nice system idle iowait irq softirq steal ...", in ticks. */
static bool read_busy(int fd, int64_t *ret_us)
{
    char text[256];
    int64_t v[8] = {0};
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return false;
    text[n] = '\0';
    if (sscanf(text,
               "cpu %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
               " %" SCNd64 " %" SCNd64,
               &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) < 4)
        return false;
    long hz = sysconf(_SC_CLK_TCK);
    *ret_us = (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) * (1000000 / (hz > 0 ? hz : 100));
    return true;
}

void ft_energy_mark(const struct ft_energy *e, struct ft_energy_mark *ret)
{
    *ret = (struct ft_energy_mark){0};
    ret->read = e->n > 0 && read_busy(e->stat_fd, &ret->busy_us);
    for (int i = 0; i < e->n && ret->read; i++)
        ret->read = read_number(e->fd[i], &ret->uj[i]);
}

int64_t ft_energy_since(const struct ft_energy *e, const struct ft_energy_mark *from,
                        int64_t cpu_us, bool *ret_estimated)
{
    struct ft_energy_mark now;
    ft_energy_mark(e, &now);
    *ret_estimated = !from->read || !now.read;
    if (*ret_estimated)
        return cpu_us * FT_ENERGY_UJ_PER_CPU_US;
    int64_t spent = 0;
    for (int i = 0; i < e->n; i++)
        spent += now.uj[i] - from->uj[i] + (now.uj[i] < from->uj[i] ? e->wrap_uj[i] : 0);
    /* ticks are coarse: the machine was busy for at least what this took */
    int64_t busy = FT_MAX(now.busy_us - from->busy_us, cpu_us);
    return busy > 0 ? (int64_t)((double)spent * (double)cpu_us / (double)busy) : 0;
}
