/* Tokenizers: text to ids and back. Byte-level BPE (GPT-2 family) and SentencePiece BPE.
 *
 * Immutable after open; any thread may encode and decode at the same time. */
#ifndef FT_MODEL_TOKENIZER_H
#define FT_MODEL_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/file/weights.h"

struct ft_tokenizer;

/* From tokenizer.ggml.* of a GGUF, or tokenizer.json and its neighbours of a folder. */
int ft_tokenizer_open(const struct ft_weights *w, struct ft_tokenizer **ret_t, struct ft_err *err);
/* From the bytes of a tokenizer.json (and tokenizer_config.json, or NULL). */
int ft_tokenizer_open_json(const char *json, size_t n, const char *config, size_t config_n,
                           struct ft_tokenizer **ret_t, struct ft_err *err);
/* From the path of a tokenizer.json, with what lies beside it. */
int ft_tokenizer_open_file(const char *path, struct ft_tokenizer **ret_t, struct ft_err *err);
void ft_tokenizer_close(struct ft_tokenizer *t);

int ft_tokenizer_size(const struct ft_tokenizer *t); /* ids are 0 .. size-1 */

/* Control (special) tokens in the text become their ids: for rendered templates, never for text
 * from outside. Added tokens that are ordinary text ("<tool_call>") always do, as everywhere
 * else. */
#define FT_TOK_SPECIAL 1u
#define FT_TOK_BOS     2u /* add the beginning-of-sequence token if the model wants one */
#define FT_TOK_EOS     4u /* add the end-of-sequence token if the model wants one */
/* The text goes on after another: no dummy space of SentencePiece's is put before it. */
#define FT_TOK_CONTINUE 8u

/* Encodes n bytes (any bytes, valid UTF-8 or not; at most 1 GiB). Appends to *ids, a malloc'ed
 * array that grows (NULL at first); *n_ids counts. The caller frees it. */
int ft_tokenizer_encode(const struct ft_tokenizer *t, const char *text, size_t n, unsigned flags,
                        int32_t **ids, size_t *n_ids, struct ft_err *err);

/* The exact bytes token `id` stands for (never NULL; n = 0 for unknown ids). Control tokens give
 * their text ("<|im_end|>"). SentencePiece's leading-space mark is a space here. */
const char *ft_tokenizer_bytes(const struct ft_tokenizer *t, int32_t id, size_t *ret_n);
bool ft_tokenizer_is_control(const struct ft_tokenizer *t, int32_t id); /* hidden in answers */
bool ft_tokenizer_is_eog(const struct ft_tokenizer *t, int32_t id);     /* ends a generation */
/* The id of a token with exactly this text (special or not), or -1. */
int32_t ft_tokenizer_find(const struct ft_tokenizer *t, const char *text, size_t n);
int32_t ft_tokenizer_bos(const struct ft_tokenizer *t); /* -1 if none */
int32_t ft_tokenizer_eos(const struct ft_tokenizer *t);

/* Decodes a whole sequence: the bytes of every token appended to out. With skip_control, control
 * tokens are left out. SentencePiece's dummy first space is removed. */
int ft_tokenizer_decode(const struct ft_tokenizer *t, const int32_t *ids, size_t n,
                        bool skip_control, struct ft_buf *out, struct ft_err *err);

/* Streaming: feed token by token; what comes out never ends inside a UTF-8 character. Bytes that
 * cannot become one are replaced by U+FFFD in the output of push and finish. */
struct ft_detok {
    const struct ft_tokenizer *t;
    unsigned char held[4];
    int n_held;
    bool first; /* at the beginning of a text: set it to false to continue one */
    bool skip_control, after_mark;
};
void ft_detok_init(struct ft_detok *d, const struct ft_tokenizer *t, bool skip_control);
int ft_detok_push(struct ft_detok *d, int32_t id, struct ft_buf *out);
int ft_detok_finish(struct ft_detok *d, struct ft_buf *out);

#endif
