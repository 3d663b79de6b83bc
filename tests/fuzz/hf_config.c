/* config.json of a folder. First line of the input: config.json; the rest: tokenizer_config.json.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/file/hparams.h"
#include "model/file/weights.h"

static char folder[64];

static void folder_remove(void)
{
    char path[128];
    static const char *const names[] = {"config.json", "tokenizer_config.json",
                                        "model.safetensors"};
    for (size_t i = 0; i < FT_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void put(const char *name, const void *data, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, n, f) != n)
        abort();
    fclose(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (folder[0] == '\0') {
        static const char weights[] = "\x48\0\0\0\0\0\0\0{\"model.norm.weight\":{\"dtype\":\"F32\","
                                      "\"shape\":[1],\"data_offsets\":[0,4]}}  \0\0\0\0";
        strcpy(folder, "/tmp/feitian-fuzz-XXXXXX");
        if (mkdtemp(folder) == NULL)
            abort();
        atexit(folder_remove);
        put("model.safetensors", weights, 8 + 0x48 + 4);
    }
    const uint8_t *end = n > 0 ? memchr(data, '\n', n) : NULL;
    size_t first = end != NULL ? (size_t)(end - data) : n;
    put("config.json", data, first);
    put("tokenizer_config.json", data + first, n - first);
    struct ft_weights *w;
    struct ft_hparams h;
    struct ft_err err;
    if (ft_weights_open(folder, &w, &err) == 0) {
        if (ft_hparams_read(w, &h, &err) == 0 && (h.n_layer < 1 || h.d_model < 1))
            abort();
        ft_weights_close(w);
    }
    return 0;
}
