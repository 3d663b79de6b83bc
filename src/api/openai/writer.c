/* Writers of any API: what callers see of them. */
#include "api/openai/writer.h"

#include <stdlib.h>

static int set_error(struct ft_oai_writer *w, const struct ft_err *err)
{
    if (w->error == NULL)
        w->error = malloc(sizeof *w->error);
    if (w->error == NULL)
        return FT_ENOMEM;
    ft_oai_error_from(w->error, err);
    return err->code;
}

int ft_oai_writer_keep(struct ft_oai_writer *w, size_t n)
{
    if (n > FT_OAI_ANSWER_BYTES_MAX - w->kept_bytes)
        return FT_ELIMIT;
    w->kept_bytes += n;
    return 0;
}

static int take_end(struct ft_oai_writer *w, const struct ft_piece *piece, struct ft_buf *out)
{
    w->ended = true;
    if (w->error == NULL && piece->err != NULL) {
        set_error(w, piece->err);
        if (w->error != NULL)
            w->error->retry_after_ms = piece->retry_after_ms;
        if (w->error != NULL && w->ops->rename != NULL)
            w->ops->rename(w->error);
    }
    if (w->error == NULL && piece->err == NULL)
        return w->ops->piece(w, piece, out);
    struct ft_oai_error e;
    ft_oai_error_set(&e, FT_ENOMEM, NULL, NULL, "no memory for the answer");
    w->failed = true;
    (w->events ? w->ops->fail_stream : w->ops->fail)(w, w->error != NULL ? w->error : &e, out);
    return 0;
}

int ft_oai_writer_piece(struct ft_oai_writer *w, const struct ft_piece *piece, struct ft_buf *out)
{
    FT_ASSERT(!w->ended);
    size_t before = out->len;
    int rc = 0;
    if (piece->kind == FT_PIECE_END) {
        rc = take_end(w, piece, out);
    } else if (w->error == NULL) {
        rc = w->ops->piece(w, piece, out);
        if (rc != 0) {
            struct ft_err err;
            ft_err_set(&err, (enum ft_code)rc, "%s",
                       rc == FT_ELIMIT ? "the answer is too long to be given in one piece; "
                                         "ask for a stream"
                                       : "no memory for the answer");
            set_error(w, &err);
        }
    }
    w->events |= w->stream && !w->failed && out->len > before;
    return rc;
}

int ft_oai_writer_status(const struct ft_oai_writer *w)
{
    if (!w->failed || w->events)
        return 200;
    if (w->error == NULL)
        return 503; /* there was no memory to keep it */
    return w->ops->status != NULL ? w->ops->status(w->error) : ft_oai_error_status(w->error);
}

bool ft_oai_writer_streams(const struct ft_oai_writer *w)
{
    return w->events;
}

const struct ft_oai_error *ft_oai_writer_error(const struct ft_oai_writer *w)
{
    return w->error;
}

void ft_oai_writer_close(struct ft_oai_writer *w)
{
    if (w == NULL)
        return;
    w->ops->close(w);
    free(w->error);
    free(w);
}
