/* JSON strings: what every writer of this module ends in. */
#include <stdint.h>

#include "api/openai/writer.h"
#include "base/utf8.h"

/* A byte that stands for itself inside a JSON string, and is a character. */
static inline bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static void add_escape(struct ft_buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char s[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    const char *shorts = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (int i = 0; shorts[i] != '\0'; i += 2)
        if ((unsigned char)shorts[i] == c) {
            s[1] = shorts[i + 1];
            ft_buf_add(out, s, 2);
            return;
        }
    ft_buf_add(out, s, sizeof s);
}

void ft_oai_write_escaped(struct ft_buf *out, const char *s, size_t n)
{
    size_t from = 0, i = 0; /* from .. i: to be copied as it is */
    while (i < n) {
        unsigned char c = (unsigned char)s[i];
        if (plain(c)) {
            i++;
            continue;
        }
        int len = c < 0x80 ? 0 : ft_utf8_decode(s + i, n - i, NULL);
        if (len > 0) {
            i += (size_t)len;
            continue;
        }
        ft_buf_add(out, s + from, i - from);
        if (c < 0x80)
            add_escape(out, c);
        else
            ft_buf_add(out, "\xef\xbf\xbd", 3);
        from = ++i;
    }
    if (i > from)
        ft_buf_add(out, s + from, i - from);
}

void ft_oai_write_string(struct ft_buf *out, const char *s, size_t n)
{
    ft_buf_add_byte(out, '"');
    ft_oai_write_escaped(out, s, n);
    ft_buf_add_byte(out, '"');
}

void ft_oai_write_int(struct ft_buf *out, int64_t v)
{
    char s[24], *p = s + sizeof s;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do
        *--p = (char)('0' + u % 10);
    while ((u /= 10) != 0);
    if (v < 0)
        *--p = '-';
    ft_buf_add(out, p, (size_t)(s + sizeof s - p));
}

void ft_oai_write_usage(struct ft_buf *out, const struct ft_answer_usage *u)
{
    FT_OAI_LIT(out, "\"usage\":{\"prompt_tokens\":");
    ft_oai_write_int(out, u->prompt_tokens);
    FT_OAI_LIT(out, ",\"completion_tokens\":");
    ft_oai_write_int(out, u->completion_tokens);
    FT_OAI_LIT(out, ",\"total_tokens\":");
    ft_oai_write_int(out, (int64_t)u->prompt_tokens + u->completion_tokens);
    FT_OAI_LIT(out, ",\"prompt_tokens_details\":{\"cached_tokens\":");
    ft_oai_write_int(out, u->cached_tokens);
    FT_OAI_LIT(out, "},\"completion_tokens_details\":{\"reasoning_tokens\":");
    ft_oai_write_int(out, u->reasoning_tokens);
    FT_OAI_LIT(out, "}}");
}

void ft_oai_write_ping(struct ft_buf *out)
{
    FT_OAI_LIT(out, ": \n\n");
}
