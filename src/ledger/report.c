/* Figures from the usage tables: sums by time and name, lists of records, spend. */
#include <time.h>

#include "ledger/store.h"

#define HOUR_S          3600
#define DAY_S           86400
#define RECORDS_DEFAULT 100

/* ---- filters ---- */

/* "name IN (...)" of six: NULL in the first stands for any; lists are filled with their first. */
#define IN6(name, a, b, c, d, e, f)                                                                \
    "(CAST(" a " AS TEXT) IS NULL OR " name " IN (" a ", " b ", " c ", " d ", " e ", " f "))"
#define IN4(name, a, b, c, d)                                                                      \
    "(CAST(" a " AS TEXT) IS NULL OR " name " IN (" a ", " b ", " c ", " d "))"

/* clang-format off */
/* $1 .. $24: the interval and the values of a filter */
#define FILTER                                                                                     \
    " AND " IN6("project", "$3", "$4", "$5", "$6", "$7", "$8")                                     \
    " AND " IN6("api_key", "$9", "$10", "$11", "$12", "$13", "$14")                                \
    " AND " IN6("model", "$15", "$16", "$17", "$18", "$19", "$20")                                 \
    " AND " IN4("route", "$21", "$22", "$23", "$24")
/* clang-format on */
#define FILTER_ARGS 24

static int bind_values(const char *name, const char *const *values, int n, int max,
                       struct ft_sql_value *args, struct ft_err *err)
{
    if (n < 0 || n > max)
        return ft_err_set(err, FT_EINVAL, "%s: at most %d values", name, max);
    for (int i = 0; i < max; i++)
        args[i] = ft_sql_text(n == 0 ? NULL : values[i < n ? i : 0]);
    return 0;
}

static int bind_filter(const struct ft_usage_filter *f, struct ft_sql_value *args,
                       struct ft_err *err)
{
    const int six = FT_USAGE_VALUES_MAX;
    if (f->from_s < 0 || f->to_s < 0)
        return ft_err_set(err, FT_EINVAL, "usage: a time before 1970");
    args[0] = ft_sql_int(f->from_s);
    args[1] = ft_sql_int(f->to_s == 0 ? INT64_MAX : f->to_s);
    int rc = bind_values("project", f->projects, f->n_projects, six, args + 2, err);
    if (rc == 0)
        rc = bind_values("key", f->keys, f->n_keys, six, args + 8, err);
    if (rc == 0)
        rc = bind_values("model", f->models, f->n_models, six, args + 14, err);
    if (rc == 0)
        rc = bind_values("route", f->routes, f->n_routes, FT_USAGE_ROUTES_MAX, args + 20, err);
    return rc;
}

/* ---- sums ---- */

#define SUM(column) "CAST(COALESCE(SUM(" column "), 0) AS BIGINT)"

/* clang-format off */
/* $25: seconds of a bucket; $26: enum ft_usage_group; $27, $28: rows. Grouping by a column or not
 * is a CASE, so that one text serves all; columns are grouped by their place. */
#define SUMS_FROM(table)                                                                           \
    "SELECT at_s / $25 * $25,"                                                                     \
    " CASE WHEN $26 % 2 = 1 THEN project ELSE '' END,"                                             \
    " CASE WHEN $26 / 2 % 2 = 1 THEN api_key ELSE '' END,"                                         \
    " CASE WHEN $26 / 4 % 2 = 1 THEN model ELSE '' END,"                                           \
    " CASE WHEN $26 / 8 % 2 = 1 THEN route ELSE '' END,"                                           \
    " CASE WHEN $26 / 16 % 2 = 1 THEN status ELSE '' END,"                                         \
    " " SUM("requests") ", " SUM("prompt_tokens") ", " SUM("cached_tokens")                        \
    ", " SUM("completion_tokens") ", " SUM("reasoning_tokens") ", " SUM("cost_nanos")              \
    ", " SUM("cpu_us") ", " SUM("energy_uj") ", " SUM("estimated_uj") ", " SUM("bytes_in")         \
    ", " SUM("bytes_out")                                                                          \
    " FROM " table " WHERE at_s >= $1 AND at_s < $2" FILTER                                        \
    " GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6 LIMIT $27 OFFSET $28"
/* clang-format on */

static bool whole_hours(const struct ft_usage_query *q)
{
    return q->filter.from_s % HOUR_S == 0 && q->filter.to_s % HOUR_S == 0 &&
           q->bucket_s % HOUR_S == 0;
}

int ft_usage_sum(struct ft_state_tx *tx, const struct ft_usage_query *q, ft_usage_row_fn *fn,
                 void *ctx, struct ft_err *err)
{
    struct ft_sql_value args[FILTER_ARGS + 4];
    struct ft_state_rows *rows;
    int rc = bind_filter(&q->filter, args, err);
    if (rc != 0)
        return rc;
    if (q->bucket_s < 0 || q->limit < 0 || q->offset < 0)
        return ft_err_set(err, FT_EINVAL, "usage: a bucket, limit or offset below 0");
    args[24] = ft_sql_int(q->bucket_s == 0 ? INT64_MAX : q->bucket_s);
    args[25] = ft_sql_int(q->by);
    args[26] = ft_sql_int(q->limit == 0 ? FT_USAGE_ROWS_MAX : q->limit);
    args[27] = ft_sql_int(q->offset);
    int n = (int)FT_COUNT(args);
    rc = whole_hours(q) ? ft_state_query(tx, SUMS_FROM("usage_hours"), args, n, &rows, err)
                        : ft_state_query(tx, SUMS_FROM("usage_records"), args, n, &rows, err);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(rows, err)) == 1) {
        struct ft_usage_row row = {
            .at_s = ft_rows_int(rows, 0),
            .project = ft_rows_text(rows, 1).p,
            .key = ft_rows_text(rows, 2).p,
            .model = ft_rows_text(rows, 3).p,
            .route = ft_rows_text(rows, 4).p,
            .status = ft_rows_text(rows, 5).p,
            .requests = ft_rows_int(rows, 6),
            .prompt_tokens = ft_rows_int(rows, 7),
            .cached_tokens = ft_rows_int(rows, 8),
            .completion_tokens = ft_rows_int(rows, 9),
            .reasoning_tokens = ft_rows_int(rows, 10),
            .cost_nanos = ft_rows_int(rows, 11),
            .cpu_us = ft_rows_int(rows, 12),
            .energy_uj = ft_rows_int(rows, 13),
            .estimated_uj = ft_rows_int(rows, 14),
            .bytes_in = ft_rows_int(rows, 15),
            .bytes_out = ft_rows_int(rows, 16),
        };
        fn(ctx, &row);
    }
    ft_rows_close(rows);
    return rc;
}

/* ---- records ---- */

#define RECORD_COLUMNS                                                                             \
    "id, project, api_key, model, route, status, http, stream, start_us, end_us, first_us,"        \
    " energy_estimated, requests, prompt_tokens, cached_tokens, completion_tokens,"                \
    " reasoning_tokens, cost_nanos, cpu_us, energy_uj, bytes_in, bytes_out, more, page"

/* clang-format off */
/* $1, $2: the first and the last end; $25: not 0: of those that ended at $2 ids before $26 alone;
 * $27: rows to look at; $28 .. $32: status, least time, single ones (1) and no pages (2), not
 * this route, the batch ('/' comes after '.').
 * Whether a row is one of those that are wanted is a column, so that those looked at are counted.
 * first: the one project or key, where there is but one: FILTER leaves it open whether there is
 * any, so no index of theirs could be used, and all that others did would be looked at. */
#define LIST_SQL(first)                                                                            \
    "SELECT " RECORD_COLUMNS ", CASE WHEN requests >= 0" FILTER                                    \
    " AND ($28 = '' OR status = $28 OR CAST(http AS TEXT) = $28)"                                  \
    " AND end_us - start_us >= $29"                                                                \
    " AND ($30 % 2 = 0 OR id NOT LIKE 'sum\\_%' ESCAPE '\\')"                                      \
    " AND ($31 = '' OR route <> $31) AND ($30 / 2 = 0 OR page = 0)"                                \
    " AND ($32 = '' OR (id > $32 || '.' AND id < $32 || '/')) THEN 1 ELSE 0 END"                   \
    " FROM usage_records WHERE " first "end_us >= $1 AND end_us <= $2"                             \
    " AND (end_us < $2 OR $25 = 0 OR id < $26)"                                                    \
    " ORDER BY end_us DESC, id DESC LIMIT $27"
#define LIST_IS_ONE 24 /* that column */
#define LIST_ARGS   (FILTER_ARGS + 8)
/* clang-format on */

static void take_text(struct ft_state_rows *rows, int column, char *ret, size_t max)
{
    struct ft_slice s = ft_rows_text(rows, column);
    size_t n = FT_MIN(s.n, max);
    memcpy(ret, s.p, n);
    ret[n] = '\0';
}

static void take_record(struct ft_state_rows *rows, struct ft_record *r)
{
    *r = (struct ft_record){.http = (int)ft_rows_int(rows, 6),
                            .stream = ft_rows_int(rows, 7) != 0,
                            .start_us = ft_rows_int(rows, 8),
                            .end_us = ft_rows_int(rows, 9),
                            .first_us = ft_rows_int(rows, 10),
                            .energy_estimated = ft_rows_int(rows, 11) != 0,
                            .requests = ft_rows_int(rows, 12),
                            .prompt_tokens = ft_rows_int(rows, 13),
                            .cached_tokens = ft_rows_int(rows, 14),
                            .completion_tokens = ft_rows_int(rows, 15),
                            .reasoning_tokens = ft_rows_int(rows, 16),
                            .cost_nanos = ft_rows_int(rows, 17),
                            .cpu_us = ft_rows_int(rows, 18),
                            .energy_uj = ft_rows_int(rows, 19),
                            .bytes_in = ft_rows_int(rows, 20),
                            .bytes_out = ft_rows_int(rows, 21),
                            .page = ft_rows_int(rows, 23) != 0};
    take_text(rows, 0, r->id, FT_RECORD_ID_MAX);
    take_text(rows, 1, r->project, FT_RECORD_ID_MAX);
    take_text(rows, 2, r->key, FT_RECORD_ID_MAX);
    take_text(rows, 3, r->model, FT_RECORD_MODEL_MAX);
    take_text(rows, 4, r->route, FT_RECORD_ROUTE_MAX);
    for (enum ft_record_status s = FT_RECORD_OK; s <= FT_RECORD_LOST; s++)
        if (strcmp(ft_rows_text(rows, 5).p, ft_record_status_name(s)) == 0)
            r->status = s;
    struct ft_slice more = ft_rows_text(rows, 22);
    (void)ft_record_more_parse(more.p, more.n, r, NULL); /* ours; damaged, there is none of it */
}

static int bind_list(const struct ft_usage_filter *f, const struct ft_usage_place *from,
                     struct ft_sql_value args[LIST_ARGS], struct ft_err *err)
{
    struct ft_usage_filter in_us = *f;
    if (f->from_s < 0 || f->from_s > INT64_MAX / 1000000 || f->to_s > INT64_MAX / 1000000)
        return ft_err_set(err, FT_EINVAL, "usage: a time out of range");
    in_us.from_s *= 1000000;
    in_us.to_s *= 1000000;
    int rc = bind_filter(&in_us, args, err);
    if (rc != 0)
        return rc;
    int64_t last_us = in_us.to_s == 0 ? INT64_MAX : in_us.to_s - 1;
    bool behind = from->end_us != 0 && from->end_us <= last_us;
    args[1] = ft_sql_int(behind ? from->end_us : last_us);
    args[24] = ft_sql_int(behind);
    args[25] = ft_sql_text(from->id);
    args[26] = ft_sql_int(FT_USAGE_LOOKS_MAX);
    args[27] = ft_sql_text(f->status == NULL ? "" : f->status);
    args[28] = ft_sql_int(f->min_us);
    args[29] = ft_sql_int((f->single ? 1 : 0) + (f->no_pages ? 2 : 0));
    args[30] = ft_sql_text(f->not_route == NULL ? "" : f->not_route);
    args[31] = ft_sql_text(f->batch == NULL ? "" : f->batch);
    return 0;
}

int ft_usage_records(struct ft_state_tx *tx, const struct ft_usage_filter *f,
                     const struct ft_usage_place *from, int64_t limit, ft_usage_record_fn *fn,
                     void *ctx, struct ft_usage_place *ret_on, struct ft_err *err)
{
    struct ft_sql_value args[LIST_ARGS];
    struct ft_usage_place on = {.end_us = 0};
    struct ft_state_rows *rows;
    struct ft_record r = {.id = ""};
    int64_t looks = 0, found = 0;
    if (limit < 0 || limit > FT_USAGE_ROWS_MAX)
        return ft_err_set(err, FT_EINVAL, "limit: at most %d", FT_USAGE_ROWS_MAX);
    limit = limit == 0 ? RECORDS_DEFAULT : limit;
    int rc = bind_list(f, from, args, err);
    if (rc != 0)
        return rc;
    bool of_key = f->n_keys == 1;
    rc = of_key ? ft_state_query(tx, LIST_SQL("api_key = $9 AND "), args, LIST_ARGS, &rows, err)
         : f->n_projects == 1
             ? ft_state_query(tx, LIST_SQL("project = $3 AND "), args, LIST_ARGS, &rows, err)
             : ft_state_query(tx, LIST_SQL(""), args, LIST_ARGS, &rows, err);
    if (rc != 0)
        return rc;
    while (found < limit && (rc = ft_rows_step(rows, err)) == 1) {
        looks++;
        bool is_one = ft_rows_int(rows, LIST_IS_ONE) != 0;
        if (!is_one && looks < FT_USAGE_LOOKS_MAX)
            continue;
        take_record(rows, &r);
        if (is_one) {
            fn(ctx, &r);
            found++;
        }
    }
    ft_rows_close(rows);
    if (rc < 0)
        return rc;
    /* A key is of one project: where it is another's, there is nothing to be found behind it. */
    bool others = of_key && f->n_projects == 1 && strcmp(r.project, f->projects[0]) != 0;
    if (looks == FT_USAGE_LOOKS_MAX && found < limit && !others) {
        on.end_us = r.end_us;
        memcpy(on.id, r.id, sizeof on.id);
    }
    *ret_on = on;
    return 0;
}

int ft_usage_find(struct ft_state_tx *tx, const char *id, struct ft_record *ret, struct ft_err *err)
{
    struct ft_state_rows *rows;
    int rc = ft_state_query(tx, "SELECT " RECORD_COLUMNS " FROM usage_records WHERE id = $1",
                            FT_ARGS(ft_sql_text(id)), &rows, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(rows, err);
    if (rc == 1)
        take_record(rows, ret);
    ft_rows_close(rows);
    return rc < 0    ? rc
           : rc == 1 ? 0
                     : ft_err_set(err, FT_ENOTFOUND, "there is no usage record %.64s", id);
}

/* ---- spend ---- */

/* The first days of the month of now_s and of the next one. */
static void month_of(int64_t now_s, int64_t *ret_begin, int64_t *ret_end)
{
    time_t t = (time_t)now_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    *ret_begin = now_s / DAY_S - (tm.tm_mday - 1);
    tm = (struct tm){.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1};
    *ret_end = (int64_t)timegm(&tm) / DAY_S;
}

int ft_usage_spend(struct ft_state_tx *tx, int64_t now_s, ft_usage_spend_fn *fn, void *ctx,
                   struct ft_err *err)
{
    static const char *const texts[] = {
        "SELECT project, '', CAST(COALESCE(SUM(CASE WHEN day = $1 THEN cost_nanos ELSE 0 END), 0)"
        " AS BIGINT), CAST(SUM(cost_nanos) AS BIGINT) FROM usage_days"
        " WHERE day >= $2 AND day < $3 AND project <> '' GROUP BY project ORDER BY project",
        "SELECT '', api_key, CAST(COALESCE(SUM(CASE WHEN day = $1 THEN cost_nanos ELSE 0 END), 0)"
        " AS BIGINT), CAST(SUM(cost_nanos) AS BIGINT) FROM usage_days"
        " WHERE day >= $2 AND day < $3 AND api_key <> '' GROUP BY api_key ORDER BY api_key",
    };
    if (now_s < 0)
        return ft_err_set(err, FT_EINVAL, "usage: a time before 1970");
    int64_t begin, end;
    month_of(now_s, &begin, &end);
    for (size_t i = 0; i < FT_COUNT(texts); i++) {
        struct ft_state_rows *rows;
        int rc = ft_state_query(
            tx, texts[i], FT_ARGS(ft_sql_int(now_s / DAY_S), ft_sql_int(begin), ft_sql_int(end)),
            &rows, err);
        if (rc != 0)
            return rc;
        while ((rc = ft_rows_step(rows, err)) == 1)
            fn(ctx, ft_rows_text(rows, 0).p, ft_rows_text(rows, 1).p, ft_rows_int(rows, 2),
               ft_rows_int(rows, 3));
        ft_rows_close(rows);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int ft_usage_spent_of(struct ft_state_tx *tx, int64_t now_s, const char *project, const char *key,
                      struct ft_usage_spent *ret, struct ft_err *err)
{
    struct ft_state_rows *rows;
    int64_t begin, end;
    *ret = (struct ft_usage_spent){0};
    if (now_s < 0)
        return ft_err_set(err, FT_EINVAL, "usage: a time before 1970");
    month_of(now_s, &begin, &end);
    int rc = ft_state_query(
        tx,
        "SELECT CAST(COALESCE(SUM(CASE WHEN day = $1 THEN cost_nanos ELSE 0 END), 0) AS BIGINT),"
        " CAST(COALESCE(SUM(cost_nanos), 0) AS BIGINT),"
        " CAST(COALESCE(SUM(CASE WHEN day = $1 AND api_key = $5 THEN cost_nanos ELSE 0 END), 0)"
        " AS BIGINT),"
        " CAST(COALESCE(SUM(CASE WHEN api_key = $5 THEN cost_nanos ELSE 0 END), 0) AS BIGINT)"
        " FROM usage_days WHERE day >= $2 AND day < $3 AND project = $4",
        FT_ARGS(ft_sql_int(now_s / DAY_S), ft_sql_int(begin), ft_sql_int(end), ft_sql_text(project),
                ft_sql_text(key)),
        &rows, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(rows, err);
    if (rc == 1)
        *ret = (struct ft_usage_spent){ft_rows_int(rows, 0), ft_rows_int(rows, 1),
                                       ft_rows_int(rows, 2), ft_rows_int(rows, 3)};
    ft_rows_close(rows);
    return FT_MIN(rc, 0);
}
