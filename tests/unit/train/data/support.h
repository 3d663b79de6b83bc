/* Shared by the tests of training data: reference vocabularies with templates, and samples written
 * as text with the targets in double brackets: "<|im_start|>assistant\n[[Hi<|im_end|>]]". */
#ifndef FT_TEST_DATA_SUPPORT_H
#define FT_TEST_DATA_SUPPORT_H

#include "testing.h"

#include "base/file.h"
#include "train/data/impl.h"

struct kit {
    struct ft_weights *w;
    struct ft_tokenizer *t;
    struct ft_prompter *p;
    struct ft_data_config cfg;
};

/* A template of the reference data. */
static inline void kit_template(struct kit *k, const char *template)
{
    char name[256], *text;
    struct ft_err err = {0};
    size_t n;
    snprintf(name, sizeof name, "templates/%s.jinja", template);
    const char *path = ft_test_ref(name);
    if (ft_file_read(path, 1 << 20, &text, &n, &err) != 0 ||
        ft_prompter_open_text(text, n, k->t, &k->p, &err) != 0)
        fail_msg("%s: %s", template, err.msg);
    free(text);
    k->cfg.prompter = k->p;
}

static inline void kit_config(struct kit *k)
{
    ft_data_config_init(&k->cfg);
    k->cfg.tokenizer = k->t;
    k->cfg.max_len = 1 << 16;
    k->cfg.now = 1721995200; /* of the reference data: 2024-07-26T12:00:00 */
}

/* vocab: "qwen2"; template: "Qwen-Qwen3-0.6B" or NULL. False, and a line that says so, where the
 * reference data is absent. */
static inline bool kit_open(const char *vocab, const char *template, struct kit *k)
{
    char name[128];
    struct ft_err err = {0};
    *k = (struct kit){0};
    snprintf(name, sizeof name, "vocab/ggml-vocab-%s.gguf", vocab);
    const char *path = ft_test_ref(name);
    if (path == NULL)
        return false;
    if (ft_weights_open(path, &k->w, &err) != 0 || ft_tokenizer_open(k->w, &k->t, &err) != 0)
        fail_msg("%s: %s", vocab, err.msg);
    kit_config(k);
    if (template != NULL)
        kit_template(k, template);
    return true;
}

/* A tokenizer of single bytes, id 3 + byte, and control tokens: <BOS>, <EOS>, <|im_end|> and those
 * given (NULL ends them). bos: whether it begins texts with <BOS>. template: text, or NULL. */
static inline void kit_bytes(bool bos, const char *const *control, const char *template,
                             struct kit *k)
{
    static const char *const first[] = {"<BOS>", "<EOS>", "<|im_end|>"};
    struct ft_buf b;
    struct ft_err err = {0};
    char config[256];
    *k = (struct kit){0};
    ft_buf_init(&b, 1 << 20);
    ft_buf_add_str(&b, "{\"added_tokens\":[");
    for (int i = 0; i < 3 || (control != NULL && control[i - 3] != NULL); i++)
        ft_buf_addf(&b, "%s{\"id\":%d,\"content\":\"%s\",\"special\":true}", i > 0 ? "," : "",
                    i < 3 ? i : 256 + i, i < 3 ? first[i] : control[i - 3]);
    ft_buf_add_str(&b, "],\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
                       "\"decoder\":{\"type\":\"ByteLevel\"},"
                       "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
    for (int i = 0, extra = 256; i < 256; i++) { /* GPT-2's alphabet */
        bool plain = (i >= '!' && i <= '~') || (i >= 0xa1 && i <= 0xac) || i >= 0xae;
        ft_buf_addf(&b, "%s\"\\u%04x\":%d", i > 0 ? "," : "", plain ? i : extra++, i + 3);
    }
    ft_buf_add_str(&b, "}}}");
    snprintf(config, sizeof config,
             "{\"bos_token\":\"<BOS>\",\"eos_token\":\"<EOS>\",\"add_bos_token\":%s}",
             bos ? "true" : "false");
    if (ft_tokenizer_open_json(b.data, b.len, config, strlen(config), &k->t, &err) != 0)
        fail_msg("tokenizer: %s", err.msg);
    ft_buf_fini(&b);
    kit_config(k);
    if (template == NULL)
        return;
    if (ft_prompter_open_text(template, strlen(template), k->t, &k->p, &err) != 0)
        fail_msg("template: %s", err.msg);
    k->cfg.prompter = k->p;
}

static inline void kit_close(struct kit *k)
{
    ft_prompter_close(k->p);
    ft_tokenizer_close(k->t);
    ft_weights_close(k->w);
}

static inline void write_tokens(struct ft_buf *b, const struct ft_tokenizer *t,
                                const int32_t *token, const uint8_t *loss, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t m;
        const char *p = ft_tokenizer_bytes(t, token[i], &m);
        if (loss[i] != 0 && (i == 0 || loss[i - 1] == 0))
            ft_buf_add_str(b, "[[");
        ft_buf_add(b, p, m);
        if (loss[i] != 0 && (i + 1 == n || loss[i + 1] == 0))
            ft_buf_add_str(b, "]]");
    }
}

/* All drafts of a line as text, with " || " between them; or "error: ...". b is emptied first. */
static inline const char *line_text(const struct kit *k, const char *line, struct ft_buf *b)
{
    struct ft_line_reader r;
    struct ft_drafts d = {0};
    struct ft_err err = {0};
    ft_buf_reset(b);
    ft_buf_add_str(b, "");
    ft_line_reader_init(&r, &k->cfg);
    if (ft_line_read(&r, line, strlen(line), &d, &err) != 0)
        ft_buf_addf(b, "error: %s", err.msg);
    for (int i = 0; i < d.n && err.code == 0; i++) {
        ft_buf_add_str(b, i > 0 ? " || " : "");
        write_tokens(b, k->t, d.at[i].token, d.at[i].loss, d.at[i].n);
    }
    ft_drafts_fini(&d);
    ft_line_reader_fini(&r);
    return b->data;
}

#endif
