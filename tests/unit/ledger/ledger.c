/* The ledger as a whole: records of requests however they end, recovery, delivery, bounds. */
/* labels: threads */
#include "unit/ledger/ledger_test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/crc32c.h"
#include "ledger/slots.h"

static void drain(struct ft_ledger *l)
{
    assert_true(ft_ledger_drain(l, 20000));
}

static void test_a_record_may_be_begun_late(void **state)
{
    (void)state;
    struct intake in;
    intake_init(&in);
    const char *dir = new_dir();
    struct ft_ledger *l = open_ledger(dir, &in);
    const struct ft_ledger_begin b = {.id = "late",
                                      .project = "p",
                                      .key = "k",
                                      .model = "",
                                      .route = "s3.GetObject",
                                      .ago_us = 5000000};
    const struct ft_ledger_end e = {.http = 200};
    struct ft_err err;
    int slot;
    assert_int_equal(ft_ledger_begin(l, &b, &slot, &err), 0);
    ft_ledger_end(l, slot, &e, NULL);
    drain(l);
    assert_int_equal(in.n, 1);
    int64_t took_us = in.records[0].end_us - in.records[0].start_us;
    assert_true(took_us >= 5000000);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_a_record_tells_where_the_time_went_and_what_went_wrong(void **state)
{
    (void)state;
    struct intake in;
    intake_init(&in);
    const char *dir = new_dir();
    struct ft_ledger *l = open_ledger(dir, &in);
    const struct ft_ledger_begin b = {.id = "req_1",
                                      .project = "p",
                                      .key = "k",
                                      .model = "nano",
                                      .route = "chat.completions",
                                      .client_id = "mine-7",
                                      .trace_id = "0af7651916cd43dd8448eb211c80319c"};
    struct ft_phases phases = {0};
    for (int i = 0; i < FT_PHASE_FIELDS; i += 2) /* the others took none */
        *ft_phase_at(&phases, i) = 1000 + i;
    struct ft_record_error error = {"rate_limit_exceeded", "say \"when\""};
    const struct ft_ledger_end e = {
        .status = FT_RECORD_ERROR, .http = 500, .phases = &phases, .error = &error};
    struct ft_err err;
    int slot;
    assert_int_equal(ft_ledger_begin(l, &b, &slot, &err), 0);
    ft_ledger_end(l, slot, &e, NULL);
    ft_ledger_refuse(
        l,
        &(struct ft_ledger_begin){
            .id = "req_2", .project = "p", .key = "k", .model = "", .route = "chat.completions"},
        429, &error);
    drain(l);
    assert_int_equal(in.n, 2);
    const struct ft_record *r = &in.records[0];
    assert_string_equal(r->client_id, "mine-7");
    assert_string_equal(r->trace_id, "0af7651916cd43dd8448eb211c80319c");
    for (int i = 0; i < FT_PHASE_FIELDS; i++)
        assert_int_equal(ft_phase_get(&r->phases, i), i % 2 == 0 ? 1000 + i : 0);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(in.records[i].error.code, "rate_limit_exceeded");
        assert_string_equal(in.records[i].error.text, "say \"when\"");
    }
    assert_int_equal(in.records[1].status, FT_RECORD_REFUSED);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_a_request_becomes_one_record(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct intake in;
    intake_init(&in);
    struct ft_ledger *l = open_ledger(dir, &in);
    int slot = begin(l, "req_a");
    ft_ledger_count(l, slot, 50, 20, 1);
    ft_ledger_count(l, slot, 50, 20, 7);
    ft_ledger_count(l, slot, 50, 20, 6); /* never goes down */
    struct ft_ledger_end e = {.status = FT_RECORD_CANCELLED,
                              .http = 200,
                              .reasoning_tokens = 2,
                              .cpu_us = 1234,
                              .energy_uj = 99,
                              .energy_estimated = true,
                              .bytes_in = 5ll << 40,
                              .bytes_out = 17};
    struct ft_ledger_sum sum;
    ft_ledger_end(l, slot, &e, &sum);
    assert_int_equal(sum.prompt_tokens, 50);
    assert_int_equal(sum.completion_tokens, 7);
    assert_int_equal(sum.cost_nanos, 30 * 100 + 20 * 10 + 7 * 400);
    drain(l);
    assert_int_equal(in.n, 1);
    struct ft_record *r = &in.records[0];
    assert_string_equal(r->id, "req_a");
    assert_string_equal(r->project, "proj_1");
    assert_string_equal(r->key, "key_1");
    assert_string_equal(r->model, "nano");
    assert_string_equal(r->route, "chat.completions");
    assert_int_equal(r->status, FT_RECORD_CANCELLED);
    assert_int_equal(r->http, 200);
    assert_true(r->stream && r->energy_estimated);
    assert_int_equal(r->requests, 1);
    assert_int_equal(r->prompt_tokens, 50);
    assert_int_equal(r->cached_tokens, 20);
    assert_int_equal(r->completion_tokens, 7);
    assert_int_equal(r->reasoning_tokens, 2);
    assert_int_equal(r->cpu_us, 1234);
    assert_int_equal(r->energy_uj, 99);
    assert_int_equal(r->bytes_in, 5ll << 40);
    assert_int_equal(r->bytes_out, 17);
    assert_int_equal(r->cost_nanos, sum.cost_nanos);
    assert_true(r->start_us > 1700000000000000 && r->end_us >= r->start_us && r->first_us > 0);
    assert_int_equal(r->end_us / 1000000, sum.end_s);
    struct ft_ledger_stats s;
    ft_ledger_stats(l, &s);
    assert_int_equal(s.slots_used, 0);
    assert_int_equal(s.records, 1);
    assert_int_equal(s.delivered, 1);
    assert_int_equal(s.pending_bytes, 0);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_what_is_dropped_has_no_record(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct intake in;
    intake_init(&in);
    struct ft_ledger *l = open_ledger(dir, &in);
    struct ft_ledger_stats s;
    for (int i = 0; i < 300; i++) /* more than there are slots: each is free again */
        ft_ledger_drop(l, begin(l, "req_dropped"));
    int killed = begin(l, "req_lost");
    assert_true(killed >= 0);
    drain(l);
    ft_ledger_close(l); /* as if killed */
    l = open_ledger(dir, &in);
    drain(l);
    assert_int_equal(in.n, 1);
    assert_string_equal(in.records[0].id, "req_lost");
    assert_int_equal(in.records[0].status, FT_RECORD_LOST);
    ft_ledger_stats(l, &s);
    assert_int_equal(s.slots_used, 0);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_bad_texts_are_refused(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct ft_ledger *l = open_ledger(dir, NULL);
    struct ft_ledger_begin b = {.id = "x", .project = "p", .key = "k", .model = "m", .route = "r"};
    struct ft_err err;
    char longer[200];
    int slot = -7;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct ft_ledger_begin bad[] = {b, b, b, b, b, b};
    bad[0].id = "";
    bad[1].id = longer;
    bad[2].model = longer;
    bad[3].model = "\xff";
    bad[4].route = longer;
    bad[5].key = longer;
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        assert_int_equal(ft_ledger_begin(l, &bad[i], &slot, &err), FT_EINVAL);
    assert_int_equal(slot, -7);
    ft_ledger_close(l);
    remove_dir(dir);
}

static void test_one_process_at_a_time(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct ft_ledger *l = open_ledger(dir, NULL), *other = NULL;
    struct ft_err err;
    struct ft_ledger_options o = {.dir = dir};
    assert_int_equal(ft_ledger_open(&o, &other, &err), FT_EBUSY);
    ft_ledger_close(l);
    remove_dir(dir);
}

/* A process dies with requests open, ended and written: the next one has each once. */
static void test_what_a_killed_process_left_is_recorded_once(void **state)
{
    (void)state;
    const char *dir = new_dir();
    pid_t child = fork();
    if (child == 0) {
        struct ft_ledger *l = open_ledger(dir, NULL);
        end_ok(l, begin(l, "written"));
        ft_ledger_drain(l, 5000);
        int slot = begin(l, "open");
        ft_ledger_count(l, slot, 11, 0, 5);
        begin(l, "nothing");
        end_ok(l, begin(l, "ended"));
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    struct intake in;
    intake_init(&in);
    struct ft_ledger *l = open_ledger(dir, &in);
    drain(l);
    assert_int_equal(in.n, 4);
    assert_int_equal(in.again, 0);
    assert_string_equal(in.records[0].id, "written");
    for (int i = 1; i < 4; i++) {
        struct ft_record *r = &in.records[i];
        bool open = strcmp(r->id, "open") == 0;
        assert_int_equal(r->status, strcmp(r->id, "ended") == 0 ? FT_RECORD_OK : FT_RECORD_LOST);
        assert_int_equal(r->completion_tokens, open ? 5 : 0);
        assert_int_equal(r->cost_nanos, open ? 11 * 100 + 5 * 400 : 0);
        assert_true(r->end_us >= r->start_us);
    }
    struct ft_ledger_stats s;
    ft_ledger_stats(l, &s);
    assert_in_range(s.recovered, 2, 3); /* "ended" may have been in the journal already */
    assert_int_equal(s.lost, 2);
    assert_int_equal(s.slots_used, 0);
    ft_ledger_close(l);
    l = open_ledger(dir, &in); /* and nothing again */
    drain(l);
    assert_int_equal(in.n, 4);
    assert_int_equal(in.again, 0);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

/* Written to the journal, and killed before the slot was freed: the record is there, the slot is
 * not one more. Played by putting the table of before the end in the place of the one after. */
static void test_a_slot_whose_record_is_written_is_dropped(void **state)
{
    (void)state;
    const char *dir = new_dir();
    char table[128], copy[128];
    snprintf(table, sizeof table, "%s/inflight", dir);
    snprintf(copy, sizeof copy, "%s/copy", dir);
    struct ft_ledger *l = open_ledger(dir, NULL);
    int slot = begin(l, "one"), other = begin(l, "two");
    ft_ledger_count(l, slot, 1, 0, 2);
    char command[300];
    snprintf(command, sizeof command, "cp %s %s", table, copy);
    assert_int_equal(system(command), 0);
    end_ok(l, slot);
    end_ok(l, other);
    drain(l);
    ft_ledger_close(l);
    assert_int_equal(rename(copy, table), 0);
    struct intake in;
    intake_init(&in);
    l = open_ledger(dir, &in);
    drain(l);
    assert_int_equal(in.n, 2);
    assert_int_equal(in.again, 0);
    assert_int_equal(in.records[0].status, FT_RECORD_OK);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_a_damaged_slot_or_table_is_told_not_believed(void **state)
{
    (void)state;
    const char *dir = new_dir();
    char table[128];
    snprintf(table, sizeof table, "%s/inflight", dir);
    struct ft_ledger *l = open_ledger(dir, NULL);
    begin(l, "aaaa");
    begin(l, "bbbb");
    ft_ledger_close(l);
    int fd = open(table, O_RDWR);
    assert_int_equal(pwrite(fd, "#", 1, 4096 + 1024 + 200), 1); /* in the second slot's texts */
    close(fd);
    struct intake in;
    intake_init(&in);
    l = open_ledger(dir, &in);
    drain(l);
    struct ft_ledger_stats s;
    ft_ledger_stats(l, &s);
    assert_int_equal(s.corrupt, 1);
    assert_int_equal(s.slots_used, 0);
    assert_int_equal(in.n, 1);
    ft_ledger_close(l);
    fd = open(table, O_RDWR);
    assert_int_equal(pwrite(fd, "#", 1, 9), 1); /* in the head */
    close(fd);
    l = open_ledger(dir, &in);
    end_ok(l, begin(l, "cccc"));
    drain(l);
    ft_ledger_stats(l, &s);
    assert_int_equal(s.corrupt, 1);
    assert_int_equal(in.n, 2);
    assert_int_equal(count_files(dir, "inflight.damaged"), 1);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

/* The table of another version cannot be read, but what its head says was delivered stays so. */
static void test_what_was_delivered_stays_so_over_an_upgrade(void **state)
{
    (void)state;
    const char *dir = new_dir();
    char table[128];
    snprintf(table, sizeof table, "%s/inflight", dir);
    struct intake in;
    struct ft_slots_head h;
    intake_init(&in);
    struct ft_ledger *l = open_ledger(dir, &in);
    end_ok(l, begin(l, "aaaa"));
    drain(l);
    ft_ledger_close(l);
    int fd = open(table, O_RDWR);
    assert_int_equal(pread(fd, &h, sizeof h, 0), sizeof h);
    h.magic[7]--;
    h.crc = ft_crc32c(0, &h, offsetof(struct ft_slots_head, crc));
    assert_int_equal(pwrite(fd, &h, sizeof h, 0), sizeof h);
    close(fd);
    l = open_ledger(dir, &in);
    end_ok(l, begin(l, "bbbb"));
    drain(l);
    assert_int_equal(in.n, 2);
    assert_int_equal(in.again, 0);
    assert_int_equal(count_files(dir, "inflight.damaged"), 1);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_the_table_changes_its_size_when_it_is_empty(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct ft_ledger *l;
    struct ft_err err;
    struct ft_ledger_stats s;
    struct ft_ledger_options o = {.dir = dir, .slots_max = 8};
    assert_int_equal(ft_ledger_open(&o, &l, &err), 0);
    begin(l, "open");
    ft_ledger_close(l);
    o.slots_max = 32;
    for (int i = 0; i < 2; i++) { /* first with what the one before left, then empty */
        assert_int_equal(ft_ledger_open(&o, &l, &err), 0);
        drain(l);
        ft_ledger_stats(l, &s);
        assert_int_equal(s.slots_max, i == 0 ? 8 : 32);
        assert_int_equal(s.lost, i == 0);
        ft_ledger_close(l);
    }
    o.slots_max = 1 << 20;
    assert_int_equal(ft_ledger_open(&o, &l, &err), FT_EINVAL);
    remove_dir(dir);
}

static void test_delivery_goes_on_until_it_is_taken(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct intake in;
    intake_init(&in);
    in.fail = 4;
    struct ft_ledger *l = open_ledger(dir, &in);
    for (int i = 0; i < 10; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        end_ok(l, begin(l, id));
    }
    drain(l);
    assert_int_equal(in.n, 10);
    assert_int_equal(in.again, 0);
    assert_true(in.calls >= 5);
    ft_ledger_close(l);
    /* nothing of it goes again after a restart */
    l = open_ledger(dir, &in);
    end_ok(l, begin(l, "later"));
    drain(l);
    assert_int_equal(in.n, 11);
    assert_int_equal(in.again, 0);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_a_record_that_nobody_takes_holds_up_no_other(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct intake in;
    intake_init(&in);
    in.bad = "\"r3\"";
    struct ft_ledger *l = open_ledger(dir, &in);
    for (int i = 0; i < 7; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        end_ok(l, begin(l, id));
    }
    drain(l);
    assert_int_equal(in.n, 6);
    struct ft_ledger_stats s;
    ft_ledger_stats(l, &s);
    assert_int_equal(s.refused, 1);
    assert_int_equal(s.pending_bytes, 0);
    ft_ledger_close(l);
    char path[128], line[FT_RECORD_LINE_MAX];
    snprintf(path, sizeof path, "%s/refused.ndjson", dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    assert_non_null(strstr(line, "\"r3\""));
    assert_null(fgets(line, sizeof line, f));
    fclose(f);
    intake_fini(&in);
    remove_dir(dir);
}

static void on_pending(void *ctx, const struct ft_record *r)
{
    *(int64_t *)ctx += r->cost_nanos;
}

static void test_what_is_not_delivered_can_be_summed_and_is_bounded(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct ft_ledger *l;
    struct ft_err err = {.msg = ""};
    struct intake in;
    intake_init(&in);
    struct ft_ledger_options o = {.dir = dir,
                                  .slots_max = 8,
                                  .journal_bytes_max = 2000,
                                  .segment_bytes = 700,
                                  .deliver = take,
                                  .ctx = &in,
                                  .held = true};
    assert_int_equal(ft_ledger_open(&o, &l, &err), 0);
    int n = 0, slot;
    struct ft_ledger_begin b = {
        .id = "", .project = "p", .key = "k", .model = "m", .route = "r", .price = {1, 1, 1}};
    for (;; n++) { /* until the journal is full, and then the table */
        char id[16];
        snprintf(id, sizeof id, "r%d", n);
        b.id = id;
        int rc = ft_ledger_begin(l, &b, &slot, &err);
        if (rc != 0) {
            assert_int_equal(rc, FT_EBUSY);
            break;
        }
        ft_ledger_count(l, slot, 1, 0, 0);
        end_ok(l, slot);
        assert_true(n < 1000);
        struct ft_ledger_stats s = {.records = 0};
        while (s.records <= n && s.trouble[0] == '\0') { /* one append each */
            ft_ledger_drain(l, 1);
            ft_ledger_stats(l, &s);
        }
    }
    assert_in_range(n, 9, 40);
    struct ft_ledger_stats s;
    ft_ledger_stats(l, &s);
    assert_int_equal(s.slots_used, 8);
    assert_non_null(strstr(s.trouble, "that nobody takes"));
    assert_non_null(strstr(err.msg, "that nobody takes"));
    int64_t sum = 0;
    assert_int_equal(ft_ledger_pending(l, on_pending, &sum, &err), 0);
    assert_int_equal(sum, n - 8);
    ft_ledger_deliver_start(l);
    drain(l);
    assert_int_equal(in.n, n);
    sum = 0;
    assert_int_equal(ft_ledger_pending(l, on_pending, &sum, &err), 0);
    assert_int_equal(sum, 0);
    assert_int_equal(count_files(dir, ".log"), 1);
    ft_ledger_stats(l, &s);
    assert_int_equal(s.slots_used, 0);
    assert_string_equal(s.trouble, "");
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_a_full_disk_is_waited_for(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct intake in;
    intake_init(&in);
    struct ft_ledger *l = open_ledger(dir, &in);
    end_ok(l, begin(l, "before"));
    drain(l);
    struct rlimit was, small = {.rlim_cur = 600};
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    small.rlim_max = was.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        end_ok(l, begin(l, id)); /* goes on as long as there are slots */
    }
    struct ft_ledger_stats s = {.trouble = ""};
    for (int i = 0; i < 200 && s.trouble[0] == '\0'; i++) {
        assert_false(ft_ledger_drain(l, 50));
        ft_ledger_stats(l, &s);
    }
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(s.slots_used, 20);
    assert_string_not_equal(s.trouble, "");
    drain(l);
    ft_ledger_stats(l, &s);
    assert_string_equal(s.trouble, "");
    assert_int_equal(in.n, 21);
    assert_int_equal(in.again, 0);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_refused_requests_are_all_counted(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct intake in;
    intake_init(&in);
    struct ft_ledger *l = open_ledger(dir, &in);
    struct ft_ledger_begin known = {
        .id = "", .project = "p", .key = "k", .model = "m\xff", .route = "chat.completions"};
    struct ft_ledger_begin unknown = {
        .id = "u", .project = "", .key = "", .model = "m", .route = "embeddings"};
    int64_t by_key = 0, by_none = 0, own = 0;
    for (int i = 0; i < 5000; i++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", i);
        known.id = id;
        ft_ledger_refuse(l, &known, 429, NULL);
        ft_ledger_refuse(l, &unknown, 401, NULL);
    }
    for (int i = 0; i < 300; i++) { /* more than there are sums */
        char key[16], id[16];
        snprintf(key, sizeof key, "key%d", i);
        snprintf(id, sizeof id, "s%d", i);
        known.key = key;
        known.id = id;
        ft_ledger_refuse(l, &known, 403, NULL);
    }
    drain(l);
    for (int i = 0; i < in.n; i++) {
        struct ft_record *r = &in.records[i];
        assert_int_equal(r->status, FT_RECORD_REFUSED);
        assert_int_equal(r->prompt_tokens + r->completion_tokens + r->cost_nanos, 0);
        if (strcmp(r->route, "embeddings") == 0) {
            assert_int_equal(r->http, 401);
            by_none += r->requests;
        } else {
            by_key += r->requests;
        }
        if (strcmp(r->model, "m") == 0 && r->requests == 1)
            own++;
    }
    struct ft_ledger_stats s;
    ft_ledger_stats(l, &s);
    assert_int_equal(by_none, 5000);
    assert_int_equal(by_key + s.uncounted, 5300);
    assert_in_range(own, FT_LEDGER_REFUSED_RATE, 3 * FT_LEDGER_REFUSED_RATE);
    assert_true(in.n < 1000);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_what_pages_ask_by_themselves_is_added_up(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct intake in;
    intake_init(&in);
    struct ft_ledger *l = open_ledger(dir, &in);
    struct ft_ledger_begin b = {
        .id = "a", .project = "p", .key = "k", .model = "", .route = "admin"};
    for (int i = 0; i < 40; i++)
        ft_ledger_polled(l, &b, 200);
    b.key = "other";
    ft_ledger_polled(l, &b, 200);
    ft_ledger_refuse(l, &b, 403, NULL); /* is not among them */
    drain(l);
    assert_int_equal(in.n, 3);
    int64_t of_k = 0, ok = 0;
    for (int i = 0; i < in.n; i++) {
        ok += in.records[i].status == FT_RECORD_OK ? in.records[i].requests : 0;
        of_k += strcmp(in.records[i].key, "k") == 0 ? in.records[i].requests : 0;
    }
    assert_int_equal(of_k, 40);
    assert_int_equal(ok, 41);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_sums_of_refused_requests_outlive_the_process(void **state)
{
    (void)state;
    const char *dir = new_dir();
    pid_t child = fork();
    if (child == 0) {
        struct ft_ledger *l = open_ledger(dir, NULL);
        struct ft_ledger_begin b = {
            .id = "", .project = "", .key = "", .model = "m", .route = "chat.completions"};
        for (int i = 0; i < 777; i++)
            ft_ledger_refuse(l, &b, 401, NULL);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    struct intake in;
    intake_init(&in);
    struct ft_ledger *l = open_ledger(dir, &in);
    drain(l);
    assert_int_equal(in.n, 1);
    assert_int_equal(in.records[0].requests, 777);
    assert_int_equal(in.records[0].http, 401);
    assert_int_equal(in.records[0].status, FT_RECORD_REFUSED);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

static void test_sums_end_by_themselves(void **state)
{
    (void)state;
    const char *dir = new_dir();
    struct intake in;
    intake_init(&in);
    struct ft_ledger *l = open_ledger(dir, &in);
    struct ft_ledger_begin b = {
        .id = "", .project = "", .key = "", .model = "m", .route = "chat.completions"};
    ft_ledger_refuse(l, &b, 401, NULL);
    struct ft_ledger_stats s = {.delivered = 0};
    for (int i = 0; i < 400 && s.delivered == 0; i++) {
        usleep(50000);
        ft_ledger_stats(l, &s);
    }
    assert_int_equal(s.delivered, 1);
    ft_ledger_close(l);
    intake_fini(&in);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_becomes_one_record),
        cmocka_unit_test(test_a_record_tells_where_the_time_went_and_what_went_wrong),
        cmocka_unit_test(test_a_record_may_be_begun_late),
        cmocka_unit_test(test_what_is_dropped_has_no_record),
        cmocka_unit_test(test_bad_texts_are_refused),
        cmocka_unit_test(test_one_process_at_a_time),
        cmocka_unit_test(test_what_a_killed_process_left_is_recorded_once),
        cmocka_unit_test(test_a_slot_whose_record_is_written_is_dropped),
        cmocka_unit_test(test_a_damaged_slot_or_table_is_told_not_believed),
        cmocka_unit_test(test_what_was_delivered_stays_so_over_an_upgrade),
        cmocka_unit_test(test_the_table_changes_its_size_when_it_is_empty),
        cmocka_unit_test(test_delivery_goes_on_until_it_is_taken),
        cmocka_unit_test(test_a_record_that_nobody_takes_holds_up_no_other),
        cmocka_unit_test(test_what_is_not_delivered_can_be_summed_and_is_bounded),
        cmocka_unit_test(test_a_full_disk_is_waited_for),
        cmocka_unit_test(test_refused_requests_are_all_counted),
        cmocka_unit_test(test_what_pages_ask_by_themselves_is_added_up),
        cmocka_unit_test(test_sums_of_refused_requests_outlive_the_process),
        cmocka_unit_test(test_sums_end_by_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
