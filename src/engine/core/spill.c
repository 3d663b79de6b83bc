/* See spill.h. */
#include "engine/core/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SLOTS_MAX (1 << 24)

void ft_spill_init(struct ft_spill *s, const char *dir, struct ft_spill_budget *budget,
                   size_t slot_bytes)
{
    *s = (struct ft_spill){.dir = dir, .budget = budget, .fd = -1, .slot_bytes = slot_bytes};
}

void ft_spill_fini(struct ft_spill *s)
{
    if (s->budget != NULL)
        s->budget->used_bytes -= (uint64_t)(s->n_slots - s->n_freed) * s->slot_bytes;
    if (s->fd >= 0)
        close(s->fd);
    free(s->freed);
    *s = (struct ft_spill){.fd = -1};
}

/* O_TMPFILE where the file system has it, otherwise created and unlinked. */
static int open_file(struct ft_spill *s, struct ft_err *err)
{
    s->fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd >= 0)
        return 0;
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/feitian-kv-XXXXXX", s->dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return ft_err_set(err, FT_EINVAL, "spill_dir: the path is too long");
    s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd < 0)
        return ft_err_sys(err, "spill_dir %s", s->dir);
    unlink(path);
    return 0;
}

/* Room in freed[] for every slot, so that giving one back cannot fail. */
static int reserve(struct ft_spill *s, struct ft_err *err)
{
    if (s->n_slots < s->cap_freed)
        return 0;
    int cap = s->cap_freed == 0 ? 64 : 2 * s->cap_freed;
    int32_t *grown = realloc(s->freed, (size_t)cap * sizeof *grown);
    if (grown == NULL)
        return ft_err_set(err, FT_ENOMEM, "spill: no memory");
    s->freed = grown;
    s->cap_freed = cap;
    return 0;
}

int32_t ft_spill_write(struct ft_spill *s, const void *block, struct ft_err *err)
{
    if (s->dir == NULL || s->budget->max_bytes - s->budget->used_bytes < s->slot_bytes ||
        (s->n_freed == 0 && s->n_slots == SLOTS_MAX))
        return ft_err_set(err, FT_ELIMIT, "spill: full");
    int rc = s->fd < 0 ? open_file(s, err) : 0;
    if (rc == 0)
        rc = reserve(s, err);
    if (rc != 0)
        return rc;
    int32_t slot = s->n_freed > 0 ? s->freed[s->n_freed - 1] : s->n_slots;
    off_t at = (off_t)slot * (off_t)s->slot_bytes;
    for (size_t done = 0; done < s->slot_bytes;) {
        ssize_t n =
            pwrite(s->fd, (const char *)block + done, s->slot_bytes - done, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ft_err_sys(err, "spill: write");
        done += (size_t)n;
    }
    if (s->n_freed > 0)
        s->n_freed--;
    else
        s->n_slots++;
    s->budget->used_bytes += s->slot_bytes;
    return slot;
}

int ft_spill_read(struct ft_spill *s, int32_t slot, void *ret_block, struct ft_err *err)
{
    FT_ASSERT(slot >= 0 && slot < s->n_slots);
    off_t at = (off_t)slot * (off_t)s->slot_bytes;
    for (size_t done = 0; done < s->slot_bytes;) {
        ssize_t n = pread(s->fd, (char *)ret_block + done, s->slot_bytes - done, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ft_err_sys(err, "spill: read");
        if (n == 0)
            return ft_err_set(err, FT_EIO, "spill: the file is shorter than written");
        done += (size_t)n;
    }
    return 0;
}

void ft_spill_free(struct ft_spill *s, int32_t slot)
{
    FT_ASSERT(slot >= 0 && slot < s->n_slots && s->n_freed < s->cap_freed);
    s->freed[s->n_freed++] = slot;
    s->budget->used_bytes -= s->slot_bytes;
    if (s->n_freed == s->n_slots) { /* all free: give the disk space back */
        s->n_freed = s->n_slots = 0;
        if (ftruncate(s->fd, 0) != 0)
            return; /* it stays ours until close */
    }
}
