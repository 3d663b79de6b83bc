/* Whose the processor time of a step is: each request's share is that of its rows. The process's
 * clock counts all threads, so the device's pool is in it, and whatever else the process does
 * meanwhile. Two or three system calls a step, under a microsecond each. */
#include "engine/core/core.h"

#include <time.h>

static int64_t cpu_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t rows_of(const struct ft_engine *e, const struct ft_req *q)
{
    int64_t rows = 0;
    for (int i = 0; i < e->n_plan; i++)
        rows += q == NULL || e->plan[i].s->req == q ? e->plan[i].n : 0;
    return rows;
}

void ft_account_begin(struct ft_engine *e)
{
    e->cpu_mark = cpu_now_ns();
}

void ft_account_computed(struct ft_engine *e)
{
    int64_t now = cpu_now_ns(), spent = now - e->cpu_mark, all = rows_of(e, NULL);
    for (int i = 0; i < e->n_plan; i++)
        e->plan[i].s->req->usage.cpu_ns += spent * e->plan[i].n / all;
    e->cpu_mark = now;
}

void ft_account_step(struct ft_engine *e)
{
    for (int i = 0; i < e->n_plan; i++) {
        struct ft_usage *u = &e->plan[i].s->req->usage;
        u->steps++;
        u->shared += e->n_plan;
    }
}

/* Its share of the sampling so far: what the end of the step adds comes too late for its END. */
void ft_account_ending(struct ft_engine *e, struct ft_req *q)
{
    int64_t rows = e->cpu_mark != 0 ? rows_of(e, q) : 0;
    if (rows > 0)
        q->usage.cpu_ns += (cpu_now_ns() - e->cpu_mark) * rows / rows_of(e, NULL);
}

void ft_account_end(struct ft_engine *e)
{
    if (e->n_plan > 0)
        ft_account_computed(e);
    e->cpu_mark = 0;
}
