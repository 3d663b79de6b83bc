/* A bar on the terminal. */
#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define BAR_WIDTH  40
#define REFRESH_NS 100000000 /* between two updates */

void ft_progress_show(struct ft_progress *p, uint64_t done, uint64_t all)
{
    int64_t now = ft_clock_now_ns();
    if (isatty(STDERR_FILENO) != 1 || (done < all && now - p->last_ns < REFRESH_NS))
        return;
    p->last_ns = now;
    p->shown = true;
    double part = all > 0 ? (double)done / (double)all : 1;
    int full = (int)(BAR_WIDTH * part);
    fprintf(stderr, "\r%s%s[%.*s%*s] %3d%%", p->what, p->what[0] != '\0' ? " " : "", full,
            "########################################", BAR_WIDTH - full, "", (int)(100 * part));
}

void ft_progress_clear(struct ft_progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r\033[K");
    p->shown = false;
}
