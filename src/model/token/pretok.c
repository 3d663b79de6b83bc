/* Cutting text into the pieces that merges work on: a short list of patterns, each applied to the
 * pieces of the one before.
 *
 * Pieces are passed on as they are found, depth first (the depth is the number of steps), so
 * nothing is stored per piece. The five ways of dealing with what lies between matches are those of
 * tokenizer.json's Split. */
#include "model/token/steps.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

struct ft_pretok {
    struct step {
        struct ft_regex *regex;
        const char *pattern; /* as it was given; the arena's */
        size_t pattern_n;
        enum ft_split split;
        bool invert;
    } step[FT_TOK_STEPS_MAX];
    int n;
};

int ft_pretok_init(struct ft_tokenizer *t, struct ft_err *err)
{
    t->pretok = calloc(1, sizeof *t->pretok);
    return t->pretok != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "pre-tokenizer: out of memory");
}

void ft_pretok_close(struct ft_pretok *p)
{
    if (p == NULL)
        return;
    for (int i = 0; i < p->n; i++)
        ft_regex_close(p->step[i].regex);
    free(p);
}

int ft_pretok_add(struct ft_tokenizer *t, const char *pattern, size_t n, enum ft_split split,
                  bool invert, struct ft_err *err)
{
    int rc = t->pretok == NULL ? ft_pretok_init(t, err) : 0;
    if (rc != 0)
        return rc;
    struct ft_pretok *p = t->pretok;
    if (p->n == FT_TOK_STEPS_MAX)
        return ft_err_set(err, FT_ELIMIT, "pre-tokenizer: more than %d steps", FT_TOK_STEPS_MAX);
    struct step *s = &p->step[p->n];
    const char *safe = ft_pretok_pattern_safe(pattern, n);
    *s = (struct step){.pattern = ft_arena_strndup(&t->arena, pattern, n),
                       .pattern_n = n,
                       .split = split,
                       .invert = invert};
    if (s->pattern == NULL)
        return ft_err_set(err, FT_ENOMEM, "pre-tokenizer: out of memory");
    rc = ft_regex_open(safe != NULL ? safe : pattern, safe != NULL ? strlen(safe) : n, safe != NULL,
                       &s->regex, err);
    if (rc != 0)
        return ft_err_wrap(err, "pre-tokenizer");
    p->n++;
    return 0;
}

int ft_pretok_add_named(struct ft_tokenizer *t, const char *name, size_t n, struct ft_err *err)
{
    const struct ft_pretok_entry *entry = ft_pretok_entry_find(name, n);
    if (entry == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "tokenizer.ggml.pre: no pre-tokenizer is known by the name '%.*s'",
                          (int)FT_MIN(n, (size_t)64), name);
    int rc = 0;
    for (size_t i = 0; i < FT_COUNT(entry->pattern) && entry->pattern[i] != NULL && rc == 0; i++)
        rc = ft_pretok_add(t, entry->pattern[i], strlen(entry->pattern[i]), FT_SPLIT_ISOLATED,
                           false, err);
    return rc;
}

static bool steps_equal(const struct ft_pretok *p, const struct ft_pretok_entry *entry)
{
    size_t n = 0;
    while (n < FT_COUNT(entry->pattern) && entry->pattern[n] != NULL)
        n++;
    if ((size_t)p->n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct step *s = &p->step[i];
        if (s->split != FT_SPLIT_ISOLATED || s->invert ||
            s->pattern_n != strlen(entry->pattern[i]) ||
            memcmp(s->pattern, entry->pattern[i], s->pattern_n) != 0)
            return false;
    }
    return true;
}

const char *ft_pretok_name(const struct ft_tokenizer *t)
{
    const struct ft_pretok_entry *entry, *found = NULL;
    if (t->pretok == NULL)
        return NULL;
    for (size_t i = 0; (entry = ft_pretok_entry_at(i)) != NULL; i++)
        if (steps_equal(t->pretok, entry) &&
            (found == NULL || entry->ignore_merges == t->ignore_merges))
            found = entry;
    return found == NULL ? NULL : found->names;
}

/* The pieces of one step over one text. */
struct cut {
    struct ft_enc *e;
    const char *p;
    int next; /* the step that its pieces go to */
    enum ft_split split;
    bool held, held_match; /* a piece that may still grow */
    size_t start, end;
};

static int step_run(struct ft_enc *e, int at, const char *p, size_t n);

static int held_emit(struct cut *c)
{
    if (!c->held || c->start == c->end)
        return 0;
    return step_run(c->e, c->next, c->p + c->start, c->end - c->start);
}

static int piece(struct cut *c, size_t start, size_t end, bool match)
{
    if (c->split == FT_SPLIT_ISOLATED || c->split == FT_SPLIT_REMOVED)
        return start == end || (c->split == FT_SPLIT_REMOVED && match)
                   ? 0
                   : step_run(c->e, c->next, c->p + start, end - start);
    bool grow = false;
    if (c->held && c->split == FT_SPLIT_CONTIGUOUS)
        grow = match == c->held_match;
    else if (c->held && c->split == FT_SPLIT_WITH_PREVIOUS)
        grow = match && !c->held_match;
    else if (c->held)
        grow = c->held_match && !match;
    int rc = grow ? 0 : held_emit(c);
    if (!grow)
        c->start = start;
    c->end = end;
    c->held = true;
    c->held_match = match;
    return rc;
}

static int step_run(struct ft_enc *e, int at, const char *p, size_t n)
{
    const struct ft_pretok *t = e->t->pretok;
    if (at == t->n)
        return ft_piece_encode(e, p, n);
    const struct step *s = &t->step[at];
    struct cut c = {.e = e, .p = p, .next = at + 1, .split = s->split};
    size_t done = 0, from = 0;
    bool any = false;
    int rc = 0;
    while (rc == 0 && from <= n) {
        size_t start, end;
        int found = ft_regex_find(s->regex, e->scratch, p, n, from, &start, &end, e->err);
        if (found < 0)
            return found;
        if (found == 0)
            break;
        from = end;
        if (start == end) /* an empty match cuts; go on after the next character */
            from += end < n ? (size_t)ft_utf8_lead_len((unsigned char)p[end]) : 1;
        if (start == end && any && start == done)
            continue; /* but not where the match before it ended */
        any = true;
        if (done < start)
            rc = piece(&c, done, start, s->invert);
        if (rc == 0)
            rc = piece(&c, start, end, !s->invert);
        done = end;
    }
    if (rc == 0 && done < n)
        rc = piece(&c, done, n, s->invert);
    return rc != 0 ? rc : held_emit(&c);
}

int ft_pretok_run(struct ft_enc *e, const char *p, size_t n)
{
    if (e->t->pretok == NULL || n == 0)
        return n == 0 ? 0 : ft_piece_encode(e, p, n);
    if (ft_enc_scratch(e) == NULL)
        return ft_err_set(e->err, FT_ENOMEM, "tokenize: out of memory");
    return step_run(e, 0, p, n);
}
