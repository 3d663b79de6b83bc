/* The writer keeps its file descriptor and knows of nothing, so the file is copied and cut, not
 * renamed. */
#include "sched/log_rotate.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4096

void ft_log_rotate(const char *path, int64_t max_bytes)
{
    char old[PATH_BYTES_MAX];
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= max_bytes ||
        snprintf(old, sizeof old, "%s.1", path) >= (int)sizeof old)
        return;
    int from = open(path, O_RDWR | O_CLOEXEC);
    int to = open(old, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    off_t at = st.st_size - max_bytes;
    int64_t left = max_bytes;
    while (from >= 0 && to >= 0 && left > 0) {
        ssize_t n = sendfile(to, from, &at, (size_t)left);
        if (n <= 0)
            break;
        left -= n;
    }
    if (from >= 0 && to >= 0 && ftruncate(from, 0) != 0) {
        /* it grows on; the next look tries again */
    }
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
}
