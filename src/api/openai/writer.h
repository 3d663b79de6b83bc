/* What the writers of answers have in common: OpenAI's, those of responses (responses.h), and
 * api/anthropic's. Callers use write.h; this is for writers themselves. */
#ifndef FT_API_OPENAI_WRITER_H
#define FT_API_OPENAI_WRITER_H

#include "api/openai/write.h"

struct ft_oai_writer_ops {
    /* Everything but END with an error. Negative: the answer has failed, END follows with it. */
    int (*piece)(struct ft_oai_writer *w, const struct ft_piece *piece, struct ft_buf *out);
    /* END of a call that failed, when bytes of a stream were written: tells it within. */
    void (*fail_stream)(struct ft_oai_writer *w, const struct ft_oai_error *e, struct ft_buf *out);
    /* The same when nothing was written: the body of an HTTP error. */
    void (*fail)(struct ft_oai_writer *w, const struct ft_oai_error *e, struct ft_buf *out);
    /* Who was asked calls fields by the names of chat requests: the error's are made those of this
     * API (optional: default as they are) */
    void (*rename)(struct ft_oai_error *e);
    /* HTTP status of an error (optional: default ft_oai_error_status) */
    int (*status)(const struct ft_oai_error *e);
    void (*close)(struct ft_oai_writer *w); /* frees what is its own, not w */
};

/* The first member of every writer. */
struct ft_oai_writer {
    const struct ft_oai_writer_ops *ops;
    bool stream;                /* was asked for */
    bool events;                /* the answer is a stream: some of it was written */
    bool failed, ended;         /* END told of an error; END was taken */
    size_t kept_bytes;          /* of an answer that is not streamed */
    struct ft_oai_error *error; /* NULL: all is well so far; allocated: streams are many */
};

/* Counts n more bytes that are kept; FT_ELIMIT at FT_OAI_ANSWER_BYTES_MAX. */
int ft_oai_writer_keep(struct ft_oai_writer *w, size_t n);

/* ---- parts ---- */

void ft_oai_write_int(struct ft_buf *out, int64_t v);
/* "usage":{...} of chat and completions. */
void ft_oai_write_usage(struct ft_buf *out, const struct ft_answer_usage *u);
/* ,"feitian":{"cpu_us":..,"uj":..,"uj_estimated":..,"ph":{..}}: what an answer cost, for the
 * gateway. */
void ft_oai_write_cost(struct ft_buf *out, const struct ft_answer_usage *u);
/* Appends a literal. */
#define FT_OAI_LIT(out, s) ft_buf_add((out), "" s, sizeof(s) - 1)

/* ---- log-probabilities (logprobs.c) ---- */

/* STEP's object has OpenAI's chat form ({"content":[..]}), or that of completions ({"tokens":[..]})
 * where a server of that API gave it. Appends the entries' text, without brackets, comma first
 * unless *n is 0; adds to *n and to *sum what there is. */
void ft_oai_logprobs_chat(struct ft_buf *out, const json_t *logprobs, int *n, double *sum);
/* The four lists of completions, each kept in a buffer of its own. */
struct ft_oai_text_logprobs {
    struct ft_buf tokens, values, top, offsets;
    int n;
    double sum;
};
void ft_oai_text_logprobs_init(struct ft_oai_text_logprobs *l);
void ft_oai_text_logprobs_fini(struct ft_oai_text_logprobs *l);
/* *offset: characters of the answer before; moved on. */
void ft_oai_text_logprobs_add(struct ft_oai_text_logprobs *l, const json_t *logprobs,
                              int64_t *offset);
void ft_oai_text_logprobs_write(const struct ft_oai_text_logprobs *l, struct ft_buf *out);
/* Only their sum. */
void ft_oai_logprobs_sum(const json_t *logprobs, int *n, double *sum);

#endif
