/* Model cards: the YAML at the head of a README.md, between two lines "---", and what else is noted
 * of a commit.
 *
 * Read is what cards are made of: mappings and lists by indentation, lists in [], texts plain and
 * quoted, block texts (| and >), numbers, true, false and null, comments. What is more than that
 * (anchors, tags, {}) is a text as it stands. A broken card is read as far as it goes. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "hub/repo/impl.h"

#define LINES_MAX 8192
#define FRONT_MAX ((size_t)128 << 10) /* bytes; what is larger is no card */
#define DEPTH_MAX 16
#define NOTE_MAX  ((size_t)1 << 20)

struct line {
    char *text; /* behind the indentation, without a comment line's text */
    int indent;
};

struct card {
    struct line line[LINES_MAX];
    int n, at;
};

static json_t *block(struct card *c, int indent, int depth);

/* ---- values on one line ---- */

static json_t *text_json(const char *s, size_t n)
{
    return json_stringn(s, n);
}

static json_t *plain(const char *s, size_t n)
{
    static const struct {
        const char *word;
        int value; /* -1: null */
    } words[] = {{"true", 1}, {"false", 0}, {"null", -1}, {"~", -1}, {"True", 1}, {"False", 0}};
    char copy[64], *end;
    for (size_t i = 0; i < FT_COUNT(words); i++)
        if (strlen(words[i].word) == n && strncmp(words[i].word, s, n) == 0)
            return words[i].value < 0 ? json_null() : json_boolean(words[i].value);
    if (n == 0)
        return json_null();
    if (n < sizeof copy && (isdigit((unsigned char)s[0]) || strchr("+-.", s[0]) != NULL)) {
        snprintf(copy, sizeof copy, "%.*s", (int)n, s);
        long long whole = strtoll(copy, &end, 10);
        if (*end == '\0' && n < 19)
            return json_integer(whole);
        if (strspn(copy, "0123456789+-.eE") == n) {
            double real = strtod(copy, &end);
            if (*end == '\0' && real > -1e300 && real < 1e300)
                return json_real(real);
        }
    }
    return text_json(s, n);
}

/* A quoted text from s; *ret_end: behind it. NULL: it does not end. */
static json_t *quoted(const char *s, const char **ret_end)
{
    struct ft_buf b;
    char quote = *s++;
    ft_buf_init(&b, FT_REPO_CARD_MAX);
    for (; *s != '\0'; s++) {
        if (*s == quote && quote == '\'' && s[1] == '\'')
            s++;
        else if (*s == quote)
            break;
        else if (*s == '\\' && quote == '"' && s[1] != '\0') {
            s++;
            ft_buf_add_byte(&b, *s == 'n' ? '\n' : *s == 't' ? '\t' : (unsigned char)*s);
            continue;
        }
        ft_buf_add_byte(&b, (unsigned char)*s);
    }
    json_t *v = *s == quote ? text_json(b.len > 0 ? b.data : "", b.len) : NULL;
    *ret_end = *s == quote ? s + 1 : s;
    ft_buf_fini(&b);
    return v;
}

static size_t trimmed(const char *s, size_t n)
{
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    return n;
}

/* "[a, 'b', c]" */
static json_t *flow_list(const char *s)
{
    json_t *list = json_array();
    for (s++; *s != '\0';) {
        s += strspn(s, " \t,");
        if (*s == ']' || *s == '\0')
            break;
        json_t *v = NULL;
        if (*s == '"' || *s == '\'')
            v = quoted(s, &s);
        if (v == NULL) {
            size_t n = strcspn(s, ",]");
            v = plain(s, trimmed(s, n));
            s += n;
        }
        json_array_append_new(list, v);
    }
    return list;
}

static json_t *scalar(const char *s)
{
    const char *end;
    size_t n = strlen(s);
    if (*s == '"' || *s == '\'') {
        json_t *v = quoted(s, &end);
        if (v != NULL)
            return v;
    }
    if (*s == '[')
        return flow_list(s);
    for (const char *p = strchr(s, '#'); p != NULL; p = strchr(p + 1, '#'))
        if (p > s && isspace((unsigned char)p[-1])) {
            n = (size_t)(p - s);
            break;
        }
    return plain(s, trimmed(s, n));
}

/* ---- blocks ---- */

static void skip_empty(struct card *c)
{
    while (c->at < c->n && (c->line[c->at].text[0] == '\0' || c->line[c->at].text[0] == '#'))
        c->at++;
}

/* "|" or ">" : the lines that are further in. */
static json_t *block_text(struct card *c, int indent, bool folded)
{
    struct ft_buf b;
    int own = -1;
    ft_buf_init(&b, FT_REPO_CARD_MAX + LINES_MAX);
    for (; c->at < c->n; c->at++) {
        const struct line *l = &c->line[c->at];
        if (l->text[0] != '\0' && l->indent <= indent)
            break;
        if (own < 0 && l->text[0] != '\0')
            own = l->indent;
        if (b.len > 0)
            ft_buf_add_byte(&b, folded ? ' ' : '\n');
        for (int i = own; i >= 0 && i < l->indent; i++)
            ft_buf_add_byte(&b, ' ');
        ft_buf_add_str(&b, l->text);
    }
    json_t *v = text_json(b.len > 0 ? b.data : "", trimmed(b.len > 0 ? b.data : "", b.len));
    ft_buf_fini(&b);
    return v;
}

/* What stands behind "key:" or "-": on the line, or in the lines further in. */
static json_t *value(struct card *c, const char *rest, int indent, int depth, bool in_map)
{
    rest += strspn(rest, " \t");
    if (rest[0] == '|' || rest[0] == '>')
        return block_text(c, indent, rest[0] == '>');
    if (rest[0] != '\0' && rest[0] != '#')
        return scalar(rest);
    skip_empty(c);
    if (c->at == c->n || depth == DEPTH_MAX)
        return json_null();
    const struct line *l = &c->line[c->at];
    bool list = l->text[0] == '-' && (l->text[1] == ' ' || l->text[1] == '\0');
    /* the entries of a list may stand as far out as the key that it belongs to */
    if (l->indent > indent || (in_map && list && l->indent == indent))
        return block(c, l->indent, depth + 1);
    return json_null();
}

/* Where the ':' behind a key is; NULL: the line has none. */
static char *key_end(char *s)
{
    char quote = *s == '"' || *s == '\'' ? *s : '\0';
    for (char *p = s + (quote != '\0'); *p != '\0'; p++) {
        if (quote != '\0' && *p == quote)
            quote = '\0';
        else if (quote == '\0' && *p == ':' && (p[1] == ' ' || p[1] == '\0' || p[1] == '\t'))
            return p;
    }
    return NULL;
}

static void map_entry(struct card *c, json_t *map, int indent, int depth)
{
    char *text = c->line[c->at++].text, *colon = key_end(text);
    size_t n = trimmed(text, (size_t)(colon - text));
    if (n >= 2 && (text[0] == '"' || text[0] == '\'') && text[n - 1] == text[0]) {
        text++;
        n -= 2;
    }
    json_t *v = value(c, colon + 1, indent, depth, true);
    text[n] = '\0';
    if (v == NULL || json_object_set_new(map, text, v) != 0)
        return; /* not UTF-8 */
}

static json_t *block(struct card *c, int indent, int depth)
{
    struct line *l = &c->line[c->at];
    bool list = l->text[0] == '-' && (l->text[1] == ' ' || l->text[1] == '\0');
    json_t *ret = list ? json_array() : json_object();
    for (skip_empty(c); c->at < c->n; skip_empty(c)) {
        l = &c->line[c->at];
        bool entry = l->text[0] == '-' && (l->text[1] == ' ' || l->text[1] == '\0');
        if (l->indent != indent || entry != list)
            break;
        if (!list) {
            if (key_end(l->text) == NULL)
                break;
            map_entry(c, ret, indent, depth);
            continue;
        }
        char *rest = l->text + 1 + strspn(l->text + 1, " ");
        if (depth < DEPTH_MAX && rest[0] != '"' && rest[0] != '\'' && rest[0] != '[' &&
            rest[0] != '\0' && key_end(rest) != NULL) { /* "- key: value": a mapping of its own */
            l->indent += (int)(rest - l->text);
            l->text = rest;
            json_array_append_new(ret, block(c, l->indent, depth + 1));
        } else {
            c->at++;
            json_array_append_new(ret, value(c, rest, indent, depth, false));
        }
    }
    return ret;
}

/* The lines between the two "---"; false: there are none. Cuts `text` up. */
static bool split(struct card *c, char *text)
{
    char *end;
    if (strncmp(text, "---", 3) != 0 || (text[3] != '\n' && text[3] != '\r'))
        return false;
    for (char *p = strchr(text, '\n'); p != NULL; p = end) {
        p++;
        end = strchr(p, '\n');
        size_t n = end != NULL ? (size_t)(end - p) : strlen(p);
        if (n > FRONT_MAX)
            break;
        n = trimmed(p, n);
        if (n == 3 && strncmp(p, "---", 3) == 0)
            return true;
        if (end == NULL || c->n == LINES_MAX || p - text > (ptrdiff_t)FRONT_MAX)
            break;
        struct line *l = &c->line[c->n++];
        l->indent = (int)FT_MIN(strspn(p, " "), n);
        l->text = p + l->indent;
        p[n] = '\0';
    }
    return false;
}

json_t *ft_repo_card_parse(const char *text, size_t n)
{
    json_t *o = NULL;
    struct card *c = calloc(1, sizeof *c);
    char *copy = malloc(n + 1);
    if (c != NULL && copy != NULL && n <= FT_REPO_CARD_MAX && ft_utf8_valid(text, n) &&
        memchr(text, 0, n) == NULL) {
        size_t mark = ft_utf8_mark_len(text, n);
        memcpy(copy, text + mark, n - mark);
        copy[n - mark] = '\0';
        if (split(c, copy)) {
            skip_empty(c);
            o = c->at < c->n ? block(c, c->line[c->at].indent, 0) : NULL;
        }
    }
    free(copy);
    free(c);
    if (!json_is_object(o)) {
        json_decref(o);
        o = json_object();
    }
    return o;
}

int ft_repo_card(struct ft_repos *r, const struct ft_repo_tree *t, json_t **ret, struct ft_err *err)
{
    const struct ft_repo_file *f = ft_repo_tree_file(t, "README.md");
    struct ft_blob_reader *in = NULL;
    if (f == NULL || f->size > (int64_t)FT_REPO_CARD_MAX) {
        *ret = json_object();
        return 0;
    }
    int rc = ft_repo_content_open(r, f->sha256, &in, err);
    char *text = rc == 0 ? malloc((size_t)f->size + 1) : NULL;
    if (rc == 0 && text == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "out of memory");
    if (rc == 0 && f->size > 0)
        rc = ft_blob_read(in, 0, text, (size_t)f->size, err);
    if (rc == 0)
        *ret = ft_repo_card_parse(text, (size_t)f->size);
    ft_blob_close_reader(in);
    free(text);
    return rc;
}

/* ---- notes ---- */

static void note_key(const struct ft_repo *repo, const char *commit, const char *what,
                     char ret[FT_REPO_KEY_MAX])
{
    snprintf(ret, FT_REPO_KEY_MAX, "u/%s/notes/%s/%s", repo->uid, commit, what);
}

int ft_repo_note_get(struct ft_repos *r, const struct ft_repo *repo, const char *commit,
                     const char *what, json_t **ret, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX], *text = NULL;
    size_t n = 0;
    note_key(repo, commit, what, key);
    int rc = ft_repo_load(r, key, NOTE_MAX, &text, &n, NULL, err);
    if (rc < 0)
        return rc;
    *ret = rc > 0 ? json_loadb(text, n, 0, NULL) : NULL;
    free(text);
    return 0;
}

int ft_repo_note_put(struct ft_repos *r, const struct ft_repo *repo, const char *commit,
                     const char *what, const json_t *value, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    char *text = json_dumps(value, JSON_COMPACT);
    note_key(repo, commit, what, key);
    int rc = text != NULL ? ft_repo_store(r, key, text, strlen(text), NULL, err)
                          : ft_err_set(err, FT_ENOMEM, "out of memory");
    free(text);
    return rc;
}
