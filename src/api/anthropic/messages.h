/* Anthropic's Messages: translated to a chat request and back.
 *
 * The request becomes OpenAI's form, which api/openai checks further and serving takes; the pieces
 * become Anthropic's events or message. Nothing else of the gateway knows of this API. */
#ifndef FT_API_ANTHROPIC_MESSAGES_H
#define FT_API_ANTHROPIC_MESSAGES_H

#include "api/openai/request.h"
#include "api/openai/write.h"

/* The code of the error that says so; its details name it too, since clients go by that. */
#define FT_ANTHROPIC_NO_THREADS "thread_unsupported_request"

struct ft_anthropic_request {
    struct ft_oai_request chat; /* kind FT_TASK_CHAT, or FT_TASK_COUNT */
    bool stream;
    bool omit_thinking; /* thinking.display "omitted" */
};

/* POST /v1/messages, or with count POST /v1/messages/count_tokens. As ft_oai_parse; *e names the
 * place in this API's form. */
int ft_anthropic_parse(bool count, const char *body, size_t n, struct ft_anthropic_request *ret,
                       struct ft_oai_error *e);
void ft_anthropic_request_fini(struct ft_anthropic_request *r); /* a zeroed one is accepted */

/* Pieces to events or a message, of a count to {"input_tokens":N}; use with api/openai/write.h.
 * cfg->worker is not looked at. */
int ft_anthropic_writer_open(const struct ft_oai_writer_config *cfg,
                             const struct ft_anthropic_request *r, struct ft_oai_writer **ret,
                             struct ft_err *err);

/* {"type":"error","error":{"type","message"},"request_id"}, and "details" in "error" where a client
 * goes by them. request_id: may be NULL. */
void ft_anthropic_error_write(const struct ft_oai_error *e, const char *request_id,
                              struct ft_buf *out);
/* As ft_oai_error_status, but 529 where that is 503. */
int ft_anthropic_error_status(const struct ft_oai_error *e);
const char *ft_anthropic_error_type(const struct ft_oai_error *e);

#endif
