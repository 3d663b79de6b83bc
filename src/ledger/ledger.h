/* The ledger in the gateway: one record for every request, whatever way it ended, kept until the
 * admin side has it.
 *
 *   begin -> a slot in a table that is mapped from a file, so what is in it outlives the process
 *   count -> what was delivered so far, any number of times
 *   end   -> how it ended; a thread appends the slot's record to the journal, then frees the slot
 *
 * `kill -9` at any point: an open slot becomes a record with status "lost" and what was counted at
 * the next ft_ledger_open, an ended one becomes its record, and one whose record is in the journal
 * is dropped. Power loss: what ended within the last FT_LEDGER_FLUSH_MS and one sync of the disk.
 *
 * A second thread delivers the journal in order, batch by batch, and removes what was acknowledged;
 * a batch may be delivered twice (after a kill), which the record's id makes harmless.
 *
 * Bounds: slots_max requests at once and journal_bytes_max bytes waiting for delivery. At the
 * latter, and when the disk takes no more, what has ended stays in its slots; when no slot is free,
 * ft_ledger_begin refuses: a request that cannot be recorded is not served. Running ones end as
 * ever. */
#ifndef FT_LEDGER_LEDGER_H
#define FT_LEDGER_LEDGER_H

#include <jansson.h>

#include "ledger/price.h"
#include "ledger/record.h"

#define FT_LEDGER_FLUSH_MS       50
#define FT_LEDGER_SLOTS_MAX      16384
#define FT_LEDGER_BATCH_RECORDS  1000
#define FT_LEDGER_BATCH_BYTES    (1 << 20)
#define FT_LEDGER_RETRY_MS_MAX   5000
#define FT_LEDGER_PRICES_MAX     10000
#define FT_LEDGER_SLOT_NONE      -1
#define FT_LEDGER_REFUSED_RATE   100  /* refused requests a second with a record each; see refuse */
#define FT_LEDGER_REFUSED_ROWS   256  /* sums of refused requests at a time */
#define FT_LEDGER_REFUSED_SUM_MS 2000 /* how long one adds up */
#define FT_LEDGER_POLLED_SUM_MS  60000 /* the same of what pages ask by themselves */

struct ft_ledger;

/* Takes a batch (NDJSON) to the admin side, on the delivery thread; may block, must return within
 * seconds. 0: committed there. FT_EINVAL: refused for what it says: its records are then sent one
 * by one, and the ones refused alone go to DIR/refused.ndjson. Other codes: tried again, with
 * pauses up to FT_LEDGER_RETRY_MS_MAX, for ever. */
typedef int ft_ledger_deliver_fn(void *ctx, const char *ndjson, size_t n, int n_records,
                                 struct ft_err *err);

struct ft_ledger_options {
    const char *dir;               /* HOME/journal; made if it is not there; held by one process */
    int slots_max;                 /* 0: FT_LEDGER_SLOTS_MAX */
    int64_t journal_bytes_max;     /* 0: 1 GiB, some 2.5 million records */
    int64_t segment_bytes;         /* 0: 8 MiB */
    ft_ledger_deliver_fn *deliver; /* NULL: nothing is delivered, everything kept */
    void *ctx;
    bool held; /* delivery begins with ft_ledger_deliver_start */
};

/* Recovers what a process before left. FT_EBUSY: another one has the folder. */
int ft_ledger_open(const struct ft_ledger_options *o, struct ft_ledger **ret, struct ft_err *err);
/* Writes what has ended; delivery is not waited for. Open slots become "lost" at the next open.
 * No other thread may be in a call. NULL is accepted. */
void ft_ledger_close(struct ft_ledger *l);

/* A row of the feed: kind "price" {model (glob; the longest that matches), input, cached_input,
 * output (decimal strings per million tokens; cached_input may be missing: as input)}; setting
 * "batch_price"; others are ignored. body NULL: gone. FT_EINVAL names the field; the row before
 * stays. */
int ft_ledger_apply(struct ft_ledger *l, const char *kind, const char *id, const json_t *body,
                    struct ft_err *err);
/* A snapshot begins: prices not seen again until ft_ledger_snapshot_end are gone then. */
void ft_ledger_snapshot_begin(struct ft_ledger *l);
void ft_ledger_snapshot_end(struct ft_ledger *l);
/* What a call of a batch costs that as any other would cost so much: by the setting "batch_price"
 * ({"batch_price":"0.5"}, a part of the price; half where it is not set). */
int64_t ft_ledger_batch_cost(struct ft_ledger *l, int64_t nanos);
/* Zeros where no price matches. */
void ft_ledger_price(struct ft_ledger *l, const char *model, struct ft_price *ret);

/* ---- a request ---- any thread; about a microsecond for all of one */

struct ft_ledger_begin {
    const char *id; /* of our making, random: never what a client sent */
    const char *project, *key, *model, *route;
    bool stream, page;     /* page: of the console, which asks by itself */
    struct ft_price price; /* what it costs, whatever the feed says meanwhile */
    int64_t ago_us;        /* it began so long ago, */
    int64_t at_us;         /* as of this unix time; 0: of now. Of refused ones also their end */
    const char *client_id, *trace_id; /* NULL: none */
};

/* FT_EINVAL: a text is too long or not UTF-8. FT_EBUSY, FT_EIO: it cannot be recorded now (503). */
int ft_ledger_begin(struct ft_ledger *l, const struct ft_ledger_begin *b, int *ret_slot,
                    struct ft_err *err);

/* Instead of an end: no record comes of it. For who writes another one in its place. */
void ft_ledger_drop(struct ft_ledger *l, int slot);

/* Totals so far (not increments); they never go down. Counted when it was handed to the client's
 * connection. */
void ft_ledger_count(struct ft_ledger *l, int slot, int64_t prompt_tokens, int64_t cached_tokens,
                     int64_t completion_tokens);

struct ft_ledger_end {
    enum ft_record_status status;
    int http;
    int64_t reasoning_tokens, cpu_us, energy_uj;
    bool energy_estimated;
    int64_t bytes_in, bytes_out;
    int64_t end_us;                      /* unix time; 0: now */
    const struct ft_phases *phases;      /* NULL: not measured */
    const char *target;                  /* the version that it was given to; NULL: none */
    const struct ft_record_error *error; /* NULL: none */
};
struct ft_ledger_sum { /* what the record says */
    int64_t end_s;     /* unix time */
    int64_t start_us, end_us, first_us;
    int64_t prompt_tokens, completion_tokens, cost_nanos;
};
/* The slot's counts are the record's. The slot is not the caller's any more. */
void ft_ledger_end(struct ft_ledger *l, int slot, const struct ft_ledger_end *e,
                   struct ft_ledger_sum *ret_sum);

/* A request that was refused before it began (4xx, 429, 503): a record of zero tokens. The first
 * FT_LEDGER_REFUSED_RATE a second get one each; above that, and always where the key is unknown
 * (project and key ""), they are added up by project, key, route and status for
 * FT_LEDGER_REFUSED_SUM_MS into one record whose `requests` is their number; past
 * FT_LEDGER_REFUSED_ROWS sums at a time, under no key and model. None is left out, unless all slots
 * are taken: then they are counted and logged. b->price is not read; error (NULL: none) is kept
 * where it gets a record of its own. */
void ft_ledger_refuse(struct ft_ledger *l, const struct ft_ledger_begin *b, int http,
                      const struct ft_record_error *error);

/* A request that an open page makes again and again, answered well and free: always added up, by
 * project, key, route and status, for FT_LEDGER_POLLED_SUM_MS. */
void ft_ledger_polled(struct ft_ledger *l, const struct ft_ledger_begin *b, int http);

/* ---- what lies in the journal ---- */

/* Calls fn for every record that is not acknowledged: at start, before delivery, for spend. */
int ft_ledger_pending(struct ft_ledger *l, void (*fn)(void *ctx, const struct ft_record *r),
                      void *ctx, struct ft_err *err);
void ft_ledger_deliver_start(struct ft_ledger *l); /* with options.held */

struct ft_ledger_stats {
    int slots_used, slots_max;
    int64_t records;         /* written since open */
    int64_t recovered, lost; /* at open: ended ones that were written, open ones */
    int64_t delivered;       /* records acknowledged since open */
    int64_t pending_bytes;   /* waiting for delivery */
    int64_t corrupt;         /* lines of the journal whose checksum was wrong */
    int64_t refused;         /* records that the admin side would not take */
    int64_t uncounted;       /* refused requests without a record */
    char trouble[256];       /* what is wrong now with disk or delivery; "" */
};
void ft_ledger_stats(struct ft_ledger *l, struct ft_ledger_stats *ret);
/* Waits until everything ended before the call is on the disk and acknowledged. False: not
 * within timeout_ms. */
bool ft_ledger_drain(struct ft_ledger *l, int64_t timeout_ms);

#endif
