/* Runs a fuzz target over its corpus without libFuzzer, and over simple mutations of each seed:
 * cut off at many places, single bytes changed, pieces repeated. The mutations are the same in
 * each run, so a failure here can be repeated.
 *
 * usage: replay CORPUS-FOLDER. Each input is written to replay-input.<pid> in TMPDIR before it
 * runs if FT_REPLAY_KEEP is set, so that a crash leaves its input behind. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/rand.h"

#define SEED_BYTES_MAX (16u << 20)
#define CUTS_MAX       64         /* truncations per seed */
#define CHANGES_MAX    192        /* changed copies per seed */
#define SEED_NS_MAX    1000000000 /* mutate one seed for no longer */
#define FILES_MAX      10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long n_runs;

/* On a fresh heap copy of exactly n bytes, so that the sanitizers see a read past the end. */
static void run(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n != 0 ? n : 1);
    if (copy == NULL)
        abort();
    if (n != 0)
        memcpy(copy, data, n);
    if (getenv("FT_REPLAY_KEEP") != NULL) {
        char path[256];
        const char *dir = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
        snprintf(path, sizeof path, "%.200s/replay-input.%d", dir, (int)getpid());
        FILE *f = fopen(path, "wb");
        if (f != NULL) {
            fwrite(copy, 1, n, f);
            fclose(f);
        }
    }
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
    n_runs++;
}

static void run_changed(const uint8_t *data, size_t n, uint64_t turn)
{
    uint8_t *copy = malloc(2 * n);
    if (copy == NULL)
        abort();
    memcpy(copy, data, n);
    size_t len = n;
    int n_changes = 1 + (int)(ft_rand_u64(n, turn, 0) % 4);
    for (int i = 1; i <= n_changes; i++) {
        static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '[', '\\', '0', '-', ' '};
        uint64_t r = ft_rand_u64(n, turn, (uint64_t)i);
        size_t at = (size_t)(r >> 32) % len;
        switch (r % 4) {
        case 0:
            copy[at] ^= (uint8_t)(1u << (r >> 8 & 7));
            break;
        case 1:
            copy[at] = edges[(r >> 8 & 0xff) % sizeof edges];
            break;
        case 2:
            copy[at] = (uint8_t)(r >> 8);
            break;
        default: { /* a piece once more: from `at` on, as far as the copy has room */
            size_t piece = (size_t)(r >> 8 & 0xff) + 1;
            piece = piece > len - at ? len - at : piece;
            piece = piece > 2 * n - len ? 2 * n - len : piece;
            memmove(copy + at + piece, copy + at, len - at);
            len += piece;
        }
        }
    }
    run(copy, len);
    free(copy);
}

static void run_seed(const uint8_t *data, size_t n)
{
    int64_t until = ft_clock_now_ns() + SEED_NS_MAX;
    run(data, n);
    if (n == 0)
        return;
    size_t step = n <= CUTS_MAX ? 1 : n / CUTS_MAX;
    for (size_t cut = 0; cut < n && ft_clock_now_ns() < until; cut += step)
        run(data, cut);
    for (uint64_t turn = 0; turn < CHANGES_MAX && ft_clock_now_ns() < until; turn++)
        run_changed(data, n, turn);
}

static int not_hidden(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]), 2;
    struct dirent **list;
    int n_files = scandir(argv[1], &list, not_hidden, alphasort);
    if (n_files <= 0 || n_files > FILES_MAX)
        return fprintf(stderr, "%s: %s: no seeds, or too many\n", argv[0], argv[1]), 1;
    int failed = 0;
    for (int i = 0; i < n_files; i++) {
        char path[4096], *data;
        size_t n;
        struct ft_err err;
        snprintf(path, sizeof path, "%s/%s", argv[1], list[i]->d_name);
        if (ft_file_read(path, SEED_BYTES_MAX, &data, &n, &err) != 0) {
            fprintf(stderr, "%s: %s\n", argv[0], err.msg);
            failed = 1;
        } else {
            run_seed((const uint8_t *)data, n);
            free(data);
        }
        free(list[i]);
    }
    free(list);
    run((const uint8_t *)"", 0);
    printf("%d seeds, %lu inputs\n", n_files, n_runs);
    return failed;
}
