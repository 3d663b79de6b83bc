/* Options of a run: texts, JSON, bounds, what does not go together, and back to JSON. */
#include "testing.h"

#include "train/core/options.h"

static void set(struct ft_train_options *o, const char *key, const char *text)
{
    struct ft_err err;
    if (ft_train_options_set(o, key, text, &err) != 0)
        fail_msg("%s", err.msg);
}

static void refuses(const char *key, const char *text, const char *says)
{
    struct ft_train_options o;
    struct ft_err err;
    ft_train_options_init(&o);
    assert_int_equal(ft_train_options_set(&o, key, text, &err), FT_EINVAL);
    if (strstr(err.msg, says) == NULL)
        fail_msg("%s=%s: '%s' does not say '%s'", key, text, err.msg, says);
    ft_train_options_fini(&o);
}

static void texts_set_every_kind(void **state)
{
    (void)state;
    struct ft_train_options o;
    ft_train_options_init(&o);
    set(&o, "seq-len", "77");
    set(&o, "seq_len", "78"); /* the same key */
    set(&o, "lr", "3e-5");
    set(&o, "packing", "false");
    set(&o, "schedule", "linear");
    set(&o, "model", "a b.gguf");
    set(&o, "data", "x.jsonl,y.txt");
    assert_int_equal(o.seq_len, 78);
    assert_true(o.lr > 2.9e-5 && o.lr < 3.1e-5);
    assert_false(o.packing);
    assert_int_equal(o.schedule, FT_TRAIN_LINEAR);
    assert_string_equal(o.model, "a b.gguf");
    assert_int_equal(o.data.n, 2);
    assert_string_equal(o.data.item[1], "y.txt");
    ft_train_options_fini(&o);
}

static void bad_values_are_refused_by_name(void **state)
{
    (void)state;
    refuses("seq-len", "7", "seq-len: must be a whole number from 8");
    refuses("seq-len", "9.5", "seq-len");
    refuses("seq-len", "many", "seq-len: 'many' is not a number");
    refuses("lr", "nan", "lr");
    refuses("lr", "-1", "lr: must be a number from 0");
    refuses("schedule", "cosin", "cosine|linear|constant");
    refuses("packing", "maybe", "packing");
    refuses("data", "a,,b", "data");
    refuses("seqlen", "512", "did you mean 'seq-len'");
    refuses("ranks", "8", "did you mean 'rank'");
    refuses("RANK", "8", "did you mean 'rank'");
    refuses("fp16", "true", "no option 'fp16'");
    refuses("learning_rate", "1", "it is called 'lr' here");
    refuses("horsepower", "8", "no option 'horsepower'");
}

static int from_json(struct ft_train_options *o, const char *text, struct ft_err *err)
{
    const char *key;
    json_t *root = json_loads(text, 0, NULL);
    assert_non_null(root);
    int rc = ft_train_options_set_json(o, root, &key, err);
    assert_int_equal(key != NULL, rc != 0 && json_is_object(root));
    json_decref(root);
    return rc;
}

static void json_and_back(void **state)
{
    (void)state;
    struct ft_train_options o, again;
    struct ft_err err;
    ft_train_options_init(&o);
    ft_train_options_init(&again);
    assert_int_equal(from_json(&o,
                               "{\"model\": \"m\", \"data\": \"a,b.jsonl\", \"seq_len\": 64,"
                               " \"targets\": [\"q\", \"v\"], \"min-lr\": 1e-6, \"tied\": false,"
                               " \"gguf_type\": null}",
                               &err),
                     0);
    assert_int_equal(o.data.n, 1); /* a text is one file, commas and all */
    assert_string_equal(o.data.item[0], "a,b.jsonl");
    assert_int_equal(o.targets.n, 2);
    assert_false(o.tied);
    json_t *all = ft_train_options_json(&o);
    const char *key;
    assert_int_equal(ft_train_options_set_json(&again, all, &key, &err), 0);
    json_t *twice = ft_train_options_json(&again);
    assert_true(json_equal(all, twice));
    json_decref(all);
    json_decref(twice);
    assert_int_equal(from_json(&o, "{\"rank\": \"8\"}", &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "rank: must be a number"));
    assert_int_equal(from_json(&o, "{\"tied\": 1}", &err), FT_EINVAL);
    assert_int_equal(from_json(&o, "{\"data\": [3]}", &err), FT_EINVAL);
    assert_int_equal(from_json(&o, "{\"bacth\": 3}", &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "did you mean 'batch'"));
    assert_int_equal(from_json(&o, "[]", &err), FT_EINVAL);
    ft_train_options_fini(&o);
    ft_train_options_fini(&again);
}

/* The options "key=value key=value" together: NULL, all right; else what the error says. */
static void together(const char *text, const char *says)
{
    struct ft_train_options o;
    struct ft_err err;
    char copy[512], *at = copy;
    ft_train_options_init(&o);
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word; (word = strsep(&at, " ")) != NULL;) {
        char *value = strchr(word, '=');
        *value++ = 0;
        set(&o, word, value);
    }
    int rc = ft_train_options_check(&o, &err);
    if (says == NULL && rc != 0)
        fail_msg("%s: %s", text, err.msg);
    if (says != NULL && (rc != FT_EINVAL || strstr(err.msg, says) == NULL))
        fail_msg("%s: %d, '%s' does not say '%s'", text, rc, rc != 0 ? err.msg : "", says);
    ft_train_options_fini(&o);
}

static void what_does_not_go_together_is_refused(void **state)
{
    (void)state;
    together("model=m data=d output=o", NULL);
    together("data=d output=o", "model: must be given");
    together("model=m output=o", "data: must be given");
    together("model=m data=d", "output: must be given");
    together("model=m data=d output=o layers=3", "layers: belongs to a model from scratch");
    together("model=m data=d output=o method=full rank=3", "rank: belongs to method lora");
    together("model=m data=d output=o dpo-beta=1", "dpo-beta: belongs to objective dpo");
    together("model=m data=d output=o targets=q,qq", "targets: 'qq' is not one of");
    together("model=m data=d output=o targets=q,v,q_proj", "targets: 'q_proj' is there twice");
    together("model=m data=d output=o targets=q_proj,attn_k,gate", NULL);
    together("model=m data=d output=o patience=2", "patience");
    together("model=m data=d output=o patience=2 valid-samples=5", NULL);
    together("model=m data=d output=o valid-samples=5 valid-data=v", "valid-data");
    together("model=m data=d output=o lr=1e-5 min-lr=1e-4", "min-lr");
    together("model=m data=d output=o method=full min-lr=1e-5", NULL); /* lr is 2e-5 then */
    together("model=m data=d output=o method=full min-lr=1e-4", "min-lr");
    together("model=m data=d output=o objective=dpo min-lr=1e-4", "min-lr");
    together("model=m data=d output=o min-lr=1e-5 schedule=constant", "min-lr");
    together("model=m data=d output=o valid-samples=5 valid-fraction=0.1", "valid-fraction");
    together("model=m data=d output=o eval-every=5", "eval-every");
    together("model=m data=d output=o gguf-type=Q8_0", "gguf-type");
    together("model=m data=d output=o gguf-type=Q8_0 save=gguf", NULL);
    together("model=m data=d output=o gguf-type=Q9 save=gguf", "gguf-type: 'Q9'");
    together("model=m data=d output=o save=adapter,zip", "save: 'zip'");
    together("model=m data=d output=o method=full save=adapter", "save");
    together("arch=qwen3 data=d output=o tokenizer=t layers=2 d-model=64 d-ff=128",
             "heads: a model from scratch needs it");
    together("arch=qwen3 data=d output=o tokenizer=t layers=2 d-model=64 d-ff=128 heads=4", NULL);
    together("arch=qwen3 data=d output=o tokenizer=t layers=2 d-model=64 d-ff=128 heads=4 "
             "method=lora",
             "method");
}

static void defaults_depend_on_what_is_trained(void **state)
{
    (void)state;
    struct ft_train_options o;
    struct ft_err err;
    ft_train_options_init(&o);
    set(&o, "model", "m");
    set(&o, "data", "d");
    set(&o, "output", "o//");
    set(&o, "rank", "8");
    assert_int_equal(ft_train_options_check(&o, &err), 0);
    assert_string_equal(o.output, "o");
    assert_true(o.alpha > 15.9 && o.alpha < 16.1);
    assert_string_equal(o.save.item[0], "adapter");
    ft_train_options_fini(&o);
}

/* run.json, which has more than options, is a configuration. */
static void what_a_run_wrote_down_runs_again(void **state)
{
    (void)state;
    static const char *const runs[] = {
        "{\"model\": \"m\", \"data\": \"d\", \"output\": \"o\"}",
        "{\"model\": \"m\", \"data\": \"d\", \"output\": \"o\", \"method\": \"full\"}",
        "{\"arch\": \"llama\", \"data\": \"d\", \"output\": \"o\", \"tokenizer\": \"t\","
        " \"layers\": 2, \"d_model\": 64, \"d_ff\": 128, \"heads\": 4}",
    };
    for (size_t i = 0; i < FT_COUNT(runs); i++) {
        struct ft_train_options o, again;
        struct ft_err err;
        ft_train_options_init(&o);
        ft_train_options_init(&again);
        assert_int_equal(from_json(&o, runs[i], &err), 0);
        assert_int_equal(ft_train_options_check(&o, &err), 0);
        json_t *all = ft_train_options_json(&o);
        json_object_set_new(all, "data_hash", json_string("x"));
        json_object_set_new(all, "now", json_integer(5));
        json_object_set_new(all, "n_valid", json_integer(1));
        const char *key;
        int rc = ft_train_options_set_json(&again, all, &key, &err);
        if (rc == 0)
            rc = ft_train_options_check(&again, &err);
        if (rc != 0)
            fail_msg("%s: %s", runs[i], err.msg);
        json_decref(all);
        ft_train_options_fini(&o);
        ft_train_options_fini(&again);
    }
}

static void every_option_has_help(void **state)
{
    (void)state;
    struct ft_train_option_help h;
    int n = 0;
    for (; ft_train_option_help(n, &h); n++) {
        assert_true(strlen(h.help) > 3);
        assert_non_null(h.group);
    }
    assert_true(n > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_set_every_kind),
        cmocka_unit_test(bad_values_are_refused_by_name),
        cmocka_unit_test(json_and_back),
        cmocka_unit_test(what_does_not_go_together_is_refused),
        cmocka_unit_test(defaults_depend_on_what_is_trained),
        cmocka_unit_test(what_a_run_wrote_down_runs_again),
        cmocka_unit_test(every_option_has_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
