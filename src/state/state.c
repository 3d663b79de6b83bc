/* What is the same for every engine: transactions with their retries, statements, migrations, the
 * feed's numbers.
 *
 * A transaction in which a statement failed is broken: every later statement of it fails and it is
 * rolled back, whatever its function returns (PostgreSQL does so by itself, SQLite does not). The
 * store's own table ft_store holds its name and the feed's number, ft_migration what was applied.
 */
#include "state/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "state/engine.h"

#define RETRY_MS_MAX 50

struct ft_state_tx {
    struct ft_state *s;
    int64_t seq; /* taken, or 0 */
    int broken;  /* the code of the first statement that failed, or 0 */
    struct ft_err why;
};

int ft_state_base_init(struct ft_state *s, const struct ft_state_ops *ops, struct ft_err *err)
{
    s->ops = ops;
    if (pthread_mutex_init(&s->lock, NULL) != 0)
        return ft_err_set(err, FT_ENOMEM, "state: no memory for a lock");
    return 0;
}

void ft_state_close(struct ft_state *s)
{
    if (s == NULL)
        return;
    pthread_mutex_destroy(&s->lock);
    s->ops->close(s);
}

const char *ft_state_id(struct ft_state *s)
{
    return s->id;
}

bool ft_state_is_trouble(int code)
{
    return code == FT_EIO || code == FT_ECORRUPT || code == FT_EBUSY || code == FT_EUNSUPPORTED ||
           code == FT_ENOMEM;
}

/* ---- statements ---- */

static int tx_failed(struct ft_state_tx *tx, int code, const struct ft_err *why, struct ft_err *err)
{
    if (tx->broken == 0) {
        tx->broken = code;
        tx->why = *why;
    }
    if (err != NULL)
        *err = *why;
    return code;
}

int ft_state_query(struct ft_state_tx *tx, const char *sql, const struct ft_sql_value *args,
                   int n_args, struct ft_state_rows **ret, struct ft_err *err)
{
    struct ft_err why = {0};
    struct ft_state_rows *r = NULL;
    FT_ASSERT(n_args >= 0 && n_args <= FT_STATE_PARAMS_MAX);
    if (tx->broken != 0)
        return tx_failed(tx, tx->broken, &tx->why, err);
    int rc = tx->s->ops->prepare(tx->s, sql, &r, &why);
    for (int i = 0; rc == 0 && i < n_args; i++) {
        if (args[i].s.n > FT_STATE_VALUE_MAX)
            rc = ft_err_set(&why, FT_ELIMIT, "state: a value of %zu bytes; at most %d are stored",
                            args[i].s.n, FT_STATE_VALUE_MAX);
        else
            rc = tx->s->ops->bind(r, i + 1, &args[i], &why);
    }
    if (rc != 0) {
        if (r != NULL)
            tx->s->ops->finish(r);
        return tx_failed(tx, rc, &why, err);
    }
    r->tx = tx;
    *ret = r;
    return 0;
}

int ft_rows_step(struct ft_state_rows *r, struct ft_err *err)
{
    struct ft_err why = {0};
    struct ft_state_tx *tx = r->tx;
    if (tx->broken != 0)
        return tx_failed(tx, tx->broken, &tx->why, err);
    int rc = tx->s->ops->step(r, &why);
    return rc < 0 ? tx_failed(tx, rc, &why, err) : rc;
}

void ft_rows_close(struct ft_state_rows *r)
{
    if (r != NULL)
        r->tx->s->ops->finish(r);
}

int ft_state_exec(struct ft_state_tx *tx, const char *sql, const struct ft_sql_value *args,
                  int n_args, int64_t *ret_changed, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, sql, args, n_args, &r, err);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(r, err)) > 0)
        ;
    if (rc == 0 && ret_changed != NULL)
        *ret_changed = tx->s->ops->changed(r);
    ft_rows_close(r);
    return rc;
}

int64_t ft_rows_int(struct ft_state_rows *r, int column)
{
    struct ft_sql_value v = r->tx->s->ops->column(r, column);
    return v.type == FT_SQL_INT ? v.i : v.type == FT_SQL_DOUBLE ? (int64_t)v.d : 0;
}

double ft_rows_double(struct ft_state_rows *r, int column)
{
    struct ft_sql_value v = r->tx->s->ops->column(r, column);
    return v.type == FT_SQL_DOUBLE ? v.d : v.type == FT_SQL_INT ? (double)v.i : 0;
}

struct ft_slice ft_rows_text(struct ft_state_rows *r, int column)
{
    struct ft_sql_value v = r->tx->s->ops->column(r, column);
    bool has = (v.type == FT_SQL_TEXT || v.type == FT_SQL_BLOB) && v.s.p != NULL;
    return has ? v.s : (struct ft_slice){"", 0};
}

bool ft_rows_is_null(struct ft_state_rows *r, int column)
{
    return r->tx->s->ops->column(r, column).type == FT_SQL_NULL;
}

/* ---- the feed's numbers ---- */

/* One row that every such transaction updates: its lock (or SQLite's one writer) makes the order of
 * numbers the order of commits. */
int ft_state_seq_next(struct ft_state_tx *tx, int64_t *ret, struct ft_err *err)
{
    if (tx->seq == 0) {
        struct ft_state_rows *r;
        int rc = ft_state_query(tx, "UPDATE ft_store SET n = n + 1 WHERE name = 'seq' RETURNING n",
                                FT_NO_ARGS, &r, err);
        if (rc != 0)
            return rc;
        int64_t seq = 0;
        while ((rc = ft_rows_step(r, err)) > 0)
            seq = ft_rows_int(r, 0);
        ft_rows_close(r);
        if (rc != 0)
            return rc;
        tx->seq = seq;
    }
    *ret = tx->seq;
    return 0;
}

int ft_state_seq_last(struct ft_state_tx *tx, int64_t *ret, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, "SELECT n FROM ft_store WHERE name = 'seq'", FT_NO_ARGS, &r, err);
    if (rc != 0)
        return rc;
    int64_t seq = 0;
    while ((rc = ft_rows_step(r, err)) > 0)
        seq = ft_rows_int(r, 0);
    ft_rows_close(r);
    if (rc == 0)
        *ret = seq;
    return rc;
}

void ft_state_watch(struct ft_state *s, void (*fn)(void *ctx, int64_t seq), void *ctx)
{
    pthread_mutex_lock(&s->lock);
    s->watch = fn;
    s->watch_ctx = ctx;
    pthread_mutex_unlock(&s->lock);
}

/* ---- transactions ---- */

/* One run, on a connection that is ready. *ret_again: another may succeed. */
static int run_once(struct ft_state_tx *tx, bool write, ft_state_tx_fn *fn, void *ctx,
                    bool *ret_again, struct ft_err *err)
{
    struct ft_state *s = tx->s;
    int rc = s->ops->begin(s, write, err);
    int broken = rc;
    if (rc == 0) {
        rc = fn(tx, ctx, err);
        broken = tx->broken;
        if (rc == 0 && broken != 0) { /* the function overlooked it */
            rc = broken;
            if (err != NULL)
                *err = tx->why;
        }
        if (rc != 0)
            s->ops->rollback(s);
        else
            rc = broken = s->ops->commit(s, err);
    }
    *ret_again = broken == FT_EBUSY;
    if (broken == FT_EIO || broken == FT_ECORRUPT)
        s->ops->drop(s);
    return rc;
}

static void pause_before(int attempt)
{
    int64_t ms = FT_MIN(1 << FT_MIN(attempt, 6), RETRY_MS_MAX);
    int64_t ns = ms * 1000000 / 2 + ft_clock_now_ns() % (ms * 500000); /* not in step with others */
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static int meet(struct ft_state *s, struct ft_err *err);

static int run_locked(struct ft_state *s, bool write, ft_state_tx_fn *fn, void *ctx,
                      int64_t *ret_seq, struct ft_err *err)
{
    for (int attempt = 1;; attempt++) {
        struct ft_state_tx tx = {.s = s};
        bool fresh = false, again = false;
        int rc = s->ops->ready(s, &fresh, err);
        if (rc == 0 && fresh && (rc = meet(s, err)) != 0)
            s->ops->drop(s);
        if (rc == 0)
            rc = run_once(&tx, write, fn, ctx, &again, err);
        else
            again = rc == FT_EBUSY;
        if (!again || attempt == FT_STATE_TRIES_MAX) {
            *ret_seq = rc == 0 ? tx.seq : 0;
            return rc;
        }
        pause_before(attempt);
    }
}

static int run(struct ft_state *s, bool write, ft_state_tx_fn *fn, void *ctx, struct ft_err *err)
{
    int64_t seq = 0;
    pthread_mutex_lock(&s->lock);
    int rc = run_locked(s, write, fn, ctx, &seq, err);
    void (*watch)(void *, int64_t) = s->watch;
    void *watch_ctx = s->watch_ctx;
    pthread_mutex_unlock(&s->lock);
    if (seq != 0 && watch != NULL)
        watch(watch_ctx, seq);
    return rc;
}

int ft_state_tx(struct ft_state *s, ft_state_tx_fn *fn, void *ctx, struct ft_err *err)
{
    return run(s, true, fn, ctx, err);
}

int ft_state_read(struct ft_state *s, ft_state_tx_fn *fn, void *ctx, struct ft_err *err)
{
    return run(s, false, fn, ctx, err);
}

/* ---- a fresh connection: the store's own tables, its name, its schema ---- */

static const char own_tables[] =
    "CREATE TABLE IF NOT EXISTS ft_store"
    " (name TEXT PRIMARY KEY, value TEXT, n BIGINT NOT NULL DEFAULT 0);"
    "CREATE TABLE IF NOT EXISTS ft_migration (module TEXT NOT NULL, version BIGINT NOT NULL,"
    " name TEXT NOT NULL, checksum TEXT NOT NULL, PRIMARY KEY (module, version));";

static int random_name(char ret[FT_STATE_ID_MAX], struct ft_err *err)
{
    unsigned char b[(FT_STATE_ID_MAX - 1) / 2];
    if (getrandom(b, sizeof b, 0) != sizeof b)
        return ft_err_sys(err, "state: getrandom");
    for (size_t i = 0; i < sizeof b; i++)
        snprintf(ret + 2 * i, 3, "%02x", b[i]);
    return 0;
}

struct meeting {
    char id[FT_STATE_ID_MAX];
};

static int read_id(struct ft_state_tx *tx, struct meeting *m, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc =
        ft_state_query(tx, "SELECT value FROM ft_store WHERE name = 'id'", FT_NO_ARGS, &r, err);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(r, err)) > 0)
        snprintf(m->id, sizeof m->id, "%s", ft_rows_text(r, 0).p);
    ft_rows_close(r);
    return rc;
}

/* Does the place hold a store? (An empty database has no such table: the statement is wrong.) */
static int look(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    return read_id(tx, ctx, err);
}

static int found(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct meeting *m = ctx;
    int rc = tx->s->ops->script(tx->s, own_tables, err);
    if (rc == 0)
        rc = read_id(tx, m, err);
    if (rc != 0 || m->id[0] != '\0')
        return rc;
    rc = random_name(m->id, err);
    if (rc == 0)
        rc =
            ft_state_exec(tx, "INSERT INTO ft_store (name, value) VALUES ('id', $1), ('seq', NULL)",
                          FT_ARGS(ft_sql_text(m->id)), NULL, err);
    return rc;
}

/* FNV-1a, 64 bit: tells an edited text, no more. */
static void checksum(const char *sql, char ret[17])
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char *p = (const unsigned char *)sql; *p != '\0'; p++)
        h = (h ^ *p) * 0x100000001b3u;
    snprintf(ret, 17, "%016" PRIx64, h);
}

struct applying {
    const struct ft_state_set *set;
    int version; /* out: the newest applied */
};

/* What was applied must be what the list begins with. */
static int compare_applied(struct ft_state_tx *tx, struct applying *a, struct ft_err *err)
{
    struct ft_state_rows *r;
    const struct ft_state_set *set = a->set;
    int rc = ft_state_query(tx,
                            "SELECT version, checksum, name FROM ft_migration WHERE module = $1"
                            " ORDER BY version",
                            FT_ARGS(ft_sql_text(set->module)), &r, err);
    if (rc != 0)
        return rc;
    a->version = 0;
    while ((rc = ft_rows_step(r, err)) > 0) {
        int64_t version = ft_rows_int(r, 0);
        char sum[17];
        if (version > set->n) {
            rc = ft_err_set(err, FT_EUNSUPPORTED,
                            "the state store was written by a newer feitian: its %s is at version "
                            "%" PRId64 " (%s), this one knows %d; start the newer one, or restore "
                            "a copy from before the upgrade",
                            set->module, version, ft_rows_text(r, 2).p, set->n);
            break;
        }
        checksum(set->list[version - 1].sql, sum);
        if (strcmp(sum, ft_rows_text(r, 1).p) != 0) {
            rc = ft_err_set(err, FT_EUNSUPPORTED,
                            "the state store's %s version %" PRId64 " (%s) is not this feitian's",
                            set->module, version, ft_rows_text(r, 2).p);
            break;
        }
        a->version = (int)version;
    }
    ft_rows_close(r);
    return rc;
}

/* One step, or none: then version is the newest. */
static int migrate_step(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct applying *a = ctx;
    int rc = compare_applied(tx, a, err);
    if (rc != 0 || a->version == a->set->n)
        return rc;
    const struct ft_migration *m = &a->set->list[a->version];
    char sum[17];
    FT_ASSERT(m->version == a->version + 1);
    checksum(m->sql, sum);
    rc = tx->s->ops->script(tx->s, m->sql, err);
    if (rc == 0)
        rc = ft_state_exec(tx,
                           "INSERT INTO ft_migration (module, version, name, checksum)"
                           " VALUES ($1, $2, $3, $4)",
                           FT_ARGS(ft_sql_text(a->set->module), ft_sql_int(m->version),
                                   ft_sql_text(m->name), ft_sql_text(sum)),
                           NULL, err);
    if (rc != 0)
        return ft_err_wrap(err, "%s version %d (%s)", a->set->module, m->version, m->name);
    a->version++;
    return 0;
}

static int once(struct ft_state *s, bool write, ft_state_tx_fn *fn, void *ctx, struct ft_err *err)
{
    struct ft_state_tx tx = {.s = s};
    bool again;
    return run_once(&tx, write, fn, ctx, &again, err);
}

static int compare_step(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    return compare_applied(tx, ctx, err);
}

static int migrate_set(struct ft_state *s, const struct ft_state_set *set, struct ft_err *err)
{
    struct applying a = {.set = set};
    int rc = once(s, false, compare_step, &a, err); /* nothing to do needs no writing */
    while (rc == 0 && a.version < set->n)
        rc = once(s, true, migrate_step, &a, err);
    return rc;
}

static int meet(struct ft_state *s, struct ft_err *err)
{
    struct meeting m = {{0}};
    struct ft_err why = {0};
    int rc = once(s, false, look, &m, &why);
    if (rc == FT_EINTERNAL || (rc == 0 && m.id[0] == '\0')) { /* no such table, or no name in it */
        if (s->known)
            return ft_err_set(err, FT_ECORRUPT,
                              "the state store is gone: an empty one lies in its place");
        rc = once(s, true, found, &m, &why);
    }
    if (rc != 0) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    if (s->id[0] != '\0' && strcmp(s->id, m.id) != 0)
        return ft_err_set(err, FT_ECORRUPT,
                          "another state store lies in the place of the one this process began with"
                          "; put that back, or restart to take this one");
    for (int i = 0; i < s->n_sets; i++)
        if ((rc = migrate_set(s, &s->sets[i], err)) != 0)
            return rc;
    memcpy(s->id, m.id, sizeof s->id);
    s->known = true;
    return 0;
}

static int nothing(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    (void)tx;
    (void)ctx;
    (void)err;
    return 0;
}

int ft_state_migrate(struct ft_state *s, const char *module, const struct ft_migration *list, int n,
                     struct ft_err *err)
{
    int64_t seq;
    pthread_mutex_lock(&s->lock);
    FT_ASSERT(s->n_sets < FT_STATE_MODULES_MAX);
    s->sets[s->n_sets++] = (struct ft_state_set){module, list, n};
    int rc = run_locked(s, false, nothing, NULL, &seq, err); /* may have met, with the set */
    if (rc == 0)
        rc = migrate_set(s, &s->sets[s->n_sets - 1], err);
    pthread_mutex_unlock(&s->lock);
    return rc;
}
