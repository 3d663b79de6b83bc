/* Compiling layouts: see layout.h. */
#include "engine/constrain/layout.h"

#include <string.h>

#include "engine/constrain/constrain.h"
#include "engine/constrain/gbnf.h"
#include "engine/constrain/regex.h"

static void check(struct ft_cx *cx, const struct ft_layout *layout)
{
    size_t bytes = 0;
    if (layout->n_nodes < 1 || layout->n_nodes > FT_LAYOUT_NODES_MAX)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "too many parts: %d, at most %d", layout->n_nodes,
                   FT_LAYOUT_NODES_MAX);
    bool ok = layout->start >= 0 && layout->start < layout->n_nodes;
    for (int i = 0; i < layout->n_nodes; i++) {
        const struct ft_layout_node *p = &layout->node[i];
        bool reads = p->op != FT_LAYOUT_END, forks = p->op == FT_LAYOUT_FORK;
        ok = ok && (!reads || (p->next >= 0 && p->next < layout->n_nodes)) &&
             (!forks || (p->other >= 0 && p->other < layout->n_nodes)) &&
             (p->op != FT_LAYOUT_TEXT || p->text.n > 0) && p->without.n <= FT_LAYOUT_WITHOUT_MAX;
        bytes += p->text.n;
    }
    if (!ok)
        ft_cx_fail(cx, FT_EINVAL, "a layout that is not well formed");
    if (bytes > FT_LAYOUT_TEXT_BYTES_MAX)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "too long: %zu bytes in all, at most %zu", bytes,
                   FT_LAYOUT_TEXT_BYTES_MAX);
}

static const char *keep_text(struct ft_cx *cx, struct ft_slice s)
{
    char *p = ft_cx_keep(cx, s.n, 1);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

/* The failure function of Knuth, Morris and Pratt. */
static const uint8_t *backs(struct ft_cx *cx, const char *s, size_t n)
{
    uint8_t *back = ft_cx_keep(cx, n, 1), k = 0;
    for (size_t i = 1; i < n; i++) {
        while (k > 0 && s[i] != s[k])
            k = back[k - 1];
        k = (uint8_t)(k + (s[i] == s[k]));
        back[i] = k;
    }
    return back;
}

static void compile_node(struct ft_cx *cx, const struct ft_layout_node *p, struct ft_lnode *n)
{
    switch (p->op) {
    case FT_LAYOUT_TEXT:
        n->text = keep_text(cx, p->text);
        n->n = (uint32_t)p->text.n;
        break;
    case FT_LAYOUT_SCHEMA:
    case FT_LAYOUT_STRING:
        n->ops = p->op == FT_LAYOUT_STRING ? &ft_machine_bare : &ft_machine_json;
        n->g = ft_tables_from_schema(cx, p->text.p, p->text.n, p->maybe);
        n->without = keep_text(cx, p->without);
        n->n_without = (uint8_t)p->without.n;
        n->back = backs(cx, n->without, n->n_without);
        break;
    case FT_LAYOUT_REGEX:
        n->ops = &ft_machine_regex;
        n->g = ft_regex_compile(cx, p->text.p, p->text.n);
        break;
    case FT_LAYOUT_GBNF:
        n->ops = &ft_machine_gbnf;
        n->g = ft_gbnf_compile(cx, p->text.p, p->text.n);
        break;
    default:
        break;
    }
}

/* Layouts are written from their end to their beginning, mostly: few rounds. */
static void find_live(struct ft_cx *cx, struct ft_layout_graph *g)
{
    for (bool more = true; more;) {
        more = false;
        ft_cx_work(cx, g->n_nodes);
        for (uint32_t i = 0; i < g->n_nodes; i++) {
            struct ft_lnode *n = &g->node[i];
            bool empty = (n->op == FT_LAYOUT_SCHEMA || n->op == FT_LAYOUT_STRING) && n->g == NULL;
            bool live = n->op == FT_LAYOUT_END ||
                        (!empty && (g->node[n->next].live ||
                                    (n->op == FT_LAYOUT_FORK && g->node[n->other].live)));
            more |= live && !n->live;
            n->live |= live;
        }
    }
}

const struct ft_layout_graph *ft_layout_compile(struct ft_cx *cx, const struct ft_layout *layout,
                                                int *ret_at)
{
    *ret_at = -1;
    check(cx, layout);
    struct ft_layout_graph *g = ft_cx_keep(cx, 1, sizeof *g);
    g->node = ft_cx_keep(cx, (size_t)layout->n_nodes, sizeof *g->node);
    g->n_nodes = (uint32_t)layout->n_nodes;
    g->start = (uint32_t)layout->start;
    g->control = layout->control;
    for (int i = 0; i < layout->n_nodes; i++) {
        const struct ft_layout_node *p = &layout->node[i];
        *ret_at = i;
        g->node[i].op = (uint8_t)p->op;
        g->node[i].next = (uint16_t)p->next;
        g->node[i].other = (uint16_t)p->other;
        compile_node(cx, p, &g->node[i]);
        ft_cx_forget(cx); /* what compiling one takes, all would take together */
    }
    *ret_at = -1;
    find_live(cx, g);
    if (!g->node[g->start].live)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "no text keeps it");
    return g;
}
