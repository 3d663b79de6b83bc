/* One metered call of a model: admitted by tenant, opened in the ledger, served, counted piece by
 * piece, and closed in both, whatever way it ends. */
#ifndef FT_GATEWAY_CALL_H
#define FT_GATEWAY_CALL_H

#include "gateway/inner.h"

/* Calls of a batch (r->batch) have the id of their line, however often it is sent, cost half (or
 * what the setting "batch_price" says), wait behind others of their project, and have no record of
 * ours: it goes to whoever asked, in the answer's header X-Feitian-Record (a line of JSON as in the
 * journal), to be written in one step with what becomes of the answer. Not for streams. */
#define GW_BATCH_PRIORITY FT_SERVE_BACKGROUND

/* What a protocol makes of the pieces of an answer; the writers of api/ behind one face. */
struct gw_writer_ops {
    /* Appends what can be written now; FT_ELIMIT, FT_ENOMEM: the answer outgrew its bound. */
    int (*piece)(void *w, const struct ft_piece *p, struct ft_buf *out);
    int (*status)(const void *w);                       /* HTTP, once anything was written */
    const struct ft_oai_error *(*error)(const void *w); /* of END, or NULL */
    void (*close)(void *w);
};

struct gw_ask {
    enum ft_task_kind kind;
    const char *model; /* as the client named it */
    json_t *body;      /* OpenAI's JSON; a reference is taken */
    size_t body_bytes; /* of the client's request: bounds the prompt's tokens */
    int max_tokens, n; /* 0: not said; choices */
    bool stream;
    const struct gw_writer_ops *ops;
    void *writer; /* given over, also on failure */
    /* Optional: what must happen between END and the last bytes; calls done(ctx) once. */
    void (*before_end)(struct gw_request *r, void *writer, void (*done)(void *ctx), void *ctx);
};

extern const struct gw_writer_ops gw_openai_writer; /* models.c */

/* Answers r in every case. */
void gw_call(struct gw_request *r, const struct gw_ask *ask);

/* How many tokens q is (count.c); `write` puts the number into the protocol's answer. Not billed.
 */
struct ft_oai_request;
void gw_count(struct gw_request *r, const struct ft_oai_request *q, size_t body_bytes,
              void (*write)(struct ft_buf *out, int prompt_tokens));

#endif
