/* Models with random weights in the shape of known ones: for benchmarks and tests where the real
 * weights are not at hand. Written as GGUF that llama.cpp loads too, with a made-up byte-level BPE
 * vocabulary of the full size. */
#ifndef FT_MODEL_SHAPE_H
#define FT_MODEL_SHAPE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"
#include "model/file/gguf_write.h"
#include "model/file/weights.h"

struct ft_shape {
    const char *name, *arch;
    int n_layer, d_model, d_ff, n_head, n_head_kv, d_head, n_vocab, n_ctx;
    double theta;
    int tied;
    /* rope scaling: "" or yarn (deepseek2); Llama 3's factors are a tensor */
    double yarn_factor, mscale_all_dim;
    int orig_ctx;
    double llama3_factor, llama3_low, llama3_high;
    int n_expert, n_expert_used, n_expert_shared, d_ff_expert, n_layer_dense;
    int n_group, n_group_used, sigmoid;
    double expert_scale;
    int q_lora_rank, kv_lora_rank, d_rot, d_nope, d_v;
};

const struct ft_shape *ft_shape_by_name(const char *name);
const char *ft_shape_names(void); /* separated by spaces */

/* Writes the shape as a GGUF file of the given mixture ("Q4_0", "Q4_K_M"; see quant_mix.h). The
 * same name and type give the same bytes. interrupt: as ft_gguf_writer_open(). */
int ft_shape_write(const struct ft_shape *s, const char *type, const char *path,
                   const atomic_int *interrupt, struct ft_err *err);

/* The same into a temporary file (in $TMPDIR or /tmp) that has no name any more when this returns:
 * *ret_fd is open for reading, and nothing stays behind. */
int ft_shape_temp(const struct ft_shape *s, const char *type, const atomic_int *interrupt,
                  int *ret_fd, struct ft_err *err);

/* shape_vocab.c: the made-up vocabulary's keys. n is at least 1024. */
int ft_shape_vocab_put(struct ft_gguf_writer *g, int n, struct ft_err *err);

#endif
