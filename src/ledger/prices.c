/* The price list: a sorted array, read from its longest glob to its shortest. */
#include "ledger/prices.h"

#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "ledger/ledger.h"

void ft_prices_init(struct ft_prices *p)
{
    *p = (struct ft_prices){.n = 0};
    pthread_rwlock_init(&p->lock, NULL);
}

static void row_fini(struct ft_prices_row *row)
{
    free(row->id);
    free(row->model);
}

void ft_prices_fini(struct ft_prices *p)
{
    for (size_t i = 0; i < p->n; i++)
        row_fini(&p->rows[i]);
    free(p->rows);
    pthread_rwlock_destroy(&p->lock);
}

static void remove_at(struct ft_prices *p, size_t i)
{
    row_fini(&p->rows[i]);
    memmove(&p->rows[i], &p->rows[i + 1], (p->n - i - 1) * sizeof *p->rows);
    p->n--;
}

static void remove_id(struct ft_prices *p, const char *id)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->rows[i].id, id) == 0) {
            remove_at(p, i);
            return;
        }
}

static int take_price(const json_t *body, const char *name, int64_t fallback, int64_t *ret,
                      struct ft_err *err)
{
    const json_t *v = json_object_get(body, name);
    if ((v == NULL || json_is_null(v)) && fallback >= 0) {
        *ret = fallback;
        return 0;
    }
    return ft_price_parse(json_is_string(v) ? json_string_value(v) : "", name, ret, err);
}

static int read_row(const char *id, const json_t *body, struct ft_prices_row *ret,
                    struct ft_err *err)
{
    const json_t *model = json_object_get(body, "model");
    size_t n = json_string_length(model);
    if (!json_is_string(model) || n < 1 || n > FT_RECORD_MODEL_MAX ||
        strlen(json_string_value(model)) != n)
        return ft_err_set(err, FT_EINVAL, "model: must be a pattern of 1 to %d bytes",
                          FT_RECORD_MODEL_MAX);
    struct ft_price price;
    int rc = take_price(body, "input", -1, &price.input, err);
    if (rc == 0)
        rc = take_price(body, "cached_input", price.input, &price.cached_input, err);
    if (rc == 0)
        rc = take_price(body, "output", -1, &price.output, err);
    if (rc != 0)
        return rc;
    struct ft_prices_row row = {.id = strdup(id),
                                .model = strdup(json_string_value(model)),
                                .model_len = n,
                                .price = price};
    if (row.id == NULL || row.model == NULL) {
        row_fini(&row);
        return ft_err_set(err, FT_ENOMEM, "no memory for one more price");
    }
    *ret = row;
    return 0;
}

static bool grow(struct ft_prices *p)
{
    if (p->n < p->cap)
        return true;
    size_t cap = p->cap == 0 ? 16 : p->cap * 2;
    struct ft_prices_row *rows = realloc(p->rows, cap * sizeof *rows);
    if (rows == NULL)
        return false;
    p->rows = rows;
    p->cap = cap;
    return true;
}

static bool before(const struct ft_prices_row *a, const struct ft_prices_row *b)
{
    return a->model_len != b->model_len ? a->model_len > b->model_len : strcmp(a->id, b->id) < 0;
}

int ft_prices_put(struct ft_prices *p, const char *id, const json_t *body, struct ft_err *err)
{
    struct ft_prices_row row;
    int rc = json_is_object(body) ? read_row(id, body, &row, err)
                                  : ft_err_set(err, FT_EINVAL, "must be an object");
    if (rc != 0)
        return ft_err_wrap(err, "price %s", id);
    pthread_rwlock_wrlock(&p->lock);
    if (p->n >= FT_LEDGER_PRICES_MAX || !grow(p)) {
        pthread_rwlock_unlock(&p->lock);
        row_fini(&row);
        return ft_err_set(err, FT_ELIMIT, "price %s: at most %d prices", id, FT_LEDGER_PRICES_MAX);
    }
    remove_id(p, id);
    row.seen_in = p->snapshot;
    size_t at = 0;
    while (at < p->n && before(&p->rows[at], &row))
        at++;
    memmove(&p->rows[at + 1], &p->rows[at], (p->n - at) * sizeof *p->rows);
    p->rows[at] = row;
    p->n++;
    pthread_rwlock_unlock(&p->lock);
    return 0;
}

void ft_prices_remove(struct ft_prices *p, const char *id)
{
    pthread_rwlock_wrlock(&p->lock);
    remove_id(p, id);
    pthread_rwlock_unlock(&p->lock);
}

void ft_prices_snapshot_begin(struct ft_prices *p)
{
    pthread_rwlock_wrlock(&p->lock);
    p->snapshot++;
    pthread_rwlock_unlock(&p->lock);
}

void ft_prices_snapshot_end(struct ft_prices *p)
{
    pthread_rwlock_wrlock(&p->lock);
    for (size_t i = p->n; i-- > 0;)
        if (p->rows[i].seen_in != p->snapshot)
            remove_at(p, i);
    pthread_rwlock_unlock(&p->lock);
}

void ft_prices_find(struct ft_prices *p, const char *model, struct ft_price *ret)
{
    *ret = (struct ft_price){.input = 0};
    pthread_rwlock_rdlock(&p->lock);
    for (size_t i = 0; i < p->n; i++)
        if (ft_glob_match(p->rows[i].model, model)) {
            *ret = p->rows[i].price;
            break;
        }
    pthread_rwlock_unlock(&p->lock);
}
