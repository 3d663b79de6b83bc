/* Names of phases and moments, as records and people have them. */
#include "base/phases.h"

#include "base/err.h"

#define FIELD(member)                                                                              \
    {                                                                                              \
#member, offsetof(struct ft_phases, member)                                                \
    }

const struct ft_phase_field ft_phase_fields[FT_PHASE_FIELDS] = {
    FIELD(admission_us), FIELD(paused_us), FIELD(queue_us),   FIELD(queue_ahead), FIELD(start_us),
    FIELD(failovers),    FIELD(failed_us), FIELD(prepare_us), FIELD(wait_us),     FIELD(load_us),
    FIELD(prefill_us),   FIELD(decode_us), FIELD(shared),     FIELD(preemptions)};

static const char *const moments[FT_MOMENT_KINDS] = {
    [FT_MOMENT_QUEUED] = "queued",           [FT_MOMENT_COLD] = "waits_for_replica",
    [FT_MOMENT_REPLICA] = "replica_ready",   [FT_MOMENT_GIVEN] = "given",
    [FT_MOMENT_FAILED] = "replica_failed",   [FT_MOMENT_FIRST_TOKEN] = "first_token",
    [FT_MOMENT_PAUSED] = "client_slow",      [FT_MOMENT_RESUMED] = "client_reads",
    [FT_MOMENT_CLIENT_LEFT] = "client_left",
};

const char *ft_moment_name(enum ft_moment_kind k)
{
    FT_ASSERT((unsigned)k < FT_MOMENT_KINDS);
    return moments[k];
}

void ft_moment_add(struct ft_phases *p, enum ft_moment_kind kind, int32_t n, int64_t at_ns)
{
    if (p->n_moments < FT_MOMENTS_MAX)
        p->moment[p->n_moments++] = (struct ft_moment){kind, n, at_ns};
}

void ft_moments_sort(struct ft_phases *p)
{
    for (int i = 1; i < p->n_moments; i++) {
        struct ft_moment m = p->moment[i];
        int at = i;
        for (; at > 0 && p->moment[at - 1].at_ns > m.at_ns; at--)
            p->moment[at] = p->moment[at - 1];
        p->moment[at] = m;
    }
}
