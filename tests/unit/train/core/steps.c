/* What a step is: its learning rate, batches that add up, samples that do not see each other, and
 * the loss of preferences, each against its definition. */
#include "support.h"

#include <math.h>

static const double pi = 3.14159265358979323846;

static void near(const char *what, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("%s: %.9g, not %.9g", what, got, want);
}

/* Ten steps: three to the peak, seven from it to the end. */
static void the_learning_rate_follows_its_schedule(void **state)
{
    (void)state;
    static const char *const names[] = {"cosine", "linear", "constant"};
    write_pairs("ten.jsonl", 10);
    for (int k = 0; k < 3; k++) {
        struct told t = {0};
        char rest[256];
        snprintf(rest, sizeof rest,
                 "seq-len=48;batch=1;packing=false;max-steps=10;warmup=%s;schedule=%s;lr=0.01;"
                 "%srank=2",
                 k == 0 ? "0.3" : "3", names[k], k == 2 ? "" : "min-lr=0.002;");
        const char *o = options_for(QWEN3, "ten.jsonl", names[k], rest);
        if (o == NULL)
            skip();
        must_run(o, &t);
        assert_int_equal(t.steps, 10);
        for (int i = 0; i < 10; i++) {
            double p = (i - 3) / 6.0;
            double down = k == 0 ? 0.5 * (1 + cos(pi * p)) : k == 1 ? 1 - p : 1;
            double want = i < 3 ? 0.01 * (i + 1) / 3 : 0.002 + 0.008 * down;
            near(names[k], t.lr[i], want, 1e-12);
        }
    }
    struct told one = {0};
    must_run(options_for(QWEN3, "ten.jsonl", "one", "seq-len=48;max-steps=1;rank=2;lr=0.01"), &one);
    near("a step alone", one.lr[0], 0.01, 1e-12);
}

/* The first step over all samples and what comes of it, in other parts. */
static void same_steps(const char *name, const char *a, const char *b)
{
    struct told t[2] = {{0}, {0}};
    const char *parts[] = {a, b};
    for (int i = 0; i < 2; i++) {
        char rest[256], out[32];
        snprintf(rest, sizeof rest,
                 "seq-len=200;epochs=3;precision=f32;lr=0.01;rank=4;warmup=0;save-every=1000;%s",
                 parts[i]);
        snprintf(out, sizeof out, "%s-%d", name, i);
        const char *o = options_for(QWEN3, "twelve.jsonl", out, rest);
        if (o == NULL)
            skip();
        must_run(o, &t[i]);
    }
    assert_int_equal(t[0].steps, 3);
    assert_int_equal(t[1].steps, 3);
    near("loss", t[0].first_loss, t[1].first_loss, 1e-5);
    near("length of the gradient", t[0].first_norm, t[1].first_norm, 1e-4);
    near("loss after two steps", t[0].last_loss, t[1].last_loss, 1e-3);
}

/* Samples of other lengths, so that a mean of means would show. */
static void write_twelve(void)
{
    FILE *f = fopen(in_folder("twelve.jsonl"), "w");
    assert_non_null(f);
    for (int i = 0; i < 12; i++)
        fprintf(f, "{\"prompt\": \"question %d: \", \"completion\": \"%.*s\"}\n", i, 2 + 3 * i,
                "an answer that is longer for later questions");
    fclose(f);
}

static void batches_that_are_accumulated_are_one_larger(void **state)
{
    (void)state;
    write_twelve();
    same_steps("accumulate", "packing=false;batch=12", "packing=false;batch=5;accumulate=3");
}

static void packed_samples_do_not_see_each_other(void **state)
{
    (void)state;
    write_twelve();
    same_steps("packed", "packing=false;batch=12", "packing=true;batch=12");
}

/* What a model says of one answer: its log-probability, from a step that learns nothing. */
static double logprob(const char *model, const char *answer, const char *out)
{
    struct told t = {0};
    char text[256], options[2048];
    snprintf(text, sizeof text, "{\"prompt\": \"say so: \", \"completion\": \"%s\"}\n", answer);
    write_text("answer.jsonl", text);
    snprintf(options, sizeof options,
             "model=%s;data=%s;output=%s;seq-len=48;precision=f32;max-steps=1;lr=0;rank=1", model,
             in_folder("answer.jsonl"), in_folder(out));
    must_run(options, &t);
    return -t.first_loss * (double)t.targets;
}

static void the_loss_of_preferences_is_its_definition(void **state)
{
    (void)state;
    struct told t = {0};
    char rest[512], tuned[256];
    const char *base = ft_test_ref(QWEN3);
    if (base == NULL)
        skip();
    write_text("pair.jsonl",
               "{\"prompt\": \"say so: \", \"chosen\": \"yes, it is\", \"rejected\": \"no\"}\n");
    snprintf(rest, sizeof rest,
             "valid-data=%s;seq-len=48;epochs=3;objective=dpo;dpo-beta=0.3;method=full;lr=1e-3;"
             "warmup=0;precision=f32;save=gguf;gguf-type=F32",
             in_folder("pair.jsonl"));
    must_run(options_for(QWEN3, "pair.jsonl", "tuned", rest), &t);
    snprintf(tuned, sizeof tuned, "%s", in_folder("tuned/model.gguf"));
    double chosen = logprob(tuned, "yes, it is", "p1") - logprob(base, "yes, it is", "p2");
    double rejected = logprob(tuned, "no", "p3") - logprob(base, "no", "p4");
    double want = log1p(exp(-0.3 * (chosen - rejected)));
    assert_true(want < 0.6); /* it has moved */
    near("loss", t.last_valid, want, 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_learning_rate_follows_its_schedule),
        cmocka_unit_test(batches_that_are_accumulated_are_one_larger),
        cmocka_unit_test(packed_samples_do_not_see_each_other),
        cmocka_unit_test(the_loss_of_preferences_is_its_definition),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_all);
}
