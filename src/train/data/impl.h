/* Between the files of train/data: a line on its way to samples. */
#ifndef FT_TRAIN_DATA_IMPL_H
#define FT_TRAIN_DATA_IMPL_H

#include "base/arena.h"
#include "train/data/data.h"

/* Tokens in the making. */
struct ft_draft {
    int32_t *token;
    uint8_t *loss;
    size_t n, cap_loss;
};

/* What one line gives. */
struct ft_drafts {
    struct ft_draft *at; /* [n] */
    int n, cap;
    bool is_text; /* may be cut into pieces */
};

void ft_drafts_reset(struct ft_drafts *d); /* none left; keeps the array */
void ft_drafts_fini(struct ft_drafts *d);
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

/* Reads lines; holds what is the same for all. */
struct ft_line_reader {
    struct ft_data_config cfg;
    bool control_byte[256];                       /* begins the text of some control token */
    struct ft_buf context, whole, before, answer; /* of the turn being read */
};
void ft_line_reader_init(struct ft_line_reader *r, const struct ft_data_config *cfg);
void ft_line_reader_fini(struct ft_line_reader *r);

/* One line of JSONL (without its newline) to drafts: one or several samples, or the two of a pair.
 * FT_EINVAL and FT_ELIMIT are the line's fault, all other codes are not. */
int ft_line_read(struct ft_line_reader *r, const char *text, size_t n, struct ft_drafts *ret,
                 struct ft_err *err);

/* The same for n bytes that are one text. */
int ft_line_read_text(struct ft_line_reader *r, const char *text, size_t n, struct ft_drafts *ret,
                      struct ft_err *err);

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
