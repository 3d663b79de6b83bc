/* Byte-pair merging: the pair table, and the merging of one piece of text.
 *
 * Always the pair of the lowest rank, the leftmost of equals, until no pair has a rank. Short
 * pieces (nearly all) are searched linearly; long ones use a heap over a linked list, so a
 * megabyte without a space costs n log n. Two shortcuts come first: with ignore_merges a piece that
 * is a token is that token by definition; otherwise it is so if merging its bytes has given just
 * that token before, which vocab.whole remembers (a pure function of the tables, so a race between
 * threads writes the same value). */
#include "model/token/impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/utf8.h"

#define LINEAR_MAX 48 /* symbols of a piece that are searched linearly */
#define NO_RANK    UINT32_MAX

struct ft_merge_node {
    int32_t prev, next; /* -1: none */
    int32_t sym;        /* -1: merged into its left neighbour */
    uint32_t rank, id;  /* of the pair with the next */
};

int ft_merges_init(struct ft_merges *m, struct ft_arena *a, size_t n, struct ft_err *err)
{
    if (n > FT_TOK_MERGES_MAX)
        return ft_err_set(err, FT_ELIMIT, "%zu merges, more than %u", n, FT_TOK_MERGES_MAX);
    uint32_t n_slots = 64;
    while (n_slots < n + n / 2)
        n_slots *= 2;
    m->slots = ft_arena_array(a, n_slots, sizeof *m->slots);
    if (m->slots == NULL)
        return ft_err_set(err, FT_ENOMEM, "%zu merges: out of memory", n);
    m->slot_mask = n_slots - 1;
    m->cap = (uint32_t)n;
    m->last = -1;
    m->key = ft_hash_bytes("merges", 6) | 1;
    return 0;
}

static inline uint32_t pair_pos(const struct ft_merges *m, uint32_t left, uint32_t right)
{
    __uint128_t r = (__uint128_t)(((uint64_t)left << 32 | right) ^ m->key) * 0x9fb21c651e98df25u;
    uint64_t h = (uint64_t)r ^ (uint64_t)(r >> 64);
    return (uint32_t)(h ^ h >> 32);
}

bool ft_merges_add(struct ft_merges *m, uint32_t left, uint32_t right, uint32_t rank, uint32_t id,
                   bool replace)
{
    for (uint32_t pos = pair_pos(m, left, right);; pos++) {
        struct ft_merge *s = &m->slots[pos & m->slot_mask];
        if (s->right_1 == 0) {
            if (m->count == m->cap)
                return false;
            *s = (struct ft_merge){left, right + 1, rank, id};
            m->count++;
            return true;
        }
        if (s->left == left && s->right_1 == right + 1) {
            if (replace)
                *s = (struct ft_merge){left, right + 1, rank, id};
            return true;
        }
    }
}

int ft_merges_add_texts(struct ft_tokenizer *t, const struct ft_merge_text *m, int n, uint32_t rank,
                        bool replace, int *ret_bad, struct ft_err *err)
{
    struct ft_merges *g = &t->merges;
    int32_t id[FT_MERGE_BLOCK][3]; /* left, right, both */
    memset(id, -1, sizeof id);
    int found = ft_vocab_merges_find(t, m, n, g->last, id);
    for (int i = 0; i < found; i++)
        __builtin_prefetch(
            &g->slots[pair_pos(g, (uint32_t)id[i][0], (uint32_t)id[i][1]) & g->slot_mask], 1);
    for (int i = 0; i < found; i++)
        if (!ft_merges_add(g, (uint32_t)id[i][0], (uint32_t)id[i][1], rank + (uint32_t)i,
                           (uint32_t)id[i][2], replace)) {
            *ret_bad = i;
            return ft_err_set(err, FT_EINVAL, "more merges than the file announced");
        }
    if (found == n) {
        g->last = n == 0 ? g->last : id[n - 1][2];
        return 0;
    }
    *ret_bad = found;
    struct ft_slice a = id[found][0] >= 0 && id[found][1] < 0 ? m[found].right : m[found].left,
                    b = {"", 0};
    if (id[found][0] >= 0 && id[found][1] >= 0)
        b = m[found].right;
    return ft_err_set(err, FT_ECORRUPT, "'%.*s%.*s' is not in the vocabulary",
                      (int)FT_MIN(a.n, (size_t)80), a.p, (int)FT_MIN(b.n, (size_t)80), b.p);
}

const struct ft_merge *ft_merges_find(const struct ft_merges *m, uint32_t left, uint32_t right)
{
    for (uint32_t pos = pair_pos(m, left, right);; pos++) {
        const struct ft_merge *s = &m->slots[pos & m->slot_mask];
        if (s->right_1 == 0)
            return NULL;
        if (s->left == left && s->right_1 == right + 1)
            return s;
    }
}

static inline void pair_rank(const struct ft_merges *m, int32_t left, int32_t right,
                             uint32_t *ret_rank, uint32_t *ret_id)
{
    const struct ft_merge *s =
        left < 0 || right < 0 ? NULL : ft_merges_find(m, (uint32_t)left, (uint32_t)right);
    *ret_rank = s == NULL ? NO_RANK : s->rank;
    *ret_id = s == NULL ? 0 : s->id;
}

static size_t merge_linear(const struct ft_merges *m, int32_t *syms, size_t n)
{
    uint32_t rank[LINEAR_MAX], id[LINEAR_MAX];
    for (size_t i = 0; i + 1 < n; i++)
        pair_rank(m, syms[i], syms[i + 1], &rank[i], &id[i]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < rank[best])
                best = i;
        if (rank[best] == NO_RANK)
            break;
        syms[best] = (int32_t)id[best];
        size_t tail = n - best - 2;
        memmove(syms + best + 1, syms + best + 2, tail * sizeof *syms);
        memmove(rank + best, rank + best + 1, tail * sizeof *rank);
        memmove(id + best, id + best + 1, tail * sizeof *id);
        n--;
        if (best > 0)
            pair_rank(m, syms[best - 1], syms[best], &rank[best - 1], &id[best - 1]);
        if (best + 1 < n)
            pair_rank(m, syms[best], syms[best + 1], &rank[best], &id[best]);
    }
    return n;
}

/* A binary min-heap of rank << 32 | position: the lowest rank first, then the leftmost. */
static void heap_sift_down(uint64_t *h, size_t n, size_t i)
{
    uint64_t v = h[i];
    for (size_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && h[c + 1] < h[c])
            c++;
        if (h[c] >= v)
            break;
        h[i] = h[c];
    }
    h[i] = v;
}

static void heap_push(struct ft_enc *e, uint64_t v)
{
    size_t i = e->n_heap++;
    for (; i > 0 && e->heap[(i - 1) / 2] > v; i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = v;
}

static uint64_t heap_pop(struct ft_enc *e)
{
    uint64_t top = e->heap[0];
    e->heap[0] = e->heap[--e->n_heap];
    if (e->n_heap > 1)
        heap_sift_down(e->heap, e->n_heap, 0);
    return top;
}

/* Each merge pushes at most two pairs and there are at most n - 1 merges. */
static int scratch_reserve(struct ft_enc *e, size_t n)
{
    if (n > e->n_nodes) {
        struct ft_merge_node *p = realloc(e->nodes, n * sizeof *p);
        if (p == NULL)
            return ft_err_set(e->err, FT_ENOMEM, "tokenize: out of memory");
        e->nodes = p;
        e->n_nodes = n;
    }
    if (3 * n > e->heap_cap) {
        uint64_t *h = realloc(e->heap, 3 * n * sizeof *h);
        if (h == NULL)
            return ft_err_set(e->err, FT_ENOMEM, "tokenize: out of memory");
        e->heap = h;
        e->heap_cap = 3 * n;
    }
    return 0;
}

static void node_rank(struct ft_enc *e, int32_t at)
{
    struct ft_merge_node *v = &e->nodes[at];
    v->rank = NO_RANK;
    if (v->next < 0)
        return;
    pair_rank(&e->t->merges, v->sym, e->nodes[v->next].sym, &v->rank, &v->id);
    if (v->rank != NO_RANK)
        heap_push(e, (uint64_t)v->rank << 32 | (uint32_t)at);
}

static int64_t merge_heap(struct ft_enc *e, int32_t *syms, size_t n)
{
    int rc = scratch_reserve(e, n);
    if (rc != 0)
        return rc;
    struct ft_merge_node *v = e->nodes;
    e->n_heap = 0;
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct ft_merge_node){(int32_t)i - 1, i + 1 < n ? (int32_t)i + 1 : -1, syms[i],
                                      NO_RANK, 0};
        if (i == 0)
            continue;
        pair_rank(&e->t->merges, syms[i - 1], syms[i], &v[i - 1].rank, &v[i - 1].id);
        if (v[i - 1].rank != NO_RANK)
            e->heap[e->n_heap++] = (uint64_t)v[i - 1].rank << 32 | (uint32_t)(i - 1);
    }
    for (size_t i = e->n_heap / 2; i-- > 0;)
        heap_sift_down(e->heap, e->n_heap, i);
    while (e->n_heap > 0) {
        uint64_t top = heap_pop(e);
        int32_t at = (int32_t)(uint32_t)top;
        /* An entry outlives its pair; the rank tells the pairs that begin here apart. */
        if (v[at].sym < 0 || v[at].rank != (uint32_t)(top >> 32))
            continue;
        int32_t gone = v[at].next;
        v[at].sym = (int32_t)v[at].id;
        v[at].next = v[gone].next;
        v[gone].sym = -1;
        v[gone].rank = NO_RANK;
        if (v[at].next >= 0)
            v[v[at].next].prev = at;
        if (v[at].prev >= 0)
            node_rank(e, v[at].prev);
        node_rank(e, at);
    }
    size_t out = 0;
    for (int32_t i = 0; i >= 0; i = v[i].next)
        syms[out++] = v[i].sym;
    return (int64_t)out;
}

int64_t ft_merges_apply(struct ft_enc *e, int32_t *syms, size_t n)
{
    return n <= LINEAR_MAX ? (int64_t)merge_linear(&e->t->merges, syms, n) : merge_heap(e, syms, n);
}

int ft_bpe_encode_stray(struct ft_enc *e, unsigned char b)
{
    const struct ft_tokenizer *t = e->t;
    if (t->vocab.byte_id[b] >= 0)
        return ft_enc_push(e, t->vocab.byte_id[b]);
    if (t->stand_in[b] >= 0) {
        int rc = ft_enc_push(e, t->stand_in_mark);
        return rc != 0 ? rc : ft_enc_push(e, t->stand_in[b]);
    }
    if (t->unk >= 0)
        return t->fuse_unk && e->n > 0 && e->ids[e->n - 1] == t->unk ? 0 : ft_enc_push(e, t->unk);
    return ft_err_set(e->err, FT_EUNSUPPORTED,
                      "text: the vocabulary has no token for the byte 0x%02x", b);
}

/* FT_SCHEME_CHARS: the symbols of a piece; a character without one becomes byte tokens, or the
 * unknown token. Negative symbols never merge: -1 - id stands for a finished token. */
static int64_t chars_to_symbols(struct ft_enc *e, const char *p, size_t n)
{
    const struct ft_vocab *v = &e->t->vocab;
    size_t out = 0;
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)p[i];
        size_t len = c < 0x80 ? 1 : FT_MIN((size_t)ft_utf8_lead_len(c), n - i);
        int32_t id = c < 0x80 ? v->ascii_id[c] : ft_vocab_find(v, p + i, len);
        if (id >= 0) {
            e->syms[out++] = id;
            i += len;
            continue;
        }
        bool bytes = true;
        for (size_t k = 0; k < len; k++)
            bytes &= v->byte_id[(unsigned char)p[i + k]] >= 0;
        if (!bytes && e->t->unk < 0)
            return ft_err_set(e->err, FT_EUNSUPPORTED,
                              "text: the vocabulary has no token for the character %.*s", (int)len,
                              p + i);
        int32_t unk = -1 - e->t->unk;
        if (bytes)
            for (size_t k = 0; k < len; k++)
                e->syms[out++] = v->byte_id[(unsigned char)p[i + k]];
        else if (!e->t->fuse_unk || out == 0 || e->syms[out - 1] != unk)
            e->syms[out++] = unk;
        i += len;
    }
    return (int64_t)out;
}

static int encode_bytes(struct ft_enc *e, const char *p, size_t n)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = ft_bpe_encode_stray(e, (unsigned char)p[i]);
    return rc;
}

static int symbols_reserve(struct ft_enc *e, size_t n)
{
    if (n <= e->syms_cap)
        return 0;
    size_t cap = FT_MAX(n, FT_MAX(2 * e->syms_cap, (size_t)256));
    int32_t *p = realloc(e->syms, cap * sizeof *p);
    if (p == NULL)
        return ft_err_set(e->err, FT_ENOMEM, "tokenize: out of memory");
    e->syms = p;
    e->syms_cap = cap;
    return 0;
}

static int piece_encode(struct ft_enc *e, const char *p, size_t n)
{
    const struct ft_tokenizer *t = e->t;
    const struct ft_vocab *v = &t->vocab;
    int32_t id = ft_vocab_find(v, p, n);
    /* a token that merges make is never a control token: those are verbatim (vocab.c) */
    if (id >= 0 && (t->ignore_merges || __atomic_load_n(&v->whole[id], __ATOMIC_RELAXED) == 1))
        return ft_enc_push(e, id);
    int rc = symbols_reserve(e, n);
    if (rc != 0)
        return rc;
    int64_t n_syms = (int64_t)n;
    if (t->scheme == FT_SCHEME_CHARS) {
        n_syms = chars_to_symbols(e, p, n);
    } else {
        for (size_t i = 0; i < n; i++) {
            e->syms[i] = v->byte_id[(unsigned char)p[i]];
            if (e->syms[i] >= 0)
                continue;
            if (t->unk < 0)
                return encode_bytes(e, p, n);
            e->syms[i] = -1 - t->unk;
        }
    }
    if (n_syms > 0)
        n_syms = ft_merges_apply(e, e->syms, (size_t)n_syms);
    if (n_syms < 0)
        return (int)n_syms;
    if (id >= 0)
        __atomic_store_n(&v->whole[id], n_syms == 1 && e->syms[0] == id ? 1 : 2, __ATOMIC_RELAXED);
    for (int64_t i = 0; i < n_syms && rc == 0; i++)
        rc = ft_enc_push(e, e->syms[i] < 0 ? -1 - e->syms[i] : e->syms[i]);
    return rc;
}

/* SentencePiece has no patterns: a whole section is one piece. Where no token has a space after
 * something else, no merge crosses such a place, and cutting there changes nothing but the cost. */
int ft_piece_encode(struct ft_enc *e, const char *p, size_t n)
{
    const struct ft_tokenizer *t = e->t;
    if (e->on_piece != NULL)
        return e->on_piece(e->piece_ctx, p, n, e->err);
    if (t->scheme == FT_SCHEME_BYTES || (t->vocab.space_inside && !t->splits_spaces))
        return piece_encode(e, p, n);
    int rc = 0;
    size_t start = 0;
    for (size_t i = 1; i < n && rc == 0; i++) {
        if (p[i] != ' ' || (p[i - 1] == ' ' && !t->splits_spaces))
            continue;
        rc = piece_encode(e, p + start, i - start);
        start = i;
    }
    return rc != 0 ? rc : piece_encode(e, p + start, n - start);
}
