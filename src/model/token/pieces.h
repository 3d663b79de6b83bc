/* What a vocabulary is learnt from: the pieces that a pre-tokenizer cuts text into, which no token
 * crosses; and the alphabet that byte-level vocabularies are written in. */
#ifndef FT_MODEL_TOKEN_PIECES_H
#define FT_MODEL_TOKEN_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ft_pieces;

/* name: as GGUF files have it, of one with a single pattern ("qwen2", "llama-bpe", "gpt-2").
 * FT_EUNSUPPORTED for others. Immutable; any thread. */
int ft_pieces_open(const char *name, struct ft_pieces **ret_p, struct ft_err *err);
void ft_pieces_close(struct ft_pieces *p); /* NULL is accepted */
/* The pattern, in the syntax of tokenizer.json. */
const char *ft_pieces_pattern(const struct ft_pieces *p);

/* Calls fn with each piece of n bytes of valid UTF-8, in order; together they are the text. What fn
 * returns other than 0 ends it and is returned. */
typedef int ft_piece_fn(void *ctx, const char *p, size_t n, struct ft_err *err);
int ft_pieces_cut(const struct ft_pieces *p, const char *text, size_t n, ft_piece_fn *fn, void *ctx,
                  struct ft_err *err);

/* GPT-2's alphabet: the character that stands for a byte. */
uint32_t ft_pieces_char(unsigned char byte);

#endif
