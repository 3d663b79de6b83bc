/* Bit-reflected CRCs: folding by carry-less multiplication for long input, a table for the rest.
 *
 * Folding (Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ", Intel,
 * 2009): 64 bytes at a time are multiplied by powers of x modulo the polynomial onto the 64 behind
 * them, so that what is left of any length are 16 bytes with the same remainder; those go through
 * the table, which spares the paper's last reduction and its constants. The powers are computed at
 * the first use. */
#include "base/crc.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Reflected: the highest of a kind's bits stands for x^0. */
struct kind {
    uint64_t poly; /* reflected, without the leading term */
    int bits;
    uint64_t table[256];
    uint64_t k512[2], k128[2]; /* of folding by 64 and by 16 bytes: low half, high half */
};
static struct kind kinds[] = {
    [FT_CRC32] = {.poly = 0xedb88320u, .bits = 32},
    [FT_CRC32C] = {.poly = 0x82f63b78u, .bits = 32},
    [FT_CRC64NVME] = {.poly = 0x9a6c9329ac4bc9b5u, .bits = 64},
};
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* a * b mod P, polynomials of `bits` bits, reflected. */
static uint64_t multiply(const struct kind *k, uint64_t a, uint64_t b)
{
    uint64_t top = UINT64_C(1) << (k->bits - 1), r = 0;
    for (uint64_t m = top; m != 0; m >>= 1) {
        if (a & m)
            r ^= b;
        b = b & 1 ? b >> 1 ^ k->poly : b >> 1;
    }
    return r;
}

/* x^n mod P. */
static uint64_t power(const struct kind *k, uint64_t n)
{
    uint64_t top = UINT64_C(1) << (k->bits - 1);
    uint64_t r = top, square = top >> 1; /* 1; x */
    for (; n != 0; n >>= 1) {
        if (n & 1)
            r = multiply(k, r, square);
        square = multiply(k, square, square);
    }
    return r;
}

static void make(void)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct kind *k = &kinds[i];
        for (uint64_t byte = 0; byte < 256; byte++) {
            uint64_t c = byte;
            for (int bit = 0; bit < 8; bit++)
                c = c & 1 ? c >> 1 ^ k->poly : c >> 1;
            k->table[byte] = c;
        }
        /* The product of two reflected halves comes out one bit short (2 * 64 - 1 bits in 128):
         * hence the - 1. The shift puts x^0 at bit 63, where the multiplication has it. */
        int shift = 64 - k->bits;
        k->k512[0] = power(k, 512 + 64 - 1) << shift;
        k->k512[1] = power(k, 512 - 1) << shift;
        k->k128[0] = power(k, 128 + 64 - 1) << shift;
        k->k128[1] = power(k, 128 - 1) << shift;
    }
}

static uint64_t by_table(const struct kind *k, uint64_t crc, const unsigned char *p, size_t n)
{
    for (; n > 0; n--)
        crc = k->table[(crc ^ *p++) & 0xff] ^ crc >> 8;
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("pclmul,sse4.1"))) static __m128i fold(__m128i a, __m128i k)
{
    return _mm_xor_si128(_mm_clmulepi64_si128(a, k, 0x00), _mm_clmulepi64_si128(a, k, 0x11));
}

/* n >= 128; crc as by_table has it. Returns the CRC of the whole of 16-byte blocks; *ret_done says
 * how many bytes those were. */
__attribute__((target("pclmul,sse4.1"))) static uint64_t
by_folding(const struct kind *k, uint64_t crc, const unsigned char *p, size_t n, size_t *ret_done)
{
    const unsigned char *start = p;
    __m128i x[4], k512 = _mm_loadu_si128((const void *)k->k512),
                  k128 = _mm_loadu_si128((const void *)k->k128);
    for (int i = 0; i < 4; i++)
        x[i] = _mm_loadu_si128((const void *)(p + 16 * i));
    x[0] = _mm_xor_si128(x[0], _mm_set_epi64x(0, (long long)crc));
    for (p += 64, n -= 64; n >= 64; p += 64, n -= 64)
        for (int i = 0; i < 4; i++)
            x[i] = _mm_xor_si128(fold(x[i], k512), _mm_loadu_si128((const void *)(p + 16 * i)));
    for (int i = 1; i < 4; i++)
        x[0] = _mm_xor_si128(fold(x[0], k128), x[i]);
    for (; n >= 16; p += 16, n -= 16)
        x[0] = _mm_xor_si128(fold(x[0], k128), _mm_loadu_si128((const void *)p));
    unsigned char last[16];
    _mm_storeu_si128((void *)last, x[0]);
    *ret_done = (size_t)(p - start);
    return by_table(k, 0, last, sizeof last);
}
#endif

static uint64_t update(enum ft_crc_kind kind, uint64_t crc, const unsigned char *p, size_t n)
{
    pthread_once(&once, make);
    const struct kind *k = &kinds[kind];
#if defined(__x86_64__)
    if (n >= 128 && __builtin_cpu_supports("pclmul")) {
        size_t done;
        crc = by_folding(k, crc, p, n, &done);
        p += done;
        n -= done;
    }
#endif
    return by_table(k, crc, p, n);
}

uint32_t ft_crc32(uint32_t crc, const void *data, size_t n)
{
    return ~(uint32_t)update(FT_CRC32, (uint32_t)~crc, data, n);
}

uint64_t ft_crc64nvme(uint64_t crc, const void *data, size_t n)
{
    return ~update(FT_CRC64NVME, ~crc, data, n);
}

uint64_t ft_crc_combine(enum ft_crc_kind kind, uint64_t a, uint64_t b, uint64_t n)
{
    pthread_once(&once, make);
    return multiply(&kinds[kind], a, power(&kinds[kind], 8 * n)) ^ b;
}
