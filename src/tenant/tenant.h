/* Who may do what, and how much of it: projects, members and keys as the feed of the admin side
 * tells them, held in memory. Never asks anybody: with the admin side dead, what was known goes on.
 *
 * Any thread may call anything. Readers never wait for more than the insertion of one row. Rows may
 * come in any order (a key before its project, a member after its keys); a key whose project or
 * member is not known (yet) is refused. A change is in force when ft_tenant_apply returns: a
 * revoked key authenticates nowhere afterwards, new limits and budgets hold for the next request,
 * and what was used of the old ones counts against the new ones.
 *
 * Memory depends on the rows alone: nothing is kept of keys that are not known. */
#ifndef FT_TENANT_TENANT_H
#define FT_TENANT_TENANT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FT_TENANT_SECRET_MAX   256 /* bytes of a key as a client sends it; longer is unknown */
#define FT_TENANT_ID_MAX       64  /* bytes of an id: key, project, member */
#define FT_TENANT_NAME_MAX     128
#define FT_TENANT_GLOBS_MAX    64         /* models, or actions, of one key */
#define FT_TENANT_WARN_MAX     8          /* fractions of one budget at which to warn */
#define FT_TENANT_LIMIT_MAX    1000000000 /* requests or tokens a minute; above is FT_EINVAL */
#define FT_TENANT_PROJECTS_MAX 1000000
#define FT_TENANT_KEYS_MAX     10000000
#define FT_TENANT_SESSIONS_MAX 1000000

enum ft_tenant_role { FT_ROLE_VIEWER, FT_ROLE_DEVELOPER, FT_ROLE_ADMIN, FT_ROLE_OPERATOR };

/* Why a request was refused, with the HTTP status, `code` and (where it says so) what else OpenAI's
 * clients look at. */
enum ft_tenant_why {
    FT_WHY_OK,
    FT_WHY_KEY_MISSING, /* 401 invalid_api_key: no key was sent */
    FT_WHY_KEY_UNKNOWN, /* 401 invalid_api_key; the next three read the same to the client */
    FT_WHY_KEY_EXPIRED,
    FT_WHY_KEY_REVOKED, /* deleted lately; long ago is UNKNOWN */
    FT_WHY_KEY_ORPHAN,  /* its project or member is gone */
    FT_WHY_ACTION,      /* 403 insufficient_permissions: not among the key's actions, or its role */
    FT_WHY_MODEL,       /* 403 model_not_allowed */
    FT_WHY_REQUESTS,    /* 429 rate_limit_exceeded, type "requests" */
    FT_WHY_TOKENS,      /* 429 rate_limit_exceeded, type "tokens" */
    FT_WHY_TOO_LARGE,   /* 429 rate_limit_exceeded, "tokens": alone more than a minute's tokens;
                           trying again is of no use (x-should-retry: false) */
    FT_WHY_CONCURRENCY, /* 429 rate_limit_exceeded, type "requests" */
    FT_WHY_BUDGET_DAY,  /* 429 insufficient_quota, type "insufficient_quota";  */
    FT_WHY_BUDGET_MONTH /* 429 insufficient_quota;  x-should-retry: false for both */
};
int ft_tenant_why_status(enum ft_tenant_why why);       /* 200, 401, 403, 429 */
const char *ft_tenant_why_code(enum ft_tenant_why why); /* "invalid_api_key", ...; "" for OK */
const char *ft_tenant_why_type(enum ft_tenant_why why); /* OpenAI's error.type */
const char *ft_tenant_why_name(enum ft_tenant_why why); /* for logs: "key_expired", ... */

/* An authenticated key: immutable, counted. */
struct ft_tenant_ident {
    const char *key, *name;    /* id and name of the key */
    const char *project;       /* id */
    const char *member;        /* id, "" for none */
    int64_t expires_s;         /* unix time; 0: never */
    struct ft_tenant_key *own; /* of tenant */
};

struct ft_tenant;

int ft_tenant_open(struct ft_tenant **ret, struct ft_err *err);
void ft_tenant_close(struct ft_tenant *t); /* NULL is accepted; idents and leases were given back */

/* A row of the feed: kinds "project", "member", "key", "session", "setting" (id "currency"); others
 * are ignored. body NULL: gone. FT_EINVAL names the field, and the row before it stays in force:
 *   project {name, limits{rpm,tpm,concurrency,queue,storage_bytes}, budget{day,month,warn:[0.8]},
 *            weight, log_prompts}
 *   member  {project, name, role}
 *   key     {project, name, member, role, hash, models:[globs], actions:[globs], limits, budget,
 *            expires}; hash: sha256 of the whole key in hex
 *   session {parent, hash, expires, ended}; parent: a key's id; ended: gone
 * Missing and null: no limit; no budget; weight 1; models and actions ["*"]; never expires. Other
 * members of a body are ignored. */
int ft_tenant_apply(struct ft_tenant *t, const char *kind, const char *id, const json_t *body,
                    struct ft_err *err);
/* A snapshot begins: rows not seen again until ft_tenant_snapshot_end are gone then. */
void ft_tenant_snapshot_begin(struct ft_tenant *t);
void ft_tenant_snapshot_end(struct ft_tenant *t);

/* now_s: unix time. On failure (FT_ENOTFOUND) *ret_why says why, for the log; err's message is what
 * the client may see, the same for all but a missing key (n 0). */
int ft_tenant_authenticate(struct ft_tenant *t, const char *secret, size_t n, int64_t now_s,
                           struct ft_tenant_ident **ret, enum ft_tenant_why *ret_why,
                           struct ft_err *err);
/* A session: a secret of its own, for the time being that of the key that it was made for. *ret is
 * that key as it is now: its rights, limits, account. Fails as above, as ended when the key is. */
struct ft_tenant_session {
    char id[FT_TENANT_ID_MAX + 1];
    int64_t expires_s;
};
int ft_tenant_session(struct ft_tenant *t, const char *secret, size_t n, int64_t now_s,
                      struct ft_tenant_ident **ret, struct ft_tenant_session *ret_session,
                      enum ft_tenant_why *ret_why, struct ft_err *err);
/* The key of an id, for who has proven it in another way (a signature, a socket of this user's):
 * expiry, orphans and revoked ones as above. */
int ft_tenant_find(struct ft_tenant *t, const char *key, int64_t now_s,
                   struct ft_tenant_ident **ret, enum ft_tenant_why *ret_why, struct ft_err *err);
struct ft_tenant_ident *ft_tenant_ident_ref(struct ft_tenant_ident *i);
void ft_tenant_ident_unref(struct ft_tenant_ident *i); /* NULL is accepted */

/* Role now: the lesser of the key's and its member's. */
enum ft_tenant_role ft_tenant_ident_role(const struct ft_tenant_ident *i);
const char *ft_tenant_role_name(enum ft_tenant_role role); /* "viewer", ... */

/* action: "chat", "completions", "embeddings", "rerank", "models", "usage", "objects.read",
 * "objects.write", "hub.read", "hub.write", "files", "batches", "fine_tuning" (of these also
 * "files.read", ..., which who may "files" may), "manage"; model: NULL where there is none. Roles:
 * a viewer may "models", "usage" and what ends in ".read"; of "manage", control knows what each
 * role may change; "metrics" needs ft_tenant_ident_names. 0, or FT_EINVAL with *ret_why (ACTION,
 * MODEL) and a message for the client. */
int ft_tenant_may(const struct ft_tenant_ident *i, const char *action, const char *model,
                  enum ft_tenant_why *ret_why, struct ft_err *err);

/* May it? As ft_tenant_may, but nothing is refused or counted. */
bool ft_tenant_ident_may(const struct ft_tenant_ident *i, const char *action);
/* Does the key's row name the action itself, not by a glob, whatever its role? For what nobody gets
 * by being allowed everything: "metrics". */
bool ft_tenant_ident_names(const struct ft_tenant_ident *i, const char *action);
/* Is the model among the key's? Unlike ft_tenant_may, nothing is refused or counted. */
bool ft_tenant_ident_has_model(const struct ft_tenant_ident *i, const char *model);

bool ft_tenant_has_project(struct ft_tenant *t, const char *project);
/* Bytes of objects that a project may keep; -1: no limit (or no such project). */
int64_t ft_tenant_storage_max(struct ft_tenant *t, const char *project);

/* Does the project want the texts of its requests to be kept? */
bool ft_tenant_logs_prompts(struct ft_tenant *t, const char *project);

/* ---- admission ---- */

struct ft_tenant_ask {
    int64_t now_ns;          /* monotonic: ft_clock_now_ns() */
    int64_t now_s;           /* unix time: days and months are UTC's */
    int64_t tokens_estimate; /* prompt and most it may generate; settled to what it was */
    int64_t cost_max_nanos;  /* at most; reserved of the budgets until settled */
};

/* What an admitted request holds. By value, of the caller; zero it to have none. */
struct ft_tenant_lease {
    struct ft_tenant *tenant;
    struct ft_tenant_ident *ident;
    int64_t tokens, nanos;
    float weight;  /* of the project in queues, as it was at admission */
    int queue_max; /* requests of the project that may wait; 0: the default */
};

/* For x-ratelimit-{limit,remaining,reset}-{requests,tokens}: of the key's and the project's limit,
 * the one with less left. limit 0: there is none, send no header. */
struct ft_tenant_rate {
    int64_t limit, remaining, reset_ms;
};
struct ft_tenant_limits {
    struct ft_tenant_rate requests, tokens;
    enum ft_tenant_why
        why; /* refused: why, by whose limit, and when it may be worth trying again */
    bool by_project;
    int64_t retry_after_ms;
};

/* Takes one request and tokens_estimate of both minutes' buckets, one place of both concurrencies,
 * and reserves cost_max_nanos, all or nothing. Of a budget: admitted if spent and reserved are less
 * than it before this one, so overspend is at most one reservation. 0 with *ret_lease; or FT_EBUSY
 * (rates, concurrency) or FT_ELIMIT (budget, too large) with a message for the client. *ret_limits
 * is filled either way. */
int ft_tenant_admit(struct ft_tenant *t, struct ft_tenant_ident *i, const struct ft_tenant_ask *ask,
                    struct ft_tenant_lease *ret_lease, struct ft_tenant_limits *ret_limits,
                    struct ft_err *err);

/* The request has ended: gives back its place, puts what it used in the place of the estimate and
 * what it cost in the place of the reservation. Zeroes the lease; nothing for a zeroed one. now_s:
 * the day and month to which the cost belongs (the end of the record in the ledger). */
void ft_tenant_settle(struct ft_tenant_lease *lease, int64_t now_s, int64_t tokens_actual,
                      int64_t cost_nanos);

/* ---- spend ---- */

enum ft_tenant_scope { FT_SCOPE_PROJECT, FT_SCOPE_KEY };

/* What was spent in the UTC day and month of now_s before this process, as control's
 * /internal/spend says, or a snapshot: takes the place of what was set before. What is settled, or
 * added, is beside it. Warns of nothing. Kept for rows that come later. */
int ft_tenant_spend_set(struct ft_tenant *t, enum ft_tenant_scope scope, const char *id,
                        int64_t now_s, int64_t day_nanos, int64_t month_nanos, struct ft_err *err);
int ft_tenant_spend_add(struct ft_tenant *t, const char *project, const char *key, int64_t now_s,
                        int64_t end_s, int64_t nanos, struct ft_err *err);
/* Every project and key that spent something in the month of now_s, for a snapshot: id is valid
 * during the call; fn must not call tenant. */
typedef void ft_tenant_spend_fn(void *ctx, enum ft_tenant_scope scope, const char *id,
                                int64_t day_nanos, int64_t month_nanos);
void ft_tenant_spend_each(struct ft_tenant *t, int64_t now_s, ft_tenant_spend_fn *fn, void *ctx);

struct ft_tenant_warning {
    enum ft_tenant_scope scope;
    const char *id;  /* valid during the call */
    bool month;      /* of the month's budget; else the day's */
    double fraction; /* the threshold that was reached: 0.8; 1: it is used up */
    int64_t spent_nanos, budget_nanos;
};
/* fn is called once for every threshold (those of "warn", and 1) and period, by the thread that
 * settles; it must not block. Set before the first admission. */
void ft_tenant_on_warning(struct ft_tenant *t, void (*fn)(void *, const struct ft_tenant_warning *),
                          void *ctx);

/* What prices and budgets are in, by the setting; "" where it is not set. */
#define FT_TENANT_CURRENCY_BYTES 16
void ft_tenant_currency(struct ft_tenant *t, char ret[FT_TENANT_CURRENCY_BYTES]);

/* Live figures for /api/v1/status: {projects, keys, members, refused{key_unknown: n, ...}}, new. */
json_t *ft_tenant_status(struct ft_tenant *t);

#endif
