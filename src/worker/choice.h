/* One choice of an answer: the text that its tokens free, taken apart into pieces.
 *
 * Pure: what comes out depends on the tokens alone, so a choice that is driven through the tokens
 * of another worker stands where that one stood. Pieces of a token are given within the call for
 * it; while `muted` none are. A call that may still turn out to be none is held until its end. */
#ifndef FT_WORKER_CHOICE_H
#define FT_WORKER_CHOICE_H

#include "base/buf.h"
#include "model/chat/parse.h"
#include "serve/piece.h"

#define FT_CALL_ID_BYTES 30 /* "call_", 24 characters, NUL */

/* The id of a tool call: a function of its place, the same in every worker. */
void ft_choice_call_id(const char *request, int choice, int call, char ret[FT_CALL_ID_BYTES]);

struct ft_choice_config {
    const char *request; /* its id; outlives the choice */
    int index;
    bool plain; /* text goes out as it is; the rest is not looked at */
    enum ft_dialect dialect;
    json_t *tools;            /* NULL: nothing is taken for a call */
    struct ft_slice tail;     /* of the prompt */
    bool plain_after;         /* what follows the reasoning is no markup, whatever it looks like */
    enum ft_chat_bound bound; /* what a grammar keeps calls to */
    /* What follows the reasoning is a call, or the rest of one that began so ("<tool_call>\n"), as
     * Hermes writes them, and ends so. Empty: calls come if the model makes them. */
    struct ft_slice call_begin, call_end;
    bool single_call;      /* is over with its first call */
    size_t call_bytes_max; /* of the arguments of a call that is held */
};

struct ft_choice {
    struct ft_choice_config cfg;
    struct ft_chat_parser *parser;
    ft_piece_fn *fn;
    void *ctx;
    bool muted, done; /* done: FINISH was given */
    int n_token, n_reasoning, n_calls;

    bool in_reasoning, reasoned; /* now; in the text just pushed */
    bool streaming;              /* a forced call whose arguments are passed on as they come */
    bool primed;                 /* forced: the parser was told how the call begins */
    size_t n_mark;               /* bytes of "</think>" that the text ends with */
    struct ft_buf name, args;    /* of the call that is held */
    int failed;
};

int ft_choice_open(struct ft_choice *c, const struct ft_choice_config *cfg, ft_piece_fn *fn,
                   void *ctx, struct ft_err *err);
void ft_choice_close(struct ft_choice *c); /* a zeroed one is accepted */

/* One more token, and the text that it frees (perhaps none). Nothing after `done`. */
int ft_choice_token(struct ft_choice *c, const char *text, size_t n, struct ft_err *err);
/* The end: the last text, by end tokens' `n_token` more of them, and why. stop: which string. */
int ft_choice_finish(struct ft_choice *c, const char *text, size_t n, int n_token,
                     enum ft_answer_finish how, struct ft_slice stop, struct ft_err *err);

#endif
