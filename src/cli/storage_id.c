/* Which store is the cloud's: its id, a document of a hidden bucket in the store, is also in
 * HOME/storage.id, with where it was. A cloud that was started with another --storage would show an
 * empty store otherwise, and write into it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/log.h"
#include "cli/storage.h"

#define BUCKET   ".cloud"
#define DOCUMENT "id"
#define ID_BYTES 33 /* hex, with the NUL */
#define FILE_MAX 16384
#define TEXT_MAX 4096

struct known {
    char path[TEXT_MAX]; /* HOME/storage.id */
    bool any;
    char id[ID_BYTES], where[TEXT_MAX];
};

static int read_known(const char *home, struct known *k, struct ft_err *err)
{
    char *text = NULL;
    size_t n;
    snprintf(k->path, sizeof k->path, "%s/storage.id", home);
    int rc = ft_file_read(k->path, FILE_MAX, &text, &n, err);
    if (rc == FT_ENOTFOUND || (rc != 0 && access(k->path, F_OK) != 0))
        return 0;
    if (rc != 0)
        return rc;
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    const char *id = json_string_value(json_object_get(j, "id"));
    const char *where = json_string_value(json_object_get(j, "where"));
    k->any = id != NULL && where != NULL;
    if (k->any) {
        snprintf(k->id, sizeof k->id, "%s", id);
        snprintf(k->where, sizeof k->where, "%s", where);
    }
    json_decref(j);
    free(text);
    return k->any ? 0
                  : ft_err_set(err, FT_ECORRUPT,
                               "%s is damaged: remove it to accept what is at the "
                               "cloud's --storage",
                               k->path);
}

static int write_known(const struct known *k, const char *id, const char *where, struct ft_err *err)
{
    json_t *j = json_pack("{s:s,s:s}", "id", id, "where", where);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (text == NULL)
        return ft_err_set(err, FT_EINVAL, "--storage: the path is not UTF-8, or no memory");
    int rc = ft_file_put(k->path, text, strlen(text), err);
    free(text);
    return rc;
}

/* "" where the store has none yet. */
static int read_id(struct ft_blob *b, char ret[ID_BYTES], struct ft_err *err)
{
    struct ft_buf text;
    struct ft_err why = {0};
    ft_buf_init(&text, ID_BYTES);
    ret[0] = '\0';
    int rc = ft_blob_bucket_config(b, BUCKET, DOCUMENT, &text, &why);
    if (rc == 1)
        snprintf(ret, ID_BYTES, "%.*s", (int)text.len, text.data);
    ft_buf_fini(&text);
    if (rc >= 0 || ft_blob_why(&why) == FT_BLOB_NO_BUCKET)
        return 0;
    *err = why;
    return rc;
}

static int draw_id(struct ft_blob *b, char ret[ID_BYTES], struct ft_err *err)
{
    uint8_t bytes[(ID_BYTES - 1) / 2];
    struct ft_err there = {0};
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return ft_err_sys(err, "draw the store's id");
    ft_hex(bytes, sizeof bytes, ret);
    int rc = ft_blob_bucket_create(b, BUCKET, "", &there);
    if (rc != 0 && rc != FT_EEXIST) {
        *err = there;
        return rc;
    }
    return ft_blob_bucket_set(b, BUCKET, DOCUMENT, ret, err);
}

static int settle(struct ft_blob *b, const char *where, const char *home, struct ft_err *err)
{
    struct known *k = calloc(1, sizeof *k);
    char id[ID_BYTES];
    if (k == NULL)
        return ft_err_set(err, FT_ENOMEM, "storage: no memory");
    int rc = read_known(home, k, err);
    if (rc == 0)
        rc = read_id(b, id, err);
    if (rc == 0 && k->any && strcmp(k->id, id) != 0)
        rc = ft_err_set(err, FT_EINVAL,
                        "%.130s is not the store that this cloud had, which was at %.130s: start "
                        "it with --storage of that one, or, to accept this, remove %.130s",
                        where, k->where, k->path);
    if (rc == 0 && id[0] == '\0')
        rc = draw_id(b, id, err);
    if (rc == 0 && (!k->any || strcmp(k->where, where) != 0))
        rc = write_known(k, id, where, err);
    free(k);
    return rc;
}

int ft_storage_open_own(const char *where, const char *home, struct ft_blob **ret,
                        struct ft_err *err)
{
    struct ft_blob *b = NULL;
    int rc = ft_storage_open(where, home, &b, err);
    if (rc == 0 && strcmp(where, "memory") != 0) /* that is another one at every start */
        rc = settle(b, where, home, err);
    if (rc == 0)
        *ret = b;
    else if (b != NULL)
        ft_blob_close(b);
    return rc;
}
