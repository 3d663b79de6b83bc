/* Events: what happened, for those who look at the cloud (serve.h, struct ft_serve_event). They are
 * rare, and never hold words that came with a request. */
#include <stdarg.h>
#include <stdio.h>

#include "serve/core.h"

#define TEXT_MAX 400

static void tell(struct ft_serve *s, const char *kind, int level, const struct ft_endpoint *e,
                 int k, const char *request, const char *text)
{
    s->on_event(s->event_ctx, &(struct ft_serve_event){
                                  .kind = kind,
                                  .level = level,
                                  .text = text,
                                  .endpoint = e != NULL ? e->name : NULL,
                                  .project = e != NULL ? e->project : NULL,
                                  .worker = k,
                                  .request = request,
                              });
}

void ft_tell(struct ft_serve *s, const char *kind, int level, const struct ft_endpoint *e, int k,
             const char *request, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list ap;
    if (s->on_event == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    tell(s, kind, level, e, k, request, text);
}

static bool wants(const struct ft_serve *s, const struct ft_endpoint *e, int k)
{
    for (int i = 0; i < e->n_target; i++)
        if (ft_workers_wants(s, e->target[i], k))
            return true;
    return false;
}

void ft_tell_worker(struct ft_serve *s, const char *kind, int level, int k, const char *fmt, ...)
{
    char text[TEXT_MAX];
    bool told = false;
    va_list ap;
    if (s->on_event == NULL)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (const struct ft_endpoint *e = s->endpoint; e != NULL; e = e->next) {
        if (e->gone || !wants(s, e, k))
            continue;
        tell(s, kind, level, e, k, NULL, text);
        told = true;
    }
    if (!told)
        tell(s, kind, level, NULL, k, NULL, text);
}

void ft_tell_end(const struct ft_serve_call *c, const struct ft_piece *p, bool on, int place,
                 enum ft_failover_verdict verdict)
{
    const char *where = place >= 0 ? "the worker" : "the server";
    if (verdict == FT_FAILOVER_GUILTY)
        ft_tell(c->s, "request_given_up", 2, c->endpoint, place, c->id,
                "a request ended every process that worked on it, at last alone: it is given up");
    else if (on && verdict == FT_FAILOVER_SUSPECT)
        ft_tell(c->s, "failover", 1, c->endpoint, place, c->id,
                "processes ended while they worked on this request: it goes to the quarantine");
    else if (on && p->fault == FT_FAULT_REPLICA)
        ft_tell(c->s, "failover", 1, c->endpoint, place, c->id,
                c->begun     ? "%s broke off in the middle of an answer, which goes on elsewhere"
                : place >= 0 ? "%s broke off, the request is tried elsewhere"
                             : "%s did not answer or broke off, the request is tried again",
                where);
}
