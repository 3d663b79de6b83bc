/* Any bytes as a model's answer, in every dialect, whole and cut: the parts must be the same, and
 * without calls no text but newlines may be lost. The first byte chooses dialect and cut. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/chat/parse.h"

struct log {
    struct ft_buf parts;
    int last;
};

static void on_part(void *ctx, const struct ft_part *part)
{
    struct log *l = ctx;
    if (part->kind > FT_PART_REASONING && part->kind != FT_PART_CALL_ARGS)
        l->last = -1;
    if ((int)part->kind != l->last)
        ft_buf_addf(&l->parts, "\x01%d.%d:", (int)part->kind, part->call_index);
    l->last = (int)part->kind;
    ft_buf_add(&l->parts, part->text, part->n);
}

static void parse(struct log *l, enum ft_dialect d, json_t *tools, const char *text, size_t n,
                  size_t step)
{
    struct ft_chat_parser *p;
    struct ft_err err;
    l->last = -1;
    ft_buf_init(&l->parts, 1 << 28);
    ft_buf_add_str(&l->parts, "");
    if (ft_chat_parser_open(d, tools, "<think>", d % 2 == 0 ? 7 : 0, on_part, l, &p, &err) != 0)
        abort();
    for (size_t i = 0; i < n; i += step)
        if (ft_chat_parser_push(p, text + i, FT_MIN(step, n - i), &err) != 0)
            abort();
    if (ft_chat_parser_finish(p, &err) != 0)
        abort();
    ft_chat_parser_close(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static json_t *tools;
    struct log whole, cut;
    if (tools == NULL)
        tools = json_loads("[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"a\":"
                           "{\"type\":\"string\"},\"b\":{\"type\":\"integer\"}}}}}]",
                           0, NULL);
    if (tools == NULL)
        abort();
    if (n == 0)
        return 0;
    enum ft_dialect d = (enum ft_dialect)(data[0] % (FT_DIALECT_DEEPSEEK_V32 + 1));
    const char *text = (const char *)data + 1;
    parse(&whole, d, tools, text, n - 1, n);
    parse(&cut, d, tools, text, n - 1, 1 + data[0] / 16);
    if (whole.parts.len != cut.parts.len ||
        memcmp(whole.parts.data, cut.parts.data, whole.parts.len) != 0)
        abort();
    ft_buf_fini(&whole.parts);
    ft_buf_fini(&cut.parts);
    return 0;
}
