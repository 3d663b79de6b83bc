/* Catching signals: the handler notes the first one. */
#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>

#include "base/err.h"

static volatile int caught;

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static void note(int sig)
{
    if (caught == 0)
        caught = sig;
}

const volatile int *ft_interrupt_catch(void)
{
    for (size_t i = 0; i < FT_COUNT(signals); i++) {
        struct sigaction old, sa = {.sa_handler = note};
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &sa, NULL);
    }
    return &caught;
}

void ft_interrupt_release(void)
{
    for (size_t i = 0; i < FT_COUNT(signals); i++) {
        struct sigaction old, sa = {.sa_handler = SIG_DFL};
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == note)
            sigaction(signals[i], &sa, NULL);
    }
    if (caught != 0)
        raise(caught);
}
