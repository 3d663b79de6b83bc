/* GET /internal/metrics: what only control knows, for the gateway to show with its own: batches,
 * fine-tuning jobs, the store, this process. Read when it is asked; nothing is counted here. */
#include <string.h>
#include <sys/stat.h>

#include "control/tune/tune.h"
#include "monitor/expose.h"
#include "monitor/process.h"

struct look {
    struct ft_ctl_call *c;
    struct ft_state_tx *tx;
    struct ft_err *err;
    int rc; /* the first failure */
};

static void give(struct ft_metric_out *out, const char *label, double v)
{
    const char *const value[FT_METRIC_LABELS_MAX] = {label};
    out->give(out, value, v, NULL);
}

/* Rows of (text, count): all that are known, in their order, 0 where there is no row. */
static void give_counts(struct look *l, struct ft_metric_out *out, const char *sql,
                        const char *const *known, size_t n_known)
{
    struct ft_state_rows *r;
    int64_t count[16] = {0};
    int step = 0;
    if (l->rc == 0)
        l->rc = ft_state_query(l->tx, sql, FT_NO_ARGS, &r, l->err);
    if (l->rc != 0)
        return;
    while ((step = ft_rows_step(r, l->err)) > 0)
        for (size_t i = 0; i < n_known; i++)
            if (strcmp(known[i], ft_rows_text(r, 0).p) == 0)
                count[i] = ft_rows_int(r, 1);
    ft_rows_close(r);
    l->rc = step < 0 ? step : 0;
    for (size_t i = 0; i < n_known && l->rc == 0; i++)
        give(out, known[i], (double)count[i]);
}

static void read_batches(void *ctx, struct ft_metric_out *out)
{
    static const char *const known[] = {"active", "ended"};
    give_counts(ctx, out,
                "SELECT CASE active WHEN 1 THEN 'active' ELSE 'ended' END, COUNT(*) FROM batch"
                " GROUP BY 1",
                known, FT_COUNT(known));
}

static void read_lines(void *ctx, struct ft_metric_out *out)
{
    static const char *const known[] = {"waiting", "completed", "failed"};
    give_counts(
        ctx, out,
        "SELECT 'waiting', CAST(COALESCE(SUM(total - completed - failed), 0) AS BIGINT) FROM batch"
        " WHERE active = 1 UNION ALL SELECT 'completed', CAST(COALESCE(SUM(completed), 0) AS "
        "BIGINT)"
        " FROM batch WHERE active = 1 UNION ALL SELECT 'failed',"
        " CAST(COALESCE(SUM(failed), 0) AS BIGINT) FROM batch WHERE active = 1",
        known, FT_COUNT(known));
}

struct jobs {
    int64_t count[7];
};
static const char *const job_states[] = {"validating_files", "queued",    "running", "paused",
                                         "succeeded",        "cancelled", "failed"};

static int count_job(void *ctx, const char *id, json_t *body)
{
    struct jobs *j = ctx;
    const char *status = ft_ctl_text(body, "status");
    (void)id;
    for (size_t i = 0; i < FT_COUNT(job_states) && status != NULL; i++)
        j->count[i] += strcmp(status, job_states[i]) == 0;
    return 0;
}

static void read_jobs(void *ctx, struct ft_metric_out *out)
{
    struct look *l = ctx;
    struct jobs j = {{0}};
    struct ft_ctl_scan scan = {.kind = TUNE_KIND};
    if (l->rc == 0)
        l->rc = ft_ctl_scan(l->tx, &scan, count_job, &j, l->err);
    for (size_t i = 0; i < FT_COUNT(job_states) && l->rc == 0; i++)
        give(out, job_states[i], (double)j.count[i]);
}

static void read_store(void *ctx, struct ft_metric_out *out)
{
    const struct look *l = ctx;
    char path[4096];
    struct stat st;
    double bytes = 0;
    static const char *const parts[] = {"", "-wal"};
    for (size_t i = 0; i < FT_COUNT(parts); i++) {
        snprintf(path, sizeof path, "%s/state/state.db%s", l->c->ctl->home, parts[i]);
        bytes += stat(path, &st) == 0 ? (double)st.st_size : 0;
    }
    give(out, NULL, bytes);
}

#define PROCESS(name, field)                                                                       \
    static void name(void *ctx, struct ft_metric_out *out)                                         \
    {                                                                                              \
        struct ft_process_info p;                                                                  \
        (void)ctx;                                                                                 \
        if (ft_process_info(0, &p, NULL) == 0)                                                     \
            give(out, NULL, (double)p.field);                                                      \
    }
PROCESS(read_cpu, cpu_s)
PROCESS(read_start, start_s)
PROCESS(read_resident, resident_bytes)

#define COUNTER FT_METRIC_COUNTER
#define GAUGE   FT_METRIC_GAUGE

static const struct ft_metric_def families[] = {
    {"feitian_batches",
     "Batches, by whether they have ended.",
     NULL,
     GAUGE,
     {"state"},
     .read = read_batches},
    {"feitian_batch_lines",
     "Lines of the batches that are active.",
     NULL,
     GAUGE,
     {"state"},
     .read = read_lines},
    {"feitian_fine_tuning_jobs",
     "Fine-tuning jobs by status.",
     NULL,
     GAUGE,
     {"status"},
     .read = read_jobs},
    {"feitian_state_bytes", "Size of control's store.", "bytes", GAUGE, .read = read_store},
    {"feitian_control_cpu_seconds", "Processor time of control.", "seconds", COUNTER,
     .read = read_cpu},
    {"feitian_control_start_time_seconds", "When control started, unix time.", "seconds", GAUGE,
     .read = read_start},
    {"feitian_control_resident_memory_bytes", "Memory of control that is resident.", "bytes", GAUGE,
     .read = read_resident},
};

int ft_ctl_metrics(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct look l = {.c = c, .tx = tx, .err = err};
    struct ft_metric_set *m = NULL;
    bool open = strcmp(c->query, "openmetrics") == 0;
    enum ft_expose_format format = open ? FT_EXPOSE_OPENMETRICS : FT_EXPOSE_TEXT;
    int rc = ft_metric_set_open(&m, err);
    for (size_t i = 0; rc == 0 && i < FT_COUNT(families); i++)
        rc = ft_metric_set_add(m, &families[i], NULL, err);
    if (rc == 0) {
        ft_expose_write(m, &l, format, &c->raw);
        c->raw_type = ft_expose_type(format);
        rc = l.rc;
    }
    ft_metric_set_close(m);
    return rc;
}
