/* What a cloud has, into a file of this machine. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/partial.h"
#include "cli/cloud/client.h"
#include "cli/interrupt.h"

struct saving {
    int fd;
    const char *name;
    struct ft_err err;
    const atomic_int *interrupt;
};

static bool take(void *ctx, const char *data, size_t n)
{
    struct saving *s = ctx;
    return ft_file_write(s->fd, data, n, s->name, s->interrupt, &s->err) == 0;
}

static bool stop(void *ctx)
{
    return *((struct saving *)ctx)->interrupt != 0;
}

static int fetch(struct ft_cloud *c, const char *path, struct saving *s, struct ft_err *err)
{
    s->interrupt = ft_interrupt_catch();
    int rc = ft_cloud_fetch(c, path, take, stop, s, err);
    ft_interrupt_release();
    if (rc != 0 && s->err.code != 0)
        *err = s->err;
    return rc;
}

int ft_cloud_save(struct ft_cloud *c, const char *path, const char *to, struct ft_err *err)
{
    struct saving s = {.fd = STDOUT_FILENO, .name = "standard output"};
    char *temp = NULL;
    if (strcmp(to, "-") == 0)
        return fetch(c, path, &s, err);
    int rc = ft_partial_open(to, false, &temp, &s.fd, err);
    if (rc != 0)
        return rc;
    s.name = to;
    rc = fetch(c, path, &s, err);
    if (rc == 0 && rename(temp, to) != 0)
        rc = ft_err_sys(err, "%s", to);
    if (rc != 0)
        unlink(temp);
    close(s.fd);
    free(temp);
    return rc;
}
