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

/* There is no home: `up` makes it and no folder above it. */
static void look_where_it_will_be(struct ft_doctor *d, int why)
{
    char above[FT_HOME_PATH], parent[FT_HOME_PATH];
    int fd = -1;
    snprintf(parent, sizeof parent, "%s", d->home.path);
    char *slash = strrchr(parent, '/');
    slash[slash == parent] = '\0';
    ft_doctor_existing(d->home.path, above, sizeof above);
    if (why != ENOENT)
        ft_doctor_say(d, FT_DOCTOR_BAD, "home",
                      "see to it that the user who runs feitian can reach it", "%s: %s",
                      d->home.path, strerror(why));
    else if (access(parent, F_OK) != 0)
        ft_doctor_say(d, FT_DOCTOR_BAD, "home", "make that folder, or choose another by --home",
                      "%s is not there yet, nor is %s, where 'feitian up' would make it",
                      d->home.path, parent);
    else if ((fd = ft_doctor_probe(above)) < 0)
        ft_doctor_say(d, FT_DOCTOR_BAD, "home",
                      "let the user who runs feitian write there, or choose another by --home",
                      "%s is not there yet, and %s cannot be written: %s", d->home.path, above,
                      strerror(errno));
    else
        ft_doctor_say(d, FT_DOCTOR_OK, "home", "", "%s is not there yet; 'feitian up' makes it",
                      d->home.path);
    if (fd >= 0)
        close(fd);
}

void ft_doctor_home(struct ft_doctor *d)
{
    struct stat st;
    char path[FT_HOME_PATH], mend[FT_HOME_PATH + 64];
    if (stat(d->home.path, &st) != 0) {
        look_where_it_will_be(d, errno);
        return;
    }
    snprintf(mend, sizeof mend, "chmod 700 %s", d->home.path);
    if (!S_ISDIR(st.st_mode))
        ft_doctor_say(d, FT_DOCTOR_BAD, "home", "take it away, or choose another by --home",
                      "%s is no folder", d->home.path);
    else if (access(d->home.path, W_OK | X_OK) != 0)
        ft_doctor_say(d, FT_DOCTOR_BAD, "home",
                      "run feitian as the user whom it belongs to, or choose another by --home",
                      "%s cannot be written", d->home.path);
    else if (st.st_uid != geteuid())
        ft_doctor_say(d, FT_DOCTOR_WARN, "home", "run feitian as that user",
                      "%s belongs to another user (%u)", d->home.path, (unsigned)st.st_uid);
    else
        ft_doctor_say(d, (st.st_mode & 077) != 0 ? FT_DOCTOR_WARN : FT_DOCTOR_OK, "home", mend,
                      "%s%s", d->home.path,
                      (st.st_mode & 077) != 0 ? " can be entered by others" : "");
    if (stat(ft_home_at(&d->home, "credentials.json", path), &st) == 0 && (st.st_mode & 077) != 0) {
        snprintf(mend, sizeof mend, "chmod 600 %s", path);
        ft_doctor_say(d, FT_DOCTOR_BAD, "home", mend, "others can read the key in %s", path);
    }
}

void ft_doctor_port(struct ft_doctor *d)
{
    char host[256];
    int port;
    struct ft_err err = {0};
    if (d->running)
        return; /* it has the port itself; whether it answers comes next */
    if (ft_up_listen_parse(d->listen, host, sizeof host, &port, &err) != 0 ||
        ft_port_check(host, port, &err) != 0)
        ft_doctor_say(d, FT_DOCTOR_BAD, "port", "", "%s", err.msg);
    else
        ft_doctor_say(d, FT_DOCTOR_OK, "port", "", "%s is free", d->listen);
}

static void look_at_storage(struct ft_doctor *d, const json_t *storage)
{
    const json_t *scrub = json_object_get(storage, "scrub");
    const char *where = ft_cloud_text(storage, "where", "");
    if (storage == NULL)
        return;
    if (!json_is_true(json_object_get(storage, "open")))
        ft_doctor_say(d, FT_DOCTOR_BAD, "storage",
                      "see to the folder and its disk, or, for an S3 server, to its keys in "
                      "storage.json of the "
                      "cloud's folder; it is tried again by itself, and chats go on",
                      "objects, files and models of the hub cannot be had: %s",
                      ft_cloud_text(storage, "trouble", "?"));
    else if (json_array_size(json_object_get(scrub, "found")) > 0 ||
             json_integer_value(json_object_get(scrub, "faults")) > 0)
        ft_doctor_say(
            d, FT_DOCTOR_BAD, "storage",
            "'feitian blob check' lists what it is: put it back from a copy, and see to the "
            "disk",
            "something in %s is not as it was written; it is not served", where);
    else
        ft_doctor_say(d, FT_DOCTOR_OK, "storage", "", "open in %s", where);
}

void ft_doctor_cloud(struct ft_doctor *d)
{
    struct ft_cloud_options o = {.home = d->home.path};
    struct ft_cloud c = {0};
    struct ft_err err = {0};
    json_t *live = NULL;
    if (!d->running) {
        ft_doctor_say(d, FT_DOCTOR_OK, "cloud", "", "none runs here; 'feitian up' starts one");
        return;
    }
    o.url = d->up.url[0] != '\0' ? d->up.url : NULL;
    if (ft_cloud_open(&o, &c, &err) != 0 ||
        ft_cloud_call(&c, "GET", "/api/v1/status", NULL, &live, &err) != 0) {
        ft_doctor_say(d, FT_DOCTOR_BAD, "cloud",
                      "look into logs/feitian.log there; 'feitian down' and 'feitian up' start it "
                      "anew",
                      "process %lld runs it, but: %s", (long long)d->up.pid, err.msg);
    } else {
        const char *trouble = ft_cloud_text(json_object_get(live, "ledger"), "trouble", "");
        bool connected =
            json_is_true(json_object_get(json_object_get(live, "control"), "connected"));
        ft_doctor_say(d, FT_DOCTOR_OK, "cloud", "", "up at %s, process %lld", d->up.url,
                      (long long)d->up.pid);
        if (!connected)
            ft_doctor_say(d, FT_DOCTOR_BAD, "cloud", "see logs/feitian.log for what control says",
                          "the admin side does not answer; calls with known keys go on");
        if (trouble[0] != '\0')
            ft_doctor_say(d, FT_DOCTOR_BAD, "cloud", "see to the disk; usage is kept until then",
                          "ledger: %s", trouble);
        look_at_storage(d, json_object_get(live, "storage"));
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
    ft_doctor_say(d, rc != 0 ? FT_DOCTOR_BAD : FT_DOCTOR_OK, "state",
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
        ft_doctor_say(d, FT_DOCTOR_WARN, "left over", "'feitian down' stops what was left over",
                      "%d process%s of a cloud run%s whose supervisor is gone", live,
                      live == 1 ? "" : "es", live == 1 ? "s" : "");
    if (stale > 0 && !d->running)
        ft_doctor_say(d, FT_DOCTOR_OK, "left over", "",
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
        ft_doctor_say(d, FT_DOCTOR_BAD, "models", mend, "%s: %s", name, err.msg);
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
            ft_doctor_say(d, FT_DOCTOR_OK, "models", "",
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
    ft_doctor_say(d, FT_DOCTOR_OK, "models", "", "%d can be opened", good);
}
