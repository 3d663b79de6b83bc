/* The admin side of the cloud: the process that owns the state store.
 *
 * `feitian control` serves HTTP on HOME/run/control.sock (0600) to the gateway alone, which has
 * checked the caller and says who it is in X-Feitian-Key, X-Feitian-Project and X-Feitian-Role:
 *   /internal/feed, /internal/usage, /internal/spend, /internal/responses/ID    for the gateway
 *   /api/v1/...                                  the admin API (docs: api/v1/openapi.json)
 *   /v1/organization/usage/..., /v1/organization/costs, /v1/usage               OpenAI's forms
 * It is the only writer of the store. When the store is in trouble every answer that needs it is a
 * 503 saying so, and the process lives on until the store is back. */
#ifndef FT_CONTROL_CONTROL_H
#define FT_CONTROL_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "sched/exec.h"
#include "state/state.h"

struct ft_control_options {
    const char *home;       /* folder of the cloud */
    const char *socket;     /* NULL: HOME/run/control.sock */
    const char *url;        /* of the gateway, for credentials.json: "http://127.0.0.1:7700" */
    const char *program;    /* path of feitian itself: models are inspected by a process of it */
    struct ft_state *state; /* owned by the caller, migrated here */
    struct ft_exec *exec;   /* runs trainings; NULL: fine-tuning jobs wait. The caller's */
    int look_ms;            /* between two looks at the cloud; 0: 10 s, the step of the history */
    const atomic_int *end;  /* not 0: leave; checked a few times a second */
};

/* True if HOME has had a store (HOME/state.id is there): then open it as a known one. */
bool ft_control_known(const char *home);

/* The cloud's folder was `from` when the store was copied, and is `to` now: models and adapters
 * that lay in it lie there. For a restored store that nobody has open. */
int ft_control_rehome(struct ft_state *s, const char *from, const char *to, struct ft_err *err);

/* Serves until *end. On an empty store it makes the project "default", the first operator key (in
 * HOME/credentials.json, 0600, {"url","key"}, on the disk before the key is valid), prices, and for
 * HOME/models/nano.gguf the model and the endpoint "nano". */
int ft_control_run(const struct ft_control_options *o, struct ft_err *err);

#endif
