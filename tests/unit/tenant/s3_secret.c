/* Secrets of S3's clients: the file of the cloud is made once, and a key's secret is a function of
 * it, of the key's id and of its hash. */
#include "unit/tenant/rows.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tenant/s3_secret.h"

static char folder[64], path[128];

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/ft-s3-secret-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s3.secret", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* nothing else was left in it */
}

static void *open_one(void *ret)
{
    struct ft_err err = {.msg = ""};
    return ft_s3_master_open(path, ret, &err) == 0 ? ret : NULL;
}

static void test_the_file_is_made_once_whoever_comes(void **state)
{
    (void)state;
    uint8_t first[FT_S3_MASTER_BYTES], again[FT_S3_MASTER_BYTES];
    struct stat st;
    assert_non_null(open_one(first));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, FT_S3_MASTER_BYTES);
    assert_non_null(open_one(again));
    assert_memory_equal(first, again, sizeof first);
    unlink(path);
    assert_non_null(open_one(again));
    assert_memory_not_equal(first, again, sizeof first);
}

static void test_a_file_that_is_none_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[FT_S3_MASTER_BYTES];
    struct ft_err err = {.msg = ""};
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "short", 5), 5);
    close(fd);
    assert_int_equal(ft_s3_master_open(path, bytes, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "s3.secret"));
}

static void secret_of(struct ft_tenant *t, const char *key_secret, const uint8_t *master, char *ret)
{
    struct ft_tenant_ident *i = login(t, key_secret);
    ft_tenant_s3_secret(i, master, ret);
    ft_tenant_ident_unref(i);
}

/* python3: base64.urlsafe_b64encode(hmac.digest(bytes(range(32)), b"s3:key_1:" +
 * hashlib.sha256(b"sk-ft-aaaa").hexdigest().encode(), "sha256")) */
static void test_a_secret_is_a_function_of_key_and_cloud(void **state)
{
    (void)state;
    uint8_t master[FT_S3_MASTER_BYTES];
    char a[FT_S3_SECRET_BYTES], b[FT_S3_SECRET_BYTES];
    for (int i = 0; i < FT_S3_MASTER_BYTES; i++)
        master[i] = (uint8_t)i;
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p1", "{}");
    key(t, "key_1", "p1", "sk-ft-aaaa", "");
    key(t, "key_2", "p1", "sk-ft-bbbb", "");
    secret_of(t, "sk-ft-aaaa", master, a);
    assert_string_equal(a, "RZbdI5nxVEQoflkzg19LUpCeXEdutIcOaw907eVHpew");
    secret_of(t, "sk-ft-bbbb", master, b);
    assert_string_not_equal(a, b);
    key(t, "key_1", "p1", "sk-ft-rotated", "");
    secret_of(t, "sk-ft-rotated", master, b);
    assert_string_not_equal(a, b);
    key(t, "key_1", "p1", "sk-ft-aaaa", "");
    master[31] ^= 1;
    secret_of(t, "sk-ft-aaaa", master, b);
    assert_string_not_equal(a, b);
    for (int k = 0; k < 256; k++) { /* no option of a command's */
        master[0] = (uint8_t)k;
        secret_of(t, "sk-ft-aaaa", master, b);
        assert_true(isalnum((unsigned char)b[0]));
    }
    ft_tenant_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_file_is_made_once_whoever_comes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_that_is_none_is_refused, set_up, tear_down),
        cmocka_unit_test(test_a_secret_is_a_function_of_key_and_cloud),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
