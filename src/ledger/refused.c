/* Requests that are added up instead of having a record each. Refused ones: a record each as long
 * as they are few, sums when they are many, so that a flood of bad requests costs a counter, and
 * the ledger still says how many there were. And those that pages of the console make by
 * themselves.
 *
 * A sum lives in a slot of the table like a running request, and outlives the process as one. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/rand.h"
#include "ledger/impl.h"

#define NANO 1000000000LL

/* May one more have a record of its own? */
static bool own_record(struct ft_refused *f, int64_t now_ns)
{
    int64_t most = FT_LEDGER_REFUSED_RATE * NANO;
    int64_t passed = FT_MIN(now_ns - f->at_ns, NANO);
    f->tokens_nano = FT_MIN(f->tokens_nano + passed * FT_LEDGER_REFUSED_RATE, most);
    f->at_ns = now_ns;
    if (f->tokens_nano < NANO)
        return false;
    f->tokens_nano -= NANO;
    return true;
}

static uint64_t hash_of(const struct ft_ledger_begin *b, enum ft_record_status status, int http)
{
    char text[3 * FT_RECORD_ID_MAX + 48];
    int n = snprintf(text, sizeof text, "%.64s\n%.64s\n%.31s\n%d\n%d", b->project, b->key, b->route,
                     (int)status, http);
    return ft_hash_bytes(text, (size_t)n);
}

/* A new sum in `row`; false: no slot is free. Its id is of our making, as are those of requests. */
static bool row_open(struct ft_ledger *l, struct ft_refused_row *row,
                     const struct ft_ledger_begin *b, enum ft_record_status status, int http)
{
    struct ft_refused *f = &l->refused;
    char id[FT_RECORD_ID_MAX + 1];
    uint64_t number = f->made++;
    snprintf(id, sizeof id, "sum_%016llx%016llx",
             (unsigned long long)ft_rand_u64(f->seed, 1, number),
             (unsigned long long)ft_rand_u64(f->seed, 2, number));
    struct ft_ledger_begin named = *b;
    named.id = id;
    named.model = "";
    named.stream = false;
    named.client_id = named.trace_id = NULL;
    named.at_us = named.ago_us = 0;
    named.price = (struct ft_price){.input = 0};
    struct ft_slot_begin begin;
    struct ft_slot_end end;
    memset(&end, 0, sizeof end);
    end.http = http;
    end.status = status;
    if (ft_ledger_fill(&named, true, &begin, NULL) != 0)
        return false;
    row->slot = ft_slots_take(&l->slots);
    if (row->slot == FT_LEDGER_SLOT_NONE)
        return false;
    ft_slot_sum(&l->slots.slot[row->slot], &begin, &end);
    row->born_ns = ft_clock_now_ns();
    row->life_ms = status == FT_RECORD_REFUSED ? FT_LEDGER_REFUSED_SUM_MS : FT_LEDGER_POLLED_SUM_MS;
    return true;
}

/* Under f->lock. */
static void add_up(struct ft_ledger *l, const struct ft_ledger_begin *b,
                   enum ft_record_status status, int http)
{
    static const struct ft_ledger_begin others = {
        .id = "", .project = "", .key = "", .model = "", .route = "other"};
    struct ft_refused *f = &l->refused;
    uint64_t hash = hash_of(b, status, http);
    int i = 0;
    while (i < f->n && f->rows[i].hash != hash)
        i++;
    if (i == f->n && f->n >= FT_LEDGER_REFUSED_ROWS) { /* the place kept for all the others */
        hash = 0;
        b = &others;
        http = 0;
        i = FT_LEDGER_REFUSED_ROWS;
    }
    if (i < f->n) {
        struct ft_slot *s = &l->slots.slot[f->rows[i].slot];
        atomic_fetch_add_explicit(&s->requests, 1, memory_order_relaxed);
        return;
    }
    if (!row_open(l, &f->rows[i], b, status, http)) {
        if (atomic_fetch_add(&l->uncounted, 1) == 0)
            ft_log(FT_LOG_WARN, "ledger", "no slot is free: requests go unrecorded");
        return;
    }
    f->rows[i].hash = hash;
    f->n = i + 1;
    if (f->n == 1) { /* the writer sleeps without a time while there are none */
        pthread_mutex_lock(&l->lock);
        l->look = true;
        pthread_cond_signal(&l->wake_writer);
        pthread_mutex_unlock(&l->lock);
    }
}

void ft_ledger_refuse(struct ft_ledger *l, const struct ft_ledger_begin *b, int http,
                      const struct ft_record_error *error)
{
    struct ft_refused *f = &l->refused;
    http = http < 0 || http > 999 ? 0 : http;
    pthread_mutex_lock(&f->lock);
    bool own = b->key[0] != '\0' && own_record(f, ft_clock_now_ns());
    int i = own ? ft_slots_take(&l->slots) : FT_LEDGER_SLOT_NONE;
    if (i == FT_LEDGER_SLOT_NONE)
        add_up(l, b, FT_RECORD_REFUSED, http);
    pthread_mutex_unlock(&f->lock);
    if (i == FT_LEDGER_SLOT_NONE)
        return;
    struct ft_slot_begin begin;
    if (ft_ledger_fill(b, true, &begin, NULL) != 0) { /* it has no id */
        ft_slots_give(&l->slots, i);
        return;
    }
    begin.price = (struct ft_price){.input = 0};
    ft_slot_begin(&l->slots.slot[i], &begin);
    struct ft_ledger_end end = {
        .status = FT_RECORD_REFUSED, .http = http, .error = error, .end_us = b->at_us};
    ft_ledger_end(l, i, &end, NULL);
}

void ft_ledger_polled(struct ft_ledger *l, const struct ft_ledger_begin *b, int http)
{
    struct ft_refused *f = &l->refused;
    pthread_mutex_lock(&f->lock);
    add_up(l, b, FT_RECORD_OK, http);
    pthread_mutex_unlock(&f->lock);
}

int64_t ft_refused_flush(struct ft_ledger *l, bool all)
{
    struct ft_refused *f = &l->refused;
    int64_t now = ft_clock_now_ns(), next_ms = -1;
    int32_t done[FT_LEDGER_REFUSED_ROWS + 1];
    int n_done = 0, kept = 0;
    pthread_mutex_lock(&f->lock);
    for (int i = 0; i < f->n; i++) {
        int64_t left_ms = f->rows[i].life_ms - (now - f->rows[i].born_ns) / 1000000;
        if (all || left_ms <= 0) {
            done[n_done++] = f->rows[i].slot;
            continue;
        }
        next_ms = next_ms < 0 ? left_ms : FT_MIN(next_ms, left_ms);
        f->rows[kept++] = f->rows[i];
    }
    f->n = kept;
    pthread_mutex_unlock(&f->lock);
    for (int i = 0; i < n_done; i++)
        ft_ledger_hand_over(l, done[i]);
    return next_ms;
}
