/* Running text on a terminal: lines break between words. What stands between ``` fences is left as
 * it is: code that is copied has no breaks of ours. Control characters become '?': what a model
 * says does not steer the terminal. */
#ifndef FT_CLI_WRAP_H
#define FT_CLI_WRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define FT_WRAP_WORD_MAX 256 /* bytes held back of a word that goes on; longer ones are broken */

struct ft_wrap {
    FILE *out;
    int width; /* columns; 0: nothing is broken */
    int column;
    char word[FT_WRAP_WORD_MAX];
    size_t n_word;
    int word_width;
    int ticks; /* that the line begins with; -1: it began with something else */
    bool fenced;
};

void ft_wrap_init(struct ft_wrap *w, FILE *out, int width);
/* UTF-8, pieces of whole characters. A word is printed once something follows it. */
void ft_wrap_add(struct ft_wrap *w, const char *text, size_t n);
void ft_wrap_flush(struct ft_wrap *w);

#endif
