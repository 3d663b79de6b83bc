/* Listings of the store in memory. A page is copied under the lock and told without it, so that the
 * callback may use the store. */
#include <stdlib.h>
#include <string.h>

#include "blob/mem/impl.h"

struct item {
    char *prefix; /* or NULL, and one of: */
    struct ft_blob_object o;
    char id[FT_BLOB_UPLOAD_MAX + 1];
};
struct page {
    const struct ft_blob_list *l;
    const char *prefix, *delimiter, *after;
    struct item *items;
    int n;
    bool more;
};

static int page_init(struct page *p, const struct ft_blob_list *l, struct ft_err *err)
{
    p->l = l;
    p->prefix = l->prefix != NULL ? l->prefix : "";
    p->delimiter = l->delimiter != NULL ? l->delimiter : "";
    p->after = l->after != NULL ? l->after : "";
    p->n = 0;
    p->more = l->max == 0;
    p->items = calloc((size_t)l->max + 1, sizeof *p->items);
    return p->items != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "no memory for a listing");
}

static void page_fini(struct page *p)
{
    for (int i = 0; i < p->n; i++) {
        free(p->items[i].prefix);
        ft_blob_object_fini(&p->items[i].o);
    }
    free(p->items);
}

/* How many bytes of the key its rolled-up prefix has; 0: it has none. */
static size_t rolled_up(const struct page *p, const char *key)
{
    const char *at;
    if (*p->delimiter == '\0' || (at = strstr(key + strlen(p->prefix), p->delimiter)) == NULL)
        return 0;
    return (size_t)(at - key) + strlen(p->delimiter);
}

/* Does the key belong to the listing at all? */
static bool wanted(const struct page *p, const char *key)
{
    if (strncmp(key, p->prefix, strlen(p->prefix)) != 0)
        return false;
    size_t roll = rolled_up(p, key);
    return roll == 0 || strlen(p->after) != roll || strncmp(key, p->after, roll) != 0;
}

/* A place on the page; NULL: it is full, and there is more. */
static struct item *page_next(struct page *p)
{
    if (p->n == p->l->max) {
        p->more = true;
        return NULL;
    }
    return &p->items[p->n++];
}

/* 1: the key was rolled up, or needs no more; 0: it is to be listed itself. */
static int roll_up(struct page *p, const char *key, struct ft_err *err)
{
    size_t roll = rolled_up(p, key);
    if (roll == 0)
        return 0;
    const char *last = p->n > 0 ? p->items[p->n - 1].prefix : NULL;
    if (last != NULL && strncmp(last, key, roll) == 0 && last[roll] == '\0')
        return 1;
    struct item *item = page_next(p);
    if (item != NULL && (item->prefix = strndup(key, roll)) == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a listing");
    return 1;
}

/* What every implementation can tell in a listing; the rest is told by head. */
static int add_version(struct page *p, const struct version *v, bool versions, struct ft_err *err)
{
    struct ft_blob_info info = v->o.info;
    info.n_fields = info.n_tags = info.n_parts = 0;
    info.acl = "";
    info.hold = (struct ft_blob_hold){.legal = false};
    if (!versions) {
        info.version[0] = '\0';
        info.is_latest = false;
    }
    int rc = roll_up(p, info.key, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    struct item *item = page_next(p);
    return item != NULL ? ft_blob_object_set(&item->o, &info, NULL, 0, err) : 0;
}

/* The versions of a key behind after_version, if the page begins in their middle. One that is gone
 * by now hides none: all that are left are listed. */
static const struct version *first_version(const struct page *p, const struct entry *e)
{
    if (p->l->after_version == NULL || strcmp(e->key, p->after) != 0)
        return e->newest;
    for (const struct version *v = e->newest; v != NULL; v = v->older)
        if (strcmp(v->o.info.version, p->l->after_version) == 0)
            return v->older;
    return e->newest;
}

static int list_entry(struct page *p, const struct entry *e, bool versions, struct ft_err *err)
{
    int rc = 0;
    if (!versions)
        return e->newest->o.info.is_marker ? 0 : add_version(p, e->newest, false, err);
    for (const struct version *v = first_version(p, e); v != NULL && rc == 0 && !p->more;
         v = v->older)
        rc = add_version(p, v, true, err);
    return rc;
}

int mem_list(struct ft_blob *b, const struct ft_blob_list *l, bool versions, ft_blob_list_fn *fn,
             void *ctx, bool *ret_more, struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct page p;
    size_t at;
    int rc = page_init(&p, l, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&m->lock);
    rc = mem_bucket(m, l->bucket, &k, err);
    if (rc == 0) {
        bool within = versions && l->after_version != NULL;
        if (mem_entry_find(k, p.after, &at) != NULL && !within)
            at++;
        for (; at < k->n_entries && rc == 0 && !p.more; at++)
            if (wanted(&p, k->entries[at].key))
                rc = list_entry(&p, &k->entries[at], versions, err);
    }
    pthread_mutex_unlock(&m->lock);
    for (int i = 0; i < p.n && rc == 0; i++)
        rc = fn(ctx, p.items[i].prefix != NULL ? NULL : &p.items[i].o.info, p.items[i].prefix);
    if (rc == 0)
        *ret_more = p.more && l->max > 0;
    page_fini(&p);
    return rc;
}

static int add_upload(struct page *p, const struct upload *u, struct ft_err *err)
{
    int rc = roll_up(p, u->o.info.key, err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    struct item *item = page_next(p);
    if (item == NULL)
        return 0;
    strcpy(item->id, u->id);
    return ft_blob_object_set(&item->o, &u->o.info, NULL, 0, err);
}

/* The first upload behind what the page begins behind. */
static const struct upload *first_upload(const struct page *p, const struct bucket *k)
{
    const struct upload *u = k->uploads;
    const char *id = p->l->after_version;
    while (u != NULL && strcmp(u->o.info.key, p->after) < 0)
        u = u->next;
    const struct upload *first = u;
    for (; u != NULL && strcmp(u->o.info.key, p->after) == 0; u = u->next)
        if (id != NULL && strcmp(u->id, id) == 0)
            return u->next;
    return id != NULL ? first : u;
}

int mem_uploads(struct ft_blob *b, const struct ft_blob_list *l, ft_blob_uploads_fn *fn, void *ctx,
                bool *ret_more, struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct page p;
    int rc = page_init(&p, l, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&m->lock);
    rc = mem_bucket(m, l->bucket, &k, err);
    if (rc == 0)
        for (const struct upload *u = first_upload(&p, k); u != NULL && rc == 0 && !p.more;
             u = u->next)
            if (wanted(&p, u->o.info.key))
                rc = add_upload(&p, u, err);
    pthread_mutex_unlock(&m->lock);
    for (int i = 0; i < p.n && rc == 0; i++) {
        struct ft_blob_upload u = {.key = p.items[i].o.info.key,
                                   .begun_ns = p.items[i].o.info.modified_ns,
                                   .fields = p.items[i].o.info.fields,
                                   .n_fields = p.items[i].o.info.n_fields};
        strcpy(u.id, p.items[i].id);
        rc = fn(ctx, p.items[i].prefix != NULL ? NULL : &u, p.items[i].prefix);
    }
    if (rc == 0)
        *ret_more = p.more && l->max > 0;
    page_fini(&p);
    return rc;
}
