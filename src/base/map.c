/* Open addressing with linear probing, at most 3/4 full, no deletion. A slot keeps 32 bits of the
 * hash, so a probe reads the key's bytes only when it is very likely the right one.
 *
 * SipHash (Aumasson, Bernstein, INDOCRYPT 2012) with 1 compression and 3 finalisation rounds, the
 * usual choice for hash tables: hostile keys cannot be made to collide without the 128-bit key. */
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/rand.h"

struct ft_strmap_slot {
    const char *key; /* NULL: free */
    uint32_t len, hash;
    int32_t value;
};

static uint64_t sip_key[2];
static pthread_once_t sip_once = PTHREAD_ONCE_INIT;

static void sip_key_draw(void)
{
    if (getrandom(sip_key, sizeof sip_key, GRND_NONBLOCK) == (ssize_t)sizeof sip_key)
        return;
    /* No entropy yet (very early boot): the clock and the stack's random address are the rest. */
    sip_key[0] = ft_rand_mix((uint64_t)ft_clock_now_ns());
    sip_key[1] = ft_rand_mix((uint64_t)(uintptr_t)&sip_key ^
                             (uint64_t)(uintptr_t)__builtin_frame_address(0));
}

static inline uint64_t rotl(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

uint64_t ft_hash_bytes(const void *data, size_t n)
{
    pthread_once(&sip_once, sip_key_draw);
    const unsigned char *p = data;
    uint64_t k0 = sip_key[0], k1 = sip_key[1];
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    uint64_t word, last = (uint64_t)n << 56;
    size_t left = n;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)p[i] << 8 * i;
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The slot that holds the key, or the free slot where it belongs. There is always a free one. */
static struct ft_strmap_slot *find(const struct ft_strmap *m, const char *key, size_t n,
                                   uint64_t hash)
{
    size_t mask = m->n_slots - 1;
    for (size_t i = (size_t)(hash >> 32) & mask;; i = (i + 1) & mask) {
        struct ft_strmap_slot *s = &m->slots[i];
        if (s->key == NULL)
            return s;
        if (s->hash == (uint32_t)hash && s->len == n && (n == 0 || memcmp(s->key, key, n) == 0))
            return s;
    }
}

static int resize(struct ft_strmap *m, size_t n_slots)
{
    struct ft_strmap_slot *old = m->slots;
    size_t n_old = m->n_slots, mask = n_slots - 1;
    struct ft_strmap_slot *slots = calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return FT_ENOMEM;
    for (size_t i = 0; i < n_old; i++) {
        if (old[i].key == NULL)
            continue;
        size_t at = (size_t)(ft_hash_bytes(old[i].key, old[i].len) >> 32) & mask;
        while (slots[at].key != NULL)
            at = (at + 1) & mask;
        slots[at] = old[i];
    }
    free(old);
    m->slots = slots;
    m->n_slots = n_slots;
    return 0;
}

/* Slots for `count` entries at 3/4 load: the next power of two. */
static int make_room(struct ft_strmap *m, size_t count)
{
    if (count > FT_STRMAP_ENTRIES_MAX)
        return FT_ELIMIT;
    if (m->n_slots != 0 && count <= m->n_slots / 4 * 3)
        return 0;
    size_t n_slots = m->n_slots < 16 ? 16 : m->n_slots;
    while (count > n_slots / 4 * 3)
        n_slots *= 2;
    return resize(m, n_slots);
}

int ft_strmap_init(struct ft_strmap *m, size_t n_expected)
{
    *m = (struct ft_strmap){0};
    return n_expected == 0 ? 0 : make_room(m, n_expected);
}

void ft_strmap_fini(struct ft_strmap *m)
{
    free(m->slots);
    *m = (struct ft_strmap){0};
}

static int put(struct ft_strmap *m, const char *key, size_t n, int32_t value, bool replace)
{
    if (n > UINT32_MAX)
        return FT_ELIMIT;
    int rc = make_room(m, m->count + 1);
    if (rc != 0)
        return rc;
    uint64_t hash = ft_hash_bytes(key, n);
    struct ft_strmap_slot *s = find(m, key, n, hash);
    if (s->key == NULL) {
        *s = (struct ft_strmap_slot){key != NULL ? key : "", (uint32_t)n, (uint32_t)hash, value};
        m->count++;
        return 0;
    }
    if (!replace)
        return FT_EEXIST;
    s->value = value;
    return 0;
}

int ft_strmap_add(struct ft_strmap *m, const char *key, size_t n, int32_t value)
{
    return put(m, key, n, value, false);
}

int ft_strmap_set(struct ft_strmap *m, const char *key, size_t n, int32_t value)
{
    return put(m, key, n, value, true);
}

bool ft_strmap_get(const struct ft_strmap *m, const char *key, size_t n, int32_t *ret_value)
{
    if (m->count == 0)
        return false;
    const struct ft_strmap_slot *s = find(m, key, n, ft_hash_bytes(key, n));
    if (s->key == NULL)
        return false;
    if (ret_value != NULL)
        *ret_value = s->value;
    return true;
}
