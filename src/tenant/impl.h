/* The directory's insides, between tenant.c (questions), rows.c (the feed) and admit.c.
 *
 * `lock` guards the tables, the lists that hang in them and every field marked (lock); rows are
 * parsed before it is taken. Projects and keys live on while idents or the tables count them.
 * Accounts have locks of their own, taken inside of `lock` or without it, never around it. */
#ifndef FT_TENANT_IMPL_H
#define FT_TENANT_IMPL_H

#include <stdatomic.h>

#include "tenant/account.h"
#include "tenant/table.h"

#define FT_TENANT_DIGEST       32  /* bytes of a SHA-256 */
#define FT_TENANT_REVOKED_KEPT 256 /* digests of keys deleted lately */
#define FT_TENANT_WHYS         (FT_WHY_BUDGET_MONTH + 1)

/* A project, member or key has a node of its own from the first row that names it. */
struct ft_tenant_node {
    atomic_int refs;
    char *id;
    bool known;       /* (lock) there is a row for it */
    uint32_t users;   /* (lock) rows that name it; without a row and users it leaves the table */
    uint64_t seen_in; /* (lock) the last snapshot that had its row */
};

struct ft_tenant_project {
    struct ft_tenant_node node;
    struct ft_account account;
    _Atomic float weight;
    atomic_int queue_max;
    atomic_llong storage_max; /* -1: no limit */
    atomic_bool log_prompts;
};

struct ft_tenant_member {
    struct ft_tenant_node node;
    atomic_int role;
};

struct ft_tenant_key {
    struct ft_tenant_node node;
    struct ft_account account;
    struct ft_tenant_record *record; /* (lock) */
};

struct ft_tenant_globs {
    int n;            /* -1: everything */
    const char *text; /* n strings, one behind the other */
};

/* What a key's row says; the ident that is handed out is its first member. */
struct ft_tenant_record {
    struct ft_tenant_ident ident;
    atomic_int refs;
    uint8_t digest[FT_TENANT_DIGEST];
    struct ft_tenant *tenant;
    enum ft_tenant_role role;
    struct ft_tenant_project *project;
    struct ft_tenant_member *member; /* NULL: none */
    struct ft_tenant_globs models, actions;
    char *text; /* of all strings */
};

/* sessions.c; in both tables, under the lock. */
struct ft_tenant_session_row {
    char id[FT_TENANT_ID_MAX + 1], parent[FT_TENANT_ID_MAX + 1]; /* parent: a key's id */
    uint8_t digest[FT_TENANT_DIGEST];
    int64_t expires_s;
    uint64_t seen_in; /* as of a node */
};

struct ft_tenant {
    pthread_rwlock_t lock;
    struct ft_table projects, members, keys, digests; /* nodes by id; records by digest */
    struct ft_table sessions, session_ids;            /* by digest; by id */
    size_t sweep_sessions_at;                         /* so many, and expired ones are looked for */
    uint8_t revoked[FT_TENANT_REVOKED_KEPT][FT_TENANT_DIGEST];
    size_t n_revoked;                     /* ever; the ring's newest is n_revoked - 1 */
    uint64_t snapshot;                    /* number of snapshots begun */
    size_t n_projects, n_members, n_keys; /* with a row */
    atomic_llong refused[FT_TENANT_WHYS];
    char currency[FT_TENANT_CURRENCY_BYTES];
    void (*on_warning)(void *, const struct ft_tenant_warning *);
    void *on_warning_ctx;
};

/* Finds by id, or makes one that is not known. NULL: no memory. Under the write lock. */
struct ft_tenant_project *ft_tenant_project_get(struct ft_tenant *t, const char *id);
struct ft_tenant_key *ft_tenant_key_get(struct ft_tenant *t, const char *id);
struct ft_tenant_member *ft_tenant_member_get(struct ft_tenant *t, const char *id);
struct ft_tenant_project *ft_tenant_project_find(struct ft_tenant *t, const char *id);
struct ft_tenant_member *ft_tenant_member_find(struct ft_tenant *t, const char *id);
struct ft_tenant_key *ft_tenant_key_find(struct ft_tenant *t, const char *id);
/* Out of its table if it has neither a row nor users. NULL is accepted. */
void ft_tenant_node_drop(struct ft_tenant *t, struct ft_table *table, struct ft_tenant_node *n);

void ft_tenant_project_unref(struct ft_tenant_project *p); /* NULL is accepted */
void ft_tenant_member_unref(struct ft_tenant_member *m);
void ft_tenant_key_unref(struct ft_tenant_key *k);

uint64_t ft_tenant_id_hash(const char *id);
uint64_t ft_tenant_digest_hash(const uint8_t *digest);
int ft_tenant_digest_read(const json_t *body, uint8_t *ret, struct ft_err *err); /* of "hash" */
/* May it be used now? Under the lock. */
enum ft_tenant_why ft_tenant_record_may(const struct ft_tenant_record *r, int64_t now_s);
struct ft_tenant_record *ft_tenant_record_find(struct ft_tenant *t, const uint8_t *digest);

/* ---- sessions.c ---- */
int ft_tenant_session_put(struct ft_tenant *t, const char *id, const json_t *body, int64_t now_s,
                          struct ft_err *err);
void ft_tenant_session_drop(struct ft_tenant *t, const char *id); /* nothing if not there */
void ft_tenant_sessions_sweep(struct ft_tenant *t); /* not in this snapshot; under the lock */
void ft_tenant_sessions_fini(struct ft_tenant *t);

#endif
