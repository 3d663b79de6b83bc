/* The directory of projects, members and keys: nodes, authentication, permission. rows.c fills it.
 *
 * A key is looked up by the SHA-256 of what was sent, in a table of digests: how long that takes
 * says something about the digest at most, from which nothing leads back to a key; the digest found
 * is compared in constant time all the same. */
#include "tenant/impl.h"

#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/map.h"
#include "base/slice.h"

#define READS ".read" /* actions that end so are a viewer's too */

/* ---- nodes ---- */

static bool node_is(const void *p, const void *id)
{
    return strcmp(((const struct ft_tenant_node *)p)->id, id) == 0; /* a node's first member */
}

uint64_t ft_tenant_id_hash(const char *id)
{
    return ft_hash_bytes(id, strlen(id));
}

static bool node_init(struct ft_tenant_node *n, const char *id)
{
    atomic_init(&n->refs, 1);
    n->id = strdup(id);
    return n->id != NULL;
}

static bool node_unref(struct ft_tenant_node *n)
{
    if (atomic_fetch_sub(&n->refs, 1) != 1)
        return false;
    free(n->id);
    return true;
}

/* A new node in its table, or NULL and nothing is left of it. */
static void *node_add(struct ft_table *table, struct ft_tenant_node *n, const char *id)
{
    if (n == NULL || !node_init(n, id) || !ft_table_reserve(table)) {
        if (n != NULL)
            free(n->id);
        free(n);
        return NULL;
    }
    ft_table_put(table, ft_tenant_id_hash(id), n);
    return n;
}

struct ft_tenant_project *ft_tenant_project_find(struct ft_tenant *t, const char *id)
{
    return ft_table_get(&t->projects, ft_tenant_id_hash(id), node_is, id);
}

struct ft_tenant_key *ft_tenant_key_find(struct ft_tenant *t, const char *id)
{
    return ft_table_get(&t->keys, ft_tenant_id_hash(id), node_is, id);
}

struct ft_tenant_member *ft_tenant_member_find(struct ft_tenant *t, const char *id)
{
    return ft_table_get(&t->members, ft_tenant_id_hash(id), node_is, id);
}

struct ft_tenant_project *ft_tenant_project_get(struct ft_tenant *t, const char *id)
{
    struct ft_tenant_project *p = ft_tenant_project_find(t, id);
    if (p != NULL || t->projects.count >= FT_TENANT_PROJECTS_MAX)
        return p;
    p = calloc(1, sizeof *p);
    if (node_add(&t->projects, p == NULL ? NULL : &p->node, id) == NULL)
        return NULL;
    ft_account_init(&p->account);
    atomic_init(&p->weight, 1);
    atomic_init(&p->storage_max, -1);
    return p;
}

struct ft_tenant_key *ft_tenant_key_get(struct ft_tenant *t, const char *id)
{
    struct ft_tenant_key *k = ft_tenant_key_find(t, id);
    if (k != NULL || t->keys.count >= FT_TENANT_KEYS_MAX)
        return k;
    k = calloc(1, sizeof *k);
    if (node_add(&t->keys, k == NULL ? NULL : &k->node, id) == NULL)
        return NULL;
    ft_account_init(&k->account);
    return k;
}

struct ft_tenant_member *ft_tenant_member_get(struct ft_tenant *t, const char *id)
{
    struct ft_tenant_member *m = ft_tenant_member_find(t, id);
    if (m != NULL || t->members.count >= FT_TENANT_KEYS_MAX)
        return m;
    m = calloc(1, sizeof *m);
    return node_add(&t->members, m == NULL ? NULL : &m->node, id);
}

void ft_tenant_project_unref(struct ft_tenant_project *p)
{
    if (p == NULL || !node_unref(&p->node))
        return;
    ft_account_fini(&p->account);
    free(p);
}

void ft_tenant_member_unref(struct ft_tenant_member *m)
{
    if (m != NULL && node_unref(&m->node))
        free(m);
}

void ft_tenant_key_unref(struct ft_tenant_key *k)
{
    if (k == NULL || !node_unref(&k->node))
        return;
    ft_account_fini(&k->account);
    free(k);
}

void ft_tenant_node_drop(struct ft_tenant *t, struct ft_table *table, struct ft_tenant_node *n)
{
    if (n == NULL || n->known || n->users > 0)
        return;
    ft_table_remove(table, ft_tenant_id_hash(n->id), n);
    if (table == &t->projects)
        ft_tenant_project_unref((struct ft_tenant_project *)n);
    else if (table == &t->members)
        ft_tenant_member_unref((struct ft_tenant_member *)n);
    else
        ft_tenant_key_unref((struct ft_tenant_key *)n);
}

/* ---- open, close ---- */

int ft_tenant_open(struct ft_tenant **ret, struct ft_err *err)
{
    struct ft_tenant *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ft_err_set(err, FT_ENOMEM, "tenants: no memory");
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* a change must not wait until no request comes */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&t->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    struct ft_tenant_project *whole = ft_tenant_project_get(t, ""); /* of keys without a project */
    if (whole == NULL) {
        ft_tenant_close(t);
        return ft_err_set(err, FT_ENOMEM, "tenants: no memory");
    }
    whole->node.known = true;
    whole->node.users = 1;
    *ret = t;
    return 0;
}

void ft_tenant_close(struct ft_tenant *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->digests.n_slots; i++)
        if (t->digests.slots[i].p != NULL)
            ft_tenant_ident_unref(t->digests.slots[i].p);
    for (size_t i = 0; i < t->keys.n_slots; i++)
        ft_tenant_key_unref(t->keys.slots[i].p);
    for (size_t i = 0; i < t->members.n_slots; i++)
        ft_tenant_member_unref(t->members.slots[i].p);
    for (size_t i = 0; i < t->projects.n_slots; i++)
        ft_tenant_project_unref(t->projects.slots[i].p);
    ft_tenant_sessions_fini(t);
    ft_table_fini(&t->digests);
    ft_table_fini(&t->keys);
    ft_table_fini(&t->members);
    ft_table_fini(&t->projects);
    pthread_rwlock_destroy(&t->lock);
    free(t);
}

void ft_tenant_on_warning(struct ft_tenant *t, void (*fn)(void *, const struct ft_tenant_warning *),
                          void *ctx)
{
    t->on_warning = fn;
    t->on_warning_ctx = ctx;
}

/* ---- authentication ---- */

uint64_t ft_tenant_digest_hash(const uint8_t *digest)
{
    uint64_t h;
    memcpy(&h, digest, sizeof h);
    return h;
}

static bool record_is(const void *p, const void *digest)
{
    return memeql_sec(((const struct ft_tenant_record *)p)->digest, digest, FT_TENANT_DIGEST);
}

struct ft_tenant_record *ft_tenant_record_find(struct ft_tenant *t, const uint8_t *digest)
{
    return ft_table_get(&t->digests, ft_tenant_digest_hash(digest), record_is, digest);
}

static bool was_revoked(const struct ft_tenant *t, const uint8_t *digest)
{
    bool found = false;
    for (size_t i = 0; i < FT_MIN(t->n_revoked, (size_t)FT_TENANT_REVOKED_KEPT); i++)
        found |= memcmp(t->revoked[i], digest, FT_TENANT_DIGEST) == 0;
    return found;
}

/* Under the lock. */
enum ft_tenant_why ft_tenant_record_may(const struct ft_tenant_record *r, int64_t now_s)
{
    if (r->ident.expires_s != 0 && now_s >= r->ident.expires_s)
        return FT_WHY_KEY_EXPIRED;
    if (!r->project->node.known || (r->member != NULL && !r->member->node.known))
        return FT_WHY_KEY_ORPHAN;
    return FT_WHY_OK;
}

static enum ft_tenant_why look_up(struct ft_tenant *t, const uint8_t *digest, int64_t now_s,
                                  struct ft_tenant_ident **ret)
{
    pthread_rwlock_rdlock(&t->lock);
    struct ft_tenant_record *r = ft_tenant_record_find(t, digest);
    enum ft_tenant_why why = FT_WHY_OK;
    if (r == NULL)
        why = was_revoked(t, digest) ? FT_WHY_KEY_REVOKED : FT_WHY_KEY_UNKNOWN;
    else
        why = ft_tenant_record_may(r, now_s);
    if (why == FT_WHY_OK)
        *ret = ft_tenant_ident_ref(&r->ident);
    pthread_rwlock_unlock(&t->lock);
    return why;
}

int ft_tenant_find(struct ft_tenant *t, const char *key, int64_t now_s,
                   struct ft_tenant_ident **ret, enum ft_tenant_why *ret_why, struct ft_err *err)
{
    pthread_rwlock_rdlock(&t->lock);
    struct ft_tenant_key *k = ft_tenant_key_find(t, key);
    struct ft_tenant_record *r = k != NULL ? k->record : NULL;
    enum ft_tenant_why why = r != NULL ? ft_tenant_record_may(r, now_s) : FT_WHY_KEY_UNKNOWN;
    if (why == FT_WHY_OK)
        *ret = ft_tenant_ident_ref(&r->ident);
    pthread_rwlock_unlock(&t->lock);
    *ret_why = why;
    if (why == FT_WHY_OK)
        return 0;
    atomic_fetch_add_explicit(&t->refused[why], 1, memory_order_relaxed);
    return ft_err_set(err, FT_ENOTFOUND, "There is no key '%.64s' that may be used.", key);
}

bool ft_tenant_has_project(struct ft_tenant *t, const char *project)
{
    pthread_rwlock_rdlock(&t->lock);
    struct ft_tenant_project *p = ft_tenant_project_find(t, project);
    bool known = p != NULL && p->node.known;
    pthread_rwlock_unlock(&t->lock);
    return known;
}

int64_t ft_tenant_storage_max(struct ft_tenant *t, const char *project)
{
    pthread_rwlock_rdlock(&t->lock);
    struct ft_tenant_project *p = ft_tenant_project_find(t, project);
    int64_t max = p != NULL ? atomic_load(&p->storage_max) : -1;
    pthread_rwlock_unlock(&t->lock);
    return max;
}

bool ft_tenant_logs_prompts(struct ft_tenant *t, const char *project)
{
    pthread_rwlock_rdlock(&t->lock);
    struct ft_tenant_project *p = ft_tenant_project_find(t, project);
    bool logs = p != NULL && p->node.known && atomic_load(&p->log_prompts);
    pthread_rwlock_unlock(&t->lock);
    return logs;
}

/* Enough of what was sent for its owner to know it, nothing that a terminal would obey. */
static void mask(const char *secret, size_t n, char *ret, size_t max)
{
    size_t at = 0, head = n >= 20 ? 8 : 0, tail = n >= 20 ? 4 : 0;
    for (size_t i = 0; i < n && at + 1 < max; i++) {
        if (i < head || i >= n - tail)
            ret[at++] = secret[i] > ' ' && secret[i] < 0x7f && secret[i] != '"' ? secret[i] : '?';
        else if (i < head + 8)
            ret[at++] = '*';
    }
    ret[at] = '\0';
}

int ft_tenant_authenticate(struct ft_tenant *t, const char *secret, size_t n, int64_t now_s,
                           struct ft_tenant_ident **ret, enum ft_tenant_why *ret_why,
                           struct ft_err *err)
{
    enum ft_tenant_why why = n == 0 ? FT_WHY_KEY_MISSING : FT_WHY_KEY_UNKNOWN;
    if (n > 0 && n <= FT_TENANT_SECRET_MAX) {
        struct sha256_ctx sha;
        uint8_t digest[FT_TENANT_DIGEST];
        sha256_init(&sha);
        sha256_update(&sha, n, (const uint8_t *)secret);
        sha256_digest(&sha, sizeof digest, digest);
        why = look_up(t, digest, now_s, ret);
    }
    *ret_why = why;
    if (why == FT_WHY_OK)
        return 0;
    atomic_fetch_add_explicit(&t->refused[why], 1, memory_order_relaxed);
    if (why == FT_WHY_KEY_MISSING)
        return ft_err_set(err, FT_ENOTFOUND,
                          "You didn't provide an API key. You need to provide your API key in an "
                          "Authorization header using Bearer auth (i.e. Authorization: Bearer "
                          "YOUR_KEY).");
    char shown[32];
    mask(secret, FT_MIN(n, (size_t)FT_TENANT_SECRET_MAX), shown, sizeof shown);
    return ft_err_set(err, FT_ENOTFOUND,
                      "Incorrect API key provided: %s. Ask an admin of your project for a key "
                      "(feitian key create).",
                      shown);
}

struct ft_tenant_ident *ft_tenant_ident_ref(struct ft_tenant_ident *i)
{
    atomic_fetch_add_explicit(&((struct ft_tenant_record *)i)->refs, 1, memory_order_relaxed);
    return i;
}

void ft_tenant_ident_unref(struct ft_tenant_ident *i)
{
    struct ft_tenant_record *r = (struct ft_tenant_record *)i;
    if (r == NULL || atomic_fetch_sub(&r->refs, 1) != 1)
        return;
    ft_tenant_key_unref(r->ident.own);
    ft_tenant_member_unref(r->member);
    ft_tenant_project_unref(r->project);
    free(r->text);
    free(r);
}

/* ---- permission ---- */

enum ft_tenant_role ft_tenant_ident_role(const struct ft_tenant_ident *i)
{
    const struct ft_tenant_record *r = (const struct ft_tenant_record *)i;
    enum ft_tenant_role role = r->role;
    if (r->member != NULL) {
        enum ft_tenant_role now = (enum ft_tenant_role)atomic_load(&r->member->role);
        role = FT_MIN(role, now);
    }
    return role;
}

static bool globs_match(const struct ft_tenant_globs *g, const char *text)
{
    const char *glob = g->text;
    for (int i = 0; i < g->n; i++, glob += strlen(glob) + 1)
        if (ft_glob_match(glob, text))
            return true;
    return g->n < 0;
}

static bool role_may(enum ft_tenant_role role, const char *action)
{
    static const char *const viewers[] = {"models", "usage"};
    if (ft_str_ends(action, READS))
        return true;
    for (size_t i = 0; i < FT_COUNT(viewers); i++)
        if (strcmp(action, viewers[i]) == 0)
            return true;
    return role != FT_ROLE_VIEWER;
}

/* "files" has "files.read" in it. */
static bool has_action(const struct ft_tenant_record *r, const char *action)
{
    char whole[FT_TENANT_NAME_MAX];
    if (globs_match(&r->actions, action))
        return true;
    if (!ft_str_ends(action, READS))
        return false;
    snprintf(whole, sizeof whole, "%.*s", (int)(strlen(action) - strlen(READS)), action);
    return globs_match(&r->actions, whole);
}

int ft_tenant_may(const struct ft_tenant_ident *i, const char *action, const char *model,
                  enum ft_tenant_why *ret_why, struct ft_err *err)
{
    const struct ft_tenant_record *r = (const struct ft_tenant_record *)i;
    enum ft_tenant_role role = ft_tenant_ident_role(i);
    enum ft_tenant_why why = FT_WHY_OK;
    int rc = 0;
    if (!role_may(role, action)) {
        why = FT_WHY_ACTION;
        rc = ft_err_set(err, FT_EINVAL,
                        "You have insufficient permissions for this operation: '%s' needs a "
                        "higher role than %s.",
                        action, ft_tenant_role_name(role));
    } else if (!has_action(r, action)) {
        why = FT_WHY_ACTION;
        rc = ft_err_set(err, FT_EINVAL,
                        "You have insufficient permissions for this operation: '%s' is not among "
                        "the actions of this key.",
                        action);
    } else if (model != NULL && !globs_match(&r->models, model)) {
        why = FT_WHY_MODEL;
        rc = ft_err_set(err, FT_EINVAL, "This key is not allowed to use the model '%.*s'.",
                        FT_TENANT_NAME_MAX, model);
    }
    *ret_why = why;
    if (rc != 0)
        atomic_fetch_add_explicit(&r->tenant->refused[why], 1, memory_order_relaxed);
    return rc;
}

bool ft_tenant_ident_may(const struct ft_tenant_ident *i, const char *action)
{
    return role_may(ft_tenant_ident_role(i), action) &&
           has_action((const struct ft_tenant_record *)i, action);
}

bool ft_tenant_ident_names(const struct ft_tenant_ident *i, const char *action)
{
    const struct ft_tenant_globs *g = &((const struct ft_tenant_record *)i)->actions;
    const char *glob = g->text;
    for (int k = 0; k < g->n; k++, glob += strlen(glob) + 1)
        if (strcmp(glob, action) == 0)
            return true;
    return false;
}

bool ft_tenant_ident_has_model(const struct ft_tenant_ident *i, const char *model)
{
    return globs_match(&((const struct ft_tenant_record *)i)->models, model);
}

const char *ft_tenant_role_name(enum ft_tenant_role role)
{
    static const char *const names[] = {"viewer", "developer", "admin", "operator"};
    return names[role];
}

/* ---- reasons ---- */

static const struct {
    int status;
    const char *name, *code, *type;
} whys[FT_TENANT_WHYS] = {
    [FT_WHY_OK] = {200, "ok", "", ""},
    [FT_WHY_KEY_MISSING] = {401, "key_missing", "invalid_api_key", "invalid_request_error"},
    [FT_WHY_KEY_UNKNOWN] = {401, "key_unknown", "invalid_api_key", "invalid_request_error"},
    [FT_WHY_KEY_EXPIRED] = {401, "key_expired", "invalid_api_key", "invalid_request_error"},
    [FT_WHY_KEY_REVOKED] = {401, "key_revoked", "invalid_api_key", "invalid_request_error"},
    [FT_WHY_KEY_ORPHAN] = {401, "key_orphan", "invalid_api_key", "invalid_request_error"},
    [FT_WHY_ACTION] = {403, "action", "insufficient_permissions", "invalid_request_error"},
    [FT_WHY_MODEL] = {403, "model", "model_not_allowed", "invalid_request_error"},
    [FT_WHY_REQUESTS] = {429, "requests", "rate_limit_exceeded", "requests"},
    [FT_WHY_TOKENS] = {429, "tokens", "rate_limit_exceeded", "tokens"},
    [FT_WHY_TOO_LARGE] = {429, "too_large", "rate_limit_exceeded", "tokens"},
    [FT_WHY_CONCURRENCY] = {429, "concurrency", "rate_limit_exceeded", "requests"},
    [FT_WHY_BUDGET_DAY] = {429, "budget_day", "insufficient_quota", "insufficient_quota"},
    [FT_WHY_BUDGET_MONTH] = {429, "budget_month", "insufficient_quota", "insufficient_quota"},
};

int ft_tenant_why_status(enum ft_tenant_why why)
{
    return whys[why].status;
}

const char *ft_tenant_why_code(enum ft_tenant_why why)
{
    return whys[why].code;
}

const char *ft_tenant_why_type(enum ft_tenant_why why)
{
    return whys[why].type;
}

const char *ft_tenant_why_name(enum ft_tenant_why why)
{
    return whys[why].name;
}

void ft_tenant_currency(struct ft_tenant *t, char ret[FT_TENANT_CURRENCY_BYTES])
{
    pthread_rwlock_rdlock(&t->lock);
    snprintf(ret, FT_TENANT_CURRENCY_BYTES, "%s", t->currency);
    pthread_rwlock_unlock(&t->lock);
}

json_t *ft_tenant_status(struct ft_tenant *t)
{
    json_t *refused = json_object();
    for (int w = FT_WHY_KEY_MISSING; w < FT_TENANT_WHYS; w++)
        json_object_set_new(refused, whys[w].name, json_integer(atomic_load(&t->refused[w])));
    pthread_rwlock_rdlock(&t->lock);
    json_t *status = json_pack("{s:I,s:I,s:I,s:I,s:o}", "projects", (json_int_t)t->n_projects,
                               "members", (json_int_t)t->n_members, "keys", (json_int_t)t->n_keys,
                               "sessions", (json_int_t)t->sessions.count, "refused", refused);
    pthread_rwlock_unlock(&t->lock);
    return status;
}
