/* A conversation in the terminal: lines are edited, /commands, texts of several lines, Ctrl-C. Who
 * answers is the caller's matter. One at a time in a process; the thread that called
 * ft_talk_catch() converses. */
#ifndef FT_CLI_TALK_H
#define FT_CLI_TALK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "cli/wrap.h"

struct ft_talk_ops {
    /* Prints the answer. When Ctrl-C comes, the answer is cut short, which is no error. */
    int (*ask)(void *ctx, const char *text, size_t n, struct ft_err *err);
    /* Forgets the conversation, but for the system message. */
    void (*reset)(void *ctx);
    /* Replaces the system message and forgets the rest. */
    int (*set_system)(void *ctx, const char *text, struct ft_err *err);
    /* (optional: none) a /command of the caller's own; FT_ENOTFOUND: there is none of that name */
    int (*command)(void *ctx, const char *line, struct ft_err *err);
    const char *help; /* lines on those, for /help; or "" */
};

/* Ctrl-C from now on only sets the flag. Sets the locale, which the editing of lines needs. */
void ft_talk_catch(void);
/* Not 0 once Ctrl-C was pressed; ft_talk_clear() makes it 0. */
const atomic_int *ft_talk_interrupted(void);
void ft_talk_clear(void);

/* Reads and asks until the end; name: who complains ("run"). */
void ft_talk(const char *name, const struct ft_talk_ops *ops, void *ctx);

/* What an answer looks like: reasoning dim, then the content, lines broken between words; where it
 * goes to no terminal, just as it comes. */
struct ft_answer_view {
    bool color, in_reasoning, in_content;
    struct ft_wrap wrap;
};
void ft_answer_begin(struct ft_answer_view *v);
void ft_answer_add(struct ft_answer_view *v, bool reasoning, const char *text, size_t n);
/* failed: nothing more comes; a line that is begun is ended all the same. */
void ft_answer_end(struct ft_answer_view *v, bool failed);

#endif
