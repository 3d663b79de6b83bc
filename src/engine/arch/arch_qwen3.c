/* Qwen3: per-head norms of queries and keys. */
#include "engine/arch/archs.h"
#include "engine/arch/decoder.h"

static int open_layers(struct ft_model *m, struct ft_err *err)
{
    return ft_decoder_open(m, true, err);
}

const struct ft_arch ft_arch_qwen3 = {
    .name = "qwen3",
    .open = open_layers,
    .forward = ft_decoder_forward,
    .scratch_floats = ft_decoder_scratch,
};
