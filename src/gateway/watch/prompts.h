/* What was said in requests, for projects that want it kept (project setting "log_prompts"):
 * nothing of any other project is ever given to this. In files of their own,
 * HOME/prompts/PROJECT/ID.json, for the folder's owner alone; never in the ledger, the log or
 * control's store.
 *
 * Bounds: GW_PROMPT_BYTES of what was asked and as much of the answer; what is longer is cut, and
 * says so. GW_PROMPT_FILES in all, the oldest go. Where more come at once than the disk takes, some
 * are left out: GW_PROMPTS_WAITING bytes may wait. */
#ifndef FT_GATEWAY_PROMPTS_H
#define FT_GATEWAY_PROMPTS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

#define GW_PROMPT_BYTES    (64u << 10)
#define GW_PROMPT_FILES    10000
#define GW_PROMPTS_WAITING (16u << 20)

struct gw_prompts;

/* has_project: is there such a project? Asked on a thread of its own. */
int gw_prompts_open(const char *home, bool (*has_project)(void *ctx, const char *project),
                    void *ctx, struct gw_prompts **ret, struct ft_err *err);
void gw_prompts_close(struct gw_prompts *p); /* writes what waits; NULL is accepted */

/* What is to be kept of a request's body: its members that hold what was said. New, or NULL. */
json_t *gw_prompt_of(const json_t *body);
/* Any thread; writes nothing itself. prompt: a reference is taken over. answer: the text as the
 * client got it. */
void gw_prompts_put(struct gw_prompts *p, const char *project, const char *id, json_t *prompt,
                    const char *answer, size_t n, bool cut);
/* A row of the feed, which has_project goes by already: what was kept of a project that is gone
 * goes, too. At the end of the whole feed, that of all projects that went unseen. */
void gw_prompts_apply(struct gw_prompts *p, const char *kind, const char *id, const json_t *body);
void gw_prompts_snapshot_end(struct gw_prompts *p);
/* {"prompt":..,"answer":"..","cut":bool}, new; NULL: nothing is kept of it. May block. */
json_t *gw_prompts_read(struct gw_prompts *p, const char *project, const char *id);

#endif
