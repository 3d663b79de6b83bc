/* Limits and budgets as options of commands, for projects and keys alike. */
#ifndef FT_CLI_CLOUD_TERMS_H
#define FT_CLI_CLOUD_TERMS_H

#include <jansson.h>

#include "cli/cloud/client.h"
#include "cli/options.h"

/* NULL: not given; "none": no limit. */
struct ft_terms {
    const char *rpm, *tpm, *concurrency, *queue, *storage;
    const char *day, *month, *warn;
};
#define FT_TERMS_OPTIONS(t)                                                                        \
    {"rpm", 0, FT_OPT_TEXT, &(t).rpm, 0, 0}, {"tpm", 0, FT_OPT_TEXT, &(t).tpm, 0, 0},              \
        {"concurrency", 0, FT_OPT_TEXT, &(t).concurrency, 0, 0},                                   \
        {"budget-day", 0, FT_OPT_TEXT, &(t).day, 0, 0},                                            \
        {"budget-month", 0, FT_OPT_TEXT, &(t).month, 0, 0},                                        \
    {                                                                                              \
        "warn", 0, FT_OPT_TEXT, &(t).warn, 0, 0                                                    \
    }

/* Sets body's "limits" and "budget" as far as given. FT_EINVAL names the option. */
int ft_terms_put(const struct ft_terms *t, json_t *body, struct ft_err *err);
/* Tells an entity, or each of a list, in what its budgets are, for ft_terms_text: its member
 * "currency". Asks the cloud where there is a budget; one that does not say leaves them bare. */
void ft_terms_currency(struct ft_cloud *c, json_t *entities);
/* "60 requests/min, 4 at once, 5.00 USD a day", or "". */
const char *ft_terms_text(const json_t *entity, char *ret, size_t n);

/* A date "2026-12-31", or a span "30d", "12h", "90m" from now on, back from now if `past`: seconds
 * since the epoch. */
int ft_terms_when(const char *option, const char *text, bool past, int64_t *ret,
                  struct ft_err *err);

#endif
