/* Usage in the store: idempotent intake, sums that match the records, filters, pages, spend. */
#include "unit/ledger/ledger_test.h"

#include <sqlite3.h>

#include "base/rand.h"
#include "ledger/store.h"

#define NEW_YEAR 1767225600 /* 2026-01-01T00:00:00Z */

static struct ft_state *open_store(void)
{
    struct ft_state *s = NULL;
    struct ft_err err = {.msg = ""};
    if (ft_state_memory_open(&s, &err) != 0 || ft_usage_migrate(s, &err) != 0)
        fail_msg("%s", err.msg);
    return s;
}

struct put {
    const char *text;
    size_t n;
    int64_t new;
};

static int put_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct put *p = ctx;
    return ft_usage_put(tx, p->text, p->n, &p->new, err);
}

static int64_t put(struct ft_state *s, const struct ft_record *list, int n)
{
    struct ft_buf b;
    struct ft_err err = {.msg = ""};
    ft_buf_init(&b, 16 << 20);
    for (int i = 0; i < n; i++)
        ft_record_write(&list[i], &b);
    struct put p = {b.data, b.len, -1};
    if (ft_state_tx(s, put_tx, &p, &err) != 0)
        fail_msg("%s", err.msg);
    ft_buf_fini(&b);
    return p.new;
}

static struct ft_record record(int i)
{
    struct ft_record r = {.status = i % 7 == 0 ? FT_RECORD_REFUSED : FT_RECORD_OK,
                          .http = 200,
                          .stream = i % 2 == 0,
                          .requests = i % 11 == 0 ? 3 : i % 11 != 5, /* 0: a piece of a training */
                          .prompt_tokens = i % 13,
                          .cached_tokens = i % 3,
                          .completion_tokens = i % 17,
                          .reasoning_tokens = i % 2,
                          .cost_nanos = i % 19 * 100,
                          .cpu_us = i,
                          .energy_uj = i % 23,
                          .bytes_in = i % 5 * 1000,
                          .bytes_out = i % 7,
                          .energy_estimated = i % 2 == 1};
    int64_t at = NEW_YEAR + (int64_t)(ft_rand_u64(5, 6, (uint64_t)i) % (50 * 3600));
    r.start_us = at * 1000000 + i;
    r.end_us = r.start_us + 5;
    strcpy(r.route, i % 5 == 0 ? "embeddings" : "chat.completions");
    snprintf(r.id, sizeof r.id, "req_%05d", i);
    snprintf(r.project, sizeof r.project, "p%d", i % 3);
    snprintf(r.key, sizeof r.key, "k%d", i % 6);
    snprintf(r.model, sizeof r.model, "m%d", i % 4);
    return r;
}

enum { RECORDS = 3000 };
static struct ft_record all[RECORDS];

static struct ft_state *filled(void)
{
    struct ft_state *s = open_store();
    for (int i = 0; i < RECORDS; i++)
        all[i] = record(i);
    for (int i = 0; i < RECORDS; i += 500)
        assert_int_equal(put(s, all + i, 500), 500);
    return s;
}

struct sum_call {
    const struct ft_usage_query *q;
    int rows;
    int64_t last_at;
    struct ft_usage_row total; /* of the numbers */
    bool (*fits)(const struct ft_usage_row *row, const struct ft_record *r);
    int code;
};

static void count_row(void *ctx, const struct ft_usage_row *row)
{
    struct sum_call *c = ctx;
    c->rows++;
    assert_true(row->at_s >= c->last_at);
    c->last_at = row->at_s;
    struct ft_usage_row want = {.requests = 0};
    const struct ft_usage_query *q = c->q;
    for (int i = 0; i < RECORDS; i++) { /* the records that this row must be the sum of */
        const struct ft_record *r = &all[i];
        int64_t at = r->end_us / 1000000;
        if ((q->bucket_s > 0 && at / q->bucket_s * q->bucket_s != row->at_s) ||
            at < q->filter.from_s || (q->filter.to_s > 0 && at >= q->filter.to_s) ||
            (q->filter.n_projects > 0 && strcmp(r->project, q->filter.projects[0]) != 0) ||
            ((q->by & FT_USAGE_BY_PROJECT) && strcmp(row->project, r->project) != 0) ||
            ((q->by & FT_USAGE_BY_KEY) && strcmp(row->key, r->key) != 0) ||
            ((q->by & FT_USAGE_BY_MODEL) && strcmp(row->model, r->model) != 0) ||
            ((q->by & FT_USAGE_BY_ROUTE) && strcmp(row->route, r->route) != 0) ||
            ((q->by & FT_USAGE_BY_STATUS) &&
             strcmp(row->status, ft_record_status_name(r->status)) != 0))
            continue;
        want.requests += r->requests;
        want.prompt_tokens += r->prompt_tokens;
        want.cached_tokens += r->cached_tokens;
        want.completion_tokens += r->completion_tokens;
        want.reasoning_tokens += r->reasoning_tokens;
        want.cost_nanos += r->cost_nanos;
        want.cpu_us += r->cpu_us;
        want.energy_uj += r->energy_uj;
        want.bytes_in += r->bytes_in;
        want.bytes_out += r->bytes_out;
        want.estimated_uj += r->energy_estimated ? r->energy_uj : 0;
    }
    assert_memory_equal(&want.requests, &row->requests,
                        sizeof want - offsetof(struct ft_usage_row, requests));
    assert_int_equal(row->project[0] != '\0', (q->by & FT_USAGE_BY_PROJECT) != 0);
    assert_int_equal(row->status[0] != '\0', (q->by & FT_USAGE_BY_STATUS) != 0);
    c->total.requests += row->requests;
}

static int sum_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct sum_call *c = ctx;
    c->rows = 0;
    c->last_at = 0;
    c->total.requests = 0;
    return ft_usage_sum(tx, c->q, count_row, c, err);
}

static int rows_of(struct ft_state *s, const struct ft_usage_query *q, int64_t *ret_requests)
{
    struct sum_call c = {.q = q};
    struct ft_err err = {.msg = ""};
    if (ft_state_read(s, sum_tx, &c, &err) != 0)
        fail_msg("%s", err.msg);
    if (ret_requests != NULL)
        *ret_requests = c.total.requests;
    return c.rows;
}

static void test_a_record_is_taken_once(void **state)
{
    (void)state;
    struct ft_state *s = filled();
    assert_int_equal(put(s, all, 500), 0);
    struct ft_record more[3] = {all[0], record(RECORDS), record(RECORDS)};
    assert_int_equal(put(s, more, 3), 1); /* also twice in one batch */
    more[1].cost_nanos += 5;              /* the first one told counts */
    assert_int_equal(put(s, more, 3), 0);
    struct ft_usage_query q = {.by = 0};
    struct ft_err err;
    struct put bad = {"{}\n", 3, -1};
    assert_int_equal(ft_state_tx(s, put_tx, &bad, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "line 1"));
    all[0].requests += more[1].requests; /* as if it were in the first */
    all[0].prompt_tokens += more[1].prompt_tokens;
    all[0].cached_tokens += more[1].cached_tokens;
    all[0].completion_tokens += more[1].completion_tokens;
    all[0].reasoning_tokens += more[1].reasoning_tokens;
    all[0].cost_nanos += more[1].cost_nanos - 5;
    all[0].cpu_us += more[1].cpu_us;
    all[0].energy_uj += more[1].energy_uj;
    all[0].bytes_in += more[1].bytes_in;
    all[0].bytes_out += more[1].bytes_out;
    assert_int_equal(rows_of(s, &q, NULL), 1);
    ft_state_close(s);
}

static void test_sums_are_those_of_the_records(void **state)
{
    (void)state;
    struct ft_state *s = filled();
    int64_t every = 0, part = 0;
    struct ft_usage_query q = {.by = 0};
    assert_int_equal(rows_of(s, &q, &every), 1);
    assert_true(every > RECORDS);
    q.bucket_s = 3600;
    assert_int_equal(rows_of(s, &q, &part), 50);
    assert_int_equal(part, every);
    q.bucket_s = 86400;
    assert_int_equal(rows_of(s, &q, NULL), 3);
    q.by = FT_USAGE_BY_PROJECT | FT_USAGE_BY_MODEL;
    assert_int_equal(rows_of(s, &q, &part), 3 * 3 * 4);
    assert_int_equal(part, every);
    q.bucket_s = 0;
    q.by = FT_USAGE_BY_KEY | FT_USAGE_BY_ROUTE | FT_USAGE_BY_STATUS;
    assert_int_equal(rows_of(s, &q, &part), 6 * 2 * 2);
    q.filter.from_s = NEW_YEAR + 3600;
    q.filter.to_s = NEW_YEAR + 7200;
    assert_in_range(rows_of(s, &q, &part), 1, 24);
    int64_t hour = part;
    q.filter.to_s = NEW_YEAR + 7201; /* not whole: from the records */
    rows_of(s, &q, &part);
    assert_in_range(part, hour, hour + 5);
    q.filter.to_s = NEW_YEAR + 7200;
    q.bucket_s = 60;
    q.by = 0;
    assert_in_range(rows_of(s, &q, &part), 20, 60);
    assert_int_equal(part, hour);
    ft_state_close(s);
}

static void test_filters_and_pages(void **state)
{
    (void)state;
    struct ft_state *s = filled();
    const char *one[] = {"p1"}, *seven[] = {"a", "b", "c", "d", "e", "f", "g"};
    const char *none[] = {"' OR 1=1 --"};
    struct ft_usage_query q = {.filter = {.projects = one, .n_projects = 1},
                               .by = FT_USAGE_BY_PROJECT | FT_USAGE_BY_KEY};
    assert_int_equal(rows_of(s, &q, NULL), 2);
    q.filter.projects = none;
    assert_int_equal(rows_of(s, &q, NULL), 0);
    q = (struct ft_usage_query){.by = FT_USAGE_BY_MODEL, .limit = 3};
    assert_int_equal(rows_of(s, &q, NULL), 3);
    q.offset = 3;
    assert_int_equal(rows_of(s, &q, NULL), 1);
    struct ft_err err;
    struct sum_call c = {.q = &q};
    q = (struct ft_usage_query){.filter = {.models = seven, .n_models = 7}};
    assert_int_equal(ft_state_read(s, sum_tx, &c, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "model"));
    q = (struct ft_usage_query){.bucket_s = -1};
    assert_int_equal(ft_state_read(s, sum_tx, &c, &err), FT_EINVAL);
    ft_state_close(s);
}

struct list_call {
    struct ft_usage_filter filter;
    struct ft_usage_place from, on;
    int64_t limit;
    int n;
    bool seen[RECORDS];
};

static void list_row(void *ctx, const struct ft_record *r)
{
    struct list_call *c = ctx;
    int i = atoi(r->id + 4);
    assert_true(c->from.end_us == 0 || r->end_us <= c->from.end_us);
    assert_false(c->seen[i]);
    c->seen[i] = true;
    c->n++;
    c->from.end_us = r->end_us;
    strcpy(c->from.id, r->id);
    const struct ft_record *w = &all[i];
    assert_string_equal(r->project, w->project);
    assert_string_equal(r->key, w->key);
    assert_string_equal(r->model, w->model);
    assert_string_equal(r->route, w->route);
    assert_int_equal(r->status, w->status);
    assert_int_equal(r->http, w->http);
    assert_int_equal(r->stream, w->stream);
    assert_int_equal(r->energy_estimated, w->energy_estimated);
    assert_memory_equal(&r->requests, &w->requests,
                        offsetof(struct ft_record, energy_estimated) -
                            offsetof(struct ft_record, requests));
}

static int list_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct list_call *c = ctx;
    return ft_usage_records(tx, &c->filter, &c->from, c->limit, list_row, c, &c->on, err);
}

static int find_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct ft_record *r = ctx;
    return ft_usage_find(tx, r->id, r, err);
}

static void test_records_are_listed_page_by_page(void **state)
{
    (void)state;
    struct ft_state *s = filled();
    struct ft_err err;
    const char *keys[] = {"k4", "k2"};
    static struct list_call c;
    c = (struct list_call){.filter = {.keys = keys, .n_keys = 2}, .limit = 33};
    for (int before = -1; before != c.n;) {
        before = c.n;
        assert_int_equal(ft_state_read(s, list_tx, &c, &err), 0);
        assert_true(c.n - before <= 33);
    }
    assert_int_equal(c.n, RECORDS / 3);
    struct ft_record r = {.id = "req_00007"};
    assert_int_equal(ft_state_read(s, find_tx, &r, &err), 0);
    assert_int_equal(r.end_us, all[7].end_us);
    strcpy(r.id, "none");
    assert_int_equal(ft_state_read(s, find_tx, &r, &err), FT_ENOTFOUND);
    ft_state_close(s);
}

static int64_t steps; /* of the store, in hundreds of instructions */

static int count_steps(void *ctx)
{
    (void)ctx;
    steps++;
    return 0;
}

static int count_all(sqlite3 *db, const char **ret_why, const struct sqlite3_api_routines *api)
{
    (void)ret_why;
    (void)api;
    sqlite3_progress_handler(db, 100, count_steps, NULL);
    return 0;
}

/* What others did is not looked at. */
static void test_records_of_one_are_found_by_their_index(void **state)
{
    (void)state;
    const char *rare[] = {"rare"};
    static struct list_call c;
    struct ft_err err;
    sqlite3_auto_extension((void (*)(void))count_all);
    struct ft_state *s = filled();
    sqlite3_cancel_auto_extension((void (*)(void))count_all);
    for (int one = 0; one < 3; one++) { /* 2: of neither, so that the steps are known to count */
        c = (struct list_call){.filter = {.projects = rare,
                                          .n_projects = one == 0,
                                          .keys = rare,
                                          .n_keys = one == 1,
                                          .models = rare,
                                          .n_models = one == 2},
                               .limit = 10};
        steps = 0;
        assert_int_equal(ft_state_read(s, list_tx, &c, &err), 0);
        assert_int_equal(c.n, 0);
        if (one < 2)
            assert_in_range(steps, 0, RECORDS / 100);
        else
            assert_in_range(steps, RECORDS / 100 + 1, INT32_MAX);
    }
    ft_state_close(s);
}

/* ---- many, of which few are wanted ---- */

enum { MANY = 2 * FT_USAGE_LOOKS_MAX + 5000, AT_ONCE = 7 /* that end in the same microsecond */ };

static struct ft_state *filled_with_many(void)
{
    static struct ft_record some[5000];
    struct ft_state *s = open_store();
    for (int i = 0; i < MANY;) {
        for (int k = 0; k < 5000; k++, i++) {
            some[k] = record(0);
            some[k].start_us = some[k].end_us - 1000;
            some[k].end_us += i / AT_ONCE;
            some[k].page = i % 2 == 1;
            some[k].status = i == 3 ? FT_RECORD_ERROR : FT_RECORD_OK;
            snprintf(some[k].id, sizeof some[k].id, "req_%05d", i);
            if (i % 1000 == 7) /* lines of two batches */
                snprintf(some[k].id, sizeof some[k].id, "batch_x%s.%d", i > 1000 ? "" : "y", i);
            strcpy(some[k].model, i == 0 ? "rare" : "usual");
            strcpy(some[k].project, "p");
            strcpy(some[k].key, "k");
        }
        assert_int_equal(put(s, some, 5000), 5000);
    }
    return s;
}

struct many_call {
    struct ft_usage_filter filter;
    struct ft_usage_place from, on;
    int64_t limit;
    int n;
};

static void many_row(void *ctx, const struct ft_record *r)
{
    struct many_call *c = ctx;
    c->n++;
    c->from.end_us = r->end_us;
    strcpy(c->from.id, r->id);
}

static int many_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct many_call *c = ctx;
    struct ft_usage_place from = c->from;
    return ft_usage_records(tx, &c->filter, &from, c->limit, many_row, c, &c->on, err);
}

/* Calls until nothing more can be behind what was looked at; ret: how many. */
static int calls_for_all(struct ft_state *s, struct many_call *c)
{
    struct ft_err err;
    int calls = 0, before;
    do {
        before = c->n;
        assert_int_equal(ft_state_read(s, many_tx, c, &err), 0);
        calls++;
        if (c->on.end_us != 0)
            c->from = c->on;
    } while (c->on.end_us != 0 || c->n - before == c->limit);
    return calls;
}

static void test_a_list_looks_at_so_many_and_says_where_to_go_on(void **state)
{
    (void)state;
    struct ft_state *s = filled_with_many();
    const char *rare[] = {"rare"}, *key[] = {"k"}, *own[] = {"p"}, *other[] = {"q"};
    struct many_call c = {.filter = {.models = rare, .n_models = 1}, .limit = 10};
    assert_int_equal(calls_for_all(s, &c), 3); /* the last of all */
    assert_int_equal(c.n, 1);
    c = (struct many_call){.filter = {.status = "error"}, .limit = 1};
    assert_int_equal(calls_for_all(s, &c), 4); /* and one that finds no other */
    assert_int_equal(c.n, 1);
    c = (struct many_call){.filter = {.no_pages = true}, .limit = 5000};
    calls_for_all(s, &c); /* each once, also of those that ended together */
    assert_int_equal(c.n, MANY / 2);
    c = (struct many_call){.filter = {.min_us = 1}, .limit = FT_USAGE_LOOKS_MAX + 10};
    assert_int_equal(calls_for_all(s, &c), 3); /* a page may hold less than was asked for */
    assert_int_equal(c.n, MANY);
    c = (struct many_call){.filter = {.batch = "batch_x"}, .limit = 10};
    calls_for_all(s, &c); /* not those of batch_xy */
    assert_int_equal(c.n, MANY / 1000 - 1);
    c = (struct many_call){
        .filter = {.keys = key, .n_keys = 1, .projects = own, .n_projects = 1, .status = "lost"},
        .limit = 10};
    assert_int_equal(calls_for_all(s, &c), 3);
    c.filter.projects = other; /* whose key it is not: it is told nothing of it, no place either */
    c.from.end_us = 0;
    assert_int_equal(calls_for_all(s, &c), 1);
    assert_int_equal(c.n, 0);
    ft_state_close(s);
}

static void test_ids_of_lines_name_their_batch(void **state)
{
    (void)state;
    static const char *const others[] = {"",          "req_1.2",    "batch_.1",   "batch_a",
                                         "batch_a.",  "batch_a.1x", "batch_a.-1", "batch_a.1.2",
                                         "batch_a/1", "batch_a b.1"};
    assert_int_equal(ft_record_batch("batch_Ab9.1"), strlen("batch_Ab9"));
    for (size_t i = 0; i < FT_COUNT(others); i++)
        assert_int_equal(ft_record_batch(others[i]), 0);
}

struct spend_call {
    int64_t now_s, day, month;
    int n;
};

static void spend_row(void *ctx, const char *project, const char *key, int64_t day, int64_t month)
{
    struct spend_call *c = ctx;
    int64_t want_day = 0, want_month = 0;
    assert_true((project[0] == '\0') != (key[0] == '\0'));
    for (int i = 0; i < RECORDS; i++) {
        if (strcmp(project[0] != '\0' ? all[i].project : all[i].key,
                   project[0] != '\0' ? project : key) != 0)
            continue;
        want_month += all[i].cost_nanos;
        if (all[i].end_us / 1000000 / 86400 == c->now_s / 86400)
            want_day += all[i].cost_nanos;
    }
    assert_int_equal(day, want_day);
    assert_int_equal(month, want_month);
    c->n++;
}

static int spend_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct spend_call *c = ctx;
    c->n = 0;
    return ft_usage_spend(tx, c->now_s, spend_row, c, err);
}

struct prune_call {
    int64_t before_s, gone;
};

static int prune_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct prune_call *c = ctx;
    return ft_usage_prune(tx, c->before_s, 100, &c->gone, err);
}

static void test_spend_of_day_and_month_outlives_the_records(void **state)
{
    (void)state;
    struct ft_state *s = filled();
    struct ft_err err;
    struct spend_call c = {.now_s = NEW_YEAR + 86400 + 5};
    assert_int_equal(ft_state_read(s, spend_tx, &c, &err), 0);
    assert_int_equal(c.n, 3 + 6);
    struct prune_call p = {.before_s = NEW_YEAR + 86400};
    int64_t gone = 0;
    do {
        assert_int_equal(ft_state_tx(s, prune_tx, &p, &err), 0);
        gone += p.gone;
    } while (p.gone > 0);
    assert_in_range(gone, 1000, 2000);
    assert_int_equal(ft_state_read(s, spend_tx, &c, &err), 0);
    assert_int_equal(c.n, 3 + 6);
    struct ft_usage_query q = {.bucket_s = 3600};
    assert_int_equal(rows_of(s, &q, NULL), 50);
    c.now_s = NEW_YEAR + 40 * 86400; /* February: nothing yet */
    assert_int_equal(ft_state_read(s, spend_tx, &c, &err), 0);
    assert_int_equal(c.n, 0);
    ft_state_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_is_taken_once),
        cmocka_unit_test(test_sums_are_those_of_the_records),
        cmocka_unit_test(test_filters_and_pages),
        cmocka_unit_test(test_records_are_listed_page_by_page),
        cmocka_unit_test(test_records_of_one_are_found_by_their_index),
        cmocka_unit_test(test_a_list_looks_at_so_many_and_says_where_to_go_on),
        cmocka_unit_test(test_ids_of_lines_name_their_batch),
        cmocka_unit_test(test_spend_of_day_and_month_outlives_the_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
