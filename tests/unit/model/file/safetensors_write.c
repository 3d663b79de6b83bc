/* safetensors files written and read again. */
#include "testing.h"

#include <jansson.h>
#include <stdatomic.h>

#include "base/file.h"
#include "model/file/safetensors.h"
#include "model/file/safetensors_write.h"

static char folder[64];

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/feitian-st-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int folder_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static struct ft_st_writer *opened(const char *stem, uint64_t shard_bytes)
{
    struct ft_st_writer *w = NULL;
    assert_int_equal(0, ft_st_writer_open(folder, stem, shard_bytes, NULL, &w, NULL));
    return w;
}

/* The tensors of a file. */
static struct ft_st_tensor *read_back(const char *name, struct ft_map *map, struct ft_arena *a,
                                      int *ret_n)
{
    char path[192];
    struct ft_err err;
    struct ft_st_tensor *t = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    *map = (struct ft_map){0};
    ft_arena_init(a, SIZE_MAX);
    if (ft_map_open(path, map, &err) != 0 || ft_st_read(map, a, &t, ret_n, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(0, (t[0].p - map->data) % 8); /* where there is one */
    return t;
}

static void test_what_was_written_is_read(void **state)
{
    (void)state;
    float x[6] = {1, -2, 3, 4, 5, 6.5f};
    uint16_t half[3] = {0x3f80, 1, 2};
    struct ft_st_writer *w = opened("one", 0);
    ft_st_put(w, "a \"quoted\" name", FT_F32, 2, (int64_t[]){2, 3});
    ft_st_put(w, "b", FT_BF16, 1, (int64_t[]){3});
    ft_st_put(w, "c", FT_F16, 3, (int64_t[]){1, 1, 1});
    assert_int_equal(0, ft_st_write(w, x, 5, NULL)); /* in pieces that are no whole numbers */
    assert_int_equal(0, ft_st_write(w, (char *)x + 5, sizeof x - 5, NULL));
    assert_int_equal(0, ft_st_write(w, half, sizeof half, NULL));
    assert_int_equal(0, ft_st_write(w, half, 2, NULL));
    assert_int_equal(0, ft_st_finish(w, NULL));
    ft_st_writer_close(w);
    struct ft_map map;
    struct ft_arena a;
    int n;
    struct ft_st_tensor *t = read_back("one.safetensors", &map, &a, &n);
    assert_int_equal(3, n);
    assert_string_equal("a \"quoted\" name", t[0].name);
    assert_string_equal("F32", t[0].dtype);
    assert_int_equal(2, t[0].dim[0]);
    assert_int_equal(3, t[0].dim[1]);
    assert_memory_equal(x, t[0].p, sizeof x);
    assert_string_equal("BF16", t[1].dtype);
    assert_memory_equal(half, t[1].p, sizeof half);
    assert_string_equal("F16", t[2].dtype);
    assert_int_equal(3, t[2].n_dims);
    ft_arena_fini(&a);
    ft_map_close(&map);
}

static void test_shards_and_their_index(void **state)
{
    (void)state;
    float x[64] = {0};
    struct ft_st_writer *w = opened("many", 100);
    static const int64_t rows[] = {10, 15, 1, 40, 2}; /* 40 + 60, 4, 160 alone, 8 */
    static const int shard[] = {1, 1, 2, 3, 4};
    for (int i = 0; i < 5; i++) {
        char name[] = "t0";
        name[1] = (char)('0' + i);
        ft_st_put(w, name, FT_F32, 1, &rows[i]);
    }
    for (int i = 0; i < 5; i++) {
        x[0] = (float)i;
        assert_int_equal(0, ft_st_write(w, x, (size_t)rows[i] * 4, NULL));
    }
    assert_int_equal(0, ft_st_finish(w, NULL));
    ft_st_writer_close(w);
    char path[192], want[64];
    snprintf(path, sizeof path, "%s/many.safetensors.index.json", folder);
    json_t *index = json_load_file(path, 0, NULL);
    assert_non_null(index);
    json_t *map = json_object_get(index, "weight_map");
    assert_int_equal(68 * 4, json_integer_value(json_object_get(json_object_get(index, "metadata"),
                                                                "total_size")));
    for (int i = 0; i < 5; i++) {
        char name[] = "t0";
        name[1] = (char)('0' + i);
        snprintf(want, sizeof want, "many-%05d-of-00004.safetensors", shard[i]);
        assert_string_equal(want, json_string_value(json_object_get(map, name)));
        struct ft_map file;
        struct ft_arena a;
        int n, found = 0;
        struct ft_st_tensor *t = read_back(want, &file, &a, &n);
        for (int k = 0; k < n; k++)
            if (strcmp(t[k].name, name) == 0) {
                float first;
                memcpy(&first, t[k].p, 4);
                assert_true(first == (float)i);
                found++;
            }
        assert_int_equal(1, found);
        ft_arena_fini(&a);
        ft_map_close(&file);
    }
    json_decref(index);
}

static void test_failures_are_said(void **state)
{
    (void)state;
    static const atomic_int stop = 1;
    struct ft_st_writer *w = NULL;
    struct ft_err err;
    float x = 0;
    assert_int_equal(0, ft_st_writer_open("/nowhere", "x", 0, NULL, &w, NULL));
    ft_st_put(w, "a", FT_F32, 1, (int64_t[]){1});
    assert_int_equal(FT_ENOTFOUND, ft_st_write(w, &x, 4, &err));
    ft_st_writer_close(w);
    assert_int_equal(0, ft_st_writer_open(folder, "x", 0, &stop, &w, NULL));
    ft_st_put(w, "a", FT_F32, 1, (int64_t[]){1});
    assert_int_equal(FT_ECANCELED, ft_st_write(w, &x, 4, &err));
    ft_st_writer_close(w);
    w = opened("x", 0);
    ft_st_put(w, "\xff", FT_F32, 1, (int64_t[]){1});
    assert_int_equal(FT_EINVAL, ft_st_write(w, &x, 4, &err));
    ft_st_writer_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_shards_and_their_index),
        cmocka_unit_test(test_failures_are_said),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
