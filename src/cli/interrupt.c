/* Catching signals: the handler notes the first one. */
#include "cli/interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/err.h"

static atomic_int caught, caught_any;

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static void note(int sig)
{
    if (caught == 0)
        caught = sig;
}

static void note_first(int sig)
{
    if (caught != 0) {
        signal(sig, SIG_DFL);
        raise(sig); /* delivered when this returns */
    }
    caught_any = 1;
    note(sig);
}

static void catch_with(void (*handler)(int))
{
    for (size_t i = 0; i < FT_COUNT(signals); i++) {
        struct sigaction old, sa = {.sa_handler = handler};
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &sa, NULL);
    }
}

const atomic_int *ft_interrupt_catch(void)
{
    catch_with(note);
    return &caught;
}

const atomic_int *ft_interrupt_catch_first(void)
{
    catch_with(note_first);
    return &caught_any;
}

void ft_interrupt_release(void)
{
    for (size_t i = 0; i < FT_COUNT(signals); i++) {
        struct sigaction old, sa = {.sa_handler = SIG_DFL};
        if (sigaction(signals[i], NULL, &old) == 0 &&
            (old.sa_handler == note || old.sa_handler == note_first))
            sigaction(signals[i], &sa, NULL);
    }
    if (caught != 0)
        raise(caught);
}
