/* Choices: text to pieces, whatever the cut; calls that are held, forced, single; muted tokens. */
#include "testing.h"

#include "worker/choice.h"
#include "worker/crew.h"
#include "worker/energy.h"
#include "worker/forced.h"
#include "worker/logprobs.h"

#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a choice gave, as text: "R(..)" reasoning, "C(..)" content, "B(name)" "A(args)" a call,
 * "F(finish)". Neighbours of a kind are joined, as cuts may not matter. */
struct said {
    char text[4096];
    char id[8][FT_CALL_ID_BYTES];
    int kind, n_calls;
};

static void hear(void *ctx, const struct ft_piece *p)
{
    struct said *s = ctx;
    static const char mark[] = {[FT_PIECE_CONTENT] = 'C',
                                [FT_PIECE_REASONING] = 'R',
                                [FT_PIECE_CALL_BEGIN] = 'B',
                                [FT_PIECE_CALL_ARGS] = 'A',
                                [FT_PIECE_FINISH] = 'F'};
    size_t n = strlen(s->text);
    if (p->kind == FT_PIECE_CALL_BEGIN)
        snprintf(s->id[s->n_calls++], FT_CALL_ID_BYTES, "%.*s", (int)p->call_id.n, p->call_id.p);
    struct ft_slice text = p->text;
    if (p->kind == FT_PIECE_FINISH)
        text = (struct ft_slice){ft_answer_finish_name(p->finish),
                                 strlen(ft_answer_finish_name(p->finish))};
    if (s->kind == (int)p->kind && n > 0)
        s->text[--n] = '\0'; /* the bracket */
    else
        n += (size_t)snprintf(s->text + n, sizeof s->text - n, "%c(", mark[p->kind]);
    snprintf(s->text + n, sizeof s->text - n, "%.*s)", (int)text.n, text.p);
    s->kind = (int)p->kind;
}

static json_t *tools;

static struct ft_choice_config config(enum ft_dialect d)
{
    if (tools == NULL)
        tools = json_loads("[{\"type\":\"function\",\"function\":{\"name\":\"fly\",\"parameters\":"
                           "{\"type\":\"object\"}}}]",
                           0, NULL);
    return (struct ft_choice_config){
        .request = "req_1", .dialect = d, .tools = tools, .call_bytes_max = 1000};
}

/* Feeds text in pieces of `step` bytes, `mute` of them muted, and ends. */
static struct ft_choice run(const struct ft_choice_config *cfg, const char *text, size_t step,
                            int mute, enum ft_answer_finish how, struct said *s)
{
    struct ft_choice c;
    struct ft_err err = {0};
    memset(s, 0, sizeof *s);
    assert_int_equal(ft_choice_open(&c, cfg, hear, s, &err), 0);
    size_t n = strlen(text);
    for (size_t at = 0; at < n; at += step) {
        c.muted = mute-- > 0;
        if (ft_choice_token(&c, text + at, FT_MIN(step, n - at), &err) != 0)
            fail_msg("%s", err.msg);
    }
    c.muted = mute > 0;
    assert_int_equal(ft_choice_finish(&c, "", 0, 0, how, (struct ft_slice){0}, &err), 0);
    ft_choice_close(&c);
    return c;
}

static void says(const struct ft_choice_config *cfg, const char *text, enum ft_answer_finish how,
                 const char *want)
{
    struct said s;
    for (size_t step = 1; step <= strlen(text); step++) {
        run(cfg, text, step, 0, how, &s);
        if (strcmp(s.text, want) != 0)
            fail_msg("in steps of %zu: %s, not %s", step, s.text, want);
    }
}

#define CALL "<tool_call>\n{\"name\": \"fly\", \"arguments\": {\"to\": \"Rome\"}}\n</tool_call>"

static void text_is_taken_apart(void **state)
{
    (void)state;
    struct ft_choice_config c = config(FT_DIALECT_HERMES);
    says(&c, "<think>\nso\n</think>\n\nhello", FT_ANSWER_STOP, "R(so)C(hello)F(stop)");
    says(&c, "a " CALL, FT_ANSWER_STOP, "C(a )B(fly)A({\"to\": \"Rome\"})F(tool_calls)");
    says(&c, CALL "\n" CALL, FT_ANSWER_STOP,
         "B(fly)A({\"to\": \"Rome\"})B(fly)A({\"to\": \"Rome\"})F(tool_calls)");
    says(&c, "a", FT_ANSWER_LENGTH, "C(a)F(length)");
    c.plain = true;
    says(&c, "<think>" CALL, FT_ANSWER_STOP, "C(<think>" CALL ")F(stop)");
}

static void a_call_that_is_none_was_never_told(void **state)
{
    (void)state;
    struct ft_choice_config c = config(FT_DIALECT_HERMES);
    says(&c, "<tool_call>\n{\"name\": \"fly\", \"arguments\": {\"to\": x", FT_ANSWER_STOP,
         "C(<tool_call>\n{\"name\": \"fly\", \"arguments\": {\"to\": x)F(stop)");
}

static void a_single_call_ends_its_choice(void **state)
{
    (void)state;
    struct ft_choice_config c = config(FT_DIALECT_HERMES);
    struct said s;
    c.single_call = true;
    says(&c, CALL "\n" CALL, FT_ANSWER_STOP, "B(fly)A({\"to\": \"Rome\"})F(tool_calls)");
    struct ft_choice got = run(&c, CALL CALL, 1, 0, FT_ANSWER_STOP, &s);
    assert_true(got.done && got.n_token < (int)sizeof CALL); /* the rest does not count */
}

static void forced_calls(void **state)
{
    (void)state;
    struct ft_choice_config c = config(FT_DIALECT_LLAMA3);
    c.call_begin = (struct ft_slice){"<tool_call>\n", 12};
    c.call_end = (struct ft_slice){"\n</tool_call>", 13};
    const char *json = "{\"name\":\"fly\",\"arguments\":{\"to\":1}}";
    says(&c, json, FT_ANSWER_STOP, "B(fly)A({\"to\":1})F(tool_calls)");
    says(&c, "{\"name\":\"fly\",\"arguments\":{\"to", FT_ANSWER_LENGTH, "B(fly)A({\"to)F(length)");
    c.tail = (struct ft_slice){"assistant: <think>\n", 19};
    says(&c, "why</thin not</think>\n\n{\"name\":\"fly\",\"arguments\":{}}", FT_ANSWER_STOP,
         "R(why</thin not)B(fly)A({})F(tool_calls)");
    says(&c, "why", FT_ANSWER_LENGTH, "R(why)F(length)");
    c.call_begin = (struct ft_slice){"<tool_call>\n{\"name\": \"fly\", \"arguments\": ", 40};
    c.call_end = (struct ft_slice){"}\n</tool_call>", 14};
    c.call_begin.n = strlen(c.call_begin.p);
    c.tail.n = 0;
    says(&c, "{\"to\":[1,2]}", FT_ANSWER_STOP, "B(fly)A({\"to\":[1,2]})F(tool_calls)");
}

static void text_of_a_grammar_is_no_markup(void **state)
{
    (void)state;
    struct ft_choice_config c = config(FT_DIALECT_HERMES);
    c.plain_after = true;
    says(&c, "<think>x</think><tool_call>", FT_ANSWER_STOP,
         "C(<think>x</think><tool_call>)F(stop)");
    c.tail = (struct ft_slice){"<think>\n", 8};
    says(&c, "hm</think>\n\n{\"a\":\"<think>\"}", FT_ANSWER_STOP,
         "R(hm)C({\"a\":\"<think>\"})F(stop)");
}

/* What was given with some tokens muted is what the others give. */
static void muted_tokens_leave_their_mark(void **state)
{
    (void)state;
    struct ft_choice_config c = config(FT_DIALECT_HERMES);
    const char *text = "<think>so</think>ab " CALL "\n" CALL;
    struct said all, rest;
    struct ft_choice whole = run(&c, text, 1, 0, FT_ANSWER_STOP, &all);
    for (int cut = 0; cut < (int)strlen(text); cut++) {
        struct ft_choice part = run(&c, text, 1, cut, FT_ANSWER_STOP, &rest);
        assert_int_equal(part.n_token, whole.n_token);
        assert_int_equal(part.n_reasoning, whole.n_reasoning);
        assert_true(rest.n_calls <= all.n_calls);
        for (int i = 1; i <= rest.n_calls; i++) /* the last calls, with their own ids */
            assert_string_equal(rest.id[rest.n_calls - i], all.id[all.n_calls - i]);
        const char *bare = strchr(rest.text, '('); /* the first may lack what was muted */
        assert_non_null(bare);
        size_t n = strlen(bare + 1), m = strlen(all.text);
        assert_true(n <= m && strcmp(all.text + m - n, bare + 1) == 0);
    }
    assert_string_not_equal(all.id[0], all.id[1]);
    char id[FT_CALL_ID_BYTES];
    ft_choice_call_id("req_1", 0, 1, id);
    assert_string_equal(id, all.id[1]);
    assert_int_equal(strlen(id), FT_CALL_ID_BYTES - 1);
    ft_choice_call_id("req_2", 0, 1, id);
    assert_string_not_equal(id, all.id[1]);
}

static void tokens_of_reasoning_are_counted(void **state)
{
    (void)state;
    struct ft_choice_config c = config(FT_DIALECT_HERMES);
    struct said s;
    c.tail = (struct ft_slice){"<think>\n", 8};
    const char *text = "why</think>\n" CALL; /* the call is told at its end alone */
    struct ft_choice got = run(&c, text, 1, 0, FT_ANSWER_STOP, &s);
    assert_int_equal(got.n_reasoning, strlen("why</think>"));
    c.plain_after = true;
    got = run(&c, "why</think>no", 1, 0, FT_ANSWER_STOP, &s);
    assert_int_equal(got.n_reasoning, strlen("why</think>"));
}

static void a_call_has_a_bound(void **state)
{
    (void)state;
    struct ft_choice_config cfg = config(FT_DIALECT_HERMES);
    struct ft_choice c;
    struct ft_err err = {0};
    struct said s = {0};
    cfg.call_bytes_max = 20;
    const char *text =
        "<tool_call>{\"name\":\"fly\",\"arguments\":{\"to\":\"0123456789012345678\"}}"
        "</tool_call>";
    assert_int_equal(ft_choice_open(&c, &cfg, hear, &s, &err), 0);
    assert_int_equal(ft_choice_token(&c, text, strlen(text), &err), FT_ELIMIT);
    ft_choice_close(&c);
}

/* ---- forced.h ---- */

static void schemas_of_calls(void **state)
{
    (void)state;
    json_t *two = json_loads(
        "[{\"function\":{\"name\":\"a\"}},{\"function\":{\"name\":\"b\",\"parameters\":{\"$defs\":"
        "{\"x\":{\"type\":\"null\"}},\"properties\":{\"p\":{\"$ref\":\"#/$defs/x\"}}}}}]",
        0, NULL);
    struct ft_buf begin, end;
    struct ft_err err = {0};
    json_t *schema = NULL;
    ft_buf_init(&begin, 1000);
    ft_buf_init(&end, 1000);
    assert_int_equal(ft_forced_call(two, NULL, &begin, &end, &schema, &err), 0);
    assert_string_equal(begin.data, "<tool_call>\n");
    const json_t *b = json_array_get(json_object_get(schema, "anyOf"), 1);
    const json_t *args = json_object_get(json_object_get(b, "properties"), "arguments");
    const json_t *p = json_object_get(json_object_get(args, "properties"), "p");
    assert_string_equal(json_string_value(json_object_get(p, "$ref")),
                        "#/anyOf/1/properties/arguments/$defs/x");
    json_decref(schema);
    ft_buf_reset(&begin);
    ft_buf_reset(&end);
    assert_int_equal(ft_forced_call(two, "b", &begin, &end, &schema, &err), 0);
    assert_string_equal(begin.data, "<tool_call>\n{\"name\": \"b\", \"arguments\": ");
    assert_string_equal(end.data, "}\n</tool_call>");
    p = json_object_get(json_object_get(schema, "properties"), "p");
    assert_string_equal(json_string_value(json_object_get(p, "$ref")), "#/$defs/x");
    json_decref(schema);
    assert_int_equal(ft_forced_call(two, "c", &begin, &end, &schema, &err), FT_EINVAL);
    json_decref(two);
    ft_buf_fini(&begin);
    ft_buf_fini(&end);
}

/* ---- energy.h ---- */

static void put(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void joules_by_share_of_busy_time(void **state)
{
    (void)state;
    char root[] = "/tmp/ft-energy-XXXXXX", package[64], stat[64];
    bool estimated;
    assert_non_null(mkdtemp(root));
    snprintf(package, sizeof package, "%s/intel-rapl:0", root);
    snprintf(stat, sizeof stat, "%s/stat", root);
    assert_int_equal(mkdir(package, 0700), 0);
    put(root, "stat", "cpu  100 0 0 500 0 0 0 0 0 0\n");
    put(package, "energy_uj", "900000\n");
    put(package, "max_energy_range_uj", "1000000\n");
    struct ft_energy e;
    struct ft_energy_mark m;
    ft_energy_open(&e, root, stat);
    assert_int_equal(e.n, 1);
    ft_energy_mark(&e, &m);
    put(package, "energy_uj", "100000\n"); /* once around: 200,000 */
    long hz = sysconf(_SC_CLK_TCK);
    char text[64];
    snprintf(text, sizeof text, "cpu  %ld 0 0 900 0 0 0 0\n", 100 + 4 * hz); /* 4 s busy */
    put(root, "stat", text);
    assert_int_equal(ft_energy_since(&e, &m, 1000000, &estimated), 50000);
    assert_false(estimated);
    ft_energy_close(&e);
    ft_energy_open(&e, "/nowhere", stat);
    ft_energy_mark(&e, &m);
    assert_int_equal(ft_energy_since(&e, &m, 1000, &estimated), 1000 * FT_ENERGY_UJ_PER_CPU_US);
    assert_true(estimated);
    ft_energy_close(&e);
    unlink(stat);
    snprintf(text, sizeof text, "%.40s/energy_uj", package);
    unlink(text);
    snprintf(text, sizeof text, "%.40s/max_energy_range_uj", package);
    unlink(text);
    rmdir(package);
    rmdir(root);
}

/* ---- crew.h ---- */

static atomic_int worked, holding;

static void work(void *ctx)
{
    (void)ctx;
    while (atomic_load(&holding))
        usleep(1000);
    atomic_fetch_add(&worked, 1);
}

static void a_crew_is_bounded_and_finishes(void **state)
{
    (void)state;
    struct ft_crew *c;
    struct ft_err err;
    assert_int_equal(ft_crew_open(2, 3, &c, &err), 0);
    atomic_store(&holding, 1);
    int accepted = 0;
    for (int i = 0; i < 5; i++) { /* two are taken at once */
        accepted += ft_crew_post(c, work, NULL) == 0;
        while (i < 2 && ft_crew_waiting(c) > 0)
            usleep(1000);
    }
    assert_int_equal(accepted, 5);
    assert_int_equal(ft_crew_post(c, work, NULL), FT_EBUSY);
    atomic_store(&holding, 0);
    ft_crew_stop(c); /* the server's threads may still come with more */
    assert_int_equal(atomic_load(&worked), 5);
    assert_int_equal(ft_crew_post(c, work, NULL), FT_ECANCELED);
    assert_int_equal(ft_crew_waiting(c), 0);
    ft_crew_close(c);
    assert_int_equal(atomic_load(&worked), 5);
}

static int teardown(void **state)
{
    (void)state;
    json_decref(tools);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_taken_apart),
        cmocka_unit_test(a_call_that_is_none_was_never_told),
        cmocka_unit_test(a_single_call_ends_its_choice),
        cmocka_unit_test(forced_calls),
        cmocka_unit_test(text_of_a_grammar_is_no_markup),
        cmocka_unit_test(muted_tokens_leave_their_mark),
        cmocka_unit_test(tokens_of_reasoning_are_counted),
        cmocka_unit_test(a_call_has_a_bound),
        cmocka_unit_test(schemas_of_calls),
        cmocka_unit_test(joules_by_share_of_busy_time),
        cmocka_unit_test(a_crew_is_bounded_and_finishes),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
