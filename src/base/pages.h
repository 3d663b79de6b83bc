/* Memory straight from the system, page by page: for buffers of many MiB that go back at once. */
#ifndef FT_BASE_PAGES_H
#define FT_BASE_PAGES_H

#include <stdbool.h>
#include <stddef.h>

/* Anonymous pages, zeroed, NULL when there are none; huge pages are asked for where `huge`: what
 * is read across long rows spends its time on looking up small ones. Memory is taken when a page is
 * first touched. */
void *ft_pages_alloc(size_t bytes, bool huge);
void ft_pages_free(void *p, size_t bytes); /* NULL is accepted */

#endif
