/* Workers as processes of this machine: started by sched/exec.h as tasks "worker-N" that outlive
 * the gateway, spoken to over RUN/worker-N.sock. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "net/client.h"
#include "sched/exec.h"
#include "serve/core.h"
#include "serve/replica_http.h"

#define ARGS_MAX       32
#define LEASE_S        30 /* without a gateway that asks for its health, a worker ends */
#define ANSWER_MAX     (1 << 20)
#define OVERHEAD_PART  16 /* of a worker's memory is not the engine's: the program itself */
#define OVERHEAD_LEAST (96LL << 20)
#define KV_DEFAULT     "f16"
#define NOTE           "a worker with %lld bytes" /* for the next gateway */

struct local {
    struct ft_plant base;
    struct ft_exec *exec;
    struct ft_http_client *client;
    char **argv; /* the command */
    int n_argv;
    char *run_dir, *log_dir, *read_dir, *kv;
    int threads;
};

static struct local *local_of(struct ft_plant *p)
{
    return (struct local *)p;
}

static void name_of(int k, char *buf, size_t n)
{
    if (k == FT_SERVE_QUARANTINE)
        snprintf(buf, n, "worker-quarantine");
    else
        snprintf(buf, n, "worker-%d", k);
}

static char *path_in(const char *dir, int k, const char *tail)
{
    char name[32], *path;
    name_of(k, name, sizeof name);
    return asprintf(&path, "%s/%s%s", dir, name, tail) < 0 ? NULL : path;
}

static int local_start(struct ft_plant *p, int k, int64_t memory_bytes, struct ft_err *err)
{
    struct local *l = local_of(p);
    char name[32], memory[32], threads[16], lease[16], note[64];
    name_of(k, name, sizeof name);
    int64_t overhead = FT_MAX(OVERHEAD_LEAST, memory_bytes / OVERHEAD_PART);
    snprintf(memory, sizeof memory, "%lld", (long long)FT_MAX(memory_bytes - overhead, 1 << 20));
    snprintf(threads, sizeof threads, "%d", l->threads);
    snprintf(lease, sizeof lease, "%d", LEASE_S);
    snprintf(note, sizeof note, NOTE, (long long)memory_bytes);
    char *socket = path_in(l->run_dir, k, ".sock");
    char *log = l->log_dir != NULL ? path_in(l->log_dir, k, ".log") : NULL;
    const char *argv[ARGS_MAX + 16];
    int n = 0;
    for (; n < l->n_argv; n++)
        argv[n] = l->argv[n];
    const char *const more[] = {"--socket", socket, "--memory", memory,      "--kv",      l->kv,
                                "--lease",  lease,  "--read",   l->read_dir, "--threads", threads};
    int n_more = (int)FT_COUNT(more) - (l->threads > 0 ? 0 : 2);
    for (int i = 0; i < n_more; i++)
        argv[n++] = more[i];
    argv[n] = NULL;
    struct ft_exec_spec spec = {
        .id = name,
        .argv = argv,
        .limits = {.memory_bytes = memory_bytes},
        .log = log,
        .outlives = true,
        .note = note,
    };
    ft_exec_remove(l->exec, name, NULL); /* one that ended; nothing if there is none */
    int rc = socket == NULL || (l->log_dir != NULL && log == NULL)
                 ? ft_err_set(err, FT_ENOMEM, "out of memory")
                 : ft_exec_start(l->exec, &spec, err);
    free(socket);
    free(log);
    return rc;
}

static void local_stop(struct ft_plant *p, int k, bool now)
{
    char name[32];
    name_of(k, name, sizeof name);
    ft_exec_kill(local_of(p)->exec, name, now ? SIGKILL : SIGTERM, NULL);
}

static bool local_look(struct ft_plant *p, int k, struct ft_plant_info *ret)
{
    char name[32];
    struct ft_exec_info info;
    name_of(k, name, sizeof name);
    *ret = (struct ft_plant_info){0};
    if (ft_exec_query(local_of(p)->exec, name, &info, NULL) != 0)
        return false;
    ret->running = info.state == FT_EXEC_RUNNING;
    ret->adopted = info.adopted;
    ret->pid = info.pid;
    long long memory;
    if (sscanf(info.note, NOTE, &memory) == 1)
        ret->memory_bytes = memory;
    ret->out_of_memory = info.out_of_memory;
    if (!ret->running)
        ft_exec_how_ended(&info, ret->how, sizeof ret->how);
    return true;
}

static int local_replica(struct ft_plant *p, int k, struct ft_replica **ret, struct ft_err *err)
{
    struct local *l = local_of(p);
    char *socket = path_in(l->run_dir, k, ".sock");
    if (socket == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    struct ft_replica_http_config config = {.client = l->client, .socket = socket};
    int rc = ft_replica_http_open(&config, ret, err);
    free(socket);
    return rc;
}

/* ---- asking ---- */

struct ask {
    ft_plant_answer_fn *on_answer;
    void *ctx;
    int status;
    struct ft_buf body;
};

static void ask_head(void *ctx, const struct ft_http_answer_head *head)
{
    ((struct ask *)ctx)->status = head->status;
}

static bool ask_data(void *ctx, const char *data, size_t n)
{
    ft_buf_add(&((struct ask *)ctx)->body, data, n); /* too long: no JSON below */
    return true;
}

static void ask_done(void *ctx, const struct ft_err *err)
{
    struct ask *a = ctx;
    json_t *answer = err == NULL && a->body.failed == 0 && a->body.len > 0
                         ? json_loadb(a->body.data, a->body.len, 0, NULL)
                         : NULL;
    a->on_answer(a->ctx, err == NULL ? a->status : 0, answer);
    ft_json_unref(answer); /* serving may have kept it */
    ft_buf_fini(&a->body);
    free(a);
}

static void local_ask(struct ft_plant *p, int k, const char *method, const char *path,
                      const json_t *body, int timeout_ms, ft_plant_answer_fn *on_answer, void *ctx)
{
    struct local *l = local_of(p);
    struct ask *a = calloc(1, sizeof *a);
    char *socket = path_in(l->run_dir, k, ".sock"), *url = NULL;
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    if (asprintf(&url, "http://worker%s", path) < 0)
        url = NULL;
    int rc = FT_ENOMEM;
    if (a != NULL && socket != NULL && url != NULL && (body == NULL || text != NULL)) {
        a->on_answer = on_answer;
        a->ctx = ctx;
        ft_buf_init(&a->body, ANSWER_MAX);
        const char *headers[] = {"Content-Type: application/json"};
        struct ft_http_call_config config = {
            .method = method,
            .url = url,
            .unix_socket = socket,
            .headers = headers,
            .n_headers = text != NULL,
            .body = text,
            .n_body = text != NULL ? strlen(text) : 0,
            .total_timeout_ms = timeout_ms,
            .on_head = ask_head,
            .on_data = ask_data,
            .on_done = ask_done,
            .ctx = a,
        };
        rc = ft_http_call_start(l->client, &config, NULL, NULL);
    }
    free(socket);
    free(url);
    free(text);
    if (rc != 0) {
        free(a);
        on_answer(ctx, 0, NULL);
    }
}

static void local_close(struct ft_plant *p)
{
    struct local *l = local_of(p);
    for (int i = 0; i < l->n_argv; i++)
        free(l->argv[i]);
    free(l->argv);
    free(l->run_dir);
    free(l->log_dir);
    free(l->read_dir);
    free(l->kv);
    free(l);
}

static const struct ft_plant_ops local_ops = {
    .start = local_start,
    .stop = local_stop,
    .look = local_look,
    .replica = local_replica,
    .ask = local_ask,
    .close = local_close,
};

int ft_plant_local_open(const struct ft_serve_config *config, struct ft_plant **ret,
                        struct ft_err *err)
{
    int n = 0;
    while (config->worker_argv != NULL && config->worker_argv[n] != NULL)
        n++;
    if (n == 0 || n > ARGS_MAX)
        return ft_err_set(err, FT_EINVAL, "worker_argv: must be 1 to %d words", ARGS_MAX);
    if (config->client == NULL || config->run_dir == NULL || config->read_dir == NULL)
        return ft_err_set(err, FT_EINVAL, "client, run_dir, read_dir: workers need all of them");
    struct local *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    l->base.ops = &local_ops;
    l->exec = config->exec;
    l->client = config->client;
    l->argv = calloc((size_t)n, sizeof *l->argv);
    l->run_dir = strdup(config->run_dir);
    l->log_dir = config->log_dir != NULL ? strdup(config->log_dir) : NULL;
    l->read_dir = strdup(config->read_dir);
    l->kv = strdup(config->kv != NULL ? config->kv : KV_DEFAULT);
    l->threads = config->threads;
    bool good = l->argv != NULL && l->run_dir != NULL && l->read_dir != NULL && l->kv != NULL &&
                (config->log_dir == NULL || l->log_dir != NULL);
    for (; good && l->n_argv < n; l->n_argv++) {
        l->argv[l->n_argv] = strdup(config->worker_argv[l->n_argv]);
        good = l->argv[l->n_argv] != NULL;
    }
    if (!good) {
        local_close(&l->base);
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    }
    *ret = &l->base;
    return 0;
}
