/* Repositories: names, commits, revisions, content once, conflicts, collection. In memory and in a
 * folder. */
/* labels: threads */
#include "hub/repo/impl.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>

#include "blob/dir/dir.h"
#include "blob/mem/mem.h"
#include "testing.h"

static struct ft_err err;
static struct ft_blob *blob;
static struct ft_repos *repos;
static struct ft_repo repo;
static int64_t later_s; /* how far the clock was set on */

static int64_t now_s(void *ctx)
{
    (void)ctx;
    return (int64_t)time(NULL) + later_s;
}

static char folder[64]; /* "": in memory */

static int setup(void **state)
{
    later_s = 0;
    folder[0] = '\0';
    if (*state != NULL) {
        strcpy(folder, "/tmp/ft_repo_XXXXXX");
        assert_non_null(mkdtemp(folder));
        const struct ft_blob_dir_config dir = {.path = folder};
        assert_int_equal(ft_blob_dir_open(&dir, &blob, &err), 0);
    } else {
        assert_int_equal(ft_blob_mem_open(0, &blob, &err), 0);
    }
    struct ft_repos_config c = {.blob = blob, .now_s = now_s};
    assert_int_equal(ft_repos_open(&c, &repos, &err), 0);
    assert_int_equal(ft_repo_create(repos, FT_REPO_MODEL, "team", "m", false, "ann", &repo, &err),
                     0);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    ft_repos_close(repos);
    ft_blob_close(blob);
    if (folder[0] != '\0')
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}

static struct ft_repo_op file_op(const char *path, const char *text)
{
    struct ft_repo_content c;
    struct ft_repo_op op = {.kind = FT_REPO_PUT, .path = path};
    assert_int_equal(ft_repo_content_put(repos, text, strlen(text), &c, &err), 0);
    memcpy(op.sha256, c.sha256, sizeof op.sha256);
    memcpy(op.oid, c.oid, sizeof op.oid);
    op.size = c.size;
    return op;
}

static int commit(const struct ft_repo *to, const char *parent, const struct ft_repo_op *ops, int n,
                  char id[FT_REPO_OID_BYTES])
{
    struct ft_repo_commit c = {.branch = "main",
                               .parent = parent,
                               .title = "change",
                               .message = "",
                               .author = "ann",
                               .ops = ops,
                               .n_ops = n};
    return ft_repo_commit(repos, to, &c, id, &err);
}

static void put(const struct ft_repo *to, const char *path, const char *text)
{
    char id[FT_REPO_OID_BYTES];
    struct ft_repo_op op = file_op(path, text);
    if (commit(to, NULL, &op, 1, id) != 0)
        fail_msg("%s: %s", path, err.msg);
}

/* The paths of a revision with commas. */
static const char *paths(const struct ft_repo *of, const char *rev)
{
    static char out[4096];
    char id[FT_REPO_OID_BYTES];
    const struct ft_repo_tree *t;
    out[0] = '\0';
    if (ft_repo_resolve(repos, of, rev, id, NULL, &err) != 0 ||
        ft_repo_tree(repos, of, id, &t, &err) != 0)
        return err.msg;
    for (int i = 0; i < t->n_files; i++)
        snprintf(out + strlen(out), sizeof out - strlen(out), "%s%s", i > 0 ? "," : "",
                 t->file[i].path);
    ft_repo_tree_unref(repos, t);
    return out;
}

static int count_key(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    (void)info;
    (void)prefix;
    ++*(int *)ctx;
    return 0;
}

static int stored(const char *prefix)
{
    int n = 0;
    bool more;
    struct ft_blob_list l = {.bucket = FT_REPO_BUCKET, .prefix = prefix, .max = 1000};
    assert_int_equal(ft_blob_list(blob, &l, false, count_key, &n, &more, &err), 0);
    return n;
}

static void test_a_new_one_is_empty_and_found_by_name(void **state)
{
    (void)state;
    struct ft_repo got;
    assert_string_equal(paths(&repo, "main"), "");
    assert_int_equal(ft_repo_get(repos, FT_REPO_MODEL, "team", "m", &got, &err), 0);
    assert_string_equal(got.uid, repo.uid);
    assert_int_equal(ft_repo_get(repos, FT_REPO_DATASET, "team", "m", &got, &err), FT_ENOTFOUND);
    assert_int_equal(ft_repo_why(&err), FT_REPO_NO_REPO);
    assert_int_equal(ft_repo_create(repos, FT_REPO_MODEL, "team", "m", false, "ann", &got, &err),
                     FT_EEXIST);
    assert_int_equal(ft_repo_why(&err), FT_REPO_IS_THERE);
}

static void test_bad_names_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      ".x",  "x.",       "a--b", "a..b", "a/b",
                                      "a.git", "a b", "\xc3\xa4", "..",   "x-"};
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        if (ft_repo_name_check("team", bad[i], &err) != FT_EINVAL)
            fail_msg("'%s' is taken", bad[i]);
    assert_int_equal(ft_repo_name_check("../x", "m", &err), FT_EINVAL);
    assert_int_equal(ft_repo_name_check("team", "Qwen2.5-0.5B_it", &err), 0);
}

static void test_commits_add_change_and_remove(void **state)
{
    (void)state;
    char first[FT_REPO_OID_BYTES], id[FT_REPO_OID_BYTES];
    struct ft_repo_op add[] = {file_op("b/x.txt", "one"), file_op("a.txt", "two"),
                               file_op("b-c", "three"), file_op("b/y/z", "four")};
    assert_int_equal(commit(&repo, NULL, add, 4, first), 0);
    assert_string_equal(paths(&repo, "main"), "a.txt,b-c,b/x.txt,b/y/z");
    struct ft_repo_op change[] = {{.kind = FT_REPO_DELETE_FOLDER, .path = "b/"},
                                  {.kind = FT_REPO_DELETE, .path = "a.txt"},
                                  file_op("b", "a file now")};
    assert_int_equal(commit(&repo, NULL, change, 3, id), 0);
    assert_string_equal(paths(&repo, "main"), "b,b-c");
    assert_string_equal(paths(&repo, first), "a.txt,b-c,b/x.txt,b/y/z");
    char half[8];
    snprintf(half, sizeof half, "%.7s", first);
    assert_string_equal(paths(&repo, half), "a.txt,b-c,b/x.txt,b/y/z");
    struct ft_repo_commit_head h;
    assert_int_equal(ft_repo_commit_head(repos, &repo, id, &h, &err), 0);
    assert_string_equal(h.parent, first);
    assert_string_equal(h.title, "change");
    assert_int_equal(h.number, 3);
}

static void test_paths_of_spaces_come_back(void **state)
{
    (void)state;
    put(&repo, "a", "1");
    put(&repo, " a", "2");
    put(&repo, " ", "3");
    put(&repo, "b /  c", "4");
    ft_repos_close(repos); /* with the trees that it has parsed */
    struct ft_repos_config c = {.blob = blob, .now_s = now_s};
    assert_int_equal(ft_repos_open(&c, &repos, &err), 0);
    assert_string_equal(paths(&repo, "main"), " , a,a,b /  c");
    struct ft_repos_collected done;
    later_s = 30 * 86400;
    assert_int_equal(ft_repos_collect(repos, NULL, &done, &err), 0);
    assert_string_equal(paths(&repo, "main"), " , a,a,b /  c");
}

static void test_ids_are_what_git_computes(void **state)
{
    (void)state;
    /* printf 'hello\n' | git hash-object --stdin; git mktree of d/hello and hello */
    char oid[FT_REPO_OID_BYTES];
    struct ft_repo_op op = file_op("hello", "hello\n");
    assert_string_equal(op.oid, "ce013625030ba8dba906f756967f9e9ca394464a");
    struct ft_repo_file files[2] = {{.path = "d/hello"}, {.path = "hello"}};
    strcpy(files[0].oid, op.oid);
    strcpy(files[1].oid, op.oid);
    assert_int_equal(ft_repo_folder_oid(files, 2, 0, oid, &err), 0);
    assert_string_equal(oid, "dc64f223252b0d052d5a93e13dc8a0b8081c051e");
    assert_int_equal(ft_repo_folder_oid(NULL, 0, 0, oid, &err), 0);
    assert_string_equal(oid, "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}

static void test_bad_paths_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "/a",     "a/",   "a//b",     "../a", "a/..", "./a",
                                      "a\nb", ".git/x", "a\\b", "a/.GIT/b", "\xff", "a\x7f"};
    char id[FT_REPO_OID_BYTES];
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_repo_op op = file_op(bad[i], "x");
        if (commit(&repo, NULL, &op, 1, id) != FT_EINVAL)
            fail_msg("'%s' is taken", bad[i]);
    }
    struct ft_repo_op both[] = {file_op("a", "x"), file_op("a/b", "y")};
    assert_int_equal(commit(&repo, NULL, both, 2, id), FT_EINVAL);
    assert_string_equal(paths(&repo, "main"), "");
}

static void test_what_is_missing_is_named(void **state)
{
    (void)state;
    char id[FT_REPO_OID_BYTES];
    struct ft_repo_op op = {.kind = FT_REPO_PUT, .path = "w", .size = 3, .lfs = true};
    memset(op.sha256, 'a', 64);
    assert_int_equal(commit(&repo, NULL, &op, 1, id), FT_ENOTFOUND);
    assert_int_equal(ft_repo_why(&err), FT_REPO_NO_CONTENT);
    struct ft_repo_op gone = {.kind = FT_REPO_DELETE, .path = "nowhere"};
    assert_int_equal(commit(&repo, NULL, &gone, 1, id), FT_ENOTFOUND);
    assert_int_equal(ft_repo_why(&err), FT_REPO_NO_FILE);
    assert_int_equal(ft_repo_resolve(repos, &repo, "nope", id, NULL, &err), FT_ENOTFOUND);
    assert_int_equal(ft_repo_why(&err), FT_REPO_NO_REVISION);
    assert_int_equal(ft_repo_resolve(repos, &repo, "../../x", id, NULL, &err), FT_ENOTFOUND);
}

static void test_an_overtaken_commit_is_told(void **state)
{
    (void)state;
    char head[FT_REPO_OID_BYTES], id[FT_REPO_OID_BYTES];
    assert_int_equal(ft_repo_resolve(repos, &repo, "main", head, NULL, &err), 0);
    struct ft_repo_op a = file_op("a", "1"), b = file_op("b", "2");
    assert_int_equal(commit(&repo, head, &a, 1, id), 0);
    assert_int_equal(commit(&repo, head, &b, 1, id), FT_EBUSY);
    assert_int_equal(ft_repo_why(&err), FT_REPO_HEAD_MOVED);
    assert_int_equal(commit(&repo, NULL, &b, 1, id), 0);
    assert_string_equal(paths(&repo, "main"), "a,b");
    assert_int_equal(commit(&repo, id, &b, 1, head), 0); /* nothing new: no commit */
    assert_string_equal(head, id);
}

static void *many_commits(void *ctx)
{
    char path[32];
    struct ft_err e = {0};
    for (int i = 0; i < 5; i++) {
        char id[FT_REPO_OID_BYTES];
        struct ft_repo_content c;
        snprintf(path, sizeof path, "%s-%d", (const char *)ctx, i);
        struct ft_repo_op op = {.kind = FT_REPO_PUT, .path = path};
        if (ft_repo_content_put(repos, path, strlen(path), &c, &e) != 0)
            return "content";
        memcpy(op.sha256, c.sha256, sizeof op.sha256);
        memcpy(op.oid, c.oid, sizeof op.oid);
        op.size = c.size;
        struct ft_repo_commit k = {
            .branch = "main", .title = "t", .message = "", .author = "ann", .ops = &op, .n_ops = 1};
        int rc;
        while ((rc = ft_repo_commit(repos, &repo, &k, id, &e)) == FT_EBUSY)
            ;
        if (rc != 0)
            return "commit";
    }
    return NULL;
}

static void test_commits_at_once_all_arrive(void **state)
{
    (void)state;
    pthread_t thread[4];
    static const char *const name[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, many_commits, (void *)name[i]);
    for (int i = 0; i < 4; i++) {
        void *wrong;
        pthread_join(thread[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(strlen(paths(&repo, "main")), 20 * 4 - 1);
}

static void test_branches_and_tags(void **state)
{
    (void)state;
    char id[FT_REPO_OID_BYTES];
    put(&repo, "a", "1");
    assert_int_equal(ft_repo_resolve(repos, &repo, "main", id, NULL, &err), 0);
    assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_TAG, "v1.0", id, false, &err), 0);
    assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_BRANCH, "dev/x", id, false, &err), 0);
    assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_TAG, "v1.0", id, false, &err),
                     FT_EEXIST);
    put(&repo, "b", "2");
    assert_string_equal(paths(&repo, "v1.0"), "a");
    assert_string_equal(paths(&repo, "refs/tags/v1.0"), "a");
    assert_string_equal(paths(&repo, "refs/heads/dev/x"), "a");
    assert_string_equal(paths(&repo, "HEAD"), "a,b");
    assert_int_equal(ft_repo_ref_delete(repos, &repo, FT_REPO_TAG, "v1.0", &err), 0);
    assert_int_equal(ft_repo_ref_delete(repos, &repo, FT_REPO_TAG, "v1.0", &err), FT_ENOTFOUND);
    assert_int_equal(ft_repo_ref_delete(repos, &repo, FT_REPO_BRANCH, "main", &err), FT_EINVAL);
    static const char *const bad[] = {
        "",     "../x",         "a..b",
        "-x",   "a b",          "x/",
        "HEAD", "refs/heads/x", "0123456789012345678901234567890123456789"};
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_TAG, bad[i], id, true, &err),
                         FT_EINVAL);
}

static void test_branches_without_history(void **state)
{
    (void)state;
    char id[FT_REPO_OID_BYTES], main[FT_REPO_OID_BYTES];
    struct ft_repo_commit_head head;
    const struct ft_repo_tree *t;
    put(&repo, "a", "1");
    put(&repo, "b", "2");
    assert_int_equal(ft_repo_squash(repos, &repo, "main", "all", "ann", id, &err), 0);
    assert_string_equal(paths(&repo, "main"), "a,b");
    assert_int_equal(ft_repo_resolve(repos, &repo, "main", main, NULL, &err), 0);
    assert_string_equal(main, id);
    assert_int_equal(ft_repo_commit_head(repos, &repo, id, &head, &err), 0);
    assert_string_equal(head.parent, "");
    assert_string_equal(head.title, "all");
    assert_int_equal(head.number, 1);
    assert_int_equal(ft_repo_tree(repos, &repo, id, &t, &err), 0);
    assert_string_equal(t->file[0].commit, id); /* none that goes */
    ft_repo_tree_unref(repos, t);
    put(&repo, "c", "3");
    assert_string_equal(paths(&repo, "main"), "a,b,c");
    assert_int_equal(ft_repo_squash(repos, &repo, "none", "all", "ann", id, &err), FT_ENOTFOUND);
    assert_int_equal(ft_repo_squash(repos, &repo, "main", "", "ann", id, &err), FT_EINVAL);

    assert_int_equal(ft_repo_branch_empty(repos, &repo, "bare", "ann", false, id, &err), 0);
    assert_string_equal(paths(&repo, "bare"), "");
    assert_int_equal(ft_repo_branch_empty(repos, &repo, "bare", "ann", false, id, &err), FT_EEXIST);
    assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_BRANCH, "refs/pr/1", id, false, &err),
                     FT_EUNSUPPORTED);
}

/* So the newest of many files' changes is found without reading their commits. */
static void test_a_file_knows_the_number_of_its_commit(void **state)
{
    (void)state;
    char id[FT_REPO_OID_BYTES], key[FT_REPO_KEY_MAX];
    struct ft_repo_commit_head head;
    const struct ft_repo_tree *t;
    put(&repo, "a", "1");
    put(&repo, " :7 b", "2"); /* reads like a number */
    put(&repo, "c", "3");
    for (int again = 0; again < 2; again++) {
        assert_int_equal(ft_repo_resolve(repos, &repo, "main", id, NULL, &err), 0);
        assert_int_equal(ft_repo_tree(repos, &repo, id, &t, &err), 0);
        assert_int_equal(t->n_files, 3);
        for (int i = 0; i < t->n_files; i++) {
            assert_int_equal(ft_repo_commit_head(repos, &repo, t->file[i].commit, &head, &err), 0);
            assert_int_equal(t->file[i].number, again == 0 ? head.number : 0);
        }
        assert_string_equal(t->file[0].path, " :7 b");
        ft_repo_tree_unref(repos, t);
        if (again > 0)
            break;
        /* as a document was before: without them */
        struct ft_blob_reader *in;
        struct ft_buf doc;
        ft_buf_init(&doc, 1 << 16);
        snprintf(key, sizeof key, "u/%s/commits/%s", repo.uid, id);
        assert_int_equal(ft_blob_open(blob, FT_REPO_BUCKET, key, NULL, &in, &err), 0);
        size_t n = (size_t)ft_blob_reader_info(in)->size;
        char *text = calloc(n + 1, 1);
        assert_int_equal(ft_blob_read(in, 0, text, n, &err), 0);
        ft_blob_close_reader(in);
        const char *p = strchr(text, '\n');
        ft_buf_add(&doc, text, (size_t)(p - text));
        for (; *p != '\0'; p++) {
            if (*p == ':' && p[1] != '7')
                p += 1 + strspn(p + 1, "0123456789");
            ft_buf_add(&doc, p, 1);
        }
        assert_true(doc.len < n);
        assert_int_equal(ft_repo_store(repos, key, doc.data, doc.len, NULL, &err), 0);
        ft_buf_fini(&doc);
        free(text);
        ft_repos_close(repos); /* with what it holds of trees */
        const struct ft_repos_config c = {.blob = blob, .now_s = now_s};
        assert_int_equal(ft_repos_open(&c, &repos, &err), 0);
    }
}

static void test_branches_have_a_number(void **state)
{
    (void)state;
    char id[FT_REPO_OID_BYTES], name[32];
    assert_int_equal(ft_repo_resolve(repos, &repo, "main", id, NULL, &err), 0);
    for (int i = 1; i < FT_REPO_REFS_MAX; i++) { /* main is one of them */
        snprintf(name, sizeof name, "b%d", i);
        assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_BRANCH, name, id, false, &err), 0);
    }
    assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_BRANCH, "more", id, false, &err),
                     FT_ELIMIT);
    assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_BRANCH, "b1", id, true, &err), 0);
    assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_TAG, "more", id, false, &err), 0);
    assert_int_equal(ft_repo_ref_delete(repos, &repo, FT_REPO_BRANCH, "b1", &err), 0);
    assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_BRANCH, "more", id, false, &err), 0);
}

static void test_content_is_stored_once_and_held_to_its_hash(void **state)
{
    (void)state;
    struct ft_repo other;
    struct ft_repo_writer *w;
    char sha[FT_REPO_SHA_BYTES];
    assert_int_equal(
        ft_repo_create(repos, FT_REPO_DATASET, "other", "d", true, "bob", &other, &err), 0);
    put(&repo, "x", "the same");
    put(&repo, "y", "the same");
    put(&other, "z", "the same");
    assert_int_equal(stored("c/"), 1);
    struct ft_repo_op op = file_op("x", "the same");
    memcpy(sha, op.sha256, sizeof sha);
    assert_int_equal(ft_repo_content_begin(repos, sha, 8, &w, &err), 0);
    assert_int_equal(ft_repo_content_write(w, "the same", 8, &err), 0);
    assert_int_equal(ft_repo_content_commit(w, &err), 0); /* there already */
    assert_int_equal(stored("c/"), 1);
    sha[0] = sha[0] == '0' ? '1' : '0';
    assert_int_equal(ft_repo_content_begin(repos, sha, 8, &w, &err), 0);
    assert_int_equal(ft_repo_content_write(w, "the same", 8, &err), 0);
    assert_int_equal(ft_repo_content_commit(w, &err), FT_ECORRUPT);
    assert_int_equal(ft_repo_why(&err), FT_REPO_SUM);
    assert_int_equal(stored("c/"), 1);
    assert_int_equal(ft_repo_content_begin(repos, op.sha256, 7, &w, &err), 0);
    assert_int_equal(ft_repo_content_write(w, "the same", 8, &err), FT_ECORRUPT);
    ft_repo_content_abort(w);
    assert_int_equal(ft_repo_content_begin(repos, "../../etc/passwd", 7, &w, &err), FT_EINVAL);
}

static void test_who_has_bytes(void **state)
{
    (void)state;
    struct ft_repo_op op = file_op("x", "mine");
    assert_int_equal(ft_repo_content_owned(repos, "team", op.sha256, &err), 0);
    assert_int_equal(ft_repo_content_own(repos, "team", op.sha256, 4, &err), 0);
    assert_int_equal(ft_repo_content_owned(repos, "team", op.sha256, &err), 1);
    assert_int_equal(ft_repo_content_owned(repos, "other", op.sha256, &err), 0);
    int64_t bytes;
    assert_int_equal(ft_repo_usage(repos, "team", &bytes, &err), 0);
    assert_int_equal(bytes, 4);
}

static void put_part(const char *sha, const char *id, int number, const char *text,
                     struct ft_blob_part *ret)
{
    struct ft_blob_writer *w;
    struct ft_blob_done done;
    assert_int_equal(ft_repo_parts_put(repos, sha, id, number, (int64_t)strlen(text), &w, &err), 0);
    assert_int_equal(ft_blob_put_write(w, text, strlen(text), &err), 0);
    assert_int_equal(ft_blob_put_commit(w, NULL, 0, &done, &err), 0);
    *ret = (struct ft_blob_part){.number = number};
    memcpy(ret->etag, done.etag, sizeof ret->etag);
}

static void test_content_in_parts(void **state)
{
    (void)state;
    /* printf 'onetwo' | sha256sum */
    const char *sha = "25b6746d5172ed6352966a013d93ac846e1110d5a25e8f183b5931f4688842a1";
    char id[FT_BLOB_UPLOAD_MAX + 1];
    struct ft_blob_part part[2];
    int64_t size;
    for (int wrong = 1; wrong >= 0; wrong--) {
        assert_int_equal(ft_repo_parts_begin(repos, sha, 6, id, &err), 0);
        put_part(sha, id, 2, wrong ? "tw0" : "two", &part[1]);
        put_part(sha, id, 1, "one", &part[0]);
        assert_int_equal(ft_repo_parts_complete(repos, sha, 6, id, part, 1, &err), FT_ECORRUPT);
        assert_int_equal(ft_repo_why(&err), FT_REPO_SUM); /* not all: the upload goes on */
        int rc = ft_repo_parts_complete(repos, sha, 6, id, part, 2, &err);
        assert_int_equal(rc, wrong ? FT_ECORRUPT : 0);
        assert_int_equal(ft_repo_content_head(repos, sha, &size, &err), !wrong);
        assert_int_equal(stored("s/"), 0);
    }
    assert_int_equal(size, 6);
}

static int count_upload(void *ctx, const struct ft_blob_upload *u, const char *prefix)
{
    (void)u;
    (void)prefix;
    ++*(int *)ctx;
    return 0;
}

static int uploads(void)
{
    int n = 0;
    bool more;
    struct ft_blob_list l = {.bucket = FT_REPO_BUCKET, .max = 1000};
    assert_int_equal(ft_blob_uploads(blob, &l, count_upload, &n, &more, &err), 0);
    return n;
}

static void test_parts_that_were_left_are_collected(void **state)
{
    (void)state;
    struct ft_repos_collected done;
    struct ft_blob_part part;
    char sha[FT_REPO_SHA_BYTES], id[FT_BLOB_UPLOAD_MAX + 1];
    for (int i = 0; i < 3; i++) {
        snprintf(sha, sizeof sha, "%064d", i);
        assert_int_equal(ft_repo_parts_begin(repos, sha, 6, id, &err), 0);
        put_part(sha, id, 1, "abc", &part);
    }
    assert_int_equal(ft_repos_collect(repos, NULL, &done, &err), 0);
    assert_int_equal(uploads(), 3);
    later_s = 2 * FT_REPO_GRACE_S;
    assert_int_equal(ft_repos_collect(repos, NULL, &done, &err), 0);
    assert_int_equal(uploads(), 0);
}

static void test_moves_leave_the_way(void **state)
{
    (void)state;
    struct ft_repo got, other;
    put(&repo, "a", "1");
    assert_int_equal(ft_repo_move(repos, &repo, "team", "n", &err), 0);
    assert_int_equal(ft_repo_get(repos, FT_REPO_MODEL, "team", "m", &got, &err), 0);
    assert_string_equal(got.name, "n");
    assert_string_equal(paths(&got, "main"), "a");
    assert_int_equal(ft_repo_create(repos, FT_REPO_MODEL, "team", "m", false, "ann", &other, &err),
                     0);
    assert_int_equal(ft_repo_get(repos, FT_REPO_MODEL, "team", "m", &got, &err), 0);
    assert_string_equal(got.uid, other.uid);
    assert_int_equal(ft_repo_move(repos, &repo, "team", "m", &err), FT_EEXIST);
    assert_int_equal(ft_repo_set_private(repos, &repo, true, &err), 0);
    assert_int_equal(ft_repo_get(repos, FT_REPO_MODEL, "team", "n", &got, &err), 0);
    assert_true(got.is_private);
}

static void collect(struct ft_repos_collected *ret)
{
    if (ft_repos_collect(repos, NULL, ret, &err) != 0)
        fail_msg("%s", err.msg);
}

static void test_a_deletion_with_a_bound(void **state)
{
    (void)state;
    struct ft_repos_collected done;
    struct ft_repo other, got;
    char own[64];
    int left = 3;
    assert_int_equal(
        ft_repo_create(repos, FT_REPO_MODEL, "team", "long", false, "ann", &other, &err), 0);
    for (int i = 0; i < 4; i++)
        put(&other, "a", i % 2 == 0 ? "even" : "odd");
    snprintf(own, sizeof own, "u/%s/", other.uid);
    int n = stored(own);
    assert_true(n > 3);
    assert_int_equal(ft_repo_delete(repos, &other, &left, &err), 0);
    assert_int_equal(left, 0);
    assert_int_equal(stored(own), n - 2); /* its name was the first */
    assert_int_equal(ft_repo_get(repos, FT_REPO_MODEL, "team", "long", &got, &err), FT_ENOTFOUND);
    later_s += 2 * FT_REPO_GRACE_S;
    collect(&done);
    assert_int_equal(stored(own), 0);
    left = 100;
    assert_int_equal(
        ft_repo_create(repos, FT_REPO_MODEL, "team", "short", false, "ann", &other, &err), 0);
    snprintf(own, sizeof own, "u/%s/", other.uid);
    n = stored(own);
    assert_int_equal(ft_repo_delete(repos, &other, &left, &err), 0);
    assert_int_equal(left, 100 - 1 - n);
    assert_int_equal(stored(own), 0);
}

static void test_collection_takes_what_nothing_holds(void **state)
{
    (void)state;
    struct ft_repos_collected done;
    char id[FT_REPO_OID_BYTES];
    struct ft_repo other;
    put(&repo, "kept", "kept");
    assert_int_equal(ft_repo_resolve(repos, &repo, "main", id, NULL, &err), 0);
    assert_int_equal(ft_repo_ref_set(repos, &repo, FT_REPO_BRANCH, "dev", id, false, &err), 0);
    struct ft_repo_op op = file_op("dev", "on a branch");
    struct ft_repo_commit c = {
        .branch = "dev", .title = "t", .message = "", .author = "a", .ops = &op, .n_ops = 1};
    assert_int_equal(ft_repo_commit(repos, &repo, &c, id, &err), 0);
    op = file_op("left", "never committed");
    assert_int_equal(
        ft_repo_create(repos, FT_REPO_MODEL, "team", "gone", false, "ann", &other, &err), 0);
    put(&other, "gone", "of a repository that goes");
    assert_int_equal(ft_repo_delete(repos, &other, NULL, &err), 0);
    assert_int_equal(ft_repo_ref_delete(repos, &repo, FT_REPO_BRANCH, "dev", &err), 0);
    assert_int_equal(stored("c/"), 4);
    collect(&done); /* all of it is young */
    assert_int_equal(done.contents, 0);
    assert_int_equal(stored("c/"), 4);
    later_s = 2 * FT_REPO_GRACE_S;
    assert_int_equal(ft_repo_content_head(repos, op.sha256, NULL, &err),
                     1); /* asked for just now */
    collect(&done);
    assert_int_equal(done.contents, 2);
    assert_int_equal(done.revisions, 1);
    assert_int_equal(stored("c/"), 2);
    assert_string_equal(paths(&repo, "main"), "kept");
    later_s = 4 * FT_REPO_GRACE_S;
    collect(&done);
    assert_int_equal(done.contents, 1);
    assert_int_equal(stored("c/"), 1);
    struct ft_blob_reader *in;
    assert_int_equal(ft_repo_content_open(repos, op.sha256, &in, &err), FT_ENOTFOUND);
    assert_int_equal(ft_repo_why(&err), FT_REPO_NO_CONTENT);
}

static void test_downloads_are_counted_and_saved(void **state)
{
    (void)state;
    int64_t all, month;
    later_s = 43230 - (int64_t)time(NULL) % 86400; /* in the midst of a minute, and of a day */
    ft_repo_count_download(repos, &repo, "key1");
    ft_repo_count_download(repos, &repo, "key1"); /* the same, at once */
    ft_repo_count_download(repos, &repo, "key2");
    assert_int_equal(ft_repos_save(repos, &err), 0);
    ft_repo_count_download(repos, &repo, "key3");
    assert_int_equal(ft_repo_downloads(repos, &repo, &all, &month, &err), 0);
    assert_int_equal(all, 3);
    assert_int_equal(month, 3);
    later_s += 40 * 86400;
    ft_repo_count_download(repos, &repo, "key1");
    assert_int_equal(ft_repos_save(repos, &err), 0);
    assert_int_equal(ft_repo_downloads(repos, &repo, &all, &month, &err), 0);
    assert_int_equal(all, 4);
    assert_int_equal(month, 1);
}

static atomic_bool no_more;

static void *save_all_the_time(void *arg)
{
    struct ft_err e;
    while (!atomic_load(&no_more))
        if (ft_repos_save(repos, &e) != 0)
            return "save";
    return arg;
}

static void test_what_is_being_saved_counts(void **state)
{
    (void)state;
    pthread_t t;
    void *wrong;
    int64_t all, month;
    char who[16];
    atomic_store(&no_more, false);
    assert_int_equal(pthread_create(&t, NULL, save_all_the_time, NULL), 0);
    for (int i = 1; i <= 2000; i++) {
        snprintf(who, sizeof who, "key%d", i);
        ft_repo_count_download(repos, &repo, who);
        assert_int_equal(ft_repo_downloads(repos, &repo, &all, &month, &err), 0);
        assert_int_equal(all, i);
    }
    atomic_store(&no_more, true);
    pthread_join(t, &wrong);
    assert_null(wrong);
}

static void test_a_broken_disk_changes_nothing(void **state)
{
    (void)state;
    char id[FT_REPO_OID_BYTES];
    put(&repo, "a", "1");
    struct ft_repo_op op = file_op("b", "2");
    ft_blob_mem_break(blob, true);
    assert_int_equal(commit(&repo, NULL, &op, 1, id), FT_EIO);
    ft_blob_mem_break(blob, false);
    assert_string_equal(paths(&repo, "main"), "a");
    assert_int_equal(commit(&repo, NULL, &op, 1, id), 0);
}

#define MEMORY(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST(f)                                                                                    \
    MEMORY(f),                                                                                     \
    {                                                                                              \
#f "_in_a_folder", f, setup, teardown, (void *)1                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_one_is_empty_and_found_by_name),
        TEST(test_bad_names_are_refused),
        TEST(test_commits_add_change_and_remove),
        TEST(test_paths_of_spaces_come_back),
        TEST(test_ids_are_what_git_computes),
        TEST(test_bad_paths_are_refused),
        TEST(test_what_is_missing_is_named),
        TEST(test_an_overtaken_commit_is_told),
        TEST(test_commits_at_once_all_arrive),
        TEST(test_branches_and_tags),
        TEST(test_branches_without_history),
        TEST(test_content_is_stored_once_and_held_to_its_hash),
        TEST(test_who_has_bytes),
        TEST(test_content_in_parts),
        TEST(test_parts_that_were_left_are_collected),
        TEST(test_moves_leave_the_way),
        TEST(test_collection_takes_what_nothing_holds),
        TEST(test_a_deletion_with_a_bound),
        TEST(test_downloads_are_counted_and_saved),
        TEST(test_what_is_being_saved_counts),
        MEMORY(test_a_file_knows_the_number_of_its_commit),
        MEMORY(test_branches_have_a_number),
        MEMORY(test_a_broken_disk_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
