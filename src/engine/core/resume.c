/* Answers that go on where they were cut: what was generated before is taken in on the submitting
 * thread, through the same code as sampled tokens, told again when the request enters, and its KV
 * computed like a prompt's. Random numbers, penalties and lengths follow from the sequence itself,
 * so nothing else tells a resumed one from one that was preempted. */
#include "engine/core/core.h"

#include <stdlib.h>

#define REPLAY_TEXT_MAX (64u << 20)

static int take(struct ft_seq *s, const struct ft_resume *given, struct ft_buf *piece,
                struct ft_err *err)
{
    struct ft_replay *p = &s->replay;
    int n_vocab = s->req->m->src->pub.hp.n_vocab;
    for (int i = 0; i < given->n; i++) {
        struct ft_output took;
        if (p->ended)
            return ft_err_set(err, FT_EINVAL, "resume[%d]: %d tokens, but token %d ended it (%s)",
                              s->index, given->n, i - 1, ft_finish_name(p->how));
        if (given->token[i] < 0 || given->token[i] >= n_vocab)
            return ft_err_set(err, FT_EINVAL,
                              "resume[%d][%d]: token %d is outside the vocabulary of %d", s->index,
                              i, given->token[i], n_vocab);
        if (ft_output_take(s, given->token[i], piece, &p->text, &took, err) != 0)
            return ft_err_wrap(err, "resume[%d][%d]", s->index, i);
        if (took.placed)
            p->end[p->n++] = (uint32_t)p->text.len;
        else
            p->last = given->token[i];
        p->ended = took.ended;
        p->how = took.how;
        p->stop = took.stop;
    }
    if (piece->failed != 0 || p->text.failed != 0)
        return ft_err_set(err, FT_ENOMEM, "resume[%d]: no memory for its text", s->index);
    return 0;
}

int ft_resume_take(struct ft_seq *s, const struct ft_resume *given, struct ft_err *err)
{
    struct ft_replay *p = &s->replay;
    if (given->n < 0 || (given->n > 0 && given->token == NULL))
        return ft_err_set(err, FT_EINVAL, "resume[%d]: %d tokens", s->index, given->n);
    if (given->n == 0)
        return 0;
    ft_buf_init(&p->text, REPLAY_TEXT_MAX);
    p->last = p->stop = -1;
    p->end = calloc((size_t)given->n, sizeof *p->end);
    if (p->end == NULL)
        return ft_err_set(err, FT_ENOMEM, "resume[%d]: no memory", s->index);
    struct ft_buf piece;
    ft_buf_init(&piece, REPLAY_TEXT_MAX);
    int rc = take(s, given, &piece, err);
    ft_buf_fini(&piece);
    if (rc == 0)
        s->req->usage.generated_tokens += given->n;
    return rc;
}

void ft_resume_lead(struct ft_req *q)
{
    q->lead = q->n_seq;
    for (int i = q->n_seq - 1; i >= 0; i--) {
        q->resumed |= q->seq[i].replay.n > 0 || q->seq[i].replay.ended;
        if (!q->seq[i].replay.ended)
            q->lead = i;
    }
}

void ft_resume_free(struct ft_seq *s)
{
    ft_buf_fini(&s->replay.text);
    free(s->replay.end);
    s->replay.end = NULL;
}

size_t ft_resume_event_bytes(const struct ft_req *q)
{
    size_t sum = 0;
    for (int i = 0; i < q->n_seq && q->resumed; i++) {
        const struct ft_replay *p = &q->seq[i].replay;
        for (int k = 0; k < p->n; k++)
            sum += ft_stream_event_bytes(p->end[k] - (k > 0 ? p->end[k - 1] : 0), 0, 0);
    }
    return sum;
}

static void tell_sample(struct ft_seq *s)
{
    const struct ft_replay *p = &s->replay;
    for (int k = 0; k < p->n; k++) {
        uint32_t at = k > 0 ? p->end[k - 1] : 0;
        struct ft_event ev = {.kind = FT_EVENT_TOKEN,
                              .index = s->index,
                              .token = s->token[s->n_prompt + k],
                              .last = p->ended && p->last < 0 && k == p->n - 1,
                              .resumed = true,
                              .text = p->end[k] > at ? p->text.data + at : "",
                              .text_n = p->end[k] - at};
        ft_req_emit(s->req, &ev);
    }
}

void ft_resume_tell(struct ft_engine *e, struct ft_req *q)
{
    for (int i = 0; i < q->n_seq && q->resumed; i++)
        tell_sample(&q->seq[i]);
    for (int i = 0; i < q->n_seq && q->resumed && !q->cancelled; i++) {
        const struct ft_replay *p = &q->seq[i].replay;
        if (p->ended)
            ft_loop_finish(e, &q->seq[i], p->how, p->last, NULL, p->stop);
        ft_resume_free(&q->seq[i]);
    }
}

void ft_resume_release(struct ft_engine *e, struct ft_seq *s)
{
    struct ft_req *q = s->req;
    if (!q->resumed || s->index != q->lead || s->n_done < s->n_prompt)
        return;
    for (int i = 0; i < q->n_seq; i++)
        if (q->seq[i].state == FT_SEQ_FORKING)
            ft_seq_move(e, &q->seq[i], FT_SEQ_WAITING);
}
