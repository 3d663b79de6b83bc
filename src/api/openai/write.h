/* Answers of OpenAI's API: pieces (serve/piece.h) in, bytes out. Used by the gateway towards
 * clients and by the worker towards the gateway; no JSON tree is built for text.
 *
 * Streaming: the pieces of a step become server-sent events when its STEP comes (or FINISH or END,
 * where a server tells no steps). The worker's form holds a step in one event, with the ids of its
 * tokens; clients get one event per delta that a client can take, never two entries of one choice
 * in a chunk. Otherwise everything is kept and written at END as one JSON object.
 *
 * The worker's event: `"feitian":{"i":CHOICE,"t":[ids]}` beside "choices", which may hold several
 * entries of the choice, to be taken in order, and is [] for a step that gave no text. "logprobs"
 * is in the last entry. A choice that a stop string ended has "stop_reason":"..." beside
 * "finish_reason". The last event before [DONE] holds "usage" and
 * `"feitian":{"cpu_us":..,"uj":..,"uj_estimated":..,"ph":{..}}`; after an error `{"error":{..},
 * "feitian":{"code":ft_code_name}}` it is left out.
 *
 * A writer belongs to one thread at a time. Bytes are appended to `out`; its failures (the buffer's
 * bound, memory) are the caller's to look at. */
#ifndef FT_API_OPENAI_WRITE_H
#define FT_API_OPENAI_WRITE_H

#include "api/openai/error.h"
#include "api/openai/request.h"
#include "serve/piece.h"

#define FT_OAI_ANSWER_BYTES_MAX ((size_t)64 << 20) /* kept of one answer that is not streamed */
#define FT_OAI_CONTENT_STREAM   "text/event-stream; charset=utf-8"
#define FT_OAI_CONTENT_JSON     "application/json"

/* Of any API: this header's, responses.h's, api/anthropic's. */
struct ft_oai_writer;

struct ft_oai_writer_config {
    const char *id;    /* "req_..": the answer's id is "chatcmpl-.." or "cmpl-.." of it */
    const char *model; /* as the client named it */
    int64_t created;   /* unix seconds */
    bool worker;       /* the worker's form, see above */
};

/* q is not kept; what is needed of it is copied. */
int ft_oai_writer_open(const struct ft_oai_writer_config *cfg, const struct ft_oai_request *q,
                       struct ft_oai_writer **ret, struct ft_err *err);
void ft_oai_writer_close(struct ft_oai_writer *w); /* NULL is accepted */

/* Takes the next piece and appends what can be written. Returns 0; FT_ELIMIT or FT_ENOMEM when an
 * answer that is not streamed outgrew its bound (the caller cancels; the error is written at END).
 * After END the answer is whole: error or [DONE] included. */
int ft_oai_writer_piece(struct ft_oai_writer *w, const struct ft_piece *piece, struct ft_buf *out);

/* HTTP status of the answer: 200 as soon as a stream has begun; of a failed END before that, the
 * error's, and `out` then holds the error's JSON. Valid when anything was appended. */
int ft_oai_writer_status(const struct ft_oai_writer *w);
/* The error of END, for ft_oai_error_headers; NULL if all went well. */
const struct ft_oai_error *ft_oai_writer_error(const struct ft_oai_writer *w);
/* Is the answer a stream of events? */
bool ft_oai_writer_streams(const struct ft_oai_writer *w);

/* An event that says no more than that the stream lives: a comment line. */
void ft_oai_write_ping(struct ft_buf *out);

/* ---- whole answers that are not generated; a worker's tell beside "usage" what they cost ---- */

/* The worker's RESULT of embeddings: OpenAI's list. vector: [n][dim] f32; base64: little-endian f32
 * in base64 (the gateway always asks workers for that: the tree stays small). */
void ft_oai_write_embeddings(struct ft_buf *out, const char *model, const float *vector, size_t n,
                             size_t dim, bool base64, const struct ft_answer_usage *usage);
/* The worker's RESULT of rerank: {"results":[{"index","relevance_score","document"?}],..} best
 * first, top_n of them. score: one per document of q. */
void ft_oai_write_rerank(struct ft_buf *out, const char *id, const char *model,
                         const struct ft_oai_request *q, const float *score,
                         const struct ft_answer_usage *usage);
/* {"object":"token_count","prompt_tokens":N}: FT_TASK_COUNT's answer. cost: of a worker's; or NULL
 */
void ft_oai_write_count(struct ft_buf *out, int prompt_tokens, const struct ft_answer_usage *cost);

/* GET /v1/models and /v1/models/ID from ft_serve_models(): FT_ENOTFOUND if id is not among them. */
void ft_oai_write_models(struct ft_buf *out, const json_t *models);
int ft_oai_write_model(struct ft_buf *out, const json_t *models, const char *id,
                       struct ft_oai_error *e);

/* ---- parts that other writers (responses, api/anthropic) use ---- */

/* A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void ft_oai_write_string(struct ft_buf *out, const char *s, size_t n);
/* The same without quotes. */
void ft_oai_write_escaped(struct ft_buf *out, const char *s, size_t n);

#endif
