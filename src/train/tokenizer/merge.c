/* Learning merges: counts of all pairs of neighbours are kept up to date, so that a merge costs
 * what it changes, not a pass over the words.
 *
 * A pair knows its count and the words that had it once; a heap has the pairs by count. Counts of
 * pairs in the heap may have fallen since (their neighbours were merged): such an entry is put back
 * with the count that is right when it comes up. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "train/tokenizer/impl.h"

#define PROGRESS_EVERY 64 /* merges */

struct pair {
    int32_t left, right;
    int64_t count;
    uint32_t *word; /* [n] where it occurs or did, ascending within a round, maybe repeated */
    uint32_t n, cap;
    int32_t touched; /* the round in which it last grew, or -1 */
    bool merged;     /* has a rule, or never gets one */
};

struct entry {
    int64_t count;
    int32_t left, right;
    uint32_t pair;
};

struct learner {
    struct ft_bpe *b;
    struct pair *pair;
    size_t n, cap;
    uint32_t *slot; /* hash of (left, right) to pair + 1 */
    size_t n_slots; /* a power of two */
    struct entry *heap;
    size_t n_heap, cap_heap;
    uint32_t *grown; /* pairs that grew in this round */
    size_t n_grown, cap_grown;
    int32_t round;
    uint32_t *seen; /* [words] round + 1 in which the word was gone through */
    bool failed;    /* no memory */
};

/* ---- bytes ---- */

int32_t ft_bpe_byte_id(unsigned char byte)
{
    uint32_t c = ft_pieces_char(byte);
    int32_t id = 0;
    for (int i = 0; i < 256; i++)
        id += ft_pieces_char((unsigned char)i) < c;
    return id;
}

/* ---- heap: the highest count first, then the oldest tokens ---- */

static bool before(const struct entry *a, const struct entry *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    return a->left != b->left ? a->left < b->left : a->right < b->right;
}

static void heap_push(struct learner *l, uint32_t pair)
{
    const struct pair *p = &l->pair[pair];
    struct entry e = {p->count, p->left, p->right, pair};
    if (l->n_heap == l->cap_heap) {
        size_t cap = l->cap_heap == 0 ? 4096 : l->cap_heap * 2;
        struct entry *h = realloc(l->heap, cap * sizeof *h);
        if (h == NULL) {
            l->failed = true;
            return;
        }
        l->heap = h;
        l->cap_heap = cap;
    }
    size_t i = l->n_heap++;
    for (; i > 0 && before(&e, &l->heap[(i - 1) / 2]); i = (i - 1) / 2)
        l->heap[i] = l->heap[(i - 1) / 2];
    l->heap[i] = e;
}

static struct entry heap_pop(struct learner *l)
{
    struct entry top = l->heap[0], e = l->heap[--l->n_heap];
    size_t i = 0;
    for (size_t c; (c = 2 * i + 1) < l->n_heap; i = c) {
        if (c + 1 < l->n_heap && before(&l->heap[c + 1], &l->heap[c]))
            c++;
        if (!before(&l->heap[c], &e))
            break;
        l->heap[i] = l->heap[c];
    }
    if (l->n_heap > 0)
        l->heap[i] = e;
    return top;
}

/* ---- pairs ---- */

static size_t slot_of(const struct learner *l, int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    return (size_t)(h ^ h >> 29) & (l->n_slots - 1);
}

static bool slots_grow(struct learner *l)
{
    size_t n = l->n_slots == 0 ? 1 << 16 : l->n_slots * 2;
    uint32_t *slot = calloc(n, sizeof *slot);
    if (slot == NULL)
        return false;
    free(l->slot);
    l->slot = slot;
    l->n_slots = n;
    for (size_t i = 0; i < l->n; i++) {
        size_t k = slot_of(l, l->pair[i].left, l->pair[i].right);
        while (slot[k] != 0)
            k = (k + 1) & (n - 1);
        slot[k] = (uint32_t)i + 1;
    }
    return true;
}

/* The pair's index, made if it is new; -1 without memory. */
static int64_t pair_get(struct learner *l, int32_t left, int32_t right)
{
    if (2 * l->n >= l->n_slots && !slots_grow(l))
        return -1;
    size_t k = slot_of(l, left, right);
    for (; l->slot[k] != 0; k = (k + 1) & (l->n_slots - 1)) {
        const struct pair *p = &l->pair[l->slot[k] - 1];
        if (p->left == left && p->right == right)
            return l->slot[k] - 1;
    }
    if (l->n == l->cap) {
        size_t cap = l->cap == 0 ? 4096 : l->cap * 2;
        struct pair *p = realloc(l->pair, cap * sizeof *p);
        if (p == NULL)
            return -1;
        l->pair = p;
        l->cap = cap;
    }
    l->pair[l->n] = (struct pair){.left = left, .right = right, .touched = -1};
    l->slot[k] = (uint32_t)++l->n;
    return (int64_t)l->n - 1;
}

static bool word_note(struct pair *p, uint32_t word)
{
    if (p->n > 0 && p->word[p->n - 1] == word)
        return true;
    if (p->n == p->cap) {
        uint32_t cap = p->cap == 0 ? 2 : p->cap * 2;
        uint32_t *w = realloc(p->word, cap * sizeof *w);
        if (w == NULL)
            return false;
        p->word = w;
        p->cap = cap;
    }
    p->word[p->n++] = word;
    return true;
}

static void grown_note(struct learner *l, uint32_t pair)
{
    if (l->pair[pair].touched == l->round)
        return;
    l->pair[pair].touched = l->round;
    if (l->n_grown == l->cap_grown) {
        size_t cap = l->cap_grown == 0 ? 256 : l->cap_grown * 2;
        uint32_t *g = realloc(l->grown, cap * sizeof *g);
        if (g == NULL) {
            l->failed = true;
            return;
        }
        l->grown = g;
        l->cap_grown = cap;
    }
    l->grown[l->n_grown++] = pair;
}

/* One occurrence more in a word, or one less. */
static void pair_change(struct learner *l, int32_t left, int32_t right, uint32_t word, int by)
{
    int64_t i = pair_get(l, left, right);
    if (i < 0) {
        l->failed = true;
        return;
    }
    l->pair[i].count += by * l->b->word[word].count;
    if (by < 0)
        return;
    if (!word_note(&l->pair[i], word))
        l->failed = true;
    grown_note(l, (uint32_t)i);
}

static void push_grown(struct learner *l)
{
    for (size_t i = 0; i < l->n_grown; i++)
        if (l->pair[l->grown[i]].count >= l->b->cfg.min_count)
            heap_push(l, l->grown[i]);
    l->n_grown = 0;
    l->round++;
}

/* ---- merging ---- */

/* Replaces the pair by `made` in one word. */
static void merge_word(struct learner *l, int32_t left, int32_t right, int32_t made, uint32_t word)
{
    struct ft_bpe_word *w = &l->b->word[word];
    int32_t *s = l->b->sym + w->at;
    uint32_t n = 0, i = 0;
    while (i < w->n) {
        if (i + 1 == w->n || s[i] != left || s[i + 1] != right) {
            s[n++] = s[i++];
            continue;
        }
        i += 2;
        if (n > 0) {
            pair_change(l, s[n - 1], left, word, -1);
            pair_change(l, s[n - 1], made, word, 1);
        }
        if (i < w->n) {
            pair_change(l, right, s[i], word, -1);
            pair_change(l, made, s[i], word, 1);
        }
        s[n++] = made;
    }
    w->n = n;
}

static void merge_all(struct learner *l, uint32_t pair, int32_t made)
{
    int32_t left = l->pair[pair].left, right = l->pair[pair].right;
    uint32_t *word = l->pair[pair].word, n = l->pair[pair].n;
    l->pair[pair].word = NULL; /* its words have it no more */
    l->pair[pair].n = l->pair[pair].cap = 0;
    for (uint32_t i = 0; i < n && !l->failed; i++) {
        if (l->seen[word[i]] == (uint32_t)l->round + 1)
            continue;
        l->seen[word[i]] = (uint32_t)l->round + 1;
        merge_word(l, left, right, made, word[i]);
    }
    free(word);
    l->pair[pair].count = 0;
    push_grown(l);
}

static bool is_special(const struct ft_bpe *b, const char *p, size_t n)
{
    for (int i = 0; i < b->cfg.n_special; i++)
        if (strlen(b->cfg.special[i]) == n && memcmp(b->cfg.special[i], p, n) == 0)
            return true;
    return false;
}

/* The token that the pair makes: a new one, or one that another pair has made; -1 if it would be a
 * special token's text, -2 without memory. */
static int32_t token_of(struct ft_bpe *b, int32_t left, int32_t right)
{
    const struct ft_bpe_token *x = &b->token[left], *y = &b->token[right];
    size_t n = (size_t)x->n + y->n;
    int32_t id;
    char *p = ft_arena_alloc(&b->arena, n);
    if (p == NULL)
        return -2;
    memcpy(p, x->p, x->n);
    memcpy(p + x->n, y->p, y->n);
    if (is_special(b, p, n))
        return -1;
    if (ft_strmap_get(&b->tokens, p, n, &id))
        return id;
    if (ft_strmap_add(&b->tokens, p, n, b->n_tokens) != 0)
        return -2;
    b->token[b->n_tokens] = (struct ft_bpe_token){p, (uint32_t)n};
    return b->n_tokens++;
}

static int rule_add(struct ft_bpe *b, int32_t left, int32_t right, int32_t made)
{
    if (b->n_merges == b->cap_merges) {
        int cap = b->cap_merges == 0 ? 1024 : b->cap_merges * 2;
        struct ft_bpe_merge *m = realloc(b->merge, (size_t)cap * sizeof *m);
        if (m == NULL)
            return -1;
        b->merge = m;
        b->cap_merges = cap;
    }
    b->merge[b->n_merges++] = (struct ft_bpe_merge){left, right, made};
    return 0;
}

/* The most frequent pair becomes a token. False when there is none. */
static bool learn_one(struct learner *l)
{
    struct ft_bpe *b = l->b;
    while (l->n_heap > 0 && !l->failed) {
        struct entry e = heap_pop(l);
        struct pair *p = &l->pair[e.pair];
        if (p->count < b->cfg.min_count)
            continue;
        if (p->count != e.count) {
            heap_push(l, e.pair);
            continue;
        }
        int32_t made = token_of(b, e.left, e.right);
        if (made == -1) {
            p->count = 0;
            continue;
        }
        /* A pair may occur again after it was merged, where another pair made one of its halves:
         * it has its rule already. */
        if (made == -2 || (!p->merged && rule_add(b, e.left, e.right, made) != 0)) {
            l->failed = true;
            return false;
        }
        p->merged = true;
        merge_all(l, e.pair, made);
        return true;
    }
    return false;
}

/* ---- beginning and end ---- */

static int symbols_make(struct ft_bpe *b, struct ft_err *err)
{
    int32_t id[256];
    size_t n_tokens = (size_t)b->cfg.vocab_size;
    b->sym = malloc((b->word_bytes + 1) * sizeof *b->sym);
    b->token = calloc(n_tokens, sizeof *b->token);
    if (b->sym == NULL || b->token == NULL || ft_strmap_init(&b->tokens, n_tokens) != 0)
        return ft_err_set(err, FT_ENOMEM, "vocabulary: no memory");
    for (int i = 0; i < 256; i++) {
        char *p = ft_arena_alloc(&b->arena, 1);
        id[i] = ft_bpe_byte_id((unsigned char)i);
        if (p == NULL)
            return ft_err_set(err, FT_ENOMEM, "vocabulary: no memory");
        p[0] = (char)i;
        b->token[id[i]] = (struct ft_bpe_token){p, 1};
        if (ft_strmap_add(&b->tokens, p, 1, id[i]) != 0)
            return ft_err_set(err, FT_ENOMEM, "vocabulary: no memory");
    }
    b->n_tokens = 256;
    for (size_t w = 0; w < b->n_words; w++)
        for (uint32_t i = 0; i < b->word[w].n; i++)
            b->sym[b->word[w].at + i] = id[(unsigned char)b->word_text[w][i]];
    return 0;
}

static void count_pairs(struct learner *l)
{
    const struct ft_bpe *b = l->b;
    for (size_t w = 0; w < b->n_words && !l->failed; w++)
        for (uint32_t i = 0; i + 1 < b->word[w].n; i++) {
            const int32_t *s = b->sym + b->word[w].at + i;
            pair_change(l, s[0], s[1], (uint32_t)w, 1);
        }
    push_grown(l);
}

static void learner_fini(struct learner *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->pair[i].word);
    free(l->pair);
    free(l->slot);
    free(l->heap);
    free(l->grown);
    free(l->seen);
}

int ft_bpe_train(struct ft_bpe *b, int (*progress)(void *ctx, int done, int all), void *ctx,
                 struct ft_err *err)
{
    FT_ASSERT(b->sym == NULL);
    struct learner l = {.b = b, .seen = calloc(b->n_words + 1, sizeof *l.seen)};
    int rc = symbols_make(b, err), all = b->cfg.vocab_size - b->cfg.n_special;
    if (rc == 0 && l.seen == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "vocabulary: no memory");
    if (rc == 0)
        count_pairs(&l);
    for (int i = 0; rc == 0 && b->n_tokens < all && learn_one(&l); i++)
        if (progress != NULL && i % PROGRESS_EVERY == 0 && progress(ctx, b->n_tokens, all) != 0)
            rc = ft_err_set(err, FT_ECANCELED, "stopped while learning the vocabulary");
    if (rc == 0 && l.failed)
        rc = ft_err_set(err, FT_ENOMEM, "vocabulary: no memory for %zu pairs", l.n);
    learner_fini(&l);
    return rc;
}

void ft_bpe_stats(const struct ft_bpe *b, struct ft_bpe_stats *ret)
{
    *ret = (struct ft_bpe_stats){.bytes = b->bytes,
                                 .pieces = b->n_pieces,
                                 .words = (int64_t)b->n_words,
                                 .vocab_size = b->n_tokens + b->cfg.n_special};
    for (size_t w = 0; w < b->n_words; w++)
        ret->tokens += (int64_t)b->word[w].n * b->word[w].count;
}
