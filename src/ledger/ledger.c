/* The ledger of the gateway: recovery, requests, and the thread that writes what has ended.
 *
 * What a request needs of the ledger is stores into its slot and two short locks. The writer takes
 * what ended within FT_LEDGER_FLUSH_MS (or a quarter of the slots), appends it in one write and
 * frees the slots; a slow disk is waited for by the syncer alone. If the disk does not take it the
 * slots stay as they are, and it tries again until it does: as long as slots are free, nobody
 * notices. */
#include "ledger/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/map.h"
#include "base/utf8.h"

#define SLOTS_LIMIT       65536 /* one append must hold all of them */
#define JOURNAL_BYTES_MAX ((int64_t)1 << 30)
#define SEGMENT_BYTES     (8 << 20)
#define RETRY_MS          200
#define BATCH_PERMILLE    500 /* of the price, unless a setting says otherwise */

void ft_ledger_trouble(struct ft_ledger *l, char *which, const char *msg)
{
    char was[FT_LEDGER_TROUBLE_MAX];
    pthread_mutex_lock(&l->lock);
    memcpy(was, which, sizeof was);
    snprintf(which, FT_LEDGER_TROUBLE_MAX, "%s", msg == NULL ? "" : msg);
    pthread_mutex_unlock(&l->lock);
    if (msg != NULL && was[0] == '\0')
        ft_log(FT_LOG_WARN, "ledger", "%s; usage is kept, and tried again", msg);
    else if (msg == NULL && was[0] != '\0')
        ft_log(FT_LOG_INFO, "ledger", "going on; it was: %s", was);
}

/* ---- a request ---- */

static int copy_text(const char *name, const char *text, size_t max, bool mend, char *ret,
                     struct ft_err *err)
{
    size_t n = strnlen(text, max + 1);
    size_t good = n <= max ? ft_utf8_valid_len(text, n) : 0;
    if (good == n) {
        memcpy(ret, text, n + 1);
        return 0;
    }
    if (!mend)
        return ft_err_set(err, FT_EINVAL, "usage record: %s: must be UTF-8 of at most %zu bytes",
                          name, max);
    good = ft_utf8_valid_len(text, FT_MIN(n, max));
    memcpy(ret, text, good);
    ret[good] = '\0';
    return 0;
}

int ft_ledger_fill(const struct ft_ledger_begin *b, bool mend, struct ft_slot_begin *ret,
                   struct ft_err *err)
{
    memset(ret, 0, sizeof *ret);
    ret->start_us = (b->at_us > 0 ? b->at_us : ft_clock_unix_us()) - FT_MAX(b->ago_us, 0);
    ret->price = b->price;
    ret->stream = b->stream;
    ret->page = b->page;
    int rc = copy_text("id", b->id, FT_RECORD_ID_MAX, mend, ret->id, err);
    if (rc == 0)
        rc = copy_text("project", b->project, FT_RECORD_ID_MAX, mend, ret->project, err);
    if (rc == 0)
        rc = copy_text("key", b->key, FT_RECORD_ID_MAX, mend, ret->key, err);
    if (rc == 0)
        rc = copy_text("model", b->model, FT_RECORD_MODEL_MAX, mend, ret->model, err);
    if (rc == 0)
        rc = copy_text("route", b->route, FT_RECORD_ROUTE_MAX, mend, ret->route, err);
    if (rc == 0 && b->client_id != NULL)
        rc = copy_text("client_id", b->client_id, FT_RECORD_ID_MAX, mend, ret->client_id, err);
    if (rc == 0 && b->trace_id != NULL)
        rc = copy_text("trace_id", b->trace_id, FT_RECORD_TRACE_MAX, mend, ret->trace_id, err);
    if (rc == 0 && ret->id[0] == '\0')
        rc = ft_err_set(err, FT_EINVAL, "usage record: id: is empty");
    return rc;
}

static int no_slot(struct ft_ledger *l, struct ft_err *err)
{
    pthread_mutex_lock(&l->lock);
    const char *why = l->disk_trouble;
    int rc = why[0] == '\0' ? ft_err_set(err, FT_EBUSY,
                                         "%d requests are running, which is the most", l->slots.n)
                            : ft_err_set(err, FT_EBUSY, "usage cannot be recorded: %s", why);
    pthread_mutex_unlock(&l->lock);
    return rc;
}

int ft_ledger_begin(struct ft_ledger *l, const struct ft_ledger_begin *b, int *ret_slot,
                    struct ft_err *err)
{
    struct ft_slot_begin begin;
    int rc = ft_ledger_fill(b, false, &begin, err);
    if (rc != 0)
        return rc;
    int i = ft_slots_take(&l->slots);
    if (i == FT_LEDGER_SLOT_NONE)
        return no_slot(l, err);
    ft_slot_begin(&l->slots.slot[i], &begin);
    *ret_slot = i;
    return 0;
}

static struct ft_slot *open_slot(struct ft_ledger *l, int slot)
{
    FT_ASSERT(slot >= 0 && slot < l->slots.n);
    return &l->slots.slot[slot];
}

void ft_ledger_drop(struct ft_ledger *l, int slot)
{
    open_slot(l, slot);
    ft_slots_give(&l->slots, slot);
}

/* Counts are the truth about what left us: they never go down. */
static void raise_to(_Atomic int64_t *count, int64_t n)
{
    if (n > atomic_load_explicit(count, memory_order_relaxed))
        atomic_store_explicit(count, n, memory_order_relaxed);
}

void ft_ledger_count(struct ft_ledger *l, int slot, int64_t prompt_tokens, int64_t cached_tokens,
                     int64_t completion_tokens)
{
    struct ft_slot *s = open_slot(l, slot);
    if (completion_tokens > 0 && atomic_load_explicit(&s->first_us, memory_order_relaxed) == 0) {
        int64_t us = ft_clock_unix_us() - s->begin.start_us;
        atomic_store_explicit(&s->first_us, FT_MAX(us, 1), memory_order_relaxed);
    }
    raise_to(&s->prompt, prompt_tokens);
    raise_to(&s->cached, cached_tokens);
    raise_to(&s->completion, completion_tokens);
}

void ft_ledger_hand_over(struct ft_ledger *l, int slot)
{
    pthread_mutex_lock(&l->lock);
    FT_ASSERT(l->n_ended < l->slots.n);
    l->ended[l->n_ended++] = slot;
    l->n_in++;
    if (l->n_ended == 1 || l->n_ended == l->slots.n / 4)
        pthread_cond_signal(&l->wake_writer);
    pthread_mutex_unlock(&l->lock);
}

void ft_ledger_end(struct ft_ledger *l, int slot, const struct ft_ledger_end *e,
                   struct ft_ledger_sum *ret_sum)
{
    struct ft_slot *s = open_slot(l, slot);
    struct ft_slot_end end;
    memset(&end, 0, sizeof end);
    end.end_us = FT_MAX(e->end_us > 0 ? e->end_us : ft_clock_unix_us(), s->begin.start_us);
    end.reasoning_tokens = e->reasoning_tokens;
    end.cpu_us = e->cpu_us;
    end.energy_uj = e->energy_uj;
    end.bytes_in = e->bytes_in;
    end.bytes_out = e->bytes_out;
    end.http = e->http < 0 || e->http > 999 ? 0 : e->http;
    end.status = (uint8_t)e->status;
    end.energy_estimated = e->energy_estimated;
    for (int i = 0; e->phases != NULL && i < FT_PHASE_FIELDS; i++)
        end.phase[i] = ft_phase_get(e->phases, i);
    if (e->target != NULL)
        copy_text("target", e->target, FT_RECORD_TARGET_MAX, true, end.target, NULL);
    if (e->error != NULL) {
        copy_text("error", e->error->code, FT_RECORD_CODE_MAX, true, end.error.code, NULL);
        copy_text("error", e->error->text, FT_RECORD_TEXT_MAX, true, end.error.text, NULL);
    }
    if (ret_sum != NULL) {
        int64_t prompt = atomic_load_explicit(&s->prompt, memory_order_relaxed);
        int64_t cached = atomic_load_explicit(&s->cached, memory_order_relaxed);
        int64_t completion = atomic_load_explicit(&s->completion, memory_order_relaxed);
        *ret_sum = (struct ft_ledger_sum){
            .end_s = end.end_us / 1000000,
            .start_us = s->begin.start_us,
            .end_us = end.end_us,
            .first_us = atomic_load_explicit(&s->first_us, memory_order_relaxed),
            .prompt_tokens = prompt,
            .completion_tokens = completion,
            .cost_nanos = ft_price_cost(&s->begin.price, prompt, cached, completion)};
    }
    ft_slot_end(s, &end);
    ft_ledger_hand_over(l, slot);
}

/* ---- the writer ---- */

/* Appends what the writer has taken, in one piece. 0; or what the disk said, and all is as before.
 */
static int append_taken(struct ft_ledger *l, struct ft_err *err)
{
    struct ft_journal_pos acked = ft_ledger_acknowledged(l);
    if (ft_journal_bytes_from(&l->journal, acked) >= l->o.journal_bytes_max)
        return ft_err_set(err, FT_ELIMIT, "the journal holds %lld MiB that nobody takes",
                          (long long)(l->o.journal_bytes_max >> 20));
    struct ft_buf out;
    ft_buf_init(&out, FT_JOURNAL_APPEND_MAX);
    int64_t now_us = ft_clock_unix_us();
    int64_t n = 0, corrupt = 0, lost = 0;
    for (int k = 0; k < l->n_taken; k++) {
        struct ft_record r;
        int rc = 0;
        if (!ft_slot_record(&l->slots.slot[l->taken[k]], now_us, &r, &rc))
            continue;
        if (rc != 0) {
            corrupt++;
            continue;
        }
        r.end_us = FT_MAX(r.end_us, r.start_us);
        lost += r.status == FT_RECORD_LOST;
        ft_journal_line(&r, &out);
        n++;
    }
    int rc = out.failed != 0 ? ft_err_set(err, FT_ENOMEM, "write the journal: no memory") : 0;
    if (rc == 0 && out.len > 0)
        rc = ft_journal_append(&l->journal, out.data, out.len, err);
    ft_buf_fini(&out);
    if (rc != 0)
        return rc;
    for (int k = 0; k < l->n_taken; k++)
        ft_slots_give(&l->slots, l->taken[k]);
    if (corrupt > 0)
        ft_log(FT_LOG_ERROR, "ledger", "%lld requests of the process before were unreadable",
               (long long)corrupt);
    atomic_fetch_add(&l->records, n);
    atomic_fetch_add(&l->corrupt, corrupt);
    atomic_fetch_add(&l->lost, lost);
    l->n_taken = 0;
    pthread_mutex_lock(&l->lock);
    pthread_cond_signal(&l->wake_deliverer);
    pthread_mutex_unlock(&l->lock);
    return 0;
}

static void on_synced(void *ctx, const struct ft_err *err)
{
    struct ft_ledger *l = ctx;
    ft_ledger_trouble(l, l->sync_trouble, err == NULL ? NULL : err->msg);
}

static int write_taken(struct ft_ledger *l)
{
    struct ft_err err;
    int n = l->n_taken;
    int rc = append_taken(l, &err);
    if (rc == 0)
        ft_syncer_ask(&l->syncer, l->journal.fd);
    ft_ledger_trouble(l, l->disk_trouble, rc == 0 ? NULL : err.msg);
    pthread_mutex_lock(&l->lock);
    l->n_out += n - l->n_taken;
    pthread_cond_broadcast(&l->progress);
    pthread_mutex_unlock(&l->lock);
    return rc;
}

/* Waits until something has ended and its time has come, and takes it. False: stopped. */
static bool wait_and_take(struct ft_ledger *l, int64_t sums_ms)
{
    struct timespec sums_at = ft_cond_until(FT_MAX(sums_ms, 0));
    pthread_mutex_lock(&l->lock);
    bool due = false; /* sums are */
    while (!l->stop && !l->look && l->n_ended == 0 && !due && !(l->hurry > 0 && sums_ms >= 0)) {
        if (sums_ms < 0)
            pthread_cond_wait(&l->wake_writer, &l->lock);
        else
            due = pthread_cond_timedwait(&l->wake_writer, &l->lock, &sums_at) == ETIMEDOUT;
    }
    struct timespec until = ft_cond_until(FT_LEDGER_FLUSH_MS);
    while (!l->stop && l->hurry == 0 && l->n_ended > 0 && l->n_ended < l->slots.n / 4)
        if (pthread_cond_timedwait(&l->wake_writer, &l->lock, &until) == ETIMEDOUT)
            break;
    int32_t *empty = l->taken;
    l->taken = l->ended;
    l->n_taken = l->n_ended;
    l->ended = empty;
    l->n_ended = 0;
    l->look = false;
    bool go_on = !l->stop;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static bool pause_writer(struct ft_ledger *l)
{
    struct timespec until = ft_cond_until(RETRY_MS);
    pthread_mutex_lock(&l->lock);
    while (!l->stop && pthread_cond_timedwait(&l->wake_writer, &l->lock, &until) != ETIMEDOUT)
        continue;
    bool go_on = !l->stop;
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static void *writer_main(void *arg)
{
    struct ft_ledger *l = arg;
    bool go_on = true;
    while (go_on) {
        pthread_mutex_lock(&l->lock);
        bool all = l->stop || l->hurry > 0;
        pthread_mutex_unlock(&l->lock);
        go_on = wait_and_take(l, ft_refused_flush(l, all));
        /* when told to stop: once; what the disk does not take then stays in its slots */
        while (l->n_taken > 0 && write_taken(l) != 0 && l->n_taken > 0 && pause_writer(l))
            continue;
    }
    return NULL;
}

/* ---- open, close ---- */

static void mark_written(void *ctx, struct ft_slice json)
{
    struct ft_strmap *ids = ctx;
    struct ft_slice id;
    int32_t slot;
    if (ft_journal_id(json, &id) && ft_strmap_get(ids, id.p, id.n, &slot))
        ft_strmap_set(ids, id.p, id.n, FT_LEDGER_SLOT_NONE);
}

/* What a process before left in the table is ended, unless it is in the journal already. */
static int recover(struct ft_ledger *l, struct ft_err *err)
{
    struct ft_strmap ids;
    int rc = ft_strmap_init(&ids, 0);
    bool any = false;
    for (int i = 0; rc == 0 && i < l->slots.n; i++) {
        struct ft_slot *s = &l->slots.slot[i];
        if (atomic_load(&s->state) == FT_SLOT_FREE)
            continue;
        s->begin.id[FT_RECORD_ID_MAX] = '\0';
        rc = ft_strmap_set(&ids, s->begin.id, strlen(s->begin.id), i);
        any = true;
    }
    if (rc != 0)
        rc = ft_err_set(err, rc, "recover the ledger: no memory");
    if (rc == 0 && any)
        rc = ft_journal_each_last(&l->journal, mark_written, &ids, err);
    for (int i = 0; rc == 0 && any && i < l->slots.n; i++) {
        struct ft_slot *s = &l->slots.slot[i];
        int32_t slot = i;
        if (atomic_load(&s->state) == FT_SLOT_FREE)
            continue;
        ft_strmap_get(&ids, s->begin.id, strlen(s->begin.id), &slot);
        if (slot == FT_LEDGER_SLOT_NONE) {
            ft_slots_give(&l->slots, i);
            continue;
        }
        l->taken[l->n_taken++] = i;
        l->n_in++;
        atomic_fetch_add(&l->recovered, 1);
    }
    ft_strmap_fini(&ids);
    return rc;
}

static int hold_dir(struct ft_ledger *l, struct ft_err *err)
{
    char path[4096];
    if (mkdir(l->o.dir, 0700) != 0 && errno != EEXIST)
        return ft_err_sys(err, "make %s", l->o.dir);
    snprintf(path, sizeof path, "%s/lock", l->o.dir);
    l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->lock_fd < 0)
        return ft_err_sys(err, "open %s", path);
    if (flock(l->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK
                   ? ft_err_set(err, FT_EBUSY, "%s is held by another process", l->o.dir)
                   : ft_err_sys(err, "lock %s", path);
    return 0;
}

static int open_files(struct ft_ledger *l, struct ft_err *err)
{
    bool damaged = false;
    int rc = hold_dir(l, err);
    if (rc == 0)
        rc = ft_journal_open(l->o.dir, l->o.segment_bytes, &l->journal, err);
    if (rc == 0)
        rc = ft_slots_open(l->o.dir, l->o.slots_max, &l->slots, &damaged, err);
    if (rc != 0)
        return rc;
    if (damaged) {
        atomic_fetch_add(&l->corrupt, 1);
        ft_log(FT_LOG_ERROR, "ledger",
               "%s/inflight is damaged or of another version: put aside; what was running in it "
               "is not recorded",
               l->o.dir);
    }
    l->ended = calloc((size_t)l->slots.n, sizeof *l->ended);
    l->taken = calloc((size_t)l->slots.n, sizeof *l->taken);
    if (l->ended == NULL || l->taken == NULL)
        return ft_err_set(err, FT_ENOMEM, "ledger: no memory");
    ft_ledger_acknowledged_mend(l);
    rc = recover(l, err);
    if (rc == 0 && l->n_taken > 0) {
        write_taken(l); /* or the writer does, when it can */
        ft_log(FT_LOG_INFO, "ledger", "%lld requests of a process that died were found, %lld lost",
               (long long)atomic_load(&l->recovered), (long long)atomic_load(&l->lost));
    }
    return rc;
}

static int start_threads(struct ft_ledger *l, struct ft_err *err)
{
    int rc = ft_syncer_start(&l->syncer, err);
    if (rc != 0)
        return rc;
    rc = pthread_create(&l->writer, NULL, writer_main, l);
    l->writer_runs = rc == 0;
    if (rc == 0 && l->o.deliver != NULL) {
        rc = pthread_create(&l->deliverer, NULL, ft_ledger_deliver_main, l);
        l->deliverer_runs = rc == 0;
    }
    errno = rc;
    return rc == 0 ? 0 : ft_err_sys(err, "start the ledger's threads");
}

int ft_ledger_open(const struct ft_ledger_options *o, struct ft_ledger **ret, struct ft_err *err)
{
    if (o->slots_max < 0 || o->slots_max > SLOTS_LIMIT)
        return ft_err_set(err, FT_EINVAL, "ledger: slots_max: at most %d", SLOTS_LIMIT);
    struct ft_ledger *l = calloc(1, sizeof *l);
    if (l == NULL || (l->o = *o, l->o.dir = strdup(o->dir)) == NULL) {
        free(l);
        return ft_err_set(err, FT_ENOMEM, "ledger: no memory");
    }
    l->o.slots_max = o->slots_max == 0 ? FT_LEDGER_SLOTS_MAX : o->slots_max;
    l->o.journal_bytes_max = o->journal_bytes_max == 0 ? JOURNAL_BYTES_MAX : o->journal_bytes_max;
    l->o.segment_bytes = o->segment_bytes == 0 ? SEGMENT_BYTES : o->segment_bytes;
    l->lock_fd = -1;
    l->journal.fd = -1;
    l->delivering = !o->held;
    l->refused.seed = (uint64_t)ft_clock_unix_us() ^ (uint64_t)getpid() << 48;
    pthread_mutex_init(&l->lock, NULL);
    pthread_mutex_init(&l->refused.lock, NULL);
    ft_cond_init(&l->wake_writer);
    ft_cond_init(&l->wake_deliverer);
    ft_cond_init(&l->progress);
    ft_prices_init(&l->prices);
    atomic_init(&l->batch_permille, BATCH_PERMILLE);
    ft_syncer_init(&l->syncer, on_synced, l);
    int rc = open_files(l, err);
    if (rc == 0)
        rc = start_threads(l, err);
    if (rc != 0) {
        ft_ledger_close(l);
        return rc;
    }
    *ret = l;
    return 0;
}

void ft_ledger_close(struct ft_ledger *l)
{
    if (l == NULL)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->wake_writer);
    pthread_cond_broadcast(&l->wake_deliverer);
    pthread_mutex_unlock(&l->lock);
    if (l->writer_runs)
        pthread_join(l->writer, NULL);
    if (l->deliverer_runs)
        pthread_join(l->deliverer, NULL);
    ft_syncer_fini(&l->syncer);
    ft_slots_close(&l->slots);
    ft_journal_close(&l->journal);
    ft_prices_fini(&l->prices);
    free(l->ended);
    free(l->taken);
    if (l->lock_fd >= 0)
        close(l->lock_fd);
    pthread_cond_destroy(&l->wake_writer);
    pthread_cond_destroy(&l->wake_deliverer);
    pthread_cond_destroy(&l->progress);
    pthread_mutex_destroy(&l->refused.lock);
    pthread_mutex_destroy(&l->lock);
    free((char *)l->o.dir);
    free(l);
}

/* ---- prices, figures ---- */

static int apply_batch_price(struct ft_ledger *l, const json_t *body, struct ft_err *err)
{
    int64_t permille = BATCH_PERMILLE;
    const json_t *v = json_object_get(body, "batch_price");
    int rc = v == NULL ? 0
                       : ft_price_parse(json_is_string(v) ? json_string_value(v) : "",
                                        "batch_price", &permille, err);
    if (rc == 0 && permille > 1000)
        rc = ft_err_set(err, FT_EINVAL, "batch_price: must not be above 1");
    if (rc != 0)
        return rc;
    atomic_store(&l->batch_permille, (int)permille);
    atomic_store(&l->batch_seen, true);
    return 0;
}

int64_t ft_ledger_batch_cost(struct ft_ledger *l, int64_t nanos)
{
    int permille = atomic_load(&l->batch_permille);
    return nanos / 1000 * permille + nanos % 1000 * permille / 1000;
}

int ft_ledger_apply(struct ft_ledger *l, const char *kind, const char *id, const json_t *body,
                    struct ft_err *err)
{
    if (strcmp(kind, "setting") == 0 && strcmp(id, "batch_price") == 0)
        return apply_batch_price(l, body, err);
    if (strcmp(kind, "price") != 0)
        return 0;
    if (body == NULL || json_is_null(body)) {
        ft_prices_remove(&l->prices, id);
        return 0;
    }
    return ft_prices_put(&l->prices, id, body, err);
}

void ft_ledger_snapshot_begin(struct ft_ledger *l)
{
    ft_prices_snapshot_begin(&l->prices);
    atomic_store(&l->batch_seen, false);
}

void ft_ledger_snapshot_end(struct ft_ledger *l)
{
    ft_prices_snapshot_end(&l->prices);
    if (!atomic_load(&l->batch_seen))
        atomic_store(&l->batch_permille, BATCH_PERMILLE);
}

void ft_ledger_price(struct ft_ledger *l, const char *model, struct ft_price *ret)
{
    ft_prices_find(&l->prices, model, ret);
}

void ft_ledger_stats(struct ft_ledger *l, struct ft_ledger_stats *ret)
{
    *ret = (struct ft_ledger_stats){
        .slots_used = ft_slots_used(&l->slots),
        .slots_max = l->slots.n,
        .records = atomic_load(&l->records),
        .recovered = atomic_load(&l->recovered),
        .lost = atomic_load(&l->lost),
        .delivered = atomic_load(&l->delivered),
        .pending_bytes = ft_journal_bytes_from(&l->journal, ft_ledger_acknowledged(l)),
        .corrupt = atomic_load(&l->corrupt),
        .refused = atomic_load(&l->turned_down),
        .uncounted = atomic_load(&l->uncounted),
    };
    pthread_mutex_lock(&l->lock);
    const char *trouble = l->disk_trouble[0] != '\0'   ? l->disk_trouble
                          : l->sync_trouble[0] != '\0' ? l->sync_trouble
                                                       : l->delivery_trouble;
    snprintf(ret->trouble, sizeof ret->trouble, "%s", trouble);
    pthread_mutex_unlock(&l->lock);
}
