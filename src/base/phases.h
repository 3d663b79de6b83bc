/* Where the time of one request went: what the gateway, serving and a worker each measured of it.
 * Durations in microseconds; 0: it took none, or nobody measured it.
 *
 *   head in | admission | start, queue | (tries that failed) | prepare, wait, load | prefill |
 * decode
 *           '-- gateway '--- serving, over all tries --------'------ the worker of the last try
 * ----
 *
 * `paused` overlaps decode. The sums are few and go into the request's record; the moments are the
 * exact course of it, bounded, and live as long as somebody keeps them. */
#ifndef FT_BASE_PHASES_H
#define FT_BASE_PHASES_H

#include <stddef.h>
#include <stdint.h>

#define FT_MOMENTS_MAX 24 /* of one request; the latest are left out */

enum ft_moment_kind {
    FT_MOMENT_QUEUED,      /* waits for room; n: how many wait before it */
    FT_MOMENT_COLD,        /* no replica is ready: it waits for one to start */
    FT_MOMENT_REPLICA,     /* one is */
    FT_MOMENT_GIVEN,       /* to a replica; n: the worker's number, -1: a server */
    FT_MOMENT_FAILED,      /* that ended it; n: the worker, -1 */
    FT_MOMENT_FIRST_TOKEN, /* passed on */
    FT_MOMENT_PAUSED,      /* its client does not read */
    FT_MOMENT_RESUMED,
    FT_MOMENT_CLIENT_LEFT,
};
#define FT_MOMENT_KINDS 9
const char *ft_moment_name(enum ft_moment_kind k); /* "queued", ... */

struct ft_moment {
    enum ft_moment_kind kind;
    int32_t n;
    int64_t at_ns; /* base/clock.h's */
};

struct ft_phases {
    /* gateway */
    int64_t admission_us; /* head to serving: the body comes in, is parsed, admitted */
    int64_t paused_us;    /* the client did not read what there was */
    /* serving, over all tries */
    int64_t queue_us;    /* waited for room at a replica */
    int64_t queue_ahead; /* how many waited before it when it came */
    int64_t start_us;    /* waited for a replica to be started */
    int64_t failovers;   /* tries that a replica's failure ended, and that went on elsewhere */
    int64_t failed_us;   /* what these took */
    /* the worker, of the last try */
    int64_t prepare_us;  /* parsing, rendering, tokenizing, compiling a schema */
    int64_t wait_us;     /* in the engine's queue, without: */
    int64_t load_us;     /* the model's weights were read meanwhile */
    int64_t prefill_us;  /* the prompt was read: until the first token */
    int64_t decode_us;   /* from it to the end */
    int64_t shared;      /* sequences in its steps, itself among them: the mean, in hundredths */
    int64_t preemptions; /* it had to make way for others */
    struct ft_moment moment[FT_MOMENTS_MAX];
    int n_moments;
};

/* The sums by name, in the order above: for records, workers' events, tables. */
struct ft_phase_field {
    const char *name;
    size_t offset; /* of an int64_t in struct ft_phases */
};
#define FT_PHASE_FIELDS        14
#define FT_PHASE_FIELDS_WORKER 7 /* the last ones are the worker's */
extern const struct ft_phase_field ft_phase_fields[FT_PHASE_FIELDS];

static inline int64_t *ft_phase_at(struct ft_phases *p, int field)
{
    return (int64_t *)(void *)((char *)p + ft_phase_fields[field].offset);
}
static inline int64_t ft_phase_get(const struct ft_phases *p, int field)
{
    return *(const int64_t *)(const void *)((const char *)p + ft_phase_fields[field].offset);
}

/* Adds one, unless there are FT_MOMENTS_MAX. */
void ft_moment_add(struct ft_phases *p, enum ft_moment_kind kind, int32_t n, int64_t at_ns);

/* By time; those of one time stay in their order. */
void ft_moments_sort(struct ft_phases *p);

#endif
