/* task.json: written whole by a rename, not synced: a machine that lost its power lost the task
 * too. */
#include "sched/task_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"

#define FILE_BYTES_MAX 65536
#define VERSION        1

static const char *const GROUP[FT_CGROUP_KINDS] = {"memory", "cpu", "pids"};

static int write_whole(const char *path, const char *text, struct ft_err *err)
{
    char temp[FT_TASK_PATH_MAX + 16];
    snprintf(temp, sizeof temp, "%s.new", path);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return ft_err_sys(err, "%s", temp);
    int e = ft_file_write(fd, text, strlen(text), temp, NULL, err);
    close(fd);
    if (e == 0 && rename(temp, path) != 0)
        e = ft_err_sys(err, "%s", path);
    if (e != 0)
        unlink(temp);
    return e;
}

int ft_task_file_write(const char *dir, const struct ft_task_file *t, struct ft_err *err)
{
    char path[FT_TASK_PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s/task.json", dir, t->id) >= (int)sizeof path)
        return ft_err_set(err, FT_EINVAL, "path too long: %s", dir);
    json_t *j =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:b, s:{}}", "version",
                  VERSION, "id", t->id, "note", t->note, "boot", t->boot, "limits", t->limits,
                  "log", t->log, "log_bytes", (json_int_t)t->log_bytes, "pid", (json_int_t)t->pid,
                  "start_ticks", (json_int_t)t->start_ticks, "started_ns",
                  (json_int_t)t->started_ns, "outlives", t->outlives, "ready", t->ready, "groups");
    if (j == NULL)
        return ft_err_set(err, FT_EINVAL, "%s: what describes the task is not UTF-8", t->id);
    for (int k = 0; k < FT_CGROUP_KINDS; k++)
        if (t->group.path[k][0] != 0)
            json_object_set_new(json_object_get(j, "groups"), GROUP[k],
                                json_string(t->group.path[k]));
    char *text = json_dumps(j, JSON_INDENT(1));
    json_decref(j);
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "%s: out of memory", path);
    int e = write_whole(path, text, err);
    free(text);
    return e;
}

static bool get_string(const json_t *j, const char *key, char *ret, size_t n)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s != NULL && snprintf(ret, n, "%s", s) < (int)n;
}

static bool get_int(const json_t *j, const char *key, int64_t *ret)
{
    const json_t *v = json_object_get(j, key);
    *ret = json_integer_value(v);
    return json_is_integer(v) && *ret >= 0;
}

static bool parse(const json_t *j, struct ft_task_file *t)
{
    int64_t version, ticks;
    if (!get_int(j, "version", &version) || version != VERSION ||
        !get_string(j, "id", t->id, sizeof t->id) ||
        !get_string(j, "note", t->note, sizeof t->note) ||
        !get_string(j, "boot", t->boot, sizeof t->boot) ||
        !get_string(j, "limits", t->limits, sizeof t->limits) ||
        !get_string(j, "log", t->log, sizeof t->log) || !get_int(j, "log_bytes", &t->log_bytes) ||
        !get_int(j, "pid", &t->pid) || t->pid < 1 || t->pid > INT32_MAX ||
        !get_int(j, "start_ticks", &ticks) || !get_int(j, "started_ns", &t->started_ns))
        return false;
    t->start_ticks = (uint64_t)ticks;
    t->outlives = json_is_true(json_object_get(j, "outlives"));
    t->ready = json_is_true(json_object_get(j, "ready"));
    for (int k = 0; k < FT_CGROUP_KINDS; k++)
        get_string(json_object_get(j, "groups"), GROUP[k], t->group.path[k],
                   sizeof t->group.path[k]);
    return true;
}

int ft_task_file_read(const char *dir, const char *id, struct ft_task_file *ret_file,
                      struct ft_err *err)
{
    char path[FT_TASK_PATH_MAX], *text;
    size_t n;
    snprintf(path, sizeof path, "%s/%s/task.json", dir, id);
    int e = ft_file_read(path, FILE_BYTES_MAX, &text, &n, err);
    if (e != 0)
        return e;
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    memset(ret_file, 0, sizeof *ret_file);
    bool good = j != NULL && parse(j, ret_file) && strcmp(ret_file->id, id) == 0;
    json_decref(j);
    return good ? 0 : ft_err_set(err, FT_ECORRUPT, "%s: not a task's description", path);
}

void ft_task_folder_remove(const char *dir, const char *id)
{
    char path[FT_TASK_PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", dir, id) < (int)sizeof path)
        ft_folder_remove(path);
}
