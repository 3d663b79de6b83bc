/* The delivery thread: takes the journal to the admin side, in order, batch by batch, for ever.
 *
 * How far it is acknowledged stands in the in-flight table's head; segments before that go. After a
 * batch that was not full it waits, so that a quiet cloud makes few large commits. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cond.h"
#include "base/file.h"
#include "base/log.h"
#include "ledger/impl.h"

#define GATHER_MS         200
#define RETRY_MS_MIN      50
#define REFUSED_BYTES_MAX (64 << 20) /* of refused.ndjson; what comes after is logged alone */

struct ft_journal_pos ft_ledger_acknowledged(struct ft_ledger *l)
{
    uint64_t at = atomic_load_explicit(&l->slots.head->acknowledged, memory_order_acquire);
    return (struct ft_journal_pos){(uint32_t)(at >> 32), (uint32_t)at};
}

void ft_ledger_acknowledged_mend(struct ft_ledger *l)
{
    struct ft_journal_pos at = ft_ledger_acknowledged(l), end = ft_journal_end(&l->journal);
    if (at.segment > end.segment || (at.segment == end.segment && at.offset > end.offset))
        atomic_store(&l->slots.head->acknowledged, (uint64_t)end.segment << 32 | end.offset);
}

static void acknowledge(struct ft_ledger *l, struct ft_journal_pos pos, int n)
{
    atomic_store_explicit(&l->slots.head->acknowledged, (uint64_t)pos.segment << 32 | pos.offset,
                          memory_order_release);
    atomic_fetch_add(&l->delivered, n);
    ft_journal_drop(&l->journal, pos.segment);
    pthread_mutex_lock(&l->lock);
    pthread_cond_broadcast(&l->progress);
    pthread_mutex_unlock(&l->lock);
}

/* False: stopped. */
static bool pause_ms(struct ft_ledger *l, int64_t ms, bool hurry_ends)
{
    struct timespec until = ft_cond_until(ms);
    pthread_mutex_lock(&l->lock);
    while (!l->stop && !(hurry_ends && l->hurry > 0))
        if (pthread_cond_timedwait(&l->wake_deliverer, &l->lock, &until) == ETIMEDOUT)
            break;
    bool go_on = !l->stop;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

/* Keeps what nobody takes where a person can find it. */
static void keep_refused(struct ft_ledger *l, const char *line, size_t n, const char *why)
{
    char path[4096];
    struct stat st;
    struct ft_err err;
    snprintf(path, sizeof path, "%s/refused.ndjson", l->o.dir);
    ft_log(FT_LOG_ERROR, "ledger", "a usage record was refused (%s) and is kept in %s: %.*s", why,
           path, (int)FT_MIN(n, (size_t)512), line);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > REFUSED_BYTES_MAX ||
        ft_file_write(fd, line, n, path, NULL, &err) != 0)
        ft_log(FT_LOG_ERROR, "ledger", "%s cannot be written to, or is full", path);
    if (fd >= 0)
        close(fd);
    atomic_fetch_add(&l->turned_down, 1);
}

/* Until it is committed, refused for what it says (FT_EINVAL, err filled), or FT_ECANCELED. */
static int deliver(struct ft_ledger *l, const char *ndjson, size_t n, int n_records,
                   struct ft_err *err)
{
    int64_t wait_ms = RETRY_MS_MIN;
    for (;;) {
        int rc = l->o.deliver(l->o.ctx, ndjson, n, n_records, err);
        ft_ledger_trouble(l, l->delivery_trouble, rc == 0 || rc == FT_EINVAL ? NULL : err->msg);
        if (rc == 0 || rc == FT_EINVAL)
            return rc;
        if (!pause_ms(l, wait_ms, false))
            return FT_ECANCELED;
        wait_ms = FT_MIN(wait_ms * 2, FT_LEDGER_RETRY_MS_MAX);
    }
}

static int deliver_singly(struct ft_ledger *l, const struct ft_buf *batch)
{
    const char *p = batch->data, *end = p + batch->len;
    while (p < end) {
        struct ft_err err;
        size_t n = (size_t)((const char *)memchr(p, '\n', (size_t)(end - p)) - p) + 1;
        int rc = deliver(l, p, n, 1, &err);
        if (rc == FT_EINVAL)
            keep_refused(l, p, n, err.msg);
        else if (rc != 0)
            return rc;
        p += n;
    }
    return 0;
}

/* Whole lines of `raw` into the batch, up to its bounds. Bytes of raw that were used. */
static size_t fill_batch(struct ft_ledger *l, const char *raw, size_t n, struct ft_buf *batch,
                         int *ret_records)
{
    size_t at = 0;
    int records = 0;
    ft_buf_reset(batch);
    while (at < n && records < FT_LEDGER_BATCH_RECORDS) {
        struct ft_slice json;
        size_t line = ft_journal_next(raw + at, n - at, &json);
        if (line == 0)
            line = n - at;
        if (json.p == NULL) {
            ft_log(FT_LOG_ERROR, "ledger", "%zu bytes of the journal are damaged, and left out",
                   line);
            atomic_fetch_add(&l->corrupt, 1);
        } else {
            ft_buf_add(batch, json.p, json.n);
            ft_buf_add_byte(batch, '\n');
            records++;
        }
        at += line;
    }
    *ret_records = records;
    return at;
}

/* Delivers what was read, `raw`, which ends at `end` of its segment. */
static int deliver_raw(struct ft_ledger *l, const struct ft_buf *raw, struct ft_journal_pos end,
                       struct ft_buf *batch)
{
    struct ft_journal_pos pos = {end.segment, end.offset - (uint32_t)raw->len};
    for (size_t at = 0; at < raw->len;) {
        int records;
        struct ft_err err;
        size_t used = fill_batch(l, raw->data + at, raw->len - at, batch, &records);
        if (batch->failed != 0)
            return FT_ENOMEM;
        int rc = records == 0 ? 0 : deliver(l, batch->data, batch->len, records, &err);
        if (rc == FT_EINVAL)
            rc = records == 1 ? (keep_refused(l, batch->data, batch->len, err.msg), 0)
                              : deliver_singly(l, batch);
        if (rc != 0)
            return rc;
        at += used;
        pos.offset += (uint32_t)used;
        acknowledge(l, pos, records);
    }
    return 0;
}

static bool wait_for_work(struct ft_ledger *l)
{
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        struct ft_journal_pos end = ft_journal_end(&l->journal), at = ft_ledger_acknowledged(l);
        if (l->delivering && (at.segment != end.segment || at.offset != end.offset))
            break;
        pthread_cond_wait(&l->wake_deliverer, &l->lock);
    }
    bool go_on = !l->stop;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

void *ft_ledger_deliver_main(void *ledger)
{
    struct ft_ledger *l = ledger;
    struct ft_buf raw, batch;
    ft_buf_init(&raw, FT_LEDGER_BATCH_BYTES);
    ft_buf_init(&batch, FT_LEDGER_BATCH_BYTES);
    while (wait_for_work(l)) {
        struct ft_err err;
        struct ft_journal_pos pos = ft_ledger_acknowledged(l);
        int rc = ft_journal_read(&l->journal, &pos, &raw, &err);
        ft_ledger_trouble(l, l->delivery_trouble, rc == 0 ? NULL : err.msg);
        if (rc == 0 && raw.len == 0)
            acknowledge(l, pos, 0);
        else if (rc == 0)
            rc = deliver_raw(l, &raw, pos, &batch);
        if (rc != 0) { /* buffers are made anew */
            ft_buf_fini(&raw);
            ft_buf_fini(&batch);
            ft_buf_init(&raw, FT_LEDGER_BATCH_BYTES);
            ft_buf_init(&batch, FT_LEDGER_BATCH_BYTES);
            pause_ms(l, FT_LEDGER_RETRY_MS_MAX, false);
        } else if (raw.len < FT_LEDGER_BATCH_BYTES / 2) {
            pause_ms(l, GATHER_MS, true);
        }
    }
    ft_buf_fini(&raw);
    ft_buf_fini(&batch);
    return NULL;
}

/* ---- questions about the journal ---- */

int ft_ledger_pending(struct ft_ledger *l, void (*fn)(void *ctx, const struct ft_record *r),
                      void *ctx, struct ft_err *err)
{
    struct ft_buf raw;
    struct ft_journal_pos pos = ft_ledger_acknowledged(l);
    int rc;
    ft_buf_init(&raw, FT_LEDGER_BATCH_BYTES);
    while ((rc = ft_journal_read(&l->journal, &pos, &raw, err)) == 0 && raw.len > 0) {
        struct ft_slice json;
        size_t n, at = 0;
        for (; (n = ft_journal_next(raw.data + at, raw.len - at, &json)) > 0; at += n) {
            struct ft_record r;
            if (json.p != NULL && ft_record_parse(json.p, json.n, &r, NULL) == 0)
                fn(ctx, &r);
        }
    }
    ft_buf_fini(&raw);
    return rc;
}

void ft_ledger_deliver_start(struct ft_ledger *l)
{
    pthread_mutex_lock(&l->lock);
    l->delivering = true;
    pthread_cond_signal(&l->wake_deliverer);
    pthread_mutex_unlock(&l->lock);
}

static bool all_done(struct ft_ledger *l, int64_t target)
{
    struct ft_journal_pos end = ft_journal_end(&l->journal), at = ft_ledger_acknowledged(l);
    return l->n_out >= target &&
           (l->o.deliver == NULL || (at.segment == end.segment && at.offset == end.offset));
}

bool ft_ledger_drain(struct ft_ledger *l, int64_t timeout_ms)
{
    struct timespec until = ft_cond_until(timeout_ms);
    ft_refused_flush(l, true);
    pthread_mutex_lock(&l->lock);
    int64_t target = l->n_in;
    l->hurry++;
    pthread_cond_broadcast(&l->wake_writer);
    pthread_cond_broadcast(&l->wake_deliverer);
    while (!all_done(l, target) &&
           pthread_cond_timedwait(&l->progress, &l->lock, &until) != ETIMEDOUT)
        continue;
    bool done = all_done(l, target);
    l->hurry--;
    pthread_mutex_unlock(&l->lock);
    return done;
}
