/* Whole runs over tiny models: overfitting, LoRA and full, preferences, resuming to the bit, early
 * stopping, and what is refused before any step. */
#include "support.h"

#include <fcntl.h>
#include <math.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/adapter/adapter.h"
#include "train/core/checkpoint.h"

#define OVERFIT                                                                                    \
    "seq-len=48;epochs=60;batch=2;warmup=5;precision=f32;save=adapter;threads=2;lr=0.01;save-"     \
    "every=1000"

static void ten_examples_are_learnt_by_heart(void **state)
{
    (void)state;
    static const char *const models[] = {"models/llama-s-F32.gguf", "models/qwen2-s-F32.gguf",
                                         QWEN3, "models/qwen3-k-Q4_K_M.gguf"};
    write_pairs("ten.jsonl", 10);
    for (size_t i = 0; i < FT_COUNT(models); i++) {
        char out[32];
        struct told t = {0};
        snprintf(out, sizeof out, "ten-%zu", i);
        const char *o = options_for(models[i], "ten.jsonl", out, OVERFIT ";rank=16");
        if (o == NULL)
            skip();
        must_run(o, &t);
        assert_int_equal(t.steps, t.plan_steps);
        if (t.last_loss > 0.05 || t.first_loss < 3)
            fail_msg("%s: loss from %g to %g", models[i], t.first_loss, t.last_loss);
    }
}

static void files_equal(const char *a, const char *b)
{
    char command[600];
    snprintf(command, sizeof command, "cmp %s %s", in_folder(a), in_folder(b));
    assert_int_equal(system(command), 0);
}

/* Interrupted twice, at other numbers of threads, with dropout and accumulation. */
static void an_interrupted_run_reaches_the_same_bits(void **state)
{
    (void)state;
    static const char *rest = "seq-len=48;epochs=4;batch=1;accumulate=2;rank=4;dropout=0.1;"
                              "save-every=3;valid-samples=3;seed=9;recompute=on;threads=2";
    write_pairs("more.jsonl", 17);
    const char *whole = options_for(QWEN3, "more.jsonl", "whole", rest);
    if (whole == NULL)
        skip();
    struct told a = {0};
    struct ft_err err;
    must_run(whole, &a);
    char again[2048];
    snprintf(again, sizeof again, "%s",
             options_for(QWEN3, "more.jsonl", "parts",
                         "seq-len=48;epochs=4;batch=1;accumulate=2;rank=4;dropout=0.1;"
                         "save-every=3;valid-samples=3;seed=9;recompute=off;threads=1"));
    struct told b = {.stop_at = 4}, c = {.stop_at = 7}, d = {0};
    assert_int_equal(run(again, &b, &err), FT_ECANCELED);
    strcat(again, ";resume=true");
    assert_int_equal(run(again, &c, &err), FT_ECANCELED);
    assert_int_equal(c.resumed, 4);
    must_run(again, &d);
    assert_int_equal(d.resumed, 7);
    assert_int_equal(b.steps + c.steps + d.steps, a.steps);
    assert_true(a.last_loss == d.last_loss);
    files_equal("whole/adapter/adapter_model.safetensors",
                "parts/adapter/adapter_model.safetensors");
}

/* run.json, or a checkpoint's copy of it, as it was while a small part put aside could be none. */
static void make_old(const char *path, const char *member)
{
    json_error_t bad;
    json_t *root = json_load_file(path, 0, &bad);
    json_t *o = member != NULL ? json_object_get(root, member) : root;
    assert_non_null(o);
    assert_int_equal(json_object_set_new(o, "valid_fraction", json_real(0.01)), 0);
    assert_int_equal(json_object_del(o, "n_valid"), 0);
    assert_int_equal(json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(17)), 0);
    json_decref(root);
}

static void an_older_run_goes_on_with_the_part_that_it_put_aside(void **state)
{
    (void)state;
    static const char *rest = "seq-len=48;epochs=2;rank=4;seed=9;threads=2;batch=1;save-every=3";
    char begun[1024], again[2048], path[4096 + 16];
    struct ft_err err;
    write_pairs("more.jsonl", 17);
    const char *whole = options_for(QWEN3, "more.jsonl", "all-of-it", rest);
    if (whole == NULL)
        skip();
    struct told a = {0}, b = {.stop_at = 4}, c = {0};
    must_run(whole, &a);
    snprintf(begun, sizeof begun, "%s", options_for(QWEN3, "more.jsonl", "older", rest));
    assert_int_equal(run(begun, &b, &err), FT_ECANCELED);
    make_old(in_folder("older/run.json"), NULL);
    assert_int_equal(ft_checkpoint_newest(in_folder("older"), INT64_MAX, path, 4096, &err), 4);
    strcat(path, "/state.json");
    make_old(path, "run");
    snprintf(again, sizeof again, "%s;valid-fraction=0.01;resume=true", begun);
    must_run(again, &c);
    assert_int_equal(c.resumed, 4);
    assert_int_equal(b.steps + c.steps, a.steps);
    files_equal("all-of-it/adapter/adapter_model.safetensors",
                "older/adapter/adapter_model.safetensors");
}

static void a_checkpoint_of_another_run_is_refused(void **state)
{
    (void)state;
    struct told t = {.stop_at = 1};
    struct ft_err err;
    write_pairs("more.jsonl", 17);
    const char *o = options_for(QWEN3, "more.jsonl", "mine", "seq-len=48;rank=4;epochs=1");
    if (o == NULL)
        skip();
    assert_int_equal(run(o, &t, &err), FT_ECANCELED);
    struct told u = {0};
    assert_int_equal(run(o, &u, &err), FT_EEXIST); /* without resume it is not overwritten */
    assert_non_null(strstr(err.msg, "output"));
    o = options_for(QWEN3, "more.jsonl", "mine", "seq-len=48;rank=4;epochs=1;lr=1;resume=true");
    assert_int_equal(run(o, &u, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "lr"));
    write_pairs("more.jsonl", 18);
    o = options_for(QWEN3, "more.jsonl", "mine", "seq-len=48;rank=4;epochs=1;resume=true");
    assert_int_equal(run(o, &u, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "data_hash"));
}

static void preferences_are_learnt(void **state)
{
    (void)state;
    static const char *const methods[] = {"method=lora;rank=8", "method=full;save=gguf,hf"};
    FILE *f = fopen(in_folder("pairs.jsonl"), "w");
    for (int i = 0; i < 12; i++)
        fprintf(f, "{\"prompt\": \"say %d: \", \"chosen\": \"yes\", \"rejected\": \"no\"}\n", i);
    fclose(f);
    for (size_t i = 0; i < FT_COUNT(methods); i++) {
        char rest[256], out[32];
        struct told t = {0};
        snprintf(rest, sizeof rest,
                 "seq-len=48;epochs=12;batch=2;objective=dpo;lr=3e-3;precision=f32;"
                 "valid-samples=2;%s",
                 methods[i]);
        snprintf(out, sizeof out, "dpo-%zu", i);
        const char *o = options_for(QWEN3, "pairs.jsonl", out, rest);
        if (o == NULL)
            skip();
        must_run(o, &t);
        assert_true(fabs(t.first_loss - log(2)) < 1e-3); /* the model beside itself */
        assert_true(t.last_loss < 0.2 && t.last_accuracy > 0.99);
        assert_true(t.best_valid < 0.3);
    }
}

/* The longest pairs stand together in the file, and so pass together when the model is asked before
 * training, but hardly when they are shuffled. */
static void pairs_of_any_order_fit(void **state)
{
    (void)state;
    struct told t = {0};
    FILE *f = fopen(in_folder("sorted.jsonl"), "w");
    for (int i = 0; i < 32; i++) {
        int n = i >= 8 && i < 12 ? 34 : 3;
        fprintf(f, "{\"prompt\": \"say %d: \", \"chosen\": \"%.*s\", \"rejected\": \"no\"}\n", i, n,
                "yesyesyesyesyesyesyesyesyesyesyesyes");
    }
    fclose(f);
    const char *o = options_for(QWEN3, "sorted.jsonl", "sorted",
                                "seq-len=64;objective=dpo;packing=false;epochs=1;rank=4");
    if (o == NULL)
        skip();
    must_run(o, &t);
    assert_int_equal(t.steps, 8);
}

/* Killed before it had written anything that could be gone on from. */
static void a_run_without_a_checkpoint_is_resumed_from_its_beginning(void **state)
{
    (void)state;
    struct ft_err err;
    struct told t = {0};
    write_pairs("ten.jsonl", 10);
    const char *o = options_for(QWEN3, "ten.jsonl", "begun", "seq-len=48;max-steps=1;resume=true");
    if (o == NULL)
        skip();
    assert_int_equal(run(o, &t, &err), FT_ENOTFOUND); /* a mistyped name is not made */
    assert_non_null(strstr(err.msg, "resume"));
    assert_int_equal(mkdir(in_folder("begun"), 0777), 0);
    int fd = open(in_folder("begun"), O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(run(o, &t, &err), FT_EEXIST);
    assert_non_null(strstr(err.msg, "another run"));
    close(fd);
    must_run(o, &t);
    assert_int_equal(t.steps, 1);
    assert_int_equal(access(in_folder("begun/run.json"), F_OK), 0);
}

/* One that is over gives its results again. */
static void a_finished_run_is_resumed_without_a_step(void **state)
{
    (void)state;
    struct told t = {0}, u = {0};
    write_pairs("ten.jsonl", 10);
    const char *rest = "seq-len=48;max-steps=3;rank=4;save=adapter,hf,gguf;gguf-type=Q8_0";
    const char *o = options_for(QWEN3, "ten.jsonl", "over", rest);
    if (o == NULL)
        skip();
    char again[2048];
    snprintf(again, sizeof again, "%s;resume=true", o);
    must_run(o, &t);
    assert_int_equal(rename(in_folder("over/model.gguf"), in_folder("first.gguf")), 0);
    must_run(again, &u);
    assert_int_equal(u.resumed, 3);
    assert_int_equal(u.steps, 0);
    files_equal("over/model.gguf", "first.gguf");
}

/* The samples for validation say the opposite of the others: it only gets worse. */
static void training_stops_when_validation_gets_worse(void **state)
{
    (void)state;
    struct told t = {0};
    char rest[512];
    write_text("train.jsonl", "{\"prompt\": \"a\", \"completion\": \"bbbbbbbb\"}\n"
                              "{\"prompt\": \"c\", \"completion\": \"bbbbbbbb\"}\n");
    write_text("valid.jsonl", "{\"prompt\": \"a\", \"completion\": \"zyxwvuts\"}\n");
    snprintf(rest, sizeof rest,
             "valid-data=%s;seq-len=32;epochs=100;eval-every=2;patience=3;lr=0.02;rank=8",
             in_folder("valid.jsonl"));
    const char *o = options_for(QWEN3, "train.jsonl", "early", rest);
    if (o == NULL)
        skip();
    must_run(o, &t);
    assert_true(t.steps < 60);
    assert_non_null(strstr(t.notes, "stopped early"));
    assert_non_null(strstr(t.notes, "the results are those of step"));
}

static void what_cannot_run_is_refused_first(void **state)
{
    (void)state;
    struct ft_err err;
    struct told t = {0};
    write_pairs("ten.jsonl", 10);
    const char *o = options_for(QWEN3, "ten.jsonl", "no-1", "seq-len=48;memory-mb=3");
    if (o == NULL)
        skip();
    assert_int_equal(run(o, &t, &err), FT_ELIMIT);
    assert_non_null(strstr(err.msg, "memory"));
    o = options_for(QWEN3, "ten.jsonl", "no-2", "seq-len=9");
    assert_int_equal(run(o, &t, &err), FT_EINVAL); /* samples are longer */
    assert_non_null(strstr(err.msg, "ten.jsonl"));
    write_text("bad.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\"}\n");
    o = options_for(QWEN3, "bad.jsonl", "no-3", "seq-len=48");
    assert_int_equal(run(o, &t, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "2"));
    o = options_for(QWEN3, "ten.jsonl", "no-4", "seq-len=48;targets=q,lm_head");
    assert_int_equal(run(o, &t, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "lm_head"));
    o = options_for("models/qwen3moe-s-F32.gguf", "ten.jsonl", "no-5", "seq-len=48");
    assert_int_equal(run(o, &t, &err), FT_EUNSUPPORTED);
    assert_non_null(strstr(err.msg, "experts"));
    assert_int_equal(t.steps, 0);
}

/* Kept values and recomputation: what is planned is enough, and auto recomputes only when it must.
 */
static void memory_is_planned(void **state)
{
    (void)state;
    struct told wide = {0}, tight = {0};
    char rest[128];
    write_pairs("ten.jsonl", 10);
    const char *o = options_for(QWEN3, "ten.jsonl", "mem-1", "seq-len=48;max-steps=1;batch=64");
    if (o == NULL)
        skip();
    must_run(o, &wide);
    assert_false(wide.recompute);
    snprintf(rest, sizeof rest, "seq-len=48;max-steps=1;batch=64;memory-mb=%d",
             (int)(wide.memory >> 20));
    must_run(options_for(QWEN3, "ten.jsonl", "mem-2", rest), &tight);
    assert_true(tight.recompute && tight.memory < wide.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_examples_are_learnt_by_heart),
        cmocka_unit_test(an_interrupted_run_reaches_the_same_bits),
        cmocka_unit_test(an_older_run_goes_on_with_the_part_that_it_put_aside),
        cmocka_unit_test(a_checkpoint_of_another_run_is_refused),
        cmocka_unit_test(preferences_are_learnt),
        cmocka_unit_test(pairs_of_any_order_fit),
        cmocka_unit_test(a_run_without_a_checkpoint_is_resumed_from_its_beginning),
        cmocka_unit_test(a_finished_run_is_resumed_without_a_step),
        cmocka_unit_test(training_stops_when_validation_gets_worse),
        cmocka_unit_test(what_cannot_run_is_refused_first),
        cmocka_unit_test(memory_is_planned),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_all);
}
