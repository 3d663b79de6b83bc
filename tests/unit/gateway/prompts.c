/* labels: threads */
/* What was said: how much of it is kept, and that none outlives its project. */
#include "testing.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/watch/prompts.h"

static atomic_bool old_is_there;

static bool has_project(void *ctx, const char *project)
{
    (void)ctx;
    return strcmp(project, "here") == 0 || (strcmp(project, "old") == 0 && old_is_there);
}

static struct gw_prompts *opened(const char *home)
{
    struct gw_prompts *p = NULL;
    struct ft_err err = {0};
    assert_int_equal(gw_prompts_open(home, has_project, NULL, &p, &err), 0);
    return p;
}

static void put(struct gw_prompts *p, const char *project, const char *id)
{
    gw_prompts_put(p, project, id, json_pack("{s:s}", "prompt", "hello"), "answer", 6, false);
}

static bool is_kept(struct gw_prompts *p, const char *project, const char *id)
{
    json_t *o = gw_prompts_read(p, project, id);
    bool kept = o != NULL;
    json_decref(o);
    return kept;
}

/* Each close waits until all is written that was put. */
static void none_outlives_its_project(void **state)
{
    (void)state;
    char home[] = "/tmp/ft-prompts-XXXXXX", path[sizeof home + 32];
    assert_non_null(mkdtemp(home));
    old_is_there = true;
    struct gw_prompts *p = opened(home);
    put(p, "here", "a");
    put(p, "old", "b");
    gw_prompts_close(p);

    p = opened(home);
    assert_true(is_kept(p, "here", "a") && is_kept(p, "old", "b"));
    old_is_there = false; /* while nobody was told */
    gw_prompts_snapshot_end(p);
    put(p, "old", "c"); /* a call that ends later */
    put(p, "never", "d");
    gw_prompts_close(p);

    p = opened(home);
    assert_true(is_kept(p, "here", "a"));
    assert_false(is_kept(p, "old", "b") || is_kept(p, "old", "c") || is_kept(p, "never", "d"));
    gw_prompts_apply(p, "project", "here", NULL);
    gw_prompts_close(p);

    p = opened(home);
    assert_false(is_kept(p, "here", "a"));
    gw_prompts_close(p);
    snprintf(path, sizeof path, "%s/prompts", home);
    assert_int_equal(rmdir(path), 0); /* nothing is left in it */
    assert_int_equal(rmdir(home), 0);
}

static json_t *of(json_t *body)
{
    json_t *said = gw_prompt_of(body);
    json_decref(body);
    assert_non_null(said);
    return said;
}

static void what_is_long_is_cut(void **state)
{
    (void)state;
    static char text[3 * GW_PROMPT_BYTES + 1];
    for (size_t i = 0; i + 3 <= sizeof text - 1; i += 3)
        memcpy(text + i, "\xe6\xb8\xa9", 3);
    json_t *said =
        of(json_pack("{s:s,s:[s],s:s}", "model", "m", "messages", "short", "prompt", "x"));
    assert_int_equal(json_object_size(said), 2); /* not the model's name */
    assert_true(json_is_array(json_object_get(said, "messages")));
    json_decref(said);

    said = of(json_pack("{s:[s],s:s,s:s}", "messages", text, "prompt", "x", "input", text));
    assert_true(json_is_true(json_object_get(said, "cut")));
    const json_t *cut = json_object_get(said, "messages");
    assert_true(json_is_string(cut)); /* whole characters of its JSON */
    assert_in_range(json_string_length(cut), GW_PROMPT_BYTES - 2, GW_PROMPT_BYTES);
    assert_memory_equal(json_string_value(cut), "[\"\xe6", 3);
    assert_string_equal(json_string_value(json_object_get(said, "prompt")), "");
    json_decref(said);

    text[GW_PROMPT_BYTES - 3] =
        '\0'; /* "PROMPT_BYTES - 1" with its quotes: it fits, with room of 1 */
    said = of(json_pack("{s:s}", "prompt", text));
    assert_null(json_object_get(said, "cut"));
    json_decref(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_outlives_its_project),
        cmocka_unit_test(what_is_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
