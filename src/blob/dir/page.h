/* A page of a listing: rows of the index, copied one behind the other. */
#ifndef FT_BLOB_DIR_PAGE_H
#define FT_BLOB_DIR_PAGE_H

#include "base/buf.h"
#include "blob/dir/row.h"

/* A page ends early when its rows are this large together. */
#define FT_PAGE_BYTES_MAX (16u << 20)

struct ft_page {
    struct ft_buf bytes;
};
struct ft_page_entry {
    const char *key;
    int64_t order;
    bool is_latest;
    const uint8_t *bytes; /* of the row; NULL: a rolled-up prefix, in key */
    size_t n_bytes;
};

void ft_page_init(struct ft_page *p);
void ft_page_fini(struct ft_page *p);
int ft_page_add(struct ft_page *p, const struct ft_page_entry *e, struct ft_err *err);
int ft_page_add_prefix(struct ft_page *p, const char *prefix, size_t n, struct ft_err *err);
/* *at: 0 at first. What it hands out lies in the page. */
bool ft_page_next(const struct ft_page *p, size_t *at, struct ft_page_entry *ret);

/* Is the row of a deletion? 1, 0, FT_ECORRUPT. */
int ft_page_is_marker(const struct ft_page_entry *e, int64_t owner, struct ft_err *err);

#endif
