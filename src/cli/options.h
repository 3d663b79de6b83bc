/* Options of a command as a table, for commands whose options are plain values. getopt_long reads
 * them; complaints name the option and are printed here. */
#ifndef FT_CLI_OPTIONS_H
#define FT_CLI_OPTIONS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FT_OPT_COUNT_MAX 40
#define FT_OPT_MANY_MAX  64 /* values of an option that may be given several times */

enum ft_opt_kind {
    FT_OPT_FLAG,  /* bool; takes no value */
    FT_OPT_TEXT,  /* const char * */
    FT_OPT_WHOLE, /* int64_t from min to max */
    FT_OPT_REAL,  /* double from min to max */
    FT_OPT_BYTES, /* int64_t from min to max: "4G", "512M", "1048576" */
    FT_OPT_MANY,  /* struct ft_opt_many: texts */
};

struct ft_opt_many {
    const char *value[FT_OPT_MANY_MAX];
    int n;
};

struct ft_opt {
    const char *name; /* long, without "--" */
    char letter;      /* or 0 */
    enum ft_opt_kind kind;
    void *at; /* untouched unless the option is given */
    double min, max;
};

/* Returns 0, or 2 after a message. *ret_args: the words that are no options, as many as `min_args`
 * to `max_args`; what they should be, `words` says ("NAME PATH"). */
int ft_opts_parse(const char *cmd, const struct ft_opt *opts, size_t n, int argc, char **argv,
                  int min_args, int max_args, const char *words, char ***ret_args);

/* The same from a JSON object ("tls_cert" for --tls-cert), whose texts are borrowed. FT_EINVAL
 * names the member; an unknown one is refused. */
int ft_opts_json(const struct ft_opt *opts, size_t n, const json_t *object, struct ft_err *err);

/* "4G", "1.5M", "100": bytes, by powers of 1024. FT_EINVAL names `option`. */
int ft_opts_bytes(const char *option, const char *text, double min, double max, int64_t *ret,
                  struct ft_err *err);

#endif
