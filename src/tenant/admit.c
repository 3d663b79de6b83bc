/* Admission and settling: the accounts of a key and of its project, together. */
#include <stdio.h>
#include <string.h>

#include "base/decimal.h"
#include "tenant/impl.h"

#define NANOS_ASK_MAX                                                                              \
    100000000000000 /* reserved for one request at most: 100,000 of a currency                     \
                     */

static struct ft_tenant_record *record_of(const struct ft_tenant_ident *i)
{
    return (struct ft_tenant_record *)i;
}

static void lock_both(struct ft_tenant_record *r)
{
    pthread_mutex_lock(&r->project->account.lock);
    pthread_mutex_lock(&r->ident.own->account.lock);
}

static void unlock_both(struct ft_tenant_record *r)
{
    pthread_mutex_unlock(&r->ident.own->account.lock);
    pthread_mutex_unlock(&r->project->account.lock);
}

/* "20s", "1.5s", "3h12m": how OpenAI writes a time to wait. */
static const char *wait_text(int64_t ms, char *text, size_t max)
{
    long long s = (ms + 999) / 1000;
    if (ms < 1000)
        snprintf(text, max, "%lldms", (long long)ms);
    else if (s < 120)
        snprintf(text, max, "%llds", s);
    else if (s < 7200)
        snprintf(text, max, "%lldm%llds", s / 60, s % 60);
    else
        snprintf(text, max, "%lldh%lldm", s / 3600, s % 3600 / 60);
    return text;
}

static int refuse(struct ft_tenant *t, const struct ft_account_terms *terms,
                  const struct ft_tenant_ask *ask, const struct ft_tenant_limits *l,
                  struct ft_err *err)
{
    const char *whose = l->by_project ? "project" : "key";
    char wait[32], currency[sizeof t->currency];
    wait_text(l->retry_after_ms, wait, sizeof wait);
    bool none = (l->why == FT_WHY_REQUESTS && terms->rpm == 0) ||
                (l->why == FT_WHY_CONCURRENCY && terms->concurrency == 0);
    atomic_fetch_add_explicit(&t->refused[l->why], 1, memory_order_relaxed);
    if (none) /* another try is of no use */
        return ft_err_set(
            err, FT_ELIMIT, "This %s may make no requests: its limit of %s is 0.", whose,
            l->why == FT_WHY_REQUESTS ? "requests per min (RPM)" : "concurrent requests");
    switch (l->why) {
    case FT_WHY_REQUESTS:
        return ft_err_set(err, FT_EBUSY,
                          "Rate limit reached for this %s on requests per min (RPM): Limit %lld. "
                          "Please try again in %s.",
                          whose, (long long)terms->rpm, wait);
    case FT_WHY_TOKENS:
        return ft_err_set(err, FT_EBUSY,
                          "Rate limit reached for this %s on tokens per min (TPM): Limit %lld, "
                          "Requested %lld. Please try again in %s.",
                          whose, (long long)terms->tpm, (long long)ask->tokens_estimate, wait);
    case FT_WHY_TOO_LARGE:
        return ft_err_set(err, FT_ELIMIT,
                          "Request too large for this %s on tokens per min (TPM): Limit %lld, "
                          "Requested %lld. Shorten the prompt or lower max_tokens.",
                          whose, (long long)terms->tpm, (long long)ask->tokens_estimate);
    case FT_WHY_CONCURRENCY:
        return ft_err_set(err, FT_EBUSY,
                          "Rate limit reached for this %s on concurrent requests: Limit %lld. "
                          "Please try again when one has ended.",
                          whose, (long long)terms->concurrency);
    default:
        break;
    }
    bool month = l->why == FT_WHY_BUDGET_MONTH;
    char amount[FT_DECIMAL_BYTES];
    int64_t budget = month ? terms->budget_month : terms->budget_day;
    pthread_rwlock_rdlock(&t->lock);
    memcpy(currency, t->currency, sizeof currency);
    pthread_rwlock_unlock(&t->lock);
    return ft_err_set(err, FT_ELIMIT,
                      "You exceeded your current quota: this %s's budget of %s%s%s per %s "
                      "is used up. It begins anew in %s (UTC).",
                      whose, ft_decimal_nanos(budget, amount), currency[0] != '\0' ? " " : "",
                      currency, month ? "month" : "day", wait);
}

int ft_tenant_admit(struct ft_tenant *t, struct ft_tenant_ident *i, const struct ft_tenant_ask *ask,
                    struct ft_tenant_lease *ret_lease, struct ft_tenant_limits *ret_limits,
                    struct ft_err *err)
{
    struct ft_tenant_record *r = record_of(i);
    struct ft_account *project = &r->project->account, *key = &i->own->account;
    struct ft_tenant_ask a = *ask;
    a.tokens_estimate = FT_MIN(FT_MAX(a.tokens_estimate, 0), INT32_MAX);
    a.cost_max_nanos = FT_MIN(FT_MAX(a.cost_max_nanos, 0), NANOS_ASK_MAX);
    struct ft_tenant_limits l = {.why = FT_WHY_OK};
    struct ft_account_terms terms = {.rpm = 0};
    lock_both(r);
    l.why = ft_account_check(key, &a, &l.retry_after_ms);
    if (l.why == FT_WHY_OK) {
        l.why = ft_account_check(project, &a, &l.retry_after_ms);
        l.by_project = l.why != FT_WHY_OK;
    }
    if (l.why == FT_WHY_OK) {
        ft_account_take(project, &a);
        ft_account_take(key, &a);
        l.retry_after_ms = 0;
    } else {
        terms = l.by_project ? project->terms : key->terms;
    }
    ft_account_rates(key, &l);
    ft_account_rates(project, &l);
    unlock_both(r);
    *ret_limits = l;
    if (l.why != FT_WHY_OK)
        return refuse(t, &terms, &a, &l, err);
    *ret_lease = (struct ft_tenant_lease){.tenant = t,
                                          .ident = ft_tenant_ident_ref(i),
                                          .tokens = a.tokens_estimate,
                                          .nanos = a.cost_max_nanos,
                                          .weight = atomic_load(&r->project->weight),
                                          .queue_max = atomic_load(&r->project->queue_max)};
    return 0;
}

static void send_warnings(struct ft_tenant *t, enum ft_tenant_scope scope, const char *id,
                          struct ft_account_warnings *w)
{
    for (int i = 0; i < w->n && t->on_warning != NULL; i++) {
        w->list[i].scope = scope;
        w->list[i].id = id;
        t->on_warning(t->on_warning_ctx, &w->list[i]);
    }
}

void ft_tenant_settle(struct ft_tenant_lease *lease, int64_t now_s, int64_t tokens_actual,
                      int64_t cost_nanos)
{
    if (lease->ident == NULL)
        return;
    struct ft_tenant_record *r = record_of(lease->ident);
    struct ft_account *project = &r->project->account, *key = &r->ident.own->account;
    struct ft_account_warnings of_project, of_key;
    of_project.n = of_key.n = 0;
    lock_both(r);
    ft_account_give(project, lease->tokens, tokens_actual, lease->nanos);
    ft_account_give(key, lease->tokens, tokens_actual, lease->nanos);
    ft_account_spend(project, now_s, now_s, cost_nanos, &of_project);
    ft_account_spend(key, now_s, now_s, cost_nanos, &of_key);
    unlock_both(r);
    send_warnings(lease->tenant, FT_SCOPE_PROJECT, r->ident.project, &of_project);
    send_warnings(lease->tenant, FT_SCOPE_KEY, r->ident.key, &of_key);
    ft_tenant_ident_unref(lease->ident);
    *lease = (struct ft_tenant_lease){.tenant = NULL};
}

/* ---- spend ---- */

/* The account of a project or key, with its node held; NULL: no memory. */
static struct ft_account *hold(struct ft_tenant *t, enum ft_tenant_scope scope, const char *id,
                               struct ft_tenant_node **ret)
{
    struct ft_account *a = NULL;
    pthread_rwlock_wrlock(&t->lock);
    if (scope == FT_SCOPE_PROJECT) {
        struct ft_tenant_project *p = ft_tenant_project_get(t, id);
        if (p != NULL) {
            *ret = &p->node;
            a = &p->account;
        }
    } else {
        struct ft_tenant_key *k = ft_tenant_key_get(t, id);
        if (k != NULL) {
            *ret = &k->node;
            a = &k->account;
        }
    }
    if (a != NULL)
        atomic_fetch_add(&(*ret)->refs, 1);
    pthread_rwlock_unlock(&t->lock);
    return a;
}

static void let_go(enum ft_tenant_scope scope, struct ft_tenant_node *n)
{
    if (scope == FT_SCOPE_PROJECT)
        ft_tenant_project_unref((struct ft_tenant_project *)n);
    else
        ft_tenant_key_unref((struct ft_tenant_key *)n);
}

static int check_id(const char *id, struct ft_err *err)
{
    return strlen(id) <= FT_TENANT_ID_MAX
               ? 0
               : ft_err_set(err, FT_EINVAL, "spend: an id of more than %d bytes", FT_TENANT_ID_MAX);
}

int ft_tenant_spend_set(struct ft_tenant *t, enum ft_tenant_scope scope, const char *id,
                        int64_t now_s, int64_t day_nanos, int64_t month_nanos, struct ft_err *err)
{
    struct ft_tenant_node *node = NULL;
    int rc = check_id(id, err);
    if (rc != 0)
        return rc;
    struct ft_account *a = hold(t, scope, id, &node);
    if (a == NULL)
        return ft_err_set(err, FT_ENOMEM, "spend of %s: no memory", id);
    pthread_mutex_lock(&a->lock);
    ft_account_spend_set(a, now_s, day_nanos, month_nanos);
    pthread_mutex_unlock(&a->lock);
    let_go(scope, node);
    return 0;
}

int ft_tenant_spend_add(struct ft_tenant *t, const char *project, const char *key, int64_t now_s,
                        int64_t end_s, int64_t nanos, struct ft_err *err)
{
    const char *ids[] = {project, key};
    for (enum ft_tenant_scope scope = FT_SCOPE_PROJECT; scope <= FT_SCOPE_KEY; scope++) {
        struct ft_tenant_node *node = NULL;
        int rc = check_id(ids[scope], err);
        if (rc != 0)
            return rc;
        if (ids[scope][0] == '\0')
            continue;
        struct ft_account *a = hold(t, scope, ids[scope], &node);
        if (a == NULL)
            return ft_err_set(err, FT_ENOMEM, "spend of %s: no memory", ids[scope]);
        struct ft_account_warnings w;
        w.n = 0;
        pthread_mutex_lock(&a->lock);
        ft_account_spend(a, now_s, end_s, nanos, &w);
        pthread_mutex_unlock(&a->lock);
        send_warnings(t, scope, ids[scope], &w);
        let_go(scope, node);
    }
    return 0;
}

void ft_tenant_spend_each(struct ft_tenant *t, int64_t now_s, ft_tenant_spend_fn *fn, void *ctx)
{
    int64_t day = now_s / 86400, month = ft_account_month(day);
    pthread_rwlock_rdlock(&t->lock);
    for (enum ft_tenant_scope scope = FT_SCOPE_PROJECT; scope <= FT_SCOPE_KEY; scope++) {
        const struct ft_table *table = scope == FT_SCOPE_PROJECT ? &t->projects : &t->keys;
        for (size_t i = 0; i < table->n_slots; i++) {
            struct ft_tenant_node *n = table->slots[i].p;
            if (n == NULL)
                continue;
            struct ft_account *a = scope == FT_SCOPE_PROJECT
                                       ? &((struct ft_tenant_project *)n)->account
                                       : &((struct ft_tenant_key *)n)->account;
            pthread_mutex_lock(&a->lock);
            int64_t of_day = a->day == day ? ft_account_spent(a, false) : 0;
            int64_t of_month = a->month == month ? ft_account_spent(a, true) : 0;
            pthread_mutex_unlock(&a->lock);
            if (of_month > 0)
                fn(ctx, scope, n->id, of_day, of_month);
        }
    }
    pthread_rwlock_unlock(&t->lock);
}
