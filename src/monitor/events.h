/* What happened in the cloud: starts, deaths, failovers, scaling, alerts. No text of prompts.
 *
 * The last FT_EVENTS_MAX are in memory; all of them go to DIR/events.jsonl, one a line, by a thread
 * of its own, so telling never waits for a disk. At FT_EVENTS_FILE_MAX the file becomes
 * events.1.jsonl in the place of the one before: two such files are all there is. Lines are read
 * again at the next start; one that is damaged is left out. Ids are numbers that only grow. */
#ifndef FT_MONITOR_EVENTS_H
#define FT_MONITOR_EVENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_EVENTS_MAX      2048
#define FT_EVENTS_FILE_MAX (1 << 20) /* bytes */
#define FT_EVENTS_TEXT_MAX 400       /* bytes of a text; longer ones are cut */
#define FT_EVENTS_SAME_MS  2000 /* the same of the same within this time is counted, not added */
#define FT_EVENTS_LIST_MAX 500

struct ft_events;

enum ft_event_level { FT_EVENT_INFO, FT_EVENT_WARN, FT_EVENT_ERROR };

struct ft_event {
    const char *kind; /* "worker_died" */
    enum ft_event_level level;
    const char *text;     /* for people, one sentence */
    const char *endpoint; /* its name; NULL: of none */
    const char *project;  /* whose it is; NULL: the endpoint's common, or the whole cloud's */
    int worker;           /* -1: of none */
    const char *request;  /* id; NULL */
    const char *rule;     /* id of the alert's rule; NULL: it is none */
};

int ft_events_open(const char *dir, struct ft_events **ret, struct ft_err *err);
/* Writes what is not written yet. NULL is accepted. */
void ft_events_close(struct ft_events *e);
/* Any thread; NULL for e is accepted. Takes a lock for short, and memory; no disk. */
void ft_events_tell(struct ft_events *e, const struct ft_event *event);
/* As ft_events_tell, at a time of the caller's: for tests. */
void ft_events_tell_at(struct ft_events *e, const struct ft_event *event, int64_t now_ms);

struct ft_events_filter {
    const char *endpoint, *kind; /* NULL: any */
    const char *project;         /* sees its own and those of common endpoints; NULL: all */
    int64_t before;              /* an id; 0: from the newest on */
    int limit;                   /* at most FT_EVENTS_LIST_MAX; 0: 100 */
};
/* Newest first: {"object":"list","data":[{id,object,at (ms),kind,level,text,endpoint,project,
 * worker,request,rule,count}],"has_more"}, a new object; NULL: no memory. */
json_t *ft_events_list(struct ft_events *e, const struct ft_events_filter *f);
/* "ev_12" -> 12; 0: that is no event's id. */
int64_t ft_events_id_parse(const char *text);

#endif
