/* A conversation with one model in this process: renders the messages with the model's own
 * template, streams the answer taken apart into reasoning and content, keeps the history. One
 * thread. */
#ifndef FT_CLI_CHAT_H
#define FT_CLI_CHAT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "engine/core/engine.h"
#include "model/chat/parse.h"

enum ft_thinking { FT_THINKING_DEFAULT, FT_THINKING_ON, FT_THINKING_OFF };

struct ft_chat_config {
    const char *model;         /* id in the engine */
    const char *system;        /* NULL: none */
    enum ft_thinking thinking; /* the template's enable_thinking */
    bool raw;                  /* no template: the text itself is the prompt */
    struct ft_request request; /* sampling, limits, grammar, speculation; the prompt is set here */
};

struct ft_chat;

/* FT_EINVAL when the model has no template and raw is not set. cfg and what it points to outlive
 * the chat. */
int ft_chat_open(struct ft_engine *e, const struct ft_chat_config *cfg, struct ft_chat **ret,
                 struct ft_err *err);
void ft_chat_close(struct ft_chat *c); /* NULL is accepted */

/* Forgets the conversation, but for the system message. */
void ft_chat_reset(struct ft_chat *c);
/* Replaces the system message (NULL: none) and forgets the conversation. */
int ft_chat_set_system(struct ft_chat *c, const char *text, struct ft_err *err);

struct ft_chat_result {
    enum ft_finish finish;
    struct ft_usage usage;
};

/* Asks, and calls `on_part` as the answer comes. *interrupt (may be NULL) is looked at often:
 * when it is not 0 the answer is cut there, kept in the history, and FT_FINISH_CANCELLED
 * reported. On failure the history is as before. */
int ft_chat_ask(struct ft_chat *c, const char *text, size_t n, ft_part_fn *on_part, void *ctx,
                const atomic_int *interrupt, struct ft_chat_result *ret, struct ft_err *err);

#endif
