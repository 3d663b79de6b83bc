/* The commands of `feitian`: one file cmd_<name>.c each, one row each in the table of main.c. */
#ifndef FT_CLI_H
#define FT_CLI_H

#include <stdio.h>

#include "base/err.h"

/* Where a command stands in the help; INTERNAL: nowhere. */
enum ft_cmd_group { FT_CMD_CLOUD, FT_CMD_MODEL, FT_CMD_PART, FT_CMD_INTERNAL, FT_CMD_GROUP_COUNT };

/* argv[0] is "feitian" and the command's name, for messages. Returns the exit status: 0, 1 a
 * failure, 2 bad usage or a refused input. */
struct ft_cmd {
    const char *name;
    const char *args; /* "MODEL [-p TEXT] ..." for the usage line */
    const char *help; /* one line */
    int (*run)(int argc, char **argv);
    enum ft_cmd_group group; /* of the table in main.c; means nothing in subs */
    /* Commands below this one, which has no `run` then; ends in a row without a name. NULL: none */
    const struct ft_cmd *subs;
};

/* Prints "feitian cmd: message" to stderr; returns `status`. */
int ft_cli_fail(int status, const struct ft_err *err, const char *cmd);
/* Text that holds what comes from outside (a field's name, a file's line), so that it cannot drive
 * the terminal: control characters become '?'. */
void ft_cli_put_plain(FILE *out, const char *text);
/* Prints a message and where to read on; returns 2. */
int ft_cli_usage(const char *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same when getopt has said what is wrong. */
int ft_cli_see_help(const char *cmd);
/* What the options of a command mean, or "". */
const char *ft_cli_help(const char *cmd);

/* A whole number from min to max, or FT_EINVAL naming the option. */
int ft_cli_int(const char *option, const char *text, int min, int max, int *ret,
               struct ft_err *err);

/* getopt_long without its last argument, for commands that read their options themselves; or, when
 * only the table is asked for (describe.h), the end of the command. */
struct option;
int ft_cli_getopt(int argc, char **argv, const char *letters, const struct option *table);

int ft_cmd_bench(int argc, char **argv);
int ft_cmd_completion(int argc, char **argv);
int ft_cmd_constrain(int argc, char **argv);
int ft_cmd_control(int argc, char **argv);
int ft_cmd_convert(int argc, char **argv);
int ft_cmd_gateway(int argc, char **argv);
int ft_cmd_inspect(int argc, char **argv);
int ft_cmd_merge(int argc, char **argv);
int ft_cmd_eval(int argc, char **argv);
int ft_cmd_evaluate(int argc, char **argv);
int ft_cmd_perplexity(int argc, char **argv);
int ft_cmd_detokenize(int argc, char **argv);
int ft_cmd_render(int argc, char **argv);
int ft_cmd_run(int argc, char **argv);
int ft_cmd_tokenize(int argc, char **argv);
int ft_cmd_train(int argc, char **argv);
int ft_cmd_train_tokenizer(int argc, char **argv); /* under train */
const char *ft_cmd_train_help(void);               /* as ft_cli_help(), from the table of options */
int ft_cmd_version(int argc, char **argv);
int ft_cmd_worker(int argc, char **argv);

/* a cloud: src/cli/cloud */
int ft_cmd_backup(int argc, char **argv);
int ft_cmd_chat(int argc, char **argv);
int ft_cmd_cp(int argc, char **argv);
int ft_cmd_doctor(int argc, char **argv);
int ft_cmd_down(int argc, char **argv);
int ft_cmd_ls(int argc, char **argv);
int ft_cmd_mb(int argc, char **argv);
int ft_cmd_presign(int argc, char **argv);
int ft_cmd_restore(int argc, char **argv);
int ft_cmd_rm(int argc, char **argv);
int ft_cmd_status(int argc, char **argv);
int ft_cmd_top(int argc, char **argv);
int ft_cmd_up(int argc, char **argv);
int ft_cmd_usage(int argc, char **argv);
int ft_cmd_events(int argc, char **argv);
int ft_cmd_explain(int argc, char **argv);
int ft_cmd_support(int argc, char **argv);
extern const struct ft_cmd ft_cmd_alert_subs[], ft_cmd_channel_subs[], ft_cmd_node_subs[],
    ft_cmd_batch_subs[], ft_cmd_blob_subs[], ft_cmd_endpoint_subs[], ft_cmd_files_subs[],
    ft_cmd_hub_subs[], ft_cmd_key_subs[], ft_cmd_member_subs[], ft_cmd_session_subs[],
    ft_cmd_model_subs[], ft_cmd_project_subs[], ft_cmd_tune_subs[];
const char *ft_cloud_help(const char *cmd); /* as ft_cli_help(), NULL: not one of these */

#endif
