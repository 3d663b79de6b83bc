/* A tar that says that it is a backup, and lines that say that they are of a manifest: whatever
 * they hold, names stay within, and reading ends. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backup/impl.h"

static void read_all(const char *path)
{
    static const struct ft_backup_watch watch = {0};
    struct ft_backup_in *in = NULL;
    struct ft_backup_member m;
    struct ft_err err;
    if (ft_backup_open(path, &watch, &in, &err) != 0)
        return;
    while (ft_backup_next(in, &m, &err) == 1)
        FT_ASSERT(ft_bk_name_ok(m.name) && (m.kind != FT_BACKUP_LINK || ft_bk_name_ok(m.target)));
    ft_backup_close(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char text[BACKUP_LINE_MAX], path[64];
    struct ft_bk_line l;
    snprintf(text, sizeof text, "%.*s", (int)FT_MIN(n, sizeof text - 1), (const char *)data);
    if (ft_bk_line_parse(text, &l) && l.kind == LINE_FILE) {
        char again[BACKUP_LINE_MAX];
        ft_bk_line_file(l.hex, l.name, again);
        FT_ASSERT(ft_bk_line_parse(strtok(again, "\n"), &l));
    }
    int fd = memfd_create("backup", MFD_CLOEXEC);
    if (fd < 0)
        return 0;
    if (write(fd, data, n) == (ssize_t)n) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        read_all(path);
    }
    close(fd);
    return 0;
}
