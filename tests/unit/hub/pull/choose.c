/* What a source means, and which files of a listing make the model that was asked for. */
#include "hub/pull/impl.h"

#include "testing.h"

static struct ft_err err;

/* The chosen paths with commas, of a listing with commas; "" and err if nothing was chosen. */
static const char *chosen(const char *paths, const char *hint, enum ft_pull_form *ret_form)
{
    static char out[1024];
    char copy[1024], *save;
    struct ft_pull_list l = {0};
    out[0] = '\0';
    err.code = 0;
    snprintf(copy, sizeof copy, "%s", paths);
    for (char *p = strtok_r(copy, ",", &save); p != NULL; p = strtok_r(NULL, ",", &save))
        assert_int_equal(ft_pull_list_add(&l, p, 1, NULL, &err), 0);
    if (ft_pull_choose(&l, hint, ret_form, &err) == 0)
        for (int i = 0; i < l.n; i++)
            snprintf(out + strlen(out), sizeof out - strlen(out), "%s%s", i > 0 ? "," : "",
                     l.file[i].path);
    ft_pull_list_fini(&l);
    return out;
}

static void test_sources_are_read(void **state)
{
    (void)state;
    struct ft_pull_source s;
    assert_int_equal(ft_pull_source_parse("hf:Qwen/Qwen3@v1:a/b-Q4.gguf", &s, &err), 0);
    assert_int_equal(s.hub, FT_PULL_HF);
    assert_string_equal(s.repo, "Qwen/Qwen3");
    assert_string_equal(s.revision, "v1");
    assert_string_equal(s.file, "a/b-Q4.gguf");
    assert_int_equal(ft_pull_source_parse("ms:a/b", &s, &err), 0);
    assert_int_equal(s.hub, FT_PULL_MS);
    assert_string_equal(s.revision, "");
    assert_int_equal(ft_pull_source_parse("./hf:not", &s, &err), 0);
    assert_int_equal(s.hub, FT_PULL_LOCAL);
}

static void test_sources_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",         "hf:",      "hf:a",     "hf:/b",
                                      "hf:a/",    "hf:a/b/c", "hf:../b",  "hf:a/..",
                                      "hf:a b/c", "ms:a/b?",  "hf:a/b:\n"};
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_pull_source s;
        if (ft_pull_source_parse(bad[i], &s, &err) != FT_EINVAL)
            fail_msg("'%s' is taken", bad[i]);
    }
}

static void test_one_of_several_files(void **state)
{
    (void)state;
    enum ft_pull_form form;
    static const char many[] = "m-F16.gguf,m-Q4_K_M.gguf,m-Q4_K_S.gguf,m-Q8_0.gguf,mmproj.gguf";
    assert_string_equal(chosen("m.gguf,README.md", "", &form), "m.gguf");
    assert_int_equal(form, FT_PULL_GGUF);
    assert_string_equal(chosen(many, "", &form), "m-Q4_K_M.gguf");
    assert_string_equal(chosen(many, "q8_0", &form), "m-Q8_0.gguf");
    assert_string_equal(chosen(many, "m-F16.gguf", &form), "m-F16.gguf");
    assert_string_equal(chosen("m-Q4_K.gguf,m-Q4_K_M.gguf", "Q4_K", &form), "m-Q4_K.gguf");
    assert_string_equal(chosen(many, "Q4_K", &form), "");
    assert_int_equal(err.code, FT_EINVAL);
    assert_non_null(strstr(err.msg, "m-Q4_K_S.gguf"));
    assert_string_equal(chosen(many, "Q2_K", &form), "");
    assert_int_equal(err.code, FT_ENOTFOUND);
    assert_string_equal(chosen("a-X1.gguf,a-X2.gguf", "", &form), "");
    assert_int_equal(err.code, FT_EINVAL);
}

static void test_split_models_are_whole(void **state)
{
    (void)state;
    enum ft_pull_form form;
    static const char two[] =
        "Q4/m-00001-of-00002.gguf,Q4/m-00002-of-00002.gguf,Q8/m-00001-of-00001.gguf";
    static const char parts[] = "Q4/m-00001-of-00002.gguf,Q4/m-00002-of-00002.gguf";
    assert_string_equal(chosen(two, "Q4", &form), parts);
    assert_int_equal(form, FT_PULL_GGUF_SPLIT);
    assert_string_equal(chosen(two, "Q4/m-00002-of-00002.gguf", &form), parts);
    assert_string_equal(chosen("m-00001-of-00002.gguf", "", &form), "");
    assert_int_equal(err.code, FT_EUNSUPPORTED);
    assert_string_equal(chosen("m-00002-of-00002.gguf", "", &form), "");
    assert_int_equal(err.code, FT_EUNSUPPORTED);
}

static void test_folders(void **state)
{
    (void)state;
    enum ft_pull_form form;
    assert_string_equal(chosen("config.json,tokenizer.json,model.safetensors,consolidated."
                               "safetensors,x.onnx,sub/model.safetensors,README.md",
                               "", &form),
                        "config.json,model.safetensors,tokenizer.json");
    assert_int_equal(form, FT_PULL_FOLDER);
    assert_string_equal(chosen("config.json,model.safetensors", "", &form), "");
    assert_int_equal(err.code, FT_EUNSUPPORTED);
    assert_string_equal(chosen("pytorch_model.bin", "", &form), "");
    assert_int_equal(err.code, FT_EUNSUPPORTED);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".x", "-x", "a/b", "a b", "..", "\xe4\xbd\xa0"};
    char name[FT_PULL_NAME_MAX];
    struct ft_pull_list l = {0};
    assert_int_equal(ft_pull_list_add(&l, "Q4/big model-00001-of-00002.gguf", 1, NULL, &err), 0);
    ft_pull_name(&l, FT_PULL_GGUF_SPLIT, "x", name);
    assert_string_equal(name, "big-model");
    ft_pull_name(&l, FT_PULL_FOLDER, "Qwen/Qwen3-0.6B", name);
    assert_string_equal(name, "Qwen3-0.6B");
    ft_pull_list_fini(&l);
    assert_int_equal(ft_pull_name_check("Qwen3-0.6B_x", &err), 0);
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        assert_int_equal(ft_pull_name_check(bad[i], &err), FT_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sources_are_read),
        cmocka_unit_test(test_sources_that_are_none_are_refused),
        cmocka_unit_test(test_one_of_several_files),
        cmocka_unit_test(test_split_models_are_whole),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
