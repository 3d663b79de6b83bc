/* Finding added and control tokens in texts: leftmost, then longest.
 *
 * A trie of bytes walked from every byte that may begin a token; a token is at most
 * FT_TOK_ADDED_BYTES_MAX long, so the worst text costs that factor and ordinary text one table
 * look-up per byte. */
#include "model/token/impl.h"

#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

static uint32_t node_new(struct ft_tokenizer *t, struct ft_added *a, unsigned char c)
{
    if (a->n == a->cap) {
        uint32_t cap = a->cap == 0 ? 256 : a->cap * 2;
        struct ft_added_node *p = ft_arena_array(&t->arena, cap, sizeof *p);
        if (p == NULL)
            return 0;
        if (a->n != 0)
            memcpy(p, a->nodes, a->n * sizeof *p);
        a->nodes = p;
        a->cap = cap;
    }
    a->nodes[a->n] = (struct ft_added_node){.id = -1, .c = c};
    return a->n++;
}

static uint32_t child_find(const struct ft_added *a, uint32_t at, unsigned char c)
{
    uint32_t k = a->nodes[at].child;
    while (k != 0 && a->nodes[k].c != c)
        k = a->nodes[k].sibling;
    return k;
}

int ft_added_add(struct ft_tokenizer *t, struct ft_added *a, uint32_t id, const char *text,
                 size_t n, unsigned flags, struct ft_err *err)
{
    if (n == 0 || n > FT_TOK_ADDED_BYTES_MAX)
        return 0; /* such a token can be generated, but no text contains it */
    if (a->n == 0) {
        node_new(t, a, 0);
        if (a->n == 0)
            goto no_memory;
    }
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        uint32_t k = child_find(a, at, c);
        if (k == 0) {
            k = node_new(t, a, c);
            if (k == 0)
                goto no_memory;
            a->nodes[k].sibling = a->nodes[at].child;
            a->nodes[at].child = k;
        }
        at = k;
    }
    a->nodes[at].id = (int32_t)id;
    a->nodes[at].flags = (uint8_t)flags;
    a->first[(unsigned char)text[0]] = 1;
    return 0;

no_memory:
    return ft_err_set(err, FT_ENOMEM, "added tokens: out of memory");
}

static bool is_word_char(const char *p, size_t n)
{
    uint32_t cp;
    if (ft_utf8_decode(p, n, &cp) == 0)
        return false;
    /* circled and squared letters, and joiners, are words to Rust's \w as well */
    if ((cp >= 0x24b6 && cp <= 0x24e9) || (cp >= 0x1f130 && cp <= 0x1f149) ||
        (cp >= 0x1f150 && cp <= 0x1f169) || (cp >= 0x1f170 && cp <= 0x1f189) || cp == 0x200c ||
        cp == 0x200d)
        return true;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return false;
    }
}

/* Start of the character that ends at `end`, not before `floor`. */
static size_t char_before(const char *p, size_t floor, size_t end)
{
    size_t i = end - 1;
    while (i > floor && end - i < FT_UTF8_BYTES_MAX && ((unsigned char)p[i] & 0xc0) == 0x80)
        i--;
    return i;
}

static bool stands_alone(const char *p, size_t n, size_t start, size_t end)
{
    if (start > 0) {
        size_t b = char_before(p, 0, start);
        if (is_word_char(p + b, start - b))
            return false;
    }
    return end == n || !is_word_char(p + end, n - end);
}

/* The longest token that begins at `at`, or 0. */
static uint32_t longest_at(const struct ft_added *a, const char *p, size_t n, size_t at,
                           unsigned flags, size_t *ret_end)
{
    uint32_t best = 0, node = 0;
    for (size_t i = at; i < n; i++) {
        node = child_find(a, node, (unsigned char)p[i]);
        if (node == 0)
            break;
        const struct ft_added_node *k = &a->nodes[node];
        if (k->id < 0 || ((k->flags & FT_ADDED_SPECIAL) != 0 && (flags & FT_TOK_SPECIAL) == 0))
            continue;
        if ((k->flags & FT_ADDED_SINGLE_WORD) != 0 && !stands_alone(p, n, at, i + 1))
            continue;
        best = node;
        *ret_end = i + 1;
    }
    return best;
}

int32_t ft_added_find(const struct ft_added *a, const char *p, size_t n, size_t from,
                      unsigned flags, size_t *ret_start, size_t *ret_end)
{
    if (a->n == 0)
        return -1;
    for (size_t at = from; at < n; at++) {
        if (!a->first[(unsigned char)p[at]])
            continue;
        size_t end = 0, start = at;
        uint32_t node = longest_at(a, p, n, at, flags, &end);
        if (node == 0)
            continue;
        int len;
        if ((a->nodes[node].flags & FT_ADDED_LSTRIP) != 0)
            while (start > from) {
                size_t b = char_before(p, from, start);
                if (!ft_space_at(p + b, start - b, &len) || b + (size_t)len != start)
                    break;
                start = b;
            }
        if ((a->nodes[node].flags & FT_ADDED_RSTRIP) != 0)
            while (end < n && ft_space_at(p + end, n - end, &len))
                end += (size_t)len;
        *ret_start = start;
        *ret_end = end;
        return a->nodes[node].id;
    }
    return -1;
}
