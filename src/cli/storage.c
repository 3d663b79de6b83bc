/* See storage.h. */
#include "cli/storage.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "blob/dir/dir.h"
#include "blob/mem/mem.h"
#include "blob/s3/s3.h"

#define TLS           "s3://"
#define PLAIN         "s3+http://"
#define MEMORY_BYTES  ((int64_t)1 << 30)
#define KEYS_MAX      65536
#define ENDPOINT_MAX  512
#define USAGE_SECONDS 300 /* counting what an upstream keeps is listing all of it */

/* The keys of an upstream: a file that others can read gives them away. */
static int read_keys(const char *home, json_t **ret, struct ft_err *err)
{
    char path[4096], *text = NULL;
    struct stat st;
    size_t n;
    json_error_t at;
    snprintf(path, sizeof path, "%s/storage.json", home);
    int rc = ft_file_read(path, KEYS_MAX, &text, &n, err);
    if (rc != 0)
        return rc;
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        rc = ft_err_set(err, FT_EINVAL, "%s: others can read the keys in it: chmod 600", path);
    json_t *j = rc == 0 ? json_loadb(text, n, JSON_REJECT_DUPLICATES, &at) : NULL;
    explicit_bzero(text, n);
    free(text);
    if (rc == 0 && !json_is_object(j))
        rc = ft_err_set(err, FT_EINVAL, "%s: %s", path, j == NULL ? at.text : "not an object");
    if (rc != 0)
        json_decref(j);
    else
        *ret = j;
    return rc;
}

/* What stands behind a scheme; NULL: another one, or none. */
static const char *behind(const char *where, const char *scheme)
{
    size_t n = strlen(scheme);
    return strncmp(where, scheme, n) == 0 ? where + n : NULL;
}

static const char *text_of(const json_t *j, const char *name)
{
    return json_string_value(json_object_get(j, name));
}

static int open_s3(const char *scheme, const char *host, const char *home, struct ft_blob **ret,
                   struct ft_err *err)
{
    char endpoint[ENDPOINT_MAX];
    json_t *keys = NULL;
    int rc = read_keys(home, &keys, err);
    if (rc != 0)
        return rc;
    snprintf(endpoint, sizeof endpoint, "%s://%s", scheme, host);
    const struct ft_blob_s3_config c = {.endpoint = endpoint,
                                        .region = text_of(keys, "region"),
                                        .access_key = text_of(keys, "access_key_id"),
                                        .secret_key = text_of(keys, "secret_access_key"),
                                        .prefix = text_of(keys, "prefix"),
                                        .ca_file = text_of(keys, "ca_file"),
                                        .usage_seconds = USAGE_SECONDS};
    if (c.access_key == NULL || c.secret_key == NULL)
        rc = ft_err_set(err, FT_EINVAL, "%s/storage.json: %s: is missing", home,
                        c.access_key == NULL ? "access_key_id" : "secret_access_key");
    else
        rc = ft_blob_s3_open(&c, ret, err);
    json_decref(keys);
    return rc;
}

bool ft_storage_is_elsewhere(const char *where)
{
    return strcmp(where, "memory") == 0 || behind(where, TLS) != NULL ||
           behind(where, PLAIN) != NULL;
}

int ft_storage_check(const char *where, struct ft_err *err)
{
    const char *colon = strstr(where, "://");
    if (colon == NULL || memchr(where, '/', (size_t)(colon - where)) != NULL ||
        ft_storage_is_elsewhere(where))
        return 0;
    return ft_err_set(err, FT_EINVAL,
                      "storage: '%.200s': %.*s:// is not known: it is a folder, s3://HOST[:PORT] "
                      "or s3+http://HOST[:PORT]",
                      where, (int)FT_MIN(colon - where, 40), where);
}

int ft_storage_still_there(const char *where, struct ft_err *err)
{
    char path[4096];
    if (ft_storage_is_elsewhere(where))
        return 0;
    snprintf(path, sizeof path, "%s/index.db", where);
    return access(path, F_OK) == 0
               ? 0
               : ft_err_sys(err, "it was moved away while it was open: %s", path);
}

int ft_storage_open(const char *where, const char *home, struct ft_blob **ret, struct ft_err *err)
{
    if (strcmp(where, "memory") == 0)
        return ft_blob_mem_open(MEMORY_BYTES, ret, err);
    if (behind(where, TLS) != NULL)
        return open_s3("https", behind(where, TLS), home, ret, err);
    if (behind(where, PLAIN) != NULL)
        return open_s3("http", behind(where, PLAIN), home, ret, err);
    if (ft_storage_check(where, err) != 0)
        return err->code;
    const struct ft_blob_dir_config dir = {.path = where};
    return ft_blob_dir_open(&dir, ret, err);
}
