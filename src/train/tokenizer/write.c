/* The learnt vocabulary as tokenizer.json, and tokenizer_config.json beside it. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "train/tokenizer/impl.h"

/* A string in quotes, with what JSON wants escaped. p: UTF-8. */
static void add_string(struct ft_buf *b, const char *p, size_t n)
{
    ft_buf_add_byte(b, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c == '"' || c == '\\')
            ft_buf_add_byte(b, '\\');
        if (c == '\n')
            ft_buf_add_str(b, "\\n");
        else if (c < 0x20)
            ft_buf_addf(b, "\\u%04x", c);
        else
            ft_buf_add_byte(b, c);
    }
    ft_buf_add_byte(b, '"');
}

static void add_text(struct ft_buf *b, const char *s)
{
    add_string(b, s, strlen(s));
}

/* A token in GPT-2's alphabet, without quotes; of the alphabet JSON wants two characters escaped.
 */
static void add_bytes(struct ft_buf *b, const struct ft_bpe_token *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        char c[FT_UTF8_BYTES_MAX];
        int n = ft_utf8_encode(ft_pieces_char((unsigned char)t->p[i]), c);
        if (c[0] == '"' || c[0] == '\\')
            ft_buf_add_byte(b, '\\');
        ft_buf_add(b, c, (size_t)n);
    }
}

static void add_special(struct ft_buf *b, const struct ft_bpe *bpe)
{
    ft_buf_add_str(b, "  \"added_tokens\": [");
    for (int i = 0; i < bpe->cfg.n_special; i++) {
        ft_buf_addf(b, "%s\n    {\"id\": %d, \"content\": ", i > 0 ? "," : "", bpe->n_tokens + i);
        add_text(b, bpe->cfg.special[i]);
        ft_buf_add_str(b, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                          "\"normalized\": false, \"special\": true}");
    }
    ft_buf_add_str(b, "\n  ],\n");
}

/* GPT-2's pattern is what ByteLevel does by itself; others are a step before it. */
static void add_pre_tokenizer(struct ft_buf *b, const struct ft_bpe *bpe)
{
    static const char byte_level[] =
        "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, "
        "\"use_regex\": ";
    if (strcmp(bpe->cfg.pieces, "gpt-2") == 0) {
        ft_buf_addf(b, "  \"pre_tokenizer\": %strue},\n", byte_level);
    } else {
        ft_buf_add_str(b, "  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [\n"
                          "    {\"type\": \"Split\", \"pattern\": {\"Regex\": ");
        add_text(b, ft_pieces_pattern(bpe->pieces));
        ft_buf_addf(b,
                    "}, \"behavior\": \"Isolated\", \"invert\": false},\n"
                    "    %sfalse}\n  ]},\n",
                    byte_level);
    }
    ft_buf_addf(b, "  \"post_processor\": %strue},\n  \"decoder\": %strue},\n", byte_level,
                byte_level);
}

static void add_model(struct ft_buf *b, const struct ft_bpe *bpe)
{
    ft_buf_add_str(b, "  \"model\": {\n    \"type\": \"BPE\", \"dropout\": null, \"unk_token\": "
                      "null, \"continuing_subword_prefix\": \"\",\n    \"end_of_word_suffix\": "
                      "\"\", \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": "
                      "false,\n    \"vocab\": {");
    for (int i = 0; i < bpe->n_tokens; i++) {
        ft_buf_add_str(b, i > 0 ? ",\n      \"" : "\n      \"");
        add_bytes(b, &bpe->token[i]);
        ft_buf_addf(b, "\": %d", i);
    }
    ft_buf_add_str(b, "\n    },\n    \"merges\": [");
    for (int i = 0; i < bpe->n_merges; i++) {
        ft_buf_add_str(b, i > 0 ? ",\n      \"" : "\n      \"");
        add_bytes(b, &bpe->token[bpe->merge[i].left]);
        ft_buf_add_byte(b, ' ');
        add_bytes(b, &bpe->token[bpe->merge[i].right]);
        ft_buf_add_byte(b, '"');
    }
    ft_buf_add_str(b, "\n    ]\n  }\n}\n");
}

static void add_name(struct ft_buf *b, const char *field, const char *token)
{
    ft_buf_addf(b, "  \"%s\": ", field);
    if (token != NULL)
        add_text(b, token);
    else
        ft_buf_add_str(b, "null");
    ft_buf_add_str(b, ",\n");
}

static void add_config(struct ft_buf *b, const struct ft_bpe *bpe, const struct ft_bpe_files *f)
{
    ft_buf_addf(b, "{\n  \"add_bos_token\": %s,\n  \"add_prefix_space\": false,\n",
                f->bos != NULL ? "true" : "false");
    ft_buf_add_str(b, "  \"added_tokens_decoder\": {");
    for (int i = 0; i < bpe->cfg.n_special; i++) {
        ft_buf_addf(b, "%s\n    \"%d\": {\"content\": ", i > 0 ? "," : "", bpe->n_tokens + i);
        add_text(b, bpe->cfg.special[i]);
        ft_buf_add_str(b, ", \"lstrip\": false, \"normalized\": false, \"rstrip\": false, "
                          "\"single_word\": false, \"special\": true}");
    }
    ft_buf_add_str(b, "\n  },\n");
    add_name(b, "bos_token", f->bos);
    add_name(b, "eos_token", f->eos);
    add_name(b, "pad_token", f->pad);
    add_name(b, "unk_token", NULL);
    if (f->chat_template != NULL)
        add_name(b, "chat_template", f->chat_template);
    ft_buf_add_str(b, "  \"clean_up_tokenization_spaces\": false,\n"
                      "  \"tokenizer_class\": \"PreTrainedTokenizerFast\"\n}\n");
}

static int check_name(const struct ft_bpe *b, const char *what, const char *token,
                      struct ft_err *err)
{
    for (int i = 0; token != NULL && i < b->cfg.n_special; i++)
        if (strcmp(b->cfg.special[i], token) == 0)
            return 0;
    return token == NULL
               ? 0
               : ft_err_set(err, FT_EINVAL, "%s: '%s' is none of the special tokens", what, token);
}

int ft_bpe_write(const struct ft_bpe *b, const struct ft_bpe_files *f, struct ft_buf *tokenizer,
                 struct ft_buf *config, struct ft_err *err)
{
    int rc = check_name(b, "the token that begins a text", f->bos, err);
    if (rc == 0)
        rc = check_name(b, "the token that ends a text", f->eos, err);
    if (rc == 0)
        rc = check_name(b, "the token that pads", f->pad, err);
    if (rc != 0)
        return rc;
    if (f->chat_template != NULL && !ft_utf8_valid(f->chat_template, strlen(f->chat_template)))
        return ft_err_set(err, FT_EINVAL, "the chat template is not UTF-8");
    ft_buf_add_str(tokenizer, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": "
                              "null,\n");
    add_special(tokenizer, b);
    ft_buf_add_str(tokenizer, "  \"normalizer\": null,\n");
    add_pre_tokenizer(tokenizer, b);
    add_model(tokenizer, b);
    add_config(config, b, f);
    if (tokenizer->failed != 0 || config->failed != 0)
        return ft_err_set(err, FT_ENOMEM, "tokenizer.json: no memory");
    return 0;
}
