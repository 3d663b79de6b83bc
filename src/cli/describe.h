/* The commands and their options as data, for what is made of them: completion.c, man.c.
 *
 * Nothing is listed twice: commands are the tables that main.c looks in; options are asked of the
 * command itself, whose parser (ft_cli_getopt) hands over its table in the place of reading
 * anything; what they mean is found in their help. */
#ifndef FT_CLI_DESCRIBE_H
#define FT_CLI_DESCRIBE_H

#include <stdbool.h>

#include "cli/cli.h"

#define FT_DESCRIBED_MAX 80 /* options of one command */

struct ft_described {
    char name[40];  /* long, without "--" */
    char letter;    /* or 0 */
    bool takes;     /* a value */
    char value[48]; /* "FILE", "f16|f32|q8"; "": the help does not say */
    char help[80];  /* the first line of what it means; "" where the help has none */
};

/* full: "key create". Returns how many. */
int ft_describe(const struct ft_cmd *c, const char *full,
                struct ft_described ret[FT_DESCRIBED_MAX]);

/* Calls fn for each command that has options or words of its own, those below others too, in the
 * order of the tables; groups (with subs) themselves before theirs. */
typedef void ft_command_fn(void *ctx, const struct ft_cmd *c, const char *full);
void ft_commands_each(bool internal, ft_command_fn *fn, void *ctx);

/* ---- main.c ---- */
const struct ft_cmd *ft_cli_commands(size_t *ret_n);

/* ---- man.c ---- */
void ft_man_print(void); /* feitian(1), in man's macros, on standard output */

#endif
