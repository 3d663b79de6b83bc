/* Putting samples aside for validation: whole groups, drawn by seed alone. */
#include <math.h>
#include <stdlib.h>

#include "base/rand.h"
#include "train/data/data.h"

#define STREAM 0x53504c4954u /* of random numbers: "SPLIT" */

struct drawn {
    uint64_t key;
    int32_t group;
};

static int by_key(const void *a, const void *b)
{
    const struct drawn *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return (x->group > y->group) - (x->group < y->group);
}

/* Marks groups in random order until about n_valid units are marked, never the last group.
 * size[g]: units of group g. Returns how many units were marked. */
static int mark_groups(const int32_t *size, int32_t n_groups, struct drawn *d, uint64_t seed,
                       int n_valid, uint8_t *marked)
{
    for (int32_t g = 0; g < n_groups; g++)
        d[g] = (struct drawn){ft_rand_u64(seed, STREAM, (uint64_t)g), g};
    qsort(d, (size_t)n_groups, sizeof *d, by_key);
    int n = 0;
    for (int32_t k = 0; k + 1 < n_groups && n < n_valid; k++) {
        marked[d[k].group] = 1;
        n += size[d[k].group];
    }
    return n;
}

static int fill(const struct ft_data *d, int step, const uint8_t *marked, struct ft_data_split *s,
                struct ft_err *err)
{
    s->train = calloc((size_t)d->n, sizeof *s->train);
    s->valid = calloc((size_t)d->n, sizeof *s->valid);
    if (s->train == NULL || s->valid == NULL)
        return ft_err_set(err, FT_ENOMEM, "split: no memory");
    for (int i = 0; i < d->n; i += step)
        if (marked[d->sample[i].group])
            s->valid[s->n_valid++] = i;
        else
            s->train[s->n_train++] = i;
    return 0;
}

int ft_data_split(const struct ft_data *d, uint64_t seed, int n_valid, double fraction,
                  struct ft_data_split *ret, struct ft_err *err)
{
    int step = d->kind == FT_DATA_PREFERENCE ? 2 : 1, n_units = d->n / step;
    if (n_valid < 0 || !(fraction >= 0 && fraction < 1))
        return ft_err_set(err, FT_EINVAL, "the part for validation is from 0 to below 1");
    if (n_valid == 0 && fraction > 0) /* who asks for some gets one */
        n_valid = FT_MAX((int)lround(fraction * n_units), 1);
    size_t n_groups = (size_t)d->n_groups;
    int32_t *size = calloc(n_groups + 1, sizeof *size);
    uint8_t *marked = calloc(n_groups + 1, 1);
    struct drawn *drawn = calloc(n_groups + 1, sizeof *drawn);
    struct ft_data_split s = {0};
    int rc = 0;
    if (size == NULL || marked == NULL || drawn == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "split: no memory");
    for (int i = 0; rc == 0 && i < d->n; i += step)
        size[d->sample[i].group]++;
    if (rc == 0 && mark_groups(size, d->n_groups, drawn, seed, n_valid, marked) < n_valid)
        rc = ft_err_set(err, FT_EINVAL, "%d of %d samples for validation leave none to train on",
                        n_valid, n_units);
    if (rc == 0)
        rc = fill(d, step, marked, &s, err);
    free(size);
    free(marked);
    free(drawn);
    if (rc != 0)
        ft_data_split_fini(&s);
    else
        *ret = s;
    return rc;
}

void ft_data_split_fini(struct ft_data_split *s)
{
    free(s->train);
    free(s->valid);
    *s = (struct ft_data_split){0};
}
