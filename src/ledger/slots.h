/* The in-flight table: a file mapped shared, one slot of 1024 bytes for each running request, so
 * what a killed process had written is there for the next one.
 *
 * A slot is FREE until all that a request begins with is in it; then its state says OPEN, which is
 * one store. So is every count, and ENDED, after all that the end brings. A kill falls between two
 * stores, never into one: a reader sees the slot before or after, and nothing in between. A power
 * cut may leave any mixture of old and new pages; checksums over the two parts tell, and a slot is
 * whole sectors.
 *
 *        take, begin            end                 its record is in the journal
 *   FREE -----------> OPEN -----------> ENDED -----------------------> FREE
 *      \ ------------> SUM (a sum of refused requests: open, and its end known) --^
 */
#ifndef FT_LEDGER_SLOTS_H
#define FT_LEDGER_SLOTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "ledger/ledger.h"

enum ft_slot_state { FT_SLOT_FREE, FT_SLOT_OPEN, FT_SLOT_ENDED, FT_SLOT_SUM };

struct ft_slot_begin { /* written once, before OPEN */
    int64_t start_us;
    struct ft_price price;
    uint8_t stream, page;
    char id[FT_RECORD_ID_MAX + 1], project[FT_RECORD_ID_MAX + 1], key[FT_RECORD_ID_MAX + 1];
    char model[FT_RECORD_MODEL_MAX + 1], route[FT_RECORD_ROUTE_MAX + 1];
    char client_id[FT_RECORD_ID_MAX + 1], trace_id[FT_RECORD_TRACE_MAX + 1];
};

struct ft_slot_end { /* written once, before ENDED (or SUM) */
    int64_t end_us, reasoning_tokens, cpu_us, energy_uj, bytes_in, bytes_out;
    int32_t http;
    uint8_t status, energy_estimated;
    int64_t phase[FT_PHASE_FIELDS];
    char target[FT_RECORD_TARGET_MAX + 1];
    struct ft_record_error error;
};

struct ft_slot {
    _Atomic uint32_t state;
    uint32_t begin_crc, end_crc;
    uint32_t unused;
    _Atomic int64_t prompt, cached, completion, first_us, requests;
    struct ft_slot_begin begin;
    struct ft_slot_end end;
} __attribute__((aligned(1024)));

struct ft_slots_head { /* the file's first page */
    char magic[8];
    uint32_t slot_bytes, n;
    uint32_t crc; /* of all before it */
    uint32_t unused;
    /* How far the journal is acknowledged: segment << 32 | offset. Here, since it changes with
     * every batch and must outlive a kill; older than the truth after a power cut at worst. */
    _Atomic uint64_t acknowledged;
};

struct ft_slots {
    struct ft_slots_head *head;
    struct ft_slot *slot;
    int n;
    size_t bytes;
    pthread_mutex_t lock;
    int32_t *free; /* (lock) a stack */
    int n_free;
};

/* DIR/inflight, made of n slots if it is not there, or of another size and free. *ret_damaged: what
 * was there was none of ours, was put aside as inflight.damaged, and whatever was in it is not
 * known; but how far the journal is acknowledged is, where it was of the version before. Slots that
 * are not FREE belong to the caller, as if taken. */
int ft_slots_open(const char *dir, int n, struct ft_slots *ret, bool *ret_damaged,
                  struct ft_err *err);
void ft_slots_close(struct ft_slots *s); /* a zeroed one is accepted */

int ft_slots_take(struct ft_slots *s); /* FT_LEDGER_SLOT_NONE: all are taken */
void ft_slots_give(struct ft_slots *s, int i);
int ft_slots_used(struct ft_slots *s);

void ft_slot_begin(struct ft_slot *s, const struct ft_slot_begin *b);
void ft_slot_end(struct ft_slot *s, const struct ft_slot_end *e);
void ft_slot_sum(struct ft_slot *s, const struct ft_slot_begin *b, const struct ft_slot_end *e);

/* The record that a slot stands for, "lost" for an OPEN one. False: FREE. FT_ECORRUPT in *ret_rc
 * where a checksum is wrong. now_us: the end of those that have none. */
bool ft_slot_record(const struct ft_slot *s, int64_t now_us, struct ft_record *ret, int *ret_rc);

#endif
