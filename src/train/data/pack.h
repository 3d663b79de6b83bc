/* Packing: the batches of an epoch. Samples are put whole into bins of `len` tokens, `bins` of
 * which make a batch; in a batch they lie one behind the other without padding, each a segment of
 * its own with positions from 0, so that none sees another.
 *
 * What an epoch's batches are depends on (samples, config, epoch) alone: a run resumes by asking
 * for batch i of epoch e again. */
#ifndef FT_TRAIN_PACK_H
#define FT_TRAIN_PACK_H

#include "train/data/data.h"

#define FT_PACK_BINS_MAX 4096               /* of a batch */
#define FT_PACK_ROWS_MAX ((int64_t)1 << 28) /* tokens of a batch */

struct ft_pack_config {
    int len;      /* tokens of a bin, at least the data's max_len */
    int bins;     /* per batch, 1 .. FT_PACK_BINS_MAX */
    bool packing; /* false: one sample (pair) per bin */
    bool shuffle; /* false: samples are taken in the order of the data */
    uint64_t seed;
};

/* The plan of one epoch. */
struct ft_epoch {
    int n_batches;
    int n_bins;
    int max_rows;    /* most tokens of one batch: at most bins * len, of pairs twice that */
    int max_segs;    /* most segments of one batch */
    int max_out;     /* most targets of one batch */
    double fill;     /* tokens in bins over their size, 0 .. 1 */
    int64_t targets; /* of all batches */
    struct ft_epoch_plan *plan;
};

/* index[n]: the samples to use (ft_data_split; NULL: all of d, n is ignored). d is borrowed until
 * close. Of pairs both samples are in the same batch, chosen before rejected; a bin of pairs holds
 * `len` tokens of each. */
int ft_epoch_open(const struct ft_data *d, const int32_t *index, int n,
                  const struct ft_pack_config *cfg, uint64_t epoch, struct ft_epoch **ret_e,
                  struct ft_err *err);
void ft_epoch_close(struct ft_epoch *e); /* NULL is accepted */

struct ft_pack_seg {
    int row; /* first row of the batch */
    int n;   /* rows: the sample without its last token, which nothing follows */
    int sample;
};

/* A batch. Arrays have room for any batch of the epoch. */
struct ft_pack_batch {
    int n_rows;
    int32_t *token, *pos; /* [n_rows] */
    int32_t *target;      /* [n_rows] the next token where it is to be learnt, else -1 */
    int n_segs;
    struct ft_pack_seg *seg; /* [n_segs], rows ascending, covering all rows */
    int n_out;
    int32_t *out_row; /* [n_out] rows that have a target, ascending */
    int max_rows, max_segs;
};

int ft_pack_batch_init(struct ft_pack_batch *b, const struct ft_epoch *e, struct ft_err *err);
void ft_pack_batch_fini(struct ft_pack_batch *b); /* a zeroed one is accepted */
/* Fills b with batch i (0 .. n_batches-1). b is of this epoch or one with no smaller maxima;
 * ft_pack_batch_fits() says so. */
bool ft_pack_batch_fits(const struct ft_pack_batch *b, const struct ft_epoch *e);
void ft_epoch_batch(const struct ft_epoch *e, int i, struct ft_pack_batch *b);

#endif
