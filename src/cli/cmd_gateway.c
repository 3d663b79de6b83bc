/* feitian gateway: the front of a running cloud; started by `feitian up`. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/storage.h"
#include "gateway/gateway.h"
#include "monitor/trace.h"
#include "sched/exec_local.h"
#include "sched/ready.h"
#include "serve/serve.h"

struct gateway_options {
    const char *home, *listen, *tls_cert, *tls_key, *kv, *storage, *s3_domain;
    int64_t memory, threads, http_threads, s3_day;
    bool no_workers, stop_workers;
};

/* Where exec's events go. Serving opens after exec, asking what it missed, and closes before it. */
static pthread_rwlock_t serving_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct ft_serve *serving;

static void on_event(void *ctx, enum ft_exec_event event, const struct ft_exec_info *info)
{
    (void)ctx;
    (void)info;
    pthread_rwlock_rdlock(&serving_lock);
    if (serving != NULL && event == FT_EXEC_EVENT_ENDED)
        ft_serve_wake(serving);
    pthread_rwlock_unlock(&serving_lock);
}

static void on_serve(void *ctx, struct ft_serve *s)
{
    (void)ctx;
    pthread_rwlock_wrlock(&serving_lock);
    serving = s;
    pthread_rwlock_unlock(&serving_lock);
}

struct storage {
    const char *where, *home;
};

static int open_blob(void *ctx, struct ft_blob **ret, struct ft_err *err)
{
    const struct storage *s = ctx;
    return ft_storage_open_own(s->where, s->home, ret, err);
}

static int still_there(void *ctx, struct ft_err *err)
{
    const struct storage *s = ctx;
    return ft_storage_still_there(s->where, err);
}

/* As OpenTelemetry's specification names them. False: no collector is named. */
static bool trace_options(struct ft_trace_options *ret)
{
    const char *off = getenv("OTEL_SDK_DISABLED"), *sampler = getenv("OTEL_TRACES_SAMPLER");
    const char *ratio = getenv("OTEL_TRACES_SAMPLER_ARG");
    static char headers[8192]; /* often a secret: not for workers, who inherit our environment */
    const char *h = getenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS");
    h = h != NULL ? h : getenv("OTEL_EXPORTER_OTLP_HEADERS");
    snprintf(headers, sizeof headers, "%s", h != NULL ? h : "");
    unsetenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS");
    unsetenv("OTEL_EXPORTER_OTLP_HEADERS");
    *ret = (struct ft_trace_options){.endpoint = getenv("OTEL_EXPORTER_OTLP_ENDPOINT"),
                                     .url = getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
                                     .headers = headers,
                                     .service = getenv("OTEL_SERVICE_NAME"),
                                     .version = FT_VERSION,
                                     .ratio = 1};
    if (sampler != NULL && strstr(sampler, "always_off") != NULL)
        ret->ratio = 0;
    else if (sampler != NULL && strstr(sampler, "traceidratio") != NULL && ratio != NULL)
        ret->ratio = strtod(ratio, NULL);
    bool endpoint = (ret->endpoint != NULL && ret->endpoint[0] != '\0') ||
                    (ret->url != NULL && ret->url[0] != '\0');
    return endpoint && (off == NULL || strcmp(off, "true") != 0);
}

static int run(const struct gateway_options *o, struct ft_err *err)
{
    char run_dir[PATH_MAX], tasks[PATH_MAX + 8], models[PATH_MAX], adapters[PATH_MAX],
        read_dir[2 * PATH_MAX], logs[PATH_MAX], self[PATH_MAX], blobs[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return ft_err_sys(err, "read /proc/self/exe");
    self[n] = '\0';
    snprintf(run_dir, sizeof run_dir, "%s/run", o->home);
    snprintf(tasks, sizeof tasks, "%s/tasks", run_dir);
    snprintf(models, sizeof models, "%s/models", o->home);
    snprintf(adapters, sizeof adapters, "%s/adapters", o->home);
    snprintf(read_dir, sizeof read_dir, "%s:%s", models, adapters);
    snprintf(logs, sizeof logs, "%s/logs", o->home);
    snprintf(blobs, sizeof blobs, "%s/blob", o->home);
    if (o->storage != NULL)
        snprintf(blobs, sizeof blobs, "%s", o->storage);
    mkdir(run_dir, 0700);
    mkdir(logs, 0700);
    mkdir(models, 0700);
    mkdir(adapters, 0700);
    struct storage storage = {blobs, o->home};
    const char *worker[] = {self, "worker", NULL};
    struct ft_trace_options trace;
    bool traces = trace_options(&trace);
    struct ft_exec *exec = NULL;
    if (!o->no_workers && ft_exec_local_open(tasks, on_event, NULL, &exec, err) != 0)
        return err->code;
    struct ft_gateway_options g = {.home = o->home,
                                   .program = self,
                                   .listen = o->listen,
                                   .tls_cert = o->tls_cert,
                                   .tls_key = o->tls_key,
                                   .n_threads = (int)o->http_threads,
                                   .end = ft_interrupt_catch(),
                                   .stop_workers = o->stop_workers,
                                   .serve = {.exec = exec,
                                             .worker_argv = worker,
                                             .run_dir = run_dir,
                                             .log_dir = logs,
                                             .read_dir = read_dir,
                                             .kv = o->kv,
                                             .memory_bytes = o->memory,
                                             .threads = (int)o->threads},
                                   .open_blob = open_blob,
                                   .storage = blobs,
                                   .still_there = still_there,
                                   .s3_domain = o->s3_domain,
                                   .s3_day_s = (int)o->s3_day,
                                   .trace = traces ? &trace : NULL,
                                   .log_requests = getenv("FEITIAN_LOG_REQUESTS") != NULL,
                                   .on_serve = on_serve,
                                   .ctx = &storage};
    int rc = ft_gateway_run(&g, err);
    ft_exec_close(exec);
    return rc;
}

int ft_cmd_gateway(int argc, char **argv)
{
    struct gateway_options o = {.listen = "127.0.0.1:7700"};
    const struct ft_opt opts[] = {
        {"home", 0, FT_OPT_TEXT, &o.home, 0, 0},
        {"listen", 0, FT_OPT_TEXT, &o.listen, 0, 0},
        {"tls-cert", 0, FT_OPT_TEXT, &o.tls_cert, 0, 0},
        {"tls-key", 0, FT_OPT_TEXT, &o.tls_key, 0, 0},
        {"kv", 0, FT_OPT_TEXT, &o.kv, 0, 0},
        {"storage", 0, FT_OPT_TEXT, &o.storage, 0, 0},
        {"s3-domain", 0, FT_OPT_TEXT, &o.s3_domain, 0, 0},
        {"s3-day", 0, FT_OPT_WHOLE, &o.s3_day, 1, 86400},
        {"memory", 0, FT_OPT_BYTES, &o.memory, 1 << 20, 1e15},
        {"threads", 0, FT_OPT_WHOLE, &o.threads, 1, 1024},
        {"http-threads", 0, FT_OPT_WHOLE, &o.http_threads, 1, 64},
        {"no-workers", 0, FT_OPT_FLAG, &o.no_workers, 0, 0},
        {"stop-workers", 0, FT_OPT_FLAG, &o.stop_workers, 0, 0},
    };
    struct ft_err err = {0};
    char **words;
    int rc = ft_opts_parse("gateway", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &words);
    if (rc != 0)
        return rc;
    if (o.home == NULL)
        return ft_cli_usage("gateway", "--home is missing");
    ft_ready_take();
    if (run(&o, &err) != 0)
        return ft_cli_fail(1, &err, "gateway");
    return 0;
}
