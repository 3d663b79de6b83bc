/* A cloud's folder as members of a backup.
 *
 * Each store is copied as it is at one moment, and the moments are in the order in which records
 * and references move:
 *
 *   objects held       from now on no byte of an object is removed
 *   journal/           the table of running requests, then the journal: a record that leaves either
 *                      while they are copied has gone where is copied later. One that is in two
 *                      places is one: the store takes an id once
 *   state, index       both are held at one moment, then copied
 *   data files         those that the copied index knows
 *   all else           models, adapters, keys, settings: files that appear whole
 *
 * Left out is what is of this machine or this run (run/, logs/), what the gateway makes anew from
 * the store (snapshot, spend), and what is in the making (NAME.partial-PID). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/partial.h"
#include "blob/dir/dir.h"
#include "cli/cloud/backup.h"
#include "cli/cloud/up.h"
#include "state/copy.h"

#define DEPTH_MAX 64 /* of folders below the cloud's */
#define IN_FLIGHT "journal/inflight"

/* ---- members ---- */

/* A file under its name. One that is gone by now: 0, unless it must be there. */
static int add_file(const char *path, const char *name, bool must, struct ft_backup_out *o,
                    struct ft_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && !must)
        return 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        ft_err_sys(err, "open %s", path);
        if (fd >= 0)
            close(fd);
        return err->code;
    }
    int rc = S_ISREG(st.st_mode) ? ft_backup_file(o, name, fd, true, err) : 0;
    close(fd);
    return rc;
}

/* The moment of c, as member `name`; keep (may be NULL): the copy stays, there. */
static int add_database(const struct ft_backup_home *b, struct ft_sqlite_copy *c, const char *name,
                        const char *keep, struct ft_backup_out *o, struct ft_err *err)
{
    char path[FT_HOME_PATH];
    snprintf(path, sizeof path, "%.4000s/database", b->scratch);
    const char *to = keep != NULL ? keep : path;
    unlink(to);
    int rc = ft_sqlite_copy_write(c, to, b->interrupt, err);
    if (rc == 0 && chmod(to, 0600) != 0)
        rc = ft_err_sys(err, "%s", to);
    if (rc == 0)
        rc = add_file(to, name, true, o, err);
    if (keep == NULL)
        unlink(to);
    return rc;
}

/* ---- the walk over what is plain files ---- */

struct walk {
    const struct ft_backup_home *b;
    struct ft_backup_out *o; /* NULL: sizes are added up */
    bool of_journal;         /* but what runs; else all that no other part has */
    int64_t bytes;
    struct ft_err *err;
};

/* Is it what SQLite keeps beside a database (which is copied with what is in it)? Others may have
 * names that end so. */
static bool is_log_of_database(const char *path)
{
    static const char *const ends[] = {"-wal", "-shm", "-journal"};
    char of[FT_HOME_PATH];
    size_t n = strlen(path);
    for (size_t i = 0; i < FT_COUNT(ends); i++) {
        size_t m = strlen(ends[i]);
        if (n <= m || strcmp(path + n - m, ends[i]) != 0)
            continue;
        snprintf(of, sizeof of, "%.*s", (int)(n - m), path);
        int fd = open(of, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        bool is = fd >= 0 && ft_sqlite_is(fd);
        if (fd >= 0)
            close(fd);
        return is;
    }
    return false;
}

/* name: from the cloud's folder on. */
static bool is_left_out(const struct walk *w, const char *name, const char *path)
{
    static const char *const always[] = {"run",        "logs",           "blob",      "journal",
                                         "snapshot",   "spend",          "lock",      FT_UP_LAST,
                                         FT_RESTORING, "state/state.db", FT_UP_CONFIG};
    if (w->of_journal)
        return strcmp(name, IN_FLIGHT) == 0;
    for (size_t i = 0; i < FT_COUNT(always); i++)
        if (strcmp(name, always[i]) == 0)
            return true;
    if (strcmp(name, "models") == 0 && !w->b->models)
        return true;
    if (strcmp(name, "config.json") == 0 && w->b->config[0] != '\0')
        return true;
    return ft_partial_is(name) || is_log_of_database(path) || strcmp(path, w->b->where) == 0;
}

static int take_file(struct walk *w, const char *path, const char *name, const struct stat *st)
{
    struct ft_sqlite_copy *c = NULL;
    w->bytes += st->st_size;
    if (w->o == NULL)
        return 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool is_database = fd >= 0 && ft_sqlite_is(fd);
    if (fd >= 0)
        close(fd);
    if (!is_database)
        return add_file(path, name, false, w->o, w->err);
    int rc = ft_sqlite_copy_begin(path, &c, w->err);
    if (rc == 0)
        rc = add_database(w->b, c, name, NULL, w->o, w->err);
    ft_sqlite_copy_end(c);
    return rc;
}

static int take_link(struct walk *w, const char *path, const char *name)
{
    char target[FT_BACKUP_NAME_MAX];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (w->o == NULL || n <= 0)
        return 0;
    target[n] = '\0';
    return ft_backup_symlink(w->o, name, target, w->err);
}

static int no_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int walk(struct walk *w, const char *name, int depth);

static int walk_entry(struct walk *w, const char *folder, const char *entry, int depth)
{
    char name[FT_BACKUP_NAME_MAX], path[FT_HOME_PATH];
    struct stat st;
    if ((size_t)snprintf(name, sizeof name, "%s%s%s", folder, folder[0] != '\0' ? "/" : "",
                         entry) >= sizeof name ||
        (size_t)snprintf(path, sizeof path, "%s/%s", w->b->root, name) >= sizeof path)
        return ft_err_set(w->err, FT_ELIMIT, "%.300s...: the path is too long", name);
    if (is_left_out(w, name, path))
        return 0;
    if (lstat(path, &st) != 0) /* gone by now: no more of the cloud's */
        return errno == ENOENT ? 0 : ft_err_sys(w->err, "%s", path);
    if (S_ISDIR(st.st_mode))
        return walk(w, name, depth + 1);
    if (S_ISREG(st.st_mode))
        return take_file(w, path, name, &st);
    return S_ISLNK(st.st_mode) ? take_link(w, path, name) : 0; /* sockets and pipes are of a run */
}

/* depth: bounds the recursion. */
static int walk(struct walk *w, const char *name, int depth)
{
    char path[FT_HOME_PATH];
    struct dirent **entries = NULL;
    if (depth > DEPTH_MAX)
        return ft_err_set(w->err, FT_ELIMIT, "%.300s...: more than %d folders deep", name,
                          DEPTH_MAX);
    if ((size_t)snprintf(path, sizeof path, "%s/%s", w->b->root, name) >= sizeof path)
        return ft_err_set(w->err, FT_ELIMIT, "%.300s...: the path is too long", name);
    int rc = 0, n = scandir(path, &entries, no_dots, by_name);
    if (n < 0)
        return errno == ENOENT ? 0 : ft_err_sys(w->err, "read the folder %s", path);
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = walk_entry(w, name, entries[i]->d_name, depth);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* ---- objects ---- */

struct objects {
    const struct ft_backup_home *b;
    struct ft_backup_out *o;
    int64_t bytes;
};

static int add_bytes(void *ctx, const char *path, int64_t bytes, struct ft_err *err)
{
    struct objects *x = ctx;
    (void)path;
    (void)err;
    x->bytes += bytes;
    return 0;
}

static int add_object(void *ctx, const char *path, int64_t bytes, struct ft_err *err)
{
    struct objects *x = ctx;
    char from[FT_HOME_PATH], name[FT_BACKUP_NAME_MAX];
    struct stat st;
    if ((size_t)snprintf(from, sizeof from, "%s/%s", x->b->where, path) >= sizeof from)
        return ft_err_set(err, FT_ELIMIT, "%.300s...: the path is too long", from);
    snprintf(name, sizeof name, "blob/%s", path);
    int rc = add_file(from, name, true, x->o, err);
    if (rc == FT_ENOTFOUND)
        ft_err_set(err, FT_EBUSY,
                   "bytes of an object are not there: if the gateway was started anew just now, "
                   "try again; else 'feitian blob check' says which (%s)",
                   path);
    else if (rc == 0 && stat(from, &st) == 0 && st.st_size != bytes)
        rc = ft_err_set(err, FT_ECORRUPT,
                        "%s is damaged: it has %lld bytes in the place of %lld; 'feitian blob "
                        "check' says which object it is",
                        from, (long long)st.st_size, (long long)bytes);
    return rc;
}

static int add_objects(const struct ft_backup_home *b, const char *index, struct ft_backup_out *o,
                       struct ft_err *err)
{
    struct objects x = {.b = b, .o = o};
    return ft_blob_dir_files(index, add_object, &x, err);
}

int64_t ft_backup_home_bytes(const struct ft_backup_home *b)
{
    char path[FT_HOME_PATH];
    struct ft_err ignored = {0};
    struct walk w = {.b = b, .err = &ignored},
                journal = {.b = b, .of_journal = true, .err = &ignored};
    struct objects x = {.b = b};
    struct stat st;
    walk(&w, "", 0);
    walk(&journal, "journal", 0);
    int64_t all = w.bytes + journal.bytes;
    if (stat(ft_home_at(&b->home, "state/state.db", path), &st) == 0)
        all += st.st_size;
    snprintf(path, sizeof path, "%.4000s/index.db", b->where);
    if (b->objects && stat(path, &st) == 0) {
        all += st.st_size;
        ft_blob_dir_files(path, add_bytes, &x, &ignored);
    }
    return all + x.bytes;
}

/* ---- the whole ---- */

static int put_info(const struct ft_backup_home *b, struct ft_backup_out *o, struct ft_err *err)
{
    char made[32];
    time_t now = time(NULL);
    struct tm tm;
    strftime(made, sizeof made, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    json_t *j = json_pack("{s:i,s:s,s:s,s:s,s:s,s:b,s:b}", "format", FT_BACKUP_FORMAT, "feitian",
                          FT_VERSION, "made", made, "home", b->root, "storage", b->where, "objects",
                          b->objects, "models", b->models);
    char *text = j != NULL ? json_dumps(j, JSON_INDENT(1)) : NULL;
    json_decref(j);
    if (text == NULL)
        return ft_err_set(err, FT_EINVAL, "the path of the cloud's folder is not UTF-8");
    int rc = ft_backup_put(o, "BACKUP", text, strlen(text), err);
    free(text);
    return rc;
}

/* State and index, as they are now, both. */
static int add_stores(const struct ft_backup_home *b, const char *index, struct ft_backup_out *o,
                      struct ft_err *err)
{
    char state[FT_HOME_PATH], objects[FT_HOME_PATH];
    struct ft_sqlite_copy *of_state = NULL, *of_index = NULL;
    snprintf(objects, sizeof objects, "%.4000s/index.db", b->where);
    int rc = ft_sqlite_copy_begin(ft_home_at(&b->home, "state/state.db", state), &of_state, err);
    if (rc == 0 && b->objects)
        rc = ft_sqlite_copy_begin(objects, &of_index, err);
    if (rc == 0)
        rc = add_database(b, of_state, "state/state.db", NULL, o, err);
    ft_sqlite_copy_end(of_state);
    if (rc == 0 && b->objects)
        rc = add_database(b, of_index, "blob/index.db", index, o, err);
    ft_sqlite_copy_end(of_index);
    return rc;
}

int ft_backup_home_write(const struct ft_backup_home *b, bool running, struct ft_backup_out *o,
                         struct ft_err *err)
{
    char index[FT_HOME_PATH], in_flight[FT_HOME_PATH];
    struct ft_backup_hold *hold = NULL;
    struct walk rest = {.b = b, .o = o, .err = err};
    struct walk journal = {.b = b, .o = o, .of_journal = true, .err = err};
    snprintf(index, sizeof index, "%.4000s/index", b->scratch);
    int rc = put_info(b, o, err);
    if (rc == 0 && running && b->objects)
        rc = ft_backup_hold_begin(&b->home, &hold, err);
    if (rc == 0)
        rc = add_file(ft_home_at(&b->home, IN_FLIGHT, in_flight), IN_FLIGHT, false, o, err);
    if (rc == 0)
        rc = walk(&journal, "journal", 1);
    if (rc == 0)
        rc = add_stores(b, index, o, err);
    if (rc == 0 && b->objects)
        rc = add_objects(b, index, o, err);
    ft_backup_hold_end(hold);
    unlink(index);
    if (rc == 0 && b->config[0] != '\0')
        rc = add_file(b->config, "config.json", true, o, err);
    return rc == 0 ? walk(&rest, "", 0) : rc;
}
