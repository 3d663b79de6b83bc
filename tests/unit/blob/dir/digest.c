/* MD5 beside the writing is MD5, however the bytes come and however many streams there are. */
/* labels: threads */
#include "blob/dir/digest.h"

#include <pthread.h>

#include "base/rand.h"

#include "testing.h"

#define STREAMS 12
#define BYTES   2000000

static struct ft_digest_pool pool;
static uint8_t bytes[BYTES], want[MD5_DIGEST_LENGTH];

static void *stream(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    uint8_t got[MD5_DIGEST_LENGTH];
    struct ft_digest d;
    ft_digest_init(&d, &pool);
    for (size_t at = 0, i = 0; at < BYTES; i++) {
        size_t max = ft_rand_u64(seed, 1, i) % 3 == 0 ? 400000 : 3000;
        size_t n = FT_MIN(ft_rand_u64(seed, 2, i) % max, BYTES - at);
        ft_digest_add(&d, bytes + at, n);
        at += n;
    }
    ft_digest_end(&d, got);
    assert_memory_equal(got, want, sizeof got);
    /* one that is given up half way */
    ft_digest_init(&d, &pool);
    ft_digest_add(&d, bytes, BYTES / 2 + (size_t)seed);
    ft_digest_end(&d, got);
    ft_digest_end(&d, got);
    return NULL;
}

static void any_pieces_many_streams(void **state)
{
    struct ft_err err = {.msg = ""};
    pthread_t t[STREAMS];
    MD5_CTX md5;
    (void)state;
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (uint8_t)ft_rand_mix(i);
    MD5_Init(&md5);
    MD5_Update(&md5, bytes, BYTES);
    MD5_Final(want, &md5);
    assert_int_equal(ft_digest_pool_open(&pool, &err), 0);
    for (uintptr_t i = 0; i < STREAMS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, stream, (void *)i), 0);
    for (int i = 0; i < STREAMS; i++)
        pthread_join(t[i], NULL);
    ft_digest_pool_close(&pool);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(any_pieces_many_streams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
