/* Reading by expat into a tree of an arena; writing by hand. */
#include "net/xml.h"

#include <expat.h>
#include <string.h>

#include "base/utf8.h"
#include "net/date.h"

/* ---- reading ---- */

struct reader {
    XML_Parser parser;
    struct ft_arena *arena;
    struct ft_xml_node *root, *open[FT_XML_DEPTH_MAX], *last[FT_XML_DEPTH_MAX];
    int depth, n_nodes;
    struct ft_buf text; /* of the innermost element */
    int rc;
    const char *what; /* of rc */
};

static void stop(struct reader *r, int rc, const char *what)
{
    if (r->rc != 0)
        return;
    r->rc = rc;
    r->what = what;
    XML_StopParser(r->parser, XML_FALSE);
}

static const char *local(const char *name)
{
    const char *colon = strrchr(name, ':');
    return colon != NULL ? colon + 1 : name;
}

static const char *keep(struct reader *r, const char *s)
{
    char *p = ft_arena_strndup(r->arena, s, strlen(s));
    if (p == NULL)
        stop(r, FT_ENOMEM, "no memory");
    return p;
}

static void on_start(void *ctx, const char *name, const char **attrs)
{
    struct reader *r = ctx;
    if (r->rc != 0)
        return;
    if (r->depth == FT_XML_DEPTH_MAX || r->n_nodes == FT_XML_NODES_MAX) {
        stop(r, FT_ELIMIT, "too deep, or too many elements");
        return;
    }
    struct ft_xml_node *n = ft_arena_alloc(r->arena, sizeof *n);
    if (n == NULL) {
        stop(r, FT_ENOMEM, "no memory");
        return;
    }
    n->name = keep(r, local(name));
    n->text = "";
    n->line = (int)XML_GetCurrentLineNumber(r->parser);
    struct ft_xml_attr **at = &n->attrs;
    for (; attrs[0] != NULL && r->rc == 0; attrs += 2) {
        struct ft_xml_attr *a = ft_arena_alloc(r->arena, sizeof *a);
        if (a == NULL) {
            stop(r, FT_ENOMEM, "no memory");
            return;
        }
        a->name = keep(r, local(attrs[0]));
        a->value = keep(r, attrs[1]);
        *at = a;
        at = &a->next;
    }
    if (r->depth == 0) {
        r->root = n;
    } else if (r->last[r->depth - 1] != NULL) {
        r->last[r->depth - 1]->next = n;
    } else {
        r->open[r->depth - 1]->first = n;
    }
    if (r->depth > 0)
        r->last[r->depth - 1] = n;
    r->open[r->depth] = n;
    r->last[r->depth] = NULL;
    r->depth++;
    r->n_nodes++;
    ft_buf_reset(&r->text);
}

static void on_end(void *ctx, const char *name)
{
    struct reader *r = ctx;
    (void)name;
    if (r->rc != 0)
        return;
    struct ft_xml_node *n = r->open[--r->depth];
    if (n->first == NULL && r->text.len > 0)
        n->text = keep(r, r->text.data);
    ft_buf_reset(&r->text);
}

static void on_text(void *ctx, const char *s, int n)
{
    struct reader *r = ctx;
    if (r->rc == 0 && ft_buf_add(&r->text, s, (size_t)n) != 0)
        stop(r, FT_ENOMEM, "no memory");
}

static void on_doctype(void *ctx, const char *name, const char *sysid, const char *pubid,
                       int has_internal)
{
    (void)name;
    (void)sysid;
    (void)pubid;
    (void)has_internal;
    stop(ctx, FT_EINVAL, "a document type is not read here");
}

int ft_xml_read(const char *data, size_t n, struct ft_arena *arena, struct ft_xml_node **ret_root,
                struct ft_err *err)
{
    if (n > (16u << 20))
        return ft_err_set(err, FT_ELIMIT, "XML: %zu bytes; at most 16 MiB", n);
    struct reader r = {.parser = XML_ParserCreate(NULL), .arena = arena};
    if (r.parser == NULL)
        return ft_err_set(err, FT_ENOMEM, "XML: no memory");
    ft_buf_init(&r.text, n + 1);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    int rc = 0;
    if (XML_Parse(r.parser, data, (int)n, 1) == XML_STATUS_ERROR || r.rc != 0) {
        rc = r.rc != 0 ? r.rc : FT_EINVAL;
        ft_err_set(err, (enum ft_code)rc, "XML: line %lu: %s",
                   (unsigned long)XML_GetCurrentLineNumber(r.parser),
                   r.rc != 0 ? r.what : XML_ErrorString(XML_GetErrorCode(r.parser)));
    }
    XML_ParserFree(r.parser);
    ft_buf_fini(&r.text);
    if (rc == 0)
        *ret_root = r.root;
    return rc;
}

const struct ft_xml_node *ft_xml_child(const struct ft_xml_node *n, const char *name)
{
    for (const struct ft_xml_node *c = n != NULL ? n->first : NULL; c != NULL; c = c->next)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

const char *ft_xml_child_text(const struct ft_xml_node *n, const char *name)
{
    const struct ft_xml_node *c = ft_xml_child(n, name);
    return c != NULL ? c->text : NULL;
}

const char *ft_xml_attr(const struct ft_xml_node *n, const char *name)
{
    for (const struct ft_xml_attr *a = n->attrs; a != NULL; a = a->next)
        if (strcmp(a->name, name) == 0)
            return a->value;
    return NULL;
}

/* ---- writing ---- */

void ft_xml_init(struct ft_xml *x, size_t max_bytes)
{
    ft_buf_init(&x->buf, max_bytes);
    x->depth = 0;
    ft_buf_add_str(&x->buf, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
}

void ft_xml_fini(struct ft_xml *x)
{
    ft_buf_fini(&x->buf);
}

static void push(struct ft_xml *x, const char *name)
{
    FT_ASSERT(x->depth < FT_XML_DEPTH_MAX);
    x->open[x->depth++] = name;
}

void ft_xml_root(struct ft_xml *x, const char *name, const char *xmlns)
{
    if (xmlns != NULL)
        ft_buf_addf(&x->buf, "<%s xmlns=\"%s\">", name, xmlns);
    else
        ft_buf_addf(&x->buf, "<%s>", name);
    push(x, name);
}

void ft_xml_begin(struct ft_xml *x, const char *name)
{
    ft_buf_addf(&x->buf, "<%s>", name);
    push(x, name);
}

void ft_xml_end(struct ft_xml *x)
{
    FT_ASSERT(x->depth > 0);
    ft_buf_addf(&x->buf, "</%s>", x->open[--x->depth]);
}

void ft_xml_escape(struct ft_buf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t run = i;
        while (run < n && (unsigned char)s[run] >= 0x20 && (unsigned char)s[run] < 0x7f &&
               s[run] != '&' && s[run] != '<' && s[run] != '>' && s[run] != '"')
            run++;
        if (run > i) {
            ft_buf_add(b, s + i, run - i);
            i = run;
            continue;
        }
        int len = ft_utf8_decode(s + i, n - i, NULL);
        if (len > 1)
            ft_buf_add(b, s + i, (size_t)len);
        else if (len == 0)
            ft_buf_add_str(b, "\xef\xbf\xbd");
        else if (c == '&')
            ft_buf_add_str(b, "&amp;");
        else if (c == '<')
            ft_buf_add_str(b, "&lt;");
        else if (c == '>')
            ft_buf_add_str(b, "&gt;");
        else if (c == '"')
            ft_buf_add_str(b, "&quot;");
        else
            ft_buf_addf(b, "&#x%X;", c);
        i += len > 0 ? (size_t)len : 1;
    }
}

void ft_xml_text(struct ft_xml *x, const char *name, const char *value)
{
    if (value == NULL)
        return;
    ft_buf_addf(&x->buf, "<%s>", name);
    ft_xml_escape(&x->buf, value, strlen(value));
    ft_buf_addf(&x->buf, "</%s>", name);
}

void ft_xml_int(struct ft_xml *x, const char *name, int64_t value)
{
    ft_buf_addf(&x->buf, "<%s>%lld</%s>", name, (long long)value, name);
}

void ft_xml_bool(struct ft_xml *x, const char *name, bool value)
{
    ft_xml_text(x, name, value ? "true" : "false");
}

void ft_xml_time(struct ft_xml *x, const char *name, int64_t unix_ns)
{
    char date[FT_DATE_MAX];
    ft_date_iso(unix_ns, date);
    ft_xml_text(x, name, date);
}
