/* What the readers of calls share: literal markers matched byte by byte, and what may be a name. */
#include <string.h>

#include "base/utf8.h"
#include "model/chat/parse_impl.h"

void fp_match_init(struct fp_match *m, const char *const *lit, int n)
{
    *m = (struct fp_match){.n = n, .alive = (1u << n) - 1};
    for (int i = 0; i < n; i++)
        m->lit[i] = lit[i];
}

int fp_match_feed(struct fp_match *m, char c)
{
    for (int i = 0; i < m->n; i++) {
        if ((m->alive >> i & 1) == 0)
            continue;
        if (m->lit[i][m->at] != c)
            m->alive &= ~(1u << i);
        else if (m->lit[i][m->at + 1] == '\0')
            return i;
    }
    m->at++;
    return m->alive != 0 ? -1 : -2;
}

bool fp_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

int fp_tail_feed(struct ft_chat_parser *p, const char *const *lit, int n, char c)
{
    if (p->match.n == 0) {
        if (fp_is_space(c))
            return -1;
        fp_match_init(&p->match, lit, n);
    }
    int m = fp_match_feed(&p->match, c);
    if (m != -1)
        p->match.n = 0;
    return m;
}

bool fp_ends_with(const struct ft_buf *b, const char *s)
{
    size_t n = strlen(s);
    return b->len >= n && memcmp(b->data + b->len - n, s, n) == 0;
}

bool fp_name_ok(const struct ft_buf *name)
{
    if (name->len == 0 || name->len > FP_NAME_BYTES_MAX || !ft_utf8_valid(name->data, name->len))
        return false;
    for (size_t i = 0; i < name->len; i++)
        if ((unsigned char)name->data[i] < 0x20)
            return false;
    return true;
}
