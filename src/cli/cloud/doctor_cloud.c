/* What a cloud's folder holds, and whether what runs there is well. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/slice.h"
#include "cli/cloud/client.h"
#include "cli/cloud/doctor.h"
#include "cli/cloud/model_check.h"
#include "cli/cloud/up.h"
#include "state/state.h"

#define MODELS_MAX 1000

void ft_doctor_port(struct ft_doctor *d)
{
    char host[256];
    int port;
    struct ft_err err = {0};
    if (d->running)
        return; /* it has the port itself; whether it answers comes next */
    if (ft_up_listen_parse(d->listen, host, sizeof host, &port, &err) != 0 ||
        ft_port_check(host, port, &err) != 0)
        ft_check_say(&d->checks, FT_CHECK_BAD, "port", "", "%s", err.msg);
    else
        ft_check_say(&d->checks, FT_CHECK_OK, "port", "", "%s is free%s", d->listen,
                     d->next.remembered ? " (as last time)" : "");
}

/* Files that were given: what it makes itself, it makes again. */
void ft_doctor_certificate(struct ft_doctor *d)
{
    const char *const files[] = {d->next.tls_cert, d->next.tls_key};
    if (files[0] == NULL)
        return;
    for (size_t i = 0; i < FT_COUNT(files); i++)
        if (access(files[i], R_OK) != 0) {
            ft_check_say(&d->checks, FT_CHECK_BAD, "certificate",
                         "put it back; or 'feitian up --listen' says where it is now, and how",
                         "%s: %s", files[i], strerror(errno));
            return;
        }
    ft_check_say(&d->checks, FT_CHECK_OK, "certificate", "", "%s%s", files[0],
                 d->next.tls_remembered ? " (as last time)" : "");
}

void ft_doctor_cloud(struct ft_doctor *d)
{
    struct ft_cloud_options o = {.home = d->home.path};
    struct ft_cloud c = {0};
    struct ft_err err = {0};
    json_t *live = NULL;
    if (!d->running) {
        ft_check_say(&d->checks, FT_CHECK_OK, "cloud", "",
                     "none runs here; 'feitian up' starts one");
        return;
    }
    o.url = d->up.url[0] != '\0' ? d->up.url : NULL;
    if (ft_cloud_open(&o, &c, &err) != 0 ||
        ft_cloud_call(&c, "GET", "/api/v1/status", NULL, &live, &err) != 0) {
        ft_check_say(&d->checks, FT_CHECK_BAD, "cloud",
                     "look into logs/feitian.log there; 'feitian down' and 'feitian up' start it "
                     "anew",
                     "process %lld runs it, but: %s", (long long)d->up.pid, err.msg);
    } else {
        ft_check_say(&d->checks, FT_CHECK_OK, "cloud", "", "up at %s, process %lld", d->up.url,
                     (long long)d->up.pid);
        ft_check_live(&d->checks, live);
    }
    json_decref(live);
    ft_cloud_close(&c);
}

static int read_seq(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    return ft_state_seq_last(tx, ctx, err);
}

void ft_doctor_state(struct ft_doctor *d)
{
    char path[FT_HOME_PATH];
    struct ft_state *s = NULL;
    struct ft_err err = {0};
    int64_t seq = 0;
    if (access(ft_home_at(&d->home, "state/state.db", path), F_OK) != 0)
        return;
    int rc = ft_state_sqlite_open(path, false, &s, &err);
    if (rc == 0)
        rc = ft_state_read(s, read_seq, &seq, &err);
    ft_check_say(&d->checks, rc != 0 ? FT_CHECK_BAD : FT_CHECK_OK, "state",
                 "see to its permissions and the disk, or put a copy of it back; until then calls "
                 "with known keys go on",
                 rc != 0 ? "%s: %s" : "%s can be read%s", path, rc != 0 ? err.msg : "");
    ft_state_close(s);
}

/* Does somebody listen on the socket? */
static bool alive(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof a.sun_path)
        return true; /* nothing can be said */
    strcpy(a.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused =
        fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) != 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return !refused;
}

void ft_doctor_sockets(struct ft_doctor *d)
{
    char run[FT_HOME_PATH], path[FT_HOME_PATH + 264];
    int stale = 0, live = 0;
    DIR *dir = opendir(ft_home_at(&d->home, "run", run));
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", run, e->d_name);
        if (!ft_str_ends(e->d_name, ".sock"))
            continue;
        if (alive(path))
            live++;
        else
            stale++;
    }
    if (dir != NULL)
        closedir(dir);
    if (live > 0 && !d->running)
        ft_check_say(&d->checks, FT_CHECK_WARN, "left over",
                     "'feitian down' stops what was left over",
                     "%d process%s of a cloud run%s whose supervisor is gone", live,
                     live == 1 ? "" : "es", live == 1 ? "s" : "");
    if (stale > 0 && !d->running)
        ft_check_say(&d->checks, FT_CHECK_OK, "left over", "",
                     "%d socket%s of a cloud that was killed; the next 'feitian up' takes %s away",
                     stale, stale == 1 ? "" : "s", stale == 1 ? "it" : "them");
}

/* What is opened of a folder: the GGUF in it, the first part of a split one; else the folder. */
static void what_to_open(char *path, size_t size)
{
    struct dirent **list;
    size_t n = strlen(path);
    int count = scandir(path, &list, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (path[n] == '\0' && list[i]->d_name[0] != '.' && ft_str_ends(list[i]->d_name, ".gguf"))
            snprintf(path + n, size - n, "/%s", list[i]->d_name);
        free(list[i]);
    }
    if (count >= 0)
        free(list);
}

static void look_at_model(struct ft_doctor *d, const char *path, const char *name, const char *mend,
                          int *good)
{
    struct ft_err err = {0};
    char model[FT_HOME_PATH + 600];
    snprintf(model, sizeof model, "%s", path);
    what_to_open(model, sizeof model);
    if (ft_model_check(model, NULL, &err) == 0)
        (*good)++;
    else
        ft_check_say(&d->checks, FT_CHECK_BAD, "models", mend, "%s: %s", name, err.msg);
}

/* Below models/hub lie ORG/NAME/REVISION: links of what the hub keeps, made as models are served.
 * level: how many names are still to come. */
static void look_at_hub(struct ft_doctor *d, const char *path, int level, int *left, int *good)
{
    char below[FT_HOME_PATH], mend[FT_HOME_PATH + 80];
    struct dirent **list;
    int n = scandir(path, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        int len = snprintf(below, sizeof below, "%s/%s", path, name);
        if (name[0] != '.' && len < (int)sizeof below && level > 1) {
            look_at_hub(d, below, level - 1, left, good);
        } else if (name[0] != '.' && len < (int)sizeof below && (*left)-- > 0) {
            char adapter[FT_HOME_PATH + 24];
            snprintf(adapter, sizeof adapter, "%s/adapter_config.json", below);
            snprintf(mend, sizeof mend, "rm -r %s: it is made again from the hub when it is served",
                     below);
            if (access(adapter, F_OK) != 0) /* that is opened with its model alone */
                look_at_model(d, below, below, mend, good);
        }
        free(list[i]);
    }
    if (n >= 0)
        free(list);
}

void ft_doctor_models(struct ft_doctor *d)
{
    char models[FT_HOME_PATH], path[FT_HOME_PATH + 264];
    struct dirent **list;
    int good = 0, left = MODELS_MAX; /* of the hub's */
    int n = scandir(ft_home_at(&d->home, "models", models), &list, NULL, alphasort);
    if (n < 0)
        return;
    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        snprintf(path, sizeof path, "%s/%s", models, name);
        if (strcmp(name, ".pull") == 0)
            ft_check_say(&d->checks, FT_CHECK_OK, "models", "",
                         "downloads that were broken off wait in %s: 'feitian model add' goes on",
                         path);
        else if (strcmp(name, "hub") == 0)
            look_at_hub(d, path, 3, &left, &good);
        else if (name[0] != '.' && i < MODELS_MAX)
            look_at_model(d, path, name,
                          "'feitian model rm' it, and add it again where it came from", &good);
        free(list[i]);
    }
    free(list);
    ft_check_say(&d->checks, FT_CHECK_OK, "models", "", "%d can be opened", good);
}
