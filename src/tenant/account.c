/* Accounts: buckets of a minute, places, budgets of a day and a month. */
#include "tenant/account.h"

#define NANO      1000000000
#define MINUTE_NS (60 * (int64_t)NANO)
#define DAY_S     86400

void ft_account_init(struct ft_account *a)
{
    *a = (struct ft_account){.terms = {.rpm = FT_ACCOUNT_NONE,
                                       .tpm = FT_ACCOUNT_NONE,
                                       .concurrency = FT_ACCOUNT_NONE,
                                       .budget_day = FT_ACCOUNT_NONE,
                                       .budget_month = FT_ACCOUNT_NONE}};
    pthread_mutex_init(&a->lock, NULL);
}

void ft_account_fini(struct ft_account *a)
{
    pthread_mutex_destroy(&a->lock);
}

/* Year and month of a day since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
 * algorithms", civil_from_days): without gmtime_r, whose cost is most of an admission's. */
int64_t ft_account_month(int64_t day)
{
    int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t m = mp < 10 ? mp + 3 : mp - 9, y = yoe + era * 400 + (m <= 2);
    return y * 12 + m - 1;
}

/* ---- buckets ---- */

static void bucket_change(struct ft_account_bucket *b, int64_t from, int64_t to)
{
    if (to == FT_ACCOUNT_NONE || from == FT_ACCOUNT_NONE)
        *b = (struct ft_account_bucket){.level = to == FT_ACCOUNT_NONE ? 0 : to * NANO};
    else
        b->level += (to - from) * NANO; /* keeps what is used, which may now be too much */
}

static void bucket_fill(struct ft_account_bucket *b, int64_t limit, int64_t now_ns)
{
    if (limit == FT_ACCOUNT_NONE || now_ns <= b->at_ns)
        return;
    __int128 more = (__int128)limit * (now_ns - b->at_ns) / 60;
    if (b->at_ns == 0 || more > (__int128)limit * NANO - b->level)
        b->level = b->at_ns == 0 ? FT_MIN(b->level, limit * NANO) : limit * NANO;
    else
        b->level += (int64_t)more;
    b->at_ns = now_ns;
}

/* Milliseconds, rounded up, until the bucket has `level`. */
static int64_t bucket_wait_ms(const struct ft_account_bucket *b, int64_t limit, int64_t level)
{
    if (limit <= 0)
        return MINUTE_NS / 1000000;
    if (b->level >= level)
        return 0;
    __int128 ns = ((__int128)level - b->level) * 60 / limit;
    return (int64_t)(ns / 1000000) + 1;
}

static void bucket_give(struct ft_account_bucket *b, int64_t limit, int64_t tokens)
{
    if (limit == FT_ACCOUNT_NONE)
        return;
    __int128 level = (__int128)b->level + (__int128)tokens * NANO, cap = (__int128)limit * NANO;
    b->level = (int64_t)(level > cap ? cap : level < -cap ? -cap : level);
}

/* ---- terms ---- */

static bool same_warn(const struct ft_account_terms *a, const struct ft_account_terms *b)
{
    bool same = a->n_warn == b->n_warn;
    for (int i = 0; same && i < a->n_warn; i++)
        same = a->warn[i] == b->warn[i];
    return same;
}

void ft_account_terms_set(struct ft_account *a, const struct ft_account_terms *terms)
{
    const struct ft_account_terms *old = &a->terms;
    if (old->rpm != terms->rpm)
        bucket_change(&a->requests, old->rpm, terms->rpm);
    if (old->tpm != terms->tpm)
        bucket_change(&a->tokens, old->tpm, terms->tpm);
    bool warn_anew = !same_warn(old, terms);
    if (warn_anew || old->budget_day != terms->budget_day)
        a->warned_day = 0;
    if (warn_anew || old->budget_month != terms->budget_month)
        a->warned_month = 0;
    a->terms = *terms;
}

/* ---- admission ---- */

static int64_t plus(int64_t a, int64_t b)
{
    return __builtin_add_overflow(a, b, &a) ? INT64_MAX : a;
}

int64_t ft_account_spent(const struct ft_account *a, bool month)
{
    return month ? plus(a->known_month, a->since_month) : plus(a->known_day, a->since_day);
}

/* A new day begins with nothing spent; a clock that goes back begins none. */
static void roll(struct ft_account *a, int64_t now_s)
{
    int64_t day = now_s / DAY_S;
    if (day <= a->day)
        return;
    int64_t month = ft_account_month(day);
    a->day = day;
    a->known_day = a->since_day = 0;
    a->warned_day = 0;
    if (month != a->month) {
        a->month = month;
        a->known_month = a->since_month = 0;
        a->warned_month = 0;
    }
}

static int64_t month_end_s(int64_t now_s)
{
    int64_t day = now_s / DAY_S, month = ft_account_month(day);
    while (ft_account_month(day) == month) /* at most 31 steps */
        day++;
    return day * DAY_S;
}

static bool used_up(int64_t budget, int64_t spent, int64_t reserved)
{
    return budget != FT_ACCOUNT_NONE &&
           (spent >= budget || reserved >= budget - spent); /* no overflow */
}

enum ft_tenant_why ft_account_check(struct ft_account *a, const struct ft_tenant_ask *ask,
                                    int64_t *ret_wait_ms)
{
    const struct ft_account_terms *t = &a->terms;
    roll(a, ask->now_s);
    bucket_fill(&a->requests, t->rpm, ask->now_ns);
    bucket_fill(&a->tokens, t->tpm, ask->now_ns);
    if (used_up(t->budget_month, ft_account_spent(a, true), a->reserved)) {
        *ret_wait_ms = (month_end_s(ask->now_s) - ask->now_s) * 1000;
        return FT_WHY_BUDGET_MONTH;
    }
    if (used_up(t->budget_day, ft_account_spent(a, false), a->reserved)) {
        *ret_wait_ms = (DAY_S - ask->now_s % DAY_S) * 1000;
        return FT_WHY_BUDGET_DAY;
    }
    if (t->tpm != FT_ACCOUNT_NONE && ask->tokens_estimate > t->tpm) {
        *ret_wait_ms = 0;
        return FT_WHY_TOO_LARGE;
    }
    if (t->rpm != FT_ACCOUNT_NONE && a->requests.level < NANO) {
        *ret_wait_ms = t->rpm > 0 ? bucket_wait_ms(&a->requests, t->rpm, NANO) : 0; /* never */
        return FT_WHY_REQUESTS;
    }
    if (t->tpm != FT_ACCOUNT_NONE && a->tokens.level < ask->tokens_estimate * NANO) {
        *ret_wait_ms = bucket_wait_ms(&a->tokens, t->tpm, ask->tokens_estimate * NANO);
        return FT_WHY_TOKENS;
    }
    if (t->concurrency != FT_ACCOUNT_NONE && a->running >= t->concurrency) {
        *ret_wait_ms = t->concurrency > 0 ? 1000 : 0; /* nobody knows when one ends */
        return FT_WHY_CONCURRENCY;
    }
    return FT_WHY_OK;
}

void ft_account_take(struct ft_account *a, const struct ft_tenant_ask *ask)
{
    bucket_give(&a->requests, a->terms.rpm, -1);
    bucket_give(&a->tokens, a->terms.tpm, -ask->tokens_estimate);
    a->running++;
    a->reserved += ask->cost_max_nanos;
}

void ft_account_give(struct ft_account *a, int64_t tokens_estimate, int64_t tokens_actual,
                     int64_t reserved)
{
    bucket_give(&a->tokens, a->terms.tpm, tokens_estimate - tokens_actual);
    a->running--;
    a->reserved -= reserved;
}

static void rate_take_less(const struct ft_account_bucket *b, int64_t limit,
                           struct ft_tenant_rate *rate)
{
    int64_t left = b->level <= 0 ? 0 : b->level / NANO;
    if (limit <= 0 || (rate->limit != 0 && rate->remaining <= left))
        return;
    *rate = (struct ft_tenant_rate){limit, left, bucket_wait_ms(b, limit, limit * NANO)};
}

void ft_account_rates(const struct ft_account *a, struct ft_tenant_limits *limits)
{
    rate_take_less(&a->requests, a->terms.rpm, &limits->requests);
    rate_take_less(&a->tokens, a->terms.tpm, &limits->tokens);
}

/* ---- spend ---- */

static void warn(const struct ft_account *a, bool month, uint32_t *warned,
                 struct ft_account_warnings *w)
{
    int64_t budget = month ? a->terms.budget_month : a->terms.budget_day;
    int64_t spent = ft_account_spent(a, month);
    if (budget == FT_ACCOUNT_NONE)
        return;
    for (int i = 0; i <= a->terms.n_warn; i++) { /* the last: used up */
        bool last = i == a->terms.n_warn;
        double fraction = last ? 1 : a->terms.warn[i];
        uint32_t bit = 1u << (last ? FT_TENANT_WARN_MAX : i);
        bool reached = last ? spent >= budget : (double)spent >= fraction * (double)budget;
        if (!reached || (*warned & bit) != 0)
            continue;
        *warned |= bit;
        if (w != NULL)
            w->list[w->n++] = (struct ft_tenant_warning){
                .month = month, .fraction = fraction, .spent_nanos = spent, .budget_nanos = budget};
    }
}

void ft_account_spend(struct ft_account *a, int64_t now_s, int64_t end_s, int64_t nanos,
                      struct ft_account_warnings *w)
{
    roll(a, now_s);
    if (end_s / DAY_S >= a->day)
        a->since_day = plus(a->since_day, nanos);
    if (ft_account_month(end_s / DAY_S) >= a->month)
        a->since_month = plus(a->since_month, nanos);
    warn(a, false, &a->warned_day, w);
    warn(a, true, &a->warned_month, w);
}

void ft_account_spend_set(struct ft_account *a, int64_t now_s, int64_t day, int64_t month)
{
    roll(a, now_s);
    a->known_day = FT_MAX(day, 0);
    a->known_month = FT_MAX(month, 0);
    warn(a, false, &a->warned_day, NULL);
    warn(a, true, &a->warned_month, NULL);
}
