/* Between the files of train/data: a line on its way to samples. */
#ifndef FT_TRAIN_DATA_IMPL_H
#define FT_TRAIN_DATA_IMPL_H

#include "train/data/line.h"

/* A new one at the end, empty; NULL: no memory. */
struct ft_draft *ft_drafts_add(struct ft_drafts *d);
void ft_draft_fini(struct ft_draft *d);
/* Encodes text behind what is there. flags: FT_TOK_*. */
int ft_draft_encode(struct ft_draft *d, const struct ft_tokenizer *t, const char *text, size_t n,
                    unsigned flags, bool loss, struct ft_err *err);
int ft_draft_push(struct ft_draft *d, int32_t token, bool loss, struct ft_err *err);
/* The same for rendered conversations and other text whose control tokens count, with one
 * beginning-of-sequence token; d is empty. */
int ft_draft_encode_prompt(struct ft_draft *d, const struct ft_tokenizer *t, const char *text,
                           size_t n, struct ft_err *err);

/* ---- conversations ---- */

struct ft_conversation {
    json_t *messages;                 /* as templates want them, a copy */
    json_t *tools;                    /* or NULL; borrowed or made: counted */
    json_t *parallel;                 /* parallel_tool_calls, or NULL; counted */
    bool learn[FT_DATA_MESSAGES_MAX]; /* assistant turns that are targets */
};
int ft_conversation_init(struct ft_conversation *c, struct ft_err *err);
void ft_conversation_fini(struct ft_conversation *c); /* a zeroed one is accepted */
/* Checks messages (messages.c) and adds them. path: where they stand in the line, for errors.
 * learn: whether assistant turns without a weight are targets. */
int ft_conversation_add(struct ft_conversation *c, const struct ft_line_reader *r, json_t *messages,
                        const char *path, bool learn, struct ft_err *err);
/* tools, functions and parallel_tool_calls of an object. path: "" or "input.". Before the messages
 * are added. */
int ft_conversation_tools(struct ft_conversation *c, const struct ft_line_reader *r, json_t *object,
                          const char *path, struct ft_err *err);
/* Renders, and adds a draft for each stretch of turns that one sample can hold (chat.c). */
int ft_conversation_read(const struct ft_conversation *c, struct ft_line_reader *r,
                         struct ft_drafts *out, struct ft_err *err);

#endif
