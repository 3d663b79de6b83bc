/* A configuration file: read as JSON by jansson, whose values know no lines; where a member stands
 * is looked up in the text when there is something to say about it. */
#include "cli/train_config.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json_scan.h"
#include "base/utf8.h"

#define CONFIG_MAX ((size_t)1 << 20)

/* '-' and '_' are the same in names of options. */
static bool same_name(struct ft_slice name, const char *key, size_t n)
{
    size_t i = 0;
    while (i < n && i < name.n && (name.p[i] == key[i] || (name.p[i] == '_' && key[i] == '-')))
        i++;
    return i == n && i == name.n;
}

/* The line of the member of this name, from 1; 0 if there is none. */
static int line_of(const struct ft_train_config *c, const char *key, size_t n)
{
    struct ft_arena arena;
    struct ft_jscan s;
    struct ft_slice name, value;
    struct ft_err none;
    bool first = true;
    int line = 0;
    ft_arena_init(&arena, CONFIG_MAX * 2);
    ft_jscan_init(&s, c->text, c->n, &arena, &none);
    if (ft_jscan_take(&s, '{') == 0)
        while (line == 0 && ft_jscan_member(&s, &first, &name) == 1) {
            if (same_name(name, key, n)) {
                line = 1;
                for (const char *p = c->text; p < s.p; p++)
                    line += *p == '\n';
            } else if (ft_jscan_value(&s, &value) != 0) {
                break;
            }
        }
    ft_arena_fini(&arena);
    return line;
}

static int wrap(const struct ft_train_config *c, const char *key, size_t n, struct ft_err *err)
{
    int line = key != NULL ? line_of(c, key, n) : 0;
    return line > 0 ? ft_err_wrap(err, "%s:%d", c->path, line) : ft_err_wrap(err, "%s", c->path);
}

int ft_train_config_read(struct ft_train_config *c, const char *path, struct ft_train_options *o,
                         struct ft_err *err)
{
    const char *key = NULL;
    json_error_t e;
    *c = (struct ft_train_config){.path = path};
    int rc = ft_file_read(path, CONFIG_MAX, &c->text, &c->n, err);
    if (rc != 0)
        return rc;
    size_t mark = ft_utf8_mark_len(c->text, c->n);
    memset(c->text, ' ', mark); /* editors put it there */
    json_t *root = json_loadb(c->text, c->n, JSON_REJECT_DUPLICATES, &e);
    if (root == NULL)
        return ft_err_set(err, FT_EINVAL, "%s:%d:%d: %s", path, e.line, e.column, e.text);
    rc = ft_train_options_set_json(o, root, &key, err);
    if (rc != 0)
        wrap(c, key, key != NULL ? strlen(key) : 0, err);
    json_decref(root);
    return rc;
}

void ft_train_config_locate(const struct ft_train_config *c, struct ft_err *err)
{
    size_t n = strcspn(err->msg, ":");
    if (c->text != NULL && line_of(c, err->msg, n) > 0)
        wrap(c, err->msg, n, err);
}

void ft_train_config_fini(struct ft_train_config *c)
{
    free(c->text);
    *c = (struct ft_train_config){0};
}
