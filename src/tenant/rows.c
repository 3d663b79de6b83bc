/* The feed's rows into the directory. A row is read whole before anything is changed; then it takes
 * the write lock for as long as it takes to hang it in. */
#include "tenant/impl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/decimal.h"
#include "base/utf8.h"

#define QUEUE_MAX       1000000
#define CONCURRENCY_MAX 1000000
#define WEIGHT_MAX      1000.0
#define STORAGE_MAX     ((int64_t)1 << 60)

/* ---- members of a body ---- */

static bool absent(const json_t *v)
{
    return v == NULL || json_is_null(v);
}

/* A text of min .. max bytes without NUL; missing: *ret stays. */
static int take_text(const json_t *body, const char *name, size_t min, size_t max, const char **ret,
                     struct ft_err *err)
{
    const json_t *v = json_object_get(body, name);
    if (absent(v) && min == 0)
        return 0;
    size_t n = json_string_length(v);
    if (!json_is_string(v) || n < min || n > max || strlen(json_string_value(v)) != n)
        return ft_err_set(err, FT_EINVAL, "%s: must be a text of %zu to %zu bytes", name, min, max);
    *ret = json_string_value(v);
    return 0;
}

/* A whole number 0 .. max; missing: FT_ACCOUNT_NONE. */
static int take_limit(const json_t *limits, const char *name, int64_t max, int64_t *ret,
                      struct ft_err *err)
{
    const json_t *v = json_object_get(limits, name);
    *ret = FT_ACCOUNT_NONE;
    if (absent(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
        return ft_err_set(err, FT_EINVAL, "limits.%s: must be a whole number up to %lld", name,
                          (long long)max);
    *ret = json_integer_value(v);
    return 0;
}

static int take_money(const json_t *budget, const char *name, int64_t *ret, struct ft_err *err)
{
    const json_t *v = json_object_get(budget, name);
    *ret = FT_ACCOUNT_NONE;
    if (absent(v))
        return 0;
    if (!json_is_string(v) || !ft_decimal_parse(json_string_value(v), 9, ret))
        return ft_err_set(err, FT_EINVAL,
                          "budget.%s: must be an amount as a text, such as \"12.50\", with at most "
                          "9 decimals",
                          name);
    return 0;
}

static int take_warn(const json_t *list, struct ft_account_terms *t, struct ft_err *err)
{
    if (absent(list))
        return 0;
    if (!json_is_array(list) || json_array_size(list) > FT_TENANT_WARN_MAX)
        return ft_err_set(err, FT_EINVAL, "budget.warn: must be a list of at most %d fractions",
                          FT_TENANT_WARN_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        double f = json_number_value(json_array_get(list, i));
        if (!(f > 0 && f < 1)) /* at 1 there is always a warning */
            return ft_err_set(err, FT_EINVAL, "budget.warn[%zu]: must be above 0 and below 1", i);
        t->warn[t->n_warn++] = f;
    }
    return 0;
}

static int take_terms(const json_t *body, struct ft_account_terms *ret, struct ft_err *err)
{
    struct ft_account_terms t = {.n_warn = 0};
    const json_t *limits = json_object_get(body, "limits");
    const json_t *budget = json_object_get(body, "budget");
    if (!absent(limits) && !json_is_object(limits))
        return ft_err_set(err, FT_EINVAL, "limits: must be an object");
    if (!absent(budget) && !json_is_object(budget))
        return ft_err_set(err, FT_EINVAL, "budget: must be an object");
    int rc = take_limit(limits, "rpm", FT_TENANT_LIMIT_MAX, &t.rpm, err);
    if (rc == 0)
        rc = take_limit(limits, "tpm", FT_TENANT_LIMIT_MAX, &t.tpm, err);
    if (rc == 0)
        rc = take_limit(limits, "concurrency", CONCURRENCY_MAX, &t.concurrency, err);
    if (rc == 0)
        rc = take_money(budget, "day", &t.budget_day, err);
    if (rc == 0)
        rc = take_money(budget, "month", &t.budget_month, err);
    if (rc == 0)
        rc = take_warn(json_object_get(budget, "warn"), &t, err);
    if (rc == 0)
        *ret = t;
    return rc;
}

static int take_role(const json_t *body, int fallback, enum ft_tenant_role *ret, struct ft_err *err)
{
    const json_t *v = json_object_get(body, "role");
    for (int r = FT_ROLE_VIEWER; r <= FT_ROLE_OPERATOR; r++)
        if (json_is_string(v) &&
            strcmp(json_string_value(v), ft_tenant_role_name((enum ft_tenant_role)r)) == 0) {
            *ret = (enum ft_tenant_role)r;
            return 0;
        }
    if (!absent(v) || fallback < 0)
        return ft_err_set(err, FT_EINVAL, "role: must be viewer, developer, admin or operator");
    *ret = (enum ft_tenant_role)fallback;
    return 0;
}

/* Checks a list of globs; adds its bytes to *bytes. */
static int check_globs(const json_t *list, const char *name, size_t *bytes, struct ft_err *err)
{
    if (absent(list))
        return 0;
    if (!json_is_array(list) || json_array_size(list) > FT_TENANT_GLOBS_MAX)
        return ft_err_set(err, FT_EINVAL, "%s: must be a list of at most %d patterns", name,
                          FT_TENANT_GLOBS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *g = json_array_get(list, i);
        size_t n = json_string_length(g);
        if (!json_is_string(g) || n < 1 || n > FT_TENANT_NAME_MAX ||
            strlen(json_string_value(g)) != n)
            return ft_err_set(err, FT_EINVAL, "%s[%zu]: must be a text of 1 to %d bytes", name, i,
                              FT_TENANT_NAME_MAX);
        *bytes += n + 1;
    }
    return 0;
}

static void copy_globs(const json_t *list, struct ft_tenant_globs *g, char **at)
{
    g->text = *at;
    g->n = absent(list) ? -1 : (int)json_array_size(list);
    for (int i = 0; i < g->n; i++)
        *at = stpcpy(*at, json_string_value(json_array_get(list, (size_t)i))) + 1;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

int ft_tenant_digest_read(const json_t *body, uint8_t *ret, struct ft_err *err)
{
    const json_t *v = json_object_get(body, "hash");
    const char *hex = json_string_value(v);
    bool ok = json_string_length(v) == 2 * FT_TENANT_DIGEST;
    for (int i = 0; ok && i < FT_TENANT_DIGEST; i++) {
        int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);
        ok = hi >= 0 && lo >= 0;
        ret[i] = (uint8_t)((unsigned)hi << 4 | (unsigned)lo);
    }
    return ok ? 0
              : ft_err_set(err, FT_EINVAL, "hash: must be a SHA-256 in %d hex digits",
                           2 * FT_TENANT_DIGEST);
}

/* ---- projects ---- */

static void terms_set(struct ft_account *a, const struct ft_account_terms *terms)
{
    pthread_mutex_lock(&a->lock);
    ft_account_terms_set(a, terms);
    pthread_mutex_unlock(&a->lock);
}

static int project_put(struct ft_tenant *t, const char *id, const json_t *body, struct ft_err *err)
{
    struct ft_account_terms terms;
    int64_t queue = 0, storage = FT_ACCOUNT_NONE;
    const json_t *limits = json_object_get(body, "limits");
    int rc = take_terms(body, &terms, err);
    if (rc == 0)
        rc = take_limit(limits, "queue", QUEUE_MAX, &queue, err);
    if (rc == 0)
        rc = take_limit(limits, "storage_bytes", STORAGE_MAX, &storage, err);
    const json_t *w = json_object_get(body, "weight");
    double weight = absent(w) ? 1 : json_number_value(w);
    bool log_prompts = json_is_true(json_object_get(body, "log_prompts"));
    if (rc == 0 && !(weight > 0 && weight <= WEIGHT_MAX))
        rc = ft_err_set(err, FT_EINVAL, "weight: must be above 0 and at most %g", WEIGHT_MAX);
    if (rc != 0)
        return rc;
    pthread_rwlock_wrlock(&t->lock);
    struct ft_tenant_project *p = ft_tenant_project_get(t, id);
    if (p != NULL) {
        t->n_projects += !p->node.known;
        p->node.known = true;
        p->node.seen_in = t->snapshot;
        atomic_store(&p->weight, (float)weight);
        atomic_store(&p->queue_max, (int)FT_MAX(queue, 0));
        atomic_store(&p->storage_max, storage);
        atomic_store(&p->log_prompts, log_prompts);
        terms_set(&p->account, &terms);
    }
    pthread_rwlock_unlock(&t->lock);
    return p != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "no memory for one more project");
}

static void project_drop(struct ft_tenant *t, struct ft_tenant_project *p)
{
    if (p == NULL || !p->node.known || p->node.id[0] == '\0')
        return;
    p->node.known = false;
    t->n_projects--;
    ft_tenant_node_drop(t, &t->projects, &p->node);
}

/* ---- members ---- */

static int member_put(struct ft_tenant *t, const char *id, const json_t *body, struct ft_err *err)
{
    enum ft_tenant_role role;
    int rc = take_role(body, -1, &role, err);
    if (rc != 0)
        return rc;
    pthread_rwlock_wrlock(&t->lock);
    struct ft_tenant_member *m = ft_tenant_member_get(t, id);
    if (m != NULL) {
        t->n_members += !m->node.known;
        m->node.known = true;
        m->node.seen_in = t->snapshot;
        atomic_store(&m->role, (int)role);
    }
    pthread_rwlock_unlock(&t->lock);
    return m != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "no memory for one more member");
}

static void member_drop(struct ft_tenant *t, struct ft_tenant_member *m)
{
    if (m == NULL || !m->node.known)
        return;
    m->node.known = false;
    t->n_members--;
    ft_tenant_node_drop(t, &t->members, &m->node);
}

/* ---- keys ---- */

struct key_row {
    const char *name, *project, *member;
    struct ft_account_terms terms;
    struct ft_tenant_record *record; /* of it all that needs no lock */
};

static int key_read(const json_t *body, struct key_row *row, struct ft_err *err)
{
    struct ft_tenant_record r = {.ident = {.expires_s = 0}};
    const json_t *models = json_object_get(body, "models");
    const json_t *actions = json_object_get(body, "actions");
    const json_t *expires = json_object_get(body, "expires");
    row->name = row->project = row->member = "";
    size_t bytes = 0;
    int rc = take_text(body, "name", 0, FT_TENANT_NAME_MAX, &row->name, err);
    if (rc == 0)
        rc = take_role(body, FT_ROLE_DEVELOPER, &r.role, err);
    if (rc == 0) /* an operator's may be of no project */
        rc = take_text(body, "project", r.role == FT_ROLE_OPERATOR ? 0 : 1, FT_TENANT_ID_MAX,
                       &row->project, err);
    if (rc == 0)
        rc = take_text(body, "member", 0, FT_TENANT_ID_MAX, &row->member, err);
    if (rc == 0)
        rc = ft_tenant_digest_read(body, r.digest, err);
    if (rc == 0)
        rc = check_globs(models, "models", &bytes, err);
    if (rc == 0)
        rc = check_globs(actions, "actions", &bytes, err);
    if (rc == 0)
        rc = take_terms(body, &row->terms, err);
    if (rc == 0 && !absent(expires) &&
        (!json_is_integer(expires) || json_integer_value(expires) <= 0))
        rc = ft_err_set(err, FT_EINVAL, "expires: must be a unix time in seconds, or null");
    if (rc != 0)
        return rc;
    r.ident.expires_s = json_integer_value(expires);
    row->record = malloc(sizeof r);
    r.text = malloc(bytes + strlen(row->name) + 1);
    if (row->record == NULL || r.text == NULL) {
        free(row->record);
        free(r.text);
        return ft_err_set(err, FT_ENOMEM, "no memory for one more key");
    }
    char *at = stpcpy(r.text, row->name) + 1;
    r.ident.name = r.text;
    copy_globs(models, &r.models, &at);
    copy_globs(actions, &r.actions, &at);
    *row->record = r;
    atomic_init(&row->record->refs, 1);
    return 0;
}

/* Takes a record out of the directory; who holds its ident goes on with it. */
static void record_drop(struct ft_tenant *t, struct ft_tenant_record *r)
{
    ft_table_remove(&t->digests, ft_tenant_digest_hash(r->digest), r);
    r->project->node.users--;
    ft_tenant_node_drop(t, &t->projects, &r->project->node);
    if (r->member != NULL) {
        r->member->node.users--;
        ft_tenant_node_drop(t, &t->members, &r->member->node);
    }
    ft_tenant_ident_unref(&r->ident);
}

static void remember_revoked(struct ft_tenant *t, const uint8_t *digest)
{
    memcpy(t->revoked[t->n_revoked++ % FT_TENANT_REVOKED_KEPT], digest, FT_TENANT_DIGEST);
}

/* Under the lock. On failure nothing has changed, and the record is the caller's. */
static int key_hang(struct ft_tenant *t, const char *id, const struct key_row *row,
                    struct ft_err *err)
{
    struct ft_tenant_record *r = row->record;
    struct ft_tenant_record *other = ft_tenant_record_find(t, r->digest);
    if (other != NULL && strcmp(other->ident.key, id) != 0)
        return ft_err_set(err, FT_EINVAL, "hash: is that of key %s", other->ident.key);
    struct ft_tenant_key *k = ft_tenant_key_get(t, id);
    struct ft_tenant_project *p = ft_tenant_project_get(t, row->project);
    struct ft_tenant_member *m =
        row->member[0] == '\0' ? NULL : ft_tenant_member_get(t, row->member);
    if (k == NULL || p == NULL || (m == NULL && row->member[0] != '\0') ||
        !ft_table_reserve(&t->digests)) {
        ft_tenant_node_drop(t, &t->keys, (struct ft_tenant_node *)k);
        ft_tenant_node_drop(t, &t->projects, (struct ft_tenant_node *)p);
        ft_tenant_node_drop(t, &t->members, (struct ft_tenant_node *)m);
        return ft_err_set(err, FT_ENOMEM, "no memory for one more key");
    }
    p->node.users++;
    atomic_fetch_add(&p->node.refs, 1);
    if (m != NULL) {
        m->node.users++;
        atomic_fetch_add(&m->node.refs, 1);
    }
    atomic_fetch_add(&k->node.refs, 1);
    r->tenant = t;
    r->project = p;
    r->member = m;
    r->ident.own = k;
    r->ident.key = k->node.id;
    r->ident.project = p->node.id;
    r->ident.member = m == NULL ? "" : m->node.id;
    struct ft_tenant_record *old = k->record;
    if (old != NULL) {
        if (memcmp(old->digest, r->digest, FT_TENANT_DIGEST) != 0)
            remember_revoked(t, old->digest);
        record_drop(t, old);
    }
    t->n_keys += old == NULL;
    k->record = r;
    k->node.known = true;
    k->node.seen_in = t->snapshot;
    ft_table_put(&t->digests, ft_tenant_digest_hash(r->digest), r);
    terms_set(&k->account, &row->terms);
    return 0;
}

static int key_put(struct ft_tenant *t, const char *id, const json_t *body, struct ft_err *err)
{
    struct key_row row = {.record = NULL};
    int rc = key_read(body, &row, err);
    if (rc != 0)
        return rc;
    pthread_rwlock_wrlock(&t->lock);
    rc = key_hang(t, id, &row, err);
    pthread_rwlock_unlock(&t->lock);
    if (rc != 0) {
        free(row.record->text);
        free(row.record);
    }
    return rc;
}

static void key_drop(struct ft_tenant *t, struct ft_tenant_key *k)
{
    if (k == NULL || k->record == NULL)
        return;
    remember_revoked(t, k->record->digest);
    record_drop(t, k->record);
    k->record = NULL;
    k->node.known = false;
    t->n_keys--;
    ft_tenant_node_drop(t, &t->keys, &k->node);
}

/* ---- the feed ---- */

static int currency_put(struct ft_tenant *t, const json_t *body, struct ft_err *err)
{
    const json_t *v = json_is_object(body) ? json_object_get(body, "currency") : body;
    const char *name = json_string_value(v);
    if (name == NULL || strlen(name) >= sizeof t->currency)
        return ft_err_set(err, FT_EINVAL, "currency: must be a text of at most %zu bytes",
                          sizeof t->currency - 1);
    pthread_rwlock_wrlock(&t->lock);
    strcpy(t->currency, name);
    pthread_rwlock_unlock(&t->lock);
    return 0;
}

static void row_drop(struct ft_tenant *t, const char *kind, const char *id)
{
    pthread_rwlock_wrlock(&t->lock);
    if (strcmp(kind, "project") == 0)
        project_drop(t, ft_tenant_project_find(t, id));
    else if (strcmp(kind, "member") == 0)
        member_drop(t, ft_tenant_member_find(t, id));
    else if (strcmp(kind, "key") == 0)
        key_drop(t, ft_tenant_key_find(t, id));
    pthread_rwlock_unlock(&t->lock);
    if (strcmp(kind, "session") == 0)
        ft_tenant_session_drop(t, id);
}

int ft_tenant_apply(struct ft_tenant *t, const char *kind, const char *id, const json_t *body,
                    struct ft_err *err)
{
    bool setting = strcmp(kind, "setting") == 0;
    if (strcmp(kind, "project") != 0 && strcmp(kind, "member") != 0 && strcmp(kind, "key") != 0 &&
        strcmp(kind, "session") != 0 && !setting)
        return 0;
    size_t n = strlen(id);
    if (n == 0 || n > FT_TENANT_ID_MAX)
        return ft_err_set(err, FT_EINVAL, "%s: id: must be a text of 1 to %d bytes", kind,
                          FT_TENANT_ID_MAX);
    if (absent(body)) {
        row_drop(t, kind, id);
        return 0;
    }
    int rc;
    if (setting)
        return strcmp(id, "currency") == 0 ? currency_put(t, body, err) : 0;
    if (!json_is_object(body))
        rc = ft_err_set(err, FT_EINVAL, "must be an object");
    else if (strcmp(kind, "project") == 0)
        rc = project_put(t, id, body, err);
    else if (strcmp(kind, "member") == 0)
        rc = member_put(t, id, body, err);
    else if (strcmp(kind, "session") == 0)
        rc = ft_tenant_session_put(t, id, body, (int64_t)time(NULL), err);
    else
        rc = key_put(t, id, body, err);
    if (rc != 0)
        ft_err_wrap(err, "%s %s", kind, id);
    return rc;
}

void ft_tenant_snapshot_begin(struct ft_tenant *t)
{
    pthread_rwlock_wrlock(&t->lock);
    t->snapshot++;
    pthread_rwlock_unlock(&t->lock);
}

/* Walks a table whose entries may leave it: what moves back into a gap is looked at again. */
static void sweep(struct ft_tenant *t, struct ft_table *table)
{
    for (size_t i = 0; i < table->n_slots;) {
        struct ft_tenant_node *n = table->slots[i].p;
        if (n != NULL && n->known && n->seen_in != t->snapshot) {
            if (table == &t->keys)
                key_drop(t, (struct ft_tenant_key *)n);
            else if (table == &t->members)
                member_drop(t, (struct ft_tenant_member *)n);
            else
                project_drop(t, (struct ft_tenant_project *)n);
        }
        i += table->slots[i].p == n;
    }
}

void ft_tenant_snapshot_end(struct ft_tenant *t)
{
    pthread_rwlock_wrlock(&t->lock);
    sweep(t, &t->keys);
    sweep(t, &t->members);
    sweep(t, &t->projects);
    ft_tenant_sessions_sweep(t);
    pthread_rwlock_unlock(&t->lock);
}
