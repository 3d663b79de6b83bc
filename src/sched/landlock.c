/* Raw system calls: the C library has no wrappers, and headers of Debian 12 know version 2. The
 * numbers are of Documentation/userspace-api/landlock.rst. */
#include "sched/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct landlock_ruleset_attr of version 6; older kernels take its beginning */
struct ruleset {
    uint64_t fs, net, scoped;
};

#define FS_V1       ((1ull << 13) - 1)
#define FS_REFER    (1ull << 13) /* version 2: linking and renaming across folders */
#define FS_TRUNCATE (1ull << 14) /* 3 */
#define FS_IOCTL    (1ull << 15) /* 5: of devices */
#define NET_TCP     3ull         /* 4: bind, connect */
#define SCOPED      3ull         /* 6: abstract sockets and signals of others */

#define FS_READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define FS_WRITE                                                                                   \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                              \
     LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR |   \
     FS_REFER | FS_TRUNCATE)
#define FS_READ (FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

int ft_landlock_version(void)
{
    long v = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return v < 0 ? 0 : (int)v;
}

static int allow(int rules, const char *path, uint64_t access, bool optional, struct ft_err *err)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 && optional)
        return 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        int e = ft_err_sys(err, "%s", path);
        if (fd >= 0)
            close(fd);
        return e;
    }
    const struct landlock_path_beneath_attr rule = {
        .allowed_access = S_ISDIR(st.st_mode) ? access : FS_READ_FILE, .parent_fd = fd};
    long rc = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    int e = rc != 0 && !optional ? ft_err_sys(err, "Landlock: %s", path) : 0;
    close(fd);
    return e;
}

int ft_landlock_enter(int version, const char *const *paths, int n_paths,
                      const char *const *optional, int n_optional, const char *writable,
                      struct ft_err *err)
{
    const struct ruleset attr = {
        .fs = FS_V1 | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) |
              (version >= 5 ? FS_IOCTL : 0),
        .net = version >= 4 ? NET_TCP : 0,
        .scoped = version >= 6 ? SCOPED : 0,
    };
    size_t n = version >= 6   ? sizeof attr
               : version >= 4 ? offsetof(struct ruleset, scoped)
                              : offsetof(struct ruleset, net);
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, n, 0);
    if (rules < 0)
        return ft_err_sys(err, "Landlock");
    int e = 0;
    for (int i = 0; i < n_paths && e == 0; i++)
        e = allow(rules, paths[i], FS_READ, false, err);
    if (e == 0 && writable != NULL)
        e = allow(rules, writable, FS_READ | (FS_WRITE & attr.fs), false, err);
    for (int i = 0; i < n_optional && e == 0; i++)
        e = allow(rules, optional[i], FS_READ, true, err);
    if (e == 0 && syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        e = ft_err_sys(err, "Landlock");
    close(rules);
    return e;
}
