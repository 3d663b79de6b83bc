/* What texts go through before they are symbols: patterns, pre-tokenizer and normalizer. */
#ifndef FT_MODEL_TOKEN_STEPS_H
#define FT_MODEL_TOKEN_STEPS_H

#include "model/token/impl.h"

/* tokenizer.json's Whitespace: \w+|[^\w\s]+ with what Rust's regex crate takes for \w (Oniguruma's
 * has other numbers in it). */
#define FT_PATTERN_RUST_WORD  "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}"
#define FT_PATTERN_RUST_WORDS "[" FT_PATTERN_RUST_WORD "]+|[^" FT_PATTERN_RUST_WORD "\\s]+"

/* regex.c: Oniguruma's syntax to PCRE2's, compiled; with the bounds that hostile patterns need. */
struct ft_regex;
int ft_regex_open(const char *pattern, size_t n, bool trusted, struct ft_regex **ret,
                  struct ft_err *err);
void ft_regex_close(struct ft_regex *r);
/* What one encoding needs to run patterns. steps: the bound for patterns that are not trusted. */
struct ft_regex_scratch *ft_regex_scratch_open(uint64_t steps);
void ft_regex_scratch_close(struct ft_regex_scratch *s);
/* p: valid UTF-8, `from` at a character. 1 and the match at or after `from`, 0 for none, or a
 * negative code. */
int ft_regex_find(const struct ft_regex *r, struct ft_regex_scratch *s, const char *p, size_t n,
                  size_t from, size_t *ret_start, size_t *ret_end, struct ft_err *err);

/* pretok.c */
enum ft_split {
    FT_SPLIT_ISOLATED,
    FT_SPLIT_REMOVED,
    FT_SPLIT_CONTIGUOUS,
    FT_SPLIT_WITH_PREVIOUS,
    FT_SPLIT_WITH_NEXT
};
int ft_pretok_init(struct ft_tokenizer *t, struct ft_err *err);
/* A step: pieces are what `pattern` (Oniguruma's syntax, as tokenizer.json has it) matches and what
 * lies between. */
int ft_pretok_add(struct ft_tokenizer *t, const char *pattern, size_t n, enum ft_split split,
                  bool invert, struct ft_err *err);
int ft_pretok_add_named(struct ft_tokenizer *t, const char *name, size_t n, struct ft_err *err);
/* The name under which GGUF files know the steps that were added, or NULL. */
const char *ft_pretok_name(const struct ft_tokenizer *t);
void ft_pretok_close(struct ft_pretok *p);
/* p: valid UTF-8. */
int ft_pretok_run(struct ft_enc *e, const char *p, size_t n);

/* pretok_table.c: the pre-tokenizers that GGUF files name. */
struct ft_pretok_entry {
    const char *names;      /* separated by spaces; the first is the one to write */
    const char *pattern[6]; /* applied in this order, each isolated; NULL-terminated */
    bool ignore_merges, add_bos;
};
const struct ft_pretok_entry *ft_pretok_entry_find(const char *name, size_t n);
const struct ft_pretok_entry *ft_pretok_entry_at(size_t i); /* NULL past the end */
/* An equal pattern without the quadratic worst case; `pattern` itself if it has none; NULL if it
 * is not one of the table's. */
const char *ft_pretok_pattern_safe(const char *pattern, size_t n);

/* normal.c: tokenizer.json's normalizers, on valid UTF-8. */
enum ft_normal_kind {
    FT_NORMAL_NFC,
    FT_NORMAL_NFD,
    FT_NORMAL_NFKC,
    FT_NORMAL_NFKD,
    FT_NORMAL_LOWERCASE,
    FT_NORMAL_STRIP_LEFT,
    FT_NORMAL_STRIP_RIGHT,
    FT_NORMAL_PREPEND,
    FT_NORMAL_REPLACE, /* a string or a pattern */
};
/* text: what is prepended, or the replacement; pattern: NULL unless FT_NORMAL_REPLACE. */
int ft_normal_add(struct ft_tokenizer *t, enum ft_normal_kind kind, struct ft_slice pattern,
                  bool is_regex, struct ft_slice text, struct ft_err *err);
void ft_normal_close(struct ft_normal *n);
int ft_normal_run(struct ft_enc *e, const char *p, size_t n, struct ft_buf *out);

#endif
