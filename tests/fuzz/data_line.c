/* Any bytes as a line of training data, with a tokenizer of bytes and templates of both kinds: of
 * plain turns, and one that opens reasoning. What comes out must hold together. */
#include <stdlib.h>
#include <string.h>

#include "train/data/impl.h"

static const char *const templates[] = {
    "{% for m in messages %}{{ '<' + m.role + '>' }}{{ m.content }}{% for c in m.tool_calls %}"
    "{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{{ '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}",
    "{% for m in messages %}{{ '<' + m.role + '>' }}"
    "{% if m.content %}{{ m.content.split('</think>')[-1] }}{% endif %}{{ '<|im_end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<assistant><think>\n' }}{% endif %}",
};

/* Every byte a token, and two control tokens. */
static struct ft_tokenizer *make_tokenizer(void)
{
    struct ft_buf b;
    struct ft_err err;
    struct ft_tokenizer *t = NULL;
    static const char config[] = "{\"eos_token\":\"<EOS>\"}";
    ft_buf_init(&b, 1 << 20);
    ft_buf_add_str(&b, "{\"added_tokens\":[{\"id\":256,\"content\":\"<EOS>\",\"special\":true},"
                       "{\"id\":257,\"content\":\"<|im_end|>\",\"special\":true}],"
                       "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
                       "\"decoder\":{\"type\":\"ByteLevel\"},"
                       "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{");
    for (int i = 0, extra = 256; i < 256; i++) {
        bool plain = (i >= '!' && i <= '~') || (i >= 0xa1 && i <= 0xac) || i >= 0xae;
        ft_buf_addf(&b, "%s\"\\u%04x\":%d", i > 0 ? "," : "", plain ? i : extra++, i);
    }
    ft_buf_add_str(&b, "}}}");
    if (ft_tokenizer_open_json(b.data, b.len, config, sizeof config - 1, &t, &err) != 0)
        abort();
    ft_buf_fini(&b);
    return t;
}

static void check(const struct ft_drafts *d, bool pair)
{
    if (pair && d->n != 2)
        abort();
    for (int i = 0; i < d->n; i++)
        for (size_t k = 0; k < d->at[i].n; k++)
            if (d->at[i].token[k] < 0 || d->at[i].token[k] > 257 || d->at[i].loss[k] > 1)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct ft_tokenizer *t;
    static struct ft_prompter *p[FT_COUNT(templates)];
    struct ft_err err;
    for (size_t i = 0; i < FT_COUNT(templates) && p[FT_COUNT(templates) - 1] == NULL; i++) {
        t = t != NULL ? t : make_tokenizer();
        if (ft_prompter_open_text(templates[i], strlen(templates[i]), t, &p[i], &err) != 0)
            abort();
    }
    for (int i = 0; i < 4; i++) {
        struct ft_data_config cfg;
        struct ft_line_reader r;
        struct ft_drafts d = {0};
        ft_data_config_init(&cfg);
        cfg.tokenizer = t;
        cfg.prompter = p[i % 2];
        cfg.kind = i < 2 ? FT_DATA_SUPERVISED : FT_DATA_PREFERENCE;
        ft_line_reader_init(&r, &cfg);
        if (ft_line_read(&r, (const char *)data, n, &d, &err) == 0)
            check(&d, i >= 2);
        ft_drafts_fini(&d);
        ft_line_reader_fini(&r);
    }
    return 0;
}
