/* The commands of `feitian`: one file cmd_<name>.c each, one row each in the table of main.c. */
#ifndef FT_CLI_H
#define FT_CLI_H

#include "base/err.h"

/* argv[0] is the command's own name. Returns the exit status: 0, 1 a failure, 2 bad usage or a
 * refused input. */
struct ft_cmd {
    const char *name;
    const char *args; /* "MODEL [-p TEXT] ..." for the usage line */
    const char *help; /* one line */
    int (*run)(int argc, char **argv);
};

/* Prints "feitian: context: message" to stderr; returns `status`. */
int ft_cli_fail(int status, const struct ft_err *err, const char *context);
/* Prints the usage of a command after a message; returns 2. */
int ft_cli_usage(const char *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A whole number from min to max, or FT_EINVAL naming the option. */
int ft_cli_int(const char *option, const char *text, int min, int max, int *ret,
               struct ft_err *err);

int ft_cmd_bench(int argc, char **argv);
int ft_cmd_constrain(int argc, char **argv);
int ft_cmd_convert(int argc, char **argv);
int ft_cmd_inspect(int argc, char **argv);
int ft_cmd_eval(int argc, char **argv);
int ft_cmd_perplexity(int argc, char **argv);
int ft_cmd_detokenize(int argc, char **argv);
int ft_cmd_render(int argc, char **argv);
int ft_cmd_run(int argc, char **argv);
int ft_cmd_tokenize(int argc, char **argv);
int ft_cmd_version(int argc, char **argv);

#endif
