/* Is the machine, and what a cloud has on it, as it should be? `feitian doctor` and the console's
 * page of nodes say what these checks find, and what to do about it. They change nothing, and block
 * on disks for milliseconds. */
#ifndef FT_MONITOR_CHECKS_H
#define FT_MONITOR_CHECKS_H

#include <jansson.h>

#include "base/err.h"

#define FT_CHECK_TEXT_MAX 1024

enum ft_check_level { FT_CHECK_OK, FT_CHECK_WARN, FT_CHECK_BAD };
extern const char *const ft_check_level_name[]; /* "ok", "warn", "bad" */

struct ft_checks {
    const char *home; /* the cloud's folder; it need not be there */
    /* One finding. check: "disk"; mend: what to do about it; "" or, with OK, whatever: nothing. */
    void (*say)(void *ctx, enum ft_check_level level, const char *check, const char *mend,
                const char *text);
    void *ctx;
};

/* For checks: says it. */
void ft_check_say(const struct ft_checks *c, enum ft_check_level level, const char *check,
                  const char *mend, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

typedef void ft_check(const struct ft_checks *c);

ft_check ft_check_processor, ft_check_memory, ft_check_home, ft_check_disk, ft_check_limits,
    ft_check_sandbox, ft_check_clock;

/* By what GET /api/v1/status says (an operator's): control, the ledger, the store of objects. */
void ft_check_live(const struct ft_checks *c, const json_t *status);

#endif
