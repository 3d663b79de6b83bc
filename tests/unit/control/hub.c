/* Models of the hub: when the folder that was made local for one is removed. (The rest, with a
 * gateway: tests/integration/hub.py.) */
#include "fixture.h"

#include <sys/stat.h>

static void write_text(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(0, fchmod(fileno(f), mode));
    assert_int_equal(0, fclose(f));
}

static const char *at(const struct fixture *f, const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", f->ctl.home, name);
    return path;
}

static void make_folder(const struct fixture *f)
{
    mkdir(at(f, "rev"), 0700);
    write_text(at(f, "rev/m.gguf"), "x", 0600);
}

static bool is_there(const struct fixture *f, const char *name)
{
    struct stat st;
    return stat(at(f, name), &st) == 0;
}

static int put_model_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    json_t *body = json_pack("{s:s}", "path", ctx);
    int rc = ft_ctl_put_quiet(tx, "model", "m", body, err);
    json_decref(body);
    return rc;
}

static void what_a_model_names_is_kept(void **state)
{
    struct fixture *f = *state;
    struct ft_err err;
    char path[4096], folder[4096];
    snprintf(folder, sizeof folder, "%s", at(f, "rev"));
    make_folder(f);
    ft_ctl_hub_clear(&f->ctl, folder);
    assert_false(is_there(f, "rev"));
    static const char *const kept[] = {"rev", "rev/m.gguf"};
    for (size_t i = 0; i < FT_COUNT(kept); i++) {
        make_folder(f);
        snprintf(path, sizeof path, "%s", at(f, kept[i]));
        assert_int_equal(0, ft_state_tx(f->ctl.state, put_model_tx, path, &err));
        ft_ctl_hub_clear(&f->ctl, folder);
        assert_true(is_there(f, "rev/m.gguf"));
    }
    snprintf(path, sizeof path, "%s", at(f, "rev2/m.gguf")); /* beside it */
    assert_int_equal(0, ft_state_tx(f->ctl.state, put_model_tx, path, &err));
    ft_ctl_hub_clear(&f->ctl, folder);
    assert_false(is_there(f, "rev"));
}

static void only_its_own_word_makes_it_no_model(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *program;
        bool none;
    } all[] = {
        {"#!/bin/sh\necho 'no GGUF' >&2\nexit 1\n", true},
        {"#!/bin/sh\nkill -KILL $$\n", false}, /* as when memory ran out */
        {"#!/bin/sh\necho '{'\n", false},
    };
    for (size_t i = 0; i < FT_COUNT(all); i++) {
        char program[4096];
        json_t *row = NULL;
        bool none = !all[i].none;
        snprintf(program, sizeof program, "%s", at(f, "inspect"));
        write_text(program, all[i].program, 0700);
        f->opt.program = program;
        f->call.ctl = &f->ctl;
        assert_int_not_equal(0, ft_ctl_model_look(&f->call, "/nowhere", false, &none, &row));
        assert_int_equal(400, ft_oai_error_status(&f->call.error));
        assert_int_equal(all[i].none, none);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_model_names_is_kept, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(only_its_own_word_makes_it_no_model, fixture_open,
                                        fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
