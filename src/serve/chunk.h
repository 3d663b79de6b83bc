/* What OpenAI-compatible servers answer, read as pieces. Tolerant of what real ones send; nothing
 * in it is trusted. One thread, one answer. */
#ifndef FT_SERVE_CHUNK_H
#define FT_SERVE_CHUNK_H

#include "serve/replica.h"

#define FT_CHUNK_CALLS_MAX  128       /* tool calls of a choice */
#define FT_CHUNK_TOKENS_MAX (1 << 16) /* ids in one event */

struct ft_chunk_choice {
    bool begun, finished;
    int n_call;
    int64_t call_index[FT_CHUNK_CALLS_MAX]; /* the server's number of each */
};

struct ft_chunk_reader {
    enum ft_task_kind kind;
    ft_piece_fn *on_piece;
    void *ctx;
    uint64_t salt; /* of ids of tool calls that the server gave none */
    struct ft_chunk_choice *choice[FT_PIECE_CHOICES_MAX];
    struct ft_answer_usage usage;
    struct ft_phases phases; /* where usage.phases points to, once they were told */
    bool has_usage;
    int steps;      /* events with text: roughly tokens, where the server does not tell */
    bool done;      /* [DONE] came */
    bool any;       /* pieces were given */
    int32_t *token; /* room for an event's ids */
    int cap_token;
};

void ft_chunk_init(struct ft_chunk_reader *r, enum ft_task_kind kind, uint64_t salt,
                   ft_piece_fn *on_piece, void *ctx);
void ft_chunk_fini(struct ft_chunk_reader *r);

/* One event's data, or a whole answer. Gives its pieces, all or none. An error that the server
 * tells is returned with *ret_fault and *err; FT_ECORRUPT: it makes no sense. */
int ft_chunk_read(struct ft_chunk_reader *r, const char *data, size_t n,
                  enum ft_piece_fault *ret_fault, struct ft_err *err);
/* The bytes have ended. Gives what is missing of a good answer (an ending that was not told), fills
 * *ret_usage. FT_EIO: they were cut. */
int ft_chunk_end(struct ft_chunk_reader *r, const json_t *body, struct ft_answer_usage *ret_usage,
                 struct ft_err *err);

/* The answer was cut, by whomever: what is known of the tokens that went into it, or were given. */
void ft_chunk_cut(struct ft_chunk_reader *r, const json_t *body, struct ft_answer_usage *ret_usage);

/* An answer with an error status as an error: its code by the status, its message by the body. */
void ft_chunk_error(int status, const char *body, size_t n, enum ft_piece_fault *ret_fault,
                    struct ft_err *err);

#endif
