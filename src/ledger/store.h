/* The ledger in the admin side: usage records in the state store, and the figures made of them.
 *
 * Records are kept one by one; beside them, and in the same transaction, sums by hour, and by day
 * for spend. A record counts in the hour and day (UTC) in which it ended. All functions run within
 * a transaction of state.h (put: one that writes) and have no other effect, so they may be run
 * again. */
#ifndef FT_LEDGER_STORE_H
#define FT_LEDGER_STORE_H

#include "ledger/record.h"
#include "state/state.h"

#define FT_USAGE_BATCH_MAX  10000 /* records of one put */
#define FT_USAGE_VALUES_MAX 6     /* of one filter */
#define FT_USAGE_ROUTES_MAX 4
#define FT_USAGE_ROWS_MAX   100000 /* of one answer */
#define FT_USAGE_LOOKS_MAX  10000  /* records that one list looks at, milliseconds of work */

/* The tables, and their newer versions. */
int ft_usage_migrate(struct ft_state *s, struct ft_err *err);

/* NDJSON as the gateway delivers it. Records whose id is there already are left out: *ret_new is
 * how many were not. FT_EINVAL names line and member; FT_ELIMIT past FT_USAGE_BATCH_MAX. */
int ft_usage_put(struct ft_state_tx *tx, const char *ndjson, size_t n, int64_t *ret_new,
                 struct ft_err *err);

/* ---- figures ---- */

struct ft_usage_filter {  /* each value list: NULL and n 0 for any */
    int64_t from_s, to_s; /* [from, to) of the ends; to 0: without end */
    const char *const *projects, *const *keys, *const *models, *const *routes;
    int n_projects, n_keys, n_models, n_routes;
    /* Of lists of records alone: */
    const char *batch;     /* lines of this one (ft_record_batch); NULL: any request */
    const char *status;    /* a status by its name, or HTTP's in digits; NULL: any */
    const char *not_route; /* of every route but this; NULL: of all */
    int64_t min_us;        /* that took so long at least */
    bool single;           /* without sums of refused ones */
    bool no_pages;         /* without what pages of the console asked for */
};

enum ft_usage_group { /* or-ed */
                      FT_USAGE_BY_PROJECT = 1,
                      FT_USAGE_BY_KEY = 2,
                      FT_USAGE_BY_MODEL = 4,
                      FT_USAGE_BY_ROUTE = 8,
                      FT_USAGE_BY_STATUS = 16
};

struct ft_usage_query {
    struct ft_usage_filter filter;
    int64_t bucket_s;      /* 60, 3600, 86400, ...: rows by time, from multiples of it; 0: in one */
    unsigned by;           /* enum ft_usage_group */
    int64_t limit, offset; /* rows; 0: FT_USAGE_ROWS_MAX */
};

struct ft_usage_row {
    int64_t at_s;                                       /* begin of the bucket; 0 without buckets */
    const char *project, *key, *model, *route, *status; /* "" unless grouped by; valid in fn */
    int64_t requests, prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens;
    int64_t cost_nanos, cpu_us, energy_uj;
    int64_t estimated_uj; /* of energy_uj: from processor time alone */
    int64_t bytes_in, bytes_out;
};
typedef void ft_usage_row_fn(void *ctx, const struct ft_usage_row *row);

/* Sums in the order of time, then of the names grouped by; buckets without records have no row.
 * Answered from the sums by hour where from, to and bucket are whole hours, else from the records.
 * FT_EINVAL: too many values in a filter, a bucket or time below 0. */
int ft_usage_sum(struct ft_state_tx *tx, const struct ft_usage_query *q, ft_usage_row_fn *fn,
                 void *ctx, struct ft_err *err);

/* A place in the list of all records, newest first: behind the one that ended then. 0: before the
 * newest one. */
struct ft_usage_place {
    int64_t end_us;
    char id[FT_RECORD_ID_MAX + 1];
};

/* Records, newest first, of a filter, at most `limit` (0: 100), of those behind `from`. Rare ones
 * may be far apart: at most FT_USAGE_LOOKS_MAX records are looked at, then *ret_on says where the
 * next call goes on, whether this one found any or not. Its end_us is 0 where all were looked at,
 * or `limit` were found: behind the last of them the next page begins. */
typedef void ft_usage_record_fn(void *ctx, const struct ft_record *r);
int ft_usage_records(struct ft_state_tx *tx, const struct ft_usage_filter *f,
                     const struct ft_usage_place *from, int64_t limit, ft_usage_record_fn *fn,
                     void *ctx, struct ft_usage_place *ret_on, struct ft_err *err);
/* FT_ENOTFOUND. */
int ft_usage_find(struct ft_state_tx *tx, const char *id, struct ft_record *ret,
                  struct ft_err *err);

/* What every project (key "") and every key (project "") has spent in the UTC day and month of
 * now_s; only those that spent something this month. */
typedef void ft_usage_spend_fn(void *ctx, const char *project, const char *key, int64_t day_nanos,
                               int64_t month_nanos);
int ft_usage_spend(struct ft_state_tx *tx, int64_t now_s, ft_usage_spend_fn *fn, void *ctx,
                   struct ft_err *err);

/* The same of one key and its project alone. */
struct ft_usage_spent {
    int64_t project_day, project_month, key_day, key_month; /* nanos */
};
int ft_usage_spent_of(struct ft_state_tx *tx, int64_t now_s, const char *project, const char *key,
                      struct ft_usage_spent *ret, struct ft_err *err);

/* Removes records that ended before then, at most limit; the sums stay. *ret_gone: how many. Their
 * ids are not known any more: before_s must be older than anything a gateway may still deliver. */
int ft_usage_prune(struct ft_state_tx *tx, int64_t before_s, int64_t limit, int64_t *ret_gone,
                   struct ft_err *err);

#endif
