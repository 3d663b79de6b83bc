/* feitian up: the supervisor of a cloud on this machine.
 *
 * It holds HOME/run/lock, runs `feitian control` and `feitian gateway` and starts them again when
 * they end; the gateway starts the workers. As a daemon it is a child of the command, which waits
 * until the cloud can be used and says where it is. */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/cloud/backup.h"
#include "cli/cloud/client.h"
#include "cli/cloud/up.h"
#include "cli/storage.h"
#include "net/tls.h"
#include "sched/exec_local.h"
#include "sched/ready.h"
#include "sched/supervise.h"

#define CERT_DAYS       3650
#define GATEWAY_STOP_MS 15000 /* more than it takes to drain */
#define CONTROL_STOP_MS 5000
#define ARGS_MAX        32
#define LOG_LINES       12
#define ADDRESSES_MAX   4 /* of this machine, that are shown */
#define NANO_BYTES_MAX  ((size_t)64 << 20)
#define PATIENCE_S      4    /* without an answer, before the log is shown */
#define PORT_WAIT_MS    2000 /* for a port that is in use */
#define PORT_LOOK_MS    50
#define STORAGE_WAIT_NS INT64_C(30000000000) /* for the first try to open it */
#define STORAGE_POLL_US 100000

struct up {
    struct ft_up_options o;
    char self[PATH_MAX];
    char cert[FT_HOME_PATH], key[FT_HOME_PATH], storage[FT_HOME_PATH];
    char memory[32], threads[32], http_threads[32], s3_day[32], log[FT_HOME_PATH],
        tasks[FT_HOME_PATH];
    const char *gateway[ARGS_MAX], *control[ARGS_MAX];
    const char *env[FT_EXEC_ARGS_MAX]; /* of the children */
    struct ft_home_up record;
    int lock, tell; /* tell: whoever waits for us to be ready; -1: nobody */
};

/* ---- before anything runs ---- */

/* A path that holds in every folder. Links stay in it: a certificate that is renewed is another
 * file behind the same link. */
static int absolute(const char *option, const char *path, char ret[FT_HOME_PATH],
                    struct ft_err *err)
{
    char here[PATH_MAX] = "";
    if (path[0] != '/' && getcwd(here, sizeof here) == NULL)
        return ft_err_sys(err, "%s: %s", option, path);
    int n = snprintf(ret, FT_HOME_PATH, "%s%s%s", here, path[0] != '/' ? "/" : "", path);
    if (n < 0 || n >= FT_HOME_PATH || strchr(ret, '\n') != NULL)
        return ft_err_set(err, FT_EINVAL, "%s: the path is too long, or has a line break", option);
    return 0;
}

/* Files that were given. */
static int find_certificate(struct up *u, struct ft_err *err)
{
    if (u->o.tls_cert == NULL)
        return 0;
    int rc = absolute("--tls-cert", u->o.tls_cert, u->cert, err);
    if (rc == 0)
        rc = absolute("--tls-key", u->o.tls_key, u->key, err);
    if (rc == 0 && access(u->cert, R_OK) != 0)
        rc = ft_err_sys(err, "--tls-cert: %s", u->o.tls_cert);
    else if (rc == 0 && access(u->key, R_OK) != 0)
        rc = ft_err_sys(err, "--tls-key: %s", u->o.tls_key);
    if (rc != 0)
        return u->o.tls_remembered
                   ? ft_err_wrap(err, "as last time (--listen says where it is now, and how)")
                   : rc;
    u->o.tls_cert = u->cert;
    u->o.tls_key = u->key;
    return 0;
}

static int find_storage(struct up *u, struct ft_err *err)
{
    const char *where = u->o.storage;
    if (where != NULL && ft_storage_check(where, err) != 0)
        return err->code;
    if (where == NULL || where[0] == '/' || ft_storage_is_elsewhere(where))
        return 0;
    u->o.storage = u->storage;
    return absolute("--storage", where, u->storage, err);
}

static int make_certificate(struct up *u, struct ft_err *err)
{
    char folder[FT_HOME_PATH], host[256] = "localhost";
    const char *names[] = {"localhost", "127.0.0.1", "::1", host, u->o.host};
    ft_home_at(&u->o.home, "tls/cert.pem", u->cert);
    ft_home_at(&u->o.home, "tls/key.pem", u->key);
    u->o.tls_cert = u->cert;
    u->o.tls_key = u->key;
    if (access(u->cert, R_OK) == 0 && access(u->key, R_OK) == 0)
        return 0;
    ft_home_at(&u->o.home, "tls", folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return ft_err_sys(err, "make folder %s", folder);
    gethostname(host, sizeof host - 1);
    bool any = strcmp(u->o.host, "0.0.0.0") == 0 || strcmp(u->o.host, "::") == 0;
    return ft_tls_self_signed(names, any ? 4 : 5, CERT_DAYS, u->cert, u->key, err);
}

/* The model that ships, from where this program was installed or built: at the first start, and
 * anew when there is a newer one; not where it was removed. */
static void bring_nano(const struct up *u)
{
    static const char *const places[] = {"../share/feitian/nano.gguf", "../models/nano.gguf"};
    char to[FT_HOME_PATH], from[PATH_MAX + 64], *data = NULL;
    struct stat st, old;
    size_t n;
    struct ft_err err = {0};
    ft_home_at(&u->o.home, "state/state.db", from);
    ft_home_at(&u->o.home, "models/nano.gguf", to);
    if (access(from, F_OK) == 0 && access(to, F_OK) != 0)
        return;
    for (size_t i = 0; i < FT_COUNT(places); i++) {
        snprintf(from, sizeof from, "%s", u->self);
        *strrchr(from, '/') = '\0';
        size_t len = strlen(from);
        snprintf(from + len, sizeof from - len, "/%s", places[i]);
        if (stat(from, &st) != 0)
            continue;
        if (stat(to, &old) == 0 && old.st_size == st.st_size && old.st_mtime >= st.st_mtime)
            return;
        if (ft_file_read(from, NANO_BYTES_MAX, &data, &n, &err) == 0 &&
            ft_file_put(to, data, n, &err) == 0)
            ft_log(FT_LOG_DEBUG, "up", "%s is there", to);
        else
            ft_log(FT_LOG_WARN, "up", "nano: %s", err.msg);
        free(data);
        return;
    }
}

static const char *number(char *text, int64_t v)
{
    snprintf(text, 32, "%lld", (long long)v);
    return text;
}

static void arguments(struct up *u)
{
    const struct ft_up_options *o = &u->o;
    const struct {
        const char *name, *value;
    } given[] = {
        {"--listen", o->listen},
        {"--tls-cert", o->tls_cert},
        {"--tls-key", o->tls_key},
        {"--kv", o->kv},
        {"--storage", o->storage},
        {"--s3-domain", o->s3_domain},
        {"--s3-day", o->s3_day > 0 ? number(u->s3_day, o->s3_day) : NULL},
        {"--memory", o->memory > 0 ? number(u->memory, o->memory) : NULL},
        {"--threads", o->threads > 0 ? number(u->threads, o->threads) : NULL},
        {"--http-threads", o->http_threads > 0 ? number(u->http_threads, o->http_threads) : NULL}};
    int n = 0;
    const char *common[] = {u->self, "gateway", "--home", o->home.path};
    for (size_t i = 0; i < FT_COUNT(common); i++)
        u->gateway[n++] = common[i];
    for (size_t i = 0; i < FT_COUNT(given); i++)
        if (given[i].value != NULL) {
            u->gateway[n++] = given[i].name;
            u->gateway[n++] = given[i].value;
        }
    const char *control[] = {u->self, "control", "--home", o->home.path, "--url", o->url};
    for (size_t i = 0; i < FT_COUNT(control); i++)
        u->control[i] = control[i];
}

/* Options that all processes of the cloud take from their environment. */
static void export_options(const struct ft_up_options *o)
{
    char ratio[32];
    if (o->otlp != NULL)
        setenv("OTEL_EXPORTER_OTLP_ENDPOINT", o->otlp, 1);
    if (o->otlp_ratio >= 0) {
        snprintf(ratio, sizeof ratio, "%.9g", o->otlp_ratio);
        setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio", 1);
        setenv("OTEL_TRACES_SAMPLER_ARG", ratio, 1);
    }
    if (o->log_format != NULL)
        setenv("FEITIAN_LOG_FORMAT", o->log_format, 1);
    if (o->log_level != NULL)
        setenv("FEITIAN_LOG_LEVEL", o->log_level, 1);
    if (o->log_requests)
        setenv("FEITIAN_LOG_REQUESTS", "1", 1);
    ft_log_from_env();
}

/* Ours, but for systemd's socket: that the cloud is ready, the supervisor alone says. */
static void environment(struct up *u)
{
    size_t n = 0;
    for (char **e = environ; *e != NULL && n + 1 < FT_COUNT(u->env); e++)
        if (strncmp(*e, "NOTIFY_SOCKET=", strlen("NOTIFY_SOCKET=")) != 0)
            u->env[n++] = *e;
}

/* A gateway that was killed may still be closing its socket when its cloud is started again. */
static int port_free(const struct up *u, struct ft_err *err)
{
    int rc = ft_port_check(u->o.host, u->o.port, err);
    for (int ms = 0; rc == FT_EBUSY && ms < PORT_WAIT_MS; ms += PORT_LOOK_MS) {
        struct timespec t = {.tv_nsec = PORT_LOOK_MS * 1000000L};
        nanosleep(&t, NULL);
        *err = (struct ft_err){0};
        rc = ft_port_check(u->o.host, u->o.port, err);
    }
    return rc;
}

/* Everything that can be wrong is said here, to whoever asked for the cloud. */
static int prepare(struct up *u, struct ft_err *err)
{
    ssize_t n = readlink("/proc/self/exe", u->self, sizeof u->self - 1);
    if (n < 0)
        return ft_err_sys(err, "read /proc/self/exe");
    u->self[n] = '\0';
    int rc = port_free(u, err);
    if (rc == 0 && u->o.tls_self_signed)
        rc = make_certificate(u, err);
    if (rc != 0)
        return rc;
    bring_nano(u);
    arguments(u);
    export_options(&u->o);
    environment(u);
    ft_home_at(&u->o.home, "logs/feitian.log", u->log);
    ft_home_at(&u->o.home, "run/tasks", u->tasks);
    u->record = (struct ft_home_up){.pid = getpid(), .started_s = (int64_t)time(NULL)};
    snprintf(u->record.url, sizeof u->record.url, "%s", u->o.url);
    snprintf(u->record.version, sizeof u->record.version, "%s", FT_VERSION);
    return 0;
}

/* ---- the supervisor ---- */

static void on_up(void *ctx)
{
    struct up *u = ctx;
    struct ft_err err = {0};
    u->record.ready = true;
    ft_up_keep(&u->o);
    if (ft_home_credentials_move(&u->o.home, u->o.url, u->o.tls_cert, &err) != 0)
        ft_log(FT_LOG_WARN, "up", "commands may not find the cloud: %s", err.msg);
    if (ft_home_up_write(&u->o.home, &u->record, &err) != 0)
        ft_log(FT_LOG_WARN, "up", "%s", err.msg);
    if (ft_ready_tell(&err) != 0)
        ft_log(FT_LOG_WARN, "up", "%s", err.msg);
    ft_log(FT_LOG_INFO, "up", "ready: %s", u->o.url);
    if (u->tell >= 0) {
        if (write(u->tell, "1", 1) != 1)
            ft_log(FT_LOG_DEBUG, "up", "nobody waits any more");
        close(u->tell);
        u->tell = -1;
    }
}

static int supervise(struct up *u, struct ft_err *err)
{
    char dir[FT_HOME_PATH], tune[FT_HOME_PATH];
    const char *log = u->o.foreground ? NULL : u->log;
    struct ft_supervise_child children[] = {
        {.task =
             {.id = "control", .argv = u->control, .env = u->env, .log = log, .tells_ready = true},
         .stop_order = 1,
         .stop_ms = CONTROL_STOP_MS,
         .sweep_dir = ft_home_at(&u->o.home, "run/tune", tune)},
        {.task =
             {.id = "gateway", .argv = u->gateway, .env = u->env, .log = log, .tells_ready = true},
         .stop_order = 0,
         .stop_ms = GATEWAY_STOP_MS,
         .sweep_dir = u->tasks},
    };
    struct ft_supervise *s = NULL;
    struct ft_exec *x = NULL;
    u->record.pid = getpid();
    ft_supervise_block_signals();
    int rc = ft_home_options_write(&u->o.home, ft_up_options_given(&u->o), err);
    if (rc == 0)
        rc = ft_home_up_write(&u->o.home, &u->record, err);
    if (rc == 0)
        rc = ft_supervise_open(children, FT_COUNT(children), &s, err);
    if (rc == 0)
        rc = ft_exec_local_open(ft_home_at(&u->o.home, "run/up", dir), ft_supervise_event, s, &x,
                                err);
    if (rc == 0) {
        ft_supervise_attach(s, x);
        ft_log(FT_LOG_INFO, "up", "feitian %s in %s", FT_VERSION, u->o.home.path);
        rc = ft_supervise_run(s, on_up, u, err);
        ft_log(FT_LOG_INFO, "up", "stopped");
    }
    ft_exec_close(x);
    ft_supervise_close(s);
    char path[FT_HOME_PATH];
    unlink(ft_home_at(&u->o.home, "run/up.json", path));
    unlink(ft_home_at(&u->o.home, "run/options.json", path));
    return rc;
}

/* ---- to whoever asked ---- */

/* Of the live state: "storage", once the gateway's first try to open it is over, which may take
 * long on a busy disk. Borrowed from *ret_live. */
static const json_t *storage_of(struct ft_cloud *c, json_t **ret_live)
{
    struct ft_err ignored = {0};
    for (int64_t until = ft_clock_now_ns() + STORAGE_WAIT_NS;; usleep(STORAGE_POLL_US)) {
        *ret_live = NULL;
        if (ft_cloud_call(c, "GET", "/api/v1/status", NULL, ret_live, &ignored) != 0)
            return NULL;
        const json_t *storage = json_object_get(*ret_live, "storage");
        if (!json_is_false(json_object_get(storage, "open")) ||
            ft_cloud_text(storage, "trouble", "")[0] != '\0' || ft_clock_now_ns() >= until)
            return storage;
        json_decref(*ret_live);
    }
}

/* The cloud is up without its store: chats go on, objects and the hub do not. */
static void warn_of_storage(const struct ft_up_options *o)
{
    char path[FT_HOME_PATH];
    const struct ft_cloud_options how = {.home = o->home.path, .url = o->url, .ca = o->tls_cert};
    struct ft_cloud c = {0};
    struct ft_err ignored = {0};
    json_t *live = NULL;
    if (ft_cloud_open(&how, &c, &ignored) == 0) {
        const json_t *storage = storage_of(&c, &live);
        const char *why = ft_cloud_text(storage, "trouble", "");
        if (json_is_false(json_object_get(storage, "open")))
            fprintf(stderr,
                    "feitian up: warning: objects, files and the hub cannot be had: %s\n"
                    "It is tried again by itself. The keys of an S3 server are looked for in %s; "
                    "'feitian doctor' says more.\n\n",
                    why[0] != '\0' ? why : "the store is still being opened",
                    ft_home_at(&o->home, "storage.json", path));
    }
    json_decref(live);
    ft_cloud_close(&c);
}

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strcmp(host, "localhost") == 0;
}

/* Where others reach it that listens at every address: by IPv4, for those of IPv6 are many and few
 * are typed. */
static void say_addresses(const struct ft_up_options *o)
{
    struct ifaddrs *all = NULL;
    char host[NI_MAXHOST];
    int n = 0;
    if (getifaddrs(&all) != 0)
        return;
    for (const struct ifaddrs *a = all; a != NULL && n < ADDRESSES_MAX; a = a->ifa_next)
        if (a->ifa_addr != NULL && a->ifa_addr->sa_family == AF_INET &&
            (a->ifa_flags & IFF_UP) != 0 && (a->ifa_flags & IFF_LOOPBACK) == 0 &&
            getnameinfo(a->ifa_addr, sizeof(struct sockaddr_in), host, sizeof host, NULL, 0,
                        NI_NUMERICHOST) == 0)
            printf("  %-9s %.*s://%s:%d\n", n++ == 0 ? "others" : "", (int)strcspn(o->url, ":"),
                   o->url, host, o->port);
    freeifaddrs(all);
}

static void say_up(const struct ft_up_options *o, const char *how, bool json)
{
    char path[FT_HOME_PATH];
    struct ft_home_credentials c = {0};
    struct ft_err ignored;
    if (json) {
        json_t *j = json_pack("{s:s,s:s,s:s}", "state", how, "url", o->url, "home", o->home.path);
        json_dumpf(j, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(j);
        return;
    }
    printf("feitian is %s: %s%s\n\n", how, o->url,
           o->remembered && o->tls_remembered
               ? " (as last time, with TLS; --listen says another address, and whether it has TLS)"
           : o->tls_remembered ? " (with TLS, as last time)"
           : o->remembered     ? " (as last time; --listen says another address)"
                               : "");
    if (ft_home_credentials(&o->home, &c, &ignored) == 0)
        printf("  key       %s (feitian's commands find it by themselves)\n",
               ft_home_at(&o->home, "credentials.json", path));
    printf("  log       %s\n", ft_home_at(&o->home, "logs/feitian.log", path));
    printf("  console   %s/console/ (sign in with the key)\n", o->url);
    if (strcmp(o->host, "0.0.0.0") == 0 || strcmp(o->host, "::") == 0)
        say_addresses(o);
    if (o->tls_self_signed)
        printf("  trust     %s (browsers warn of it, other clients are given it)\n",
               ft_home_at(&o->home, "tls/cert.pem", path));
    putchar('\n');
    printf("  feitian chat           talk to a model\n"
           "  feitian model add ...  bring a model: a GGUF file, or hf:ORG/NAME\n"
           "  feitian top            see what it does\n"
           "  feitian down           stop it\n");
    if (!is_loopback(o->host) && o->tls_cert == NULL && !o->tls_self_signed)
        fprintf(stderr, "\nOthers reach it without TLS, and see keys on their way: think of "
                        "--tls-self-signed or --tls-cert.\n");
}

void ft_up_show_log(const struct ft_home *h, int lines)
{
    char path[FT_HOME_PATH], buf[8192];
    FILE *f = fopen(ft_home_at(h, "logs/feitian.log", path), "re");
    if (f == NULL)
        return;
    if (fseek(f, 0, SEEK_END) == 0) {
        long size = ftell(f);
        fseek(f, size > (long)sizeof buf - 1 ? size - (long)sizeof buf + 1 : 0, SEEK_SET);
    }
    size_t n = fread(buf, 1, sizeof buf - 1, f);
    fclose(f);
    buf[n] = '\0';
    char *from = buf + n;
    for (int left = lines + 1; from > buf && (left -= from[-1] == '\n') > 0;)
        from--;
    if (n > 0)
        fprintf(stderr, "the end of %s:\n%s", path, from);
}

/* What is asked for now and is not so with the cloud that runs: how many options. */
static int say_not_in_force(const struct ft_up_options *o, const char *running_url)
{
    const char *name, *how = "\nNot in force, for it runs already:";
    json_t *wanted, *given = ft_up_options_given(o), *in_force = ft_home_options(&o->home);
    int n = 0;
    const char *at = strstr(running_url, "://"), *asked = strstr(o->url, "://");
    if (at != NULL && asked != NULL && strcmp(at, asked) == 0)
        json_object_del(given, "--listen");
    else if (at != NULL && json_object_get(in_force, "--listen") == NULL)
        json_object_set_new(in_force, "--listen", json_string(at + 3));
    json_object_foreach(given, name, wanted)
    {
        const json_t *is = json_object_get(in_force, name);
        if (json_equal(wanted, is))
            continue;
        bool flag = strcmp(name, "--tls-self-signed") == 0;
        fprintf(stderr, "%s %s%s%s", how, name, flag ? "" : " ",
                flag ? "" : json_string_value(wanted));
        if (is != NULL)
            fprintf(stderr, " (it has %s)", json_string_value(is));
        how = ",";
        n++;
    }
    if (n > 0)
        fprintf(stderr, ".\n'feitian down' and another 'feitian up' make it so.\n");
    json_decref(given);
    json_decref(in_force);
    return n;
}

/* Another one has HOME. */
static int already(struct ft_up_options *o)
{
    struct ft_home_up up;
    struct ft_err err = {0};
    int rc = 0;
    int64_t until = ft_clock_now_ns() + o->wait_s * 1000000000;
    while ((rc = ft_home_running(&o->home, &up, &err)) == 1 && !up.ready &&
           ft_clock_now_ns() < until)
        usleep(50000);
    if (rc < 0)
        return ft_cli_fail(1, &err, "up");
    if (rc == 0 || !up.ready) {
        fprintf(stderr,
                "feitian up: another one began in %s and is not ready, or a backup of it is being "
                "made\n",
                o->home.path);
        ft_up_show_log(&o->home, LOG_LINES);
        return 1;
    }
    struct ft_up_options now = *o; /* as it runs */
    now.remembered = now.tls_remembered = false;
    if (strcmp(up.url, o->url) != 0) { /* it is elsewhere, and only that is known of it */
        snprintf(now.host, sizeof now.host, "127.0.0.1");
        now.tls_self_signed = false;
    }
    snprintf(now.url, sizeof now.url, "%s", up.url);
    say_up(&now, "up already", o->json);
    fflush(stdout);
    int missed = say_not_in_force(o, up.url);
    warn_of_storage(&now);
    return missed > 0 ? 2 : 0; /* it runs, and not as asked for */
}

/* The daemon's own life, in the child. */
static void become_daemon(struct up *u)
{
    struct ft_err err = {0};
    setsid();
    umask(077);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = open(u->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    dup2(null, STDIN_FILENO);
    dup2(log >= 0 ? log : null, STDOUT_FILENO);
    dup2(log >= 0 ? log : null, STDERR_FILENO);
    if (chdir("/") != 0)
        ft_log(FT_LOG_DEBUG, "up", "chdir: %s", strerror(errno));
    int rc = supervise(u, &err);
    if (rc != 0)
        ft_log(FT_LOG_ERROR, "up", "%s", err.msg);
    _exit(rc == 0 ? 0 : 1);
}

/* Waits for the daemon's word. 0: ready. */
static int await(struct up *u, pid_t child, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t begun = ft_clock_now_ns(), until = begun + u->o.wait_s * 1000000000;
    bool shown = false;
    for (;;) {
        char byte;
        int64_t now = ft_clock_now_ns();
        if (poll(&p, 1, 200) > 0) {
            if (read(fd, &byte, 1) == 1)
                return 0;
            fprintf(stderr, "feitian up: it ended before it was ready\n");
            ft_up_show_log(&u->o.home, LOG_LINES);
            waitpid(child, NULL, WNOHANG);
            return 1;
        }
        if (!shown && now - begun > PATIENCE_S * (int64_t)1000000000) {
            shown = true;
            fprintf(stderr, "feitian up: not ready yet\n");
            ft_up_show_log(&u->o.home, LOG_LINES);
        }
        if (now > until) {
            if (!shown)
                ft_up_show_log(&u->o.home, LOG_LINES);
            fprintf(
                stderr,
                "feitian up: not ready after %d s; it goes on trying, 'feitian down' stops it\n",
                (int)u->o.wait_s);
            return 1;
        }
    }
}

static int daemonise(struct up *u)
{
    int pipes[2];
    struct ft_err err = {0};
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        ft_err_sys(&err, "pipe");
        return ft_cli_fail(1, &err, "up");
    }
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) {
        ft_err_sys(&err, "fork");
        return ft_cli_fail(1, &err, "up");
    }
    if (child == 0) {
        close(pipes[0]);
        u->tell = pipes[1];
        become_daemon(u);
    }
    close(pipes[1]);
    close(u->lock); /* the child has it */
    int status = await(u, child, pipes[0]);
    close(pipes[0]);
    if (status == 0) {
        warn_of_storage(&u->o);
        say_up(&u->o, "up", u->o.json);
    }
    return status;
}

/* Half of a cloud is none. */
static int not_restored(const struct ft_home *h, struct ft_err *err)
{
    char path[FT_HOME_PATH];
    if (access(ft_home_at(h, FT_RESTORING, path), F_OK) != 0)
        return 0;
    return ft_err_set(
        err, FT_EINVAL,
        "a restore into %s did not come to its end: 'feitian restore' again, or remove "
        "what is there",
        h->path);
}

static int run(struct up *u)
{
    struct ft_err err = {0};
    umask(077);
    ft_ready_take();
    if (find_certificate(u, &err) != 0 ||
        find_storage(u, &err) != 0) /* also where one runs already */
        return ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "up");
    if (not_restored(&u->o.home, &err) != 0)
        return ft_cli_fail(1, &err, "up");
    if (ft_home_make(&u->o.home, &err) != 0 || ft_home_lock(&u->o.home, &u->lock, &err) != 0)
        return ft_cli_fail(1, &err, "up");
    if (u->lock < 0)
        return already(&u->o);
    int rc = prepare(u, &err);
    if (rc != 0)
        return ft_cli_fail(rc == FT_EINVAL ? 2 : 1, &err, "up");
    if (!u->o.foreground)
        return daemonise(u);
    rc = supervise(u, &err);
    return rc == 0 ? 0 : ft_cli_fail(1, &err, "up");
}

int ft_cmd_up(int argc, char **argv)
{
    static struct up u; /* too large for the stack; and whoever asks for options does not return */
    u.tell = u.lock = -1;
    int status = ft_up_options_parse(argc, argv, &u.o);
    if (status == 0)
        status = run(&u);
    ft_up_options_fini(&u.o);
    return status;
}
