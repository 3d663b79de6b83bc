/* Tables and figures: text measured in columns of a terminal (utf8proc knows how wide a character
 * is). */
#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include "base/err.h"
#include "base/utf8.h"

#define GAP      2 /* columns between two columns */
#define LEAST    8 /* columns that a cut column keeps */
#define CELL_MAX 4096

struct ft_table {
    int n_columns;
    const char *head[FT_TABLE_COLUMNS_MAX];
    int right[FT_TABLE_COLUMNS_MAX];
    char **cell;
    size_t n, cap;
};

/* The character at s, what cannot be shown as '?'; *ret_len: its bytes. */
static uint32_t next_char(const char *s, int *ret_len)
{
    uint32_t cp = '?';
    int len = ft_utf8_decode(s, strnlen(s, FT_UTF8_BYTES_MAX), &cp);
    *ret_len = len > 0 ? len : 1;
    return len == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ? '?' : cp;
}

static int char_width(uint32_t cp)
{
    int w = cp < 0x7f ? 1 : utf8proc_charwidth((utf8proc_int32_t)cp);
    return w < 0 ? 0 : w;
}

int ft_text_width(const char *s)
{
    int width = 0;
    for (int len; *s != '\0'; s += len)
        width += char_width(next_char(s, &len));
    return width;
}

static void put_spaces(FILE *out, int n)
{
    for (int i = 0; i < n; i++)
        putc(' ', out);
}

void ft_text_put(FILE *out, const char *s, int width, int pad)
{
    int all = ft_text_width(s), room = all <= width ? width : width - 1, used = 0;
    if (pad < 0 && all < width)
        put_spaces(out, width - all);
    for (int len; *s != '\0'; s += len) {
        uint32_t cp = next_char(s, &len);
        char bytes[FT_UTF8_BYTES_MAX];
        if (used + char_width(cp) > room)
            break;
        used += char_width(cp);
        fwrite(bytes, 1, (size_t)ft_utf8_encode(cp, bytes), out);
    }
    if (all > width) {
        fputs("…", out);
        used++;
    }
    if (pad > 0)
        put_spaces(out, width - used);
}

void ft_terminal_size(int fd, int *ret_columns, int *ret_rows)
{
    struct winsize w = {0};
    if (isatty(fd) != 1 || ioctl(fd, TIOCGWINSZ, &w) != 0)
        w = (struct winsize){0};
    *ret_columns = w.ws_col;
    *ret_rows = w.ws_row;
}

struct ft_table *ft_table_open(int n, const char *const *heads)
{
    struct ft_table *t = calloc(1, sizeof *t);
    FT_ASSERT(n > 0 && n <= FT_TABLE_COLUMNS_MAX);
    for (int i = 0; t != NULL && i < n; i++) {
        t->right[i] = heads[i][0] == '>';
        t->head[i] = heads[i] + t->right[i];
    }
    if (t != NULL)
        t->n_columns = n;
    return t;
}

void ft_table_close(struct ft_table *t)
{
    for (size_t i = 0; t != NULL && i < t->n; i++)
        free(t->cell[i]);
    if (t != NULL)
        free(t->cell);
    free(t);
}

void ft_table_add(struct ft_table *t, const char *text)
{
    if (t == NULL || t->n == FT_TABLE_CELLS_MAX)
        return;
    if (t->n == t->cap) {
        size_t cap = t->cap == 0 ? 64 : t->cap * 2;
        char **grown = realloc(t->cell, cap * sizeof *grown);
        if (grown == NULL)
            return;
        t->cell = grown;
        t->cap = cap;
    }
    char *copy = strdup(text == NULL || text[0] == '\0' ? "-" : text);
    if (copy != NULL)
        t->cell[t->n++] = copy;
}

void ft_table_addf(struct ft_table *t, const char *fmt, ...)
{
    char text[CELL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ft_table_add(t, text);
}

/* Takes columns from the widest until the table fits. */
static void fit(const struct ft_table *t, int *width, int most)
{
    for (;;) {
        int all = (t->n_columns - 1) * GAP, widest = 0;
        for (int i = 0; i < t->n_columns; i++) {
            all += width[i];
            if (width[i] > width[widest])
                widest = i;
        }
        if (all <= most || width[widest] <= LEAST)
            return;
        width[widest]--;
    }
}

static void put_row(const struct ft_table *t, FILE *out, const int *width, const char *const *cell)
{
    for (int i = 0; i < t->n_columns; i++) {
        bool last = i + 1 == t->n_columns;
        ft_text_put(out, cell[i], width[i], t->right[i] ? -1 : last ? 0 : 1);
        if (!last)
            put_spaces(out, GAP);
    }
    putc('\n', out);
}

void ft_table_print(const struct ft_table *t, FILE *out, int terminal)
{
    int width[FT_TABLE_COLUMNS_MAX] = {0};
    if (t == NULL)
        return;
    for (int i = 0; i < t->n_columns; i++)
        width[i] = ft_text_width(t->head[i]);
    for (size_t i = 0; i < t->n; i++) {
        int *w = &width[i % (size_t)t->n_columns], needed = ft_text_width(t->cell[i]);
        *w = FT_MAX(*w, needed);
    }
    if (terminal > 0)
        fit(t, width, terminal);
    put_row(t, out, width, t->head);
    for (size_t i = 0; i + (size_t)t->n_columns <= t->n; i += (size_t)t->n_columns)
        put_row(t, out, width, (const char *const *)&t->cell[i]);
}

void ft_table_print_here(const struct ft_table *t)
{
    int columns, rows;
    ft_terminal_size(STDOUT_FILENO, &columns, &rows);
    ft_table_print(t, stdout, columns);
}

const char *ft_figure_count(char *out, double n)
{
    if (n >= 1e9)
        snprintf(out, FT_FIGURE_BYTES, "%.2f B", n / 1e9);
    else if (n >= 1e6)
        snprintf(out, FT_FIGURE_BYTES, "%.1f M", n / 1e6);
    else if (n >= 1e4)
        snprintf(out, FT_FIGURE_BYTES, "%.1f k", n / 1e3);
    else
        snprintf(out, FT_FIGURE_BYTES, "%.*f", n == (double)(int)n ? 0 : 1, n);
    return out;
}

const char *ft_figure_seconds(char *out, double seconds)
{
    long s = (long)seconds;
    if (seconds < 10 && seconds != (double)s)
        snprintf(out, FT_FIGURE_BYTES, "%.1f s", seconds);
    else if (s < 60)
        snprintf(out, FT_FIGURE_BYTES, "%ld s", s);
    else if (s < 3600)
        snprintf(out, FT_FIGURE_BYTES, "%ld min %ld s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, FT_FIGURE_BYTES, "%ld h %ld min", s / 3600, s % 3600 / 60);
    else
        snprintf(out, FT_FIGURE_BYTES, "%ld d %ld h", s / 86400, s % 86400 / 3600);
    return out;
}
