/* XML: what is read is within its bounds, and written again it reads the same. */
#include <stdint.h>
#include <string.h>

#include "net/xml.h"

static void write_node(struct ft_xml *x, const struct ft_xml_node *n)
{
    if (n->first == NULL) {
        ft_xml_text(x, n->name, n->text);
        return;
    }
    ft_xml_begin(x, n->name);
    for (const struct ft_xml_node *c = n->first; c != NULL; c = c->next)
        write_node(x, c); /* as deep as FT_XML_DEPTH_MAX */
    ft_xml_end(x);
}

static void same(const struct ft_xml_node *a, const struct ft_xml_node *b)
{
    FT_ASSERT(strcmp(a->name, b->name) == 0 && strcmp(a->text, b->text) == 0);
    const struct ft_xml_node *p = a->first, *q = b->first;
    for (; p != NULL && q != NULL; p = p->next, q = q->next)
        same(p, q);
    FT_ASSERT(p == NULL && q == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ft_arena arena;
    struct ft_xml_node *root, *again;
    struct ft_err err = {0};
    ft_arena_init(&arena, 16 << 20);
    if (ft_xml_read((const char *)data, size, &arena, &root, &err) == 0) {
        struct ft_xml x;
        ft_xml_init(&x, 16 << 20);
        write_node(&x, root);
        if (!x.buf.failed) {
            FT_ASSERT(ft_xml_read(x.buf.data, x.buf.len, &arena, &again, &err) == 0);
            same(root, again);
        }
        ft_xml_fini(&x);
    } else {
        FT_ASSERT(err.code != 0 && err.msg[0] != '\0');
    }
    ft_arena_fini(&arena);
    return 0;
}
