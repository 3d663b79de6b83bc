/* feitian support-bundle: what somebody needs who is to find out why a cloud does not do what it
 * should, in one tar.gz. Nothing leaves this machine by it.
 *
 * Every text passes a scrubber before it is written: what the cloud's own files and the environment
 * hold as secrets, and whatever has the form of a key, is taken out (support_scrub.c). Files that
 * are secrets are not read into it at all. A part that cannot be had says why in its place. */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/cloud/show.h"
#include "cli/cloud/support.h"
#include "state/state.h"

#define PART_BYTES ((size_t)8 << 20) /* of one part */
#define LOG_BYTES  (256 << 10)       /* the end of each log */
#define LOGS_MAX   80
#define FILE_BYTES (256 << 10)
#define REQUESTS   100
#define LINE_MAX_B 4096

struct bundle {
    struct ft_home home;
    struct archive *tar;
    struct ft_scrub scrub;
    char root[64]; /* the folder in it */
    int n;
};

static int add(struct bundle *b, const char *name, const char *text, size_t n, struct ft_err *err)
{
    struct ft_buf clean;
    char path[256];
    ft_buf_init(&clean, 4 * PART_BYTES);
    ft_scrub_text(&b->scrub, text, n, &clean);
    if (clean.failed != 0) { /* half a part looks like a whole one */
        ft_buf_fini(&clean);
        return ft_err_set(err, FT_ENOMEM, "write %s: no memory for it", name);
    }
    snprintf(path, sizeof path, "%s/%s", b->root, name);
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, path);
    archive_entry_set_size(e, (la_int64_t)clean.len);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0600);
    archive_entry_set_mtime(e, time(NULL), 0);
    int rc = archive_write_header(b->tar, e) >= ARCHIVE_WARN &&
                     archive_write_data(b->tar, clean.data, clean.len) == (la_ssize_t)clean.len
                 ? 0
                 : ft_err_set(err, FT_EIO, "write %s: %s", name, archive_error_string(b->tar));
    archive_entry_free(e);
    ft_buf_fini(&clean);
    b->n += rc == 0;
    return rc;
}

static int add_trouble(struct bundle *b, const char *name, const struct ft_err *why,
                       struct ft_err *err)
{
    char text[FT_ERR_MSG_MAX + 64];
    int n = snprintf(text, sizeof text, "could not be had: %s\n", why->msg);
    return add(b, name, text, (size_t)n, err);
}

/* ---- of this machine ---- */

/* A command of ours, its standard output. */
static int add_command(struct bundle *b, const char *name, const char *words, struct ft_err *err)
{
    char self[4096], line[2 * FT_HOME_PATH], *text = malloc(PART_BYTES);
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len < 0 || text == NULL) {
        free(text);
        return ft_err_set(err, FT_ENOMEM, "no memory");
    }
    self[len] = '\0';
    setenv("FEITIAN_HOME", b->home.path, 1);
    snprintf(line, sizeof line, "'%s' %s 2>&1", self, words);
    FILE *f = strchr(self, '\'') == NULL ? popen(line, "re") : NULL;
    size_t n = f != NULL ? fread(text, 1, PART_BYTES, f) : 0;
    if (f != NULL)
        pclose(f);
    int rc = add(b, name, text, n, err);
    free(text);
    return rc;
}

/* The last `most` bytes of a file, from the beginning of a line. */
static int add_tail(struct bundle *b, const char *name, const char *path, long most,
                    struct ft_err *err)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    char *text = malloc((size_t)most);
    size_t n = 0;
    bool cut = false;
    if (text != NULL && fseek(f, 0, SEEK_END) == 0) {
        long size = ftell(f);
        cut = size > most;
        if (fseek(f, cut ? size - most : 0, SEEK_SET) == 0)
            n = fread(text, 1, (size_t)most, f);
    }
    fclose(f);
    const char *from = cut && n > 0 ? memchr(text, '\n', n) : NULL;
    size_t skip = from != NULL ? (size_t)(from + 1 - text) : 0;
    int rc = text != NULL ? add(b, name, text + skip, n - skip, err) : 0;
    free(text);
    return rc;
}

static int add_machine(struct bundle *b, struct ft_err *err)
{
    static const char *const files[] = {"/proc/meminfo", "/proc/loadavg", "/proc/cpuinfo",
                                        "/etc/os-release", "/proc/self/limits"};
    struct ft_buf out;
    struct utsname u;
    ft_buf_init(&out, PART_BYTES);
    if (uname(&u) == 0)
        ft_buf_addf(&out, "%s %s %s %s\n", u.sysname, u.release, u.version, u.machine);
    for (size_t i = 0; i < FT_COUNT(files); i++) {
        char line[LINE_MAX_B];
        FILE *f = fopen(files[i], "re");
        ft_buf_addf(&out, "\n== %s\n", files[i]);
        /* of many processors the first says it all */
        for (int k = 0; f != NULL && k < 60 && fgets(line, sizeof line, f) != NULL; k++)
            ft_buf_add_str(&out, line);
        if (f != NULL)
            fclose(f);
    }
    int rc = add(b, "machine.txt", out.data, out.len, err);
    ft_buf_fini(&out);
    return rc;
}

static int add_logs(struct bundle *b, struct ft_err *err)
{
    char dir[FT_HOME_PATH], path[FT_HOME_PATH + 256], name[320];
    DIR *d = opendir(ft_home_at(&b->home, "logs", dir));
    int rc = 0, n = 0;
    for (struct dirent *e; rc == 0 && d != NULL && n < LOGS_MAX && (e = readdir(d)) != NULL;) {
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (e->d_name[0] == '.' || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        snprintf(name, sizeof name, "logs/%s", e->d_name);
        rc = add_tail(b, name, path, LOG_BYTES, err);
        n++;
    }
    if (d != NULL)
        closedir(d);
    return rc;
}

/* ---- what it was told ---- */

static int add_config(struct bundle *b, struct ft_err *err)
{
    static const char *const names[] = {"config.json", "run/options.json", "run/up.json"};
    char path[FT_HOME_PATH];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(names); i++) {
        const char *base = strrchr(names[i], '/') != NULL ? strrchr(names[i], '/') + 1 : names[i];
        rc = add_tail(b, base, ft_home_at(&b->home, names[i], path), FILE_BYTES, err);
    }
    return rc;
}

static int read_schema(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, "SELECT module, version FROM ft_migration ORDER BY module, version",
                            NULL, 0, &r, err);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(r, err)) == 1)
        ft_buf_addf(ctx, "%s %lld\n", ft_rows_text(r, 0).p, (long long)ft_rows_int(r, 1));
    ft_rows_close(r);
    return rc;
}

static int add_schema(struct bundle *b, struct ft_err *err)
{
    char path[FT_HOME_PATH];
    struct ft_buf out;
    struct ft_state *s = NULL;
    struct ft_err why = {0};
    ft_home_at(&b->home, "state/state.db", path);
    if (access(path, R_OK) != 0)
        return 0;
    ft_buf_init(&out, PART_BYTES);
    int rc = ft_state_sqlite_open(path, false, &s, &why);
    if (rc == 0)
        rc = ft_state_read(s, read_schema, &out, &why);
    rc = rc == 0 ? add(b, "schema.txt", out.data, out.len, err)
                 : add_trouble(b, "schema.txt", &why, err);
    ft_state_close(s);
    ft_buf_fini(&out);
    return rc;
}

/* ---- of the cloud that runs ---- */

static bool take_data(void *ctx, const char *data, size_t n)
{
    return ft_buf_add(ctx, data, n) == 0;
}

/* Those that went wrong may be few among many. */
static int add_requests(struct bundle *b, struct ft_cloud *c, struct ft_err *err)
{
    static const struct {
        const char *name, *filter;
    } all[] = {
        {"requests_failed.json", "&status=error"},
        {"requests_refused.json", "&status=refused"},
        {"requests_slow.json", "&min_ms=5000"},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(all); i++) {
        struct ft_err why = {0};
        json_t *found = NULL;
        int got = ft_show_requests(c, all[i].filter, NULL, REQUESTS, &found, &why);
        char *text = got == 0 ? json_dumps(found, JSON_COMPACT) : NULL;
        if (got == 0 && text == NULL)
            ft_err_set(&why, FT_ENOMEM, "no memory");
        rc = text != NULL ? add(b, all[i].name, text, strlen(text), err)
                          : add_trouble(b, all[i].name, &why, err);
        free(text);
        json_decref(found);
    }
    return rc;
}

static int add_answers(struct bundle *b, struct ft_err *err)
{
    static const struct {
        const char *name, *path;
    } all[] = {
        {"status.json", "/api/v1/status"},
        {"settings.json", "/api/v1/settings"},
        {"endpoints.json", "/api/v1/endpoints"},
        {"models.json", "/api/v1/models"},
        {"nodes.json", "/api/v1/nodes"},
        {"events.json", "/api/v1/events?limit=500"},
        {"metrics.txt", "/metrics"},
        {"requests_running.json", "/api/v1/requests?status=running&limit=200"},
    };
    const struct ft_cloud_options how = {.home = b->home.path};
    struct ft_cloud c = {0};
    struct ft_err why = {0};
    int rc = 0;
    if (ft_cloud_open(&how, &c, &why) != 0)
        return add_trouble(b, "cloud.txt", &why, err);
    c.timeout_ms = 10000;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(all); i++) {
        struct ft_buf body;
        ft_buf_init(&body, PART_BYTES);
        why = (struct ft_err){0};
        rc = ft_cloud_fetch(&c, all[i].path, take_data, NULL, &body, &why) == 0
                 ? add(b, all[i].name, body.data, body.len, err)
                 : add_trouble(b, all[i].name, &why, err);
        ft_buf_fini(&body);
    }
    if (rc == 0)
        rc = add_requests(b, &c, err);
    ft_cloud_close(&c);
    return rc;
}

/* ---- the file ---- */

static int fill(struct bundle *b, struct ft_err *err)
{
    char version[128];
    int n = snprintf(version, sizeof version, "feitian %s\nhome %s\n", FT_VERSION, b->home.path);
    int rc = add(b, "version.txt", version, (size_t)n, err);
    if (rc == 0)
        rc = add_command(b, "doctor.txt", "doctor", err);
    if (rc == 0)
        rc = add_machine(b, err);
    if (rc == 0)
        rc = add_config(b, err);
    if (rc == 0)
        rc = add_schema(b, err);
    if (rc == 0)
        rc = add_answers(b, err);
    return rc == 0 ? add_logs(b, err) : rc;
}

static int write_bundle(struct bundle *b, const char *path, struct ft_err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return ft_err_sys(err, "make %s", path);
    b->tar = archive_write_new();
    int rc = 0;
    if (b->tar == NULL || archive_write_set_format_pax_restricted(b->tar) != ARCHIVE_OK ||
        archive_write_add_filter_gzip(b->tar) != ARCHIVE_OK ||
        archive_write_open_fd(b->tar, fd) != ARCHIVE_OK)
        rc = ft_err_set(err, FT_ENOMEM, "write %s: no memory", path);
    if (rc == 0)
        rc = fill(b, err);
    if (rc == 0 && archive_write_close(b->tar) != ARCHIVE_OK)
        rc = ft_err_set(err, FT_EIO, "write %s: %s", path, archive_error_string(b->tar));
    archive_write_free(b->tar);
    close(fd);
    if (rc != 0)
        unlink(path);
    return rc;
}

int ft_cmd_support(int argc, char **argv)
{
    const char *home = NULL;
    const struct ft_opt opts[] = {{"home", 0, FT_OPT_TEXT, &home, 0, 0}};
    struct ft_err err = {0};
    struct bundle b = {.n = 0};
    char **args, name[96], when[32];
    int rc = ft_opts_parse("support-bundle", opts, FT_COUNT(opts), argc, argv, 0, 1,
                           "at most one file: where to write it", &args);
    if (rc != 0)
        return rc;
    if (ft_home_find(home, &b.home, &err) != 0)
        return ft_cli_fail(2, &err, "support-bundle");
    time_t now = time(NULL);
    struct tm tm;
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
    snprintf(b.root, sizeof b.root, "feitian-support-%s", when);
    snprintf(name, sizeof name, "%s.tar.gz", b.root);
    const char *path = args < argv + argc ? args[0] : name;
    ft_scrub_open(&b.scrub, b.home.path);
    rc = write_bundle(&b, path, &err);
    ft_scrub_close(&b.scrub);
    if (rc != 0)
        return ft_cli_fail(1, &err, "support-bundle");
    printf(
        "%s: %d parts. Keys, passwords and certificates are not in it, nor what was said in "
        "requests;\nlook through it before you give it away: names of projects and models are.\n",
        path, b.n);
    return 0;
}
