/* Qwen2 and Qwen2.5: biases on queries, keys and values. */
#include "engine/arch/archs.h"
#include "engine/arch/decoder.h"

static int open_layers(struct ft_model *m, struct ft_err *err)
{
    return ft_decoder_open(m, true, err);
}

const struct ft_arch ft_arch_qwen2 = {
    .name = "qwen2",
    .open = open_layers,
    .forward = ft_decoder_forward,
    .scratch_floats = ft_decoder_scratch,
};
