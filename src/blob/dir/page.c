/* A page of a listing. */
#include "blob/dir/page.h"

#include <stdlib.h>
#include <string.h>

struct head {
    int64_t order;
    uint32_t n_key, n_bytes;
    bool is_latest, is_prefix;
};

void ft_page_init(struct ft_page *p)
{
    /* the entry that passes the bound is still taken */
    ft_buf_init(&p->bytes, FT_PAGE_BYTES_MAX + FT_ROW_BYTES_MAX + 2 * FT_BLOB_KEY_MAX);
}

void ft_page_fini(struct ft_page *p)
{
    ft_buf_fini(&p->bytes);
}

static int add(struct ft_page *p, const struct head *h, const char *key, const void *bytes,
               struct ft_err *err)
{
    ft_buf_add(&p->bytes, h, sizeof *h);
    ft_buf_add(&p->bytes, key, h->n_key);
    ft_buf_add_byte(&p->bytes, 0);
    if (h->n_bytes > 0)
        ft_buf_add(&p->bytes, bytes, h->n_bytes);
    return p->bytes.failed == 0 ? 0 : ft_err_set(err, p->bytes.failed, "no memory for a listing");
}

int ft_page_add(struct ft_page *p, const struct ft_page_entry *e, struct ft_err *err)
{
    struct head h = {e->order, (uint32_t)strlen(e->key), (uint32_t)e->n_bytes, e->is_latest, false};
    return add(p, &h, e->key, e->bytes, err);
}

int ft_page_add_prefix(struct ft_page *p, const char *prefix, size_t n, struct ft_err *err)
{
    struct head h = {0, (uint32_t)n, 0, false, true};
    return add(p, &h, prefix, NULL, err);
}

bool ft_page_next(const struct ft_page *p, size_t *at, struct ft_page_entry *ret)
{
    struct head h;
    if (*at >= p->bytes.len)
        return false;
    memcpy(&h, p->bytes.data + *at, sizeof h);
    ret->key = p->bytes.data + *at + sizeof h;
    ret->order = h.order;
    ret->is_latest = h.is_latest;
    ret->bytes = h.is_prefix ? NULL : (const uint8_t *)ret->key + h.n_key + 1;
    ret->n_bytes = h.n_bytes;
    *at += sizeof h + h.n_key + 1 + h.n_bytes;
    return true;
}

int ft_page_is_marker(const struct ft_page_entry *e, int64_t owner, struct ft_err *err)
{
    if (!ft_row_says_marker(e->bytes, e->n_bytes)) /* all of it is checked when it is handed out */
        return 0;
    struct ft_row *row = malloc(sizeof *row);
    if (row == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a listing");
    struct ft_row_at at = {owner, e->order, e->key};
    int rc = ft_row_decode(e->bytes, e->n_bytes, &at, row, err);
    free(row);
    return rc == 0 ? 1 : rc;
}
