/* Drafts: growing tokens with their losses. */
#include <stdlib.h>
#include <string.h>

#include "train/data/impl.h"

void ft_draft_fini(struct ft_draft *d)
{
    free(d->token);
    free(d->loss);
    *d = (struct ft_draft){0};
}

void ft_drafts_reset(struct ft_drafts *d)
{
    for (int i = 0; i < d->n; i++)
        ft_draft_fini(&d->at[i]);
    d->n = 0;
    d->form = FT_DATA_AUTO;
}

void ft_drafts_fini(struct ft_drafts *d)
{
    ft_drafts_reset(d);
    free(d->at);
    *d = (struct ft_drafts){0};
}

struct ft_draft *ft_drafts_add(struct ft_drafts *d)
{
    if (d->n == d->cap) {
        int cap = d->cap == 0 ? 4 : d->cap * 2;
        struct ft_draft *p = realloc(d->at, (size_t)cap * sizeof *p);
        if (p == NULL)
            return NULL;
        d->at = p;
        d->cap = cap;
    }
    d->at[d->n] = (struct ft_draft){0};
    return &d->at[d->n++];
}

/* Makes the losses as many as the tokens are. */
static int loss_extend(struct ft_draft *d, size_t from, bool loss, struct ft_err *err)
{
    if (d->n > d->cap_loss) {
        uint8_t *p = realloc(d->loss, d->n);
        if (p == NULL)
            return ft_err_set(err, FT_ENOMEM, "%zu tokens: no memory", d->n);
        d->loss = p;
        d->cap_loss = d->n;
    }
    if (d->n > from)
        memset(d->loss + from, loss, d->n - from);
    return 0;
}

int ft_draft_encode(struct ft_draft *d, const struct ft_tokenizer *t, const char *text, size_t n,
                    unsigned flags, bool loss, struct ft_err *err)
{
    size_t from = d->n;
    int rc = ft_tokenizer_encode(t, text, n, flags, &d->token, &d->n, err);
    return rc != 0 ? rc : loss_extend(d, from, loss, err);
}

int ft_draft_encode_prompt(struct ft_draft *d, const struct ft_tokenizer *t, const char *text,
                           size_t n, struct ft_err *err)
{
    int rc = ft_prompt_encode(t, text, n, &d->token, &d->n, err);
    return rc != 0 ? rc : loss_extend(d, 0, false, err);
}

int ft_draft_push(struct ft_draft *d, int32_t token, bool loss, struct ft_err *err)
{
    int32_t *p = realloc(d->token, (d->n + 1) * sizeof *p);
    if (p == NULL)
        return ft_err_set(err, FT_ENOMEM, "%zu tokens: no memory", d->n + 1);
    d->token = p;
    d->token[d->n++] = token;
    return loss_extend(d, d->n - 1, loss, err);
}
