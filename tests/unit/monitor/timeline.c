/* Records as the API shows them, their course, and why: each cause in words. */
#include "testing.h"

#include "monitor/explain.h"
#include "monitor/timeline.h"

#define MS 1000

static struct ft_record record(void)
{
    return (struct ft_record){.id = "req_1",
                              .project = "p",
                              .key = "k",
                              .model = "nano",
                              .route = "chat.completions",
                              .http = 200,
                              .requests = 1,
                              .start_us = 5000000,
                              .end_us = 5000000 + 1000 * MS,
                              .first_us = 300 * MS,
                              .prompt_tokens = 1000,
                              .cached_tokens = 600,
                              .completion_tokens = 101};
}

static const json_t *entry_of(const json_t *list, const char *code)
{
    size_t i;
    json_t *e;
    json_array_foreach(
        list, i, e) if (strcmp(json_string_value(json_object_get(e, "code")), code) == 0) return e;
    return NULL;
}

static void assert_says(const struct ft_record *r, const char *code, const char *words)
{
    json_t *list = ft_explain(r, false);
    const json_t *e = entry_of(list, code);
    if (e == NULL)
        fail_msg("%s is not among %s", code, json_dumps(list, 0));
    const char *text = json_string_value(json_object_get(e, "text"));
    if (strstr(text, words) == NULL)
        fail_msg("%s: %s", code, text);
    json_decref(list);
}

static void a_course_is_put_together_from_sums(void **state)
{
    (void)state;
    struct ft_record r = record();
    struct ft_timeline_entry e[FT_TIMELINE_MAX];
    r.phases = (struct ft_phases){.admission_us = 1 * MS,
                                  .failed_us = 50 * MS,
                                  .failovers = 1,
                                  .start_us = 100 * MS,
                                  .queue_us = 20 * MS,
                                  .queue_ahead = 3,
                                  .prefill_us = 200 * MS,
                                  .decode_us = 500 * MS,
                                  .paused_us = 80 * MS};
    static const struct ft_timeline_entry want[] = {
        {FT_PHASE_ADMISSION, 0, 1 * MS, -1},        {FT_PHASE_FAILOVER, 1 * MS, 50 * MS, -1},
        {FT_PHASE_START, 51 * MS, 100 * MS, -1},    {FT_PHASE_QUEUE, 151 * MS, 20 * MS, 3},
        {FT_PHASE_PREFILL, 171 * MS, 200 * MS, -1}, {FT_PHASE_DECODE, 371 * MS, 500 * MS, -1},
        {FT_PHASE_PAUSED, 371 * MS, 80 * MS, -1},
    };
    assert_int_equal(ft_timeline(&r, e), FT_COUNT(want));
    for (size_t i = 0; i < FT_COUNT(want); i++) {
        assert_int_equal(e[i].phase, want[i].phase);
        assert_int_equal(e[i].at_us, want[i].at_us);
        assert_int_equal(e[i].us, want[i].us);
        assert_int_equal(e[i].n, want[i].n);
    }
}

static void a_course_goes_by_its_moments(void **state)
{
    (void)state;
    struct ft_record r = record();
    struct ft_timeline_entry e[FT_TIMELINE_MAX];
    static const struct {
        enum ft_moment_kind kind;
        int n, at_ms;
    } moments[] = {
        {FT_MOMENT_QUEUED, 2, 1},    {FT_MOMENT_COLD, 0, 10},    {FT_MOMENT_REPLICA, 0, 90},
        {FT_MOMENT_GIVEN, 0, 100},   {FT_MOMENT_FAILED, 0, 150}, {FT_MOMENT_QUEUED, 0, 150},
        {FT_MOMENT_GIVEN, 1, 160},   {FT_MOMENT_PAUSED, 0, 500}, {FT_MOMENT_RESUMED, 0, 700},
        {FT_MOMENT_RESUMED, 0, 710}, {FT_MOMENT_FAILED, 9, 720},
    };
    for (size_t i = 0; i < FT_COUNT(moments) - 1; i++)
        ft_moment_add(&r.phases, moments[i].kind, moments[i].n,
                      moments[i].at_ms * INT64_C(1000000));
    r.phases.prefill_us = 100 * MS;
    static const struct ft_timeline_entry want[] = {
        {FT_PHASE_QUEUE, 1 * MS, 9 * MS, 2},       {FT_PHASE_START, 10 * MS, 80 * MS, -1},
        {FT_PHASE_QUEUE, 90 * MS, 10 * MS, 2},     {FT_PHASE_FAILOVER, 100 * MS, 50 * MS, 0},
        {FT_PHASE_QUEUE, 150 * MS, 10 * MS, 0},    {FT_PHASE_PREFILL, 160 * MS, 100 * MS, -1},
        {FT_PHASE_PAUSED, 500 * MS, 200 * MS, -1},
    };
    assert_int_equal(ft_timeline(&r, e), FT_COUNT(want));
    for (size_t i = 0; i < FT_COUNT(want); i++) {
        assert_int_equal(e[i].phase, want[i].phase);
        assert_int_equal(e[i].at_us, want[i].at_us);
        assert_int_equal(e[i].us, want[i].us);
        assert_int_equal(e[i].n, want[i].n);
    }
    /* what still waits, waits until now */
    r.phases.n_moments = 1;
    r.phases.prefill_us = 0;
    assert_int_equal(ft_timeline(&r, e), 1);
    assert_int_equal(e[0].us, 999 * MS);
}

static void moments_without_order_do_no_harm(void **state)
{
    (void)state;
    struct ft_timeline_entry e[FT_TIMELINE_MAX];
    for (unsigned seed = 0; seed < 2000; seed++) {
        struct ft_record r = record();
        unsigned x = seed * 2654435761u;
        for (int i = 0; i < FT_MOMENTS_MAX; i++, x = x * 1664525u + 1013904223u)
            ft_moment_add(&r.phases, (enum ft_moment_kind)(x >> 16) % FT_MOMENT_KINDS,
                          (int)(x >> 8 & 7) - 1, (int64_t)(x >> 4 & 0xffff) * 1000);
        for (int i = 0; i < FT_PHASE_FIELDS; i++)
            *ft_phase_at(&r.phases, i) = (seed >> i & 1) * INT64_C(1000000);
        int n = ft_timeline(&r, e);
        assert_in_range(n, 0, FT_TIMELINE_MAX);
        for (int i = 0; i < n; i++)
            assert_true(e[i].us > 0 && (i == 0 || e[i - 1].at_us <= e[i].at_us));
        json_decref(ft_explain(&r, seed % 2 == 0));
    }
}

static void spans_are_rounded_as_figures_are(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } each[] = {{143600, "answered in 144 ms"},
                {143400, "answered in 143 ms"},
                {999499, "answered in 999 ms"},
                {999500, "answered in 1.0 s"}};
    for (size_t i = 0; i < FT_COUNT(each); i++) {
        struct ft_record r = record();
        r.end_us = r.start_us + each[i].us;
        assert_says(&r, "done", each[i].text);
    }
}

static void records_are_shown_whole(void **state)
{
    (void)state;
    struct ft_record r = record();
    json_t *o = ft_request_json(&r);
    assert_true(json_number_value(json_object_get(o, "duration_ms")) == 1000);
    assert_true(json_number_value(json_object_get(o, "first_token_ms")) == 300);
    assert_true(json_is_null(json_object_get(o, "error")));
    assert_true(json_is_null(json_object_get(o, "client_request_id")));
    assert_true(json_is_null(json_object_get(o, "batch")));
    json_decref(o);
    strcpy(r.id, "batch_x1.27");
    o = ft_request_json(&r);
    assert_string_equal(json_string_value(json_object_get(o, "batch")), "batch_x1");
    json_decref(o);
    strcpy(r.error.code, "queue_full");
    o = ft_request_json_running(&r);
    assert_string_equal(json_string_value(json_object_get(o, "status")), "running");
    assert_true(json_is_null(json_object_get(o, "end")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(o, "error"), "code")),
                        "queue_full");
    json_decref(o);
    static const struct {
        int64_t nanos;
        const char *text;
    } money[] = {{0, "0"}, {1, "0.000000001"}, {1250000000, "1.25"}, {3000000000, "3"}};
    for (size_t i = 0; i < FT_COUNT(money); i++) {
        json_t *m = ft_money_json(money[i].nanos);
        assert_string_equal(json_string_value(m), money[i].text);
        json_decref(m);
    }
}

static void every_cause_has_words(void **state)
{
    (void)state;
    static const struct {
        size_t field;
        const char *code, *words;
    } causes[] = {
        {offsetof(struct ft_phases, admission_us), "upload", "body took 900 ms"},
        {offsetof(struct ft_phases, queue_us), "queue", "behind 7 others"},
        {offsetof(struct ft_phases, start_us), "cold_start", "starting one took 900 ms"},
        {offsetof(struct ft_phases, prepare_us), "prepare", "tokens"},
        {offsetof(struct ft_phases, wait_us), "worker_queue", "busy with other requests"},
        {offsetof(struct ft_phases, load_us), "model_load", "reading nano took 900 ms"},
        {offsetof(struct ft_phases, prefill_us), "prefill", "600 (60 %)"},
        {offsetof(struct ft_phases, decode_us), "decode", "sharing its steps with 3.5 others"},
        {offsetof(struct ft_phases, paused_us), "client_slow", "did not read"},
        {offsetof(struct ft_phases, failed_us), "failover", "went on elsewhere with the same"},
    };
    for (size_t i = 0; i < FT_COUNT(causes); i++) {
        struct ft_record r = record();
        r.phases.queue_ahead = 7;
        r.phases.shared = 450;
        r.phases.failovers = strcmp(causes[i].code, "failover") == 0;
        *(int64_t *)(void *)((char *)&r.phases + causes[i].field) = 900 * MS;
        assert_says(&r, causes[i].code, causes[i].words);
        assert_says(&r, "done", "answered in 1.0 s, most of it");
    }
}

static void what_never_answered_went_on_nowhere(void **state)
{
    (void)state;
    struct ft_record r = record();
    r.status = FT_RECORD_ERROR;
    r.http = 503;
    r.completion_tokens = 0;
    r.phases.failovers = 2;
    r.phases.failed_us = 5 * MS;
    r.phases.queue_us = 100 * MS;
    assert_says(&r, "failover", "did not answer (2 times), which took 5 ms; the request was then");
    assert_says(&r, "queue", "or before it was tried again");
    r.phases.failovers = 0; /* no server heard of it */
    r.phases.failed_us = 0;
    assert_says(&r, "queue", "or before it was tried again");
}

static void a_short_wait_at_a_worker_is_nobodys_queue(void **state)
{
    (void)state;
    struct ft_record r = record();
    r.phases.wait_us = 34 * MS;
    assert_says(&r, "machine_busy", "waited 34 ms");
    r.phases.wait_us = 100 * MS;
    assert_says(&r, "worker_queue", "busy with other requests");
}

static void every_refusal_has_words(void **state)
{
    (void)state;
    static const struct {
        const char *code, *text, *is;
        int http;
    } all[] = {
        {"rate_limit_exceeded", "Rate limit reached for this key on requests per min (RPM)",
         "rate_limit", 429},
        {"rate_limit_exceeded", "Rate limit reached for this key on concurrent requests",
         "rate_limit", 429},
        {"insufficient_quota", "this key's budget of 1.00 USD per day is used up", "budget", 429},
        {"invalid_api_key", "Incorrect API key provided", "key", 401},
        {"insufficient_permissions", "this takes the role admin", "permission", 403},
        {"model_not_found", "The model does not exist", "model_unknown", 404},
        {"context_length_exceeded", "messages: 5000 tokens", "context_too_long", 400},
        {"queue_full", "256 requests of the project wait already", "queue_full", 503},
        {"server_error", "no replica of the model became free in time", "no_replica", 503},
        {"invalid_value", "temperature: must be at most 2", "bad_request", 400},
        {"server_error", "something broke", "error", 500},
    };
    for (size_t i = 0; i < FT_COUNT(all); i++) {
        struct ft_record r = record();
        r.status = all[i].http < 500 ? FT_RECORD_REFUSED : FT_RECORD_ERROR;
        r.http = all[i].http;
        strcpy(r.error.code, all[i].code);
        strcpy(r.error.text, all[i].text);
        assert_says(&r, all[i].is, all[i].text);
    }
    struct ft_record r = record();
    r.status = FT_RECORD_CANCELLED;
    assert_says(&r, "cancelled", "101 tokens");
    r.status = FT_RECORD_LOST;
    assert_says(&r, "lost", "The gateway ended");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_course_is_put_together_from_sums),
        cmocka_unit_test(a_course_goes_by_its_moments),
        cmocka_unit_test(moments_without_order_do_no_harm),
        cmocka_unit_test(records_are_shown_whole),
        cmocka_unit_test(spans_are_rounded_as_figures_are),
        cmocka_unit_test(every_cause_has_words),
        cmocka_unit_test(what_never_answered_went_on_nowhere),
        cmocka_unit_test(a_short_wait_at_a_worker_is_nobodys_queue),
        cmocka_unit_test(every_refusal_has_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
