/* The in-flight table (slots.h). The file's blocks are allocated when it is made, so that storing
 * into the mapping never finds the disk full. */
#include "ledger/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/file.h"

#define MAGIC      "FTSLOT04"
#define MAGIC_OLD  "FTSLOT03" /* other slots behind the same head */
#define HEAD_BYTES 4096
#define PATH_BYTES 4096

_Static_assert(sizeof(struct ft_slot) == 1024, "a slot is two sectors");

static uint32_t head_crc(const struct ft_slots_head *h)
{
    return ft_crc32c(0, h, offsetof(struct ft_slots_head, crc));
}

static void path_of(const char *dir, const char *name, char *ret)
{
    snprintf(ret, PATH_BYTES, "%s/%s", dir, name);
}

static size_t file_bytes(int n)
{
    return HEAD_BYTES + (size_t)n * sizeof(struct ft_slot);
}

static int map(int fd, int n, struct ft_slots *s, struct ft_err *err)
{
    void *p = mmap(NULL, file_bytes(n), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return ft_err_sys(err, "map the table of running requests");
    s->head = p;
    s->slot = (struct ft_slot *)((char *)p + HEAD_BYTES);
    s->n = n;
    s->bytes = file_bytes(n);
    return 0;
}

/* A table of free slots in the place of whatever has the name; appears whole. */
static int make(const char *dir, int n, uint64_t acknowledged, struct ft_slots *s,
                struct ft_err *err)
{
    char path[PATH_BYTES], temp[PATH_BYTES];
    path_of(dir, "inflight", path);
    path_of(dir, "inflight.new", temp);
    int fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return ft_err_sys(err, "make %s", temp);
    int rc = posix_fallocate(fd, 0, (off_t)file_bytes(n));
    if (rc != 0) {
        errno = rc;
        rc = ft_err_sys(err, "make %s", temp);
    } else {
        struct ft_slots_head head = {
            .magic = MAGIC, .slot_bytes = sizeof(struct ft_slot), .n = (uint32_t)n};
        head.crc = head_crc(&head);
        atomic_init(&head.acknowledged, acknowledged);
        rc = ft_file_write(fd, &head, sizeof head, temp, NULL, err);
    }
    if (rc == 0 && (fsync(fd) != 0 || rename(temp, path) != 0))
        rc = ft_err_sys(err, "make %s", path);
    if (rc == 0)
        rc = map(fd, n, s, err);
    close(fd);
    return rc;
}

/* How far the journal is acknowledged by a table of the version before, whose slots cannot be read;
 * or 0. Begun from 0 again, all that the journal holds would be delivered a second time. */
static uint64_t old_acknowledged(int fd)
{
    struct ft_slots_head h;
    bool is_old = pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h &&
                  memcmp(h.magic, MAGIC_OLD, sizeof h.magic) == 0 && h.crc == head_crc(&h);
    return is_old ? atomic_load(&h.acknowledged) : 0;
}

/* 1: mapped; 0: there is none; FT_ECORRUPT: none of ours, of which *ret_acknowledged may be known.
 */
static int map_existing(const char *path, struct ft_slots *s, uint64_t *ret_acknowledged,
                        struct ft_err *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : ft_err_sys(err, "open %s", path);
    struct ft_slots_head h;
    struct stat st;
    int rc = FT_ECORRUPT;
    if (fstat(fd, &st) == 0 && pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h &&
        memcmp(h.magic, MAGIC, sizeof h.magic) == 0 && h.crc == head_crc(&h) &&
        h.slot_bytes == sizeof(struct ft_slot) && h.n >= 1 && h.n <= INT32_MAX / 1024 &&
        (size_t)st.st_size == file_bytes((int)h.n)) {
        rc = map(fd, (int)h.n, s, err);
        rc = rc == 0 ? 1 : rc;
    }
    *ret_acknowledged = rc == 1 ? atomic_load(&s->head->acknowledged) : old_acknowledged(fd);
    close(fd);
    return rc;
}

static void unmap(struct ft_slots *s)
{
    if (s->head != NULL)
        munmap(s->head, s->bytes);
    s->head = NULL;
}

static bool all_free(const struct ft_slots *s)
{
    bool all = true;
    for (int i = 0; i < s->n; i++)
        all &= atomic_load_explicit(&s->slot[i].state, memory_order_relaxed) == FT_SLOT_FREE;
    return all;
}

static int list_free(struct ft_slots *s, struct ft_err *err)
{
    s->free = malloc((size_t)s->n * sizeof *s->free);
    if (s->free == NULL)
        return ft_err_set(err, FT_ENOMEM, "table of running requests: no memory");
    for (int i = s->n - 1; i >= 0; i--) /* the lowest on top: few pages are ever touched */
        if (atomic_load_explicit(&s->slot[i].state, memory_order_relaxed) == FT_SLOT_FREE)
            s->free[s->n_free++] = i;
    return 0;
}

int ft_slots_open(const char *dir, int n, struct ft_slots *ret, bool *ret_damaged,
                  struct ft_err *err)
{
    char path[PATH_BYTES], aside[PATH_BYTES];
    struct ft_slots s = {.n = 0};
    uint64_t acknowledged = 0;
    path_of(dir, "inflight", path);
    int rc = map_existing(path, &s, &acknowledged, err);
    *ret_damaged = rc == FT_ECORRUPT;
    if (rc == FT_ECORRUPT) {
        path_of(dir, "inflight.damaged", aside);
        if (rename(path, aside) != 0)
            return ft_err_sys(err, "rename %s", path);
        rc = 0;
    }
    if (rc == 0 || (rc == 1 && s.n != n && all_free(&s))) {
        unmap(&s);
        rc = make(dir, n, acknowledged, &s, err);
    }
    if (rc >= 0)
        rc = list_free(&s, err);
    if (rc < 0) {
        unmap(&s);
        return rc;
    }
    pthread_mutex_init(&s.lock, NULL);
    *ret = s;
    return 0;
}

void ft_slots_close(struct ft_slots *s)
{
    if (s->n == 0)
        return;
    unmap(s);
    free(s->free);
    pthread_mutex_destroy(&s->lock);
    *s = (struct ft_slots){.n = 0};
}

int ft_slots_take(struct ft_slots *s)
{
    pthread_mutex_lock(&s->lock);
    int i = s->n_free > 0 ? s->free[--s->n_free] : FT_LEDGER_SLOT_NONE;
    pthread_mutex_unlock(&s->lock);
    return i;
}

void ft_slots_give(struct ft_slots *s, int i)
{
    atomic_store_explicit(&s->slot[i].state, FT_SLOT_FREE, memory_order_release);
    pthread_mutex_lock(&s->lock);
    FT_ASSERT(s->n_free < s->n);
    s->free[s->n_free++] = i;
    pthread_mutex_unlock(&s->lock);
}

int ft_slots_used(struct ft_slots *s)
{
    pthread_mutex_lock(&s->lock);
    int used = s->n - s->n_free;
    pthread_mutex_unlock(&s->lock);
    return used;
}

/* ---- one slot ---- */

static void put_begin(struct ft_slot *s, const struct ft_slot_begin *b)
{
    s->begin = *b;
    s->begin_crc = ft_crc32c(0, &s->begin, sizeof s->begin);
    atomic_store_explicit(&s->prompt, 0, memory_order_relaxed);
    atomic_store_explicit(&s->cached, 0, memory_order_relaxed);
    atomic_store_explicit(&s->completion, 0, memory_order_relaxed);
    atomic_store_explicit(&s->first_us, 0, memory_order_relaxed);
    atomic_store_explicit(&s->requests, 1, memory_order_relaxed);
}

static void put_end(struct ft_slot *s, const struct ft_slot_end *e)
{
    s->end = *e;
    s->end_crc = ft_crc32c(0, &s->end, sizeof s->end);
}

static void move(struct ft_slot *s, enum ft_slot_state from, enum ft_slot_state to)
{
    FT_ASSERT(atomic_load_explicit(&s->state, memory_order_relaxed) == (uint32_t)from);
    atomic_store_explicit(&s->state, (uint32_t)to, memory_order_release);
}

void ft_slot_begin(struct ft_slot *s, const struct ft_slot_begin *b)
{
    put_begin(s, b);
    move(s, FT_SLOT_FREE, FT_SLOT_OPEN);
}

void ft_slot_end(struct ft_slot *s, const struct ft_slot_end *e)
{
    put_end(s, e);
    move(s, FT_SLOT_OPEN, FT_SLOT_ENDED);
}

void ft_slot_sum(struct ft_slot *s, const struct ft_slot_begin *b, const struct ft_slot_end *e)
{
    put_begin(s, b);
    put_end(s, e);
    move(s, FT_SLOT_FREE, FT_SLOT_SUM);
}

/* Texts are ours if the checksum is right, but a file is a file: never without their end. */
static bool ended(const char *text, size_t bytes)
{
    return memchr(text, '\0', bytes) != NULL;
}

static bool begin_is_good(const struct ft_slot *s)
{
    const struct ft_slot_begin *b = &s->begin;
    return s->begin_crc == ft_crc32c(0, b, sizeof *b) && ended(b->id, sizeof b->id) &&
           ended(b->project, sizeof b->project) && ended(b->key, sizeof b->key) &&
           ended(b->model, sizeof b->model) && ended(b->route, sizeof b->route) &&
           ended(b->client_id, sizeof b->client_id) && ended(b->trace_id, sizeof b->trace_id);
}

static bool end_is_good(const struct ft_slot *s)
{
    const struct ft_record_error *e = &s->end.error;
    return s->end_crc == ft_crc32c(0, &s->end, sizeof s->end) && s->end.status <= FT_RECORD_LOST &&
           ended(s->end.target, sizeof s->end.target) && ended(e->code, sizeof e->code) &&
           ended(e->text, sizeof e->text);
}

static int64_t count_of(const _Atomic int64_t *count)
{
    int64_t n = atomic_load_explicit(count, memory_order_relaxed);
    return FT_MIN(FT_MAX(n, 0), INT32_MAX);
}

bool ft_slot_record(const struct ft_slot *s, int64_t now_us, struct ft_record *ret, int *ret_rc)
{
    uint32_t state = atomic_load_explicit(&s->state, memory_order_acquire);
    *ret_rc = 0;
    if (state == FT_SLOT_FREE)
        return false;
    if (state > FT_SLOT_SUM || !begin_is_good(s) || (state != FT_SLOT_OPEN && !end_is_good(s))) {
        *ret_rc = FT_ECORRUPT;
        return true;
    }
    const struct ft_slot_begin *b = &s->begin;
    struct ft_record r = {.stream = b->stream != 0, .page = b->page != 0, .start_us = b->start_us};
    memcpy(r.id, b->id, sizeof r.id);
    memcpy(r.project, b->project, sizeof r.project);
    memcpy(r.key, b->key, sizeof r.key);
    memcpy(r.model, b->model, sizeof r.model);
    memcpy(r.route, b->route, sizeof r.route);
    memcpy(r.client_id, b->client_id, sizeof r.client_id);
    memcpy(r.trace_id, b->trace_id, sizeof r.trace_id);
    r.requests = FT_MAX(count_of(&s->requests), 1);
    r.prompt_tokens = count_of(&s->prompt);
    r.cached_tokens = FT_MIN(count_of(&s->cached), r.prompt_tokens);
    r.completion_tokens = count_of(&s->completion);
    r.first_us = FT_MAX(atomic_load_explicit(&s->first_us, memory_order_relaxed), 0);
    r.cost_nanos = ft_price_cost(&b->price, r.prompt_tokens, r.cached_tokens, r.completion_tokens);
    r.end_us = now_us;
    r.status = FT_RECORD_LOST;
    if (state != FT_SLOT_OPEN) {
        r.status = (enum ft_record_status)s->end.status;
        r.end_us = state == FT_SLOT_SUM ? now_us : s->end.end_us;
        r.http = s->end.http;
        r.reasoning_tokens = FT_MIN(FT_MAX(s->end.reasoning_tokens, 0), r.completion_tokens);
        r.cpu_us = FT_MAX(s->end.cpu_us, 0);
        r.energy_uj = FT_MAX(s->end.energy_uj, 0);
        r.bytes_in = FT_MAX(s->end.bytes_in, 0);
        r.bytes_out = FT_MAX(s->end.bytes_out, 0);
        r.error = s->end.error;
        memcpy(r.target, s->end.target, sizeof r.target);
        for (int i = 0; i < FT_PHASE_FIELDS; i++)
            *ft_phase_at(&r.phases, i) = FT_MAX(s->end.phase[i], 0);
        r.energy_estimated = s->end.energy_estimated != 0;
    }
    *ret = r;
    return true;
}
