/* LoRA adapters: a few small matrices beside a base model, W x becomes W x + scale * B (A x).
 *
 * Read from and written to the folders that Hugging Face's PEFT writes (adapter_config.json,
 * adapter_model.safetensors). In memory everything is in terms of the opened base: GGUF's tensor
 * names, and the rows of B in the order of the base's tensor (a llama GGUF has the q and k rows of
 * a head reordered against Hugging Face's; reading and writing put that right).
 *
 * Folders are hostile input: every count and shape is checked, and a setting that would be computed
 * wrongly (DoRA, modules_to_save, ...) is refused by its name. Immutable after open; any thread may
 * read. */
#ifndef FT_MODEL_ADAPTER_H
#define FT_MODEL_ADAPTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/file/weights.h"

#define FT_ADAPTER_RANK_MAX 65536

struct ft_adapter_pair {
    char tensor[FT_TENSOR_NAME_MAX + 1]; /* "blk.0.attn_q.weight" */
    int64_t n_in, n_out;
    int rank;
    float alpha;
    float scale; /* ft_adapter_scale(alpha, rank, is_rslora) */
    float *a;    /* [rank, n_in] f32, row-major */
    float *b;    /* [n_out, rank] f32, row-major, rows in the order of the base's tensor */
};

struct ft_adapter {
    int n;
    struct ft_adapter_pair *pair; /* each tensor once, in the order of the base's tensors */
    bool is_rslora;               /* scale is alpha / sqrt(rank), not alpha / rank */
};

float ft_adapter_scale(float alpha, int rank, bool is_rslora);

/* folder: a PEFT adapter's. base: what it stands beside; not kept. FT_ECORRUPT, FT_EINVAL (it does
 * not fit the base) and FT_EUNSUPPORTED name the field or the tensor, and both shapes. */
int ft_adapter_open(const char *folder, const struct ft_weights *base, struct ft_adapter **ret_a,
                    struct ft_err *err);
/* Frees the pairs' matrices too. NULL is accepted. */
void ft_adapter_close(struct ft_adapter *a);

struct ft_adapter_save_opts {
    const char *base_model; /* base_model_name_or_path: what PEFT loads the adapter beside */
    double dropout;         /* lora_dropout, for who trains on */
    enum ft_type type;      /* of the matrices: FT_F32, FT_F16 or FT_BF16 */
    bool replace;           /* a folder of files that is there gives way to the new one */
};
/* Writes the PEFT folder: it appears whole or not at all (base/folder.h). base: what `a` stands
 * beside. r and lora_alpha are those of most pairs; the others stand in the patterns. */
int ft_adapter_save(const struct ft_adapter *a, const struct ft_weights *base,
                    const struct ft_adapter_save_opts *o, const char *folder, struct ft_err *err);

/* NULL if the adapter leaves the tensor as it is. */
const struct ft_adapter_pair *ft_adapter_find(const struct ft_adapter *a, const char *tensor);

#endif
