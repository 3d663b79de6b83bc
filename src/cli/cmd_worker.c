/* feitian worker: the process that computes for a gateway; or an OpenAI-compatible server on a unix
 * socket, without a cloud around it. */
#include "cli/cli.h"

#include <stdint.h>
#include <string.h>

#include "cli/local.h"
#include "cli/options.h"
#include "worker/worker.h"

#define LEASE_S_MAX (24 * 3600)

struct arguments {
    const char *socket, *read, *kv, *device, *isa;
    int64_t memory, threads, lease;
    bool unconfined;
};

static int parse(int argc, char **argv, struct arguments *a)
{
    const struct ft_opt opts[] = {
        {"socket", 0, FT_OPT_TEXT, &a->socket, 0, 0},
        {"read", 0, FT_OPT_TEXT, &a->read, 0, 0},
        {"memory", 0, FT_OPT_BYTES, &a->memory, 1 << 20, 1e15},
        {"kv", 0, FT_OPT_TEXT, &a->kv, 0, 0},
        {"threads", 0, FT_OPT_WHOLE, &a->threads, 0, 1024},
        {"lease", 0, FT_OPT_WHOLE, &a->lease, 0, LEASE_S_MAX},
        {"device", 0, FT_OPT_TEXT, &a->device, 0, 0},
        {"isa", 0, FT_OPT_TEXT, &a->isa, 0, 0},
        {"unconfined", 0, FT_OPT_FLAG, &a->unconfined, 0, 0},
    };
    char **words;
    int rc = ft_opts_parse("worker", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &words);
    if (rc != 0)
        return rc;
    if (a->socket == NULL || a->read == NULL)
        return ft_cli_usage("worker", "--socket and --read are needed");
    return 0;
}

/* "DIR[:DIR]" in place. */
static int split_read(char *list, const char **read)
{
    int n = 0;
    for (char *at = list, *next; at != NULL; at = next) {
        next = strchr(at, ':');
        if (next != NULL)
            *next++ = '\0';
        if (*at == '\0')
            continue;
        if (n == FT_WORKER_READ_MAX)
            return -1;
        read[n++] = at;
    }
    return n;
}

int ft_cmd_worker(int argc, char **argv)
{
    struct arguments a = {.kv = "f16", .device = "cpu"};
    const char *read[FT_WORKER_READ_MAX];
    struct ft_err err = {0};
    int rc = parse(argc, argv, &a);
    if (rc != 0)
        return rc;
    struct ft_worker_config cfg = {.socket = a.socket,
                                   .read = read,
                                   .n_read = split_read((char *)a.read, read),
                                   .memory_bytes = (uint64_t)a.memory,
                                   .device = ft_local_device(a.device),
                                   .dev = {.n_threads = (int)a.threads, .isa = a.isa},
                                   .lease_s = (int)a.lease,
                                   .sandbox_best_effort = a.unconfined};
    if (cfg.n_read < 1)
        return ft_cli_usage("worker", "--read: 1 to %d folders, DIR[:DIR]", FT_WORKER_READ_MAX);
    if (cfg.device == NULL)
        return ft_cli_usage("worker", "--device: '%s' is not cpu or ref", a.device);
    if (ft_local_kv_type(a.kv, &cfg.kv_type, &err) != 0)
        return ft_cli_usage("worker", "%s", err.msg);
    if (ft_worker_run(&cfg, &err) != 0)
        return ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "worker");
    return 0;
}
