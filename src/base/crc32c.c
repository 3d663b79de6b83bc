/* CRC-32C by the instruction of SSE 4.2 where the machine has it, else byte by byte from a table.
 *
 * The instruction takes three cycles, and one may begin in each: three stretches of long input are
 * taken side by side, and put together by moving the first's remainder over the length of the next
 * (M. Adler's crc32c.c does so; a remainder moves over zeros by four look-ups). */
#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t table[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
        table[i] = c;
    }
}

static uint32_t by_table(uint32_t crc, const unsigned char *p, size_t n)
{
    pthread_once(&once, make_table);
    for (; n > 0; n--)
        crc = table[(crc ^ *p++) & 0xff] ^ crc >> 8;
    return crc;
}

#if defined(__x86_64__)
#define STRETCH 5440 /* bytes, of 8: three times four of them are a block of 64 KiB and 256 less   \
                      */

static uint32_t over_zeros[4][256]; /* what each byte of a remainder becomes over STRETCH zeros */
static pthread_once_t once_over_zeros = PTHREAD_ONCE_INIT;

__attribute__((target("sse4.2"))) static void make_over_zeros(void)
{
    uint32_t of_bit[32];
    for (int bit = 0; bit < 32; bit++) {
        uint64_t c = UINT64_C(1) << bit;
        for (int i = 0; i < STRETCH / 8; i++)
            c = __builtin_ia32_crc32di(c, 0);
        of_bit[bit] = (uint32_t)c;
    }
    for (int i = 0; i < 4; i++)
        for (unsigned byte = 0; byte < 256; byte++)
            for (int bit = 0; bit < 8; bit++)
                if (byte >> bit & 1)
                    over_zeros[i][byte] ^= of_bit[8 * i + bit];
}

static uint64_t move(uint64_t c)
{
    return over_zeros[0][c & 0xff] ^ over_zeros[1][c >> 8 & 0xff] ^ over_zeros[2][c >> 16 & 0xff] ^
           over_zeros[3][c >> 24 & 0xff];
}

static uint64_t word(const unsigned char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc,
                                                                 const unsigned char *p, size_t n)
{
    uint64_t c = crc;
    if (n >= 3 * STRETCH)
        pthread_once(&once_over_zeros, make_over_zeros);
    for (; n >= 3 * STRETCH; n -= 3 * STRETCH, p += 3 * STRETCH) {
        uint64_t second = 0, third = 0;
        for (size_t i = 0; i < STRETCH; i += 8) {
            c = __builtin_ia32_crc32di(c, word(p + i));
            second = __builtin_ia32_crc32di(second, word(p + STRETCH + i));
            third = __builtin_ia32_crc32di(third, word(p + 2 * STRETCH + i));
        }
        c = move(move(c) ^ second) ^ third;
    }
    for (; n >= 8; n -= 8, p += 8)
        c = __builtin_ia32_crc32di(c, word(p));
    for (; n > 0; n--)
        c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
    return (uint32_t)c;
}
#endif

uint32_t ft_crc32c(uint32_t crc, const void *data, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return ~by_instruction(~crc, data, n);
#endif
    return ~by_table(~crc, data, n);
}
