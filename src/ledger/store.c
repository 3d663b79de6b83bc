/* Usage in the state store: tables, the intake, what was spent. Reports are in report.c. */
#include "ledger/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"

#define HOUR_S      3600
#define DAY_S       86400
#define ARENA_BYTES (64u << 20)

/* clang-format off */
#define SUMS                                                                                       \
    "requests BIGINT NOT NULL, prompt_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL, "     \
    "completion_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL, "                        \
    "cost_nanos BIGINT NOT NULL, cpu_us BIGINT NOT NULL, energy_uj BIGINT NOT NULL, "        \
    "estimated_uj BIGINT NOT NULL"

static const struct ft_migration migrations[] = {
    {1, "records, sums by hour, spend by day",
     "CREATE TABLE usage_records (id TEXT PRIMARY KEY, at_s BIGINT NOT NULL, "
     "project TEXT NOT NULL, api_key TEXT NOT NULL, model TEXT NOT NULL, route TEXT NOT NULL, "
     "status TEXT NOT NULL, http BIGINT NOT NULL, stream BIGINT NOT NULL, "
     "start_us BIGINT NOT NULL, end_us BIGINT NOT NULL, first_us BIGINT NOT NULL, "
     "energy_estimated BIGINT NOT NULL, " SUMS ");"
     "CREATE INDEX usage_records_by_time ON usage_records (end_us, id);"
     "CREATE INDEX usage_records_by_second ON usage_records (at_s);"
     "CREATE INDEX usage_records_by_project ON usage_records (project, end_us);"
     "CREATE INDEX usage_records_by_key ON usage_records (api_key, end_us);"
     "CREATE TABLE usage_hours (at_s BIGINT NOT NULL, project TEXT NOT NULL, "
     "api_key TEXT NOT NULL, model TEXT NOT NULL, route TEXT NOT NULL, status TEXT NOT NULL, " SUMS
     ", PRIMARY KEY (at_s, project, api_key, model, route, status));"
     "CREATE TABLE usage_days (day BIGINT NOT NULL, project TEXT NOT NULL, "
     "api_key TEXT NOT NULL, cost_nanos BIGINT NOT NULL, PRIMARY KEY (day, project, api_key));"},
    {2, "bytes of bodies",
     "ALTER TABLE usage_records ADD COLUMN bytes_in BIGINT NOT NULL DEFAULT 0;"
     "ALTER TABLE usage_records ADD COLUMN bytes_out BIGINT NOT NULL DEFAULT 0;"
     "ALTER TABLE usage_hours ADD COLUMN bytes_in BIGINT NOT NULL DEFAULT 0;"
     "ALTER TABLE usage_hours ADD COLUMN bytes_out BIGINT NOT NULL DEFAULT 0;"},
    {3, "where the time went, and what went wrong",
     "ALTER TABLE usage_records ADD COLUMN more TEXT NOT NULL DEFAULT '';"},
    {4, "what pages of the console asked for",
     "ALTER TABLE usage_records ADD COLUMN page BIGINT NOT NULL DEFAULT 0;"},
};
/* clang-format on */

int ft_usage_migrate(struct ft_state *s, struct ft_err *err)
{
    return ft_state_migrate(s, "ledger", migrations, (int)FT_COUNT(migrations), err);
}

/* ---- intake ---- */

/* What one batch adds to one row of a table of sums. */
struct sum {
    const struct ft_record *first; /* whose names it has */
    int64_t at;                    /* hour in seconds; day */
    struct ft_record of;           /* its numbers, added up */
    int64_t estimated_uj;
};

struct sums {
    struct ft_arena *arena;
    struct ft_strmap index;
    struct sum *list; /* of as many as there are records */
    int n;
};

static int64_t plus(int64_t a, int64_t b)
{
    return __builtin_add_overflow(a, b, &a) ? INT64_MAX : a;
}

static int64_t estimated_uj(const struct ft_record *r)
{
    return r->energy_estimated ? r->energy_uj : 0;
}

/* by_hour: by hour and all names; else by day, project and key. */
static int sum_add(struct sums *s, const struct ft_record *r, bool by_hour, struct ft_err *err)
{
    char name[4 * FT_RECORD_ID_MAX + FT_RECORD_MODEL_MAX + FT_RECORD_ROUTE_MAX];
    int64_t at = by_hour ? r->end_us / 1000000 / HOUR_S * HOUR_S : r->end_us / 1000000 / DAY_S;
    int n = by_hour ? snprintf(name, sizeof name, "%lld%c%s%c%s%c%s%c%s%c%d", (long long)at, 0,
                               r->project, 0, r->key, 0, r->model, 0, r->route, 0, (int)r->status)
                    : snprintf(name, sizeof name, "%lld%c%s%c%s", (long long)at, 0, r->project, 0,
                               r->key);
    int32_t i;
    if (!ft_strmap_get(&s->index, name, (size_t)n, &i)) {
        char *kept = ft_arena_strndup(s->arena, name, (size_t)n);
        i = s->n;
        if (kept == NULL || ft_strmap_add(&s->index, kept, (size_t)n, i) != 0)
            return ft_err_set(err, FT_ENOMEM, "usage: no memory");
        s->list[s->n++] = (struct sum){.first = r, .at = at};
    }
    struct ft_record *of = &s->list[i].of;
    of->requests = plus(of->requests, r->requests);
    of->prompt_tokens = plus(of->prompt_tokens, r->prompt_tokens);
    of->cached_tokens = plus(of->cached_tokens, r->cached_tokens);
    of->completion_tokens = plus(of->completion_tokens, r->completion_tokens);
    of->reasoning_tokens = plus(of->reasoning_tokens, r->reasoning_tokens);
    of->cost_nanos = plus(of->cost_nanos, r->cost_nanos);
    of->cpu_us = plus(of->cpu_us, r->cpu_us);
    of->energy_uj = plus(of->energy_uj, r->energy_uj);
    of->bytes_in = plus(of->bytes_in, r->bytes_in);
    of->bytes_out = plus(of->bytes_out, r->bytes_out);
    s->list[i].estimated_uj = plus(s->list[i].estimated_uj, estimated_uj(r));
    return 0;
}

static int insert(struct ft_state_tx *tx, const struct ft_record *r, int64_t *ret_new,
                  struct ft_err *err)
{
    struct ft_buf more;
    ft_buf_init(&more, FT_RECORD_LINE_MAX);
    ft_record_more_write(r, &more);
    int rc = ft_state_exec(
        tx,
        "INSERT INTO usage_records (id, at_s, project, api_key, model, route, status, http, stream,"
        " start_us, end_us, first_us, energy_estimated, requests, prompt_tokens, cached_tokens,"
        " completion_tokens, reasoning_tokens, cost_nanos, cpu_us, energy_uj, estimated_uj,"
        " bytes_in, bytes_out, more, page) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, "
        "$12,"
        " $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)"
        " ON CONFLICT (id) DO NOTHING",
        FT_ARGS(ft_sql_text(r->id), ft_sql_int(r->end_us / 1000000), ft_sql_text(r->project),
                ft_sql_text(r->key), ft_sql_text(r->model), ft_sql_text(r->route),
                ft_sql_text(ft_record_status_name(r->status)), ft_sql_int(r->http),
                ft_sql_int(r->stream), ft_sql_int(r->start_us), ft_sql_int(r->end_us),
                ft_sql_int(r->first_us), ft_sql_int(r->energy_estimated), ft_sql_int(r->requests),
                ft_sql_int(r->prompt_tokens), ft_sql_int(r->cached_tokens),
                ft_sql_int(r->completion_tokens), ft_sql_int(r->reasoning_tokens),
                ft_sql_int(r->cost_nanos), ft_sql_int(r->cpu_us), ft_sql_int(r->energy_uj),
                ft_sql_int(estimated_uj(r)), ft_sql_int(r->bytes_in), ft_sql_int(r->bytes_out),
                ft_sql_text(more.len > 0 ? more.data : ""), ft_sql_int(r->page)),
        ret_new, err);
    ft_buf_fini(&more);
    return rc;
}

static int add_hour(struct ft_state_tx *tx, const struct sum *s, struct ft_err *err)
{
    const struct ft_record *r = s->first, *of = &s->of;
    return ft_state_exec(
        tx,
        "INSERT INTO usage_hours (at_s, project, api_key, model, route, status, requests,"
        " prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens, cost_nanos, cpu_us,"
        " energy_uj, estimated_uj, bytes_in, bytes_out) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
        " $10, $11, $12, $13, $14, $15, $16, $17)"
        " ON CONFLICT (at_s, project, api_key, model, route, status) DO UPDATE SET"
        " requests = usage_hours.requests + excluded.requests,"
        " prompt_tokens = usage_hours.prompt_tokens + excluded.prompt_tokens,"
        " cached_tokens = usage_hours.cached_tokens + excluded.cached_tokens,"
        " completion_tokens = usage_hours.completion_tokens + excluded.completion_tokens,"
        " reasoning_tokens = usage_hours.reasoning_tokens + excluded.reasoning_tokens,"
        " cost_nanos = usage_hours.cost_nanos + excluded.cost_nanos,"
        " cpu_us = usage_hours.cpu_us + excluded.cpu_us,"
        " energy_uj = usage_hours.energy_uj + excluded.energy_uj,"
        " estimated_uj = usage_hours.estimated_uj + excluded.estimated_uj,"
        " bytes_in = usage_hours.bytes_in + excluded.bytes_in,"
        " bytes_out = usage_hours.bytes_out + excluded.bytes_out",
        FT_ARGS(ft_sql_int(s->at), ft_sql_text(r->project), ft_sql_text(r->key),
                ft_sql_text(r->model), ft_sql_text(r->route),
                ft_sql_text(ft_record_status_name(r->status)), ft_sql_int(of->requests),
                ft_sql_int(of->prompt_tokens), ft_sql_int(of->cached_tokens),
                ft_sql_int(of->completion_tokens), ft_sql_int(of->reasoning_tokens),
                ft_sql_int(of->cost_nanos), ft_sql_int(of->cpu_us), ft_sql_int(of->energy_uj),
                ft_sql_int(s->estimated_uj), ft_sql_int(of->bytes_in), ft_sql_int(of->bytes_out)),
        NULL, err);
}

static int add_day(struct ft_state_tx *tx, const struct sum *s, struct ft_err *err)
{
    return ft_state_exec(
        tx,
        "INSERT INTO usage_days (day, project, api_key, cost_nanos) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (day, project, api_key) DO UPDATE SET"
        " cost_nanos = usage_days.cost_nanos + excluded.cost_nanos",
        FT_ARGS(ft_sql_int(s->at), ft_sql_text(s->first->project), ft_sql_text(s->first->key),
                ft_sql_int(s->of.cost_nanos)),
        NULL, err);
}

static int sums_init(struct sums *s, struct ft_arena *arena, int n, struct ft_err *err)
{
    s->arena = arena;
    s->list = ft_arena_array(arena, (size_t)n, sizeof *s->list);
    if (s->list == NULL || ft_strmap_init(&s->index, 0) != 0)
        return ft_err_set(err, FT_ENOMEM, "usage: no memory");
    return 0;
}

static int put_all(struct ft_state_tx *tx, const struct ft_record *list, int n,
                   struct ft_arena *arena, int64_t *ret_new, struct ft_err *err)
{
    struct sums hours = {.n = 0}, days = {.n = 0};
    int64_t all_new = 0;
    int rc = sums_init(&hours, arena, n, err);
    if (rc == 0)
        rc = sums_init(&days, arena, n, err);
    for (int i = 0; rc == 0 && i < n; i++) {
        int64_t is_new = 0;
        rc = insert(tx, &list[i], &is_new, err);
        if (rc != 0 || is_new == 0)
            continue;
        all_new++;
        rc = sum_add(&hours, &list[i], true, err);
        if (rc == 0 && list[i].cost_nanos > 0)
            rc = sum_add(&days, &list[i], false, err);
    }
    for (int i = 0; rc == 0 && i < hours.n; i++)
        rc = add_hour(tx, &hours.list[i], err);
    for (int i = 0; rc == 0 && i < days.n; i++)
        rc = add_day(tx, &days.list[i], err);
    ft_strmap_fini(&hours.index);
    ft_strmap_fini(&days.index);
    if (rc == 0)
        *ret_new = all_new;
    return rc;
}

static int read_all(const char *p, size_t n, struct ft_arena *arena, struct ft_record **ret,
                    int *ret_n, struct ft_err *err)
{
    const char *end = p + n;
    size_t lines = 0;
    for (const char *q = p; q < end; q++)
        lines += *q == '\n';
    lines += n > 0 && end[-1] != '\n';
    if (lines > FT_USAGE_BATCH_MAX)
        return ft_err_set(err, FT_ELIMIT, "usage: at most %d records at once", FT_USAGE_BATCH_MAX);
    struct ft_record *list = ft_arena_array(arena, lines + 1, sizeof *list);
    if (list == NULL)
        return ft_err_set(err, FT_ENOMEM, "usage: no memory");
    for (size_t i = 0; i < lines; i++) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const char *stop = newline == NULL ? end : newline;
        int rc = ft_record_parse(p, (size_t)(stop - p), &list[i], err);
        if (rc != 0)
            return ft_err_wrap(err, "line %zu", i + 1);
        p = stop + 1;
    }
    *ret = list;
    *ret_n = (int)lines;
    return 0;
}

int ft_usage_put(struct ft_state_tx *tx, const char *ndjson, size_t n, int64_t *ret_new,
                 struct ft_err *err)
{
    struct ft_arena arena;
    struct ft_record *list = NULL;
    int count = 0;
    ft_arena_init(&arena, ARENA_BYTES);
    int rc = read_all(ndjson, n, &arena, &list, &count, err);
    if (rc == 0)
        rc = put_all(tx, list, count, &arena, ret_new, err);
    ft_arena_fini(&arena);
    return rc;
}

int ft_usage_prune(struct ft_state_tx *tx, int64_t before_s, int64_t limit, int64_t *ret_gone,
                   struct ft_err *err)
{
    return ft_state_exec(tx,
                         "DELETE FROM usage_records WHERE id IN (SELECT id FROM usage_records"
                         " WHERE at_s < $1 ORDER BY at_s LIMIT $2)",
                         FT_ARGS(ft_sql_int(before_s), ft_sql_int(limit)), ret_gone, err);
}
