/* What the files of this folder share: the tokenizer's tables and one encoding's state.
 *
 * Nobody outside src/model/token includes this. The tables are filled by tok_gguf.c or tok_json.c
 * through vocab.c, bpe.c, spm.c, pretok.c and added.c, and never change after ft_tokenizer_open
 * (but for vocab.whole, a cache of a pure function, written with relaxed atomics). */
#ifndef FT_MODEL_TOKEN_IMPL_H
#define FT_MODEL_TOKEN_IMPL_H

#include "base/arena.h"
#include "model/token/tokenizer.h"

#define FT_TOK_TEXT_MAX        (1u << 30) /* bytes of one text to encode */
#define FT_TOK_TOKENS_MAX      (1u << 24) /* tokens of a vocabulary */
#define FT_TOK_MERGES_MAX      (1u << 25) /* merges, also those that scores imply */
#define FT_TOK_ADDED_BYTES_MAX 512        /* bytes of an added token that is looked for in texts */
#define FT_TOK_SPM_BYTES_MAX   256        /* longer tokens are not made by merges of scores */
#define FT_TOK_STEPS_MAX       16         /* steps of a pre-tokenizer or a normalizer */
#define FT_TOK_AFFIX_MAX       8          /* tokens put before or after a text */

/* Token types with GGUF's numbers. */
enum ft_token_type {
    FT_TOKEN_NORMAL = 1,
    FT_TOKEN_UNKNOWN = 2,
    FT_TOKEN_CONTROL = 3,
    FT_TOKEN_USER = 4, /* user-defined: an added token that is ordinary text */
    FT_TOKEN_UNUSED = 5,
    FT_TOKEN_BYTE = 6, /* SentencePiece's <0xXX> */
};

#define FT_TOKEN_TYPE_MASK 0x07u
#define FT_TOKEN_EOG       0x08u /* ends a generation */
#define FT_TOKEN_VERBATIM  0x10u /* its text is not made of the symbols that merges act on */
#define FT_TOKEN_ADDED     0x20u /* looked for in texts; a section of text begins after it */

/* How texts become symbols: GPT-2's alphabet of 256 bytes, or characters with a fallback to bytes.
 */
enum ft_tok_scheme { FT_SCHEME_BYTES, FT_SCHEME_CHARS };

struct ft_vocab {
    uint32_t n;
    uint32_t *off; /* n + 1 offsets into bytes */
    char *bytes;   /* what each token stands for */
    uint8_t *attr;
    uint8_t *whole;        /* is the token what merging its own bytes gives? 0 unknown, 1, 2 no */
    uint32_t len_max;      /* of the tokens that merges can make */
    bool has_twins;        /* two tokens have the same bytes */
    bool space_inside;     /* one of them has a space after something else than a space */
    int32_t byte_id[256];  /* FT_SCHEME_BYTES: the symbol; FT_SCHEME_CHARS: <0xXX>; or -1 */
    int32_t ascii_id[128]; /* FT_SCHEME_CHARS: the symbol of an ASCII character, or -1 */
    struct ft_vocab_slot { /* one cache line's quarter decides nearly every look-up */
        uint64_t lo;       /* bytes 0 .. 7 */
        uint32_t hi;       /* bytes 8 .. 10, then the length and whether verbatim */
        uint32_t id_1;     /* id + 1; 0: empty */
    } * slots;
    uint32_t slot_mask;
    uint64_t key; /* against chosen collisions */
};

struct ft_merges {
    struct ft_merge {
        uint32_t left, right_1; /* right + 1; 0: empty */
        uint32_t rank, id;      /* lower ranks first; what the two become */
    } * slots;
    uint32_t slot_mask;
    uint32_t count, cap;
    int32_t last; /* what the last added pair becomes: files list merges in the order of tokens */
    uint64_t key; /* against chosen collisions */
};

/* Tokens looked for in texts: a trie of bytes, children as sibling lists. */
#define FT_ADDED_LSTRIP      1u
#define FT_ADDED_RSTRIP      2u
#define FT_ADDED_SINGLE_WORD 4u
#define FT_ADDED_SPECIAL     8u /* only with FT_TOK_SPECIAL */
struct ft_added {
    struct ft_added_node {
        uint32_t child, sibling; /* 0: none */
        int32_t id;              /* -1: no token ends here */
        unsigned char c;
        uint8_t flags;
    } * nodes;
    uint32_t n, cap;
    uint8_t first[256]; /* may a token begin so? */
};

/* What a space is put before (SentencePiece's dummy prefix). */
enum ft_tok_prefix { FT_PREFIX_NONE, FT_PREFIX_FIRST, FT_PREFIX_EACH };

struct ft_pretok;
struct ft_normal;

struct ft_tokenizer {
    struct ft_arena arena;
    enum ft_tok_scheme scheme;
    struct ft_vocab vocab;
    struct ft_merges merges;
    struct ft_added added;        /* looked for in the text as given */
    struct ft_added added_normal; /* looked for after normalization */
    struct ft_pretok *pretok;     /* NULL: sections are not split by patterns */
    struct ft_normal *normal;     /* NULL: none */
    const char *pre_name;         /* as GGUF names the pre-tokenizer, or NULL */
    bool ignore_merges;           /* a piece that is a token is that token */
    bool marks_spaces;            /* the vocabulary writes a space as U+2581 */
    bool splits_spaces;           /* Metaspace: every space begins a new piece */
    enum ft_tok_prefix prefix;
    bool prefix_unless_space; /* ... and the text does not begin with one anyway */
    bool fuse_unk;
    /* Bytes without a symbol of their own whose stand-in is an added token (see detok.c): */
    int32_t stand_in[256]; /* the added token, or -1 */
    int32_t stand_in_mark; /* the token put before it; -1: the vocabulary has no stand-ins */
    int32_t bos, eos, unk; /* -1: none */
    int32_t before[FT_TOK_AFFIX_MAX], after[FT_TOK_AFFIX_MAX];
    int n_before, n_after;
};

/* One call of ft_tokenizer_encode. */
struct ft_enc {
    const struct ft_tokenizer *t;
    int32_t *ids;
    size_t n, cap;
    size_t text_n;
    unsigned flags; /* FT_TOK_... */
    struct ft_err *err;
    struct ft_merge_node *nodes; /* scratch for long pieces */
    size_t n_nodes;
    uint64_t *heap;
    size_t n_heap, heap_cap;
    int32_t *syms;
    size_t syms_cap;
    struct ft_regex_scratch *scratch; /* of the patterns; made when first needed */
    /* pieces.c: who gets the pieces instead of being encoded; NULL */
    int (*on_piece)(void *ctx, const char *p, size_t n, struct ft_err *err);
    void *piece_ctx;
};

int ft_enc_push(struct ft_enc *e, int32_t id);
/* The patterns' scratch of this encoding, or NULL without memory. */
struct ft_regex_scratch *ft_enc_scratch(struct ft_enc *e);

/* vocab.c. text: as the file writes the tokens; types may be NULL. */
int ft_vocab_build(struct ft_tokenizer *t, const struct ft_slice *text, const uint8_t *types,
                   uint32_t n, struct ft_err *err);
/* The token that merges can make with these bytes, or -1. */
int32_t ft_vocab_find(const struct ft_vocab *v, const char *p, size_t n);
/* The added, control or otherwise verbatim token with this text, or -1. */
int32_t ft_vocab_find_verbatim(const struct ft_vocab *v, const char *p, size_t n);
/* The tokens that the file writes as left, right and both joined, of at most FT_MERGE_BLOCK merges.
 * Returns how many merges were found before one of which a token is missing (-1 in ret) or whose
 * texts are out of bounds. guess: the first joined token may well be this one or the next. */
#define FT_MERGE_BLOCK 16
struct ft_merge_text {
    struct ft_slice left, right;
};
int ft_vocab_merges_find(const struct ft_tokenizer *t, const struct ft_merge_text *m, int n,
                         int32_t guess, int32_t (*ret)[3]);
static inline const char *ft_vocab_bytes(const struct ft_vocab *v, uint32_t id, size_t *ret_n)
{
    *ret_n = v->off[id + 1] - v->off[id];
    return v->bytes + v->off[id];
}
static inline enum ft_token_type ft_vocab_type(const struct ft_vocab *v, uint32_t id)
{
    return (enum ft_token_type)(v->attr[id] & FT_TOKEN_TYPE_MASK);
}
/* GPT-2's alphabet: the character that stands for a byte, and back (-1: for none). */
uint32_t ft_alphabet_char(unsigned char b);
int ft_alphabet_byte(uint32_t cp);
/* Marks the tokens that end a generation by their text, and remembers stand-ins. Call last. */
void ft_vocab_finish(struct ft_tokenizer *t);
void ft_vocab_mark_eog(struct ft_tokenizer *t, uint64_t id);

/* bpe.c */
int ft_merges_init(struct ft_merges *m, struct ft_arena *a, size_t n, struct ft_err *err);
/* Returns false when the table is full. replace: what to do with a pair that is there. */
bool ft_merges_add(struct ft_merges *m, uint32_t left, uint32_t right, uint32_t rank, uint32_t id,
                   bool replace);
/* The same with the texts that a file gives, at most FT_MERGE_BLOCK at once, with ranks from `rank`
 * on: the pair and what it becomes must be tokens. On failure *ret_bad is the index of the bad one.
 */
int ft_merges_add_texts(struct ft_tokenizer *t, const struct ft_merge_text *m, int n, uint32_t rank,
                        bool replace, int *ret_bad, struct ft_err *err);
const struct ft_merge *ft_merges_find(const struct ft_merges *m, uint32_t left, uint32_t right);
/* Merges symbols in place; returns how many are left, or a negative code. */
int64_t ft_merges_apply(struct ft_enc *e, int32_t *syms, size_t n);
/* Encodes one piece that the pre-tokenizer made; valid UTF-8. */
int ft_piece_encode(struct ft_enc *e, const char *p, size_t n);
/* One byte that is not part of a valid character. */
int ft_bpe_encode_stray(struct ft_enc *e, unsigned char b);

/* spm.c: merges that scores imply, by GGUF's tokenizer.ggml.scores. */
int ft_spm_merges_build(struct ft_tokenizer *t, const float *scores, struct ft_err *err);

/* added.c */
int ft_added_add(struct ft_tokenizer *t, struct ft_added *a, uint32_t id, const char *text,
                 size_t n, unsigned flags, struct ft_err *err);
/* Finds the next token at or after `from` in p[0..n). Returns its id or -1; *ret_start..*ret_end is
 * what it takes from the text, stripped space included. */
int32_t ft_added_find(const struct ft_added *a, const char *p, size_t n, size_t from,
                      unsigned flags, size_t *ret_start, size_t *ret_end);

/* normal.c: does a character of Unicode's White_Space begin here? *ret_len: the bytes of whatever
 * character does, 0 if none. */
bool ft_space_at(const char *p, size_t n, int *ret_len);

/* detok.c: the byte that an added token stands in for, or -1. */
int ft_tokenizer_stand_in_byte(const struct ft_tokenizer *t, int32_t id);
bool ft_tokenizer_is_stand_in(const struct ft_tokenizer *t, int32_t id);

/* tok_gguf.c, tok_json.c */
int ft_tokenizer_fill_gguf(struct ft_tokenizer *t, const struct ft_weights *w, struct ft_err *err);
int ft_tokenizer_fill_json(struct ft_tokenizer *t, const char *json, size_t n, const char *config,
                           size_t config_n, struct ft_err *err);
/* The end-of-generation ids of generation_config.json; anything malformed is an error. */
int ft_tokenizer_fill_generation(struct ft_tokenizer *t, const char *json, size_t n,
                                 struct ft_err *err);

#endif
