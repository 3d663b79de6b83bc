/* git's names of files, folders and commits: SHA-1 of their git objects, so that a revision has the
 * id that a clone of it would compute. Nothing relies on them for safety: content is named by
 * SHA-256. */
#include <nettle/sha1.h>
#include <stdio.h>
#include <string.h>

#include "hub/repo/impl.h"

static void object(const char *kind, const void *data, size_t n, uint8_t ret[SHA1_DIGEST_SIZE])
{
    struct sha1_ctx c;
    char head[48];
    int len = snprintf(head, sizeof head, "%s %zu", kind, n);
    sha1_init(&c);
    sha1_update(&c, (size_t)len + 1, (const uint8_t *)head); /* with its NUL */
    sha1_update(&c, n, data);
    sha1_digest(&c, SHA1_DIGEST_SIZE, ret);
}

void ft_repo_git_blob(const void *data, size_t n, char ret[FT_REPO_OID_BYTES])
{
    uint8_t digest[SHA1_DIGEST_SIZE];
    object("blob", data, n, digest);
    ft_hex(digest, sizeof digest, ret);
}

int ft_repo_pointer(const char *sha256, int64_t size, char ret[FT_REPO_POINTER_MAX])
{
    return snprintf(ret, FT_REPO_POINTER_MAX,
                    "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %lld\n",
                    sha256, (long long)size);
}

void ft_repo_git_pointer(const char *sha256, int64_t size, char ret[FT_REPO_OID_BYTES])
{
    char text[FT_REPO_POINTER_MAX];
    int n = ft_repo_pointer(sha256, size, text);
    ft_repo_git_blob(text, (size_t)n, ret);
}

int ft_repo_pointer_bytes(const struct ft_repo_file *f)
{
    char text[FT_REPO_POINTER_MAX];
    return ft_repo_pointer(f->sha256, f->size, text);
}

static void unhex(const char *hex, uint8_t ret[SHA1_DIGEST_SIZE])
{
    for (size_t i = 0; i < SHA1_DIGEST_SIZE; i++) {
        unsigned v = 0;
        sscanf(hex + 2 * i, "%2x", &v);
        ret[i] = (uint8_t)v;
    }
}

/* Paths in the order of bytes are in git's order too: it sorts a folder as if its name ended in
 * '/'. As deep as FT_REPO_DEPTH_MAX. */
int ft_repo_folder_oid(const struct ft_repo_file *files, int n, size_t n_prefix,
                       char ret[FT_REPO_OID_BYTES], struct ft_err *err)
{
    struct ft_buf b;
    uint8_t digest[SHA1_DIGEST_SIZE];
    int rc = 0;
    ft_buf_init(&b, (size_t)FT_REPO_FILES_MAX * (FT_REPO_PATH_MAX + 32));
    for (int i = 0; rc == 0 && i < n;) {
        const char *name = files[i].path + n_prefix, *slash = strchr(name, '/');
        size_t len = slash != NULL ? (size_t)(slash - name) : strlen(name);
        char oid[FT_REPO_OID_BYTES];
        int end = i + 1;
        while (slash != NULL && end < n && strncmp(files[end].path + n_prefix, name, len + 1) == 0)
            end++;
        if (slash != NULL)
            rc = ft_repo_folder_oid(files + i, end - i, n_prefix + len + 1, oid, err);
        else
            memcpy(oid, files[i].oid, sizeof oid);
        if (rc != 0)
            break;
        unhex(oid, digest);
        ft_buf_add_str(&b, slash != NULL ? "40000 " : "100644 ");
        ft_buf_add(&b, name, len);
        ft_buf_add_byte(&b, 0);
        ft_buf_add(&b, digest, sizeof digest);
        i = end;
    }
    if (rc == 0 && b.failed != 0)
        rc = ft_err_set(err, (enum ft_code)b.failed, "a folder is too large");
    if (rc == 0) {
        object("tree", b.len > 0 ? b.data : "", b.len, digest);
        ft_hex(digest, sizeof digest, ret);
    }
    ft_buf_fini(&b);
    return rc;
}

int ft_repo_git_commit(const char *tree, const struct ft_repo_tree *t, char ret[FT_REPO_OID_BYTES],
                       struct ft_err *err)
{
    struct ft_buf b;
    uint8_t digest[SHA1_DIGEST_SIZE];
    int rc = 0;
    ft_buf_init(&b, 4 * FT_REPO_SMALL_MAX);
    ft_buf_addf(&b, "tree %s\n", tree);
    if (t->parent[0] != '\0')
        ft_buf_addf(&b, "parent %s\n", t->parent);
    ft_buf_addf(&b, "author %s <%s@feitian> %lld +0000\n", t->author, t->author,
                (long long)t->date_s);
    ft_buf_addf(&b, "committer %s <%s@feitian> %lld +0000\n\n%s%s%s\n", t->author, t->author,
                (long long)t->date_s, t->title, t->message[0] != '\0' ? "\n\n" : "", t->message);
    if (b.failed != 0) {
        rc = ft_err_set(err, (enum ft_code)b.failed, "the commit's texts are too long");
    } else {
        object("commit", b.data, b.len, digest);
        ft_hex(digest, sizeof digest, ret);
    }
    ft_buf_fini(&b);
    return rc;
}
