/* Tables for people: columns as wide as what stands in them, on a terminal no wider than it is. */
#ifndef FT_CLI_TABLE_H
#define FT_CLI_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/figure.h"

#define FT_TABLE_COLUMNS_MAX 16
#define FT_TABLE_CELLS_MAX   (1u << 22)

struct ft_table;

/* heads: n column titles; one that begins with '>' has its column on the right. Never NULL: without
 * memory nothing is printed. */
struct ft_table *ft_table_open(int n, const char *const *heads);
void ft_table_close(struct ft_table *t);
/* The next cell, row by row; NULL or "": "-". Control characters become '?'. */
void ft_table_add(struct ft_table *t, const char *text);
void ft_table_addf(struct ft_table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* width: columns of the terminal, 0: as wide as need be. */
void ft_table_print(const struct ft_table *t, FILE *out, int width);
/* On standard output, as wide as that is. */
void ft_table_print_here(const struct ft_table *t);

/* Columns that a text takes on a terminal: two for most Chinese characters. */
int ft_text_width(const char *s);
/* Prints at most `width` columns, then "…" if something is left out; pads to width on the right
 * (pad > 0), on the left (pad < 0) or not at all. */
void ft_text_put(FILE *out, const char *s, int width, int pad);
/* Columns and rows of the terminal that fd is; 0 if it is none. */
void ft_terminal_size(int fd, int *ret_columns, int *ret_rows);

/* Figures as people read them, into out (FT_FIGURE_BYTES); return out. base/figure.h has bytes. */
const char *ft_figure_count(char *out, double n);         /* "12.3 k", "596.0 M", "7.62 B" */
const char *ft_figure_seconds(char *out, double seconds); /* "3 d 4 h", "2 min 5 s", "1.5 s" */

#endif
