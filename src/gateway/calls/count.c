/* Answers to "how many tokens is this?", in each protocol's form. */
#include <stdlib.h>

#include "api/openai/request.h"
#include "gateway/calls/call.h"

struct counting {
    void (*write)(struct ft_buf *out, int prompt_tokens);
    bool failed;
    struct ft_oai_error error;
};

static int piece(void *w, const struct ft_piece *p, struct ft_buf *out)
{
    struct counting *c = w;
    if (p->kind != FT_PIECE_END)
        return 0;
    c->failed = p->err != NULL;
    if (c->failed) {
        ft_oai_error_from(&c->error, p->err);
        c->error.retry_after_ms = p->retry_after_ms;
    } else {
        c->write(out, p->usage.prompt_tokens);
    }
    return out->failed;
}

static int status(const void *w)
{
    const struct counting *c = w;
    return c->failed ? ft_oai_error_status(&c->error) : 200;
}

static const struct ft_oai_error *error(const void *w)
{
    const struct counting *c = w;
    return c->failed ? &c->error : NULL;
}

static const struct gw_writer_ops count_ops = {piece, status, error, free};

static void *counting_open(void (*write)(struct ft_buf *out, int prompt_tokens))
{
    struct counting *c = calloc(1, sizeof *c);
    if (c != NULL)
        c->write = write;
    return c;
}

void gw_count(struct gw_request *r, const struct ft_oai_request *q, size_t body_bytes,
              void (*write)(struct ft_buf *out, int prompt_tokens))
{
    struct gw_ask ask = {.kind = FT_TASK_COUNT,
                         .model = q->model,
                         .body = q->root,
                         .body_bytes = body_bytes,
                         .ops = &count_ops,
                         .writer = counting_open(write)};
    struct ft_oai_error e;
    if (ask.writer != NULL) {
        gw_call(r, &ask);
        return;
    }
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_ENOMEM, NULL, NULL, "out of memory");
    gw_refuse(r, q->model, &e);
}
