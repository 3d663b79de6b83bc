/* OpenAI's Responses: translated to a chat request and back.
 *
 * A response is a turn of a conversation. It may go on behind a stored one (previous_response_id),
 * so a request is taken in two steps: parse, then resolve with the stored document. What the
 * gateway keeps of a response is one document, opaque to whoever stores it:
 *
 *     {"response":{..}, "input":[items of this turn], "context":[items of the turns before]}
 *
 * It holds the whole conversation, so a chain needs one look-up and survives the deletion of
 * earlier responses. */
#ifndef FT_API_OPENAI_RESPONSES_H
#define FT_API_OPENAI_RESPONSES_H

#include "api/openai/write.h"

#define FT_OAI_ITEMS_MAX          4096 /* of one conversation */
#define FT_OAI_DOCUMENT_BYTES_MAX ((size_t)32 << 20)

struct ft_oai_responses {
    struct ft_oai_request chat; /* after resolve: what is served (kind FT_TASK_CHAT) */
    json_t *root;               /* owned: the body */
    json_t *input;              /* owned: this turn's items, each with an id */
    json_t *context;            /* owned: those of the turns before */
    const char *model;
    const char *previous; /* previous_response_id, or NULL */
    bool stream, store, logprobs;
};

/* Everything but the conversation is checked. e as in ft_oai_parse. id: "req_..", from which the
 * ids of items are made. */
int ft_oai_responses_parse(const char *body, size_t n, const char *id, struct ft_oai_responses *ret,
                           struct ft_oai_error *e);
/* Places in the chat request that it becomes, told as places in this one. */
void ft_oai_responses_rename(struct ft_oai_error *e);
/* previous: the document stored under r->previous, or NULL where there is none to look for.
 * count: for counting tokens alone (FT_TASK_COUNT). */
int ft_oai_responses_resolve(struct ft_oai_responses *r, const json_t *previous, bool count,
                             struct ft_oai_error *e);
void ft_oai_responses_fini(struct ft_oai_responses *r); /* a zeroed one is accepted */

/* previous_response_id names nothing that this project has: 400, as OpenAI has it. */
void ft_oai_responses_no_previous(const struct ft_oai_responses *r, struct ft_oai_error *e);

/* The response of request "req_X" is "resp_X". ret: at least FT_OAI_ID_BYTES_MAX + 8 bytes. */
void ft_oai_responses_id(const char *request_id, char *ret, size_t bytes);

/* Pieces to events or the response object; use with write.h. r is not kept. */
int ft_oai_responses_writer_open(const struct ft_oai_writer_config *cfg,
                                 const struct ft_oai_responses *r, struct ft_oai_writer **ret,
                                 struct ft_err *err);
/* After END, of a writer of this kind whose request had store: appends the document. FT_ENOTFOUND:
 * there is none (an error before the answer began). */
int ft_oai_responses_document(const struct ft_oai_writer *w, struct ft_buf *out);

/* ---- what is stored, shown ----
 * document: as it was stored. FT_ECORRUPT if it is none. */

/* GET /v1/responses/ID */
int ft_oai_responses_show(const json_t *document, struct ft_buf *out, struct ft_oai_error *e);
/* GET /v1/responses/ID/input_items. limit: text of the query's parameter, or NULL (20); order:
 * "asc", "desc" or NULL (desc); after: id or NULL. */
int ft_oai_responses_items(const json_t *document, const char *limit, const char *order,
                           const char *after, struct ft_buf *out, struct ft_oai_error *e);
/* The answer of DELETE /v1/responses/ID */
void ft_oai_responses_deleted(const char *id, struct ft_buf *out);
/* POST /v1/responses/ID/cancel: nothing runs in the background here, so it is always refused. */
int ft_oai_responses_cancel(struct ft_oai_error *e);
/* 404 for an id that names nothing. */
int ft_oai_responses_none(const char *id, struct ft_oai_error *e);
/* POST /v1/responses/input_tokens, from FT_TASK_COUNT's number. */
void ft_oai_responses_count(struct ft_buf *out, int prompt_tokens);

#endif
