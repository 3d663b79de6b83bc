/* A GGUF's tokenizer as the files of a Hugging Face folder. */
#ifndef FT_MODEL_TOK_WRITE_H
#define FT_MODEL_TOK_WRITE_H

#include "base/buf.h"
#include "model/file/weights.h"

#define FT_TOK_JSON_MAX ((size_t)256 << 20) /* bytes of a tokenizer.json */

/* tokenizer.json of the metadata of a GGUF: a text has the same ids with it. (GGUF has no place for
 * a normalizer: Qwen's NFC is not brought back.) FT_EUNSUPPORTED names what the file cannot say. */
int ft_tokenizer_json_write(const struct ft_weights *w, struct ft_buf *out, struct ft_err *err);
/* tokenizer_config.json: the special tokens by name, and the chat templates. */
int ft_tokenizer_config_write(const struct ft_weights *w, struct ft_buf *out, struct ft_err *err);

#endif
