/* See wrap.h. Chinese and the like breaks between any two characters. */
#include "cli/wrap.h"

#include <string.h>

#include "base/utf8.h"
#include "cli/table.h"

#define FENCE 3 /* ticks at the begin of a line */

void ft_wrap_init(struct ft_wrap *w, FILE *out, int width)
{
    *w = (struct ft_wrap){.out = out, .width = width};
}

static void next_line(struct ft_wrap *w)
{
    putc('\n', w->out);
    w->column = 0;
}

void ft_wrap_flush(struct ft_wrap *w)
{
    bool breaks = w->width > 0 && !w->fenced;
    if (breaks && w->column > 0 && w->column + w->word_width > w->width)
        next_line(w);
    fwrite(w->word, 1, w->n_word, w->out);
    w->column += w->word_width;
    if (breaks && w->column > w->width) /* a word of several lines: the terminal broke it */
        w->column = (w->column - 1) % w->width + 1;
    w->n_word = 0;
    w->word_width = 0;
}

/* A blank that does not fit is the line's end. */
static void blank(struct ft_wrap *w, char c)
{
    ft_wrap_flush(w);
    if (w->width > 0 && !w->fenced && w->column >= w->width) {
        next_line(w);
        return;
    }
    putc(c, w->out);
    w->column = c == '\t' ? (w->column / 8 + 1) * 8 : w->column + 1;
}

static void part_of_word(struct ft_wrap *w, const char *c, size_t n, int width)
{
    if (width > 1 || w->n_word + n > sizeof w->word)
        ft_wrap_flush(w);
    memcpy(w->word + w->n_word, c, n);
    w->n_word += n;
    w->word_width += width;
    if (width > 1)
        ft_wrap_flush(w);
}

static void see_fence(struct ft_wrap *w, char c)
{
    if (c == '\n') {
        w->ticks = 0;
        return;
    }
    w->ticks = w->ticks >= 0 && c == '`' ? w->ticks + 1 : -1;
    if (w->ticks == FENCE)
        w->fenced = !w->fenced;
}

void ft_wrap_add(struct ft_wrap *w, const char *text, size_t n)
{
    for (size_t at = 0, len; at < n; at += len) {
        uint32_t cp = '?';
        char bytes[FT_UTF8_BYTES_MAX + 1];
        len = (size_t)ft_utf8_decode(text + at, n - at, &cp);
        bool shown = len > 0 && cp >= 0x20 && !(cp >= 0x7f && cp < 0xa0);
        len = len > 0 ? len : 1;
        snprintf(bytes, sizeof bytes, "%.*s", shown ? (int)len : 1, shown ? text + at : "?");
        see_fence(w, text[at]);
        if (cp == '\n') {
            ft_wrap_flush(w);
            next_line(w);
        } else if (cp == ' ' || cp == '\t') {
            blank(w, text[at]);
        } else {
            part_of_word(w, bytes, strlen(bytes), ft_text_width(bytes));
        }
    }
}
