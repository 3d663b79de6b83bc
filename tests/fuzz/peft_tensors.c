/* adapter_model.safetensors beside a base of one layer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/adapter/adapter.h"

static char folder[64];
static struct ft_weights *base;

static const char config[] =
    "{\"model_type\":\"qwen3\",\"num_hidden_layers\":1,\"hidden_size\":2,\"intermediate_size\":8,"
    "\"num_attention_heads\":2,\"head_dim\":2,\"vocab_size\":3,\"max_position_embeddings\":16,"
    "\"tie_word_embeddings\":true}";
static const char weights[] =
    "\xb0\0\0\0\0\0\0\0{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[3,2],"
    "\"data_offsets\":[0,24]},\"model.layers.0.self_attn.q_proj.weight\":{\"dtype\":\"F32\","
    "\"shape\":[4,2],\"data_offsets\":[24,56]}}";

static void put(const char *name, const void *data, size_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, n, f) != n)
        abort();
    fclose(f);
}

static void finish(void)
{
    static const char *const names[] = {"config.json", "model.safetensors", "adapter_config.json",
                                        "adapter_model.safetensors"};
    char path[128];
    ft_weights_close(base);
    for (size_t i = 0; i < FT_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void start(void)
{
    static const char adapter[] = "{\"peft_type\":\"LORA\",\"r\":1}";
    char file[8 + 0xb0 + 56];
    struct ft_err err;
    strcpy(folder, "/tmp/feitian-fuzz-XXXXXX");
    if (mkdtemp(folder) == NULL)
        abort();
    memset(file, ' ', sizeof file);
    memcpy(file, weights, sizeof weights - 1);
    put("config.json", config, strlen(config));
    put("model.safetensors", file, sizeof file);
    put("adapter_config.json", adapter, strlen(adapter));
    if (ft_weights_open(folder, &base, &err) != 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    atexit(finish);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (base == NULL)
        start();
    put("adapter_model.safetensors", data, n);
    struct ft_adapter *a;
    struct ft_err err;
    if (ft_adapter_open(folder, base, &a, &err) != 0)
        return 0;
    if (a->n != 1 || a->pair[0].n_in != 2 || a->pair[0].n_out != 4 || a->pair[0].rank != 1)
        abort();
    ft_adapter_close(a);
    return 0;
}
