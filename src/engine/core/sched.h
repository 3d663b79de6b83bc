/* Policy: who runs next, and how many prompt tokens a step may take. Pure; simulated in its tests.
 *
 * Callers share by virtual token counters (Sheng et al., "Fairness in Serving Large Language
 * Models", OSDI 2024): each caller's counter grows with the tokens it is served over its weight,
 * the smallest goes first, and one that comes back from idleness is lifted to the smallest active
 * one (to that of whoever left last, if nobody is active), so that nobody saves up and nobody pays
 * for having had the machine alone. Priorities come before fairness; waiting raises a priority by
 * one every FT_SCHED_AGE_MS. */
#ifndef FT_ENGINE_CORE_SCHED_H
#define FT_ENGINE_CORE_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/core/request.h"

#define FT_SCHED_CALLERS_MAX 4096 /* remembered; idle ones are forgotten first */
#define FT_SCHED_AGE_MS      5000
#define FT_SCHED_COST_IN     1 /* of a prompt token */
#define FT_SCHED_COST_OUT    2 /* of a generated one */

struct ft_caller {
    char id[FT_REQUEST_CALLER_BYTES];
    size_t id_n;
    double weight;
    double served; /* virtual tokens */
    int n_active;  /* requests not finished; 0: may be forgotten */
    uint64_t last; /* when it was last given out */
    bool live;
};

struct ft_sched {
    struct ft_caller *caller; /* [FT_SCHED_CALLERS_MAX] */
    int n_caller;
    uint64_t clock;
    double last_served; /* counter of the latest caller to go idle */
};

int ft_sched_init(struct ft_sched *s, struct ft_err *err);
void ft_sched_fini(struct ft_sched *s);

/* The caller, for one more request; its weight becomes this one. Never NULL: past the bound on
 * active callers the least recently seen entry is shared. */
struct ft_caller *ft_sched_caller_get(struct ft_sched *s, struct ft_slice id, double weight);
void ft_sched_caller_put(struct ft_sched *s, struct ft_caller *c);
void ft_sched_charge(struct ft_caller *c, double tokens);

/* Whose turn comes first. */
struct ft_rank {
    int priority;
    double served;
    uint64_t order; /* of arrival */
};
int ft_sched_aged(int priority, int64_t waited_ns);
/* Negative if a goes before b. */
int ft_rank_cmp(const struct ft_rank *a, const struct ft_rank *b);

/* Pace: keeps a step with prefill in it to about twice a step without. Step times are learnt as
 * they happen; one per model. */
#define FT_PACE_BUCKETS 10
#define FT_PACE_REFRESH 16 /* mixed steps in a row before one without prefill measures anew */
#define FT_PACE_FIRST   8  /* prefill rows where nothing is known */

struct ft_pace {
    double decode_ns[FT_PACE_BUCKETS]; /* of a step by log2 of its decode rows; 0: not known */
    double row_ns;                     /* of one more prefill row; 0: not known */
    int n_mixed;                       /* mixed steps since the last decode-only one */
};

void ft_pace_note(struct ft_pace *p, int n_decode, int n_prefill, int64_t ns);
/* What a decode-only step with so many rows takes; 0 if not known. */
double ft_pace_decode_ns(const struct ft_pace *p, int n_decode);
/* Prefill rows for a step that may take `allow_ns` longer (0: not known yet), at most max_rows.
 * decoding: somebody waits for the next token. 0: a step without prefill is to be measured first; a
 * second question in the same step gets an answer unless allow_ns is not known. */
int ft_pace_rows(struct ft_pace *p, bool decoding, double allow_ns, int max_rows);

#endif
