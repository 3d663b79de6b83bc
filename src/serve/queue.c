/* The fair queue. Flows are few (projects times endpoints that wait right now), so they are a list
 * that is searched for the least counter. */
#include "serve/queue.h"

#include <stdlib.h>
#include <string.h>

#define WEIGHT_MIN 0.001
#define WEIGHT_MAX 1000.0

int ft_queue_init(struct ft_queue *q)
{
    *q = (struct ft_queue){.other.weight = 1};
    return ft_strmap_init(&q->by_name, 0);
}

void ft_queue_fini(struct ft_queue *q)
{
    for (int i = 0; i < q->n_project; i++) {
        free(q->project[i]->name);
        free(q->project[i]);
    }
    free(q->project);
    ft_strmap_fini(&q->by_name);
    while (q->flow != NULL) {
        struct ft_queue_flow *f = q->flow;
        q->flow = f->next;
        free(f);
    }
}

static struct ft_queue_project *project_new(struct ft_queue *q, const char *name)
{
    if (q->n_project == FT_QUEUE_PROJECTS_MAX)
        return NULL;
    if (q->n_project == q->cap_project) {
        int cap = FT_MAX(16, 2 * q->cap_project);
        struct ft_queue_project **more =
            realloc(q->project, (size_t)cap * sizeof(struct ft_queue_project *));
        if (more == NULL)
            return NULL;
        q->project = more;
        q->cap_project = cap;
    }
    struct ft_queue_project *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->name = strdup(name);
    if (p->name == NULL ||
        ft_strmap_add(&q->by_name, p->name, strlen(p->name), q->n_project) != 0) {
        free(p->name);
        free(p);
        return NULL;
    }
    q->project[q->n_project++] = p;
    return p;
}

struct ft_queue_project *ft_queue_project(struct ft_queue *q, const char *name, double weight)
{
    int32_t i;
    struct ft_queue_project *p =
        ft_strmap_get(&q->by_name, name, strlen(name), &i) ? q->project[i] : project_new(q, name);
    if (p == NULL)
        return &q->other;
    p->weight = weight > 0 ? FT_MIN(FT_MAX(weight, WEIGHT_MIN), WEIGHT_MAX) : 1;
    return p;
}

void ft_queue_enter(struct ft_queue *q, struct ft_queue_project *p)
{
    if (p->waiting + p->running > 0)
        return;
    int64_t served = atomic_load_explicit(&p->served, memory_order_relaxed);
    if (served < q->level)
        atomic_store_explicit(&p->served, q->level, memory_order_relaxed);
}

static struct ft_queue_flow *flow_of(struct ft_queue *q, struct ft_queue_project *p, void *endpoint,
                                     bool background)
{
    for (struct ft_queue_flow *f = q->flow; f != NULL; f = f->next)
        if (f->project == p && f->endpoint == endpoint && f->background == background)
            return f;
    struct ft_queue_flow *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    *f = (struct ft_queue_flow){
        .next = q->flow, .project = p, .endpoint = endpoint, .background = background};
    q->flow = f;
    return f;
}

int ft_queue_add(struct ft_queue *q, struct ft_queue_project *p, void *endpoint,
                 struct ft_queue_item *item, int priority, bool front)
{
    bool background = priority <= FT_QUEUE_BACKGROUND;
    struct ft_queue_flow *f = flow_of(q, p, endpoint, background);
    if (f == NULL)
        return FT_ENOMEM;
    item->flow = f;
    item->priority = priority;
    struct ft_queue_item *after = f->last; /* the one it comes behind */
    while (after != NULL && (front ? after->priority <= priority : after->priority < priority))
        after = after->prev;
    item->prev = after;
    item->next = after != NULL ? after->next : f->first;
    *(item->prev != NULL ? &item->prev->next : &f->first) = item;
    *(item->next != NULL ? &item->next->prev : &f->last) = item;
    f->n++;
    p->waiting++;
    q->waiting++;
    p->background += background;
    q->background += background;
    return 0;
}

void ft_queue_remove(struct ft_queue *q, struct ft_queue_item *item)
{
    struct ft_queue_flow *f = item->flow;
    *(item->prev != NULL ? &item->prev->next : &f->first) = item->next;
    *(item->next != NULL ? &item->next->prev : &f->last) = item->prev;
    item->flow = NULL;
    f->n--;
    f->project->waiting--;
    q->waiting--;
    f->project->background -= f->background;
    q->background -= f->background;
    if (f->n > 0)
        return;
    struct ft_queue_flow **at = &q->flow;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    free(f);
}

int ft_queue_waiting(const struct ft_queue *q, const void *endpoint)
{
    int n = 0;
    for (const struct ft_queue_flow *f = q->flow; f != NULL; f = f->next)
        if (f->endpoint == endpoint)
            n += f->n;
    return n;
}

int ft_queue_ahead(const struct ft_queue *q, const void *endpoint, int priority)
{
    int n = 0;
    for (const struct ft_queue_flow *f = q->flow; f != NULL; f = f->next)
        if (f->endpoint == endpoint && (!f->background || priority <= FT_QUEUE_BACKGROUND))
            n += f->n;
    return n;
}

/* The first call of the flow that finds room. */
static struct ft_queue_item *flow_next(struct ft_queue_flow *f, ft_queue_room_fn *room, void *ctx)
{
    struct ft_queue_item *item = f->first;
    for (int i = 0; item != NULL && i < FT_QUEUE_SCAN_MAX; i++, item = item->next)
        if (room(ctx, item))
            return item;
    return NULL;
}

/* Of the flows that are background, or are not. */
static struct ft_queue_item *next_of(struct ft_queue *q, bool background, ft_queue_room_fn *room,
                                     void *ctx)
{
    int64_t above = INT64_MIN; /* flows up to here were asked */
    const struct ft_queue_flow *last = NULL;
    for (;;) {
        /* the flow that comes next by (served, address): a total order */
        struct ft_queue_flow *best = NULL;
        int64_t best_served = 0;
        for (struct ft_queue_flow *f = q->flow; f != NULL; f = f->next) {
            int64_t served = atomic_load_explicit(&f->project->served, memory_order_relaxed);
            if (f->background != background || served < above ||
                (served == above && (uintptr_t)f <= (uintptr_t)last))
                continue;
            if (best == NULL || served < best_served ||
                (served == best_served && (uintptr_t)f < (uintptr_t)best)) {
                best = f;
                best_served = served;
            }
        }
        if (best == NULL)
            return NULL;
        struct ft_queue_item *item = flow_next(best, room, ctx);
        if (item != NULL) {
            q->level = FT_MAX(q->level, best_served);
            ft_queue_remove(q, item);
            return item;
        }
        above = best_served;
        last = best;
    }
}

struct ft_queue_item *ft_queue_next(struct ft_queue *q, ft_queue_room_fn *room, void *ctx)
{
    struct ft_queue_item *item = next_of(q, false, room, ctx);
    return item != NULL || q->background == 0 ? item : next_of(q, true, room, ctx);
}
