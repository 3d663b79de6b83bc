/* The ledger's insides, between ledger.c (requests, the writing thread), refused.c (sums of refused
 * requests) and deliver.c (the delivery thread). */
#ifndef FT_LEDGER_IMPL_H
#define FT_LEDGER_IMPL_H

#include "ledger/journal.h"
#include "ledger/ledger.h"
#include "ledger/prices.h"
#include "ledger/slots.h"
#include "ledger/syncer.h"

#define FT_LEDGER_TROUBLE_MAX 256

/* A sum of requests, in a slot of its own. */
struct ft_refused_row {
    uint64_t hash; /* of what they share */
    int slot;
    int64_t born_ns, life_ms;
};

struct ft_refused {
    pthread_mutex_t lock;
    int64_t tokens_nano, at_ns; /* records of their own that may still be made */
    struct ft_refused_row rows[FT_LEDGER_REFUSED_ROWS + 1]; /* the last: all the others */
    int n;
    uint64_t seed, made; /* ids of sums */
};

struct ft_ledger {
    struct ft_ledger_options o;
    int lock_fd;
    struct ft_slots slots;
    struct ft_journal journal; /* appended to by the writer, read by the deliverer */
    struct ft_prices prices;
    atomic_int batch_permille; /* of the price, for calls of batches */
    atomic_bool batch_seen;    /* in this snapshot */
    struct ft_refused refused;

    pthread_mutex_t lock;
    pthread_cond_t wake_writer, wake_deliverer, progress;
    int32_t *ended, *taken; /* (lock) slots to be written; the writer's own, being written */
    int n_ended, n_taken;   /* (lock); the writer's */
    int64_t n_in, n_out;    /* (lock) ever ended, ever written */
    int hurry;              /* (lock) callers of drain */
    bool look;              /* (lock) there are sums, of which the writer does not know */
    bool stop, delivering;  /* (lock) */
    char disk_trouble[FT_LEDGER_TROUBLE_MAX], sync_trouble[FT_LEDGER_TROUBLE_MAX],
        delivery_trouble[FT_LEDGER_TROUBLE_MAX]; /* (lock) */
    struct ft_syncer syncer;
    bool writer_runs, deliverer_runs;
    pthread_t writer, deliverer;

    atomic_llong records, recovered, lost, delivered, corrupt, turned_down, uncounted;
};

/* Hands an ENDED or SUM slot to the writer. */
void ft_ledger_hand_over(struct ft_ledger *l, int slot);
/* Fills a slot's beginning; a text that is too long or not UTF-8 is FT_EINVAL, or mended where
 * `mend`. */
int ft_ledger_fill(const struct ft_ledger_begin *b, bool mend, struct ft_slot_begin *ret,
                   struct ft_err *err);
/* Sets or (msg NULL) clears a trouble, and logs its coming and going. */
void ft_ledger_trouble(struct ft_ledger *l, char *which, const char *msg);

/* Hands over sums that are old enough, or all. Milliseconds until the next is; -1: there is none.
 */
int64_t ft_refused_flush(struct ft_ledger *l, bool all);

struct ft_journal_pos ft_ledger_acknowledged(struct ft_ledger *l);
/* At open: never ahead of a journal whose end a power cut, or someone, took away. */
void ft_ledger_acknowledged_mend(struct ft_ledger *l);
void *ft_ledger_deliver_main(void *ledger);

#endif
