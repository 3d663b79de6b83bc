/* The worker process: one engine with many models behind OpenAI's API on a unix socket.
 *
 * A gateway starts it, sends it chat, completion, embedding and rerank requests with "feitian" in
 * them, and can take an answer elsewhere at any token; without "feitian" it is an ordinary
 * OpenAI-compatible server. README.md lists its routes. */
#ifndef FT_WORKER_H
#define FT_WORKER_H

#include <stdint.h>

#include "base/err.h"
#include "engine/dev.h"

#define FT_WORKER_READ_MAX 64 /* folders of models */

struct ft_worker_config {
    const char *socket;      /* path of the unix socket; one that is left over is replaced */
    const char *const *read; /* [n_read] files and folders that models may be read from */
    int n_read;
    uint64_t memory_bytes; /* of the engine; 0: its default */
    enum ft_kv_type kv_type;
    const struct ft_dev_ops *device; /* chosen by the caller, opened by the worker */
    struct ft_dev_config dev;
    int lease_s; /* ends itself after so long without GET /health; 0: never */
    /* Where the kernel cannot confine it: go on all the same. */
    bool sandbox_best_effort;
};

/* Runs until SIGTERM or SIGINT, the end of the lease, or a failure to start. To be called before
 * the process has other threads. */
int ft_worker_run(const struct ft_worker_config *cfg, struct ft_err *err);

#endif
