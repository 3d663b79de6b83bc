/* See radix.h. Idle leaves sit in a binary heap by time of last use. */
#include "engine/core/radix.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"

int ft_radix_init(struct ft_radix *r, struct ft_blocks *pool, uint64_t *clock, struct ft_err *err)
{
    int n_bucket = 64;
    while (n_bucket < pool->n_max)
        n_bucket *= 2;
    size_t n = (size_t)pool->n_max;
    *r = (struct ft_radix){.pool = pool,
                           .clock = clock,
                           .n_bucket = n_bucket,
                           .node = calloc(n, sizeof *r->node),
                           .heap = calloc(n, sizeof *r->heap),
                           .bucket = calloc((size_t)n_bucket, sizeof *r->bucket),
                           .root = calloc(FT_RADIX_ROOTS_MAX, sizeof *r->root)};
    if (r->node == NULL || r->heap == NULL || r->bucket == NULL || r->root == NULL) {
        ft_radix_fini(r);
        return ft_err_set(err, FT_ENOMEM, "prefix cache: no memory for %d blocks", pool->n_max);
    }
    return 0;
}

void ft_radix_fini(struct ft_radix *r)
{
    free(r->node);
    free(r->heap);
    free(r->bucket);
    free(r->root);
    *r = (struct ft_radix){0};
}

/* ---- roots ---- */

static int32_t root_of(const struct ft_radix *r, int32_t b)
{
    while (r->node[b].parent >= 0)
        b = r->node[b].parent;
    return -1 - r->node[b].parent;
}

int32_t ft_radix_root_get(struct ft_radix *r, const void *salt, size_t n)
{
    FT_ASSERT(n <= FT_RADIX_SALT_BYTES);
    uint64_t hash = ft_hash_bytes(salt, n);
    int32_t spare = -1;
    bool some_idle = false;
    for (int32_t i = 0; i < r->n_root; i++) {
        struct ft_radix_root *t = &r->root[i];
        some_idle |= t->ref == 0;
        if (t->live && t->hash == hash && t->salt_n == n &&
            (n == 0 || memcmp(t->salt, salt, n) == 0)) {
            t->ref++;
            return i;
        }
        if (!t->live)
            spare = i;
    }
    if (spare < 0 && r->n_root < FT_RADIX_ROOTS_MAX)
        spare = r->n_root++;
    /* all in use: salts that nobody asks for any more hold theirs by cached blocks; the oldest go
     */
    while (spare < 0) {
        int32_t was = r->n_heap > 0 ? root_of(r, r->heap[0]) : -1;
        if (!some_idle || !ft_radix_evict(r))
            return -1;
        if (!r->root[was].live)
            spare = was;
    }
    struct ft_radix_root *t = &r->root[spare];
    *t = (struct ft_radix_root){.salt_n = (uint32_t)n, .hash = hash, .ref = 1, .live = true};
    if (n > 0)
        memcpy(t->salt, salt, n);
    return spare;
}

static void root_settle(struct ft_radix *r, int32_t root)
{
    struct ft_radix_root *t = &r->root[root];
    if (t->ref == 0 && t->n_child == 0)
        t->live = false;
}

void ft_radix_root_put(struct ft_radix *r, int32_t root)
{
    if (root < 0)
        return;
    FT_ASSERT(r->root[root].live && r->root[root].ref > 0);
    r->root[root].ref--;
    root_settle(r, root);
}

/* ---- the heap of idle leaves ---- */

static void heap_put(struct ft_radix *r, int at, int32_t b)
{
    r->heap[at] = b;
    r->node[b].heap_at = at;
}

static void heap_up(struct ft_radix *r, int at)
{
    int32_t b = r->heap[at];
    while (at > 0 && r->node[r->heap[(at - 1) / 2]].used > r->node[b].used) {
        heap_put(r, at, r->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(r, at, b);
}

static void heap_down(struct ft_radix *r, int at)
{
    int32_t b = r->heap[at];
    for (;;) {
        int kid = 2 * at + 1;
        if (kid >= r->n_heap)
            break;
        if (kid + 1 < r->n_heap && r->node[r->heap[kid + 1]].used < r->node[r->heap[kid]].used)
            kid++;
        if (r->node[r->heap[kid]].used >= r->node[b].used)
            break;
        heap_put(r, at, r->heap[kid]);
        at = kid;
    }
    heap_put(r, at, b);
}

static void heap_add(struct ft_radix *r, int32_t b)
{
    heap_put(r, r->n_heap++, b);
    heap_up(r, r->n_heap - 1);
}

static void heap_del(struct ft_radix *r, int32_t b)
{
    int at = r->node[b].heap_at;
    r->node[b].heap_at = -1;
    int32_t last = r->heap[--r->n_heap];
    if (last == b)
        return;
    heap_put(r, at, last);
    heap_up(r, at);
    heap_down(r, r->node[last].heap_at);
}

/* ---- nodes ---- */

static bool is_idle(const struct ft_radix *r, int32_t b)
{
    return r->pool->ref[b] == 1; /* the tree's own */
}

/* After b's references or children changed to or from the state in which it may be evicted. */
static void settle(struct ft_radix *r, int32_t b)
{
    struct ft_radix_node *n = &r->node[b];
    bool want = n->live && n->n_child == 0 && is_idle(r, b);
    if (want && n->heap_at < 0)
        heap_add(r, b);
    else if (!want && n->heap_at >= 0)
        heap_del(r, b);
}

static uint32_t bucket_of(const struct ft_radix *r, int32_t parent, const int32_t *token)
{
    struct {
        int32_t parent, token[FT_KV_BLOCK];
    } key = {.parent = parent};
    memcpy(key.token, token, sizeof key.token);
    uint64_t h = ft_hash_bytes(&key, sizeof key);
    return (uint32_t)h & (uint32_t)(r->n_bucket - 1);
}

/* Buckets and chains store id + 1, so that zeroed memory is an empty table. */
static int32_t find(const struct ft_radix *r, int32_t parent, const int32_t *token)
{
    int32_t b = r->bucket[bucket_of(r, parent, token)] - 1;
    for (; b >= 0; b = r->node[b].next - 1) {
        const struct ft_radix_node *n = &r->node[b];
        if (n->parent == parent && memcmp(n->token, token, sizeof n->token) == 0)
            return b;
    }
    return -1;
}

static void hold(struct ft_radix *r, int32_t b)
{
    if (is_idle(r, b))
        r->n_idle--;
    ft_blocks_ref(r->pool, b);
    r->node[b].used = ++*r->clock;
    settle(r, b);
}

int ft_radix_match(struct ft_radix *r, int32_t root, const int32_t *token, int n, int32_t *block)
{
    int32_t at = -1 - root;
    int found = 0;
    for (; root >= 0 && (found + 1) * FT_KV_BLOCK <= n; found++) {
        at = find(r, at, token + found * FT_KV_BLOCK);
        if (at < 0)
            break;
        hold(r, at);
        block[found] = at;
    }
    return found;
}

int ft_radix_peek(const struct ft_radix *r, int32_t root, const int32_t *token, int n,
                  int *ret_idle)
{
    int32_t at = -1 - root;
    int found = 0, idle = 0;
    for (; root >= 0 && (found + 1) * FT_KV_BLOCK <= n; found++) {
        at = find(r, at, token + found * FT_KV_BLOCK);
        if (at < 0)
            break;
        idle += is_idle(r, at);
    }
    if (ret_idle != NULL)
        *ret_idle = idle;
    return found;
}

int32_t ft_radix_insert(struct ft_radix *r, int32_t root, int32_t parent, const int32_t *token,
                        int32_t b)
{
    FT_ASSERT(root >= 0 && r->root[root].live && !r->node[b].live);
    FT_ASSERT(parent < 0 || (r->node[parent].live && r->pool->ref[parent] > 1));
    int32_t key = parent < 0 ? -1 - root : parent;
    int32_t same = find(r, key, token);
    if (same >= 0) {
        hold(r, same);
        ft_blocks_unref(r->pool, b);
        return same;
    }
    struct ft_radix_node *n = &r->node[b];
    uint32_t at = bucket_of(r, key, token);
    n->parent = key;
    n->next = r->bucket[at];
    n->n_child = 0;
    n->heap_at = -1;
    n->used = ++*r->clock;
    n->live = true;
    memcpy(n->token, token, sizeof n->token);
    r->bucket[at] = b + 1;
    if (parent < 0)
        r->root[root].n_child++;
    else
        r->node[parent].n_child++;
    r->n_nodes++;
    ft_blocks_ref(r->pool, b);
    return b;
}

void ft_radix_release(struct ft_radix *r, int32_t b)
{
    int left = ft_blocks_unref(r->pool, b);
    struct ft_radix_node *n = &r->node[b];
    if (!n->live)
        return;
    n->used = ++*r->clock;
    if (left == 1)
        r->n_idle++;
    settle(r, b);
}

bool ft_radix_evict(struct ft_radix *r)
{
    if (r->n_heap == 0)
        return false;
    int32_t b = r->heap[0];
    struct ft_radix_node *n = &r->node[b];
    heap_del(r, b);
    int32_t *link = &r->bucket[bucket_of(r, n->parent, n->token)];
    while (*link != b + 1)
        link = &r->node[*link - 1].next;
    *link = n->next;
    n->live = false;
    r->n_nodes--;
    r->n_idle--;
    r->n_evicted++;
    if (n->parent >= 0) {
        r->node[n->parent].n_child--;
        settle(r, n->parent);
    } else {
        r->root[-1 - n->parent].n_child--;
        root_settle(r, -1 - n->parent);
    }
    int left = ft_blocks_unref(r->pool, b);
    FT_ASSERT(left == 0);
    return true;
}

uint64_t ft_radix_oldest(const struct ft_radix *r)
{
    return r->n_heap > 0 ? r->node[r->heap[0]].used : UINT64_MAX;
}

void ft_radix_clear(struct ft_radix *r)
{
    while (ft_radix_evict(r))
        ;
}
