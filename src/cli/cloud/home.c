/* HOME: paths, the supervisor's lock and what it wrote, credentials. */
#include "cli/cloud/home.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define SMALL_FILE_MAX 65536

static const char *const folders[] = {"", "run", "logs", "models", "adapters", "state", "journal"};

int ft_home_find(const char *given, struct ft_home *ret, struct ft_err *err)
{
    const char *from = given != NULL ? given : getenv("FEITIAN_HOME");
    char cwd[FT_HOME_BYTES];
    int n;
    if (from != NULL && from[0] == '\0')
        return ft_err_set(err, FT_EINVAL, "%s is empty", given != NULL ? "--home" : "FEITIAN_HOME");
    if (from == NULL) {
        const char *user = getenv("HOME");
        if (user == NULL || user[0] != '/')
            return ft_err_set(err, FT_EINVAL,
                              "where is the cloud's folder? Set FEITIAN_HOME (there is no HOME)");
        n = snprintf(ret->path, sizeof ret->path, "%s/.feitian", user);
    } else if (from[0] == '/') {
        n = snprintf(ret->path, sizeof ret->path, "%s", from);
    } else if (getcwd(cwd, sizeof cwd) == NULL) {
        return ft_err_sys(err, "the current folder");
    } else {
        n = snprintf(ret->path, sizeof ret->path, "%s/%s", cwd, from);
    }
    if (strchr(ret->path, ':') != NULL) /* it stands in lists of folders */
        return ft_err_set(err, FT_EINVAL, "%.400s: the path of the cloud's folder has a ':'",
                          ret->path);
    if (n >= (int)sizeof ret->path)
        return ft_err_set(err, FT_EINVAL, "the path of the cloud's folder is too long");
    for (size_t len = (size_t)n; len > 1 && ret->path[len - 1] == '/'; len--)
        ret->path[len - 1] = '\0';
    return 0;
}

const char *ft_home_at(const struct ft_home *h, const char *rest, char *ret)
{
    snprintf(ret, FT_HOME_PATH, "%s%s%s", h->path, rest[0] != '\0' ? "/" : "", rest);
    return ret;
}

/* Adds to what is wrong what may be done. */
static int cannot(const char *mend, struct ft_err *err)
{
    const struct ft_err why = *err;
    ft_err_set(err, why.code, "%.350s; %s", why.msg, mend);
    err->sys_errno = why.sys_errno;
    return err->code;
}

int ft_home_make(const struct ft_home *h, struct ft_err *err)
{
    char path[FT_HOME_PATH];
    for (size_t i = 0; i < FT_COUNT(folders); i++) {
        ft_home_at(h, folders[i], path);
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            ft_err_sys(err, "make the folder %s", path);
            return cannot("give another one by --home or FEITIAN_HOME", err);
        }
        if (access(path, R_OK | W_OK | X_OK) != 0) {
            ft_err_sys(err, "%s cannot be written", path);
            return cannot("it must belong to the user who runs feitian, or give another one by "
                          "--home or FEITIAN_HOME",
                          err);
        }
    }
    return 0;
}

int ft_home_lock(const struct ft_home *h, int *ret_fd, struct ft_err *err)
{
    char path[FT_HOME_PATH];
    ft_home_at(h, "run/lock", path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return ft_err_sys(err, "open %s", path);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &whole) == 0) {
        *ret_fd = fd;
        /* of one that was killed: whose process has that number now is nobody's to signal */
        unlink(ft_home_at(h, "run/up.json", path));
        return 0;
    }
    int rc = errno == EAGAIN || errno == EACCES ? 0 : ft_err_sys(err, "lock %s", path);
    close(fd);
    *ret_fd = -1;
    return rc;
}

int ft_home_up_write(const struct ft_home *h, const struct ft_home_up *up, struct ft_err *err)
{
    char path[FT_HOME_PATH];
    json_t *j = json_pack("{s:I,s:I,s:b,s:s,s:s}", "pid", (json_int_t)up->pid, "started",
                          (json_int_t)up->started_s, "ready", up->ready, "url", up->url, "version",
                          up->version);
    char *text = j != NULL ? json_dumps(j, JSON_INDENT(1)) : NULL;
    json_decref(j);
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "run/up.json: no memory");
    int rc = ft_file_put(ft_home_at(h, "run/up.json", path), text, strlen(text), err);
    free(text);
    return rc;
}

/* A small JSON object of HOME. FT_ENOTFOUND, FT_ECORRUPT. */
static int read_json(const struct ft_home *h, const char *name, json_t **ret, struct ft_err *err)
{
    char path[FT_HOME_PATH], *text;
    size_t n;
    int rc = ft_file_read(ft_home_at(h, name, path), SMALL_FILE_MAX, &text, &n, err);
    if (rc != 0)
        return rc;
    json_t *j = json_loadb(text, n, 0, NULL);
    free(text);
    if (!json_is_object(j)) {
        json_decref(j);
        return ft_err_set(err, FT_ECORRUPT, "%s is damaged", path);
    }
    *ret = j;
    return 0;
}

static void copy_text(const json_t *from, const char *name, char *ret, size_t n)
{
    const char *s = json_string_value(json_object_get(from, name));
    snprintf(ret, n, "%s", s != NULL ? s : "");
}

int ft_home_options_write(const struct ft_home *h, json_t *given, struct ft_err *err)
{
    char path[FT_HOME_PATH], *text = json_dumps(given, JSON_INDENT(1));
    json_decref(given);
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "run/options.json: no memory");
    int rc = ft_file_put(ft_home_at(h, "run/options.json", path), text, strlen(text), err);
    free(text);
    return rc;
}

json_t *ft_home_options(const struct ft_home *h)
{
    struct ft_err ignored = {0};
    json_t *j = NULL;
    return read_json(h, "run/options.json", &j, &ignored) == 0 ? j : json_object();
}

int ft_home_running(const struct ft_home *h, struct ft_home_up *ret, struct ft_err *err)
{
    char path[FT_HOME_PATH];
    json_t *j;
    *ret = (struct ft_home_up){0};
    int fd = open(ft_home_at(h, "run/lock", path), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : ft_err_sys(err, "open %s", path);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* asks, takes nothing */
    bool held = fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
    close(fd);
    if (!held)
        return 0;
    if (read_json(h, "run/up.json", &j, err) != 0)
        return 1; /* it has only just begun */
    ret->pid = json_integer_value(json_object_get(j, "pid"));
    ret->started_s = json_integer_value(json_object_get(j, "started"));
    ret->ready = json_is_true(json_object_get(j, "ready"));
    copy_text(j, "url", ret->url, sizeof ret->url);
    copy_text(j, "version", ret->version, sizeof ret->version);
    json_decref(j);
    return 1;
}

int ft_home_credentials(const struct ft_home *h, struct ft_home_credentials *ret,
                        struct ft_err *err)
{
    json_t *j;
    int rc = read_json(h, "credentials.json", &j, err);
    if (rc != 0)
        return rc;
    copy_text(j, "url", ret->url, sizeof ret->url);
    copy_text(j, "key", ret->key, sizeof ret->key);
    copy_text(j, "ca", ret->ca, sizeof ret->ca);
    json_decref(j);
    return 0;
}

int ft_home_credentials_move(const struct ft_home *h, const char *url, const char *ca,
                             struct ft_err *err)
{
    char path[FT_HOME_PATH];
    json_t *j;
    int rc = read_json(h, "credentials.json", &j, err);
    if (rc != 0)
        return rc == FT_ENOTFOUND ? 0 : rc;
    json_t *before = json_copy(j);
    json_object_set_new(j, "url", json_string(url));
    if (ca != NULL)
        json_object_set_new(j, "ca", json_string(ca));
    else
        json_object_del(j, "ca");
    char *text = json_equal(j, before) ? NULL : json_dumps(j, JSON_COMPACT);
    if (text != NULL) {
        mode_t mask = umask(077);
        rc = ft_file_put(ft_home_at(h, "credentials.json", path), text, strlen(text), err);
        umask(mask);
    }
    free(text);
    json_decref(before);
    json_decref(j);
    return rc;
}
