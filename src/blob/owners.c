/* What every owner keeps, over any implementation. */
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "blob/blob.h"

#define OWNERS_MAX 1000000

struct owners {
    struct ft_strmap seen;
    char **list;
    int n, cap;
};

static int take(void *ctx, const struct ft_blob_bucket *b)
{
    struct owners *o = ctx;
    size_t n = strlen(b->owner);
    if (ft_strmap_get(&o->seen, b->owner, n, NULL))
        return 0;
    if (o->n == o->cap) {
        int cap = o->cap == 0 ? 16 : 2 * o->cap;
        void *p = o->n < OWNERS_MAX ? realloc(o->list, (size_t)cap * sizeof *o->list) : NULL;
        if (p == NULL)
            return FT_ENOMEM;
        o->list = p;
        o->cap = cap;
    }
    char *owner = strdup(b->owner);
    if (owner == NULL || ft_strmap_add(&o->seen, owner, n, o->n) != 0) {
        free(owner);
        return FT_ENOMEM;
    }
    o->list[o->n++] = owner;
    return 0;
}

int ft_blob_usage_each(struct ft_blob *b, ft_blob_usage_fn *fn, void *ctx, struct ft_err *err)
{
    struct owners o = {.n = 0};
    struct ft_err why = {0};
    int rc = ft_blob_bucket_list(b, NULL, take, &o, &why);
    if (rc == FT_ENOMEM && why.code == 0)
        ft_err_set(&why, FT_ENOMEM, "owners of buckets: no memory");
    for (int i = 0; rc == 0 && i < o.n; i++) {
        struct ft_blob_usage u = {0};
        rc = ft_blob_usage(b, o.list[i], &u, &why);
        if (rc == 0)
            fn(ctx, o.list[i], &u);
    }
    for (int i = 0; i < o.n; i++)
        free(o.list[i]);
    free(o.list);
    ft_strmap_fini(&o.seen);
    if (rc != 0 && err != NULL)
        *err = why;
    return rc;
}
