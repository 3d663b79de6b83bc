/* Sessions: credentials that stand for a key for a while.
 *
 * A session has no rights, limits or account: whoever shows its secret is the key that it was made
 * for, as that key is now. So it dies with its key and member, what it uses counts where the key's
 * own counts, and nothing has to be kept in step.
 *
 * One that was ended leaves at once; those whose time is over leave when the table has doubled. */
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tenant/impl.h"

#define SWEEP_MIN 64

static bool session_is(const void *p, const void *digest)
{
    return memeql_sec(((const struct ft_tenant_session_row *)p)->digest, digest, FT_TENANT_DIGEST);
}

static bool session_has_id(const void *p, const void *id)
{
    return strcmp(((const struct ft_tenant_session_row *)p)->id, id) == 0;
}

static void drop(struct ft_tenant *t, struct ft_tenant_session_row *s)
{
    ft_table_remove(&t->sessions, ft_tenant_digest_hash(s->digest), s);
    ft_table_remove(&t->session_ids, ft_tenant_id_hash(s->id), s);
    free(s);
}

/* Those whose time is over: nobody can use them. */
static void sweep_expired(struct ft_tenant *t, int64_t now_s)
{
    for (size_t i = 0; i < t->sessions.n_slots;) {
        struct ft_tenant_session_row *s = t->sessions.slots[i].p;
        if (s != NULL && now_s >= s->expires_s)
            drop(t, s); /* what moves back into the gap is looked at again */
        else
            i++;
    }
    t->sweep_sessions_at = FT_MAX(2 * t->sessions.count, (size_t)SWEEP_MIN);
}

static int read_row(const char *id, const json_t *body, struct ft_tenant_session_row *ret,
                    struct ft_err *err)
{
    const json_t *parent = json_object_get(body, "parent"),
                 *expires = json_object_get(body, "expires");
    size_t n = json_string_length(parent);
    if (!json_is_string(parent) || n == 0 || n > FT_TENANT_ID_MAX)
        return ft_err_set(err, FT_EINVAL, "parent: must be a key's id");
    if (!json_is_integer(expires) || json_integer_value(expires) <= 0)
        return ft_err_set(err, FT_EINVAL, "expires: must be a unix time in seconds");
    snprintf(ret->id, sizeof ret->id, "%s", id);
    snprintf(ret->parent, sizeof ret->parent, "%s", json_string_value(parent));
    ret->expires_s = json_integer_value(expires);
    return ft_tenant_digest_read(body, ret->digest, err);
}

/* Under the lock. */
static int hang(struct ft_tenant *t, const struct ft_tenant_session_row *row, struct ft_err *err)
{
    struct ft_tenant_session_row *s =
        ft_table_get(&t->session_ids, ft_tenant_id_hash(row->id), session_has_id, row->id);
    struct ft_tenant_session_row *other =
        ft_table_get(&t->sessions, ft_tenant_digest_hash(row->digest), session_is, row->digest);
    if (other != NULL && other != s)
        return ft_err_set(err, FT_EINVAL, "hash: is that of another session");
    if (s != NULL)
        drop(t, s);
    if (t->sessions.count >= FT_TENANT_SESSIONS_MAX)
        return ft_err_set(err, FT_ELIMIT, "there are %d sessions already", FT_TENANT_SESSIONS_MAX);
    s = malloc(sizeof *s);
    if (s == NULL || !ft_table_reserve(&t->sessions) || !ft_table_reserve(&t->session_ids)) {
        free(s);
        return ft_err_set(err, FT_ENOMEM, "no memory for one more session");
    }
    *s = *row;
    s->seen_in = t->snapshot;
    ft_table_put(&t->sessions, ft_tenant_digest_hash(s->digest), s);
    ft_table_put(&t->session_ids, ft_tenant_id_hash(s->id), s);
    return 0;
}

int ft_tenant_session_put(struct ft_tenant *t, const char *id, const json_t *body, int64_t now_s,
                          struct ft_err *err)
{
    struct ft_tenant_session_row row = {.expires_s = 0};
    const json_t *ended = json_object_get(body, "ended");
    if (ended != NULL && !json_is_null(ended)) {
        ft_tenant_session_drop(t, id);
        return 0;
    }
    int rc = read_row(id, body, &row, err);
    if (rc != 0)
        return rc;
    pthread_rwlock_wrlock(&t->lock);
    if (t->sessions.count >= FT_MAX(t->sweep_sessions_at, (size_t)SWEEP_MIN))
        sweep_expired(t, now_s);
    rc = hang(t, &row, err);
    pthread_rwlock_unlock(&t->lock);
    return rc;
}

void ft_tenant_session_drop(struct ft_tenant *t, const char *id)
{
    pthread_rwlock_wrlock(&t->lock);
    struct ft_tenant_session_row *s =
        ft_table_get(&t->session_ids, ft_tenant_id_hash(id), session_has_id, id);
    if (s != NULL)
        drop(t, s);
    pthread_rwlock_unlock(&t->lock);
}

void ft_tenant_sessions_sweep(struct ft_tenant *t)
{
    for (size_t i = 0; i < t->sessions.n_slots;) {
        struct ft_tenant_session_row *s = t->sessions.slots[i].p;
        if (s != NULL && s->seen_in != t->snapshot)
            drop(t, s);
        else
            i++;
    }
}

void ft_tenant_sessions_fini(struct ft_tenant *t)
{
    for (size_t i = 0; i < t->sessions.n_slots; i++)
        free(t->sessions.slots[i].p);
    ft_table_fini(&t->sessions);
    ft_table_fini(&t->session_ids);
}

/* Under the lock. */
static enum ft_tenant_why look_up(struct ft_tenant *t, const uint8_t *digest, int64_t now_s,
                                  struct ft_tenant_ident **ret, struct ft_tenant_session *ret_s)
{
    struct ft_tenant_session_row *s =
        ft_table_get(&t->sessions, ft_tenant_digest_hash(digest), session_is, digest);
    if (s == NULL || now_s >= s->expires_s)
        return s == NULL ? FT_WHY_KEY_UNKNOWN : FT_WHY_KEY_EXPIRED;
    struct ft_tenant_key *k = ft_tenant_key_find(t, s->parent);
    if (k == NULL || k->record == NULL)
        return FT_WHY_KEY_REVOKED;
    enum ft_tenant_why why = ft_tenant_record_may(k->record, now_s);
    if (why != FT_WHY_OK)
        return why;
    *ret = ft_tenant_ident_ref(&k->record->ident);
    memcpy(ret_s->id, s->id, sizeof s->id);
    ret_s->expires_s = s->expires_s;
    return FT_WHY_OK;
}

int ft_tenant_session(struct ft_tenant *t, const char *secret, size_t n, int64_t now_s,
                      struct ft_tenant_ident **ret, struct ft_tenant_session *ret_session,
                      enum ft_tenant_why *ret_why, struct ft_err *err)
{
    enum ft_tenant_why why = FT_WHY_KEY_UNKNOWN;
    if (n > 0 && n <= FT_TENANT_SECRET_MAX) {
        struct sha256_ctx sha;
        uint8_t digest[FT_TENANT_DIGEST];
        sha256_init(&sha);
        sha256_update(&sha, n, (const uint8_t *)secret);
        sha256_digest(&sha, sizeof digest, digest);
        pthread_rwlock_rdlock(&t->lock);
        why = look_up(t, digest, now_s, ret, ret_session);
        pthread_rwlock_unlock(&t->lock);
    }
    *ret_why = why;
    if (why == FT_WHY_OK)
        return 0;
    atomic_fetch_add_explicit(&t->refused[why], 1, memory_order_relaxed);
    return ft_err_set(err, FT_ENOTFOUND, "This session has ended: sign in again.");
}
