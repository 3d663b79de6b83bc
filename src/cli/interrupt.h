/* Signals that end the program (INT, TERM, HUP), caught where something must be put away first. */
#ifndef FT_CLI_INTERRUPT_H
#define FT_CLI_INTERRUPT_H

#include <stdatomic.h>

/* From now on such a signal only sets the flag that is returned, which any thread may read. */
const atomic_int *ft_interrupt_catch(void);
/* The same; but a second one ends the program at once: for work that can be taken up again. The
 * flag is 1 then. */
const atomic_int *ft_interrupt_catch_first(void);
/* From now on they end the program again; at once, if one came meanwhile. */
void ft_interrupt_release(void);

#endif
