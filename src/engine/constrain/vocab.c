/* Building the trie: see vocab.h. Tokens are sorted by a radix sort on their first eight bytes and
 * ties by comparison; one pass over the sorted list then writes the nodes in depth-first order. */
#include "engine/constrain/vocab.h"

#include "engine/constrain/machine.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t key; /* first bytes, big-endian */
    uint32_t id;
};

static uint64_t key_of(const struct ft_vocab *v, uint32_t id)
{
    uint64_t k = 0;
    uint32_t n = v->at[id + 1] - v->at[id];
    for (uint32_t i = 0; i < 8; i++)
        k = k << 8 | (i < n ? (uint8_t)v->bytes[v->at[id] + i] : 0);
    return k;
}

static int cmp_tokens(const struct ft_vocab *v, uint32_t a, uint32_t b)
{
    uint32_t na = v->at[a + 1] - v->at[a], nb = v->at[b + 1] - v->at[b];
    int c = memcmp(v->bytes + v->at[a], v->bytes + v->at[b], na < nb ? na : nb);
    return c != 0 ? c : na < nb ? -1 : na > nb ? 1 : a < b ? -1 : 1;
}

static int cmp_entry(const void *a, const void *b, void *v)
{
    return cmp_tokens(v, ((const struct entry *)a)->id, ((const struct entry *)b)->id);
}

static void radix_sort(struct entry *e, struct entry *tmp, uint32_t n)
{
    for (int shift = 0; shift < 64; shift += 8) {
        uint32_t count[257] = {0};
        for (uint32_t i = 0; i < n; i++)
            count[(e[i].key >> shift & 0xff) + 1]++;
        for (int i = 0; i < 256; i++)
            count[i + 1] += count[i];
        for (uint32_t i = 0; i < n; i++)
            tmp[count[e[i].key >> shift & 0xff]++] = e[i];
        struct entry *t = e; /* an even number of passes: the result ends where it began */
        e = tmp;
        tmp = t;
    }
}

/* Text tokens in order of their bytes; returns how many. */
static int sort_tokens(struct ft_vocab *v, uint32_t *ret_n)
{
    struct entry *e = calloc((size_t)v->n_tokens * 2 + 2, sizeof *e);
    if (e == NULL)
        return FT_ENOMEM;
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n_tokens; i++)
        if (v->kind[i] == 0 && v->at[i + 1] > v->at[i])
            e[n++] = (struct entry){key_of(v, i), i};
    radix_sort(e, e + n, n);
    for (uint32_t i = 0; i < n;) {
        uint32_t j = i + 1;
        while (j < n && e[j].key == e[i].key)
            j++;
        if (j - i > 1)
            qsort_r(e + i, j - i, sizeof *e, cmp_entry, v);
        i = j;
    }
    for (uint32_t i = 0; i < n; i++)
        v->order[i] = (int32_t)e[i].id;
    free(e);
    *ret_n = n;
    return 0;
}

static uint32_t common_prefix(const struct ft_vocab *v, uint32_t a, uint32_t b)
{
    uint32_t na = v->at[a + 1] - v->at[a], nb = v->at[b + 1] - v->at[b], n = na < nb ? na : nb,
             i = 0;
    const char *p = v->bytes + v->at[a], *q = v->bytes + v->at[b];
    while (i < n && p[i] == q[i])
        i++;
    return i;
}

static int write_trie(struct ft_vocab *v, uint32_t n)
{
    size_t nodes = 1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)v->order[i];
        nodes += v->at[id + 1] - v->at[id] -
                 (i == 0 ? 0 : common_prefix(v, (uint32_t)v->order[i - 1], id));
    }
    if (nodes > UINT32_MAX / 2)
        return FT_ELIMIT;
    uint32_t *path = calloc((size_t)v->max_depth + 2, sizeof *path);
    v->byte = calloc(nodes + 1, 1);
    v->skip = calloc(nodes + 1, sizeof *v->skip);
    v->first = calloc(nodes + 2, sizeof *v->first);
    if (path == NULL || v->byte == NULL || v->skip == NULL || v->first == NULL) {
        free(path);
        return FT_ENOMEM;
    }
    uint32_t used = 1, depth = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = (uint32_t)v->order[i], len = v->at[id + 1] - v->at[id];
        uint32_t keep = i == 0 ? 0 : common_prefix(v, (uint32_t)v->order[i - 1], id);
        for (; depth > keep; depth--)
            v->skip[path[depth]] = used;
        for (; depth < len; depth++) {
            path[depth + 1] = used;
            v->byte[used] = (uint8_t)v->bytes[v->at[id] + depth];
            v->first[used++] = i;
        }
    }
    for (; depth > 0; depth--)
        v->skip[path[depth]] = used;
    v->skip[0] = used;
    v->first[used] = n;
    v->n_nodes = used;
    free(path);
    return 0;
}

static int copy_tokens(struct ft_vocab *v, const struct ft_vocab_token *t, struct ft_err *err)
{
    size_t total = 0;
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        if (t[i].n > FT_VOCAB_TOKEN_BYTES_MAX)
            return ft_err_set(err, FT_ELIMIT, "token %u has more than %d bytes", i,
                              FT_VOCAB_TOKEN_BYTES_MAX);
        total += t[i].n;
    }
    if (total > UINT32_MAX / 2)
        return ft_err_set(err, FT_ELIMIT, "the vocabulary has too many bytes");
    v->bytes = malloc(total + 1);
    v->at = calloc((size_t)v->n_tokens + 1, sizeof *v->at);
    v->kind = calloc((size_t)v->n_tokens + 1, 1);
    v->order = calloc((size_t)v->n_tokens + 1, sizeof *v->order);
    v->eog = calloc((size_t)v->n_tokens + 1, sizeof *v->eog);
    v->control = calloc((size_t)v->n_tokens + 1, sizeof *v->control);
    v->longer = calloc((size_t)v->n_tokens + 1, sizeof *v->longer);
    if (v->bytes == NULL || v->at == NULL || v->kind == NULL || v->order == NULL ||
        v->eog == NULL || v->control == NULL || v->longer == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a vocabulary");
    uint32_t at = 0;
    for (uint32_t i = 0; i < v->n_tokens; i++) {
        v->at[i] = at;
        if (t[i].n != 0)
            memcpy(v->bytes + at, t[i].bytes, t[i].n);
        at += t[i].n;
        v->kind[i] = t[i].eog ? 1 : t[i].never ? 2 : 0;
        if (t[i].eog)
            v->eog[v->n_eog++] = (int32_t)i;
        else if (t[i].never && t[i].n > 0)
            v->control[v->n_control++] = (int32_t)i;
        if (v->kind[i] == 0 && t[i].n > FT_RELAX_BYTES)
            v->longer[v->n_longer++] = (int32_t)i;
        if (v->kind[i] == 0 && t[i].n > v->max_depth)
            v->max_depth = t[i].n;
    }
    v->at[v->n_tokens] = at;
    return 0;
}

int ft_vocab_open(const struct ft_vocab_token *tokens, int n_tokens, struct ft_vocab **ret,
                  struct ft_err *err)
{
    static atomic_uint_fast64_t ids;
    if (n_tokens < 0 || n_tokens > FT_VOCAB_TOKENS_MAX)
        return ft_err_set(err, FT_EINVAL, "n_tokens: %d", n_tokens);
    struct ft_vocab *v = calloc(1, sizeof *v);
    if (v == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a vocabulary");
    v->n_tokens = (uint32_t)n_tokens;
    v->id = atomic_fetch_add(&ids, 1) + 1;
    uint32_t n = 0;
    int rc = copy_tokens(v, tokens, err);
    if (rc == 0) {
        rc = sort_tokens(v, &n);
        if (rc == 0)
            rc = write_trie(v, n);
        if (rc == 0)
            rc = ft_string_walk(v, NULL, 0, (struct ft_jchar){0, FT_S_PLAIN, 0}, &v->plain);
        if (rc != 0)
            ft_err_set(err, (enum ft_code)rc, "no room for a vocabulary");
    }
    if (rc != 0) {
        ft_vocab_close(v);
        return rc;
    }
    *ret = v;
    return 0;
}

void ft_vocab_close(struct ft_vocab *v)
{
    if (v == NULL)
        return;
    free(v->byte);
    free(v->skip);
    free(v->first);
    free(v->order);
    free(v->eog);
    free(v->control);
    free(v->longer);
    free(v->at);
    free(v->bytes);
    free(v->kind);
    ft_string_walk_fini(&v->plain);
    free(v);
}
