/* The price list that the feed fills. Any thread; a look-up waits for the change of one row at
 * most.
 */
#ifndef FT_LEDGER_PRICES_H
#define FT_LEDGER_PRICES_H

#include <jansson.h>
#include <pthread.h>

#include "ledger/price.h"
#include "ledger/record.h"

struct ft_prices_row {
    char *id, *model; /* model: a glob */
    size_t model_len;
    struct ft_price price;
    uint64_t seen_in; /* the last snapshot that had it */
};

struct ft_prices {
    pthread_rwlock_t lock;
    struct ft_prices_row *rows; /* longest glob first, then by id: the first that matches holds */
    size_t n, cap;
    uint64_t snapshot;
};

void ft_prices_init(struct ft_prices *p);
void ft_prices_fini(struct ft_prices *p);
int ft_prices_put(struct ft_prices *p, const char *id, const json_t *body, struct ft_err *err);
void ft_prices_remove(struct ft_prices *p, const char *id);
void ft_prices_snapshot_begin(struct ft_prices *p);
void ft_prices_snapshot_end(struct ft_prices *p);
void ft_prices_find(struct ft_prices *p, const char *model, struct ft_price *ret);

#endif
