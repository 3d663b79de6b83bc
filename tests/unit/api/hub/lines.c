/* The lines of a commit, and the objects of an LFS batch. */
#include "api/hub/lines.h"
#include "api/openai/json.h"

#include "testing.h"

#define HEADER "{\"key\":\"header\",\"value\":{\"summary\":\"s\"}}\n"
#define SHA    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct ft_err err;
static char stored[64];

static int store(void *ctx, const void *data, size_t n, struct ft_repo_content *ret,
                 struct ft_err *e)
{
    (void)ctx;
    (void)e;
    snprintf(stored, sizeof stored, "%.*s", (int)n, (const char *)data);
    *ret = (struct ft_repo_content){.size = (int64_t)n};
    return 0;
}

static int read_lines(struct ft_hub_lines *l, const char *text, size_t piece)
{
    *l = (struct ft_hub_lines){.store = store};
    ft_hub_lines_init(l);
    size_t n = strlen(text);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < n; at += piece)
        rc = ft_hub_lines_feed(l, text + at, FT_MIN(piece, n - at), &err);
    return rc != 0 ? rc : ft_hub_lines_end(l, &err);
}

static void test_all_kinds_in_any_pieces(void **state)
{
    (void)state;
    static const char text[] =
        "{\"key\":\"header\",\"value\":{\"summary\":\"s\",\"description\":\"d\","
        "\"parentCommit\":\"0123456789abcdef0123456789abcdef01234567\"}}\n"
        "{\"key\":\"file\",\"value\":{\"path\":\"a/b\",\"content\":\"aGVsbG8=\","
        "\"encoding\":\"base64\"}}\n\r\n"
        "{\"key\":\"lfsFile\",\"value\":{\"path\":\"w\",\"algo\":\"sha256\",\"oid\":\"" SHA
        "\",\"size\":7}}\n"
        "{\"key\":\"deletedFile\",\"value\":{\"path\":\"x\"}}\n"
        "{\"key\":\"deletedFolder\",\"value\":{\"path\":\"y/\"}}";
    for (size_t piece = 1; piece < sizeof text; piece += 13) {
        struct ft_hub_lines l;
        assert_int_equal(read_lines(&l, text, piece), 0);
        assert_string_equal(l.title, "s");
        assert_string_equal(l.message, "d");
        assert_string_equal(l.parent, "0123456789abcdef0123456789abcdef01234567");
        assert_int_equal(l.n_ops, 4);
        assert_string_equal(stored, "hello");
        assert_string_equal(l.op[0].path, "a/b");
        assert_int_equal(l.op[0].size, 5);
        assert_true(l.op[1].lfs);
        assert_string_equal(l.op[1].sha256, SHA);
        assert_int_equal(l.op[1].size, 7);
        assert_int_equal(l.op[2].kind, FT_REPO_DELETE);
        assert_int_equal(l.op[3].kind, FT_REPO_DELETE_FOLDER);
        ft_hub_lines_fini(&l);
    }
}

static void test_what_is_wrong_is_named_by_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "the commit has no header"},
        {"{\"key\":\"file\",\"value\":{\"path\":\"x\",\"content\":\"\"}}\n", "line 1"},
        {HEADER HEADER, "line 2: a second header"},
        {HEADER "{\"key\":\"file\",\"value\":{\"path\":\"../x\",\"content\":\"\"}}\n", "path"},
        {HEADER "{\"key\":\"file\",\"value\":{\"path\":\"x\"}}\n", "content"},
        {HEADER "{\"key\":\"file\",\"value\":{\"path\":\"x\",\"content\":\"\",\"encoding\":\"x\"}}",
         "encoding"},
        {HEADER "{\"key\":\"lfsFile\",\"value\":{\"path\":\"x\",\"oid\":\"ABC\"}}\n", "oid"},
        {HEADER "{\"key\":\"lfsFile\",\"value\":{\"path\":\"x\",\"oid\":\"" SHA
                "\",\"size\":-1}}\n",
         "size"},
        {"{\"key\":\"header\",\"value\":{\"summary\":\"s\",\"description\":5}}\n", "description"},
        {"{\"key\":\"header\",\"value\":{\"summary\":\"s\",\"parentCommit\":[]}}\n",
         "parentCommit"},
        {HEADER "{\"key\":\"deletedFile\",\"value\":{\"path\":5}}\n", "path"},
        {HEADER "{\"key\":\"file\",\"value\":{\"path\":\"x\",\"content\":\"\",\"encoding\":5}}\n",
         "encoding"},
        {HEADER "{\"key\":\"lfsFile\",\"value\":{\"path\":\"x\",\"oid\":\"" SHA "\",\"algo\":5}}\n",
         "algo"},
        {HEADER "{\"key\":\"other\",\"value\":{\"path\":\"x\"}}\n", "key"},
        {HEADER "[1]\n", "line 2"},
        {HEADER "\n\n{\"key\"\n", "line 4"},
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_hub_lines l;
        int rc = read_lines(&l, bad[i].text, 1000);
        if (rc != FT_EINVAL || strstr(err.msg, bad[i].says) == NULL)
            fail_msg("%s: %d %s", bad[i].text, rc, err.msg);
        ft_hub_lines_fini(&l);
    }
}

static void test_a_line_has_an_end(void **state)
{
    (void)state;
    struct ft_hub_lines l = {.store = store};
    char chunk[65536];
    int rc = 0;
    memset(chunk, ' ', sizeof chunk);
    ft_hub_lines_init(&l);
    for (size_t n = 0; rc == 0 && n <= FT_HUB_LINE_MAX; n += sizeof chunk)
        rc = ft_hub_lines_feed(&l, chunk, sizeof chunk, &err);
    assert_int_equal(rc, FT_ELIMIT);
    ft_hub_lines_fini(&l);
}

static int parse(const char *text, struct ft_hub_lfs_ask *ask)
{
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    int rc = ft_hub_lfs_parse(o, ask, &err);
    json_decref(o);
    return rc;
}

static void test_lfs_batches(void **state)
{
    (void)state;
    static struct ft_hub_lfs_ask ask;
    assert_int_equal(parse("{\"operation\":\"upload\",\"transfers\":[\"basic\",\"multipart\"],"
                           "\"hash_algo\":\"sha_256\",\"objects\":[{\"oid\":\"" SHA
                           "\",\"size\":5}]}",
                           &ask),
                     0);
    assert_true(ask.upload);
    assert_true(ask.multipart);
    assert_int_equal(ask.n, 1);
    assert_int_equal(ask.object[0].size, 5);
    static const char *const bad[] = {
        "{}",
        "{\"operation\":\"verify\",\"objects\":[]}",
        "{\"operation\":\"upload\"}",
        "{\"operation\":\"upload\",\"hash_algo\":\"md5\",\"objects\":[]}",
        "{\"operation\":\"upload\",\"hash_algo\":5,\"objects\":[]}",
        "{\"operation\":\"upload\",\"transfers\":\"basic\",\"objects\":[]}",
        "{\"operation\":\"upload\",\"transfers\":[5],\"objects\":[]}",
        "{\"operation\":\"upload\",\"objects\":[{\"oid\":\"x\",\"size\":5}]}",
        "{\"operation\":\"upload\",\"objects\":[{\"oid\":\"" SHA "\"}]}",
        "{\"operation\":\"upload\",\"objects\":[{\"oid\":\"" SHA "\",\"size\":-5}]}",
        "{\"operation\":\"upload\",\"objects\":[{\"oid\":\"" SHA
        "\",\"size\":9000000000000000000}]}",
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        if (parse(bad[i], &ask) != FT_EINVAL)
            fail_msg("%s is taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_kinds_in_any_pieces),
        cmocka_unit_test(test_what_is_wrong_is_named_by_its_line),
        cmocka_unit_test(test_a_line_has_an_end),
        cmocka_unit_test(test_lfs_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
