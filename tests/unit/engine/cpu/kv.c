/* The cache's memory: sizes, moving blocks, giving pages back. What attention makes of the contents
 * is tested in attend.c. */
#include "testing.h"

#include "engine/cpu/cpu.h"

static struct ft_dev *dev_open(void)
{
    struct ft_dev *d = NULL;
    assert_int_equal(ft_dev_open(&ft_dev_cpu_ops, NULL, &d, NULL), 0);
    return d;
}

/* Resident pages of this process. */
static long resident(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long size = 0, rss = 0;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &size, &rss), 2);
    fclose(f);
    return rss;
}

static void block_bytes_follow_from_the_shape(void **state)
{
    (void)state;
    struct ft_dev *d = dev_open();
    struct ft_kv_layer qwen[28], none[2] = {{0}, {.state_bytes = 4096}};
    for (int i = 0; i < 28; i++)
        qwen[i] = (struct ft_kv_layer){8, 128, 128, false, 0};
    struct ft_kv_shape s = {28, FT_KV_F16, qwen, false};
    assert_int_equal(ft_dev_kv_block_bytes(d, &s), 28 * 8 * 32 * 256 * 2);
    s.type = FT_KV_F32;
    assert_int_equal(ft_dev_kv_block_bytes(d, &s), 28 * 8 * 32 * 256 * 4);
    s.type = FT_KV_Q8; /* and 2 bytes of scale for 32 elements */
    assert_int_equal(ft_dev_kv_block_bytes(d, &s), 28 * 8 * 32 * 256 * 34 / 32);
    struct ft_kv_layer mla = {1, 576, 512, true, 0}; /* stored once */
    s = (struct ft_kv_shape){1, FT_KV_F16, &mla, false};
    assert_int_equal(ft_dev_kv_block_bytes(d, &s), 32 * 576 * 2);
    s = (struct ft_kv_shape){2, FT_KV_F16, none, false}; /* no keys, no values: no space */
    assert_int_equal(ft_dev_kv_block_bytes(d, &s), 0);
    struct ft_kv *kv = NULL;
    assert_int_equal(ft_dev_kv_open(d, &s, 10, 3, &kv, NULL), 0);
    ft_dev_kv_release(d, kv, 1);
    ft_dev_kv_close(d, kv);
    ft_dev_close(d);
}

static void blocks_move_and_are_given_back(void **state)
{
    (void)state;
    struct ft_dev *d = dev_open();
    struct ft_kv_layer layer[2] = {{4, 64, 64, false, 100}, {0}};
    struct ft_kv_shape s = {2, FT_KV_F16, layer, false};
    struct ft_kv *kv = NULL;
    size_t bytes = ft_dev_kv_block_bytes(d, &s);
    enum { BLOCKS = 1 << 20, USED = 256 };
    assert_int_equal(ft_dev_kv_open(d, &s, BLOCKS, 2, &kv, NULL), 0); /* 32 GiB of addresses */
    uint8_t *a = malloc(bytes), *b = malloc(bytes);
    long before = resident();
    for (int i = 0; i < USED; i++) {
        for (size_t j = 0; j < bytes; j++)
            a[j] = (uint8_t)(j * 7 + (size_t)i);
        ft_dev_kv_write(d, kv, i, a);
    }
    ft_dev_kv_write(d, kv, BLOCKS - 1, a);
    long page = sysconf(_SC_PAGESIZE), full = (long)(USED * bytes) / page;
    assert_true(resident() - before >= full * 9 / 10);
    ft_dev_kv_copy(d, kv, 3, 200);
    ft_dev_kv_copy(d, kv, 5, 5);
    for (int i = 0; i < 2; i++) {
        int from = i == 0 ? 200 : 5, at = i == 0 ? 3 : 5;
        ft_dev_kv_read(d, kv, at, b);
        for (size_t j = 0; j < bytes; j++)
            assert_int_equal(b[j], (uint8_t)(j * 7 + (size_t)from));
    }
    ft_dev_kv_read(d, kv, 4, b); /* the neighbour is untouched */
    assert_int_equal(b[bytes - 1], (uint8_t)((bytes - 1) * 7 + 4));
    for (int i = 0; i < USED; i++)
        ft_dev_kv_release(d, kv, i);
    assert_true(resident() - before <= full / 10);
    free(a);
    free(b);
    ft_dev_kv_close(d, kv);
    ft_dev_close(d);
}

static void absurd_sizes_are_an_error(void **state)
{
    (void)state;
    struct ft_dev *d = dev_open();
    struct ft_kv_layer layer = {1 << 20, 1 << 20, 1 << 20, false, 0};
    struct ft_kv_shape s = {1, FT_KV_F32, &layer, false};
    struct ft_kv *kv = NULL;
    struct ft_err err;
    assert_true(ft_dev_kv_open(d, &s, 1 << 30, 0, &kv, &err) < 0);
    assert_non_null(strstr(err.msg, "cache"));
    layer = (struct ft_kv_layer){1, 1, 1, false, 0};
    assert_int_equal(ft_dev_kv_open(d, &s, -1, 0, &kv, &err), FT_EINVAL);
    assert_null(kv);
    ft_dev_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_bytes_follow_from_the_shape),
        cmocka_unit_test(blocks_move_and_are_given_back),
        cmocka_unit_test(absurd_sizes_are_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
