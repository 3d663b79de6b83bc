/* A bar on the terminal: "counting [####    ]  42%". Nothing where standard error is no terminal.
 */
#ifndef FT_CLI_PROGRESS_H
#define FT_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct ft_progress {
    const char *what; /* before the bar; "": nothing */
    bool shown;       /* the bar stands on the line */
    int64_t last_ns;
};

/* Draws it anew, at most every tenth of a second, and the end always. */
void ft_progress_show(struct ft_progress *p, uint64_t done, uint64_t all);
/* Takes it away, before something else is printed. */
void ft_progress_clear(struct ft_progress *p);

#endif
