/* The options of `feitian run`: parsed, bounded, with the files they name read. */
#ifndef FT_CLI_RUN_OPTIONS_H
#define FT_CLI_RUN_OPTIONS_H

#include <stdbool.h>

#include "cli/chat.h"

struct ft_run_options {
    const char *model,
        *prompt; /* prompt NULL: interactive, or standard input when that is no terminal */
    const char *device, *isa, *draft;
    const char *adapter; /* folder; NULL: none */
    int n_threads, n_ctx, memory_mb;
    enum ft_kv_type kv_type;
    bool quiet;
    bool given_temperature, given_top_k, given_top_p, given_min_p; /* not the model's own then */
    struct ft_chat_config chat;
    struct ft_slice stop[FT_REQUEST_STOPS_MAX];
    struct ft_logit_bias bias[FT_REQUEST_BIASES_MAX];
    struct ft_grammar *grammar;
};

/* Fills *o; FT_EINVAL names the option. Pointers go into argv. */
int ft_run_options_parse(int argc, char **argv, struct ft_run_options *o, struct ft_err *err);
void ft_run_options_fini(struct ft_run_options *o);

#endif
