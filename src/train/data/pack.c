/* Packing: which samples share a bin, and batches made of bins.
 *
 * Units (samples, or pairs) are taken in a random order, and each goes into the fullest bin that
 * still has room (best fit), or opens one. All bins stay open: those with r free rows hang in a
 * list free[r], and a bitmap says which lists are not empty. Beside sorting by length this fills
 * bins about as well, and long samples do not end up in batches of their own.
 *
 * A pair takes the rows of its longer half in both halves of its bin. */
#include "train/data/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/rand.h"

#define STREAM 0x45504f4348u /* of random numbers: "EPOCH", plus the epoch's number */

struct ft_epoch_plan {
    const struct ft_data *data;
    int bins_per_batch;
    int step;          /* samples per unit: 1, or 2 of pairs */
    int32_t *bin_from; /* [n_bins + 1] where a bin begins in unit[] */
    int32_t *unit;     /* first samples of units, bin by bin */
};

/* ---- which unit goes where ---- */

struct packer {
    int len, n_bins;
    int32_t *list; /* [len + 1] bins with so many free rows, the last to come first; -1 */
    int32_t *next; /* [bins] */
    uint64_t *any; /* bitmap of the lists */
};

static int packer_init(struct packer *p, int len, int n_units, struct ft_err *err)
{
    *p = (struct packer){.len = len};
    p->list = malloc(((size_t)len + 1) * sizeof *p->list);
    p->next = malloc(((size_t)n_units + 1) * sizeof *p->next);
    p->any = calloc((size_t)len / 64 + 1, sizeof *p->any);
    if (p->list == NULL || p->next == NULL || p->any == NULL)
        return ft_err_set(err, FT_ENOMEM, "packing: no memory");
    memset(p->list, 0xff, ((size_t)len + 1) * sizeof *p->list);
    return 0;
}

static void packer_fini(struct packer *p)
{
    free(p->list);
    free(p->next);
    free(p->any);
}

/* The least number of free rows, n or more, that some bin has; -1: none has. */
static int find_room(const struct packer *p, int n)
{
    uint64_t word = p->any[n / 64] & ~0ull << n % 64;
    for (int w = n / 64;;) {
        if (word != 0)
            return w * 64 + __builtin_ctzll(word);
        if (++w > p->len / 64)
            return -1;
        word = p->any[w];
    }
}

static void put(struct packer *p, int32_t bin, int room)
{
    p->next[bin] = p->list[room];
    p->list[room] = bin;
    p->any[room / 64] |= 1ull << room % 64;
}

/* The bin for a unit of n rows. */
static int32_t choose_bin(struct packer *p, int n)
{
    int room = find_room(p, n);
    int32_t bin;
    if (room < 0) {
        bin = p->n_bins++;
        room = p->len;
    } else {
        bin = p->list[room];
        p->list[room] = p->next[bin];
        if (p->list[room] < 0)
            p->any[room / 64] &= ~(1ull << room % 64);
    }
    put(p, bin, room - n);
    return bin;
}

/* ---- the plan ---- */

static int sample_rows(const struct ft_data *d, int32_t sample)
{
    return d->sample[sample].n - 1; /* nothing follows the last token */
}

static int unit_rows(const struct ft_epoch_plan *p, int32_t first)
{
    int n = sample_rows(p->data, first);
    return p->step == 1 ? n : FT_MAX(n, sample_rows(p->data, first + 1));
}

/* Fisher and Yates, with numbers of their own per epoch. */
static void shuffle(int32_t *unit, int n, uint64_t seed, uint64_t epoch)
{
    for (int i = n - 1; i > 0; i--) {
        int k = (int)(ft_rand_u64(seed, STREAM + epoch, (uint64_t)i) % (uint64_t)(i + 1));
        int32_t t = unit[i];
        unit[i] = unit[k];
        unit[k] = t;
    }
}

/* Assigns bins to the n units in order, and sorts the units by bin, keeping their order in it. */
static int pack(struct ft_epoch *e, const struct ft_pack_config *cfg, const int32_t *order, int n,
                struct ft_err *err)
{
    struct ft_epoch_plan *p = e->plan;
    struct packer packer;
    int32_t *bin = malloc(((size_t)n + 1) * sizeof *bin);
    int rc = packer_init(&packer, cfg->len, n, err);
    if (rc == 0 && bin == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "packing: no memory");
    for (int i = 0; i < n && rc == 0; i++) {
        int rows = unit_rows(p, order[i]);
        if (rows > cfg->len)
            rc = ft_err_set(err, FT_EINVAL, "a sample of %d tokens, the sequence length is %d",
                            rows + 1, cfg->len);
        else
            bin[i] = cfg->packing ? choose_bin(&packer, rows) : packer.n_bins++;
    }
    e->n_bins = packer.n_bins;
    p->bin_from = rc == 0 ? calloc((size_t)e->n_bins + 2, sizeof *p->bin_from) : NULL;
    if (rc == 0 && p->bin_from == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "packing: no memory");
    for (int i = 0; i < n && rc == 0; i++)
        p->bin_from[bin[i] + 2]++;
    for (int b = 2; b <= e->n_bins && rc == 0; b++)
        p->bin_from[b] += p->bin_from[b - 1];
    for (int i = 0; i < n && rc == 0; i++) /* moves each beginning to where the next bin's is */
        p->unit[p->bin_from[bin[i] + 1]++] = order[i];
    packer_fini(&packer);
    free(bin);
    return rc;
}

static void batch_range(const struct ft_epoch *e, int i, int32_t *ret_from, int32_t *ret_to)
{
    const struct ft_epoch_plan *p = e->plan;
    int bin = i * p->bins_per_batch;
    *ret_from = p->bin_from[bin];
    *ret_to = p->bin_from[FT_MIN(bin + p->bins_per_batch, e->n_bins)];
}

static void measure(struct ft_epoch *e, const struct ft_pack_config *cfg)
{
    const struct ft_epoch_plan *p = e->plan;
    int64_t all = 0;
    for (int i = 0; i < e->n_batches; i++) {
        int32_t from, to;
        int rows = 0, segs = 0, out = 0;
        batch_range(e, i, &from, &to);
        for (int32_t u = from; u < to; u++)
            for (int s = 0; s < p->step; s++, segs++) {
                rows += sample_rows(p->data, p->unit[u] + s);
                out += p->data->sample[p->unit[u] + s].n_target;
            }
        e->max_rows = FT_MAX(e->max_rows, rows);
        e->max_segs = FT_MAX(e->max_segs, segs);
        e->max_out = FT_MAX(e->max_out, out);
        e->targets += out;
        all += rows;
    }
    e->fill = (double)all / ((double)e->n_bins * cfg->len * p->step);
}

static int check(const struct ft_pack_config *cfg, int n, struct ft_err *err)
{
    if (cfg->len < 1 || cfg->len > FT_DATA_LEN_MAX)
        return ft_err_set(err, FT_EINVAL, "a sequence length of %d is not from 1 to %d", cfg->len,
                          FT_DATA_LEN_MAX);
    if (cfg->bins < 1 || cfg->bins > FT_PACK_BINS_MAX)
        return ft_err_set(err, FT_EINVAL, "%d sequences per batch are not from 1 to %d", cfg->bins,
                          FT_PACK_BINS_MAX);
    if ((int64_t)cfg->len * cfg->bins > FT_PACK_ROWS_MAX)
        return ft_err_set(err, FT_EINVAL, "%d sequences of %d tokens are more than %lld tokens",
                          cfg->bins, cfg->len, (long long)FT_PACK_ROWS_MAX);
    return n > 0 ? 0 : ft_err_set(err, FT_EINVAL, "no samples to make batches of");
}

int ft_epoch_open(const struct ft_data *d, const int32_t *index, int n,
                  const struct ft_pack_config *cfg, uint64_t epoch, struct ft_epoch **ret_e,
                  struct ft_err *err)
{
    int step = d->kind == FT_DATA_PREFERENCE ? 2 : 1;
    n = index != NULL ? n : d->n / step;
    int rc = check(cfg, n, err);
    if (rc != 0)
        return rc;
    struct ft_epoch *e = calloc(1, sizeof *e);
    struct ft_epoch_plan *p = calloc(1, sizeof *p);
    int32_t *order = malloc((size_t)n * sizeof *order);
    if (e != NULL && p != NULL && order != NULL) {
        e->plan = p;
        *p = (struct ft_epoch_plan){.data = d, .bins_per_batch = cfg->bins, .step = step};
        p->unit = malloc((size_t)n * sizeof *p->unit);
    }
    if (p == NULL || p->unit == NULL) {
        rc = ft_err_set(err, FT_ENOMEM, "packing: no memory");
    } else {
        for (int i = 0; i < n; i++)
            order[i] = index != NULL ? index[i] : i * step;
        if (cfg->shuffle)
            shuffle(order, n, cfg->seed, epoch);
        rc = pack(e, cfg, order, n, err);
    }
    free(order);
    if (rc != 0) {
        if (e == NULL || e->plan == NULL)
            free(p);
        ft_epoch_close(e);
        return rc;
    }
    e->n_batches = (e->n_bins + cfg->bins - 1) / cfg->bins;
    measure(e, cfg);
    *ret_e = e;
    return 0;
}

void ft_epoch_close(struct ft_epoch *e)
{
    if (e == NULL)
        return;
    if (e->plan != NULL) {
        free(e->plan->bin_from);
        free(e->plan->unit);
        free(e->plan);
    }
    free(e);
}

/* ---- batches ---- */

int ft_pack_batch_init(struct ft_pack_batch *b, const struct ft_epoch *e, struct ft_err *err)
{
    size_t rows = (size_t)e->max_rows;
    *b = (struct ft_pack_batch){.max_rows = e->max_rows, .max_segs = e->max_segs};
    b->token = malloc(rows * sizeof *b->token);
    b->pos = malloc(rows * sizeof *b->pos);
    b->target = malloc(rows * sizeof *b->target);
    b->out_row = malloc(rows * sizeof *b->out_row);
    b->seg = malloc((size_t)e->max_segs * sizeof *b->seg);
    if (b->token == NULL || b->pos == NULL || b->target == NULL || b->out_row == NULL ||
        b->seg == NULL) {
        ft_pack_batch_fini(b);
        return ft_err_set(err, FT_ENOMEM, "a batch of %d tokens: no memory", e->max_rows);
    }
    return 0;
}

void ft_pack_batch_fini(struct ft_pack_batch *b)
{
    free(b->token);
    free(b->pos);
    free(b->target);
    free(b->out_row);
    free(b->seg);
    *b = (struct ft_pack_batch){0};
}

bool ft_pack_batch_fits(const struct ft_pack_batch *b, const struct ft_epoch *e)
{
    return b->max_rows >= e->max_rows && b->max_segs >= e->max_segs;
}

static void add_sample(struct ft_pack_batch *b, const struct ft_data *d, int32_t sample)
{
    const struct ft_sample *s = &d->sample[sample];
    b->seg[b->n_segs++] = (struct ft_pack_seg){.row = b->n_rows, .n = s->n - 1, .sample = sample};
    for (int i = 0; i + 1 < s->n; i++) {
        int row = b->n_rows++;
        b->token[row] = s->token[i];
        b->pos[row] = i;
        b->target[row] = s->loss[i + 1] ? s->token[i + 1] : -1;
        if (s->loss[i + 1])
            b->out_row[b->n_out++] = row;
    }
}

void ft_epoch_batch(const struct ft_epoch *e, int i, struct ft_pack_batch *b)
{
    const struct ft_epoch_plan *p = e->plan;
    int32_t from, to;
    FT_ASSERT(i >= 0 && i < e->n_batches && ft_pack_batch_fits(b, e));
    b->n_rows = b->n_segs = b->n_out = 0;
    batch_range(e, i, &from, &to);
    for (int32_t u = from; u < to; u++)
        for (int s = 0; s < p->step; s++)
            add_sample(b, p->data, p->unit[u] + s);
}
