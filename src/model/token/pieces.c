/* Pieces: a tokenizer with a pre-tokenizer and nothing else. */
#include "model/token/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "model/token/steps.h"

#define ARENA_BYTES_MAX ((size_t)1 << 20)

struct ft_pieces {
    struct ft_tokenizer t;
    const char *pattern;
};

int ft_pieces_open(const char *name, struct ft_pieces **ret_p, struct ft_err *err)
{
    const struct ft_pretok_entry *entry = ft_pretok_entry_find(name, strlen(name));
    if (entry == NULL || entry->pattern[1] != NULL)
        return ft_err_set(err, FT_EUNSUPPORTED, "no pre-tokenizer of one pattern is called '%s'",
                          name);
    struct ft_pieces *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ft_err_set(err, FT_ENOMEM, "pre-tokenizer: no memory");
    ft_arena_init(&p->t.arena, ARENA_BYTES_MAX);
    p->pattern = entry->pattern[0];
    int rc = ft_pretok_add_named(&p->t, name, strlen(name), err);
    if (rc != 0) {
        ft_pieces_close(p);
        return rc;
    }
    *ret_p = p;
    return 0;
}

void ft_pieces_close(struct ft_pieces *p)
{
    if (p == NULL)
        return;
    ft_pretok_close(p->t.pretok);
    ft_arena_fini(&p->t.arena);
    free(p);
}

const char *ft_pieces_pattern(const struct ft_pieces *p)
{
    return p->pattern;
}

int ft_pieces_cut(const struct ft_pieces *p, const char *text, size_t n, ft_piece_fn *fn, void *ctx,
                  struct ft_err *err)
{
    struct ft_enc e = {.t = &p->t, .err = err, .text_n = n, .on_piece = fn, .piece_ctx = ctx};
    int rc = ft_pretok_run(&e, text, n);
    ft_regex_scratch_close(e.scratch);
    return rc;
}

uint32_t ft_pieces_char(unsigned char byte)
{
    return ft_alphabet_char(byte);
}
