/* GGUF files: whatever opens must be readable to its last byte, and printable. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/file/hparams.h"
#include "model/file/weights.h"

static volatile unsigned sink; /* keeps the reads */

static void read_all(const struct ft_weights *w)
{
    for (int i = 0; i < ft_weights_count(w); i++) {
        const struct ft_tensor *t = ft_weights_at(w, i);
        const unsigned char *p = t->part[0];
        sink += p[0] + p[t->part_bytes - 1];
        if (ft_weights_find(w, t->name) != t)
            abort();
    }
    for (int i = 0; i < ft_meta_count(w); i++) {
        char text[40];
        const char *key = ft_meta_key(w, i);
        ft_meta_print(w, i, text, sizeof text);
        int64_t n = ft_meta_array_len(w, key);
        if (n < 0 || n > 100000)
            continue;
        struct ft_slice *s = calloc((size_t)n + 1, sizeof *s);
        if (s != NULL && ft_meta_array_strs(w, key, s, n))
            for (int64_t k = 0; k < n; k++)
                if (s[k].n > 0)
                    sink += (unsigned char)s[k].p[s[k].n - 1];
        free(s);
    }
    struct ft_hparams h;
    struct ft_err err;
    if (ft_hparams_read(w, &h, &err) == 0 && (h.n_layer < 1 || h.n_head < 1 || h.n_vocab < 1))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char path[64];
    struct ft_weights *w;
    struct ft_err err;
    int fd = memfd_create("gguf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (ft_weights_open(path, &w, &err) == 0) {
        read_all(w);
        ft_weights_close(w);
    }
    close(fd);
    return 0;
}
