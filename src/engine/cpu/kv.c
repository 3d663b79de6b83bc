/* Memory of the key-value cache: layout of a block, reservation, release.
 *
 * Address space for all blocks and recurrent states is reserved at once without memory behind it; a
 * page costs memory when a block is first written, and ft_cpu_kv_release gives a block's pages
 * back. Knows nothing of attention; kv.h describes the layout. */
#include "engine/cpu/kv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGN_BYTES 64 /* every array in a block starts on a cache line */

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Places one layer at offset `at`; returns the offset past it. */
static size_t slice_place(const struct ft_kv_layer *l, enum ft_kv_type type, size_t at,
                          struct ft_kv_slice *s)
{
    memset(s, 0, sizeof *s);
    s->at = at;
    if (l->n_head == 0)
        return at;
    size_t elem = (size_t)ft_kv_elem_bytes(type);
    size_t d_k = (size_t)l->d_k, ld_v = round_up((size_t)(l->v_in_k ? l->d_k : l->d_v), FT_KV_PAD);
    s->n_head = l->n_head;
    s->d_k = l->d_k;
    s->d_v = l->d_v;
    s->v_in_k = l->v_in_k;
    s->ld_v = (int)ld_v;
    s->n_kg = (l->d_k + FT_KV_GROUP - 1) / FT_KV_GROUP;
    s->n_vg = l->v_in_k ? s->n_kg : (l->d_v + FT_KV_GROUP - 1) / FT_KV_GROUP;

    size_t end = 0;
    if (!l->v_in_k)
        end += round_up(FT_KV_BLOCK * d_k * elem, ALIGN_BYTES);
    s->v = end;
    end += round_up(FT_KV_BLOCK * ld_v * elem, ALIGN_BYTES);
    if (type == FT_KV_Q8) {
        s->k_scale = s->v_scale = end;
        end += round_up(FT_KV_BLOCK * (size_t)s->n_kg * sizeof(uint16_t), ALIGN_BYTES);
        if (!l->v_in_k) {
            s->v_scale = end;
            end += round_up(FT_KV_BLOCK * (size_t)s->n_vg * sizeof(uint16_t), ALIGN_BYTES);
        }
    }
    s->head_bytes = end;
    return at + end * (size_t)l->n_head;
}

/* Lays out all layers (slice may be NULL); returns the bytes of a block. */
static size_t block_layout(const struct ft_kv_shape *shape, struct ft_kv_slice *slice)
{
    size_t at = 0;
    for (int i = 0; i < shape->n_layer; i++) {
        struct ft_kv_slice one;
        at = slice_place(&shape->layer[i], shape->type, at, slice != NULL ? &slice[i] : &one);
    }
    return round_up(at, (size_t)sysconf(_SC_PAGESIZE));
}

size_t ft_cpu_kv_block_bytes(struct ft_dev *d, const struct ft_kv_shape *shape)
{
    (void)d;
    return block_layout(shape, NULL);
}

int ft_cpu_kv_open(struct ft_dev *d, const struct ft_kv_shape *shape, int n_blocks, int n_states,
                   struct ft_kv **ret_kv, struct ft_err *err)
{
    (void)d;
    if (n_blocks < 0 || n_states < 0)
        return ft_err_set(err, FT_EINVAL, "key-value cache: negative number of blocks or states");
    struct ft_kv *kv = calloc(1, sizeof *kv + (size_t)shape->n_layer * sizeof kv->slice[0]);
    if (kv == NULL)
        return ft_err_set(err, FT_ENOMEM, "key-value cache: no memory");
    kv->type = shape->type;
    kv->bf16 = shape->bf16;
    kv->n_layer = shape->n_layer;
    kv->n_blocks = n_blocks;
    kv->n_states = n_states;
    kv->block_bytes = block_layout(shape, kv->slice);
    for (int i = 0; i < shape->n_layer; i++)
        kv->state_bytes += round_up(shape->layer[i].state_bytes, ALIGN_BYTES);

    size_t blocks, states;
    if (__builtin_mul_overflow(kv->block_bytes, (size_t)n_blocks, &blocks) ||
        __builtin_mul_overflow(kv->state_bytes, (size_t)n_states, &states) ||
        __builtin_add_overflow(blocks, states, &kv->map_bytes)) {
        free(kv);
        return ft_err_set(err, FT_ENOMEM, "key-value cache: %d blocks are too many", n_blocks);
    }
    if (kv->map_bytes > 0) {
        void *p = mmap(NULL, kv->map_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) {
            int rc = ft_err_sys(err, "key-value cache: reserve %zu bytes", kv->map_bytes);
            free(kv);
            return rc;
        }
        kv->base = p;
    }
    *ret_kv = kv;
    return 0;
}

void ft_cpu_kv_close(struct ft_dev *d, struct ft_kv *kv)
{
    (void)d;
    if (kv == NULL)
        return;
    if (kv->base != NULL)
        munmap(kv->base, kv->map_bytes);
    free(kv);
}

static uint8_t *block_at(struct ft_kv *kv, int block)
{
    FT_ASSERT(block >= 0 && block < kv->n_blocks);
    return kv->base + (size_t)block * kv->block_bytes;
}

void ft_cpu_kv_read(struct ft_dev *d, struct ft_kv *kv, int block, void *host)
{
    (void)d;
    memcpy(host, block_at(kv, block), kv->block_bytes);
}

void ft_cpu_kv_write(struct ft_dev *d, struct ft_kv *kv, int block, const void *host)
{
    (void)d;
    memcpy(block_at(kv, block), host, kv->block_bytes);
}

void ft_cpu_kv_copy(struct ft_dev *d, struct ft_kv *kv, int dst_block, int src_block)
{
    (void)d;
    if (dst_block != src_block)
        memcpy(block_at(kv, dst_block), block_at(kv, src_block), kv->block_bytes);
}

void ft_cpu_kv_release(struct ft_dev *d, struct ft_kv *kv, int block)
{
    (void)d;
    if (kv->block_bytes > 0)
        madvise(block_at(kv, block), kv->block_bytes, MADV_DONTNEED);
}
