/* An account: what one key or one project may use a minute, at once, a day and a month, and what it
 * has used. Every function locks nothing: callers hold `lock`, a project's before its key's. */
#ifndef FT_TENANT_ACCOUNT_H
#define FT_TENANT_ACCOUNT_H

#include <pthread.h>

#include "tenant/tenant.h"

#define FT_ACCOUNT_NONE (-1) /* no such limit */

struct ft_account_terms { /* what a row says */
    int64_t rpm, tpm, concurrency;
    int64_t budget_day, budget_month; /* nanos */
    int n_warn;
    double warn[FT_TENANT_WARN_MAX];
};

/* A bucket holds a minute's worth and fills evenly. In 1e-9 of a token, so that nothing is lost to
 * rounding; below 0 where more was used than was estimated. */
struct ft_account_bucket {
    int64_t level, at_ns;
};

struct ft_account {
    pthread_mutex_t lock;
    struct ft_account_terms terms;
    struct ft_account_bucket requests, tokens;
    int64_t running, reserved; /* admitted and not settled; their nanos */
    int64_t day, month;        /* to which the next ones belong: days since 1970, months since 0 */
    int64_t known_day, known_month;    /* spent before this process, as far as is known */
    int64_t since_day, since_month;    /* settled and added since */
    uint32_t warned_day, warned_month; /* bit per threshold; FT_TENANT_WARN_MAX: 1 */
};

void ft_account_init(struct ft_account *a);
void ft_account_fini(struct ft_account *a);

/* What was used of the old limits counts against the new ones; other budgets warn anew. */
void ft_account_terms_set(struct ft_account *a, const struct ft_account_terms *terms);

/* May this one be admitted? Fills the buckets up to now. *ret_wait_ms: when to try again. */
enum ft_tenant_why ft_account_check(struct ft_account *a, const struct ft_tenant_ask *ask,
                                    int64_t *ret_wait_ms);
void ft_account_take(struct ft_account *a, const struct ft_tenant_ask *ask);
void ft_account_give(struct ft_account *a, int64_t tokens_estimate, int64_t tokens_actual,
                     int64_t reserved);
/* What is left, of the one with less: *rate is of another account, or zeroed. */
void ft_account_rates(const struct ft_account *a, struct ft_tenant_limits *limits);

int64_t ft_account_month(int64_t day); /* of a day since 1970: year * 12 + month */

/* At most these many warnings come of one call. */
#define FT_ACCOUNT_WARNINGS_MAX (2 * (FT_TENANT_WARN_MAX + 1))
struct ft_account_warnings {
    int n;
    struct ft_tenant_warning list[FT_ACCOUNT_WARNINGS_MAX];
};
/* Spent at end_s, seen at now_s >= end_s. */
void ft_account_spend(struct ft_account *a, int64_t now_s, int64_t end_s, int64_t nanos,
                      struct ft_account_warnings *w);
void ft_account_spend_set(struct ft_account *a, int64_t now_s, int64_t day, int64_t month);
int64_t ft_account_spent(const struct ft_account *a, bool month);

#endif
